//! The HTTP API: routes, and what holds for all of them.

mod auth;
mod body;
mod body_budget;
mod changes;
mod conditions;
mod cors;
mod current;
mod diff;
mod health;
mod invoke;
mod json_size;
mod layer;
mod listing;
mod modules;
mod openapi;
mod path;
mod pipelines;
mod programs;
mod prune;
mod query;
mod respond;
mod routes;
mod runs;
mod sites;
mod versions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use constellation_store_core::{StoreStatus, StructuralHash};

use crate::auth::Role;
use crate::config::{Limits, LoaderConfig};
use crate::metrics::Metrics;
use crate::service::{PipelineService, Recent};
use auth::Gate;
use body_budget::BodyBudget;
use pipelines::Description;
use routes::{Access, Guarded, Router, Routes};

pub(crate) use auth::Auth;
pub use current::CurrentRequest;
pub use openapi::openapi;
pub use sites::{AllowedSites, InvalidSite};

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
    descriptions: Recent<StructuralHash, Arc<Description>>,
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
            max_uri_bytes: limits.max_uri_bytes,
            max_body_bytes: limits.max_body_bytes,
            max_json_values: limits.max_json_values,
            body_budget: BodyBudget::new(limits.max_buffered_body_bytes),
            answer_budget: BodyBudget::new(limits.max_buffered_answer_bytes),
            body_read_timeout: limits.body_read_timeout,
            draining: AtomicBool::new(false),
            is_for_reading,
            descriptions: Recent::new(limits.max_loaded_pipelines),
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

/// The routes of the API, with who may use each of them.
fn routes() -> Routes {
    let [read, execute, change] = Role::ALL.map(Access::For);
    Routes::default()
        .post("/compile", change, programs::compile)
        .post("/execute", execute, programs::execute)
        .post("/run", execute, programs::run)
        .get("/pipelines", read, listing::list)
        .get("/pipelines/{ref}", read, pipelines::show)
        .delete("/pipelines/{ref}", change, changes::delete)
        .get("/pipelines/{ref}/diff/{ref2}", read, diff::show)
        .put("/pipelines/{name}/alias", change, changes::alias)
        .post("/pipelines/{name}/prune", change, prune::prune)
        .post("/pipelines/{name}/reload", change, changes::reload)
        .post("/pipelines/{name}/rollback", change, changes::roll_back)
        .post("/pipelines/{name}/rollback/{version}", change, changes::roll_back_to)
        .get("/pipelines/{name}/versions", read, versions::list)
        .get("/pipelines/{name}/versions/{version}", read, versions::show)
        .get("/modules", read, modules::list)
        .get("/modules/published", read, invoke::list)
        .post("/modules/{name}/invoke", execute, invoke::invoke)
        .get("/namespaces", read, modules::namespaces)
        .get("/namespaces/{namespace}", read, modules::functions)
        .get("/health", Access::Open, health::health)
        .get("/health/live", Access::Open, health::live)
        .get("/health/ready", Access::OpenUnlessVerbose, health::ready)
        .get("/live", Access::Open, health::live)
        .get("/ready", Access::OpenUnlessVerbose, health::ready)
        .get("/metrics", Access::Open, health::metrics)
        .get("/openapi.json", Access::Open, openapi::show)
}

/// The API of a server that listens on an address: makes routers, whose requests do not count in the same place.
pub(crate) fn routers(app: &Arc<App>, auth: Auth, address: SocketAddr) -> impl Fn() -> Router + use<> {
    guarded(routes(), app, auth, address)
}

fn guarded(
    declaring: Routes,
    app: &Arc<App>,
    auth: Auth,
    address: SocketAddr,
) -> impl Fn() -> Router + use<> {
    let (methods, _) = declaring.into_parts();
    let methods = match cors::layer(&auth.sites) {
        Some(cors) => methods.layer(&cors),
        None => methods,
    };
    let (app, gate) = (Arc::clone(app), Arc::new(Gate::new(auth, address)));
    move || methods.router(&Guarded::new(Arc::clone(&app), Arc::clone(&gate)))
}

#[cfg(test)]
mod tests;
