//! `constellation store gc` and `prune`.

use serde_json::json;
use tempfile::TempDir;

use crate::store_look::{json, serve, small_store, source, text};

#[test]
fn versions_are_forgotten_and_then_their_images_are_collected() {
    let directory = TempDir::new().unwrap();
    let [first, second, other] = small_store(directory.path());
    let path = directory.path();
    assert_eq!(json(path, &["gc", "--older-than", "0s"], 0)["removed"], json!([]));

    let answer = json(path, &["prune", "double/it", "--keep", "1"], 0);
    assert_eq!(answer["pruned"], json!([{ "name": "double/it", "versions": [1] }]));
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
