//! How many requests a second, beside the floor.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use constellation_benches::disk::start_clean;
use constellation_benches::report::{Goal, Measure, Row};
use constellation_lang::{FunctionTable, compile, tokenize};
use constellation_store_core::{
    ImageMetadata, Origin, PipelineImage, PipelineStore as _, PipelineStoreExt as _, Publication, SourceHash,
    SyntacticKey, Timestamp,
};
use constellation_store_fs::FileSystemPipelineStore;

use crate::floor::Answers;
use crate::load::{post_script, rate, script};
use crate::paced::latencies;
use crate::process::Serving;
use crate::{Settings, programs};

const CONNECTIONS: u32 = 32;
const COMPILING_CONNECTIONS: u32 = 64;
const THREADS: u64 = 2;
/// More than a store takes in a second.
const MAX_PUBLICATIONS: u64 = 40_000;

/// How long each round is, and how many there are.
fn rounds(settings: &Settings) -> (u32, usize) {
    if settings.quick { (2, 3) } else { (4, 7) }
}

pub(crate) struct Both {
    pub(crate) server: Serving,
    pub(crate) floor: Serving,
    /// Of the server.
    pub(crate) store: PathBuf,
}

/// The server, and the floor with the server's answers.
pub(crate) fn start(settings: &Settings) -> anyhow::Result<Both> {
    let store = settings.new_store();
    let server = Serving::server(settings, &store)?;
    let compile = server.post("/compile", &programs::compilation())?;
    let answers = Answers {
        execute: server.post("/execute", &programs::execution())?,
        run: server.post("/run", &programs::run())?,
        compile,
        pipeline: server.get(&format!("/pipelines/{}", programs::NAME))?,
    };
    for (route, answer) in [("execute", &answers.execute), ("run", &answers.run)] {
        ensure!(answer.contains("\"success\":true"), "{route} answered {answer}");
    }
    let path = settings.directory.join("answers.json");
    std::fs::write(&path, serde_json::to_vec(&answers)?)?;
    Ok(Both { server, floor: Serving::floor(&path)?, store })
}

/// Rates of the server and the floor in turns.
fn compare(
    settings: &Settings,
    both: &Both,
    path: &str,
    script: Option<&Path>,
) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let (seconds, n_rounds) = rounds(settings);
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..n_rounds {
        ours.push(rate(&format!("{}{path}", both.server.url), script, CONNECTIONS, seconds)?);
        floor.push(rate(&format!("{}{path}", both.floor.url), script, CONNECTIONS, seconds)?);
    }
    Ok((ours, floor))
}

pub(crate) fn answers(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let both = start(settings)?;
    let directory = &settings.directory;
    let execution = post_script(directory, "execute", &programs::execution())?;
    let run = post_script(directory, "run", &programs::run())?;
    let pipeline = format!("/pipelines/{}", programs::NAME);
    let cases = [
        ("POST /execute of five nodes", "/execute", Some(&*execution), 0.85),
        ("POST /run of a known kilobyte", "/run", Some(&*run), 0.75),
        ("GET /pipelines/{ref}", &*pipeline, None, 0.85),
    ];
    let mut rows = Vec::new();
    let mut execution_rate = None;
    for (case, path, script, goal) in cases {
        let (ours, floor) = compare(settings, &both, path, script)?;
        let row = Row {
            case: format!("{case}, {CONNECTIONS} connections"),
            unit: "requests/s",
            ours: Measure::median_of(&ours),
            peer_name: "axum, same bytes".into(),
            peer: Measure::median_of(&floor),
            goal: Some(Goal::AtLeast(goal)),
            note: None,
        };
        execution_rate = execution_rate.or(row.ours);
        rows.push(row);
    }
    let half = execution_rate.context("no execution was measured")?.median / 2.0;
    rows.push(tail(settings, &both, half)?);
    Ok(rows)
}

/// The slowest of a hundred executions at half of the highest rate.
///
/// What is slow is mostly what the system did meanwhile, and comes in phases of seconds. So there are many short rounds,
/// each of tens of thousands of requests, and whoever comes first in one comes last in the next.
fn tail(settings: &Settings, both: &Both, requests_a_second: f64) -> anyhow::Result<Row> {
    const DURATION: Duration = Duration::from_secs(1);
    let n_rounds = if settings.quick { 6 } else { 30 };
    let body = programs::execution();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..n_rounds {
        let mut turns = [(&both.server, &mut ours), (&both.floor, &mut floor)];
        turns.rotate_left(round % 2);
        for (serving, times) in turns {
            let url = &serving.url;
            times.push(latencies(url, "/execute", &body, CONNECTIONS, requests_a_second, DURATION)?.p99);
        }
    }
    Ok(Row {
        case: format!("POST /execute at {requests_a_second:.0} a second: p99"),
        unit: "us",
        ours: Measure::median_of(&ours),
        peer_name: "axum, same bytes".into(),
        peer: Measure::median_of(&floor),
        goal: Some(Goal::AtMost(2.0)),
        note: None,
    })
}

