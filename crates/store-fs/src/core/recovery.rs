//! Opening: from whatever the files hold to a state.
//!
//! Reading changes nothing. What is to be put aside or written again is noted, and done by a core that opens for
//! writing.

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{
    ErrorKind, Origin, PipelineImage, PipelineName, Result, Revision, SourceHash, StoreError, StructuralHash,
    Timestamp, Version, VersionHistory,
};
use constellation_store_mem::{Change, Parts, State};
use serde_json::Map;

use super::checkpoint::{Dirty, MAX_DOCUMENT_BYTES, encode_aliases, encode_index};
use super::files::Files;
use crate::documents::{
    FlatMap, decode_aliases, decode_history, decode_index, is_of_the_reference, salvage_history,
};
use crate::error::{FileError, in_one_line};
use crate::journal::{Found, read_journal};
use crate::layout::{ALIASES, IMAGES, INDEX, JOURNAL, MANIFEST, SOURCES, VERSIONS, escape};
use crate::manifest::{Manifest, new_id};
use crate::record;
use crate::vfs::{EntryKind, Vfs};

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
    pub(crate) dirty: Dirty,
    pub(crate) warnings: Vec<String>,
    /// Whether the files lack something that cannot be read from them again once they change.
    pub(crate) is_repaired: bool,
    manifest_bytes: Option<Vec<u8>>,
    damage: Vec<Damage>,
}

/// A file that failed its check.
#[derive(Debug)]
struct Damage {
    path: String,
    reason: String,
    /// Whether it stays until something takes its place.
    stays: bool,
}

/// A version document that failed its check.
struct DamagedHistory {
    /// Its file name without the extension.
    stem: String,
    bytes: Vec<u8>,
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
        if let Some(Ok(bytes)) = read_file(vfs, &format!("{IMAGES}/{}", entry.name))?
            && is_of_the_reference(&bytes)
        {
            let message = "its images were made by the reference implementation, which leaves out what literals and lambdas say; use an empty directory and compile the sources";
            return Err(StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, message).with("store", vfs));
        }
    }
    Ok(())
}

/// The bytes of a file, none when there is none, or why it can never be read.
fn read_file(vfs: &dyn Vfs, path: &str) -> Result<Option<Result<Vec<u8>, FileError>>> {
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
        dirty: Dirty::default(),
        damage: Vec::new(),
        warnings: Vec::new(),
        n_unchecked: 0,
        activated: BTreeMap::new(),
    };
    if let Err(error) = vfs.list("").map_err(FileError::at("list", ".")) {
        return Err(error.into_store_error(OPERATION).with("store", vfs));
    }
    let (manifest, manifest_bytes) = reader.manifest()?;
    // The journal is read last. Whoever writes meanwhile puts things there before they get into the files, so what
    // is read is never behind what was read before; see `is_current` for the rest.
    let images = reader.images()?;
    let sources = reader.sources()?;
    let (mut histories, salvaged) = reader.histories()?;
    let aliases = reader.flat_map(ALIASES, decode_aliases)?;
    let index = reader.flat_map(INDEX, decode_index)?;
    let mut is_repaired = !salvaged.is_empty();
    let aliases_before = aliases.unwrap_or_default();
    let last_revision = manifest.as_ref().map_or(Revision(0), |manifest| manifest.revision);
    is_repaired |= reader.adopt_aliases(
        manifest.is_none(),
        last_revision,
        &aliases_before,
        salvaged,
        &mut histories,
        &images,
    );

    let found = read_journal(vfs, manifest.as_ref().map_or(0, |manifest| manifest.sequence))?;
    if let (Some(manifest), Some(store)) = (&manifest, found.store)
        && manifest.store_id != store
    {
        let message = "the journal is of another store; move the directory 'journal' to where it belongs";
        return Err(StoreError::new(ErrorKind::Corrupt, OPERATION, message)
            .with("store", vfs)
            .with("storeId", manifest.store_id)
            .with("journalOf", store));
    }
    for segment in &found.damaged {
        is_repaired = true;
        reader.damaged(&segment.path, &segment.reason, segment.is_readable);
    }

    let index = index.unwrap_or_default();
    let parts = Parts {
        revision: manifest.as_ref().map_or(Revision(0), |manifest| manifest.revision),
        images,
        sources,
        index: index.clone().into_iter().collect(),
        histories: histories.into_values().collect(),
    };
    let mut state = State::from_parts(parts);
    let has_frames = reader.replay(&mut state, manifest.as_ref(), &found)?;
    reader.check_active(&mut state);
    reader.check_references(&mut state);
    let is_settled = !has_frames && manifest.is_some();
    reader.check_derived(&state, is_settled, &aliases_before, &index);
    if reader.n_unchecked > 0 {
        let message = format!("{} files have no checksum; they were taken as they are", reader.n_unchecked);
        reader.warn(message);
    }
    let Reader { dirty, damage, warnings, .. } = reader;
    Ok(Reading { state, manifest, found, dirty, warnings, is_repaired, manifest_bytes, damage })
}

