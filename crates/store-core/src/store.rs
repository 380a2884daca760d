//! The contract of a store.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::{
    ActiveVersion, Commit, Committed, ImageMetadata, PipelineImage, PipelineName, Result, Revision,
    SourceHash, StructuralHash, SyntacticKey, VersionHistory,
};

/// A store of pipelines, for those who implement one. Those who use one find more at
/// [`PipelineStoreExt`](crate::PipelineStoreExt).
///
/// `Display` is how the store names itself in messages, such as `in memory` or a directory. A pointer to a store
/// (`Arc`, `Box`) is the same store.
///
/// # Rules
///
/// Every backend keeps these, and runs the conformance suite (feature `conformance`), which has a case for each.
///
/// 1. The alias of a name is the structural hash of its active version, always.
/// 2. Version numbers start at 1, only grow, and are never used twice, also after pruning, deleting and reopening.
/// 3. Recording the image that is already active makes no version; a source or index entry in the same commit is
///    stored all the same. Recording older content again makes a new version; setting an old version active does
///    not.
/// 4. An image that a version refers to cannot be removed.
/// 5. Success means durable. An error means that nothing changed, except for
///    [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown): then the store only reads until it is opened again, and
///    after that the commit is wholly there or not at all.
/// 6. Preconditions are judged in commit order against all earlier commits. An answer that depends on a commit
///    that is not yet durable waits for it.
#[async_trait]
pub trait PipelineStore: Debug + Display + Send + Sync + 'static {
    /// Applies a commit wholly or not at all.
    ///
    /// # Behavior
    ///
    /// * Operations see the effects of those before them in the same commit.
    /// * A commit that changes nothing succeeds with the latest revision, and writes nothing.
    /// * Revisions of commits that change something grow, also across reopening.
    /// * Storing an image that is there keeps the first one.
    ///
    /// # Errors
    ///
    /// * `Conflict`: a precondition does not hold.
    /// * `NotFound`: an operation refers to an image, name or version that is not there.
    /// * `InvalidImage`, `HashMismatch`: a put image is not well formed or not what its hash says. `InvalidImage`
    ///   also when the commit as a whole is larger than the store takes, which a backend tells in its documentation.
    /// * `InUse`: a removed image is referred to by a version; the context names who holds it.
    /// * `StorageFull`, `ReadOnly`, `OutcomeUnknown`, `Unavailable`: of the store as a whole.
    async fn commit(&self, commit: Commit) -> Result<Committed>;

    /// The image with this hash, or none.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it was stored and its bytes are damaged; `Unavailable`.
    async fn get(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>>;

    /// The image with this hash, or none, for one look: a store that reads images when they are used does not keep
    /// it in memory.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it was stored and its bytes are damaged; `Unavailable`.
    async fn peek(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>>;

    /// What a name points to, or none when it has no active version. Names are told apart by every byte.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    async fn resolve(&self, name: &PipelineName) -> Result<Option<ActiveVersion>>;

    /// The names whose active version is this image, by ascending bytes.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    async fn names_of(&self, structural_hash: &StructuralHash) -> Result<Vec<PipelineName>>;

    /// The image that a program was compiled to, or none.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    async fn lookup_syntactic(&self, key: &SyntacticKey) -> Result<Option<StructuralHash>>;

    /// The history of a name, also of a deleted one, or none when there never was such a name.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    async fn versions(&self, name: &PipelineName) -> Result<Option<Arc<VersionHistory>>>;

    /// A retained source text, or none.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it was stored and its bytes are damaged; `Unavailable`.
    async fn source(&self, source_hash: &SourceHash) -> Result<Option<Arc<str>>>;

    /// The images, by ascending hash, as they are at the time of the call.
    fn list_images(&self, options: ListOptions<StructuralHash>) -> BoxStream<'static, Result<ImageSummary>>;

    /// The images that names point to, by ascending hash, each with all its names, as they are at the time of the call;
    /// with a prefix, only those that have a name which begins so. An image that is missing or damaged is there too.
    fn list_named(
        &self,
        prefix: &str,
        options: ListOptions<StructuralHash>,
    ) -> BoxStream<'static, Result<NamedImage>>;

    /// The names, deleted ones too, by ascending bytes, as they are at the time of the call.
    fn list_names(&self, options: ListOptions<PipelineName>) -> BoxStream<'static, Result<NameEntry>>;

    /// The syntactic index, by ascending key, as it is at the time of the call.
    fn list_index(&self, options: ListOptions<SyntacticKey>) -> BoxStream<'static, Result<IndexEntry>>;

    /// How the store is.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    async fn status(&self) -> Result<StoreStatus>;

    /// Ends the use of the store: waits for what is under way, writes what is pending, gives up locks. Afterwards
    /// every operation but this one is `Unavailable`. Closing twice is fine. Nothing that was acknowledged is lost
    /// when a store is not closed.
    ///
    /// # Errors
    ///
    /// Those of writing what is pending; the store is closed all the same.
    async fn close(&self) -> Result<()>;
}

/// Which part of a listing: the entries after a key, at most so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListOptions<K> {
    /// Only entries with a greater key.
    pub after: Option<K>,
    /// At most so many entries.
    pub limit: Option<usize>,
}

impl<K> Default for ListOptions<K> {
    fn default() -> Self {
        Self { after: None, limit: None }
    }
}

/// An image in a listing: what can be told without reading its graph.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSummary {
    /// Its hash.
    pub structural_hash: StructuralHash,
    /// Where it came from.
    pub metadata: ImageMetadata,
    /// The names of its outputs, sorted.
    pub outputs: Arc<[Arc<str>]>,
    /// How many bytes its graph has as canonical JSON.
    pub graph_bytes: u64,
}

impl ImageSummary {
    /// The summary of an image. Writes its graph down, to count the bytes.
    pub fn of(image: &PipelineImage) -> Self {
        Self::with_graph_bytes(image, image.graph_bytes())
    }

    /// The same, where the bytes of the graph were counted already, as [`PipelineImage::graph_bytes`] does.
    pub fn with_graph_bytes(image: &PipelineImage, graph_bytes: u64) -> Self {
        Self {
            structural_hash: image.structural_hash,
            metadata: image.metadata.clone(),
            outputs: image.dag_spec.outputs.iter().map(|output| output.name.as_str().into()).collect(),
            graph_bytes,
        }
    }
}

/// An image that names point to, in a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedImage {
    /// Its hash.
    pub structural_hash: StructuralHash,
    /// The names whose active version it is, by ascending bytes; at least one.
    pub names: Vec<PipelineName>,
    /// What can be told of it; none when it is missing or damaged.
    pub summary: Option<ImageSummary>,
}

/// A name in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameEntry {
    /// The name.
    pub name: PipelineName,
    /// What it points to; none when it was deleted.
    pub active: Option<ActiveVersion>,
}

/// An entry of the syntactic index in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The key.
    pub key: SyntacticKey,
    /// The image it leads to.
    pub structural_hash: StructuralHash,
}

/// How a store is, for readiness checks and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// The latest revision.
    pub revision: Revision,
    /// How many images there are.
    pub images: u64,
    /// How many source texts are retained.
    pub sources: u64,
    /// How many bytes these are: of the graphs of all images, each as canonical JSON, and of the source texts. What
    /// a backend takes to keep them is more, and in proportion.
    pub bytes: u64,
    /// How many names have an active version.
    pub names: u64,
    /// Why the store takes no commits; none when it does.
    pub read_only: Option<String>,
    /// What an operator should know: damaged files, files that cannot be written. Each is a sentence.
    pub warnings: Vec<String>,
}
