//! Between values and Rust types.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use constellation_module::types::{Json, Type, Value};
use constellation_module::{DataType, from_value, to_value};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

fn to_error<T: Serialize + ?Sized>(value: &T, ty: &Type) -> String {
    to_value(value, ty).expect_err("it does not fit").to_string()
}

fn from_error<T: DeserializeOwned + Debug>(value: &Value) -> String {
    from_value::<T>(value).expect_err("it does not fit").to_string()
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    price: f64,
    tags: BTreeMap<String, Vec<u8>>,
}

#[test]
fn an_error_tells_the_place() {
    let line = |price: Value, tags: Value| Value::record([("price", price), ("tags", tags)]);
    let tags = |items: Value| Value::Map([(Value::string("a"), items)].into());
    let good = line(Value::Int(1), tags(Value::list([])));
    assert_eq!(
        from_error::<Vec<Line>>(&Value::list([
            good.clone(),
            line(Value::string("1"), tags(Value::list([])))
        ])),
        "[1].price: invalid type: string \"1\", expected f64"
    );
    assert_eq!(
        from_error::<HashMap<i64, Line>>(&Value::Map(
            [(Value::Int(-4), line(Value::Int(1), tags(Value::list([Value::Int(1), Value::Int(-1)]))))]
                .into()
        )),
        "[-4].tags.a[1]: invalid value: integer `-1`, expected u8"
    );
    let ty = Type::list(Type::record([("price", Type::Float), ("tags", Type::map(Type::String, Type::Int))]));
    let lines = vec![Line { price: 1.0, tags: BTreeMap::new() }];
    assert!(to_value(&lines, &ty).is_ok());
    let lines = vec![Line { price: 1.0, tags: BTreeMap::from([("a".to_owned(), vec![1])]) }];
    assert_eq!(to_error(&lines, &ty), "[0].tags.a: expected Int, got a list");
}

#[test]
fn a_record_is_read_whatever_the_order_of_its_fields() {
    let value = Value::record([
        ("tags", Value::Map([].into())),
        ("more", Value::none()),
        ("price", Value::Float(1.5)),
    ]);
    assert_eq!(from_value::<Line>(&value).unwrap(), Line { price: 1.5, tags: BTreeMap::new() });
    assert_eq!(from_error::<Line>(&Value::record([("price", Value::Int(1))])), "missing field `tags`");
}

#[test]
fn a_record_is_written_in_the_order_of_its_type() {
    let ty = Type::record([
        ("note", Type::optional(Type::String)),
        ("tags", Type::map(Type::String, Type::list(Type::Int))),
        ("price", Type::Float),
    ]);
    let value = to_value(&Line { price: 1.5, tags: BTreeMap::new() }, &ty).unwrap();
    let Value::Record(record) = &value else { panic!("a record") };
    assert_eq!(record.values(), [Value::none(), Value::Map([].into()), Value::Float(1.5)]);
    assert_eq!(
        to_error(&HashMap::from([("prize", 1)]), &ty),
        "the field 'prize' is not in the type of the record"
    );
    assert_eq!(to_error(&HashMap::from([("price", 1)]), &ty), "missing field 'tags'");
}

#[test]
fn numbers_convert_only_where_nothing_is_lost_silently() {
    assert_eq!(to_value(&3_u8, &Type::Float), Ok(Value::Float(3.0)));
    assert_eq!(to_value(&i64::MIN, &Type::Int), Ok(Value::Int(i64::MIN)));
    assert_eq!(
        to_error(&u64::MAX, &Type::Int),
        "18446744073709551615 is above the largest Int, 9223372036854775807"
    );
    assert_eq!(to_error(&1.5, &Type::Int), "expected Int, got a float");
    assert_eq!(to_error(&f64::NAN, &Type::Float), "a Float is finite, got NaN");
    assert_eq!(to_error(&f32::INFINITY, &Type::Float), "a Float is finite, got inf");
    assert_eq!(from_value::<u64>(&Value::Int(i64::MAX)), Ok(9_223_372_036_854_775_807));
    assert_eq!(from_error::<u64>(&Value::Int(-1)), "invalid value: integer `-1`, expected u64");
    assert_eq!(from_error::<i64>(&Value::Float(1.0)), "invalid type: floating point `1.0`, expected i64");
    assert_eq!(from_error::<f32>(&Value::Float(1e300)), "1e300 is out of the range of f32");
}

