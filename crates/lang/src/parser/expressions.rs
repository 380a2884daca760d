//! Parsing of operands: what stands between operators.

use super::{Failed, Operand, Parsed, Parser, next_index};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::{Call, CallId, ExpressionId, ExpressionKind, List, Name};
use crate::token::TokenKind;

impl<'a> Parser<'_, 'a> {
    /// An operand with the projections and field accesses behind it.
    #[inline]
    pub(super) fn operand(&mut self) -> Parsed<Operand> {
        let start = self.token().span.start;
        let is_name = self.kind() == TokenKind::Identifier;
        let mut operand = if is_name { self.named()? } else { self.primary()? };
        loop {
            match self.kind() {
                TokenKind::Dot => {
                    self.advance();
                    let name = self.used_name("the name of a field")?.text;
                    let kind = ExpressionKind::Field { source: operand.id, name };
                    operand = self.add(kind, self.span_from(start), operand.height)?;
                }
                TokenKind::LeftBracket | TokenKind::LeftBrace => operand = self.projection(start, operand)?,
                _ => return Ok(operand),
            }
        }
    }

    #[inline(never)]
    fn projection(&mut self, start: u32, source: Operand) -> Parsed<Operand> {
        let names = self.projected()?;
        let kind = names.map(|names| ExpressionKind::Projection { source: source.id, names });
        self.finish(start, kind, source.height)
    }

    /// The names of a projection; none when some were wrong and reported.
    fn projected(&mut self) -> Parsed<Option<List<Name<'a>>>> {
        let open = self.at();
        let is_brace = self.kind() == TokenKind::LeftBrace;
        self.advance();
        let hint = match (self.kind(), self.next_kind()) {
            (TokenKind::Integer, _) if !is_brace => {
                Some("There is no indexing: '[...]' behind a value chooses fields of a record".to_owned())
            }
            (TokenKind::Identifier, TokenKind::Colon) => {
                Some("A '{' behind a value chooses fields of a record; merge records with '+'".to_owned())
            }
            _ => None,
        };
        if hint.is_some() {
            self.eat(TokenKind::Identifier);
            self.error("the name of a field", hint);
        }
        let close = if is_brace { TokenKind::RightBrace } else { TokenKind::RightBracket };
        let names = self.items(open, close, |parser| parser.used_name("the name of a field"))?;
        if names.is_some_and(List::is_empty) {
            let span = self.span_from(self.tokens[open].span.start);
            let message = "Parse error: a projection names at least one field";
            self.sink.push(Diagnostic::error(Code::Syntax, span, message));
            return Ok(None);
        }
        Ok(names)
    }

    #[inline(never)]
    pub(super) fn primary(&mut self) -> Parsed<Operand> {
        match self.kind() {
            TokenKind::Identifier => self.named(),
            kind if kind.is_reserved() && self.is_used_as_name() => {
                self.reserved_operand()?;
                self.named()
            }
            TokenKind::Integer | TokenKind::Float => Ok(self.number()),
            TokenKind::Minus if self.is_sign() => Ok(self.number()),
            TokenKind::String => Ok(self.string()),
            TokenKind::StringHead => self.interpolation(),
            kind @ (TokenKind::True | TokenKind::False) => {
                let span = self.token().span;
                self.advance();
                Ok(self.add_leaf(ExpressionKind::Boolean(kind == TokenKind::True), span))
            }
            TokenKind::If => self.conditional(),
            TokenKind::Branch => self.branch(),
            TokenKind::Match => self.match_expression(),
            TokenKind::LeftParenthesis => self.parenthesized(),
            TokenKind::LeftBracket => self.list_literal(),
            TokenKind::LeftBrace => self.record_literal(),
            TokenKind::And | TokenKind::Or if self.next_kind() == TokenKind::LeftParenthesis => {
                let word = self.text();
                Err(self.error("an expression", Some(format!("'{word}' is an operator: write 'a {word} b'"))))
            }
            _ => Err(self.error("an expression", None)),
        }
    }

    fn parenthesized(&mut self) -> Parsed<Operand> {
        let open = self.at();
        self.advance();
        if let Ok(inner) = self.nested(Self::expression) {
            if self.eat(TokenKind::RightParenthesis) {
                return Ok(inner);
            }
            self.error_in_brackets(open, "')'");
        }
        self.mend(open, TokenKind::RightParenthesis)
    }

    /// A variable, or a call.
    #[inline]
    fn named(&mut self) -> Parsed<Operand> {
        match self.next_kind() {
            TokenKind::LeftParenthesis => self.call(),
            TokenKind::Dot if self.is_qualified_call() => self.call(),
            TokenKind::FatArrow => Err(self.bare_parameter()),
            _ => Ok(self.variable()),
        }
    }

    #[inline]
    pub(super) fn variable(&mut self) -> Operand {
        let name = self.take_name();
        self.add_leaf(ExpressionKind::Variable(name.text), name.span)
    }

    #[cold]
    fn bare_parameter(&mut self) -> Failed {
        let name = self.take_name();
        let hint = format!("Write ({}) => ...", name.text);
        self.error("'(' before the parameters of a lambda", Some(hint))
    }

    /// Whether the name at hand is the first part of a qualified one that `(` follows. A reserved word can stand after
    /// a dot.
    fn is_qualified_call(&self) -> bool {
        let mut ahead = 1;
        while self.kind_at(ahead) == TokenKind::Dot && self.kind_at(ahead + 1).is_word() {
            ahead += 2;
        }
        self.kind_at(ahead) == TokenKind::LeftParenthesis
    }

    #[inline(never)]
    fn call(&mut self) -> Parsed<Operand> {
        let start = self.token().span.start;
        let function = self.path("the name of a function")?;
        let open = self.at();
        self.advance();
        let mut height = 0;
        let arguments = self.items(open, TokenKind::RightParenthesis, |parser| parser.part(&mut height))?;
        let mut options = Some(List::EMPTY);
        if self.eat(TokenKind::With) {
            options = self.call_options(&mut height)?;
        }
        let call = match (arguments, options) {
            (Some(arguments), Some(options)) => {
                let id = CallId(next_index(&self.tree.calls));
                self.tree.calls.push(Call { function, arguments, options });
                Some(ExpressionKind::Call(id))
            }
            _ => None,
        };
        self.finish(start, call, height + 1)
    }

    fn list_literal(&mut self) -> Parsed<Operand> {
        let (open, start) = (self.at(), self.token().span.start);
        self.advance();
        let mut height = 0;
        let items = self.items(open, TokenKind::RightBracket, |parser| parser.part(&mut height))?;
        self.finish(start, items.map(ExpressionKind::List), height + 1)
    }

    fn record_literal(&mut self) -> Parsed<Operand> {
        let (open, start) = (self.at(), self.token().span.start);
        self.advance();
        let mut height = 0;
        let fields = self.items(open, TokenKind::RightBrace, |parser| {
            let name = parser.name("the name of a field")?;
            parser.expect(TokenKind::Colon, "':' and a value")?;
            Ok((name, parser.part(&mut height)?))
        })?;
        self.finish(start, fields.map(ExpressionKind::Record), height + 1)
    }

    /// An expression that is a part of another one; `height` is raised to its own.
    pub(super) fn part(&mut self, height: &mut u16) -> Parsed<ExpressionId> {
        let Operand { id, height: own } = self.expression()?;
        *height = own.max(*height);
        Ok(id)
    }

    /// What was read from an offset up to here; an error when there is no kind.
    #[inline]
    pub(super) fn finish(
        &mut self,
        start: u32,
        kind: Option<ExpressionKind<'a>>,
        height: u16,
    ) -> Parsed<Operand> {
        let span = self.span_from(start);
        match kind {
            Some(kind) => self.add(kind, span, height),
            None => Ok(self.add_error(span)),
        }
    }

    /// After an error between brackets: goes on behind the closing one, if there is one.
    pub(super) fn mend(&mut self, open: usize, close: TokenKind) -> Parsed<Operand> {
        if self.is_abandoned {
            return Err(Failed);
        }
        match self.partner(open) {
            Some(partner) if partner >= self.at() => {
                self.go_to(partner);
                self.expect(close, "the closing bracket")?;
                self.finish(self.tokens[open].span.start, None, 0)
            }
            _ => Err(Failed),
        }
    }
}
