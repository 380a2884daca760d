//! What observers and subscribers of tracing are told of runs and calls.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use constellation_module::{ModuleBuilder, ModuleSpec, Outcome};
use constellation_rehydrate::testkit::signature;
use constellation_runtime::{CallOutcome, Inputs, RunObserver, RunReport, SchedulerConfig};
use constellation_store_core::CallOptions;
use constellation_types::{Type, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::support::{Act, Bench, with_subscriber};

/// Notes what it is told.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn add(&self, note: String) {
        self.0.lock().unwrap().push(note);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl RunObserver for Notes {
    fn run_started(&self) {
        self.add("run".to_owned());
    }

    fn run_ended(&self, report: Option<&RunReport>, duration: Duration) {
        let status = report.map_or("dropped", |report| report.status.as_str());
        self.add(format!("{status} after {duration:?}"));
    }

    fn call_ended(&self, module: &str, outcome: CallOutcome, duration: Duration) {
        self.add(format!("{module} {} after {duration:?}", outcome.as_str()));
    }
}

fn observed() -> (Bench, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let mut bench = Bench::new();
    bench.config.observer = Some(Arc::clone(&notes) as Arc<dyn RunObserver>);
    (bench, notes)
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_each_run_and_of_each_attempt() {
    let (mut bench, notes) = observed();
    let (quick, _) = bench.call("quick", || Act::Give(Value::Int(1)));
    let mock = bench.mock("unsteady", &[], Type::Int, |_, attempt| match attempt {
        1 => Act::FailAfter(5, "not yet"),
        2 => Act::GiveAfter(1_000, Value::Int(1)),
        3 => Act::Panic,
        _ => Act::GiveAfter(7, Value::Int(1)),
    });
    let options = CallOptions { retry: Some(3), timeout_ms: Some(20), ..CallOptions::default() };
    let unsteady = bench.graph.call_with(mock.signature(), &[], &Type::Int, options);
    bench.graph.output("quick", quick);
    bench.graph.output("unsteady", unsteady);
    bench.run().await;
    assert_eq!(
        notes.take(),
        [
            "run",
            "quick succeeded after 0ns",
            "unsteady failed after 5ms",
            "unsteady timed_out after 20ms",
            "unsteady failed after 0ns",
            "unsteady succeeded after 7ms",
            "completed after 32ms",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn of_a_pure_module_an_observer_is_told_what_waits_or_fails() {
    let (mut bench, notes) = observed();
    for name in ["quick", "slow", "broken"] {
        let spec = ModuleSpec { pure: true, ..ModuleSpec::new(signature(name, &[], Type::Int)) };
        let mock = bench.mock_with(spec, move |_, _| match name {
            "quick" => Act::Give(Value::Int(1)),
            "slow" => Act::GiveAfter(5, Value::Int(1)),
            _ => Act::Fail("no"),
        });
        let node = bench.graph.call(mock.signature(), &[]);
        bench.graph.output(name, node);
    }
    bench.run().await;
    assert_eq!(
        notes.take(),
        ["run", "broken failed after 0ns", "slow succeeded after 5ms", "failed after 5ms"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_what_is_cut_off() {
    for by_deadline in [true, false] {
        let (mut bench, notes) = observed();
        let (slow, _) = bench.call("slow", || Act::GiveAfter(1_000, Value::Int(1)));
        bench.graph.output("slow", slow);
        bench.options.max_duration = by_deadline.then_some(Duration::from_millis(50));
        drop(tokio::time::timeout(Duration::from_millis(100), bench.run()).await);
        let expected = if by_deadline {
            ["run", "slow cancelled after 50ms", "failed after 50ms"]
        } else {
            ["run", "slow cancelled after 100ms", "dropped after 100ms"]
        };
        assert_eq!(notes.take(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_slot_is_no_part_of_an_attempt() {
    let (mut bench, notes) = observed();
    let mut scheduler = SchedulerConfig::new(1.try_into().unwrap());
    scheduler.max_waiting = 1;
    bench.config.scheduler = Some(scheduler);
    for name in ["first", "second", "third"] {
        let (node, _) = bench.call(name, || Act::GiveAfter(10, Value::Int(1)));
        bench.graph.output(name, node);
    }
    bench.run().await;
    assert_eq!(
        notes.take(),
        [
            "run",
            "third refused after 0ns",
            "first succeeded after 10ms",
            "second succeeded after 10ms",
            "failed after 20ms",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_does_not_start_is_told_of_too() {
    let (mut bench, notes) = observed();
    let input = bench.graph.input("a", Type::Int);
    bench.graph.output("a", input);
    bench.run().await;
    assert_eq!(notes.take(), ["run", "suspended after 0ns"]);
}

/// A span as it ended up, with what it was in.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    name: &'static str,
    within: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Keeps the spans of the runtime, up to a level.
struct Spans(Level, Arc<Mutex<Vec<(Id, Seen)>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("constellation_runtime") && *metadata.level() <= self.0
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut seen = Seen { name: attributes.metadata().name(), ..Seen::default() };
        seen.within = context.span(id).unwrap().parent().map(|parent| parent.name());
        attributes.record(&mut seen);
        self.1.lock().unwrap().push((id.clone(), seen));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.1.lock().unwrap();
        let (_, seen) = spans.iter_mut().rev().find(|(known, _)| known == id).unwrap();
        values.record(seen);
    }
}

/// Runs what is built, and gives the spans up to the level in the order in which they were made.
fn spans_of(level: Level, build: impl FnOnce(&mut Bench)) -> Vec<Seen> {
    let mut bench = Bench::new();
    build(&mut bench);
    let spans = Arc::default();
    let subscriber = tracing_subscriber::registry().with(Spans(level, Arc::clone(&spans)));
    with_subscriber(subscriber, || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (pipeline, runtime, options) = bench.load();
            runtime.run(&pipeline, Inputs::new(), options).await
        });
    });
    let spans = spans.lock().unwrap();
    spans.iter().map(|(_, seen)| seen.clone()).collect()
}

fn add_retried_call(bench: &mut Bench) {
    let mock = bench.mock("f", &[], Type::Int, |_, attempt| match attempt {
        1 => Act::FailAfter(1, "not yet"),
        _ => Act::GiveAfter(1, Value::Int(1)),
    });
    let options = CallOptions { retry: Some(1), ..CallOptions::default() };
    let node = bench.graph.call_with(mock.signature(), &[], &Type::Int, options);
    bench.graph.label(node, "rate");
    bench.graph.output("rate", node);
}

#[test]
fn a_run_has_a_span_and_each_attempt_has_one_in_it() {
    let spans = spans_of(Level::DEBUG, |bench| {
        bench.options.run_id = Some("r-1".into());
        add_retried_call(bench);
    });
    let [run, first, second] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!((run.name, run.within), ("run", None));
    assert_eq!((&*run.fields["run_id"], &*run.fields["status"]), ("r-1", "completed"));
    assert_eq!(run.fields["pipeline"].len(), 64);
    for (call, attempt, outcome) in [(first, "1", "failed"), (second, "2", "succeeded")] {
        assert_eq!((call.name, call.within), ("call", Some("run")));
        let fields = ["module", "label", "attempt", "outcome"].map(|name| &*call.fields[name]);
        assert_eq!(fields, ["f", "rate", attempt, outcome]);
    }
}

#[test]
fn without_debug_no_span_is_made() {
    assert!(spans_of(Level::INFO, add_retried_call).is_empty());
}

#[test]
fn the_code_of_a_module_runs_in_the_span_of_its_call_also_after_it_has_waited() {
    let seen: Arc<Mutex<Vec<Option<Id>>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let spans = spans_of(Level::DEBUG, move |bench| {
        let module = ModuleBuilder::new("f").values_with_context(
            [] as [(&str, Type); 0],
            [("out", Type::Int)],
            move |_, _| {
                let notes = Arc::clone(&notes);
                notes.lock().unwrap().push(Span::current().id());
                Outcome::Pending(Box::pin(async move {
                    notes.lock().unwrap().push(Span::current().id());
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    notes.lock().unwrap().push(Span::current().id());
                    Ok(Value::Int(1))
                }))
            },
        );
        bench.registry.register(module).unwrap();
        let signature = bench.registry.signatures().next().unwrap().clone();
        let node = bench.graph.call(&signature, &[]);
        bench.graph.output("x", node);
    });
    assert_eq!(spans.iter().map(|span| span.name).collect::<Vec<_>>(), ["run", "call"]);
    let seen = seen.lock().unwrap();
    assert!(seen[0].is_some() && seen.iter().all(|id| *id == seen[0]), "{seen:?}");
    assert_eq!(seen.len(), 3);
}
