//! `cargo xtask dist`: the server as it is delivered, optimized by what it does when it works.
//!
//! It is built twice: first so that it counts, then, when it has worked, so that what it did often stands together and
//! is fast: the instructions of a request are far apart otherwise, and it waits for them (see docs/decisions.md, 83).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use xshell::{Shell, cmd};

use crate::tools;

/// Where programs are left.
pub(crate) const DIRECTORY: &str = "target/dist";

/// What is built: the server, and the program that has it work. That one is also the floor of the server's benchmark,
/// which is optimized in the same way.
const PROGRAMS: [&str; 2] = ["constellation", "constellation-benches-service"];

/// Where all else goes.
const WORK: &str = "target/pgo";

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let host = host(shell)?;
    let profdata = tools::llvm_profdata(shell, &host)?;
    let work = shell.current_dir().join(WORK);
    let (raw, merged) = (work.join("raw"), work.join("merged.profdata"));
    let built = work.join(&host).join("dist");
    shell.remove_path(&raw)?;
    build(shell, &host, "profile-generate", &raw)?;
    let [server, trainer] = PROGRAMS.map(|program| built.join(program));
    let stores = work.join("train");
    cmd!(shell, "{trainer} train --binary {server} --directory {stores} --examples examples/pipelines")
        .run()?;
    cmd!(shell, "{profdata} merge --output {merged} {raw}").run()?;
    build(shell, &host, "profile-use", &merged)?;
    shell.create_dir(DIRECTORY)?;
    for program in PROGRAMS {
        shell.copy_file(built.join(program), DIRECTORY)?;
    }
    Ok(())
}

/// Builds the programs with a codegen option about profiles. Names a target, so that build scripts are built without it.
fn build(shell: &Shell, host: &str, option: &str, path: &Path) -> anyhow::Result<()> {
    let option = format!("-C{option}={}", path.display());
    let programs = PROGRAMS.iter().flat_map(|program| ["--bin", program]);
    cmd!(
        shell,
        "cargo build --locked --profile dist --target {host} --target-dir {WORK} --package constellation
         --package constellation-benches --features constellation-benches/service {programs...}"
    )
    .env("CARGO_ENCODED_RUSTFLAGS", option)
    .run()?;
    Ok(())
}

/// The target of this machine, such as `x86_64-unknown-linux-gnu`.
fn host(shell: &Shell) -> anyhow::Result<String> {
    let version = cmd!(shell, "rustc --version --verbose").quiet().read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc tells its host")
}

/// A program that was built.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}
