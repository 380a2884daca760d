//! Damaged, missing, exchanged and foreign files: opening tells them and goes on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use constellation_store_core::{ErrorKind, Operation, Precondition};
use constellation_store_fs::core::{Core, CoreOptions, Loaded};
use constellation_store_fs::vfs::{FaultVfs, ModelVfs, Vfs};
use support::{
    alias, as_vfs, assert_same, commit, content, describe_content, image, json_files_alone, kind_of, name,
    one, open, options, publish, small_store, small_store_with_journal, source, use_sources,
};

fn warnings(core: &Core) -> String {
    core.shared().status().warnings.join("\n")
}

fn without_index(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("index ")).collect::<Vec<_>>().join("\n")
}

/// The segments of the journal in order.
fn segments(tree: &ModelVfs) -> Vec<(String, Vec<u8>)> {
    let is_segment = |path: &str| path.starts_with("journal/") && !path.contains(".tmp-");
    tree.files().into_iter().filter(|(path, _)| is_segment(path)).collect()
}

/// Where the zeros start that were written in advance.
fn end_of_content(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn image_path(number: i64) -> String {
    format!("images/{}.json", image(number).structural_hash)
}

#[test]
fn a_changed_bit_in_any_file_is_found_or_harmless() {
    let base = small_store_with_journal();
    let expected = content(&open(&base.copy()));
    // The last frame cannot be told from one that was being written.
    let without_last = {
        let tree = small_store();
        let mut core = open(&tree);
        commit(&mut core, &publish("d", 5)).unwrap();
        content(&core)
    };
    let mut found = 0;
    // One image is like another.
    let others = [2, 3, 4].map(image_path);
    for (path, bytes) in base.files().into_iter().filter(|(path, _)| !others.contains(path)) {
        // One bit of each byte, another one from byte to byte.
        for byte in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[byte] ^= 1 << (byte % 8);
            let tree = base.copy();
            tree.put(&path, changed);
            let mut core = open(&tree);
            use_sources(&mut core);
            let actual = content(&core);
            let told = warnings(&core);
            if !told.is_empty() {
                found += 1;
                continue;
            }
            if path.starts_with("journal/") {
                assert!(actual == expected || actual == without_last, "{path} byte {byte}");
            } else if path == "syntactic-index.json" {
                // An entry under a key that no program has.
                assert_same(&without_index(&actual), &without_index(&expected));
            } else {
                assert_same(&actual, &expected);
            }
        }
    }
    assert!(found > 1000, "{found}");
}

#[test]
fn a_file_cut_at_any_length_or_replaced_is_found_or_harmless() {
    let base = small_store_with_journal();
    for (path, bytes) in base.files() {
        let step = (bytes.len() / 16).max(1);
        let cuts = (0..bytes.len()).step_by(step).map(|length| bytes[..length].to_vec());
        let others =
            [vec![0; bytes.len()], vec![0xff; 100], b"{}\n".to_vec(), b"[]".to_vec(), vec![b'['; 100_000]];
        for changed in cuts.chain(others) {
            let tree = base.copy();
            tree.put(&path, changed);
            let mut core = open(&tree);
            use_sources(&mut core);
            commit(&mut core, &publish("z", 30)).unwrap();
            let memory = content(&core);
            core.close().unwrap();
            assert_same(&content(&open(&tree.crash(&[]))), &memory);
        }
        let tree = base.copy();
        tree.discard(&path);
        tree.put(&format!("{path}/in the way"), "x");
        if path != "LOCK" {
            let mut core = open(&tree);
            commit(&mut core, &publish("z", 30)).unwrap();
        }
    }
}

#[test]
fn a_damaged_image_goes_to_the_quarantine_and_can_be_compiled_again() {
    let tree = small_store();
    tree.put(&image_path(3), "damaged");
    let mut core = open(&tree);
    assert!(warnings(&core).contains(&image_path(3)), "{}", warnings(&core));
    let key = support::key(3);
    assert_eq!(
        core.shared().state().lookup_syntactic(&key),
        None,
        "the loader must not take it for compiled"
    );
    let files = tree.files();
    let hash = image(3).structural_hash;
    assert_eq!(files[&format!("quarantine/images-{hash}.json")], b"damaged");
    assert!(files.contains_key(&format!("quarantine/images-{hash}.json.reason")));
    assert!(!files.contains_key(&image_path(3)));

    commit(&mut core, &publish("B/c", 3)).unwrap();
    core.close().unwrap();
    let again = open(&tree);
    assert_eq!(warnings(&again), "");
    assert!(matches!(again.loader().image(&hash).unwrap(), Loaded::There(_)));
}

