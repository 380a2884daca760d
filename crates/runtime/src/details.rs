//! What a run tells of its nodes, when it is asked to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use constellation_rehydrate::{LoadedPipeline, Operation};
use constellation_store_core::NodeIndex;
use constellation_types::Value;

use crate::budget::Exhausted;
use crate::driver::Driver;
use crate::output::OutputBudget;
use crate::state::{Phase, Progress};
use crate::{RunOptions, Timer};

/// Bytes that are charged for a node beside its name and value: its status, where its value comes from, times.
const NODE_BYTES: u64 = 128;

/// What a run tells of itself beside its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDetails {
    /// How long it took; only when times were asked for.
    pub duration: Option<Duration>,
    /// The nodes of the graph, in their order. Not among them: the nodes in the bodies of lambdas, which are evaluated
    /// once for each call; constants and conversions that no variable is.
    pub nodes: Vec<NodeDetails>,
    /// Nodes that are left out at the end, since they do not fit the budget for bytes of output.
    pub n_omitted: usize,
}

/// What became of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeDetails {
    /// The node.
    pub node: NodeIndex,
    /// What it is called here, which is the same in each run: the input or the variable that it is; `total#1`,
    /// `total#2` and so on for what the right-hand side of `total` is made of; `node 7` for a node of no variable.
    pub name: String,
    /// What became of it.
    pub status: NodeStatus,
    /// What computes its value.
    pub provenance: Provenance,
    /// How it came by its value, if it has one.
    pub resolution: Option<Resolution>,
    /// How long its call took, with all attempts, the waits between them and the fallback. Only for calls that have
    /// ended, and only when times were asked for.
    pub duration: Option<Duration>,
    /// Its value, if it has one, and if values were asked for.
    pub value: Option<Value>,
}

/// What became of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStatus {
    /// It has its value.
    Completed,
    /// It failed, or something failed that it needs.
    Failed {
        /// Where that began; the node itself, if it was there.
        root: NodeIndex,
    },
    /// Nothing needed it before the run ended.
    NotNeeded,
    /// The run as a whole ended before it was decided: at its deadline, or past a budget.
    Unfinished,
}

/// What computes the value of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// It is an input.
    Input,
    /// It is an operation of the language.
    Operation,
    /// It is a call of this module.
    Module(Arc<str>),
}

/// How a node came by its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution {
    /// It was given as an input.
    Input,
    /// The input was left out, and has its default.
    Default,
    /// An operation of the language computed it.
    Operation,
    /// A module gave it.
    Module,
    /// A module gave it to an equal call, and the call has `cache`.
    Cache,
    /// The module failed, and the fallback gave it.
    Fallback,
    /// The module failed, and `on_error` says what it is then.
    Recovery,
}

/// Takes the times of a run.
#[derive(Debug)]
pub(crate) struct Times {
    timer: Arc<dyn Timer>,
    start: Duration,
    calls: HashMap<NodeIndex, CallTime>,
}

#[derive(Debug)]
enum CallTime {
    Since(Duration),
    Took(Duration),
}

impl Times {
    pub(crate) fn start(timer: &Arc<dyn Timer>) -> Self {
        Self { timer: Arc::clone(timer), start: timer.now(), calls: HashMap::new() }
    }

    /// The arguments of a call are there.
    pub(crate) fn call_starts(&mut self, node: NodeIndex) {
        self.calls.insert(node, CallTime::Since(self.timer.now()));
    }

    /// A node is decided.
    pub(crate) fn decided(&mut self, node: NodeIndex) {
        if let Some(time) = self.calls.get_mut(&node)
            && let CallTime::Since(start) = time
        {
            *time = CallTime::Took(self.timer.now().saturating_sub(*start));
        }
    }

    fn of(&self, node: NodeIndex) -> Option<Duration> {
        match self.calls.get(&node)? {
            CallTime::Since(_) => None,
            CallTime::Took(duration) => Some(*duration),
        }
    }
}

/// What of its details a run is to tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    nodes: bool,
    pub(crate) times: bool,
    values: bool,
}

impl Asked {
    pub(crate) fn of(options: &RunOptions) -> Self {
        let RunOptions { include_nodes, include_timings, include_values, .. } = options;
        Self { nodes: *include_nodes, times: *include_timings, values: *include_values }
    }
}

impl Asked {
    /// Whether anything of the nodes is to be told.
    pub(crate) fn is_anything(self) -> bool {
        self.nodes || self.times || self.values
    }
}

