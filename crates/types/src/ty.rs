//! The types of the language.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::bounds::Measure;

/// A type of the language. Cloning is cheap: composite types are shared.
///
/// `==` is identity, field and member order included, which is what an image's type table is keyed by. The
/// language's own notion of sameness is [`Type::is_equivalent`], which ignores the order of record fields and
/// union members.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// The type without values, of the elements of `[]`. A subtype of every type; it cannot be written.
    Nothing,
    /// UTF-8 text.
    String,
    /// Signed 64-bit integer.
    Int,
    /// IEEE 754 double.
    Float,
    /// `true` or `false`.
    Boolean,
    /// Ordered elements of one type.
    List(Arc<Type>),
    /// Like [`Type::List`], which is a subtype of it. Also written `Candidates<T>`.
    Seq(Arc<Type>),
    /// A value or none.
    Optional(Arc<Type>),
    /// Pairs of key and value in insertion order.
    Map(Arc<Type>, Arc<Type>),
    /// Named fields.
    Record(Arc<RecordType>),
    /// One of several types, told apart by a tag.
    Union(Arc<UnionType>),
    /// The type of a lambda; only parameters of higher-order functions have it. No [`Value`](crate::Value) is of
    /// such a type.
    Function(Arc<FunctionType>),
    /// A type parameter of a generic signature, such as the `T` of `filter`. Never the type of a value.
    Variable(Arc<str>),
}

/// A field of a [`RecordType`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its name, an identifier.
    pub name: Arc<str>,
    /// The type of its value.
    pub ty: Type,
}

/// The fields of a record type, in declaration order, each name once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordType {
    fields: Box<[Field]>,
    measure: Measure,
}

impl RecordType {
    /// A record type with these fields. Of several fields of one name the last wins, in the place of the first,
    /// as in the language.
    pub fn new(fields: impl IntoIterator<Item = Field>) -> Self {
        // To look through few names takes less than to make a map of them.
        const FEW: usize = 8;
        let fields = fields.into_iter();
        let mut unique: Vec<Field> = Vec::with_capacity(fields.size_hint().0);
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        for field in fields {
            let known = if unique.len() <= FEW {
                unique.iter().position(|known| known.name == field.name)
            } else {
                if places.is_empty() {
                    let names = unique.iter().map(|field| Arc::clone(&field.name));
                    places.extend(names.zip(0..));
                }
                places.get(&field.name).copied()
            };
            if let Some(place) = known {
                unique[place] = field;
                continue;
            }
            if !places.is_empty() {
                places.insert(Arc::clone(&field.name), unique.len());
            }
            unique.push(field);
        }
        let measure = Measure::of_parts(unique.iter().map(|field| &field.ty));
        Self { fields: unique.into_boxed_slice(), measure }
    }

    pub(crate) fn measure(&self) -> Measure {
        self.measure
    }

    /// The fields in declaration order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The type of the field `name`.
    pub fn get(&self, name: &str) -> Option<&Type> {
        self.fields.iter().find(|field| &*field.name == name).map(|field| &field.ty)
    }
}

/// The members of a union, in declaration order: two or more, none a union, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnionType {
    members: Box<[Type]>,
    measure: Measure,
}

impl UnionType {
    pub(crate) fn measure(&self) -> Measure {
        self.measure
    }

    /// The members in declaration order.
    pub fn members(&self) -> &[Type] {
        &self.members
    }

    /// The member whose tag is `tag`; a tag is the printed form of the member.
    pub fn member(&self, tag: &str) -> Option<&Type> {
        self.members.iter().find(|member| member.to_string() == tag)
    }
}

/// The type of a lambda.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunctionType {
    /// The types of the parameters.
    pub parameters: Box<[Type]>,
    /// The type of the body.
    pub result: Type,
}

impl Type {
    /// `List<element>`.
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    /// `Seq<element>`.
    pub fn seq(element: Type) -> Self {
        Self::Seq(Arc::new(element))
    }

    /// `Optional<inner>`.
    pub fn optional(inner: Type) -> Self {
        Self::Optional(Arc::new(inner))
    }

    /// `Map<key, value>`.
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    /// A record type; see [`RecordType::new`].
    ///
    /// ```
    /// # use constellation_types::Type;
    /// let user = Type::record([("name", Type::String), ("age", Type::Int)]);
    /// assert_eq!(user.to_string(), "{ name: String, age: Int }");
    /// ```
    pub fn record<N: Into<Arc<str>>>(fields: impl IntoIterator<Item = (N, Type)>) -> Self {
        let fields = fields.into_iter().map(|(name, ty)| Field { name: name.into(), ty });
        Self::Record(Arc::new(RecordType::new(fields)))
    }

