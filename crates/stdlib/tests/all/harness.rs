//! Calling a function of the library with plain values.

use std::sync::LazyLock;

use constellation_module::types::Value;
use constellation_module::{CallContext, ModuleRegistry, Outcome};

pub(crate) static REGISTRY: LazyLock<ModuleRegistry> = LazyLock::new(constellation_stdlib::registry);

/// Calls the module `name`, which must answer at once.
pub(crate) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let module = REGISTRY.get(name).unwrap_or_else(|| panic!("there is no module {name}"));
    match module.call(arguments, &CallContext::default()) {
        Outcome::Ready(answer) => answer.map_err(|error| error.to_string()),
        Outcome::Pending(_) => panic!("{name} does not answer at once"),
    }
}

/// Checks the answers of the module `name` for a table of arguments.
pub(crate) fn check<const N: usize, A: Clone + Into<Expected>>(name: &str, table: &[([Value; N], A)]) {
    for (arguments, expected) in table {
        let Expected(expected) = expected.clone().into();
        // As text, since 0.0 and -0.0 are equal.
        let found = call(name, arguments);
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{name}{arguments:?}");
    }
}

/// What a call is expected to answer.
#[derive(Debug, Clone)]
pub(crate) struct Expected(pub(crate) Result<Value, String>);

impl<T: IntoValue> From<T> for Expected {
    fn from(value: T) -> Self {
        Self(Ok(value.into_value()))
    }
}

impl<T: IntoValue> From<Result<T, &str>> for Expected {
    fn from(answer: Result<T, &str>) -> Self {
        Self(answer.map(IntoValue::into_value).map_err(str::to_owned))
    }
}

/// A Rust value that is written in the tables for a value of the language.
pub(crate) trait IntoValue {
    fn into_value(self) -> Value;
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl IntoValue for i64 {
    fn into_value(self) -> Value {
        Value::Int(self)
    }
}

impl IntoValue for f64 {
    fn into_value(self) -> Value {
        Value::Float(self)
    }
}

impl IntoValue for bool {
    fn into_value(self) -> Value {
        Value::Boolean(self)
    }
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::string(self)
    }
}

/// A value of the language.
pub(crate) fn v(value: impl IntoValue) -> Value {
    value.into_value()
}

/// A list of strings.
pub(crate) fn strings(items: &[&str]) -> Value {
    Value::list(items.iter().map(|item| Value::string(*item)))
}

/// A list of integers.
pub(crate) fn ints(items: &[i64]) -> Value {
    Value::list(items.iter().map(|item| Value::Int(*item)))
}
