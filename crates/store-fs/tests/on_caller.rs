//! Commits on the thread of whoever asks for them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use constellation_store_core::{Commit, Committed, ErrorKind, PipelineStore as _, Result};
use constellation_store_fs::vfs::{ModelVfs, Vfs};
use constellation_store_fs::{FileSystemPipelineStore, OpenOptions};
use futures_util::FutureExt as _;
use support::hooked::Hooked;
use support::{name, open, publish};

fn options() -> OpenOptions {
    FileSystemPipelineStore::options().commit_on_caller(true).checkpoint_after_idle(Duration::from_hours(1))
}

fn commit(store: &FileSystemPipelineStore, change: Commit) -> Result<Committed> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.commit(change))
}

/// Which threads have synced something, and what happens at the next sync.
#[derive(Clone, Default)]
struct Syncs {
    threads: Arc<Mutex<Vec<ThreadId>>>,
    next: Arc<Mutex<Option<Next>>>,
}

type Next = Box<dyn FnOnce() + Send>;

impl Syncs {
    fn vfs(&self, tree: &ModelVfs) -> Arc<dyn Vfs> {
        let syncs = self.clone();
        Arc::new(Hooked::on_sync(tree, move || {
            syncs.threads.lock().unwrap().push(thread::current().id());
            let next = syncs.next.lock().unwrap().take();
            if let Some(next) = next {
                next();
            }
        }))
    }

    fn take(&self) -> Vec<ThreadId> {
        std::mem::take(&mut *self.threads.lock().unwrap())
    }

    fn at_next(&self, next: impl FnOnce() + Send + 'static) {
        *self.next.lock().unwrap() = Some(Box::new(next));
    }
}

/// Commits until the thread of the store has seen that there is something to be written into files, which it waits with.
fn settle_down(store: &FileSystemPipelineStore, syncs: &Syncs) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut number = 1_000;
    while syncs.take().last() != Some(&thread::current().id()) || number < 1_002 {
        assert!(Instant::now() < deadline, "no commit is made here");
        commit(store, publish("earlier", number)).unwrap();
        number += 1;
    }
}

#[test]
fn a_commit_is_made_where_it_is_asked_for() {
    for on_caller in [false, true] {
        let syncs = Syncs::default();
        let store = options().commit_on_caller(on_caller).open_on(syncs.vfs(&ModelVfs::new())).unwrap();
        if on_caller {
            settle_down(&store, &syncs);
        } else {
            commit(&store, publish("earlier", 1_000)).unwrap();
        }
        syncs.take();
        for number in 0..3 {
            commit(&store, publish("a", number)).unwrap();
        }
        let here = thread::current().id();
        let is_here: Vec<_> = syncs.take().into_iter().map(|thread| thread == here).collect();
        assert_eq!(is_here, [on_caller; 3]);
    }
}

#[test]
fn those_who_come_meanwhile_wait_for_the_thread_of_the_store_and_share_its_sync() {
    let (tree, syncs) = (ModelVfs::new(), Syncs::default());
    let store = Arc::new(options().open_on(syncs.vfs(&tree)).unwrap());
    settle_down(&store, &syncs);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let before = runtime.block_on(store.status()).unwrap().revision.0;
    let meeting = Arc::new(Barrier::new(2));
    let held = Arc::clone(&meeting);
    syncs.at_next(move || {
        held.wait();
        held.wait();
    });
    syncs.take();
    let first = thread::spawn({
        let store = Arc::clone(&store);
        move || commit(&store, publish("first", 2))
    });
    let caller = first.thread().id();
    meeting.wait();
    let mut others: Vec<_> = (3..7).map(|number| store.commit(publish("other", number))).collect();
    for other in &mut others {
        assert!(other.now_or_never().is_none(), "it is in the queue");
    }
    meeting.wait();
    assert_eq!(first.join().unwrap().unwrap().revision.0, before + 1);
    for (other, revision) in others.into_iter().zip(before + 2..) {
        assert_eq!(runtime.block_on(other).unwrap().revision.0, revision);
    }
    let is_caller: Vec<_> = syncs.take().into_iter().map(|thread| thread == caller).collect();
    assert_eq!(is_caller, [true, false], "one sync for all that waited");
    assert_eq!(open(&tree.crash(&[])).shared().state().revision().0, before + 5);
}

