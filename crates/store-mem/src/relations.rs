//! Who refers to what: derived from a state, and kept along with it once somebody asked.

use std::sync::Arc;

use constellation_store_core::{
    ImageSummary, PipelineName, SourceHash, StructuralHash, SyntacticKey, Version,
};

use crate::relation::Relation;
use crate::state::{Holder, SourceHolder};

/// The versions and keys that lead to an image, and what refers to a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Relations {
    pub(crate) holders: Relation<StructuralHash, Holder>,
    pub(crate) keys: Relation<StructuralHash, SyntacticKey>,
    pub(crate) source_holders: Relation<SourceHash, SourceHolder>,
}

/// A version, and what it refers to.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) holder: Holder,
    pub(crate) structural_hash: StructuralHash,
    pub(crate) source_hash: Option<SourceHash>,
}

impl Reference {
    pub(crate) fn of(name: &PipelineName, version: &Version) -> Self {
        let holder = Holder::new(name, version);
        Self { holder, structural_hash: version.structural_hash, source_hash: version.source_hash }
    }
}

impl Relations {
    /// Those of these images, index entries and versions.
    pub(crate) fn of<'a>(
        images: impl Iterator<Item = &'a Arc<ImageSummary>>,
        index: impl Iterator<Item = (SyntacticKey, StructuralHash)>,
        versions: impl Iterator<Item = Reference> + Clone,
    ) -> Self {
        let of_images = images.filter_map(|summary| {
            Some((summary.metadata.source_hash?, SourceHolder::Image(summary.structural_hash)))
        });
        let of_versions = versions
            .clone()
            .filter_map(|version| Some((version.source_hash?, SourceHolder::Version(version.holder))));
        Self {
            source_holders: of_images.chain(of_versions).collect(),
            keys: index.map(|(key, structural_hash)| (structural_hash, key)).collect(),
            holders: versions.map(|version| (version.structural_hash, version.holder)).collect(),
        }
    }

    pub(crate) fn hold(&mut self, name: &PipelineName, version: &Version) {
        let Reference { holder, structural_hash, source_hash } = Reference::of(name, version);
        if let Some(source_hash) = source_hash {
            self.source_holders.relate(source_hash, SourceHolder::Version(holder.clone()));
        }
        self.holders.relate(structural_hash, holder);
    }

    pub(crate) fn release(&mut self, name: &PipelineName, version: &Version) {
        let Reference { holder, structural_hash, source_hash } = Reference::of(name, version);
        if let Some(source_hash) = source_hash {
            self.source_holders.separate(source_hash, SourceHolder::Version(holder.clone()));
        }
        self.holders.separate(structural_hash, holder);
    }
}
