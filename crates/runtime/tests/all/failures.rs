//! What fails, what does not, and what is told of it.

use constellation_module::ModuleSpec;
use constellation_rehydrate::testkit::signature;
use constellation_runtime::{RunErrorKind, RunStatus};
use constellation_store_core::{ArithmeticOperator, NodeIndex, NodeKind};
use constellation_types::{Type, Value};
use tokio::time::Instant;

use crate::support::{Act, Bench};

fn add(bench: &mut Bench, label: &str, left: NodeIndex, right: NodeIndex) -> NodeIndex {
    let operator = ArithmeticOperator::Add;
    let node = bench.graph.node(&Type::Int, NodeKind::Arithmetic { operator, left, right });
    bench.graph.label(node, label)
}

#[tokio::test(start_paused = true)]
async fn a_failure_fails_what_depends_on_it_and_everything_else_finishes() {
    let mut bench = Bench::new();
    let (rate, _) = bench.call("rate", || Act::FailAfter(10, "no rate today"));
    let (slow, slow_calls) = bench.call("slow", || Act::GiveAfter(1000, Value::Int(7)));
    let after = bench.mock("after", &[Type::Int], Type::Int, |_, _| Act::Give(Value::Int(0)));
    let after_call = bench.graph.call(after.signature(), &[rate]);
    let net = add(&mut bench, "net", rate, slow);
    let total = add(&mut bench, "total", after_call, net);
    bench.graph.output("rate", rate);
    bench.graph.output("slow", slow);
    bench.graph.output("net", net);
    bench.graph.output("total", total);
    let report = bench.run().await;
    assert_eq!(report.status, RunStatus::Failed);
    assert_eq!(report.outputs, [("slow".into(), Value::Int(7))]);
    assert_eq!(slow_calls.n_finished(), 1);
    assert_eq!(after.n_calls(), 0);
    let [error] = &report.errors[..] else { panic!("one failure, told once: {report:?}") };
    assert_eq!(error.to_string(), "'rate' (module rate) failed: no rate today");
    assert_eq!((error.kind, error.node), (RunErrorKind::Module, Some(rate)));
    let reasons: Vec<_> = report.pending_outputs.iter().map(|p| (&*p.name, &*p.reason)).collect();
    assert_eq!(
        reasons,
        [
            ("net", "'net' was not computed because 'rate' failed: no rate today"),
            ("rate", "'rate' failed: no rate today"),
            (
                "total",
                &*format!(
                    "'total' was not computed because 'rate' failed: no rate today (through node {})",
                    after_call.0
                )
            ),
        ]
    );
}

#[tokio::test]
async fn all_failures_that_an_output_goes_back_to_are_told_in_the_order_of_nodes() {
    let mut bench = Bench::new();
    let (a, _) = bench.call("a", || Act::FailAfter(20, "a failed"));
    let (b, _) = bench.call("b", || Act::Fail("b failed"));
    let (unrelated, calls) = bench.call("unrelated", || Act::Fail("never told"));
    let sum = add(&mut bench, "sum", a, b);
    let twice = add(&mut bench, "twice", sum, sum);
    // Its failure is nobody's loss: the other arm is taken.
    let condition = bench.graph.boolean(false);
    let arm = bench.graph.node(&Type::Int, NodeKind::If { condition, then: unrelated, otherwise: twice });
    bench.graph.output("x", arm);
    let report = bench.run().await;
    let messages: Vec<&str> = report.errors.iter().map(|error| &*error.message).collect();
    assert_eq!(messages, ["a failed", "b failed"]);
    assert_eq!(calls.n_calls(), 0);
}

#[tokio::test]
async fn what_is_wanted_beside_a_failure_runs_whatever_the_timing() {
    for (first, second) in [(0, 50), (50, 0)] {
        let mut bench = Bench::new();
        let (fails, _) = bench.call("fails", move || Act::FailAfter(first, "no"));
        let (works, calls) = bench.call("works", move || Act::GiveAfter(second, Value::Int(1)));
        let next = bench.mock("next", &[Type::Int], Type::Int, |_, _| Act::GiveAfter(1, Value::Int(1)));
        let next_call = bench.graph.call(next.signature(), &[works]);
        let sum = add(&mut bench, "sum", fails, next_call);
        assert_eq!(bench.failure(sum).await, "no");
        assert_eq!([calls.n_finished(), next.n_finished()], [1, 1]);
    }
}

