//! Programs from their source, with the standard library and modules that do as they are told.

use std::sync::Arc;

use constellation_lang::{FunctionTable, compile, tokenize};
use constellation_module::ModuleSpec;
use constellation_rehydrate::{LoadedPipeline, rehydrate};
use constellation_runtime::{Inputs, RunReport, RunStatus, Runtime};
use constellation_store_core::{ImageMetadata, PipelineImage, Timestamp};
use constellation_types::{Json, Value, decode_json};
use serde_json::Value as JsonValue;

use crate::support::{Act, Bench, Mock};
use constellation_rehydrate::testkit::signature;
use constellation_types::Type;

/// A registry, and how to run.
pub(crate) struct Program {
    pub(crate) bench: Bench,
}

impl Program {
    /// With the standard library.
    pub(crate) fn new() -> Self {
        let registry = constellation_stdlib::registry();
        Self { bench: Bench { registry, ..Bench::new() } }
    }

    /// Adds a module.
    pub(crate) fn mock(
        &mut self,
        name: &str,
        parameters: &[Type],
        result: Type,
        script: impl Fn(&[Value], u32) -> Act + Send + Sync + 'static,
    ) -> Arc<Mock> {
        self.bench.mock_with(ModuleSpec::new(signature(name, parameters, result)), script)
    }

    /// Compiles a program, and loads it from the image as it was written and read back.
    pub(crate) fn load(&self, source: &str) -> Arc<LoadedPipeline> {
        let functions = FunctionTable::new(self.bench.registry.signatures().cloned());
        let compilation = compile(&tokenize(source), &functions);
        let errors: Vec<String> = compilation.errors().map(ToString::to_string).collect();
        let dag = compilation.dag_spec.unwrap_or_else(|| panic!("{source}\n{errors:#?}"));
        let metadata = ImageMetadata::new(&dag, Timestamp::UNIX_EPOCH);
        let image = PipelineImage::new(dag, metadata);
        let decoded = PipelineImage::decode(&image.encode()).unwrap().image;
        let fresh =
            rehydrate(Arc::new(image), &self.bench.registry).unwrap_or_else(|e| panic!("{source}\n{e}"));
        let loaded = rehydrate(Arc::new(decoded), &self.bench.registry).unwrap();
        assert_eq!(format!("{:?}", fresh.nodes), format!("{:?}", loaded.nodes));
        Arc::new(loaded)
    }

    pub(crate) async fn run(&self, source: &str, inputs: JsonValue) -> RunReport {
        self.run_on(&self.runtime(), source, inputs).await
    }

    /// A runtime for several runs.
    pub(crate) fn runtime(&self) -> Runtime {
        Runtime::new(self.bench.config.clone())
    }

    pub(crate) async fn run_on(&self, runtime: &Runtime, source: &str, inputs: JsonValue) -> RunReport {
        let pipeline = self.load(source);
        let inputs = inputs_of(&pipeline, &inputs);
        runtime.run(&pipeline, inputs, self.bench.options.clone()).await
    }

    /// The outputs of a run that completes, as JSON.
    pub(crate) async fn outputs(&self, source: &str, inputs: JsonValue) -> JsonValue {
        let pipeline = self.load(source);
        let given = inputs_of(&pipeline, &inputs);
        let report = self.runtime().run(&pipeline, given, self.bench.options.clone()).await;
        assert_eq!(report.status, RunStatus::Completed, "{source}\n{:?}", report.errors);
        let outputs = pipeline.outputs.iter().map(|output| {
            let value = report.output(&output.name).unwrap();
            (
                output.name.to_string(),
                serde_json::to_value(Json { value, ty: pipeline.ty(output.ty) }).unwrap(),
            )
        });
        outputs.collect()
    }

    /// The only error of a run, as people read it.
    pub(crate) async fn error(&self, source: &str, inputs: JsonValue) -> String {
        let report = self.run(source, inputs).await;
        assert_eq!(report.status, RunStatus::Failed, "{source}\n{report:?}");
        let [error] = &report.errors[..] else { panic!("{source}\n{report:?}") };
        error.to_string()
    }
}

fn inputs_of(pipeline: &LoadedPipeline, inputs: &JsonValue) -> Inputs {
    let inputs = inputs.as_object().unwrap().iter().map(|(name, json)| {
        let place = pipeline.input(name).unwrap_or_else(|| panic!("there is no input '{name}'"));
        let value = decode_json(json, pipeline.ty(pipeline.inputs[place].ty), name).unwrap();
        (name.as_str(), value)
    });
    inputs.collect()
}

/// Output `x` of a program with the standard library alone, as JSON.
pub(crate) async fn x_of(source: &str, inputs: JsonValue) -> JsonValue {
    Program::new().outputs(source, inputs).await["x"].take()
}
