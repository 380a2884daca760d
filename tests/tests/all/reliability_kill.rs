//! The process ends at any time, under load or at any call of the system, and nothing acknowledged is lost.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and tells how far it came"
)]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use constellation_tests::{Exited, History, Injection, Launch, Server, Told, can_trace, chance, is_nightly};
use tempfile::TempDir;

const N_CLIENTS: usize = 4;
const KILL: i32 = 9;

fn start(directory: &Path) -> Server {
    Launch::new(directory).args(["--store", "store"]).start()
}

/// A time within which a server under load does a few dozen things.
fn moment(chance: &mut fastrand::Rng) -> Duration {
    Duration::from_micros(chance.u64(0..80_000))
}

fn check_restarted(history: &History, server: &Server) {
    history.check_server(server);
    assert_eq!(server.compilations(), 0, "nothing is compiled again");
}

#[test]
fn a_kill_at_any_time_under_load_loses_nothing() {
    let mut chance = chance();
    // A store that grows is slow to open and close, so that there are several.
    let (n_stores, n_rounds) = if is_nightly() { (50, 20) } else { (4, 5) };
    for _ in 0..n_stores {
        let directory = TempDir::new().unwrap();
        let history = History::new();
        for _ in 0..n_rounds {
            let server = start(directory.path());
            check_restarted(&history, &server);
            let before = history.n_acknowledged();
            history.under_load(&server, N_CLIENTS, false, || {
                // Not before the load is on, and then at any time.
                server.wait_until("under load", |_| history.n_acknowledged() > before);
                thread::sleep(moment(&mut chance));
                server.send_signal("KILL");
            });
            assert_eq!(server.wait_for_exit().status.signal(), Some(KILL));
        }
        let server = start(directory.path());
        check_restarted(&history, &server);
        assert_eq!(server.signal("TERM").status.code(), Some(0));
        history.check_files(&directory.path().join("store"));
    }
}

#[test]
fn an_end_that_is_asked_for_at_any_time_under_load_loses_nothing() {
    let mut chance = chance();
    let directory = TempDir::new().unwrap();
    let history = History::new();
    let n_rounds = if is_nightly() { 200 } else { 8 };
    for _ in 0..n_rounds {
        let server = start(directory.path());
        check_restarted(&history, &server);
        let before = history.n_acknowledged();
        history.under_load(&server, N_CLIENTS, false, || {
            server.wait_until("under load", |_| history.n_acknowledged() > before);
            thread::sleep(moment(&mut chance));
            server.send_signal("TERM");
        });
        let exited = server.wait_for_exit();
        assert_eq!(exited.status.code(), Some(0), "{}", exited.stderr);
        history.check_files(&directory.path().join("store"));
    }
}

#[test]
fn a_process_that_is_halted_goes_on_or_is_killed_without_loss() {
    let mut chance = chance();
    let directory = TempDir::new().unwrap();
    let history = History::new();
    let server = start(directory.path());
    for _ in 0..if is_nightly() { 100 } else { 3 } {
        history.under_load(&server, N_CLIENTS, true, || {
            thread::sleep(moment(&mut chance));
            server.send_signal("STOP");
            // Halted, it still holds its store.
            let refused =
                Launch::new(directory.path()).args(["--store", "store"]).start_or_end().unwrap_err();
            assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
            server.send_signal("CONT");
            let before = history.n_acknowledged();
            server.wait_until("going on", |_| history.n_acknowledged() > before + 2 * N_CLIENTS);
        });
        history.check_server(&server);
    }
    history.under_load(&server, N_CLIENTS, false, || {
        thread::sleep(moment(&mut chance));
        server.send_signal("STOP");
        server.send_signal("KILL");
    });
    assert_eq!(server.wait_for_exit().status.signal(), Some(KILL));
    let server = start(directory.path());
    check_restarted(&history, &server);
    assert_eq!(server.signal("TERM").status.code(), Some(0));
    history.check_files(&directory.path().join("store"));
}

/// What a store was before the run that is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    /// There was none.
    Nothing,
    /// It was closed in order.
    Closed,
    /// It was killed, so that everything is in its journal.
    Killed,
}

