//! Canonical JSON of whatever serializes, without a [`Value`](serde_json::Value) in between.

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::{Error, Number, Value};

use super::writer::{CanonicalWriter, OpenObject};
use super::{write_number, write_string};

/// The canonical JSON of what `serde_json::to_value` makes of a value.
///
/// # Errors
///
/// Those of `value`, keys of maps that are not text, and numbers that JSON does not have. Among them are floats
/// that are not finite, which `to_value` turns into null.
pub(crate) fn to_canonical<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut writer = CanonicalWriter::with_capacity(1024);
    value.serialize(&mut writer)?;
    Ok(writer.out)
}

/// The text that `serde_json` makes of the key of a map.
fn key_text<T: Serialize + ?Sized>(key: &T) -> Result<String, Error> {
    let mut map = serde_json::value::Serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, &())?;
    let text = match SerializeMap::end(map)? {
        Value::Object(members) => members.into_iter().next().map(|(key, _)| key),
        _ => None,
    };
    text.ok_or_else(|| Error::custom("the key of a map is not text"))
}

fn number(writer: &mut CanonicalWriter, number: impl Into<Number>) {
    write_number(&number.into(), &mut writer.out);
}

impl<'a> Serializer for &'a mut CanonicalWriter {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Array<'a>;
    type SerializeTuple = Array<'a>;
    type SerializeTupleStruct = Array<'a>;
    type SerializeTupleVariant = Array<'a>;
    type SerializeMap = Object<'a>;
    type SerializeStruct = Object<'a>;
    type SerializeStructVariant = Object<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        number(self, value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        if let Ok(value) = u64::try_from(value) {
            return self.serialize_u64(value);
        }
        self.serialize_i64(i64::try_from(value).map_err(Error::custom)?)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        number(self, value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.serialize_u64(u64::try_from(value).map_err(Error::custom)?)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        let value = Number::from_f64(value).ok_or_else(|| Error::custom("a number is not finite"))?;
        number(self, value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        write_string(value, &mut self.out);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        open_variant(self, variant);
        value.serialize(&mut *self)?;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Array<'a>, Error> {
        Ok(Array::new(self, "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Array<'a>, Error> {
        Ok(Array::new(self, "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Array<'a>, Error> {
        Ok(Array::new(self, "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Array<'a>, Error> {
        open_variant(self, variant);
        Ok(Array::new(self, "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'a>, Error> {
        Ok(Object::new(self, false))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object<'a>, Error> {
        Ok(Object::new(self, false))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object<'a>, Error> {
        open_variant(self, variant);
        Ok(Object::new(self, true))
    }
}

/// Starts the object around the content of a variant.
fn open_variant(writer: &mut CanonicalWriter, variant: &str) {
    writer.out.push(b'{');
    write_string(variant, &mut writer.out);
    writer.out.push(b':');
}

/// An array that has not ended.
pub(crate) struct Array<'a> {
    writer: &'a mut CanonicalWriter,
    is_empty: bool,
    end: &'static str,
}

impl<'a> Array<'a> {
    fn new(writer: &'a mut CanonicalWriter, end: &'static str) -> Self {
        writer.out.push(b'[');
        Self { writer, is_empty: true, end }
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.out.push(b',');
        }
        value.serialize(&mut *self.writer)
    }

    fn close(self) {
        self.writer.out.extend_from_slice(self.end.as_bytes());
    }
}

/// The four traits of arrays differ in names only.
macro_rules! array {
    ($($part:ident::$method:ident),+) => {$(
        impl $part for Array<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )+};
}

array!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// An object that has not ended.
pub(crate) struct Object<'a> {
    writer: &'a mut CanonicalWriter,
    open: OpenObject,
    is_variant: bool,
}

impl<'a> Object<'a> {
    fn new(writer: &'a mut CanonicalWriter, is_variant: bool) -> Self {
        let open = writer.open();
        Self { writer, open, is_variant }
    }

    fn key(&mut self, key: &str) {
        self.writer.key(&mut self.open, key);
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)?;
        self.writer.end_member();
        Ok(())
    }

    fn close(self) {
        // As in a map, the last one of a key counts.
        let _ = self.writer.sort(&self.open);
        self.writer.close(&self.open);
        if self.is_variant {
            self.writer.out.push(b'}');
        }
    }
}

impl SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key(&key_text(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

/// The two traits of structs differ in names only.
macro_rules! object {
    ($($part:ident),+) => {$(
        impl $part for Object<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.key(key);
                self.value(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )+};
}

object!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests;