    /// The union of `members`: nested unions are flattened and equivalent members dropped. One remaining member
    /// is returned as itself, none as [`Type::Nothing`].
    pub fn union(members: impl IntoIterator<Item = Type>) -> Self {
        fn add(unique: &mut Vec<Type>, member: Type) {
            if !unique.iter().any(|known| known.is_equivalent(&member)) {
                unique.push(member);
            }
        }
        let mut unique = Vec::new();
        for member in members {
            match member {
                Self::Union(nested) => {
                    for member in nested.members() {
                        add(&mut unique, member.clone());
                    }
                }
                Self::Nothing => {}
                member => add(&mut unique, member),
            }
        }
        match unique.len() {
            0 => Self::Nothing,
            1 => unique.remove(0),
            _ => {
                let measure = Measure::of_parts(&unique);
                Self::Union(Arc::new(UnionType { members: unique.into_boxed_slice(), measure }))
            }
        }
    }

    /// The type of a lambda.
    pub fn function(parameters: impl IntoIterator<Item = Type>, result: Type) -> Self {
        Self::Function(Arc::new(FunctionType { parameters: parameters.into_iter().collect(), result }))
    }

    /// A type parameter of a generic signature.
    pub fn variable(name: impl Into<Arc<str>>) -> Self {
        Self::Variable(name.into())
    }

    /// Whether it is a function or has one in it. Looks through the type as a tree, so that it is for types within
    /// bounds.
    pub fn has_function(&self) -> bool {
        match self {
            Self::Function(_) => true,
            Self::Nothing | Self::String | Self::Int | Self::Float | Self::Boolean | Self::Variable(_) => {
                false
            }
            Self::List(inner) | Self::Seq(inner) | Self::Optional(inner) => inner.has_function(),
            Self::Map(key, value) => key.has_function() || value.has_function(),
            Self::Record(record) => record.fields().iter().any(|field| field.ty.has_function()),
            Self::Union(union) => union.members().iter().any(Self::has_function),
        }
    }

    /// The record type, if it is one.
    pub fn as_record(&self) -> Option<&RecordType> {
        match self {
            Self::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The element type of a `List` or `Seq`.
    pub fn element(&self) -> Option<&Type> {
        match self {
            Self::List(element) | Self::Seq(element) => Some(element),
            _ => None,
        }
    }
}

/// The language's own syntax. Members of a union are sorted by their text, so that a tag does not depend on the
/// order in which a program declares them.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::String => f.write_str("String"),
            Self::Int => f.write_str("Int"),
            Self::Float => f.write_str("Float"),
            Self::Boolean => f.write_str("Boolean"),
            Self::List(element) => write!(f, "List<{element}>"),
            Self::Seq(element) => write!(f, "Seq<{element}>"),
            Self::Optional(inner) => write!(f, "Optional<{inner}>"),
            Self::Map(key, value) => write!(f, "Map<{key}, {value}>"),
            Self::Record(record) => {
                if record.fields().is_empty() {
                    return f.write_str("{  }");
                }
                f.write_str("{ ")?;
                for (index, field) in record.fields().iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{}: {}", field.name, field.ty)?;
                }
                f.write_str(" }")
            }
            Self::Union(union) => {
                let mut texts: Vec<String> = union.members().iter().map(ToString::to_string).collect();
                texts.sort_unstable();
                f.write_str(&texts.join(" | "))
            }
            Self::Function(function) => {
                f.write_str("(")?;
                for (index, parameter) in function.parameters.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{parameter}")?;
                }
                write!(f, ") => {}", function.result)
            }
            Self::Variable(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_field_keeps_the_last_type() {
        let ty = Type::record([("a", Type::Int), ("b", Type::Int), ("a", Type::String)]);
        assert_eq!(ty.to_string(), "{ a: String, b: Int }");
        assert_eq!(Type::record::<&str>([]).to_string(), "{  }");
    }

    #[test]
    fn a_repeated_field_of_many_keeps_the_last_type_in_the_place_of_the_first() {
        let names: Vec<String> = (0..40).map(|index| format!("f{}", index % 20)).collect();
        let fields = names.iter().enumerate();
        let fields = fields.map(|(index, name)| (&**name, if index < 20 { Type::Int } else { Type::String }));
        let Type::Record(record) = Type::record(fields) else { panic!("it is a record") };
        let found: Vec<&str> = record.fields().iter().map(|field| &*field.name).collect();
        assert_eq!(found, names[..20]);
        assert!(record.fields().iter().all(|field| field.ty == Type::String));
    }

    #[test]
    fn a_union_is_flat_and_prints_sorted() {
        let nested = Type::union([Type::String, Type::Int]);
        let union = Type::union([Type::Boolean, nested, Type::Int]);
        assert_eq!(union.to_string(), "Boolean | Int | String");
        let Type::Union(union) = union else { panic!("three members remain") };
        assert_eq!(union.members(), [Type::Boolean, Type::String, Type::Int]);
        assert_eq!(union.member("String"), Some(&Type::String));
        assert_eq!(Type::union([Type::Int, Type::Int]), Type::Int);
    }
}
