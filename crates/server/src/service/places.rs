//! Where in its source a node of a pipeline was written, for the errors of runs.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use constellation_lang::{Compilation, LineIndex, Position, compile, tokenize};
use constellation_rehydrate::LoadedPipeline;
use constellation_store_core::{Reference, SourceHash, StructuralHash};

use super::{PipelineService, blocking};

/// The places of nodes, by pipeline and source.
pub(super) type Places = HashMap<(StructuralHash, SourceHash), Arc<[Position]>>;

/// How many pipelines' places are kept. A pipeline that fails once often fails again.
const MAX_KEPT: usize = 128;

impl PipelineService {
    /// The places of all nodes in `source`, by index. None when the source is not that of the pipeline, or has
    /// another graph by now.
    ///
    /// An image has no places, since layout does not change what a program is. So the source is compiled once
    /// more; this is no compilation of a pipeline, and is not counted as one.
    pub(crate) async fn places(
        &self,
        pipeline: &LoadedPipeline,
        source: Arc<str>,
    ) -> Option<Arc<[Position]>> {
        let structural_hash = pipeline.image.structural_hash;
        let key = (structural_hash, SourceHash::of_bytes(source.as_bytes()));
        if let Some(places) = self.places.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(Arc::clone(places));
        }
        let slot = Arc::clone(&self.compile_slots).acquire_owned().await.ok()?;
        let functions = Arc::clone(&self.functions);
        let compiled = blocking(move || {
            let _slot = slot;
            let Compilation { dag_spec, diagnostics: _, node_spans } =
                compile(&tokenize(&source), &functions);
            if dag_spec?.structural_hash() != structural_hash {
                return None;
            }
            let lines = LineIndex::new(&source);
            Some(node_spans.iter().map(|span| lines.position(span.start)).collect::<Arc<[Position]>>())
        });
        let places = compiled.await.ok()??;
        let mut kept = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&places));
        Some(places)
    }

    /// The source of what a reference leads to: that of the active version of a name, or what the image was first
    /// compiled from.
    pub(crate) async fn source_of(
        &self,
        reference: &Reference,
        pipeline: &LoadedPipeline,
    ) -> Option<Arc<str>> {
        let published = match reference {
            Reference::Name(name) => self.store.versions(name).await.ok()?.and_then(|history| {
                let version = history.get(history.active_version?)?;
                version.source_hash.filter(|_| version.structural_hash == pipeline.image.structural_hash)
            }),
            Reference::Hash(_) => None,
        };
        let source_hash = published.or(pipeline.image.metadata.source_hash)?;
        self.store.source(&source_hash).await.ok()?
    }
}
