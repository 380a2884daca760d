//! Each kind of node, computed.

use constellation_rehydrate::testkit::GraphBuilder;
use constellation_runtime::{Inputs, RunErrorKind, RunStatus};
use constellation_store_core::{
    ArithmeticOperator, BranchCase, ComparisonOperator, FieldValue, MatchCase, NodeIndex, NodeKind, Pattern,
    PipelineImage, Region,
};
use constellation_types::{Type, Value};

use crate::support::{Bench, value_with_inputs};

const ADD: ArithmeticOperator = ArithmeticOperator::Add;
const SUBTRACT: ArithmeticOperator = ArithmeticOperator::Subtract;
const MULTIPLY: ArithmeticOperator = ArithmeticOperator::Multiply;
const DIVIDE: ArithmeticOperator = ArithmeticOperator::Divide;

fn int(value: i64) -> Value {
    Value::Int(value)
}

fn ints(values: &[i64]) -> Value {
    Value::list(values.iter().copied().map(Value::Int))
}

#[tokio::test]
async fn int_arithmetic_truncates_and_never_wraps() {
    for (operator, left, right, expected) in [
        (ADD, 2, 3, Ok(5)),
        (SUBTRACT, 2, 3, Ok(-1)),
        (MULTIPLY, -4, 3, Ok(-12)),
        (DIVIDE, -7, 2, Ok(-3)),
        (DIVIDE, 7, -2, Ok(-3)),
        (DIVIDE, 7, 0, Err("Division by zero in 7 / 0")),
        (ADD, i64::MAX, 1, Err("Int overflow in 9223372036854775807 + 1: the result does not fit 64 bits")),
        (
            SUBTRACT,
            i64::MIN,
            1,
            Err("Int overflow in -9223372036854775808 - 1: the result does not fit 64 bits"),
        ),
        (
            MULTIPLY,
            i64::MAX,
            2,
            Err("Int overflow in 9223372036854775807 * 2: the result does not fit 64 bits"),
        ),
        (
            DIVIDE,
            i64::MIN,
            -1,
            Err("Int overflow in -9223372036854775808 / -1: the result does not fit 64 bits"),
        ),
    ] {
        let mut bench = Bench::new();
        let (left, right) = (bench.graph.int(left), bench.graph.int(right));
        let node = bench.graph.node(&Type::Int, NodeKind::Arithmetic { operator, left, right });
        match expected {
            Ok(value) => assert_eq!(bench.value(node).await, int(value)),
            Err(message) => assert_eq!(bench.failure(node).await, message),
        }
    }
}

#[tokio::test]
async fn float_arithmetic_stays_finite() {
    for (operator, left, right, expected) in [
        (ADD, 0.5, 0.25, Ok(0.75)),
        (DIVIDE, 1.0, 4.0, Ok(0.25)),
        (DIVIDE, 1.0, 0.0, Err("Division by zero in 1.0 / 0.0")),
        (MULTIPLY, 1e308, 10.0, Err("Float overflow in 1e308 * 10.0: the result is not finite")),
        (SUBTRACT, -1e308, 1e308, Err("Float overflow in -1e308 - 1e308: the result is not finite")),
    ] {
        let mut bench = Bench::new();
        let (left, right) = (bench.graph.float(left), bench.graph.float(right));
        let node = bench.graph.node(&Type::Float, NodeKind::Arithmetic { operator, left, right });
        match expected {
            Ok(value) => assert_eq!(bench.value(node).await, Value::Float(value)),
            Err(message) => assert_eq!(bench.failure(node).await, message),
        }
    }
}

#[tokio::test]
async fn negation_is_checked_too() {
    let negate = |ty: Type, value: Value| {
        value_with_inputs(vec![("v", ty.clone(), value)], move |g, nodes| {
            g.node(&ty, NodeKind::Negate { operand: nodes[0] })
        })
    };
    assert_eq!(negate(Type::Int, int(5)).await, Ok(int(-5)));
    assert_eq!(negate(Type::Float, Value::Float(1.5)).await, Ok(Value::Float(-1.5)));
    assert!(negate(Type::Int, int(i64::MIN)).await.unwrap_err().contains("Int overflow"));
}

