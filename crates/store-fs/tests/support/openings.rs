//! Scenarios about what an opening finds: after failures before it, and beside somebody else.

use std::io::ErrorKind as Io;
use std::sync::Arc;

use constellation_store_core::{ErrorKind, Operation};
use constellation_store_fs::core::{Core, CoreOptions};
use constellation_store_fs::vfs::{Fate, Fault, FaultMode, FaultVfs, ModelVfs, RealVfs, Vfs};

use super::{Bases, segments, warnings};
use crate::support::crashes::{Distinct, fates};
use crate::support::workloads::{Base, Setup};
use crate::support::{
    alias, assert_same, check_files, commit, content, content_of, image, json_files_alone, kind_of, name,
    one, options, publish,
};

/// A sync of a directory failed, and the system takes it for done. Another one proves nothing.
pub(super) fn failed_syncs(setup: Setup, bases: &Bases) {
    // Of which the catalogue is believed, so that an empty `journal` would stay.
    let without_journal = Base { tree: bases.small.tree.copy(), state: bases.small.state.clone() };
    without_journal.tree.discard("journal");
    // In the last two cases the process is killed right after the failure, and cleans nothing up.
    for (base, mode) in [
        (&Base::empty(), FaultMode::Once),
        (&bases.with_journal, FaultMode::Once),
        (&without_journal, FaultMode::Once),
        (&Base::empty(), FaultMode::Sticky),
        (&without_journal, FaultMode::Sticky),
    ] {
        for call in 0.. {
            let tree = base.tree.copy();
            let faults = FaultVfs::forgetting(setup.vfs(&tree), &tree);
            faults.set_fault(Some(Fault { call, error: Io::Other, mode }));
            if let Ok(mut core) = Core::open(Arc::new(faults.clone()), options()) {
                let _ = commit(&mut core, &publish("again", 50));
                // No file but `store.json` has its revision.
                let _ = commit(&mut core, &one(Operation::DeleteName { name: name("again") }));
                let _ = core.checkpoint();
            }
            if !faults.struck() {
                break;
            }
            let mut again = setup.open(&tree);
            assert_same(&content(&setup.open(&tree.crash(&[]))), &content(&again));
            commit(&mut again, &publish("later", 51)).unwrap();
            let lost = setup.open(&tree.crash(&[]));
            assert_same(&content(&lost), &content(&again));
            assert_eq!(lost.shared().status().warnings, [""; 0]);
            again.checkpoint().unwrap();
            assert_same(&content(&setup.open(&tree.crash(&[]))), &content(&again));
        }
    }
}

/// A commit whose frame may not be durable gets into the files wholly or not at all: a checkpoint does not begin before
/// the frame is settled, also where that failed at the opening.
pub(super) fn checkpoints_of_what_is_not_settled(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    let before = content(&core);
    tree.record();
    // Two version documents.
    let mut change = alias("one", 1);
    change.operations.extend(alias("two", 2).operations);
    commit(&mut core, &change).unwrap();
    let after = content(&core);
    drop(core);
    // It is killed before the sync.
    let is_unsynced = |left: &ModelVfs| {
        content(&setup.open(&left.copy())) == after && content(&setup.open(&left.crash(&[]))) == before
    };
    let Some(killed) = tree.moments().into_iter().find(is_unsynced) else { return };
    let (mut n_unsettled, mut distinct) = (0, Distinct::default());
    for call in 0.. {
        let tree = killed.moments().remove(0);
        let faults = FaultVfs::new(setup.vfs(&tree));
        faults.set_fault(Some(Fault { call, error: Io::Other, mode: FaultMode::Once }));
        let opened = Core::open(Arc::new(faults.clone()), options());
        if !faults.struck() {
            break;
        }
        let Ok(mut core) = opened else { continue };
        if !core.shared().status().warnings.concat().contains("could not be made durable") {
            continue;
        }
        n_unsettled += 1;
        tree.record();
        core.checkpoint().unwrap();
        distinct.check(&tree, |left| {
            let found = content(&setup.open(left));
            assert!(found == before || found == after, "half of a commit is in the files:\n{found}");
        });
    }
    assert!(n_unsettled > 3, "{n_unsettled}");
}

