//! Trees of files: what was written, what is durable, and what is in between. Copies share what they have in common.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Fate, Pending};
use crate::vfs::parent;

/// A file or directory and everything that is in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    pub(super) files: BTreeMap<u64, Arc<FileData>>,
    next_file: u64,
    pub(super) live: Entries,
    pub(super) durable: Entries,
    pub(super) pending: Vec<EntryChange>,
}

/// All entries of all directories by full path; none is a directory.
pub(super) type Entries = Arc<BTreeMap<Path, Option<u64>>>;

/// A path, with a hash that is computed once.
#[derive(Debug, Clone)]
pub(super) struct Path(Arc<(String, u128)>);

/// The bytes of a file, with a hash that is computed once.
#[derive(Debug, Clone, Default)]
pub(super) struct Content(Arc<Hashed>);

#[derive(Debug, Default)]
struct Hashed {
    bytes: Vec<u8>,
    hash: OnceLock<u128>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct FileData {
    pub(super) live: Content,
    pub(super) durable: Content,
    pub(super) pending: Vec<DataChange>,
    outcomes: Outcomes,
}

/// What crashes make of a file. Many crashes make the same of it, and so do those of the trees that share the file.
#[derive(Debug, Default)]
struct Outcomes(Mutex<Vec<(Box<[Fate]>, Content)>>);

#[derive(Debug, Clone)]
pub(super) enum DataChange {
    Write { offset: usize, bytes: Arc<[u8]> },
    Length(usize),
}

#[derive(Debug, Clone)]
pub(super) enum EntryChange {
    Set { path: Path, target: Option<u64> },
    Remove { path: Path },
    Rename { from: Path, to: Path, target: Option<u64> },
}

/// Half of a BLAKE3 hash, which is enough for trees that nobody makes to collide.
pub(super) fn hash(bytes: &[u8]) -> u128 {
    let hash = *blake3::hash(bytes).as_bytes();
    u128::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

impl Path {
    pub(super) fn new(path: &str) -> Self {
        Self(Arc::new((path.to_owned(), hash(path.as_bytes()))))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0.0
    }

    pub(super) fn hash(&self) -> u128 {
        self.0.1
    }
}

impl Borrow<str> for Path {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Path {}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Hashed { bytes, hash: OnceLock::new() }))
    }
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    pub(super) fn hash(&self) -> u128 {
        *self.0.hash.get_or_init(|| hash(&self.0.bytes))
    }

    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.0.bytes.clone();
        change(&mut bytes);
        *self = bytes.into();
    }
}

impl Clone for Outcomes {
    /// Of a copy that is about to be changed nothing is known.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl FileData {
    pub(super) fn of(content: Content) -> Self {
        Self { live: content.clone(), durable: content, ..Self::default() }
    }

    /// What is durable after a crash, where each pending change has a fate.
    pub(super) fn after(&self, fates: &[Fate]) -> Content {
        if self.pending.is_empty() {
            return self.durable.clone();
        }
        let mut outcomes = self.outcomes.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = outcomes.iter().find(|(known, _)| **known == *fates) {
            return known.clone();
        }
        let mut content = self.durable.clone();
        content.edit(|bytes| {
            for (change, fate) in self.pending.iter().zip(fates) {
                change.apply(bytes, *fate);
            }
        });
        outcomes.push((fates.into(), content.clone()));
        content
    }

    pub(super) fn hash_after(&self, fates: &[Fate]) -> u128 {
        self.after(fates).hash()
    }

    fn sync(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.durable.edit(|bytes| pending.iter().for_each(|change| change.apply(bytes, Fate::Keep)));
        // Unless something was forgotten.
        if self.durable.bytes() == self.live.bytes() {
            self.durable = self.live.clone();
        }
    }
}

