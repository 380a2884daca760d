//! Developer commands of the workspace, run as `cargo xtask COMMAND`.
//!
//! **Must not know:** how any crate works inside; it sees manifests, source text and cargo.

mod bench;
mod codegen;
mod crash;
mod dist;
mod flags;
mod fuzz;
mod lint;
mod mutants;
mod test;
mod tidy;
mod tools;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use xshell::Shell;

use crate::flags::{Xtask, XtaskCmd};

#[expect(clippy::print_stderr, reason = "the one place that reports a failure to the developer")]
fn main() -> ExitCode {
    match run(&Xtask::from_env_or_exit()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Xtask) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?;
    let shell = Shell::new()?;
    shell.change_dir(root);
    match &flags.subcommand {
        XtaskCmd::Test(flags) => test::run(&shell, &flags.args),
        XtaskCmd::Lint(_) => lint::run(&shell),
        XtaskCmd::Codegen(flags) => codegen::run(&shell, flags.check),
        XtaskCmd::Dist(_) => dist::run(&shell),
        XtaskCmd::Bench(flags) => bench::run(&shell, flags),
        XtaskCmd::Crash(flags) => crash::run(&shell, flags),
        XtaskCmd::Fuzz(flags) => fuzz::run(&shell, flags),
        XtaskCmd::Mutants(flags) => mutants::run(&shell, flags),
        XtaskCmd::Tidy(_) => tidy::run(&shell),
    }
}
