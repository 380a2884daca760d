//! Types in the form that makes values fast.

use std::fmt::Display;
use std::sync::Arc;

use constellation_types::Type;
use serde::ser::Error as _;

use super::ConversionError;

/// A type in the form that makes values fast: all records of one shape share their names.
#[derive(Debug)]
pub(crate) enum Shape {
    String,
    Int,
    Float,
    Boolean,
    List(Box<Shape>),
    Optional(Box<Shape>),
    Map(Box<Shape>, Box<Shape>),
    Record {
        names: Arc<[Arc<str>]>,
        fields: Box<[Shape]>,
    },
    /// The members in the order of the type, each with its tag.
    Union {
        members: Box<[(Arc<str>, Shape)]>,
        /// Printed.
        text: String,
    },
    /// A type that no Rust value is converted to, printed.
    Other(String),
}

impl Shape {
    /// The shape of a type. Recurses as deep as the type.
    pub(crate) fn of(ty: &Type) -> Self {
        match ty {
            Type::String => Self::String,
            Type::Int => Self::Int,
            Type::Float => Self::Float,
            Type::Boolean => Self::Boolean,
            Type::List(element) | Type::Seq(element) => Self::List(Box::new(Self::of(element))),
            Type::Optional(inner) => Self::Optional(Box::new(Self::of(inner))),
            Type::Map(key, value) => Self::Map(Box::new(Self::of(key)), Box::new(Self::of(value))),
            Type::Record(record) => Self::Record {
                names: record.fields().iter().map(|field| Arc::clone(&field.name)).collect(),
                fields: record.fields().iter().map(|field| Self::of(&field.ty)).collect(),
            },
            Type::Union(union) => {
                let member = |member: &Type| (member.to_string().into(), Self::of(member));
                Self::Union { members: union.members().iter().map(member).collect(), text: ty.to_string() }
            }
            Type::Nothing | Type::Function(_) | Type::Variable(_) => Self::Other(ty.to_string()),
        }
    }

    /// Whether a union is in it: only then does reading a value need more than the value.
    pub(super) fn has_union(&self) -> bool {
        match self {
            Self::String | Self::Int | Self::Float | Self::Boolean | Self::Other(_) => false,
            Self::List(inner) | Self::Optional(inner) => inner.has_union(),
            Self::Map(key, value) => key.has_union() || value.has_union(),
            Self::Record { fields, .. } => fields.iter().any(Self::has_union),
            Self::Union { .. } => true,
        }
    }

    pub(super) fn describe(&self) -> &str {
        match self {
            Self::String => "String",
            Self::Int => "Int",
            Self::Float => "Float",
            Self::Boolean => "Boolean",
            Self::List(_) => "a list",
            Self::Optional(_) => "an optional",
            Self::Map(..) => "a map",
            Self::Record { .. } => "a record",
            Self::Union { text, .. } | Self::Other(text) => text,
        }
    }

    pub(super) fn mismatch(&self, found: impl Display) -> ConversionError {
        ConversionError::custom(format_args!("expected {}, got {found}", self.describe()))
    }

    /// The shape inside all optionals, and how many there are.
    pub(super) fn without_optionals(&self) -> (&Self, usize) {
        let mut shape = self;
        let mut optionals = 0;
        while let Self::Optional(inner) = shape {
            shape = inner;
            optionals += 1;
        }
        (shape, optionals)
    }
}
