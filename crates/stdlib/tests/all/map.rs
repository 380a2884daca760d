//! `stdlib.map`.

use constellation_module::types::Value;

use crate::harness::{check, ints, strings, v};

fn map<const N: usize>(pairs: [(&str, i64); N]) -> Value {
    Value::Map(pairs.iter().map(|(key, value)| (v(*key), v(*value))).collect())
}

fn entries<const N: usize>(pairs: [(&str, i64); N]) -> Value {
    Value::list(pairs.map(|(key, value)| Value::record([("key", v(key)), ("value", v(value))])))
}

#[test]
fn a_repeated_key_keeps_its_place_and_gets_the_last_value() {
    check(
        "stdlib.map-from-list",
        &[([entries([])], map([])), ([entries([("b", 1), ("a", 2), ("b", 3)])], map([("b", 3), ("a", 2)]))],
    );
    check("stdlib.map-entries", &[([map([("b", 3), ("a", 2)])], entries([("b", 3), ("a", 2)]))]);
}

#[test]
fn a_key_that_is_not_there_has_no_value() {
    let ab = map([("a", 1), ("b", 2)]);
    check(
        "stdlib.map-get",
        &[([ab.clone(), v("b")], Value::some(v(2))), ([ab.clone(), v("c")], Value::none())],
    );
    check("stdlib.map-has", &[([ab.clone(), v("b")], true), ([ab, v("c")], false)]);
}

#[test]
fn a_map_is_changed_in_place_and_grows_at_its_end() {
    let ab = map([("a", 1), ("b", 2)]);
    check(
        "stdlib.map-put",
        &[
            ([ab.clone(), v("a"), v(5)], map([("a", 5), ("b", 2)])),
            ([ab.clone(), v("c"), v(5)], map([("a", 1), ("b", 2), ("c", 5)])),
            ([map([]), v("c"), v(5)], map([("c", 5)])),
        ],
    );
    check("stdlib.map-remove", &[([ab.clone(), v("a")], map([("b", 2)])), ([ab.clone(), v("c")], ab)]);
}

#[test]
fn keys_and_values_stand_in_the_order_of_the_map() {
    let ba = map([("b", 2), ("a", 1)]);
    check("stdlib.map-keys", &[([ba.clone()], strings(&["b", "a"])), ([map([])], strings(&[]))]);
    check("stdlib.map-values", &[([ba.clone()], ints(&[2, 1]))]);
    check("stdlib.map-size", &[([ba], 2), ([map([])], 0)]);
}

#[test]
fn keys_are_of_any_type() {
    let key = Value::record([("id", v(1))]);
    let map = Value::Map([(key.clone(), v("one")), (Value::none(), v("none"))].into());
    check(
        "stdlib.map-get",
        &[([map.clone(), key], Value::some(v("one"))), ([map, Value::none()], Value::some(v("none")))],
    );
}
