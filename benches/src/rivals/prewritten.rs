//! The floor: bytes over blocks that were written before, and one `fdatasync`. Nothing durable costs less.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::Record;

/// Large enough that a run writes each block about once.
const LENGTH: usize = 16 << 20;

pub(crate) struct Prewritten {
    file: File,
    offset: usize,
}

impl Prewritten {
    /// Makes the file and writes all of its blocks.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(path)?;
        file.write_all_at(&vec![0; LENGTH], 0)?;
        file.sync_all()?;
        Ok(Self { file, offset: 0 })
    }

    /// The bytes that are to be durable of a record.
    pub(crate) fn bytes(record: &Record) -> Vec<u8> {
        let Record { structural_hash, image, source_hash, source, key, name } = record;
        [
            structural_hash.as_bytes(),
            image,
            source_hash.as_bytes(),
            source.as_bytes(),
            key.as_bytes(),
            name.as_bytes(),
        ]
        .concat()
    }

    /// Makes bytes durable; from the start again at the end.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.offset + bytes.len() > LENGTH {
            self.offset = 0;
        }
        self.file.write_all_at(bytes, self.offset as u64)?;
        self.file.sync_data()?;
        self.offset += bytes.len();
        Ok(())
    }
}
