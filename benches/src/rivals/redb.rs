//! redb: copy-on-write B-trees in one file, each transaction synced.

use std::path::Path;

use redb::{Database, TableDefinition, WriteTransaction};

use super::{Record, Rival, Version};

const IMAGES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("images");
const SOURCES: TableDefinition<'_, &str, &str> = TableDefinition::new("sources");
const SYNTACTIC: TableDefinition<'_, &str, &str> = TableDefinition::new("syntactic");
const VERSIONS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("versions");
const ALIASES: TableDefinition<'_, &str, &str> = TableDefinition::new("aliases");

pub(crate) struct Redb(Database);

impl Rival for Redb {
    const NAME: &'static str = "redb";

    fn open(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self(Database::create(directory.join("store.redb"))?))
    }

    fn publish(&mut self, records: &[Record]) -> anyhow::Result<()> {
        let transaction = self.0.begin_write()?;
        {
            let mut images = transaction.open_table(IMAGES)?;
            let mut sources = transaction.open_table(SOURCES)?;
            let mut syntactic = transaction.open_table(SYNTACTIC)?;
            for record in records {
                images.insert(record.structural_hash.as_str(), record.image.as_slice())?;
                sources.insert(record.source_hash.as_str(), &*record.source)?;
                syntactic.insert(record.key.as_str(), record.structural_hash.as_str())?;
            }
        }
        point(&transaction, records.iter().map(Version::first_of))?;
        Ok(transaction.commit()?)
    }

    fn alias(&mut self, versions: &[Version<'_>]) -> anyhow::Result<()> {
        let transaction = self.0.begin_write()?;
        point(&transaction, versions.iter().copied())?;
        Ok(transaction.commit()?)
    }
}

fn point<'a>(
    transaction: &WriteTransaction,
    versions: impl Iterator<Item = Version<'a>>,
) -> anyhow::Result<()> {
    let mut documents = transaction.open_table(VERSIONS)?;
    let mut aliases = transaction.open_table(ALIASES)?;
    for version in versions {
        documents.insert((version.name, version.number), version.document().as_slice())?;
        aliases.insert(version.name, version.structural_hash)?;
    }
    Ok(())
}
