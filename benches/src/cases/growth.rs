//! Whether a publish costs more in a full store than in an empty one.

use constellation_benches::images::Program;
use constellation_benches::report::{Goal, Measure, Report, Row};
use constellation_store_core::{PipelineStore as _, PipelineStoreExt as _};

use super::stored::{Stored, StoredPrograms};
use super::{one_thread, publish};
use crate::settings::{Settings, progress};
use constellation_benches::turns::{Contender, take_turns};

/// Above the numbers of all programs that are stored already.
const FIRST_NEW: u64 = 1 << 40;

pub(crate) fn run(settings: &Settings, filled: &Stored, report: &mut Report) -> anyhow::Result<()> {
    progress("publishes into a full store");
    let runtime = one_thread()?;
    let (small, large) = (filled.smallest(), filled.largest());
    let open = |stored: &StoredPrograms| publish::quiet().open(&stored.ours);
    let stores = [open(small)?, open(large)?];
    let mut contenders: Vec<Contender<'_, Program>> = stores
        .iter()
        .map(|store| {
            Contender::new("ours", |program: &Program| {
                runtime.block_on(store.publish(program.publication()))?;
                Ok(())
            })
        })
        .collect();
    let programs = (FIRST_NEW..FIRST_NEW + settings.operations()).map(Program::of);
    take_turns(&mut contenders, programs)?;
    let [in_small, in_large] =
        [&contenders[0], &contenders[1]].map(|contender| Measure::of(&contender.times));
    report.rows.push(Row {
        case: format!("publish with {} stored, p50", large.count),
        unit: "us",
        ours: in_large,
        peer_name: format!("ours with {} stored", small.count),
        peer: in_small,
        goal: Some(Goal::AtMost(1.2)),
        note: None,
    });
    drop(contenders);
    for store in &stores {
        runtime.block_on(store.close())?;
    }
    Ok(())
}
