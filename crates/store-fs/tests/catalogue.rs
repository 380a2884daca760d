//! The catalogue: what opening believes without looking, and how what is not so comes out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use constellation_store_core::{
    ErrorKind, Operation, PipelineStore as _, PipelineStoreExt as _, StructuralHash,
};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::core::{Checker, Core, Loaded, Lost, Suspect};
use constellation_store_fs::vfs::{FaultVfs, ModelVfs, RealVfs};
use support::{
    as_vfs, assert_same, commit, content, describe_content, image, json_files_alone, key, name, one, open,
    options, publish, put, small_store, small_store_with_journal, source,
};

const CATALOGUE: &str = "pack/catalogue";

fn image_path(number: i64) -> String {
    format!("images/{}.json", image(number).structural_hash)
}

fn hash(number: i64) -> StructuralHash {
    image(number).structural_hash
}

fn not_loaded(core: &Core) -> usize {
    core.shared().state().images_not_loaded(None, usize::MAX).len()
}

fn warnings(core: &Core) -> String {
    core.shared().status().warnings.join("\n")
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

/// How many calls of the file system opening takes.
fn calls_to_open(tree: &ModelVfs) -> u64 {
    let faults = FaultVfs::new(as_vfs(tree));
    let _core = Core::open(Arc::new(faults.clone()), options()).unwrap();
    faults.calls()
}

#[test]
fn opening_takes_as_many_calls_however_much_is_stored() {
    let tree = small_store();
    let before = calls_to_open(&tree.copy());
    let mut core = open(&tree);
    for number in 100..200 {
        commit(&mut core, &publish(&format!("n{number}"), number)).unwrap();
    }
    core.close().unwrap();
    drop(core);
    assert_eq!(calls_to_open(&tree.copy()), before);
    tree.discard("pack");
    assert!(calls_to_open(&tree) > before + 200);
}

#[test]
fn the_content_is_the_same_with_and_without_it() {
    for base in [small_store(), small_store_with_journal()] {
        let with = content(&open(&base.copy()));
        let without = base.copy();
        without.discard("pack");
        assert_same(&content(&open(&without)), &with);
        let mut core = open(&without);
        assert!(core.is_dirty(), "a checkpoint is due for want of it");
        core.close().unwrap();
        assert!(without.files().contains_key(CATALOGUE));
    }
}

#[test]
fn one_that_is_damaged_in_any_byte_or_cut_is_not_believed() {
    let base = small_store_with_journal();
    let expected = content(&open(&base.copy()));
    let bytes = base.files()[CATALOGUE].clone();
    for byte in 0..bytes.len() {
        let tree = base.copy();
        tree.decay(CATALOGUE, |bytes| bytes[byte] ^= 1 << (byte % 8));
        let core = open(&tree);
        assert_same(&content(&core), &expected);
        assert_eq!(warnings(&core), "", "it is no damage of the store");
    }
    for length in (0..bytes.len()).step_by(7) {
        let tree = base.copy();
        tree.put(CATALOGUE, &bytes[..length]);
        assert_same(&content(&open(&tree)), &expected);
    }
}

#[test]
fn files_that_others_changed_are_seen_at_opening() {
    let base = small_store();
    // An image more, as from a checkout.
    let tree = base.copy();
    let other = ModelVfs::new();
    let mut core = open(&other);
    commit(&mut core, &put(77)).unwrap();
    core.close().unwrap();
    tree.put(&image_path(77), other.files()[&image_path(77)].clone());
    assert!(matches!(open(&tree).loader().image(&hash(77)).unwrap(), Loaded::There(_)));
    // One less.
    let tree = base.copy();
    tree.discard(&image_path(4));
    assert!(open(&tree).shared().state().summary(&hash(4)).is_none());
    // An older version document.
    let tree = base.copy();
    let mut core = open(&tree);
    let old = tree.files()["versions/a.json"].clone();
    commit(&mut core, &publish("a", 90)).unwrap();
    core.close().unwrap();
    tree.put("versions/a.json", old);
    let core = open(&tree);
    assert_eq!(core.shared().state().resolve(&name("a")).unwrap().version, 3);
    // No aliases.
    let tree = base.copy();
    tree.discard("aliases.json");
    let mut core = open(&tree);
    core.close().unwrap();
    assert!(tree.files().contains_key("aliases.json"));
}

#[test]
fn a_crash_before_the_manifest_leaves_one_that_is_not_believed() {
    let tree = small_store();
    let mut core = open(&tree);
    commit(&mut core, &publish("new", 50)).unwrap();
    core.begin_checkpoint().unwrap();
    let before = tree.files()[CATALOGUE].len();
    while tree.files()[CATALOGUE].len() == before {
        core.step().unwrap();
    }
    let expected = content(&core);
    let after = tree.copy();
    drop(core);
    let faults = FaultVfs::new(as_vfs(&after));
    let core = Core::open(Arc::new(faults), options()).unwrap();
    assert_same(&content(&core), &expected);
    assert_eq!(warnings(&core), "");
}

#[test]
fn it_is_written_anew_when_most_of_it_is_outdated() {
    let tree = small_store();
    let mut core = open(&tree);
    let mut lengths = Vec::new();
    for round in 0..2000 {
        let number = 1 + round % 2;
        commit(&mut core, &one(Operation::SetActive { name: name("a"), version: number + 1 })).unwrap();
        core.checkpoint().unwrap();
        lengths.push(tree.files()[CATALOGUE].len());
    }
    assert!(lengths.windows(2).any(|pair| pair[1] < pair[0]), "it never shrank");
    assert!(lengths.iter().all(|length| *length < 600 << 10));
    let expected = describe_content(&core);
    drop(core);
    assert_same(&describe_content(&open(&tree)), &expected);
    assert_same(&describe_content(&open(&json_files_alone(&tree))), &expected);
}

#[test]
fn one_that_cannot_be_written_keeps_no_checkpoint_from_being_made() {
    let tree = small_store();
    let mut core = open(&tree);
    commit(&mut core, &publish("new", 50)).unwrap();
    let expected = content(&core);
    tree.discard("pack");
    tree.put("pack", "in the way");
    core.checkpoint().unwrap();
    assert!(!core.is_dirty(), "it is tried again with the next checkpoint");
    drop(core);
    let mut again = open(&tree);
    assert_same(&content(&again), &expected);
    tree.discard("pack");
    again.close().unwrap();
    assert!(tree.files().contains_key(CATALOGUE));
}

#[test]
fn a_decayed_image_is_found_when_it_is_used_and_can_be_compiled_again() {
    let tree = small_store();
    tree.decay(&image_path(3), flip);
    let mut core = open(&tree);
    assert_eq!(warnings(&core), "");
    let found = core.loader().image(&hash(3)).unwrap();
    let Loaded::Lost(lost) = found else { panic!("{found:?}") };
    assert_eq!(lost.to_error().kind(), ErrorKind::Corrupt);
    core.put_aside(&lost);
    assert!(warnings(&core).contains("B/c version 1"), "{}", warnings(&core));
    assert!(tree.files().contains_key(&format!("quarantine/images-{}.json", hash(3))));
    assert!(matches!(core.loader().image(&hash(3)).unwrap(), Loaded::Absent));
    assert_eq!(core.shared().state().lookup_syntactic(&key(3)), None);
    assert!(core.shared().state().resolve(&name("B/c")).is_some());

    // Whether it crashes here or is closed, the next opening agrees.
    let crashed = open(&tree.crash(&[]));
    assert!(matches!(crashed.loader().image(&hash(3)).unwrap(), Loaded::Absent | Loaded::Lost(_)));
    commit(&mut core, &publish("B/c", 3)).unwrap();
    // Told late, it does not hurt what was stored again.
    core.put_aside(&lost);
    let expected = content(&core);
    core.close().unwrap();
    let again = open(&tree);
    assert_same(&content(&again), &expected);
    assert_eq!(warnings(&again), "");
}

#[test]
fn a_decayed_source_is_found_when_it_is_used_and_can_be_stored_again() {
    let tree = small_store();
    let source_hash = image(3).metadata.source_hash.unwrap();
    tree.decay(&format!("sources/{source_hash}.cst"), flip);
    let mut core = open(&tree);
    let found = core.loader().source(&source_hash).unwrap();
    let Loaded::Lost(lost) = found else { panic!("{found:?}") };
    core.put_aside(&lost);
    assert!(!core.shared().state().has_source(&source_hash));
    commit(&mut core, &one(Operation::PutSource(source(3)))).unwrap();
    core.close().unwrap();
    assert!(matches!(open(&tree).loader().source(&source_hash).unwrap(), Loaded::There(_)));
}

#[test]
fn an_image_that_is_removed_while_it_is_read_does_not_come_back() {
    let tree = small_store();
    let mut core = open(&tree);
    let before = not_loaded(&core);
    let loader = core.loader();
    commit(&mut core, &one(Operation::RemoveImage { structural_hash: hash(4) })).unwrap();
    assert!(matches!(loader.image(&hash(4)).unwrap(), Loaded::Absent));
    core.checkpoint().unwrap();
    assert_eq!(not_loaded(&core), before - 1);
    assert!(!tree.files().contains_key(&image_path(4)));
}

#[test]
fn the_check_finds_everything_that_decayed_and_keeps_nothing_in_memory() {
    let tree = small_store();
    let source_hash = image(2).metadata.source_hash.unwrap();
    tree.decay(&image_path(1), flip);
    tree.decay(&image_path(4), |bytes| bytes.fill(0));
    tree.decay(&format!("sources/{source_hash}.cst"), flip);
    let core = open(&tree);
    let before = not_loaded(&core);
    let mut checker = Checker::new(core.loader());
    let mut found = Vec::new();
    while !checker.is_done() {
        found.extend(checker.step());
    }
    let mut images: Vec<_> = found
        .iter()
        .filter_map(
            |suspect| if let Suspect::Lost(Lost::Image(hash, _)) = suspect { Some(*hash) } else { None },
        )
        .collect();
    images.sort_unstable();
    let mut expected = [hash(1), hash(4)];
    expected.sort_unstable();
    assert_eq!(images, expected);
    assert!(
        found
            .iter()
            .any(|suspect| matches!(suspect, Suspect::Lost(Lost::Source(hash, _)) if *hash == source_hash))
    );
    assert_eq!(found.len(), 3);
    assert_eq!(not_loaded(&core), before);
}

#[tokio::test]
async fn a_store_reads_at_first_use_and_checks_the_rest_in_the_background() {
    let tree = small_store();
    tree.decay(&image_path(3), flip);
    let store = FileSystemPipelineStore::options().check_after(None).open_on(as_vfs(&tree)).unwrap();
    assert_eq!(store.get(&hash(2)).await.unwrap(), Some(image(2)));
    assert_eq!(store.source(&image(2).metadata.source_hash.unwrap()).await.unwrap(), Some(source(2)));
    assert_eq!(store.get(&hash(3)).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.get(&hash(3)).await.unwrap(), None, "it is put aside");
    store.commit(publish("B/c", 3)).await.unwrap();
    assert_eq!(store.get_by_name(&name("B/c")).await.unwrap(), Some(image(3)));
    store.close().await.unwrap();
    assert_eq!(store.get(&hash(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);

    tree.decay(&image_path(4), flip);
    let store =
        FileSystemPipelineStore::options().check_after(Duration::ZERO).open_on(as_vfs(&tree)).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while store.status().await.unwrap().warnings.is_empty() {
        assert!(Instant::now() < deadline, "the check found nothing");
        tokio::task::yield_now().await;
    }
    let warnings = store.status().await.unwrap().warnings.join("\n");
    assert!(warnings.contains(&hash(4).to_string()), "{warnings}");
}

/// Nothing of a copy need be durable, so that its files are read, and made so.
#[cfg(unix)]
#[test]
fn a_copy_that_keeps_all_times_is_not_believed() {
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open_at = |path: &std::path::Path| Core::open(Arc::new(RealVfs::new(path)), options()).unwrap();
    let mut core = open_at(original.path());
    commit(&mut core, &publish("a", 1)).unwrap();
    core.close().unwrap();
    assert!(!open_at(original.path()).is_dirty(), "it is believed where it was written");
    let keep_times = |from: &std::path::Path, to: &std::path::Path| {
        let modified = std::fs::metadata(from).unwrap().modified().unwrap();
        std::fs::File::open(to).unwrap().set_modified(modified).unwrap();
    };
    for directory in ["images", "sources", "versions", "pack", ""] {
        let (from, to) = (original.path().join(directory), copy.path().join(directory));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(&from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), &target).unwrap();
                keep_times(&entry.path(), &target);
            }
        }
        keep_times(&from, &to);
    }
    assert!(open_at(copy.path()).is_dirty(), "its catalogue is to be written anew");
}

