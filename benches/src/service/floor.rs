//! The floor: what axum does at least for the same requests and answers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::signal::unix::{SignalKind, signal};

/// The answers that the server gives, which the floor repeats.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answers {
    pub(crate) execute: String,
    pub(crate) run: String,
    pub(crate) compile: String,
    pub(crate) pipeline: String,
}

/// The bodies of all three routes that take one.
#[derive(Deserialize)]
struct Body {
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    name: Option<String>,
    /// What belongs to a pipeline cannot be read before the pipeline is known; the server leaves it as text too.
    #[serde(default)]
    inputs: HashMap<String, Box<RawValue>>,
}

#[derive(Clone)]
struct Ready {
    execute: Bytes,
    run: Bytes,
    compile: Bytes,
    pipeline: Bytes,
}

pub(crate) fn serve(answers: &Path) -> anyhow::Result<()> {
    let text = std::fs::read(answers).with_context(|| format!("reading {}", answers.display()))?;
    let Answers { execute, run, compile, pipeline } = serde_json::from_slice(&text)?;
    let ready = Arc::new(Ready {
        execute: execute.into(),
        run: run.into(),
        compile: compile.into(),
        pipeline: pipeline.into(),
    });
    let router =
        Router::new()
            .route(
                "/execute",
                post(|ready: State<Arc<Ready>>, body: Bytes| async move {
                    parsed(&body, |ready| &ready.execute, &ready)
                }),
            )
            .route(
                "/run",
                post(|ready: State<Arc<Ready>>, body: Bytes| async move {
                    parsed(&body, |ready| &ready.run, &ready)
                }),
            )
            .route(
                "/compile",
                post(|ready: State<Arc<Ready>>, body: Bytes| async move {
                    parsed(&body, |ready| &ready.compile, &ready)
                }),
            )
            .route(
                "/pipelines/{reference}",
                get(|ready: State<Arc<Ready>>| async move { json(&ready.pipeline) }),
            )
            .with_state(ready);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            // As the server does; without it the floor is slower at worst.
            let _ = stream.set_nodelay(true);
        });
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async move {
            terminate.recv().await;
        };
        axum::serve(listener, router).with_graceful_shutdown(stop).await?;
        anyhow::Ok(())
    })
}

#[expect(clippy::print_stdout, reason = "as the server tells its address")]
fn announce(address: std::net::SocketAddr) {
    println!("listening on http://{address}");
}

fn parsed(body: &[u8], answer: impl Fn(&Ready) -> &Bytes, ready: &Ready) -> Response {
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => {
            std::hint::black_box((&body.reference, &body.source, &body.name, &body.inputs));
            json(answer(ready))
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

fn json(bytes: &Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes.clone()).into_response()
}
