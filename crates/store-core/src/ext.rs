//! What callers of a store use beside its contract.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::{
    ActiveVersion, Commit, Committed, ErrorKind, ImageSummary, IndexEntry, ListOptions, NameEntry,
    NamedImage, Operation, Origin, Outcome, PipelineImage, PipelineName, PipelineStore, Precondition,
    Reference, Result, Revision, SourceHash, StoreError, StoreStatus, StructuralHash, SyntacticKey,
    Timestamp, VersionHistory,
};

/// How many images one commit of a garbage collection removes.
const GC_BATCH: usize = 100;

/// How often a rollback is tried while others change the name: each failure means that another commit went through.
const ROLLBACK_ATTEMPTS: u32 = 100;

/// A compiled program on its way into a store.
///
/// ```
/// # use std::sync::Arc;
/// # use constellation_store_core::{Origin, PipelineImage, Publication, PipelineStore, PipelineStoreExt, Result};
/// # async fn publish(store: &dyn PipelineStore, image: Arc<PipelineImage>) -> Result<()> {
/// let publication = Publication::new(image, Origin::Compile).with_name("scoring".parse()?);
/// let published = store.publish(publication).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Publication {
    /// The image.
    pub image: Arc<PipelineImage>,
    /// The text that it was compiled from, to be retained.
    pub source: Option<Arc<str>>,
    /// The key by which it is found again.
    pub key: Option<SyntacticKey>,
    /// The name that is to point to it.
    pub name: Option<PipelineName>,
    /// What publishes it.
    pub origin: Origin,
    /// What must hold of the name; without a name it means nothing.
    pub precondition: Precondition,
}

impl Publication {
    /// The publication of an image alone, without source, key or name.
    pub fn new(image: Arc<PipelineImage>, origin: Origin) -> Self {
        Self { image, source: None, key: None, name: None, origin, precondition: Precondition::Any }
    }

    /// Retains the source.
    pub fn with_source(self, source: Arc<str>) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Lets it be found again by the key.
    pub fn with_key(self, key: SyntacticKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Points the name to it.
    pub fn with_name(self, name: PipelineName) -> Self {
        Self { name: Some(name), ..self }
    }

    /// Requires something of the name.
    pub fn with_precondition(self, precondition: Precondition) -> Self {
        Self { precondition, ..self }
    }
}

/// What publishing, or aliasing, did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The hash of the image.
    pub structural_hash: StructuralHash,
    /// Whether a version was made; without a name, whether the image is new.
    pub changed: bool,
    /// The version that is active now; none without a name.
    pub version: Option<u64>,
    /// What was active before.
    pub previous: Option<ActiveVersion>,
    /// The revision of the commit; the latest one when it changed nothing.
    pub revision: Revision,
}

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// Whether another version was active before.
    pub changed: bool,
    /// What is active now.
    pub active: ActiveVersion,
    /// What was active before; none when the name was deleted.
    pub previous: Option<ActiveVersion>,
    /// The revision of the commit; the latest one when it changed nothing.
    pub revision: Revision,
}

/// What a garbage collection may remove.
#[derive(Debug, Clone)]
pub struct GcOptions {
    /// The time now, from which ages are counted.
    pub now: Timestamp,
    /// Only images that were compiled longer ago than this: 7 days, unless told otherwise.
    pub older_than: Duration,
    /// Whether to only tell what would be removed.
    pub dry_run: bool,
    /// Images that stay in any case: those that runs are using.
    pub in_use: HashSet<StructuralHash>,
}

impl GcOptions {
    /// Removes what is older than 7 days at the time `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now, older_than: Duration::from_hours(7 * 24), dry_run: false, in_use: HashSet::new() }
    }
}

/// What a garbage collection removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// The images, by ascending hash.
    pub removed: Vec<StructuralHash>,
    /// How many images stay.
    pub kept: u64,
}

/// What callers of a store use beside [`PipelineStore`], which every store has.
///
/// Each call that writes is one commit, but for [`gc`](PipelineStoreExt::gc).
pub trait PipelineStoreExt: PipelineStore {
    /// Stores an image, and tells its hash. One that is there is kept.
    ///
    /// # Errors
    ///
    /// As [`PipelineStore::commit`].
    fn store(&self, image: Arc<PipelineImage>) -> impl Future<Output = Result<StructuralHash>> + Send;

    /// Points a name to a stored image: makes a new version, unless the image is the active one already.
    ///
    /// # Errors
    ///
    /// `NotFound` when the image is not stored, and as [`PipelineStore::commit`].
    fn alias(
        &self,
        name: &PipelineName,
        structural_hash: &StructuralHash,
    ) -> impl Future<Output = Result<Published>> + Send;

