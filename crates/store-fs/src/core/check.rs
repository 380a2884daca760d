//! The check of the files that nothing reads while the store is open: what nobody used, and what is in memory, too.
//!
//! A [`Checker`] only reads, on any thread. What it suspects is judged again by the core, which knows what it has
//! not written yet.

use std::collections::BTreeMap;

use constellation_store_core::{
    ListOptions, NameEntry, PipelineName, Result, SourceHash, StructuralHash, VersionHistory,
};

use super::checkpoint::aliases;
use super::dirty::Dirty;
use super::health::Warning;
use super::load::{Loader, Lost};
use super::recovery::read_file;
use super::{Core, Shared};
use crate::documents::{FlatMap, decode_aliases, decode_history, decode_index, encode_history};
use crate::error::{FileError, in_one_line};
use crate::layout::{ALIASES, INDEX, VERSIONS, versions_path};
use crate::seeded::{self, SeededBug};
use crate::vfs::Vfs;

/// How many hashes or names are looked up at once.
const PAGE: usize = 256;

/// Goes through the images and sources that are not in memory, the version documents and the flat maps, one a step.
/// A file that cannot be read now is left alone.
#[derive(Debug)]
pub struct Checker {
    loader: Loader,
    images: Vec<StructuralHash>,
    sources: Vec<SourceHash>,
    mirrors: Vec<Mirror>,
    last_image: Option<StructuralHash>,
    last_source: Option<SourceHash>,
    last_name: Option<PipelineName>,
    is_done: bool,
}

/// What a check came upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspect {
    /// Whoever writes the store is to put it aside ([`Core::put_aside`]).
    Lost(Lost),
    /// Whoever writes the store is to look at it ([`Core::look_at`]).
    Mirror(Mirror),
}

/// A file that says what is in memory, as of the last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirror {
    /// The version document of a name.
    Versions(PipelineName),
    /// `aliases.json`
    Aliases,
    /// `syntactic-index.json`
    Index,
}

/// How a file does not fit the memory.
struct Misfit {
    content: Content,
    reason: String,
}

enum Content {
    Absent,
    Bytes(Vec<u8>),
    /// Something that no file can take the place of.
    Unusable,
}

impl Checker {
    /// At the start.
    pub fn new(loader: Loader) -> Self {
        Self {
            loader,
            images: Vec::new(),
            sources: Vec::new(),
            mirrors: vec![Mirror::Aliases, Mirror::Index],
            last_image: None,
            last_source: None,
            last_name: None,
            is_done: false,
        }
    }

    /// Whether everything was checked.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Checks the next one; tells if something is wrong.
    pub fn step(&mut self) -> Option<Suspect> {
        if self.loader.is_closed() {
            self.is_done = true;
            return None;
        }
        if self.images.is_empty() && self.sources.is_empty() && self.mirrors.is_empty() {
            self.turn_page();
        }
        if let Some(hash) = self.images.pop() {
            return self.loader.check_image(&hash).ok().flatten().map(Suspect::Lost);
        }
        if let Some(hash) = self.sources.pop() {
            return self.loader.check_source(&hash).ok().flatten().map(Suspect::Lost);
        }
        if let Some(mirror) = self.mirrors.pop() {
            return self.loader.check_mirror(&mirror).then_some(Suspect::Mirror(mirror));
        }
        self.is_done = true;
        None
    }

    fn turn_page(&mut self) {
        let state = self.loader.state();
        self.images = state.images_not_loaded(self.last_image, PAGE);
        if let Some(last) = self.images.last() {
            self.last_image = Some(*last);
            return;
        }
        self.sources = state.sources_not_loaded(self.last_source, PAGE);
        if let Some(last) = self.sources.last() {
            self.last_source = Some(*last);
            return;
        }
        let page = ListOptions { after: self.last_name.clone(), limit: Some(PAGE) };
        let names: Vec<_> = state.list_names(&page).map(|NameEntry { name, active: _ }| name).collect();
        if let Some(last) = names.last() {
            self.last_name = Some(last.clone());
        }
        self.mirrors = names.into_iter().map(Mirror::Versions).collect();
    }
}

impl Mirror {
    fn path(&self) -> String {
        match self {
            Self::Versions(name) => versions_path(name),
            Self::Aliases => ALIASES.to_owned(),
            Self::Index => INDEX.to_owned(),
        }
    }

    /// Whether it is to be written.
    fn is_in(&self, dirty: &Dirty) -> bool {
        match self {
            Self::Versions(name) => dirty.names.contains(name),
            Self::Aliases => dirty.aliases,
            Self::Index => dirty.index,
        }
    }

    fn mark(&self, dirty: &mut Dirty) {
        match self {
            Self::Versions(name) => {
                dirty.names.insert(name.clone());
            }
            Self::Aliases => dirty.aliases = true,
            Self::Index => dirty.index = true,
        }
    }

    /// Whether the file does not fit what is in memory, as far as can be told on any thread.
    pub(super) fn is_misfit(&self, vfs: &dyn Vfs, shared: &Shared) -> bool {
        self.misfit(vfs, shared).is_some()
    }

