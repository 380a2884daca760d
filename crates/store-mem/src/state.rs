//! What a store holds, and the one way in which it changes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use constellation_store_core::{
    ActiveVersion, Committed, ImageSummary, IndexEntry, ListOptions, NameEntry, NamedImage, PipelineImage,
    PipelineName, Revision, SourceHash, StoreStatus, StructuralHash, SyntacticKey, Version, VersionHistory,
};

use crate::bodies::{Bodies, LoadedImages};
use crate::parts::{Parts, StoredSource};
use crate::relation::{ByOwnBytes, Relation};
use crate::relations::{Reference, Relations, source_of};
use crate::{Change, Prepared};

/// Images, sources, the syntactic index and the names with their versions.
///
/// It is plain, synchronous and deterministic: no clock, no lock, no I/O. It changes by
/// [`apply`](State::apply) and [`replay`](State::replay) only, which cannot fail. All maps are ordered, and each
/// operation of a commit takes time logarithmic in what is stored.
///
/// What is large is shared by `Arc`, so a caller takes what it needs and lets go of the lock. Changing a name
/// while a reader holds its history copies the history.
///
/// Images and sources need not be in memory: of those that a durable backend has elsewhere, the state knows that
/// they are there, and of an image its summary, until the backend loads them ([`State::load_image`]). All
/// judgements and listings do without. What was added by a change is in memory.
///
/// Each relation of who refers to what is worked out when it is asked for first, in time linear in the state, and kept
/// along from then on. Only removing, pruning, damage and whoever wants the names of an image ask for it.
#[derive(Debug, Clone)]
pub struct State {
    revision: Revision,
    images: BTreeMap<StructuralHash, Arc<ImageSummary>>,
    /// The images that are in memory whole: those that were added, and those that were loaded.
    bodies: Bodies,
    sources: BTreeMap<SourceHash, StoredSource>,
    /// Of the graphs of all images and of all sources.
    n_bytes: u64,
    index: BTreeMap<SyntacticKey, StructuralHash>,
    names: BTreeMap<PipelineName, Arc<VersionHistory>>,
    n_active: u64,
    relations: Relations,
}

impl Default for State {
    fn default() -> Self {
        Self { relations: Relations::none(), ..Self::without_relations(Parts::default()) }
    }
}

/// Compares what is derived, too, so that what was kept along is what would be worked out anew.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let Self { revision, images, bodies, sources, n_bytes, index, names, n_active, relations: _ } = self;
        *revision == other.revision
            && *images == other.images
            && *bodies == other.bodies
            && *sources == other.sources
            && *n_bytes == other.n_bytes
            && *index == other.index
            && *names == other.names
            && *n_active == other.n_active
            && self.holder_relation() == other.holder_relation()
            && self.key_relation() == other.key_relation()
            && self.source_holder_relation() == other.source_holder_relation()
    }
}

/// A version that refers to an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The name.
    pub name: PipelineName,
    /// The number of the version.
    pub version: u64,
}

impl<T> Lookup<T> {
    /// What is in memory.
    pub fn loaded(self) -> Option<T> {
        match self {
            Self::Loaded(found) => Some(found),
            Self::NotLoaded | Self::Absent => None,
        }
    }
}

impl Holder {
    pub(crate) fn new(name: &PipelineName, version: &Version) -> Self {
        Self { name: name.clone(), version: version.version }
    }
}

/// What refers to images that are not stored, as only damage from outside leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dangling {
    /// Entries of the syntactic index, by ascending key.
    pub index: Vec<IndexEntry>,
    /// Missing images, by ascending hash, with the versions that refer to them.
    pub images: Vec<(StructuralHash, Vec<Holder>)>,
}

/// What refers to a source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SourceHolder {
    Image(StructuralHash),
    Version(Holder),
}

/// What is asked for, if it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It is in memory.
    Loaded(T),
    /// It is stored, and not loaded.
    NotLoaded,
    /// It is not stored.
    Absent,
}

