//! The seam between the store and the file system: every file access of the store goes through [`Vfs`].

#[cfg(any(test, feature = "testing"))]
mod fault;
#[cfg(any(test, feature = "testing"))]
mod model;
mod real;

use std::any::Any;
use std::fmt::{self, Debug, Display};
use std::io::{self, Cursor, Read};
use std::iter;

#[cfg(any(test, feature = "testing"))]
pub use fault::{Fault, FaultMode, FaultVfs};
#[cfg(any(test, feature = "testing"))]
pub use model::{Fate, Keys, Left, ModelVfs, Pending, View, key_of};
pub use real::RealVfs;

/// A directory tree, as far as a store needs one.
///
/// Paths are relative to the root of the tree, with `/` between their parts; the root itself is the empty path.
/// A path is never taken from outside: it is a fixed name, a hash in hexadecimal, or an escaped name.
///
/// # Durability
///
/// What [`VfsFile::sync`] returned from is durable as data of the file. Whether a directory has an entry for the
/// file is durable only after [`Vfs::sync_directory`]. A failed sync says nothing about what is durable, and a
/// later one that succeeds does not say more.
pub trait Vfs: Debug + Display + Send + Sync + 'static {
    /// Makes the root and its parents, unless they are there, and begins to make the entries durable that lead to the
    /// root. [`Vfs::wait_for_root`] tells when they are.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn create_root(&self) -> io::Result<()>;

    /// Waits until the entries are durable that lead to the root, since [`Vfs::create_root`] was called last.
    ///
    /// # Errors
    ///
    /// Those of the system; then nothing is known of what is durable.
    fn wait_for_root(&self) -> io::Result<()>;

    /// Makes a directory whose parent is there.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, and those of the system.
    fn create_directory(&self, path: &str) -> io::Result<()>;

    /// The entries of a directory, in no order. Entries whose names are not UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// `NotFound`, `NotADirectory`, and those of the system.
    fn list(&self, path: &str) -> io::Result<Vec<Entry>>;

    /// The content of a regular file of at most `limit` bytes. Symbolic links are not followed.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FileTooLarge` past the limit; `InvalidInput` when it is not a regular file; those of the
    /// system.
    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>>;

    /// What reads a regular file of at most `limit` bytes from its start, for one that need not be in memory as a whole.
    /// Symbolic links are not followed.
    ///
    /// # Errors
    ///
    /// Those of [`Vfs::read`].
    fn reader(&self, path: &str, limit: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Cursor::new(self.read(path, limit)?)))
    }

    /// How many bytes a regular file has.
    ///
    /// # Errors
    ///
    /// `NotFound`; `InvalidInput` when it is not a regular file; those of the system.
    fn length(&self, path: &str) -> io::Result<u64>;

    /// When what is at a path changed last: of a directory, which entries it has; of a file, its length and
    /// content. It tells what others do to a store between two openings, as far as the system notes it: damage of
    /// the disk leaves no stamp, and neither does a change within the same tick of its clock. What was copied has
    /// another stamp than its original, whatever times the copy kept: it need not be durable. A change of owner, mode,
    /// name or links may change it, too.
    ///
    /// # Errors
    ///
    /// `NotFound`, and those of the system.
    fn stamp(&self, path: &str) -> io::Result<Stamp>;

    /// Makes a file that is not there yet, and opens it for writing.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, and those of the system.
    fn create(&self, path: &str) -> io::Result<Box<dyn VfsFile>>;

    /// Opens a file that is there for writing.
    ///
    /// # Errors
    ///
    /// `NotFound`; `InvalidInput` when it is not a regular file; those of the system.
    fn open(&self, path: &str) -> io::Result<Box<dyn VfsFile>>;

    /// Makes the data of files durable that were written and closed, also of those that may only be read. Many at once take one flush of the disk where
    /// the system has a call for that.
    ///
    /// # Errors
    ///
    /// Those of [`Vfs::open`] and [`VfsFile::sync`]; then nothing is known of any of them.
    fn sync_files(&self, paths: &[String]) -> io::Result<()> {
        paths.iter().try_for_each(|path| self.open(path)?.sync())
    }

    /// Gives a file another name, in one step, replacing a file that has it.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// `NotFound`, and those of the system.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes a directory that is empty.
    ///
    /// # Errors
    ///
    /// `DirectoryNotEmpty`, `NotFound`, and those of the system.
    fn remove_directory(&self, path: &str) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    ///
    /// Those of the system; then nothing is known of what is durable.
    fn sync_directory(&self, path: &str) -> io::Result<()>;

    /// Locks a file for this process alone, making it if need be. The lock ends with its guard and with the
    /// process, however that ends.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another has it, and those of the system.
    fn lock(&self, path: &str) -> io::Result<VfsLock>;

    /// Checks that the root still leads to the file that was locked, so that the lock says something about what is there.
    /// Whatever changes entries checks that by itself.
    ///
    /// # Errors
    ///
    /// Of kind `Other` when it does not, and those of the system.
    fn check_lock(&self) -> io::Result<()>;
}

/// A file that is open for writing.
pub trait VfsFile: Debug + Send + Sync {
    /// Writes some of `bytes` at `offset`, and tells how many.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn set_length(&mut self, length: u64) -> io::Result<()>;

    /// Makes the data of the file durable, and its length.
    ///
    /// # Errors
    ///
    /// Those of the system; then nothing is known of what is durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl dyn VfsFile {
    /// Writes all of `bytes` at `offset`, however many calls that takes.
    ///
    /// # Errors
    ///
    /// Those of [`VfsFile::write_at`]; some bytes may have been written. `WriteZero` when no progress is made.
    pub fn write_all_at(&mut self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(offset, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, wherever it leads.
    Link,
    /// Something else: a pipe, a device.
    Other,
}

/// Which state of a file or directory it is. Equal stamps are the same state; nothing else can be told from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(pub [u8; 16]);

/// Holds a lock until it is dropped.
#[must_use = "dropping the guard gives up the lock"]
pub struct VfsLock(#[expect(dead_code, reason = "held for its drop")] Box<dyn Any + Send + Sync>);

impl VfsLock {
    /// A lock that ends when `guard` is dropped.
    pub fn new(guard: impl Any + Send + Sync) -> Self {
        Self(Box::new(guard))
    }
}

impl Debug for VfsLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VfsLock")
    }
}

/// The directory that holds `path`.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The directories of files, where those of a directory follow one another. A directory of files has no directories.
pub(crate) fn directories_of(paths: &[String]) -> impl Iterator<Item = &str> {
    let is_in = |path: &String, directory: &str| match directory {
        "" => !path.contains('/'),
        directory => path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')),
    };
    let mut rest = paths;
    iter::from_fn(move || {
        let directory = parent(rest.first()?);
        let n_files = rest.iter().take_while(|path| is_in(path, directory)).count();
        rest = &rest[n_files..];
        Some(directory)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_directory_that_follow_one_another_have_it_once() {
        let paths = ["b.json", "a.json", "images/1.json", "images/2.json", "images-of-old/1.json", "c.json"];
        let paths = paths.map(str::to_owned);
        let directories: Vec<_> = directories_of(&paths).collect();
        assert_eq!(directories, ["", "images", "images-of-old", ""]);
        assert_eq!(directories_of(&[]).next(), None);
    }
}
