//! The payload of a journal frame: commits as the changes that they come to.
//!
//! All numbers are little-endian. A text or document is its length (4 bytes) and its bytes. A payload is the
//! number of commits (4), and for each its revision (8), the number of its changes (4), and for each a tag (1)
//! and its parts:
//!
//! | tag | change | parts |
//! |---|---|---|
//! | 1 | image added | the image's document, compact and without checksum |
//! | 2 | source added | the text |
//! | 3 | indexed | syntactic, registry and structural hash (32 each) |
//! | 4 | version recorded | name, the version as JSON |
//! | 5 | activated | name, version (8) |
//! | 6 | name deleted | name |
//! | 7 | versions pruned | name, their count (4), the versions (8 each) |
//! | 8 | loader source | name, source hash (32) |
//! | 9 | index removed | syntactic and registry hash (32 each) |
//! | 10 | image removed | structural hash (32) |
//! | 11 | source removed | source hash (32) |

use std::sync::Arc;

use constellation_store_core::{
    DecodedImage, ErrorKind, ImageSummary, PipelineImage, PipelineName, RegistryHash, Result, Revision,
    SourceHash, StoreError, StructuralHash, SyntacticHash, SyntacticKey, Version,
};
use constellation_store_mem::Change;

use crate::frame::{HEADER_BYTES, start_frame};

/// How long a count or length is.
const COUNT_BYTES: usize = 4;

/// A commit as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) revision: Revision,
    pub(crate) changes: Vec<Change>,
}

/// The payload of a frame, which commits are added to one by one.
#[derive(Debug)]
pub(crate) struct Payload {
    count: usize,
    /// From the start of the frame on, so that it need not be copied there.
    frame: Vec<u8>,
}

impl Payload {
    /// That of a frame without commits, in the memory of another frame.
    pub(crate) fn new(memory: Vec<u8>) -> Self {
        let mut frame = start_frame(memory);
        put_count(&mut frame, 0);
        Self { count: 0, frame }
    }

