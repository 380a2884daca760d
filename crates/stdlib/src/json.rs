//! `stdlib.json`: values as JSON text, and the members of JSON text.
//!
//! A type of the language does not describe JSON of any shape, so that reading goes one level at a time: a member that
//! is no string is given as the text of its JSON, to be read by the next call.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};
use constellation_types::Value;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserializer, Serialize, Serializer};

use crate::bounds::{MAX_LIST_ITEMS, MAX_TEXT_BYTES, check_list, check_map, text_too_long};
use crate::define::{Any, List, Map, Namespace};
use crate::map::last_of_each_key;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut json = Namespace::library(registry, "stdlib.json");
    json.function(
        "json-print",
        ["value"],
        "Any value as JSON text without spaces, as the API writes it. A map with strings for keys, or without any, is \
         an object.",
    )
    .example(r#"json-print({ name: "Ada", tags: ["a"], age: parse-int("x") })"#, r#""{\"name\":\"Ada\",\"tags\":[\"a\"],\"age\":null}""#)
    .define(|value: Any| print(&value.0))?;
    json.function(
        "json-parse-object",
        ["text"],
        "The members of the JSON object that a text is: a string as it is, anything else as the text of its JSON; none \
         when the text is no JSON object. A repeated name keeps its place and gets the last value.",
    )
    .example(
        r#"json-parse-object("{\"name\": \"Ada\", \"age\": 36, \"tags\": [\"a\", \"b\"]}")"#,
        r#"{"name":"Ada","age":"36","tags":"[\"a\",\"b\"]"}"#,
    )
    .example(r#"json-parse-object("[1]")"#, "null")
    .define(|text: Arc<str>| parse_object(&text))?;
    json.function(
        "json-parse-list",
        ["text"],
        "The elements of the JSON array that a text is: a string as it is, anything else as the text of its JSON; none \
         when the text is no JSON array.",
    )
    .example(r#"json-parse-list("[\"a\", 1, {\"b\": null}]")"#, r#"["a","1","{\"b\":null}"]"#)
    .define(|text: Arc<str>| parse_list(&text))
}

fn print(value: &Value) -> Result<String, ModuleError> {
    let mut text = BoundedBytes::default();
    // Nothing else fails: the names of an object are strings.
    serde_json::to_writer(&mut text, &Untyped(value)).map_err(|_| text_too_long("stdlib.json-print"))?;
    Ok(String::from_utf8(text.0).expect("JSON is written as UTF-8"))
}

/// Bytes that refuse to grow past [`MAX_TEXT_BYTES`].
#[derive(Default)]
struct BoundedBytes(Vec<u8>);

impl Write for BoundedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value to be written without its type, which a function does not know.
struct Untyped<'a>(&'a Value);

impl Serialize for Untyped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => serializer.serialize_str(text),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::Float(float) => serializer.serialize_f64(*float),
            Value::Boolean(boolean) => serializer.serialize_bool(*boolean),
            Value::List(items) => serializer.collect_seq(items.iter().map(Untyped)),
            Value::Map(pairs) if pairs.iter().all(|(key, _)| matches!(key, Value::String(_))) => {
                serializer.collect_map(pairs.iter().map(|(key, value)| (Untyped(key), Untyped(value))))
            }
            Value::Map(pairs) => {
                let mut sequence = serializer.serialize_seq(Some(pairs.len()))?;
                for (key, value) in pairs.iter() {
                    sequence.serialize_element(&(Untyped(key), Untyped(value)))?;
                }
                sequence.end()
            }
            Value::Record(record) => {
                serializer.collect_map(record.iter().map(|(name, value)| (&**name, Untyped(value))))
            }
            Value::Optional(None) => serializer.serialize_unit(),
            Value::Optional(Some(inner)) => Untyped(inner).serialize(serializer),
            Value::Union(tagged) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("tag", &*tagged.tag)?;
                map.serialize_entry("value", &Untyped(&tagged.value))?;
                map.end()
            }
        }
    }
}

type StringMap = Map<Arc<str>, Arc<str>>;

fn parse_object(text: &str) -> Result<Option<StringMap>, ModuleError> {
    let mut members = Members::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = deserializer.deserialize_map(&mut members).and_then(|()| deserializer.end());
    check_map(members.0.len(), "stdlib.json-parse-object")?;
    Ok(outcome.is_ok().then(|| StringMap::of(last_of_each_key(&members.0))))
}

/// The members of an object, names that are repeated too.
#[derive(Default)]
struct Members(Vec<(Value, Value)>);

impl<'de> Visitor<'de> for &mut Members {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let member = map.next_value_seed(Member)?;
            self.0.push((Value::string(name), Value::String(member)));
            stop_past_bound::<A::Error>(self.0.len())?;
        }
        Ok(())
    }
}

fn parse_list(text: &str) -> Result<Option<List<Arc<str>>>, ModuleError> {
    let mut elements = Elements::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = deserializer.deserialize_seq(&mut elements).and_then(|()| deserializer.end());
    check_list(Some(elements.0.len()), "stdlib.json-parse-list")?;
    Ok(outcome.is_ok().then(|| elements.0.into_iter().collect()))
}

/// The elements of an array.
#[derive(Default)]
struct Elements(Vec<Arc<str>>);

impl<'de> Visitor<'de> for &mut Elements {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(element) = sequence.next_element_seed(Member)? {
            self.0.push(element);
            stop_past_bound::<A::Error>(self.0.len())?;
        }
        Ok(())
    }
}

/// Ends the reading of what has more members than a list may have. Who reads sees it by their number.
fn stop_past_bound<E: serde::de::Error>(members: usize) -> Result<(), E> {
    if members > MAX_LIST_ITEMS { Err(E::custom("too many members")) } else { Ok(()) }
}

/// A member of an object or an array as text.
struct Member;

impl<'de> DeserializeSeed<'de> for Member {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        // Not by way of `serde_json::Value`, which needs many times the memory of the text.
        let mut text = Vec::new();
        serde_transcode::transcode(deserializer, &mut serde_json::Serializer::new(&mut text))
            .map_err(D::Error::custom)?;
        if text.first() == Some(&b'"') {
            return serde_json::from_slice(&text).map_err(D::Error::custom);
        }
        Ok(String::from_utf8(text).expect("JSON is written as UTF-8").into())
    }
}
