//! Runs loaded pipelines: scheduling, call options, budgets, cancellation.
//!
//! [`Runtime::run`] evaluates a pipeline by need, from its outputs. One driver walks the graph with a work list; pure
//! nodes are computed inline, without a task or an allocation each, and asynchronous calls run at the same time,
//! driven by the future of the run. Dropping that future drops the calls with it.
//!
//! * A node is evaluated at most once, and only when something that is wanted needs it: the arm that is not taken,
//!   the fallback that is not needed and the right operand that does not matter are not.
//! * All operands that an operation needs are wanted at once, whatever becomes of the others, so that what runs does
//!   not depend on timing.
//! * A node whose operand fails fails at once; everything else that is wanted finishes. Each failure is reported
//!   once, at the node where it began.
//! * A lambda is a function that a module calls. Its body is evaluated anew for each call, by the same rules, inline and
//!   with the states of the call before it; what it captures is computed before the call that it is given to. The
//!   failure of a body is the error that the module gets. The body of a function has the budget, the deadline and the
//!   cancellation of the run.
//! * A run always ends: when nothing is in flight and an output is undecided, that is a defect, reported as one.
//!
//! # Call options
//!
//! Applied, from the outside: `on_error`, `fallback`, `retry` with `delay` and `backoff`, then for each attempt
//! `timeout` and the call. A delay is at most 30 seconds. A call that is given a lambda has no timeout unless the
//! program or the module says so. `lazy` has no effect beyond what holds for every node.
//!
//! Not applied yet, though images carry them: `priority`, `cache`, `cache_backend`, `throttle` and `concurrency`. A call
//! with them runs as without them.
//!
//! # Limitations
//!
//! * A module that computes without waiting cannot be interrupted, neither by a timeout nor by a deadline; the run
//!   looks at its deadline between nodes.
//! * Bytes of values are counted as values are made, and values are kept until the run ends. What a module holds
//!   while it computes is not counted.
//!
//! **Must not know:** stores, HTTP.

mod body;
mod budget;
mod call;
mod coerce;
mod config;
mod deep;
mod driver;
mod evaluate;
mod explain;
mod frames;
mod inputs;
mod output;
mod report;
mod run;
mod state;
mod timer;

use std::sync::Arc;

use constellation_rehydrate::LoadedPipeline;

use crate::frames::Frames;

pub use config::{RunOptions, RuntimeConfig};
pub use inputs::Inputs;
pub use report::{MissingInput, PendingOutput, RunError, RunErrorKind, RunReport, RunStatus};
pub use timer::{Timer, TokioTimer};

/// Runs pipelines. One is enough for a process.
#[derive(Debug, Clone, Default)]
pub struct Runtime {
    config: RuntimeConfig,
    frames: Arc<Frames>,
}

impl Runtime {
    /// A runtime.
    pub fn new(config: RuntimeConfig) -> Self {
        Self { config, frames: Arc::default() }
    }

    /// Its configuration.
    pub fn config(&self) -> &RuntimeConfig {
        &self.config
    }

    /// Runs a pipeline.
    ///
    /// An input that is left out has its default, or is none if it is optional. When another one is left out nothing
    /// runs, and the report says [`RunStatus::Suspended`]. An input that the pipeline does not have, or a value of
    /// another type than the input's, is an error, and nothing runs either.
    ///
    /// Dropping the future stops everything that the run has started.
    pub async fn run(
        &self,
        pipeline: &Arc<LoadedPipeline>,
        inputs: Inputs,
        options: RunOptions,
    ) -> RunReport {
        run::run(pipeline, &self.config, &self.frames, inputs, options).await
    }
}
