//! Values from and to plain JSON, by type.
//!
//! The rules are those of the HTTP API: what a client sends as an input, and what it gets as an output.

use std::fmt;
use std::sync::Arc;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::{Field, Record, RecordType, Type, UnionType, Value};

/// Why a JSON value is not of a type: every place that does not fit, with its path.
///
/// The text is that of the reference API: `field 'user.age': expected Int, got string`, several joined by `"; "`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Each path, such as `user.tags[1]`, with what is wrong there. Never empty; at most a hundred.
    pub errors: Vec<(String, String)>,
}

/// Errors told of one value; a long list with a wrong element type would repeat itself.
const MAX_ERRORS: usize = 100;

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, message)) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}field '{path}': {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DecodeError {}

/// Reads a JSON value as a value of `ty`. `path` names the value in errors; an input's name, for instance.
///
/// | type | accepts |
/// |---|---|
/// | `Int` | a number whose value is an integer of 64 bits, so `3.0` and `1e3` too |
/// | `Float` | any number |
/// | `List`, `Seq` | an array |
/// | `Map` | an array of `[key, value]` pairs, or an object when the keys are strings; a repeated key keeps the last value |
/// | record | an object; a missing optional field is none, and further members are ignored |
/// | union | `{"tag": T, "value": v}`, or an object that fits one of the record members, the one with most fields |
/// | `Optional` | `null`, or the inner value; `null` for an optional of an optional is the outer none |
///
/// # Errors
///
/// [`DecodeError`] with every place that does not fit.
///
/// ```
/// # use constellation_types::{Type, Value, decode_json};
/// let ty = Type::list(Type::Int);
/// assert_eq!(decode_json(&serde_json::json!([1, 2.0]), &ty, "xs"), Ok(Value::list([Value::Int(1), Value::Int(2)])));
/// let error = decode_json(&serde_json::json!(["a"]), &ty, "xs").unwrap_err();
/// assert_eq!(error.to_string(), "field 'xs[0]': expected Int, got string");
/// ```
pub fn decode_json(json: &serde_json::Value, ty: &Type, path: &str) -> Result<Value, DecodeError> {
    let mut decoder = Decoder { path: path.to_owned(), errors: Vec::new() };
    match decoder.decode(json, ty) {
        Some(value) if decoder.errors.is_empty() => Ok(value),
        _ => Err(DecodeError { errors: decoder.errors }),
    }
}

struct Decoder {
    path: String,
    errors: Vec<(String, String)>,
}

impl Decoder {
    fn fail<T>(&mut self, message: impl Into<String>) -> Option<T> {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push((self.path.clone(), message.into()));
        }
        None
    }

    fn mismatch<T>(&mut self, expected: &str, json: &serde_json::Value) -> Option<T> {
        self.fail(format!("expected {expected}, got {}", json_kind(json)))
    }

    fn within<T>(
        &mut self,
        step: impl fmt::Display,
        decode: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        use std::fmt::Write as _;
        let length = self.path.len();
        write!(self.path, "{step}").expect("writing to a string succeeds");
        let result = decode(self);
        self.path.truncate(length);
        result
    }

    fn decode(&mut self, json: &serde_json::Value, ty: &Type) -> Option<Value> {
        use serde_json::Value as Json;
        match (ty, json) {
            (Type::String, Json::String(text)) => Some(Value::string(text.as_str())),
            (Type::Int, Json::Number(number)) => match exact_int(number) {
                Some(int) => Some(Value::Int(int)),
                None => self.fail(format!("expected Int, got {number}, which is no integer of 64 bits")),
            },
            (Type::Float, Json::Number(number)) => match number.as_f64().filter(|float| float.is_finite()) {
                Some(float) => Some(Value::Float(float)),
                None => self.mismatch("Float", json),
            },
            (Type::Boolean, Json::Bool(boolean)) => Some(Value::Boolean(*boolean)),
            (Type::List(element) | Type::Seq(element), Json::Array(items)) => {
                let mut values = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    values.extend(self.within(format_args!("[{index}]"), |this| this.decode(item, element)));
                }
                Some(Value::List(values.into()))
            }
            (Type::Map(key, value), json) => self.decode_map(json, key, value),
            (Type::Record(record), Json::Object(object)) => self.decode_record(object, record),
            (Type::Optional(_), Json::Null) => Some(Value::none()),
            (Type::Optional(inner), json) => self.decode(json, inner).map(Value::some),
            (Type::Union(union), json) => self.decode_union(json, union),
            (Type::List(_) | Type::Seq(_), json) => self.mismatch("Array", json),
            (Type::Record(_), json) => self.mismatch("Object", json),
            (ty, json) => self.mismatch(&ty.to_string(), json),
        }
    }

    fn decode_map(&mut self, json: &serde_json::Value, key: &Type, value: &Type) -> Option<Value> {
        let mut pairs: Vec<(Value, Value)> = Vec::new();
        match json {
            serde_json::Value::Object(object) if *key == Type::String => {
                for (name, item) in object {
                    let item = self.within(format_args!(".{name}"), |this| this.decode(item, value));
                    pairs.extend(item.map(|item| (Value::string(name.as_str()), item)));
                }
            }
            serde_json::Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let pair = self.within(format_args!("[{index}]"), |this| {
                        let [first, second] = item.as_array().map(Vec::as_slice).unwrap_or_default() else {
                            return this.fail("expected [key, value] pair");
                        };
                        let first = this.within("[0]", |this| this.decode(first, key));
                        let second = this.within("[1]", |this| this.decode(second, value));
                        first.zip(second)
                    });
                    pairs.extend(pair);
                }
                pairs = last_of_each_key(pairs);
            }
            json if *key == Type::String => return self.mismatch("Array or Object", json),
            json => return self.mismatch("Array", json),
        }
        Some(Value::Map(pairs.into()))
    }

    fn decode_record(
        &mut self,
        object: &serde_json::Map<String, serde_json::Value>,
        record: &RecordType,
    ) -> Option<Value> {
        let mut values = Vec::with_capacity(record.fields().len());
        for Field { name, ty } in record.fields() {
            match object.get(&**name) {
                Some(json) => {
                    values.extend(self.within(format_args!(".{name}"), |this| this.decode(json, ty)));
                }
                None if matches!(ty, Type::Optional(_)) => values.push(Value::none()),
                None => {
                    self.fail::<Value>(format!("missing required field '{name}'"));
                }
            }
        }
        if values.len() < record.fields().len() {
            return None;
        }
        let names = record.fields().iter().map(|field| Arc::clone(&field.name)).collect();
        Some(Value::Record(Arc::new(Record::new(names, values))))
    }

    fn decode_union(&mut self, json: &serde_json::Value, union: &UnionType) -> Option<Value> {
        let serde_json::Value::Object(object) = json else {
            return self.mismatch("Object with 'tag' and 'value'", json);
        };
        if let (Some(tag), Some(value)) = (object.get("tag"), object.get("value")) {
            let Some(tag) = tag.as_str() else {
                return self.fail("union tag must be a string");
            };
            let Some(member) = union.member(tag) else {
                let tags: Vec<String> = union.members().iter().map(ToString::to_string).collect();
                return self.fail(format!("invalid union tag '{tag}', expected one of: {}", tags.join(", ")));
            };
            return self
                .within(".value", |this| this.decode(value, member))
                .map(|value| Value::tagged(tag, value));
        }
        // Without a tag only a record member can be told from the shape. The one with most fields wins, the
        // first declared of several.
        let mut best: Option<(usize, &Type, Value)> = None;
        for member in union.members() {
            let Some(record) = member.as_record() else { continue };
            let size = record.fields().len();
            if best.as_ref().is_some_and(|(most, ..)| size <= *most)
                || record.fields().iter().any(|field| !object.contains_key(&*field.name))
            {
                continue;
            }
            let mut attempt = Decoder { path: String::new(), errors: Vec::new() };
            if let Some(value) = attempt.decode(json, member)
                && attempt.errors.is_empty()
            {
                best = Some((size, member, value));
            }
        }
        if let Some((_, member, value)) = best {
            return Some(Value::tagged(member.to_string(), value));
        }
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        let tags: Vec<String> = union.members().iter().map(ToString::to_string).collect();
        self.fail(format!(
            "could not match fields to any union variant. JSON keys: {}. Expected one of: {}",
            keys.join(", "),
            tags.join(", ")
        ))
    }
}

