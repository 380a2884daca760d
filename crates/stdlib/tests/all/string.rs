//! `stdlib.string`.

use constellation_module::types::Value;

use crate::harness::{check, strings, v};

#[test]
fn lengths_count_characters() {
    check(
        "stdlib.string-length",
        &[([v("")], 0), ([v("abc")], 3), ([v("\u{1F600}e\u{301}")], 3), ([v("\0 \n")], 3)],
    );
}

#[test]
fn texts_are_joined() {
    check("stdlib.concat", &[([v("a"), v("b")], "ab"), ([v(""), v("")], "")]);
    check(
        "stdlib.join",
        &[
            ([strings(&["a", "b", "c"]), v(", ")], "a, b, c"),
            ([strings(&["", ""]), v("-")], "-"),
            ([strings(&["a"]), v(", ")], "a"),
            ([strings(&[]), v(", ")], ""),
        ],
    );
}

#[test]
fn a_split_keeps_empty_pieces() {
    check(
        "stdlib.split",
        &[
            ([v("a,b,c"), v(",")], strings(&["a", "b", "c"])),
            ([v(",a,,"), v(",")], strings(&["", "a", "", ""])),
            ([v("abc"), v(",")], strings(&["abc"])),
            ([v(""), v(",")], strings(&[""])),
            ([v("a.b"), v(".")], strings(&["a", "b"])),
            ([v("aaa"), v("aa")], strings(&["", "a"])),
        ],
    );
}

#[test]
fn an_empty_separator_gives_each_character_and_an_empty_piece() {
    check(
        "stdlib.split",
        &[
            ([v("abc"), v("")], strings(&["a", "b", "c", ""])),
            ([v("\u{1F600}b"), v("")], strings(&["\u{1F600}", "b", ""])),
            ([v(""), v("")], strings(&[""])),
        ],
    );
}

#[test]
fn the_empty_text_is_everywhere() {
    check(
        "stdlib.contains",
        &[
            ([v("abc"), v("bc")], true),
            ([v("abc"), v("BC")], false),
            ([v("abc"), v("")], true),
            ([v(""), v("")], true),
            ([v(""), v("a")], false),
        ],
    );
    check(
        "stdlib.starts-with",
        &[([v("abc"), v("ab")], true), ([v("abc"), v("b")], false), ([v(""), v("")], true)],
    );
    check(
        "stdlib.ends-with",
        &[([v("abc"), v("bc")], true), ([v("abc"), v("b")], false), ([v(""), v("")], true)],
    );
}

#[test]
fn only_characters_up_to_space_are_trimmed() {
    check(
        "stdlib.trim",
        &[
            ([v(" \t\r\n\0a b\u{1f} ")], "a b"),
            ([v("\u{a0}a\u{3000}")], "\u{a0}a\u{3000}"),
            ([v("a")], "a"),
            ([v(" ")], ""),
            ([v("")], ""),
        ],
    );
}

#[test]
fn a_replacement_is_literal_and_goes_from_left_to_right() {
    check(
        "stdlib.replace",
        &[
            ([v("aaa"), v("aa"), v("b")], "ba"),
            ([v("a.b"), v("."), v("$1")], "a$1b"),
            ([v("abc"), v("x"), v("y")], "abc"),
            ([v("abc"), v("b"), v("")], "ac"),
            ([v("ab"), v(""), v("-")], "-a-b-"),
            ([v("\u{1F600}"), v(""), v("-")], "-\u{1F600}-"),
            ([v(""), v(""), v("-")], "-"),
        ],
    );
}

#[test]
fn case_is_mapped_by_unicode() {
    check("stdlib.uppercase", &[([v("stra\u{df}e")], "STRASSE"), ([v("")], "")]);
    check("stdlib.lowercase", &[([v("\u{c4}B")], "\u{e4}b"), ([v("")], "")]);
}

#[test]
fn places_count_characters() {
    check(
        "stdlib.index-of",
        &[
            ([v("\u{1F600}bcbc"), v("bc")], Value::some(v(1))),
            ([v("abc"), v("")], Value::some(v(0))),
            ([v(""), v("")], Value::some(v(0))),
            ([v("abc"), v("d")], Value::none()),
        ],
    );
    check(
        "stdlib.substring",
        &[
            ([v("a\u{1F600}cd"), v(1), v(3)], "\u{1F600}c"),
            ([v("abc"), v(0), v(3)], "abc"),
            ([v("abc"), v(-5), v(2)], "ab"),
            ([v("abc"), v(1), v(i64::MAX)], "bc"),
            ([v("abc"), v(2), v(1)], ""),
            ([v("abc"), v(3), v(9)], ""),
            ([v("abc"), v(i64::MIN), v(i64::MIN)], ""),
            ([v(""), v(0), v(1)], ""),
        ],
    );
}

#[test]
fn a_text_is_repeated_as_often_as_it_can_be() {
    check(
        "stdlib.repeat",
        &[
            ([v("ab"), v(2)], "abab"),
            ([v("ab"), v(0)], ""),
            ([v("ab"), v(i64::MIN)], ""),
            ([v(""), v(i64::MAX)], ""),
        ],
    );
}

#[test]
fn padding_counts_characters_and_cuts_what_fills() {
    check(
        "stdlib.pad-left",
        &[
            ([v("7"), v(3), v("0")], "007"),
            ([v("7"), v(6), v("ab")], "ababa7"),
            ([v("\u{1F600}"), v(3), v("\u{e9}")], "\u{e9}\u{e9}\u{1F600}"),
            ([v("abc"), v(2), v("0")], "abc"),
            ([v("abc"), v(i64::MIN), v("0")], "abc"),
            ([v("abc"), v(i64::MAX), v("")], "abc"),
        ],
    );
    check(
        "stdlib.pad-right",
        &[
            ([v("7"), v(6), v("ab")], "7ababa"),
            ([v("abc"), v(3), v("0")], "abc"),
            ([v(""), v(2), v("x")], "xx"),
        ],
    );
}

#[test]
fn a_line_ends_in_one_or_two_characters_and_the_last_one_need_not() {
    check(
        "stdlib.lines",
        &[
            ([v("a\nb")], strings(&["a", "b"])),
            ([v("a\r\n\nb\n")], strings(&["a", "", "b"])),
            ([v("a\rb")], strings(&["a\rb"])),
            ([v("\n")], strings(&[""])),
            ([v("")], strings(&[])),
        ],
    );
    check("stdlib.reverse", &[([v("a\u{1F600}c")], "c\u{1F600}a"), ([v("")], "")]);
}
