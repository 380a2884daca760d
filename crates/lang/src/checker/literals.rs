//! Literals of composite values.

use constellation_store_core::{FieldValue, Literal, NodeKind};
use constellation_types::{RecordType, Type};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{Checker, Value};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::suggest::nearest;
use crate::syntax::{ExpressionId, Interpolation, Name};
use crate::types::{Ty, excerpt};

impl<'a> Checker<'_, '_, 'a> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a float literal is the nearest double, however it is written"
    )]
    pub(super) fn float_literal(&mut self, int: i64, span: Span) -> Value {
        self.add(NodeKind::Literal(Literal::Float(int as f64)), Ty::FLOAT, span)
    }

    pub(super) fn interpolation(
        &mut self,
        Interpolation { parts, values }: Interpolation,
        span: Span,
    ) -> Option<Value> {
        let tree = self.tree;
        let mut nodes = Vec::with_capacity(values.len());
        let mut is_complete = true;
        for id in tree.list(values) {
            match self.infer(*id, None) {
                Some(value) if self.types.has_function(value.ty) => {
                    let message = format!("A function has no text: got {}", self.types.text(value.ty));
                    self.error(Code::TypeError, self.expression(*id).span, message);
                    is_complete = false;
                }
                Some(value) => nodes.push(value.node),
                None => is_complete = false,
            }
        }
        if !is_complete {
            return None;
        }
        let parts = tree.list(parts).iter().map(|part| tree.text(*part).to_owned()).collect();
        Some(self.add(NodeKind::Interpolate { parts, values: nodes }, Ty::STRING, span))
    }

    pub(super) fn list(&mut self, items: &[ExpressionId], hint: Option<Ty>, span: Span) -> Option<Value> {
        let hint = match hint.and_then(|hint| self.types.get(hint).element().cloned()) {
            Some(element) => {
                let result = self.types.intern(&element);
                self.bounded(span, result)
            }
            None => None,
        };
        let items: Vec<Option<Value>> = items.iter().map(|item| self.infer(*item, hint)).collect();
        let items: Option<Vec<Value>> = items.into_iter().collect();
        let items = items?;
        let element = self.upper_bound(items.iter().map(|item| item.ty), span)?;
        let result = self.types.list(element);
        let ty = self.bounded(span, result)?;
        let items = items.into_iter().map(|item| self.coerce(item, element).node).collect();
        Some(self.add(NodeKind::List { items }, ty, span))
    }

    pub(super) fn check_list(
        &mut self,
        items: &[ExpressionId],
        element: &Type,
        expected: Ty,
        span: Span,
    ) -> Option<Value> {
        let result = self.types.intern(element);
        let element = self.bounded(span, result)?;
        let items: Vec<Option<Value>> = items.iter().map(|item| self.check(*item, element)).collect();
        let items: Option<Vec<Value>> = items.into_iter().collect();
        let items = items?.into_iter().map(|item| item.node).collect();
        Some(self.add(NodeKind::List { items }, expected, span))
    }

    pub(super) fn record(
        &mut self,
        fields: &[(Name<'a>, ExpressionId)],
        hint: Option<Ty>,
        span: Span,
    ) -> Option<Value> {
        let hinted = hint.map(|hint| self.types.get(hint).clone());
        let mut hints: HashMap<&str, Ty> = HashMap::new();
        if let Some(Type::Record(record)) = &hinted {
            self.types.charge(record.fields().len());
            for field in record.fields() {
                let result = self.types.intern(&field.ty);
                hints.insert(&field.name, self.bounded(span, result)?);
            }
        }
        let values: Vec<Option<Value>> =
            fields.iter().map(|(name, value)| self.infer(*value, hints.get(name.text).copied())).collect();
        let values: Option<Vec<Value>> = values.into_iter().collect();
        let named = fields.iter().map(|(name, _)| name.text).zip(values?);
        // Of several fields of one name the last wins, in the place of the first, as in record types.
        let mut unique: Vec<(&str, Value)> = Vec::with_capacity(fields.len());
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(fields.len());
        for (name, value) in named {
            let place = *places.entry(name).or_insert(unique.len());
            if place == unique.len() {
                unique.push((name, value));
            } else {
                unique[place].1 = value;
            }
        }
        let types: SmallVec<[(&str, Ty); 8]> = unique.iter().map(|(name, value)| (*name, value.ty)).collect();
        let result = self.types.record(&types);
        let ty = self.bounded(span, result)?;
        let fields =
            unique.into_iter().map(|(name, value)| FieldValue { name: name.to_owned(), node: value.node });
        Some(self.add(NodeKind::Record { fields: fields.collect() }, ty, span))
    }

    pub(super) fn check_record(
        &mut self,
        fields: &[(Name<'a>, ExpressionId)],
        record: &RecordType,
        expected: Ty,
        span: Span,
    ) -> Option<Value> {
        self.types.charge(record.fields().len());
        let wanted: HashMap<&str, &Type> =
            record.fields().iter().map(|field| (&*field.name, &field.ty)).collect();
        let mut values: HashMap<&str, Option<Value>> = HashMap::with_capacity(fields.len());
        for (name, value) in fields {
            let value = match wanted.get(name.text) {
                Some(ty) => {
                    let result = self.types.intern(ty);
                    let ty = self.bounded(span, result)?;
                    self.check(*value, ty)
                }
                // The type does not have the field, so its value is only checked for errors.
                None => self.infer(*value, None),
            };
            values.insert(name.text, value);
        }
        let missing: Vec<&str> = record
            .fields()
            .iter()
            .map(|field| &*field.name)
            .filter(|name| !values.contains_key(name))
            .collect();
        if !missing.is_empty() {
            let extra = fields.iter().map(|(name, _)| name.text).filter(|name| !wanted.contains_key(name));
            let extra: Vec<&str> = extra.collect();
            let mut hints: Vec<String> = Vec::new();
            for name in missing.iter().take(3) {
                let written = nearest(name, extra.iter().copied()).next();
                hints.extend(written.map(|written| format!("Did you mean '{name}' by '{written}'?")));
            }
            let added = missing.iter().take(3).map(|name| format!("{name}: {}", excerpt(wanted[name])));
            hints.push(format!("Add {}", added.collect::<Vec<_>>().join(", ")));
            let missing = missing.join(", ");
            let message = format!("Record literal is missing required field(s): {missing}");
            let diagnostic = Diagnostic::error(Code::TypeError, span, message);
            let (expected, found) = (self.types.text(expected), fields.iter().map(|(name, _)| name.text));
            let found = format!("{{ {} }}", found.take(50).collect::<Vec<_>>().join(", "));
            self.sink.push(diagnostic.expected_found(expected, found).suggest(hints));
            return None;
        }
        if values.values().any(Option::is_none) {
            return None;
        }
        let fields = record.fields().iter().map(|field| {
            values[&*field.name].map(|value| FieldValue { name: field.name.to_string(), node: value.node })
        });
        let fields = fields.collect::<Option<Vec<_>>>()?;
        Some(self.add(NodeKind::Record { fields }, expected, span))
    }
}
