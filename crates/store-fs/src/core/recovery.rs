//! Opening: from whatever the files hold to a state.
//!
//! Reading changes nothing. What is to be put aside or written again is noted, and done by a core that opens for
//! writing.

mod adopt;
mod json;
mod replay;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use constellation_store_core::{
    CheckedImage, ErrorKind, PipelineName, Result, Revision, StoreError, StructuralHash, Timestamp,
    VersionHistory,
};
use constellation_store_mem::{Change, Parts, State};

use super::checkpoint::{MAX_DOCUMENT_BYTES, aliases};
use super::dirty::Dirty;
use super::files::Files;
use super::health::{Content, Warning};
use super::misplaced::Misplaced;
use crate::catalogue::{Catalogue, read_catalogue, stamps};
use crate::documents::is_of_the_reference;
use crate::error::{FileError, in_one_line};
use crate::journal::{Found, read_journal};
use crate::layout::{ALIASES, CATALOGUE, IMAGES, INDEX, MANIFEST, MAX_COUNT, image_path};
use crate::manifest::{Manifest, new_id};
use crate::seeded::{self, SeededBug};
use crate::vfs::{EntryKind, Vfs};
use adopt::Lost;
use json::{Histories, Json, Notes};

const OPERATION: &str = "open store";
/// How many single findings of a kind are told in the status. All are logged.
const MAX_TOLD: usize = 20;

/// What the files of a directory come to.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) state: State,
    /// None when there is none, or a damaged one.
    pub(crate) manifest: Option<Manifest>,
    pub(crate) found: Found,
    /// None when the JSON files were read instead.
    pub(crate) catalogue: Option<CatalogueEnd>,
    pub(crate) dirty: Dirty,
    pub(crate) warnings: Vec<Warning>,
    /// Whether the files lack something that cannot be read from them again once they change.
    pub(crate) is_repaired: bool,
    /// The files that were read, those of a directory after one another; none where the catalogue was believed.
    pub(crate) files: Vec<String>,
    /// What earlier openings left unfinished beside the files that were read.
    pub(crate) leftovers: Vec<String>,
    /// Files that failed their check, and those that are to be put aside for another reason.
    pub(super) damage: Vec<Damage>,
    pub(super) misplaced: Vec<Misplaced>,
    /// Files that something leads to, and that were in no listing.
    missed: Vec<String>,
    /// What `store.json` had, damaged or not, to be told from what a checkpoint writes meanwhile.
    manifest_bytes: Option<Vec<u8>>,
}

/// How long a catalogue is that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CatalogueEnd {
    pub(crate) sections: u64,
    pub(crate) first_bytes: u64,
    pub(crate) bytes: u64,
}

/// A file that failed its check.
#[derive(Debug)]
pub(super) struct Damage {
    path: String,
    reason: String,
    /// Whether it stays until something takes its place.
    stays: bool,
}

/// A journal without segments.
pub(crate) fn nothing_found() -> Found {
    Found::default()
}

/// Refuses a directory that this version must not touch.
///
/// # Errors
///
/// `UnsupportedFormat`; those of reading.
pub(crate) fn refuse_foreign(vfs: &dyn Vfs) -> Result<()> {
    if let Some(bytes) = read_file(vfs, MANIFEST)? {
        return match bytes.map(|bytes| Manifest::decode(&bytes)) {
            Ok(Err(error)) if error.kind() == ErrorKind::UnsupportedFormat => Err(error.with("store", vfs)),
            _ => Ok(()),
        };
    }
    let Ok(entries) = vfs.list(IMAGES) else { return Ok(()) };
    for entry in entries {
        if entry.kind != EntryKind::File || entry.name.strip_suffix(".json").is_none() {
            continue;
        }
        let Some(Ok(bytes)) = read_file(vfs, &format!("{IMAGES}/{}", entry.name))? else { continue };
        // One that can be read tells: nobody mixes the images of both.
        if CheckedImage::read(&bytes).is_ok() {
            return Ok(());
        }
        if is_of_the_reference(&bytes) {
            let message = "its images were made by the reference implementation, which leaves out what literals and lambdas say; use an empty directory and compile the sources";
            return Err(StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, message).with("store", vfs));
        }
    }
    Ok(())
}

/// The bytes of a file, none when there is none, or why it can never be read.
pub(super) fn read_file(vfs: &dyn Vfs, path: &str) -> Result<Option<Result<Vec<u8>, FileError>>> {
    match vfs.read(path, MAX_DOCUMENT_BYTES).map_err(FileError::at("read", path)) {
        Ok(bytes) => Ok(Some(Ok(bytes))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) if error.is_unusable() => Ok(Some(Err(error))),
        Err(error) => Err(error.into_store_error(OPERATION)),
    }
}

