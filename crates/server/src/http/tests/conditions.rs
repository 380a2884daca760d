//! Conditions and dry runs of everything that changes something.

use std::fs;

use axum::Router;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::publish;
use crate::builder::ConstellationServer;
use crate::test_support::{Answer, call, content, get, server};

/// A program whose output is this number.
fn constant(number: u32) -> String {
    format!("x = {number}\nout x")
}

/// The requests that change the name `n`, each with its body. Each would make another version active, or none; but for
/// the last, which keeps ten versions.
fn changes(hash: &str) -> [(&'static str, &'static str, String); 7] {
    let named = json!({ "source": constant(9), "name": "n" }).to_string();
    let source = json!({ "source": constant(9) }).to_string();
    let alias = json!({ "structuralHash": hash }).to_string();
    [
        ("POST", "/compile", named),
        ("POST", "/pipelines/n/reload", source),
        ("PUT", "/pipelines/n/alias", alias),
        ("POST", "/pipelines/n/rollback", String::new()),
        ("POST", "/pipelines/n/rollback/1", String::new()),
        ("DELETE", "/pipelines/n", String::new()),
        ("POST", "/pipelines/n/prune", String::new()),
    ]
}

async fn answers(router: &Router, query: &str, headers: &[(&str, &str)], hash: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (method, path, body) in changes(hash) {
        answers.push(call(router, method, &format!("{path}{query}"), headers, body).await);
    }
    answers
}

#[tokio::test]
async fn a_condition_that_does_not_hold_is_answered_with_how_things_are() {
    let server = server().await;
    let router = server.router();
    let first = publish(&router, "n", &constant(1)).await;
    let second = publish(&router, "n", &constant(2)).await;
    let before = content(&**server.service().store()).await;
    for header in [("if-match", "\"1\""), ("if-match", "\"7\""), ("if-none-match", "*")] {
        for query in ["", "?dry_run=true"] {
            for answer in answers(&router, query, &[header], &first).await {
                assert_eq!(answer.status, 412, "{header:?} {}", answer.text);
                assert_eq!(answer.header("etag"), Some("\"2\""));
                let body = answer.json();
                assert_eq!(body["error"], "PreconditionFailed");
                let current = json!({ "name": "n", "activeVersion": 2, "structuralHash": second });
                assert_eq!(body["current"], current);
            }
        }
    }
    for header in [("if-match", "2"), ("if-match", "*"), ("if-none-match", "\"1\"")] {
        for answer in answers(&router, "", &[header], &first).await {
            assert_eq!(answer.status, 400, "{header:?} {}", answer.text);
            assert_eq!(answer.json()["error"], "InvalidCondition");
        }
    }
    assert_eq!(content(&**server.service().store()).await, before);
}

#[tokio::test]
async fn a_name_that_is_not_there_meets_no_condition_but_that() {
    let router = server().await.router();
    let hash = publish(&router, "other", &constant(1)).await;
    for answer in answers(&router, "", &[("if-match", "\"1\"")], &hash).await {
        assert_eq!(answer.status, 412, "{}", answer.text);
        assert_eq!(answer.header("etag"), None);
        let current = json!({ "name": "n", "activeVersion": null, "structuralHash": null });
        assert_eq!(answer.json()["current"], current);
    }
    let absent = [("if-none-match", "*")];
    let reload = json!({ "source": constant(1) });
    let answer = call(&router, "POST", "/pipelines/n/reload", &absent, &reload).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"1\"")));
    assert_eq!(call(&router, "DELETE", "/pipelines/gone", &absent, "").await.status, 404);
}

#[tokio::test]
async fn a_condition_that_holds_lets_the_change_be_made() {
    let router = server().await.router();
    publish(&router, "n", &constant(1)).await;
    let hash = publish(&router, "n", &constant(2)).await;
    let alias = json!({ "structuralHash": hash });
    let reload = json!({ "source": constant(3) });
    for (method, path, active, body, next) in [
        ("POST", "/pipelines/n/rollback", "\"2\"", &Value::Null, Some("\"1\"")),
        ("POST", "/pipelines/n/rollback/2", "\"1\"", &Value::Null, Some("\"2\"")),
        ("POST", "/pipelines/n/reload", "\"2\"", &reload, Some("\"3\"")),
        ("PUT", "/pipelines/n/alias", "\"3\"", &alias, Some("\"4\"")),
        ("DELETE", "/pipelines/n", "\"4\"", &Value::Null, None),
    ] {
        let answer = call(&router, method, path, &[("if-match", active)], body).await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, next), "{path} {}", answer.text);
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_the_change_then_does() {
    let router = server().await.router();
    let first = publish(&router, "n", &constant(1)).await;
    publish(&router, "n", &constant(2)).await;
    let told = answers(&router, "?dry_run=true", &[], &first).await;
    for answer in &told {
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"2\"")), "{}", answer.text);
        assert_eq!(answer.json()["dryRun"], true);
    }
    // Each by itself, from the same state.
    for ((method, path, body), told) in changes(&first).into_iter().zip(told) {
        let router = server().await.router();
        publish(&router, "n", &constant(1)).await;
        publish(&router, "n", &constant(2)).await;
        let mut done = call(&router, method, path, &[], body).await.json();
        done["dryRun"] = json!(true);
        assert_eq!(done, told.json(), "{method} {path}");
    }
}

/// Each file below a directory, with its bytes.
fn bytes_below(directory: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                files.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn a_dry_run_changes_no_byte_of_the_store() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let start = async || {
        let builder = ConstellationServer::builder(constellation_stdlib::registry());
        builder.with_persistent_pipeline_store(&path).build().await.unwrap()
    };
    let server = start().await;
    let router = server.router();
    let first = publish(&router, "n", &constant(1)).await;
    publish(&router, "n", &constant(2)).await;
    let unnamed = json!({ "source": constant(3) });
    let unused = call(&router, "POST", "/compile", &[], &unnamed).await.json()["structuralHash"].clone();
    server.service().store().close().await.unwrap();

    // What opening and closing write has nothing to do with what is asked in between.
    let server = start().await;
    server.service().store().close().await.unwrap();
    let before = bytes_below(&path);
    let server = start().await;
    let router = server.router();
    let content_before = content(&**server.service().store()).await;
    for answer in answers(&router, "?dry_run=true", &[], &first).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let unnamed = json!({ "source": constant(4) });
    let answer = call(&router, "POST", "/compile?dry_run=true", &[], &unnamed).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["dryRun"]), (200, &json!(true)));
    let hash = unused.as_str().unwrap();
    let answer = call(&router, "DELETE", &format!("/pipelines/{hash}?dry_run=true"), &[], "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["deleted"]), (200, &json!(true)));
    assert_eq!(get(&router, &format!("/pipelines/{hash}")).await.status, 200);
    assert_eq!(content(&**server.service().store()).await, content_before);
    server.service().store().close().await.unwrap();
    assert!(bytes_below(&path) == before, "a file changed");
}
