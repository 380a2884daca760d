//! Lambdas that bind to their calls, and lambdas where there can be none.

use constellation_store_core::{
    CallOptions, ComparisonOperator, MatchCase, NodeIndex, NodeKind, Pattern, Region,
};
use constellation_types::{FunctionSignature, Type};

use super::steps::nodes;
use super::{load, refused};
use crate::testkit::{GraphBuilder, signature};
use crate::{LoadedPipeline, Operation};

/// A lambda with these parameters whose body is made by `body` from them.
fn lambda(
    g: &mut GraphBuilder,
    ty: &Type,
    parameters: &[Type],
    captures: &[NodeIndex],
    body: impl FnOnce(&mut GraphBuilder, &[NodeIndex]) -> NodeIndex,
) -> NodeIndex {
    let start = g.next();
    let nodes: Vec<NodeIndex> = parameters.iter().map(|ty| g.node(ty, NodeKind::Parameter)).collect();
    let result = body(g, &nodes);
    let parameters = u32::try_from(parameters.len()).unwrap();
    let body = Region { start, end: g.next(), parameters, result };
    g.node(ty, NodeKind::Lambda { captures: captures.to_vec(), body })
}

/// `map(items: Seq<T>, transform: (T) => U) -> Seq<U>`
fn map() -> FunctionSignature {
    let mut map = signature(
        "map",
        &[Type::seq(Type::variable("T")), Type::function([Type::variable("T")], Type::variable("U"))],
        Type::seq(Type::variable("U")),
    );
    map.parameters[0].name = "items".into();
    map
}

/// What is wrong with a call of `map` over floats, or nothing.
fn mapped(ty: &Type, add: impl FnOnce(&mut GraphBuilder) -> NodeIndex) -> Result<LoadedPipeline, String> {
    let mut graph = GraphBuilder::new();
    let items = graph.input("l", Type::list(Type::Float));
    let lambda = add(&mut graph);
    let node = graph.call_with(&map(), &[items, lambda], ty, CallOptions::default());
    graph.output("x", node);
    load(graph, &[map()]).map_err(|error| error.problems()[0].to_string())
}

#[test]
fn a_lambda_is_bound_to_the_call_that_it_is_given_to() {
    let mut graph = GraphBuilder::new();
    let items = graph.input("l", Type::list(Type::Int));
    let other = graph.input("m", Type::Int);
    let ty = Type::function([Type::Int], Type::Boolean);
    let f = lambda(&mut graph, &ty, &[Type::Int], &[other], |g, parameters| {
        let unused = g.boolean(true);
        let operator = ComparisonOperator::Less;
        let less = NodeKind::Compare { operator, left: parameters[0], right: other };
        let less = g.node(&Type::Boolean, less);
        g.node(&Type::Boolean, NodeKind::And { left: less, right: unused })
    });
    let node = graph.call_with(&map(), &[items, f], &Type::seq(Type::Boolean), CallOptions::default());
    graph.output("x", node);
    let pipeline = load(graph, &[map()]).unwrap();
    let Operation::Call(call) = &pipeline.nodes[node.index()].operation else { panic!() };
    assert_eq!(*call.arguments, [items]);
    let [lambda] = &*call.functions else { panic!("{call:?}") };
    assert_eq!((&*lambda.captures, &*lambda.parameters), (&[other][..], &[Type::Int][..]));
    assert_eq!((lambda.start, lambda.end, lambda.lambdas_around), (NodeIndex(2), f, 0));
    // The right operand of `and` is not needed for certain, and what is captured is no node of the body.
    assert_eq!(nodes(&lambda.certain), [2, 4, 5].map(NodeIndex));
    assert_eq!(
        nodes(&pipeline.certain),
        [items, other, node],
        "what a lambda captures is needed for its call"
    );
}

#[test]
fn a_lambda_has_the_parameters_and_the_result_of_its_type() {
    let identity = |g: &mut GraphBuilder, ty: &Type, parameters: &[Type]| {
        lambda(g, ty, parameters, &[], |g, nodes| nodes.first().copied().unwrap_or_else(|| g.int(1)))
    };
    let float = Type::Float;
    let function = |parameters: &[Type], result: &Type| Type::function(parameters.to_vec(), result.clone());
    let seq = Type::seq(Type::Float);
    let floats = function(&[Type::Float], &float);
    assert!(mapped(&seq, |g| identity(g, &floats, &[Type::Float])).is_ok());
    for (ty, parameters, expected) in [
        (Type::Float, &[Type::Float][..], "is a lambda of type Float"),
        (floats.clone(), &[], "but its body has 0 parameters"),
        (floats.clone(), &[Type::Float, Type::Float], "but its body has 2 parameters"),
        (floats.clone(), &[Type::Int], "but its body takes a Int"),
        (function(&[Type::Float], &Type::Int), &[Type::Float], "for its result, which is of type Int"),
        (function(&[Type::Int], &Type::Int), &[Type::Int], "gives 'b' of map(items: Seq<T>, b: (T) => U)"),
        (function(&[Type::Float, Type::Float], &float), &[Type::Float, Type::Float], "gives 'b' of map("),
        // Whatever a function on the empty type does, it does not take floats.
        (function(&[Type::Nothing], &float), &[Type::Nothing], "gives 'b' of map("),
    ] {
        let problem = mapped(&seq, |g| identity(g, &ty, parameters)).unwrap_err();
        assert!(problem.contains(expected), "{ty}, {parameters:?}: {problem}");
        assert!(problem.ends_with("; recompile the pipeline from its source"), "{problem}");
    }
    let problem = mapped(&Type::seq(Type::Int), |g| identity(g, &floats, &[Type::Float])).unwrap_err();
    assert!(problem.contains("gives a Seq<Float>, but is declared to be a Seq<Int>"), "{problem}");
}

