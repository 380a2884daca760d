//! The conformance suite on the file system of the machine.

use std::process::ExitCode;
use std::sync::Arc;

use constellation_store_core::PipelineStore;
use constellation_store_core::conformance::{Backend, run};
use constellation_store_fs::FileSystemPipelineStore;
use futures_util::future::BoxFuture;

struct Directories {
    root: tempfile::TempDir,
}

impl Backend for Directories {
    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Arc<dyn PipelineStore>> {
        Box::pin(async move {
            let store = FileSystemPipelineStore::open(self.root.path().join(place)).expect("the store opens");
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
    run(Directories { root: tempfile::tempdir().expect("there is room for a directory") })
}
