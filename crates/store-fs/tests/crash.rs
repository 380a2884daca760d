//! Crashes, enumerated: at every call of the file system, with every part of what was not durable kept, lost or
//! torn, and again while recovering.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/progress.rs"]
mod progress;
mod support;

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use constellation_store_core::Operation;
use constellation_store_fs::archive::unfinished_imports;
use constellation_store_fs::core::Core;
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs, ModelVfs};
use constellation_store_mem::State;
use progress::Progress;
use support::crashes::{Crashes, Depth, Distinct, Names, Tried, fates};
use support::workloads::{Acknowledged, Base, Run, STEPS, Setup, Step, apply, archive, assert_answer, run};
use support::{
    as_vfs, commit, content, content_of, describe_content, json_files_alone, name, one, open, options,
    publish, small_store_with_journal,
};

/// With the value `full`, everything is tried that can be enumerated; `cargo xtask crash --full` sets it.
const VARIABLE: &str = "CONSTELLATION_CRASH";
/// With a value like `2/8`, only the second of eight parts of that.
const SHARD_VARIABLE: &str = "CONSTELLATION_CRASH_SHARD";
/// With a directory, what is done of everything is noted there; `cargo xtask crash --full` sets it.
const PROGRESS_VARIABLE: &str = "CONSTELLATION_CRASH_PROGRESS";

/// Triples of which one in so many is tried without [`VARIABLE`]. No divisor of their number, so that the sample
/// has every step in every place.
const SAMPLE: usize = 31;

fn crashes(stride: usize) -> Crashes {
    Crashes::new(Setup::default(), Depth { crashes: 1, stride, is_exhaustive: false })
}

/// Returns how many different trees were recovered.
fn enumerate(stride: usize, base: &Base, workloads: impl IntoIterator<Item = Vec<Step>>) -> usize {
    let crashes = crashes(stride);
    for steps in workloads {
        crashes.try_all(base, &steps);
    }
    crashes.counts.trees.load(Ordering::Relaxed)
}

/// All workloads of so many steps.
fn workloads(length: usize) -> Vec<Vec<Step>> {
    (0..length).fold(vec![Vec::new()], |shorter, _| {
        let longer = |steps: Vec<Step>| STEPS.map(|step| [&steps[..], &[step]].concat());
        shorter.into_iter().flat_map(longer).collect()
    })
}

#[test]
fn a_crash_anywhere_in_one_operation_loses_nothing() {
    for base in [Base::small(), Base::with_journal()] {
        let recovered = enumerate(1, &base, workloads(1));
        assert!(recovered > 40, "{recovered}");
    }
}

#[test]
fn a_crash_anywhere_in_two_operations_loses_nothing() {
    assert!(enumerate(2, &Base::small(), workloads(2)) > 1000);
}

#[test]
fn a_crash_anywhere_in_two_operations_after_a_crash_loses_nothing() {
    assert!(enumerate(2, &Base::with_journal(), workloads(2)) > 1000);
}

#[test]
fn a_crash_anywhere_in_the_third_of_three_operations_loses_nothing() {
    let bases = [Base::small(), Base::with_journal()];
    let crashes = crashes(5);
    for (place, steps) in workloads(3).iter().enumerate().step_by(SAMPLE) {
        crashes.try_last(&bases[place % 2], steps);
    }
    assert!(crashes.counts.trees.load(Ordering::Relaxed) > 200, "{}", crashes.counts.tried());
}

/// Which workload is the first one, and of how many one is tried.
fn shard() -> (usize, usize) {
    let Ok(shard) = std::env::var(SHARD_VARIABLE) else { return (0, 1) };
    let numbers = shard.split_once('/').and_then(|(place, of)| Some((place.parse().ok()?, of.parse().ok()?)));
    let (place, of): (usize, usize) =
        numbers.unwrap_or_else(|| panic!("'{shard}' is not a shard such as 2/8"));
    assert!(place >= 1 && place <= of, "'{shard}' is not a shard such as 2/8");
    (place - 1, of)
}

