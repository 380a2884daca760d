//! `stdlib.bool`, `stdlib.compare`, and the two functions for looking into a pipeline: `identity` and `log`.

use std::sync::Arc;

use constellation_module::{ModuleRegistry, RegistryError};

use crate::define::{Any, Namespace};

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    register_booleans(registry)?;
    register_comparisons(registry)?;

    let mut root = Namespace::library(registry, "stdlib");
    root.function("identity", ["value"], "The value as it is.")
        .result("value")
        .example(r#"identity("a")"#, r#""a""#)
        .define(|value: Any| value)?;

    let mut debug = Namespace::library(registry, "stdlib.debug");
    debug
        .function("log", ["message"], "Writes a message to the server's log, and gives it back.")
        .effect()
        .example(r#"log("checked")"#, r#""checked""#)
        .define(|message: Arc<str>| {
            tracing::info!(target: "constellation::debug", "{message}");
            message
        })
}

fn register_booleans(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut bool = Namespace::library(registry, "stdlib.bool");
    // The short names of these three are the operators'.
    bool.function("and", ["a", "b"], "Whether both are true.")
        .example("stdlib.bool.and(true, false)", "false")
        .define(|a: bool, b: bool| a && b)?;
    bool.function("or", ["a", "b"], "Whether one or both are true.")
        .example("stdlib.bool.or(true, false)", "true")
        .define(|a: bool, b: bool| a || b)?;
    bool.function("not", ["value"], "The opposite.")
        .example("stdlib.bool.not(true)", "false")
        .define(|value: bool| !value)
}

fn register_comparisons(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut compare = Namespace::library(registry, "stdlib.compare");
    compare
        .function("eq-int", ["a", "b"], "Whether two integers are equal.")
        .example("eq-int(2, 3)", "false")
        .define(|a: i64, b: i64| a == b)?;
    compare
        .function("eq-string", ["a", "b"], "Whether two strings are equal, upper and lower case told apart.")
        .example(r#"eq-string("a", "A")"#, "false")
        .define(|a: Arc<str>, b: Arc<str>| a == b)?;
    compare
        .function("gt", ["a", "b"], "Whether the first integer is above the second.")
        .example("gt(2, 3)", "false")
        .define(|a: i64, b: i64| a > b)?;
    compare
        .function("lt", ["a", "b"], "Whether the first integer is below the second.")
        .example("lt(2, 3)", "true")
        .define(|a: i64, b: i64| a < b)?;
    compare
        .function("gte", ["a", "b"], "Whether the first integer is not below the second.")
        .example("gte(3, 3)", "true")
        .define(|a: i64, b: i64| a >= b)?;
    compare
        .function("lte", ["a", "b"], "Whether the first integer is not above the second.")
        .example("lte(3, 3)", "true")
        .define(|a: i64, b: i64| a <= b)
}
