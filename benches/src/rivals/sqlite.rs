//! SQLite with a write-ahead log and `synchronous=FULL`: each transaction syncs the log.

use std::path::Path;

use rusqlite::{Connection, params};

use super::{Record, Rival, Version};

/// The name of the database in its directory.
pub(crate) const DATABASE_FILE: &str = "store.sqlite";

/// The tables that a store of pipelines needs.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS images (hash TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS sources (hash TEXT PRIMARY KEY, source TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS syntactic (key TEXT PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS versions (
        name TEXT NOT NULL, version INTEGER NOT NULL, hash TEXT NOT NULL, created_at TEXT NOT NULL,
        PRIMARY KEY (name, version)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS aliases (name TEXT PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID;
";

pub(crate) struct Sqlite(Connection);

impl Rival for Sqlite {
    const NAME: &'static str = "SQLite";

    fn open(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let connection = Connection::open(directory.join(DATABASE_FILE))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(connection))
    }

    fn publish(&mut self, records: &[Record]) -> anyhow::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut image = transaction.prepare_cached("INSERT OR IGNORE INTO images VALUES (?1, ?2)")?;
            let mut source = transaction.prepare_cached("INSERT OR IGNORE INTO sources VALUES (?1, ?2)")?;
            let mut index = transaction.prepare_cached("INSERT OR REPLACE INTO syntactic VALUES (?1, ?2)")?;
            for record in records {
                image.execute(params![record.structural_hash, record.image])?;
                source.execute(params![record.source_hash, record.source])?;
                index.execute(params![record.key, record.structural_hash])?;
                point(&transaction, Version::first_of(record))?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn alias(&mut self, versions: &[Version<'_>]) -> anyhow::Result<()> {
        let transaction = self.0.transaction()?;
        for version in versions {
            point(&transaction, *version)?;
        }
        Ok(transaction.commit()?)
    }
}

fn point(connection: &Connection, version: Version<'_>) -> rusqlite::Result<()> {
    let Version { name, number, structural_hash } = version;
    let number = i64::try_from(number).expect("versions of a benchmark are few");
    connection
        .prepare_cached("INSERT INTO versions VALUES (?1, ?2, ?3, '2026-02-02T14:30:00.000Z')")?
        .execute(params![name, number, structural_hash])?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO aliases VALUES (?1, ?2)")?
        .execute(params![name, structural_hash])?;
    Ok(())
}
