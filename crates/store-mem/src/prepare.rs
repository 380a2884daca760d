//! Judging a commit: whether it can be applied, and what it comes to.

use std::collections::BTreeSet;
use std::sync::Arc;

use constellation_store_core::{
    Commit, ErrorKind, ExtraMembers, ImageSummary, Operation, Origin, Outcome, PipelineImage, PipelineName,
    Precondition, Result, Revision, SourceHash, StoreError, StructuralHash, Timestamp, Version, prunable,
};

use crate::state::revision_of_number;
use crate::view::View;
use crate::{Change, Pending, Prepared, State};

/// How many holders an `InUse` error names.
const HOLDERS_NAMED: usize = 10;

/// A commit whose images are well formed and are what their hashes say, and whose sources are hashed.
///
/// That is the costly part of judging a commit, and it depends on nothing but the commit, so a backend does it
/// before it takes a lock.
#[derive(Debug, Clone)]
pub struct VerifiedCommit {
    commit: Commit,
    /// By ascending address of the image, which stays as long as the commit has it. Not by its hash: a commit may have
    /// two images of one graph, with metadata of their own.
    documents: Vec<(usize, Document)>,
    /// By ascending address of the text.
    sources: Vec<(usize, SourceHash)>,
}

/// An image that was verified.
#[derive(Debug, Clone)]
struct Document {
    /// Compact.
    bytes: Vec<u8>,
    summary: Arc<ImageSummary>,
}

impl VerifiedCommit {
    /// Verifies the images of a commit.
    ///
    /// # Errors
    ///
    /// `InvalidImage` and `HashMismatch`.
    pub fn new(commit: Commit) -> Result<Self> {
        let mut documents = Vec::new();
        let mut sources = Vec::new();
        for operation in &commit.operations {
            match operation {
                Operation::PutImage(image) => {
                    let graph = image.verify()?;
                    let bytes = image.encode_compact(&graph);
                    let summary = Arc::new(ImageSummary::with_graph_bytes(image, graph.len() as u64));
                    documents.push((address(image), Document { bytes, summary }));
                }
                Operation::PutSource(text) => {
                    sources.push((address(text), SourceHash::of_bytes(text.as_bytes())));
                }
                Operation::Index { .. }
                | Operation::RecordVersion { .. }
                | Operation::SetActive { .. }
                | Operation::DeleteName { .. }
                | Operation::RemoveImage { .. }
                | Operation::PruneVersions { .. } => {}
            }
        }
        documents.sort_unstable_by_key(|(address, _)| *address);
        sources.sort_unstable_by_key(|(address, _)| *address);
        Ok(Self { commit, documents, sources })
    }

    /// The commit.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The compact document of an image that the commit puts; the very one, not one that is equal.
    ///
    /// It is made along with the check, so that who writes commits down, one after another, need not.
    pub fn document(&self, image: &Arc<PipelineImage>) -> Option<&[u8]> {
        find(&self.documents, address(image)).map(|document| &*document.bytes)
    }

    /// The hash of a source that the commit puts; the very one, not one that is equal.
    ///
    /// # Panics
    ///
    /// When the commit does not put it.
    pub fn source_hash(&self, text: &Arc<str>) -> SourceHash {
        *find(&self.sources, address(text)).expect("each source of the commit was hashed")
    }

    fn summary(&self, image: &Arc<PipelineImage>) -> &Arc<ImageSummary> {
        &find(&self.documents, address(image)).expect("each image of the commit was verified").summary
    }
}

fn find<T>(sorted: &[(usize, T)], address: usize) -> Option<&T> {
    let place = sorted.binary_search_by_key(&address, |(address, _)| *address).ok()?;
    Some(&sorted[place].1)
}

fn address<T: ?Sized>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).addr()
}

impl State {
    /// Judges a commit, and computes everything that it comes to, without changing anything.
    ///
    /// New versions get `now` as their time. The result holds until something else is applied.
    ///
    /// # Errors
    ///
    /// Those of [`PipelineStore::commit`](constellation_store_core::PipelineStore::commit) that are about the
    /// commit: `InvalidImage`, `HashMismatch`, `Conflict`, `NotFound`, `InUse`.
    pub fn prepare(&self, commit: &Commit, now: Timestamp) -> Result<Prepared> {
        self.prepare_after(&Pending::new(), &VerifiedCommit::new(commit.clone())?, now)
    }

