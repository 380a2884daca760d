//! Between values and Rust types, through serde and nothing between.

mod from_value;
mod shape;
mod to_value;

use std::fmt;
use std::sync::Arc;

use constellation_types::{Parameter, Type, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use shape::Shape;

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
/// smaller type if it fits, and as a float. The value of a union is read by [`from_typed_value`] only.
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
    T::deserialize(from_value::ValueDeserializer { value, shape: None })
}

/// Reads a value of the type `ty` as a Rust type, as [`from_value`] does, and unions too: the variants of an enum are
/// the members of a union in their order, so that only the type tells which is which.
///
/// # Errors
///
/// [`ConversionError`] with the first place that does not fit.
///
/// ```
/// # use constellation_module::{DataType, from_typed_value};
/// # use constellation_types::Value;
/// #[derive(Debug, PartialEq, serde::Deserialize, DataType)]
/// enum Id {
///     Number(i64),
///     Name(String),
/// }
///
/// let value = Value::tagged("String", Value::string("ada"));
/// assert_eq!(from_typed_value(&value, &Id::data_type()), Ok(Id::Name("ada".to_owned())));
/// ```
pub fn from_typed_value<T: DeserializeOwned>(value: &Value, ty: &Type) -> Result<T, ConversionError> {
    let shape = Shape::of(ty);
    T::deserialize(from_value::ValueDeserializer { value, shape: Some(&shape) })
}

/// How arguments are read, worked out once for a module.
#[derive(Debug)]
pub(crate) struct Arguments {
    names: Box<[Arc<str>]>,
    /// None where no parameter has a union in it, so that nothing need be looked up.
    shapes: Option<Box<[Shape]>>,
}

impl Arguments {
    pub(crate) fn of(parameters: &[Parameter]) -> Self {
        let shapes: Box<[Shape]> = parameters.iter().map(|parameter| Shape::of(&parameter.ty)).collect();
        Self {
            names: parameters.iter().map(|parameter| Arc::clone(&parameter.name)).collect(),
            shapes: shapes.iter().any(Shape::has_union).then_some(shapes),
        }
    }

    /// Reads arguments as a struct whose fields have the names of the parameters, or as a tuple.
    pub(crate) fn read<T: DeserializeOwned>(&self, values: &[Value]) -> Result<T, ConversionError> {
        let Self { names, shapes } = self;
        T::deserialize(from_value::FieldsDeserializer { names, values, shapes: shapes.as_deref() })
    }
}

/// Makes a value of `ty` from a Rust value.
///
/// A struct becomes a record with the fields in the order of the type; an optional field that it lacks is none. An
/// integer becomes a float where the type says so, and anything an optional. A map is sorted by key, since
/// `HashMap` has an order of its own in each run. The variants of an enum that carry data are the members of a union, in
/// their order.
///
/// # Errors
///
/// [`ConversionError`] with the first place that does not fit: another kind of value, an integer above `i64::MAX`, a
/// float that is not finite, a missing or an unknown field.
///
/// ```
/// # use constellation_module::to_value;
/// # use constellation_types::{Parameter, Type, Value};
/// let ty = Type::list(Type::optional(Type::Float));
/// let value = to_value(&(1, 2.5, None::<f32>), &ty).unwrap();
/// assert_eq!(value, Value::list([Value::some(Value::Float(1.0)), Value::some(Value::Float(2.5)), Value::none()]));
/// ```
pub fn to_value<T: Serialize + ?Sized>(value: &T, ty: &Type) -> Result<Value, ConversionError> {
    Shape::of(ty).encode(value)
}
