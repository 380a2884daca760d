//! What expressions mean: types, conversions, generic functions, lambdas, matches, imports.

use constellation_lang::{Phase, compile, compile_in_phases, tokenize};

use crate::support::{dag, errors, library, print, type_of_x, warnings};

#[track_caller]
fn has_type(source: &str, expected: &str) {
    assert_eq!(type_of_x(source), expected, "{source}");
}

#[track_caller]
fn fails(source: &str, expected: &str) {
    let errors = errors(source);
    assert!(errors.len() == 1 && errors[0].contains(expected), "{source}\n{errors:#?}");
}

#[test]
fn phases_end_in_order_whatever_errors_there_are() {
    for source in ["x = 1 out x", "x = ) out x", "x = 1 + true out x", ""] {
        let mut ended = Vec::new();
        let (tokens, library) = (tokenize(source), library());
        let compilation = compile_in_phases(&tokens, &library, |phase| ended.push(phase));
        assert_eq!(ended, [Phase::Parsing, Phase::Checking, Phase::Lowering], "{source}");
        assert_eq!(compilation.dag_spec, compile(&tokens, &library).dag_spec, "{source}");
    }
}

#[test]
fn arithmetic_on_mixed_numbers_gives_a_float() {
    has_type("in i: Int in f: Float x = i * f out x", "Float");
    let text = print(&dag("in i: Int in f: Float x = i * f + 2 out x"));
    assert!(text.contains("1 x: Coerce 0 -> Float"), "{text}");
    assert!(text.contains("Float(2.0)"), "{text}");
    let text = print(&dag("in f: Float x = 2 * f out x"));
    assert_eq!(text.lines().count(), 4, "the literal itself becomes a float: {text}");
    has_type("in f: Float x = -f out x", "Float");
    has_type("in i: Int x = - -i - -3 out x", "Int");
    fails("in i: Int in f: Float x = i == f out x", "E010");
    fails("in b: Boolean x = b < b out x", "E013");
    fails("in b: Boolean x = -b out x", "E014");
}

#[test]
fn equality_works_on_every_type_without_functions() {
    has_type("in a: { p: List<Int> } in b: { p: List<Int> } x = a != b out x", "Boolean");
    has_type("in o: Optional<Int> x = o == o out x", "Boolean");
    has_type("in l: List<String> x = l == [] out x", "Boolean");
    has_type("in l: List<String> x = [] != l out x", "Boolean");
    fails("in l: List<{ p: Int }> x = l == [{ p: 1, q: 2 }] out x", "E010");
    has_type("in s: String x = s < \"b\" out x", "Boolean");
    fails("in a: { p: Int, q: Int } in b: { p: Int } x = a == b out x", "E010");
}

#[test]
fn expected_types_flow_into_literals_and_arms() {
    has_type("x = Scale(1, 2.5) out x", "Float");
    has_type("in b: Boolean x = Scale(if (b) 1 else 2, 3) out x", "Float");
    has_type("in b: Boolean x = SumList(if (b) [] else [1]) out x", "Int");
    has_type("in o: Optional<Float> x = o ?? 0 out x", "Float");
    has_type("in o: Optional<List<Int>> x = o ?? [] out x", "List<Int>");
    has_type("in o: Optional<{ l: List<Float> }> x = o ?? { l: [1] } out x", "{ l: List<Float> }");
    fails("x = Describe({ age: 3 }) out x", "Record literal is missing required field(s): name");
    let text = print(&dag("x = Describe({ age: 3, name: \"n\" }) out x"));
    assert_eq!(text.lines().count(), 4, "the field that the type does not have is left out: {text}");
}

#[test]
fn a_wider_record_loses_fields_by_a_coercion() {
    let text = print(&dag("in u: { id: Int, name: String } x = Describe(u) out x"));
    assert!(text.contains("1 x: Coerce 0 -> { name: String }"), "{text}");
}

#[test]
fn coalescing_chains_group_to_the_right() {
    let text = print(&dag("in o: Optional<Int> in p: Optional<Int> x = o ?? p ?? 1 out x"));
    assert!(text.contains("Coalesce 1 2 -> Int") && text.contains("Coalesce 0 3 -> Int"), "{text}");
    has_type("in o: Optional<Int> in p: Optional<Int> x = o ?? p out x", "Optional<Int>");
    has_type("in c: Boolean x = ([] when c) ?? [1] out x", "List<Int>");
    has_type("in o: Optional<Int> in p: Optional<Int> x = (o ?? p) ?? 1 out x", "Int");
    fails("in o: Optional<Int> x = 1 ?? o out x", "Left side of ?? must be Optional, got Int");
}

