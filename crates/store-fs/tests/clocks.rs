//! Clocks that jump: numbers and revisions go on, nothing that is young or in use is collected, nothing is lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use constellation_store_core::{
    Clock, Commit, GcOptions, Operation, Origin, PipelineImage, PipelineStore as _, PipelineStoreExt as _,
    Revision, Timestamp,
};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::vfs::ModelVfs;
use support::reading::content;
use support::{as_vfs, image, name};

const DAY: i64 = 24 * 60 * 60 * 1000;
const YEAR: i64 = 365 * DAY;

/// A clock that is set.
#[derive(Debug)]
struct SetClock(AtomicI64);

impl SetClock {
    fn starting_in_2026() -> Arc<Self> {
        let start: Timestamp = "2026-02-02T14:30:00Z".parse().unwrap();
        Arc::new(Self(AtomicI64::new(start.as_milliseconds())))
    }

    fn jump(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_milliseconds(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

fn open(tree: &ModelVfs, clock: &Arc<SetClock>) -> FileSystemPipelineStore {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    FileSystemPipelineStore::options()
        .clock(clock)
        .checkpoint_after_idle(Duration::from_hours(1))
        .open_on(as_vfs(tree))
        .unwrap()
}

/// An image as it is when it is compiled now.
fn compiled(number: i64, now: Timestamp) -> Arc<PipelineImage> {
    let mut image = PipelineImage::clone(&image(number));
    image.metadata.compiled_at = now;
    Arc::new(image)
}

fn record(number: i64, now: Timestamp) -> Commit {
    let image = compiled(number, now);
    let structural_hash = image.structural_hash;
    Commit::new().then(Operation::PutImage(image)).then(Operation::RecordVersion {
        name: name("a"),
        structural_hash,
        origin: Origin::Loader,
        source_hash: None,
    })
}

#[tokio::test]
async fn a_clock_that_jumps_neither_repeats_numbers_nor_ages_what_is_young_or_in_use() {
    let tree = ModelVfs::new();
    let clock = SetClock::starting_in_2026();
    let mut revision = Revision(0);
    let mut in_use = BTreeSet::new();
    let mut n_removed = 0;
    let jumps = [0, -YEAR, 51 * YEAR, -50 * YEAR, 0, 8 * DAY, -100 * YEAR, 150 * YEAR, -51 * YEAR];
    for (round, jump) in (0..).zip(jumps) {
        clock.jump(jump);
        let now = clock.now();
        let store = open(&tree, &clock);
        let committed = store.commit(record(round, now)).await.unwrap();
        assert!(committed.revision > revision, "after a jump of {jump} ms");
        in_use.insert(image(round).structural_hash);
        let unused = compiled(100 + round, now);
        revision = store
            .commit(Commit::new().then(Operation::PutImage(Arc::clone(&unused))))
            .await
            .unwrap()
            .revision;

        let history = store.versions(&name("a")).await.unwrap().unwrap();
        let numbers: Vec<_> = history.versions.iter().map(|version| version.version).collect();
        assert_eq!(numbers, (1..=in_use.len() as u64).collect::<Vec<_>>(), "after a jump of {jump} ms");
        let last = history.versions.last().unwrap();
        assert_eq!((last.created_at, history.active_version), (now, Some(last.version)));

        let removed = store.gc(GcOptions::new(now)).await.unwrap().removed;
        assert!(!removed.contains(&unused.structural_hash), "it is young, after a jump of {jump} ms");
        assert!(removed.iter().all(|hash| !in_use.contains(hash)), "after a jump of {jump} ms");
        n_removed += removed.len();
        revision = revision.max(store.status().await.unwrap().revision);

        // In the journal, in the files with their catalogue, and in the files alone.
        let expected = content(&store).await;
        drop(store);
        let store = open(&tree, &clock);
        assert_eq!(content(&store).await, expected);
        store.close().await.unwrap();
        for is_believed in [true, false] {
            let left = tree.crash(&[]);
            if !is_believed {
                left.discard("pack");
            }
            let store = open(&left, &clock);
            assert_eq!(content(&store).await, expected, "after a jump of {jump} ms");
            assert_eq!(store.status().await.unwrap().warnings, [""; 0]);
        }
    }
    assert!(n_removed > 0, "what is old and in nobody's use is collected");
}

#[tokio::test]
async fn thousands_of_commits_at_one_instant_each_get_a_number_and_checkpoints_each_an_id() {
    const COMMITS: u64 = 3000;
    let tree = ModelVfs::new();
    let clock = SetClock::starting_in_2026();
    let now = clock.now();
    let mut checkpoints = BTreeSet::new();
    let mut revision = Revision(0);
    let mut store = open(&tree, &clock);
    for number in 0..COMMITS {
        let committed = store.commit(record(i64::try_from(number % 2).unwrap(), now)).await.unwrap();
        assert!(committed.revision > revision);
        revision = committed.revision;
        if number % 300 == 299 {
            store.close().await.unwrap();
            let manifest: serde_json::Value = serde_json::from_slice(&tree.files()["store.json"]).unwrap();
            checkpoints.insert(manifest["checkpointId"].as_str().unwrap().to_owned());
            store = open(&tree, &clock);
        }
    }
    assert_eq!(checkpoints.len() as u64, COMMITS / 300);
    let history = store.versions(&name("a")).await.unwrap().unwrap();
    let numbers = history.versions.iter().map(|version| version.version);
    assert!(numbers.eq(1..=COMMITS));
    assert!(store.gc(GcOptions::new(now)).await.unwrap().removed.is_empty());
    let expected = content(&store).await;
    drop(store);
    assert_eq!(content(&open(&tree.crash(&[]), &clock)).await, expected);
}
