//! A file system in memory that separates what was written from what is durable, and can lose the difference.
//!
//! What it models:
//!
//! * Data of a file is durable after its sync; until then each write and change of length may be kept, lost or
//!   torn, independently of the others.
//! * An entry of a directory is durable after the sync of the directory; until then each creation, removal and
//!   rename may be kept or lost, independently of the others. A rename within a directory is one step; one of a file
//!   into another directory is two changes, one of each directory. Syncing a file does not make its entry durable.
//!
//! It is stricter than most file systems, which order more than they promise.

mod key;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::key::{Keys, Left, View, key_of};
use self::tree::{Content, DataChange, EntryChange, FileData, Path, Tree};
use super::{Entry, EntryKind, Stamp, Vfs, VfsFile, VfsLock, parent};

/// What a crash does to something that was not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It happened.
    Keep,
    /// It did not happen.
    Lose,
    /// Of a write: this many of its bytes happened. The rest of its place has the length but zeros, as when the
    /// length of a file is durable before its data.
    Torn(usize),
    /// Of a write: this many of its bytes happened, and the file ends there unless something else extends it.
    Short(usize),
}

/// Something that was done but is not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// A write of so many bytes.
    Write(usize),
    /// A change of the length of a file.
    Length,
    /// A change of a directory.
    Entry,
}

/// The model. Clones share the tree.
#[derive(Debug, Clone, Default)]
pub struct ModelVfs {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    tree: Tree,
    locks: BTreeSet<String>,
    /// The trees before each call that changed something, while recording.
    recording: Option<Vec<Tree>>,
    /// Files that must not be read.
    unread: BTreeSet<u64>,
}

impl ModelVfs {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to keep the tree as it is before each call that changes something.
    pub fn record(&self) {
        self.shared().recording = Some(Vec::new());
    }

    /// How many trees are kept.
    pub fn recorded(&self) -> usize {
        self.shared().recording.as_ref().map_or(0, Vec::len)
    }

    /// The kept trees, and the tree as it is now: every moment at which a crash makes a difference.
    pub fn moments(&self) -> Vec<Self> {
        let shared = self.shared();
        let kept = shared.recording.iter().flatten().chain([&shared.tree]);
        kept.map(|tree| Self::of(tree.clone())).collect()
    }

    /// What is not durable, in the order in which [`ModelVfs::crash`] asks.
    pub fn pending(&self) -> Vec<Pending> {
        self.shared().tree.pending()
    }

    /// The tree after a crash now, where `fates` says what becomes of each [`ModelVfs::pending`]; what it has no
    /// answer for is lost. Locks are gone. This tree stays as it is.
    pub fn crash(&self, fates: &[Fate]) -> Self {
        let shared = self.shared();
        let mut fates = fates.to_vec();
        fates.resize(shared.tree.pending().len(), Fate::Lose);
        let left = Self::of(shared.tree.crash(&fates));
        left.shared().unread.clone_from(&shared.unread);
        left
    }

    /// The keys of what crashes leave.
    pub fn keys(&self, view: View) -> Keys {
        Keys::new(self.shared().tree.clone(), view)
    }

    /// Panics from now on when the content, the length or the stamp of a file is looked at that is there now and that a
    /// key leaves out, or when it is opened or moved: whoever says that nobody does must not be believed. So does what
    /// a crash leaves of it.
    pub fn forbid_reading(&self, view: View) {
        let mut shared = self.shared();
        let unread = shared.tree.live.iter().filter(|(path, _)| (view.is_unread)(path.as_str()));
        shared.unread = unread.filter_map(|(_, target)| *target).collect();
    }

    /// Does what a failed sync does on some systems: what is not durable can still be read, but is taken for
    /// written, so that no later sync makes it durable.
    pub fn forget_pending(&self) {
        let tree = &mut self.shared().tree;
        tree.pending.clear();
        for file in tree.files.values_mut() {
            Arc::make_mut(file).pending.clear();
        }
    }

