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

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
}

#[derive(Debug, Clone, Default)]
struct Tree {
    files: BTreeMap<u64, FileData>,
    next_file: u64,
    live: Entries,
    durable: Entries,
    pending: Vec<EntryChange>,
}

/// All entries of all directories by full path; none is a directory.
type Entries = BTreeMap<String, Option<u64>>;

#[derive(Debug, Clone, Default)]
struct FileData {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<DataChange>,
}

#[derive(Debug, Clone)]
enum DataChange {
    Write { offset: usize, bytes: Arc<[u8]> },
    Length(usize),
}

#[derive(Debug, Clone)]
enum EntryChange {
    Set { path: String, target: Option<u64> },
    Remove { path: String },
    Rename { from: String, to: String, target: Option<u64> },
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
        let tree = &self.shared().tree;
        let data = tree.files.values().flat_map(|file| &file.pending).map(|change| match change {
            DataChange::Write { offset: _, bytes } => Pending::Write(bytes.len()),
            DataChange::Length(_) => Pending::Length,
        });
        data.chain(tree.pending.iter().map(|_| Pending::Entry)).collect()
    }

    /// The tree after a crash now, where `fates` says what becomes of each [`ModelVfs::pending`]; what it has no
    /// answer for is lost. Locks are gone. This tree stays as it is.
    pub fn crash(&self, fates: &[Fate]) -> Self {
        let mut tree = self.shared().tree.clone();
        let mut fates = fates.iter().copied().chain(std::iter::repeat(Fate::Lose));
        let mut next = || fates.next().unwrap_or(Fate::Lose);
        for file in tree.files.values_mut() {
            for change in std::mem::take(&mut file.pending) {
                let fate = next();
                change.apply(&mut file.durable, fate);
            }
            file.live = file.durable.clone();
        }
        for change in std::mem::take(&mut tree.pending) {
            if next() != Fate::Lose {
                change.apply(&mut tree.durable);
            }
        }
        // What is durable in a directory that is not durable itself is lost with it. Parents sort before children.
        let mut directories = BTreeSet::new();
        tree.durable.retain(|path, target| {
            let is_reachable = parent(path).is_empty() || directories.contains(parent(path));
            if is_reachable && target.is_none() {
                directories.insert(path.clone());
            }
            is_reachable
        });
        tree.live = tree.durable.clone();
        let reachable: BTreeSet<u64> = tree.live.values().filter_map(|target| *target).collect();
        tree.files.retain(|file, _| reachable.contains(file));
        Self::of(tree)
    }

    /// Does what a failed sync does on some systems: what is not durable can still be read, but is taken for
    /// written, so that no later sync makes it durable.
    pub fn forget_pending(&self) {
        let tree = &mut self.shared().tree;
        tree.pending.clear();
        for file in tree.files.values_mut() {
            file.pending.clear();
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
        files.map(|(path, file)| (path.clone(), tree.files[&file].live.clone())).collect()
    }

    /// Puts a file where a test wants one, durably, with the directories above it.
    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let mut shared = self.shared();
        let tree = &mut shared.tree;
        let mut directory = parent(path);
        while !directory.is_empty() {
            tree.live.insert(directory.to_owned(), None);
            tree.durable.insert(directory.to_owned(), None);
            directory = parent(directory);
        }
        let bytes = bytes.into();
        let file = tree.new_file(FileData { live: bytes.clone(), durable: bytes, pending: Vec::new() });
        tree.live.insert(path.to_owned(), Some(file));
        tree.durable.insert(path.to_owned(), Some(file));
    }

    /// Changes the bytes of a file that is there, durably and without a trace, as decay does: its stamp stays, and
    /// that of its directory.
    pub fn decay(&self, path: &str, change: impl FnOnce(&mut [u8])) {
        let tree = &mut self.shared().tree;
        let Some(Some(file)) = tree.live.get(path) else { return };
        let Some(data) = tree.files.get_mut(file) else { return };
        change(&mut data.live);
        data.durable.clone_from(&data.live);
    }

    /// Removes a file, or a directory with all that is in it, durably.
    pub fn discard(&self, path: &str) {
        let below = format!("{path}/");
        let tree = &mut self.shared().tree;
        for entries in [&mut tree.live, &mut tree.durable] {
            entries.retain(|entry, _| entry != path && !entry.starts_with(&below));
        }
    }

    fn of(tree: Tree) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { tree, locks: BTreeSet::new(), recording: None })) }
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

