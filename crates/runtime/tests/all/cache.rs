//! `cache`: what equal calls share, and what is never kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use constellation_module::{ModuleBuilder, ModuleSpec};
use constellation_rehydrate::testkit::signature;
use constellation_runtime::{Resolution, RunErrorKind, RunReport, RunStatus};
use constellation_types::{Type, Value};
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Duration, advance};

use crate::program::Program;
use crate::support::{Act, Mock};

/// A module `f(n: Int) -> Int` that numbers its calls, each of which takes ten milliseconds.
fn counting() -> (Program, Arc<Mock>) {
    let mut program = Program::new();
    let calls = AtomicUsize::new(0);
    let mock = program.mock("f", &[Type::Int], Type::Int, move |_, _| {
        Act::GiveAfter(10, Value::Int(1 + i64::try_from(calls.fetch_add(1, Ordering::SeqCst)).unwrap()))
    });
    (program, mock)
}

fn x(report: &RunReport) -> i64 {
    match report.output("x") {
        Some(Value::Int(x)) => *x,
        _ => panic!("{report:?}"),
    }
}

fn message(report: &RunReport) -> &str {
    assert_eq!(report.errors.len(), 1, "{report:?}");
    &report.errors[0].message
}

#[tokio::test(start_paused = true)]
async fn equal_calls_share_a_result_across_places_and_runs() {
    let (program, mock) = counting();
    let runtime = program.runtime();
    let source = "in n: Int\na = f(n) with cache: 1min\nx = f(a * 0 + n) with cache: 1h, retry: 1\nout x";
    let run = |n: i64| program.run_on(&runtime, source, json!({ "n": n }));
    assert_eq!((x(&run(1).await), x(&run(1).await)), (1, 1), "two places of one pipeline, and two runs");
    let other = "in n: Int\nx = f(n) with cache: 5s\nout x";
    assert_eq!(x(&program.run_on(&runtime, other, json!({ "n": 1 })).await), 1, "another pipeline");
    assert_eq!(x(&program.run_on(&runtime.clone(), other, json!({ "n": 1 })).await), 1, "a clone");
    assert_eq!(x(&run(2).await), 2, "another argument is another call");
    let calls = mock.n_calls();
    program.run(other, json!({ "n": 1 })).await;
    assert_eq!(mock.n_calls(), calls + 1, "another runtime has another cache");
    let plain = "in n: Int\nx = f(n)\nout x";
    program.run_on(&runtime, plain, json!({ "n": 1 })).await;
    assert_eq!(mock.n_calls(), calls + 2, "a call without the option is made");
}

#[tokio::test(start_paused = true)]
async fn a_result_is_used_until_its_time_to_live_has_passed() {
    let (program, _) = counting();
    let runtime = program.runtime();
    let source = "in n: Int\nx = f(n) with cache: 100ms\nout x";
    let run = || program.run_on(&runtime, source, json!({ "n": 1 }));
    assert_eq!(x(&run().await), 1);
    advance(Duration::from_millis(99)).await;
    assert_eq!(x(&run().await), 1);
    advance(Duration::from_millis(1)).await;
    assert_eq!(x(&run().await), 2);
}

