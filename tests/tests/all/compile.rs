//! `constellation compile`: what it prints where, and how it ends.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use constellation_tests::{Exited, Launch, examples_directory};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Compiles files that have these texts, in this order.
fn compile(files: &[(&str, &str)], arguments: &[&str]) -> Exited {
    let directory = TempDir::new().expect("there is room for temporary files");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("the directory was just made");
    }
    let names = files.iter().map(|(name, _)| *name);
    Launch::command(directory.path(), "compile").args(names).args(arguments).run()
}

#[track_caller]
fn draws(files: &[(&str, &str)], code: i32, expected: &str) {
    let exited = compile(files, &[]);
    assert_eq!(exited.stderr, expected, "\n{}", exited.stderr);
    assert_eq!(exited.status.code(), Some(code));
}

fn lines(exited: &Exited) -> Vec<Value> {
    let value = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    exited.stdout.lines().map(value).collect()
}

const SOUND: &str = "in name: String\nin times: Int\nx = \"${name}\"\ny = times * 2\nout x\nout y\n";

#[test]
fn a_file_that_calls_demonstration_modules_is_compiled_when_they_are_asked_for() {
    let files = [("slow.cst", "rows = SlowQuery(\"q\")\nout rows\n")];
    assert_eq!(compile(&files, &["--demo-modules"]).status.code(), Some(0));
    let refused = compile(&files, &["--demo-modules=false"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("Undefined function: SlowQuery"), "{}", refused.stderr);
    let directory = TempDir::new().expect("there is room for temporary files");
    let launch = Launch::command(directory.path(), "compile").args(["none.cst"]);
    let exited = launch.env("CONSTELLATION_DEMO_MODULES", "perhaps").run();
    assert_eq!(exited.status.code(), Some(2));
    assert!(exited.stderr.contains("CONSTELLATION_DEMO_MODULES is 'perhaps'"), "{}", exited.stderr);
}

#[test]
fn what_a_file_compiles_to_is_data_on_standard_output() {
    let exited = compile(&[("sound.cst", SOUND)], &[]);
    let [answer] = &lines(&compile(&[("sound.cst", SOUND)], &["--json"]))[..] else { panic!("{exited:?}") };
    let hash = answer["structuralHash"].as_str().unwrap();
    assert_eq!(hash.len(), 64);
    assert_eq!(
        exited.stdout,
        format!("sound.cst: {hash}\n  in name: String\n  in times: Int\n  out x: String\n  out y: Int\n")
    );
    assert_eq!((exited.stderr.as_str(), exited.status.code()), ("", Some(0)));
    assert_eq!(
        answer,
        &json!({
            "path": "sound.cst",
            "ok": true,
            "structuralHash": hash,
            "inputs": [{ "name": "name", "type": "String" }, { "name": "times", "type": "Int" }],
            "outputs": [{ "name": "x", "type": "String" }, { "name": "y", "type": "Int" }],
            "diagnostics": [],
        })
    );
}

#[test]
fn the_hash_is_that_of_the_server() {
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).args(["--memory"]).start();
    let answers = lines(&compile(&[("sound.cst", SOUND)], &["--json"]));
    assert_eq!(answers[0]["structuralHash"], server.compile("sound", SOUND).as_str());
}

#[test]
fn every_error_of_every_file_is_drawn_at_its_place() {
    let types =
        "in price: Int\nin rate: Float\ntext = \"\u{e9}\" + trim(price)\nnet = pris * rate\nout net\n";
    let syntax = "in s: String\nx = concat(\n  s,\n  [1, 2\nout x\n";
    draws(
        &[("types.cst", types), ("sound.cst", SOUND), ("syntax.cst", syntax)],
        1,
        "\
error[E010]: Type mismatch: expected String, got Int
 --> types.cst:3:19
  |
3 | text = \"\u{e9}\" + trim(price)
  |                   ^^^^^ expected String, found Int
  |
  = help: Convert with to-string(value), or write \"${value}\"

error[E001]: Undefined variable: pris
 --> types.cst:4:7
  |
4 | net = pris * rate
  |       ^^^^
  |
  = help: Did you mean 'price'?

error[E020]: Parse error: expected ',' or ']', found 'out'
 --> syntax.cst:5:1
  |
4 |   [1, 2
  |   - '[' was opened here
5 | out x
  | ^^^ expected ',' or ']'

3 errors in 3 files
",
    );
}

#[test]
fn a_warning_is_drawn_and_the_file_compiles() {
    let source = "in a: Int\ntwice = a * 2\nout a\n";
    draws(
        &[("a.cst", source)],
        0,
        "\
warning[W001]: 'twice' is never used
 --> a.cst:2:1
  |
2 | twice = a * 2
  | ^^^^^
  |
  = help: Remove it, or make it a result: out twice

1 warning in 1 file
",
    );
    let [answer] = &lines(&compile(&[("a.cst", source)], &["--json"]))[..] else { panic!() };
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["diagnostics"][0]["severity"], "warning");
}

