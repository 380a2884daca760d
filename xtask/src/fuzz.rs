//! `cargo xtask fuzz`: the fuzz targets, for longer than the tests run them.

use xshell::{Shell, cmd};

use crate::flags::Fuzz;
use crate::tools;

const CARGO_FUZZ_VERSION: &str = "0.13.2";

/// Tells the tests which target to fuzz.
const TARGET_VARIABLE: &str = "CONSTELLATION_FUZZ_TARGET";
/// Tells the tests for how long.
const SECONDS_VARIABLE: &str = "CONSTELLATION_FUZZ_SECONDS";

const TARGETS: [&str; 5] = ["lexer", "parser", "checker", "image", "runtime"];

pub(crate) fn run(shell: &Shell, flags: &Fuzz) -> anyhow::Result<()> {
    let seconds = flags.seconds.unwrap_or(60).to_string();
    let target = flags.target.as_deref();
    if let Some(target) = target {
        anyhow::ensure!(TARGETS.contains(&target), "no target is called `{target}`; there are {TARGETS:?}");
    }
    if !flags.nightly {
        let _target = target.map(|target| shell.push_env(TARGET_VARIABLE, target));
        let _seconds = shell.push_env(SECONDS_VARIABLE, &seconds);
        cmd!(shell, "cargo test --release --package constellation-properties --test all fuzz -- --nocapture")
            .run()?;
        return Ok(());
    }
    tools::install_toolchain(shell, "nightly")?;
    tools::install(shell, "fuzz", CARGO_FUZZ_VERSION)?;
    for name in TARGETS.into_iter().filter(|name| target.is_none_or(|target| target == *name)) {
        // What it finds new goes into the first folder, which is not checked in.
        let (found, corpus) = (format!("fuzz/corpus/{name}"), format!("properties/tests/corpus/{name}"));
        shell.create_dir(&found)?;
        cmd!(
            shell,
            "cargo +nightly fuzz run --fuzz-dir fuzz {name} {found} {corpus} -- -max_total_time={seconds}"
        )
        .run()?;
    }
    Ok(())
}
