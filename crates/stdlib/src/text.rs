//! The text modules of the reference implementation's example application.

use std::sync::Arc;

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};

use crate::bounds::check_list;
use crate::define::{List, Namespace};
use crate::string::{characters, contains, count, length, lowercase, replace, trim, uppercase};

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut text = Namespace::global(registry);
    text.function("Uppercase", ["text"], "A text in upper case.")
        .result("result")
        .example(r#"Uppercase("abc")"#, r#""ABC""#)
        .define(|text: Arc<str>| uppercase(&text, "Uppercase"))?;
    text.function("Lowercase", ["text"], "A text in lower case.")
        .result("result")
        .example(r#"Lowercase("ABC")"#, r#""abc""#)
        .define(|text: Arc<str>| lowercase(&text, "Lowercase"))?;
    text.function("Trim", ["text"], "A text without spaces and control characters at its ends.")
        .result("result")
        .example(r#"Trim("  a b\n")"#, r#""a b""#)
        .define(trim)?;
    text.function(
        "Replace",
        ["text", "find", "replace"],
        "A text with each occurrence of another replaced, from left to right.",
    )
    .result("result")
    .example(r#"Replace("a-b-c", "-", "+")"#, r#""a+b+c""#)
    .define(|text: Arc<str>, find: Arc<str>, with: Arc<str>| replace(&text, &find, &with, "Replace"))?;
    text.function(
        "WordCount",
        ["text"],
        "How many words a text has: runs of characters between ASCII white space.",
    )
    .result("count")
    .example(r#"WordCount("one  two")"#, "2")
    .define(|text: Arc<str>| count(text.split(is_space).filter(|word| !word.is_empty()).count()))?;
    text.function("TextLength", ["text"], "How many characters (Unicode scalar values) a text has.")
        .result("length")
        .example(r#"TextLength("abc")"#, "3")
        .define(length)?;
    text.function(
        "Contains",
        ["text", "substring"],
        "Whether a text occurs in another; the empty text always does.",
    )
    .result("contains")
    .example(r#"Contains("abc", "bc")"#, "true")
    .define(contains)?;
    text.function("SplitLines", ["text"], "The lines of a text, without empty lines at its end.")
        .result("lines")
        .example(r#"SplitLines("a\nb\n")"#, r#"["a","b"]"#)
        .define(|text: Arc<str>| without_trailing_empty(&text, "\n", "SplitLines"))?;
    text.function(
        "Split",
        ["text", "delimiter"],
        "The parts of a text between the places where a delimiter occurs, without empty parts at the end. An empty \
         delimiter gives each character.",
    )
    .result("parts")
    .example(r#"Split("a.b.", ".")"#, r#"["a","b"]"#)
    .define(|text: Arc<str>, delimiter: Arc<str>| without_trailing_empty(&text, &delimiter, "Split"))
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