#[test]
fn what_is_missing_at_the_end_of_a_file_is_shown_behind_its_last_word() {
    draws(
        &[("a.cst", "in a: Int\n\n\n# The end.\n")],
        1,
        "\
error[E020]: Parse error: the pipeline has no output
 --> a.cst:1:10
  |
1 | in a: Int
  |          ^
  |
  = help: Name a result with 'out', for example: out result

1 error in 1 file
",
    );
    draws(
        &[("a.cst", "in a: Int\nx = a +\n\n")],
        1,
        "\
error[E020]: Parse error: expected an expression, found the end of the file
 --> a.cst:2:8
  |
2 | x = a +
  |        ^ expected an expression

1 error in 1 file
",
    );
}

#[test]
fn lines_that_are_too_long_to_look_at_are_not_drawn() {
    let items = "nope, ".repeat(1000);
    let exited = compile(&[("a.cst", &format!("in a: Int\nx = [{items}]\nout x\n"))], &[]);
    let first = "\
error[E001]: Undefined variable: nope
--> a.cst:2:6
 = help: Declare the variable above: in nope: String

";
    assert!(exited.stderr.starts_with(first), "{}", &exited.stderr[..500]);
    assert!(exited.stderr.len() < 20_000, "{}", exited.stderr.len());
}

#[test]
fn of_many_lines_the_first_is_drawn() {
    let cases = "  { a } -> 1,\n".repeat(1000);
    let source = format!("in r: {{ a: Int }} | Int\nx = match r {{\n{cases}}}\nout x\n");
    draws(
        &[("a.cst", &source)],
        1,
        "\
error[E015]: Non-exhaustive match on type Int | { a: Int }. Missing patterns for: Int
 --> a.cst:2:5
  |
2 | x = match r {
  |     ^^^^^^^^^
  |
  = help: Add a case: is Int -> value
  = help: Add a last case: _ -> value

1 error in 1 file
",
    );
}

#[test]
fn a_byte_order_mark_and_carriage_returns_shift_nothing() {
    draws(
        &[("a.cst", "\u{feff}in a: Nope\r\n\r\nx = b\r\nout x\r\n")],
        1,
        "\
error[E003]: Undefined type: Nope
 --> a.cst:1:7
  |
1 | in a: Nope
  |       ^^^^

error[E001]: Undefined variable: b
 --> a.cst:3:5
  |
3 | x = b
  |     ^
  |
  = help: Did you mean 'a'?

2 errors in 1 file
",
    );
    let exited = compile(&[("a.cst", "\u{feff}out b")], &["--json"]);
    assert_eq!(lines(&exited)[0]["diagnostics"][0]["column"], 5);
}

#[test]
fn programs_read_the_diagnostics_as_data() {
    let exited = compile(
        &[("a.cst", "in price: Int\nx = \"\u{e9}\"\n\ty = pris\nout y"), ("b.cst", SOUND)],
        &["--json"],
    );
    assert_eq!((exited.stderr.as_str(), exited.status.code()), ("", Some(1)));
    let answers = lines(&exited);
    assert_eq!(
        answers[0],
        json!({
            "path": "a.cst",
            "ok": false,
            "structuralHash": null,
            "inputs": null,
            "outputs": null,
            "diagnostics": [{
                "severity": "error",
                "code": "E001",
                "message": "Undefined variable: pris",
                "line": 3,
                "column": 6,
                "span": { "start": 28, "end": 32 },
                "suggestion": "Did you mean 'price'?",
            }],
        })
    );
    assert_eq!((answers.len(), &answers[1]["ok"]), (2, &json!(true)));
}

#[test]
fn a_file_that_cannot_be_read_hides_no_other() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("latin1.cst"), b"in x: Int # \xe9\nout x").unwrap();
    fs::write(directory.path().join("large.cst"), " ".repeat(2 << 20)).unwrap();
    fs::write(directory.path().join("wrong.cst"), "out x").unwrap();
    fs::write(directory.path().join("sound.cst"), SOUND).unwrap();
    let launch = || {
        let names = [".", "latin1.cst", "missing.cst", "large.cst", "wrong.cst", "sound.cst"];
        Launch::command(directory.path(), "compile").args(names)
    };
    let exited = launch().run();
    assert_eq!(exited.status.code(), Some(2), "{exited:?}");
    assert!(exited.stdout.starts_with("sound.cst: "), "{exited:?}");
    for text in [
        "error: .: it cannot be read: ",
        "error: latin1.cst: it is not UTF-8 (at byte 12); save it as UTF-8\n",
        "error: missing.cst: it cannot be read: ",
        "error: large.cst: it is larger than 1048576 bytes; split it\n",
        "error[E001]: Undefined variable: x\n",
    ] {
        assert!(exited.stderr.contains(text), "{text}\n{}", exited.stderr);
    }
    let answers = lines(&launch().args(["--json"]).run());
    let ok: Vec<bool> = answers.iter().map(|answer| answer["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [false, false, false, false, false, true]);
    assert!(answers[2]["error"].as_str().unwrap().starts_with("it cannot be read"));
    assert_eq!(answers[4].get("error"), None, "it was read, and has diagnostics");
}

#[test]
fn standard_input_is_a_file_like_others() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("in.cst"), "out x").unwrap();
    let input = fs::File::open(directory.path().join("in.cst")).unwrap();
    let exited = Launch::command(directory.path(), "compile").args(["-"]).stdin(input).run();
    assert_eq!(exited.status.code(), Some(1));
    assert!(exited.stderr.contains("--> <stdin>:1:5\n"), "{exited:?}");
}

