//! Graphs that are not well formed, each refused with its place.

use super::super::{Argument, ArithmeticOperator, FieldValue, Join, Literal, TypeSpec};
use super::*;

fn node(operation: NodeKind) -> NodeSpec {
    NodeSpec { label: None, ty: TypeIndex(0), operation }
}

fn int(value: i64) -> NodeSpec {
    node(NodeKind::Literal(Literal::Int(value)))
}

fn add(left: u32, right: u32) -> NodeSpec {
    let operator = ArithmeticOperator::Add;
    node(NodeKind::Arithmetic { operator, left: NodeIndex(left), right: NodeIndex(right) })
}

fn region(start: u32, end: u32, parameters: u32, result: u32) -> Region {
    Region { start: NodeIndex(start), end: NodeIndex(end), parameters, result: NodeIndex(result) }
}

fn lambda(captures: &[u32], body: Region) -> NodeSpec {
    node(NodeKind::Lambda { captures: captures.iter().copied().map(NodeIndex).collect(), body })
}

/// A graph of these nodes whose output is the last one.
fn dag(nodes: Vec<NodeSpec>) -> DagSpec {
    let last = NodeIndex(u32::try_from(nodes.len() - 1).unwrap());
    DagSpec {
        outputs: vec![OutputSpec { name: "x".into(), node: last }],
        types: vec![TypeSpec::Int],
        nodes,
        ..DagSpec::default()
    }
}

fn refused(dag: &DagSpec) -> String {
    dag.validate().expect_err("the graph is not well formed").to_string()
}

#[test]
fn nested_bodies_with_captures_are_well_formed() {
    // x = 1; f = (a) => (b) => a + b + x
    let nodes = vec![
        int(1),
        node(NodeKind::Parameter),
        node(NodeKind::Parameter),
        add(1, 2),
        add(3, 0),
        lambda(&[0, 1], region(2, 5, 1, 4)),
        lambda(&[0], region(1, 6, 1, 5)),
    ];
    assert_eq!(dag(nodes).validate(), Ok(vec![Type::Int]));
}

#[test]
fn operands_come_before_their_node() {
    assert_eq!(refused(&dag(vec![add(0, 0)])), "nodes[0] refers to nodes[0], which does not come before it");
    assert!(refused(&dag(vec![int(1), add(0, 7)])).contains("nodes[7]"));
}

#[test]
fn a_body_is_closed() {
    let body = || vec![node(NodeKind::Parameter), lambda(&[], region(0, 1, 1, 0))];
    let mut nodes = body();
    nodes.push(add(0, 0));
    assert_eq!(refused(&dag(nodes)), "nodes[2] refers to nodes[0], inside of another body");
    let mut nodes = body();
    nodes.extend([node(NodeKind::Parameter), lambda(&[0], region(2, 3, 1, 0))]);
    assert_eq!(refused(&dag(nodes)), "nodes[3] refers to nodes[0], inside of another body");
    let mut graph = dag(body());
    graph.outputs[0].node = NodeIndex(0);
    assert_eq!(refused(&graph), "outputs[0] refers to nodes[0], inside of a body");
}

#[test]
fn every_node_of_a_body_is_of_that_body_the_first_and_the_last_too() {
    let case = |body| MatchCase { pattern: Pattern::Any, body };
    let graph = |used| {
        let cases = vec![case(region(1, 3, 0, 2)), case(region(3, 5, 0, 4))];
        let owner = node(NodeKind::Match { scrutinee: NodeIndex(0), cases });
        dag(vec![int(1), int(2), add(1, 1), int(3), add(3, 3), owner, add(5, used)])
    };
    assert_eq!(graph(0).validate(), Ok(vec![Type::Int]));
    for used in 1..5 {
        assert_eq!(
            refused(&graph(used)),
            format!("nodes[6] refers to nodes[{used}], inside of another body")
        );
    }
}

