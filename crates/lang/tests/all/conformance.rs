//! The conformance table of the language, one case after another.

use crate::support::{dag, errors, output_type, print, type_of_x, warnings};

/// The first error must start with this text.
#[track_caller]
fn fails(source: &str, expected: &str) {
    let errors = errors(source);
    assert!(errors.first().is_some_and(|error| error.starts_with(expected)), "{source}\n{errors:#?}");
    assert_eq!(errors.len(), 1, "{errors:#?}");
}

#[test]
fn pass_through_and_missing_output() {
    assert_eq!(print(&dag("in n: Int out n")), "0 n: input n -> Int\nout n = 0\n");
    fails("in n: Int", "1:10: E020: Parse error: the pipeline has no output");
    fails("out n\nin n: Int", "1:5: E001: Undefined variable: n");
}

#[test]
fn names_have_hyphens_and_literals_have_signs() {
    let text = print(&dag("in a-b: Int\nc = a-b - 1\nout c"));
    assert_eq!(text, "0 a-b: input a-b -> Int\n1 c: Int(1) -> Int\n2 c: Subtract 0 1 -> Int\nout c = 2\n");
    let text = print(&dag("x = 7 / 2 * 2\nout x"));
    assert!(text.contains("2 x: Divide 0 1 -> Int") && text.contains("4 x: Multiply 2 3 -> Int"), "{text}");
    let text = print(&dag("x = -7 / 2\nout x"));
    assert!(text.contains("0 x: Int(-7) -> Int") && text.contains("Divide 0 1"), "{text}");
}

#[test]
fn trailing_commas_are_fine() {
    assert_eq!(type_of_x("x = [1, 2,]\nout x"), "List<Int>");
    assert_eq!(type_of_x("x = { a: 1, b: [], }\nout x"), "{ a: Int, b: List<Nothing> }");
    assert_eq!(type_of_x("in b: Boolean x = branch { b -> 1, otherwise -> 2, } out x"), "Int");
    assert_eq!(type_of_x("in y: { a: Int, } x = stdlib.math.add(y.a, 1,) out x"), "Int");
}

#[test]
fn guards_and_coalescing_bind_as_the_table_says() {
    assert_eq!(type_of_x("in o: Optional<Int>\nx = o ?? 1 + 2\nout x"), "Int");
    let text = print(&dag("in o: Optional<Int>\nx = o ?? 1 + 2\nout x"));
    assert!(text.contains("Add 1 2") && text.contains("4 x: Coalesce 0 3 -> Int"), "{text}");
    assert_eq!(type_of_x("in i: Int\nx = i when i > 3 and not (i == 7) ?? 0\nout x"), "Int");
    assert_eq!(type_of_x("in i: Int\nx = i when i > 3\nout x"), "Optional<Int>");
    fails("in i: Int\nx = i ?? 0\nout x", "2:5: E015: Left side of ?? must be Optional, got Int");
    fails(
        "in o: Optional<Int>\nx = o ?? \"none\"\nout x",
        "2:10: E010: Type mismatch: expected Int, got String",
    );
}

#[test]
fn floats_compare_and_strings_do_not_add() {
    assert_eq!(type_of_x("in f: Float\nx = f > 1.0\nout x"), "Boolean");
    assert_eq!(type_of_x("in f: Float\nx = f > 1\nout x"), "Boolean");
    fails(
        "in s: String\nx = s + \"!\"\nout x",
        "2:5: E014: Arithmetic operator '+' is not supported for types String and String",
    );
}

#[test]
fn records_merge_project_and_give_fields() {
    let source = "in a: { x: Int, y: Int }\nin b: { y: String }\nx = a + b\nout x";
    assert_eq!(type_of_x(source), "{ x: Int, y: String }");
    let two = dag("in l: List<{ x: Int }>\nv = l.x\np = l[x]\nout v\nout p");
    assert_eq!(output_type(&two, "v"), "List<Int>");
    assert_eq!(output_type(&two, "p"), "List<{ x: Int }>");
    fails(
        "in l: List<{ x: Int }>\nin c: Candidates<{ y: Int }>\nm = l + c\nout m",
        "3:5: E012: Cannot merge types: List<{ x: Int }> + Seq<{ y: Int }>",
    );
    assert_eq!(type_of_x("in r: { tag: { name: String } }\nx = r.tag.name\nout x"), "String");
}

#[test]
fn a_list_is_a_seq_and_not_the_other_way_round() {
    fails(
        "in c: Candidates<Int>\nt = SumList(c)\nout t",
        "2:13: E010: Type mismatch: expected List<Int>, got Seq<Int>",
    );
    assert_eq!(type_of_x("in l: List<Int>\nx = list-sum(l)\nout x"), "Int");
}

#[test]
fn lambdas_see_what_is_around_them() {
    assert_eq!(type_of_x("in l: List<Int>\nin k: Int\nx = filter(l, (v) => v > k)\nout x"), "Seq<Int>");
    assert_eq!(type_of_x("in l: List<Int>\nx = map(l, (v) => max(v, 0))\nout x"), "Seq<Int>");
    fails("x = (v: Int) => v\nout x", "1:5: E018: Lambda expression cannot be used in this context.");
}

