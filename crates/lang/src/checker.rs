//! The checker: gives every expression its type and its nodes, in one walk from top to bottom.
//!
//! An expression that failed has been reported and has no value. A variable that stands for one is poisoned: its
//! uses are not reported again.

mod calls;
mod expressions;
mod literals;
mod matches;
mod operators;
mod options;
mod type_expressions;

use std::collections::BTreeMap;
use std::rc::Rc;

use constellation_store_core::{NodeIndex, NodeKind};
use hashbrown::{HashMap, HashSet};

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::functions::FunctionTable;
use crate::graph::{Graph, Label, Operation, ScopeId};
use crate::number::{Input, Modules, Numbered, Program, number};
use crate::span::Span;
use crate::suggest::nearest;
use crate::syntax::{Declaration, Expression, ExpressionId, List, Name, Path, SyntaxTree, TypeId};
use crate::types::{Ty, TypeLimit, Types};

/// A node and the type of its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    node: NodeIndex,
    ty: Ty,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
struct Variable {
    /// None when it was declared and something was wrong with it.
    value: Option<Value>,
    /// The assignment that made it, to note its use.
    assignment: Option<usize>,
}

impl Variable {
    fn new(value: Option<Value>) -> Self {
        Self { value, assignment: None }
    }
}

#[derive(Debug)]
struct Assignment<'a> {
    name: Name<'a>,
    value: Option<Value>,
    is_used: bool,
}

/// The types of a signature, as handles.
#[derive(Debug)]
struct Interned {
    parameters: Vec<Ty>,
    result: Ty,
}

pub(crate) struct Checker<'t, 'f, 'a> {
    tree: &'t SyntaxTree<'a>,
    functions: &'f FunctionTable,
    sink: &'f mut Sink,
    types: Types,
    graph: Graph<'a>,
    declared_types: HashMap<&'a str, Option<Ty>>,
    variables: HashMap<&'a str, Variable>,
    wildcards: HashSet<String>,
    /// Aliases and the namespaces they stand for; none when the namespace does not exist.
    aliases: HashMap<&'a str, Option<String>>,
    inputs: BTreeMap<&'a str, Input>,
    outputs: BTreeMap<&'a str, Span>,
    assignments: Vec<Assignment<'a>>,
    signatures: HashMap<usize, Rc<Interned>>,
    modules: Modules<'f>,
    scope: ScopeId,
    label: Option<Label>,
    /// An example is checked: it is data, as a caller would send it.
    is_in_example: bool,
    /// A declaration could not be read, so that names may be missing without fault.
    has_unknown_names: bool,
    /// A namespace could not be imported, so that functions may be missing without fault.
    has_unknown_imports: bool,
}

/// A program whose declarations were checked. It holds no part of the tree.
pub(crate) struct Checked<'f, 'a> {
    sink: &'f mut Sink,
    types: Types,
    graph: Graph<'a>,
    inputs: BTreeMap<&'a str, Input>,
    outputs: BTreeMap<&'a str, NodeIndex>,
    assignments: Vec<Assignment<'a>>,
    modules: Modules<'f>,
}

/// Checks a tree; [`Checked::lower`] gives its graph.
pub(crate) fn check<'f, 'a>(
    tree: &SyntaxTree<'a>,
    functions: &'f FunctionTable,
    sink: &'f mut Sink,
) -> Checked<'f, 'a> {
    let mut checker = Checker {
        tree,
        functions,
        sink,
        types: Types::new(),
        // Variables are expressions without a node of their own.
        graph: Graph::with_capacity(tree.expressions.len() * 3 / 4),
        declared_types: HashMap::new(),
        variables: HashMap::with_capacity(tree.declarations.len()),
        wildcards: HashSet::new(),
        aliases: HashMap::new(),
        inputs: BTreeMap::new(),
        outputs: BTreeMap::new(),
        assignments: Vec::with_capacity(tree.declarations.len()),
        signatures: HashMap::new(),
        modules: BTreeMap::new(),
        scope: ScopeId::PROGRAM,
        label: None,
        is_in_example: false,
        has_unknown_names: false,
        has_unknown_imports: false,
    };
    for declaration in &tree.declarations {
        checker.declaration(declaration);
        if checker.types.is_exhausted() {
            checker.limit(span_of(declaration), TypeLimit::Work);
            break;
        }
        if checker.sink.is_full() {
            break;
        }
    }
    checker.finish()
}

/// Where a declaration is named.
fn span_of(declaration: &Declaration<'_>) -> Span {
    match declaration {
        Declaration::Error => Span::default(),
        Declaration::Use(import) => import.path.span,
        Declaration::Type { name, .. }
        | Declaration::Input { name, .. }
        | Declaration::Output { name }
        | Declaration::Assignment { name, .. } => name.span,
    }
}

