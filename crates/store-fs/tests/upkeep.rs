//! The check of the files that nothing reads while the store is open, and what is not to stay in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind as Io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use constellation_store_core::{ErrorKind, Operation, PipelineStore as _};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::core::{Core, Loaded};
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs, ModelVfs};
use support::crashes::fates;
use support::{
    as_vfs, assert_same, check_files, commit, content, image, name, one, open, options, publish, small_store,
};

const MIRRORS: [&str; 3] = ["versions/a.json", "aliases.json", "syntactic-index.json"];

fn warnings(core: &Core) -> Vec<String> {
    core.shared().status().warnings
}

fn quarantined(tree: &ModelVfs) -> Vec<Vec<u8>> {
    let is_kept = |path: &str| path.starts_with("quarantine/") && !path.ends_with(".reason");
    tree.files().into_iter().filter(|(path, _)| is_kept(path)).map(|(_, bytes)| bytes).collect()
}

/// Checks that the file is told, kept and healed, and that nothing else is.
#[track_caller]
fn assert_healed(core: &mut Core, tree: &ModelVfs, path: &str, original: &[u8], kept: &[Vec<u8>]) {
    check_files(core);
    let told = warnings(core);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains(path), "{told:#?}");
    assert_eq!(quarantined(&tree.crash(&[])), kept, "{path}");
    // It is told once.
    check_files(core);
    assert_eq!(warnings(core), told);
    core.checkpoint().unwrap();
    assert_eq!(warnings(core), Vec::<String>::new());
    let durable = tree.crash(&[]);
    assert!(durable.files()[path] == original, "{path}");
    check_files(core);
    assert_eq!(warnings(core), Vec::<String>::new());
}

#[test]
fn a_sound_store_is_left_alone() {
    let tree = small_store();
    let mut core = open(&tree);
    core.checkpoint().unwrap();
    let before = tree.files();
    check_files(&mut core);
    assert_eq!(warnings(&core), Vec::<String>::new());
    assert!(!core.is_dirty());
    assert_eq!(tree.files(), before);
}

#[test]
fn what_decays_while_the_store_is_open_is_told_kept_and_written_anew() {
    let base = small_store();
    for path in MIRRORS {
        let original = base.files()[path].clone();
        let mut n_found = 0;
        for byte in 0..original.len() {
            let tree = base.copy();
            let mut core = open(&tree);
            let before = content(&core);
            tree.decay(path, |bytes| bytes[byte] ^= 1 << (byte % 7));
            let damaged = tree.files()[path].clone();
            check_files(&mut core);
            if warnings(&core).is_empty() {
                // White space, or a member that another spelling of says the same.
                core.close().unwrap();
                tree.discard("pack");
                assert_same(&content(&open(&tree)), &before);
                continue;
            }
            n_found += 1;
            assert_healed(&mut core, &tree, path, &original, &[damaged]);
            assert_same(&content(&core), &before);
        }
        assert!(n_found > original.len() / 2, "{path}: {n_found} of {}", original.len());
    }
}

#[test]
fn a_crash_while_a_document_that_decayed_is_healed_loses_none_of_its_versions() {
    for changes in [vec![], vec![publish("B/c", 60)]] {
        let tree = small_store();
        let mut core = open(&tree);
        core.checkpoint().unwrap();
        tree.decay("versions/a.json", |bytes| bytes[8] ^= 1);
        tree.record();
        check_files(&mut core);
        let mut expected = vec![content(&core)];
        for change in &changes {
            commit(&mut core, change).unwrap();
            expected.push(content(&core));
        }
        core.checkpoint().unwrap();
        for moment in tree.moments() {
            for fates in fates(&moment.pending()) {
                let found = open(&moment.crash(&fates));
                assert_eq!(warnings(&found), Vec::<String>::new());
                let found = content(&found);
                assert!(expected.contains(&found), "{found}");
            }
        }
    }
}

