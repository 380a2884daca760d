//! Modules that clients call by themselves.
//!
//! Each is the pipeline of the one call, so that a call has its types, its timeout, its run and its place in line as
//! those of a program do. Nothing of it is stored.

use std::sync::Arc;

use constellation_module::ModuleSpec;
use constellation_rehydrate::{LoadedPipeline, RehydrateError, Rehydrator};
use constellation_store_core::{
    Argument, DagSpec, ImageMetadata, InputSpec, NodeIndex, NodeKind, NodeSpec, OutputSpec, PipelineImage,
    Requirement, SignatureHash, Timestamp, TypeTable,
};
use constellation_types::Parameter;

use super::PipelineService;
use crate::error::ServiceError;

/// A module that can be called by itself.
#[derive(Debug)]
pub(crate) struct PublishedModule {
    pub(crate) name: Arc<str>,
    pipeline: Result<Arc<LoadedPipeline>, RehydrateError>,
}

impl PublishedModule {
    /// What calls it.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Internal`] when its types are too large for a graph.
    pub(crate) fn pipeline(&self) -> Result<&Arc<LoadedPipeline>, ServiceError> {
        let cannot = |error| format!("the module '{}' cannot be called by itself: {error}", self.name);
        self.pipeline.as_ref().map_err(|error| ServiceError::Internal(cannot(error)))
    }

    fn new(spec: &ModuleSpec, rehydrator: &Rehydrator, now: Timestamp) -> Self {
        let graph = graph_of_call(spec);
        let metadata = ImageMetadata::new(&graph, now);
        let image = Arc::new(PipelineImage::new(graph, metadata));
        let pipeline = rehydrator.rehydrate(image).map(Arc::new);
        Self { name: Arc::clone(&spec.signature.module), pipeline }
    }
}

/// All modules that are published, sorted by name.
pub(super) fn published(rehydrator: &Rehydrator, now: Timestamp) -> Vec<PublishedModule> {
    let specs = rehydrator.registry().iter().map(|module| module.spec());
    let published = specs.filter(|spec| spec.published);
    published.map(|spec| PublishedModule::new(spec, rehydrator, now)).collect()
}

impl PipelineService {
    /// The published module of this name, or the only one whose name ends with it after a dot.
    pub(crate) fn published_module(&self, name: &str) -> Option<&PublishedModule> {
        let is_meant =
            |module: &&PublishedModule| module.name.rsplit_once('.').is_some_and(|(_, last)| last == name);
        self.published.iter().find(|module| *module.name == *name).or_else(|| {
            let mut meant = self.published.iter().filter(is_meant);
            meant.next().filter(|_| meant.next().is_none())
        })
    }
}

/// The graph that gives a module its parameters as inputs, and has its results as outputs.
fn graph_of_call(spec: &ModuleSpec) -> DagSpec {
    let signature = &spec.signature;
    let by_name = |parameters: &[Parameter]| {
        let mut sorted = parameters.to_vec();
        sorted.sort_by(|left, right| left.name.cmp(&right.name));
        sorted
    };
    let mut types = TypeTable::new();
    let input = |parameter: Parameter| InputSpec {
        name: parameter.name.to_string(),
        ty: types.index_of(&parameter.ty),
        default: None,
        examples: Vec::new(),
    };
    let inputs = by_name(&signature.parameters).into_iter().map(input).collect();

    let mut nodes = Vec::new();
    let mut add = |label: Option<Arc<str>>, ty, operation| {
        nodes.push(NodeSpec { label, ty, operation });
        NodeIndex(u32::try_from(nodes.len() - 1).expect("a signature has fewer parameters and results"))
    };
    let mut argument = |parameter: &Parameter| {
        let name = parameter.name.to_string();
        let operation = NodeKind::Input { name: name.clone() };
        Argument {
            node: add(Some(Arc::clone(&parameter.name)), types.index_of(&parameter.ty), operation),
            name,
        }
    };
    let arguments = signature.parameters.iter().map(&mut argument).collect();
    let call = NodeKind::Call {
        module: signature.module.to_string(),
        major: signature.major,
        arguments,
        options: Box::default(),
    };
    let call = add(None, types.index_of(&signature.result_type()), call);
    let output = |result: Parameter| {
        let name = result.name.to_string();
        let node = if signature.results.len() == 1 {
            call
        } else {
            let field = NodeKind::Field { source: call, name: name.clone() };
            add(Some(Arc::clone(&result.name)), types.index_of(&result.ty), field)
        };
        OutputSpec { name, node }
    };
    let outputs = by_name(&signature.results).into_iter().map(output).collect();
    let requires = vec![Requirement {
        name: signature.module.to_string(),
        major: signature.major,
        signature: SignatureHash::of(signature),
    }];
    DagSpec { inputs, outputs, types: types.into_types(), nodes, requires }
}
