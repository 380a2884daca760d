//! Images that bind, and images that do not.

mod lambdas;
mod options;
mod steps;

use std::sync::Arc;

use constellation_module::{CallContext, Module, ModuleError, ModuleRegistry, ModuleSpec, Outcome};
use constellation_store_core::{
    Argument, ArithmeticOperator, BranchCase, CallOptions, ComparisonOperator, FieldValue, Literal,
    MatchCase, NodeIndex, NodeKind, OnError, Pattern, PipelineImage, Region,
};
use constellation_types::{FunctionSignature, Type, Value};

use crate::testkit::{GraphBuilder, signature};
use crate::{LoadedPipeline, MergeShape, Operation, Problem, Recovery, RehydrateError, rehydrate};

#[derive(Debug)]
struct Silent(ModuleSpec);

impl Module for Silent {
    fn spec(&self) -> &ModuleSpec {
        &self.0
    }

    fn call(&self, _: &[Value], _: &CallContext) -> Outcome {
        Outcome::Ready(Err(ModuleError::new("never called")))
    }
}

fn registry(signatures: &[FunctionSignature]) -> ModuleRegistry {
    let mut registry = ModuleRegistry::new();
    for signature in signatures {
        registry.register(Silent(ModuleSpec::new(signature.clone()))).unwrap();
    }
    registry
}

fn load(graph: GraphBuilder, modules: &[FunctionSignature]) -> Result<LoadedPipeline, RehydrateError> {
    rehydrate(graph.build(), &registry(modules))
}

/// The only problem of a graph whose output is the node that `add` makes.
fn refused(add: impl FnOnce(&mut GraphBuilder) -> NodeIndex) -> String {
    let mut graph = GraphBuilder::new();
    let node = add(&mut graph);
    graph.output("x", node);
    let error = load(graph, &[]).expect_err("the graph makes no sense");
    let [problem] = error.problems() else { panic!("{error}") };
    problem.to_string()
}

/// The operation of the node that `add` makes.
fn accepted(add: impl FnOnce(&mut GraphBuilder) -> NodeIndex) -> Operation {
    let mut graph = GraphBuilder::new();
    let node = add(&mut graph);
    graph.output("x", node);
    load(graph, &[]).unwrap().nodes.pop().unwrap().operation
}

fn call_of(graph: &mut GraphBuilder, signature: &FunctionSignature) -> NodeIndex {
    let argument = graph.int(1);
    graph.call(signature, &[argument])
}

#[test]
fn every_module_that_does_not_match_is_told_with_found_and_expected() {
    let wanted: Vec<_> = ["absent", "changed", "kept", "upgraded"]
        .map(|name| signature(name, &[Type::Int], Type::Int))
        .into_iter()
        .collect();
    let mut graph = GraphBuilder::new();
    for signature in &wanted {
        let node = call_of(&mut graph, signature);
        graph.output(&signature.name, node);
    }
    let mut upgraded = wanted[3].clone();
    upgraded.major = 2;
    let changed = signature("changed", &[Type::Float], Type::Int);
    let error = load(graph, &[changed, wanted[2].clone(), upgraded]).unwrap_err();
    let [missing, changed, upgraded] = error.problems() else { panic!("{error}") };
    assert_eq!(
        missing.to_string(),
        "module 'absent' version 1 is not registered; register it and load the pipeline again"
    );
    assert!(matches!(changed, Problem::Signature { expected, found, .. } if expected != found));
    assert!(changed.to_string().contains("(changed(a: Float) -> Int)"), "{changed}");
    assert!(changed.to_string().contains("recompile the pipeline from its source"), "{changed}");
    assert!(
        upgraded.to_string().starts_with("module 'upgraded' has major version 2, expected 1; recompile"),
        "{upgraded}"
    );
    assert!(!error.recompiling_may_help());
}

#[test]
fn recompiling_may_help_when_every_module_is_there() {
    let mut graph = GraphBuilder::new();
    let node = call_of(&mut graph, &signature("f", &[Type::Int], Type::Int));
    graph.output("x", node);
    assert!(load(graph, &[signature("f", &[Type::Int], Type::Float)]).unwrap_err().recompiling_may_help());
}

