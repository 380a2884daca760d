//! `throttle` and `concurrency`: when attempts begin.

use std::sync::Arc;

use constellation_runtime::{RunErrorKind, RunStatus, Runtime};
use constellation_types::{Type, Value};
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Duration, Instant, advance};

use crate::program::Program;
use crate::support::{Act, Mock};

/// A module `f(n: Int) -> Int` whose calls take ten milliseconds.
fn slow() -> (Program, Arc<Mock>) {
    let mut program = Program::new();
    let mock =
        program.mock("f", &[Type::Int], Type::Int, |arguments, _| Act::GiveAfter(10, arguments[0].clone()));
    (program, mock)
}

fn with(options: &str) -> String {
    format!("in n: Int\nx = f(n) with {options}\nout x")
}

/// Runs at the same time, with the inputs 1, 2 and so on. How long they take together, in milliseconds.
async fn run_all(program: &Program, runtime: &Runtime, source: &str, n: i64) -> u128 {
    let start = Instant::now();
    let reports = join_all((1..=n).map(|n| program.run_on(runtime, source, json!({ "n": n })))).await;
    assert!(reports.iter().all(|report| report.status == RunStatus::Completed), "{reports:?}");
    start.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn a_throttle_lets_its_count_go_at_once_and_the_others_as_time_passes() {
    let (program, mock) = slow();
    let runtime = program.runtime();
    run_all(&program, &runtime, &with("throttle: 2/100ms"), 5).await;
    assert_eq!(mock.gauge.begun(), [(0, 1), (0, 2), (50, 3), (100, 4), (150, 5)], "in order of arrival");
    advance(Duration::from_mins(1)).await;
    assert_eq!(
        run_all(&program, &runtime, &with("throttle: 2/100ms"), 3).await,
        60,
        "never more than its count"
    );
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_that_of_the_module_and_its_numbers() {
    let (mut program, mock) = slow();
    let other = program.mock("g", &[Type::Int], Type::Int, |_, _| Act::GiveAfter(10, Value::Int(1)));
    let runtime = program.runtime();
    let source = "in n: Int\na = f(n) with throttle: 1/1s\nb = f(n) with throttle: 1/1s, retry: 1\n\
                  c = f(n) with throttle: 1/2s\nd = g(n) with throttle: 1/1s\nx = [a, b, c, d]\nout x";
    assert_eq!(run_all(&program, &runtime, source, 1).await, 1010, "two places of one throttle");
    assert_eq!(mock.gauge.begun().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 0, 1000]);
    assert_eq!(other.gauge.begun()[0].0, 0);
    let again = with("throttle: 1/1s");
    assert_eq!(run_all(&program, &runtime.clone(), &again, 1).await, 1000, "a clone has the same");
    assert_eq!(run_all(&program, &program.runtime(), &again, 1).await, 10, "another runtime has others");
}

#[tokio::test(start_paused = true)]
async fn each_attempt_takes_a_token() {
    let mut program = Program::new();
    let mock = program.mock("f", &[Type::Int], Type::Int, |_, attempt| {
        if attempt < 4 { Act::FailAfter(1, "not yet") } else { Act::GiveAfter(1, Value::Int(1)) }
    });
    run_all(&program, &program.runtime(), &with("retry: 3, throttle: 1/100ms"), 1).await;
    assert_eq!(mock.gauge.begun(), [(0, 1), (100, 1), (200, 1), (300, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_holds_for_modules_that_answer_at_once_and_for_those_that_are_given_lambdas() {
    let program = Program::new();
    let runtime = program.runtime();
    let source = "in n: Int\nx = add(n, 1) with throttle: 1/100ms\nout x";
    assert_eq!(run_all(&program, &runtime, source, 3).await, 200);
    let source = "in n: Int\nx = map([n], (m) => m + 1) with throttle: 1/100ms\nout x";
    assert_eq!(run_all(&program, &runtime, source, 3).await, 200);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_line_has_taken_no_token() {
    let (program, mock) = slow();
    let runtime = program.runtime();
    let source = with("throttle: 1/100ms");
    let run = |n: i64| Box::pin(program.run_on(&runtime, &source, json!({ "n": n })));
    let mut runs = [run(1), run(2), run(3), run(4)];
    for run in &mut runs {
        assert!(run.now_or_never().is_none());
    }
    assert_eq!(runtime.statistics().waiting_for_throttle, 3);
    let [first, second, third, fourth] = runs;
    advance(Duration::from_millis(50)).await;
    // The one that sleeps until there is a token, and one behind it.
    drop((second, third));
    assert_eq!(runtime.statistics().waiting_for_throttle, 1);
    tokio::join!(first, fourth);
    assert_eq!(mock.gauge.begun(), [(0, 1), (100, 4)]);
    assert_eq!(runtime.statistics().waiting_for_throttle, 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_counts_as_time_of_the_run_and_not_of_the_attempt() {
    for (option, wait) in [("throttle: 1/100ms", 100), ("concurrency: 1", 10)] {
        let (mut program, mock) = slow();
        let runtime = program.runtime();
        run_all(&program, &runtime, &with(&format!("timeout: 11ms, {option}")), 2).await;
        assert_eq!(mock.gauge.begun()[1].0, wait, "{option}");
        program.bench.options.max_duration = Some(Duration::from_millis(15));
        let source = with(option);
        let runtime = program.runtime();
        let run = |n: i64| program.run_on(&runtime, &source, json!({ "n": n }));
        let (first, second) = tokio::join!(run(1), run(2));
        assert_eq!(first.status, RunStatus::Completed);
        assert_eq!(second.errors[0].kind, RunErrorKind::DeadlineExceeded, "{option}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_most_so_many_attempts_of_a_module_go_on_at_the_same_time() {
    let (program, mock) = slow();
    let runtime = program.runtime();
    assert_eq!(run_all(&program, &runtime, &with("concurrency: 2"), 6).await, 30);
    assert_eq!(mock.gauge.most(), 2);
    let begun = [(0, 1), (0, 2), (10, 3), (10, 4), (20, 5), (20, 6)];
    assert_eq!(mock.gauge.begun(), begun, "in order of arrival");
    assert_eq!(
        run_all(&program, &runtime, &with("timeout: 1s"), 6).await,
        10,
        "without the option all go on"
    );
    let list = "in n: Int\nx = map([1, 2, 3, n], (m) => f(m) with concurrency: 2)\nout x";
    assert_eq!(run_all(&program, &runtime, list, 1).await, 20, "also of one run, and in bodies");
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_again_however_the_attempt_ends() {
    let mut program = Program::new();
    let act = std::sync::Mutex::new(0);
    program.mock("f", &[Type::Int], Type::Int, move |_, _| {
        let mut act = act.lock().unwrap();
        *act += 1;
        match *act {
            1 => Act::Fail("no"),
            2 => Act::FailAfter(10, "no"),
            3 => Act::Panic,
            4 => Act::PanicLater,
            5 => Act::GiveAfter(1_000, Value::Int(1)),
            _ => Act::GiveAfter(10, Value::Int(1)),
        }
    });
    let runtime = program.runtime();
    let source = with("concurrency: 1, timeout: 50ms");
    for _ in 1..=4 {
        let report = program.run_on(&runtime, &source, json!({ "n": 1 })).await;
        assert_eq!(report.errors[0].kind, RunErrorKind::Module);
    }
    let report = program.run_on(&runtime, &source, json!({ "n": 1 })).await;
    assert_eq!(report.errors[0].kind, RunErrorKind::Timeout);
    let mut dropped = Box::pin(program.run_on(&runtime, &source, json!({ "n": 1 })));
    assert!((&mut dropped).now_or_never().is_none());
    let mut waits = Box::pin(program.run_on(&runtime, &source, json!({ "n": 2 })));
    assert!((&mut waits).now_or_never().is_none());
    assert_eq!(runtime.statistics().waiting_for_concurrency, 1);
    drop(dropped);
    drop(waits);
    assert_eq!(runtime.statistics().waiting_for_concurrency, 0);
    assert_eq!(run_all(&program, &runtime, &source, 1).await, 10);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_by_an_attempt_and_not_by_the_delay_behind_it() {
    let mut program = Program::new();
    let mock =
        program.mock("f", &[Type::Int], Type::Int, |arguments, attempt| match (&arguments[0], attempt) {
            (Value::Int(1), 1) => Act::FailAfter(10, "not yet"),
            _ => Act::GiveAfter(50, Value::Int(1)),
        });
    let source = with("concurrency: 1, retry: 1, delay: 100ms");
    run_all(&program, &program.runtime(), &source, 2).await;
    assert_eq!(mock.gauge.begun(), [(0, 1), (10, 2), (110, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_a_lambda_holds_no_place() {
    let program = Program::new();
    let source = "in n: Int\nx = map([n], (m) => \
                  flat-map([m], (k) => [k]) with concurrency: 1) with concurrency: 1\n\
                  y = flat-map([n], (m) => map([m], (k) => k) with concurrency: 1) with concurrency: 1\n\
                  out x\nout y";
    assert_eq!(run_all(&program, &program.runtime(), source, 2).await, 0);
    let (program, _) = slow();
    let source = "in n: Int\nx = map([n], (m) => map([m], (k) => f(k)) with concurrency: 1) with concurrency: 1\n\
                  out x";
    assert_eq!(run_all(&program, &program.runtime(), source, 2).await, 10);
}

#[tokio::test(start_paused = true)]
async fn a_token_comes_before_a_place() {
    let (program, mock) = slow();
    let runtime = program.runtime();
    // If the place came first, whoever has it would wait for a token while nobody works.
    run_all(&program, &runtime, &with("throttle: 1/4ms, concurrency: 1"), 3).await;
    assert_eq!(mock.gauge.begun(), [(0, 1), (10, 2), (20, 3)], "tokens were taken while others worked");
    assert_eq!(mock.gauge.now(), 0);
}