impl State {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state of these parts. Histories are normalized. References to images that are not among the parts
    /// stay, since a journal may bring the images; [`State::dangling`] tells what is left in the end.
    pub fn from_parts(parts: Parts) -> Self {
        let mut state = Self::without_relations(parts);
        for history in state.names.values_mut() {
            // Copies the history only if somebody else has it, too.
            Arc::make_mut(history).normalize();
            state.revision = state.revision.max(least_revision(history));
            state.n_active += u64::from(history.active_version.is_some());
        }
        state
    }

    fn without_relations(parts: Parts) -> Self {
        let Parts { revision, images, summaries, sources, index, histories } = parts;
        let mut state = Self {
            revision,
            images: summaries,
            bodies: Bodies::default(),
            sources,
            n_bytes: 0,
            index,
            names: histories,
            n_active: 0,
            relations: Relations::default(),
        };
        for image in images {
            state.images.insert(image.structural_hash, Arc::new(ImageSummary::of(&image)));
            state.bodies.insert(image);
        }
        state.n_bytes = state.images.values().map(|summary| summary.graph_bytes).sum::<u64>()
            + state.sources.values().map(|source| source.bytes).sum::<u64>();
        state
    }

    /// The versions that refer to an image. This and the other relations take time linear in the state when they are
    /// asked for first.
    pub(crate) fn holder_relation(&self) -> &Relation<StructuralHash, Holder> {
        self.relations.holders.get_or_derive(|| self.references().map(Reference::into_image))
    }

    /// The keys that lead to an image.
    pub(crate) fn key_relation(&self) -> &Relation<StructuralHash, SyntacticKey> {
        let pairs = || self.index.iter().map(|(key, structural_hash)| (*structural_hash, *key));
        self.relations.keys.get_or_derive(pairs)
    }

    /// What refers to a source.
    pub(crate) fn source_holder_relation(&self) -> &Relation<SourceHash, SourceHolder> {
        self.relations.source_holders.get_or_derive(|| {
            let of_images = self.images.values().filter_map(|summary| source_of(summary));
            of_images.chain(self.references().filter_map(Reference::into_source))
        })
    }

    /// All versions of all names.
    fn references(&self) -> impl Iterator<Item = Reference> {
        self.names.values().flat_map(|history| {
            let name = &history.pipeline_name;
            history.versions.iter().map(move |version| Reference::of(name, version))
        })
    }

    /// Keeps an image that is stored and not loaded. Does nothing when it is not stored, or loaded already: what
    /// was read from elsewhere may be older than what happened meanwhile.
    pub fn load_image(&mut self, image: Arc<PipelineImage>) {
        let structural_hash = &image.structural_hash;
        if self.images.contains_key(structural_hash) && !self.bodies.contains(structural_hash) {
            self.bodies.insert(image);
        }
    }

    /// Keeps a source that is stored and not loaded, as [`State::load_image`] does an image.
    pub fn load_source(&mut self, source_hash: SourceHash, text: Arc<str>) {
        if let Some(source) = self.sources.get_mut(&source_hash) {
            source.text.get_or_insert(text);
        }
    }

    /// Puts a history in the place of what is known of its name, as a backend does that reads a better one.
    pub fn put_history(&mut self, mut history: VersionHistory) {
        history.normalize();
        self.revision = self.revision.max(least_revision(&history));
        let name = history.pipeline_name.clone();
        if let Some(before) = self.names.remove(&name) {
            self.n_active -= u64::from(before.active_version.is_some());
            for version in &before.versions {
                self.relations.release(&name, version);
            }
        }
        for version in &history.versions {
            self.relations.hold(&name, version);
        }
        self.n_active += u64::from(history.active_version.is_some());
        self.names.insert(name, Arc::new(history));
    }

