//! Segments without live frames: zeros that are written in advance, and old frames that are written over.

use std::io;
use std::sync::Arc;

use crate::error::FileError;
use crate::vfs::{Vfs, VfsFile};

/// How many zeros are written at once.
pub(super) const ZEROS: u64 = 1 << 20;

/// A segment under a temporary name.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(super) path: String,
    pub(super) written: Written,
}

/// A file of which so many bytes were written and synced.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) file: Box<dyn VfsFile>,
    pub(super) length: u64,
}

/// A segment that is to be made, with all that this takes.
#[derive(Debug)]
pub(crate) struct NewSpare {
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) path: String,
    pub(super) length: u64,
}

impl Written {
    pub(super) fn extend(&mut self, length: u64) -> io::Result<()> {
        let chunk = ZEROS.min(length.saturating_sub(self.length));
        let zeros = vec![0; usize::try_from(chunk).expect("a chunk fits into memory")];
        let mut at = self.length;
        while at < length {
            let chunk = chunk.min(length - at);
            self.file
                .write_all_at(at, &zeros[..usize::try_from(chunk).expect("no longer than all of them")])?;
            at += chunk;
        }
        self.file.sync()?;
        self.length = length;
        Ok(())
    }
}

impl NewSpare {
    /// Makes the file, and writes its zeros, durably.
    pub(crate) fn write(self) -> Result<Spare, FileError> {
        let Self { vfs, path, length } = self;
        let file = vfs.create(&path).map_err(FileError::at("create", &path))?;
        Spare { path, written: Written { file, length: 0 } }.extended(&*vfs, length)
    }
}

impl Spare {
    /// The same with so many bytes.
    pub(super) fn extended(mut self, vfs: &dyn Vfs, length: u64) -> Result<Self, FileError> {
        if let Err(error) = self.written.extend(length) {
            // To give back the room. If it stays, the next opening sweeps it.
            let _ = vfs.remove(&self.path);
            return Err(FileError::new("extend", &self.path, error));
        }
        Ok(self)
    }
}
