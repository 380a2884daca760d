//! What the JSON files do not have yet: noted by each commit, and written by the next checkpoint.

use std::collections::BTreeSet;

use constellation_store_core::{PipelineName, SourceHash, StructuralHash, SyntacticKey};
use constellation_store_mem::Change;

use crate::seeded::{self, SeededBug};

/// What the JSON files do not have yet.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// Images that were added or removed.
    pub(crate) images: Noted<StructuralHash>,
    /// Those of them whose files were there when a journal was replayed. Their bytes stay, but whether the files
    /// are durable is unknown.
    pub(crate) images_with_files: BTreeSet<StructuralHash>,
    /// Sources that were added or removed.
    pub(crate) sources: Noted<SourceHash>,
    /// Names whose history changed.
    pub(crate) names: Noted<PipelineName>,
    pub(crate) aliases: bool,
    pub(crate) index: bool,
    /// The keys whose entries changed, if that is known; the file is written whole.
    pub(crate) keys: Noted<SyntacticKey>,
}

/// A set that commits add to, one after another, and that only a checkpoint asks: so no commit has to find the place of
/// what it adds among all that others did. Until it is settled it has an item as often as it was added, which is at most
/// as often as the journal has it.
#[derive(Debug)]
pub(crate) struct Noted<T>(Vec<T>);

impl<T> Default for Noted<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Noted<T> {
    pub(crate) fn insert(&mut self, item: T) {
        self.0.push(item);
    }

    pub(crate) fn extend(&mut self, items: impl IntoIterator<Item = T>) {
        self.0.extend(items);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes time linear in what was added.
    pub(crate) fn contains(&self, item: &T) -> bool {
        self.0.contains(item)
    }

    /// What was added; once it is settled in ascending order, and each only once.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    fn settle(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }
}

impl Dirty {
    /// Notes a change.
    pub(crate) fn note(&mut self, change: &Change) {
        match change {
            Change::ImageAdded { image: _, summary } => self.images.insert(summary.structural_hash),
            Change::ImageRemoved { structural_hash } => {
                self.images_with_files.remove(structural_hash);
                self.images.insert(*structural_hash);
            }
            Change::SourceAdded { source_hash, text: _ } | Change::SourceRemoved { source_hash } => {
                self.sources.insert(*source_hash);
            }
            Change::IndexRemoved { .. } if seeded::is_on(SeededBug::IndexRemovalNotWritten) => {}
            Change::Indexed { key, structural_hash: _ } | Change::IndexRemoved { key } => {
                self.index = true;
                self.keys.insert(*key);
            }
            Change::Activated { .. } if seeded::is_on(SeededBug::ActivationNotWritten) => {}
            Change::VersionsPruned { .. } if seeded::is_on(SeededBug::PruningNotWritten) => {}
            Change::LoaderSource { .. } if seeded::is_on(SeededBug::LoaderSourceNotWritten) => {}
            Change::VersionRecorded { name, version: _ }
            | Change::Activated { name, version: _ }
            | Change::NameDeleted { name } => {
                self.names.insert(name.clone());
                self.aliases = true;
            }
            Change::VersionsPruned { name, versions: _ } | Change::LoaderSource { name, source_hash: _ } => {
                self.names.insert(name.clone());
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { images, images_with_files: _, sources, names, aliases, index, keys: _ } = self;
        images.is_empty() && sources.is_empty() && names.is_empty() && !aliases && !index
    }

    /// The same in order, and each only once.
    pub(super) fn settled(mut self) -> Self {
        let Self { images, images_with_files: _, sources, names, aliases: _, index: _, keys } = &mut self;
        images.settle();
        sources.settle();
        names.settle();
        keys.settle();
        self
    }

    /// Adds what an abandoned checkpoint did not finish.
    pub(super) fn merge(&mut self, other: Self) {
        let Self { images, images_with_files, sources, names, aliases, index, keys } = other;
        self.images.extend(images.0);
        self.images_with_files.extend(images_with_files);
        self.sources.extend(sources.0);
        self.names.extend(names.0);
        self.aliases |= aliases;
        self.index |= index;
        self.keys.extend(keys.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_has_each_once_and_in_order() {
        let hashes = [3, 1, 2, 1, 3].map(|byte| StructuralHash::from_bytes([byte; 32]));
        let mut dirty = Dirty::default();
        dirty.images.extend(hashes);
        let dirty = dirty.settled();
        assert!(
            dirty.images.iter().copied().eq([1, 2, 3].map(|byte| StructuralHash::from_bytes([byte; 32])))
        );
    }
}
