//! The startup loader, through the binary.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use constellation_tests::{Launch, Server};
use serde_json::json;
use tempfile::TempDir;

const A: &str = "in n: Int\nm = n + 1\nout m\n";
const B: &str = "in n: Int\nm = n + 2\nout m\n";

fn start(directory: &Path) -> Server {
    Launch::new(directory).args(["--pipelines", "sources"]).start()
}

#[test]
fn an_edited_file_and_a_reverted_file_become_active() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("sources/p.cst");
    fs::create_dir(directory.path().join("sources")).unwrap();
    for (text, answer, compilations) in [(A, 2, 1), (B, 3, 1), (A, 2, 0), (B, 3, 0), (B, 3, 0)] {
        fs::write(&file, text).unwrap();
        let server = start(directory.path());
        assert_eq!(server.execute("p", &json!({ "n": 1 })), json!({ "m": answer }));
        assert_eq!(server.compilations(), compilations);
        server.kill();
    }
}

#[test]
fn names_follow_the_strategy_and_variables_stand_in_for_options() {
    let directory = TempDir::new().unwrap();
    fs::create_dir_all(directory.path().join("sources/team")).unwrap();
    fs::write(directory.path().join("sources/team/p.cst"), A).unwrap();
    let server = Launch::new(directory.path())
        .env("CONSTELLATION_STORE", "elsewhere")
        .env("CONSTELLATION_LISTEN", "127.0.0.1:0")
        .env("CONSTELLATION_PORT", "1")
        .env("CONSTELLATION_PIPELINE_DIR", "sources")
        .env("CONSTELLATION_PIPELINE_RECURSIVE", "true")
        .env("CONSTELLATION_PIPELINE_ALIAS_STRATEGY", "relative-path")
        .try_start()
        .unwrap();
    assert_eq!(server.execute("team/p", &json!({ "n": 1 })), json!({ "m": 2 }));
    assert!(directory.path().join("elsewhere/store.json").exists());
    assert!(!directory.path().join(".constellation-store").exists());
}

#[test]
fn a_pipeline_without_a_name_is_announced_by_its_hash() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("sources")).unwrap();
    fs::write(directory.path().join("sources/p.cst"), A).unwrap();
    for compilations in [1, 0] {
        let server = Launch::new(directory.path())
            .args(["--pipelines", "sources", "--alias-strategy", "hash-only"])
            .start();
        let pipelines = server.get("/pipelines").json()["pipelines"].take();
        assert_eq!(pipelines[0]["aliases"], json!([]));
        let hash = pipelines[0]["structuralHash"].as_str().unwrap();
        server.wait_until("it is announced", |server| {
            server.stderr().contains(&format!(r#"-d '{{"ref":"{hash}","inputs":{{}}}}'"#))
        });
        assert_eq!(server.execute(hash, &json!({ "n": 1 })), json!({ "m": 2 }));
        assert_eq!(server.compilations(), compilations);
    }
}

#[test]
fn a_file_that_fails_is_reported_and_stops_the_server_only_when_it_was_told_so() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("sources")).unwrap();
    fs::write(directory.path().join("sources/good.cst"), A).unwrap();
    fs::write(directory.path().join("sources/bad.cst"), "in n: Int\nm = nope\nout m\n").unwrap();

    let refused = Launch::new(directory.path())
        .args(["--listen", "127.0.0.1:0", "--pipelines", "sources", "--fail-on-error"])
        .run();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("bad.cst:2:5"), "{}", refused.stderr);

    let server = Launch::new(directory.path()).start();
    assert_eq!(server.get("/pipelines").json()["pipelines"], json!([]), "nothing was published");
    server.kill();

    let server = start(directory.path());
    assert_eq!(server.execute("good", &json!({ "n": 1 })), json!({ "m": 2 }));
    assert!(server.stderr().contains("bad.cst"), "{}", server.stderr());
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_loaded() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("sources")).unwrap();
    fs::write(directory.path().join("sources/p.cst"), A).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let launch = Launch::new(directory.path()).args(["--pipelines", "sources", "--listen", &address]);
    let exited = launch.run();
    assert_eq!(exited.status.code(), Some(1), "{exited:?}");
    assert!(exited.stderr.contains(&format!("cannot listen on {address}")), "{}", exited.stderr);
    assert!(!exited.stderr.contains("pipelines:"), "{}", exited.stderr);
    assert!(!directory.path().join(".constellation-store").exists(), "the store was not opened");
    drop(taken);
    let launch = Launch::new(directory.path()).args(["--pipelines", "sources", "--listen", &address]);
    let server = launch.try_start().unwrap();
    assert_eq!(server.execute("p", &json!({ "n": 1 })), json!({ "m": 2 }));
}

#[test]
fn a_name_that_was_deleted_stays_so_and_is_told() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("sources")).unwrap();
    fs::write(directory.path().join("sources/p.cst"), A).unwrap();
    fs::write(directory.path().join("sources/q.cst"), B).unwrap();
    let server = start(directory.path());
    assert_eq!(server.delete("/pipelines/p").status, 200);
    server.kill();
    for format in ["text", "json"] {
        let server =
            Launch::new(directory.path()).args(["--pipelines", "sources", "--log-format", format]).start();
        assert_eq!(server.get("/pipelines/p").status, 404);
        let stderr = server.stderr();
        let told: Vec<&str> = stderr.lines().filter(|line| line.contains("its name was deleted")).collect();
        assert!(told.len() == 1 && told[0].contains("p.cst"), "{stderr}");
        server.kill();
    }
    let server = start(directory.path());
    assert_eq!(server.post("/pipelines/p/reload", &json!({})).status, 200);
    assert_eq!(server.execute("p", &json!({ "n": 1 })), json!({ "m": 2 }));
}
