//! `stdlib.optional`.

use constellation_module::types::Value;

use crate::harness::{check, v};

#[test]
fn an_optional_has_a_value_or_none() {
    let some = Value::some(v(1));
    check("stdlib.is-some", &[([some.clone()], true), ([Value::none()], false)]);
    check("stdlib.is-none", &[([some.clone()], false), ([Value::none()], true)]);
    check("stdlib.or-else", &[([some, v(2)], 1), ([Value::none(), v(2)], 2)]);
    // The outer one decides.
    check("stdlib.is-some", &[([Value::some(Value::none())], true)]);
}
