//! A module of one's own: what a team adds to the standard library.

use constellation_module::{DataType, ModuleBuilder, ModuleRegistry, RegistryError};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, DataType)]
struct Parcel {
    weight: f64,
    country: String,
}

#[derive(Serialize, DataType)]
struct Offer {
    carrier: String,
    cents: i64,
}

/// Stands for a call to a carrier's service.
async fn ask_carrier(parcel: Parcel) -> Result<Offer, String> {
    match (&*parcel.country, parcel.weight) {
        (country, weight) if weight > 30.0 => Err(format!("no carrier takes {weight} kg to {country}")),
        ("DE", _) => Ok(Offer { carrier: "Post".into(), cents: 490 }),
        _ => Ok(Offer { carrier: "Courier".into(), cents: 1490 }),
    }
}

/// The standard library and `AskCarrier`.
pub fn registry() -> Result<ModuleRegistry, RegistryError> {
    let mut registry = constellation_stdlib::registry();
    registry.register(
        ModuleBuilder::new("AskCarrier")
            .version(1, 0)
            .description("Asks a carrier for an offer.")
            .asynchronous(ask_carrier),
    )?;
    Ok(registry)
}
