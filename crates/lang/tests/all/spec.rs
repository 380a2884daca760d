//! The chapters of the language say the types and the diagnostics that the compiler gives.

use std::path::Path;

use crate::support::{compiled, output_type};

#[path = "../spec/chapter.rs"]
mod chapter;

/// Compares what a chapter says with what is so, and notes a difference.
fn compare(problems: &mut Vec<String>, what: &str, said: &[&str], found: &[String]) {
    if said != found {
        problems.push(format!("{what}\n  said:\n{}\n  found:\n{}", said.join("\n"), found.join("\n")));
    }
}

#[test]
fn the_chapters_say_what_the_compiler_says() {
    let mut problems = Vec::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec");
    let chapters = chapter::chapters(&directory);
    assert!(chapters.len() >= 12);
    for (path, programs) in &chapters {
        assert!(!programs.is_empty(), "{} has no program", path.display());
        for program in programs {
            let place = &program.place;
            let compilation = compiled(&program.source);
            let found: Vec<String> = compilation.diagnostics.iter().map(ToString::to_string).collect();
            let said = program.claim("diagnostics").unwrap_or_default();
            compare(&mut problems, &format!("{place}: diagnostics"), &said, &found);
            let Some(dag) = &compilation.dag_spec else { continue };
            if let Some(said) = program.claim("types") {
                let types = dag.outputs.iter();
                let found: Vec<String> = types
                    .map(|output| format!("{}: {}", output.name, output_type(dag, &output.name)))
                    .collect();
                compare(&mut problems, &format!("{place}: types"), &said, &found);
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n\n"));
}

#[test]
fn the_overview_has_the_grammar_of_the_chapters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let overview = std::fs::read_to_string(root.join("../../docs/language.md")).unwrap();
    let mut rules = 0;
    for (path, _) in chapter::chapters(&root.join("tests/spec")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(overview.contains(&format!("(../crates/lang/tests/spec/{name})")), "{name} is not linked");
        let chapter = std::fs::read_to_string(&path).unwrap();
        for block in chapter.split("```ebnf\n").skip(1) {
            let (rule, _) = block.split_once("```").unwrap();
            assert!(overview.contains(rule), "{name} has a rule that docs/language.md has not:\n{rule}");
            rules += 1;
        }
    }
    assert!(rules >= 10);
}
