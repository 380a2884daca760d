//! Who refers to what: derived from a state, and kept along with it once somebody asked.

use constellation_store_core::{
    ImageSummary, PipelineName, SourceHash, StructuralHash, SyntacticKey, Version,
};

use crate::relation::Derived;
use crate::state::{Holder, SourceHolder};

/// The versions and keys that lead to an image, and what refers to a source. Each is worked out by itself: who wants
/// the names of an image need not wait for the others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relations {
    pub(crate) holders: Derived<StructuralHash, Holder>,
    pub(crate) keys: Derived<StructuralHash, SyntacticKey>,
    pub(crate) source_holders: Derived<SourceHash, SourceHolder>,
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

    /// The image, and the version that refers to it.
    pub(crate) fn into_image(self) -> (StructuralHash, Holder) {
        (self.structural_hash, self.holder)
    }

    /// The source, if there is one, and the version that refers to it.
    pub(crate) fn into_source(self) -> Option<(SourceHash, SourceHolder)> {
        Some((self.source_hash?, SourceHolder::Version(self.holder)))
    }
}

/// The source of an image, if it has one, and the image that refers to it.
pub(crate) fn source_of(summary: &ImageSummary) -> Option<(SourceHash, SourceHolder)> {
    Some((summary.metadata.source_hash?, SourceHolder::Image(summary.structural_hash)))
}

impl Relations {
    /// Nothing refers to anything.
    pub(crate) fn none() -> Self {
        Self { holders: Derived::none(), keys: Derived::none(), source_holders: Derived::none() }
    }

    pub(crate) fn add_image(&mut self, summary: &ImageSummary) {
        if let Some((source_hash, holder)) = source_of(summary) {
            self.source_holders.update(|relation| relation.relate(source_hash, holder));
        }
    }

    pub(crate) fn remove_image(&mut self, summary: &ImageSummary) {
        if let Some((source_hash, holder)) = source_of(summary) {
            self.source_holders.update(|relation| relation.separate(source_hash, holder));
        }
    }

    pub(crate) fn hold(&mut self, name: &PipelineName, version: &Version) {
        let holder = || Holder::new(name, version);
        self.holders.update(|relation| relation.relate(version.structural_hash, holder()));
        if let Some(source_hash) = version.source_hash {
            let holder = || SourceHolder::Version(holder());
            self.source_holders.update(|relation| relation.relate(source_hash, holder()));
        }
    }

    pub(crate) fn release(&mut self, name: &PipelineName, version: &Version) {
        let holder = || Holder::new(name, version);
        self.holders.update(|relation| relation.separate(version.structural_hash, holder()));
        if let Some(source_hash) = version.source_hash {
            let holder = || SourceHolder::Version(holder());
            self.source_holders.update(|relation| relation.separate(source_hash, holder()));
        }
    }
}
