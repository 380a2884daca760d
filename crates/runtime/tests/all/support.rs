//! Modules that do as they are told, and short ways to run a graph.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use constellation_module::{CallContext, Module, ModuleError, ModuleRegistry, ModuleSpec, Outcome};
use constellation_rehydrate::testkit::{GraphBuilder, signature};
use constellation_rehydrate::{LoadedPipeline, rehydrate};
use constellation_runtime::{Inputs, RunOptions, RunReport, RunStatus, Runtime, RuntimeConfig};
use constellation_store_core::NodeIndex;
use constellation_types::{FunctionSignature, Type, Value};
use tokio::time::Instant;

/// What a mock does with one attempt of a call.
pub(crate) enum Act {
    Give(Value),
    Fail(&'static str),
    GiveAfter(u64, Value),
    FailAfter(u64, &'static str),
    Panic,
    PanicLater,
}

type Script = dyn Fn(&[Value], u32) -> Act + Send + Sync;

/// A module that counts its calls.
pub(crate) struct Mock {
    spec: ModuleSpec,
    pub(crate) calls: AtomicUsize,
    /// Calls whose future ended by itself.
    pub(crate) finished: Arc<AtomicUsize>,
    /// Calls whose future began and is not over.
    pub(crate) gauge: Arc<Gauge>,
    /// The last context.
    pub(crate) context: std::sync::Mutex<Option<CallContext>>,
    script: Box<Script>,
}

impl std::fmt::Debug for Mock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mock").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Module for Mock {
    fn spec(&self) -> &ModuleSpec {
        &self.spec
    }

    fn call(&self, arguments: &[Value], context: &CallContext) -> Outcome {
        self.calls.fetch_add(1, Ordering::SeqCst);
        *self.context.lock().unwrap() = Some(context.clone());
        let (finished, gauge) = (Arc::clone(&self.finished), Arc::clone(&self.gauge));
        let argument = arguments.first().cloned();
        let later = |after, result| {
            Outcome::Pending(Box::pin(async move {
                let _in_flight = gauge.begin(argument.as_ref());
                tokio::time::sleep(Duration::from_millis(after)).await;
                finished.fetch_add(1, Ordering::SeqCst);
                result
            }))
        };
        match (self.script)(arguments, context.attempt()) {
            Act::Give(value) => Outcome::Ready(Ok(value)),
            Act::Fail(message) => Outcome::Ready(Err(ModuleError::new(message))),
            Act::GiveAfter(after, value) => later(after, Ok(value)),
            Act::FailAfter(after, message) => later(after, Err(ModuleError::new(message))),
            Act::Panic => panic!("told to panic"),
            Act::PanicLater => Outcome::Pending(Box::pin(async { panic!("told to panic") })),
        }
    }
}

impl Mock {
    pub(crate) fn signature(&self) -> &FunctionSignature {
        &self.spec.signature
    }

    pub(crate) fn n_calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn n_finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }
}

/// The calls of a mock whose futures are polled.
pub(crate) struct Gauge {
    start: Instant,
    now: AtomicUsize,
    most: AtomicUsize,
    begun: std::sync::Mutex<Vec<(u64, i64)>>,
}

impl Gauge {
    fn new() -> Self {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { start: Instant::now(), now, most, begun: std::sync::Mutex::default() }
    }

