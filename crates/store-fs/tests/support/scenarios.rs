//! Small scenarios that between them find every seeded bug.

#[path = "aside.rs"]
mod aside;
#[path = "decay.rs"]
mod decay;
#[path = "documents.rs"]
mod documents;
#[cfg(unix)]
#[path = "imports.rs"]
mod imports;
#[path = "openings.rs"]
mod openings;
#[path = "segments.rs"]
mod segments;

use std::io::ErrorKind as Io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use constellation_store_core::{ErrorKind, Operation, Precondition, SourceHash};
use constellation_store_fs::core::{Core, CoreOptions};
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs, ModelVfs};

use crate::support::crashes::{Crashes, Depth, Distinct};
use crate::support::workloads::{Base, Setup, Step, apply, assert_answer, make_spare, run};
use crate::support::{
    assert_same, commit, commit_batch, content, content_of, image, json_files_alone, kind_of, name, one,
    options, publish,
};

/// The stores that scenarios start from, made without a bug.
pub(crate) struct Bases {
    small: Base,
    with_journal: Base,
    other: Base,
}

impl Bases {
    pub(crate) fn new() -> Self {
        Self { small: Base::small(), with_journal: Base::with_journal(), other: Base::small() }
    }
}

type Scenario = fn(Setup, &Bases);

/// Each with what it checks; the cheap ones first.
pub(crate) const SCENARIOS: &[(&str, Scenario)] = &[
    ("answers are those of the model", answers),
    ("numbers and revisions go on", numbers),
    ("a store has one writer", one_writer),
    ("foreign directories are refused", foreign),
    #[cfg(unix)]
    ("links are refused", openings::links),
    ("damaged files are put aside", decay::damaged_files),
    ("files in use are checked", decay::files_in_use),
    ("a document is healed before a crash", openings::crashes_while_a_document_is_healed),
    ("temporary names are used once", openings::temporary_names),
    ("files of others are made durable", openings::files_of_others),
    ("damage of the journal is told", decay::damaged_journal),
    ("what cannot be put aside stays", openings::damage_that_cannot_be_put_aside),
    ("numbers of lost documents are not given again", openings::lost_documents),
    ("what is left of a document counts", openings::what_is_left_of_documents),
    ("copies of documents bring nothing back", |setup, _| documents::second_documents(setup)),
    ("third names count before copies", |setup, _| documents::third_names(setup)),
    ("a file is not moved away for its case", |setup, _| documents::misplaced_by_case(setup)),
    ("names that were dropped stay away", |setup, _| documents::dropped_names(setup)),
    ("damaged numbers are bounded", |setup, _| documents::damaged_numbers(setup)),
    ("long names are told", |setup, _| documents::damaged_documents_of_long_names(setup)),
    ("documents without a name are put aside", |setup, _| documents::documents_without_a_name(setup)),
    ("frames before missing ones take nothing back", |setup, _| documents::gaps_below_the_files(setup)),
    ("stale frames are no frames", decay::stale_frames),
    ("changed files are seen", decay::changed_files),
    ("the journal is bounded", bounded),
    ("frames are written into what is there", in_advance),
    ("segments that follow one another are retired", followed),
    ("a name of a segment is given again", segments::names_that_are_given_again),
    ("a segment with two names is not written over", segments::segments_with_two_names),
    ("a segment is not made after the lock is given up", made_in_time),
    ("what was read is durable after a kill", killed),
    ("failed calls change nothing", failures),
    ("a failed checkpoint is made good", failed_checkpoint),
    ("a repair is written before a commit", openings::unwritten_repairs),
    ("what is not settled gets into no file", openings::checkpoints_of_what_is_not_settled),
    ("a reader beside an opening finds everything", openings::reading_beside_an_opening),
    ("a reader beside a checkpoint makes nothing up", openings::reading_beside_a_checkpoint),
    ("a listing that misses a file is made again", |setup, _| documents::missed_entries(setup)),
    ("damage beside a checkpoint is kept", aside::damage_beside_a_checkpoint_is_kept),
    ("segments that come back change nothing", openings::segments_that_come_back),
    ("segments that were removed stay away", openings::segments_that_were_removed),
    ("catalogues that were removed stay away", openings::catalogues_that_were_removed),
    ("commits in a checkpoint stay in the journal", commits_in_a_checkpoint),
    ("a failed sync is nobody else's", aside::failed_syncs_beside_a_checkpoint),
    ("a name without a document survives a crash", openings::crashes_while_a_lost_document_is_written),
    ("a repair is the same after a crash", |setup, _| documents::interrupted_repairs(setup)),
    ("misplaced documents are put right", |setup, _| documents::misplaced(setup)),
    ("crashes lose nothing", crashes),
    ("closing makes a catalogue durable", catalogue),
    ("what a failed sync forgot is not built on", openings::failed_syncs),
    ("what is put right is repaired", |setup, _| documents::misplaced_copies(setup)),
    #[cfg(unix)]
    ("a new store is opened when it is durable", imports::opened_early),
];

