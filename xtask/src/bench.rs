//! `cargo xtask bench`: measurements beside rivals, which are no tests and fail for no figure.

use xshell::{Shell, cmd};

use crate::flags::{Bench, BenchCmd, Lang, Store};

pub(crate) fn run(shell: &Shell, flags: &Bench) -> anyhow::Result<()> {
    match flags.subcommand {
        BenchCmd::Store(Store { quick }) => {
            let quick = quick.then_some("--quick");
            // Below `target`, so on the disk that the sources are on: a temporary folder may be in memory.
            let (directory, output) = ("target/bench/store", "target/bench/store.json");
            cmd!(
                shell,
                "cargo run --release --package constellation-benches --features rivals --bin constellation-benches --
                 store --directory {directory} --output {output} {quick...}"
            )
            .run()?;
        }
        BenchCmd::Lang(Lang { quick }) => {
            let quick = quick.then_some("--quick");
            shell.create_dir("target/bench")?;
            cmd!(
                shell,
                "cargo run --release --package constellation-benches --features language
                 --bin constellation-benches-language -- --output target/bench/lang.json {quick...}"
            )
            .run()?;
        }
    }
    Ok(())
}
