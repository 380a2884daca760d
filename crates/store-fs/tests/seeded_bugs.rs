//! The tests are tested: for each bug that somebody could make, a check finds it, and without a bug every check
//! passes.
//!
//! A bug is either in what is done to files ([`FileBug`]) or in the code ([`SeededBug`]). The scenarios are small
//! ones of those in the other tests. With `CONSTELLATION_CRASH=table` it is told which check found which bug.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/scenarios.rs"]
mod scenarios;
mod support;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use constellation_store_fs::seeded::SeededBug;
use scenarios::{Bases, SCENARIOS};
use support::buggy::FileBug;
use support::workloads::Setup;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    Files(FileBug),
    Code(SeededBug),
}

/// The first check that fails, and how.
fn find(bug: Option<Bug>, bases: &Bases) -> Option<(&'static str, String)> {
    let (files, code) = match bug {
        None => (None, None),
        Some(Bug::Files(bug)) => (Some(bug), None),
        Some(Bug::Code(bug)) => (None, Some(bug)),
    };
    let setup = Setup { bug: files };
    SCENARIOS.iter().find_map(|(name, scenario)| {
        let checked = catch_unwind(AssertUnwindSafe(|| SeededBug::with(code, || scenario(setup, bases))));
        checked.err().map(|panic| (*name, message(&*panic)))
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    text.lines().next().unwrap_or_default().chars().take(100).collect()
}

#[test]
fn every_seeded_bug_is_found_by_a_check_and_no_bug_by_none() {
    // Panics are what is looked for; those of this test are told by what is found.
    std::panic::set_hook(Box::new(|_| {}));
    let bases = Bases::new();
    let clean = find(None, &bases);
    let bugs: Vec<_> = FileBug::ALL
        .into_iter()
        .map(Bug::Files)
        .chain(SeededBug::ALL.iter().copied().map(Bug::Code))
        .collect();
    let next = Mutex::new(bugs.iter().enumerate());
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((place, bug)) = next.lock().unwrap().next() else { return };
                    let check = find(Some(*bug), &bases);
                    found.lock().unwrap().push((place, *bug, check));
                }
            });
        }
    });
    drop(std::panic::take_hook());
    let mut found = found.into_inner().unwrap();
    found.sort_unstable_by_key(|(place, ..)| *place);
    if std::env::var("CONSTELLATION_CRASH").is_ok_and(|value| value == "table") {
        for (_, bug, check) in &found {
            let (check, how) = check.clone().unwrap_or(("NOT FOUND", String::new()));
            eprintln!("{:42} {check}: {how}", format!("{bug:?}"));
        }
        eprintln!("{} bugs", found.len());
    }
    assert_eq!(clean, None, "a check fails without a bug");
    let survivors: Vec<_> =
        found.iter().filter(|(.., check)| check.is_none()).map(|(_, bug, _)| bug).collect();
    assert!(survivors.is_empty(), "no check finds {survivors:?}");
    assert!(found.len() >= 30);
}
