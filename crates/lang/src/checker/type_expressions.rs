//! Type expressions to types.

use constellation_types::Type;

use super::Checker;
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::suggest::nearest;
use crate::syntax::{TypeExpressionKind, TypeId};
use crate::types::Ty;

/// The names that every program knows.
const BUILT_IN: [&str; 9] =
    ["String", "Int", "Float", "Boolean", "List", "Seq", "Candidates", "Optional", "Map"];

impl Checker<'_, '_, '_> {
    pub(super) fn resolve_type(&mut self, id: TypeId) -> Option<Ty> {
        let tree = self.tree;
        let expression = tree.ty(id);
        let span = expression.span;
        match &expression.kind {
            TypeExpressionKind::Error => None,
            TypeExpressionKind::Named(name) => self.named_type(name, span),
            TypeExpressionKind::Applied { name, arguments } => {
                let arguments: Vec<Option<Ty>> =
                    tree.list(*arguments).iter().map(|argument| self.resolve_type(*argument)).collect();
                let arguments: Option<Vec<Ty>> = arguments.into_iter().collect();
                let n_parameters = match *name {
                    "List" | "Seq" | "Candidates" | "Optional" => 1,
                    "Map" => 2,
                    _ => {
                        self.undefined_type(&format!("{name}<...>"), name, span);
                        return None;
                    }
                };
                let arguments = arguments?;
                if arguments.len() != n_parameters {
                    let message = format!("Undefined type: {name}<...>");
                    let hint =
                        format!("{name} takes {n_parameters} type argument(s), got {}", arguments.len());
                    self.sink.push(Diagnostic::error(Code::UndefinedType, span, message).suggest([hint]));
                    return None;
                }
                let types = &mut self.types;
                let result = match *name {
                    "List" => types.list(arguments[0]),
                    "Optional" => types.optional(arguments[0]),
                    "Map" => {
                        let (key, value) = (types.get(arguments[0]).clone(), types.get(arguments[1]).clone());
                        types.intern(&Type::map(key, value))
                    }
                    // Candidates is the older name of Seq.
                    _ => types.intern(&Type::seq(types.get(arguments[0]).clone())),
                };
                self.bounded(span, result)
            }
            TypeExpressionKind::Record(fields) => {
                let fields: Vec<Option<(&str, Ty)>> = tree
                    .list(*fields)
                    .iter()
                    .map(|(name, ty)| self.resolve_type(*ty).map(|ty| (name.text, ty)))
                    .collect();
                let fields: Option<Vec<(&str, Ty)>> = fields.into_iter().collect();
                let result = self.types.record(&fields?);
                self.bounded(span, result)
            }
            TypeExpressionKind::Merge(parts) => {
                let parts: Vec<Option<Ty>> =
                    tree.list(*parts).iter().map(|part| self.resolve_type(*part)).collect();
                let mut parts = parts.into_iter();
                let mut merged = parts.next()??;
                for part in parts {
                    merged = self.merge_types(merged, part?, span)?;
                }
                Some(merged)
            }
            TypeExpressionKind::Union(members) => {
                let members: Vec<Option<Ty>> =
                    tree.list(*members).iter().map(|member| self.resolve_type(*member)).collect();
                let members: Option<Vec<Ty>> = members.into_iter().collect();
                let result = self.types.union(&members?);
                self.bounded(span, result)
            }
        }
    }

    pub(super) fn named_type(&mut self, name: &str, span: Span) -> Option<Ty> {
        match name {
            "String" => return Some(Ty::STRING),
            "Int" => return Some(Ty::INT),
            "Float" => return Some(Ty::FLOAT),
            "Boolean" => return Some(Ty::BOOLEAN),
            _ => {}
        }
        if let Some(declared) = self.declared_types.get(name) {
            return *declared;
        }
        self.undefined_type(name, name, span);
        None
    }

    fn undefined_type(&mut self, text: &str, name: &str, span: Span) {
        if self.has_unknown_names || self.sink.is_full() {
            return;
        }
        let mut names: Vec<&str> = self.declared_types.keys().copied().collect();
        names.sort_unstable();
        let near = nearest(name, BUILT_IN.into_iter().chain(names));
        let mut hints: Vec<String> = near.map(|near| format!("Did you mean '{near}'?")).collect();
        // It has type arguments that it does not take.
        if text != name && (BUILT_IN.contains(&name) || self.declared_types.contains_key(name)) {
            hints = vec![format!("{name} takes no type arguments")];
        }
        match name {
            "Bool" => hints.insert(0, "Did you mean 'Boolean'?".to_owned()),
            "Double" | "Number" | "Decimal" => hints.insert(0, "Did you mean 'Float'?".to_owned()),
            "Integer" | "Long" => hints.insert(0, "Did you mean 'Int'?".to_owned()),
            "List" | "Seq" | "Candidates" | "Optional" => {
                hints = vec![format!("{name} takes a type argument: {name}<String>")];
            }
            "Map" => hints = vec!["Map takes two type arguments: Map<String, Int>".to_owned()],
            _ => {}
        }
        let message = format!("Undefined type: {text}");
        self.sink.push(Diagnostic::error(Code::UndefinedType, span, message).suggest(hints));
    }

    /// The type of `left + right` on records.
    pub(super) fn merge_types(&mut self, left: Ty, right: Ty, span: Span) -> Option<Ty> {
        match self.types.merge(left, right) {
            Ok(Some(merged)) => Some(merged),
            Ok(None) => {
                let (left, right) = (self.types.text(left), self.types.text(right));
                let message = format!("Cannot merge types: {left} + {right}");
                let hint = "'+' merges two records, two lists of records of one kind, or a record with a list of \
                            records";
                let diagnostic = Diagnostic::error(Code::IncompatibleMerge, span, message)
                    .expected_found("records or lists of records", format!("{left} and {right}"))
                    .suggest([hint.to_owned()]);
                self.sink.push(diagnostic);
                None
            }
            Err(limit) => self.bounded(span, Err(limit)),
        }
    }
}