impl Tree {
    fn new_file(&mut self, data: FileData) -> u64 {
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, data);
        file
    }

    fn file(&self, path: &str) -> io::Result<u64> {
        match self.live.get(path) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(None) => Err(io::ErrorKind::InvalidInput.into()),
            Some(Some(file)) => Ok(*file),
        }
    }

    fn check_directory(&self, path: &str) -> io::Result<()> {
        match self.live.get(path) {
            _ if path.is_empty() => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
            Some(None) => Ok(()),
            Some(Some(_)) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn check_vacant(&self, path: &str) -> io::Result<()> {
        self.check_directory(parent(path))?;
        if self.live.contains_key(path) { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    fn change_entry(&mut self, change: EntryChange) {
        change.clone().apply(&mut self.live);
        self.pending.push(change);
    }
}

impl DataChange {
    fn apply(&self, content: &mut Vec<u8>, fate: Fate) {
        match (self, fate) {
            (_, Fate::Lose) => {}
            (Self::Length(length), _) => content.resize(*length, 0),
            (Self::Write { offset, bytes }, fate) => {
                let (written, length) = match fate {
                    Fate::Torn(written) => (written.min(bytes.len()), bytes.len()),
                    Fate::Short(written) => (written.min(bytes.len()), written.min(bytes.len())),
                    Fate::Keep | Fate::Lose => (bytes.len(), bytes.len()),
                };
                if content.len() < offset + length {
                    content.resize(offset + length, 0);
                }
                content[*offset..offset + written].copy_from_slice(&bytes[..written]);
            }
        }
    }
}

impl EntryChange {
    fn apply(self, entries: &mut Entries) {
        match self {
            Self::Set { path, target } => {
                entries.insert(path, target);
            }
            Self::Remove { path } => {
                entries.remove(&path);
            }
            Self::Rename { from, to, target } => {
                if entries.get(&from) == Some(&target) {
                    entries.remove(&from);
                }
                if target.is_none() {
                    let below = format!("{from}/");
                    for (path, target) in
                        entries.extract_if(.., |path, _| path.starts_with(&below)).collect::<Vec<_>>()
                    {
                        entries.insert(format!("{to}/{}", &path[below.len()..]), target);
                    }
                }
                entries.insert(to, target);
            }
        }
    }

    /// The directory whose sync makes it durable.
    fn directory(&self) -> &str {
        match self {
            Self::Set { path, .. } | Self::Remove { path } | Self::Rename { to: path, .. } => parent(path),
        }
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
            tree.change_entry(EntryChange::Set { path: path.to_owned(), target: None });
            Ok(())
        })
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let tree = &self.shared().tree;
        tree.check_directory(path)?;
        let entries = tree.live.iter().filter(|(entry, _)| parent(entry) == path);
        let entries = entries.map(|(entry, target)| Entry {
            name: entry.rsplit_once('/').map_or(entry.as_str(), |(_, name)| name).to_owned(),
            kind: if target.is_some() { EntryKind::File } else { EntryKind::Directory },
        });
        Ok(entries.collect())
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let tree = &self.shared().tree;
        let content = &tree.files[&tree.file(path)?].live;
        if content.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(content.clone())
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        let tree = &self.shared().tree;
        Ok(tree.files[&tree.file(path)?].live.len() as u64)
    }

    fn stamp(&self, path: &str) -> io::Result<Stamp> {
        let tree = &self.shared().tree;
        let mut hasher = DefaultHasher::new();
        match tree.live.get(path) {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Some(file)) => (file, tree.files[file].live.len()).hash(&mut hasher),
            Some(None) => {
                let entries = tree.live.iter().filter(|(entry, _)| parent(entry) == path);
                entries.for_each(|entry| entry.hash(&mut hasher));
            }
        }
        let mut stamp = [0; 16];
        stamp[..8].copy_from_slice(&hasher.finish().to_le_bytes());
        Ok(Stamp(stamp))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        let file = self.change(|tree| {
            tree.check_vacant(path)?;
            let file = tree.new_file(FileData::default());
            tree.change_entry(EntryChange::Set { path: path.to_owned(), target: Some(file) });
            Ok(file)
        })?;
        Ok(Box::new(ModelFile { vfs: self.clone(), file }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        let file = self.shared().tree.file(path)?;
        Ok(Box::new(ModelFile { vfs: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
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
                tree.change_entry(EntryChange::Set { path: to.to_owned(), target });
                tree.change_entry(EntryChange::Remove { path: from.to_owned() });
            } else {
                let change = EntryChange::Rename { from: from.to_owned(), to: to.to_owned(), target };
                tree.change_entry(change);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change(|tree| {
            tree.file(path)?;
            tree.change_entry(EntryChange::Remove { path: path.to_owned() });
            Ok(())
        })
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.change(|tree| {
            tree.check_directory(path)?;
            if tree.live.keys().any(|entry| parent(entry) == path) {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            tree.change_entry(EntryChange::Remove { path: path.to_owned() });
            Ok(())
        })
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.change(|tree| {
            tree.check_directory(path)?;
            let mut pending = Vec::new();
            for change in std::mem::take(&mut tree.pending) {
                if change.directory() == path {
                    change.apply(&mut tree.durable);
                } else {
                    pending.push(change);
                }
            }
            tree.pending = pending;
            Ok(())
        })
    }

    fn lock(&self, path: &str) -> io::Result<VfsLock> {
        self.change(|tree| {
            if !tree.live.contains_key(path) {
                let file = tree.new_file(FileData::default());
                tree.change_entry(EntryChange::Set { path: path.to_owned(), target: Some(file) });
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
        if shared.locks.iter().all(|path| shared.tree.live.contains_key(path)) {
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
        self.vfs.change(|tree| {
            let file = tree.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
            change.apply(&mut file.live, Fate::Keep);
            file.pending.push(change);
            Ok(())
        })
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
        self.vfs.change(|tree| {
            let file = tree.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
            for change in std::mem::take(&mut file.pending) {
                change.apply(&mut file.durable, Fate::Keep);
            }
            Ok(())
        })
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
mod tests {
    use super::*;

    fn write(vfs: &ModelVfs, path: &str, bytes: &[u8]) -> Box<dyn VfsFile> {
        let mut file = vfs.create(path).unwrap();
        file.write_all_at(0, bytes).unwrap();
        file
    }

    #[test]
    fn what_was_not_synced_may_be_lost() {
        let vfs = ModelVfs::new();
        let _file = write(&vfs, "a", b"x");
        assert_eq!(vfs.pending(), [Pending::Write(1), Pending::Entry]);
        assert!(vfs.crash(&[]).files().is_empty());
        assert_eq!(vfs.crash(&[Fate::Lose, Fate::Keep]).files()["a"], b"");
        assert_eq!(vfs.crash(&[Fate::Keep, Fate::Keep]).files()["a"], b"x");
        assert_eq!(vfs.files()["a"], b"x", "the tree that crashed in thought goes on");
    }

    #[test]
    fn syncing_a_file_does_not_make_its_entry_durable() {
        let vfs = ModelVfs::new();
        write(&vfs, "a", b"x").sync().unwrap();
        assert_eq!(vfs.pending(), [Pending::Entry]);
        vfs.sync_directory("").unwrap();
        assert_eq!(vfs.crash(&[]).files()["a"], b"x");
    }

    #[test]
    fn a_directory_that_is_not_durable_takes_its_files_with_it() {
        let vfs = ModelVfs::new();
        vfs.create_directory("d").unwrap();
        write(&vfs, "d/a", b"x").sync().unwrap();
        vfs.sync_directory("d").unwrap();
        assert!(vfs.crash(&[]).files().is_empty());
        vfs.sync_directory("").unwrap();
        assert_eq!(vfs.crash(&[]).files()["d/a"], b"x");
    }

    #[test]
    fn a_directory_takes_what_is_in_it_along_to_its_new_name() {
        let vfs = ModelVfs::new();
        vfs.create_directory("d").unwrap();
        write(&vfs, "d/a", b"x").sync().unwrap();
        vfs.sync_directory("d").unwrap();
        vfs.sync_directory("").unwrap();
        vfs.rename("d", "e").unwrap();
        assert_eq!(vfs.files(), BTreeMap::from([("e/a".to_owned(), b"x".to_vec())]));
        assert_eq!(vfs.crash(&[]).files(), BTreeMap::from([("d/a".to_owned(), b"x".to_vec())]));
        vfs.sync_directory("").unwrap();
        assert_eq!(vfs.crash(&[]).files()["e/a"], b"x");
    }

    #[test]
    fn a_file_that_is_moved_may_be_found_in_either_directory_in_both_or_in_none() {
        let vfs = ModelVfs::new();
        vfs.put("from/a", "x");
        vfs.put("to/b", "y");
        vfs.rename("from/a", "to/a").unwrap();
        let found = |fates: [Fate; 2]| {
            let files = vfs.crash(&fates).files();
            [files.contains_key("from/a"), files.contains_key("to/a")]
        };
        assert_eq!(found([Fate::Lose, Fate::Lose]), [true, false]);
        assert_eq!(found([Fate::Keep, Fate::Lose]), [true, true]);
        assert_eq!(found([Fate::Lose, Fate::Keep]), [false, false]);
        assert_eq!(found([Fate::Keep, Fate::Keep]), [false, true]);
        assert_eq!(vfs.files().into_keys().collect::<Vec<_>>(), ["to/a", "to/b"]);
    }

    #[test]
    fn a_rename_without_a_sync_of_the_data_leaves_an_empty_file() {
        let vfs = ModelVfs::new();
        let _file = write(&vfs, "a.tmp", b"x");
        vfs.rename("a.tmp", "a").unwrap();
        vfs.sync_directory("").unwrap();
        assert_eq!(vfs.crash(&[]).files(), BTreeMap::from([("a".to_owned(), Vec::new())]));
    }

    #[test]
    fn what_a_failed_sync_forgot_is_readable_and_never_durable() {
        let vfs = ModelVfs::new();
        vfs.put("a", "old");
        vfs.open("a").unwrap().write_all_at(0, b"new").unwrap();
        vfs.forget_pending();
        let mut file = vfs.open("a").unwrap();
        file.sync().unwrap();
        assert_eq!(vfs.files()["a"], b"new");
        assert_eq!(vfs.crash(&[]).files()["a"], b"old");
        file.write_all_at(0, b"N").unwrap();
        file.sync().unwrap();
        assert_eq!(vfs.crash(&[]).files()["a"], b"Nld");
    }

    #[test]
    fn what_a_failed_sync_of_a_directory_forgot_is_durable_only_under_a_new_name() {
        let vfs = ModelVfs::new();
        vfs.create_directory("d").unwrap();
        write(&vfs, "a.tmp", b"x").sync().unwrap();
        vfs.rename("a.tmp", "a").unwrap();
        vfs.forget_entries("");
        vfs.sync_directory("").unwrap();
        assert_eq!(vfs.files()["a"], b"x");
        assert!(vfs.crash(&[]).files().is_empty());
        write(&vfs, "b.tmp", b"y").sync().unwrap();
        vfs.rename("b.tmp", "a").unwrap();
        vfs.remove_directory("d").unwrap();
        vfs.create_directory("d").unwrap();
        vfs.sync_directory("").unwrap();
        assert_eq!(vfs.crash(&[]).files()["a"], b"y");
        assert!(vfs.crash(&[]).list("d").is_ok());
    }

    #[test]
    fn only_an_empty_directory_is_removed() {
        let vfs = ModelVfs::new();
        vfs.create_directory("d").unwrap();
        let _file = write(&vfs, "d/a", b"x");
        assert_eq!(vfs.remove_directory("d").unwrap_err().kind(), io::ErrorKind::DirectoryNotEmpty);
        assert_eq!(vfs.remove_directory("d/a").unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(vfs.remove_directory("e").unwrap_err().kind(), io::ErrorKind::NotFound);
        vfs.remove("d/a").unwrap();
        vfs.remove_directory("d").unwrap();
        assert_eq!(vfs.list("d").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_torn_write_keeps_a_part() {
        let vfs = ModelVfs::new();
        let _file = write(&vfs, "a", b"abcd");
        vfs.sync_directory("").unwrap();
        assert_eq!(vfs.crash(&[Fate::Torn(1)]).files()["a"], b"a\0\0\0");
        assert_eq!(vfs.crash(&[Fate::Short(1)]).files()["a"], b"a");
    }

    #[test]
    fn moments_are_before_each_change_and_now() {
        let vfs = ModelVfs::new();
        vfs.record();
        write(&vfs, "a", b"x").sync().unwrap();
        let moments = vfs.moments();
        assert_eq!(moments.len(), 4);
        assert!(moments[0].files().is_empty());
        assert_eq!(moments[1].files()["a"], b"");
        assert_eq!(moments[2].pending(), [Pending::Write(1), Pending::Entry]);
    }

    #[test]
    fn a_lock_is_held_once_and_survives_no_crash() {
        let vfs = ModelVfs::new();
        let lock = vfs.lock("LOCK").unwrap();
        assert_eq!(vfs.lock("LOCK").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(vfs.crash(&[]).lock("LOCK").is_ok());
        drop(lock);
        assert!(vfs.lock("LOCK").is_ok());
    }
}