async fn compare(operator: ComparisonOperator, ty: Type, left: Value, right: Value) -> bool {
    let inputs = vec![("l", ty.clone(), left), ("r", ty, right)];
    let value = value_with_inputs(inputs, |g, nodes| {
        let (left, right) = (nodes[0], nodes[1]);
        g.node(&Type::Boolean, NodeKind::Compare { operator, left, right })
    });
    value.await == Ok(Value::Boolean(true))
}

#[tokio::test]
async fn comparisons_order_numbers_and_strings() {
    let operators = [
        (ComparisonOperator::Equal, [false, true, false]),
        (ComparisonOperator::NotEqual, [true, false, true]),
        (ComparisonOperator::Less, [true, false, false]),
        (ComparisonOperator::LessOrEqual, [true, true, false]),
        (ComparisonOperator::Greater, [false, false, true]),
        (ComparisonOperator::GreaterOrEqual, [false, true, true]),
    ];
    let values = [
        (Type::Int, [int(-1), int(2), int(3)]),
        (Type::Float, [Value::Float(-1.5), Value::Float(0.0), Value::Float(0.1)]),
        // By Unicode scalar value: a code unit order would put U+10000 before U+FFFD.
        (Type::String, ["Z", "\u{FFFD}", "\u{10000}"].map(Value::string)),
    ];
    for (operator, expected) in operators {
        for (ty, values) in &values {
            for (left, expected) in values.iter().zip(expected) {
                let found = compare(operator, ty.clone(), left.clone(), values[1].clone()).await;
                assert_eq!(found, expected, "{left:?} {operator:?} {:?}", values[1]);
            }
        }
    }
}

#[tokio::test]
async fn equality_is_on_every_type() {
    let equal = |ty: &Type, left: &Value, right: &Value| {
        compare(ComparisonOperator::Equal, ty.clone(), left.clone(), right.clone())
    };
    let record = Type::record([("a", Type::Int), ("b", Type::String)]);
    let ab = |a, b: &str| Value::record([("a", int(a)), ("b", Value::string(b))]);
    let ba = Value::record([("b", Value::string("x")), ("a", int(1))]);
    let map = |pairs: &[(&str, i64)]| {
        Value::Map(pairs.iter().map(|(key, value)| (Value::string(*key), int(*value))).collect())
    };
    let int_map = |pairs: &[(i64, i64)]| Value::Map(pairs.iter().map(|(k, v)| (int(*k), int(*v))).collect());
    let union = Type::union([Type::Int, Type::String]);
    let cases = [
        (record.clone(), ab(1, "x"), ba.clone(), true),
        (record.clone(), ab(2, "x"), ba, false),
        (Type::list(record), Value::list([ab(1, "x")]), Value::list([ab(1, "y")]), false),
        (Type::list(Type::Int), ints(&[1, 2]), ints(&[1, 2]), true),
        (Type::list(Type::Int), ints(&[1, 2]), ints(&[2, 1]), false),
        (Type::list(Type::Int), ints(&[1, 2]), ints(&[1]), false),
        (Type::Float, Value::Float(0.0), Value::Float(-0.0), true),
        (Type::optional(Type::Int), Value::none(), Value::none(), true),
        (Type::optional(Type::Int), Value::some(int(1)), Value::none(), false),
        (Type::optional(Type::Int), Value::some(int(1)), Value::some(int(1)), true),
        (union.clone(), Value::tagged("Int", int(1)), Value::tagged("Int", int(1)), true),
        (union, Value::tagged("Int", int(1)), Value::tagged("String", Value::string("1")), false),
        (
            Type::map(Type::String, Type::Int),
            map(&[("a", 1), ("b", 2), ("c", 3)]),
            map(&[("a", 1), ("c", 3), ("b", 2)]),
            true,
        ),
        (Type::map(Type::String, Type::Int), map(&[("a", 1), ("b", 2)]), map(&[("b", 1), ("a", 2)]), false),
        (Type::map(Type::String, Type::Int), map(&[("a", 1)]), map(&[("b", 1)]), false),
        (Type::map(Type::Int, Type::Int), int_map(&[(1, 1), (2, 2)]), int_map(&[(2, 2), (1, 1)]), true),
        (Type::map(Type::Int, Type::Int), int_map(&[(1, 1), (2, 2)]), int_map(&[(2, 2), (3, 1)]), false),
    ];
    for (ty, left, right, expected) in cases {
        assert_eq!(equal(&ty, &left, &right).await, expected, "{left:?} == {right:?}");
        assert_eq!(equal(&ty, &right, &left).await, expected, "{right:?} == {left:?}");
    }
}

