//! Every route and every shape of error, without sockets.

mod auth;
mod changes;
mod conditions;
mod cors;
mod diff;
mod invoke;
mod limits;
mod listing;
mod members;
mod modules;
mod openapi;
mod overload;
mod prune;
mod restarts;
mod runs;
mod storage;
mod values;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use constellation_store_core::{Commit, Operation, PipelineStore};
use constellation_store_mem::InMemoryPipelineStore;
use futures_util::stream;
use serde_json::{Value, json};

use super::routes::{Access, Routes};
use super::{App, Auth, guarded};
use crate::builder::{ConstellationServer, DEFAULT_ADDRESS};
use crate::test_support::{
    RefusingStore, SHOUT, get, post, put, registry_with_parameter, send, server, server_over,
};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Compiles under a name, and gives the hash.
async fn publish(router: &Router, name: &str, source: &str) -> String {
    let answer = post(router, "/compile", json!({ "source": source, "name": name })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["structuralHash"].as_str().unwrap().to_owned()
}

async fn metric(router: &Router, name: &str) -> u64 {
    let text = get(router, "/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the metric is there");
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn compile_stores_names_and_answers_the_hashes() {
    let router = server().await.router();
    let answer = post(&router, "/compile", json!({ "source": SHOUT, "name": "shout" })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(
        keys(&body),
        [
            "success",
            "structuralHash",
            "syntacticHash",
            "dagName",
            "name",
            "errors",
            "diagnostics",
            "version",
            "changed",
            "previousHash",
            "dryRun"
        ]
    );
    assert_eq!((&body["version"], &body["changed"]), (&json!(1), &json!(true)));
    assert_eq!(body["success"], true);
    assert_eq!(body["structuralHash"].as_str().unwrap().len(), 64);
    assert_eq!(body["syntacticHash"].as_str().unwrap().len(), 64);
    assert_eq!((&body["dagName"], &body["name"]), (&json!("shout"), &json!("shout")));
    assert_eq!(body["errors"], json!([]));

    let again = post(&router, "/compile", json!({ "source": SHOUT, "dagName": "older" })).await;
    assert_eq!(again.json()["structuralHash"], body["structuralHash"], "the name is not in the hash");
    assert_eq!(again.json()["name"], "older");
    let unnamed = post(&router, "/compile", json!({ "source": SHOUT, "name": null })).await;
    assert_eq!(unnamed.json()["name"], Value::Null);
    assert_eq!(unnamed.header("etag"), None);
    assert_eq!((&unnamed.json()["version"], &unnamed.json()["changed"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn errors_of_a_program_tell_where_they_are() {
    let router = server().await.router();
    let answer = post(&router, "/compile", json!({ "source": "in a: Int\nb = c + 1\nout b" })).await;
    assert_eq!(answer.status, 400);
    let body = answer.json();
    assert_eq!(body["success"], false);
    assert_eq!(body["structuralHash"], Value::Null);
    assert_eq!(body["errors"].as_array().unwrap().len(), 1, "{body}");
    let diagnostic = &body["diagnostics"][0];
    assert_eq!(keys(diagnostic), ["severity", "code", "message", "line", "column", "span", "suggestion"]);
    assert_eq!((&diagnostic["code"], &diagnostic["severity"]), (&json!("E001"), &json!("error")));
    assert_eq!((&diagnostic["line"], &diagnostic["column"]), (&json!(2), &json!(5)));
    assert_eq!(diagnostic["span"], json!({ "start": 14, "end": 15 }));
    assert_eq!(diagnostic["message"], body["errors"][0]);

    let answer = post(&router, "/run", json!({ "source": "out nothing", "inputs": {} })).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["compilationErrors"].as_array().unwrap().len(), 1);
    assert_eq!(answer.json()["diagnostics"][0]["code"], "E001");
}

#[tokio::test]
async fn malformed_requests_are_the_client_s_fault() {
    let router = server().await.router();
    for body in ["", "{", "[]", "{\"source\": 1}", "{\"name\": \"x\"}", "nonsense"] {
        let answer = post(&router, "/compile", body).await;
        assert_eq!(answer.status, 400, "{body}");
        let error = answer.json()["errors"][0].as_str().unwrap().to_owned();
        assert!(
            error.starts_with("Invalid request: expected JSON body with 'source' field"),
            "{body}: {error}"
        );
        for route in ["/execute", "/run"] {
            let answer = post(&router, route, body).await;
            assert_eq!(answer.status, 400, "{route} {body}");
            assert_eq!(answer.json()["success"], false);
            assert!(answer.json()["error"].as_str().unwrap().starts_with("Invalid request: "));
        }
        let answer = put(&router, "/pipelines/x/alias", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["error"], "InvalidRequest");
    }
    // The members' values in their order are not the members.
    for (route, body) in [
        ("/compile", json!([SHOUT, "shout", null])),
        ("/execute", json!(["shout", null, { "text": "a" }])),
        ("/run", json!([SHOUT, { "text": "a" }])),
    ] {
        let answer = post(&router, route, body).await;
        assert_eq!(answer.status, 400, "{route}");
        assert!(answer.text.contains("the body is not a JSON object"), "{}", answer.text);
    }
    assert_eq!(get(&router, "/pipelines").await.json()["pipelines"], json!([]), "nothing was stored");
    let deep = format!("{{\"ref\":\"x\",\"inputs\":{{\"a\":{}1{}}}}}", "[".repeat(500), "]".repeat(500));
    assert_eq!(post(&router, "/execute", deep).await.status, 400);
    let answer = post(&router, "/compile", json!({ "source": SHOUT, "name": "../etc" })).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["errors"][0].as_str().unwrap().contains("'..'"));
}

#[tokio::test]
async fn run_answers_in_the_shape_of_the_reference() {
    let router = server().await.router();
    let source = "in a: Int\nin b: Int\nc = add(a, b)\nout c";
    let answer = post(&router, "/run", json!({ "source": source, "inputs": { "a": 2, "b": 3 } })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut body = answer.json();
    let execution = body["executionId"].take();
    assert_eq!(execution.as_str().unwrap().len(), 36);
    let hash = body["structuralHash"].take();
    assert_eq!(hash.as_str().unwrap().len(), 64);
    assert_eq!(
        body.to_string(),
        r#"{"success":true,"outputs":{"c":5},"structuralHash":null,"compilationErrors":[],"error":null,"status":"completed","executionId":null,"missingInputs":null,"pendingOutputs":null,"resumptionCount":0,"diagnostics":[],"errors":[],"pendingReasons":null,"metadata":null,"computedNodes":null}"#
    );
    assert_eq!(metric(&router, "constellation_executions_total{status=\"completed\"}").await, 1);
}

#[tokio::test]
async fn a_known_program_is_not_compiled_again_and_still_gets_its_name() {
    let server = server().await;
    let router = server.router();
    let run = json!({ "source": SHOUT, "inputs": { "text": "hi" } });
    let hash = post(&router, "/run", &run).await.json()["structuralHash"].clone();
    assert_eq!(post(&router, "/run", &run).await.json()["structuralHash"], hash);
    let commented = format!("# a comment\n{SHOUT}  # and layout\n");
    assert_eq!(publish(&router, "shout", &commented).await, hash);
    assert_eq!(metric(&router, "constellation_compilations_total").await, 1);
    assert_eq!(metric(&router, "constellation_store_images").await, 1);
    let answer = post(&router, "/execute", json!({ "ref": "shout", "inputs": { "text": "hi" } })).await;
    assert_eq!(answer.json()["outputs"], json!({ "loud": "HI" }));

    // The source as it was published is retained, comments and all.
    let store = server.service().store();
    let history = store.versions(&"shout".parse().unwrap()).await.unwrap().unwrap();
    let source = store.source(&history.versions[0].source_hash.unwrap()).await.unwrap();
    assert_eq!(source.as_deref(), Some(commented.as_str()));
}

#[tokio::test]
async fn one_program_that_many_ask_for_is_compiled_once() {
    let router = server().await.router();
    let run = json!({ "source": SHOUT, "inputs": { "text": "hi" } }).to_string();
    let calls = (0..16).map(|_| post(&router, "/run", &run));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.json()["outputs"], json!({ "loud": "HI" }));
    }
    assert_eq!(metric(&router, "constellation_compilations_total").await, 1);
}

#[tokio::test]
async fn a_pipeline_answers_by_name_and_by_every_form_of_its_hash() {
    let router = server().await.router();
    let hash = publish(&router, "team/shout", SHOUT).await;
    for reference in
        ["team/shout".to_owned(), hash.clone(), format!("sha256:{hash}"), format!("blake3:{hash}")]
    {
        let answer = post(&router, "/execute", json!({ "ref": reference, "inputs": { "text": "hi" } })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["outputs"], json!({ "loud": "HI" }));
        let path = format!("/pipelines/{}", reference.replace('/', "%2F"));
        assert_eq!(get(&router, &path).await.json()["structuralHash"], hash, "{path}");
    }
    let older =
        post(&router, "/execute", json!({ "dagName": "team/shout", "inputs": { "text": "a" } })).await;
    assert_eq!(older.json()["status"], "completed");
}

#[tokio::test]
async fn references_that_lead_nowhere() {
    let router = server().await.router();
    let answer = post(&router, "/execute", json!({ "ref": "nope", "inputs": {} })).await;
    assert_eq!(answer.status, 404);
    let body = answer.json();
    assert_eq!(keys(&body), ["error", "message", "requestId"]);
    assert_eq!((&body["error"], &body["message"]), (&json!("NotFound"), &json!("Pipeline 'nope' not found")));
    assert_eq!(body["requestId"].as_str(), answer.header("x-request-id"));

    let hash = "a".repeat(64);
    assert_eq!(post(&router, "/execute", json!({ "ref": hash, "inputs": {} })).await.status, 404);
    for reference in ["", "  ", "a//b", &hash.to_uppercase(), &format!("md5:{hash}")] {
        let answer = post(&router, "/execute", json!({ "ref": reference, "inputs": {} })).await;
        assert_eq!(answer.status, 400, "{reference:?}");
        assert!(answer.json()["error"].as_str().unwrap().starts_with("Invalid ref: "), "{reference:?}");
    }
    let answer = post(&router, "/execute", json!({ "inputs": {} })).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"], "Missing 'ref' field: the name or the hash of a pipeline");
}

#[tokio::test]
async fn partial_inputs_suspend_and_tell_what_is_missing() {
    let router = server().await.router();
    publish(&router, "shout", SHOUT).await;
    let answer = post(&router, "/execute", json!({ "ref": "shout", "inputs": {} })).await;
    assert_eq!(answer.status, 200);
    let mut body = answer.json();
    assert!(body["executionId"].take().is_string());
    assert_eq!(
        body.to_string(),
        r#"{"success":true,"outputs":{},"error":null,"status":"suspended","executionId":null,"missingInputs":{"text":"CString"},"pendingOutputs":["loud"],"resumptionCount":0,"errors":[],"pendingReasons":null,"metadata":null,"computedNodes":null}"#
    );
    assert_eq!(metric(&router, "constellation_executions_total{status=\"suspended\"}").await, 1);

    let optional = "in note: Optional<String>\nin n: Int\na = note ?? \"none\"\nout a\nout n";
    let answer = post(&router, "/run", json!({ "source": optional, "inputs": { "n": 1 } })).await;
    assert_eq!(answer.json()["outputs"], json!({ "a": "none", "n": 1 }), "an absent optional is none");
}

#[tokio::test]
async fn inputs_that_do_not_fit_are_told_by_name() {
    let router = server().await.router();
    publish(&router, "shout", SHOUT).await;
    for (inputs, kind, message) in [
        (json!({ "text": 5 }), "InvalidInput", "Input 'text': field 'text': expected String, got number"),
        (json!({ "txet": "hi" }), "UnknownInput", "Unknown input 'txet'; did you mean 'text'?"),
        (json!({ "zzz": "hi" }), "UnknownInput", "Unknown input 'zzz'; there are: text"),
    ] {
        for (path, body) in [
            ("/execute", json!({ "ref": "shout", "inputs": inputs })),
            ("/run", json!({ "source": SHOUT, "inputs": inputs })),
        ] {
            let answer = post(&router, path, body).await;
            assert_eq!(answer.status, 400);
            let answer = answer.json();
            assert_eq!(answer["error"], format!("Input error: {message}"));
            assert_eq!(
                (&answer["errors"][0]["kind"], &answer["errors"][0]["message"]),
                (&json!(kind), &json!(message))
            );
            assert_eq!(answer["status"], Value::Null);
        }
    }
}

#[tokio::test]
async fn a_run_takes_no_parameters() {
    let router = server().await.router();
    // As if it were a change: it would run.
    for path in ["/run?dry_run=true", "/execute?dry_run=true", "/run?x", "/modules/any/invoke?dry_run=true"] {
        let answer = post(&router, path, json!({ "ref": "shout", "source": SHOUT, "inputs": {} })).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.json()["error"], "InvalidParameter", "{path}");
    }
    assert_eq!(get(&router, "/pipelines").await.json()["pipelines"], json!([]));
}

#[tokio::test]
async fn who_misses_a_route_is_told_how_to_find_it() {
    let router = server().await.router();
    for (path, hint) in [
        ("/", "GET /openapi.json"),
        ("/compile/", "there may be /compile"),
        ("/pipelines/team/a/b", "%2F"),
        ("/nothing", "There is no route /nothing"),
    ] {
        let message = get(&router, path).await.json()["message"].to_string();
        assert!(message.contains(hint), "{path}: {message}");
    }
    let message = get(&router, "/compile").await.json()["message"].to_string();
    assert!(message.contains("it takes POST"), "{message}");
}

#[tokio::test]
async fn a_run_that_fails_says_where_and_keeps_what_came_about() {
    let router = server().await.router();
    let source = "in a: Int\nratio = 1 / a\nout a\nout ratio";
    let answer = post(&router, "/run", json!({ "source": source, "inputs": { "a": 0 } })).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!((&body["success"], &body["status"]), (&json!(false), &json!("failed")));
    assert_eq!(body["outputs"], json!({ "a": 0 }));
    assert_eq!(body["pendingOutputs"], json!(["ratio"]));
    let error = body["error"].as_str().unwrap();
    assert!(
        error.starts_with("'ratio' failed: Division by zero") && error.ends_with("(line 2, column 9)"),
        "{error}"
    );
    assert_eq!(metric(&router, "constellation_executions_total{status=\"failed\"}").await, 1);
}

#[tokio::test]
async fn an_error_is_placed_in_the_source_that_the_name_was_published_from() {
    let router = server().await.router();
    let source = "in a: Int\nratio = 1 / a\nout ratio";
    let hash = publish(&router, "ratio", source).await;
    let error_of = async |reference: &str| {
        let run = json!({ "ref": reference, "inputs": { "a": 0 } });
        post(&router, "/execute", run).await.json()["error"].as_str().unwrap().to_owned()
    };
    assert!(error_of("ratio").await.ends_with("(line 2, column 9)"));
    publish(&router, "ratio", &format!("# one line more\n{source}")).await;
    assert!(error_of(&hash).await.ends_with("(line 2, column 9)"), "by hash: the first source");
    assert_eq!(metric(&router, "constellation_compilations_total").await, 1);
}

#[tokio::test]
async fn outputs_are_written_by_their_types() {
    let router = server().await.router();
    let source = "in f: Float\nin m: Map<String, Int>\nin o: Optional<Int>\nr = { f: f, m: m }\nout r\nout o";
    let inputs = json!({ "f": 3, "m": { "k": 1 }, "o": null });
    let answer = post(&router, "/run", json!({ "source": source, "inputs": inputs })).await;
    assert!(answer.text.contains(r#""outputs":{"o":null,"r":{"f":3.0,"m":{"k":1}}}"#), "{}", answer.text);
}

#[tokio::test]
async fn bodies_are_bounded_as_they_arrive() {
    let router = server().await.router();
    let request = Request::post("/run").header("content-length", "10485761").body(Body::empty()).unwrap();
    let answer = send(&router, request).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["error"], "PayloadTooLarge");
    assert_eq!(answer.json()["message"], "Request body too large: 10485761 bytes (max 10485760)");

    for (method, path) in [
        ("POST", "/compile"),
        ("POST", "/execute"),
        ("PUT", "/pipelines/x/alias"),
        ("POST", "/pipelines/x/reload"),
    ] {
        let chunks = (0..11).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1024 * 1024])));
        let body = Body::from_stream(stream::iter(chunks));
        let request = Request::builder().method(method).uri(path).body(body).unwrap();
        assert_eq!(send(&router, request).await.status, 413, "{path} without a length");
    }
    let text = format!("{{\"source\":\"out x\",\"inputs\":{{}}}}{}", " ".repeat(10_485_760));
    let request = Request::post("/run").body(Body::from(text[..10_485_760].to_owned())).unwrap();
    assert_eq!(send(&router, request).await.status, 400, "a body of the limit is read");
}