#[test]
fn a_body_stands_right_before_its_owner() {
    let parameter = || node(NodeKind::Parameter);
    let bodies =
        [region(0, 1, 1, 0), region(0, 3, 1, 0), region(2, 1, 0, 0), region(1, 2, 2, 0), region(3, 2, 0, 0)];
    for body in bodies {
        let graph = dag(vec![parameter(), int(1), lambda(&[], body)]);
        assert_eq!(refused(&graph), "nodes[2] has a body that does not stand right before it");
    }
    // The inner body takes the parameter of the outer one.
    let graph = dag(vec![parameter(), lambda(&[], region(0, 1, 1, 0)), lambda(&[], region(0, 2, 1, 1))]);
    assert_eq!(refused(&graph), "nodes[1] has a body that does not stand right before it");
}

#[test]
fn parameters_stand_at_the_start_of_a_body_and_nowhere_else() {
    assert!(refused(&dag(vec![node(NodeKind::Parameter)])).contains("outside of the parameters"));
    let graph = dag(vec![int(1), lambda(&[], region(0, 1, 1, 0))]);
    assert_eq!(refused(&graph), "nodes[0] stands where a body has its parameters");
}

#[test]
fn captures_are_what_the_body_refers_to() {
    for captures in [&[][..], &[0, 1], &[1]] {
        let graph = dag(vec![
            int(1),
            int(2),
            node(NodeKind::Parameter),
            add(0, 2),
            lambda(captures, region(2, 4, 1, 3)),
        ]);
        assert!(refused(&graph).contains("captures"), "{captures:?}");
    }
}

#[test]
fn a_pattern_binds_what_its_body_takes() {
    let case = |pattern, body| MatchCase { pattern, body };
    let graph = |cases| dag(vec![int(1), node(NodeKind::Match { scrutinee: NodeIndex(0), cases })]);
    assert_eq!(graph(vec![case(Pattern::Any, region(1, 1, 0, 0))]).validate(), Ok(vec![Type::Int]));
    assert!(
        refused(&graph(vec![case(Pattern::Is(TypeIndex(0)), region(1, 1, 0, 0))])).contains("does not bind")
    );
    assert!(refused(&graph(vec![case(Pattern::Fields(vec![]), region(1, 1, 0, 0))])).contains("no field"));
    assert!(refused(&graph(vec![])).contains("no case"));
}

#[test]
fn lists_are_sorted_and_names_are_identifiers() {
    let output = |name: &str| OutputSpec { name: name.into(), node: NodeIndex(0) };
    for (outputs, message) in [
        (vec![], "outputs is empty; a pipeline has at least one output"),
        (vec![output("b"), output("a")], "outputs[1] is not sorted by name"),
        (vec![output("a"), output("a")], "outputs[1] is not sorted by name"),
        (vec![output("a b")], "outputs[0] has the name 'a b', which is not an identifier"),
    ] {
        assert_eq!(refused(&DagSpec { outputs, ..dag(vec![int(1)]) }), message);
    }
    let input =
        |name: &str| InputSpec { name: name.into(), ty: TypeIndex(0), default: None, examples: vec![] };
    let inputs = vec![input("b"), input("a")];
    assert_eq!(refused(&DagSpec { inputs, ..dag(vec![int(1)]) }), "inputs[1] is not sorted by name");
    assert_eq!(DagSpec { inputs: vec![input("a"), input("b")], ..dag(vec![int(1)]) }.validate().err(), None);
    let unnamed = DagSpec { inputs: vec![input("a b")], ..dag(vec![int(1)]) };
    assert_eq!(refused(&unnamed), "inputs[0] has the name 'a b', which is not an identifier");
    let mut labelled = dag(vec![int(1)]);
    labelled.nodes[0].label = Some("a b".into());
    assert_eq!(refused(&labelled), "nodes[0] has a label that is not an identifier");
    let undeclared = dag(vec![node(NodeKind::Input { name: "a".into() })]);
    assert_eq!(refused(&undeclared), "nodes[0] reads the input 'a', which is not declared");
}

