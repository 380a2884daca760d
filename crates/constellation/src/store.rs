//! The commands on a store: `constellation store ...`.
//!
//! Each gives an [`Answer`], which is printed here: data to standard output, everything else to standard error.

mod archive;
mod check;
mod look;
mod progress;
mod tidy;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use constellation_store_core::{ErrorKind, PipelineStore as _, StoreError};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::archive::{Occupant, occupant};
use constellation_store_fs::vfs::{RealVfs, Vfs};
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

use crate::args::{LogFormat, StoreArgs, StoreCommand};
use crate::{config, logging};

/// Something was found: damage, or that there is no such pipeline.
const FOUND: u8 = 1;
/// It could not be done.
pub(crate) const FAILED: u8 = 2;

/// What a command came to.
#[derive(Debug)]
struct Answer {
    code: u8,
    /// For `--json`.
    json: Value,
    /// For people.
    text: String,
}

impl Answer {
    fn done(json: Value, text: String) -> Self {
        Self { code: 0, json, text }
    }

    fn found(json: Value, text: String) -> Self {
        Self { code: FOUND, json, text }
    }
}

pub(crate) fn run(args: StoreArgs, variable: impl Fn(&str) -> Option<OsString>) -> ExitCode {
    let StoreArgs { store, json, command } = args;
    let answer = config::store_directory(store, variable).and_then(|directory| {
        logging::start(LogFormat::Text, LevelFilter::OFF)?;
        answer(&directory, json, command)
    });
    let (code, written) = match answer {
        Ok(Answer { code, json: value, text }) => (code, if json { document(&value) } else { text }),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            let kind = error.downcast_ref::<StoreError>().map(|error| error.kind().to_string());
            (FAILED, if json { failure(kind.as_deref(), &format!("{error:#}")) } else { String::new() })
        }
    };
    print(code, &written)
}

/// Answers a command line that makes no sense, which was told on standard error.
pub(crate) fn refuse(arguments: impl Iterator<Item = OsString>, problem: &str) -> ExitCode {
    // What comes after `--` is no option.
    let wants_json = arguments.take_while(|argument| argument != "--").any(|argument| argument == "--json");
    let message = problem.trim_end().trim_start_matches("error: ");
    print(FAILED, &if wants_json { failure(Some("bad arguments"), message) } else { String::new() })
}

/// The document of a command that could not be done.
fn failure(kind: Option<&str>, message: &str) -> String {
    document(&json!({ "error": { "kind": kind, "message": message } }))
}

/// Writes to standard output, and ends with the code, unless that cannot be written.
pub(crate) fn print(code: u8, written: &str) -> ExitCode {
    match io::stdout().write_all(written.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: cannot write to standard output: {error}");
            ExitCode::from(FAILED)
        }
        _ => ExitCode::from(code),
    }
}

fn answer(directory: &Path, json: bool, command: StoreCommand) -> anyhow::Result<Answer> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("no thread can be started")?;
    runtime.block_on(async {
        match command {
            StoreCommand::Ls => look::ls(directory).await,
            StoreCommand::Show { reference } => look::show(directory, &reference).await,
            StoreCommand::Versions { name } => look::versions(directory, &name).await,
            StoreCommand::Verify { repair: false } => check::verify(directory),
            StoreCommand::Verify { repair: true } => check::repair(directory).await,
            StoreCommand::Gc { dry_run, older_than } => tidy::gc(directory, dry_run, &older_than).await,
            StoreCommand::Prune { name, all: _, keep, dry_run } => {
                tidy::prune(directory, name.as_deref(), keep, dry_run).await
            }
            StoreCommand::Export { file } => archive::export(directory, &file, json),
            StoreCommand::Import { file } => archive::import(directory, &file).await,
        }
    })
}

fn document(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("JSON values serialize");
    text.push('\n');
    text
}

/// Tells something that is no answer.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "warning: {text}");
}

fn vfs(directory: &Path) -> Arc<dyn Vfs> {
    Arc::new(RealVfs::new(directory))
}

/// Opens a store that is there, to read it.
async fn open_to_read(directory: &Path) -> anyhow::Result<FileSystemPipelineStore> {
    require(directory)?;
    let store = FileSystemPipelineStore::options().read_only(true).open(directory)?;
    tell_found(&store.status().await?.warnings);
    Ok(store)
}

