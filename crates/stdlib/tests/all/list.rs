//! `stdlib.list`.

use constellation_module::types::Value;

use crate::harness::{call, check, ints, strings, v};

#[test]
fn elements_are_of_any_type() {
    check("stdlib.list-length", &[([ints(&[])], 0), ([ints(&[1, 2])], 2), ([strings(&["a"])], 1)]);
    check("stdlib.list-is-empty", &[([ints(&[])], true), ([strings(&[""])], false)]);
    check("stdlib.list-first", &[([ints(&[1, 2])], v(1)), ([strings(&["a", "b"])], v("a"))]);
    check("stdlib.list-last", &[([ints(&[1, 2])], v(2)), ([strings(&["a", "b"])], v("b"))]);
    check("stdlib.list-reverse", &[([ints(&[1, 2, 3])], ints(&[3, 2, 1])), ([ints(&[])], ints(&[]))]);
    check(
        "stdlib.list-concat",
        &[
            ([ints(&[1]), ints(&[2, 3])], ints(&[1, 2, 3])),
            ([ints(&[]), strings(&["a"])], strings(&["a"])),
            ([strings(&["a"]), ints(&[])], strings(&["a"])),
        ],
    );
}

#[test]
fn an_empty_list_has_no_first_and_no_last_element() {
    assert_eq!(call("stdlib.list-first", &[ints(&[])]), Err("stdlib.list-first: list is empty".to_owned()));
    assert_eq!(call("stdlib.list-last", &[ints(&[])]), Err("stdlib.list-last: list is empty".to_owned()));
}

#[test]
fn a_value_is_found_by_its_content() {
    let user = |name| Value::record([("name", v(name))]);
    check(
        "stdlib.list-contains",
        &[
            ([ints(&[1, i64::MIN]), v(i64::MIN)], true),
            ([ints(&[1]), v(2)], false),
            ([ints(&[]), v(2)], false),
            ([Value::list([user("Ada")]), user("Ada")], true),
            ([Value::list([user("Ada")]), user("Bob")], false),
            ([Value::list([v(0.0)]), v(-0.0)], true),
        ],
    );
}

#[test]
fn only_the_sum_itself_must_fit() {
    check(
        "stdlib.list-sum",
        &[
            ([ints(&[])], Ok(0)),
            ([ints(&[1, 2, -4])], Ok(-1)),
            ([ints(&[i64::MAX, 1, -1])], Ok(i64::MAX)),
            ([ints(&[i64::MAX, 1])], Err("Integer overflow in stdlib.list-sum")),
        ],
    );
}

#[test]
fn an_index_counts_from_zero_and_may_be_anything() {
    let list = strings(&["a", "b"]);
    check(
        "stdlib.list-get",
        &[
            ([list.clone(), v(0)], Value::some(v("a"))),
            ([list.clone(), v(1)], Value::some(v("b"))),
            ([list.clone(), v(2)], Value::none()),
            ([list.clone(), v(-1)], Value::none()),
            ([list, v(i64::MAX)], Value::none()),
        ],
    );
}

#[test]
fn a_count_past_the_ends_stops_there() {
    let list = ints(&[1, 2, 3]);
    let counts = [(i64::MIN, 0), (0, 0), (2, 2), (3, 3), (i64::MAX, 3)];
    for (count, taken) in counts {
        let (first, rest) = [1, 2, 3].split_at(taken);
        assert_eq!(call("stdlib.list-take", &[list.clone(), v(count)]), Ok(ints(first)));
        assert_eq!(call("stdlib.list-drop", &[list.clone(), v(count)]), Ok(ints(rest)));
    }
}

