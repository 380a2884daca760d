//! Conversions from one type to another, worked out before anything runs.

use std::collections::HashMap;
use std::sync::Arc;

use constellation_types::{Field, RecordType, Type, UnionType};

use crate::relations::fits;
use crate::{FieldAccess, FieldNames};

/// How a value of one type becomes one of another. Its parts are shared as the types' are, so that it is no larger
/// than the type table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coercion {
    /// The value as it is.
    Keep,
    /// An `Int` becomes the nearest `Float`.
    IntToFloat,
    /// Each element of a list changes.
    Elements(Arc<Coercion>),
    /// What is in an optional changes.
    Inner(Arc<Coercion>),
    /// The keys and values of a map change.
    Entries {
        /// What changes of a key.
        key: Arc<Coercion>,
        /// What changes of a value.
        value: Arc<Coercion>,
    },
    /// A record loses fields, or has them in another order, or they change.
    Record {
        /// The names of the new record.
        names: FieldNames,
        /// Its values, in the same order.
        fields: Box<[FieldCoercion]>,
    },
    /// The value, changed, becomes a member of a union.
    Tag {
        /// The tag of the member.
        tag: Arc<str>,
        /// What changes first.
        value: Arc<Coercion>,
    },
    /// What the value of a union becomes depends on its tag.
    Members(Box<[MemberCoercion]>),
}

/// Where a field of a converted record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldCoercion {
    /// Where it is in the record as it was.
    pub access: FieldAccess,
    /// What changes of it.
    pub coercion: Arc<Coercion>,
}

/// What the value of a union becomes when it has a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberCoercion {
    /// The tag.
    pub tag: Arc<str>,
    /// What becomes of the member's value.
    pub coercion: Arc<Coercion>,
}

/// Works out conversions between types of one type table, each once.
#[derive(Debug)]
pub(crate) struct Coercions {
    keep: Arc<Coercion>,
    // Keyed by the addresses of what types share, which the type table keeps alive. Without it, types that double
    // forty times would be walked as trees.
    known: HashMap<(usize, usize), Option<Arc<Coercion>>>,
    names: HashMap<*const RecordType, FieldNames>,
    tags: HashMap<*const UnionType, FieldNames>,
}

impl Coercions {
    pub(crate) fn new() -> Self {
        Self {
            keep: Arc::new(Coercion::Keep),
            known: HashMap::new(),
            names: HashMap::new(),
            tags: HashMap::new(),
        }
    }

    /// The conversion that changes nothing.
    pub(crate) fn keep(&self) -> Arc<Coercion> {
        Arc::clone(&self.keep)
    }

    /// The names of the fields of a record type of the type table.
    pub(crate) fn names(&mut self, record: &Arc<RecordType>) -> FieldNames {
        Arc::clone(
            self.names
                .entry(Arc::as_ptr(record))
                .or_insert_with(|| record.fields().iter().map(|field| Arc::clone(&field.name)).collect()),
        )
    }

    /// The tags of the members of a union of the type table.
    pub(crate) fn tags(&mut self, union: &Arc<UnionType>) -> FieldNames {
        Arc::clone(
            self.tags
                .entry(Arc::as_ptr(union))
                .or_insert_with(|| union.members().iter().map(|member| member.to_string().into()).collect()),
        )
    }

    /// How a value of `from` becomes one of `to`; none when it cannot. Recurses as deep as the types.
    pub(crate) fn between(&mut self, from: &Type, to: &Type) -> Option<Arc<Coercion>> {
        let key = address(from).zip(address(to));
        if let Some(key) = key
            && let Some(known) = self.known.get(&key)
        {
            return known.clone();
        }
        let coercion = self.work_out(from, to);
        if let Some(key) = key {
            self.known.insert(key, coercion.clone());
        }
        coercion
    }

