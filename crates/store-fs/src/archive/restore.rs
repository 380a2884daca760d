//! From an archive to a store: a new directory that gets its name when it is whole, or commits.

use std::sync::Arc;

use constellation_store_core::{
    Clock, Commit, ErrorKind, Operation, Origin, PipelineName, Result, StoreError, SystemClock,
};

use super::{CheckedArchive, OPERATION};
use crate::documents::{encode_flat_map, encode_history};
use crate::error::FileError;
use crate::layout::{
    ALIASES, IMAGES, INDEX, JOURNAL, LOCK, MANIFEST, SOURCES, VERSIONS, image_path, source_path,
    versions_path,
};
use crate::manifest::new_id;
use crate::seeded::{self, SeededBug};
use crate::vfs::{EntryKind, Vfs};

/// How many images, sources or index entries share a commit.
const CHUNK: usize = 128;

/// One commit of an import.
#[derive(Debug)]
pub struct ImportStep {
    /// The name that it publishes; none for content.
    pub name: Option<PipelineName>,
    /// The commit.
    pub commit: Commit,
}

impl CheckedArchive {
    /// Writes the files as the directory `name` of `parent`, which is not there or empty: under another name first,
    /// so that it is there wholly or not at all. Opening it then makes it a store, whose names have the histories
    /// that they had.
    ///
    /// # Errors
    ///
    /// `StorageFull`, `Unavailable`: a file access failed. What was written stays under the other name, which the
    /// context tells, and can be removed.
    pub fn create_directory(
        &self,
        parent: &dyn Vfs,
        name: &str,
        mut progress: impl FnMut(u64),
    ) -> Result<()> {
        let temporary = format!("{}{}", unfinished_prefix(name), new_id(SystemClock.now()));
        let result = parent
            .create_root()
            .and_then(|()| parent.wait_for_root())
            .map_err(FileError::at("create", "."))
            .and_then(|()| self.write(parent, &temporary, &mut progress))
            .and_then(|()| put_in_place(parent, &temporary, name));
        result.map_err(|error| error.into_store_error(OPERATION).with("unfinished", temporary))
    }

    fn write(&self, parent: &dyn Vfs, root: &str, progress: &mut dyn FnMut(u64)) -> Result<(), FileError> {
        let make = |path: &str| parent.create_directory(path).map_err(FileError::at("create", path));
        let sync = |path: &str| parent.sync_directory(path).map_err(FileError::at("sync", path));
        let mut done = 0;
        let mut put = |path: &str, bytes: &[u8]| {
            let path = format!("{root}/{path}");
            let mut file = parent.create(&path).map_err(FileError::at("create", &path))?;
            file.write_all_at(0, bytes).map_err(FileError::at("write", &path))?;
            file.sync().map_err(FileError::at("sync", &path))?;
            done += 1;
            progress(done);
            Ok(())
        };
        let archive = &self.0;
        make(root)?;
        for directory in [IMAGES, SOURCES, VERSIONS] {
            make(&format!("{root}/{directory}"))?;
        }
        for (hash, image) in &archive.images {
            put(&image_path(hash), &image.encode())?;
        }
        for (hash, text) in &archive.sources {
            put(&source_path(hash), text.as_bytes())?;
        }
        for (name, history) in &archive.histories {
            put(&versions_path(name), &encode_history(history))?;
        }
        let aliases = archive.histories.values().filter_map(|history| {
            Some((history.pipeline_name.to_string(), history.active()?.structural_hash))
        });
        put(ALIASES, &encode_flat_map(aliases))?;
        let entries = archive.index.iter().map(|(key, hash)| (key.to_string(), *hash));
        put(INDEX, &encode_flat_map(entries))?;
        for directory in [IMAGES, SOURCES, VERSIONS] {
            sync(&format!("{root}/{directory}"))?;
        }
        sync(root)
    }

