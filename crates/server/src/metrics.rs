//! Metrics in the text format of Prometheus. All counters are there from the start, at 0, and labels are bounded.

mod by_thread;
mod load;
mod runs;

use std::sync::Arc;
use std::time::Duration;

use constellation_module::ModuleRegistry;
use constellation_store_core::StoreStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::config::Limits;
use by_thread::Durations;

pub(crate) use load::Load;
pub(crate) use runs::RunMetrics;

/// The media type of [`Metrics::encode`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds; from an answer out of memory to a slow module.
const DURATION_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// What tells answers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    /// The pattern that matched, never the path of a request.
    pub(crate) route: &'static str,
    pub(crate) method: &'static str,
    pub(crate) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

/// The metrics of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    compilations: Counter,
    runs: Arc<RunMetrics>,
    load: load::LoadMetrics,
    connections: Gauge,
    store_images: Gauge,
    store_sources: Gauge,
    store_bytes: Gauge,
    store_commits: Counter,
    store_warnings: Gauge,
    store_read_only: Gauge,
    request_duration: Durations<RequestLabels>,
}

impl Metrics {
    /// For a server with these modules and limits.
    pub(crate) fn new(modules: &ModuleRegistry, limits: &Limits) -> Self {
        let mut registry = Registry::with_prefix("constellation");
        let compilations = Counter::default();
        registry.register(
            "compilations",
            "Programs that were compiled; a program that was found again is not counted",
            compilations.clone(),
        );
        let runs = Arc::new(RunMetrics::register(&mut registry, modules));
        let load = load::LoadMetrics::register(&mut registry);
        let connections = Gauge::default();
        registry.register("connections", "Connections that are open", connections.clone());
        let help = "What bounds a number that has a metric, under the name of the setting";
        registry.register("limit", help, limits_of(limits));
        let store_images = Gauge::default();
        registry.register("store_images", "Images in the store", store_images.clone());
        let store_sources = Gauge::default();
        registry.register("store_sources", "Source texts in the store", store_sources.clone());
        let store_bytes = Gauge::default();
        let help = "Bytes of the graphs of images and of source texts in the store";
        registry.register("store_bytes", help, store_bytes.clone());
        let store_commits = Counter::default();
        registry.register(
            "store_commits",
            "Commits that the store acknowledged to this process",
            store_commits.clone(),
        );
        let store_warnings = Gauge::default();
        registry.register(
            "store_warnings",
            "What an operator should know of the store: damaged files, files that cannot be written",
            store_warnings.clone(),
        );
        let store_read_only = Gauge::default();
        registry.register(
            "store_read_only",
            "1 when the store takes no commits until it is opened again, otherwise 0",
            store_read_only.clone(),
        );
        let request_duration = Durations::new(&DURATION_BUCKETS, []);
        registry.register(
            "http_request_duration_seconds",
            "Time from the head of a request to the head of its answer",
            request_duration.clone(),
        );
        Self {
            registry,
            compilations,
            runs,
            load,
            connections,
            store_images,
            store_sources,
            store_bytes,
            store_commits,
            store_warnings,
            store_read_only,
            request_duration,
        }
    }

    pub(crate) fn compiled(&self) {
        self.compilations.inc();
    }

    pub(crate) fn compilations(&self) -> u64 {
        self.compilations.get()
    }

    pub(crate) fn committed(&self) {
        self.store_commits.inc();
    }

    /// How many connections are open, for whoever opens and closes them.
    pub(crate) fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// What counts runs.
    pub(crate) fn runs(&self) -> &Arc<RunMetrics> {
        &self.runs
    }

    /// What the next text tells of waiting and caches.
    pub(crate) fn loaded(&self, load: &Load) {
        self.load.set(load);
    }

    /// A request was answered within `duration`.
    pub(crate) fn answered(&self, labels: RequestLabels, duration: Duration) {
        self.request_duration.observe(labels, duration);
    }

    /// The metrics as text. The status is unknown when the store does not answer; then the last counts stand.
    pub(crate) fn encode(&self, status: Option<&StoreStatus>) -> String {
        if let Some(status) = status {
            self.store_images.set(saturated(status.images));
            self.store_sources.set(saturated(status.sources));
            self.store_bytes.set(saturated(status.bytes));
            self.store_warnings.set(i64::try_from(status.warnings.len()).unwrap_or(i64::MAX));
            self.store_read_only.set(i64::from(status.read_only.is_some()));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing to a string succeeds");
        text
    }
}

/// The limits of what these metrics count.
fn limits_of(limits: &Limits) -> Family<LimitLabels, Gauge> {
    let of = Family::<LimitLabels, Gauge>::default();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    for (limit, value) in [
        ("max_connections", count(limits.max_connections)),
        ("max_compilations", count(limits.max_compilations)),
        ("max_waiting_compilations", count(limits.max_waiting_compilations)),
        ("max_executions", count(limits.max_executions)),
        ("max_waiting_executions", count(limits.max_waiting_executions)),
        ("max_calls_in_flight", count(limits.max_calls_in_flight)),
        ("max_calls_waiting", count(limits.max_calls_waiting)),
        ("max_cached_results", count(limits.max_cached_results)),
        ("max_cached_bytes", limits.max_cached_bytes),
        ("max_stored_images", limits.max_stored_images),
        ("max_stored_sources", limits.max_stored_sources),
        ("max_stored_bytes", limits.max_stored_bytes),
    ] {
        of.get_or_create(&LimitLabels { limit }).set(saturated(value));
    }
    of
}

fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use constellation_runtime::{RunBudget, RunObserver as _, RunReport, RunStatus};

