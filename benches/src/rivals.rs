//! Other ways to keep the same data, each in the way that its users would write it.
//!
//! A rival is handed what a publish holds as a [`Record`]. Where a case measures a publish, making the record is
//! part of the time, as it is of ours; a rival does not check that a hash fits its image, which our store does.

mod batcher;
mod fjall;
mod naive;
mod prewritten;
mod redb;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

use constellation_benches::images::Program;
use constellation_store_core::SourceHash;

pub(crate) use self::batcher::Batcher;
pub(crate) use self::fjall::Fjall;
pub(crate) use self::naive::{Naive, NaiveFiles, NaiveMaps};
pub(crate) use self::prewritten::Prewritten;
pub(crate) use self::redb::Redb;
pub(crate) use self::sqlite::{DATABASE_FILE, Sqlite};

/// What one publish makes durable.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The hash of the image, in hexadecimal.
    pub(crate) structural_hash: String,
    /// The document of the image, as our store writes it.
    pub(crate) image: Vec<u8>,
    /// The hash of the source, in hexadecimal.
    pub(crate) source_hash: String,
    /// The source.
    pub(crate) source: Arc<str>,
    /// The key in the syntactic index.
    pub(crate) key: String,
    /// The name, which is new, so that its version is 1.
    pub(crate) name: String,
}

impl Record {
    pub(crate) fn of(program: &Program) -> Self {
        Self {
            structural_hash: program.image.structural_hash.to_string(),
            image: program.image.encode(),
            source_hash: SourceHash::of_bytes(program.source.as_bytes()).to_string(),
            source: Arc::clone(&program.source),
            key: program.key.to_string(),
            name: program.name.as_str().to_owned(),
        }
    }
}

/// A version of a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version<'a> {
    pub(crate) name: &'a str,
    pub(crate) number: u64,
    pub(crate) structural_hash: &'a str,
}

impl<'a> Version<'a> {
    pub(crate) fn first_of(record: &'a Record) -> Self {
        Self { name: &record.name, number: 1, structural_hash: &record.structural_hash }
    }

    /// What a store without columns keeps of it.
    pub(crate) fn document(&self) -> Vec<u8> {
        let Self { name, number, structural_hash } = self;
        let document = serde_json::json!({
            "pipelineName": name,
            "activeVersion": number,
            "versions": [
                { "version": number, "structuralHash": structural_hash, "createdAt": "2026-02-02T14:30:00.000Z" },
            ],
        });
        serde_json::to_vec_pretty(&document).expect("values that are in memory serialize")
    }
}

/// A rival engine.
pub(crate) trait Rival: Send + Sized + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// Opens it in a directory, which is made unless it is there.
    fn open(directory: &Path) -> anyhow::Result<Self>;

    /// Makes all records durable, as a whole: image, source, index entry, version and alias of each.
    fn publish(&mut self, records: &[Record]) -> anyhow::Result<()>;

    /// Makes versions durable, as a whole, and points their names to them.
    fn alias(&mut self, versions: &[Version<'_>]) -> anyhow::Result<()>;
}
