//! Version documents that are damaged, lost, or not where they belong: what counts, and that no crash while it is put
//! right takes anything away.

use std::collections::HashSet;
use std::io::ErrorKind as Io;
use std::sync::Arc;

use constellation_store_core::{Operation, PipelineName, StructuralHash};
use constellation_store_fs::core::{Core, CoreOptions};
use constellation_store_fs::verify::{VerifyOptions, verify};
use constellation_store_fs::vfs::{Fate, Fault, FaultMode, FaultVfs, ModelVfs, Vfs};

use crate::support::crashes::fates;
use crate::support::workloads::Setup;
use crate::support::{
    assert_same, check_files, commit, content, image, json_files_alone, name, one, options, publish,
    small_store, small_store_with_journal,
};

const A: &str = "versions/a.json";
const B: &str = "versions/%42%2fc.json";

fn warnings(core: &Core) -> String {
    core.shared().status().warnings.join("\n")
}

fn active(core: &Core, of: &PipelineName) -> Option<StructuralHash> {
    core.shared().state().resolve(of).map(|active| active.structural_hash)
}

fn next_version(core: &Core, of: &PipelineName) -> u64 {
    core.shared().state().versions(of).map_or(1, |history| history.next_version)
}

fn damage(tree: &ModelVfs, path: &str) {
    let mut bytes = tree.files()[path].clone();
    bytes[3] = b'?';
    tree.put(path, bytes);
    tree.discard("pack");
}

/// Loses power at every moment that was recorded. Where documents are not durable, every part of what is not is lost or
/// kept; elsewhere all of it.
fn assert_crashes_leave(setup: Setup, tree: &ModelVfs, expected: &[String]) {
    let documents = |tree: &ModelVfs| {
        let files = tree.files().into_iter();
        files.filter(|(path, _)| path.starts_with("versions/")).collect::<Vec<_>>()
    };
    let mut seen = HashSet::new();
    for moment in tree.moments() {
        let pending = moment.pending();
        let mut left = vec![moment.crash(&[]), moment.crash(&vec![Fate::Keep; pending.len()])];
        if documents(&left[0]) != documents(&left[1]) {
            left.extend(fates(&pending).iter().map(|fates| moment.crash(fates)));
        }
        for left in left.into_iter().filter(|left| seen.insert(left.files())) {
            let found = content(&setup.open(&left));
            assert!(expected.contains(&found), "a crash leaves what was never there:\n{found}");
        }
    }
}

/// Stores in which documents stand under other names: the document of the second path under the first one.
fn misplaced_bases() -> Vec<(ModelVfs, ModelVfs)> {
    let move_all = |base: ModelVfs, moves: &[(&str, &str)]| {
        let moved = base.copy();
        let files = base.files();
        for (_, from) in moves {
            moved.discard(from);
        }
        for (to, from) in moves {
            moved.put(to, files[*from].clone());
        }
        moved.discard("pack");
        (base, moved)
    };
    vec![
        // In the place of a name that the next commit makes, and of one that the journal has.
        move_all(small_store(), &[("versions/m.json", A)]),
        move_all(small_store_with_journal(), &[("versions/d.json", B)]),
        // In each other's place.
        move_all(small_store(), &[(A, B), (B, A)]),
        move_all(small_store_with_journal(), &[(A, B), (B, A)]),
        move_all(json_files_alone(&small_store()), &[(A, B), (B, A)]),
        // One after the other, and in nobody's place, also in that of a copy.
        move_all(small_store(), &[(A, B), ("versions/m.json", A)]),
        move_all(small_store(), &[("versions/kept.json.json", A)]),
        move_all(small_store(), &[("versions/a~.json", B), (B, A)]),
    ]
}

/// A document under another file name is the only one of its name. It has its own file before anything takes its place.
pub(crate) fn misplaced(setup: Setup) {
    for (base, moved) in misplaced_bases() {
        let before = content(&setup.open(&base));
        assert_put_right(setup, &moved, before);
    }
}

