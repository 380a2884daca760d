//! Metrics of what waits and of what is kept, across all runs: numbers that others count, copied when they are asked for.

use std::sync::atomic::Ordering;

use constellation_runtime::{CacheStatistics, RuntimeStatistics, SchedulerStatistics};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::admission::PoolStatistics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitLabels {
    reason: &'static str,
}

/// What the server and its runtime hold at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) compilations: PoolStatistics,
    pub(crate) executions: PoolStatistics,
    pub(crate) runtime: RuntimeStatistics,
    /// Names that cannot be run.
    pub(crate) problems: usize,
}

/// The metrics of [`Load`], all at 0 until they are set.
#[derive(Debug)]
pub(crate) struct LoadMetrics {
    compilations: PoolMetrics,
    executions: PoolMetrics,
    hits: Counter,
    misses: Counter,
    joined: Counter,
    bypassed: Counter,
    cache_errors: Counter,
    cache_evictions: Counter,
    cache_entries: Gauge,
    cache_bytes: Gauge,
    waiting_for_throttle: Gauge,
    waiting_for_concurrency: Gauge,
    waiting_for_slot: Gauge,
    calls_in_flight: Gauge,
    calls_refused: Counter,
    problems: Gauge,
}

#[derive(Debug)]
struct PoolMetrics {
    in_use: Gauge,
    waiting: Gauge,
    refused: Counter,
}

impl PoolMetrics {
    fn set(&self, statistics: PoolStatistics) {
        let PoolStatistics { in_use, waiting, refused } = statistics;
        set_gauge(&self.in_use, in_use);
        set_gauge(&self.waiting, waiting);
        set_counter(&self.refused, refused);
    }
}

impl LoadMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let in_use = Family::<PoolLabels, Gauge>::default();
        let waiting = Family::<PoolLabels, Gauge>::default();
        let refused = Family::<PoolLabels, Counter>::default();
        let pool = |pool| {
            let labels = PoolLabels { pool };
            PoolMetrics {
                in_use: in_use.get_or_create(&labels).clone(),
                waiting: waiting.get_or_create(&labels).clone(),
                refused: refused.get_or_create(&labels).clone(),
            }
        };
        let (compilations, executions) = (pool("compilations"), pool("executions"));
        registry.register("pool_in_use", "Work under way, of the kinds that are bounded", in_use);
        registry.register("pool_waiting", "Requests that wait for such work to begin", waiting);
        registry.register(
            "pool_refused",
            "Requests that were refused because too many wait, or too long",
            refused,
        );

        let calls = Family::<CacheLabels, Counter>::default();
        let calls_with = |outcome| calls.get_or_create(&CacheLabels { outcome }).clone();
        let (hits, misses) = (calls_with("hit"), calls_with("miss"));
        let (joined, bypassed) = (calls_with("joined"), calls_with("bypassed"));
        registry.register(
            "module_cache_calls",
            "Calls with a cache: kept by an earlier one, made, waited for an equal one in flight, too large to be kept",
            calls,
        );
        let waits = Family::<WaitLabels, Gauge>::default();
        let waits_for = |reason| waits.get_or_create(&WaitLabels { reason }).clone();
        let (waiting_for_throttle, waiting_for_concurrency) =
            (waits_for("throttle"), waits_for("concurrency"));
        let waiting_for_slot = waits_for("slot");
        registry.register("module_calls_waiting", "Attempts of calls that wait, by what for", waits);

        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let cache_entries = gauge("module_cache_entries", "Results of calls that are kept in memory");
        let cache_bytes = gauge("module_cache_bytes", "About how many bytes they take");
        let calls_in_flight =
            gauge("module_calls_in_flight", "Calls in flight; always 0 unless they are bounded");
        let problems = gauge("pipeline_problems", "Names that cannot be run, as far as it was noticed");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let cache_errors = counter(
            "module_cache_errors",
            "Requests to caches that failed, and values from them that could not be used",
        );
        let cache_evictions = counter("module_cache_evictions", "Results that had to make room");
        let calls_refused =
            counter("module_calls_refused", "Calls that failed because too many were in flight and waited");
        Self {
            compilations,
            executions,
            hits,
            misses,
            joined,
            bypassed,
            cache_errors,
            cache_evictions,
            cache_entries,
            cache_bytes,
            waiting_for_throttle,
            waiting_for_concurrency,
            waiting_for_slot,
            calls_in_flight,
            calls_refused,
            problems,
        }
    }

    pub(crate) fn set(&self, load: &Load) {
        let Load { compilations, executions, runtime, problems } = load;
        set_gauge(&self.problems, *problems);
        self.compilations.set(*compilations);
        self.executions.set(*executions);
        let RuntimeStatistics { cache, waiting_for_throttle, waiting_for_concurrency, scheduler } = *runtime;
        let CacheStatistics { hits, misses, joined, bypassed, errors, evicted, entries, bytes } = cache;
        for (counter, value) in [
            (&self.hits, hits),
            (&self.misses, misses),
            (&self.joined, joined),
            (&self.bypassed, bypassed),
            (&self.cache_errors, errors),
            (&self.cache_evictions, evicted),
        ] {
            set_counter(counter, value);
        }
        set_gauge(&self.cache_entries, entries);
        self.cache_bytes.set(super::saturated(bytes));
        set_gauge(&self.waiting_for_throttle, waiting_for_throttle);
        set_gauge(&self.waiting_for_concurrency, waiting_for_concurrency);
        if let Some(SchedulerStatistics { in_flight, waiting, refused }) = scheduler {
            set_gauge(&self.calls_in_flight, in_flight);
            set_gauge(&self.waiting_for_slot, waiting);
            set_counter(&self.calls_refused, refused);
        }
    }
}

