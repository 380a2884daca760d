//! The promises of the first design of a persistent store, one test for each, and what goes with them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use constellation_store_core::{Commit, ListOptions, PipelineStore, PipelineStoreExt as _, Precondition};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::vfs::{FaultVfs, ModelVfs, RealVfs};
use futures_util::StreamExt as _;
use support::log::logged;
use support::{alias, image, key, name, publish, put, source};
use tempfile::TempDir;

fn open(directory: &Path) -> FileSystemPipelineStore {
    FileSystemPipelineStore::open(directory).unwrap()
}

/// Never writes the JSON files by itself.
fn open_without_write_behind(directory: &Path) -> FileSystemPipelineStore {
    FileSystemPipelineStore::options().checkpoint_after_idle(Duration::from_hours(1)).open(directory).unwrap()
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn file_names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Everything that a caller can see of a store.
async fn contents(store: &FileSystemPipelineStore) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut images = store.list_images(ListOptions::default());
    while let Some(entry) = images.next().await {
        let hash = entry.unwrap().structural_hash;
        let image = store.get(&hash).await.unwrap().unwrap();
        writeln!(text, "{image:?}").unwrap();
        if let Some(hash) = image.metadata.source_hash {
            writeln!(text, "{:?}", store.source(&hash).await.unwrap()).unwrap();
        }
    }
    let mut names = store.list_names(ListOptions::default());
    while let Some(entry) = names.next().await {
        let entry = entry.unwrap();
        writeln!(text, "{entry:?} {:?}", store.versions(&entry.name).await.unwrap().unwrap()).unwrap();
    }
    let mut index = store.list_index(ListOptions::default());
    while let Some(entry) = index.next().await {
        writeln!(text, "{:?}", entry.unwrap()).unwrap();
    }
    text
}