#[test]
fn values_of_every_type_have_an_order() {
    let pair = |name, age| Value::record([("name", v(name)), ("age", v(age))]);
    let sorted = [
        ints(&[i64::MIN, -1, 0, i64::MAX]),
        strings(&["", "B", "a", "aa", "\u{e9}", "\u{1F600}"]),
        Value::list([v(-1.5), v(0.0), v(2.5), v(1e300)]),
        Value::list([v(false), v(true)]),
        Value::list([Value::none(), Value::some(v(-1)), Value::some(v(2))]),
        Value::list([ints(&[]), ints(&[1]), ints(&[1, 0]), ints(&[2])]),
        Value::list([pair("Ada", 36), pair("Ada", 37), pair("Bob", 1)]),
        Value::list([Value::tagged("Int", v(1)), Value::tagged("Int", v(2)), Value::tagged("String", v(""))]),
        Value::list([
            Value::Map([].into()),
            Value::Map([(v("a"), v(1))].into()),
            Value::Map([(v("a"), v(1)), (v("b"), v(0))].into()),
            Value::Map([(v("a"), v(2))].into()),
        ]),
    ];
    for list in sorted {
        let reversed = call("stdlib.list-reverse", std::slice::from_ref(&list)).unwrap();
        assert_eq!(call("stdlib.list-sort", std::slice::from_ref(&reversed)), Ok(list.clone()));
        let some = |name| Ok(Value::some(call(name, std::slice::from_ref(&list)).unwrap()));
        assert_eq!(call("stdlib.list-min", std::slice::from_ref(&reversed)), some("stdlib.list-first"));
        assert_eq!(call("stdlib.list-max", std::slice::from_ref(&reversed)), some("stdlib.list-last"));
    }
    check("stdlib.list-min", &[([ints(&[])], Value::none())]);
    check("stdlib.list-max", &[([ints(&[])], Value::none())]);
}

#[test]
fn of_equal_elements_the_first_stays() {
    check(
        "stdlib.list-distinct",
        &[
            ([ints(&[3, 1, 3, 2, 1])], ints(&[3, 1, 2])),
            ([ints(&[])], ints(&[])),
            ([Value::list([v(-0.0), v(0.0)])], Value::list([v(-0.0)])),
            ([Value::list([strings(&["a"]), strings(&["a"])])], Value::list([strings(&["a"])])),
        ],
    );
}

#[test]
fn lists_of_lists_and_lists_side_by_side() {
    check(
        "stdlib.list-flatten",
        &[
            ([Value::list([ints(&[1]), ints(&[]), ints(&[2, 3])])], ints(&[1, 2, 3])),
            ([ints(&[])], ints(&[])),
        ],
    );
    let pair = |first, second| Value::record([("first", v(first)), ("second", v(second))]);
    check(
        "stdlib.list-zip",
        &[
            ([ints(&[1, 2]), strings(&["a"])], Value::list([pair_of(1, "a")])),
            ([ints(&[]), strings(&["a"])], ints(&[])),
            ([ints(&[1, 2]), ints(&[3, 4])], Value::list([pair(1, 3), pair(2, 4)])),
        ],
    );
}

fn pair_of(first: i64, second: &str) -> Value {
    Value::record([("first", v(first)), ("second", v(second))])
}

#[test]
fn a_range_has_both_ends() {
    check(
        "stdlib.list-range",
        &[
            ([v(3), v(5)], Ok(ints(&[3, 4, 5]))),
            ([v(3), v(3)], Ok(ints(&[3]))),
            ([v(3), v(2)], Ok(ints(&[]))),
            ([v(i64::MAX), v(i64::MAX)], Ok(ints(&[i64::MAX]))),
        ],
    );
}

#[test]
fn sums_and_means_of_floats_are_finite_or_an_error() {
    let floats = |items: &[f64]| Value::list(items.iter().map(|item| v(*item)));
    check(
        "stdlib.list-sum-float",
        &[
            ([floats(&[])], Ok(0.0)),
            ([floats(&[0.5, -0.25])], Ok(0.25)),
            ([floats(&[f64::MAX, f64::MAX])], Err("the result is not a finite number but inf")),
        ],
    );
    check(
        "stdlib.list-average",
        &[
            ([floats(&[])], Value::none()),
            ([floats(&[1.0, 2.0])], Value::some(v(1.5))),
            ([floats(&[f64::MAX, f64::MAX])], Value::some(v(f64::MAX))),
        ],
    );
}
