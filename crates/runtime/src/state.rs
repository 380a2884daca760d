//! What a run knows of each node.

use std::sync::Arc;

use constellation_store_core::NodeIndex;
use constellation_types::Value;

use crate::RunErrorKind;

/// How far a node is.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Nothing needs it yet.
    Idle,
    /// Something needs it.
    Wanted,
    /// It has its value.
    Done(Value),
    /// It has none, because of the failure at this place.
    Failed(usize),
}

/// The state of a node.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Operands that it waits for.
    pub(crate) missing: u32,
    /// Whether all operands that it certainly needs were wanted.
    pub(crate) started: bool,
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

/// The states of all nodes of a run, and who waits for whom: two allocations, however large the graph.
#[derive(Debug)]
pub(crate) struct States {
    states: Vec<State>,
    waits: Vec<Wait>,
}

impl States {
    pub(crate) fn new(n_nodes: usize) -> Self {
        let idle = || State {
            phase: Phase::Idle,
            missing: 0,
            started: false,
            cases_decided: 0,
            follows: None,
            failed_operand: None,
            own_failure: None,
            waits: None,
        };
        Self { states: std::iter::repeat_with(idle).take(n_nodes).collect(), waits: Vec::new() }
    }

    pub(crate) fn get(&self, node: NodeIndex) -> &State {
        &self.states[node.index()]
    }

    pub(crate) fn get_mut(&mut self, node: NodeIndex) -> &mut State {
        &mut self.states[node.index()]
    }

    /// The value of a node, if it has one.
    pub(crate) fn value(&self, node: NodeIndex) -> Option<&Value> {
        match &self.get(node).phase {
            Phase::Done(value) => Some(value),
            Phase::Idle | Phase::Wanted | Phase::Failed(_) => None,
        }
    }

    /// Notes that `waiter` goes on when `operand` is decided.
    pub(crate) fn wait(&mut self, waiter: NodeIndex, operand: NodeIndex) {
        let index = u32::try_from(self.waits.len()).expect("fewer operands than 2^32");
        let next = self.get_mut(operand).waits.replace(index);
        self.waits.push(Wait { waiter, next });
        self.get_mut(waiter).missing += 1;
    }

    /// Decides a node, and calls `wake` with each node that can go on now: since nothing is missing any more, or
    /// since what it waited for failed.
    pub(crate) fn decide(&mut self, node: NodeIndex, phase: Phase, mut wake: impl FnMut(NodeIndex)) {
        let failed = matches!(phase, Phase::Failed(_));
        let state = self.get_mut(node);
        state.phase = phase;
        let mut next = state.waits.take();
        while let Some(index) = next {
            let Wait { waiter, next: after } = self.waits[index as usize];
            next = after;
            let state = self.get_mut(waiter);
            if !matches!(state.phase, Phase::Wanted) {
                continue;
            }
            state.missing -= 1;
            if failed {
                state.failed_operand.get_or_insert(node);
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
