//! The data modules.

use crate::harness::{check, ints, v};

#[test]
fn of_no_numbers_everything_is_zero() {
    check("SumList", &[([ints(&[])], 0)]);
    check("Average", &[([ints(&[])], 0.0)]);
    check("Max", &[([ints(&[])], 0)]);
    check("Min", &[([ints(&[])], 0)]);
}

#[test]
fn numbers_are_summed_up() {
    check(
        "SumList",
        &[([ints(&[1, 2, 3])], Ok(6)), ([ints(&[i64::MIN, -1])], Err("Integer overflow in SumList"))],
    );
    check(
        "Average",
        &[
            ([ints(&[1, 2])], 1.5),
            ([ints(&[-1])], -1.0),
            ([ints(&[i64::MAX, i64::MAX])], 9_223_372_036_854_775_807.0),
        ],
    );
    check("Max", &[([ints(&[-3, -1, -2])], -1), ([ints(&[i64::MIN])], i64::MIN)]);
    check("Min", &[([ints(&[3, 1, 2])], 1), ([ints(&[i64::MAX])], i64::MAX)]);
}

#[test]
fn lists_are_made_from_lists() {
    check(
        "FilterGreaterThan",
        &[([ints(&[5, 1, 7, 5]), v(4)], ints(&[5, 7, 5])), ([ints(&[5]), v(5)], ints(&[]))],
    );
    check(
        "MultiplyEach",
        &[
            ([ints(&[1, -2]), v(3)], Ok(ints(&[3, -6]))),
            ([ints(&[]), v(3)], Ok(ints(&[]))),
            ([ints(&[1, i64::MIN]), v(-1)], Err("Integer overflow in MultiplyEach")),
        ],
    );
}

#[test]
fn a_range_includes_both_ends() {
    check(
        "Range",
        &[
            ([v(1), v(3)], ints(&[1, 2, 3])),
            ([v(-1), v(-1)], ints(&[-1])),
            ([v(3), v(1)], ints(&[])),
            ([v(i64::MAX), v(i64::MIN)], ints(&[])),
            ([v(i64::MAX - 1), v(i64::MAX)], ints(&[i64::MAX - 1, i64::MAX])),
        ],
    );
}

#[test]
fn digits_are_grouped_by_three() {
    check(
        "FormatNumber",
        &[
            ([v(0)], "0"),
            ([v(999)], "999"),
            ([v(1234)], "1,234"),
            ([v(-1234)], "-1,234"),
            ([v(-123)], "-123"),
            ([v(1_234_567)], "1,234,567"),
            ([v(i64::MIN)], "-9,223,372,036,854,775,808"),
        ],
    );
}
