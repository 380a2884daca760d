//! A state as it will be once the pending commits and the one at hand are applied.

use std::collections::BTreeSet;

use constellation_store_core::{
    ActiveVersion, ImageMetadata, PipelineName, Revision, SourceHash, StructuralHash, SyntacticKey, Version,
    VersionHistory,
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

/// What the layers say of one name, which are searched once for all questions.
pub(crate) struct NameView<'a> {
    pending: [Option<&'a PendingName>; 2],
    stored: Option<&'a VersionHistory>,
}

impl View<'_> {
    fn layers(&self) -> [&Pending; 2] {
        [&self.own, self.pending]
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
        let summary = pending.map_or_else(|| self.state.summary(structural_hash), Option::as_ref);
        summary.map(|summary| &summary.metadata)
    }

    pub(crate) fn has_source(&self, source_hash: &SourceHash) -> bool {
        let pending = self.layers().into_iter().find_map(|layer| layer.sources.get(source_hash));
        pending.copied().unwrap_or_else(|| self.state.has_source(source_hash))
    }

    pub(crate) fn lookup(&self, key: &SyntacticKey) -> Option<StructuralHash> {
        let pending = self.layers().into_iter().find_map(|layer| layer.index.get(key));
        pending.copied().unwrap_or_else(|| self.state.lookup_syntactic(key))
    }

    pub(crate) fn name(&self, name: &PipelineName) -> NameView<'_> {
        NameView {
            pending: self.layers().map(|layer| layer.names.get(name)),
            stored: self.state.versions(name).map(|history| &**history),
        }
    }

    /// The versions that refer to an image, in no order, perhaps some twice.
    pub(crate) fn holders<'b>(
        &'b self,
        structural_hash: &'b StructuralHash,
    ) -> impl Iterator<Item = &'b Holder> {
        let pending = self.layers().into_iter().map(Pending::holder_relation);
        let relations = pending.chain([self.state.holder_relation()]);
        let candidates = relations.flat_map(|relation| relation.of(structural_hash));
        candidates.filter(|holder| self.name(&holder.name).version(holder.version).is_some())
    }

    /// The keys that lead to an image.
    pub(crate) fn keys(&self, structural_hash: &StructuralHash) -> BTreeSet<SyntacticKey> {
        let pending = self.layers().into_iter().map(Pending::key_relation);
        let relations = pending.chain([self.state.key_relation()]);
        let candidates = relations.flat_map(|relation| relation.of(structural_hash));
        candidates.filter(|key| self.lookup(key) == Some(*structural_hash)).copied().collect()
    }

    /// Whether an image or a version refers to a source.
    pub(crate) fn is_source_held(&self, source_hash: &SourceHash) -> bool {
        let pending = self.layers().into_iter().map(Pending::source_holder_relation);
        let mut relations = pending.chain([self.state.source_holder_relation()]);
        let is_held = |holder: &SourceHolder| match holder {
            SourceHolder::Image(structural_hash) => self
                .metadata(structural_hash)
                .is_some_and(|metadata| metadata.source_hash == Some(*source_hash)),
            SourceHolder::Version(Holder { name, version }) => self.name(name).version(*version).is_some(),
        };
        relations.any(|relation| relation.of(source_hash).any(is_held))
    }
}

impl<'a> NameView<'a> {
    fn pending(&self) -> impl Iterator<Item = &'a PendingName> {
        self.pending.into_iter().flatten()
    }

    /// Whether there is such a name, deleted or not.
    pub(crate) fn is_known(&self) -> bool {
        self.pending().next().is_some() || self.stored.is_some()
    }

    /// What the name points to while this version is active.
    pub(crate) fn version(&self, number: u64) -> Option<ActiveVersion> {
        for pending in self.pending() {
            if pending.pruned.contains(&number) {
                return None;
            }
            if let Some(version) = pending.get(number) {
                return Some(version);
            }
        }
        self.stored?.get(number).map(Version::as_active)
    }

    pub(crate) fn active(&self) -> Option<ActiveVersion> {
        match self.pending().find_map(|pending| pending.active) {
            None => self.stored?.active(),
            Some(number) => self.version(number?),
        }
    }

    pub(crate) fn next_version(&self) -> u64 {
        let recorded = self.pending().filter_map(|pending| pending.recorded.last());
        let next = recorded.map(|version| version.as_active.version.saturating_add(1)).max();
        next.unwrap_or(1).max(self.stored.map_or(1, |history| history.next_version))
    }

    pub(crate) fn loader_source(&self) -> Option<SourceHash> {
        self.pending().find_map(|pending| pending.loader_source).or_else(|| self.stored?.loader_source_hash)
    }

    /// The numbers of the versions, in ascending order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let stored = self.stored.map_or(&[][..], |history| &history.versions);
        let mut numbers: BTreeSet<u64> = stored.iter().map(|version| version.version).collect();
        for pending in self.pending() {
            numbers.extend(pending.recorded.iter().map(|version| version.as_active.version));
        }
        numbers.retain(|number| !self.pending().any(|pending| pending.pruned.contains(number)));
        numbers.into_iter().collect()
    }
}
