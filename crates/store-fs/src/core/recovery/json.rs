//! Reading the JSON files: what they hold, checked, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use constellation_store_core::{
    CheckedImage, ErrorKind, ExtraMembers, ImageSummary, Origin, PipelineName, Result, Revision, SourceHash,
    StructuralHash, Timestamp, Version, VersionHistory,
};
use constellation_store_mem::{Change, StoredSource};

use super::{Damage, DamagedHistory, OPERATION, Reader, read_file};
use crate::core::health::Warning;
use crate::core::misplaced::is_spare_path;
use crate::documents::{FlatMap, decode_history, salvage_name, salvage_number};
use crate::error::{FileError, in_one_line};
use crate::journal::Found;
use crate::layout::{ALIASES, IMAGES, SOURCES, VERSIONS, escape, versions_path};
use crate::manifest::Manifest;
use crate::parallel::{self, MANY_FILES};
use crate::record::{self, Record};
use crate::seeded::{self, SeededBug};
use crate::vfs::EntryKind;

/// An entry of a directory.
struct Listed {
    path: String,
    /// Its name without what all names end in.
    stem: String,
    kind: EntryKind,
}

pub(super) type Histories = BTreeMap<PipelineName, VersionHistory>;

/// What there is to make histories of that are lost.
pub(super) struct Lost<'a> {
    /// Those that are not.
    pub(super) histories: Histories,
    pub(super) salvaged: Vec<DamagedHistory>,
    pub(super) aliases: &'a BTreeMap<PipelineName, StructuralHash>,
    /// Whether there are any, damaged or not there at all otherwise.
    pub(super) has_aliases: bool,
}

/// How many threads read files at the least, since they wait for the disk in turns.
const MIN_THREADS: usize = 4;

/// What `read` makes of each file, in order.
fn in_parallel<F: Sync, T: Send>(files: &[F], read: impl Fn(&F) -> T + Sync) -> Vec<T> {
    // The system is asked only if need be, which takes longer than a few small files.
    let threads = || std::thread::available_parallelism().map_or(MIN_THREADS, |n| n.get().max(MIN_THREADS));
    let parts = if files.len() < MANY_FILES { 1 } else { threads() };
    let parts = files.chunks(files.len().div_ceil(parts).max(1));
    parallel::each(parts, |part| part.iter().map(&read).collect::<Vec<_>>()).into_iter().flatten().collect()
}