#[test]
fn operators_do_not_depend_on_imports() {
    assert_eq!(type_of_x("use stdlib.string as s\nin n: Int\nx = n + 1\nout x"), "Int");
    assert_eq!(type_of_x("use stdlib.math\nuse stdlib.compare\nin n: Int\nx = n != 1\nout x"), "Boolean");
    fails(
        "use stdlib.string as s\nin n: Int\nx = add(n, 1)\nout x",
        "3:5: E002: Undefined function: add (did you mean to import stdlib.math.add?)",
    );
    fails("x = nope.deep.f(1)\nout x", "1:5: E004: Undefined namespace: nope.deep");
}

#[test]
fn a_match_covers_every_member() {
    let union = "type R = { ok: Int } | { err: String }\nin r: R\n";
    fails(
        &format!("{union}x = match r {{ {{ ok }} -> ok }}\nout x"),
        "3:5: E015: Non-exhaustive match on type { err: String } | { ok: Int }. \
         Missing patterns for: { err: String }",
    );
    assert_eq!(
        type_of_x(&format!("{union}x = match r {{ {{ ok }} -> \"n=${{ok}}\", {{ err }} -> err }}\nout x")),
        "String"
    );
    assert_eq!(type_of_x("in u: String | Int\nx = match u { is Int -> \"i\", _ -> \"s\" }\nout x"), "String");
}

#[test]
fn arguments_are_checked() {
    fails("in x: Int\ny = Uppercase(x)\nout y", "2:15: E010: Type mismatch: expected String, got Int");
    fails(
        "in x: String\ny = Uppercase(x, x)\nout y",
        "2:5: E015: Function Uppercase expects 1 argument(s), got 2",
    );
}

#[test]
fn an_integer_literal_stands_for_a_float() {
    let dag = dag("@example(5)\nin x: Float\nout x");
    assert_eq!(dag.inputs[0].examples.len(), 1);
    assert!(print(&dag).contains("1 -: Float(5.0) -> Float"), "{}", print(&dag));
    fails("@example(\"5\")\nin x: Float\nout x", "1:10: E010: Type mismatch: expected Float, got String");
}

#[test]
fn an_example_of_an_optional_is_the_value_itself() {
    for source in [
        "@example(5)\nin x: Optional<Int>\nout x",
        "@example(5 when true)\nin x: Optional<Int>\nout x",
        "@example({ id: 1, note: \"n\" })\nin x: { id: Int, note: Optional<String> }\nout x",
        "@example([1, 2])\nin x: List<Optional<Int>>\nout x",
    ] {
        assert_eq!(dag(source).inputs[0].examples.len(), 1, "{source}");
        assert_eq!(warnings(source), Vec::<String>::new(), "{source}");
    }
    fails(
        "@example(\"5\")\nin x: Optional<Int>\nout x",
        "1:10: E010: Type mismatch: expected Int, got String",
    );
    fails(
        "in x: Int\ny = to-string(x)\nz = y ?? 5\nout z",
        "3:5: E015: Left side of ?? must be Optional, got String",
    );
}

#[test]
fn options_are_checked() {
    fails(
        "in q: String\nr = SlowQuery(q) with timeout: 0s\nout r",
        "2:32: E016: Invalid value for 'timeout': 0s (must be > 0)",
    );
    fails(
        "in q: String\nr = SlowQuery(q) with fallback: 3\nout r",
        "2:33: E017: Fallback type mismatch: module returns String but fallback is Int",
    );
    assert_eq!(
        warnings("in q: String\nr = SlowQuery(q) with delay: 1s, backoff: linear\nout r"),
        ["'delay' without 'retry' has no effect", "'backoff' without 'retry' has no effect"]
    );
    assert_eq!(type_of_x("x = SlowQuery(\"q\") with on_error: fail\nout x"), "String");
}

#[test]
fn an_output_takes_the_final_binding() {
    let text = print(&dag("x = 1\nout x\nx = \"late\""));
    assert_eq!(text, "0 x: String(\"late\") -> String\nout x = 0\n");
}

#[test]
fn arms_take_the_higher_type() {
    let source = "in b: Boolean\nx = if (b) { p: 1, q: 2 } else { p: 3 }\nout x";
    assert_eq!(type_of_x(source), "{ p: Int }");
    assert!(print(&dag(source)).contains("Coerce 3 -> { p: Int }"), "{}", print(&dag(source)));
    assert_eq!(
        type_of_x("in a: String\nin b: Boolean\nx = branch { a == \"k\" and b -> 1, otherwise -> 2 }\nout x"),
        "Int"
    );
    let source = "in flag: Boolean x = branch { flag -> 42, otherwise -> \"hello\" } out x";
    assert_eq!(type_of_x(source), "Int | String");
}

#[test]
fn strings_interpolate() {
    let text = print(&dag("x = \"a\\n${1 + 1}\\${}\"\nout x"));
    assert!(text.contains(r#"3 x: interpolate ["a\n", "${}"] 2 -> String"#), "{text}");
    let text = print(&dag("in n: Int f = 1 x = \"$$ \\\\ ${ n }${f}\" out x"));
    assert!(text.contains(r#"interpolate ["$$ \\ ", "", ""] 0 1"#), "{text}");
}
