//! Errors, and where the parser picks up again after one.

use std::num::NonZeroU32;

use super::{Failed, Parsed, Parser};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::token::{TokenKind, TokenizedSource};

impl Parser<'_, '_> {
    pub(super) fn error(&mut self, expected: &str, suggestion: Option<String>) -> Failed {
        self.error_with(expected, suggestion, None)
    }

    pub(super) fn error_with(
        &mut self,
        expected: &str,
        suggestion: Option<String>,
        label: Option<(Span, String)>,
    ) -> Failed {
        // A token that the lexer reported, or one that was reported already, needs no second message.
        let is_known = self.kind() == TokenKind::Unknown || self.last_error_at == Some(self.at());
        if !is_known && !self.is_abandoned {
            self.last_error_at = Some(self.at());
            let found = self.text_for_people(40);
            let message = format!("Parse error: expected {expected}, found {found}");
            let mut diagnostic = Diagnostic::error(Code::Syntax, self.place(), message)
                .expected_found(expected, found)
                .suggest(suggestion);
            if let Some((span, message)) = label {
                diagnostic = diagnostic.label(span, message);
            }
            self.sink.push(diagnostic);
        }
        Failed
    }

    /// The token at hand for a message, cut to a number of characters.
    pub(super) fn text_for_people(&self, limit: usize) -> String {
        match self.kind() {
            TokenKind::EndOfFile => "the end of the file".to_owned(),
            TokenKind::StringMiddle | TokenKind::StringTail => "the end of '${...}'".to_owned(),
            _ => {
                let text = self.text();
                let shown: String = text.chars().take(limit).flat_map(char::escape_debug).collect();
                let shown = shown.replace("\\\"", "\"").replace("\\'", "'");
                if text.chars().nth(limit).is_some() { format!("'{shown}...'") } else { format!("'{shown}'") }
            }
        }
    }

    pub(super) fn error_in_brackets(&mut self, open: usize, expected: &str) -> Failed {
        let label =
            (self.tokens[open].span, format!("'{}' was opened here", self.source.text(self.tokens[open])));
        self.error_with(expected, None, Some(label))
    }

    /// The token at hand; at the end of the file, where the text ends that can be seen.
    pub(super) fn place(&self) -> Span {
        match (self.kind(), self.at()) {
            (TokenKind::EndOfFile, 1..) => {
                let end = self.previous_end();
                Span { start: end, end }
            }
            _ => self.token().span,
        }
    }

    /// Skips to the end of a list item: a comma or a closing bracket.
    pub(super) fn skip_item(&mut self) -> Parsed<()> {
        if self.is_abandoned {
            return Err(Failed);
        }
        loop {
            match self.kind() {
                TokenKind::EndOfFile => return Err(Failed),
                TokenKind::Comma
                | TokenKind::RightParenthesis
                | TokenKind::RightBracket
                | TokenKind::RightBrace
                | TokenKind::StringMiddle
                | TokenKind::StringTail => return Ok(()),
                _ if self.is_declaration_start() => return Err(Failed),
                _ => self.skip_group(),
            }
        }
    }

    /// Whether an arrow stands in the list item at hand, outside of brackets.
    pub(super) fn has_arrow_in_item(&self) -> bool {
        let mut at = self.at();
        loop {
            match self.tokens[at].kind {
                TokenKind::Arrow => return true,
                TokenKind::EndOfFile
                | TokenKind::Comma
                | TokenKind::RightParenthesis
                | TokenKind::RightBracket
                | TokenKind::RightBrace
                | TokenKind::StringMiddle
                | TokenKind::StringTail => return false,
                _ => at = self.behind_group(at),
            }
        }
    }

    /// Skips one token, or all that is between brackets.
    pub(super) fn skip_group(&mut self) {
        self.go_to(self.behind_group(self.at()));
    }

    /// The token behind one, or behind all that is between brackets.
    fn behind_group(&self, mut at: usize) -> usize {
        while let Some(partner) = self.partner(at) {
            at = partner;
        }
        at + 1
    }

    /// The token that closes the bracket at token `open`, if it is one and any does.
    pub(super) fn partner(&self, open: usize) -> Option<usize> {
        let partners = self.partners.get_or_init(|| partners(self.source));
        partners[open].map(|partner| partner.get() as usize)
    }

    pub(super) fn is_declaration_start(&self) -> bool {
        starts_declaration(self.source, self.at())
    }
}

pub(super) fn bracket_text(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::RightParenthesis => "')'",
        TokenKind::RightBracket => "']'",
        _ => "'}'",
    }
}

/// For each opening bracket, the token that closes it, which is never the first. Brackets do not reach over the start
/// of a declaration.
pub(super) fn partners(source: &TokenizedSource<'_>) -> Vec<Option<NonZeroU32>> {
    let tokens = source.tokens();
    let mut partners = vec![None; tokens.len()];
    let mut open: Vec<usize> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let opener = match token.kind {
            TokenKind::LeftParenthesis
            | TokenKind::LeftBracket
            | TokenKind::LeftBrace
            | TokenKind::StringHead => {
                open.push(index);
                continue;
            }
            TokenKind::RightParenthesis => TokenKind::LeftParenthesis,
            TokenKind::RightBracket => TokenKind::LeftBracket,
            TokenKind::RightBrace => TokenKind::LeftBrace,
            TokenKind::StringMiddle | TokenKind::StringTail => TokenKind::StringHead,
            _ if !open.is_empty() && starts_declaration(source, index) => {
                open.clear();
                continue;
            }
            _ => continue,
        };
        let matches = |kind: TokenKind| {
            kind == opener || (opener == TokenKind::StringHead && kind == TokenKind::StringMiddle)
        };
        // What was opened inside and never closed is passed over. Where nothing fits, the closer is stray, and
        // looking for its opener is bounded, so that a file of stray closers takes linear time.
        let found = open.iter().rev().take(64).position(|index| matches(tokens[*index].kind));
        if let Some(above) = found {
            open.truncate(open.len() - above);
            let start = open.pop().expect("it was found");
            partners[start] = u32::try_from(index).ok().and_then(NonZeroU32::new);
        }
        if token.kind == TokenKind::StringMiddle {
            open.push(index);
        }
    }
    partners
}

/// Whether a declaration starts at a token: at `@`, at a name before `=`, and at `type`, `in`, `out` and `use` where
/// they are not used as names. Where they cannot be names, as in a program without errors, it may be false of a word
/// that stands at the end of a line.
pub(super) fn starts_declaration(source: &TokenizedSource<'_>, index: usize) -> bool {
    let kind = |index: usize| source.tokens().get(index).map_or(TokenKind::EndOfFile, |token| token.kind);
    let next = kind(index + 1);
    match kind(index) {
        TokenKind::At => true,
        kind if next == TokenKind::Assign && (kind.is_word() || kind == TokenKind::Unknown) => true,
        TokenKind::Type | TokenKind::In | TokenKind::Out | TokenKind::Use => match next {
            // `x = type`, and a line that starts with a name.
            next if next.is_word() => is_first_on_line(source, index) || !is_first_on_line(source, index + 1),
            _ => !next.is_behind_operand() && is_first_on_line(source, index),
        },
        _ => false,
    }
}

pub(super) fn is_first_on_line(source: &TokenizedSource<'_>, index: usize) -> bool {
    let Some(before) = index.checked_sub(1).and_then(|before| source.tokens().get(before)) else {
        return true;
    };
    let start = source.tokens().get(index).map_or(source.source().len(), |token| token.span.range().start);
    source.source()[before.span.range().end..start].contains('\n')
}
