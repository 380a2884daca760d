//! More is asked for than the server does at a time.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use constellation_module::{ModuleBuilder, ModuleRegistry, Outcome};
use constellation_store_core::PipelineStore;
use constellation_types::Type;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::builder::ConstellationServer;
use crate::config::Limits;
use crate::test_support::{Answer, RefusingStore, call, get, post, server_over};

const MAX_WAIT: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(10);
const HELD: &str = "in a: Int\nb = held(a)\nout b";

/// A server with `held(a)`, which answers as often as the semaphore has permits.
async fn server(limits: Limits) -> (ConstellationServer, Arc<Semaphore>) {
    let answers = Arc::new(Semaphore::new(0));
    let module = {
        let answers = Arc::clone(&answers);
        ModuleBuilder::new("Held").function_name("held").values_with_context(
            [("a", Type::Int)],
            [("out", Type::Int)],
            move |arguments, _| {
                let (answers, first) = (Arc::clone(&answers), arguments[0].clone());
                Outcome::Pending(Box::pin(async move {
                    answers.acquire().await.expect("it is never closed").forget();
                    Ok(first)
                }))
            },
        )
    };
    let mut registry = ModuleRegistry::new();
    registry.register(module).unwrap();
    let server = ConstellationServer::builder(registry).with_limits(limits).build().await.unwrap();
    (server, answers)
}

fn limits() -> Limits {
    Limits { max_executions: 1, max_waiting_executions: 1, max_queue_wait: MAX_WAIT, ..Limits::default() }
}

fn start(router: &Router, timeout_ms: Option<u64>) -> JoinHandle<Answer> {
    let router = router.clone();
    let body = json!({ "source": HELD, "inputs": { "a": 1 }, "options": { "timeoutMs": timeout_ms } });
    tokio::spawn(async move { post(&router, "/run", body).await })
}

fn assert_refused(answer: &Answer, reason: &str) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["error"], "Overloaded");
    assert!(answer.json()["message"].as_str().unwrap().contains(reason), "{}", answer.text);
}

