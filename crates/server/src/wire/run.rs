//! What requests ask of a run, and what answers tell of it, beyond what the reference does.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::time::Duration;

use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{NodeDetails, NodeStatus, Provenance, Resolution, RunDetails, RunErrorKind};
use constellation_store_core::{NodeIndex, StrictJson, Timestamp};
use constellation_types::{Json, Type, Value};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::members::{members, shown, unfit};

/// The `options` of a request. A member that is not there is not asked for; one that nobody knows is refused, since it
/// would go unnoticed otherwise.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "these are the names of the reference's library")]
pub(crate) struct OptionsBody {
    /// Milliseconds that the run may take, at most the server's limit.
    #[serde(deserialize_with = "milliseconds_from_one")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub(crate) timeout_ms: Option<NonZeroU64>,
    #[serde(deserialize_with = "flag")]
    pub(crate) include_timings: bool,
    #[serde(deserialize_with = "flag")]
    pub(crate) include_provenance: bool,
    #[serde(deserialize_with = "flag")]
    pub(crate) include_resolution_sources: bool,
    #[serde(deserialize_with = "flag")]
    pub(crate) include_node_statuses: bool,
    #[serde(deserialize_with = "flag")]
    pub(crate) include_computed_nodes: bool,
}

impl OptionsBody {
    /// Whether something is asked for that is told by node, beside times and values.
    pub(crate) fn wants_nodes(&self) -> bool {
        self.include_provenance || self.include_resolution_sources || self.include_node_statuses
    }

    /// Whether something is asked for that an answer does not tell otherwise.
    pub(crate) fn wants_more(&self) -> bool {
        self.wants_metadata() || self.include_computed_nodes
    }

    pub(crate) fn wants_metadata(&self) -> bool {
        self.include_timings || self.wants_nodes()
    }
}

/// Options that are an object, or null: the derived code would take an array of their values too.
pub(super) fn options<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OptionsBody, D::Error> {
    match Option::<StrictJson>::deserialize(deserializer)? {
        None => Ok(OptionsBody::default()),
        Some(StrictJson(serde_json::Value::Object(given))) => {
            OptionsBody::deserialize(&given).map_err(|error| D::Error::custom(unfit_options(&given, &error)))
        }
        Some(_) => Err(D::Error::custom("'options' is an object")),
    }
}

/// What is wrong with options that are not taken.
fn unfit_options(given: &serde_json::Map<String, serde_json::Value>, error: &serde_json::Error) -> String {
    unfit("option", given.keys().map(String::as_str), members::<OptionsBody>()).unwrap_or_else(|| {
        let is_wrong = |(name, value): &(&String, &serde_json::Value)| {
            let alone = serde_json::Map::from_iter([((*name).clone(), (*value).clone())]);
            OptionsBody::deserialize(&alone).is_err()
        };
        let name = given.iter().find(is_wrong).map_or("options", |(name, _)| name);
        format!("option '{name}' {error}")
    })
}

fn milliseconds_from_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU64>, D::Error> {
    let given = Option::<serde_json::Value>::deserialize(deserializer)?;
    let parse = |json: serde_json::Value| {
        let number = json.as_u64().and_then(NonZeroU64::new);
        number.ok_or_else(|| {
            D::Error::custom(format!("is a whole number from 1, got {}", shown(&json.to_string())))
        })
    };
    given.map(parse).transpose()
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Bool(flag) => Ok(flag),
        json => Err(D::Error::custom(format!("is true or false, got {}", shown(&json.to_string())))),
    }
}

/// The last members of the answers to `/execute` and `/run`.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToldBody {
    pub(crate) errors: Vec<RunErrorBody>,
    /// Why outputs of a run that failed did not come about.
    pub(crate) pending_reasons: Option<BTreeMap<String, String>>,
    pub(crate) metadata: Option<MetadataBody>,
    pub(crate) computed_nodes: Option<ComputedNodesBody>,
}

/// A failure, at the node where it began.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunErrorBody {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) module: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) causes: Vec<String>,
    pub(crate) position: Option<PositionBody>,
}

impl RunErrorBody {
    /// A failure before anything was run.
    pub(crate) fn new(kind: RunErrorKind, message: String) -> Self {
        Self { kind: kind.as_str(), message, module: None, label: None, causes: Vec::new(), position: None }
    }
}

