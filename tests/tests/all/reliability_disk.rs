//! A disk without room, without inodes, or without permission to write: refusals, and no loss.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use constellation_tests::{History, Launch, Server, SmallDisk, Told, can_run};
use serde_json::json;
use tempfile::TempDir;

/// Makes a few dozen programs fill a small disk.
const SOURCE_BYTES: usize = 10_000;

fn start(disk: &Path) -> Server {
    Launch::new(disk).args(["--store", "store"]).start()
}

fn warnings(server: &Server) -> Vec<String> {
    let ready = server.get("/ready?verbose");
    assert_eq!(ready.status, 200, "{}", ready.text);
    let body = ready.json();
    let warnings = body["store"]["warnings"].as_array().unwrap();
    warnings.iter().map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

fn full() -> Told {
    Told::Refused { status: 507, code: "StorageFull".to_owned() }
}

/// Publishes until there is no room, and some more.
fn fill(history: &History, server: &Server) {
    let mut n_refused = 0;
    for number in 0..2000 {
        match history.publish(server, &format!("name-{}", number % 7)) {
            Told::Acknowledged => {}
            told => {
                assert_eq!(told, full());
                n_refused += 1;
                if n_refused == 5 {
                    return;
                }
            }
        }
    }
    panic!("there is no end of room");
}

/// Closes a store in order, and compares its files.
fn close(history: &History, server: Server, disk: &Path) {
    history.check_server(&server);
    let exited = server.signal("TERM");
    assert_eq!(exited.status.code(), Some(0), "{}", exited.stderr);
    history.check_files(&disk.join("store"));
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let Some(disk) = SmallDisk::new("size=1500k").unwrap() else { return };
    let history = History::with_source_bytes(SOURCE_BYTES);
    let server = start(disk.path());
    fill(&history, &server);
    assert!(history.n_acknowledged() >= 20, "{}", history.n_acknowledged());
    history.check_server(&server);

    disk.remount("size=16m").unwrap();
    assert_eq!(history.publish(&server, "more"), Told::Acknowledged, "without a restart");
    close(&history, server, disk.path());
}

#[test]
fn a_store_on_a_full_disk_opens_and_can_be_read() {
    let Some(disk) = SmallDisk::new("size=1500k").unwrap() else { return };
    let history = History::with_source_bytes(SOURCE_BYTES);
    let server = start(disk.path());
    fill(&history, &server);
    server.kill();
    // Nothing is left, not even for the last page of a file.
    let rest = disk.path().join("rest");
    let _ = fs::write(&rest, vec![0; 2 << 20]);

    for _ in 0..3 {
        let server = start(disk.path());
        history.check_server(&server);
        assert_eq!(server.compilations(), 0, "nothing is compiled again");
        assert_eq!(history.publish(&server, "more"), full());
        assert!(!warnings(&server).is_empty(), "it is told that the disk is full");
        server.kill();
    }

    let server = start(disk.path());
    fs::remove_file(&rest).unwrap();
    disk.remount("size=16m").unwrap();
    assert_eq!(history.publish(&server, "more"), Told::Acknowledged, "without a restart");
    server.wait_until("without warnings", |server| warnings(server).is_empty());
    close(&history, server, disk.path());
}

#[test]
fn a_disk_that_is_full_when_the_files_are_written_loses_nothing() {
    let Some(disk) = SmallDisk::new("size=4m").unwrap() else { return };
    let history = History::with_source_bytes(SOURCE_BYTES);
    let server = start(disk.path());
    assert_eq!(history.publish(&server, "before"), Told::Acknowledged);
    let rest = disk.path().join("rest");
    assert!(fs::write(&rest, vec![0; 4 << 20]).is_err(), "the disk is full");
    // The segment has room, but the JSON files have not.
    for _ in 0..5 {
        assert_eq!(history.publish(&server, "after"), Told::Acknowledged);
    }
    server.wait_until("behind", |server| warnings(server).iter().any(|text| text.contains("JSON files")));
    history.check_server(&server);
    // A checkpoint ends its segment, and there is no room for another one.
    assert_eq!(history.publish(&server, "after"), full());

    // It ends in order, and its files follow at the next start.
    let exited = server.signal("TERM");
    assert_eq!(exited.status.code(), Some(0), "{}", exited.stderr);
    assert!(exited.stderr.contains("not closed in order"), "{}", exited.stderr);
    let server = start(disk.path());
    history.check_server(&server);
    fs::remove_file(&rest).unwrap();
    assert_eq!(history.publish(&server, "after"), Told::Acknowledged);
    close(&history, server, disk.path());
}

#[test]
fn a_disk_without_inodes_refuses_or_falls_behind_and_loses_nothing() {
    // The root, the store, its lock, its directories, and a few files.
    for n_inodes in [4, 5, 6, 7, 8, 10, 14, 18] {
        let Some(disk) = SmallDisk::new(&format!("size=16m,nr_inodes={n_inodes}")).unwrap() else { return };
        let history = History::new();
        let server = start(disk.path());
        for name in ["one", "two", "one", "three"] {
            let told = history.publish(&server, name);
            assert!(told == Told::Acknowledged || told == full(), "{n_inodes}: {told:?}");
        }
        history.check_server(&server);
        // Not all files find a place, whenever they are written.
        let exited = server.signal("TERM");
        assert_eq!(exited.status.code(), Some(0), "{}", exited.stderr);
        assert!(exited.stderr.contains("os error 28"), "{n_inodes}: {}", exited.stderr);
        let server = start(disk.path());
        history.check_server(&server);

        disk.remount("nr_inodes=1000").unwrap();
        assert_eq!(history.publish(&server, "one"), Told::Acknowledged, "{n_inodes}");
        server.wait_until("without warnings", |server| warnings(server).is_empty());
        close(&history, server, disk.path());
    }
}

#[test]
fn a_file_system_that_is_read_only_is_told_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::new("size=16m").unwrap() else { return };
    let history = History::new();
    let server = start(disk.path());
    assert_eq!(history.publish(&server, "one"), Told::Acknowledged);
    // The system itself protects a store that is open for writing.
    let refused = disk.remount("ro").unwrap_err();
    assert!(refused.to_string().contains("busy"), "{refused}");
    assert_eq!(history.publish(&server, "one"), Told::Acknowledged);
    server.kill();
    disk.remount("ro").unwrap();
    let elsewhere = TempDir::new().unwrap();
    let store = disk.path().join("store");
    let launch = || Launch::new(elsewhere.path()).arg_store(&store);
    let checked = Launch::command(elsewhere.path(), "config").args(["check"]).arg_store(&store).run();
    for exited in [launch().start_or_end().unwrap_err(), checked] {
        assert_eq!(exited.status.code(), Some(1), "{}", exited.stderr);
        assert!(exited.stderr.contains("Read-only file system"), "{}", exited.stderr);
        assert!(exited.stderr.contains("make it writable"), "{}", exited.stderr);
    }
    disk.remount("rw").unwrap();
    let server = launch().start();
    history.check_server(&server);
    assert_eq!(history.publish(&server, "one"), Told::Acknowledged);
    close(&history, server, disk.path());
}