#[tokio::test]
async fn literals_lists_and_records_are_built() {
    let mut bench = Bench::new();
    let g = &mut bench.graph;
    let (one, text) = (g.int(1), g.string("a"));
    let list = g.node(&Type::list(Type::Int), NodeKind::List { items: vec![one, one] });
    let ty = Type::record([("s", Type::String), ("l", Type::list(Type::Int))]);
    let fields =
        vec![FieldValue { name: "s".into(), node: text }, FieldValue { name: "l".into(), node: list }];
    let record = g.node(&ty, NodeKind::Record { fields });
    let expected = Value::record([("s", Value::string("a")), ("l", ints(&[1, 1]))]);
    assert_eq!(bench.value(record).await, expected);
}

#[tokio::test]
async fn interpolation_writes_the_text_of_values() {
    let inputs = vec![
        ("f", Type::Float, Value::Float(12.0)),
        ("l", Type::list(Type::Int), ints(&[1, 2])),
        ("n", Type::optional(Type::Int), Value::none()),
    ];
    let text = value_with_inputs(inputs, |g, nodes| {
        let parts = ["<", "|", "|", ">"].map(String::from).to_vec();
        g.node(&Type::String, NodeKind::Interpolate { parts, values: nodes.to_vec() })
    });
    assert_eq!(text.await, Ok(Value::string("<12.0|[1, 2]|>")));
}

#[tokio::test]
async fn boolean_operators_have_their_truth_tables() {
    for (left, right) in [(false, false), (false, true), (true, false), (true, true)] {
        for (kind, expected) in [(0, left && right), (1, left || right), (2, !left)] {
            let mut bench = Bench::new();
            let (left, right) = (bench.graph.boolean(left), bench.graph.boolean(right));
            let node = match kind {
                0 => NodeKind::And { left, right },
                1 => NodeKind::Or { left, right },
                _ => NodeKind::Not { operand: left },
            };
            let node = bench.graph.node(&Type::Boolean, node);
            assert_eq!(bench.value(node).await, Value::Boolean(expected));
        }
    }
}

#[tokio::test]
async fn conditionals_take_the_first_arm_whose_condition_is_true() {
    for (first, second, expected) in [(true, true, 1), (false, true, 2), (false, false, 3)] {
        let mut bench = Bench::new();
        let g = &mut bench.graph;
        let arms = [1, 2, 3].map(|value| g.int(value));
        let (first, second) = (g.boolean(first), g.boolean(second));
        let cases = vec![
            BranchCase { condition: first, value: arms[0] },
            BranchCase { condition: second, value: arms[1] },
        ];
        let branch = g.node(&Type::Int, NodeKind::Branch { cases, otherwise: arms[2] });
        g.output("branch", branch);
        let then = NodeKind::If { condition: second, then: arms[1], otherwise: arms[2] };
        let then = g.node(&Type::Int, then);
        let whole = g.node(&Type::Int, NodeKind::If { condition: first, then: arms[0], otherwise: then });
        g.output("if", whole);
        let only = g.node(&Type::Int, NodeKind::Branch { cases: vec![], otherwise: arms[2] });
        g.output("only", only);
        let report = bench.run().await;
        assert_eq!(report.output("branch"), Some(&int(expected)));
        assert_eq!(report.output("if"), Some(&int(expected)));
        assert_eq!(report.output("only"), Some(&int(3)));
    }
}