#[tokio::test]
async fn what_is_put_again_replaces_what_decayed_in_its_file() {
    let tree = small_store();
    let source_path = format!("sources/{}.cst", image(3).metadata.source_hash.unwrap());
    tree.decay(&image_path(3), flip);
    tree.decay(&source_path, flip);
    let store = FileSystemPipelineStore::options().check_after(None).open_on(as_vfs(&tree)).unwrap();
    // Nobody has read the files, and who publishes again has what they should hold.
    store.commit(publish("again", 3)).await.unwrap();
    store.close().await.unwrap();
    let core = open(&tree);
    assert_eq!(content(&core).matches("again").count(), 1);
    assert!(matches!(core.loader().image(&hash(3)).unwrap(), Loaded::There(_)));
}

#[test]
fn what_another_process_removed_is_gone_for_a_read_only_store_and_not_damaged() {
    let tree = small_store();
    let reader = Core::open_read_only(&as_vfs(&tree), options()).unwrap();
    let mut writer = open(&tree);
    commit(&mut writer, &one(Operation::RemoveImage { structural_hash: hash(4) })).unwrap();
    writer.checkpoint().unwrap();
    assert!(matches!(reader.loader().image(&hash(4)).unwrap(), Loaded::Absent));
    assert_eq!(warnings(&reader), "");
}

#[test]
fn a_read_only_store_tells_what_decayed_and_changes_nothing() {
    let tree = small_store();
    tree.decay(&image_path(3), flip);
    let before = tree.files();
    let mut core = Core::open_read_only(&as_vfs(&tree), options()).unwrap();
    let Loaded::Lost(lost) = core.loader().image(&hash(3)).unwrap() else { panic!("it is damaged") };
    core.put_aside(&lost);
    assert!(warnings(&core).contains(&hash(3).to_string()));
    assert_eq!(tree.files(), before);
}
