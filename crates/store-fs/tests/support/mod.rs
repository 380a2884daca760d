//! What the tests of this crate share: small images, commits, and the content of a store as text.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod buggy;
pub(crate) mod crashes;
pub(crate) mod hooked;
pub(crate) mod log;
pub(crate) mod reading;
pub(crate) mod workloads;

use std::fmt::Write as _;
use std::sync::Arc;

use constellation_store_core::{
    Clock, Commit, Committed, DagSpec, ErrorKind, ImageMetadata, Literal, NodeIndex, NodeKind, NodeSpec,
    Operation, Origin, OutputSpec, PipelineImage, PipelineName, RegistryHash, Result, SourceHash,
    SyntacticHash, SyntacticKey, Timestamp, TypeIndex, TypeSpec,
};
use constellation_store_fs::core::{Checker, Core, CoreOptions, Loaded, Suspect};
use constellation_store_fs::vfs::{ModelVfs, Vfs};
use constellation_store_mem::{State, VerifiedCommit};

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        "2026-02-02T14:30:00Z".parse().unwrap()
    }
}

pub(crate) fn name(text: &str) -> PipelineName {
    text.parse().unwrap()
}

pub(crate) fn source(number: i64) -> Arc<str> {
    format!("out x = {number}\n").into()
}

pub(crate) fn key(number: i64) -> SyntacticKey {
    SyntacticKey {
        syntactic: SyntacticHash::of_bytes(source(number).as_bytes()),
        registry: RegistryHash::of_bytes(b"registry"),
    }
}

/// The image of a program whose output is a number.
pub(crate) fn image(number: i64) -> Arc<PipelineImage> {
    let dag_spec = DagSpec {
        outputs: vec![OutputSpec { name: "x".into(), node: NodeIndex(0) }],
        types: vec![TypeSpec::Int],
        nodes: vec![NodeSpec {
            label: Some("x".into()),
            ty: TypeIndex(0),
            operation: NodeKind::Literal(Literal::Int(number)),
        }],
        ..DagSpec::default()
    };
    let mut metadata = ImageMetadata::new(&dag_spec, FixedClock.now());
    metadata.source_hash = Some(SourceHash::of_bytes(source(number).as_bytes()));
    metadata.syntactic_hash = Some(key(number).syntactic);
    Arc::new(PipelineImage::new(dag_spec, metadata))
}

/// Everything that a compile writes: image, source, index entry, version.
pub(crate) fn publish(name_text: &str, number: i64) -> Commit {
    let image = image(number);
    let structural_hash = image.structural_hash;
    let source_hash = image.metadata.source_hash;
    Commit::new()
        .then(Operation::PutImage(image))
        .then(Operation::PutSource(source(number)))
        .then(Operation::Index { key: key(number), structural_hash })
        .then(Operation::RecordVersion {
            name: name(name_text),
            structural_hash,
            origin: Origin::Loader,
            source_hash,
        })
}

/// Image, source and index entry without a name.
pub(crate) fn put(number: i64) -> Commit {
    let mut commit = publish("unused", number);
    commit.operations.pop();
    commit
}

pub(crate) fn alias(name_text: &str, number: i64) -> Commit {
    Commit::new().then(Operation::RecordVersion {
        name: name(name_text),
        structural_hash: image(number).structural_hash,
        origin: Origin::Alias,
        source_hash: None,
    })
}

pub(crate) fn one(operation: Operation) -> Commit {
    Commit::new().then(operation)
}

pub(crate) fn options() -> CoreOptions {
    // Small segments, so that they grow, follow one another and are used again within a few commits.
    CoreOptions {
        clock: Arc::new(FixedClock),
        segment_bytes: 512,
        max_segment_bytes: 4096,
        ..CoreOptions::default()
    }
}

pub(crate) fn open(vfs: &ModelVfs) -> Core {
    Core::open(Arc::new(vfs.clone()), options()).unwrap()
}

