//! The comparison of graphs, from programs.

use constellation_lang::{FunctionTable, compile, tokenize};
use constellation_store_core::{
    ArithmeticOperator, DagSpec, Literal, NodeIndex, NodeKind, NodeSpec, OutputSpec, TypeIndex, TypeSpec,
};
use serde_json::{Value, json};

use super::diff;

fn dag(source: &str) -> DagSpec {
    let functions = FunctionTable::new(constellation_stdlib::registry().signatures().cloned());
    let compilation = compile(&tokenize(source), &functions);
    compilation.dag_spec.unwrap_or_else(|| panic!("{source}: {:?}", compilation.diagnostics))
}

fn compared(from: &str, to: &str) -> Value {
    let (from, to) = (dag(from), dag(to));
    let told = serde_json::to_value(diff(&from, &to).unwrap()).unwrap();
    assert_eq!(told, serde_json::to_value(diff(&from, &to).unwrap()).unwrap(), "it is deterministic");
    told
}

fn nothing() -> Value {
    json!({ "added": [], "removed": [], "changed": [] })
}

/// The parts of a comparison that tell of something.
fn told(compared: &Value) -> Vec<&str> {
    let parts = compared.as_object().unwrap().iter();
    parts.filter(|(_, part)| **part != nothing() && **part != json!([])).map(|(name, _)| &**name).collect()
}

#[test]
fn a_program_does_not_differ_from_itself_in_another_layout_or_order() {
    let one = "in a: Int\nin b: Int\nc = a + b\nd = a * 2\nout c\nout d";
    let other = "# the same\nin b: Int\nin a: Int\nd = a * 2\nc = a + b # sum\nout d\nout c";
    assert_eq!(told(&compared(one, one)), Vec::<&str>::new());
    assert_eq!(told(&compared(one, other)), Vec::<&str>::new());
    // What a lambda calls its parameters changes nothing.
    let lambda = |name: &str| {
        format!("use stdlib.collection\nin a: List<Int>\nb = filter(a, ({name}) => {name} > 2)\nout b")
    };
    assert_eq!(told(&compared(&lambda("x"), &lambda("element"))), Vec::<&str>::new());
}

#[test]
fn bodies_are_compared_with_the_places_of_their_parameters() {
    let source = |body: &str| {
        format!("use stdlib.collection\nin a: List<Int>\nb = reduce(a, 0, (left, right) => {body})\nout b")
    };
    let compared = compared(&source("left - right"), &source("right - left"));
    assert_eq!(told(&compared), ["nodes"]);
    let change = &compared["nodes"]["changed"][0];
    let [from, to] = ["from", "to"].map(|side| change[side]["expression"].as_str().unwrap());
    assert!(from.contains("($1.1, $1.2) => $1.1 - $1.2"), "{from}");
    assert!(to.contains("($1.1, $1.2) => $1.2 - $1.1"), "{to}");
    let cases = |result: u32| {
        format!("in a: {{ b: Int }} | String\nx = match a {{ {{b}} -> b + {result}, is String -> 0 }}\nout x")
    };
    let compared = self::compared(&cases(1), &cases(2));
    assert_eq!(
        compared["nodes"]["changed"][0]["to"]["expression"],
        "match a { { b } -> $1.1 + 2, is String -> 0 }"
    );
}

#[test]
fn inputs_are_told_with_what_a_caller_could_stumble_over() {
    let from = "in gone: Int\nin same: Int\nin other: Int\nin optional: Optional<Int>\nx = same\nout gone\nout other\nout x\ny = optional ?? 1\nout y";
    let to = "in same: Int\nin other: Float\nin added: Int\nin hint: Optional<Int>\nin optional: Int\nx = same\nout added\nout other\nout x\ny = optional\nout y\nz = hint ?? 0\nout z";
    let compared = compared(from, to);
    let names = |part: &str| -> Vec<&str> {
        compared["inputs"][part]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["name"].as_str().unwrap())
            .collect()
    };
    assert_eq!(names("added"), ["added", "hint"]);
    assert_eq!(names("removed"), ["gone"]);
    assert_eq!(names("changed"), ["optional", "other"]);
    assert_eq!(
        compared["inputs"]["changed"][1],
        json!({
            "name": "other",
            "from": { "type": "Int", "required": true, "default": null, "examples": [] },
            "to": { "type": "Float", "required": true, "default": null, "examples": [] }
        })
    );
    assert_eq!(
        compared["breaking"],
        json!([
            "Input 'gone' is gone: a caller that gives it is refused",
            "Input 'optional' was Optional<Int> and is Int",
            "Input 'optional' must be given: a run without it waits for it",
            "Input 'other' was Int and is Float",
            "Input 'added' is new and must be given: a run without it waits for it",
            "Output 'gone' is gone",
            "Output 'other' was Int and is Float"
        ])
    );
}

#[test]
fn an_example_that_changes_is_told_and_breaks_nothing() {
    let source = |example: u32| format!("@example({example})\nin a: Int\nout a");
    let compared = compared(&source(1), &source(2));
    assert_eq!(told(&compared), ["inputs"]);
    assert_eq!(compared["inputs"]["changed"][0]["from"]["examples"], json!(["1"]));
    assert_eq!(compared["inputs"]["changed"][0]["to"]["examples"], json!(["2"]));
}

