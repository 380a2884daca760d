//! Generated programs keep all laws.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use constellation_properties::{Checked, Settings, World, check, generate};

use crate::support::{SEED_VARIABLE, given_seed, is_nightly};

/// Checks programs of consecutive seeds, on all cores; what there was to check in all of them.
fn check_programs(n_programs: u64, settings: Settings) -> Checked {
    // The daily programs are the same every day, so that whoever changes nothing sees nothing fail.
    let first = given_seed().unwrap_or_else(|| if is_nightly() { fastrand::u64(..1 << 48) } else { 0 });
    let end = first + if is_nightly() { 50 * n_programs } else { n_programs };
    let next = AtomicU64::new(first);
    let total = Mutex::new(Checked::default());
    let work = || {
        let world = World::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            match check(&world, seed, settings) {
                Ok(Checked { n_changes, n_values, n_failures }) => {
                    let mut total = total.lock().expect("no thread panics while it adds");
                    total.n_changes += n_changes;
                    total.n_values += n_values;
                    total.n_failures += n_failures;
                }
                Err(error) => {
                    // The others stop after the program at hand.
                    next.store(end, Ordering::Relaxed);
                    panic!("{SEED_VARIABLE}={seed}: {error}");
                }
            }
        }
    };
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(work);
        }
    });
    total.into_inner().expect("no thread panicked")
}

#[test]
fn programs_compile_print_store_and_run_the_same() {
    let checked = check_programs(2_000, Settings { max_declarations: 12 });
    println!("{checked:?}");
    // Without these the programs would have nothing to say about runs and hashes.
    if given_seed().is_none() {
        assert!(checked.n_changes > 2_000, "{checked:?}");
        assert!(checked.n_values > checked.n_failures && checked.n_failures > 0, "{checked:?}");
    }
}

/// The names under which kinds of nodes are stored.
const NODE_KINDS: [&str; 21] = [
    "input",
    "literal",
    "call",
    "arithmetic",
    "compare",
    "and",
    "or",
    "not",
    "negate",
    "merge",
    "field",
    "project",
    "interpolate",
    "list",
    "record",
    "if",
    "branch",
    "guard",
    "coalesce",
    "match",
    "lambda",
];

const TEXTS: [&str; 22] = [
    "use ",
    " as ",
    "type ",
    "@example(",
    "in ",
    "out ",
    " | ",
    "Map<",
    "Candidates<",
    " + {",
    "else if (",
    "otherwise ->",
    " ?? ",
    " when ",
    "(not ",
    "is ",
    "_ ->",
    "${",
    "fallback: ",
    "on_error: ",
    "priority: ",
    "=> ",
];

#[test]
fn programs_have_every_kind_of_node_and_of_text() {
    let world = World::new();
    let mut kinds = BTreeSet::new();
    let mut texts = String::new();
    for seed in 0..300 {
        let settings = Settings { max_declarations: 12 };
        let source = generate(&mut fastrand::Rng::with_seed(seed), world.functions(), settings).source();
        for node in world.graph(&source).expect("it compiles").nodes {
            let json = serde_json::to_value(&node.operation).expect("a node is plain data");
            let name = json.as_object().and_then(|object| object.keys().next().cloned());
            kinds.insert(name.or_else(|| json.as_str().map(str::to_owned)).expect("a kind has a name"));
        }
        texts.push_str(&source);
    }
    for kind in NODE_KINDS {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
    for text in TEXTS {
        assert!(texts.contains(text), "no {text:?} in any program");
    }
}
