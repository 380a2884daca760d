//! For operators: whether the process lives, whether it is ready, and what it counts.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use constellation_store_core::StoreStatus;

use super::respond::json;
use super::routes::Guarded;
use crate::metrics::CONTENT_TYPE;
use crate::wire::{Health, HealthStatus, Readiness, ReadyResponse, StoreHealth};

/// Tells whether the server does not drain.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "health",
    tag = "operations",
    responses(
        (status = 200, description = "It takes requests", body = Health),
        (status = 503, description = "It is about to stop", body = Health),
    )
)]
pub(super) async fn health(State(app): State<Guarded>) -> Response {
    if app.is_draining() {
        return json(StatusCode::SERVICE_UNAVAILABLE, &Health { status: HealthStatus::Draining });
    }
    json(StatusCode::OK, &Health { status: HealthStatus::Ok })
}

/// Tells that the process answers, whatever else is wrong.
#[utoipa::path(
    get,
    path = "/live",
    operation_id = "live",
    tag = "operations",
    responses(
        (status = 200, description = "It lives", body = Health),
    )
)]
pub(super) async fn live() -> Response {
    json(StatusCode::OK, &Health { status: HealthStatus::Alive })
}

/// Tells whether all requests can be served.
///
/// When the store only reads, though it was given to be written, somebody has to open it again; runs are answered
/// meanwhile, to whoever asks.
#[utoipa::path(
    get,
    path = "/ready",
    operation_id = "ready",
    tag = "operations",
    params((
        "verbose" = Option<String>,
        Query,
        description = "Tell the state of the store, and each name that cannot be run; not with `false`, `0` or `no`"
    )),
    responses(
        (status = 200, description = "It can do all that it is there for", body = ReadyResponse),
        (
            status = 503,
            description = "It is about to stop, or its store does not answer or only reads",
            body = ReadyResponse,
        ),
    )
)]
pub(super) async fn ready(
    State(app): State<Guarded>,
    query: Result<Query<BTreeMap<String, String>>, QueryRejection>,
) -> Response {
    let draining = app.is_draining();
    let status = app.service.store().status().await;
    let is_ready = !draining && status.as_ref().is_ok_and(|status| app.does_its_job(status));
    let (code, health) = if is_ready {
        (StatusCode::OK, HealthStatus::Ready)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, HealthStatus::NotReady)
    };
    let verbose = query
        .ok()
        .and_then(|Query(parameters)| parameters.get("verbose").cloned())
        .is_some_and(|value| !matches!(value.as_str(), "false" | "0" | "no"));
    if !verbose {
        return json(code, &ReadyResponse::Brief(Health { status: health }));
    }
    let store = match status {
        Ok(StoreStatus { revision, images, sources, bytes, names, read_only, warnings }) => StoreHealth {
            revision: Some(revision.0),
            images: Some(images),
            sources: Some(sources),
            bytes: Some(bytes),
            names: Some(names),
            read_only,
            warnings,
            error: None,
        },
        Err(error) => StoreHealth {
            revision: None,
            images: None,
            sources: None,
            bytes: None,
            names: None,
            read_only: None,
            warnings: Vec::new(),
            error: Some(error.message().to_owned()),
        },
    };
    let problems = app.service.problems();
    let problems = problems.into_iter().map(|(name, reason)| (name.to_string(), reason)).collect();
    json(code, &ReadyResponse::Verbose(Readiness { status: health, draining, store, problems }))
}

/// Counts and times, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    responses(
        (
            status = 200,
            description = "In the format of OpenMetrics",
            body = String,
            content_type = "application/openmetrics-text",
        ),
    )
)]
pub(super) async fn metrics(State(app): State<Guarded>) -> Response {
    let status = app.service.store().status().await.ok();
    app.metrics.loaded(&app.service.load_now());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], app.metrics.encode(status.as_ref())).into_response()
}
