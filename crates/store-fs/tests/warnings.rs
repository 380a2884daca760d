//! Warnings are told as long as what they are about is not whole.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use constellation_store_core::{Commit, ErrorKind, Operation};
use constellation_store_fs::core::{Core, Loaded};
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs, ModelVfs};
use support::log::logged;
use support::{as_vfs, commit, image, name, one, open, options, publish, small_store, source};

fn warnings(core: &Core) -> Vec<String> {
    core.shared().status().warnings
}

fn image_path(number: i64) -> String {
    format!("images/{}.json", image(number).structural_hash)
}

fn source_path(number: i64) -> String {
    format!("sources/{}.cst", image(number).metadata.source_hash.unwrap())
}

#[test]
fn a_warning_of_a_damaged_image_goes_when_it_is_stored_anew() {
    let tree = small_store();
    tree.put(&image_path(3), "damaged");
    let mut core = open(&tree);
    // The file, the index entry that led to it, and the version that refers to it.
    assert_eq!(warnings(&core).len(), 3, "{:#?}", warnings(&core));
    commit(&mut core, &publish("other", 9)).unwrap();
    core.checkpoint().unwrap();
    assert_eq!(warnings(&core).len(), 3, "nothing else takes it back");
    commit(&mut core, &one(Operation::PutImage(image(3)))).unwrap();
    assert_eq!(warnings(&core), Vec::<String>::new());
    // What is taken back does not come again when the image is removed for good.
    commit(&mut core, &one(Operation::DeleteName { name: name("B/c") })).unwrap();
    commit(&mut core, &one(Operation::PruneVersions { name: name("B/c"), keep: 0 })).unwrap();
    commit(&mut core, &one(Operation::RemoveImage { structural_hash: image(3).structural_hash })).unwrap();
    assert_eq!(warnings(&core), Vec::<String>::new());
}

#[test]
fn a_warning_of_several_images_goes_with_the_last_of_them() {
    let tree = small_store();
    for number in [1, 3] {
        tree.put(&image_path(number), "damaged");
    }
    let mut core = open(&tree);
    let dropped = |core: &Core| warnings(core).iter().filter(|text| text.contains("2 entries")).count();
    assert_eq!(dropped(&core), 1, "{:#?}", warnings(&core));
    commit(&mut core, &one(Operation::PutImage(image(1)))).unwrap();
    assert_eq!(dropped(&core), 1, "{:#?}", warnings(&core));
    assert!(!warnings(&core).join("\n").contains(&image_path(1)), "{:#?}", warnings(&core));
    commit(&mut core, &one(Operation::PutImage(image(3)))).unwrap();
    assert_eq!(warnings(&core), Vec::<String>::new());
}

#[test]
fn a_warning_of_what_decayed_while_the_store_was_open_goes_when_it_is_stored_anew() {
    let tree = small_store();
    let mut core = open(&tree);
    tree.decay(&image_path(3), |bytes| bytes[8] ^= 1);
    tree.decay(&source_path(3), |bytes| bytes[0] ^= 1);
    let loader = core.loader();
    let Loaded::Lost(image_lost) = loader.image(&image(3).structural_hash).unwrap() else {
        panic!("decayed")
    };
    let source_hash = image(3).metadata.source_hash.unwrap();
    let Loaded::Lost(source_lost) = loader.source(&source_hash).unwrap() else { panic!("decayed") };
    core.put_aside(&image_lost);
    core.put_aside(&source_lost);
    assert_eq!(warnings(&core).len(), 2, "{:#?}", warnings(&core));
    commit(&mut core, &Commit::new().then(Operation::PutSource(source(3)))).unwrap();
    assert!(warnings(&core).join("\n").contains(&image_path(3)), "{:#?}", warnings(&core));
    assert_eq!(warnings(&core).len(), 1);
    commit(&mut core, &one(Operation::PutImage(image(3)))).unwrap();
    assert_eq!(warnings(&core), Vec::<String>::new());
}

#[test]
fn a_warning_of_a_map_goes_when_a_checkpoint_has_written_it_and_not_when_it_failed() {
    let tree = small_store();
    tree.put("aliases.json", "{}\n");
    let faults = FaultVfs::new(as_vfs(&tree));
    let mut core = Core::open(Arc::new(faults.clone()), options()).unwrap();
    let is_told = |core: &Core| warnings(core).iter().any(|text| text.starts_with("'aliases.json'"));
    assert!(is_told(&core), "{:#?}", warnings(&core));
    let (call, error) = (faults.calls(), std::io::ErrorKind::StorageFull);
    faults.set_fault(Some(Fault { call, error, mode: FaultMode::Full }));
    core.checkpoint().unwrap_err();
    assert!(is_told(&core), "{:#?}", warnings(&core));
    faults.set_fault(None);
    core.checkpoint().unwrap();
    assert_eq!(warnings(&core), Vec::<String>::new());
}