trait LaunchExt {
    fn arg_store(self, store: &Path) -> Self;
}

impl LaunchExt for Launch {
    fn arg_store(self, store: &Path) -> Self {
        self.args(["--store".as_ref(), store.as_os_str()])
    }
}

/// A command that permissions apply to: root is above them unless its right to override them is taken away.
fn without_privileges(directory: &Path, name: &str) -> Option<Launch> {
    const WRAPPER: &[&str] = &["setpriv", "--bounding-set", "-dac_override,-dac_read_search"];
    let probe = directory.join("probe");
    fs::create_dir(&probe).unwrap();
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o555)).unwrap();
    let is_above = fs::write(probe.join("file"), "").is_ok();
    fs::remove_dir_all(&probe).unwrap();
    if !is_above {
        return Some(Launch::command(directory, name));
    }
    let command: Vec<&str> = WRAPPER.iter().copied().chain(["true"]).collect();
    can_run(&command).then(|| Launch::command_under(WRAPPER, directory, name))
}

#[test]
fn a_directory_without_permission_is_told_and_nothing_is_lost() {
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let directory = TempDir::new().unwrap();
    let store = directory.path().join("store");
    let history = History::new();
    let server = start(directory.path());
    assert_eq!(history.publish(&server, "one"), Told::Acknowledged);
    close(&history, server, directory.path());

    if without_privileges(directory.path(), "serve").is_none() {
        return;
    }
    let launch = || {
        let launch = without_privileges(directory.path(), "serve");
        launch.expect("it worked before").arg_store(&store)
    };
    let check = || {
        let check = without_privileges(directory.path(), "config");
        check.expect("it worked before").args(["check"]).arg_store(&store).run()
    };
    assert_eq!(check().status.code(), Some(0), "{}", check().stderr);
    // The store cannot be read, or a part of it.
    for path in [&store, &store.join("journal"), &store.join("LOCK")] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        set(path, 0o000);
        let (exited, checked) = (launch().start_or_end(), check());
        set(path, mode);
        for exited in [exited.unwrap_err(), checked] {
            assert_eq!(exited.status.code(), Some(1), "{path:?}: {}", exited.stderr);
            let is_told = |text: &str| exited.stderr.contains(text);
            assert!(is_told("Permission denied"), "{path:?}: {}", exited.stderr);
            assert!(is_told(&store.display().to_string()), "{path:?}: {}", exited.stderr);
        }
    }
    // It can be read, but not written.
    set(&store, 0o555);
    set(&store.join("journal"), 0o555);
    let checked = check();
    assert_eq!(checked.status.code(), Some(1), "{}", checked.stderr);
    assert!(checked.stderr.contains("the store could take nothing new"), "{}", checked.stderr);
    let server = launch().start();
    assert!(server.stderr().contains("the store could take nothing new"), "{}", server.stderr());
    history.check_server(&server);
    let answer = server.post("/compile", &json!({ "name": "one", "source": "in a: Int\nout a" }));
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(
        answer.text.contains("belong to the user") && !answer.text.contains("journal"),
        "{}",
        answer.text
    );
    let told = history.publish(&server, "one");
    assert_eq!(told, Told::Refused { status: 503, code: "Unavailable".to_owned() });
    history.check_server(&server);
    // As soon as it can be written again, it is.
    set(&store, 0o755);
    set(&store.join("journal"), 0o755);
    assert_eq!(history.publish(&server, "one"), Told::Acknowledged);
    close(&history, server, directory.path());
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    if !can_run(&["prlimit", "--fsize=1000000", "true"]) {
        return;
    }
    let directory = TempDir::new().unwrap();
    let history = History::with_source_bytes(SOURCE_BYTES);
    let limited =
        || Launch::under(&["prlimit", "--fsize=400000"], directory.path()).args(["--store", "store"]);
    let server = limited().start();
    fill(&history, &server);
    assert!(history.n_acknowledged() >= 20, "{}", history.n_acknowledged());
    history.check_server(&server);
    server.kill();
    let server = limited().start();
    history.check_server(&server);
    assert_eq!(server.compilations(), 0, "nothing is compiled again");
    server.kill();

    let server = start(directory.path());
    assert_eq!(history.publish(&server, "more"), Told::Acknowledged);
    close(&history, server, directory.path());
}