fn warnings(core: &Core) -> String {
    core.shared().status().warnings.join("\n")
}

fn image_path(number: i64) -> String {
    format!("images/{}.json", image(number).structural_hash)
}

fn segments(tree: &ModelVfs) -> Vec<(String, Vec<u8>)> {
    let is_segment = |path: &str| path.starts_with("journal/") && !path.contains(".tmp-");
    tree.files().into_iter().filter(|(path, _)| is_segment(path)).collect()
}

fn answers(setup: Setup, bases: &Bases) {
    use Step::{Alias, Batch, Close, Collect, Delete, Kill, Prune, PublishChanged, PublishNew, SetActive};
    run(setup, &bases.with_journal, &[PublishNew, Kill, Batch, Delete, Close, SetActive, Close]);
    run(setup, &bases.small, &[Delete, Close, PublishChanged, Prune, Close, Alias, Kill, Collect, Close]);
    let (tree, mut state) = (bases.small.tree.copy(), bases.small.state.clone());
    let mut core = setup.open(&tree);
    let refused = publish("a", 16).require(name("a"), Precondition::Absent);
    assert_answer(&commit(&mut core, &refused), &apply(&mut state, &refused));
    core.close().unwrap();
}

/// Also without the catalogue, and after what leaves no version behind.
fn numbers(setup: Setup, bases: &Bases) {
    let (tree, mut state) = (bases.small.tree.copy(), bases.small.state.clone());
    let commits = [
        publish("gone", 20),
        one(Operation::DeleteName { name: name("gone") }),
        one(Operation::SetActive { name: name("a"), version: 2 }),
        one(Operation::PruneVersions { name: name("a"), keep: 0 }),
        one(Operation::RemoveImage { structural_hash: image(4).structural_hash }),
        publish("gone", 20),
        publish("B/c", 22),
        publish("a", 21),
        one(Operation::SetActive { name: name("B/c"), version: 1 }),
        one(Operation::SetActive { name: name("B/c"), version: 2 }),
        one(Operation::PruneVersions { name: name("B/c"), keep: 0 }),
        one(Operation::SetActive { name: name("B/c"), version: 2 }),
    ];
    for change in &commits {
        let mut core = setup.open(&tree);
        assert_same(&content(&core), &content_of(&state));
        assert_answer(&commit(&mut core, change), &apply(&mut state, change));
        core.close().unwrap();
        tree.discard("pack");
    }
    // A new source of the loader alone.
    let mut core = setup.open(&tree);
    let mut change = publish("a", 21);
    let other = SourceHash::of_bytes(b"another");
    if let Some(Operation::RecordVersion { source_hash, .. }) = change.operations.last_mut() {
        *source_hash = Some(other);
    }
    assert_answer(&commit(&mut core, &change), &apply(&mut state, &change));
    core.close().unwrap();
    tree.discard("pack");
    let core = setup.open(&tree);
    assert_same(&content(&core), &content_of(&state));
    assert_eq!(warnings(&core), "");
    let mut bytes = tree.files()["versions/a.json"].clone();
    drop(core);
    // What is left of a damaged document still tells which numbers are taken.
    bytes[3] = b'?';
    tree.put("versions/a.json", bytes);
    let core = setup.open(&tree);
    let next = state.versions(&name("a")).unwrap().next_version;
    assert!(core.shared().state().resolve(&name("a")).unwrap().version >= next, "a number is used twice");
    assert!(core.shared().state().revision() >= state.revision(), "a revision is used twice");
}

fn one_writer(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    let _first = setup.open(&tree);
    assert_eq!(kind_of(Core::open(setup.vfs(&tree), options())), Some(ErrorKind::Locked));
    // A lock on a file that is gone says nothing about what another process does.
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    commit(&mut core, &publish("a", 7)).unwrap();
    tree.discard("LOCK");
    let before = tree.files();
    assert_eq!(kind_of(commit(&mut core, &publish("a", 8))), Some(ErrorKind::ReadOnly));
    let _ = core.close();
    assert_eq!(tree.files(), before, "something was written");
}