#[test]
fn generic_functions_take_any_element() {
    has_type("in l: List<{ n: Int }> x = list-length(l) out x", "Int");
    has_type("in l: List<{ n: Int }> x = list-first(l).n out x", "Int");
    has_type("in l: List<String> x = list-contains(l, \"a\") out x", "Boolean");
    has_type("in l: List<Float> x = list-contains(l, 1) out x", "Boolean");
    has_type("in l: List<Float> x = list-concat([], l) out x", "Seq<Float>");
    has_type("in l: List<Float> x = list-concat(l, [1, 2]) out x", "Seq<Float>");
    has_type("in l: List<{ n: Float }> x = list-concat(l, [{ n: 1 }]) out x", "Seq<{ n: Float }>");
    has_type("x = list-concat([], [1]) out x", "Seq<Int>");
    has_type("x = list-first([]) out x", "Nothing");
    fails("in l: List<Int> x = list-contains(l, \"a\") out x", "expected Int, got String");
    fails("in l: List<Int> in m: List<String> x = list-concat(l, m) out x", "expected Seq<Int>");
    fails("in l: Int x = list-length(l) out x", "E010");
}

#[test]
fn lambdas_have_any_body() {
    has_type(
        "in l: List<{ n: Int, s: String }> x = map(l, (r) => r[n] + { d: \"${r.s}!\" }) out x",
        "Seq<{ n: Int, d: String }>",
    );
    has_type("in l: List<Int> x = reduce(l, 0, (sum, v) => sum + v) out x", "Int");
    has_type("in l: List<Int> x = reduce(l, 0.0, (sum, v) => sum + v) out x", "Float");
    has_type(
        "in l: List<List<Int>> x = map(l, (r) => map(r, (v) => v > list-sum(r))) out x",
        "Seq<Seq<Boolean>>",
    );
    has_type("in l: List<Int> x = all(filter(l, (v) => v > 0), (v) => gt(v, 1)) out x", "Boolean");
    has_type("in l: List<Int> x = map(l, (v: Int) => if (v > 1) \"a\" else \"b\") out x", "Seq<String>");
    has_type("in l: List<Int> x = map(l, (x) => x) out x", "Seq<Int>");
    fails("in l: List<Int> x = filter(l, (a, b) => true) out x", "Lambda has 2 parameter(s) but expected 1");
    fails("in l: List<Int> x = filter(l, (v) => v + 1) out x", "expected Boolean, got Int");
    fails("in l: List<Int> x = filter(l, (v: String) => true) out x", "expected Int, got String");
    fails("in s: String x = trim((v) => v) out x", "E018");
    fails("in l: List<Int> x = map(l, (v) => w) out x", "Undefined variable: w");
}

#[test]
fn a_parameter_hides_a_variable_only_in_its_body() {
    let source = "in v: String in l: List<Int> y = map(l, (v) => v + 1) x = trim(v) out x out y";
    has_type(source, "String");
    fails("in l: List<Int> y = map(l, (v) => v + 1) x = v out x out y", "Undefined variable: v");
}

#[test]
fn a_match_narrows_and_binds() {
    has_type("in u: Int | String x = match u { is Int -> u + 1, is String -> 0 } out x", "Int");
    has_type("type A = { a: Int } in u: A | String x = match u { is A -> u.a, _ -> 0 } out x", "Int");
    has_type("in u: { a: Int } | { b: Int } x = match u { {a} -> a, {b} -> \"${b}\" } out x", "Int | String");
    has_type("in r: { a: Int } x = match r { {a} -> a } out x", "Int");
    has_type("in l: List<Int | String> x = map(l, (v) => match v { is Int -> v, _ -> 0 }) out x", "Seq<Int>");
    fails("in u: Int | String x = match u { is Float -> 1, _ -> 0 } out x", "Pattern is Float cannot match");
    fails("in u: Int | String x = match u { {a} -> 1, _ -> 0 } out x", "Pattern { a } cannot match");
    fails("in u: Int | String x = match u { is Nope -> 1, _ -> 0 } out x", "E003");
    fails("in u: Int | String x = u.a out x", "Field access requires a record type");
    has_type("in u: { a: Int } | { a: String } x = match u { {a} -> a } out x", "Int | String");
    has_type(
        "type N = Int | Float in u: Int | String | Float x = match u { is N -> u, is String -> 0 } out x",
        "Float | Int",
    );
}

