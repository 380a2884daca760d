//! Failing calls of the file system: after each, the store is as it was or cleanly read-only, and what it says is
//! what is on disk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind as Io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use constellation_store_core::{Commit, ErrorKind, Operation};
use constellation_store_fs::core::{Core, CoreOptions};
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs, ModelVfs, Vfs};
use support::{
    after_kill, alias, as_vfs, assert_same, commit, content, describe_content, image, json_files_alone,
    kind_of, name, one, open, options, publish, small_store, small_store_with_journal,
};

const FAULTS: [(FaultMode, Io); 9] = [
    (FaultMode::Once, Io::Other),
    (FaultMode::Once, Io::StorageFull),
    (FaultMode::Once, Io::QuotaExceeded),
    (FaultMode::Once, Io::ReadOnlyFilesystem),
    (FaultMode::Sticky, Io::Other),
    (FaultMode::Sticky, Io::StaleNetworkFileHandle),
    (FaultMode::ShortWrite, Io::StorageFull),
    (FaultMode::ShortWrite, Io::Other),
    (FaultMode::Full, Io::StorageFull),
];

/// Where what a failure is called makes no difference.
const FEW: [(FaultMode, Io); 4] = [
    (FaultMode::Once, Io::Other),
    (FaultMode::Sticky, Io::Other),
    (FaultMode::ShortWrite, Io::StorageFull),
    (FaultMode::Full, Io::StorageFull),
];

fn operations() -> Vec<Commit> {
    vec![
        publish("new", 10),
        publish("a", 11),
        alias("alias", 2),
        one(Operation::SetActive { name: name("a"), version: 2 }),
        one(Operation::DeleteName { name: name("B/c") }),
        one(Operation::RemoveImage { structural_hash: image(4).structural_hash }),
        one(Operation::PruneVersions { name: name("a"), keep: 0 }),
    ]
}

fn open_with_faults(tree: &ModelVfs) -> (FaultVfs, Core) {
    let faults = FaultVfs::new(as_vfs(tree));
    let core = Core::open(Arc::new(faults.clone()), options()).unwrap();
    (faults, core)
}

/// Calls `check` with every fault that strikes, from the first call on, until none does.
fn for_each_fault(faults: &[(FaultMode, Io)], mut check: impl FnMut(&dyn Fn(&FaultVfs)) -> bool) -> usize {
    let mut count = 0;
    for &(mode, error) in faults {
        for call in 0.. {
            let arm = |faults: &FaultVfs| {
                faults.set_fault(Some(Fault { call: faults.calls() + call, error, mode }));
            };
            if !check(&arm) {
                break;
            }
            count += 1;
        }
    }
    count
}

