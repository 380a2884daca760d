//! Applying the frames of the journal to what the files hold.

use constellation_store_core::Result;
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
                    if let Change::Activated { name, version } = change {
                        self.activated.insert(name.clone(), *version);
                    }
                    self.note(change, state);
                    state.replay(record.revision, std::slice::from_ref(change));
                }
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
