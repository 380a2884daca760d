//! Workloads: steps that are run on a store and on the model of it, with every moment of the file system recorded.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::thread;

use constellation_store_core::{Clock as _, Commit, Operation, Precondition, Result};
use constellation_store_fs::archive::{Archive, CheckedArchive, Snapshot};
use constellation_store_fs::core::{Core, CoreOptions};
use constellation_store_fs::verify::{VerifyOptions, mend, verify};
use constellation_store_fs::vfs::{ModelVfs, Vfs};
use constellation_store_mem::State;

use super::buggy::{BuggyVfs, FileBug};
use super::{
    FixedClock, alias, as_vfs, assert_same, commit, commit_batch, content, content_of, image,
    journal_commits, name, one, open, options, publish, put, small_commits, small_store,
    small_store_with_journal,
};

/// What a [`Step::Repair`] damages.
pub(crate) const ALIASES: &str = "aliases.json";
pub(crate) const DOCUMENT: &str = "versions/a.json";

/// What is done to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
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
    /// An image goes with the version that referred to it, as when garbage is collected.
    Collect,
    Prune,
    Checkpoint,
    /// Commits that share a frame, one of them refused, one without an effect.
    Batch,
    /// The same, each in a frame of its own.
    BatchOfFrames,
    /// An archive of another store, with a name of its own and one that is here too.
    Import,
    /// A look at all files, while the store is open.
    Verify,
    /// The next segment of the journal is made, if it will be needed soon.
    MakeSpare,
    /// Files are damaged in ways that lose nothing, and mended.
    Repair,
    /// A checkpoint with a commit after so many of its steps.
    CommitDuringCheckpoint(usize),
    /// Closed, and opened again.
    Close,
    /// Opened again without having been closed, as after the end of the process.
    Kill,
}

/// The steps of which all workloads are made.
pub(crate) const STEPS: [Step; 18] = [
    Step::PublishNew,
    Step::PublishSame,
    Step::PublishChanged,
    Step::Alias,
    Step::SetActive,
    Step::Delete,
    Step::Remove,
    Step::RemoveAndPutAgain,
    Step::Collect,
    Step::Prune,
    Step::Batch,
    Step::Import,
    Step::Verify,
    Step::Repair,
    Step::MakeSpare,
    Step::Checkpoint,
    Step::Close,
    Step::Kill,
];

impl Step {
    pub(crate) fn commits(self) -> Vec<Commit> {
        let remove = |number| one(Operation::RemoveImage { structural_hash: image(number).structural_hash });
        let prune = |keep| one(Operation::PruneVersions { name: name("a"), keep });
        match self {
            Self::PutOnly => vec![one(Operation::PutImage(image(13)))],
            Self::PublishNew => vec![publish("new/name", 10)],
            Self::PublishSame => vec![publish("a", 1)],
            Self::PublishChanged => vec![publish("a", 11)],
            Self::Alias => vec![alias("alias", 2)],
            Self::SetActive => vec![one(Operation::SetActive { name: name("a"), version: 2 })],
            Self::Delete => vec![one(Operation::DeleteName { name: name("B/c") })],
            Self::Remove => vec![remove(4)],
            Self::RemoveAndPutAgain => vec![remove(4), put(4)],
            Self::Collect => {
                vec![prune(1).then(Operation::RemoveImage { structural_hash: image(2).structural_hash })]
            }
            Self::Prune => vec![prune(0)],
            Self::Batch | Self::BatchOfFrames => vec![
                publish("batch", 14),
                publish("a", 15),
                publish("a", 16).require(name("a"), Precondition::Absent),
                publish("a", 15),
                remove(4),
                alias("batch", 15),
            ],
            Self::CommitDuringCheckpoint(_) => vec![publish("during", 12)],
            Self::Import => IMPORT.clone(),
            Self::MakeSpare | Self::Checkpoint | Self::Close | Self::Kill | Self::Verify | Self::Repair => {
                vec![]
            }
        }
    }
}

/// An archive of another store, which shares an image and a name with [`small_store`].
pub(crate) fn archive() -> CheckedArchive {
    let other = ModelVfs::new();
    let mut core = open(&other);
    for change in [publish("imported", 17), publish("a", 3), publish("a", 18)] {
        commit(&mut core, &change).unwrap();
    }
    core.close().unwrap();
    let mut archive = Archive::new();
    let snapshot = Snapshot::take(&as_vfs(&other)).unwrap();
    snapshot.files(|path, bytes| archive.add(path, bytes)).unwrap();
    archive.check().unwrap()
}

/// What an import of [`archive`] commits. It is made on a thread of its own, which has no seeded bug.
static IMPORT: LazyLock<Vec<Commit>> = LazyLock::new(|| {
    let steps = thread::spawn(|| archive().steps()).join().unwrap();
    steps.into_iter().map(|step| step.commit).collect()
});

/// How stores are opened: as they are, or with a bug in what they do with files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setup {
    pub(crate) bug: Option<FileBug>,
}

impl Setup {
    pub(crate) fn vfs(self, tree: &ModelVfs) -> Arc<dyn Vfs> {
        match self.bug {
            None => as_vfs(tree),
            Some(bug) => Arc::new(BuggyVfs::new(as_vfs(tree), bug)),
        }
    }

    pub(crate) fn open_with(self, tree: &ModelVfs, options: CoreOptions) -> Core {
        Core::open(self.vfs(tree), options).unwrap()
    }

    pub(crate) fn open(self, tree: &ModelVfs) -> Core {
        self.open_with(tree, options())
    }
}

