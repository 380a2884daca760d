//! Expressions: inference, checking against an expected type, and what chooses between values.

use constellation_store_core::{BranchCase, Literal, NodeKind};
use constellation_types::Type;
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::operators::{MIXED_NUMBERS, is_number_union};
use super::{Checker, Value};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::suggest::nearest;
use crate::syntax::{ExpressionId, ExpressionKind, Name};
use crate::types::Ty;

impl<'a> Checker<'_, '_, 'a> {
    /// The value of an expression. A literal takes the form of `hint` where it can, and its own type where it
    /// cannot.
    ///
    /// Operators are applied in a loop along their left operands, since a chain may be as long as the program.
    pub(super) fn infer(&mut self, id: ExpressionId, hint: Option<Ty>) -> Option<Value> {
        // Nothing more would be reported.
        if self.sink.is_full() || self.types.is_exhausted() {
            return None;
        }
        let mut operators: SmallVec<[(ExpressionId, ExpressionId); 4]> = SmallVec::new();
        let mut first = id;
        loop {
            let next = match &self.expression(first).kind {
                ExpressionKind::Binary { left, .. } => *left,
                ExpressionKind::Field { source, .. } | ExpressionKind::Projection { source, .. } => *source,
                ExpressionKind::Not(operand) | ExpressionKind::Negate(operand) => *operand,
                _ => break,
            };
            operators.push((first, next));
            first = next;
        }
        let mut value = self.infer_operand(first, if operators.is_empty() { hint } else { None });
        while let Some((operator, operand)) = operators.pop() {
            value = self.apply(operator, operand, value);
        }
        value
    }

    /// Applies an expression to its first operand.
    fn apply(&mut self, id: ExpressionId, operand: ExpressionId, value: Option<Value>) -> Option<Value> {
        let tree = self.tree;
        let expression = tree.expression(id);
        let span = expression.span;
        match &expression.kind {
            ExpressionKind::Binary { operator, left: _, right } => {
                self.binary(*operator, (operand, value), *right, span)
            }
            ExpressionKind::Field { source: _, name } => {
                let span_of_name = Span::new(span.range().end - name.len(), span.range().end);
                self.field(value?, Name { text: name, span: span_of_name }, span)
            }
            ExpressionKind::Projection { source: _, names } => {
                self.projection(value?, tree.list(*names), span)
            }
            ExpressionKind::Not(_) => {
                let operand = self.require(value?, Ty::BOOLEAN, tree.expression(operand).span)?;
                Some(self.add(NodeKind::Not { operand: operand.node }, Ty::BOOLEAN, span))
            }
            ExpressionKind::Negate(_) => self.negate(value?, span),
            _ => unreachable!("only operators are applied"),
        }
    }

    fn infer_operand(&mut self, id: ExpressionId, hint: Option<Ty>) -> Option<Value> {
        let tree = self.tree;
        let expression = tree.expression(id);
        let span = expression.span;
        match &expression.kind {
            ExpressionKind::Error => None,
            ExpressionKind::Variable(name) => self.variable(Name { text: name, span }),
            ExpressionKind::Integer(int) => {
                if hint == Some(Ty::FLOAT) {
                    return Some(self.float_literal(*int, span));
                }
                Some(self.add(NodeKind::Literal(Literal::Int(*int)), Ty::INT, span))
            }
            ExpressionKind::Float(float) => {
                Some(self.add(NodeKind::Literal(Literal::Float(*float)), Ty::FLOAT, span))
            }
            ExpressionKind::Boolean(boolean) => {
                Some(self.add(NodeKind::Literal(Literal::Bool(*boolean)), Ty::BOOLEAN, span))
            }
            ExpressionKind::String(text) => Some(self.add(
                NodeKind::Literal(Literal::String(tree.text(*text).to_owned())),
                Ty::STRING,
                span,
            )),
            ExpressionKind::Interpolation(interpolation) => self.interpolation(*interpolation, span),
            ExpressionKind::List(items) => self.list(tree.list(*items), hint, span),
            ExpressionKind::Record(fields) => self.record(tree.list(*fields), hint, span),
            ExpressionKind::Call(call) => self.call(tree.call(*call), span),
            ExpressionKind::Coalesce { reversed } => self.coalesce(tree.list(*reversed)),
            ExpressionKind::Conditional { arms, otherwise } => {
                self.conditional(tree.list(*arms), *otherwise, None)
            }
            ExpressionKind::Branch { cases, otherwise } => {
                self.branch(tree.list(*cases), *otherwise, None, span)
            }
            ExpressionKind::Match { scrutinee, cases } => {
                self.match_cases(*scrutinee, tree.list(*cases), None, span)
            }
            ExpressionKind::Lambda { .. } => {
                self.lambda_out_of_place(span);
                None
            }
            ExpressionKind::Binary { .. }
            | ExpressionKind::Field { .. }
            | ExpressionKind::Projection { .. }
            | ExpressionKind::Not(_)
            | ExpressionKind::Negate(_) => unreachable!("operators are applied to their operands"),
        }
    }

