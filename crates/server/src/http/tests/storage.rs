//! Bounds on what is stored.

use super::*;
use crate::config::Limits;
use crate::test_support::call;

async fn server_with(max_images: u64, max_sources: u64) -> Router {
    router_over(&(Arc::new(InMemoryPipelineStore::new()) as _), max_images, max_sources).await
}

async fn router_over(store: &Arc<dyn PipelineStore>, max_images: u64, max_sources: u64) -> Router {
    let limits =
        Limits { max_stored_images: max_images, max_stored_sources: max_sources, ..Limits::default() };
    let builder = ConstellationServer::builder(constellation_stdlib::registry());
    builder.with_store(Arc::clone(store)).with_limits(limits).build().await.unwrap().router()
}

async fn server_with_bytes(max_stored_bytes: u64) -> Router {
    let limits = Limits { max_stored_bytes, ..Limits::default() };
    let builder = ConstellationServer::builder(constellation_stdlib::registry());
    builder.with_limits(limits).build().await.unwrap().router()
}

/// A program of its own for each number, and one that differs in nothing but a comment.
fn run_of(number: u64, comment: &str) -> Value {
    json!({ "source": format!("in a: Int\nb = a + {number}{comment}\nout b"), "inputs": { "a": 1 } })
}

#[tokio::test]
async fn images_are_stored_up_to_the_limit_and_none_past_it() {
    let router = server_with(3, 100).await;
    for number in 0..3 {
        assert_eq!(post(&router, "/run", run_of(number, "")).await.status, 200, "{number}");
    }
    let source = json!({ "source": run_of(3, "")["source"] });
    for (path, body) in [("/run", run_of(3, "")), ("/compile", source)] {
        let answer = post(&router, path, body).await;
        assert_eq!(answer.status, StatusCode::INSUFFICIENT_STORAGE, "{path}");
        assert_eq!(answer.json()["error"], "StorageFull");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("as many images") && message.contains("max_stored_images"), "{message}");
    }
    assert_eq!(metric(&router, "constellation_store_images").await, 3, "nothing was stored");
    // What is stored runs, and gets names and other comments.
    assert_eq!(post(&router, "/run", run_of(2, "")).await.status, 200);
    let named = json!({ "source": run_of(2, "  # a comment")["source"], "name": "n" });
    assert_eq!(post(&router, "/compile", named).await.status, 200);
    assert_eq!(post(&router, "/execute", json!({ "ref": "n", "inputs": { "a": 1 } })).await.status, 200);
}

#[tokio::test]
async fn source_texts_are_stored_up_to_the_limit_and_none_past_it() {
    let router = server_with(100, 3).await;
    // All are of one image.
    let compile = async |comment: &str, name: &str| {
        let body = json!({ "source": run_of(0, comment)["source"], "name": name });
        post(&router, "/compile", body).await
    };
    for comment in ["", " # 1", " # 2"] {
        assert_eq!(compile(comment, "n").await.status, 200, "{comment}");
    }
    let answer = compile(" # 3", "n").await;
    assert_eq!(answer.status, StatusCode::INSUFFICIENT_STORAGE);
    assert!(answer.text.contains("max_stored_sources"), "{}", answer.text);
    assert_eq!(compile(" # 1", "m").await.status, 200, "a text that is stored gets names");
    assert_eq!(metric(&router, "constellation_store_images").await, 1);
}

