//! The conformance suite on the model file system, with a loss of power whenever a store is opened again, and with
//! bounds so small that checkpoints come all the time: once with commits on the thread of the store, and once on that of
//! the caller.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use constellation_store_core::PipelineStore;
use constellation_store_core::conformance::{Backend, run};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::vfs::ModelVfs;
use futures_util::future::BoxFuture;

struct Models {
    commit_on_caller: bool,
    places: Mutex<BTreeMap<String, ModelVfs>>,
}

impl Backend for Models {
    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Arc<dyn PipelineStore>> {
        Box::pin(async move {
            let mut places = self.places.lock().expect("no case fails while it opens a store");
            let vfs = places.get(place).map_or_else(ModelVfs::new, |vfs| vfs.crash(&[]));
            places.insert(place.to_owned(), vfs.clone());
            let store = FileSystemPipelineStore::options()
                .commit_on_caller(self.commit_on_caller)
                .checkpoint_after_bytes(4_000)
                .checkpoint_after_idle(Duration::from_millis(1))
                .backlog_bytes(20_000)
                .open_on(Arc::new(vfs))
                .expect("the store opens");
            Arc::new(store) as Arc<dyn PipelineStore>
        })
    }

    fn keeps_content(&self) -> bool {
        true
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
        runtime.block_on(future);
    }
}

fn main() -> ExitCode {
    let outcomes =
        [false, true].map(|commit_on_caller| run(Models { commit_on_caller, places: Mutex::default() }));
    outcomes.into_iter().find(|outcome| *outcome != ExitCode::SUCCESS).unwrap_or(ExitCode::SUCCESS)
}