#[test]
fn callers_and_the_thread_of_the_store_take_turns_until_all_is_committed() {
    const CALLERS: u64 = 4;
    const EACH: u64 = 50;
    let tree = ModelVfs::new();
    let store = options().checkpoint_after_bytes(20_000).open_on(Arc::new(tree.clone())).unwrap();
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let store = &store;
            scope.spawn(move || {
                for number in caller * EACH..(caller + 1) * EACH {
                    let number = i64::try_from(number).unwrap();
                    commit(store, publish(&format!("of-{caller}"), number)).unwrap();
                }
            });
        }
    });
    let crashed = open(&tree.crash(&[]));
    for caller in 0..CALLERS {
        let active = crashed.shared().state().resolve(&name(&format!("of-{caller}"))).unwrap();
        assert_eq!(active.version, EACH);
    }
    assert_eq!(crashed.shared().state().revision().0, CALLERS * EACH);
}

#[test]
fn files_follow_after_a_pause_and_at_the_bound() {
    let (hour, moment) = (Duration::from_hours(1), Duration::from_millis(5));
    for (idle, bytes) in [(moment, 1 << 20), (hour, 1)] {
        let tree = ModelVfs::new();
        let store = options()
            .checkpoint_after_idle(idle)
            .checkpoint_after_bytes(bytes)
            .open_on(Arc::new(tree.clone()))
            .unwrap();
        for round in 1..4 {
            commit(&store, publish("a", round)).unwrap();
            let followed = |files: &BTreeMap<String, Vec<u8>>| {
                let document = files.get("versions/a.json");
                let number = format!("\"version\": {round}");
                document.is_some_and(|bytes| String::from_utf8_lossy(bytes).contains(&number))
            };
            let deadline = Instant::now() + Duration::from_mins(1);
            while !followed(&tree.files()) {
                assert!(Instant::now() < deadline, "no file follows");
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

#[test]
fn no_file_follows_while_callers_commit() {
    let tree = ModelVfs::new();
    let idle = Duration::from_secs(1);
    let store = options().checkpoint_after_idle(idle).open_on(Arc::new(tree.clone())).unwrap();
    let start = Instant::now();
    for number in 0.. {
        commit(&store, publish("a", number)).unwrap();
        // A new store has the files of its opening.
        assert!(!tree.files().contains_key("versions/a.json"), "after {:?}", start.elapsed());
        if start.elapsed() > 2 * idle {
            break;
        }
        thread::sleep(idle / 50);
    }
}

#[test]
fn files_that_cannot_be_written_are_tried_again_after_a_pause_and_not_before() {
    let (tree, syncs) = (ModelVfs::new(), Syncs::default());
    let store = options().checkpoint_after_bytes(1).open_on(syncs.vfs(&tree)).unwrap();
    tree.put("versions/in/the/way", "");
    tree.put("aliases.json/in/the/way", "");
    commit(&store, publish("a", 1)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !runtime.block_on(store.status()).unwrap().warnings.concat().contains("behind the journal") {
        assert!(Instant::now() < deadline, "nothing failed");
        thread::sleep(Duration::from_millis(1));
    }
    syncs.take();
    thread::sleep(Duration::from_millis(300));
    let syncs = syncs.take().len();
    assert!(syncs < 10, "{syncs} syncs without a pause");
}

#[test]
fn a_closed_store_takes_no_commit_and_has_all_in_its_files() {
    let tree = ModelVfs::new();
    let store = options().open_on(Arc::new(tree.clone())).unwrap();
    commit(&store, publish("a", 1)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.close()).unwrap();
    let refused = commit(&store, publish("a", 2)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("the store is closed"), "{refused}");
    let files = tree.files();
    assert!(files.contains_key("versions/a.json"));
    assert!(!files.keys().any(|path| path.starts_with("journal/")));
    // The lock is free, though the store is still there.
    assert_eq!(open(&tree).shared().state().revision().0, 1);
}

#[test]
fn after_a_defect_nothing_is_committed_any_more_and_what_was_is_there() {
    let (tree, syncs) = (ModelVfs::new(), Syncs::default());
    let store = options().open_on(syncs.vfs(&tree)).unwrap();
    settle_down(&store, &syncs);
    commit(&store, publish("a", 1)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let before = runtime.block_on(store.status()).unwrap().revision.0;
    syncs.at_next(|| panic!("a defect"));
    catch_unwind(AssertUnwindSafe(|| commit(&store, publish("a", 2)))).unwrap_err();
    let refused = commit(&store, publish("a", 3)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::OutcomeUnknown);
    let active = runtime.block_on(store.resolve(&name("a"))).unwrap().unwrap();
    assert_eq!(active.version, 1);
    drop(store);
    // The frame of the second one was written, and may be durable.
    let revision = open(&tree).shared().state().revision().0;
    assert!((before..=before + 1).contains(&revision), "{revision}");
}
