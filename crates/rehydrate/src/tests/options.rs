//! What a loaded call carries of the options in the image.

use std::sync::Arc;
use std::time::Duration;

use constellation_store_core::{CallOptions, NodeKind, Throttle};
use constellation_types::Type;

use super::load;
use crate::testkit::{GraphBuilder, signature};
use crate::{CachePolicy, LoadedCall, LoadedPipeline, Operation};

fn options() -> CallOptions {
    CallOptions {
        cache_ms: Some(1500),
        cache_backend: Some("shared".into()),
        throttle: Some(Throttle { count: 3, per_ms: 100 }),
        concurrency: Some(2),
        priority: Some(80),
        ..CallOptions::default()
    }
}

fn last_call(pipeline: &LoadedPipeline) -> &Arc<LoadedCall> {
    let Operation::Call(call) = &pipeline.nodes[pipeline.nodes.len() - 1].operation else {
        panic!("the last node is a call")
    };
    call
}

#[test]
fn a_call_carries_what_it_has_in_common_with_others() {
    let mut f = signature("f", &[Type::Int], Type::record([("b", Type::Int), ("a", Type::Int)]));
    f.major = 3;
    let loaded = |options| {
        let mut graph = GraphBuilder::new();
        let argument = graph.int(1);
        let node = graph.call_with(&f, &[argument], &f.result_type(), options);
        graph.output("x", node);
        load(graph, std::slice::from_ref(&f)).unwrap()
    };
    let pipeline = loaded(options());
    let call = last_call(&pipeline);
    let policy = CachePolicy {
        time_to_live: Duration::from_millis(1500),
        backend: Some("shared".into()),
        identity: "f 3.0 { b: Int, a: Int }".into(),
    };
    assert_eq!(call.cache, Some(policy));
    assert_eq!(call.throttle, Some(Throttle { count: 3, per_ms: 100 }));
    assert_eq!((call.concurrency, call.priority), (Some(2), 80));
    let pipeline = loaded(CallOptions::default());
    let call = last_call(&pipeline);
    assert_eq!((&call.cache, call.throttle, call.concurrency, call.priority), (&None, None, None, 50));
}

#[test]
fn a_call_that_is_given_a_lambda_has_neither_cache_nor_concurrency() {
    let f = signature("f", &[Type::function([Type::Int], Type::Int)], Type::Int);
    let mut graph = GraphBuilder::new();
    let parameter = graph.node(&Type::Int, NodeKind::Parameter);
    let lambda = graph.lambda(&f.parameters[0].ty, parameter, 1, parameter);
    let node = graph.call_with(&f, &[lambda], &Type::Int, options());
    graph.output("x", node);
    let pipeline = load(graph, &[f]).unwrap();
    let call = last_call(&pipeline);
    assert_eq!((&call.cache, call.concurrency), (&None, None));
    assert_eq!((call.throttle, call.priority), (Some(Throttle { count: 3, per_ms: 100 }), 80));
}
