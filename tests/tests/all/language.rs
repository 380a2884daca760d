//! Programs of the chapters of the language give what the chapters say, when they run.

use std::path::Path;

use constellation_tests::{Launch, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../../../crates/lang/tests/spec/chapter.rs"]
mod chapter;

/// What a run answers, in the words of a chapter: outputs, `missing NAMES`, or `error TEXT`.
fn run(server: &Server, source: &str, inputs: &Value) -> Result<Value, String> {
    let answer = server.post("/run", &json!({ "source": source, "inputs": inputs })).json();
    match answer["status"].as_str() {
        Some("completed") => Ok(answer["outputs"].clone()),
        Some("suspended") => {
            let missing = answer["missingInputs"].as_object().expect("a suspended run lacks inputs");
            Err(format!("missing {}", missing.keys().cloned().collect::<Vec<_>>().join(", ")))
        }
        _ => Err(format!("error {}", answer["error"].as_str().unwrap_or_default())),
    }
}

#[test]
fn the_chapters_say_what_runs_answer() {
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).args(["--memory"]).start();
    let mut problems = Vec::new();
    let mut runs = 0;
    let chapters = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/lang/tests/spec");
    for (_, programs) in chapter::chapters(&chapters) {
        for program in &programs {
            for claim in program.claim("run").unwrap_or_default() {
                let (inputs, said) = claim.split_once("} -> ").unwrap_or_else(|| {
                    panic!("{}: a run is written INPUTS -> OUTPUTS: {claim}", program.place)
                });
                let inputs = serde_json::from_str(&format!("{inputs}}}"))
                    .unwrap_or_else(|error| panic!("{}: {error}: {claim}", program.place));
                runs += 1;
                let found = run(&server, &program.source, &inputs);
                let is_so = match (&found, said.strip_prefix("error ")) {
                    (Ok(outputs), _) => {
                        serde_json::from_str::<Value>(said).is_ok_and(|said| said == *outputs)
                    }
                    // Of an error, a part says enough.
                    (Err(text), Some(part)) => text.starts_with("error ") && text.contains(part),
                    (Err(text), None) => text == said,
                };
                if !is_so {
                    problems.push(format!("{}: {claim}\n  found: {found:?}", program.place));
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(runs >= 60, "only {runs}");
}

#[test]
fn the_program_at_the_head_of_the_overview_runs() {
    let overview = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md");
    let overview = std::fs::read_to_string(overview).unwrap();
    let source = overview.split("```\n").nth(1).unwrap();
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).args(["--memory"]).start();
    let answer = server.post("/compile", &json!({ "name": "overview", "source": source })).json();
    assert_eq!(answer["diagnostics"], json!([]), "{answer}");
    let inputs = json!({ "order": { "sku": "DESK-2", "quantity": 12, "unitPrice": 22410 }, "discount": 0.5 });
    let outputs = json!({ "total": 134_460, "size": "medium", "text": "12 x DESK-2: 134460" });
    assert_eq!(run(&server, source, &inputs), Ok(outputs));
}
