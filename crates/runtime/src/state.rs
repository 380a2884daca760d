//! What a run knows of each node.

use std::sync::Arc;

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

/// The state of a node.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Operands that it waits for.
    pub(crate) missing: u32,
    /// Whether all operands that it certainly needs were wanted.
    pub(crate) started: bool,
    /// Whether what its call came to is that of an equal call.
    pub(crate) is_cached: bool,
    /// Cases of a branch whose conditions are false.
    pub(crate) cases_decided: u32,
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
    /// The node that the first state is that of.
    first: NodeIndex,
    nodes: Vec<State>,
    waits: Vec<Wait>,
    /// What nodes before the first are, as far as it is needed.
    captured: Captured,
    /// Nodes that are not idle any more.
    touched: Vec<NodeIndex>,
}

impl States {
    pub(crate) fn new(first: NodeIndex, n_nodes: usize, captured: Captured) -> Self {
        let nodes = std::iter::repeat_with(State::default).take(n_nodes).collect();
        Self { first, nodes, waits: Vec::new(), captured, touched: Vec::new() }
    }

    /// Sees to it that there are states for so many nodes, all of them idle as the others are.
    pub(crate) fn grow(&mut self, n_nodes: usize) {
        if self.nodes.len() < n_nodes {
            self.nodes.resize_with(n_nodes, State::default);
        }
    }

    /// For how many nodes there are states.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Makes all nodes idle again. Takes time linear in the number of nodes that are not.
    pub(crate) fn reset(&mut self) {
        for node in self.touched.drain(..) {
            self.nodes[node.index() - self.first.index()] = State::default();
        }
        self.waits.clear();
    }

    /// The state of a node that is not captured.
    #[inline]
    pub(crate) fn get(&self, node: NodeIndex) -> &State {
        &self.nodes[node.index() - self.first.index()]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, node: NodeIndex) -> &mut State {
        &mut self.nodes[node.index() - self.first.index()]
    }

    /// How far a node is; none for one that is captured, which has its value.
    #[inline]
    pub(crate) fn phase(&self, node: NodeIndex) -> Option<&Phase> {
        (node >= self.first).then(|| &self.get(node).phase)
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

    /// Sees to it that an idle node is wanted. Whether it was idle.
    #[inline]
    pub(crate) fn want(&mut self, node: NodeIndex) -> bool {
        let state = self.get_mut(node);
        let idle = matches!(state.phase, Phase::Idle);
        if idle {
            state.phase = Phase::Wanted;
            self.touched.push(node);
        }
        idle
    }

    /// Gives a node a value that it has for good: it stays when the states are reset.
    pub(crate) fn keep(&mut self, node: NodeIndex, value: Value) {
        self.get_mut(node).phase = Phase::Done(value);
    }

    /// Gives an idle node its value, for which nothing has waited.
    #[inline]
    pub(crate) fn give(&mut self, node: NodeIndex, value: Value) {
        self.get_mut(node).phase = Phase::Done(value);
        self.touched.push(node);
    }

    /// The value of a node that is not captured, if it has one, for the only one who uses it.
    #[inline]
    pub(crate) fn hand_on(&mut self, node: NodeIndex) -> Option<Value> {
        let phase = &mut self.get_mut(node).phase;
        match std::mem::replace(phase, Phase::HandedOn) {
            Phase::Done(value) => Some(value),
            other => {
                *phase = other;
                None
            }
        }
    }

    /// Gives a node the value back that it handed on, if it did.
    pub(crate) fn take_back(&mut self, node: NodeIndex, value: Value) {
        let phase = &mut self.get_mut(node).phase;
        if matches!(phase, Phase::HandedOn) {
            *phase = Phase::Done(value);
        }
    }

    /// Whether nothing needs a node yet.
    #[inline]
    pub(crate) fn is_idle(&self, node: NodeIndex) -> bool {
        matches!(self.get(node).phase, Phase::Idle)
    }

    /// Notes that `waiter` goes on when `operand` is decided.
    pub(crate) fn wait(&mut self, waiter: NodeIndex, operand: NodeIndex) {
        let index = u32::try_from(self.waits.len()).expect("fewer operands than 2^32");
        let next = self.get_mut(operand).waits.replace(index);
        self.waits.push(Wait { waiter, next });
        self.get_mut(waiter).missing += 1;
    }

    /// Whether a node has its value.
    #[inline]
    pub(crate) fn is_done(&self, node: NodeIndex) -> bool {
        matches!(self.phase(node), None | Some(Phase::Done(_) | Phase::HandedOn))
    }

    /// Decides a node, and calls `wake` with each node that can go on now: since nothing is missing any more, or
    /// since what it waited for failed.
    #[inline]
    pub(crate) fn decide(&mut self, node: NodeIndex, phase: Phase, wake: impl FnMut(NodeIndex)) {
        let failed = matches!(phase, Phase::Failed(_));
        let state = self.get_mut(node);
        state.phase = phase;
        if let Some(first) = state.waits.take() {
            self.wake(node, failed, first, wake);
        }
    }

    fn wake(&mut self, decided: NodeIndex, failed: bool, first: u32, mut wake: impl FnMut(NodeIndex)) {
        let mut next = Some(first);
        while let Some(index) = next {
            let Wait { waiter, next: after } = self.waits[index as usize];
            next = after;
            let state = self.get_mut(waiter);
            if !matches!(state.phase, Phase::Wanted) {
                continue;
            }
            state.missing -= 1;
            if failed {
                state.failed_operand.get_or_insert(decided);
                wake(waiter);
            } else if state.missing == 0 {
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
