//! Checksummed JSON documents, the form of every file of a store but the two flat maps.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::Error as _;
use serde_json::{Map, Value};

use crate::canonical::{Transcoder, duplicate_key};
use crate::{ErrorKind, Result, StoreError, canonical_json};

/// The member that ends a document.
pub const CHECKSUM: &str = "checksum";
/// More members than most documents have.
const MEMBERS: usize = 8;

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
pub(crate) struct Document<'t> {
    /// The members but the graph and the checksum, with their values as they stand in the document.
    pub(crate) others: Vec<(Cow<'t, str>, &'t str)>,
    /// All but the checksum, as canonical JSON.
    pub(crate) canonical: Vec<u8>,
    /// The checksum, as it stands in the document.
    checksum: Option<&'t str>,
    pub(crate) graph: Option<Graph<'t>>,
}

/// The graph of a document.
pub(crate) struct Graph<'t> {
    /// As it stands in the document.
    pub(crate) text: &'t str,
    /// Where it is in the canonical JSON of the document.
    pub(crate) place: Range<usize>,
    /// Where its outputs are in that, counted from the start of the graph.
    pub(crate) outputs: Option<Range<usize>>,
    /// Whether its canonical JSON says the same as what stands in the document: all numbers are such that it keeps
    /// them.
    pub(crate) is_exact: bool,
}

impl<'t> Document<'t> {
    /// Reads a document, which may have a graph as the member `graph`.
    pub(crate) fn read(bytes: &'t [u8], graph: Option<&str>) -> Result<Self, serde_json::Error> {
        let text = std::str::from_utf8(bytes).map_err(serde_json::Error::custom)?;
        let mut transcoder = Transcoder::new(text);
        let mut others = Vec::with_capacity(MEMBERS);
        let mut checksum = None;
        let mut found: Option<Graph<'t>> = None;
        let mut object = transcoder.open_object()?;
        while transcoder.member(&mut object)? {
            let key = transcoder.key();
            if key == CHECKSUM {
                if checksum.replace(transcoder.with_text(Transcoder::value)?.0).is_some() {
                    return Err(duplicate_key(CHECKSUM));
                }
                transcoder.leave_out(&object);
            } else if graph.is_some_and(|graph| key == graph) {
                found = Some(Graph::read(&mut transcoder)?);
            } else {
                others.push((key, transcoder.with_text(Transcoder::value)?.0));
            }
        }
        let object = transcoder.sort(object)?;
        if let (Some(found), Some(key)) = (&mut found, graph) {
            found.place = transcoder.writer.value(&object, key).unwrap_or_default();
        }
        transcoder.writer.close(&object);
        transcoder.end()?;
        Ok(Document { others, canonical: transcoder.writer.out, checksum, graph: found })
    }

    /// Takes a member out, as it stands in the document.
    pub(crate) fn take(&mut self, key: &str) -> Option<&'t str> {
        let place = self.others.iter().position(|(other, _)| other == key)?;
        Some(self.others.remove(place).1)
    }

    /// Whether it has a checksum, or how that is wrong.
    pub(crate) fn check(&self) -> Result<bool, String> {
        let Some(checksum) = self.checksum else { return Ok(false) };
        let actual = blake3::hash(&self.canonical).to_hex();
        if serde_json::from_str(checksum).is_ok_and(|checksum: Cow<'_, str>| checksum == actual.as_str()) {
            return Ok(true);
        }
        Err(format!("its checksum is {checksum}, but its content has \"{actual}\""))
    }
}

impl<'t> Graph<'t> {
    /// Reads it; its place is known when all is read and sorted.
    fn read(transcoder: &mut Transcoder<'t>) -> Result<Self, serde_json::Error> {
        transcoder.is_exact = true;
        let (text, outputs) = transcoder.with_text(|transcoder| transcoder.value_with("outputs"))?;
        Ok(Self { text, place: 0..0, outputs, is_exact: transcoder.is_exact })
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
