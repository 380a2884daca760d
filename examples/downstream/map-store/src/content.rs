//! What a store holds, and the rules by which commits change it.

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{
    ActiveVersion, Commit, Committed, ErrorKind, Operation, Origin, Outcome, PipelineImage, PipelineName,
    Precondition, Result, Revision, SourceHash, StoreError, StructuralHash, SyntacticKey, Timestamp, Version,
    VersionHistory,
};

/// How many of those who hold an image an error names.
const HOLDERS_NAMED: usize = 10;

#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) revision: Revision,
    pub(crate) images: BTreeMap<StructuralHash, Arc<PipelineImage>>,
    pub(crate) sources: BTreeMap<SourceHash, Arc<str>>,
    pub(crate) index: BTreeMap<SyntacticKey, StructuralHash>,
    pub(crate) names: BTreeMap<PipelineName, Arc<VersionHistory>>,
}

impl Content {
    /// The content after a commit. What it is changed to is a copy, so that a failure leaves nothing behind.
    pub(crate) fn after(&self, commit: &Commit, now: Timestamp) -> Result<(Self, Committed)> {
        for (name, precondition) in &commit.preconditions {
            let active = self.active(name).map(|active| active.version);
            let holds = match precondition {
                Precondition::Any => true,
                Precondition::Absent => active.is_none(),
                Precondition::Active(version) => active == Some(*version),
            };
            if !holds {
                let message = "the active version is not the expected one; read it again";
                return Err(StoreError::new(ErrorKind::Conflict, "commit", message).with("name", name));
            }
        }
        let next = Revision(self.revision.0 + 1);
        let mut change = Change { content: self.clone(), revision: next, now, is_change: false };
        let operations = commit.operations.iter();
        let outcomes = operations.map(|operation| change.operation(operation)).collect::<Result<_>>()?;
        let Change { mut content, is_change, .. } = change;
        if is_change {
            content.revision = next;
        }
        let revision = content.revision;
        Ok((content, Committed { revision, outcomes }))
    }

    pub(crate) fn active(&self, name: &PipelineName) -> Option<ActiveVersion> {
        self.names.get(name)?.active()
    }

    fn image(&self, structural_hash: &StructuralHash) -> Result<&Arc<PipelineImage>> {
        self.images.get(structural_hash).ok_or_else(|| {
            not_found("the image is not stored; put it earlier in the same commit")
                .with("structuralHash", structural_hash)
        })
    }
}

fn not_found(message: &str) -> StoreError {
    StoreError::new(ErrorKind::NotFound, "commit", message)
}

/// A commit on its way.
struct Change {
    content: Content,
    revision: Revision,
    now: Timestamp,
    is_change: bool,
}