    /// How the file does not fit what is in memory; none when it does, or when it cannot be read now.
    fn misfit(&self, vfs: &dyn Vfs, shared: &Shared) -> Option<Misfit> {
        if seeded::is_on(SeededBug::MirrorsNotCompared) {
            return None;
        }
        let bytes = match read_file(vfs, &self.path()).ok()? {
            Some(Ok(bytes)) => Some(bytes),
            None => None,
            Some(Err(error)) => {
                return Some(Misfit { content: Content::Unusable, reason: error.to_string() });
            }
        };
        let reason = match (self, &bytes) {
            (Self::Versions(_), None) => "it is not there".to_owned(),
            (Self::Versions(name), Some(bytes)) => {
                let history = shared.state().versions(name).cloned()?;
                history_misfit(bytes, &history)?
            }
            (Self::Aliases, bytes) => map_misfit(bytes.as_deref(), decode_aliases, |entries| {
                let entries = entries.iter().map(|(name, hash)| (name.clone(), *hash));
                aliases(&shared.state()).eq(entries)
            })?,
            (Self::Index, bytes) => map_misfit(bytes.as_deref(), decode_index, |entries| {
                shared.state().index_entries().eq(entries)
            })?,
        };
        Some(Misfit { content: bytes.map_or(Content::Absent, Content::Bytes), reason })
    }
}

const SAYS_SOMETHING_ELSE: &str = "it does not say what was committed";

fn history_misfit(bytes: &[u8], expected: &VersionHistory) -> Option<String> {
    match decode_history(bytes) {
        Ok(opened) => {
            let mut history = opened.history;
            history.normalize();
            (history != *expected).then(|| SAYS_SOMETHING_ELSE.to_owned())
        }
        Err(error) => Some(in_one_line(&error)),
    }
}

/// A map that is not there says as much as an empty one.
fn map_misfit<K: Ord>(
    bytes: Option<&[u8]>,
    decode: impl Fn(&[u8]) -> Result<FlatMap<K>>,
    fits: impl Fn(&BTreeMap<K, StructuralHash>) -> bool,
) -> Option<String> {
    match bytes.map_or_else(|| Ok(FlatMap::default()), decode) {
        Ok(map) => (map.malformed > 0 || !fits(&map.entries)).then(|| SAYS_SOMETHING_ELSE.to_owned()),
        Err(error) => Some(in_one_line(&error)),
    }
}

impl Core {
    /// Looks at a file that a check suspects. If it does not say what is in memory, it is damaged, or somebody
    /// else changed it: what is there is copied to the quarantine, and the next checkpoint writes the file anew.
    /// Does nothing when the file is to be written anyway, or is being written. While a checkpoint writes other files,
    /// this waits until it is over; and so it does after an opening until what that found is settled.
    pub fn look_at(&mut self, mirror: &Mirror) {
        // Only here it is known that the file and the memory are of the same moment.
        let is_in_checkpoint =
            self.checkpoint.as_ref().is_some_and(|checkpoint| mirror.is_in(checkpoint.dirty()));
        let is_pending = mirror.is_in(&self.dirty) || is_in_checkpoint;
        if !self.is_writer || (is_pending && !seeded::is_on(SeededBug::PendingMirrorsJudged)) {
            return;
        }
        if self.checkpoint.is_some() && !seeded::is_on(SeededBug::PutAsideInCheckpoint) {
            self.suspects.push(Suspect::Mirror(mirror.clone()));
            return;
        }
        // Where an opening could not put documents right, that of another name may stand there, and nowhere else.
        if !seeded::is_on(SeededBug::HealedBeforePutRight) && self.settle().is_err() {
            self.suspects.push(Suspect::Mirror(mirror.clone()));
            return;
        }
        let Some(Misfit { content, reason }) = mirror.misfit(&*self.files.vfs, &self.shared) else { return };
        let path = mirror.path();
        let mut warning =
            format!("'{path}' is damaged or was changed by others, and will be written anew: {reason}");
        let is_unusable = matches!(content, Content::Unusable);
        let kept = match content {
            Content::Absent => Ok(()),
            Content::Bytes(_) if seeded::is_on(SeededBug::DamagedMirrorNotKept) => Ok(()),
            Content::Bytes(bytes) => self.files.quarantine(&path, &reason, Some(&bytes)).map(drop),
            Content::Unusable => self.files.quarantine(&path, &reason, None).map(drop),
        };
        // What is in the way of a file would let every checkpoint fail.
        let is_in_the_way = is_unusable && kept.is_err();
        if let Err(error) = kept {
            warning.push_str(&not_kept(&error));
        }
        if !is_in_the_way && !seeded::is_on(SeededBug::DamagedMirrorLeft) {
            mirror.mark(&mut self.dirty);
            self.heal(mirror);
        }
        tracing::warn!("{warning}");
        self.shared.health().found.push(Warning::until_written(warning));
    }

    /// Writes a version document at once, which the next checkpoint does again.
    ///
    /// Of its versions the catalogue knows, too, but only as long as nothing else changes in their directory, and a
    /// checkpoint changes that before it is done. So the document is whole before one begins, by way of another
    /// directory.
    fn heal(&self, mirror: &Mirror) {
        let Mirror::Versions(name) = mirror else { return };
        if seeded::is_on(SeededBug::DamagedDocumentWaits) {
            return;
        }
        let history = self.shared.state().versions(name).cloned();
        if let Some(history) = history {
            let written = self.files.replace_from("", &versions_path(name), &encode_history(&history));
            if let Err(error) = written.and_then(|()| self.files.sync_directory(VERSIONS)) {
                tracing::warn!(%error, "a damaged version document stays until the next checkpoint");
            }
        }
    }
}

/// What is added to a warning of something that stays where it is.
pub(super) fn not_kept(error: &FileError) -> String {
    format!("; it cannot be put into the quarantine: {}", in_one_line(error))
}