    /// As [`State::prepare`], after the commits that are pending. Takes no time for images: they are verified.
    ///
    /// # Errors
    ///
    /// `Conflict`, `NotFound`, `InUse`.
    pub fn prepare_after(
        &self,
        pending: &Pending,
        commit: &VerifiedCommit,
        now: Timestamp,
    ) -> Result<Prepared> {
        let Commit { preconditions, operations } = &commit.commit;
        let view = View { state: self, pending, own: Pending::new() };
        for (name, precondition) in preconditions {
            if *precondition != Precondition::Any {
                precondition.judge(name, view.name(name).active())?;
            }
        }
        let latest = view.revision();
        let revision = Revision(latest.0.saturating_add(1));
        let mut preparation = Preparation { commit, revision, now, view, changes: Vec::new() };
        let outcomes = operations
            .iter()
            .map(|operation| preparation.operation(operation))
            .collect::<Result<Vec<_>>>()?;
        let mut changes = preparation.changes;
        if changes.is_empty() {
            return Ok(Prepared { revision: latest, changes, outcomes });
        }
        if revision == latest {
            let message = "the store has no revision left; export it to a new one";
            return Err(StoreError::new(ErrorKind::Unavailable, "commit", message));
        }
        let revision = cover_numbers(revision, &mut changes);
        Ok(Prepared { revision, changes, outcomes })
    }
}

/// Raises the revision of a commit to the version numbers that it gives, which may be several of a name.
fn cover_numbers(revision: Revision, changes: &mut [Change]) -> Revision {
    let mut recorded: Vec<&mut Version> = changes
        .iter_mut()
        .filter_map(|change| match change {
            Change::VersionRecorded { name: _, version } => Some(version),
            _ => None,
        })
        .collect();
    let given = recorded.iter().map(|version| revision_of_number(version.version)).max();
    let covering = revision.max(given.unwrap_or_default());
    for version in &mut recorded {
        version.revision = covering;
    }
    covering
}

struct Preparation<'a> {
    commit: &'a VerifiedCommit,
    view: View<'a>,
    revision: Revision,
    now: Timestamp,
    changes: Vec<Change>,
}

