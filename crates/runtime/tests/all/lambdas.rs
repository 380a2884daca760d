//! Lambdas, and the functions of the standard library that take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use constellation_module::{ModuleBuilder, Outcome};
use constellation_rehydrate::testkit::signature;
use constellation_store_core::NodeIndex;
use constellation_types::{Type, Value};
use serde_json::{Value as JsonValue, json};
use tokio::time::{Duration, Instant};

use crate::program::{Program, x_of};
use crate::support::{Act, Bench};

const USE: &str =
    "use stdlib.collection\nuse stdlib.math\nuse stdlib.compare\nuse stdlib.list\nuse stdlib.convert\n";

/// Output `x`, the value of an expression over `numbers`.
async fn of_numbers(expression: &str, numbers: &[i64]) -> JsonValue {
    let source = format!("{USE}in numbers: List<Int>\nx = {expression}\nout x");
    x_of(&source, json!({ "numbers": numbers })).await
}

#[tokio::test]
async fn the_functions_of_the_reference_give_its_results() {
    for (expression, numbers, expected) in [
        ("filter(numbers, (x) => gt(x, 0))", &[1, -2, 3, -4, 5][..], json!([1, 3, 5])),
        ("filter(numbers, (x) => gt(x, 100))", &[1, 2, 3], json!([])),
        ("map(numbers, (x) => multiply(x, 2))", &[1, 2, 3], json!([2, 4, 6])),
        ("map(numbers, (x) => add(x, 10))", &[1, 2, 3], json!([11, 12, 13])),
        ("all(numbers, (x) => gt(x, 0))", &[1, 2, 3], json!(true)),
        ("all(numbers, (x) => gt(x, 0))", &[1, -2, 3], json!(false)),
        ("all(numbers, (x) => gt(x, 0))", &[], json!(true)),
        ("any(numbers, (x) => lt(x, 0))", &[1, -2, 3], json!(true)),
        ("any(numbers, (x) => lt(x, 0))", &[1, 2, 3], json!(false)),
        ("any(numbers, (x) => lt(x, 0))", &[], json!(false)),
        (
            "map(filter(numbers, (x) => gt(x, 0)), (x) => multiply(x, 2))",
            &[1, -2, 3, -4, 5],
            json!([2, 6, 10]),
        ),
        ("filter(numbers, (x) => gt(x, 0) and lt(x, 10))", &[-5, 1, 5, 15, 20], json!([1, 5])),
        ("filter(numbers, (x) => lt(x, 0) or gt(x, 10))", &[-5, 1, 5, 15, 20], json!([-5, 15, 20])),
        ("filter(numbers, (x) => not gt(x, 5))", &[1, 3, 5, 7, 9], json!([1, 3, 5])),
    ] {
        assert_eq!(of_numbers(expression, numbers).await, expected, "{expression} of {numbers:?}");
    }
}

#[tokio::test]
async fn what_the_reference_does_not_have() {
    for (expression, numbers, expected) in [
        ("find(numbers, (n) => n > 1)", &[1, 2, 3][..], json!(2)),
        ("find(numbers, (n) => n > 9)", &[1, 2, 3], json!(null)),
        ("count-where(numbers, (n) => n > 1)", &[1, 2, 3], json!(2)),
        ("flat-map(numbers, (n) => [n, n * 10])", &[1, 2], json!([1, 10, 2, 20])),
        ("flat-map(numbers, (n) => filter(numbers, (m) => m < n))", &[3, 1, 2], json!([1, 2, 1])),
        ("reduce(numbers, 0, (sum, n) => sum + n)", &[1, 2, 3], json!(6)),
        ("reduce(numbers, 7, (sum, n) => sum + n)", &[], json!(7)),
        ("reduce(numbers, \"\", (text, n) => \"${text}<${n}>\")", &[1, 2], json!("<1><2>")),
        ("sort-by(numbers, (n) => 0 - n)", &[2, 3, 1], json!([3, 2, 1])),
        ("sort-by(numbers, (n) => n / 2.0)", &[2, 3, -1], json!([-1, 2, 3])),
        ("sort-by(numbers, (n) => to-string(n))", &[9, 10, 2], json!([10, 2, 9])),
        ("sort-by(numbers, (n) => n / 10)", &[25, 11, 21, 19, 5], json!([5, 11, 19, 25, 21])),
        (
            "group-by(numbers, (n) => if (n > 2) \"big\" else \"small\")",
            &[1, 3, 2, 4],
            json!({ "small": [1, 2], "big": [3, 4] }),
        ),
        ("group-by(numbers, (n) => \"k\")", &[], json!({})),
    ] {
        assert_eq!(of_numbers(expression, numbers).await, expected, "{expression} of {numbers:?}");
    }
}

