//! One program has one graph: the order of numbers, types and lists.

use constellation_lang::{compile, tokenize};
use constellation_store_core::{DagSpec, canonical_json};
use proptest::prelude::*;

use crate::support::{compiled, dag, library, print};

fn canonical(dag: &DagSpec) -> String {
    let json = serde_json::to_value(dag).expect("a graph is plain data");
    String::from_utf8(canonical_json(&json)).expect("JSON is text")
}

const DECLARATIONS: [&str; 8] = [
    "@example(1)\nin a: Int",
    "@example({ id: 7, name: \"n\" })\nin user: { id: Int, name: String }",
    "p = a + 1",
    "q = filter([1, 2, a], (v) => v > a)",
    "r = match user { { id } -> id * a, _ -> 0 }",
    "s = \"${user.name} ${user.name}\"",
    "unused = a * 2",
    "type T = Int | String",
];

#[test]
fn nodes_are_in_post_order_from_the_outputs() {
    let text = print(&dag("in b: Int in a: Int y = a + b x = y * y unused = a out y out x"));
    assert_eq!(
        text,
        "\
0 a: input a -> Int
1 b: input b -> Int
2 y: Add 0 1 -> Int
3 x: Multiply 2 2 -> Int
out x = 3
out y = 2
"
    );
}

#[test]
fn equal_calls_are_not_merged_and_aliases_are() {
    let text = print(&dag("in s: String a = trim(s) b = trim(s) c = a out a out b out c"));
    assert_eq!(text.matches("call stdlib.string.trim").count(), 2, "{text}");
    assert!(text.contains("out a = 1\nout b = 2\nout c = 1\n"), "{text}");
}

#[test]
fn unreached_inputs_stay_and_unreached_nodes_go() {
    let dag = dag("in b: Int in a: List<Int> x = 1 y = a out x");
    assert_eq!(dag.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(dag.nodes.len(), 1);
    // The types of the inputs come first, parts before wholes.
    let types = dag.validate().expect("the graph is well formed");
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    assert_eq!(types, ["Int", "List<Int>"]);
}

#[test]
fn bodies_are_contiguous_and_follow_what_they_capture() {
    let source = "in l: List<Int> in k: Int x = map(l, (v) => list-sum(map(l, (w) => v * k + w))) out x";
    assert_eq!(
        print(&dag(source)),
        "\
0 l: input l -> List<Int>
1 x: Coerce 0 -> Seq<Int>
2 k: input k -> Int
3 x: Parameter -> Int
4 x: Coerce 0 -> Seq<Int>
5 x: Parameter -> Int
6 x: Multiply 3 2 -> Int
7 x: Add 6 5 -> Int
8 x: lambda 5..8/1=7 2 3 -> (Int) => Int
9 x: call stdlib.collection.map 4 8 -> Seq<Int>
10 x: call stdlib.list.list-sum 9 -> Int
11 x: lambda 3..11/1=10 0 2 -> (Int) => Int
12 x: call stdlib.collection.map 1 11 -> Seq<Int>
out x = 12
"
    );
}

#[test]
fn cases_follow_one_another_before_their_match() {
    let source = "in u: Int | String in k: Int x = match u { is Int -> u + k, is String -> k } out x";
    assert_eq!(
        print(&dag(source)),
        "\
0 u: input u -> Int | String
1 k: input k -> Int
2 x: Parameter -> Int
3 x: Add 2 1 -> Int
4 x: Parameter -> String
5 x: match [is 2..4=3] [is 4..5=1] 0 -> Int
out x = 5
"
    );
}

#[test]
fn a_fallback_comes_after_the_arguments() {
    let text = print(&dag("in s: String f = Uppercase(s) x = SlowQuery(trim(s)) with fallback: f out x"));
    let order: Vec<&str> = text.lines().map(|line| line.split(" -> ").next().unwrap()).collect();
    assert_eq!(
        order[..4],
        [
            "0 s: input s",
            "1 x: call stdlib.string.trim 0",
            "2 f: call Uppercase 0",
            "3 x: call SlowQuery 1 2"
        ]
    );
}

#[test]
fn equal_token_streams_give_equal_graphs_and_keys() {
    let one = tokenize("in a: Int x = a + 1 out x");
    let other = tokenize("# a comment\nin a:Int\nx = a+ 1\n\nout x # end");
    let functions = library();
    assert_eq!(one.syntactic_key(&functions), other.syntactic_key(&functions));
    assert_eq!(compile(&one, &functions).dag_spec, compile(&other, &functions).dag_spec);
}

#[test]
fn modules_that_are_called_are_required_once() {
    let dag = dag("in s: String x = trim(trim(Uppercase(s))) unused = SlowQuery(s) out x");
    let names: Vec<&str> = dag.requires.iter().map(|requirement| requirement.name.as_str()).collect();
    assert_eq!(names, ["Uppercase", "stdlib.string.trim"]);
}

proptest! {
    #[test]
    fn the_order_of_independent_declarations_changes_nothing(
        order in Just((0..DECLARATIONS.len()).collect::<Vec<_>>()).prop_shuffle(),
        outputs in Just(vec!["p", "q", "r", "s", "a"]).prop_shuffle(),
    ) {
        // Inputs stay above what uses them.
        let (inputs, others): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|index| *index < 2);
        let mut source: Vec<String> =
            inputs.into_iter().chain(others).map(|index| DECLARATIONS[index].to_owned()).collect();
        source.extend(outputs.iter().map(|name| format!("out {name}")));
        let shuffled = dag(&source.join("\n"));
        let straight = dag(&(DECLARATIONS.join("\n") + "\nout a out p out q out r out s"));
        prop_assert_eq!(canonical(&shuffled), canonical(&straight));
    }
}

#[test]
fn each_node_has_the_text_that_made_it() {
    let source = "in a: Int\nx = a + 1\ny = trim(\"b\")\nout x out y";
    let compilation = compiled(source);
    let dag = compilation.dag_spec.expect("it compiles");
    let texts: Vec<&str> = compilation.node_spans.iter().map(|span| &source[span.range()]).collect();
    assert_eq!(texts, ["a", "1", "a + 1", "\"b\"", "trim(\"b\")"]);
    assert_eq!(dag.nodes.len(), 5);
}
