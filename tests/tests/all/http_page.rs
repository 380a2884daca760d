//! `docs/http.md`: every command, in its order, and the answers that it shows.

use std::fs;
use std::path::Path;
use std::process::Command;

use constellation_tests::Launch;
use serde_json::Value;
use tempfile::TempDir;

/// The commands of the page, each with the answer that is shown behind it.
fn shown(page: &str) -> Vec<(&str, Value)> {
    let mut blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let mut commands = Vec::new();
    while let Some((language, text)) = blocks.next() {
        if language != "sh" || !text.starts_with("curl ") {
            continue;
        }
        let Some(("json", answer)) = blocks.next() else { panic!("no answer is shown behind {text}") };
        let answer = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        commands.push((text, answer));
    }
    commands
}

/// Whether `answer` has all that is shown.
fn has(answer: &Value, shown: &Value) -> bool {
    match (answer, shown) {
        (Value::Object(answer), Value::Object(shown)) => {
            shown.iter().all(|(name, shown)| answer.get(name).is_some_and(|answer| has(answer, shown)))
        }
        (Value::Array(answer), Value::Array(shown)) => {
            answer.len() == shown.len() && answer.iter().zip(shown).all(|(answer, shown)| has(answer, shown))
        }
        (answer, shown) => answer == shown,
    }
}

#[test]
fn every_command_of_the_page_answers_as_it_shows() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs curl for this test; install it");
        println!("skipped: curl is not installed");
        return;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http.md");
    let page = fs::read_to_string(page).unwrap();
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).start();
    let commands = shown(&page);
    assert!(commands.len() >= 20, "{} commands were found", commands.len());
    for (command, expected) in commands {
        let command = command.replace("http://127.0.0.1:8080", server.url());
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{command}: {error}: {}", String::from_utf8_lossy(&output.stdout))
        });
        assert!(has(&answer, &expected), "{command}\nanswered {answer}\nand not    {expected}");
    }
}

#[test]
fn the_page_lists_every_code_of_an_error() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = fs::read_to_string(docs.join("http.md")).unwrap();
    let document: Value =
        serde_json::from_str(&fs::read_to_string(docs.join("openapi.json")).unwrap()).unwrap();
    let codes = document["components"]["schemas"]["ErrorCode"]["enum"].as_array().unwrap();
    assert!(codes.len() > 30, "{codes:?}");
    for code in codes {
        let code = code.as_str().unwrap();
        let rows = page.lines().filter(|line| line.starts_with('|') && line.contains(&format!("`{code}`")));
        assert_ne!(rows.count(), 0, "{code}");
    }
}
