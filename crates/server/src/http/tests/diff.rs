//! The route that compares two pipelines; what it compares is tested beside the comparison.

use serde_json::{Value, json};

use super::{keys, publish};
use crate::test_support::{SHOUT, get, server};

#[tokio::test]
async fn two_pipelines_are_compared_by_name_and_by_hash() {
    let router = server().await.router();
    let first = publish(&router, "team/shout", SHOUT).await;
    let second = publish(
        &router,
        "team/shout",
        "in text: String\nin times: Int\nloud = Uppercase(text)\nout loud\nout times",
    )
    .await;
    let answer = get(&router, &format!("/pipelines/team%2Fshout/diff/blake3:{first}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(
        keys(&body),
        ["from", "to", "identical", "breaking", "inputs", "outputs", "modules", "nodes", "options"]
    );
    assert_eq!(body["from"], json!({ "ref": "team/shout", "structuralHash": second, "version": 2 }));
    assert_eq!((&body["to"]["structuralHash"], &body["to"]["version"]), (&json!(first), &Value::Null));
    assert_eq!(body["identical"], false);
    let times = json!({ "name": "times", "type": "Int", "required": true, "default": null, "examples": [] });
    assert_eq!(body["inputs"], json!({ "added": [], "removed": [times], "changed": [] }));
    assert_eq!(
        body["breaking"],
        json!(["Input 'times' is gone: a caller that gives it is refused", "Output 'times' is gone"])
    );

    let same = get(&router, &format!("/pipelines/{second}/diff/team%2Fshout")).await.json();
    let nothing = json!({ "added": [], "removed": [], "changed": [] });
    assert_eq!(
        (&same["identical"], &same["breaking"], &same["options"]),
        (&json!(true), &json!([]), &json!([]))
    );
    for part in ["inputs", "outputs", "modules", "nodes"] {
        assert_eq!(same[part], nothing, "{part}");
    }
}

#[tokio::test]
async fn what_is_not_there_cannot_be_compared() {
    let router = server().await.router();
    publish(&router, "n", SHOUT).await;
    let unknown = "0".repeat(64);
    for (path, status, code) in [
        ("/pipelines/n/diff/nope".to_owned(), 404, "NotFound"),
        ("/pipelines/nope/diff/n".to_owned(), 404, "NotFound"),
        (format!("/pipelines/n/diff/{unknown}"), 404, "NotFound"),
        ("/pipelines/n/diff/..".to_owned(), 400, "InvalidName"),
        ("/pipelines/%ff/diff/n".to_owned(), 400, "InvalidName"),
    ] {
        let answer = get(&router, &path).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (status, &json!(code)), "{path}");
    }
}