#[test]
fn everything_is_tried_when_it_is_asked_for() {
    let is_full = std::env::var(VARIABLE).is_ok_and(|value| value == "full");
    if !is_full {
        // What the other tests try is enough from day to day; here only that a pair of crashes is followed.
        let crashes = Crashes::new(Setup::default(), Depth { crashes: 2, stride: 1, is_exhaustive: true });
        crashes.try_all(&Base::with_journal(), &[Step::PublishChanged]);
        let trees = crashes.counts.trees.load(Ordering::Relaxed);
        assert!(trees > 100, "{trees}");
        let crashes = Crashes::new(Setup::default(), Depth { crashes: 2, stride: 5, is_exhaustive: false });
        crashes.try_all(&Base::with_journal(), &[Step::PublishChanged, Step::Close]);
        let trees = crashes.counts.trees.load(Ordering::Relaxed);
        assert!(trees > 100, "{trees}");
        return;
    }
    let start = Instant::now();
    let (first, n_shards) = shard();
    let all = (1..=3).flat_map(workloads).enumerate();
    let all: Vec<_> = all.skip(first).step_by(n_shards).collect();
    let part = format!("{}-of-{n_shards}", first + 1);
    let parts = [("a closed store", Base::small()), ("a store with a journal", Base::with_journal())];
    let directory = std::env::var_os(PROGRESS_VARIABLE).map(PathBuf::from);
    let parts = parts.map(|(what, base)| {
        (what, base, Mutex::new(Progress::of(directory.as_deref(), what, &part, all.len())))
    });
    for (what, base, progress) in &parts {
        let crashes = Crashes::new(Setup::default(), Depth { crashes: 2, stride: 1, is_exhaustive: true });
        let is_done = |workload: usize| progress.lock().unwrap().is_done(workload);
        let next = Mutex::new(all.iter().filter(|(workload, _)| !is_done(*workload)));
        let n_threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..n_threads {
                scope.spawn(|| {
                    loop {
                        // Not while it works.
                        let Some((workload, steps)) = next.lock().unwrap().next() else { return };
                        crashes.try_last(base, steps);
                        progress.lock().unwrap().done(*workload, crashes.counts.tried());
                    }
                });
            }
        });
        eprintln!("{what}: done; {:.0?} so far", start.elapsed());
    }
    let mut tried = Tried::default();
    for (what, _, progress) in parts {
        let of_part = progress.into_inner().unwrap().end();
        eprintln!("{what}: {of_part}");
        tried = tried + of_part;
    }
    eprintln!("everything in part {part} was tried, and nothing was found: {tried}");
}

#[test]
fn a_run_of_everything_goes_on_where_it_was_interrupted_and_begins_anew_when_all_is_done() {
    let directory = tempfile::TempDir::new().unwrap();
    let progress = |part| Progress::of(Some(directory.path()), "a store", part, 3);
    let mut first = progress("1-of-2");
    first.done(2, Tried::of([1, 2, 3, 4, 5]));
    first.done(0, Tried::of([2, 3, 4, 5, 6]));
    drop(first);
    let noted = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::File::options().append(true).open(noted).unwrap().write_all(b"1 9 9").unwrap();
    assert!(!progress("2-of-2").is_done(0), "another part");
    let mut again = progress("1-of-2");
    assert_eq!([0, 1, 2].map(|workload| again.is_done(workload)), [true, false, true]);
    again.done(1, Tried::of([1, 1, 1, 1, 1]));
    drop(again);
    assert_eq!(progress("1-of-2").end(), Tried::of([3, 4, 5, 6, 7]));
    assert!(!progress("1-of-2").is_done(0));
}

#[test]
fn what_is_in_unfinished_files_makes_no_difference() {
    let run = run(Setup::default(), &Base::with_journal(), &[Step::PublishChanged, Step::Close]);
    let (mut names, mut trees, mut contents) = (Names::default(), HashSet::new(), HashMap::new());
    for tree in run.vfs.moments() {
        for (key, fates) in names.left(&tree, fates(&tree.pending())) {
            let left = tree.crash(&fates);
            if trees.insert(left.files()) {
                let found = content(&open(&left));
                assert_eq!(*contents.entry(key).or_insert_with(|| found.clone()), found, "with {fates:?}");
            }
        }
    }
    assert!(contents.len() > 50 && trees.len() > 2 * contents.len(), "{}, {}", contents.len(), trees.len());
}

#[test]
fn a_crash_anywhere_in_a_checkpoint_with_a_commit_in_it_loses_nothing() {
    let workloads = (0..20).map(|after| {
        vec![Step::PublishChanged, Step::Remove, Step::CommitDuringCheckpoint(after), Step::Delete]
    });
    assert!(enumerate(5, &Base::small(), workloads) > 100);
}

