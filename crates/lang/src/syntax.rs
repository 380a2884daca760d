//! The syntax tree.
//!
//! All of a tree is in a few flat lists, the parts of which refer to each other by index. So no walk and no drop of a
//! tree needs more stack than the bound on nesting allows, and no part of it needs memory of its own: to make a tree
//! is to append, and to drop it is to free a handful of allocations, however long the program is. Chains of operators
//! are long to the left only, and `??` and `else if` chains are single nodes.

mod list;

use std::borrow::Cow;
use std::num::NonZeroU32;

pub use self::list::{Item, List, Lists};
use crate::span::Span;

/// How deep brackets, branches and bodies may nest.
pub const MAX_NESTING: u32 = 256;

/// How deep an expression may nest, operators in right operands included.
pub(crate) const MAX_HEIGHT: u16 = 1024;

/// The place of an expression in its [`SyntaxTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExpressionId(NonZeroU32);

impl ExpressionId {
    /// The place at an index. It is never zero, so that an operand or a failure fits in a register.
    #[inline]
    pub(crate) fn at(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("a source of 1 MiB has fewer expressions"))
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// The place of a type expression in its [`SyntaxTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeId(pub(crate) u32);

/// The place of a call in its [`SyntaxTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(pub(crate) u32);

/// The place of the text of a string, or of a part of one, in its [`SyntaxTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextId(pub(crate) u32);

/// A parsed program.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyntaxTree<'a> {
    /// The declarations in the order of the text.
    pub declarations: Vec<Declaration<'a>>,
    pub(crate) expressions: Vec<Expression<'a>>,
    pub(crate) types: Vec<TypeExpression<'a>>,
    pub(crate) calls: Vec<Call<'a>>,
    /// The texts of strings and of their parts, without escapes.
    pub(crate) texts: Vec<Cow<'a, str>>,
    pub(crate) lists: Lists<'a>,
}

impl<'a> SyntaxTree<'a> {
    /// A tree without parts that has room for those of a usual program: to grow costs more than what is left over.
    pub(crate) fn with_room_for(n_tokens: usize) -> Self {
        Self {
            // A program has two to three tokens for each expression, and about a dozen for each declaration.
            declarations: Vec::with_capacity(n_tokens / 12),
            expressions: Vec::with_capacity(n_tokens / 2),
            types: Vec::with_capacity(n_tokens / 24),
            calls: Vec::with_capacity(n_tokens / 32),
            texts: Vec::with_capacity(n_tokens / 16),
            lists: Lists::with_room_for(n_tokens),
        }
    }

    /// An expression of the tree.
    pub fn expression(&self, id: ExpressionId) -> &Expression<'a> {
        &self.expressions[id.index()]
    }

    /// A type expression of the tree.
    pub fn ty(&self, id: TypeId) -> &TypeExpression<'a> {
        &self.types[id.0 as usize]
    }

    /// A call of the tree.
    pub fn call(&self, id: CallId) -> &Call<'a> {
        &self.calls[id.0 as usize]
    }

    /// The text of a string of the tree, or of a part of one.
    pub fn text(&self, id: TextId) -> &str {
        &self.texts[id.0 as usize]
    }

    /// The items of a list of the tree.
    pub fn list<T: Item<'a>>(&self, list: List<T>) -> &[T] {
        &T::all(&self.lists)[list.range()]
    }

    /// The tree with every place set to the start, so that trees of differently laid out texts can be compared.
    #[must_use]
    pub fn without_spans(&self) -> Self {
        let mut tree = self.clone();
        tree.declarations.iter_mut().for_each(Declaration::forget_spans);
        tree.types.iter_mut().for_each(TypeExpression::forget_span);
        tree.expressions.iter_mut().for_each(Expression::forget_span);
        tree.calls.iter_mut().for_each(Call::forget_span);
        tree.lists.forget_spans();
        tree
    }
}

/// A name and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The name.
    pub text: &'a str,
    /// Its place.
    pub span: Span,
}

/// A name of several parts, `a.b.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// The parts with dots between them, without the space that the source may have there.
    pub text: Cow<'a, str>,
    /// The whole name.
    pub span: Span,
}

