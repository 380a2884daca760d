//! A serializer to values, guided by a type.

use std::cmp::Ordering;
use std::sync::Arc;

use constellation_types::{Record, Value};
use serde::ser::{
    Error, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, Serializer,
};

use super::{ConversionError, Shape};

impl Shape {
    pub(crate) fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Value, ConversionError> {
        value.serialize(ValueSerializer(self))
    }
}

fn wrap(value: Value, optionals: usize) -> Value {
    (0..optionals).fold(value, |value, _| Value::some(value))
}

#[derive(Clone, Copy)]
struct ValueSerializer<'s>(&'s Shape);

impl ValueSerializer<'_> {
    fn integer(self, int: i64) -> Result<Value, ConversionError> {
        let (shape, optionals) = self.0.without_optionals();
        match shape {
            Shape::Int => Ok(wrap(Value::Int(int), optionals)),
            #[expect(
                clippy::cast_precision_loss,
                reason = "the nearest float is what the language converts to"
            )]
            Shape::Float => Ok(wrap(Value::Float(int as f64), optionals)),
            shape => Err(shape.mismatch(format_args!("the integer {int}"))),
        }
    }

    fn text(self, text: &str) -> Result<Value, ConversionError> {
        let (shape, optionals) = self.0.without_optionals();
        match shape {
            Shape::String => Ok(wrap(Value::string(text), optionals)),
            shape => Err(shape.mismatch("a string")),
        }
    }
}

impl<'s> ValueSerializer<'s> {
    /// The tag and the shape of a variant that carries data, and how many optionals are around it.
    fn variant(
        self,
        name: &str,
        index: u32,
        variant: &str,
    ) -> Result<(&'s Arc<str>, &'s Shape, usize), ConversionError> {
        let (shape, optionals) = self.0.without_optionals();
        let member = match shape {
            Shape::Union { members, .. } => usize::try_from(index).ok().and_then(|index| members.get(index)),
            _ => None,
        };
        let (tag, shape) =
            member.ok_or_else(|| shape.mismatch(format_args!("{name}::{variant}, which carries data")))?;
        Ok((tag, shape, optionals))
    }
}

impl<'s> Serializer for ValueSerializer<'s> {
    type Ok = Value;
    type Error = ConversionError;
    type SerializeSeq = ListSerializer<'s>;
    type SerializeTuple = ListSerializer<'s>;
    type SerializeTupleStruct = ListSerializer<'s>;
    type SerializeTupleVariant = Impossible<Value, ConversionError>;
    type SerializeMap = MapSerializer<'s>;
    type SerializeStruct = RecordSerializer<'s>;
    type SerializeStructVariant = RecordSerializer<'s>;

    fn serialize_bool(self, boolean: bool) -> Result<Value, ConversionError> {
        let (shape, optionals) = self.0.without_optionals();
        match shape {
            Shape::Boolean => Ok(wrap(Value::Boolean(boolean), optionals)),
            shape => Err(shape.mismatch("a boolean")),
        }
    }

    fn serialize_i8(self, int: i8) -> Result<Value, ConversionError> {
        self.integer(int.into())
    }

    fn serialize_i16(self, int: i16) -> Result<Value, ConversionError> {
        self.integer(int.into())
    }

    fn serialize_i32(self, int: i32) -> Result<Value, ConversionError> {
        self.integer(int.into())
    }

    fn serialize_i64(self, int: i64) -> Result<Value, ConversionError> {
        self.integer(int)
    }

    fn serialize_u8(self, int: u8) -> Result<Value, ConversionError> {
        self.integer(int.into())
    }

    fn serialize_u16(self, int: u16) -> Result<Value, ConversionError> {
        self.integer(int.into())
    }

    fn serialize_u32(self, int: u32) -> Result<Value, ConversionError> {
        self.integer(int.into())
    }

    fn serialize_u64(self, int: u64) -> Result<Value, ConversionError> {
        match i64::try_from(int) {
            Ok(int) => self.integer(int),
            Err(_) => {
                Err(ConversionError::custom(format_args!("{int} is above the largest Int, {}", i64::MAX)))
            }
        }
    }

    fn serialize_f32(self, float: f32) -> Result<Value, ConversionError> {
        self.serialize_f64(float.into())
    }

