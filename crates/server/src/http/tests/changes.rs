//! Reload, rollback, deleting: every status.

use std::fs;
use std::sync::Arc;

use constellation_store_core::{
    Commit, ImageMetadata, Operation, PipelineImage, PipelineName, PipelineStore, Timestamp,
};
use constellation_store_mem::InMemoryPipelineStore;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{keys, metric, publish};
use crate::builder::ConstellationServer;
use crate::config::{AliasStrategy, LoaderConfig};
use crate::test_support::{
    RefusingStore, SHOUT, call, content, get, post, put, registry_with_parameter, server, server_over,
};

/// A program whose output is this number.
fn constant(number: u32) -> String {
    format!("x = {number}\nout x")
}

async fn output(router: &axum::Router, name: &str) -> Value {
    post(router, "/execute", json!({ "ref": name, "inputs": {} })).await.json()["outputs"]["x"].clone()
}

#[tokio::test]
async fn reload_publishes_the_source_of_the_body() {
    let router = server().await.router();
    let reload = |number| json!({ "source": constant(number) });
    let answer = post(&router, "/pipelines/team%2Fn/reload", reload(1)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("etag"), Some("\"1\""));
    let first = answer.json();
    assert_eq!(
        keys(&first),
        [
            "success",
            "previousHash",
            "newHash",
            "name",
            "changed",
            "version",
            "canary",
            "diagnostics",
            "dryRun"
        ]
    );
    assert_eq!((&first["previousHash"], &first["name"]), (&Value::Null, &json!("team/n")));
    assert_eq!((&first["changed"], &first["version"]), (&json!(true), &json!(1)));

    let second = post(&router, "/pipelines/team%2Fn/reload", reload(2)).await.json();
    assert_eq!(second["previousHash"], first["newHash"]);
    assert_eq!((&second["changed"], &second["version"]), (&json!(true), &json!(2)));
    assert_eq!(output(&router, "team/n").await, 2);

    let same = post(&router, "/pipelines/team%2Fn/reload", reload(2)).await;
    assert_eq!(same.header("etag"), Some("\"2\""));
    assert_eq!((&same.json()["changed"], &same.json()["version"]), (&json!(false), &json!(2)));
}

#[tokio::test]
async fn reload_refuses_what_it_cannot_publish() {
    let server = server().await;
    let router = server.router();
    publish(&router, "n", &constant(1)).await;
    let before = content(&**server.service().store()).await;
    for (path, body, status, code) in [
        ("/pipelines/n/reload", String::new(), 400, "NoSource"),
        ("/pipelines/n/reload", " \n".to_owned(), 400, "NoSource"),
        ("/pipelines/n/reload", "{}".to_owned(), 400, "NoSource"),
        ("/pipelines/n/reload", "{".to_owned(), 400, "InvalidRequest"),
        ("/pipelines/n/reload", "[]".to_owned(), 400, "InvalidRequest"),
        ("/pipelines/n/reload", json!({ "source": 1 }).to_string(), 400, "InvalidRequest"),
        ("/pipelines/n/reload", json!({ "source": "out x" }).to_string(), 400, "CompilationError"),
        ("/pipelines/..%2Fn/reload", json!({ "source": SHOUT }).to_string(), 400, "InvalidName"),
        ("/pipelines/n/reload?dryrun=true", json!({ "source": SHOUT }).to_string(), 400, "InvalidParameter"),
        ("/pipelines/n/reload?dry_run=1", json!({ "source": SHOUT }).to_string(), 400, "InvalidParameter"),
        (
            "/pipelines/n/reload",
            json!({ "source": SHOUT, "canary": { "initialWeight": 0.1 } }).to_string(),
            400,
            "CanaryNotEnabled",
        ),
    ] {
        let answer = post(&router, path, &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]),
            (status, &json!(code)),
            "{path} {body}"
        );
    }
    let answer = post(&router, "/pipelines/n/reload", json!({ "source": "out x" })).await;
    assert_eq!(answer.json()["diagnostics"][0]["line"], 1);
    let no_canary = json!({ "source": constant(1), "canary": null });
    assert_eq!(post(&router, "/pipelines/n/reload", no_canary).await.status, 200);
    assert_eq!(content(&**server.service().store()).await, before);
}

