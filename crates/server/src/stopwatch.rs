//! Elapsed time and request ids: the only place of the crate that asks the system for either.

use std::time::Duration;

use tokio::time::Instant;
use uuid::fmt::Hyphenated;
use uuid::{NoContext, Timestamp, Uuid};

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

/// A new id, of a request or an execution. Ids sort by the millisecond in which they were made: to sort within it, all
/// threads would have to count together.
#[derive(Debug)]
pub(crate) struct NewId([u8; Hyphenated::LENGTH]);

impl NewId {
    pub(crate) fn new() -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        Uuid::new_v7(Timestamp::now(NoContext)).as_hyphenated().encode_lower(&mut text);
        Self(text)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is made of hexadecimal digits and hyphens")
    }
}