impl Preparation<'_> {
    fn push(&mut self, change: Change) {
        self.view.own.change(&change);
        self.changes.push(change);
    }

    fn operation(&mut self, operation: &Operation) -> Result<Outcome> {
        match operation {
            Operation::PutImage(image) => {
                let added = !self.view.has_image(&image.structural_hash);
                if added {
                    let summary = Arc::clone(self.commit.summary(image));
                    self.push(Change::ImageAdded { image: Arc::clone(image), summary });
                }
                Ok(Outcome::Image { added })
            }
            Operation::PutSource(text) => {
                let source_hash = self.commit.source_hash(text);
                let added = !self.view.has_source(&source_hash);
                if added {
                    self.push(Change::SourceAdded { source_hash, text: Arc::clone(text) });
                }
                Ok(Outcome::Source { added })
            }
            Operation::Index { key, structural_hash } => {
                self.require_image("index image", structural_hash)?;
                let changed = self.view.lookup(key) != Some(*structural_hash);
                if changed {
                    self.push(Change::Indexed { key: *key, structural_hash: *structural_hash });
                }
                Ok(Outcome::Indexed { changed })
            }
            Operation::RecordVersion { name, structural_hash, origin, source_hash } => {
                self.record_version(name, structural_hash, *origin, *source_hash)
            }
            Operation::SetActive { name, version } => self.set_active(name, *version),
            Operation::DeleteName { name } => {
                let previous = self.view.name(name).active().ok_or_else(|| {
                    let message = "there is no such name, or it is deleted already";
                    StoreError::new(ErrorKind::NotFound, "delete name", message).with("name", name)
                })?;
                self.push(Change::NameDeleted { name: name.clone() });
                Ok(Outcome::Deleted { previous })
            }
            Operation::RemoveImage { structural_hash } => self.remove_image(structural_hash),
            Operation::PruneVersions { name, keep } => self.prune_versions(name, *keep),
        }
    }

    fn require_image(&self, operation: &'static str, structural_hash: &StructuralHash) -> Result<()> {
        if self.view.has_image(structural_hash) {
            return Ok(());
        }
        let message = "the image is not stored; put it earlier in the same commit";
        Err(StoreError::new(ErrorKind::NotFound, operation, message).with("structuralHash", structural_hash))
    }

    fn record_version(
        &mut self,
        name: &PipelineName,
        structural_hash: &StructuralHash,
        origin: Origin,
        source_hash: Option<SourceHash>,
    ) -> Result<Outcome> {
        const OPERATION: &str = "record version";
        self.require_image(OPERATION, structural_hash)?;
        let in_view = self.view.name(name);
        let (previous, next_version) = (in_view.active(), in_view.next_version());
        let is_loaders = in_view.loader_source() == source_hash;
        let unchanged = previous.filter(|active| active.structural_hash == *structural_hash);
        let version = if let Some(active) = unchanged {
            active.version
        } else {
            if next_version == u64::MAX {
                let message = "the name has no version number left; use another name";
                return Err(StoreError::new(ErrorKind::Conflict, OPERATION, message).with("name", name));
            }
            let recorded = Version {
                version: next_version,
                structural_hash: *structural_hash,
                created_at: self.now,
                revision: self.revision,
                origin,
                source_hash,
                extra: ExtraMembers::default(),
            };
            self.push(Change::VersionRecorded { name: name.clone(), version: recorded });
            next_version
        };
        if origin == Origin::Loader
            && let Some(source_hash) = source_hash
            && !is_loaders
        {
            self.push(Change::LoaderSource { name: name.clone(), source_hash });
        }
        Ok(Outcome::Version { changed: unchanged.is_none(), version, previous })
    }

    fn set_active(&mut self, name: &PipelineName, number: u64) -> Result<Outcome> {
        const OPERATION: &str = "set active version";
        let in_view = self.view.name(name);
        let active = in_view.version(number).ok_or_else(|| {
            let message = if in_view.is_known() {
                "the name has no such version; it may have been pruned"
            } else {
                "there is no such name"
            };
            StoreError::new(ErrorKind::NotFound, OPERATION, message)
                .with("name", name)
                .with("version", number)
        })?;
        // Only a damaged store has a version without its image.
        self.require_image(OPERATION, &active.structural_hash)?;
        let previous = in_view.active();
        let changed = previous != Some(active);
        if changed {
            self.push(Change::Activated { name: name.clone(), version: number });
        }
        Ok(Outcome::Activated { changed, active, previous })
    }

    fn remove_image(&mut self, structural_hash: &StructuralHash) -> Result<Outcome> {
        const OPERATION: &str = "remove image";
        let metadata = self.view.metadata(structural_hash).ok_or_else(|| {
            StoreError::new(ErrorKind::NotFound, OPERATION, "the image is not stored")
                .with("structuralHash", structural_hash)
        })?;
        let source_hash = metadata.source_hash;
        if self.view.holders(structural_hash).next().is_some() {
            return Err(self.in_use(structural_hash));
        }
        for key in self.view.keys(structural_hash) {
            self.push(Change::IndexRemoved { key });
        }
        self.push(Change::ImageRemoved { structural_hash: *structural_hash });
        if let Some(source_hash) = source_hash
            && self.view.has_source(&source_hash)
            && !self.view.is_source_held(&source_hash)
        {
            self.push(Change::SourceRemoved { source_hash });
        }
        Ok(Outcome::Removed)
    }

    fn in_use(&self, structural_hash: &StructuralHash) -> StoreError {
        let holders: BTreeSet<_> = self.view.holders(structural_hash).collect();
        let message = match holders.len() {
            1 => "1 version refers to it; where it is active delete the name or point it elsewhere, then prune the name with 'keep' 0".to_owned(),
            count => format!("{count} versions refer to it; where one is active delete the name or point it elsewhere, then prune the names with 'keep' 0"),
        };
        let error = StoreError::new(ErrorKind::InUse, "remove image", message)
            .with("structuralHash", structural_hash);
        holders.iter().take(HOLDERS_NAMED).fold(error, |error, holder| {
            error.with("holder", format_args!("{} version {}", holder.name, holder.version))
        })
    }

    fn prune_versions(&mut self, name: &PipelineName, keep: usize) -> Result<Outcome> {
        let in_view = self.view.name(name);
        if !in_view.is_known() {
            return Err(StoreError::new(ErrorKind::NotFound, "prune versions", "there is no such name")
                .with("name", name));
        }
        let active = in_view.active().map(|active| active.version);
        let versions = prunable(in_view.numbers(), active, keep);
        if !versions.is_empty() {
            self.push(Change::VersionsPruned { name: name.clone(), versions: versions.clone() });
        }
        Ok(Outcome::Pruned { versions })
    }
}
