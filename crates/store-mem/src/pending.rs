//! Changes that were prepared and not yet applied, kept so that the next commit can be judged after them.

use std::collections::BTreeSet;
use std::sync::Arc;

use constellation_store_core::{
    ActiveVersion, ImageSummary, PipelineName, Revision, SourceHash, StructuralHash, SyntacticKey,
};
use hashbrown::HashMap;

use crate::relation::Relation;
use crate::relations::{Reference, Relations, source_of};
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
    pub(crate) images: HashMap<StructuralHash, Option<Arc<ImageSummary>>>,
    pub(crate) sources: HashMap<SourceHash, bool>,
    pub(crate) index: HashMap<SyntacticKey, Option<StructuralHash>>,
    pub(crate) names: HashMap<PipelineName, PendingName>,
    /// Who may refer to what: it only says where to look; whether it still holds is judged by the maps above. Few
    /// commits ask for it.
    relations: Relations,
}

/// What is pending of one name.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingName {
    /// In ascending order, also those that are pruned.
    pub(crate) recorded: Vec<Recorded>,
    pub(crate) pruned: BTreeSet<u64>,
    /// The active version, if it is decided here: `Some(None)` when the name was deleted.
    #[expect(clippy::option_option, reason = "undecided, none and a number are three cases")]
    pub(crate) active: Option<Option<u64>>,
    pub(crate) loader_source: Option<SourceHash>,
}

/// A version, as far as others are judged by it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    /// What the name points to while it is active.
    pub(crate) as_active: ActiveVersion,
    source_hash: Option<SourceHash>,
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
            Change::ImageAdded { image: _, summary } => {
                self.relations.add_image(summary);
                self.images.insert(summary.structural_hash, Some(Arc::clone(summary)));
            }
            Change::SourceAdded { source_hash, text: _ } => {
                self.sources.insert(*source_hash, true);
            }
            Change::Indexed { key, structural_hash } => {
                self.relations.keys.update(|keys| keys.relate(*structural_hash, *key));
                self.index.insert(*key, Some(*structural_hash));
            }
            Change::VersionRecorded { name, version } => {
                self.relations.hold(name, version);
                let pending = self.name(name);
                pending.active = Some(Some(version.version));
                let source_hash = version.source_hash;
                pending.recorded.push(Recorded { as_active: version.as_active(), source_hash });
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

    /// The versions that may refer to an image. This and the other relations take time linear in what is pending when
    /// they are asked for first.
    pub(crate) fn holder_relation(&self) -> &Relation<StructuralHash, Holder> {
        self.relations.holders.get_or_derive(|| self.references().map(Reference::into_image))
    }

    /// The keys that may lead to an image.
    pub(crate) fn key_relation(&self) -> &Relation<StructuralHash, SyntacticKey> {
        let pairs = || self.index.iter().filter_map(|(key, hash)| Some(((*hash)?, *key)));
        self.relations.keys.get_or_derive(pairs)
    }

    /// What may refer to a source.
    pub(crate) fn source_holder_relation(&self) -> &Relation<SourceHash, SourceHolder> {
        self.relations.source_holders.get_or_derive(|| {
            let of_images = self.images.values().flatten().filter_map(|summary| source_of(summary));
            of_images.chain(self.references().filter_map(Reference::into_source))
        })
    }

    /// All versions that were recorded.
    fn references(&self) -> impl Iterator<Item = Reference> {
        self.names
            .iter()
            .flat_map(|(name, pending)| pending.recorded.iter().map(move |recorded| recorded.reference(name)))
    }
}

impl PendingName {
    /// What the name points to while this version is active, if it was recorded here.
    pub(crate) fn get(&self, version: u64) -> Option<ActiveVersion> {
        let number = |recorded: &Recorded| recorded.as_active.version;
        let place = self.recorded.binary_search_by_key(&version, number).ok()?;
        Some(self.recorded[place].as_active)
    }
}

impl Recorded {
    fn reference(&self, name: &PipelineName) -> Reference {
        let Self { as_active: ActiveVersion { version, structural_hash }, source_hash } = *self;
        Reference { holder: Holder { name: name.clone(), version }, structural_hash, source_hash }
    }
}
