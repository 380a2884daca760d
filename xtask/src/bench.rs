//! `cargo xtask bench`: measurements beside rivals, which are no tests and fail for no figure.

use xshell::{Shell, cmd};

use crate::dist;
use crate::flags::{self, Bench, BenchCmd};

pub(crate) fn run(shell: &Shell, flags: &Bench) -> anyhow::Result<()> {
    // Below `target`, so on the disk that the sources are on: a temporary folder may be in memory.
    shell.create_dir("target/bench")?;
    match flags.subcommand {
        BenchCmd::Store(flags::Store { quick, ref only }) => {
            let mut arguments =
                vec!["store", "--directory", "target/bench/store", "--output", "target/bench/store.json"];
            arguments.extend(only.iter().flat_map(|case| ["--only", case]));
            measure(shell, "rivals", "constellation-benches", &arguments, quick)
        }
        BenchCmd::Lang(flags::Lang { quick }) => {
            let arguments = ["--output", "target/bench/lang.json"];
            measure(shell, "language", "constellation-benches-language", &arguments, quick)
        }
        BenchCmd::Runtime(flags::Runtime { quick }) => {
            let arguments = ["--output", "target/bench/runtime.json"];
            measure(shell, "execution", "constellation-benches-execution", &arguments, quick)
        }
        BenchCmd::Http(flags::Http { quick }) => {
            dist::run(shell)?;
            let [server, measuring] = ["constellation", "constellation-benches-service"].map(dist::program);
            let quick = quick.then_some("--quick");
            cmd!(
                shell,
                "{measuring} measure --binary {server} --directory target/bench/http
                 --output target/bench/http.json {quick...}"
            )
            .run()?;
            Ok(())
        }
    }
}

/// Builds a program of the benchmarks with its feature, and runs it.
fn measure(
    shell: &Shell,
    feature: &str,
    program: &str,
    arguments: &[&str],
    quick: bool,
) -> anyhow::Result<()> {
    let quick = quick.then_some("--quick");
    cmd!(
        shell,
        "cargo run --release --package constellation-benches --features {feature} --bin {program} --
         {arguments...} {quick...}"
    )
    .run()?;
    Ok(())
}
