//! `stdlib.bool`, `stdlib.compare`, and the two functions for looking into a pipeline: `identity` and `log`.

use std::sync::Arc;

use constellation_module::{ModuleRegistry, RegistryError};

use crate::define::{Any, Namespace};

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut bool = Namespace::library(registry, "stdlib.bool");
    bool.define("and", ["a", "b"], "Whether both are true.", |a: bool, b: bool| a && b)?;
    bool.define("or", ["a", "b"], "Whether one or both are true.", |a: bool, b: bool| a || b)?;
    bool.define("not", ["value"], "The opposite.", |value: bool| !value)?;

    let mut compare = Namespace::library(registry, "stdlib.compare");
    compare.define("eq-int", ["a", "b"], "Whether two integers are equal.", |a: i64, b: i64| a == b)?;
    compare.define(
        "eq-string",
        ["a", "b"],
        "Whether two strings are equal, upper and lower case told apart.",
        |a: Arc<str>, b: Arc<str>| a == b,
    )?;
    compare.define(
        "gt",
        ["a", "b"],
        "Whether the first integer is above the second.",
        |a: i64, b: i64| a > b,
    )?;
    compare.define(
        "lt",
        ["a", "b"],
        "Whether the first integer is below the second.",
        |a: i64, b: i64| a < b,
    )?;
    compare.define(
        "gte",
        ["a", "b"],
        "Whether the first integer is not below the second.",
        |a: i64, b: i64| a >= b,
    )?;
    compare.define(
        "lte",
        ["a", "b"],
        "Whether the first integer is not above the second.",
        |a: i64, b: i64| a <= b,
    )?;

    let mut root = Namespace::library(registry, "stdlib");
    root.define_with_result("identity", ["value"], "value", "The value as it is.", |value: Any| value)?;

    let mut debug = Namespace::library(registry, "stdlib.debug");
    debug.define_effect(
        "log",
        ["message"],
        "Writes a message to the server's log, and gives it back.",
        |message: Arc<str>| {
            tracing::info!(target: "constellation::debug", "{message}");
            message
        },
    )
}
