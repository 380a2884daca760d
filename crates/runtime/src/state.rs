//! What a run knows of each node.

use std::mem;
use std::sync::Arc;

use constellation_rehydrate::Step;
use constellation_store_core::NodeIndex;
use constellation_types::Value;

use crate::RunErrorKind;

/// How far a node is.
#[derive(Debug, Default)]
pub(crate) enum Phase {
    /// Nothing needs it yet.
    #[default]
    Idle,
    /// Something needs it.
    Wanted,
    /// It has its value.
    Done(Value),
    /// It had its value, which the only node that uses it has taken.
    HandedOn,
    /// It has none, because of the failure at this place.
    Failed(usize),
}

impl Phase {
    /// Makes it idle. Most values of many runs are numbers, which need no code to drop them.
    #[inline]
    fn clear(&mut self) {
        match mem::take(self) {
            number @ Self::Done(Value::Int(_) | Value::Float(_) | Value::Boolean(_)) => mem::forget(number),
            other => drop(other),
        }
    }
}

/// What is known of a node that was wanted, beside its phase: what it waits for, and what was decided so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Operands that it waits for.
    pub(crate) missing: u32,
    /// Whether all operands that it certainly needs were wanted.
    pub(crate) started: bool,
    /// Whether what its call came to is that of an equal call.
    pub(crate) is_cached: bool,
    /// Cases of a branch whose conditions are false.
    pub(crate) n_decided: u32,
    /// The node whose value it takes, once that is decided.
    pub(crate) follows: Option<NodeIndex>,
    /// The operand that failed while it waited.
    pub(crate) failed_operand: Option<NodeIndex>,
    /// The failure of its own call, while its fallback is evaluated.
    pub(crate) own_failure: Option<usize>,
    /// The first of those that wait for it.
    waits: Option<u32>,
}

/// One node waits for another.
#[derive(Debug)]
struct Wait {
    waiter: NodeIndex,
    next: Option<u32>,
}

/// Values of nodes around a body, in the order of nodes.
pub(crate) type Captured = Arc<[(NodeIndex, Value)]>;

/// The states of the nodes of a graph or of the body of a lambda, and who waits for whom: few allocations, however
/// many nodes.
#[derive(Debug)]
pub(crate) struct States {
    /// The node that the first phase is that of.
    first: NodeIndex,
    phases: Vec<Phase>,
    /// By node, as the phases. Apart from them, since a node that is evaluated at once never has any.
    progress: Vec<Progress>,
    waits: Vec<Wait>,
    /// What nodes before the first are, as far as it is needed.
    captured: Captured,
    /// Nodes that were wanted.
    wanted: Vec<NodeIndex>,
    /// Nodes that were given their values and never wanted.
    given: Vec<NodeIndex>,
}

impl States {
    pub(crate) fn new(first: NodeIndex, n_nodes: usize, captured: Captured) -> Self {
        let mut states = Self {
            first,
            phases: Vec::new(),
            progress: Vec::new(),
            waits: Vec::new(),
            captured,
            wanted: Vec::new(),
            given: Vec::new(),
        };
        states.grow(n_nodes);
        states
    }

    /// Sees to it that there are states for so many nodes, all of them idle as the others are.
    pub(crate) fn grow(&mut self, n_nodes: usize) {
        if self.phases.len() < n_nodes {
            self.phases.resize_with(n_nodes, Phase::default);
            self.progress.resize_with(n_nodes, Progress::default);
        }
    }

    /// For how many nodes there are states.
    pub(crate) fn len(&self) -> usize {
        self.phases.len()
    }

    /// Makes all nodes idle again, of which these were passed. Takes time linear in the number of nodes that are not.
    pub(crate) fn reset(&mut self, passed: &[Step]) {
        let first = self.first.index();
        for step in passed {
            self.phases[step.node.index() - first].clear();
        }
        for node in self.given.drain(..) {
            self.phases[node.index() - first] = Phase::Idle;
        }
        for node in self.wanted.drain(..) {
            self.phases[node.index() - first] = Phase::Idle;
            self.progress[node.index() - first] = Progress::default();
        }
        self.waits.clear();
    }

    /// The progress of a node that is not captured.
    #[inline]
    pub(crate) fn progress(&self, node: NodeIndex) -> &Progress {
        &self.progress[node.index() - self.first.index()]
    }

    #[inline]
    pub(crate) fn progress_mut(&mut self, node: NodeIndex) -> &mut Progress {
        &mut self.progress[node.index() - self.first.index()]
    }

    #[inline]
    pub(crate) fn phase_mut(&mut self, node: NodeIndex) -> &mut Phase {
        &mut self.phases[node.index() - self.first.index()]
    }

    /// How far a node is; none for one that is captured, which has its value.
    #[inline]
    pub(crate) fn phase(&self, node: NodeIndex) -> Option<&Phase> {
        let place = node.index().checked_sub(self.first.index())?;
        Some(&self.phases[place])
    }

