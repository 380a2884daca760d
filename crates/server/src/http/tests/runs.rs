//! What answers, metrics and spans tell of a run; what ends it early.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use constellation_module::{CallContext, ModuleBuilder, ModuleError, ModuleRegistry, Outcome};
use constellation_store_core::{Commit, Operation, Origin, PipelineStore, SourceHash};
use constellation_store_mem::InMemoryPipelineStore;
use constellation_types::{Type, Value as Datum};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{keys, metric, publish};
use crate::builder::ConstellationServer;
use crate::config::Limits;
use crate::test_support::{post, server, server_over, with_subscriber};

async fn run(router: &Router, source: &str, inputs: Value, options: Value) -> Value {
    let request = json!({ "source": source, "inputs": inputs, "options": options });
    let answer = post(router, "/run", request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// A module that never answers: it says that it was called, and that it was dropped.
#[derive(Debug, Default)]
struct Endless {
    called: Notify,
    dropped: Notify,
    context: Mutex<Option<CallContext>>,
}

struct Dropped(Arc<Endless>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

/// A registry with `endless()`, and with `failing(a)`, which fails.
fn registry() -> (ModuleRegistry, Arc<Endless>) {
    let endless = Arc::new(Endless::default());
    let shared = Arc::clone(&endless);
    let mut registry = ModuleRegistry::new();
    let module = ModuleBuilder::new("Endless").function_name("endless").values_with_context(
        [] as [(&str, Type); 0],
        [("out", Type::Int)],
        move |_, context| {
            *shared.context.lock().unwrap() = Some(context.clone());
            let dropped = Dropped(Arc::clone(&shared));
            Outcome::Pending(Box::pin(async move {
                dropped.0.called.notify_one();
                std::future::pending().await
            }))
        },
    );
    registry.register(module).unwrap();
    let module = ModuleBuilder::new("Failing").function_name("failing").values(
        [("a", Type::Int)],
        [("out", Type::Int)],
        |_: &[Datum]| Err(ModuleError::with_source("no quote", "line 3: no price")),
    );
    registry.register(module).unwrap();
    (registry, endless)
}

#[tokio::test]
async fn an_error_is_told_with_kind_module_label_causes_and_position() {
    let router = ConstellationServer::builder(registry().0).build().await.unwrap().router();
    let source = "in a: Int\nratio = 1 / a\nprice = failing(a)\ntotal = price + 1\nout ratio\nout total";
    let body = run(&router, source, json!({ "a": 0 }), Value::Null).await;
    assert_eq!(keys(&body)[11..], ["errors", "pendingReasons", "metadata", "computedNodes"]);
    assert_eq!(
        body["errors"].to_string(),
        r#"[{"kind":"Evaluation","message":"Division by zero in 1 / 0","module":null,"label":"ratio","causes":[],"position":{"line":2,"column":9}},{"kind":"Module","message":"no quote","module":"Failing","label":"price","causes":["line 3: no price"],"position":{"line":3,"column":9}}]"#
    );
    assert_eq!(
        body["pendingReasons"],
        json!({
            "ratio": "'ratio' failed: Division by zero in 1 / 0",
            "total": "'total' was not computed because 'price' failed: no quote",
        })
    );
    assert_eq!((&body["metadata"], &body["computedNodes"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn an_error_is_placed_at_its_variable_when_the_source_gives_another_graph_by_now() {
    let store: Arc<dyn PipelineStore> = Arc::new(InMemoryPipelineStore::new());
    let router = server_over(&store).await.router();
    let hash = publish(&router, "ratio", "in a: Int\nratio = 1 / a\nout ratio").await;
    for (source, place) in [
        // As if another compiler had made the image, and one that knew a function which is gone.
        ("in a: Int\n\n  ratio = 0 + 1 / a\nout ratio", Some((3, 3))),
        ("in a: Int\nunused = gone(a)\nratio = 1 / a\nout ratio", Some((3, 1))),
        ("in a: Int\nother = 1 / a\nout other", None),
    ] {
        let version = Operation::RecordVersion {
            name: "ratio".parse().unwrap(),
            structural_hash: hash.parse().unwrap(),
            origin: Origin::Alias,
            source_hash: Some(SourceHash::of_bytes(source.as_bytes())),
        };
        // A name moves only when its hash changes, so that it is made anew.
        let delete = Operation::DeleteName { name: "ratio".parse().unwrap() };
        let commit = Commit::new().then(delete).then(Operation::PutSource(source.into())).then(version);
        store.commit(commit).await.unwrap();
        let request = json!({ "ref": "ratio", "inputs": { "a": 0 } });
        let body = post(&router, "/execute", request).await.json();
        let expected = place.map(|(line, column)| json!({ "line": line, "column": column }));
        assert_eq!(body["errors"][0]["position"], expected.unwrap_or_default(), "{source}\n{body}");
        assert_eq!(body["error"].as_str().unwrap().contains("(line "), place.is_some());
    }
}

#[tokio::test]
async fn what_was_asked_for_is_told_by_the_names_of_nodes() {
    let router = server().await.router();
    let source = "in a: Int\nin b: Int\ntotal = add(a, b)\nlarge = if (total > 100) a / 0 else total * 2.5\n\
                  bad = b / a\nout large\nout bad";
    let options = json!({
        "includeTimings": true, "includeProvenance": true, "includeResolutionSources": true,
        "includeNodeStatuses": true, "includeComputedNodes": true,
    });
    let source = source.replace("if (total > 100) a / 0 else total * 2.5", "total > 100");
    let body = run(&router, &source, json!({ "a": 0, "b": 2 }), options).await;
    assert_eq!(body["computedNodes"], json!({ "a": 0, "b": 2, "total": 2, "large": false }));
    let metadata = &body["metadata"];
    assert_eq!(
        keys(metadata),
        [
            "startedAt",
            "completedAt",
            "totalDurationMs",
            "nodeTimingsMs",
            "provenance",
            "resolutionSources",
            "nodeStatuses",
            "omittedNodes"
        ]
    );
    assert!(metadata["startedAt"].as_str().unwrap() <= metadata["completedAt"].as_str().unwrap());
    assert!(metadata["totalDurationMs"].as_f64().unwrap() > 0.0);
    assert_eq!(keys(&metadata["nodeTimingsMs"]), ["total"]);
    let module = metadata["provenance"]["total"].as_str().unwrap();
    assert!(module.contains("add"), "{module}");
    let inline = "<inline-transform>";
    assert_eq!(
        metadata["provenance"],
        json!({ "a": "<input>", "b": "<input>", "total": module, "large": inline, "bad": inline })
    );
    assert_eq!(
        metadata["resolutionSources"],
        json!({ "a": "input", "b": "input", "total": "module", "large": "operation" })
    );
    let completed = json!({ "status": "completed", "because": null });
    assert_eq!(
        metadata["nodeStatuses"],
        json!({
            "a": completed, "b": completed, "total": completed, "large": completed,
            "bad": { "status": "failed", "because": "bad" },
        })
    );
    assert_eq!(metadata["omittedNodes"], 0);
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_told() {
    let router = server().await.router();
    let source = "in a: Int\nb = a + 1\nout b";
    let body = run(&router, source, json!({ "a": 1 }), json!({ "includeComputedNodes": true })).await;
    assert_eq!(body["computedNodes"], json!({ "a": 1, "b": 2 }));
    assert_eq!(body["metadata"], Value::Null);
    let body = run(&router, source, json!({ "a": 1 }), json!({ "includeNodeStatuses": true })).await;
    assert_eq!(body["computedNodes"], Value::Null);
    let metadata = &body["metadata"];
    assert_eq!(keys(&metadata["nodeStatuses"]), ["a", "b"]);
    for member in ["totalDurationMs", "nodeTimingsMs", "provenance", "resolutionSources"] {
        assert_eq!(metadata[member], Value::Null, "{member}");
    }
    // A run that does not start has nothing to tell of its nodes.
    let body = run(&router, source, json!({}), json!({ "includeNodeStatuses": true })).await;
    assert_eq!(body["metadata"]["nodeStatuses"], json!({}));

    publish(&router, "next", source).await;
    let request = json!({ "ref": "next", "inputs": { "a": 1 }, "options": { "includeComputedNodes": true } });
    assert_eq!(post(&router, "/execute", request).await.json()["computedNodes"], json!({ "a": 1, "b": 2 }));
}

#[tokio::test]
async fn options_that_nobody_knows_are_refused() {
    let router = server().await.router();
    for options in [
        json!({ "includeTiming": true }),
        json!({ "includeTimings": "yes" }),
        json!({ "timeoutMs": 0 }),
        json!({ "timeoutMs": -1 }),
        json!([]),
    ] {
        let request = json!({ "source": "in a: Int\nout a", "inputs": { "a": 1 }, "options": options });
        let answer = post(&router, "/run", request).await;
        assert_eq!(answer.status, 400, "{options}: {}", answer.text);
        let request = json!({ "ref": "x", "inputs": { "a": 1 }, "options": options });
        assert_eq!(post(&router, "/execute", request).await.status, 400, "{options}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_ask_for_a_shorter_deadline_and_not_for_a_longer_one() {
    let limits = Limits { max_execution_duration: Duration::from_secs(7), ..Limits::default() };
    let builder = ConstellationServer::builder(registry().0).with_limits(limits);
    let router = builder.build().await.unwrap().router();
    for (options, ends_after) in
        [(json!({ "timeoutMs": 50 }), 50), (json!({ "timeoutMs": 60_000 }), 7000), (Value::Null, 7000)]
    {
        let body = run(&router, "n = endless()\nout n", json!({}), options).await;
        assert_eq!(body["status"], "failed");
        assert_eq!(body["errors"][0]["kind"], "DeadlineExceeded");
        assert_eq!(body["error"], format!("DeadlineExceeded: the run took longer than {ends_after} ms"));
    }
    let kind = "constellation_execution_failures_total{kind=\"DeadlineExceeded\"}";
    assert_eq!(metric(&router, kind).await, 3);
    assert_eq!(metric(&router, "constellation_executions_over_budget_total{budget=\"time\"}").await, 3);
}

/// Serves on a socket, and gives the address.
async fn listen(server: ConstellationServer) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server.serve(listener, std::future::pending()));
    address
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_run() {
    let (registry, endless) = registry();
    let server = ConstellationServer::builder(registry).build().await.unwrap();
    let router = server.router();
    let address = listen(server).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = json!({ "source": "n = endless()\nout n", "inputs": {} }).to_string();
    let head = format!("POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    endless.called.notified().await;
    assert_eq!(metric(&router, "constellation_executions_in_flight").await, 1);
    let context = endless.context.lock().unwrap().clone().unwrap();
    assert!(!context.cancellation().is_cancelled());

    drop(stream);
    let ended = tokio::time::timeout(Duration::from_secs(30), endless.dropped.notified()).await;
    assert!(ended.is_ok(), "the module still runs");
    assert!(context.cancellation().is_cancelled());
    for (name, expected) in [
        ("constellation_executions_in_flight", 0),
        ("constellation_executions_total{status=\"cancelled\"}", 1),
        ("constellation_module_calls_total{module=\"Endless\",outcome=\"cancelled\"}", 1),
    ] {
        // The module is dropped a moment before it is counted.
        let counted = async {
            while metric(&router, name).await != expected {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(30), counted).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn runs_and_calls_are_counted_by_how_they_end() {
    let router = ConstellationServer::builder(registry().0).build().await.unwrap().router();
    let source = "in a: Int\nb = failing(a) with retry: 1\nout b\nout a";
    run(&router, source, json!({ "a": 1 }), Value::Null).await;
    run(&router, source, json!({}), Value::Null).await;
    run(&router, "in a: Int\nout a", json!({ "a": 1 }), Value::Null).await;
    for (name, expected) in [
        ("constellation_executions_total{status=\"failed\"}", 1),
        ("constellation_executions_total{status=\"suspended\"}", 1),
        ("constellation_executions_total{status=\"completed\"}", 1),
        ("constellation_execution_duration_seconds_count{status=\"failed\"}", 1),
        ("constellation_execution_failures_total{kind=\"Module\"}", 1),
        ("constellation_execution_failures_total{kind=\"Evaluation\"}", 0),
        ("constellation_module_calls_total{module=\"Failing\",outcome=\"failed\"}", 2),
        ("constellation_module_calls_total{module=\"Failing\",outcome=\"succeeded\"}", 0),
        ("constellation_module_call_duration_seconds_count{module=\"Failing\"}", 2),
        ("constellation_module_call_duration_seconds_count{module=\"Endless\"}", 0),
        ("constellation_executions_in_flight", 0),
    ] {
        assert_eq!(metric(&router, name).await, expected, "{name}");
    }
}

/// Keeps the fields of spans as text.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Spans {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
                write!(self.0, " {}={value:?}", field.name()).unwrap();
            }
        }
        let mut text = Text(attributes.metadata().name().to_owned());
        attributes.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
}

#[test]
fn the_span_of_a_run_has_the_id_that_the_answer_tells() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let body = with_subscriber(subscriber, || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let router = server().await.router();
            run(&router, "in a: Int\nb = add(a, 1)\nout b", json!({ "a": 1 }), Value::Null).await
        })
    });
    let spans = spans.0.lock().unwrap();
    let (id, hash) = (&body["executionId"], &body["structuralHash"]);
    let expected = format!("run run_id={id} pipeline={hash}");
    assert!(spans.contains(&expected), "{expected} is not in {spans:#?}");
    assert!(spans.iter().any(|span| span.starts_with("call module=") && span.contains("label=\"b\"")));
}
