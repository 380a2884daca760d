//! Whether a value of one type can stand for another as it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use constellation_types::{Field, RecordType, Type};

/// Whether each value of `from` is a value of `to` as it is, without a conversion.
///
/// This is narrower than subtyping: a record may have its fields in another order, but not more of them, and a union
/// may have more members, but no other tags.
pub(crate) fn fits(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Nothing, _)
        | (Type::String, Type::String)
        | (Type::Int, Type::Int)
        | (Type::Float, Type::Float)
        | (Type::Boolean, Type::Boolean) => true,
        (Type::List(from), Type::List(to) | Type::Seq(to))
        | (Type::Seq(from), Type::Seq(to))
        | (Type::Optional(from), Type::Optional(to)) => fits(from, to),
        (Type::Map(from_key, from), Type::Map(to_key, to)) => {
            // One without keys is empty.
            **from_key == Type::Nothing || (fits(from_key, to_key) && fits(from, to))
        }
        (Type::Record(from), Type::Record(to)) => {
            Arc::ptr_eq(from, to) || (from.fields().len() == to.fields().len() && fields_fit(from, to))
        }
        (Type::Union(from), Type::Union(to)) => {
            Arc::ptr_eq(from, to) || from.members().iter().all(|member| to.members().contains(member))
        }
        (from, to) => from == to,
    }
}

/// Whether each field of `from` fits the one of `to` that has its name; both have as many.
fn fields_fit(from: &RecordType, to: &RecordType) -> bool {
    let pairs = || from.fields().iter().zip(to.fields());
    if pairs().all(|(from, to)| from.name == to.name) {
        return pairs().all(|(from, to)| fits(&from.ty, &to.ty));
    }
    // Looking each field up by name in the list of fields is quadratic.
    let by_name: HashMap<&str, &Type> = to.fields().iter().map(|field| (&*field.name, &field.ty)).collect();
    from.fields().iter().all(|field| by_name.get(&*field.name).is_some_and(|ty| fits(&field.ty, ty)))
}

/// For each type of a type table, whether it holds data only: its values can be compared and written as text, since
/// they have no function in them.
pub(crate) fn data_types(types: &[Type]) -> Vec<bool> {
    let mut data = DataTypes::default();
    types.iter().map(|ty| data.contains(ty)).collect()
}

#[derive(Debug, Default)]
struct DataTypes {
    /// The records and unions that have been looked through. Types are compared by address, since looking through a
    /// wide record for each type that has it is quadratic.
    known: HashSet<*const ()>,
}

impl DataTypes {
    /// Whether the type has no function in it.
    fn contains(&mut self, ty: &Type) -> bool {
        match ty {
            Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean => true,
            Type::List(inner) | Type::Seq(inner) | Type::Optional(inner) => self.contains(inner),
            Type::Map(key, value) => self.contains(key) && self.contains(value),
            Type::Record(record) => {
                let address = Arc::as_ptr(record).cast();
                self.known.contains(&address)
                    || (record.fields().iter().all(|field| self.contains(&field.ty))
                        && self.known.insert(address))
            }
            Type::Union(union) => {
                let address = Arc::as_ptr(union).cast();
                self.known.contains(&address)
                    || (union.members().iter().all(|member| self.contains(member))
                        && self.known.insert(address))
            }
            Type::Function(_) | Type::Variable(_) => false,
        }
    }
}

/// What the type variables of a generic signature stand for in one call.
#[derive(Debug, Default)]
pub(crate) struct Instance<'a> {
    // A signature has one or two variables.
    variables: Vec<(&'a str, &'a Type)>,
}

impl<'a> Instance<'a> {
    /// Whether `actual` fits `parameter`, whose variables stand for what they stood for before, or now do.
    pub(crate) fn accepts(&mut self, parameter: &'a Type, actual: &'a Type) -> bool {
        match (parameter, actual) {
            (Type::Variable(name), actual) => {
                match self.variables.iter_mut().find(|(known, _)| *known == &**name) {
                    None => {
                        self.variables.push((name, actual));
                        true
                    }
                    Some((_, known)) if fits(known, actual) => {
                        *known = actual;
                        true
                    }
                    Some((_, known)) => fits(actual, known),
                }
            }
            (_, Type::Nothing) => true,
            (Type::List(parameter), Type::List(actual))
            | (Type::Seq(parameter), Type::List(actual) | Type::Seq(actual))
            | (Type::Optional(parameter), Type::Optional(actual)) => self.accepts(parameter, actual),
            (Type::Map(key, value), Type::Map(actual_key, actual)) => {
                self.accepts(key, actual_key) && self.accepts(value, actual)
            }
            (Type::Record(parameter), Type::Record(actual)) => {
                parameter.fields().len() == actual.fields().len()
                    && parameter.fields().iter().all(|Field { name, ty }| {
                        actual.get(name).is_some_and(|found| self.accepts(ty, found))
                    })
            }
            // Whether the function takes what the variables stand for in the end is not known yet.
            (Type::Function(parameter), Type::Function(actual)) => {
                parameter.parameters.len() == actual.parameters.len()
                    && parameter.parameters.iter().zip(&actual.parameters).all(|(p, a)| self.accepts(p, a))
                    && self.accepts(&parameter.result, &actual.result)
            }
            (parameter, actual) => fits(actual, parameter),
        }
    }

    /// The type with its variables replaced by what they stand for; none when one of them stands for nothing.
    pub(crate) fn apply(&self, ty: &Type) -> Option<Type> {
        Some(match ty {
            Type::Variable(name) => {
                let (_, known) = self.variables.iter().find(|(known, _)| *known == &**name)?;
                (*known).clone()
            }
            Type::List(inner) => Type::list(self.apply(inner)?),
            Type::Seq(inner) => Type::seq(self.apply(inner)?),
            Type::Optional(inner) => Type::optional(self.apply(inner)?),
            Type::Map(key, value) => Type::map(self.apply(key)?, self.apply(value)?),
            Type::Record(record) => Type::record(
                record
                    .fields()
                    .iter()
                    .map(|field| Some((Arc::clone(&field.name), self.apply(&field.ty)?)))
                    .collect::<Option<Vec<_>>>()?,
            ),
            Type::Union(union) => Type::union(
                union.members().iter().map(|member| self.apply(member)).collect::<Option<Vec<_>>>()?,
            ),
            Type::Function(function) => Type::function(
                function.parameters.iter().map(|ty| self.apply(ty)).collect::<Option<Vec<_>>>()?,
                self.apply(&function.result)?,
            ),
            Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean => ty.clone(),
        })
    }
}

/// Whether the type has a type variable in it.
pub(crate) fn is_generic(ty: &Type) -> bool {
    match ty {
        Type::Variable(_) => true,
        Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean => false,
        Type::List(inner) | Type::Seq(inner) | Type::Optional(inner) => is_generic(inner),
        Type::Map(key, value) => is_generic(key) || is_generic(value),
        Type::Record(record) => record.fields().iter().any(|field| is_generic(&field.ty)),
        Type::Union(union) => union.members().iter().any(is_generic),
        Type::Function(function) => {
            function.parameters.iter().any(is_generic) || is_generic(&function.result)
        }
    }
}
