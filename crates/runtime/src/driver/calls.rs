//! Calls of modules, and what their results are in the nodes' types.

use std::sync::Arc;

use constellation_module::{CallContext, Function};
use constellation_rehydrate::{LoadedCall, LoadedLambda, Operation, Recovery};
use constellation_store_core::NodeIndex;
use constellation_types::Value;
use futures_util::future::Either;

use super::straight::receive;
use super::{Driver, Frame, Halt, value_of};
use crate::budget::Refused;
use crate::call::{self, Attempted, Attempts, CallFailure, CallResult, PendingAttempt, Started, Waiting};
use crate::evaluate::{self, EvaluationError};
use crate::in_flight::Ended;
use crate::limits::Limits;
use crate::observe::Site;
use crate::state::Failure;
use crate::{RunErrorKind, body};

impl<'a> Driver<'a> {
    /// The result of a call whose arguments have been taken.
    pub(super) fn call(&mut self, node: NodeIndex, call: &'a Arc<LoadedCall>) -> Result<Value, Halt> {
        if call.cache.is_some() || Limits::apply_to(call) {
            return Err(self.go_on(node, call, None));
        }
        let site = Site { run: self.run, node };
        let started = if call.functions.is_empty() {
            call::start(call, &self.frame.arguments, &self.run.context, site)
        } else {
            let context = self.context(call)?;
            call::start(call, &self.frame.arguments, &context, site)
        };
        let is_tried_again = call.retry.further_attempts > 0;
        match started {
            Started::Over(result) if result.is_ok() || !is_tried_again => {
                self.finish_call(node, call, result)
            }
            Started::Waiting(waiting) if !is_tried_again => Err(self.wait_for(node, call, waiting)),
            started => Err(self.go_on(node, call, Some(started))),
        }
    }

    /// Puts the arguments of a call, all of which have values, into the room that one call after the other uses.
    pub(super) fn take_arguments(&mut self, call: &LoadedCall) -> evaluate::Result<()> {
        let Frame { states, arguments, hands_on, .. } = &mut *self.frame;
        if receive(call, states, &self.pipeline.uses, *hands_on, arguments) {
            return Ok(());
        }
        Err(EvaluationError::Internal("an argument has no value".into()))
    }

    /// What a call may know, with the functions that it is given.
    fn context(&mut self, call: &LoadedCall) -> evaluate::Result<CallContext> {
        Ok(if call.functions.is_empty() {
            self.run.context.clone()
        } else {
            self.run.context.clone().with_functions(self.functions(call)?)
        })
    }

    /// Puts the only attempt of a call in flight.
    pub(super) fn wait_for(&mut self, node: NodeIndex, call: &Arc<LoadedCall>, waiting: Waiting) -> Halt {
        let shared = &self.run.shared;
        let Either::Left(slot) = shared.slot(call) else {
            return self.go_on(node, call, Some(Started::Waiting(waiting)));
        };
        let timeout = call::timeout_of(call, &shared.config);
        let attempt = PendingAttempt::new(waiting, slot);
        self.frame.calls.push_attempt(node, attempt, timeout);
        Halt::Waiting
    }

    /// Puts a call in flight with all of its attempts, of which the first may have been started.
    fn go_on(&mut self, node: NodeIndex, call: &Arc<LoadedCall>, started: Option<Started>) -> Halt {
        let context = match self.context(call) {
            Ok(context) => context,
            Err(error) => return error.into(),
        };
        let attempts = Attempts { arguments: std::mem::take(&mut self.frame.arguments), context };
        let (call, run) = (Arc::clone(call), Arc::clone(self.run));
        // Two futures, since that of a call without a cache is much smaller.
        if call.cache.is_some() {
            self.frame.calls.push(async move {
                let site = Site { run: &run, node };
                let (result, attempted) = run.shared.caches.result(&call, attempts, site).await;
                Ended::Call(node, result, attempted)
            });
        } else {
            self.frame.calls.push(async move {
                let result = attempts.finish(started, &call, Site { run: &run, node }).await;
                Ended::Call(node, result, Attempted::Here)
            });
        }
        Halt::Waiting
    }

