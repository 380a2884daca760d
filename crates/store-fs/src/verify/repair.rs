//! What a repair does before the store is opened: files whose content is sound are written again as a store writes
//! them, and maps that say something wrong are kept in the quarantine, since the opening makes new ones.

use std::sync::Arc;

use constellation_store_core::{Result, open_document, seal_document};

use super::files::{read, without_lost_checksum};
use super::{Finding, FindingKind, OPERATION, VerifyReport};
use crate::core::{Files, lock, refuse_links};
use crate::documents::decode_aliases;
use crate::error::FileError;
use crate::layout::{ALIASES, CATALOGUE, INDEX};
use crate::vfs::{Vfs, parent};

/// Mends what an opening of the store takes as it is. Damaged images, sources and documents are left to the opening,
/// which puts them into the quarantine.
///
/// Returns whether `syntactic-index.json` was put into the quarantine; who knows the language fills it again.
///
/// # Errors
///
/// `Corrupt` when a part of the store is a symbolic link; `Locked` when another process has the store open for writing; `StorageFull` and `Unavailable` when a file access
/// failed. What was mended before stays so.
pub fn mend(vfs: &Arc<dyn Vfs>, report: &VerifyReport) -> Result<bool> {
    let failed = |error: FileError| error.into_store_error(OPERATION);
    refuse_links(&**vfs)?;
    let _lock = lock(&**vfs)?;
    let files = Files::new(Arc::clone(vfs));
    // An opening that believes it looks at no file.
    if !report.findings.is_empty() {
        files.remove(CATALOGUE).map_err(failed)?;
    }
    let mut is_index_gone = false;
    let mut done: Vec<&str> = Vec::new();
    for Finding { path, kind, problem, .. } in &report.findings {
        if done.contains(&path.as_str()) {
            continue;
        }
        if path == ALIASES {
            // It stays for the opening: it may be all that tells the active version of a name whose document is
            // damaged. One that cannot be read is left to the opening altogether.
            if let Some(Ok(bytes)) = read(&**vfs, path)?
                && decode_aliases(&bytes).is_ok()
            {
                files.quarantine(path, problem, Some(&bytes)).map_err(failed)?;
                done.push(path);
            }
        } else if path == INDEX {
            if read(&**vfs, path)?.is_some() {
                files.quarantine(path, problem, None).map_err(failed)?;
                is_index_gone = true;
                done.push(path);
            }
        } else if *kind == FindingKind::Rewritten
            && let Some(Ok(bytes)) = read(&**vfs, path)?
            && let Ok(document) = open_document(&bytes)
        {
            let sealed = if document.checked {
                Some(seal_document(document.members))
            } else {
                without_lost_checksum(document.members)
            };
            if let Some(sealed) = sealed {
                files.replace(path, &sealed).map_err(failed)?;
                files.sync_directory(parent(path)).map_err(failed)?;
            }
        }
    }
    Ok(is_index_gone)
}