pub(crate) fn commit(core: &mut Core, commit: &Commit) -> Result<Committed> {
    core.commit(&VerifiedCommit::new(commit.clone()).unwrap())
}

pub(crate) fn commit_batch(core: &mut Core, commits: &[Commit]) -> Vec<Result<Committed>> {
    let commits: Vec<_> = commits.iter().map(|commit| VerifiedCommit::new(commit.clone()).unwrap()).collect();
    core.commit_batch(&commits)
}

/// [`content`] without the revision.
pub(crate) fn describe_content(core: &Core) -> String {
    load_all(core);
    describe(&core.shared().state())
}

pub(crate) fn describe(state: &State) -> String {
    let mut text = format!("bytes {}\n", state.status().bytes);
    for image in state.images() {
        let metadata = serde_json::to_string(&image.metadata).unwrap();
        writeln!(text, "image {} {metadata}", image.structural_hash).unwrap();
    }
    for (hash, source) in state.sources() {
        writeln!(text, "source {hash} {source:?}").unwrap();
    }
    for (key, hash) in state.index_entries() {
        writeln!(text, "index {key} {hash}").unwrap();
    }
    for history in state.histories() {
        writeln!(text, "name {}", serde_json::to_string(&**history).unwrap()).unwrap();
    }
    text
}

/// What [`content`] is for a core with this state, all of which is in memory.
pub(crate) fn content_of(state: &State) -> String {
    format!("revision {}\n{}", state.revision(), describe(state))
}

/// Everything that a store holds, as text, so that a difference can be read.
pub(crate) fn content(core: &Core) -> String {
    let revision = core.shared().state().revision();
    format!("revision {revision}\n{}", describe_content(core))
}

/// Uses every source, so that the damaged ones are found.
pub(crate) fn use_sources(core: &mut Core) {
    let hashes: Vec<_> = core.shared().state().sources().map(|(hash, _)| *hash).collect();
    for hash in hashes {
        if let Loaded::Lost(lost) = core.loader().source(&hash).unwrap() {
            core.put_aside(&lost);
        }
    }
}

/// Brings everything into memory that is in files only.
#[track_caller]
pub(crate) fn load_all(core: &Core) {
    let loader = core.loader();
    let state = core.shared().state();
    let (images, sources) =
        (state.images_not_loaded(None, usize::MAX), state.sources_not_loaded(None, usize::MAX));
    drop(state);
    for hash in images {
        assert!(matches!(loader.image(&hash).unwrap(), Loaded::There(_)), "{hash} is not in its file");
    }
    for hash in sources {
        assert!(matches!(loader.source(&hash).unwrap(), Loaded::There(_)), "{hash} is not in its file");
    }
}

/// Does what the threads of a store do in the background: checks all files, and lets the core judge.
pub(crate) fn check_files(core: &mut Core) {
    let mut checker = Checker::new(core.loader());
    while !checker.is_done() {
        match checker.step() {
            Some(Suspect::Lost(lost)) => core.put_aside(&lost),
            Some(Suspect::Mirror(mirror)) => core.look_at(&mirror),
            None => {}
        }
    }
}

/// What a crash, or a death, leaves: everything that is in the tree, without locks.
pub(crate) fn after_kill(vfs: &ModelVfs) -> ModelVfs {
    vfs.copy()
}

/// Leaves out what is random in `store.json` and in the catalogue.
pub(crate) fn without_random_ids(manifest: &mut Option<Vec<u8>>, catalogue: &mut Option<Vec<u8>>) {
    if let Some(bytes) = manifest
        && let Ok(mut manifest) = serde_json::from_slice::<serde_json::Value>(bytes)
        && let Some(members) = manifest.as_object_mut()
        && members.contains_key("checksum")
    {
        members.remove("checksum");
        let checkpoint = members.remove("checkpointId");
        *bytes = manifest.to_string().into_bytes();
        let checkpoint = checkpoint.and_then(|id| id.as_str()?.parse::<uuid::Uuid>().ok());
        if let (Some(checkpoint), Some(bytes)) = (checkpoint, catalogue) {
            catalogue_without_random_ids(bytes, checkpoint);
        }
    }
}

