//! The hashes that name and compare things. All are BLAKE3, and distinct types, so that one cannot stand for
//! another.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use constellation_types::{FunctionSignature, Type};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::canonical_json;

/// Text that is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 lower-case hexadecimal digits, got '{text}'")]
pub struct InvalidHash {
    /// The text as given, cut to 80 characters.
    pub text: String,
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 32 bytes in memory, 64 lower-case hexadecimal digits in text.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The hash with these bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes of the hash.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The BLAKE3 hash of `content`.
            pub fn of_bytes(content: &[u8]) -> Self {
                Self(*blake3::hash(content).as_bytes())
            }
        }

        impl $name {
            /// Its text, without an allocation.
            pub(crate) fn to_hex(self) -> impl std::ops::Deref<Target = str> {
                blake3::Hash::from_bytes(self.0).to_hex()
            }
        }

        impl Ord for $name {
            /// The order of the bytes. Ordered maps of hashes are searched by every commit, and the first eight bytes,
            /// compared as one number, nearly always tell.
            fn cmp(&self, other: &Self) -> Ordering {
                first_number(&self.0).cmp(&first_number(&other.0)).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidHash;

            fn from_str(text: &str) -> Result<Self, InvalidHash> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_hex())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::parsed::deserialize(deserializer)
            }
        }
    };
}

hash_type! {
    /// Names an image: the hash of the canonical JSON of its `dagSpec`.
    StructuralHash
}
hash_type! {
    /// Names a source text: the hash of its bytes.
    SourceHash
}
hash_type! {
    /// The hash of a program's tokens; comments and layout do not matter.
    SyntacticHash
}
hash_type! {
    /// The hash of what a compiler knew: its lowering version and the signatures that a program may use.
    RegistryHash
}
hash_type! {
    /// The hash of a module's signature, by which an image recognises the module it was compiled for.
    SignatureHash
}

/// The first bytes as a number that is ordered as they are.
fn first_number(bytes: &[u8; 32]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().expect("there are more than eight"))
}

/// Lower-case digits alone. An opening without the catalogue reads a dozen hashes for each pipeline, so there are no
/// branches for single digits.
fn parse_hex(text: &str) -> Result<[u8; 32], InvalidHash> {
    let invalid = || InvalidHash { text: text.chars().take(80).collect() };
    let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| invalid())?;
    let is_digit = |byte: &u8| byte.is_ascii_digit() | matches!(byte, b'a'..=b'f');
    if !digits.iter().fold(true, |all, digit| all & is_digit(digit)) {
        return Err(invalid());
    }
    let values = digits.map(|digit| (digit & 0xf) + if digit > b'9' { 9 } else { 0 });
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(values.as_chunks().0) {
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

/// What a compiled program is found again by: the program, and what the compiler knew.
///
/// Its text is `<syntactic>:<registry>`, a key of `syntactic-index.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyntacticKey {
    /// The hash of the program's tokens.
    pub syntactic: SyntacticHash,
    /// The hash of the signatures that it was compiled with.
    pub registry: RegistryHash,
}

impl fmt::Display for SyntacticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.syntactic, self.registry)
    }
}

impl FromStr for SyntacticKey {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let (syntactic, registry) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self { syntactic: syntactic.parse()?, registry: registry.parse()? })
    }
}

impl SignatureHash {
    /// The hash of what a call depends on: the module's name and major version, and the names and types of its
    /// parameters and results, in order. The order of the fields of a record type does not matter.
    pub fn of(signature: &FunctionSignature) -> Self {
        // Destructured, so that a new field stops the build until someone decides whether it counts. The names
        // under which source text finds the module are resolved at compile time and do not count.
        let FunctionSignature { name: _, namespace: _, module, major, parameters, results } = signature;
        let list = |parameters: &[constellation_types::Parameter]| {
            let entries = parameters.iter().map(|parameter| {
                let mut text = String::new();
                write_canonical_type(&parameter.ty, &mut text);
                serde_json::json!({ "name": &*parameter.name, "type": text })
            });
            serde_json::Value::Array(entries.collect())
        };
        let document = serde_json::json!({
            "name": &**module,
            "major": major,
            "params": list(parameters),
            "results": list(results),
        });
        Self::of_bytes(&canonical_json(&document))
    }
}

