//! Whatever the text, the compiler answers, and what it accepts is well formed.

use constellation_lang::{compile, parse, tokenize};
use proptest::prelude::*;

use crate::support::library;

const SEEDS: [&str; 4] = [
    "use stdlib.string as s\n@example({ id: 1 })\nin user: { id: Int }\nin l: List<Float>\n\
     x = s.trim(\"a ${user.id + 1} b\") with retry: 3, fallback: \"f\", cache: 5min\n\
     y = stdlib.collection.filter(l, (v) => v > 1.5 and not (v == -2))\nout x\nout y",
    "type R = { ok: Int } | { err: String }\nin r: R\nin o: Optional<Int>\n\
     x = match r { { ok } -> \"n=${ok}\", is R -> \"r\", _ -> \"z\" }\n\
     y = branch { (o ?? 1) > 2 -> [1, 2], otherwise -> [] }\nz = if (true) { a: 1 } + { b: 2 } else { b: 1, a: 2 }\n\
     out x out y out z",
    "in a: { x: Int, y: List<{ n: String }> }\nb = a[x] + a{y}\nc = b.y.n\nd = a.x when a.x >= 3 ?? 0 - 1\n\
     e = map([1, 2], (i) => map([3], (j) => i * j + a.x))\nout c out d out e # end",
    "x = reduce([1], 0, (s, v) => s + v) with priority: high, window: sliding(1s, 2s) out x",
];

const TOKENS: [&str; 64] = [
    "in",
    "out",
    "type",
    "use",
    "as",
    "if",
    "else",
    "branch",
    "otherwise",
    "match",
    "is",
    "when",
    "and",
    "or",
    "not",
    "with",
    "lazy",
    "true",
    "false",
    "x",
    "a",
    "b",
    "l",
    "_",
    "Int",
    "String",
    "List",
    "Optional",
    "trim",
    "map",
    "filter",
    "stdlib.string.trim",
    "retry",
    "fallback",
    "1",
    "2.5",
    "007",
    "99999999999999999999",
    "\"s\"",
    "\"${",
    "}\"",
    "\"",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ".",
    "|",
    "@example",
    "=",
    "=>",
    "->",
    "==",
    "<",
    "+",
    "-",
    "*",
    "??",
    "\n",
    "#",
];

/// Compiles; a graph must be well formed, and its absence explained.
fn answers(source: &str) -> Result<(), TestCaseError> {
    let tokens = tokenize(source);
    let functions = library();
    let compilation = compile(&tokens, &functions);
    match &compilation.dag_spec {
        Some(dag) => {
            prop_assert!(dag.validate().is_ok(), "{}: {:?}", source, dag.validate());
            prop_assert_eq!(compilation.errors().count(), 0);
        }
        None => prop_assert!(compilation.errors().count() > 0, "{}", source),
    }
    for diagnostic in &compilation.diagnostics {
        prop_assert!(source.get(diagnostic.span.range()).is_some(), "{}: {:?}", source, diagnostic);
        prop_assert!(!diagnostic.message.is_empty() && diagnostic.position.line > 0);
    }
    parse(&tokens);
    tokens.syntactic_key(&functions);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,200}") {
        answers(&text)?;
    }

    #[test]
    fn any_tokens_get_an_answer(tokens in prop::collection::vec(prop::sample::select(TOKENS.to_vec()), 0..80)) {
        answers(&tokens.join(" "))?;
    }

    #[test]
    fn any_tokens_in_an_expression_get_an_answer(
        tokens in prop::collection::vec(prop::sample::select(TOKENS[6..].to_vec()), 0..20),
    ) {
        let start = "in a: { x: Int, l: List<Int> } in b: Boolean in l: List<Int> x =";
        answers(&format!("{start} {} out x", tokens.join(" ")))?;
    }

    #[test]
    fn mutations_of_programs_get_an_answer(
        seed in prop::sample::select(SEEDS.to_vec()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(TOKENS.to_vec())), 1..6),
    ) {
        let mut characters: Vec<char> = seed.chars().collect();
        for (place, removed, inserted) in edits {
            let start = place.index(characters.len() + 1);
            let end = (start + removed).min(characters.len());
            characters.splice(start..end, inserted.chars());
        }
        answers(&characters.into_iter().collect::<String>())?;
    }

    #[test]
    fn pieces_of_programs_get_an_answer(
        seed in prop::sample::select(SEEDS.to_vec()),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let characters: Vec<char> = seed.chars().collect();
        let (from, to) = (from.index(characters.len()), to.index(characters.len()));
        answers(&characters[from.min(to)..from.max(to)].iter().collect::<String>())?;
    }
}

#[test]
fn the_seeds_compile() {
    for seed in SEEDS {
        let compilation = compile(&tokenize(seed), &library());
        let errors: Vec<String> = compilation.errors().map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{seed}\n{errors:#?}");
    }
}
