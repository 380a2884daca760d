//! The JSON files of a store, apart from images and `store.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;

use constellation_store_core::{
    CHECKSUM, ErrorKind, PipelineName, Result, StoreError, StrictJson, StructuralHash, SyntacticKey,
    VersionHistory, check_document, seal_document,
};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::layout::escape;
use crate::seeded::{self, SeededBug};

/// A version document that was read.
#[derive(Debug)]
pub(crate) struct OpenedHistory {
    pub(crate) history: VersionHistory,
    /// Whether it had a checksum.
    pub(crate) checked: bool,
}

/// The version document of a name.
pub(crate) fn encode_history(history: &VersionHistory) -> Vec<u8> {
    let value = serde_json::to_value(history).expect("a history serializes");
    let Value::Object(members) = value else { unreachable!("a struct serializes as an object") };
    seal_document(members)
}

/// Reads a version document.
///
/// # Errors
///
/// `Corrupt`.
pub(crate) fn decode_history(bytes: &[u8]) -> Result<OpenedHistory> {
    let checked = match check_document(bytes) {
        Err(_) if seeded::is_on(SeededBug::DocumentsNotChecked) => false,
        checked => checked?,
    };
    let mut history: VersionHistory = serde_json::from_slice(bytes).map_err(|error| {
        StoreError::new(ErrorKind::Corrupt, "read version document", "a member is missing or malformed")
            .with_source(error)
    })?;
    if checked {
        let mut extra = std::mem::take(&mut *history.extra);
        extra.shift_remove(CHECKSUM);
        history.extra = extra.into();
    }
    if seeded::is_on(SeededBug::NumbersFromVersions) {
        history.next_version = history.versions.last().map_or(1, |last| last.version + 1);
    }
    Ok(OpenedHistory { history, checked })
}

/// Whose version document a file is that is damaged, as far as that can be told: by the file name, or, where that was
/// cut, by a name that has such a file name. `names` are candidates that are known from elsewhere; the bytes may have it,
/// too, and the hash in the file name proves it.
pub(crate) fn salvage_name<'a>(
    file_stem: &str,
    bytes: &[u8],
    mut names: impl Iterator<Item = &'a PipelineName>,
) -> Option<PipelineName> {
    let is_its = |name: &PipelineName| escape(name.as_str()) == file_stem;
    let known = unescape(file_stem).or_else(|| names.find(|name| is_its(name)).cloned());
    if seeded::is_on(SeededBug::CutNamesForgotten) {
        return known;
    }
    known.or_else(|| names_in(&String::from_utf8_lossy(bytes)).find(is_its))
}

/// The names that stand in a text as JSON strings.
fn names_in(text: &str) -> impl Iterator<Item = PipelineName> {
    text.match_indices('"').filter_map(|(at, _)| {
        let mut strings = serde_json::Deserializer::from_str(&text[at..]).into_iter::<PipelineName>();
        strings.next()?.ok()
    })
}

/// How far above all that is known a number in a damaged document may be that counts: more than are given while a
/// document is the only one that knows of them, and far less than there are.
const MAX_NUMBERS_AHEAD: u64 = 1 << 32;

/// The greatest number that stands in a version document that is damaged, so that no number is used twice; 0 if there is
/// none. `known` is the greatest one that is known from elsewhere. One far above that is damage itself, and would use up
/// the numbers.
pub(crate) fn salvage_number(bytes: &[u8], known: u64) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    // Of `version`, `activeVersion` and `nextVersion`, also where a letter of them is damaged.
    let numbers = text.split(':').skip(1).filter_map(|after| {
        let digits = after.trim_start();
        let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
        // A number is followed by a comma or the end of its object; times and hashes are not.
        let ends = digits[end..].trim_start().starts_with([',', '}']);
        if ends { digits[..end].parse::<u64>().ok() } else { None }
    });
    let is_bounded = !seeded::is_on(SeededBug::DamagedNumbersTrusted);
    let bound = if is_bounded { known.saturating_add(MAX_NUMBERS_AHEAD) } else { u64::MAX / 2 };
    // Numbers of revisions count too; a gap does no harm.
    numbers.filter(|number| *number <= bound).max().unwrap_or(0)
}

