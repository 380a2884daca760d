//! System calls fail under a running server: it says so, and what it acknowledged is there afterwards.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and tells how far it came"
)]

use constellation_tests::{History, Injection, Launch, Server, Told, can_trace, is_nightly};
use serde_json::Value;
use tempfile::TempDir;

/// What became of the requests of a run whose calls fail.
#[derive(Debug, Default)]
struct Outcomes {
    n_strikes: usize,
    codes: Vec<String>,
}

impl Outcomes {
    fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|told| told == code)
    }
}

fn launch(directory: &TempDir) -> Launch {
    Launch::new(directory.path()).args(["--store", "store"])
}

/// Why the store only reads, if so.
fn read_only(server: &Server) -> Option<String> {
    let ready = server.get("/ready?verbose");
    let reason = ready.json()["store"]["readOnly"].as_str().map(str::to_owned);
    assert_eq!(ready.status, if reason.is_some() { 503 } else { 200 }, "{}", ready.text);
    reason
}

/// Publishes to a server, and checks after each answer that the server is as the answer says.
fn publish_all(history: &History, server: &Server, outcomes: &mut Outcomes) {
    for name in ["one", "two", "three", "one", "four"] {
        let told = history.publish(server, name);
        assert_ne!(told, Told::Nothing, "it goes on: {}", server.stderr());
        outcomes.codes.push(told.code().to_owned());
        let is_in_doubt = outcomes.has("OutcomeUnknown");
        // Memory has what was acknowledged, and nothing else.
        history.check_server(server);
        match (told.code(), read_only(server)) {
            ("OutcomeUnknown" | "ReadOnly", Some(reason)) if is_in_doubt => {
                assert!(reason.contains("journal") && reason.contains("open"), "{reason}");
            }
            ("acknowledged" | "Unavailable" | "StorageFull", None) if !is_in_doubt => {}
            (code, reason) => panic!("{code}, but read-only is {reason:?}"),
        }
    }
}

/// Since when calls are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Since {
    /// Before the store is opened.
    Start,
    /// When the server serves.
    Serving,
}

/// Serves a store while calls fail, then without that.
fn serve_with(since: Since, calls: &str, fault: &str) -> Outcomes {
    println!("{since:?}: {calls}:{fault}");
    let directory = TempDir::new().unwrap();
    let history = History::new();
    let server = launch(&directory).start();
    assert_eq!(history.publish(&server, "one"), Told::Acknowledged);
    assert_eq!(history.publish(&server, "two"), Told::Acknowledged);
    assert_eq!(server.signal("TERM").status.code(), Some(0));

    let injection = Injection::new(calls, fault).unwrap();
    let wrapper = if since == Since::Start { injection.wrapper() } else { Vec::new() };
    let launched = Launch::under(&wrapper, directory.path()).args(["--store", "store"]);
    let mut outcomes = Outcomes::default();
    match launched.start_or_end() {
        Ok(server) => {
            let attached = (since == Since::Serving).then(|| injection.attach(&server).unwrap());
            publish_all(&history, &server, &mut outcomes);
            let exited = server.signal("TERM");
            drop(attached);
            outcomes.n_strikes = injection.n_strikes().unwrap();
            let is_told = exited.stderr.contains("ERROR") || exited.stderr.contains("WARN");
            // What only saves room may fail without a word.
            let is_complete = exited.stderr.contains("the store is closed");
            assert!(outcomes.n_strikes == 0 || is_told || is_complete, "not a word: {}", exited.stderr);
        }
        Err(exited) => {
            outcomes.n_strikes = injection.n_strikes().unwrap();
            assert_eq!(exited.status.code(), Some(1), "{exited:?}");
            assert!(exited.stderr.contains("os error"), "the cause is told: {}", exited.stderr);
            outcomes.codes.push("did not start".to_owned());
        }
    }

    let server = launch(&directory).start();
    history.check_server(&server);
    assert_eq!(server.compilations(), 0, "nothing is compiled again");
    assert_eq!(read_only(&server), None);
    for name in ["one", "five"] {
        assert_eq!(history.publish(&server, name), Told::Acknowledged);
    }
    assert_eq!(server.signal("TERM").status.code(), Some(0));
    history.check_files(&directory.path().join("store"));
    outcomes
}

/// Lets each call of a kind fail once, and returns the outcomes by the number of the call.
fn fail_each(calls: &str, error: &str) -> Vec<Outcomes> {
    let mut all = Vec::new();
    for k in 1..1000 {
        let outcomes = serve_with(Since::Start, calls, &format!("error={error}:when={k}"));
        if outcomes.n_strikes == 0 {
            assert!(k > 4, "{calls} fails {k} times only");
            assert!(!outcomes.codes.iter().any(|code| code != "acknowledged"), "{outcomes:?}");
            return all;
        }
        all.push(outcomes);
    }
    panic!("{calls} goes on for ever");
}

/// Lets all calls of a kind fail from some on.
fn fail_from(calls: &str, error: &str, first: usize) -> Outcomes {
    let outcomes = serve_with(Since::Start, calls, &format!("error={error}:when={first}+"));
    assert!(outcomes.n_strikes > 0, "no {calls} failed");
    outcomes
}