#[test]
fn a_commit_that_fails_changes_nothing_or_is_settled_by_opening_again() {
    // With something that a checkpoint would write.
    let base = small_store();
    commit(&mut open(&base), &publish("before", 40)).unwrap();
    let base = base.copy();
    let mut outcomes = std::collections::BTreeSet::new();
    for (place, operation) in operations().into_iter().enumerate() {
        // In a segment that is there, and with one to be made.
        let first = (place % 2 == 0).then(|| publish("first", 41));
        for_each_fault(&FAULTS, |arm| {
            let tree = base.copy();
            let (faults, mut core) = open_with_faults(&tree);
            if let Some(first) = &first {
                commit(&mut core, first).unwrap();
            }
            let before = content(&core);
            arm(&faults);
            let result = commit(&mut core, &operation);
            let struck = faults.struck();
            faults.set_fault(None);
            let after = content(&core);
            match kind_of(result) {
                None => assert_ne!(after, before),
                Some(ErrorKind::OutcomeUnknown) => {
                    outcomes.insert("unknown");
                    assert_eq!(after, before, "readers do not see what may not be");
                    assert!(core.shared().status().read_only.is_some());
                    assert_eq!(kind_of(commit(&mut core, &publish("z", 30))), Some(ErrorKind::ReadOnly));
                    let files = tree.files();
                    core.checkpoint().unwrap();
                    core.close().unwrap();
                    assert_eq!(tree.files(), files, "nothing is written that could settle it by half");
                    let crashed = [tree.crash(&[]), tree.copy()];
                    tree.forget_pending();
                    // After a loss of power, after one that lost nothing, and without one: before, or after.
                    for left in crashed.into_iter().chain([tree.clone()]) {
                        let mut again = open(&left);
                        let settled = content(&again);
                        if settled != before {
                            let mut expected = open(&base.copy());
                            if let Some(first) = &first {
                                commit(&mut expected, first).unwrap();
                            }
                            commit(&mut expected, &operation).unwrap();
                            assert_same(&settled, &content(&expected));
                        }
                        // Without a loss of power, what can be read need not be durable. What follows it must
                        // not be lost with it when power is lost later.
                        assert_same(&content(&open(&left.crash(&[]))), &settled);
                        commit(&mut again, &publish("z", 30)).unwrap();
                        assert_same(&content(&open(&left.crash(&[]))), &content(&again));
                    }
                    return true;
                }
                Some(kind) => {
                    outcomes.insert(if kind == ErrorKind::StorageFull { "full" } else { "failed" });
                    assert!(matches!(kind, ErrorKind::StorageFull | ErrorKind::Unavailable), "{kind}");
                    assert_same(&after, &before);
                    // Into the next segment, so that what is left of the failed one would look like damage.
                    core.begin_checkpoint().unwrap();
                    commit(&mut core, &operation).unwrap();
                }
            }
            let memory = content(&core);
            let killed = open(&after_kill(&tree));
            assert_same(&content(&killed), &memory);
            assert_eq!(killed.shared().status().warnings, [""; 0]);
            assert_same(&content(&open(&tree.crash(&[]))), &memory);
            struck
        });
    }
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), ["failed", "full", "unknown"]);
}

#[test]
fn files_that_cannot_be_written_never_stop_commits_and_are_written_later() {
    for base in [small_store(), small_store_with_journal()] {
        let count = for_each_fault(&FEW, |arm| {
            let tree = base.copy();
            let (faults, mut core) = open_with_faults(&tree);
            for operation in operations() {
                commit(&mut core, &operation).unwrap();
            }
            arm(&faults);
            let failed = core.checkpoint().is_err();
            let struck = faults.struck();
            faults.set_fault(None);
            let memory = content(&core);
            assert_same(&content(&open(&after_kill(&tree))), &memory);
            assert_same(&content(&open(&tree.crash(&[]))), &memory);
            let warnings = core.shared().status().warnings;
            assert_eq!(warnings.len(), usize::from(failed), "{warnings:?}");
            commit(&mut core, &publish("z", 30)).unwrap();
            let memory = content(&core);
            core.close().unwrap();
            assert_eq!(core.shared().status().warnings, [""; 0]);
            assert!(tree.files().keys().all(|path| !path.starts_with("journal/")));
            assert_same(&content(&open(&tree.crash(&[]))), &memory);
            struck
        });
        assert!(count > 100, "{count}");
    }
}

#[test]
fn files_whose_entries_a_failed_sync_forgot_are_written_again_after_reopening() {
    for call in 0.. {
        let tree = small_store();
        let (faults, mut core) = open_with_faults(&tree);
        for number in 50..52 {
            commit(&mut core, &publish("again", number)).unwrap();
        }
        let memory = content(&core);
        faults.set_fault(Some(Fault {
            call: faults.calls() + call,
            error: Io::Other,
            mode: FaultMode::Once,
        }));
        let result = core.checkpoint();
        if !faults.struck() {
            break;
        }
        drop(core);
        if result.is_err() {
            tree.forget_pending();
        }
        let mut again = open(&tree);
        assert_same(&content(&again), &memory);
        again.close().unwrap();
        assert_same(&content(&open(&tree.crash(&[]))), &memory);
    }
}

