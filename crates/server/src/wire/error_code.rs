//! What went wrong, for programs that read errors.

use serde::Serialize;
use utoipa::ToSchema;

/// The `error` of an answer. There may be more in later versions; none changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum ErrorCode {
    /// It was done, but the answer was dropped for want of memory.
    AnswerDropped,
    CanaryNotEnabled,
    CompilationError,
    /// What was asked for does not fit what is stored now.
    Conflict,
    Corrupt,
    /// The role of the key is not enough.
    Forbidden,
    ForbiddenHost,
    ForbiddenOrigin,
    HashMismatch,
    InUse,
    InternalError,
    InvalidCondition,
    InvalidHost,
    InvalidImage,
    InvalidName,
    InvalidParameter,
    InvalidRequest,
    InvalidVersion,
    /// Another process has the store.
    Locked,
    MethodNotAllowed,
    NamespaceNotFound,
    NoSource,
    NotFound,
    /// Whether it was done is known when the store is opened again.
    OutcomeUnknown,
    Overloaded,
    PayloadTooLarge,
    PipelineNotLoadable,
    PreconditionFailed,
    /// The store takes no changes.
    ReadOnly,
    RequestTimeout,
    StorageFull,
    Unauthorized,
    Unavailable,
    UnsupportedFormat,
    UnsupportedMediaType,
    UnsupportedProgram,
    UriTooLong,
}

impl ErrorCode {
    /// Whether what was asked for was done, or may have been: who sends the same again does it twice.
    pub(crate) fn may_be_done(self) -> bool {
        matches!(self, Self::AnswerDropped | Self::OutcomeUnknown)
    }
}
