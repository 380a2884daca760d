//! Errors of files, and what they are to the callers of a store.

use std::io;
use std::sync::Arc;

use constellation_store_core::{ErrorKind, StoreError};

use crate::vfs::Vfs;

/// A call of the file system that failed. Its text has the system's own, so that it is whole in a log line; it is not
/// a source beside that, or whoever writes the chain of causes would write it twice.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {action} '{path}': {error}")]
pub(crate) struct FileError {
    action: &'static str,
    path: String,
    /// Shared: one failed write is the answer to every commit that was in it.
    error: Arc<io::Error>,
}

impl FileError {
    /// What `action` (a verb) did to `path`.
    pub(crate) fn new(action: &'static str, path: &str, error: io::Error) -> Self {
        Self { action, path: path.to_owned(), error: Arc::new(error) }
    }

    /// For [`Result::map_err`].
    pub(crate) fn at(action: &'static str, path: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(action, path, error)
    }

    /// Whether there was no room. A size limit of the process or the file system is no room, too.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull, WriteZero};
        matches!(self.error.kind(), StorageFull | QuotaExceeded | FileTooLarge | WriteZero)
    }

    /// Whether the path leads nowhere.
    pub(crate) fn is_not_found(&self) -> bool {
        self.error.kind() == io::ErrorKind::NotFound
    }

    /// Whether the path leads to something that is not a directory.
    pub(crate) fn is_not_a_directory(&self) -> bool {
        matches!(self.error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput)
    }

    /// Whether the file cannot be read whatever is tried: it is too large, or no regular file.
    pub(crate) fn is_unusable(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, InvalidInput, IsADirectory};
        matches!(self.error.kind(), FileTooLarge | InvalidInput | IsADirectory)
    }

    /// The error of `operation` where nothing changed.
    pub(crate) fn into_store_error(self, operation: &'static str) -> StoreError {
        let (kind, advice) = match self.error.kind() {
            _ if self.is_full() => (ErrorKind::StorageFull, "there is no room; free some and try again"),
            io::ErrorKind::PermissionDenied => (
                ErrorKind::Unavailable,
                "permission for a file of the store is denied; it is to belong to the user that the process runs as",
            ),
            io::ErrorKind::ReadOnlyFilesystem => (
                ErrorKind::Unavailable,
                "the file system of the store is read-only; make it writable and try again",
            ),
            _ => (ErrorKind::Unavailable, "a file access failed; see the cause"),
        };
        StoreError::new(kind, operation, advice).with("path", &self.path).with_source(self)
    }
}

/// Names the store, unless the error does already.
pub(crate) fn of_store(error: StoreError, vfs: &dyn Vfs) -> StoreError {
    let key = "store";
    if error.context().iter().any(|(named, _)| *named == key) { error } else { error.with(key, vfs) }
}

/// An error with its causes, in one line, for a warning.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_told_where_the_cause_is_not() {
        for (kind, advice) in [
            (io::ErrorKind::PermissionDenied, "belong to the user"),
            (io::ErrorKind::ReadOnlyFilesystem, "make it writable"),
            (io::ErrorKind::StorageFull, "free some"),
            (io::ErrorKind::Other, "see the cause"),
        ] {
            let error = FileError::new("create", "journal/1.log", kind.into()).into_store_error("commit");
            let message = error.message();
            assert!(message.contains(advice) && !message.contains("journal"), "{message}");
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = FileError::new("read", "store.json", io::Error::other("the disk is gone"));
        let text = in_one_line(&error.into_store_error("open store"));
        assert_eq!(text.matches("the disk is gone").count(), 1, "{text}");
        assert!(text.ends_with("cannot read 'store.json': the disk is gone"), "{text}");
    }
}
