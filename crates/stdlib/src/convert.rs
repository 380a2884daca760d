//! `stdlib.convert`: from one type to another.

use std::sync::Arc;

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};
use constellation_types::{Value, write_text};

use crate::bounds::{BoundedText, text_too_long};
use crate::define::{Any, Namespace};
use crate::math::whole;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut convert = Namespace::library(registry, "stdlib.convert");
    convert
        .function("to-string", ["value"], "Any value as text, as interpolation writes it.")
        .example("to-string(12)", r#""12""#)
        .example("to-string(0.5)", r#""0.5""#)
        .example("to-string([true, false])", r#""[true, false]""#)
        .define(to_string)?;
    convert
        .function("to-int", ["value"], "A float without its fraction; one past 64 bits is an error.")
        .example("to-int(-3.9)", "-3")
        .define(|value: f64| whole(value, "stdlib.to-int"))?;
    #[expect(clippy::cast_precision_loss, reason = "the nearest float is the result")]
    convert
        .function("to-float", ["value"], "The float nearest to an integer.")
        .example("to-float(3)", "3.0")
        .define(|value: i64| value as f64)?;

    // Not in the reference implementation.
    convert
        .function(
            "parse-int",
            ["text"],
            "The integer that a text spells in decimal digits, with or without a sign; none when it spells none, or \
             one past 64 bits.",
        )
        .example(r#"parse-int("-12")"#, "-12")
        .example(r#"parse-int("12.0")"#, "null")
        .define(|text: Arc<str>| text.parse::<i64>().ok())?;
    convert
        .function(
            "parse-float",
            ["text"],
            "The number that a text spells in decimal notation, such as 12, -0.5 or 1e3; none when it spells none, or \
             one out of range.",
        )
        .example(r#"parse-float("1e3")"#, "1000.0")
        .define(|text: Arc<str>| text.parse::<f64>().ok().filter(|float| float.is_finite()))?;
    convert
        .function(
            "parse-bool",
            ["text"],
            "The boolean that a text spells: true or false, and none otherwise.",
        )
        .example(r#"parse-bool("true")"#, "true")
        .example(r#"parse-bool("yes")"#, "null")
        .define(|text: Arc<str>| text.parse::<bool>().ok())
}

#[expect(clippy::needless_pass_by_value, reason = "an argument is read as a shared value")]
fn to_string(value: Any) -> Result<Arc<str>, ModuleError> {
    if let Value::String(text) = &value.0 {
        return Ok(Arc::clone(text));
    }
    let mut text = BoundedText::default();
    write_text(&value.0, &mut text).map_err(|_| text_too_long("stdlib.to-string"))?;
    Ok(text.0.into())
}