    /// Adds a commit as the changes that it comes to. `document` tells the documents of its images, as far as they
    /// are made already. Returns how many bytes were added.
    pub(crate) fn push<'a>(
        &mut self,
        revision: Revision,
        changes: &[Change],
        document: impl Fn(&Arc<PipelineImage>) -> Option<&'a [u8]>,
    ) -> usize {
        let before = self.frame.len();
        self.count += 1;
        self.frame.extend_from_slice(&revision.0.to_le_bytes());
        put_count(&mut self.frame, changes.len());
        for change in changes {
            put_change(&mut self.frame, change, &document);
        }
        self.frame.len() - before
    }

    /// Takes away the commit that was added last, which has so many bytes.
    pub(crate) fn pop(&mut self, bytes: usize) {
        self.count -= 1;
        self.frame.truncate(self.frame.len() - bytes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.frame.len() - HEADER_BYTES
    }

    /// The frame that was started, with this payload.
    pub(crate) fn into_frame(mut self) -> Vec<u8> {
        let count = u32::try_from(self.count).expect("a frame has fewer commits than it may have bytes");
        self.frame[HEADER_BYTES..HEADER_BYTES + COUNT_BYTES].copy_from_slice(&count.to_le_bytes());
        self.frame
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a commit has fewer parts than it may have bytes");
    out.extend_from_slice(&count.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_name(out: &mut Vec<u8>, name: &PipelineName) {
    put_bytes(out, name.as_str().as_bytes());
}

fn put_key(out: &mut Vec<u8>, key: &SyntacticKey) {
    out.extend_from_slice(key.syntactic.as_bytes());
    out.extend_from_slice(key.registry.as_bytes());
}

fn put_change<'a>(
    out: &mut Vec<u8>,
    change: &Change,
    document: impl Fn(&Arc<PipelineImage>) -> Option<&'a [u8]>,
) {
    match change {
        Change::ImageAdded { image, summary: _ } => {
            out.push(1);
            match document(image) {
                Some(document) => put_bytes(out, document),
                None => put_bytes(out, &image.encode_compact(&image.dag_spec.canonical_json())),
            }
        }
        Change::SourceAdded { source_hash: _, text } => {
            out.push(2);
            put_bytes(out, text.as_bytes());
        }
        Change::Indexed { key, structural_hash } => {
            out.push(3);
            put_key(out, key);
            out.extend_from_slice(structural_hash.as_bytes());
        }
        Change::VersionRecorded { name, version } => {
            out.push(4);
            put_name(out, name);
            let start = out.len();
            put_count(out, 0);
            version.append_json(out);
            let length = u32::try_from(out.len() - start - COUNT_BYTES).expect("a version is short");
            out[start..start + COUNT_BYTES].copy_from_slice(&length.to_le_bytes());
        }
        Change::Activated { name, version } => {
            out.push(5);
            put_name(out, name);
            out.extend_from_slice(&version.to_le_bytes());
        }
        Change::NameDeleted { name } => {
            out.push(6);
            put_name(out, name);
        }
        Change::VersionsPruned { name, versions } => {
            out.push(7);
            put_name(out, name);
            put_count(out, versions.len());
            for version in versions {
                out.extend_from_slice(&version.to_le_bytes());
            }
        }
        Change::LoaderSource { name, source_hash } => {
            out.push(8);
            put_name(out, name);
            out.extend_from_slice(source_hash.as_bytes());
        }
        Change::IndexRemoved { key } => {
            out.push(9);
            put_key(out, key);
        }
        Change::ImageRemoved { structural_hash } => {
            out.push(10);
            out.extend_from_slice(structural_hash.as_bytes());
        }
        Change::SourceRemoved { source_hash } => {
            out.push(11);
            out.extend_from_slice(source_hash.as_bytes());
        }
    }
}

/// The commits in the payload of a frame whose hash was checked.
///
/// # Errors
///
/// `UnsupportedFormat`: since the bytes are those that were written, another version must have written them.
pub(crate) fn decode(payload: &[u8]) -> Result<Vec<Record>> {
    let mut reader = Reader { rest: payload };
    // Nothing is reserved by a count: it may be any number.
    let mut records = Vec::new();
    for _ in 0..reader.count()? {
        let revision = Revision(reader.number()?);
        let mut changes = Vec::new();
        for _ in 0..reader.count()? {
            changes.push(reader.change()?);
        }
        records.push(Record { revision, changes });
    }
    if reader.rest.is_empty() { Ok(records) } else { Err(unknown_form("it is longer than its content")) }
}

fn unknown_form(message: &str) -> StoreError {
    let message = format!("a commit in the journal has an unknown form ({message}); use a later version");
    StoreError::new(ErrorKind::UnsupportedFormat, "read journal", message)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| unknown_form("it is cut"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as long as asked for"))
    }

    fn count(&mut self) -> Result<usize> {
        let count = u32::from_le_bytes(self.array()?);
        usize::try_from(count).map_err(|_| unknown_form("a count is too large"))
    }

    fn number(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| unknown_form("a text is not UTF-8"))
    }

    fn name(&mut self) -> Result<PipelineName> {
        self.text()?.parse().map_err(|error: StoreError| unknown_form(error.message()))
    }

    fn source_hash(&mut self) -> Result<SourceHash> {
        Ok(SourceHash::from_bytes(self.array()?))
    }

    fn structural_hash(&mut self) -> Result<StructuralHash> {
        Ok(StructuralHash::from_bytes(self.array()?))
    }

    fn key(&mut self) -> Result<SyntacticKey> {
        let syntactic = SyntacticHash::from_bytes(self.array()?);
        Ok(SyntacticKey { syntactic, registry: RegistryHash::from_bytes(self.array()?) })
    }

    fn version(&mut self) -> Result<Version> {
        serde_json::from_slice(self.bytes()?).map_err(|error| unknown_form(&error.to_string()))
    }

    fn change(&mut self) -> Result<Change> {
        let [tag] = self.array()?;
        Ok(match tag {
            1 => {
                let DecodedImage { image, graph_bytes, checked: _ } = PipelineImage::decode(self.bytes()?)?;
                let summary = Arc::new(ImageSummary::with_graph_bytes(&image, graph_bytes));
                Change::ImageAdded { image: Arc::new(image), summary }
            }
            2 => {
                let text = self.text()?;
                Change::SourceAdded {
                    source_hash: SourceHash::of_bytes(text.as_bytes()),
                    text: Arc::from(text),
                }
            }
            3 => Change::Indexed { key: self.key()?, structural_hash: self.structural_hash()? },
            4 => Change::VersionRecorded { name: self.name()?, version: self.version()? },
            5 => Change::Activated { name: self.name()?, version: self.number()? },
            6 => Change::NameDeleted { name: self.name()? },
            7 => {
                let name = self.name()?;
                let mut versions = Vec::new();
                for _ in 0..self.count()? {
                    versions.push(self.number()?);
                }
                Change::VersionsPruned { name, versions }
            }
            8 => Change::LoaderSource { name: self.name()?, source_hash: self.source_hash()? },
            9 => Change::IndexRemoved { key: self.key()? },
            10 => Change::ImageRemoved { structural_hash: self.structural_hash()? },
            11 => Change::SourceRemoved { source_hash: self.source_hash()? },
            tag => return Err(unknown_form(&format!("change {tag}"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use constellation_store_core::{
        DagSpec, ExtraMembers, ImageMetadata, Literal, NodeIndex, NodeKind, NodeSpec, Origin, OutputSpec,
        Timestamp, TypeIndex, TypeSpec,
    };

    use super::*;

    fn records() -> Vec<Record> {
        let dag_spec = DagSpec {
            outputs: vec![OutputSpec { name: "x".into(), node: NodeIndex(0) }],
            types: vec![TypeSpec::Int],
            nodes: vec![NodeSpec {
                label: None,
                ty: TypeIndex(0),
                operation: NodeKind::Literal(Literal::Int(1)),
            }],
            ..DagSpec::default()
        };
        let metadata = ImageMetadata::new(&dag_spec, Timestamp::UNIX_EPOCH);
        let image = Arc::new(PipelineImage::new(dag_spec, metadata));
        let structural_hash = image.structural_hash;
        let source_hash = SourceHash::of_bytes(b"text");
        let name: PipelineName = "pricing/quote".parse().unwrap();
        let key =
            SyntacticKey { syntactic: SyntacticHash::of_bytes(b"a"), registry: RegistryHash::of_bytes(b"b") };
        let version = Version {
            version: 3,
            structural_hash,
            created_at: Timestamp::UNIX_EPOCH,
            revision: Revision(9),
            origin: Origin::Loader,
            source_hash: Some(source_hash),
            extra: ExtraMembers::default(),
        };
        let changes = vec![
            Change::ImageAdded { summary: Arc::new(ImageSummary::of(&image)), image },
            Change::SourceAdded { source_hash, text: "text".into() },
            Change::Indexed { key, structural_hash },
            Change::VersionRecorded { name: name.clone(), version },
            Change::Activated { name: name.clone(), version: 3 },
            Change::NameDeleted { name: name.clone() },
            Change::VersionsPruned { name: name.clone(), versions: vec![1, 2] },
            Change::LoaderSource { name, source_hash },
            Change::IndexRemoved { key },
            Change::ImageRemoved { structural_hash },
            Change::SourceRemoved { source_hash },
        ];
        vec![Record { revision: Revision(9), changes }, Record { revision: Revision(10), changes: vec![] }]
    }

    fn payload() -> Vec<u8> {
        let mut payload = Payload::new(Vec::new());
        for record in records() {
            payload.push(record.revision, &record.changes, |_| None);
        }
        payload.into_frame()[HEADER_BYTES..].to_vec()
    }

    #[test]
    fn every_change_reads_back() {
        assert_eq!(decode(&payload()).unwrap(), records());
    }

    #[test]
    fn a_document_that_is_made_already_is_copied() {
        let Record { revision, changes } = records().swap_remove(0);
        let Change::ImageAdded { image, .. } = &changes[0] else { panic!("the first change adds an image") };
        let document = image.encode();
        let mut payload = Payload::new(Vec::new());
        payload.push(revision, &changes, |asked| Arc::ptr_eq(asked, image).then_some(&document));
        let bytes = payload.into_frame()[HEADER_BYTES..].to_vec();
        assert!(bytes.windows(document.len()).any(|window| window == document));
        assert_eq!(decode(&bytes).unwrap(), records()[..1]);
    }

    #[test]
    fn a_commit_that_is_taken_away_leaves_nothing() {
        let mut payload = Payload::new(Vec::new());
        let [first, second] = [0, 1].map(|place| records().swap_remove(place));
        payload.push(first.revision, &first.changes, |_| None);
        let length = payload.len();
        let bytes = payload.push(second.revision, &second.changes, |_| None);
        assert_eq!(payload.len(), length + bytes);
        payload.pop(bytes);
        assert_eq!(payload.len(), length);
        assert_eq!(decode(&payload.into_frame()[HEADER_BYTES..]).unwrap(), [first]);
    }

    #[test]
    fn a_payload_of_another_form_is_not_supported() {
        let payload = payload();
        for length in 0..payload.len() {
            assert_eq!(decode(&payload[..length]).unwrap_err().kind(), ErrorKind::UnsupportedFormat);
        }
        for bytes in [&b"\x01\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\xff"[..], &[0xff; 40]] {
            assert_eq!(decode(bytes).unwrap_err().kind(), ErrorKind::UnsupportedFormat);
        }
        let longer = [&payload[..], b"x"].concat();
        assert_eq!(decode(&longer).unwrap_err().kind(), ErrorKind::UnsupportedFormat);
    }
}