#[tokio::test]
async fn a_guard_makes_an_optional_and_coalesce_unpacks_one() {
    let optional = Type::optional(Type::Int);
    for (condition, guarded, or_zero, or_other) in [
        (true, Value::some(int(5)), int(5), Value::some(int(5))),
        (false, Value::none(), int(0), Value::some(int(7))),
    ] {
        let mut bench = Bench::new();
        let g = &mut bench.graph;
        let (value, condition, zero) = (g.int(5), g.boolean(condition), g.int(0));
        let guard = g.node(&optional, NodeKind::Guard { value, condition });
        let unpacked = g.node(&Type::Int, NodeKind::Coalesce { value: guard, default: zero });
        let other = g.input("other", optional.clone());
        let kept = g.node(&optional, NodeKind::Coalesce { value: guard, default: other });
        // (guard ?? other) ?? 0
        let chained = g.node(&Type::Int, NodeKind::Coalesce { value: kept, default: zero });
        for (name, node) in [("guard", guard), ("unpacked", unpacked), ("kept", kept), ("chained", chained)] {
            g.output(name, node);
        }
        let report = bench.run_with(Inputs::from_iter([("other", Value::some(int(7)))])).await;
        assert_eq!(report.output("guard"), Some(&guarded));
        assert_eq!(report.output("unpacked"), Some(&or_zero));
        assert_eq!(report.output("kept"), Some(&or_other));
        let Value::Optional(Some(inner)) = or_other else { panic!() };
        assert_eq!(report.output("chained"), Some(&*inner));
    }
}

#[tokio::test]
async fn coalesce_of_an_optional_in_an_optional_takes_the_inner_one() {
    let optional = Type::optional(Type::Int);
    let coalesce = |value: Value| {
        let inputs = vec![
            ("a", Type::optional(optional.clone()), value),
            ("b", optional.clone(), Value::some(int(2))),
        ];
        let ty = optional.clone();
        value_with_inputs(inputs, move |g, nodes| {
            g.node(&ty, NodeKind::Coalesce { value: nodes[0], default: nodes[1] })
        })
    };
    assert_eq!(coalesce(Value::some(Value::none())).await, Ok(Value::none()));
    assert_eq!(coalesce(Value::some(Value::some(int(1)))).await, Ok(Value::some(int(1))));
    assert_eq!(coalesce(Value::none()).await, Ok(Value::some(int(2))));
}

fn user_type() -> Type {
    Type::record([("id", Type::Int), ("name", Type::String)])
}

fn user(id: i64, name: &str) -> Value {
    Value::record([("id", int(id)), ("name", Value::string(name))])
}

#[tokio::test]
async fn fields_are_taken_of_records_and_of_each_record_of_a_list() {
    // The second record has its fields in another order, as a module may make them.
    let swapped = Value::record([("name", Value::string("Bo")), ("id", int(2))]);
    let users = Value::list([user(1, "Ada"), swapped]);
    let run = |ty: Type, value: Value, result: Type, kind: fn(NodeIndex) -> NodeKind| {
        value_with_inputs(vec![("s", ty, value)], move |g, nodes| g.node(&result, kind(nodes[0])))
    };
    let id = |source| NodeKind::Field { source, name: "id".into() };
    let names = |source| NodeKind::Project { source, names: vec!["name".into()] };
    let name_type = Type::record([("name", Type::String)]);
    let name = |text: &str| Value::record([("name", Value::string(text))]);
    assert_eq!(run(user_type(), user(1, "Ada"), Type::Int, id).await, Ok(int(1)));
    let list = Type::list(user_type());
    assert_eq!(run(list.clone(), users.clone(), Type::list(Type::Int), id).await, Ok(ints(&[1, 2])));
    assert_eq!(run(list.clone(), Value::list([]), Type::list(Type::Int), id).await, Ok(ints(&[])));
    assert_eq!(run(user_type(), user(1, "Ada"), name_type.clone(), names).await, Ok(name("Ada")));
    let projected = run(list, users, Type::list(name_type), names).await;
    assert_eq!(projected, Ok(Value::list([name("Ada"), name("Bo")])));
}

