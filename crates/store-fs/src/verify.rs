//! Checking the files of a store, beyond what an opening needs: nothing is changed, no lock is taken.
//!
//! [`verify`] reads every file, and finds each changed bit in images, sources, version documents and `store.json`,
//! and in every frame of the journal but the last, which cannot be told from one that was being written. The two
//! flat maps have no checksum; they are compared with what the other files and the journal say.

mod aliases;
mod files;
mod index;
mod judge;
mod repair;

pub use repair::mend;

use std::collections::BTreeMap;

use constellation_store_core::{ErrorKind, PipelineName, Result, SourceHash, StoreError, SyntacticKey};
use serde::Serialize;

use self::files::Cache;
use crate::core::refuse_links;
use crate::error::{FileError, of_store};
use crate::layout::MANIFEST;
use crate::vfs::Vfs;

/// How often it starts again because a checkpoint went on meanwhile. What was found sound is not read again, so
/// that each attempt takes as long as the changes since the last one.
const ATTEMPTS: usize = 50;
/// The longest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// What [`verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// What is wrong, by path. A sound store has nothing here.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub counts: Counts,
    /// The files in the quarantine, each with its reason.
    pub quarantine: Vec<Quarantined>,
    /// Files and directories of the root that are no part of a store. They are left alone.
    pub others: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The file.
    pub path: String,
    /// Of which kind it is.
    pub kind: FindingKind,
    /// What is wrong, for people.
    pub problem: String,
    /// Whom it hurts, by name.
    pub pipelines: Vec<Affected>,
    /// What to do.
    pub advice: String,
    /// What no repair brings back, for people; none when nothing is lost, or when the finding stays as long as it
    /// is.
    pub loss: Option<String>,
}

/// A name that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Affected {
    /// The name.
    pub name: PipelineName,
    /// The versions; none when it is the name as a whole.
    pub versions: Vec<u64>,
    /// Whether one of them is active.
    pub is_active: bool,
}

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum FindingKind {
    /// Bytes failed their check.
    Damaged,
    /// Something that is referred to is not there.
    Missing,
    /// A flat map does not say what the other files say.
    Contradicts,
    /// A file is not where it belongs, or has a name that nothing looks for.
    Misplaced,
    /// The content matches its checksum, but is not written as a store writes it.
    Rewritten,
    /// A later version wrote it.
    Unsupported,
}

/// How much there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Images that are sound.
    pub images: u64,
    /// Sources that are sound.
    pub sources: u64,
    /// Names, deleted ones too.
    pub names: u64,
    /// Versions of all names.
    pub versions: u64,
    /// Entries of `syntactic-index.json`.
    pub index_entries: u64,
    /// Frames of the journal that the JSON files do not have yet.
    pub frames: u64,
    /// Documents without a checksum, as hands or the plain form write them. They are checked as far as they go.
    pub unchecked: u64,
    /// Images that no version refers to; a garbage collection removes the old ones.
    pub unreferenced_images: u64,
    /// Sources that neither an image nor a version refers to.
    pub unreferenced_sources: u64,
    /// Images whose source is not retained, so that they could not be compiled again.
    pub images_without_source: u64,
    /// Files that were not finished, or are not in use. The next opening removes them.
    pub temporary_files: u64,
}

/// A file in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Where it is.
    pub path: String,
    /// Where it was, and what was wrong.
    pub reason: String,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// How many files were read.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// Tells the key under which a source is found again, if it has one.
pub type KeyOf = dyn Fn(&str) -> Option<SyntacticKey>;

/// What a verification is told beside the files.
#[derive(Default)]
pub struct VerifyOptions<'a> {
    /// The key under which a source is found again today. With it a changed bit in a key of `syntactic-index.json`
    /// can be told; without it only one in the first half of a key.
    pub key_of: Option<&'a KeyOf>,
    /// Is called after each file.
    pub progress: Option<&'a mut dyn FnMut(VerifyProgress)>,
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions").field("key_of", &self.key_of.is_some()).finish_non_exhaustive()
    }
}

/// Checks every file of the store in the root of `vfs`. Changes nothing, and needs no lock: where another process
/// writes meanwhile, what changed is read again.
///
/// # Errors
///
/// * `NotFound`: there is no such directory.
/// * `UnsupportedFormat`: a later version or the reference implementation made it.
/// * `Corrupt`: its journal is of another store, so that nothing can be said of either; or a part of it is a symbolic
///   link, which is not followed.
/// * `Unavailable`: a file access failed, or checkpoints follow one another faster than they can be read.
pub fn verify(vfs: &dyn Vfs, options: VerifyOptions<'_>) -> Result<VerifyReport> {
    check_files(vfs, options).map_err(|error| of_store(error, vfs))
}

fn check_files(vfs: &dyn Vfs, mut options: VerifyOptions<'_>) -> Result<VerifyReport> {
    if let Err(error) = vfs.list("").map_err(FileError::at("list", ".")) {
        let is_absent = error.is_not_found() || error.is_not_a_directory();
        let error = error.into_store_error(OPERATION).with("store", vfs);
        if is_absent {
            let message = "there is no store here";
            return Err(StoreError::new(ErrorKind::NotFound, OPERATION, message).with("store", vfs));
        }
        return Err(error);
    }
    refuse_links(vfs)?;
    let mut cache = Cache::default();
    for _ in 0..ATTEMPTS {
        let before = files::read(vfs, MANIFEST)?;
        let inventory = files::take(vfs, &mut cache, &mut options)?;
        let report = judge::judge(vfs, inventory)?;
        if files::read(vfs, MANIFEST)? == before {
            return Ok(report);
        }
    }
    let message = "checkpoints follow one another faster than they can be read; try again";
    Err(StoreError::new(ErrorKind::Unavailable, OPERATION, message).with("store", vfs))
}

const OPERATION: &str = "verify store";

/// The keys that the sources have today.
type KnownKeys = BTreeMap<SourceHash, SyntacticKey>;
