//! A file system that does not do what it is asked for, as if the store had not asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use constellation_store_fs::vfs::{Entry, Stamp, Vfs, VfsFile, VfsLock};

/// What the store is made to do wrong with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileBug {
    /// The data of these files is not synced.
    NotSynced(Data),
    /// The entries of this directory are not synced; the empty path is the root.
    DirectoryNotSynced(&'static str),
    /// A file gets its name before its content.
    NamedBeforeWritten,
    /// A file is removed before another one gets its name.
    RemovedBeforeReplaced,
    /// A file that is there is written over.
    WrittenInPlace,
    /// The lock is had whoever else has it.
    NotLocked,
}

/// Files by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Data {
    Images,
    Sources,
    Versions,
    FlatMaps,
    Manifest,
    Catalogue,
    /// Frames of commits.
    Frames,
    /// The zeros that are written before frames.
    Zeros,
    /// Frames of earlier openings that are written down again.
    Settled,
}

impl FileBug {
    pub(crate) const ALL: [Self; 20] = [
        Self::NotSynced(Data::Images),
        Self::NotSynced(Data::Sources),
        Self::NotSynced(Data::Versions),
        Self::NotSynced(Data::FlatMaps),
        Self::NotSynced(Data::Manifest),
        Self::NotSynced(Data::Catalogue),
        Self::NotSynced(Data::Frames),
        Self::NotSynced(Data::Zeros),
        Self::NotSynced(Data::Settled),
        Self::DirectoryNotSynced("images"),
        Self::DirectoryNotSynced("sources"),
        Self::DirectoryNotSynced("versions"),
        Self::DirectoryNotSynced(""),
        Self::DirectoryNotSynced("journal"),
        Self::DirectoryNotSynced("pack"),
        Self::DirectoryNotSynced("quarantine"),
        Self::NamedBeforeWritten,
        Self::RemovedBeforeReplaced,
        Self::WrittenInPlace,
        Self::NotLocked,
    ];
}

/// Wraps a file system.
#[derive(Debug, Clone)]
pub(crate) struct BuggyVfs {
    inner: Arc<dyn Vfs>,
    bug: FileBug,
    /// What would have been done to files before they got their names.
    late: Arc<Mutex<Late>>,
}

#[derive(Debug, Default)]
struct Late {
    /// Files of which only their later name tells whether they are synced.
    synced: BTreeSet<String>,
    written: BTreeMap<String, Vec<u8>>,
}

impl BuggyVfs {
    pub(crate) fn new(inner: Arc<dyn Vfs>, bug: FileBug) -> Self {
        Self { inner, bug, late: Arc::default() }
    }

    fn file(&self, path: &str, inner: Box<dyn VfsFile>) -> Box<dyn VfsFile> {
        Box::new(BuggyFile { inner, vfs: self.clone(), path: path.to_owned(), wrote_frame: false })
    }

    /// Whether data is not synced before a file gets its name.
    fn is_late(&self, path: &str) -> bool {
        let is_temporary = !path.starts_with("journal/") && path.contains(".tmp-");
        self.bug == FileBug::NamedBeforeWritten && is_temporary
    }
}

/// What a file in a directory of its own, or one that has its name, is for.
fn data_of(path: &str, is_frame: bool) -> Option<Data> {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    match directory {
        "images" => Some(Data::Images),
        "sources" => Some(Data::Sources),
        "versions" => Some(Data::Versions),
        "pack" => Some(Data::Catalogue),
        "journal" if path.ends_with("settled") => Some(Data::Settled),
        "journal" if is_frame => Some(Data::Frames),
        "journal" => Some(Data::Zeros),
        _ => match path {
            "store.json" => Some(Data::Manifest),
            "aliases.json" | "syntactic-index.json" => Some(Data::FlatMaps),
            _ => None,
        },
    }
}

impl fmt::Display for BuggyVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl Vfs for BuggyVfs {
    fn create_root(&self) -> io::Result<()> {
        self.inner.create_root()
    }

    fn wait_for_root(&self) -> io::Result<()> {
        self.inner.wait_for_root()
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.inner.create_directory(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.inner.list(path)
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        self.inner.read(path, limit)
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        self.inner.length(path)
    }

    fn stamp(&self, path: &str) -> io::Result<Stamp> {
        self.inner.stamp(path)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        Ok(self.file(path, self.inner.create(path)?))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        Ok(self.file(path, self.inner.open(path)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (is_synced_late, written_late) = {
            let mut late = self.late.lock().unwrap();
            (late.synced.remove(from), late.written.remove(from))
        };
        let is_there = self.inner.read(to, u64::MAX).is_ok();
        match self.bug {
            FileBug::NotSynced(data) if is_synced_late && data_of(to, false) != Some(data) => {
                self.inner.open(from)?.sync()?;
            }
            FileBug::RemovedBeforeReplaced if is_there => self.inner.remove(to)?,
            FileBug::WrittenInPlace if is_there => {
                let bytes = self.inner.read(from, u64::MAX)?;
                let mut file = self.inner.open(to)?;
                file.set_length(0)?;
                file.write_all_at(0, &bytes)?;
                file.sync()?;
                return self.inner.remove(from);
            }
            _ => {}
        }
        self.inner.rename(from, to)?;
        if let Some(bytes) = written_late {
            let mut file = self.inner.open(to)?;
            file.write_all_at(0, &bytes)?;
            file.sync()?;
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.inner.remove_directory(path)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        match self.bug {
            FileBug::DirectoryNotSynced(directory) if directory == path => Ok(()),
            _ => self.inner.sync_directory(path),
        }
    }

    fn lock(&self, path: &str) -> io::Result<VfsLock> {
        match self.bug {
            FileBug::NotLocked => Ok(VfsLock::new(())),
            _ => self.inner.lock(path),
        }
    }

    fn check_lock(&self) -> io::Result<()> {
        self.inner.check_lock()
    }
}

#[derive(Debug)]
struct BuggyFile {
    inner: Box<dyn VfsFile>,
    vfs: BuggyVfs,
    path: String,
    wrote_frame: bool,
}

impl VfsFile for BuggyFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.wrote_frame = bytes.starts_with(b"\xffCJF");
        if self.vfs.is_late(&self.path) {
            let mut late = self.vfs.late.lock().unwrap();
            let content = late.written.entry(self.path.clone()).or_default();
            content.truncate(usize::try_from(offset).unwrap());
            content.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        self.inner.write_at(offset, bytes)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.inner.set_length(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.vfs.bug {
            FileBug::NotSynced(Data::Manifest | Data::FlatMaps) if self.path.starts_with(".tmp-") => {
                self.vfs.late.lock().unwrap().synced.insert(self.path.clone());
                Ok(())
            }
            FileBug::NotSynced(data) if data_of(&self.path, self.wrote_frame) == Some(data) => Ok(()),
            _ if self.vfs.is_late(&self.path) => Ok(()),
            _ => self.inner.sync(),
        }
    }
}
