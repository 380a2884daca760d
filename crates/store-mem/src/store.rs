//! The store: a state behind a lock.

use std::fmt;
use std::sync::{Arc, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use constellation_store_core::{
    ActiveVersion, Clock, Commit, Committed, ErrorKind, ImageSummary, IndexEntry, ListOptions, NameEntry,
    NamedImage, PipelineImage, PipelineName, PipelineStore, Result, SourceHash, StoreError, StoreStatus,
    StructuralHash, SyntacticKey, SystemClock, VersionHistory,
};
use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt};

use crate::{Pending, State, VerifiedCommit};

/// A store that keeps everything in memory and forgets it when it is dropped.
///
/// A read takes a read lock for a look-up in an ordered map and the copy of an `Arc`. A commit verifies its images
/// without a lock, and takes the write lock for as long as its operations take.
///
/// ```
/// use constellation_store_core::PipelineStore;
/// use constellation_store_mem::InMemoryPipelineStore;
///
/// let store = InMemoryPipelineStore::new();
/// assert_eq!(store.to_string(), "in memory");
/// ```
///
/// # Durability
///
/// None: "durable", in the rules of [`PipelineStore`], means "until the store is dropped" here.
#[derive(Debug)]
pub struct InMemoryPipelineStore {
    clock: Arc<dyn Clock>,
    // None when the store is closed.
    state: RwLock<Option<State>>,
}

impl InMemoryPipelineStore {
    /// An empty store with the clock of the system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the time of versions from `clock`.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    fn read<T>(&self, operation: &'static str, read: impl FnOnce(&State) -> T) -> Result<T> {
        match &*self.lock() {
            Some(state) => Ok(read(state)),
            None => Err(closed(operation)),
        }
    }

    fn lock(&self) -> RwLockReadGuard<'_, Option<State>> {
        self.state.read().expect("no code panics while it holds the lock")
    }

    fn list<T: Send + 'static, I: Iterator<Item = T> + Send + 'static>(
        &self,
        operation: &'static str,
        list: impl FnOnce(&State) -> I,
    ) -> BoxStream<'static, Result<T>> {
        match self.read(operation, list) {
            Ok(entries) => stream::iter(entries.map(Ok)).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

impl Default for InMemoryPipelineStore {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), state: RwLock::new(Some(State::new())) }
    }
}

impl fmt::Display for InMemoryPipelineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("in memory")
    }
}

fn closed(operation: &'static str) -> StoreError {
    StoreError::new(ErrorKind::Unavailable, operation, "the store is closed; open it again")
}

#[async_trait]
impl PipelineStore for InMemoryPipelineStore {
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let commit = VerifiedCommit::new(commit)?;
        let now = self.clock.now();
        let mut state = self.state.write().expect("no code panics while it holds the lock");
        let state = state.as_mut().ok_or_else(|| closed("commit"))?;
        let prepared = state.prepare_after(&Pending::new(), &commit, now)?;
        Ok(state.apply(prepared))
    }

    async fn get(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        self.read("get image", |state| state.get(structural_hash))
    }

    async fn peek(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        // All of it is in memory.
        self.get(structural_hash).await
    }

    async fn resolve(&self, name: &PipelineName) -> Result<Option<ActiveVersion>> {
        self.read("resolve name", |state| state.resolve(name))
    }

    async fn names_of(&self, structural_hash: &StructuralHash) -> Result<Vec<PipelineName>> {
        self.read("list names of image", |state| state.names_of(structural_hash))
    }

    async fn lookup_syntactic(&self, key: &SyntacticKey) -> Result<Option<StructuralHash>> {
        self.read("look up program", |state| state.lookup_syntactic(key))
    }

    async fn versions(&self, name: &PipelineName) -> Result<Option<Arc<VersionHistory>>> {
        self.read("read versions", |state| state.versions(name).cloned())
    }

    async fn source(&self, source_hash: &SourceHash) -> Result<Option<Arc<str>>> {
        // Nothing is elsewhere: what is stored is loaded.
        self.read("read source", |state| state.source(source_hash).loaded())
    }

    fn list_images(&self, options: ListOptions<StructuralHash>) -> BoxStream<'static, Result<ImageSummary>> {
        self.list("list images", |state| state.list_images(&options))
    }

    fn list_named(
        &self,
        prefix: &str,
        options: ListOptions<StructuralHash>,
    ) -> BoxStream<'static, Result<NamedImage>> {
        self.list("list named images", |state| state.list_named(prefix, &options))
    }

    fn list_names(&self, options: ListOptions<PipelineName>) -> BoxStream<'static, Result<NameEntry>> {
        self.list("list names", |state| state.list_names(&options))
    }

    fn list_index(&self, options: ListOptions<SyntacticKey>) -> BoxStream<'static, Result<IndexEntry>> {
        self.list("list index", |state| state.list_index(&options))
    }

    async fn status(&self) -> Result<StoreStatus> {
        self.read("read status", State::status)
    }

    async fn close(&self) -> Result<()> {
        let state = self.state.write().expect("no code panics while it holds the lock").take();
        // Dropping many images takes a while; the lock is free by now.
        drop(state);
        Ok(())
    }
}
