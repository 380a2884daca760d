//! `stdlib.convert`: from one type to another.

use std::sync::Arc;

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};
use constellation_types::{Value, write_text};

use crate::bounds::{BoundedText, text_too_long};
use crate::define::{Any, Namespace};
use crate::math::whole;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut convert = Namespace::library(registry, "stdlib.convert");
    convert.define("to-string", ["value"], "Any value as text, as interpolation writes it.", to_string)?;
    convert.define(
        "to-int",
        ["value"],
        "A float without its fraction; one out of range becomes the nearest integer.",
        whole,
    )?;
    #[expect(clippy::cast_precision_loss, reason = "the nearest float is the result")]
    convert.define("to-float", ["value"], "The float nearest to an integer.", |value: i64| value as f64)?;

    // Not in the reference implementation.
    convert.define(
        "parse-int",
        ["text"],
        "The integer that a text spells in decimal digits, with or without a sign; none when it spells none, or one \
         out of range.",
        |text: Arc<str>| text.parse::<i64>().ok(),
    )?;
    convert.define(
        "parse-float",
        ["text"],
        "The number that a text spells in decimal notation, such as 12, -0.5 or 1e3; none when it spells none, or one \
         out of range.",
        |text: Arc<str>| text.parse::<f64>().ok().filter(|float| float.is_finite()),
    )
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