#[test]
fn an_opening_that_fails_or_not_changes_nothing_of_what_the_store_holds() {
    let without_catalogue = small_store_with_journal();
    without_catalogue.discard("pack");
    for (base, least) in [(small_store(), 30), (small_store_with_journal(), 30), (without_catalogue, 50)] {
        let expected = content(&open(&base.copy()));
        let count = for_each_fault(&FEW, |arm| {
            let tree = base.copy();
            let faults = FaultVfs::new(as_vfs(&tree));
            arm(&faults);
            let opened = Core::open(Arc::new(faults.clone()), options());
            let struck = faults.struck();
            faults.set_fault(None);
            if let Ok(mut core) = opened {
                assert_same(&content(&core), &expected);
                if let Err(error) = commit(&mut core, &publish("z", 30)) {
                    // A sync of what it read failed. Opening again settles it.
                    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
                    drop(core);
                    core = open(&tree);
                    commit(&mut core, &publish("z", 30)).unwrap();
                }
                let memory = content(&core);
                assert_same(&content(&open(&tree.crash(&[]))), &memory);
                return struck;
            }
            assert_same(&content(&open(&after_kill(&tree))), &expected);
            assert_same(&content(&open(&tree.crash(&[]))), &expected);
            struck
        });
        assert!(count > least, "{count}");
    }
}

#[test]
fn a_full_disk_keeps_the_store_readable_and_room_lets_it_go_on() {
    let tree = small_store_with_journal();
    let faults = FaultVfs::new(as_vfs(&tree));
    faults.set_fault(Some(Fault { call: 0, error: Io::StorageFull, mode: FaultMode::Full }));
    let mut core = Core::open(Arc::new(faults.clone()), options()).unwrap();
    let before = content(&core);
    for _ in 0..3 {
        assert_eq!(kind_of(commit(&mut core, &publish("z", 30))), Some(ErrorKind::StorageFull));
        // That nothing would change is known from commits that are not known to be durable.
        assert_eq!(kind_of(commit(&mut core, &publish("d", 5))), Some(ErrorKind::StorageFull));
        assert_same(&content(&core), &before);
    }
    faults.set_fault(None);
    commit(&mut core, &publish("z", 30)).unwrap();
    let memory = content(&core);
    assert_same(&content(&open(&tree.crash(&[]))), &memory);
}

#[test]
fn at_the_bound_of_the_backlog_commits_wait_for_the_files_or_fail() {
    let tree = small_store();
    let faults = FaultVfs::new(as_vfs(&tree));
    let options = CoreOptions { backlog_bytes: 4000, ..options() };
    let mut core = Core::open(Arc::new(faults.clone()), options).unwrap();
    // What is not in memory goes with the directory below.
    let _ = content(&core);
    for number in 100..120 {
        commit(&mut core, &publish("many", number)).unwrap();
    }
    assert!(faults.calls() > 0);
    let journal = |tree: &ModelVfs| {
        let files = tree.files().into_iter().filter(|(path, _)| path.starts_with("journal/"));
        files.map(|(_, bytes)| bytes.len()).sum::<usize>()
    };
    // What is written in advance, and what is kept to be written over, are bounded by the length of segments.
    assert!(journal(&tree) <= 4000 + 3 * 4096);

    // The JSON files cannot be written, but the journal can.
    tree.discard("images");
    tree.put("images", "in the way");
    let mut full = None;
    for number in 200..220 {
        let before = content(&core);
        if let Err(error) = commit(&mut core, &publish("many", number)) {
            assert_same(&content(&core), &before);
            full = Some(error);
            break;
        }
    }
    assert_eq!(full.unwrap().kind(), ErrorKind::StorageFull);
    // That the files are behind, and that for this reason nothing is taken.
    assert_eq!(core.shared().status().warnings.len(), 2);
    let memory = content(&core);
    tree.discard("images");
    commit(&mut core, &publish("many", 300)).unwrap();
    assert_ne!(content(&core), memory);
    assert_eq!(core.shared().status().warnings, [""; 0]);
}

