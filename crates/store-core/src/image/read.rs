//! Reading image documents.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::{CHECKSUM, DAG_SPEC, FORMAT_VERSION, ImageMetadata, METADATA, STRUCTURAL_HASH, hash_mismatch};
use crate::canonical::{Key, Transcode, Transcoder, write_canonical};
use crate::extra::ExtraMembers;
use crate::{DagSpec, ErrorKind, ImageSummary, OutputSpec, Result, StoreError, StrictJson, StructuralHash};

const OPERATION: &str = "decode image";

/// An image document that was checked without making the image, for who opens many and needs few.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedImage {
    /// What [`ImageSummary::of`] tells of the image.
    pub summary: ImageSummary,
    /// Whether the document had a checksum, so that its metadata is checked too.
    pub checked: bool,
}

impl CheckedImage {
    /// Reads an image document, and checks its checksum if it has one, and its hash.
    ///
    /// Bytes that an image was written to, and that changed since, are refused as
    /// [`PipelineImage::decode`](crate::PipelineImage::decode) refuses them, in half of the time. What is left
    /// to the first use, which decodes the document, is whether what was written is a graph that this version
    /// knows, spelled in the one way that the format has, and well formed. A store checks that before it takes an
    /// image, so that only a document from elsewhere, or from a later version, is refused then.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::Corrupt`]: not JSON, a duplicate key, a wrong checksum or a missing member.
    /// * [`ErrorKind::UnsupportedFormat`]: a newer format version, or outputs of an unknown form.
    /// * [`ErrorKind::HashMismatch`]: the hash is not that of `dagSpec`.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let ReadImage { structural_hash, metadata, extra: _, graph, checked } = ReadImage::of(bytes)?;
        let outputs = graph.outputs().map_err(|error| unknown_form(structural_hash, error))?;
        let mut outputs: Vec<_> = outputs.into_iter().map(|output| output.name.into()).collect();
        outputs.sort_unstable();
        let graph_bytes = graph.canonical().len() as u64;
        let summary = ImageSummary { structural_hash, metadata, outputs: outputs.into(), graph_bytes };
        Ok(Self { summary, checked })
    }
}

pub(super) fn unknown_form(structural_hash: StructuralHash, error: serde_json::Error) -> StoreError {
    StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, "its dagSpec has an unknown form")
        .with("structuralHash", structural_hash)
        .with_source(error)
}

/// A document whose checksum and hash were checked.
pub(super) struct ReadImage<'a> {
    pub(super) structural_hash: StructuralHash,
    pub(super) metadata: ImageMetadata,
    pub(super) extra: ExtraMembers,
    pub(super) graph: ReadGraph<'a>,
    pub(super) checked: bool,
}

/// The graph of a document as JSON.
pub(super) struct ReadGraph<'a> {
    /// The document.
    bytes: &'a [u8],
    /// The canonical JSON of the document without its checksum.
    canonical: Vec<u8>,
    place: GraphPlace,
}

/// Where the graph is in canonical JSON.
struct GraphPlace {
    graph: Range<usize>,
    /// Its outputs, counted from the start of the graph.
    outputs: Option<Range<usize>>,
    is_exact: bool,
}

impl<'a> ReadImage<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self> {
        let corrupt = |message: &str, error: serde_json::Error| {
            StoreError::new(ErrorKind::Corrupt, OPERATION, message).with_source(error)
        };
        let Document { others: mut members, canonical, checksum, graph } = Document::read(bytes)
            .map_err(|error| corrupt("it is not a JSON document with members", error))?;
        if let Some(checksum) = &checksum {
            let actual = blake3::hash(&canonical).to_hex();
            if checksum.as_str() != Some(actual.as_str()) {
                let message = format!("its checksum is {checksum}, but its content has \"{actual}\"");
                return Err(StoreError::new(ErrorKind::Corrupt, OPERATION, message));
            }
        }
        // Before anything else is interpreted: a newer version may have other members. The plain form, of the
        // first design, has none.
        if let Some(version) = members.shift_remove(super::VERSION)
            && version.as_u64() != Some(u64::from(FORMAT_VERSION))
        {
            let message = format!("its format version is {version}, this version reads {FORMAT_VERSION}");
            return Err(StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, message));
        }
        let malformed = |error| corrupt("a member is missing or malformed", error);
        let missing = |member| malformed(serde_json::Error::missing_field(member));
        let structural_hash =
            members.shift_remove(STRUCTURAL_HASH).ok_or_else(|| missing(STRUCTURAL_HASH))?;
        let structural_hash = StructuralHash::deserialize(structural_hash).map_err(malformed)?;
        let metadata = members.shift_remove(METADATA).ok_or_else(|| missing(METADATA))?;
        let metadata = ImageMetadata::deserialize(metadata).map_err(malformed)?;
        let place = graph.ok_or_else(|| missing(DAG_SPEC))?;
        let actual = StructuralHash::of_bytes(&canonical[place.graph.clone()]);
        if actual != structural_hash {
            return Err(hash_mismatch(structural_hash, actual));
        }
        let graph = ReadGraph { bytes, canonical, place };
        Ok(Self { structural_hash, metadata, extra: members.into(), graph, checked: checksum.is_some() })
    }
}

