//! What a runtime and a run can be told.

use std::sync::Arc;
use std::time::Duration;

use crate::{Timer, TokioTimer};

/// The configuration of a [`Runtime`](crate::Runtime).
///
/// There is nothing here for caches, throttling, concurrency or priorities: these call options are not applied yet.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// How many bytes of values a run may make, unless it is told otherwise: 256 MiB by default.
    pub max_value_bytes: u64,
    /// How many bytes the outputs of a run may take together when they are written as JSON: 64 MiB by default. Values
    /// share their parts and text does not, so that this can be far more than the bytes of values.
    pub max_output_bytes: u64,
    /// How long a run may take, unless it is told otherwise: 5 minutes by default.
    pub max_duration: Duration,
    /// How long an attempt of a call may take when neither the program nor the module says so: 30 seconds by default.
    /// Not for calls that are given a lambda, which take as long as the calls in its body.
    pub default_timeout: Duration,
    /// The clock.
    pub timer: Arc<dyn Timer>,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            max_value_bytes: 256 * 1024 * 1024,
            max_output_bytes: 64 * 1024 * 1024,
            max_duration: Duration::from_mins(5),
            default_timeout: Duration::from_secs(30),
            timer: Arc::new(TokioTimer::new()),
        }
    }
}

/// The options of one run. What is left out is as the runtime is configured.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// How many bytes of values the run may make.
    pub max_value_bytes: Option<u64>,
    /// How long the run may take.
    pub max_duration: Option<Duration>,
}