#[test]
fn a_limit_on_open_files_is_an_error_and_no_loss() {
    if !can_run(&["prlimit", "--nofile=100", "true"]) {
        return;
    }
    let mut seen = BTreeSet::new();
    // What a server has open that serves one client.
    let directory = TempDir::new().unwrap();
    let server = start(directory.path());
    assert_eq!(server.get("/health").status, 200);
    let n_open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    // The least is what it takes to load a program.
    for limit in 8..n_open + 5 {
        let directory = TempDir::new().unwrap();
        let history = History::new();
        let wrapper = ["prlimit", &format!("--nofile={limit}")];
        let launch = Launch::under(&wrapper, directory.path()).args(["--store", "store"]);
        match launch.start_or_end() {
            // It serves, but has no room for any client.
            Ok(server) if limit < n_open => server.kill(),
            Ok(server) => {
                // A connection that is there stays while others take what is left.
                assert_eq!(server.get("/health").status, 200);
                let connect = || std::net::TcpStream::connect(server.address());
                let taken: Vec<_> = (0..limit).filter_map(|_| connect().ok()).collect();
                for name in ["one", "two", "one"] {
                    let told = history.publish(&server, name);
                    assert_ne!(told, Told::Nothing, "{limit}: {}", server.stderr());
                    seen.insert(told.code().to_owned());
                }
                history.check_server(&server);
                drop(taken);
                history.check_server(&server);
                server.kill();
            }
            Err(exited) => {
                assert_eq!(exited.status.code(), Some(1), "{}", exited.stderr);
                assert!(exited.stderr.contains("os error 24"), "the cause is told: {}", exited.stderr);
                seen.insert("did not start".to_owned());
            }
        }
        let server = start(directory.path());
        history.check_server(&server);
        assert_eq!(history.publish(&server, "one"), Told::Acknowledged);
        close(&history, server, directory.path());
    }
    for code in ["did not start", "Unavailable"] {
        assert!(seen.contains(code), "{seen:?}");
    }
}

#[test]
fn a_store_behind_a_link_is_the_same_store() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path());
    symlink(directory.path().join("store"), directory.path().join("link")).unwrap();
    let refused = |path: &str| {
        let exited = Launch::new(directory.path()).args(["--store", path]).start_or_end().unwrap_err();
        assert_eq!(exited.status.code(), Some(1), "{}", exited.stderr);
        assert_eq!(exited.stdout, "");
        let tells =
            exited.stderr.contains("another process has the store open") && exited.stderr.contains(path);
        assert!(tells, "{}", exited.stderr);
    };
    refused("store");
    refused("link");
    refused("./store/../link");
    assert_eq!(server.get("/ready").status, 200, "the first one is not disturbed");
    server.kill();
    Launch::new(directory.path()).args(["--store", "link"]).start();
}
