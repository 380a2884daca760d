//! What the service answers when it cannot do what was asked.

use constellation_lang::Diagnostic;
use constellation_rehydrate::RehydrateError;
use constellation_store_core::{Reference, StoreError};

use crate::admission::Overloaded;

/// Why the pipeline service did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The source has errors; the diagnostics say which and where.
    #[error("{}", summary(.0))]
    Compile(Vec<Diagnostic>),
    /// There is no such pipeline.
    #[error("Pipeline '{0}' not found")]
    NotFound(Reference),
    /// The pipeline is stored, but cannot be bound to the modules of this server.
    #[error("Pipeline '{reference}' is stored but cannot be run: {reason}")]
    NotLoadable {
        /// What was asked for.
        reference: String,
        /// What stands in the way.
        reason: String,
    },
    /// The compiler made an image that this server cannot run.
    #[error("the program compiles, but cannot be run: {0}")]
    Unsupported(RehydrateError),
    /// Too much else is under way. Nothing was done.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something failed that should not be able to; the message says what.
    #[error("internal error: {0}")]
    Internal(String),
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
