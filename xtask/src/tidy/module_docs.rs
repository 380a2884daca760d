//! Every module says what it is for, and every crate what it must not know.

use crate::tidy::Violation;
use crate::tidy::sources::SourceFile;

const RULE: &str = "module docs";
const BOUNDARY: &str = "**Must not know:**";

pub(crate) fn check(files: &[SourceFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.extension() == "rs" && is_module(&file.path)) {
        if !file.text.starts_with("//! ") {
            violations.push(Violation {
                path: file.path.clone(),
                line: 1,
                rule: RULE,
                message: "does not begin with `//! `; say in a sentence what the module is for".to_owned(),
            });
        }
        let docs = file.text.lines().take_while(|line| line.starts_with("//!"));
        if is_library_root(&file.path) && !docs.into_iter().any(|line| line.contains(BOUNDARY)) {
            violations.push(Violation {
                path: file.path.clone(),
                line: 1,
                rule: RULE,
                message: format!("its docs have no `{BOUNDARY}` line; say what the crate must not know"),
            });
        }
    }
    violations
}

/// What lies in `src` of a crate, and the roots of its test programs; below those are samples.
fn is_module(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["crates", _, "src", ..]
            | ["xtask" | "benches", "src", ..]
            | ["tests", ..]
            | ["crates", _, "tests", _]
    )
}

fn is_library_root(path: &str) -> bool {
    path.starts_with("crates/") && path.ends_with("/src/lib.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        check(&[file]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_module_without_docs_is_reported() {
        for path in ["crates/lang/src/a/b.rs", "xtask/src/a.rs", "tests/src/a.rs", "crates/lang/tests/all.rs"]
        {
            let found = check_one(path, "use std::fmt;\n//! Late.\n");
            assert_eq!(found.len(), 1, "{path}");
            assert!(found[0].starts_with(&format!("{path}:1: module docs: ")), "{found:?}");
            assert!(check_one(path, "//! What it is for.\n").is_empty(), "{path}");
        }
    }

    #[test]
    fn a_crate_that_does_not_say_what_it_must_not_know_is_reported() {
        let path = "crates/lang/src/lib.rs";
        assert_eq!(
            check_one(path, "//! The compiler.\n\nconst A: &str = \"**Must not know:**\";\n").len(),
            1
        );
        assert!(check_one(path, "//! The compiler.\n//!\n//! **Must not know:** files.\n").is_empty());
    }

    #[test]
    fn samples_below_a_test_need_no_docs() {
        assert!(check_one("crates/module-derive/tests/ui/bad.rs", "fn main() {}\n").is_empty());
    }
}
