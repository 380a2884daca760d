//! Crashes, enumerated: at every call of the file system, with every part of what was not durable kept, lost or
//! torn, and again while recovering.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, HashMap};

use constellation_store_core::{Commit, Operation, Precondition};
use constellation_store_fs::core::Core;
use constellation_store_fs::vfs::{Fate, ModelVfs, Pending};
use support::{
    alias, as_vfs, commit, commit_batch, content, describe_content, fingerprint, image, json_files_alone,
    name, one, open, options, publish, put, small_store, small_store_with_journal,
};

/// With so few parts that are not durable, all subsets are tried.
const EXHAUSTIVE: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// An image alone.
    PutOnly,
    PublishNew,
    PublishSame,
    PublishChanged,
    Alias,
    SetActive,
    Delete,
    Remove,
    RemoveAndPutAgain,
    /// An image goes with the version that referred to it.
    RemoveUsed,
    Prune,
    Checkpoint,
    /// Commits that share a frame, one of them refused, one without an effect.
    Batch,
    /// The same, each in a frame of its own.
    BatchOfFrames,
    /// A checkpoint with a commit after so many of its steps.
    CommitDuringCheckpoint(usize),
    Close,
}

const STEPS: [Step; 12] = [
    Step::PublishNew,
    Step::PublishSame,
    Step::PublishChanged,
    Step::Alias,
    Step::SetActive,
    Step::Delete,
    Step::Remove,
    Step::RemoveAndPutAgain,
    Step::Prune,
    Step::Batch,
    Step::Checkpoint,
    Step::Close,
];

impl Step {
    fn commits(self) -> Vec<Commit> {
        match self {
            Self::PutOnly => vec![one(Operation::PutImage(image(13)))],
            Self::PublishNew => vec![publish("new/name", 10)],
            Self::PublishSame => vec![publish("a", 1)],
            Self::PublishChanged => vec![publish("a", 11)],
            Self::Alias => vec![alias("alias", 2)],
            Self::SetActive => vec![one(Operation::SetActive { name: name("a"), version: 2 })],
            Self::Delete => vec![one(Operation::DeleteName { name: name("B/c") })],
            Self::Remove => vec![one(Operation::RemoveImage { structural_hash: image(4).structural_hash })],
            Self::RemoveAndPutAgain => {
                let remove = one(Operation::RemoveImage { structural_hash: image(4).structural_hash });
                vec![remove, put(4)]
            }
            Self::RemoveUsed => vec![
                one(Operation::PruneVersions { name: name("a"), keep: 1 })
                    .then(Operation::RemoveImage { structural_hash: image(2).structural_hash }),
            ],
            Self::Prune => vec![one(Operation::PruneVersions { name: name("a"), keep: 0 })],
            Self::Batch | Self::BatchOfFrames => vec![
                publish("batch", 14),
                publish("a", 15),
                publish("a", 16).require(name("a"), Precondition::Absent),
                publish("a", 15),
                one(Operation::RemoveImage { structural_hash: image(4).structural_hash }),
                alias("batch", 15),
            ],
            Self::CommitDuringCheckpoint(_) => vec![publish("during", 12)],
            Self::Checkpoint | Self::Close => vec![],
        }
    }
}

/// What the store holds after so many changes of the file system, as far as it was acknowledged.
struct Acknowledged {
    moment: usize,
    content: String,
}

