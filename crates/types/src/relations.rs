//! Relations between types: subtyping, least upper bound, merge.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Field, RecordType, Type, UnionType};

/// Two types that `+` cannot merge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Cannot merge types: {left} + {right}")]
pub struct IncompatibleMerge {
    /// The left operand's type.
    pub left: Type,
    /// The right operand's type.
    pub right: Type,
}

impl Type {
    /// Whether every value of this type can stand where `other` is expected.
    ///
    /// Records have width and depth subtyping; `List<A>` is below `Seq<B>` when `A` is below `B`, and not the
    /// other way round. Maps are compared by value, with the same keys; one without keys is empty, and below every
    /// map. `Int` is not below `Float`, nor `T` below `Optional<T>`.
    pub fn is_subtype_of(&self, other: &Type) -> bool {
        match (self, other) {
            (Self::Nothing, _) => true,
            (Self::Union(left), right) => left.members().iter().all(|member| member.is_subtype_of(right)),
            (left, Self::Union(right)) => right.members().iter().any(|member| left.is_subtype_of(member)),
            (Self::List(left), Self::List(right) | Self::Seq(right))
            | (Self::Seq(left), Self::Seq(right))
            | (Self::Optional(left), Self::Optional(right)) => {
                Arc::ptr_eq(left, right) || left.is_subtype_of(right)
            }
            (Self::Map(left_key, left), Self::Map(right_key, right)) => {
                **left_key == Self::Nothing
                    || (left_key.is_equivalent(right_key) && left.is_subtype_of(right))
            }
            (Self::Record(left), Self::Record(right)) => {
                Arc::ptr_eq(left, right) || all_fields(left, right, Type::is_subtype_of)
            }
            (Self::Function(left), Self::Function(right)) => {
                left.parameters.len() == right.parameters.len()
                    && right.parameters.iter().zip(&left.parameters).all(|(r, l)| r.is_subtype_of(l))
                    && left.result.is_subtype_of(&right.result)
            }
            (left, right) => left == right,
        }
    }

    /// Whether the language takes both for the same type: equal but for the order of record fields and union
    /// members.
    pub fn is_equivalent(&self, other: &Type) -> bool {
        // Not subtyping both ways: a map compares its keys for equivalence, so that would double at each level.
        match (self, other) {
            (Self::List(left), Self::List(right))
            | (Self::Seq(left), Self::Seq(right))
            | (Self::Optional(left), Self::Optional(right)) => {
                Arc::ptr_eq(left, right) || left.is_equivalent(right)
            }
            (Self::Map(left_key, left), Self::Map(right_key, right)) => {
                left_key.is_equivalent(right_key) && left.is_equivalent(right)
            }
            (Self::Record(left), Self::Record(right)) => {
                Arc::ptr_eq(left, right)
                    || (left.fields().len() == right.fields().len()
                        && all_fields(left, right, Type::is_equivalent))
            }
            (Self::Union(left), Self::Union(right)) => {
                let within = |member: &Type, union: &UnionType| {
                    union.members().iter().any(|other| member.is_equivalent(other))
                };
                Arc::ptr_eq(left, right)
                    || (left.members().len() == right.members().len()
                        && left.members().iter().all(|member| within(member, right)))
            }
            (Self::Function(left), Self::Function(right)) => {
                left.parameters.len() == right.parameters.len()
                    && left.parameters.iter().zip(&right.parameters).all(|(l, r)| l.is_equivalent(r))
                    && left.result.is_equivalent(&right.result)
            }
            (left, right) => left == right,
        }
    }
}

/// Whether each field of `right` is in `left`, with types that relate.
fn all_fields(left: &RecordType, right: &RecordType, relate: fn(&Type, &Type) -> bool) -> bool {
    // Records of one shape are the common case, and looking each field up by name is quadratic.
    if left.fields().len() == right.fields().len()
        && left.fields().iter().zip(right.fields()).all(|(l, r)| l.name == r.name)
    {
        return left.fields().iter().zip(right.fields()).all(|(l, r)| relate(&l.ty, &r.ty));
    }
    let by_name: HashMap<&str, &Type> = left.fields().iter().map(|field| (&*field.name, &field.ty)).collect();
    right.fields().iter().all(|field| by_name.get(&*field.name).is_some_and(|ty| relate(ty, &field.ty)))
}

/// The type of a value that is either a `left` or a `right`: the higher of the two where they are related, else
/// their union.
pub fn least_upper_bound(left: &Type, right: &Type) -> Type {
    if left.is_subtype_of(right) {
        right.clone()
    } else if right.is_subtype_of(left) {
        left.clone()
    } else {
        Type::union([left.clone(), right.clone()])
    }
}

