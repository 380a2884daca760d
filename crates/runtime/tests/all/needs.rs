//! What is evaluated, when, and how often.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use constellation_runtime::{Inputs, RunStatus};
use constellation_store_core::{
    ArithmeticOperator, BranchCase, CallOptions, MatchCase, NodeIndex, NodeKind, Pattern, Region,
};
use constellation_types::{Type, Value};
use tokio::time::Instant;

use crate::support::{Act, Bench, Mock};

fn give(value: i64) -> impl Fn() -> Act + Send + Sync {
    move || Act::Give(Value::Int(value))
}

/// A call that gives a `Boolean`.
fn boolean_call(bench: &mut Bench, name: &str, value: bool) -> (NodeIndex, Arc<Mock>) {
    let mock = bench.mock(name, &[], Type::Boolean, move |_, _| Act::Give(Value::Boolean(value)));
    (bench.graph.call(mock.signature(), &[]), mock)
}

#[tokio::test]
async fn the_arm_that_is_not_taken_is_not_evaluated() {
    for condition in [true, false] {
        let mut bench = Bench::new();
        let (then, then_calls) = bench.call("then", give(1));
        let (otherwise, otherwise_calls) = bench.call("otherwise", give(2));
        let condition_node = bench.graph.boolean(condition);
        let kind = NodeKind::If { condition: condition_node, then, otherwise };
        let node = bench.graph.node(&Type::Int, kind);
        bench.value(node).await;
        assert_eq!(then_calls.n_calls(), usize::from(condition));
        assert_eq!(otherwise_calls.n_calls(), usize::from(!condition));
    }
}

#[tokio::test]
async fn a_branch_evaluates_conditions_up_to_the_first_that_is_true() {
    let mut bench = Bench::new();
    let conditions = [("c0", false), ("c1", true), ("c2", true)].map(|(n, v)| boolean_call(&mut bench, n, v));
    let values = ["v0", "v1", "v2", "v3"].map(|name| bench.call(name, give(1)));
    let cases = conditions
        .iter()
        .zip(&values)
        .map(|((condition, _), (value, _))| BranchCase { condition: *condition, value: *value })
        .collect();
    let node = bench.graph.node(&Type::Int, NodeKind::Branch { cases, otherwise: values[3].0 });
    bench.value(node).await;
    assert_eq!(conditions.map(|(_, mock)| mock.n_calls()), [1, 1, 0]);
    assert_eq!(values.map(|(_, mock)| mock.n_calls()), [0, 1, 0, 0]);
}

#[tokio::test]
async fn and_or_stop_at_the_operand_that_decides() {
    for (is_and, left, needs_right) in
        [(true, false, false), (true, true, true), (false, true, false), (false, false, true)]
    {
        let mut bench = Bench::new();
        let (left, _) = boolean_call(&mut bench, "left", left);
        let (right, right_calls) = boolean_call(&mut bench, "right", true);
        let kind = if is_and { NodeKind::And { left, right } } else { NodeKind::Or { left, right } };
        let node = bench.graph.node(&Type::Boolean, kind);
        bench.value(node).await;
        assert_eq!(right_calls.n_calls(), usize::from(needs_right));
    }
}

#[tokio::test]
async fn a_guarded_value_and_a_default_are_evaluated_only_when_needed() {
    for present in [true, false] {
        let mut bench = Bench::new();
        let (value, value_calls) = bench.call("value", give(1));
        let (default, default_calls) = bench.call("default", give(2));
        let condition = bench.graph.boolean(present);
        let guard = bench.graph.node(&Type::optional(Type::Int), NodeKind::Guard { value, condition });
        let node = bench.graph.node(&Type::Int, NodeKind::Coalesce { value: guard, default });
        assert_eq!(bench.value(node).await, Value::Int(if present { 1 } else { 2 }));
        assert_eq!(value_calls.n_calls(), usize::from(present));
        assert_eq!(default_calls.n_calls(), usize::from(!present));
    }
}

#[tokio::test]
async fn a_fallback_is_evaluated_only_when_the_call_fails() {
    for fails in [true, false] {
        let mut bench = Bench::new();
        let (fallback, fallback_calls) = bench.call("fallback", give(2));
        let mock =
            bench.mock(
                "f",
                &[],
                Type::Int,
                move |_, _| {
                    if fails { Act::Fail("no") } else { Act::Give(Value::Int(1)) }
                },
            );
        let options = CallOptions { fallback: Some(fallback), ..CallOptions::default() };
        let node = bench.graph.call_with(mock.signature(), &[], &Type::Int, options);
        assert_eq!(bench.value(node).await, Value::Int(if fails { 2 } else { 1 }));
        assert_eq!(fallback_calls.n_calls(), usize::from(fails));
    }
}