#[test]
fn requirements_are_sorted_and_named_as_modules_are() {
    let requirement = |name: &str, major| Requirement {
        name: name.into(),
        major,
        signature: crate::SignatureHash::of_bytes(b""),
    };
    let graph = |requires| DagSpec { requires, ..dag(vec![int(1)]) };
    let sorted = vec![requirement("a", 1), requirement("a", 2), requirement("a.b", 1)];
    assert!(graph(sorted).validate().is_ok());
    for requires in [
        vec![requirement("b", 1), requirement("a", 1)],
        vec![requirement("a", 2), requirement("a", 1)],
        vec![requirement("a", 1), requirement("a", 1)],
    ] {
        assert_eq!(refused(&graph(requires)), "requires[1] is not sorted by name and major version");
    }
    for name in ["", ".a", "a.", "a..b", "a b"] {
        let message = format!("requires[0] has the name '{name}'");
        assert_eq!(refused(&graph(vec![requirement(name, 1)])), message);
    }
}

#[test]
fn indices_are_in_range_wherever_they_stand() {
    let typed = |ty| NodeSpec { ty: TypeIndex(ty), ..int(1) };
    assert_eq!(refused(&dag(vec![typed(1)])), "nodes[0] refers to types[1] of 1");
    assert_eq!(refused(&dag(vec![typed(2)])), "nodes[0] refers to types[2] of 1");
    let pattern = Pattern::Is(TypeIndex(1));
    let body = region(1, 2, 1, 1);
    let cases = vec![MatchCase { pattern, body }];
    let nodes =
        vec![int(1), node(NodeKind::Parameter), node(NodeKind::Match { scrutinee: NodeIndex(0), cases })];
    assert_eq!(refused(&dag(nodes)), "nodes[2] refers to types[1] of 1");
    let graph = |input| DagSpec { inputs: vec![input], ..dag(vec![int(1)]) };
    let input = InputSpec { name: "a".into(), ty: TypeIndex(0), default: None, examples: vec![] };
    let (outside, inside) = (NodeIndex(1), NodeIndex(0));
    assert!(
        graph(InputSpec { default: Some(inside), examples: vec![inside], ..input.clone() })
            .validate()
            .is_ok()
    );
    for input in [
        InputSpec { default: Some(outside), ..input.clone() },
        InputSpec { examples: vec![inside, outside], ..input.clone() },
    ] {
        assert_eq!(refused(&graph(input)), "inputs[0] refers to nodes[1] of 1");
    }
    assert_eq!(refused(&graph(InputSpec { ty: TypeIndex(1), ..input })), "inputs[0] refers to types[1] of 1");
}

#[test]
fn nothing_is_named_twice() {
    let source = NodeIndex(0);
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
    let project = |selected| node(NodeKind::Project { source, names: names(selected) });
    assert!(dag(vec![int(1), project(&["a", "b"])]).validate().is_ok());
    for selected in [&[][..], &["a", "a"]] {
        let message = "nodes[1] selects no field, or one twice";
        assert_eq!(refused(&dag(vec![int(1), project(selected)])), message);
    }
    let field = |name: &str| FieldValue { name: name.into(), node: source };
    let record = node(NodeKind::Record { fields: vec![field("a"), field("a")] });
    assert_eq!(refused(&dag(vec![int(1), record])), "nodes[1] has the field 'a' twice");
    let interpolate =
        |parts| node(NodeKind::Interpolate { parts: names(parts), values: vec![source, source] });
    assert!(dag(vec![int(1), interpolate(&["", "-", ""])]).validate().is_ok());
    for parts in [&["", ""][..], &["", "", "", ""]] {
        let message = "nodes[1] does not have one part more than values";
        assert_eq!(refused(&dag(vec![int(1), interpolate(parts)])), message);
    }
    let fields = Pattern::Fields(names(&["a", "a"]));
    let body = region(1, 3, 2, 1);
    let cases = vec![MatchCase { pattern: fields, body }];
    let parameter = || node(NodeKind::Parameter);
    let nodes = vec![int(1), parameter(), parameter(), node(NodeKind::Match { scrutinee: source, cases })];
    assert_eq!(refused(&dag(nodes)), "nodes[3] has a pattern of no field, or of one twice");
}

