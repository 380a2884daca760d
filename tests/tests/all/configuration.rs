//! Configurations that make no sense end with 64, before anything is touched.

use std::fs;

use constellation_tests::Launch;
use serde_json::json;
use tempfile::TempDir;

#[test]
fn a_bad_configuration_ends_with_64() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    for (arguments, message) in [
        (&["--listen", "nonsense"][..], "nonsense"),
        (&["--listen", "0.0.0.0:0"], "--insecure"),
        (&["--listen", "[::]:0"], "--insecure"),
        (&["--pipelines", "gone"], "gone"),
        (&["--pipelines", "file"], "file"),
        (&["--store", "a", "--memory"], "--memory"),
        (&["--alias-strategy", "stem"], "hash-only"),
        (&["--log-format", "xml"], "json"),
        (&["--unknown"], "--unknown"),
    ] {
        let exited = Launch::new(directory.path()).args(arguments).run();
        assert_eq!(exited.status.code(), Some(64), "{arguments:?}: {}", exited.stderr);
        assert_eq!(exited.stdout, "", "{arguments:?}");
        assert!(exited.stderr.contains(message), "{arguments:?}: {}", exited.stderr);
    }
    for (name, value) in [
        ("CONSTELLATION_LISTEN", "10.0.0.1:80"),
        ("CONSTELLATION_PORT", "eighty"),
        ("CONSTELLATION_PIPELINE_DIR", "gone"),
        ("CONSTELLATION_PIPELINE_RECURSIVE", "maybe"),
        ("CONSTELLATION_PIPELINE_FAIL_ON_ERROR", "maybe"),
        ("CONSTELLATION_PIPELINE_ALIAS_STRATEGY", "stem"),
        ("RUST_LOG", "a=b=c"),
    ] {
        let exited = Launch::new(directory.path()).env(name, value).run();
        assert_eq!(exited.status.code(), Some(64), "{name}: {}", exited.stderr);
        assert!(exited.stderr.contains(name) || exited.stderr.contains(value), "{name}: {}", exited.stderr);
    }
    assert!(!directory.path().join(".constellation-store").exists(), "nothing was touched");
}

#[test]
fn a_cause_is_told_once() {
    let directory = TempDir::new().unwrap();
    let exited = Launch::new(directory.path()).args(["--pipelines", "gone"]).run();
    assert_eq!(exited.stderr.matches("os error").count(), 1, "{}", exited.stderr);
}

#[test]
fn an_open_address_can_be_allowed() {
    let directory = TempDir::new().unwrap();
    let launch = Launch::new(directory.path()).args(["--memory", "--insecure", "--listen", "0.0.0.0:0"]);
    let server = launch.try_start().unwrap();
    assert!(server.address().starts_with("0.0.0.0:"), "{}", server.address());
}

#[test]
fn a_store_in_memory_leaves_nothing_behind() {
    let directory = TempDir::new().unwrap();
    // The option wins over the variable.
    let launch = || Launch::new(directory.path()).env("CONSTELLATION_STORE", "store").args(["--memory"]);
    let server = launch().start();
    server.compile("p", "in a: Int\nout a");
    assert_eq!(server.execute("p", &json!({ "a": 1 })), json!({ "a": 1 }));
    server.kill();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(launch().start().get("/pipelines/p").status, 404);
}
