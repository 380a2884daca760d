//! Reading images by hash from a store that is open, after the first use of each.

use std::collections::HashMap;
use std::sync::{Arc, Barrier, PoisonError, RwLock};
use std::time::Instant;

use constellation_benches::images::Random;
use constellation_benches::report::{Goal, Measure, Report, Row};
use constellation_store_core::{PipelineImage, PipelineStore, PipelineStoreExt as _, StructuralHash};
use constellation_store_fs::FileSystemPipelineStore;

use super::one_thread;
use super::stored::Stored;
use crate::settings::{Settings, progress};

const THREADS: u32 = 2;

/// Reads of each thread in a round.
const READS: u32 = 500_000;

type Map = RwLock<HashMap<[u8; 32], Arc<PipelineImage>>>;

pub(crate) fn run(settings: &Settings, stored: &Stored, report: &mut Report) -> anyhow::Result<()> {
    progress("reads by hash");
    // The middle size: all of it is in memory in either.
    let runtime = one_thread()?;
    let store = FileSystemPipelineStore::open(&stored.stores[1].ours)?;
    let summaries = runtime.block_on(store.list_all_images())?;
    let hashes: Vec<StructuralHash> = summaries.iter().map(|summary| summary.structural_hash).collect();
    let mut images = HashMap::new();
    for hash in &hashes {
        let image = runtime.block_on(store.get(hash))?;
        images.insert(*hash.as_bytes(), image.expect("it was listed, and nothing removes it"));
    }
    let map: Map = RwLock::new(images);

    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for round in 0..=settings.rounds() as u64 {
        let of_ours = rate(round, &hashes, |order| {
            let runtime = one_thread().expect("a runtime without threads");
            runtime.block_on(async {
                for hash in order {
                    assert!(store.get(hash).await.is_ok_and(|image| image.is_some()));
                }
            });
        });
        let of_map = rate(round, &hashes, |order| {
            for hash in order {
                let map = map.read().unwrap_or_else(PoisonError::into_inner);
                assert!(map.get(hash.as_bytes()).cloned().is_some());
            }
        });
        // The first round warms up.
        if round > 0 {
            ours.push(of_ours);
            peer.push(of_map);
        }
    }
    report.rows.push(Row {
        case: format!("get by hash, {} images, {THREADS} threads", hashes.len()),
        unit: "million/s",
        ours: Measure::median_of(&ours),
        peer_name: "RwLock<HashMap<[u8; 32], Arc>>".into(),
        peer: Measure::median_of(&peer),
        goal: Some(Goal::AtLeast(0.8)),
        note: None,
    });
    Ok(runtime.block_on(store.close())?)
}

/// Millions of reads a second of all threads together, each in an order of its own.
fn rate(round: u64, hashes: &[StructuralHash], read: impl Fn(&[&StructuralHash]) + Sync) -> f64 {
    let barrier = Barrier::new(THREADS as usize + 1);
    let start = std::thread::scope(|scope| {
        for thread in 0..u64::from(THREADS) {
            let (barrier, read) = (&barrier, &read);
            scope.spawn(move || {
                let mut random = Random(round << 8 | thread);
                let count = u32::try_from(hashes.len()).expect("a hundred thousand at most");
                let order: Vec<&StructuralHash> =
                    (0..READS).map(|_| &hashes[random.below(count) as usize]).collect();
                barrier.wait();
                read(&order);
            });
        }
        barrier.wait();
        Instant::now()
    });
    let reads = f64::from(READS) * f64::from(THREADS);
    reads / start.elapsed().as_secs_f64() / 1e6
}
