//! `stdlib.collection`, with functions of Rust code. What programs see is tested where they run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use constellation_module::types::Value;
use constellation_module::{CallContext, Function, ModuleError, Outcome};
use futures_util::FutureExt;

use crate::harness::{ints, strings, v};

/// Calls the module `name` with a function, which must not wait for ever.
fn call_with(name: &str, arguments: &[Value], function: Function) -> Result<Value, String> {
    let context = CallContext::default().with_functions([function]);
    let module =
        constellation_stdlib::registry().get(name).unwrap_or_else(|| panic!("there is no module {name}"));
    let answer = module.call(arguments, &context).wait().now_or_never().expect("nothing waits for ever");
    answer.map_err(|error| error.to_string())
}

fn int(value: &Value) -> i64 {
    if let Value::Int(int) = value { *int } else { panic!("{value:?} is not an integer") }
}

/// A function that answers at once, and the same one that is awaited first, for every other element or for all.
fn in_every_way(function: fn(&[Value]) -> Value) -> [Function; 3] {
    [usize::MAX, 2, 1].map(|waits| {
        let calls = AtomicUsize::new(0);
        Function::new(move |arguments| {
            let answer = Ok(function(arguments));
            if calls.fetch_add(1, Ordering::SeqCst) % waits == waits - 1 {
                Outcome::Pending(Box::pin(async move { answer }))
            } else {
                Outcome::Ready(answer)
            }
        })
    })
}

#[test]
fn answers_are_the_same_whether_the_function_waits_or_not() {
    let positive: fn(&[Value]) -> Value = |arguments| v(int(&arguments[0]) > 0);
    let double: fn(&[Value]) -> Value = |arguments| v(int(&arguments[0]) * 2);
    let twice: fn(&[Value]) -> Value = |arguments| ints(&[int(&arguments[0]); 2]);
    let tens: fn(&[Value]) -> Value = |arguments| Value::tagged("Int", v(int(&arguments[0]) / 10));
    let parity: fn(&[Value]) -> Value =
        |arguments| v(if int(&arguments[0]) % 2 == 0 { "even" } else { "odd" });
    let group = |pairs: &[(&str, &[i64])]| {
        Value::Map(pairs.iter().map(|(key, items)| (v(*key), ints(items))).collect())
    };
    for (name, function, items, expected) in [
        ("stdlib.filter", positive, &[1, -2, 3][..], ints(&[1, 3])),
        ("stdlib.map", double, &[1, -2, 3], ints(&[2, -4, 6])),
        ("stdlib.all", positive, &[1, -2, 3], v(false)),
        ("stdlib.all", positive, &[1, 3], v(true)),
        ("stdlib.any", positive, &[-1, -2, 3], v(true)),
        ("stdlib.any", positive, &[-1, -2], v(false)),
        ("stdlib.find", positive, &[-1, 2, 3], Value::some(v(2))),
        ("stdlib.find", positive, &[-1], Value::none()),
        ("stdlib.count-where", positive, &[1, -2, 3], v(2)),
        ("stdlib.flat-map", twice, &[1, 2, 3], ints(&[1, 1, 2, 2, 3, 3])),
        ("stdlib.sort-by", tens, &[25, 11, 21, 19, 5], ints(&[5, 11, 19, 25, 21])),
        ("stdlib.group-by", parity, &[3, 2, 1, 4], group(&[("odd", &[3, 1]), ("even", &[2, 4])])),
    ] {
        for function in in_every_way(function) {
            let found = call_with(name, &[ints(items)], function);
            assert_eq!(found, Ok(expected.clone()), "{name} of {items:?}");
        }
    }
    let digits: fn(&[Value]) -> Value = |arguments| v(int(&arguments[0]) * 10 + int(&arguments[1]));
    for function in in_every_way(digits) {
        assert_eq!(call_with("stdlib.reduce", &[ints(&[1, 2, 3]), v(7)], function), Ok(v(7123)));
    }
}