/// What matters of the ids and hashes in a catalogue: whether a section is whole, whether it follows the one before
/// it, and whether it is of the checkpoint in `store.json`.
fn catalogue_without_random_ids(catalogue: &mut [u8], checkpoint: uuid::Uuid) {
    const HASH: std::ops::Range<usize> = 48..80;
    const ID: std::ops::Range<usize> = 80..96;
    const PREVIOUS: std::ops::Range<usize> = 96..112;
    let mut rest = catalogue;
    let mut last = [0; 16];
    while rest.len() >= PREVIOUS.end && rest[..4] == *b"\xffCJF" {
        let length = usize::try_from(u64::from_le_bytes(rest[8..16].try_into().unwrap())).unwrap();
        let Some((section, after)) = rest.split_at_mut_checked(HASH.end + length) else { return };
        let id: [u8; 16] = section[ID].try_into().unwrap();
        let hash =
            blake3::Hasher::new().update(&section[..HASH.start]).update(&section[HASH.end..]).finalize();
        let is_valid = u8::from(hash.as_bytes() == &section[HASH]);
        let follows = u8::from(section[PREVIOUS] == last);
        let fits = u8::from(id == *checkpoint.as_bytes());
        section[HASH].fill(is_valid);
        section[ID].fill(fits);
        section[PREVIOUS].fill(follows);
        last = id;
        rest = after;
    }
}

/// What [`small_store`] is made of.
pub(crate) fn small_commits() -> Vec<Commit> {
    vec![
        publish("a", 1),
        publish("a", 2),
        publish("a", 1),
        one(Operation::PruneVersions { name: name("a"), keep: 2 }),
        publish("B/c", 3),
        put(4),
    ]
}

/// What [`small_store_with_journal`] has in addition.
pub(crate) fn journal_commits() -> Vec<Commit> {
    vec![publish("d", 5), one(Operation::SetActive { name: name("a"), version: 2 })]
}

/// A store with two names, one with two versions and one of them pruned before, an image that nothing refers to,
/// and sources and index entries, all in the JSON files.
pub(crate) fn small_store() -> ModelVfs {
    let vfs = ModelVfs::new();
    let mut core = open(&vfs);
    for change in small_commits() {
        commit(&mut core, &change).unwrap();
    }
    core.close().unwrap();
    vfs.copy()
}

/// The same with two commits that are in the journal only.
pub(crate) fn small_store_with_journal() -> ModelVfs {
    let vfs = small_store();
    let mut core = open(&vfs);
    for change in journal_commits() {
        commit(&mut core, &change).unwrap();
    }
    drop(core);
    vfs.copy()
}

/// The store that the JSON files alone are.
pub(crate) fn json_files_alone(vfs: &ModelVfs) -> ModelVfs {
    let copy = vfs.copy();
    for path in ["store.json", "LOCK", "journal", "quarantine", "pack"] {
        copy.discard(path);
    }
    copy
}

pub(crate) fn kind_of<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

pub(crate) fn as_vfs(vfs: &ModelVfs) -> Arc<dyn Vfs> {
    Arc::new(vfs.clone())
}

/// Fails with the lines that differ.
#[track_caller]
pub(crate) fn assert_same(actual: &str, expected: &str) {
    let only = |a: &str, b: &str| {
        let b: std::collections::BTreeSet<_> = b.lines().collect();
        a.lines().filter(|line| !b.contains(line)).collect::<Vec<_>>().join("\n")
    };
    assert!(
        actual == expected,
        "only in what is there:\n{}\nonly in what is expected:\n{}",
        only(actual, expected),
        only(expected, actual)
    );
}
