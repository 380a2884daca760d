//! How long loading and running take, beside the same work by hand.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use constellation_benches::report::{Goal, Measure, Row};
use constellation_benches::turns::{Contender, take_turns};
use constellation_module::types::Value;
use constellation_module::{CallContext, Module, Outcome};
use constellation_rehydrate::{LoadedPipeline, Rehydrator};
use constellation_runtime::{Inputs, RunOptions, RunStatus, Runtime};
use constellation_store_core::PipelineImage;
use futures_util::future::join_all;
use tokio::runtime::Runtime as Executor;

use crate::allocations::held_by;
use crate::pipelines::{self, STEP, SUM_MODULE, TEXT_MODULES};

/// Lengths of chains.
const CHAINS: [usize; 5] = [1, 3, 10, 50, 100];
const WIDE: usize = 50;
const DEEP: usize = 10;
/// Nodes of the images that are loaded.
const IMAGES: [usize; 3] = [10, 100, 1_000];
/// What more than the loop a run of one module may take, in microseconds.
const GOAL_OVERHEAD: f64 = 1.0;
/// What loading a node may take, in nanoseconds.
const GOAL_LOADING: f64 = 200.0;

/// A run with everything that belongs to it: inputs by name, and outputs in a report.
async fn run(runtime: &Runtime, pipeline: &Arc<LoadedPipeline>, x: &Value) -> anyhow::Result<()> {
    let inputs = Inputs::from_iter([("x", x.clone())]);
    let report = runtime.run(pipeline, inputs, RunOptions::default()).await;
    ensure!(report.status == RunStatus::Completed, "a run failed: {:?}", report.errors);
    black_box(report);
    Ok(())
}

fn answer(outcome: Outcome) -> anyhow::Result<Value> {
    match outcome {
        Outcome::Ready(result) => Ok(result?),
        Outcome::Pending(_) => anyhow::bail!("a pure module waits"),
    }
}

pub(crate) fn chains(executor: &Executor, quick: bool) -> anyhow::Result<Vec<Row>> {
    let registry = pipelines::registry()?;
    let texts = TEXT_MODULES.map(|name| pipelines::module(&registry, name));
    let [upper, lower] = texts;
    let texts = [upper?, lower?];
    let sum = pipelines::module(&registry, SUM_MODULE)?;
    let context = CallContext::default();
    let mut rows = Vec::new();
    for n in CHAINS {
        let by_hand = |x: &Value| {
            (0..n).try_fold(x.clone(), |value, link| answer(texts[link % 2].call(&[value], &context)))
        };
        let pipeline = pipelines::load(&pipelines::text_chain(n), &registry)?;
        let x = Value::string("Order 17 of Ada Lovelace");
        rows.extend(chain(executor, "texts", n, (&pipeline, &x), by_hand, quick)?);
        let by_hand = |x: &Value| {
            (0..n).try_fold(x.clone(), |value, _| answer(sum.call(&[value, x.clone()], &context)))
        };
        let pipeline = pipelines::load(&pipelines::sum_chain(n), &registry)?;
        rows.extend(chain(executor, "sums", n, (&pipeline, &Value::Int(3)), by_hand, quick)?);
    }
    Ok(rows)
}

