//! `cargo xtask codegen`: documents that are made from code.
//!
//! Each is printed by an example of the crate that it is about, since nothing here knows how a crate works inside.

use anyhow::bail;
use xshell::{Shell, cmd};

/// A document and who prints it.
struct Page {
    path: &'static str,
    package: &'static str,
    example: &'static str,
}

const PAGES: &[Page] = &[
    Page { path: "docs/errors.md", package: "constellation-lang", example: "error-reference" },
    Page { path: "docs/stdlib.md", package: "constellation-stdlib", example: "reference" },
    Page { path: "docs/openapi.json", package: "constellation-server", example: "openapi" },
];

/// Writes the documents, or only looks whether they are as they would be written.
pub(crate) fn run(shell: &Shell, check: bool) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for Page { path, package, example } in PAGES {
        let text = cmd!(shell, "cargo run --quiet --package {package} --example {example}").read()? + "\n";
        if shell.path_exists(path) && shell.read_file(path)? == text {
            continue;
        }
        if check {
            stale.push(*path);
        } else {
            shell.write_file(path, text)?;
        }
    }
    if !stale.is_empty() {
        bail!("{} does not say what the code says; run `cargo xtask codegen`", stale.join(", "));
    }
    Ok(())
}