#[test]
fn nothing_is_colored_where_nobody_looks() {
    let exited = compile(&[("a.cst", "out x")], &[]);
    assert!(exited.stderr.contains("E001") && !exited.stderr.contains('\u{1b}'), "{exited:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_has_colors_unless_it_is_asked_not_to() {
    // `script` runs a command on a terminal of its own.
    let on_terminal = |no_color: Option<&str>| {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("a.cst"), "out x").unwrap();
        let command = format!("{} compile a.cst", constellation_tests::binary().display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        script.current_dir(directory.path()).stdin(Stdio::null()).env_remove("NO_COLOR").env("TERM", "xterm");
        script.envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = script.output().expect("util-linux has it");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(on_terminal(None).contains('\u{1b}'));
    assert!(on_terminal(Some("")).contains('\u{1b}'), "set to nothing is not set");
    assert!(!on_terminal(Some("1")).contains('\u{1b}'));
}

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    for arguments in [&[][..], &["--nonsense", "a.cst"]] {
        let exited = Launch::command(Path::new("."), "compile").args(arguments).run();
        assert_eq!(exited.status.code(), Some(2), "{arguments:?}");
        assert!(exited.stderr.contains("Usage:"), "{exited:?}");
    }
}

#[test]
fn every_example_compiles_without_a_word() {
    let directory = examples_directory();
    let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|name| name.extension().is_some_and(|extension| extension == "cst"));
    assert!(names.len() >= 8);
    let exited = Launch::command(&directory, "compile").args(&names).run();
    assert_eq!((exited.stderr.as_str(), exited.status.code()), ("", Some(0)));
}

#[test]
fn the_reference_of_errors_says_what_the_compiler_says() {
    let reference = fs::read_to_string(examples_directory().join("../../docs/errors.md")).unwrap();
    let sections: Vec<&str> =
        reference.split("\n## ").skip(1).filter(|text| text.contains("```text")).collect();
    assert!(sections.len() >= 24);
    for section in sections {
        let blocks: Vec<&str> = section.split("```").collect();
        let (source, said) = (blocks[1].trim(), blocks[3]);
        let said: Vec<&str> =
            said.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).collect();
        let [answer] = &lines(&compile(&[("a.cst", source)], &["--json"]))[..] else { panic!("one file") };
        let found: Vec<String> = answer["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| {
                let text = |name: &str| found[name].as_str().unwrap();
                format!("{}:{}: {}: {}", found["line"], found["column"], text("code"), text("message"))
            })
            .collect();
        if section.starts_with("E005") {
            // Its functions are those of an application, which the standard library does not have.
            assert_eq!(found, ["2:7: E002: Undefined function: total"]);
        } else {
            assert_eq!(found, said, "{section}");
        }
    }
}
