//! Golden directories: stores as a release once wrote them, or as damage, people and others left them, which every
//! later version opens. `golden/README.md` says what is in each.
//!
//! Nothing writes to `golden/`. Two tests make a store as `whole` and `journal` were made, below cargo's `target`,
//! and compare the bytes, so that no change of the format goes unseen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use constellation_store_core::{
    Commit, ErrorKind, Operation, Origin, PipelineImage, PipelineStore as _, SourceHash, StructuralHash,
};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::core::{Core, CoreOptions};
use constellation_store_fs::vfs::RealVfs;
use serde_json::{Value, json};
use support::reading::content;
use support::{FixedClock, alias, commit, commit_batch, image, name, one, options, publish, put, source};
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// Every entry below a directory: its path with `/`, and what is in it if it is a file.
fn tree(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut entries = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let parts = path.strip_prefix(root).unwrap().components();
            let parts: Vec<_> = parts.map(|part| part.as_os_str().to_str().unwrap()).collect();
            entries.insert(parts.join("/"), path.is_file().then(|| std::fs::read(&path).unwrap()));
            if path.is_dir() {
                directories.push(path);
            }
        }
    }
    entries
}

/// A copy of a golden directory, which the test may change.
fn copy_of(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&golden(name), copy.path());
    copy
}

fn open(directory: &Path) -> FileSystemPipelineStore {
    FileSystemPipelineStore::options().clock(Arc::new(FixedClock)).check_after(None).open(directory).unwrap()
}

fn open_read_only(directory: &Path) -> FileSystemPipelineStore {
    FileSystemPipelineStore::options().read_only(true).check_after(None).open(directory).unwrap()
}

async fn warnings(store: &FileSystemPipelineStore) -> Vec<String> {
    store.status().await.unwrap().warnings
}

/// Compares with the file beside the directory.
#[track_caller]
fn assert_content(name: &str, actual: &Value) {
    let path = golden(&format!("{name}.json"));
    let expected = std::fs::read(&path).unwrap_or_default();
    let expected: Value = serde_json::from_slice(&expected).unwrap_or_default();
    assert!(
        *actual == expected,
        "{} does not say what the store holds, which is:\n{}",
        path.display(),
        serde_json::to_string_pretty(actual).unwrap()
    );
}

/// Opens a copy of a golden directory in every way, and compares: only to read, to write, and again after closing
/// and after a death. Returns the copy, taken over and closed, and what its first opening warned of.
async fn check(name: &str) -> (TempDir, Vec<String>) {
    let copy = copy_of(name);
    let before = tree(copy.path());
    let reader = open_read_only(copy.path());
    assert_content(name, &content(&reader).await);
    let told_reader = warnings(&reader).await;
    drop(reader);
    assert!(tree(copy.path()) == before, "reading only changed the directory");

    let store = open(copy.path());
    // A flat map that is rebuilt is written at once, and told no more.
    let told = warnings(&store).await;
    assert!(told.iter().all(|warning| told_reader.contains(warning)), "{told:?}, {told_reader:?}");
    assert_content(name, &content(&store).await);
    drop(store);
    let store = open(copy.path());
    assert_content(name, &content(&store).await);
    store.close().await.unwrap();
    drop(store);
    let store = open(copy.path());
    assert_content(name, &content(&store).await);
    store.close().await.unwrap();
    (copy, told)
}

/// Publishes under a name, and tells the number of the version.
async fn next_version(directory: &Path, text: &str) -> u64 {
    let store = open(directory);
    let revision = store.status().await.unwrap().revision;
    let committed = store.commit(publish(text, 1_000)).await.unwrap();
    assert!(committed.revision > revision);
    store.close().await.unwrap();
    drop(store);
    let version = open(directory).resolve(&name(text)).await.unwrap().unwrap();
    assert_eq!(version.structural_hash, image(1_000).structural_hash);
    version.version
}

/// An image with members that the format does not know, whose source has line ends of another system, letters
/// beyond ASCII, and no end of its last line.
fn annotated() -> Commit {
    const SOURCE: &str = "# caf\u{e9} \u{1f600}\r\nout x = 40\r\n\tout y = x";
    let source_hash = Some(SourceHash::of_bytes(SOURCE.as_bytes()));
    let mut image = PipelineImage::clone(&image(40));
    image.metadata.source_hash = source_hash;
    image.metadata.compiler = Some("0.1.0".into());
    image.metadata.extra.insert("team".into(), json!({ "b": [1, 2.5, null], "a": "\u{e9}" }));
    image.extra.insert("note".into(), "kept".into());
    let structural_hash = image.structural_hash;
    Commit::new()
        .then(Operation::PutImage(Arc::new(image)))
        .then(Operation::PutSource(SOURCE.into()))
        // A device of Windows.
        .then(Operation::RecordVersion {
            name: name("con"),
            structural_hash,
            origin: Origin::Reload,
            source_hash,
        })
}

