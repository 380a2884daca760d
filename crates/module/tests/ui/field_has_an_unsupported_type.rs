//! Types that look as if the language had them.

use constellation_module::DataType;

#[derive(DataType)]
struct Reading {
    unit: char,
    total: u128,
    at: (f64, f64),
}

fn main() {}
