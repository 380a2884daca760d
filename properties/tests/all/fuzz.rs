//! The fuzz targets over their corpus, over generated examples, and over mutations of both.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use constellation_properties::{TARGETS, Target, World};
use fastrand::Rng;

use crate::support::chance;

/// How long each target is fuzzed, in seconds. Without it, a number of mutations that takes a moment.
const SECONDS_VARIABLE: &str = "CONSTELLATION_FUZZ_SECONDS";
/// The one target that is fuzzed.
const TARGET_VARIABLE: &str = "CONSTELLATION_FUZZ_TARGET";

/// Larger inputs find nothing that smaller ones do not, in more time.
const MAX_BYTES: usize = 4_096;

/// Texts that mean something in one of the inputs.
const DICTIONARY: [&str; 40] = [
    "in a: Int\n",
    "out a\n",
    "type T = ",
    "use stdlib.math\n",
    "@example(",
    "if (",
    " else ",
    "branch { ",
    "otherwise -> ",
    "match ",
    "is ",
    " when ",
    " ?? ",
    " and ",
    "not ",
    " with retry: 1",
    " with fallback: ",
    ", cache: 5s",
    "\"${",
    "}\"",
    "(",
    ")",
    "[",
    "]",
    "{ a: 1 }",
    ".a",
    "[a]",
    " + ",
    "-",
    "(v) => ",
    "List<",
    "Optional<Int>",
    " | ",
    "9223372036854775807",
    "0.5",
    "null",
    "\"node\":0",
    "{\"int\":\"1\"}",
    "\"label\":\"a\"",
    ":-1",
];

fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target.name)
}

fn checked_in(target: &Target) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(corpus(target))
        .expect("a target has a corpus")
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("a file can be read")).collect()
}

/// Runs the target. What it panics on is kept in a file, which belongs in the corpus once the fault is mended.
#[expect(clippy::print_stderr, reason = "whoever reads of a failure needs the input")]
fn try_input(world: &World, target: &Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(world, input))) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-finding", target.name));
        fs::write(&path, input).expect("cargo makes the folder");
        eprintln!(
            "the target {} does not hold for {}\ncopy it to {}",
            target.name,
            path.display(),
            corpus(target).display()
        );
        std::panic::resume_unwind(panic);
    }
}

fn mutate(rng: &mut Rng, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
    for _ in 0..rng.usize(1..5) {
        let place = rng.usize(..=input.len());
        let end = (place + rng.usize(..16)).min(input.len());
        match rng.u8(..7) {
            0 => drop(input.drain(place..end)),
            1 => drop(input.splice(place..end, DICTIONARY[rng.usize(..DICTIONARY.len())].bytes())),
            2 => drop(input.splice(place..place, DICTIONARY[rng.usize(..DICTIONARY.len())].bytes())),
            3 => {
                let copied = input[place..end].to_vec();
                let to = rng.usize(..=input.len());
                drop(input.splice(to..to, copied));
            }
            4 => {
                let other = &pool[rng.usize(..pool.len())];
                let from = rng.usize(..=other.len());
                let to = (from + rng.usize(..64)).min(other.len());
                drop(input.splice(place..end, other[from..to].iter().copied()));
            }
            5 => {
                if let Some(byte) = input.get_mut(place) {
                    *byte ^= 1 << rng.u8(..8);
                }
            }
            _ => input.insert(place, rng.u8(..128)),
        }
    }
    input.truncate(MAX_BYTES);
}

#[expect(clippy::print_stderr, reason = "whoever fuzzes wants to know how much was tried")]
fn fuzz(target: &Target) {
    let world = World::new();
    let mut pool = checked_in(target);
    assert!(!pool.is_empty(), "the corpus of {} is empty", target.name);
    for input in &pool {
        try_input(&world, target, input);
    }
    let mut rng = chance();
    for _ in 0..32 {
        let example = (target.example)(&world, &mut rng);
        try_input(&world, target, &example);
        pool.push(example);
    }
    let seconds = std::env::var(SECONDS_VARIABLE).ok().map(|text| text.parse().expect("a number of seconds"));
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut n_inputs = 0_u64;
    while end.map_or(n_inputs < 2_000, |end| Instant::now() < end) {
        let mut input = pool[rng.usize(..pool.len())].clone();
        mutate(&mut rng, &mut input, &pool);
        try_input(&world, target, &input);
        n_inputs += 1;
    }
    eprintln!("{}: {n_inputs} inputs", target.name);
}

#[test]
fn targets_hold_for_their_corpus_and_its_mutations() {
    let wanted = std::env::var(TARGET_VARIABLE).ok();
    let mut chosen = TARGETS
        .iter()
        .filter(|target| wanted.as_deref().is_none_or(|wanted| wanted == target.name))
        .peekable();
    let names = TARGETS.map(|target| target.name).join(", ");
    assert!(chosen.peek().is_some(), "{wanted:?} is no target; the targets are {names}");
    chosen.for_each(fuzz);
}
