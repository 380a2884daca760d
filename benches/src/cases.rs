//! The cases, in the order in which they are measured.

mod alias;
mod burst;
mod growth;
mod lookup;
mod open;
mod publish;
mod stored;

use constellation_benches::report::Report;
use tokio::runtime::{Builder, Runtime};

use crate::settings::Settings;

/// Measures everything, and hands the report so far to `save` after each case: a run that is stopped keeps what it
/// has measured.
pub(crate) fn run(
    settings: &Settings,
    report: &mut Report,
    save: impl Fn(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    publish::run(settings, report)?;
    save(report)?;
    burst::run(settings, report)?;
    save(report)?;
    let stored = stored::Stored::fill(settings)?;
    for case in [open::run, lookup::run, growth::run, alias::run] {
        case(settings, &stored, report)?;
        save(report)?;
    }
    Ok(())
}

/// For callers that do one thing at a time.
fn one_thread() -> anyhow::Result<Runtime> {
    Ok(Builder::new_current_thread().build()?)
}

/// As a server has it: a worker for each core.
fn all_threads() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().build()?)
}
