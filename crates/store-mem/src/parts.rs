//! What a state is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{
    ImageSummary, PipelineImage, PipelineName, Revision, SourceHash, StructuralHash, SyntacticKey,
    VersionHistory,
};

/// What a state is made of, when it is read from somewhere.
#[derive(Debug, Default)]
pub struct Parts {
    /// The latest revision that is known; the state's is the greatest of this one and those of the versions.
    pub revision: Revision,
    /// Images, whose hashes were checked.
    pub images: Vec<Arc<PipelineImage>>,
    /// Images that are stored and not loaded.
    pub summaries: BTreeMap<StructuralHash, Arc<ImageSummary>>,
    /// The sources, whose hashes were checked if they are loaded.
    pub sources: BTreeMap<SourceHash, StoredSource>,
    /// The syntactic index.
    pub index: BTreeMap<SyntacticKey, StructuralHash>,
    /// The histories by their names. They need not be normalized.
    pub histories: BTreeMap<PipelineName, Arc<VersionHistory>>,
}

/// A source text that is retained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSource {
    /// How many bytes it has.
    pub bytes: u64,
    /// The text; none when it is not loaded.
    pub text: Option<Arc<str>>,
}

impl StoredSource {
    /// One of so many bytes that is not loaded.
    pub fn not_loaded(bytes: u64) -> Self {
        Self { bytes, text: None }
    }
}

impl From<Arc<str>> for StoredSource {
    fn from(text: Arc<str>) -> Self {
        Self { bytes: text.len() as u64, text: Some(text) }
    }
}
