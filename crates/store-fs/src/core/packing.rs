//! Keeping the catalogue: each checkpoint appends what it wrote, and writes it anew when most of it is outdated.

use std::sync::Arc;

use constellation_store_mem::State;
use uuid::Uuid;

use super::dirty::Dirty;
use super::files::Files;
use super::recovery::CatalogueEnd;
use crate::catalogue::{Entry, SectionId, Stamps, encode_section, stamps};
use crate::error::FileError;
use crate::layout::{CATALOGUE, PACK};
use crate::manifest::Manifest;

/// Up to so many bytes may be appended whatever the length of the first section.
const MIN_APPENDED_BYTES: u64 = 256 << 10;

/// A section to be written.
#[derive(Debug)]
pub(crate) struct Section {
    /// But for the stamps, which are taken when it is written.
    id: SectionId,
    /// Where it goes in the file that is there; none when the file is written anew.
    end: Option<CatalogueEnd>,
    entries: Vec<Entry>,
}

impl Section {
    /// What `checkpoint` is to add: what is dirty, or everything when there is no catalogue that fits the manifest
    /// `before`, or when what was appended to it is longer than its first section.
    ///
    /// Taking everything takes time linear in the store, and happens each time that the store has doubled.
    pub(crate) fn plan(
        state: &State,
        dirty: &Dirty,
        before: &Manifest,
        checkpoint: Uuid,
        end: Option<CatalogueEnd>,
    ) -> Self {
        let end = end.filter(|end| end.bytes - end.first_bytes <= end.first_bytes.max(MIN_APPENDED_BYTES));
        let (previous, number) = end.map_or((Uuid::nil(), 0), |end| (before.checkpoint_id, end.sections));
        let entries = if end.is_some() { changed(state, dirty) } else { everything(state) };
        let id =
            SectionId { store: before.store_id, checkpoint, previous, number, stamps: Stamps::default() };
        Self { id, end, entries }
    }

    /// Writes it, durably. Returns how long the catalogue is then.
    ///
    /// # Errors
    ///
    /// Those of file access. Then nothing is known of the file, and the next section is the first of a new one.
    pub(crate) fn write(self, files: &Files) -> Result<CatalogueEnd, FileError> {
        let Self { id, end, entries } = self;
        let id = SectionId { stamps: stamps(&*files.vfs)?, ..id };
        let bytes = encode_section(id, entries.into_iter());
        let length = bytes.len() as u64;
        let Some(end) = end else {
            files.ensure_directory(PACK)?;
            files.replace(CATALOGUE, &bytes)?;
            files.sync_directory(PACK)?;
            return Ok(CatalogueEnd { sections: 1, first_bytes: length, bytes: length });
        };
        let mut file = files.vfs.open(CATALOGUE).map_err(FileError::at("open", CATALOGUE))?;
        file.write_all_at(end.bytes, &bytes).map_err(FileError::at("write", CATALOGUE))?;
        file.sync().map_err(FileError::at("sync", CATALOGUE))?;
        Ok(CatalogueEnd { sections: end.sections + 1, bytes: end.bytes + length, ..end })
    }
}

fn changed(state: &State, dirty: &Dirty) -> Vec<Entry> {
    let images = dirty.images.iter().map(|hash| {
        state.summary(hash).map_or(Entry::ImageRemoved(*hash), |summary| Entry::Image(Arc::clone(summary)))
    });
    let sources = dirty.sources.iter().map(|hash| {
        state.source_bytes(hash).map_or(Entry::SourceRemoved(*hash), |bytes| Entry::Source(*hash, bytes))
    });
    let names = dirty.names.iter().filter_map(|name| state.versions(name).cloned().map(Entry::History));
    let keys = dirty.keys.iter().map(|key| {
        state.lookup_syntactic(key).map_or(Entry::IndexRemoved(*key), |hash| Entry::Indexed(*key, hash))
    });
    images.chain(sources).chain(names).chain(keys).collect()
}

fn everything(state: &State) -> Vec<Entry> {
    let images = state.images().map(|summary| Entry::Image(Arc::clone(summary)));
    let sources = state.sources().map(|(hash, source)| Entry::Source(*hash, source.bytes));
    let names = state.histories().map(|history| Entry::History(Arc::clone(history)));
    let keys = state.index_entries().map(|(key, hash)| Entry::Indexed(*key, *hash));
    images.chain(sources).chain(names).chain(keys).collect()
}
