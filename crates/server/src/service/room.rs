//! Bounds on what is stored, so that clients who send ever new programs do not fill the disk.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use constellation_store_core::{ErrorKind, PipelineStore, StoreError, StoreStatus};

use super::{Found, is_damage};
use crate::config::Limits;

/// How much may be stored.
#[derive(Debug)]
pub(super) struct Room {
    max_images: u64,
    max_sources: u64,
    /// Programs whose commits are under way. One that was just committed is counted twice for a moment, so that
    /// commits at the same time can be refused a little early, and never too late.
    under_way: AtomicU64,
}

/// Room that is kept for a commit until it is done.
#[must_use = "the room is given back when it is dropped"]
#[derive(Debug)]
pub(super) struct Reserved<'a> {
    room: &'a Room,
    programs: u64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.room.under_way.fetch_sub(self.programs, Ordering::AcqRel);
    }
}

impl Room {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_images: limits.max_stored_images,
            max_sources: limits.max_stored_sources,
            under_way: AtomicU64::new(0),
        }
    }

    /// Keeps room for storing these programs, of which the store may have some.
    ///
    /// # Errors
    ///
    /// `StorageFull`, and why the store does not answer.
    pub(super) async fn reserve(
        &self,
        store: &dyn PipelineStore,
        programs: impl Iterator<Item = &Found> + Clone + Send,
    ) -> Result<Reserved<'_>, StoreError> {
        let count = programs.clone().count() as u64;
        let others = self.under_way.fetch_add(count, Ordering::AcqRel);
        let reserved = Reserved { room: self, programs: count };
        let StoreStatus { images, sources, .. } = store.status().await?;
        let (images, sources) = (images.saturating_add(others), sources.saturating_add(others));
        // What is known already takes no room. To find out costs time, and is only needed when there may be none.
        if images.saturating_add(count) > self.max_images {
            let n_new = count_new_images(store, programs.clone()).await?;
            if n_new > 0 && images.saturating_add(n_new) > self.max_images {
                return Err(full("images", "max_stored_images", self.max_images));
            }
        }
        if sources.saturating_add(count) > self.max_sources {
            let n_new = count_new_sources(store, programs).await?;
            if n_new > 0 && sources.saturating_add(n_new) > self.max_sources {
                return Err(full("source texts", "max_stored_sources", self.max_sources));
            }
        }
        Ok(reserved)
    }
}

async fn count_new_images(
    store: &dyn PipelineStore,
    programs: impl Iterator<Item = &Found> + Send,
) -> Result<u64, StoreError> {
    let hashes: BTreeSet<_> = programs.map(Found::structural_hash).collect();
    let mut n_new = 0;
    for hash in hashes {
        n_new += u64::from(is_new(store.peek(&hash).await)?);
    }
    Ok(n_new)
}

async fn count_new_sources(
    store: &dyn PipelineStore,
    programs: impl Iterator<Item = &Found> + Send,
) -> Result<u64, StoreError> {
    let hashes: BTreeSet<_> = programs.map(|program| program.source_hash).collect();
    let mut n_new = 0;
    for hash in hashes {
        n_new += u64::from(is_new(store.source(&hash).await)?);
    }
    Ok(n_new)
}

fn is_new<T>(found: Result<Option<T>, StoreError>) -> Result<bool, StoreError> {
    match found {
        Ok(found) => Ok(found.is_none()),
        // The bytes are replaced.
        Err(error) if is_damage(error.kind()) => Ok(false),
        Err(error) => Err(error),
    }
}

fn full(what: &str, setting: &str, limit: u64) -> StoreError {
    let message = format!(
        "the store has as many {what} as it may have, {limit}; remove some with 'constellation store gc', or raise \
         {setting}"
    );
    StoreError::new(ErrorKind::StorageFull, "publish", message)
}
