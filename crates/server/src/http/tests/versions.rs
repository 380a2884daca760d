//! The history of a name.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{keys, publish};
use crate::builder::ConstellationServer;
use crate::test_support::{SHOUT, call, get, post, put, server};

#[tokio::test]
async fn versions_are_listed_from_the_newest_in_the_shape_of_the_reference() {
    let router = server().await.router();
    let first = publish(&router, "team/n", SHOUT).await;
    let second = publish(&router, "team/n", "x = 1\nout x").await;
    put(&router, "/pipelines/team%2Fn/alias", json!({ "structuralHash": first })).await;
    let answer = get(&router, "/pipelines/team%2Fn/versions").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"3\"")));
    let body = answer.json();
    assert_eq!(keys(&body), ["name", "versions", "activeVersion", "nextCursor"]);
    assert_eq!((&body["name"], &body["activeVersion"]), (&json!("team/n"), &json!(3)));
    assert_eq!(body["nextCursor"], Value::Null);
    let listed: Vec<Value> = body["versions"].as_array().unwrap().clone();
    assert_eq!(
        keys(&listed[0]),
        ["version", "structuralHash", "createdAt", "active", "origin", "sourceHash"]
    );
    let told = |entry: &Value| {
        (
            entry["version"].clone(),
            entry["structuralHash"].clone(),
            entry["active"].clone(),
            entry["origin"].clone(),
        )
    };
    assert_eq!(
        listed.iter().map(told).collect::<Vec<_>>(),
        [
            (json!(3), json!(first), json!(true), json!("alias")),
            (json!(2), json!(second), json!(false), json!("compile")),
            (json!(1), json!(first), json!(false), json!("compile")),
        ]
    );

    assert_eq!(get(&router, "/pipelines/nope/versions").await.status, 404);
    assert_eq!(get(&router, "/pipelines/a%2F%2Fb/versions").await.status, 400);
    assert_eq!(get(&router, "/pipelines/team%2Fn/versions?prefix=x").await.status, 400);
    call(&router, "DELETE", "/pipelines/team%2Fn", &[], "").await;
    let deleted = get(&router, "/pipelines/team%2Fn/versions").await;
    assert_eq!((deleted.status.as_u16(), deleted.header("etag")), (200, None));
    assert_eq!(deleted.json()["activeVersion"], Value::Null);
    assert_eq!(deleted.json()["versions"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn versions_come_in_pages_that_new_versions_do_not_disturb() {
    let router = server().await.router();
    for number in 1..=5 {
        publish(&router, "n", &format!("x = {number}\nout x")).await;
    }
    let mut told = Vec::new();
    let mut path = "/pipelines/n/versions?limit=2".to_owned();
    loop {
        let page = get(&router, &path).await.json();
        told.extend(
            page["versions"].as_array().unwrap().iter().map(|entry| entry["version"].as_u64().unwrap()),
        );
        publish(&router, "n", &format!("x = 10{}\nout x", told.len())).await;
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/pipelines/n/versions?limit=2&cursor={cursor}");
    }
    assert_eq!(told, [5, 4, 3, 2, 1]);
    for path in ["/pipelines/n/versions?limit=0", "/pipelines/n/versions?cursor=x"] {
        assert_eq!(get(&router, path).await.json()["error"], "InvalidParameter", "{path}");
    }
}

#[tokio::test]
async fn a_version_is_shown_with_its_source_and_says_when_there_is_none() {
    let server = server().await;
    let router = server.router();
    let commented = format!("# why\n{SHOUT}");
    publish(&router, "team/n", SHOUT).await;
    publish(&router, "team/n", "x = 1\nout x").await;
    publish(&router, "other", &commented).await;
    let answer = get(&router, "/pipelines/team%2Fn/versions/1").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"2\"")));
    let body = answer.json();
    assert_eq!(
        keys(&body),
        ["name", "version", "structuralHash", "createdAt", "active", "origin", "sourceHash", "source"]
    );
    assert_eq!((&body["source"], &body["active"]), (&json!(SHOUT), &json!(false)));
    assert_eq!(get(&router, "/pipelines/other/versions/1").await.json()["source"], commented);

    for (path, status, code) in [
        ("/pipelines/team%2Fn/versions/3", 404, "NotFound"),
        ("/pipelines/nope/versions/1", 404, "NotFound"),
        ("/pipelines/team%2Fn/versions/x", 400, "InvalidVersion"),
        ("/pipelines/a%00b/versions/1", 400, "InvalidName"),
    ] {
        let answer = get(&router, path).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (status, &json!(code)), "{path}");
    }
}

#[tokio::test]
async fn history_and_sources_survive_a_restart() {
    let directory = TempDir::new().unwrap();
    let start = async || {
        let builder = ConstellationServer::builder(constellation_stdlib::registry());
        builder.with_persistent_pipeline_store(directory.path().join("store")).build().await.unwrap()
    };
    let server = start().await;
    let router = server.router();
    for number in 1..=3 {
        post(&router, "/pipelines/n/reload", json!({ "source": format!("x = {number}\nout x") })).await;
    }
    post(&router, "/pipelines/n/rollback/2", "").await;
    let listed = get(&router, "/pipelines/n/versions").await.json();
    assert_eq!(listed["activeVersion"], 2);
    server.service().store().close().await.unwrap();

    let server = start().await;
    let router = server.router();
    assert_eq!(get(&router, "/pipelines/n/versions").await.json(), listed);
    for number in 1..=3 {
        let version = get(&router, &format!("/pipelines/n/versions/{number}")).await.json();
        assert_eq!(version["source"], format!("x = {number}\nout x"));
    }
    let answer = post(&router, "/pipelines/n/rollback", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"1\"")));
    server.service().store().close().await.unwrap();
}
