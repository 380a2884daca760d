//! Attributes and shapes that the derive refuses.

use constellation_module::DataType;
use serde::Deserialize;

#[derive(Deserialize, DataType)]
struct Flat {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Deserialize, DataType)]
struct Inner {
    #[serde(rename = "first name")]
    first_name: String,
}

#[derive(Deserialize, DataType)]
struct TwoNames {
    #[serde(rename(serialize = "a", deserialize = "b"))]
    name: String,
}

#[derive(DataType)]
struct Pair(i64, i64);

fn main() {}