#[test]
fn the_order_of_record_fields_in_a_signature_does_not_matter() {
    let ab = Type::record([("a", Type::Int), ("b", Type::String)]);
    let ba = Type::record([("b", Type::String), ("a", Type::Int)]);
    let mut graph = GraphBuilder::new();
    let record = graph.input("r", ab.clone());
    let node = graph.call(&signature("f", &[ab], Type::Int), &[record]);
    graph.output("x", node);
    assert!(load(graph, &[signature("f", &[ba], Type::Int)]).is_ok());
}

#[test]
fn a_graph_that_is_not_well_formed_is_refused() {
    let error = load(GraphBuilder::new(), &[]).unwrap_err();
    assert!(matches!(error.problems(), [Problem::Graph(_)]), "{error}");
}

#[test]
fn operands_have_the_types_that_the_operation_needs() {
    let arithmetic = |ty: Type| {
        move |g: &mut GraphBuilder| {
            let (left, right) = (g.int(1), g.float(1.0));
            g.node(&ty, NodeKind::Arithmetic { operator: ArithmeticOperator::Add, left, right })
        }
    };
    assert_eq!(
        refused(arithmetic(Type::Int)),
        "nodes[2] has nodes[1] of type Float for its right operand, which is of type Int; recompile the pipeline \
         from its source"
    );
    assert!(refused(arithmetic(Type::Float)).contains("nodes[0] of type Int for its left operand"));
    assert!(refused(arithmetic(Type::String)).contains("calculates with a String"));
    assert!(refused(|g| g.node(&Type::String, NodeKind::Literal(Literal::Int(1)))).contains("gives a Int"));
    assert!(
        refused(|g| {
            let operand = g.string("a");
            g.node(&Type::Int, NodeKind::Negate { operand })
        })
        .contains("of type String")
    );
    assert!(
        refused(|g| {
            let item = g.string("a");
            g.node(&Type::list(Type::Int), NodeKind::List { items: vec![item] })
        })
        .contains("for item 0")
    );
    assert!(refused(|g| g.node(&Type::Int, NodeKind::List { items: vec![] })).contains("a list of type Int"));
    assert!(
        refused(|g| {
            let operand = g.int(1);
            g.node(&Type::Boolean, NodeKind::Not { operand })
        })
        .contains("of type Int for an operand")
    );
    assert!(
        refused(|g| {
            let (condition, value) = (g.int(1), g.int(2));
            g.node(&Type::Int, NodeKind::If { condition, then: value, otherwise: value })
        })
        .contains("for its condition")
    );
    assert!(
        refused(|g| {
            let (condition, value, otherwise) = (g.boolean(true), g.int(2), g.string(""));
            let cases = vec![BranchCase { condition, value }];
            g.node(&Type::Int, NodeKind::Branch { cases, otherwise })
        })
        .contains("of type String for its value")
    );
    assert!(
        refused(|g| {
            let (value, condition) = (g.int(1), g.boolean(true));
            g.node(&Type::Int, NodeKind::Guard { value, condition })
        })
        .contains("not an Optional")
    );
    assert!(
        refused(|g| {
            let (value, default) = (g.int(1), g.int(2));
            g.node(&Type::Int, NodeKind::Coalesce { value, default })
        })
        .contains("takes what is in a Int")
    );
}

#[test]
fn ordering_is_on_numbers_and_strings_and_equality_on_all_data() {
    let compare = |operator, left: Type, right: Type| {
        move |g: &mut GraphBuilder| {
            let (left, right) = (g.input("l", left), g.input("r", right));
            g.node(&Type::Boolean, NodeKind::Compare { operator, left, right })
        }
    };
    let list = || Type::list(Type::Int);
    for ty in [Type::Int, Type::Float, Type::String] {
        accepted(compare(ComparisonOperator::Less, ty.clone(), ty));
    }
    accepted(compare(ComparisonOperator::Equal, list(), list()));
    accepted(compare(ComparisonOperator::Equal, list(), Type::list(Type::Nothing)));
    assert!(refused(compare(ComparisonOperator::Less, list(), list())).contains("compares a List<Int>"));
    assert!(refused(compare(ComparisonOperator::Less, Type::Int, Type::Float)).contains("with a Float"));
    assert!(refused(compare(ComparisonOperator::Equal, Type::Int, Type::String)).contains("with a String"));
}

