//! Lambdas whose bodies fail, wait for ever, or want too much.

use std::sync::{Arc, Mutex};

use constellation_module::{Function, ModuleBuilder, ModuleError, Outcome};
use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{Inputs, RunErrorKind, RunStatus, Runtime};
use constellation_types::{Type, Value};
use futures_util::FutureExt;
use serde_json::json;
use tokio::time::{Duration, Instant};

use crate::program::Program;
use crate::support::Act;

const USE: &str = "use stdlib.collection\nuse stdlib.math\nuse stdlib.string\n";

fn over_numbers(expression: &str) -> String {
    format!("{USE}in numbers: List<Int>\nx = {expression}\nout x")
}

#[tokio::test]
async fn an_error_in_a_body_names_the_call_the_element_and_the_cause() {
    for (expression, expected) in [
        (
            "map(numbers, (n) => 10 / n)",
            "'x' (module stdlib.map) failed: stdlib.map: items[1]: Division by zero in 10 / 0",
        ),
        (
            "filter(numbers, (n) => n + 9223372036854775807 > 0)",
            "'x' (module stdlib.filter) failed: stdlib.filter: items[0]: Int overflow in 1 + \
             9223372036854775807: the result does not fit 64 bits",
        ),
        (
            "reduce(numbers, 0, (sum, n) => sum + divide(1, n))",
            "'x' (module stdlib.reduce) failed: stdlib.reduce: items[1]: module stdlib.divide failed: \
             Division by zero in stdlib.divide",
        ),
        (
            "map(numbers, (n) => map(numbers, (m) => n / m))",
            "'x' (module stdlib.map) failed: stdlib.map: items[0]: module stdlib.map failed: stdlib.map: \
             items[1]: Division by zero in 1 / 0",
        ),
        (
            "map(numbers, (n) => fails(n) + 1)",
            "'x' (module stdlib.map) failed: stdlib.map: items[0]: module fails failed: broken; caused by: \
             a fuse blew",
        ),
        (
            "map(numbers, (n) => later(n))",
            "'x' (module stdlib.map) failed: stdlib.map: items[0]: module later failed: too late",
        ),
        (
            "sort-by(numbers, (n) => if (n > 0) \"a\" else 1.5)",
            "'x' (module stdlib.sort-by) failed: stdlib.sort-by: items[1]: its key is of type Float, but that of \
             items[0] is of type String",
        ),
    ] {
        let mut program = Program::new();
        program.mock("later", &[Type::Int], Type::Int, |_, _| Act::FailAfter(1, "too late"));
        let fails = ModuleBuilder::new("fails").values([("n", Type::Int)], [("out", Type::Int)], |_| {
            Err(ModuleError::with_source("broken", "a fuse blew"))
        });
        program.bench.registry.register(fails).unwrap();
        let error = program.error(&over_numbers(expression), json!({ "numbers": [1, 0] })).await;
        assert_eq!(error, expected, "{expression}");
    }
}

#[tokio::test]
async fn a_body_fails_its_call_and_nothing_else() {
    let source = format!(
        "{USE}in numbers: List<Int>\nbad = map(numbers, (n) => 1 / n)\nafter = all(bad, (n) => n > 0)\n\
         good = map(numbers, (n) => n + 1)\nout after\nout good"
    );
    let report = Program::new().run(&source, json!({ "numbers": [0] })).await;
    assert_eq!(report.status, RunStatus::Failed);
    assert_eq!(report.outputs, [("good".into(), Value::list([Value::Int(1)]))]);
    let [error] = &report.errors[..] else { panic!("{report:?}") };
    assert_eq!((error.kind, error.label.as_deref()), (RunErrorKind::Module, Some("bad")));
    assert_eq!(
        report.pending_outputs[0].reason,
        "'after' was not computed because 'bad' failed: stdlib.map: items[0]: Division by zero in 1 / 0"
    );
}

