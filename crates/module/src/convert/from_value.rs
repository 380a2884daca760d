//! A deserializer over values.

use std::sync::Arc;

use constellation_types::{Record, Value};
use serde::de::value::{BorrowedStrDeserializer, U32Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::{ConversionError, Shape};

/// Reads one value.
#[derive(Clone, Copy)]
pub(super) struct ValueDeserializer<'de, 's> {
    pub(super) value: &'de Value,
    /// What tells the members of unions apart.
    pub(super) shape: Option<&'s Shape>,
}

impl<'de, 's> ValueDeserializer<'de, 's> {
    /// What is in an optional.
    fn inner(self, value: &'de Value) -> Self {
        let shape = match self.shape {
            Some(Shape::Optional(inner)) => Some(&**inner),
            shape => shape,
        };
        Self { value, shape }
    }

    fn fields(self, record: &'de Record) -> FieldsDeserializer<'de, 's> {
        let shapes = match self.shape {
            Some(Shape::Record { names, fields }) if **names == **record.names() => Some(&**fields),
            _ => None,
        };
        FieldsDeserializer { names: record.names(), values: record.values(), shapes }
    }

    fn mismatch<V: Visitor<'de>>(self, visitor: &V) -> ConversionError {
        let unexpected = match self.value {
            Value::String(text) => Unexpected::Str(text),
            Value::Int(int) => Unexpected::Signed(*int),
            Value::Float(float) => Unexpected::Float(*float),
            Value::Boolean(boolean) => Unexpected::Bool(*boolean),
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
            Value::Record(_) => Unexpected::Other("record"),
            Value::Optional(_) => Unexpected::Option,
            Value::Union(_) => Unexpected::Other("union"),
        };
        Error::invalid_type(unexpected, visitor)
    }
}

