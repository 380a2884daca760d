//! Reading image documents.

use serde::Deserialize;
use serde::de::Error as _;

use super::{DAG_SPEC, FORMAT_VERSION, ImageMetadata, METADATA, STRUCTURAL_HASH, hash_mismatch};
use crate::document::{Document, GraphPlace};
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

impl<'a> ReadImage<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self> {
        let corrupt = |message: &str, error: serde_json::Error| {
            StoreError::new(ErrorKind::Corrupt, OPERATION, message).with_source(error)
        };
        let document = Document::read(bytes, Some(DAG_SPEC))
            .map_err(|error| corrupt("it is not a JSON document with members", error))?;
        let checked =
            document.check().map_err(|message| StoreError::new(ErrorKind::Corrupt, OPERATION, message))?;
        let Document { others: mut members, canonical, checksum: _, graph } = document;
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
        Ok(Self { structural_hash, metadata, extra: members.into(), graph, checked })
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