#[tokio::test]
async fn reload_without_a_source_reads_the_file_of_the_name_again() {
    let directory = TempDir::new().unwrap();
    let files = directory.path().join("files");
    fs::create_dir_all(files.join("team")).unwrap();
    let start = async || {
        let config = LoaderConfig {
            recursive: true,
            alias_strategy: AliasStrategy::RelativePath,
            ..LoaderConfig::new(&files)
        };
        let builder = ConstellationServer::builder(constellation_stdlib::registry());
        let builder = builder.with_persistent_pipeline_store(directory.path().join("store"));
        builder.with_pipeline_loader(config).build().await.unwrap()
    };
    let write = |path: &str, text: &[u8]| fs::write(files.join(path), text).unwrap();
    write("team/n.cst", constant(1).as_bytes());
    write("broken.cst", b"out x");
    let server = start().await;
    let router = server.router();
    assert_eq!(server.load_report().unwrap().failed.len(), 1);

    write("team/n.cst", constant(2).as_bytes());
    let answer = post(&router, "/pipelines/team%2Fn/reload", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((&answer.json()["version"], &answer.json()["changed"]), (&json!(2), &json!(true)));
    assert_eq!(output(&router, "team/n").await, 2);
    let version = get(&router, "/pipelines/team%2Fn/versions/2").await.json();
    assert_eq!((&version["origin"], &version["source"]), (&json!("loader"), &json!(constant(2))));

    // What failed at the start, or came later, has a name as well.
    write("broken.cst", constant(3).as_bytes());
    write("new.cst", constant(4).as_bytes());
    for (name, number) in [("broken", 3), ("new", 4)] {
        assert_eq!(post(&router, &format!("/pipelines/{name}/reload"), "").await.status, 200);
        assert_eq!(output(&router, name).await, number);
    }
    write("binary.cst", b"x = \"\xff\"");
    let answer = post(&router, "/pipelines/binary/reload", "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &json!("NoSource")));
    assert!(answer.json()["message"].as_str().unwrap().contains("binary.cst: it is not UTF-8"));
    let answer = post(&router, "/pipelines/other/reload", "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &json!("NoSource")));
    assert!(answer.json()["message"].as_str().unwrap().contains("no file"));

    // The loader knows what was read: the next start does not undo a rollback.
    assert_eq!(post(&router, "/pipelines/team%2Fn/rollback", "").await.status, 200);
    server.service().store().close().await.unwrap();
    let server = start().await;
    assert_eq!(output(&server.router(), "team/n").await, 1);
    server.service().store().close().await.unwrap();

    fs::remove_dir_all(&files).unwrap();
    let answer = post(&router, "/pipelines/team%2Fn/reload", "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (500, &json!("InternalError")));
    assert!(!answer.text.contains(files.to_str().unwrap()), "paths of this machine are for the log");
}

#[tokio::test]
async fn two_files_of_one_name_are_not_chosen_between() {
    let directory = TempDir::new().unwrap();
    for path in ["a", "b"] {
        fs::create_dir(directory.path().join(path)).unwrap();
        fs::write(directory.path().join(path).join("n.cst"), SHOUT).unwrap();
    }
    let config = LoaderConfig { recursive: true, ..LoaderConfig::new(directory.path()) };
    let builder = ConstellationServer::builder(constellation_stdlib::registry());
    let router = builder.with_pipeline_loader(config).build().await.unwrap().router();
    let answer = post(&router, "/pipelines/n/reload", "").await;
    assert_eq!(answer.status, 400);
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("a/n.cst and b/n.cst both have this name"), "{message}");
}

#[tokio::test]
async fn rollback_walks_back_and_makes_any_version_active() {
    let router = server().await.router();
    let mut hashes = Vec::new();
    for number in 1..=3 {
        hashes.push(publish(&router, "team/n", &constant(number)).await);
    }
    let answer = post(&router, "/pipelines/team%2Fn/rollback", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("etag"), Some("\"2\""));
    assert_eq!(
        answer.json(),
        json!({
            "success": true,
            "name": "team/n",
            "previousVersion": 3,
            "activeVersion": 2,
            "structuralHash": hashes[1],
            "changed": true,
            "dryRun": false
        })
    );
    assert_eq!(output(&router, "team/n").await, 2);
    assert_eq!(post(&router, "/pipelines/team%2Fn/rollback", "").await.json()["activeVersion"], 1);
    let answer = post(&router, "/pipelines/team%2Fn/rollback", "").await;
    assert_eq!(answer.status, 404);
    assert!(answer.json()["message"].as_str().unwrap().contains("' has no older version"), "{}", answer.text);

    let answer = post(&router, "/pipelines/team%2Fn/rollback/3", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"3\"")));
    assert_eq!(output(&router, "team/n").await, 3);
    let same = post(&router, "/pipelines/team%2Fn/rollback/3", "").await.json();
    assert_eq!((&same["changed"], &same["previousVersion"]), (&json!(false), &json!(3)));
    // No number is used twice.
    publish(&router, "team/n", &constant(4)).await;
    assert_eq!(get(&router, "/pipelines/team%2Fn").await.header("etag"), Some("\"4\""));
}

#[tokio::test]
async fn a_rollback_that_leads_nowhere_is_refused() {
    let router = server().await.router();
    publish(&router, "n", &constant(1)).await;
    for (path, status, code) in [
        ("/pipelines/nope/rollback", 404, "NotFound"),
        ("/pipelines/nope/rollback/1", 404, "NotFound"),
        ("/pipelines/n/rollback/7", 404, "NotFound"),
        ("/pipelines/n/rollback/0", 404, "NotFound"),
        ("/pipelines/n/rollback/x", 400, "InvalidVersion"),
        ("/pipelines/n/rollback/-1", 400, "InvalidVersion"),
        ("/pipelines/n/rollback/1?dry=true", 400, "InvalidParameter"),
        ("/pipelines/a%00b/rollback", 400, "InvalidName"),
        ("/pipelines/%ff/rollback", 400, "InvalidName"),
        ("/pipelines/%ff/rollback/1", 400, "InvalidName"),
    ] {
        let answer = post(&router, path, "").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (status, &json!(code)), "{path}");
    }
    // A name that is deleted has nothing before it, but its versions are there.
    assert_eq!(call(&router, "DELETE", "/pipelines/n", &[], "").await.status, 200);
    assert_eq!(post(&router, "/pipelines/n/rollback", "").await.status, 404);
    let answer = post(&router, "/pipelines/n/rollback/1", "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["previousVersion"]), (200, &Value::Null));
    assert_eq!(output(&router, "n").await, 1);
}

#[tokio::test]
async fn a_rollback_to_what_cannot_be_run_here_is_refused() {
    let store: Arc<dyn PipelineStore> = Arc::new(constellation_store_mem::InMemoryPipelineStore::new());
    let over = async |parameter: &str| {
        let builder = ConstellationServer::builder(registry_with_parameter(parameter));
        builder.with_store(Arc::clone(&store)).build().await.unwrap().router()
    };
    let old = over("value").await;
    publish(&old, "n", "in a: Int\nx = double(a)\nout x").await;
    let new = over("number").await;
    publish(&new, "n", "in a: Int\nx = a + a\nout x").await;
    let before = content(&*store).await;
    for path in ["/pipelines/n/rollback", "/pipelines/n/rollback/1", "/pipelines/n/rollback/1?dry_run=true"] {
        let answer = post(&new, path, "").await;
        assert_eq!(answer.status, 409, "{}", answer.text);
        assert_eq!(answer.json()["error"], "PipelineNotLoadable");
        assert!(answer.json()["message"].as_str().unwrap().contains("'Double'"), "{}", answer.text);
    }
    assert_eq!(content(&*store).await, before);
    assert_eq!(post(&old, "/pipelines/n/rollback", "").await.status, 200);
}

#[tokio::test]
async fn a_rollback_to_an_image_that_was_lost_compiles_its_source_again() {
    let losing = Arc::new(RefusingStore::default());
    let store: Arc<dyn PipelineStore> = Arc::clone(&losing) as _;
    let router = server_over(&store).await.router();
    let first = publish(&router, "n", &constant(1)).await;
    publish(&router, "n", &constant(2)).await;
    // Another process, which has not loaded it.
    let router = server_over(&store).await.router();
    losing.lose(first.parse().unwrap());
    let answer = post(&router, "/pipelines/n/rollback?dry_run=true", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"2\"")), "{}", answer.text);
    assert!(losing.has_lost(), "a dry run stores nothing");
    let answer = post(&router, "/pipelines/n/rollback", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"1\"")), "{}", answer.text);
    assert!(!losing.has_lost());
    assert_eq!(output(&router, "n").await, 1);
}