#[tokio::test]
async fn encoded_bodies_are_refused() {
    let router = server().await.router();
    for (encoding, status) in [("gzip", 415), ("br", 415), ("identity", 400)] {
        let request =
            Request::post("/run").header("content-encoding", encoding).body(Body::from("x")).unwrap();
        assert_eq!(send(&router, request).await.status, status, "{encoding}");
        let request = Request::post("/pipelines/x/reload").header("content-encoding", encoding);
        let answer = send(&router, request.body(Body::from("x")).unwrap()).await;
        assert_eq!(answer.status, status, "reload, {encoding}");
    }
}

#[tokio::test]
async fn a_request_keeps_its_id_if_it_is_harmless() {
    let router = server().await.router();
    let with_id = |id: &str| Request::get("/nope").header("x-request-id", id).body(Body::empty()).unwrap();
    let answer = send(&router, with_id("abc-1")).await;
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    assert_eq!(answer.json()["requestId"], "abc-1");
    for id in ["with space", &"x".repeat(65), ""] {
        let answer = send(&router, with_id(id)).await;
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{id:?}");
    }
    assert_eq!(get(&router, "/live").await.header("x-request-id").unwrap().len(), 36);
}

#[tokio::test]
async fn a_pipeline_is_shown_with_its_modules_and_schemas() {
    let router = server().await.router();
    let hash = publish(&router, "shout", SHOUT).await;
    let answer = get(&router, "/pipelines/shout").await;
    assert_eq!(answer.header("etag"), Some("\"1\""));
    let body = answer.json();
    assert_eq!(
        keys(&body),
        [
            "structuralHash",
            "syntacticHash",
            "aliases",
            "compiledAt",
            "modules",
            "declaredOutputs",
            "inputSchema",
            "outputSchema",
            "loadError"
        ]
    );
    assert_eq!(body["structuralHash"], hash);
    assert_eq!(body["aliases"], json!(["shout"]));
    assert_eq!(body["inputSchema"], json!({ "text": "CString" }));
    assert_eq!(body["outputSchema"], json!({ "loud": "CString" }));
    let module = &body["modules"][0];
    assert_eq!(keys(module), ["name", "description", "version", "inputs", "outputs"]);
    assert_eq!((&module["name"], &module["inputs"]), (&json!("Uppercase"), &json!({ "text": "CString" })));
    assert_eq!(get(&router, "/pipelines/nope").await.status, 404);
    assert_eq!(get(&router, "/pipelines/a%00b").await.status, 400);
}

