//! Calls: finding the function, instantiating its signature, and lambdas as arguments.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use constellation_store_core::{Argument, NodeKind};
use constellation_types::{Field, FunctionType, RecordType, Type};
use smallvec::{SmallVec, smallvec};

use super::{Checker, Interned, Value, Variable};
use crate::diagnostic::{Code, Diagnostic};
use crate::functions::Lookup;
use crate::graph::Operation;
use crate::span::Span;
use crate::suggest::nearest;
use crate::syntax::{Call, ExpressionId, ExpressionKind, Name, Path, TypeId};
use crate::types::Ty;

/// What the type variables of a signature stand for in a call.
#[derive(Debug, Default)]
struct Bindings {
    types: Vec<(Arc<str>, Ty)>,
}

impl Bindings {
    fn get(&self, name: &str) -> Option<Ty> {
        self.types.iter().find(|(known, _)| &**known == name).map(|(_, ty)| *ty)
    }

    fn set(&mut self, name: &Arc<str>, ty: Ty) {
        match self.types.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = ty,
            None => self.types.push((Arc::clone(name), ty)),
        }
    }

    /// Whether every variable of a type is known.
    fn covers(&self, ty: &Type) -> bool {
        match ty {
            Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean => true,
            Type::Variable(name) => self.get(name).is_some(),
            Type::List(inner) | Type::Seq(inner) | Type::Optional(inner) => self.covers(inner),
            Type::Map(key, value) => self.covers(key) && self.covers(value),
            Type::Record(record) => record.fields().iter().all(|field| self.covers(&field.ty)),
            Type::Union(union) => union.members().iter().all(|member| self.covers(member)),
            Type::Function(function) => {
                function.parameters.iter().all(|parameter| self.covers(parameter))
                    && self.covers(&function.result)
            }
        }
    }
}

/// The values of the arguments of a call, of which most have few.
type Arguments = SmallVec<[Value; 4]>;

impl<'a> Checker<'_, '_, 'a> {
    pub(super) fn call(&mut self, call: &Call<'a>, span: Span) -> Option<Value> {
        let Call { function: name, arguments, options } = call;
        let (arguments, options) = (self.tree.list(*arguments), self.tree.list(*options));
        let function = self.find_function(name, span);
        let checked = function.and_then(|index| self.arguments(index, name, arguments, span));
        if function.is_none() {
            // The arguments may have errors of their own. What a lambda gets is not known.
            for argument in arguments {
                if !matches!(self.expression(*argument).kind, ExpressionKind::Lambda { .. }) {
                    self.infer(*argument, None);
                }
            }
        }
        let result = checked.as_ref().map(|(_, result)| *result);
        let is_given_function = function.is_some_and(|index| {
            let parameters = &self.functions.signature(index).parameters;
            parameters.iter().any(|parameter| matches!(parameter.ty, Type::Function(_)))
        });
        let options = self.options(options, result, is_given_function, span);
        let (index, (values, result)) = (function?, checked?);
        let (options, ty) = options?;
        let ty = ty.unwrap_or(result);
        let functions = self.functions;
        let signature = functions.signature(index);
        let called = (&*signature.module, functions.signature_hash(index));
        self.modules.insert((&signature.module, signature.major), called);
        let arguments = signature
            .parameters
            .iter()
            .zip(&values)
            .map(|(parameter, value)| Argument { name: parameter.name.to_string(), node: value.node })
            .collect();
        let kind = NodeKind::Call {
            module: signature.module.to_string(),
            major: signature.major,
            arguments,
            options: Box::new(options),
        };
        Some(self.add(kind, ty, span))
    }

