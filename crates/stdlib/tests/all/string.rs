//! `stdlib.string`.

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
