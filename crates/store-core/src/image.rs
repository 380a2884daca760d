//! The pipeline image: a graph, its hash, and where it came from.

mod graph;
mod read;
mod verify;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::graph::ImageGraph;
pub use self::read::CheckedImage;
use self::read::{ReadImage, unknown_form};
use crate::canonical::to_canonical;
use crate::{
    DagSpec, ErrorKind, ExtraMembers, NodeKind, Result, SourceHash, StoreError, StructuralHash,
    SyntacticHash, Timestamp,
};

/// The version of the image format that this crate writes.
pub const FORMAT_VERSION: u32 = 1;

/// The members of an image document.
const STRUCTURAL_HASH: &str = "structuralHash";
const DAG_SPEC: &str = "dagSpec";
const METADATA: &str = "metadata";
const VERSION: &str = "formatVersion";
const CHECKSUM: &str = "checksum";

/// A compiled pipeline as plain data: stored, copied, compared, inspected, and bound to modules to run.
///
/// ```
/// use constellation_store_core::{DagSpec, ImageMetadata, PipelineImage, Timestamp};
/// # use constellation_store_core::{InputSpec, OutputSpec, NodeSpec, NodeKind, NodeIndex, TypeIndex, TypeSpec};
/// let dag_spec = DagSpec {
///     inputs: vec![InputSpec { name: "n".into(), ty: TypeIndex(0), default: None, examples: vec![] }],
///     outputs: vec![OutputSpec { name: "n".into(), node: NodeIndex(0) }],
///     types: vec![TypeSpec::Int],
///     nodes: vec![NodeSpec {
///         label: Some("n".into()),
///         ty: TypeIndex(0),
///         operation: NodeKind::Input { name: "n".into() },
///     }],
///     requires: vec![],
/// };
/// let metadata = ImageMetadata::new(&dag_spec, Timestamp::UNIX_EPOCH);
/// let image = PipelineImage::new(dag_spec, metadata);
/// let decoded = PipelineImage::decode(&image.encode())?;
/// assert_eq!(decoded.image, image);
/// # Ok::<(), constellation_store_core::StoreError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineImage {
    /// The hash of the canonical JSON of `dag_spec`, by which the image is named.
    pub structural_hash: StructuralHash,
    /// The graph.
    pub dag_spec: ImageGraph,
    /// Where it came from.
    pub metadata: ImageMetadata,
    /// Members of the document that this version does not know; they are kept.
    pub extra: ExtraMembers,
}

/// What is known of an image beside its graph. It does not count for its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageMetadata {
    /// When it was compiled.
    pub compiled_at: Timestamp,
    /// The source that it was compiled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_hash: Option<SourceHash>,
    /// How many calls of modules it has.
    pub module_count: u64,
    /// How many inputs it has.
    pub input_count: u64,
    /// How many outputs it has.
    pub output_count: u64,
    /// The tokens that it was compiled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syntactic_hash: Option<SyntacticHash>,
    /// The version of the compiler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<Arc<str>>,
    /// Members that this version does not know; they are kept.
    #[serde(flatten)]
    pub extra: ExtraMembers,
}

impl ImageMetadata {
    /// The counts of `dag_spec`, and nothing about its source.
    pub fn new(dag_spec: &DagSpec, compiled_at: Timestamp) -> Self {
        let calls = dag_spec.nodes.iter().filter(|node| matches!(node.operation, NodeKind::Call { .. }));
        Self {
            compiled_at,
            source_hash: None,
            module_count: calls.count() as u64,
            input_count: dag_spec.inputs.len() as u64,
            output_count: dag_spec.outputs.len() as u64,
            syntactic_hash: None,
            compiler: None,
            extra: ExtraMembers::default(),
        }
    }
}

/// An image read from bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedImage {
    /// The image; its hash is that of its content.
    pub image: PipelineImage,
    /// Whether the document had a checksum, so that its metadata is checked too.
    pub checked: bool,
    /// [`PipelineImage::graph_bytes`], which the document tells without writing the graph down again.
    pub graph_bytes: u64,
}

/// The document of an image.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageDocument<'a> {
    structural_hash: StructuralHash,
    dag_spec: &'a DagSpec,
    metadata: &'a ImageMetadata,
    format_version: u32,
    #[serde(flatten)]
    extra: &'a ExtraMembers,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<&'a str>,
}

impl DagSpec {
    /// The hash that names an image of this graph.
    pub fn structural_hash(&self) -> StructuralHash {
        StructuralHash::of_bytes(&self.canonical_json())
    }
}

impl PipelineImage {
    /// The image of a graph.
    pub fn new(dag_spec: impl Into<ImageGraph>, metadata: ImageMetadata) -> Self {
        let dag_spec = dag_spec.into();
        Self {
            structural_hash: dag_spec.structural_hash(),
            dag_spec,
            metadata,
            extra: ExtraMembers::default(),
        }
    }

