//! Pointing a name to another image, by the number of names that there are.

use std::cell::Cell;

use constellation_benches::images::{Program, Random, name};
use constellation_benches::report::{Goal, Measure, Report, Row};
use constellation_store_core::{PipelineName, PipelineStore as _, PipelineStoreExt as _, StructuralHash};
use constellation_store_fs::FileSystemPipelineStore;

use super::stored::{Stored, StoredPrograms};
use super::{one_thread, publish};
use crate::rivals::{Fjall, Naive, Redb, Rival, Sqlite, Version};
use crate::settings::{Settings, progress};
use constellation_benches::turns::{Contender, take_turns};

/// A turn: which of the names, as a share of all, and to which of the first few images it is to point.
struct Turn {
    share: u32,
    target: usize,
}

/// Images that names are pointed to, which each store has.
const TARGETS: u64 = 50;

pub(crate) fn run(settings: &Settings, filled: &Stored, report: &mut Report) -> anyhow::Result<()> {
    progress("changes of aliases");
    let runtime = one_thread()?;
    let targets: Vec<StructuralHash> =
        (0..TARGETS).map(|number| Program::of(number).image.structural_hash).collect();
    let targets = targets.as_slice();
    let mut stores: Vec<(u64, FileSystemPipelineStore)> = Vec::new();
    for StoredPrograms { count, ours, .. } in &filled.stores {
        stores.push((*count, publish::quiet().open(ours)?));
    }
    let mut contenders = Vec::new();
    for (count, store) in &stores {
        let runtime = &runtime;
        contenders.push(Contender::new("ours", move |turn: &Turn| {
            runtime.block_on(store.alias(&turn.name(*count), &targets[turn.target]))?;
            Ok(())
        }));
        let place = settings.place("alias").join(count.to_string());
        contenders.push(rival(Sqlite::open(&place.join(Sqlite::NAME))?, *count, targets)?);
        contenders.push(rival(Redb::open(&place.join(Redb::NAME))?, *count, targets)?);
        contenders.push(rival(Fjall::open(&place.join(Fjall::NAME))?, *count, targets)?);
        contenders.push(rival(Naive::open(&place.join(Naive::NAME))?, *count, targets)?);
    }
    let mut random = Random(2);
    let turns = (0..settings.operations()).map(|number| Turn {
        share: random.below(u32::MAX),
        // Never the same twice in a row, so that a name that comes again soon is changed again.
        target: usize::try_from(number % TARGETS).expect("a small number"),
    });
    take_turns(&mut contenders, turns)?;

    let per_size = contenders.chunks(5).zip(stores.iter().map(|(count, _)| count));
    let mut ours = Vec::new();
    for (contenders, count) in per_size {
        let measure = Measure::of(&contenders[0].times);
        ours.extend(measure);
        for rival in &contenders[1..] {
            report.rows.push(Row {
                case: format!("alias change at {count} names, p50"),
                unit: "us",
                ours: measure,
                peer_name: rival.name.clone(),
                peer: Measure::of(&rival.times),
                goal: (rival.name == Sqlite::NAME).then_some(Goal::AtMost(1.0)),
                note: None,
            });
        }
    }
    ours.sort_by(|left, right| left.median.total_cmp(&right.median));
    report.rows.push(Row {
        case: format!("alias change, slowest of {} numbers of names", ours.len()),
        unit: "us",
        ours: ours.last().copied(),
        peer_name: "ours, fastest of them".into(),
        peer: ours.first().copied(),
        goal: Some(Goal::AtMost(1.2)),
        note: None,
    });
    drop(contenders);
    for (_, store) in &stores {
        runtime.block_on(store.close())?;
    }
    Ok(())
}

impl Turn {
    /// The name that is changed among `count`.
    fn name(&self, count: u64) -> PipelineName {
        name((u64::from(self.share) * count) >> 32)
    }
}

/// Fills a rival with as many names, and lets it change one at a time.
fn rival<R: Rival>(
    mut rival: R,
    count: u64,
    targets: &[StructuralHash],
) -> anyhow::Result<Contender<'_, Turn>> {
    let hashes: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let names: Vec<PipelineName> = (0..count).map(name).collect();
    let versions: Vec<Version<'_>> = names
        .iter()
        .map(|name| Version { name: name.as_str(), number: 1, structural_hash: &hashes[0] })
        .collect();
    rival.alias(&versions)?;
    let number = Cell::new(1);
    Ok(Contender::new(R::NAME, move |turn: &Turn| {
        // Versions of one name need not follow one another for the price of a new one to be the same.
        number.set(number.get() + 1);
        let name = turn.name(count);
        let structural_hash = &hashes[turn.target];
        rival.alias(&[Version { name: name.as_str(), number: number.get(), structural_hash }])
    }))
}