/// What an opening repaired is not repaired in another way by the next one.
pub(super) fn unwritten_repairs(setup: Setup, bases: &Bases) {
    for call in 0.. {
        let tree = bases.with_journal.tree.copy();
        tree.put("versions/a.json", "x\n");
        let faults = FaultVfs::new(setup.vfs(&tree));
        faults.set_fault(Some(Fault { call, error: Io::StorageFull, mode: FaultMode::Full }));
        let opened = Core::open(Arc::new(faults.clone()), options());
        let has_struck = faults.struck();
        if let Ok(mut core) = opened {
            // The journal has room again, the files have none.
            faults.set_fault(None);
            tree.put("aliases.json/in/the/way", "");
            let _ = commit(&mut core, &publish("a", 60));
            tree.discard("aliases.json");
            let state = core.shared().state();
            let history = serde_json::to_string(&**state.versions(&name("a")).unwrap());
            let again = setup.open(&tree.copy());
            let state = again.shared().state();
            let found = serde_json::to_string(&**state.versions(&name("a")).unwrap());
            assert_eq!(history.unwrap(), found.unwrap(), "a repair is done in two ways");
        }
        if !has_struck {
            break;
        }
    }
}

/// What is damaged is never gone, though it could not be put aside at the opening.
pub(super) fn damage_that_cannot_be_put_aside(setup: Setup, bases: &Bases) {
    let base = bases.with_journal.tree.copy();
    let (path, mut segment) = segments(&base).remove(0);
    segment[20] ^= 1;
    let damaged = [
        (path, segment),
        ("versions/a.json".to_owned(), b"{ damaged".to_vec()),
        ("aliases.json".to_owned(), b"{ damaged, too".to_vec()),
    ];
    for (path, bytes) in &damaged {
        base.put(path, bytes.clone());
    }
    for mode in [FaultMode::Once, FaultMode::Full] {
        for call in 0.. {
            let tree = base.copy();
            let faults = FaultVfs::new(setup.vfs(&tree));
            let error = if mode == FaultMode::Full { Io::StorageFull } else { Io::Other };
            faults.set_fault(Some(Fault { call, error, mode }));
            let opened = Core::open(Arc::new(faults.clone()), options());
            let has_struck = faults.struck();
            // There is room again.
            faults.set_fault(None);
            if let Ok(mut core) = opened
                && core.shared().status().read_only.is_none()
            {
                commit(&mut core, &publish("z", 60)).unwrap();
                core.close().unwrap();
            }
            let left = tree.crash(&[]).files();
            for (path, bytes) in &damaged {
                assert!(left.values().any(|kept| kept == bytes), "'{path}' is gone, after call {call}");
            }
            if !has_struck {
                break;
            }
        }
    }
}

/// The version numbers of a name whose document is lost go on above all that were ever given.
pub(super) fn lost_documents(setup: Setup, bases: &Bases) {
    let lose = |tree: &ModelVfs| {
        for path in ["versions/a.json", "pack"] {
            tree.discard(path);
        }
    };
    let next = |core: &Core| core.shared().state().versions(&name("a")).unwrap().next_version;
    // What leaves numbers above the revisions that are still in the files: many versions in one commit, and histories
    // without their newest versions in a directory that has no `store.json`.
    let tree = ModelVfs::new();
    let mut core = setup.open(&tree);
    let mut many = publish("a", 1);
    for number in [2, 1, 2, 1, 2, 1] {
        many.operations.extend(publish("a", number).operations);
    }
    commit(&mut core, &many).unwrap();
    core.close().unwrap();
    lose(&tree);
    let mut core = setup.open(&tree);
    assert!(next(&core) > 8, "a number is given twice");
    commit(&mut core, &one(Operation::PruneVersions { name: name("a"), keep: 0 })).unwrap();
    core.close().unwrap();
    let pruned = json_files_alone(&tree);
    let mut core = setup.open(&pruned);
    let mut last = next(&core);
    // Whatever is lost afterwards, also what a repair made.
    core.close().unwrap();
    for _ in 0..3 {
        lose(&pruned);
        let mut core = setup.open(&pruned);
        assert!(next(&core) > last, "a number is given twice");
        last = next(&core);
        core.close().unwrap();
    }
    // The journal gives the number that would be the next one of the lost document.
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    let active = core.shared().state().resolve(&name("a")).unwrap();
    let revision = core.shared().state().revision().0;
    while next(&core) <= revision + 1 {
        let number = i64::try_from(next(&core)).unwrap();
        commit(&mut core, &publish("a", 100 + number)).unwrap();
    }
    let newest = core.shared().state().resolve(&name("a")).unwrap();
    drop(core);
    lose(&tree);
    let core = setup.open(&tree);
    let state = core.shared().state();
    assert_eq!(state.resolve(&name("a")), Some(newest));
    let kept = &state.versions(&name("a")).unwrap().versions;
    let is_kept = kept.iter().any(|version| version.structural_hash == active.structural_hash);
    assert!(is_kept, "the version that 'aliases.json' tells of is gone");
}