    /// How many bytes the canonical JSON of the graph has.
    pub fn graph_bytes(&self) -> u64 {
        self.dag_spec.canonical_json().len() as u64
    }

    /// The document of the image: pretty JSON with a checksum and a trailing newline.
    pub fn encode(&self) -> Vec<u8> {
        const FINITE: &str = "a graph's float literals are finite";
        let Self { structural_hash, dag_spec, metadata, extra } = self;
        let mut document = ImageDocument {
            structural_hash: *structural_hash,
            dag_spec,
            metadata,
            format_version: FORMAT_VERSION,
            extra,
            checksum: None,
        };
        // What is not known may stand anywhere between the other members.
        let canonical = if extra.is_empty() {
            self.canonical_without_extra()
        } else {
            to_canonical(&document).expect(FINITE)
        };
        let checksum = blake3::hash(&canonical).to_hex();
        document.checksum = Some(&checksum);
        let mut bytes = serde_json::to_vec_pretty(&document).expect(FINITE);
        bytes.push(b'\n');
        bytes
    }

    /// The canonical JSON of the document without its checksum, but for the extra members. The graph, which is most of
    /// it, knows its own in a fraction of the time.
    fn canonical_without_extra(&self) -> Vec<u8> {
        let Self { structural_hash, dag_spec, metadata, extra: _ } = self;
        let graph = dag_spec.canonical_json();
        let metadata = to_canonical(metadata).expect("metadata serializes");
        let mut out = Vec::with_capacity(graph.len() + metadata.len() + 256);
        out.extend_from_slice(b"{\"dagSpec\":");
        out.extend_from_slice(&graph);
        out.extend_from_slice(format!(",\"formatVersion\":{FORMAT_VERSION},\"metadata\":").as_bytes());
        out.extend_from_slice(&metadata);
        out.extend_from_slice(format!(",\"structuralHash\":\"{structural_hash}\"}}").as_bytes());
        out
    }

    /// The document of the image without white space and checksum, for where a checksum is around it. Takes the
    /// canonical JSON of the graph, which [`PipelineImage::verify`] and [`DagSpec::canonical_json`] return.
    pub fn encode_compact(&self, graph: &[u8]) -> Vec<u8> {
        let Self { structural_hash, dag_spec: _, metadata, extra } = self;
        let mut out = Vec::with_capacity(graph.len() + 512);
        out.extend_from_slice(b"{\"dagSpec\":");
        out.extend_from_slice(graph);
        // Not canonical, which would round the numbers of extra members.
        out.extend_from_slice(format!(",\"formatVersion\":{FORMAT_VERSION},\"metadata\":").as_bytes());
        serde_json::to_writer(&mut out, metadata).expect("metadata serializes");
        out.extend_from_slice(format!(",\"structuralHash\":\"{structural_hash}\"").as_bytes());
        extra.append_to(&mut out);
        out.push(b'}');
        out
    }

    /// Reads an image document, and checks its checksum if it has one, its hash, and its graph.
    ///
    /// The hash is taken over the JSON as it stands in the document, so that a member which this version does
    /// not know cannot get lost unnoticed.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::Corrupt`]: not JSON, a duplicate key, a wrong checksum or a missing member.
    /// * [`ErrorKind::UnsupportedFormat`]: a newer format version, or an unknown member inside `dagSpec`.
    /// * [`ErrorKind::HashMismatch`]: the hash is not that of `dagSpec`.
    /// * [`ErrorKind::InvalidImage`]: the graph is not well formed, or would be written in another way.
    pub fn decode(bytes: &[u8]) -> Result<DecodedImage> {
        let read = ReadImage::of(bytes)?;
        let structural_hash = read.structural_hash;
        let dag_spec = read.dag_spec().map_err(|error| unknown_form(structural_hash, error))?;
        let invalid = |message: String| {
            StoreError::new(ErrorKind::InvalidImage, "decode image", message)
                .with("structuralHash", structural_hash)
        };
        // serde also reads `"label": null`, and an array for a struct. Such an image would change its hash when it
        // is written again.
        if dag_spec.canonical_json() != read.graph() {
            return Err(invalid("its dagSpec is not written in the one way that the format has".into()));
        }
        let dag_spec = ImageGraph::from(dag_spec);
        dag_spec.types().map_err(|error| invalid(error.to_string()))?;
        let (extra, graph_bytes) = (read.extra()?, read.graph().len() as u64);
        let ReadImage { metadata, checked, .. } = read;
        Ok(DecodedImage { image: Self { structural_hash, dag_spec, metadata, extra }, checked, graph_bytes })
    }
}