/// The name that a file name was made of, unless it was cut.
fn unescape(escaped: &str) -> Option<PipelineName> {
    let bytes = percent_decode(escaped)?;
    let name: PipelineName = String::from_utf8(bytes).ok()?.parse().ok()?;
    (escape(name.as_str()) == escaped).then_some(name)
}

fn percent_decode(escaped: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*byte);
        }
    }
    Some(bytes)
}

/// A flat map as its file: pretty, with one trailing newline, and sorted if the entries are. It is written entry by
/// entry, since there may be a hundred thousand of them.
pub(crate) fn encode_flat_map<K: AsRef<str>>(entries: impl Iterator<Item = (K, StructuralHash)>) -> Vec<u8> {
    let mut bytes = b"{".to_vec();
    for (place, (key, hash)) in entries.enumerate() {
        bytes.extend_from_slice(if place == 0 { b"\n  " } else { b",\n  " });
        serde_json::to_writer(&mut bytes, key.as_ref()).expect("writing a string to memory succeeds");
        write!(bytes, ": \"{hash}\"").expect("writing to memory succeeds");
    }
    bytes.extend_from_slice(if bytes.len() == 1 { b"}\n" } else { b"\n}\n" });
    bytes
}

/// The entries of a flat map's file that have the right form, and how many have not.
#[derive(Debug, PartialEq)]
pub(crate) struct FlatMap<K> {
    pub(crate) entries: BTreeMap<K, StructuralHash>,
    pub(crate) malformed: usize,
}

impl<K> Default for FlatMap<K> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), malformed: 0 }
    }
}

/// Reads a flat map.
///
/// # Errors
///
/// `Corrupt` when it is not a JSON object without duplicate keys. A single entry of another form is counted only.
fn decode_flat_map<K: Ord>(bytes: &[u8], parse: impl Fn(&str) -> Option<K>) -> Result<FlatMap<K>> {
    let mut sorted = serde_json::Deserializer::from_slice(bytes);
    if let Ok(map) = Sorted(&parse).deserialize(&mut sorted)
        && sorted.end().is_ok()
    {
        return Ok(map);
    }
    decode_any_flat_map(bytes, parse)
}

/// The same, whatever wrote it.
fn decode_any_flat_map<K: Ord>(bytes: &[u8], parse: impl Fn(&str) -> Option<K>) -> Result<FlatMap<K>> {
    const OPERATION: &str = "read map";
    let StrictJson(value) = serde_json::from_slice(bytes).map_err(|error| {
        StoreError::new(ErrorKind::Corrupt, OPERATION, "it is not a JSON document").with_source(error)
    })?;
    let Value::Object(members) = value else {
        return Err(StoreError::new(ErrorKind::Corrupt, OPERATION, "it is not a JSON object"));
    };
    let mut map = FlatMap { entries: BTreeMap::new(), malformed: 0 };
    for (key, value) in members {
        match (parse(&key), value.as_str().and_then(|text| text.parse().ok())) {
            (Some(key), Some(hash)) => {
                map.entries.insert(key, hash);
            }
            _ => map.malformed += 1,
        }
    }
    Ok(map)
}

/// Reads a flat map as it was written, in one go: entries in order, so that no key is there twice, and strings without
/// escapes. Any other fails here, right or wrong.
struct Sorted<'f, F>(&'f F);

