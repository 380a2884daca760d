//! Parsing of numbers and strings.

use super::{Failed, Operand, Parsed, Parser, next_index};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::{ExpressionKind, Interpolation, TextId};
use crate::token::TokenKind;

impl<'a> Parser<'_, 'a> {
    pub(super) fn number(&mut self) -> Operand {
        let span = self.token().span;
        let digits = self.text();
        // Most numbers are integers without a sign.
        if self.kind() != TokenKind::Integer || digits.starts_with('0') {
            return self.other_number();
        }
        let Ok(int) = digits.parse() else { return self.other_number() };
        self.advance();
        self.add_leaf(ExpressionKind::Integer(int), span)
    }

    fn other_number(&mut self) -> Operand {
        let start = self.token().span.start;
        let is_negative = self.eat(TokenKind::Minus);
        let is_float = self.kind() == TokenKind::Float;
        let digits = self.text();
        self.advance();
        let span = self.span_from(start);
        let has_zero = !is_float && digits.len() > 1 && digits.starts_with('0');
        let kind = match (is_negative, has_zero) {
            (_, true) => None,
            (false, _) => number(digits, is_float),
            (true, _) => number(&format!("-{digits}"), is_float),
        };
        if kind.is_none() {
            self.no_number(digits, is_float, has_zero, span);
        }
        self.add_leaf(kind.unwrap_or(ExpressionKind::Error), span)
    }

    #[cold]
    fn no_number(&mut self, digits: &str, is_float: bool, has_zero: bool, span: Span) {
        if has_zero {
            let message = format!("Parse error: the integer {digits} starts with 0");
            let hint = format!("Write {}", digits.trim_start_matches('0'));
            self.sink.push(Diagnostic::error(Code::Syntax, span, message).suggest([hint]));
            return;
        }
        let range = if is_float {
            "a Float is at most 1.7976931348623157e308".to_owned()
        } else {
            format!("an Int is between {} and {}", i64::MIN, i64::MAX)
        };
        let message = format!("Parse error: the number is out of range: {range}");
        self.sink.push(Diagnostic::error(Code::Syntax, span, message));
    }

    /// A string without interpolation.
    pub(super) fn string(&mut self) -> Operand {
        let span = self.token().span;
        let text = self.string_part();
        self.add_leaf(ExpressionKind::String(text), span)
    }

    pub(super) fn interpolation(&mut self) -> Parsed<Operand> {
        let start = self.token().span.start;
        let mut height = 0;
        let mut is_complete = true;
        let mut parts = None;
        let values = self.list(|parser| {
            parts = Some(parser.list(|parser| parser.interpolated(&mut height, &mut is_complete))?);
            Ok(())
        })?;
        let kind = parts.filter(|_| is_complete);
        let kind = kind.map(|parts| ExpressionKind::Interpolation(Interpolation { parts, values }));
        self.finish(start, kind, height + 1)
    }

    /// The parts and values of a string with interpolation.
    fn interpolated(&mut self, height: &mut u16, is_complete: &mut bool) -> Parsed<()> {
        let part = self.string_part();
        self.pend(part);
        loop {
            let head = self.at() - 1;
            match self.nested(|parser| parser.part(height)) {
                Ok(value) => {
                    self.pend(value);
                    if !matches!(self.kind(), TokenKind::StringMiddle | TokenKind::StringTail) {
                        self.error_in_brackets(head, "'}'");
                        *is_complete = false;
                    }
                }
                Err(Failed) => *is_complete = false,
            }
            if !matches!(self.kind(), TokenKind::StringMiddle | TokenKind::StringTail) {
                match self.partner(head) {
                    Some(partner) if partner >= self.at() && !self.is_abandoned => {
                        self.go_to(partner);
                    }
                    _ => return Err(Failed),
                }
            }
            let is_last = self.kind() == TokenKind::StringTail;
            let part = self.string_part();
            self.pend(part);
            if is_last {
                return Ok(());
            }
        }
    }

    /// The text of the string token at hand, which is taken.
    fn string_part(&mut self) -> TextId {
        let place = self.token().span.range();
        let is_end = matches!(self.kind(), TokenKind::String | TokenKind::StringTail);
        let end = if is_end { "\"" } else { "${" };
        let text = &self.text[place.start + 1..place.end - end.len()];
        let has_escape = text.as_bytes().contains(&b'\\');
        let part = if has_escape { self.unescape(text, place.start + 1).into() } else { text.into() };
        let id = TextId(next_index(&self.tree.texts));
        self.tree.texts.push(part);
        self.advance();
        id
    }

    /// Replaces the escapes of a string; `offset` is where `text` starts in the source.
    #[cold]
    fn unescape(&mut self, text: &'a str, offset: usize) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            let escaped = rest[at + 1..].chars().next();
            let length = 1 + escaped.map_or(0, char::len_utf8);
            match escaped {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(same @ ('\\' | '"' | '$')) => out.push(same),
                _ => {
                    let start = offset + (text.len() - rest.len()) + at;
                    let shown: String = escaped.into_iter().flat_map(char::escape_debug).collect();
                    let message = format!("Parse error: unknown escape '\\{shown}' in a string");
                    let hint =
                        "The escapes are \\n \\t \\r \\\\ \\\" \\$; write \\\\ for a backslash".to_owned();
                    let span = Span::new(start, start + length);
                    self.sink.push(Diagnostic::error(Code::Syntax, span, message).suggest([hint]));
                }
            }
            rest = &rest[at + length..];
        }
        out.push_str(rest);
        out
    }
}

/// The number that a text is, unless it is out of range.
fn number(text: &str, is_float: bool) -> Option<ExpressionKind<'static>> {
    if is_float {
        text.parse().ok().filter(|float: &f64| float.is_finite()).map(ExpressionKind::Float)
    } else {
        text.parse().ok().map(ExpressionKind::Integer)
    }
}
