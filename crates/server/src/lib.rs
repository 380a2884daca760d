//! The Constellation server: pipeline service, startup loader and HTTP API.
//!
//! [`ConstellationServer::builder`] puts them together. [`PipelineService`] is what every way in goes through: it
//! finds a program's image or compiles it, publishes it, and hands out pipelines that are ready to run. The types
//! of the HTTP API live here and nowhere else.
//!
//! **Must not know:** which backend is active (it works on `Arc<dyn PipelineStore>`; only the builder, which can
//! open one from a directory, names the two that ship).

mod admission;
mod auth;
mod bound;
mod builder;
mod config;
mod connections;
mod diff;
mod error;
mod example;
mod http;
mod loader;
mod metrics;
mod service;
mod stopwatch;
#[cfg(test)]
mod test_support;
mod wire;

/// Of `constellation-store-core`: what a caller names a pipeline by.
pub use constellation_store_core::Reference;

pub use admission::Overloaded;
pub use auth::{ApiKeys, InvalidApiKeys, Role, hash_api_key, is_hashed_entry};
pub use bound::BoundAddress;
pub use builder::{Builder, ConstellationServer, StartError, check_access, prepare_process, shutdown_signal};
pub use config::{AliasStrategy, InvalidAliasStrategy, Limits, LoaderConfig};
pub use error::ServiceError;
pub use example::{ExampleRequest, StoredPipeline};
pub use http::{AllowedSites, CurrentRequest, InvalidSite, openapi};
pub use loader::{FailedFile, LoadError, LoadReport, LoadedFile, UnreadableSource, read_source};
pub use service::{Found, Mode, PipelineService, Pointed, Published, Target};
pub use wire::DiagnosticBody;
