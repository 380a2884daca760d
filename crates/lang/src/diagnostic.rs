//! Diagnostics as data: what is wrong, where, and what to do about it.

use std::fmt;

use crate::span::{LineIndex, Position, Span};

/// How many errors, and how many warnings, one compilation reports. What is past it is left out.
pub const MAX_DIAGNOSTICS: usize = 100;

/// Whether a diagnostic stops the compilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// There is no image.
    Error,
    /// The program compiles, and something in it is probably not meant.
    Warning,
}

/// The stable code of a kind of diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// E001.
    UndefinedVariable,
    /// E002.
    UndefinedFunction,
    /// E003.
    UndefinedType,
    /// E004.
    UndefinedNamespace,
    /// E005.
    AmbiguousFunction,
    /// E006.
    InvalidProjection,
    /// E007.
    InvalidFieldAccess,
    /// E010.
    TypeMismatch,
    /// E012.
    IncompatibleMerge,
    /// E013.
    UnsupportedComparison,
    /// E014.
    UnsupportedArithmetic,
    /// E015: arity, lambdas, record literals, matches, and what else has no code of its own.
    TypeError,
    /// E016.
    InvalidOptionValue,
    /// E017.
    FallbackTypeMismatch,
    /// E018.
    InvalidLambdaContext,
    /// E020.
    Syntax,
    /// E030.
    DuplicateDefinition,
    /// E040: past a bound on size or nesting.
    LimitExceeded,
    /// W001.
    UnusedVariable,
    /// W002.
    ExampleNotKept,
    /// OPTS001.
    OptionDependency,
    /// OPTS002.
    ConflictingOptions,
    /// OPTS003.
    HighRetry,
    /// OPTS004.
    OptionNotApplied,
}

impl Code {
    /// All codes, for reference documents.
    pub const ALL: [Code; 24] = [
        Code::UndefinedVariable,
        Code::UndefinedFunction,
        Code::UndefinedType,
        Code::UndefinedNamespace,
        Code::AmbiguousFunction,
        Code::InvalidProjection,
        Code::InvalidFieldAccess,
        Code::TypeMismatch,
        Code::IncompatibleMerge,
        Code::UnsupportedComparison,
        Code::UnsupportedArithmetic,
        Code::TypeError,
        Code::InvalidOptionValue,
        Code::FallbackTypeMismatch,
        Code::InvalidLambdaContext,
        Code::Syntax,
        Code::DuplicateDefinition,
        Code::LimitExceeded,
        Code::UnusedVariable,
        Code::ExampleNotKept,
        Code::OptionDependency,
        Code::ConflictingOptions,
        Code::HighRetry,
        Code::OptionNotApplied,
    ];

    /// The code as text, such as `E001`. It never changes its meaning.
    pub fn as_str(self) -> &'static str {
        self.describe().0
    }

    /// A short title, such as `Undefined variable`.
    pub fn title(self) -> &'static str {
        self.describe().1
    }

    /// What the kind of diagnostic means and how to get rid of it, in a sentence or two.
    pub fn explanation(self) -> &'static str {
        self.describe().2
    }

    fn describe(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::UndefinedVariable => (
                "E001",
                "Undefined variable",
                "A variable must be declared above its first use, with `in name: Type` or `name = ...`.",
            ),
            Self::UndefinedFunction => (
                "E002",
                "Undefined function",
                "No function of this name is in scope. After the first `use`, functions of a namespace must be \
                 imported or written with their full name.",
            ),
            Self::UndefinedType => (
                "E003",
                "Undefined type",
                "A type is one of String, Int, Float, Boolean, List<T>, Seq<T>, Candidates<T>, Optional<T>, \
                 Map<K, V>, a record, or declared above with `type Name = ...`.",
            ),
            Self::UndefinedNamespace => {
                ("E004", "Undefined namespace", "No registered function belongs to this namespace.")
            }
            Self::AmbiguousFunction => (
                "E005",
                "Ambiguous function",
                "Several functions in scope have this name. Write the full name of the one that is meant.",
            ),
            Self::InvalidProjection => {
                ("E006", "Invalid projection", "A projection can only choose fields that the record has.")
            }
            Self::InvalidFieldAccess => ("E007", "Invalid field access", "The record has no such field."),
            Self::TypeMismatch => (
                "E010",
                "Type mismatch",
                "A value of another type is expected here. Nothing converts by itself, but for an integer literal \
                 where a Float is expected.",
            ),
            Self::IncompatibleMerge => (
                "E012",
                "Incompatible merge",
                "`+` merges two records, two lists of records, or a record with a list of records.",
            ),
            Self::UnsupportedComparison => (
                "E013",
                "Unsupported comparison",
                "`<`, `<=`, `>` and `>=` work on Int, Float and String; `==` and `!=` on every type without \
                 functions.",
            ),
            Self::UnsupportedArithmetic => {
                ("E014", "Unsupported arithmetic", "Arithmetic works on Int and Float.")
            }
            Self::TypeError => ("E015", "Type error", "The expression does not fit where it stands."),
            Self::InvalidOptionValue => {
                ("E016", "Invalid option value", "The value of a call option is out of its range.")
            }
            Self::FallbackTypeMismatch => (
                "E017",
                "Fallback type mismatch",
                "A fallback stands in for the result of the call, so it must have its type.",
            ),
            Self::InvalidLambdaContext => (
                "E018",
                "Lambda out of place",
                "A lambda can only be an argument of a function that takes a function.",
            ),
            Self::Syntax => ("E020", "Syntax error", "The text is not a program of the language."),
            Self::DuplicateDefinition => (
                "E030",
                "Duplicate definition",
                "An input can be declared again only with the same type; a variable can be bound again.",
            ),
            Self::LimitExceeded => (
                "E040",
                "Limit exceeded",
                "Programs are bounded in size, nesting and size of types, so that compiling one is always fast.",
            ),
            Self::UnusedVariable => (
                "W001",
                "Unused variable",
                "No output depends on this variable, so what computes it is left out of the pipeline.",
            ),
            Self::ExampleNotKept => (
                "W002",
                "Example not kept",
                "An example is kept in the image when it is made of literals only.",
            ),
            Self::OptionDependency => (
                "OPTS001",
                "Option without effect",
                "The option only changes how another one works, which is not given.",
            ),
            Self::ConflictingOptions => {
                ("OPTS002", "Conflicting options", "Of these options only one can have an effect.")
            }
            Self::HighRetry => {
                ("OPTS003", "High retry count", "Many retries keep a failing service under load.")
            }
            Self::OptionNotApplied => (
                "OPTS004",
                "Option not applied",
                "The option is kept in the image, but nothing applies it yet.",
            ),
        }
    }

    /// The page about this kind below the documentation's root.
    pub fn docs(self) -> &'static str {
        match self {
            Self::UndefinedVariable
            | Self::UnusedVariable
            | Self::ExampleNotKept
            | Self::DuplicateDefinition => "constellation-lang/declarations",
            Self::UndefinedFunction => "constellation-lang/functions",
            Self::UndefinedType => "constellation-lang/types",
            Self::UndefinedNamespace | Self::AmbiguousFunction => "constellation-lang/namespaces",
            Self::InvalidProjection | Self::InvalidFieldAccess => "constellation-lang/expressions",
            Self::TypeMismatch | Self::TypeError | Self::InvalidLambdaContext => {
                "constellation-lang/type-system"
            }
            Self::IncompatibleMerge | Self::UnsupportedComparison | Self::UnsupportedArithmetic => {
                "constellation-lang/operators"
            }
            Self::InvalidOptionValue
            | Self::FallbackTypeMismatch
            | Self::OptionDependency
            | Self::ConflictingOptions
            | Self::HighRetry
            | Self::OptionNotApplied => "constellation-lang/module-options",
            Self::Syntax => "constellation-lang/syntax",
            Self::LimitExceeded => "constellation-lang/limits",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A second place that a diagnostic is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is there.
    pub message: String,
}

