//! Old versions are forgotten while the server runs.

use serde_json::{Value, json};

use super::{keys, publish};
use crate::test_support::{call, content, get, post, server};

async fn versions(router: &axum::Router) -> Vec<u64> {
    let body = get(router, "/pipelines/team%2Fn/versions").await.json();
    body["versions"].as_array().unwrap().iter().map(|version| version["version"].as_u64().unwrap()).collect()
}

/// A server with versions 1 to 12 of a name.
async fn router() -> axum::Router {
    let router = server().await.router();
    for number in 1..=12 {
        publish(&router, "team/n", &format!("x = {number}\nout x")).await;
    }
    router
}

#[tokio::test]
async fn the_newest_and_the_active_one_stay() {
    let router = router().await;
    let answer = post(&router, "/pipelines/team%2Fn/prune", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"12\"")), "{}", answer.text);
    let body = answer.json();
    assert_eq!(keys(&body), ["success", "name", "forgotten", "activeVersion", "dryRun"]);
    assert_eq!(
        body,
        json!({ "success": true, "name": "team/n", "forgotten": [1, 2], "activeVersion": 12, "dryRun": false })
    );
    assert_eq!(post(&router, "/pipelines/team%2Fn/prune", "").await.json()["forgotten"], json!([]));

    post(&router, "/pipelines/team%2Fn/rollback/5", "").await;
    let told = post(&router, "/pipelines/team%2Fn/prune?keep=3&dry_run=true", "").await;
    assert_eq!(told.header("etag"), Some("\"5\""));
    assert_eq!(versions(&router).await.len(), 10, "nothing was forgotten");
    let mut done = post(&router, "/pipelines/team%2Fn/prune?keep=3", "").await.json();
    done["dryRun"] = json!(true);
    assert_eq!(done, told.json());
    assert_eq!(done["forgotten"], json!([3, 4, 6, 7, 8, 9]));
    assert_eq!(versions(&router).await, [12, 11, 10, 5]);

    let gone = post(&router, "/pipelines/team%2Fn/rollback/4", "").await;
    assert!(gone.status == 404 && gone.text.contains("pruned"), "{}", gone.text);
    let run = post(&router, "/execute", json!({ "ref": "team/n", "inputs": {} })).await.json();
    assert_eq!(run["outputs"], json!({ "x": 5 }));
    assert_eq!(
        post(&router, "/pipelines/team%2Fn/prune?keep=0", "").await.json()["forgotten"],
        json!([10, 11, 12])
    );
    publish(&router, "team/n", "x = 13\nout x").await;
    assert_eq!(versions(&router).await, [13, 5], "no number is used again");
}

#[tokio::test]
async fn an_image_that_only_forgotten_versions_had_can_be_deleted() {
    let router = server().await.router();
    let first = publish(&router, "n", "x = 1\nout x").await;
    publish(&router, "n", "x = 2\nout x").await;
    let image = format!("/pipelines/{first}");
    assert_eq!(call(&router, "DELETE", &image, &[], "").await.status, 409);
    post(&router, "/pipelines/n/prune?keep=1", "").await;
    assert_eq!(get(&router, &image).await.status, 200, "it stays until then");
    assert_eq!(call(&router, "DELETE", &image, &[], "").await.status, 200);
}

#[tokio::test]
async fn the_versions_of_a_deleted_name_can_be_forgotten() {
    let router = router().await;
    call(&router, "DELETE", "/pipelines/team%2Fn", &[], "").await;
    let answer = post(&router, "/pipelines/team%2Fn/prune?keep=1", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, None));
    assert_eq!(answer.json()["activeVersion"], Value::Null);
    assert_eq!(versions(&router).await, [12]);
}

#[tokio::test]
async fn what_cannot_be_pruned_is_refused_and_nothing_changes() {
    let server = server().await;
    let router = server.router();
    publish(&router, "n", "x = 1\nout x").await;
    publish(&router, "n", "x = 2\nout x").await;
    let before = content(&**server.service().store()).await;
    for (path, status, code) in [
        ("/pipelines/nobody/prune?keep=1", 404, "NotFound"),
        ("/pipelines/%ff/prune?keep=1", 400, "InvalidName"),
        ("/pipelines/..%2Fn/prune?keep=1", 400, "InvalidName"),
        ("/pipelines/n/prune?keep=-1", 400, "InvalidParameter"),
        ("/pipelines/n/prune?keep=one", 400, "InvalidParameter"),
        ("/pipelines/n/prune?kep=1", 400, "InvalidParameter"),
        ("/pipelines/n/prune?keep=1&dry_run=1", 400, "InvalidParameter"),
    ] {
        let answer = post(&router, path, "").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (status, &json!(code)), "{path}");
    }
    let answer = call(&router, "POST", "/pipelines/n/prune?keep=1", &[("if-match", "\"1\"")], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (412, Some("\"2\"")));
    assert_eq!(content(&**server.service().store()).await, before);
    let answer = call(&router, "POST", "/pipelines/n/prune?keep=1", &[("if-match", "\"2\"")], "").await;
    assert_eq!(answer.json()["forgotten"], json!([1]));
}
