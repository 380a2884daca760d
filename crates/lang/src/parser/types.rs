//! Parsing of type expressions.

use super::{Failed, Parsed, Parser, next_index};
use crate::span::Span;
use crate::syntax::{List, TypeExpression, TypeExpressionKind, TypeId};
use crate::token::TokenKind;

impl<'a> Parser<'_, 'a> {
    /// `A + B | C`: a union of merges.
    pub(super) fn ty(&mut self) -> Parsed<TypeId> {
        self.type_chain(TokenKind::Pipe, TypeExpressionKind::Union, |parser| {
            parser.type_chain(TokenKind::Plus, TypeExpressionKind::Merge, Self::primary_type)
        })
    }

    fn type_chain(
        &mut self,
        separator: TokenKind,
        make: impl FnOnce(List<TypeId>) -> TypeExpressionKind<'a>,
        mut part: impl FnMut(&mut Self) -> Parsed<TypeId>,
    ) -> Parsed<TypeId> {
        let start = self.token().span.start;
        let first = part(self)?;
        if self.kind() != separator {
            return Ok(first);
        }
        let parts = self.list(|parser| {
            parser.pend(first);
            while parser.eat(separator) {
                let next = part(parser)?;
                parser.pend(next);
            }
            Ok(())
        })?;
        Ok(self.add_type(make(parts), self.span_from(start)))
    }

    fn primary_type(&mut self) -> Parsed<TypeId> {
        let start = self.token().span.start;
        match self.kind() {
            TokenKind::LeftBrace => {
                let open = self.at();
                self.advance();
                let fields = self.items(open, TokenKind::RightBrace, |parser| {
                    let name = parser.name("the name of a field")?;
                    parser.expect(TokenKind::Colon, "':' and a type")?;
                    Ok((name, parser.ty()?))
                })?;
                let kind = fields.map_or(TypeExpressionKind::Error, TypeExpressionKind::Record);
                Ok(self.add_type(kind, self.span_from(start)))
            }
            kind if kind.is_word() => {
                let name = self.used_name("a type")?;
                if !self.eat(TokenKind::Less) {
                    return Ok(self.add_type(TypeExpressionKind::Named(name.text), name.span));
                }
                let arguments = self.list(|parser| {
                    loop {
                        let argument = parser.nested(Self::ty)?;
                        parser.pend(argument);
                        if !parser.eat(TokenKind::Comma) || parser.kind() == TokenKind::Greater {
                            return Ok(());
                        }
                    }
                })?;
                self.expect(TokenKind::Greater, "'>' or ','")?;
                let kind = TypeExpressionKind::Applied { name: name.text, arguments };
                Ok(self.add_type(kind, self.span_from(start)))
            }
            _ => {
                self.error("a type", None);
                Err(Failed)
            }
        }
    }

    fn add_type(&mut self, kind: TypeExpressionKind<'a>, span: Span) -> TypeId {
        let id = TypeId(next_index(&self.tree.types));
        self.tree.types.push(TypeExpression { kind, span });
        id
    }

    pub(super) fn add_error_type(&mut self, span: Span) -> TypeId {
        self.add_type(TypeExpressionKind::Error, span)
    }
}
