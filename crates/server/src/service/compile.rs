//! Work of the compiler, in slots and away from where requests are served.

use std::sync::Arc;

use constellation_lang::{Compilation, Diagnostic, tokenize};
use constellation_rehydrate::LoadedPipeline;
use constellation_store_core::{ImageMetadata, PipelineImage, SourceHash, SyntacticKey};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::{PipelineService, blocking};
use crate::admission::{Overloaded, Slot};
use crate::error::ServiceError;

/// A source of at most so many bytes is cut into tokens where the request runs: handing it to another thread
/// would take longer.
const INLINE_TOKENIZE_BYTES: usize = 16 * 1024;

/// A source of at most so many bytes is compiled there, too. Most take some ten microseconds, which is less than to hand
/// them over; the worst, such as lists in lists two hundred deep, some milliseconds.
const INLINE_COMPILE_BYTES: usize = 1024;

/// For whom a program is compiled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    /// The server itself, which does little at a time and has nobody to tell that it is busy.
    Server,
    /// A client, who can try again.
    Client,
}

impl PipelineService {
    /// A turn for what is done once at a time. A client waits for it no longer than for a slot.
    pub(super) async fn turn<'a>(
        &self,
        asker: Asker,
        turns: &'a Mutex<()>,
    ) -> Result<MutexGuard<'a, ()>, Overloaded> {
        match asker {
            Asker::Server => Ok(turns.lock().await),
            Asker::Client => {
                let turn = timeout(self.compilations.max_wait(), turns.lock()).await;
                turn.map_err(|_| self.compilations.no_turn())
            }
        }
    }

    /// Does work of this kind in a slot for compilations, which is given back when the work is done, not when the client
    /// goes away.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Overloaded`] when its turn does not come in time.
    pub(crate) async fn in_compilation_slot<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let slot = self.compilation_slot(asker).await?;
        blocking(move || {
            let _slot = slot;
            work()
        })
        .await
    }

    async fn compilation_slot(&self, asker: Asker) -> Result<Slot, Overloaded> {
        match asker {
            Asker::Server => Ok(self.compilations.enter_without_bound().await),
            Asker::Client => self.compilations.enter().await,
        }
    }

    pub(super) async fn key_of(&self, asker: Asker, source: &Arc<str>) -> Result<SyntacticKey, ServiceError> {
        if source.len() <= INLINE_TOKENIZE_BYTES {
            return Ok(tokenize(source).syntactic_key(&self.functions));
        }
        let (source, functions) = (Arc::clone(source), Arc::clone(&self.functions));
        self.in_compilation_slot(asker, move || tokenize(&source).syntactic_key(&functions)).await
    }

    pub(super) async fn compile(
        &self,
        asker: Asker,
        source: &Arc<str>,
        key: SyntacticKey,
        source_hash: SourceHash,
    ) -> Result<(Arc<LoadedPipeline>, Vec<Diagnostic>), ServiceError> {
        let is_short = source.len() <= INLINE_COMPILE_BYTES;
        let metrics = Arc::clone(&self.metrics);
        let source = Arc::clone(source);
        let functions = Arc::clone(&self.functions);
        let rehydrator = self.rehydrator.clone();
        let clock = Arc::clone(&self.clock);
        let compile = move || {
            metrics.compiled();
            let compiled_at = clock.now();
            let Compilation { dag_spec, diagnostics, node_spans: _ } =
                constellation_lang::compile(&tokenize(&source), &functions);
            let Some(dag_spec) = dag_spec else { return Err(ServiceError::Compile(diagnostics)) };
            let metadata = ImageMetadata {
                source_hash: Some(source_hash),
                syntactic_hash: Some(key.syntactic),
                compiler: Some(env!("CARGO_PKG_VERSION").into()),
                ..ImageMetadata::new(&dag_spec, compiled_at)
            };
            let image = Arc::new(PipelineImage::new(dag_spec, metadata));
            let pipeline = rehydrator.rehydrate(image).map_err(ServiceError::Unsupported)?;
            Ok((Arc::new(pipeline), diagnostics))
        };
        if is_short {
            let _slot = self.compilation_slot(asker).await?;
            return compile();
        }
        self.in_compilation_slot(asker, compile).await?
    }
}
