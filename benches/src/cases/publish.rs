//! Publishing one program at a time: image, source, index entry, version and alias, durable at the return.

use std::path::Path;
use std::time::Duration;

use constellation_benches::images::Program;
use constellation_benches::report::{Goal, Measure, Report, Row};
use constellation_store_core::{PipelineStore as _, PipelineStoreExt as _};
use constellation_store_fs::{FileSystemPipelineStore, OpenOptions};

use super::one_thread;
use crate::rivals::{Fjall, Naive, Prewritten, Record, Redb, Rival, Sqlite};
use crate::settings::{Settings, progress};
use constellation_benches::turns::{Contender, take_turns};

const OURS: &str = "ours";
const BY_ITS_THREAD: &str = "ours, by the thread of the store";
const READY: &str = "SQLite, document ready";
const FLOOR: &str = "prewritten file, one fdatasync";

/// An operation for all contenders: the program, and what it comes to for those that are handed it ready.
struct Operation {
    program: Program,
    record: [Record; 1],
    bytes: Vec<u8>,
}

pub(crate) fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    progress("publishes one at a time");
    let runtime = one_thread()?;
    let place = settings.place("publish");
    let ours = quiet().open(place.join("ours"))?;
    let by_its_thread = quiet().commit_on_caller(false).open(place.join("by-its-thread"))?;
    let mut ready = Sqlite::open(&place.join("sqlite-ready"))?;
    let mut floor = Prewritten::create(&place.join("prewritten"))?;
    let mut contenders = vec![
        Contender::new(OURS, |operation: &Operation| {
            runtime.block_on(ours.publish(operation.program.publication()))?;
            Ok(())
        }),
        Contender::new(BY_ITS_THREAD, |operation: &Operation| {
            runtime.block_on(by_its_thread.publish(operation.program.publication()))?;
            Ok(())
        }),
        rival::<Sqlite>(&place)?,
        Contender::new(READY, move |operation: &Operation| ready.publish(&operation.record)),
        rival::<Redb>(&place)?,
        rival::<Fjall>(&place)?,
        rival::<Naive>(&place)?,
        Contender::new(FLOOR, move |operation: &Operation| floor.write(&operation.bytes)),
    ];
    let operations = (0..settings.operations()).map(|number| {
        let program = Program::of(number);
        let record = [Record::of(&program)];
        Operation { bytes: Prewritten::bytes(&record[0]), program, record }
    });
    take_turns(&mut contenders, operations)?;

    let measure = Measure::of(&contenders[0].times);
    for contender in &contenders[1..] {
        let goal = match contender.name.as_str() {
            Sqlite::NAME => Some(Goal::AtMost(0.8)),
            FLOOR => Some(Goal::AtMost(1.5)),
            _ => None,
        };
        report.rows.push(Row {
            case: "publish one at a time, p50".into(),
            unit: "us",
            ours: measure,
            peer_name: contender.name.clone(),
            peer: Measure::of(&contender.times),
            goal,
            note: None,
        });
    }
    drop(contenders);
    for store in [ours, by_its_thread] {
        runtime.block_on(store.close())?;
    }
    Ok(())
}

/// A store that commits where it is called, as its rivals do, and writes no JSON files while single operations are timed:
/// that would disturb the rivals as much as itself. What writing them costs is in the sustained rate.
pub(super) fn quiet() -> OpenOptions {
    FileSystemPipelineStore::options()
        .commit_on_caller(true)
        .checkpoint_after_bytes(48 << 20)
        .checkpoint_after_idle(Duration::from_hours(1))
}

fn rival<R: Rival>(place: &Path) -> anyhow::Result<Contender<'static, Operation>> {
    let mut rival = R::open(&place.join(R::NAME))?;
    Ok(Contender::new(R::NAME, move |operation: &Operation| rival.publish(&[Record::of(&operation.program)])))
}
