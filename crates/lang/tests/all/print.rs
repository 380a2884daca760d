//! A printed tree reads back as the same tree, and is printed the same again.

use constellation_lang::syntax::SyntaxTree;
use constellation_lang::{parse, print, tokenize};
use proptest::prelude::*;

/// The tree of a text without errors, and what is printed for it; none when there are errors.
fn printed(source: &str) -> Option<String> {
    let tokens = tokenize(source);
    let (tree, diagnostics) = parse(&tokens);
    if !diagnostics.is_empty() {
        return None;
    }
    let printed = print(&tree).unwrap_or_else(|| panic!("a tree without errors is printed: {source}"));
    reads_back(&tree, &printed, source);
    Some(printed)
}

#[track_caller]
fn reads_back(tree: &SyntaxTree<'_>, printed: &str, source: &str) {
    let tokens = tokenize(printed);
    let (again, diagnostics) = parse(&tokens);
    assert!(diagnostics.is_empty(), "{source}\nprinted as\n{printed}\n{diagnostics:#?}");
    assert_eq!(again.without_spans(), tree.without_spans(), "{source}\nprinted as\n{printed}");
    assert_eq!(print(&again).as_deref(), Some(printed));
}

#[track_caller]
fn assert_printed(expression: &str, expected: &str) {
    let source = format!("x = {expression} out x");
    let printed = printed(&source).unwrap_or_else(|| panic!("{source} parses"));
    let printed = printed.strip_prefix("x = ").and_then(|rest| rest.strip_suffix("\nout x\n"));
    assert_eq!(printed, Some(expected), "{expression}");
}

#[test]
fn parentheses_stand_where_they_are_needed() {
    // Each is printed as it is written here.
    let exact = [
        "(a ?? b) ?? c",
        "a ?? b ?? c",
        "a - (b - c)",
        "(a + b) * c",
        "a + b * c",
        "not a == b",
        "(not a) == b",
        "a == not b == c",
        "a * (not b) + c",
        "a * not b and c",
        "not (a and b)",
        "(a when b) when c",
        "a when (b when c)",
        "(a < b) == (c < d)",
        "-a.b",
        "(-a).b",
        "-(5)",
        "-(5).a",
        "-(2.5)[a, b]",
        "--5",
        "-not a",
        "-(a + b)",
        "a - -5",
        "(a + b).c",
        "a.b[c].d",
        "(if (a) b else c) + 1",
        "1 + if (a) b else c",
        "(1 + if (a) b else c) * 2",
        "a * (if (a) b else c) + 1",
        "(if (a) b else c)[d]",
        "if (a) b else (if (c) d else e)",
        "if (a) b else if (c) d else e",
        "if (a) if (b) c else d else e",
        "-if (a) b else c",
        "match (a.b) { _ -> 1 }",
        "match (-a) { _ -> 1 }",
        "match -1 { _ -> 1 }",
        "match match a { _ -> 1 } { _ -> 2 }.b",
        "match (if (a) b else c) { { d, e } -> 1, is T -> f, _ -> 2 }",
        "branch { a -> b, otherwise- -> d, otherwise -> branch { otherwise -> c } }.e",
        "branch { otherwise- > 1 -> b, otherwise- > f({ x: a }) -> d, otherwise -> c }",
        "f((a) => (b: List<{ x: Int, y: {} }>) => a + b, () => 1)",
        "((a) => a) + 1",
        "f(a).b",
        "(f(a) with fallback: b) + 1",
        "f(a) with retry: 3 + 1",
        "1 + f(a) with fallback: b",
        "{ x: f(a) with retry: 1, y: 1 }",
        "{ x: (f(a) with retry: 1), cache: 1 }",
        "{ x: 1 + if (a) b else (f(a) with retry: 1), cache: 1 }",
        "[f(a) with retry: 1, cache]",
        "f(a) with fallback: (g(b) with retry: 1), cache: 5s",
        "f(a) with cache: 5s, fallback: g(b) with retry: 1",
        "f(a) with throttle: 10/1min, lazy, lazy: false, priority: 80, on_error: wrap, backoff: linear",
        "f(a) with window: sliding(1s, 2s), window: count(3), join: buffer(5ms), cache_backend: \"a\\n\"",
        "std.bool.and(a, b)",
        "[[], {}, [{ a: {} }]]",
        "\"a ${b} \\\" \\\\ \\n\\t\\r \\${ $ $${\"${c}\"}\"",
        "[1, -1, 0.0, -0.0, 100000000000000000000.0, 0.1, -9223372036854775808]",
    ];
    for text in exact {
        assert_printed(text, text);
    }
    let others = [
        ("((a)) + (b * c)", "a + b * c"),
        ("a ?? (b ?? c)", "a ?? b ?? c"),
        ("(a and (not b)) or c", "a and not b or c"),
        ("a[b,]{c, d}", "a[b][c, d]"),
        ("f(a,) with priority: high, lazy: true", "f(a) with priority: 80, lazy"),
        ("\"\u{e9}\n\"", "\"\u{e9}\\n\""),
        ("00.50", "0.5"),
    ];
    for (text, expected) in others {
        assert_printed(text, expected);
    }
}

