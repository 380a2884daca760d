//! The startup loader: publishes the `.cst` files of a directory that changed.
//!
//! A name is published when its file has another source than the loader found last time (the name's
//! `loaderSourceHash`), and not otherwise. So a file that was edited, or reverted, becomes active; a file that
//! nobody touched never undoes a rollback.

pub(crate) mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use constellation_lang::{Diagnostic, Severity};
use constellation_store_core::{Origin, PipelineName, SourceHash, StoreError, StructuralHash};

use crate::config::LoaderConfig;
use crate::error::ServiceError;
use crate::service::{Asker, Found, Mode, PipelineService, Target};
use files::SourceFile;
pub(crate) use files::read_file_of;
pub use files::{UnreadableSource, read_source};

/// What the startup loader did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Files that were published, sorted by path.
    pub loaded: Vec<LoadedFile>,
    /// Files that nobody touched since they were published, sorted by path.
    pub skipped: Vec<LoadedFile>,
    /// Files that were not published, sorted by path.
    pub failed: Vec<FailedFile>,
}

/// A file with a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedFile {
    /// The path below the loader's directory.
    pub path: String,
    /// The name; none when the strategy gives none.
    pub name: Option<PipelineName>,
    /// The pipeline that the name points to, or that the source has. None when the name was deleted since.
    pub structural_hash: Option<StructuralHash>,
}

/// A file that was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedFile {
    /// The path below the loader's directory.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for FailedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// Why loading did not come to an end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The directory cannot be read.
    #[error("the pipeline directory {} cannot be read", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Files failed and the loader was told to stop then. Nothing was published.
    #[error("nothing was published, since these files failed:\n{}", list(.0))]
    Files(Vec<FailedFile>),
    /// The store does not answer.
    #[error(transparent)]
    Store(StoreError),
    /// The store did not take what all files together publish. Nothing was published.
    #[error("nothing was published: {0}")]
    Publish(String),
}

/// Loads the directory.
///
/// # Errors
///
/// [`LoadError`]; without `fail_on_error`, only when the directory cannot be read.
pub(crate) async fn load(service: &PipelineService, config: &LoaderConfig) -> Result<LoadReport, LoadError> {
    let files = scan(config).await?;
    let images = service.stored_images().await.map_err(LoadError::Store)?;
    let mut report = LoadReport::default();
    let mut pending = Vec::new();
    let mut paths = BTreeMap::new();
    for SourceFile { path, name, text } in files {
        let checked = match name.as_deref().map(str::parse::<PipelineName>).transpose() {
            Ok(name) => text.map(|text| (name, text)),
            // The path tells more than the name; both come from the file.
            Err(error) => text.and_then(|_| Err(format!("its name cannot be used: {}", error.message()))),
        };
        // A file that fails keeps its name: another one must not slip in where it stood yesterday.
        let taken_by = name.and_then(|name| match paths.entry(name) {
            std::collections::btree_map::Entry::Occupied(entry) => Some(String::clone(entry.get())),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(path.clone());
                None
            }
        });
        match (checked, taken_by) {
            (Ok((name, text)), None) => pending.push((path, name, text)),
            (Ok((Some(name), _)), Some(other)) => {
                let reason = format!(
                    "its name '{name}' is taken by {other}; rename one, or use the alias strategy relative-path"
                );
                report.failed.push(FailedFile { path, reason });
            }
            (Ok((None, _)), Some(_)) => unreachable!("only a name can be taken"),
            (Err(reason), _) => report.failed.push(FailedFile { path, reason }),
        }
    }

    let mut programs: Vec<(Found, Option<Target>)> = Vec::new();
    let mut program_files = Vec::new();
    for (path, name, text) in pending {
        match prepare(service, &images, &path, name.clone(), text).await {
            Ok(Prepared::Untouched(structural_hash)) => {
                report.skipped.push(LoadedFile { path, name, structural_hash });
            }
            Ok(Prepared::Changed(found)) => {
                let structural_hash = Some(found.structural_hash());
                let is_known = name.is_none() && !found.compiled;
                let target = name.clone().map(|name| Target::new(name, Origin::Loader));
                let file = LoadedFile { path: path.clone(), name, structural_hash };
                if config.fail_on_error {
                    programs.push((*found, target));
                    program_files.push((file, is_known));
                    continue;
                }
                match service.publish_found(*found, target.as_ref(), Mode::Apply).await {
                    Ok(_) if is_known => report.skipped.push(file),
                    Ok(_) => report.loaded.push(file),
                    Err(error) => report.failed.push(FailedFile { path, reason: error.to_string() }),
                }
            }
            Err(reason) => report.failed.push(FailedFile { path, reason }),
        }
    }
    report.failed.sort_by(|left, right| left.path.cmp(&right.path));
    if config.fail_on_error {
        if !report.failed.is_empty() {
            return Err(LoadError::Files(report.failed));
        }
        service.publish_all(&programs).await.map_err(|error| LoadError::Publish(error.to_string()))?;
        for (file, is_known) in program_files {
            if is_known { report.skipped.push(file) } else { report.loaded.push(file) }
        }
        report.skipped.sort_by(|left, right| left.path.cmp(&right.path));
    }
    Ok(report)
}

enum Prepared {
    /// The file is as the loader found it last; what its name points to.
    Untouched(Option<StructuralHash>),
    Changed(Box<Found>),
}

async fn prepare(
    service: &PipelineService,
    images: &BTreeSet<StructuralHash>,
    path: &str,
    name: Option<PipelineName>,
    text: Arc<str>,
) -> Result<Prepared, String> {
    if let Some(name) = name {
        let history = service.store().versions(&name).await.map_err(|error| error.to_string())?;
        if let Some(history) = history
            && history.loader_source_hash == Some(SourceHash::of_bytes(text.as_bytes()))
        {
            let active = history.active().map(|active| active.structural_hash);
            // Its image was lost. If the name still points to what this file compiles to, the file restores it.
            if let Some(hash) = active.filter(|hash| !images.contains(hash)) {
                let restored = service.restore(Asker::Server, hash, text).await;
                restored.map_err(|error| error.to_string())?;
            }
            return Ok(Prepared::Untouched(active));
        }
    }
    let found = match service.find_or_compile(text).await {
        Ok(found) => found,
        Err(ServiceError::Compile(diagnostics)) => return Err(compile_errors(path, &diagnostics)),
        Err(error) => return Err(error.to_string()),
    };
    for warning in &found.warnings {
        tracing::warn!("{path}:{warning}");
    }
    Ok(Prepared::Changed(Box::new(found)))
}

async fn scan(config: &LoaderConfig) -> Result<Vec<SourceFile>, LoadError> {
    let config = config.clone();
    let directory = config.directory.clone();
    let scanned = tokio::task::spawn_blocking(move || files::scan(&config)).await;
    scanned
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|source| LoadError::Directory { directory, source })
}

/// One line for each error, with what to do about it.
fn compile_errors(path: &str, diagnostics: &[Diagnostic]) -> String {
    let mut text = "it does not compile".to_owned();
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error) {
        write!(text, "\n    {path}:{diagnostic}").expect("writing to a string succeeds");
        if let Some(suggestion) = diagnostic.suggestions.first() {
            write!(text, " ({suggestion})").expect("writing to a string succeeds");
        }
    }
    text
}

fn list(files: &[FailedFile]) -> String {
    files.iter().map(|file| format!("  {file}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
