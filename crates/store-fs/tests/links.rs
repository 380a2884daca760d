//! Links in the place of what a store is made of: nothing outside of its directory is touched.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use constellation_store_core::{ErrorKind, Operation};
use constellation_store_fs::core::Core;
use constellation_store_fs::verify::{VerifyOptions, VerifyReport, mend, verify};
use constellation_store_fs::vfs::{RealVfs, Vfs};
use support::{
    assert_same, commit, content, image, kind_of, name, one, options, publish, put, small_store_with_journal,
};
use tempfile::TempDir;

fn vfs(root: &Path) -> Arc<dyn Vfs> {
    Arc::new(RealVfs::new(root))
}

/// Everything below a directory, links as where they lead.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap().to_owned();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_symlink() {
            found.insert(name, fs::read_link(&path).unwrap().to_str().unwrap().into());
        } else if kind.is_dir() {
            found.extend(tree(&path));
            found.insert(name, Vec::new());
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

/// A store with commits in its journal, in the directory `store`, and the directory `outside`.
fn store() -> TempDir {
    let directory = TempDir::new().unwrap();
    for (path, bytes) in small_store_with_journal().files() {
        let path = directory.path().join("store").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::create_dir(directory.path().join("store/quarantine")).unwrap();
    fs::create_dir(directory.path().join("outside")).unwrap();
    directory
}

#[test]
fn a_store_with_a_link_for_a_part_of_it_is_refused_and_left_as_it_is() {
    let parts = [
        "images",
        "sources",
        "versions",
        "journal",
        "pack",
        "quarantine",
        "LOCK",
        "store.json",
        "aliases.json",
        "syntactic-index.json",
    ];
    for part in parts {
        for is_dangling in [false, true] {
            let directory = store();
            let (root, outside) =
                (directory.path().join("store"), directory.path().join("outside").join(part));
            fs::rename(root.join(part), &outside).unwrap();
            if is_dangling {
                fs::rename(&outside, directory.path().join("elsewhere")).unwrap();
            }
            symlink(&outside, root.join(part)).unwrap();
            let before = tree(directory.path());
            let refusals = [
                Core::open(vfs(&root), options()).map(|_| ()),
                Core::open_read_only(&vfs(&root), options()).map(|_| ()),
                verify(&*vfs(&root), VerifyOptions::default()).map(|_| ()),
                mend(&vfs(&root), &VerifyReport::default()).map(|_| ()),
            ];
            for refusal in refusals {
                let error = refusal.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{part}: {error}");
                let text = error.to_string();
                assert!(
                    text.contains(part) && text.contains("put what the link leads to in its place"),
                    "{text}"
                );
            }
            assert_eq!(tree(directory.path()), before, "{part}");
        }
    }
}

#[test]
fn links_for_single_files_are_moved_aside_or_replaced_and_never_followed() {
    let hash = image(3).structural_hash;
    let journal = small_store_with_journal().files().into_keys().find(|path| path.starts_with("journal/"));
    let files = [
        format!("images/{hash}.json"),
        "versions/a.json".to_owned(),
        "pack/catalogue".to_owned(),
        journal.unwrap(),
        "quarantine/images-x.json".to_owned(),
    ];
    for file in files {
        let directory = store();
        let (root, outside) = (directory.path().join("store"), directory.path().join("outside"));
        let _ = fs::rename(root.join(&file), outside.join("file"));
        symlink(outside.join("file"), root.join(&file)).unwrap();
        let before = tree(&outside);
        let mut core = Core::open(vfs(&root), options()).unwrap();
        commit(&mut core, &publish("a", 60)).unwrap();
        commit(&mut core, &publish("B/c", 3)).unwrap();
        core.close().unwrap();
        assert_eq!(tree(&outside), before, "{file}");
        let is_quarantined = file.starts_with("quarantine/");
        let is_link =
            fs::symlink_metadata(root.join(&file)).is_ok_and(|found| found.file_type().is_symlink());
        assert_eq!(is_link, is_quarantined, "{file}");
    }
}

#[test]
fn links_under_temporary_names_are_in_nobodys_way() {
    let directory = store();
    let (root, outside) = (directory.path().join("store"), directory.path().join("outside"));
    fs::write(outside.join("file"), "x").unwrap();
    for directory in ["", "images/", "sources/", "versions/", "pack/", "quarantine/"] {
        for number in 0..3 {
            symlink(outside.join("file"), root.join(format!("{directory}.tmp-{number}"))).unwrap();
        }
    }
    symlink(outside.join("file"), root.join("journal/.tmp-settled")).unwrap();
    let before = tree(&outside);
    let mut core = Core::open(vfs(&root), options()).unwrap();
    commit(&mut core, &publish("a", 60)).unwrap();
    commit(&mut core, &put(61)).unwrap();
    commit(&mut core, &one(Operation::DeleteName { name: name("d") })).unwrap();
    let expected = content(&core);
    core.close().unwrap();
    assert_same(&content(&Core::open(vfs(&root), options()).unwrap()), &expected);
    assert_eq!(tree(&outside), before);
}

#[test]
fn a_store_whose_directory_is_behind_a_link_is_a_store() {
    let directory = store();
    symlink(directory.path().join("store"), directory.path().join("link")).unwrap();
    let mut core = Core::open(vfs(&directory.path().join("link")), options()).unwrap();
    assert_eq!(kind_of(Core::open(vfs(&directory.path().join("store")), options())), Some(ErrorKind::Locked));
    commit(&mut core, &publish("a", 60)).unwrap();
    core.close().unwrap();
}
