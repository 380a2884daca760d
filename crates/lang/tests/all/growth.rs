//! Work grows with the size of a program and no faster, whatever its shape.
//!
//! What is counted is allocations and their bytes, which are the same on every machine: time is not measured.

use std::fmt::Write as _;

use allocation_counter::{AllocationInfo, measure};
use constellation_lang::Code;

use crate::support::{compiled, on_a_small_stack};

/// How much more work twice the program may be.
const MAX_GROWTH: f64 = 2.2;

/// How a program of a shape ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Compiles,
    /// With errors, of which the first has this code.
    Fails(Code),
}

use End::{Compiles, Fails};

/// A family of programs: of n parts, and how they end.
type Shape = (&'static str, fn(usize) -> String, End);

/// `start`, each part with its number in the place of `#`, and `end`.
fn parts(n: usize, start: &str, part: &str, end: &str) -> String {
    let mut source = start.to_owned();
    for index in 1..=n {
        let previous = index - 1;
        source.push_str(&part.replace("#-1", &previous.to_string()).replace('#', &index.to_string()));
    }
    source + end
}

const DECLARATIONS: &[Shape] = &[
    ("assignments", |n| parts(n, "x0 = 1 ", "x# = x#-1 + 1\n", &format!("out x{n}")), Compiles),
    ("unused assignments", |n| parts(n, "", "x# = 1\n", "y = 1 out y"), Compiles),
    ("aliases of a value", |n| parts(n, "x0 = 1 ", "x# = x#-1\n", &format!("out x{n}")), Compiles),
    ("shadowing", |n| parts(n, "x = 1 ", "x = x * 2\n", "out x"), Compiles),
    ("inputs", |n| parts(n, "", "in i#: Int\n", "out i1"), Compiles),
    ("one input again and again", |n| parts(n, "", "in i: { a: Int }\n", "out i"), Compiles),
    (
        "an input of two types",
        |n| parts(n, "in i: Int ", "in i: String\n", "out i"),
        Fails(Code::DuplicateDefinition),
    ),
    ("examples", |n| parts(n, "", "@example({ a: # })\n", "in i: { a: Int } out i"), Compiles),
    ("connectors", |n| parts(n, "", "@source(\"k\", a: #)\n", "in i: Int out i"), Compiles),
    ("outputs", |n| parts(n, "in i: Int ", "x# = i out x#\n", ""), Compiles),
    ("one output again and again", |n| parts(n, "in i: Int ", "out i\n", ""), Compiles),
    ("types", |n| parts(n, "", "type T# = { f#: Int }\n", "in i: T1 out i"), Compiles),
    ("types by name", |n| parts(n, "type T0 = Int ", "type T# = T#-1\n", "in i: T1 out i"), Compiles),
    ("imports", |n| parts(n, "", "use stdlib.math\n", "x = max(1, 2) out x"), Compiles),
    ("import aliases", |n| parts(n, "", "use stdlib.math as m#\n", "x = m1.max(1, 2) out x"), Compiles),
    ("comments", |n| "\u{23} a\n".repeat(n) + "x = 1 out x", Compiles),
    (
        "doubled text",
        |n| parts(n, "s0 = \"a\" ", "s# = \"${s#-1}${s#-1}\"\n", &format!("out s{n}")),
        Compiles,
    ),
    (
        "fallbacks on fallbacks",
        |n| parts(n, "f0 = \"a\" ", "f# = Uppercase(f#-1) with fallback: f#-1\n", &format!("out f{n}")),
        Compiles,
    ),
];

const EXPRESSIONS: &[Shape] = &[
    ("a long name", |n| format!("{0} = 1 out {0}", "a".repeat(20 * n)), Compiles),
    ("a long string", |n| format!("x = \"{}\" out x", "a\\n\u{e9}".repeat(20 * n)), Compiles),
    ("a long number", |n| format!("x = {} out x", "1".repeat(20 * n)), Fails(Code::Syntax)),
    ("a long float", |n| format!("x = 0.{} out x", "1".repeat(20 * n)), Compiles),
    ("a sum", |n| parts(n, "x = 1", " + #", " out x"), Compiles),
    ("a product of floats", |n| parts(n, "x = 1.5", " * #", " out x"), Compiles),
    ("a conjunction", |n| parts(n, "in b: Boolean x = b", " and b", " out x"), Compiles),
    ("a disjunction of comparisons", |n| parts(n, "in i: Int x = i == 0", " or i == #", " out x"), Compiles),
    ("negations", |n| parts(n, "in b: Boolean x = ", "not ", "b out x"), Compiles),
    ("signs", |n| parts(n, "in i: Int x = ", "- ", "i out x"), Compiles),
    ("defaults", |n| parts(n, "in o: Optional<Int> x = o", " ?? o", " out x"), Compiles),
    ("guards", |n| parts(n, "in b: Boolean x = [0 when b", ", # when b", "] out x"), Compiles),
    ("else if", |n| parts(n, "in b: Boolean x = ", "if (b) # else ", "0 out x"), Compiles),
    (
        "arms of two types",
        |n| parts(n, "in b: Boolean x = ", "if (b) # else if (b) \"#\" else ", "0 out x"),
        Compiles,
    ),
    ("branches", |n| parts(n, "in b: Boolean x = branch { ", "b -> #, ", "otherwise -> 0 } out x"), Compiles),
    ("cases", |n| parts(n, "in u: Int | String x = match u { ", "is Int -> #, ", "_ -> 0 } out x"), Compiles),
    (
        "matches of matches",
        |n| {
            parts(
                n,
                "in u0: Int | String ",
                "u# = match u#-1 { is Int -> \"a\", is String -> # }\n",
                &format!("out u{n}"),
            )
        },
        Compiles,
    ),
    ("a list", |n| parts(n, "x = [0", ", #", "] out x"), Compiles),
    ("a list of lists", |n| parts(n, "x = [[0]", ", [#]", "] out x"), Compiles),
    ("a list of records", |n| parts(n, "x = [{ a: 0 }", ", { a: # }", "] out x"), Compiles),
    ("a list of two types", |n| parts(n, "x = [0", ", #, \"#\"", "] out x"), Compiles),
    ("a record", |n| parts(n, "x = { f0: 0", ", f#: #", " } out x"), Compiles),
    ("one field again and again", |n| parts(n, "x = { f: 0", ", f: #", " } out x"), Compiles),
    ("merges", |n| parts(n, "x = { a: 0 }", " + { a: # }", " out x"), Compiles),
    (
        "merges of itself",
        |n| parts(n, "r0 = { a: 0 } ", "r# = r#-1 + r#-1\n", &format!("out r{n}")),
        Compiles,
    ),
    ("accesses", |n| parts(n, "in r: { a: Int } x = [r.a", ", r.a", "] out x"), Compiles),
    ("accesses of elements", |n| parts(n, "in r: List<{ a: Int }> x = [r.a", ", r.a", "] out x"), Compiles),
    ("projections", |n| parts(n, "in r: { a: Int } x = r", "[a]", " out x"), Compiles),
    ("a wide projection", |n| parts(n, "in r: { a: Int } x = r[a", ", a", "] out x"), Compiles),
    ("interpolations", |n| parts(n, "in i: Int x = \"", "a${i}", "\" out x"), Compiles),
    ("calls", |n| parts(n, "x = [trim(\"a\")", ", trim(\"#\")", "] out x"), Compiles),
    ("generic calls", |n| parts(n, "x = [list-first([0])", ", list-first([#])", "] out x"), Compiles),
    ("arguments", |n| parts(n, "x = trim(0", ", #", ") out x"), Fails(Code::TypeError)),
    ("options", |n| parts(n, "x = trim(\"a\") with retry: 1", ", retry: #", " out x"), Compiles),
    (
        "lambdas",
        |n| parts(n, "in l: List<Int> x = [map(l, (v) => v)", ", map(l, (v) => v + #)", "] out x"),
        Compiles,
    ),
    (
        "lambdas that capture",
        |n| {
            parts(
                n,
                "in l: List<Int> x0 = 1 ",
                "x# = list-sum(map(l, (v) => v + x#-1))\n",
                &format!("out x{n}"),
            )
        },
        Compiles,
    ),
    (
        "captures of one lambda",
        |n| {
            parts(n, &parts(n, "in l: List<Int> ", "in i#: Int\n", "x = map(l, (v) => v"), " + i#", ") out x")
        },
        Compiles,
    ),
];

const TYPES: &[Shape] = &[
    ("a record type", |n| parts(n, "in i: { f0: Int", ", f#: Int", " } out i"), Compiles),
    ("a union of one type", |n| parts(n, "in i: Int", " | String | Int", " out i"), Compiles),
    ("a merge of types", |n| parts(n, "in i: { a: Int }", " + { a: Int }", " out i"), Compiles),
    (
        "one record type in many places",
        |n| parts(n, "type T = { a: { b: Int } } ", "in i#: List<T>\n", "out i1"),
        Compiles,
    ),
    ("equal record types", |n| parts(n, "", "in i#: { a: { b: Int } }\n", "out i1"), Compiles),
];

const ERRORS: &[Shape] = &[
    ("undefined variables", |n| parts(n, "", "x# = y#\n", "out x1"), Fails(Code::UndefinedVariable)),
    (
        "undefined functions",
        |n| parts(n, "", "x# = trimm(\"a\")\n", "out x1"),
        Fails(Code::UndefinedFunction),
    ),
    ("undefined types", |n| parts(n, "", "in i#: Strin\n", "out i1"), Fails(Code::UndefinedType)),
    ("mismatches", |n| parts(n, "", "x# = trim(#)\n", "out x1"), Fails(Code::TypeMismatch)),
    ("unknown characters", |n| parts(n, "x = 1", " ; %", " out x"), Fails(Code::Syntax)),
    ("opening brackets", |n| parts(n, "x = ", "([{ a: ", " out x"), Fails(Code::LimitExceeded)),
    ("closing brackets", |n| parts(n, "x = 1", "]})", " out x"), Fails(Code::Syntax)),
    ("strings without end", |n| parts(n, "x = 1", "\"${", " out x"), Fails(Code::Syntax)),
    ("broken declarations", |n| parts(n, "", "x# = + in : = out\n", "out x"), Fails(Code::Syntax)),
    ("a list with errors", |n| parts(n, "x = [0", ", + #", "] out x"), Fails(Code::Syntax)),
];

/// Shapes whose types together are larger than the program. Past a bound they are given up, so that from there on
/// work does not grow faster than the text.
const BOUNDED: &[Shape] = &[
    (
        "a record that grows",
        |n| parts(n, "x = { f0: 1 } ", "x = x + { f#: 1 }\n", "out x"),
        Fails(Code::LimitExceeded),
    ),
    (
        "a doubling type",
        |n| parts(n, "type T0 = { a: Int } ", "type T# = { x: T#-1, y: T#-1 }\n", "in i: Int out i"),
        Fails(Code::LimitExceeded),
    ),
    (
        "a doubling value",
        |n| parts(n, "in b: Boolean v0 = 1 ", "v# = { x: v#-1, y: if (b) [v#-1] else [] }\n", "out v1"),
        Fails(Code::LimitExceeded),
    ),
    (
        "a doubling union",
        |n| parts(n, "type T0 = Int ", "type T# = { a#: T#-1 } | { b#: T#-1 } | T#-1\n", "in i: Int out i"),
        Fails(Code::LimitExceeded),
    ),
    ("a union of records", |n| parts(n, "in i: Int", " | { f#: Int }", " out i"), Fails(Code::LimitExceeded)),
    (
        "a list of records of many kinds",
        |n| parts(n, "x = [0", ", { f#: 1 }", "] out x"),
        Fails(Code::LimitExceeded),
    ),
];

/// What compiling a program of `n` parts allocates, in bytes and in number.
fn work(shape: &Shape, n: usize) -> Result<AllocationInfo, String> {
    let (name, make, end) = shape;
    let source = make(n);
    let mut found = Compiles;
    let info = measure(|| {
        let compilation = compiled(&source);
        if let Some(error) = compilation.errors().next() {
            found = Fails(error.code);
        }
    });
    if found == *end { Ok(info) } else { Err(format!("{name} of {n} ends as {found:?}, not as {end:?}")) }
}

fn check(shapes: &'static [Shape], n: usize) {
    on_a_small_stack(move || {
        let mut failures = String::new();
        for shape in shapes {
            let sizes = [n, 2 * n, 4 * n];
            let counted: Result<Vec<AllocationInfo>, String> =
                sizes.iter().map(|n| work(shape, *n)).collect();
            let counted = match counted {
                Ok(counted) => counted,
                Err(failure) => {
                    writeln!(failures, "{failure}").expect("a string takes all text");
                    continue;
                }
            };
            for (what, count) in [
                ("bytes", (|info| info.bytes_total) as fn(&AllocationInfo) -> u64),
                ("allocations", |info| info.count_total),
                ("bytes at once", |info| info.bytes_max),
            ] {
                let counts: Vec<u64> = counted.iter().map(count).collect();
                #[expect(clippy::cast_precision_loss, reason = "a ratio need not be exact")]
                let grows = |pair: &[u64]| pair[1] as f64 / (pair[0] as f64).max(1.0) > MAX_GROWTH;
                if counts.windows(2).any(grows) {
                    writeln!(failures, "{}: {counts:?} {what}", shape.0).expect("a string takes all text");
                }
            }
        }
        assert!(failures.is_empty(), "for programs of {n}, {} and {} parts:\n{failures}", 2 * n, 4 * n);
    });
}

/// A shape whose types are larger than the program, below the bound.
const GROWING: &[Shape] =
    &[("a record that grows", |n| parts(n, "x = { f0: 1 } ", "x = x + { f#: 1 }\n", "out x"), Compiles)];

#[test]
fn more_work_than_in_proportion_is_found() {
    let found = std::panic::catch_unwind(|| check(GROWING, 200)).expect_err("the types grow with the square");
    assert!(found.downcast_ref::<String>().unwrap().contains("a record that grows: ["), "{found:?}");
}

#[test]
fn declarations_take_work_in_proportion_to_their_number() {
    check(DECLARATIONS, 1_000);
}

#[test]
fn expressions_take_work_in_proportion_to_their_size() {
    check(EXPRESSIONS, 1_000);
}

#[test]
fn types_take_work_in_proportion_to_their_size() {
    check(TYPES, 1_000);
}

#[test]
fn errors_take_work_in_proportion_to_their_number() {
    check(ERRORS, 1_000);
}

#[test]
fn types_that_outgrow_their_program_take_bounded_work() {
    check(BOUNDED, 4_000);
}