#[tokio::test]
async fn a_name_can_be_pointed_to_another_image() {
    let router = server().await.router();
    let first = publish(&router, "scoring", "in a: Int\nb = a + 1\nout b").await;
    let second = publish(&router, "scoring", "in a: Int\nb = a + 2\nout b").await;
    let run = json!({ "ref": "scoring", "inputs": { "a": 1 } });
    assert_eq!(post(&router, "/execute", &run).await.json()["outputs"], json!({ "b": 3 }));
    let answer = put(&router, "/pipelines/scoring/alias", json!({ "structuralHash": first })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("etag"), Some("\"3\""));
    let body = answer.json();
    assert_eq!((&body["name"], &body["structuralHash"]), (&json!("scoring"), &json!(first)));
    assert_eq!(post(&router, "/execute", &run).await.json()["outputs"], json!({ "b": 2 }));

    let slashed = format!("sha256:{second}");
    let answer = put(&router, "/pipelines/team%2Fscoring/alias", json!({ "structuralHash": slashed })).await;
    assert_eq!(answer.json()["name"], "team/scoring");
    let missing = "0".repeat(64);
    let answer = put(&router, "/pipelines/x/alias", json!({ "structuralHash": missing })).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["message"], format!("Pipeline with hash '{missing}' not found"));
    let answer = put(&router, "/pipelines/x/alias", json!({ "structuralHash": "scoring" })).await;
    assert_eq!(answer.status, 400);
    let answer = put(&router, "/pipelines/..%2Fx/alias", json!({ "structuralHash": first })).await;
    assert_eq!(answer.json()["error"], "InvalidName");
}