#[test]
fn a_crash_anywhere_in_a_batch_leaves_whole_frames_in_order() {
    let workloads = || {
        [
            vec![Step::Batch],
            vec![Step::BatchOfFrames],
            vec![Step::PublishNew, Step::BatchOfFrames, Step::Checkpoint],
            vec![Step::Batch, Step::Checkpoint, Step::PublishChanged, Step::Batch],
        ]
    };
    for base in [Base::small(), Base::with_journal()] {
        assert!(enumerate(8, &base, workloads()) > 50);
    }
}

#[test]
fn a_crash_anywhere_while_segments_grow_follow_one_another_and_are_used_again_loses_nothing() {
    let workloads = [
        // Short frames over long ones, in one segment and over several.
        vec![Step::PublishNew, Step::Delete, Step::Checkpoint, Step::SetActive, Step::Remove],
        vec![Step::Batch, Step::PublishChanged, Step::Checkpoint, Step::PublishNew, Step::Prune],
        vec![Step::BatchOfFrames, Step::PublishNew, Step::Checkpoint, Step::SetActive, Step::Checkpoint],
        vec![Step::PublishNew, Step::CommitDuringCheckpoint(9), Step::Delete, Step::Close],
        // One after the other is written over, each time with less.
        vec![Step::PublishChanged, Step::Checkpoint, Step::Alias, Step::Checkpoint, Step::Delete],
        // Each follows one that is used up, and all are retired together.
        vec![Step::PublishNew, Step::MakeSpare, Step::Batch, Step::MakeSpare, Step::Import, Step::Checkpoint],
    ];
    assert!(enumerate(5, &Base::small(), workloads) > 200);
}

/// A store, the model of it, and what was acknowledged.
struct Beside {
    vfs: ModelVfs,
    core: Core,
    state: State,
    acknowledged: Vec<Acknowledged>,
}

impl Beside {
    fn commit(&mut self, step: Step) {
        for change in step.commits() {
            assert_answer(&commit(&mut self.core, &change), &apply(&mut self.state, &change));
            let content = content_of(&self.state);
            self.acknowledged.push(Acknowledged { moment: self.vfs.recorded(), content });
        }
    }
}

/// Lets commits and a checkpoint come before a call of whoever makes a segment; none when there are fewer calls.
fn make_spare_beside_commits(base: &Base, call: u64) -> Option<Run> {
    let vfs = base.tree.copy();
    vfs.record();
    let faults = FaultVfs::new(as_vfs(&vfs));
    let core = Core::open(Arc::new(faults.clone()), options()).unwrap();
    let (state, acknowledged) = (base.state.clone(), Vec::new());
    let mut beside = Beside { vfs: vfs.clone(), core, state, acknowledged };
    beside.acknowledged.push(Acknowledged { moment: 0, content: content_of(&beside.state) });
    beside.commit(Step::PublishNew);
    let work = beside.core.next_spare().unwrap();
    let n_before = beside.acknowledged.len();
    let beside = Arc::new(Mutex::new(beside));
    let others = Arc::clone(&beside);
    faults.interrupt(faults.calls() + call, move || {
        let mut others = others.lock().unwrap();
        for step in [Step::PublishChanged, Step::Batch] {
            others.commit(step);
        }
        others.core.checkpoint().unwrap();
        others.commit(Step::Delete);
    });
    work.run();
    let mut beside = beside.lock().unwrap();
    if beside.acknowledged.len() == n_before {
        return None;
    }
    beside.core.finish_work().unwrap();
    for step in [Step::Import, Step::Remove] {
        beside.commit(step);
    }
    Some(Run { vfs, acknowledged: std::mem::take(&mut beside.acknowledged), last_step: 0 })
}

#[test]
fn a_crash_anywhere_while_a_segment_is_made_beside_commits_loses_nothing() {
    let base = Base::small();
    let crashes = crashes(7);
    let runs: Vec<_> = (0..).map_while(|call| make_spare_beside_commits(&base, call)).collect();
    assert_eq!(runs.len(), 3, "a file is made, written and synced");
    for run in runs {
        crashes.check(&[Step::MakeSpare], &run, 0);
    }
    assert!(crashes.counts.trees.load(Ordering::Relaxed) > 200, "{}", crashes.counts.tried());
}