/// Reads everything.
///
/// # Errors
///
/// Refusals as those of [`Core::open`](super::Core::open), and failed file accesses. Never because of damage.
pub(crate) fn read(vfs: &dyn Vfs) -> Result<Reading> {
    let mut reader = Reader {
        vfs,
        notes: Notes::new(vfs),
        dirty: Dirty::default(),
        missed: Vec::new(),
        activated: BTreeMap::new(),
        added: BTreeSet::new(),
    };
    if let Err(error) = vfs.list("").map_err(FileError::at("list", ".")) {
        return Err(error.into_store_error(OPERATION).with("store", vfs));
    }
    let (manifest, manifest_bytes) = reader.manifest()?;
    // The journal is read last. Whoever writes meanwhile puts things there before they get into the files, so what
    // is read is never behind what was read before; see `is_current` for the rest.
    let catalogue = match &manifest {
        Some(manifest) => reader.catalogue(manifest)?,
        None => None,
    };
    let (content, end) = match catalogue {
        Some(Catalogue { content, stamps: _, sections, first_bytes, bytes }) => {
            (content.into_parts(), Some(CatalogueEnd { sections, first_bytes, bytes }))
        }
        None => (Parts::default(), None),
    };
    let Json { mut parts, histories, salvaged, aliases, has_aliases } = if end.is_some() {
        Json { parts: content, ..Json::default() }
    } else {
        reader.notes.files.extend(manifest.is_some().then(|| MANIFEST.to_owned()));
        reader.json()?
    };
    parts.revision = manifest.as_ref().map_or(Revision(0), |manifest| manifest.revision);
    if seeded::is_on(SeededBug::RevisionForgotten) {
        parts.revision = Revision(0);
    }

    let found = read_journal(vfs, manifest.as_ref().map_or(0, |manifest| manifest.sequence))?;
    if let (Some(manifest), Some(store)) = (&manifest, found.store)
        && manifest.store_id != store
        && !seeded::is_on(SeededBug::ForeignJournalApplied)
    {
        let message = "the journal is of another store; move the directory 'journal' to where it belongs";
        return Err(StoreError::new(ErrorKind::Corrupt, OPERATION, message)
            .with("store", vfs)
            .with("storeId", manifest.store_id)
            .with("journalOf", store));
    }
    let mut is_repaired = !found.damaged.is_empty();
    for segment in &found.damaged {
        reader.notes.damaged(&segment.path, &segment.reason, segment.is_readable);
    }
    let mut misplaced = Vec::new();
    if end.is_none() {
        let unrepaired = seeded::is_on(SeededBug::PutRightUnrepaired).then(|| histories.clone());
        let lost = Lost { histories, salvaged, aliases: &aliases, has_aliases };
        let (histories, is_adopted) = reader.adopt(manifest.as_ref(), &found, lost, &parts.summaries)?;
        is_repaired |= is_adopted;
        // With what was repaired: after a kill the next opening may find this alone, and nothing to repair.
        misplaced = reader.misplaced(unrepaired.as_ref().unwrap_or(&histories));
        parts.histories = histories.into_iter().map(|(name, history)| (name, Arc::new(history))).collect();
    }

    let mut state = State::from_parts(parts);
    let has_frames = reader.replay(&mut state, manifest.as_ref(), &found)?;
    reader.check_active(&mut state);
    reader.check_references(&mut state);
    if end.is_none() {
        let is_settled = !has_frames && manifest.is_some();
        reader.check_aliases(&state, is_settled, &aliases);
    }
    let n_unchecked = reader.notes.n_unchecked;
    if n_unchecked > 0 {
        let message = format!("{n_unchecked} files have no checksum; they were taken as they are");
        reader.warn(message);
    }
    let Reader { notes: Notes { damage, warnings, files, leftovers, .. }, dirty, mut missed, .. } = reader;
    if end.is_some() {
        // Nothing was listed.
        missed.clear();
    } else if !missed.is_empty() {
        let listed: BTreeSet<&String> = files.iter().collect();
        missed.retain(|path| !listed.contains(path));
    }
    for Warning { text, .. } in &warnings {
        tracing::warn!(store = %vfs, "{text}");
    }
    let catalogue = end;
    Ok(Reading {
        state,
        manifest,
        found,
        catalogue,
        dirty,
        warnings,
        is_repaired,
        files,
        leftovers,
        damage,
        misplaced,
        missed,
        manifest_bytes,
    })
}

