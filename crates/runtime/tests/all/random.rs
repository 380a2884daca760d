//! Random graphs with random failures, delays, timeouts and cancellations, against a small recursive evaluator: every
//! run ends, with the right status of it and of each node, the right values and errors, and calls what it must and
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use constellation_module::{ModuleBuilder, ModuleError, Outcome};
use constellation_rehydrate::Operation;
use constellation_rehydrate::testkit::signature;
use constellation_runtime::{Inputs, NodeDetails, NodeStatus, RunErrorKind, RunReport, RunStatus};
use constellation_store_core::{
    ArithmeticOperator, CallOptions, ComparisonOperator, NodeIndex, NodeKind, OnError,
};
use constellation_types::{FunctionSignature, Type, Value};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::support::{Act, Bench, Mock};

/// A node, with operands chosen among the earlier nodes of the right type.
#[derive(Debug, Clone)]
enum Recipe {
    Int(i64),
    Boolean(bool),
    Add(usize, usize),
    Divide(usize, usize),
    Less(usize, usize),
    Not(usize),
    And(usize, usize),
    Or(usize, usize),
    If(usize, usize, usize),
    Guard(usize, usize),
    Coalesce(usize, usize),
    Call(Call),
}

#[derive(Debug, Clone)]
struct Call {
    arguments: Vec<usize>,
    /// How many attempts fail.
    failing: u32,
    /// The time each attempt takes, an even number; none for an answer at once.
    delay: Option<u64>,
    /// The time each attempt may take, an odd number.
    timeout: Option<u64>,
    retry: u32,
    fallback: Option<usize>,
    skips: bool,
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let pick = || 0..1000_usize;
    let call = (
        prop::collection::vec(pick(), 0..3),
        prop_oneof![3 => Just(0), 1 => Just(1), 1 => Just(9)],
        prop::option::of((0..25_u64).prop_map(|half| 2 * half)),
        prop::option::weighted(0.3, (0..25_u64).prop_map(|half| 2 * half + 1)),
        0..3_u32,
        prop::option::weighted(0.3, pick()),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(arguments, failing, delay, timeout, retry, fallback, skips)| {
            Recipe::Call(Call { arguments, failing, delay, timeout, retry, fallback, skips })
        });
    prop_oneof![
        1 => (-3..4_i64).prop_map(Recipe::Int),
        1 => any::<bool>().prop_map(Recipe::Boolean),
        3 => (pick(), pick()).prop_map(|(l, r)| Recipe::Add(l, r)),
        2 => (pick(), pick()).prop_map(|(l, r)| Recipe::Divide(l, r)),
        2 => (pick(), pick()).prop_map(|(l, r)| Recipe::Less(l, r)),
        1 => pick().prop_map(Recipe::Not),
        1 => (pick(), pick()).prop_map(|(l, r)| Recipe::And(l, r)),
        1 => (pick(), pick()).prop_map(|(l, r)| Recipe::Or(l, r)),
        3 => (pick(), pick(), pick()).prop_map(|(c, t, e)| Recipe::If(c, t, e)),
        2 => (pick(), pick()).prop_map(|(v, c)| Recipe::Guard(v, c)),
        2 => (pick(), pick()).prop_map(|(v, d)| Recipe::Coalesce(v, d)),
        8 => call,
    ]
}

/// The recipes with a node of each type first, and each pick replaced by a node of the right type.
fn settle(recipes: Vec<Recipe>) -> Vec<Recipe> {
    let mut settled = vec![Recipe::Int(2), Recipe::Boolean(true), Recipe::Guard(0, 1)];
    let (mut ints, mut booleans, mut optionals) = (vec![0], vec![1], vec![2]);
    for recipe in recipes {
        let int = |pick: usize| ints[pick % ints.len()];
        let boolean = |pick: usize| booleans[pick % booleans.len()];
        let optional = |pick: usize| optionals[pick % optionals.len()];
        let recipe = match recipe {
            Recipe::Int(_) | Recipe::Boolean(_) => recipe,
            Recipe::Add(l, r) => Recipe::Add(int(l), int(r)),
            Recipe::Divide(l, r) => Recipe::Divide(int(l), int(r)),
            Recipe::Less(l, r) => Recipe::Less(int(l), int(r)),
            Recipe::Not(o) => Recipe::Not(boolean(o)),
            Recipe::And(l, r) => Recipe::And(boolean(l), boolean(r)),
            Recipe::Or(l, r) => Recipe::Or(boolean(l), boolean(r)),
            Recipe::If(c, t, e) => Recipe::If(boolean(c), int(t), int(e)),
            Recipe::Guard(v, c) => Recipe::Guard(int(v), boolean(c)),
            Recipe::Coalesce(v, d) => Recipe::Coalesce(optional(v), int(d)),
            Recipe::Call(call) => Recipe::Call(Call {
                arguments: call.arguments.iter().map(|pick| int(*pick)).collect(),
                fallback: call.fallback.map(int),
                ..call
            }),
        };
        let group = match recipe {
            Recipe::Boolean(_) | Recipe::Less(..) | Recipe::Not(_) | Recipe::And(..) | Recipe::Or(..) => {
                &mut booleans
            }
            Recipe::Guard(..) => &mut optionals,
            _ => &mut ints,
        };
        group.push(settled.len());
        settled.push(recipe);
    }
    settled
}