/// From 256 files on, threads read them.
#[test]
fn of_many_files_the_damaged_ones_are_told_in_the_same_order_and_all_others_are_used() {
    const COUNT: i64 = 300;
    let tree = ModelVfs::new();
    let mut core = open(&tree);
    for number in 0..COUNT {
        commit(&mut core, &publish(&format!("name-{number:03}"), number)).unwrap();
    }
    core.close().unwrap();
    drop(core);
    let tree = json_files_alone(&tree);
    let expected = content(&open(&tree.copy()));
    assert_eq!(expected.lines().filter(|line| line.starts_with("name ")).count(), 300, "{expected}");

    let renamed = format!("versions/name-{:03}.json", 7);
    let document = tree.files()[&renamed].clone();
    tree.discard(&renamed);
    tree.put("versions/other.json", document);
    tree.put("syntactic-index.json", "damaged");
    tree.put(&image_path(COUNT - 1), "damaged");
    tree.put("sources/no hash.cst", "x");
    for directory in ["images", "sources", "versions"] {
        tree.put(&format!("{directory}/.tmp-1"), "left");
    }
    let core = open(&tree);
    let told = warnings(&core);
    let places = [&image_path(COUNT - 1), "sources/no hash.cst", "versions/other.json"].map(|path| {
        told.find(&format!("'{path}'")).unwrap_or_else(|| panic!("'{path}' is not told:\n{told}"))
    });
    assert!(places.is_sorted(), "{told}");
    assert!(!tree.files().keys().any(|path| path.contains("/.tmp-1")), "an unfinished file stays");
    // It is written anew at once.
    assert!(tree.files().contains_key("quarantine/syntactic-index.json"));
    assert_eq!(core.shared().state().lookup_syntactic(&support::key(0)), None);

    // But for the index, which leads to what was compiled, and that image.
    let lost = format!("image {}", image(COUNT - 1).structural_hash);
    let is_left = |line: &&str| ["image ", "source ", "name "].iter().any(|kind| line.starts_with(kind));
    let left = |text: &str| {
        text.lines().filter(is_left).filter(|line| !line.starts_with(&lost)).collect::<Vec<_>>().join("\n")
    };
    assert_same(&left(&content(&core)), &left(&expected));
}

#[test]
fn a_damaged_version_document_is_rebuilt_from_the_alias_and_uses_no_number_twice() {
    let tree = small_store();
    let mut bytes = tree.files()["versions/a.json"].clone();
    bytes[3] = b'?';
    tree.put("versions/a.json", bytes.clone());
    let mut core = open(&tree);
    assert!(warnings(&core).contains("'a'"), "{}", warnings(&core));
    assert_eq!(tree.files()["quarantine/versions-a.json"], bytes);
    let active = core.shared().state().resolve(&name("a")).unwrap();
    assert_eq!(active.structural_hash, image(1).structural_hash);
    assert!(active.version > 3);
    let recovered = content(&core);
    assert_same(&content(&open(&tree.crash(&[]))), &recovered);
    commit(&mut core, &publish("a", 40)).unwrap();
    core.close().unwrap();
    assert_eq!(warnings(&open(&tree)), "");
}

#[test]
fn a_version_document_of_which_nothing_is_left_uses_no_number_twice() {
    for aliases in ["kept", "damaged"] {
        let tree = small_store();
        let before = open(&tree.copy()).shared().state().versions(&name("a")).unwrap().next_version;
        tree.put("versions/a.json", "x\n");
        if aliases == "damaged" {
            tree.put("aliases.json", "x\n");
        }
        let mut core = open(&tree);
        commit(&mut core, &publish("a", 40)).unwrap();
        let active = core.shared().state().resolve(&name("a")).unwrap();
        assert!(active.version >= before, "{} after {before}; aliases.json is {aliases}", active.version);
    }
}