    use super::*;
    use crate::test_support::registry_with_parameter;

    fn metrics() -> Metrics {
        Metrics::new(&registry_with_parameter("a"), &Limits::default())
    }

    #[track_caller]
    fn assert_has(text: &str, line: &str) {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }

    #[test]
    fn every_metric_is_there_from_the_start_at_zero() {
        // Also while the store does not answer.
        let text = metrics().encode(None);
        for line in [
            "constellation_compilations_total 0",
            "constellation_executions_total{status=\"completed\"} 0",
            "constellation_executions_total{status=\"suspended\"} 0",
            "constellation_executions_total{status=\"failed\"} 0",
            "constellation_executions_total{status=\"cancelled\"} 0",
            "constellation_execution_duration_seconds_count{status=\"completed\"} 0",
            "constellation_executions_in_flight 0",
            "constellation_execution_failures_total{kind=\"Module\"} 0",
            "constellation_execution_failures_total{kind=\"ResourceExhausted\"} 0",
            "constellation_execution_failures_total{kind=\"DeadlineExceeded\"} 0",
            "constellation_executions_over_budget_total{budget=\"value_bytes\"} 0",
            "constellation_executions_over_budget_total{budget=\"output_bytes\"} 0",
            "constellation_executions_over_budget_total{budget=\"time\"} 0",
            "constellation_module_calls_total{module=\"Double\",outcome=\"succeeded\"} 0",
            "constellation_module_calls_total{module=\"Double\",outcome=\"failed\"} 0",
            "constellation_module_calls_total{module=\"Double\",outcome=\"timed_out\"} 0",
            "constellation_module_calls_total{module=\"Double\",outcome=\"cancelled\"} 0",
            "constellation_module_call_duration_seconds_count{module=\"Double\"} 0",
            "constellation_pool_refused_total{pool=\"executions\"} 0",
            "constellation_module_cache_calls_total{outcome=\"hit\"} 0",
            "constellation_store_images 0",
            "constellation_connections 0",
            "constellation_store_sources 0",
            "constellation_store_bytes 0",
            "constellation_store_warnings 0",
            "constellation_store_read_only 0",
            "constellation_store_commits_total 0",
        ] {
            assert_has(&text, line);
        }
    }

    #[test]
    fn each_limit_of_what_is_counted_is_told() {
        let limits = Limits { max_executions: 7, max_stored_bytes: u64::MAX, ..Limits::default() };
        let text = Metrics::new(&registry_with_parameter("a"), &limits).encode(None);
        for (limit, value) in [
            ("max_connections", 8192),
            ("max_executions", 7),
            ("max_calls_in_flight", 0),
            ("max_stored_images", 100_000),
            ("max_stored_bytes", i64::MAX),
        ] {
            assert_has(&text, &format!("constellation_limit{{limit=\"{limit}\"}} {value}"));
        }
    }

    #[test]
    fn a_run_counts_for_the_budget_that_was_too_small_for_it() {
        let metrics = metrics();
        for exceeded in [Some(RunBudget::OutputBytes), None] {
            let report = RunReport {
                status: RunStatus::Failed,
                outputs: Vec::new(),
                errors: Vec::new(),
                missing_inputs: Vec::new(),
                pending_outputs: Vec::new(),
                exceeded,
                details: None,
            };
            metrics.runs().run_started();
            metrics.runs().run_ended(Some(&report), Duration::from_millis(1));
        }
        let text = metrics.encode(None);
        for (budget, count) in [("value_bytes", 0), ("output_bytes", 1), ("time", 0)] {
            let line = format!("constellation_executions_over_budget_total{{budget=\"{budget}\"}} {count}");
            assert_has(&text, &line);
        }
    }

    #[test]
    fn the_gauges_of_the_store_follow_its_status() {
        let metrics = metrics();
        let status = StoreStatus {
            images: 3,
            sources: 4,
            bytes: 5000,
            warnings: vec!["a file is damaged".into()],
            read_only: Some("a sync failed".into()),
            ..StoreStatus::default()
        };
        let text = metrics.encode(Some(&status));
        assert_has(&text, "constellation_store_images 3");
        assert_has(&text, "constellation_store_sources 4");
        assert_has(&text, "constellation_store_bytes 5000");
        assert_has(&text, "constellation_store_warnings 1");
        assert_has(&text, "constellation_store_read_only 1");
        let text = metrics.encode(Some(&StoreStatus::default()));
        assert_has(&text, "constellation_store_warnings 0");
        assert_has(&text, "constellation_store_read_only 0");
    }

    #[test]
    fn a_request_is_counted_by_route_method_and_status() {
        let metrics = metrics();
        let route = "/pipelines/{ref}";
        let answers = [("GET", 404), ("GET", 200), ("HEAD", 200), ("GET", 200), ("GET", 404), ("GET", 404)];
        for (method, status) in answers {
            metrics.answered(RequestLabels { route, method, status }, Duration::from_millis(2));
        }
        let text = metrics.encode(None);
        for (method, status, count) in [("GET", 404, 3), ("GET", 200, 2), ("HEAD", 200, 1)] {
            let labels = format!("{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}");
            assert_has(&text, &format!("constellation_http_request_duration_seconds_count{labels} {count}"));
        }
    }
}
