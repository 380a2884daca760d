//! Stored pipelines after a restart with other modules.

use std::path::Path;

use constellation_module::ModuleRegistry;
use constellation_store_core::{Origin, VersionHistory};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{metric, publish};
use crate::builder::ConstellationServer;
use crate::test_support::{get, post, registry_with_parameter};

const TWICE: &str = "in a: Int\nb = double(a)\nout b";

/// A server over the store in `directory`, after the check that it makes when it serves.
async fn start(directory: &Path, registry: ModuleRegistry) -> ConstellationServer {
    let builder = ConstellationServer::builder(registry).with_persistent_pipeline_store(directory);
    let server = builder.build().await.unwrap();
    server.service().check_all().await.unwrap();
    server
}

async fn stop(server: ConstellationServer) {
    server.service().store().close().await.unwrap();
}

async fn history(server: &ConstellationServer) -> VersionHistory {
    let history = server.service().store().versions(&"twice".parse().unwrap()).await.unwrap();
    VersionHistory::clone(&history.unwrap())
}

/// The answer to `twice` of 4, which is an error while it cannot be run.
async fn run(server: &ConstellationServer) -> Value {
    post(&server.router(), "/execute", json!({ "ref": "twice", "inputs": { "a": 4 } })).await.json()
}

#[tokio::test]
async fn a_changed_signature_leads_to_a_version_of_its_own_that_the_next_start_finds() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let server = start(&path, registry_with_parameter("value")).await;
    let old = publish(&server.router(), "twice", TWICE).await;
    stop(server).await;

    let server = start(&path, registry_with_parameter("number")).await;
    let versions = history(&server).await;
    assert_eq!(versions.active_version, Some(2), "before anybody has called it");
    let [first, second] = &versions.versions[..] else { panic!("{versions:?}") };
    assert_eq!((first.structural_hash.to_string(), first.origin), (old, Origin::Compile));
    assert_eq!((second.source_hash, second.origin), (first.source_hash, Origin::Reload));
    assert_ne!(second.structural_hash, first.structural_hash);
    assert_eq!(run(&server).await["outputs"], json!({ "b": 8 }));
    stop(server).await;

    let server = start(&path, registry_with_parameter("number")).await;
    assert_eq!(run(&server).await["outputs"], json!({ "b": 8 }));
    assert_eq!(metric(&server.router(), "constellation_compilations_total").await, 0);
    assert_eq!(history(&server).await.versions.len(), 2);
    stop(server).await;
}

#[tokio::test]
async fn a_pipeline_whose_module_is_gone_is_listed_with_the_reason_until_it_is_back() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let server = start(&path, registry_with_parameter("value")).await;
    publish(&server.router(), "twice", TWICE).await;
    publish(&server.router(), "same", "in a: Int\nout a").await;
    stop(server).await;

    let server = start(&path, ModuleRegistry::new()).await;
    let router = server.router();
    let ready = get(&router, "/ready?verbose").await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    let reason = ready.json()["problems"]["twice"].as_str().unwrap().to_owned();
    assert!(reason.contains("'Double'"), "{reason}");
    assert_eq!(ready.json()["problems"].as_object().unwrap().len(), 1);
    let answer = run(&server).await;
    assert_eq!(answer["error"], "PipelineNotLoadable");
    assert!(answer["message"].as_str().unwrap().contains(&reason), "{answer}");
    let listed = get(&router, "/pipelines").await.json();
    let errors: Vec<&Value> =
        listed["pipelines"].as_array().unwrap().iter().map(|pipeline| &pipeline["loadError"]).collect();
    assert!(errors.contains(&&json!(reason)) && errors.contains(&&Value::Null), "{listed}");
    let same = post(&router, "/execute", json!({ "ref": "same", "inputs": { "a": 1 } })).await;
    assert_eq!(same.json()["outputs"], json!({ "a": 1 }));
    stop(server).await;

    let server = start(&path, registry_with_parameter("value")).await;
    assert_eq!(run(&server).await["outputs"], json!({ "b": 8 }));
    assert_eq!(history(&server).await.versions.len(), 1);
    assert_eq!(get(&server.router(), "/ready?verbose").await.json()["problems"], json!({}));
    stop(server).await;
}
