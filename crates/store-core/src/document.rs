//! Checksummed JSON documents, the form of every file of a store but the two flat maps.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use crate::canonical::{Key, Transcode, Transcoder, write_canonical};
use crate::{ErrorKind, Result, StoreError, StrictJson, canonical_json};

/// The member that ends a document.
pub const CHECKSUM: &str = "checksum";

/// A document read from bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenedDocument {
    /// Its members, without the checksum.
    pub members: Map<String, Value>,
    /// Whether it had a checksum. Files written by hand, or in the plain form of the first design, have none.
    pub checked: bool,
}

/// Writes a document: pretty JSON with its checksum as the last member, and one trailing newline. The checksum is
/// the BLAKE3 hash of the canonical JSON of everything else.
pub fn seal_document(mut members: Map<String, Value>) -> Vec<u8> {
    members.remove(CHECKSUM);
    let document = Value::Object(members);
    let checksum = blake3::hash(&canonical_json(&document)).to_hex();
    let Value::Object(mut members) = document else { unreachable!("made an object above") };
    members.insert(CHECKSUM.to_owned(), checksum.as_str().into());
    let mut bytes = serde_json::to_vec_pretty(&Value::Object(members)).expect("JSON values serialize");
    bytes.push(b'\n');
    bytes
}

/// Reads a document and checks its checksum, if it has one.
///
/// # Errors
///
/// Those of [`check_document`].
pub fn open_document(bytes: &[u8]) -> Result<OpenedDocument> {
    let checked = check_document(bytes)?;
    let mut members: Map<String, Value> = serde_json::from_slice(bytes).map_err(not_json)?;
    members.shift_remove(CHECKSUM);
    Ok(OpenedDocument { members, checked })
}

/// Checks the checksum of a document, if it has one, for who reads its members as what they are. Returns whether it
/// has.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] when the bytes are not a JSON object without duplicate keys, or do not match the
/// checksum.
pub fn check_document(bytes: &[u8]) -> Result<bool> {
    Document::read(bytes, None).map_err(not_json)?.check().map_err(corrupt)
}

fn corrupt(message: String) -> StoreError {
    StoreError::new(ErrorKind::Corrupt, "read document", message)
}

fn not_json(error: serde_json::Error) -> StoreError {
    corrupt("it is not a JSON document with members".into()).with_source(error)
}

/// A document as JSON, in which no object repeats a key.
pub(crate) struct Document {
    /// The members but the graph and the checksum, if values are wanted.
    pub(crate) others: Map<String, Value>,
    /// All but the checksum.
    pub(crate) canonical: Vec<u8>,
    pub(crate) checksum: Option<Value>,
    pub(crate) graph: Option<GraphPlace>,
}

/// Where the graph is in canonical JSON.
pub(crate) struct GraphPlace {
    pub(crate) graph: Range<usize>,
    /// Its outputs, counted from the start of the graph.
    pub(crate) outputs: Option<Range<usize>>,
    /// Whether it says the same as what stands in the document: all numbers are such that it keeps them.
    pub(crate) is_exact: bool,
}

impl Document {
    /// Reads a document that has a graph as the member `graph`, of which no values are made. Of a document without one
    /// no values are made at all.
    pub(crate) fn read(bytes: &[u8], graph: Option<&'static str>) -> Result<Self, serde_json::Error> {
        // Once for all, and not for each string.
        let text = std::str::from_utf8(bytes).map_err(serde_json::Error::custom)?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let document = deserializer.deserialize_map(DocumentVisitor { length: text.len(), graph })?;
        deserializer.end()?;
        Ok(document)
    }

    /// Whether it has a checksum, or how that is wrong.
    pub(crate) fn check(&self) -> Result<bool, String> {
        let Some(checksum) = &self.checksum else { return Ok(false) };
        let actual = blake3::hash(&self.canonical).to_hex();
        if checksum.as_str() == Some(actual.as_str()) {
            return Ok(true);
        }
        Err(format!("its checksum is {checksum}, but its content has \"{actual}\""))
    }
}

struct DocumentVisitor {
    /// Of the text.
    length: usize,
    graph: Option<&'static str>,
}

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object without duplicate keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Document, A::Error> {
        let duplicate = |key: &str| A::Error::custom(format_args!("duplicate key '{key}'"));
        let mut others = Map::new();
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
            } else if self.graph.is_none_or(|graph| key == graph) {
                transcoder.writer.key(&object, key);
                let seed = Transcode { transcoder: &mut transcoder, watched: Some("outputs") };
                outputs = access.next_value_seed(seed)?;
                transcoder.writer.end_member();
            } else {
                let StrictJson(value) = access.next_value()?;
                let Entry::Vacant(vacant) = others.entry(&*key) else { return Err(duplicate(&key)) };
                transcoder.writer.key(&object, key);
                write_canonical(vacant.insert(value), &mut transcoder.writer.out);
                transcoder.writer.end_member();
            }
        }
        if let Some(key) = transcoder.writer.sort(&object) {
            return Err(duplicate(&key));
        }
        let graph = self.graph.and_then(|graph| transcoder.writer.value(&object, graph));
        transcoder.writer.close(&object);
        let Transcoder { writer, is_exact } = transcoder;
        let graph = graph.map(|graph| GraphPlace { graph, outputs, is_exact });
        Ok(Document { others, canonical: writer.out, checksum, graph })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Map<String, Value> {
        let Value::Object(members) = serde_json::json!({ "b": [1, "x"], "a": null }) else { unreachable!() };
        members
    }

    #[test]
    fn a_document_reads_back_with_its_members_in_order() {
        let bytes = seal_document(members());
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with("{\n  \"b\": [") && text.ends_with("\"\n}\n"), "{text}");
        assert_eq!(open_document(&bytes).unwrap(), OpenedDocument { members: members(), checked: true });
    }

    #[test]
    fn every_changed_bit_is_found_or_harmless() {
        let bytes = seal_document(members());
        let original = open_document(&bytes).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match open_document(&changed) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
                // White space, or the name of the checksum member itself.
                Ok(opened) => assert!(opened == original || !opened.checked, "bit {bit}"),
            }
        }
    }

    #[test]
    fn a_document_without_checksum_is_told() {
        assert!(!open_document(b"{\"a\": 1}").unwrap().checked);
        for bytes in [&b""[..], b"[]", b"{", b"{\"a\":1,\"a\":1}", b"\xff", b"{}{}"] {
            assert_eq!(open_document(bytes).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
