//! `stdlib.convert`.

use constellation_module::types::Value;
use proptest::prelude::*;

use crate::harness::{call, check, ints, v};

#[test]
fn any_value_becomes_the_text_that_interpolation_writes() {
    check(
        "stdlib.to-string",
        &[
            ([v(i64::MIN)], "-9223372036854775808"),
            ([v(-0.0)], "-0.0"),
            ([v(1e7)], "1.0E7"),
            ([v(true)], "true"),
            ([v("a")], "a"),
            ([ints(&[1, 2])], "[1, 2]"),
            ([Value::none()], ""),
            ([Value::record([("a", Value::some(v(1)))])], "{a: 1}"),
        ],
    );
}

#[test]
fn a_float_loses_its_fraction() {
    check("stdlib.to-int", &[([v(3.9)], 3), ([v(-3.9)], -3), ([v(-0.0)], 0)]);
}

#[test]
fn an_integer_becomes_the_nearest_float() {
    check(
        "stdlib.to-float",
        &[
            ([v(3)], 3.0),
            ([v(9_007_199_254_740_993)], 9_007_199_254_740_992.0),
            ([v(i64::MIN)], -9_223_372_036_854_775_808.0),
        ],
    );
}

#[test]
fn a_text_that_is_not_a_number_gives_none() {
    let some = |value: Value| Value::some(value);
    check(
        "stdlib.parse-int",
        &[
            ([v("-9223372036854775808")], some(v(i64::MIN))),
            ([v("+7")], some(v(7))),
            ([v("007")], some(v(7))),
            ([v("9223372036854775808")], Value::none()),
            ([v("1.0")], Value::none()),
            ([v(" 1")], Value::none()),
            ([v("")], Value::none()),
        ],
    );
    check(
        "stdlib.parse-float",
        &[
            ([v("-0.0")], some(v(-0.0))),
            ([v("12")], some(v(12.0))),
            ([v("1e3")], some(v(1000.0))),
            ([v("1e999")], Value::none()),
            ([v("NaN")], Value::none()),
            ([v("infinity")], Value::none()),
            ([v("")], Value::none()),
        ],
    );
}

#[test]
fn only_true_and_false_are_booleans() {
    check(
        "stdlib.parse-bool",
        &[
            ([v("true")], Value::some(v(true))),
            ([v("false")], Value::some(v(false))),
            ([v("True")], Value::none()),
            ([v(" true")], Value::none()),
            ([v("1")], Value::none()),
            ([v("")], Value::none()),
        ],
    );
}

proptest! {
    #[test]
    fn a_number_reads_back_from_its_text(int: i64, float in prop::num::f64::NORMAL) {
        let text = call("stdlib.to-string", &[v(int)]).unwrap();
        prop_assert_eq!(call("stdlib.parse-int", &[text]), Ok(Value::some(v(int))));
        let text = call("stdlib.to-string", &[v(float)]).unwrap();
        prop_assert_eq!(call("stdlib.parse-float", &[text]), Ok(Value::some(v(float))));
    }
}