    fn work_out(&mut self, from: &Type, to: &Type) -> Option<Arc<Coercion>> {
        let same = |this: &Self, part: &Arc<Coercion>| Arc::ptr_eq(part, &this.keep);
        Some(match (from, to) {
            (Type::Nothing, _) => self.keep(),
            (Type::Int, Type::Float) => Arc::new(Coercion::IntToFloat),
            (Type::List(from), Type::List(to) | Type::Seq(to)) | (Type::Seq(from), Type::Seq(to)) => {
                let part = self.between(from, to)?;
                if same(self, &part) { part } else { Arc::new(Coercion::Elements(part)) }
            }
            (Type::Optional(from), Type::Optional(to)) => {
                let part = self.between(from, to)?;
                if same(self, &part) { part } else { Arc::new(Coercion::Inner(part)) }
            }
            // It is empty.
            (Type::Map(from_key, _), Type::Map(..)) if **from_key == Type::Nothing => self.keep(),
            // Another conversion of keys could make two of them one.
            (Type::Map(from_key, from), Type::Map(to_key, to)) if from_key.is_equivalent(to_key) => {
                let key = self.between(from_key, to_key)?;
                let value = self.between(from, to)?;
                if same(self, &key) && same(self, &value) {
                    self.keep()
                } else {
                    Arc::new(Coercion::Entries { key, value })
                }
            }
            (Type::Record(from), Type::Record(to)) => return self.between_records(from, to),
            (Type::Union(from_union), to) => {
                let tags = self.tags(from_union);
                let mut members = Vec::with_capacity(tags.len());
                for (tag, member) in tags.iter().zip(from_union.members()) {
                    members
                        .push(MemberCoercion { tag: Arc::clone(tag), coercion: self.between(member, to)? });
                }
                let unchanged = matches!(to, Type::Union(_))
                    && members.iter().all(|MemberCoercion { tag, coercion }| {
                        matches!(&**coercion, Coercion::Tag { tag: new, value }
                            if new == tag && same(self, value))
                    });
                if unchanged { self.keep() } else { Arc::new(Coercion::Members(members.into())) }
            }
            (from, Type::Union(to)) => {
                let (member, value) = self.member_for(from, to)?;
                Arc::new(Coercion::Tag { tag: Arc::clone(&self.tags(to)[member]), value })
            }
            (from, to) if fits(from, to) => self.keep(),
            _ => return None,
        })
    }

    fn between_records(&mut self, from: &Arc<RecordType>, to: &Arc<RecordType>) -> Option<Arc<Coercion>> {
        if Arc::ptr_eq(from, to) {
            return Some(self.keep());
        }
        let places: HashMap<&str, usize> =
            from.fields().iter().enumerate().map(|(place, field)| (&*field.name, place)).collect();
        let mut unchanged = from.fields().len() == to.fields().len();
        let mut fields = Vec::with_capacity(to.fields().len());
        for (place, Field { name, ty }) in to.fields().iter().enumerate() {
            let position = *places.get(&**name)?;
            let coercion = self.between(&from.fields()[position].ty, ty)?;
            unchanged &= position == place && Arc::ptr_eq(&coercion, &self.keep);
            fields.push(FieldCoercion { access: FieldAccess { position, name: Arc::clone(name) }, coercion });
        }
        Some(if unchanged {
            self.keep()
        } else {
            Arc::new(Coercion::Record { names: self.names(to), fields: fields.into() })
        })
    }

    /// The member of `union` that a value of `from` becomes: an equivalent one, else the first that it conforms to,
    /// else the first that it converts to.
    fn member_for(&mut self, from: &Type, union: &UnionType) -> Option<(usize, Arc<Coercion>)> {
        let members = union.members();
        let conforming = members
            .iter()
            .position(|member| from.is_equivalent(member))
            .or_else(|| members.iter().position(|member| from.is_subtype_of(member)));
        match conforming {
            Some(place) => Some((place, self.between(from, &members[place])?)),
            None => members
                .iter()
                .enumerate()
                .find_map(|(place, member)| Some((place, self.between(from, member)?))),
        }
    }
}

