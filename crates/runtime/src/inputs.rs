//! The inputs of a run.

use std::sync::Arc;

use constellation_rehydrate::LoadedPipeline;
use constellation_types::{Type, Value};

use crate::budget::Refused;
use crate::driver::Frame;
use crate::{MissingInput, PendingOutput, RunBudget, RunError, RunErrorKind, RunReport, RunStatus};

/// The inputs of a run by name. Of several values for one name the last counts.
///
/// ```
/// use constellation_runtime::Inputs;
/// use constellation_types::Value;
///
/// let inputs = Inputs::from_iter([("n", Value::Int(1))]);
/// assert_eq!(inputs.iter().count(), 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    values: Vec<(String, Value)>,
}

impl Inputs {
    /// No inputs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) {
        self.values.push((name.into(), value));
    }

    /// The inputs, in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn into_values(self) -> Vec<(String, Value)> {
        self.values
    }
}

impl<N: Into<String>> FromIterator<(N, Value)> for Inputs {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(inputs: I) -> Self {
        Self { values: inputs.into_iter().map(|(name, value)| (name.into(), value)).collect() }
    }
}

/// Puts the given inputs at their places; the report of a run that does not start when they are not right.
pub(crate) fn take_inputs(
    pipeline: &LoadedPipeline,
    inputs: Inputs,
    frame: &mut Frame,
) -> Result<(), Box<RunReport>> {
    let Frame { inputs: values, budget, .. } = frame;
    values.clear();
    values.resize(pipeline.inputs.len(), None);
    let mut errors = Vec::new();
    let mut error = |kind, message: String| {
        errors.push(RunError { kind, module: None, label: None, node: None, message, causes: Vec::new() });
    };
    for (name, value) in inputs.into_values() {
        let Some(place) = pipeline.input(&name) else {
            let known: Vec<&str> = pipeline.inputs.iter().map(|input| &*input.name).collect();
            error(
                RunErrorKind::UnknownInput,
                format!("there is no input '{name}'; the inputs are: {}", known.join(", ")),
            );
            continue;
        };
        match budget.admit(&value, pipeline.ty(pipeline.inputs[place].ty)) {
            Ok(()) => values[place] = Some(value),
            Err(Refused::Mismatch { expected, found }) => {
                error(
                    RunErrorKind::InvalidInput,
                    format!("input '{name}' has a value of another type: expected {expected}, got {found}"),
                );
            }
            Err(Refused::Exhausted) => {
                let limit = budget.limit();
                error(RunErrorKind::ResourceExhausted, format!("the inputs take more than {limit} bytes"));
                break;
            }
        }
    }
    let not_started = |status, errors: Vec<RunError>, missing_inputs| RunReport {
        status,
        outputs: Vec::new(),
        exceeded: errors
            .iter()
            .any(|error| error.kind == RunErrorKind::ResourceExhausted)
            .then_some(RunBudget::ValueBytes),
        errors,
        missing_inputs,
        pending_outputs: pipeline
            .outputs
            .iter()
            .map(|output| PendingOutput {
                name: Arc::clone(&output.name),
                reason: "the run did not start".into(),
            })
            .collect(),
        details: None,
    };
    if !errors.is_empty() {
        return Err(Box::new(not_started(RunStatus::Failed, errors, Vec::new())));
    }
    let mut missing = Vec::new();
    for (input, value) in pipeline.inputs.iter().zip(values) {
        if value.is_none() && input.default.is_none() {
            match pipeline.ty(input.ty) {
                Type::Optional(_) => *value = Some(Value::none()),
                ty => missing.push(MissingInput { name: Arc::clone(&input.name), ty: ty.clone() }),
            }
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Box::new(not_started(RunStatus::Suspended, Vec::new(), missing)))
    }
}