/// Whatever else there is of a name whose document is damaged or gone: no number is given twice, and what the journal
/// says holds.
pub(super) fn what_is_left_of_documents(setup: Setup, bases: &Bases) {
    const DOCUMENT: &str = "versions/a.json";
    let next = |core: &Core| core.shared().state().versions(&name("a")).unwrap().next_version;
    // `store.json` is lost, too.
    let tree = bases.small.tree.copy();
    let given = next(&setup.open(&tree.copy()));
    for path in [DOCUMENT, "store.json", "pack"] {
        tree.discard(path);
    }
    assert!(next(&setup.open(&tree)) > given, "a number is given twice");
    // Somebody kept an older copy beside it.
    let tree = bases.small.tree.copy();
    let older = tree.files()[DOCUMENT].clone();
    let mut core = setup.open(&tree);
    commit(&mut core, &publish("a", 60)).unwrap();
    let (given, active) = (next(&core), image(60).structural_hash);
    core.close().unwrap();
    let mut bytes = tree.files()[DOCUMENT].clone();
    bytes[3] = b'?';
    tree.put(DOCUMENT, bytes);
    tree.put("versions/a-old.json", older);
    tree.discard("pack");
    for opening in ["the first", "the next"] {
        let core = setup.open(&tree);
        assert!(next(&core) > given, "a number is given twice, after {opening} opening");
        let found = core.shared().state().resolve(&name("a")).unwrap();
        assert_eq!(found.structural_hash, active, "after {opening} opening");
    }
    // The journal has a newer version than `aliases.json`.
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    commit(&mut core, &publish("a", 60)).unwrap();
    let active = core.shared().state().resolve(&name("a"));
    drop(core);
    tree.put(DOCUMENT, "x\n");
    tree.discard("pack");
    assert_eq!(setup.open(&tree).shared().state().resolve(&name("a")), active);
}

/// A name whose document is gone is found by its alias, also after a crash while the opening wrote the documents of
/// others, which `aliases.json` then does not fit.
pub(super) fn crashes_while_a_lost_document_is_written(setup: Setup, bases: &Bases) {
    const DOCUMENT: &str = "versions/%42%2fc.json";
    let tree = bases.with_journal.tree.copy();
    let active = setup.open(&tree.copy()).shared().state().resolve(&name("B/c")).unwrap();
    for path in [DOCUMENT, "pack"] {
        tree.discard(path);
    }
    tree.record();
    drop(setup.open(&tree));
    for moment in tree.moments().into_iter().filter(|moment| moment.files().contains_key(DOCUMENT)) {
        let count = moment.pending().len();
        // One part is lost, as the entry of its document; the others are there.
        for lost in 0..count {
            let fate = |place| if place == lost { Fate::Lose } else { Fate::Keep };
            let fates: Vec<_> = (0..count).map(fate).collect();
            let left = Core::open_read_only(&setup.vfs(&moment.crash(&fates)), options()).unwrap();
            let found = left.shared().state().resolve(&name("B/c")).map(|found| found.structural_hash);
            assert_eq!(found, Some(active.structural_hash), "a name is gone");
        }
    }
}

