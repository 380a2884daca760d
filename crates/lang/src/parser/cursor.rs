//! Where the parser is among the tokens.

use crate::token::{Token, TokenKind};

/// A place among tokens, the last of which is the end of the file: there is nothing behind it.
///
/// The token at hand is kept, since the parser looks at each of them many times.
pub(super) struct Cursor<'s> {
    tokens: &'s [Token],
    at: usize,
    token: Token,
}

impl<'s> Cursor<'s> {
    /// At the first of the tokens.
    pub(super) fn new(tokens: &'s [Token]) -> Self {
        Self { tokens, at: 0, token: tokens[0] }
    }

    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
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
    pub(super) fn kind_at(&self, ahead: usize) -> TokenKind {
        self.tokens.get(self.at + ahead).map_or(TokenKind::EndOfFile, |token| token.kind)
    }

    #[inline]
    pub(super) fn advance(&mut self) {
        if let Some(token) = self.tokens.get(self.at + 1) {
            self.at += 1;
            self.token = *token;
        }
    }

    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at.min(self.tokens.len() - 1);
        self.token = self.tokens[self.at];
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
        assert_eq!((cursor.at(), cursor.kind_at(1)), (0, TokenKind::Identifier));
        for at in [2, 3, 9] {
            cursor.go_to(at);
            cursor.advance();
            assert_eq!((cursor.at(), cursor.kind()), (2, TokenKind::EndOfFile));
            assert_eq!(cursor.token().kind, cursor.kind());
            assert_eq!(cursor.kind_at(1), TokenKind::EndOfFile);
        }
    }
}
