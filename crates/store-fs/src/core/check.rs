//! The check of what nobody used since the store was opened.

use constellation_store_core::{SourceHash, StructuralHash};

use super::load::{Loader, Lost};

/// How many hashes are looked up at once.
const PAGE: usize = 256;

/// Goes through the images and sources that are not in memory, one a step. A file that cannot be read now is left to
/// its first use.
#[derive(Debug)]
pub struct Checker {
    loader: Loader,
    images: Vec<StructuralHash>,
    sources: Vec<SourceHash>,
    last_image: Option<StructuralHash>,
    last_source: Option<SourceHash>,
    is_done: bool,
}

impl Checker {
    /// At the start.
    pub fn new(loader: Loader) -> Self {
        let (images, sources) = (Vec::new(), Vec::new());
        Self { loader, images, sources, last_image: None, last_source: None, is_done: false }
    }

    /// Whether everything was checked.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Checks the next one; tells if it is lost.
    pub fn step(&mut self) -> Option<Lost> {
        if self.loader.is_closed() {
            self.is_done = true;
            return None;
        }
        if self.images.is_empty() && self.sources.is_empty() {
            self.turn_page();
        }
        if let Some(hash) = self.images.pop() {
            return self.loader.check_image(&hash).ok().flatten();
        }
        if let Some(hash) = self.sources.pop() {
            return self.loader.check_source(&hash).ok().flatten();
        }
        self.is_done = true;
        None
    }

    fn turn_page(&mut self) {
        let state = self.loader.state();
        self.images = state.images_not_loaded(self.last_image, PAGE);
        if let Some(last) = self.images.last() {
            self.last_image = Some(*last);
            return;
        }
        self.sources = state.sources_not_loaded(self.last_source, PAGE);
        if let Some(last) = self.sources.last() {
            self.last_source = Some(*last);
        }
    }
}