fn foreign(setup: Setup, bases: &Bases) {
    let tree = bases.with_journal.tree.copy();
    tree.put("store.json", bases.other.tree.files()["store.json"].clone());
    assert_eq!(kind_of(Core::open(setup.vfs(&tree), options())), Some(ErrorKind::Corrupt));
    let tree = bases.small.tree.copy();
    let text = String::from_utf8(tree.files()["store.json"].clone()).unwrap();
    let later = text.replace("\"formatVersion\": 1", "\"formatVersion\": 2");
    let mut members: serde_json::Value = serde_json::from_str(&later).unwrap();
    let members = members.as_object_mut().unwrap();
    members.shift_remove("checksum");
    tree.put("store.json", constellation_store_core::seal_document(members.clone()));
    assert_eq!(kind_of(Core::open(setup.vfs(&tree), options())), Some(ErrorKind::UnsupportedFormat));
}

fn bounded(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    let mut core = setup.open_with(&tree, CoreOptions { backlog_bytes: 4000, ..options() });
    for number in 100..130 {
        commit(&mut core, &publish("many", number)).unwrap();
        let bytes: usize = segments(&tree).iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes <= 4000 + 3 * 4096, "the journal has {bytes} bytes");
    }
}

/// What a frame covers was durable before it, but for its content: its sync writes no metadata.
fn in_advance(setup: Setup, bases: &Bases) {
    let run = run(setup, &bases.small, &[Step::PublishNew, Step::PublishChanged, Step::Batch]);
    for tree in run.vfs.moments() {
        let durable = tree.crash(&[]).files();
        for (path, bytes) in segments(&tree) {
            let length = durable.get(&path).map_or(0, Vec::len);
            let is_written = bytes.iter().skip(length).any(|byte| *byte != 0);
            assert!(!is_written, "a frame is written behind what is durable");
        }
    }
}

/// Segments that are made beside commits take the place of those that are used up, and all of them are retired.
fn followed(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    for number in 100..104 {
        commit(&mut core, &publish("many", number)).unwrap();
        make_spare(&mut core);
    }
    assert!(segments(&tree).len() > 2, "{}", segments(&tree).len());
    core.close().unwrap();
    assert_eq!(segments(&tree), [], "a closed store has no segments");
}

/// Whoever opens the store next is alone with its files.
fn made_in_time(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    commit(&mut core, &publish("a", 100)).unwrap();
    let work = core.next_spare().unwrap();
    let (sender, late) = channel::<()>();
    let other = thread::spawn(move || {
        // Before the core has ended, unless it does not wait.
        let _ = late.recv_timeout(Duration::from_millis(100));
        work.run();
    });
    core.abandon();
    let before = tree.files();
    drop(sender);
    other.join().unwrap();
    assert_eq!(tree.files(), before, "a segment is made after the lock was given up");
}

/// Whatever was read after the end of a process survives a loss of power, and so does what follows it.
fn killed(setup: Setup, bases: &Bases) {
    let run = run(setup, &bases.with_journal, &[Step::PublishNew, Step::Delete, Step::Kill]);
    for tree in run.vfs.moments() {
        let mut core = setup.open(&tree);
        let seen = content(&core);
        assert_same(&content(&setup.open(&tree.crash(&[]))), &seen);
        commit(&mut core, &publish("z", 30)).unwrap();
        let seen = content(&core);
        assert_same(&content(&setup.open(&tree.crash(&[]))), &seen);
    }
}

fn with_faults(setup: Setup, tree: &ModelVfs) -> (FaultVfs, Core) {
    let faults = FaultVfs::new(setup.vfs(tree));
    let core = Core::open(Arc::new(faults.clone()), options()).unwrap();
    (faults, core)
}

