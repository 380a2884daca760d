//! Runs that want too much.

use std::time::Duration;

use constellation_runtime::{Inputs, RunBudget, RunErrorKind, RunReport, RunStatus};
use constellation_store_core::{CallOptions, ComparisonOperator, NodeIndex, NodeKind, OnError};
use constellation_types::{Type, Value};
use tokio::time::Instant;

use crate::support::{Act, Bench};

fn double_text(bench: &mut Bench, node: NodeIndex) -> NodeIndex {
    let kind = NodeKind::Interpolate { parts: vec![String::new(); 3], values: vec![node, node] };
    bench.graph.node(&Type::String, kind)
}

/// `[[[1, 1], [1, 1]], ...]`, of 2^levels leaves that share their parts.
fn nested_pairs(bench: &mut Bench, levels: usize, leaf: NodeIndex) -> (NodeIndex, Type) {
    let (mut node, mut ty) = (leaf, Type::Int);
    for _ in 0..levels {
        ty = Type::list(ty);
        node = bench.graph.node(&ty, NodeKind::List { items: vec![node, node] });
    }
    (node, ty)
}

fn assert_exhausted(report: &RunReport, budget: RunBudget) {
    assert_eq!(report.status, RunStatus::Failed, "{:?}", report.errors);
    let [error] = &report.errors[..] else { panic!("{:?}", report.errors) };
    assert_eq!((error.kind, report.exceeded), (RunErrorKind::ResourceExhausted, Some(budget)));
}

#[tokio::test]
async fn a_string_that_doubles_forty_times_is_not_built() {
    let mut bench = Bench::new();
    let other = bench.graph.int(1);
    bench.graph.output("a", other);
    let mut node = bench.graph.string("ab");
    for _ in 0..40 {
        node = double_text(&mut bench, node);
    }
    bench.graph.output("x", node);
    bench.options.max_value_bytes = Some(1 << 20);
    let report = bench.run().await;
    assert_exhausted(&report, RunBudget::ValueBytes);
    assert!(report.errors[0].message.contains("1048576 bytes of values"), "{report:?}");
    assert_eq!(report.outputs, [("a".into(), Value::Int(1))]);
    assert_eq!(report.pending_outputs[0].reason, "it was not computed before the run ended");
}

#[tokio::test]
async fn the_budget_leaves_room_for_what_fits() {
    let mut bench = Bench::new();
    let mut node = bench.graph.string("ab");
    for _ in 0..10 {
        node = double_text(&mut bench, node);
    }
    bench.options.max_value_bytes = Some(1 << 20);
    let Value::String(text) = bench.value(node).await else { panic!() };
    assert_eq!(text.len(), 2048);
}

#[tokio::test]
async fn values_that_share_exponentially_are_not_printed_compared_or_converted() {
    for kind in ["print", "compare", "convert", "pass"] {
        let mut bench = Bench::new();
        bench.options.max_value_bytes = Some(1 << 20);
        let leaf = bench.graph.int(1);
        let (left, ty) = nested_pairs(&mut bench, 40, leaf);
        let (right, _) = nested_pairs(&mut bench, 40, leaf);
        let node = match kind {
            "print" => double_text(&mut bench, left),
            "compare" => {
                let operator = ComparisonOperator::Equal;
                bench.graph.node(&Type::Boolean, NodeKind::Compare { operator, left, right })
            }
            "convert" => {
                let floats = (0..40).fold(Type::Float, |ty, _| Type::seq(ty));
                bench.graph.node(&floats, NodeKind::Coerce { value: left })
            }
            _ => {
                let mock = bench.mock("f", std::slice::from_ref(&ty), ty.clone(), |arguments, _| {
                    Act::Give(arguments[0].clone())
                });
                bench.graph.call(mock.signature(), &[left])
            }
        };
        bench.graph.output("x", node);
        assert_exhausted(&bench.run().await, RunBudget::ValueBytes);
    }
}

#[tokio::test]
async fn outputs_that_share_exponentially_are_not_given_out() {
    let mut bench = Bench::new();
    let leaf = bench.graph.int(1);
    let (pairs, _) = nested_pairs(&mut bench, 200, leaf);
    bench.graph.output("a", leaf);
    bench.graph.output("b", pairs);
    bench.graph.output("c", leaf);
    let report = bench.run().await;
    assert_exhausted(&report, RunBudget::OutputBytes);
    assert!(report.errors[0].message.contains("more than 67108864 bytes as JSON"), "{report:?}");
    assert_eq!(report.outputs, [("a".into(), Value::Int(1))]);
    let pending: Vec<&str> = report.pending_outputs.iter().map(|output| &*output.name).collect();
    assert_eq!(pending, ["b", "c"]);
}

