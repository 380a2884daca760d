//! From JSON to canonical JSON, without values in between.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::writer::{CanonicalWriter, OpenObject};
use super::{duplicate_key, is_exact, write_number, write_plain_string, write_string};

/// Canonical JSON of what `serde_json` reads from a text, with what was noticed meanwhile.
#[derive(Debug)]
pub(crate) struct Transcoder<'de> {
    pub(crate) writer: CanonicalWriter<'de>,
    /// Whether all numbers were integers that canonical JSON keeps as they are.
    pub(crate) is_exact: bool,
}

impl Transcoder<'_> {
    /// For the JSON of so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { writer: CanonicalWriter::with_capacity(bytes), is_exact: true }
    }

    fn number(&mut self, number: &Number) {
        self.is_exact &= is_exact(number);
        write_number(number, &mut self.writer.out);
    }
}

/// Appends a value, in which no object repeats a key. Returns where the value of the member `watched` is, counted
/// from the start of the value, if that is an object with such a member.
pub(crate) struct Transcode<'a, 'de> {
    pub(crate) transcoder: &'a mut Transcoder<'de>,
    pub(crate) watched: Option<&'static str>,
}

impl<'a, 'de> Transcode<'a, 'de> {
    fn inner(transcoder: &'a mut Transcoder<'de>) -> Self {
        Self { transcoder, watched: None }
    }
}

impl<'de> DeserializeSeed<'de> for Transcode<'_, 'de> {
    type Value = Option<Range<usize>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Transcode<'_, 'de> {
    type Value = Option<Range<usize>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without duplicate keys")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.transcoder.writer.out.extend_from_slice(text);
        Ok(None)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        self.transcoder.number(&value.into());
        Ok(None)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        self.transcoder.number(&value.into());
        Ok(None)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number is out of range"))?;
        self.transcoder.number(&number);
        Ok(None)
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        write_string(value, &mut self.transcoder.writer.out);
        Ok(None)
    }

    /// As it stands in the document, where it has no escapes, and so needs none.
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        write_plain_string(value, &mut self.transcoder.writer.out);
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        self.transcoder.writer.out.extend_from_slice(b"null");
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        self.transcoder.writer.out.push(b'[');
        let start = self.transcoder.writer.out.len();
        loop {
            let end = self.transcoder.writer.out.len();
            if end > start {
                self.transcoder.writer.out.push(b',');
            }
            if sequence.next_element_seed(Transcode::inner(self.transcoder))?.is_none() {
                self.transcoder.writer.out.truncate(end);
                break;
            }
        }
        self.transcoder.writer.out.push(b']');
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let Self { transcoder, watched } = self;
        let start = transcoder.writer.out.len();
        let object: OpenObject = transcoder.writer.open();
        while let Some(Key(key)) = access.next_key()? {
            transcoder.writer.key(&object, key);
            access.next_value_seed(Transcode::inner(transcoder))?;
            transcoder.writer.end_member();
        }
        if let Some(key) = transcoder.writer.sort(&object) {
            return Err(duplicate_key(&key));
        }
        let found = watched.and_then(|key| transcoder.writer.value(&object, key));
        transcoder.writer.close(&object);
        Ok(found.map(|range| range.start - start..range.end - start))
    }
}

/// The key of a member, borrowed where it has no escapes.
pub(crate) struct Key<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor).map(Self)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canonical::tests::json;
    use crate::{StrictJson, canonical_json};

    fn transcode(text: &str) -> Result<(String, bool, Option<Range<usize>>), serde_json::Error> {
        let mut transcoder = Transcoder::with_capacity(text.len());
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let seed = Transcode { transcoder: &mut transcoder, watched: Some("watched") };
        let found = seed.deserialize(&mut deserializer)?;
        deserializer.end()?;
        let text = String::from_utf8(transcoder.writer.out).expect("JSON is text");
        Ok((text, transcoder.is_exact, found))
    }

    proptest! {
        #[test]
        fn it_is_the_canonical_json_of_the_value(value in json()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            let StrictJson(read) = serde_json::from_str(&text).unwrap();
            let expected = String::from_utf8(canonical_json(&read)).unwrap();
            let (canonical, is_exact, _) = transcode(&text).unwrap();
            if is_exact {
                let StrictJson(again) = serde_json::from_str(&canonical).unwrap();
                prop_assert_eq!(again, read);
            }
            prop_assert_eq!(canonical, expected);
        }
    }

    #[test]
    fn duplicate_keys_are_refused_at_every_level() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"b":0,"a":1,"a":2}}]"#, r#"{"a":1,"\u0061":2}"#] {
            let error = transcode(text).unwrap_err();
            assert!(error.to_string().contains("duplicate key 'a'"), "{error}");
        }
        assert!(transcode(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_number_that_changes_is_told() {
        for (number, expected) in [
            ("1", true),
            ("-1", true),
            ("9007199254740992", true),
            ("9007199254740993", false),
            ("-9007199254740993", false),
            ("18446744073709551616", false),
            ("1.0", false),
            ("1e0", false),
            ("-0", false),
        ] {
            let (_, is_exact, _) = transcode(&format!("{{\"a\":[{number}]}}")).unwrap();
            assert_eq!(is_exact, expected, "{number}");
        }
    }

    #[test]
    fn a_member_is_found_where_it_is_in_the_result() {
        let (text, _, found) = transcode(r#"{ "z": {"watched": 0}, "watched": [1, 2], "a": [] }"#).unwrap();
        assert_eq!(&text[found.unwrap()], "[1,2]");
        assert_eq!(transcode(r#"{"z": {"watched": 0}}"#).unwrap().2, None);
        assert_eq!(transcode("[]").unwrap().0, "[]");
    }
}
