//! Names are changed by serde's attributes.

use constellation_module::DataType;

#[derive(DataType)]
#[data_type(rename_all = "camelCase")]
struct Order {
    unit_price: f64,
}

fn main() {}