impl Reading {
    /// Whether no checkpoint was finished since the reading began, so that what was read fits together, and no listing
    /// missed what a rename replaced meanwhile.
    pub(crate) fn is_current(&self, vfs: &dyn Vfs) -> Result<bool> {
        let bytes = read_file(vfs, MANIFEST)?.and_then(Result::ok);
        let is_there = |path: &String| vfs.length(path).is_ok();
        let is_believed = seeded::is_on(SeededBug::MissedEntriesBelieved);
        Ok(bytes == self.manifest_bytes && (is_believed || !self.missed.iter().any(is_there)))
    }

    /// Refuses to count on from numbers that no version counts to: what is written then would not be read.
    pub(crate) fn refuse_spent_numbers(&self) -> Result<()> {
        let manifest = self.manifest.as_ref().map_or(0, |manifest| manifest.epoch.max(manifest.sequence));
        let sequence = self.found.frames.keys().next_back().copied().unwrap_or(0);
        let greatest = self.found.epoch.max(sequence).max(manifest);
        if greatest < MAX_COUNT / 2 {
            return Ok(());
        }
        let message = "its journal has a number that no version counts to; move the segment that has it in its name away, or export the store to a new one";
        Err(StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, message).with("number", greatest))
    }

    /// The manifest of a directory without one: that of the store which its journal is of, else a new one.
    ///
    /// A journal without `store.json` is not lost. Its changes say how things are, not how they differ, so that
    /// applying all of them again to files that may be newer ends in the same state.
    pub(crate) fn new_manifest(&self, now: Timestamp) -> Manifest {
        let mut manifest = Manifest::new(self.found.store.unwrap_or_else(|| new_id(now)), new_id(now));
        manifest.epoch = self.found.epoch;
        manifest.sequence = self.found.frames.keys().next().map_or(0, |first| first.saturating_sub(1));
        manifest.revision = self.state.revision();
        manifest
    }
}

/// Puts damaged files aside. Those that cannot be put aside now stay in the list, to be tried again: nothing may take
/// their place before.
///
/// # Errors
///
/// The first failure.
pub(super) fn quarantine(files: &Files, damage: &mut Vec<Damage>) -> Result<(), FileError> {
    let mut kept = Ok(());
    damage.retain(|Damage { path, reason, stays }| {
        let put_aside = if *stays {
            let bytes = files.vfs.read(path, u64::MAX).map_err(FileError::at("read", path));
            bytes.and_then(|bytes| files.quarantine(path, reason, Some(&bytes)))
        } else {
            files.quarantine(path, reason, None)
        };
        match put_aside {
            Err(error) if !error.is_not_found() => {
                if kept.is_ok() {
                    kept = Err(error);
                }
                true
            }
            _ => false,
        }
    });
    kept
}

struct Reader<'a> {
    vfs: &'a dyn Vfs,
    notes: Notes<'a>,
    dirty: Dirty,
    /// Files that something leads to, and that are not there, or were missed.
    missed: Vec<String>,
    /// What the journal activated last.
    activated: BTreeMap<PipelineName, u64>,
    /// The images that the journal added.
    added: BTreeSet<StructuralHash>,
}

