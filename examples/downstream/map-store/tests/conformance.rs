//! The conformance suite on this backend; `cargo test` runs each of its cases as a test.

use std::process::ExitCode;
use std::sync::Arc;

use constellation_store_core::PipelineStore;
use constellation_store_core::conformance::{Backend, run};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use map_store::Database;

struct Maps(Database);

impl Backend for Maps {
    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Arc<dyn PipelineStore>> {
        Box::pin(async move { Arc::new(self.0.store(place)) as Arc<dyn PipelineStore> })
    }

    fn keeps_content(&self) -> bool {
        true
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        future.now_or_never().expect("the store never waits");
    }
}

fn main() -> ExitCode {
    run(Maps(Database::default()))
}