#[test]
fn values_of_unions_are_tagged() {
    let text = print(&dag("in b: Boolean x = if (b) 1 else \"a\" out x"));
    assert_eq!(text.matches("Coerce").count(), 2, "{text}");
    let text = print(&dag("x = [1, \"a\", 2] out x"));
    assert!(text.contains("-> List<Int | String>") && text.matches("Coerce").count() == 3, "{text}");
}

#[test]
fn imports_decide_what_a_simple_name_means() {
    has_type("x = trim(\"a\") out x", "String");
    has_type("use stdlib.string x = trim(\"a\") out x", "String");
    has_type("use stdlib.string as s x = s.trim(\"a\") out x", "String");
    has_type("use stdlib.string as s x = Uppercase(\"a\") out x", "String");
    has_type("use stdlib.math x = stdlib.string.trim(\"a\") out x", "String");
    has_type("x = stdlib.bool.and(true, stdlib.bool.not(false)) out x", "Boolean");
    fails("use stdlib x = trim(\"a\") out x", "E002");
    fails("use stdlib.string as s x = s.nope(\"a\") out x", "Undefined function: s.nope");
    fails("x = stdlib.string.nope(\"a\") out x", "Undefined function: stdlib.string.nope");
    fails("use nope x = 1 out x", "E004");
    fails("use nope use stdlib.math x = trim(\"a\") out x", "E004");
}

#[test]
fn declarations_after_expressions_may_have_any_name() {
    let source = "in a: Int\nx = a\norder = 3\ny = trim(\"\")\nwithTax = 4\nuse stdlib.math\nassets = 5\n\
                  out order\nout withTax\nout assets\nout x\nout y";
    assert_eq!(dag(source).outputs.len(), 5);
    has_type("in a: Boolean\nin b: Boolean\nx = a\nor b\nout x", "Boolean");
    has_type("in a: { p: Int, q: Int }\nx = a\n[p]\nout x", "{ p: Int }");
    has_type("in a: Int\nx = a\n-3\nout x", "Int");
}

#[test]
fn what_no_output_needs_is_a_warning() {
    let of = |source: &str| warnings(source);
    assert_eq!(of("in a: Int in unused: Int x = a out x"), [""; 0]);
    assert_eq!(
        of("in a: Int b = a + 1 c = b + 1 out a"),
        ["No output depends on 'b', so it is left out of the pipeline", "'c' is never used"]
    );
    assert_eq!(of("x = 1 x = 2 out x"), ["'x' is never used"]);
    assert_eq!(of("in l: List<Int> k = 1 x = filter(l, (v) => v > k) out x"), [""; 0]);
}

#[test]
fn inputs_may_be_rebound_and_redeclared_alike() {
    let text = print(&dag("in a: Int a = a + 1 out a"));
    assert!(text.contains("out a = 2"), "{text}");
    assert_eq!(dag("in a: Int in a: Int out a").inputs.len(), 1);
    fails("in a: Int in a: String out a", "E030");
}

#[test]
fn examples_are_constants() {
    let dag = dag(
        "@example({ a: [1, 2], b: -3 })\n@example({ b: 1, a: [] })\nin r: { a: List<Float>, b: Int } out r",
    );
    assert_eq!(dag.inputs[0].examples.len(), 2);
    let kept = warnings("in n: Int @example(n + 1) in m: Int out m");
    assert_eq!(kept, ["The example is not made of literals only, so it is not kept"]);
    has_type(
        "@source(\"http\", path: \"/x\", type: nope) @example(\"a\") in x: String @sink(\"log\") out x",
        "String",
    );
}

#[test]
fn types_resolve() {
    has_type(
        "type A = { x: Int } type B = { y: String } in x: A + B | { z: Boolean } out x",
        "{ x: Int, y: String } | { z: Boolean }",
    );
    has_type("in x: Map<String, Candidates<Int>> out x", "Map<String, Seq<Int>>");
    fails("in x: List<Int, Int> out x", "Undefined type: List<...>");
    fails("in x: Foo<Int> out x", "Undefined type: Foo<...>");
    fails("in x: Int + String out x", "Cannot merge types: Int + String");
}
