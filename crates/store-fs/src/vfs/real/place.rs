//! Whether the directory is still the one that was locked.
//!
//! A lock belongs to a file and a store to a path. Whoever moves the directory of a running server away and puts another
//! one in its place, as for a restore, leaves the lock with the first, and the server would write to the second.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// The file that was locked last, by where it was and what it is.
#[derive(Debug, Default)]
pub(super) struct Place(RwLock<Option<(PathBuf, Identity)>>);

impl Place {
    /// Notes that a file was locked.
    pub(super) fn lock(&self, path: &Path, file: &File) -> io::Result<()> {
        let identity = Identity::of(&file.metadata()?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((path.to_owned(), identity));
        Ok(())
    }

    /// Notes that `from` is `to` now, with whatever is in it.
    pub(super) fn renamed(&self, from: &Path, to: &Path) {
        if let Some((path, _)) = &mut *self.0.write().unwrap_or_else(PoisonError::into_inner)
            && let Ok(inside) = path.strip_prefix(from)
        {
            *path = to.join(inside);
        }
    }

    /// Whether the path leads to the file that was locked.
    ///
    /// # Errors
    ///
    /// Of kind `Other` when it does not.
    pub(super) fn check(&self) -> io::Result<()> {
        let locked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some((path, identity)) = &*locked else { return Ok(()) };
        match fs::symlink_metadata(path) {
            Ok(metadata) if Identity::of(&metadata) == *identity => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Err(io::Error::other(
                "the directory of the store was moved, removed or replaced, or its file 'LOCK' was, while it was open",
            )),
        }
    }
}

/// What a file is, wherever it is.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device_and_inode: (metadata.dev(), metadata.ino()) }
    }

    /// Elsewhere a directory with an open file cannot be moved.
    #[cfg(not(unix))]
    fn of(_: &fs::Metadata) -> Self {
        Self {}
    }
}