/// The only whole document of a name is an older one under another file name, since its own decayed. What is made of it
/// stays: its own file does not say less than what the opening repaired.
pub(crate) fn misplaced_copies(setup: Setup) {
    let a = name("a");
    let delete = one(Operation::DeleteName { name: a.clone() });
    for (change, image) in [(delete, None), (publish("a", 30), Some(image(30).structural_hash))] {
        let tree = small_store();
        let copy = tree.files()[A].clone();
        let mut core = setup.open(&tree);
        commit(&mut core, &change).unwrap();
        commit(&mut core, &publish("B/c", 31)).unwrap();
        let given = next_version(&core, &a);
        core.close().unwrap();
        damage(&tree, A);
        // In the place of nobody, of a name that the next commit makes, and of one whose document stands elsewhere.
        for path in ["versions/a-copy.json", "versions/m.json", B] {
            let tree = tree.copy();
            if path == B {
                tree.put("versions/z.json", tree.files()[B].clone());
            }
            tree.put(path, copy.clone());
            for tree in [json_files_alone(&tree), tree] {
                let core = setup.open(&tree.copy());
                assert_eq!(active(&core, &a), image, "'aliases.json' tells what is active");
                assert!(next_version(&core, &a) >= given, "a number is given twice");
                assert_put_right(setup, &tree, content(&core));
            }
        }
    }
}

/// Whatever fails or crashes while a store is put right and a name `m` is made, nothing of what was there `before` is
/// lost.
fn assert_put_right(setup: Setup, moved: &ModelVfs, before: String) {
    let tree = moved.copy();
    tree.record();
    let mut core = setup.open(&tree);
    assert_same(&content(&core), &before);
    let change = publish("m", 40);
    commit(&mut core, &change).unwrap();
    let after = content(&core);
    core.close().unwrap();
    let expected = [before, after];
    assert_crashes_leave(setup, &tree, &expected);
    // All of them are where they belong, and what is left over is kept.
    let files = tree.crash(&[]).files();
    let in_place: Vec<_> = files.keys().filter(|path| path.starts_with("versions/")).collect();
    let found = verify(&*setup.vfs(&tree), VerifyOptions::default()).unwrap().findings;
    assert_eq!(found, [], "a store that was put right is sound");
    assert!(
        in_place.iter().all(|path| [A, B, "versions/d.json", "versions/m.json"].contains(&path.as_str()))
    );
    tree.discard("pack");
    assert_eq!(warnings(&setup.open(&tree)), "");
    // One call fails at any time, or all of them until the store is open; its files are checked, and it is killed.
    for mode in [FaultMode::Once, FaultMode::Sticky] {
        for call in 0.. {
            let tree = moved.copy();
            let faults = FaultVfs::new(setup.vfs(&tree));
            faults.set_fault(Some(Fault { call, error: Io::Other, mode }));
            let opened = Core::open(Arc::new(faults.clone()), options());
            let mut has_struck = faults.struck();
            if let Ok(mut core) = opened {
                if mode == FaultMode::Sticky {
                    faults.set_fault(None);
                }
                check_files(&mut core);
                assert_same(&content(&setup.open(&tree.copy())), &expected[0]);
                let _ = commit(&mut core, &change);
                let _ = core.checkpoint();
                has_struck |= faults.struck();
            }
            let found = content(&setup.open(&tree.copy()));
            assert!(expected.contains(&found), "after call {call} failed:\n{found}");
            if !has_struck {
                break;
            }
        }
    }
}

