//! The text modules of the reference implementation's example application.

use std::sync::Arc;

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};

use crate::bounds::check_list;
use crate::define::{List, Namespace};
use crate::string::{characters, contains, count, length, replace, trim};

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut text = Namespace::global(registry);
    text.define_with_result("Uppercase", ["text"], "result", "A text in upper case.", |text: Arc<str>| {
        text.to_uppercase()
    })?;
    text.define_with_result("Lowercase", ["text"], "result", "A text in lower case.", |text: Arc<str>| {
        text.to_lowercase()
    })?;
    text.define_with_result(
        "Trim",
        ["text"],
        "result",
        "A text without spaces and control characters at its ends.",
        trim,
    )?;
    text.define_with_result(
        "Replace",
        ["text", "find", "replace"],
        "result",
        "A text with each occurrence of another replaced, from left to right.",
        |text: Arc<str>, find: Arc<str>, with: Arc<str>| replace(&text, &find, &with, "Replace"),
    )?;
    text.define_with_result(
        "WordCount",
        ["text"],
        "count",
        "How many words a text has: runs of characters between ASCII white space.",
        |text: Arc<str>| count(text.split(is_space).filter(|word| !word.is_empty()).count()),
    )?;
    text.define_with_result(
        "TextLength",
        ["text"],
        "length",
        "How many characters (Unicode scalar values) a text has.",
        length,
    )?;
    text.define_with_result(
        "Contains",
        ["text", "substring"],
        "contains",
        "Whether a text occurs in another; the empty text always does.",
        contains,
    )?;
    text.define_with_result(
        "SplitLines",
        ["text"],
        "lines",
        "The lines of a text, without empty lines at its end.",
        |text: Arc<str>| without_trailing_empty(&text, "\n", "SplitLines"),
    )?;
    text.define_with_result(
        "Split",
        ["text", "delimiter"],
        "parts",
        "The parts of a text between the places where a delimiter occurs, without empty parts at the end. An empty \
         delimiter gives each character.",
        |text: Arc<str>, delimiter: Arc<str>| without_trailing_empty(&text, &delimiter, "Split"),
    )
}

/// What the reference implementation takes for white space between words: U+000B too.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

/// Splits as the reference implementation does, by the rules of Java: a text in which the delimiter does not occur is
/// its own only part, even an empty one; otherwise empty parts at the end are dropped.
fn without_trailing_empty(
    text: &str,
    delimiter: &str,
    function: &str,
) -> Result<List<Arc<str>>, ModuleError> {
    if delimiter.is_empty() && !text.is_empty() {
        check_list(Some(text.chars().count()), function)?;
        return Ok(characters(text).collect());
    }
    if delimiter.is_empty() || !text.contains(delimiter) {
        return Ok([Arc::from(text)].into_iter().collect());
    }
    check_list(Some(text.matches(delimiter).count() + 1), function)?;
    let mut parts: Vec<&str> = text.split(delimiter).collect();
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    Ok(parts.into_iter().map(Arc::from).collect())
}