#[test]
fn derived_files_that_are_missing_or_wrong_are_rebuilt() {
    let base = small_store();
    let expected = content(&open(&base.copy()));
    for aliases in [None, Some("{}"), Some("damaged"), Some("{\"a\": \"\u{e9}\"}"), Some("{\"zzz\": 1}")] {
        let tree = base.copy();
        tree.discard("aliases.json");
        if let Some(text) = aliases {
            tree.put("aliases.json", text);
        }
        let mut core = open(&tree);
        assert_same(&content(&core), &expected);
        assert_ne!(warnings(&core), "");
        core.close().unwrap();
        assert_eq!(tree.files()["aliases.json"], base.files()["aliases.json"]);
    }
    let tree = base.copy();
    tree.discard("syntactic-index.json");
    assert_same(&without_index(&content(&open(&tree))), &without_index(&expected));
}

#[test]
fn an_index_entry_without_its_image_is_dropped() {
    let tree = small_store();
    tree.discard(&image_path(4));
    let core = open(&tree);
    assert_eq!(core.shared().state().lookup_syntactic(&support::key(4)), None);
    assert!(warnings(&core).contains("syntactic-index.json"));
}

#[test]
fn the_plain_form_with_aliases_only_opens_as_first_versions() {
    let tree = ModelVfs::new();
    let files = small_store().files();
    tree.put(&image_path(1), files[&image_path(1)].clone());
    tree.put("aliases.json", format!("{{\"scoring\": \"{}\"}}", image(1).structural_hash));
    let mut core = open(&tree);
    let active = core.shared().state().resolve(&name("scoring")).unwrap();
    assert_eq!((active.version, active.structural_hash), (1, image(1).structural_hash));
    assert!(tree.files().contains_key("versions/scoring.json"));
    let recovered = content(&core);
    assert_same(&content(&open(&tree.crash(&[]))), &recovered);
    commit(&mut core, &publish("scoring", 2)).unwrap();
    let state = core.shared().state();
    assert_eq!(state.resolve(&name("scoring")).unwrap().version, 2);
}

#[test]
fn a_crash_while_the_plain_form_is_taken_over_loses_no_name() {
    let base = ModelVfs::new();
    let files = small_store().files();
    base.put(&image_path(1), files[&image_path(1)].clone());
    let hash = image(1).structural_hash;
    base.put("aliases.json", format!("{{\"a\": \"{hash}\", \"b\": \"{hash}\", \"c\": \"{hash}\"}}"));
    base.record();
    let expected = describe_content(&open(&base));
    for tree in base.moments() {
        let count = tree.pending().len();
        for cut in 0..=count {
            let fates = vec![constellation_store_fs::vfs::Fate::Keep; cut];
            assert_same(&describe_content(&open(&tree.crash(&fates))), &expected);
        }
    }
}

#[test]
fn the_json_files_alone_are_a_store_that_goes_on_above_the_highest_revision() {
    let base = small_store();
    let before = open(&base.copy());
    let alone = json_files_alone(&base);
    let mut core = open(&alone);
    assert_eq!(describe_content(&core), describe_content(&before));
    let highest = core.shared().state().revision();
    let committed = commit(&mut core, &publish("a", 50)).unwrap();
    assert!(committed.revision > highest && highest.0 >= 5);
}

#[test]
fn a_journal_without_store_json_is_not_lost() {
    for damaged in [false, true] {
        let tree = small_store_with_journal();
        let expected = content(&open(&tree.copy()));
        let id = |tree: &ModelVfs| {
            let manifest: serde_json::Value = serde_json::from_slice(&tree.files()["store.json"]).unwrap();
            manifest["storeId"].clone()
        };
        let store = id(&tree);
        tree.discard("store.json");
        if damaged {
            tree.put("store.json", "damaged");
        }
        let core = open(&tree);
        assert_same(&content(&core), &expected);
        assert_eq!(id(&tree), store);
        assert_same(&content(&open(&tree.crash(&[]))), &expected);
    }
}

