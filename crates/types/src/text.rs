//! Values as text, in string interpolation.

use std::fmt::{self, Write};

use crate::Value;

/// Writes a value as interpolation does: strings as they are, lists as `[a, b]`, records and maps as
/// `{k: v}`, an optional as its inner text or nothing, a union as `(tag,value)`.
///
/// # Errors
///
/// Those of `out`.
pub fn write_text(value: &Value, out: &mut impl Write) -> fmt::Result {
    match value {
        Value::String(text) => out.write_str(text),
        Value::Int(int) => write!(out, "{int}"),
        Value::Float(float) => out.write_str(&format_float(*float)),
        Value::Boolean(boolean) => write!(out, "{boolean}"),
        Value::List(items) => {
            out.write_char('[')?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.write_str(", ")?;
                }
                write_text(item, out)?;
            }
            out.write_char(']')
        }
        Value::Map(pairs) => {
            write_fields(out, pairs.iter().map(|(key, value)| (key, value)), |key, out| write_text(key, out))
        }
        Value::Record(record) => write_fields(out, record.iter(), |name, out| out.write_str(name)),
        Value::Optional(None) => Ok(()),
        Value::Optional(Some(inner)) => write_text(inner, out),
        Value::Union(tagged) => {
            write!(out, "({},", tagged.tag)?;
            write_text(&tagged.value, out)?;
            out.write_char(')')
        }
    }
}

fn write_fields<'a, K, W: Write>(
    out: &mut W,
    fields: impl Iterator<Item = (K, &'a Value)>,
    write_key: impl Fn(K, &mut W) -> fmt::Result,
) -> fmt::Result {
    out.write_char('{')?;
    for (index, (key, value)) in fields.enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        write_key(key, out)?;
        out.write_str(": ")?;
        write_text(value, out)?;
    }
    out.write_char('}')
}

/// The shortest text that reads back as the same float, in the notation of the reference implementation (that of
/// Java): `12.0`, `0.1`, and `1.0E7` below 1e-3 or from 1e7.
pub fn format_float(float: f64) -> String {
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = float.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{float:?}");
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').expect("`{:e}` writes an exponent");
    let fraction = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{fraction}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_the_reference_prints_them() {
        for (float, text) in [
            (12.0, "12.0"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (1.5e10, "1.5E10"),
            (0.001, "0.001"),
            (1e-4, "1.0E-4"),
            (-2.5e-7, "-2.5E-7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(format_float(float), text);
        }
    }

    #[test]
    fn composites_print_their_parts() {
        let value = Value::record([
            ("name", Value::string("Ada")),
            ("tags", Value::list([Value::some(Value::Int(1)), Value::none()])),
            ("kind", Value::tagged("Int", Value::Int(3))),
        ]);
        let mut text = String::new();
        write_text(&value, &mut text).unwrap();
        assert_eq!(text, "{name: Ada, tags: [1, ], kind: (Int,3)}");
    }
}
