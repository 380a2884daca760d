//! Between values and Rust types, through serde and nothing between.

mod from_value;
mod to_value;

use std::fmt;
use std::sync::Arc;

use constellation_types::{Type, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use to_value::Shape;

/// Why a value is not one of a Rust type, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionError {
    /// Where, such as `lines[1].price`; empty for the value itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl ConversionError {
    pub(crate) fn within_field(mut self, name: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{separator}{}", self.path);
        self
    }

    pub(crate) fn within_index(mut self, index: usize) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{separator}{}", self.path);
        self
    }
}

/// `lines[1].price: expected Float, got a string`
impl fmt::Display for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConversionError {}

impl serde::de::Error for ConversionError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: String::new(), message: message.to_string() }
    }
}

impl serde::ser::Error for ConversionError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: String::new(), message: message.to_string() }
    }
}

/// Reads a value as a Rust type.
///
/// Records are read as structs or maps, whatever the order of their fields; none as `None`. An integer is read as a
/// smaller type if it fits, and as a float.
///
/// # Errors
///
/// [`ConversionError`] with the first place that does not fit.
///
/// ```
/// # use constellation_module::from_value;
/// # use constellation_types::Value;
/// let sizes: Vec<u8> = from_value(&Value::list([Value::Int(1), Value::Int(2)])).unwrap();
/// assert_eq!(sizes, [1, 2]);
/// let error = from_value::<Vec<u8>>(&Value::list([Value::Int(300)])).unwrap_err();
/// assert_eq!(error.to_string(), "[0]: invalid value: integer `300`, expected u8");
/// ```
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, ConversionError> {
    T::deserialize(from_value::ValueDeserializer(value))
}

/// Reads arguments as a struct whose fields have these names.
pub(crate) fn from_arguments<T: DeserializeOwned>(
    names: &[Arc<str>],
    values: &[Value],
) -> Result<T, ConversionError> {
    T::deserialize(from_value::FieldsDeserializer { names, values })
}

/// Makes a value of `ty` from a Rust value.
///
/// A struct becomes a record with the fields in the order of the type; an optional field that it lacks is none. An
/// integer becomes a float where the type says so, and anything an optional. A map is sorted by key, since
/// `HashMap` has an order of its own in each run.
///
/// # Errors
///
/// [`ConversionError`] with the first place that does not fit: another kind of value, an integer above `i64::MAX`, a
/// float that is not finite, a missing or an unknown field.
///
/// ```
/// # use constellation_module::to_value;
/// # use constellation_types::{Type, Value};
/// let ty = Type::list(Type::optional(Type::Float));
/// let value = to_value(&(1, 2.5, None::<f32>), &ty).unwrap();
/// assert_eq!(value, Value::list([Value::some(Value::Float(1.0)), Value::some(Value::Float(2.5)), Value::none()]));
/// ```
pub fn to_value<T: Serialize + ?Sized>(value: &T, ty: &Type) -> Result<Value, ConversionError> {
    Shape::of(ty).encode(value)
}