#[tokio::test]
async fn a_rollback_to_an_image_that_is_lost_for_good_is_refused() {
    let losing = Arc::new(RefusingStore::default());
    let store: Arc<dyn PipelineStore> = Arc::clone(&losing) as _;
    let router = server_over(&store).await.router();
    let hash = publish(&router, "source", &constant(1)).await;
    let image = store.get(&hash.parse().unwrap()).await.unwrap().unwrap();
    // As if copied by hand: an image that tells no source.
    let mut dag_spec = image.dag_spec.clone();
    dag_spec.outputs[0].name = "y".to_owned();
    let metadata = ImageMetadata { source_hash: None, ..image.metadata.clone() };
    let bare = PipelineImage::new(dag_spec, metadata);
    let bare_hash = bare.structural_hash;
    store.commit(Commit::new().then(Operation::PutImage(Arc::new(bare)))).await.unwrap();
    put(&router, "/pipelines/n/alias", json!({ "structuralHash": bare_hash.to_string() })).await;
    publish(&router, "n", &constant(2)).await;
    losing.lose(bare_hash);
    for path in ["/pipelines/n/rollback?dry_run=true", "/pipelines/n/rollback"] {
        let answer = post(&router, path, "").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (404, &json!("NotFound")), "{path}");
        assert!(answer.json()["message"].as_str().unwrap().contains("is lost"), "{}", answer.text);
    }
    assert_eq!(output(&router, "n").await, 2);
}

