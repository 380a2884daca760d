//! `constellation store ls`, `show` and `versions`, and what all commands on a store have in common.

use std::fs;
use std::path::Path;

use constellation_tests::{Exited, Launch, Server};
use serde_json::Value;
use tempfile::TempDir;

/// Runs a command on the store `store` of a directory.
pub(crate) fn store(directory: &Path, arguments: &[&str]) -> Exited {
    Launch::command(directory, "store").args(["--store", "store"]).args(arguments).run()
}

/// The answer of a command that ends with this code.
#[track_caller]
pub(crate) fn json(directory: &Path, arguments: &[&str], code: i32) -> Value {
    let exited = store(directory, &[arguments, &["--json"]].concat());
    assert_eq!(exited.status.code(), Some(code), "{arguments:?}: {exited:?}");
    serde_json::from_str(&exited.stdout).unwrap_or_else(|error| panic!("{error}: {exited:?}"))
}

/// The output of a command that ends with this code.
#[track_caller]
pub(crate) fn text(directory: &Path, arguments: &[&str], code: i32) -> String {
    let exited = store(directory, arguments);
    assert_eq!(exited.status.code(), Some(code), "{arguments:?}: {exited:?}");
    exited.stdout
}

pub(crate) fn serve(directory: &Path) -> Server {
    Launch::new(directory).args(["--store", "store"]).start()
}

/// A source whose image depends on the number.
pub(crate) fn source(number: usize) -> String {
    format!("in a: Int\nb = a + {number}\nout b")
}

/// A store that was closed: `double/it` with two versions, of which the second is active, and `other`. Returns the
/// hashes of the three images.
pub(crate) fn small_store(directory: &Path) -> [String; 3] {
    let server = serve(directory);
    let hashes = [("double/it", 1), ("double/it", 2), ("other", 3)]
        .map(|(name, number)| server.compile(name, &source(number)));
    assert!(server.signal("TERM").status.success());
    hashes
}

#[test]
fn names_are_listed_with_what_they_point_to() {
    let directory = TempDir::new().unwrap();
    let [_, second, other] = small_store(directory.path());
    let lines = text(directory.path(), &["ls"], 0);
    let lines: Vec<Vec<&str>> = lines.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1][..3], ["double/it", "2", &second]);
    assert_eq!(lines[2][..3], ["other", "1", &other]);

    let answer = json(directory.path(), &["ls"], 0);
    let names = answer["names"].as_array().unwrap();
    assert_eq!(names.len(), 2);
    assert_eq!(names[0]["name"], "double/it");
    assert_eq!(names[0]["activeVersion"], 2);
    assert_eq!(names[0]["structuralHash"], second.as_str());
    assert!(names[0]["createdAt"].is_string());
}

#[test]
fn an_image_is_shown_by_the_beginning_of_its_hash_if_no_other_one_has_it() {
    let directory = TempDir::new().unwrap();
    let hashes = small_store(directory.path());
    for hash in &hashes {
        for shortened in
            [&hash[..4], &hash[..20], &format!("{}...", &hash[..8]), &format!("blake3:{}", &hash[..5])]
        {
            let answer = json(directory.path(), &["show", shortened], 0);
            assert_eq!(answer["image"]["structuralHash"], hash.as_str(), "{shortened}");
        }
        assert_eq!(json(directory.path(), &["show", &hash[..3]], 1)["error"]["kind"], "not found");
    }
}

#[test]
fn an_image_is_shown_by_name_and_by_hash() {
    let directory = TempDir::new().unwrap();
    let [first, second, _] = small_store(directory.path());
    let shown = text(directory.path(), &["show", "double/it"], 0);
    assert!(shown.contains(&second) && shown.contains("inputs") && shown.contains("outputs"), "{shown}");
    let answer = json(directory.path(), &["show", "double/it"], 0);
    assert_eq!(answer["image"]["structuralHash"], second.as_str());
    assert_eq!(answer["version"], 2);
    assert_eq!(answer["source"], source(2));
    assert!(answer["image"]["dagSpec"]["nodes"].is_array());
    let answer = json(directory.path(), &["show", &format!("blake3:{first}")], 0);
    assert_eq!(answer["image"]["structuralHash"], first.as_str());
    assert_eq!(answer["version"], Value::Null);
}

#[test]
fn the_history_of_a_name_is_shown() {
    let directory = TempDir::new().unwrap();
    let [first, second, _] = small_store(directory.path());
    let lines = text(directory.path(), &["versions", "double/it"], 0);
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[1].starts_with("1 ") && lines[1].contains(&first) && !lines[1].contains('*'), "{lines:?}");
    assert!(lines[2].starts_with("2 ") && lines[2].contains(&second) && lines[2].contains('*'), "{lines:?}");
    let answer = json(directory.path(), &["versions", "double/it"], 0);
    assert_eq!(answer["pipelineName"], "double/it");
    assert_eq!(answer["activeVersion"], 2);
    assert_eq!(answer["versions"][0]["structuralHash"], first.as_str());
    assert_eq!(answer["versions"][0]["origin"], "compile");
}