#[tokio::test]
async fn a_condition_that_does_not_hold_changes_nothing() {
    let router = server().await.router();
    let source = |number: u32| json!({ "source": format!("x = {number}\nout x"), "name": "n" });
    let compile = |number: u32, header: &str, value: &str| {
        Request::post("/compile").header(header, value).body(Body::from(source(number).to_string())).unwrap()
    };
    let first = publish(&router, "n", "x = 1\nout x").await;
    assert_eq!(send(&router, compile(2, "if-match", "\"1\"")).await.header("etag"), Some("\"2\""));

    for request in [compile(3, "if-match", "\"1\""), compile(3, "if-none-match", "*")] {
        let answer = send(&router, request).await;
        assert_eq!(answer.status, 412, "{}", answer.text);
        let body = answer.json();
        assert_eq!(body["error"], "PreconditionFailed");
        assert!(
            body["message"].as_str().unwrap().starts_with("The active version of 'n' is 2, not "),
            "{body}"
        );
    }
    let alias = |value: &str| {
        let body = json!({ "structuralHash": first }).to_string();
        Request::put("/pipelines/n/alias").header("if-match", value).body(Body::from(body)).unwrap()
    };
    assert_eq!(send(&router, alias("\"1\"")).await.status, 412);
    assert_eq!(send(&router, alias("1")).await.status, 400);
    assert_eq!(get(&router, "/pipelines/n").await.header("etag"), Some("\"2\""));
    assert_eq!(send(&router, alias("\"2\"")).await.header("etag"), Some("\"3\""));

    let unnamed = json!({ "source": "x = 4\nout x" }).to_string();
    let unnamed = Request::post("/compile").header("if-match", "\"1\"").body(Body::from(unnamed)).unwrap();
    assert_eq!(send(&router, unnamed).await.status, 400);
}

