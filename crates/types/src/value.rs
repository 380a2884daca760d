//! The values of the language.

use std::sync::Arc;

/// A value. Cloning is cheap: everything larger than a number is shared.
///
/// A value does not carry its type; who holds it knows the type from the pipeline or the signature.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of `String`.
    String(Arc<str>),
    /// Of `Int`.
    Int(i64),
    /// Of `Float`. Pipelines never see a non-finite one.
    Float(f64),
    /// Of `Boolean`.
    Boolean(bool),
    /// Of `List` and `Seq`.
    List(Arc<[Value]>),
    /// Of `Map`: pairs in insertion order, each key once.
    Map(Arc<[(Value, Value)]>),
    /// Of a record.
    Record(Arc<Record>),
    /// Of `Optional`.
    Optional(Option<Arc<Value>>),
    /// Of a union.
    Union(Arc<Tagged>),
}

/// The value of a union: a member's value, and the member's printed form as tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged {
    /// The printed form of the member type.
    pub tag: Arc<str>,
    /// The value, of that type.
    pub value: Value,
}

/// The value of a record: names and values in the order of the record type's fields.
#[derive(Debug, Clone)]
pub struct Record {
    names: Arc<[Arc<str>]>,
    values: Box<[Value]>,
}

impl Record {
    /// A record of `names` with `values` in the same order. The names are shared by all records of one type.
    ///
    /// # Panics
    ///
    /// When the lengths differ.
    pub fn new(names: Arc<[Arc<str>]>, values: impl Into<Box<[Value]>>) -> Self {
        let values = values.into();
        assert_eq!(names.len(), values.len(), "a record has one value for each name");
        Self { names, values }
    }

    /// The names of the fields.
    pub fn names(&self) -> &Arc<[Arc<str>]> {
        &self.names
    }

    /// The values of the fields, in the order of the names.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value of the field `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.names.iter().position(|known| &**known == name).map(|index| &self.values[index])
    }

    /// The fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> {
        self.names.iter().zip(&self.values)
    }
}

/// Records are equal when they have the same fields with equal values, in whatever order.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.names, &other.names) || self.names == other.names {
            return self.values == other.values;
        }
        self.names.len() == other.names.len()
            && self.iter().all(|(name, value)| other.get(name).is_some_and(|other| value == other))
    }
}

impl Value {
    /// A string.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// A list.
    pub fn list(items: impl IntoIterator<Item = Value>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// A record; for many records of one type, share the names with [`Record::new`].
    ///
    /// ```
    /// # use constellation_types::Value;
    /// let user = Value::record([("name", Value::string("Ada")), ("age", Value::Int(36))]);
    /// assert_eq!(user.field("age"), Some(&Value::Int(36)));
    /// ```
    pub fn record<N: Into<Arc<str>>>(fields: impl IntoIterator<Item = (N, Value)>) -> Self {
        let (names, values): (Vec<Arc<str>>, Vec<Value>) =
            fields.into_iter().map(|(name, value)| (name.into(), value)).unzip();
        Self::Record(Arc::new(Record::new(names.into(), values)))
    }

    /// An optional with a value.
    pub fn some(value: Value) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// An optional without a value.
    pub fn none() -> Self {
        Self::Optional(None)
    }

    /// A member of a union.
    pub fn tagged(tag: impl Into<Arc<str>>, value: Value) -> Self {
        Self::Union(Arc::new(Tagged { tag: tag.into(), value }))
    }

    /// The field `name`, when this is a record that has it.
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Record(record) => record.get(name),
            _ => None,
        }
    }

    /// The kind of value, for messages: `String`, `Int`, `List`, `Record` and so on.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "String",
            Self::Int(_) => "Int",
            Self::Float(_) => "Float",
            Self::Boolean(_) => "Boolean",
            Self::List(_) => "List",
            Self::Map(_) => "Map",
            Self::Record(_) => "Record",
            Self::Optional(_) => "Optional",
            Self::Union(_) => "Union",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_equal_whatever_the_order_of_fields() {
        let ab = Value::record([("a", Value::Int(1)), ("b", Value::Int(2))]);
        let ba = Value::record([("b", Value::Int(2)), ("a", Value::Int(1))]);
        assert_eq!(ab, ba);
        assert_ne!(ab, Value::record([("a", Value::Int(1))]));
        assert_ne!(ab, Value::record([("a", Value::Int(1)), ("c", Value::Int(2))]));
    }

    #[test]
    fn a_value_is_small() {
        assert!(size_of::<Value>() <= 24);
    }
}