impl<'f, 'a> Checker<'_, 'f, 'a> {
    fn declaration(&mut self, declaration: &Declaration<'a>) {
        match declaration {
            Declaration::Error => self.has_unknown_names = true,
            Declaration::Type { name, ty } => {
                let ty = self.resolve_type(*ty);
                self.declared_types.insert(name.text, ty);
            }
            Declaration::Input { name, ty, examples } => self.input(*name, *ty, *examples),
            Declaration::Output { name } => {
                // The name is looked up here, and stands for its last binding.
                if self.variables.contains_key(name.text) {
                    self.outputs.entry(name.text).or_insert(name.span);
                } else {
                    self.undefined_variable(*name);
                }
            }
            Declaration::Use(import) => self.import(&import.path, import.alias),
            Declaration::Assignment { name, value } => {
                self.label = Some(self.graph.add_label(name.text));
                let value = self.infer(*value, None);
                self.label = None;
                let mut variable = Variable::new(value);
                variable.assignment = Some(self.assignments.len());
                self.assignments.push(Assignment { name: *name, value, is_used: false });
                self.variables.insert(name.text, variable);
            }
        }
    }

    fn input(&mut self, name: Name<'a>, ty: TypeId, examples: List<ExpressionId>) {
        let ty = self.resolve_type(ty);
        let mut constants = Vec::new();
        for example in self.tree.list(examples) {
            self.is_in_example = true;
            let checked = match ty {
                Some(ty) => self.check(*example, ty),
                None => self.infer(*example, None),
            };
            self.is_in_example = false;
            let Some(value) = checked else { continue };
            if self.graph.node(value.node).is_constant {
                constants.push(value.node);
            } else {
                let message = "The example is not made of literals only, so it is not kept";
                let span = self.expression(*example).span;
                let hint = "Write the value itself, without variables, operators or calls".to_owned();
                self.sink.push(Diagnostic::warning(Code::ExampleNotKept, span, message).suggest([hint]));
            }
        }
        let Some(ty) = ty else {
            self.variables.insert(name.text, Variable::new(None));
            return;
        };
        if let Some(known) = self.inputs.get_mut(name.text) {
            if known.ty != ty {
                let (expected, found) = (known.ty, ty);
                self.duplicate_input(name, expected, found);
                return;
            }
            known.examples.extend(constants);
        } else {
            self.inputs.insert(name.text, Input { ty, examples: constants });
        }
        let kind = NodeKind::Input { name: name.text.to_owned() };
        self.label = Some(self.graph.add_label(name.text));
        let value = self.add(kind, ty, name.span);
        self.label = None;
        self.variables.insert(name.text, Variable::new(Some(value)));
    }

    fn duplicate_input(&mut self, name: Name<'a>, expected: Ty, found: Ty) {
        let message = format!("The input '{}' is declared twice, with different types", name.text);
        let hint = "Give one of the two inputs another name".to_owned();
        let mut diagnostic = Diagnostic::error(Code::DuplicateDefinition, name.span, message)
            .expected_found(self.types.text(expected), self.types.text(found))
            .suggest([hint]);
        let first = self.tree.declarations.iter().find_map(|declaration| match declaration {
            Declaration::Input { name: first, .. } if first.text == name.text => Some(first.span),
            _ => None,
        });
        if let Some(first) = first {
            diagnostic = diagnostic.label(first, "it was declared here first");
        }
        self.sink.push(diagnostic);
    }

    fn import(&mut self, path: &Path<'a>, alias: Option<Name<'a>>) {
        let namespace = path.text.clone().into_owned();
        let is_known = self.functions.is_importable(&namespace);
        if !is_known {
            self.undefined_namespace(&namespace, path.span);
            self.has_unknown_imports = true;
        }
        match alias {
            Some(alias) => {
                self.aliases.insert(alias.text, is_known.then_some(namespace));
            }
            None => {
                self.wildcards.insert(namespace);
            }
        }
    }

    /// What is needed beyond the tree.
    fn finish(mut self) -> Checked<'f, 'a> {
        let mut outputs = BTreeMap::new();
        for name in self.outputs.keys() {
            let variable = &self.variables[name];
            if let Some(assignment) = variable.assignment {
                self.assignments[assignment].is_used = true;
            }
            if let Some(value) = variable.value {
                outputs.insert(*name, value.node);
            }
        }
        let Self { sink, types, graph, inputs, assignments, modules, .. } = self;
        Checked { sink, types, graph, inputs, outputs, assignments, modules }
    }

    // What all parts of the checker use.

    fn expression(&self, id: ExpressionId) -> &Expression<'a> {
        self.tree.expression(id)
    }

    fn add(&mut self, kind: NodeKind, ty: Ty, span: Span) -> Value {
        self.add_operation(Operation::Plain(kind), ty, span)
    }

    fn add_operation(&mut self, operation: Operation, ty: Ty, span: Span) -> Value {
        Value { node: self.graph.add(operation, ty, self.label, span, self.scope), ty }
    }

    /// The value as `ty`, which its type is below.
    fn coerce(&mut self, value: Value, ty: Ty) -> Value {
        if value.ty == ty {
            return value;
        }
        let span = self.graph.node(value.node).span;
        self.add(NodeKind::Coerce { value: value.node }, ty, span)
    }

    fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.sink.push(Diagnostic::error(code, span, message));
    }

    fn limit(&mut self, span: Span, limit: TypeLimit) {
        self.error(Code::LimitExceeded, span, limit.to_string());
    }

    /// The type, or its bound as an error.
    fn bounded(&mut self, span: Span, result: Result<Ty, TypeLimit>) -> Option<Ty> {
        match result {
            Ok(ty) => Some(ty),
            Err(limit) => {
                // Once the work is exhausted, that is reported once, at the declaration.
                if limit != TypeLimit::Work {
                    self.limit(span, limit);
                }
                None
            }
        }
    }

    fn undefined_variable(&mut self, name: Name<'a>) {
        // The name may have been declared in what could not be read, which is an error already.
        if self.has_unknown_names || self.sink.is_full() {
            return;
        }
        let mut names: Vec<&str> = self.variables.keys().copied().collect();
        names.sort_unstable();
        let mut hints: Vec<String> =
            nearest(name.text, names).map(|near| format!("Did you mean '{near}'?")).collect();
        // It is bounded how many errors are reported, so this may look through the program each time.
        let is_below = self.tree.declarations.iter().any(|declaration| {
            let (Declaration::Input { name: other, .. } | Declaration::Assignment { name: other, .. }) =
                declaration
            else {
                return false;
            };
            other.text == name.text && other.span.start > name.span.start
        });
        if is_below {
            hints.insert(
                0,
                format!("'{}' is declared below: move its declaration above this line", name.text),
            );
        }
        if hints.is_empty() {
            hints.push(format!("Declare the variable above: in {}: String", name.text));
        }
        let message = format!("Undefined variable: {}", name.text);
        self.sink.push(Diagnostic::error(Code::UndefinedVariable, name.span, message).suggest(hints));
    }

    fn undefined_namespace(&mut self, namespace: &str, span: Span) {
        if self.sink.is_full() {
            return;
        }
        let mut hints: Vec<String> = nearest(namespace, self.functions.namespaces())
            .map(|near| format!("Did you mean '{near}'?"))
            .collect();
        let all: Vec<&str> = self.functions.namespaces().collect();
        if !all.is_empty() {
            hints.push(format!("Available namespaces: {}", all.join(", ")));
        }
        let message = format!("Undefined namespace: {namespace}");
        self.sink.push(Diagnostic::error(Code::UndefinedNamespace, span, message).suggest(hints));
    }
}

