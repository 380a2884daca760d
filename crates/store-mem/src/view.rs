//! A state as it will be once the pending commits and the one at hand are applied.

use std::collections::BTreeSet;

use constellation_store_core::{
    ActiveVersion, ImageMetadata, PipelineName, Revision, SourceHash, StructuralHash, SyntacticKey, Version,
};

use crate::pending::PendingName;
use crate::state::{Holder, SourceHolder};
use crate::{Pending, State};

/// Three layers, the upper ones first: the commit at hand, the pending ones, the state.
pub(crate) struct View<'a> {
    pub(crate) state: &'a State,
    pub(crate) pending: &'a Pending,
    pub(crate) own: Pending,
}

impl View<'_> {
    fn layers(&self) -> [&Pending; 2] {
        [&self.own, self.pending]
    }

    fn layers_of<'b>(&'b self, name: &PipelineName) -> impl Iterator<Item = &'b PendingName> {
        self.layers().into_iter().filter_map(move |layer| layer.names.get(name))
    }

    /// The latest revision, without the commit at hand.
    pub(crate) fn revision(&self) -> Revision {
        self.pending.revision.unwrap_or_default().max(self.state.revision())
    }

    pub(crate) fn has_image(&self, structural_hash: &StructuralHash) -> bool {
        let pending = self.layers().into_iter().find_map(|layer| layer.images.get(structural_hash));
        pending.map_or_else(|| self.state.summary(structural_hash).is_some(), Option::is_some)
    }

    /// What is known of an image beside its graph, if it is stored.
    pub(crate) fn metadata(&self, structural_hash: &StructuralHash) -> Option<&ImageMetadata> {
        let pending = self.layers().into_iter().find_map(|layer| layer.images.get(structural_hash));
        match pending {
            Some(image) => image.as_ref().map(|image| &image.metadata),
            None => self.state.summary(structural_hash).map(|summary| &summary.metadata),
        }
    }

    pub(crate) fn has_source(&self, source_hash: &SourceHash) -> bool {
        let pending = self.layers().into_iter().find_map(|layer| layer.sources.get(source_hash));
        pending.copied().unwrap_or_else(|| self.state.has_source(source_hash))
    }

    pub(crate) fn lookup(&self, key: &SyntacticKey) -> Option<StructuralHash> {
        let pending = self.layers().into_iter().find_map(|layer| layer.index.get(key));
        pending.copied().unwrap_or_else(|| self.state.lookup_syntactic(key))
    }

    /// Whether there is such a name, deleted or not.
    pub(crate) fn has_name(&self, name: &PipelineName) -> bool {
        self.layers_of(name).next().is_some() || self.state.versions(name).is_some()
    }

    pub(crate) fn version(&self, name: &PipelineName, number: u64) -> Option<&Version> {
        for layer in self.layers_of(name) {
            if layer.pruned.contains(&number) {
                return None;
            }
            if let Some(version) = layer.recorded.get(&number) {
                return Some(version);
            }
        }
        self.state.versions(name)?.get(number)
    }

    pub(crate) fn active(&self, name: &PipelineName) -> Option<ActiveVersion> {
        match self.layers_of(name).find_map(|layer| layer.active) {
            None => self.state.versions(name)?.active(),
            Some(number) => {
                let version = self.version(name, number?)?;
                Some(ActiveVersion { version: version.version, structural_hash: version.structural_hash })
            }
        }
    }

    pub(crate) fn next_version(&self, name: &PipelineName) -> u64 {
        let recorded = self.layers_of(name).filter_map(|layer| layer.recorded.keys().next_back());
        let stored = self.state.versions(name).map_or(1, |history| history.next_version);
        recorded.map(|number| number.saturating_add(1)).max().unwrap_or(1).max(stored)
    }

    pub(crate) fn loader_source(&self, name: &PipelineName) -> Option<SourceHash> {
        self.layers_of(name)
            .find_map(|layer| layer.loader_source)
            .or_else(|| self.state.versions(name)?.loader_source_hash)
    }

    /// The numbers of the versions of a name, in ascending order.
    pub(crate) fn numbers(&self, name: &PipelineName) -> Vec<u64> {
        let stored = self.state.versions(name).map_or(&[][..], |history| &history.versions);
        let mut numbers: BTreeSet<u64> = stored.iter().map(|version| version.version).collect();
        for layer in self.layers_of(name) {
            numbers.extend(layer.recorded.keys());
        }
        numbers.retain(|number| !self.layers_of(name).any(|layer| layer.pruned.contains(number)));
        numbers.into_iter().collect()
    }

    /// The versions that refer to an image, in no order, perhaps some twice.
    pub(crate) fn holders<'b>(
        &'b self,
        structural_hash: &'b StructuralHash,
    ) -> impl Iterator<Item = &'b Holder> {
        let pending = self.layers().into_iter().filter_map(|layer| layer.holders.get(structural_hash));
        let candidates = pending.flatten().chain(self.state.relations().holders.of(structural_hash));
        candidates.filter(|holder| self.version(&holder.name, holder.version).is_some())
    }

    /// The keys that lead to an image.
    pub(crate) fn keys(&self, structural_hash: &StructuralHash) -> BTreeSet<SyntacticKey> {
        let pending = self.layers().into_iter().filter_map(|layer| layer.keys.get(structural_hash));
        let candidates = pending.flatten().chain(self.state.relations().keys.of(structural_hash));
        candidates.filter(|key| self.lookup(key) == Some(*structural_hash)).copied().collect()
    }

    /// Whether an image or a version refers to a source.
    pub(crate) fn is_source_held(&self, source_hash: &SourceHash) -> bool {
        let pending = self.layers().into_iter().filter_map(|layer| layer.source_holders.get(source_hash));
        let mut candidates = pending.flatten().chain(self.state.relations().source_holders.of(source_hash));
        candidates.any(|holder| match holder {
            SourceHolder::Image(structural_hash) => self
                .metadata(structural_hash)
                .is_some_and(|metadata| metadata.source_hash == Some(*source_hash)),
            SourceHolder::Version(Holder { name, version }) => self.version(name, *version).is_some(),
        })
    }
}
