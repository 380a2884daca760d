//! Evaluates the nodes of a graph, or of the body of a lambda, by need: a work list over the nodes.

mod calls;
mod straight;

use std::sync::Arc;

use constellation_rehydrate::{LoadedCase, LoadedPipeline, Operation, Step};
use constellation_store_core::NodeIndex;
use constellation_types::{Value, write_text};

use crate::RunErrorKind;
use crate::budget::Budget;
use crate::coerce::coerce;
use crate::details::Times;
use crate::evaluate::{self, Evaluated, EvaluationError, as_record, evaluate, get, taken};
use crate::in_flight::Calls;
use crate::run::Run;
use crate::state::{Captured, Failure, Phase, States};

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

/// One evaluation in progress: of the graph, or of a body for one call of its function.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) states: States,
    /// Nodes that can go on, the next one last.
    ready: Vec<NodeIndex>,
    /// How many of the nodes that are certainly needed were passed so far.
    n_passed: usize,
    /// The node whose module is being called on the straight way.
    calling: Option<NodeIndex>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) budget: Budget,
    /// The inputs of the run; a body has none.
    pub(crate) inputs: Vec<Option<Value>>,
    pub(crate) calls: Calls,
    /// Room for the arguments of calls that take the long way, or have many.
    arguments: Vec<Value>,
    /// When calls began and how long they took, if a run is to tell; a body has none.
    pub(crate) times: Option<Box<Times>>,
    /// Whether nothing is told of a value but by the nodes that use it, so that the last of them may take it. Not in a
    /// body, where some values are kept for further calls.
    pub(crate) hands_on: bool,
}

impl Frame {
    /// For the whole graph of a pipeline.
    pub(crate) fn of_graph(pipeline: &LoadedPipeline, budget: Budget) -> Self {
        let states = States::new(NodeIndex(0), pipeline.nodes.len(), Captured::default());
        Self::new(states, budget)
    }

    /// Makes the frame of another graph, whose evaluation has ended, fit for this one.
    pub(crate) fn again(&mut self, pipeline: &LoadedPipeline, budget: Budget) {
        self.states.grow(pipeline.nodes.len());
        self.budget = budget;
    }

    /// For a graph or the body of a lambda, without inputs so far.
    pub(crate) fn new(states: States, budget: Budget) -> Self {
        Self {
            states,
            ready: Vec::new(),
            n_passed: 0,
            calling: None,
            failures: Vec::new(),
            budget,
            inputs: Vec::new(),
            calls: Calls::default(),
            arguments: Vec::new(),
            times: None,
            hands_on: false,
        }
    }

    /// Makes it as it was when it was new; the nodes are those of [`Driver::advance_up_to`]. No call may be in flight.
    pub(crate) fn reset(&mut self, certain: &[Step]) {
        self.calls.clear();
        self.states.reset(&certain[..self.n_passed]);
        self.ready.clear();
        self.n_passed = 0;
        self.failures.clear();
        self.arguments.clear();
        self.inputs.clear();
    }
}