/// A store that workloads start from, and what it holds.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) tree: ModelVfs,
    pub(crate) state: State,
}

impl Base {
    pub(crate) fn empty() -> Self {
        Self { tree: ModelVfs::new(), state: State::new() }
    }

    pub(crate) fn small() -> Self {
        Self { tree: small_store(), state: model(&small_commits()) }
    }

    pub(crate) fn with_journal() -> Self {
        let commits = [small_commits(), journal_commits()].concat();
        Self { tree: small_store_with_journal(), state: model(&commits) }
    }
}

fn model(commits: &[Commit]) -> State {
    let mut state = State::new();
    for commit in commits {
        apply(&mut state, commit).unwrap();
    }
    state
}

/// Applies a commit to the model, and tells the answer.
pub(crate) fn apply(state: &mut State, commit: &Commit) -> Result<String> {
    let prepared = state.prepare(commit, FixedClock.now())?;
    Ok(format!("{:?}", state.apply(prepared)))
}

/// What the store holds after so many changes of the file system, as far as it was acknowledged.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    pub(crate) moment: usize,
    pub(crate) content: String,
}

/// What happened.
#[derive(Debug)]
pub(crate) struct Run {
    /// With every moment.
    pub(crate) vfs: ModelVfs,
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// When the last step began.
    pub(crate) last_step: usize,
}

/// Runs steps on a copy of `base`, recording every moment and what was acknowledged by then.
///
/// What is acknowledged is told by the model, and the store must say the same.
pub(crate) fn run(setup: Setup, base: &Base, steps: &[Step]) -> Run {
    let vfs = base.tree.copy();
    vfs.record();
    let mut options = options();
    if steps.contains(&Step::BatchOfFrames) {
        options.frame_bytes = 1;
    }
    let mut core = setup.open_with(&vfs, options.clone());
    let mut state = base.state.clone();
    assert_same(&content(&core), &content_of(&state));
    let mut acknowledged = vec![Acknowledged { moment: 0, content: content_of(&state) }];
    let mut last_step = 0;
    for (place, step) in steps.iter().enumerate() {
        if place > 0 {
            last_step = vfs.recorded();
        }
        let mut commit_all = |core: &mut Core| {
            for change in step.commits() {
                // Some steps do not apply after others; then nothing changes.
                assert_answer(&commit(core, &change), &apply(&mut state, &change));
                acknowledged.push(Acknowledged { moment: vfs.recorded(), content: content_of(&state) });
            }
        };
        match step {
            Step::Checkpoint => core.checkpoint().unwrap(),
            Step::Close => {
                core.close().unwrap();
                core = setup.open_with(&vfs, options.clone());
            }
            Step::Kill => {
                drop(core);
                core = setup.open_with(&vfs, options.clone());
            }
            Step::Verify => {
                let before = vfs.recorded();
                let report = verify(&*setup.vfs(&vfs), VerifyOptions::default()).unwrap();
                assert_eq!(report.findings, []);
                assert_eq!(vfs.recorded(), before, "a verification changes nothing");
            }
            Step::MakeSpare => make_spare(&mut core),
            Step::Repair => {
                drop(core);
                repair(&setup.vfs(&vfs), &vfs);
                core = setup.open_with(&vfs, options.clone());
            }
            Step::CommitDuringCheckpoint(after) => {
                core.begin_checkpoint().unwrap();
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
                let commits = step.commits();
                let answers = commit_batch(&mut core, &commits);
                let moment = vfs.recorded();
                for (change, answer) in commits.iter().zip(answers) {
                    assert_answer(&answer, &apply(&mut state, change));
                    if *step == Step::BatchOfFrames {
                        acknowledged.push(Acknowledged { moment, content: content_of(&state) });
                    }
                }
                acknowledged.push(Acknowledged { moment, content: content_of(&state) });
            }
            _ => commit_all(&mut core),
        }
        assert_same(&content(&core), &content_of(&state));
    }
    drop(core);
    Run { vfs, acknowledged, last_step }
}

/// Does what another thread does while commits are made.
pub(crate) fn make_spare(core: &mut Core) {
    if let Some(work) = core.next_spare() {
        work.run();
        core.finish_work().unwrap();
    }
}

/// Damages what can be told from other files, and does what `verify --repair` does.
fn repair(vfs: &Arc<dyn Vfs>, tree: &ModelVfs) {
    tree.put(ALIASES, "{}");
    if let Some(document) = tree.files().get(DOCUMENT) {
        let members: serde_json::Value = serde_json::from_slice(document).unwrap();
        tree.put(DOCUMENT, members.to_string());
    }
    let report = verify(&**vfs, VerifyOptions::default()).unwrap();
    let found: BTreeSet<_> = report.findings.iter().map(|finding| finding.path.as_str()).collect();
    assert!(found.contains(ALIASES) && found.contains(DOCUMENT), "{found:?}");
    assert!(!mend(vfs, &report).unwrap(), "the index is not damaged");
    Core::open(Arc::clone(vfs), options()).unwrap().close().unwrap();
    assert_eq!(verify(&**vfs, VerifyOptions::default()).unwrap().findings, []);
}

/// The store answers as the model does.
#[track_caller]
pub(crate) fn assert_answer(answer: &Result<constellation_store_core::Committed>, expected: &Result<String>) {
    match (answer, expected) {
        (Ok(answer), Ok(expected)) => assert_eq!(format!("{answer:?}"), *expected),
        (Err(answer), Err(expected)) => assert_eq!(answer.kind(), expected.kind()),
        (answer, expected) => panic!("the answer is {answer:?} instead of {expected:?}"),
    }
}
