//! The driver of a run: a work list over the graph, and the calls that are in flight.

use std::sync::Arc;
use std::time::Duration;

use constellation_module::{CallContext, Cancellation};
use constellation_rehydrate::{LoadedCall, LoadedCase, LoadedPipeline, Operation, Recovery};
use constellation_store_core::NodeIndex;
use constellation_types::{Value, write_text};
use futures_util::StreamExt;
use futures_util::future::{self, BoxFuture, Either};
use futures_util::stream::FuturesUnordered;

use crate::budget::{Budget, Refused};
use crate::call::{self, Arguments, CallFailure, FirstAttempt};
use crate::coerce::coerce;
use crate::evaluate::{self, EvaluationError, as_record, boolean, evaluate, get, wrong_kind};
use crate::inputs::take_inputs;
use crate::state::{Failure, Phase, States};
use crate::{Inputs, RunError, RunErrorKind, RunOptions, RunReport, RuntimeConfig};

/// Nodes evaluated before other tasks get their turn.
const STEPS_BETWEEN_YIELDS: u32 = 1024;

pub(crate) async fn run(
    pipeline: &LoadedPipeline,
    config: &RuntimeConfig,
    inputs: Inputs,
    options: RunOptions,
) -> RunReport {
    let RunOptions { max_value_bytes, max_duration } = options;
    let mut budget = Budget::new(max_value_bytes.unwrap_or(config.max_value_bytes));
    let inputs = match take_inputs(pipeline, inputs, &mut budget) {
        Ok(inputs) => inputs,
        Err(report) => return *report,
    };
    let mut driver = Driver {
        pipeline,
        config,
        inputs,
        states: States::new(pipeline.nodes.len()),
        ready: Vec::new(),
        failures: Vec::new(),
        budget,
        context: CallContext::new(Cancellation::default()),
        calls: FuturesUnordered::new(),
        stopped: None,
    };
    driver.drive(max_duration.unwrap_or(config.max_duration)).await;
    driver.report()
}

/// What has become of an operand.
enum Operand {
    Ready,
    Waiting,
    Failed(NodeIndex),
}

/// Why a node cannot go on.
enum Halt {
    /// It waits for an operand, or for its call.
    Waiting,
    /// Its call failed; the failure at this place.
    Call(usize),
    /// An operand failed.
    Operand(NodeIndex),
    /// Its operation has no result.
    Evaluation(EvaluationError),
}

impl From<EvaluationError> for Halt {
    fn from(error: EvaluationError) -> Self {
        Self::Evaluation(error)
    }
}

impl From<crate::budget::Exhausted> for Halt {
    fn from(exhausted: crate::budget::Exhausted) -> Self {
        Self::Evaluation(exhausted.into())
    }
}

/// A run in progress.
pub(crate) struct Driver<'a> {
    pub(crate) pipeline: &'a LoadedPipeline,
    pub(crate) config: &'a RuntimeConfig,
    inputs: Vec<Option<Value>>,
    pub(crate) states: States,
    /// Nodes that can go on, the next one last.
    ready: Vec<NodeIndex>,
    pub(crate) failures: Vec<Failure>,
    budget: Budget,
    context: CallContext,
    pub(crate) calls: FuturesUnordered<BoxFuture<'a, (NodeIndex, Result<Value, CallFailure>)>>,
    /// Why the run as a whole ends early.
    pub(crate) stopped: Option<RunError>,
}

impl<'a> Driver<'a> {
    async fn drive(&mut self, max_duration: Duration) {
        let timer = Arc::clone(&self.config.timer);
        let start = timer.now();
        let late = || RunError {
            kind: RunErrorKind::DeadlineExceeded,
            module: None,
            label: None,
            node: None,
            message: format!("the run took longer than {} ms", max_duration.as_millis()),
            causes: Vec::new(),
        };
        // Made only when the run waits: a run of pure nodes ends before it could matter.
        let mut deadline: Option<BoxFuture<'static, ()>> = None;
        // The next node is taken from the end, and operands stand before the nodes that use them: so a node finds
        // its operands done, unless they wait for something.
        for node in self.pipeline.certain.iter().rev() {
            self.want(*node);
        }
        let mut steps = 0;
        loop {
            while self.stopped.is_none()
                && let Some(node) = self.ready.pop()
            {
                self.advance(node);
                steps += 1;
                if steps == STEPS_BETWEEN_YIELDS {
                    steps = 0;
                    tokio::task::yield_now().await;
                    if timer.now().saturating_sub(start) >= max_duration {
                        self.stopped = Some(late());
                    }
                }
            }
            if self.stopped.is_some() || self.calls.is_empty() {
                return;
            }
            let elapsed = timer.now().saturating_sub(start);
            let deadline = deadline.get_or_insert_with(|| timer.sleep(max_duration.saturating_sub(elapsed)));
            match future::select(self.calls.next(), deadline).await {
                Either::Left((Some((node, result)), _)) => self.called(node, result),
                Either::Left((None, _)) => {}
                Either::Right(((), _)) => self.stopped = Some(late()),
            }
        }
    }

