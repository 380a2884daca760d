//! `cargo xtask bench`: measurements beside rivals, which are no tests and fail for no figure.

use xshell::{Shell, cmd};

use crate::flags::{self, Bench, BenchCmd};
use crate::tools;

pub(crate) fn run(shell: &Shell, flags: &Bench) -> anyhow::Result<()> {
    // Below `target`, so on the disk that the sources are on: a temporary folder may be in memory.
    shell.create_dir("target/bench")?;
    match flags.subcommand {
        BenchCmd::Store(flags::Store { quick }) => {
            let quick = quick.then_some("--quick");
            let (directory, output) = ("target/bench/store", "target/bench/store.json");
            cmd!(
                shell,
                "cargo run --release --package constellation-benches --features rivals --bin constellation-benches --
                 store --directory {directory} --output {output} {quick...}"
            )
            .run()?;
        }
        BenchCmd::Lang(flags::Lang { quick }) => {
            let quick = quick.then_some("--quick");
            cmd!(
                shell,
                "cargo run --release --package constellation-benches --features language
                 --bin constellation-benches-language -- --output target/bench/lang.json {quick...}"
            )
            .run()?;
        }
        BenchCmd::Runtime(flags::Runtime { quick }) => {
            let quick = quick.then_some("--quick");
            cmd!(
                shell,
                "cargo run --release --package constellation-benches --features execution
                 --bin constellation-benches-execution -- --output target/bench/runtime.json {quick...}"
            )
            .run()?;
        }
        BenchCmd::Http(flags::Http { quick }) => {
            let quick = quick.then_some("--quick");
            let oha = tools::install_here(shell, "oha", "1.16.0")?;
            cmd!(shell, "cargo build --release --package constellation").run()?;
            cmd!(
                shell,
                "cargo run --release --package constellation-benches --features service
                 --bin constellation-benches-service -- measure --binary target/release/constellation --oha {oha}
                 --directory target/bench/http --output target/bench/http.json {quick...}"
            )
            .run()?;
        }
    }
    Ok(())
}
