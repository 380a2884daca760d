//! `stdlib.string`: functions of text.
//!
//! Lengths and empty separators count Unicode scalar values.

#![expect(clippy::needless_pass_by_value, reason = "arguments are read as shared strings")]

use std::sync::Arc;

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};

use crate::bounds::{check_list, check_text};
use crate::define::{List, Namespace};

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut string = Namespace::library(registry, "stdlib.string");
    register_reference(&mut string)?;
    register_search(&mut string)?;
    register_shape(&mut string)
}

/// What the reference implementation has.
fn register_reference(string: &mut Namespace<'_>) -> Result<(), RegistryError> {
    string
        .function("concat", ["a", "b"], "Two strings, one after the other.")
        .example(r#"concat("ab", "c")"#, r#""abc""#)
        .define(concat)?;
    string
        .function("string-length", ["value"], "How many characters (Unicode scalar values) a string has.")
        .example(r#"string-length("abc")"#, "3")
        .define(length)?;
    string
        .function("join", ["list", "separator"], "The strings of a list with a separator between them.")
        .example(r#"join(["a", "b"], ", ")"#, r#""a, b""#)
        .define(join)?;
    string
        .function(
            "split",
            ["value", "substring"],
            "The pieces of a string between the places where another occurs, empty pieces among them. An empty \
             separator gives each character and an empty piece at the end.",
        )
        .example(r#"split("a,b,", ",")"#, r#"["a","b",""]"#)
        .define(split)?;
    string
        .function(
            "contains",
            ["value", "substring"],
            "Whether a string occurs in another; the empty string always does.",
        )
        .example(r#"contains("abc", "bc")"#, "true")
        .define(contains)?;
    string
        .function("trim", ["value"], "A string without spaces and control characters at its ends.")
        .example(r#"trim("  a b\n")"#, r#""a b""#)
        .define(trim)?;
    string
        .function(
            "replace",
            ["value", "target", "replacement"],
            "A string with each occurrence of a target replaced, from left to right. An empty target stands before \
             each character and at the end.",
        )
        .example(r#"replace("a-b-c", "-", "+")"#, r#""a+b+c""#)
        .define(|value: Arc<str>, target: Arc<str>, replacement: Arc<str>| {
            replace(&value, &target, &replacement, "stdlib.replace")
        })
}

fn register_search(string: &mut Namespace<'_>) -> Result<(), RegistryError> {
    string
        .function("starts-with", ["value", "prefix"], "Whether a string begins with another.")
        .example(r#"starts-with("abc", "ab")"#, "true")
        .define(|value: Arc<str>, prefix: Arc<str>| value.starts_with(&*prefix))?;
    string
        .function("ends-with", ["value", "suffix"], "Whether a string ends with another.")
        .example(r#"ends-with("abc", "ab")"#, "false")
        .define(|value: Arc<str>, suffix: Arc<str>| value.ends_with(&*suffix))?;
    string
        .function(
            "index-of",
            ["value", "substring"],
            "How many characters of a string are before the first place where another occurs; none when it does not.",
        )
        .example(r#"index-of("abcbc", "bc")"#, "1")
        .example(r#"index-of("abc", "x")"#, "null")
        .define(|value: Arc<str>, substring: Arc<str>| {
            value.find(&*substring).map(|place| count(value[..place].chars().count()))
        })?;
    string
        .function(
            "substring",
            ["value", "start", "end"],
            "The characters of a string from an index, counted from 0, up to another, which is not included. An index \
             outside of the string is its nearest end.",
        )
        .example(r#"substring("abcdef", 1, 3)"#, r#""bc""#)
        .define(substring)
}

fn register_shape(string: &mut Namespace<'_>) -> Result<(), RegistryError> {
    string
        .function("uppercase", ["value"], "A string in upper case.")
        .example(r#"uppercase("abc")"#, r#""ABC""#)
        .define(|value: Arc<str>| uppercase(&value, "stdlib.uppercase"))?;
    string
        .function("lowercase", ["value"], "A string in lower case.")
        .example(r#"lowercase("ABC")"#, r#""abc""#)
        .define(|value: Arc<str>| lowercase(&value, "stdlib.lowercase"))?;
    string
        .function("repeat", ["value", "count"], "A string several times; not at all for a count below one.")
        .example(r#"repeat("ab", 3)"#, r#""ababab""#)
        .define(|value: Arc<str>, count: i64| repeat(&value, count, "stdlib.repeat"))?;
    string
        .function(
            "pad-left",
            ["value", "length", "fill"],
            "A string with the characters of another before it, again and again, until it has a length. A longer one \
             stays as it is, as does any with nothing to fill it up.",
        )
        .example(r#"pad-left("7", 3, "0")"#, r#""007""#)
        .define(|value: Arc<str>, length: i64, fill: Arc<str>| {
            Ok(padding(&value, length, &fill, "stdlib.pad-left")? + &value)
        })?;
    string
        .function(
            "pad-right",
            ["value", "length", "fill"],
            "A string with the characters of another after it, again and again, until it has a length. A longer one \
             stays as it is, as does any with nothing to fill it up.",
        )
        .example(r#"pad-right("ab", 5, ".")"#, r#""ab...""#)
        .define(|value: Arc<str>, length: i64, fill: Arc<str>| {
            let padding = padding(&value, length, &fill, "stdlib.pad-right")?;
            Ok(format!("{value}{padding}"))
        })?;
    string
        .function(
            "lines",
            ["value"],
            "The lines of a string, without what ends them: a line feed, with or without a carriage return before it.",
        )
        .example(r#"lines("a\r\n\nb\n")"#, r#"["a","","b"]"#)
        .define(|value: Arc<str>| {
            check_list(Some(value.lines().count()), "stdlib.lines")?;
            Ok(value.lines().map(Arc::from).collect::<List<Arc<str>>>())
        })?;
    string
        .function("reverse", ["value"], "The characters of a string from the last to the first.")
        .example(r#"reverse("abc")"#, r#""cba""#)
        .define(|value: Arc<str>| value.chars().rev().collect::<String>())
}

fn concat(a: Arc<str>, b: Arc<str>) -> Result<String, ModuleError> {
    let length = check_text(a.len().checked_add(b.len()), "stdlib.concat")?;
    let mut text = String::with_capacity(length);
    text.push_str(&a);
    text.push_str(&b);
    Ok(text)
}

pub(crate) fn length(value: Arc<str>) -> i64 {
    count(value.chars().count())
}

/// A count as an integer of the language.
pub(crate) fn count(count: usize) -> i64 {
    i64::try_from(count).expect("what is in memory is fewer than 2^63")
}

fn join(list: List<Arc<str>>, separator: Arc<str>) -> Result<String, ModuleError> {
    let between = separator.len().checked_mul(list.0.len().saturating_sub(1));
    let length = list.iter().try_fold(between, |sum, item| Some(sum?.checked_add(item.len())));
    let mut text = String::with_capacity(check_text(length.flatten(), "stdlib.join")?);
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            text.push_str(&separator);
        }
        text.push_str(&item);
    }
    Ok(text)
}

fn split(value: Arc<str>, substring: Arc<str>) -> Result<List<Arc<str>>, ModuleError> {
    if substring.is_empty() {
        check_list(value.chars().count().checked_add(1), "stdlib.split")?;
        return Ok(characters(&value).chain([Arc::from("")]).collect());
    }
    check_list(Some(value.matches(&*substring).count() + 1), "stdlib.split")?;
    Ok(value.split(&*substring).map(Arc::from).collect())
}

/// Each character as a string.
pub(crate) fn characters(text: &str) -> impl Iterator<Item = Arc<str>> {
    text.chars().map(|character| Arc::from(&*character.encode_utf8(&mut [0; 4])))
}

pub(crate) fn contains(value: Arc<str>, substring: Arc<str>) -> bool {
    value.contains(&*substring)
}

/// Trims what the reference implementation takes for blank: all characters up to U+0020, and no others.
pub(crate) fn trim(value: Arc<str>) -> Arc<str> {
    let trimmed = value.trim_matches(|character| character <= ' ');
    if trimmed.len() == value.len() { value } else { trimmed.into() }
}

/// `function` is the name in the error.
pub(crate) fn uppercase(text: &str, function: &str) -> Result<String, ModuleError> {
    let text = text.to_uppercase();
    check_text(Some(text.len()), function)?;
    Ok(text)
}

/// `function` is the name in the error.
pub(crate) fn lowercase(text: &str, function: &str) -> Result<String, ModuleError> {
    let text = text.to_lowercase();
    check_text(Some(text.len()), function)?;
    Ok(text)
}

fn substring(value: Arc<str>, start: i64, end: i64) -> Arc<str> {
    let byte_of = |index: i64| match usize::try_from(index.max(0)) {
        Ok(index) => value.char_indices().nth(index).map_or(value.len(), |(place, _)| place),
        Err(_) => value.len(),
    };
    value.get(byte_of(start)..byte_of(end)).unwrap_or_default().into()
}

fn repeat(text: &str, count: i64, function: &str) -> Result<String, ModuleError> {
    let count = usize::try_from(count.max(0)).ok();
    let length = count.and_then(|count| count.checked_mul(text.len()));
    check_text(length, function)?;
    // The empty text can be repeated without end.
    Ok(if text.is_empty() { String::new() } else { text.repeat(count.unwrap_or_default()) })
}

/// What is missing in `value` to be `length` characters long, made of the characters of `fill`.
fn padding(value: &str, length: i64, fill: &str, function: &str) -> Result<String, ModuleError> {
    let missing = length.saturating_sub(count(value.chars().count()));
    if missing <= 0 || fill.is_empty() {
        return Ok(String::new());
    }
    let missing = usize::try_from(missing).unwrap_or(usize::MAX);
    let characters = fill.chars().count();
    let rest: String = fill.chars().take(missing % characters).collect();
    let rounds = missing / characters;
    let bytes = rounds.checked_mul(fill.len()).and_then(|bytes| bytes.checked_add(rest.len() + value.len()));
    check_text(bytes, function)?;
    Ok(fill.repeat(rounds) + &rest)
}

/// `function` is the name in the error.
pub(crate) fn replace(
    value: &str,
    target: &str,
    replacement: &str,
    function: &str,
) -> Result<String, ModuleError> {
    let occurrences =
        if target.is_empty() { value.chars().count() + 1 } else { value.matches(target).count() };
    let removed = target.len() * occurrences;
    let length = replacement.len().checked_mul(occurrences);
    check_text(length.and_then(|added| (value.len() - removed).checked_add(added)), function)?;
    Ok(value.replace(target, replacement))
}
