//! What differs between two graphs, for whoever is about to put one in the place of the other.
//!
//! Inputs, outputs and modules are matched by name, nodes by the variable that they are the value of. What a variable is
//! computed from is compared as a whole, down to other variables, and told in the syntax of the language; call options
//! are compared one by one. Two graphs without a difference here do the same.
//!
//! **Must not know:** stores, HTTP; only [`DagSpec`].

mod graph;
mod options;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use constellation_store_core::{DagSpec, InvalidDag};
use constellation_types::Type;
use serde::Serialize;
use utoipa::ToSchema;

use graph::{Graph, Interner};
pub(crate) use options::OptionChange;

/// What differs between two graphs. Every list is in the order of its names.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DagDiff {
    /// What a caller of the first could stumble over with the second, each a sentence.
    pub(crate) breaking: Vec<String>,
    pub(crate) inputs: Changes<InputSide>,
    pub(crate) outputs: Changes<ValueSide>,
    pub(crate) modules: Changes<ModuleSide>,
    pub(crate) nodes: Changes<ValueSide>,
    pub(crate) options: Vec<OptionChange>,
}

/// What only the second has, what only the first has, and what both have differently.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changes<T> {
    pub(crate) added: Vec<Entry<T>>,
    pub(crate) removed: Vec<Entry<T>>,
    pub(crate) changed: Vec<Change<T>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entry<T> {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) side: T,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Change<T> {
    pub(crate) name: String,
    pub(crate) from: T,
    pub(crate) to: T,
}

/// An input, in the syntax of the language.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InputSide {
    #[serde(rename = "type")]
    ty: String,
    /// Whether a run waits for it.
    required: bool,
    default: Option<String>,
    examples: Vec<String>,
}

/// An output or a variable, and what it is computed from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValueSide {
    #[serde(rename = "type")]
    ty: String,
    expression: String,
}

/// The contract of a module that the graph was compiled against.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModuleSide {
    major: u32,
    signature: String,
}

/// Compares two graphs. Takes time linear in their sizes, but for the order of names.
///
/// # Errors
///
/// [`InvalidDag`] when one of them is not well formed.
pub(crate) fn diff(from: &DagSpec, to: &DagSpec) -> Result<DagDiff, InvalidDag> {
    let mut interner = Interner::default();
    let from = Graph::new(from, &mut interner)?;
    let to = Graph::new(to, &mut interner)?;
    let outputs = changes([&from, &to].map(Graph::outputs), [&from, &to], value_side);
    let nodes = changes([&from, &to].map(Graph::variables), [&from, &to], value_side);
    Ok(DagDiff {
        breaking: breaking(&from, &to),
        inputs: changes([&from, &to].map(Graph::inputs), [&from, &to], input_side),
        outputs,
        modules: changes([&from, &to].map(Graph::modules), [&from, &to], module_side),
        nodes,
        options: options::changes(&from, &to),
    })
}

/// Compares what has a name: `K` tells whether two are the same, and the number where one is found.
fn changes<'a, K: PartialEq, T>(
    [from, to]: [BTreeMap<String, (K, usize)>; 2],
    [from_graph, to_graph]: [&Graph<'a>; 2],
    side: impl Fn(&Graph<'a>, usize) -> T,
) -> Changes<T> {
    let mut changes = Changes { added: Vec::new(), removed: Vec::new(), changed: Vec::new() };
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    for name in names {
        let before = from.get(name).map(|(key, place)| (key, || side(from_graph, *place)));
        let after = to.get(name).map(|(key, place)| (key, || side(to_graph, *place)));
        let name = name.clone();
        match (before, after) {
            (Some((before, _)), Some((after, _))) if before == after => {}
            (Some((_, from)), Some((_, to))) => {
                changes.changed.push(Change { name, from: from(), to: to() });
            }
            (Some((_, side)), None) => changes.removed.push(Entry { name, side: side() }),
            (None, Some((_, side))) => changes.added.push(Entry { name, side: side() }),
            (None, None) => {}
        }
    }
    changes
}

fn input_side(graph: &Graph<'_>, place: usize) -> InputSide {
    let input = &graph.spec.inputs[place];
    InputSide {
        ty: text::of_type(graph, input.ty),
        required: is_required(graph, place),
        default: input.default.map(|node| text::of_operand(graph, node)),
        examples: input.examples.iter().map(|node| text::of_operand(graph, *node)).collect(),
    }
}

fn value_side(graph: &Graph<'_>, node: usize) -> ValueSide {
    ValueSide { ty: text::of_type(graph, graph.spec.nodes[node].ty), expression: text::of_node(graph, node) }
}

fn module_side(graph: &Graph<'_>, place: usize) -> ModuleSide {
    let requirement = &graph.spec.requires[place];
    ModuleSide { major: requirement.major, signature: requirement.signature.to_string() }
}

/// An optional input that is left out is none.
fn is_required(graph: &Graph<'_>, place: usize) -> bool {
    let input = &graph.spec.inputs[place];
    input.default.is_none() && !matches!(graph.types[input.ty.index()], Type::Optional(_))
}

fn breaking(from: &Graph<'_>, to: &Graph<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    let (before, after) = (from.inputs(), to.inputs());
    for (name, (_, place)) in &before {
        if !after.contains_key(name) {
            sentences.push(format!("Input '{name}' is gone: a caller that gives it is refused"));
            continue;
        }
        let (_, place_after) = &after[name];
        let ty = from.spec.inputs[*place].ty;
        let ty_after = to.spec.inputs[*place_after].ty;
        if from.type_ids[ty.index()] != to.type_ids[ty_after.index()] {
            let (ty, ty_after) = (text::of_type(from, ty), text::of_type(to, ty_after));
            sentences.push(format!("Input '{name}' was {ty} and is {ty_after}"));
        }
        if !is_required(from, *place) && is_required(to, *place_after) {
            sentences.push(format!("Input '{name}' must be given: a run without it waits for it"));
        }
    }
    for (name, (_, place)) in &after {
        if !before.contains_key(name) && is_required(to, *place) {
            sentences.push(format!("Input '{name}' is new and must be given: a run without it waits for it"));
        }
    }
    let (before, after) = (from.outputs(), to.outputs());
    for (name, (_, node)) in &before {
        let Some((_, node_after)) = after.get(name) else {
            sentences.push(format!("Output '{name}' is gone"));
            continue;
        };
        let ty = from.spec.nodes[*node].ty;
        let ty_after = to.spec.nodes[*node_after].ty;
        if from.type_ids[ty.index()] != to.type_ids[ty_after.index()] {
            let (ty, ty_after) = (text::of_type(from, ty), text::of_type(to, ty_after));
            sentences.push(format!("Output '{name}' was {ty} and is {ty_after}"));
        }
    }
    sentences
}

#[cfg(test)]
mod tests;