/// Runs steps on a copy of `base`, recording every moment and what was acknowledged by then.
fn run(base: &ModelVfs, steps: &[Step]) -> (ModelVfs, Vec<Acknowledged>) {
    let vfs = base.copy();
    vfs.record();
    let mut options = options();
    if steps.contains(&Step::BatchOfFrames) {
        options.frame_bytes = 1;
    }
    let mut core = Core::open(as_vfs(&vfs), options).unwrap();
    let mut acknowledged = vec![Acknowledged { moment: 0, content: content(&core) }];
    for step in steps {
        let mut commit_all = |core: &mut Core| {
            for change in step.commits() {
                // Some steps do not apply after others; then nothing changes.
                let _ = commit(core, &change);
                acknowledged.push(Acknowledged { moment: vfs.recorded(), content: content(core) });
            }
        };
        match step {
            Step::Checkpoint => core.checkpoint().unwrap(),
            Step::Close => {
                core.close().unwrap();
                core = open(&vfs);
            }
            Step::CommitDuringCheckpoint(after) => {
                core.begin_checkpoint();
                for _ in 0..*after {
                    core.step().unwrap();
                }
                // Another thread does a step: it is taken before the commits, and done before or after them.
                let mut work = core.next_work();
                if after % 2 == 0
                    && let Some(work) = work.take()
                {
                    work.run();
                }
                commit_all(&mut core);
                if let Some(work) = work.take() {
                    work.run();
                }
                core.finish_work().unwrap();
                core.checkpoint().unwrap();
            }
            Step::Batch | Step::BatchOfFrames => {
                let mut one_by_one = open(&vfs.copy());
                let commits = step.commits();
                let contents: Vec<_> = commits
                    .iter()
                    .map(|change| {
                        let _ = commit(&mut one_by_one, change);
                        content(&one_by_one)
                    })
                    .collect();
                let _ = commit_batch(&mut core, &commits);
                let moment = vfs.recorded();
                if *step == Step::BatchOfFrames {
                    let frames = contents.iter().cloned();
                    acknowledged.extend(frames.map(|content| Acknowledged { moment, content }));
                }
                assert_eq!(content(&core), contents[contents.len() - 1]);
                acknowledged.push(Acknowledged { moment, content: content(&core) });
            }
            _ => commit_all(&mut core),
        }
    }
    drop(core);
    (vfs, acknowledged)
}

/// What may become of what was not durable: everything for few parts; else nothing, everything, every prefix, and
/// each part alone lost and alone kept. Torn writes in addition.
fn fates(pending: &[Pending]) -> Vec<Vec<Fate>> {
    let count = pending.len();
    let mut fates = Vec::new();
    if count <= EXHAUSTIVE {
        for subset in 0..1_usize << count {
            let fate = |place| if subset >> place & 1 == 1 { Fate::Keep } else { Fate::Lose };
            fates.push((0..count).map(fate).collect());
        }
    } else {
        for cut in 0..=count {
            let fate = |place| if place < cut { Fate::Keep } else { Fate::Lose };
            fates.push((0..count).map(fate).collect());
        }
        for single in 0..count {
            let alone = |place, a, b| if place == single { a } else { b };
            fates.push((0..count).map(|place| alone(place, Fate::Keep, Fate::Lose)).collect());
            fates.push((0..count).map(|place| alone(place, Fate::Lose, Fate::Keep)).collect());
        }
    }
    for (place, part) in pending.iter().enumerate() {
        if let Pending::Write(length) = part {
            for torn in [
                Fate::Torn(0),
                Fate::Torn(1),
                Fate::Torn(length / 2),
                Fate::Torn(length - 1),
                Fate::Short(1),
                Fate::Short(length / 2),
                Fate::Short(length - 1),
            ] {
                let mut all = vec![Fate::Keep; count];
                all[place] = torn;
                fates.push(all);
            }
        }
    }
    fates
}

/// What trees were found to hold: many crashes leave the same tree.
struct Seen {
    /// A crash while recovering, and the files afterwards, are tried for one in so many trees.
    stride: usize,
    contents: HashMap<BTreeMap<String, Vec<u8>>, String>,
    recovered: usize,
    opened: HashMap<BTreeMap<String, Vec<u8>>, String>,
}

impl Seen {
    /// Recovers a tree, checks everything that must hold whatever was done to it, and tells what it holds.
    fn recover(&mut self, tree: &ModelVfs) -> String {
        let key = fingerprint(tree);
        if let Some(content) = self.contents.get(&key) {
            return content.clone();
        }
        self.recovered += 1;
        let is_chosen = self.recovered.is_multiple_of(self.stride);
        let first = tree.copy();
        if is_chosen {
            first.record();
        }
        let mut core = open(&first);
        let recovered = content(&core);
        assert_eq!(core.shared().status().warnings, [""; 0], "a crash is no damage");
        let left = first.files().into_keys().find(|path| path.contains(".tmp-"));
        assert_eq!(left, None, "temporary files are swept");
        if is_chosen {
            // A crash while recovering, and one right after it.
            for moment in first.moments() {
                let count = moment.pending().len();
                for fates in [vec![Fate::Lose; count], vec![Fate::Keep; count]] {
                    let again = self.open_again(&moment.crash(&fates));
                    assert_eq!(again, recovered, "recovery is not repeatable");
                }
            }
            // The files are what the state is.
            core.close().unwrap();
            let left = first.files().into_keys().find(|path| path.starts_with("journal/"));
            assert_eq!(left, None, "a closed store has no frames");
            let alone = open(&json_files_alone(&first));
            let expected = recovered.split_once('\n').unwrap().1;
            let found = describe_content(&alone);
            assert_eq!(found, expected, "the JSON files alone are the store");
            assert_eq!(alone.shared().status().warnings, [""; 0]);
        }
        self.contents.insert(key, recovered.clone());
        recovered
    }