#[tokio::test]
async fn only_the_body_of_the_case_that_matches_is_evaluated() {
    let mut bench = Bench::new();
    let union = Type::union([Type::String, Type::Int]);
    let scrutinee = bench.graph.input("u", union);
    let outer = bench.call("outer", give(5));
    let mut cases = Vec::new();
    let mut mocks = Vec::new();
    for (name, ty) in [("s", Type::String), ("i", Type::Int)] {
        let start = bench.graph.next();
        let it = bench.graph.node(&ty, NodeKind::Parameter);
        let mock = bench
            .mock(name, &[ty.clone(), Type::Int], Type::Int, |arguments, _| Act::Give(arguments[1].clone()));
        let result = bench.graph.call(mock.signature(), &[it, outer.0]);
        let body = Region { start, end: bench.graph.next(), parameters: 1, result };
        cases.push(MatchCase { pattern: Pattern::Is(bench.graph.type_index(&ty)), body });
        mocks.push(mock);
    }
    let node = bench.graph.node(&Type::Int, NodeKind::Match { scrutinee, cases });
    bench.graph.output("x", node);
    let report = bench.run_with(Inputs::from_iter([("u", Value::tagged("Int", Value::Int(3)))])).await;
    assert_eq!(report.output("x"), Some(&Value::Int(5)));
    assert_eq!([mocks[0].n_calls(), mocks[1].n_calls(), outer.1.n_calls()], [0, 1, 1]);
}

