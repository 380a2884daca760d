//! What an opening finds is durable before anything is built on it, whatever failed before it, and is found whole
//! whoever writes meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;
use std::io::ErrorKind as Io;
use std::sync::Arc;

use constellation_store_core::{ErrorKind, Operation, Result};
use constellation_store_fs::core::Core;
use constellation_store_fs::verify::{VerifyOptions, verify};
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs, ModelVfs, Vfs};
use support::{
    as_vfs, assert_same, commit, content, json_files_alone, kind_of, name, one, open, options, publish,
    small_store, small_store_with_journal,
};

fn fail(faults: &FaultVfs, call: u64, mode: FaultMode) {
    let error = if mode == FaultMode::Full { Io::StorageFull } else { Io::Other };
    faults.set_fault(Some(Fault { call, error, mode }));
}

/// The names with their versions, which are in memory.
fn names(core: &Core) -> String {
    let state = core.shared().state();
    let mut text = format!("revision {}\n", state.revision());
    for history in state.histories() {
        writeln!(text, "{}", serde_json::to_string(&**history).unwrap()).unwrap();
    }
    text
}

/// Publishes and writes files in turns, and returns what was acknowledged last, and whether all is known.
fn work(core: &mut Core) -> (String, bool) {
    let mut acknowledged = names(core);
    for number in 50..52 {
        // No file but `store.json` has the revision of the second one.
        for change in [publish("again", number), one(Operation::DeleteName { name: name("again") })] {
            match commit(core, &change) {
                Ok(_) => acknowledged = names(core),
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown => return (acknowledged, false),
                Err(_) => {}
            }
        }
        let _ = core.checkpoint();
    }
    (acknowledged, true)
}

#[test]
fn what_a_failed_sync_of_a_directory_forgot_is_never_built_on() {
    let without_journal = small_store();
    without_journal.discard("journal");
    let checkout = without_journal.copy();
    checkout.discard("pack");
    for (base, least) in [
        (ModelVfs::new(), 100),
        (small_store_with_journal(), 80),
        (checkout, 80),
        // Of which the catalogue is believed.
        (without_journal, 60),
    ] {
        let expected = names(&open(&base.copy()));
        let mut count = 0;
        for call in 0.. {
            let tree = base.copy();
            let faults = FaultVfs::forgetting(as_vfs(&tree), &tree);
            fail(&faults, call, FaultMode::Once);
            let mut acknowledged = expected.clone();
            if let Ok(mut core) = Core::open(Arc::new(faults.clone()), options()) {
                let is_known;
                (acknowledged, is_known) = work(&mut core);
                if is_known {
                    assert_same(&names(&open(&tree.crash(&[]))), &acknowledged);
                } else {
                    acknowledged = names(&open(&tree.copy()));
                }
            }
            if !faults.struck() {
                break;
            }
            count += 1;
            // The process is killed right after the failure, or when it has gone on, and power is lost later.
            let (killed, is_stopped) =
                if count % 2 == 0 { (tree, false) } else { (stopped(&base, call), true) };
            let mut again = open(&killed);
            let seen = content(&again);
            if !is_stopped {
                assert_same(&names(&again), &acknowledged);
            }
            assert_same(&content(&open(&killed.crash(&[]))), &seen);
            commit(&mut again, &publish("z", 30)).unwrap();
            let lost = open(&killed.crash(&[]));
            assert_same(&content(&lost), &content(&again));
            assert_eq!(lost.shared().status().warnings, [""; 0], "no number is missing");
            again.checkpoint().unwrap();
            assert_same(&content(&open(&killed.crash(&[]))), &content(&again));
        }
        assert!(count > least, "{count}");
    }
}

/// The same, but for a process that does nothing after the failure.
fn stopped(base: &ModelVfs, call: u64) -> ModelVfs {
    let tree = base.copy();
    let faults = FaultVfs::forgetting(as_vfs(&tree), &tree);
    fail(&faults, call, FaultMode::Sticky);
    // Of the sticky fault only the first strike forgets what a sync covered: nothing is done after it.
    if let Ok(mut core) = Core::open(Arc::new(faults), options()) {
        let _ = work(&mut core);
    }
    tree
}

/// Stores of which something must be repaired that is repaired in another way each time.
fn repaired_bases() -> Vec<(&'static str, ModelVfs)> {
    let with_damaged_document = small_store_with_journal();
    with_damaged_document.put("versions/a.json", "{ damaged");
    let plain = json_files_alone(&small_store());
    plain.discard("versions");
    vec![("a damaged version document", with_damaged_document), ("names that only have an alias", plain)]
}

