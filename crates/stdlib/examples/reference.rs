//! Prints `docs/stdlib.md`; `cargo xtask codegen` runs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use constellation_module::ModuleSpec;
use constellation_stdlib::{MAX_LIST_ITEMS, MAX_TEXT_BYTES};

fn main() {
    #![expect(clippy::print_stdout, reason = "the page is what this program is for")]
    print!("{}", page());
}

fn page() -> String {
    let registry = constellation_stdlib::registry();
    let mut namespaces: BTreeMap<&str, Vec<&ModuleSpec>> = BTreeMap::new();
    for module in registry.iter() {
        let spec = module.spec();
        namespaces.entry(spec.signature.namespace.as_deref().unwrap_or_default()).or_default().push(spec);
    }
    // Those without a namespace are the reference implementation's, and of the least interest.
    let global = namespaces.remove("").unwrap_or_default();
    let mut page = introduction();
    for (namespace, functions) in &namespaces {
        section(&mut page, &format!("`{namespace}`"), functions);
    }
    section(&mut page, "Without a namespace", &global);
    page
}

fn introduction() -> String {
    format!(
        "# The standard library

This page is made from the definitions in `crates/stdlib` by `cargo xtask codegen`; do not edit it.

A program without a `use` calls each function by its short name.
After `use stdlib.math` only the functions of that namespace have short ones, beside those without a namespace; the \
whole name, as in `stdlib.string.trim(text)`, always works.
`T`, `U`, `K`, `V`, `A` and `B` stand for any type.

The value of an example is written as JSON, as the API writes it; `null` is none.
A test runs each of them.
A call that is an error here fails the run, unless the program says otherwise with an option such as `fallback`.
So does one that would make a text of more than {} MiB, or a list or map of more than {MAX_LIST_ITEMS} elements.
",
        MAX_TEXT_BYTES >> 20
    )
}

fn section(page: &mut String, title: &str, functions: &[&ModuleSpec]) {
    writeln!(page, "\n## {title}\n\n| function | what it does | example |\n|---|---|---|")
        .expect("writing to a string succeeds");
    let mut functions = functions.to_vec();
    functions.sort_by(|left, right| left.signature.name.cmp(&right.signature.name));
    for spec in functions {
        let mut signature = spec.signature.clone();
        signature.namespace = None;
        let examples: Vec<String> = spec
            .examples
            .iter()
            .map(|example| format!("`{}` is `{}`", example.expression, example.result))
            .collect();
        let row = [format!("`{signature}`"), spec.description.clone(), examples.join("<br>")];
        let cells = row.map(|cell| cell.replace('|', "\\|"));
        writeln!(page, "| {} |", cells.join(" | ")).expect("writing to a string succeeds");
    }
}