/// The type of `left + right` on records: the union of the fields, where the right side wins. A list of records
/// is merged element by element, a record into each element.
///
/// # Errors
///
/// [`IncompatibleMerge`] for all other pairs, a `List` with a `Seq` among them.
pub fn merge_types(left: &Type, right: &Type) -> Result<Type, IncompatibleMerge> {
    let incompatible = || IncompatibleMerge { left: left.clone(), right: right.clone() };
    let record = |ty: &Type| match ty {
        Type::Record(record) => Ok(Arc::clone(record)),
        _ => Err(incompatible()),
    };
    match (left, right) {
        (Type::Record(left), Type::Record(right)) => Ok(merge_records(left, right)),
        (Type::List(left), Type::List(right)) => {
            Ok(Type::list(merge_records(&*record(left)?, &*record(right)?)))
        }
        (Type::Seq(left), Type::Seq(right)) => {
            Ok(Type::seq(merge_records(&*record(left)?, &*record(right)?)))
        }
        (Type::List(left), Type::Record(right)) => Ok(Type::list(merge_records(&*record(left)?, right))),
        (Type::Seq(left), Type::Record(right)) => Ok(Type::seq(merge_records(&*record(left)?, right))),
        (Type::Record(left), Type::List(right)) => Ok(Type::list(merge_records(left, &*record(right)?))),
        (Type::Record(left), Type::Seq(right)) => Ok(Type::seq(merge_records(left, &*record(right)?))),
        _ => Err(incompatible()),
    }
}

fn merge_records(left: &RecordType, right: &RecordType) -> Type {
    let fields: Vec<Field> = left.fields().iter().chain(right.fields()).cloned().collect();
    Type::Record(Arc::new(RecordType::new(fields)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ab() -> Type {
        Type::record([("a", Type::Int), ("b", Type::String)])
    }

    #[test]
    fn records_have_width_and_depth_subtyping() {
        let a = Type::record([("a", Type::Int)]);
        assert!(ab().is_subtype_of(&a));
        assert!(!a.is_subtype_of(&ab()));
        assert!(ab().is_equivalent(&Type::record([("b", Type::String), ("a", Type::Int)])));
        assert!(Type::list(Type::Nothing).is_subtype_of(&Type::seq(a)));
    }

    #[test]
    fn a_map_without_keys_is_below_every_map_and_other_keys_do_not_vary() {
        let empty = Type::map(Type::Nothing, Type::Nothing);
        let ages = Type::map(Type::String, Type::Int);
        assert!(empty.is_subtype_of(&ages));
        assert!(!ages.is_subtype_of(&empty));
        assert!(Type::map(Type::Nothing, Type::Float).is_subtype_of(&ages));
        assert!(!Type::map(Type::String, Type::Nothing).is_subtype_of(&Type::map(Type::Int, Type::Int)));
        let key = |fields: &[(&'static str, Type)]| Type::map(Type::record(fields.to_vec()), Type::Int);
        assert!(!key(&[("a", Type::Int), ("b", Type::Int)]).is_subtype_of(&key(&[("a", Type::Int)])));
        assert_eq!(least_upper_bound(&ages, &empty), ages);
    }

    #[test]
    fn equivalence_of_deep_maps_takes_no_longer_than_their_depth() {
        let nest = || (0..200).fold(Type::Int, |key, _| Type::map(key, Type::String));
        assert!(nest().is_equivalent(&nest()));
        assert!(nest().is_subtype_of(&nest()));
        assert!(!nest().is_equivalent(&Type::map(Type::Int, Type::String)));
    }

    #[test]
    fn a_union_is_below_a_wider_union() {
        let narrow = Type::union([Type::Int, Type::String]);
        let wide = Type::union([Type::String, Type::Boolean, Type::Int]);
        assert!(narrow.is_subtype_of(&wide));
        assert!(!wide.is_subtype_of(&narrow));
        assert!(Type::Int.is_subtype_of(&narrow));
    }

    #[test]
    fn nothing_converts_by_itself() {
        assert!(!Type::Int.is_subtype_of(&Type::Float));
        assert!(!Type::Int.is_subtype_of(&Type::optional(Type::Int)));
        assert!(!Type::seq(Type::Int).is_subtype_of(&Type::list(Type::Int)));
        assert!(Type::list(Type::Int).is_subtype_of(&Type::seq(Type::Int)));
    }

    #[test]
    fn least_upper_bound_prefers_the_higher_type() {
        let a = Type::record([("a", Type::Int)]);
        assert_eq!(least_upper_bound(&ab(), &a), a);
        assert_eq!(least_upper_bound(&Type::Int, &Type::String).to_string(), "Int | String");
    }

    #[test]
    fn the_right_side_of_a_merge_wins() {
        let right = Type::record([("b", Type::Int), ("c", Type::Int)]);
        let merged = merge_types(&ab(), &right).unwrap();
        assert_eq!(merged.to_string(), "{ a: Int, b: Int, c: Int }");
        assert_eq!(merge_types(&Type::list(ab()), &right).unwrap(), Type::list(merged));
        assert!(merge_types(&Type::list(ab()), &Type::seq(right)).is_err());
    }
}
