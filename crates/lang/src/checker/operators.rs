//! Operators. They are node kinds, so what they mean does not depend on what a program imports.

use constellation_store_core::{ArithmeticOperator, ComparisonOperator, NodeKind};
use constellation_types::Type;

use super::{Checker, Value};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::{BinaryOperator, ExpressionId, ExpressionKind};
use crate::types::Ty;

/// What to do about a type `Float | Int`, which is made by arms or items of both.
pub(super) const MIXED_NUMBERS: &str =
    "The value is an Int in one case and a Float in another: write both as Float, for example 0.0 for 0";

/// What to do about an optional where a value must be.
const DEFAULT_FIRST: &str = "Give a default for the optional: (optional ?? default)";

/// What arithmetic works on.
const NUMBERS: &str = "Int or Float";

/// Whether the type is `Float | Int`.
pub(super) fn is_number_union(ty: &Type) -> bool {
    let Type::Union(union) = ty else { return false };
    union.members().iter().all(|member| matches!(member, Type::Int | Type::Float))
}

/// An operand: its expression, and its value unless that failed.
type Operand = (ExpressionId, Option<Value>);

impl Checker<'_, '_, '_> {
    pub(super) fn binary(
        &mut self,
        operator: BinaryOperator,
        left: Operand,
        right: ExpressionId,
        span: Span,
    ) -> Option<Value> {
        match operator {
            BinaryOperator::And | BinaryOperator::Or => {
                let left_span = self.expression(left.0).span;
                let left = left.1.and_then(|left| self.require(left, Ty::BOOLEAN, left_span));
                let right = self.check(right, Ty::BOOLEAN);
                let (left, right) = (left?.node, right?.node);
                let kind = match operator {
                    BinaryOperator::And => NodeKind::And { left, right },
                    _ => NodeKind::Or { left, right },
                };
                Some(self.add(kind, Ty::BOOLEAN, span))
            }
            BinaryOperator::When => {
                let condition = self.check(right, Ty::BOOLEAN);
                let (value, condition) = (left.1?, condition?.node);
                let result = self.types.optional(value.ty);
                let ty = self.bounded(span, result)?;
                Some(self.add(NodeKind::Guard { value: value.node, condition }, ty, span))
            }
            BinaryOperator::Add => self.arithmetic(ArithmeticOperator::Add, "+", left, right, span),
            BinaryOperator::Subtract => self.arithmetic(ArithmeticOperator::Subtract, "-", left, right, span),
            BinaryOperator::Multiply => self.arithmetic(ArithmeticOperator::Multiply, "*", left, right, span),
            BinaryOperator::Divide => self.arithmetic(ArithmeticOperator::Divide, "/", left, right, span),
            BinaryOperator::Equal => self.comparison(ComparisonOperator::Equal, "==", left, right, span),
            BinaryOperator::NotEqual => {
                self.comparison(ComparisonOperator::NotEqual, "!=", left, right, span)
            }
            BinaryOperator::Less => self.comparison(ComparisonOperator::Less, "<", left, right, span),
            BinaryOperator::LessOrEqual => {
                self.comparison(ComparisonOperator::LessOrEqual, "<=", left, right, span)
            }
            BinaryOperator::Greater => self.comparison(ComparisonOperator::Greater, ">", left, right, span),
            BinaryOperator::GreaterOrEqual => {
                self.comparison(ComparisonOperator::GreaterOrEqual, ">=", left, right, span)
            }
        }
    }

    pub(super) fn negate(&mut self, operand: Value, span: Span) -> Option<Value> {
        if operand.ty != Ty::INT && operand.ty != Ty::FLOAT {
            let found = self.types.text(operand.ty);
            let message = format!("Arithmetic operator '-' is not supported for type {found}");
            let hint = match self.types.get(operand.ty) {
                ty if is_number_union(ty) => Some(MIXED_NUMBERS),
                Type::Optional(_) => Some(DEFAULT_FIRST),
                Type::Boolean => Some("The negation of a Boolean is written 'not'"),
                _ => None,
            };
            let diagnostic = Diagnostic::error(Code::UnsupportedArithmetic, span, message);
            self.sink.push(diagnostic.expected_found(NUMBERS, found).suggest(hint.map(str::to_owned)));
            return None;
        }
        Some(self.add(NodeKind::Negate { operand: operand.node }, operand.ty, span))
    }

    fn arithmetic(
        &mut self,
        operator: ArithmeticOperator,
        text: &str,
        (left_id, left): Operand,
        right_id: ExpressionId,
        span: Span,
    ) -> Option<Value> {
        let right = self.infer(right_id, None);
        let (left, right) = (left?, right?);
        if operator == ArithmeticOperator::Add && self.is_mergeable(left.ty) && self.is_mergeable(right.ty) {
            let ty = self.merge_types(left.ty, right.ty, span)?;
            return Some(self.add(NodeKind::Merge { left: left.node, right: right.node }, ty, span));
        }
        let ty = match (left.ty, right.ty) {
            (Ty::INT, Ty::INT) => Ty::INT,
            (Ty::INT | Ty::FLOAT, Ty::INT | Ty::FLOAT) => Ty::FLOAT,
            _ => {
                self.unsupported_arithmetic(text, left.ty, right.ty, span);
                return None;
            }
        };
        let left = self.as_number(left_id, left, ty);
        let right = self.as_number(right_id, right, ty);
        let kind = NodeKind::Arithmetic { operator, left: left.node, right: right.node };
        Some(self.add(kind, ty, span))
    }

    fn unsupported_arithmetic(&mut self, operator: &str, left: Ty, right: Ty, span: Span) {
        let hint = match (self.types.get(left), self.types.get(right)) {
            (left, right) if is_number_union(left) || is_number_union(right) => Some(MIXED_NUMBERS),
            (Type::String, _) | (_, Type::String) if operator == "+" => {
                Some("Interpolation joins text and values: \"${a}${b}\"")
            }
            (Type::Optional(_), _) | (_, Type::Optional(_)) => Some(DEFAULT_FIRST),
            (Type::List(_) | Type::Seq(_), Type::List(_) | Type::Seq(_)) if operator == "+" => {
                Some("list-concat(a, b) joins two lists")
            }
            _ => None,
        };
        let (left, right) = (self.types.text(left), self.types.text(right));
        let message =
            format!("Arithmetic operator '{operator}' is not supported for types {left} and {right}");
        let diagnostic = Diagnostic::error(Code::UnsupportedArithmetic, span, message)
            .expected_found(NUMBERS, format!("{left} and {right}"))
            .suggest(hint.map(str::to_owned));
        self.sink.push(diagnostic);
    }

    fn is_mergeable(&self, ty: Ty) -> bool {
        self.types.record_within(ty).is_some()
    }

    /// A number as `Int` or `Float`. An integer literal becomes a float literal; an `Int` is converted.
    fn as_number(&mut self, id: ExpressionId, value: Value, ty: Ty) -> Value {
        if value.ty != ty
            && let ExpressionKind::Integer(int) = self.expression(id).kind
        {
            return self.float_literal(int, self.expression(id).span);
        }
        self.coerce(value, ty)
    }

    /// Whether the only value of the type is a list without elements, or a map without keys.
    fn is_empty(&self, ty: Ty) -> bool {
        match self.types.get(ty) {
            Type::List(part) | Type::Seq(part) | Type::Map(part, _) => **part == Type::Nothing,
            _ => false,
        }
    }

    fn comparison(
        &mut self,
        operator: ComparisonOperator,
        text: &str,
        (left_id, left): Operand,
        right_id: ExpressionId,
        span: Span,
    ) -> Option<Value> {
        let right = self.infer(right_id, left.map(|left| left.ty));
        let (mut left, mut right) = (left?, right?);
        if right.ty == Ty::FLOAT && matches!(self.expression(left_id).kind, ExpressionKind::Integer(_)) {
            left = self.as_number(left_id, left, Ty::FLOAT);
        }
        // What is empty takes the type of what it is compared with.
        if self.is_empty(left.ty) && self.types.is_subtype(left.ty, right.ty) {
            left = self.coerce(left, right.ty);
        }
        let is_lower = self.types.is_subtype(right.ty, left.ty);
        let is_higher = self.is_empty(right.ty) || self.types.is_subtype(left.ty, right.ty);
        if !(is_lower && is_higher) {
            self.mismatch(left.ty, right.ty, span);
            return None;
        }
        let is_ordering = !matches!(operator, ComparisonOperator::Equal | ComparisonOperator::NotEqual);
        let is_ordered = matches!(left.ty, Ty::INT | Ty::FLOAT | Ty::STRING);
        if (is_ordering && !is_ordered) || self.types.has_function(left.ty) {
            let hint = match self.types.get(left.ty) {
                ty if is_number_union(ty) => MIXED_NUMBERS,
                Type::Optional(_) => DEFAULT_FIRST,
                _ => "Compare something of it that has an order, or use '==' and '!='",
            };
            let (left, right) = (self.types.text(left.ty), self.types.text(right.ty));
            let message = format!("Operator '{text}' is not supported for types {left} and {right}");
            let diagnostic = Diagnostic::error(Code::UnsupportedComparison, span, message)
                .expected_found("Int, Float or String", format!("{left} and {right}"))
                .suggest([hint.to_owned()]);
            self.sink.push(diagnostic);
            return None;
        }
        right = self.coerce(right, left.ty);
        let kind = NodeKind::Compare { operator, left: left.node, right: right.node };
        Some(self.add(kind, Ty::BOOLEAN, span))
    }
}