    fn serialize_f64(self, float: f64) -> Result<Value, ConversionError> {
        let (shape, optionals) = self.0.without_optionals();
        match shape {
            Shape::Float if float.is_finite() => Ok(wrap(Value::Float(float), optionals)),
            Shape::Float => Err(ConversionError::custom(format_args!("a Float is finite, got {float}"))),
            shape => Err(shape.mismatch("a float")),
        }
    }

    fn serialize_char(self, character: char) -> Result<Value, ConversionError> {
        self.text(character.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<Value, ConversionError> {
        self.text(text)
    }

    fn serialize_bytes(self, _bytes: &[u8]) -> Result<Value, ConversionError> {
        Err(self.0.mismatch("bytes"))
    }

    fn serialize_none(self) -> Result<Value, ConversionError> {
        match self.0 {
            Shape::Optional(_) => Ok(Value::none()),
            shape => Err(shape.mismatch("none")),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ConversionError> {
        match self.0 {
            Shape::Optional(inner) => inner.encode(value).map(Value::some),
            shape => shape.encode(value),
        }
    }

    fn serialize_unit(self) -> Result<Value, ConversionError> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<Value, ConversionError> {
        Err(self.0.mismatch(format_args!("the unit struct {name}")))
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Value, ConversionError> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Value, ConversionError> {
        self.0.encode(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, ConversionError> {
        let (tag, shape, optionals) = self.variant(name, index, variant)?;
        Ok(wrap(Value::tagged(Arc::clone(tag), shape.encode(value)?), optionals))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<ListSerializer<'s>, ConversionError> {
        let (shape, optionals) = self.0.without_optionals();
        match shape {
            // A length is only a hint, so it reserves little.
            Shape::List(element) => Ok(ListSerializer {
                element,
                items: Vec::with_capacity(length.unwrap_or(0).min(1024)),
                optionals,
            }),
            shape => Err(shape.mismatch("a list")),
        }
    }

    fn serialize_tuple(self, length: usize) -> Result<ListSerializer<'s>, ConversionError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        length: usize,
    ) -> Result<ListSerializer<'s>, ConversionError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Impossible<Value, ConversionError>, ConversionError> {
        Err(self.0.mismatch(format_args!("{name}::{variant}, which carries data")))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<MapSerializer<'s>, ConversionError> {
        let (shape, optionals) = self.0.without_optionals();
        match shape {
            Shape::Map(key, value) => {
                Ok(MapSerializer::Map { key, value, pairs: Vec::new(), pending: None, optionals })
            }
            Shape::Record { .. } => {
                Ok(MapSerializer::Record { record: self.serialize_struct("", 0)?, pending: None })
            }
            shape => Err(shape.mismatch("a map")),
        }
    }

    fn serialize_struct(
        self,
        name: &'static str,
        _length: usize,
    ) -> Result<RecordSerializer<'s>, ConversionError> {
        let (shape, optionals) = self.0.without_optionals();
        match shape {
            Shape::Record { names, fields } => {
                let values = vec![None; names.len()];
                Ok(RecordSerializer { names, fields, values, next: 0, tag: None, optionals })
            }
            shape => Err(shape.mismatch(format_args!("the struct {name}"))),
        }
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<RecordSerializer<'s>, ConversionError> {
        let (tag, shape, optionals) = self.variant(name, index, variant)?;
        let record = ValueSerializer(shape).serialize_struct(variant, length)?;
        Ok(RecordSerializer { tag: Some(tag), optionals, ..record })
    }
}

struct ListSerializer<'s> {
    element: &'s Shape,
    items: Vec<Value>,
    optionals: usize,
}

impl ListSerializer<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConversionError> {
        let index = self.items.len();
        self.items.push(self.element.encode(value).map_err(|error| error.within_index(index))?);
        Ok(())
    }

    fn finish(self) -> Value {
        wrap(Value::List(self.items.into()), self.optionals)
    }
}

impl SerializeSeq for ListSerializer<'_> {
    type Ok = Value;
    type Error = ConversionError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConversionError> {
        self.push(value)
    }

    fn end(self) -> Result<Value, ConversionError> {
        Ok(self.finish())
    }
}

impl SerializeTuple for ListSerializer<'_> {
    type Ok = Value;
    type Error = ConversionError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConversionError> {
        self.push(value)
    }

    fn end(self) -> Result<Value, ConversionError> {
        Ok(self.finish())
    }
}