#[tokio::test]
async fn store_restart_load_pipelines_still_available() {
    // Closed, dropped, and dropped with the files never written.
    for ending in 0..3 {
        let directory = directory();
        let store =
            if ending == 2 { open_without_write_behind(directory.path()) } else { open(directory.path()) };
        for number in 0..5 {
            store.commit(publish(&format!("pipeline/{number}"), number)).await.unwrap();
        }
        let before = contents(&store).await;
        if ending == 0 {
            store.close().await.unwrap();
            assert_eq!(file_names(&directory.path().join("journal")), [""; 0]);
            assert_eq!(file_names(&directory.path().join("images")).len(), 5);
        }
        drop(store);
        let store = open(directory.path());
        assert_eq!(contents(&store).await, before);
        for number in 0..5 {
            let found = store.get_by_name(&name(&format!("pipeline/{number}"))).await.unwrap().unwrap();
            assert_eq!(found, image(number));
        }
        assert_eq!(store.status().await.unwrap().warnings, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_do_not_corrupt_the_file_system() {
    let directory = directory();
    let store = FileSystemPipelineStore::options()
        .checkpoint_after_bytes(20_000)
        .checkpoint_after_idle(Duration::from_millis(1))
        .open(directory.path())
        .unwrap();
    let store = Arc::new(store);
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for round in 0..10 {
                    store.commit(publish("shared", writer * 100 + round)).await.unwrap();
                    store.commit(publish(&format!("own/{writer}"), round)).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let shared = store.versions(&name("shared")).await.unwrap().unwrap();
    let numbers: Vec<_> = shared.versions.iter().map(|version| version.version).collect();
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>(), "every version is there once");
    let before = contents(&store).await;
    store.close().await.unwrap();
    drop(store);

    // The directory is consistent whichever way it is read.
    let all = open(directory.path());
    assert_eq!(contents(&all).await, before);
    assert_eq!(all.status().await.unwrap().warnings, [""; 0]);
    drop(all);
    let copy = copy_of_the_json_files(directory.path());
    let copied = open(copy.path());
    assert_eq!(contents(&copied).await, before);
    assert_eq!(copied.status().await.unwrap().warnings, [""; 0]);
}

#[tokio::test]
async fn a_corrupted_file_logs_a_warning_and_is_skipped() {
    let directory = directory();
    let store = open(directory.path());
    for number in 0..3 {
        store.commit(publish(&format!("n{number}"), number)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let hash = image(1).structural_hash;
    let path = directory.path().join(format!("images/{hash}.json"));
    std::fs::write(&path, "{ damaged").unwrap();
    // With it, the image is looked at when it is used first; `tests/catalogue.rs` has that.
    std::fs::remove_dir_all(directory.path().join("pack")).unwrap();

    let (store, logged) = logged(|| open(directory.path()));
    assert!(logged.contains("WARN") && logged.contains(&hash.to_string()), "{logged}");
    let warnings = store.status().await.unwrap().warnings.join("\n");
    assert!(warnings.contains(&hash.to_string()), "{warnings}");

    assert_eq!(store.get(&hash).await.unwrap(), None);
    assert_eq!(store.get_by_name(&name("n2")).await.unwrap(), Some(image(2)));
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), None, "so the loader compiles it again");
    assert!(!path.exists());
    assert_eq!(file_names(&directory.path().join("quarantine")).len(), 2);
    store.commit(publish("n1", 1)).await.unwrap();
    assert_eq!(store.get_by_name(&name("n1")).await.unwrap(), Some(image(1)));
}

#[tokio::test]
async fn filesystem_store_with_in_memory_cache_reads_are_served_from_memory() {
    let faults = FaultVfs::new(Arc::new(ModelVfs::new()));
    let store = FileSystemPipelineStore::options()
        .checkpoint_after_idle(Duration::from_hours(1))
        .open_on(Arc::new(faults.clone()))
        .unwrap();
    for number in 0..20 {
        store.commit(publish(&format!("n{number}"), number)).await.unwrap();
    }
    let before = faults.calls();
    assert!(before > 20);
    contents(&store).await;
    for number in 0..20 {
        let name = name(&format!("n{number}"));
        assert!(store.get_by_name(&name).await.unwrap().is_some());
        assert!(store.resolve(&name).await.unwrap().is_some());
        assert!(store.lookup_syntactic(&key(number)).await.unwrap().is_some());
        assert!(store.source(&image(number).metadata.source_hash.unwrap()).await.unwrap().is_some());
    }
    assert!(store.get(&image(1000).structural_hash).await.unwrap().is_none());
    assert_eq!(store.list_aliases().await.unwrap().len(), 20);
    store.status().await.unwrap();
    assert_eq!(faults.calls(), before);
}

#[tokio::test]
async fn version_history_persisted_and_restored_across_restarts() {
    let directory = directory();
    let store = open(directory.path());
    for number in [1, 2, 1] {
        store.commit(publish("scoring", number)).await.unwrap();
    }
    store.rollback(&name("scoring"), Some(2), Precondition::Any).await.unwrap();
    let before = store.versions(&name("scoring")).await.unwrap().unwrap();
    assert_eq!(before.versions.len(), 3);
    store.close().await.unwrap();
    drop(store);

    let text = std::fs::read_to_string(directory.path().join("versions/scoring.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["pipelineName"], "scoring");
    assert_eq!(document["activeVersion"], 2);
    assert_eq!(document["versions"][1]["version"], 2);
    assert_eq!(document["versions"][1]["structuralHash"], image(2).structural_hash.to_string());
    assert!(document["versions"][1]["createdAt"].is_string());

    let store = open(directory.path());
    assert_eq!(store.versions(&name("scoring")).await.unwrap().unwrap(), before);
    let published = store.commit(publish("scoring", 3)).await.unwrap();
    assert_eq!(store.resolve(&name("scoring")).await.unwrap().unwrap().version, 4);
    assert!(published.revision > before.versions[2].revision);
}

#[tokio::test]
async fn aliases_persisted_and_restored_across_restarts() {
    let directory = directory();
    let store = open(directory.path());
    store.commit(put(1)).await.unwrap();
    store.commit(put(2)).await.unwrap();
    store.alias(&name("scoring"), &image(1).structural_hash).await.unwrap();
    store.alias(&name("enrichment"), &image(2).structural_hash).await.unwrap();
    store.alias(&name("scoring"), &image(2).structural_hash).await.unwrap();
    let before = store.list_aliases().await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let text = std::fs::read_to_string(directory.path().join("aliases.json")).unwrap();
    let hash = image(2).structural_hash;
    assert_eq!(text, format!("{{\n  \"enrichment\": \"{hash}\",\n  \"scoring\": \"{hash}\"\n}}\n"));
    assert_eq!(open(directory.path()).list_aliases().await.unwrap(), before);
}

#[tokio::test]
async fn syntactic_index_persisted_deduplicated_loads_on_restart() {
    let directory = directory();
    let store = open(directory.path());
    store.commit(publish("scoring", 1)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let text = std::fs::read_to_string(directory.path().join("syntactic-index.json")).unwrap();
    assert_eq!(text, format!("{{\n  \"{}\": \"{}\"\n}}\n", key(1), image(1).structural_hash));

    let store = open(directory.path());
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), Some(image(1).structural_hash));
    let revision = store.status().await.unwrap().revision;
    // What a loader publishes again is all there already.
    let again = store.commit(publish("scoring", 1)).await.unwrap();
    assert_eq!(again.revision, revision);
}

#[tokio::test]
async fn large_store_hundreds_of_pipelines_startup_time_acceptable() {
    let directory = directory();
    let store = open_without_write_behind(directory.path());
    for chunk in (0..800).collect::<Vec<_>>().chunks(50) {
        let mut commit = Commit::new();
        for number in chunk {
            commit.operations.extend(publish(&format!("pipeline/{number}"), *number).operations);
        }
        store.commit(commit).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let start = Instant::now();
    let store = open(directory.path());
    let elapsed = start.elapsed();
    assert_eq!(store.list_aliases().await.unwrap().len(), 800);
    assert_eq!(store.get_by_name(&name("pipeline/799")).await.unwrap(), Some(image(799)));
    // A debug build on a busy machine takes far less.
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
}

#[tokio::test]
async fn versions_appears_on_demand() {
    let directory = directory();
    let store = open(directory.path());
    store.commit(put(1)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let names = file_names(directory.path());
    assert_eq!(names, ["LOCK", "images", "journal", "pack", "sources", "store.json", "syntactic-index.json"]);

    let store = open(directory.path());
    store.commit(alias("scoring", 1)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(file_names(&directory.path().join("versions")), ["scoring.json"]);
}

fn is_json_layout(path: &Path) -> bool {
    let first = path.components().next().unwrap().as_os_str();
    ["images", "sources", "versions", "aliases.json", "syntactic-index.json"]
        .iter()
        .any(|part| first == *part)
}

fn files_below(root: &Path, directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().to_owned());
        }
    }
}

/// Every file with what is in it.
fn bytes_below(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = Vec::new();
    files_below(root, root, &mut files);
    files.into_iter().map(|path| (path.clone(), std::fs::read(root.join(path)).unwrap())).collect()
}

/// Copies the JSON files and sources one by one, in no helpful order, as a backup tool does.
fn copy_of_the_json_files(from: &Path) -> TempDir {
    let copy = directory();
    let mut files = Vec::new();
    files_below(from, from, &mut files);
    files.sort_by_key(|path| std::cmp::Reverse(path.clone()));
    for path in files.into_iter().filter(|path| is_json_layout(path)) {
        // Removed since, or renamed from its temporary name.
        let Ok(mut file) = std::fs::File::open(from.join(&path)) else { continue };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let target = copy.path().join(path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, bytes).unwrap();
    }
    copy
}

/// A store that is written to, with checkpoints all the time, while `during` runs, again and again until some commits
/// went through meanwhile. Before that, two names were checkpointed.
async fn while_writes_go_on<T: Send + 'static>(during: impl Fn(&Path) -> T + Send + 'static) -> Vec<T> {
    let directory = directory();
    let store = open(directory.path());
    store.commit(publish("checkpointed/1", 1)).await.unwrap();
    store.commit(publish("checkpointed/2", 2)).await.unwrap();
    store.close().await.unwrap();
    drop(store);

    let store = FileSystemPipelineStore::options()
        .checkpoint_after_bytes(1)
        .checkpoint_after_idle(Duration::ZERO)
        .open(directory.path())
        .unwrap();
    let store = Arc::new(store);
    let is_over = Arc::new(AtomicBool::new(false));
    let commits = Arc::new(AtomicU64::new(0));
    let writer = {
        let (store, is_over, commits) = (Arc::clone(&store), Arc::clone(&is_over), Arc::clone(&commits));
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let number = 1000 + commits.fetch_add(1, Ordering::Relaxed);
                store
                    .commit(publish(&format!("new/{}", number % 40), number.try_into().unwrap()))
                    .await
                    .unwrap();
            }
        })
    };
    let root = directory.path().to_owned();
    let results = tokio::task::spawn_blocking(move || {
        let before = commits.load(Ordering::Relaxed);
        let mut results = Vec::new();
        while commits.load(Ordering::Relaxed) < before + 10 {
            results.push(during(&root));
        }
        results
    });
    let results = results.await.unwrap();
    is_over.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    results
}