#[tokio::test]
async fn an_operator_that_fails_is_told_with_its_label() {
    let mut bench = Bench::new();
    let (left, right) = (bench.graph.int(1), bench.graph.int(0));
    let operator = ArithmeticOperator::Divide;
    let node = bench.graph.node(&Type::Int, NodeKind::Arithmetic { operator, left, right });
    bench.graph.label(node, "rate");
    bench.graph.output("x", node);
    let report = bench.run().await;
    assert_eq!(report.errors[0].to_string(), "'rate' failed: Division by zero in 1 / 0");
    assert_eq!(report.errors[0].kind, RunErrorKind::Evaluation);
    assert_eq!(report.errors[0].module, None);
}

#[tokio::test]
async fn the_sources_of_a_modules_error_are_its_causes() {
    #[derive(Debug)]
    struct Failing(ModuleSpec);
    impl constellation_module::Module for Failing {
        fn spec(&self) -> &ModuleSpec {
            &self.0
        }
        fn call(&self, _: &[Value], _: &constellation_module::CallContext) -> constellation_module::Outcome {
            let error = constellation_module::ModuleError::with_source("no quote", "line 3: no price");
            constellation_module::Outcome::Ready(Err(error))
        }
    }
    let mut bench = Bench::new();
    let spec = ModuleSpec::new(signature("f", &[], Type::Int));
    let node = bench.graph.call(&spec.signature, &[]);
    bench.registry.register(Failing(spec)).unwrap();
    bench.graph.output("x", node);
    let report = bench.run().await;
    assert_eq!(report.errors[0].causes, ["line 3: no price"]);
    let text = report.errors[0].to_string();
    assert_eq!(text, "node 0 (module f) failed: no quote; caused by: line 3: no price");
}

#[tokio::test]
async fn a_panic_is_the_failure_of_its_call() {
    for later in [false, true] {
        let mut bench = Bench::new();
        let (node, _) = bench.call("f", move || if later { Act::PanicLater } else { Act::Panic });
        assert_eq!(bench.failure(node).await, "the module panicked: told to panic");
    }
}

#[tokio::test]
async fn a_module_that_breaks_its_signature_fails_its_call() {
    for (value, found) in [
        (Value::string("1"), "got String"),
        (Value::none(), "got Optional"),
        (Value::Float(1.0), "got Float"),
    ] {
        let mut bench = Bench::new();
        let (node, _) = bench.call("f", move || Act::Give(value.clone()));
        bench.graph.output("x", node);
        let report = bench.run().await;
        assert_eq!(report.errors[0].kind, RunErrorKind::Internal);
        assert!(report.errors[0].message.contains(found), "{report:?}");
    }
    let mut bench = Bench::new();
    let mock = bench.mock("f", &[], Type::Float, |_, _| Act::Give(Value::Float(f64::NAN)));
    let node = bench.graph.call(mock.signature(), &[]);
    assert!(bench.failure(node).await.contains("a Float that is not finite"));
}

#[tokio::test(start_paused = true)]
async fn a_default_that_needs_its_own_input_ends_the_run() {
    let mut bench = Bench::new();
    // The input is declared with the node after it as its default, which reads the input.
    let default = NodeIndex(bench.graph.next().0 + 1);
    let input = bench.graph.input_with_default("a", Type::Int, default);
    let node = bench.graph.node(&Type::Int, NodeKind::Negate { operand: input });
    bench.graph.output("x", node);
    let (graph, registry) = (bench.graph, bench.registry);
    let error = constellation_rehydrate::rehydrate(graph.build(), &registry).unwrap_err();
    assert!(error.to_string().contains("needs itself"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_after_the_last_output_is_decided() {
    let mut bench = Bench::new();
    let (quick, _) = bench.call("quick", || Act::Give(Value::Int(1)));
    bench.graph.output("x", quick);
    let start = Instant::now();
    assert_eq!(bench.run().await.status, RunStatus::Completed);
    assert!(start.elapsed().is_zero());
}