impl Reading {
    /// Whether no checkpoint was finished since the reading began, so that what was read fits together.
    pub(crate) fn is_current(&self, vfs: &dyn Vfs) -> Result<bool> {
        let bytes = read_file(vfs, MANIFEST)?.and_then(Result::ok);
        Ok(bytes == self.manifest_bytes)
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

    /// Puts damaged files aside. What cannot be put aside stays, and is told.
    pub(crate) fn quarantine(&mut self, files: &mut Files) {
        for Damage { path, reason, stays } in std::mem::take(&mut self.damage) {
            let kept = if stays { files.vfs.read(&path, MAX_DOCUMENT_BYTES).ok() } else { None };
            if stays && kept.is_none() {
                continue;
            }
            if let Err(error) = files.quarantine(&path, &reason, kept.as_deref()) {
                let message = format!("'{path}' cannot be put into the quarantine: {}", in_one_line(&error));
                tracing::warn!("{message}");
                self.warnings.push(message);
            }
        }
    }
}

struct Reader<'a> {
    vfs: &'a dyn Vfs,
    dirty: Dirty,
    damage: Vec<Damage>,
    warnings: Vec<String>,
    n_unchecked: usize,
    /// What the journal activated last.
    activated: BTreeMap<PipelineName, u64>,
}