    /// Applies a commit that was prepared on this state.
    pub fn apply(&mut self, prepared: Prepared) -> Committed {
        let Prepared { revision, changes, outcomes } = prepared;
        self.replay(revision, &changes);
        Committed { revision, outcomes }
    }

    /// Applies the changes of a commit, which may be there already, or in part.
    pub fn replay(&mut self, revision: Revision, changes: &[Change]) {
        self.revision = self.revision.max(revision);
        for change in changes {
            self.change(change);
        }
    }

    /// Forgets an image whose stored bytes turned out to be damaged, with the index entries that lead to it, so
    /// that it can be stored again. Unlike [`Change::ImageRemoved`] that is not a decision about the store's
    /// content: versions may go on referring to it. Returns the keys.
    pub fn forget_damaged(&mut self, structural_hash: &StructuralHash) -> Vec<SyntacticKey> {
        let keys: Vec<_> = self.key_relation().of(structural_hash).copied().collect();
        for key in &keys {
            self.unindex(key);
        }
        self.remove_image(structural_hash);
        keys
    }

    /// Forgets a source whose stored bytes turned out to be damaged, so that it can be stored again.
    pub fn forget_damaged_source(&mut self, source_hash: &SourceHash) {
        self.remove_source(source_hash);
    }

    /// The latest revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The image with this hash, if it is in memory.
    pub fn get(&self, structural_hash: &StructuralHash) -> Option<Arc<PipelineImage>> {
        self.bodies.get(structural_hash)
    }

    /// The images that are in memory, now and later, without the state.
    pub fn loaded(&self) -> LoadedImages {
        self.bodies.handle().clone()
    }

    /// The image with this hash, or whether it can be loaded.
    pub fn image(&self, structural_hash: &StructuralHash) -> Lookup<Arc<PipelineImage>> {
        match self.bodies.get(structural_hash) {
            Some(image) => Lookup::Loaded(image),
            None if self.images.contains_key(structural_hash) => Lookup::NotLoaded,
            None => Lookup::Absent,
        }
    }

    /// The summary of an image, if it is stored.
    pub fn summary(&self, structural_hash: &StructuralHash) -> Option<&Arc<ImageSummary>> {
        self.images.get(structural_hash)
    }

    /// What a name points to.
    pub fn resolve(&self, name: &PipelineName) -> Option<ActiveVersion> {
        self.names.get(name)?.active()
    }

    /// The names whose active version is an image, by ascending bytes.
    pub fn names_of(&self, structural_hash: &StructuralHash) -> Vec<PipelineName> {
        let is_active = |holder: &&Holder| {
            self.resolve(&holder.name).is_some_and(|active| active.version == holder.version)
        };
        let mut names: Vec<_> =
            self.holders(structural_hash).filter(is_active).map(|holder| holder.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// The image that a key leads to.
    pub fn lookup_syntactic(&self, key: &SyntacticKey) -> Option<StructuralHash> {
        self.index.get(key).copied()
    }

    /// The history of a name, also of a deleted one.
    pub fn versions(&self, name: &PipelineName) -> Option<&Arc<VersionHistory>> {
        self.names.get(name)
    }

    /// The versions that refer to an image.
    pub fn holders(&self, structural_hash: &StructuralHash) -> impl Iterator<Item = &Holder> {
        self.holder_relation().of(structural_hash)
    }

    /// A retained source text, or whether it can be loaded.
    pub fn source(&self, source_hash: &SourceHash) -> Lookup<Arc<str>> {
        match self.sources.get(source_hash) {
            Some(StoredSource { text: Some(text), bytes: _ }) => Lookup::Loaded(Arc::clone(text)),
            Some(StoredSource { text: None, bytes: _ }) => Lookup::NotLoaded,
            None => Lookup::Absent,
        }
    }

    /// Whether a source text is retained.
    pub fn has_source(&self, source_hash: &SourceHash) -> bool {
        self.sources.contains_key(source_hash)
    }

    /// How many bytes a source text has, if it is retained.
    pub fn source_bytes(&self, source_hash: &SourceHash) -> Option<u64> {
        self.sources.get(source_hash).map(|source| source.bytes)
    }

    /// All images, by ascending hash.
    pub fn images(&self) -> impl ExactSizeIterator<Item = &Arc<ImageSummary>> {
        self.images.values()
    }

    /// The images that are in memory, by ascending hash.
    pub fn loaded_images(&self) -> impl Iterator<Item = Arc<PipelineImage>> {
        self.images.keys().filter_map(|structural_hash| self.bodies.get(structural_hash))
    }

    /// All sources, by ascending hash.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = (&SourceHash, &StoredSource)> {
        self.sources.iter()
    }

    /// Hashes of images that are not loaded, in ascending order, after one of them, at most `limit` of them.
    pub fn images_not_loaded(&self, after: Option<StructuralHash>, limit: usize) -> Vec<StructuralHash> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let stored =
            self.images.range((start, Bound::Unbounded)).map(|(structural_hash, _)| *structural_hash);
        stored.filter(|structural_hash| !self.bodies.contains(structural_hash)).take(limit).collect()
    }