/// Where a file system ignores case, `A.json` and `a.json` are one file. It is not moved away when it was written; where
/// they are two, the next opening finds both.
pub(crate) fn misplaced_by_case(setup: Setup) {
    const UPPER: &str = "versions/A.json";
    let tree = small_store();
    let expected = content(&setup.open(&tree.copy()));
    tree.put(UPPER, tree.files()[A].clone());
    for path in [A, "pack"] {
        tree.discard(path);
    }
    for is_left in [true, false] {
        let mut core = setup.open(&tree);
        assert_same(&content(&core), &expected);
        core.close().unwrap();
        let files = tree.crash(&[]).files();
        assert!(files.contains_key(A));
        assert_eq!(files.contains_key(UPPER), is_left, "what may be the only file is moved away");
        tree.discard("pack");
    }
}

/// What is removed stays removed when a document decays, though somebody keeps a copy of an older one beside it.
pub(crate) fn second_documents(setup: Setup) {
    const COPY: &str = "versions/a-backup.json";
    let a = name("a");
    let prune = one(Operation::PruneVersions { name: a.clone(), keep: 0 });
    let delete = one(Operation::DeleteName { name: a.clone() });
    // It was there at an opening.
    let tree = small_store();
    let copy = tree.files()[A].clone();
    tree.put(COPY, copy.clone());
    let mut core = setup.open(&tree);
    assert!(warnings(&core).contains("one of two version documents"), "{}", warnings(&core));
    let left = tree.crash(&[]).files();
    assert_eq!(left.get("quarantine/versions-a-backup.json"), Some(&copy), "what is put aside is kept");
    assert!(!left.contains_key(COPY), "it stays beside the document that counts");
    for change in [&delete, &prune] {
        commit(&mut core, change).unwrap();
    }
    let given = next_version(&core, &a);
    core.close().unwrap();
    damage(&tree, A);
    let core = setup.open(&tree);
    assert_eq!(active(&core, &a), None, "a name that was deleted is back");
    assert!(next_version(&core, &a) >= given, "a number is given twice");
    let history = core.shared().state().versions(&a).cloned().unwrap();
    assert_eq!(history.versions, [], "versions that were pruned are back");
    // It was not.
    for has_aliases in [true, false] {
        let tree = small_store();
        let mut core = setup.open(&tree);
        commit(&mut core, &delete).unwrap();
        let given = next_version(&core, &a);
        core.close().unwrap();
        tree.put(COPY, copy.clone());
        damage(&tree, A);
        if !has_aliases {
            tree.put("aliases.json", "damaged");
        }
        for _ in 0..2 {
            let mut core = setup.open(&tree);
            assert_eq!(active(&core, &a).is_none(), has_aliases, "'aliases.json' tells of the deletion");
            assert!(next_version(&core, &a) >= given, "a number is given twice");
            core.close().unwrap();
            tree.discard("pack");
        }
    }
}

/// A document that was to get its own file, and had it under a third name when the power was lost, counts before an older
/// copy, though that was put aside and is back.
pub(crate) fn third_names(setup: Setup) {
    for (copy, other) in [("versions/0.json", B), ("versions/z.json", "versions/zz.json")] {
        let tree = small_store();
        let old = tree.files()[A].clone();
        let mut core = setup.open(&tree);
        commit(&mut core, &one(Operation::DeleteName { name: name("a") })).unwrap();
        let expected = content(&core);
        core.close().unwrap();
        tree.put("versions/a~.json", tree.files()[A].clone());
        tree.put(copy, old);
        tree.put(other, tree.files()[B].clone());
        for path in [A, "pack"] {
            tree.discard(path);
        }
        for _ in 0..2 {
            let core = setup.open(&tree);
            assert_same(&content(&core), &expected);
            drop(core);
            tree.discard("pack");
        }
    }
}

