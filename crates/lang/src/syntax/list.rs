//! The lists of a syntax tree: arguments, fields, names and so on.
//!
//! A list is a range of what all lists of its kind of items are kept in together.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use super::{CallOption, Duration, ExpressionId, Name, Pattern, TextId, TypeId};

/// A list of a [`SyntaxTree`](super::SyntaxTree), which [`list`](super::SyntaxTree::list) gives the items of.
pub struct List<T> {
    start: u32,
    end: u32,
    items: PhantomData<fn() -> T>,
}

impl<T> List<T> {
    /// A list of nothing.
    pub(crate) const EMPTY: Self = Self { start: 0, end: 0, items: PhantomData };

    /// How many items the list has.
    pub fn len(self) -> usize {
        self.range().len()
    }

    /// Whether the list has no items.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

// Derived, these would ask the same of the items.

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<T> {}

impl<T> Eq for List<T> {}

impl<T> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        // A list of nothing is nowhere.
        self.range() == other.range() || (self.is_empty() && other.is_empty())
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.range())
    }
}

/// What a tree has lists of.
pub trait Item<'a>: Copy {
    /// The items of all lists of these.
    fn all<'l>(lists: &'l Lists<'a>) -> &'l Vec<Self>;

    /// The items of all lists of these, to be changed.
    fn all_mut<'l>(lists: &'l mut Lists<'a>) -> &'l mut Vec<Self>;
}

macro_rules! lists {
    ($($name:ident: $item:ty,)*) => {
        /// The items of all lists, by their types.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Lists<'a> {
            $($name: Vec<$item>,)*
        }

        $(impl<'a> Item<'a> for $item {
            fn all<'l>(lists: &'l Lists<'a>) -> &'l Vec<Self> {
                &lists.$name
            }

            fn all_mut<'l>(lists: &'l mut Lists<'a>) -> &'l mut Vec<Self> {
                &mut lists.$name
            }
        })*
    };
}

lists! {
    expressions: ExpressionId,
    pairs: (ExpressionId, ExpressionId),
    fields: (Name<'a>, ExpressionId),
    names: Name<'a>,
    texts: TextId,
    parameters: (Name<'a>, Option<TypeId>),
    cases: (Pattern<'a>, ExpressionId),
    options: CallOption<'a>,
    durations: Duration<'a>,
    types: TypeId,
    type_fields: (Name<'a>, TypeId),
}

impl<'a> Lists<'a> {
    /// Lists without items that have room for those of a usual program.
    pub(super) fn with_room_for(n_tokens: usize) -> Self {
        Self {
            expressions: Vec::with_capacity(n_tokens / 16),
            fields: Vec::with_capacity(n_tokens / 32),
            ..Self::default()
        }
    }

    /// A new list of all items that `from` has of this kind from `start` on, which it has no more then.
    #[inline]
    pub(crate) fn take<T: Item<'a>>(&mut self, from: &mut Lists<'a>, start: usize) -> List<T> {
        let from = T::all_mut(from);
        let list = self.add(from[start..].iter().copied());
        from.truncate(start);
        list
    }

    /// A new list.
    #[inline]
    pub(crate) fn add<T: Item<'a>>(&mut self, items: impl IntoIterator<Item = T>) -> List<T> {
        let all = T::all_mut(self);
        let start = place(all.len());
        // Most lists are short, and to reserve room for all of the items takes longer than to look for it at each.
        for item in items {
            all.push(item);
        }
        List { start, end: place(all.len()), items: PhantomData }
    }

    /// The list that was made last of its kind, with an item more.
    pub(crate) fn push<T: Item<'a>>(&mut self, list: List<T>, item: T) -> List<T> {
        let all = T::all_mut(self);
        assert_eq!(list.range().end, all.len(), "only the last list has room behind it");
        all.push(item);
        List { end: list.end + 1, ..list }
    }

    pub(super) fn forget_spans(&mut self) {
        // Destructured, so that a new list stops the build until someone decides whether it has places.
        let Self {
            expressions: _,
            pairs: _,
            fields,
            names,
            texts: _,
            parameters,
            cases,
            options,
            durations: _,
            types: _,
            type_fields,
        } = self;
        let fields = fields.iter_mut().map(|(name, _)| name);
        let parameters = parameters.iter_mut().map(|(name, _)| name);
        let type_fields = type_fields.iter_mut().map(|(name, _)| name);
        let names = names.iter_mut().chain(fields).chain(parameters).chain(type_fields);
        names.for_each(Name::forget_span);
        cases.iter_mut().map(|(pattern, _)| pattern).for_each(Pattern::forget_span);
        options.iter_mut().for_each(CallOption::forget_spans);
    }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).expect("a source of 1 MiB has fewer parts")
}