#[tokio::test]
async fn an_image_that_was_removed_is_gone_although_it_was_loaded() {
    let server = server().await;
    let router = server.router();
    let run = json!({ "source": SHOUT, "inputs": { "text": "a" } });
    let hash = post(&router, "/run", &run).await.json()["structuralHash"].as_str().unwrap().to_owned();
    let execute = json!({ "ref": hash, "inputs": { "text": "a" } });
    assert_eq!(post(&router, "/execute", &execute).await.status, 200);
    let remove = Operation::RemoveImage { structural_hash: hash.parse().unwrap() };
    server.service().store().commit(Commit::new().then(remove)).await.unwrap();
    assert_eq!(post(&router, "/execute", &execute).await.status, 404);
    assert_eq!(get(&router, &format!("/pipelines/{hash}")).await.status, 404);
    // Running it again from its source stores it again.
    assert_eq!(post(&router, "/run", &run).await.status, 200);
    assert_eq!(post(&router, "/execute", &execute).await.status, 200);
}

#[tokio::test]
async fn health_and_readiness() {
    let server = server().await;
    let router = server.router();
    for (path, body) in [
        ("/health", json!({ "status": "ok" })),
        ("/health/live", json!({ "status": "alive" })),
        ("/live", json!({ "status": "alive" })),
        ("/health/ready", json!({ "status": "ready" })),
        ("/ready", json!({ "status": "ready" })),
    ] {
        let answer = get(&router, path).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, body), "{path}");
    }
    let verbose = get(&router, "/ready?verbose").await.json();
    assert_eq!(keys(&verbose), ["status", "draining", "store", "problems"]);
    assert_eq!(verbose["store"]["images"], 0);

    server.app().drain();
    for path in ["/ready", "/health/ready", "/ready?verbose"] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["status"], "not_ready");
    }
    assert_eq!(get(&router, "/health").await.status, 503);
    assert_eq!(get(&router, "/live").await.status, 200);
    assert_eq!(post(&router, "/run", json!({ "source": SHOUT, "inputs": {} })).await.status, 200);

    server.service().store().close().await.unwrap();
    let verbose = get(&router, "/ready?verbose").await;
    assert_eq!(verbose.status, 503);
    assert!(verbose.json()["store"]["error"].is_string());
}