#[tokio::test]
async fn bytes_are_stored_up_to_the_limit_and_none_past_it() {
    let router = server_with_bytes(u64::MAX).await;
    for number in 0..2 {
        assert_eq!(post(&router, "/run", run_of(number, "")).await.status, 200, "{number}");
    }
    let bytes = metric(&router, "constellation_store_bytes").await;
    assert!(bytes > 100, "{bytes}");
    for (limit, status) in [(bytes + 1, 200), (bytes, 200), (bytes - 1, 507)] {
        let router = server_with_bytes(limit).await;
        assert_eq!(post(&router, "/run", run_of(0, "")).await.status, 200, "{limit}");
        let answer = post(&router, "/run", run_of(1, "")).await;
        assert_eq!(answer.status.as_u16(), status, "{limit}: {}", answer.text);
        if status == 507 {
            assert_eq!(answer.json()["error"], "StorageFull");
            assert!(answer.text.contains("as many bytes") && answer.text.contains("max_stored_bytes"));
            assert_eq!(metric(&router, "constellation_store_images").await, 1, "nothing was stored");
        } else {
            // What is stored runs, and gets names. A new comment makes a new text.
            let named = |comment| json!({ "source": run_of(1, comment)["source"], "name": "n" });
            assert_eq!(post(&router, "/compile", named("")).await.status, 200, "{limit}");
            assert_eq!(
                post(&router, "/compile", named("  # a comment")).await.status.as_u16(),
                507,
                "{limit}"
            );
        }
    }
}

#[tokio::test]
async fn programs_that_come_at_once_do_not_go_past_the_limit_of_bytes() {
    let router = server_with_bytes(u64::MAX).await;
    assert_eq!(post(&router, "/run", run_of(10, "")).await.status, 200);
    let one = metric(&router, "constellation_store_bytes").await;
    let router = server_with_bytes(5 * one).await;
    let requests = (10..30).map(|number| {
        let router = router.clone();
        async move { post(&router, "/run", run_of(number, "")).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(requests).await;
    assert!(statuses.iter().all(|status| [200, 507].contains(status)), "{statuses:?}");
    let stored = metric(&router, "constellation_store_bytes").await;
    assert!((one..=5 * one).contains(&stored), "{stored} of {}", 5 * one);
}

#[tokio::test]
async fn at_no_room_at_all_nothing_is_stored() {
    let router = server_with(0, 0).await;
    assert_eq!(post(&router, "/run", run_of(0, "")).await.status, StatusCode::INSUFFICIENT_STORAGE);
    let router = server_with_bytes(0).await;
    assert_eq!(post(&router, "/run", run_of(0, "")).await.status, StatusCode::INSUFFICIENT_STORAGE);
}

#[tokio::test]
async fn programs_that_come_at_once_do_not_go_past_the_limit() {
    let router = server_with(5, 100).await;
    let requests = (0..20).map(|number| {
        let router = router.clone();
        async move { post(&router, "/run", run_of(number, "")).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(requests).await;
    assert!(statuses.iter().all(|status| [200, 507].contains(status)), "{statuses:?}");
    let stored = metric(&router, "constellation_store_images").await;
    assert!((1..=5).contains(&stored), "{stored}");
}

#[tokio::test]
async fn a_full_store_gets_back_what_it_had() {
    let store = Arc::new(RefusingStore::default());
    let over = Arc::clone(&store) as Arc<dyn PipelineStore>;
    let router = router_over(&over, 2, 2).await;
    let source = |number| run_of(number, "")["source"].as_str().unwrap().to_owned();
    let first = publish(&router, "n", &source(1)).await;
    publish(&router, "n", &source(2)).await;
    // Without what the first server has in memory.
    let router = router_over(&over, 1, 1).await;
    store.lose(first.parse().unwrap());
    let answer = post(&router, "/pipelines/n/rollback", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(!store.has_lost());
    // With it.
    store.lose(first.parse().unwrap());
    publish(&router, "n", &source(2)).await;
    let answer = post(&router, "/pipelines/n/rollback/1", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(!store.has_lost());
}

#[tokio::test]
async fn a_condition_is_judged_before_there_is_room_for_what_it_allows() {
    let router = server_with(1, 1).await;
    let source = |number| run_of(number, "")["source"].clone();
    publish(&router, "n", source(0).as_str().unwrap()).await;
    for path in ["/pipelines/n/reload", "/pipelines/n/reload?dry_run=true"] {
        for (required, status) in [("\"2\"", 412), ("\"1\"", 507)] {
            let body = json!({ "source": source(1) });
            let answer = call(&router, "POST", path, &[("if-match", required)], body).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {required}: {}", answer.text);
        }
    }
}
