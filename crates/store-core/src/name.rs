//! Names of pipelines, and references to them.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::is_nfc;

use crate::{ErrorKind, StoreError, StructuralHash};

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// The hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// The name of a pipeline: 1 to 255 bytes of UTF-8 in NFC, `/` between non-empty segments, no control
/// characters, no segment `.` or `..`, and nothing that reads as a hash reference.
///
/// Anything else is refused, not repaired: two spellings of one name would be two names to the user. Names are
/// compared byte by byte. A name is never a path.
///
/// ```
/// # use constellation_store_core::PipelineName;
/// assert!("pricing/quote v2".parse::<PipelineName>().is_ok());
/// assert!("../etc/passwd".parse::<PipelineName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineName(Arc<str>);

impl PipelineName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for PipelineName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PipelineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PipelineName {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        match name_defect(text) {
            None => Ok(Self(text.into())),
            Some(defect) => Err(StoreError::new(ErrorKind::InvalidName, "parse name", defect)
                .with("name", text.chars().take(80).collect::<String>())),
        }
    }
}

impl Serialize for PipelineName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PipelineName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::parsed::deserialize(deserializer)
    }
}

fn name_defect(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("a name has at least one character".into());
    }
    if text.len() > MAX_NAME_BYTES {
        return Some(format!("a name has at most {MAX_NAME_BYTES} bytes, got {}", text.len()));
    }
    if let Some(control) = text.chars().find(|character| character.is_control()) {
        return Some(format!("a name has no control characters, got U+{:04X}", u32::from(control)));
    }
    // ASCII is, which an opening would otherwise look up for each character of each name.
    if !text.is_ascii() && !is_nfc(text) {
        return Some("a name is in Unicode normalization form C; send the composed form".into());
    }
    for segment in text.split('/') {
        if segment.is_empty() {
            return Some("a name has no empty segment: no '/' first, last or twice".into());
        }
        if segment == "." || segment == ".." {
            return Some(format!("a name has no segment '{segment}'"));
        }
    }
    if split_hash(text).is_some() {
        return Some("a name does not read as a hash reference".into());
    }
    None
}

/// What reads as a hash, with what stands before the colon.
fn split_hash(text: &str) -> Option<(Option<&str>, &str)> {
    // Nearly all names are shorter.
    if text.len() < HASH_DIGITS {
        return None;
    }
    let (prefix, tail) = text.rsplit_once(':').map_or((None, text), |(prefix, tail)| (Some(prefix), tail));
    let is_hash = tail.len() == HASH_DIGITS && tail.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some((prefix, tail))
}

/// What a caller names a pipeline by: a name, 64 lower-case hexadecimal digits, or the same after `blake3:` or
/// `sha256:`. The last is what clients of the reference implementation build; it names the same hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The active version of this name.
    Name(PipelineName),
    /// The image with this hash.
    Hash(StructuralHash),
}

impl FromStr for Reference {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let Some((prefix, tail)) = split_hash(text) else { return text.parse().map(Self::Name) };
        let defect = |message: String| {
            StoreError::new(ErrorKind::InvalidName, "parse reference", message)
                .with("reference", text.chars().take(100).collect::<String>())
        };
        match prefix {
            None | Some("blake3" | "sha256") => {
                tail.parse().map(Self::Hash).map_err(|error| defect(error.to_string()))
            }
            Some(prefix) => Err(defect(format!("a hash is prefixed with 'blake3:', not '{prefix}:'"))),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Hash(hash) => hash.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_written_as_its_text() {
        let name: PipelineName = "pricing/quote".parse().unwrap();
        assert_eq!((name.as_str(), &*name.to_string()), ("pricing/quote", "pricing/quote"));
        let names = std::collections::BTreeSet::from([name]);
        assert!(names.contains("pricing/quote"));
        assert!(!names.contains("pricing"));
        assert!("x".repeat(MAX_NAME_BYTES).parse::<PipelineName>().is_ok());
    }

    #[test]
    fn what_is_no_hash_by_length_or_by_letters_is_a_name_and_written_as_it_was() {
        let hash = "a".repeat(64);
        for text in [&*"a".repeat(65), &*"z".repeat(64), &*format!("{}:beef", "x".repeat(64)), "beef", &*hash]
        {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(matches!(reference, Reference::Hash(_)), text == hash, "{text}");
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn names_that_are_refused() {
        let long = "x".repeat(256);
        let hex = "a".repeat(64);
        for text in [
            "",
            ".",
            "..",
            "a/../b",
            "/a",
            "a/",
            "a//b",
            "a\nb",
            "a\u{0}",
            "\u{7f}",
            "e\u{301}",
            &long,
            &hex,
            &hex.to_uppercase(),
            &format!("sha256:{hex}"),
            &format!("md5:{hex}"),
        ] {
            let error = text.parse::<PipelineName>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidName, "{text:?}");
        }
    }

    #[test]
    fn names_that_are_kept_as_they_are() {
        let longest = "x".repeat(255);
        for text in ["a", "CON", "a.b", "...", "caf\u{e9}", "a/b", "a:b", "-x", "a ", "\u{1f600}", &longest] {
            assert_eq!(text.parse::<PipelineName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_reference_is_a_name_or_a_hash() {
        let hash = StructuralHash::of_bytes(b"x");
        for text in [hash.to_string(), format!("blake3:{hash}"), format!("sha256:{hash}")] {
            assert_eq!(text.parse::<Reference>().unwrap(), Reference::Hash(hash));
        }
        assert!(matches!("sha256:abc".parse::<Reference>(), Ok(Reference::Name(_))));
        for text in [format!("md5:{hash}"), hash.to_string().to_uppercase(), String::new()] {
            assert_eq!(text.parse::<Reference>().unwrap_err().kind(), ErrorKind::InvalidName, "{text}");
        }
    }
}