#[test]
fn a_segment_that_cannot_grow_is_left_and_nothing_changes() {
    // The first call writes zeros, the second syncs them.
    for (mode, error, call) in [
        (FaultMode::Once, Io::Other, 0),
        (FaultMode::Once, Io::Other, 1),
        (FaultMode::Once, Io::StorageFull, 0),
        (FaultMode::Once, Io::StorageFull, 1),
        (FaultMode::ShortWrite, Io::StorageFull, 0),
    ] {
        let tree = small_store();
        let (faults, mut core) = open_with_faults(&tree);
        commit(&mut core, &one(Operation::DeleteName { name: name("a") })).unwrap();
        let before = content(&core);
        faults.set_fault(Some(Fault { call: faults.calls() + call, error, mode }));
        let result = commit(&mut core, &publish("z", 30));
        faults.set_fault(None);
        let is_full = error == Io::StorageFull;
        let expected = if is_full { ErrorKind::StorageFull } else { ErrorKind::Unavailable };
        assert_eq!(kind_of(result), Some(expected));
        assert_same(&content(&core), &before);
        assert_same(&content(&open(&tree.crash(&[]))), &before);
        // A system may take the zeros for written now.
        tree.forget_pending();
        commit(&mut core, &publish("z", 30)).unwrap();
        assert_eq!(tree.files().keys().filter(|path| path.starts_with("journal/")).count(), 2);
        let again = open(&tree.crash(&[]));
        assert_same(&content(&again), &content(&core));
        assert_eq!(again.shared().status().warnings, [""; 0]);
    }
}

#[test]
fn a_lock_is_refused_to_a_second_core_and_free_after_closing() {
    let tree = small_store();
    let mut first = open(&tree);
    let vfs: Arc<dyn Vfs> = as_vfs(&tree);
    let error = Core::open(Arc::clone(&vfs), options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("stop it, or use another directory"), "{error}");
    let reader = Core::open_read_only(&vfs, options()).unwrap();
    assert_eq!(content(&reader), content(&first));
    first.close().unwrap();
    open(&tree);
}

#[test]
fn the_lock_is_held_until_a_step_that_is_done_elsewhere_is_over_whatever_becomes_of_the_core() {
    let tree = small_store();
    let (faults, mut core) = open_with_faults(&tree);
    commit(&mut core, &publish("z", 30)).unwrap();
    core.begin_checkpoint().unwrap();
    let work = core.next_work().unwrap();
    let (dropped, is_dropped) = mpsc::channel();
    let other = tree.clone();
    faults.interrupt(faults.calls(), move || {
        // In the middle of the step. Without the wait the core is gone at once.
        assert!(is_dropped.recv_timeout(Duration::from_millis(200)).is_err(), "the core is gone");
        assert_eq!(kind_of(Core::open(as_vfs(&other), options())), Some(ErrorKind::Locked));
    });
    thread::scope(|scope| {
        let step = scope.spawn(|| work.run());
        scope.spawn(move || {
            drop(core);
            let _ = dropped.send(());
        });
        step.join().unwrap();
    });
    open(&tree);
}

/// Those of a checkpoint, without the journal's.
fn unfinished(tree: &ModelVfs) -> Vec<String> {
    let is_unfinished = |path: &String| path.contains(".tmp-") && !path.starts_with("journal/");
    tree.files().into_keys().filter(is_unfinished).collect()
}

#[test]
fn what_fails_while_two_threads_write_many_files_leaves_nothing_unfinished_and_is_done_again() {
    let tree = small_store();
    let (faults, mut core) = open_with_faults(&tree);
    for number in 100..400 {
        commit(&mut core, &publish(&format!("n{number}"), number)).unwrap();
    }
    let expected = content(&core);
    // While images and sources are written, synced and renamed, and then the version documents.
    for call in [20, 700, 1300, 2000, 2600, 3300, 3900, 4400] {
        faults.set_fault(Some(Fault {
            call: faults.calls() + call,
            error: Io::Other,
            mode: FaultMode::Once,
        }));
        core.checkpoint().unwrap_err();
        assert!(faults.struck(), "call {call}");
        assert_eq!(unfinished(&tree), [""; 0], "call {call}");
        assert_same(&content(&open(&tree.crash(&[]))), &expected);
    }
    faults.set_fault(None);
    core.checkpoint().unwrap();
    assert_same(&content(&open(&tree.crash(&[]))), &expected);
    let alone = open(&json_files_alone(&tree.crash(&[])));
    assert_same(&describe_content(&alone), &describe_content(&core));
    assert_eq!(alone.shared().status().warnings, [""; 0]);
}
