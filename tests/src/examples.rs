//! The example pipelines, each with its cases beside it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// An example pipeline.
#[derive(Debug)]
pub struct Example {
    /// The name that the startup loader gives it.
    pub name: String,
    /// What it is called with, and what it answers.
    pub cases: Vec<Case>,
}

/// A call of an example.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub description: String,
    /// The inputs by name.
    pub inputs: Value,
    /// The outputs by name, all of them.
    pub outputs: Value,
}

/// Where the examples are.
pub fn examples_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/pipelines")
}

/// Where the reference implementation's example programs are. Some call demonstration modules, and have cases that fail.
pub fn reference_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/reference")
}

/// All examples, sorted by name.
///
/// # Errors
///
/// Those of [`examples_in`].
pub fn examples() -> anyhow::Result<Vec<Example>> {
    examples_in(&examples_directory())
}

/// All examples of a directory, sorted by name.
///
/// # Errors
///
/// When there is none, a pipeline has no cases, or a file cannot be read.
pub fn examples_in(directory: &Path) -> anyhow::Result<Vec<Example>> {
    let mut examples = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "cst") {
            continue;
        }
        let cases_path = path.with_extension("examples.json");
        let text = fs::read_to_string(&cases_path)
            .with_context(|| format!("{} has no cases in {}", path.display(), cases_path.display()))?;
        let cases: Vec<Value> = serde_json::from_str(&text).context(cases_path.display().to_string())?;
        ensure!(!cases.is_empty(), "{} has no case", cases_path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let cases = cases.into_iter().map(|mut case| Case {
            description: case["description"].as_str().unwrap_or("no description").to_owned(),
            inputs: case["inputs"].take(),
            outputs: case["outputs"].take(),
        });
        examples.push(Example { name, cases: cases.collect() });
    }
    examples.sort_by(|left, right| left.name.cmp(&right.name));
    ensure!(!examples.is_empty(), "there are no examples in {}", directory.display());
    Ok(examples)
}

/// Copies the sources of the examples, so that a test may change them.
///
/// # Errors
///
/// When a file cannot be copied.
pub fn copy_sources(to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(examples_directory())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cst") {
            fs::copy(&path, to.join(path.file_name().context("a file has a name")?))?;
        }
    }
    Ok(())
}
