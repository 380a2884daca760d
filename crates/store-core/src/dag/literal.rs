//! Constants of a program, as text that keeps them exactly.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A constant. Numbers are written as text, `{"int": "9007199254740993"}`, because readers of JSON take numbers
/// for doubles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Literal {
    /// Decimal digits, without leading zeros or a plus sign.
    Int(#[serde(with = "int_text")] i64),
    /// The shortest text that reads back as the same finite double, as Rust writes it: `12.0`, `1e16`, `-0.0`.
    Float(#[serde(with = "float_text")] f64),
    /// Text.
    String(String),
    /// `true` or `false`.
    Bool(bool),
}

mod int_text {
    //! An integer as text.

    use super::{Deserialize, Deserializer, Serializer, canonical};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(int: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(int)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        canonical(&text, text.parse().ok(), i64::to_string)
    }
}

mod float_text {
    //! A float as text.

    use super::{Deserialize, Deserializer, Serializer, canonical};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(float: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if !float.is_finite() {
            return Err(serde::ser::Error::custom("a float literal is finite"));
        }
        serializer.collect_str(&format_args!("{float:?}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        canonical(&text, text.parse().ok().filter(|float: &f64| float.is_finite()), |float| {
            format!("{float:?}")
        })
    }
}

/// The number, when `text` is the one way to write it: two texts of one number would be two hashes of one program.
fn canonical<T, E: serde::de::Error>(
    text: &str,
    number: Option<T>,
    print: impl Fn(&T) -> String,
) -> Result<T, E> {
    number
        .filter(|number| print(number) == text)
        .ok_or_else(|| E::custom(format_args!("'{text}' is not the canonical text of a number")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Result<Literal, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn numbers_are_exact_and_have_one_spelling() {
        for text in [
            r#"{"int":"9007199254740993"}"#,
            r#"{"int":"-9223372036854775808"}"#,
            r#"{"float":"-0.0"}"#,
            r#"{"float":"0.1"}"#,
            r#"{"float":"1e16"}"#,
            r#"{"string":"1"}"#,
            r#"{"bool":true}"#,
        ] {
            assert_eq!(serde_json::to_string(&decode(text).unwrap()).unwrap(), text);
        }
        for text in [
            r#"{"int":"007"}"#,
            r#"{"int":"+1"}"#,
            r#"{"int":"-0"}"#,
            r#"{"int":"9223372036854775808"}"#,
            r#"{"int":1}"#,
            r#"{"float":"1"}"#,
            r#"{"float":"0.10"}"#,
            r#"{"float":"inf"}"#,
            r#"{"float":"NaN"}"#,
            r#"{"float":"1e999"}"#,
            r#"{"null":null}"#,
        ] {
            assert!(decode(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_reads_back(int in any::<i64>(), float in prop::num::f64::ANY) {
            let literal = Literal::Int(int);
            prop_assert_eq!(decode(&serde_json::to_string(&literal).unwrap()).unwrap(), literal);
            let literal = Literal::Float(float);
            match serde_json::to_string(&literal) {
                Ok(text) => prop_assert_eq!(decode(&text).unwrap(), literal),
                Err(_) => prop_assert!(!float.is_finite()),
            }
        }
    }
}
