//! Images and sources that are read when they are used first.

use std::sync::{Arc, PoisonError, RwLockReadGuard};

use constellation_store_core::{
    CheckedImage, ErrorKind, PipelineImage, Result, SourceHash, StoreError, StructuralHash,
};
use constellation_store_mem::{Lookup, State};

use super::Shared;
use super::check::Mirror;
use super::checkpoint::MAX_DOCUMENT_BYTES;
use crate::error::{FileError, in_one_line};
use crate::layout::{image_path, source_path};
use crate::seeded::{self, SeededBug};
use crate::vfs::Vfs;

/// Whether bytes are a source of this hash, or why not.
pub(crate) fn check_source(bytes: &[u8], hash: SourceHash) -> Result<&str, &'static str> {
    if SourceHash::of_bytes(bytes) != hash && !seeded::is_on(SeededBug::SourcesNotChecked) {
        return Err("its hash is not its name");
    }
    std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")
}

/// What the files lack of what the store should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The file of an image is gone or damaged; why.
    Image(StructuralHash, String),
    /// The file of a source is gone or damaged; why.
    Source(SourceHash, String),
}

/// What came of looking for something.
#[derive(Debug)]
pub enum Loaded<T> {
    /// It is in memory now.
    There(T),
    /// It is not stored.
    Absent,
    /// It is stored, and its file does not have it. Whoever writes the store is to put it aside
    /// ([`Core::put_aside`](super::Core::put_aside)).
    Lost(Lost),
}

/// Reads what is stored and not in memory. Knows no lock and no journal, so that any thread may do it.
#[derive(Debug, Clone)]
pub struct Loader {
    vfs: Arc<dyn Vfs>,
    shared: Arc<Shared>,
    /// Whether nobody else changes the files.
    is_alone: bool,
}

impl Loader {
    pub(super) fn new(vfs: Arc<dyn Vfs>, shared: Arc<Shared>, is_alone: bool) -> Self {
        Self { vfs, shared, is_alone }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.shared.state()
    }

    /// Reads and checks an image, and keeps it in memory.
    ///
    /// # Errors
    ///
    /// `Unavailable`: its file cannot be read now. `UnsupportedFormat`: a later version wrote it.
    pub fn image(&self, hash: &StructuralHash) -> Result<Loaded<Arc<PipelineImage>>> {
        match self.peek_image(hash)? {
            Loaded::There(image) => {
                let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
                state.load_image(image);
                Ok(state.get(hash).map_or(Loaded::Absent, Loaded::There))
            }
            other => Ok(other),
        }
    }

    /// An image from memory, or else read and checked and not kept.
    ///
    /// # Errors
    ///
    /// Those of [`Loader::image`].
    pub fn peek_image(&self, hash: &StructuralHash) -> Result<Loaded<Arc<PipelineImage>>> {
        match self.shared.state().image(hash) {
            Lookup::Loaded(image) => return Ok(Loaded::There(image)),
            Lookup::Absent => return Ok(Loaded::Absent),
            Lookup::NotLoaded => {}
        }
        match self.read_image(hash)? {
            // Its file is removed after it is; it may also have been put anew meanwhile.
            Loaded::Lost(lost) => Ok(match self.shared.state().image(hash) {
                Lookup::Loaded(image) => Loaded::There(image),
                Lookup::Absent => Loaded::Absent,
                Lookup::NotLoaded => Loaded::Lost(lost),
            }),
            other => Ok(other),
        }
    }

    /// Reads and checks the file of an image, and keeps nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Loader::image`].
    pub fn read_image(&self, hash: &StructuralHash) -> Result<Loaded<Arc<PipelineImage>>> {
        let path = image_path(hash);
        let reason = match self.read("load image", &path)? {
            None => return Ok(Loaded::Absent),
            Some(Err(reason)) => reason,
            Some(Ok(bytes)) => match PipelineImage::decode(&bytes) {
                Ok(decoded) if decoded.image.structural_hash == *hash => {
                    return Ok(Loaded::There(Arc::new(decoded.image)));
                }
                Ok(decoded) => format!("it holds the image {}", decoded.image.structural_hash),
                Err(error) if error.kind() == ErrorKind::UnsupportedFormat => {
                    return Err(error.with("path", path));
                }
                Err(error) => in_one_line(&error),
            },
        };
        Ok(Loaded::Lost(Lost::Image(*hash, reason)))
    }

