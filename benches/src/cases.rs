//! The cases, in the order in which they are measured.

mod alias;
mod burst;
mod growth;
mod lookup;
mod open;
mod publish;
mod stored;

use constellation_benches::disk::wait_for_old_deletions;
use constellation_benches::report::Report;
use tokio::runtime::{Builder, Runtime};

use crate::settings::Settings;

type OnNew = fn(&Settings, &mut Report) -> anyhow::Result<()>;
type OnStored = fn(&Settings, &stored::Stored, &mut Report) -> anyhow::Result<()>;

/// The cases that make their stores themselves.
const ON_NEW: [(&str, OnNew); 2] = [("publish", publish::run), ("burst", burst::run)];
/// Those that need stores which are full already.
const ON_STORED: [(&str, OnStored); 4] =
    [("open", open::run), ("lookup", lookup::run), ("growth", growth::run), ("alias", alias::run)];

/// Measures everything that is asked for, and hands the report so far to `save` after each case: a run that is stopped
/// keeps what it has measured.
pub(crate) fn run(
    settings: &Settings,
    report: &mut Report,
    save: impl Fn(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let on_new: Vec<_> = ON_NEW.into_iter().filter(|(name, _)| settings.wants(name)).collect();
    let on_stored: Vec<_> = ON_STORED.into_iter().filter(|(name, _)| settings.wants(name)).collect();
    anyhow::ensure!(!on_new.is_empty() || !on_stored.is_empty(), "there is no such case; see --help");
    wait_for_old_deletions(&settings.place("probe"))?;
    for (_, case) in on_new {
        case(settings, report)?;
        save(report)?;
    }
    if on_stored.is_empty() {
        return Ok(());
    }
    let stored = stored::Stored::fill(settings)?;
    for (_, case) in on_stored {
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
