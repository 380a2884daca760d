//! Reading the JSON files: what they hold, checked, and what is wrong with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{
    CheckedImage, ErrorKind, ImageSummary, PipelineName, Result, SourceHash, StructuralHash, VersionHistory,
};
use constellation_store_mem::{Parts, StoredSource};

use super::{Damage, OPERATION, Reader, read_file};
use crate::core::health::Warning;
use crate::core::misplaced::is_spare_path;
use crate::documents::{FlatMap, decode_aliases, decode_history, decode_index};
use crate::error::{FileError, in_one_line};
use crate::layout::{ALIASES, IMAGES, INDEX, SOURCES, TEMPORARY_PREFIX, VERSIONS, escape};
use crate::parallel::{self, MANY_FILES};
use crate::seeded::{self, SeededBug};
use crate::vfs::{Entry, EntryKind, Vfs};

/// What the JSON files hold.
#[derive(Default)]
pub(super) struct Json {
    /// Without histories.
    pub(super) parts: Parts,
    pub(super) histories: Histories,
    pub(super) salvaged: Vec<DamagedHistory>,
    pub(super) aliases: BTreeMap<PipelineName, StructuralHash>,
    /// Whether there is a file of them that could be read.
    pub(super) has_aliases: bool,
}

pub(super) type Histories = BTreeMap<PipelineName, VersionHistory>;

/// A version document that failed its check.
pub(super) struct DamagedHistory {
    /// Its file name without the extension.
    pub(super) stem: String,
    pub(super) bytes: Vec<u8>,
}

/// What is noted while files are read.
pub(super) struct Notes<'a> {
    vfs: &'a dyn Vfs,
    pub(super) damage: Vec<Damage>,
    /// Where the documents of names stand that have none at their place.
    pub(super) misplaced: BTreeMap<PipelineName, String>,
    pub(super) warnings: Vec<Warning>,
    pub(super) n_unchecked: usize,
    /// The files that are there to be read, those of a directory after one another.
    pub(super) files: Vec<String>,
    /// What earlier openings left unfinished.
    pub(super) leftovers: Vec<String>,
}

/// The files of a directory whose names end in one suffix, sorted.
struct Listing {
    directory: &'static str,
    suffix: &'static str,
    entries: Vec<Entry>,
}

impl Listing {
    fn path(&self, entry: &Entry) -> String {
        path_in(self.directory, entry)
    }

    /// The name without the suffix.
    fn stem<'e>(&self, entry: &'e Entry) -> &'e str {
        entry.name.strip_suffix(self.suffix).unwrap_or(&entry.name)
    }
}

fn path_in(directory: &str, entry: &Entry) -> String {
    format!("{directory}/{}", entry.name)
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

/// A flat map of these bytes, or what is wrong with it.
fn flat_map<K>(
    read: Option<Result<Vec<u8>, FileError>>,
    decode: impl Fn(&[u8]) -> Result<FlatMap<K>>,
) -> Option<Result<FlatMap<K>, String>> {
    Some(match read? {
        Ok(bytes) => decode(&bytes).map_err(|error| in_one_line(&error)),
        Err(error) => Err(error.to_string()),
    })
}

impl Reader<'_> {
    /// What the JSON files hold, where the catalogue does not tell.
    ///
    /// The flat maps come first. A checkpoint writes what they refer to before them, so that a reader beside it finds
    /// the documents of all names that it found in `aliases.json`, and makes no versions up for them. In which order
    /// the directories are listed does not matter.
    pub(super) fn json(&mut self) -> Result<Json> {
        let vfs = self.vfs;
        let aliases = read_file(vfs, ALIASES)?;
        let index = read_file(vfs, INDEX)?;
        let mut of_images = Notes::new(vfs);
        let mut of_others = Notes::new(vfs);
        let images = of_images.list(IMAGES, ".json")?;
        // Each has work for one thread alone, such as sorting, during which the other one goes on.
        let (images, others) = parallel::both(
            images.entries.len() >= MANY_FILES,
            || of_images.images(&images),
            || {
                let maps = (flat_map(aliases, decode_aliases), flat_map(index, decode_index));
                Ok((maps, of_others.sources()?, of_others.histories()?))
            },
        )?;
        let ((aliases, index), sources, (histories, salvaged)) = others;
        let aliases = self.notes.flat_map(ALIASES, aliases);
        let index = self.notes.flat_map(INDEX, index).unwrap_or_default();
        self.notes.append(of_images);
        self.notes.append(of_others);
        let has_aliases = aliases.is_some();
        let aliases = aliases.unwrap_or_default();
        let parts = Parts { summaries: images, sources, index, ..Parts::default() };
        Ok(Json { parts, histories, salvaged, aliases, has_aliases })
    }
}

