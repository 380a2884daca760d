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
