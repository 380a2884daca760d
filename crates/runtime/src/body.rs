//! Lambdas at run time: functions that modules call.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use constellation_module::{Function, ModuleError, Outcome};
use constellation_rehydrate::{LoadedLambda, Operation};
use constellation_store_core::NodeIndex;
use constellation_types::{Type, Value};
use smallvec::SmallVec;

use crate::RunError;
use crate::budget::SharedBudget;
use crate::deep::BODIES_ON_A_STACK;
use crate::driver::{Driver, Frame};
use crate::run::Run;
use crate::state::{Captured, Phase, States};

/// The function of a lambda whose captures have these values.
pub(crate) fn function(
    run: &Arc<Run>,
    lambda: &Arc<LoadedLambda>,
    captured: Captured,
    budget: SharedBudget,
) -> Function {
    let closure = Arc::new(Closure {
        run: Arc::clone(run),
        lambda: Arc::clone(lambda),
        captured,
        budget,
        spare: Mutex::default(),
    });
    Function::new(move |arguments| closure.call(arguments))
}

struct Closure {
    run: Arc<Run>,
    lambda: Arc<LoadedLambda>,
    captured: Captured,
    budget: SharedBudget,
    /// Frames of calls that have ended, for further calls: one, unless several calls are in flight at the same time.
    spare: Mutex<Vec<Frame>>,
}

impl Closure {
    fn call(self: &Arc<Self>, arguments: &[Value]) -> Outcome {
        let parameters = &*self.lambda.parameters;
        if arguments.len() != parameters.len()
            || !arguments.iter().zip(parameters).all(|(argument, ty)| is_kind_of(argument, ty))
        {
            return Outcome::Ready(Err(self.wrong_arguments(arguments)));
        }
        let around = self.lambda.lambdas_around;
        let is_deep = around > 0 && around.is_multiple_of(BODIES_ON_A_STACK);
        if !is_deep && !self.run.is_turn_over() {
            return self.evaluate(arguments);
        }
        let (closure, arguments) = (Arc::clone(self), SmallVec::<[Value; 2]>::from(arguments));
        let answer = Box::pin(async move {
            if closure.run.is_turn_over() {
                closure.run.next_turn().await;
            }
            closure.evaluate(&arguments).wait().await
        });
        if !is_deep {
            return Outcome::Pending(answer);
        }
        let answer = self.run.deep.hand(answer);
        Outcome::Pending(Box::pin(async move { answer.await.unwrap_or_else(|| Err(ended())) }))
    }

    fn evaluate(self: &Arc<Self>, arguments: &[Value]) -> Outcome {
        if self.run.context.cancellation().is_cancelled() {
            return Outcome::Ready(Err(ended()));
        }
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut frame = spare.unwrap_or_else(|| self.frame());
        for (parameter, argument) in (self.lambda.start.0..).zip(arguments) {
            frame.states.give(NodeIndex(parameter), argument.clone());
        }
        self.advance(&mut frame);
        if frame.calls.is_empty() {
            return Outcome::Ready(self.finish(frame));
        }
        let closure = Arc::clone(self);
        Outcome::Pending(Box::pin(async move {
            let timer = &*closure.run.shared.config.timer;
            while !closure.run.is_stopped()
                && let Some(ended) = frame.calls.next(timer).await
            {
                Driver::new(&closure.run, &mut frame).ended(ended);
                closure.advance(&mut frame);
            }
            closure.finish(frame)
        }))
    }

    /// Evaluates what can go on. A body has no loop, so that it ends before long; the functions that it calls let others
    /// have their turn.
    fn advance(&self, frame: &mut Frame) {
        let steps = Driver::new(&self.run, frame).advance_up_to(&self.lambda.certain, u32::MAX);
        self.run.count_body_steps(steps);
    }

    fn frame(&self) -> Frame {
        let LoadedLambda { start, end, constants, .. } = &*self.lambda;
        let mut states = States::new(*start, end.index() - start.index(), Arc::clone(&self.captured));
        for node in constants {
            if let Operation::Constant(value) = &self.run.pipeline.nodes[node.index()].operation {
                states.keep(*node, value.clone());
            }
        }
        Frame::new(states, self.budget.for_part())
    }

    /// The answer of a call whose frame has nothing left to go on.
    fn finish(&self, mut frame: Frame) -> Result<Value, ModuleError> {
        let result = self.lambda.result;
        let answer = match (frame.states.value(result), self.run.stopped()) {
            (_, Some(stopped)) => return Err(BodyError::module_error([stopped.clone()])),
            (Some(value), None) => Ok(value.clone()),
            (None, None) => {
                let failed = matches!(frame.states.phase(result), Some(Phase::Failed(_)));
                let errors = Driver::new(&self.run, &mut frame).roots(failed.then_some(result));
                Err(BodyError::module_error(errors))
            }
        };
        frame.reset(&self.lambda.certain);
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
        answer
    }

    fn wrong_arguments(&self, arguments: &[Value]) -> ModuleError {
        let takes: Vec<String> = self.lambda.parameters.iter().map(ToString::to_string).collect();
        let given: Vec<&str> = arguments.iter().map(Value::kind).collect();
        ModuleError::new(format!(
            "a function that takes ({}) was called with ({})",
            takes.join(", "),
            given.join(", ")
        ))
    }
}

fn ended() -> ModuleError {
    ModuleError::new("a function was called after its run had ended")
}

/// Whether a value can be one of the type, as far as it tells without looking into it. What a module makes of its
/// arguments is looked through when it is part of its result; here that would cost as much as the elements of a list
/// are large, for each of them.
fn is_kind_of(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (Value::Float(float), Type::Float) => float.is_finite(),
        (Value::String(_), Type::String)
        | (Value::Int(_), Type::Int)
        | (Value::Boolean(_), Type::Boolean)
        | (Value::List(_), Type::List(_) | Type::Seq(_))
        | (Value::Map(_), Type::Map(..))
        | (Value::Record(_), Type::Record(_))
        | (Value::Optional(_), Type::Optional(_))
        | (Value::Union(_), Type::Union(_)) => true,
        _ => false,
    }
}

/// Why a body failed, with its causes as a chain.
#[derive(Debug)]
struct BodyError {
    message: String,
    cause: Option<Box<BodyError>>,
}

impl BodyError {
    /// Of the failures of a body: the first is the error, and what caused it and the others are its causes.
    fn module_error(errors: impl IntoIterator<Item = RunError>) -> ModuleError {
        let mut messages = Vec::new();
        for error in errors {
            // A body is part of the right-hand side that its call is part of, so that the label is that of the call.
            let RunError { kind: _, module, label: _, node: _, message, causes } = error;
            messages.push(match module {
                Some(module) => format!("module {module} failed: {message}"),
                None => message,
            });
            messages.extend(causes);
        }
        let chain =
            messages.into_iter().rev().fold(None, |cause, message| Some(Box::new(Self { message, cause })));
        match chain {
            Some(error) => ModuleError::from_error(error as Box<dyn Error + Send + Sync>),
            None => ModuleError::new("a function ended without deciding its result; this is a defect"),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}