    /// Hashes of sources that are not loaded, as [`State::images_not_loaded`].
    pub fn sources_not_loaded(&self, after: Option<SourceHash>, limit: usize) -> Vec<SourceHash> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let stored = self.sources.range((start, Bound::Unbounded));
        stored
            .filter(|(_, source)| source.text.is_none())
            .map(|(source_hash, _)| *source_hash)
            .take(limit)
            .collect()
    }

    /// The whole index, by ascending key.
    pub fn index_entries(&self) -> impl ExactSizeIterator<Item = (&SyntacticKey, &StructuralHash)> {
        self.index.iter()
    }

    /// The histories of all names, by ascending bytes of the name, those of deleted names too.
    pub fn histories(&self) -> impl ExactSizeIterator<Item = &Arc<VersionHistory>> {
        self.names.values()
    }

    /// The images of a listing, as they are now.
    ///
    /// This and the other listings hold on to what they list, one `Arc` or one pair of hashes an entry, and take
    /// the state's time for that only: with a limit for the page, without one for everything (some milliseconds
    /// for 100,000 entries). Entries are made as they are asked for.
    pub fn list_images(
        &self,
        options: &ListOptions<StructuralHash>,
    ) -> impl Iterator<Item = ImageSummary> + Send + use<> {
        let page: Vec<_> = page(&self.images, options).map(|(_, summary)| Arc::clone(summary)).collect();
        page.into_iter().map(|summary| ImageSummary::clone(&summary))
    }

    /// The images of a listing that names point to, as they are now. With a prefix this looks at all names that begin
    /// so, whatever the page.
    pub fn list_named(
        &self,
        prefix: &str,
        options: &ListOptions<StructuralHash>,
    ) -> impl Iterator<Item = NamedImage> + Send + use<> {
        let with_names = |structural_hash: StructuralHash| {
            let names = self.names_of(&structural_hash);
            (!names.is_empty()).then(|| (structural_hash, names, self.images.get(&structural_hash).cloned()))
        };
        let limit = options.limit.unwrap_or(usize::MAX);
        let page: Vec<_> = if prefix.is_empty() {
            self.holder_relation().firsts_after(options.after).filter_map(with_names).take(limit).collect()
        } else {
            let beginning = self.names.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
            let beginning = beginning.take_while(|(name, _)| name.as_str().starts_with(prefix));
            let pointed: BTreeSet<_> =
                beginning.filter_map(|(_, history)| Some(history.active()?.structural_hash)).collect();
            let start = options.after.map_or(Bound::Unbounded, Bound::Excluded);
            pointed.range((start, Bound::Unbounded)).copied().filter_map(with_names).take(limit).collect()
        };
        page.into_iter().map(|(structural_hash, names, summary)| NamedImage {
            structural_hash,
            names,
            summary: summary.map(|summary| ImageSummary::clone(&summary)),
        })
    }

    /// The names of a listing, as they are now.
    pub fn list_names(
        &self,
        options: &ListOptions<PipelineName>,
    ) -> impl Iterator<Item = NameEntry> + Send + use<> {
        let page: Vec<_> = page(&self.names, options)
            .map(|(name, history)| NameEntry { name: name.clone(), active: history.active() })
            .collect();
        page.into_iter()
    }

    /// The index entries of a listing, as they are now.
    pub fn list_index(
        &self,
        options: &ListOptions<SyntacticKey>,
    ) -> impl Iterator<Item = IndexEntry> + Send + use<> {
        let page: Vec<_> = page(&self.index, options)
            .map(|(key, structural_hash)| IndexEntry { key: *key, structural_hash: *structural_hash })
            .collect();
        page.into_iter()
    }

    /// The counts of the state; that it takes commits, and no warnings.
    pub fn status(&self) -> StoreStatus {
        StoreStatus {
            revision: self.revision,
            images: self.images.len() as u64,
            sources: self.sources.len() as u64,
            bytes: self.n_bytes,
            names: self.n_active,
            read_only: None,
            warnings: Vec::new(),
        }
    }

    /// What refers to images that are not stored. Takes time linear in the state.
    pub fn dangling(&self) -> Dangling {
        // Each hash is looked up at random, in which an ordered map is several times slower.
        let stored: HashSet<_, ByOwnBytes> = self.images.keys().collect();
        let missing = |structural_hash: &StructuralHash| !stored.contains(structural_hash);
        let index = self.index.iter().filter(|(_, structural_hash)| missing(structural_hash));
        let mut images: BTreeMap<StructuralHash, Vec<Holder>> = BTreeMap::new();
        for history in self.names.values() {
            for version in history.versions.iter().filter(|version| missing(&version.structural_hash)) {
                let holder = Holder::new(&history.pipeline_name, version);
                images.entry(version.structural_hash).or_default().push(holder);
            }
        }
        let index = index
            .map(|(key, structural_hash)| IndexEntry { key: *key, structural_hash: *structural_hash })
            .collect();
        Dangling { index, images: images.into_iter().collect() }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::ImageAdded { image, summary } => self.add_image(Arc::clone(image), Arc::clone(summary)),
            Change::SourceAdded { source_hash, text } => {
                let before = self.sources.insert(*source_hash, Arc::clone(text).into());
                self.n_bytes += text.len() as u64;
                self.n_bytes -= before.map_or(0, |source| source.bytes);
            }
            Change::Indexed { key, structural_hash } => self.index(*key, *structural_hash),
            Change::VersionRecorded { name, version } => self.record_version(name, version),
            Change::Activated { name, version } => {
                self.change_name(name, |history| history.active_version = Some(*version));
            }
            Change::NameDeleted { name } => {
                self.change_name(name, |history| history.active_version = None);
            }
            Change::VersionsPruned { name, versions } => self.prune_versions(name, versions),
            Change::LoaderSource { name, source_hash } => {
                self.change_name(name, |history| history.loader_source_hash = Some(*source_hash));
            }
            Change::IndexRemoved { key } => self.unindex(key),
            Change::ImageRemoved { structural_hash } => self.remove_image(structural_hash),
            Change::SourceRemoved { source_hash } => self.remove_source(source_hash),
        }
    }

    fn remove_source(&mut self, source_hash: &SourceHash) {
        self.n_bytes -= self.sources.remove(source_hash).map_or(0, |source| source.bytes);
    }

    fn add_image(&mut self, image: Arc<PipelineImage>, summary: Arc<ImageSummary>) {
        let structural_hash = image.structural_hash;
        match self.images.entry(structural_hash) {
            Entry::Occupied(known) => {
                // A journal is replayed on a state that has the image elsewhere.
                if !self.bodies.contains(&structural_hash) && *known.get() == summary {
                    self.bodies.insert(image);
                }
                return;
            }
            Entry::Vacant(vacant) => {
                self.n_bytes += summary.graph_bytes;
                self.relations.add_image(&summary);
                vacant.insert(summary);
            }
        }
        self.bodies.insert(image);
    }

    fn remove_image(&mut self, structural_hash: &StructuralHash) {
        self.bodies.remove(structural_hash);
        let Some(summary) = self.images.remove(structural_hash) else { return };
        self.n_bytes -= summary.graph_bytes;
        self.relations.remove_image(&summary);
    }

    fn index(&mut self, key: SyntacticKey, structural_hash: StructuralHash) {
        let before = self.index.insert(key, structural_hash);
        self.relations.keys.update(|keys| {
            if let Some(before) = before {
                keys.separate(before, key);
            }
            keys.relate(structural_hash, key);
        });
    }

    fn unindex(&mut self, key: &SyntacticKey) {
        if let Some(before) = self.index.remove(key) {
            self.relations.keys.update(|keys| keys.separate(before, *key));
        }
    }

    fn record_version(&mut self, name: &PipelineName, version: &Version) {
        self.revision = self.revision.max(revision_of_number(version.version));
        let replaced = self.change_name(name, |history| {
            history.next_version = history.next_version.max(version.version.saturating_add(1));
            history.active_version = Some(version.version);
            match history.versions.binary_search_by_key(&version.version, |known| known.version) {
                Ok(place) => Some(std::mem::replace(&mut history.versions[place], version.clone())),
                Err(place) => {
                    // Most names have one version only, and it would make room for several.
                    if history.versions.is_empty() {
                        history.versions.reserve_exact(1);
                    }
                    history.versions.insert(place, version.clone());
                    None
                }
            }
        });
        if let Some(replaced) = replaced {
            self.relations.release(name, &replaced);
        }
        self.relations.hold(name, version);
    }

    fn prune_versions(&mut self, name: &PipelineName, numbers: &[u64]) {
        let pruned: Vec<Version> = self.change_name(name, |history| {
            history.versions.extract_if(.., |known| numbers.binary_search(&known.version).is_ok()).collect()
        });
        for version in &pruned {
            self.relations.release(name, version);
        }
    }

    /// Changes the history of a name, which is made if there is none.
    fn change_name<T>(&mut self, name: &PipelineName, change: impl FnOnce(&mut VersionHistory) -> T) -> T {
        let history =
            self.names.entry(name.clone()).or_insert_with(|| Arc::new(VersionHistory::new(name.clone())));
        self.n_active -= u64::from(history.active_version.is_some());
        let result = change(Arc::make_mut(history));
        self.n_active += u64::from(history.active_version.is_some());
        result
    }
}

/// The revision that a store has at the least which has this history: that of its newest version, and the greatest
/// number that was given.
fn least_revision(history: &VersionHistory) -> Revision {
    let newest = history.versions.iter().map(|version| version.revision).max().unwrap_or_default();
    newest.max(revision_of_number(history.next_version.saturating_sub(1)))
}

/// The revision that a store has at the least when this version number was given.
///
/// So the revision bounds the numbers of all names, also of one whose history is lost: numbers above it were never
/// given. A number far beyond was put there by hand, and is not to use up the revisions.
pub(crate) fn revision_of_number(number: u64) -> Revision {
    const MAX_GIVEN: u64 = u64::MAX / 2;
    Revision(if number <= MAX_GIVEN { number } else { 0 })
}

fn page<'a, K: Ord + Clone, V>(
    map: &'a BTreeMap<K, V>,
    options: &ListOptions<K>,
) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
    let ListOptions { after, limit } = options;
    let start = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
    map.range((start, Bound::Unbounded)).take(limit.unwrap_or(usize::MAX))
}