    /// The lambdas that a call is given, with what they capture.
    fn functions(&mut self, call: &LoadedCall) -> evaluate::Result<Arc<[Function]>> {
        let Frame { states, budget, .. } = &mut *self.frame;
        let function = |lambda: &Arc<LoadedLambda>| {
            let captured = lambda
                .captures
                .iter()
                .map(|node| Ok((*node, value_of(states, *node)?.clone())))
                .collect::<evaluate::Result<_>>()?;
            Ok(body::function(self.run, lambda, captured, budget.share()))
        };
        call.functions.iter().map(function).collect()
    }

    /// Something in flight has ended.
    pub(crate) fn ended(&mut self, ended: Ended) {
        let Ended::Call(node, result, attempted) = ended else { return };
        let Operation::Call(call) = &self.pipeline.nodes[node.index()].operation else { return };
        self.frame.states.progress_mut(node).is_cached = attempted == Attempted::Elsewhere;
        let result = self.finish_call(node, call, result);
        self.conclude(node, result);
    }

    pub(super) fn finish_call(
        &mut self,
        node: NodeIndex,
        call: &'a LoadedCall,
        result: CallResult,
    ) -> Result<Value, Halt> {
        if self.run.is_stopped() {
            // A body in the call wanted too much. What is told is that, not what became of the call.
            return Err(Halt::Waiting);
        }
        match result {
            Ok(value) => match self.frame.budget.admit(&value, &call.result) {
                Ok(()) => Ok(self.succeed(call, value)?),
                Err(refused) => self.refused(node, call, refused),
            },
            Err(failure) => self.call_failed(node, call, *failure),
        }
    }

    /// What a result comes to that the run does not admit.
    pub(super) fn refused(
        &mut self,
        node: NodeIndex,
        call: &'a LoadedCall,
        refused: Refused,
    ) -> Result<Value, Halt> {
        let Refused::Mismatch { expected, found } = refused else {
            return Err(EvaluationError::Exhausted.into());
        };
        let message = format!(
            "module {} gave a value of another type than its signature says: expected {expected}, got {found}",
            call.name
        );
        let failure = CallFailure { kind: RunErrorKind::Internal, message, causes: Vec::new() };
        self.call_failed(node, call, failure)
    }

    pub(super) fn call_failed(
        &mut self,
        node: NodeIndex,
        call: &'a LoadedCall,
        failure: CallFailure,
    ) -> Result<Value, Halt> {
        let CallFailure { kind, message, causes } = failure;
        let failure = self.frame.failures.len();
        self.frame.states.progress_mut(node).own_failure = Some(failure);
        self.frame.failures.push(Failure::Root {
            kind,
            module: Some(Arc::clone(&call.name)),
            message,
            causes,
            fallback: None,
        });
        match call.fallback {
            Some(fallback) => self.follow(node, fallback),
            None => self.recover(node, call, failure),
        }
    }

    /// What a result is in the node's type.
    #[inline]
    pub(super) fn succeed(&mut self, call: &LoadedCall, value: Value) -> evaluate::Result<Value> {
        match &call.recovery {
            Recovery::Propagate | Recovery::Zero { value: _, log: _ } => Ok(value),
            Recovery::Wrap { names } => {
                self.frame.budget.charge_values(names.len() + 1)?;
                let mut value = Some(value);
                let values = names.iter().map(|name| match &**name {
                    "ok" => Value::Boolean(true),
                    "value" => value.take().map_or_else(Value::none, Value::some),
                    _ => Value::none(),
                });
                Ok(evaluate::record(names, values.collect()))
            }
        }
    }

    /// What the final failure of a call is in the node's type.
    pub(super) fn recover(
        &mut self,
        node: NodeIndex,
        call: &LoadedCall,
        failure: usize,
    ) -> Result<Value, Halt> {
        let text = self.failure_text(failure);
        match &call.recovery {
            Recovery::Propagate => Err(Halt::Call(failure)),
            Recovery::Zero { value, log } => {
                if *log {
                    let label = self.pipeline.label(node).unwrap_or_default();
                    tracing::warn!(
                        module = &*call.name,
                        label,
                        error = text,
                        "a call failed and was skipped"
                    );
                }
                Ok(value.clone())
            }
            Recovery::Wrap { names } => {
                self.frame.budget.charge_values(names.len() + 1)?;
                self.frame.budget.charge_text(text.len())?;
                let values = names.iter().map(|name| match &**name {
                    "ok" => Value::Boolean(false),
                    "error" => Value::some(Value::string(text.as_str())),
                    _ => Value::none(),
                });
                Ok(evaluate::record(names, values.collect()))
            }
        }
    }
}