#[test]
fn fields_are_found_in_records_and_lists_of_records() {
    let user = Type::record([("id", Type::Int), ("name", Type::String)]);
    let field = |source: Type, name: &'static str, ty: Type| {
        move |g: &mut GraphBuilder| {
            let source = g.input("s", source);
            g.node(&ty, NodeKind::Field { source, name: name.into() })
        }
    };
    assert!(matches!(
        accepted(field(user.clone(), "name", Type::String)),
        Operation::Field { each: false, field, .. } if field.position == 1
    ));
    assert!(matches!(
        accepted(field(Type::list(user.clone()), "id", Type::list(Type::Int))),
        Operation::Field { each: true, .. }
    ));
    assert!(refused(field(user.clone(), "nick", Type::Int)).contains("'nick' of a record without it"));
    assert!(refused(field(user.clone(), "id", Type::String)).contains("gives a Int"));
    assert!(refused(field(Type::list(user.clone()), "id", Type::Int)).contains("gives a list"));
    assert!(refused(field(Type::Int, "id", Type::Int)).contains("which is of type Int"));
    let project = |source: Type, names: &[&str], ty: Type| {
        let names = names.iter().map(ToString::to_string).collect();
        move |g: &mut GraphBuilder| {
            let source = g.input("s", source);
            g.node(&ty, NodeKind::Project { source, names })
        }
    };
    let name = Type::record([("name", Type::String)]);
    accepted(project(user.clone(), &["name"], name.clone()));
    accepted(project(Type::seq(user.clone()), &["name"], Type::seq(name.clone())));
    assert!(refused(project(user.clone(), &["id"], name.clone())).contains("selects id"));
    assert!(refused(project(name.clone(), &["id"], Type::record([("id", Type::Int)]))).contains("'id'"));
    let merge = |left: Type, right: Type, ty: Type| {
        move |g: &mut GraphBuilder| {
            let (left, right) = (g.input("l", left), g.input("r", right));
            g.node(&ty, NodeKind::Merge { left, right })
        }
    };
    let id = Type::record([("id", Type::Float)]);
    let merged = Type::record([("id", Type::Float), ("name", Type::String)]);
    assert!(matches!(
        accepted(merge(user.clone(), id.clone(), merged.clone())),
        Operation::Merge { shape: MergeShape::Records, fields, .. }
            if fields[0].from_right && !fields[1].from_right
    ));
    assert!(matches!(
        accepted(merge(Type::list(user.clone()), id.clone(), Type::list(merged.clone()))),
        Operation::Merge { shape: MergeShape::LeftList, .. }
    ));
    assert!(refused(merge(user.clone(), id.clone(), user.clone())).contains("gives a Float"));
    assert!(refused(merge(user, id, name)).contains("the field 'id'"));
}

#[test]
fn a_record_has_the_fields_of_its_type_in_the_same_order() {
    let ty = Type::record([("a", Type::Int), ("b", Type::Int)]);
    let fields = |names: &'static [&str]| {
        let ty = ty.clone();
        move |g: &mut GraphBuilder| {
            let node = g.int(1);
            let fields = names.iter().map(|name| FieldValue { name: (*name).into(), node }).collect();
            g.node(&ty, NodeKind::Record { fields })
        }
    };
    accepted(fields(&["a", "b"]));
    for names in [&["b", "a"][..], &["a"], &["a", "b", "c"]] {
        assert!(refused(fields(names)).contains("in the same order"), "{names:?}");
    }
}

#[test]
fn a_projection_of_a_very_wide_record_takes_linear_time() {
    let names: Vec<String> = (0..20_000).map(|place| format!("f{place}")).collect();
    let ty = Type::record(names.iter().map(|name| (name.as_str(), Type::Int)));
    let reversed = Type::record(names.iter().rev().map(|name| (name.as_str(), Type::Int)));
    let operation = accepted(|g| {
        let source = g.input("s", ty);
        g.node(&reversed, NodeKind::Project { source, names })
    });
    assert!(matches!(operation, Operation::Project { fields, .. } if fields[0].position == 19_999));
}

