//! What is said of a body that a route does not take: no member is passed over, and each refusal names its request.

use constellation_module::ModuleBuilder;
use serde_json::{Value, json};

use super::publish;
use crate::builder::ConstellationServer;
use crate::test_support::{SHOUT, call, get, post, server};

/// What a refusal says, in whatever shape the route has for one.
fn told(answer: &Value) -> String {
    let places = [&answer["errors"][0], &answer["error"], &answer["message"]];
    // The code of a refusal is one word.
    let texts = places.into_iter().filter_map(Value::as_str);
    texts.filter(|text| text.contains(' ')).collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn a_member_that_a_route_does_not_take_is_refused_and_nothing_is_done() {
    let router = server().await.router();
    let hash = publish(&router, "shout", SHOUT).await;
    let version = |answer: Value| answer["activeVersion"].clone();
    let before = version(get(&router, "/pipelines/shout/versions").await.json());
    let changed = "in text: String\nout text";
    for (method, path, body, message) in [
        (
            "POST",
            "/compile",
            json!({ "source": changed, "nmae": "shout" }),
            "unknown member 'nmae'; did you mean 'name'?",
        ),
        (
            "POST",
            "/compile",
            json!({ "source": changed, "name": "shout", "inputs": {} }),
            "unknown member 'inputs'; there are: source, name, dagName",
        ),
        (
            "POST",
            "/execute",
            json!({ "ref": "shout", "input": { "text": "a" } }),
            "unknown member 'input'; did you mean 'inputs'?",
        ),
        (
            "POST",
            "/run",
            json!({ "source": changed, "inputs": { "text": "a" }, "name": "shout" }),
            "unknown member 'name'; there are: source, inputs, options",
        ),
        (
            "PUT",
            "/pipelines/loud/alias",
            json!({ "structuralHash": hash, "hash": hash }),
            "unknown member 'hash'; there are: structuralHash",
        ),
        (
            "POST",
            "/pipelines/shout/reload",
            json!({ "sorce": changed }),
            "unknown member 'sorce'; did you mean 'source'?",
        ),
    ] {
        let answer = call(&router, method, path, &[], &body).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        assert_eq!(told(&answer.json()), format!("Invalid request: {message}"), "{path}");
    }
    assert_eq!(version(get(&router, "/pipelines/shout/versions").await.json()), before);
    assert_eq!(get(&router, "/pipelines/loud").await.status, 404);
    let stored = get(&router, "/pipelines").await.json();
    assert_eq!(stored["pipelines"].as_array().unwrap().len(), 1, "{stored}");
}

#[tokio::test]
async fn the_older_names_of_members_are_taken() {
    let router = server().await.router();
    let compiled = post(&router, "/compile", json!({ "source": SHOUT, "dagName": "shout" })).await;
    assert_eq!(compiled.json()["name"], "shout");
    let ran = post(&router, "/execute", json!({ "dagName": "shout", "inputs": { "text": "a" } })).await;
    assert_eq!(ran.json()["outputs"], json!({ "loud": "A" }));
}

#[tokio::test]
async fn the_first_member_that_does_not_fit_is_told_unless_the_body_is_broken() {
    let router = server().await.router();
    let long = format!("{{\"{}\":1}}", "x".repeat(5_000));
    for (body, message) in [
        (long.as_str(), &*format!("unknown member '{}'; there are: source, name, dagName", "x".repeat(80))),
        (r#"{"source":"out a","source":"out b"}"#, "member 'source' is given twice"),
        (r#"{"source":5,"nmae":"x"}"#, "unknown member 'nmae'; did you mean 'name'?"),
    ] {
        let answer = post(&router, "/compile", body).await;
        assert_eq!(answer.status, 400);
        assert_eq!(told(&answer.json()), format!("Invalid request: {message}"));
    }
    let broken = post(&router, "/compile", r#"{"nmae":"x","source":"#).await;
    let message = told(&broken.json());
    assert!(message.starts_with("Invalid request: expected JSON body with 'source' field: "), "{message}");
    assert!(message.contains("EOF"), "{message}");
}

#[tokio::test]
async fn an_option_that_does_not_fit_is_told_by_its_name() {
    let router = server().await.router();
    publish(&router, "shout", SHOUT).await;
    for (options, message) in [
        (json!({ "includeTiming": true }), "unknown option 'includeTiming'; did you mean 'includeTimings'?"),
        (json!({ "timeoutMs": 0 }), "option 'timeoutMs' is a whole number from 1, got 0"),
        (json!({ "timeoutMs": "5" }), "option 'timeoutMs' is a whole number from 1, got \"5\""),
        (json!({ "timeoutMs": 1.5 }), "option 'timeoutMs' is a whole number from 1, got 1.5"),
        (json!({ "includeTimings": 1 }), "option 'includeTimings' is true or false, got 1"),
        (
            json!({ "includeTimings": true, "includeNodeStatuses": null }),
            "option 'includeNodeStatuses' is true or false, got null",
        ),
    ] {
        for (path, body) in [
            ("/execute", json!({ "ref": "shout", "inputs": { "text": "a" }, "options": options })),
            ("/run", json!({ "source": SHOUT, "inputs": { "text": "a" }, "options": options })),
        ] {
            let answer = post(&router, path, body).await;
            assert_eq!(answer.status, 400, "{path} {options}");
            let told = told(&answer.json());
            assert!(told.contains(message), "{path} {options}: {told}");
        }
    }
}

#[tokio::test]
async fn a_refusal_in_the_shape_of_an_answer_names_the_request_too() {
    let mut registry = constellation_stdlib::registry();
    registry.register(ModuleBuilder::new("Answer").published().function(|(): ()| 42)).unwrap();
    let router = ConstellationServer::builder(registry).build().await.unwrap().router();
    publish(&router, "shout", SHOUT).await;
    let id = [("x-request-id", "order-17")];
    for (path, body) in [
        ("/compile", json!({})),
        ("/compile", json!({ "source": "out nothing" })),
        ("/compile", json!({ "source": SHOUT, "name": "../etc" })),
        ("/execute", json!({})),
        ("/execute", json!({ "inputs": {} })),
        ("/execute", json!({ "ref": " ", "inputs": {} })),
        ("/execute", json!({ "ref": "shout", "inputs": { "txet": "a" } })),
        ("/run", json!({})),
        ("/run", json!({ "source": "out nothing", "inputs": {} })),
        ("/run", json!({ "source": SHOUT, "inputs": { "text": 1 } })),
        ("/modules/Answer/invoke", json!({ "question": 1 })),
    ] {
        let answer = call(&router, "POST", path, &id, &body).await;
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text);
        let answer = answer.json();
        assert_eq!((&answer["success"], &answer["requestId"]), (&json!(false), &json!("order-17")), "{path}");
    }
    for (path, body) in [
        ("/compile", json!({ "source": SHOUT })),
        ("/execute", json!({ "ref": "shout", "inputs": { "text": "a" } })),
        ("/run", json!({ "source": SHOUT, "inputs": {} })),
        ("/modules/Answer/invoke", json!({})),
    ] {
        let answer = call(&router, "POST", path, &id, &body).await;
        assert_eq!((answer.status.as_u16(), answer.json().get("requestId")), (200, None), "{path}");
    }
}
