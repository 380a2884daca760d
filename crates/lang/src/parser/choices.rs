//! Parsing of what chooses between values, and of lambdas.

use super::{Failed, Operand, Parsed, Parser};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::{BinaryOperator, ExpressionId, ExpressionKind, List, Pattern, PatternKind};
use crate::token::TokenKind;

const HYPHEN_HINT: &str = "A hyphen belongs to the name before it: put a space before '->'";

impl<'a> Parser<'_, 'a> {
    /// `(expression)` after `if`.
    fn condition(&mut self) -> Parsed<Operand> {
        let open = self.at();
        if !self.eat(TokenKind::LeftParenthesis) {
            let hint = "The condition stands in parentheses: if (c) a else b".to_owned();
            return Err(self.error("'('", Some(hint)));
        }
        match self.nested(Self::expression) {
            Ok(condition) if self.eat(TokenKind::RightParenthesis) => return Ok(condition),
            Ok(_) => {
                self.error_in_brackets(open, "')'");
            }
            Err(Failed) => {}
        }
        self.mend(open, TokenKind::RightParenthesis)
    }

    pub(super) fn conditional(&mut self) -> Parsed<Operand> {
        let start = self.token().span.start;
        let mut height = 0;
        let mut otherwise = None;
        let arms = self.list(|parser| {
            // A chain is one node, so that it may be as long as it likes.
            while parser.kind() == TokenKind::If {
                parser.advance();
                let condition = parser.condition()?;
                height = condition.height.max(height);
                let value = parser.nested(|parser| parser.part(&mut height))?;
                parser.pend((condition.id, value));
                if !parser.eat(TokenKind::Else) {
                    return Err(parser.error("'else'", None));
                }
            }
            otherwise = Some(parser.nested(|parser| parser.part(&mut height))?);
            Ok(())
        })?;
        let kind = otherwise.map(|otherwise| ExpressionKind::Conditional { arms, otherwise });
        self.finish(start, kind, height + 1)
    }

    pub(super) fn branch(&mut self) -> Parsed<Operand> {
        let start = self.token().span.start;
        self.advance();
        let open = self.at();
        self.expect(TokenKind::LeftBrace, "'{'")?;
        let mut height = 0;
        let mut otherwise = None;
        let mut is_complete = true;
        let cases = self.list(|parser| {
            is_complete = parser.between(open, TokenKind::RightBrace, |parser| {
                parser.branch_case(&mut height, &mut otherwise)
            })?;
            Ok(())
        })?;
        if otherwise.is_none() && is_complete {
            let span = self.span_from(start);
            let diagnostic =
                Diagnostic::error(Code::Syntax, span, "Parse error: the branch has no 'otherwise'")
                    .suggest(["Add a last case: otherwise -> value".to_owned()]);
            self.sink.push(diagnostic);
        }
        let otherwise = otherwise.filter(|_| is_complete);
        let kind = otherwise.map(|otherwise| ExpressionKind::Branch { cases, otherwise });
        self.finish(start, kind, height + 1)
    }

    /// A case of a branch, or the last one, `otherwise`.
    fn branch_case(&mut self, height: &mut u16, otherwise: &mut Option<ExpressionId>) -> Parsed<()> {
        if otherwise.is_some() {
            return Err(self.error("'}', as 'otherwise' is the last case", None));
        }
        if self.eat(TokenKind::Otherwise) {
            self.arrow()?;
            *otherwise = Some(self.part(height)?);
            return Ok(());
        }
        // With an arrow behind, it is a comparison with a variable of that name.
        let is_otherwise = self.next_kind() == TokenKind::Greater && self.text() == "otherwise-";
        if is_otherwise && !self.has_arrow_in_item() {
            return Err(self.error("'otherwise ->'", Some(HYPHEN_HINT.to_owned())));
        }
        let condition = self.part(height)?;
        if self.kind() != TokenKind::Arrow && self.is_hyphen_taken(condition) {
            return Err(self.error("'->'", Some(HYPHEN_HINT.to_owned())));
        }
        self.arrow()?;
        let value = self.part(height)?;
        self.pend((condition, value));
        Ok(())
    }

    fn arrow(&mut self) -> Parsed<()> {
        if self.eat(TokenKind::Arrow) {
            return Ok(());
        }
        let is_hyphen_taken = self.source.source()[..self.previous_end() as usize].ends_with('-');
        Err(self.error("'->'", is_hyphen_taken.then(|| HYPHEN_HINT.to_owned())))
    }

    /// Whether `name->value` was read as `name- > value`.
    fn is_hyphen_taken(&self, condition: ExpressionId) -> bool {
        let ExpressionKind::Binary { operator: BinaryOperator::Greater, left, .. } =
            &self.tree.expression(condition).kind
        else {
            return false;
        };
        matches!(&self.tree.expression(*left).kind, ExpressionKind::Variable(name) if name.ends_with('-'))
    }

    pub(super) fn match_expression(&mut self) -> Parsed<Operand> {
        let start = self.token().span.start;
        self.advance();
        // Only a primary: otherwise the `{` of the cases would be a projection.
        let scrutinee = self.nested(Self::primary)?;
        let open = self.at();
        if !self.eat(TokenKind::LeftBrace) {
            let hint = (self.kind() == TokenKind::Dot)
                .then(|| "Put parentheses around the value: match (a.b) { ... }".to_owned());
            return Err(self.error("'{'", hint));
        }
        let mut height = scrutinee.height;
        let mut cases = self.items(open, TokenKind::RightBrace, |parser| {
            let pattern = parser.pattern()?;
            parser.arrow()?;
            Ok((pattern, parser.part(&mut height)?))
        })?;
        if cases.is_some_and(List::is_empty) {
            let span = self.span_from(start);
            self.sink.push(Diagnostic::error(Code::Syntax, span, "Parse error: the match has no case"));
            cases = None;
        }
        let kind = cases.map(|cases| ExpressionKind::Match { scrutinee: scrutinee.id, cases });
        self.finish(start, kind, height + 1)
    }

    fn pattern(&mut self) -> Parsed<Pattern<'a>> {
        let start = self.token().span.start;
        let kind = match self.kind() {
            TokenKind::LeftBrace => {
                let open = self.at();
                self.advance();
                let names = self
                    .items(open, TokenKind::RightBrace, |parser| parser.used_name("the name of a field"))?
                    .ok_or(Failed)?;
                if names.is_empty() {
                    self.go_to(self.at() - 1);
                    return Err(self.error("the name of a field", None));
                }
                PatternKind::Fields(names)
            }
            TokenKind::Is => {
                self.advance();
                PatternKind::Is(self.used_name("the name of a type")?)
            }
            TokenKind::Identifier if self.text() == "_" => {
                self.advance();
                PatternKind::Any
            }
            _ => return Err(self.error("a pattern ('{ field }', 'is Type' or '_')", None)),
        };
        Ok(Pattern { kind, span: self.span_from(start) })
    }

    /// Whether `(...) =>` comes next.
    #[inline]
    pub(super) fn is_lambda(&self) -> bool {
        self.kind() == TokenKind::LeftParenthesis
            && self.source.has_fat_arrow()
            && self.partner(self.at()).is_some_and(|close| {
                self.tokens.get(close + 1).is_some_and(|token| token.kind == TokenKind::FatArrow)
            })
    }

    pub(super) fn lambda(&mut self) -> Parsed<Operand> {
        let (open, start) = (self.at(), self.token().span.start);
        self.advance();
        let parameters = self.items(open, TokenKind::RightParenthesis, |parser| {
            let name = parser.name("the name of a parameter")?;
            let ty = if parser.eat(TokenKind::Colon) { Some(parser.ty()?) } else { None };
            Ok((name, ty))
        })?;
        self.expect(TokenKind::FatArrow, "'=>'")?;
        let body = self.nested(Self::expression)?;
        let kind = parameters.map(|parameters| ExpressionKind::Lambda { parameters, body: body.id });
        self.finish(start, kind, body.height + 1)
    }
}
