//! Modules of functions that take plain arguments.

use std::collections::BTreeMap;

use constellation_module::types::Value;
use constellation_module::{CallContext, DataType, Module, ModuleBuilder, Outcome};
use futures_util::FutureExt;
use serde::Serialize;

#[derive(Serialize, DataType)]
struct Quote {
    net: f64,
    gross: f64,
}

fn call(module: &impl Module, arguments: &[Value]) -> Result<Value, String> {
    let outcome = module.call(arguments, &CallContext::default());
    outcome.wait().now_or_never().expect("it waits for nothing").map_err(|error| error.to_string())
}

#[test]
fn the_names_are_those_of_the_arguments_in_their_order() {
    async fn quote(price: f64, quantity: u8, note: Option<String>) -> Result<Quote, String> {
        let net = price * f64::from(quantity);
        note.map(|_| Quote { net, gross: net * 2.0 }).ok_or_else(|| "no note".into())
    }
    let module = ModuleBuilder::new("Quote").parameters(["price", "quantity", "note"]).asynchronous(quote);
    assert_eq!(
        module.spec().signature.to_string(),
        "Quote(price: Float, quantity: Int, note: Optional<String>) -> { net: Float, gross: Float }"
    );
    let arguments = |quantity, note| [Value::Float(1.5), Value::Int(quantity), note];
    let note = Value::some(Value::string("x"));
    let quote = Value::record([("net", Value::Float(3.0)), ("gross", Value::Float(6.0))]);
    assert_eq!(call(&module, &arguments(2, note.clone())), Ok(quote));
    assert_eq!(call(&module, &arguments(2, Value::none())), Err("no note".into()));
    assert_eq!(
        call(&module, &arguments(300, note)),
        Err("argument 'quantity': invalid value: integer `300`, expected u8".into())
    );
}

#[test]
fn there_may_be_from_one_to_six_arguments() {
    let one = ModuleBuilder::new("One").parameters(["sizes"]).function(|sizes: BTreeMap<String, i64>| sizes);
    assert_eq!(one.spec().signature.to_string(), "One(sizes: Map<String, Int>) -> Map<String, Int>");
    let sizes = Value::Map([(Value::string("a"), Value::Int(1))].into());
    assert_eq!(call(&one, std::slice::from_ref(&sizes)), Ok(sizes));
    let six = ModuleBuilder::new("Six")
        .parameters(["a", "b", "c", "d", "e", "f"])
        .function(|a: i64, b: i64, c: i64, d: i64, e: i64, f: i64| vec![a, b, c, d, e, f]);
    let numbers = [1, 2, 3, 4, 5, 6].map(Value::Int);
    assert_eq!(call(&six, &numbers), Ok(Value::list(numbers)));
}

#[test]
fn a_plain_function_answers_at_once() {
    let module = ModuleBuilder::new("Add").parameters(["a", "b"]).function(|a: i64, b: i64| a + b);
    let outcome = module.call(&[Value::Int(1), Value::Int(2)], &CallContext::default());
    assert!(matches!(outcome, Outcome::Ready(Ok(Value::Int(3)))));
}

#[test]
fn a_result_that_is_no_struct_can_be_named() {
    let module = ModuleBuilder::new("Big").result("size").function(|(): ()| u64::MAX);
    assert_eq!(&*module.spec().signature.results[0].name, "size");
    let error = call(&module, &[]).unwrap_err();
    assert!(error.starts_with("result 'size': 18446744073709551615 is above"), "{error}");
    let named =
        ModuleBuilder::new("Add").result("sum").parameters(["a", "b"]).function(|a: i64, b: i64| a + b);
    assert_eq!(&*named.spec().signature.results[0].name, "sum");
}