#[tokio::test]
async fn outputs_may_take_as_many_bytes_as_the_runtime_is_told() {
    for (limit, status, exceeded) in
        [(16, RunStatus::Completed, None), (5, RunStatus::Failed, Some(RunBudget::OutputBytes))]
    {
        let mut bench = Bench::new();
        bench.config.max_output_bytes = limit;
        let text = bench.graph.string("abc");
        bench.graph.output("x", text);
        let report = bench.run().await;
        assert_eq!((report.status, report.exceeded), (status, exceeded), "{limit}");
    }
}

#[tokio::test]
async fn results_of_modules_and_inputs_count() {
    let text = || Value::string("x".repeat(2000));
    let mut bench = Bench::new();
    bench.options.max_value_bytes = Some(1000);
    let mock = bench.mock("f", &[], Type::String, move |_, _| Act::Give(text()));
    // A budget is not an error of the call: its options do not apply.
    let options = CallOptions { on_error: Some(OnError::Skip), ..CallOptions::default() };
    let node = bench.graph.call_with(mock.signature(), &[], &Type::String, options);
    bench.graph.output("x", node);
    assert_exhausted(&bench.run().await, RunBudget::ValueBytes);
    let mut bench = Bench::new();
    bench.config.max_value_bytes = 1000;
    let input = bench.graph.input("a", Type::String);
    bench.graph.output("x", input);
    let report = bench.run_with(Inputs::from_iter([("a", text())])).await;
    assert_exhausted(&report, RunBudget::ValueBytes);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_at_its_deadline_and_keeps_what_came_about() {
    let mut bench = Bench::new();
    bench.options.max_duration = Some(Duration::from_millis(500));
    let (quick, _) = bench.call("quick", || Act::GiveAfter(100, Value::Int(1)));
    let (slow, slow_calls) = bench.call("slow", || Act::GiveAfter(1000, Value::Int(1)));
    bench.graph.output("quick", quick);
    bench.graph.output("slow", slow);
    let start = Instant::now();
    let report = bench.run().await;
    assert_eq!(start.elapsed(), Duration::from_millis(500));
    assert_eq!(report.status, RunStatus::Failed);
    assert_eq!(report.outputs, [("quick".into(), Value::Int(1))]);
    let [error] = &report.errors[..] else { panic!("{report:?}") };
    assert_eq!(error.to_string(), "DeadlineExceeded: the run took longer than 500 ms");
    assert_eq!(report.exceeded, Some(RunBudget::Time));
    assert_eq!(slow_calls.n_finished(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_endless_retries() {
    for delay_ms in [None, Some(10)] {
        let mut bench = Bench::new();
        bench.options.max_duration = Some(Duration::from_millis(500));
        let mock = bench.mock("f", &[], Type::Int, |_, _| Act::FailAfter(1, "no"));
        let options = CallOptions { retry: Some(1 << 50), delay_ms, ..CallOptions::default() };
        let node = bench.graph.call_with(mock.signature(), &[], &Type::Int, options);
        bench.graph.output("x", node);
        let report = bench.run().await;
        assert_eq!(report.errors[0].kind, RunErrorKind::DeadlineExceeded);
        assert!(mock.n_calls() > 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_seen_between_pure_nodes() {
    // A clock that goes on by itself: a long run of pure nodes never waits.
    #[derive(Debug, Default)]
    struct Racing(std::sync::atomic::AtomicU64);
    impl constellation_runtime::Timer for Racing {
        fn now(&self) -> Duration {
            Duration::from_millis(self.0.fetch_add(100, std::sync::atomic::Ordering::SeqCst))
        }
        fn sleep(&self, _: Duration) -> futures_util::future::BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }
    let mut bench = Bench::new();
    bench.config.timer = std::sync::Arc::new(Racing::default());
    bench.options.max_duration = Some(Duration::from_millis(500));
    let mut node = bench.graph.int(1);
    for _ in 0..20_000 {
        node = bench.graph.node(&Type::Int, NodeKind::Negate { operand: node });
    }
    bench.graph.output("x", node);
    assert_eq!(bench.run().await.errors[0].kind, RunErrorKind::DeadlineExceeded);
}