/// What an opening makes of several names that lost their documents is the same after a crash that left some of it.
pub(crate) fn interrupted_repairs(setup: Setup) {
    let damaged = |base: ModelVfs| {
        damage(&base, A);
        base.put(B, "x\n");
        base
    };
    let lost = |base: ModelVfs| {
        for path in [A, B, "pack"] {
            base.discard(path);
        }
        base
    };
    for base in [
        damaged(small_store()),
        damaged(small_store_with_journal()),
        damaged(json_files_alone(&small_store())),
        lost(small_store()),
        lost(small_store_with_journal()),
        lost(json_files_alone(&small_store())),
    ] {
        base.record();
        let expected = content(&setup.open(&base));
        assert_crashes_leave(setup, &base, &[expected]);
    }
}

/// A name that an opening dropped, because `aliases.json` contradicts a document, does not come back when the journal has
/// changed the name of that document.
pub(crate) fn dropped_names(setup: Setup) {
    let tree = small_store();
    let [kept, other] = [1, 4].map(|number| image(number).structural_hash);
    let text = format!("{{ \"B/c\": \"{other}\", \"a\": \"{kept}\", \"back\": \"{kept}\" }}");
    tree.put("aliases.json", text);
    tree.discard("pack");
    let mut core = setup.open(&tree);
    assert_eq!(active(&core, &name("back")), None);
    commit(&mut core, &publish("B/c", 70)).unwrap();
    drop(core);
    let core = setup.open(&tree);
    assert_eq!(active(&core, &name("back")), None, "a name that was dropped is back");
    assert_eq!(active(&core, &name("a")), Some(kept));
}

/// A number that no version can have does not use up those that are left.
pub(crate) fn damaged_numbers(setup: Setup) {
    let tree = small_store();
    let given = next_version(&setup.open(&tree.copy()), &name("a"));
    let text = String::from_utf8(tree.files()[A].clone()).unwrap();
    let number = format!("\"nextVersion\": {given}");
    assert!(text.contains(&number), "{text}");
    tree.put(A, text.replace(&number, "\"nextVersion\": 4611686018427387904"));
    tree.discard("pack");
    let core = setup.open(&tree);
    let next = next_version(&core, &name("a"));
    assert!(next > given && next < given + 100, "numbers go on at {next}");
    assert!(core.shared().state().revision().0 < 100, "{}", core.shared().state().revision());
}

/// Of a name that is too long for a file name the numbers go on, too, when its document is damaged.
pub(crate) fn damaged_documents_of_long_names(setup: Setup) {
    let text = "x".repeat(250);
    let long = name(&text);
    for is_deleted in [true, false] {
        let tree = small_store();
        let mut core = setup.open(&tree);
        commit(&mut core, &publish(&text, 60)).unwrap();
        if is_deleted {
            commit(&mut core, &one(Operation::DeleteName { name: long.clone() })).unwrap();
        }
        let given = next_version(&core, &long);
        core.close().unwrap();
        let path = tree.files().into_keys().find(|path| path.starts_with("versions/xxx")).unwrap();
        let text = String::from_utf8(tree.files()[&path].clone()).unwrap();
        tree.put(&path, text.replace("createdAt", "crea?edAt"));
        tree.discard("pack");
        let mut core = setup.open(&tree);
        commit(&mut core, &publish(long.as_str(), 61)).unwrap();
        let version = core.shared().state().resolve(&long).unwrap().version;
        assert!(version >= given, "a number is given twice");
    }
}

/// A damaged document that nothing tells the name of is put aside once, and hurts no other name.
pub(crate) fn documents_without_a_name(setup: Setup) {
    let tree = small_store();
    let expected = content(&setup.open(&tree.copy()));
    // As of a name that was too long for a file name, and as of one that somebody renamed.
    let paths = [format!("versions/x~{}.json", "0".repeat(64)), "versions/A.json".to_owned()];
    for path in &paths {
        tree.put(path, "damaged");
    }
    tree.discard("pack");
    for opening in 0..3 {
        let core = setup.open(&tree);
        assert_same(&content(&core), &expected);
        assert_eq!(warnings(&core).contains("cannot be told"), opening == 0, "opening {opening}");
        drop(core);
        let kept: Vec<_> =
            tree.files().into_keys().filter(|path| path.starts_with("quarantine/versions-")).collect();
        let expected = paths.iter().map(|path| format!("quarantine/{}", path.replace('/', "-")));
        let mut expected: Vec<_> = expected.flat_map(|path| [format!("{path}.reason"), path]).collect();
        expected.sort();
        assert_eq!(kept, expected, "opening {opening}");
        tree.discard("pack");
    }
}