impl<'de, K: Ord, F: Fn(&str) -> Option<K>> DeserializeSeed<'de> for Sorted<'_, F> {
    type Value = FlatMap<K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<FlatMap<K>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, K: Ord, F: Fn(&str) -> Option<K>> Visitor<'de> for Sorted<'_, F> {
    type Value = FlatMap<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flat map in order")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> std::result::Result<FlatMap<K>, A::Error> {
        let mut entries = Vec::new();
        let mut malformed = 0;
        let mut last: Option<&str> = None;
        while let Some((key, hash)) = access.next_entry::<&str, &str>()? {
            if last.replace(key).is_some_and(|last| last >= key) {
                return Err(A::Error::custom("the keys are not in order"));
            }
            match (self.0(key), hash.parse().ok()) {
                (Some(key), Some(hash)) => entries.push((key, hash)),
                _ => malformed += 1,
            }
        }
        Ok(FlatMap { entries: entries.into_iter().collect(), malformed })
    }
}

/// Reads `aliases.json`.
///
/// # Errors
///
/// `Corrupt`.
pub(crate) fn decode_aliases(bytes: &[u8]) -> Result<FlatMap<PipelineName>> {
    decode_flat_map(bytes, |key| key.parse().ok())
}

/// Reads `syntactic-index.json`.
///
/// # Errors
///
/// `Corrupt`.
pub(crate) fn decode_index(bytes: &[u8]) -> Result<FlatMap<SyntacticKey>> {
    decode_flat_map(bytes, |key| key.parse().ok())
}

