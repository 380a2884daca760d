//! What a commit would do, told without doing it.

use constellation_store_core::{
    Commit, Committed, ErrorKind, ListOptions, Operation, Outcome, PipelineStore, SourceHash, StoreError,
    StructuralHash,
};
use futures_util::TryStreamExt as _;

use super::{ImageUser, is_damage};

/// The outcome that a commit would have now. The store is only read, in several steps: somebody else may change it in
/// between, and before the commit is really made.
///
/// Each operation is judged by itself. That an image is stored, or put by the same commit, is for the caller to know.
///
/// # Errors
///
/// Those that the commit would have: a precondition that does not hold, something that is not there or is in use, a
/// store that only reads.
pub(super) async fn forecast(store: &dyn PipelineStore, commit: &Commit) -> Result<Committed, StoreError> {
    for (name, precondition) in &commit.preconditions {
        precondition.judge(name, store.resolve(name).await?)?;
    }
    let mut outcomes = Vec::with_capacity(commit.operations.len());
    for operation in &commit.operations {
        outcomes.push(outcome(store, operation).await?);
    }
    let status = store.status().await?;
    match status.read_only {
        Some(reason) if outcomes.iter().any(is_change) => {
            Err(StoreError::new(ErrorKind::ReadOnly, "commit", reason))
        }
        _ => Ok(Committed { revision: status.revision, outcomes }),
    }
}

async fn outcome(store: &dyn PipelineStore, operation: &Operation) -> Result<Outcome, StoreError> {
    match operation {
        Operation::PutImage(image) => {
            let is_stored = match store.peek(&image.structural_hash).await {
                Ok(found) => found.is_some(),
                Err(error) if is_damage(error.kind()) => false,
                Err(error) => return Err(error),
            };
            Ok(Outcome::Image { added: !is_stored })
        }
        Operation::PutSource(text) => {
            let retained = store.source(&SourceHash::of_bytes(text.as_bytes())).await?;
            Ok(Outcome::Source { added: retained.is_none() })
        }
        Operation::Index { key, structural_hash } => {
            let known = store.lookup_syntactic(key).await?;
            Ok(Outcome::Indexed { changed: known != Some(*structural_hash) })
        }
        Operation::RecordVersion { name, structural_hash, origin: _, source_hash: _ } => {
            let history = store.versions(name).await?;
            let previous = history.as_ref().and_then(|history| history.active());
            let unchanged = previous.filter(|active| active.structural_hash == *structural_hash);
            let next = history.map_or(1, |history| history.next_version);
            let version = unchanged.map_or(next, |active| active.version);
            Ok(Outcome::Version { changed: unchanged.is_none(), version, previous })
        }
        Operation::SetActive { name, version } => {
            let history = store.versions(name).await?;
            let previous = history.as_ref().and_then(|history| history.active());
            let known = history.as_ref().and_then(|history| history.get(*version)).ok_or_else(|| {
                let message = "the name has no such version; it may have been pruned";
                StoreError::new(ErrorKind::NotFound, "set active version", message)
                    .with("name", name)
                    .with("version", version)
            })?;
            let active = known.as_active();
            Ok(Outcome::Activated { changed: previous != Some(active), active, previous })
        }
        Operation::DeleteName { name } => {
            let previous = store.resolve(name).await?.ok_or_else(|| {
                let message = "there is no such name, or it is deleted already";
                StoreError::new(ErrorKind::NotFound, "delete name", message).with("name", name)
            })?;
            Ok(Outcome::Deleted { previous })
        }
        Operation::RemoveImage { structural_hash } => remove_image(store, structural_hash).await,
        Operation::PruneVersions { name, keep } => {
            let history = store.versions(name).await?.ok_or_else(|| {
                StoreError::new(ErrorKind::NotFound, "prune versions", "there is no such name")
                    .with("name", name)
            })?;
            Ok(Outcome::Pruned { versions: history.prunable(*keep) })
        }
    }
}

async fn remove_image(
    store: &dyn PipelineStore,
    structural_hash: &StructuralHash,
) -> Result<Outcome, StoreError> {
    const OPERATION: &str = "remove image";
    match store.peek(structural_hash).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            return Err(StoreError::new(ErrorKind::NotFound, OPERATION, "the image is not stored"));
        }
        // What is damaged can be removed.
        Err(error) if is_damage(error.kind()) => {}
        Err(error) => return Err(error),
    }
    let users = users_of(store, structural_hash).await?;
    if users.is_empty() {
        return Ok(Outcome::Removed);
    }
    let count: usize = users.iter().map(|user| user.versions.len()).sum();
    Err(StoreError::new(ErrorKind::InUse, OPERATION, format!("{count} versions refer to it")))
}

/// The names whose versions refer to an image, in ascending order.
pub(super) async fn users_of(
    store: &dyn PipelineStore,
    structural_hash: &StructuralHash,
) -> Result<Vec<ImageUser>, StoreError> {
    let mut users = Vec::new();
    let mut names = store.list_names(ListOptions::default());
    while let Some(entry) = names.try_next().await? {
        let Some(history) = store.versions(&entry.name).await? else { continue };
        let referring = history.versions.iter().filter(|version| version.structural_hash == *structural_hash);
        let versions: Vec<u64> = referring.map(|version| version.version).collect();
        if !versions.is_empty() {
            users.push(ImageUser { name: entry.name, versions, active_version: history.active_version });
        }
    }
    Ok(users)
}

fn is_change(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Image { added } | Outcome::Source { added } => *added,
        Outcome::Indexed { changed }
        | Outcome::Version { changed, version: _, previous: _ }
        | Outcome::Activated { changed, active: _, previous: _ } => *changed,
        Outcome::Deleted { previous: _ } | Outcome::Removed => true,
        Outcome::Pruned { versions } => !versions.is_empty(),
    }
}