impl<'a> Notes<'a> {
    pub(super) fn new(vfs: &'a dyn Vfs) -> Self {
        Self {
            vfs,
            damage: Vec::new(),
            misplaced: BTreeMap::new(),
            warnings: Vec::new(),
            n_unchecked: 0,
            files: Vec::new(),
            leftovers: Vec::new(),
        }
    }

    /// Adds what was noted elsewhere.
    fn append(&mut self, other: Self) {
        let Self { vfs: _, damage, misplaced, warnings, n_unchecked, files, leftovers } = other;
        self.damage.extend(damage);
        self.misplaced.extend(misplaced);
        self.warnings.extend(warnings);
        self.n_unchecked += n_unchecked;
        self.files.extend(files);
        self.leftovers.extend(leftovers);
    }

    pub(super) fn warn(&mut self, warning: impl Into<Warning>) {
        self.warnings.push(warning.into());
    }

    pub(super) fn damaged(&mut self, path: &str, reason: &str, stays: bool) {
        let text = format!("'{path}' is damaged and was not used: {reason}");
        self.warn(Warning::of_file(path, text));
        self.damage.push(Damage { path: path.to_owned(), reason: reason.to_owned(), stays });
    }

    /// The files of a directory whose names end in `suffix`.
    fn list(&mut self, directory: &'static str, suffix: &'static str) -> Result<Listing> {
        let mut listing = Listing { directory, suffix, entries: Vec::new() };
        let mut entries = match self.vfs.list(directory).map_err(FileError::at("list", directory)) {
            Ok(entries) => entries,
            Err(error) if error.is_not_found() => return Ok(listing),
            Err(error) if error.is_not_a_directory() => {
                self.damaged(directory, "it is not a directory", false);
                return Ok(listing);
            }
            Err(error) => return Err(error.into_store_error(OPERATION)),
        };
        let is_left =
            |entry: &&Entry| entry.kind == EntryKind::File && entry.name.starts_with(TEMPORARY_PREFIX);
        self.leftovers.extend(entries.iter().filter(is_left).map(|entry| path_in(directory, entry)));
        entries.retain(|entry| entry.name.strip_suffix(suffix).is_some_and(|stem| !stem.starts_with('.')));
        entries.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        listing.entries = entries;
        Ok(listing)
    }

    /// Notes a file that is still there. One may have been removed since it was listed, by whoever writes while this
    /// only reads.
    fn found(&mut self, path: &str, entry: &Entry) {
        if entry.kind == EntryKind::File {
            self.files.push(path.to_owned());
        }
    }

    /// The images whose documents are whole. Their graphs are looked into when they are used first.
    fn images(&mut self, listing: &Listing) -> Result<BTreeMap<StructuralHash, Arc<ImageSummary>>> {
        let read = in_parallel(&listing.entries, |entry| {
            let Ok(hash) = listing.stem(entry).parse::<StructuralHash>() else { return Ok(None) };
            let bytes = read_file(self.vfs, &listing.path(entry))?;
            let checked = |bytes: Vec<u8>| {
                CheckedImage::read(&bytes)
                    .map(|CheckedImage { summary, checked }| (Arc::new(summary), checked))
            };
            Ok(Some(bytes.map(|bytes| bytes.map(|bytes| (hash, checked(bytes))))))
        });
        let mut images = Vec::with_capacity(read.len());
        for (entry, read) in listing.entries.iter().zip(read) {
            let read = read?;
            let path = listing.path(entry);
            if !matches!(read, Some(None)) {
                self.found(&path, entry);
            }
            match read {
                None => self.warn(format!("'{path}' was not used: its name is not a hash")),
                Some(None) => {}
                Some(Some(Ok((hash, Ok((summary, checked)))))) if summary.structural_hash == hash => {
                    self.n_unchecked += usize::from(!checked);
                    images.push((hash, summary));
                }
                Some(Some(Ok((_, Ok((summary, _)))))) if seeded::is_on(SeededBug::ImageNamesNotChecked) => {
                    images.push((summary.structural_hash, summary));
                }
                Some(Some(Ok((_, Ok((summary, _)))))) => {
                    let reason = format!("it holds the image {}", summary.structural_hash);
                    self.damaged(&path, &reason, false);
                }
                Some(Some(Ok((_, Err(error))))) if error.kind() == ErrorKind::UnsupportedFormat => {
                    let text = format!("'{path}' was not used, and stays: {}", in_one_line(&error));
                    self.warn(Warning::of_file(&path, text));
                }
                Some(Some(Ok((_, Err(error))))) => self.damaged(&path, &in_one_line(&error), false),
                Some(Some(Err(error))) => self.damaged(&path, &error.to_string(), false),
            }
        }
        Ok(images.into_iter().collect())
    }

