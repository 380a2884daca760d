//! The way of a program from its text to what a run of it tells.

use std::sync::Arc;

use constellation_lang::{Compilation, FunctionTable, compile, tokenize};
use constellation_module::ModuleRegistry;
use constellation_rehydrate::{LoadedPipeline, rehydrate};
use constellation_runtime::{Inputs, RunOptions, RunReport, Runtime};
use constellation_store_core::{DagSpec, ImageMetadata, PipelineImage, Timestamp};
use constellation_types::Value;

/// The modules of the standard library, what the compiler knows of them, and a runtime.
#[derive(Debug)]
pub struct World {
    registry: ModuleRegistry,
    functions: FunctionTable,
    runtime: Runtime,
    /// Its clock is paused: whoever waits is woken at once.
    executor: tokio::runtime::Runtime,
}

impl World {
    /// A world of the standard library.
    pub fn new() -> Self {
        let registry = constellation_stdlib::registry();
        let functions = FunctionTable::new(registry.signatures().cloned());
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output needs nothing of the system");
        Self { registry, functions, runtime: Runtime::default(), executor }
    }

    /// The functions that programs can call.
    pub fn functions(&self) -> &FunctionTable {
        &self.functions
    }

    /// Compiles a source.
    pub fn compile(&self, source: &str) -> Compilation {
        compile(&tokenize(source), &self.functions)
    }

    /// The graph of a source.
    ///
    /// # Errors
    ///
    /// The errors of the source, a line each.
    pub fn graph(&self, source: &str) -> Result<DagSpec, String> {
        let compilation = self.compile(source);
        compilation.dag_spec.ok_or_else(|| {
            let errors: Vec<String> = compilation
                .diagnostics
                .iter()
                .filter(|d| d.severity == constellation_lang::Severity::Error)
                .map(ToString::to_string)
                .collect();
            errors.join("\n")
        })
    }

    /// Binds an image to the modules.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    pub fn load(&self, image: PipelineImage) -> Result<Arc<LoadedPipeline>, String> {
        rehydrate(Arc::new(image), &self.registry).map(Arc::new).map_err(|error| error.to_string())
    }

    /// Runs a pipeline.
    pub fn run(&self, pipeline: &Arc<LoadedPipeline>, inputs: &[(String, Value)]) -> RunReport {
        let inputs: Inputs = inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        self.executor.block_on(self.runtime.run(pipeline, inputs, RunOptions::default()))
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// The image of a graph, as if it had been compiled at the beginning of time.
pub(crate) fn image(graph: DagSpec) -> PipelineImage {
    let metadata = ImageMetadata::new(&graph, Timestamp::UNIX_EPOCH);
    PipelineImage::new(graph, metadata)
}