#[tokio::test]
async fn a_node_that_no_output_needs_is_not_evaluated_and_one_that_many_need_is_evaluated_once() {
    let mut bench = Bench::new();
    let (_, unused) = bench.call("unused", give(0));
    let (shared, calls) = bench.call("shared", || Act::GiveAfter(5, Value::Int(2)));
    let operator = ArithmeticOperator::Multiply;
    let square = bench.graph.node(&Type::Int, NodeKind::Arithmetic { operator, left: shared, right: shared });
    let sum_kind = NodeKind::Arithmetic { operator: ArithmeticOperator::Add, left: square, right: shared };
    let sum = bench.graph.node(&Type::Int, sum_kind);
    bench.graph.output("a", sum);
    bench.graph.output("b", shared);
    let report = bench.run().await;
    assert_eq!(report.output("a"), Some(&Value::Int(6)));
    assert_eq!([unused.n_calls(), calls.n_calls()], [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn independent_calls_run_at_the_same_time() {
    let mut bench = Bench::new();
    let slow = || Act::GiveAfter(1000, Value::Int(1));
    let nodes = ["a", "b", "c"].map(|name| bench.call(name, slow).0);
    let ty = Type::list(Type::Int);
    let list = bench.graph.node(&ty, NodeKind::List { items: nodes[..2].to_vec() });
    bench.graph.output("list", list);
    bench.graph.output("c", nodes[2]);
    let start = Instant::now();
    assert_eq!(bench.run().await.status, RunStatus::Completed);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_node_starts_as_soon_as_its_own_operands_are_ready() {
    let mut bench = Bench::new();
    let (fast, _) = bench.call("fast", || Act::GiveAfter(10, Value::Int(1)));
    let (slow, _) = bench.call("slow", || Act::GiveAfter(100, Value::Int(1)));
    let after =
        bench.mock("after", &[Type::Int], Type::Int, |arguments, _| Act::GiveAfter(90, arguments[0].clone()));
    let after = bench.graph.call(after.signature(), &[fast]);
    bench.graph.output("after", after);
    bench.graph.output("slow", slow);
    let start = Instant::now();
    assert_eq!(bench.run().await.status, RunStatus::Completed);
    assert_eq!(start.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_run_drops_its_calls_and_raises_the_flag() {
    let mut bench = Bench::new();
    let (a, a_calls) = bench.call("a", || Act::GiveAfter(1000, Value::Int(1)));
    bench.graph.output("a", a);
    let (pipeline, runtime, options) = bench.load();
    let run = runtime.run(&pipeline, Inputs::new(), options);
    let cut = tokio::time::timeout(Duration::from_millis(500), run).await;
    assert!(cut.is_err());
    let context = a_calls.context.lock().unwrap().clone().unwrap();
    assert!(context.cancellation().is_cancelled());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!([a_calls.n_calls(), a_calls.n_finished()], [1, 0]);
}

#[tokio::test]
async fn a_chain_of_a_hundred_thousand_nodes_does_not_need_the_stack() {
    let mut bench = Bench::new();
    // The first run starts at once, the second later, and the third fails.
    let n_runs = std::sync::atomic::AtomicUsize::new(0);
    let (mut node, _) = bench.call("start", move || match n_runs.fetch_add(1, Ordering::SeqCst) {
        0 => Act::Give(Value::Int(0)),
        1 => Act::GiveAfter(0, Value::Int(0)),
        _ => Act::FailAfter(0, "no"),
    });
    let one = bench.graph.int(1);
    for _ in 0..100_000 {
        let operator = ArithmeticOperator::Add;
        node = bench.graph.node(&Type::Int, NodeKind::Arithmetic { operator, left: node, right: one });
    }
    bench.graph.output("x", node);
    let (pipeline, runtime, options) = bench.load();
    for _ in 0..2 {
        let report = runtime.run(&pipeline, Inputs::new(), options.clone()).await;
        assert_eq!(report.output("x"), Some(&Value::Int(100_000)));
    }
    let report = runtime.run(&pipeline, Inputs::new(), options).await;
    let messages: Vec<&str> = report.errors.iter().map(|error| &*error.message).collect();
    assert_eq!(messages, ["no"]);
}

#[tokio::test]
async fn a_branch_of_many_cases_takes_linear_time() {
    let mut bench = Bench::new();
    let (no, value) = (bench.graph.boolean(false), bench.graph.int(1));
    let cases = (0..20_000)
        .map(|_| {
            let condition = bench.graph.node(&Type::Boolean, NodeKind::Or { left: no, right: no });
            BranchCase { condition, value }
        })
        .collect();
    let node = bench.graph.node(&Type::Int, NodeKind::Branch { cases, otherwise: value });
    assert_eq!(bench.value(node).await, Value::Int(1));
}

#[tokio::test]
async fn the_future_of_a_run_can_move_between_threads() {
    let mut bench = Bench::new();
    let (node, _) = bench.call("a", || Act::GiveAfter(0, Value::Int(1)));
    bench.graph.output("a", node);
    let (pipeline, runtime, options) = bench.load();
    let run = tokio::spawn(async move { runtime.run(&pipeline, Inputs::new(), options).await });
    assert_eq!(run.await.unwrap().status, RunStatus::Completed);
}

/// A chain of three calls: one makes a text, one uses it, and the last tells whether somebody still has it. With it, the
/// node that makes the text.
fn who_keeps_a_text(bench: &mut Bench, is_used_later: bool) -> NodeIndex {
    let made: Arc<Mutex<Option<Weak<str>>>> = Arc::default();
    let (noted, known) = (Arc::clone(&made), made);
    let source = bench.mock("make", &[], Type::String, move |_, _| {
        let text: Arc<str> = "text".into();
        *noted.lock().unwrap() = Some(Arc::downgrade(&text));
        Act::Give(Value::String(text))
    });
    let reader = bench.mock("use", &[Type::String], Type::Int, |_, _| Act::Give(Value::Int(1)));
    let witness = bench.mock("tell", &[Type::Int], Type::Boolean, move |_, _| {
        let text = known.lock().unwrap().as_ref().and_then(Weak::upgrade);
        Act::Give(Value::Boolean(text.is_some()))
    });
    let text = bench.graph.call(source.signature(), &[]);
    let used = bench.graph.call(reader.signature(), &[text]);
    let told = bench.graph.call(witness.signature(), &[used]);
    if is_used_later {
        bench.graph.output("text", text);
    }
    bench.graph.output("is_kept", told);
    text
}

#[tokio::test]
async fn a_value_is_let_go_when_the_only_call_that_uses_it_is_over() {
    for (is_used_later, is_told, is_kept) in
        [(false, false, false), (true, false, true), (false, true, true), (true, true, true)]
    {
        let mut bench = Bench::new();
        let text = who_keeps_a_text(&mut bench, is_used_later);
        bench.options.include_values = is_told;
        let report = bench.run().await;
        assert_eq!(report.output("is_kept"), Some(&Value::Boolean(is_kept)), "{is_used_later} {is_told}");
        assert_eq!(report.output("text"), is_used_later.then(|| Value::string("text")).as_ref());
        let told = report.details.map(|details| details.nodes[text.index()].value.clone());
        assert_eq!(told, is_told.then(|| Some(Value::string("text"))));
    }
}

#[tokio::test]
async fn a_call_has_all_of_its_arguments_whichever_comes_last() {
    for slow in [0, 1, 2] {
        let mut bench = Bench::new();
        let arguments = [0, 1, 2].map(|place| {
            bench.call(&format!("v{place}"), move || {
                let value = Value::Int(1 + place);
                if place == slow { Act::GiveAfter(10, value) } else { Act::Give(value) }
            })
        });
        let arguments = arguments.map(|(node, _)| node);
        let list =
            bench.mock("list", &[Type::Int, Type::Int, Type::Int], Type::list(Type::Int), |values, _| {
                Act::Give(Value::list(values.to_vec()))
            });
        let node = bench.graph.call(list.signature(), &arguments);
        assert_eq!(bench.value(node).await, Value::list([1, 2, 3].map(Value::Int)), "{slow}");
    }
}