#[tokio::test]
async fn a_name_is_deleted_and_its_versions_stay() {
    let router = server().await.router();
    let hash = publish(&router, "team/n", SHOUT).await;
    let answer = call(&router, "DELETE", "/pipelines/team%2Fn", &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("etag"), None, "no version is active");
    assert_eq!(
        answer.json(),
        json!({
            "deleted": true,
            "name": "team/n",
            "previousVersion": 1,
            "structuralHash": hash,
            "dryRun": false
        })
    );
    let run = json!({ "ref": "team/n", "inputs": { "text": "a" } });
    assert_eq!(post(&router, "/execute", &run).await.status, 404);
    assert_eq!(call(&router, "DELETE", "/pipelines/team%2Fn", &[], "").await.status, 404);
    assert_eq!(call(&router, "DELETE", "/pipelines/..", &[], "").await.status, 400);
    assert_eq!(call(&router, "DELETE", "/pipelines/n?dryrun=true", &[], "").await.status, 400);
    publish(&router, "team/n", SHOUT).await;
    assert_eq!(get(&router, "/pipelines/team%2Fn").await.header("etag"), Some("\"2\""));
}

#[tokio::test]
async fn an_image_in_use_is_kept_and_its_users_are_named() {
    let router = server().await.router();
    let hash = publish(&router, "a", SHOUT).await;
    publish(&router, "b", SHOUT).await;
    publish(&router, "b", &constant(1)).await;
    call(&router, "DELETE", "/pipelines/a", &[], "").await;
    for path in [format!("/pipelines/{hash}"), format!("/pipelines/sha256:{hash}?dry_run=true")] {
        let answer = call(&router, "DELETE", &path, &[], "").await;
        assert_eq!(answer.status, 409, "{}", answer.text);
        assert_eq!(answer.json()["error"], "InUse");
        assert_eq!(
            answer.json()["users"],
            json!([
                { "name": "a", "versions": [1], "activeVersion": null },
                { "name": "b", "versions": [1], "activeVersion": 2 }
            ])
        );
    }
    assert_eq!(get(&router, &format!("/pipelines/{hash}")).await.status, 200);
}