fn set_active(text: &str, version: u64) -> Commit {
    one(Operation::SetActive { name: name(text), version })
}

fn prune(text: &str, keep: usize) -> Commit {
    one(Operation::PruneVersions { name: name(text), keep })
}

fn delete(text: &str) -> Commit {
    one(Operation::DeleteName { name: name(text) })
}

fn remove(number: i64) -> Commit {
    one(Operation::RemoveImage { structural_hash: image(number).structural_hash })
}

/// Opens a store that is made anew below cargo's directory for tests, with what was there removed.
fn make(name: &str, options: CoreOptions) -> (PathBuf, Core) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden").join(name);
    if directory.exists() {
        std::fs::remove_dir_all(&directory).unwrap();
    }
    std::fs::create_dir_all(&directory).unwrap();
    let core = Core::open(Arc::new(RealVfs::new(&directory)), options).unwrap();
    (directory, core)
}

fn make_whole() -> PathBuf {
    let (directory, mut core) = make("whole", options());
    let long = "X".repeat(70);
    for change in [
        publish("scoring", 1),
        publish("scoring", 2),
        publish("scoring", 1),
        publish("scoring", 3),
        set_active("scoring", 2),
        prune("scoring", 2),
        publish("pricing/Quote v2", 4),
        publish("gone", 5),
        delete("gone"),
        publish("gone for good", 6),
        delete("gone for good"),
        prune("gone for good", 0),
        annotated(),
        alias(&long, 4),
        put(7),
        put(8),
        remove(8),
    ] {
        commit(&mut core, &change).unwrap();
    }
    core.close().unwrap();
    directory
}

/// A store whose JSON files have the first commits, and whose journal alone has one change of each kind after them.
/// Its segment was used before, so that old frames lie behind the live ones.
fn make_journal() -> PathBuf {
    let options = CoreOptions { max_segment_bytes: 8192, ..options() };
    let (directory, mut core) = make("journal", options);
    for changes in [
        vec![publish("scoring", 1), publish("scoring", 2), publish("gone", 3), put(4), put(5)],
        vec![publish("scoring", 3)],
    ] {
        for change in &changes {
            commit(&mut core, change).unwrap();
        }
        core.checkpoint().unwrap();
    }
    for change in [publish("scoring", 6), set_active("scoring", 1), delete("gone"), remove(4)] {
        commit(&mut core, &change).unwrap();
    }
    for committed in commit_batch(&mut core, &[prune("scoring", 1), publish("new/one", 5), annotated()]) {
        committed.unwrap();
    }
    // As a process ends that is killed.
    drop(core);
    directory
}

/// The files that people read and copy.
fn json_files(directory: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut files = tree(directory);
    let others = ["LOCK", "store.json", "pack", "journal"];
    files.retain(|path, bytes| bytes.is_some() && !others.iter().any(|other| path.starts_with(other)));
    files
}

#[track_caller]
fn assert_same_files(made: &Path, golden: &Path) {
    let (actual, expected) = (json_files(made), json_files(golden));
    let paths = |files: &BTreeMap<String, _>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&actual), paths(&expected), "{} and {}", made.display(), golden.display());
    for (path, bytes) in actual {
        assert!(bytes == expected[&path], "{} in {} and {}", path, made.display(), golden.display());
    }
}

/// The live frames of a journal, in order: format, epoch, sequence number and payload. The store's id is random,
/// and in the hash.
fn frames(directory: &Path) -> Vec<(u32, u64, u64, Vec<u8>)> {
    let mut frames: Vec<(u32, u64, u64, Vec<u8>)> = Vec::new();
    for (path, bytes) in tree(&directory.join("journal")) {
        let Some(mut rest) = bytes.as_deref().filter(|_| !path.starts_with(".tmp-")) else { continue };
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        while rest.len() > 80 && rest[..4] == *b"\xffCJF" {
            let format = u32::from_le_bytes(rest[4..8].try_into().unwrap());
            let (epoch, sequence) = (number(&rest[32..40]), number(&rest[40..48]));
            let end = 80 + usize::try_from(number(&rest[8..16])).unwrap();
            if frames.last().is_some_and(|(_, _, last, _)| sequence <= *last) {
                // An old one.
                break;
            }
            frames.push((format, epoch, sequence, rest[80..end].to_vec()));
            rest = &rest[end..];
        }
    }
    frames
}

