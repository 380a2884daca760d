//! Requests that work as they are, made of the `@example` values of a pipeline.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use constellation_rehydrate::rehydrate;
use constellation_runtime::{Inputs, RunOptions, Runtime};
use constellation_store_core::{
    DagSpec, FieldValue, ImageMetadata, ListOptions, NodeIndex, NodeKind, NodeSpec, OutputSpec,
    PipelineImage, Reference, StructuralHash, Timestamp,
};
use constellation_types::{Json, Type};
use futures_util::TryStreamExt as _;

use crate::error::ServiceError;
use crate::service::PipelineService;

/// Bounds on working out examples. A source cannot reach them; an image that was made elsewhere could.
const MAX_DURATION: Duration = Duration::from_secs(1);
const MAX_VALUE_BYTES: u64 = 1024 * 1024;

/// A body for `POST /execute`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleRequest {
    /// `{"ref": ..., "inputs": {...}}`
    pub body: serde_json::Value,
    /// Inputs that a caller has to add, since they have no example, no default and are not optional.
    pub missing: Vec<String>,
}

/// A pipeline that can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPipeline {
    /// What to call it by.
    pub reference: Reference,
    /// Its image.
    pub structural_hash: StructuralHash,
}

impl PipelineService {
    /// The first `limit` names that point to something, sorted, and whether there are more.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn named_pipelines(&self, limit: usize) -> Result<(Vec<StoredPipeline>, bool), ServiceError> {
        let mut entries = self.store().list_names(ListOptions::default());
        let mut names = Vec::new();
        while let Some(entry) = entries.try_next().await? {
            let Some(active) = entry.active else { continue };
            if names.len() == limit {
                return Ok((names, true));
            }
            let reference = Reference::Name(entry.name);
            names.push(StoredPipeline { reference, structural_hash: active.structural_hash });
        }
        Ok((names, false))
    }

    /// A request for the pipeline `reference` with the first `@example` of each input.
    ///
    /// # Errors
    ///
    /// Those of [`PipelineService::load`].
    pub async fn example_request(&self, reference: &Reference) -> Result<ExampleRequest, ServiceError> {
        let pipeline = self.load(reference).await?;
        let mut inputs = serde_json::Map::new();
        if let Some(graph) = example_graph(&pipeline.image.dag_spec) {
            let metadata = ImageMetadata::new(&graph, Timestamp::UNIX_EPOCH);
            let examples = rehydrate(Arc::new(PipelineImage::new(graph, metadata)), self.registry())
                .map_err(|error| ServiceError::Internal(error.to_string()))?;
            let examples = Arc::new(examples);
            let options = RunOptions {
                max_value_bytes: Some(MAX_VALUE_BYTES),
                max_duration: Some(MAX_DURATION),
                ..RunOptions::default()
            };
            let report = Runtime::default().run(&examples, Inputs::new(), options).await;
            for output in &examples.outputs {
                let Some(value) = report.output(&output.name) else { continue };
                let json = serde_json::to_value(Json { value, ty: examples.ty(output.ty) })
                    .map_err(|error| ServiceError::Internal(error.to_string()))?;
                inputs.insert(output.name.to_string(), json);
            }
        }
        let missing = pipeline
            .inputs
            .iter()
            .filter(|input| {
                let is_optional = matches!(pipeline.ty(input.ty), Type::Optional(_));
                !is_optional && input.default.is_none() && !inputs.contains_key(&*input.name)
            })
            .map(|input| input.name.to_string())
            .collect();
        let body = serde_json::json!({ "ref": reference.to_string(), "inputs": inputs });
        Ok(ExampleRequest { body, missing })
    }
}

/// A pipeline without inputs whose outputs are the first example of each input; none when no input has one.
///
/// So an example means the same here as the literals of a program mean.
fn example_graph(spec: &DagSpec) -> Option<DagSpec> {
    let examples = spec.inputs.iter().filter_map(|input| Some((&input.name, *input.examples.first()?)));
    let (names, roots): (Vec<&String>, Vec<NodeIndex>) = examples.unzip();
    let mut needed = BTreeSet::new();
    let mut pending = roots.clone();
    while let Some(index) = pending.pop() {
        if needed.insert(index) {
            spec.nodes[index.index()].operation.for_each_operand(|operand| pending.push(operand));
        }
    }
    let mut places = HashMap::new();
    let mut nodes = Vec::new();
    for index in needed {
        // Operands come before the node that uses them; one that is left out leaves that node out too.
        let node = &spec.nodes[index.index()];
        if let Some(operation) = renumbered(&node.operation, &places) {
            places.insert(index, NodeIndex(u32::try_from(nodes.len()).ok()?));
            nodes.push(NodeSpec { label: None, ty: node.ty, operation });
        }
    }
    let outputs: Vec<OutputSpec> = names
        .into_iter()
        .zip(roots)
        .filter_map(|(name, root)| Some(OutputSpec { name: name.clone(), node: *places.get(&root)? }))
        .collect();
    (!outputs.is_empty()).then(|| DagSpec { outputs, types: spec.types.clone(), nodes, ..DagSpec::default() })
}

/// The operation with its operands at their new places; none for what is not made of literals.
fn renumbered(operation: &NodeKind, places: &HashMap<NodeIndex, NodeIndex>) -> Option<NodeKind> {
    let place = |operand: &NodeIndex| places.get(operand).copied();
    Some(match operation {
        NodeKind::Literal(literal) => NodeKind::Literal(literal.clone()),
        NodeKind::List { items } => NodeKind::List { items: items.iter().map(place).collect::<Option<_>>()? },
        NodeKind::Record { fields } => {
            let renumber =
                |field: &FieldValue| Some(FieldValue { name: field.name.clone(), node: place(&field.node)? });
            NodeKind::Record { fields: fields.iter().map(renumber).collect::<Option<_>>()? }
        }
        NodeKind::Coerce { value } => NodeKind::Coerce { value: place(value)? },
        NodeKind::Guard { value, condition } => {
            NodeKind::Guard { value: place(value)?, condition: place(condition)? }
        }
        // The compiler keeps examples that are made of the above only.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::service::{Mode, Target};
    use crate::test_support::server;

    #[tokio::test]
    async fn the_first_example_of_each_input_is_written_by_its_type() {
        let server = server().await;
        let source = r#"
            @example({ name: "Ada's \"shop\"", scores: [1.5, 2.0] })
            @example({ name: "other", scores: [] })
            in shop: { name: String, scores: List<Float> }
            @example(3)
            in count: Int
            in needed: Int
            in note: Optional<String>
            @example("urgent")
            in mark: Optional<String>
            total = count + needed
            out shop
            out total
            out note
            out mark
        "#;
        let name: constellation_store_core::PipelineName = "shop".parse().unwrap();
        let target = Target::new(name.clone(), constellation_store_core::Origin::Compile);
        server.service().publish(source.into(), Some(target), Mode::Apply).await.unwrap();
        let reference = Reference::Name(name);
        let request = server.service().example_request(&reference).await.unwrap();
        let shop = json!({ "name": "Ada's \"shop\"", "scores": [1.5, 2.0] });
        assert_eq!(
            request.body,
            json!({ "ref": "shop", "inputs": { "count": 3, "mark": "urgent", "shop": shop } })
        );
        assert_eq!(request.missing, ["needed"]);
    }
}
