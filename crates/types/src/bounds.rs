//! Bounds on types, so that every walk over one is short and shallow.

use crate::Type;

/// How deep a type may nest. Every walk over a type recurses at most this deep.
pub const MAX_TYPE_DEPTH: u32 = 256;

/// How large a type may be, written out as a tree. Types share their parts, so that forty declarations can
/// spell a tree of 2^40 nodes.
pub const MAX_TYPE_SIZE: u64 = 100_000;

/// A type past [`MAX_TYPE_DEPTH`] or [`MAX_TYPE_SIZE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("type is too large: {size} nodes and {depth} levels, at most {MAX_TYPE_SIZE} and {MAX_TYPE_DEPTH}")]
pub struct TypeTooLarge {
    /// Nodes of the type as a tree.
    pub size: u64,
    /// Levels of nesting.
    pub depth: u32,
}

impl Type {
    /// Checks the bounds of a type whose parts are known to be within them.
    ///
    /// # Errors
    ///
    /// [`TypeTooLarge`] with the measures. The walk stops soon after the bound, so the size told is at least
    /// the bound, not the whole.
    pub fn check_bounds(&self) -> Result<(), TypeTooLarge> {
        let mut measure = TypeTooLarge { size: 0, depth: 0 };
        self.measure(1, &mut measure);
        if measure.size > MAX_TYPE_SIZE || measure.depth > MAX_TYPE_DEPTH { Err(measure) } else { Ok(()) }
    }

    fn measure(&self, depth: u32, measure: &mut TypeTooLarge) {
        measure.size += 1;
        measure.depth = measure.depth.max(depth);
        if measure.size > MAX_TYPE_SIZE || measure.depth > MAX_TYPE_DEPTH {
            return;
        }
        match self {
            Self::Nothing | Self::String | Self::Int | Self::Float | Self::Boolean | Self::Variable(_) => {}
            Self::List(inner) | Self::Seq(inner) | Self::Optional(inner) => inner.measure(depth + 1, measure),
            Self::Map(key, value) => {
                key.measure(depth + 1, measure);
                value.measure(depth + 1, measure);
            }
            Self::Record(record) => {
                for field in record.fields() {
                    field.ty.measure(depth + 1, measure);
                }
            }
            Self::Union(union) => {
                for member in union.members() {
                    member.measure(depth + 1, measure);
                }
            }
            Self::Function(function) => {
                for parameter in &function.parameters {
                    parameter.measure(depth + 1, measure);
                }
                function.result.measure(depth + 1, measure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubling_type_is_caught_early() {
        let mut ty = Type::Int;
        for _ in 0..40 {
            ty = Type::record([("x", ty.clone()), ("y", ty)]);
        }
        let error = ty.check_bounds().unwrap_err();
        assert!(error.size > MAX_TYPE_SIZE && error.size < 2 * MAX_TYPE_SIZE, "{error}");
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nest = |levels: u32| (1..levels).fold(Type::Int, |ty, _| Type::list(ty));
        assert!(nest(MAX_TYPE_DEPTH).check_bounds().is_ok());
        assert!(nest(MAX_TYPE_DEPTH + 1).check_bounds().is_err());
    }
}