#[test]
fn a_store_whose_store_json_is_damaged_can_be_read_and_tells_why_it_was_not_used() {
    let all_but_revision = |core: &Core| content(core).split_once('\n').unwrap().1.to_owned();
    for tree in [small_store(), small_store_with_journal()] {
        let expected = all_but_revision(&open(&tree.copy()));
        for damaged in ["damaged", ""] {
            tree.put("store.json", damaged);
            tree.record();
            let core = Core::open_read_only(&as_vfs(&tree), options()).unwrap();
            assert_same(&all_but_revision(&core), &expected);
            let told = warnings(&core);
            assert!(told.starts_with("'store.json' is damaged and was not used: "), "{told}");
            assert_eq!(tree.recorded(), 0);
        }
    }
}

#[test]
fn a_journal_of_another_store_is_refused_and_kept() {
    let tree = small_store_with_journal();
    let other = small_store();
    tree.put("store.json", other.files()["store.json"].clone());
    let before = tree.files();
    let error = Core::open(as_vfs(&tree), options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("another store"), "{error}");
    assert_eq!(tree.files(), before);
}

#[test]
fn damage_in_the_middle_of_the_journal_costs_one_commit_and_is_told() {
    let tree = small_store();
    let options = CoreOptions { max_segment_bytes: 1 << 20, ..options() };
    let mut core = Core::open(as_vfs(&tree), options).unwrap();
    for number in 60..63 {
        commit(&mut core, &publish(&format!("n{number}"), number)).unwrap();
    }
    drop(core);
    let (path, mut bytes) = segments(&tree).remove(0);
    let middle = end_of_content(&bytes) / 2;
    bytes[middle] ^= 1;
    tree.put(&path, bytes.clone());
    let mut core = open(&tree);
    assert!(warnings(&core).contains("are missing in 'journal'"), "{}", warnings(&core));
    let known: Vec<_> = (60..63)
        .filter(|number| core.shared().state().resolve(&name(&format!("n{number}"))).is_some())
        .collect();
    assert_eq!(known, [60, 62]);
    let kept = format!("quarantine/{}", path.replace('/', "-"));
    assert_eq!(tree.files()[&kept], bytes);
    let committed = commit(&mut core, &publish("n64", 64)).unwrap();
    assert_eq!(committed.revision.0, 10);
    core.close().unwrap();
    assert_eq!(warnings(&open(&tree)), "");
}

#[test]
fn a_damaged_end_of_a_segment_that_another_one_follows_is_told() {
    let tree = small_store();
    let mut core = open(&tree);
    for number in 60..66 {
        commit(&mut core, &publish(&format!("n{number}"), number)).unwrap();
    }
    drop(core);
    let segments = segments(&tree);
    assert!(segments.len() > 1);
    let (path, mut bytes) = segments[0].clone();
    let end = end_of_content(&bytes);
    bytes[end - 1] ^= 1;
    tree.put(&path, bytes.clone());
    let core = open(&tree);
    assert!(warnings(&core).contains("the next segment goes on"), "{}", warnings(&core));
    assert_eq!(tree.files()[&format!("quarantine/{}", path.replace('/', "-"))], bytes);
    let known =
        (60..66).filter(|number| core.shared().state().resolve(&name(&format!("n{number}"))).is_some());
    assert_eq!(known.count(), 5);
}

#[test]
fn frames_behind_the_end_of_a_segment_that_is_used_again_are_not_read() {
    let tree = small_store();
    let mut core = open(&tree);
    let old = [publish("a", 70), one(Operation::DeleteName { name: name("B/c") }), publish("B/c", 71)];
    for change in &old {
        commit(&mut core, change).unwrap();
    }
    core.checkpoint().unwrap();
    let before = core.shared().state().revision();
    commit(&mut core, &one(Operation::SetActive { name: name("a"), version: 2 })).unwrap();
    let expected = content(&core);
    drop(core);
    let segments = segments(&tree);
    let (path, bytes) = &segments[0];
    assert_eq!(segments.len(), 1);
    let marks = bytes.windows(4).filter(|window| *window == b"\xffCJF").count();
    assert!(marks > 1, "an old frame lies behind the new one");

    assert_same(&content(&open(&tree.copy())), &expected);
    // Also when nothing tells up to where the files are, which have everything but the last commit.
    let without = tree.copy();
    without.discard("store.json");
    assert_same(&content(&open(&without)), &expected);
    // When the new frame is damaged, it is the torn tail, and the old ones are still no frames.
    for byte in 0..100 {
        let torn = tree.copy();
        let mut changed = bytes.clone();
        changed[byte] ^= 1;
        torn.put(path, changed);
        let core = open(&torn);
        assert_eq!(core.shared().state().revision(), before);
        assert_eq!(warnings(&core), "");
    }
}

