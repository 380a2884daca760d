//! Scenarios about files that decay, that others change, and about frames that are none.

use constellation_store_core::{Operation, SourceHash};
use constellation_store_fs::core::{CoreOptions, Loaded};

use super::{Bases, image_path, segments, warnings};
use crate::support::workloads::Setup;
use crate::support::{
    assert_same, check_files, commit, content, content_of, image, key, name, one, options, publish, put,
};

fn image_source(number: i64) -> SourceHash {
    image(number).metadata.source_hash.unwrap()
}

/// What decays, or is changed by others, while the store is open.
pub(super) fn files_in_use(setup: Setup, bases: &Bases) {
    for path in ["versions/a.json", "aliases.json", "syntactic-index.json"] {
        let tree = bases.small.tree.copy();
        let bytes = tree.files()[path].clone();
        let mut core = setup.open(&tree);
        tree.decay(path, |bytes| bytes[8] ^= 1);
        let damaged = tree.files()[path].clone();
        check_files(&mut core);
        assert!(warnings(&core).contains(path), "damage of '{path}' is not told");
        let kept = format!("quarantine/{}", path.replace('/', "-"));
        assert_eq!(tree.crash(&[]).files().get(&kept), Some(&damaged), "what is damaged is not kept");
        core.checkpoint().unwrap();
        assert!(tree.crash(&[]).files()[path] == bytes, "'{path}' is not written anew");
        assert_eq!(warnings(&core), "");
    }
    // What is not written yet, or is being written, is not damaged.
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    commit(&mut core, &publish("a", 9)).unwrap();
    check_files(&mut core);
    assert_eq!(warnings(&core), "", "what is not written yet is taken for damaged");
    core.begin_checkpoint().unwrap();
    while core.is_in_checkpoint() {
        check_files(&mut core);
        core.step().unwrap();
    }
    check_files(&mut core);
    assert_eq!(warnings(&core), "");
}

pub(super) fn damaged_files(setup: Setup, bases: &Bases) {
    // At opening, which reads images and documents, and at first use.
    for decays in [false, true] {
        for path in [image_path(3), format!("sources/{}.cst", image_source(3))] {
            let tree = bases.small.tree.copy();
            let bytes = tree.files()[&path].clone();
            if decays {
                tree.decay(&path, |bytes| bytes[8] ^= 1);
            } else {
                let mut damaged = bytes.clone();
                damaged[8] ^= 1;
                tree.put(&path, damaged);
            }
            let mut core = setup.open(&tree);
            if decays || path.starts_with("sources/") {
                let loader = core.loader();
                let image = loader.image(&image(3).structural_hash).unwrap();
                let source = loader.source(&image_source(3)).unwrap();
                let ((Loaded::Lost(lost), _) | (_, Loaded::Lost(lost))) = (image, source) else {
                    panic!("damage of '{path}' is not seen");
                };
                core.put_aside(&lost);
            }
            assert!(warnings(&core).contains(&path), "damage of '{path}' is not told");
            let kept = format!("quarantine/{}", path.replace('/', "-"));
            assert!(tree.crash(&[]).files().contains_key(&kept), "what is damaged is not kept");
            commit(&mut core, &publish("B/c", 3)).unwrap();
            core.close().unwrap();
            assert!(tree.crash(&[]).files()[&path] == bytes, "'{path}' is not there again");
        }
    }
    let tree = bases.small.tree.copy();
    tree.put(&image_path(3), tree.files()[&image_path(2)].clone());
    assert!(warnings(&setup.open(&tree)).contains(&image_path(3)), "an image under another name is not told");
    let tree = bases.small.tree.copy();
    let text = String::from_utf8(tree.files()["versions/a.json"].clone()).unwrap();
    tree.put("versions/a.json", text.replace("14:30", "15:30"));
    assert!(warnings(&setup.open(&tree)).contains("versions/a.json"), "a changed document is not told");
    // The journal has the image, and its file decays.
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    commit(&mut core, &put(9)).unwrap();
    core.begin_checkpoint().unwrap();
    while !tree.files().contains_key(&image_path(9)) {
        core.step().unwrap();
    }
    drop(core);
    let mut core = setup.open(&tree);
    tree.decay(&image_path(9), |bytes| bytes[8] ^= 1);
    core.close().unwrap();
    tree.discard("pack");
    assert_eq!(warnings(&setup.open(&tree)), "", "what the journal had is in the files");
}

