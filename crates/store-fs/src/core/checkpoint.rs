//! Write-behind: what is in the journal only, and the steps that bring it into the JSON files.

use std::collections::VecDeque;
use std::sync::Arc;

use constellation_store_core::{PipelineImage, PipelineName, StructuralHash, SyntacticKey, VersionHistory};
use constellation_store_mem::State;
use uuid::Uuid;

use super::dirty::Dirty;
use super::files::Files;
use super::packing::Section;
use super::recovery::CatalogueEnd;
use crate::documents::{encode_flat_map, encode_history};
use crate::error::FileError;
use crate::layout::{ALIASES, IMAGES, INDEX, SOURCES, VERSIONS, image_path, source_path, versions_path};
use crate::manifest::{Manifest, STORE_FORMAT};
use crate::seeded::{self, SeededBug};

/// The longest image document that is read back.
pub(crate) const MAX_DOCUMENT_BYTES: u64 = 1 << 30;
/// How many files of a directory share a sync. What they hold is in memory until then.
const BATCH_FILES: usize = 512;

/// A checkpoint under way: the steps that are left, with everything they write as it was at its start.
///
/// The order of the steps is what makes the JSON files alone a store at every moment: nothing is written before
/// what it refers to.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    steps: VecDeque<Step>,
    dirty: Dirty,
    manifest: Manifest,
    /// How long the catalogue is that fits the manifest; none when it could not be written.
    catalogue: Option<CatalogueEnd>,
}

/// Up to where a checkpoint goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upto<'a> {
    /// The manifest of the checkpoint before.
    pub(crate) before: &'a Manifest,
    pub(crate) checkpoint_id: Uuid,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    /// How long the catalogue is that fits the manifest of the checkpoint before.
    pub(crate) catalogue: Option<CatalogueEnd>,
}

/// A piece of a checkpoint. It has all that it needs, so that any thread can do it.
#[derive(Debug)]
pub(crate) enum Step {
    EnsureDirectory(&'static str),
    Write(Vec<(String, Content)>),
    Remove(Vec<String>),
    SyncDirectory(&'static str),
    Catalogue(Section),
    Manifest(Manifest),
}

#[derive(Debug)]
pub(crate) enum Content {
    Image(Arc<PipelineImage>),
    /// The bytes that the file has, if they are those of an image of this hash.
    SameImage(Arc<PipelineImage>),
    Source(Arc<str>),
    History(Arc<VersionHistory>),
    Aliases(Vec<(PipelineName, StructuralHash)>),
    Index(Vec<(SyntacticKey, StructuralHash)>),
}

/// What a step did.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StepDone {
    Written,
    Catalogue(Option<CatalogueEnd>),
}

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Stepped {
    /// More steps are left.
    More,
    /// It is done: the frames up to the manifest's sequence number are in the JSON files.
    Done(Manifest, Option<CatalogueEnd>),
}

impl Checkpoint {
    /// Plans a checkpoint of `state`, which has all frames up to the sequence number.
    pub(crate) fn plan(state: &State, dirty: Dirty, upto: Upto<'_>) -> Self {
        let Upto { before, checkpoint_id, epoch, sequence, catalogue } = upto;
        let dirty = dirty.settled();
        let mut steps = VecDeque::new();
        let mut removals = VecDeque::new();
        // What is written side by side needs not be there in any order.
        let mut phase = |mut writes: Vec<(&'static str, Vec<(String, Content)>)>| {
            writes.retain(|(_, files)| !files.is_empty());
            steps.extend(writes.iter().map(|(directory, _)| Step::EnsureDirectory(directory)));
            let directories: Vec<_> = writes.iter().map(|(directory, _)| *directory).collect();
            let mut batches: Vec<_> = writes.into_iter().map(|(_, files)| in_batches(files)).collect();
            let next = || batches.iter_mut().filter_map(Iterator::next).flatten().collect::<Vec<_>>();
            steps.extend(std::iter::repeat_with(next).take_while(|batch| !batch.is_empty()).map(Step::Write));
            steps.extend(directories.into_iter().map(Step::SyncDirectory));
        };
        let mut remove = |directory, paths: Vec<String>| {
            if !paths.is_empty() {
                removals.push_back(Step::EnsureDirectory(directory));
                removals.extend(in_batches(paths).map(Step::Remove));
                removals.push_back(Step::SyncDirectory(directory));
            }
        };

        let (present, absent): (Vec<_>, Vec<_>) =
            dirty.images.iter().partition(|hash| state.summary(hash).is_some());
        // One that is not in memory is in its file: what a journal adds is in memory.
        let writes = present.into_iter().filter_map(|hash| {
            let image = state.get(hash)?;
            let same = dirty.images_with_files.contains(hash);
            let content = if same { Content::SameImage(image) } else { Content::Image(image) };
            Some((image_path(hash), content))
        });
        let images = writes.collect();
        remove(IMAGES, absent.into_iter().map(image_path).collect());

        let (present, absent): (Vec<_>, Vec<_>) =
            dirty.sources.iter().partition(|hash| state.has_source(hash));
        let writes = present.into_iter().filter_map(|hash| {
            let text = state.source(hash).loaded()?;
            Some((source_path(hash), Content::Source(text)))
        });
        // A version needs both; an image does without its source, and is written before it or after it.
        phase(vec![(IMAGES, images), (SOURCES, writes.collect())]);
        remove(SOURCES, absent.into_iter().map(source_path).collect());

        let histories = dirty.names.iter().filter_map(|name| {
            let history = Arc::clone(state.versions(name)?);
            if history.active_version.is_none() && seeded::is_on(SeededBug::DeletedNamesNotWritten) {
                return None;
            }
            Some((versions_path(name), Content::History(history)))
        });
        phase(vec![(VERSIONS, histories.collect())]);

        // One after the other: with the new one alone, aliases still lead to documents that are there.
        if dirty.aliases {
            let aliases = Content::Aliases(aliases(state).collect());
            steps.push_back(Step::Write(vec![(ALIASES.to_owned(), aliases)]));
        }
        if dirty.index {
            let index = state.index_entries().map(|(key, hash)| (*key, *hash)).collect();
            steps.push_back(Step::Write(vec![(INDEX.to_owned(), Content::Index(index))]));
        }
        if dirty.aliases || dirty.index {
            steps.push_back(Step::SyncDirectory(""));
        }
        if seeded::is_on(SeededBug::RemovalsFirst) {
            std::mem::swap(&mut steps, &mut removals);
        }
        // After everything that referred to them is gone from the files.
        steps.append(&mut removals);
        let section = Section::plan(state, &dirty, before, checkpoint_id, catalogue);
        steps.push_back(Step::Catalogue(section));

        let manifest = Manifest {
            format_version: STORE_FORMAT,
            store_id: before.store_id,
            checkpoint_id,
            epoch,
            sequence,
            revision: state.revision(),
            extra: before.extra.clone(),
        };
        steps.push_back(Step::Manifest(manifest.clone()));
        if seeded::is_on(SeededBug::ManifestFirst) {
            steps.rotate_right(1);
        }
        Self { steps, dirty, manifest, catalogue: None }
    }

