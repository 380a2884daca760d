//! The straight way: the nodes that are certain to be needed are evaluated one after the other, as a program would.
//!
//! The operands of such a node stand before it, and have their values unless they wait for something. So its operation
//! is carried out at once, and it is decided before anything could come to wait for it: nothing is kept of it but its
//! value. A node that waits, fails, has options, or needs what was not needed so far takes the long way, which does the
//! same for all nodes; those behind it go straight again, as far as they do not depend on it.
//!
//! For calls on integers a step has all that they take, and nothing is looked up elsewhere.

use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

use constellation_module::Outcome;
use constellation_rehydrate::{LoadedCall, LoadedPipeline, Operation, Step};
use constellation_store_core::NodeIndex;
use constellation_types::Value;

use super::{Driver, Frame};
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
    pub(super) fn go_straight(&mut self, certain: &[Step], limit: u32) -> u32 {
        let before = self.frame.n_passed;
        let end = certain.len().min(before.saturating_add(limit as usize));
        if before == end {
            return 0;
        }
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

    fn pass(&mut self, certain: &[Step], watched: Watched) {
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
    certain: &[Step],
    watched: Watched,
) -> Option<Detour<'a>> {
    for step in &certain[frame.n_passed..] {
        if run.is_stopped() {
            return None;
        }
        frame.n_passed += 1;
        let called = match call_on_integers(step, run, frame, watched) {
            OnIntegers::Done => continue,
            OnIntegers::Other(outcome) => Some(outcome),
            OnIntegers::None => None,
        };
        let node = step.node;
        if !frame.states.is_idle(node) {
            continue;
        }
        let operation = &pipeline.nodes[node.index()].operation;
        let Operation::Call(call) = operation else {
            match operate(operation, frame) {
                Some(value) => frame.states.pass(node, value),
                None => return Some(Detour::Long(node)),
            }
            continue;
        };
        let called = match called {
            None if call.is_plain && !watched.includes(call) => {
                call_plainly(node, call, pipeline, run, frame)
            }
            called => called,
        };
        match called {
            Some(Outcome::Ready(Ok(value))) if frame.budget.admits(&value, &call.result) => {
                frame.states.pass(node, value);
            }
            Some(outcome) => return Some(Detour::Called(node, call, outcome)),
            None => return Some(Detour::Long(node)),
        }
    }
    None
}

/// What became of a call on integers.
enum OnIntegers {
    /// It is none, or it has to wait.
    None,
    /// Its node has the integer that it gave.
    Done,
    /// It came to something else.
    Other(Outcome),
}

/// Calls the module of a node whose arguments are integers. Much is computed with these: here they stay in registers, and
/// nobody asks whether they own what is to be dropped.
#[inline]
fn call_on_integers(step: &Step, run: &Run, frame: &mut Frame, watched: Watched) -> OnIntegers {
    let (Some(call), Watched::Nothing | Watched::Impure) = (&step.on_integers, watched) else {
        return OnIntegers::None;
    };
    let Some((phase, integers)) = frame.states.idle_on_integers(step.node, call.arguments) else {
        return OnIntegers::None;
    };
    let arguments = ManuallyDrop::new(integers.map(Value::Int));
    let arguments = &arguments[..=usize::from(call.has_two)];
    frame.calling = Some(step.node);
    let outcome = call.module.call(arguments, &run.context);
    frame.calling = None;
    if let Outcome::Ready(Ok(Value::Int(integer))) = outcome
        && call.gives_integer
    {
        mem::forget(outcome);
        *phase = Phase::Done(Value::Int(integer));
        return OnIntegers::Done;
    }
    OnIntegers::Other(outcome)
}

/// Calls the module of a plain call; none when an argument has no value yet.
fn call_plainly(
    node: NodeIndex,
    call: &LoadedCall,
    pipeline: &LoadedPipeline,
    run: &Run,
    frame: &mut Frame,
) -> Option<Outcome> {
    let Frame { states, calling, arguments, hands_on, .. } = frame;
    let uses = &pipeline.uses;
    let outcome = if let [one] = *call.arguments {
        let argument = receive_one(one, states, uses, *hands_on)?;
        *calling = Some(node);
        call.module.call(&[argument], &run.context)
    } else {
        if !receive(call, states, uses, *hands_on, arguments) {
            return None;
        }
        *calling = Some(node);
        let outcome = call.module.call(arguments, &run.context);
        arguments.clear();
        outcome
    };
    *calling = None;
    Some(outcome)
}

/// The value of an operation that is no call, as far as the values reach that its operands have. Whatever fails fails
/// on the long way again, which tells why.
#[inline(never)]
fn operate(operation: &Operation, frame: &mut Frame) -> Option<Value> {
    let Frame { states, inputs, budget, .. } = frame;
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