fn n_with(all: &[Outcomes], code: &str) -> usize {
    all.iter().filter(|outcomes| outcomes.has(code)).count()
}

#[test]
fn a_sync_that_fails_is_never_answered_with_success() {
    if !can_trace() {
        return;
    }
    let all = fail_each("fdatasync", "EIO");
    // Of the zeros of a segment, and of the frames.
    assert!(n_with(&all, "Unavailable") >= 1, "{all:#?}");
    assert!(n_with(&all, "OutcomeUnknown") >= 5, "{all:#?}");
    let sticky = fail_from("fdatasync", "EIO", 3);
    assert_eq!(sticky.codes[..3], ["acknowledged", "OutcomeUnknown", "ReadOnly"], "{sticky:?}");
    let sticky = fail_from("fdatasync", "EIO", 1);
    assert!(sticky.codes.iter().all(|code| code == "Unavailable"), "{sticky:?}");

    let all = fail_each("fsync", "EIO");
    assert!(n_with(&all, "did not start") >= 1, "{all:#?}");
    // Of the directory of the journal, when a segment got its name.
    let outcomes = serve_with(Since::Serving, "fsync", "error=EIO:when=1");
    assert_eq!(outcomes.codes[..2], ["OutcomeUnknown", "ReadOnly"], "{outcomes:?}");
}

#[test]
fn the_entry_of_a_directory_that_is_there_is_made_durable_before_a_store_is_opened_in_it() {
    if !can_trace() {
        return;
    }
    let directory = TempDir::new().unwrap();
    std::fs::create_dir(directory.path().join("store")).unwrap();
    let injection = Injection::new("fsync", "error=EIO").unwrap().at(directory.path());
    let launched = Launch::under(&injection.wrapper(), directory.path()).args(["--store", "store"]);
    let exited = launched.start_or_end().unwrap_err();
    assert_eq!(injection.n_strikes().unwrap(), 1);
    assert!(exited.stderr.contains("os error"), "{}", exited.stderr);
    launch(&directory).start();
}

#[test]
fn a_write_that_fails_is_never_answered_with_success() {
    if !can_trace() {
        return;
    }
    for error in ["ENOSPC", "EDQUOT"] {
        let all = fail_each("pwrite64", error);
        assert!(n_with(&all, "StorageFull") >= 6, "{all:#?}");
        assert_eq!(n_with(&all, "OutcomeUnknown"), 0, "{all:#?}");
        let sticky = fail_from("pwrite64", error, 3);
        assert_eq!(sticky.codes[..3], ["acknowledged", "StorageFull", "StorageFull"], "{sticky:?}");
        if !is_nightly() {
            break;
        }
    }
    let all = fail_each("pwrite64", "EIO");
    assert!(n_with(&all, "OutcomeUnknown") >= 5, "{all:#?}");
    assert!(n_with(&all, "Unavailable") >= 1, "{all:#?}");
}

#[test]
fn a_directory_that_cannot_be_changed_loses_nothing() {
    if !can_trace() {
        return;
    }
    for (calls, error) in [("rename", "EIO"), ("unlink", "EIO"), ("mkdir", "ENOSPC")] {
        let sticky = fail_from(calls, error, 1);
        assert!(!sticky.has("OutcomeUnknown"), "{sticky:?}");
        if is_nightly() {
            for k in 1..20 {
                serve_with(Since::Start, calls, &format!("error={error}:when={k}"));
            }
        }
    }
    let sticky = fail_from("rename", "ENOSPC", 1);
    assert!(sticky.codes.iter().all(|code| code == "StorageFull"), "{sticky:?}");
}

#[test]
fn a_file_system_that_becomes_read_only_under_load_stops_writes_only() {
    if !can_trace() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let history = History::new();
    let server = launch(&directory).start();
    assert_eq!(history.publish(&server, "one"), Told::Acknowledged);
    let injection = Injection::new("pwrite64,rename,mkdir,unlink,ftruncate", "error=EROFS").unwrap();
    let attached = history.under_load(&server, 4, true, || {
        server.wait_until("under load", |_| history.n_acknowledged() > 20);
        let attached = injection.attach(&server).unwrap();
        server.wait_until("read-only", |server| read_only(server).is_some());
        attached
    });
    assert_eq!(history.publish(&server, "one").code(), "ReadOnly");
    history.check_server(&server);
    drop(attached);
    // What is on disk is not known, so that a file system that can be written again changes nothing.
    assert_eq!(history.publish(&server, "one").code(), "ReadOnly");
    history.check_server(&server);
    let exited = server.signal("TERM");
    assert!(injection.n_strikes().unwrap() > 0);
    assert!(exited.stderr.contains("os error 30"), "{}", exited.stderr);

    let server = launch(&directory).start();
    history.check_server(&server);
    assert_eq!(history.publish(&server, "one"), Told::Acknowledged);
    assert_eq!(server.get("/ready?verbose").json()["store"]["readOnly"], Value::Null);
    assert_eq!(server.signal("TERM").status.code(), Some(0));
    history.check_files(&directory.path().join("store"));
}
