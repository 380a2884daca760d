//! The HTTP API: routes, and what holds for all of them.

mod body;
mod body_budget;
mod conditions;
mod health;
mod json_size;
mod layer;
mod pipelines;
mod programs;
mod respond;
mod runs;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post, put};
use constellation_store_core::StoreStatus;

use crate::config::Limits;
use crate::metrics::Metrics;
use crate::service::PipelineService;
use body_budget::BodyBudget;

/// What handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) service: Arc<PipelineService>,
    pub(crate) metrics: Arc<Metrics>,
    max_uri_bytes: usize,
    max_body_bytes: usize,
    max_json_values: usize,
    body_budget: BodyBudget,
    answer_budget: BodyBudget,
    body_read_timeout: Duration,
    draining: AtomicBool,
    /// Whether the store was given to the server to be read only.
    is_for_reading: bool,
}

impl App {
    /// `is_for_reading` tells that nobody expects the store to take commits.
    pub(crate) fn new(
        service: Arc<PipelineService>,
        metrics: Arc<Metrics>,
        limits: &Limits,
        is_for_reading: bool,
    ) -> Self {
        Self {
            service,
            metrics,
            max_uri_bytes: limits.max_uri_bytes,
            max_body_bytes: limits.max_body_bytes,
            max_json_values: limits.max_json_values,
            body_budget: BodyBudget::new(limits.max_buffered_body_bytes),
            answer_budget: BodyBudget::new(limits.max_buffered_answer_bytes),
            body_read_timeout: limits.body_read_timeout,
            draining: AtomicBool::new(false),
            is_for_reading,
        }
    }

    /// From now on the server is not ready, so that a balancer sends requests elsewhere.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether the store can do what it was given for.
    fn does_its_job(&self, store: &StoreStatus) -> bool {
        store.read_only.is_none() || self.is_for_reading
    }
}

/// The routes of the API.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/compile", post(programs::compile))
        .route("/execute", post(programs::execute))
        .route("/run", post(programs::run))
        .route("/pipelines", get(pipelines::list))
        .route("/pipelines/{ref}", get(pipelines::show))
        .route("/pipelines/{name}/alias", put(pipelines::alias))
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/live", get(health::live))
        .route("/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .method_not_allowed_fallback(respond::method_not_allowed)
        .fallback(respond::no_route)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), layer::around))
        .with_state(Arc::clone(app))
}

#[cfg(test)]
mod tests;
