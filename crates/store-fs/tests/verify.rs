//! Verification finds what is wrong, and nothing where nothing is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use constellation_store_core::{ErrorKind, Operation, SyntacticKey, open_document, seal_document};
use constellation_store_fs::core::{Core, CoreOptions};
use constellation_store_fs::verify::{
    Affected, Finding, FindingKind, VerifyOptions, VerifyReport, mend, verify,
};
use constellation_store_fs::vfs::{ModelVfs, Vfs};
use support::{
    alias, commit, image, json_files_alone, key, name, one, open, publish, put, small_store,
    small_store_with_journal, source,
};

/// The keys of the programs of these tests.
fn key_of(text: &str) -> Option<SyntacticKey> {
    (0..50).find(|number| *source(*number) == *text).map(key)
}

fn check(vfs: &dyn Vfs) -> VerifyReport {
    verify(vfs, VerifyOptions { key_of: Some(&key_of), progress: None }).unwrap()
}

fn findings(tree: &ModelVfs) -> Vec<Finding> {
    check(tree).findings
}

fn image_path(number: i64) -> String {
    format!("images/{}.json", image(number).structural_hash)
}

fn source_path(number: i64) -> String {
    format!("sources/{}.cst", image(number).metadata.source_hash.unwrap())
}

#[test]
fn a_sound_store_has_no_findings_and_everything_is_counted() {
    let report = check(&small_store());
    assert_eq!(report.findings, []);
    let counts = &report.counts;
    assert_eq!((counts.images, counts.sources, counts.names, counts.versions), (4, 4, 2, 3));
    assert_eq!((counts.index_entries, counts.frames, counts.unchecked), (4, 0, 0));
    assert_eq!((counts.unreferenced_images, counts.unreferenced_sources), (1, 0));
    assert!(report.quarantine.is_empty() && report.others.is_empty());

    let report = check(&small_store_with_journal());
    assert_eq!(report.findings, []);
    assert_eq!((report.counts.frames, report.counts.names, report.counts.images), (2, 3, 5));
    assert_eq!(check(&json_files_alone(&small_store())).findings, []);
    assert_eq!(check(&ModelVfs::new()), VerifyReport::default());
}

/// The bits of a file that a verification has to tell, as the end of the bytes.
fn end_of_what_is_checked(path: &str, bytes: &[u8]) -> usize {
    if !path.starts_with("journal/") {
        return bytes.len();
    }
    // The last frame cannot be told from one that was being written.
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| window == b"\xffCJF");
    starts.map(|(at, _)| at).next_back().unwrap_or(0)
}

/// Every tree that is `base` but for one bit of a file, with the place of the bit.
fn assert_every_bit_is_found(base: &ModelVfs, belongs: impl Fn(&str) -> bool) -> usize {
    let mut n_bits = 0;
    for (path, bytes) in base.files().into_iter().filter(|(path, _)| belongs(path)) {
        let tree = base.copy();
        for bit in 0..end_of_what_is_checked(&path, &bytes) * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            tree.put(&path, changed);
            match verify(&tree, VerifyOptions { key_of: Some(&key_of), progress: None }) {
                Ok(report) => assert!(!report.findings.is_empty(), "{path} bit {bit}"),
                // A greater format version is that of a later version, whatever else is wrong.
                Err(error) => {
                    let found = (path.as_str(), error.kind());
                    assert_eq!(found, ("store.json", ErrorKind::UnsupportedFormat), "bit {bit}: {error}");
                }
            }
            n_bits += 1;
        }
    }
    n_bits
}

#[test]
fn every_changed_bit_is_found() {
    // One of each kind, so that each reading is short.
    let tree = ModelVfs::new();
    let mut core = open(&tree);
    commit(&mut core, &publish("a", 1)).unwrap();
    core.close().unwrap();
    let tree = tree.copy();
    // It is derived: an opening that does not believe it reads the files.
    tree.discard("pack");
    assert_eq!(findings(&tree), []);
    let files = tree.files();
    let n_expected: usize = files.values().map(|bytes| bytes.len() * 8).sum();
    assert!(files.values().filter(|bytes| !bytes.is_empty()).count() == 6, "{:?}", files.keys());
    assert_eq!(assert_every_bit_is_found(&tree, |_| true), n_expected);
}

#[test]
fn every_changed_bit_of_the_journal_is_found_and_of_the_maps_beside_it() {
    let tree = ModelVfs::new();
    let mut core = open(&tree);
    commit(&mut core, &publish("a", 1)).unwrap();
    core.close().unwrap();
    let mut core = open(&tree);
    for change in [alias("b", 1), one(Operation::DeleteName { name: name("a") }), alias("c", 1)] {
        commit(&mut core, &change).unwrap();
    }
    drop(core);
    let tree = tree.copy();
    assert_eq!(findings(&tree), []);
    let n_bits =
        assert_every_bit_is_found(&tree, |path| path.starts_with("journal/") || path.ends_with("s.json"));
    assert!(n_bits > 3000, "{n_bits}");
    assert!(assert_every_bit_is_found(&tree, |path| path == "syntactic-index.json") > 1000);
}

