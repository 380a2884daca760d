//! The output of a module is written by serde.

use constellation_module::{DataType, ModuleBuilder};

#[derive(DataType)]
struct Quote {
    price: f64,
}

fn main() {
    let _ = ModuleBuilder::new("Quote").function(|(): ()| Quote { price: 1.0 });
    let _ = ModuleBuilder::new("Try").function(|(): ()| Ok::<_, String>(Quote { price: 1.0 }));
}