fn last_of_each_key(pairs: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    // Keys are compared by their JSON text, which is injective for values of one type.
    let mut places = std::collections::HashMap::new();
    let mut unique: Vec<(Value, Value)> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        match places.entry(format!("{key:?}")) {
            std::collections::hash_map::Entry::Occupied(place) => {
                let place: &usize = place.get();
                unique[*place].1 = value;
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(unique.len());
                unique.push((key, value));
            }
        }
    }
    unique
}

/// The integer that a JSON number is exactly, if it fits 64 bits.
fn exact_int(number: &serde_json::Number) -> Option<i64> {
    if let Some(int) = number.as_i64() {
        return Some(int);
    }
    let float = number.as_f64()?;
    // 2^63 itself is a float and does not fit; -2^63 does.
    let bound = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "integral and within range, so the cast is exact")]
    (float.fract() == 0.0 && (-bound..bound).contains(&float) && !number.is_u64()).then_some(float as i64)
}

fn json_kind(json: &serde_json::Value) -> &'static str {
    match json {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "boolean",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Object(_) => "object",
    }
}

/// A value with its type, to be written as plain JSON with serde.
///
/// Floats keep their point (`12.0`), a map with string keys is an object and any other map an array of pairs, a
/// union is `{"tag", "value"}`, none is `null`. A non-finite float, which no pipeline makes, is written as a
/// string.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a> {
    /// The value to write.
    pub value: &'a Value,
    /// Its type; it decides how a map is written.
    pub ty: &'a Type,
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.ty) {
            (Value::String(text), _) => serializer.serialize_str(text),
            (Value::Int(int), _) => serializer.serialize_i64(*int),
            (Value::Float(float), _) if float.is_finite() => serializer.serialize_f64(*float),
            (Value::Float(float), _) => serializer.collect_str(float),
            (Value::Boolean(boolean), _) => serializer.serialize_bool(*boolean),
            (Value::List(items), ty) => {
                let ty = ty.element().unwrap_or(&Type::Nothing);
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                for value in items.iter() {
                    sequence.serialize_element(&Json { value, ty })?;
                }
                sequence.end()
            }
            (Value::Map(pairs), ty) => {
                let (key_type, ty) = match ty {
                    Type::Map(key, value) => (&**key, &**value),
                    _ => (&Type::Nothing, &Type::Nothing),
                };
                if *key_type == Type::String {
                    let mut map = serializer.serialize_map(Some(pairs.len()))?;
                    for (key, value) in pairs.iter() {
                        map.serialize_entry(&Json { value: key, ty: key_type }, &Json { value, ty })?;
                    }
                    return map.end();
                }
                let mut sequence = serializer.serialize_seq(Some(pairs.len()))?;
                for (key, value) in pairs.iter() {
                    sequence.serialize_element(&(Json { value: key, ty: key_type }, Json { value, ty }))?;
                }
                sequence.end()
            }
            (Value::Record(record), ty) => {
                let types = ty.as_record();
                let mut map = serializer.serialize_map(Some(record.values().len()))?;
                for (index, (name, value)) in record.iter().enumerate() {
                    let ty = types.and_then(|types| match types.fields().get(index) {
                        Some(field) if field.name == *name => Some(&field.ty),
                        _ => types.get(name),
                    });
                    map.serialize_entry(&**name, &Json { value, ty: ty.unwrap_or(&Type::Nothing) })?;
                }
                map.end()
            }
            (Value::Optional(None), _) => serializer.serialize_unit(),
            (Value::Optional(Some(value)), ty) => {
                let ty = if let Type::Optional(inner) = ty { inner } else { &Type::Nothing };
                Json { value, ty }.serialize(serializer)
            }
            (Value::Union(tagged), ty) => {
                let ty = match ty {
                    Type::Union(union) => union.member(&tagged.tag).unwrap_or(&Type::Nothing),
                    _ => &Type::Nothing,
                };
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("tag", &*tagged.tag)?;
                map.serialize_entry("value", &Json { value: &tagged.value, ty })?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decode(json: &serde_json::Value, ty: &Type) -> Result<Value, String> {
        decode_json(json, ty, "x").map_err(|error| error.to_string())
    }

    fn encode(value: &Value, ty: &Type) -> String {
        serde_json::to_string(&Json { value, ty }).unwrap()
    }

    #[test]
    fn an_int_is_any_number_with_an_exact_integer_value() {
        for (text, expected) in [
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("1e3", Some(1000)),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("5.5", None),
            ("9223372036854775808", None),
            ("9223372036854775808.0", None),
            ("18446744073709551615", None),
        ] {
            let json: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(decode(&json, &Type::Int).ok(), expected.map(Value::Int), "{text}");
        }
    }

    #[test]
    fn every_place_that_does_not_fit_is_told() {
        let ty = Type::record([
            ("name", Type::String),
            ("tags", Type::list(Type::Int)),
            ("note", Type::optional(Type::String)),
            ("age", Type::Int),
        ]);
        assert_eq!(
            decode(&json!({"name": 1, "tags": [1, "a"], "extra": true}), &ty).unwrap_err(),
            "field 'x.name': expected String, got number; field 'x.tags[1]': expected Int, got string; \
             field 'x': missing required field 'age'"
        );
    }

    #[test]
    fn a_record_keeps_the_order_of_its_type() {
        let ty = Type::record([("b", Type::Int), ("a", Type::Float), ("c", Type::optional(Type::Int))]);
        let value = decode(&json!({"a": 1, "b": 2}), &ty).unwrap();
        assert_eq!(encode(&value, &ty), r#"{"b":2,"a":1.0,"c":null}"#);
    }

    #[test]
    fn a_map_is_an_object_only_with_string_keys() {
        let by_name = Type::map(Type::String, Type::Int);
        let value = decode(&json!({"b": 1, "a": 2}), &by_name).unwrap();
        assert_eq!(encode(&value, &by_name), r#"{"b":1,"a":2}"#);
        assert_eq!(encode(&decode(&json!([["a", 1], ["a", 2]]), &by_name).unwrap(), &by_name), r#"{"a":2}"#);
        let by_number = Type::map(Type::Int, Type::Int);
        assert_eq!(encode(&decode(&json!([[1, 2]]), &by_number).unwrap(), &by_number), "[[1,2]]");
        assert_eq!(encode(&decode(&json!([]), &by_number).unwrap(), &by_number), "[]");
        assert!(decode(&json!({"a": 1}), &by_number).is_err());
    }

    #[test]
    fn a_union_is_tagged_or_told_by_its_fields() {
        let ok = Type::record([("ok", Type::Int)]);
        let ty = Type::union([ok, Type::record([("err", Type::String)]), Type::String]);
        let value = decode(&json!({"ok": 3}), &ty).unwrap();
        assert_eq!(encode(&value, &ty), r#"{"tag":"{ ok: Int }","value":{"ok":3}}"#);
        let value = decode(&json!({"tag": "String", "value": "hi"}), &ty).unwrap();
        assert_eq!(value, Value::tagged("String", Value::string("hi")));
        assert_eq!(
            decode(&json!("hi"), &ty).unwrap_err(),
            "field 'x': expected Object with 'tag' and 'value', got string"
        );
        assert!(
            decode(&json!({"tag": "Int", "value": 1}), &ty).unwrap_err().contains("invalid union tag 'Int'")
        );
        assert!(decode(&json!({"no": 1}), &ty).unwrap_err().contains("JSON keys: no."));
    }

    #[test]
    fn errors_are_bounded() {
        let json = serde_json::Value::Array(vec![json!("a"); 1000]);
        assert_eq!(decode_json(&json, &Type::list(Type::Int), "x").unwrap_err().errors.len(), MAX_ERRORS);
    }

    /// A type with one of its values.
    fn typed_value() -> impl Strategy<Value = (Type, Value)> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|int| (Type::Int, Value::Int(int))),
            any::<bool>().prop_map(|boolean| (Type::Boolean, Value::Boolean(boolean))),
            ".*".prop_map(|text| (Type::String, Value::string(text))),
            prop::num::f64::NORMAL.prop_map(|float| (Type::Float, Value::Float(float))),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                inner.clone().prop_map(|(ty, value)| (Type::list(ty), Value::list([value.clone(), value]))),
                // `Optional<Optional<T>>` cannot tell none from some(none) in JSON.
                inner.clone().prop_map(|(ty, value)| match ty {
                    Type::Optional(_) => (ty, value),
                    ty => (Type::optional(ty), Value::some(value)),
                }),
                inner.clone().prop_map(|(ty, value)| (
                    Type::map(Type::String, ty),
                    Value::Map([(Value::string("k"), value)].into())
                )),
                (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (
                    Type::record([("a", a), ("b", b)]),
                    Value::record([("a", x), ("b", y)])
                )),
                inner.prop_map(|(ty, value)| {
                    let union = Type::union([ty.clone(), Type::Boolean, Type::list(Type::String)]);
                    match &union {
                        Type::Union(union) if union.member(&ty.to_string()).is_some() => {
                            (Type::Union(Arc::clone(union)), Value::tagged(ty.to_string(), value))
                        }
                        _ => (ty, value),
                    }
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back((ty, value) in typed_value()) {
            let json: serde_json::Value = serde_json::from_str(&encode(&value, &ty)).unwrap();
            prop_assert_eq!(decode(&json, &ty), Ok(value));
        }
    }
}