#[test]
fn a_cut_or_exchanged_file_is_found() {
    let base = small_store();
    base.discard("pack");
    for (path, bytes) in base.files().into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
        for changed in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], b"{}", b"[]\n", b"\xff"] {
            let tree = base.copy();
            tree.put(&path, changed);
            assert!(findings(&tree).iter().any(|finding| finding.path == path), "{path} {changed:?}");
        }
        let tree = base.copy();
        tree.discard(&path);
        tree.put(&format!("{path}/in the way"), "x");
        assert!(findings(&tree).iter().any(|finding| finding.path == path), "{path}");
    }
    let tree = base.copy();
    tree.put(&image_path(1), base.files()[&image_path(2)].clone());
    assert!(findings(&tree)[0].problem.contains("it holds the image"));
}

#[test]
fn a_finding_names_whom_it_hurts_and_what_to_do() {
    let tree = small_store();
    tree.put(&image_path(1), "damaged");
    let [finding] = &findings(&tree)[..] else { panic!("one finding") };
    assert_eq!((finding.path.as_str(), finding.kind), (image_path(1).as_str(), FindingKind::Damaged));
    assert_eq!(finding.pipelines, [Affected { name: name("a"), versions: vec![3], is_active: true }]);
    assert!(finding.advice.contains("compiles it again"), "{}", finding.advice);

    tree.discard(&source_path(1));
    let found = findings(&tree);
    assert!(found.iter().any(|finding| finding.path == source_path(1)
        && finding.kind == FindingKind::Missing
        && finding.pipelines[0].name == name("a")));
    let image = found.iter().find(|finding| finding.path == image_path(1)).unwrap();
    assert!(image.advice.contains("backup"), "{}", image.advice);

    let tree = small_store();
    tree.discard(&image_path(3));
    let found = findings(&tree);
    let missing = found.iter().find(|finding| finding.path == image_path(3)).unwrap();
    assert_eq!(missing.kind, FindingKind::Missing);
    assert_eq!(missing.pipelines[0].name, name("B/c"));

    let tree = small_store();
    tree.put("versions/a.json", "damaged");
    let [finding] = &findings(&tree)[..] else { panic!("one finding: {:?}", findings(&tree)) };
    assert_eq!(finding.pipelines[0].name, name("a"));
    assert!(finding.advice.contains("aliases.json"), "{}", finding.advice);
}

#[test]
fn what_no_repair_brings_back_is_told_as_a_loss() {
    let loss = |damage: &dyn Fn(&ModelVfs)| {
        let tree = small_store_with_journal();
        damage(&tree);
        let losses: Vec<_> = findings(&tree).into_iter().filter_map(|finding| finding.loss).collect();
        losses.join("; ")
    };
    let damaged = loss(&|tree| tree.put("versions/a.json", "damaged"));
    assert!(damaged.starts_with("all versions of 'a' but the active image"), "{damaged}");
    // Also when the document is gone, and the map fits all others.
    let gone = loss(&|tree| tree.discard("versions/%42%2fc.json"));
    assert!(gone.starts_with("all versions of 'B/c' but the active image"), "{gone}");
    let neither = loss(&|tree| {
        tree.put("versions/a.json", "damaged");
        tree.discard("aliases.json");
    });
    assert_eq!(neither, "all versions of 'a'");
    let commits = loss(&|tree| {
        let files = tree.files();
        let (path, bytes) = files.iter().find(|(path, _)| path.starts_with("journal/")).unwrap();
        let mut bytes = bytes.clone();
        bytes[100] ^= 1;
        tree.put(path, bytes);
    });
    assert_eq!(commits, "the commits that cannot be read in it");
    // A map is made anew, and an image or a source that cannot be is a finding until it is.
    assert_eq!(loss(&|tree| tree.put("aliases.json", "damaged")), "");
    assert_eq!(loss(&|tree| tree.put("store.json", "damaged")), "");
    assert_eq!(loss(&|tree| tree.put(&image_path(1), "damaged")), "");
}

#[test]
fn what_does_not_belong_is_told_and_what_does_no_harm_is_counted() {
    let tree = small_store();
    for path in ["images/notes.txt", "images/abc.json", "sources/x.cst", "versions/B.json.bak"] {
        tree.put(path, "x");
        let found = findings(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].path.as_str(), found[0].kind), (path, FindingKind::Misplaced));
        tree.discard(path);
    }
    let files = tree.files();
    tree.put("versions/other.json", files["versions/a.json"].clone());
    assert_eq!(findings(&tree)[0].kind, FindingKind::Misplaced);
    tree.discard("versions/other.json");

    tree.put("images/.tmp-7", "x");
    tree.put("journal/.tmp-segment-1", "x");
    tree.put(".tmp-0", "x");
    tree.put("images/.gitkeep", "");
    tree.put("README.md", "ours");
    tree.put("pack/anything", "derived");
    tree.put("quarantine/images-x.json", "x");
    tree.put("quarantine/images-x.json.reason", "images/x.json: why\n");
    let report = check(&tree);
    assert_eq!(report.findings, []);
    assert_eq!(report.counts.temporary_files, 3);
    assert_eq!(report.others, ["README.md"]);
    assert_eq!(report.quarantine.len(), 1);
    assert_eq!(report.quarantine[0].reason, "images/x.json: why");
}