#[test]
fn what_is_not_there_ends_with_1() {
    let directory = TempDir::new().unwrap();
    small_store(directory.path());
    let hash = "0".repeat(64);
    for arguments in [["show", "nothing"], ["show", &hash], ["versions", "nothing"], ["prune", "nothing"]] {
        let answer = json(directory.path(), &arguments, 1);
        assert_eq!(answer["error"]["kind"], "not found", "{arguments:?}");
        assert!(text(directory.path(), &arguments, 1).contains("there is no"), "{arguments:?}");
    }
}

#[test]
fn a_name_that_was_deleted_is_told_from_one_that_never_was() {
    let directory = TempDir::new().unwrap();
    let [first, ..] = small_store(directory.path());
    let server = serve(directory.path());
    assert_eq!(server.delete("/pipelines/double%2Fit").status, 200);
    assert!(server.signal("TERM").status.success());
    let told = text(directory.path(), &["show", "double/it"], 1);
    assert!(told.contains("'double/it' is deleted") && told.contains("'versions'"), "{told}");
    let answer = json(directory.path(), &["show", "double/it"], 1);
    assert_eq!(answer["error"], serde_json::json!({ "kind": "not found", "deleted": true }));
    text(directory.path(), &["versions", "double/it"], 0);

    // Its versions hold their images until all of them are forgotten, also the newest.
    json(directory.path(), &["prune", "--all", "--keep", "1"], 0);
    assert_eq!(json(directory.path(), &["gc", "--older-than", "0s"], 0)["kept"], 2);
    json(directory.path(), &["prune", "double/it", "--keep", "0"], 0);
    assert_eq!(json(directory.path(), &["gc", "--older-than", "0s"], 0)["kept"], 1);
    text(directory.path(), &["show", &first], 1);
}

#[test]
fn what_cannot_be_done_ends_with_2_and_touches_nothing() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("documents")).unwrap();
    fs::write(directory.path().join("documents/letter.txt"), "dear").unwrap();
    for arguments in [
        &["ls", "--store", "gone"][..],
        &["verify", "--store", "gone"],
        &["verify", "--repair", "--store", "documents"],
        &["gc", "--store", "documents"],
        &["export", "x.tar", "--store", "gone"],
        &["import", "gone.tar", "--store", "gone"],
    ] {
        let launch = || Launch::command(directory.path(), "store").args(arguments);
        let exited = launch().run();
        assert_eq!(exited.status.code(), Some(2), "{arguments:?}: {exited:?}");
        assert!(exited.stderr.starts_with("error: ") && exited.stdout.is_empty(), "{exited:?}");
        let exited = launch().args(["--json"]).run();
        assert_eq!(exited.status.code(), Some(2), "{arguments:?}: {exited:?}");
        let answer: Value = serde_json::from_str(&exited.stdout).unwrap();
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(directory.path().join("documents")).unwrap().count(), 1);

    small_store(directory.path());
    for arguments in [
        &["show"][..],
        &["nonsense"],
        &["prune"],
        &["prune", "other", "--all"],
        &["gc", "--older-than", "soon"],
        &["show", "a//b"],
        &["export", "-", "--json"],
    ] {
        assert_eq!(store(directory.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
    // What to write is told in words of this program.
    for (arguments, message) in [
        (["gc", "--older-than", "7"], "such as 12h or 30d\n"),
        (["prune", "--all", "--keep=x"], "it is no whole number of at least 0\n"),
    ] {
        let exited = store(directory.path(), &arguments);
        assert!(exited.status.code() == Some(2) && exited.stderr.contains(message), "{exited:?}");
    }
}

#[test]
fn only_reading_works_beside_a_running_server() {
    let directory = TempDir::new().unwrap();
    let server = serve(directory.path());
    server.compile("journaled", &source(1));
    assert!(text(directory.path(), &["ls"], 0).contains("journaled"));
    assert_eq!(json(directory.path(), &["show", "journaled"], 0)["version"], 1);
    assert_eq!(json(directory.path(), &["gc", "--dry-run"], 0)["kept"], 1);
    for arguments in [&["gc"][..], &["prune", "--all"], &["verify", "--repair"]] {
        let answer = json(directory.path(), arguments, 2);
        assert_eq!(answer["error"]["kind"], "locked", "{arguments:?}: {answer}");
    }
    assert_eq!(server.execute("journaled", &serde_json::json!({ "a": 1 }))["b"], 2);
}
