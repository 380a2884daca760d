//! Benchmarks of the server over HTTP; `cargo xtask bench http` builds and runs it.
//!
//! The server is the binary as it is delivered. Beside it runs a floor: axum routes that parse the same bodies and
//! answer the same bytes. wrk makes the load where it is as high as can be, in rounds that take turns.

mod capacity;
mod connection;
mod floor;
mod load;
mod paced;
mod process;
mod programs;
mod rates;
mod train;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use constellation_benches::disk::wait_for_old_deletions;
use constellation_benches::report::Report;

/// That of the server, so that the floor has no slower one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod flags {
    //! The command line.

    use std::path::PathBuf;

    xflags::xflags! {
        /// Benchmarks of the server; run it through `cargo xtask bench http`.
        cmd service {
            /// Measures, and prints the table.
            cmd measure {
                /// Smaller counts and fewer rounds.
                optional --quick
                /// The server.
                required --binary binary: PathBuf
                /// Where stores are.
                required --directory directory: PathBuf
                /// Where the JSON goes.
                required --output output: PathBuf
            }
            /// Has a server and the floor work, so that a compiler can learn from what they did.
            cmd train {
                /// The server.
                required --binary binary: PathBuf
                /// Where stores are.
                required --directory directory: PathBuf
                /// Where example pipelines are.
                required --examples examples: PathBuf
            }
            /// Serves the floor.
            cmd floor {
                /// Answers by route, as JSON.
                required --answers answers: PathBuf
            }
        }
    }
}

/// What the command line asks for.
#[derive(Debug)]
struct Settings {
    quick: bool,
    binary: std::path::PathBuf,
    directory: std::path::PathBuf,
    /// Stores that were begun.
    n_stores: AtomicUsize,
}

impl Settings {
    /// Where a new store goes.
    ///
    /// Each measurement has one of its own: what an earlier one left would be checked in the background meanwhile.
    /// Nothing is deleted between measurements, since ext4 is slower for minutes after files were deleted.
    fn new_store(&self) -> std::path::PathBuf {
        self.directory.join("stores").join(self.n_stores.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

#[expect(clippy::print_stderr, reason = "the one place that reports a failure to the developer")]
fn main() -> ExitCode {
    let settings =
        |quick, binary, directory| Settings { quick, binary, directory, n_stores: AtomicUsize::new(0) };
    let result = match flags::Service::from_env_or_exit().subcommand {
        flags::ServiceCmd::Floor(flags::Floor { answers }) => floor::serve(&answers),
        flags::ServiceCmd::Measure(flags::Measure { quick, binary, directory, output }) => {
            let settings = settings(quick, binary, directory);
            with_stores(&settings, |settings| measure(settings, &output))
        }
        flags::ServiceCmd::Train(flags::Train { binary, directory, examples }) => {
            with_stores(&settings(true, binary, directory), |settings| train::train(settings, &examples))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does some work, and removes the stores that it leaves.
fn with_stores(
    settings: &Settings,
    work: impl FnOnce(&Settings) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stores = settings.directory.join("stores");
    // An earlier measurement may have been stopped.
    if stores.exists() {
        std::fs::remove_dir_all(&stores)?;
    }
    std::fs::create_dir_all(&stores)?;
    work(settings)?;
    std::fs::remove_dir_all(&stores)?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is the output of the program")]
fn measure(settings: &Settings, output: &Path) -> anyhow::Result<()> {
    wait_for_old_deletions(&settings.new_store())?;
    let mut rows = rates::answers(settings)?;
    rows.extend(rates::compilations(settings)?);
    rows.extend(capacity::of_stored(settings)?);
    let report = Report { quick: settings.quick, rows };
    std::fs::write(output, report.to_json()).with_context(|| format!("writing {}", output.display()))?;
    print!("{}", report.to_table());
    Ok(())
}