impl Reader<'_> {
    fn warn(&mut self, message: String) {
        tracing::warn!(store = %self.vfs, "{message}");
        self.warnings.push(message);
    }

    fn damaged(&mut self, path: &str, reason: &str, stays: bool) {
        self.warn(format!("'{path}' is damaged and was not used: {reason}"));
        self.damage.push(Damage { path: path.to_owned(), reason: reason.to_owned(), stays });
    }

    fn manifest(&mut self) -> Result<(Option<Manifest>, Option<Vec<u8>>)> {
        let reason = match read_file(self.vfs, MANIFEST)? {
            None => return Ok((None, None)),
            Some(Ok(bytes)) => match Manifest::decode(&bytes) {
                Ok(manifest) => return Ok((Some(manifest), Some(bytes))),
                Err(error) if error.kind() == ErrorKind::UnsupportedFormat => return Err(error),
                Err(error) => in_one_line(&error),
            },
            Some(Err(error)) => error.to_string(),
        };
        self.damaged(MANIFEST, &reason, false);
        Ok((None, None))
    }

    /// The files of a directory whose names end in `suffix`, by what stands before it, sorted.
    fn files(&mut self, directory: &str, suffix: &str) -> Result<Vec<(String, String)>> {
        let entries = match self.vfs.list(directory).map_err(FileError::at("list", directory)) {
            Ok(entries) => entries,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) if error.is_not_a_directory() => {
                self.damaged(directory, "it is not a directory", false);
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into_store_error(OPERATION)),
        };
        let mut files: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| {
                let stem = entry.name.strip_suffix(suffix)?.to_owned();
                Some((format!("{directory}/{}", entry.name), stem))
            })
            .filter(|(_, stem)| !stem.starts_with('.'))
            .collect();
        files.sort_unstable();
        Ok(files)
    }

    fn images(&mut self) -> Result<Vec<Arc<PipelineImage>>> {
        let mut images = Vec::new();
        for (path, stem) in self.files(IMAGES, ".json")? {
            let Ok(hash) = stem.parse::<StructuralHash>() else {
                self.warn(format!("'{path}' was not used: its name is not a hash"));
                continue;
            };
            let bytes = match read_file(self.vfs, &path)? {
                // Removed since it was listed, by whoever writes while this only reads.
                None => continue,
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => {
                    self.damaged(&path, &error.to_string(), false);
                    continue;
                }
            };
            match PipelineImage::decode(&bytes) {
                Ok(decoded) if decoded.image.structural_hash == hash => {
                    self.n_unchecked += usize::from(!decoded.checked);
                    images.push(Arc::new(decoded.image));
                }
                Ok(decoded) => {
                    let reason = format!("it holds the image {}", decoded.image.structural_hash);
                    self.damaged(&path, &reason, false);
                }
                Err(error) if error.kind() == ErrorKind::UnsupportedFormat => {
                    self.warn(format!("'{path}' was not used, and stays: {}", in_one_line(&error)));
                }
                Err(error) => self.damaged(&path, &in_one_line(&error), false),
            }
        }
        Ok(images)
    }

    fn sources(&mut self) -> Result<Vec<(SourceHash, Arc<str>)>> {
        let mut sources = Vec::new();
        for (path, stem) in self.files(SOURCES, ".cst")? {
            let Ok(hash) = stem.parse::<SourceHash>() else {
                self.warn(format!("'{path}' was not used: its name is not a hash"));
                continue;
            };
            match read_file(self.vfs, &path)? {
                None => {}
                Some(Ok(bytes)) if SourceHash::of_bytes(&bytes) != hash => {
                    self.damaged(&path, "its hash is not its name", false);
                }
                Some(Ok(bytes)) => match String::from_utf8(bytes) {
                    Ok(text) => sources.push((hash, text.into())),
                    Err(_) => self.damaged(&path, "it is not UTF-8", false),
                },
                Some(Err(error)) => self.damaged(&path, &error.to_string(), false),
            }
        }
        Ok(sources)
    }

    /// The histories by name, and what could be told from damaged documents.
    fn histories(&mut self) -> Result<(Histories, Vec<DamagedHistory>)> {
        let mut histories = Histories::new();
        let mut salvaged = Vec::new();
        for (path, stem) in self.files(VERSIONS, ".json")? {
            let bytes = match read_file(self.vfs, &path)? {
                None => continue,
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => {
                    self.damaged(&path, &error.to_string(), false);
                    salvaged.push(DamagedHistory { stem, bytes: Vec::new() });
                    continue;
                }
            };
            match decode_history(&bytes) {
                Ok(opened) => {
                    self.n_unchecked += usize::from(!opened.checked);
                    let name = opened.history.pipeline_name.clone();
                    // Another file name is accepted, since the name inside decides, but where there are two
                    // documents of a name, the one with the right file name counts.
                    let is_at_its_place = escape(name.as_str()) == stem;
                    if !is_at_its_place {
                        self.dirty.names.insert(name.clone());
                    }
                    if histories.contains_key(&name) {
                        self.warn(format!("'{path}' is one of two version documents of '{name}'"));
                    }
                    if is_at_its_place || !histories.contains_key(&name) {
                        histories.insert(name, opened.history);
                    }
                }
                Err(error) => {
                    self.damaged(&path, &in_one_line(&error), true);
                    salvaged.push(DamagedHistory { stem, bytes });
                }
            }
        }
        Ok((histories, salvaged))
    }

    fn flat_map<K>(
        &mut self,
        path: &str,
        decode: impl Fn(&[u8]) -> Result<FlatMap<K>>,
    ) -> Result<Option<BTreeMap<K, StructuralHash>>> {
        let reason = match read_file(self.vfs, path)? {
            None => return Ok(None),
            Some(Ok(bytes)) => match decode(&bytes) {
                Ok(map) => {
                    if map.malformed > 0 {
                        self.warn(format!("{} entries of '{path}' were not used: malformed", map.malformed));
                    }
                    return Ok(Some(map.entries));
                }
                Err(error) => in_one_line(&error),
            },
            Some(Err(error)) => error.to_string(),
        };
        self.damaged(path, &reason, false);
        Ok(None)
    }

    /// Makes histories of names that have none but an alias, and of damaged version documents.
    ///
    /// In a store of the plain form every name is such. In another one a name without a document is believed only
    /// if `aliases.json` agrees with all documents that are there: otherwise it is older than they are, or damaged.
    fn adopt_aliases(
        &mut self,
        is_plain: bool,
        last_revision: Revision,
        aliases: &BTreeMap<PipelineName, StructuralHash>,
        salvaged: Vec<DamagedHistory>,
        histories: &mut Histories,
        images: &[Arc<PipelineImage>],
    ) -> bool {
        let compiled_at: BTreeMap<StructuralHash, Timestamp> =
            images.iter().map(|image| (image.structural_hash, image.metadata.compiled_at)).collect();
        let agrees = histories.values().all(|history| {
            let mut history = history.clone();
            history.normalize();
            let active = history.active().map(|active| active.structural_hash);
            aliases.get(&history.pipeline_name).copied() == active
        });
        // Each version took a commit of its own, so its number is no greater than the revision of that.
        let versions = histories.values().flat_map(|history| &history.versions);
        let newest = versions.map(|version| version.revision).max().unwrap_or_default().max(last_revision);
        let mut adopted = false;
        for DamagedHistory { stem, bytes } in salvaged {
            let Some(mut history) = salvage_history(&stem, &bytes, aliases.keys()) else {
                self.warn(format!(
                    "the name of '{VERSIONS}/{stem}.json' cannot be told; its versions are lost"
                ));
                continue;
            };
            let name = history.pipeline_name.clone();
            if histories.contains_key(&name) {
                continue;
            }
            history.next_version = history.next_version.max(newest.0.saturating_add(1));
            let known = match aliases.get(&name) {
                Some(hash) => {
                    adopt(&mut history, *hash, &compiled_at);
                    format!("of the versions of '{name}' only the active one is known, from '{ALIASES}'")
                }
                None => format!("the versions of '{name}' are lost, and '{ALIASES}' does not have the name"),
            };
            self.warn(format!("{known}; numbers go on at {}", history.next_version));
            self.dirty.names.insert(name.clone());
            histories.insert(name, history);
            adopted = true;
        }
        for (name, hash) in aliases {
            if histories.contains_key(name) {
                continue;
            }
            if is_plain || agrees {
                let mut history = VersionHistory::new(name.clone());
                adopt(&mut history, *hash, &compiled_at);
                self.dirty.names.insert(name.clone());
                histories.insert(name.clone(), history);
                adopted = true;
            } else {
                self.warn(format!(
                    "'{ALIASES}' has the name '{name}', which no version document has; it was dropped"
                ));
            }
        }
        adopted
    }

    /// Applies the frames that are not in the files. Returns whether there are any.
    fn replay(&mut self, state: &mut State, manifest: Option<&Manifest>, found: &Found) -> Result<bool> {
        let mut last = manifest.map(|manifest| manifest.sequence);
        let mut has_frames = false;
        let start = last.map_or(0, |last| last.saturating_add(1));
        for (&sequence, payload) in found.frames.range(start..) {
            has_frames = true;
            if let Some(last) = last
                && sequence != last + 1
            {
                self.warn(format!(
                    "the commits {} to {} are missing in '{JOURNAL}'; those after them were applied all the same",
                    last + 1,
                    sequence - 1
                ));
            }
            last = Some(sequence);
            for record in record::decode(payload)? {
                for change in &record.changes {
                    if let Change::Activated { name, version } = change {
                        self.activated.insert(name.clone(), *version);
                    }
                    self.dirty.note(change, state);
                    state.replay(record.revision, std::slice::from_ref(change));
                }
            }
        }
        Ok(has_frames)
    }

    /// Where the journal activated a version that was lost with its document, the newest one that is known is
    /// active, and numbers go on above the lost one.
    fn check_active(&mut self, state: &mut State) {
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
        if corrected.is_empty() {
            return;
        }
        // The last history of a name counts.
        let histories = state.histories().map(|history| VersionHistory::clone(history));
        *state = State::from_parts(Parts {
            revision: state.revision(),
            images: state.images().cloned().collect(),
            sources: state.sources().map(|(hash, text)| (*hash, Arc::clone(text))).collect(),
            index: state.index_entries().map(|(key, hash)| (*key, *hash)).collect(),
            histories: histories.chain(corrected).collect(),
        });
    }

    /// Drops index entries that lead nowhere, so that what they led to is compiled again, and tells which versions
    /// refer to images that are not there.
    fn check_references(&mut self, state: &mut State) {
        let dangling = state.dangling();
        if !dangling.index.is_empty() {
            self.warn(format!(
                "{} entries of '{INDEX}' led to images that are not there; they were dropped",
                dangling.index.len()
            ));
            let removals: Vec<_> =
                dangling.index.iter().map(|entry| Change::IndexRemoved { key: entry.key }).collect();
            state.replay(state.revision(), &removals);
            self.dirty.index = true;
        }
        for (place, (hash, holders)) in dangling.images.iter().enumerate() {
            if place == MAX_TOLD {
                self.warn(format!("{} more images are missing", dangling.images.len() - MAX_TOLD));
                break;
            }
            let holder = holders.first().map_or_else(String::new, |holder| {
                format!(", which version {} of '{}' refers to", holder.version, holder.name)
            });
            self.warn(format!("the image {hash}{holder}, is not there; compile its source again"));
        }
    }

    /// Compares the flat maps with what they should be.
    fn check_derived(
        &mut self,
        state: &State,
        is_settled: bool,
        aliases: &BTreeMap<PipelineName, StructuralHash>,
        index: &BTreeMap<constellation_store_core::SyntacticKey, StructuralHash>,
    ) {
        let rebuilt = decode_aliases(&encode_aliases(state)).map(|map| map.entries).unwrap_or_default();
        if rebuilt != *aliases {
            self.dirty.aliases = true;
            if is_settled {
                self.warn(format!("'{ALIASES}' did not fit the version documents; it is rebuilt from them"));
            }
        }
        let rebuilt = decode_index(&encode_index(state)).map(|map| map.entries).unwrap_or_default();
        if rebuilt != *index {
            self.dirty.index = true;
        }
    }
}

type Histories = BTreeMap<PipelineName, VersionHistory>;

/// Makes the image the active version.
fn adopt(
    history: &mut VersionHistory,
    structural_hash: StructuralHash,
    compiled_at: &BTreeMap<StructuralHash, Timestamp>,
) {
    let version = history.next_version;
    history.versions.push(Version {
        version,
        structural_hash,
        // The same whenever it is done again.
        created_at: compiled_at.get(&structural_hash).copied().unwrap_or(Timestamp::UNIX_EPOCH),
        revision: Revision(0),
        origin: Origin::Import,
        source_hash: None,
        extra: Map::new(),
    });
    history.active_version = Some(version);
    history.next_version = version + 1;
}
