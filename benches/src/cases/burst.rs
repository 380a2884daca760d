//! Many writers at once: the rate of acknowledged publishes, and the rate until the JSON files are there too.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use constellation_benches::disk::{start_clean, wait_for_old_deletions};
use constellation_benches::images::Program;
use constellation_benches::report::{Goal, Measure, Report, Row};
use constellation_store_core::{PipelineStore as _, PipelineStoreExt as _};
use constellation_store_fs::FileSystemPipelineStore;

use super::all_threads;
use crate::rivals::{Batcher, Fjall, Naive, NaiveFiles, NaiveMaps, Record, Redb, Rival, Sqlite};
use crate::settings::{Settings, progress};

const WRITERS: usize = 64;

/// Rates of one contender, in publishes a second, one for each round.
struct Rates {
    name: &'static str,
    rates: Vec<f64>,
}

pub(crate) fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let programs: Arc<Vec<Program>> = Arc::new((0..settings.burst()).map(Program::of).collect());
    let mut ours = Vec::new();
    let mut sustained = Vec::new();
    let mut rivals =
        [Sqlite::NAME, Redb::NAME, Fjall::NAME, Naive::NAME].map(|name| Rates { name, rates: Vec::new() });
    for round in 0..3 {
        progress(&format!("{} publishes by {WRITERS} writers, round {round}", settings.burst()));
        let place = settings.place("burst").join(round.to_string());
        // The naive way replaces files all the time, and so deletes; whoever comes next would make files slowly.
        wait_for_old_deletions(&place.join("probe"))?;
        let (burst, settled) = measure_ours(&programs, &place.join("ours"))?;
        ours.push(burst);
        sustained.push(settled);
        rivals[0].rates.push(measure_batched::<Sqlite>(&programs, &place)?);
        rivals[1].rates.push(measure_batched::<Redb>(&programs, &place)?);
        rivals[2].rates.push(measure_batched::<Fjall>(&programs, &place)?);
        rivals[3].rates.push(measure_naive(&programs, &place.join("naive"))?);
    }
    // The naive way has no group commit, so it is no rival for the burst.
    let best = rivals[..3]
        .iter()
        .filter_map(|rival| Some((rival.name, Measure::median_of(&rival.rates)?.median)))
        .max_by(|left, right| left.1.total_cmp(&right.1))
        .map(|(name, _)| name);
    let row = |case: String, ours: &[f64], rival: &Rates, goal| Row {
        case,
        unit: "publishes/s",
        ours: Measure::median_of(ours),
        peer_name: rival.name.to_owned(),
        peer: Measure::median_of(&rival.rates),
        goal,
        note: None,
    };
    let count = programs.len();
    for rival in &rivals {
        let goal = (best == Some(rival.name)).then_some(Goal::AtLeast(1.5));
        report.rows.push(row(format!("{count} publishes, {WRITERS} writers, rate"), &ours, rival, goal));
    }
    for rival in &rivals {
        let goal = (rival.name == Naive::NAME).then_some(Goal::AtLeast(2.0));
        report.rows.push(row("the same until all JSON files are synced".to_owned(), &sustained, rival, goal));
    }
    Ok(())
}

/// The rate of acknowledgements, and the rate until the store is closed, which writes what is pending.
fn measure_ours(programs: &Arc<Vec<Program>>, directory: &Path) -> anyhow::Result<(f64, f64)> {
    start_clean();
    let runtime = all_threads()?;
    let store = Arc::new(FileSystemPipelineStore::open(directory)?);
    let start = Instant::now();
    runtime.block_on(by_all_writers(programs, || {
        let store = Arc::clone(&store);
        move |program: Program| {
            let store = Arc::clone(&store);
            async move {
                store.publish(program.publication()).await?;
                Ok(())
            }
        }
    }))?;
    let burst = rate(programs, start);
    runtime.block_on(store.close())?;
    Ok((burst, rate(programs, start)))
}

fn measure_batched<R: Rival>(programs: &Arc<Vec<Program>>, place: &Path) -> anyhow::Result<f64> {
    start_clean();
    let runtime = all_threads()?;
    let mut rival = R::open(&place.join(R::NAME))?;
    let batcher = Batcher::start(move |records| rival.publish(records));
    let sender = batcher.sender();
    let start = Instant::now();
    runtime.block_on(by_all_writers(programs, || {
        let sender = sender.clone();
        move |program: Program| {
            let sender = sender.clone();
            async move { sender.publish(Record::of(&program)).await }
        }
    }))?;
    let rate = rate(programs, start);
    drop((sender, runtime));
    batcher.finish()?;
    Ok(rate)
}

/// Each writer writes the files that are its own, and the shared ones are written once for all that wait.
fn measure_naive(programs: &Arc<Vec<Program>>, directory: &Path) -> anyhow::Result<f64> {
    start_clean();
    let runtime = all_threads()?;
    let files = NaiveFiles::create(directory)?;
    let mut maps = NaiveMaps::new(files.clone());
    let batcher = Batcher::start(move |records| maps.add(records));
    let sender = batcher.sender();
    let start = Instant::now();
    runtime.block_on(by_all_writers(programs, || {
        let (sender, files) = (sender.clone(), files.clone());
        move |program: Program| {
            let (sender, files) = (sender.clone(), files.clone());
            let write = move || {
                let record = Record::of(&program);
                files.write(&record).map(|()| record)
            };
            async move { sender.publish(tokio::task::spawn_blocking(write).await??).await }
        }
    }))?;
    let rate = rate(programs, start);
    drop((sender, runtime));
    batcher.finish()?;
    Ok(rate)
}

/// Publishes all programs, each by the next writer that is free.
pub(super) async fn by_all_writers<W, F>(
    programs: &Arc<Vec<Program>>,
    writer: impl Fn() -> W,
) -> anyhow::Result<()>
where
    W: Fn(Program) -> F + Send + 'static,
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..WRITERS {
        let (programs, next, publish) = (Arc::clone(programs), Arc::clone(&next), writer());
        tasks.push(tokio::spawn(async move {
            while let Some(program) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                publish(program.clone()).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

fn rate(programs: &[Program], start: Instant) -> f64 {
    let count = u32::try_from(programs.len()).expect("fewer programs than that");
    f64::from(count) / start.elapsed().as_secs_f64()
}
