//! A second implementation of the rules, as simple as can be: plain maps, copied for each commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::Content;
use crate::{
    ActiveVersion, Commit, ErrorKind, Operation, Origin, Outcome, PipelineImage, PipelineName, Precondition,
    SourceHash, StructuralHash, SyntacticKey,
};

/// What a store should hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Model {
    images: BTreeMap<StructuralHash, PipelineImage>,
    sources: BTreeMap<SourceHash, Arc<str>>,
    index: BTreeMap<SyntacticKey, StructuralHash>,
    names: BTreeMap<PipelineName, ModelName>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct ModelName {
    versions: BTreeMap<u64, (StructuralHash, Origin, Option<SourceHash>)>,
    active: Option<u64>,
    last_number: u64,
    loader_source: Option<SourceHash>,
}

impl Model {
    /// Applies a commit, or leaves the model as it is.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Vec<Outcome>, ErrorKind> {
        for (name, precondition) in &commit.preconditions {
            let active = self.active(name).map(|active| active.version);
            let holds = match precondition {
                Precondition::Any => true,
                Precondition::Absent => active.is_none(),
                Precondition::Active(version) => active == Some(*version),
            };
            if !holds {
                return Err(ErrorKind::Conflict);
            }
        }
        let mut changed = self.clone();
        let outcomes: Result<Vec<_>, _> =
            commit.operations.iter().map(|operation| changed.operation(operation)).collect();
        if outcomes.is_ok() {
            *self = changed;
        }
        outcomes
    }

    /// The numbers of the versions of a name.
    pub(super) fn numbers(&self, name: &PipelineName) -> Vec<u64> {
        self.names.get(name).map_or(Vec::new(), |name| name.versions.keys().copied().collect())
    }

    pub(super) fn active(&self, name: &PipelineName) -> Option<ActiveVersion> {
        let name = self.names.get(name)?;
        let version = name.active?;
        Some(ActiveVersion { version, structural_hash: name.versions[&version].0 })
    }

    fn operation(&mut self, operation: &Operation) -> Result<Outcome, ErrorKind> {
        match operation {
            Operation::PutImage(image) => {
                image.verify().map_err(|error| error.kind())?;
                let added = !self.images.contains_key(&image.structural_hash);
                if added {
                    self.images.insert(image.structural_hash, PipelineImage::clone(image));
                }
                Ok(Outcome::Image { added })
            }
            Operation::PutSource(text) => {
                let hash = SourceHash::of_bytes(text.as_bytes());
                Ok(Outcome::Source { added: self.sources.insert(hash, Arc::clone(text)).is_none() })
            }
            Operation::Index { key, structural_hash } => {
                self.image(structural_hash)?;
                let before = self.index.insert(*key, *structural_hash);
                Ok(Outcome::Indexed { changed: before != Some(*structural_hash) })
            }
            Operation::RecordVersion { name, structural_hash, origin, source_hash } => {
                self.image(structural_hash)?;
                let previous = self.active(name);
                let entry = self.names.entry(name.clone()).or_default();
                if *origin == Origin::Loader && source_hash.is_some() {
                    entry.loader_source = *source_hash;
                }
                let same = previous.filter(|active| active.structural_hash == *structural_hash);
                if let Some(active) = same {
                    return Ok(Outcome::Version { changed: false, version: active.version, previous });
                }
                entry.last_number += 1;
                entry.versions.insert(entry.last_number, (*structural_hash, *origin, *source_hash));
                entry.active = Some(entry.last_number);
                Ok(Outcome::Version { changed: true, version: entry.last_number, previous })
            }
            Operation::SetActive { name, version } => {
                let previous = self.active(name);
                let entry = self.names.get_mut(name).ok_or(ErrorKind::NotFound)?;
                let (structural_hash, ..) = *entry.versions.get(version).ok_or(ErrorKind::NotFound)?;
                entry.active = Some(*version);
                let active = ActiveVersion { version: *version, structural_hash };
                Ok(Outcome::Activated { changed: previous != Some(active), active, previous })
            }
            Operation::DeleteName { name } => {
                let previous = self.active(name).ok_or(ErrorKind::NotFound)?;
                self.names.get_mut(name).ok_or(ErrorKind::NotFound)?.active = None;
                Ok(Outcome::Deleted { previous })
            }
            Operation::RemoveImage { structural_hash } => {
                let source = self.image(structural_hash)?.metadata.source_hash;
                let versions = || self.names.values().flat_map(|name| name.versions.values());
                if versions().any(|(held, ..)| held == structural_hash) {
                    return Err(ErrorKind::InUse);
                }
                let in_versions = versions().any(|(.., held)| held.is_some() && *held == source);
                self.images.remove(structural_hash);
                self.index.retain(|_, target| target != structural_hash);
                let in_images = self.images.values().any(|image| image.metadata.source_hash == source);
                if let Some(source) = source
                    && !in_versions
                    && !in_images
                {
                    self.sources.remove(&source);
                }
                Ok(Outcome::Removed)
            }
            Operation::PruneVersions { name, keep } => {
                let entry = self.names.get_mut(name).ok_or(ErrorKind::NotFound)?;
                let numbers: Vec<u64> = entry.versions.keys().rev().skip(*keep).copied().collect();
                let pruned = numbers.into_iter().rev().filter(|number| entry.active != Some(*number));
                let versions: Vec<u64> = pruned.collect();
                entry.versions.retain(|number, _| !versions.contains(number));
                Ok(Outcome::Pruned { versions })
            }
        }
    }

    fn image(&self, structural_hash: &StructuralHash) -> Result<&PipelineImage, ErrorKind> {
        self.images.get(structural_hash).ok_or(ErrorKind::NotFound)
    }

    /// Panics unless a store holds what the model does.
    pub(super) fn check(&self, content: &Content) {
        let Self { images, sources, index, names } = self;
        assert_eq!(content.images, *images);
        assert_eq!(content.sources, *sources);
        let stored = content.index.iter().map(|entry| (entry.key, entry.structural_hash));
        assert_eq!(stored.collect::<BTreeMap<_, _>>(), *index);
        let stored = content.histories.iter().map(|history| {
            let versions = history.versions.iter().map(|version| {
                (version.version, (version.structural_hash, version.origin, version.source_hash))
            });
            let name = ModelName {
                versions: versions.collect(),
                active: history.active_version,
                last_number: history.next_version - 1,
                loader_source: history.loader_source_hash,
            };
            (history.pipeline_name.clone(), name)
        });
        assert_eq!(stored.collect::<BTreeMap<_, _>>(), *names);
    }
}