/// The nodes where the failures of a node began.
type Roots = BTreeSet<usize>;

/// The evaluator to compare with.
struct Model<'a> {
    recipes: &'a [Recipe],
    known: BTreeMap<usize, Result<Value, Roots>>,
    /// Attempts of each call.
    attempts: BTreeMap<usize, usize>,
}

impl Model<'_> {
    fn evaluate(&mut self, node: usize) -> Result<Value, Roots> {
        if let Some(known) = self.known.get(&node) {
            return known.clone();
        }
        let result = self.compute(node);
        self.known.insert(node, result.clone());
        result
    }

    fn all(&mut self, nodes: &[usize]) -> Result<Vec<Value>, Roots> {
        let results: Vec<_> = nodes.iter().map(|node| self.evaluate(*node)).collect();
        let roots: Roots =
            results.iter().filter_map(|result| result.as_ref().err()).flatten().copied().collect();
        results.into_iter().collect::<Result<_, _>>().map_err(|_: Roots| roots)
    }

    fn ints(&mut self, nodes: &[usize]) -> Result<Vec<i64>, Roots> {
        let int = |value| if let Value::Int(int) = value { int } else { panic!("{value:?}") };
        Ok(self.all(nodes)?.into_iter().map(int).collect())
    }

    fn boolean(&mut self, node: usize) -> Result<bool, Roots> {
        Ok(self.evaluate(node)? == Value::Boolean(true))
    }

    fn compute(&mut self, node: usize) -> Result<Value, Roots> {
        let own = || Roots::from([node]);
        match &self.recipes[node].clone() {
            Recipe::Int(int) => Ok(Value::Int(*int)),
            Recipe::Boolean(boolean) => Ok(Value::Boolean(*boolean)),
            Recipe::Add(l, r) => {
                let operands = self.ints(&[*l, *r])?;
                operands[0].checked_add(operands[1]).map(Value::Int).ok_or_else(own)
            }
            Recipe::Divide(l, r) => {
                let operands = self.ints(&[*l, *r])?;
                operands[0].checked_div(operands[1]).map(Value::Int).ok_or_else(own)
            }
            Recipe::Less(l, r) => {
                let operands = self.ints(&[*l, *r])?;
                Ok(Value::Boolean(operands[0] < operands[1]))
            }
            Recipe::Not(operand) => Ok(Value::Boolean(!self.boolean(*operand)?)),
            Recipe::And(l, r) => Ok(Value::Boolean(self.boolean(*l)? && self.boolean(*r)?)),
            Recipe::Or(l, r) => Ok(Value::Boolean(self.boolean(*l)? || self.boolean(*r)?)),
            Recipe::If(condition, then, otherwise) => {
                let taken = if self.boolean(*condition)? { then } else { otherwise };
                self.evaluate(*taken)
            }
            Recipe::Guard(value, condition) => {
                if self.boolean(*condition)? {
                    Ok(Value::some(self.evaluate(*value)?))
                } else {
                    Ok(Value::none())
                }
            }
            Recipe::Coalesce(value, default) => match self.evaluate(*value)? {
                Value::Optional(Some(inner)) => Ok((*inner).clone()),
                _ => self.evaluate(*default),
            },
            Recipe::Call(call) => {
                let arguments = self.ints(&call.arguments)?;
                let times_out = call.timeout.zip(call.delay).is_some_and(|(timeout, delay)| delay > timeout);
                let failing = if times_out { u32::MAX } else { call.failing };
                self.attempts.insert(node, failing.min(call.retry) as usize + 1);
                if failing <= call.retry {
                    return Ok(Value::Int(answer(&arguments)));
                }
                let result = match call.fallback {
                    None => Err(own()),
                    Some(fallback) => self.evaluate(fallback).map_err(|roots| &roots | &own()),
                };
                if call.skips { Ok(result.unwrap_or(Value::Int(0))) } else { result }
            }
        }
    }
}

