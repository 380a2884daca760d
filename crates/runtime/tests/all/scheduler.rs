//! `priority`, and the bound on calls in flight.

use std::num::NonZeroUsize;
use std::sync::Arc;

use constellation_runtime::{RunErrorKind, RunReport, RunStatus, Runtime, SchedulerConfig};
use constellation_types::{Type, Value};
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Duration, Instant, advance};

use crate::program::Program;
use crate::support::{Act, Mock};

/// A module `f(n: Int) -> Int` whose calls take ten milliseconds, and a bound.
fn bounded(max_in_flight: usize) -> (Program, Arc<Mock>) {
    let mut program = Program::new();
    let mock =
        program.mock("f", &[Type::Int], Type::Int, |arguments, _| Act::GiveAfter(10, arguments[0].clone()));
    let bounds = SchedulerConfig::new(NonZeroUsize::new(max_in_flight).unwrap());
    program.bench.config.scheduler = Some(bounds);
    (program, mock)
}

fn with(options: &str) -> String {
    format!("in n: Int\nx = f(n) with timeout: 11ms{options}\nout x")
}

/// Runs one program after the other, each without waiting for the one before it, with the inputs 1, 2 and so on.
async fn run_each(program: &Program, runtime: &Runtime, options: &[&str]) -> Vec<RunReport> {
    let sources: Vec<String> = options.iter().map(|options| with(options)).collect();
    let runs =
        sources.iter().enumerate().map(|(n, source)| program.run_on(runtime, source, json!({ "n": n + 1 })));
    join_all(runs).await
}

fn order(mock: &Mock) -> Vec<i64> {
    mock.gauge.begun().iter().map(|(_, argument)| *argument).collect()
}

