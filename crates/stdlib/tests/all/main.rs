//! Each function of the library, by its table of arguments and answers.

mod harness;

mod bounds;
mod collection;
mod convert;
mod data;
mod documented;
mod json;
mod list;
mod logic;
mod map;
mod math;
mod optional;
mod random;
mod string;
mod text;

use constellation_module::types::{Type, Value};

use harness::{call, strings};

#[test]
fn every_function_has_a_description_and_version_one() {
    for module in constellation_stdlib::registry().iter() {
        let spec = module.spec();
        assert_eq!((spec.signature.major, spec.minor), (1, 0), "{}", spec.signature);
        assert!(spec.description.ends_with('.'), "{}", spec.signature);
        // What takes a lambda is as pure as the lambda is.
        let takes_lambda = spec.signature.parameters.iter().any(|parameter| parameter.ty.has_function());
        assert_eq!(spec.pure, &*spec.signature.name != "log" && !takes_lambda, "{}", spec.signature);
    }
}

#[test]
fn the_signatures_are_those_of_the_reference_or_wider() {
    let registry = constellation_stdlib::registry();
    let mut found: Vec<String> = registry
        .iter()
        .map(|module| {
            let signature = &module.spec().signature;
            format!("{} = {signature} {}", signature.module, signature.results[0].name)
        })
        .collect();
    found.sort();
    let expected = include_str!("signatures.txt");
    assert_eq!(found.join("\n"), expected.trim_end());
}

#[test]
fn a_program_may_add_its_own_modules_but_not_under_a_taken_name() {
    let mut registry = constellation_stdlib::registry();
    assert!(constellation_stdlib::register(&mut registry).is_err());
}

#[test]
fn arguments_of_other_types_are_an_error_and_not_a_panic() {
    for module in constellation_stdlib::registry().iter() {
        let signature = &module.spec().signature;
        let is_generic = |ty: &Type| matches!(ty, Type::Variable(_));
        if !signature.parameters.iter().all(|parameter| is_generic(&parameter.ty)) {
            // No function takes one.
            let wrong = vec![Value::record([("wrong", Value::none())]); signature.parameters.len()];
            assert!(call(&signature.module, &wrong).is_err(), "{signature}");
        }
        assert!(call(&signature.module, &[]).is_err(), "{signature}");
    }
    assert!(call("SumList", &[strings(&["a"])]).is_err());
}