/// The address of what a type shares with its clones; none for a primitive type, which is compared at no cost.
fn address(ty: &Type) -> Option<usize> {
    match ty {
        Type::List(inner) | Type::Seq(inner) | Type::Optional(inner) | Type::Map(inner, _) => {
            Some(Arc::as_ptr(inner).addr())
        }
        Type::Record(record) => Some(Arc::as_ptr(record).addr()),
        Type::Union(union) => Some(Arc::as_ptr(union).addr()),
        Type::Function(function) => Some(Arc::as_ptr(function).addr()),
        Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean | Type::Variable(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(from: &Type, to: &Type) -> Option<Coercion> {
        Coercions::new().between(from, to).map(|coercion| (*coercion).clone())
    }

    #[test]
    fn equal_types_keep_their_values() {
        let user = Type::record([("id", Type::Int), ("tags", Type::list(Type::String))]);
        for ty in [
            Type::Int,
            Type::union([Type::Int, user.clone()]),
            Type::map(Type::String, user.clone()),
            Type::optional(Type::seq(user)),
        ] {
            assert_eq!(between(&ty, &ty.clone()), Some(Coercion::Keep), "{ty}");
        }
        assert_eq!(between(&Type::list(Type::Nothing), &Type::seq(Type::Int)), Some(Coercion::Keep));
    }

    #[test]
    fn a_value_takes_an_equivalent_member_before_one_that_it_conforms_to() {
        let ab = Type::record([("a", Type::Int), ("b", Type::Int)]);
        let a = Type::record([("a", Type::Int)]);
        let tag = |from: &Type, to: &Type| match between(from, to) {
            Some(Coercion::Tag { tag, .. }) => tag.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(tag(&ab, &Type::union([a.clone(), ab.clone()])), "{ a: Int, b: Int }");
        let wide = Type::record([("a", Type::Int), ("b", Type::Int), ("c", Type::Int)]);
        assert_eq!(tag(&wide, &Type::union([a, ab])), "{ a: Int }");
        assert_eq!(tag(&Type::Int, &Type::union([Type::String, Type::Float])), "Float");
    }

    #[test]
    fn a_union_keeps_its_tags_in_a_wider_union() {
        let narrow = Type::union([Type::Int, Type::String]);
        let wide = Type::union([Type::Boolean, Type::String, Type::Int]);
        assert_eq!(between(&narrow, &wide), Some(Coercion::Keep));
        assert_eq!(between(&wide, &narrow), None);
        let floats = Type::union([Type::Float, Type::String]);
        assert!(matches!(between(&narrow, &floats), Some(Coercion::Members(members)) if members.len() == 2));
    }

    #[test]
    fn nothing_becomes_an_optional_or_a_narrower_type_by_itself() {
        assert_eq!(between(&Type::Int, &Type::optional(Type::Int)), None);
        assert_eq!(between(&Type::Float, &Type::Int), None);
        assert_eq!(between(&Type::seq(Type::Int), &Type::list(Type::Int)), None);
        let a = Type::record([("a", Type::Int)]);
        assert_eq!(between(&a, &Type::record([("b", Type::Int)])), None);
        let map = |key: Type| Type::map(key, Type::Int);
        assert_eq!(between(&map(Type::Int), &map(Type::Float)), None);
        assert_eq!(between(&map(Type::Nothing), &Type::map(Type::Int, Type::String)), Some(Coercion::Keep));
    }

    #[test]
    fn types_that_double_at_each_level_are_walked_once_a_level() {
        let nest = |leaf: Type| (0..15).fold(leaf, |ty, _| Type::record([("x", ty.clone()), ("y", ty)]));
        let mut coercions = Coercions::new();
        assert!(coercions.between(&nest(Type::Int), &nest(Type::Float)).is_some());
        assert!(coercions.known.len() < 20, "{}", coercions.known.len());
    }
}
