//! Where the parser is among the tokens.

use std::slice;

use crate::token::{Token, TokenKind};

/// A place among tokens, the last of which is the end of the file: there is nothing behind it.
///
/// The token at hand is kept, since the parser looks at each of them many times.
pub(super) struct Cursor<'s> {
    tokens: &'s [Token],
    token: Token,
    /// The tokens behind the one at hand.
    rest: slice::Iter<'s, Token>,
    /// Where the token before the one at hand ends.
    previous_end: u32,
}

impl<'s> Cursor<'s> {
    /// At the first of the tokens.
    pub(super) fn new(tokens: &'s [Token]) -> Self {
        Self { tokens, token: tokens[0], rest: tokens[1..].iter(), previous_end: tokens[0].span.end }
    }

    #[inline]
    pub(super) fn at(&self) -> usize {
        self.tokens.len() - self.rest.len() - 1
    }

    #[inline]
    pub(super) fn previous_end(&self) -> u32 {
        self.previous_end
    }

    #[inline]
    pub(super) fn token(&self) -> Token {
        self.token
    }

    #[inline]
    pub(super) fn kind(&self) -> TokenKind {
        self.token.kind
    }

    #[inline]
    pub(super) fn next_kind(&self) -> TokenKind {
        self.rest.clone().next().map_or(TokenKind::EndOfFile, |token| token.kind)
    }

    pub(super) fn kind_at(&self, ahead: usize) -> TokenKind {
        self.tokens.get(self.at() + ahead).map_or(TokenKind::EndOfFile, |token| token.kind)
    }

    #[inline]
    pub(super) fn advance(&mut self) {
        if let Some(token) = self.rest.next() {
            self.previous_end = self.token.span.end;
            self.token = *token;
        }
    }

    pub(super) fn go_to(&mut self, at: usize) {
        let at = at.min(self.tokens.len() - 1);
        self.token = self.tokens[at];
        self.rest = self.tokens[at + 1..].iter();
        self.previous_end = self.tokens[at.saturating_sub(1)].span.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize;

    #[test]
    fn nothing_is_behind_the_end_of_the_file() {
        let source = tokenize("out a");
        let mut cursor = Cursor::new(source.tokens());
        assert_eq!(
            (cursor.at(), cursor.next_kind(), cursor.kind_at(1)),
            (0, TokenKind::Identifier, TokenKind::Identifier)
        );
        assert_eq!(cursor.kind_at(2), TokenKind::EndOfFile);
        for at in [2, 3, 9] {
            cursor.go_to(at);
            cursor.advance();
            assert_eq!((cursor.at(), cursor.kind()), (2, TokenKind::EndOfFile));
            assert_eq!(cursor.token().kind, cursor.kind());
            assert_eq!(cursor.next_kind(), TokenKind::EndOfFile);
            assert_eq!(cursor.kind_at(1), TokenKind::EndOfFile);
            assert_eq!(cursor.previous_end(), 5);
        }
    }
}
