//! The naive way: each file by temporary file, sync, rename and sync of the directory, and the flat maps as whole
//! files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Record, Rival, Version};

/// The files of one publish alone, which many threads write at once.
#[derive(Clone)]
pub(crate) struct NaiveFiles {
    directory: PathBuf,
    temporary: Arc<AtomicU64>,
}

/// The files that all publishes share.
pub(crate) struct NaiveMaps {
    files: NaiveFiles,
    aliases: BTreeMap<String, String>,
    syntactic: BTreeMap<String, String>,
}

/// Both, for one thread.
pub(crate) struct Naive {
    files: NaiveFiles,
    maps: NaiveMaps,
}

impl NaiveFiles {
    pub(crate) fn create(directory: &Path) -> anyhow::Result<Self> {
        for folder in ["images", "sources", "versions"] {
            std::fs::create_dir_all(directory.join(folder))?;
        }
        Ok(Self { directory: directory.to_owned(), temporary: Arc::default() })
    }

    /// Writes image, source and version.
    pub(crate) fn write(&self, record: &Record) -> anyhow::Result<()> {
        self.replace(&format!("images/{}.json", record.structural_hash), &record.image)?;
        self.replace(&format!("sources/{}.cst", record.source_hash), record.source.as_bytes())?;
        self.write_version(Version::first_of(record))
    }

    fn write_version(&self, version: Version<'_>) -> anyhow::Result<()> {
        let name = version.name.replace('/', "%2f");
        self.replace(&format!("versions/{name}.json"), &version.document())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.directory.join(name);
        let folder = path.parent().expect("it is in the directory");
        let temporary = folder.join(format!(".tmp-{}", self.temporary.fetch_add(1, Ordering::Relaxed)));
        let mut file = File::create_new(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(folder)?.sync_all()?;
        Ok(())
    }
}

impl NaiveMaps {
    pub(crate) fn new(files: NaiveFiles) -> Self {
        Self { files, aliases: BTreeMap::new(), syntactic: BTreeMap::new() }
    }

    /// Adds the entries of records, and writes both files once.
    pub(crate) fn add(&mut self, records: &[Record]) -> anyhow::Result<()> {
        for record in records {
            self.aliases.insert(record.name.clone(), record.structural_hash.clone());
            self.syntactic.insert(record.key.clone(), record.structural_hash.clone());
        }
        self.write_aliases()?;
        self.files.replace("syntactic-index.json", &serde_json::to_vec_pretty(&self.syntactic)?)
    }

    fn write_aliases(&self) -> anyhow::Result<()> {
        self.files.replace("aliases.json", &serde_json::to_vec_pretty(&self.aliases)?)
    }
}

impl Rival for Naive {
    const NAME: &'static str = "files, the naive way";

    fn open(directory: &Path) -> anyhow::Result<Self> {
        let files = NaiveFiles::create(directory)?;
        Ok(Self { maps: NaiveMaps::new(files.clone()), files })
    }

    fn publish(&mut self, records: &[Record]) -> anyhow::Result<()> {
        for record in records {
            self.files.write(record)?;
        }
        self.maps.add(records)
    }

    fn alias(&mut self, versions: &[Version<'_>]) -> anyhow::Result<()> {
        for version in versions {
            self.maps.aliases.insert(version.name.to_owned(), version.structural_hash.to_owned());
        }
        // Filling it with many names at once is no measurement, and nothing reads their documents.
        if let [version] = versions {
            self.files.write_version(*version)?;
        }
        self.maps.write_aliases()
    }
}
