//! An order of all values, for sorting them and for finding equal ones.

use std::cmp::Ordering;

use constellation_types::Value;

/// A value as a key. Numbers, strings and booleans are ordered as one expects, none before some, lists, records and
/// maps by their parts from the first to the last, and the values of a union by their tags first.
///
/// Keys are equal exactly when the values are, for values of one type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a>(pub(crate) &'a Value);

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.0, other.0)
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key<'_> {}

fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        // The sum makes one zero of the two, which are equal in the language.
        (Value::Float(left), Value::Float(right)) => (left + 0.0).total_cmp(&(right + 0.0)),
        (Value::Boolean(left), Value::Boolean(right)) => left.cmp(right),
        (Value::List(left), Value::List(right)) => compare_all(left, right),
        (Value::Map(left), Value::Map(right)) => left
            .iter()
            .map(|(key, value)| (Key(key), Key(value)))
            .cmp(right.iter().map(|(key, value)| (Key(key), Key(value)))),
        // Records of one type have their fields in one order.
        (Value::Record(left), Value::Record(right)) => {
            left.names().cmp(right.names()).then_with(|| compare_all(left.values(), right.values()))
        }
        (Value::Optional(left), Value::Optional(right)) => {
            left.as_deref().map(Key).cmp(&right.as_deref().map(Key))
        }
        (Value::Union(left), Value::Union(right)) => {
            left.tag.cmp(&right.tag).then_with(|| compare(&left.value, &right.value))
        }
        // Values of one type are of one kind.
        (left, right) => left.kind().cmp(right.kind()),
    }
}

fn compare_all(left: &[Value], right: &[Value]) -> Ordering {
    left.iter().map(Key).cmp(right.iter().map(Key))
}
