//! Unions are not supported yet.

use constellation_module::DataType;

#[derive(DataType)]
enum Shape {
    Point,
    Circle { radius: f64 },
}

fn main() {}
