//! `cargo xtask test`: the tests of the workspace, then each crate alone, then a workspace outside of it.

use std::ffi::OsString;

use anyhow::Context as _;
use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{Message, MetadataCommand};
use xshell::{Shell, cmd};

/// Tells the end-to-end tests which binary to drive.
const BINARY_VARIABLE: &str = "CONSTELLATION_BIN";
const BINARY_PACKAGE: &str = "constellation";

/// The workspace that depends on the crates from outside.
pub(crate) const DOWNSTREAM: &str = "examples/downstream/Cargo.toml";

pub(crate) fn run(shell: &Shell, args: &[OsString]) -> anyhow::Result<()> {
    let binary = build(shell)?;
    cmd!(shell, "cargo test --workspace {args...}").env(BINARY_VARIABLE, binary).run()?;
    // Arguments narrow a run down to what somebody is working on.
    if !args.is_empty() {
        return Ok(());
    }
    check_each_crate_alone(shell)?;
    test_downstream(shell)
}

/// Tests the workspace that uses the crates as a stranger's does. It has a lock file of its own, and shares what is
/// built.
fn test_downstream(shell: &Shell) -> anyhow::Result<()> {
    cmd!(shell, "cargo test --manifest-path {DOWNSTREAM} --target-dir target").run()?;
    Ok(())
}

/// Builds the binary and the tests together, so that both share one set of dependencies: on its own,
/// the binary would be built with other features and all below it compiled twice.
fn build(shell: &Shell) -> anyhow::Result<Utf8PathBuf> {
    let messages =
        cmd!(shell, "cargo build --workspace --bins --tests --message-format json-render-diagnostics")
            .read()?;
    let mut binary = None;
    for message in Message::parse_stream(messages.as_bytes()) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.is_bin()
            && artifact.target.name == BINARY_PACKAGE
            // The same target is also built as a harness for its unit tests.
            && !artifact.profile.test
        {
            binary = artifact.executable;
        }
    }
    binary.with_context(|| format!("cargo built no binary named `{BINARY_PACKAGE}`"))
}

/// A workspace build gives each crate the features that any other crate asks for, so a crate that
/// forgot a feature compiles there and fails for whoever depends on it alone. Checking finds that as
/// surely as testing again would: the same code has already run.
///
/// Without `--all-targets` first, since dev-dependencies lend their features too.
fn check_each_crate_alone(shell: &Shell) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().current_dir(shell.current_dir()).no_deps().exec()?;
    for package in metadata.workspace_default_packages() {
        let name = package.name.as_str();
        cmd!(shell, "cargo check --quiet --package {name}").run()?;
        cmd!(shell, "cargo check --quiet --package {name} --all-targets").run()?;
    }
    Ok(())
}
