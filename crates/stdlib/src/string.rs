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
    string.define("concat", ["a", "b"], "Two strings, one after the other.", concat)?;
    string.define(
        "string-length",
        ["value"],
        "How many characters (Unicode scalar values) a string has.",
        length,
    )?;
    string.define(
        "join",
        ["list", "separator"],
        "The strings of a list with a separator between them.",
        join,
    )?;
    string.define(
        "split",
        ["value", "substring"],
        "The pieces of a string between the places where another occurs, empty pieces among them. An empty separator \
         gives each character and an empty piece at the end.",
        split,
    )?;
    string.define(
        "contains",
        ["value", "substring"],
        "Whether a string occurs in another; the empty string always does.",
        contains,
    )?;
    string.define("trim", ["value"], "A string without spaces and control characters at its ends.", trim)?;
    string.define(
        "replace",
        ["value", "target", "replacement"],
        "A string with each occurrence of a target replaced, from left to right. An empty target stands before each \
         character and at the end.",
        |value: Arc<str>, target: Arc<str>, replacement: Arc<str>| {
            replace(&value, &target, &replacement, "stdlib.replace")
        },
    )?;

    // Not in the reference implementation.
    string.define(
        "starts-with",
        ["value", "prefix"],
        "Whether a string begins with another.",
        |value: Arc<str>, prefix: Arc<str>| value.starts_with(&*prefix),
    )?;
    string.define(
        "ends-with",
        ["value", "suffix"],
        "Whether a string ends with another.",
        |value: Arc<str>, suffix: Arc<str>| value.ends_with(&*suffix),
    )?;
    string
        .define("uppercase", ["value"], "A string in upper case.", |value: Arc<str>| value.to_uppercase())?;
    string.define("lowercase", ["value"], "A string in lower case.", |value: Arc<str>| value.to_lowercase())
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