fn chain(
    executor: &Executor,
    of_what: &str,
    n: usize,
    (pipeline, x): (&Arc<LoadedPipeline>, &Value),
    by_hand: impl Fn(&Value) -> anyhow::Result<Value>,
    quick: bool,
) -> anyhow::Result<Vec<Row>> {
    let runtime = Runtime::default();
    // Enough runs at once for the clock not to matter.
    let batch = (400 / n).max(4);
    let mut contenders = [
        Contender::new("run", |_: &usize| {
            executor.block_on(async {
                for _ in 0..batch {
                    run(&runtime, pipeline, black_box(x)).await?;
                }
                Ok(())
            })
        }),
        Contender::new("loop", |_| {
            for _ in 0..batch {
                black_box(by_hand(black_box(x))?);
            }
            Ok(())
        }),
    ];
    take_turns(&mut contenders, 0..if quick { 100 } else { 2_000 })?;
    let [ours, floor] = contenders.map(|contender| each(&contender.times, batch));
    let row = Row {
        case: format!("chain of {n} pure modules, {of_what}"),
        unit: "us",
        ours: Measure::of(&ours),
        peer_name: "a loop over the modules".into(),
        peer: Measure::of(&floor),
        goal: (n == 100).then_some(Goal::AtMost(2.0)),
        note: None,
    };
    if n > 1 {
        return Ok(vec![row]);
    }
    let overhead = row.ours.zip(row.peer).map(|(ours, floor)| ours.median - floor.median);
    let overhead = Row {
        case: format!("chain of {n} pure module, {of_what}: more than the loop"),
        ours: overhead.map(|median| Measure { median, p99: None }),
        peer_name: "the goal".into(),
        peer: Some(Measure { median: GOAL_OVERHEAD, p99: None }),
        goal: Some(Goal::AtMost(1.0)),
        ..row.clone()
    };
    Ok(vec![row, overhead])
}

/// What one of a batch took.
fn each(times: &[f64], batch: usize) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let batch = batch as f64;
    times.iter().map(|time| time / batch).collect()
}

pub(crate) fn grid(executor: &Executor, quick: bool) -> anyhow::Result<Vec<Row>> {
    let registry = pipelines::registry()?;
    let pipeline = pipelines::load(&pipelines::grid(WIDE, DEEP), &registry)?;
    let step = pipelines::module(&registry, STEP)?;
    let runtime = Runtime::default();
    let mut contenders = [
        Contender::new("run", |_: &usize| executor.block_on(run(&runtime, &pipeline, &Value::Int(7)))),
        Contender::new("joined", |_| {
            black_box(executor.block_on(by_hand(&*step))?);
            Ok(())
        }),
    ];
    take_turns(&mut contenders, 0..if quick { 100 } else { 2_000 })?;
    let [ours, floor] = &contenders;
    Ok(vec![Row {
        case: format!("{WIDE} wide by {DEEP} deep, asynchronous modules"),
        unit: "us",
        ours: Measure::of(&ours.times),
        peer_name: "the same futures, joined layer by layer".into(),
        peer: Measure::of(&floor.times),
        goal: Some(Goal::AtMost(1.5)),
        note: None,
    }])
}

async fn by_hand(step: &dyn Module) -> anyhow::Result<Vec<Value>> {
    let context = CallContext::default();
    let mut layer = vec![Value::Int(7); WIDE];
    for _ in 0..DEEP {
        let calls = (0..WIDE).map(|place| {
            let outcome = step.call(&[layer[place].clone(), layer[(place + 1) % WIDE].clone()], &context);
            outcome.wait()
        });
        layer = join_all(calls).await.into_iter().collect::<Result<_, _>>()?;
    }
    Ok(layer)
}

