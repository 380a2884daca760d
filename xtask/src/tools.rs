//! Tools that are no part of the workspace, in fixed versions.

use std::path::PathBuf;

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

/// Installs a program below `target` where this version of it is missing there, and gives its path.
pub(crate) fn install_here(shell: &Shell, name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let root = shell.current_dir().join(format!("target/tools/{name}-{version}"));
    let program = root.join("bin").join(name);
    if !shell.path_exists(&program) {
        cmd!(shell, "cargo install --locked {name} --version {version} --root {root}").run()?;
    }
    Ok(program)
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
