//! Finding and reading `.cst` files: the only place of the crate that reads files.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use constellation_lang::MAX_SOURCE_BYTES;
use constellation_store_core::PipelineName;

use crate::config::{AliasStrategy, LoaderConfig};

/// A file that was found, and its text or why there is none.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// The path below the loader's directory, with `/` between segments.
    pub(super) path: String,
    /// The name that the strategy gives; none for [`AliasStrategy::HashOnly`].
    pub(super) name: Option<String>,
    /// The text, read once.
    pub(super) text: Result<Arc<str>, String>,
}

/// All `.cst` files of the directory, sorted by path.
///
/// Links are followed; a directory that was reached before, in whatever way, is not searched again. Files and
/// directories whose name starts with a dot are passed over: they belong to editors and version control.
///
/// # Errors
///
/// When the directory itself cannot be read. What is wrong with a file stands in place of its text.
pub(super) fn scan(config: &LoaderConfig) -> std::io::Result<Vec<SourceFile>> {
    let files = walk(config)?.into_iter().map(|found| match found {
        Found::File { path, relative } => read(&path, &relative, config.alias_strategy),
        Found::Unreadable { relative, error } => unreadable(&relative, &error),
    });
    let mut files: Vec<SourceFile> = files.collect();
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

/// The text of the file that the strategy gives this name, or why there is none; none when no file has the name. Only
/// that file is read.
///
/// # Errors
///
/// When the directory itself cannot be read.
pub(crate) fn read_file_of(
    config: &LoaderConfig,
    name: &PipelineName,
) -> std::io::Result<Option<Result<Arc<str>, String>>> {
    let mut files = walk(config)?.into_iter().filter_map(|found| match found {
        Found::File { path, relative }
            if name_of(&relative, config.alias_strategy).as_deref() == Some(name.as_str()) =>
        {
            Some((path, relative))
        }
        _ => None,
    });
    let Some((path, relative)) = files.next() else { return Ok(None) };
    if let Some((_, other)) = files.next() {
        let mut paths = [slashed(&relative), slashed(&other)];
        paths.sort();
        let [first, second] = paths;
        return Ok(Some(Err(format!("{first} and {second} both have this name; rename one"))));
    }
    let text = read_text(&path).map_err(|reason| format!("{}: {reason}", slashed(&relative)));
    Ok(Some(text))
}

/// A file that has the ending of a source, or what kept one from being found.
enum Found {
    File { path: PathBuf, relative: PathBuf },
    Unreadable { relative: PathBuf, error: std::io::Error },
}

fn walk(config: &LoaderConfig) -> std::io::Result<Vec<Found>> {
    let mut visited = BTreeSet::new();
    visited.insert(fs::canonicalize(&config.directory)?);
    let mut files = Vec::new();
    let mut pending = vec![(config.directory.clone(), PathBuf::new())];
    while let Some((directory, relative)) = pending.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if relative.as_os_str().is_empty() => return Err(error),
            Err(error) => {
                files.push(Found::Unreadable { relative, error });
                continue;
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    files.push(Found::Unreadable { relative: relative.clone(), error });
                    break;
                }
            };
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let relative = relative.join(entry.file_name());
            let is_source = relative.extension() == Some(OsStr::new("cst"));
            // Follows links.
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => {
                    let mut is_new = || fs::canonicalize(entry.path()).is_ok_and(|path| visited.insert(path));
                    if config.recursive && is_new() {
                        pending.push((entry.path(), relative));
                    }
                }
                // Anything else, a pipe for instance, could block the reader.
                Ok(metadata) if is_source && metadata.is_file() => {
                    files.push(Found::File { path: entry.path(), relative });
                }
                Err(error) if is_source => files.push(Found::Unreadable { relative, error }),
                _ => {}
            }
        }
    }
    Ok(files)
}

/// Whether there is a directory that can be listed.
pub(crate) fn check_directory(directory: &Path) -> std::io::Result<()> {
    fs::read_dir(directory).map(drop)
}

fn read(path: &Path, relative: &Path, strategy: AliasStrategy) -> SourceFile {
    let text = name_text(relative).and_then(|_| read_text(path));
    SourceFile { path: slashed(relative), name: name_of(relative, strategy), text }
}

fn name_of(relative: &Path, strategy: AliasStrategy) -> Option<String> {
    let stem = relative.with_extension("");
    match strategy {
        AliasStrategy::FileName => stem.file_name().map(|name| name.to_string_lossy().into_owned()),
        AliasStrategy::RelativePath => Some(slashed(&stem)),
        AliasStrategy::HashOnly => None,
    }
}

fn name_text(relative: &Path) -> Result<&str, String> {
    relative.to_str().ok_or_else(|| "its path is not UTF-8; rename it".to_owned())
}

fn read_text(path: &Path) -> Result<Arc<str>, String> {
    let text = File::open(path).map_err(UnreadableSource::from).and_then(read_source);
    text.map(Into::into).map_err(|error| error.to_string())
}

/// Why a source has no text.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableSource {
    /// The system says so.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is larger than any program may be.
    #[error("it is larger than {MAX_SOURCE_BYTES} bytes; split it")]
    TooLarge,
    /// It is not text.
    #[error("it is not UTF-8 (at byte {offset}); save it as UTF-8")]
    NotUtf8 {
        /// Where the first bytes are that are no character, from 0.
        offset: usize,
    },
}

/// The text of a source: all that `reader` has, up to the bound on programs.
///
/// # Errors
///
/// When it cannot be read, or is no text that could be compiled.
pub fn read_source(reader: impl Read) -> Result<String, UnreadableSource> {
    let mut bytes = Vec::new();
    reader.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(UnreadableSource::TooLarge);
    }
    String::from_utf8(bytes)
        .map_err(|error| UnreadableSource::NotUtf8 { offset: error.utf8_error().valid_up_to() })
}

fn unreadable(relative: &Path, error: &std::io::Error) -> SourceFile {
    SourceFile { path: slashed(relative), name: None, text: Err(format!("it cannot be read: {error}")) }
}

fn slashed(path: &Path) -> String {
    let segments: Vec<_> = path.iter().map(OsStr::to_string_lossy).collect();
    segments.join("/")
}