#[tokio::test]
async fn call_options_apply_to_a_call_that_takes_a_lambda() {
    let source = format!(
        "{USE}in numbers: List<Int>\n\
         a = map(numbers, (n) => 1 / n) with fallback: [7]\n\
         b = map(numbers, (n) => 1 / n) with on_error: skip\n\
         c = (map(numbers, (n) => 1 / n) with on_error: wrap).error ?? \"\"\n\
         d = map(numbers, (n) => flaky(n)) with retry: 1\n\
         out a\nout b\nout c\nout d"
    );
    let mut program = Program::new();
    let first = Mutex::new(true);
    let flaky = program.mock("flaky", &[Type::Int], Type::Int, move |arguments, _| {
        let first = std::mem::replace(&mut *first.lock().unwrap(), false);
        if first { Act::Fail("not yet") } else { Act::Give(arguments[0].clone()) }
    });
    let outputs = program.outputs(&source, json!({ "numbers": [0, 2] })).await;
    let c = "stdlib.map: items[0]: Division by zero in 1 / 0";
    assert_eq!(outputs, json!({ "a": [7], "b": [], "c": c, "d": [0, 2] }));
    assert_eq!(flaky.n_calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_a_body_that_waits_but_there_is_none_unless_asked_for() {
    let mut program = Program::new();
    let slow = program
        .mock("slow", &[Type::Int], Type::Int, |arguments, _| Act::GiveAfter(20_000, arguments[0].clone()));
    let source = |options: &str| over_numbers(&format!("reduce(numbers, 0, (a, n) => slow(n)){options}"));
    let numbers = json!({ "numbers": [1, 2, 3] });
    let error = program.error(&source(" with timeout: 25s"), numbers.clone()).await;
    assert_eq!(error, "'x' (module stdlib.reduce) failed: Operation timed out after 25000ms");
    let started = slow.n_calls();
    // Each call in the body has the default timeout of 30 seconds, and all together take longer than that.
    assert_eq!(program.outputs(&source(""), numbers.clone()).await["x"], json!(3));
    assert_eq!(slow.n_calls(), started + 3);
    let inner = over_numbers("reduce(numbers, 0, (a, n) => slow(n) with timeout: 1s)");
    let error = program.error(&inner, numbers).await;
    assert!(error.ends_with("items[0]: module slow failed: Operation timed out after 1000ms"), "{error}");
}

#[tokio::test]
async fn a_panic_in_a_body_is_the_failure_of_the_module_that_panicked() {
    for act in [|| Act::Panic, || Act::PanicLater] {
        let mut program = Program::new();
        program.mock("defect", &[Type::Int], Type::Int, move |_, _| act());
        let error =
            program.error(&over_numbers("map(numbers, (n) => defect(n))"), json!({ "numbers": [1] })).await;
        assert!(
            error.ends_with("items[0]: module defect failed: the module panicked: told to panic"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn bodies_share_the_budget_of_the_run() {
    for expression in [
        "map(numbers, (n) => \"${numbers}${n}\")",
        "reduce(numbers, \"x\", (text, n) => \"${text}${text}\")",
        "map(numbers, (n) => map(numbers, (m) => [n, m]))",
        "map(numbers, (n) => \"${numbers}${n}\") with fallback: [\"\"]",
        "map(numbers, (n) => \"${numbers}${n}\") with on_error: skip, retry: 3",
        "count-where(numbers, (n) => string-length(later(\"${numbers}${n}\")) > n)",
    ] {
        let mut program = Program::new();
        program.mock("later", &[Type::String], Type::String, |arguments, _| {
            Act::GiveAfter(0, arguments[0].clone())
        });
        program.bench.options.max_value_bytes = Some(1 << 20);
        let numbers: Vec<i64> = (0..1000).collect();
        let report = program.run(&over_numbers(expression), json!({ "numbers": numbers })).await;
        assert_eq!(report.status, RunStatus::Failed, "{expression}");
        let [error] = &report.errors[..] else { panic!("{report:?}") };
        assert_eq!(error.kind, RunErrorKind::ResourceExhausted, "{expression}");
        assert!(error.message.contains("1048576 bytes of values"), "{error}");
    }
}

#[tokio::test]
async fn the_deadline_of_the_run_ends_bodies_that_compute() {
    let mut program = Program::new();
    program.bench.options.max_duration = Some(Duration::from_millis(50));
    let numbers: Vec<i64> = (0..10_000).collect();
    let source = over_numbers("all(numbers, (n) => all(numbers, (m) => all(numbers, (l) => l >= 0)))");
    let start = Instant::now();
    let report = program.run(&source, json!({ "numbers": numbers })).await;
    let [error] = &report.errors[..] else { panic!("{report:?}") };
    assert_eq!(error.kind, RunErrorKind::DeadlineExceeded);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_run_ends_bodies_that_wait() {
    let mut program = Program::new();
    program.bench.options.max_duration = Some(Duration::from_millis(50));
    let slow = program.mock("slow", &[Type::Int], Type::Int, |_, _| Act::GiveAfter(60_000, Value::Int(1)));
    let report = program.run(&over_numbers("map(numbers, (n) => slow(n))"), json!({ "numbers": [1] })).await;
    assert_eq!(report.errors[0].kind, RunErrorKind::DeadlineExceeded);
    assert_eq!(slow.n_finished(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_run_drops_what_bodies_wait_for() {
    let mut program = Program::new();
    let slow = program.mock("slow", &[Type::Int], Type::Int, |_, _| Act::GiveAfter(10, Value::Int(1)));
    // Deep enough that some of the bodies are evaluated by the driver of the run.
    let mut body = "slow(n)".to_owned();
    for _ in 0..20 {
        body = format!("reduce([1], 0, (a, n) => a + {body})");
    }
    let source = format!("{USE}n = 1\nx = {body}\nout x");
    assert_eq!(program.outputs(&source, json!({})).await["x"], json!(1));
    let pipeline = program.load(&source);
    let runtime = Runtime::default();
    let run = runtime.run(&pipeline, Inputs::new(), constellation_runtime::RunOptions::default());
    assert!(tokio::time::timeout(Duration::from_millis(5), run).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((slow.n_calls(), slow.n_finished()), (2, 1));
    assert!(slow.context.lock().unwrap().as_ref().unwrap().cancellation().is_cancelled());
    assert_eq!(Arc::strong_count(&pipeline), 1, "nothing of the run is left");
}

#[tokio::test(start_paused = true)]
async fn a_module_that_goes_on_after_its_body_wanted_too_much_does_not_hold_up_the_run() {
    let mut program = Program::new();
    program.bench.options.max_value_bytes = Some(1 << 20);
    let stubborn = ModuleBuilder::new("stubborn").values_with_context(
        [("f", Type::function([Type::String], Type::String))],
        [("out", Type::String)],
        |_, context| {
            let function = context.functions()[0].clone();
            Outcome::Pending(Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let mut text = Value::string("x");
                while let Ok(longer) = function.call(&[text.clone()]).wait().await {
                    text = longer;
                }
                tokio::time::sleep(Duration::from_hours(1)).await;
                Ok(Value::string(""))
            }))
        },
    );
    program.bench.registry.register(stubborn).unwrap();
    let start = Instant::now();
    let report = program.run("x = stubborn((t) => \"${t}${t}\")\nout x", json!({})).await;
    assert_eq!(report.errors[0].kind, RunErrorKind::ResourceExhausted);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

/// A module that keeps the function that it is given, and answers with 0.
fn keeper(kept: &Arc<Mutex<Option<Function>>>) -> impl constellation_module::Module + use<> {
    let kept = Arc::clone(kept);
    ModuleBuilder::new("keep").values_with_context(
        [("f", Type::function([Type::Int, Type::list(Type::Int)], Type::Int))],
        [("out", Type::Int)],
        move |arguments, context| {
            assert!(arguments.is_empty());
            *kept.lock().unwrap() = Some(context.functions()[0].clone());
            Outcome::Ready(Ok(Value::Int(0)))
        },
    )
}

fn answer(outcome: Outcome) -> Result<Value, String> {
    let answer = outcome.wait().now_or_never().expect("the function does not wait");
    answer.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_function_does_not_outlive_its_run() {
    let kept = Arc::default();
    let mut program = Program::new();
    program.bench.registry.register(keeper(&kept)).unwrap();
    program.outputs("x = keep((n, l) => n + 1)\nout x", json!({})).await;
    let function = kept.lock().unwrap().take().unwrap();
    let arguments = [Value::Int(1), Value::list([])];
    assert_eq!(
        answer(function.call(&arguments)),
        Err("a function was called after its run had ended".into())
    );
}

/// Runs a program whose module `ask` answers with what `ask` makes of its function, an `(Int, List<Int>) => Int`.
async fn asked(ask: impl Fn(Function) -> Outcome + Send + Sync + 'static) -> Result<Value, String> {
    let mut program = Program::new();
    let module = ModuleBuilder::new("ask").values_with_context(
        [("f", Type::function([Type::Int, Type::list(Type::Int)], Type::Int))],
        [("out", Type::Int)],
        move |_, context| ask(context.functions()[0].clone()),
    );
    program.bench.registry.register(module).unwrap();
    let pipeline: Arc<LoadedPipeline> = program.load("k = 1\nx = ask((n, l) => 10 / n + k)\nout x");
    let report = Runtime::default().run(&pipeline, Inputs::new(), program.bench.options.clone()).await;
    report.output("x").cloned().ok_or_else(|| report.errors[0].message.clone())
}

#[tokio::test]
async fn a_module_that_calls_a_function_wrongly_gets_an_error() {
    let int = || Value::Int(5);
    for (arguments, given) in [
        (vec![], ""),
        (vec![int()], "Int"),
        (vec![int(), int()], "Int, Int"),
        (vec![Value::Float(1.0), Value::list([])], "Float, List"),
        (vec![int(), Value::list([]), int()], "Int, List, Int"),
    ] {
        let expected = format!("a function that takes (Int, List<Int>) was called with ({given})");
        let result = asked(move |function| function.call(&arguments)).await;
        assert_eq!(result, Err(expected));
    }
    assert_eq!(asked(move |function| function.call(&[int(), Value::list([])])).await, Ok(Value::Int(3)));
}

#[tokio::test]
async fn a_module_may_live_with_the_failure_of_a_body() {
    let result = asked(|function| {
        let call = |n: i64| function.call(&[Value::Int(n), Value::list([])]);
        let failed = answer(call(0)).unwrap_err();
        assert_eq!(failed, "Division by zero in 10 / 0");
        call(2)
    });
    assert_eq!(result.await, Ok(Value::Int(6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_may_be_called_from_other_threads_at_the_same_time() {
    let result = asked(|function| {
        let calls = (1..=200_i64).map(|n| {
            let function = function.clone();
            tokio::spawn(async move { function.call(&[Value::Int(n), Value::list([])]).wait().await })
        });
        let calls: Vec<_> = calls.collect();
        Outcome::Pending(Box::pin(async move {
            let mut sum = 0;
            for call in calls {
                let Value::Int(int) = call.await.map_err(ModuleError::from_error)?? else { panic!() };
                sum += int;
            }
            Ok(Value::Int(sum))
        }))
    });
    let expected: i64 = (1..=200).map(|n| 10 / n + 1).sum();
    assert_eq!(result.await, Ok(Value::Int(expected)));
}