/// A place in a source; both from 1.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PositionBody {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// What was asked for of a run, each by the names of nodes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetadataBody {
    started_at: String,
    completed_at: String,
    total_duration_ms: Option<f64>,
    #[schema(value_type = Option<BTreeMap<String, f64>>)]
    node_timings_ms: Option<ByNode<f64>>,
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    provenance: Option<ByNode<String>>,
    #[schema(value_type = Option<BTreeMap<String, ResolutionSource>>)]
    resolution_sources: Option<ByNode<ResolutionSource>>,
    #[schema(value_type = Option<BTreeMap<String, NodeStatusBody>>)]
    node_statuses: Option<ByNode<NodeStatusBody>>,
    /// Nodes that are left out, since they do not fit the limit for outputs.
    omitted_nodes: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct NodeStatusBody {
    status: NodeStatusName,
    /// The node whose failure is the reason; null for one that did not fail.
    because: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum NodeStatusName {
    Completed,
    Failed,
    NotNeeded,
    Unfinished,
}

/// Where the value of a node came from.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ResolutionSource {
    Input,
    Default,
    Module,
    Cache,
    Fallback,
    Recovery,
    Operation,
}

/// Something of some nodes, in the order of the graph.
#[derive(Debug)]
struct ByNode<T>(Vec<(String, T)>);

impl<T> ByNode<T> {
    fn of(details: Option<&RunDetails>, tell: impl Fn(&NodeDetails) -> Option<T>) -> Self {
        let nodes = details.into_iter().flat_map(|details| &details.nodes);
        Self(nodes.filter_map(|node| Some((node.name.clone(), tell(node)?))).collect())
    }
}

impl<T: Serialize> Serialize for ByNode<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, told)| (name, told)))
    }
}

impl MetadataBody {
    /// A run that did not start has no details.
    pub(crate) fn new(
        asked: &OptionsBody,
        started_at: Timestamp,
        completed_at: Timestamp,
        details: Option<&RunDetails>,
    ) -> Self {
        let names: HashMap<NodeIndex, &str> = details
            .into_iter()
            .flat_map(|details| &details.nodes)
            .map(|node| (node.node, &*node.name))
            .collect();
        let status = |node: &NodeDetails| {
            let (status, root) = match node.status {
                NodeStatus::Completed => (NodeStatusName::Completed, None),
                NodeStatus::Failed { root } => (NodeStatusName::Failed, Some(root)),
                NodeStatus::NotNeeded => (NodeStatusName::NotNeeded, None),
                NodeStatus::Unfinished => (NodeStatusName::Unfinished, None),
            };
            let name = |root: NodeIndex| {
                names.get(&root).map_or_else(|| format!("node {}", root.0), |name| (*name).to_owned())
            };
            Some(NodeStatusBody { status, because: root.map(name) })
        };
        Self {
            started_at: started_at.to_string(),
            completed_at: completed_at.to_string(),
            total_duration_ms: details.and_then(|details| details.duration).map(milliseconds),
            node_timings_ms: asked
                .include_timings
                .then(|| ByNode::of(details, |node| node.duration.map(milliseconds))),
            provenance: asked.include_provenance.then(|| ByNode::of(details, |node| Some(provenance(node)))),
            resolution_sources: asked
                .include_resolution_sources
                .then(|| ByNode::of(details, |node| node.resolution.map(resolution_source))),
            node_statuses: asked.include_node_statuses.then(|| ByNode::of(details, status)),
            omitted_nodes: details.map_or(0, |details| details.n_omitted),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// In the words of the reference.
fn provenance(node: &NodeDetails) -> String {
    match &node.provenance {
        Provenance::Input => "<input>".to_owned(),
        Provenance::Operation => "<inline-transform>".to_owned(),
        Provenance::Module(module) => module.to_string(),
    }
}

fn resolution_source(resolution: Resolution) -> ResolutionSource {
    match resolution {
        Resolution::Input => ResolutionSource::Input,
        Resolution::Default => ResolutionSource::Default,
        Resolution::Module => ResolutionSource::Module,
        Resolution::Cache => ResolutionSource::Cache,
        Resolution::Fallback => ResolutionSource::Fallback,
        Resolution::Recovery => ResolutionSource::Recovery,
        // What is not known here was computed all the same.
        _ => ResolutionSource::Operation,
    }
}

/// The values of nodes, each written by its type.
#[derive(Debug, ToSchema)]
#[schema(value_type = BTreeMap<String, serde_json::Value>)]
pub(crate) struct ComputedNodesBody(ByNode<Typed>);

#[derive(Debug)]
struct Typed(Value, Type);

impl ComputedNodesBody {
    pub(crate) fn new(pipeline: &LoadedPipeline, details: Option<&RunDetails>) -> Self {
        Self(ByNode::of(details, |node| {
            let ty = pipeline.ty(pipeline.nodes[node.node.index()].ty);
            Some(Typed(node.value.clone()?, ty.clone()))
        }))
    }
}

impl Serialize for ComputedNodesBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, ty) = self;
        Json { value, ty }.serialize(serializer)
    }
}
