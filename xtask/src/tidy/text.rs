//! Layout of text files, where rustfmt does not look.

use crate::tidy::Violation;
use crate::tidy::sources::SourceFile;

const RULE: &str = "text";

pub(crate) fn check(files: &[SourceFile]) -> Vec<Violation> {
    files.iter().filter(|file| !is_sample(file)).flat_map(check_file).collect()
}

/// Data that tests read may be as odd as the test needs.
fn is_sample(file: &SourceFile) -> bool {
    let in_tests = file.path.starts_with("tests/") || file.path.contains("/tests/");
    in_tests && matches!(file.extension(), "cst" | "md")
}

fn check_file(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |line: usize, message: String| {
        violations.push(Violation { path: file.path.clone(), line, rule: RULE, message });
    };
    for (index, line) in file.text.split('\n').enumerate() {
        let number = index + 1;
        if let Some(odd) = line.chars().find(|character| !character.is_ascii()) {
            let code = u32::from(odd);
            report(number, format!("`{odd}` is not ASCII; write it in ASCII, in Rust as `\\u{{{code:x}}}`"));
        }
        if line.contains('\t') {
            report(number, "has a tab; write spaces, in a string `\\t`".to_owned());
        }
        if line.ends_with([' ', '\t', '\r']) {
            report(number, "ends in white space; remove it".to_owned());
        }
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        let last = file.text.lines().count();
        report(last, "does not end in exactly one newline".to_owned());
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        check(&[file]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_slip_is_reported_with_its_line() {
        let cases = [
            ("fn a() {}\n// caf\u{e9}\n", "crates/lang/src/a.rs:2: text: `\u{e9}` is not ASCII"),
            ("a = 1\n\tb = 2\n", "crates/lang/src/a.rs:2: text: has a tab"),
            ("a \nb\n", "crates/lang/src/a.rs:1: text: ends in white space"),
            ("a\r\nb\n", "crates/lang/src/a.rs:1: text: ends in white space"),
            ("a\nb", "crates/lang/src/a.rs:2: text: does not end in exactly one newline"),
            ("a\n\n", "crates/lang/src/a.rs:2: text: does not end in exactly one newline"),
        ];
        for (text, expected) in cases {
            let found = check_one("crates/lang/src/a.rs", text);
            assert_eq!(found.len(), 1, "{text:?} gave {found:?}");
            assert!(found[0].starts_with(expected), "{text:?} gave {found:?}");
        }
        assert!(check_one("docs/a.md", "A line.\n").is_empty());
    }

    #[test]
    fn data_of_a_test_may_be_odd_but_its_code_may_not() {
        assert!(check_one("crates/lang/tests/data/odd.cst", "\t# \u{e9} ").is_empty());
        assert_eq!(check_one("crates/lang/tests/all.rs", "// \u{e9}\n").len(), 1);
    }
}