#[tokio::test]
async fn a_merge_is_of_records_or_element_by_element() {
    let extra_type = Type::record([("name", Type::Int), ("age", Type::Int)]);
    let extra = |name, age| Value::record([("name", int(name)), ("age", int(age))]);
    let merged_type = Type::record([("id", Type::Int), ("name", Type::Int), ("age", Type::Int)]);
    let merged = |id, name, age| Value::record([("id", int(id)), ("name", int(name)), ("age", int(age))]);
    let merge = |left: (Type, Value), right: (Type, Value), ty: Type| {
        let inputs = vec![("l", left.0, left.1), ("r", right.0, right.1)];
        value_with_inputs(inputs, move |g, nodes| {
            g.node(&ty, NodeKind::Merge { left: nodes[0], right: nodes[1] })
        })
    };
    let users = |n: i64| (Type::list(user_type()), Value::list((1..=n).map(|id| user(id, "u"))));
    let seq = |ty: Type, items: Vec<Value>| (Type::seq(ty), Value::list(items));
    let one = (user_type(), user(1, "u"));
    assert_eq!(
        merge(one.clone(), (extra_type.clone(), extra(7, 8)), merged_type.clone()).await,
        Ok(merged(1, 7, 8))
    );
    assert_eq!(
        merge(users(2), (extra_type.clone(), extra(7, 8)), Type::list(merged_type.clone())).await,
        Ok(Value::list([merged(1, 7, 8), merged(2, 7, 8)]))
    );
    assert_eq!(
        merge(one, seq(extra_type.clone(), vec![extra(7, 8)]), Type::seq(merged_type.clone())).await,
        Ok(Value::list([merged(1, 7, 8)]))
    );
    let right = |n: i64| (Type::list(extra_type.clone()), Value::list((1..=n).map(|i| extra(i, i))));
    assert_eq!(
        merge(users(2), right(2), Type::list(merged_type.clone())).await,
        Ok(Value::list([merged(1, 1, 1), merged(2, 2, 2)]))
    );
    assert_eq!(
        merge(users(2), right(3), Type::list(merged_type.clone())).await,
        Err("Cannot merge Candidates with different lengths: left has 2 elements, right has 3 elements"
            .into())
    );
    let seqs = merge(seq(user_type(), vec![]), seq(extra_type, vec![extra(1, 1)]), Type::seq(merged_type));
    assert_eq!(
        seqs.await,
        Err("Cannot merge Seq with different lengths: left has 0 elements, right has 1 elements".into())
    );
}