    fn begin(self: Arc<Self>, argument: Option<&Value>) -> InFlight {
        let argument = if let Some(Value::Int(argument)) = argument { *argument } else { 0 };
        let at = u64::try_from(self.start.elapsed().as_millis()).unwrap();
        self.begun.lock().unwrap().push((at, argument));
        self.most.fetch_max(1 + self.now.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        InFlight(self)
    }

    /// When calls began, in milliseconds since the mock was made, and their first arguments.
    pub(crate) fn begun(&self) -> Vec<(u64, i64)> {
        self.begun.lock().unwrap().clone()
    }

    /// How many are in flight.
    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    /// How many were in flight at the same time.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

struct InFlight(Arc<Gauge>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A graph under construction, and the modules that it calls.
#[derive(Default)]
pub(crate) struct Bench {
    pub(crate) graph: GraphBuilder,
    pub(crate) registry: ModuleRegistry,
    pub(crate) config: RuntimeConfig,
    pub(crate) options: RunOptions,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Registers a module.
    pub(crate) fn mock(
        &mut self,
        name: &str,
        parameters: &[Type],
        result: Type,
        script: impl Fn(&[Value], u32) -> Act + Send + Sync + 'static,
    ) -> Arc<Mock> {
        self.mock_with(ModuleSpec::new(signature(name, parameters, result)), script)
    }

    pub(crate) fn mock_with(
        &mut self,
        spec: ModuleSpec,
        script: impl Fn(&[Value], u32) -> Act + Send + Sync + 'static,
    ) -> Arc<Mock> {
        let mock = Arc::new(Mock {
            spec,
            calls: AtomicUsize::new(0),
            finished: Arc::default(),
            gauge: Arc::new(Gauge::new()),
            context: std::sync::Mutex::default(),
            script: Box::new(script),
        });
        self.registry.register_shared(Arc::clone(&mock) as Arc<dyn Module>).unwrap();
        mock
    }

    /// Adds a call without arguments to a module that acts the same way each time, with a label of its name.
    pub(crate) fn call(
        &mut self,
        name: &str,
        act: impl Fn() -> Act + Send + Sync + 'static,
    ) -> (NodeIndex, Arc<Mock>) {
        let mock = self.mock(name, &[], Type::Int, move |_, _| act());
        let node = self.graph.call(mock.signature(), &[]);
        (self.graph.label(node, name), mock)
    }

    pub(crate) fn load(self) -> (Arc<LoadedPipeline>, Runtime, RunOptions) {
        let Self { graph, registry, config, options } = self;
        let pipeline = rehydrate(graph.build(), &registry).unwrap();
        (Arc::new(pipeline), Runtime::new(config), options)
    }

    pub(crate) async fn run(self) -> RunReport {
        self.run_with(Inputs::new()).await
    }

    pub(crate) async fn run_with(self, inputs: Inputs) -> RunReport {
        let (pipeline, runtime, options) = self.load();
        runtime.run(&pipeline, inputs, options).await
    }

    /// Runs with `node` as the only output, and gives its value.
    pub(crate) async fn value(mut self, node: NodeIndex) -> Value {
        self.graph.output("x", node);
        let report = self.run().await;
        assert_eq!(report.status, RunStatus::Completed, "{report:?}");
        report.output("x").unwrap().clone()
    }

    /// Runs with `node` as the only output, and gives the message of the only error.
    pub(crate) async fn failure(mut self, node: NodeIndex) -> String {
        self.graph.output("x", node);
        let report = self.run().await;
        assert_eq!(report.status, RunStatus::Failed, "{report:?}");
        let [error] = &report.errors[..] else { panic!("{report:?}") };
        error.message.clone()
    }
}

/// A node whose value is `value`, through an input.
pub(crate) async fn value_with_inputs(
    inputs: Vec<(&str, Type, Value)>,
    add: impl FnOnce(&mut GraphBuilder, &[NodeIndex]) -> NodeIndex,
) -> Result<Value, String> {
    let mut bench = Bench::new();
    let nodes: Vec<NodeIndex> =
        inputs.iter().map(|(name, ty, _)| bench.graph.input(name, ty.clone())).collect();
    let node = add(&mut bench.graph, &nodes);
    bench.graph.output("x", node);
    let report = bench.run_with(inputs.into_iter().map(|(name, _, value)| (name, value)).collect()).await;
    match report.output("x") {
        Some(value) => Ok(value.clone()),
        None => Err(report.errors[0].message.clone()),
    }
}

/// Does some work with a subscriber of its own, which hears of all of it. As long as there is a single one in a process,
/// what it wants to hear of is asked on the thread that gets to a place first, which may be that of another test; so
/// there is another one.
pub(crate) fn with_subscriber<T>(
    subscriber: impl tracing::Subscriber + Send + Sync + 'static,
    work: impl FnOnce() -> T,
) -> T {
    static OTHER: LazyLock<tracing::Dispatch> =
        LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&OTHER);
    tracing::subscriber::with_default(subscriber, work)
}