    /// Reads and checks a source, and keeps it in memory.
    ///
    /// # Errors
    ///
    /// `Unavailable`: its file cannot be read now.
    pub fn source(&self, hash: &SourceHash) -> Result<Loaded<Arc<str>>> {
        match self.shared.state().source(hash) {
            Lookup::Loaded(text) => return Ok(Loaded::There(text)),
            Lookup::Absent => return Ok(Loaded::Absent),
            Lookup::NotLoaded => {}
        }
        match self.read_source(hash)? {
            Loaded::There(text) => {
                let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
                state.load_source(*hash, text);
                Ok(state.source(hash).loaded().map_or(Loaded::Absent, Loaded::There))
            }
            Loaded::Lost(lost) => Ok(match self.shared.state().source(hash) {
                Lookup::Loaded(text) => Loaded::There(text),
                Lookup::Absent => Loaded::Absent,
                Lookup::NotLoaded => Loaded::Lost(lost),
            }),
            Loaded::Absent => Ok(Loaded::Absent),
        }
    }

    /// Reads and checks the file of a source, and keeps nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Loader::source`].
    pub fn read_source(&self, hash: &SourceHash) -> Result<Loaded<Arc<str>>> {
        let Some(read) = self.read("load source", &source_path(hash))? else { return Ok(Loaded::Absent) };
        let reason = match read.as_deref().map(|bytes| check_source(bytes, *hash)) {
            Ok(Ok(text)) => return Ok(Loaded::There(text.into())),
            Ok(Err(reason)) => reason.to_owned(),
            Err(reason) => reason.clone(),
        };
        Ok(Loaded::Lost(Lost::Source(*hash, reason)))
    }

    /// Whether the file of an image that is not loaded is whole; nothing is kept in memory.
    ///
    /// # Errors
    ///
    /// Those of [`Loader::image`].
    pub fn check_image(&self, hash: &StructuralHash) -> Result<Option<Lost>> {
        let reason = match self.read("check image", &image_path(hash))? {
            None => return Ok(None),
            Some(Err(reason)) => reason,
            Some(Ok(bytes)) => match CheckedImage::read(&bytes) {
                Ok(image) if image.summary.structural_hash == *hash => return Ok(None),
                Ok(image) => format!("it holds the image {}", image.summary.structural_hash),
                Err(error) if error.kind() == ErrorKind::UnsupportedFormat => return Ok(None),
                Err(error) => in_one_line(&error),
            },
        };
        let is_lost = self.shared.state().image(hash) == Lookup::NotLoaded;
        Ok(is_lost.then_some(Lost::Image(*hash, reason)))
    }

    /// Whether the file of a source that is not loaded is whole; nothing is kept in memory.
    ///
    /// # Errors
    ///
    /// Those of [`Loader::source`].
    pub fn check_source(&self, hash: &SourceHash) -> Result<Option<Lost>> {
        let Loaded::Lost(lost) = self.read_source(hash)? else { return Ok(None) };
        let is_lost = self.shared.state().source(hash) == Lookup::NotLoaded;
        Ok(is_lost.then_some(lost))
    }

    /// Whether a file that says what is in memory seems not to.
    pub(super) fn check_mirror(&self, mirror: &Mirror) -> bool {
        mirror.is_misfit(&*self.vfs, &self.shared)
    }

    /// The bytes of a file, or why there will never be any. None when somebody else, who writes the store, removed it.
    fn read(&self, operation: &'static str, path: &str) -> Result<Option<Result<Vec<u8>, String>>> {
        match self.vfs.read(path, MAX_DOCUMENT_BYTES).map_err(FileError::at("read", path)) {
            Ok(bytes) => Ok(Some(Ok(bytes))),
            Err(error) if error.is_not_found() && !self.is_alone => Ok(None),
            Err(error) if error.is_not_found() => Ok(Some(Err("it is not there".to_owned()))),
            Err(error) if error.is_unusable() => Ok(Some(Err(error.to_string()))),
            Err(error) => Err(error.into_store_error(operation)),
        }
    }
}

impl Lost {
    /// The error of whoever asked for it.
    pub fn to_error(&self) -> StoreError {
        let message = "it was stored, and its file is damaged or gone; compile its source again";
        match self {
            Self::Image(hash, reason) => StoreError::new(ErrorKind::Corrupt, "get image", message)
                .with("structuralHash", hash)
                .with("reason", reason),
            Self::Source(hash, reason) => {
                let message = "it was stored, and its file is damaged or gone; publish it again";
                StoreError::new(ErrorKind::Corrupt, "read source", message)
                    .with("sourceHash", hash)
                    .with("reason", reason)
            }
        }
    }

    pub(super) fn path(&self) -> String {
        match self {
            Self::Image(hash, _) => image_path(hash),
            Self::Source(hash, _) => source_path(hash),
        }
    }

    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Image(_, reason) | Self::Source(_, reason) => reason,
        }
    }
}