#[test]
fn a_function_is_given_to_a_call_and_to_nothing_else() {
    let ty = Type::function([Type::Int], Type::Int);
    let f = |g: &mut GraphBuilder| lambda(g, &ty, &[Type::Int], &[], |_, nodes| nodes[0]);
    let int = || Type::Int;
    let has_function = "has a function in it";
    assert!(refused(|g| f(g)).contains("is a lambda, which is no value"), "an output");
    assert!(
        refused(|g| {
            let item = f(g);
            g.node(&Type::list(ty.clone()), NodeKind::List { items: vec![item] })
        })
        .contains("has a function in it, but is no lambda")
    );
    assert!(
        refused(|g| {
            let condition = g.boolean(true);
            let then = f(g);
            g.node(&ty, NodeKind::If { condition, then, otherwise: then })
        })
        .contains("but is no lambda")
    );
    assert!(
        refused(|g| {
            let values = vec![f(g)];
            g.node(&Type::String, NodeKind::Interpolate { parts: vec![String::new(); 2], values })
        })
        .contains(has_function)
    );
    assert!(
        refused(|g| {
            let left = f(g);
            let operator = ComparisonOperator::Equal;
            g.node(&Type::Boolean, NodeKind::Compare { operator, left, right: left })
        })
        .contains(has_function)
    );
    assert!(
        refused(|g| {
            let scrutinee = f(g);
            let start = g.next();
            let result = g.int(1);
            let body = Region { start, end: g.next(), parameters: 0, result };
            let cases = vec![MatchCase { pattern: Pattern::Any, body }];
            g.node(&int(), NodeKind::Match { scrutinee, cases })
        })
        .contains(has_function)
    );
    assert!(refused(|g| g.input("f", ty.clone())).contains("but is no lambda"));
    let problem = mapped(&Type::seq(ty.clone()), |g| {
        let result = f(g);
        let gives = Type::function([Type::Float], ty.clone());
        lambda(g, &gives, &[Type::Float], &[result], |_, _| result)
    });
    assert!(problem.unwrap_err().contains(has_function));
}

#[test]
fn a_function_is_no_value_of_a_type_variable() {
    let identity = signature("identity", &[Type::variable("T")], Type::Int);
    let apply = signature("apply", &[Type::function([Type::Int], Type::Int)], Type::Int);
    let ty = Type::function([Type::Int], Type::Int);
    let load = |module: &FunctionSignature, argument: &dyn Fn(&mut GraphBuilder) -> NodeIndex| {
        let mut graph = GraphBuilder::new();
        let argument = argument(&mut graph);
        let node = graph.call(module, &[argument]);
        graph.output("x", node);
        load(graph, std::slice::from_ref(module)).map_err(|error| error.problems()[0].to_string())
    };
    let f = |g: &mut GraphBuilder| lambda(g, &ty, &[Type::Int], &[], |_, nodes| nodes[0]);
    assert!(load(&apply, &f).is_ok());
    assert!(load(&identity, &f).unwrap_err().contains("has a function in it"));
    assert!(
        load(&apply, &|g| g.int(1)).unwrap_err().contains("gives 'a' of apply(a: (Int) => Int) -> Int a Int")
    );
    let nothing = load(&apply, &|g| g.input("n", Type::Nothing)).unwrap_err();
    assert!(
        nothing.contains("gives 'a' of apply(a: (Int) => Int) -> Int nodes[0], which is no lambda"),
        "{nothing}"
    );
    // The lambda of a call within a lambda stands in that body, and is not captured.
    let captured = |g: &mut GraphBuilder| {
        let captured = f(g);
        lambda(g, &ty, &[Type::Int], &[captured], |g, _| g.call(&apply, &[captured]))
    };
    assert!(load(&apply, &captured).unwrap_err().contains("has a function in it"));
}

#[test]
fn a_lambda_captures_the_inputs_that_it_needs() {
    let ty = Type::function([Type::Float], Type::Int);
    let inside = |g: &mut GraphBuilder| lambda(g, &ty, &[Type::Float], &[], |g, _| g.input("n", Type::Int));
    let problem = mapped(&Type::seq(Type::Int), inside).unwrap_err();
    assert!(problem.contains("reads an input inside of a lambda"), "{problem}");
    let outside = |g: &mut GraphBuilder| {
        let n = g.input("n", Type::Int);
        lambda(g, &ty, &[Type::Float], &[n], |_, _| n)
    };
    assert!(mapped(&Type::seq(Type::Int), outside).is_ok());
    // Which captures a body has follows from it, so that a graph that lists others is not well formed.
    let unlisted = |g: &mut GraphBuilder| {
        let n = g.input("n", Type::Int);
        lambda(g, &ty, &[Type::Float], &[], |_, _| n)
    };
    let problem = mapped(&Type::seq(Type::Int), unlisted).unwrap_err();
    assert!(problem.contains("the graph is not well formed: nodes[3] captures []"), "{problem}");
}

#[test]
fn a_body_that_stands_elsewhere_is_refused() {
    let ty = Type::function([Type::Float], Type::Float);
    for (start, end) in [(1, 1), (0, 2), (1, 3), (3, 4)] {
        let problem = mapped(&Type::seq(Type::Float), |g| {
            let result = g.node(&Type::Float, NodeKind::Parameter);
            let body = Region { start: NodeIndex(start), end: NodeIndex(end), parameters: 1, result };
            g.node(&ty, NodeKind::Lambda { captures: vec![], body })
        });
        let problem = problem.unwrap_err();
        assert!(problem.contains("the graph is not well formed: nodes["), "{start}..{end}: {problem}");
    }
}