#[test]
fn a_version_number_is_given_once_though_the_repair_of_its_name_cannot_be_written() {
    for (what, base) in repaired_bases() {
        let mut n_owed = 0;
        for mode in [FaultMode::Sticky, FaultMode::Full] {
            for call in 0.. {
                let tree = base.copy();
                let faults = FaultVfs::new(as_vfs(&tree));
                fail(&faults, call, mode);
                let opened = Core::open(Arc::new(faults.clone()), options());
                let has_struck = faults.struck();
                let Ok(mut core) = opened else { continue };
                let seen = names(&core);
                let warnings = core.shared().status().warnings;
                let is_owed = warnings.iter().any(|warning| warning.contains("are behind the journal"));
                let answer = commit(&mut core, &publish("a", 60));
                assert!(!is_owed || answer.is_err(), "{what}, call {call}");
                n_owed += usize::from(is_owed);
                if has_struck && answer.is_err() {
                    let kind =
                        if mode == FaultMode::Full { ErrorKind::StorageFull } else { ErrorKind::Unavailable };
                    assert_eq!(kind_of(answer), Some(kind), "{what}, call {call}");
                    if is_owed {
                        // Also that nothing would change is known from what is not durable.
                        let unchanged = one(Operation::SetActive { name: name("a"), version: active(&core) });
                        assert_eq!(kind_of(commit(&mut core, &unchanged)), Some(kind), "{what}, call {call}");
                    }
                    assert_same(&names(&core), &seen);
                    faults.set_fault(None);
                    commit(&mut core, &publish("a", 60)).unwrap();
                    assert_eq!(core.shared().status().read_only, None);
                }
                for left in [tree.crash(&[]), tree.copy()] {
                    assert_same(&names(&open(&left)), &names(&core));
                }
                if !has_struck {
                    break;
                }
            }
        }
        assert!(n_owed > 10, "{what}: {n_owed}");
    }
}

fn active(core: &Core) -> u64 {
    core.shared().state().resolve(&name("a")).unwrap().version
}

/// What a writer does while somebody reads.
#[derive(Debug, Clone, Copy)]
enum Write {
    Opening,
    OpeningAndClosing,
    CommitsAndCheckpoints,
    /// A new name, and so many steps of a checkpoint.
    PartOfCheckpoint(usize),
}

impl Write {
    fn run(self, tree: &ModelVfs) {
        let mut core = open(tree);
        match self {
            Self::Opening => {}
            Self::OpeningAndClosing => core.close().unwrap(),
            Self::CommitsAndCheckpoints => {
                for number in 80..83 {
                    commit(&mut core, &publish("beside", number)).unwrap();
                    core.checkpoint().unwrap();
                }
            }
            Self::PartOfCheckpoint(steps) => {
                commit(&mut core, &publish("beside", 80)).unwrap();
                core.begin_checkpoint().unwrap();
                for _ in 0..steps {
                    core.step().unwrap();
                }
            }
        }
    }
}

/// Lets a writer come before each call of `read`, and gives what was read with what was there before and after.
fn beside_writers<T>(read: impl Fn(&Arc<dyn Vfs>) -> Result<T>, check: impl Fn(&T, &str, [&str; 2])) {
    let without_catalogue = small_store_with_journal();
    without_catalogue.discard("pack");
    let closed = small_store();
    closed.discard("pack");
    let bases = [small_store_with_journal(), without_catalogue, closed];
    let whole = [Write::Opening, Write::OpeningAndClosing, Write::CommitsAndCheckpoints];
    for write in whole.into_iter().chain((1..12).map(Write::PartOfCheckpoint)) {
        for base in &bases {
            let before = content(&open(&base.copy()));
            let written = base.copy();
            write.run(&written);
            let after = content(&open(&written));
            for call in 0.. {
                let tree = base.copy();
                let faults = FaultVfs::new(as_vfs(&tree));
                let writer = tree.clone();
                faults.interrupt(call, move || write.run(&writer));
                let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
                let found = read(&vfs).unwrap();
                if faults.calls() <= call {
                    assert!(call > 5, "{write:?}: {call}");
                    break;
                }
                check(&found, &format!("{write:?} before call {call}"), [&before, &after]);
            }
        }
    }
}

#[test]
fn whoever_reads_beside_a_writer_finds_what_was_acknowledged() {
    beside_writers(
        |vfs| {
            let core = Core::open_read_only(vfs, options())?;
            Ok((content(&core), core.shared().status().warnings))
        },
        |(seen, warnings), what, [before, after]| {
            assert!(seen == before || seen == after, "{what}: neither before nor after, but\n{seen}");
            assert_eq!(warnings, &[""; 0], "{what}");
        },
    );
}

#[test]
fn whoever_verifies_beside_a_writer_finds_a_sound_store() {
    beside_writers(
        |vfs| verify(&**vfs, VerifyOptions::default()),
        |report, what, _| assert_eq!(report.findings, [], "{what}"),
    );
}
