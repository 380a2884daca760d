//! The short way to the value of a call: for calls without options, among nodes that are certain to be needed.
//!
//! The operands of such a node stand before it, and have their values unless they wait for something. So the call is
//! made at once, and its node is decided before anything could come to wait for it. What differs from that in any
//! respect takes the long way, which does the same for all nodes.

use constellation_rehydrate::{LoadedCall, Operation};
use constellation_store_core::NodeIndex;

use super::{Driver, Frame};
use crate::call::{self, Started};
use crate::observe::Site;

impl Driver<'_> {
    /// Takes an idle node on that is a call. False when the node takes the long way.
    #[inline]
    pub(super) fn call_straight(&mut self, node: NodeIndex) -> bool {
        let pipeline = self.pipeline;
        let operation = &pipeline.nodes[node.index()].operation;
        let Operation::Call(call) = operation else { return false };
        if !call.is_plain || self.frame.times.is_some() {
            return false;
        }
        if !self.receive_arguments(call) {
            self.frame.states.want(node);
            let Err(halt) = self.want_operands(node, operation) else { return false };
            self.conclude(node, Err(halt));
            return true;
        }
        let site = Site { run: self.run, node };
        let result = match call::start(call, &self.frame.arguments, &self.run.context, site) {
            Started::Over(Ok(value)) => match self.frame.budget.admit(&value, &call.result) {
                Ok(()) => {
                    self.frame.states.give(node, value);
                    return true;
                }
                Err(refused) => self.refused(node, call, refused),
            },
            Started::Over(Err(failure)) => self.call_failed(node, call, *failure),
            Started::Waiting(waiting) => Err(self.wait_for(node, call, waiting)),
        };
        self.frame.states.want(node);
        self.conclude(node, result);
        true
    }

    /// Takes the arguments of a call, if all of them have values. Those that nothing else uses are handed on, so that
    /// they take no room until the run ends.
    #[inline]
    pub(super) fn receive_arguments(&mut self, call: &LoadedCall) -> bool {
        let Frame { states, arguments, hands_on, .. } = &mut *self.frame;
        if !(*hands_on && call.is_plain) {
            return self.take_arguments(call);
        }
        arguments.clear();
        for argument in &call.arguments {
            let value = if self.pipeline.uses[argument.index()] == 1 {
                states.hand_on(*argument)
            } else {
                states.value(*argument).cloned()
            };
            let Some(value) = value else {
                self.return_arguments(call);
                return false;
            };
            arguments.push(value);
        }
        true
    }

    /// Gives back those of the arguments that were handed on, since another of them has no value yet.
    fn return_arguments(&mut self, call: &LoadedCall) {
        let Frame { states, arguments, .. } = &mut *self.frame;
        for (argument, value) in call.arguments.iter().zip(arguments.drain(..)) {
            states.take_back(*argument, value);
        }
    }
}