#[tokio::test]
async fn an_image_that_nothing_refers_to_is_deleted_by_its_hash() {
    let router = server().await.router();
    let run = json!({ "source": SHOUT, "inputs": { "text": "a" } });
    let hash = post(&router, "/run", &run).await.json()["structuralHash"].as_str().unwrap().to_owned();
    let path = format!("/pipelines/{hash}");
    let conditional = call(&router, "DELETE", &path, &[("if-match", "\"1\"")], "").await;
    assert_eq!(
        (conditional.status.as_u16(), &conditional.json()["error"]),
        (400, &json!("InvalidCondition"))
    );
    let answer = call(&router, "DELETE", &path, &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((&answer.json()["deleted"], &answer.json()["name"]), (&json!(true), &Value::Null));
    assert_eq!(answer.json()["structuralHash"], hash);
    assert_eq!(metric(&router, "constellation_store_images").await, 0);
    assert_eq!(call(&router, "DELETE", &path, &[], "").await.status, 404);
    assert_eq!(call(&router, "DELETE", &format!("{path}?dry_run=true"), &[], "").await.status, 404);
}

#[tokio::test]
async fn an_image_that_is_stored_again_is_told_with_its_new_metadata() {
    let store: Arc<dyn PipelineStore> = Arc::new(InMemoryPipelineStore::new());
    let router = server_over(&store).await.router();
    let hash = publish(&router, "n", SHOUT).await;
    let first = get(&router, "/pipelines/n").await.json();
    let image = store.get(&hash.parse().unwrap()).await.unwrap().unwrap();
    let compiled_at = Timestamp::from_milliseconds(1).unwrap();
    let metadata = ImageMetadata { compiled_at, ..image.metadata.clone() };
    let again = PipelineImage { metadata, ..(*image).clone() };
    let name: PipelineName = "n".parse().unwrap();
    let remove = Commit::new()
        .then(Operation::DeleteName { name: name.clone() })
        .then(Operation::PruneVersions { name, keep: 0 })
        .then(Operation::RemoveImage { structural_hash: image.structural_hash });
    store.commit(remove).await.unwrap();
    store.commit(Commit::new().then(Operation::PutImage(Arc::new(again)))).await.unwrap();
    let second = get(&router, &format!("/pipelines/{hash}")).await.json();
    assert_eq!(second["compiledAt"], "1970-01-01T00:00:00.001Z");
    assert_eq!((&first["aliases"], &second["aliases"]), (&json!(["n"]), &json!([])));
    assert_eq!(first["outputSchema"], second["outputSchema"]);
}

#[tokio::test]
async fn a_store_that_only_reads_refuses_every_change_also_in_a_dry_run() {
    let refusing = Arc::new(RefusingStore::default());
    let store: Arc<dyn PipelineStore> = Arc::clone(&refusing) as _;
    let router = server_over(&store).await.router();
    publish(&router, "n", &constant(1)).await;
    let hash = publish(&router, "n", &constant(2)).await;
    refusing.refuse();
    for query in ["", "?dry_run=true"] {
        let reload = json!({ "source": constant(3) });
        for answer in [
            post(&router, &format!("/pipelines/n/reload{query}"), &reload).await,
            post(&router, &format!("/pipelines/n/rollback{query}"), "").await,
            post(&router, &format!("/pipelines/n/rollback/1{query}"), "").await,
            post(&router, &format!("/compile{query}"), &reload).await,
            put(&router, &format!("/pipelines/m/alias{query}"), json!({ "structuralHash": hash })).await,
            call(&router, "DELETE", &format!("/pipelines/n{query}"), &[], "").await,
            post(&router, &format!("/pipelines/n/prune?keep=1{}", query.replace('?', "&")), "").await,
        ] {
            assert_eq!(answer.status, 503, "{query}: {}", answer.text);
            assert_eq!(answer.json()["error"], "ReadOnly");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
    assert_eq!(get(&router, "/pipelines/n/versions").await.json()["activeVersion"], 2);
    assert_eq!(get(&router, "/pipelines?prefix=n").await.status, 200);
}