    /// All names that point to something, and what to.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    fn list_aliases(&self) -> impl Future<Output = Result<BTreeMap<PipelineName, StructuralHash>>> + Send;

    /// The image that a name points to, or none when it has no active version.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the name points to an image that is damaged or lost; `Unavailable`.
    fn get_by_name(
        &self,
        name: &PipelineName,
    ) -> impl Future<Output = Result<Option<Arc<PipelineImage>>>> + Send;

    /// The image that a name or a hash refers to, or none.
    ///
    /// # Errors
    ///
    /// As [`get_by_name`](PipelineStoreExt::get_by_name).
    fn get_by_reference(
        &self,
        reference: &Reference,
    ) -> impl Future<Output = Result<Option<Arc<PipelineImage>>>> + Send;

    /// Lets a program be found again by its key. Tells whether that changed anything.
    ///
    /// # Errors
    ///
    /// `NotFound` when the image is not stored, and as [`PipelineStore::commit`].
    fn index_syntactic(
        &self,
        key: SyntacticKey,
        structural_hash: &StructuralHash,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// All images, by ascending hash. Prefer [`PipelineStore::list_images`] where a page will do.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    fn list_all_images(&self) -> impl Future<Output = Result<Vec<ImageSummary>>> + Send;

    /// All names, by ascending bytes, deleted ones too. Prefer [`PipelineStore::list_names`] where a page will do.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    fn list_all_names(&self) -> impl Future<Output = Result<Vec<NameEntry>>> + Send;

    /// Removes an image, the index entries that lead to it, and its source if nothing else refers to that. Tells
    /// whether it was there.
    ///
    /// # Errors
    ///
    /// `InUse` when a version refers to it, and as [`PipelineStore::commit`].
    fn remove(&self, structural_hash: &StructuralHash) -> impl Future<Output = Result<bool>> + Send;

    /// Stores an image with its source and index entry and points a name to it, all of it or nothing.
    ///
    /// # Errors
    ///
    /// `Conflict` when the precondition does not hold, and as [`PipelineStore::commit`].
    fn publish(&self, publication: Publication) -> impl Future<Output = Result<Published>> + Send;

    /// Makes a version active again: the one that is told, or else the newest one before the active one.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such name or version, or nothing before the active one; `Conflict` when the
    /// precondition does not hold; and as [`PipelineStore::commit`].
    fn rollback(
        &self,
        name: &PipelineName,
        version: Option<u64>,
        precondition: Precondition,
    ) -> impl Future<Output = Result<RolledBack>> + Send;

    /// Removes the images that no version refers to, as far as the options let it. An image that comes into use
    /// meanwhile stays. It takes several commits; after an error some images may be gone.
    ///
    /// # Errors
    ///
    /// As [`PipelineStore::commit`], but not `InUse` or `NotFound`.
    fn gc(&self, options: GcOptions) -> impl Future<Output = Result<GcReport>> + Send;
}

impl<T: PipelineStore + ?Sized> PipelineStoreExt for T {
    async fn store(&self, image: Arc<PipelineImage>) -> Result<StructuralHash> {
        let structural_hash = image.structural_hash;
        self.commit(Commit::new().then(Operation::PutImage(image))).await?;
        Ok(structural_hash)
    }

    async fn alias(&self, name: &PipelineName, structural_hash: &StructuralHash) -> Result<Published> {
        // Errors of a run are shown in the source of the active version, so it is remembered here too.
        let image = self.get(structural_hash).await?;
        let operation = Operation::RecordVersion {
            name: name.clone(),
            structural_hash: *structural_hash,
            origin: Origin::Alias,
            source_hash: image.and_then(|image| image.metadata.source_hash),
        };
        let committed = self.commit(Commit::new().then(operation)).await?;
        Ok(published(*structural_hash, &committed))
    }

    async fn list_aliases(&self) -> Result<BTreeMap<PipelineName, StructuralHash>> {
        let names = self.list_all_names().await?;
        let aliases = names.into_iter().filter_map(|NameEntry { name, active }| {
            active.map(|ActiveVersion { version: _, structural_hash }| (name, structural_hash))
        });
        Ok(aliases.collect())
    }

    async fn get_by_name(&self, name: &PipelineName) -> Result<Option<Arc<PipelineImage>>> {
        let mut active = self.resolve(name).await?;
        while let Some(found) = active {
            if let Some(image) = self.get(&found.structural_hash).await? {
                return Ok(Some(image));
            }
            // It may have been replaced, pruned and removed in between.
            active = self.resolve(name).await?;
            if active == Some(found) {
                let message = "the image of the active version is lost; compile it again, or roll back";
                return Err(StoreError::new(ErrorKind::Corrupt, "get image", message)
                    .with("name", name)
                    .with("version", found.version)
                    .with("structuralHash", found.structural_hash));
            }
        }
        Ok(None)
    }