#[test]
fn optionals_nest() {
    let ty = Type::optional(Type::optional(Type::Int));
    for (rust, value) in [
        (None, Value::none()),
        (Some(None), Value::some(Value::none())),
        (Some(Some(1)), Value::some(Value::some(Value::Int(1)))),
    ] {
        assert_eq!(to_value::<Option<Option<i64>>>(&rust, &ty), Ok(value.clone()));
        assert_eq!(from_value::<Option<Option<i64>>>(&value), Ok(rust));
    }
    assert_eq!(to_error(&None::<i64>, &Type::Int), "expected Int, got none");
}

#[test]
fn a_map_is_sorted_and_has_each_key_once() {
    struct Pairs(Vec<(&'static str, i64)>);
    impl Serialize for Pairs {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().copied())
        }
    }
    let value =
        to_value(&Pairs(vec![("b", 1), ("a", 2), ("b", 3)]), &Type::map(Type::String, Type::Int)).unwrap();
    let pair = |key: &str, int| (Value::string(key), Value::Int(int));
    assert_eq!(value, Value::Map([pair("a", 2), pair("b", 3)].into()));
}

#[test]
fn unions_do_not_pass_for_something_else() {
    #[derive(Debug, Serialize, Deserialize)]
    enum Shape {
        Circle(f64),
        Square { side: f64 },
    }
    let union = Type::union([Type::Int, Type::String]);
    assert_eq!(to_error(&1, &union), "expected Int | String, got the integer 1");
    assert_eq!(
        to_error(&Shape::Circle(1.0), &Type::String),
        "expected String, got Shape::Circle, which carries data"
    );
    assert!(to_value(&Shape::Square { side: 1.0 }, &Type::String).is_err());
    assert!(from_error::<String>(&Value::tagged("Int", Value::Int(1))).contains("invalid type: union"));
}

/// A type with one of its values, of the kinds that serde can tell: no unions, and maps by name.
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
            inner.clone().prop_map(|(ty, value)| match ty {
                Type::Optional(_) => (ty, value),
                ty => (Type::optional(ty), Value::some(value)),
            }),
            inner.clone().prop_map(|(ty, value)| {
                (Type::map(Type::String, ty), Value::Map([(Value::string("k"), value)].into()))
            }),
            (inner.clone(), inner).prop_map(|((a, x), (b, y))| {
                (Type::record([("a", a), ("b", b)]), Value::record([("a", x), ("b", y)]))
            }),
        ]
    })
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DataType)]
struct Everything {
    text: String,
    small: i8,
    large: u64,
    float: f64,
    single: f32,
    flag: bool,
    maybe: Option<i32>,
    list: Vec<Option<String>>,
    by_name: BTreeMap<String, Vec<i64>>,
    by_number: HashMap<u16, Inner>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DataType)]
struct Inner {
    value: usize,
}

prop_compose! {
    fn everything()(
        text in ".*",
        small: i8,
        large in 0..=i64::MAX.unsigned_abs(),
        float in prop::num::f64::NORMAL | prop::num::f64::ZERO,
        single in prop::num::f32::NORMAL,
        flag: bool,
        maybe: Option<i32>,
        list in prop::collection::vec(prop::option::of(".*"), 0..4),
        by_name in prop::collection::btree_map(".*", prop::collection::vec(any::<i64>(), 0..3), 0..4),
        by_number in prop::collection::hash_map(any::<u16>(), (0_usize..100).prop_map(|value| Inner { value }), 0..4),
    ) -> Everything {
        Everything { text, small, large, float, single, flag, maybe, list, by_name, by_number }
    }
}

proptest! {
    #[test]
    fn what_is_written_to_a_value_is_the_value((ty, value) in typed_value()) {
        let written = to_value(&Json { value: &value, ty: &ty }, &ty);
        prop_assert_eq!(written, Ok(value));
    }

    #[test]
    fn a_value_is_read_as_its_json_is((ty, value) in typed_value()) {
        let json = serde_json::to_value(Json { value: &value, ty: &ty }).unwrap();
        prop_assert_eq!(from_value::<serde_json::Value>(&value), Ok(json));
    }

    #[test]
    fn a_struct_reads_back_from_its_value(everything in everything()) {
        let value = to_value(&everything, &Everything::data_type()).unwrap();
        prop_assert_eq!(from_value::<Everything>(&value), Ok(everything));
    }
}
