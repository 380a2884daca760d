//! Golden files: the documents of format version 1, byte by byte.
//!
//! A store keeps what it was given for years, so what a release once wrote, every later one reads, and gives the
//! same hash. The files here never change while the format version stays; where a file and its image in
//! `images.rs` differ, the code is wrong. A new kind of node, type or option needs a file of its own, which the
//! failing test prints.

mod images;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use constellation_store_core::{
    ArithmeticOperator, Backoff, CallOptions, CheckedImage, ComparisonOperator, DagSpec, ImageSummary, Join,
    Literal, MatchCase, NodeKind, OnError, Pattern, PipelineImage, StructuralHash, TypeSpec, Window,
    canonical_json, seal_document,
};
use serde_json::Value;

use crate::images::images;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn path(name: &str) -> PathBuf {
    directory().join(format!("{name}.json"))
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_default()
}

#[test]
fn every_image_encodes_to_its_file() {
    for (name, image) in images() {
        let expected = image.encode();
        assert!(
            read(name) == expected,
            "{} is not what {name} encodes to. If the image is new, the file is:\n{}",
            path(name).display(),
            String::from_utf8_lossy(&expected),
        );
    }
}

#[test]
fn every_file_decodes_to_its_image() {
    for (name, image) in images() {
        let decoded = PipelineImage::decode(&read(name)).expect(name);
        assert!(decoded.checked, "{name}");
        assert_eq!(decoded.image, image, "{name}");
        // `-0.0 == 0.0`, so equality alone does not tell.
        assert_eq!(decoded.image.encode(), read(name), "{name}");
    }
}

#[test]
fn every_hash_is_that_of_the_graph_in_the_file() {
    for (name, image) in images() {
        let document: Value = serde_json::from_slice(&read(name)).expect(name);
        let hash = StructuralHash::of_bytes(&canonical_json(&document["dagSpec"]));
        assert_eq!(document["structuralHash"], hash.to_string(), "{name}");
        assert_eq!(image.structural_hash, hash, "{name}");
        image.verify().expect(name);
    }
}

#[test]
fn every_graph_is_written_canonically_without_values_in_between() {
    for (name, image) in images() {
        let expected = canonical_json(&serde_json::to_value(&*image.dag_spec).expect(name));
        assert_eq!(image.dag_spec.canonical_json(), expected, "{name}");
        let compact = image.encode_compact(&image.verify().expect(name));
        let decoded = PipelineImage::decode(&compact).expect(name);
        assert_eq!(decoded.image.encode(), image.encode(), "{name}");
    }
}

#[test]
fn every_file_is_checked_without_making_its_image() {
    for (name, image) in images() {
        let expected = CheckedImage { summary: ImageSummary::of(&image), checked: true };
        assert_eq!(CheckedImage::read(&read(name)).expect(name), expected, "{name}");
    }
}

#[test]
fn every_file_is_that_of_an_image() {
    let names: BTreeSet<_> = images().iter().map(|(name, _)| path(name)).collect();
    let entries = std::fs::read_dir(directory()).expect("the directory is there");
    let files = entries.map(|entry| entry.expect("the directory is readable").path());
    let files: BTreeSet<_> = files.filter(|file| file.extension().is_some_and(|end| end == "json")).collect();
    assert_eq!(files, names);
}

#[test]
fn a_document_nests_at_most_sixteen_deep() {
    for (name, _) in images() {
        let document: Value = serde_json::from_slice(&read(name)).expect(name);
        let mut level = vec![&document];
        let mut depth = 0;
        while !level.is_empty() {
            let inner = level.iter().flat_map(|value| match value {
                Value::Array(items) => items.iter().collect::<Vec<_>>(),
                Value::Object(members) => members.values().collect(),
                _ => vec![],
            });
            level = inner.collect();
            depth += 1;
        }
        assert!((3..=16).contains(&depth), "{name} nests {depth} deep");
    }
}

/// Tells the variants of an enum apart, and lists them. A new variant does not compile until it is here, and then
/// fails the test until a golden file has it.
macro_rules! variants {
    ($($list:ident, $name:ident($type:ident): $($variant:ident),+;)+) => {
        $(
            const $list: &[&str] = &[$(concat!(stringify!($type), "::", stringify!($variant))),+];

            fn $name(value: &$type) -> &'static str {
                match value {
                    $($type::$variant { .. } => concat!(stringify!($type), "::", stringify!($variant)),)+
                }
            }
        )+

        const ALL_VARIANTS: &[&[&str]] = &[$($list),+];
    };
}

variants! {
    NODES, node(NodeKind): Input, Literal, List, Record, Interpolate, Arithmetic, Negate, Compare, And, Or, Not, If,
        Branch, Guard, Coalesce, Field, Project, Merge, Coerce, Call, Parameter, Lambda, Match;
    TYPES, ty(TypeSpec): Nothing, String, Int, Float, Boolean, List, Seq, Optional, Map, Record, Union, Function;
    LITERALS, literal(Literal): Int, Float, String, Bool;
    ARITHMETIC, arithmetic(ArithmeticOperator): Add, Subtract, Multiply, Divide;
    COMPARISONS, comparison(ComparisonOperator): Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual;
    PATTERNS, pattern(Pattern): Fields, Is, Any;
    BACKOFFS, backoff(Backoff): Fixed, Linear, Exponential;
    ERRORS, on_error(OnError): Propagate, Skip, Log, Wrap;
    WINDOWS, window(Window): Tumbling, Sliding, Count;
    JOINS, join(Join): CombineLatest, Zip, Buffer;
}

