//! Canonical JSON (RFC 8785), and parsing that refuses what canonical JSON cannot hold.

mod serializer;
mod transcode;
mod writer;

use std::cmp::Ordering;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

pub(crate) use self::serializer::to_canonical;
pub(crate) use self::transcode::Transcoder;

/// Integers up to this one print as they are; beyond, as the double that is nearest.
const MAX_EXACT_INTEGER: u64 = 1 << 53;

/// The canonical JSON (RFC 8785) of a value: keys sorted, no white space, numbers as doubles.
///
/// Hashing an image is on the way of every commit and every opening, so what images are made of (strings, small
/// integers and short objects) is written directly, 10 times as fast as a canonicaliser that has to take whatever
/// serializes; numbers that need one go through it.
pub fn canonical_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_unstable_by(|(left, _), (right, _)| compare_keys(left.as_bytes(), right.as_bytes()));
            out.push(b'{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write_canonical(value, out);
            }
            out.push(b'}');
        }
    }
}

/// The order of UTF-16 units, which is that of bytes unless one of the first that differ starts a character from U+10000
/// on: that is written as surrogates, which are below U+E000.
fn compare_keys(left: &[u8], right: &[u8]) -> Ordering {
    const START_OF_U_10000: u8 = 0xf0;
    match left.iter().zip(right).find(|(left, right)| left != right) {
        Some((left, right)) if left.max(right) < &START_OF_U_10000 => left.cmp(right),
        Some(_) => {
            let [left, right] = [left, right].map(|key| str::from_utf8(key).expect("a key is text"));
            left.encode_utf16().cmp(right.encode_utf16())
        }
        None => left.len().cmp(&right.len()),
    }
}

/// `serde_json` escapes what RFC 8785 escapes, in the same way.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // All of them, since that goes many at a time.
    if text.bytes().fold(false, |found, byte| found | is_escaped(byte)) {
        serde_json::to_writer(out, text).expect("writing a string to memory succeeds");
    } else {
        write_plain_string(text, out);
    }
}

/// A string in which nothing is to be escaped.
pub(crate) fn write_plain_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

pub(crate) fn write_integer(integer: u64, out: &mut Vec<u8>) {
    if integer <= MAX_EXACT_INTEGER {
        serde_json::to_writer(out, &integer).expect("writing a number to memory succeeds");
    } else {
        write_number(&integer.into(), out);
    }
}

fn write_number(number: &serde_json::Number, out: &mut Vec<u8>) {
    if is_exact(number) {
        serde_json::to_writer(out, number).expect("writing a number to memory succeeds");
    } else {
        out.extend(serde_json_canonicalizer::to_vec(number).expect("a JSON number is finite"));
    }
}

/// Whether a number is an integer that canonical JSON keeps as it is.
fn is_exact(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|integer| integer.unsigned_abs() <= MAX_EXACT_INTEGER)
}

/// A JSON value in which no object repeats a key. `serde_json::Value` would keep the last one, so that a file
/// could say one thing and hash as another.
///
/// Nesting is bounded by `serde_json` at 128 levels.
///
/// ```
/// # use constellation_store_core::StrictJson;
/// assert!(serde_json::from_str::<StrictJson>(r#"{"a": 1, "b": 2}"#).is_ok());
/// assert!(serde_json::from_str::<StrictJson>(r#"{"a": 1, "a": 2}"#).is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct StrictJson(pub Value);

impl<'de> Deserialize<'de> for StrictJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without duplicate keys")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(StrictJson(item)) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            match map.entry(key) {
                Entry::Occupied(known) => return Err(duplicate_key(known.key())),
                Entry::Vacant(vacant) => {
                    let StrictJson(value) = access.next_value()?;
                    vacant.insert(value);
                }
            }
        }
        Ok(Value::Object(map))
    }
}

pub(crate) fn duplicate_key<E: Error>(key: &str) -> E {
    E::custom(format_args!("duplicate key '{key}'"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn canonical_json_sorts_keys_and_drops_layout() {
        let StrictJson(value) = serde_json::from_str(r#"{ "b": [1, 2.0, "\u00e9"], "a": null }"#).unwrap();
        assert_eq!(String::from_utf8(canonical_json(&value)).unwrap(), "{\"a\":null,\"b\":[1,2,\"\u{e9}\"]}");
    }

    #[test]
    fn duplicate_keys_are_refused_at_every_level() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"a":2}}]"#, r#"{"a":1,"\u0061":2}"#] {
            let error = serde_json::from_str::<StrictJson>(text).unwrap_err();
            assert!(error.to_string().contains("duplicate key 'a'"), "{error}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let text = "[".repeat(100_000);
        assert!(serde_json::from_str::<StrictJson>(&text).is_err());
    }

    pub(super) fn json() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-(1_i64 << 54)..(1 << 54)).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            number,
            any::<String>().prop_map(Value::from),
            "[\u{0}-\u{20}\u{7f}-\u{a0}\u{d7ff}-\u{e001}\u{fffe}-\u{10001}]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_an_independent_canonicaliser_writes(value in json()) {
            let expected = serde_json_canonicalizer::to_string(&value).unwrap();
            prop_assert_eq!(String::from_utf8(canonical_json(&value)).unwrap(), expected);
        }
    }

    #[test]
    fn text_is_escaped_where_and_as_the_canonical_form_asks() {
        for (text, expected) in [
            ("", r#""""#),
            (" ", r#"" ""#),
            ("\"", r#""\"""#),
            ("\\", r#""\\""#),
            ("\n", r#""\n""#),
            ("\u{1f}", r#""\u001f""#),
            ("\u{7f}/", "\"\u{7f}/\""),
        ] {
            assert_eq!(canonical_json(&text.into()), expected.as_bytes(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn keys_are_compared_as_their_utf_16_units_are(
            start in "[a-c\u{7f}\u{e9}\u{e000}\u{10000}]{0,2}",
            ends in ["[a\u{e9}\u{d7ff}\u{e000}-\u{e001}\u{ffff}-\u{10001}]{0,2}", "[a\u{e9}\u{d7ff}\u{e000}-\u{e001}\u{ffff}-\u{10001}]{0,2}"],
        ) {
            let [left, right] = ends.map(|end| format!("{start}{end}"));
            let expected = left.encode_utf16().cmp(right.encode_utf16());
            prop_assert_eq!(compare_keys(left.as_bytes(), right.as_bytes()), expected, "{:?} and {:?}", left, right);
        }
    }

    #[test]
    fn keys_are_sorted_by_utf_16_units() {
        let value = serde_json::json!({ "\u{e000}": 1, "\u{10000}": 2, "z": 3 });
        assert_eq!(
            String::from_utf8(canonical_json(&value)).unwrap(),
            "{\"z\":3,\"\u{10000}\":2,\"\u{e000}\":1}"
        );
    }
}
