//! `cargo xtask mutants`: changes the code of the stores bit by bit, and tells which changes no test notices.

mod survivors;

use std::iter;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use xshell::{Shell, cmd};

use self::survivors::Outcome;
use crate::flags::Mutants;
use crate::tools;

const VERSION: &str = "27.1.0";

/// The survivors that are known, each with its reason.
const ACCEPTED: &str = ".cargo/mutants-accepted.txt";

struct Target {
    /// The folder of the crate whose code is mutated.
    folder: &'static str,
    /// Which files of the crate, as arguments of `cargo mutants`.
    files: &'static [&'static str],
    /// The folder of the crate whose tests must notice.
    tests: &'static str,
    /// Files of tests of that crate that are left out.
    without: &'static [&'static str],
}

const TARGETS: &[Target] = &[
    Target { folder: "store-core", files: &["--exclude=ext.rs"], tests: "store-core", without: &[] },
    // What callers of a store use is tested on a store, by the conformance suite.
    Target { folder: "store-core", files: &["--file=ext.rs"], tests: "store-mem", without: &[] },
    Target { folder: "store-mem", files: &[], tests: "store-mem", without: &[] },
    // One takes minutes, and the other tells whether the rest finds bugs.
    Target { folder: "store-fs", files: &[], tests: "store-fs", without: &["crash", "seeded_bugs"] },
];

pub(crate) fn run(shell: &Shell, flags: &Mutants) -> anyhow::Result<()> {
    for name in &flags.package {
        ensure!(
            TARGETS.iter().any(|target| target.folder == name),
            "mutants of '{name}' are not tested; name one of store-core, store-mem and store-fs",
        );
    }
    tools::install(shell, "mutants", VERSION)?;
    let accepted = survivors::parse(&shell.read_file(ACCEPTED)?).context(ACCEPTED)?;
    let mut outcome = Outcome::default();
    let is_chosen =
        |target: &&Target| flags.package.is_empty() || flags.package.iter().any(|name| name == target.folder);
    for target in TARGETS.iter().filter(is_chosen) {
        test(shell, target, flags.shard.as_deref(), &mut outcome)?;
        if flags.shard.is_none() {
            outcome.whole.insert(format!("crates/{}/", target.folder));
        }
    }
    let complaints = survivors::judge(&accepted, &outcome);
    ensure!(complaints.is_empty(), "see docs/testing.md:\n{}", complaints.join("\n"));
    Ok(())
}

/// Tests mutants, and adds what became of them.
fn test(shell: &Shell, target: &Target, shard: Option<&str>, outcome: &mut Outcome) -> anyhow::Result<()> {
    let &Target { folder, files, tests, without } = target;
    let output = shell.current_dir().join(format!("target/mutants/{folder}-by-{tests}"));
    shell.create_dir(&output)?;
    let selection = selection(shell, tests, without)?;
    let selection = selection.iter().map(|argument| format!("--cargo-arg={argument}"));
    let part = shard.map(|shard| format!("--shard={shard}"));
    let command = cmd!(
        shell,
        "cargo mutants --package constellation-{folder} --test-package constellation-{tests}
         --output {output} {files...} {selection...} {part...}"
    );
    // Each run copies the sources to another place; what they depend on need not be built anew for that.
    let command = command.env("CARGO_TARGET_DIR", shell.current_dir().join("target/mutants/build"));
    let status = Command::from(command).status().context("cargo mutants does not start")?;
    // 2 and 3 say that mutants survived or ran without end, which is judged in the end.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        bail!("cargo mutants failed: {status}");
    }
    let read = |file: &str| -> anyhow::Result<Vec<String>> {
        let text = shell.read_file(output.join("mutants.out").join(file))?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    outcome.survived.extend(read("missed.txt")?);
    outcome.caught.extend(read("caught.txt")?);
    outcome.caught.extend(read("timeout.txt")?);
    Ok(())
}

/// The tests of a crate, as arguments of `cargo test`, without those in the examples of its documentation: these show the
/// use of an interface, and are compiled anew for each mutant.
fn selection(shell: &Shell, folder: &str, without: &[&str]) -> anyhow::Result<Vec<String>> {
    let directory = format!("crates/{folder}/tests");
    let files = if shell.path_exists(&directory) { shell.read_dir(&directory)? } else { Vec::new() };
    let is_test = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "rs");
    let files = files.into_iter().filter(is_test);
    let names = files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()));
    let names = names.filter(|name| !without.contains(&name.as_str()));
    Ok(iter::once("--lib".to_owned()).chain(names.map(|name| format!("--test={name}"))).collect())
}