fn set_gauge(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// Two who ask at the same time may copy in any order, so that a counter must not go back.
fn set_counter(counter: &Counter, value: u64) {
    counter.inner().fetch_max(value, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        Load {
            compilations: PoolStatistics { in_use: 1, waiting: 2, refused: 3 },
            executions: PoolStatistics { in_use: 4, waiting: 5, refused: 6 },
            runtime: RuntimeStatistics {
                cache: CacheStatistics {
                    hits: 7,
                    misses: 8,
                    joined: 9,
                    bypassed: 10,
                    errors: 11,
                    evicted: 12,
                    entries: 13,
                    bytes: 14,
                },
                waiting_for_throttle: 15,
                waiting_for_concurrency: 16,
                scheduler: Some(SchedulerStatistics { in_flight: 17, waiting: 18, refused: 19 }),
            },
            problems: 20,
        }
    }

    #[test]
    fn every_number_has_its_metric() {
        let mut registry = Registry::default();
        let metrics = LoadMetrics::register(&mut registry);
        metrics.set(&load());
        // An older moment that is told later takes nothing back from a counter.
        let mut older = load();
        older.executions.refused = 1;
        metrics.set(&older);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "pool_in_use{pool=\"compilations\"} 1",
            "pool_waiting{pool=\"compilations\"} 2",
            "pool_refused_total{pool=\"compilations\"} 3",
            "pool_in_use{pool=\"executions\"} 4",
            "pool_waiting{pool=\"executions\"} 5",
            "pool_refused_total{pool=\"executions\"} 6",
            "module_cache_calls_total{outcome=\"hit\"} 7",
            "module_cache_calls_total{outcome=\"miss\"} 8",
            "module_cache_calls_total{outcome=\"joined\"} 9",
            "module_cache_calls_total{outcome=\"bypassed\"} 10",
            "module_cache_errors_total 11",
            "module_cache_evictions_total 12",
            "module_cache_entries 13",
            "module_cache_bytes 14",
            "module_calls_waiting{reason=\"throttle\"} 15",
            "module_calls_waiting{reason=\"concurrency\"} 16",
            "module_calls_waiting{reason=\"slot\"} 18",
            "module_calls_in_flight 17",
            "module_calls_refused_total 19",
            "pipeline_problems 20",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }
}
