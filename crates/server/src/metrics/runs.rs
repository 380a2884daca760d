//! Metrics of runs and of the calls in them, as the runtime tells of them.

use std::sync::Arc;
use std::time::Duration;

use constellation_module::ModuleRegistry;
use constellation_runtime::{CallOutcome, RunBudget, RunErrorKind, RunObserver, RunReport, RunStatus};
use hashbrown::HashMap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::DURATION_BUCKETS;
use super::by_thread::{Durations, Present};

/// Seconds. Fewer than for runs, since there is a histogram for each module.
const CALL_BUCKETS: [f64; 6] = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0];

/// The status of a run whose client went away.
const CANCELLED: &str = "cancelled";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabels {
    budget: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    module: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModuleLabels {
    module: String,
}

/// Counts runs and calls. The labels are bounded by the modules of the server.
#[derive(Debug)]
pub(crate) struct RunMetrics {
    in_flight: Present,
    runs: Durations<StatusLabels>,
    /// By kind.
    failures: HashMap<RunErrorKind, Counter>,
    /// By the budget that was used up.
    over_budget: HashMap<RunBudget, Counter>,
    /// By module. Looked up here without the lock of a family.
    calls: HashMap<Arc<str>, CallMetrics>,
}

#[derive(Debug)]
struct CallMetrics {
    outcomes: HashMap<CallOutcome, Counter>,
    duration: Histogram,
}

impl RunMetrics {
    /// Registers the metrics, all at 0.
    pub(super) fn register(registry: &mut Registry, modules: &ModuleRegistry) -> Self {
        let in_flight = Present::default();
        registry.register("executions_in_flight", "Runs that have begun and not ended", in_flight.clone());

        let statuses = RunStatus::ALL.map(RunStatus::as_str).into_iter().chain([CANCELLED]);
        let runs = Durations::new(&DURATION_BUCKETS, statuses.map(|status| StatusLabels { status }));
        registry.register("executions", "Runs, by how they ended", runs.counts());
        registry.register(
            "execution_duration_seconds",
            "Time that runs took, by how they ended",
            runs.clone(),
        );

        let kinds = Family::<KindLabels, Counter>::default();
        let failures = RunErrorKind::ALL
            .map(|kind| (kind, kinds.get_or_create(&KindLabels { kind: kind.as_str() }).clone()));
        registry.register(
            "execution_failures",
            "Failures that runs reported, by kind; a budget was used up for ResourceExhausted and DeadlineExceeded",
            kinds,
        );

        let budgets = Family::<BudgetLabels, Counter>::default();
        let over_budget = RunBudget::ALL
            .map(|budget| (budget, budgets.get_or_create(&BudgetLabels { budget: budget.as_str() }).clone()));
        registry.register(
            "executions_over_budget",
            "Runs that a budget was too small for: bytes of values, bytes of outputs, or time",
            budgets,
        );

        let counts = Family::<CallLabels, Counter>::default();
        let durations =
            Family::<ModuleLabels, Histogram>::new_with_constructor(|| Histogram::new(CALL_BUCKETS));
        let calls = modules.iter().map(|module| {
            let name = Arc::clone(&module.spec().signature.module);
            let outcomes = CallOutcome::ALL.map(|outcome| {
                let labels = CallLabels { module: name.to_string(), outcome: outcome.as_str() };
                (outcome, counts.get_or_create(&labels).clone())
            });
            let duration = durations.get_or_create(&ModuleLabels { module: name.to_string() }).clone();
            (name, CallMetrics { outcomes: outcomes.into(), duration })
        });
        let calls = calls.collect();
        registry.register("module_calls", "Attempts of calls of modules, by how they ended", counts);
        registry.register(
            "module_call_duration_seconds",
            "Time that attempts of calls took, however they ended",
            durations,
        );
        Self { in_flight, runs, failures: failures.into(), over_budget: over_budget.into(), calls }
    }
}

impl RunObserver for RunMetrics {
    fn run_started(&self) {
        self.in_flight.come();
    }

    fn run_ended(&self, report: Option<&RunReport>, duration: Duration) {
        self.in_flight.leave();
        let status = report.map_or(CANCELLED, |report| report.status.as_str());
        self.runs.observe(StatusLabels { status }, duration);
        let exceeded = report.and_then(|report| report.exceeded);
        if let Some(count) = exceeded.and_then(|budget| self.over_budget.get(&budget)) {
            count.inc();
        }
        let errors = report.iter().flat_map(|report| &report.errors);
        for failures in errors.filter_map(|error| self.failures.get(&error.kind)) {
            failures.inc();
        }
    }

    fn call_ended(&self, module: &str, outcome: CallOutcome, duration: Duration) {
        let Some(CallMetrics { outcomes, duration: durations }) = self.calls.get(module) else { return };
        durations.observe(duration.as_secs_f64());
        if let Some(count) = outcomes.get(&outcome) {
            count.inc();
        }
    }
}