#[test]
fn nothing_is_made_of_nothing_without_a_call() {
    for (name, expected) in [
        ("stdlib.filter", ints(&[])),
        ("stdlib.map", ints(&[])),
        ("stdlib.all", v(true)),
        ("stdlib.any", v(false)),
        ("stdlib.find", Value::none()),
        ("stdlib.count-where", v(0)),
        ("stdlib.flat-map", ints(&[])),
        ("stdlib.sort-by", ints(&[])),
        ("stdlib.group-by", Value::Map([].into())),
    ] {
        let function = Function::new(|_| panic!("there is nothing to call it for"));
        assert_eq!(call_with(name, &[ints(&[])], function), Ok(expected), "{name}");
    }
}

#[test]
fn the_failure_of_a_function_tells_its_element_and_keeps_its_causes() {
    for waits in [false, true] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let function = Function::new(move |arguments| {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = match int(arguments.last().unwrap()) {
                2 => Err(ModuleError::with_source("no price", "the shop is closed")),
                n => Ok(v(n > 0)),
            };
            if waits { Outcome::Pending(Box::pin(async { answer })) } else { Outcome::Ready(answer) }
        });
        let context = CallContext::default().with_functions([function]);
        let registry = constellation_stdlib::registry();
        for name in ["stdlib.filter", "stdlib.all", "stdlib.reduce"] {
            let arguments = [ints(&[1, 2, 3]), v(true)];
            let n_arguments = if name == "stdlib.reduce" { 2 } else { 1 };
            let outcome = registry.get(name).unwrap().call(&arguments[..n_arguments], &context);
            let error = outcome.wait().now_or_never().unwrap().unwrap_err();
            assert_eq!(error.to_string(), format!("{name}: items[1]: no price"));
            let cause = std::error::Error::source(&error).unwrap();
            assert_eq!(cause.to_string(), "the shop is closed");
        }
        let expected = if waits { 3 + 2 + 2 } else { 2 + 2 + 2 };
        assert_eq!(calls.load(Ordering::SeqCst), expected, "only what was in flight was called behind it");
    }
}

#[test]
fn keys_are_ordered_as_the_language_orders_them() {
    let sorted = |items: Value| {
        let function =
            Function::new(|arguments| Outcome::Ready(Ok(Value::tagged("any", arguments[0].clone()))));
        call_with("stdlib.sort-by", &[items], function)
    };
    let floats = |items: &[f64]| Value::list(items.iter().map(|float| Value::Float(*float)));
    // Zeros of either sign are equal, and stay in their order.
    let found = sorted(floats(&[1.5, 0.0, -0.0, -2.0])).unwrap();
    assert_eq!(format!("{found:?}"), format!("{:?}", floats(&[-2.0, 0.0, -0.0, 1.5])));
    assert_eq!(
        sorted(strings(&["\u{1F600}", "\u{FFFD}", "b", "B", ""])).unwrap(),
        strings(&["", "B", "b", "\u{FFFD}", "\u{1F600}"])
    );
    let mixed = sorted(Value::list([v(1), v("a")]));
    assert_eq!(
        mixed,
        Err("stdlib.sort-by: items[1]: its key is of type String, but that of items[0] is of type Int".into())
    );
}

#[test]
fn a_list_that_would_be_too_long_is_not_made() {
    let long = ints(&vec![0; 1 << 20]);
    let function = Function::new(move |_| Outcome::Ready(Ok(long.clone())));
    let error = call_with("stdlib.flat-map", &[ints(&[0; 5])], function).unwrap_err();
    assert_eq!(
        error,
        "stdlib.flat-map: items[4]: stdlib.flat-map: the list would be longer than 4194304 elements"
    );
}

#[test]
fn what_is_not_of_the_signature_is_an_error_and_not_a_panic() {
    let nonsense = || Function::new(|_| Outcome::Ready(Ok(Value::none())));
    for module in constellation_stdlib::registry().iter() {
        let signature = &module.spec().signature;
        if signature.namespace.as_deref() != Some("stdlib.collection") {
            continue;
        }
        // Map and reduce take whatever the function gives.
        if !["map", "reduce"].contains(&&*signature.name) {
            let error = call_with(&signature.module, &[ints(&[1])], nonsense()).unwrap_err();
            assert!(error.contains("called with arguments that are not those of the signature"), "{error}");
        }
        for arguments in [vec![], vec![v(1)], vec![ints(&[1]); 3]] {
            assert!(call_with(&signature.module, &arguments, nonsense()).is_err(), "{signature}");
        }
    }
}
