//! Random programs with random options on one runtime, some of them dropped on the way: nothing waits in a circle, and
//! nothing is left behind.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;

use constellation_module::ModuleBuilder;
use constellation_runtime::{Inputs, RunErrorKind, RunStatus, Runtime, SchedulerConfig};
use constellation_types::{Type, Value};
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::json;
use tokio::time::{Duration, timeout};

use crate::program::Program;
use crate::support::{Act, Mock};

/// A call: by which module, of what, within how many lambdas, with which options.
type Recipe = (bool, usize, u8, Vec<String>);

#[derive(Debug, Clone)]
struct Plan {
    max_in_flight: usize,
    max_waiting: usize,
    /// Programs, when they begin, and when they are dropped, in milliseconds.
    runs: Vec<(Vec<Recipe>, u64, Option<u64>)>,
}

fn option() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..3_u8).prop_map(|n| format!("retry: {n}")),
        (1..20_u8).prop_map(|n| format!("retry: 1, delay: {n}ms")),
        (1..20_u8).prop_map(|n| format!("timeout: {n}ms")),
        (1..100_u8).prop_map(|n| format!("cache: {n}ms")),
        (1..3_u8, 1..20_u8).prop_map(|(n, period)| format!("throttle: {n}/{period}ms")),
        (1..3_u8).prop_map(|n| format!("concurrency: {n}")),
        (0..101_u8).prop_map(|n| format!("priority: {n}")),
        Just("on_error: skip".to_owned()),
        Just("fallback: 1".to_owned()),
        Just("fallback: g(2) with concurrency: 1, cache: 1s".to_owned()),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let recipe = (any::<bool>(), 0..6_usize, 0..3_u8, prop::collection::vec(option(), 0..5));
    let run = (prop::collection::vec(recipe, 1..6), 0..30_u64, prop::option::weighted(0.4, 0..60_u64));
    (1..4_usize, prop_oneof![Just(1000), 0..5_usize], prop::collection::vec(run, 1..8))
        .prop_map(|(max_in_flight, max_waiting, runs)| Plan { max_in_flight, max_waiting, runs })
}

/// A program of calls whose arguments are constants or results of earlier calls.
fn source(recipes: &[Recipe]) -> String {
    let mut source = "in n: Int\n".to_owned();
    for (place, (is_f, argument, lambdas, options)) in recipes.iter().enumerate() {
        let argument = if *argument < place { format!("a{argument}") } else { argument.to_string() };
        let module = if *is_f { "f" } else { "g" };
        let options = options.join(", ");
        let with = if options.is_empty() { String::new() } else { format!(" with {options}") };
        let call = match lambdas {
            0 => format!("{module}({argument}){with}"),
            // The options stand at the call in the body and at those around it.
            1 => format!("reduce([{argument}, 1, 2], 0, (s, m) => s + ({module}(m){with})){with}"),
            _ => format!(
                "reduce([{argument}, n], 0, (s, m) => s + (reduce([m, 1], 0, (t, k) => t + \
                 ({module}(k){with})){with})){with}"
            ),
        };
        writeln!(source, "a{place} = {call}\nout a{place}").unwrap();
    }
    source
}

/// A module that waits, fails and panics as its argument tells it to.
fn mock(program: &mut Program, name: &str) -> Arc<Mock> {
    program.mock(name, &[Type::Int], Type::Int, |arguments, attempt| {
        let Value::Int(argument) = arguments[0] else { panic!("it takes an integer") };
        let delay = argument.unsigned_abs() % 7;
        match (argument % 5, attempt) {
            (1, 1) => Act::FailAfter(delay, "not yet"),
            (3, 1) => Act::PanicLater,
            (4, _) => Act::Give(Value::Int(argument % 3)),
            _ => Act::GiveAfter(delay, Value::Int(argument % 9)),
        }
    })
}