#[test]
fn merges_of_the_same_records_share_where_their_fields_are() {
    let wide = Type::record((0..20_000).map(|place| (format!("f{place}"), Type::Int)));
    let mut graph = GraphBuilder::new();
    let update = graph.input("u", Type::record([("f7", Type::Int)]));
    let mut record = graph.input("r", wide.clone());
    for _ in 0..2_000 {
        record = graph.node(&wide, NodeKind::Merge { left: record, right: update });
    }
    let text = (0..2_000).map(|_| record).collect();
    let parts = vec![String::new(); 2_001];
    let text = graph.node(&Type::String, NodeKind::Interpolate { parts, values: text });
    graph.output("x", text);
    let pipeline = load(graph, &[]).unwrap();
    let mut merges = pipeline.nodes.iter().filter_map(|node| match &node.operation {
        Operation::Merge { fields, .. } => Some(fields),
        _ => None,
    });
    let first = merges.next().unwrap();
    assert!(first[7].from_right && !first[8].from_right);
    assert!(merges.all(|fields| Arc::ptr_eq(fields, first)));
}

#[test]
fn a_coercion_needs_a_conversion() {
    let coerce = |from: Type, to: Type| {
        move |g: &mut GraphBuilder| {
            let value = g.input("v", from);
            g.node(&to, NodeKind::Coerce { value })
        }
    };
    accepted(coerce(Type::list(Type::Int), Type::seq(Type::Float)));
    assert!(refused(coerce(Type::Float, Type::Int)).contains("turns a Float into a Int"));
    assert!(refused(coerce(Type::Int, Type::optional(Type::Int))).contains("no conversion"));
}

#[test]
fn a_call_has_the_arguments_of_its_module() {
    let f = signature("f", &[Type::Int, Type::String], Type::Int);
    let load = |arguments: Vec<(&str, NodeIndex)>, ty: Type| {
        let mut graph = GraphBuilder::new();
        let (int, text) = (graph.int(1), graph.string("s"));
        let good = graph.call(&f, &[int, text]);
        graph.output("good", good);
        let arguments =
            arguments.into_iter().map(|(name, node)| Argument { name: name.into(), node }).collect();
        let kind = NodeKind::Call { module: "f".into(), major: 1, arguments, options: Box::default() };
        let node = graph.node(&ty, kind);
        graph.output("x", node);
        load(graph, std::slice::from_ref(&f)).map_err(|error| error.to_string())
    };
    let (int, text) = (NodeIndex(0), NodeIndex(1));
    assert!(load(vec![("a", int), ("b", text)], Type::Int).is_ok());
    for arguments in [vec![("b", text), ("a", int)], vec![("a", int)], vec![]] {
        assert!(load(arguments, Type::Int).unwrap_err().contains("with the arguments ("));
    }
    assert!(load(vec![("a", text), ("b", text)], Type::Int).unwrap_err().contains("gives 'a' of f("));
    assert!(load(vec![("a", int), ("b", text)], Type::Float).unwrap_err().contains("gives a Int"));
}

#[test]
fn a_generic_module_takes_one_type_for_each_variable() {
    let t = || Type::variable("T");
    let pick = signature("pick", &[Type::list(t()), t()], Type::optional(t()));
    let load = |list: Type, item: Type, ty: Type| {
        let mut graph = GraphBuilder::new();
        let (list, item) = (graph.input("l", list), graph.input("i", item));
        let node = graph.call_with(&pick, &[list, item], &ty, CallOptions::default());
        graph.output("x", node);
        load(graph, std::slice::from_ref(&pick)).is_ok()
    };
    assert!(load(Type::list(Type::Int), Type::Int, Type::optional(Type::Int)));
    assert!(load(Type::list(Type::Nothing), Type::Int, Type::optional(Type::Int)));
    assert!(!load(Type::list(Type::Int), Type::String, Type::optional(Type::Int)));
    assert!(!load(Type::list(Type::Int), Type::Int, Type::optional(Type::String)));
}

