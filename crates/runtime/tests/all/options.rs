//! Call options: each test fails when its option is not applied.

use std::time::Duration;

use constellation_module::ModuleSpec;
use constellation_rehydrate::testkit::signature;
use constellation_runtime::{RunErrorKind, RunReport, RunStatus};
use constellation_store_core::{Backoff, CallOptions, NodeIndex, OnError};
use constellation_types::{Type, Value};
use tokio::time::Instant;

use crate::support::{Act, Bench, with_subscriber};

/// A graph whose output `x` is a call of a module without parameters.
fn bench_with(
    options: CallOptions,
    ty: &Type,
    script: impl Fn(u32) -> Act + Send + Sync + 'static,
) -> (Bench, std::sync::Arc<crate::support::Mock>) {
    let mut bench = Bench::new();
    let mock = bench.mock("f", &[], Type::Int, move |_, attempt| script(attempt));
    let node = bench.graph.call_with(mock.signature(), &[], ty, options);
    bench.graph.label(node, "x");
    bench.graph.output("x", node);
    (bench, mock)
}

async fn run(
    options: CallOptions,
    script: impl Fn(u32) -> Act + Send + Sync + 'static,
) -> (RunReport, usize) {
    let (bench, mock) = bench_with(options, &Type::Int, script);
    let report = bench.run().await;
    (report, mock.n_calls())
}

fn fail_until(attempt: u32) -> impl Fn(u32) -> Act + Send + Sync {
    move |current| if current < attempt { Act::Fail("not yet") } else { Act::Give(Value::Int(1)) }
}

fn wrapped() -> Type {
    Type::record([
        ("ok", Type::Boolean),
        ("value", Type::optional(Type::Int)),
        ("error", Type::optional(Type::String)),
    ])
}

#[tokio::test(start_paused = true)]
async fn retry_makes_further_attempts() {
    let retry = |n| CallOptions { retry: Some(n), ..CallOptions::default() };
    let (report, calls) = run(retry(2), fail_until(3)).await;
    assert_eq!((report.output("x"), calls), (Some(&Value::Int(1)), 3));
    let (report, calls) = run(retry(1), fail_until(3)).await;
    assert_eq!(calls, 2);
    assert_eq!(report.errors[0].message, "Operation failed after 2 attempts: not yet");
    assert_eq!(report.errors[0].causes, ["attempt 1: not yet"]);
    let (report, calls) = run(retry(0), fail_until(3)).await;
    assert_eq!((&*report.errors[0].message, calls), ("not yet", 1));
    let (report, calls) = run(retry(1), |attempt| {
        if attempt == 1 { Act::FailAfter(5, "late") } else { Act::GiveAfter(5, Value::Int(2)) }
    })
    .await;
    assert_eq!((report.output("x"), calls), (Some(&Value::Int(2)), 2));
}

