//! Many processes on one directory.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use constellation_tests::{History, Launch, Told, is_nightly};
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn of_many_processes_on_a_new_directory_one_at_a_time_has_it() {
    const N_PROCESSES: usize = 100;
    for _ in 0..if is_nightly() { 20 } else { 1 } {
        let directory = TempDir::new().unwrap();
        let history = History::new();
        let (n_served, n_serving) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let ids = Mutex::new(BTreeSet::new());
        let barrier = Barrier::new(N_PROCESSES);
        thread::scope(|scope| {
            for _ in 0..N_PROCESSES {
                scope.spawn(|| {
                    let launch = Launch::new(directory.path()).args(["--store", "a/b/store"]);
                    barrier.wait();
                    let server = match launch.start_or_end() {
                        Ok(server) => server,
                        Err(exited) => {
                            assert_eq!(exited.status.code(), Some(1), "{}", exited.stderr);
                            assert!(exited.stderr.contains("another process"), "{}", exited.stderr);
                            return;
                        }
                    };
                    assert_eq!(n_serving.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                    n_served.fetch_add(1, Ordering::SeqCst);
                    history.check_server(&server);
                    assert_eq!(history.publish(&server, "name"), Told::Acknowledged);
                    let manifest = fs::read(directory.path().join("a/b/store/store.json")).unwrap();
                    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
                    ids.lock().unwrap().insert(manifest["storeId"].to_string());
                    // Before the next one can serve.
                    n_serving.fetch_sub(1, Ordering::SeqCst);
                    server.kill();
                });
            }
        });
        assert!(n_served.into_inner() >= 1, "nobody served");
        assert_eq!(ids.into_inner().unwrap().len(), 1, "it is one store");
        let server = Launch::new(directory.path()).args(["--store", "a/b/store"]).start();
        history.check_server(&server);
        assert_eq!(history.publish(&server, "name"), Told::Acknowledged);
        assert_eq!(server.signal("TERM").status.code(), Some(0));
        history.check_files(&directory.path().join("a/b/store"));
    }
}
