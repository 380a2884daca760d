//! `stdlib.map`: functions of maps, whose pairs stand in the order in which their keys were added.

#![expect(clippy::needless_pass_by_value, reason = "arguments are read as shared maps and lists")]

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};
use constellation_types::Value;

use crate::bounds::check_map;
use crate::define::{Any, Data, Entry, List, Map, Namespace, Seq};
use crate::order::Key;
use crate::string::count;

type MapOfAny = Map<Any<'K'>, Any<'V'>>;
type EntryOfAny = Entry<Any<'K'>, Any<'V'>>;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut map = Namespace::library(registry, "stdlib.map");
    map.function(
        "map-from-list",
        ["entries"],
        "The map of records with a key and a value. A repeated key keeps its place and gets the last value.",
    )
    .example(r#"map-from-list([{ key: "a", value: 1 }, { key: "b", value: 2 }])"#, r#"{"a":1,"b":2}"#)
    .define(|entries: Seq<EntryOfAny>| {
        let pairs: Vec<(Value, Value)> = entries.iter().map(|entry| (entry.key.0, entry.value.0)).collect();
        MapOfAny::of(last_of_each_key(&pairs))
    })?;
    map.function("map-get", ["map", "key"], "The value of a key; none when the map does not have it.")
        .example(r#"map-get(map-from-list([{ key: "a", value: 1 }]), "a")"#, "1")
        .define(|map: MapOfAny, key: Any<'K'>| {
            map.0.iter().find(|(known, _)| *known == key.0).map(|(_, value)| Any::<'V'>(value.clone()))
        })?;
    map.function("map-has", ["map", "key"], "Whether a map has a key.")
        .example(r#"map-has(map-from-list([{ key: "a", value: 1 }]), "b")"#, "false")
        .define(|map: MapOfAny, key: Any<'K'>| map.0.iter().any(|(known, _)| *known == key.0))?;
    map.function(
        "map-put",
        ["map", "key", "value"],
        "A map with another value for a key, at the end when the key is new.",
    )
    .example(r#"map-put(map-from-list([{ key: "a", value: 1 }]), "b", 2)"#, r#"{"a":1,"b":2}"#)
    .define(put)?;
    map.function("map-remove", ["map", "key"], "A map without a key, which it need not have.")
        .example(r#"map-remove(map-from-list([{ key: "a", value: 1 }]), "a")"#, "{}")
        .define(|map: MapOfAny, key: Any<'K'>| {
            MapOfAny::of(map.0.iter().filter(|(known, _)| *known != key.0).cloned().collect())
        })?;
    map.function("map-size", ["map"], "How many keys a map has.")
        .example(r#"map-size(map-from-list([{ key: "a", value: 1 }]))"#, "1")
        .define(|map: MapOfAny| count(map.0.len()))?;
    map.function("map-keys", ["map"], "The keys of a map, in its order.")
        .example(r#"map-keys(map-from-list([{ key: "a", value: 1 }]))"#, r#"["a"]"#)
        .define(|map: MapOfAny| map.0.iter().map(|(key, _)| Any(key.clone())).collect::<List<Any<'K'>>>())?;
    map.function("map-values", ["map"], "The values of a map, in its order.")
        .example(r#"map-values(map-from-list([{ key: "a", value: 1 }]))"#, "[1]")
        .define(|map: MapOfAny| {
            map.0.iter().map(|(_, value)| Any(value.clone())).collect::<List<Any<'V'>>>()
        })?;
    map.function(
        "map-entries",
        ["map"],
        "The keys and values of a map as records, in its order: what `map-from-list` takes.",
    )
    .example(r#"map-entries(map-from-list([{ key: "a", value: 1 }]))"#, r#"[{"key":"a","value":1}]"#)
    .define(|map: MapOfAny| {
        map.0
            .iter()
            .map(|(key, value)| Entry { key: Any(key.clone()), value: Any(value.clone()) })
            .collect::<List<EntryOfAny>>()
    })
}

/// Pairs whose keys differ: of those with equal keys the place of the first and the value of the last.
pub(crate) fn last_of_each_key(pairs: &[(Value, Value)]) -> Arc<[(Value, Value)]> {
    let mut places: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    let mut unique: Vec<(Value, Value)> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        match places.entry(Key(key)) {
            btree_map::Entry::Occupied(place) => unique[*place.get()].1 = value.clone(),
            btree_map::Entry::Vacant(place) => {
                place.insert(unique.len());
                unique.push((key.clone(), value.clone()));
            }
        }
    }
    unique.into()
}

fn put(map: MapOfAny, key: Any<'K'>, value: Any<'V'>) -> Result<MapOfAny, ModuleError> {
    let mut pairs = map.0.to_vec();
    match pairs.iter_mut().find(|(known, _)| *known == key.0) {
        Some((_, known)) => *known = value.into_value(),
        None => pairs.push((key.into_value(), value.into_value())),
    }
    check_map(pairs.len(), "stdlib.map-put")?;
    Ok(MapOfAny::of(pairs.into()))
}
