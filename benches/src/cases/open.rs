//! Opening a full store until every name resolves and any image can be executed.

use std::path::Path;

use anyhow::ensure;
use constellation_benches::images::Random;
use constellation_benches::report::{Goal, Measure, Report, Row};

use super::stored::{Stored, StoredPrograms};
use crate::process::{Opening, Way};
use crate::settings::{Settings, progress};
use constellation_benches::turns::shuffle;

const FILES: &str = "all files read and parsed, 2 threads";
const HASHED: &str = "all files read, hashed and parsed, 2 threads";
const DATABASE: &str = "SQLite, all loaded and parsed";

pub(crate) fn run(settings: &Settings, stored: &Stored, report: &mut Report) -> anyhow::Result<()> {
    // The smallest size is too small for its opening to be told from the start of a process.
    for stored in &stored.stores[1..] {
        progress(&format!("opening {} images", stored.count));
        let warm = measure(settings, stored, Cache::Warm)?;
        let goals = [Some(Goal::AtMost(0.1)), None, Some(Goal::AtMost(0.15))];
        rows(report, &format!("open {} images, warm", stored.count), &warm, goals);
        let cold = format!("open {} images, cold page cache", stored.count);
        if drop_caches().is_ok() {
            rows(report, &cold, &measure(settings, stored, Cache::Cold)?, goals);
        } else {
            for (peer_name, goal) in [(FILES, goals[0]), (DATABASE, goals[2])] {
                report.rows.push(Row {
                    case: cold.clone(),
                    unit: "s",
                    ours: None,
                    peer_name: peer_name.into(),
                    peer: None,
                    goal,
                    note: Some("skipped: the page cache cannot be dropped here; it takes root".into()),
                });
            }
        }
        let plain = measure(settings, stored, Cache::WithoutDerived)?;
        let goals = [None, Some(Goal::AtMost(1.2)), None];
        rows(report, &format!("open {} images from the JSON files alone", stored.count), &plain, goals);
        resident(report, stored, &warm[0])?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cache {
    Warm,
    Cold,
    /// Warm, but for what the store can rebuild, which is deleted.
    WithoutDerived,
}

/// Openings of our store, of the files, of the files with hashes, and of SQLite.
type Openings = [Vec<Opening>; 4];

fn measure(settings: &Settings, stored: &StoredPrograms, cache: Cache) -> anyhow::Result<Openings> {
    let ways = [
        (Way::Ours, &stored.ours),
        (Way::Files, &stored.ours),
        (Way::HashedFiles, &stored.ours),
        (Way::Sqlite, &stored.sqlite),
    ];
    let mut openings: Openings = Default::default();
    let mut random = Random(4);
    let mut order: Vec<usize> = (0..ways.len()).collect();
    // The first round fills the page cache, and does not count.
    for round in 0..=settings.rounds() {
        shuffle(&mut order, &mut random);
        for &index in &order {
            let (way, directory) = ways[index];
            match cache {
                Cache::Warm => {}
                Cache::Cold => drop_caches()?,
                Cache::WithoutDerived => delete_derived(&stored.ours)?,
            }
            let opening = way.measure(directory)?;
            ensure!(opening.images == stored.count, "{way:?} found {} images", opening.images);
            if round > 0 || cache == Cache::Cold {
                openings[index].push(opening);
            }
        }
        if cache == Cache::Cold && round > 0 {
            break;
        }
    }
    Ok(openings)
}

fn rows(report: &mut Report, case: &str, openings: &Openings, goals: [Option<Goal>; 3]) {
    let seconds = |openings: &[Opening]| {
        let seconds: Vec<f64> = openings.iter().map(|opening| opening.seconds).collect();
        Measure::median_of(&seconds)
    };
    let [ours, rivals @ ..] = openings;
    for ((rival, peer_name), goal) in rivals.iter().zip([FILES, HASHED, DATABASE]).zip(goals) {
        report.rows.push(Row {
            case: case.to_owned(),
            unit: "s",
            ours: seconds(ours),
            peer_name: peer_name.into(),
            peer: seconds(rival),
            goal,
            note: None,
        });
    }
}

/// What our store has in memory once it is open, against the bytes of the images.
fn resident(report: &mut Report, stored: &StoredPrograms, openings: &[Opening]) -> anyhow::Result<()> {
    const MEGABYTE: f64 = 1e6;
    let resident: Vec<f64> = openings.iter().map(|opening| opening.resident_bytes / MEGABYTE).collect();
    let mut bytes = 0;
    for entry in std::fs::read_dir(stored.ours.join("images"))? {
        bytes += entry?.metadata()?.len();
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = bytes as f64 / MEGABYTE;
    report.rows.push(Row {
        case: format!("resident memory, {} images opened, none used", stored.count),
        unit: "MB",
        ours: Measure::median_of(&resident),
        peer_name: "the bytes of the image files".into(),
        peer: Measure::median_of(&[bytes]),
        goal: Some(Goal::AtMost(0.25)),
        note: None,
    });
    Ok(())
}

/// Empties the page cache of the machine, which only root may.
fn drop_caches() -> std::io::Result<()> {
    std::fs::write("/proc/sys/vm/drop_caches", "3")
}

/// What a closed store can rebuild from its JSON files: few files, so that deleting them slows nothing down.
fn delete_derived(directory: &Path) -> anyhow::Result<()> {
    for derived in ["pack", "aliases.json"].map(|name| directory.join(name)) {
        if derived.is_dir() {
            std::fs::remove_dir_all(derived)?;
        } else if derived.exists() {
            std::fs::remove_file(derived)?;
        }
    }
    Ok(())
}
