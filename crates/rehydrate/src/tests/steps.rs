//! What is certain to be needed.

use constellation_module::{ModuleRegistry, ModuleSpec};
use constellation_store_core::{CallOptions, NodeIndex, NodeKind};
use constellation_types::Type;

use super::{Silent, load};
use crate::testkit::{GraphBuilder, signature};
use crate::{Step, rehydrate};

pub(super) fn nodes(steps: &[Step]) -> Vec<NodeIndex> {
    steps.iter().map(|step| step.node).collect()
}

#[test]
fn what_every_run_needs_is_known_beforehand() {
    let mut graph = GraphBuilder::new();
    let (condition, then, otherwise) = (graph.boolean(true), graph.int(1), graph.int(2));
    let node = graph.node(&Type::Int, NodeKind::If { condition, then, otherwise });
    graph.output("x", node);
    graph.output("y", otherwise);
    assert_eq!(nodes(&load(graph, &[]).unwrap().certain), [condition, otherwise, node]);
}

#[test]
fn what_is_called_on_integers_is_known_beforehand() {
    let (int, text) = (&Type::Int, &Type::String);
    let [usual, retried] = [None, Some(1)].map(|retry| CallOptions { retry, ..CallOptions::default() });
    for (parameters, result, pure, options, expected) in [
        (&[int][..], int, true, &usual, Some((false, true))),
        (&[int, int], int, true, &usual, Some((true, true))),
        (&[int, int], text, true, &usual, Some((true, false))),
        (&[int, int], int, false, &usual, None),
        (&[int, int], int, true, &retried, None),
        (&[int, text], int, true, &usual, None),
        (&[text], int, true, &usual, None),
        (&[int, int, int], int, true, &usual, None),
        (&[], int, true, &usual, None),
    ] {
        let types: Vec<Type> = parameters.iter().copied().cloned().collect();
        let mut spec = ModuleSpec::new(signature("act", &types, result.clone()));
        spec.pure = pure;
        let mut registry = ModuleRegistry::new();
        registry.register(Silent(spec.clone())).unwrap();
        let mut graph = GraphBuilder::new();
        let inputs = types.iter().zip(["a", "b", "c"]).map(|(ty, name)| graph.input(name, ty.clone()));
        let inputs: Vec<NodeIndex> = inputs.collect();
        let node = graph.call_with(&spec.signature, &inputs, result, options.clone());
        graph.output("x", node);
        let pipeline = rehydrate(graph.build(), &registry).unwrap();
        let [.., Step { node: called, on_integers }] = &pipeline.certain[..] else {
            panic!("{parameters:?}")
        };
        assert_eq!(*called, node);
        let told = on_integers.as_ref().map(|call| (call.has_two, call.gives_integer));
        assert_eq!(told, expected, "{parameters:?} -> {result}, pure: {pure}, {options:?}");
        if let Some(call) = on_integers {
            assert_eq!(call.arguments, [inputs[0], inputs[inputs.len() - 1]]);
        }
    }
}
