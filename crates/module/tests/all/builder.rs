//! From functions to modules.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use constellation_module::types::{Type, Value};
use constellation_module::{
    CallContext, Cancellation, DataType, Module, ModuleBuilder, ModuleError, ModuleRegistry, Outcome, testkit,
};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, DataType)]
struct Order {
    quantity: u8,
    price: f64,
    note: Option<String>,
}

#[derive(Debug, Serialize, DataType)]
struct Quote {
    total: f64,
    remark: String,
}

#[derive(Serialize, DataType)]
struct Total {
    total: f64,
}

#[derive(Debug)]
struct TooFew(u8);

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is too few", self.0)
    }
}

impl std::error::Error for TooFew {}

fn quote(order: Order) -> Result<Quote, TooFew> {
    if order.quantity < 2 {
        return Err(TooFew(order.quantity));
    }
    Ok(Quote { total: f64::from(order.quantity) * order.price, remark: order.note.unwrap_or_default() })
}

fn ready(outcome: Outcome) -> Result<Value, ModuleError> {
    outcome.wait().now_or_never().expect("it waits for nothing")
}

fn arguments(quantity: i64) -> [Value; 3] {
    [Value::Int(quantity), Value::Float(1.5), Value::none()]
}

#[test]
fn a_builder_keeps_what_it_is_told() {
    let module = ModuleBuilder::new("shop.orders.Quote")
        .version(2, 3)
        .description("Prices an order.")
        .tag("orders")
        .tag("price")
        .timeout(Duration::from_secs(1))
        .pure()
        .function(quote);
    let spec = module.spec();
    assert_eq!(
        spec.signature.to_string(),
        "shop.orders.Quote(quantity: Int, price: Float, note: Optional<String>) -> { total: Float, remark: String }"
    );
    assert_eq!((&*spec.signature.module, spec.signature.major, spec.minor), ("shop.orders.Quote", 2, 3));
    assert_eq!(spec.description, "Prices an order.");
    assert_eq!(spec.tags, ["orders", "price"]);
    assert_eq!(spec.timeout, Some(Duration::from_secs(1)));
    assert!(spec.pure);
    let named = ModuleBuilder::new("a.b").namespace("c.d").function_name("e").function(|(): ()| 1);
    assert_eq!(named.spec().signature.to_string(), "c.d.e() -> Int");
    assert!(!named.spec().pure);
}

#[test]
fn several_results_are_a_record_and_one_is_itself() {
    let several = ModuleBuilder::new("Quote").function(quote);
    let value = ready(several.call(&arguments(3), &CallContext::default())).unwrap();
    assert_eq!(value, Value::record([("total", Value::Float(4.5)), ("remark", Value::string(""))]));

    let single = ModuleBuilder::new("Total").function(|order: Order| Total { total: order.price });
    assert_eq!(single.spec().signature.results[0].name, "total".into());
    assert_eq!(ready(single.call(&arguments(3), &CallContext::default())).unwrap(), Value::Float(1.5));

    let plain = ModuleBuilder::new("Plain").function(|order: Order| vec![order.quantity; 2]);
    assert_eq!(plain.spec().signature.results[0].name, "out".into());
    let list = Value::list([Value::Int(3), Value::Int(3)]);
    assert_eq!(ready(plain.call(&arguments(3), &CallContext::default())).unwrap(), list);
}

#[test]
fn a_plain_function_answers_at_once_and_an_async_one_later() {
    let plain = ModuleBuilder::new("Quote").function(quote);
    assert!(matches!(plain.call(&arguments(3), &CallContext::default()), Outcome::Ready(Ok(_))));
    let later = ModuleBuilder::new("Quote").asynchronous(|order| async { quote(order) });
    let outcome = later.call(&arguments(3), &CallContext::default());
    assert!(matches!(outcome, Outcome::Pending(_)));
    assert_eq!(ready(outcome).unwrap().field("total"), Some(&Value::Float(4.5)));
}

#[test]
fn a_function_keeps_its_own_error() {
    for error in [
        ready(ModuleBuilder::new("Q").function(quote).call(&arguments(1), &CallContext::default())),
        ready(
            ModuleBuilder::new("Q")
                .asynchronous(|order| async { quote(order) })
                .call(&arguments(1), &CallContext::default()),
        ),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "1 is too few");
        assert_eq!(error.downcast_ref::<TooFew>().unwrap().0, 1);
    }
    let text = ModuleBuilder::new("Q").function(|_: Order| Err::<i64, _>("no luck"));
    assert_eq!(ready(text.call(&arguments(1), &CallContext::default())).unwrap_err().to_string(), "no luck");
}

