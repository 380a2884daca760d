//! The reference of all codes as a document, made from the codes and from what their examples give.

use constellation_types::{FunctionSignature, Parameter, Type};

use super::{Code, Diagnostic};
use crate::functions::FunctionTable;

const HEAD: &str = "\
# Diagnostics of the compiler

This file is made from the codes of `crates/lang/src/diagnostic/code.rs` by `cargo xtask codegen`; do not edit it.

A code keeps its meaning for ever.
Those that begin with `E` stop a compilation, the others are warnings.
Below each example stands what the compiler says about it, as `LINE:COLUMN: CODE: message`, with its advice.
`constellation compile FILE` draws the same at its place in the source.
";

const TAIL: &str = "
## Codes that are never given

The reference implementation has four more, and this compiler none of them.
E011, incompatible operator: what it would say is E013 or E014.
E021, unexpected token: every syntax error is E020.
E031, circular dependency: a variable is declared above its use, so there is none.
E900, internal error: what its compiler cannot do, such as most bodies of lambdas, is part of this language.
";

/// `docs/errors.md`: for each code its title, explanation, example, what the compiler says about that, and remedy.
pub fn error_reference() -> String {
    let mut out = HEAD.to_owned();
    for code in Code::ALL {
        let source = code.example();
        let compilation = crate::compile(&crate::tokenize(source), &functions_for(code));
        let said: Vec<String> = compilation.diagnostics.iter().flat_map(lines).collect();
        let (title, explanation, remedy, said) =
            (code.title(), code.explanation(), code.remedy(), said.join("\n"));
        out.extend([
            format!("\n## {code}: {title}\n\n{explanation}\n\n"),
            format!("```\n{source}\n```\n\n```text\n{said}\n```\n\n{remedy}\n"),
        ]);
    }
    out.push_str(TAIL);
    out
}

fn lines(diagnostic: &Diagnostic) -> Vec<String> {
    let help = diagnostic.suggestions.iter().map(|suggestion| format!("  help: {suggestion}"));
    std::iter::once(diagnostic.to_string()).chain(help).collect()
}

/// The functions that the example of a code may call: some of the standard library, and two of an application.
fn functions_for(code: Code) -> FunctionTable {
    let function = |namespace: &str, name: &str, parameter: Type, result: Type| FunctionSignature {
        name: name.into(),
        namespace: Some(namespace.into()),
        module: format!("{namespace}.{name}").into(),
        major: 1,
        parameters: vec![Parameter { name: "value".into(), ty: parameter }],
        results: vec![Parameter { name: "out".into(), ty: result }],
    };
    let mut functions = vec![
        function("stdlib.math", "abs", Type::Int, Type::Int),
        function("stdlib.string", "trim", Type::String, Type::String),
    ];
    // The standard library has no two functions of one name.
    if code == Code::AmbiguousFunction {
        functions.extend(["orders", "returns"].map(|of| function(of, "total", Type::Int, Type::Int)));
    }
    FunctionTable::new(functions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_example_gives_its_diagnostic_and_no_other() {
        for code in Code::ALL {
            let compilation = crate::compile(&crate::tokenize(code.example()), &functions_for(code));
            let mut found: Vec<Code> =
                compilation.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
            if code == Code::ConflictingOptions {
                found.retain(|code| *code != Code::OptionNotApplied);
            }
            assert_eq!(found, [code], "{:#?}", compilation.diagnostics);
        }
    }

    #[test]
    fn every_code_is_explained() {
        let codes: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        let reference = error_reference();
        for code in Code::ALL {
            assert!(reference.contains(&format!("## {code}: {}\n", code.title())));
            for text in [code.title(), code.explanation(), code.remedy()] {
                let is_sentence = text == code.title() || text.lines().all(|line| line.ends_with('.'));
                assert!(!text.is_empty() && is_sentence, "{code}: {text}");
            }
        }
    }
}