    /// The sources, by the names of their files. Each is read, and checked, when it is used first, or in the
    /// background.
    fn sources(&mut self) -> Result<BTreeMap<SourceHash, StoredSource>> {
        let listing = self.list(SOURCES, ".cst")?;
        let lengths = in_parallel(&listing.entries, |entry| {
            let path = listing.path(entry);
            let length = self.vfs.length(&path).map_err(FileError::at("look at", &path));
            (path, length)
        });
        let mut sources = Vec::with_capacity(lengths.len());
        for (entry, (path, length)) in listing.entries.iter().zip(lengths) {
            match (listing.stem(entry).parse(), length) {
                (Err(_), _) => self.warn(format!("'{path}' was not used: its name is not a hash")),
                (Ok(hash), Ok(bytes)) => sources.push((hash, StoredSource::not_loaded(bytes))),
                (Ok(_), Err(error)) if error.is_not_found() => continue,
                (Ok(_), Err(error)) if error.is_unusable() => self.damaged(&path, &error.to_string(), false),
                (Ok(_), Err(error)) => return Err(error.into_store_error(OPERATION)),
            }
            self.found(&path, entry);
        }
        Ok(sources.into_iter().collect())
    }

    /// The histories by name, and what could be told from damaged documents.
    fn histories(&mut self) -> Result<(Histories, Vec<DamagedHistory>)> {
        let listing = self.list(VERSIONS, ".json")?;
        let mut histories = Histories::new();
        let mut salvaged = Vec::new();
        let read = in_parallel(&listing.entries, |entry| {
            let bytes = read_file(self.vfs, &listing.path(entry))?;
            Ok(bytes.map(|bytes| bytes.map(|bytes| decode_history(&bytes).map_err(|error| (error, bytes)))))
        });
        for (entry, read) in listing.entries.iter().zip(read) {
            let Some(read) = read? else { continue };
            let (path, stem) = (listing.path(entry), listing.stem(entry));
            self.found(&path, entry);
            match read {
                Err(error) => {
                    self.damaged(&path, &error.to_string(), false);
                    salvaged.push(DamagedHistory { stem: stem.to_owned(), bytes: Vec::new() });
                }
                Ok(Ok(opened)) => {
                    self.n_unchecked += usize::from(!opened.checked);
                    if self.counts(&path, stem, &opened.history.pipeline_name, &histories) {
                        histories.insert(opened.history.pipeline_name.clone(), opened.history);
                    }
                }
                Ok(Err((error, bytes))) => {
                    self.damaged(&path, &in_one_line(&error), true);
                    salvaged.push(DamagedHistory { stem: stem.to_owned(), bytes });
                }
            }
        }
        Ok((histories, salvaged))
    }

    /// The entries of a flat map that can be used, if there are any.
    fn flat_map<K>(
        &mut self,
        path: &str,
        map: Option<Result<FlatMap<K>, String>>,
    ) -> Option<BTreeMap<K, StructuralHash>> {
        match map? {
            Ok(FlatMap { entries, malformed }) => {
                self.files.push(path.to_owned());
                if malformed > 0 {
                    self.warn(format!("{malformed} entries of '{path}' were not used: malformed"));
                }
                Some(entries)
            }
            Err(reason) => {
                self.damaged(path, &reason, false);
                None
            }
        }
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
}
