//! A deserializer over values.

use std::sync::Arc;

use constellation_types::{Record, Value};
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::ConversionError;

/// Reads one value.
#[derive(Clone, Copy)]
pub(super) struct ValueDeserializer<'de>(pub(super) &'de Value);

impl<'de> ValueDeserializer<'de> {
    fn mismatch<V: Visitor<'de>>(self, visitor: &V) -> ConversionError {
        let unexpected = match self.0 {
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

impl<'de> Deserializer<'de> for ValueDeserializer<'de> {
    type Error = ConversionError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Int(int) => visitor.visit_i64(*int),
            Value::Float(float) => visitor.visit_f64(*float),
            Value::Boolean(boolean) => visitor.visit_bool(*boolean),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Value::Map(pairs) => visitor.visit_map(Pairs { pairs: pairs.iter(), value: None }),
            Value::Record(record) => visitor.visit_map(Fields::of(record)),
            Value::Optional(None) => visitor.visit_none(),
            Value::Optional(Some(inner)) => visitor.visit_some(ValueDeserializer(inner)),
            Value::Union(_) => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        match self.0 {
            Value::Optional(_) => self.deserialize_any(visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        match self.0 {
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
        match self.0 {
            Value::Record(record) => {
                let fields_of_record = FieldsDeserializer { names: record.names(), values: record.values() };
                fields_of_record.deserialize_struct(name, fields, visitor)
            }
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
        match self.0 {
            Value::String(text) => visitor.visit_enum(BorrowedStrDeserializer::new(text)),
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

/// Reads values with names as a struct.
#[derive(Clone, Copy)]
pub(super) struct FieldsDeserializer<'de> {
    pub(super) names: &'de [Arc<str>],
    pub(super) values: &'de [Value],
}

impl<'de> Deserializer<'de> for FieldsDeserializer<'de> {
    type Error = ConversionError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConversionError> {
        visitor.visit_map(Fields { names: self.names.iter(), values: self.values.iter(), pending: None })
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
            return visitor.visit_seq(InOrder { names: self.names.iter(), values: self.values.iter() });
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
        tuple tuple_struct map enum identifier ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ConversionError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ConversionError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(ValueDeserializer(item)).map(Some).map_err(|error| error.within_index(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Pairs<'de> {
    pairs: std::slice::Iter<'de, (Value, Value)>,
    value: Option<&'de (Value, Value)>,
}

impl<'de> MapAccess<'de> for Pairs<'de> {
    type Error = ConversionError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ConversionError> {
        self.value = self.pairs.next();
        self.value.map(|(key, _)| seed.deserialize(ValueDeserializer(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ConversionError> {
        let (key, value) = self.value.take().expect("serde asks for a key before its value");
        seed.deserialize(ValueDeserializer(value)).map_err(|error| match key {
            Value::String(text) => error.within_field(text),
            Value::Int(int) => error.within_field(&format!("[{int}]")),
            _ => error,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.pairs.len())
    }
}

struct Fields<'de> {
    names: std::slice::Iter<'de, Arc<str>>,
    values: std::slice::Iter<'de, Value>,
    pending: Option<(&'de str, &'de Value)>,
}

impl<'de> Fields<'de> {
    fn of(record: &'de Record) -> Self {
        Self { names: record.names().iter(), values: record.values().iter(), pending: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = ConversionError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ConversionError> {
        let Some((name, value)) = self.names.next().zip(self.values.next()) else { return Ok(None) };
        self.pending = Some((name, value));
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ConversionError> {
        let (name, value) = self.pending.take().expect("serde asks for a key before its value");
        seed.deserialize(ValueDeserializer(value)).map_err(|error| error.within_field(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.names.len())
    }
}

struct InOrder<'de> {
    names: std::slice::Iter<'de, Arc<str>>,
    values: std::slice::Iter<'de, Value>,
}

impl<'de> SeqAccess<'de> for InOrder<'de> {
    type Error = ConversionError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ConversionError> {
        let Some((name, value)) = self.names.next().zip(self.values.next()) else { return Ok(None) };
        seed.deserialize(ValueDeserializer(value)).map(Some).map_err(|error| error.within_field(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}
