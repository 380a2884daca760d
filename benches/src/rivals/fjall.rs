//! fjall: a log-structured tree, each batch synced to its journal.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use super::{Record, Rival, Version};

pub(crate) struct Fjall {
    database: Database,
    images: Keyspace,
    sources: Keyspace,
    syntactic: Keyspace,
    versions: Keyspace,
    aliases: Keyspace,
}

impl Rival for Fjall {
    const NAME: &'static str = "fjall";

    fn open(directory: &Path) -> anyhow::Result<Self> {
        let database = Database::builder(directory).open()?;
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        Ok(Self {
            images: keyspace("images")?,
            sources: keyspace("sources")?,
            syntactic: keyspace("syntactic")?,
            versions: keyspace("versions")?,
            aliases: keyspace("aliases")?,
            database,
        })
    }

    fn publish(&mut self, records: &[Record]) -> anyhow::Result<()> {
        let mut batch = self.batch();
        for record in records {
            batch.insert(&self.images, record.structural_hash.as_str(), record.image.as_slice());
            batch.insert(&self.sources, record.source_hash.as_str(), &*record.source);
            batch.insert(&self.syntactic, record.key.as_str(), record.structural_hash.as_str());
            self.point(&mut batch, Version::first_of(record));
        }
        Ok(batch.commit()?)
    }

    fn alias(&mut self, versions: &[Version<'_>]) -> anyhow::Result<()> {
        let mut batch = self.batch();
        for version in versions {
            self.point(&mut batch, *version);
        }
        Ok(batch.commit()?)
    }
}

impl Fjall {
    fn batch(&self) -> OwnedWriteBatch {
        self.database.batch().durability(Some(PersistMode::SyncData))
    }

    fn point(&self, batch: &mut OwnedWriteBatch, version: Version<'_>) {
        let key = format!("{}/{:010}", version.name, version.number);
        batch.insert(&self.versions, key, version.document());
        batch.insert(&self.aliases, version.name, version.structural_hash);
    }
}