async fn is_kept(plan: Plan) {
    let mut program = Program::new();
    let mocks = [mock(&mut program, "f"), mock(&mut program, "g")];
    let mut bounds = SchedulerConfig::new(NonZeroUsize::new(plan.max_in_flight).unwrap());
    bounds.max_waiting = plan.max_waiting;
    program.bench.config.scheduler = Some(bounds);
    let runtime = program.runtime();
    let (program, runtime) = (&program, &runtime);
    let runs = plan.runs.iter().map(async |(recipes, begin, dropped)| {
        tokio::time::sleep(Duration::from_millis(*begin)).await;
        let source = source(recipes);
        let run = program.run_on(runtime, &source, json!({ "n": 3 }));
        match dropped {
            Some(dropped) => timeout(Duration::from_millis(*dropped), run).await.ok(),
            None => Some(run.await),
        }
    });
    for report in join_all(runs).await.into_iter().flatten() {
        for error in &report.errors {
            assert!(
                matches!(error.kind, RunErrorKind::Module | RunErrorKind::Timeout | RunErrorKind::Overloaded),
                "{error}"
            );
        }
    }
    let statistics = runtime.statistics();
    assert_eq!((statistics.waiting_for_throttle, statistics.waiting_for_concurrency), (0, 0));
    let scheduler = statistics.scheduler.unwrap();
    assert_eq!((scheduler.in_flight, scheduler.waiting), (0, 0));
    for mock in mocks {
        assert!(mock.gauge.most() <= plan.max_in_flight);
        assert_eq!(mock.gauge.now(), 0);
    }
    // No place and no flight is lost.
    let again =
        "in n: Int\na = f(n) with concurrency: 1, cache: 1s\nb = g(n) with concurrency: 2\nout a\nout b";
    assert_eq!(program.run_on(runtime, again, json!({ "n": 7 })).await.status, RunStatus::Completed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_whatever_its_options(plan in plan()) {
        let executor =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        executor.block_on(is_kept(plan));
    }
}

/// On several threads, where whoever is waited for may be dropped at any moment. Nothing here waits for a clock.
#[test]
fn runs_on_several_threads_end_and_leave_nothing_behind() {
    let executor =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let mut program = Program::new();
    let yields = ModuleBuilder::new("yields").values_with_context(
        [("n", Type::Int)],
        [("out", Type::Int)],
        |arguments, _| {
            let argument = arguments[0].clone();
            constellation_module::Outcome::Pending(Box::pin(async move {
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                Ok(argument)
            }))
        },
    );
    program.bench.registry.register(yields).unwrap();
    program.bench.config.scheduler = Some(SchedulerConfig::new(NonZeroUsize::new(3).unwrap()));
    let source = "in n: Int\na = yields(n) with cache: 1ms\nb = yields(n + 1) with concurrency: 1\n\
                  c = map([a, b, n], (m) => yields(m) with concurrency: 2, cache: 1ms)\nout a\nout b\nout c";
    let pipeline = program.load(source);
    let runtime = program.runtime();
    executor.block_on(async {
        let run = |n: i64| {
            let (runtime, pipeline): (Runtime, _) = (runtime.clone(), Arc::clone(&pipeline));
            let inputs: Inputs = [("n", Value::Int(n % 4))].into_iter().collect();
            tokio::spawn(async move { runtime.run(&pipeline, inputs, <_>::default()).await })
        };
        let runs: Vec<_> = (0..600).map(run).collect();
        for dropped in runs.iter().step_by(3) {
            tokio::task::yield_now().await;
            dropped.abort();
        }
        for (place, run) in runs.into_iter().enumerate() {
            match run.await {
                Ok(report) => assert_eq!(report.status, RunStatus::Completed, "{report:?}"),
                Err(error) => assert!(error.is_cancelled() && place % 3 == 0, "{error}"),
            }
        }
    });
    let statistics = runtime.statistics();
    assert_eq!(statistics.waiting_for_concurrency, 0);
    let scheduler = statistics.scheduler.unwrap();
    assert_eq!((scheduler.in_flight, scheduler.waiting), (0, 0));
    assert!(statistics.cache.hits + statistics.cache.joined > 0, "{statistics:?}");
}