#[test]
fn a_change_by_hand_while_the_store_is_open_is_told_kept_and_undone() {
    let base = small_store();
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8(base.files()["versions/a.json"].clone()).unwrap();
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        // As an editor leaves it that knows nothing of checksums, or takes the line out.
        changed.lines().filter(|line| !line.contains("\"checksum\"")).collect::<Vec<_>>().join("\n")
    };
    let without_checksum = replaced("\"activeVersion\": 3,", "\"activeVersion\": 2,");
    let without_checksum = without_checksum.trim_end().trim_end_matches('}').trim_end().trim_end_matches(',');
    for (path, text) in [
        ("versions/a.json", format!("{without_checksum}\n}}\n")),
        ("versions/a.json", String::new()),
        ("aliases.json", "{}\n".to_owned()),
        ("syntactic-index.json", "{}\n".to_owned()),
    ] {
        let tree = base.copy();
        let original = tree.files()[path].clone();
        let mut core = open(&tree);
        tree.put(path, text.clone());
        assert_healed(&mut core, &tree, path, &original, &[text.into_bytes()]);
    }
    // Something is gone, so that there is nothing to keep.
    for path in MIRRORS {
        let tree = base.copy();
        let original = tree.files()[path].clone();
        let mut core = open(&tree);
        tree.discard(path);
        assert_healed(&mut core, &tree, path, &original, &[]);
    }
}

#[test]
fn what_is_in_the_way_of_a_file_is_moved_aside() {
    for path in MIRRORS {
        let tree = small_store();
        let original = tree.files()[path].clone();
        let mut core = open(&tree);
        tree.discard(path);
        tree.put(&format!("{path}/in the way"), "x");
        check_files(&mut core);
        assert_eq!(warnings(&core).len(), 1, "{:#?}", warnings(&core));
        core.checkpoint().unwrap();
        assert!(tree.crash(&[]).files()[path] == original);
    }
}

#[test]
fn a_name_that_is_not_written_yet_or_is_being_written_is_no_damage() {
    let tree = small_store();
    let mut core = open(&tree);
    for number in 10..13 {
        commit(&mut core, &publish("a", number)).unwrap();
        commit(&mut core, &publish("new", number)).unwrap();
        check_files(&mut core);
        core.begin_checkpoint().unwrap();
        let mut n_steps = 0;
        while core.is_in_checkpoint() {
            check_files(&mut core);
            // What is committed meanwhile is in the next one.
            if n_steps == 2 {
                commit(&mut core, &publish("a", number + 10)).unwrap();
                commit(&mut core, &one(Operation::DeleteName { name: name("new") })).unwrap();
            }
            n_steps += 1;
            core.step().unwrap();
            check_files(&mut core);
        }
        assert!(n_steps > 5, "{n_steps}");
    }
    assert_eq!(warnings(&core), Vec::<String>::new());
    assert_eq!(quarantined(&tree), Vec::<Vec<u8>>::new());
}

#[test]
fn damage_in_a_checkpoint_of_other_names_is_told_and_healed_when_it_is_over() {
    for steps in 0..4 {
        let tree = small_store();
        let mut core = open(&tree);
        commit(&mut core, &publish("new", 10)).unwrap();
        core.begin_checkpoint().unwrap();
        for _ in 0..steps {
            core.step().unwrap();
        }
        let original = tree.files()["versions/a.json"].clone();
        tree.decay("versions/a.json", |bytes| bytes[8] ^= 1);
        check_files(&mut core);
        assert!(core.is_in_checkpoint());
        assert_eq!(warnings(&core), Vec::<String>::new(), "two threads do not write at once");
        while core.is_in_checkpoint() {
            core.step().unwrap();
        }
        assert_eq!(warnings(&core).len(), 1, "{:#?}", warnings(&core));
        assert!(tree.crash(&[]).files()["versions/a.json"] == original);
        core.checkpoint().unwrap();
        assert_eq!(warnings(&core), Vec::<String>::new());
    }
}