    /// Takes the next step, to be done before the one after it is taken.
    pub(crate) fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Takes in that the step was done.
    pub(crate) fn done(&mut self, done: StepDone) -> Stepped {
        match done {
            StepDone::Written => {}
            StepDone::Catalogue(end) => self.catalogue = end,
        }
        if self.steps.is_empty() {
            Stepped::Done(self.manifest.clone(), self.catalogue)
        } else {
            Stepped::More
        }
    }

    /// What it writes.
    pub(crate) fn dirty(&self) -> &Dirty {
        &self.dirty
    }

    /// Gives back what the files do not have, as far as it is known.
    pub(crate) fn abandon(self, dirty: &mut Dirty) {
        dirty.merge(self.dirty);
    }
}

impl Step {
    /// Does it.
    ///
    /// # Errors
    ///
    /// Then the checkpoint cannot go on; [`Checkpoint::abandon`] it.
    pub(crate) fn run(self, files: &Files) -> Result<StepDone, FileError> {
        match self {
            Self::EnsureDirectory(path) => files.ensure_directory(path)?,
            Self::SyncDirectory(path) => files.sync_directory(path)?,
            Self::Remove(paths) => paths.iter().try_for_each(|path| files.remove(path))?,
            Self::Write(contents) => {
                files.replace_all(&contents, |path, content| content.encode(path, files))?;
            }
            // The files have everything without it, so a failure only makes the next opening slower.
            Self::Catalogue(section) => {
                let written = section.write(files);
                if let Err(error) = &written {
                    tracing::warn!(%error, "the catalogue of the store cannot be written");
                }
                return Ok(StepDone::Catalogue(written.ok()));
            }
            Self::Manifest(manifest) => files.write_manifest(&manifest.encode())?,
        }
        Ok(StepDone::Written)
    }
}

/// At most so many of them at once, in order.
fn in_batches<T>(items: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        let batch: Vec<T> = items.by_ref().take(BATCH_FILES).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

impl Content {
    fn encode(&self, path: &str, files: &Files) -> Vec<u8> {
        match self {
            Self::Image(image) => image.encode(),
            Self::SameImage(image) => {
                let bytes = files.vfs.read(path, MAX_DOCUMENT_BYTES).unwrap_or_default();
                match PipelineImage::decode(&bytes) {
                    _ if seeded::is_on(SeededBug::SameImageTrusted) => bytes,
                    Ok(decoded) if decoded.image == **image => bytes,
                    _ => image.encode(),
                }
            }
            Self::Source(text) => text.as_bytes().to_vec(),
            Self::History(history) => encode_history(history),
            Self::Aliases(aliases) => {
                encode_flat_map(aliases.iter().map(|(name, hash)| (name.as_str(), *hash)))
            }
            Self::Index(index) => encode_flat_map(index.iter().map(|(key, hash)| (key.to_string(), *hash))),
        }
    }
}

/// The entries of `aliases.json` of a state.
pub(crate) fn aliases(state: &State) -> impl Iterator<Item = (PipelineName, StructuralHash)> {
    state
        .histories()
        .filter_map(|history| Some((history.pipeline_name.clone(), history.active()?.structural_hash)))
}
