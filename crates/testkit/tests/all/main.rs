//! The kit as tests of modules and pipelines use it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use constellation_module::{ModuleBuilder, ModuleError};
use constellation_testkit::{Answer, TestKit};
use serde_json::json;

/// The message that a test fails with.
#[track_caller]
fn panic_of(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("it panics");
    *panic.downcast::<String>().expect("a panic with a formatted message")
}

const DOUBLE: &str = "in n: Int\nx = Double(n)\nout x";

#[test]
fn a_pipeline_is_run_against_modules_and_mocks() {
    let kit =
        TestKit::new().module(ModuleBuilder::new("Double").parameters(["n"]).function(|n: i64| n * 2)).mock(
            "Lookup(key: Int, default: String) -> { name: String, size: Int }",
            |call| json!({ "name": call["default"], "size": call["key"] }),
        );
    let source = "in n: Int\nfound = Lookup(Double(n), \"none\")\nname = Uppercase(found.name)\n\
                  size = found.size\nout name\nout size";
    let run = kit.run(source, json!({ "n": 4 }));
    assert_eq!(run.outputs(), json!({ "name": "NONE", "size": 8 }));
    assert_eq!(run.output("size"), json!(8));
    assert_eq!(kit.calls("Lookup"), [json!({ "key": 8, "default": "none" })]);
}

#[test]
fn calls_are_counted_over_runs() {
    let kit = TestKit::new().mock("Double(n: Int) -> Int", |call| json!(call.number()));
    assert_eq!(kit.calls("Double"), [] as [serde_json::Value; 0]);
    assert_eq!(kit.run(DOUBLE, json!({ "n": 7 })).output("x"), json!(1));
    assert_eq!(kit.run(DOUBLE, json!({ "n": 8 })).output("x"), json!(2));
    assert_eq!(kit.calls("Double"), [json!({ "n": 7 }), json!({ "n": 8 })]);
}

#[test]
fn a_mock_can_fail_and_its_attempts_are_told() {
    let kit = TestKit::new().mock("Double(n: Int) -> Int", |call| match call.attempt() {
        1 => Err(ModuleError::with_source("busy", "no worker is free")),
        attempt => Ok(json!(attempt)),
    });
    let failure = kit.run(DOUBLE, json!({ "n": 1 })).failure();
    assert_eq!(failure, "'x' (module Double) failed: busy; caused by: no worker is free");
    let source = DOUBLE.replace("(n)", "(n) with retry: 1");
    assert_eq!(kit.run(&source, json!({ "n": 1 })).output("x"), json!(2));
}

#[test]
fn time_passes_only_on_the_clock_of_the_run() {
    let kit = TestKit::new()
        .mock("Double(n: Int) -> Int", |_| Answer::from(json!(1)).after(Duration::from_hours(1)))
        .mock("Never() -> Int", |_| Answer::error("never told").after(Duration::MAX));
    let source = DOUBLE.replace("(n)", "(n) with timeout: 2h");
    let start = std::time::Instant::now();
    let run = kit.run(&source.replace("out x", "out x\nout n"), json!({ "n": 1 }));
    // The run has a deadline, which is shorter than that.
    assert!(run.failure().contains("DeadlineExceeded"), "{}", run.failure());
    assert_eq!(run.output("n"), json!(1));
    let run = kit.run("x = Never() with timeout: 3s, fallback: 5\nout x", json!({}));
    assert_eq!((run.output("x"), run.elapsed()), (json!(5), Duration::from_secs(3)));
    assert!(start.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_source_with_an_error_panics_with_the_drawn_diagnostics() {
    let kit = TestKit::new();
    let message = panic_of(|| drop(kit.run("in n: Int\nx = n + true\nout x", json!({ "n": 1 }))));
    assert!(message.starts_with("the source does not compile\nerror["), "{message}");
    assert!(message.contains(" --> source:2:"), "{message}");
    assert!(message.contains("2 | x = n + true\n"), "{message}");
}

#[test]
fn a_panic_is_at_the_line_of_the_test() {
    use std::sync::{Arc, Mutex};
    let places = Arc::new(Mutex::new(Vec::new()));
    let before = Arc::new(std::panic::take_hook());
    std::panic::set_hook(Box::new({
        let (places, before) = (Arc::clone(&places), Arc::clone(&before));
        move |info| {
            let file = info.location().expect("a panic has a place").file().to_owned();
            places.lock().expect("nothing panics with it").push((std::thread::current().id(), file));
            before(info);
        }
    }));
    let kit = TestKit::new().mock("Fail() -> Int", |_| Answer::error("no"));
    let failed = kit.run("x = Fail()\nout x", json!({}));
    let fine = kit.run("x = 1\nout x", json!({}));
    let mistakes: [&dyn Fn(); 9] = [
        &|| drop(kit.run("x = ", json!({}))),
        &|| drop(kit.run(DOUBLE, json!(1))),
        &|| drop(kit.run("in n: Int\nout n", json!({ "m": 1 }))),
        &|| drop(kit.run("in n: Int\nout n", json!({ "n": "1" }))),
        &|| drop(kit.calls("Double")),
        &|| drop(failed.output("x")),
        &|| drop(failed.outputs()),
        &|| drop(fine.failure()),
        &|| drop(TestKit::new().mock("Double", |_| json!(1))),
    ];
    let n_mistakes = mistakes.len();
    for mistake in mistakes {
        panic_of(mistake);
    }
    std::panic::set_hook(Box::new(move |info| before(info)));
    let here = std::thread::current().id();
    let places = places.lock().expect("nothing panics with it");
    let files: Vec<&str> =
        places.iter().filter(|(thread, _)| *thread == here).map(|(_, file)| &**file).collect();
    assert_eq!(files, vec![file!(); n_mistakes]);
}

#[test]
fn mistakes_of_a_test_are_told_with_what_there_is() {
    let kit = TestKit::new().mock("Double(n: Int) -> Int", |_| json!("two"));
    let failed = kit.run(DOUBLE, json!({ "n": 1 }));
    for (test, expected) in [
        (
            &(|| drop(kit.run(DOUBLE, json!({ "m": 1 })))) as &dyn Fn(),
            "the source has no input 'm'; its inputs are: n",
        ),
        (
            &|| drop(kit.run(DOUBLE, json!({ "n": "1" }))),
            "the input 'n' does not fit: field 'n': expected Int, got string",
        ),
        (
            &|| drop(kit.run(DOUBLE, json!(1))),
            "the inputs are an object by name, such as json!({ \"id\": 1 }), and not 1",
        ),
        (
            &|| drop(kit.run(DOUBLE, json!({})).outputs()),
            "the run did not complete: the input 'n' is missing",
        ),
        (&|| drop(kit.calls("Triple")), "there is no mock 'Triple'; the mocks are: Double"),
        (&|| drop(failed.output("y")), "the source has no output 'y'; its outputs are: x"),
        (
            &|| drop(failed.output("x")),
            "the output 'x' did not come about: 'x' (module Double) failed: the mock 'Double' answers \"two\", which is \
             no Int; caused by: field 'answer': expected Int, got string",
        ),
        (
            &|| drop(TestKit::new().mock("Uppercase(text: String) -> String", |_| json!("A"))),
            "module 'Uppercase' is registered already; give one of the two another name",
        ),
    ] {
        assert_eq!(panic_of(test), expected);
    }
}
