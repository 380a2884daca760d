//! Configurations that make no sense end with 64, before anything is touched.

use std::fs;

use constellation_tests::Launch;
use serde_json::{Value, json};
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
        ("CONSTELLATION_CONFIG", "gone.toml"),
        ("CONSTELLATION_API_KEYS", "short:Admin"),
        ("CONSTELLATION_API_KEYS", "0123456789abcdef01234567:Owner"),
        ("CONSTELLATION_ALLOWED_HOSTS", "http://a"),
        ("CONSTELLATION_ALLOWED_ORIGINS", "*"),
        ("CONSTELLATION_MAX_CONNECTIONS", "0"),
        ("CONSTELLATION_DRAIN_DEADLINE", "-1s"),
        ("RUST_LOG", "a=b=c"),
    ] {
        let exited = Launch::new(directory.path()).env(name, value).run();
        assert_eq!(exited.status.code(), Some(64), "{name}: {}", exited.stderr);
        assert!(exited.stderr.contains(name) || exited.stderr.contains(value), "{name}: {}", exited.stderr);
        let checked = Launch::command(directory.path(), "config").args(["check"]).env(name, value).run();
        assert_eq!((checked.status.code(), checked.stdout.as_str()), (Some(1), ""), "{name}");
        assert_eq!(checked.stderr, exited.stderr, "the check says what the server says");
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

#[test]
fn each_value_is_shown_with_where_it_is_from_and_keys_are_not() {
    let directory = TempDir::new().unwrap();
    let key = "0123456789abcdef01234567";
    fs::write(directory.path().join("c.toml"), "\nmax_executions = 9\nlog_format = 'json'\n").unwrap();
    let show = |json: &[&str]| {
        let launch = Launch::command(directory.path(), "config").args(["show", "--config", "c.toml"]);
        let launch = launch.args(["--max-body-bytes", "8"]).args(json);
        let launch = launch.env("CONSTELLATION_API_KEYS", format!("{key}:Execute"));
        let exited = launch.env("CONSTELLATION_LOG_FORMAT", "text").run();
        assert_eq!(exited.status.code(), Some(0), "{}", exited.stderr);
        assert!(!exited.stdout.contains(key), "{}", exited.stdout);
        exited.stdout
    };
    let document: Value = serde_json::from_str(&show(&["--json"])).unwrap();
    let text = show(&[]);
    for (key, value, origin, from) in [
        ("max_executions", "9", "file", "c.toml:2"),
        ("log_format", "text", "environment", "CONSTELLATION_LOG_FORMAT"),
        ("max_body_bytes", "8", "option", "--max-body-bytes"),
        ("max_connections", "8192", "default", "default"),
        ("api_keys", "(hidden):Execute", "environment", "CONSTELLATION_API_KEYS"),
        ("pipeline_dir", "", "default", "default"),
    ] {
        let expected = json!({ "key": key, "value": value, "origin": origin, "from": from });
        assert!(document["settings"].as_array().unwrap().contains(&expected), "{key}: {document:#}");
        let row = text.lines().find(|line| line.split_whitespace().next() == Some(key)).expect(key);
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[1..], [if value.is_empty() { "-" } else { value }, from], "{row}");
    }
}

