//! The way of a program from its text to what a run of it tells.

use std::sync::Arc;

use constellation_lang::{Compilation, FunctionTable};
use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{Inputs, RunReport};
use constellation_store_core::{DagSpec, PipelineImage};
use constellation_testkit::TestKit;
use constellation_types::Value;

/// The modules of the standard library, what the compiler knows of them, and a runtime.
#[derive(Debug, Default)]
pub struct World {
    kit: TestKit,
}

impl World {
    /// A world of the standard library.
    pub fn new() -> Self {
        Self::default()
    }

    /// The functions that programs can call.
    pub fn functions(&self) -> &FunctionTable {
        self.kit.functions()
    }

    /// Compiles a source.
    pub fn compile(&self, source: &str) -> Compilation {
        self.kit.compile(source)
    }

    /// The graph of a source.
    ///
    /// # Errors
    ///
    /// The errors of the source, a line each.
    pub fn graph(&self, source: &str) -> Result<DagSpec, String> {
        let mut compilation = self.compile(source);
        compilation.dag_spec.take().ok_or_else(|| {
            let errors: Vec<String> = compilation.errors().map(ToString::to_string).collect();
            errors.join("\n")
        })
    }

    /// Binds an image to the modules.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    pub fn load(&self, image: PipelineImage) -> Result<Arc<LoadedPipeline>, String> {
        self.kit.bind(image).map_err(|error| error.to_string())
    }

    /// Runs a pipeline.
    pub fn run(&self, pipeline: &Arc<LoadedPipeline>, inputs: &[(String, Value)]) -> RunReport {
        let inputs: Inputs = inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        self.kit.execute(pipeline, inputs)
    }
}
