//! `cargo xtask crash`: what is tried of crashes beyond the daily tests, in a release build.

use xshell::{Shell, cmd};

use crate::flags::Crash;

/// Tells the tests how much to try and to tell.
const VARIABLE: &str = "CONSTELLATION_CRASH";
/// Tells the tests which part of it to try.
const SHARD_VARIABLE: &str = "CONSTELLATION_CRASH_SHARD";
/// Tells the tests where to note what they have done, to go on there after an interruption.
const PROGRESS_VARIABLE: &str = "CONSTELLATION_CRASH_PROGRESS";
/// Where that is.
const PROGRESS_DIRECTORY: &str = "target/crash";

pub(crate) fn run(shell: &Shell, flags: &Crash) -> anyhow::Result<()> {
    let _shard = flags.shard.as_ref().map(|shard| shell.push_env(SHARD_VARIABLE, shard));
    let progress = shell.current_dir().join(PROGRESS_DIRECTORY);
    let _progress = shell.push_env(PROGRESS_VARIABLE, progress);
    // Without a flag both, the quicker one first.
    let is_both = flags.full == flags.seeded_bugs;
    if flags.seeded_bugs || is_both {
        run_test(shell, "seeded_bugs", "table")?;
    }
    if flags.full || is_both {
        run_test(shell, "crash", "full")?;
    }
    Ok(())
}

fn run_test(shell: &Shell, test: &str, value: &str) -> anyhow::Result<()> {
    cmd!(shell, "cargo test --release --package constellation-store-fs --test {test} -- --nocapture")
        .env(VARIABLE, value)
        .run()?;
    Ok(())
}
