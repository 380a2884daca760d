//! What the tests share: a library of signatures, and readable forms of what a compilation gives.

use std::fmt::Write;

use constellation_lang::{Compilation, FunctionTable, compile, tokenize};
use constellation_store_core::{DagSpec, NodeIndex, NodeKind, Pattern};
use constellation_types::{FunctionSignature, Parameter, Type};

/// `namespace.name(a: T, ...) -> T`, with the module named after the function.
pub(crate) fn function(full_name: &str, parameters: &[(&str, Type)], result: Type) -> FunctionSignature {
    let (namespace, name) = match full_name.rsplit_once('.') {
        Some((namespace, name)) => (Some(namespace.into()), name),
        None => (None, full_name),
    };
    let parameters =
        parameters.iter().map(|(name, ty)| Parameter { name: (*name).into(), ty: ty.clone() }).collect();
    FunctionSignature {
        name: name.into(),
        namespace,
        module: full_name.into(),
        major: 1,
        parameters,
        results: vec![Parameter { name: "out".into(), ty: result }],
    }
}

/// Functions in the shape of the standard library and of the example modules.
pub(crate) fn library() -> FunctionTable {
    let int = || Type::Int;
    let text = || Type::String;
    let t = || Type::variable("T");
    let u = || Type::variable("U");
    let ints = || Type::list(Type::Int);
    let predicate = || Type::function([t()], Type::Boolean);
    FunctionTable::new([
        function("stdlib.math.add", &[("a", int()), ("b", int())], int()),
        function("stdlib.math.multiply", &[("a", int()), ("b", int())], int()),
        function("stdlib.math.divide", &[("a", int()), ("b", int())], int()),
        function("stdlib.math.max", &[("a", int()), ("b", int())], int()),
        function("stdlib.math.round", &[("value", Type::Float)], int()),
        function("stdlib.compare.gt", &[("a", int()), ("b", int())], Type::Boolean),
        function("stdlib.string.trim", &[("value", text())], text()),
        function("stdlib.string.concat", &[("a", text()), ("b", text())], text()),
        function("stdlib.bool.and", &[("a", Type::Boolean), ("b", Type::Boolean)], Type::Boolean),
        function("stdlib.bool.not", &[("value", Type::Boolean)], Type::Boolean),
        function("stdlib.convert.to-string", &[("value", int())], text()),
        function("stdlib.list.list-sum", &[("list", Type::seq(int()))], int()),
        function("stdlib.list.list-length", &[("list", Type::seq(t()))], int()),
        function("stdlib.list.list-first", &[("list", Type::seq(t()))], t()),
        function("stdlib.list.list-contains", &[("list", Type::seq(t())), ("value", t())], Type::Boolean),
        function("stdlib.list.list-concat", &[("a", Type::seq(t())), ("b", Type::seq(t()))], Type::seq(t())),
        function(
            "stdlib.collection.filter",
            &[("items", Type::seq(t())), ("predicate", predicate())],
            Type::seq(t()),
        ),
        function(
            "stdlib.collection.all",
            &[("items", Type::seq(t())), ("predicate", predicate())],
            Type::Boolean,
        ),
        function(
            "stdlib.collection.map",
            &[("items", Type::seq(t())), ("transform", Type::function([t()], u()))],
            Type::seq(u()),
        ),
        function(
            "stdlib.collection.reduce",
            &[("items", Type::seq(t())), ("initial", u()), ("step", Type::function([u(), t()], u()))],
            u(),
        ),
        function(
            "stdlib.map.map-from-list",
            &[("entries", Type::seq(Type::record([("key", t()), ("value", u())])))],
            Type::map(t(), u()),
        ),
        function(
            "stdlib.map.map-put",
            &[("map", Type::map(t(), u())), ("key", t()), ("value", u())],
            Type::map(t(), u()),
        ),
        function("orders.total", &[("id", int())], int()),
        function("returns.total", &[("id", int())], int()),
        function("Apply", &[("step", Type::function([t()], t()))], t()),
        function("Uppercase", &[("text", text())], text()),
        function("SumList", &[("numbers", ints())], int()),
        function("Average", &[("numbers", ints())], Type::Float),
        function("SlowQuery", &[("query", text())], text()),
        function("Scale", &[("value", Type::Float), ("factor", Type::Float)], Type::Float),
        function("Describe", &[("user", Type::record([("name", text())]))], text()),
    ])
}