    /// The same for the entries of one directory alone, which is what its failed sync covered.
    pub fn forget_entries(&self, directory: &str) {
        self.shared().tree.pending.retain(|change| change.directory() != directory);
    }

    /// A tree of its own with the same content, where everything is durable.
    pub fn copy(&self) -> Self {
        let keep = vec![Fate::Keep; self.pending().len()];
        self.crash(&keep)
    }

    /// Every file by path, as a reader sees it now.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let tree = &self.shared().tree;
        let files = tree.live.iter().filter_map(|(path, target)| Some((path, (*target)?)));
        files
            .map(|(path, file)| (path.as_str().to_owned(), tree.files[&file].live.bytes().to_vec()))
            .collect()
    }

    /// The paths of [`ModelVfs::files`].
    pub fn paths(&self) -> Vec<String> {
        let tree = &self.shared().tree;
        let files = tree.live.iter().filter(|(_, target)| target.is_some());
        files.map(|(path, _)| path.as_str().to_owned()).collect()
    }

    /// Puts a file where a test wants one, durably, with the directories above it.
    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let mut shared = self.shared();
        let tree = &mut shared.tree;
        let file = tree.new_file(FileData::of(Content::from(bytes.into())));
        for entries in [&mut tree.live, &mut tree.durable] {
            let entries = Arc::make_mut(entries);
            let mut directory = parent(path);
            while !directory.is_empty() {
                entries.insert(Path::new(directory), None);
                directory = parent(directory);
            }
            entries.insert(Path::new(path), Some(file));
        }
    }

    /// Changes the bytes of a file that is there, durably and without a trace, as decay does: its stamp stays, and
    /// that of its directory.
    pub fn decay(&self, path: &str, change: impl FnOnce(&mut [u8])) {
        let tree = &mut self.shared().tree;
        let Some(Some(file)) = tree.live.get(path).copied() else { return };
        let Ok(data) = tree.edit(file) else { return };
        data.live.edit(|bytes| change(bytes));
        data.durable = data.live.clone();
    }

    /// Removes a file, or a directory with all that is in it, durably.
    pub fn discard(&self, path: &str) {
        let below = format!("{path}/");
        let tree = &mut self.shared().tree;
        for entries in [&mut tree.live, &mut tree.durable] {
            let entries = Arc::make_mut(entries);
            entries.retain(|entry, _| entry.as_str() != path && !entry.as_str().starts_with(&below));
        }
    }

    fn of(tree: Tree) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { tree, ..Shared::default() })) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        let mut shared = self.shared();
        let before = shared.recording.is_some().then(|| shared.tree.clone());
        let result = change(&mut shared.tree);
        if let (Some(before), Some(recording)) = (before, &mut shared.recording)
            && result.is_ok()
        {
            recording.push(before);
        }
        result
    }
}

impl Shared {
    /// A file that may be read.
    fn file(&self, path: &str) -> io::Result<u64> {
        let file = self.tree.file(path)?;
        self.check_unread(path, file);
        Ok(file)
    }

    fn check_unread(&self, path: &str, file: u64) {
        assert!(!self.unread.contains(&file), "'{path}' is looked at, which is said to be never read");
    }
}

impl fmt::Display for ModelVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a model file system")
    }
}

impl Vfs for ModelVfs {
    fn create_root(&self) -> io::Result<()> {
        Ok(())
    }

    fn wait_for_root(&self) -> io::Result<()> {
        Ok(())
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.change(|tree| {
            tree.check_vacant(path)?;
            tree.change_entry(EntryChange::Set { path: Path::new(path), target: None });
            Ok(())
        })
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let tree = &self.shared().tree;
        tree.check_directory(path)?;
        let entries = tree.in_directory(path);
        let entries = entries.map(|(entry, target)| Entry {
            name: entry.rsplit_once('/').map_or(entry, |(_, name)| name).to_owned(),
            kind: if target.is_some() { EntryKind::File } else { EntryKind::Directory },
        });
        Ok(entries.collect())
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let shared = self.shared();
        let content = shared.tree.files[&shared.file(path)?].live.bytes();
        if content.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(content.to_vec())
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        let shared = self.shared();
        Ok(shared.tree.files[&shared.file(path)?].live.bytes().len() as u64)
    }