    /// Sees to it that a node is evaluated.
    fn want(&mut self, node: NodeIndex) {
        let state = self.states.get_mut(node);
        if matches!(state.phase, Phase::Idle) {
            state.phase = Phase::Wanted;
            self.ready.push(node);
        }
    }

    /// Takes a wanted node as far as it goes.
    fn advance(&mut self, node: NodeIndex) {
        let state = self.states.get_mut(node);
        if !matches!(state.phase, Phase::Wanted) {
            // It was woken twice, and decided the first time.
            return;
        }
        let result = match (state.failed_operand, state.follows) {
            (Some(operand), _) => Err(Halt::Operand(operand)),
            (None, Some(target)) => self.follow(node, target),
            (None, None) => self.operate(node),
        };
        self.conclude(node, result);
    }

    fn conclude(&mut self, node: NodeIndex, result: Result<Value, Halt>) {
        match result {
            Ok(value) => self.decide(node, Phase::Done(value)),
            Err(Halt::Waiting) => {}
            Err(Halt::Call(failure)) => self.decide(node, Phase::Failed(failure)),
            Err(Halt::Operand(operand)) => self.operand_failed(node, operand),
            Err(Halt::Evaluation(error)) => self.evaluation_failed(node, error),
        }
    }

    fn decide(&mut self, node: NodeIndex, phase: Phase) {
        let ready = &mut self.ready;
        let woken = ready.len();
        self.states.decide(node, phase, |waiter| ready.push(waiter));
        // The first to wait is the first to go on.
        if woken + 1 < ready.len() {
            ready[woken..].sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    fn operand(&mut self, node: NodeIndex, operand: NodeIndex) -> Operand {
        match self.states.get(operand).phase {
            Phase::Done(_) => Operand::Ready,
            Phase::Failed(_) => Operand::Failed(operand),
            Phase::Idle | Phase::Wanted => {
                self.want(operand);
                self.states.wait(node, operand);
                Operand::Waiting
            }
        }
    }

    /// The value of an operand, once it has one. After a wait the node starts anew and comes here again.
    fn need(&mut self, node: NodeIndex, operand: NodeIndex) -> Result<&Value, Halt> {
        match self.operand(node, operand) {
            Operand::Waiting => Err(Halt::Waiting),
            Operand::Failed(operand) => Err(Halt::Operand(operand)),
            Operand::Ready => Ok(value_of(&self.states, operand)?),
        }
    }

    /// Goes on when all the operands that the operation certainly needs have values. All of them are wanted, also
    /// when one has failed: what runs must not depend on what is ready first.
    fn need_all(&mut self, node: NodeIndex, operation: &Operation) -> Result<(), Halt> {
        if std::mem::replace(&mut self.states.get_mut(node).started, true) {
            return Ok(());
        }
        let before = self.ready.len();
        let (mut waiting, mut failed) = (false, None);
        operation.for_each_certain_operand(|operand| match self.operand(node, operand) {
            Operand::Ready => {}
            Operand::Waiting => waiting = true,
            Operand::Failed(operand) => {
                failed.get_or_insert(operand);
            }
        });
        // The work list is taken from its end, and the first operand comes first.
        self.ready[before..].reverse();
        match (failed, waiting) {
            (Some(operand), _) => Err(Halt::Operand(operand)),
            (None, true) => Err(Halt::Waiting),
            (None, false) => Ok(()),
        }
    }

    /// Takes the value of `target` as the node's own.
    fn follow(&mut self, node: NodeIndex, target: NodeIndex) -> Result<Value, Halt> {
        self.states.get_mut(node).follows = Some(target);
        let value = self.need(node, target)?.clone();
        match &self.pipeline.nodes[node.index()].operation {
            Operation::Guard { .. } => {
                self.budget.charge_values(1)?;
                Ok(Value::some(value))
            }
            Operation::Call(call) => Ok(self.succeed(call, value)?),
            _ => Ok(value),
        }
    }

    fn operate(&mut self, node: NodeIndex) -> Result<Value, Halt> {
        let pipeline = self.pipeline;
        let operation = &pipeline.nodes[node.index()].operation;
        match operation {
            Operation::Input(place) => {
                let input = &pipeline.inputs[*place];
                match (&self.inputs[*place], input.default) {
                    (Some(value), _) => Ok(value.clone()),
                    (None, Some(default)) => self.follow(node, default),
                    (None, None) => {
                        let message = format!("input '{}' has no value", input.name);
                        Err(EvaluationError::Internal(message).into())
                    }
                }
            }
            Operation::Constant(value) => Ok(value.clone()),
            Operation::And { left, right } => {
                if boolean(self.need(node, *left)?)? {
                    self.follow(node, *right)
                } else {
                    Ok(Value::Boolean(false))
                }
            }
            Operation::Or { left, right } => {
                if boolean(self.need(node, *left)?)? {
                    Ok(Value::Boolean(true))
                } else {
                    self.follow(node, *right)
                }
            }
            Operation::Branch { cases, otherwise } => {
                let decided = self.states.get(node).cases_decided as usize;
                for (condition, taken) in &cases[decided..] {
                    if boolean(self.need(node, *condition)?)? {
                        return self.follow(node, *taken);
                    }
                    self.states.get_mut(node).cases_decided += 1;
                }
                self.follow(node, *otherwise)
            }
            Operation::Guard { value, condition } => {
                if boolean(self.need(node, *condition)?)? {
                    self.follow(node, *value)
                } else {
                    Ok(Value::none())
                }
            }
            Operation::Coalesce { value, default, keeps_optional } => match self.need(node, *value)? {
                Value::Optional(None) => self.follow(node, *default),
                some @ Value::Optional(Some(_)) if *keeps_optional => Ok(some.clone()),
                Value::Optional(Some(inner)) => Ok((**inner).clone()),
                other => Ok(wrong_kind("Optional", other)?),
            },
            Operation::Match { scrutinee, cases } => {
                let value = self.need(node, *scrutinee)?.clone();
                let result = self.bind(&value, cases)?;
                self.follow(node, result)
            }
            Operation::Parameter => {
                Err(EvaluationError::Internal("a parameter outside of its body".into()).into())
            }
            Operation::Call(call) => {
                self.need_all(node, operation)?;
                self.call(node, call)
            }
            Operation::List(_)
            | Operation::Record { .. }
            | Operation::Interpolate { .. }
            | Operation::Arithmetic { .. }
            | Operation::Negate { .. }
            | Operation::Compare { .. }
            | Operation::Not(_)
            | Operation::Field { .. }
            | Operation::Project { .. }
            | Operation::Merge { .. }
            | Operation::Coerce { .. } => {
                self.need_all(node, operation)?;
                let Self { states, budget, .. } = self;
                match evaluate(operation, |operand| value_of(states, operand), budget)? {
                    Some(value) => Ok(value),
                    None => Err(EvaluationError::Internal("an operation is not pure".into()).into()),
                }
            }
        }
    }

    /// Gives the parameters of the first case that matches their values, and returns the result of its body.
    fn bind(&mut self, value: &Value, cases: &[LoadedCase]) -> evaluate::Result<NodeIndex> {
        let (tag, inner) = match value {
            Value::Union(tagged) => (Some(&tagged.tag), &tagged.value),
            other => (None, other),
        };
        let found = cases.iter().find_map(|case| {
            let fits = case
                .alternatives
                .iter()
                .find(|alternative| alternative.tag.is_none() || alternative.tag.as_ref() == tag);
            fits.map(|alternative| (case, alternative))
        });
        let Some((case, alternative)) = found else {
            let mut text = self.budget.text();
            // A value too long to print is told by its kind.
            let text = match write_text(value, &mut text) {
                Ok(()) => text.into_text().chars().take(200).collect(),
                Err(_) => value.kind().to_owned(),
            };
            return Err(EvaluationError::Failed(format!("No pattern matched value: {text}")));
        };
        for (parameter, binding) in (case.parameters.0..).map(NodeIndex).zip(&alternative.bindings) {
            let part = match &binding.field {
                Some(field) => get(as_record(inner)?, field)?,
                None => inner,
            };
            let part = coerce(&binding.coercion, part, &mut self.budget)?;
            self.states.get_mut(parameter).phase = Phase::Done(part);
        }
        Ok(case.result)
    }

    fn call(&mut self, node: NodeIndex, call: &'a LoadedCall) -> Result<Value, Halt> {
        let mut arguments = Arguments::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            arguments.push(value_of(&self.states, *argument)?.clone());
        }
        match call::first_attempt(call, arguments, &self.context) {
            FirstAttempt::Done(result) => self.finish_call(node, call, result),
            FirstAttempt::GoesOn(attempts) => {
                let RuntimeConfig { default_timeout, timer, .. } = self.config;
                self.calls.push(Box::pin(async move {
                    (node, attempts.finish(call, *default_timeout, &**timer).await)
                }));
                Err(Halt::Waiting)
            }
        }
    }

    /// An asynchronous call has ended.
    fn called(&mut self, node: NodeIndex, result: Result<Value, CallFailure>) {
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
        let result = result.and_then(|value| match self.budget.admit(&value, &call.result) {
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
        let failure = self.failures.len();
        self.states.get_mut(node).own_failure = Some(failure);
        self.failures.push(Failure::Root {
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
    fn succeed(&mut self, call: &LoadedCall, value: Value) -> evaluate::Result<Value> {
        match &call.recovery {
            Recovery::Propagate | Recovery::Zero { value: _, log: _ } => Ok(value),
            Recovery::Wrap { names } => {
                self.budget.charge_values(names.len() + 1)?;
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
    fn recover(&mut self, node: NodeIndex, call: &LoadedCall, failure: usize) -> Result<Value, Halt> {
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
                self.budget.charge_values(names.len() + 1)?;
                self.budget.charge_text(text.len())?;
                let values = names.iter().map(|name| match &**name {
                    "ok" => Value::Boolean(false),
                    "error" => Value::some(Value::string(text.as_str())),
                    _ => Value::none(),
                });
                Ok(evaluate::record(names, values.collect()))
            }
        }
    }

    fn operand_failed(&mut self, node: NodeIndex, operand: NodeIndex) {
        let state = self.states.get(node);
        if let Some(own) = state.own_failure
            && let Operation::Call(call) = &self.pipeline.nodes[node.index()].operation
        {
            // The operand is the fallback.
            let root = self.failure_of(self.root_of(operand));
            let text = root.map_or_else(String::new, |root| self.failure_text(root));
            if let Failure::Root { causes, fallback, .. } = &mut self.failures[own] {
                causes.push(format!("its fallback failed too: {text}"));
                *fallback = Some(operand);
            }
            let result = self.recover(node, call, own);
            return self.conclude(node, result);
        }
        let failure = self.failures.len();
        let root = self.root_of(operand);
        self.failures.push(Failure::Operand { operand, root });
        self.decide(node, Phase::Failed(failure));
    }

    fn evaluation_failed(&mut self, node: NodeIndex, error: EvaluationError) {
        let (kind, message) = match error {
            EvaluationError::Failed(message) => (RunErrorKind::Evaluation, message),
            EvaluationError::Internal(message) => (RunErrorKind::Internal, message),
            EvaluationError::Exhausted => {
                let limit = self.budget.limit();
                let message = format!(
                    "the run makes more than {limit} bytes of values; make smaller values, or raise the limit"
                );
                (RunErrorKind::ResourceExhausted, message)
            }
        };
        let module = match &self.pipeline.nodes[node.index()].operation {
            Operation::Call(call) => Some(Arc::clone(&call.name)),
            _ => None,
        };
        if kind == RunErrorKind::ResourceExhausted {
            // Whatever else would run would fail the same way.
            self.stopped = Some(self.error(node, kind, module, message, Vec::new()));
            return;
        }
        let failure = self.failures.len();
        self.failures.push(Failure::Root { kind, module, message, causes: Vec::new(), fallback: None });
        self.decide(node, Phase::Failed(failure));
    }
}

/// However a run ends, also when its future is dropped: work that a module has elsewhere is not wanted any more.
impl Drop for Driver<'_> {
    fn drop(&mut self) {
        self.context.cancellation().cancel();
    }
}

fn value_of(states: &States, node: NodeIndex) -> evaluate::Result<&Value> {
    states.value(node).ok_or_else(|| EvaluationError::Internal(format!("node {} has no value", node.0)))
}