#[tokio::test(start_paused = true)]
async fn delay_and_backoff_space_the_attempts() {
    for (backoff, expected) in [
        (None, 100 + 100 + 100),
        (Some(Backoff::Fixed), 100 + 100 + 100),
        (Some(Backoff::Linear), 100 + 200 + 300),
        (Some(Backoff::Exponential), 100 + 200 + 400),
    ] {
        let start = Instant::now();
        let options = CallOptions { retry: Some(3), delay_ms: Some(100), backoff, ..CallOptions::default() };
        let (report, calls) = run(options, fail_until(4)).await;
        assert_eq!((report.status, calls), (RunStatus::Completed, 4));
        assert_eq!(start.elapsed(), Duration::from_millis(expected), "{backoff:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_at_most_thirty_seconds() {
    let start = Instant::now();
    let options = CallOptions { retry: Some(1), delay_ms: Some(3_600_000), ..CallOptions::default() };
    let (report, _) = run(options, fail_until(2)).await;
    assert_eq!((report.status, start.elapsed()), (RunStatus::Completed, Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_cuts_each_attempt() {
    let start = Instant::now();
    let options = CallOptions { timeout_ms: Some(50), retry: Some(1), ..CallOptions::default() };
    let (bench, mock) = bench_with(options, &Type::Int, |_| Act::GiveAfter(1000, Value::Int(1)));
    let report = bench.run().await;
    assert_eq!(report.errors[0].kind, RunErrorKind::Timeout);
    assert_eq!(report.errors[0].message, "Operation failed after 2 attempts: Operation timed out after 50ms");
    assert_eq!(start.elapsed(), Duration::from_millis(100));
    assert_eq!((mock.n_calls(), mock.n_finished()), (2, 0));
    let options = CallOptions { timeout_ms: Some(50), ..CallOptions::default() };
    let (report, _) = run(options, |_| Act::GiveAfter(49, Value::Int(1))).await;
    assert_eq!(report.status, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn the_programs_timeout_comes_before_the_modules_and_that_before_the_default() {
    for (program, module, expected) in [(Some(70), Some(50), 70), (None, Some(50), 50), (None, None, 90)] {
        let mut bench = Bench::new();
        bench.config.default_timeout = Duration::from_millis(90);
        let mut spec = ModuleSpec::new(signature("f", &[], Type::Int));
        spec.timeout = module.map(Duration::from_millis);
        let mock = bench.mock_with(spec, |_, _| Act::GiveAfter(1000, Value::Int(1)));
        let options = CallOptions { timeout_ms: program, ..CallOptions::default() };
        let node = bench.graph.call_with(mock.signature(), &[], &Type::Int, options);
        assert_eq!(bench.failure(node).await, format!("Operation timed out after {expected}ms"));
    }
}

/// A call of `fallback`, for the option.
fn add_fallback(bench: &mut Bench, act: impl Fn() -> Act + Send + Sync + 'static) -> NodeIndex {
    bench.call("fallback", act).0
}

async fn run_with_fallback(
    options: CallOptions,
    ty: &Type,
    fallback: impl Fn() -> Act + Send + Sync + 'static,
) -> (RunReport, usize) {
    let mut bench = Bench::new();
    let fallback = add_fallback(&mut bench, fallback);
    let mock = bench.mock("f", &[], Type::Int, |_, _| Act::FailAfter(1, "no"));
    let options = CallOptions { fallback: Some(fallback), ..options };
    let node = bench.graph.call_with(mock.signature(), &[], ty, options);
    bench.graph.label(node, "x");
    bench.graph.output("x", node);
    (bench.run().await, mock.n_calls())
}

#[tokio::test(start_paused = true)]
async fn a_fallback_comes_after_the_retries() {
    let options = CallOptions { retry: Some(2), ..CallOptions::default() };
    let (report, calls) = run_with_fallback(options, &Type::Int, || Act::GiveAfter(1, Value::Int(9))).await;
    assert_eq!((report.output("x"), calls), (Some(&Value::Int(9)), 3));
    assert_eq!(report.errors, []);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_fails_too_is_told_with_the_call() {
    let (report, _) =
        run_with_fallback(CallOptions::default(), &Type::Int, || Act::FailAfter(1, "neither")).await;
    let texts: Vec<String> = report.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "'fallback' (module fallback) failed: neither",
            "'x' (module f) failed: no; caused by: its fallback failed too: neither",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn on_error_comes_after_the_fallback() {
    for on_error in [OnError::Skip, OnError::Log] {
        let options = || CallOptions { on_error: Some(on_error), ..CallOptions::default() };
        let (report, _) = run_with_fallback(options(), &Type::Int, || Act::Give(Value::Int(9))).await;
        assert_eq!(report.output("x"), Some(&Value::Int(9)));
        let (report, _) = run_with_fallback(options(), &Type::Int, || Act::Fail("neither")).await;
        assert_eq!(report.output("x"), Some(&Value::Int(0)));
        assert_eq!(report.status, RunStatus::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn skip_and_log_give_the_zero_value_after_the_retries() {
    for on_error in [OnError::Skip, OnError::Log] {
        let options = || CallOptions { on_error: Some(on_error), retry: Some(1), ..CallOptions::default() };
        let (report, calls) = run(options(), fail_until(9)).await;
        assert_eq!((report.output("x"), calls), (Some(&Value::Int(0)), 2));
        let (report, calls) = run(options(), fail_until(2)).await;
        assert_eq!((report.output("x"), calls), (Some(&Value::Int(1)), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn propagate_is_what_happens_without_the_option() {
    for on_error in [None, Some(OnError::Propagate)] {
        let (report, _) = run(CallOptions { on_error, ..CallOptions::default() }, fail_until(9)).await;
        assert_eq!(report.status, RunStatus::Failed);
    }
}

#[tokio::test(start_paused = true)]
async fn wrap_tells_success_from_failure_in_a_record() {
    let record =
        |ok, value, error| Value::record([("ok", Value::Boolean(ok)), ("value", value), ("error", error)]);
    let options = || CallOptions { on_error: Some(OnError::Wrap), ..CallOptions::default() };
    for (attempt, expected) in [
        (1, record(true, Value::some(Value::Int(1)), Value::none())),
        (2, record(false, Value::none(), Value::some(Value::string("not yet")))),
    ] {
        let (bench, _) = bench_with(options(), &wrapped(), fail_until(attempt));
        let report = bench.run().await;
        assert_eq!(report.output("x"), Some(&expected));
    }
    let (report, _) = run_with_fallback(options(), &wrapped(), || Act::Give(Value::Int(9))).await;
    assert_eq!(report.output("x"), Some(&record(true, Value::some(Value::Int(9)), Value::none())));
    let (report, _) = run_with_fallback(options(), &wrapped(), || Act::Fail("neither")).await;
    let expected = record(false, Value::none(), Value::some(Value::string("no")));
    assert_eq!(report.output("x"), Some(&expected));
}

#[tokio::test(start_paused = true)]
async fn options_do_not_apply_to_arguments_that_failed() {
    let mut bench = Bench::new();
    let (argument, _) = bench.call("argument", || Act::Fail("no argument"));
    let mock = bench.mock("f", &[Type::Int], Type::Int, |_, _| Act::Give(Value::Int(1)));
    let fallback = bench.graph.int(5);
    let options = CallOptions {
        on_error: Some(OnError::Skip),
        fallback: Some(fallback),
        retry: Some(3),
        ..CallOptions::default()
    };
    let node = bench.graph.call_with(mock.signature(), &[argument], &Type::Int, options);
    assert_eq!(bench.failure(node).await, "no argument");
    assert_eq!(mock.n_calls(), 0);
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        if *event.metadata().level() == tracing::Level::WARN {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn log_warns_of_the_failure_and_skip_does_not() {
    for (on_error, expected) in [(OnError::Skip, 0), (OnError::Log, 1)] {
        let warnings = Warnings::default();
        with_subscriber(warnings.clone(), || {
            let options = CallOptions { on_error: Some(on_error), ..CallOptions::default() };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(run(options, fail_until(9)));
        });
        assert_eq!(warnings.0.load(std::sync::atomic::Ordering::SeqCst), expected, "{on_error:?}");
    }
}
