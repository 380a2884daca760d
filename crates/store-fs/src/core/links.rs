//! Links in the place of what a store is made of.

use constellation_store_core::{ErrorKind, Result, StoreError};

use crate::layout::{ALIASES, IMAGES, INDEX, JOURNAL, LOCK, MANIFEST, PACK, QUARANTINE, SOURCES, VERSIONS};
use crate::seeded::{self, SeededBug};
use crate::vfs::{EntryKind, Vfs};

/// What a store has in its root.
const PARTS: [&str; 10] =
    [MANIFEST, LOCK, IMAGES, SOURCES, VERSIONS, ALIASES, INDEX, JOURNAL, PACK, QUARANTINE];

/// Refuses a directory in which a symbolic link stands for a part of a store: what is written, moved and removed
/// through it would be outside. The directory itself may be behind a link.
///
/// # Errors
///
/// `Corrupt`, naming the link.
pub(crate) fn refuse_links(vfs: &dyn Vfs) -> Result<()> {
    // What cannot be listed is told by whoever needs it.
    let Ok(entries) = vfs.list("") else { return Ok(()) };
    let is_part = |name: &str| PARTS.contains(&name) && !seeded::is_on(SeededBug::LinksFollowed);
    let Some(link) = entries.iter().find(|entry| entry.kind == EntryKind::Link && is_part(&entry.name))
    else {
        return Ok(());
    };
    let message = "a part of it is a symbolic link, which is not followed; put what the link leads to in its place, \
                   or let a link lead to the whole directory";
    Err(StoreError::new(ErrorKind::Corrupt, "open store", message)
        .with("store", vfs)
        .with("link", &link.name))
}
