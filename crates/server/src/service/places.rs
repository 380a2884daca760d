//! Where in its source a node of a pipeline was written, for the errors of runs.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use constellation_lang::syntax::Declaration;
use constellation_lang::{Compilation, FunctionTable, LineIndex, Position, compile, parse, tokenize};
use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::RunError;
use constellation_store_core::{Reference, SourceHash, StructuralHash};

use super::{Found, PipelineService, blocking};

/// The places of what was written in a source.
#[derive(Debug)]
pub(crate) enum Places {
    /// Those of all nodes, by index.
    Nodes(Vec<Position>),
    /// Those of the names of inputs and variables, when the source no longer gives this graph: it is of another
    /// registry or compiler.
    Names(HashMap<String, Position>),
}

impl Places {
    /// Where what failed was written.
    pub(crate) fn of(&self, error: &RunError) -> Option<Position> {
        match self {
            Self::Nodes(positions) => positions.get(error.node?.index()).copied(),
            Self::Names(positions) => positions.get(error.label.as_deref()?).copied(),
        }
    }

    /// Compiles the source, or reads it when that does not lead to the same graph.
    fn find(source: &str, functions: &FunctionTable, structural_hash: StructuralHash) -> Self {
        let tokens = tokenize(source);
        let lines = LineIndex::new(source);
        let Compilation { dag_spec, diagnostics: _, node_spans } = compile(&tokens, functions);
        if dag_spec.is_some_and(|dag| dag.structural_hash() == structural_hash) {
            return Self::Nodes(node_spans.iter().map(|span| lines.position(span.start)).collect());
        }
        let (tree, _) = parse(&tokens);
        let names = tree.declarations.iter().filter_map(|declaration| match declaration {
            Declaration::Input { name, .. } | Declaration::Assignment { name, .. } => Some(name),
            _ => None,
        });
        Self::Names(names.map(|name| (name.text.to_owned(), lines.position(name.span.start))).collect())
    }
}

/// What the program of a run came from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ProgramOf<'a> {
    /// A source in the request.
    Request(&'a Found),
    /// What is stored under a name or a hash.
    Reference(&'a Reference),
    /// A module that is called by itself, which nobody wrote down.
    Module,
}

/// Places, by pipeline and source.
pub(super) type KnownPlaces = HashMap<(StructuralHash, SourceHash), Arc<Places>>;

/// How many pipelines' places are kept. A pipeline that fails once often fails again.
const MAX_KEPT: usize = 128;

impl PipelineService {
    /// The places of all nodes of a pipeline in its source, as far as they can be found. None when the source is not
    /// at hand, and when so much is being compiled that it would have to wait.
    ///
    /// An image has no places, since layout does not change what a program is. So the source is compiled once
    /// more; this is no compilation of a pipeline, and is not counted as one.
    pub(crate) async fn places(
        &self,
        pipeline: &LoadedPipeline,
        program: ProgramOf<'_>,
    ) -> Option<Arc<Places>> {
        let structural_hash = pipeline.image.structural_hash;
        let source_hash = match program {
            ProgramOf::Request(found) => found.source_hash,
            ProgramOf::Reference(reference) => self.source_hash_of(reference, pipeline).await?,
            ProgramOf::Module => return None,
        };
        let key = (structural_hash, source_hash);
        if let Some(places) = self.places.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(Arc::clone(places));
        }
        let slot = self.compilations.try_enter()?;
        let source = match program {
            ProgramOf::Request(found) => Arc::clone(&found.source),
            ProgramOf::Reference(_) | ProgramOf::Module => self.store.source(&source_hash).await.ok()??,
        };
        let functions = Arc::clone(&self.functions);
        let found = blocking(move || {
            let _slot = slot;
            Places::find(&source, &functions, structural_hash)
        });
        let places = Arc::new(found.await.ok()?);
        let mut kept = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&places));
        Some(places)
    }

    /// The hash of the source of what a reference leads to: that of the active version of a name, or what the image was
    /// first compiled from.
    async fn source_hash_of(&self, reference: &Reference, pipeline: &LoadedPipeline) -> Option<SourceHash> {
        let published = match reference {
            Reference::Name(name) => self.store.versions(name).await.ok()?.and_then(|history| {
                let version = history.get(history.active_version?)?;
                version.source_hash.filter(|_| version.structural_hash == pipeline.image.structural_hash)
            }),
            Reference::Hash(_) => None,
        };
        published.or(pipeline.image.metadata.source_hash)
    }
}
