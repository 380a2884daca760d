//! Names, and reserved words that stand where one is expected.
//!
//! Who calls an input `type` means a name. That is reported once, where the name is declared, and the word is a name
//! from there on: what follows from it would be noise.

use std::borrow::Cow;

use super::recovery::{is_first_on_line, starts_declaration};
use super::{Failed, Parsed, Parser};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::{Name, Path};
use crate::token::TokenKind;

impl<'a> Parser<'_, 'a> {
    #[inline]
    pub(super) fn take_name(&mut self) -> Name<'a> {
        let name = Name { text: self.text(), span: self.token().span };
        self.advance();
        name
    }

    /// A name that is declared here; `expected` says of what it is the name.
    #[inline]
    pub(super) fn name(&mut self, expected: &str) -> Parsed<Name<'a>> {
        if self.kind() == TokenKind::Identifier { Ok(self.take_name()) } else { self.reserved_name(expected) }
    }

    #[cold]
    fn reserved_name(&mut self, expected: &str) -> Parsed<Name<'a>> {
        match self.kind() {
            kind if kind.is_reserved() && self.can_be_meant_as_name() => {
                self.reserved_word(expected);
                self.reserved_names.insert(kind);
                Ok(self.take_name())
            }
            _ => Err(self.error(expected, None)),
        }
    }

    /// A name that was declared elsewhere.
    #[inline]
    pub(super) fn used_name(&mut self, expected: &str) -> Parsed<Name<'a>> {
        if self.kind() == TokenKind::Identifier {
            Ok(self.take_name())
        } else {
            self.used_reserved_name(expected)
        }
    }

    #[cold]
    fn used_reserved_name(&mut self, expected: &str) -> Parsed<Name<'a>> {
        match self.kind() {
            kind if self.reserved_names.contains(&kind) => Ok(self.take_name()),
            kind if kind.is_reserved() && self.can_be_meant_as_name() => {
                self.reserved_word(expected);
                self.advance();
                Err(Failed)
            }
            _ => Err(self.error(expected, None)),
        }
    }

    /// Whether the reserved word at hand, where a name is expected, is not the start of the next declaration.
    fn can_be_meant_as_name(&self) -> bool {
        match self.next_kind() {
            TokenKind::Assign => !is_first_on_line(self.source, self.at()),
            _ => !self.is_declaration_start(),
        }
    }

    fn reserved_word(&mut self, expected: &str) {
        self.last_error_at = Some(self.at());
        let word = self.text();
        let message = format!("Parse error: '{word}' is a reserved word and cannot be {expected}");
        let diagnostic = Diagnostic::error(Code::Syntax, self.token().span, message)
            .expected_found(expected, format!("'{word}'"))
            .suggest([format!("Choose another name, for example '{word}_'")]);
        self.sink.push(diagnostic);
    }

    /// `type = ...`: a variable that is named by a reserved word.
    pub(super) fn reserved_assignment(&mut self) -> Parsed<()> {
        let kind = self.kind();
        self.reserved_word("the name of a variable");
        self.reserved_names.insert(kind);
        // Or the name of a type was forgotten: nobody knows whether a type or a value follows.
        if kind == TokenKind::Type {
            self.advance();
            return Err(Failed);
        }
        self.assignment()
    }

    /// Whether the reserved word at hand, where an expression is expected, is meant as a name.
    pub(super) fn is_used_as_name(&self) -> bool {
        let next = self.next_kind();
        let is_operand = next.is_behind_operand();
        match self.kind() {
            TokenKind::True | TokenKind::False => false,
            TokenKind::Type | TokenKind::In | TokenKind::Out | TokenKind::Use => !self.is_declaration_start(),
            TokenKind::As | TokenKind::With | TokenKind::Lazy | TokenKind::Is => {
                is_operand
                    || matches!(next, TokenKind::LeftParenthesis | TokenKind::EndOfFile)
                    || starts_declaration(self.source, self.at() + 1)
            }
            // Expressions begin with these, or have them inside.
            _ => is_operand,
        }
    }

    /// The reserved word at hand as the name that it is meant to be.
    pub(super) fn reserved_operand(&mut self) -> Parsed<()> {
        if self.reserved_names.contains(&self.kind()) {
            return Ok(());
        }
        self.reserved_word("a name");
        self.advance();
        Err(Failed)
    }

    /// `a.b.c`; reserved words can stand after a dot.
    pub(super) fn path(&mut self, expected: &str) -> Parsed<Path<'a>> {
        let start = self.at();
        let first = self.used_name(expected)?;
        if self.kind() != TokenKind::Dot {
            return Ok(Path { text: Cow::Borrowed(first.text), span: first.span });
        }
        let mut span = first.span;
        let mut length = first.text.len();
        while self.kind() == TokenKind::Dot && self.next_kind().is_word() {
            self.advance();
            length += ".".len() + self.text().len();
            span = span.to(self.token().span);
            self.advance();
        }
        let written = &self.source.source()[span.range()];
        let text = if written.len() == length {
            Cow::Borrowed(written)
        } else {
            self.tokens[start..self.at()].iter().map(|token| self.source.text(*token)).collect()
        };
        Ok(Path { text, span })
    }
}

impl TokenKind {
    /// Whether this can only stand behind an operand.
    pub(super) fn is_behind_operand(self) -> bool {
        matches!(
            self,
            Self::Dot
                | Self::Comma
                | Self::RightParenthesis
                | Self::RightBracket
                | Self::RightBrace
                | Self::StringMiddle
                | Self::StringTail
                | Self::Plus
                | Self::Star
                | Self::Slash
                | Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessEqual
                | Self::Greater
                | Self::GreaterEqual
                | Self::Coalesce
                | Self::Arrow
                | Self::FatArrow
        )
    }
}
