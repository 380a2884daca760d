//! The options of calls, one by one.

use std::collections::{BTreeSet, HashSet};

use constellation_store_core::{CallOptions, NodeIndex, NodeKind};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::graph::Graph;
use super::text;

/// An option that a call has only on one side, or differently.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OptionChange {
    /// The variable or output that the call is a part of.
    node: String,
    module: String,
    /// As the image calls it, such as `timeoutMs`.
    option: String,
    /// Null when it was not given.
    from: Value,
    to: Value,
}

/// The options that differ between calls that can be matched: those of variables of one name that call one module, and
/// those anywhere within what is the same but for options.
pub(super) fn changes(from: &Graph<'_>, to: &Graph<'_>) -> Vec<OptionChange> {
    let mut changes = Vec::new();
    let mut collect = |name: &str, before: usize, after: usize| {
        collect(from, to, name, (before, after), &mut changes);
    };
    let after = to.variables();
    for (name, (_, node)) in from.variables() {
        if let Some((_, node_after)) = after.get(&name) {
            collect(&name, node, *node_after);
        }
    }
    let after = to.outputs();
    for (name, (_, node)) in from.outputs() {
        // A variable was looked at.
        if let Some((_, node_after)) = after.get(&name)
            && from.names[node].is_none()
            && to.names[*node_after].is_none()
        {
            collect(&name, node, *node_after);
        }
    }
    changes
}

fn collect(
    from: &Graph<'_>,
    to: &Graph<'_>,
    name: &str,
    root: (usize, usize),
    changes: &mut Vec<OptionChange>,
) {
    let mut seen = HashSet::new();
    let mut pending = vec![root];
    while let Some((before, after)) = pending.pop() {
        if from.wholes[before] == to.wholes[after] || !seen.insert((before, after)) {
            continue;
        }
        let (operation, operation_after) =
            (&from.spec.nodes[before].operation, &to.spec.nodes[after].operation);
        if let (
            NodeKind::Call { module, options, .. },
            NodeKind::Call { module: module_after, options: options_after, .. },
        ) = (operation, operation_after)
            && module == module_after
        {
            compare((from, options), (to, options_after), name, module, changes);
        }
        if from.cores[before] == to.cores[after] {
            let operands = parts(operation).into_iter().zip(parts(operation_after)).rev();
            let unnamed = operands
                .map(|(before, after)| (before.index(), after.index()))
                .filter(|(before, after)| from.names[*before].is_none() && to.names[*after].is_none());
            pending.extend(unnamed);
        }
    }
}

/// What a node is made of, without options: equal cores have equally many.
fn parts(operation: &NodeKind) -> Vec<NodeIndex> {
    let mut parts = Vec::new();
    if let NodeKind::Call { arguments, .. } = operation {
        parts.extend(arguments.iter().map(|argument| argument.node));
    } else {
        operation.for_each_operand(|operand| parts.push(operand));
    }
    if let NodeKind::Lambda { captures, .. } = operation {
        // The body refers to them.
        parts.truncate(parts.len() - captures.len());
    }
    parts.extend(operation.regions().map(|region| region.result));
    parts
}

fn compare(
    (from, before): (&Graph<'_>, &CallOptions),
    (to, after): (&Graph<'_>, &CallOptions),
    name: &str,
    module: &str,
    changes: &mut Vec<OptionChange>,
) {
    let fallback =
        |graph: &Graph<'_>, options: &CallOptions| options.fallback.map(|node| graph.reference(node));
    let is_same_fallback = fallback(from, before) == fallback(to, after);
    let (before, after) = (told(from, before), told(to, after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for option in names {
        let is_same =
            if option == "fallback" { is_same_fallback } else { before.get(option) == after.get(option) };
        if !is_same {
            changes.push(OptionChange {
                node: name.to_owned(),
                module: module.to_owned(),
                option: option.clone(),
                from: before.get(option).cloned().unwrap_or_default(),
                to: after.get(option).cloned().unwrap_or_default(),
            });
        }
    }
}

/// The options that were given, by name; the fallback as text.
pub(super) fn told(graph: &Graph<'_>, options: &CallOptions) -> Map<String, Value> {
    let mut told = members(options);
    if let Some(fallback) = options.fallback {
        told.insert("fallback".to_owned(), text::of_operand(graph, fallback).into());
    }
    told
}

/// The options that were given, by name, without the fallback.
pub(super) fn members(options: &CallOptions) -> Map<String, Value> {
    let json = serde_json::to_value(CallOptions { fallback: None, ..options.clone() });
    match json.expect("options are numbers, names and booleans") {
        Value::Object(members) => members,
        other => unreachable!("options are an object, not {other}"),
    }
}