#[test]
fn on_a_full_disk_damage_is_told_and_healed_when_there_is_room() {
    let tree = small_store();
    let faults = FaultVfs::new(as_vfs(&tree));
    let mut core = Core::open(Arc::new(faults.clone()), options()).unwrap();
    let original = tree.files()["versions/a.json"].clone();
    tree.decay("versions/a.json", |bytes| bytes[8] ^= 1);
    let (call, error) = (faults.calls(), Io::StorageFull);
    faults.set_fault(Some(Fault { call, error, mode: FaultMode::Full }));
    check_files(&mut core);
    let told = warnings(&core).join("\n");
    assert!(told.contains("versions/a.json") && told.contains("quarantine"), "{told}");
    core.checkpoint().unwrap_err();
    assert!(warnings(&core).join("\n").contains("'versions/a.json' is damaged"), "{:#?}", warnings(&core));
    faults.set_fault(None);
    core.checkpoint().unwrap();
    assert_eq!(warnings(&core), Vec::<String>::new());
    assert!(tree.crash(&[]).files()["versions/a.json"] == original);
}

#[tokio::test]
async fn an_image_that_is_only_looked_at_is_not_kept_in_memory() {
    let tree = small_store();
    let core = open(&tree);
    let loader = core.loader();
    let not_loaded = |core: &Core| core.shared().state().images_not_loaded(None, usize::MAX).len();
    let before = not_loaded(&core);
    assert!(before >= 4, "{before}");
    for number in 1..=4 {
        let Loaded::There(found) = loader.peek_image(&image(number).structural_hash).unwrap() else {
            panic!("{number} is there")
        };
        assert_eq!(found, image(number));
    }
    assert_eq!(not_loaded(&core), before);
    loader.image(&image(1).structural_hash).unwrap();
    assert_eq!(not_loaded(&core), before - 1);
    drop(core);

    // Through the threads of a store, and when it is damaged.
    tree.decay(&format!("images/{}.json", image(3).structural_hash), |bytes| bytes[8] ^= 1);
    let store = FileSystemPipelineStore::options().check_after(None).open_on(as_vfs(&tree)).unwrap();
    for _ in 0..2 {
        assert_eq!(store.peek(&image(1).structural_hash).await.unwrap(), Some(image(1)));
    }
    assert_eq!(store.peek(&image(9).structural_hash).await.unwrap(), None);
    let damaged = store.peek(&image(3).structural_hash).await.unwrap_err();
    assert_eq!(damaged.kind(), ErrorKind::Corrupt);
    store.commit(publish("B/c", 3)).await.unwrap();
    assert_eq!(store.peek(&image(3).structural_hash).await.unwrap(), Some(image(3)));
}

#[test]
fn a_store_that_only_reads_changes_nothing() {
    let tree = small_store();
    let mut core = Core::open_read_only(&as_vfs(&tree), options()).unwrap();
    tree.decay("versions/a.json", |bytes| bytes[8] ^= 1);
    let before = tree.files();
    check_files(&mut core);
    assert_eq!(tree.files(), before);
    // Another process may have written it since.
    assert_eq!(warnings(&core), Vec::<String>::new());
}

#[tokio::test]
async fn a_document_that_decays_under_a_running_store_is_healed_without_a_restart_each_time() {
    let tree = small_store();
    let store = FileSystemPipelineStore::options()
        .check_after(Duration::ZERO)
        .check_every(Duration::ZERO)
        .checkpoint_after_idle(Duration::ZERO)
        .open_on(as_vfs(&tree))
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    for (round, path) in MIRRORS.into_iter().cycle().take(6).enumerate() {
        let original = tree.files()[path].clone();
        tree.decay(path, |bytes| bytes[8] ^= 1);
        while tree.files()[path] != original || quarantined(&tree).len() <= round {
            assert!(Instant::now() < deadline, "'{path}' is not healed");
            tokio::task::yield_now().await;
        }
    }
    while !store.status().await.unwrap().warnings.is_empty() {
        assert!(Instant::now() < deadline, "{:#?}", store.status().await.unwrap().warnings);
        tokio::task::yield_now().await;
    }
    store.commit(publish("a", 9)).await.unwrap();
    store.close().await.unwrap();
    let core = open(&tree);
    assert_eq!(core.shared().state().resolve(&name("a")).unwrap().version, 4);
    assert_eq!(warnings(&core), Vec::<String>::new());
}
