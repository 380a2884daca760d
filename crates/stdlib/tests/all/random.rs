//! Every function with values that nobody chose.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use constellation_module::types::{FunctionSignature, Record, Type, Value};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::{REGISTRY, call};

/// What a type variable stands for in one call of a generic function.
type Bindings = BTreeMap<Arc<str>, Type>;

#[test]
fn no_function_panics_and_each_answer_is_of_its_type() {
    for module in REGISTRY.iter() {
        let signature = &module.spec().signature;
        // There is no lambda without a graph; `collection.rs` has those that take one.
        if signature.parameters.iter().any(|parameter| matches!(parameter.ty, Type::Function(_))) {
            continue;
        }
        let mut runner = TestRunner::new(Config::with_cases(64));
        runner
            .run(&calls_of(signature), |(bindings, arguments)| {
                if let Ok(answer) = call(&signature.module, &arguments) {
                    let ty = bound(&signature.result_type(), &bindings);
                    prop_assert!(is_of(&answer, &ty), "{}{:?} gives {:?}", signature, arguments, answer);
                }
                Ok(())
            })
            .unwrap();
    }
}

/// Bindings for the type variables of a signature, and arguments of its parameters' types.
fn calls_of(signature: &FunctionSignature) -> BoxedStrategy<(Bindings, Vec<Value>)> {
    let parameters: Vec<Type> = signature.parameters.iter().map(|parameter| parameter.ty.clone()).collect();
    let element = prop::sample::select(vec![
        Type::Int,
        Type::Float,
        Type::Boolean,
        Type::String,
        Type::list(Type::Int),
        Type::optional(Type::String),
        Type::map(Type::Int, Type::String),
        Type::record([("a", Type::Int), ("b", Type::optional(Type::Float))]),
        Type::union([Type::Int, Type::String]),
    ]);
    let names = ["T", "K", "V", "A", "B"].map(Arc::<str>::from);
    prop::collection::vec(element, names.len())
        .prop_flat_map(move |types| {
            let bindings: Bindings = names.iter().cloned().zip(types).collect();
            let arguments: Vec<BoxedStrategy<Value>> =
                parameters.iter().map(|ty| values_of(&bound(ty, &bindings))).collect();
            (Just(bindings), arguments)
        })
        .boxed()
}

/// The type with its variables replaced.
fn bound(ty: &Type, bindings: &Bindings) -> Type {
    match ty {
        Type::Variable(name) => bindings[name].clone(),
        Type::List(inner) => Type::list(bound(inner, bindings)),
        Type::Seq(inner) => Type::seq(bound(inner, bindings)),
        Type::Optional(inner) => Type::optional(bound(inner, bindings)),
        Type::Map(key, value) => Type::map(bound(key, bindings), bound(value, bindings)),
        Type::Record(record) => Type::record(
            record.fields().iter().map(|field| (Arc::clone(&field.name), bound(&field.ty, bindings))),
        ),
        ty => ty.clone(),
    }
}

fn values_of(ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::String => prop_oneof![
            "\\PC{0,8}",
            "[ab,\n\r .{}:\\[\\]\"0-9-]{0,12}",
            Just("[1,{\"a\":null},\"b\"]".to_owned()),
            Just("{\"a\":[true,1.5],\"b\":\"c\"}".to_owned()),
        ]
        .prop_map(Value::string)
        .boxed(),
        Type::Int => {
            prop_oneof![any::<i64>(), -3..12_i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Int).boxed()
        }
        // Infinite ones and NaN too: no pipeline makes them, and a function must not panic all the same.
        Type::Float => {
            prop_oneof![any::<f64>(), -3.0..12.0, Just(f64::MAX), Just(-0.0)].prop_map(Value::Float).boxed()
        }
        Type::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Type::List(element) | Type::Seq(element) => {
            prop::collection::vec(values_of(element), 0..5).prop_map(Value::list).boxed()
        }
        Type::Optional(inner) => prop::option::of(values_of(inner))
            .prop_map(|inner| inner.map_or(Value::none(), Value::some))
            .boxed(),
        Type::Map(key, value) => prop::collection::vec((values_of(key), values_of(value)), 0..5)
            .prop_map(|mut pairs| {
                // By their text, since NaN is not equal to itself, and as values, since 0.0 is equal to -0.0.
                let mut keys: Vec<(String, Value)> = Vec::new();
                pairs.retain(|(key, _)| {
                    let text = format!("{key:?}");
                    let is_new = !keys.iter().any(|known| known.0 == text || known.1 == *key);
                    keys.push((text, key.clone()));
                    is_new
                });
                Value::Map(pairs.into())
            })
            .boxed(),
        Type::Record(record) => {
            let names: Arc<[Arc<str>]> =
                record.fields().iter().map(|field| Arc::clone(&field.name)).collect();
            let values: Vec<BoxedStrategy<Value>> =
                record.fields().iter().map(|field| values_of(&field.ty)).collect();
            values
                .prop_map(move |values| Value::Record(Arc::new(Record::new(Arc::clone(&names), values))))
                .boxed()
        }
        Type::Union(union) => {
            let members = union.members().iter().map(|member| {
                let tag = member.to_string();
                values_of(member).prop_map(move |value| Value::tagged(tag.as_str(), value)).boxed()
            });
            proptest::strategy::Union::new(members).boxed()
        }
        Type::Nothing | Type::Function(_) | Type::Variable(_) => panic!("there are no values of {ty}"),
    }
}

