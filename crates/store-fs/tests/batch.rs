//! Commits that share a sync: each is answered as if it were alone, and none before what it depends on is durable.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::{Duration, Instant};

use constellation_store_core::{
    Commit, ErrorKind, Operation, PipelineImage, PipelineStore as _, Precondition,
};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::core::{Core, CoreOptions};
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs, ModelVfs, Vfs};
use futures_util::FutureExt as _;
use support::hooked::Hooked;
use support::{
    alias, as_vfs, assert_same, commit, commit_batch, content, image, kind_of, name, one, open, options,
    publish, small_store,
};

/// The first two answers depend on nothing; all others come after a commit that changes something.
const INDEPENDENT: usize = 2;

fn batch() -> Vec<Commit> {
    vec![
        publish("a", 1),
        alias("a", 2).require(name("a"), Precondition::Absent),
        publish("new", 10),
        publish("new", 10),
        alias("new", 2).require(name("new"), Precondition::Absent),
        alias("new", 2).require(name("new"), Precondition::Active(1)),
        one(Operation::RemoveImage { structural_hash: image(10).structural_hash }),
        alias("other", 77),
        one(Operation::DeleteName { name: name("B/c") }),
        one(Operation::RemoveImage { structural_hash: image(4).structural_hash }),
    ]
}

#[test]
fn a_batch_is_answered_as_its_commits_one_after_another() {
    for frame_bytes in [1, 1800, 1 << 20] {
        let alone = small_store();
        let mut core = open(&alone);
        let expected: Vec<_> = batch()
            .iter()
            .map(|change| commit(&mut core, change).map_err(|error| error.to_string()))
            .collect();
        let expected_content = content(&core);
        let kinds = expected.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(kinds, 4, "{expected:?}");

        let tree = small_store();
        let mut core = Core::open(as_vfs(&tree), CoreOptions { frame_bytes, ..options() }).unwrap();
        let answers: Vec<_> = commit_batch(&mut core, &batch())
            .into_iter()
            .map(|answer| answer.map_err(|error| error.to_string()))
            .collect();
        assert_eq!(answers, expected);
        assert_same(&content(&core), &expected_content);
        assert_same(&content(&open(&tree.crash(&[]))), &expected_content);
    }
}

#[test]
fn images_of_one_graph_are_written_down_each_with_its_own_metadata() {
    let (first, mut second) = (image(50), PipelineImage::clone(&image(50)));
    second.metadata.compiler = Some("second".into());
    let structural_hash = first.structural_hash;
    let tree = small_store();
    let mut core = open(&tree);
    let change = Commit::new()
        .then(Operation::PutImage(first))
        .then(Operation::RemoveImage { structural_hash })
        .then(Operation::PutImage(Arc::new(second)));
    commit(&mut core, &change).unwrap();
    assert_same(&content(&open(&tree.crash(&[]))), &content(&core));
    let stored = core.shared().state().get(&structural_hash).unwrap();
    assert_eq!(stored.metadata.compiler.as_deref(), Some("second"));
}

#[test]
fn a_batch_takes_one_write_and_one_sync() {
    let faults = FaultVfs::new(as_vfs(&small_store()));
    let options = CoreOptions { clock: options().clock, ..CoreOptions::default() };
    let mut core = Core::open(Arc::new(faults.clone()), options).unwrap();
    commit(&mut core, &publish("first", 90)).unwrap();
    let before = faults.calls();
    commit_batch(&mut core, &batch());
    assert_eq!(faults.calls() - before, 2);
    commit_batch(&mut core, &[publish("first", 90), publish("first", 90)]);
    assert_eq!(faults.calls() - before, 2, "what changes nothing writes nothing");
}

#[test]
fn what_cannot_be_written_fails_every_commit_that_may_depend_on_it_and_no_other() {
    let mut kinds = std::collections::BTreeSet::new();
    for mode in [FaultMode::Once, FaultMode::Sticky, FaultMode::ShortWrite, FaultMode::Full] {
        for error in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
            for call in 0.. {
                let tree = small_store();
                let faults = FaultVfs::new(as_vfs(&tree));
                let mut core = Core::open(Arc::new(faults.clone()), options()).unwrap();
                let before = content(&core);
                faults.set_fault(Some(Fault { call: faults.calls() + call, error, mode }));
                let answers: Vec<_> = commit_batch(&mut core, &batch()).into_iter().map(kind_of).collect();
                let struck = faults.struck();
                faults.set_fault(None);
                assert_eq!(answers[..INDEPENDENT], [None, Some(ErrorKind::Conflict)]);
                let after = content(&core);
                if after == before {
                    let kind = answers[INDEPENDENT];
                    assert!(kind.is_some() && answers[INDEPENDENT..].iter().all(|answer| *answer == kind));
                    kinds.insert(format!("{kind:?}"));
                } else {
                    assert_eq!(answers[INDEPENDENT], None);
                    assert_eq!(answers[INDEPENDENT + 2], Some(ErrorKind::Conflict));
                }
                drop(core);
                let whole = {
                    let mut core = open(&small_store());
                    commit_batch(&mut core, &batch());
                    content(&core)
                };
                for left in [tree.crash(&[]), tree.copy()] {
                    let found = content(&open(&left));
                    let is_unknown = answers[INDEPENDENT] == Some(ErrorKind::OutcomeUnknown);
                    assert!(found == after || is_unknown && found == whole, "{mode:?} {error} {call}");
                }
                if !struck {
                    break;
                }
            }
        }
    }
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}

