//! Against the canonical JSON of what `serde_json::to_value` makes of the same value.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Map, json};

use super::{Value, to_canonical};
use crate::canonical::canonical_json;
use crate::canonical::tests::json as any_json;

fn both<T: Serialize>(value: &T) -> (String, String) {
    let direct = to_canonical(value).unwrap();
    let expected = canonical_json(&serde_json::to_value(value).unwrap());
    (String::from_utf8(direct).unwrap(), String::from_utf8(expected).unwrap())
}

#[track_caller]
fn assert_same<T: Serialize>(value: &T) {
    let (direct, expected) = both(value);
    assert_eq!(direct, expected);
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Everything {
    zebra: Option<Box<Everything>>,
    external: Vec<External>,
    internal: Internal,
    adjacent: Adjacent,
    untagged: Untagged,
    map: BTreeMap<String, i64>,
    by_number: BTreeMap<i32, u64>,
    by_flag: BTreeMap<bool, char>,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<u8>,
    unit: (),
    tuple: (u8, i8, f32),
    #[serde(flatten)]
    flat: Flat,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Debug, Clone, Serialize)]
struct Flat {
    z: f64,
    a: u64,
}

#[derive(Debug, Clone, Serialize)]
enum External {
    Unit,
    New(i64),
    Tuple(u64, String),
    Struct { z: i64, a: Option<String> },
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind")]
enum Internal {
    Unit,
    Struct { z: i64, a: String },
    New(Flat),
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    Tuple(i64, bool),
    Struct { z: i64, a: char },
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Untagged {
    Number(i128),
    Text(String),
    Bytes(Vec<u8>),
}

prop_compose! {
    fn flat()(z in any::<f64>(), a in any::<u64>()) -> Flat {
        Flat { z, a }
    }
}

fn everything() -> impl Strategy<Value = Everything> {
    let external = prop_oneof![
        Just(External::Unit),
        any::<i64>().prop_map(External::New),
        any::<(u64, String)>().prop_map(|(number, text)| External::Tuple(number, text)),
        any::<(i64, Option<String>)>().prop_map(|(z, a)| External::Struct { z, a }),
    ];
    let internal = prop_oneof![
        Just(Internal::Unit),
        any::<(i64, String)>().prop_map(|(z, a)| Internal::Struct { z, a }),
        flat().prop_map(Internal::New),
    ];
    let adjacent = prop_oneof![
        Just(Adjacent::Unit),
        any::<(i64, bool)>().prop_map(|(number, flag)| Adjacent::Tuple(number, flag)),
        any::<(i64, char)>().prop_map(|(z, a)| Adjacent::Struct { z, a }),
    ];
    let untagged = prop_oneof![
        any::<i64>().prop_map(|number| Untagged::Number(number.into())),
        any::<u64>().prop_map(|number| Untagged::Number(number.into())),
        any::<String>().prop_map(Untagged::Text),
        any::<Vec<u8>>().prop_map(Untagged::Bytes),
    ];
    // Some have the keys of members.
    let key = prop_oneof![any::<String>(), Just("zebra".to_owned()), Just("a".to_owned())];
    let maps = (
        proptest::collection::btree_map(any::<String>(), any::<i64>(), 0..4),
        proptest::collection::btree_map(any::<i32>(), any::<u64>(), 0..4),
        proptest::collection::btree_map(any::<bool>(), any::<char>(), 0..3),
        proptest::collection::vec((key, any_json()), 0..4),
    );
    let parts = (proptest::collection::vec(external, 0..4), internal, adjacent, untagged, flat(), maps);
    (parts, any::<(Option<u8>, u8, i8)>(), any::<f32>()).prop_map(
        |(parts, (absent, first, second), third)| {
            let (external, internal, adjacent, untagged, flat, (map, by_number, by_flag, extra)) = parts;
            Everything {
                zebra: None,
                external,
                internal,
                adjacent,
                untagged,
                map,
                by_number,
                by_flag,
                absent,
                unit: (),
                tuple: (first, second, if third.is_finite() { third } else { 0.5 }),
                flat: Flat { z: if flat.z.is_finite() { flat.z } else { -0.0 }, ..flat },
                extra: extra.into_iter().collect(),
            }
        },
    )
}

proptest! {
    #[test]
    fn values_are_written_as_values(value in any_json()) {
        let (direct, expected) = both(&value);
        prop_assert_eq!(direct, expected);
    }

    #[test]
    fn whatever_serializes_is_written_as_its_value(mut value in everything(), inner in everything()) {
        if let Internal::New(flat) = &mut value.internal {
            flat.z = 1e21;
        }
        let mut inner = inner;
        if let Internal::New(flat) = &mut inner.internal {
            flat.z = -1.5e-7;
        }
        value.zebra = Some(Box::new(inner));
        let (direct, expected) = both(&value);
        prop_assert_eq!(direct, expected);
    }
}

#[test]
fn numbers_are_doubles() {
    for number in [0, 1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, u64::MAX - 1, u64::MAX] {
        assert_same(&number);
    }
    for number in [i64::MIN, -(1 << 53) - 1, -(1 << 53), -1] {
        assert_same(&number);
    }
    for number in [0.0, -0.0, 1.0, 0.1, 1e21, 1e-7, f64::MAX, f64::MIN_POSITIVE] {
        assert_same(&number);
    }
    assert_same(&f32::MAX);
    assert_eq!(to_canonical(&((1_u64 << 53) + 1)).unwrap(), b"9007199254740992");
}

#[test]
fn every_kind_of_value_that_serde_knows_is_written_as_its_value() {
    /// As `serde_bytes` serializes.
    struct Bytes(&'static [u8]);
    impl Serialize for Bytes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct New(u8);
    #[derive(Serialize)]
    struct Tuple(u8, bool);

    assert_same(&(-8_i8, -16_i16, -32_i32, -64_i64, -128_i128));
    assert_same(&(8_u8, 16_u16, 32_u32, 64_u64, 128_u128));
    assert_same(&(0.5_f32, 0.25_f64, true, 'x', "text", (), Some(1), None::<u8>));
    assert_same(&(Bytes(b"\x00\xff"), Unit, New(7), Tuple(1, false)));
    assert_same(&BTreeMap::from([('b', 1), ('a', 2)]));
}

#[test]
fn what_json_does_not_have_is_an_error() {
    assert!(to_canonical(&[f64::NAN]).is_err());
    assert!(to_canonical(&f64::INFINITY).is_err());
    assert!(to_canonical(&f32::NEG_INFINITY).is_err());
    assert!(to_canonical(&u128::MAX).is_err());
    assert!(to_canonical(&i128::MIN).is_err());
    assert!(to_canonical(&BTreeMap::from([((1, 2), 3)])).is_err());
    assert!(to_canonical(&BTreeMap::from([(None::<u8>, 3)])).is_err());
}

#[test]
fn members_are_sorted_by_utf_16_units_at_every_level() {
    let value = json!({ "\u{e000}": { "b": 1, "a": [{ "\n": 1, "\t": 2 }] }, "\u{10000}": 2, "z": 3 });
    assert_same(&value);
    let text = String::from_utf8(to_canonical(&value).unwrap()).unwrap();
    assert_eq!(text, "{\"z\":3,\"\u{10000}\":2,\"\u{e000}\":{\"a\":[{\"\\t\":2,\"\\n\":1}],\"b\":1}}");
}
