//! Parsing of expressions.
//!
//! Operators are read by precedence with a stack, so that only brackets and bodies recurse.

use super::{Operand, Parsed, Parser};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::{BinaryOperator, ExpressionKind};
use crate::token::TokenKind;

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Coalesce,
    Binary(BinaryOperator),
    Not,
    Negate,
}

impl Operator {
    /// How tightly it binds, from 1 to 9; the language's table, loosest first.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Coalesce => 1,
            Self::Binary(BinaryOperator::When) => 2,
            Self::Binary(BinaryOperator::Or) => 3,
            Self::Binary(BinaryOperator::And) => 4,
            Self::Not => 5,
            Self::Binary(
                BinaryOperator::Equal
                | BinaryOperator::NotEqual
                | BinaryOperator::Less
                | BinaryOperator::LessOrEqual
                | BinaryOperator::Greater
                | BinaryOperator::GreaterOrEqual,
            ) => 6,
            Self::Binary(BinaryOperator::Add | BinaryOperator::Subtract) => 7,
            Self::Binary(BinaryOperator::Multiply | BinaryOperator::Divide) => 8,
            Self::Negate => 9,
        }
    }

    pub(crate) fn can_chain(self) -> bool {
        !matches!(self.precedence(), 2 | 6)
    }
}

/// An operator that waits for its right operand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    operator: Operator,
    precedence: u8,
    /// None of `not` and of the `-` before an operand.
    left: Option<Operand>,
    /// Where the expression starts.
    start: u32,
}

impl Waiting {
    /// Whether the operand behind the operator is its own, before an operator of some precedence, or 0 at the end.
    fn takes_operand_before(&self, next: u8) -> bool {
        // `??` groups to the right, all others to the left.
        self.precedence > next || (self.precedence == next && self.operator != Operator::Coalesce)
    }
}

impl Parser<'_, '_> {
    pub(super) fn expression(&mut self) -> Parsed<Operand> {
        // Many expressions are one variable.
        if self.kind() == TokenKind::Identifier && !self.next_kind().continues_name() {
            return Ok(self.variable());
        }
        if self.is_lambda() {
            return self.lambda();
        }
        let waiting = self.waiting.len();
        let result = self.operation(waiting);
        // What failed leaves its operators.
        self.waiting.truncate(waiting);
        result
    }

    /// Operands with operators between them. Those that wait below `bottom` belong to the expressions around it.
    #[inline]
    fn operation(&mut self, bottom: usize) -> Parsed<Operand> {
        loop {
            while let Some(operator) = self.prefix_operator() {
                self.wait(operator, operator.precedence(), None, self.token().span.start);
            }
            let mut start = self.token().span.start;
            let mut operand = self.operand()?;
            let next = self.kind().binary_operator();
            let precedence = next.map_or(0, Operator::precedence);
            while self.waiting.len() > bottom
                && let Some(last) = self.waiting.pop_if(|last| last.takes_operand_before(precedence))
            {
                start = last.start;
                operand = self.apply(last, operand)?;
                if last.precedence == precedence && !last.operator.can_chain() {
                    self.unchainable(last.operator);
                    // What it would mean is not known, so nothing more is said about it.
                    operand = self.add_error(self.span_from(start));
                }
            }
            let Some(operator) = next else { return Ok(operand) };
            self.wait(operator, precedence, Some(operand), start);
        }
    }

    /// Takes the operator at hand, which waits for its right operand.
    #[inline]
    fn wait(&mut self, operator: Operator, precedence: u8, left: Option<Operand>, start: u32) {
        self.waiting.push(Waiting { operator, precedence, left, start });
        self.advance();
    }

    #[inline]
    fn prefix_operator(&self) -> Option<Operator> {
        match self.kind() {
            TokenKind::Not if !self.is_used_as_name() => Some(Operator::Not),
            // The sign of a literal belongs to it, so that the smallest integer can be written.
            TokenKind::Minus if !self.is_sign() => Some(Operator::Negate),
            _ => None,
        }
    }

    /// Whether the `-` at hand is the sign of a number.
    pub(super) fn is_sign(&self) -> bool {
        matches!(self.next_kind(), TokenKind::Integer | TokenKind::Float)
    }

    /// Applies an operator to its operands, the right one of which was just read.
    #[inline]
    fn apply(
        &mut self,
        Waiting { operator, precedence: _, left, start }: Waiting,
        right: Operand,
    ) -> Parsed<Operand> {
        let span = self.span_from(start);
        match (operator, left) {
            (Operator::Binary(operator), Some(left)) => {
                let kind = ExpressionKind::Binary { operator, left: left.id, right: right.id };
                self.add(kind, span, left.height.max(right.height + 1))
            }
            (Operator::Coalesce, Some(left)) => self.coalesce(left, right, span),
            (Operator::Not, _) => self.add(ExpressionKind::Not(right.id), span, right.height),
            _ => self.add(ExpressionKind::Negate(right.id), span, right.height),
        }
    }

    #[inline(never)]
    fn coalesce(&mut self, left: Operand, right: Operand, span: Span) -> Parsed<Operand> {
        let node = &mut self.tree.expressions[right.id.index()];
        let ExpressionKind::Coalesce { reversed } = &mut node.kind else {
            let reversed = self.tree.lists.add([right.id, left.id]);
            return self.add(ExpressionKind::Coalesce { reversed }, span, left.height.max(right.height) + 1);
        };
        *reversed = self.tree.lists.push(*reversed, left.id);
        node.span = span;
        Ok(Operand { height: right.height.max(left.height + 1), ..right })
    }

    #[cold]
    fn unchainable(&mut self, last: Operator) {
        let Operator::Binary(operator) = last else { return };
        let message = format!("Parse error: '{}' cannot be chained", operator.as_str());
        let hint = if operator == BinaryOperator::When {
            "Join the conditions with 'and'".to_owned()
        } else {
            "Compare twice and join with 'and', for example: a < b and b < c".to_owned()
        };
        let span = self.token().span;
        self.sink.push(Diagnostic::error(Code::Syntax, span, message).suggest([hint]));
    }
}

impl TokenKind {
    /// The operator that this is between two operands.
    #[inline]
    fn binary_operator(self) -> Option<Operator> {
        Some(match self {
            Self::Coalesce => Operator::Coalesce,
            Self::When => Operator::Binary(BinaryOperator::When),
            Self::Or => Operator::Binary(BinaryOperator::Or),
            Self::And => Operator::Binary(BinaryOperator::And),
            Self::Equal => Operator::Binary(BinaryOperator::Equal),
            Self::NotEqual => Operator::Binary(BinaryOperator::NotEqual),
            Self::Less => Operator::Binary(BinaryOperator::Less),
            Self::LessEqual => Operator::Binary(BinaryOperator::LessOrEqual),
            Self::Greater => Operator::Binary(BinaryOperator::Greater),
            Self::GreaterEqual => Operator::Binary(BinaryOperator::GreaterOrEqual),
            Self::Plus => Operator::Binary(BinaryOperator::Add),
            Self::Minus => Operator::Binary(BinaryOperator::Subtract),
            Self::Star => Operator::Binary(BinaryOperator::Multiply),
            Self::Slash => Operator::Binary(BinaryOperator::Divide),
            _ => return None,
        })
    }

    /// Whether a name before this is not yet all of an expression.
    #[inline]
    fn continues_name(self) -> bool {
        let is_part = matches!(
            self,
            Self::Dot | Self::LeftParenthesis | Self::LeftBracket | Self::LeftBrace | Self::FatArrow
        );
        is_part || self.binary_operator().is_some()
    }
}