#[test]
fn a_store_of_the_reference_implementation_is_refused_untouched() {
    let tree = ModelVfs::new();
    let hash = "5d0c".repeat(16);
    let document = serde_json::json!({
        "structuralHash": hash, "syntacticHash": "91ab".repeat(16),
        "dagSpec": {
            "metadata": { "name": "shout", "majorVersion": 0, "minorVersion": 1 },
            "modules": {}, "data": {}, "inEdges": [], "outEdges": [], "declaredOutputs": [], "outputBindings": {}
        },
        "moduleOptions": {}, "compiledAt": "2026-02-20T12:00:00.123Z", "sourceHash": "91ab".repeat(16)
    });
    tree.put(&format!("images/{hash}.json"), document.to_string());
    tree.put("aliases.json", format!("{{\"shout\": \"{hash}\"}}"));
    let before = tree.files();
    for error in [
        Core::open(as_vfs(&tree), options()).unwrap_err(),
        Core::open_read_only(&as_vfs(&tree), options()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::UnsupportedFormat);
        assert!(error.to_string().contains("reference implementation"), "{error}");
    }
    assert_eq!(tree.files(), before);
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let tree = small_store();
    let bytes = tree.files()["store.json"].clone();
    let serde_json::Value::Object(mut members) = serde_json::from_slice(&bytes).unwrap() else { panic!() };
    members["formatVersion"] = 2.into();
    tree.put("store.json", constellation_store_core::seal_document(members));
    let before = tree.files();
    assert_eq!(kind_of(Core::open(as_vfs(&tree), options())), Some(ErrorKind::UnsupportedFormat));
    assert_eq!(tree.files(), before);
}

#[test]
fn a_read_only_opening_changes_nothing_whatever_it_finds() {
    let base = small_store_with_journal();
    let expected = content(&open(&base.copy()));
    base.put("images/.tmp-1", "unfinished");
    base.put(&image_path(4), "damaged");
    base.discard("aliases.json");
    base.record();
    let core = Core::open_read_only(&as_vfs(&base), options()).unwrap();
    assert_eq!(base.recorded(), 0);
    let is_hurt = |line: &&str| line.contains(&image(4).structural_hash.to_string());
    let bytes: u64 = expected.lines().find_map(|line| line.strip_prefix("bytes ")).unwrap().parse().unwrap();
    let (before, after) = (format!("bytes {bytes}"), format!("bytes {}", bytes - image(4).graph_bytes()));
    let unhurt: Vec<_> = expected.lines().filter(|line| !is_hurt(line)).collect();
    assert_same(content(&core).trim_end(), &unhurt.join("\n").replace(&before, &after));
    assert!(core.shared().status().read_only.is_some());
}

#[test]
fn a_read_only_core_refuses_commits() {
    let tree = small_store();
    let mut core = Core::open_read_only(&as_vfs(&tree), options()).unwrap();
    assert_eq!(kind_of(commit(&mut core, &publish("z", 1))), Some(ErrorKind::ReadOnly));
    core.close().unwrap();
    assert_eq!(kind_of(commit(&mut core, &publish("z", 1))), Some(ErrorKind::Unavailable));
}

#[test]
fn a_read_only_opening_at_any_moment_of_a_writer_sees_a_state_of_its_history() {
    let tree = small_store_with_journal();
    tree.record();
    let mut core = open(&tree);
    let mut history = vec![content(&core)];
    for change in [publish("a", 70), alias("b", 1), one(Operation::DeleteName { name: name("d") })] {
        commit(&mut core, &change).unwrap();
        history.push(content(&core));
        core.begin_checkpoint().unwrap();
        for _ in 0..3 {
            core.step().unwrap();
        }
        commit(&mut core, &publish("e", 80 + i64::try_from(history.len()).unwrap())).unwrap();
        history.push(content(&core));
        core.checkpoint().unwrap();
    }
    let mut seen = 0;
    for moment in tree.moments() {
        let reader = Core::open_read_only(&as_vfs(&moment), options()).unwrap();
        let place = history.iter().position(|known| *known == content(&reader));
        let place = place.unwrap_or_else(|| panic!("not in the history:\n{}", content(&reader)));
        assert!(place >= seen, "it goes on only");
        seen = place;
    }
    assert_eq!(seen, history.len() - 1);
}