#[tokio::test]
async fn a_server_is_not_ready_when_its_store_only_reads_and_says_why() {
    let refusing = Arc::new(RefusingStore::default());
    let store: Arc<dyn PipelineStore> = Arc::clone(&refusing) as _;
    let router = server_over(&store).await.router();
    publish(&router, "shout", SHOUT).await;
    assert_eq!(get(&router, "/ready").await.status, 200);
    assert_eq!(metric(&router, "constellation_store_read_only").await, 0);

    refusing.refuse();
    for path in ["/ready", "/health/ready", "/ready?verbose"] {
        let answer = get(&router, path).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (503, &json!("not_ready")), "{path}");
    }
    let verbose = get(&router, "/ready?verbose").await.json();
    assert_eq!(verbose["store"]["readOnly"], "the store was opened for reading only");
    assert_eq!(metric(&router, "constellation_store_read_only").await, 1);
    // Whoever asks is answered all the same, and a restart is for whoever decides it.
    let execute = json!({ "ref": "shout", "inputs": { "text": "a" } });
    assert_eq!(post(&router, "/execute", &execute).await.status, 200);
    assert_eq!(get(&router, "/health").await.status, 200);
    assert_eq!(get(&router, "/live").await.status, 200);

    // A server that is started over a store that only reads is there to read.
    let router = server_over(&store).await.router();
    assert_eq!(get(&router, "/ready").await.status, 200);
    assert_eq!(post(&router, "/execute", &execute).await.status, 200);
}