/// The frames of a segment: where each begins.
fn frames(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"\xffCJF")).collect()
}

/// A checkpoint that was cut wrote what a frame says which decays later. The frames before it do not take that back.
pub(crate) fn gaps_below_the_files(setup: Setup) {
    let gone = name("gone");
    for is_written in [true, false] {
        let tree = small_store();
        let mut core = setup.open_with(&tree, CoreOptions { max_segment_bytes: 1 << 20, ..options() });
        commit(&mut core, &publish("gone", 60)).unwrap();
        let recorded = active(&core, &gone);
        let delete = one(Operation::DeleteName { name: gone.clone() });
        for change in [delete, publish("z", 61), publish("a", 62)] {
            commit(&mut core, &change).unwrap();
        }
        let revision = core.shared().state().revision();
        core.begin_checkpoint().unwrap();
        while is_written && !tree.crash(&[]).files().contains_key("versions/gone.json") {
            core.step().unwrap();
        }
        drop(core);
        let path = tree.files().into_keys().find(|path| path.starts_with("journal/")).unwrap();
        let mut bytes = tree.files()[&path].clone();
        let second = frames(&bytes)[1];
        bytes[second + 90] ^= 1;
        tree.put(&path, bytes);
        for opening in ["first", "next"] {
            let core = setup.open(&tree);
            let expected = if is_written { None } else { recorded };
            assert_eq!(active(&core, &gone), expected, "the {opening} opening");
            for (text, number) in [("z", 61), ("a", 62)] {
                assert_eq!(active(&core, &name(text)), Some(image(number).structural_hash));
            }
            assert_eq!(core.shared().state().revision(), revision);
            let told = warnings(&core);
            assert_eq!(told.contains("are missing in 'journal'"), opening == "first", "{told}");
        }
    }
}

/// A listing of a directory may miss a file whose entry another process replaces meanwhile, or which it makes: before a
/// call of whoever reads the entry is gone, and after that call it is there again.
pub(crate) fn missed_entries(setup: Setup) {
    let base = small_store();
    base.discard("pack");
    let image = format!("images/{}.json", image(3).structural_hash);
    let with_segments = small_store();
    let mut core = setup.open_with(&with_segments, CoreOptions { max_segment_bytes: 2048, ..options() });
    for number in 60..64 {
        commit(&mut core, &publish("a", number)).unwrap();
    }
    drop(core);
    let segments: Vec<_> =
        with_segments.files().into_keys().filter(|path| path.starts_with("journal/")).collect();
    assert!(segments.len() > 2, "{segments:?}");
    for (base, path) in [(&base, A), (&base, &*image), (&with_segments, &*segments[1])] {
        let expected = content(&setup.open(&base.copy()));
        for call in 0.. {
            let tree = base.copy();
            let bytes = tree.files()[path].clone();
            let after = FaultVfs::new(setup.vfs(&tree));
            let before = FaultVfs::new(Arc::new(after.clone()));
            let (removed, put, path) = (tree.clone(), tree.clone(), path.to_owned());
            let gone = path.clone();
            before.interrupt(call, move || removed.discard(&gone));
            after.interrupt(call + 1, move || put.put(&path, bytes));
            let vfs: Arc<dyn Vfs> = Arc::new(before.clone());
            let core = Core::open_read_only(&vfs, options()).unwrap();
            if before.calls() <= call + 1 {
                break;
            }
            assert_same(&content(&core), &expected);
            assert_eq!(warnings(&core), "", "call {call}");
        }
    }
}