/// Runs on a thread whose stack has 256 KiB.
#[track_caller]
pub(crate) fn on_a_small_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(1 << 18).spawn_scoped(scope, run);
        thread.expect("a thread can be made").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(crate) fn compiled(source: &str) -> Compilation {
    compile(&tokenize(source), &library())
}

/// The graph of a program that must compile.
pub(crate) fn dag(source: &str) -> DagSpec {
    let compilation = compiled(source);
    let errors: Vec<String> = compilation.errors().map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{source}\n{errors:#?}");
    let dag = compilation.dag_spec.expect("a program without errors has a graph");
    dag.validate().unwrap_or_else(|error| panic!("{error}\n{source}\n{}", print(&dag)));
    assert_eq!(compilation.node_spans.len(), dag.nodes.len());
    dag
}

/// The errors of a program, as `LINE:COLUMN: CODE: message`.
pub(crate) fn errors(source: &str) -> Vec<String> {
    let compilation = compiled(source);
    let errors: Vec<String> = compilation.errors().map(ToString::to_string).collect();
    assert_eq!(compilation.dag_spec.is_none(), !errors.is_empty(), "{source}\n{errors:#?}");
    errors
}

pub(crate) fn warnings(source: &str) -> Vec<String> {
    let compilation = compiled(source);
    assert!(compilation.dag_spec.is_some(), "{source}\n{:#?}", compilation.diagnostics);
    compilation.warnings().map(|warning| warning.message.clone()).collect()
}

/// The type of an output, printed.
pub(crate) fn output_type(dag: &DagSpec, name: &str) -> String {
    let output = dag.outputs.iter().find(|output| output.name == name).expect("the output exists");
    let types = dag.validate().expect("the graph is well formed");
    types[dag.nodes[output.node.index()].ty.index()].to_string()
}

/// The type of output `x`.
pub(crate) fn type_of_x(source: &str) -> String {
    output_type(&dag(source), "x")
}

/// A graph as lines: its inputs, its nodes with operation, operands and type, its outputs.
pub(crate) fn print(dag: &DagSpec) -> String {
    let types = dag.validate().expect("the graph is well formed");
    let mut out = String::new();
    for (index, node) in dag.nodes.iter().enumerate() {
        let ty = &types[node.ty.index()];
        let label = node.label.as_deref().unwrap_or("-");
        let operation = print_operation(&node.operation);
        writeln!(out, "{index} {label}: {operation} -> {ty}").expect("a string takes all text");
    }
    for output in &dag.outputs {
        writeln!(out, "out {} = {}", output.name, output.node.0).expect("a string takes all text");
    }
    out
}

fn print_operation(operation: &NodeKind) -> String {
    let list =
        |nodes: &[NodeIndex]| nodes.iter().map(|node| node.0.to_string()).collect::<Vec<_>>().join(" ");
    let mut operands = Vec::new();
    operation.for_each_operand(|operand| operands.push(operand));
    let operands = list(&operands);
    let name = match operation {
        NodeKind::Input { name } => format!("input {name}"),
        NodeKind::Literal(literal) => format!("{literal:?}"),
        NodeKind::Call { module, .. } => format!("call {module}"),
        NodeKind::Arithmetic { operator, .. } => format!("{operator:?}"),
        NodeKind::Compare { operator, .. } => format!("{operator:?}"),
        NodeKind::Field { name, .. } => format!("field {name}"),
        NodeKind::Project { names, .. } => format!("project {}", names.join(",")),
        NodeKind::Interpolate { parts, .. } => format!("interpolate {parts:?}"),
        NodeKind::Lambda { body, .. } => {
            format!("lambda {}..{}/{}={}", body.start.0, body.end.0, body.parameters, body.result.0)
        }
        NodeKind::Match { cases, .. } => {
            let cases = cases.iter().map(|case| {
                let pattern = match &case.pattern {
                    Pattern::Fields(names) => names.join(","),
                    Pattern::Is(_) => "is".to_owned(),
                    Pattern::Any => "_".to_owned(),
                };
                let body = &case.body;
                format!("[{pattern} {}..{}={}]", body.start.0, body.end.0, body.result.0)
            });
            format!("match {}", cases.collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
    };
    format!("{name} {operands}").trim_end().to_owned()
}
