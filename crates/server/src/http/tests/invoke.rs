//! Modules that are called without a program.

use std::time::Duration;

use constellation_module::{DataType, ModuleBuilder, ModuleRegistry};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{keys, metric};
use crate::builder::ConstellationServer;
use crate::config::Limits;
use crate::test_support::{call, get, post};

#[derive(Deserialize, DataType)]
struct Basket {
    unit: f64,
    quantity: u8,
    coupon: Option<String>,
}

// A result that has the name of a parameter, and an order that is not that of the names.
#[derive(Serialize, DataType)]
struct Total {
    unit: f64,
    net: f64,
    gross: f64,
}

fn total(basket: Basket) -> Result<Total, String> {
    let net = basket.unit * f64::from(basket.quantity) - basket.coupon.map_or(0.0, |_| 5.0);
    if net < 0.0 {
        Err("nothing is left to pay".into())
    } else {
        Ok(Total { unit: basket.unit, net, gross: net * 1.5 })
    }
}

fn registry() -> ModuleRegistry {
    let mut registry = constellation_stdlib::registry();
    let module =
        ModuleBuilder::new("shop.Total").version(2, 1).description("Adds up.").tag("shop").tag("money");
    registry.register(module.published().function(total)).unwrap();
    let one = ModuleBuilder::new("shop.cafe.One").published().result("number");
    registry.register(one.function(|(): ()| 1)).unwrap();
    registry.register(ModuleBuilder::new("bar.One").published().function(|(): ()| 2)).unwrap();
    registry.register(ModuleBuilder::new("shop.Hidden").function(|(): ()| 3)).unwrap();
    let never = ModuleBuilder::new("Never").published().timeout(Duration::from_millis(50));
    registry.register(never.asynchronous(|(): ()| std::future::pending::<i64>())).unwrap();
    registry
}

async fn router() -> axum::Router {
    ConstellationServer::builder(registry()).build().await.unwrap().router()
}

#[tokio::test]
async fn published_modules_are_listed_and_no_others() {
    let router = router().await;
    let body = get(&router, "/modules/published").await.json();
    let modules = body["modules"].as_array().unwrap();
    let names: Vec<&str> = modules.iter().map(|module| module["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Never", "bar.One", "shop.Total", "shop.cafe.One"]);
    assert_eq!(
        modules[2].to_string(),
        json!({
            "name": "shop.Total",
            "description": "Adds up.",
            "version": "2.1",
            "tags": ["shop", "money"],
            "endpoint": "/modules/shop.Total/invoke",
            "inputs": { "unit": "CFloat", "quantity": "CInt", "coupon": "COptional(CString)" },
            "outputs": { "unit": "CFloat", "net": "CFloat", "gross": "CFloat" }
        })
        .to_string()
    );
    let none = ConstellationServer::builder(constellation_stdlib::registry()).build().await.unwrap().router();
    assert_eq!(get(&none, "/modules/published").await.json(), json!({ "modules": [] }));
}

