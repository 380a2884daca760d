//! Stores that are full already, made once for all cases that need one.

use std::path::PathBuf;
use std::sync::Arc;

use constellation_benches::images::Program;
use constellation_store_core::{PipelineStore as _, PipelineStoreExt as _};
use constellation_store_fs::FileSystemPipelineStore;

use super::{all_threads, burst};
use crate::rivals::{Record, Rival as _, Sqlite};
use crate::settings::{Settings, progress};

/// A store of ours, closed, and a SQLite database of the same programs, by rising size.
pub(crate) struct Stored {
    pub(crate) stores: Vec<StoredPrograms>,
}

/// The programs of the numbers from 0 up to a count, each under its name.
pub(crate) struct StoredPrograms {
    pub(crate) count: u64,
    pub(crate) ours: PathBuf,
    pub(crate) sqlite: PathBuf,
}

/// How many programs are in memory at a time.
const CHUNK: usize = 2_000;

impl Stored {
    /// Fills the stores; nothing of it is measured.
    pub(crate) fn fill(settings: &Settings) -> anyhow::Result<Self> {
        let mut stores = Vec::new();
        for count in settings.sizes() {
            progress(&format!("nothing: storing {count} programs for the next cases"));
            let place = settings.place("stored").join(count.to_string());
            let programs = StoredPrograms { count, ours: place.join("ours"), sqlite: place.join("sqlite") };
            programs.fill()?;
            stores.push(programs);
        }
        Ok(Self { stores })
    }

    /// The store of the largest size.
    pub(crate) fn largest(&self) -> &StoredPrograms {
        self.stores.last().expect("there are three sizes")
    }

    /// The store of the smallest size.
    pub(crate) fn smallest(&self) -> &StoredPrograms {
        self.stores.first().expect("there are three sizes")
    }
}

impl StoredPrograms {
    fn fill(&self) -> anyhow::Result<()> {
        let runtime = all_threads()?;
        let store = Arc::new(FileSystemPipelineStore::open(&self.ours)?);
        let mut sqlite = Sqlite::open(&self.sqlite)?;
        for start in (0..self.count).step_by(CHUNK) {
            let numbers = start..self.count.min(start + CHUNK as u64);
            let programs: Arc<Vec<Program>> = Arc::new(numbers.map(Program::of).collect());
            runtime.block_on(burst::by_all_writers(&programs, || {
                let store = Arc::clone(&store);
                move |program: Program| {
                    let store = Arc::clone(&store);
                    async move {
                        store.publish(program.publication()).await?;
                        Ok(())
                    }
                }
            }))?;
            let records: Vec<Record> = programs.iter().map(Record::of).collect();
            sqlite.publish(&records)?;
        }
        Ok(runtime.block_on(store.close())?)
    }
}
