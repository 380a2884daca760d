//! Benchmarks of loading and running pipelines; `cargo xtask bench runtime` builds and runs it.
//!
//! Everything runs on one thread, and nothing listens to tracing. Allocations are counted by an allocator that makes
//! each of them a little slower, for us and for the floors alike.

mod allocations;
mod cases;
mod pipelines;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use constellation_benches::report::Report;

mod flags {
    //! The command line.

    use std::path::PathBuf;

    xflags::xflags! {
        /// Benchmarks of runs; run it through `cargo xtask bench runtime`.
        cmd execution {
            /// Fewer rounds.
            optional --quick
            /// Where the JSON goes.
            required --output output: PathBuf
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place that reports a failure to the developer")]
fn main() -> ExitCode {
    let flags::Execution { quick, output } = flags::Execution::from_env_or_exit();
    match measure(quick, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is the output of the program")]
fn measure(quick: bool, output: &Path) -> anyhow::Result<()> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut rows = cases::chains(&executor, quick)?;
    rows.extend(cases::grid(&executor, quick)?);
    rows.extend(cases::many(&executor, quick)?);
    rows.extend(cases::loading(quick)?);
    rows.extend(allocations::of_runs(&executor)?);
    let report = Report { quick, rows };
    std::fs::write(output, report.to_json()).with_context(|| format!("writing {}", output.display()))?;
    print!("{}", report.to_table());
    Ok(())
}