async fn assert_has_what_was_checkpointed(directory: &Path) {
    let store = open(directory);
    for number in [1, 2] {
        let found = store.get_by_name(&name(&format!("checkpointed/{number}"))).await.unwrap();
        assert_eq!(found, Some(image(number)));
        assert_eq!(store.lookup_syntactic(&key(number)).await.unwrap(), Some(image(number).structural_hash));
        let hash = image(number).metadata.source_hash.unwrap();
        assert_eq!(store.source(&hash).await.unwrap(), Some(source(number)));
    }
    store.commit(publish("checkpointed/1", 3)).await.unwrap();
    assert_eq!(store.resolve(&name("checkpointed/1")).await.unwrap().unwrap().version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_json_files_alone_taken_while_writes_go_on_opens() {
    for copy in while_writes_go_on(copy_of_the_json_files).await {
        assert_has_what_was_checkpointed(copy.path()).await;
    }
}

/// Whether there is a git. A developer may go without; CI may not.
fn has_git() -> bool {
    let has_git = Command::new("git").arg("--version").output().is_ok();
    assert!(has_git || std::env::var_os("CI").is_none(), "CI needs git for this test; install it");
    has_git
}

fn git(directory: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"])
        .args(["-c", "init.defaultBranch=main", "-c", "core.autocrlf=false", "-c", "gc.auto=0"])
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_checkout_of_the_json_files_opens() {
    if !has_git() {
        return;
    }
    let clones = while_writes_go_on(|root| {
        let copy = copy_of_the_json_files(root);
        git(copy.path(), &["init", "--quiet"]);
        git(copy.path(), &["add", "."]);
        git(copy.path(), &["commit", "--quiet", "--message", "backup"]);
        let clone = directory();
        let target = clone.path().join("checkout");
        git(copy.path(), &["clone", "--quiet", ".", target.to_str().unwrap()]);
        clone
    })
    .await;
    for clone in clones {
        assert_has_what_was_checkpointed(&clone.path().join("checkout")).await;
    }
}

#[tokio::test]
async fn a_second_opening_is_refused_and_a_read_only_one_changes_nothing() {
    let directory = directory();
    let store = open_without_write_behind(directory.path());
    store.commit(publish("a", 1)).await.unwrap();
    let error = FileSystemPipelineStore::open(directory.path()).unwrap_err();
    assert_eq!(error.kind(), constellation_store_core::ErrorKind::Locked);
    assert!(error.to_string().contains(&directory.path().display().to_string()), "{error}");

    let before = bytes_below(directory.path());
    let reader = FileSystemPipelineStore::options().read_only(true).open(directory.path()).unwrap();
    assert_eq!(contents(&reader).await, contents(&store).await);
    let error = reader.commit(publish("b", 2)).await.unwrap_err();
    assert_eq!(error.kind(), constellation_store_core::ErrorKind::ReadOnly);
    reader.close().await.unwrap();
    assert!(bytes_below(directory.path()) == before, "a file changed");

    let nowhere = directory.path().join("nowhere");
    let error = FileSystemPipelineStore::options().read_only(true).open(&nowhere).unwrap_err();
    assert_eq!(error.kind(), constellation_store_core::ErrorKind::Unavailable);
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn the_files_follow_by_themselves_when_the_store_is_idle() {
    let directory = directory();
    let store = FileSystemPipelineStore::options()
        .checkpoint_after_idle(Duration::from_millis(1))
        .open_on(Arc::new(RealVfs::new(directory.path())))
        .unwrap();
    store.commit(publish("a", 1)).await.unwrap();
    let aliases = directory.path().join("aliases.json");
    let start = Instant::now();
    while !aliases.exists() {
        assert!(start.elapsed() < Duration::from_mins(1), "the files were not written");
        tokio::task::yield_now().await;
    }
    drop(store);
}