/// Many runs, in a row and at the same time: how even they are, and what stays of them.
pub(crate) fn many(executor: &Executor, quick: bool) -> anyhow::Result<Vec<Row>> {
    let registry = pipelines::registry()?;
    let runtime = Runtime::default();
    let (x, text) = (Value::Int(7), Value::string("Order 17 of Ada Lovelace"));
    let sequential = pipelines::load(&pipelines::text_chain(5), &registry)?;
    let run_and_time = |pipeline, x| {
        let runtime = &runtime;
        async move {
            let start = Instant::now();
            run(runtime, pipeline, x).await?;
            anyhow::Ok(start.elapsed().as_secs_f64() * 1e6)
        }
    };
    let in_a_row = |n: usize, times: &mut Vec<f64>| {
        executor.block_on(async {
            for _ in 0..n {
                times.push(run_and_time(&sequential, &text).await?);
            }
            anyhow::Ok(())
        })
    };
    let at_once = pipelines::load(&pipelines::grid(3, 2), &registry)?;
    let together = |rounds: usize, times: &mut Vec<f64>| {
        executor.block_on(async {
            for _ in 0..rounds {
                for time in join_all((0..1_000).map(|_| run_and_time(&at_once, &x))).await {
                    times.push(time?);
                }
            }
            anyhow::Ok(())
        })
    };
    let rounds = if quick { 3 } else { 30 };
    let mut rows = Vec::new();
    // Room for the times is made before, so that it is not taken for what runs leave behind.
    let mut times = Vec::with_capacity(40_000);
    in_a_row(1_000, &mut times)?;
    times.clear();
    let (held, result) = held_by(|| in_a_row(10_000, &mut times));
    result?;
    rows.extend(even("10,000 runs of 5 modules, one after another", &times, held));
    together(1, &mut times)?;
    times.clear();
    let (held, result) = held_by(|| together(rounds, &mut times));
    result?;
    rows.extend(even("1,000 runs of 6 asynchronous modules at once", &times, held));
    Ok(rows)
}

/// Two rows: p99 over p50, and the bytes that are held afterwards.
fn even(case: &str, times: &[f64], held: i64) -> Vec<Row> {
    let measure = Measure::of(times);
    let p50 = measure.map(|measure| Measure { median: measure.median, p99: None });
    let p99 = measure.and_then(|measure| Some(Measure { median: measure.p99?, p99: None }));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let held = Measure { median: held.max(0) as f64, p99: None };
    let tail = Row {
        case: format!("{case}: p99"),
        unit: "us",
        ours: p99,
        peer_name: "p50".into(),
        peer: p50,
        goal: Some(Goal::AtMost(3.0)),
        note: None,
    };
    let memory = Row {
        case: format!("{case}: held afterwards"),
        unit: "bytes",
        ours: Some(held),
        peer_name: "4 KiB".into(),
        peer: Some(Measure { median: 4096.0, p99: None }),
        goal: Some(Goal::AtMost(1.0)),
        note: None,
    };
    vec![tail, memory]
}

pub(crate) fn loading(quick: bool) -> anyhow::Result<Vec<Row>> {
    let rehydrator = Rehydrator::new(pipelines::registry()?);
    let mut rows = Vec::new();
    let mut smaller: Option<Measure> = None;
    for n in IMAGES {
        let image = pipelines::image(&constellation_benches::programs::program(n), rehydrator.registry())?;
        let n_nodes = image.dag_spec.nodes.len();
        let times = loads(&image, &rehydrator, quick)?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let nanoseconds: Vec<f64> = times.iter().map(|time| time * 1e3 / n_nodes as f64).collect();
        let ours = Measure::of(&nanoseconds);
        let row = Row {
            case: format!("loading an image of {n} declarations ({n_nodes} nodes)"),
            unit: "ns/node",
            ours,
            peer_name: "the goal".into(),
            peer: Some(Measure { median: GOAL_LOADING, p99: None }),
            goal: Some(Goal::AtMost(1.0)),
            note: None,
        };
        if let Some(smaller) = smaller {
            rows.push(Row {
                case: format!("loading an image of {n} declarations: a node"),
                peer_name: "a node of a tenth of it".into(),
                peer: Some(smaller),
                goal: Some(Goal::AtMost(1.2)),
                ..row.clone()
            });
        }
        rows.push(row);
        smaller = ours;
    }
    Ok(rows)
}

fn loads(image: &Arc<PipelineImage>, rehydrator: &Rehydrator, quick: bool) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..if quick { 50 } else { 500 } {
        let start = Instant::now();
        let pipeline = rehydrator.rehydrate(Arc::clone(image)).context("a stored image loads")?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        drop(black_box(pipeline));
    }
    Ok(times)
}
