//! `constellation store gc` and `prune`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use constellation_tests::{Launch, can_run};
use serde_json::json;
use tempfile::TempDir;

use crate::store_look::{json, serve, small_store, source, store, text};

#[test]
fn versions_are_forgotten_and_then_their_images_are_collected() {
    let directory = TempDir::new().unwrap();
    let [first, second, other] = small_store(directory.path());
    let path = directory.path();
    assert_eq!(json(path, &["gc", "--older-than", "0s"], 0)["removed"], json!([]));

    let expected = json!([{ "name": "double/it", "versions": [1] }]);
    for _ in 0..2 {
        let answer = json(path, &["prune", "double/it", "--keep", "1", "--dry-run"], 0);
        assert_eq!((&answer["dryRun"], &answer["pruned"]), (&json!(true), &expected));
    }
    let answer = json(path, &["prune", "double/it", "--keep", "1"], 0);
    assert_eq!((&answer["dryRun"], &answer["pruned"]), (&json!(false), &expected));
    assert_eq!(json(path, &["prune", "--all", "--keep", "1"], 0)["pruned"], json!([]));
    assert_eq!(json(path, &["versions", "double/it"], 0)["versions"].as_array().unwrap().len(), 1);

    // It is younger than seven days.
    assert_eq!(json(path, &["gc"], 0)["removed"], json!([]));
    for _ in 0..2 {
        let answer = json(path, &["gc", "--dry-run", "--older-than", "0s"], 0);
        assert_eq!((&answer["dryRun"], &answer["removed"]), (&json!(true), &json!([first])));
    }
    let answer = json(path, &["gc", "--older-than", "0s"], 0);
    assert_eq!((&answer["removed"], &answer["kept"]), (&json!([first]), &json!(2)));
    assert!(text(path, &["gc", "--older-than", "0s"], 0).contains("0 images removed, 2 kept"));
    assert_eq!(json(path, &["show", &first], 1)["error"]["kind"], "not found");
    assert_eq!(json(path, &["verify"], 0)["sound"], true);

    let server = serve(path);
    assert_eq!(server.hash_of("double%2Fit"), second);
    assert_eq!(server.hash_of("other"), other);
    assert_eq!(server.compile("double/it", &source(9)).len(), 64);
    assert!(server.signal("TERM").status.success());
    let versions = json(path, &["versions", "double/it"], 0)["versions"].clone();
    assert_eq!(versions[1]["version"], 3, "no number is used twice");
}

#[test]
fn the_active_version_is_kept_however_old_it_is() {
    let directory = TempDir::new().unwrap();
    let [first, ..] = small_store(directory.path());
    let server = serve(directory.path());
    let answer = server.put("/pipelines/double%2Fit/alias", &json!({ "structuralHash": first }));
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(server.signal("TERM").status.success());
    json(directory.path(), &["prune", "double/it", "--keep", "0"], 0);
    let history = json(directory.path(), &["versions", "double/it"], 0);
    assert_eq!(history["activeVersion"], history["versions"][0]["version"]);
    assert_eq!(history["versions"][0]["structuralHash"], first.as_str());
}

#[test]
fn what_only_a_run_made_is_collected_with_a_word_to_those_who_hold_its_hash() {
    let directory = TempDir::new().unwrap();
    let server = serve(directory.path());
    let run = json!({ "source": source(7), "inputs": { "a": 1 } });
    let answer = server.post("/run", &run).json();
    let hash = answer["structuralHash"].as_str().unwrap().to_owned();
    assert!(server.signal("TERM").status.success());
    for arguments in [&["gc", "--older-than", "0s", "--dry-run"][..], &["gc", "--older-than", "0s"]] {
        let told = text(directory.path(), arguments, 0);
        assert!(told.contains(&hash) && told.contains("clients may still hold their hashes"), "{told}");
        if arguments.contains(&"--dry-run") {
            let answer = json(directory.path(), arguments, 0);
            assert!(answer["note"].as_str().unwrap().contains("hashes"), "{answer}");
        }
    }
    let nothing = json(directory.path(), &["gc", "--older-than", "0s"], 0);
    assert_eq!(nothing["note"], json!(null), "there is nobody to warn");
}

#[test]
fn what_a_message_advises_beside_a_server_works_there() {
    let directory = TempDir::new().unwrap();
    small_store(directory.path());
    let _server = serve(directory.path());
    for (writes, reads, option) in [
        (&["gc"][..], &["gc", "--dry-run"][..], "--dry-run"),
        (&["prune", "--all"], &["prune", "--all", "--dry-run"], "--dry-run"),
        (&["verify", "--repair"], &["verify"], "--repair"),
    ] {
        let refused = json(directory.path(), writes, 2);
        let message = refused["error"]["message"].as_str().unwrap();
        assert_eq!(refused["error"]["kind"], "locked", "{refused}");
        assert!(message.contains(option), "{message}");
        json(directory.path(), reads, 0);
    }
}

#[test]
fn wrong_arguments_are_answered_in_json_when_that_is_asked_for() {
    let directory = TempDir::new().unwrap();
    for arguments in
        [&["prune"][..], &["no-such-command"], &["gc", "--older-than"], &["prune", "--keep", "x"]]
    {
        let answer = json(directory.path(), arguments, 2);
        assert_eq!(answer["error"]["kind"], "bad arguments", "{answer}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
        assert_eq!(text(directory.path(), arguments, 2), "", "without --json nothing is on standard output");
    }
}

#[test]
fn a_pruning_that_names_nothing_is_told_how_to_name_everything() {
    let directory = TempDir::new().unwrap();
    small_store(directory.path());
    let exited = store(directory.path(), &["prune"]);
    assert_eq!(exited.status.code(), Some(2), "{exited:?}");
    assert!(exited.stderr.contains("--all"), "{}", exited.stderr);
    let both = store(directory.path(), &["prune", "other", "--all"]);
    assert_eq!(both.status.code(), Some(2), "{both:?}");
}

/// The users to whom the files of a directory belong, and itself.
fn owners(directory: &Path, found: &mut Vec<u32>) {
    found.push(fs::metadata(directory).expect("it is there").uid());
    for entry in fs::read_dir(directory).expect("root may list it") {
        let path = entry.expect("root may list it").path();
        if path.is_dir() {
            owners(&path, found);
        } else {
            found.push(fs::metadata(&path).expect("it is there").uid());
        }
    }
}

#[test]
fn what_root_does_to_a_store_leaves_it_to_its_owner() {
    const SOMEBODY: u32 = 65534;
    let directory = TempDir::new().unwrap();
    small_store(directory.path());
    let path = directory.path();
    text(path, &["export", "backup.tar"], 0);
    if !can_run(&["chown", "-R", &format!("{SOMEBODY}:{SOMEBODY}"), path.to_str().unwrap()]) {
        return;
    }
    json(path, &["import", "backup.tar"], 0);
    json(path, &["prune", "--all", "--keep", "1"], 0);
    json(path, &["gc", "--older-than", "0s"], 0);
    json(path, &["verify", "--repair"], 0);
    // A server that somebody started by mistake, and one that is killed before it writes its files.
    serve(path).compile("more", &source(8));
    assert_eq!(serve(path).signal("TERM").status.code(), Some(0));
    let import = ["--store", "restored", "import", "backup.tar"];
    let imported = Launch::command(path, "store").args(import).run();
    assert_eq!(imported.status.code(), Some(0), "{}", imported.stderr);
    let mut found = Vec::new();
    owners(path, &mut found);
    assert!(found.len() > 20, "{}", found.len());
    assert!(found.iter().all(|owner| *owner == SOMEBODY), "{found:?}");
}
