//! `stdlib.math`.

use crate::harness::{call, check, v};

const MIN: i64 = i64::MIN;
const MAX: i64 = i64::MAX;

#[test]
fn sums_differences_and_products_do_not_wrap() {
    check(
        "stdlib.add",
        &[
            ([v(2), v(3)], Ok(5)),
            ([v(MAX), v(MIN)], Ok(-1)),
            ([v(MAX), v(1)], Err("Integer overflow in stdlib.add")),
        ],
    );
    check(
        "stdlib.subtract",
        &[
            ([v(2), v(3)], Ok(-1)),
            ([v(0), v(MAX)], Ok(-MAX)),
            ([v(0), v(MIN)], Err("Integer overflow in stdlib.subtract")),
        ],
    );
    check(
        "stdlib.multiply",
        &[
            ([v(-4), v(5)], Ok(-20)),
            ([v(MIN), v(1)], Ok(MIN)),
            ([v(MIN), v(-1)], Err("Integer overflow in stdlib.multiply")),
        ],
    );
}

#[test]
fn division_rounds_toward_zero() {
    check(
        "stdlib.divide",
        &[
            ([v(7), v(3)], Ok(2)),
            ([v(-10), v(3)], Ok(-3)),
            ([v(10), v(-3)], Ok(-3)),
            ([v(1), v(0)], Err("Division by zero in stdlib.divide")),
            ([v(MIN), v(-1)], Err("Integer overflow in stdlib.divide")),
        ],
    );
}

#[test]
fn a_remainder_has_the_sign_of_the_dividend() {
    check(
        "stdlib.modulo",
        &[
            ([v(7), v(3)], Ok(1)),
            ([v(-7), v(3)], Ok(-1)),
            ([v(7), v(-3)], Ok(1)),
            ([v(MIN), v(-1)], Ok(0)),
            ([v(1), v(0)], Err("Division by zero in stdlib.modulo")),
        ],
    );
}

#[test]
fn signs_and_extremes() {
    check("stdlib.max", &[([v(2), v(3)], 3), ([v(MIN), v(MAX)], MAX)]);
    check("stdlib.min", &[([v(2), v(3)], 2), ([v(MIN), v(MAX)], MIN)]);
    check("stdlib.abs", &[([v(-5)], Ok(5)), ([v(MIN)], Err("Integer overflow in stdlib.abs"))]);
    check("stdlib.negate", &[([v(5)], Ok(-5)), ([v(MIN)], Err("Integer overflow in stdlib.negate"))]);
}

#[test]
fn halves_round_up_and_no_sum_is_rounded_on_the_way() {
    check(
        "stdlib.round",
        &[
            ([v(3.5)], 4),
            ([v(-2.5)], -2),
            ([v(-2.7)], -3),
            ([v(-0.0)], 0),
            ([v(0.499_999_999_999_999_94)], 0),
            ([v(-0.499_999_999_999_999_94)], 0),
            ([v(4_503_599_627_370_497.0)], 4_503_599_627_370_497),
        ],
    );
    check("stdlib.floor", &[([v(2.7)], 2), ([v(-2.1)], -3)]);
    check("stdlib.ceiling", &[([v(2.1)], 3), ([v(-2.7)], -2), ([v(-0.5)], 0)]);
}

#[test]
fn a_float_past_64_bits_is_no_integer() {
    for name in ["round", "floor", "ceiling", "to-int"] {
        let overflow = Err(format!("Integer overflow in stdlib.{name}"));
        for float in [2_f64.powi(63), -2_f64.powi(63) - 2048.0, 1e300, f64::NAN] {
            assert_eq!(call(&format!("stdlib.{name}"), &[v(float)]), overflow, "{float}");
        }
        for float in [2_f64.powi(63) - 1024.0, -2_f64.powi(63)] {
            let exact = call(&format!("stdlib.{name}"), &[v(float)]).unwrap();
            assert_eq!(call("stdlib.to-float", &[exact]), Ok(v(float)), "{name}");
        }
    }
}

#[test]
fn a_float_is_rounded_as_it_is_written() {
    check(
        "stdlib.round-to",
        &[
            ([v(1.005), v(2)], 1.01),
            ([v(2.675), v(2)], 2.68),
            ([v(2.5), v(0)], 3.0),
            // Halves go up below zero too, and more than a half goes away.
            ([v(-2.5), v(0)], -2.0),
            ([v(-2.51), v(0)], -3.0),
            ([v(-2.49), v(0)], -2.0),
            ([v(-0.25), v(1)], -0.2),
            ([v(-0.2), v(0)], -0.0),
            ([v(0.999), v(2)], 1.0),
            ([v(12.5), v(-3)], 13.0),
            ([v(1e300), v(2)], 1e300),
            ([v(1e-300), v(2)], 0.0),
            ([v(1e-300), v(300)], 1e-300),
            ([v(5e-324), v(i64::MAX)], 5e-324),
            ([v(0.1), v(i64::MIN)], 0.0),
        ],
    );
}

#[test]
fn a_number_stays_within_a_range_that_has_two_ends() {
    check(
        "stdlib.clamp",
        &[
            ([v(5), v(0), v(10)], Ok(5)),
            ([v(MIN), v(0), v(10)], Ok(0)),
            ([v(11), v(0), v(10)], Ok(10)),
            ([v(1), v(3), v(3)], Ok(3)),
            ([v(1), v(3), v(2)], Err("stdlib.clamp: the low end 3 of the range is above the high end 2")),
        ],
    );
    check(
        "stdlib.clamp-float",
        &[
            ([v(0.5), v(0.0), v(1.0)], Ok(0.5)),
            ([v(-0.5), v(0.0), v(1.0)], Ok(0.0)),
            ([v(1.5), v(0.0), v(1.0)], Ok(1.0)),
            (
                [v(0.5), v(1.0), v(0.5)],
                Err("stdlib.clamp-float: the low end 1 of the range is above the high end 0.5"),
            ),
        ],
    );
}

#[test]
fn a_float_result_is_finite() {
    check(
        "stdlib.sqrt",
        &[
            ([v(2.25)], Ok(1.5)),
            ([v(-0.0)], Ok(-0.0)),
            ([v(-1.0)], Err("Square root of the negative number -1 in stdlib.sqrt")),
        ],
    );
    check(
        "stdlib.power",
        &[
            ([v(2.0), v(10.0)], Ok(1024.0)),
            ([v(2.0), v(-1.0)], Ok(0.5)),
            ([v(10.0), v(400.0)], Err("the result is not a finite number but inf")),
            ([v(-1.0), v(0.5)], Err("the result is not a finite number but NaN")),
        ],
    );
    check("stdlib.abs-float", &[([v(-2.5)], 2.5), ([v(-0.0)], 0.0)]);
    check("stdlib.max-float", &[([v(1.5), v(2.5)], 2.5)]);
    check("stdlib.min-float", &[([v(1.5), v(2.5)], 1.5)]);
}
