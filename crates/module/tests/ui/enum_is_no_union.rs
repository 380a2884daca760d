//! The members of a union are types: each variant carries one value or named fields.

use constellation_module::DataType;

#[derive(DataType)]
enum Shape {
    Point,
    Circle { radius: f64 },
}

#[derive(DataType)]
enum Size {
    Area(f64, f64),
    Name(String),
}

#[derive(DataType)]
enum Single {
    Only(String),
}

#[derive(serde::Deserialize, DataType)]
enum Event {
    Paid { cents: i64 },
    #[serde(skip)]
    Internal { id: String },
}

fn main() {}