impl Change {
    /// Applies an operation. What it is to do may be done already; then nothing changes.
    fn operation(&mut self, operation: &Operation) -> Result<Outcome> {
        match operation {
            Operation::PutImage(image) => {
                let added = !self.content.images.contains_key(&image.structural_hash);
                if added {
                    self.content.images.insert(image.structural_hash, Arc::clone(image));
                }
                self.is_change |= added;
                Ok(Outcome::Image { added })
            }
            Operation::PutSource(text) => {
                let hash = SourceHash::of_bytes(text.as_bytes());
                let added = self.content.sources.insert(hash, Arc::clone(text)).is_none();
                self.is_change |= added;
                Ok(Outcome::Source { added })
            }
            Operation::Index { key, structural_hash } => {
                self.content.image(structural_hash)?;
                let before = self.content.index.insert(*key, *structural_hash);
                let changed = before != Some(*structural_hash);
                self.is_change |= changed;
                Ok(Outcome::Indexed { changed })
            }
            Operation::RecordVersion { name, structural_hash, origin, source_hash } => {
                self.record(name, *structural_hash, *origin, *source_hash)
            }
            Operation::SetActive { name, version } => {
                let previous = self.content.active(name);
                let history = self.history(name)?;
                let recorded = history.get(*version).ok_or_else(|| {
                    not_found("the name has no such version").with("name", name).with("version", version)
                })?;
                let active = ActiveVersion { version: *version, structural_hash: recorded.structural_hash };
                history.active_version = Some(*version);
                let changed = previous != Some(active);
                self.is_change |= changed;
                Ok(Outcome::Activated { changed, active, previous })
            }
            Operation::DeleteName { name } => {
                let previous = self.content.active(name);
                let previous =
                    previous.ok_or_else(|| not_found("there is no such name").with("name", name))?;
                self.history(name)?.active_version = None;
                self.is_change = true;
                Ok(Outcome::Deleted { previous })
            }
            Operation::RemoveImage { structural_hash } => self.remove(structural_hash),
            Operation::PruneVersions { name, keep } => {
                let history = self.history(name)?;
                let kept = history.versions.len().saturating_sub(*keep);
                let old = history.versions[..kept].iter().map(|version| version.version);
                let versions: Vec<u64> = old.filter(|old| history.active_version != Some(*old)).collect();
                history.versions.retain(|version| !versions.contains(&version.version));
                self.is_change |= !versions.is_empty();
                Ok(Outcome::Pruned { versions })
            }
        }
    }

    fn history(&mut self, name: &PipelineName) -> Result<&mut VersionHistory> {
        let history = self.content.names.get_mut(name);
        history.map(Arc::make_mut).ok_or_else(|| not_found("there is no such name").with("name", name))
    }

    fn record(
        &mut self,
        name: &PipelineName,
        structural_hash: StructuralHash,
        origin: Origin,
        source_hash: Option<SourceHash>,
    ) -> Result<Outcome> {
        self.content.image(&structural_hash)?;
        let (revision, created_at) = (self.revision, self.now);
        let previous = self.content.active(name);
        let entry = self.content.names.entry(name.clone());
        let history = Arc::make_mut(entry.or_insert_with(|| Arc::new(VersionHistory::new(name.clone()))));
        let same = previous.filter(|active| active.structural_hash == structural_hash);
        let changed = same.is_none();
        let version = same.map_or(history.next_version, |active| active.version);
        if changed {
            let extra = Default::default();
            let recorded =
                Version { version, structural_hash, created_at, revision, origin, source_hash, extra };
            history.versions.push(recorded);
            history.active_version = Some(version);
            history.next_version = version + 1;
        }
        let is_loaded =
            origin == Origin::Loader && source_hash.is_some() && history.loader_source_hash != source_hash;
        if is_loaded {
            history.loader_source_hash = source_hash;
        }
        self.is_change |= changed || is_loaded;
        Ok(Outcome::Version { changed, version, previous })
    }

    fn remove(&mut self, structural_hash: &StructuralHash) -> Result<Outcome> {
        let source = self.content.image(structural_hash)?.metadata.source_hash;
        let Content { images, sources, index, names, .. } = &mut self.content;
        let versions = || {
            names
                .iter()
                .flat_map(|(name, history)| history.versions.iter().map(move |version| (name, version)))
        };
        let holders: Vec<_> =
            versions().filter(|(_, version)| version.structural_hash == *structural_hash).collect();
        if !holders.is_empty() {
            let message = format!("versions that refer to it: {}; prune them first", holders.len());
            let error = StoreError::new(ErrorKind::InUse, "remove image", message);
            return Err(holders.iter().take(HOLDERS_NAMED).fold(error, |error, (name, version)| {
                error.with("holder", format_args!("{name} version {}", version.version))
            }));
        }
        images.remove(structural_hash);
        index.retain(|_, target| target != structural_hash);
        if let Some(source) = source
            && !images.values().any(|image| image.metadata.source_hash == Some(source))
            && !versions().any(|(_, version)| version.source_hash == Some(source))
        {
            sources.remove(&source);
        }
        self.is_change = true;
        Ok(Outcome::Removed)
    }
}
