//! Against what `serde_json` makes of the same text.

use proptest::prelude::*;

use super::*;
use crate::canonical::tests::json;
use crate::{StrictJson, canonical_json};

fn transcode(text: &str) -> Result<(String, bool, Option<Range<usize>>), serde_json::Error> {
    let mut transcoder = Transcoder::new(text);
    let found = transcoder.value_with("watched")?;
    transcoder.end()?;
    let text = String::from_utf8(transcoder.writer.out).expect("JSON is text");
    Ok((text, transcoder.is_exact, found))
}

proptest! {
    #[test]
    fn it_is_the_canonical_json_of_the_value(value in json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let StrictJson(read) = serde_json::from_str(&text).unwrap();
        let expected = String::from_utf8(canonical_json(&read)).unwrap();
        let (canonical, is_exact, _) = transcode(&text).unwrap();
        if is_exact {
            let StrictJson(again) = serde_json::from_str(&canonical).unwrap();
            prop_assert_eq!(again, read);
        }
        prop_assert_eq!(canonical, expected);
    }
}

/// What becomes of a text by way of a value, if it is taken.
fn by_value(text: &str) -> Option<String> {
    let StrictJson(value) = serde_json::from_str(text).ok()?;
    Some(String::from_utf8(canonical_json(&value)).unwrap())
}

proptest! {
    #[test]
    fn it_takes_what_a_value_can_be_read_from_and_nothing_else(
        value in json(),
        is_pretty: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0..3, JSON_CHARACTERS), 0..4),
    ) {
        let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let mut characters: Vec<char> = text.unwrap().chars().collect();
        for (place, way, new) in changes {
            let place = place.index(characters.len() + 1);
            let old = if way == 0 { place..place } else { place..(place + 1).min(characters.len()) };
            characters.splice(old, (way < 2).then(|| new.chars()).into_iter().flatten());
        }
        let text: String = characters.into_iter().collect();
        prop_assert_eq!(transcode(&text).ok().map(|(canonical, ..)| canonical), by_value(&text), "{}", text);
    }
}

#[test]
fn a_text_that_ends_too_early_is_told_from_one_with_something_else_in_its_place() {
    for (text, message) in [
        ("\"abc", "it ends in the middle of a value at line 1 column 1"),
        ("\"abc\\", "it ends in the middle of a value at line 1 column 1"),
        ("[\n1,", "it ends in the middle of a value at line 2 column 3"),
        ("\"abc\ndef\"", "a control character in a string at line 1 column 1"),
    ] {
        assert_eq!(transcode(text).unwrap_err().to_string(), message, "{text:?}");
    }
}

/// One of those that mean something in JSON, and some that do not.
const JSON_CHARACTERS: &str = r#"[\[\]{}",:\\/u0-9aefnrt.+\- \n\t\r\x00\x1f\x7f\xa0\u{e9}\u{2028}]"#;

#[test]
fn every_form_of_a_value_is_taken_or_refused_as_it_is_elsewhere() {
    let numbers = "0 -0 00 01 -01 - -- +1 1. .5 1.0 1.5 1e 1e1 1e+1 1E-1 1e999 -1e999 1e-999 1.e1 0x1 1_0 1-2 1+ \
                   999999999999999 9999999999999999 -999999999999999 -9999999999999999 9007199254740993 \
                   18446744073709551615 18446744073709551616 -9223372036854775808 -9223372036854775809 \
                   123456789012345678901234567890 NaN Infinity true tru trues True null nul nulls false";
    let strings = [
        r#""""#,
        r#"""#,
        r#""\""#,
        r#""\\""#,
        r#""\x""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u00e9""#,
        r#""\u12""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ude00\ud83d""#,
        r#""\ud83dx""#,
        r#""1234567""#,
        r#""12345678""#,
        r#""1234567\"""#,
        r#""1234567\n12345678""#,
        "\"\u{1f}\"",
        "\"1234567\u{0}\"",
        "\"\u{7f}\u{80}\u{ffff}\"",
        "\"1234567\u{10ffff}!#[]\"",
        "'a'",
    ];
    for value in numbers.split_ascii_whitespace().chain(strings) {
        for text in [
            value.to_owned(),
            format!(" \t\r\n{value}\n"),
            format!("[{value}]"),
            format!("[{value},\r\n          {value} , 1]"),
            format!("{{\"b\":{value},\"a\" : [[{value}]]}}"),
            format!("{{{value}:1,\"\\u0061\":2}}"),
            format!("{{\"\u{e000}\":0,{value}:1,\"\u{10000}\":2}}"),
            format!("{value}{value}"),
            format!("{value},"),
        ] {
            assert_eq!(transcode(&text).ok().map(|(canonical, ..)| canonical), by_value(&text), "{text}");
        }
    }
    for text in [
        "",
        " ",
        "[",
        "]",
        "{",
        "}",
        "[]",
        "{}",
        "[,]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,,2]",
        "[}",
        "{]",
        "{,}",
        "[1",
        "[1,",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{,"a":1}"#,
        r#"{"a",1}"#,
        "{a:1}",
        "{1:1}",
        r#"{"a":1"#,
        r#"{"a""#,
        r#"{"a":"#,
        r#"{"a":1,"#,
        ":",
        ",",
        "\u{feff}1",
        "1\u{a0}",
        "\u{0}",
        "//",
        "[]]",
        "{}}",
        "\u{b}1",
    ] {
        assert_eq!(transcode(text).ok().map(|(canonical, ..)| canonical), by_value(text), "{text}");
    }
}

#[test]
fn as_many_levels_are_taken_as_elsewhere() {
    for levels in [1, 126, 127, 128, 129] {
        let arrays = "[".repeat(levels) + &"]".repeat(levels);
        let objects = "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
        // What was closed does not count.
        for text in [format!("[{arrays},{arrays}]"), arrays, objects] {
            let taken = transcode(&text).ok().map(|(canonical, ..)| canonical);
            assert_eq!(taken, by_value(&text), "{levels}");
        }
    }
}

#[test]
fn an_error_tells_where_it_is() {
    let error = transcode("{\n  \"a\": 1,\n  \"b\": tru\n}").unwrap_err();
    assert_eq!((error.line(), error.column()), (3, 8), "{error}");
}

#[test]
fn duplicate_keys_are_refused_at_every_level() {
    for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"b":0,"a":1,"a":2}}]"#, r#"{"a":1,"\u0061":2}"#] {
        let error = transcode(text).unwrap_err();
        assert!(error.to_string().contains("duplicate key 'a'"), "{error}");
    }
    assert!(transcode(&"[".repeat(100_000)).is_err());
}

#[test]
fn a_number_that_changes_is_told() {
    for (number, expected) in [
        ("1", true),
        ("-1", true),
        ("9007199254740992", true),
        ("9007199254740993", false),
        ("-9007199254740993", false),
        ("18446744073709551616", false),
        ("1.0", false),
        ("1e0", false),
        ("-0", false),
    ] {
        let (_, is_exact, _) = transcode(&format!("{{\"a\":[{number}]}}")).unwrap();
        assert_eq!(is_exact, expected, "{number}");
    }
}

#[test]
fn a_member_is_found_where_it_is_in_the_result() {
    let (text, _, found) = transcode(r#"{ "z": {"watched": 0}, "watched": [1, 2], "a": [] }"#).unwrap();
    assert_eq!(&text[found.unwrap()], "[1,2]");
    assert_eq!(transcode(r#"{"z": {"watched": 0}}"#).unwrap().2, None);
    assert_eq!(transcode("[]").unwrap().0, "[]");
}