impl<'de> Deserializer<'de> for ValueDeserializer<'de, '_> {
    type Error = ConversionError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        match self.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Int(int) => visitor.visit_i64(*int),
            Value::Float(float) => visitor.visit_f64(*float),
            Value::Boolean(boolean) => visitor.visit_bool(*boolean),
            Value::List(items) => {
                let shape = match self.shape {
                    Some(Shape::List(element)) => Some(&**element),
                    _ => None,
                };
                visitor.visit_seq(Items { rest: items.iter(), shape, index: 0 })
            }
            Value::Map(pairs) => {
                let shape = match self.shape {
                    Some(Shape::Map(_, value)) => Some(&**value),
                    _ => None,
                };
                visitor.visit_map(Pairs { rest: pairs.iter(), shape, value: None })
            }
            Value::Record(record) => self.fields(record).deserialize_any(visitor),
            Value::Optional(None) => visitor.visit_none(),
            Value::Optional(Some(inner)) => visitor.visit_some(self.inner(inner)),
            Value::Union(_) => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        match self.value {
            Value::Optional(_) => self.deserialize_any(visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        match self.value {
            Value::Float(float) if float.is_finite() && float.abs() > f64::from(f32::MAX) => {
                Err(Error::custom(format_args!("{float:e} is out of the range of f32")))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConversionError> {
        match self.value {
            Value::Record(record) => self.fields(record).deserialize_struct(name, fields, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConversionError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConversionError> {
        match (self.value, self.shape.map(|shape| shape.without_optionals().0)) {
            (Value::String(text), _) => visitor.visit_enum(BorrowedStrDeserializer::new(text)),
            (Value::Union(tagged), Some(Shape::Union { members, .. })) => {
                let place = members.iter().zip(0_u32..).find(|((tag, _), _)| *tag == tagged.tag);
                let Some(((_, shape), index)) = place else { return Err(self.mismatch(&visitor)) };
                let value = ValueDeserializer { value: &tagged.value, shape: Some(shape) };
                visitor.visit_enum(Member { index, value })
            }
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

/// Reads values with names as a struct, or as a tuple.
#[derive(Clone, Copy)]
pub(super) struct FieldsDeserializer<'de, 's> {
    pub(super) names: &'de [Arc<str>],
    pub(super) values: &'de [Value],
    /// Those of the values, where there is a union among them.
    pub(super) shapes: Option<&'s [Shape]>,
}

impl<'de> Deserializer<'de> for FieldsDeserializer<'de, '_> {
    type Error = ConversionError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        visitor.visit_map(Fields { fields: self, pending: None })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, ConversionError> {
        visitor.visit_seq(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConversionError> {
        // A struct that is read by position need not look each name up.
        if fields.len() == self.names.len()
            && fields.iter().zip(self.names).all(|(field, name)| *field == &**name)
        {
            return visitor.visit_seq(self);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        if self.names.is_empty() { visitor.visit_unit() } else { self.deserialize_any(visitor) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConversionError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit_struct seq
        tuple_struct map enum identifier ignored_any
    }
}

impl<'de, 's> FieldsDeserializer<'de, 's> {
    /// Takes the first field.
    fn next(&mut self) -> Option<(&'de str, ValueDeserializer<'de, 's>)> {
        let ((name, names), (value, values)) = self.names.split_first().zip(self.values.split_first())?;
        let (shape, shapes) = self.shapes.and_then(<[Shape]>::split_first).unzip();
        *self = Self { names, values, shapes };
        Some((name, ValueDeserializer { value, shape }))
    }
}

/// In order, without the names.
impl<'de> SeqAccess<'de> for FieldsDeserializer<'de, '_> {
    type Error = ConversionError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ConversionError> {
        let Some((name, value)) = self.next() else { return Ok(None) };
        seed.deserialize(value).map(Some).map_err(|error| error.within_field(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

struct Fields<'de, 's> {
    fields: FieldsDeserializer<'de, 's>,
    pending: Option<(&'de str, ValueDeserializer<'de, 's>)>,
}

impl<'de> MapAccess<'de> for Fields<'de, '_> {
    type Error = ConversionError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ConversionError> {
        self.pending = self.fields.next();
        self.pending.map(|(name, _)| seed.deserialize(BorrowedStrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ConversionError> {
        let (name, value) = self.pending.take().expect("serde asks for a key before its value");
        seed.deserialize(value).map_err(|error| error.within_field(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.values.len())
    }
}

struct Items<'de, 's> {
    rest: std::slice::Iter<'de, Value>,
    shape: Option<&'s Shape>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = ConversionError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ConversionError> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        let item = ValueDeserializer { value, shape: self.shape };
        seed.deserialize(item).map(Some).map_err(|error| error.within_index(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Pairs<'de, 's> {
    rest: std::slice::Iter<'de, (Value, Value)>,
    /// Of the values; a key is no union.
    shape: Option<&'s Shape>,
    value: Option<&'de (Value, Value)>,
}

impl<'de> MapAccess<'de> for Pairs<'de, '_> {
    type Error = ConversionError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ConversionError> {
        self.value = self.rest.next();
        self.value.map(|(key, _)| seed.deserialize(ValueDeserializer { value: key, shape: None })).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ConversionError> {
        let (key, value) = self.value.take().expect("serde asks for a key before its value");
        seed.deserialize(ValueDeserializer { value, shape: self.shape }).map_err(|error| match key {
            Value::String(text) => error.within_field(text),
            Value::Int(int) => error.within_field(&format!("[{int}]")),
            _ => error,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// A member of a union, as the variant of an enum in the same place.
struct Member<'de, 's> {
    index: u32,
    value: ValueDeserializer<'de, 's>,
}

impl<'de, 's> EnumAccess<'de> for Member<'de, 's> {
    type Error = ConversionError;
    type Variant = ValueDeserializer<'de, 's>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self::Variant), ConversionError> {
        Ok((seed.deserialize(U32Deserializer::new(self.index))?, self.value))
    }
}

/// What the variant carries.
impl<'de> VariantAccess<'de> for ValueDeserializer<'de, '_> {
    type Error = ConversionError;

    fn unit_variant(self) -> Result<(), ConversionError> {
        Err(Error::custom("a member of a union carries data, and the variant of the enum does not"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ConversionError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ConversionError> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConversionError> {
        self.deserialize_struct("", fields, visitor)
    }
}
