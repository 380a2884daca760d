//! What a store holds, and the one way in which it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use constellation_store_core::{
    ActiveVersion, Committed, ImageSummary, IndexEntry, ListOptions, NameEntry, PipelineImage, PipelineName,
    Revision, SourceHash, StoreStatus, StructuralHash, SyntacticKey, Version, VersionHistory,
};

use crate::{Change, Prepared};

/// Images, sources, the syntactic index and the names with their versions.
///
/// It is plain, synchronous and deterministic: no clock, no lock, no I/O. It changes by
/// [`apply`](State::apply) and [`replay`](State::replay) only, which cannot fail. All maps are ordered, and each
/// operation of a commit takes time logarithmic in what is stored.
///
/// What is large is shared by `Arc`, so a caller takes what it needs and lets go of the lock. Changing a name
/// while a reader holds its history copies the history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    revision: Revision,
    images: BTreeMap<StructuralHash, ImageSlot>,
    sources: BTreeMap<SourceHash, Arc<str>>,
    index: BTreeMap<SyntacticKey, StructuralHash>,
    names: BTreeMap<PipelineName, Arc<VersionHistory>>,
    n_active: u64,
    // Derived: who refers to what.
    pub(crate) holders: BTreeMap<StructuralHash, BTreeSet<Holder>>,
    pub(crate) keys: BTreeMap<StructuralHash, BTreeSet<SyntacticKey>>,
    pub(crate) source_holders: BTreeMap<SourceHash, BTreeSet<SourceHolder>>,
}

/// What a state is made of, when it is read from somewhere.
#[derive(Debug, Default)]
pub struct Parts {
    /// The latest revision that is known; the state's is the greatest of this one and those of the versions.
    pub revision: Revision,
    /// The images, whose hashes were checked.
    pub images: Vec<Arc<PipelineImage>>,
    /// The sources, whose hashes were checked.
    pub sources: Vec<(SourceHash, Arc<str>)>,
    /// The syntactic index.
    pub index: Vec<(SyntacticKey, StructuralHash)>,
    /// The histories of the names, of which the last counts if there are two of one name. They need not be
    /// normalized.
    pub histories: Vec<VersionHistory>,
}

/// A version that refers to an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The name.
    pub name: PipelineName,
    /// The number of the version.
    pub version: u64,
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

/// A stored image. Whoever lists images reads the summary only, so that the body need not be at hand.
#[derive(Debug, Clone, PartialEq)]
struct ImageSlot {
    summary: Arc<ImageSummary>,
    image: Arc<PipelineImage>,
}

impl State {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state of these parts. Histories are normalized. References to images that are not among the parts
    /// stay, since a journal may bring the images; [`State::dangling`] tells what is left in the end.
    pub fn from_parts(parts: Parts) -> Self {
        let Parts { revision, images, sources, index, histories } = parts;
        let mut state = Self { revision, ..Self::default() };
        for image in images {
            state.add_image(image);
        }
        state.sources = sources.into_iter().collect();
        for (key, structural_hash) in index {
            state.index(key, structural_hash);
        }
        for mut history in histories {
            history.normalize();
            let newest = history.versions.iter().map(|version| version.revision).max();
            state.revision = state.revision.max(newest.unwrap_or_default());
            state.add_history(history);
        }
        state
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
        let keys: Vec<_> = self.keys.get(structural_hash).into_iter().flatten().copied().collect();
        for key in &keys {
            self.unindex(key);
        }
        self.remove_image(structural_hash);
        keys
    }

    /// The latest revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The image with this hash.
    pub fn get(&self, structural_hash: &StructuralHash) -> Option<&Arc<PipelineImage>> {
        self.images.get(structural_hash).map(|slot| &slot.image)
    }

    /// What a name points to.
    pub fn resolve(&self, name: &PipelineName) -> Option<ActiveVersion> {
        self.names.get(name)?.active()
    }

    /// The image that a key leads to.
    pub fn lookup_syntactic(&self, key: &SyntacticKey) -> Option<StructuralHash> {
        self.index.get(key).copied()
    }

    /// The history of a name, also of a deleted one.
    pub fn versions(&self, name: &PipelineName) -> Option<&Arc<VersionHistory>> {
        self.names.get(name)
    }

    /// A retained source text.
    pub fn source(&self, source_hash: &SourceHash) -> Option<&Arc<str>> {
        self.sources.get(source_hash)
    }

    /// All images, by ascending hash.
    pub fn images(&self) -> impl ExactSizeIterator<Item = &Arc<PipelineImage>> {
        self.images.values().map(|slot| &slot.image)
    }

