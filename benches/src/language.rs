//! Benchmarks of the compiler; `cargo xtask bench lang` builds and runs it.
//!
//! Allocations are counted by an allocator that makes each of them a little slower, so times are a little worse than
//! those of a server.

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use constellation_benches::programs::program;
use constellation_benches::report::{Goal, Measure, Report, Row};
use constellation_lang::{FunctionTable, Phase, compile, compile_in_phases, tokenize};

mod flags {
    //! The command line.

    use std::path::PathBuf;

    xflags::xflags! {
        /// Benchmarks of the compiler; run it through `cargo xtask bench lang`.
        cmd language {
            /// Fewer rounds.
            optional --quick
            /// Where the JSON goes.
            required --output output: PathBuf
        }
    }
}

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
/// What a declaration may take in a program of 1,000, in microseconds.
const GOAL_MICROSECONDS: f64 = 5.0;

#[expect(clippy::print_stderr, reason = "the one place that reports a failure to the developer")]
fn main() -> ExitCode {
    let flags::Language { quick, output } = flags::Language::from_env_or_exit();
    match measure(quick, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Microseconds of each round.
#[derive(Default)]
struct Times {
    lexing: Vec<f64>,
    parsing: Vec<f64>,
    checking: Vec<f64>,
    lowering: Vec<f64>,
    hashing: Vec<f64>,
    all: Vec<f64>,
    blake3: Vec<f64>,
}

#[expect(clippy::print_stdout, reason = "the table is the output of the program")]
fn measure(quick: bool, output: &Path) -> anyhow::Result<()> {
    let functions = FunctionTable::new(constellation_stdlib::registry().signatures().cloned());
    let sources = SIZES.map(program);
    let n_rounds = if quick { 5 } else { 60 };
    let mut times: [Times; SIZES.len()] = Default::default();
    for _ in 0..n_rounds {
        for (source, times) in sources.iter().zip(&mut times) {
            round(source, &functions, times)?;
        }
    }
    let mut report = Report { quick, rows: Vec::new() };
    let mut at_1000 = None;
    for ((n, source), times) in SIZES.into_iter().zip(&sources).zip(&times) {
        rows(n, source, times, &mut at_1000, &mut report);
        report.rows.push(memory(n, source, &functions));
    }
    std::fs::write(output, report.to_json()).with_context(|| format!("writing {}", output.display()))?;
    print!("{}", report.to_table());
    Ok(())
}

fn microseconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = black_box(work());
    (start.elapsed().as_secs_f64() * 1e6, result)
}

fn round(source: &str, functions: &FunctionTable, times: &mut Times) -> anyhow::Result<()> {
    let (lexing, tokens) = microseconds(|| tokenize(black_box(source)));
    let (mut parsed, mut checked) = (0.0, 0.0);
    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs_f64() * 1e6;
    let compilation = compile_in_phases(black_box(&tokens), functions, |phase| match phase {
        Phase::Parsing => parsed = elapsed(),
        Phase::Checking => checked = elapsed(),
        // Letting go of what was made on the way comes afterwards, and is counted here.
        Phase::Lowering => {}
    });
    let compiling = elapsed();
    let errors: Vec<String> = compilation.errors().map(ToString::to_string).collect();
    ensure!(errors.is_empty(), "the program does not compile: {errors:?}");
    let graph = compilation.dag_spec.context("a program without errors has a graph")?;
    let (hashing, _) = microseconds(|| (graph.structural_hash(), tokens.syntactic_key(functions)));
    let (blake3, _) = microseconds(|| blake3::hash(black_box(source).as_bytes()));
    times.lexing.push(lexing);
    times.parsing.push(parsed);
    times.checking.push(checked - parsed);
    times.lowering.push(compiling - checked);
    times.hashing.push(hashing);
    times.all.push(lexing + compiling + hashing);
    times.blake3.push(blake3);
    Ok(())
}

fn rows(n: usize, source: &str, times: &Times, at_1000: &mut Option<Measure>, report: &mut Report) {
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
    let (count, bytes) = (n as f64, source.len() as f64);
    let each = |times: &[f64]| Measure::median_of(&times.iter().map(|time| time / count).collect::<Vec<_>>());
    let row = |case: &str, ours: Option<Measure>| Row {
        case: format!("{case}, {n} declarations"),
        unit: "us/declaration",
        ours,
        peer_name: String::new(),
        peer: None,
        goal: None,
        note: None,
    };
    let all = each(&times.all);
    let mut compile = row("compile", all);
    match n {
        1_000 => {
            *at_1000 = all;
            compile.peer_name = "the goal".into();
            compile.peer = Some(Measure { median: GOAL_MICROSECONDS, p99: None });
            compile.goal = Some(Goal::AtMost(1.0));
        }
        10_000 => {
            compile.peer_name = "1000 declarations".into();
            compile.peer = *at_1000;
            compile.goal = Some(Goal::AtMost(1.3));
        }
        _ => {}
    }
    report.rows.push(compile);
    report.rows.push(row("lexing", each(&times.lexing)));
    report.rows.push(row("parsing", each(&times.parsing)));
    report.rows.push(row("checking", each(&times.checking)));
    report.rows.push(row("lowering", each(&times.lowering)));
    report.rows.push(row("hashing", each(&times.hashing)));
    let reading: Vec<f64> =
        times.lexing.iter().zip(&times.parsing).map(|(lexing, parsing)| bytes / (lexing + parsing)).collect();
    let blake3: Vec<f64> = times.blake3.iter().map(|time| bytes / time).collect();
    report.rows.push(Row {
        unit: "MB/s",
        peer_name: "BLAKE3".to_owned(),
        peer: Measure::median_of(&blake3),
        // Shorter texts are too short for either to be measured well.
        goal: (n >= 1_000).then_some(Goal::AtLeast(0.1)),
        ..row("lexing and parsing", Measure::median_of(&reading))
    });
}

/// What is held at once while a program is compiled, beside its text.
fn memory(n: usize, source: &str, functions: &FunctionTable) -> Row {
    let info = allocation_counter::measure(|| drop(compile(&tokenize(source), functions)));
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
    let bytes = info.bytes_max as f64 / n as f64;
    Row {
        case: format!("memory, {n} declarations"),
        unit: "bytes/declaration",
        ours: Some(Measure { median: bytes, p99: None }),
        peer_name: String::new(),
        peer: None,
        goal: None,
        note: None,
    }
}