fn answer(arguments: &[i64]) -> i64 {
    arguments.iter().fold(1, |sum: i64, argument| sum.wrapping_add(*argument))
}

fn index(node: usize) -> NodeIndex {
    NodeIndex(u32::try_from(node).unwrap())
}

/// The graph of the recipes, with the mock behind each call.
fn build(recipes: &[Recipe]) -> (Bench, BTreeMap<usize, Arc<Mock>>) {
    let mut bench = Bench::new();
    let mut mocks = BTreeMap::new();
    let arithmetic = |operator, l, r| NodeKind::Arithmetic { operator, left: index(l), right: index(r) };
    for (place, recipe) in recipes.iter().enumerate() {
        let (ty, kind) = match recipe.clone() {
            Recipe::Int(int) => {
                bench.graph.int(int);
                continue;
            }
            Recipe::Boolean(boolean) => {
                bench.graph.boolean(boolean);
                continue;
            }
            Recipe::Add(l, r) => (Type::Int, arithmetic(ArithmeticOperator::Add, l, r)),
            Recipe::Divide(l, r) => (Type::Int, arithmetic(ArithmeticOperator::Divide, l, r)),
            Recipe::Less(l, r) => {
                let operator = ComparisonOperator::Less;
                (Type::Boolean, NodeKind::Compare { operator, left: index(l), right: index(r) })
            }
            Recipe::Not(operand) => (Type::Boolean, NodeKind::Not { operand: index(operand) }),
            Recipe::And(l, r) => (Type::Boolean, NodeKind::And { left: index(l), right: index(r) }),
            Recipe::Or(l, r) => (Type::Boolean, NodeKind::Or { left: index(l), right: index(r) }),
            Recipe::If(c, t, e) => {
                let (condition, then, otherwise) = (index(c), index(t), index(e));
                (Type::Int, NodeKind::If { condition, then, otherwise })
            }
            Recipe::Guard(v, c) => {
                (Type::optional(Type::Int), NodeKind::Guard { value: index(v), condition: index(c) })
            }
            Recipe::Coalesce(v, d) => (Type::Int, NodeKind::Coalesce { value: index(v), default: index(d) }),
            Recipe::Call(call) => {
                let Call { arguments, failing, delay, timeout, retry, fallback, skips } = call;
                let parameters = vec![Type::Int; arguments.len()];
                let name = format!("f{place}");
                let mock = bench.mock(&name, &parameters, Type::Int, move |arguments, attempt| {
                    let int = |value: &Value| if let Value::Int(int) = value { *int } else { panic!() };
                    let arguments: Vec<i64> = arguments.iter().map(int).collect();
                    let value = Value::Int(answer(&arguments));
                    match (attempt <= failing, delay) {
                        (true, None) => Act::Fail("no"),
                        (true, Some(delay)) => Act::FailAfter(delay, "no"),
                        (false, None) => Act::Give(value),
                        (false, Some(delay)) => Act::GiveAfter(delay, value),
                    }
                });
                let options = CallOptions {
                    retry: (retry > 0).then_some(retry.into()),
                    delay_ms: (retry > 1).then_some(7),
                    timeout_ms: timeout,
                    fallback: fallback.map(index),
                    on_error: skips.then_some(OnError::Skip),
                    ..CallOptions::default()
                };
                let arguments: Vec<NodeIndex> = arguments.into_iter().map(index).collect();
                bench.graph.call_with(mock.signature(), &arguments, &Type::Int, options);
                mocks.insert(place, mock);
                continue;
            }
        };
        bench.graph.node(&ty, kind);
    }
    (bench, mocks)
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Waits for a run that ends, which one with a paused clock does at once.
async fn ends(run: impl Future<Output = RunReport>) -> RunReport {
    tokio::time::timeout(Duration::from_hours(1), run).await.expect("a run ends")
}

/// Each node is what the model says. In a run that was cut, what is decided is.
fn check_nodes(report: &RunReport, model: &Model<'_>, was_cut: bool) {
    let details = report.details.as_ref().unwrap();
    let is_listed = |recipe: &&Recipe| !matches!(recipe, Recipe::Int(_) | Recipe::Boolean(_));
    assert_eq!(details.nodes.len(), model.recipes.iter().filter(is_listed).count());
    for NodeDetails { node, status, value, .. } in &details.nodes {
        match (status, model.known.get(&node.index())) {
            (NodeStatus::Completed, Some(Ok(expected))) => assert_eq!(value.as_ref(), Some(expected)),
            (NodeStatus::Failed { root }, Some(Err(roots))) => {
                assert!(roots.contains(&root.index()), "{node:?}: {root:?} is not of {roots:?}");
            }
            (NodeStatus::NotNeeded, None) => {}
            (NodeStatus::NotNeeded | NodeStatus::Unfinished, Some(_)) if was_cut => {}
            (status, expected) => panic!("{node:?} is {status:?}, and not {expected:?}"),
        }
    }
}

/// `tells` is whether the run is asked for the values of its nodes, which it keeps then.
fn check(recipes: Vec<Recipe>, picks: &BTreeSet<usize>, deadline: Option<u64>, tells: bool) {
    let recipes = settle(recipes);
    let outputs: BTreeSet<usize> =
        picks.iter().map(|pick| recipes.len() - 1 - pick % recipes.len()).collect();
    let mut model = Model { recipes: &recipes, known: BTreeMap::new(), attempts: BTreeMap::new() };
    let expected: Vec<_> =
        outputs.iter().map(|node| (format!("o{node:03}"), model.evaluate(*node))).collect();
    let (mut bench, mocks) = build(&recipes);
    for (output, node) in expected.iter().zip(&outputs) {
        bench.graph.output(&output.0, index(*node));
    }
    bench.options.include_values = tells;
    bench.options.max_duration = deadline.map(Duration::from_millis);
    let (report, elapsed) = paused().block_on(async {
        let start = Instant::now();
        let report = ends(bench.run()).await;
        (report, start.elapsed())
    });
    if let Some(deadline) = deadline
        && report.errors.iter().any(|error| error.kind == RunErrorKind::DeadlineExceeded)
    {
        assert_eq!((report.status, elapsed), (RunStatus::Failed, Duration::from_millis(deadline)));
        if tells {
            check_nodes(&report, &model, true);
        }
        return;
    }
    if tells {
        check_nodes(&report, &model, false);
    }

    let values: Vec<_> = expected
        .iter()
        .filter_map(|(name, result)| Some((name.as_str().into(), result.clone().ok()?)))
        .collect();
    assert_eq!(report.outputs, values);
    let failed: Vec<&str> =
        expected.iter().filter(|(_, result)| result.is_err()).map(|(name, _)| &**name).collect();
    assert_eq!(report.pending_outputs.iter().map(|p| &*p.name).collect::<Vec<_>>(), failed);
    let roots: Roots = expected.iter().filter_map(|(_, result)| result.clone().err()).flatten().collect();
    let told: Vec<usize> = report.errors.iter().map(|error| error.node.unwrap().index()).collect();
    assert_eq!(told, roots.into_iter().collect::<Vec<_>>(), "{:?}", report.errors);
    let status = if failed.is_empty() { RunStatus::Completed } else { RunStatus::Failed };
    assert_eq!(report.status, status);
    for (node, mock) in mocks {
        assert_eq!(mock.n_calls(), model.attempts.get(&node).copied().unwrap_or(0), "attempts of {node}");
    }
}

/// A module that calls a function twice, and answers what it answers the second time, which must be what it answers
/// the first time.
fn twice(bench: &mut Bench, result: Type) -> FunctionSignature {
    let signature = signature("twice", &[Type::function([], result.clone())], result.clone());
    let parameters = [("a", signature.parameters[0].ty.clone())];
    let twice =
        ModuleBuilder::new("twice").values_with_context(parameters, [("out", result)], |_, context| {
            let function = context.functions()[0].clone();
            Outcome::Pending(Box::pin(async move {
                let text = |answer: &Result<Value, ModuleError>| format!("{answer:?}");
                let first = function.call(&[]).wait().await;
                let second = function.call(&[]).wait().await;
                assert_eq!(text(&first), text(&second));
                second
            }))
        });
    bench.registry.register(twice).unwrap();
    signature
}

/// Evaluates the last of the recipes, those from some place on in the body of a lambda that is called twice.
fn check_body(recipes: Vec<Recipe>, pick: usize) {
    let recipes = settle(recipes);
    let (start, result) = (pick % recipes.len(), recipes.len() - 1);
    let (mut bench, mocks) = build(&recipes);
    let ty = match recipes[result] {
        Recipe::Boolean(_) | Recipe::Less(..) | Recipe::Not(_) | Recipe::And(..) | Recipe::Or(..) => {
            Type::Boolean
        }
        Recipe::Guard(..) => Type::optional(Type::Int),
        _ => Type::Int,
    };
    let twice = twice(&mut bench, ty.clone());
    let lambda = bench.graph.lambda(&Type::function([], ty), index(start), 0, index(result));
    let call = bench.graph.call(&twice, &[lambda]);
    bench.graph.output("x", call);
    let (pipeline, runtime, options) = bench.load();
    let Operation::Lambda(loaded) = &pipeline.nodes[lambda.index()].operation else { panic!() };
    let captures: Vec<usize> = loaded.captures.iter().map(|node| node.index()).collect();
    let report = paused().block_on(ends(runtime.run(&pipeline, Inputs::new(), options)));

    let mut model = Model { recipes: &recipes, known: BTreeMap::new(), attempts: BTreeMap::new() };
    let expected = match model.all(&captures) {
        Ok(_) => model.evaluate(result).map_err(|_| Roots::from([call.index()])),
        Err(roots) => Err(roots),
    };
    assert_eq!(report.output("x"), expected.as_ref().ok());
    let told: Roots = report.errors.iter().map(|error| error.node.unwrap().index()).collect();
    assert_eq!(told, expected.err().unwrap_or_default(), "{:?}", report.errors);
    for (node, mock) in mocks {
        let once = model.attempts.get(&node).copied().unwrap_or(0);
        assert_eq!(mock.n_calls(), if node < start { once } else { 2 * once }, "attempts of {node}");
    }
}

/// Random graphs for each property.
fn n_cases() -> u32 {
    let is_nightly = std::env::var_os("CONSTELLATION_NIGHTLY").is_some_and(|value| !value.is_empty());
    if is_nightly { 10_000 } else { 512 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(n_cases()))]

    #[test]
    fn a_body_does_what_a_graph_does_each_time_anew(
        recipes in prop::collection::vec(recipe(), 1..40),
        start in 0..40_usize,
    ) {
        check_body(recipes, start);
    }

    #[test]
    fn every_run_ends_as_the_model_says(
        recipes in prop::collection::vec(recipe(), 1..40),
        outputs in prop::collection::btree_set(0..40_usize, 1..5),
        tells: bool,
    ) {
        check(recipes, &outputs, None, tells);
    }

    #[test]
    fn every_run_ends_at_its_deadline_or_as_the_model_says(
        recipes in prop::collection::vec(recipe(), 1..40),
        outputs in prop::collection::btree_set(0..40_usize, 1..5),
        deadline in 1..100_u64,
        tells: bool,
    ) {
        check(recipes, &outputs, Some(deadline), tells);
    }

    #[test]
    fn a_run_that_is_dropped_leaves_nothing_behind(
        recipes in prop::collection::vec(recipe(), 1..40),
        after in 0..120_u64,
    ) {
        let recipes = settle(recipes);
        let (mut bench, mocks) = build(&recipes);
        bench.graph.output("x", index(recipes.len() - 1));
        let counts = |mocks: &BTreeMap<usize, Arc<Mock>>| -> Vec<_> {
            mocks.values().map(|mock| (mock.n_calls(), mock.n_finished())).collect()
        };
        paused().block_on(async {
            let (pipeline, runtime, options) = bench.load();
            let run = runtime.run(&pipeline, Inputs::new(), options);
            drop(tokio::time::timeout(Duration::from_millis(after), run).await);
            for context in mocks.values().filter_map(|mock| mock.context.lock().unwrap().clone()) {
                assert!(context.cancellation().is_cancelled());
            }
            let then = counts(&mocks);
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_eq!(counts(&mocks), then);
        });
    }
}
