//! Who may write a directory of the machine, and to whom belongs what is made in it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use constellation_store_core::Result;

use super::RealVfs;
use crate::error::FileError;
use crate::layout::{IMAGES, JOURNAL, LOCK, PACK, QUARANTINE, SOURCES, VERSIONS};

/// What is written in place, or has files made in it, and whether it is a directory.
const WRITTEN: [(&str, bool); 7] = [
    (LOCK, false),
    (JOURNAL, true),
    (IMAGES, true),
    (SOURCES, true),
    (VERSIONS, true),
    (PACK, true),
    (QUARANTINE, true),
];

/// To whom belongs what is made below a directory: the owner of the directory, where this process may give files away.
/// Who looks after the store of a service as root would otherwise leave files that the service cannot use.
#[derive(Debug, Default)]
pub(super) struct Heir {
    /// User and group, once something was made; none where what is made belongs to that user anyhow.
    owner: OnceLock<Option<(u32, u32)>>,
}

impl Heir {
    /// Gives away what was just made.
    #[cfg(unix)]
    pub(super) fn give(&self, root: &Path, made: &Path) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let owner = if let Some(owner) = self.owner.get() {
            *owner
        } else {
            let (own, of_root) = (fs::symlink_metadata(made)?, fs::metadata(root)?);
            let owner = (own.uid() != of_root.uid()).then(|| (of_root.uid(), of_root.gid()));
            *self.owner.get_or_init(|| owner)
        };
        let Some((user, group)) = owner else { return Ok(()) };
        match std::os::unix::fs::lchown(made, Some(user), Some(group)) {
            // Only root may, and not on every file system. Then it belongs to whoever made it, as it always does.
            Err(error) if may_keep(&error) => Ok(()),
            given => given,
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same signature everywhere")]
    pub(super) fn give(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
fn may_keep(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), PermissionDenied | Unsupported | InvalidInput)
}

impl RealVfs {
    /// Whether this process may do what a store in the root needs, without doing any of it: make the root if it is not
    /// there, lock it, and make files in it and in its directories. What the system does not tell before, as that a disk
    /// is full, is not found.
    ///
    /// # Errors
    ///
    /// `Unavailable`, with what it may not write.
    pub fn check_access(&self) -> Result<()> {
        let check = |name: &str, path: &Path, is_directory| {
            check_writable(path, is_directory)
                .map_err(FileError::at("write", name))
                .map_err(|error| error.into_store_error("write to store").with("store", self))
        };
        if !self.root.is_dir() {
            return check(".", nearest(&self.root), true);
        }
        check(".", &self.root, true)?;
        for (name, is_directory) in WRITTEN {
            let path = self.path(name);
            if fs::symlink_metadata(&path).is_ok() {
                check(name, &path, is_directory)?;
            }
        }
        Ok(())
    }
}

/// Whether this process may write a file, or make and remove files in a directory. Where the system cannot tell without
/// trying, it may.
#[cfg(target_os = "linux")]
fn check_writable(path: &Path, is_directory: bool) -> io::Result<()> {
    use rustix::fs::Access;
    let access = Access::WRITE_OK | if is_directory { Access::EXEC_OK } else { Access::empty() };
    Ok(rustix::fs::access(path, access)?)
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
fn check_writable(_: &Path, _: bool) -> io::Result<()> {
    Ok(())
}

/// The nearest directory on the way to `path` that is there.
fn nearest(path: &Path) -> &Path {
    let there = path.ancestors().find(|path| fs::metadata(path).is_ok());
    there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