fn is_of(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (Value::String(_), Type::String)
        | (Value::Int(_), Type::Int)
        | (Value::Float(_), Type::Float)
        | (Value::Boolean(_), Type::Boolean)
        | (Value::Optional(None), Type::Optional(_)) => true,
        (Value::List(items), Type::List(element) | Type::Seq(element)) => {
            items.iter().all(|item| is_of(item, element))
        }
        (Value::Optional(Some(inner)), Type::Optional(ty)) => is_of(inner, ty),
        (Value::Map(pairs), Type::Map(key, value)) => {
            let are_typed = pairs.iter().all(|(k, v)| is_of(k, key) && is_of(v, value));
            let keys = pairs.iter().enumerate();
            are_typed
                && keys.clone().all(|(place, (k, _))| !pairs[..place].iter().any(|(known, _)| known == k))
        }
        (Value::Record(record), Type::Record(ty)) => {
            record.values().len() == ty.fields().len()
                && record
                    .iter()
                    .zip(ty.fields())
                    .all(|((name, value), field)| *name == field.name && is_of(value, &field.ty))
        }
        (Value::Union(tagged), Type::Union(union)) => {
            union.member(&tagged.tag).is_some_and(|member| is_of(&tagged.value, member))
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn sorting_and_finding_equal_elements_agree_with_the_operators(items in prop::collection::vec(values_of(&Type::Float), 0..20)) {
        let Ok(Value::List(distinct)) = call("stdlib.list-distinct", &[Value::list(items.clone())]) else {
            panic!("it answers a list")
        };
        let mut naive: Vec<Value> = Vec::new();
        for item in items.iter().filter(|item| *item == *item) {
            if !naive.contains(item) {
                naive.push(item.clone());
            }
        }
        prop_assert_eq!(distinct.iter().filter(|item| *item == *item).cloned().collect::<Vec<_>>(), naive);
    }

    #[test]
    fn json_that_is_printed_reads_back(pairs in prop::collection::btree_map("\\PC{0,6}", "\\PC{0,6}", 0..5)) {
        let map = Value::Map(
            pairs.iter().map(|(key, value)| (Value::string(key.as_str()), Value::string(value.as_str()))).collect(),
        );
        let text = call("stdlib.json-print", std::slice::from_ref(&map)).unwrap();
        prop_assert_eq!(call("stdlib.json-parse-object", &[text]), Ok(Value::some(map)));
    }

    #[test]
    fn a_float_is_rounded_as_its_decimal_text_is(whole in 0..1_000_000_u64, thousandths in 0..1000_u64) {
        let mut text = String::new();
        write!(text, "{whole}.{thousandths:03}").unwrap();
        let float: f64 = text.parse().unwrap();
        let hundredths = (whole * 1000 + thousandths + 5) / 10;
        let expected: f64 = format!("{hundredths}e-2").parse().unwrap();
        let rounded = call("stdlib.round-to", &[Value::Float(float), Value::Int(2)]);
        prop_assert_eq!(rounded, Ok(Value::Float(expected)));
    }
}