/// Files that somebody else put there, and did not sync, are durable before a commit refers to them.
pub(super) fn files_of_others(setup: Setup, bases: &Bases) {
    for has_manifest in [false, true] {
        let tree = ModelVfs::new();
        tree.create_root().unwrap();
        for directory in ["images", "sources", "versions"] {
            tree.create_directory(directory).unwrap();
        }
        let put = |path: &str, bytes: &[u8]| tree.create(path).unwrap().write_all_at(0, bytes).unwrap();
        for (path, bytes) in json_files_alone(&bases.small.tree).files() {
            put(&path, &bytes);
        }
        let manifest = bases.small.tree.files().remove("store.json").unwrap();
        if has_manifest {
            put("store.json", &manifest);
        }
        let mut core = setup.open(&tree);
        let left = tree.crash(&[]).files().remove("store.json");
        assert_eq!(left == Some(manifest), has_manifest, "'store.json' is not durable");
        commit(&mut core, &alias("another", 3)).unwrap();
        assert_same(&content(&setup.open(&tree.crash(&[]))), &content(&core));
    }
}

/// Unfinished files of two writers, and what was left by another one, are in nobody's way.
pub(super) fn temporary_names(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    // It is no file, so that it is not swept.
    for taken in ["images/.tmp-0", "versions/.tmp-a.json", ".tmp-store.json", ".tmp-0"] {
        tree.put(&format!("{taken}/in the way"), "");
    }
    let mut core = setup.open(&tree);
    commit(&mut core, &publish("a", 60)).unwrap();
    core.checkpoint().unwrap();
    // Two segments are retired at once, and used again one after the other.
    for number in 61..75 {
        commit(&mut core, &publish("a", number)).unwrap();
    }
    core.checkpoint().unwrap();
    let spares = tree.files().into_keys().filter(|path| path.starts_with("journal/.tmp-segment-")).count();
    assert_eq!(spares, 2, "a retired segment took the place of another");
    for number in 75..90 {
        commit(&mut core, &publish("a", number)).unwrap();
    }
    assert_same(&content(&setup.open(&tree.crash(&[]))), &content(&core));
}

