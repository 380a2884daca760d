//! Runs loaded pipelines: scheduling, call options, budgets, cancellation.
//!
//! [`Runtime::run`] evaluates a pipeline by need, from its outputs. What is certain to be needed goes straight: it is
//! evaluated in the order of the graph, as a program would do it, as long as nothing waits. One driver walks the rest
//! with a work list; pure nodes are computed inline, without a task or an allocation each, and asynchronous calls run
//! at the same time, driven by the future of the run. Dropping that future drops the calls with it.
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
//! Applied, from the outside: `priority`, `cache`, `on_error`, `fallback`, `retry` with `delay` and `backoff`, then for
//! each attempt `throttle`, `concurrency`, `timeout` and the call.
//!
//! * `priority` is that of all attempts. It counts where calls wait for a slot: when the runtime has a
//!   [`SchedulerConfig`], each attempt that answers later needs one, after everything else that it waits for.
//! * `cache`: equal calls share a result as long as it is kept, and a call in flight with those that have the same
//!   options. What a fallback or `on_error` makes of a failure is never kept, nor a failure. The value is charged to
//!   each run that uses it. See [`CacheBackend`] for caches of one's own.
//! * `retry`: a delay is at most 30 seconds.
//! * `throttle` and `concurrency` count attempts by module and by their own numbers, across all runs of a runtime, in
//!   order of arrival. Waiting for them, or for a slot, does not count as `timeout`, but does as the run's time.
//! * A call that is given a lambda has no timeout unless the program or the module says so, and neither `cache` nor
//!   `concurrency`: functions equal nothing, and the calls in a body must not wait for the call around them.
//! * `lazy` has no effect beyond what holds for every node.
//!
//! Nothing of this can deadlock; the comment on top of `limits.rs` tells why.
//!
//! # What it tells
//!
//! * [`RunReport`]: outputs, errors and what is missing; what became of each node when [`RunOptions`] ask for it.
//! * To a [`RunObserver`]: that runs begin and end, and how attempts of calls end.
//! * As spans of `tracing`: `run` (debug) with `run_id`, `pipeline` and `status`, and in it `call` (debug) for each attempt
//!   of a call, with `module`, `label`, `attempt` and `outcome`. The code of a module runs within the span of its call,
//!   also after it has waited. Where no subscriber wants them they are not made.
//!
//! # Limitations
//!
//! * A module that computes without waiting cannot be interrupted, neither by a timeout nor by a deadline; the run
//!   looks at its deadline between nodes.
//! * A call whose run is kept but not polled keeps what it holds, and equal calls wait for it until their runs end.
//! * Bytes of values are counted as values are made, and values are kept until the run ends, but for those that only
//!   one call uses. What a module holds while it computes is not counted.
//!
//! **Must not know:** stores, HTTP.

mod body;
mod budget;
mod cache;
mod call;
mod coerce;
mod config;
mod deep;
mod details;
mod driver;
mod evaluate;
mod explain;
mod frames;
mod in_flight;
mod inputs;
mod limits;
mod observe;
mod output;
mod report;
mod run;
mod scheduler;
mod shared;
mod state;
mod statistics;
mod timer;

use std::sync::Arc;

use constellation_rehydrate::LoadedPipeline;
use crossbeam_utils::CachePadded;
use shared::Shared;

pub use cache::{CacheBackend, CacheEntry, CacheError, CacheKey, InMemoryCache};
pub use config::{CacheConfig, RunOptions, RuntimeConfig, SchedulerConfig};
pub use details::{NodeDetails, NodeStatus, Provenance, Resolution, RunDetails};
pub use inputs::Inputs;
pub use observe::{CallOutcome, RunObserver};
pub use report::{MissingInput, PendingOutput, RunBudget, RunError, RunErrorKind, RunReport, RunStatus};
pub use statistics::{CacheStatistics, RuntimeStatistics, SchedulerStatistics};
pub use timer::{Timer, TokioTimer};

/// Runs pipelines. One is enough for a process; clones share what runs have in common: caches, limits and statistics.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The runs on all threads count here how many they are, apart from what they read.
    shared: Arc<CachePadded<Shared>>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new(RuntimeConfig::default())
    }
}

impl Runtime {
    /// A runtime.
    pub fn new(config: RuntimeConfig) -> Self {
        Self { shared: Arc::new(CachePadded::new(Shared::new(config))) }
    }

    /// Its configuration.
    pub fn config(&self) -> &RuntimeConfig {
        &self.shared.config
    }

    /// What has happened so far, across all runs.
    pub fn statistics(&self) -> RuntimeStatistics {
        self.shared.statistics()
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
        run::run(pipeline, &self.shared, inputs, options).await
    }
}