/// Takes a frame on, within its run.
pub(crate) struct Driver<'a> {
    pub(crate) pipeline: &'a LoadedPipeline,
    pub(crate) run: &'a Arc<Run>,
    pub(crate) frame: &'a mut Frame,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(run: &'a Arc<Run>, frame: &'a mut Frame) -> Self {
        Self { pipeline: &run.pipeline, run, frame }
    }

    /// Evaluates what can go on, up to this many nodes. How many it was; fewer when nothing is left to go on.
    ///
    /// `certain` are the nodes that are needed whatever the values are, in ascending order. Operands stand before the
    /// nodes that use them: so a node finds its operands done, unless they wait for something.
    pub(crate) fn advance_up_to(&mut self, certain: &[Step], limit: u32) -> u32 {
        let mut steps = 0;
        while steps < limit && !self.run.is_stopped() {
            if let Some(node) = self.frame.ready.pop() {
                self.advance(node);
                steps += 1;
                continue;
            }
            let passed = self.go_straight(certain, limit - steps);
            if passed == 0 {
                break;
            }
            steps += passed;
        }
        steps
    }

    /// Sees to it that a node is evaluated.
    fn want(&mut self, node: NodeIndex) {
        if self.frame.states.want(node) {
            self.frame.ready.push(node);
        }
    }

    /// Takes a wanted node as far as it goes.
    #[inline]
    fn advance(&mut self, node: NodeIndex) {
        if !matches!(self.frame.states.phase(node), Some(Phase::Wanted)) {
            // It was woken twice, and decided the first time.
            return;
        }
        let progress = self.frame.states.progress(node);
        let result = match (progress.failed_operand, progress.follows) {
            (Some(operand), _) => Err(Halt::Operand(operand)),
            (None, Some(target)) => self.follow(node, target),
            (None, None) => self.operate(node),
        };
        self.conclude(node, result);
    }

    #[inline]
    fn conclude(&mut self, node: NodeIndex, result: Result<Value, Halt>) {
        match result {
            Ok(value) => self.decide(node, Phase::Done(value)),
            Err(Halt::Waiting) => {}
            Err(Halt::Call(failure)) => self.decide(node, Phase::Failed(failure)),
            Err(Halt::Operand(operand)) => self.operand_failed(node, operand),
            Err(Halt::Evaluation(error)) => self.evaluation_failed(node, error),
        }
    }

    #[inline]
    fn decide(&mut self, node: NodeIndex, phase: Phase) {
        if let Some(times) = &mut self.frame.times {
            times.decided(node);
        }
        let ready = &mut self.frame.ready;
        let woken = ready.len();
        self.frame.states.decide(node, phase, |waiter| ready.push(waiter));
        // The first to wait is the first to go on.
        if woken + 1 < ready.len() {
            ready[woken..].sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    fn operand(&mut self, node: NodeIndex, operand: NodeIndex) -> Operand {
        match self.frame.states.phase(operand) {
            None | Some(Phase::Done(_) | Phase::HandedOn) => Operand::Ready,
            Some(Phase::Failed(_)) => Operand::Failed(operand),
            Some(Phase::Idle | Phase::Wanted) => {
                self.want(operand);
                self.frame.states.wait(node, operand);
                Operand::Waiting
            }
        }
    }

    /// The value of an operand, once it has one. After a wait the node starts anew and comes here again.
    fn need(&mut self, node: NodeIndex, operand: NodeIndex) -> Result<&Value, Halt> {
        match self.operand(node, operand) {
            Operand::Waiting => Err(Halt::Waiting),
            Operand::Failed(operand) => Err(Halt::Operand(operand)),
            Operand::Ready => Ok(value_of(&self.frame.states, operand)?),
        }
    }

    /// Sees to it that the operands are evaluated that the operation certainly needs. All of them are wanted, also when
    /// one has failed: what runs must not depend on what is ready first.
    fn want_operands(&mut self, node: NodeIndex, operation: &Operation) -> Result<(), Halt> {
        if std::mem::replace(&mut self.frame.states.progress_mut(node).started, true) {
            return Ok(());
        }
        let before = self.frame.ready.len();
        let (mut waiting, mut failed) = (false, None);
        operation.for_each_certain_operand(|operand| match self.operand(node, operand) {
            Operand::Ready => {}
            Operand::Waiting => waiting = true,
            Operand::Failed(operand) => {
                failed.get_or_insert(operand);
            }
        });
        // The work list is taken from its end, and the first operand comes first.
        self.frame.ready[before..].reverse();
        match (failed, waiting) {
            (Some(operand), _) => Err(Halt::Operand(operand)),
            (None, true) => Err(Halt::Waiting),
            (None, false) => Ok(()),
        }
    }

    /// Takes the value of `target` as the node's own.
    fn follow(&mut self, node: NodeIndex, target: NodeIndex) -> Result<Value, Halt> {
        self.frame.states.progress_mut(node).follows = Some(target);
        let value = self.need(node, target)?.clone();
        match &self.pipeline.nodes[node.index()].operation {
            Operation::Call(call) => Ok(self.succeed(call, value)?),
            operation => Ok(taken(operation, value, &mut self.frame.budget)?),
        }
    }

    fn operate(&mut self, node: NodeIndex) -> Result<Value, Halt> {
        let pipeline = self.pipeline;
        let operation = &pipeline.nodes[node.index()].operation;
        match operation {
            Operation::Input(place) => {
                let input = &pipeline.inputs[*place];
                match (self.frame.inputs.get(*place).and_then(Option::as_ref), input.default) {
                    (Some(value), _) => Ok(value.clone()),
                    (None, Some(default)) => self.follow(node, default),
                    (None, None) => {
                        let message = format!("input '{}' has no value", input.name);
                        Err(EvaluationError::Internal(message).into())
                    }
                }
            }
            Operation::Match { scrutinee, cases } => {
                let value = self.need(node, *scrutinee)?.clone();
                let result = self.bind(&value, cases)?;
                self.follow(node, result)
            }
            Operation::Parameter => {
                Err(EvaluationError::Internal("a parameter outside of its body".into()).into())
            }
            Operation::Lambda(_) => {
                Err(EvaluationError::Internal("a lambda where a value is needed".into()).into())
            }
            Operation::Call(call) => {
                self.want_operands(node, operation)?;
                self.take_arguments(call)?;
                if let Some(times) = &mut self.frame.times {
                    times.call_starts(node);
                }
                self.call(node, call)
            }
            Operation::Constant(_)
            | Operation::List(_)
            | Operation::Record { .. }
            | Operation::Interpolate { .. }
            | Operation::Arithmetic { .. }
            | Operation::Negate { .. }
            | Operation::Compare { .. }
            | Operation::And { .. }
            | Operation::Or { .. }
            | Operation::Not(_)
            | Operation::Branch { .. }
            | Operation::Guard { .. }
            | Operation::Coalesce { .. }
            | Operation::Field { .. }
            | Operation::Project { .. }
            | Operation::Merge { .. }
            | Operation::Coerce { .. } => self.evaluate(node, operation),
        }
    }

    /// The value of a pure operation.
    fn evaluate(&mut self, node: NodeIndex, operation: &Operation) -> Result<Value, Halt> {
        self.want_operands(node, operation)?;
        loop {
            let Frame { states, budget, .. } = &mut *self.frame;
            let mut n_decided = states.progress(node).n_decided;
            let evaluated = evaluate(operation, |operand| states.value(operand), &mut n_decided, budget);
            states.progress_mut(node).n_decided = n_decided;
            match evaluated {
                Ok(Evaluated::Value(value)) => return Ok(value),
                Ok(Evaluated::Taken(target)) => return self.follow(node, target),
                Ok(Evaluated::Other) => {
                    return Err(EvaluationError::Internal("an operation is not pure".into()).into());
                }
                // One of those that are not needed whatever the values are.
                Err(EvaluationError::Missing(operand)) => drop(self.need(node, operand)?),
                Err(error) => return Err(error.into()),
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
            let mut text = self.frame.budget.text();
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
            let part = coerce(&binding.coercion, part, &mut self.frame.budget)?;
            self.frame.states.give(parameter, part);
        }
        Ok(case.result)
    }

    fn operand_failed(&mut self, node: NodeIndex, operand: NodeIndex) {
        if let Some(own) = self.frame.states.progress(node).own_failure
            && let Operation::Call(call) = &self.pipeline.nodes[node.index()].operation
        {
            // The operand is the fallback.
            let root = self.failure_of(self.root_of(operand));
            let text = root.map_or_else(String::new, |root| self.failure_text(root));
            if let Failure::Root { causes, fallback, .. } = &mut self.frame.failures[own] {
                causes.push(format!("its fallback failed too: {text}"));
                *fallback = Some(operand);
            }
            let result = self.recover(node, call, own);
            return self.conclude(node, result);
        }
        let failure = self.frame.failures.len();
        let root = self.root_of(operand);
        self.frame.failures.push(Failure::Operand { operand, root });
        self.decide(node, Phase::Failed(failure));
    }

    fn evaluation_failed(&mut self, node: NodeIndex, error: EvaluationError) {
        let (kind, message) = match error {
            EvaluationError::Failed(message) => (RunErrorKind::Evaluation, message),
            EvaluationError::Internal(message) => (RunErrorKind::Internal, message),
            EvaluationError::Missing(operand) => {
                (RunErrorKind::Internal, format!("node {} has no value", operand.0))
            }
            EvaluationError::Exhausted => {
                let limit = self.frame.budget.limit();
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
            self.run.stop(self.error(node, kind, module, message, Vec::new()));
            return;
        }
        let failure = self.frame.failures.len();
        self.frame.failures.push(Failure::Root { kind, module, message, causes: Vec::new(), fallback: None });
        self.decide(node, Phase::Failed(failure));
    }
}

fn value_of(states: &States, node: NodeIndex) -> evaluate::Result<&Value> {
    states.value(node).ok_or(EvaluationError::Missing(node))
}
