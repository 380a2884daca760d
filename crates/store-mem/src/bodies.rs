//! The images that are in memory whole.

use std::fmt;
use std::sync::Arc;

use constellation_store_core::{PipelineImage, StructuralHash};

use crate::relation::ByOwnBytes;

/// The images of a [`State`](crate::State) that are in memory, to be read without the state's lock. It sees an image
/// from when a commit that adds it is applied, until one that removes it is.
///
/// Locks that are shared for reading are written to by each reader, so that reads on two cores are slower than on one;
/// reads of this map do not get in each other's way.
#[derive(Clone)]
pub struct LoadedImages(Arc<Map>);

type Map = papaya::HashMap<StructuralHash, Arc<PipelineImage>, ByOwnBytes>;

/// Asks the system for what the first store of a process needs, which is nothing after that.
///
/// Reads of loaded images take no locks, since on Linux a writer can tell all threads of the process to wait for it
/// (`membarrier`). To register for that takes the kernel some 10 ms once there is a second thread, and nothing before.
/// So a program that opens a store after it started threads calls this first.
pub fn prepare_process() {
    drop(Map::default());
}

impl LoadedImages {
    /// The image with this hash, if it is in memory.
    pub fn get(&self, structural_hash: &StructuralHash) -> Option<Arc<PipelineImage>> {
        self.0.pin().get(structural_hash).cloned()
    }
}

impl fmt::Debug for LoadedImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedImages").field("len", &self.0.len()).finish()
    }
}

/// The map as a part of a state. Unlike a handle, a clone is a map of its own.
#[derive(Debug)]
pub(crate) struct Bodies(LoadedImages);

impl Default for Bodies {
    fn default() -> Self {
        Self(LoadedImages(Arc::new(Map::default())))
    }
}

impl Clone for Bodies {
    fn clone(&self) -> Self {
        Self(LoadedImages(Arc::new(Map::clone(&self.0.0))))
    }
}

impl PartialEq for Bodies {
    fn eq(&self, other: &Self) -> bool {
        *self.0.0 == *other.0.0
    }
}

impl Bodies {
    pub(crate) fn handle(&self) -> &LoadedImages {
        &self.0
    }

    pub(crate) fn get(&self, structural_hash: &StructuralHash) -> Option<Arc<PipelineImage>> {
        self.0.get(structural_hash)
    }

    pub(crate) fn contains(&self, structural_hash: &StructuralHash) -> bool {
        self.0.0.pin().contains_key(structural_hash)
    }

    pub(crate) fn insert(&mut self, image: Arc<PipelineImage>) {
        self.0.0.pin().insert(image.structural_hash, image);
    }

    pub(crate) fn remove(&mut self, structural_hash: &StructuralHash) {
        self.0.0.pin().remove(structural_hash);
    }
}
