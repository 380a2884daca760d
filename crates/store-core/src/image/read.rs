//! Reading image documents.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Map, Value};

use super::{DAG_SPEC, FORMAT_VERSION, ImageMetadata, METADATA, STRUCTURAL_HASH, hash_mismatch};
use crate::document::{Document, Graph};
use crate::extra::ExtraMembers;
use crate::{DagSpec, ErrorKind, ImageSummary, OutputSpec, Result, StoreError, StructuralHash};

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
        let read = ReadImage::of(bytes)?;
        let outputs = read.outputs().map_err(|error| unknown_form(read.structural_hash, error))?;
        let mut outputs: Vec<_> = outputs.into_iter().map(|output| output.name.into()).collect();
        outputs.sort_unstable();
        let graph_bytes = read.graph().len() as u64;
        let ReadImage { structural_hash, metadata, checked, .. } = read;
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
pub(super) struct ReadImage<'t> {
    pub(super) structural_hash: StructuralHash,
    pub(super) metadata: ImageMetadata,
    pub(super) checked: bool,
    document: Document<'t>,
    graph: Graph<'t>,
}

impl<'t> ReadImage<'t> {
    pub(super) fn of(bytes: &'t [u8]) -> Result<Self> {
        let mut document = Document::read(bytes, Some(DAG_SPEC))
            .map_err(|error| corrupt("it is not a JSON document with members", error))?;
        let checked =
            document.check().map_err(|message| StoreError::new(ErrorKind::Corrupt, OPERATION, message))?;
        // Before anything else is interpreted: a newer version may have other members. The plain form, of the
        // first design, has none.
        if let Some(version) = document.take(super::VERSION)
            && version.parse() != Ok(FORMAT_VERSION)
        {
            let message = format!("its format version is {version}, this version reads {FORMAT_VERSION}");
            return Err(StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, message));
        }
        let structural_hash: StructuralHash = member(&mut document, STRUCTURAL_HASH)?;
        let metadata = member(&mut document, METADATA)?;
        let graph = document.graph.take().ok_or_else(|| missing(DAG_SPEC))?;
        let actual = StructuralHash::of_bytes(&document.canonical[graph.place.clone()]);
        if actual != structural_hash {
            return Err(hash_mismatch(structural_hash, actual));
        }
        Ok(Self { structural_hash, metadata, checked, document, graph })
    }

    /// The canonical JSON of its graph.
    pub(super) fn graph(&self) -> &[u8] {
        &self.document.canonical[self.graph.place.clone()]
    }

    pub(super) fn dag_spec(&self) -> Result<DagSpec, serde_json::Error> {
        if self.graph.is_exact {
            // It has no white space.
            return serde_json::from_slice(self.graph());
        }
        // Canonical JSON writes 1.0 as 1, and takes large integers for doubles.
        serde_json::from_str(self.graph.text)
    }

    /// The members that this version does not know.
    pub(super) fn extra(&self) -> Result<ExtraMembers> {
        let others = &self.document.others;
        let members = others.iter().map(|(key, text)| Ok((key.to_string(), serde_json::from_str(text)?)));
        let members: Map<String, Value> = members.collect::<Result<_, _>>().map_err(malformed)?;
        Ok(members.into())
    }

    fn outputs(&self) -> Result<Vec<OutputSpec>, serde_json::Error> {
        let outputs = self.graph.outputs.clone();
        let outputs = outputs.ok_or_else(|| serde_json::Error::missing_field("outputs"))?;
        serde_json::from_slice(&self.graph()[outputs])
    }
}

fn member<'t, T: Deserialize<'t>>(document: &mut Document<'t>, key: &'static str) -> Result<T> {
    serde_json::from_str(document.take(key).ok_or_else(|| missing(key))?).map_err(malformed)
}

fn missing(member: &'static str) -> StoreError {
    malformed(serde_json::Error::missing_field(member))
}

fn malformed(error: serde_json::Error) -> StoreError {
    corrupt("a member is missing or malformed", error)
}

fn corrupt(message: &str, error: serde_json::Error) -> StoreError {
    StoreError::new(ErrorKind::Corrupt, OPERATION, message).with_source(error)
}