#[test]
fn calls_and_their_options_are_in_range() {
    let call = |options| {
        let argument = Argument { name: "a".into(), node: NodeIndex(0) };
        node(NodeKind::Call {
            module: "m.f".into(),
            major: 1,
            arguments: vec![argument],
            options: Box::new(options),
        })
    };
    let requirement =
        Requirement { name: "m.f".into(), major: 1, signature: crate::SignatureHash::of_bytes(b"") };
    let graph = |options| DagSpec { requires: vec![requirement.clone()], ..dag(vec![int(1), call(options)]) };
    assert!(graph(CallOptions::default()).validate().is_ok());
    let mut missing = graph(CallOptions::default());
    missing.requires.clear();
    assert_eq!(refused(&missing), "nodes[1] calls 'm.f' 1, which is not in requires");
    let mut twice = graph(CallOptions::default());
    let NodeKind::Call { arguments, .. } = &mut twice.nodes[1].operation else { unreachable!() };
    arguments.push(Argument { name: "a".into(), node: NodeIndex(0) });
    assert_eq!(refused(&twice), "nodes[1] has the argument 'a' twice");
    for options in [
        CallOptions { retry: Some(0), priority: Some(100), ..CallOptions::default() },
        CallOptions { retry: Some(MAX_NUMBER - 1), timeout_ms: Some(1), ..CallOptions::default() },
        CallOptions { cache_ms: Some(MAX_NUMBER - 1), priority: Some(0), ..CallOptions::default() },
    ] {
        assert!(graph(options.clone()).validate().is_ok(), "{options:?}");
    }
    for options in [
        CallOptions { retry: Some(MAX_NUMBER), ..CallOptions::default() },
        CallOptions { delay_ms: Some(0), ..CallOptions::default() },
        CallOptions { concurrency: Some(0), ..CallOptions::default() },
        CallOptions { batch: Some(0), ..CallOptions::default() },
        CallOptions { batch_timeout_ms: Some(0), ..CallOptions::default() },
        CallOptions { checkpoint_ms: Some(0), ..CallOptions::default() },
        CallOptions { throttle: Some(Throttle { count: 0, per_ms: 1 }), ..CallOptions::default() },
        CallOptions { window: Some(Window::Tumbling { size_ms: 0 }), ..CallOptions::default() },
        CallOptions { window: Some(Window::Sliding { size_ms: 0, slide_ms: 1 }), ..CallOptions::default() },
        CallOptions { window: Some(Window::Sliding { size_ms: 1, slide_ms: 0 }), ..CallOptions::default() },
        CallOptions { window: Some(Window::Count { size: 0 }), ..CallOptions::default() },
        CallOptions { join: Some(Join::Buffer { timeout_ms: 0 }), ..CallOptions::default() },
        CallOptions { timeout_ms: Some(0), ..CallOptions::default() },
        CallOptions { cache_ms: Some(MAX_NUMBER), ..CallOptions::default() },
        CallOptions { priority: Some(101), ..CallOptions::default() },
        CallOptions { throttle: Some(Throttle { count: 1, per_ms: 0 }), ..CallOptions::default() },
    ] {
        assert_eq!(refused(&graph(options)), "nodes[1] has an option out of range");
    }
}

#[test]
fn bodies_nest_to_a_bound() {
    let nest = |levels: u32| {
        let parameters = (0..levels).map(|_| node(NodeKind::Parameter));
        let owners = (0..levels).map(|level| {
            let start = levels - 1 - level;
            lambda(&[], region(start, levels + level, 1, levels + level - 1))
        });
        dag(parameters.chain(owners).collect())
    };
    assert!(nest(MAX_BODY_DEPTH).validate().is_ok());
    assert!(refused(&nest(MAX_BODY_DEPTH + 1)).contains("too deep"));
}

#[test]
fn a_repeated_name_is_found_among_few_and_among_many() {
    for count in [0, 1, 2, FEW - 1, FEW, FEW + 1, 100] {
        let mut names: Vec<String> = (0..count).map(|number| format!("n{number}")).collect();
        assert_eq!(first_repeated(names.iter().map(|name| &**name)), None, "{count}");
        if count > 2 {
            names[count - 1] = "n0".to_owned();
            assert_eq!(first_repeated(names.iter().map(|name| &**name)), Some("n0"), "{count}");
        }
    }
}