#[test]
fn a_variable_that_changes_is_told_and_those_that_use_it_are_not() {
    let source = |limit: u32| {
        format!(
            "in a: Int\nsubtotal = a * 2\nshipping = if (subtotal > {limit}) 0 else 490\ntotal = subtotal + shipping\nout total"
        )
    };
    let compared = compared(&source(5000), &source(7000));
    assert_eq!(told(&compared), ["nodes"]);
    let expression = |limit: u32| format!("if (subtotal > {limit}) 0 else 490");
    assert_eq!(
        compared["nodes"],
        json!({
            "added": [],
            "removed": [],
            "changed": [{
                "name": "shipping",
                "from": { "type": "Int", "expression": expression(5000) },
                "to": { "type": "Int", "expression": expression(7000) }
            }]
        })
    );
}

#[test]
fn variables_outputs_and_modules_come_and_go() {
    let from = "in t: String\nloud = Uppercase(t)\nout loud";
    let to = "in t: String\nquiet = Lowercase(t)\nout quiet";
    let compared = compared(from, to);
    assert_eq!(told(&compared), ["breaking", "outputs", "modules", "nodes"]);
    let side = |name: &str, call: &str| json!([{ "name": name, "type": "String", "expression": call }]);
    assert_eq!(compared["nodes"]["added"], side("quiet", "Lowercase(t)"));
    assert_eq!(compared["nodes"]["removed"], side("loud", "Uppercase(t)"));
    assert_eq!(compared["outputs"]["added"], side("quiet", "Lowercase(t)"));
    let modules = |part: &str| {
        (compared["modules"][part][0]["name"].clone(), compared["modules"][part][0]["major"].clone())
    };
    assert_eq!(modules("added"), (json!("Lowercase"), json!(1)));
    assert_eq!(modules("removed"), (json!("Uppercase"), json!(1)));
}

#[test]
fn options_are_compared_one_by_one_wherever_the_call_stands() {
    let from = "in t: String\nloud = Uppercase(t) with retry: 3, timeout: 5s\n\
                length = Uppercase(Lowercase(t) with retry: 1)\nout loud\nout length";
    let to = "in t: String\nloud = Uppercase(t) with retry: 5, timeout: 5s, cache: 1min\n\
              length = Uppercase(Lowercase(t))\nout loud\nout length";
    let compared = compared(from, to);
    assert_eq!(told(&compared), ["options"]);
    let change = |node: &str, module: &str, option: &str, from: Value, to: Value| json!({ "node": node, "module": module, "option": option, "from": from, "to": to });
    assert_eq!(
        compared["options"],
        json!([
            change("length", "Lowercase", "retry", json!(1), Value::Null),
            change("loud", "Uppercase", "cacheMs", Value::Null, json!(60_000)),
            change("loud", "Uppercase", "retry", json!(3), json!(5)),
        ])
    );
}

#[test]
fn options_are_told_beside_other_arguments_and_fallbacks_by_what_they_are() {
    let from = "in t: String\nloud = Uppercase(t) with retry: 3, fallback: \"a\"\nout loud";
    let to = "in t: String\nloud = Uppercase(\"${t}!\") with retry: 3, fallback: \"b\"\nout loud";
    let compared = compared(from, to);
    assert_eq!(told(&compared), ["nodes", "options"]);
    assert_eq!(
        compared["options"],
        json!([{ "node": "loud", "module": "Uppercase", "option": "fallback", "from": "\"a\"", "to": "\"b\"" }])
    );
    let expression = &compared["nodes"]["changed"][0]["to"]["expression"];
    assert_eq!(expression, r#"Uppercase("${t}!") with retry: 3, fallback: "b""#);
}

/// A graph whose one output is the last of these nodes, all of type `Int`.
fn of_nodes(operations: impl IntoIterator<Item = NodeKind>) -> DagSpec {
    let ty = TypeIndex(0);
    let nodes: Vec<NodeSpec> =
        operations.into_iter().map(|operation| NodeSpec { label: None, ty, operation }).collect();
    let last = NodeIndex(u32::try_from(nodes.len()).unwrap() - 1);
    DagSpec {
        inputs: Vec::new(),
        outputs: vec![OutputSpec { name: "x".to_owned(), node: last }],
        types: vec![TypeSpec::Int],
        nodes,
        requires: Vec::new(),
    }
}

#[test]
fn graphs_that_share_without_names_are_compared_exactly_and_in_bounded_time() {
    let sum = |index: u32| NodeKind::Arithmetic {
        operator: ArithmeticOperator::Add,
        left: NodeIndex(index),
        right: NodeIndex(index),
    };
    let chain = |index: u32| NodeKind::Negate { operand: NodeIndex(index) };
    let first = |number| std::iter::once(NodeKind::Literal(Literal::Int(number)));
    // Each node uses the one before it twice: written out there would be more nodes than atoms.
    let doubling = |number| of_nodes(first(number).chain((0..20_000).map(sum)));
    let deep = |number| of_nodes(first(number).chain((0..20_000).map(chain)));
    for (one, other) in [(doubling(1), doubling(2)), (deep(1), deep(2))] {
        let compared = diff(&one, &other).unwrap();
        let [change] = &compared.outputs.changed[..] else { panic!("{compared:?}") };
        assert!(change.from.expression.len() < 600, "{compared:?}");
        assert_eq!(change.from.expression, change.to.expression, "the difference is too deep to be shown");
        assert!(diff(&one, &one).unwrap().outputs.changed.is_empty());
    }
}

#[test]
fn a_graph_that_is_not_well_formed_is_refused() {
    let mut broken = of_nodes([NodeKind::Literal(Literal::Int(1))]);
    broken.outputs[0].node = NodeIndex(7);
    let good = of_nodes([NodeKind::Literal(Literal::Int(1))]);
    assert!(diff(&broken, &good).is_err());
    assert!(diff(&good, &broken).is_err());
}