/// Whether an image file is one of the reference implementation: its graph refers to nodes by UUID, and the calls'
/// options stand beside it.
pub(crate) fn is_of_the_reference(bytes: &[u8]) -> bool {
    let Ok(StrictJson(value)) = serde_json::from_slice(bytes) else { return false };
    let graph = &value["dagSpec"];
    graph.is_object()
        && (value.get("moduleOptions").is_some()
            || graph.get("data").is_some()
            || graph.get("inEdges").is_some())
        && graph.get("nodes").is_none()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_damaged_version_document_still_tells_its_name_and_the_numbers_that_were_given() {
        let mut history = VersionHistory::new("pricing/quote".parse().unwrap());
        history.next_version = 8;
        let mut bytes = encode_history(&history);
        bytes[20] ^= 1;
        let no_names = std::iter::empty;
        assert_eq!(salvage_name("pricing%2fquote", &bytes, no_names()).unwrap(), history.pipeline_name);
        // That of the next version counts, too, which is not told from others.
        assert_eq!(salvage_number(&bytes, 0), 8);
        assert_eq!(salvage_name("a", b"\xff\xfe", no_names()).unwrap().as_str(), "a");
        assert_eq!(salvage_number(b"\xff\xfe", 5), 0);
    }

    #[test]
    fn the_name_of_a_cut_file_name_is_told_by_other_files_or_by_what_is_left_of_the_document() {
        let name: PipelineName = format!("\u{e9}\"\\{}", "x".repeat(220)).parse().unwrap();
        let stem = escape(name.as_str());
        let mut bytes = encode_history(&VersionHistory::new(name.clone()));
        let salvage = |bytes: &[u8], names: &[PipelineName]| salvage_name(&stem, bytes, names.iter());
        let other: PipelineName = "other".parse().unwrap();
        assert_eq!(salvage(b"", &[other.clone(), name.clone()]), Some(name.clone()));
        assert_eq!(salvage(b"", &[other]), None);
        // Also where a quotation mark before it is gone.
        bytes[3] = b'"';
        bytes.truncate(bytes.len() / 2 + 150);
        assert_eq!(salvage(&bytes, &[]), Some(name));
        let at = bytes.iter().position(|byte| *byte == b'x').unwrap();
        bytes[at] ^= 1;
        assert_eq!(salvage(&bytes, &[]), None);
    }

    proptest! {
        #[test]
        fn a_flat_map_is_read_alike_whatever_wrote_it(
            entries in vec((r#"[a-c]{1,2}|[A-Z]|"|\\\\|\u{e9}|"#, 0_i64..3, 0_u8..8), 0..6),
            is_sorted: bool,
            end in prop_oneof![8 => Just("}"), 1 => Just(",}"), 1 => Just("} x"), 1 => Just("")],
        ) {
            let mut entries = entries;
            if is_sorted {
                entries.sort();
            }
            let members = entries.into_iter().map(|(key, number, form)| {
                let hash = match form {
                    0 => number.to_string(),
                    1 => format!("\"\\u0030{number}\""),
                    2 => "\"no hash\"".to_owned(),
                    _ => format!("\"{}\"", StructuralHash::from_bytes([number.to_le_bytes()[0]; 32])),
                };
                format!("{}: {hash}", serde_json::to_string(&key).unwrap())
            });
            let text = format!("{{{}{end}", members.collect::<Vec<_>>().join(","));
            let parse = |key: &str| key.parse::<PipelineName>().ok();
            let (read, expected) =
                (decode_flat_map(text.as_bytes(), parse), decode_any_flat_map(text.as_bytes(), parse));
            prop_assert_eq!(read.map_err(|error| error.to_string()), expected.map_err(|error| error.to_string()));
        }
    }

    #[test]
    fn a_flat_map_in_order_is_read_in_one_go() {
        let entries =
            (0..3).map(|number| (format!("name-{number}"), StructuralHash::from_bytes([number; 32])));
        let bytes = encode_flat_map(entries);
        let parse = |key: &str| key.parse::<PipelineName>().ok();
        let map = Sorted(&parse).deserialize(&mut serde_json::Deserializer::from_slice(&bytes)).unwrap();
        assert_eq!((map.entries.len(), map.malformed), (3, 0));
    }

    #[test]
    fn a_number_far_above_all_that_are_known_is_damage_itself() {
        for (number, known, expected) in [
            (MAX_NUMBERS_AHEAD, 0, MAX_NUMBERS_AHEAD),
            (MAX_NUMBERS_AHEAD + 1, 0, 0),
            (MAX_NUMBERS_AHEAD + 7, 7, MAX_NUMBERS_AHEAD + 7),
            (MAX_NUMBERS_AHEAD + 8, 7, 0),
            (u64::MAX, u64::MAX - 1, u64::MAX),
        ] {
            let text = format!("{{ \"nextVersion\": {number},");
            assert_eq!(salvage_number(text.as_bytes(), known), expected, "{number} {known}");
        }
    }

    #[test]
    fn an_image_of_the_reference_is_told_by_what_its_format_alone_has() {
        for (document, expected) in [
            (r#"{"dagSpec":{},"moduleOptions":{}}"#, true),
            (r#"{"dagSpec":{"data":{}}}"#, true),
            (r#"{"dagSpec":{"inEdges":[]}}"#, true),
            (r#"{"dagSpec":{}}"#, false),
            (r#"{"dagSpec":1,"moduleOptions":{}}"#, false),
            (r#"{"moduleOptions":{}}"#, false),
            (r#"{"dagSpec":{"nodes":[],"data":{}},"moduleOptions":{}}"#, false),
            (r#"{"dagSpec":{"nodes":[]}}"#, false),
            (r#"{"dagSpec":{"data":{}}"#, false),
        ] {
            assert_eq!(is_of_the_reference(document.as_bytes()), expected, "{document}");
        }
    }

    #[test]
    fn entries_of_another_form_are_left_out_and_counted() {
        let hash = StructuralHash::of_bytes(b"x");
        let text = format!(r#"{{ "a": "{hash}", "b/": "{hash}", "c": "abc", "d": 1 }}"#);
        let map = decode_aliases(text.as_bytes()).unwrap();
        assert_eq!(map.entries.len(), 1);
        assert_eq!(map.malformed, 3);
        assert!(decode_aliases(b"{\"a\": \"x\", \"a\": \"x\"}").is_err());
    }

    #[test]
    fn a_flat_map_is_sorted_and_ends_in_one_newline() {
        let hash = StructuralHash::of_bytes(b"x");
        let entries = [("a", hash), ("b", hash)];
        let bytes = encode_flat_map(entries.into_iter());
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            format!("{{\n  \"a\": \"{hash}\",\n  \"b\": \"{hash}\"\n}}\n")
        );
        assert_eq!(encode_flat_map(std::iter::empty::<(&str, _)>()), b"{}\n");
    }
}