impl Tree {
    pub(super) fn new_file(&mut self, data: FileData) -> u64 {
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, Arc::new(data));
        file
    }

    /// A file, to be changed.
    pub(super) fn edit(&mut self, file: u64) -> io::Result<&mut FileData> {
        let data = Arc::make_mut(self.files.get_mut(&file).ok_or(io::ErrorKind::NotFound)?);
        data.outcomes = Outcomes::default();
        Ok(data)
    }

    pub(super) fn change_data(&mut self, file: u64, change: DataChange) -> io::Result<()> {
        let data = self.edit(file)?;
        data.live.edit(|bytes| change.apply(bytes, Fate::Keep));
        data.pending.push(change);
        Ok(())
    }

    pub(super) fn sync_data(&mut self, file: u64) -> io::Result<()> {
        self.edit(file)?.sync();
        Ok(())
    }

    pub(super) fn file(&self, path: &str) -> io::Result<u64> {
        match self.live.get(path) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(None) => Err(io::ErrorKind::InvalidInput.into()),
            Some(Some(file)) => Ok(*file),
        }
    }

    /// The entries of a directory, by full path.
    pub(super) fn in_directory(&self, path: &str) -> impl Iterator<Item = (&str, &Option<u64>)> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = self.live.range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded));
        let below = below.map(|(path, target)| (path.as_str(), target));
        let length = prefix.len();
        below
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .filter(move |(path, _)| !path[length..].contains('/'))
    }

    pub(super) fn check_directory(&self, path: &str) -> io::Result<()> {
        match self.live.get(path) {
            _ if path.is_empty() => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
            Some(None) => Ok(()),
            Some(Some(_)) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn check_vacant(&self, path: &str) -> io::Result<()> {
        self.check_directory(parent(path))?;
        if self.live.contains_key(path) { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    pub(super) fn change_entry(&mut self, change: EntryChange) {
        change.apply(Arc::make_mut(&mut self.live));
        self.pending.push(change);
    }

    pub(super) fn sync_directory(&mut self, path: &str) {
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let is_synced = change.directory() == path;
            if is_synced {
                change.apply(Arc::make_mut(durable));
            }
            !is_synced
        });
    }

    /// What is not durable, in the order in which a crash asks.
    pub(super) fn pending(&self) -> Vec<Pending> {
        let data = self.files.values().flat_map(|file| &file.pending).map(|change| match change {
            DataChange::Write { offset: _, bytes } => Pending::Write(bytes.len()),
            DataChange::Length(_) => Pending::Length,
        });
        data.chain(self.pending.iter().map(|_| Pending::Entry)).collect()
    }

    /// The tree after a crash, where each of what is pending has a fate.
    pub(super) fn crash(&self, fates: &[Fate]) -> Self {
        let mut rest = fates;
        let mut of_file = BTreeMap::new();
        for (file, data) in &self.files {
            let (fates, others) = rest.split_at(data.pending.len());
            of_file.insert(*file, fates);
            rest = others;
        }
        let entries = self.entries_after(rest);
        let kept = entries.values().flatten().map(|file| {
            let data = &self.files[file];
            // Nothing is pending, and what is read is what is durable.
            let is_settled = data.pending.is_empty() && Arc::ptr_eq(&data.live.0, &data.durable.0);
            let after = || Arc::new(FileData::of(data.after(of_file[file])));
            (*file, if is_settled { Arc::clone(data) } else { after() })
        });
        let files = kept.collect();
        let entries = Arc::new(entries);
        Self {
            files,
            next_file: self.next_file,
            live: Arc::clone(&entries),
            durable: entries,
            pending: Vec::new(),
        }
    }

    /// The entries after a crash, where no pending change of an entry is kept.
    pub(super) fn durable_entries(&self) -> Entries {
        let mut known = "";
        let is_whole = self.durable.keys().all(|path| {
            let directory = parent(path.as_str());
            // Most have the directory of the one before.
            let is_there = directory == known || self.durable.get(directory) == Some(&None);
            known = directory;
            directory.is_empty() || is_there
        });
        if is_whole { Arc::clone(&self.durable) } else { Arc::new(self.entries_after(&[])) }
    }

    /// The entries after a crash, where each pending change of an entry has a fate.
    pub(super) fn entries_after(&self, fates: &[Fate]) -> BTreeMap<Path, Option<u64>> {
        let mut entries = BTreeMap::clone(&self.durable);
        for (change, fate) in self.pending.iter().zip(fates) {
            if *fate != Fate::Lose {
                change.apply(&mut entries);
            }
        }
        // What is durable in a directory that is not durable itself is lost with it. Parents sort before children.
        let mut directories = BTreeSet::new();
        entries.retain(|path, target| {
            let parent = parent(path.as_str());
            let is_reachable = parent.is_empty() || directories.contains(parent);
            if is_reachable && target.is_none() {
                directories.insert(path.clone());
            }
            is_reachable
        });
        entries
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
    fn apply(&self, entries: &mut BTreeMap<Path, Option<u64>>) {
        match self {
            Self::Set { path, target } => {
                entries.insert(path.clone(), *target);
            }
            Self::Remove { path } => {
                entries.remove(path);
            }
            Self::Rename { from, to, target } => {
                if entries.get(from) == Some(target) {
                    entries.remove(from);
                }
                if target.is_none() {
                    let below = format!("{}/", from.as_str());
                    let moved = entries.extract_if(.., |path, _| path.as_str().starts_with(&below));
                    for (path, target) in moved.collect::<Vec<_>>() {
                        let path = format!("{}/{}", to.as_str(), &path.as_str()[below.len()..]);
                        entries.insert(Path::new(&path), target);
                    }
                }
                entries.insert(to.clone(), *target);
            }
        }
    }

    /// The directory whose sync makes it durable.
    pub(super) fn directory(&self) -> &str {
        match self {
            Self::Set { path, .. } | Self::Remove { path } | Self::Rename { to: path, .. } => {
                parent(path.as_str())
            }
        }
    }
}