/// Nothing outside of the directory is touched.
#[cfg(unix)]
pub(super) fn links(_: Setup, bases: &Bases) {
    let directory = tempfile::TempDir::new().unwrap();
    let (root, outside) = (directory.path().join("store"), directory.path().join("outside"));
    for (path, bytes) in bases.small.tree.files() {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::rename(root.join("images"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("images")).unwrap();
    let opened = Core::open(Arc::new(RealVfs::new(&root)), options());
    assert_eq!(kind_of(opened), Some(ErrorKind::Corrupt), "a link is followed");
}

/// Whoever reads while another process opens the store finds all commits.
pub(super) fn reading_beside_an_opening(setup: Setup, bases: &Bases) {
    let expected = content_of(&bases.with_journal.state);
    let open = move |tree: &ModelVfs| drop(setup.open(tree));
    reading_beside(setup, &bases.with_journal.tree, open, &[&expected]);
}

/// Whoever reads while another process is within a checkpoint finds what is committed, and no version beside it.
pub(super) fn reading_beside_a_checkpoint(setup: Setup, bases: &Bases) {
    let base = bases.small.tree.copy();
    base.discard("pack");
    for steps in 1..12 {
        let write = move |tree: &ModelVfs| {
            let mut core = setup.open(tree);
            commit(&mut core, &publish("beside", 80)).unwrap();
            core.begin_checkpoint().unwrap();
            for _ in 0..steps {
                core.step().unwrap();
            }
        };
        let written = base.copy();
        write(&written);
        let after = content(&setup.open(&written));
        reading_beside(setup, &base, write, &[&content_of(&bases.small.state), &after]);
    }
}

/// Lets `write` be done before each call of an opening that only reads.
fn reading_beside(
    setup: Setup,
    base: &ModelVfs,
    write: impl Fn(&ModelVfs) + Send + Copy + 'static,
    expected: &[&str],
) {
    for call in 0.. {
        let tree = base.copy();
        let faults = FaultVfs::new(setup.vfs(&tree));
        let writer = tree.clone();
        faults.interrupt(call, move || write(&writer));
        let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
        let found = content(&Core::open_read_only(&vfs, options()).unwrap());
        assert!(expected.contains(&&*found), "what is read was never there:\n{found}");
        if faults.calls() <= call {
            break;
        }
    }
}

/// Segments that a crash brings back are applied again when `store.json` is lost, too, which must change nothing; and
/// they are of the same store.
pub(super) fn segments_that_come_back(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    // Each frame has a segment of its own.
    let alone = CoreOptions { max_segment_bytes: 1, ..options() };
    let mut core = setup.open_with(&tree, alone);
    let activate = |version| one(Operation::SetActive { name: name("a"), version });
    for change in [activate(2), activate(3), activate(2), activate(3), publish("z", 60)] {
        commit(&mut core, &change).unwrap();
    }
    let expected = content(&core);
    close_and_lose_manifest(setup, &tree, core);
    tree.discard("store.json");
    drop(setup.open(&tree));
    assert_same(&content(&setup.open(&tree.crash(&[]))), &expected);
    // Two checkpoints take one away each, without a commit in between.
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    commit(&mut core, &activate(2)).unwrap();
    core.begin_checkpoint().unwrap();
    for change in [activate(3), publish("z", 60)] {
        commit(&mut core, &change).unwrap();
    }
    close_and_lose_manifest(setup, &tree, core);
}

/// Closes a store. Power is lost at every moment after its last `store.json` is durable, and that file later.
fn close_and_lose_manifest(setup: Setup, tree: &ModelVfs, mut core: Core) {
    let expected = content(&core);
    tree.record();
    core.close().unwrap();
    let manifest = tree.files()["store.json"].clone();
    for moment in tree.moments() {
        if moment.crash(&[]).files()["store.json"] != manifest {
            continue;
        }
        for fates in fates(&moment.pending()) {
            let left = moment.crash(&fates);
            left.discard("store.json");
            assert_same(&content(&setup.open(&left)), &expected);
        }
    }
}

/// Whoever puts an older copy in the place of a store removes its segments first. They stay away, also if that was not
/// durable by itself.
pub(super) fn segments_that_were_removed(setup: Setup, bases: &Bases) {
    let tree = bases.with_journal.tree.copy();
    for (path, _) in segments(&tree) {
        tree.remove(&path).unwrap();
    }
    let core = setup.open(&tree);
    let expected = content(&core);
    assert_same(&expected, &content_of(&bases.small.state));
    assert_same(&content(&setup.open(&tree.crash(&[]))), &expected);
}

/// Whoever changes a document in place removes the catalogue, which stays away.
pub(super) fn catalogues_that_were_removed(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    tree.decay("versions/a.json", |bytes| {
        let word = bytes.windows(8).position(|bytes| bytes == b"checksum").unwrap();
        bytes[word] = b'C';
    });
    tree.remove("pack/catalogue").unwrap();
    let core = setup.open(&tree);
    assert!(warnings(&core).contains("no checksum"), "the document is not read: {}", warnings(&core));
    let expected = content(&core);
    let left = setup.open(&tree.crash(&[]));
    assert!(warnings(&left).contains("no checksum"), "a catalogue that was removed is back");
    assert_same(&content(&left), &expected);
}

/// A document that decayed, and was found, is whole before anything else is written.
pub(super) fn crashes_while_a_document_is_healed(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    tree.decay("versions/a.json", |bytes| bytes[8] ^= 1);
    tree.record();
    check_files(&mut core);
    core.checkpoint().unwrap();
    for moment in tree.moments() {
        let left = setup.open(&moment.crash(&vec![Fate::Keep; moment.pending().len()]));
        assert_same(&content(&left), &content_of(&bases.small.state));
    }
}
