//! The nodes that are certain to be needed, in the order in which they can be evaluated.

use std::sync::Arc;

use constellation_module::Module;
use constellation_store_core::NodeIndex;
use constellation_types::Type;

use crate::{LoadedNode, Operation};

/// A node that is needed whatever the values are, with all at hand that its evaluation takes in a usual case.
#[derive(Debug, Clone)]
pub struct Step {
    /// The node.
    pub node: NodeIndex,
    /// Its call, where that is of integers.
    pub on_integers: Option<CallOnIntegers>,
}

/// What is to be done for a call that is [plain](crate::LoadedCall::is_plain) and of a pure module, and has one or two
/// arguments, which are integers.
///
/// A run looks up nothing else for it: the operation of a node and what it refers to are in other places of memory.
#[derive(Debug, Clone)]
pub struct CallOnIntegers {
    /// The module.
    pub module: Arc<dyn Module>,
    /// The arguments; if it has one, that is here twice.
    pub arguments: [NodeIndex; 2],
    /// Whether it has two.
    pub has_two: bool,
    /// Whether the result is an integer, too.
    pub gives_integer: bool,
}

impl CallOnIntegers {
    fn of(operation: &Operation, types: &[Type], nodes: &[LoadedNode]) -> Option<Self> {
        let Operation::Call(call) = operation else { return None };
        let (first, second) = match *call.arguments {
            [one] => (one, one),
            [one, two] => (one, two),
            _ => return None,
        };
        let is_integer = |node: NodeIndex| matches!(types[nodes[node.index()].ty.index()], Type::Int);
        let is_one = call.is_plain && call.is_pure && is_integer(first) && is_integer(second);
        is_one.then(|| Self {
            module: Arc::clone(&call.module),
            arguments: [first, second],
            has_two: call.arguments.len() == 2,
            gives_integer: matches!(call.result, Type::Int),
        })
    }
}

/// The nodes from `start` on that are needed for these whatever the values are, in ascending order.
pub(crate) fn certain(
    results: impl IntoIterator<Item = NodeIndex>,
    start: NodeIndex,
    types: &[Type],
    nodes: &[LoadedNode],
) -> Vec<Step> {
    let mut needed = vec![false; nodes.len() - start.index()];
    let place = |node: NodeIndex| node.index().checked_sub(start.index());
    for result in results {
        if let Some(place) = place(result) {
            needed[place] = true;
        }
    }
    let mut n_needed = 0;
    // The last node first, since operands stand before the nodes that use them.
    for index in (start.index()..nodes.len()).rev() {
        if needed[index - start.index()] {
            n_needed += 1;
            nodes[index].operation.for_each_certain_operand(|operand| {
                if let Some(place) = place(operand) {
                    needed[place] = true;
                }
            });
        }
    }
    let mut certain = Vec::with_capacity(n_needed);
    for (node, is_needed) in (start.0..).map(NodeIndex).zip(needed) {
        if is_needed {
            let on_integers = CallOnIntegers::of(&nodes[node.index()].operation, types, nodes);
            certain.push(Step { node, on_integers });
        }
    }
    certain
}
