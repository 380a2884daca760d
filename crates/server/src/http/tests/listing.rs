//! `GET /pipelines`: pages, prefixes, and what cannot be run.

use std::fs;
use std::sync::Arc;

use axum::Router;
use constellation_store_core::{Commit, Operation, PipelineStore};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{keys, publish};
use crate::builder::ConstellationServer;
use crate::test_support::{RefusingStore, call, get, post, server, server_over};

fn hashes(page: &Value) -> Vec<String> {
    let entries = page["pipelines"].as_array().unwrap().iter();
    entries.map(|pipeline| pipeline["structuralHash"].as_str().unwrap().to_owned()).collect()
}

/// Stores so many images, and gives their hashes in order.
async fn store_images(router: &Router, count: u32) -> Vec<String> {
    let mut hashes = Vec::new();
    for number in 0..count {
        hashes.push(publish(router, &format!("n{number}"), &format!("x = {number}\nout x")).await);
    }
    hashes.sort();
    hashes
}

#[tokio::test]
async fn pipelines_are_listed_in_pages() {
    let router = server().await.router();
    let mut hashes = Vec::new();
    for number in 0..5 {
        let source = format!("in a: Int\nb = a + {number}\nout b");
        hashes.push(publish(&router, &format!("p{number}"), &source).await);
    }
    hashes.sort();
    let body = get(&router, "/pipelines").await.json();
    assert_eq!(body["nextCursor"], Value::Null);
    let listed: Vec<&str> = body["pipelines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pipeline| pipeline["structuralHash"].as_str().unwrap())
        .collect();
    assert_eq!(listed, hashes);
    assert_eq!(
        keys(&body["pipelines"][0]),
        [
            "structuralHash",
            "syntacticHash",
            "aliases",
            "compiledAt",
            "moduleCount",
            "declaredOutputs",
            "loadError"
        ]
    );
    assert_eq!(body["pipelines"][0]["declaredOutputs"], json!(["b"]));
    assert_eq!(body["pipelines"][0]["aliases"].as_array().unwrap().len(), 1);

    let mut paged = Vec::new();
    let mut path = "/pipelines?limit=2".to_owned();
    loop {
        let page = get(&router, &path).await.json();
        let pipelines = page["pipelines"].as_array().unwrap();
        assert!(pipelines.len() <= 2);
        paged
            .extend(pipelines.iter().map(|pipeline| pipeline["structuralHash"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/pipelines?limit=2&cursor={cursor}");
    }
    assert_eq!(paged, hashes);
    for path in ["/pipelines?limit=0", "/pipelines?limit=x", "/pipelines?cursor=x"] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.json()["error"], "InvalidParameter");
    }
}

#[tokio::test]
async fn a_page_is_bounded_whatever_is_asked_for() {
    let server = server().await;
    let router = server.router();
    let stored = store_images(&router, 101).await;
    let page = get(&router, "/pipelines").await.json();
    assert_eq!(hashes(&page), stored[..100]);
    let cursor = page["nextCursor"].as_str().unwrap();
    let rest = get(&router, &format!("/pipelines?cursor={cursor}")).await.json();
    assert_eq!((hashes(&rest), &rest["nextCursor"]), (stored[100..].to_vec(), &Value::Null));
    let exact = get(&router, "/pipelines?limit=101").await.json();
    assert_eq!((hashes(&exact).len(), &exact["nextCursor"]), (101, &Value::Null));

    // The most that is given, with images that are made by hand, since compiling a thousand takes its time.
    let store = server.service().store();
    let first = store.get(&stored[0].parse().unwrap()).await.unwrap().unwrap();
    let mut commit = Commit::new();
    for number in 0..1_000 {
        let mut dag_spec = first.dag_spec.clone();
        dag_spec.outputs[0].name = format!("x{number}");
        let metadata = first.metadata.clone();
        let image = constellation_store_core::PipelineImage::new(dag_spec, metadata);
        commit = commit.then(Operation::PutImage(image.into()));
    }
    store.commit(commit).await.unwrap();
    let page = get(&router, "/pipelines?limit=1000").await.json();
    assert_eq!((hashes(&page).len(), page["nextCursor"].is_string()), (1_000, true));
    for path in ["/pipelines", "/pipelines/n0/versions"] {
        for limit in ["1001", "18446744073709551615", "18446744073709551616", "0", "-1", "many", ""] {
            let answer = get(&router, &format!("{path}?limit={limit}")).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &json!("InvalidParameter")));
            let message = format!("parameter 'limit' is a whole number from 1 to 1000, got '{limit}'");
            assert_eq!(answer.json()["message"], message, "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_reads_what_stands_on_it_however_much_is_stored() {
    let counting = Arc::new(RefusingStore::default());
    let store: Arc<dyn PipelineStore> = Arc::<RefusingStore>::clone(&counting);
    let router = server_over(&store).await.router();
    let stored = store_images(&router, 50).await;
    let cursor = &stored[20];
    for (query, most) in [
        ("limit=5", 12),
        (&*format!("limit=5&cursor={cursor}"), 12),
        ("limit=5&prefix=n4", 6),
        (&*format!("limit=5&prefix=n&cursor={cursor}"), 6),
    ] {
        let before = counting.listed();
        let page = get(&router, &format!("/pipelines?{query}")).await.json();
        assert_eq!(hashes(&page).len(), 5, "{query}");
        let read = counting.listed() - before;
        assert!(read <= most, "{query} read {read} entries");
    }
}

#[tokio::test]
async fn what_stays_is_told_once_whatever_comes_and_goes_between_pages() {
    let router = server().await.router();
    let stored = store_images(&router, 20).await;
    let mut told = Vec::new();
    let mut extra = Vec::new();
    let mut path = "/pipelines?limit=3".to_owned();
    loop {
        let page = get(&router, &path).await.json();
        told.extend(hashes(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/pipelines?limit=3&cursor={cursor}");
        // One more image, and the one before it goes; also the one that the cursor was made from may be gone.
        let source = json!({ "source": format!("x = 10{}\nout x", told.len()) });
        let hash =
            post(&router, "/compile", source).await.json()["structuralHash"].as_str().unwrap().to_owned();
        if let Some(hash) = extra.last() {
            assert_eq!(call(&router, "DELETE", &format!("/pipelines/{hash}"), &[], "").await.status, 200);
        }
        extra.push(hash);
    }
    told.retain(|hash| !extra.contains(hash));
    assert_eq!(told, stored);
}

#[tokio::test]
async fn a_cursor_holds_when_its_own_image_is_gone() {
    let router = server().await.router();
    let mut stored = Vec::new();
    for number in 0..4 {
        let source = json!({ "source": format!("x = {number}\nout x") });
        let answer = post(&router, "/compile", source).await.json();
        stored.push(answer["structuralHash"].as_str().unwrap().to_owned());
    }
    stored.sort();
    let page = get(&router, "/pipelines?limit=2").await.json();
    call(&router, "DELETE", &format!("/pipelines/{}", stored[1]), &[], "").await;
    let cursor = page["nextCursor"].as_str().unwrap();
    let rest = get(&router, &format!("/pipelines?limit=2&cursor={cursor}")).await.json();
    assert_eq!(hashes(&rest), stored[2..]);
}

#[tokio::test]
async fn a_prefix_filters_by_name_and_pages() {
    let router = server().await.router();
    let mut team = Vec::new();
    for number in 0..5 {
        let source = format!("x = {number}\nout x");
        team.push(publish(&router, &format!("team/{number}"), &source).await);
        publish(&router, &format!("other{number}"), &format!("y = {number}\nout y")).await;
    }
    // An image with names of both kinds is told once, with all of them.
    publish(&router, "another", "x = 0\nout x").await;
    team.sort();
    let mut told = Vec::new();
    let mut path = "/pipelines?limit=2&prefix=team%2F".to_owned();
    loop {
        let page = get(&router, &path).await.json();
        told.extend(hashes(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/pipelines?limit=2&prefix=team%2F&cursor={cursor}");
    }
    assert_eq!(told, team);
    let all = get(&router, "/pipelines?prefix=").await.json();
    assert_eq!(hashes(&all).len(), 10);
    let both = get(&router, "/pipelines?prefix=another").await.json();
    assert_eq!(both["pipelines"][0]["aliases"], json!(["another", "team/0"]));
    assert_eq!(get(&router, "/pipelines?prefix=nobody").await.json()["pipelines"], json!([]));
    let answer = get(&router, "/pipelines?prefx=team").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &json!("InvalidParameter")));
}

#[tokio::test]
async fn a_name_whose_image_is_lost_is_listed_with_the_reason_and_keeps_nobody_from_starting() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let start = async || {
        let builder = ConstellationServer::builder(constellation_stdlib::registry());
        builder.with_persistent_pipeline_store(&path).build().await.unwrap()
    };
    let server = start().await;
    let router = server.router();
    let mut stored = store_images(&router, 5).await;
    let lost = get(&router, "/pipelines/n0").await.json()["structuralHash"].as_str().unwrap().to_owned();
    server.service().store().close().await.unwrap();
    fs::remove_dir_all(path.join("pack")).unwrap();
    fs::remove_dir_all(path.join("sources")).unwrap();
    fs::write(path.join(format!("images/{lost}.json")), "{").unwrap();

    let server = start().await;
    server.service().check_all().await.unwrap();
    let router = server.router();
    let listed = get(&router, "/pipelines").await.json();
    assert_eq!(hashes(&listed), stored);
    let entry = |listed: &Value| {
        let mut entries = listed["pipelines"].as_array().unwrap().iter();
        entries.find(|pipeline| pipeline["structuralHash"] == lost).unwrap().clone()
    };
    let entry = entry(&listed);
    assert_eq!((&entry["aliases"], &entry["compiledAt"]), (&json!(["n0"]), &Value::Null));
    let reason = entry["loadError"].as_str().unwrap();
    assert!(reason.contains("source"), "{reason}");
    let ready = get(&router, "/ready?verbose").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["problems"]["n0"]), (200, &json!(reason)));
    for answer in [
        get(&router, "/pipelines/n0").await,
        post(&router, "/execute", json!({ "ref": "n0", "inputs": {} })).await,
    ] {
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (500, &json!("PipelineNotLoadable")));
    }
    let others = post(&router, "/execute", json!({ "ref": "n1", "inputs": {} })).await;
    assert_eq!(others.json()["outputs"], json!({ "x": 1 }));

    // In pages it stands in its place.
    let mut told = Vec::new();
    let mut page_path = "/pipelines?limit=1".to_owned();
    loop {
        let page = get(&router, &page_path).await.json();
        told.extend(hashes(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        page_path = format!("/pipelines?limit=1&cursor={cursor}");
    }
    assert_eq!(told, stored);
    let named = get(&router, "/pipelines?prefix=n0").await.json();
    assert_eq!(hashes(&named), std::slice::from_ref(&lost));

    // Publishing it anew is all there is to do.
    stored.retain(|hash| *hash != lost);
    assert_eq!(publish(&router, "n0", "x = 0\nout x").await, lost);
    assert_eq!(get(&router, "/ready?verbose").await.json()["problems"], json!({}));
    let listed = get(&router, "/pipelines").await.json();
    assert!(listed["pipelines"].as_array().unwrap().iter().all(|entry| entry["loadError"].is_null()));
    server.service().store().close().await.unwrap();
}