    fn open_again(&mut self, tree: &ModelVfs) -> String {
        self.opened.entry(fingerprint(tree)).or_insert_with(|| content(&open(tree))).clone()
    }

    /// Crashes everywhere, and checks that every acknowledged commit is there, and no other but the one under way.
    fn check(&mut self, steps: &[Step], vfs: &ModelVfs, acknowledged: &[Acknowledged]) {
        for (moment, tree) in vfs.moments().into_iter().enumerate() {
            let last = acknowledged.iter().rposition(|known| known.moment <= moment).unwrap();
            // What is under way: one commit, or the frames of a batch, which are acknowledged together.
            let next = acknowledged.get(last + 1).map_or(0, |known| known.moment);
            let under_way = acknowledged[last + 1..].iter().take_while(|known| known.moment == next);
            let allowed: Vec<_> =
                acknowledged[last..=last].iter().chain(under_way).map(|known| &known.content).collect();
            for fates in fates(&tree.pending()) {
                let recovered = self.recover(&tree.crash(&fates));
                assert!(
                    allowed.contains(&&recovered),
                    "after {steps:?}, a crash at moment {moment} with {fates:?} gives\n{recovered}\ninstead of\n{}",
                    allowed[0]
                );
            }
        }
    }
}

/// Returns how many different trees were recovered.
fn enumerate(stride: usize, base: &ModelVfs, workloads: impl Iterator<Item = Vec<Step>>) -> usize {
    let mut seen = Seen { stride, contents: HashMap::new(), recovered: 0, opened: HashMap::new() };
    for steps in workloads {
        let (vfs, acknowledged) = run(base, &steps);
        seen.check(&steps, &vfs, &acknowledged);
    }
    seen.recovered
}

fn pairs() -> impl Iterator<Item = Vec<Step>> {
    STEPS.into_iter().flat_map(|first| STEPS.into_iter().map(move |second| vec![first, second]))
}

#[test]
fn a_crash_anywhere_in_one_operation_loses_nothing() {
    for base in [small_store(), small_store_with_journal()] {
        let recovered = enumerate(1, &base, STEPS.into_iter().map(|step| vec![step]));
        assert!(recovered > 40, "{recovered}");
    }
}

#[test]
fn a_crash_anywhere_in_two_operations_loses_nothing() {
    assert!(enumerate(5, &small_store(), pairs()) > 500);
}

#[test]
fn a_crash_anywhere_in_two_operations_after_a_crash_loses_nothing() {
    assert!(enumerate(5, &small_store_with_journal(), pairs()) > 500);
}

#[test]
fn a_crash_anywhere_in_a_checkpoint_with_a_commit_in_it_loses_nothing() {
    let workloads = (0..20).map(|after| {
        vec![Step::PublishChanged, Step::Remove, Step::CommitDuringCheckpoint(after), Step::Delete]
    });
    assert!(enumerate(5, &small_store(), workloads) > 100);
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
    for base in [small_store(), small_store_with_journal()] {
        assert!(enumerate(8, &base, workloads().into_iter()) > 50);
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
    ];
    assert!(enumerate(5, &small_store(), workloads.into_iter()) > 200);
}

#[test]
fn a_crash_while_a_store_is_made_and_first_written_loses_nothing() {
    let workloads = [
        vec![Step::PublishNew, Step::Checkpoint, Step::PublishChanged, Step::Close],
        vec![Step::PutOnly, Step::Checkpoint, Step::PublishNew],
    ];
    assert!(enumerate(1, &ModelVfs::new(), workloads.into_iter()) > 30);
}

#[test]
fn the_json_files_alone_are_a_store_at_every_moment_of_a_checkpoint() {
    let steps = [
        vec![Step::PublishNew, Step::PublishChanged, Step::Checkpoint],
        vec![Step::Remove, Step::Prune, Step::Alias, Step::Checkpoint],
        vec![Step::RemoveUsed, Step::Close],
    ];
    for steps in steps {
        let (vfs, _) = run(&small_store(), &steps);
        for tree in vfs.moments() {
            for fates in fates(&tree.pending()) {
                let alone = open(&json_files_alone(&tree.crash(&fates)));
                assert_eq!(alone.shared().status().warnings, [""; 0], "{steps:?}");
            }
        }
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