/// New programs, beside what axum, the compiler and the store take for them one after the other.
pub(crate) fn compilations(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let both = start(settings)?;
    let (seconds, n_rounds) = rounds(settings);
    let (mut ours, mut axum, mut compiler, mut store) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..n_rounds {
        // Others in each round: what is stored is not compiled again.
        let lua = programs::compilations(round * 10_000_000);
        let script = script(&settings.directory, "compile", &lua)?;
        let measure = |serving: &Serving| {
            start_clean();
            rate(&format!("{}/compile", serving.url), Some(&script), COMPILING_CONNECTIONS, seconds)
        };
        ours.push(measure(&both.server)?);
        axum.push(measure(&both.floor)?);
        compiler.push(compiler_alone(seconds)?);
        store.push(store_alone(settings, seconds)?);
    }
    let stored = both.server.stored()?;
    ensure!(
        stored.names.abs_diff(stored.images) < 10,
        "{} names have {} images, so that known programs were compiled",
        stored.names,
        stored.images
    );
    let alone = |rates: &[f64]| {
        Measure::median_of(rates).map(|measure| measure.median).context("nothing was measured")
    };
    let (axum, compiler, store) = (alone(&axum)?, alone(&compiler)?, alone(&store)?);
    let composed = 1.0 / (1.0 / axum + 1.0 / compiler + 1.0 / store);
    Ok(vec![Row {
        case: format!("POST /compile of new named programs, {COMPILING_CONNECTIONS} connections"),
        unit: "requests/s",
        ours: Measure::median_of(&ours),
        peer_name: "axum, compiler and store, one after another".into(),
        peer: Some(Measure { median: composed, p99: None }),
        goal: Some(Goal::AtLeast(0.7)),
        note: Some(format!("alone: axum {axum:.0}, compiler {compiler:.0}, store {store:.0} a second")),
    }])
}

/// What a compilation makes.
fn compiled(functions: &FunctionTable, number: u64) -> anyhow::Result<Publication> {
    let (name, source) = programs::numbered(number);
    let tokens = tokenize(&source);
    let key: SyntacticKey = tokens.syntactic_key(functions);
    let dag = compile(&tokens, functions).dag_spec.context("the program compiles")?;
    let mut metadata = ImageMetadata::new(&dag, Timestamp::UNIX_EPOCH);
    metadata.source_hash = Some(SourceHash::of_bytes(source.as_bytes()));
    metadata.syntactic_hash = Some(key.syntactic);
    let image = Arc::new(PipelineImage::new(dag, metadata));
    Ok(Publication::new(image, Origin::Compile)
        .with_source(source.into())
        .with_key(key)
        .with_name(name.parse()?))
}

/// Compilations a second, on all threads.
fn compiler_alone(seconds: u32) -> anyhow::Result<f64> {
    let functions = FunctionTable::new(constellation_stdlib::registry().signatures().cloned());
    let next = AtomicU64::new(0);
    let start = Instant::now();
    let done = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = 0_u32;
                    while start.elapsed().as_secs() < u64::from(seconds) {
                        compiled(&functions, next.fetch_add(1, Ordering::Relaxed))?;
                        done += 1;
                    }
                    anyhow::Ok(done)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("it does not panic"))
            .sum::<anyhow::Result<u32>>()
    })?;
    Ok(f64::from(done) / start.elapsed().as_secs_f64())
}

/// Publications a second by as many writers as there are connections.
fn store_alone(settings: &Settings, seconds: u32) -> anyhow::Result<f64> {
    let functions = FunctionTable::new(constellation_stdlib::registry().signatures().cloned());
    let n_programs = u64::from(seconds) * MAX_PUBLICATIONS;
    let publications =
        (0..n_programs).map(|number| compiled(&functions, number)).collect::<anyhow::Result<Vec<_>>>()?;
    start_clean();
    let store = Arc::new(FileSystemPipelineStore::open(settings.new_store())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let queue = Arc::new(std::sync::Mutex::new(publications));
    let start = Instant::now();
    let done = runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..COMPILING_CONNECTIONS {
            let (store, queue) = (Arc::clone(&store), Arc::clone(&queue));
            writers.spawn(async move {
                let mut done = 0_u32;
                while start.elapsed().as_secs() < u64::from(seconds) {
                    let Some(publication) = queue.lock().expect("nobody panics").pop() else { break };
                    store.publish(publication).await?;
                    done += 1;
                }
                anyhow::Ok(done)
            });
        }
        let mut done = 0;
        while let Some(writer) = writers.join_next().await {
            done += writer??;
        }
        anyhow::Ok(done)
    })?;
    let rate = f64::from(done) / start.elapsed().as_secs_f64();
    ensure!(u64::from(done) < n_programs, "the store took all programs before its time was over");
    runtime.block_on(store.close())?;
    Ok(rate)
}

/// Fills a store until it has so many pipelines.
pub(crate) fn fill(directory: &Path, n_pipelines: u64) -> anyhow::Result<()> {
    let functions = FunctionTable::new(constellation_stdlib::registry().signatures().cloned());
    let store = FileSystemPipelineStore::open(directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for number in store.status().await?.names..n_pipelines {
            store.publish(compiled(&functions, number)?).await?;
        }
        store.close().await?;
        anyhow::Ok(())
    })
}
