//! The conformance suite on the model file system, with a loss of power whenever a store is opened again, and with
//! bounds so small that checkpoints come all the time.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use constellation_store_core::PipelineStore;
use constellation_store_core::conformance::{Backend, run};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::vfs::ModelVfs;
use futures_util::future::BoxFuture;

#[derive(Default)]
struct Models {
    places: Mutex<BTreeMap<String, ModelVfs>>,
}

impl Backend for Models {
    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Arc<dyn PipelineStore>> {
        Box::pin(async move {
            let mut places = self.places.lock().expect("no case fails while it opens a store");
            let vfs = places.get(place).map_or_else(ModelVfs::new, |vfs| vfs.crash(&[]));
            places.insert(place.to_owned(), vfs.clone());
            let store = FileSystemPipelineStore::options()
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
    run(Models::default())
}