#[test]
fn options_fit_the_result_of_the_call() {
    let f = signature("f", &[Type::Int], Type::Int);
    let load = |ty: Type, fallback: Option<Literal>, on_error| {
        let mut graph = GraphBuilder::new();
        let argument = graph.int(1);
        let fallback = fallback.map(|literal| {
            let ty = if matches!(literal, Literal::Int(_)) { Type::Int } else { Type::String };
            graph.node(&ty, NodeKind::Literal(literal))
        });
        let options = CallOptions { fallback, on_error, ..CallOptions::default() };
        let node = graph.call_with(&f, &[argument], &ty, options);
        graph.output("x", node);
        load(graph, std::slice::from_ref(&f))
    };
    let wrapped = Type::record([
        ("ok", Type::Boolean),
        ("value", Type::optional(Type::Int)),
        ("error", Type::optional(Type::String)),
    ]);
    let recovery =
        |loaded: Result<LoadedPipeline, RehydrateError>| match loaded.unwrap().nodes.pop().unwrap().operation
        {
            Operation::Call(call) => call.recovery.clone(),
            other => panic!("{other:?}"),
        };
    assert_eq!(recovery(load(Type::Int, Some(Literal::Int(2)), None)), Recovery::Propagate);
    assert_eq!(
        recovery(load(Type::Int, None, Some(OnError::Skip))),
        Recovery::Zero { value: Value::Int(0), log: false }
    );
    assert!(matches!(recovery(load(wrapped, None, Some(OnError::Wrap))), Recovery::Wrap { .. }));
    let error = load(Type::Int, Some(Literal::String("s".into())), None).unwrap_err().to_string();
    assert!(error.contains("for its fallback"), "{error}");
    let error = load(Type::Int, None, Some(OnError::Wrap)).unwrap_err().to_string();
    assert!(error.contains("wraps its result"), "{error}");
}

#[test]
fn zero_values_follow_the_type() {
    let record = Type::record([
        ("text", Type::String),
        ("list", Type::seq(Type::Int)),
        ("map", Type::map(Type::String, Type::Int)),
        ("maybe", Type::optional(Type::Int)),
        ("either", Type::union([Type::Boolean, Type::Float])),
    ]);
    let f = signature("f", &[], record.clone());
    let mut graph = GraphBuilder::new();
    let options = CallOptions { on_error: Some(OnError::Log), ..CallOptions::default() };
    let node = graph.call_with(&f, &[], &record, options);
    graph.output("x", node);
    let Operation::Call(call) = load(graph, &[f]).unwrap().nodes.pop().unwrap().operation else { panic!() };
    let zero = Value::record([
        ("text", Value::string("")),
        ("list", Value::list([])),
        ("map", Value::Map([].into())),
        ("maybe", Value::none()),
        ("either", Value::tagged("Boolean", Value::Boolean(false))),
    ]);
    assert_eq!(call.recovery, Recovery::Zero { value: zero, log: true });
}

#[test]
fn a_pattern_binds_parameters_of_fitting_types() {
    let ok = Type::record([("ok", Type::Int)]);
    let union = Type::union([ok, Type::record([("err", Type::String)])]);
    let case = |bound: Type| {
        let union = union.clone();
        move |g: &mut GraphBuilder| {
            let scrutinee = g.input("u", union);
            let start = g.next();
            let result = g.node(&bound, NodeKind::Parameter);
            let body = Region { start, end: g.next(), parameters: 1, result };
            let cases = vec![MatchCase { pattern: Pattern::Fields(vec!["ok".into()]), body }];
            g.node(&bound, NodeKind::Match { scrutinee, cases })
        }
    };
    let Operation::Match { cases, .. } = accepted(case(Type::Int)) else { panic!() };
    assert_eq!(cases[0].alternatives.len(), 1);
    assert_eq!(cases[0].alternatives[0].tag.as_deref(), Some("{ ok: Int }"));
    assert!(refused(case(Type::String)).contains("binds a Int to a parameter of type String"));
}

#[test]
fn an_image_read_back_binds_as_the_one_that_was_written() {
    let user = Type::record([("id", Type::Int), ("tags", Type::list(Type::String))]);
    let f = signature("f", std::slice::from_ref(&user), Type::union([Type::Int, user.clone()]));
    let mut graph = GraphBuilder::new();
    let input = graph.input("user", user);
    let call = graph.call(&f, &[input]);
    graph.output("x", call);
    let image = graph.build();
    let decoded = PipelineImage::decode(&image.encode()).unwrap().image;
    let modules = registry(&[f]);
    let first = rehydrate(image, &modules).unwrap();
    let second = rehydrate(Arc::new(decoded), &modules).unwrap();
    assert_eq!(format!("{:?}", first.nodes), format!("{:?}", second.nodes));
    assert_eq!(first.types, second.types);
}
