//! Diagnostics as data: what is wrong, where, and what to do about it.

mod code;
mod reference;

use std::fmt;

pub use code::Code;
pub use reference::error_reference;

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