#[test]
fn that_files_cannot_be_written_is_logged_once_and_that_they_can_again_too() {
    let tree = small_store();
    let faults = FaultVfs::new(as_vfs(&tree));
    let mut core = Core::open(Arc::new(faults.clone()), options()).unwrap();
    for number in [7, 8] {
        commit(&mut core, &publish("a", number)).unwrap();
        let (call, error) = (faults.calls(), std::io::ErrorKind::StorageFull);
        faults.set_fault(Some(Fault { call, error, mode: FaultMode::Full }));
        let ((), log) = logged(|| (0..3).for_each(|_| drop(core.checkpoint().unwrap_err())));
        assert_eq!(log.matches("the JSON files cannot be written").count(), 1, "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        faults.set_fault(None);
        let ((), log) = logged(|| (0..2).for_each(|_| core.checkpoint().unwrap()));
        assert_eq!(log.matches("the JSON files are written again").count(), 1, "{log}");
    }
}

#[test]
fn a_warning_of_versions_that_are_lost_stays_until_the_store_is_opened_again() {
    let tree: ModelVfs = small_store();
    tree.put("versions/a.json", "damaged");
    let mut core = open(&tree);
    let before = warnings(&core);
    assert!(before.join("\n").contains("'a'"), "{before:#?}");
    commit(&mut core, &publish("a", 9)).unwrap();
    core.checkpoint().unwrap();
    assert_eq!(warnings(&core), before);
    core.close().unwrap();
    assert_eq!(warnings(&open(&tree)), Vec::<String>::new());
}

#[test]
fn a_commit_that_was_refused_is_told_until_one_is_written() {
    let tree = small_store();
    let faults = FaultVfs::new(as_vfs(&tree));
    let mut core = Core::open(Arc::new(faults.clone()), options()).unwrap();
    let (call, error) = (faults.calls(), std::io::ErrorKind::StorageFull);
    faults.set_fault(Some(Fault { call, error, mode: FaultMode::Full }));
    for number in [7, 8] {
        commit(&mut core, &publish("a", number)).unwrap_err();
        let told = warnings(&core);
        assert!(told.len() == 1 && told[0].starts_with("the last commit was refused: "), "{told:#?}");
    }
    faults.set_fault(None);
    // What changes nothing is not written, and so proves nothing.
    commit(&mut core, &Commit::new()).unwrap();
    assert_eq!(warnings(&core).len(), 1);
    commit(&mut core, &publish("a", 7)).unwrap();
    assert_eq!(warnings(&core), Vec::<String>::new());
}

#[test]
fn a_commit_whose_outcome_is_unknown_is_not_told_to_be_refused() {
    // One of them is the sync of the frame.
    let is_unknown = |call: u64| {
        let tree = small_store();
        let faults = FaultVfs::new(as_vfs(&tree));
        let mut core = Core::open(Arc::new(faults.clone()), options()).unwrap();
        commit(&mut core, &publish("a", 7)).unwrap();
        let (call, error) = (faults.calls() + call, std::io::ErrorKind::Other);
        faults.set_fault(Some(Fault { call, error, mode: FaultMode::Once }));
        let kind = commit(&mut core, &publish("a", 8)).err().map(|error| error.kind());
        let status = core.shared().status();
        assert_eq!(status.read_only.is_some(), kind == Some(ErrorKind::OutcomeUnknown));
        assert_eq!(status.warnings.is_empty(), kind != Some(ErrorKind::Unavailable), "{status:?}");
        status.read_only.is_some()
    };
    assert!((0..8).any(is_unknown));
}

#[test]
fn a_version_document_that_is_gone_is_told_and_its_numbers_are_not_used_again() {
    let tree = small_store();
    let mut core = open(&tree);
    let number = |core: &Core| core.shared().state().resolve(&name("a")).map(|active| active.version);
    commit(&mut core, &publish("a", 9)).unwrap();
    core.checkpoint().unwrap();
    let before = number(&core);
    core.close().unwrap();
    tree.discard("versions/a.json");
    let mut core = open(&tree);
    let told = warnings(&core);
    assert!(told.len() == 1 && told[0].contains("the version document of 'a' is gone"), "{told:#?}");
    assert!(number(&core) > before, "{:?} was used before", number(&core));
    core.close().unwrap();
    assert_eq!(warnings(&open(&tree)), Vec::<String>::new());
}
