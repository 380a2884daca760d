//! Bounds on types, so that every walk over one is short and shallow.

use crate::Type;

/// How deep a type may nest. Every walk over a type recurses at most this deep.
pub const MAX_TYPE_DEPTH: u32 = 256;

/// How large a type may be, written out as a tree. Types share their parts, so that forty declarations can
/// spell a tree of 2^40 nodes.
pub const MAX_TYPE_SIZE: u64 = 100_000;

/// A type past [`MAX_TYPE_DEPTH`] or [`MAX_TYPE_SIZE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("type is too large: {size} parts in {depth} levels, at most {MAX_TYPE_SIZE} in {MAX_TYPE_DEPTH}")]
pub struct TypeTooLarge {
    /// Parts of the type, written out as a tree.
    pub size: u64,
    /// Levels of nesting.
    pub depth: u32,
}

/// How large a type is as a tree. Records and unions know theirs, so that measuring does not walk what types share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Measure {
    size: u64,
    depth: u32,
}

impl Measure {
    const LEAF: Self = Self { size: 1, depth: 1 };

    pub(crate) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a Type>) -> Self {
        parts.into_iter().fold(Self::LEAF, |whole, part| {
            let part = Self::of(part);
            Self {
                size: whole.size.saturating_add(part.size),
                depth: whole.depth.max(part.depth.saturating_add(1)),
            }
        })
    }

    fn of(ty: &Type) -> Self {
        match ty {
            Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean | Type::Variable(_) => {
                Self::LEAF
            }
            Type::List(inner) | Type::Seq(inner) | Type::Optional(inner) => Self::of_parts([&**inner]),
            Type::Map(key, value) => Self::of_parts([&**key, &**value]),
            Type::Record(record) => record.measure(),
            Type::Union(union) => union.measure(),
            Type::Function(function) => {
                Self::of_parts(function.parameters.iter().chain(std::iter::once(&function.result)))
            }
        }
    }
}

impl Type {
    /// Checks the bounds of a type whose parts are within them.
    ///
    /// # Errors
    ///
    /// [`TypeTooLarge`] with the measures.
    pub fn check_bounds(&self) -> Result<(), TypeTooLarge> {
        let Measure { size, depth } = Measure::of(self);
        if size > MAX_TYPE_SIZE || depth > MAX_TYPE_DEPTH {
            Err(TypeTooLarge { size, depth })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubling_type_is_measured_without_walking_it() {
        let mut ty = Type::Int;
        for _ in 0..40 {
            ty = Type::record([("x", ty.clone()), ("y", ty)]);
        }
        assert_eq!(ty.check_bounds(), Err(TypeTooLarge { size: (1 << 41) - 1, depth: 41 }));
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nest = |levels: u32| (1..levels).fold(Type::Int, |ty, _| Type::list(ty));
        assert!(nest(MAX_TYPE_DEPTH).check_bounds().is_ok());
        assert!(nest(MAX_TYPE_DEPTH + 1).check_bounds().is_err());
    }
}
