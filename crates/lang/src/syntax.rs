//! The syntax tree.
//!
//! Expressions and types stand in flat lists and refer to their parts by index, so that no walk and no drop of a
//! tree needs more stack than the bound on nesting allows. Chains of operators are long to the left only, and
//! `??` and `else if` chains are single nodes.

use std::borrow::Cow;

use crate::span::Span;

/// How deep brackets, branches and bodies may nest.
pub const MAX_NESTING: u32 = 256;

/// How deep an expression may nest, operators in right operands included.
pub(crate) const MAX_HEIGHT: u16 = 1024;

/// The place of an expression in its [`SyntaxTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExpressionId(pub(crate) u32);

/// The place of a type expression in its [`SyntaxTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeId(pub(crate) u32);

/// A parsed program.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyntaxTree<'a> {
    /// The declarations in the order of the text.
    pub declarations: Vec<Declaration<'a>>,
    pub(crate) expressions: Vec<Expression<'a>>,
    pub(crate) types: Vec<TypeExpression<'a>>,
}

impl<'a> SyntaxTree<'a> {
    /// An expression of the tree.
    pub fn expression(&self, id: ExpressionId) -> &Expression<'a> {
        &self.expressions[id.0 as usize]
    }

    /// A type expression of the tree.
    pub fn ty(&self, id: TypeId) -> &TypeExpression<'a> {
        &self.types[id.0 as usize]
    }

    /// The tree with every place set to the start, so that trees of differently laid out texts can be compared.
    #[must_use]
    pub fn without_spans(&self) -> Self {
        let mut tree = self.clone();
        tree.declarations.iter_mut().for_each(Declaration::forget_spans);
        tree.types.iter_mut().for_each(TypeExpression::forget_spans);
        tree.expressions.iter_mut().for_each(Expression::forget_spans);
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
        examples: Vec<ExpressionId>,
    },
    /// `out n`
    Output {
        /// `n`
        name: Name<'a>,
    },
    /// `use path` or `use path as alias`
    Use {
        /// The namespace.
        path: Path<'a>,
        /// The alias.
        alias: Option<Name<'a>>,
    },
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
        arguments: Vec<TypeId>,
    },
    /// `{ a: T, ... }`
    Record(Vec<(Name<'a>, TypeId)>),
    /// `A + B + ...`, merged from left to right.
    Merge(Vec<TypeId>),
    /// `A | B | ...`
    Union(Vec<TypeId>),
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
    /// How deep a walk over it recurses.
    pub(crate) height: u16,
    /// Whether parentheses stand around it.
    pub(crate) is_parenthesized: bool,
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

/// What an expression is. Small, since a tree has more of these than of anything else: what is larger is boxed.
#[derive(Debug, Clone, PartialEq)]
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
    String(Cow<'a, str>),
    /// A string with interpolation.
    Interpolation(Box<Interpolation<'a>>),
    /// `[a, b]`
    List(Vec<ExpressionId>),
    /// `{ a: x, b: y }`
    Record(Vec<(Name<'a>, ExpressionId)>),
    /// `f(a, b) with ...`
    Call(Box<Call<'a>>),
    /// `source.name`
    Field {
        /// The record.
        source: ExpressionId,
        /// The field.
        name: Name<'a>,
    },
    /// `source[a, b]` or `source{a, b}`
    Projection {
        /// The record.
        source: ExpressionId,
        /// The fields.
        names: Vec<Name<'a>>,
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
        reversed: Vec<ExpressionId>,
    },
    /// `not operand`
    Not(ExpressionId),
    /// `-operand`
    Negate(ExpressionId),
    /// `if (condition) value else if (condition) value else otherwise`
    Conditional {
        /// The conditions and values.
        arms: Vec<(ExpressionId, ExpressionId)>,
        /// The last value.
        otherwise: ExpressionId,
    },
    /// `branch { condition -> value, ..., otherwise -> value }`
    Branch {
        /// The conditions and values.
        cases: Vec<(ExpressionId, ExpressionId)>,
        /// The last value.
        otherwise: ExpressionId,
    },
    /// `(a, b: T) => body`
    Lambda {
        /// The parameters and their annotations.
        parameters: Vec<(Name<'a>, Option<TypeId>)>,
        /// The body.
        body: ExpressionId,
    },
    /// `match scrutinee { pattern -> body, ... }`
    Match {
        /// The value that is matched.
        scrutinee: ExpressionId,
        /// The cases, at least one.
        cases: Vec<(Pattern<'a>, ExpressionId)>,
    },
}

/// A string with interpolation: one part more than there are values.
#[derive(Debug, Clone, PartialEq)]
pub struct Interpolation<'a> {
    /// The text around the values.
    pub parts: Vec<Cow<'a, str>>,
    /// The values.
    pub values: Vec<ExpressionId>,
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call<'a> {
    /// The name.
    pub function: Path<'a>,
    /// The arguments.
    pub arguments: Vec<ExpressionId>,
    /// The options of the `with` clause.
    pub options: Vec<CallOption<'a>>,
}

/// A pattern of a `match` case.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern<'a> {
    /// What it is.
    pub kind: PatternKind<'a>,
    /// Its place.
    pub span: Span,
}

/// What a pattern is.
#[derive(Debug, Clone, PartialEq)]
pub enum PatternKind<'a> {
    /// `{a, b}`
    Fields(Vec<Name<'a>>),
    /// `is N`
    Is(Name<'a>),
    /// `_`
    Any,
}

/// An option of a `with` clause.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
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
    Durations(&'a str, Vec<Duration<'a>>),
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
            Self::Use { path: Path { text: _, span }, alias } => {
                *span = Span::default();
                alias.iter_mut().for_each(Name::forget_span);
            }
            Self::Error => {}
        }
    }
}

impl TypeExpression<'_> {
    fn forget_spans(&mut self) {
        let Self { kind, span } = self;
        *span = Span::default();
        match kind {
            TypeExpressionKind::Record(fields) => fields.iter_mut().for_each(|(name, _)| name.forget_span()),
            TypeExpressionKind::Named(_)
            | TypeExpressionKind::Applied { name: _, arguments: _ }
            | TypeExpressionKind::Merge(_)
            | TypeExpressionKind::Union(_)
            | TypeExpressionKind::Error => {}
        }
    }
}

impl Expression<'_> {
    fn forget_spans(&mut self) {
        let Self { kind, span, height: _, is_parenthesized } = self;
        *span = Span::default();
        *is_parenthesized = false;
        match kind {
            ExpressionKind::Record(fields) => fields.iter_mut().for_each(|(name, _)| name.forget_span()),
            ExpressionKind::Call(call) => {
                let Call { function: Path { text: _, span }, arguments: _, options } = &mut **call;
                *span = Span::default();
                for CallOption { name, value: _, span } in options {
                    name.forget_span();
                    *span = Span::default();
                }
            }
            ExpressionKind::Field { source: _, name } => name.forget_span(),
            ExpressionKind::Projection { source: _, names } => names.iter_mut().for_each(Name::forget_span),
            ExpressionKind::Lambda { parameters, body: _ } => {
                for (name, _) in parameters {
                    name.forget_span();
                }
            }
            ExpressionKind::Match { scrutinee: _, cases } => {
                for (Pattern { kind, span }, _) in cases {
                    *span = Span::default();
                    match kind {
                        PatternKind::Fields(names) => names.iter_mut().for_each(Name::forget_span),
                        PatternKind::Is(name) => name.forget_span(),
                        PatternKind::Any => {}
                    }
                }
            }
            ExpressionKind::Error
            | ExpressionKind::Variable(_)
            | ExpressionKind::Integer(_)
            | ExpressionKind::Float(_)
            | ExpressionKind::Boolean(_)
            | ExpressionKind::String(_)
            | ExpressionKind::Interpolation(_)
            | ExpressionKind::List(_)
            | ExpressionKind::Binary { operator: _, left: _, right: _ }
            | ExpressionKind::Coalesce { reversed: _ }
            | ExpressionKind::Not(_)
            | ExpressionKind::Negate(_)
            | ExpressionKind::Conditional { arms: _, otherwise: _ }
            | ExpressionKind::Branch { cases: _, otherwise: _ } => {}
        }
    }
}