#[tokio::test]
async fn elements_are_of_any_type_and_lists_may_be_seqs() {
    let source = format!(
        "{USE}type Item = {{ sku: String, price: Float, tag: Optional<String> }}
         in items: Candidates<Item>
         in either: List<Int | String>
         cheap = filter(items, (item) => item.price < 2.0)
         x = {{
           names: map(cheap, (item) => item.sku),
           tags: map(items, (item) => item.tag ?? \"none\"),
           first: find(items, (item) => item.sku == \"b\"),
           texts: map(either, (e) => match e {{ is Int -> \"int ${{e}}\", is String -> e }}),
           empty: map([], (n: Int) => n + 1),
           total: reduce(items, 0.0, (sum, item) => sum + item.price)
         }}
         out x"
    );
    let items = json!([
        { "sku": "a", "price": 1.5, "tag": "new" },
        { "sku": "b", "price": 2.5, "tag": null },
    ]);
    let either = json!([{ "tag": "Int", "value": 1 }, { "tag": "String", "value": "s" }]);
    let x = x_of(&source, json!({ "items": items, "either": either })).await;
    assert_eq!(
        x,
        json!({
            "names": ["a"],
            "tags": ["new", "none"],
            "first": { "sku": "b", "price": 2.5, "tag": null },
            "texts": ["int 1", "s"],
            "empty": [],
            "total": 4.0,
        })
    );
}

#[tokio::test]
async fn a_body_is_any_expression() {
    for (body, expected) in [
        ("if (n > 1) \"many\" else \"one\"", json!(["one", "many"])),
        ("branch { n > 5 -> 1, n == 1 -> 2, otherwise -> 3 }", json!([2, 3])),
        ("match numbers-of(n) { is Int -> \"i\", is String -> \"s\" }", json!(["i", "s"])),
        ("(n when n > 1) ?? 0", json!([0, 2])),
        ("\"${n} of ${numbers}\"", json!(["1 of [1, 2]", "2 of [1, 2]"])),
        ("{ a: n, b: [n, n] }", json!([{ "a": 1, "b": [1, 1] }, { "a": 2, "b": [2, 2] }])),
        (
            "user + { n: n }",
            json!([{ "name": "Ada", "age": 36, "n": 1 }, { "name": "Ada", "age": 36, "n": 2 }]),
        ),
        ("(user + { n: n })[n, name]", json!([{ "n": 1, "name": "Ada" }, { "n": 2, "name": "Ada" }])),
        ("user.age", json!([36, 36])),
        ("user", json!([{ "name": "Ada", "age": 36 }, { "name": "Ada", "age": 36 }])),
        ("7", json!([7, 7])),
        ("n", json!([1, 2])),
        ("max(n, 2)", json!([2, 2])),
        ("fails(n) with fallback: n * 10", json!([10, 20])),
        ("(fails(n) with on_error: wrap).ok", json!([false, false])),
        ("later(n) with retry: 2", json!([1, 2])),
        ("0 - n < 0 and not (n == 2)", json!([true, false])),
    ] {
        let mut program = Program::new();
        let union = Type::union([Type::Int, Type::String]);
        program.mock("numbers-of", &[Type::Int], union, |arguments, _| {
            Act::Give(match arguments[0] {
                Value::Int(1) => Value::tagged("Int", Value::Int(1)),
                _ => Value::tagged("String", Value::string("s")),
            })
        });
        program.mock("fails", &[Type::Int], Type::Int, |_, _| Act::Fail("no"));
        program.mock("later", &[Type::Int], Type::Int, |arguments, attempt| match attempt {
            1 => Act::FailAfter(1, "not yet"),
            _ => Act::GiveAfter(1, arguments[0].clone()),
        });
        let source = format!(
            "{USE}in numbers: List<Int>\nin user: {{ name: String, age: Int }}\n\
             x = map(numbers, (n) => {body})\nout x"
        );
        let inputs = json!({ "numbers": [1, 2], "user": { "name": "Ada", "age": 36 } });
        assert_eq!(program.outputs(&source, inputs).await["x"], expected, "{body}");
    }
}

#[tokio::test]
async fn lambdas_capture_inputs_computed_values_and_outer_parameters() {
    for body in [
        "n * 100 + m * 10 + source + sum",
        "add(add(multiply(n, 100), multiply(m, 10)), add(source, sum))",
        "add(multiply(100, n), add(sum, add(multiply(10, m), source)))",
    ] {
        let source = format!(
            "{USE}in numbers: List<Int>\nin source: Int\nsum = reduce(numbers, 0, (a, n) => a + n)\n\
             x = map(numbers, (n) => map(numbers, (m) => {body}))\nout x"
        );
        let x = x_of(&source, json!({ "numbers": [1, 2], "source": 3 })).await;
        assert_eq!(x, json!([[116, 126], [216, 226]]), "{body}");
    }
}

#[tokio::test]
async fn a_parameter_hides_what_is_around_it() {
    let source = format!(
        "{USE}in n: Int\nin numbers: List<Int>\n\
         x = map(numbers, (n) => list-sum(map(numbers, (n) => n * 10)) + n)\ny = n\nout x\nout y"
    );
    let outputs = Program::new().outputs(&source, json!({ "n": 7, "numbers": [1, 2] })).await;
    assert_eq!(outputs, json!({ "x": [31, 32], "y": 7 }));
}

#[tokio::test]
async fn lambdas_nest_as_deep_as_a_source_may() {
    for depth in [1, 8, 9, 17, 80] {
        // The innermost refers to what is around all of them.
        let mut body = "n + k".to_owned();
        for _ in 0..depth {
            body = format!("reduce([1], 0, (a, n) => a + {body})");
        }
        let source = format!("{USE}in k: Int\nn = 0\nx = {body}\nout x");
        assert_eq!(x_of(&source, json!({ "k": 5 })).await, json!(6), "{depth}");
    }
}

#[tokio::test]
async fn lambdas_nest_as_deep_as_an_image_may() {
    for waits in [false, true] {
        let mut bench = Bench::new();
        let signature = signature("apply", &[Type::function([], Type::Int)], Type::Int);
        let apply = ModuleBuilder::new("apply").values_with_context(
            [("a", Type::function([], Type::Int))],
            [("out", Type::Int)],
            move |_, context| {
                let function = context.functions()[0].clone();
                let waiting = async move {
                    tokio::task::yield_now().await;
                    function.call(&[]).wait().await
                };
                if waits { Outcome::Pending(Box::pin(waiting)) } else { context.functions()[0].call(&[]) }
            },
        );
        bench.registry.register(apply).unwrap();
        // The body of each lambda is everything before it.
        let mut result = bench.graph.int(7);
        for _ in 0..256 {
            let lambda = bench.graph.lambda(&Type::function([], Type::Int), NodeIndex(0), 0, result);
            result = bench.graph.call(&signature, &[lambda]);
        }
        assert_eq!(bench.value(result).await, Value::Int(7));
    }
}

#[tokio::test]
async fn the_first_elements_that_decide_are_the_last_that_are_looked_at() {
    for (call, calls) in [
        ("all(numbers, (n) => check(n, 2))", 2),
        ("any(numbers, (n) => not check(n, 3))", 3),
        ("find(numbers, (n) => not check(n, 1))", 1),
        ("filter(numbers, (n) => check(n, 9))", 4),
    ] {
        let mut program = Program::new();
        let check = program.mock("check", &[Type::Int, Type::Int], Type::Boolean, |arguments, _| {
            Act::Give(Value::Boolean(arguments[0] != arguments[1]))
        });
        let source = format!("{USE}in numbers: List<Int>\nx = {call}\nout x");
        program.outputs(&source, json!({ "numbers": [1, 2, 3, 4] })).await;
        assert_eq!(check.n_calls(), calls, "{call}");
    }
}

#[tokio::test]
async fn a_body_is_evaluated_by_need() {
    let mut program = Program::new();
    let costly =
        program.mock("costly", &[Type::Int], Type::Int, |arguments, _| Act::Give(arguments[0].clone()));
    let source = format!(
        "{USE}in numbers: List<Int>\nx = map(numbers, (n) => if (n > 2) costly(n) else 0)\n\
         y = map([], (n: Int) => costly(n))\nout x\nout y"
    );
    let outputs = program.outputs(&source, json!({ "numbers": [1, 2, 3] })).await;
    assert_eq!(outputs, json!({ "x": [0, 0, 3], "y": [] }));
    assert_eq!(costly.n_calls(), 1);
}

#[tokio::test]
async fn captures_are_needed_by_the_call_and_computed_once() {
    let mut program = Program::new();
    let base = program.mock("base", &[], Type::Int, |_, _| Act::GiveAfter(5, Value::Int(10)));
    let source = format!(
        "{USE}in numbers: List<Int>\nin wanted: Boolean\nb = base()\n\
         x = if (wanted) map(numbers, (n) => n + b) else []\nout x"
    );
    let inputs = |wanted: bool| json!({ "numbers": [1, 2], "wanted": wanted });
    assert_eq!(program.outputs(&source, inputs(false)).await["x"], json!([]));
    assert_eq!(base.n_calls(), 0);
    assert_eq!(program.outputs(&source, inputs(true)).await["x"], json!([11, 12]));
    assert_eq!(base.n_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_wait_and_everything_else_goes_on() {
    let mut program = Program::new();
    let fetch = program.mock("fetch", &[Type::Int], Type::Int, |arguments, _| {
        Act::GiveAfter(if arguments[0] == Value::Int(1) { 50 } else { 10 }, arguments[0].clone())
    });
    let other = program.mock("other", &[], Type::Int, |_, _| Act::GiveAfter(50, Value::Int(1)));
    let source = format!(
        "{USE}in numbers: List<Int>\nx = map(numbers, (n) => fetch(n) + fetch(n))\n\
         y = reduce(numbers, 0, (sum, n) => sum + fetch(n))\nz = other()\nout x\nout y\nout z"
    );
    let start = Instant::now();
    let outputs = program.outputs(&source, json!({ "numbers": [1, 2, 3] })).await;
    assert_eq!(outputs, json!({ "x": [2, 4, 6], "y": 6, "z": 1 }));
    assert_eq!((fetch.n_calls(), other.n_finished()), (9, 1));
    assert!(start.elapsed() <= Duration::from_millis(75), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn elements_that_wait_do_so_at_the_same_time_where_none_decides_about_the_next() {
    for (expression, expected, milliseconds) in [
        ("map(numbers, (n) => fetch(n))", json!([5, 4, 3, 2, 1]), 50),
        ("filter(numbers, (n) => fetch(n) < 3)", json!([2, 1]), 50),
        ("sort-by(numbers, (n) => fetch(n))", json!([1, 2, 3, 4, 5]), 50),
        ("flat-map(numbers, (n) => if (n > 4) [fetch(n)] else [])", json!([5]), 50),
        ("find(numbers, (n) => fetch(n) < 4)", json!(3), 120),
        ("all(numbers, (n) => fetch(n) > 3)", json!(false), 120),
        ("reduce(numbers, 0, (sum, n) => sum + fetch(n))", json!(15), 150),
        ("map(range(40), (n) => list-length([fetch(4)]))", json!(vec![1; 40]), 120),
    ] {
        let mut program = Program::new();
        // The first elements take the longest.
        program.mock("fetch", &[Type::Int], Type::Int, |arguments, _| {
            let Value::Int(n) = arguments[0] else { panic!() };
            Act::GiveAfter(u64::try_from(10 * n).unwrap(), Value::Int(n))
        });
        program.mock("range", &[Type::Int], Type::list(Type::Int), |arguments, _| {
            let Value::Int(n) = arguments[0] else { panic!() };
            Act::Give(Value::list((0..n).map(Value::Int)))
        });
        let source = format!("{USE}in numbers: List<Int>\nx = {expression}\nout x");
        let start = Instant::now();
        let outputs = program.outputs(&source, json!({ "numbers": [5, 4, 3, 2, 1] })).await;
        assert_eq!(outputs["x"], expected, "{expression}");
        // Timers count in milliseconds, and each wait may take one more.
        let elapsed = start.elapsed().as_millis();
        assert!((milliseconds..milliseconds + 10).contains(&elapsed), "{expression}: {elapsed} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_element_that_fails_is_told_whichever_fails_first() {
    let mut program = Program::new();
    let fetch = program.mock("fetch", &[Type::Int], Type::Int, |arguments, _| match arguments[0] {
        Value::Int(1) => Act::FailAfter(50, "late"),
        Value::Int(2) => Act::FailAfter(1, "early"),
        ref n => Act::GiveAfter(5, n.clone()),
    });
    let numbers: Vec<i64> = (0..100).collect();
    let source = format!("{USE}in numbers: List<Int>\nx = map(numbers, (n) => fetch(n))\nout x");
    let error = program.error(&source, json!({ "numbers": numbers })).await;
    assert!(error.ends_with("stdlib.map: items[1]: module fetch failed: late"), "{error}");
    assert_eq!(fetch.n_calls(), 17, "those in flight with the one that failed, and one before");
}

#[tokio::test]
async fn a_long_list_takes_time_in_proportion_to_its_length() {
    let numbers: Vec<i64> = (0..100_000).collect();
    let start = std::time::Instant::now();
    assert_eq!(
        of_numbers("reduce(numbers, 0, (sum, n) => sum + n)", &numbers).await,
        json!(4_999_950_000_i64)
    );
    let grown = of_numbers("list-length(filter(numbers, (n) => n * 2 > 100000))", &numbers).await;
    assert_eq!(grown, json!(49_999));
    // An element costs far less than a millisecond; what is quadratic takes minutes.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_long_computation_in_bodies_lets_others_have_their_turn() {
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let numbers: Vec<i64> = (0..200).collect();
    let x = of_numbers("count-where(numbers, (n) => any(numbers, (m) => m > n))", &numbers).await;
    assert_eq!(x, json!(199));
    other.abort();
    assert!(turns.load(Ordering::SeqCst) > 10, "{turns:?}");
}