    /// The value of a node, if it has one.
    #[inline]
    pub(crate) fn value(&self, node: NodeIndex) -> Option<&Value> {
        match self.phase(node) {
            Some(Phase::Done(value)) => Some(value),
            Some(Phase::Idle | Phase::Wanted | Phase::HandedOn | Phase::Failed(_)) => None,
            None => {
                let place = self.captured.binary_search_by_key(&node, |(captured, _)| *captured).ok()?;
                Some(&self.captured[place].1)
            }
        }
    }

    /// The phase of a node that is idle, and the values of two nodes before it, if these are integers.
    #[inline]
    pub(crate) fn idle_on_integers(
        &mut self,
        node: NodeIndex,
        operands: [NodeIndex; 2],
    ) -> Option<(&mut Phase, [i64; 2])> {
        // One that is captured has a place behind all others by this.
        let place = |node: NodeIndex| node.0.wrapping_sub(self.first.0) as usize;
        let (before, rest) = self.phases.split_at_mut_checked(place(node))?;
        let [phase @ Phase::Idle, ..] = rest else { return None };
        let integer = |operand| match before.get(place(operand)) {
            Some(Phase::Done(Value::Int(integer))) => Some(*integer),
            _ => None,
        };
        Some((phase, [integer(operands[0])?, integer(operands[1])?]))
    }

    /// Sees to it that an idle node is wanted. Whether it was idle.
    #[inline]
    pub(crate) fn want(&mut self, node: NodeIndex) -> bool {
        let phase = self.phase_mut(node);
        let idle = matches!(phase, Phase::Idle);
        if idle {
            *phase = Phase::Wanted;
            self.wanted.push(node);
        }
        idle
    }

    /// Gives a node a value that it has for good: it stays when the states are reset.
    pub(crate) fn keep(&mut self, node: NodeIndex, value: Value) {
        *self.phase_mut(node) = Phase::Done(value);
    }

    /// Gives an idle node its value, for which nothing has waited.
    #[inline]
    pub(crate) fn give(&mut self, node: NodeIndex, value: Value) {
        *self.phase_mut(node) = Phase::Done(value);
        self.given.push(node);
    }

    /// The same for one of the nodes that are certain to be needed, which are passed in their order.
    #[inline]
    pub(crate) fn pass(&mut self, node: NodeIndex, value: Value) {
        *self.phase_mut(node) = Phase::Done(value);
    }

    /// The value of a node that is not captured, if it has one, for the only one who uses it.
    #[inline]
    pub(crate) fn hand_on(&mut self, node: NodeIndex) -> Option<Value> {
        let phase = self.phase_mut(node);
        match mem::replace(phase, Phase::HandedOn) {
            Phase::Done(value) => Some(value),
            other => {
                *phase = other;
                None
            }
        }
    }

    /// Whether nothing needs a node yet.
    #[inline]
    pub(crate) fn is_idle(&self, node: NodeIndex) -> bool {
        matches!(self.phases[node.index() - self.first.index()], Phase::Idle)
    }

    /// Notes that `waiter` goes on when `operand` is decided.
    pub(crate) fn wait(&mut self, waiter: NodeIndex, operand: NodeIndex) {
        let index = u32::try_from(self.waits.len()).expect("fewer operands than 2^32");
        let next = self.progress_mut(operand).waits.replace(index);
        self.waits.push(Wait { waiter, next });
        self.progress_mut(waiter).missing += 1;
    }

    /// Decides a node, and calls `wake` with each node that can go on now: since nothing is missing any more, or
    /// since what it waited for failed.
    #[inline]
    pub(crate) fn decide(&mut self, node: NodeIndex, phase: Phase, wake: impl FnMut(NodeIndex)) {
        let failed = matches!(phase, Phase::Failed(_));
        *self.phase_mut(node) = phase;
        if let Some(first) = self.progress_mut(node).waits.take() {
            self.wake(node, failed, first, wake);
        }
    }

    fn wake(&mut self, decided: NodeIndex, failed: bool, first: u32, mut wake: impl FnMut(NodeIndex)) {
        let mut next = Some(first);
        while let Some(index) = next {
            let Wait { waiter, next: after } = self.waits[index as usize];
            next = after;
            if !matches!(self.phase(waiter), Some(Phase::Wanted)) {
                continue;
            }
            let progress = self.progress_mut(waiter);
            progress.missing -= 1;
            if failed {
                progress.failed_operand.get_or_insert(decided);
                wake(waiter);
            } else if progress.missing == 0 {
                wake(waiter);
            }
        }
    }
}

/// Why a node has no value.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It failed itself.
    Root {
        kind: RunErrorKind,
        module: Option<Arc<str>>,
        message: String,
        causes: Vec<String>,
        /// Its fallback, which failed too.
        fallback: Option<NodeIndex>,
    },
    /// An operand failed.
    Operand {
        operand: NodeIndex,
        /// The node where that failure began.
        root: NodeIndex,
    },
}
