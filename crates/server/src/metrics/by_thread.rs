//! Numbers that change with each request. Each thread counts for itself, and who asks gets the sums: a number that all
//! threads change goes from processor to processor, and whoever changes it waits until it has come.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use hashbrown::HashMap;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use thread_local::ThreadLocal;

/// What tells durations apart. Labels are bounded.
pub(super) trait Labels: EncodeLabelSet + Copy + Ord + Hash + Debug + Send + Sync + 'static {}

impl<L: EncodeLabelSet + Copy + Ord + Hash + Debug + Send + Sync + 'static> Labels for L {}

/// A histogram of durations in seconds for each set of labels. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Durations<L: Labels>(Arc<State<L>>);

#[derive(Debug)]
struct State<L: Labels> {
    /// The upper bounds of the buckets, ascending. There is one more bucket, for what is above all of them.
    bounds: &'static [f64],
    /// What is told also as long as nothing was observed.
    known: Vec<L>,
    /// Only a scrape waits for the lock of another thread.
    observed: ThreadLocal<CachePadded<Mutex<HashMap<L, Observed>>>>,
}

/// What was observed with the same labels.
#[derive(Debug, Clone)]
struct Observed {
    sum: Duration,
    /// How many observations are in each bucket, not counting those in the buckets before it.
    buckets: Vec<u64>,
}

impl Observed {
    fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl<L: Labels> Durations<L> {
    pub(super) fn new(bounds: &'static [f64], known: impl IntoIterator<Item = L>) -> Self {
        let known = known.into_iter().collect();
        Self(Arc::new(State { bounds, known, observed: ThreadLocal::new() }))
    }

    pub(super) fn observe(&self, labels: L, duration: Duration) {
        let State { bounds, observed, known: _ } = &*self.0;
        let seconds = duration.as_secs_f64();
        let bucket = bounds.partition_point(|bound| *bound < seconds);
        let mut observed = observed.get_or_default().lock().unwrap_or_else(PoisonError::into_inner);
        let observed = observed.entry(labels).or_insert_with(|| self.nothing());
        observed.sum += duration;
        observed.buckets[bucket] += 1;
    }

    /// The number of observations, as a metric of its own.
    pub(super) fn counts(&self) -> Counts<L> {
        Counts(self.clone())
    }

    fn nothing(&self) -> Observed {
        Observed { sum: Duration::ZERO, buckets: vec![0; self.0.bounds.len() + 1] }
    }

    /// What all threads observed.
    fn total(&self) -> BTreeMap<L, Observed> {
        let mut total: BTreeMap<L, Observed> =
            self.0.known.iter().map(|labels| (*labels, self.nothing())).collect();
        for thread in &self.0.observed {
            for (labels, observed) in &*thread.lock().unwrap_or_else(PoisonError::into_inner) {
                let total = total.entry(*labels).or_insert_with(|| self.nothing());
                total.sum += observed.sum;
                for (total, count) in total.buckets.iter_mut().zip(&observed.buckets) {
                    *total += count;
                }
            }
        }
        total
    }
}

impl<L: Labels> EncodeMetric for Durations<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        for (labels, observed) in self.total() {
            let buckets: Vec<_> = bounds.clone().zip(observed.buckets.iter().copied()).collect();
            encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                observed.sum.as_secs_f64(),
                observed.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }

    fn is_empty(&self) -> bool {
        self.total().is_empty()
    }
}

/// How many durations were observed for each set of labels.
#[derive(Debug)]
pub(super) struct Counts<L: Labels>(Durations<L>);

impl<L: Labels> EncodeMetric for Counts<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, observed) in self.0.total() {
            ConstCounter::new(observed.count()).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How many of something there are. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Present(Arc<ThreadLocal<CachePadded<AtomicI64>>>);

impl Present {
    pub(super) fn come(&self) {
        self.add(1);
    }

    /// What came on one thread may leave on another.
    pub(super) fn leave(&self) {
        self.add(-1);
    }

    fn add(&self, change: i64) {
        self.0.get_or_default().fetch_add(change, Ordering::Relaxed);
    }
}

impl EncodeMetric for Present {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        let sum: i64 = self.0.iter().map(|change| change.load(Ordering::Relaxed)).sum();
        ConstGauge::new(sum).encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use prometheus_client::registry::Registry;

    use super::*;

    const N_THREADS: u64 = 4;
    const N_OBSERVATIONS: u64 = 1000;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
    struct Kind {
        kind: &'static str,
    }

    fn text(name: &str, metric: impl EncodeMetric + Debug + Send + Sync + 'static) -> Vec<String> {
        let mut registry = Registry::default();
        registry.register(name, "Help", metric);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn what_all_threads_observed_is_told_exactly() {
        let durations = Durations::new(&[0.001, 0.01], [Kind { kind: "a" }, Kind { kind: "never" }]);
        thread::scope(|scope| {
            for number in 1..=N_THREADS {
                let durations = &durations;
                scope.spawn(move || {
                    for _ in 0..N_OBSERVATIONS {
                        durations.observe(Kind { kind: "a" }, Duration::from_millis(1));
                        durations.observe(Kind { kind: "a" }, Duration::from_millis(2));
                        durations.observe(Kind { kind: "b" }, Duration::from_secs(number));
                    }
                });
            }
        });
        assert_eq!(
            text("d", durations.clone()),
            [
                "d_sum{kind=\"a\"} 12.0",
                "d_count{kind=\"a\"} 8000",
                "d_bucket{le=\"0.001\",kind=\"a\"} 4000",
                "d_bucket{le=\"0.01\",kind=\"a\"} 8000",
                "d_bucket{le=\"+Inf\",kind=\"a\"} 8000",
                "d_sum{kind=\"b\"} 10000.0",
                "d_count{kind=\"b\"} 4000",
                "d_bucket{le=\"0.001\",kind=\"b\"} 0",
                "d_bucket{le=\"0.01\",kind=\"b\"} 0",
                "d_bucket{le=\"+Inf\",kind=\"b\"} 4000",
                "d_sum{kind=\"never\"} 0.0",
                "d_count{kind=\"never\"} 0",
                "d_bucket{le=\"0.001\",kind=\"never\"} 0",
                "d_bucket{le=\"0.01\",kind=\"never\"} 0",
                "d_bucket{le=\"+Inf\",kind=\"never\"} 0",
            ]
        );
        assert_eq!(
            text("n", durations.counts()),
            ["n_total{kind=\"a\"} 8000", "n_total{kind=\"b\"} 4000", "n_total{kind=\"never\"} 0"]
        );
    }

    #[test]
    fn what_leaves_on_another_thread_is_gone() {
        let present = Present::default();
        (0..3).for_each(|_| present.come());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| present.leave());
            }
        });
        assert_eq!(text("p", present), ["p 1"]);
    }
}