/// One finding about a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the compilation.
    pub severity: Severity,
    /// Its kind.
    pub code: Code,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The text it is about.
    pub span: Span,
    /// Where that text starts.
    pub position: Position,
    /// What was found, where something else was expected.
    pub found: Option<String>,
    /// What was expected instead.
    pub expected: Option<String>,
    /// Other places that explain it.
    pub labels: Vec<Label>,
    /// What to do next, nearest first.
    pub suggestions: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn new(severity: Severity, code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            span,
            position: Position::default(),
            found: None,
            expected: None,
            labels: Vec::new(),
            suggestions: Vec::new(),
        }
    }

    pub(crate) fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message)
    }

    pub(crate) fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message)
    }

    pub(crate) fn expected_found(mut self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self.found = Some(found.into());
        self
    }

    pub(crate) fn suggest(mut self, suggestions: impl IntoIterator<Item = String>) -> Self {
        self.suggestions.extend(suggestions);
        self
    }

    pub(crate) fn label(mut self, span: Span, message: impl Into<String>) -> Self {
        self.labels.push(Label { span, message: message.into() });
        self
    }
}

/// `LINE:COLUMN: CODE: message`
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.position.line, self.position.column, self.code, self.message)
    }
}

/// Collects diagnostics up to the bound.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    diagnostics: Vec<Diagnostic>,
    n_errors: usize,
    n_warnings: usize,
}

impl Sink {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &mut self.n_errors,
            Severity::Warning => &mut self.n_warnings,
        };
        *count += 1;
        if *count <= MAX_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        }
    }

    pub(crate) fn n_errors(&self) -> usize {
        self.n_errors
    }

    /// Whether further errors would be left out, so that working out their suggestions is wasted.
    pub(crate) fn is_full(&self) -> bool {
        self.n_errors >= MAX_DIAGNOSTICS
    }

    /// The diagnostics in the order of the text, with positions.
    pub(crate) fn finish(self, source: &str) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics;
        if !diagnostics.is_empty() {
            let lines = LineIndex::new(source);
            for diagnostic in &mut diagnostics {
                diagnostic.position = lines.position(diagnostic.span.start);
            }
            diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.severity));
        }
        diagnostics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_explained() {
        let codes: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| !code.explanation().is_empty() && !code.docs().is_empty()));
    }

    #[test]
    fn what_is_past_the_bound_is_left_out() {
        let mut sink = Sink::default();
        for _ in 0..3 * MAX_DIAGNOSTICS {
            sink.push(Diagnostic::error(Code::Syntax, Span::default(), "x"));
        }
        sink.push(Diagnostic::warning(Code::UnusedVariable, Span::default(), "x"));
        assert_eq!(sink.n_errors(), 3 * MAX_DIAGNOSTICS);
        assert_eq!(sink.finish("").len(), MAX_DIAGNOSTICS + 1);
    }
}
