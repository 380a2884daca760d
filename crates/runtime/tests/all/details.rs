//! What a run tells of its nodes when it is asked to, and that it tells nothing otherwise.

use std::time::Duration;

use constellation_runtime::{
    Inputs, NodeDetails, NodeStatus, Provenance, Resolution, RunDetails, RunOptions, RunStatus,
};
use constellation_store_core::{ArithmeticOperator, CallOptions, NodeIndex, NodeKind, OnError};
use constellation_types::{Type, Value};
use serde_json::json;
use tokio::time::Instant;

use crate::program::Program;
use crate::support::{Act, Bench};

fn node<'d>(details: &'d RunDetails, name: &str) -> &'d NodeDetails {
    let found = details.nodes.iter().find(|node| node.name == name);
    found.unwrap_or_else(|| panic!("there is no {name} among {details:#?}"))
}

fn values() -> RunOptions {
    RunOptions { include_values: true, ..RunOptions::default() }
}

#[tokio::test]
async fn inner_values_are_told_by_input_and_variable_and_by_number_within_one() {
    let mut program = Program::new();
    program.bench.options = values();
    let source = "in a: Int\nin b: Int\nfactor = 10\ntotal = (a + b) * factor - add(a, 1)\n\
                  unused = a + 5\nlarge = total > 100\nout large";
    let report = program.run(source, json!({ "a": 1, "b": 2 })).await;
    let details = report.details.unwrap();
    let told: Vec<_> = details.nodes.iter().map(|node| (&*node.name, node.value.clone())).collect();
    let int = |int| Some(Value::Int(int));
    for (name, value) in [("a", int(1)), ("b", int(2)), ("factor", int(10)), ("total", int(28))] {
        assert_eq!(node(&details, name).value, value, "{told:?}");
    }
    let mut inner: Vec<_> =
        ["total#1", "total#2", "total#3"].map(|name| node(&details, name).value.clone()).into();
    inner.sort_by_key(|value| format!("{value:?}"));
    assert_eq!(inner, [int(2), int(3), int(30)]);
    assert_eq!(node(&details, "large").value, Some(Value::Boolean(false)));
    assert_eq!(node(&details, "total").status, NodeStatus::Completed);
    assert_eq!((details.n_omitted, details.duration), (0, None));
    let again = program.run(source, json!({ "a": 1, "b": 2 })).await.details.unwrap();
    assert_eq!(again, details, "names and values do not change from run to run");
}

#[tokio::test]
async fn the_nodes_of_a_lambda_are_not_told_of_since_each_call_has_its_own() {
    let mut program = Program::new();
    program.bench.options = values();
    let source = "use stdlib.collection\nin xs: List<Int>\nys = map(xs, (x) => x * 2 + 1)\nout ys";
    let report = program.run(source, json!({ "xs": [1, 2] })).await;
    let details = report.details.unwrap_or_else(|| panic!("{:?}", report.errors));
    let names: Vec<&str> = details.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(names, ["xs", "ys"], "{details:#?}");
}

