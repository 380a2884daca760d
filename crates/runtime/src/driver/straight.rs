//! The straight way: the nodes that are certain to be needed are evaluated one after the other, as a program would.
//!
//! The operands of such a node stand before it, and have their values unless they wait for something. So its operation
//! is carried out at once, and it is decided before anything could come to wait for it: nothing is kept of it but its
//! value. A node that waits, fails, has options, or needs what was not needed so far takes the long way, which does the
//! same for all nodes; those behind it go straight again, as far as they do not depend on it.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

use constellation_module::Outcome;
use constellation_rehydrate::{LoadedCall, LoadedPipeline, Operation};
use constellation_store_core::NodeIndex;
use constellation_types::Value;

use super::{Driver, Frame};
use crate::budget::Budget;
use crate::call::{self, Started};
use crate::evaluate::{Evaluated, evaluate, taken};
use crate::observe::{Site, Watched};
use crate::run::Run;
use crate::state::{Phase, States};

/// Where the straight way ends for a node.
enum Detour<'a> {
    /// The node takes the long way.
    Long(NodeIndex),
    /// The module of the node was called, and what it gave is to be looked at.
    Called(NodeIndex, &'a Arc<LoadedCall>, Outcome),
}

impl<'a> Driver<'a> {
    /// Takes the certain nodes on that nothing has wanted so far, in their order, until others can go on. How many of
    /// the certain nodes were passed, at most so many.
    pub(super) fn go_straight(&mut self, certain: &[NodeIndex], limit: u32) -> u32 {
        let before = self.frame.n_passed;
        let end = certain.len().min(before.saturating_add(limit as usize));
        // The times of calls are taken on the long way.
        let times = self.frame.times.as_ref().map(|_| Watched::All);
        let watched = times.unwrap_or_else(|| Watched::now(&self.run.shared.config));
        // One for all nodes, since one for each takes as long as what many modules do. The frame is as it was before
        // the call in which a module panicked, but for the arguments that only that call uses.
        let passed = catch_unwind(AssertUnwindSafe(|| self.pass(&certain[..end], watched)));
        if let Err(panic) = passed {
            let Some(node) = self.frame.calling.take() else { resume_unwind(panic) };
            if let Operation::Call(call) = &self.pipeline.nodes[node.index()].operation {
                self.finish_started(node, call, Err(panic));
            }
        }
        u32::try_from(self.frame.n_passed - before).expect("at most the limit")
    }

    fn pass(&mut self, certain: &[NodeIndex], watched: Watched) {
        while self.frame.ready.is_empty()
            && let Some(detour) = straight(self.pipeline, self.run, self.frame, certain, watched)
        {
            match detour {
                Detour::Long(node) => {
                    self.frame.states.want(node);
                    self.advance(node);
                }
                Detour::Called(node, call, outcome) => self.finish_started(node, call, Ok(outcome)),
            }
        }
    }

    /// Goes on with a call whose module was called.
    fn finish_started(
        &mut self,
        node: NodeIndex,
        call: &'a Arc<LoadedCall>,
        outcome: thread::Result<Outcome>,
    ) {
        self.frame.states.want(node);
        let result = match call::started(outcome, None, call, Site { run: self.run, node }) {
            Started::Over(result) => self.finish_call(node, call, result),
            Started::Waiting(waiting) => Err(self.wait_for(node, call, waiting)),
        };
        self.conclude(node, result);
    }
}

/// Evaluates certain nodes in their order until one of them is not decided.
fn straight<'a>(
    pipeline: &'a LoadedPipeline,
    run: &Run,
    frame: &mut Frame,
    certain: &[NodeIndex],
    watched: Watched,
) -> Option<Detour<'a>> {
    let Frame { states, n_passed, calling, inputs, budget, arguments, hands_on, .. } = frame;
    for node in &certain[*n_passed..] {
        if run.is_stopped() {
            return None;
        }
        *n_passed += 1;
        let node = *node;
        if !states.is_idle(node) {
            continue;
        }
        let operation = &pipeline.nodes[node.index()].operation;
        let Operation::Call(call) = operation else {
            match operate(operation, states, inputs, budget) {
                Some(value) => states.pass(node, value),
                None => return Some(Detour::Long(node)),
            }
            continue;
        };
        if !call.is_plain || watched.includes(call) {
            return Some(Detour::Long(node));
        }
        *calling = Some(node);
        let outcome = match *call.arguments {
            // Integers are much of what is computed with. Up to here they stay in registers, and they own nothing that
            // is to be dropped.
            [one] if let Some(one) = states.int(one) => {
                let arguments = ManuallyDrop::new([Value::Int(one)]);
                call.module.call(&*arguments, &run.context)
            }
            [one, two] if let (Some(one), Some(two)) = (states.int(one), states.int(two)) => {
                let arguments = ManuallyDrop::new([Value::Int(one), Value::Int(two)]);
                call.module.call(&*arguments, &run.context)
            }
            [one] => {
                let Some(argument) = receive_one(one, states, &pipeline.uses, *hands_on) else {
                    *calling = None;
                    return Some(Detour::Long(node));
                };
                call.module.call(&[argument], &run.context)
            }
            _ => {
                if !receive(call, states, &pipeline.uses, *hands_on, arguments) {
                    *calling = None;
                    return Some(Detour::Long(node));
                }
                let outcome = call.module.call(arguments, &run.context);
                arguments.clear();
                outcome
            }
        };
        *calling = None;
        let phase = states.phase_mut(node);
        match outcome {
            Outcome::Ready(Ok(value)) if budget.admits(&value, &call.result) => *phase = Phase::Done(value),
            outcome => return Some(Detour::Called(node, call, outcome)),
        }
    }
    None
}

/// The value of an operation that is no call, as far as the values reach that its operands have. Whatever fails fails
/// on the long way again, which tells why.
#[inline(never)]
fn operate(
    operation: &Operation,
    states: &States,
    inputs: &[Option<Value>],
    budget: &mut Budget,
) -> Option<Value> {
    if let Operation::Input(place) = operation {
        return inputs.get(*place)?.clone();
    }
    match evaluate(operation, |operand| states.value(operand), &mut 0, budget).ok()? {
        Evaluated::Value(value) => Some(value),
        Evaluated::Taken(target) => taken(operation, states.value(target)?.clone(), budget).ok(),
        Evaluated::Other => None,
    }
}

/// The value of an argument, if it has one. A value that nothing but a plain call uses is handed on, so that it takes no
/// room until the run ends.
fn receive_one(argument: NodeIndex, states: &mut States, uses: &[u8], hands_on: bool) -> Option<Value> {
    if hands_on && uses[argument.index()] == 1 {
        states.hand_on(argument)
    } else {
        states.value(argument).cloned()
    }
}

/// Puts the arguments of a call into their room. Whether all of them have values; otherwise nothing has changed.
pub(super) fn receive(
    call: &LoadedCall,
    states: &mut States,
    uses: &[u8],
    hands_on: bool,
    room: &mut Vec<Value>,
) -> bool {
    room.clear();
    if !call.arguments.iter().all(|argument| states.value(*argument).is_some()) {
        return false;
    }
    let hands_on = hands_on && call.is_plain;
    for argument in &call.arguments {
        room.push(receive_one(*argument, states, uses, hands_on).expect("it has a value"));
    }
    true
}