impl Before {
    fn prepare(self, directory: &Path) -> History {
        let history = History::new();
        if self == Self::Nothing {
            return history;
        }
        let server = start(directory);
        for name in ["one", "two", "one"] {
            assert_eq!(history.publish(&server, name), Told::Acknowledged);
        }
        if self == Self::Killed {
            server.kill();
        } else {
            assert_eq!(server.signal("TERM").status.code(), Some(0));
        }
        history
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Opens, commits, and closes with a checkpoint; ends where it is killed.
fn work(launch: Launch, history: &History) -> Exited {
    let server = match launch.start_or_end() {
        Ok(server) => server,
        Err(exited) => return exited,
    };
    for name in ["one", "three"] {
        if history.publish(&server, name) == Told::Nothing {
            return server.wait_for_exit();
        }
    }
    if history.repoint(&server, "one") == Told::Nothing {
        return server.wait_for_exit();
    }
    history.publish(&server, "one");
    server.send_signal_if_running("TERM");
    server.wait_for_exit()
}

/// Kills at the k-th call of each kind, for all k or some, and returns how many kills there were.
fn kill_at_each_call(before: Before, calls: &[&str], step: usize) -> usize {
    let prepared = TempDir::new().unwrap();
    let known = before.prepare(prepared.path());
    let mut n_kills = 0;
    for call in calls {
        for k in (1..).step_by(step) {
            println!("{before:?}: {call} {k}");
            let directory = TempDir::new().unwrap();
            copy(prepared.path(), directory.path());
            let history = known.clone();
            let fault = Injection::new(call, &format!("signal=SIGKILL:when={k}")).unwrap();
            let launch = Launch::under(&fault.wrapper(), directory.path()).args(["--store", "store"]);
            let exited = work(launch, &history);
            let is_killed = exited.status.signal() == Some(KILL);
            assert!(is_killed || exited.status.code() == Some(0), "{exited:?}");
            n_kills += usize::from(is_killed);

            let server = start(directory.path());
            check_restarted(&history, &server);
            assert_eq!(history.publish(&server, "two"), Told::Acknowledged);
            assert_eq!(server.signal("TERM").status.code(), Some(0));
            history.check_files(&directory.path().join("store"));
            if !is_killed {
                break;
            }
            assert!(k < 1000, "{call} goes on for ever");
        }
    }
    n_kills
}

const WRITES: &[&str] = &["pwrite64", "fdatasync", "rename", "unlink"];
/// What takes part in a change of a directory, or comes before the first write.
const OTHERS: &[&str] = &["fsync", "mkdir", "openat", "flock", "ftruncate"];

#[test]
fn a_kill_at_any_write_of_a_store_that_was_closed_loses_nothing() {
    if can_trace() {
        let step = if is_nightly() { 1 } else { 2 };
        let n_kills = kill_at_each_call(Before::Closed, WRITES, step);
        assert!(n_kills >= 40 / step, "only {n_kills} kills");
        let n_kills = kill_at_each_call(Before::Closed, OTHERS, if is_nightly() { 1 } else { 5 });
        assert!(n_kills >= 5, "only {n_kills} kills");
    }
}

#[test]
fn a_kill_at_any_write_of_a_store_that_recovers_loses_nothing() {
    if can_trace() {
        let step = if is_nightly() { 1 } else { 2 };
        let n_kills = kill_at_each_call(Before::Killed, WRITES, step);
        assert!(n_kills >= 40 / step, "only {n_kills} kills");
        let n_kills = kill_at_each_call(Before::Killed, OTHERS, if is_nightly() { 1 } else { 5 });
        assert!(n_kills >= 5, "only {n_kills} kills");
    }
}

#[test]
fn a_kill_at_any_write_of_a_new_store_loses_nothing() {
    if can_trace() {
        let step = if is_nightly() { 1 } else { 3 };
        let n_kills = kill_at_each_call(Before::Nothing, WRITES, step);
        assert!(n_kills >= 30 / step, "only {n_kills} kills");
        if is_nightly() {
            assert!(kill_at_each_call(Before::Nothing, OTHERS, 1) >= 20);
        }
    }
}