impl ReadGraph<'_> {
    /// Its canonical JSON.
    pub(super) fn canonical(&self) -> &[u8] {
        &self.canonical[self.place.graph.clone()]
    }

    pub(super) fn dag_spec(&self) -> Result<DagSpec, serde_json::Error> {
        if self.place.is_exact {
            return serde_json::from_slice(self.canonical());
        }
        // Canonical JSON writes 1.0 as 1, and takes large integers for doubles.
        let StrictJson(mut document) = serde_json::from_slice(self.bytes)?;
        DagSpec::deserialize(document[DAG_SPEC].take())
    }

    fn outputs(&self) -> Result<Vec<OutputSpec>, serde_json::Error> {
        let outputs = self.place.outputs.clone();
        let outputs = outputs.ok_or_else(|| serde_json::Error::missing_field("outputs"))?;
        serde_json::from_slice(&self.canonical()[outputs])
    }
}

/// A document as JSON, in which no object repeats a key.
struct Document {
    /// The members but the graph and the checksum.
    others: Map<String, Value>,
    /// All but the checksum.
    canonical: Vec<u8>,
    checksum: Option<Value>,
    graph: Option<GraphPlace>,
}

impl Document {
    fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        // Once for all, and not for each string.
        let text = std::str::from_utf8(bytes).map_err(serde_json::Error::custom)?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let document = deserializer.deserialize_map(DocumentVisitor { length: text.len() })?;
        deserializer.end()?;
        Ok(document)
    }
}

struct DocumentVisitor {
    /// Of the text.
    length: usize,
}

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object without duplicate keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Document, A::Error> {
        let duplicate = |key: &str| A::Error::custom(format_args!("duplicate key '{key}'"));
        let mut members = Map::new();
        let mut checksum = None;
        let mut outputs = None;
        let mut transcoder = Transcoder::with_capacity(self.length);
        let object = transcoder.writer.open();
        while let Some(Key(key)) = access.next_key()? {
            if key == CHECKSUM {
                let StrictJson(value) = access.next_value()?;
                if checksum.replace(value).is_some() {
                    return Err(duplicate(CHECKSUM));
                }
            } else if key == DAG_SPEC {
                transcoder.writer.key(&object, key);
                let seed = Transcode { transcoder: &mut transcoder, watched: Some("outputs") };
                outputs = access.next_value_seed(seed)?;
                transcoder.writer.end_member();
            } else {
                let StrictJson(value) = access.next_value()?;
                let Entry::Vacant(vacant) = members.entry(&*key) else { return Err(duplicate(&key)) };
                transcoder.writer.key(&object, key);
                write_canonical(vacant.insert(value), &mut transcoder.writer.out);
                transcoder.writer.end_member();
            }
        }
        if let Some(key) = transcoder.writer.sort(&object) {
            return Err(duplicate(&key));
        }
        let graph = transcoder.writer.value(&object, DAG_SPEC);
        transcoder.writer.close(&object);
        let Transcoder { writer, is_exact } = transcoder;
        let graph = graph.map(|graph| GraphPlace { graph, outputs, is_exact });
        Ok(Document { others: members, canonical: writer.out, checksum, graph })
    }
}
