//! `stdlib.optional`: what the operators `when` and `??` leave open.

use constellation_module::{ModuleRegistry, RegistryError};

use crate::define::{Any, Namespace};

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut optional = Namespace::library(registry, "stdlib.optional");
    optional
        .function("is-some", ["value"], "Whether an optional has a value.")
        .example("is-some(parse-int(\"12\"))", "true")
        .define(|value: Option<Any>| value.is_some())?;
    optional
        .function("is-none", ["value"], "Whether an optional has no value.")
        .example("is-none(parse-int(\"twelve\"))", "true")
        .define(|value: Option<Any>| value.is_none())?;
    optional
        .function(
            "or-else",
            ["value", "other"],
            "The value of an optional, or another where it has none, as `??` does.",
        )
        .example("or-else(parse-int(\"twelve\"), 0)", "0")
        .define(|value: Option<Any>, other: Any| value.unwrap_or(other))
}
