//! Bounds on what is stored, so that clients who send ever new programs do not fill the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use constellation_store_core::{
    ErrorKind, PipelineStore, SourceHash, StoreError, StoreStatus, StructuralHash,
};

use super::{Found, is_damage};
use crate::config::Limits;

/// Bytes are counted, which takes as long as hashing the graph, only when there is no more room left than this: what
/// is under way at one time is less.
const NEARLY_FULL_BYTES: u64 = 1 << 30;

/// How much may be stored.
#[derive(Debug)]
pub(super) struct Room {
    max_images: u64,
    max_sources: u64,
    max_bytes: u64,
    /// Programs whose commits are under way. One that was just committed is counted twice for a moment, so that
    /// commits at the same time can be refused a little early, and never too late.
    under_way: AtomicU64,
    /// The bytes of those of them that came when the store was nearly full.
    bytes_under_way: AtomicU64,
}

/// Room that is kept for a commit until it is done.
#[must_use = "the room is given back when it is dropped"]
#[derive(Debug)]
pub(super) struct Reserved<'a> {
    room: &'a Room,
    programs: u64,
    bytes: u64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.room.under_way.fetch_sub(self.programs, Ordering::AcqRel);
        self.room.bytes_under_way.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Room {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_images: limits.max_stored_images,
            max_sources: limits.max_stored_sources,
            max_bytes: limits.max_stored_bytes,
            under_way: AtomicU64::new(0),
            bytes_under_way: AtomicU64::new(0),
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
        let mut reserved = Reserved { room: self, programs: count, bytes: 0 };
        let StoreStatus { images, sources, bytes, .. } = store.status().await?;
        let (images, sources) = (images.saturating_add(others), sources.saturating_add(others));
        // What is known already takes no room. To find out costs time, and is only needed when there may be none.
        if images.saturating_add(count) > self.max_images {
            let n_new = new_images(store, programs.clone()).await?.len() as u64;
            if n_new > 0 && images.saturating_add(n_new) > self.max_images {
                return Err(full("images", "max_stored_images", self.max_images));
            }
        }
        if sources.saturating_add(count) > self.max_sources {
            let n_new = new_sources(store, programs.clone()).await?.len() as u64;
            if n_new > 0 && sources.saturating_add(n_new) > self.max_sources {
                return Err(full("source texts", "max_stored_sources", self.max_sources));
            }
        }
        if bytes.saturating_add(NEARLY_FULL_BYTES) > self.max_bytes {
            self.reserve_bytes(store, programs, &mut reserved).await?;
        }
        Ok(reserved)
    }

    async fn reserve_bytes(
        &self,
        store: &dyn PipelineStore,
        programs: impl Iterator<Item = &Found> + Clone + Send,
        reserved: &mut Reserved<'_>,
    ) -> Result<(), StoreError> {
        let count = programs.clone().map(|program| graph_bytes(program) + source_bytes(program)).sum();
        let others = self.bytes_under_way.fetch_add(count, Ordering::AcqRel);
        reserved.bytes = count;
        // Asked again: what was under way when it was asked before may be stored, and not be under way any more.
        let stored = store.status().await?.bytes.saturating_add(others);
        if stored.saturating_add(count) <= self.max_bytes {
            return Ok(());
        }
        let images = new_images(store, programs.clone()).await?;
        let sources = new_sources(store, programs).await?;
        let graphs: u64 = images.into_values().map(graph_bytes).sum();
        let n_new = graphs + sources.into_values().map(source_bytes).sum::<u64>();
        if n_new > 0 && stored.saturating_add(n_new) > self.max_bytes {
            return Err(full("bytes", "max_stored_bytes", self.max_bytes));
        }
        Ok(())
    }
}

fn graph_bytes(program: &Found) -> u64 {
    program.pipeline.image.graph_bytes()
}

fn source_bytes(program: &Found) -> u64 {
    program.source.len() as u64
}

/// A program for each image that the store does not have.
async fn new_images<'a>(
    store: &dyn PipelineStore,
    programs: impl Iterator<Item = &'a Found> + Send,
) -> Result<BTreeMap<StructuralHash, &'a Found>, StoreError> {
    let mut images: BTreeMap<_, _> = programs.map(|program| (program.structural_hash(), program)).collect();
    for hash in images.keys().copied().collect::<Vec<_>>() {
        if !is_new(store.peek(&hash).await)? {
            images.remove(&hash);
        }
    }
    Ok(images)
}

/// A program for each source that the store does not have.
async fn new_sources<'a>(
    store: &dyn PipelineStore,
    programs: impl Iterator<Item = &'a Found> + Send,
) -> Result<BTreeMap<SourceHash, &'a Found>, StoreError> {
    let mut sources: BTreeMap<_, _> = programs.map(|program| (program.source_hash, program)).collect();
    for hash in sources.keys().copied().collect::<Vec<_>>() {
        if !is_new(store.source(&hash).await)? {
            sources.remove(&hash);
        }
    }
    Ok(sources)
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
        "the store has as many {what} as it may have, {limit}; raise {setting}, or stop the server, forget versions \
         with 'constellation store prune' ('--keep 0' also forgets those of deleted names), and remove what is left \
         over with 'constellation store gc --older-than 0s'"
    );
    StoreError::new(ErrorKind::StorageFull, "publish", message)
}
