//! Runs pipelines from their source against mock modules, in tests, in a few lines.
//!
//! ```
//! use constellation_testkit::TestKit;
//! use serde_json::json;
//!
//! let kit = TestKit::new().mock("GetUser(id: Int) -> { name: String }", |_| json!({ "name": "Ada" }));
//! let run = kit.run("in id: Int\nuser = GetUser(id)\nname = user.name\nout name", json!({ "id": 1 }));
//! assert_eq!(run.output("name"), json!("Ada"));
//! assert_eq!(kit.calls("GetUser"), [json!({ "id": 1 })]);
//! ```
//!
//! A kit has the standard library, the modules that it is given ([`TestKit::module`]), and mocks ([`TestKit::mock`]),
//! which answer what the test says and note how they were called. What goes wrong on the way panics at the line of the
//! test, with the diagnostics of the source as the compiler draws them.
//!
//! # Time
//!
//! Time is paused: whoever waits, in a module, before a retry or for a timeout, is woken as soon as nothing else is to
//! do, and [`Run::elapsed`] tells how long it would have taken.
//!
//! # Limitations
//!
//! * The kit has an async runtime of its own, so that it is for plain `#[test]` functions: within another one it panics.
//! * Since time is paused, a module that waits for the network or for another thread may run into its timeout at once.
//! * A mock takes no lambdas.
//!
//! **Must not know:** stores, HTTP.

mod mock;
mod run;
mod signature;

use std::sync::{Arc, OnceLock};

use constellation_lang::draw::{Palette, draw};
use constellation_lang::{Compilation, FunctionTable, compile, tokenize};
use constellation_module::{Module, ModuleRegistry};
use constellation_rehydrate::{LoadedPipeline, RehydrateError, rehydrate};
use constellation_runtime::{Inputs, RunOptions, RunReport, Runtime};
use constellation_store_core::{DagSpec, ImageMetadata, PipelineImage, Timestamp};
use constellation_types::decode_json;
use serde_json::Value as Json;

pub use mock::{Answer, MockCall};
pub use run::Run;

use crate::mock::CallLog;

/// The name of a test's source, where diagnostics are drawn.
const SOURCE_NAME: &str = "source";

/// Modules and mocks, and all that it takes to run a pipeline that calls them.
#[derive(Debug)]
pub struct TestKit {
    registry: ModuleRegistry,
    logs: Vec<(Arc<str>, CallLog)>,
    /// What the compiler knows of the registry, since it was changed last.
    functions: OnceLock<FunctionTable>,
    runtime: Runtime,
    /// Its clock is paused.
    executor: tokio::runtime::Runtime,
}

impl Default for TestKit {
    fn default() -> Self {
        Self::new()
    }
}

impl TestKit {
    /// A kit with the standard library.
    pub fn new() -> Self {
        Self::with_registry(constellation_stdlib::registry())
    }

    /// A kit with these modules and no others.
    pub fn with_registry(registry: ModuleRegistry) -> Self {
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output needs nothing of the system");
        // The clock of runs starts when they are told of it: it has to be the one that is paused.
        let runtime = executor.block_on(async { Runtime::default() });
        Self { registry, logs: Vec::new(), functions: OnceLock::new(), runtime, executor }
    }

    /// Adds a module.
    ///
    /// # Panics
    ///
    /// When it cannot be registered, such as because its name is taken.
    #[track_caller]
    pub fn module(mut self, module: impl Module) -> Self {
        if let Err(error) = self.registry.register(module) {
            panic!("{error}");
        }
        self.functions = OnceLock::new();
        self
    }

    /// Adds a module that answers what a function makes of each call: JSON, a `Result` of it, or an [`Answer`] that may
    /// take its time. A `signature` is written as errors and documents write it: a name, the parameters, and the type
    /// of the result.
    ///
    /// # Panics
    ///
    /// When the signature cannot be read, or the module cannot be registered.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use constellation_testkit::{Answer, TestKit};
    /// # use serde_json::json;
    /// let kit = TestKit::new()
    ///     .mock("Double(n: Int) -> Int", |call| json!(call["n"].as_i64().unwrap() * 2))
    ///     .mock("shop.Price(sku: String) -> { net: Float, gross: Float }", |call| {
    ///         if call.number() < 3 { Answer::error("busy") } else { json!({ "net": 1, "gross": 1.19 }).into() }
    ///     })
    ///     .mock("Slow() -> Int", |_| Answer::from(json!(1)).after(Duration::from_secs(10)));
    ///
    /// let source = r#"
    ///     use shop
    ///     price = Price("DESK-2") with retry: 2
    ///     slow = Slow()
    ///     sum = price.gross + Double(slow)
    ///     out sum
    /// "#;
    /// let run = kit.run(source, json!({}));
    /// assert_eq!(run.output("sum"), json!(3.19));
    /// assert_eq!(run.elapsed(), Duration::from_secs(10));
    /// assert_eq!(kit.calls("shop.Price").len(), 3);
    /// ```
    #[track_caller]
    pub fn mock<A: Into<Answer>>(
        mut self,
        signature: &str,
        answer: impl Fn(&MockCall) -> A + Send + Sync + 'static,
    ) -> Self {
        let signature = match signature::parse(signature) {
            Ok(signature) => signature,
            Err(message) => panic!("the signature of a mock cannot be read: {message}"),
        };
        let log = CallLog::default();
        self.logs.push((Arc::clone(&signature.name), log.clone()));
        self.module(mock::module(signature, log, answer))
    }