    fn find_function(&mut self, name: &Path<'a>, span: Span) -> Option<usize> {
        let functions = self.functions;
        let name = &*name.text;
        let (Some((first, rest)), Some((_, last))) = (name.split_once('.'), name.rsplit_once('.')) else {
            return self.find_simple(name, span);
        };
        let mut full_name = Cow::Borrowed(name);
        let is_aliased = match self.aliases.get(first) {
            Some(Some(namespace)) => {
                full_name = Cow::Owned(format!("{namespace}.{rest}"));
                true
            }
            // The alias stands for nothing, which was reported.
            Some(None) => return None,
            None => false,
        };
        match functions.find_full(&full_name) {
            Lookup::Found(index) => return Some(index),
            Lookup::Ambiguous(indices) => {
                self.ambiguous(name, indices, span);
                return None;
            }
            Lookup::Missing => {}
        }
        let namespace = full_name.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        if is_aliased || functions.is_namespace(namespace) {
            self.undefined_function(name, last, span);
        } else if !self.has_unknown_names {
            if self.variables.contains_key(first) {
                let hint = format!("There are no methods: write {last}(value, ...)");
                let message = format!("Undefined namespace: {namespace}");
                let diagnostic = Diagnostic::error(Code::UndefinedNamespace, span, message);
                self.sink.push(diagnostic.suggest([hint]));
            } else {
                self.undefined_namespace(namespace, span);
            }
        }
        None
    }

    fn find_simple(&mut self, name: &str, span: Span) -> Option<usize> {
        let functions = self.functions;
        let imports_nothing = self.wildcards.is_empty() && self.aliases.is_empty();
        let candidates: SmallVec<[usize; 8]> = functions
            .indices_named(name)
            .iter()
            .copied()
            .filter(|index| match &functions.signature(*index).namespace {
                None => true,
                Some(namespace) => imports_nothing || self.wildcards.contains(&**namespace),
            })
            .collect();
        if self.aliases.contains_key(name) {
            self.undefined_function(name, name, span);
            return None;
        }
        match functions.pick(&candidates) {
            Lookup::Found(index) => Some(index),
            Lookup::Missing => {
                self.undefined_function(name, name, span);
                None
            }
            Lookup::Ambiguous(candidates) => {
                self.ambiguous(name, candidates, span);
                None
            }
        }
    }

    fn ambiguous(&mut self, name: &str, candidates: &[usize], span: Span) {
        let mut names: Vec<String> =
            candidates.iter().map(|index| self.functions.signature(*index).qualified_name()).collect();
        names.dedup();
        let message = format!("Ambiguous function '{name}'. Candidates: {}", names.join(", "));
        let hints = names.iter().take(3).map(|name| format!("Use '{name}' for the specific function"));
        self.sink.push(Diagnostic::error(Code::AmbiguousFunction, span, message).suggest(hints));
    }

    fn undefined_function(&mut self, written: &str, simple: &str, span: Span) {
        if self.has_unknown_names || self.has_unknown_imports {
            return;
        }
        let mut elsewhere: Vec<String> = self
            .functions
            .named(simple)
            .map(constellation_types::FunctionSignature::qualified_name)
            .collect();
        elsewhere.dedup();
        let mut message = format!("Undefined function: {written}");
        let mut hints = Vec::new();
        if !elsewhere.is_empty() && written == simple {
            message = format!("{message} (did you mean to import {}?)", elsewhere.join(" or "));
        } else {
            let names = self.functions.simple_names();
            hints.extend(nearest(simple, names).map(|near| format!("Did you mean '{near}'?")));
        }
        let namespaces = elsewhere.iter().filter_map(|name| name.rsplit_once('.'));
        hints.extend(namespaces.take(2).map(|(namespace, _)| format!("Try adding: use {namespace}")));
        self.sink.push(Diagnostic::error(Code::UndefinedFunction, span, message).suggest(hints));
    }

    fn interned(&mut self, index: usize, span: Span) -> Option<Rc<Interned>> {
        if let Some(known) = self.signatures.get(&index) {
            return Some(Rc::clone(known));
        }
        let functions = self.functions;
        let signature = functions.signature(index);
        let mut parameters = Vec::with_capacity(signature.parameters.len());
        for parameter in &signature.parameters {
            let result = self.types.intern(&parameter.ty);
            parameters.push(self.bounded(span, result)?);
        }
        let result = self.types.intern(&signature.result_type());
        let interned = Rc::new(Interned { parameters, result: self.bounded(span, result)? });
        self.signatures.insert(index, Rc::clone(&interned));
        Some(interned)
    }