impl Driver<'_> {
    /// What is asked for, as far as the budget reaches that the outputs left.
    pub(crate) fn details(&self, asked: Asked, budget: &mut OutputBudget) -> Option<Box<RunDetails>> {
        if !asked.is_anything() {
            return None;
        }
        let times = self.frame.times.as_deref();
        let variables = variables(self.pipeline);
        let listed = self.listed(&variables);
        let mut names = Names::new(self.pipeline, &variables);
        let mut nodes = Vec::with_capacity(listed.len());
        for node in &listed {
            let details = self.node_details(*node, names.next(*node), asked, times);
            if charge(&details, budget).is_err() {
                break;
            }
            nodes.push(details);
        }
        let duration = times.map(|times| times.timer.now().saturating_sub(times.start));
        let n_omitted = listed.len() - nodes.len();
        Some(Box::new(RunDetails { duration, nodes, n_omitted }))
    }

    /// The nodes that are told of.
    fn listed(&self, variables: &HashMap<&str, NodeIndex>) -> Vec<NodeIndex> {
        let nodes = &self.pipeline.nodes;
        let mut is_in_body = vec![false; nodes.len()];
        for node in nodes {
            if let Operation::Lambda(lambda) = &node.operation {
                is_in_body[lambda.start.index()..lambda.end.index()].fill(true);
            }
        }
        let is_variable =
            |node| self.pipeline.label(node).is_some_and(|label| variables.get(label) == Some(&node));
        let listed = (0..).map(NodeIndex).zip(nodes).filter(|(node, loaded)| match &loaded.operation {
            Operation::Lambda(_) => false,
            Operation::Constant(_) | Operation::Coerce { .. } => {
                !is_in_body[node.index()] && is_variable(*node)
            }
            _ => !is_in_body[node.index()],
        });
        listed.map(|(node, _)| node).collect()
    }

    fn node_details(
        &self,
        node: NodeIndex,
        name: String,
        asked: Asked,
        times: Option<&Times>,
    ) -> NodeDetails {
        let progress = self.frame.states.progress(node);
        let operation = &self.pipeline.nodes[node.index()].operation;
        let (status, value) = match self.frame.states.phase(node) {
            Some(Phase::Done(value)) => (NodeStatus::Completed, Some(value)),
            Some(Phase::HandedOn) => (NodeStatus::Completed, None),
            Some(Phase::Failed(_)) => (NodeStatus::Failed { root: self.root_of(node) }, None),
            // What is certainly needed is wanted one after the other, and the run may have ended before its turn.
            Some(Phase::Idle) if !self.is_certain(node) => (NodeStatus::NotNeeded, None),
            None | Some(Phase::Idle | Phase::Wanted) => (NodeStatus::Unfinished, None),
        };
        NodeDetails {
            node,
            name,
            status,
            provenance: match operation {
                Operation::Input(_) => Provenance::Input,
                Operation::Call(call) => Provenance::Module(Arc::clone(&call.name)),
                _ => Provenance::Operation,
            },
            resolution: value.map(|_| self.resolution(operation, progress)),
            duration: times.and_then(|times| times.of(node)),
            value: value.filter(|_| asked.values).cloned(),
        }
    }

    fn is_certain(&self, node: NodeIndex) -> bool {
        self.pipeline.certain.binary_search_by_key(&node, |step| step.node).is_ok()
    }

    fn resolution(&self, operation: &Operation, progress: &Progress) -> Resolution {
        let follows = progress.follows.is_some_and(|target| self.frame.states.value(target).is_some());
        match operation {
            Operation::Input(_) if follows => Resolution::Default,
            Operation::Input(_) => Resolution::Input,
            Operation::Call(_) if progress.own_failure.is_none() && progress.is_cached => Resolution::Cache,
            Operation::Call(_) if progress.own_failure.is_none() => Resolution::Module,
            Operation::Call(_) if follows => Resolution::Fallback,
            Operation::Call(_) => Resolution::Recovery,
            _ => Resolution::Operation,
        }
    }
}

/// The node that each variable is: the last of those of its right-hand side, since operands stand before what uses
/// them.
fn variables(pipeline: &LoadedPipeline) -> HashMap<&str, NodeIndex> {
    let nodes = (0..).map(NodeIndex).zip(&pipeline.image.dag_spec.nodes);
    nodes.filter_map(|(node, spec)| Some((spec.label.as_deref()?, node))).collect()
}

fn charge(details: &NodeDetails, budget: &mut OutputBudget) -> Result<(), Exhausted> {
    budget.charge(NODE_BYTES)?;
    budget.charge_text(&details.name)?;
    details.value.iter().try_for_each(|value| budget.charge_value(value))
}

/// Gives each node a name of its own.
struct Names<'a> {
    pipeline: &'a LoadedPipeline,
    /// The nodes that are called what their input or their variable is called.
    owners: HashMap<&'a str, NodeIndex>,
    /// How many inner nodes of each variable were named.
    counts: HashMap<&'a str, u32>,
}

impl<'a> Names<'a> {
    fn new(pipeline: &'a LoadedPipeline, variables: &HashMap<&'a str, NodeIndex>) -> Self {
        let mut owners = variables.clone();
        for (node, loaded) in (0..).map(NodeIndex).zip(&pipeline.nodes) {
            if let Operation::Input(place) = loaded.operation {
                owners.insert(&pipeline.inputs[place].name, node);
            }
        }
        Self { pipeline, owners, counts: HashMap::new() }
    }

    fn next(&mut self, node: NodeIndex) -> String {
        let label = self.pipeline.label(node);
        let own = match self.pipeline.nodes[node.index()].operation {
            Operation::Input(place) => Some(&*self.pipeline.inputs[place].name),
            _ => label,
        };
        if let Some(own) = own
            && self.owners.get(own) == Some(&node)
        {
            return own.to_owned();
        }
        // Neither looks like an identifier, which labels and the names of inputs are.
        match label {
            Some(label) => {
                let count = self.counts.entry(label).or_default();
                *count += 1;
                format!("{label}#{count}")
            }
            None => format!("node {}", node.0),
        }
    }
}
