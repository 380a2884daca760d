//! The conformance suite on the in-memory store.

use std::process::ExitCode;
use std::sync::Arc;

use constellation_store_core::PipelineStore;
use constellation_store_core::conformance::{Backend, run};
use constellation_store_mem::InMemoryPipelineStore;
use futures_util::future::BoxFuture;

struct Memory;

impl Backend for Memory {
    fn open<'a>(&'a self, _place: &'a str) -> BoxFuture<'a, Arc<dyn PipelineStore>> {
        Box::pin(async { Arc::new(InMemoryPipelineStore::new()) as Arc<dyn PipelineStore> })
    }

    fn keeps_content(&self) -> bool {
        false
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        futures_util::FutureExt::now_or_never(future).expect("the store never waits");
    }
}

fn main() -> ExitCode {
    run(Memory)
}
