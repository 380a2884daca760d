//! The input of a module is described by `DataType` and read by serde: it needs both.

use constellation_module::{DataType, ModuleBuilder};

#[derive(serde::Deserialize)]
struct Undescribed {
    price: f64,
}

#[derive(DataType)]
struct Unreadable {
    price: f64,
}

async fn double(order: Undescribed) -> f64 {
    order.price * 2.0
}

fn main() {
    let _ = ModuleBuilder::new("Double").asynchronous(double);
    let _ = ModuleBuilder::new("Half").function(|order: Unreadable| order.price / 2.0);
}