pub(super) fn damaged_journal(setup: Setup, bases: &Bases) {
    for max_segment_bytes in [1 << 20, 2048] {
        let tree = bases.small.tree.copy();
        let mut core = setup.open_with(&tree, CoreOptions { max_segment_bytes, ..options() });
        for number in 60..66 {
            commit(&mut core, &publish(&format!("n{number}"), number)).unwrap();
        }
        drop(core);
        for in_the_middle in [true, false] {
            let tree = tree.copy();
            let all = segments(&tree);
            let (path, mut bytes) = all[0].clone();
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            bytes[if in_the_middle { end / 2 } else { end }] ^= 1;
            tree.put(&path, bytes);
            let told = warnings(&setup.open(&tree));
            // The last frame of all cannot be told from a torn one.
            if in_the_middle || all.len() > 1 {
                assert!(told.contains("are missing in 'journal'"), "missing commits are not told: {told}");
                assert!(told.contains(&path), "a damaged segment is not told: {told}");
            } else {
                assert_eq!(told, "", "a torn end is no damage");
            }
        }
    }
    // What the journal activated may be lost with its document.
    let tree = bases.with_journal.tree.copy();
    tree.put("versions/a.json", "x\n");
    let core = setup.open(&tree);
    assert!(core.shared().state().resolve(&name("a")).is_some(), "no version is active");
}

pub(super) fn stale_frames(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    for change in [publish("a", 70), one(Operation::DeleteName { name: name("B/c") }), publish("B/c", 71)] {
        commit(&mut core, &change).unwrap();
    }
    let older = segments(&tree)[0].1.clone();
    core.checkpoint().unwrap();
    commit(&mut core, &one(Operation::SetActive { name: name("a"), version: 2 })).unwrap();
    let expected = content(&core);
    drop(core);
    for keeps_manifest in [true, false] {
        let left = tree.copy();
        if !keeps_manifest {
            left.discard("store.json");
        }
        let core = setup.open(&left);
        assert_same(&content(&core), &expected);
        assert_eq!(warnings(&core), "", "a stale frame is no damage");
    }
    // Frames of another opening, with greater numbers.
    let tree = bases.small.tree.copy();
    let mut core = setup.open(&tree);
    commit(&mut core, &publish("new", 72)).unwrap();
    let expected = content(&core);
    drop(core);
    let (path, _) = segments(&tree).remove(0);
    let mut bytes = segments(&tree).remove(0).1;
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let second = (4..older.len()).find(|at| older[*at..].starts_with(b"\xffCJF")).unwrap();
    let mut stale = older[second..].to_vec();
    let header = &mut stale[..80];
    header[32..40].copy_from_slice(&0_u64.to_le_bytes());
    let length = usize::try_from(u64::from_le_bytes(header[8..16].try_into().unwrap())).unwrap();
    let hash = blake3::Hasher::new().update(&stale[..48]).update(&stale[80..80 + length]).finalize();
    stale[48..80].copy_from_slice(hash.as_bytes());
    stale.truncate(80 + length);
    bytes.truncate(end);
    bytes.extend(stale);
    tree.put(&path, bytes);
    assert_same(&content(&setup.open(&tree)), &expected);
}

pub(super) fn changed_files(setup: Setup, bases: &Bases) {
    let tree = bases.small.tree.copy();
    tree.discard(&image_path(4));
    let core = setup.open(&tree);
    assert_eq!(core.shared().state().lookup_syntactic(&key(4)), None, "an index entry without its image");
    drop(core);
    let tree = bases.small.tree.copy();
    tree.put("aliases.json", "{}");
    let mut core = setup.open(&tree);
    assert_same(&content(&core), &content_of(&bases.small.state));
    core.close().unwrap();
    assert!(tree.files()["aliases.json"].len() > 10, "'aliases.json' is rebuilt");
    // An alias that contradicts the documents brings no name back.
    let tree = bases.small.tree.copy();
    let hash = image(1).structural_hash;
    tree.put("aliases.json", format!("{{ \"back\": \"{hash}\" }}"));
    assert_same(&content(&setup.open(&tree)), &content_of(&bases.small.state));
    let tree = bases.small.tree.copy();
    tree.put("images/.tmp-1", "left");
    drop(setup.open(&tree));
    assert!(!tree.files().contains_key("images/.tmp-1"), "an unfinished file stays");
}
