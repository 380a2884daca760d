//! What happens to a name after it was published: older versions, deleting, and what a change would do.

use std::sync::Arc;

use constellation_store_core::{
    ActiveVersion, Commit, Committed, ErrorKind, Operation, Outcome, PipelineImage, PipelineName,
    Precondition, Reference, StoreError, StructuralHash, Version, VersionHistory,
};

use super::compile::Asker;
use super::forecast::{forecast, users_of};
use super::{LoadFailure, PipelineService, Pointed, is_damage};
use crate::error::ServiceError;

/// How often a rollback is tried while others change the name: each failure means that another commit went through.
const ROLLBACK_ATTEMPTS: u32 = 100;

/// Whether a change is made, or only told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is made.
    Apply,
    /// It is told what would happen now, and nothing is changed.
    DryRun,
}

impl Mode {
    pub(crate) fn new(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Apply }
    }
}

/// A name whose versions refer to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageUser {
    pub(crate) name: PipelineName,
    /// The versions that do, in ascending order.
    pub(crate) versions: Vec<u64>,
    /// The active version of the name, whatever it refers to.
    pub(crate) active_version: Option<u64>,
}

impl PipelineService {
    /// Makes a version active again: the one that is told, or else the newest one before the active one. One that
    /// cannot be run here is refused, since whoever rolls back needs what worked.
    ///
    /// # Errors
    ///
    /// * [`ServiceError::NotFound`] when there never was such a name.
    /// * [`ServiceError::NotLoadable`] when the version cannot be run here.
    /// * [`ServiceError::Store`]: `NotFound` when there is no such version, or its image is lost; `Conflict` when the
    ///   precondition does not hold.
    pub(crate) async fn roll_back(
        &self,
        name: &PipelineName,
        version: Option<u64>,
        precondition: Precondition,
        mode: Mode,
    ) -> Result<Pointed, ServiceError> {
        let mut attempts = 1;
        loop {
            let history = self.store.versions(name).await?;
            // What the request requires is judged before what it asks for.
            precondition.judge(name, history.as_ref().and_then(|history| history.active()))?;
            let history = history.ok_or_else(|| ServiceError::NotFound(Reference::Name(name.clone())))?;
            let target = target_of(&history, version)?;
            self.check_loadable(name, target, mode).await?;
            let mut commit = Commit::new().require(name.clone(), precondition);
            if version.is_none()
                && let Some(active) = history.active_version
            {
                // What is before the active version depends on what is active.
                commit = commit.require(name.clone(), Precondition::Active(active));
            }
            let commit = commit.then(Operation::SetActive { name: name.clone(), version: target.version });
            let committed = match self.commit_in(mode, commit).await {
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
            let Some(&Outcome::Activated { changed, active, previous }) = committed.outcomes.first() else {
                return Err(wrong_outcome());
            };
            if mode == Mode::Apply {
                self.forget_problem(name);
            }
            return Ok(Pointed { active, previous, changed });
        }
    }

    /// Takes the active version from a name, and tells what it was. The versions stay: a rollback brings one back.
    ///
    /// # Errors
    ///
    /// * [`ServiceError::NotFound`] when the name has no active version.
    /// * [`ServiceError::Store`]: `Conflict` when the precondition does not hold.
    pub(crate) async fn delete_name(
        &self,
        name: &PipelineName,
        precondition: Precondition,
        mode: Mode,
    ) -> Result<ActiveVersion, ServiceError> {
        let commit = Commit::new()
            .require(name.clone(), precondition)
            .then(Operation::DeleteName { name: name.clone() });
        let committed = match self.commit_in(mode, commit).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ServiceError::NotFound(Reference::Name(name.clone())));
            }
            committed => committed?,
        };
        let Some(Outcome::Deleted { previous }) = committed.outcomes.first() else {
            return Err(wrong_outcome());
        };
        if mode == Mode::Apply {
            self.forget_problem(name);
        }
        Ok(*previous)
    }

    /// Forgets the versions of a name but the newest and the active one, and tells which.
    ///
    /// # Errors
    ///
    /// * [`ServiceError::NotFound`] when there never was such a name.
    /// * [`ServiceError::Store`]: `Conflict` when the precondition does not hold.
    pub(crate) async fn prune(
        &self,
        name: &PipelineName,
        keep: usize,
        precondition: Precondition,
        mode: Mode,
    ) -> Result<Vec<u64>, ServiceError> {
        let commit = Commit::new()
            .require(name.clone(), precondition)
            .then(Operation::PruneVersions { name: name.clone(), keep });
        let mut committed = match self.commit_in(mode, commit).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ServiceError::NotFound(Reference::Name(name.clone())));
            }
            committed => committed?,
        };
        match committed.outcomes.pop() {
            Some(Outcome::Pruned { versions }) => Ok(versions),
            _ => Err(wrong_outcome()),
        }
    }

    /// Removes an image that no version refers to.
    ///
    /// # Errors
    ///
    /// * [`ServiceError::NotFound`] when it is not stored.
    /// * [`ServiceError::Store`]: `InUse` when a version refers to it.
    pub(crate) async fn delete_image(
        &self,
        structural_hash: StructuralHash,
        mode: Mode,
    ) -> Result<(), ServiceError> {
        let commit = Commit::new().then(Operation::RemoveImage { structural_hash });
        match self.commit_in(mode, commit).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(ServiceError::NotFound(Reference::Hash(structural_hash)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The names whose versions refer to an image, in ascending order.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub(crate) async fn users_of(
        &self,
        structural_hash: &StructuralHash,
    ) -> Result<Vec<ImageUser>, StoreError> {
        users_of(&*self.store, structural_hash).await
    }

    /// Applies a commit, or tells what it would do.
    pub(super) async fn commit_in(&self, mode: Mode, commit: Commit) -> Result<Committed, StoreError> {
        match mode {
            Mode::Apply => self.commit_with(commit).await,
            Mode::DryRun => forecast(&*self.store, &commit).await,
        }
    }

    async fn check_loadable(
        &self,
        name: &PipelineName,
        version: &Version,
        mode: Mode,
    ) -> Result<(), ServiceError> {
        let image = self.image_of_version(name, version, mode).await?.ok_or_else(|| {
            let message = "the image of the version is lost; compile its source again";
            StoreError::new(ErrorKind::NotFound, "roll back", message)
                .with("name", name)
                .with("version", version.version)
        })?;
        match self.bind(Ok(Some(image))).await {
            Ok(_) => Ok(()),
            Err(LoadFailure::Unbindable(error)) => Err(ServiceError::NotLoadable {
                reference: format!("{name} version {}", version.version),
                reason: error.to_string(),
            }),
            Err(LoadFailure::Internal(message)) => Err(ServiceError::Internal(message)),
            Err(LoadFailure::Missing) => Err(ServiceError::NotFound(Reference::Name(name.clone()))),
            Err(LoadFailure::Damaged(error) | LoadFailure::Store(error)) => Err(error.into()),
        }
    }

    /// The image of a version, compiled again from its source when it is lost; a dry run does not store it.
    async fn image_of_version(
        &self,
        name: &PipelineName,
        version: &Version,
        mode: Mode,
    ) -> Result<Option<Arc<PipelineImage>>, ServiceError> {
        let hash = version.structural_hash;
        if mode == Mode::Apply {
            return match self.image(&Reference::Name(name.clone()), &hash).await {
                Err(ServiceError::Store(error)) if is_damage(error.kind()) => Ok(None),
                found => found,
            };
        }
        match self.store.peek(&hash).await {
            Ok(Some(image)) => return Ok(Some(image)),
            Ok(None) => {}
            Err(error) if is_damage(error.kind()) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(source_hash) = version.source_hash else { return Ok(None) };
        let Some(source) = self.store.source(&source_hash).await? else { return Ok(None) };
        let found = self.find_or_compile_as(Asker::Client, source).await?;
        Ok((found.structural_hash() == hash).then(|| Arc::clone(&found.pipeline.image)))
    }
}

/// The version that a rollback goes to.
fn target_of(history: &VersionHistory, version: Option<u64>) -> Result<&Version, StoreError> {
    let name = &history.pipeline_name;
    let not_found = |message: String| StoreError::new(ErrorKind::NotFound, "roll back", message);
    match version {
        Some(version) => history
            .get(version)
            .ok_or_else(|| not_found(format!("'{name}' has no version {version}; it may have been pruned"))),
        None if history.active_version.is_none() => {
            Err(not_found(format!("'{name}' is deleted; tell which version to make active")))
        }
        None => history.previous().ok_or_else(|| not_found(format!("'{name}' has no older version"))),
    }
}

fn wrong_outcome() -> ServiceError {
    ServiceError::Internal("the store answered another operation than it was asked for".into())
}