    async fn get_by_reference(&self, reference: &Reference) -> Result<Option<Arc<PipelineImage>>> {
        match reference {
            Reference::Name(name) => self.get_by_name(name).await,
            Reference::Hash(structural_hash) => self.get(structural_hash).await,
        }
    }

    async fn index_syntactic(&self, key: SyntacticKey, structural_hash: &StructuralHash) -> Result<bool> {
        let operation = Operation::Index { key, structural_hash: *structural_hash };
        let committed = self.commit(Commit::new().then(operation)).await?;
        Ok(committed.outcomes.contains(&Outcome::Indexed { changed: true }))
    }

    async fn list_all_images(&self) -> Result<Vec<ImageSummary>> {
        collect(self.list_images(ListOptions::default())).await
    }

    async fn list_all_names(&self) -> Result<Vec<NameEntry>> {
        collect(self.list_names(ListOptions::default())).await
    }

    async fn remove(&self, structural_hash: &StructuralHash) -> Result<bool> {
        let operation = Operation::RemoveImage { structural_hash: *structural_hash };
        match self.commit(Commit::new().then(operation)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn publish(&self, publication: Publication) -> Result<Published> {
        let Publication { image, source, key, name, origin, precondition } = publication;
        let structural_hash = image.structural_hash;
        let source_hash = match &source {
            Some(source) => Some(SourceHash::of_bytes(source.as_bytes())),
            None => image.metadata.source_hash,
        };
        let mut commit = Commit::new().then(Operation::PutImage(image));
        if let Some(source) = source {
            commit = commit.then(Operation::PutSource(source));
        }
        if let Some(key) = key {
            commit = commit.then(Operation::Index { key, structural_hash });
        }
        if let Some(name) = name {
            commit = commit.require(name.clone(), precondition);
            commit = commit.then(Operation::RecordVersion { name, structural_hash, origin, source_hash });
        }
        let committed = self.commit(commit).await?;
        Ok(published(structural_hash, &committed))
    }

    async fn rollback(
        &self,
        name: &PipelineName,
        version: Option<u64>,
        precondition: Precondition,
    ) -> Result<RolledBack> {
        let mut attempts = 1;
        loop {
            let mut commit = Commit::new().require(name.clone(), precondition);
            let version = if let Some(version) = version {
                version
            } else {
                let history = self.versions(name).await?;
                match version_before(history.as_deref()) {
                    Ok((active, previous)) => {
                        // What is before the active version depends on what is active.
                        commit = commit.require(name.clone(), Precondition::Active(active));
                        previous
                    }
                    Err(message) => {
                        // A precondition that does not hold is told first.
                        self.commit(commit).await?;
                        return Err(
                            StoreError::new(ErrorKind::NotFound, "roll back", message).with("name", name)
                        );
                    }
                }
            };
            commit = commit.then(Operation::SetActive { name: name.clone(), version });
            let committed = match self.commit(commit).await {
                Err(error)
                    if error.kind() == ErrorKind::Conflict
                        && precondition == Precondition::Any
                        && attempts < ROLLBACK_ATTEMPTS =>
                {
                    attempts += 1;
                    continue;
                }
                committed => committed?,
            };
            let Some(Outcome::Activated { changed, active, previous }) = committed.outcomes.first() else {
                return Err(wrong_outcome("roll back"));
            };
            return Ok(RolledBack {
                changed: *changed,
                active: *active,
                previous: *previous,
                revision: committed.revision,
            });
        }
    }

    async fn gc(&self, options: GcOptions) -> Result<GcReport> {
        let GcOptions { now, older_than, dry_run, in_use } = options;
        let older_than = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        let before = now.as_milliseconds().saturating_sub(older_than);
        let mut held = BTreeSet::new();
        for entry in self.list_all_names().await? {
            let history = self.versions(&entry.name).await?;
            held.extend(
                history.iter().flat_map(|history| &history.versions).map(|known| known.structural_hash),
            );
        }
        let images = self.list_all_images().await?;
        let candidates: Vec<StructuralHash> = images
            .iter()
            .filter(|image| image.metadata.compiled_at.as_milliseconds() < before)
            .map(|image| image.structural_hash)
            .filter(|structural_hash| !held.contains(structural_hash) && !in_use.contains(structural_hash))
            .collect();
        let removed = if dry_run { candidates } else { remove_unused(self, &candidates).await? };
        let kept = images.len().saturating_sub(removed.len()) as u64;
        Ok(GcReport { removed, kept })
    }
}

/// Removes images in batches, and those that came into use, or went away, one by one around them.
async fn remove_unused<T: PipelineStore + ?Sized>(
    store: &T,
    candidates: &[StructuralHash],
) -> Result<Vec<StructuralHash>> {
    let mut removed = Vec::with_capacity(candidates.len());
    for batch in candidates.chunks(GC_BATCH) {
        let mut commit = Commit::new();
        for structural_hash in batch {
            commit = commit.then(Operation::RemoveImage { structural_hash: *structural_hash });
        }
        match store.commit(commit).await {
            Ok(_) => removed.extend_from_slice(batch),
            Err(error) if matches!(error.kind(), ErrorKind::InUse | ErrorKind::NotFound) => {
                for structural_hash in batch {
                    match store.remove(structural_hash).await {
                        Ok(true) => removed.push(*structural_hash),
                        Ok(false) => {}
                        Err(error) if error.kind() == ErrorKind::InUse => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// All entries of a listing.
pub(crate) async fn collect<T>(mut stream: BoxStream<'static, Result<T>>) -> Result<Vec<T>> {
    let mut entries = Vec::new();
    while let Some(entry) = poll_fn(|ctx| stream.as_mut().poll_next(ctx)).await {
        entries.push(entry?);
    }
    Ok(entries)
}

fn published(structural_hash: StructuralHash, committed: &Committed) -> Published {
    let Committed { revision, outcomes } = committed;
    let version = outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Version { changed, version, previous } => Some((*changed, *version, *previous)),
        _ => None,
    });
    Published {
        structural_hash,
        changed: version
            .map_or_else(|| outcomes.contains(&Outcome::Image { added: true }), |(changed, ..)| changed),
        version: version.map(|(_, version, _)| version),
        previous: version.and_then(|(.., previous)| previous),
        revision: *revision,
    }
}

/// The active version and the newest one before it, or why there is none.
fn version_before(history: Option<&VersionHistory>) -> Result<(u64, u64), &'static str> {
    let history = history.ok_or("there is no such name")?;
    let active = history.active().ok_or("the name is deleted; tell which version to make active")?;
    let previous = history.previous().ok_or("it has no older version")?;
    Ok((active.version, previous.version))
}

fn wrong_outcome(operation: &'static str) -> StoreError {
    StoreError::new(
        ErrorKind::Unavailable,
        operation,
        "the store answered another operation than it was asked for",
    )
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: PipelineStore + ?Sized> PipelineStore for $pointer<T> {
            async fn commit(&self, commit: Commit) -> Result<Committed> {
                (**self).commit(commit).await
            }

            async fn get(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
                (**self).get(structural_hash).await
            }

            async fn peek(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
                (**self).peek(structural_hash).await
            }

            async fn resolve(&self, name: &PipelineName) -> Result<Option<ActiveVersion>> {
                (**self).resolve(name).await
            }

            async fn names_of(&self, structural_hash: &StructuralHash) -> Result<Vec<PipelineName>> {
                (**self).names_of(structural_hash).await
            }

            async fn lookup_syntactic(&self, key: &SyntacticKey) -> Result<Option<StructuralHash>> {
                (**self).lookup_syntactic(key).await
            }

            async fn versions(&self, name: &PipelineName) -> Result<Option<Arc<VersionHistory>>> {
                (**self).versions(name).await
            }

            async fn source(&self, source_hash: &SourceHash) -> Result<Option<Arc<str>>> {
                (**self).source(source_hash).await
            }

            fn list_images(
                &self,
                options: ListOptions<StructuralHash>,
            ) -> BoxStream<'static, Result<ImageSummary>> {
                (**self).list_images(options)
            }

            fn list_named(
                &self,
                prefix: &str,
                options: ListOptions<StructuralHash>,
            ) -> BoxStream<'static, Result<NamedImage>> {
                (**self).list_named(prefix, options)
            }

            fn list_names(
                &self,
                options: ListOptions<PipelineName>,
            ) -> BoxStream<'static, Result<NameEntry>> {
                (**self).list_names(options)
            }

            fn list_index(
                &self,
                options: ListOptions<SyntacticKey>,
            ) -> BoxStream<'static, Result<IndexEntry>> {
                (**self).list_index(options)
            }

            async fn status(&self) -> Result<StoreStatus> {
                (**self).status().await
            }

            async fn close(&self) -> Result<()> {
                (**self).close().await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