    /// The arguments as values of the parameters' types, and the type of the result.
    fn arguments(
        &mut self,
        index: usize,
        name: &Path<'a>,
        arguments: &[ExpressionId],
        span: Span,
    ) -> Option<(Arguments, Ty)> {
        let signature = self.interned(index, span)?;
        let Interned { parameters, result } = &*signature;
        if parameters.len() != arguments.len() {
            let message = format!(
                "Function {} expects {} argument(s), got {}",
                name.text,
                parameters.len(),
                arguments.len()
            );
            let hint = format!("Its signature is {}", self.functions.signature(index));
            let (expected, found) = (parameters.len(), arguments.len());
            let diagnostic = Diagnostic::error(Code::TypeError, span, message)
                .expected_found(format!("{expected} argument(s)"), found.to_string())
                .suggest([hint]);
            self.sink.push(diagnostic);
            return None;
        }
        let mut bindings = Bindings::default();
        let mut values: SmallVec<[Option<Value>; 4]> = smallvec![None; arguments.len()];
        // Lambdas last: what they take follows from the other arguments.
        let is_lambda = |checker: &Self, argument: ExpressionId| {
            matches!(checker.expression(argument).kind, ExpressionKind::Lambda { .. })
        };
        for lambdas in [false, true] {
            for (place, (argument, parameter)) in arguments.iter().zip(parameters).enumerate() {
                if is_lambda(self, *argument) == lambdas {
                    values[place] = self.argument(*argument, *parameter, &mut bindings);
                }
            }
        }
        let values: Arguments = values.into_iter().collect::<Option<_>>()?;
        // A variable may have become wider since an argument was looked at.
        let mut coerced = Arguments::with_capacity(values.len());
        for ((value, parameter), argument) in values.into_iter().zip(parameters).zip(arguments) {
            let argument_span = self.expression(*argument).span;
            let ty = self.instantiate(*parameter, &bindings, argument_span)?;
            if value.ty != ty && self.types.has_function(ty) {
                self.mismatch(ty, value.ty, argument_span);
                return None;
            }
            coerced.push(self.require(value, ty, argument_span)?);
        }
        let result = self.instantiate(*result, &bindings, span)?;
        Some((coerced, result))
    }

    fn argument(&mut self, argument: ExpressionId, parameter: Ty, bindings: &mut Bindings) -> Option<Value> {
        let tree = self.tree;
        let span = tree.expression(argument).span;
        if let ExpressionKind::Lambda { parameters, body } = &tree.expression(argument).kind {
            let Type::Function(function) = self.types.get(parameter).clone() else {
                self.lambda_out_of_place(span);
                return None;
            };
            return self.lambda(tree.list(*parameters), *body, &function, bindings, span);
        }
        if !self.types.has_variable(parameter) {
            return self.check(argument, parameter);
        }
        // What is known of the type so far, for literals.
        let pattern = self.types.get(parameter).clone();
        let hint =
            if bindings.covers(&pattern) { Some(self.instantiate(parameter, bindings, span)?) } else { None };
        let value = self.infer(argument, hint)?;
        if self.unify(&pattern, value.ty, bindings) {
            return Some(value);
        }
        let expected = self.instantiate(parameter, bindings, span)?;
        self.mismatch(expected, value.ty, span);
        None
    }

