//! How many bytes of values a run may make.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use constellation_types::{Type, UnionType, Value};

/// What a value takes by itself, without what it refers to.
const VALUE: u64 = size_of::<Value>() as u64;

/// What a shared allocation takes beside its content: two counters and the allocator's own.
const ALLOCATION: u64 = 32;

/// Bytes of values that a run may still make. The accounting is approximate: it counts what is made, not what is
/// still held.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Left,
    limit: u64,
    /// The tags of unions that were met, by the address of the union: printing a type for each value is slow. The
    /// types are those of the pipeline, which outlives its run.
    tags: HashMap<usize, Vec<String>>,
}

#[derive(Debug)]
enum Left {
    /// For the only part of a run.
    Alone(u64),
    /// For all parts of a run.
    Shared(Arc<AtomicU64>),
}

/// The budget of a run for any number of its parts.
#[derive(Debug)]
pub(crate) struct SharedBudget {
    left: Arc<AtomicU64>,
    limit: u64,
}

impl SharedBudget {
    /// For one more part.
    pub(crate) fn for_part(&self) -> Budget {
        Budget { left: Left::Shared(Arc::clone(&self.left)), limit: self.limit, tags: HashMap::new() }
    }
}

/// The budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// A value that is not one of a type, or too large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    Mismatch { expected: String, found: &'static str },
    Exhausted,
}

impl From<Exhausted> for Refused {
    fn from(Exhausted: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self { left: Left::Alone(limit), limit, tags: HashMap::new() }
    }

    /// The same budget for other parts of the run. From then on it takes an atomic operation to charge it.
    pub(crate) fn share(&mut self) -> SharedBudget {
        let left = match &self.left {
            Left::Alone(left) => Arc::new(AtomicU64::new(*left)),
            Left::Shared(left) => Arc::clone(left),
        };
        self.left = Left::Shared(Arc::clone(&left));
        SharedBudget { left, limit: self.limit }
    }

    fn left(&self) -> u64 {
        match &self.left {
            Left::Alone(left) => *left,
            Left::Shared(left) => left.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Exhausted> {
        let charge = |left: u64| left.checked_sub(bytes);
        match &mut self.left {
            Left::Alone(left) => *left = charge(*left).ok_or(Exhausted)?,
            Left::Shared(left) => {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge).map_err(|_| Exhausted)?;
            }
        }
        Ok(())
    }

    pub(crate) fn charge_text(&mut self, length: usize) -> Result<(), Exhausted> {
        self.charge(ALLOCATION + length as u64)
    }

    /// A list, record or map with this many values directly in it.
    pub(crate) fn charge_values(&mut self, values: usize) -> Result<(), Exhausted> {
        self.charge(ALLOCATION + VALUE.saturating_mul(values as u64))
    }

    /// How many bytes a value would be charged for, up to a limit, if it is one of `ty`.
    pub(crate) fn measure(value: &Value, ty: &Type, limit: u64) -> Result<u64, Refused> {
        let mut budget = Self::new(limit);
        budget.admit(value, ty)?;
        Ok(limit - budget.left())
    }

    fn member<'t>(&mut self, union: &'t Arc<UnionType>, tag: &str) -> Option<&'t Type> {
        let members = union.members();
        let tags = self
            .tags
            .entry(Arc::as_ptr(union).addr())
            .or_insert_with(|| members.iter().map(ToString::to_string).collect());
        tags.iter().position(|known| known == tag).map(|place| &members[place])
    }

    /// Text within the budget, charged when it is complete.
    pub(crate) fn text(&self) -> BoundedText {
        BoundedText { text: String::new(), limit: usize::try_from(self.left()).unwrap_or(usize::MAX) }
    }

    /// Whether a value is admitted. Why it is not is for [`Budget::admit`] to say, which refuses it again.
    #[inline]
    pub(crate) fn admits(&mut self, value: &Value, ty: &Type) -> bool {
        if let (Value::Int(_), Type::Int) = (value, ty) {
            return true;
        }
        match (value, ty) {
            (Value::Boolean(_), Type::Boolean) => true,
            (Value::Float(float), Type::Float) => float.is_finite(),
            (Value::String(text), Type::String) => self.charge_text(text.len()).is_ok(),
            _ => self.admit(value, ty).is_ok(),
        }
    }

    /// Checks that a value from outside is one of `ty`, so that nothing that uses it need check again, and charges
    /// its whole size. Recurses as deep as the type.
    pub(crate) fn admit(&mut self, value: &Value, ty: &Type) -> Result<(), Refused> {
        match (value, ty) {
            (Value::Int(_), Type::Int)
            | (Value::Boolean(_), Type::Boolean)
            | (Value::Optional(None), Type::Optional(_)) => Ok(()),
            (Value::Float(float), Type::Float) if float.is_finite() => Ok(()),
            (Value::Float(_), Type::Float) => {
                Err(Refused::Mismatch { expected: ty.to_string(), found: "a Float that is not finite" })
            }
            (Value::String(text), Type::String) => Ok(self.charge_text(text.len())?),
            (Value::List(items), Type::List(element) | Type::Seq(element)) => {
                self.charge_values(items.len())?;
                items.iter().try_for_each(|item| self.admit(item, element))
            }
            (Value::Map(pairs), Type::Map(key_type, value_type)) => {
                self.charge_values(2 * pairs.len())?;
                pairs.iter().try_for_each(|(key, value)| {
                    self.admit(key, key_type)?;
                    self.admit(value, value_type)
                })
            }
            (Value::Record(record), Type::Record(fields))
                if record.values().len() == fields.fields().len() =>
            {
                self.charge_values(record.values().len())?;
                for ((name, value), field) in record.iter().zip(fields.fields()) {
                    let ty = if *name == field.name { Some(&field.ty) } else { fields.get(name) };
                    let Some(ty) = ty else {
                        return Err(Refused::Mismatch {
                            expected: fields_text(ty_names(fields)),
                            found: "a Record with other fields",
                        });
                    };
                    self.admit(value, ty)?;
                }
                Ok(())
            }
            (Value::Optional(Some(inner)), Type::Optional(ty)) => {
                self.charge_values(1)?;
                self.admit(inner, ty)
            }
            (Value::Union(tagged), Type::Union(union)) => {
                self.charge_values(2)?;
                match self.member(union, &tagged.tag) {
                    Some(member) => self.admit(&tagged.value, member),
                    None => Err(Refused::Mismatch { expected: ty.to_string(), found: "another tag" }),
                }
            }
            (value, ty) => Err(Refused::Mismatch { expected: ty.to_string(), found: value.kind() }),
        }
    }
}