#[test]
fn declarations_are_printed_a_line_each() {
    let source = "use a.b use a.type as t type T={a:A+B|C,}@example(1)@example({a:2}) in x:List<T>
        @source(\"http\", url: \"a\" + b) in y: Map<String, T> @sink(\"k\") out x";
    let expected = "use a.b\nuse a.type as t\ntype T = { a: A + B | C }\n@example(1)\n@example({ a: 2 })\n\
                    in x: List<T>\nin y: Map<String, T>\nout x\n";
    assert_eq!(printed(source).as_deref(), Some(expected));
}

#[test]
fn a_tree_with_errors_is_not_printed() {
    for source in ["x = f(1, +) out x", "in x: List<> out x", "x = 1 + out x", "wrong out x"] {
        let tokens = tokenize(source);
        assert_eq!(print(&parse(&tokens).0), None, "{source}");
    }
}

#[test]
fn long_and_deep_trees_need_little_stack() {
    let chains = [
        format!("x = a{}", " + a".repeat(200_000)),
        format!("x = a{}", ".a".repeat(200_000)),
        format!("x = a{}", " ?? a".repeat(200_000)),
        format!("x = {}a", "not ".repeat(200_000)),
        format!("x = {}a", "-".repeat(200_000)),
        format!("x = {}1", "if (a) 1 else ".repeat(70_000)),
        format!("x = {}a{}", "(".repeat(256), ")".repeat(256)),
        format!("x = {}a{}", "f((v) => ".repeat(127), ")".repeat(127)),
        format!("x = {}a{}", "\"${".repeat(256), "}\"".repeat(256)),
    ];
    for source in chains {
        let source = format!("{source}\nout x");
        let tokens = tokenize(&source);
        let (tree, diagnostics) = parse(&tokens);
        assert!(diagnostics.is_empty(), "{}", &source[..20]);
        let printed = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(1 << 16);
            thread.spawn_scoped(scope, || print(&tree)).unwrap().join().unwrap()
        });
        reads_back(&tree, &printed.expect("there is no error in it"), &source[..20]);
    }
}

/// Expressions of every kind, in parentheses or not, without regard to types.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "b-c",
        "otherwise-",
        "1",
        "-2",
        "2.5",
        "-0.0",
        "true",
        "\"s\"",
        "[]",
        "{}",
        "f()",
        "a.b",
        "n.f()",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(6, 40, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">=", "and", "or", "when", "??",
        ]);
        let option = prop::sample::select(vec!["retry: 1", "lazy", "cache: 5s", "throttle: 1/1s"]);
        let e = || inner.clone();
        prop_oneof![
            2 => e().prop_map(|a| format!("({a})")),
            4 => (e(), operator, e()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
            1 => e().prop_map(|a| format!("not {a}")),
            1 => e().prop_map(|a| format!("- {a}")),
            1 => e().prop_map(|a| format!("{a}.f")),
            1 => e().prop_map(|a| format!("{a}[f, g]")),
            1 => (e(), e()).prop_map(|(a, b)| format!("\"a${{{a}}}$${{{b}}}\\$\"")),
            1 => (e(), e()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            1 => (e(), e()).prop_map(|(a, b)| format!("{{ x: {a}, cache: {b} }}")),
            1 => (e(), e()).prop_map(|(a, b)| format!("f({a}, {b})")),
            1 => (e(), option.clone()).prop_map(|(a, option)| format!("f({a}) with {option}")),
            1 => (e(), option, e()).prop_map(|(a, o, b)| format!("f({a}) with {o}, fallback: {b}")),
            1 => (e(), e()).prop_map(|(a, b)| format!("f({a}) with fallback: {b}, retry: 2")),
            2 => (e(), e(), e()).prop_map(|(a, b, c)| format!("if ({a}) {b} else {c}")),
            1 => (e(), e(), e()).prop_map(|(a, b, c)| format!("branch {{ {a} -> {b}, otherwise -> {c} }}")),
            1 => (e(), e()).prop_map(|(a, b)| format!("match {a} {{ {{ x }} -> {b}, is T -> 1, _ -> {b} }}")),
            1 => (e(), e()).prop_map(|(a, b)| format!("f((v) => {a}, (v: T, w) => {b})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_parses_is_printed_as_the_same_tree(expression in expression()) {
        // Not all of them parse: a chain of comparisons does not, and a lambda may stand where none can.
        printed(&format!("x = {expression}\nout x"));
    }
}
