//! Changes that were prepared and not yet applied, kept so that the next commit can be judged after them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use constellation_store_core::{
    PipelineImage, PipelineName, Revision, SourceHash, StructuralHash, SyntacticKey, Version,
};

use crate::state::{Holder, SourceHolder};
use crate::{Change, Prepared};

/// Commits that were prepared and not yet applied, in order.
///
/// A backend that makes several commits durable at once judges each after those before it
/// ([`State::prepare_after`](crate::State::prepare_after)) while readers still see none of them. Once they are
/// durable it applies them and starts with an empty `Pending`, or with one of what is still under way.
///
/// Its size is that of the changes in it, not that of the state.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    pub(crate) revision: Option<Revision>,
    // Where something is in a map, it is as the map says, and `None` means that it is gone.
    pub(crate) images: BTreeMap<StructuralHash, Option<Arc<PipelineImage>>>,
    pub(crate) sources: BTreeMap<SourceHash, bool>,
    pub(crate) index: BTreeMap<SyntacticKey, Option<StructuralHash>>,
    pub(crate) names: BTreeMap<PipelineName, PendingName>,
    // Who may refer to what. An entry only says where to look; whether it still holds is judged by the maps above.
    pub(crate) holders: BTreeMap<StructuralHash, BTreeSet<Holder>>,
    pub(crate) keys: BTreeMap<StructuralHash, BTreeSet<SyntacticKey>>,
    pub(crate) source_holders: BTreeMap<SourceHash, BTreeSet<SourceHolder>>,
}

/// What is pending of one name.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingName {
    pub(crate) recorded: BTreeMap<u64, Version>,
    pub(crate) pruned: BTreeSet<u64>,
    /// The active version, if it is decided here: `Some(None)` when the name was deleted.
    #[expect(clippy::option_option, reason = "undecided, none and a number are three cases")]
    pub(crate) active: Option<Option<u64>>,
    pub(crate) loader_source: Option<SourceHash>,
}

impl Pending {
    /// Nothing pending.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a commit, prepared after those that are pending.
    pub fn push(&mut self, prepared: &Prepared) {
        let Prepared { revision, changes, outcomes: _ } = prepared;
        self.revision = self.revision.max(Some(*revision));
        for change in changes {
            self.change(change);
        }
    }

    pub(crate) fn change(&mut self, change: &Change) {
        match change {
            Change::ImageAdded { image, graph_bytes: _ } => {
                if let Some(source_hash) = image.metadata.source_hash {
                    self.hold_source(source_hash, SourceHolder::Image(image.structural_hash));
                }
                self.images.insert(image.structural_hash, Some(Arc::clone(image)));
            }
            Change::SourceAdded { source_hash, text: _ } => {
                self.sources.insert(*source_hash, true);
            }
            Change::Indexed { key, structural_hash } => {
                self.index.insert(*key, Some(*structural_hash));
                self.keys.entry(*structural_hash).or_default().insert(*key);
            }
            Change::VersionRecorded { name, version } => {
                let holder = Holder { name: name.clone(), version: version.version };
                if let Some(source_hash) = version.source_hash {
                    self.hold_source(source_hash, SourceHolder::Version(holder.clone()));
                }
                self.holders.entry(version.structural_hash).or_default().insert(holder);
                let pending = self.name(name);
                pending.active = Some(Some(version.version));
                pending.recorded.insert(version.version, version.clone());
            }
            Change::Activated { name, version } => self.name(name).active = Some(Some(*version)),
            Change::NameDeleted { name } => self.name(name).active = Some(None),
            Change::VersionsPruned { name, versions } => self.name(name).pruned.extend(versions),
            Change::LoaderSource { name, source_hash } => self.name(name).loader_source = Some(*source_hash),
            Change::IndexRemoved { key } => {
                self.index.insert(*key, None);
            }
            Change::ImageRemoved { structural_hash } => {
                self.images.insert(*structural_hash, None);
            }
            Change::SourceRemoved { source_hash } => {
                self.sources.insert(*source_hash, false);
            }
        }
    }

    fn name(&mut self, name: &PipelineName) -> &mut PendingName {
        self.names.entry(name.clone()).or_default()
    }

    fn hold_source(&mut self, source_hash: SourceHash, holder: SourceHolder) {
        self.source_holders.entry(source_hash).or_default().insert(holder);
    }
}
