//! `constellation store verify`, with and without `--repair`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use constellation_tests::Launch;
use serde_json::{Value, json as value};
use tempfile::TempDir;

use crate::store_look::{json, serve, small_store, source, text};

fn image_of(directory: &Path, hash: &str) -> PathBuf {
    directory.join("store/images").join(format!("{hash}.json"))
}

fn flip(path: &Path, place: impl Fn(&[u8]) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let place = place(&bytes);
    bytes[place] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Which byte of a file is to be damaged.
type Place = dyn Fn(&[u8]) -> usize;

#[track_caller]
fn findings(directory: &Path, code: i32) -> Vec<Value> {
    let answer = json(directory, &["verify"], code);
    assert_eq!(answer["sound"], code == 0);
    answer["findings"].as_array().unwrap().clone()
}

#[test]
fn a_sound_store_is_told_so() {
    let directory = TempDir::new().unwrap();
    small_store(directory.path());
    let answer = json(directory.path(), &["verify"], 0);
    assert_eq!(answer["findings"], value!([]));
    assert_eq!(answer["counts"]["images"], 3);
    assert_eq!(answer["counts"]["versions"], 3);
    assert_eq!(answer["counts"]["indexEntries"], 3);
    assert_eq!(answer["quarantine"], value!([]));
    assert!(text(directory.path(), &["verify"], 0).starts_with("sound: 3 images"));
}

#[test]
fn a_damaged_image_with_a_source_is_found_named_and_healed() {
    let directory = TempDir::new().unwrap();
    let [first, second, _] = small_store(directory.path());
    // One that is active, and one that is not.
    for hash in [&first, &second] {
        flip(&image_of(directory.path(), hash), |bytes| bytes.len() / 2);
    }
    let found = findings(directory.path(), 1);
    assert_eq!(found.len(), 2, "{found:?}");
    for finding in &found {
        assert_eq!(finding["kind"], "damaged");
        assert_eq!(finding["pipelines"][0]["name"], "double/it");
        assert!(finding["advice"].as_str().unwrap().contains("--repair"), "{finding}");
    }
    let told = text(directory.path(), &["verify"], 1);
    assert!(told.contains("hurts: double/it, version 2 (active)"), "{told}");

    let answer = json(directory.path(), &["verify", "--repair"], 0);
    assert_eq!(answer["healed"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(answer["notHealed"], value!([]));
    assert_eq!(answer["quarantine"].as_array().unwrap().len(), 2);
    assert_eq!(findings(directory.path(), 0), Vec::<Value>::new());
    let server = serve(directory.path());
    assert_eq!(server.hash_of("double%2Fit"), second);
    assert_eq!(server.execute(&first, &value!({ "a": 1 })), value!({ "b": 2 }));
    assert_eq!(server.compilations(), 0);
}

#[test]
fn a_damaged_image_that_calls_demonstration_modules_is_healed_too() {
    let directory = TempDir::new().unwrap();
    let launch = || Launch::new(directory.path()).args(["--store", "store", "--demo-modules"]);
    let server = launch().start();
    let hash = server.compile("check", "in text: String\nkind = QuickCheck(text)\nout kind");
    server.signal("TERM");
    flip(&image_of(directory.path(), &hash), |bytes| bytes.len() / 2);
    let answer = json(directory.path(), &["verify", "--repair"], 0);
    assert_eq!(answer["healed"].as_array().unwrap().len(), 1, "{answer}");
    let server = launch().start();
    assert_eq!(server.execute(&hash, &value!({ "text": "simple" })), value!({ "kind": "valid" }));
    assert_eq!(server.compilations(), 0);
}

#[test]
fn a_damaged_image_without_a_source_is_named_and_stays_lost() {
    let directory = TempDir::new().unwrap();
    let [_, second, _] = small_store(directory.path());
    fs::write(image_of(directory.path(), &second), "{").unwrap();
    fs::remove_dir_all(directory.path().join("store/sources")).unwrap();
    for _ in 0..2 {
        let answer = json(directory.path(), &["verify", "--repair"], 1);
        let path = format!("images/{second}.json");
        let lost = answer["findings"].as_array().unwrap().iter().find(|finding| finding["path"] == path);
        let lost = lost.unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(lost["pipelines"], value!([{ "name": "double/it", "versions": [2], "isActive": true }]));
        assert!(lost["advice"].as_str().unwrap().contains("not retained"), "{lost}");
        assert_eq!(answer["healed"], value!([]));
    }
    let told = text(directory.path(), &["verify", "--repair"], 1);
    assert!(told.contains("not healed: images/"), "{told}");
    // Publishing the sources anew heals it.
    let server = serve(directory.path());
    for (name, number) in [("double/it", 1), ("double/it", 2), ("other", 3)] {
        server.compile(name, &source(number));
    }
    assert!(server.signal("TERM").status.success());
    assert_eq!(findings(directory.path(), 0), Vec::<Value>::new());
}

#[test]
fn everything_that_is_derived_or_only_misspelt_is_healed() {
    let directory = TempDir::new().unwrap();
    let [_, second, other] = small_store(directory.path());
    let root = directory.path().join("store");
    let key = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'"').unwrap() + 3;
    let find = |text: &'static str| {
        move |bytes: &[u8]| bytes.windows(text.len()).position(|part| part == text.as_bytes()).unwrap() + 3
    };
    let cases: [(PathBuf, &Place); 6] = [
        (root.join("store.json"), &find("revision")),
        (root.join("aliases.json"), &key),
        (root.join("syntactic-index.json"), &key),
        (image_of(directory.path(), &second), &find("checksum")),
        (root.join("versions/other.json"), &find("checksum")),
        (image_of(directory.path(), &other), &find("checksum")),
    ];
    let before: Vec<Vec<u8>> = cases.iter().map(|(path, _)| fs::read(path).unwrap()).collect();
    for (path, place) in &cases {
        flip(path, place);
        assert!(!findings(directory.path(), 1).is_empty(), "{}", path.display());
        let answer = json(directory.path(), &["verify", "--repair"], 0);
        assert!(!answer["healed"].as_array().unwrap().is_empty(), "{}: {answer}", path.display());
        assert_eq!(findings(directory.path(), 0), Vec::<Value>::new());
    }
    for ((path, _), before) in cases.iter().zip(before).skip(1) {
        assert_eq!(fs::read(path).unwrap(), before, "{}", path.display());
    }
    let server = serve(directory.path());
    assert_eq!(server.compile("other", &source(3)), other);
    assert_eq!(server.compilations(), 0);
}

#[test]
fn a_repair_that_loses_versions_says_so_and_exits_with_1() {
    for gone in [false, true] {
        let directory = TempDir::new().unwrap();
        let [_, second, _] = small_store(directory.path());
        let document = directory.path().join("store/versions/double%2fit.json");
        if gone {
            fs::remove_file(&document).unwrap();
        } else {
            flip(&document, |bytes| bytes.len() / 2);
        }
        let found = findings(directory.path(), 1);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0]["loss"].as_str().unwrap().contains("'double/it'"), "{found:?}");

        let answer = json(directory.path(), &["verify", "--repair"], 1);
        assert_eq!(answer["sound"], true, "{answer}");
        assert_eq!(answer["findings"], value!([]));
        assert_eq!(answer["lost"].as_array().unwrap().len(), 1, "{answer}");
        // The active image is kept, and what the answer says is true.
        let history = json(directory.path(), &["versions", "double/it"], 0);
        assert_eq!(history["versions"].as_array().unwrap().len(), 1, "{history}");
        assert_eq!(history["versions"][0]["structuralHash"], second.as_str());
        // It is told once: nothing more is lost, and nothing is wrong.
        assert_eq!(json(directory.path(), &["verify", "--repair"], 0)["lost"], value!([]));
    }
    let directory = TempDir::new().unwrap();
    small_store(directory.path());
    flip(&directory.path().join("store/versions/double%2fit.json"), |bytes| bytes.len() / 2);
    let told = text(directory.path(), &["verify", "--repair"], 1);
    assert!(told.contains("healed with a loss: versions/"), "{told}");
    assert!(told.contains("  lost: all versions of 'double/it' but the active image"), "{told}");
}

#[test]
fn beside_a_server_under_writes_nothing_is_wrong() {
    let directory = TempDir::new().unwrap();
    let server = serve(directory.path());
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    server.compile(&format!("load/{}", number % 50), &source(number));
                }
            });
        }
        // A failed assertion must not leave the others running.
        let answers: Vec<_> = (0..8)
            .map(|_| {
                let before = next.load(Ordering::Relaxed);
                server.wait_until("written on", |_| next.load(Ordering::Relaxed) > before + 20);
                crate::store_look::store(directory.path(), &["verify", "--json"])
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        for exited in answers {
            assert_eq!(exited.status.code(), Some(0), "{exited:?}");
        }
    });
    server.kill();
    let answer = json(directory.path(), &["verify"], 0);
    assert!(answer["counts"]["images"].as_u64().unwrap() > 100, "{answer}");
}
