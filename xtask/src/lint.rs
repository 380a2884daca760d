//! `cargo xtask lint`: everything that is checked without running a test.

use xshell::{Shell, cmd};

use crate::test::DOWNSTREAM;
use crate::{codegen, tidy};

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    // The cheapest first, so that a slip in layout is not reported after minutes of compiling.
    cmd!(shell, "cargo fmt --all -- --check").run()?;
    cmd!(shell, "cargo fmt --manifest-path {DOWNSTREAM} --all -- --check").run()?;
    tidy::run(shell)?;
    // The level is set by an argument of clippy: `RUSTFLAGS` would rebuild every dependency.
    cmd!(shell, "cargo clippy --workspace --all-targets --all-features -- -D warnings").run()?;
    cmd!(shell, "cargo clippy --manifest-path {DOWNSTREAM} --target-dir target --all-targets -- -D warnings")
        .run()?;
    // The same features as clippy, so that dependencies are not checked a second time.
    cmd!(shell, "cargo doc --workspace --no-deps --all-features").env("RUSTDOCFLAGS", "-D warnings").run()?;
    codegen::run(shell, true)
}
