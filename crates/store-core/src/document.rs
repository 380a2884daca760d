//! Checksummed JSON documents, the form of every file of a store but the two flat maps.

use serde_json::{Map, Value};

use crate::{ErrorKind, Result, StoreError, StrictJson, canonical_json};

/// The member that ends a document.
const CHECKSUM: &str = "checksum";

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
/// [`ErrorKind::Corrupt`] when the bytes are not a JSON object without duplicate keys, or do not match the
/// checksum.
pub fn open_document(bytes: &[u8]) -> Result<OpenedDocument> {
    let corrupt = |message: String| StoreError::new(ErrorKind::Corrupt, "read document", message);
    let StrictJson(document) = serde_json::from_slice(bytes)
        .map_err(|error| corrupt("it is not a JSON document".into()).with_source(error))?;
    let Value::Object(mut members) = document else {
        return Err(corrupt("it is not a JSON object".into()));
    };
    let Some(checksum) = members.shift_remove(CHECKSUM) else {
        return Ok(OpenedDocument { members, checked: false });
    };
    let document = Value::Object(members);
    let actual = blake3::hash(&canonical_json(&document)).to_hex();
    if checksum.as_str() != Some(actual.as_str()) {
        return Err(corrupt(format!("its checksum is {checksum}, but its content has \"{actual}\"")));
    }
    let Value::Object(members) = document else { unreachable!("made an object above") };
    Ok(OpenedDocument { members, checked: true })
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
