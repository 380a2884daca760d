//! Benchmarks of the store beside rival engines; `cargo xtask bench store` builds and runs it.
//!
//! Each contender does the same work on the same data in the same run, and turns are taken operation by operation,
//! in an order that changes, so that a disk that slows down does so for all. Only ratios within one run say
//! something. Nothing is deleted between measurements: ext4 is slower for minutes after files were deleted.

mod cases;
mod process;
mod rivals;
mod settings;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use constellation_benches::report::Report;

use crate::settings::Settings;

mod flags {
    //! The command line.

    use std::path::PathBuf;

    xflags::xflags! {
        /// Benchmarks beside rivals; run it through `cargo xtask bench`.
        cmd benches {
            /// The stores of pipelines.
            cmd store {
                /// Smaller counts and fewer rounds.
                optional --quick
                /// One case alone: `publish`, `burst`, `open`, `lookup`, `growth` or `alias`.
                optional --only only: String
                /// Where the stores are made; on the disk that is to be measured. All of it is removed at the end.
                required --directory directory: PathBuf
                /// Where the JSON goes.
                required --output output: PathBuf
            }
            /// Used by the program itself: opens what is in a directory in one way, and tells what it took.
            cmd probe {
                /// The way.
                required way: String
                /// The directory.
                required directory: PathBuf
            }
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place that reports a failure to the developer")]
fn main() -> ExitCode {
    let result = match flags::Benches::from_env_or_exit().subcommand {
        flags::BenchesCmd::Store(flags::Store { quick, only, directory, output }) => {
            measure(quick, only, &directory, &output)
        }
        flags::BenchesCmd::Probe(flags::Probe { way, directory }) => process::answer(&way, &directory),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is the output of the program")]
fn measure(quick: bool, only: Option<String>, directory: &Path, output: &Path) -> anyhow::Result<()> {
    // What a stopped run left is removed at the end: removed now, it would slow this run down.
    let run = directory.join(std::process::id().to_string());
    std::fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    std::fs::create_dir(&run).with_context(|| format!("making {}; remove what is there", run.display()))?;
    let settings = Settings { quick, only, directory: run };
    let mut report = Report { quick, rows: Vec::new() };
    let save = |report: &Report| {
        std::fs::write(output, report.to_json()).with_context(|| format!("writing {}", output.display()))
    };
    let result = cases::run(&settings, &mut report, save);
    // What was measured is told also when a later case failed.
    print!("{}", report.to_table());
    result?;
    remove(directory)
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", directory.display()))
        }
        _ => Ok(()),
    }
}