#[test]
fn a_flat_map_that_says_something_else_is_found() {
    let base = small_store();
    let hash = image(2).structural_hash;
    for (path, text) in [
        ("aliases.json", format!("{{\n  \"a\": \"{hash}\"\n}}\n")),
        ("aliases.json", "{}\n".to_owned()),
        ("syntactic-index.json", format!("{{\n  \"{}\": \"{}\"\n}}\n", key(1), image(40).structural_hash)),
    ] {
        let tree = base.copy();
        tree.put(path, text);
        assert!(findings(&tree).iter().all(|finding| finding.path == path), "{:?}", findings(&tree));
        assert!(!findings(&tree).is_empty());
    }
    let tree = base.copy();
    tree.discard("aliases.json");
    assert!(findings(&tree).iter().all(|finding| finding.path == "aliases.json"));
    assert!(!findings(&tree).is_empty());
    // The plain form has nothing else.
    let tree = json_files_alone(&base);
    tree.discard("versions");
    let report = check(&tree);
    assert_eq!(report.findings, []);
    assert_eq!((report.counts.names, report.counts.unreferenced_images), (2, 2));
}

#[test]
fn a_repair_loses_no_active_version_though_the_map_that_tells_it_is_wrong_about_another_name() {
    let tree = small_store();
    tree.put("versions/%42%2fc.json", "{ damaged");
    let aliases = String::from_utf8(tree.files()["aliases.json"].clone()).unwrap();
    let wrong =
        aliases.replacen(&image(1).structural_hash.to_string(), &image(2).structural_hash.to_string(), 1);
    assert_ne!(aliases, wrong);
    tree.put("aliases.json", wrong.clone());
    let vfs = support::as_vfs(&tree);
    mend(&vfs, &check(&tree)).unwrap();
    let mut core = open(&tree);
    let active = |text| core.shared().state().resolve(&name(text)).unwrap().structural_hash;
    assert_eq!((active("B/c"), active("a")), (image(3).structural_hash, image(1).structural_hash));
    core.close().unwrap();
    assert_eq!(findings(&tree), []);
    assert_eq!(tree.files()["quarantine/aliases.json"], wrong.into_bytes());
}

#[test]
fn a_store_of_a_later_version_and_a_foreign_journal_are_refused() {
    let absent =
        verify(&constellation_store_fs::vfs::RealVfs::new("no/such/directory"), VerifyOptions::default());
    assert_eq!(absent.unwrap_err().kind(), ErrorKind::NotFound);
    let tree = small_store();
    let mut members = open_document(&tree.files()["store.json"]).unwrap().members;
    members["formatVersion"] = 2.into();
    let sealed = seal_document(members);
    // Also where it has a checksum that this version would not make.
    let stale =
        String::from_utf8(sealed.clone()).unwrap().replace("\"epoch\": 1", "\"epoch\": 7").into_bytes();
    assert_ne!(sealed, stale);
    for manifest in [sealed, stale] {
        tree.put("store.json", manifest);
        let before = tree.files();
        assert_eq!(verify(&tree, VerifyOptions::default()).unwrap_err().kind(), ErrorKind::UnsupportedFormat);
        let opened = Core::open(Arc::new(tree.clone()), CoreOptions::default());
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::UnsupportedFormat);
        assert_eq!(tree.files(), before, "it is left as it is");
    }
    let tree = small_store_with_journal();
    tree.put("store.json", small_store().files()["store.json"].clone());
    assert_eq!(verify(&tree, VerifyOptions::default()).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// What a writer does between the steps of its checkpoints.
fn workload() -> Vec<constellation_store_core::Commit> {
    vec![
        publish("a", 1),
        publish("b", 2),
        publish("a", 2),
        put(4),
        alias("c", 4),
        one(Operation::SetActive { name: name("a"), version: 1 }),
        one(Operation::PruneVersions { name: name("a"), keep: 1 }),
        one(Operation::DeleteName { name: name("c") }),
        one(Operation::PruneVersions { name: name("c"), keep: 0 }),
        one(Operation::RemoveImage { structural_hash: image(4).structural_hash }),
        publish("c", 5),
        publish("a", 6),
    ]
}

#[test]
fn beside_a_writer_nothing_is_wrong_at_any_moment() {
    let tree = ModelVfs::new();
    tree.record();
    let mut core: Core = open(&tree);
    for (place, change) in workload().iter().enumerate() {
        commit(&mut core, change).unwrap();
        if place % 3 == 1 {
            core.begin_checkpoint().unwrap();
        }
        core.step().unwrap();
    }
    core.close().unwrap();
    let moments = tree.moments();
    assert!(moments.len() > 100, "{}", moments.len());
    for (place, moment) in moments.iter().enumerate() {
        assert_eq!(findings(moment), [], "after call {place}");
    }
}
