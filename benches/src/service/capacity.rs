//! What many stored pipelines cost a server that does not use them.

use std::time::{Duration, Instant};

use constellation_benches::disk::start_clean;
use constellation_benches::report::{Goal, Measure, Row};

use crate::process::Serving;
use crate::rates::fill;
use crate::{Settings, programs};

/// How much later a server may answer first, in milliseconds.
const GOAL_LATER: f64 = 50.0;
/// When memory is looked at: the check of the files begins five seconds after the start.
const IDLE: Duration = Duration::from_secs(12);
/// How much memory it may have.
const GOAL_BYTES: f64 = 64.0 * 1024.0 * 1024.0;

pub(crate) fn of_stored(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let n_pipelines: u64 = if settings.quick { 2_000 } else { 10_000 };
    // Filling takes longer than all else, so that it is kept for the next measurement.
    let (full, empty) = (settings.directory.join(format!("full-{n_pipelines}")), settings.new_store());
    fill(&full, n_pipelines)?;
    let (name, _) = programs::numbered(n_pipelines - 1);
    let path = format!("/pipelines/{}", name.replace('/', "%2F"));
    start_clean();
    let (mut with, mut without, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..if settings.quick { 3 } else { 9 } {
        let (server, milliseconds) = first_answer(settings, &full, &path)?;
        with.push(milliseconds);
        std::thread::sleep(IDLE);
        memory.push(server.resident_bytes()?);
        drop(server);
        let (server, milliseconds) = first_answer(settings, &empty, "/live")?;
        without.push(milliseconds);
        drop(server);
    }
    let (with, without) = (Measure::median_of(&with), Measure::median_of(&without));
    let later =
        with.zip(without).map(|(with, without)| Measure { median: with.median - without.median, p99: None });
    let row = |case: String, unit, ours, peer_name: &str, peer, goal| Row {
        case,
        unit,
        ours,
        peer_name: peer_name.into(),
        peer,
        goal,
        note: None,
    };
    let bound = |median| Some(Measure { median, p99: None });
    Ok(vec![
        row(
            format!("start to first answer, {n_pipelines} stored"),
            "ms",
            with,
            "an empty store",
            without,
            None,
        ),
        row(
            format!("start to first answer, {n_pipelines} stored: later"),
            "ms",
            later,
            "the goal",
            bound(GOAL_LATER),
            Some(Goal::AtMost(1.0)),
        ),
        row(
            format!("resident memory, {n_pipelines} stored and idle"),
            "bytes",
            Measure::median_of(&memory),
            "64 MiB",
            bound(GOAL_BYTES),
            Some(Goal::AtMost(1.0)),
        ),
    ])
}

/// From before the process was started until it has answered, in milliseconds.
fn first_answer(settings: &Settings, store: &std::path::Path, path: &str) -> anyhow::Result<(Serving, f64)> {
    let server = Serving::server(settings, store)?;
    let start = Instant::now();
    server.get(path)?;
    let milliseconds = (server.started_in + start.elapsed()).as_secs_f64() * 1e3;
    Ok((server, milliseconds))
}