#[test]
fn the_files_have_every_kind_of_node_type_literal_pattern_and_option() {
    let mut seen = BTreeSet::new();
    let mut with_every_option = 0;
    for (name, _) in images() {
        let dag_spec = PipelineImage::decode(&read(name)).expect(name).image.dag_spec;
        let DagSpec { inputs: _, outputs: _, types, nodes, requires: _ } = &*dag_spec;
        seen.extend(types.iter().map(ty));
        for spec in nodes {
            seen.insert(node(&spec.operation));
            match &spec.operation {
                NodeKind::Literal(value) => {
                    seen.insert(literal(value));
                }
                NodeKind::Arithmetic { operator, .. } => {
                    seen.insert(arithmetic(operator));
                }
                NodeKind::Compare { operator, .. } => {
                    seen.insert(comparison(operator));
                }
                NodeKind::Match { cases, .. } => {
                    seen.extend(cases.iter().map(|MatchCase { pattern: case, body: _ }| pattern(case)));
                }
                NodeKind::Call { options, .. } => {
                    seen.extend(options.backoff.iter().map(backoff));
                    seen.extend(options.on_error.iter().map(on_error));
                    seen.extend(options.window.iter().map(window));
                    seen.extend(options.join.iter().map(join));
                    with_every_option += u32::from(has_every_option(options));
                }
                _ => {}
            }
        }
    }
    let all: BTreeSet<&str> = ALL_VARIANTS.concat().into_iter().collect();
    assert_eq!(seen, all);
    assert_eq!(with_every_option, 1);
}

fn has_every_option(options: &CallOptions) -> bool {
    let CallOptions {
        retry,
        timeout_ms,
        delay_ms,
        backoff,
        fallback,
        cache_ms,
        cache_backend,
        throttle,
        concurrency,
        on_error,
        lazy,
        priority,
        batch,
        batch_timeout_ms,
        window,
        checkpoint_ms,
        join,
    } = options;
    let numbers =
        [retry, timeout_ms, delay_ms, cache_ms, concurrency, batch, batch_timeout_ms, checkpoint_ms];
    numbers.iter().all(|number| number.is_some())
        && backoff.is_some()
        && fallback.is_some()
        && cache_backend.is_some()
        && throttle.is_some()
        && on_error.is_some()
        && lazy.is_some()
        && priority.is_some()
        && window.is_some()
        && join.is_some()
}

/// Whether the independent implementation can run. A developer may go without Python; CI may not.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn has_python() -> bool {
    let has_python = Command::new("python3").arg("--version").output().is_ok();
    assert!(has_python || std::env::var_os("CI").is_none(), "CI needs python3 for this test; install it");
    if !has_python {
        println!("skipped: python3 is not installed");
    }
    has_python
}

/// Runs `verify.py`, which knows nothing of this crate.
fn verify(arguments: &[PathBuf], input: &[u8]) -> Output {
    let mut child = Command::new("python3")
        .arg(directory().join("verify.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was there a moment ago");
    // It may answer before it has read everything.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    child.wait_with_output().expect("it ends")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn an_independent_implementation_finds_the_same_hashes() {
    if !has_python() {
        return;
    }
    let paths: Vec<_> = images().iter().map(|(name, _)| path(name)).collect();
    let output = verify(&paths, b"");
    assert!(output.status.success(), "{}", text(&output));
    let images = images();
    let lines = images.iter().map(|(name, image)| format!("{} {name}.json", image.structural_hash));
    assert_eq!(text(&output).lines().collect::<Vec<_>>(), lines.collect::<Vec<_>>());
}

#[test]
fn an_independent_implementation_refuses_what_does_not_match() {
    if !has_python() {
        return;
    }
    let original = || serde_json::from_slice::<Value>(&read("negate")).expect("it is JSON");
    let seal = |document: Value| {
        let Value::Object(members) = document else { unreachable!("an image document is an object") };
        seal_document(members)
    };
    let mut graph = original();
    graph["dagSpec"]["outputs"][0]["name"] = "z".into();
    let output = verify(&["-".into()], &seal(graph));
    assert!(!output.status.success() && text(&output).contains("structuralHash"), "{}", text(&output));
    let mut metadata = original();
    metadata["metadata"]["moduleCount"] = 7.into();
    let output = verify(&["-".into()], metadata.to_string().as_bytes());
    assert!(!output.status.success() && text(&output).contains("checksum"), "{}", text(&output));
    let output = verify(&["-".into()], &seal(original()));
    assert!(output.status.success(), "{}", text(&output));
}
