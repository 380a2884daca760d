//! Parsing of type expressions.

use super::{Failed, Parsed, Parser};
use crate::span::Span;
use crate::syntax::{TypeExpression, TypeExpressionKind, TypeId};
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
        make: impl FnOnce(Vec<TypeId>) -> TypeExpressionKind<'a>,
        mut part: impl FnMut(&mut Self) -> Parsed<TypeId>,
    ) -> Parsed<TypeId> {
        let start = self.token().span;
        let first = part(self)?;
        if self.kind() != separator {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.eat(separator) {
            parts.push(part(self)?);
        }
        Ok(self.add_type(make(parts), start.to(self.previous_span())))
    }

    fn primary_type(&mut self) -> Parsed<TypeId> {
        let start = self.token().span;
        match self.kind() {
            TokenKind::LeftBrace => {
                let open = self.at();
                self.advance();
                let (fields, is_complete) = self.items(open, TokenKind::RightBrace, |parser| {
                    let name = parser.name("the name of a field")?;
                    parser.expect(TokenKind::Colon, "':' and a type")?;
                    Ok((name, parser.ty()?))
                })?;
                let kind =
                    if is_complete { TypeExpressionKind::Record(fields) } else { TypeExpressionKind::Error };
                Ok(self.add_type(kind, start.to(self.previous_span())))
            }
            TokenKind::Identifier | TokenKind::Keyword(_) => {
                let name = self.used_name("a type")?.text;
                if !self.eat(TokenKind::Less) {
                    return Ok(self.add_type(TypeExpressionKind::Named(name), start));
                }
                let mut arguments = Vec::new();
                loop {
                    arguments.push(self.nested(Self::ty)?);
                    if !self.eat(TokenKind::Comma) || self.kind() == TokenKind::Greater {
                        break;
                    }
                }
                self.expect(TokenKind::Greater, "'>' or ','")?;
                let kind = TypeExpressionKind::Applied { name, arguments };
                Ok(self.add_type(kind, start.to(self.previous_span())))
            }
            _ => {
                self.error("a type", None);
                Err(Failed)
            }
        }
    }

    fn add_type(&mut self, kind: TypeExpressionKind<'a>, span: Span) -> TypeId {
        let id = u32::try_from(self.tree.types.len()).expect("a source of 1 MiB has fewer types");
        self.tree.types.push(TypeExpression { kind, span });
        TypeId(id)
    }

    pub(super) fn add_error_type(&mut self, span: Span) -> TypeId {
        self.add_type(TypeExpressionKind::Error, span)
    }
}
