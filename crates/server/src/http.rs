//! The HTTP API: routes, and what holds for all of them.

mod body;
mod changes;
mod conditions;
mod diff;
mod health;
mod layer;
mod listing;
mod modules;
mod pipelines;
mod programs;
mod respond;
mod runs;
mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post, put};
use constellation_store_core::StoreStatus;

use crate::config::{Limits, LoaderConfig};
use crate::metrics::Metrics;
use crate::service::PipelineService;

/// What handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) service: Arc<PipelineService>,
    pub(crate) metrics: Arc<Metrics>,
    max_body_bytes: usize,
    body_read_timeout: Duration,
    draining: AtomicBool,
    /// Whether the store was given to the server to be read only.
    is_for_reading: bool,
    /// Where a name is reloaded from when the request has no source.
    loader: Option<LoaderConfig>,
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
            max_body_bytes: limits.max_body_bytes,
            body_read_timeout: limits.body_read_timeout,
            draining: AtomicBool::new(false),
            is_for_reading,
            loader: None,
        }
    }

    /// Lets names be reloaded from the files of the startup loader.
    pub(crate) fn with_loader(self, loader: Option<LoaderConfig>) -> Self {
        Self { loader, ..self }
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
        .route("/pipelines", get(listing::list))
        .route("/pipelines/{ref}", get(pipelines::show).delete(changes::delete))
        .route("/pipelines/{ref}/diff/{ref2}", get(diff::show))
        .route("/pipelines/{name}/alias", put(changes::alias))
        .route("/pipelines/{name}/reload", post(changes::reload))
        .route("/pipelines/{name}/rollback", post(changes::roll_back))
        .route("/pipelines/{name}/rollback/{version}", post(changes::roll_back_to))
        .route("/pipelines/{name}/versions", get(versions::list))
        .route("/pipelines/{name}/versions/{version}", get(versions::show))
        .route("/modules", get(modules::list))
        .route("/namespaces", get(modules::namespaces))
        .route("/namespaces/{namespace}", get(modules::functions))
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