#[tokio::test]
async fn coercions_drop_fields_tag_unions_and_widen_numbers_wherever_they_stand() {
    let coerce = |from: Type, value: Value, to: Type| {
        value_with_inputs(vec![("v", from, value)], move |g, nodes| {
            g.node(&to, NodeKind::Coerce { value: nodes[0] })
        })
    };
    let id = Type::record([("id", Type::Float)]);
    let id_value = |id: f64| Value::record([("id", Value::Float(id))]);
    assert_eq!(coerce(user_type(), user(3, "u"), id.clone()).await, Ok(id_value(3.0)));
    assert_eq!(
        coerce(Type::list(user_type()), Value::list([user(3, "u")]), Type::seq(id.clone())).await,
        Ok(Value::list([id_value(3.0)]))
    );
    let union = Type::union([Type::Boolean, id.clone()]);
    let tagged = Value::tagged("{ id: Float }", id_value(3.0));
    assert_eq!(coerce(user_type(), user(3, "u"), union.clone()).await, Ok(tagged.clone()));
    assert_eq!(
        coerce(Type::optional(user_type()), Value::some(user(3, "u")), Type::optional(union.clone())).await,
        Ok(Value::some(tagged.clone()))
    );
    let map = |value| Value::Map([(Value::string("k"), value)].into());
    assert_eq!(
        coerce(Type::map(Type::String, Type::Int), map(int(1)), Type::map(Type::String, Type::Float)).await,
        Ok(map(Value::Float(1.0)))
    );
    let narrow = Type::union([Type::Int, user_type()]);
    let wide = Type::union([Type::Int, Type::Boolean, id]);
    let value = Value::tagged("{ id: Int, name: String }", user(3, "u"));
    assert_eq!(coerce(narrow, value, wide).await, Ok(tagged));
    // A union whose members all convert to one type.
    let numbers = Type::union([Type::Int, Type::Float]);
    for value in [Value::tagged("Int", int(2)), Value::tagged("Float", Value::Float(2.0))] {
        assert_eq!(coerce(numbers.clone(), value, Type::Float).await, Ok(Value::Float(2.0)));
    }
}

/// `match u { { ok } -> "n=${ok}", is String -> it, _ -> "other" }`
fn add_match(g: &mut GraphBuilder, scrutinee: NodeIndex) -> NodeIndex {
    let start = g.next();
    let ok = g.node(&Type::Int, NodeKind::Parameter);
    let parts = vec!["n=".into(), String::new()];
    let text = g.node(&Type::String, NodeKind::Interpolate { parts, values: vec![ok] });
    let first = Region { start, end: g.next(), parameters: 1, result: text };
    let start = g.next();
    let it = g.node(&Type::String, NodeKind::Parameter);
    let second = Region { start, end: g.next(), parameters: 1, result: it };
    let start = g.next();
    let other = g.string("other");
    let third = Region { start, end: g.next(), parameters: 0, result: other };
    let string = g.type_index(&Type::String);
    let cases = vec![
        MatchCase { pattern: Pattern::Fields(vec!["ok".into()]), body: first },
        MatchCase { pattern: Pattern::Is(string), body: second },
        MatchCase { pattern: Pattern::Any, body: third },
    ];
    g.node(&Type::String, NodeKind::Match { scrutinee, cases })
}

#[tokio::test]
async fn a_match_takes_the_first_case_whose_pattern_fits() {
    let ok = Type::record([("ok", Type::Int), ("more", Type::Boolean)]);
    let union = Type::union([ok, Type::String, Type::Int]);
    let record = Value::record([("ok", int(3)), ("more", Value::Boolean(true))]);
    for (value, expected) in [
        (Value::tagged("{ ok: Int, more: Boolean }", record), "n=3"),
        (Value::tagged("String", Value::string("hi")), "hi"),
        (Value::tagged("Int", int(1)), "other"),
    ] {
        let found = value_with_inputs(vec![("u", union.clone(), value)], |g, nodes| add_match(g, nodes[0]));
        assert_eq!(found.await, Ok(Value::string(expected)));
    }
}

#[tokio::test]
async fn a_match_without_a_fitting_case_fails_with_the_value() {
    let union = Type::union([Type::String, Type::Int]);
    let found = value_with_inputs(vec![("u", union, Value::tagged("Int", int(4)))], |g, nodes| {
        let start = g.next();
        let it = g.node(&Type::String, NodeKind::Parameter);
        let body = Region { start, end: g.next(), parameters: 1, result: it };
        let pattern = Pattern::Is(g.type_index(&Type::String));
        g.node(
            &Type::String,
            NodeKind::Match { scrutinee: nodes[0], cases: vec![MatchCase { pattern, body }] },
        )
    });
    assert_eq!(found.await, Err("No pattern matched value: (Int,4)".into()));
}