#[tokio::test]
async fn the_check_of_all_names_keeps_no_image_in_memory() {
    let counting = Arc::new(RefusingStore::default());
    let store: Arc<dyn PipelineStore> = Arc::clone(&counting) as _;
    let old = ConstellationServer::builder(registry_with_parameter("value")).with_store(Arc::clone(&store));
    let router = old.build().await.unwrap().router();
    for number in 0..20 {
        let source = format!("in a: Int\nb = a + {number}\nout b");
        publish(&router, &format!("n/{number}"), &source).await;
    }
    publish(&router, "twice", "in a: Int\nb = double(a)\nout b").await;

    // Another process, as it were: nothing is loaded, and one pipeline does not fit its modules.
    let new = ConstellationServer::builder(registry_with_parameter("number")).with_store(Arc::clone(&store));
    let server = new.build().await.unwrap();
    let before = counting.gets();
    server.service().check_all().await.unwrap();
    let kept = counting.gets() - before;
    assert!(kept <= 3, "only the one that is compiled again is kept: {kept}");
    assert_eq!(metric(&server.router(), "constellation_compilations_total").await, 1, "it was found");
    let before = counting.gets();
    server.service().check_all().await.unwrap();
    assert_eq!(counting.gets(), before);
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let router = server().await.router();
    let answer = get(&router, "/nope?x=1").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"], "NotFound");
    let answer = get(&router, "/run").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.json()["error"], "MethodNotAllowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    for path in ["/pipelines/x/reload", "/pipelines/x/rollback", "/pipelines/x/rollback/1"] {
        assert_eq!(get(&router, path).await.status, 405, "{path}");
    }
    for path in [
        "/pipelines/x",
        "/pipelines/x/versions",
        "/pipelines/x/versions/1",
        "/pipelines/x/diff/y",
        "/modules",
    ] {
        assert_eq!(post(&router, path, "").await.status, 405, "{path}");
    }
    let text = get(&router, "/metrics").await.text;
    assert!(text.contains(r#"route="unmatched",method="GET",status="404""#), "{text}");
    assert!(!text.contains("/nope"), "a path that a client invents is no label");
}

#[tokio::test]
async fn a_panic_in_a_handler_is_a_500_and_the_process_lives() {
    async fn panics() -> &'static str {
        panic!("on purpose");
    }
    let server = server().await;
    let app: Arc<App> = Arc::clone(server.app());
    let declaring = Routes::default().get("/panic", Access::Open, panics);
    let router = guarded(declaring, &app, Auth::default(), DEFAULT_ADDRESS)();
    let router = Router::new().fallback_service(router);
    let answer = get(&router, "/panic").await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["error"], "InternalError");
    assert!(!answer.text.contains("on purpose"));
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(get(&server.router(), "/live").await.status, 200);
}

#[tokio::test]
async fn an_image_that_is_run_by_its_hash_is_read_once() {
    let store = Arc::new(RefusingStore::default());
    let over = Arc::clone(&store) as Arc<dyn PipelineStore>;
    let hash = publish(&server_over(&over).await.router(), "shout", SHOUT).await;
    let router = server_over(&over).await.router();
    let before = store.gets();
    let run = json!({ "ref": hash, "inputs": { "text": "a" } });
    assert_eq!(post(&router, "/execute", &run).await.json()["outputs"], json!({ "loud": "A" }));
    assert_eq!(store.gets(), before + 1);
}

#[tokio::test]
async fn a_store_that_only_reads_serves_what_it_knows() {
    let refusing = Arc::new(RefusingStore::default());
    let store: Arc<dyn PipelineStore> = Arc::clone(&refusing) as _;
    let router = server_over(&store).await.router();
    publish(&router, "shout", SHOUT).await;
    refusing.refuse();
    let run = json!({ "source": SHOUT, "inputs": { "text": "a" } });
    assert_eq!(post(&router, "/run", &run).await.status, 200);
    let run = json!({ "ref": "shout", "inputs": { "text": "a" } });
    assert_eq!(post(&router, "/execute", &run).await.status, 200);
    let new = json!({ "source": "in a: Int\nout a", "inputs": { "a": 1 } });
    let answer = post(&router, "/run", &new).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"], "ReadOnly");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!answer.text.contains("/secret"), "paths of this machine are for the log");
    let compile = json!({ "source": new["source"] });
    assert_eq!(post(&router, "/compile", compile).await.status, 503);
}

