//! `cargo xtask tidy`: rules of the workspace that the compiler and clippy do not know.
//!
//! Each check is a function from what was read (manifests or source text) to violations. Allow lists
//! are data with a reason for each entry, and an entry that allows nothing is a violation itself, so
//! that a list never outlives its cause.

mod duplicates;
mod features;
mod forbidden_calls;
mod graph;
mod layers;
mod licences;
mod module_docs;
mod sources;
mod text;

use std::fmt;

use anyhow::bail;
use xshell::Shell;

use crate::tidy::graph::Graph;
use crate::tidy::sources::SourceFile;

/// One broken rule: where, which rule, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// Path from the root of the workspace.
    pub(crate) path: String,
    /// Counted from 1; 0 where the rule is about the file as a whole.
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, message } = self;
        match line {
            0 => write!(formatter, "{path}: {rule}: {message}"),
            _ => write!(formatter, "{path}:{line}: {rule}: {message}"),
        }
    }
}

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let root = shell.current_dir();
    let graph = Graph::read(&root)?;
    let files = SourceFile::read_all(&root)?;

    let mut violations = layers::check(&graph, layers::LAYERS, layers::RESERVED);
    violations.extend(licences::check(&graph, licences::ALLOWED));
    violations.extend(duplicates::check(&graph, duplicates::ALLOWED));
    violations.extend(features::check(&graph, features::BANS));
    violations.extend(module_docs::check(&files));
    violations.extend(forbidden_calls::check(&files, forbidden_calls::BANS));
    violations.extend(text::check(&files));
    violations.sort();

    if violations.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    bail!("{} broken rules of the workspace\n{}", lines.len(), lines.join("\n"));
}