fn hash_mismatch(claimed: StructuralHash, actual: StructuralHash) -> StoreError {
    StoreError::new(ErrorKind::HashMismatch, "verify image", "its hash is not that of its dagSpec")
        .with("claimed", claimed)
        .with("actual", actual)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        Literal, NodeIndex, NodeSpec, OutputSpec, TypeIndex, TypeSpec, canonical_json, seal_document,
    };

    pub(super) fn image() -> PipelineImage {
        let dag_spec = DagSpec {
            outputs: vec![OutputSpec { name: "x".into(), node: NodeIndex(0) }],
            types: vec![TypeSpec::Float],
            nodes: vec![NodeSpec {
                label: Some("x".into()),
                ty: TypeIndex(0),
                operation: NodeKind::Literal(Literal::Float(-0.0)),
            }],
            ..DagSpec::default()
        };
        let metadata = ImageMetadata::new(&dag_spec, Timestamp::UNIX_EPOCH);
        PipelineImage::new(dag_spec, metadata)
    }

    /// The document of [`image`], changed before it is sealed again.
    fn document(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut value: Value = serde_json::from_slice(&image().encode()).unwrap();
        change(&mut value);
        let Value::Object(members) = value else { unreachable!() };
        seal_document(members)
    }

    fn decode_error(bytes: &[u8]) -> ErrorKind {
        PipelineImage::decode(bytes).unwrap_err().kind()
    }

    #[test]
    fn the_document_has_its_members_in_the_order_of_the_format() {
        let text = String::from_utf8(image().encode()).unwrap();
        let keys: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("  \"")?.split_once('"').map(|(key, _)| key))
            .collect();
        assert_eq!(keys, ["structuralHash", "dagSpec", "metadata", "formatVersion", "checksum"]);
    }

    #[test]
    fn unknown_members_outside_of_the_graph_are_kept() {
        let bytes = document(|value| {
            value["note"] = "kept".into();
            value["metadata"]["team"] = "risk".into();
        });
        let decoded = PipelineImage::decode(&bytes).unwrap();
        let again = PipelineImage::decode(&decoded.image.encode()).unwrap();
        assert_eq!(again, decoded);
        assert_eq!(again.image.extra["note"], "kept");
        assert_eq!(again.image.metadata.extra["team"], "risk");
    }

    #[test]
    fn an_unknown_member_inside_of_the_graph_is_not_supported() {
        let bytes = document(|value| {
            value["dagSpec"]["nodes"][0]["cost"] = 1.into();
            let hash = StructuralHash::of_bytes(&canonical_json(&value["dagSpec"]));
            value["structuralHash"] = hash.to_string().into();
        });
        assert_eq!(decode_error(&bytes), ErrorKind::UnsupportedFormat);
    }

    #[test]
    fn a_newer_format_is_not_supported() {
        let bytes = document(|value| value["formatVersion"] = (FORMAT_VERSION + 1).into());
        assert_eq!(decode_error(&bytes), ErrorKind::UnsupportedFormat);
    }

    #[test]
    fn a_changed_graph_does_not_match_its_hash() {
        let bytes = document(|value| value["dagSpec"]["outputs"][0]["name"] = "y".into());
        assert_eq!(decode_error(&bytes), ErrorKind::HashMismatch);
        let mut image = image();
        image.dag_spec.outputs[0].name = "y".into();
        assert_eq!(image.verify().unwrap_err().kind(), ErrorKind::HashMismatch);
        image.dag_spec.outputs.clear();
        assert_eq!(image.verify().unwrap_err().kind(), ErrorKind::InvalidImage);
    }

    #[test]
    fn the_plain_form_without_checksum_and_version_is_accepted_and_told() {
        let mut value: Value = serde_json::from_slice(&image().encode()).unwrap();
        let members = value.as_object_mut().unwrap();
        members.remove("checksum");
        members.remove("formatVersion");
        let decoded = PipelineImage::decode(value.to_string().as_bytes()).unwrap();
        assert_eq!(decoded.image, image());
        assert!(!decoded.checked);
    }

    #[test]
    fn the_hash_covers_the_graph_and_nothing_else() {
        let mut other = image();
        other.metadata.compiler = Some("9.9".into());
        assert_eq!(other.dag_spec.structural_hash(), image().structural_hash);
        other.dag_spec.nodes[0].operation = NodeKind::Literal(Literal::Float(0.0));
        assert_ne!(other.dag_spec.structural_hash(), image().structural_hash);
    }

    #[test]
    fn the_compact_document_reads_back_as_the_image() {
        let mut image = image();
        // Canonical JSON would make a double of the one, and an integer of the other.
        image.extra.insert("large".into(), u64::MAX.into());
        image.metadata.extra.insert("float".into(), 1.0.into());
        let graph = image.verify().unwrap();
        let bytes = image.encode_compact(&graph);
        let expected = DecodedImage { image, checked: false, graph_bytes: graph.len() as u64 };
        assert_eq!(PipelineImage::decode(&bytes).unwrap(), expected);
        assert!(!bytes.contains(&b'\n'));
    }
}