impl Reader<'_> {
    fn warn(&mut self, warning: impl Into<Warning>) {
        self.notes.warn(warning);
    }

    /// The documents that are to get their own files, and what those are to say.
    fn misplaced(&mut self, histories: &Histories) -> Vec<Misplaced> {
        let found = std::mem::take(&mut self.notes.misplaced);
        for (name, path) in &found {
            self.warn(format!("'{path}' is the version document of '{name}', which gets its own file"));
        }
        let found = found.into_iter();
        found.map(|(name, path)| Misplaced { path, history: histories[&name].clone() }).collect()
    }

    fn manifest(&mut self) -> Result<(Option<Manifest>, Option<Vec<u8>>)> {
        let (reason, bytes) = match read_file(self.vfs, MANIFEST)? {
            None => return Ok((None, None)),
            Some(Ok(bytes)) => match Manifest::decode(&bytes) {
                Ok(manifest) => return Ok((Some(manifest), Some(bytes))),
                Err(error) if error.kind() == ErrorKind::UnsupportedFormat => return Err(error),
                Err(error) => (in_one_line(&error), Some(bytes)),
            },
            Some(Err(error)) => (error.to_string(), None),
        };
        self.notes.damaged(MANIFEST, &reason, false);
        Ok((None, bytes))
    }

    /// The catalogue, if it fits. If not, nothing is wrong: the files have everything.
    fn catalogue(&self, manifest: &Manifest) -> Result<Option<Catalogue>> {
        let read = self
            .vfs
            .reader(CATALOGUE, MAX_DOCUMENT_BYTES)
            .and_then(|file| read_catalogue(file, manifest.store_id, manifest.checkpoint_id));
        let catalogue = match read.map_err(FileError::at("read", CATALOGUE)) {
            Ok(Some(catalogue)) => catalogue,
            Ok(None) => return Ok(None),
            Err(error) if error.is_not_found() || error.is_unusable() => return Ok(None),
            Err(error) => return Err(error.into_store_error(OPERATION)),
        };
        let stamps = stamps(self.vfs).map_err(|error| error.into_store_error(OPERATION))?;
        let fits = catalogue.stamps == stamps || seeded::is_on(SeededBug::CatalogueWithAnyStamps);
        Ok(fits.then_some(catalogue))
    }

    /// Where the journal activated a version that was lost with its document, the newest one that is known is
    /// active, and numbers go on above the lost one.
    fn check_active(&mut self, state: &mut State) {
        if seeded::is_on(SeededBug::LostActiveKept) {
            return;
        }
        let mut corrected = Vec::new();
        for (name, version) in std::mem::take(&mut self.activated) {
            let Some(history) = state.versions(&name) else { continue };
            if history.next_version > version
                && history.active_version.is_none_or(|active| history.get(active).is_some())
            {
                continue;
            }
            let mut history = VersionHistory::clone(history);
            history.next_version = history.next_version.max(version.saturating_add(1));
            if history.active().is_none() {
                history.active_version = history.versions.last().map(|version| version.version);
            }
            self.warn(format!(
                "version {version} of '{name}' was active and is lost; the newest known one is active"
            ));
            self.dirty.names.insert(name);
            self.dirty.aliases = true;
            corrected.push(history);
        }
        for history in corrected {
            state.put_history(history);
        }
    }

    /// Drops index entries that lead nowhere, so that what they led to is compiled again, and tells which versions
    /// refer to images that are not there.
    fn check_references(&mut self, state: &mut State) {
        let dangling = state.dangling();
        let hashes = dangling.images.iter().map(|(hash, _)| hash);
        let hashes = hashes.chain(dangling.index.iter().map(|entry| &entry.structural_hash));
        self.missed.extend(hashes.map(image_path));
        if !dangling.index.is_empty() && !seeded::is_on(SeededBug::DanglingIndexKept) {
            let text = format!(
                "{} entries of '{INDEX}' led to images that are not there; they were dropped",
                dangling.index.len()
            );
            let images = dangling.index.iter().map(|entry| Content::Image(entry.structural_hash));
            self.warn(Warning::until_stored(text, images.collect()));
            let removals: Vec<_> =
                dangling.index.iter().map(|entry| Change::IndexRemoved { key: entry.key }).collect();
            for removal in &removals {
                self.dirty.note(removal);
            }
            state.replay(state.revision(), &removals);
        }
        for (place, (hash, holders)) in dangling.images.iter().enumerate() {
            if place == MAX_TOLD {
                let text = format!("{} more images are missing", dangling.images.len() - MAX_TOLD);
                let images = dangling.images[place..].iter().map(|(hash, _)| Content::Image(*hash));
                self.warn(Warning::until_stored(text, images.collect()));
                break;
            }
            let holder = holders.first().map_or_else(String::new, |holder| {
                format!(", which version {} of '{}' refers to", holder.version, holder.name)
            });
            let text = format!("the image {hash}{holder}, is not there; compile its source again");
            self.warn(Warning::until_stored(text, vec![Content::Image(*hash)]));
        }
    }

    /// Compares `aliases.json` with what it should be. What of the index is not as it was read was noted when it changed.
    fn check_aliases(
        &mut self,
        state: &State,
        is_settled: bool,
        read_aliases: &BTreeMap<PipelineName, StructuralHash>,
    ) {
        if seeded::is_on(SeededBug::FlatMapsNotRebuilt) {
            return;
        }
        // What aliases tell is the name and the hash, so entries are compared rather than bytes.
        if aliases(state).ne(read_aliases.iter().map(|(name, hash)| (name.clone(), *hash))) {
            self.dirty.aliases = true;
            if is_settled {
                let text = format!("'{ALIASES}' did not fit the version documents; it is rebuilt from them");
                self.warn(Warning::until_written(text));
            }
        }
    }
}