#[test]
fn a_check_starts_nothing_and_tells_by_its_code() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("other")).unwrap();
    fs::write(directory.path().join("other/file"), "").unwrap();
    fs::write(directory.path().join("c.toml"), "max_conections = 9\n").unwrap();
    let check = |arguments: &[&str]| {
        let exited = Launch::command(directory.path(), "config").args(["check"]).args(arguments).run();
        (exited.status.code(), exited.stdout, exited.stderr)
    };
    let (code, stdout, _) = check(&["--listen", "127.0.0.1:7"]);
    let starts = "the server would start, and listen on 127.0.0.1:7\n";
    let expected = format!("{starts}it would make a new store: there is none in '.constellation-store'\n");
    assert_eq!((code, stdout), (Some(0), expected));
    let (code, stdout, _) = check(&["--listen", "127.0.0.1:7", "--memory"]);
    assert_eq!((code, stdout.as_str()), (Some(0), starts));
    for (arguments, code, message) in [
        (
            &["--config", "c.toml"][..],
            1,
            "c.toml:1: there is no setting 'max_conections'; did you mean 'max_connections'?",
        ),
        (&["--listen", "0.0.0.0:7"], 1, "CONSTELLATION_API_KEYS"),
        (&["--store", "other"], 1, "'other' has files and is no store"),
        (&["--store", "other/file"], 1, "store"),
        (&["--pipelines", "gone"], 1, "gone"),
        (&["--unknown"], 2, "--unknown"),
    ] {
        let (exited, stdout, stderr) = check(arguments);
        assert_eq!((exited, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
    assert!(!directory.path().join(".constellation-store").exists(), "nothing was touched");
}

#[test]
fn a_check_finds_what_keeps_a_store_from_being_used_and_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let store = directory.path().join("store");
    let server = Launch::new(directory.path()).args(["--store", "store"]).start();
    server.compile("p", "in a: Int\nout a");
    let check = || {
        let exited = Launch::command(directory.path(), "config").args(["check", "--store", "store"]).run();
        (exited.status.code(), exited.stderr)
    };
    assert_eq!(check(), (Some(0), String::new()), "beside a running server");
    assert_eq!(server.signal("TERM").status.code(), Some(0));
    assert_eq!(check(), (Some(0), String::new()));

    // An older version is to be put back.
    let manifest = store.join("store.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let later = text.replace("\"formatVersion\": 1", "\"formatVersion\": 2");
    assert_ne!(text, later);
    fs::write(&manifest, &later).unwrap();
    let (code, stderr) = check();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("format version 2") && stderr.contains("store: store"), "{stderr}");
    let exited = Launch::new(directory.path()).args(["--store", "store"]).run();
    assert_eq!(exited.status.code(), Some(1), "{}", exited.stderr);
    assert!(exited.stderr.contains("format version 2"), "{}", exited.stderr);
    assert_eq!(fs::read_to_string(&manifest).unwrap(), later, "it is left as it is");
    assert!(!store.join("quarantine").exists());
}

#[test]
fn a_variable_that_is_no_setting_is_told_and_keeps_nothing_from_starting() {
    let directory = TempDir::new().unwrap();
    let key = "0123456789abcdef01234567";
    let set = |launch: Launch| launch.env("CONSTELLATION_API_KEY", format!("{key}:Admin"));
    let expected = "the variable CONSTELLATION_API_KEY is no setting, and has no effect; did you mean \
                    CONSTELLATION_API_KEYS?";
    for command in ["check", "show"] {
        let exited = set(Launch::command(directory.path(), "config")).args([command]).run();
        assert_eq!(exited.status.code(), Some(0), "{}", exited.stderr);
        assert_eq!(exited.stderr, format!("warning: {expected}\n"), "{command}");
    }
    let server = set(Launch::new(directory.path())).args(["--memory"]).start();
    let exited = server.signal("TERM");
    assert!(exited.stderr.contains(expected) && exited.stderr.contains("WARN"), "{}", exited.stderr);
    assert!(!exited.stderr.contains(key), "{}", exited.stderr);
}

#[test]
fn a_directory_of_something_else_is_no_store_and_stays_as_it_is() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("other")).unwrap();
    fs::write(directory.path().join("other/file"), "").unwrap();
    let exited = Launch::new(directory.path()).args(["--store", "other"]).start_or_end().unwrap_err();
    assert_eq!(exited.status.code(), Some(1), "{}", exited.stderr);
    assert!(exited.stderr.contains("'other' has files and is no store"), "{}", exited.stderr);
    assert_eq!(fs::read_dir(directory.path().join("other")).unwrap().count(), 1);
    // A process that was killed early leaves a lock, and a file system a directory of its own.
    fs::create_dir_all(directory.path().join("young/lost+found")).unwrap();
    fs::write(directory.path().join("young/LOCK"), "").unwrap();
    Launch::new(directory.path()).args(["--store", "young"]).start();
}
