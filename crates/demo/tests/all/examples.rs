//! The example programs of the reference implementation give its results: those that wait or count calls too, since
//! time is paused and each program has modules that were never called.

use std::fs;
use std::path::{Path, PathBuf};

use constellation_testkit::{Run, TestKit};
use serde_json::Value as Json;

use crate::modules::kit;

fn programs() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/reference");
    let entries = fs::read_dir(directory).expect("the examples can be read");
    let paths = entries.map(|entry| entry.expect("the examples can be read").path());
    let mut programs: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "cst")).collect();
    programs.sort();
    programs
}

/// Runs a program with each of its cases, in their order, and compares what they say.
fn check(path: &Path) {
    let source = fs::read_to_string(path).expect("a program is text");
    let cases = fs::read_to_string(path.with_extension("examples.json")).expect("a program has cases");
    let cases: Vec<Json> = serde_json::from_str(&cases).expect("cases are a list");
    assert!(!cases.is_empty(), "{} has no case", path.display());
    let kit = kit();
    for case in cases {
        check_case(&kit, &source, &case, &format!("{}: {}", path.display(), case["description"]));
    }
}

fn check_case(kit: &TestKit, source: &str, case: &Json, name: &str) {
    let run = kit.run(source, case["inputs"].clone());
    match case.get("failure") {
        None => assert_eq!(run.outputs(), case["outputs"], "{name}"),
        Some(failure) => {
            assert_eq!(*failure, run.failure(), "{name}");
            assert_eq!(outputs_of_failed(&run), case["outputs"], "{name}");
        }
    }
}

/// The outputs that came about.
fn outputs_of_failed(run: &Run) -> Json {
    let names = run.report().outputs.iter().map(|(name, _)| name.to_string());
    names.map(|name| (name.clone(), run.output(&name))).collect()
}

#[test]
fn the_programs_of_the_reference_give_its_results() {
    let programs = programs();
    assert_eq!(programs.len(), 25);
    for program in programs {
        check(&program);
    }
}
