//! What a run tells.

use std::fmt;
use std::sync::Arc;

use constellation_store_core::NodeIndex;
use constellation_types::{Type, Value};

use crate::RunDetails;

/// How a run ended, and what came about.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// How it ended.
    pub status: RunStatus,
    /// The outputs that came about, in the order of the pipeline's outputs.
    pub outputs: Vec<(Arc<str>, Value)>,
    /// What failed: each failure once, at the node where it began, in the order of nodes.
    pub errors: Vec<RunError>,
    /// The inputs that were left out and are needed.
    pub missing_inputs: Vec<MissingInput>,
    /// The outputs that did not come about.
    pub pending_outputs: Vec<PendingOutput>,
    /// The budget that was too small for it, if one was.
    pub exceeded: Option<RunBudget>,
    /// What its nodes came to, if that was asked for and the run has started.
    pub details: Option<Box<RunDetails>>,
}

impl RunReport {
    /// The value of the output `name`, if it came about.
    pub fn output(&self, name: &str) -> Option<&Value> {
        self.outputs.iter().find(|(known, _)| **known == *name).map(|(_, value)| value)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// Every output came about.
    Completed,
    /// An input is missing; nothing ran.
    Suspended,
    /// Something failed; the outputs that do not depend on it came about.
    Failed,
}

impl RunStatus {
    /// All statuses.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Suspended, Self::Failed];

    /// The status as text, such as `completed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Suspended => "suspended",
            Self::Failed => "failed",
        }
    }
}

/// What a run may use up so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunBudget {
    /// Bytes of the values that it takes and makes.
    ValueBytes,
    /// Bytes of its outputs as JSON.
    OutputBytes,
    /// Time, from when it was asked for.
    Time,
}

impl RunBudget {
    /// All budgets.
    pub const ALL: [Self; 3] = [Self::ValueBytes, Self::OutputBytes, Self::Time];

    /// The budget as text, such as `value_bytes`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ValueBytes => "value_bytes",
            Self::OutputBytes => "output_bytes",
            Self::Time => "time",
        }
    }
}

/// An input that was left out, without a default and not optional.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingInput {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
}

/// An output that did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingOutput {
    /// Its name.
    pub name: Arc<str>,
    /// Why, such as `'total' was not computed because 'rate' failed: Division by zero in 1 / 0`.
    pub reason: String,
}

/// A failure, where it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// What kind of failure it is.
    pub kind: RunErrorKind,
    /// The module whose call failed.
    pub module: Option<Arc<str>>,
    /// The variable whose right-hand side failed.
    pub label: Option<String>,
    /// The node that failed; none for a failure of the run as a whole.
    pub node: Option<NodeIndex>,
    /// What happened.
    pub message: String,
    /// What caused it, the nearest first: the sources of a module's error, or the errors of the attempts of a call.
    pub causes: Vec<String>,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunErrorKind {
    /// A module reported an error, or panicked.
    Module,
    /// An attempt of a call took longer than it may.
    Timeout,
    /// An attempt of a call was refused, because too many calls are in flight and wait.
    Overloaded,
    /// An operation has no result for its operands: overflow, division by zero, lists of different lengths, no case
    /// that matches.
    Evaluation,
    /// The run made more bytes of values than it may, or its outputs take more bytes as JSON than they may.
    ResourceExhausted,
    /// The run took longer than it may.
    DeadlineExceeded,
    /// The pipeline has no input of this name.
    UnknownInput,
    /// A value is not of the input's type.
    InvalidInput,
    /// A defect of the runtime, or of a module that breaks its contract.
    Internal,
}

impl RunErrorKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Module,
        Self::Timeout,
        Self::Overloaded,
        Self::Evaluation,
        Self::ResourceExhausted,
        Self::DeadlineExceeded,
        Self::UnknownInput,
        Self::InvalidInput,
        Self::Internal,
    ];

    /// The kind as text, such as `ResourceExhausted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Module => "Module",
            Self::Timeout => "Timeout",
            Self::Overloaded => "Overloaded",
            Self::Evaluation => "Evaluation",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::UnknownInput => "UnknownInput",
            Self::InvalidInput => "InvalidInput",
            Self::Internal => "Internal",
        }
    }
}

impl fmt::Display for RunErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `'rate' (module stdlib.divide) failed: Division by zero: caused by ...`
impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, module, label, node, message, causes } = self;
        if let Some(node) = node {
            match label {
                Some(label) => write!(f, "'{label}'")?,
                None => write!(f, "node {}", node.0)?,
            }
            if let Some(module) = module {
                write!(f, " (module {module})")?;
            }
            f.write_str(" failed: ")?;
        }
        match kind {
            RunErrorKind::ResourceExhausted | RunErrorKind::DeadlineExceeded | RunErrorKind::Internal => {
                write!(f, "{kind}: {message}")?;
            }
            _ => f.write_str(message)?,
        }
        causes.iter().try_for_each(|cause| write!(f, "; caused by: {cause}"))
    }
}

impl std::error::Error for RunError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_among_all_kinds() {
        for (place, kind) in RunErrorKind::ALL.into_iter().enumerate() {
            // A kind that is not here does not compile, and one that is not there leaves a gap.
            let expected = match kind {
                RunErrorKind::Module => 0,
                RunErrorKind::Timeout => 1,
                RunErrorKind::Overloaded => 2,
                RunErrorKind::Evaluation => 3,
                RunErrorKind::ResourceExhausted => 4,
                RunErrorKind::DeadlineExceeded => 5,
                RunErrorKind::UnknownInput => 6,
                RunErrorKind::InvalidInput => 7,
                RunErrorKind::Internal => 8,
            };
            assert_eq!(place, expected);
        }
        assert_eq!(RunErrorKind::ALL.last(), Some(&RunErrorKind::Internal));
    }
}
