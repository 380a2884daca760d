//! Whatever the shape of a program, compiling it is fast and needs little stack.

use std::fmt::Write;
use std::time::{Duration, Instant};

use constellation_lang::{Code, MAX_DIAGNOSTICS};

use crate::support::{compiled, dag, errors, on_a_small_stack};

/// Compiles on a stack of 256 KiB, and within a time that only more than linear work exceeds.
#[track_caller]
fn compiles_fast(source: &str) -> Vec<Code> {
    let start = Instant::now();
    let compilation = on_a_small_stack(|| compiled(source));
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_mins(1), "{elapsed:?} for {} bytes", source.len());
    compilation.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

const DEEP: usize = 100_000;

#[test]
fn deep_nesting_of_every_bracket_is_a_diagnostic() {
    let nests: [(&str, &str, &str); 20] = [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{a:", "1", "}"),
        ("f(", "1", ")"),
        ("a.f(", "1", ")"),
        ("if(", "1", ")1 else 1"),
        ("if(b)", "1", " else 1"),
        ("branch{", "1", "->1,otherwise ->1}"),
        ("branch{otherwise ->", "1", "}"),
        ("match(", "1", "){_->1}"),
        ("match b{_->", "1", "}"),
        ("(v)=>", "1", ""),
        ("f((v)=>", "1", ")"),
        ("f(1)with fallback:", "1", ""),
        ("\"${", "1", "}\""),
        ("f(\"${", "1", "}\")"),
        ("b[a,(", "1", ")]"),
        ("match match ", "b", " {_->1}"),
        ("b==(b and (b or b+(b*", "1", "))))"),
        ("[{a:(", "1", ")}]"),
    ];
    for (open, middle, close) in nests {
        let count = DEEP.min((1 << 20) / (open.len() + close.len() + 1) - 100);
        let source = format!("in b: Boolean x = {}{middle}{} out x", open.repeat(count), close.repeat(count));
        let codes = compiles_fast(&source);
        assert!(codes.contains(&Code::LimitExceeded) || codes.contains(&Code::Syntax), "{open}: {codes:?}");
        let source = format!("in b: Boolean x = {}", open.repeat(count));
        assert!(!compiles_fast(&source).is_empty(), "{open}");
        let source = format!("in b: Boolean x = {} out x", close.repeat(count));
        assert!(close.is_empty() || !compiles_fast(&source).is_empty(), "{close}");
    }
    for (open, middle, close) in [("List<", "Int", ">"), ("{a:", "Int", "}"), ("Map<Int,", "Int", ">")] {
        let source = format!("in x: {}{middle}{} out x", open.repeat(DEEP), close.repeat(DEEP));
        assert_eq!(compiles_fast(&source), [Code::LimitExceeded], "{open}");
    }
}

#[test]
fn nesting_up_to_the_bound_compiles() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{a:", "}"), ("\"${", "}\""), ("if(b)", " else 1")] {
        // A list of 256 levels is a type of 257, which is past the bound of types.
        for (count, is_fine) in [(255, true), (257, false)] {
            let source = format!("in b: Boolean x = {}1{} out x", open.repeat(count), close.repeat(count));
            assert_eq!(errors(&source).is_empty(), is_fine, "{open} {count}: {:?}", errors(&source));
        }
    }
    let source = format!("x = {}1{} out x", "(".repeat(256), ")".repeat(256));
    assert_eq!(errors(&source), [""; 0]);
    let source = format!("in x: {}Int{} out x", "List<".repeat(255), ">".repeat(255));
    assert_eq!(errors(&source), [""; 0]);
    // What takes most of the stack at each level.
    for (open, middle, close) in [
        ("b or b and b == match b { _ -> ", "b", "}"),
        ("b or b and b == branch { otherwise -> ", "b", "}"),
        ("if (b) is-fine(b) with fallback: ", "b", " else b"),
        ("is-fine(b) with fallback: ", "b", ""),
    ] {
        let source = format!("in b: Boolean x = {}{middle}{} out x", open.repeat(127), close.repeat(127));
        let source = source.replace("is-fine", "stdlib.bool.not");
        assert_eq!(compiles_fast(&source), [], "{open}");
    }
    // Each level through all operators, so that every kind of recursion is as deep as it gets.
    let open = "b or b and not 1 == 1 + 1 * f(";
    let source = format!("in b: Boolean x = {}b{} out x", open.repeat(250), ")".repeat(250));
    assert!(!errors(&source).is_empty());
    let open = "b or b == (";
    let source = format!("in b: Boolean x = {}b{} out x", open.repeat(250), ")".repeat(250));
    assert_eq!(errors(&source), [""; 0]);
}