#[test]
fn two_files_of_one_name_and_exchanged_files_are_told_by_the_name_inside() {
    let base = small_store();
    let files = base.files();
    let exchanged = base.copy();
    exchanged.put("versions/a.json", files["versions/%42%2fc.json"].clone());
    exchanged.put("versions/%42%2fc.json", files["versions/a.json"].clone());
    let mut core = open(&exchanged);
    let expected = content(&open(&base.copy()));
    assert_same(&content(&core), &expected);
    core.close().unwrap();
    assert_same(&content(&open(&exchanged)), &expected);

    let doubled = base.copy();
    doubled.put("versions/copy.json", files["versions/a.json"].clone());
    let core = open(&doubled);
    assert_same(&content(&core), &expected);
    assert!(warnings(&core).contains("two version documents"));
}

#[test]
fn numbers_that_no_version_counts_to_are_not_counted_on_from() {
    for segment in
        ["journal/4000000000000000-0000000000000001.log", "journal/2000000000000000-0000000000000001.log"]
    {
        let tree = small_store_with_journal();
        tree.put(segment, "");
        let before = tree.files();
        assert_eq!(kind_of(Core::open(as_vfs(&tree), options())), Some(ErrorKind::UnsupportedFormat));
        assert!(tree.files() == before, "what is refused is left as it is");
        // To read it needs no numbers.
        Core::open_read_only(&as_vfs(&tree), options()).unwrap();
    }
    let tree = small_store_with_journal();
    tree.put("journal/1ffffffffffffff0-0000000000000001.log", "");
    let mut core = open(&tree);
    commit(&mut core, &publish("z", 1)).unwrap();
    assert_same(&content(&open(&tree.crash(&[]))), &content(&core));
}

#[test]
fn stray_files_are_left_alone() {
    let tree = small_store();
    let expected = content(&open(&tree.copy()));
    for path in ["README.md", "images/.DS_Store", "versions/.gitkeep", "journal/notes.txt", ".git/HEAD"] {
        tree.put(path, "mine");
    }
    let mut core = open(&tree);
    assert_same(&content(&core), &expected);
    assert_eq!(warnings(&core), "");
    commit(&mut core, &publish("z", 1)).unwrap();
    core.close().unwrap();
    let mine = tree.files().into_values().filter(|bytes| bytes == b"mine").count();
    assert_eq!(mine, 5);
}

#[test]
fn a_precondition_on_a_deleted_name_holds_after_reopening() {
    let tree = small_store();
    let mut core = open(&tree);
    commit(&mut core, &one(Operation::DeleteName { name: name("a") })).unwrap();
    drop(core);
    let mut core = open(&tree.copy());
    let publication = publish("a", 2).require(name("a"), Precondition::Active(3));
    assert_eq!(kind_of(commit(&mut core, &publication)), Some(ErrorKind::Conflict));
    let publication = publish("a", 2).require(name("a"), Precondition::Absent);
    commit(&mut core, &publication).unwrap();
    assert_eq!(core.shared().state().resolve(&name("a")).unwrap().version, 4);
}

#[test]
fn reads_of_a_core_make_no_calls_and_a_commit_makes_few() {
    let tree = small_store();
    let faults = FaultVfs::new(as_vfs(&tree));
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let options = CoreOptions { clock: options().clock, ..CoreOptions::default() };
    let mut core = Core::open(vfs, options).unwrap();
    commit(&mut core, &publish("first", 90)).unwrap();
    // After the first use of each.
    let _ = content(&core);
    let before = faults.calls();
    commit(&mut core, &publish("second", 91)).unwrap();
    assert_eq!(faults.calls() - before, 2, "one write, one sync");
    commit(&mut core, &publish("second", 91)).unwrap();
    assert_eq!(faults.calls() - before, 2, "what changes nothing writes nothing");
    let _ = content(&core);
    assert_eq!(faults.calls() - before, 2);
    assert_eq!(&*source(91), "out x = 91\n");
}
