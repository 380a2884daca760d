//! Nodes that are evaluated one after the other, since nothing waits: they are told of as any others.

use std::sync::Arc;

use constellation_module::ModuleSpec;
use constellation_rehydrate::testkit::signature;
use constellation_runtime::{Inputs, RunErrorKind, RunOptions, RunReport, RunStatus};
use constellation_store_core::{ArithmeticOperator, NodeIndex, NodeKind};
use constellation_types::{Type, Value};

use crate::support::{Act, Bench, Mock};

fn pure(name: &str, parameters: &[Type], result: Type) -> ModuleSpec {
    ModuleSpec { pure: true, ..ModuleSpec::new(signature(name, parameters, result)) }
}

/// A pure module that gives its argument.
fn echo(bench: &mut Bench, name: &str, ty: &Type) -> Arc<Mock> {
    let spec = pure(name, std::slice::from_ref(ty), ty.clone());
    bench.mock_with(spec, |arguments, _| Act::Give(arguments[0].clone()))
}

#[tokio::test]
async fn a_call_gets_all_of_its_arguments_in_order_however_many_there_are() {
    for ty in [Type::Int, Type::String] {
        let value = |n: usize| match ty {
            Type::Int => Value::Int(i64::try_from(n).unwrap()),
            _ => Value::string(format!("text {n}")),
        };
        for n in 0..6 {
            let mut bench = Bench::new();
            let expected: Vec<Value> = (0..n).map(value).collect();
            // The last argument is used twice, the others once.
            let mut arguments = Vec::new();
            for place in 0..n {
                let given = value(place);
                let name = format!("give{place}");
                let give = bench.mock(&name, &[], ty.clone(), move |_, _| Act::Give(given.clone()));
                arguments.push(bench.graph.call(give.signature(), &[]));
            }
            let compared = expected.clone();
            let all = pure("all", &vec![ty.clone(); n], Type::Boolean);
            let all =
                bench.mock_with(all, move |arguments, _| Act::Give(Value::Boolean(arguments == compared)));
            let node = bench.graph.call(all.signature(), &arguments);
            bench.graph.output("all", node);
            if let Some(last) = arguments.last() {
                bench.graph.output("last", *last);
            }
            let report = bench.run().await;
            assert_eq!(report.output("all"), Some(&Value::Boolean(true)), "{n} of {ty}");
            assert_eq!(report.output("last"), expected.last(), "{n} of {ty}");
        }
    }
}

/// A run of `before`, then `act` of a pure module on what it gave and on `n` others, then `behind`, which needs none of
/// it.
async fn around(it: Value, ty: &Type, n: usize, act: impl Fn() -> Act + Send + Sync + 'static) -> RunReport {
    let mut bench = Bench::new();
    let x = bench.graph.input("x", ty.clone());
    let before = echo(&mut bench, "before", ty);
    let before = bench.graph.call(before.signature(), &[x]);
    let acts = bench.mock_with(pure("acts", &vec![ty.clone(); 1 + n], Type::Int), move |_, _| act());
    let arguments: Vec<NodeIndex> = std::iter::once(before).chain(std::iter::repeat_n(x, n)).collect();
    let acts = bench.graph.call(acts.signature(), &arguments);
    let operator = ArithmeticOperator::Add;
    let depends = bench.graph.node(&Type::Int, NodeKind::Arithmetic { operator, left: acts, right: acts });
    let behind = echo(&mut bench, "behind", ty);
    let behind = bench.graph.call(behind.signature(), &[x]);
    bench.graph.output("behind", behind);
    bench.graph.output("depends", depends);
    bench.run_with(Inputs::from_iter([("x", it)])).await
}

#[tokio::test]
async fn a_module_that_panics_fails_or_breaks_its_signature_stops_nothing_but_what_depends_on_it() {
    let values = [(Value::string("it"), Type::String), (Value::Int(7), Type::Int)];
    for ((it, ty), n) in values.iter().flat_map(|value| (0..4).map(move |n| (value, n))) {
        let acts: [(fn() -> Act, _, _); 3] = [
            (|| Act::Panic, RunErrorKind::Module, "the module panicked: told to panic"),
            (|| Act::Fail("no"), RunErrorKind::Module, "no"),
            (
                || Act::Give(Value::Boolean(true)),
                RunErrorKind::Internal,
                "module acts gave a value of another type than its signature says: expected Int, got Boolean",
            ),
        ];
        for (act, kind, message) in acts {
            let report = around(it.clone(), ty, n, act).await;
            assert_eq!(report.status, RunStatus::Failed);
            assert_eq!(report.outputs, [("behind".into(), it.clone())], "{message}");
            let [error] = &report.errors[..] else { panic!("{report:?}") };
            assert_eq!((error.kind, &*error.message), (kind, message));
            let reason = &report.pending_outputs[0].reason;
            assert!(reason.contains(message), "{reason}");
        }
        let report = around(it.clone(), ty, n, || Act::GiveAfter(1, Value::Int(2))).await;
        assert_eq!(report.output("depends"), Some(&Value::Int(4)), "{:?}", report.errors);
        assert_eq!(report.output("behind"), Some(it));
    }
}

#[tokio::test]
async fn a_run_knows_nothing_of_the_runs_before_it_however_they_ended() {
    let mut bench = Bench::new();
    let n = bench.graph.input("n", Type::Int);
    let text = bench.graph.input("text", Type::String);
    let act = bench.mock("act", &[Type::Int], Type::Int, |arguments, _| match arguments[0] {
        Value::Int(0) => Act::Panic,
        Value::Int(1) => Act::Fail("no"),
        Value::Int(2) => Act::GiveAfter(1, Value::Int(2)),
        ref other => Act::Give(other.clone()),
    });
    let acted = bench.graph.call(act.signature(), &[n]);
    let operator = ArithmeticOperator::Multiply;
    let square = bench.graph.node(&Type::Int, NodeKind::Arithmetic { operator, left: acted, right: n });
    let parts = vec![String::new(), "/".to_owned(), String::new()];
    let both = bench.graph.node(&Type::String, NodeKind::Interpolate { parts, values: vec![square, text] });
    bench.graph.output("both", both);
    bench.options.max_value_bytes = Some(1_000);
    let (pipeline, runtime, options) = bench.load();
    let run = |n: i64, text: &str| {
        let inputs = Inputs::from_iter([("n", Value::Int(n)), ("text", Value::string(text))]);
        runtime.run(&pipeline, inputs, options.clone())
    };
    let ending = |report: RunReport| match report.output("both") {
        Some(Value::String(text)) => text.to_string(),
        _ => report.errors[0].message.clone(),
    };
    let long = "x".repeat(800);
    let cases = [
        (0, "a", "the module panicked: told to panic"),
        (1, "a", "no"),
        (2, "a", "4/a"),
        (3, "b", "9/b"),
        (3_037_000_500, "a", "Int overflow"),
        (4, &*long, "the run makes more than 1000 bytes"),
    ];
    for (n_before, text_before, _) in cases {
        for (n, text, expected) in cases {
            ending(run(n_before, text_before).await);
            let found = ending(run(n, text).await);
            assert!(found.contains(expected), "{n_before} then {n}: {found}");
        }
    }
    let inputs = Inputs::from_iter([("n", Value::Int(3))]);
    assert_eq!(runtime.run(&pipeline, inputs, RunOptions::default()).await.status, RunStatus::Suspended);
    assert_eq!(ending(run(3, "b").await), "9/b");
}