impl SerializeTupleStruct for ListSerializer<'_> {
    type Ok = Value;
    type Error = ConversionError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConversionError> {
        self.push(value)
    }

    fn end(self) -> Result<Value, ConversionError> {
        Ok(self.finish())
    }
}

/// Of a map, or of a record written as a map.
enum MapSerializer<'s> {
    Map {
        key: &'s Shape,
        value: &'s Shape,
        pairs: Vec<(Value, Value)>,
        pending: Option<Value>,
        optionals: usize,
    },
    Record {
        record: RecordSerializer<'s>,
        pending: Option<Value>,
    },
}

impl SerializeMap for MapSerializer<'_> {
    type Ok = Value;
    type Error = ConversionError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, new: &T) -> Result<(), ConversionError> {
        match self {
            Self::Map { key, pending, .. } => *pending = Some(key.encode(new)?),
            Self::Record { pending, .. } => *pending = Some(Shape::String.encode(new)?),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, new: &T) -> Result<(), ConversionError> {
        const KEY_FIRST: &str = "serde writes a key before its value";
        match self {
            Self::Map { value, pairs, pending, .. } => {
                let key = pending.take().expect(KEY_FIRST);
                let new = value.encode(new).map_err(|error| match &key {
                    Value::String(text) => error.within_field(text),
                    Value::Int(int) => error.within_field(&format!("[{int}]")),
                    _ => error,
                })?;
                pairs.push((key, new));
            }
            Self::Record { record, pending } => {
                let Some(Value::String(name)) = pending.take() else { unreachable!("{KEY_FIRST}") };
                record.put(&name, new)?;
            }
        }
        Ok(())
    }

    fn end(self) -> Result<Value, ConversionError> {
        match self {
            Self::Map { mut pairs, optionals, .. } => {
                pairs.sort_by(|(left, _), (right, _)| compare_keys(left, right));
                // Of equal keys the last wins; `dedup_by` keeps the first of its run.
                pairs.reverse();
                pairs.dedup_by(|(left, _), (right, _)| left == right);
                pairs.reverse();
                Ok(wrap(Value::Map(pairs.into()), optionals))
            }
            Self::Record { record, .. } => record.finish(),
        }
    }
}

fn compare_keys(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        _ => Ordering::Equal,
    }
}

struct RecordSerializer<'s> {
    names: &'s Arc<[Arc<str>]>,
    fields: &'s [Shape],
    values: Vec<Option<Value>>,
    /// Where the next field is, when they come in the order of the type.
    next: usize,
    /// Of a member of a union.
    tag: Option<&'s Arc<str>>,
    optionals: usize,
}

impl RecordSerializer<'_> {
    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), ConversionError> {
        let index = match self.names.get(self.next) {
            Some(expected) if &**expected == name => self.next,
            _ => self.names.iter().position(|known| &**known == name).ok_or_else(|| {
                ConversionError::custom(format_args!("the field '{name}' is not in the type of the record"))
            })?,
        };
        self.next = index + 1;
        let value = self.fields[index].encode(value).map_err(|error| error.within_field(name))?;
        self.values[index] = Some(value);
        Ok(())
    }

    fn finish(self) -> Result<Value, ConversionError> {
        let values = self
            .values
            .into_iter()
            .enumerate()
            .map(|(index, value)| match (value, &self.fields[index]) {
                (Some(value), _) => Ok(value),
                (None, Shape::Optional(_)) => Ok(Value::none()),
                (None, _) => {
                    Err(ConversionError::custom(format_args!("missing field '{}'", self.names[index])))
                }
            })
            .collect::<Result<Box<[Value]>, ConversionError>>()?;
        let record = Value::Record(Arc::new(Record::new(Arc::clone(self.names), values)));
        let value = match self.tag {
            Some(tag) => Value::tagged(Arc::clone(tag), record),
            None => record,
        };
        Ok(wrap(value, self.optionals))
    }
}

impl SerializeStruct for RecordSerializer<'_> {
    type Ok = Value;
    type Error = ConversionError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ConversionError> {
        self.put(name, value)
    }

    fn end(self) -> Result<Value, ConversionError> {
        self.finish()
    }
}

impl SerializeStructVariant for RecordSerializer<'_> {
    type Ok = Value;
    type Error = ConversionError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ConversionError> {
        self.put(name, value)
    }

    fn end(self) -> Result<Value, ConversionError> {
        self.finish()
    }
}
