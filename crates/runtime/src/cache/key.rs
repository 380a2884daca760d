//! Which calls are equal.

use std::fmt;

use constellation_rehydrate::CachePolicy;
use constellation_types::{Record, Value};
use smallvec::SmallVec;

/// How many bytes of a call's arguments are looked at. What they share is counted each time, so that the cost is
/// bounded; a call with more is made without its cache.
const MAX_BYTES: usize = 1024 * 1024;

/// What equal calls have in common, and others do not: a BLAKE3 hash of the name of the cache, the module with its
/// version, the type of the result, and the arguments.
///
/// The order of the fields of a record does not matter, as it does not for the language. That of the entries of a map
/// does. `-0.0` and `0.0` are equal to the language, but a module can tell them apart, so they are different here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key of a call; none when its arguments are too large.
pub(super) fn of(policy: &CachePolicy, arguments: &[Value]) -> Option<CacheKey> {
    let mut encoder =
        Encoder { hasher: blake3::Hasher::new_derive_key("constellation call cache 1"), left: MAX_BYTES };
    encoder.text(policy.backend.as_deref().unwrap_or(super::IN_MEMORY))?;
    encoder.text(&policy.identity)?;
    encoder.number(arguments.len() as u64)?;
    arguments.iter().try_for_each(|argument| encoder.value(argument))?;
    Some(CacheKey(*encoder.hasher.finalize().as_bytes()))
}

/// Hashes values in a form that no two different values have in common: each part has its kind and its length before
/// it.
struct Encoder {
    hasher: blake3::Hasher,
    left: usize,
}

impl Encoder {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.left = self.left.checked_sub(bytes.len())?;
        self.hasher.update(bytes);
        Some(())
    }

    fn number(&mut self, number: u64) -> Option<()> {
        self.bytes(&number.to_le_bytes())
    }

    fn text(&mut self, text: &str) -> Option<()> {
        self.number(text.len() as u64)?;
        self.bytes(text.as_bytes())
    }

    /// The kind of a value, and how many parts follow.
    fn head(&mut self, kind: u8, parts: usize) -> Option<()> {
        self.bytes(&[kind])?;
        self.number(parts as u64)
    }

    /// Recurses as deep as the value's type.
    fn value(&mut self, value: &Value) -> Option<()> {
        match value {
            Value::String(text) => {
                self.bytes(b"s")?;
                self.text(text)
            }
            Value::Int(int) => {
                self.bytes(b"i")?;
                self.bytes(&int.to_le_bytes())
            }
            Value::Float(float) => {
                self.bytes(b"f")?;
                self.number(float.to_bits())
            }
            Value::Boolean(boolean) => self.bytes(&[b'b', u8::from(*boolean)]),
            Value::List(items) => {
                self.head(b'l', items.len())?;
                items.iter().try_for_each(|item| self.value(item))
            }
            Value::Map(pairs) => {
                self.head(b'm', pairs.len())?;
                pairs.iter().try_for_each(|(key, value)| {
                    self.value(key)?;
                    self.value(value)
                })
            }
            Value::Record(record) => self.record(record),
            Value::Optional(None) => self.bytes(b"n"),
            Value::Optional(Some(inner)) => {
                self.bytes(b"o")?;
                self.value(inner)
            }
            Value::Union(tagged) => {
                self.bytes(b"u")?;
                self.text(&tagged.tag)?;
                self.value(&tagged.value)
            }
        }
    }

    fn record(&mut self, record: &Record) -> Option<()> {
        self.head(b'r', record.values().len())?;
        let mut fields: SmallVec<[_; 8]> = record.iter().collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        fields.iter().try_for_each(|(name, value)| {
            self.text(name)?;
            self.value(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;

    fn policy(backend: Option<&str>, identity: &str) -> CachePolicy {
        CachePolicy {
            time_to_live: Duration::from_secs(1),
            backend: backend.map(Into::into),
            identity: identity.into(),
        }
    }

    fn key(arguments: &[Value]) -> Option<CacheKey> {
        of(&policy(None, "m 1.0 Int"), arguments)
    }

    #[test]
    fn different_calls_have_different_keys() {
        let text = Value::string;
        let map = |pairs: &[(i64, i64)]| {
            Value::Map(pairs.iter().map(|(key, value)| (Value::Int(*key), Value::Int(*value))).collect())
        };
        let calls: Vec<Vec<Value>> = vec![
            vec![],
            vec![text("")],
            vec![text("a"), text("b")],
            vec![text("ab"), text("")],
            vec![text(""), text("ab")],
            vec![Value::list([text("a"), text("b")])],
            vec![Value::list([text("a")]), text("b")],
            vec![Value::list([])],
            vec![Value::list([Value::list([])])],
            vec![Value::list([]), Value::list([])],
            vec![Value::Int(0)],
            vec![Value::Int(1)],
            vec![Value::Boolean(false)],
            vec![Value::Float(0.0)],
            vec![Value::Float(-0.0)],
            vec![Value::none()],
            vec![Value::some(Value::none())],
            vec![Value::some(Value::Int(0))],
            vec![Value::tagged("Int", Value::Int(0))],
            vec![Value::tagged("Count", Value::Int(0))],
            vec![map(&[(1, 2), (3, 4)])],
            vec![map(&[(3, 4), (1, 2)])],
            vec![Value::record([("a", Value::Int(1)), ("b", Value::Int(2))])],
            vec![Value::record([("a", Value::Int(2)), ("b", Value::Int(1))])],
            vec![Value::record([("a", Value::Int(1))])],
        ];
        let mut known = HashMap::new();
        for call in calls {
            let other = known.insert(key(&call).unwrap(), call.clone());
            assert_eq!(other, None, "and {call:?}");
        }
        for policy in [policy(Some("b"), "m 1.0 Int"), policy(None, "m 1.1 Int"), policy(None, "n 1.0 Int")] {
            let other = known.insert(of(&policy, &[]).unwrap(), vec![]);
            assert_eq!(other, None, "{policy:?}");
        }
    }

    #[test]
    fn equal_calls_have_equal_keys() {
        let ab = Value::record([("a", Value::Int(1)), ("b", Value::Int(2))]);
        let ba = Value::record([("b", Value::Int(2)), ("a", Value::Int(1))]);
        assert_eq!(key(&[Value::list([ab.clone()])]), key(&[Value::list([ba])]));
        let named = |name| of(&policy(name, "m 1.0 Int"), &[]);
        assert_eq!(
            named(None),
            named(Some("memory")),
            "the name of the runtime's own cache is no other cache"
        );
        assert_eq!(key(&[ab]).unwrap().to_string().len(), 64);
    }

    #[test]
    fn what_shares_exponentially_has_no_key_and_costs_little() {
        let mut value = Value::Int(1);
        for _ in 0..60 {
            value = Value::list([value.clone(), value]);
        }
        assert_eq!(key(&[value]), None);
        assert_eq!(key(&[Value::string("x".repeat(MAX_BYTES))]), None);
        assert!(key(&[Value::string("x".repeat(MAX_BYTES / 2))]).is_some());
    }
}
