//! A directory that is moved, replaced or unlocked while a store in it is open, as by a restore beside a server that was
//! not stopped.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use constellation_store_core::{ErrorKind, PipelineStore};
use constellation_store_fs::FileSystemPipelineStore;
use support::{image, name, publish};

/// Two names, with all files written; opened so that it writes no files by itself.
async fn store(directory: &Path) -> FileSystemPipelineStore {
    let options = FileSystemPipelineStore::options().checkpoint_after_idle(Duration::from_hours(1));
    let store = options.open(directory).unwrap();
    for number in [1, 2] {
        store.commit(publish(&format!("n{number}"), number)).await.unwrap();
    }
    store.close().await.unwrap();
    FileSystemPipelineStore::options().checkpoint_after_idle(Duration::from_hours(1)).open(directory).unwrap()
}

/// All files below a directory.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}

async fn assert_refuses(store: &FileSystemPipelineStore) {
    let error = store.commit(publish("n1", 9)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    let reason = store.status().await.unwrap().read_only.unwrap();
    assert!(
        reason.contains("was moved, removed or replaced") && reason.contains("start it again"),
        "{reason}"
    );
    assert!(error.to_string().contains(&reason), "{error}");
}

#[tokio::test]
async fn what_stands_where_a_store_was_is_not_touched_by_it() {
    for commits_first in [true, false] {
        let parent = tempfile::tempdir().unwrap();
        let (here, away) = (parent.path().join("store"), parent.path().join("away"));
        let moved = store(&here).await;
        // With something that is not in the files yet.
        moved.commit(publish("n3", 3)).await.unwrap();
        std::fs::rename(&here, &away).unwrap();
        let restored = FileSystemPipelineStore::open(&here).unwrap();
        restored.commit(publish("n1", 5)).await.unwrap();
        restored.close().await.unwrap();
        let before = files(&here);
        // What the first one has not read yet is looked for in the wrong place, and there it is not.
        let _ = moved.get(&image(1).structural_hash).await;
        if commits_first {
            assert_refuses(&moved).await;
        }
        let _ = moved.close().await;
        assert_eq!(files(&here), before);

        let moved = FileSystemPipelineStore::open(&away).unwrap();
        for number in [1, 2, 3] {
            let name = name(&format!("n{number}"));
            assert!(moved.resolve(&name).await.unwrap().is_some(), "what was acknowledged is there");
        }
        assert_eq!(moved.status().await.unwrap().warnings, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_store_whose_directory_or_lock_is_gone_refuses_commits() {
    for path in ["", "LOCK"] {
        let parent = tempfile::tempdir().unwrap();
        let here = parent.path().join("store");
        let open = store(&here).await;
        let gone = here.join(path);
        if path.is_empty() {
            std::fs::remove_dir_all(gone).unwrap();
        } else {
            std::fs::remove_file(gone).unwrap();
        }
        assert_refuses(&open).await;
    }
}