#[test]
fn a_crash_while_a_store_is_made_and_first_written_loses_nothing() {
    let workloads = [
        vec![Step::PublishNew, Step::Checkpoint, Step::PublishChanged, Step::Close],
        vec![Step::PutOnly, Step::Checkpoint, Step::PublishNew],
    ];
    assert!(enumerate(1, &Base::empty(), workloads) > 30);
}

#[test]
fn a_call_that_fails_in_an_import_into_a_new_directory_leaves_none_of_it_under_its_name() {
    let archive = archive();
    for call in 0.. {
        let parent = ModelVfs::new();
        let faults = FaultVfs::new(as_vfs(&parent));
        faults.set_fault(Some(Fault { call, error: std::io::ErrorKind::Other, mode: FaultMode::Once }));
        if archive.create_directory(&faults, "store", |_| ()).is_ok() {
            assert!(call > 10, "no call failed");
            return;
        }
        let unfinished = unfinished_imports(&parent, "store").unwrap();
        let is_unfinished = |path: &String| unfinished.contains(&path.split('/').next().unwrap().to_owned());
        assert!(parent.files().keys().all(is_unfinished), "call {call}: {:?}", parent.files().keys());
    }
}

#[test]
fn a_crash_anywhere_in_an_import_into_a_new_directory_leaves_all_of_it_or_none() {
    let parent = ModelVfs::new();
    parent.record();
    let archive = archive();
    archive.create_directory(&parent, "store", |_| ()).unwrap();
    // The store that is in the directory, if it has its name.
    let imported = |tree: &ModelVfs| {
        let store = ModelVfs::new();
        for (path, bytes) in tree.files() {
            if let Some(path) = path.strip_prefix("store/") {
                store.put(path, bytes);
            }
        }
        let is_there = !store.files().is_empty();
        is_there.then(|| describe_content(&open(&store)))
    };
    let expected = imported(&parent.crash(&[]));
    assert!(expected.as_ref().is_some_and(|content| content.contains("imported")));
    let (mut n_absent, mut n_unfinished) = (0, 0);
    for tree in parent.moments() {
        for fates in fates(&tree.pending()) {
            let crashed = tree.crash(&fates);
            let found = imported(&crashed);
            let unfinished = unfinished_imports(&crashed, "store").unwrap();
            n_unfinished += usize::from(!unfinished.is_empty());
            for (path, _) in crashed.files() {
                let root = path.split('/').next().unwrap();
                assert!(root == "store" || unfinished.iter().any(|told| told == root), "{path} is not told");
            }
            n_absent += usize::from(found.is_none());
            assert!(found.is_none() || found == expected, "with {fates:?}");
        }
    }
    assert!(n_absent > 100 && n_unfinished > 100, "{n_absent}, {n_unfinished}");
}

#[test]
fn the_json_files_alone_are_a_store_at_every_moment_of_a_checkpoint() {
    let steps = [
        vec![Step::PublishNew, Step::PublishChanged, Step::Checkpoint],
        vec![Step::Remove, Step::Prune, Step::Alias, Step::Checkpoint],
        vec![Step::Collect, Step::Close],
    ];
    let (base, mut distinct) = (Base::small(), Distinct::default());
    for steps in steps {
        let run = run(Setup::default(), &base, &steps);
        distinct.check(&run.vfs, |left| {
            let alone = open(&json_files_alone(left));
            assert_eq!(alone.shared().status().warnings, [""; 0], "{steps:?}");
        });
    }
}

#[test]
fn numbers_and_revisions_go_on_after_a_crash() {
    let base = small_store_with_journal();
    let mut core = open(&base);
    let before = commit(&mut core, &publish("a", 20)).unwrap();
    let pruned = commit(&mut core, &one(Operation::PruneVersions { name: name("a"), keep: 0 })).unwrap();
    let crashed = base.crash(&[]);
    let mut core = open(&crashed);
    let next = commit(&mut core, &publish("a", 21)).unwrap();
    assert!(next.revision > pruned.revision && pruned.revision > before.revision);
    let numbers: Vec<_> = {
        let state = core.shared().state();
        state.versions(&name("a")).unwrap().versions.iter().map(|version| version.version).collect()
    };
    assert_eq!(numbers, [4, 5], "4 is the one before, which stays since it was active");
}