/// A type's text with the fields of records and the members of unions sorted.
fn write_canonical_type(ty: &Type, out: &mut String) {
    let mut list = |open: &str, mut parts: Vec<String>, sort: bool, separator: &str, close: &str| {
        if sort {
            parts.sort_unstable();
        }
        out.push_str(open);
        out.push_str(&parts.join(separator));
        out.push_str(close);
    };
    let text = |ty: &Type| {
        let mut text = String::new();
        write_canonical_type(ty, &mut text);
        text
    };
    match ty {
        Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean | Type::Variable(_) => {
            out.push_str(&ty.to_string());
        }
        Type::List(element) => list("List<", vec![text(element)], false, "", ">"),
        Type::Seq(element) => list("Seq<", vec![text(element)], false, "", ">"),
        Type::Optional(inner) => list("Optional<", vec![text(inner)], false, "", ">"),
        Type::Map(key, value) => list("Map<", vec![text(key), text(value)], false, ",", ">"),
        Type::Record(record) => {
            let fields = record.fields().iter().map(|field| format!("{}:{}", field.name, text(&field.ty)));
            list("{", fields.collect(), true, ",", "}");
        }
        Type::Union(union) => list("(", union.members().iter().map(text).collect(), true, "|", ")"),
        Type::Function(function) => {
            list("(", function.parameters.iter().map(text).collect(), false, ",", ")=>");
            out.push_str(&text(&function.result));
        }
    }
}

#[cfg(test)]
mod tests {
    use constellation_types::Parameter;

    use super::*;

    #[test]
    fn text_is_lower_case_hexadecimal_only() {
        let hash = StructuralHash::of_bytes(b"");
        assert_eq!(hash.to_string(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!(hash.to_string().to_uppercase().parse::<StructuralHash>().is_err());
        for text in ["", "af", &"g".repeat(64), &"a".repeat(65)] {
            assert!(text.parse::<StructuralHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn hashes_are_ordered_as_their_bytes_wherever_they_differ() {
        let middle = [0x80; 32];
        for place in 0..32 {
            for other in [0, 0x7f, 0x80, 0x81, 0xff] {
                let mut bytes = middle;
                bytes[place] = other;
                // What comes after the first difference does not count.
                if let Some(next) = bytes.get_mut(place + 1) {
                    *next = !other;
                }
                let [left, right] = [middle, bytes].map(StructuralHash::from_bytes);
                assert_eq!(left.cmp(&right), middle.cmp(&bytes), "{place} {other}");
                assert_eq!(right.partial_cmp(&left), Some(bytes.cmp(&middle)), "{place} {other}");
            }
        }
    }

    #[test]
    fn a_key_reads_back_from_its_text() {
        let key =
            SyntacticKey { syntactic: SyntacticHash::of_bytes(b"a"), registry: RegistryHash::of_bytes(b"b") };
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!("abc".parse::<SyntacticKey>().is_err());
    }

    #[test]
    fn a_signature_hash_covers_what_a_call_depends_on_and_no_more() {
        let signature = FunctionSignature {
            name: "enrich".into(),
            namespace: None,
            module: "Enrich".into(),
            major: 1,
            parameters: vec![Parameter {
                name: "order".into(),
                ty: Type::record([("id", Type::Int), ("note", Type::optional(Type::String))]),
            }],
            results: vec![Parameter { name: "out".into(), ty: Type::String }],
        };
        let hash = SignatureHash::of(&signature);

        let mut equal = signature.clone();
        equal.name = "other".into();
        equal.namespace = Some("shop".into());
        equal.parameters[0].ty = Type::record([("note", Type::optional(Type::String)), ("id", Type::Int)]);
        assert_eq!(SignatureHash::of(&equal), hash);

        let alterations: [fn(&mut FunctionSignature); 5] = [
            |signature| signature.module = "Enrich2".into(),
            |signature| signature.major = 2,
            |signature| signature.parameters[0].name = "o".into(),
            |signature| signature.parameters[0].ty = Type::Int,
            |signature| signature.results[0].ty = Type::Int,
        ];
        for alter in alterations {
            let mut changed = signature.clone();
            alter(&mut changed);
            assert_ne!(SignatureHash::of(&changed), hash, "{changed}");
        }
    }
}