#[tokio::test(start_paused = true)]
async fn at_most_so_many_calls_are_in_flight_across_runs() {
    for (max_in_flight, milliseconds) in [(1, 70), (2, 40), (7, 10)] {
        let (program, mock) = bounded(max_in_flight);
        let runtime = program.runtime();
        let start = Instant::now();
        let reports = run_each(&program, &runtime, &[""; 7]).await;
        // No wait counts as time of an attempt.
        assert!(reports.iter().all(|report| report.status == RunStatus::Completed), "{reports:?}");
        assert_eq!(start.elapsed().as_millis(), milliseconds);
        assert_eq!(mock.gauge.most(), max_in_flight);
        let statistics = runtime.statistics().scheduler.unwrap();
        assert_eq!((statistics.in_flight, statistics.waiting), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_highest_priority_goes_first_and_the_first_of_one_priority() {
    let (program, mock) = bounded(1);
    let options = [
        "",
        ", priority: low",
        ", priority: background",
        "",
        ", priority: high",
        ", priority: 51",
        ", priority: critical",
        ", priority: normal",
        ", priority: high",
    ];
    run_each(&program, &program.runtime(), &options).await;
    assert_eq!(order(&mock), [1, 7, 5, 9, 6, 4, 8, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_long_goes_before_those_of_a_higher_priority() {
    let (mut program, mock) = bounded(1);
    program.bench.config.scheduler.as_mut().unwrap().aging = Duration::from_millis(1);
    let runtime = program.runtime();
    let sources = [with(""), with(", priority: low"), with(", priority: high")];
    let mut runs = Vec::new();
    let mut begin = |n: i64, source| {
        let mut run = Box::pin(program.run_on(&runtime, source, json!({ "n": n })));
        assert!((&mut run).now_or_never().is_none());
        runs.push(run);
    };
    begin(1, &sources[0]);
    begin(2, &sources[1]);
    // 60 steps of priority are 60 milliseconds.
    begin(3, &sources[2]);
    advance(Duration::from_millis(59)).await;
    begin(4, &sources[2]);
    advance(Duration::from_millis(2)).await;
    begin(5, &sources[2]);
    join_all(runs).await;
    assert_eq!(order(&mock), [1, 3, 4, 2, 5]);
}

#[tokio::test(start_paused = true)]
async fn when_too_many_wait_the_last_in_line_fails() {
    let (mut program, mock) = bounded(1);
    program.bench.config.scheduler.as_mut().unwrap().max_waiting = 2;
    let runtime = program.runtime();
    let options = ["", ", priority: low", "", "", ", priority: high", ", fallback: 9", ", on_error: skip"];
    let reports = run_each(&program, &runtime, &options).await;
    let kinds: Vec<_> = reports.iter().map(|report| report.errors.first().map(|error| error.kind)).collect();
    let overloaded = Some(RunErrorKind::Overloaded);
    assert_eq!(kinds, [None, overloaded, None, overloaded, None, None, None]);
    let [error] = &reports[1].errors[..] else { panic!() };
    let told = "'x' (module f) failed: too many calls: 1 are in flight and 2 wait; try again later, or raise the \
                bounds of the scheduler";
    assert_eq!(error.to_string(), told);
    assert_eq!(reports[5].output("x"), Some(&Value::Int(9)));
    assert_eq!(reports[6].output("x"), Some(&Value::Int(0)));
    assert_eq!(order(&mock), [1, 5, 3]);
    assert_eq!(runtime.statistics().scheduler.unwrap().refused, 4);
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_is_made_again() {
    let (mut program, mock) = bounded(1);
    program.bench.config.scheduler.as_mut().unwrap().max_waiting = 0;
    let reports = run_each(&program, &program.runtime(), &["", ", retry: 1, delay: 15ms"]).await;
    assert!(reports.iter().all(|report| report.status == RunStatus::Completed), "{reports:?}");
    assert_eq!(mock.gauge.begun(), [(0, 1), (15, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_counts_as_time_of_the_run() {
    let (mut program, _) = bounded(1);
    program.bench.options.max_duration = Some(Duration::from_millis(15));
    let reports = run_each(&program, &program.runtime(), &["", ""]).await;
    assert_eq!(reports[0].status, RunStatus::Completed);
    assert_eq!(reports[1].errors[0].kind, RunErrorKind::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_a_lambda_takes_no_slot() {
    let (program, mock) = bounded(1);
    let source = "in n: Int\nx = map([n, 2], (m) => reduce([m, 3], 0, (a, b) => a + f(b)))\nout x";
    let runtime = program.runtime();
    let reports = join_all((0..3).map(|n| program.run_on(&runtime, source, json!({ "n": n })))).await;
    assert!(reports.iter().all(|report| report.status == RunStatus::Completed), "{reports:?}");
    assert_eq!((mock.n_calls(), mock.gauge.most()), (12, 1));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_something_else_holds_no_slot() {
    for options in [", throttle: 1/1h", ", concurrency: 1, retry: 1, delay: 30s", ", cache: 1min"] {
        let (mut program, _) = bounded(2);
        program.mock("g", &[Type::Int], Type::Int, |_, attempt| {
            if attempt == 1 { Act::FailAfter(10, "not yet") } else { Act::GiveAfter(1, Value::Int(1)) }
        });
        let runtime = program.runtime();
        let waits = format!("in n: Int\nx = g(n * 0) with timeout: 1h{options}\nout x");
        let mut runs: Vec<_> =
            (0..5).map(|n| Box::pin(program.run_on(&runtime, &waits, json!({ "n": n })))).collect();
        for run in &mut runs {
            assert!(run.now_or_never().is_none());
        }
        assert!(runtime.statistics().scheduler.unwrap().in_flight <= 1, "{options}");
        let start = Instant::now();
        run_each(&program, &runtime, &["", ", priority: low"]).await;
        assert!(start.elapsed().as_millis() <= 20, "{options}");
    }
}

#[tokio::test(start_paused = true)]
async fn modules_that_answer_at_once_take_no_slot() {
    let (program, _) = bounded(1);
    let runtime = program.runtime();
    let source = with("");
    let mut holds = Box::pin(program.run_on(&runtime, &source, json!({ "n": 1 })));
    assert!((&mut holds).now_or_never().is_none());
    let inline =
        program.run_on(&runtime, "in n: Int\nx = add(n, 1)\nout x", json!({ "n": 1 })).now_or_never();
    assert_eq!(inline.unwrap().output("x"), Some(&Value::Int(2)));
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_handed_on_when_a_run_is_dropped() {
    let (program, mock) = bounded(1);
    let runtime = program.runtime();
    let source = with("");
    let run = |n: i64| Box::pin(program.run_on(&runtime, &source, json!({ "n": n })));
    let (mut holds, mut next, mut leaves, mut last) = (run(1), run(2), run(3), run(4));
    for run in [&mut holds, &mut next, &mut leaves, &mut last] {
        assert!(run.now_or_never().is_none());
    }
    let waiting = || runtime.statistics().scheduler.unwrap().waiting;
    assert_eq!(waiting(), 3);
    drop(leaves);
    assert_eq!(waiting(), 2);
    drop(holds);
    // It was given the slot, and never finds out.
    drop(next);
    assert_eq!(last.await.status, RunStatus::Completed);
    assert_eq!(order(&mock), [1, 4]);
    let statistics = runtime.statistics().scheduler.unwrap();
    assert_eq!((statistics.in_flight, statistics.waiting), (0, 0));
}
