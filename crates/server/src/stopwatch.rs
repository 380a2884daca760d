//! Elapsed time and request ids: the only place of the crate that asks the system for either.

use std::time::Duration;

use tokio::time::Instant;

/// Measures how long something takes, by the clock of tokio, which tests can halt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A new id, of a request or an execution. Ids sort by the time they were made.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
