//! The examples of the tree, as a user would try them.

use std::fs;
use std::process::Command;

use constellation_tests::{
    Example, Launch, Server, examples, examples_directory, examples_in, reference_directory,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The programs of the reference that call demonstration modules. `crates/demo` runs them, with paused time.
const DEMONSTRATIONS: [&str; 8] = [
    "cache-demo",
    "caching-strategies",
    "error-handling-demo",
    "fan-out-fan-in",
    "priority-lazy-demo",
    "rate-limiting-demo",
    "resilient-pipeline-demo",
    "retry-resilience-demo",
];

#[test]
fn every_example_gives_its_expected_outputs() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let server = Launch::new(directory.path()).arg_pipelines().start();
    let examples = examples().unwrap();
    assert!(examples.len() >= 8);
    check_examples(&server, &examples);
    assert_eq!(server.compilations(), examples.len() as u64);
}

#[test]
fn the_programs_of_the_reference_give_its_results() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let launch = Launch::new(directory.path()).args(["--demo-modules", "--pipelines"]);
    let server = launch.args([reference_directory()]).start();
    let mut examples = examples_in(&reference_directory()).unwrap();
    assert_eq!(server.compilations(), examples.len() as u64);
    examples.retain(|example| !DEMONSTRATIONS.contains(&&*example.name));
    assert_eq!(examples.len(), 17);
    check_examples(&server, &examples);
    assert_eq!(server.compilations(), 25);
}

#[test]
fn the_demonstration_modules_are_there_when_they_are_asked_for() {
    let name = "error-handling-demo";
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let launch =
        || Launch::new(directory.path()).args(["--memory", "--pipelines"]).args([reference_directory()]);
    let server = launch().env("CONSTELLATION_DEMO_MODULES", "true").start();
    let mut examples = examples_in(&reference_directory()).unwrap();
    examples.retain(|example| example.name == name);
    check_examples(&server, &examples);
    // Without them the file is told of, and the others are served.
    let server = launch().start();
    assert_eq!(server.get("/pipelines").json()["pipelines"].as_array().unwrap().len(), 17);
    assert!(server.stderr().contains("Undefined function: AlwaysFailsService"), "{}", server.stderr());
}

/// Calls each pipeline with each of its inputs.
fn check_examples(server: &Server, examples: &[Example]) {
    for example in examples {
        for case in &example.cases {
            let outputs = server.execute(&example.name, &case.inputs);
            assert_eq!(outputs, case.outputs, "{}: {}", example.name, case.description);
        }
    }
}

#[test]
fn the_readme_shows_every_example() {
    let readme = fs::read_to_string(examples_directory().join("../../README.md")).unwrap();
    for example in examples().unwrap() {
        let row = format!("| [{0}](examples/pipelines/{0}.cst) | ", example.name);
        assert!(readme.contains(&row), "README.md has no line {row}");
    }
}

#[test]
fn every_request_of_the_readme_works_in_its_order() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs curl for this test; install it");
        println!("skipped: curl is not installed");
        return;
    }
    let readme = fs::read_to_string(examples_directory().join("../../README.md")).unwrap();
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).arg_pipelines().start();
    let commands: Vec<&str> = readme
        .split("```sh\n")
        .skip(1)
        .filter_map(|block| block.split_once("\n```").map(|(command, _)| command))
        .filter(|command| command.starts_with("curl "))
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    let mut answers = Vec::new();
    for command in commands {
        let command = command.replace("http://127.0.0.1:8080", server.url());
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{command}: {error}: {}", String::from_utf8_lossy(&output.stdout))
        });
        assert!(answer.get("error").is_none_or(Value::is_null), "{command}: {answer}");
        answers.push(answer);
    }
    let outputs: Vec<&Value> = answers.iter().filter_map(|answer| answer.get("outputs")).collect();
    let quote = "12 x DESK-2 at 22,410 cents: 320,015 cents with tax";
    assert_eq!(outputs[0]["text"], quote);
    assert!(readme.contains(quote));
    assert_eq!(outputs[1..], [&json!({ "loud": "HI" }), &json!({ "b": 42 })]);
    let version = |answer: &Value| answer.get("version").or_else(|| answer.get("activeVersion")).cloned();
    let versions: Vec<Value> = answers.iter().filter_map(version).collect();
    assert_eq!(versions, [json!(1), json!(2), json!(1)], "a name that goes back has its old version");
}

#[test]
fn a_printed_curl_line_works_when_it_is_pasted() {
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).arg_pipelines().start();
    let examples = examples().unwrap();
    let curl_lines = |text: &str| -> Vec<String> {
        text.lines().map(str::trim).filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
    };
    server.wait_until("every pipeline is announced", |server| {
        curl_lines(&server.stderr()).len() == examples.len()
    });
    let text = server.stderr();
    for example in &examples {
        let announced = format!("{}  {}", example.name, server.hash_of(&example.name));
        assert!(text.lines().any(|line| line == announced), "{announced} is not in\n{text}");
    }
    for line in curl_lines(&text) {
        let has_curl = Command::new("curl").arg("--version").output().is_ok();
        // Without curl, the shell still tells how it reads the line.
        let line = if has_curl { line } else { line.replacen("curl ", "printf '%s\\n' ", 1) };
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        if has_curl {
            let body: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"));
            assert_eq!(body["status"], "completed", "{line}: {body}");
        } else {
            let body: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            assert_eq!(server.post("/execute", &body).json()["status"], "completed", "{line}");
        }
    }
}

#[test]
fn a_printed_curl_line_is_quoted_for_the_shell_and_tells_what_to_add() {
    let directory = TempDir::new().unwrap();
    let sources = directory.path().join("sources");
    fs::create_dir(&sources).unwrap();
    let source = r#"
        @example("it's $HOME `id` !! \\ \"quoted\"\n  * ; & end")
        in text: String
        in count: Int
        shown = text
        out shown
        out count
    "#;
    fs::write(sources.join("it's tricky.cst"), source).unwrap();
    let server = Launch::new(directory.path()).args(["--memory", "--pipelines", "sources"]).start();
    server.wait_until("it is announced", |server| server.stderr().contains("curl "));
    let text = server.stderr();
    assert!(text.contains("# add these inputs, which have no example: count"), "{text}");
    let line = text.lines().find(|line| line.trim().starts_with("curl ")).unwrap();
    let line = line.trim().replacen("curl ", "printf '%s\\n' ", 1);
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    let body: Value = serde_json::from_str(words.lines().last().unwrap()).unwrap();
    assert_eq!(body["ref"], "it's tricky");
    assert_eq!(body["inputs"]["text"], "it's $HOME `id` !! \\ \"quoted\"\n  * ; & end");
    let answer = server.post("/execute", &body).json();
    assert_eq!(answer["missingInputs"], serde_json::json!({ "count": "CInt" }));
}

trait ArgPipelines {
    fn arg_pipelines(self) -> Self;
}

impl ArgPipelines for Launch {
    fn arg_pipelines(self) -> Self {
        self.args(["--pipelines".as_ref(), examples_directory().as_os_str()])
    }
}