#[tokio::test]
async fn a_variable_with_the_name_of_an_input_leaves_it_the_name() {
    let mut bench = Bench::new();
    bench.options.include_nodes = true;
    let input = bench.graph.input("x", Type::Int);
    let mut items = vec![input];
    for label in ["x", "y", "x"] {
        let negated = bench.graph.node(&Type::Int, NodeKind::Negate { operand: input });
        items.push(bench.graph.label(negated, label));
    }
    let list = bench.graph.node(&Type::list(Type::Int), NodeKind::List { items });
    bench.graph.output("list", list);
    let report = bench.run_with(Inputs::from_iter([("x", Value::Int(1))])).await;
    let details = report.details.unwrap();
    let names: Vec<&str> = details.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(names, ["x", "x#1", "y", "x#2", &*format!("node {}", list.0)]);
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_node_is_what_became_of_it() {
    let mut bench = Bench::new();
    bench.options.include_nodes = true;
    let (bad, _) = bench.call("bad", || Act::Fail("no"));
    let (slow, _) = bench.call("slow", || Act::GiveAfter(60_000, Value::Int(1)));
    let (unneeded, _) = bench.call("unneeded", || Act::Give(Value::Int(1)));
    let (quick, _) = bench.call("quick", || Act::Give(Value::Int(1)));
    let operator = ArithmeticOperator::Add;
    let sum = bench.graph.node(&Type::Int, NodeKind::Arithmetic { operator, left: quick, right: bad });
    bench.graph.label(sum, "sum");
    bench.graph.output("slow", slow);
    bench.graph.output("sum", sum);
    bench.options.max_duration = Some(Duration::from_secs(1));
    let report = bench.run().await;
    let details = report.details.unwrap();
    let status = |name| node(&details, name).status;
    assert_eq!(status("bad"), NodeStatus::Failed { root: bad });
    assert_eq!(status("sum"), NodeStatus::Failed { root: bad });
    assert_eq!(status("quick"), NodeStatus::Completed);
    assert_eq!(status("slow"), NodeStatus::Unfinished);
    assert_eq!(status("unneeded"), NodeStatus::NotNeeded);
    assert_eq!(node(&details, "unneeded").node, unneeded);
    assert_eq!(node(&details, "quick").value, None, "values were not asked for");
}

#[tokio::test]
async fn what_a_run_needs_and_does_not_come_to_is_unfinished() {
    let mut bench = Bench::new();
    bench.options.include_nodes = true;
    bench.options.max_value_bytes = Some(1_000);
    let large = bench.mock("large", &[], Type::String, |_, _| Act::Give(Value::string("x".repeat(2_000))));
    let large = bench.graph.call(large.signature(), &[]);
    bench.graph.label(large, "large");
    let (later, mock) = bench.call("later", || Act::Give(Value::Int(1)));
    bench.graph.output("large", large);
    bench.graph.output("later", later);
    let report = bench.run().await;
    assert_eq!(mock.n_calls(), 0, "the run has ended by then");
    let details = report.details.unwrap();
    for name in ["large", "later"] {
        assert_eq!(node(&details, name).status, NodeStatus::Unfinished, "{name}");
    }
}

#[tokio::test]
async fn where_a_value_comes_from_is_told() {
    let mut bench = Bench::new();
    bench.options.include_nodes = true;
    let given = bench.graph.input("given", Type::Int);
    let default = bench.graph.int(7);
    let left_out = bench.graph.input_with_default("left_out", Type::Int, default);
    let (works, _) = bench.call("works", || Act::Give(Value::Int(1)));
    let (no, _) = bench.call("no", || Act::Fail("no"));
    let failing = |bench: &mut Bench, name: &str, options: CallOptions| {
        let mock = bench.mock(name, &[], Type::Int, |_, _| Act::Fail("no"));
        let node = bench.graph.call_with(mock.signature(), &[], &Type::Int, options);
        bench.graph.label(node, name)
    };
    let falls_back =
        failing(&mut bench, "falls_back", CallOptions { fallback: Some(works), ..CallOptions::default() });
    let skips = CallOptions { on_error: Some(OnError::Skip), ..CallOptions::default() };
    let skipped = failing(&mut bench, "skipped", skips.clone());
    let both = failing(&mut bench, "both", CallOptions { fallback: Some(no), ..skips });
    let items: Vec<NodeIndex> = vec![given, left_out, works, falls_back, skipped, both];
    let list = bench.graph.node(&Type::list(Type::Int), NodeKind::List { items });
    bench.graph.label(list, "list");
    bench.graph.output("list", list);
    let report = bench.run_with(Inputs::from_iter([("given", Value::Int(3))])).await;
    assert_eq!(report.status, RunStatus::Completed, "{:?}", report.errors);
    let details = report.details.unwrap();
    let module = |name: &str| Provenance::Module(name.into());
    for (name, provenance, resolution) in [
        ("given", Provenance::Input, Some(Resolution::Input)),
        ("left_out", Provenance::Input, Some(Resolution::Default)),
        ("works", module("works"), Some(Resolution::Module)),
        ("no", module("no"), None),
        ("falls_back", module("falls_back"), Some(Resolution::Fallback)),
        ("skipped", module("skipped"), Some(Resolution::Recovery)),
        ("both", module("both"), Some(Resolution::Recovery)),
        ("list", Provenance::Operation, Some(Resolution::Operation)),
    ] {
        let node = node(&details, name);
        assert_eq!((&node.provenance, node.resolution), (&provenance, resolution), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_times_of_calls_have_their_attempts_and_delays_in_them() {
    let mut bench = Bench::new();
    bench.options.include_timings = true;
    let (first, _) = bench.call("first", || Act::GiveAfter(30, Value::Int(1)));
    let mock = bench.mock("second", &[Type::Int], Type::Int, |_, attempt| {
        if attempt == 1 { Act::FailAfter(5, "not yet") } else { Act::GiveAfter(5, Value::Int(1)) }
    });
    let options = CallOptions { retry: Some(1), delay_ms: Some(100), ..CallOptions::default() };
    let second = bench.graph.call_with(mock.signature(), &[first], &Type::Int, options);
    bench.graph.label(second, "second");
    let sum_kind = NodeKind::Arithmetic { operator: ArithmeticOperator::Add, left: first, right: second };
    let sum = bench.graph.node(&Type::Int, sum_kind);
    bench.graph.label(sum, "sum");
    bench.graph.output("sum", sum);
    let details = bench.run().await.details.unwrap();
    let took = |name| node(&details, name).duration;
    assert_eq!(took("first"), Some(Duration::from_millis(30)));
    assert_eq!(took("second"), Some(Duration::from_millis(110)));
    assert_eq!(took("sum"), None, "only calls take time worth telling");
    assert_eq!(details.duration, Some(Duration::from_millis(140)));
    assert_eq!(node(&details, "sum").value, None);
}

#[tokio::test]
async fn what_is_told_fits_the_budget_for_outputs_and_the_outputs_come_first() {
    let source = "in a: Int\nlong = \"${a} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n\
                  short = a + 1\nboth = \"${long}${short}\"\nfits = both == \"\"\nout fits";
    let mut told = Vec::new();
    for max_output_bytes in [16, 200, 420, 1 << 20] {
        let mut program = Program::new();
        program.bench.options = values();
        program.bench.config.max_output_bytes = max_output_bytes;
        let report = program.run(source, json!({ "a": 1 })).await;
        assert_eq!(report.output("fits"), Some(&Value::Boolean(false)));
        let details = report.details.unwrap();
        told.push((details.nodes.len(), details.nodes.len() + details.n_omitted));
    }
    assert_eq!(told[0].0, 0);
    assert!(told.is_sorted() && told[1].0 < told[2].0 && told[2].0 < told[3].0, "{told:?}");
    assert_eq!(told[3].0, told[3].1);
    assert!(told.iter().all(|(_, all)| *all == told[3].1), "{told:?}");
}

#[tokio::test]
async fn nothing_is_told_that_was_not_asked_for() {
    let mut bench = Bench::new();
    let (node, _) = bench.call("a", || Act::Give(Value::Int(1)));
    bench.graph.output("a", node);
    assert_eq!(bench.run().await.details, None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_the_root_of_a_deep_graph_fails_all_of_it_before_other_work_ends() {
    const DEPTH: usize = 2_000;
    let mut bench = Bench::new();
    bench.options.include_nodes = true;
    let (rate, _) = bench.call("rate", || Act::FailAfter(10, "no rate today"));
    let (slow, slow_calls) = bench.call("slow", || Act::GiveAfter(60_000, Value::Int(1)));
    let step = bench.mock("step", &[Type::Int], Type::Int, |_, _| Act::Give(Value::Int(1)));
    let mut last = rate;
    for depth in 0..DEPTH {
        last = bench.graph.call(step.signature(), &[last]);
        bench.graph.label(last, &format!("step{depth}"));
    }
    bench.graph.output("last", last);
    bench.graph.output("slow", slow);
    // The moment after the failure, as it were.
    bench.options.max_duration = Some(Duration::from_millis(11));
    let start = Instant::now();
    let report = bench.run().await;
    assert_eq!(start.elapsed(), Duration::from_millis(11));
    assert_eq!((step.n_calls(), slow_calls.n_finished()), (0, 0));
    let details = report.details.unwrap();
    assert_eq!(node(&details, "slow").status, NodeStatus::Unfinished);
    for depth in 0..DEPTH {
        let status = node(&details, &format!("step{depth}")).status;
        assert_eq!(status, NodeStatus::Failed { root: rate }, "{depth}");
    }
    let [last, slow] = &report.pending_outputs[..] else { panic!("{:?}", report.pending_outputs) };
    assert!(
        last.reason.starts_with("'step1999' was not computed because 'rate' failed: no rate today (through ")
            && last.reason.contains("'step1998', 'step1997', "),
        "{}",
        last.reason
    );
    assert!(last.reason.len() < 500, "the chain is told as far as people read it: {}", last.reason);
    assert_eq!(slow.reason, "it was not computed before the run ended");
}
