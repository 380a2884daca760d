//! Tools that are no part of the workspace, in fixed versions.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

/// Installs a subcommand of cargo where this version of it is missing.
pub(crate) fn install(shell: &Shell, subcommand: &str, version: &str) -> anyhow::Result<()> {
    let name = format!("cargo-{subcommand}");
    let installed =
        cmd!(shell, "cargo {subcommand} --version").quiet().ignore_status().ignore_stderr().read()?;
    if installed != format!("{name} {version}") {
        cmd!(shell, "cargo install --locked {name} --version {version}").run()?;
    }
    Ok(())
}

/// The tool of the compiler's own LLVM that merges profiles; installed where it is missing.
pub(crate) fn llvm_profdata(shell: &Shell, host: &str) -> anyhow::Result<PathBuf> {
    let sysroot = cmd!(shell, "rustc --print sysroot").quiet().read()?;
    let path = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !path.exists() {
        cmd!(shell, "rustup component add llvm-tools").run()?;
    }
    Ok(path)
}

/// Installs a toolchain where it is missing.
pub(crate) fn install_toolchain(shell: &Shell, name: &str) -> anyhow::Result<()> {
    let is_installed =
        cmd!(shell, "cargo +{name} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    if !is_installed {
        cmd!(shell, "rustup toolchain install {name} --profile minimal").run()?;
    }
    Ok(())
}
