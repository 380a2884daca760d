//! Which members a request has, and what is said of one that it does not have.

use std::collections::BTreeSet;
use std::fmt;

use constellation_lang::nearest;
use serde::de::value::Error as NoValue;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// Names come from clients and may be of any length.
const MAX_SHOWN: usize = 80;

/// So much of a text of a client as an answer shows.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// What is said of a name that is none of those known, such as `Unknown input`.
pub(crate) fn unknown<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    let shown = shown(name);
    if let Some(nearest) = nearest(&shown, known.clone()).next() {
        return format!("{what} '{shown}'; did you mean '{nearest}'?");
    }
    let known: Vec<&str> = known.collect();
    if known.is_empty() {
        return format!("{what} '{shown}'; there are none");
    }
    format!("{what} '{shown}'; there are: {}", known.join(", "))
}

/// The names of the members that a type is read from, as its derived code has them. A type that is read from members of
/// any name has none.
pub(crate) fn members<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut asked = Asked(&[]);
    // There is nothing to read, so it fails; what it asked for is all that is wanted.
    match T::deserialize(&mut asked) {
        Ok(_) | Err(_) => asked.0,
    }
}

/// Why an object, whose members stand in this order, is not read as a type with these members; none when it is not for
/// their names.
pub(crate) fn unfit<'n>(
    what: &str,
    names: impl IntoIterator<Item = &'n str>,
    known: &[&'static str],
) -> Option<String> {
    let mut seen = BTreeSet::new();
    names.into_iter().find_map(|name| {
        if !known.contains(&name) {
            return Some(unknown(&format!("unknown {what}"), name, known.iter().copied()));
        }
        (!seen.insert(name)).then(|| format!("{what} '{name}' is given twice"))
    })
}

/// The names of the members of an object, in their order. Values are skipped, however deep they are.
#[derive(Debug)]
pub(crate) struct Names(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some((name, IgnoredAny)) = map.next_entry()? {
            names.push(name);
        }
        Ok(Names(names))
    }
}

/// Notes the members that a type asks for, and gives it nothing.
struct Asked(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Asked {
    type Error = NoValue;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, NoValue> {
        Err(NoValue::custom("there is nothing to read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NoValue> {
        self.0 = members;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CompileRequest, ExecuteRequest, InputsBody};

    #[test]
    fn the_members_of_a_request_are_those_of_its_json() {
        assert_eq!(members::<CompileRequest>(), ["source", "name", "dagName"]);
        assert_eq!(members::<ExecuteRequest>(), ["ref", "dagName", "inputs", "options"]);
        assert!(members::<InputsBody>().is_empty());
    }

    #[test]
    fn the_first_name_that_does_not_fit_is_told() {
        let known = ["source", "name"];
        let unfit = |names: &[&str]| unfit("member", names.iter().copied(), &known);
        assert_eq!(unfit(&["name", "source"]), None);
        assert_eq!(unfit(&["nmae", "x"]).unwrap(), "unknown member 'nmae'; did you mean 'name'?");
        assert_eq!(unfit(&["name", "inputs"]).unwrap(), "unknown member 'inputs'; there are: source, name");
        assert_eq!(unfit(&["name", "name", "x"]).unwrap(), "member 'name' is given twice");
        let long = "x".repeat(1_000);
        assert_eq!(
            unknown("Unknown input", &long, [].into_iter()).len(),
            "Unknown input ''; there are none".len() + 80
        );
    }
}
