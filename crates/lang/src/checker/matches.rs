//! `match`: which members of a union a pattern chooses, what it binds, and whether every member has a case.

use constellation_store_core::NodeKind;
use constellation_types::Type;
use hashbrown::{HashMap, HashSet};

use super::{Checker, Value, Variable};
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::{CasePattern, Operation, ScopeId};
use crate::span::Span;
use crate::syntax::{ExpressionId, ExpressionKind, Name, Pattern, PatternKind};
use crate::types::Ty;

/// A pattern of which it is known what it chooses.
struct Resolved<'a> {
    pattern: CasePattern,
    /// The names that it binds, and the types of the region's parameters.
    parameters: Vec<(Name<'a>, Ty)>,
}

impl<'a> Checker<'_, '_, 'a> {
    pub(super) fn match_cases(
        &mut self,
        scrutinee_id: ExpressionId,
        cases: &[(Pattern<'a>, ExpressionId)],
        expected: Option<Ty>,
        span: Span,
    ) -> Option<Value> {
        let scrutinee = self.infer(scrutinee_id, None);
        // Without a scrutinee the patterns bind nothing that is known, so bodies would give follow-up errors.
        let scrutinee = scrutinee?;
        let members: Vec<Type> = match self.types.get(scrutinee.ty) {
            Type::Union(union) => union.members().to_vec(),
            ty => vec![ty.clone()],
        };
        let mut is_covered = vec![false; members.len()];
        let subject = match self.expression(scrutinee_id).kind {
            ExpressionKind::Variable(text) => Some(Name { text, span }),
            _ => None,
        };
        let mut checked: Vec<Option<(CasePattern, ScopeId, Value)>> = Vec::with_capacity(cases.len());
        let mut has_bad_pattern = false;
        for (pattern, body) in cases {
            let resolved = self.pattern(pattern, scrutinee.ty, &members, &mut is_covered, subject);
            has_bad_pattern |= resolved.is_none();
            checked.push(resolved.and_then(|resolved| self.case(resolved, *body, expected)));
        }
        if !has_bad_pattern && is_covered.contains(&false) {
            let missing = members.iter().zip(&is_covered).filter(|(_, is_covered)| !**is_covered);
            let missing: Vec<&Type> = missing.map(|(member, _)| member).collect();
            let mut hints: Vec<String> = missing
                .iter()
                .filter_map(|member| pattern_of(member))
                .take(3)
                .map(|pattern| format!("Add a case: {pattern} -> value"))
                .collect();
            hints.push("Add a last case: _ -> value".to_owned());
            let mut missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            missing.sort_unstable();
            let subject = self.types.text(scrutinee.ty);
            let missing = missing.join(", ");
            let message = format!("Non-exhaustive match on type {subject}. Missing patterns for: {missing}");
            let diagnostic = Diagnostic::error(Code::TypeError, span, message);
            self.sink.push(diagnostic.suggest(hints));
            return None;
        }
        let checked: Vec<(CasePattern, ScopeId, Value)> = checked.into_iter().collect::<Option<_>>()?;
        let ty = self.upper_bound(checked.iter().map(|(_, _, value)| value.ty), span)?;
        let outer = self.scope;
        let mut cases = Vec::with_capacity(checked.len());
        for (pattern, scope, value) in checked {
            self.scope = scope;
            self.graph.scopes[scope.index()].result = self.coerce(value, ty).node;
            self.scope = outer;
            cases.push((pattern, scope));
        }
        let operation = Operation::Match { scrutinee: scrutinee.node, cases };
        Some(self.add_operation(operation, ty, span))
    }

    fn case(
        &mut self,
        resolved: Resolved<'a>,
        body: ExpressionId,
        expected: Option<Ty>,
    ) -> Option<(CasePattern, ScopeId, Value)> {
        let outer = self.scope;
        let scope = self.graph.open_scope();
        self.scope = scope;
        let mut shadowed = Vec::with_capacity(resolved.parameters.len());
        for (name, ty) in resolved.parameters {
            let parameter = self.add(NodeKind::Parameter, ty, name.span);
            self.graph.scopes[scope.index()].parameters.push(parameter.node);
            let variable = Variable::new(Some(parameter));
            // `is N` of a value without a name binds a parameter that nothing can refer to.
            if !name.text.is_empty() {
                shadowed.push((name.text, self.variables.insert(name.text, variable)));
            }
        }
        let value = self.arm(body, expected);
        for (name, variable) in shadowed.into_iter().rev() {
            match variable {
                Some(variable) => self.variables.insert(name, variable),
                None => self.variables.remove(name),
            };
        }
        self.scope = outer;
        Some((resolved.pattern, scope, value?))
    }

    fn pattern(
        &mut self,
        pattern: &Pattern<'a>,
        scrutinee: Ty,
        members: &[Type],
        is_covered: &mut [bool],
        subject: Option<Name<'a>>,
    ) -> Option<Resolved<'a>> {
        match &pattern.kind {
            PatternKind::Any => {
                is_covered.fill(true);
                Some(Resolved { pattern: CasePattern::Any, parameters: Vec::new() })
            }
            PatternKind::Is(name) => {
                let wanted = self.named_type(name.text, name.span)?;
                let mut chosen = Vec::with_capacity(members.len());
                for (member, is_covered) in members.iter().zip(is_covered) {
                    let member = self.types.intern(member).ok()?;
                    if self.types.is_subtype(member, wanted) {
                        *is_covered = true;
                        chosen.push(member);
                    }
                }
                if chosen.is_empty() {
                    self.cannot_match(&format!("is {}", name.text), scrutinee, pattern.span);
                    return None;
                }
                // In the body, the name of the scrutinee stands for the value as what it is known to be now, which
                // may be less than what was asked for.
                let narrowed = if chosen.len() == members.len() {
                    scrutinee
                } else {
                    let union = self.types.union(&chosen);
                    self.bounded(pattern.span, union)?
                };
                let name = Name { text: subject.map_or("", |subject| subject.text), span: pattern.span };
                Some(Resolved { pattern: CasePattern::Is(wanted), parameters: vec![(name, narrowed)] })
            }
            PatternKind::Fields(names) => {
                self.field_pattern(self.tree.list(*names), pattern.span, scrutinee, members, is_covered)
            }
        }
    }

    fn field_pattern(
        &mut self,
        names: &[Name<'a>],
        span: Span,
        scrutinee: Ty,
        members: &[Type],
        is_covered: &mut [bool],
    ) -> Option<Resolved<'a>> {
        let mut unique: Vec<Name<'a>> = Vec::with_capacity(names.len());
        let mut seen = HashSet::with_capacity(names.len());
        unique.extend(names.iter().filter(|name| seen.insert(name.text)));
        // For each name the type that its field has in some chosen member or other.
        let mut types: Option<Vec<Ty>> = None;
        for (member, is_covered) in members.iter().zip(is_covered) {
            let Type::Record(record) = member else { continue };
            self.types.charge(record.fields().len());
            let by_name: HashMap<&str, &Type> =
                record.fields().iter().map(|field| (&*field.name, &field.ty)).collect();
            let fields: Option<Vec<&Type>> =
                unique.iter().map(|name| by_name.get(name.text).copied()).collect();
            let Some(fields) = fields else { continue };
            *is_covered = true;
            let mut bounds = Vec::with_capacity(fields.len());
            for (index, field) in fields.into_iter().enumerate() {
                let field = self.types.intern(field).ok()?;
                let bound = match &types {
                    Some(types) => self.types.least_upper_bound(types[index], field),
                    None => Ok(field),
                };
                bounds.push(self.bounded(span, bound)?);
            }
            types = Some(bounds);
        }
        let Some(types) = types else {
            let names: Vec<&str> = unique.iter().map(|name| name.text).collect();
            self.cannot_match(&format!("{{ {} }}", names.join(", ")), scrutinee, span);
            return None;
        };
        let parameters = unique.iter().copied().zip(types).collect();
        let names = unique.iter().map(|name| name.text.to_owned()).collect();
        Some(Resolved { pattern: CasePattern::Fields(names), parameters })
    }

    fn cannot_match(&mut self, pattern: &str, scrutinee: Ty, span: Span) {
        let ty = self.types.text(scrutinee);
        let message = format!("Pattern {pattern} cannot match type {ty}");
        let members = match self.types.get(scrutinee) {
            Type::Union(union) => union.members(),
            single => std::slice::from_ref(single),
        };
        let patterns: Vec<String> = members.iter().filter_map(pattern_of).take(5).collect();
        let hint =
            (!patterns.is_empty()).then(|| format!("Patterns that can match: {}", patterns.join(", ")));
        let diagnostic = Diagnostic::error(Code::TypeMismatch, span, message);
        self.sink.push(diagnostic.expected_found(ty, pattern).suggest(hint));
    }
}

/// A pattern that chooses a member, where one can be written without a name for its type.
fn pattern_of(member: &Type) -> Option<String> {
    match member {
        Type::String | Type::Int | Type::Float | Type::Boolean => Some(format!("is {member}")),
        Type::Record(record) if (1..10).contains(&record.fields().len()) => {
            let names: Vec<&str> = record.fields().iter().map(|field| &*field.name).collect();
            Some(format!("{{ {} }}", names.join(", ")))
        }
        _ => None,
    }
}
