//! Bounds on what is stored, so that clients who send ever new programs do not fill the disk.

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
        let under_way = self.under_way.fetch_add(count, Ordering::AcqRel) + count;
        let reserved = Reserved { room: self, programs: count };
        let StoreStatus { images, sources, .. } = store.status().await?;
        // What is known already takes no room. To find out costs time, and is only needed when there is none.
        if images.saturating_add(under_way) > self.max_images
            && has_new_image(store, programs.clone()).await?
        {
            return Err(full("images", "max_stored_images", self.max_images));
        }
        if sources.saturating_add(under_way) > self.max_sources && has_new_source(store, programs).await? {
            return Err(full("source texts", "max_stored_sources", self.max_sources));
        }
        Ok(reserved)
    }
}

async fn has_new_image(
    store: &dyn PipelineStore,
    programs: impl Iterator<Item = &Found> + Send,
) -> Result<bool, StoreError> {
    for program in programs {
        match store.peek(&program.structural_hash()).await {
            Ok(None) => return Ok(true),
            Ok(Some(_)) => {}
            // The bytes are replaced.
            Err(error) if is_damage(error.kind()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

async fn has_new_source(
    store: &dyn PipelineStore,
    programs: impl Iterator<Item = &Found> + Send,
) -> Result<bool, StoreError> {
    for program in programs {
        match store.source(&program.source_hash).await {
            Ok(None) => return Ok(true),
            Ok(Some(_)) => {}
            Err(error) if is_damage(error.kind()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn full(what: &str, setting: &str, limit: u64) -> StoreError {
    let message = format!(
        "the store has as many {what} as it may have, {limit}; remove some with 'constellation store gc', or raise \
         {setting}"
    );
    StoreError::new(ErrorKind::StorageFull, "publish", message)
}
