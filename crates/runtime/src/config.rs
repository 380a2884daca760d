//! What a runtime and a run can be told.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::{CacheBackend, RunObserver, Timer, TokioTimer};

/// The configuration of a [`Runtime`](crate::Runtime).
///
/// ```
/// # use std::num::NonZeroUsize;
/// # use std::sync::Arc;
/// use constellation_runtime::{InMemoryCache, Runtime, RuntimeConfig, SchedulerConfig};
///
/// let mut config = RuntimeConfig::default();
/// config.scheduler = Some(SchedulerConfig::new(NonZeroUsize::new(256).expect("256 is not 0")));
/// // What programs name with `cache_backend: "rates"`.
/// let rates = InMemoryCache::new(500, 1024 * 1024, Arc::clone(&config.timer));
/// config.cache.backends.insert("rates".into(), Arc::new(rates));
/// let runtime = Runtime::new(config);
/// assert_eq!(runtime.statistics().scheduler.map(|calls| calls.in_flight), Some(0));
/// ```
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
    /// What keeps the results of calls with `cache`.
    pub cache: CacheConfig,
    /// The bound on calls in flight; none by default.
    pub scheduler: Option<SchedulerConfig>,
    /// The clock.
    pub timer: Arc<dyn Timer>,
    /// Who is told of runs and calls: nobody by default.
    pub observer: Option<Arc<dyn RunObserver>>,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            max_value_bytes: 256 * 1024 * 1024,
            max_output_bytes: 64 * 1024 * 1024,
            max_duration: Duration::from_mins(5),
            default_timeout: Duration::from_secs(30),
            cache: CacheConfig::default(),
            scheduler: None,
            timer: Arc::new(TokioTimer::new()),
            observer: None,
        }
    }
}

/// What keeps the results of calls with `cache`.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// How many results are kept in memory: 10,000 by default.
    pub max_entries: usize,
    /// About how many bytes they may take together, and how many a single result may take in any cache: 64 MiB by
    /// default.
    pub max_bytes: u64,
    /// What keeps the results of calls that name no cache; the memory by default.
    pub default: Option<Arc<dyn CacheBackend>>,
    /// What `cache_backend` means, by name. A name that is not here means the memory, with entries of its own and a
    /// warning in the log; `memory` means it without a warning.
    pub backends: BTreeMap<String, Arc<dyn CacheBackend>>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { max_entries: 10_000, max_bytes: 64 * 1024 * 1024, default: None, backends: BTreeMap::new() }
    }
}

/// The bound on calls in flight, across all runs of a runtime.
///
/// It counts calls of modules that answer later, for as long as they are worked on; not those that are given a lambda,
/// which wait for the calls in its body. A module that runs pipelines of its own on the same runtime holds its slot
/// meanwhile, so do not bound a runtime with such modules more tightly than they nest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// How many calls may be in flight.
    pub max_in_flight: NonZeroUsize,
    /// How many may wait. When there are more, the last in line fails with
    /// [`RunErrorKind::Overloaded`](crate::RunErrorKind::Overloaded), to which its `retry`, `fallback` and `on_error`
    /// apply.
    pub max_waiting: usize,
    /// The wait that is worth one step of priority. Those who wait go in the order of priority, but one that has waited
    /// a hundred times as long goes before any that comes.
    pub aging: Duration,
}

impl SchedulerConfig {
    /// At most this many calls in flight, 10,000 that wait, and half a second of waiting for a step of priority.
    pub fn new(max_in_flight: NonZeroUsize) -> Self {
        Self { max_in_flight, max_waiting: 10_000, aging: Duration::from_millis(500) }
    }
}

/// The options of one run. What is left out is as the runtime is configured.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// How many bytes of values the run may make.
    pub max_value_bytes: Option<u64>,
    /// How long the run may take.
    pub max_duration: Option<Duration>,
    /// What the run is called in its span.
    pub run_id: Option<Arc<str>>,
    /// Whether the report tells what became of each node: its status, and where its value comes from. What it tells of
    /// nodes takes bytes of the budget for outputs, after the outputs themselves.
    pub include_nodes: bool,
    /// The same, and how long the run and its calls took.
    pub include_timings: bool,
    /// The same, and the values of the nodes.
    pub include_values: bool,
}
