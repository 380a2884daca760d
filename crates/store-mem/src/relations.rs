//! Who refers to what: derived from a state, and kept along with it once somebody asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{
    ImageSummary, PipelineName, SourceHash, StructuralHash, SyntacticKey, Version, VersionHistory,
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

impl Relations {
    /// Those of a state that is made of this.
    pub(crate) fn of(
        images: &BTreeMap<StructuralHash, Arc<ImageSummary>>,
        index: &BTreeMap<SyntacticKey, StructuralHash>,
        names: &BTreeMap<PipelineName, Arc<VersionHistory>>,
    ) -> Self {
        let versions = || {
            names.values().flat_map(|history| {
                let name = &history.pipeline_name;
                history.versions.iter().map(move |version| (Holder::new(name, version), version))
            })
        };
        let of_images = images.values().filter_map(|summary| {
            Some((summary.metadata.source_hash?, SourceHolder::Image(summary.structural_hash)))
        });
        let of_versions = versions()
            .filter_map(|(holder, version)| Some((version.source_hash?, SourceHolder::Version(holder))));
        Self {
            holders: versions().map(|(holder, version)| (version.structural_hash, holder)).collect(),
            keys: index.iter().map(|(key, structural_hash)| (*structural_hash, *key)).collect(),
            source_holders: of_images.chain(of_versions).collect(),
        }
    }

    pub(crate) fn hold(&mut self, name: &PipelineName, version: &Version) {
        let holder = Holder::new(name, version);
        if let Some(source_hash) = version.source_hash {
            self.source_holders.relate(source_hash, SourceHolder::Version(holder.clone()));
        }
        self.holders.relate(version.structural_hash, holder);
    }

    pub(crate) fn release(&mut self, name: &PipelineName, version: &Version) {
        let holder = Holder::new(name, version);
        self.holders.separate(version.structural_hash, holder.clone());
        if let Some(source_hash) = version.source_hash {
            self.source_holders.separate(source_hash, SourceHolder::Version(holder));
        }
    }
}