/// A declaration.
#[derive(Debug, Clone, PartialEq)]
pub enum Declaration<'a> {
    /// `type N = T`
    Type {
        /// `N`
        name: Name<'a>,
        /// `T`
        ty: TypeId,
    },
    /// `in n: T`
    Input {
        /// `n`
        name: Name<'a>,
        /// `T`
        ty: TypeId,
        /// The expressions of its `@example` annotations.
        examples: List<ExpressionId>,
    },
    /// `out n`
    Output {
        /// `n`
        name: Name<'a>,
    },
    /// `use path` or `use path as alias`
    Use(Box<Import<'a>>),
    /// `n = e`
    Assignment {
        /// `n`
        name: Name<'a>,
        /// `e`
        value: ExpressionId,
    },
    /// Text that is no declaration; reported.
    Error,
}

/// What a `use` declares; most programs have few.
#[derive(Debug, Clone, PartialEq)]
pub struct Import<'a> {
    /// The namespace.
    pub path: Path<'a>,
    /// The alias.
    pub alias: Option<Name<'a>>,
}

/// A type expression.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeExpression<'a> {
    /// What it is.
    pub kind: TypeExpressionKind<'a>,
    /// Its place.
    pub span: Span,
}

/// What a type expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeExpressionKind<'a> {
    /// A primitive type, or one declared above.
    Named(&'a str),
    /// `List<T>` and so on.
    Applied {
        /// The name before `<`.
        name: &'a str,
        /// The arguments.
        arguments: List<TypeId>,
    },
    /// `{ a: T, ... }`
    Record(List<(Name<'a>, TypeId)>),
    /// `A + B + ...`, merged from left to right.
    Merge(List<TypeId>),
    /// `A | B | ...`
    Union(List<TypeId>),
    /// Text that is no type; reported.
    Error,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression<'a> {
    /// What it is.
    pub kind: ExpressionKind<'a>,
    /// Its place, without the parentheses around it.
    pub span: Span,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `+`: arithmetic, or the merge of records.
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `and`
    And,
    /// `or`
    Or,
    /// `when`
    When,
}

impl BinaryOperator {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::When => "when",
        }
    }
}

/// What an expression is. Small, since a tree has more of these than of anything else: what is larger has a list of its
/// own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ExpressionKind<'a> {
    /// Text that is no expression; reported.
    Error,
    /// A variable.
    Variable(&'a str),
    /// An integer literal.
    Integer(i64),
    /// A float literal, finite.
    Float(f64),
    /// `true` or `false`
    Boolean(bool),
    /// A string without interpolation.
    String(TextId),
    /// A string with interpolation.
    Interpolation(Interpolation),
    /// `[a, b]`
    List(List<ExpressionId>),
    /// `{ a: x, b: y }`
    Record(List<(Name<'a>, ExpressionId)>),
    /// `f(a, b) with ...`
    Call(CallId),
    /// `source.name`
    Field {
        /// The record.
        source: ExpressionId,
        /// The field, with which the expression ends.
        name: &'a str,
    },
    /// `source[a, b]` or `source{a, b}`
    Projection {
        /// The record.
        source: ExpressionId,
        /// The fields.
        names: List<Name<'a>>,
    },
    /// `left + right` and so on.
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// The left operand.
        left: ExpressionId,
        /// The right operand.
        right: ExpressionId,
    },
    /// `a ?? b ?? c`, the last operand first.
    Coalesce {
        /// The operands from right to left, at least two.
        reversed: List<ExpressionId>,
    },
    /// `not operand`
    Not(ExpressionId),
    /// `-operand`
    Negate(ExpressionId),
    /// `if (condition) value else if (condition) value else otherwise`
    Conditional {
        /// The conditions and values.
        arms: List<(ExpressionId, ExpressionId)>,
        /// The last value.
        otherwise: ExpressionId,
    },
    /// `branch { condition -> value, ..., otherwise -> value }`
    Branch {
        /// The conditions and values.
        cases: List<(ExpressionId, ExpressionId)>,
        /// The last value.
        otherwise: ExpressionId,
    },
    /// `(a, b: T) => body`
    Lambda {
        /// The parameters and their annotations.
        parameters: List<(Name<'a>, Option<TypeId>)>,
        /// The body.
        body: ExpressionId,
    },
    /// `match scrutinee { pattern -> body, ... }`
    Match {
        /// The value that is matched.
        scrutinee: ExpressionId,
        /// The cases, at least one.
        cases: List<(Pattern<'a>, ExpressionId)>,
    },
}

/// A string with interpolation: one part more than there are values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interpolation {
    /// The text around the values.
    pub parts: List<TextId>,
    /// The values.
    pub values: List<ExpressionId>,
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call<'a> {
    /// The name.
    pub function: Path<'a>,
    /// The arguments.
    pub arguments: List<ExpressionId>,
    /// The options of the `with` clause.
    pub options: List<CallOption<'a>>,
}

/// A pattern of a `match` case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pattern<'a> {
    /// What it is.
    pub kind: PatternKind<'a>,
    /// Its place.
    pub span: Span,
}

/// What a pattern is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PatternKind<'a> {
    /// `{a, b}`
    Fields(List<Name<'a>>),
    /// `is N`
    Is(Name<'a>),
    /// `_`
    Any,
}

/// An option of a `with` clause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallOption<'a> {
    /// The option's name.
    pub name: Name<'a>,
    /// Its value.
    pub value: OptionValue<'a>,
    /// The place of the value.
    pub span: Span,
}

/// A length of time as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration<'a> {
    /// The number before the unit.
    pub count: u64,
    /// `ms`, `s`, `min`, `h` or `d`
    pub unit: &'a str,
}