#[test]
fn the_files_of_a_store_are_written_as_ever() {
    assert_same_files(&make_whole(), &golden("whole"));
}

#[test]
fn the_journal_is_written_as_ever() {
    let made = make_journal();
    assert_same_files(&made, &golden("journal"));
    let (actual, expected) = (frames(&made), frames(&golden("journal")));
    let segment = tree(&golden("journal").join("journal")).into_values().next().flatten().unwrap();
    let marks = segment.windows(4).filter(|window| window == b"\xffCJF").count();
    assert!(expected.len() == 5 && marks > 5, "old frames lie behind the live ones");
    assert!(actual == expected, "the frames in {} and the golden ones differ", made.display());
}

#[tokio::test]
async fn a_whole_store_opens() {
    let (copy, told) = check("whole").await;
    assert_eq!(told, [""; 0]);
    assert_eq!(next_version(copy.path(), "scoring").await, 5);
    assert_eq!(next_version(copy.path(), "gone").await, 2);
    assert_eq!(next_version(copy.path(), "gone for good").await, 2);
    // Also as a copy of the JSON files alone, as from a backup. Numbers are not used again.
    let copy = copy_of("whole");
    for file in ["store.json", "LOCK"] {
        std::fs::remove_file(copy.path().join(file)).unwrap();
    }
    std::fs::remove_dir_all(copy.path().join("pack")).unwrap();
    let mut actual = content(&open(copy.path())).await;
    let expected: Value = serde_json::from_slice(&std::fs::read(golden("whole.json")).unwrap()).unwrap();
    actual["revision"] = expected["revision"].clone();
    assert_eq!(actual, expected);
    assert_eq!(next_version(copy.path(), "gone for good").await, 2);
}

#[tokio::test]
async fn a_store_with_commits_in_its_journal_alone_opens() {
    let (copy, told) = check("journal").await;
    assert_eq!(told, [""; 0]);
    assert_eq!(next_version(copy.path(), "scoring").await, 5);
    assert!(!golden("journal").join("versions/new%2fone.json").exists());
    assert!(copy.path().join("versions/new%2fone.json").exists());
}

#[tokio::test]
async fn a_damaged_store_opens_with_what_is_left() {
    let (copy, told) = check("damaged").await;
    let image_path = format!("images/{}.json", image(2).structural_hash);
    let told = told.join("\n");
    for needle in [&*image_path, "versions/enrichment.json", "aliases.json", "version 2 of 'scoring'"] {
        assert!(told.contains(needle), "{needle} is not told:\n{told}");
    }
    // What was damaged is put aside as it was.
    let before = tree(&golden("damaged"));
    let after = tree(copy.path());
    for path in [&*image_path, "versions/enrichment.json"] {
        assert_eq!(after[&format!("quarantine/{}", path.replace('/', "-"))], before[path]);
    }

    // The image is compiled again from the source that was retained.
    let store = open(copy.path());
    assert_eq!(store.lookup_syntactic(&support::key(2)).await.unwrap(), None);
    let source_hash = image(2).metadata.source_hash.unwrap();
    assert_eq!(store.source(&source_hash).await.unwrap(), Some(source(2)));
    store.commit(put(2)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = open(copy.path());
    assert_eq!(store.get(&image(2).structural_hash).await.unwrap(), Some(image(2)));
    assert_eq!(warnings(&store).await, [""; 0]);
    drop(store);
    // No number is used twice, although the document that had them is lost.
    assert!(next_version(copy.path(), "enrichment").await > 3);
}

#[tokio::test]
async fn a_store_of_the_plain_form_opens() {
    let (copy, told) = check("plain").await;
    let told = told.join("\n");
    assert!(told.contains("4 files have no checksum") && told.contains("syntactic-index.json"), "{told}");
    assert_eq!(next_version(copy.path(), "scoring").await, 3);
    assert_eq!(next_version(copy.path(), "enrichment").await, 2);
}

#[test]
fn a_store_of_the_reference_implementation_is_refused_and_not_touched() {
    let copy = copy_of("reference");
    let before = tree(copy.path());
    assert!(before.len() > 3);
    for is_read_only in [false, true, false] {
        let options = FileSystemPipelineStore::options().read_only(is_read_only);
        let error = options.open(copy.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedFormat);
        assert!(error.to_string().contains("made by the reference implementation"), "{error}");
        assert!(tree(copy.path()) == before, "the directory was changed");
    }
    let hashes = before.keys().filter_map(|path| path.strip_prefix("images/")?.strip_suffix(".json"));
    assert!(hashes.filter(|hash| hash.parse::<StructuralHash>().is_ok()).count() > 0);
}