#[tokio::test(start_paused = true)]
async fn equal_calls_at_the_same_time_are_made_once() {
    let (program, mock) = counting();
    let runtime = program.runtime();
    let source = "in n: Int\nx = f(n) with cache: 1min\nout x";
    let reports = join_all((0..10).map(|_| program.run_on(&runtime, source, json!({ "n": 1 })))).await;
    assert!(reports.iter().all(|report| x(report) == 1), "{reports:?}");
    assert_eq!(mock.n_calls(), 1);
    let statistics = runtime.statistics().cache;
    assert_eq!((statistics.misses, statistics.joined, statistics.hits), (1, 9, 0));
    assert_eq!(statistics.entries, 1);
    program.run_on(&runtime, source, json!({ "n": 1 })).await;
    assert_eq!(runtime.statistics().cache.hits, 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_call_that_is_waited_for_is_dropped_a_waiting_one_is_made() {
    let (program, mock) = counting();
    let runtime = program.runtime();
    let source = "in n: Int\nx = f(n) with cache: 1min\nout x";
    let run = || Box::pin(program.run_on(&runtime, source, json!({ "n": 1 })));
    let (mut first, mut second, third) = (run(), run(), run());
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    assert_eq!(mock.n_calls(), 1);
    drop(first);
    let (second, third) = tokio::join!(second, third);
    assert_eq!((x(&second), x(&third), mock.n_calls()), (2, 2, 2));
    // Nor does a flight that everybody has left stay.
    let report = program.run_on(&runtime, "in n: Int\nx = f(n) with cache: 1min\nout x", json!({ "n": 9 }));
    let mut left = Box::pin(report);
    assert!((&mut left).now_or_never().is_none());
    drop(left);
    let report = program.run_on(&runtime, source, json!({ "n": 9 })).await;
    assert_eq!(x(&report), 4);
}

/// A module `f(n: Int) -> Int` that fails until it is told otherwise.
fn failing() -> (Program, Arc<Mock>, Arc<AtomicBool>) {
    let mut program = Program::new();
    let works = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&works);
    let mock = program.mock("f", &[Type::Int], Type::Int, move |_, _| {
        if answers.load(Ordering::SeqCst) {
            Act::GiveAfter(10, Value::Int(7))
        } else {
            Act::FailAfter(10, "no")
        }
    });
    (program, mock, works)
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_that_of_all_who_wait_for_it_and_is_not_kept() {
    let (program, mock, works) = failing();
    let runtime = program.runtime();
    let source = "in n: Int\nx = f(n) with cache: 1min\nout x";
    let run = || program.run_on(&runtime, source, json!({ "n": 1 }));
    let reports = join_all((0..3).map(|_| run())).await;
    assert!(reports.iter().all(|report| message(report) == "no"), "{reports:?}");
    assert_eq!(mock.n_calls(), 1);
    works.store(true, Ordering::SeqCst);
    assert_eq!(x(&run().await), 7);
    assert_eq!(mock.n_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn neither_fallbacks_nor_zeros_nor_wrapped_errors_are_kept() {
    for (options, of_failure, of_result) in [
        ("fallback: 9", json!(9), json!(7)),
        ("on_error: skip", json!(0), json!(7)),
        ("on_error: log", json!(0), json!(7)),
        (
            "on_error: wrap",
            json!({ "ok": false, "value": null, "error": "no" }),
            json!({ "ok": true, "value": 7, "error": null }),
        ),
    ] {
        let (program, mock, works) = failing();
        let runtime = program.runtime();
        let source = format!("in n: Int\ny = f(n) with cache: 1min, {options}\nx = \"${{y}}\"\nout y");
        let run = async || {
            let report = program.run_on(&runtime, &source, json!({ "n": 1 })).await;
            let pipeline = program.load(&source);
            let ty = pipeline.ty(pipeline.outputs[0].ty);
            serde_json::to_value(constellation_types::Json { value: report.output("y").unwrap(), ty })
                .unwrap()
        };
        assert_eq!(run().await, of_failure, "{options}");
        works.store(true, Ordering::SeqCst);
        assert_eq!(run().await, of_result, "{options}");
        assert_eq!(run().await, of_result, "{options}");
        assert_eq!(mock.n_calls(), 2, "{options}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_share_the_attempts_too() {
    let mut program = Program::new();
    let mock = program.mock("f", &[Type::Int], Type::Int, |_, attempt| {
        if attempt < 3 { Act::FailAfter(10, "not yet") } else { Act::GiveAfter(10, Value::Int(5)) }
    });
    let runtime = program.runtime();
    let source = "in n: Int\nx = f(n) with cache: 1min, retry: 2, delay: 5ms\nout x";
    let reports = join_all((0..5).map(|_| program.run_on(&runtime, source, json!({ "n": 1 })))).await;
    assert!(reports.iter().all(|report| x(report) == 5), "{reports:?}");
    assert_eq!(mock.n_calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_more_attempts_is_not_given_the_failure_of_one_with_fewer() {
    let mut program = Program::new();
    program.mock("f", &[Type::Int], Type::Int, |_, attempt| {
        if attempt == 1 { Act::FailAfter(10, "not yet") } else { Act::GiveAfter(10, Value::Int(5)) }
    });
    let runtime = program.runtime();
    let once = "in n: Int\nx = f(n) with cache: 1min\nout x";
    let twice = "in n: Int\nx = f(n) with cache: 1min, retry: 1\nout x";
    let (once, twice) = tokio::join!(
        program.run_on(&runtime, once, json!({ "n": 1 })),
        program.run_on(&runtime, twice, json!({ "n": 1 })),
    );
    assert_eq!((message(&once), x(&twice)), ("not yet", 5));
}

#[tokio::test(start_paused = true)]
async fn a_kept_result_is_charged_to_each_run() {
    let mut program = Program::new();
    let mock = program.mock("f", &[], Type::String, |_, _| Act::Give(Value::string("x".repeat(10_000))));
    let runtime = program.runtime();
    let source = "x = f() with cache: 1min\nout x";
    assert_eq!(program.run_on(&runtime, source, json!({})).await.status, RunStatus::Completed);
    program.bench.options.max_value_bytes = Some(5_000);
    let report = program.run_on(&runtime, source, json!({})).await;
    assert_eq!(report.errors[0].kind, RunErrorKind::ResourceExhausted);
    assert_eq!(mock.n_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_breaks_the_signature_is_not_kept() {
    let mut program = Program::new();
    let mock = program.mock("f", &[], Type::Int, |_, _| Act::Give(Value::string("no number")));
    let runtime = program.runtime();
    for calls in 1..=2 {
        let report = program.run_on(&runtime, "x = f() with cache: 1min\nout x", json!({})).await;
        assert_eq!(report.errors[0].kind, RunErrorKind::Internal);
        assert_eq!(mock.n_calls(), calls);
    }
    assert_eq!(runtime.statistics().cache.entries, 0);
}

#[tokio::test(start_paused = true)]
async fn the_version_of_the_module_is_part_of_what_is_equal() {
    let of_version = |minor| {
        let mut program = Program::new();
        let spec = ModuleSpec { minor, ..ModuleSpec::new(signature("f", &[], Type::Int)) };
        program.bench.mock_with(spec, move |_, _| Act::Give(Value::Int(i64::from(minor))));
        program
    };
    let programs = [of_version(3), of_version(4)];
    let runtime = programs[0].runtime();
    for program in &programs {
        for _ in 0..2 {
            program.run_on(&runtime, "x = f() with cache: 1min\nout x", json!({})).await;
        }
    }
    let report = programs[1].run_on(&runtime, "x = f() with cache: 1min\nout x", json!({})).await;
    assert_eq!(x(&report), 4);
    assert_eq!(runtime.statistics().cache.entries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_generic_call_gives_each_type_its_own_order_of_fields() {
    let mut program = Program::new();
    let t = || Type::Variable("T".into());
    let same = ModuleBuilder::new("same")
        .values([("value", t())], [("out", t())], |arguments| Ok(arguments[0].clone()));
    program.bench.registry.register(same).unwrap();
    let runtime = program.runtime();
    let of = async |record: &str| {
        let source = format!("x = \"${{same({record}) with cache: 1min}}\"\nout x");
        let report = program.run_on(&runtime, &source, json!({})).await;
        report.output("x").unwrap().clone()
    };
    assert_eq!(of("{ a: 1, b: 2 }").await, Value::string("{a: 1, b: 2}"));
    assert_eq!(of("{ b: 2, a: 1 }").await, Value::string("{b: 2, a: 1}"));
    assert_eq!(of("{ b: 2, a: 1 }").await, Value::string("{b: 2, a: 1}"));
    assert_eq!(runtime.statistics().cache.hits, 1);
}

#[tokio::test(start_paused = true)]
async fn calls_in_bodies_share_results_and_calls_with_lambdas_do_not() {
    let (program, mock) = counting();
    let runtime = program.runtime();
    let inner = "in ns: List<Int>\nxs = map(ns, (n) => f(n) with cache: 1min)\nx = reduce(xs, 0, (a, b) => a + b)\nout x";
    let report = program.run_on(&runtime, inner, json!({ "ns": [1, 1, 2, 1, 2] })).await;
    assert_eq!((x(&report), mock.n_calls()), (1 + 1 + 2 + 1 + 2, 2));
    let outer = "in ns: List<Int>\nxs = map(ns, (n) => f(n)) with cache: 1min\nx = reduce(xs, 0, (a, b) => a + b)\nout x";
    for calls in [4, 6] {
        program.run_on(&runtime, outer, json!({ "ns": [1, 1] })).await;
        assert_eq!(mock.n_calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn the_memory_is_bounded_in_entries_and_bytes() {
    for (max_entries, max_bytes) in [(2, 1_000_000), (1_000, 3 * 1_000)] {
        let mut program = Program::new();
        program.bench.config.cache.max_entries = max_entries;
        program.bench.config.cache.max_bytes = max_bytes;
        let mock =
            program.mock("f", &[Type::Int], Type::String, |_, _| Act::Give(Value::string("x".repeat(1_000))));
        let runtime = program.runtime();
        for n in [1, 2, 1, 2, 3, 1] {
            let source = "in n: Int\nx = f(n) with cache: 1min\nout x";
            program.run_on(&runtime, source, json!({ "n": n })).await;
        }
        assert_eq!(mock.n_calls(), 4, "2 is kept when 3 comes, and 1 is not");
        let statistics = runtime.statistics().cache;
        assert_eq!((statistics.entries, statistics.evicted), (2, 2));
        assert!(statistics.bytes <= max_bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_with_large_arguments_is_made_without_a_cache() {
    let mut program = Program::new();
    let mock = program.mock("f", &[Type::String], Type::Int, |_, _| Act::Give(Value::Int(1)));
    let runtime = program.runtime();
    let text = "x".repeat(2 * 1024 * 1024);
    for calls in 1..=2 {
        let source = "in text: String\nx = f(text) with cache: 1min\nout x";
        program.run_on(&runtime, source, json!({ "text": text })).await;
        assert_eq!(mock.n_calls(), calls);
    }
    assert_eq!(runtime.statistics().cache.bypassed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_report_tells_whose_attempts_a_value_is_of() {
    let (mut program, mock) = counting();
    program.bench.options.include_nodes = true;
    let runtime = program.runtime();
    let source = "in n: Int\nmade = f(n) with cache: 1min\nsame = f(n + 0) with cache: 1min\n\
                  x = made + same\nout x";
    let sources = |report: &RunReport| -> Vec<_> {
        let nodes = &report.details.as_ref().unwrap().nodes;
        let source = |name| nodes.iter().find(|node| node.name == name).unwrap().resolution.unwrap();
        ["made", "same"].map(source).into()
    };
    let first = program.run_on(&runtime, source, json!({ "n": 1 })).await;
    let mut told = sources(&first);
    told.sort_by_key(|resolution| format!("{resolution:?}"));
    assert_eq!(told, [Resolution::Cache, Resolution::Module], "one of two that are in flight");
    let second = program.run_on(&runtime, source, json!({ "n": 1 })).await;
    assert_eq!((sources(&second), mock.n_calls()), (vec![Resolution::Cache; 2], 1));
}
