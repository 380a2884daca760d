//! Files that appear whole or not at all, and the quarantine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::FileError;
use crate::layout::{CATALOGUE, JOURNAL, MANIFEST, PACK, QUARANTINE, TEMPORARY_PREFIX};
use crate::parallel::{self, MANY_FILES};
use crate::seeded::{self, SeededBug};
use crate::vfs::{EntryKind, Vfs, VfsFile, directories_of, parent};

/// How many names for a temporary or quarantined file are tried.
const NAME_ATTEMPTS: u64 = 1000;

/// Writes files of a store whose lock is held. Copies may be used at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) vfs: Arc<dyn Vfs>,
    next_temporary: Arc<AtomicU64>,
}

impl Files {
    pub(crate) fn new(vfs: Arc<dyn Vfs>) -> Self {
        Self { vfs, next_temporary: Arc::default() }
    }

    /// Writes a file under another name, makes its data durable, and gives it its name. The entry is durable after
    /// a sync of the directory.
    pub(crate) fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), FileError> {
        self.replace_from(parent(path), path, bytes)
    }

    /// The same by way of another directory, so that nothing changes in that of the file but the file itself.
    pub(crate) fn replace_from(&self, directory: &str, path: &str, bytes: &[u8]) -> Result<(), FileError> {
        let (temporary, file) = self.create_temporary(directory, path)?;
        let written = write(file, &temporary, bytes, true);
        self.put_in_place(&[(temporary, path)], written)
    }

    /// Writes files as [`Files::replace`] does, with one sync for all of them, as `encode` makes them. After a failure
    /// some may be there.
    ///
    /// Many are written by two threads. Those of a directory share one if there are two directories, since a file
    /// system lets one thread at a time change a directory.
    pub(crate) fn replace_all<C: Sync>(
        &self,
        files: &[(String, C)],
        encode: impl Fn(&str, &C) -> Vec<u8> + Sync,
    ) -> Result<(), FileError> {
        let parts = if files.len() < MANY_FILES { vec![files] } else { halves(files) };
        let (names, outcomes): (Vec<_>, Vec<_>) =
            parallel::each(parts.into_iter(), |part| self.write_all(part, &encode)).into_iter().unzip();
        let written = outcomes.into_iter().collect::<Result<(), _>>().and_then(|()| {
            let paths: Vec<String> = names.iter().flatten().map(|(temporary, _)| temporary.clone()).collect();
            let first = paths.first().map_or("", String::as_str);
            self.vfs.sync_files(&paths).map_err(FileError::at("sync", first))
        });
        let renamed = parallel::each(names.into_iter(), |names| self.put_in_place(&names, written.clone()));
        renamed.into_iter().collect()
    }

    /// Writes files under other names. Returns those that were made, whatever came of them.
    fn write_all<'a, C>(
        &self,
        files: &'a [(String, C)],
        encode: impl Fn(&str, &C) -> Vec<u8>,
    ) -> (Vec<(String, &'a str)>, Result<(), FileError>) {
        let mut names = Vec::with_capacity(files.len());
        let written = files.iter().try_for_each(|(path, content)| {
            let bytes = encode(path, content);
            let (temporary, file) = self.create_temporary(parent(path), path)?;
            names.push((temporary, path.as_str()));
            write(file, &names[names.len() - 1].0, &bytes, false)
        });
        (names, written)
    }

    /// Makes files durable that were there when the store was opened; those of a directory follow one another.
    ///
    /// Who restored a copy or checked it out may not have synced it, and a process that renamed a file into place may
    /// have been killed before the sync of its directory. Commits refer to these files from then on.
    pub(crate) fn confirm(&self, files: &[String]) -> Result<(), FileError> {
        let Some(first) = files.first().filter(|_| !seeded::is_on(SeededBug::FilesBelieved)) else {
            return Ok(());
        };
        self.vfs.sync_files(files).map_err(FileError::at("sync", first))?;
        directories_of(files).try_for_each(|directory| self.sync_directory(directory))
    }

    /// Makes durable what others removed from a directory, if it is there: a catalogue that came back would be believed
    /// again, and say other things than what was read.
    pub(crate) fn confirm_removals(&self, directory: &str) -> Result<(), FileError> {
        if seeded::is_on(SeededBug::RemovedCatalogueForgotten) {
            return Ok(());
        }
        match self.sync_directory(directory) {
            Err(error) if error.is_not_found() || error.is_not_a_directory() => Ok(()),
            synced => synced,
        }
    }

    /// Makes a file that is to become that of `path`. Its name is nobody else's: where one is taken, also by what
    /// cannot be removed, there is another.
    fn create_temporary(&self, directory: &str, path: &str) -> Result<(String, Box<dyn VfsFile>), FileError> {
        let separator = if directory.is_empty() { "" } else { "/" };
        let mut attempts = 1;
        loop {
            let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
            let temporary = if seeded::is_on(SeededBug::OneTemporaryName) {
                let name = path.rsplit('/').next().unwrap_or(path);
                format!("{directory}{separator}{TEMPORARY_PREFIX}{name}")
            } else {
                format!("{directory}{separator}{TEMPORARY_PREFIX}{number:x}")
            };
            match self.vfs.create(&temporary) {
                Ok(file) => return Ok((temporary, file)),
                // Left by an earlier opening, and could not be removed.
                Err(error)
                    if error.kind() == std::io::ErrorKind::AlreadyExists && attempts < NAME_ATTEMPTS =>
                {
                    attempts += 1;
                }
                Err(error) => return Err(FileError::new("create", &temporary, error)),
            }
        }
    }

    /// Gives files their names, in order, if they were written; otherwise removes them.
    fn put_in_place(
        &self,
        names: &[(String, &str)],
        written: Result<(), FileError>,
    ) -> Result<(), FileError> {
        let mut n_renamed = 0;
        let renamed = written.and_then(|()| {
            names.iter().try_for_each(|(temporary, path)| {
                self.vfs.rename(temporary, path).map_err(FileError::at("rename to", path))?;
                n_renamed += 1;
                Ok(())
            })
        });
        for (temporary, _) in &names[n_renamed..] {
            // Only to save room: the next opening sweeps it.
            let _ = self.vfs.remove(temporary);
        }
        renamed
    }

    /// Makes a directory below the root, durably, unless there is something in it.
    ///
    /// An empty one is made anew. If the sync failed that was to make it durable, another one need not do so; and
    /// until one succeeded nothing is put into it.
    pub(crate) fn ensure_directory(&self, path: &str) -> Result<(), FileError> {
        if !seeded::is_on(SeededBug::EmptyDirectoryBelieved) {
            // It fails where there is none, and where there is something in it.
            let _ = self.vfs.remove_directory(path);
        }
        match self.vfs.create_directory(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(FileError::new("create", path, error))
            }
            // It may be there without being durable, so it is synced in either case.
            _ => self.sync_directory(""),
        }
    }

    /// Makes the directory of the journal. Returns whether a catalogue that `is_believed` is still there.
    ///
    /// If it is, the directory was durable before the catalogue was written, and stays if it is empty, so that an opening
    /// takes no room. Where the directory is missing the catalogue goes first: the next opening could not tell one that
    /// was made and could not be synced from one that is durable.
    ///
    /// What others removed from it is made durable: a segment that came back would be applied, to files that are newer
    /// or of another store.
    pub(crate) fn make_journal(&self, is_believed: bool) -> Result<bool, FileError> {
        let is_known = is_believed && (self.has_journal() || seeded::is_on(SeededBug::MissingJournalMade));
        if is_believed && !is_known {
            self.remove(CATALOGUE)?;
            self.sync_directory(PACK)?;
        }
        if is_known { self.sync_directory("") } else { self.ensure_directory(JOURNAL) }?;
        if !seeded::is_on(SeededBug::RemovalsBelieved) {
            self.sync_directory(JOURNAL)?;
        }
        Ok(is_known)
    }

    /// What is there and cannot be read is found out when it is used.
    fn has_journal(&self) -> bool {
        let listed = self.vfs.list(JOURNAL).map_err(FileError::at("list", JOURNAL));
        !listed.is_err_and(|error| error.is_not_found())
    }

    pub(crate) fn sync_directory(&self, path: &str) -> Result<(), FileError> {
        self.vfs.sync_directory(path).map_err(FileError::at("sync", if path.is_empty() { "." } else { path }))
    }

    /// Removes a file, unless it is not there.
    pub(crate) fn remove(&self, path: &str) -> Result<(), FileError> {
        match self.vfs.remove(path).map_err(FileError::at("remove", path)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what earlier openings left unfinished. `leftovers` are those in the directories of content, which are
    /// large and listed only where the JSON files are read. What cannot be removed stays and does no harm.
    pub(crate) fn sweep(&self, leftovers: &[String]) {
        if seeded::is_on(SeededBug::SweepSkipped) {
            return;
        }
        for directory in ["", JOURNAL, PACK, QUARANTINE] {
            let Ok(entries) = self.vfs.list(directory) else { continue };
            for entry in entries {
                if entry.kind == EntryKind::File && entry.name.starts_with(TEMPORARY_PREFIX) {
                    let separator = if directory.is_empty() { "" } else { "/" };
                    let _ = self.vfs.remove(&format!("{directory}{separator}{}", entry.name));
                }
            }
        }
        for path in leftovers {
            let _ = self.vfs.remove(path);
        }
    }

    /// Moves a damaged file, or with `keep` copies it, to the quarantine, with the reason beside it. Returns where
    /// it is now.
    pub(crate) fn quarantine(
        &self,
        path: &str,
        reason: &str,
        keep: Option<&[u8]>,
    ) -> Result<String, FileError> {
        self.ensure_directory(QUARANTINE)?;
        let taken = self.vfs.list(QUARANTINE).map_err(FileError::at("list", QUARANTINE))?;
        let flat = path.replace('/', "-");
        let target = (1..NAME_ATTEMPTS)
            .map(|number| if number == 1 { flat.clone() } else { format!("{flat}.{number}") })
            .find(|name| !taken.iter().any(|entry| entry.name == *name))
            .unwrap_or(flat);
        let target = format!("{QUARANTINE}/{target}");
        self.replace(&format!("{target}.reason"), format!("{path}: {reason}\n").as_bytes())?;
        match keep {
            Some(bytes) => self.replace(&target, bytes)?,
            None if seeded::is_on(SeededBug::QuarantineRemoves) => self.remove(path)?,
            None => self.vfs.rename(path, &target).map_err(FileError::at("move", path))?,
        }
        if let Err(error) = self.sync_directory(QUARANTINE) {
            // A later sync would prove nothing. From where it was it can be moved again.
            if keep.is_none() {
                let _ = self.vfs.rename(&target, path);
            }
            return Err(error);
        }
        if keep.is_none() {
            self.sync_directory(parent(path))?;
        }
        Ok(target)
    }

    /// Writes `store.json`, durably.
    pub(crate) fn write_manifest(&self, bytes: &[u8]) -> Result<(), FileError> {
        self.replace(MANIFEST, bytes)?;
        self.sync_directory("")
    }
}

/// Files in two parts, by directory if they are of several.
fn halves<C>(files: &[(String, C)]) -> Vec<&[(String, C)]> {
    let first = files.first().map_or("", |(path, _)| parent(path));
    let of_first = files.partition_point(|(path, _)| parent(path) == first);
    let (left, right) = files.split_at(if of_first == files.len() { of_first / 2 } else { of_first });
    vec![left, right]
}

fn write(mut file: Box<dyn VfsFile>, path: &str, bytes: &[u8], is_synced: bool) -> Result<(), FileError> {
    file.write_all_at(0, bytes).map_err(FileError::at("write", path))?;
    if is_synced { file.sync().map_err(FileError::at("sync", path)) } else { Ok(()) }
}