/// Opens a store that is there, to change it; `beside` is what can be done while another process has it.
async fn open_to_write(directory: &Path, beside: &'static str) -> anyhow::Result<FileSystemPipelineStore> {
    require(directory)?;
    let store = FileSystemPipelineStore::options()
        .commit_on_caller(true)
        .open(directory)
        .map_err(|error| advise(error, beside))?;
    let status = store.status().await?;
    for warning in &status.warnings {
        warn(warning);
    }
    if let Some(reason) = status.read_only {
        bail!("the store only reads: {reason}");
    }
    Ok(store)
}

/// Says what to do when another process has the store.
fn advise(error: StoreError, beside: &'static str) -> anyhow::Error {
    let is_locked = error.kind() == ErrorKind::Locked;
    let error = anyhow::Error::from(error);
    if is_locked { error.context(beside) } else { error }
}

/// Tells what was found in a store that is only read, so that it stays as it is, and where there is advice.
fn tell_found(warnings: &[String]) {
    for warning in warnings {
        warn(warning);
    }
    if !warnings.is_empty() {
        warn(
            "the store was left as it is; 'constellation store verify' tells what to do, and 'store verify --repair' does it",
        );
    }
}

/// A mistyped directory is no empty store.
fn require(directory: &Path) -> Result<(), StoreError> {
    let message = match occupant(&RealVfs::new(directory))? {
        Occupant::Store => return Ok(()),
        Occupant::Nothing => "there is no store here; name its directory with --store",
        Occupant::Other => "the directory is no store; name that of one with --store",
    };
    Err(StoreError::new(ErrorKind::NotFound, "open store", message).with("store", directory.display()))
}

/// Refuses a directory of something else, in which the files of a store would be scattered.
pub(crate) fn refuse_other(directory: &Path) -> anyhow::Result<Occupant> {
    let occupant = occupant(&RealVfs::new(directory)).context("the directory of the store")?;
    if matches!(occupant, Occupant::Other) {
        bail!("'{}' has files and is no store; name another directory with --store", directory.display());
    }
    Ok(occupant)
}

/// Whether a server could keep its store in a directory: reads a store that is there, and asks whether it may be written.
/// Changes nothing, and works beside a running server. Returns whether there is a store.
pub(crate) fn check_directory(directory: &Path) -> anyhow::Result<bool> {
    let occupant = refuse_other(directory)?;
    if matches!(occupant, Occupant::Store) {
        FileSystemPipelineStore::options().read_only(true).check_after(None).open(directory)?;
    }
    check_access(directory)?;
    Ok(matches!(occupant, Occupant::Store))
}

/// Whether this process may write the directory of a store.
pub(crate) fn check_access(directory: &Path) -> anyhow::Result<()> {
    RealVfs::new(directory).check_access().context("the store could take nothing new")
}

/// What imports into a directory left beside it before they came to their end. One may still be under way, so nothing is
/// removed; what cannot be looked for is not told.
pub(crate) fn unfinished_imports(directory: &Path) -> Vec<String> {
    let Some(name) = directory.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let parent = parent_of(directory);
    let found = constellation_store_fs::archive::unfinished_imports(&RealVfs::new(parent), name);
    let text = |entry: String| {
        let path = parent.join(entry);
        format!(
            "'{}' is what an import left that was cut short; unless one is under way, remove it",
            path.display()
        )
    };
    found.unwrap_or_default().into_iter().map(text).collect()
}

/// The directory that a directory is in.
fn parent_of(directory: &Path) -> &Path {
    directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Rows with aligned columns; the last one is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// So many of something whose plural ends in `s`; `noun` is one of it.
fn n_of(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Where an archive is: a file, or the standard stream.
fn stream(file: &Path) -> Option<PathBuf> {
    (file.as_os_str() != "-").then(|| file.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_without_trailing_spaces() {
        let rows = [["name", "version"], ["a", "1"], ["longer/name", "12"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        assert_eq!(table(&rows), "name         version\na            1\nlonger/name  12\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn one_of_something_is_no_plural() {
        assert_eq!([0, 1, 2].map(|count| n_of(count, "name")), ["0 names", "1 name", "2 names"]);
    }
}
