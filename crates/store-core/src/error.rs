//! The one error of all stores.

use std::error::Error;
use std::fmt;

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What went wrong, as far as a caller can act on it. Backends keep the detail in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What a write refers to is not there.
    NotFound,
    /// A precondition does not hold, or the same commit contradicts itself.
    Conflict,
    /// An image that versions refer to cannot be removed.
    InUse,
    /// A name or reference breaks the rules of [`PipelineName`](crate::PipelineName).
    InvalidName,
    /// An image is not well formed.
    InvalidImage,
    /// An image's hash is not that of its content.
    HashMismatch,
    /// Stored bytes failed their check.
    Corrupt,
    /// Stored bytes are of a format that this version does not know.
    UnsupportedFormat,
    /// There is no room. Nothing changed; the next commit tries again.
    StorageFull,
    /// The store was opened for reading only.
    ReadOnly,
    /// Another process has the store.
    Locked,
    /// The commit may or may not be durable. The store only reads until it is opened again, which settles it.
    OutcomeUnknown,
    /// The store cannot serve now: it is closed, or what it runs on does not answer.
    Unavailable,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::InUse => "in use",
            Self::InvalidName => "invalid name",
            Self::InvalidImage => "invalid image",
            Self::HashMismatch => "hash mismatch",
            Self::Corrupt => "corrupt",
            Self::UnsupportedFormat => "unsupported format",
            Self::StorageFull => "storage full",
            Self::ReadOnly => "read-only",
            Self::Locked => "locked",
            Self::OutcomeUnknown => "outcome unknown",
            Self::Unavailable => "unavailable",
        })
    }
}

/// An error of a store: its kind, the operation, what it was about, and the cause.
///
/// `Display` is one line for people; match on [`StoreError::kind`].
///
/// ```
/// # use constellation_store_core::{ErrorKind, StoreError};
/// let error = StoreError::new(ErrorKind::InUse, "remove image", "2 versions refer to it").with("name", "scoring");
/// assert_eq!(error.to_string(), "cannot remove image: 2 versions refer to it (in use; name: scoring)");
/// ```
pub struct StoreError(Box<Inner>);

// Boxed, so that a `Result` of a small value stays small.
struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error of `operation` (a verb and its object, as in "remove image"), with what is wrong and what to do.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, operation, message: message.into(), context: Vec::new(), source: None }))
    }

    /// Adds what the error is about.
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind, which callers match on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was tried.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What is wrong, without operation and context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What it was about, in the order in which it was added.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// Whether the same call may succeed later without anyone changing the request.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::StorageFull | ErrorKind::Unavailable | ErrorKind::Locked)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, operation, message, context, source: _ } = &*self.0;
        write!(f, "cannot {operation}: {message} ({kind}")?;
        for (key, value) in context {
            write!(f, "; {key}: {value}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, "\n  caused by: {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_causes() {
        let error = StoreError::new(ErrorKind::StorageFull, "commit", "the disk is full")
            .with_source(std::io::Error::other("no space"));
        assert_eq!(
            format!("{error:?}"),
            "cannot commit: the disk is full (storage full)\n  caused by: no space"
        );
        assert!(error.is_retryable());
    }

    #[test]
    fn an_error_tells_what_it_was_made_of() {
        let error = StoreError::new(ErrorKind::InUse, "remove image", "a version refers to it")
            .with("name", "scoring")
            .with("version", 2);
        assert_eq!(error.kind(), ErrorKind::InUse);
        assert_eq!(error.operation(), "remove image");
        assert_eq!(error.message(), "a version refers to it");
        assert_eq!(error.context(), [("name", "scoring".to_owned()), ("version", "2".to_owned())]);
        assert_eq!(
            error.to_string(),
            "cannot remove image: a version refers to it (in use; name: scoring; version: 2)"
        );
        assert!(error.source().is_none());
    }

    #[test]
    fn what_time_alone_may_mend_is_retryable() {
        for (kind, expected) in [
            (ErrorKind::NotFound, false),
            (ErrorKind::Conflict, false),
            (ErrorKind::InUse, false),
            (ErrorKind::InvalidName, false),
            (ErrorKind::InvalidImage, false),
            (ErrorKind::HashMismatch, false),
            (ErrorKind::Corrupt, false),
            (ErrorKind::UnsupportedFormat, false),
            (ErrorKind::StorageFull, true),
            (ErrorKind::ReadOnly, false),
            (ErrorKind::Locked, true),
            (ErrorKind::OutcomeUnknown, false),
            (ErrorKind::Unavailable, true),
        ] {
            assert_eq!(StoreError::new(kind, "commit", "").is_retryable(), expected, "{kind}");
        }
    }

    #[test]
    fn an_error_is_one_word() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