impl Checked<'_, '_> {
    /// Brings the graph into canonical order; none when there was an error.
    pub(crate) fn lower(mut self) -> Option<Numbered> {
        if self.sink.n_errors() > 0 {
            return None;
        }
        let program = Program {
            graph: &mut self.graph,
            types: &self.types,
            inputs: &self.inputs,
            outputs: &self.outputs,
            modules: &self.modules,
        };
        match number(program) {
            Ok(numbered) => {
                self.warn_unused(&numbered.is_reached);
                Some(numbered)
            }
            Err(error) => {
                self.sink.push(Diagnostic::error(Code::LimitExceeded, Span::default(), error.to_string()));
                None
            }
        }
    }

    fn warn_unused(&mut self, is_reached: &[bool]) {
        for assignment in &self.assignments {
            let Assignment { name, value, is_used } = assignment;
            let is_reached = value.is_none_or(|value| is_reached[value.node.index()]);
            if *is_used && is_reached {
                continue;
            }
            let message = if *is_used {
                format!("No output depends on '{}', so it is left out of the pipeline", name.text)
            } else {
                format!("'{}' is never used", name.text)
            };
            let hint = format!("Remove it, or make it a result: out {}", name.text);
            self.sink.push(Diagnostic::warning(Code::UnusedVariable, name.span, message).suggest([hint]));
        }
    }
}
