//! A store backend of one's own: ordered maps behind locks, for as long as the process lives.
//!
//! It stands for a database that one has already. A backend does three things: it judges a commit by the rules of
//! the contract (`content.rs`; a database would do it in a transaction), it answers reads, and it runs the suite
//! that shows that it does both right (`tests/conformance.rs`).

mod content;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use constellation_store_core::{
    ActiveVersion, Clock, Commit, Committed, ErrorKind, ImageSummary, IndexEntry, ListOptions, NameEntry,
    NamedImage, Operation, PipelineImage, PipelineName, PipelineStore, Result, SourceHash, StoreError,
    StoreStatus, StructuralHash, SyntacticKey, SystemClock, VersionHistory,
};
use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt};

use crate::content::Content;

/// What outlives the stores: the content of each, by its name.
#[derive(Debug, Default)]
pub struct Database(Mutex<BTreeMap<String, Arc<Mutex<Content>>>>);

impl Database {
    /// Opens the store of this name, which is empty the first time.
    pub fn store(&self, name: &str) -> MapStore {
        let content = Arc::clone(lock(&self.0).entry(name.to_owned()).or_default());
        MapStore { name: name.to_owned(), content, is_closed: AtomicBool::new(false) }
    }
}

/// A store of a [`Database`].
///
/// # Durability
///
/// As long as the database lives, which is what "durable" means here.
///
/// # Limitations
///
/// A commit copies the maps, though not what is in them, and so takes time linear in the store.
#[derive(Debug)]
pub struct MapStore {
    name: String,
    content: Arc<Mutex<Content>>,
    is_closed: AtomicBool,
}

impl MapStore {
    fn content(&self) -> Result<MutexGuard<'_, Content>> {
        if self.is_closed.load(Ordering::Acquire) {
            let message = "the store is closed; open it again";
            return Err(StoreError::new(ErrorKind::Unavailable, "use store", message));
        }
        Ok(lock(&self.content))
    }

    /// The entries of a page, taken now, so that what is committed later does not show.
    fn list<K: Ord, V, T: Send + 'static>(
        &self,
        ListOptions { after, limit }: ListOptions<K>,
        map: impl Fn(&Content) -> &BTreeMap<K, V>,
        entry: impl Fn((&K, &V)) -> T,
    ) -> BoxStream<'static, Result<T>> {
        let entries = self.content().map(|content| {
            let after = after.map_or(Bound::Unbounded, Bound::Excluded);
            let page = map(&content).range((after, Bound::Unbounded)).take(limit.unwrap_or(usize::MAX));
            page.map(|found| Ok(entry(found))).collect()
        });
        stream::iter(entries.unwrap_or_else(|error| vec![Err(error)])).boxed()
    }
}

/// No code here panics while it holds a lock, and a commit takes effect in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for MapStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "maps of {}", self.name)
    }
}

#[async_trait]
impl PipelineStore for MapStore {
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        // The costly part, which needs no lock.
        for operation in &commit.operations {
            if let Operation::PutImage(image) = operation {
                image.verify()?;
            }
        }
        let mut content = self.content()?;
        let (changed, committed) = content.after(&commit, SystemClock.now())?;
        *content = changed;
        Ok(committed)
    }

    async fn get(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        Ok(self.content()?.images.get(structural_hash).cloned())
    }

    async fn peek(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        // All of it is in memory.
        self.get(structural_hash).await
    }

    async fn resolve(&self, name: &PipelineName) -> Result<Option<ActiveVersion>> {
        Ok(self.content()?.active(name))
    }

    async fn names_of(&self, structural_hash: &StructuralHash) -> Result<Vec<PipelineName>> {
        let content = self.content()?;
        let points_to_it = |name: &&PipelineName| {
            content.active(name).is_some_and(|active| active.structural_hash == *structural_hash)
        };
        Ok(content.names.keys().filter(points_to_it).cloned().collect())
    }

    async fn lookup_syntactic(&self, key: &SyntacticKey) -> Result<Option<StructuralHash>> {
        Ok(self.content()?.index.get(key).copied())
    }

    async fn versions(&self, name: &PipelineName) -> Result<Option<Arc<VersionHistory>>> {
        Ok(self.content()?.names.get(name).cloned())
    }

    async fn source(&self, source_hash: &SourceHash) -> Result<Option<Arc<str>>> {
        Ok(self.content()?.sources.get(source_hash).cloned())
    }

    fn list_images(&self, options: ListOptions<StructuralHash>) -> BoxStream<'static, Result<ImageSummary>> {
        self.list(options, |content| &content.images, |(_, image)| ImageSummary::of(image))
    }

    fn list_named(
        &self,
        prefix: &str,
        ListOptions { after, limit }: ListOptions<StructuralHash>,
    ) -> BoxStream<'static, Result<NamedImage>> {
        let entries = self.content().map(|content| {
            let mut names: BTreeMap<StructuralHash, Vec<PipelineName>> = BTreeMap::new();
            for (name, history) in &content.names {
                if let Some(active) = history.active() {
                    names.entry(active.structural_hash).or_default().push(name.clone());
                }
            }
            let after = after.map_or(Bound::Unbounded, Bound::Excluded);
            let has_such = |(_, names): &(_, &Vec<PipelineName>)| {
                names.iter().any(|name| name.as_str().starts_with(prefix))
            };
            let page = names.range((after, Bound::Unbounded)).filter(has_such);
            let page = page.take(limit.unwrap_or(usize::MAX));
            let entry = |(structural_hash, names): (&StructuralHash, &Vec<PipelineName>)| NamedImage {
                structural_hash: *structural_hash,
                names: names.clone(),
                summary: content.images.get(structural_hash).map(|image| ImageSummary::of(image)),
            };
            page.map(|found| Ok(entry(found))).collect()
        });
        stream::iter(entries.unwrap_or_else(|error| vec![Err(error)])).boxed()
    }

    fn list_names(&self, options: ListOptions<PipelineName>) -> BoxStream<'static, Result<NameEntry>> {
        let entry = |(name, history): (&PipelineName, &Arc<VersionHistory>)| NameEntry {
            name: name.clone(),
            active: history.active(),
        };
        self.list(options, |content| &content.names, entry)
    }

    fn list_index(&self, options: ListOptions<SyntacticKey>) -> BoxStream<'static, Result<IndexEntry>> {
        let entry = |(key, structural_hash): (&SyntacticKey, &StructuralHash)| IndexEntry {
            key: *key,
            structural_hash: *structural_hash,
        };
        self.list(options, |content| &content.index, entry)
    }

    async fn status(&self) -> Result<StoreStatus> {
        let content = self.content()?;
        Ok(StoreStatus {
            revision: content.revision,
            images: content.images.len() as u64,
            sources: content.sources.len() as u64,
            bytes: content.images.values().map(|image| image.graph_bytes()).sum::<u64>()
                + content.sources.values().map(|text| text.len() as u64).sum::<u64>(),
            names: content.names.values().filter(|history| history.active().is_some()).count() as u64,
            ..StoreStatus::default()
        })
    }

    async fn close(&self) -> Result<()> {
        self.is_closed.store(true, Ordering::Release);
        Ok(())
    }
}