    pub(super) fn lambda_out_of_place(&mut self, span: Span) {
        let message = "Lambda expression cannot be used in this context. Lambdas can only be used as arguments to \
                       higher-order functions like filter, map, etc.";
        let hint = "Call a function that takes a function, and write the lambda as its argument".to_owned();
        self.sink.push(Diagnostic::error(Code::InvalidLambdaContext, span, message).suggest([hint]));
    }

    /// The value of an expression as a value of type `expected`.
    pub(super) fn check(&mut self, id: ExpressionId, expected: Ty) -> Option<Value> {
        let tree = self.tree;
        let expression = tree.expression(id);
        let span = expression.span;
        // There is no literal for an optional, and an example says what a caller sends: the value itself.
        if self.is_in_example
            && is_plain_data(&expression.kind)
            && let Type::Optional(inner) = self.types.get(expected).clone()
        {
            let inner = self.types.intern(&inner);
            let inner = self.bounded(span, inner)?;
            let value = self.check(id, inner)?.node;
            let condition = self.add(NodeKind::Literal(Literal::Bool(true)), Ty::BOOLEAN, span).node;
            return Some(self.add(NodeKind::Guard { value, condition }, expected, span));
        }
        match &expression.kind {
            ExpressionKind::Integer(int) => {
                // Where an Int fits, it stays one.
                let float = Ty::FLOAT;
                if !self.types.is_subtype(Ty::INT, expected) && self.types.is_subtype(float, expected) {
                    let value = self.float_literal(*int, span);
                    return Some(self.coerce(value, expected));
                }
            }
            ExpressionKind::List(items) => {
                if let Some(element) = self.types.get(expected).element().cloned() {
                    return self.check_list(tree.list(*items), &element, expected, span);
                }
            }
            ExpressionKind::Record(fields) => {
                if let Type::Record(record) = self.types.get(expected) {
                    let record = record.clone();
                    return self.check_record(tree.list(*fields), &record, expected, span);
                }
            }
            ExpressionKind::Conditional { arms, otherwise } => {
                return self.conditional(tree.list(*arms), *otherwise, Some(expected));
            }
            ExpressionKind::Branch { cases, otherwise } => {
                return self.branch(tree.list(*cases), *otherwise, Some(expected), span);
            }
            ExpressionKind::Match { scrutinee, cases } => {
                return self.match_cases(*scrutinee, tree.list(*cases), Some(expected), span);
            }
            _ => {}
        }
        let value = self.infer(id, Some(expected))?;
        self.require(value, expected, span)
    }

    /// The value as `expected`, or an error at `span`.
    pub(super) fn require(&mut self, value: Value, expected: Ty, span: Span) -> Option<Value> {
        if self.types.is_subtype(value.ty, expected) {
            return Some(self.coerce(value, expected));
        }
        self.mismatch(expected, value.ty, span);
        None
    }