#[tokio::test]
async fn a_pipeline_that_no_longer_loads_is_compiled_again_as_a_new_version() {
    let store: Arc<dyn PipelineStore> = Arc::new(InMemoryPipelineStore::new());
    let over = |parameter: &str| {
        let builder = ConstellationServer::builder(registry_with_parameter(parameter));
        builder.with_store(Arc::clone(&store)).build()
    };
    let old = over("value").await.unwrap().router();
    let old_hash = publish(&old, "twice", "in a: Int\nb = double(a)\nout b").await;

    let server = over("number").await.unwrap();
    let new = server.router();
    let run = json!({ "ref": "twice", "inputs": { "a": 4 } });
    let answer = post(&new, "/execute", &run).await;
    assert_eq!(answer.json()["outputs"], json!({ "b": 8 }), "{}", answer.text);
    assert_eq!(metric(&new, "constellation_compilations_total").await, 1);
    let shown = get(&new, "/pipelines/twice").await;
    assert_eq!(shown.header("etag"), Some("\"2\""));
    assert_ne!(shown.json()["structuralHash"], old_hash);

    // The old image is what its hash says; it does not become something else.
    let by_hash = post(&new, "/execute", json!({ "ref": old_hash, "inputs": { "a": 4 } })).await;
    assert_eq!(by_hash.status, 500);
    assert_eq!(by_hash.json()["error"], "PipelineNotLoadable");
}

#[tokio::test]
async fn all_names_whose_images_cannot_be_read_are_problems_until_they_run() {
    let store = Arc::new(RefusingStore::default());
    let shared: Arc<dyn PipelineStore> = store.clone();
    let old = server_over(&shared).await;
    for (name, source) in [("one", "in a: Int\nout a"), ("two", "in b: Int\nout b")] {
        publish(&old.router(), name, source).await;
    }
    let server = server_over(&shared).await;
    let router = server.router();
    store.set_unreadable(true);
    server.service().check_all().await.unwrap();
    let ready = get(&router, "/ready?verbose").await.json();
    assert_eq!(keys(&ready["problems"]), ["one", "two"]);
    assert!(ready["problems"]["one"].as_str().unwrap().contains("permission is denied"), "{ready}");
    assert_eq!(metric(&router, "constellation_pipeline_problems").await, 2);
    let run = json!({ "ref": "one", "inputs": { "a": 4 } });
    assert_eq!(post(&router, "/execute", &run).await.status, 503);
    store.set_unreadable(false);
    assert_eq!(post(&router, "/execute", &run).await.status, 200);
    assert_eq!(keys(&get(&router, "/ready?verbose").await.json()["problems"]), ["two"]);
    assert_eq!(metric(&router, "constellation_pipeline_problems").await, 1);
}

#[tokio::test]
async fn a_pipeline_without_source_stays_listed_with_the_reason() {
    let store: Arc<dyn PipelineStore> = Arc::new(InMemoryPipelineStore::new());
    let builder = ConstellationServer::builder(registry_with_parameter("value"));
    let old = builder.build().await.unwrap();
    let hash = publish(&old.router(), "twice", "in a: Int\nb = double(a)\nout b").await;
    // As if copied by hand: the image alone, which does not know its source.
    let image = old.service().store().get(&hash.parse().unwrap()).await.unwrap().unwrap();
    let mut image = (*image).clone();
    image.metadata.source_hash = None;
    store.commit(Commit::new().then(Operation::PutImage(Arc::new(image)))).await.unwrap();

    let builder = ConstellationServer::builder(registry_with_parameter("number"));
    let server = builder.with_store(Arc::clone(&store)).build().await.unwrap();
    let router = server.router();
    put(&router, "/pipelines/twice/alias", json!({ "structuralHash": hash })).await;
    server.service().check_all().await.unwrap();
    let answer = post(&router, "/execute", json!({ "ref": "twice", "inputs": { "a": 4 } })).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["error"], "PipelineNotLoadable");
    let listed = get(&router, "/pipelines").await.json();
    let reason = listed["pipelines"][0]["loadError"].as_str().unwrap();
    assert!(reason.contains("'Double'") && reason.contains("source"), "{reason}");
    let ready = get(&router, "/ready?verbose").await;
    assert_eq!(ready.status, 200, "one bad pipeline does not make the server unready");
    assert_eq!(ready.json()["problems"]["twice"], reason);
}