impl Duration<'_> {
    /// The length in milliseconds; none when it does not fit.
    pub fn milliseconds(self) -> Option<u64> {
        let factor = match self.unit {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            _ => 86_400_000,
        };
        self.count.checked_mul(factor)
    }
}

/// The value of a call option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptionValue<'a> {
    /// A number.
    Count(u64),
    /// A priority between 0 and 100.
    Priority(u8),
    /// A length of time.
    Duration(Duration<'a>),
    /// `count/duration`
    Rate(u64, Duration<'a>),
    /// One of the words that the option takes.
    Word(&'a str),
    /// `true` or `false`
    Flag(bool),
    /// Text as written, without escapes.
    Text(&'a str),
    /// `tumbling(d)`, `sliding(d, d)` or `buffer(d)`
    Durations(&'a str, List<Duration<'a>>),
    /// `count(n)`
    CountWindow(u64),
    /// An expression.
    Expression(ExpressionId),
}

// Destructured, so that a new part stops the build until someone decides whether it has a place.

impl Name<'_> {
    fn forget_span(&mut self) {
        let Self { text: _, span } = self;
        *span = Span::default();
    }
}

impl Declaration<'_> {
    fn forget_spans(&mut self) {
        match self {
            Self::Type { name, ty: _ }
            | Self::Input { name, ty: _, examples: _ }
            | Self::Output { name }
            | Self::Assignment { name, value: _ } => name.forget_span(),
            Self::Use(import) => {
                let Import { path: Path { text: _, span }, alias } = &mut **import;
                *span = Span::default();
                alias.iter_mut().for_each(Name::forget_span);
            }
            Self::Error => {}
        }
    }
}

impl TypeExpression<'_> {
    fn forget_span(&mut self) {
        let Self { kind: _, span } = self;
        *span = Span::default();
    }
}

impl Expression<'_> {
    fn forget_span(&mut self) {
        let Self { kind: _, span } = self;
        *span = Span::default();
    }
}

impl Call<'_> {
    fn forget_span(&mut self) {
        let Self { function: Path { text: _, span }, arguments: _, options: _ } = self;
        *span = Span::default();
    }
}

impl Pattern<'_> {
    fn forget_span(&mut self) {
        let Self { kind, span } = self;
        *span = Span::default();
        match kind {
            PatternKind::Is(name) => name.forget_span(),
            PatternKind::Fields(_) | PatternKind::Any => {}
        }
    }
}

impl CallOption<'_> {
    fn forget_spans(&mut self) {
        let Self { name, value: _, span } = self;
        name.forget_span();
        *span = Span::default();
    }
}