    /// The arguments of each call of a mock so far, in the order in which they were made: objects by parameter name.
    ///
    /// # Panics
    ///
    /// When no mock has the name; it is the whole one, with its namespace.
    #[track_caller]
    pub fn calls(&self, name: &str) -> Vec<Json> {
        let Some((_, log)) = self.logs.iter().find(|(known, _)| **known == *name) else {
            let known: Vec<&str> = self.logs.iter().map(|(name, _)| &**name).collect();
            panic!("there is no mock '{name}'; the mocks are: {}", known.join(", "));
        };
        log.arguments()
    }

    /// Compiles a source and runs it with inputs, an object by name.
    ///
    /// # Panics
    ///
    /// When the source has an error, or an input does not fit. A run that fails is an answer; see [`Run`].
    #[track_caller]
    pub fn run(&self, source: &str, inputs: Json) -> Run {
        let pipeline = self.load(source);
        let inputs = decode_inputs(&pipeline, inputs);
        let timer = &self.runtime.config().timer;
        let (report, elapsed) = self.executor.block_on(async {
            let start = timer.now();
            let report = self.runtime.run(&pipeline, inputs, RunOptions::default()).await;
            (report, timer.now().saturating_sub(start))
        });
        Run::new(pipeline, report, elapsed)
    }

    /// Compiles a source and binds it to the modules.
    ///
    /// # Panics
    ///
    /// When the source has an error.
    #[track_caller]
    pub fn load(&self, source: &str) -> Arc<LoadedPipeline> {
        let compilation = self.compile(source);
        let Some(dag_spec) = compilation.dag_spec else {
            let drawn = compilation
                .diagnostics
                .iter()
                .map(|diagnostic| draw(SOURCE_NAME, source, diagnostic, Palette::Plain));
            panic!("the source does not compile\n{}", drawn.collect::<Vec<_>>().join("\n\n"));
        };
        match self.bind(image_of(dag_spec)) {
            Ok(pipeline) => pipeline,
            Err(error) => panic!("{error}"),
        }
    }

    /// The functions that sources can call.
    pub fn functions(&self) -> &FunctionTable {
        self.functions.get_or_init(|| FunctionTable::new(self.registry.signatures().cloned()))
    }

    /// Compiles a source, for tests of what the compiler says.
    pub fn compile(&self, source: &str) -> Compilation {
        compile(&tokenize(source), self.functions())
    }

    /// Binds an image to the modules.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    pub fn bind(&self, image: PipelineImage) -> Result<Arc<LoadedPipeline>, RehydrateError> {
        rehydrate(Arc::new(image), &self.registry).map(Arc::new)
    }

    /// Runs a pipeline with values as inputs.
    pub fn execute(&self, pipeline: &Arc<LoadedPipeline>, inputs: Inputs) -> RunReport {
        self.executor.block_on(self.runtime.run(pipeline, inputs, RunOptions::default()))
    }
}

/// The image of a graph, as if it had been compiled at the beginning of time.
pub fn image_of(dag_spec: DagSpec) -> PipelineImage {
    let metadata = ImageMetadata::new(&dag_spec, Timestamp::UNIX_EPOCH);
    PipelineImage::new(dag_spec, metadata)
}

#[track_caller]
fn decode_inputs(pipeline: &LoadedPipeline, inputs: Json) -> Inputs {
    let Json::Object(given) = inputs else {
        panic!("the inputs are an object by name, such as json!({{ \"id\": 1 }}), and not {inputs}");
    };
    let mut inputs = Inputs::new();
    for (name, json) in given {
        let Some(place) = pipeline.input(&name) else {
            let known: Vec<&str> = pipeline.inputs.iter().map(|input| &*input.name).collect();
            panic!("the source has no input '{name}'; its inputs are: {}", known.join(", "));
        };
        match decode_json(&json, pipeline.ty(pipeline.inputs[place].ty), &name) {
            Ok(value) => inputs.insert(name, value),
            Err(error) => panic!("the input '{name}' does not fit: {error}"),
        }
    }
    inputs
}

/// The code on the page about modules is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/modules.md")]
struct ModulesPage;