#[test]
fn at_the_bound_of_the_backlog_a_batch_fails_when_the_files_cannot_be_written() {
    let tree = small_store();
    let options = CoreOptions { backlog_bytes: 4000, ..options() };
    let mut core = Core::open(as_vfs(&tree), options).unwrap();
    tree.discard("images");
    tree.put("images", "in the way");
    let commits: Vec<_> = (100..120).map(|number| publish("many", number)).collect();
    let answers: Vec<_> = commit_batch(&mut core, &commits).into_iter().map(kind_of).collect();
    let made = answers.iter().take_while(|answer| answer.is_none()).count();
    assert!((1..5).contains(&made), "{answers:?}");
    assert!(answers[made..].iter().all(|answer| *answer == Some(ErrorKind::StorageFull)), "{answers:?}");
    let active = core.shared().state().resolve(&name("many")).unwrap();
    assert_eq!(active.version, made as u64);
}

/// Counts syncs, and lets none return before everybody who takes part has a commit in the queue.
#[derive(Debug, Default)]
struct Gate {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    is_closed: bool,
    syncs: usize,
    queued: usize,
}

const WRITERS: usize = 64;

impl Gate {
    fn count(&self) {
        let mut counts = self.counts.lock().unwrap();
        counts.syncs += 1;
        let _open = self
            .changed
            .wait_while(counts, |counts| counts.is_closed && !counts.queued.is_multiple_of(WRITERS))
            .unwrap();
    }

    fn queued(&self) {
        self.counts.lock().unwrap().queued += 1;
        self.changed.notify_all();
    }
}

#[test]
fn commits_of_many_threads_share_syncs() {
    const ROUNDS: usize = 5;
    let tree = ModelVfs::new();
    let gate = Arc::new(Gate::default());
    let counted = Arc::clone(&gate);
    let store = FileSystemPipelineStore::options()
        .checkpoint_after_idle(Duration::from_hours(1))
        .open_on(Arc::new(Hooked::on_sync(&tree, move || counted.count())))
        .unwrap();
    let store = Arc::new(store);
    let before = {
        let mut counts = gate.counts.lock().unwrap();
        counts.is_closed = true;
        counts.syncs
    };
    let barrier = Arc::new(Barrier::new(WRITERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, gate, barrier) = (Arc::clone(&store), Arc::clone(&gate), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let mut answers = Vec::new();
                for round in 0..ROUNDS {
                    barrier.wait();
                    let number = i64::try_from(writer * ROUNDS + round).unwrap();
                    let mut answer = store.commit(publish("shared", number));
                    // Now it is in the queue.
                    let early = (&mut answer).now_or_never();
                    gate.queued();
                    answers.push(early.unwrap_or_else(|| runtime.block_on(answer)));
                }
                answers
            })
        })
        .collect();
    let mut revisions: Vec<_> = writers
        .into_iter()
        .flat_map(|writer| writer.join().unwrap())
        .map(|answer| answer.unwrap().revision.0)
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=(WRITERS * ROUNDS) as u64).collect::<Vec<_>>());
    let syncs = gate.counts.lock().unwrap().syncs - before;
    // The first to come has a frame, everybody else of the round shares one; and some for making segments.
    assert!(syncs <= 2 * ROUNDS + 10, "{syncs} syncs for {} commits", WRITERS * ROUNDS);
    drop(store);
    assert_eq!(open(&tree.crash(&[])).shared().state().revision().0, (WRITERS * ROUNDS) as u64);
}

#[test]
fn the_next_segment_is_made_beside_commits_and_gone_when_the_store_is_closed() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tree = ModelVfs::new();
    let store = FileSystemPipelineStore::options()
        .checkpoint_after_idle(Duration::from_hours(1))
        .open_on(as_vfs(&tree))
        .unwrap();
    // More than a half of the first segment.
    let text = "x".repeat(140 << 10);
    runtime.block_on(store.commit(one(Operation::PutSource(text.into())))).unwrap();
    let is_made = |tree: &ModelVfs| {
        let files = tree.files();
        let mut spares = files.iter().filter(|(path, _)| path.starts_with("journal/.tmp-"));
        spares.any(|(_, bytes)| bytes.len() == 512 << 10)
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_made(&tree) {
        assert!(Instant::now() < deadline, "no segment is made");
        std::thread::sleep(Duration::from_millis(1));
    }
    runtime.block_on(store.close()).unwrap();
    let left: Vec<_> = tree.files().into_keys().filter(|path| path.starts_with("journal/")).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_segment_that_is_read_while_frames_are_written_is_not_taken_for_damaged() {
    let tree = small_store();
    let options = CoreOptions { max_segment_bytes: 1 << 20, ..options() };
    let mut core = Core::open(as_vfs(&tree), options.clone()).unwrap();
    for number in 60..63 {
        commit(&mut core, &publish("busy", number)).unwrap();
    }
    let files = tree.files();
    let (_, bytes) = files.iter().find(|(path, _)| path.starts_with("journal/")).unwrap();
    let frames: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"\xffCJF")).collect();
    // The second frame was read before it was written, the third one after.
    let mut mixed = bytes.clone();
    mixed[frames[1]..frames[2]].fill(0);
    let once = Arc::new(Mutex::new(Some(mixed)));
    let left = Arc::clone(&once);
    let vfs =
        Hooked::on_read(
            &tree,
            move |path| {
                if path.starts_with("journal/") { left.lock().unwrap().take() } else { None }
            },
        );
    let reader = Core::open_read_only(&(Arc::new(vfs) as Arc<dyn Vfs>), options).unwrap();
    assert!(once.lock().unwrap().is_none());
    assert_same(&content(&reader), &content(&core));
    assert_eq!(reader.shared().status().warnings, [""; 0]);
}
