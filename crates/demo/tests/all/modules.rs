//! What each module answers, and when.

use std::time::Duration;

use constellation_testkit::TestKit;
use serde_json::json;

/// The standard library, and demonstration modules that were never called.
pub(crate) fn kit() -> TestKit {
    let mut registry = constellation_stdlib::registry();
    constellation_demo::register(&mut registry).expect("the standard library has none of their names");
    TestKit::with_registry(registry)
}

/// Calls a module on its own, with a text: what it answers, and how long it takes.
fn call(kit: &TestKit, function: &str, text: &str) -> Result<(String, u64), String> {
    let run = kit.run(&format!("in text: String\nx = {function}(text)\nout x"), json!({ "text": text }));
    let elapsed = u64::try_from(run.elapsed().as_millis()).expect("nothing takes that long");
    if run.report().errors.is_empty() {
        Ok((run.output("x").as_str().expect("it is a text").to_owned(), elapsed))
    } else {
        Err(run.failure())
    }
}

#[test]
fn slow_modules_answer_when_their_time_is_over() {
    let kit = kit();
    for (function, text, answer, milliseconds) in [
        ("SlowQuery", "a", "Result for: a", 500),
        ("SlowApiCall", "a", "API response from: a", 1000),
        ("ExpensiveCompute", "a\u{e9}", "Computed: A\u{c9}", 2000),
        ("RateLimitedApi", "a", "Rate-limited response for: a", 50),
        ("ResourceIntensiveTask", "a", "Completed: a", 200),
        ("QuickCheck", "simple", "valid", 10),
        ("QuickCheck", "a ComPlex one", "needs-deep-analysis", 10),
        ("DeepAnalysis", "a", "Deep analysis of: a", 1500),
    ] {
        assert_eq!(call(&kit, function, text), Ok((answer.to_owned(), milliseconds)), "{function}");
    }
}

#[test]
fn the_flaky_service_answers_each_third_call_of_its_registry() {
    let first = kit();
    let failure = |attempt: u32| {
        Err(format!("'x' (module FlakyService) failed: Service temporarily unavailable (attempt {attempt})"))
    };
    for attempt in [1, 4] {
        assert_eq!(call(&first, "FlakyService", "a"), failure(attempt));
        assert_eq!(call(&first, "FlakyService", "a"), failure(attempt + 1));
        assert_eq!(call(&first, "FlakyService", "a"), Ok(("Success for: a".into(), 0)));
    }
    assert_eq!(call(&kit(), "FlakyService", "a"), failure(1));
}

#[test]
fn the_service_that_is_prone_to_timeouts_is_slow_once() {
    let first = kit();
    let response = |milliseconds| Ok(("Response for: a".to_owned(), milliseconds));
    assert_eq!(call(&first, "TimeoutProneService", "a"), response(3000));
    assert_eq!(call(&first, "TimeoutProneService", "a"), response(100));
    assert_eq!(call(&first, "TimeoutProneService", "a"), response(100));
    assert_eq!(call(&kit(), "TimeoutProneService", "a"), response(3000));
}

#[test]
fn the_service_that_always_fails_says_for_what() {
    let failure = "'x' (module AlwaysFailsService) failed: Service failed for: a";
    assert_eq!(call(&kit(), "AlwaysFailsService", "a"), Err(failure.into()));
}

#[test]
fn the_modules_are_those_of_the_reference_with_its_names() {
    let mut registry = constellation_module::ModuleRegistry::new();
    constellation_demo::register(&mut registry).unwrap();
    let signatures: Vec<String> = registry
        .iter()
        .map(|module| {
            let signature = &module.spec().signature;
            assert_eq!((signature.major, module.spec().minor), (1, 0));
            format!("{signature} as {}", signature.results[0].name)
        })
        .collect();
    assert_eq!(
        signatures,
        [
            "AlwaysFailsService(request: String) -> String as response",
            "DeepAnalysis(data: String) -> String as analysis",
            "ExpensiveCompute(data: String) -> String as result",
            "FlakyService(request: String) -> String as response",
            "QuickCheck(data: String) -> String as result",
            "RateLimitedApi(request: String) -> String as response",
            "ResourceIntensiveTask(task: String) -> String as result",
            "SlowApiCall(endpoint: String) -> String as data",
            "SlowQuery(query: String) -> String as result",
            "TimeoutProneService(request: String) -> String as response",
        ]
    );
}

#[test]
fn independent_calls_wait_at_the_same_time() {
    let source = "a = SlowApiCall(\"a\")\nb = SlowQuery(\"b\")\nout a\nout b";
    assert_eq!(kit().run(source, json!({})).elapsed(), Duration::from_secs(1));
}
