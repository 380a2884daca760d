//! `stdlib.json`.

use constellation_module::types::Value;

use crate::harness::{check, ints, strings, v};

#[test]
fn a_value_is_printed_as_the_api_prints_it() {
    let map = |key: Value| Value::Map([(key, v(1))].into());
    check(
        "stdlib.json-print",
        &[
            ([v("a\"\n\u{1F600}")], "\"a\\\"\\n\u{1F600}\""),
            ([v(i64::MIN)], "-9223372036854775808"),
            ([v(12.0)], "12.0"),
            ([v(-0.0)], "-0.0"),
            ([v(true)], "true"),
            ([Value::list([ints(&[1]), ints(&[])])], "[[1],[]]"),
            ([Value::none()], "null"),
            ([Value::some(v(1))], "1"),
            ([Value::record([("b", v(1)), ("a", Value::none())])], r#"{"b":1,"a":null}"#),
            ([Value::tagged("Int", v(1))], r#"{"tag":"Int","value":1}"#),
            ([map(v("a"))], r#"{"a":1}"#),
            ([map(v(2))], "[[2,1]]"),
            ([Value::Map([].into())], "{}"),
        ],
    );
}

#[test]
fn members_are_strings_or_the_text_of_their_json() {
    let object = |pairs: &[(&str, &str)]| {
        Value::some(Value::Map(pairs.iter().map(|(name, value)| (v(*name), v(*value))).collect()))
    };
    check(
        "stdlib.json-parse-object",
        &[
            (
                [v(r#" {"s": "a\u00e9\"", "i": -7, "f": 1.50, "n": null} "#)],
                object(&[("s", "a\u{e9}\""), ("i", "-7"), ("f", "1.5"), ("n", "null")]),
            ),
            (
                [v(r#"{"o": {"a": [1, "b"]}, "l": [ ], "t": true}"#)],
                object(&[("o", r#"{"a":[1,"b"]}"#), ("l", "[]"), ("t", "true")]),
            ),
            ([v(r#"{"a": 1, "b": 2, "a": "x"}"#)], object(&[("a", "x"), ("b", "2")])),
            ([v("{}")], object(&[])),
        ],
    );
    check(
        "stdlib.json-parse-list",
        &[
            (
                [v(r#"["a", 1, [true], {"b": null}]"#)],
                Value::some(strings(&["a", "1", "[true]", "{\"b\":null}"])),
            ),
            ([v("[]")], Value::some(strings(&[]))),
        ],
    );
}

#[test]
fn other_text_gives_none() {
    let deep = "[".repeat(100_000);
    for text in ["", "1", "null", "\"a\"", "[1,]", "{\"a\":}", "[1] 2", "{} {}", "[1e999]", "[NaN]", &deep] {
        check("stdlib.json-parse-list", &[([v(text)], Value::none())]);
        check("stdlib.json-parse-object", &[([v(text)], Value::none())]);
    }
    check("stdlib.json-parse-list", &[([v("{}")], Value::none())]);
    check("stdlib.json-parse-object", &[([v("[]")], Value::none())]);
}