async fn metric(router: &Router, line: &str) -> bool {
    get(router, "/metrics").await.text.lines().any(|known| known == line)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_finds_the_line_full_is_refused_at_once() {
    let (server, answers) = server(limits()).await;
    let router = server.router();
    let (running, waiting) = (start(&router, None), start(&router, None));
    tokio::time::sleep(MOMENT).await;
    assert!(metric(&router, "constellation_pool_in_use{pool=\"executions\"} 1").await);
    assert!(metric(&router, "constellation_pool_waiting{pool=\"executions\"} 1").await);
    let start_of_third = tokio::time::Instant::now();
    assert_refused(&start(&router, None).await.unwrap(), "1 runs wait already");
    assert_eq!(start_of_third.elapsed(), Duration::ZERO);
    assert!(metric(&router, "constellation_pool_refused_total{pool=\"executions\"} 1").await);
    // What needs no slot is answered meanwhile.
    assert_eq!(get(&router, "/ready").await.status, 200);
    assert_eq!(get(&router, "/pipelines").await.status, 200);
    answers.add_permits(2);
    for answered in [running, waiting] {
        let answered = answered.await.unwrap();
        assert_eq!((answered.status.as_u16(), &answered.json()["outputs"]), (200, &json!({ "b": 1 })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_too_long_is_refused() {
    let (server, _answers) = server(limits()).await;
    let router = server.router();
    let _running = start(&router, None);
    tokio::time::sleep(MOMENT).await;
    let start_of_second = tokio::time::Instant::now();
    assert_refused(&start(&router, None).await.unwrap(), "within 5000 ms");
    assert_eq!(start_of_second.elapsed(), MAX_WAIT);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_run_counts_from_when_it_is_asked_for() {
    let (server, answers) = server(limits()).await;
    let router = server.router();
    let _running = start(&router, None);
    tokio::time::sleep(MOMENT).await;
    // It does not get its turn in its time.
    let begin = tokio::time::Instant::now();
    assert_refused(&start(&router, Some(100)).await.unwrap(), "within 100 ms");
    assert_eq!(begin.elapsed(), Duration::from_millis(100));
    // It does, and has only the rest of it.
    let begin = tokio::time::Instant::now();
    let late = start(&router, Some(100));
    tokio::time::sleep(Duration::from_millis(60)).await;
    answers.add_permits(1);
    let answer = late.await.unwrap();
    assert_eq!(answer.json()["errors"][0]["kind"], "DeadlineExceeded", "{}", answer.text);
    assert_eq!(begin.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_calls_were_refused_can_be_tried_again() {
    let limits = Limits { max_calls_in_flight: 1, max_calls_waiting: 0, ..Limits::default() };
    let (server, answers) = server(limits).await;
    let router = server.router();
    let running = start(&router, None);
    tokio::time::sleep(MOMENT).await;
    let refused = start(&router, None).await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json()["errors"][0]["kind"], "Overloaded");
    assert_eq!(refused.json()["status"], "failed");
    assert!(metric(&router, "constellation_module_calls_in_flight 1").await);
    assert!(metric(&router, "constellation_module_calls_refused_total 1").await);

    // With an output that came about it is an answer.
    let source = "in a: Int\nb = held(a)\nout b\nout a";
    let body = json!({ "source": source, "inputs": { "a": 1 } });
    let partial = post(&router, "/run", body).await;
    assert_eq!(partial.status, 200, "{}", partial.text);
    assert_eq!(
        (&partial.json()["status"], &partial.json()["outputs"]),
        (&json!("failed"), &json!({ "a": 1 }))
    );
    answers.add_permits(1);
    assert_eq!(running.await.unwrap().json()["outputs"], json!({ "b": 1 }));
}

#[tokio::test(start_paused = true)]
async fn compilations_are_bounded_apart_from_runs() {
    let limits = Limits {
        max_compilations: 1,
        max_waiting_compilations: 1,
        max_queue_wait: MAX_WAIT,
        ..Limits::default()
    };
    let (server, answers) = server(limits).await;
    let router = server.router();
    answers.add_permits(1);
    assert_eq!(start(&router, None).await.unwrap().status, 200, "its program is known from here on");

    let slot = server.service().hold_compilations().await;
    let compile = |number: u32| {
        let (router, source) = (router.clone(), format!("in a: Int\nb = a + {number}\nout b"));
        tokio::spawn(async move { post(&router, "/compile", json!({ "source": source })).await })
    };
    let waiting = compile(1);
    tokio::time::sleep(MOMENT).await;
    assert_refused(&compile(2).await.unwrap(), "1 compilations wait already");
    // A known program is run however much is compiled.
    answers.add_permits(1);
    assert_eq!(start(&router, None).await.unwrap().status, 200);
    // One that takes long to read is work of this kind, too.
    let long = format!("{HELD} # {}", "x".repeat(20_000));
    let refused = post(&router, "/run", json!({ "source": long, "inputs": { "a": 1 } })).await;
    assert_refused(&refused, "1 compilations wait already");
    // Who asks for the program that is waited for does not wait longer than others either.
    let begin = tokio::time::Instant::now();
    let same = compile(1);
    tokio::time::sleep(MOMENT).await;
    assert_refused(&waiting.await.unwrap(), "within 5000 ms");
    drop(slot);
    assert_eq!(same.await.unwrap().status, 200);
    assert!(begin.elapsed() <= MAX_WAIT, "{:?}", begin.elapsed());
    assert_eq!(compile(2).await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_is_answered_at_once_however_much_is_compiled() {
    let limits = Limits { max_compilations: 1, max_queue_wait: MAX_WAIT, ..Limits::default() };
    let (server, _answers) = server(limits).await;
    let router = server.router();
    let source = "in a: Int\nb = 1 / a\nout b";
    let named = post(&router, "/compile", json!({ "source": source, "name": "n" })).await;
    assert_eq!(named.status, 200, "{}", named.text);
    let slot = server.service().hold_compilations().await;
    let requests = [
        ("/run", json!({ "source": source, "inputs": { "a": 0 } })),
        ("/execute", json!({ "ref": "n", "inputs": { "a": 0 } })),
    ];
    for (path, body) in &requests {
        let begin = tokio::time::Instant::now();
        let failed = post(&router, path, body).await.json();
        assert_eq!((&failed["status"], &failed["errors"][0]["position"]), (&json!("failed"), &json!(null)));
        assert_eq!(begin.elapsed(), Duration::ZERO, "{path}");
    }
    // It was answered, so nobody was refused.
    assert!(metric(&router, "constellation_pool_refused_total{pool=\"compilations\"} 0").await);
    drop(slot);
    for (path, body) in &requests {
        let failed = post(&router, path, body).await.json();
        assert_eq!(failed["errors"][0]["position"], json!({ "line": 2, "column": 5 }), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_compiled_again_for_a_client_waits_as_its_own_programs_do() {
    let store = Arc::new(RefusingStore::default());
    let over = Arc::clone(&store) as Arc<dyn PipelineStore>;
    let first = server_over(&over).await.router();
    let compile = async |source: &str| {
        let answer = post(&first, "/compile", json!({ "source": source, "name": "n" })).await;
        answer.json()["structuralHash"].as_str().unwrap().parse().unwrap()
    };
    let older = compile("in a: Int\nout a").await;
    let active = compile("in a: Int\nb = a + 1\nout b").await;
    for (lost, method, path) in [
        (active, "GET", "/pipelines/n"),
        (active, "GET", "/pipelines/n/diff/n"),
        (active, "POST", "/execute"),
        (older, "POST", "/pipelines/n/rollback/1"),
    ] {
        // With nothing in memory.
        let limits = Limits { max_compilations: 1, max_waiting_compilations: 0, ..Limits::default() };
        let builder = ConstellationServer::builder(constellation_stdlib::registry()).with_limits(limits);
        let server = builder.with_store(Arc::clone(&over)).build().await.unwrap();
        let router = server.router();
        store.lose(lost);
        let body = json!({ "ref": "n", "inputs": { "a": 1 } });
        let ask = || call(&router, method, path, &[], &body);
        let slot = server.service().hold_compilations().await;
        assert_refused(&ask().await, "0 compilations wait already");
        assert_eq!(get(&router, "/ready?verbose").await.json()["problems"], json!({}), "{path}");
        drop(slot);
        let answer = ask().await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        assert!(!store.has_lost(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_image_that_many_ask_for_is_compiled_once() {
    let store = Arc::new(RefusingStore::default());
    let over = Arc::clone(&store) as Arc<dyn PipelineStore>;
    let source = "in a: Int\nout a";
    let first = server_over(&over).await.router();
    let answer = post(&first, "/compile", json!({ "source": source, "name": "n" })).await;
    let server = server_over(&over).await;
    store.lose(answer.json()["structuralHash"].as_str().unwrap().parse().unwrap());
    let router = server.router();
    let calls = (0..16).map(|_| get(&router, "/pipelines/n"));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(server.service().compilations(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_was_run_before_is_not_read_again() {
    let limits = Limits { max_compilations: 1, max_waiting_compilations: 0, ..Limits::default() };
    let (server, _answers) = server(limits).await;
    let router = server.router();
    // So long that it is read in a slot for compilations.
    let long = |comment: &str| format!("in a: Int\nout a # {}", comment.repeat(20_000));
    let run =
        async |source: String| post(&router, "/run", json!({ "source": source, "inputs": { "a": 1 } })).await;
    assert_eq!(run(long("x")).await.status, 200);
    let _slot = server.service().hold_compilations().await;
    assert_eq!(run(long("x")).await.status, 200);
    // The same program, which only reading it can tell.
    assert_refused(&run(long("y")).await, "0 compilations wait already");
}

#[tokio::test(start_paused = true)]
async fn comparing_programs_is_bounded_as_compiling_is() {
    let limits = Limits { max_compilations: 1, max_waiting_compilations: 0, ..Limits::default() };
    let (server, _answers) = server(limits).await;
    let router = server.router();
    assert_eq!(post(&router, "/compile", json!({ "source": HELD, "name": "n" })).await.status, 200);
    let slot = server.service().hold_compilations().await;
    assert_refused(&get(&router, "/pipelines/n/diff/n").await, "0 compilations wait already");
    drop(slot);
    assert_eq!(get(&router, "/pipelines/n/diff/n").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn as_many_values_as_a_body_may_have_are_read() {
    let limits = Limits { max_json_values: 1000, ..Limits::default() };
    let (server, _) = server(limits).await;
    let router = server.router();
    // The body, its two keys, their values, the key and list in `inputs`, and what counts a comma between members.
    let fixed = r#"{"source":"x","inputs":{"a":[]}}"#;
    for (n_values, status) in [(999, 400), (1000, 400), (1001, 413)] {
        let items = n_values - 8;
        let body = fixed.replace("[]", &format!("[{}1]", "1,".repeat(items)));
        let answer = post(&router, "/run", &body).await;
        assert_eq!(answer.status, status, "{n_values}: {}", answer.text);
    }
}