impl Reader<'_> {
    /// The files of a directory whose names end in `suffix`, by what stands before it, sorted.
    fn files(&mut self, directory: &str, suffix: &str) -> Result<Vec<Listed>> {
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
                Some(Listed { path: format!("{directory}/{}", entry.name), stem, kind: entry.kind })
            })
            .filter(|file| !file.stem.starts_with('.'))
            .collect();
        files.sort_unstable_by(|left, right| left.path.cmp(&right.path));
        let regular = files.iter().filter(|file| file.kind == EntryKind::File);
        self.files.extend(regular.map(|file| file.path.clone()));
        Ok(files)
    }

    /// Notes that a file was removed since it was listed, by whoever writes while this only reads.
    fn vanished(&mut self, path: &str) {
        self.files.retain(|file| file != path);
    }

    /// The images whose documents are whole. Their graphs are looked into when they are used first.
    pub(super) fn images(&mut self) -> Result<BTreeMap<StructuralHash, Arc<ImageSummary>>> {
        let files = self.files(IMAGES, ".json")?;
        let read = in_parallel(&files, |Listed { path, stem, kind: _ }| {
            let Ok(hash) = stem.parse::<StructuralHash>() else { return Ok(None) };
            let bytes = read_file(self.vfs, path)?;
            Ok(Some(bytes.map(|bytes| bytes.map(|bytes| (hash, CheckedImage::read(&bytes))))))
        });
        let mut images = Vec::with_capacity(files.len());
        for (Listed { path, .. }, read) in files.iter().zip(read) {
            match read? {
                None => self.warn(format!("'{path}' was not used: its name is not a hash")),
                Some(None) => self.vanished(path),
                Some(Some(Ok((hash, Ok(image))))) if image.summary.structural_hash == hash => {
                    self.n_unchecked += usize::from(!image.checked);
                    images.push(Arc::new(image.summary));
                }
                Some(Some(Ok((_, Ok(image))))) if seeded::is_on(SeededBug::ImageNamesNotChecked) => {
                    images.push(Arc::new(image.summary));
                }
                Some(Some(Ok((_, Ok(image))))) => {
                    let reason = format!("it holds the image {}", image.summary.structural_hash);
                    self.damaged(path, &reason, false);
                }
                Some(Some(Ok((_, Err(error))))) if error.kind() == ErrorKind::UnsupportedFormat => {
                    let text = format!("'{path}' was not used, and stays: {}", in_one_line(&error));
                    self.warn(Warning::of_file(path, text));
                }
                Some(Some(Ok((_, Err(error))))) => self.damaged(path, &in_one_line(&error), false),
                Some(Some(Err(error))) => self.damaged(path, &error.to_string(), false),
            }
        }
        Ok(images.into_iter().map(|summary: Arc<ImageSummary>| (summary.structural_hash, summary)).collect())
    }

    /// The sources, by the names of their files. Each is read, and checked, when it is used first, or in the
    /// background.
    pub(super) fn sources(&mut self) -> Result<BTreeMap<SourceHash, StoredSource>> {
        let files = self.files(SOURCES, ".cst")?;
        let found = in_parallel(&files, |Listed { path, .. }| {
            self.vfs.length(path).map_err(FileError::at("look at", path))
        });
        let mut sources = Vec::with_capacity(files.len());
        for (Listed { path, stem, .. }, found) in files.iter().zip(found) {
            match (stem.parse(), found) {
                (Err(_), _) => self.warn(format!("'{path}' was not used: its name is not a hash")),
                (Ok(hash), Ok(bytes)) => sources.push((hash, StoredSource::not_loaded(bytes))),
                // Removed since it was listed, by whoever writes while this only reads.
                (Ok(_), Err(error)) if error.is_not_found() => {}
                (Ok(_), Err(error)) if error.is_unusable() => self.damaged(path, &error.to_string(), false),
                (Ok(_), Err(error)) => return Err(error.into_store_error(OPERATION)),
            }
        }
        Ok(sources.into_iter().collect())
    }

    /// The histories by name, and what could be told from damaged documents.
    pub(super) fn histories(&mut self) -> Result<(Histories, Vec<DamagedHistory>)> {
        let mut histories = Histories::new();
        let mut salvaged = Vec::new();
        let files = self.files(VERSIONS, ".json")?;
        let read = in_parallel(&files, |Listed { path, .. }| {
            let bytes = read_file(self.vfs, path)?;
            Ok(bytes.map(|bytes| bytes.map(|bytes| decode_history(&bytes).map_err(|error| (error, bytes)))))
        });
        for (Listed { path, stem, kind: _ }, read) in files.into_iter().zip(read) {
            match read? {
                None => self.vanished(&path),
                Some(Err(error)) => {
                    self.damaged(&path, &error.to_string(), false);
                    salvaged.push(DamagedHistory { stem, bytes: Vec::new() });
                }
                Some(Ok(Ok(opened))) => {
                    self.n_unchecked += usize::from(!opened.checked);
                    if self.counts(&path, &stem, &opened.history.pipeline_name, &histories) {
                        histories.insert(opened.history.pipeline_name.clone(), opened.history);
                    }
                }
                Some(Ok(Err((error, bytes)))) => {
                    self.damaged(&path, &in_one_line(&error), true);
                    salvaged.push(DamagedHistory { stem, bytes });
                }
            }
        }
        Ok((histories, salvaged))
    }

    /// Whether a document counts, as the name inside decides: of two of a name the one with the right file name does,
    /// or else the one that an opening wrote to put it right, which is of the one that counted then, or else the first
    /// one. The other one is put aside: later it would not be told from the latest.
    fn counts(&mut self, path: &str, stem: &str, name: &PipelineName, histories: &Histories) -> bool {
        let is_at_its_place = escape(name.as_str()) == stem;
        if !histories.contains_key(name) {
            if !is_at_its_place {
                self.misplaced.insert(name.clone(), path.to_owned());
            }
            return true;
        }
        let is_spare =
            |path: &String| is_spare_path(path, name) && !seeded::is_on(SeededBug::CopiesBeforeThirdNames);
        let path = path.to_owned();
        let other = self.misplaced.get(name);
        let counts = is_at_its_place || other.is_some_and(|other| is_spare(&path) && !is_spare(other));
        if !counts {
            self.second(&path, name);
            return false;
        }
        if let Some(other) = self.misplaced.remove(name) {
            self.second(&other, name);
        }
        if !is_at_its_place {
            self.misplaced.insert(name.clone(), path);
        }
        true
    }

    /// Notes a document that does not count.
    fn second(&mut self, path: &str, name: &PipelineName) {
        let reason = format!("it is one of two version documents of '{name}', and not the one that counts");
        self.warn(format!("'{path}' was not used: {reason}"));
        if !seeded::is_on(SeededBug::SecondDocumentsStay) {
            self.damage.push(Damage { path: path.to_owned(), reason, stays: false });
        }
    }

    pub(super) fn flat_map<K>(
        &mut self,
        path: &str,
        decode: impl Fn(&[u8]) -> Result<FlatMap<K>>,
    ) -> Result<Option<BTreeMap<K, StructuralHash>>> {
        let reason = match read_file(self.vfs, path)? {
            None => return Ok(None),
            Some(Ok(bytes)) => match decode(&bytes) {
                Ok(map) => {
                    self.files.push(path.to_owned());
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

    /// Notes that nothing takes the place of a damaged file, so that it is moved away: each opening would find it again
    /// otherwise.
    fn nothing_follows(&mut self, path: &str) {
        if seeded::is_on(SeededBug::UntoldDocumentsStay) {
            return;
        }
        for damage in self.damage.iter_mut().filter(|damage| damage.path == path) {
            damage.stays = false;
        }
    }

    /// Makes histories of names that have none but an alias, and of damaged version documents. Returns them with the
    /// others, and whether there are such.
    ///
    /// In a store of the plain form every name is such. In another one a name without a document is believed only
    /// if `aliases.json` agrees with all documents that are there: otherwise it is older than they are, or damaged.
    /// Those of names that the journal changed are left out: a checkpoint that did not end may have written them.
    pub(super) fn adopt(
        &mut self,
        manifest: Option<&Manifest>,
        found: &Found,
        lost: Lost<'_>,
        images: &BTreeMap<StructuralHash, Arc<ImageSummary>>,
    ) -> Result<(Histories, bool)> {
        let Lost { mut histories, salvaged, aliases, has_aliases } = lost;
        let mut adopted = !salvaged.is_empty();
        if !adopted && aliases.keys().all(|name| histories.contains_key(name)) {
            return Ok((histories, false));
        }
        let is_plain = manifest.is_none();
        let newest = greatest_number(manifest, &histories, found)?;
        let changed = changed_names(manifest, found)?;
        let mut damaged = Vec::new();
        for DamagedHistory { stem, bytes } in salvaged {
            let names = aliases.keys().chain(histories.keys()).chain(&changed);
            let Some(name) = salvage_name(&stem, &bytes, names) else {
                let path = format!("{VERSIONS}/{stem}.json");
                self.warn(format!("the name of '{path}' cannot be told; its versions are lost"));
                self.nothing_follows(&path);
                continue;
            };
            let copy = histories.remove(&name);
            damaged.push((name, bytes, copy));
        }
        let is_settled = |history: &&VersionHistory| !changed.contains(&history.pipeline_name);
        let agrees = histories.values().filter(is_settled).all(|history| {
            let mut history = history.clone();
            history.normalize();
            let active = history.active().map(|active| active.structural_hash);
            aliases.get(&history.pipeline_name).copied() == active
        });
        for (name, bytes, copy) in damaged {
            let next = salvage_number(&bytes, newest).max(newest).saturating_add(1);
            let is_copied = copy.is_some();
            let mut history = copy.unwrap_or_else(|| VersionHistory::new(name.clone()));
            history.normalize();
            if !(is_copied && seeded::is_on(SeededBug::NumbersOfCopiesReused)) {
                history.next_version = history.next_version.max(next);
            }
            if seeded::is_on(SeededBug::NumbersOfDamagedReused) {
                history.next_version = 1;
            }
            let alias = aliases.get(&name);
            match alias {
                Some(hash) if history.active().is_none_or(|active| active.structural_hash != *hash) => {
                    adopt(&mut history, *hash, images);
                }
                // The copy may be older than a deletion.
                None if has_aliases && agrees && !seeded::is_on(SeededBug::CopiesBringBack) => {
                    history.active_version = None;
                }
                _ => {}
            }
            let known = match alias {
                _ if is_copied => {
                    format!("the versions of '{name}' are those of a copy under another file name")
                }
                Some(_) => {
                    format!("of the versions of '{name}' only the active one is known, from '{ALIASES}'")
                }
                None => format!("the versions of '{name}' are lost, and '{ALIASES}' does not have the name"),
            };
            self.warn(format!("{known}; numbers go on at {}", history.next_version));
            self.dirty.names.insert(name.clone());
            histories.insert(name, history);
        }
        for (name, hash) in aliases {
            if histories.contains_key(name) {
                continue;
            }
            self.missed.push(versions_path(name));
            if is_plain || agrees || seeded::is_on(SeededBug::AliasesTrusted) {
                let mut history = VersionHistory::new(name.clone());
                // In the plain form it is 0.
                if newest > 0 && !seeded::is_on(SeededBug::NumbersOfDamagedReused) {
                    history.next_version = newest.saturating_add(1);
                    self.warn(format!(
                        "the version document of '{name}' is gone, and of its versions only the active one is known, \
                         from '{ALIASES}'; numbers go on at {}",
                        history.next_version
                    ));
                }
                adopt(&mut history, *hash, images);
                self.dirty.names.insert(name.clone());
                histories.insert(name.clone(), history);
                adopted = true;
            } else {
                self.warn(format!(
                    "'{ALIASES}' has the name '{name}', which no version document has; it was dropped"
                ));
                // Once the journal has changed what contradicts it, the file would be believed.
                adopted |= !seeded::is_on(SeededBug::DroppedNamesComeBack);
            }
        }
        Ok((histories, adopted))
    }
}

/// A number that no version number of a lost history is above.
///
/// The latest revision bounds all numbers that were given by then, and so does that of each commit. The journal counts,
/// too, also where it is applied afterwards: a number that it gives is not to be that of another version.
fn greatest_number(manifest: Option<&Manifest>, histories: &Histories, found: &Found) -> Result<u64> {
    let mut greatest = manifest.map_or(0, |manifest| manifest.revision.0);
    for history in histories.values() {
        let newest = history.versions.iter().map(|version| version.revision.0).max().unwrap_or(0);
        greatest = greatest.max(newest);
    }
    if seeded::is_on(SeededBug::AdoptedBelowJournal) {
        return Ok(greatest);
    }
    for payload in found.frames.values() {
        for Record { revision, changes } in record::decode(payload)? {
            greatest = greatest.max(revision.0);
            for change in changes {
                if let Change::VersionRecorded { name: _, version } = change {
                    greatest = greatest.max(version.version);
                }
            }
        }
    }
    Ok(greatest)
}

/// The names that have another active version, or another history, after the frames that are not in the files.
fn changed_names(manifest: Option<&Manifest>, found: &Found) -> Result<BTreeSet<PipelineName>> {
    let mut names = BTreeSet::new();
    if seeded::is_on(SeededBug::AliasesOfCheckpointsDropped) {
        return Ok(names);
    }
    let first = manifest.map_or(0, |manifest| manifest.sequence.saturating_add(1));
    for payload in found.frames.range(first..).map(|(_, payload)| payload) {
        for change in record::decode(payload)?.into_iter().flat_map(|record| record.changes) {
            if let Change::VersionRecorded { name, .. }
            | Change::Activated { name, .. }
            | Change::NameDeleted { name } = change
            {
                names.insert(name);
            }
        }
    }
    Ok(names)
}

/// Makes the image the active version.
fn adopt(
    history: &mut VersionHistory,
    structural_hash: StructuralHash,
    images: &BTreeMap<StructuralHash, Arc<ImageSummary>>,
) {
    let version = history.next_version;
    history.versions.push(Version {
        version,
        structural_hash,
        // The same whenever it is done again. So is the number, which no made-up version counts for.
        created_at: images
            .get(&structural_hash)
            .map_or(Timestamp::UNIX_EPOCH, |image| image.metadata.compiled_at),
        revision: Revision(if seeded::is_on(SeededBug::MadeUpVersionsCount) { version } else { 0 }),
        origin: Origin::Import,
        source_hash: None,
        extra: ExtraMembers::default(),
    });
    history.active_version = Some(version);
    history.next_version = version + 1;
}
