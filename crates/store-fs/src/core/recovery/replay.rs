//! Applying the frames of the journal to what the files hold.

use std::collections::BTreeMap;

use constellation_store_core::{PipelineName, Result, Revision, VersionHistory};
use constellation_store_mem::{Change, State};

use super::Reader;
use crate::journal::Found;
use crate::layout::JOURNAL;
use crate::manifest::Manifest;
use crate::record;
use crate::seeded::{self, SeededBug};

impl Reader<'_> {
    /// Applies the frames that are not in the files. Returns whether there are any.
    pub(super) fn replay(
        &mut self,
        state: &mut State,
        manifest: Option<&Manifest>,
        found: &Found,
    ) -> Result<bool> {
        let mut last = manifest.map(|manifest| manifest.sequence);
        let mut has_frames = false;
        let start = last.map_or(0, |last| last.saturating_add(1));
        let start = if seeded::is_on(SeededBug::JournalIgnored) { u64::MAX } else { start };
        let start = start.saturating_add(u64::from(seeded::is_on(SeededBug::ReplayedTooLate)));
        let recorded = if is_gapped(last, found.frames.range(start..).map(|(sequence, _)| *sequence)) {
            recorded(state)
        } else {
            BTreeMap::new()
        };
        for (&sequence, payload) in found.frames.range(start..) {
            has_frames = true;
            if let Some(last) = last
                && sequence != last + 1
                && !seeded::is_on(SeededBug::MissingFramesNotTold)
            {
                self.warn(format!(
                    "the commits {} to {} are missing in '{JOURNAL}'; those after them were applied all the same",
                    last + 1,
                    sequence - 1
                ));
            }
            last = Some(sequence);
            for record in record::decode(payload)? {
                for change in &record.changes {
                    let is_known = name_of(change).and_then(|name| recorded.get(name));
                    if is_known.is_some_and(|known| *known >= record.revision) {
                        self.dirty.note(change);
                        continue;
                    }
                    if let Change::Activated { name, version } = change {
                        self.activated.insert(name.clone(), *version);
                    }
                    self.note(change, state);
                    state.replay(record.revision, std::slice::from_ref(change));
                }
                state.replay(record.revision, &[]);
            }
        }
        Ok(has_frames)
    }

    /// Notes a change of the journal, before `state` has it.
    fn note(&mut self, change: &Change, state: &State) {
        if let Change::ImageAdded { image: _, summary } = change {
            let hash = summary.structural_hash;
            if self.added.insert(hash) && state.summary(&hash).is_some() {
                self.dirty.images_with_files.insert(hash);
            }
        }
        self.dirty.note(change);
    }
}

/// Whether numbers are missing between `last`, if it is known, and the frames after it.
fn is_gapped(last: Option<u64>, mut sequences: impl Iterator<Item = u64>) -> bool {
    let Some(mut last) = last.or_else(|| sequences.next()) else { return false };
    !sequences.all(|sequence| sequence == std::mem::replace(&mut last, sequence) + 1)
}

/// Up to which revision the version documents have what was committed to their names, as far as they tell: that of the
/// newest version that they have.
///
/// Where frames are missing, those before them are not applied again to a document that is newer: what the missing ones
/// changed, as the removal of the name, may be there already, and nothing would change it again.
fn recorded(state: &State) -> BTreeMap<PipelineName, Revision> {
    if seeded::is_on(SeededBug::GapsTakeBack) {
        return BTreeMap::new();
    }
    let newest = |history: &VersionHistory| history.versions.iter().map(|version| version.revision).max();
    let histories = state.histories();
    histories.filter_map(|history| Some((history.pipeline_name.clone(), newest(history)?))).collect()
}

/// The name whose document has a change.
fn name_of(change: &Change) -> Option<&PipelineName> {
    match change {
        Change::VersionRecorded { name, version: _ }
        | Change::Activated { name, version: _ }
        | Change::NameDeleted { name }
        | Change::VersionsPruned { name, versions: _ }
        | Change::LoaderSource { name, source_hash: _ } => Some(name),
        Change::ImageAdded { .. }
        | Change::ImageRemoved { .. }
        | Change::SourceAdded { .. }
        | Change::SourceRemoved { .. }
        | Change::Indexed { .. }
        | Change::IndexRemoved { .. } => None,
    }
}
