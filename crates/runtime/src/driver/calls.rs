//! Calls of modules, and what their results are in the nodes' types.

use std::borrow::Cow;
use std::sync::Arc;

use constellation_module::Function;
use constellation_rehydrate::{LoadedCall, LoadedLambda, Operation, Recovery};
use constellation_store_core::NodeIndex;
use constellation_types::Value;

use super::{Driver, Ended, Halt, value_of};
use crate::budget::Refused;
use crate::call::{self, Arguments, Attempts, CallFailure, FirstAttempt};
use crate::evaluate::{self, EvaluationError};
use crate::limits::Limits;
use crate::observe::Site;
use crate::state::Failure;
use crate::{RunErrorKind, body};

impl<'a> Driver<'a> {
    pub(super) fn call(&mut self, node: NodeIndex, call: &'a Arc<LoadedCall>) -> Result<Value, Halt> {
        let mut arguments = Arguments::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            arguments.push(value_of(&self.frame.states, *argument)?.clone());
        }
        let context = if call.functions.is_empty() {
            Cow::Borrowed(&self.run.context)
        } else {
            Cow::Owned(self.run.context.clone().with_functions(self.functions(call)?))
        };
        if call.cache.is_some() || Limits::apply_to(call) {
            let attempts = Attempts::new(arguments, context.into_owned());
            return Err(self.go_on(node, call, attempts));
        }
        match call::first_attempt(call, arguments, &context, Site { run: self.run, node }) {
            FirstAttempt::Done(result) => self.finish_call(node, call, result),
            FirstAttempt::GoesOn(attempts) => Err(self.go_on(node, call, attempts)),
        }
    }

    /// Puts a call in flight.
    fn go_on(&mut self, node: NodeIndex, call: &Arc<LoadedCall>, attempts: Attempts) -> Halt {
        let (call, run) = (Arc::clone(call), Arc::clone(self.run));
        // Two futures, since that of a call without a cache is much smaller.
        self.frame.calls.push(if call.cache.is_some() {
            Box::pin(async move {
                let site = Site { run: &run, node };
                Ended::Call(node, run.shared.caches.result(&call, attempts, site).await)
            })
        } else {
            Box::pin(async move { Ended::Call(node, attempts.finish(&call, Site { run: &run, node }).await) })
        });
        Halt::Waiting
    }

    /// The lambdas that a call is given, with what they capture.
    fn functions(&self, call: &LoadedCall) -> evaluate::Result<Arc<[Function]>> {
        let function = |lambda: &Arc<LoadedLambda>| {
            let captured = lambda
                .captures
                .iter()
                .map(|node| Ok((*node, value_of(&self.frame.states, *node)?.clone())))
                .collect::<evaluate::Result<_>>()?;
            Ok(body::function(self.run, lambda, captured, self.frame.budget.share()))
        };
        call.functions.iter().map(function).collect()
    }

    /// Something in flight has ended.
    pub(crate) fn ended(&mut self, ended: Ended) {
        let Ended::Call(node, result) = ended else { return };
        let Operation::Call(call) = &self.pipeline.nodes[node.index()].operation else { return };
        let result = self.finish_call(node, call, result);
        self.conclude(node, result);
    }

    fn finish_call(
        &mut self,
        node: NodeIndex,
        call: &'a LoadedCall,
        result: Result<Value, CallFailure>,
    ) -> Result<Value, Halt> {
        if self.run.is_stopped() {
            // A body in the call wanted too much. What is told is that, not what became of the call.
            return Err(Halt::Waiting);
        }
        let result = result.and_then(|value| match self.frame.budget.admit(&value, &call.result) {
            Ok(()) => Ok(Ok(value)),
            Err(Refused::Exhausted) => Ok(Err(EvaluationError::Exhausted)),
            Err(Refused::Mismatch { expected, found }) => Err(CallFailure {
                kind: RunErrorKind::Internal,
                message: format!(
                    "module {} gave a value of another type than its signature says: expected {expected}, got \
                     {found}",
                    call.name
                ),
                causes: Vec::new(),
            }),
        });
        let CallFailure { kind, message, causes } = match result {
            Ok(value) => return Ok(self.succeed(call, value?)?),
            Err(failure) => failure,
        };
        let failure = self.frame.failures.len();
        self.frame.states.get_mut(node).own_failure = Some(failure);
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
