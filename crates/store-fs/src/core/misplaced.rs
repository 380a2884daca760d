//! Version documents under another file name than their own. Each gets its own before anything is written at the place
//! where it stands.
//!
//! That place may be the one of another name, whose document the next checkpoint writes there. Were both in one batch, a
//! crash could leave the new document of the one and none of the other.

use std::collections::BTreeSet;

use constellation_store_core::{PipelineName, VersionHistory};

use super::files::Files;
use crate::documents::encode_history;
use crate::error::FileError;
use crate::layout::{VERSIONS, escape, versions_path};
use crate::seeded::{self, SeededBug};

/// The only document of a name, or the one that counts, under another file name.
#[derive(Debug)]
pub(super) struct Misplaced {
    /// Where it stands.
    pub(super) path: String,
    /// What it says, with what was repaired, and without the journal.
    pub(super) history: VersionHistory,
}

impl Misplaced {
    fn own_path(&self) -> String {
        versions_path(&self.history.pipeline_name)
    }

    /// Where it stands also on a file system that ignores case, as all own paths do.
    fn place(&self) -> String {
        if seeded::is_on(SeededBug::CaseNotIgnored) {
            return self.path.clone();
        }
        self.path.to_ascii_lowercase()
    }

    /// A path that is of no name, for a copy: `~` is in a file name only where a hash follows that ends it.
    fn spare_path(&self, taken: &BTreeSet<&str>) -> String {
        let mut stem = format!("{}~", escape(self.history.pipeline_name.as_str()));
        loop {
            let path = format!("{VERSIONS}/{stem}.json");
            if !taken.contains(path.as_str()) {
                return path;
            }
            stem.push('~');
        }
    }
}

/// Whether a path is one to which a document of this name is copied before it gets its own.
pub(super) fn is_spare_path(path: &str, name: &PipelineName) -> bool {
    let tail = path.strip_prefix(VERSIONS).and_then(|path| path.strip_prefix('/')?.strip_suffix(".json"));
    let tail = tail.and_then(|stem| stem.strip_prefix(&*escape(name.as_str())));
    tail.is_some_and(|tail| !tail.is_empty() && tail.bytes().all(|byte| byte == b'~'))
}

/// Writes each document under its own file name, durably, and moves what is left under the other one to the quarantine.
///
/// Two that stand in each other's place are written under a third name first, so that at every moment each is there
/// once. All documents of a name say the same meanwhile: others were put aside before.
///
/// # Errors
///
/// Nothing is lost, and it can be done again.
pub(super) fn put_right(files: &Files, misplaced: &mut Vec<Misplaced>) -> Result<(), FileError> {
    if misplaced.is_empty() {
        return Ok(());
    }
    let own: BTreeSet<String> = misplaced.iter().map(Misplaced::own_path).collect();
    let taken: BTreeSet<&str> = misplaced.iter().map(|document| document.path.as_str()).collect();
    let (in_the_way, apart): (Vec<_>, Vec<_>) =
        misplaced.iter().partition(|document| own.contains(&document.place()));
    let spares: Vec<_> =
        in_the_way.iter().map(|document| (document.spare_path(&taken), &document.history)).collect();
    if !seeded::is_on(SeededBug::ExchangedWithoutCopies) {
        write(files, &spares)?;
    }
    let documents: Vec<_> =
        misplaced.iter().map(|document| (document.own_path(), &document.history)).collect();
    write(files, &documents)?;
    for (path, _) in &spares {
        files.remove(path)?;
    }
    if !spares.is_empty() {
        files.sync_directory(VERSIONS)?;
    }
    for Misplaced { path, history } in apart {
        let name = &history.pipeline_name;
        let reason = format!("it is the version document of '{name}', which has its own file now");
        match files.quarantine(path, &reason, None) {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    misplaced.clear();
    Ok(())
}

/// Writes documents, durably.
fn write(files: &Files, documents: &[(String, &VersionHistory)]) -> Result<(), FileError> {
    if documents.is_empty() {
        return Ok(());
    }
    files.replace_all(documents, |_, history| encode_history(history))?;
    files.sync_directory(VERSIONS)
}
