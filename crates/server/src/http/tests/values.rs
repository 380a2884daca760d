//! JSON by type, as the reference reads and writes it.

use axum::Router;
use serde_json::{Value, json};

use crate::test_support::{post, server};

/// The output and the error of a program that gives its one input back.
async fn echo(router: &Router, ty: &str, value: &Value) -> (u16, Value, Value) {
    let source = format!("in x: {ty}\nout x");
    let body = post(router, "/run", json!({ "source": source, "inputs": { "x": value } })).await;
    (body.status.as_u16(), body.json()["outputs"]["x"].clone(), body.json()["error"].clone())
}

#[tokio::test]
async fn values_are_read_and_written_by_their_types() {
    let router = server().await.router();
    let record = "{ a: Int, b: Optional<Int> }";
    let union = "{ ok: Int } | String";
    for (ty, given, written) in [
        ("String", json!("text"), r#""text""#),
        ("Int", json!(3.0), "3"),
        ("Int", json!(1e3), "1000"),
        ("Int", json!(i64::MAX), "9223372036854775807"),
        ("Float", json!(42), "42.0"),
        ("Boolean", json!(true), "true"),
        ("List<Int>", json!([1, 2]), "[1,2]"),
        ("Map<String, Int>", json!({ "k": 1 }), r#"{"k":1}"#),
        ("Map<String, Int>", json!([["k", 1], ["k", 2]]), r#"{"k":2}"#),
        ("Map<Int, String>", json!([[1, "v"]]), r#"[[1,"v"]]"#),
        (record, json!({ "b": 2, "a": 1, "more": 3 }), r#"{"a":1,"b":2}"#),
        (record, json!({ "a": 1 }), r#"{"a":1,"b":null}"#),
        (union, json!({ "tag": "String", "value": "v" }), r#"{"tag":"String","value":"v"}"#),
        (union, json!({ "ok": 1 }), r#"{"tag":"{ ok: Int }","value":{"ok":1}}"#),
        ("Optional<Int>", json!(null), "null"),
        ("Optional<Int>", json!(1), "1"),
    ] {
        let (status, output, error) = echo(&router, ty, &given).await;
        assert_eq!(
            (status, output.to_string(), error),
            (200, written.to_owned(), Value::Null),
            "{ty}: {given}"
        );
    }
}

#[tokio::test]
async fn values_of_another_type_are_refused_with_their_place() {
    let router = server().await.router();
    let record = "{ a: Int, b: List<String> }";
    for (ty, given, message) in [
        ("String", json!(1), "field 'x': expected String, got number"),
        ("Int", json!(3.5), "field 'x': expected Int, got 3.5, which is no integer of 64 bits"),
        (
            "Int",
            json!(9_223_372_036_854_775_808_u64),
            "field 'x': expected Int, got 9223372036854775808, which is no integer of 64 bits",
        ),
        ("Int", json!("3"), "field 'x': expected Int, got string"),
        ("Float", json!(null), "field 'x': expected Float, got null"),
        ("Boolean", json!(0), "field 'x': expected Boolean, got number"),
        ("List<Int>", json!({}), "field 'x': expected Array, got object"),
        ("List<Int>", json!([1, true]), "field 'x[1]': expected Int, got boolean"),
        ("Map<String, Int>", json!(1), "field 'x': expected Array or Object, got number"),
        ("Map<Int, Int>", json!([[1]]), "field 'x[0]': expected [key, value] pair"),
        (record, json!([]), "field 'x': expected Object, got array"),
        (
            record,
            json!({ "b": ["c", 1] }),
            "field 'x': missing required field 'a'; field 'x.b[1]': expected String, got number",
        ),
        (
            "{ ok: Int } | String",
            json!({ "tag": "Int", "value": 1 }),
            "field 'x': invalid union tag 'Int', expected one of: { ok: Int }, String",
        ),
        ("{ ok: Int } | String", json!({ "tag": 1, "value": 1 }), "field 'x': union tag must be a string"),
    ] {
        let (status, output, error) = echo(&router, ty, &given).await;
        let message = format!("Input error: Input 'x': {message}");
        assert_eq!((status, output, error), (400, Value::Null, json!(message)), "{ty}: {given}");
    }
}
