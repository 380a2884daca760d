//! Pipelines that are stored and do not load: compiled again from their retained source, or kept in sight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use constellation_rehydrate::LoadedPipeline;
use constellation_store_core::{
    ActiveVersion, Commit, ErrorKind, ListOptions, Origin, PipelineImage, PipelineName, Precondition,
    Reference, StoreError, StructuralHash,
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{Asker, LoadFailure, PipelineService, Target, is_damage};
use crate::admission::Overloaded;
use crate::error::ServiceError;

/// Why a pipeline was not compiled again.
#[derive(Debug)]
enum NotCompiled {
    /// It may be, another time.
    Overloaded(Overloaded),
    /// It cannot be; why.
    Impossible(String),
}

impl From<String> for NotCompiled {
    fn from(reason: String) -> Self {
        Self::Impossible(reason)
    }
}

impl PipelineService {
    /// Why names cannot be run, as far as it was noticed.
    pub fn problems(&self) -> BTreeMap<PipelineName, String> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many names cannot be run, as far as it was noticed.
    pub(crate) fn n_problems(&self) -> usize {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Why a name cannot be run, if it was noticed that it cannot.
    pub(crate) fn problem_of(&self, name: &PipelineName) -> Option<String> {
        if !self.has_problems.load(Ordering::Relaxed) {
            return None;
        }
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Looks for versions whose image the store does not have, and compiles those again whose source is retained.
    /// As long as nothing is missing this reads only listings and histories, so it is cheap enough to stand before
    /// the first answer.
    ///
    /// # Errors
    ///
    /// Those of the store. What is wrong with one pipeline is kept among the problems.
    pub async fn restore_missing(&self) -> Result<(), ServiceError> {
        self.restore_missing_as(Asker::Server).await
    }

    async fn restore_missing_as(&self, asker: Asker) -> Result<(), ServiceError> {
        let images = self.stored_images().await?;
        let mut names = self.store.list_names(ListOptions::default());
        while let Some(entry) = names.try_next().await? {
            let Some(history) = self.store.versions(&entry.name).await? else { continue };
            for version in &history.versions {
                if images.contains(&version.structural_hash) {
                    continue;
                }
                if history.active_version == Some(version.version) {
                    // What cannot be restored has been noted and logged.
                    if let Err(error @ ServiceError::Overloaded(_)) = self.load_name(asker, &entry.name).await
                    {
                        return Err(error);
                    }
                } else if let Some(source_hash) = version.source_hash
                    && let Some(source) = self.store.source(&source_hash).await.ok().flatten()
                {
                    self.restore(asker, version.structural_hash, source).await?;
                }
            }
        }
        Ok(())
    }

    /// The image that a reference leads to. One that turns out to be damaged is compiled again from its source, if
    /// that is retained: a store may read an image only when it is asked for.
    ///
    /// # Errors
    ///
    /// Those of the store, of which damage is one when the image cannot be restored, and
    /// [`ServiceError::Overloaded`]: who asks is a client.
    pub(crate) async fn image(
        &self,
        reference: &Reference,
        structural_hash: &StructuralHash,
    ) -> Result<Option<Arc<PipelineImage>>, ServiceError> {
        let is_lost = |found: &Result<Option<_>, StoreError>| match found {
            Ok(Some(_)) => false,
            // What a name leads to was there: somebody else found that it is damaged.
            Ok(None) => matches!(reference, Reference::Name(_)),
            Err(error) => is_damage(error.kind()),
        };
        let found = self.store.get(structural_hash).await;
        if !is_lost(&found) {
            return Ok(found?);
        }
        // Every request would have room for the search, and nearly none needs it.
        Box::pin(self.searched_image(structural_hash, found)).await
    }

    /// The image that was not found, once everything that is lost was looked for.
    async fn searched_image(
        &self,
        structural_hash: &StructuralHash,
        found: Result<Option<Arc<PipelineImage>>, StoreError>,
    ) -> Result<Option<Arc<PipelineImage>>, ServiceError> {
        // One after another, so that what many ask for at once is looked for once, if it can be restored.
        let _turn = self.turn(Asker::Client, &self.searching).await?;
        let found_meanwhile = self.store.get(structural_hash).await;
        if let Ok(Some(image)) = found_meanwhile {
            return Ok(Some(image));
        }
        self.restore_missing_as(Asker::Client).await?;
        // What is compiled again can be run before it is stored.
        drop(self.turn(Asker::Client, &self.healing).await?);
        match self.store.get(structural_hash).await? {
            Some(image) => Ok(Some(image)),
            None => Ok(found?),
        }
    }

    /// The hashes of all images that the store has.
    pub(crate) async fn stored_images(&self) -> Result<BTreeSet<StructuralHash>, StoreError> {
        let images = self.store.list_images(ListOptions::default());
        images.map_ok(|image| image.structural_hash).try_collect().await
    }

    /// Stores an image again that was lost, if this is its source. What stands in the way is logged.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Overloaded`], for a client.
    pub(crate) async fn restore(
        &self,
        asker: Asker,
        structural_hash: StructuralHash,
        source: Arc<str>,
    ) -> Result<(), ServiceError> {
        let restored = match self.find_or_compile_as(asker, source).await {
            Err(error @ ServiceError::Overloaded(_)) => return Err(error),
            Ok(found) if found.structural_hash() == structural_hash => {
                // Whatever the bounds on what is stored: it was stored before. And whatever was found in memory.
                self.commit(found.operations(None, true)).await.map_err(|error| error.to_string())
            }
            Ok(found) => Err(format!("its source has another image now: {}", found.structural_hash())),
            Err(error) => Err(error.to_string()),
        };
        match restored {
            Ok(_) => tracing::warn!(%structural_hash, "a lost image was compiled again from its source"),
            Err(reason) => tracing::warn!(%structural_hash, %reason, "a lost image cannot be restored"),
        }
        Ok(())
    }

    /// Binds every named pipeline, so that those that no longer fit the modules are compiled again, or reported,
    /// before someone calls them.
    ///
    /// # Errors
    ///
    /// Those of listing the names. What is wrong with one pipeline is kept among the problems.
    pub async fn check_all(&self) -> Result<(), StoreError> {
        for (name, active) in self.active_names().await? {
            // Past all caches: what nobody calls need not stay in memory. Binding needs the whole graph.
            if self.bind(self.store.peek(&active.structural_hash).await).await.is_err() {
                let _ = self.load_name(Asker::Server, &name).await;
            }
        }
        Ok(())
    }

    pub(super) async fn load_name(
        &self,
        asker: Asker,
        name: &PipelineName,
    ) -> Result<Arc<LoadedPipeline>, ServiceError> {
        // A second time when the name was pointed elsewhere meanwhile.
        for _ in 0..2 {
            let not_found = || ServiceError::NotFound(Reference::Name(name.clone()));
            let active = self.store.resolve(name).await?.ok_or_else(not_found)?;
            let failure = match self.load_hash(&active.structural_hash).await {
                Ok(pipeline) => {
                    if self.has_problems.load(Ordering::Relaxed) {
                        self.forget_problem(name);
                    }
                    return Ok(pipeline);
                }
                Err(LoadFailure::Store(error)) => {
                    self.note_problem(name, &error.to_string());
                    return Err(error.into());
                }
                Err(failure) => failure,
            };
            // As for an image that has to be searched.
            let compiling = Box::pin(async {
                let _healing = self.turn(asker, &self.healing).await.map_err(NotCompiled::Overloaded)?;
                self.compile_again(asker, name, active, &failure).await
            });
            match compiling.await {
                Ok(Some(pipeline)) => return Ok(pipeline),
                Ok(None) => {}
                Err(NotCompiled::Overloaded(overloaded)) => return Err(overloaded.into()),
                Err(NotCompiled::Impossible(reason)) => {
                    self.note_problem(name, &reason);
                    return Err(ServiceError::NotLoadable { reference: name.to_string(), reason });
                }
            }
        }
        let message = "the name was pointed elsewhere while it was loaded; try again";
        Err(StoreError::new(ErrorKind::Unavailable, "load pipeline", message).with("name", name).into())
    }

    fn note_problem(&self, name: &PipelineName, reason: &str) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        // Told once, not with each call.
        if problems.insert(name.clone(), reason.to_owned()).as_deref() != Some(reason) {
            tracing::error!(%name, %reason, "a stored pipeline cannot be run");
        }
        self.has_problems.store(true, Ordering::Relaxed);
    }

    pub(super) fn forget_problem(&self, name: &PipelineName) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.remove(name);
        self.has_problems.store(!problems.is_empty(), Ordering::Relaxed);
    }

    async fn active_names(&self) -> Result<Vec<(PipelineName, ActiveVersion)>, StoreError> {
        self.store
            .list_names(ListOptions::default())
            .try_filter_map(|entry| async move { Ok(entry.active.map(|active| (entry.name, active))) })
            .boxed()
            .try_collect()
            .await
    }

    /// Compiles the active version of a name from its retained source. None when the name was pointed elsewhere
    /// meanwhile.
    async fn compile_again(
        &self,
        asker: Asker,
        name: &PipelineName,
        active: ActiveVersion,
        failure: &LoadFailure,
    ) -> Result<Option<Arc<LoadedPipeline>>, NotCompiled> {
        let reason = match failure {
            LoadFailure::Missing => "its image is missing or was damaged".to_owned(),
            LoadFailure::Damaged(error) | LoadFailure::Store(error) => error.to_string(),
            LoadFailure::Unbindable(error) if !error.recompiling_may_help() => {
                return Err(error.to_string().into());
            }
            LoadFailure::Unbindable(error) => error.to_string(),
            LoadFailure::Internal(message) => return Err(message.clone().into()),
        };
        let history = self.store.versions(name).await.map_err(|error| error.to_string())?;
        let source_hash = history
            .as_ref()
            .and_then(|history| history.get(active.version))
            .and_then(|version| version.source_hash);
        // A name that came from elsewhere may tell no source; its image may.
        let source_hash = match source_hash {
            Some(source_hash) => Some(source_hash),
            None => match self.store.get(&active.structural_hash).await {
                Ok(Some(image)) => image.metadata.source_hash,
                _ => None,
            },
        };
        let Some(source_hash) = source_hash else {
            return Err(
                format!("{reason}; it has no retained source to compile again: publish it anew").into()
            );
        };
        let source = match self.store.source(&source_hash).await {
            Ok(Some(source)) => source,
            Ok(None) => {
                return Err(
                    format!("{reason}; its source {source_hash} is not retained: publish it anew").into()
                );
            }
            Err(error) => return Err(format!("{reason}; its retained source cannot be read: {error}").into()),
        };
        let found = self.find_or_compile_as(asker, source).await.map_err(|error| match error {
            ServiceError::Overloaded(overloaded) => NotCompiled::Overloaded(overloaded),
            error => format!("{reason}; compiling its retained source again fails: {error}").into(),
        })?;
        let target = Target::new(name.clone(), Origin::Reload);
        let commit = Commit {
            preconditions: vec![(name.clone(), Precondition::Active(active.version))],
            operations: found.operations(Some(&target), true),
        };
        self.loaded.insert(found.structural_hash(), Arc::clone(&found.pipeline));
        match self.commit_with(commit).await {
            Ok(_) => tracing::warn!(%name, %reason, "a stored pipeline was compiled again from its source"),
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(None),
            // It runs all the same; whoever looks at the store learns why it is not stored.
            Err(error) => tracing::warn!(%name, %error, "a pipeline that was compiled again is not stored"),
        }
        self.forget_problem(name);
        Ok(Some(found.pipeline))
    }
}