#[tokio::test]
async fn a_published_module_is_called_with_its_parameters() {
    let router = router().await;
    let answer = post(&router, "/modules/shop.Total/invoke", json!({ "unit": 2, "quantity": 3 })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(keys(&body), ["success", "outputs", "error", "module", "executionId", "errors"]);
    assert_eq!(
        body["outputs"],
        json!({ "unit": 2.0, "net": 6.0, "gross": 9.0 }),
        "an optional one is left out"
    );
    assert_eq!(
        (&body["success"], &body["error"], &body["module"]),
        (&json!(true), &json!(null), &json!("shop.Total"))
    );
    assert_eq!(body["executionId"].as_str().unwrap().len(), 36);

    let given = json!({ "coupon": "five", "quantity": 3, "unit": 2.5 });
    assert_eq!(post(&router, "/modules/Total/invoke", given).await.json()["outputs"]["net"], 2.5);
    let body = post(&router, "/modules/shop.cafe.One/invoke", "{}").await.json();
    assert_eq!(body["outputs"], json!({ "number": 1 }));
    // They are runs as all others, and nothing of them is stored.
    assert_eq!(metric(&router, "constellation_executions_total{status=\"completed\"}").await, 3);
    assert_eq!(metric(&router, "constellation_store_images").await, 0);
}

#[tokio::test]
async fn what_is_not_published_or_not_told_apart_is_not_found() {
    let router = router().await;
    for name in ["shop.Hidden", "Hidden", "One", "cafe.One", "Uppercase", "nobody", "total", ""] {
        let answer = post(&router, &format!("/modules/{name}/invoke"), "{}").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (404, &json!("NotFound")), "{name}");
    }
    assert_eq!(post(&router, "/modules/%FF/invoke", "{}").await.status, 400);
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_refused_before_the_call() {
    let router = router().await;
    for (given, error) in [
        (json!({ "unit": 2.0 }).to_string(), "Missing required input: 'quantity'"),
        ("{}".to_owned(), "Missing required input: 'quantity', 'unit'"),
        (
            json!({ "unit": 2.0, "quantity": "3" }).to_string(),
            "Input error: Input 'quantity': field 'quantity': expected Int, got string",
        ),
        (
            json!({ "unit": 2.0, "quantity": 3, "cupon": "x" }).to_string(),
            "Input error: Unknown input 'cupon'; did you mean 'coupon'?",
        ),
        (
            "[2.0, 3]".to_owned(),
            "Invalid request: expected a JSON object of parameters: the body is not a JSON object",
        ),
        ("{".to_owned(), "Invalid request: expected a JSON object of parameters: "),
        (r#"{"unit": 1, "unit": 2, "quantity": 3}"#.to_owned(), "Invalid request: "),
    ] {
        let answer = post(&router, "/modules/shop.Total/invoke", &given).await;
        assert_eq!(answer.status, 400, "{given}");
        let body = answer.json();
        assert!(body["error"].as_str().unwrap().starts_with(error), "{given}: {body}");
        assert_eq!(
            (&body["success"], &body["outputs"], &body["module"]),
            (&json!(false), &json!({}), &json!("shop.Total"))
        );
    }
}

#[tokio::test]
async fn a_call_that_fails_tells_the_module_s_own_error() {
    let router = router().await;
    let given = json!({ "unit": 1, "quantity": 1, "coupon": "five" });
    let answer = post(&router, "/modules/shop.Total/invoke", given).await;
    assert_eq!(answer.status, 200, "as of a run that failed");
    let body = answer.json();
    assert_eq!((&body["success"], &body["outputs"]), (&json!(false), &json!({})));
    assert!(body["error"].as_str().unwrap().contains("nothing is left to pay"), "{body}");
    assert_eq!(body["errors"][0]["module"], "shop.Total");
    // The conversion of a parameter is a part of the call.
    let body =
        post(&router, "/modules/shop.Total/invoke", json!({ "unit": 1, "quantity": 1000 })).await.json();
    assert!(body["error"].as_str().unwrap().contains("argument 'quantity'"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_call_has_its_timeout_and_waits_for_its_turn_like_a_run() {
    let router = router().await;
    let body = post(&router, "/modules/Never/invoke", "{}").await.json();
    assert!(body["error"].as_str().unwrap().contains("50"), "{body}");
    assert_eq!(body["success"], false);

    let limits = Limits {
        max_executions: 1,
        max_waiting_executions: 0,
        max_queue_wait: Duration::from_millis(1),
        ..Limits::default()
    };
    let router = ConstellationServer::builder(registry()).with_limits(limits).build().await.unwrap().router();
    let (first, second) = tokio::join!(
        post(&router, "/modules/Never/invoke", "{}"),
        post(&router, "/modules/bar.One/invoke", "{}")
    );
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!((second.status.as_u16(), &second.json()["error"]), (503, &json!("Overloaded")));
    assert_eq!(second.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_module_may_be_called_while_the_body_is_within_the_limit() {
    let limits = Limits { max_body_bytes: 30, ..Limits::default() };
    let router = ConstellationServer::builder(registry()).with_limits(limits).build().await.unwrap().router();
    let body = r#"{"unit": 2.0, "quantity": 3}"#;
    for (n_bytes, status) in [(29, 200), (30, 200), (31, 413)] {
        let body = format!("{body}{}", " ".repeat(n_bytes - body.len()));
        assert_eq!(
            call(&router, "POST", "/modules/Total/invoke", &[], body).await.status,
            status,
            "{n_bytes}"
        );
    }
}