#[test]
fn chains_may_be_as_long_as_the_program() {
    let chains = [
        ("1", "+1", ""),
        ("b", " and b", ""),
        ("1", "*1-1", ""),
        ("o", "??o", "??1"),
        ("not ", "not ", "b"),
        ("- ", "- ", "(1)"),
        ("if(b)1 ", "else if(b)1 ", "else 1"),
        ("\"", "${1}", "\""),
        ("[1", ",1", "]"),
        ("branch{b ->1", ",b ->1", ",otherwise ->1}"),
        ("(r", "+r", ")"),
        ("f(1", ",1", ")"),
        ("b", "==b", ""),
        ("r", ".r", ""),
        ("b", " when b", ""),
    ];
    for (first, repeated, last) in chains {
        let count = 1_000_000 / repeated.len();
        let chain = format!("{first}{}{last}", repeated.repeat(count));
        let source = format!("in b: Boolean in o: Optional<Int> in r: {{ r: Int }} x = {chain} out x");
        let codes = compiles_fast(&source);
        let is_valid = !["f(1", "b", "r"].contains(&first) || repeated == " and b";
        assert_eq!(codes.is_empty(), is_valid, "{first}{repeated}: {:?}", codes.first());
    }
}

#[test]
fn a_doubling_type_is_a_diagnostic() {
    let mut source = "type T0 = { a: Int }\n".to_owned();
    for index in 1..=40 {
        let last = index - 1;
        writeln!(source, "type T{index} = {{ x: T{last}, y: T{last} }}").expect("a string takes all text");
    }
    source.push_str("in x: T40\nout x");
    assert_eq!(compiles_fast(&source), [Code::LimitExceeded]);

    let mut source = "x0 = { a: 1 }\n".to_owned();
    for index in 1..=40 {
        let last = index - 1;
        writeln!(source, "x{index} = {{ x: x{last}, y: [x{last}] }}").expect("a string takes all text");
    }
    source.push_str("out x40");
    assert_eq!(compiles_fast(&source), [Code::LimitExceeded]);
}

#[test]
fn work_on_types_is_bounded() {
    // A record that grows by a field with each statement, compared and merged each time.
    let mut source = "in b: Boolean\nx = { f: 1 }\n".to_owned();
    for index in 0..20_000 {
        writeln!(source, "x = x + {{ f{index}: 1 }}\ny = if (b) x else x + {{ g: 1 }}")
            .expect("a string takes all text");
    }
    source.push_str("out x out y");
    assert!(compiles_fast(&source).contains(&Code::LimitExceeded));
    // A union of many records.
    let members: Vec<String> = (0..30_000).map(|index| format!("{{ f{index}: Int }}")).collect();
    let codes = compiles_fast(&format!("in x: {} out x", members.join(" | ")));
    assert_eq!(codes, [Code::LimitExceeded]);
    let items: Vec<String> = (0..30_000).map(|index| format!("{{ f{index}: 1 }}")).collect();
    assert_eq!(compiles_fast(&format!("x = [{}] out x", items.join(","))), [Code::LimitExceeded]);
    // Many accesses to a wide record.
    let fields: Vec<String> = (0..30_000).map(|index| format!("f{index}: Int")).collect();
    let uses = "r.f29999,".repeat(50_000);
    let codes = compiles_fast(&format!("in r: {{ {} }} x = [{uses}] out x", fields.join(",")));
    assert_eq!(codes, [Code::LimitExceeded]);
}

#[test]
fn captures_are_bounded() {
    // Every lambda around a use counts it once more.
    for (n_uses, is_fine) in [(2_000, true), (3_000, false)] {
        let uses: Vec<String> = (0..n_uses).map(|index| format!("v{index}")).collect();
        let inputs = format!("in {}: Int", uses.join(": Int in "));
        let open = "map(l,(p)=>[".repeat(80);
        let close = "])".repeat(80);
        let source = format!("{inputs} in l: List<Int> x = {open}{}{close} out x", uses.join(","));
        let codes = compiles_fast(&source);
        assert_eq!(codes.is_empty(), is_fine, "{:?}", codes.first());
    }
}

#[test]
fn many_errors_are_cut_and_cheap() {
    let source = "x = undefined-name-here + another\n".repeat(20_000) + "out x";
    assert_eq!(compiles_fast(&source).len(), MAX_DIAGNOSTICS);
    let source = "x = 1 2 3\n".repeat(50_000) + "out x";
    assert_eq!(compiles_fast(&source).len(), MAX_DIAGNOSTICS);
    let source = "\"".repeat(500_001);
    assert!(!compiles_fast(&source).is_empty());
    let source = "\"${".repeat(300_000);
    assert!(!compiles_fast(&source).is_empty());
    for text in
        ["@", "@example(", ")", "}", "];", ",", ":", "->", "x =", "type", "use a.", "\u{1f600} ", "match "]
    {
        let source = text.repeat(1_000_000 / text.len());
        assert!(!compiles_fast(&source).is_empty(), "{text}");
    }
    // Names that are all near to one that does not exist.
    let inputs: Vec<String> =
        (0..20_000).map(|index| format!("in abcdefghijklmnopqrst{index:05}: Int")).collect();
    let inputs = inputs.join(
        "
",
    );
    let uses = "x = abcdefghijklmnopqrst9999x\n".repeat(5_000);
    assert!(compiles_fast(&format!("{inputs}\n{uses}out x")).len() >= MAX_DIAGNOSTICS);
}

#[test]
fn a_source_past_the_bound_is_one_diagnostic() {
    let source = format!("in x: Int out x # {}", "a".repeat(1 << 20));
    assert_eq!(compiles_fast(&source), [Code::LimitExceeded]);
    let padding = " ".repeat((1 << 20) - "in x: Int out x".len());
    dag(&format!("in x: Int out x{padding}"));
}
