//! Fields are of types that stand for one of the language.

use constellation_module::DataType;

struct Money(i64);

#[derive(DataType)]
struct Order {
    price: Money,
    names: std::collections::BTreeMap<bool, String>,
}

fn main() {}