    pub(super) fn mismatch(&mut self, expected: Ty, found: Ty, span: Span) {
        let (expected_text, found_text) = (self.types.text(expected), self.types.text(found));
        let message = format!("Type mismatch: expected {expected_text}, got {found_text}");
        let diagnostic = Diagnostic::error(Code::TypeMismatch, span, message)
            .expected_found(expected_text, found_text)
            .suggest(self.conversion(expected, found).map(str::to_owned));
        self.sink.push(diagnostic);
    }

    /// How a value of one type becomes one of another.
    pub(super) fn conversion(&self, expected: Ty, found: Ty) -> Option<&'static str> {
        match (self.types.get(expected), self.types.get(found)) {
            (Type::Optional(_), Type::Optional(_)) => None,
            (Type::Float, found) if is_number_union(found) => Some(MIXED_NUMBERS),
            (expected, Type::Optional(inner)) if inner.is_subtype_of(expected) => {
                Some("Give a default for the case without a value: optional ?? default")
            }
            (Type::Optional(inner), found) if found.is_subtype_of(inner) => {
                Some("A guard makes an optional: value when condition")
            }
            (Type::String, Type::Int) => Some("Convert with to-string(value), or write \"${value}\""),
            (Type::String, Type::Float | Type::Boolean) => {
                Some("Interpolation makes text of any value: \"${value}\"")
            }
            (Type::Int, Type::Float) => Some("Convert with to-int(value), which truncates"),
            (Type::Float, Type::Int) => Some("Convert with to-float(value)"),
            (Type::Boolean, _) => Some("A comparison gives a Boolean, for example: x > 0"),
            (Type::List(_), Type::Seq(_)) => Some("A Seq cannot stand for a List; declare the value as List"),
            _ => None,
        }
    }

    fn variable(&mut self, name: Name<'a>) -> Option<Value> {
        let Some(variable) = self.variables.get(name.text) else {
            self.undefined_variable(name);
            return None;
        };
        if let Some(assignment) = variable.assignment {
            self.assignments[assignment].is_used = true;
        }
        variable.value
    }

    fn field(&mut self, source: Value, name: Name<'a>, span: Span) -> Option<Value> {
        let Some(record) = self.types.record_within(source.ty) else {
            self.no_record("Field access", source.ty, span);
            return None;
        };
        self.types.charge(record.fields().len());
        let Some(ty) = record.get(name.text).cloned() else {
            let available: Vec<&str> = record.fields().iter().map(|field| &*field.name).collect();
            self.missing_field(Code::InvalidFieldAccess, name, &available, name.span);
            return None;
        };
        let result = self.types.intern(&ty);
        let element = self.bounded(span, result)?;
        let result = self.types.in_place_of(source.ty, element);
        let ty = self.bounded(span, result)?;
        Some(self.add(NodeKind::Field { source: source.node, name: name.text.to_owned() }, ty, span))
    }

    fn no_record(&mut self, what: &str, found: Ty, span: Span) {
        let hint = match self.types.get(found) {
            Type::Optional(_) => Some("Give a default first: (optional ?? default).field"),
            Type::Union(_) => Some("Choose the member first: match value { { field } -> field, _ -> other }"),
            _ => None,
        };
        let found = self.types.text(found);
        let message = format!("{what} requires a record type, got {found}");
        let diagnostic = Diagnostic::error(Code::TypeError, span, message);
        self.sink.push(diagnostic.expected_found("a record", found).suggest(hint.map(str::to_owned)));
    }

    fn missing_field(&mut self, code: Code, name: Name<'a>, available: &[&str], span: Span) {
        let what = if code == Code::InvalidProjection { "projection" } else { "field access" };
        let all = available.iter().take(50).copied().collect::<Vec<_>>().join(", ");
        let all = if available.len() > 50 { format!("{all}, ...") } else { all };
        let mut hints: Vec<String> = nearest(name.text, available.iter().copied())
            .map(|near| format!("Did you mean '{near}'?"))
            .collect();
        hints.push(format!("Available fields: {all}"));
        let message = format!("Invalid {what}: field '{}' not found. Available: {all}", name.text);
        self.sink.push(Diagnostic::error(code, span, message).suggest(hints));
    }

    fn projection(&mut self, source: Value, names: &[Name<'a>], span: Span) -> Option<Value> {
        let Some(record) = self.types.record_within(source.ty) else {
            self.no_record("Projection", source.ty, span);
            return None;
        };
        self.types.charge(record.fields().len());
        let by_name: HashMap<&str, &Type> =
            record.fields().iter().map(|field| (&*field.name, &field.ty)).collect();
        let mut fields: Vec<(&str, Ty)> = Vec::with_capacity(names.len());
        let mut seen = HashSet::with_capacity(names.len());
        let mut is_complete = true;
        for name in names {
            let Some(ty) = by_name.get(name.text) else {
                is_complete = false;
                if !self.sink.is_full() {
                    let available: Vec<&str> = record.fields().iter().map(|field| &*field.name).collect();
                    self.missing_field(Code::InvalidProjection, *name, &available, span);
                }
                continue;
            };
            if seen.insert(name.text) {
                let result = self.types.intern(ty);
                fields.push((name.text, self.bounded(span, result)?));
            }
        }
        if !is_complete {
            return None;
        }
        let names = fields.iter().map(|(name, _)| (*name).to_owned()).collect();
        let result = self.types.record(&fields);
        let element = self.bounded(span, result)?;
        let result = self.types.in_place_of(source.ty, element);
        let ty = self.bounded(span, result)?;
        Some(self.add(NodeKind::Project { source: source.node, names }, ty, span))
    }

    /// `a ?? b ?? c`, grouped to the right.
    fn coalesce(&mut self, reversed: &[ExpressionId]) -> Option<Value> {
        // From left to right, so that errors come in order; the type of each default follows from the left.
        let mut values = Vec::with_capacity(reversed.len());
        let mut hint = None;
        for id in reversed.iter().rev() {
            let value = self.infer(*id, hint);
            if let Some(Type::Optional(inner)) = value.map(|value| self.types.get(value.ty).clone()) {
                let result = self.types.intern(&inner);
                hint = self.bounded(self.expression(*id).span, result);
            }
            values.push((*id, value));
        }
        let (mut right_id, mut right) = values.pop()?;
        while let Some((left_id, left)) = values.pop() {
            right = self.coalesce_pair((left_id, left), (right_id, right));
            right_id = left_id;
        }
        right
    }

    fn coalesce_pair(
        &mut self,
        (left_id, left): (ExpressionId, Option<Value>),
        (right_id, right): (ExpressionId, Option<Value>),
    ) -> Option<Value> {
        let (left_span, right_span) = (self.expression(left_id).span, self.expression(right_id).span);
        let left = left?;
        let Type::Optional(inner) = self.types.get(left.ty).clone() else {
            let found = self.types.text(left.ty);
            let message = format!("Left side of ?? must be Optional, got {found}");
            let hint = "The value is always there: remove '??' and the default".to_owned();
            let diagnostic = Diagnostic::error(Code::TypeError, left_span, message);
            self.sink.push(diagnostic.expected_found("an Optional", found).suggest([hint]));
            return None;
        };
        let right = right?;
        let result = self.types.intern(&inner);
        let inner = self.bounded(left_span, result)?;
        // `[]` on the left takes its type from the right.
        if self.types.has_nothing(inner) && self.types.is_subtype(inner, right.ty) {
            let result = self.types.optional(right.ty);
            let optional = self.bounded(left_span, result)?;
            let value = self.coerce(left, optional).node;
            let kind = NodeKind::Coalesce { value, default: right.node };
            return Some(self.add(kind, right.ty, left_span.to(right_span)));
        }
        let ty = if self.types.is_subtype(right.ty, inner) {
            inner
        } else if self.types.is_subtype(right.ty, left.ty) {
            left.ty
        } else {
            self.mismatch(inner, right.ty, right_span);
            return None;
        };
        let default = self.coerce(right, ty);
        let kind = NodeKind::Coalesce { value: left.node, default: default.node };
        Some(self.add(kind, ty, left_span.to(right_span)))
    }

    fn conditional(
        &mut self,
        arms: &[(ExpressionId, ExpressionId)],
        otherwise: ExpressionId,
        expected: Option<Ty>,
    ) -> Option<Value> {
        let end = self.expression(otherwise).span;
        let mut checked = Vec::with_capacity(arms.len());
        for (condition_id, value_id) in arms {
            let condition = self.check(*condition_id, Ty::BOOLEAN);
            let value = self.arm(*value_id, expected);
            checked.push((condition, value, self.expression(*condition_id).span.to(end)));
        }
        let mut result = self.arm(otherwise, expected);
        for (condition, value, span) in checked.into_iter().rev() {
            let (Some(condition), Some(value), Some(last)) = (condition, value, result) else {
                result = None;
                continue;
            };
            let ty = match expected {
                Some(expected) => Ok(expected),
                None => self.types.least_upper_bound(value.ty, last.ty),
            };
            result = self.bounded(span, ty).map(|ty| {
                let then = self.coerce(value, ty).node;
                let otherwise = self.coerce(last, ty).node;
                self.add(NodeKind::If { condition: condition.node, then, otherwise }, ty, span)
            });
        }
        result
    }

    pub(super) fn arm(&mut self, id: ExpressionId, expected: Option<Ty>) -> Option<Value> {
        match expected {
            Some(expected) => self.check(id, expected),
            None => self.infer(id, None),
        }
    }

    fn branch(
        &mut self,
        cases: &[(ExpressionId, ExpressionId)],
        otherwise: ExpressionId,
        expected: Option<Ty>,
        span: Span,
    ) -> Option<Value> {
        let mut checked = Vec::with_capacity(cases.len());
        for (condition, value) in cases {
            checked.push((self.check(*condition, Ty::BOOLEAN), self.arm(*value, expected)));
        }
        let otherwise = self.arm(otherwise, expected);
        let checked: Option<Vec<(Value, Value)>> =
            checked.into_iter().map(|(condition, value)| Some((condition?, value?))).collect();
        let (checked, otherwise) = (checked?, otherwise?);
        let values = checked.iter().map(|(_, value)| value.ty).chain([otherwise.ty]);
        let ty = self.upper_bound(values.collect::<Vec<_>>(), span)?;
        let cases = checked
            .into_iter()
            .map(|(condition, value)| BranchCase {
                condition: condition.node,
                value: self.coerce(value, ty).node,
            })
            .collect();
        let otherwise = self.coerce(otherwise, ty).node;
        Some(self.add(NodeKind::Branch { cases, otherwise }, ty, span))
    }

    /// The least upper bound of some types, from left to right.
    pub(super) fn upper_bound(&mut self, types: impl IntoIterator<Item = Ty>, span: Span) -> Option<Ty> {
        let mut bound = Ty::NOTHING;
        for ty in types {
            let result = self.types.least_upper_bound(bound, ty);
            bound = self.bounded(span, result)?;
        }
        Some(bound)
    }
}

/// Whether the expression is written as a literal, of one value or of several.
fn is_plain_data(kind: &ExpressionKind<'_>) -> bool {
    matches!(
        kind,
        ExpressionKind::Integer(_)
            | ExpressionKind::Float(_)
            | ExpressionKind::Boolean(_)
            | ExpressionKind::String(_)
            | ExpressionKind::List(_)
            | ExpressionKind::Record(_)
    )
}
