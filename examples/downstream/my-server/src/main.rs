use constellation_module::{DataType, ModuleBuilder};
use constellation_server::ConstellationServer;

#[derive(serde::Serialize, DataType)]
struct Offer {
    carrier: String,
    cents: i64,
}

async fn ask_carrier(weight: f64, country: String) -> Result<Offer, String> {
    match &*country {
        _ if weight > 30.0 => Err(format!("no carrier takes {weight} kg to {country}")),
        "DE" => Ok(Offer { carrier: "Post".into(), cents: 490 }),
        _ => Ok(Offer { carrier: "Courier".into(), cents: 1490 }),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let mut registry = constellation_stdlib::registry();
    let module = ModuleBuilder::new("AskCarrier").published().parameters(["weight", "country"]);
    registry.register(module.asynchronous(ask_carrier))?;
    ConstellationServer::builder(registry).with_address(address.parse()?).run().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use constellation_testkit::TestKit;
    use serde_json::json;

    use super::*;

    const SOURCE: &str = "in kg: Float\noffer = AskCarrier(kg, \"DE\")\ncents = offer.cents\nout cents";

    #[test]
    fn what_is_too_heavy_has_no_offer() {
        let module = ModuleBuilder::new("AskCarrier").parameters(["weight", "country"]);
        let kit = TestKit::new().module(module.asynchronous(ask_carrier));
        assert_eq!(kit.run(SOURCE, json!({ "kg": 2.5 })).output("cents"), json!(490));
        assert!(kit.run(SOURCE, json!({ "kg": 31.0 })).failure().contains("no carrier takes 31 kg"));
    }

    #[test]
    fn the_carrier_is_asked_once() {
        let kit = TestKit::new().mock(
            "AskCarrier(weight: Float, country: String) -> { carrier: String, cents: Int }",
            |call| json!({ "carrier": call["country"], "cents": 100 }),
        );
        assert_eq!(kit.run(SOURCE, json!({ "kg": 1.0 })).output("cents"), json!(100));
        assert_eq!(kit.calls("AskCarrier"), [json!({ "weight": 1.0, "country": "DE" })]);
    }
}
