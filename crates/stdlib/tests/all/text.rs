//! The text modules.

use crate::harness::{check, strings, v};

#[test]
fn texts_are_changed() {
    check("Uppercase", &[([v("stra\u{df}e")], "STRASSE"), ([v("")], "")]);
    check("Lowercase", &[([v("\u{391}\u{3a3}")], "\u{3b1}\u{3c2}"), ([v("")], "")]);
    check("Trim", &[([v(" \ta \n")], "a"), ([v("\u{a0}")], "\u{a0}")]);
    check("Replace", &[([v("a.b.c"), v("."), v("")], "abc"), ([v("ab"), v(""), v("-")], "-a-b-")]);
}

#[test]
fn words_stand_between_ascii_white_space() {
    check(
        "WordCount",
        &[
            ([v("")], 0),
            ([v(" \t\n")], 0),
            ([v("one")], 1),
            ([v(" one  two\n")], 2),
            ([v("a\u{b}b\u{c}c")], 3),
            ([v("a\u{a0}b")], 1),
        ],
    );
}

#[test]
fn lengths_and_occurrences_go_by_character() {
    check("TextLength", &[([v("")], 0), ([v("\u{1F600}")], 1)]);
    check("Contains", &[([v("abc"), v("b")], true), ([v("abc"), v("B")], false), ([v("abc"), v("")], true)]);
}

#[test]
fn empty_lines_at_the_end_are_dropped() {
    check(
        "SplitLines",
        &[
            ([v("")], strings(&[""])),
            ([v("a")], strings(&["a"])),
            ([v("a\nb")], strings(&["a", "b"])),
            ([v("a\n\nb\n\n")], strings(&["a", "", "b"])),
            ([v("\na")], strings(&["", "a"])),
            ([v("\n\n")], strings(&[])),
            ([v("a\r\nb\r")], strings(&["a\r", "b\r"])),
        ],
    );
}

#[test]
fn a_delimiter_is_literal() {
    check(
        "Split",
        &[
            ([v("a.b"), v(".")], strings(&["a", "b"])),
            ([v("a|b|"), v("|")], strings(&["a", "b"])),
            ([v("|a"), v("|")], strings(&["", "a"])),
            ([v("||"), v("|")], strings(&[])),
            ([v("abc"), v("|")], strings(&["abc"])),
            ([v(""), v("|")], strings(&[""])),
            ([v("a\u{1F600}"), v("")], strings(&["a", "\u{1F600}"])),
            ([v(""), v("")], strings(&[""])),
        ],
    );
}