#[test]
fn what_does_not_convert_names_the_argument_or_the_result() {
    let module = ModuleBuilder::new("Quote").function(quote);
    let error = ready(module.call(&arguments(300), &CallContext::default())).unwrap_err();
    assert_eq!(error.to_string(), "argument 'quantity': invalid value: integer `300`, expected u8");
    let error =
        ready(module.call(&[Value::Int(2), Value::Float(f64::MAX), Value::none()], &CallContext::default()))
            .unwrap_err();
    assert_eq!(error.to_string(), "result 'total': a Float is finite, got inf");
    let module = ModuleBuilder::new("Big").function(|(): ()| u64::MAX);
    let error = ready(module.call(&[], &CallContext::default())).unwrap_err();
    assert!(error.to_string().starts_with("result 'out': 18446744073709551615 is above"), "{error}");
}

#[test]
fn dropping_the_future_drops_what_the_call_holds() {
    #[derive(Deserialize, DataType)]
    struct Nothing {}
    let held = Arc::new(());
    let module = ModuleBuilder::new("Wait").asynchronous({
        let held = Arc::clone(&held);
        move |_: Nothing| {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
                1
            }
        }
    });
    let Outcome::Pending(mut future) = module.call(&[], &CallContext::default()) else { panic!("it waits") };
    assert!(future.as_mut().now_or_never().is_none());
    assert_eq!(Arc::strong_count(&held), 3);
    drop(future);
    assert_eq!(Arc::strong_count(&held), 2);
}

#[test]
fn a_call_is_told_of_its_run() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let module = ModuleBuilder::new("Attempt").asynchronous_with_context(|(): (), context| {
        is_send(
            async move { i64::from(context.attempt()) * i64::from(context.cancellation().is_cancelled()) },
        )
    });
    let cancellation = Cancellation::default();
    let context = CallContext::new(cancellation.clone()).with_attempt(4);
    let outcome = module.call(&[], &context);
    cancellation.cancel();
    assert_eq!(ready(outcome).unwrap(), Value::Int(4));
}

#[test]
fn a_plain_function_is_told_of_its_run_too() {
    let module = ModuleBuilder::new("Attempt").function_with_context(|(): (), context| {
        if context.cancellation().is_cancelled() { 0 } else { context.attempt() }
    });
    let context = CallContext::default().with_attempt(4);
    assert_eq!(ready(module.call(&[], &context)).unwrap(), Value::Int(4));
    context.cancellation().cancel();
    assert_eq!(ready(module.call(&[], &context)).unwrap(), Value::Int(0));
}

#[test]
fn the_sources_of_a_functions_error_are_kept() {
    #[derive(Debug, thiserror::Error)]
    #[error("the price list is unreadable")]
    struct Unreadable(#[source] std::num::ParseIntError);
    let module = ModuleBuilder::new("Read")
        .parameters(["text"])
        .function(|text: String| text.parse::<i64>().map_err(Unreadable));
    let error = ready(module.call(&[Value::string("12x")], &CallContext::default())).unwrap_err();
    assert_eq!(error.to_string(), "the price list is unreadable");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "invalid digit found in string");
}

#[test]
fn a_function_over_values_may_be_generic() {
    let element = || Type::variable("T");
    let module = ModuleBuilder::new("Pair").values(
        [("left", element()), ("right", element())],
        [("out", Type::list(element()))],
        |arguments| Ok(Value::List(arguments.into())),
    );
    assert_eq!(module.spec().signature.to_string(), "Pair(left: T, right: T) -> List<T>");
    let pair = [Value::Int(1), Value::Int(2)];
    let answer = ready(module.call(&pair, &CallContext::default())).unwrap();
    assert_eq!(answer, Value::list(pair));
}

#[test]
fn the_test_kit_calls_by_name_with_json() {
    let mut registry = ModuleRegistry::new();
    registry.register(ModuleBuilder::new("Quote").asynchronous(|order| async { quote(order) })).unwrap();
    let call = |arguments: serde_json::Value| {
        testkit::call(&registry, "Quote", &arguments)
            .now_or_never()
            .unwrap()
            .map_err(|error| error.to_string())
    };
    assert_eq!(call(json!({ "quantity": 2, "price": 2 })), Ok(json!({ "total": 4.0, "remark": "" })));
    assert_eq!(call(json!({ "quantity": 1, "price": 2 })), Err("1 is too few".to_owned()));
    assert_eq!(call(json!({ "price": 2 })), Err("field 'quantity': expected Int, got null".to_owned()));
    let missing = testkit::call(&registry, "Qoute", &json!({})).now_or_never().unwrap();
    assert_eq!(missing.unwrap_err().to_string(), "there is no module 'Qoute'");
}

/// What a runtime does with a call.
#[test]
fn an_outcome_can_be_sent_to_another_thread() {
    fn is_send(_: impl Send) {}
    fn is_static<F: Future + 'static>(_: F) {}
    let module: Arc<dyn Module> = Arc::new(ModuleBuilder::new("One").function(|(): ()| 1));
    is_send(module.call(&[], &CallContext::default()).wait());
    is_static(module.call(&[], &CallContext::default()).wait());
}
