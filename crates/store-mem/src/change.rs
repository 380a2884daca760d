//! What a commit comes to, as plain data.

use std::sync::Arc;

use constellation_store_core::{
    ImageSummary, Outcome, PipelineImage, PipelineName, Revision, SourceHash, StructuralHash, SyntacticKey,
    Version,
};

/// A change of a [`State`](crate::State), with everything decided: numbers, times, what is removed along.
///
/// Each says how things are afterwards, not how they differ, so that applying one again does no harm: recovery
/// applies the changes of a journal, in order, to documents that may already be newer than some of them, and ends
/// in the state after the last.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The image is stored; one that is there is kept.
    ImageAdded {
        /// The image.
        image: Arc<PipelineImage>,
        /// Its summary, made when the image was verified.
        summary: Arc<ImageSummary>,
    },
    /// The source text is retained.
    SourceAdded {
        /// The hash of the text.
        source_hash: SourceHash,
        /// The text.
        text: Arc<str>,
    },
    /// The key leads to the image.
    Indexed {
        /// The key.
        key: SyntacticKey,
        /// The image.
        structural_hash: StructuralHash,
    },
    /// The name has the version, and it is the active one. The next number is past it.
    VersionRecorded {
        /// The name.
        name: PipelineName,
        /// The version.
        version: Version,
    },
    /// The version is the active one.
    Activated {
        /// The name.
        name: PipelineName,
        /// The number of the version.
        version: u64,
    },
    /// The name has no active version.
    NameDeleted {
        /// The name.
        name: PipelineName,
    },
    /// The name does not have these versions any more.
    VersionsPruned {
        /// The name.
        name: PipelineName,
        /// The numbers of the versions, in ascending order.
        versions: Vec<u64>,
    },
    /// The startup loader published or found this source last.
    LoaderSource {
        /// The name.
        name: PipelineName,
        /// The hash of the source.
        source_hash: SourceHash,
    },
    /// The key leads nowhere.
    IndexRemoved {
        /// The key.
        key: SyntacticKey,
    },
    /// The image is not stored. Its index entries and its source go by changes of their own.
    ImageRemoved {
        /// The image.
        structural_hash: StructuralHash,
    },
    /// The source text is not retained.
    SourceRemoved {
        /// The hash of the text.
        source_hash: SourceHash,
    },
}

/// A commit that was judged and not yet applied.
#[must_use = "a prepared commit changes nothing until it is applied"]
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The revision of the commit; the latest one when it changes nothing.
    pub revision: Revision,
    /// The changes, in order; empty when the commit changes nothing, and there is nothing to make durable.
    pub changes: Vec<Change>,
    /// The outcome of each operation, in order.
    pub outcomes: Vec<Outcome>,
}