    fn stamp(&self, path: &str) -> io::Result<Stamp> {
        let shared = self.shared();
        let tree = &shared.tree;
        let mut hasher = DefaultHasher::new();
        match tree.live.get(path) {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Some(file)) => {
                shared.check_unread(path, *file);
                (file, tree.files[file].live.bytes().len()).hash(&mut hasher);
            }
            Some(None) => tree.in_directory(path).for_each(|entry| entry.hash(&mut hasher)),
        }
        let mut stamp = [0; 16];
        stamp[..8].copy_from_slice(&hasher.finish().to_le_bytes());
        Ok(Stamp(stamp))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        let file = self.change(|tree| {
            tree.check_vacant(path)?;
            let file = tree.new_file(FileData::default());
            tree.change_entry(EntryChange::Set { path: Path::new(path), target: Some(file) });
            Ok(file)
        })?;
        Ok(Box::new(ModelFile { vfs: self.clone(), file }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        let file = self.shared().file(path)?;
        Ok(Box::new(ModelFile { vfs: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        // A file that is not there is told below.
        let _ = self.shared().file(from);
        self.change(|tree| {
            let Some(target) = tree.live.get(from).copied() else {
                return Err(io::ErrorKind::NotFound.into());
            };
            tree.check_directory(parent(to))?;
            // As on a real system, a file does not replace a directory.
            if target.is_some() && tree.live.get(to) == Some(&None) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if target.is_some() && parent(from) != parent(to) {
                tree.change_entry(EntryChange::Set { path: Path::new(to), target });
                tree.change_entry(EntryChange::Remove { path: Path::new(from) });
            } else {
                let change = EntryChange::Rename { from: Path::new(from), to: Path::new(to), target };
                tree.change_entry(change);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change(|tree| {
            tree.file(path)?;
            tree.change_entry(EntryChange::Remove { path: Path::new(path) });
            Ok(())
        })
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.change(|tree| {
            tree.check_directory(path)?;
            if tree.in_directory(path).next().is_some() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            tree.change_entry(EntryChange::Remove { path: Path::new(path) });
            Ok(())
        })
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.change(|tree| {
            tree.check_directory(path)?;
            tree.sync_directory(path);
            Ok(())
        })
    }

    fn lock(&self, path: &str) -> io::Result<VfsLock> {
        self.change(|tree| {
            if !tree.live.contains_key(path) {
                let file = tree.new_file(FileData::default());
                tree.change_entry(EntryChange::Set { path: Path::new(path), target: Some(file) });
            }
            tree.file(path).map(|_| ())
        })?;
        if !self.shared().locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(VfsLock::new(ModelLock { vfs: self.clone(), path: path.to_owned() }))
    }

    fn check_lock(&self) -> io::Result<()> {
        let shared = self.shared();
        if shared.locks.iter().all(|path| shared.tree.live.contains_key(path.as_str())) {
            return Ok(());
        }
        Err(io::Error::other("a locked file was removed"))
    }
}

#[derive(Debug)]
struct ModelFile {
    vfs: ModelVfs,
    file: u64,
}

impl ModelFile {
    fn change(&self, change: DataChange) -> io::Result<()> {
        self.vfs.change(|tree| tree.change_data(self.file, change))
    }
}

impl VfsFile for ModelFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.change(DataChange::Write { offset, bytes: bytes.into() })?;
        Ok(bytes.len())
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.change(DataChange::Length(length))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.vfs.change(|tree| tree.sync_data(self.file))
    }
}

#[derive(Debug)]
struct ModelLock {
    vfs: ModelVfs,
    path: String,
}

impl Drop for ModelLock {
    fn drop(&mut self) {
        self.vfs.shared().locks.remove(&self.path);
    }
}

#[cfg(test)]
mod tests;