#[tokio::test]
async fn inputs_come_from_the_caller_the_default_or_are_none() {
    let bench = || {
        let mut bench = Bench::new();
        let g = &mut bench.graph;
        let default = g.int(9);
        let a = g.input("a", Type::Int);
        let b = g.input_with_default("b", Type::Int, default);
        let c = g.input("c", Type::optional(Type::Int));
        for (name, node) in [("a", a), ("b", b), ("c", c)] {
            g.output(name, node);
        }
        bench
    };
    let report = bench().run_with(Inputs::from_iter([("a", int(1))])).await;
    assert_eq!(report.status, RunStatus::Completed);
    let values: Vec<_> = report.outputs.iter().map(|(name, value)| (&**name, value.clone())).collect();
    assert_eq!(values, [("a", int(1)), ("b", int(9)), ("c", Value::none())]);
    let report = bench().run_with(Inputs::from_iter([("a", int(1)), ("b", int(2))])).await;
    assert_eq!(report.output("b"), Some(&int(2)));
}

#[tokio::test]
async fn a_run_without_a_needed_input_is_suspended_and_runs_nothing() {
    let mut bench = Bench::new();
    let a = bench.graph.input("a", Type::list(Type::Int));
    bench.graph.input("unused", Type::Boolean);
    bench.graph.output("a", a);
    let (node, mock) = bench.call("f", || crate::support::Act::Give(int(1)));
    bench.graph.output("f", node);
    let report = bench.run().await;
    assert_eq!(report.status, RunStatus::Suspended);
    let missing: Vec<_> = report.missing_inputs.iter().map(|m| (&*m.name, m.ty.to_string())).collect();
    assert_eq!(missing, [("a", "List<Int>".to_owned()), ("unused", "Boolean".to_owned())]);
    assert_eq!(report.pending_outputs.len(), 2);
    assert_eq!(mock.n_calls(), 0);
}

#[tokio::test]
async fn an_input_that_is_not_declared_or_of_another_type_is_an_error() {
    for (name, value, kind, message) in [
        ("b", int(1), RunErrorKind::UnknownInput, "there is no input 'b'; the inputs are: a"),
        (
            "a",
            Value::string(""),
            RunErrorKind::InvalidInput,
            "input 'a' has a value of another type: expected Int, got String",
        ),
    ] {
        let mut bench = Bench::new();
        let a = bench.graph.input("a", Type::Int);
        bench.graph.output("a", a);
        let report = bench.run_with(Inputs::from_iter([(name, value)])).await;
        assert_eq!(report.status, RunStatus::Failed);
        assert_eq!(report.errors[0].kind, kind);
        assert_eq!(report.errors[0].message, message);
    }
}

#[tokio::test]
async fn an_image_read_back_runs_as_the_one_that_was_written() {
    let mut graph = GraphBuilder::new();
    let union = Type::union([Type::record([("ok", Type::Int)]), Type::String]);
    let input = graph.input("u", union);
    let node = add_match(&mut graph, input);
    graph.output("x", node);
    let image = graph.build();
    let decoded = PipelineImage::decode(&image.encode()).unwrap().image;
    let registry = constellation_module::ModuleRegistry::new();
    let mut reports = Vec::new();
    for image in [image, decoded.into()] {
        let pipeline = constellation_rehydrate::rehydrate(image, &registry).unwrap().into();
        let value = Value::tagged("{ ok: Int }", Value::record([("ok", int(8))]));
        let inputs = Inputs::from_iter([("u", value)]);
        reports.push(constellation_runtime::Runtime::default().run(&pipeline, inputs, <_>::default()).await);
    }
    assert_eq!(reports[0].output("x"), Some(&Value::string("n=8")));
    assert_eq!(reports[0], reports[1]);
}