    fn lambda(
        &mut self,
        parameters: &[(Name<'a>, Option<TypeId>)],
        body: ExpressionId,
        expected: &FunctionType,
        bindings: &mut Bindings,
        span: Span,
    ) -> Option<Value> {
        if parameters.len() != expected.parameters.len() {
            let message = format!(
                "Lambda has {} parameter(s) but expected {}",
                parameters.len(),
                expected.parameters.len()
            );
            let (expected, found) = (expected.parameters.len(), parameters.len());
            let names = ["a", "b", "c", "d"].get(..expected).map(|names| names.join(", "));
            let diagnostic = Diagnostic::error(Code::TypeError, span, message)
                .expected_found(format!("{expected} parameter(s)"), found.to_string())
                .suggest(names.map(|names| format!("Write the lambda as ({names}) => ...")));
            self.sink.push(diagnostic);
            return None;
        }
        let outer = self.scope;
        let scope = self.graph.open_scope();
        self.scope = scope;
        let mut types = Vec::with_capacity(parameters.len());
        let mut shadowed = Vec::with_capacity(parameters.len());
        for ((name, annotation), pattern) in parameters.iter().zip(&expected.parameters) {
            let value = self.parameter(*name, *annotation, pattern, bindings);
            types.push(value.map(|(given, _)| given));
            let variable = Variable::new(value.map(|(_, value)| value));
            shadowed.push((name.text, self.variables.insert(name.text, variable)));
        }
        let result = self.types.intern(&expected.result);
        let result = self.bounded(span, result);
        let value = result.and_then(|result| self.lambda_body(body, result, bindings));
        for (name, variable) in shadowed.into_iter().rev() {
            match variable {
                Some(variable) => self.variables.insert(name, variable),
                None => self.variables.remove(name),
            };
        }
        self.scope = outer;
        let value = value?;
        let types: Vec<Ty> = types.into_iter().collect::<Option<_>>()?;
        self.graph.scopes[scope.index()].result = value.node;
        let ty = self.types.function(&types, value.ty);
        let ty = self.bounded(span, ty)?;
        Some(self.add_operation(Operation::Lambda(scope), ty, span))
    }

    /// The type that a parameter is given, and its value as the body sees it.
    fn parameter(
        &mut self,
        name: Name<'a>,
        annotation: Option<TypeId>,
        pattern: &Type,
        bindings: &mut Bindings,
    ) -> Option<(Ty, Value)> {
        let annotated = match annotation {
            Some(annotation) => Some(self.resolve_type(annotation)?),
            None => None,
        };
        // The elements of an empty list are of no type yet; an annotation tells which.
        if let (Type::Variable(name), Some(annotated)) = (pattern, annotated)
            && let Some(known) = bindings.get(name)
            && self.types.has_nothing(known)
            && self.types.is_subtype(known, annotated)
        {
            bindings.set(name, annotated);
        }
        let given = if bindings.covers(pattern) {
            let ty = self.substitute(pattern, bindings);
            let result = self.types.intern(&ty);
            self.bounded(name.span, result)?
        } else if let Some(annotated) = annotated {
            self.unify(pattern, annotated, bindings);
            annotated
        } else {
            let message = format!(
                "Lambda parameter '{0}' requires a type annotation. Hint: write ({0}: Int) => ...",
                name.text
            );
            let hint = format!("Write its type: ({}: Int) => ...", name.text);
            self.sink.push(Diagnostic::error(Code::TypeError, name.span, message).suggest([hint]));
            return None;
        };
        let parameter = self.add(NodeKind::Parameter, given, name.span);
        let scope = self.scope.index();
        self.graph.scopes[scope].parameters.push(parameter.node);
        match annotated {
            Some(annotated) if !self.types.is_subtype(given, annotated) => {
                self.mismatch(given, annotated, name.span);
                None
            }
            Some(annotated) => Some((given, self.coerce(parameter, annotated))),
            None => Some((given, parameter)),
        }
    }

    fn lambda_body(&mut self, body: ExpressionId, result: Ty, bindings: &mut Bindings) -> Option<Value> {
        let pattern = self.types.get(result).clone();
        let span = self.expression(body).span;
        if bindings.covers(&pattern) {
            let expected = self.instantiate(result, bindings, span)?;
            return self.check(body, expected);
        }
        let value = self.infer(body, None)?;
        if self.unify(&pattern, value.ty, bindings) {
            let expected = self.instantiate(result, bindings, span)?;
            return self.require(value, expected, span);
        }
        let expected = self.instantiate(result, bindings, span)?;
        self.mismatch(expected, value.ty, span);
        None
    }

    /// Finds what the variables of a parameter's type stand for, given the type of its argument. False when the
    /// argument does not fit.
    fn unify(&mut self, pattern: &Type, actual: Ty, bindings: &mut Bindings) -> bool {
        let actual_type = self.types.get(actual).clone();
        let mut within = |checker: &mut Self, pattern: &Type, actual: &Type| {
            checker.types.intern(actual).is_ok_and(|actual| checker.unify(pattern, actual, bindings))
        };
        match (pattern, &actual_type) {
            (Type::Variable(name), _) => {
                let Some(known) = bindings.get(name) else {
                    bindings.set(name, actual);
                    return true;
                };
                if self.types.is_subtype(actual, known) {
                    return true;
                }
                if self.types.is_subtype(known, actual) {
                    bindings.set(name, actual);
                    return true;
                }
                false
            }
            (_, Type::Nothing) => true,
            (Type::List(pattern), Type::List(actual))
            | (Type::Seq(pattern), Type::List(actual) | Type::Seq(actual))
            | (Type::Optional(pattern), Type::Optional(actual)) => within(self, pattern, actual),
            (Type::Map(pattern_key, pattern), Type::Map(actual_key, actual)) => {
                within(self, pattern_key, actual_key) && within(self, pattern, actual)
            }
            (Type::Record(pattern), Type::Record(actual)) => {
                self.types.charge(pattern.fields().len() * actual.fields().len());
                pattern.fields().iter().all(|field| {
                    actual.get(&field.name).is_some_and(|actual| within(self, &field.ty, actual))
                })
            }
            (Type::Function(pattern), Type::Function(actual)) => {
                pattern.parameters.len() == actual.parameters.len()
                    && pattern
                        .parameters
                        .iter()
                        .zip(&actual.parameters)
                        .all(|(pattern, actual)| within(self, pattern, actual))
                    && within(self, &pattern.result, &actual.result)
            }
            (pattern, _) => {
                let pattern = self.substitute(pattern, bindings);
                self.types.intern(&pattern).is_ok_and(|pattern| self.types.is_subtype(actual, pattern))
            }
        }
    }

    fn instantiate(&mut self, ty: Ty, bindings: &Bindings, span: Span) -> Option<Ty> {
        if !self.types.has_variable(ty) {
            return Some(ty);
        }
        let ty = self.types.get(ty).clone();
        let ty = self.substitute(&ty, bindings);
        let result = self.types.intern(&ty);
        self.bounded(span, result)
    }

    /// A signature's type with its variables replaced; one that no argument tells is `Nothing`.
    fn substitute(&self, ty: &Type, bindings: &Bindings) -> Type {
        match ty {
            Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean => ty.clone(),
            Type::Variable(name) => bindings.get(name).map_or(Type::Nothing, |ty| self.types.get(ty).clone()),
            Type::List(inner) => Type::list(self.substitute(inner, bindings)),
            Type::Seq(inner) => Type::seq(self.substitute(inner, bindings)),
            Type::Optional(inner) => Type::optional(self.substitute(inner, bindings)),
            Type::Map(key, value) => {
                Type::map(self.substitute(key, bindings), self.substitute(value, bindings))
            }
            Type::Record(record) => {
                let fields = record.fields().iter().map(|field| Field {
                    name: Arc::clone(&field.name),
                    ty: self.substitute(&field.ty, bindings),
                });
                Type::Record(Arc::new(RecordType::new(fields)))
            }
            Type::Union(union) => {
                Type::union(union.members().iter().map(|member| self.substitute(member, bindings)))
            }
            Type::Function(function) => Type::function(
                function.parameters.iter().map(|parameter| self.substitute(parameter, bindings)),
                self.substitute(&function.result, bindings),
            ),
        }
    }
}