    /// The commits that bring the archive into a store that has content of its own: first all images, sources and
    /// index entries, some at a time, then one for each name, which makes the active version of the archive a new
    /// version of the store, unless it is active there already. Older versions are not taken over, since their
    /// numbers may be in use; their images are.
    pub fn steps(&self) -> Vec<ImportStep> {
        let archive = &self.0;
        let images = archive.images.values().map(|image| Operation::PutImage(Arc::clone(image)));
        let sources = archive.sources.values().map(|text| Operation::PutSource(Arc::clone(text)));
        let entries =
            archive.index.iter().map(|(key, hash)| Operation::Index { key: *key, structural_hash: *hash });
        let operations: Vec<Operation> = images.chain(sources).chain(entries).collect();
        let content = operations.chunks(CHUNK).map(|operations| ImportStep {
            name: None,
            commit: Commit { preconditions: Vec::new(), operations: operations.to_vec() },
        });
        let names = archive.histories.iter().filter_map(|(name, history)| {
            let active = history.get(history.active_version?)?;
            let operation = Operation::RecordVersion {
                name: name.clone(),
                structural_hash: active.structural_hash,
                origin: Origin::Import,
                source_hash: active.source_hash,
            };
            Some(ImportStep { name: Some(name.clone()), commit: Commit::new().then(operation) })
        });
        content.chain(names).collect()
    }
}

/// Gives a new store its name, durably. Nobody else opens it before that is done: what is committed then would be taken
/// back with the name.
fn put_in_place(parent: &dyn Vfs, temporary: &str, name: &str) -> Result<(), FileError> {
    let path = format!("{temporary}/{LOCK}");
    // Elsewhere a directory cannot be renamed while a file in it is open.
    let is_locked = cfg!(unix) && !seeded::is_on(SeededBug::ImportNotLocked);
    let _lock = is_locked.then(|| parent.lock(&path)).transpose().map_err(FileError::at("lock", &path))?;
    parent.rename(temporary, name).map_err(FileError::at("rename to", name))?;
    parent.sync_directory("").map_err(|error| {
        // A later sync would prove nothing.
        let _ = parent.rename(name, temporary);
        FileError::new("sync", ".", error)
    })
}

/// What an import into the directory `name` begins its other name with.
fn unfinished_prefix(name: &str) -> String {
    format!(".{name}.import-")
}

/// The directories that imports into the directory `name` of `parent` left before they came to their end, as
/// [`CheckedArchive::create_directory`] names them. They can be removed, unless an import is still under way.
///
/// # Errors
///
/// `Unavailable` when `parent` cannot be read.
pub fn unfinished_imports(parent: &dyn Vfs, name: &str) -> Result<Vec<String>> {
    let prefix = unfinished_prefix(name);
    let entries = parent.list("").map_err(FileError::at("list", "."));
    let entries = entries.map_err(|error| error.into_store_error(OPERATION))?;
    let directories = entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory);
    Ok(directories.map(|entry| entry.name).filter(|entry| entry.starts_with(&prefix)).collect())
}

/// Whether a directory is there and holds something, and whether that is a store.
///
/// # Errors
///
/// `Unavailable` when it cannot be read, or is no directory.
pub fn occupant(vfs: &dyn Vfs) -> Result<Occupant> {
    match vfs.list("").map_err(FileError::at("list", ".")) {
        Ok(mut entries) => {
            let own = [MANIFEST, JOURNAL, IMAGES, VERSIONS, ALIASES];
            let is_store = entries.iter().any(|entry| own.contains(&entry.name.as_str()));
            // That of a file system is in the root of each.
            entries.retain(|entry| entry.name != "lost+found");
            // A new store has no more when its process is killed early.
            let is_young = entries.iter().all(|entry| entry.name == LOCK);
            if entries.is_empty() {
                Ok(Occupant::Nothing)
            } else if is_store || is_young {
                Ok(Occupant::Store)
            } else {
                Ok(Occupant::Other)
            }
        }
        Err(error) if error.is_not_found() => Ok(Occupant::Nothing),
        Err(error) => {
            let message = "it is not a directory that can be read";
            Err(StoreError::new(ErrorKind::Unavailable, "open store", message)
                .with("store", vfs)
                .with_source(error))
        }
    }
}

/// What is in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupant {
    /// It is not there, or as empty as a file system can be.
    Nothing,
    /// A store.
    Store,
    /// Something else.
    Other,
}