    /// All sources, by ascending hash.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = (&SourceHash, &Arc<str>)> {
        self.sources.iter()
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
        let page: Vec<_> = page(&self.images, options).map(|(_, slot)| Arc::clone(&slot.summary)).collect();
        page.into_iter().map(|summary| ImageSummary::clone(&summary))
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
            names: self.n_active,
            read_only: None,
            warnings: Vec::new(),
        }
    }

    /// What refers to images that are not stored. Takes time linear in the state.
    pub fn dangling(&self) -> Dangling {
        let missing = |structural_hash: &StructuralHash| !self.images.contains_key(structural_hash);
        let index = self.index.iter().filter(|(_, structural_hash)| missing(structural_hash));
        let images = self.holders.iter().filter(|(structural_hash, _)| missing(structural_hash));
        Dangling {
            index: index
                .map(|(key, structural_hash)| IndexEntry { key: *key, structural_hash: *structural_hash })
                .collect(),
            images: images
                .map(|(structural_hash, holders)| (*structural_hash, holders.iter().cloned().collect()))
                .collect(),
        }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::ImageAdded(image) => self.add_image(Arc::clone(image)),
            Change::SourceAdded { source_hash, text } => {
                self.sources.entry(*source_hash).or_insert_with(|| Arc::clone(text));
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
            Change::SourceRemoved { source_hash } => {
                self.sources.remove(source_hash);
            }
        }
    }

    fn add_image(&mut self, image: Arc<PipelineImage>) {
        let structural_hash = image.structural_hash;
        if self.images.contains_key(&structural_hash) {
            return;
        }
        if let Some(source_hash) = image.metadata.source_hash {
            relate(&mut self.source_holders, source_hash, SourceHolder::Image(structural_hash));
        }
        let summary = Arc::new(ImageSummary::of(&image));
        self.images.insert(structural_hash, ImageSlot { summary, image });
    }

    fn remove_image(&mut self, structural_hash: &StructuralHash) {
        let Some(slot) = self.images.remove(structural_hash) else { return };
        if let Some(source_hash) = slot.summary.metadata.source_hash {
            separate(&mut self.source_holders, &source_hash, &SourceHolder::Image(*structural_hash));
        }
    }

    fn index(&mut self, key: SyntacticKey, structural_hash: StructuralHash) {
        if let Some(before) = self.index.insert(key, structural_hash) {
            separate(&mut self.keys, &before, &key);
        }
        relate(&mut self.keys, structural_hash, key);
    }

    fn unindex(&mut self, key: &SyntacticKey) {
        if let Some(before) = self.index.remove(key) {
            separate(&mut self.keys, &before, key);
        }
    }

    fn add_history(&mut self, history: VersionHistory) {
        let name = history.pipeline_name.clone();
        for version in &history.versions {
            self.hold(&name, version);
        }
        self.n_active += u64::from(history.active_version.is_some());
        let Some(before) = self.names.insert(name.clone(), Arc::new(history)) else { return };
        self.n_active -= u64::from(before.active_version.is_some());
        for version in &before.versions {
            if self.names[&name].get(version.version) != Some(version) {
                self.release(&name, version);
            }
        }
    }

    fn record_version(&mut self, name: &PipelineName, version: &Version) {
        let replaced = self.change_name(name, |history| {
            history.next_version = history.next_version.max(version.version.saturating_add(1));
            history.active_version = Some(version.version);
            match history.versions.binary_search_by_key(&version.version, |known| known.version) {
                Ok(place) => Some(std::mem::replace(&mut history.versions[place], version.clone())),
                Err(place) => {
                    history.versions.insert(place, version.clone());
                    None
                }
            }
        });
        if let Some(replaced) = replaced {
            self.release(name, &replaced);
        }
        self.hold(name, version);
    }

    fn prune_versions(&mut self, name: &PipelineName, numbers: &[u64]) {
        let pruned: Vec<Version> = self.change_name(name, |history| {
            history.versions.extract_if(.., |known| numbers.binary_search(&known.version).is_ok()).collect()
        });
        for version in &pruned {
            self.release(name, version);
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

    fn hold(&mut self, name: &PipelineName, version: &Version) {
        let holder = Holder { name: name.clone(), version: version.version };
        if let Some(source_hash) = version.source_hash {
            relate(&mut self.source_holders, source_hash, SourceHolder::Version(holder.clone()));
        }
        relate(&mut self.holders, version.structural_hash, holder);
    }

    fn release(&mut self, name: &PipelineName, version: &Version) {
        let holder = Holder { name: name.clone(), version: version.version };
        separate(&mut self.holders, &version.structural_hash, &holder);
        if let Some(source_hash) = version.source_hash {
            separate(&mut self.source_holders, &source_hash, &SourceHolder::Version(holder));
        }
    }
}

fn relate<K: Ord, V: Ord>(relation: &mut BTreeMap<K, BTreeSet<V>>, key: K, value: V) {
    relation.entry(key).or_default().insert(value);
}

fn separate<K: Ord, V: Ord>(relation: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(values) = relation.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            relation.remove(key);
        }
    }
}

fn page<'a, K: Ord + Clone, V>(
    map: &'a BTreeMap<K, V>,
    options: &ListOptions<K>,
) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
    let ListOptions { after, limit } = options;
    let start = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
    map.range((start, Bound::Unbounded)).take(limit.unwrap_or(usize::MAX))
}