fn ty_names(record: &constellation_types::RecordType) -> impl Iterator<Item = &str> {
    record.fields().iter().map(|field| &*field.name)
}

fn fields_text<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("a record of {}", names.collect::<Vec<_>>().join(", "))
}

/// A string that refuses to grow past a length: printing what a value shares can take exponential space.
#[derive(Debug)]
pub(crate) struct BoundedText {
    text: String,
    limit: usize,
}

impl BoundedText {
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

impl fmt::Write for BoundedText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if part.len() > self.limit - self.text.len() {
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(value: &Value, ty: &Type) -> Result<(), Refused> {
        Budget::new(10_000).admit(value, ty)
    }

    #[test]
    fn a_value_of_another_type_is_refused_wherever_it_stands() {
        let user = Type::record([("id", Type::Int), ("name", Type::optional(Type::String))]);
        let good = Value::record([("name", Value::some(Value::string("Ada"))), ("id", Value::Int(1))]);
        assert_eq!(admit(&good, &user), Ok(()));
        let ty = Type::map(Type::String, Type::seq(user));
        let map = |value| Value::Map([(Value::string("k"), Value::list([value]))].into());
        assert_eq!(admit(&map(good), &ty), Ok(()));
        for bad in [
            Value::record([("id", Value::Int(1))]),
            Value::record([("id", Value::Int(1)), ("nick", Value::none())]),
            Value::record([("id", Value::Int(1)), ("name", Value::string("Ada"))]),
            Value::Int(1),
        ] {
            assert!(matches!(admit(&map(bad.clone()), &ty), Err(Refused::Mismatch { .. })), "{bad:?}");
        }
        let union = Type::union([Type::Int, Type::String]);
        assert_eq!(admit(&Value::tagged("Int", Value::Int(1)), &union), Ok(()));
        assert!(admit(&Value::tagged("Int", Value::string("")), &union).is_err());
        assert!(admit(&Value::tagged("Float", Value::Float(1.0)), &union).is_err());
        assert!(admit(&Value::Float(f64::NAN), &Type::Float).is_err());
    }

    #[test]
    fn a_value_that_shares_exponentially_is_refused_in_linear_time() {
        let (mut value, mut ty) = (Value::Int(1), Type::Int);
        for _ in 0..60 {
            value = Value::list([value.clone(), value]);
            ty = Type::list(ty);
        }
        assert_eq!(admit(&value, &ty), Err(Refused::Exhausted));
    }
}