fn failures(setup: Setup, bases: &Bases) {
    for mode in [FaultMode::Once, FaultMode::ShortWrite] {
        for call in 0.. {
            let tree = bases.small.tree.copy();
            let (faults, mut core) = with_faults(setup, &tree);
            commit(&mut core, &publish("first", 40)).unwrap();
            let before = content(&core);
            faults.set_fault(Some(Fault { call: faults.calls() + call, error: Io::StorageFull, mode }));
            let answers = commit_batch(&mut core, &[publish("a", 41), publish("a", 41)]);
            let has_struck = faults.struck();
            faults.set_fault(None);
            let memory = content(&core);
            let has_failed = answers[0].is_err();
            assert_eq!(answers[1].is_err(), has_failed, "an answer rests on what was not written");
            assert_eq!(memory == before, has_failed, "memory has what was not written");
            if kind_of(answers.into_iter().next().unwrap()) == Some(ErrorKind::OutcomeUnknown) {
                let next = kind_of(commit(&mut core, &publish("z", 30)));
                assert_eq!(next, Some(ErrorKind::ReadOnly), "it goes on after a failed sync");
            } else {
                assert_same(&content(&setup.open(&tree.crash(&[]))), &memory);
            }
            if !has_struck {
                break;
            }
        }
    }
}

fn failed_checkpoint(setup: Setup, bases: &Bases) {
    for call in 0.. {
        let tree = bases.small.tree.copy();
        let (faults, mut core) = with_faults(setup, &tree);
        commit(&mut core, &publish("again", 50)).unwrap();
        let _ = content(&core);
        faults.set_fault(Some(Fault {
            call: faults.calls() + call,
            error: Io::Other,
            mode: FaultMode::Once,
        }));
        let _ = core.checkpoint();
        let has_struck = faults.struck();
        faults.set_fault(None);
        commit(&mut core, &publish("later", 51)).unwrap();
        let memory = content(&core);
        core.close().unwrap();
        assert_same(&content(&setup.open(&tree.crash(&[]))), &memory);
        if !has_struck {
            break;
        }
    }
}

fn crashes(setup: Setup, bases: &Bases) {
    use Step::{
        Batch, Checkpoint, Close, Collect, CommitDuringCheckpoint, Delete, Prune, PublishChanged, PublishNew,
        Remove, SetActive,
    };
    let crashes = Crashes::new(setup, Depth { crashes: 1, stride: 6, is_exhaustive: false });
    crashes.try_all(&bases.with_journal, &[PublishNew]);
    crashes.try_all(&bases.small, &[PublishChanged, Checkpoint, Delete, SetActive]);
    crashes.try_all(&bases.small, &[Collect, Close]);
    crashes.try_all(&bases.small, &[Batch, CommitDuringCheckpoint(4), Batch, Prune, Remove]);
    crashes.try_all(&Base::empty(), &[PublishNew, Checkpoint, PublishChanged, Close]);
    let run = run(setup, &bases.small, &[PublishNew, Collect, Close]);
    Distinct::default().check(&run.vfs, |left| {
        let alone = json_files_alone(left);
        assert_eq!(warnings(&setup.open(&alone)), "", "the JSON files alone are a store");
    });
}

/// How many calls an opening takes.
fn calls_to_open(setup: Setup, tree: &ModelVfs) -> u64 {
    with_faults(setup, &tree.copy()).0.calls()
}

/// Whenever power was lost, the next close leaves a catalogue that is believed, also after another loss.
fn catalogue(setup: Setup, bases: &Bases) {
    let run = run(setup, &bases.small, &[Step::PublishNew, Step::Checkpoint]);
    for tree in run.vfs.moments() {
        for has_catalogue in [true, false] {
            let tree = tree.copy();
            if !has_catalogue {
                tree.discard("pack");
            }
            let mut core = setup.open(&tree);
            commit(&mut core, &publish("new", 80)).unwrap();
            core.close().unwrap();
            let left = tree.crash(&[]);
            let without = left.copy();
            without.discard("pack");
            let is_believed = calls_to_open(setup, &left) < calls_to_open(setup, &without);
            assert!(is_believed, "the catalogue of a closed store is not believed");
        }
    }
}

/// Frames after a checkpoint stay, also in segments that are used up.
fn commits_in_a_checkpoint(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    commit(&mut core, &publish("before", 90)).unwrap();
    core.begin_checkpoint().unwrap();
    for number in 91..100 {
        commit(&mut core, &publish("during", number)).unwrap();
    }
    while core.is_in_checkpoint() {
        core.step().unwrap();
    }
    let memory = content(&core);
    drop(core);
    for left in [tree.crash(&[]), tree.copy()] {
        let again = setup.open(&left);
        assert_eq!(warnings(&again), "", "frames after a checkpoint stay");
        assert_same(&content(&again), &memory);
    }
}
