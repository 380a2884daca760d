//! From the checker's graph to a [`DagSpec`] in canonical order.
//!
//! Nodes are numbered in post-order from the outputs, then from the examples of the inputs. Before a body come
//! the nodes outside of it that it refers to, in the order of first use, so that a body is contiguous. Nothing
//! here recurses: a chain of operators is as deep as the program is long.

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{
    DagSpec, InputSpec, MatchCase, NodeIndex, NodeKind, NodeSpec, OutputSpec, Pattern, Region, Requirement,
    SignatureHash, TypeIndex, TypeTable,
};
use hashbrown::HashMap;

use crate::graph::{CasePattern, Graph, Operation, Scope, ScopeId};
use crate::span::Span;
use crate::types::{Ty, Types};

/// How many references from bodies to nodes outside of them a program may have, each counted for every body
/// around it. Without a bound, an image could be much larger than its source.
const MAX_CAPTURES: usize = 200_000;

/// An input, as the checker found it.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) ty: Ty,
    pub(crate) examples: Vec<NodeIndex>,
}

/// The module's name and the hash of the signature behind each name and major version that is called.
pub(crate) type Modules<'f> = BTreeMap<(&'f str, u32), (&'f str, SignatureHash)>;

/// A program without errors.
pub(crate) struct Program<'p, 'a> {
    /// Its operations are moved to the numbered graph.
    pub(crate) graph: &'p mut Graph<'a>,
    pub(crate) types: &'p Types,
    pub(crate) inputs: &'p BTreeMap<&'a str, Input>,
    pub(crate) outputs: &'p BTreeMap<&'a str, NodeIndex>,
    pub(crate) modules: &'p Modules<'p>,
}

pub(crate) struct Numbered {
    pub(crate) dag_spec: DagSpec,
    /// For each node of the graph as numbered, the text that made it.
    pub(crate) spans: Vec<Span>,
    /// For each node of the checker's graph, whether it is in the image.
    pub(crate) is_reached: Vec<bool>,
}

/// Too many references from bodies to what is outside of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The bodies of the program refer to values outside of them more than {MAX_CAPTURES} times")]
pub(crate) struct TooManyCaptures;

/// Brings a program into canonical order.
pub(crate) fn number(program: Program<'_, '_>) -> Result<Numbered, TooManyCaptures> {
    let captures = captures(program.graph)?;
    let mut order = Order::new(program.graph, &captures);
    let mut steps = Vec::new();
    let examples = program.inputs.values().flat_map(|input| &input.examples);
    for root in program.outputs.values().chain(examples) {
        order.reach(program.graph, *root, &mut steps);
    }
    Ok(order.into_spec(program))
}

/// For each node that owns bodies, the nodes outside that the bodies refer to, in order of first use.
fn captures(graph: &Graph<'_>) -> Result<HashMap<NodeIndex, Vec<NodeIndex>>, TooManyCaptures> {
    let mut captures: HashMap<NodeIndex, Vec<NodeIndex>> = HashMap::new();
    if graph.scopes.len() == 1 {
        return Ok(captures);
    }
    let mut total = 0;
    // The scope, and the owner plus one, for which a node was last seen.
    let mut seen_in = vec![ScopeId::PROGRAM; graph.nodes.len()];
    let mut captured_by = vec![0_usize; graph.nodes.len()];
    let mut stack = Vec::new();
    // A body is made before the node that owns it, so inner owners come first.
    for (owner, node) in graph.nodes.iter().enumerate() {
        let mut outside = Vec::new();
        for scope in node.operation.scopes() {
            stack.push(graph.scopes[scope.index()].result);
            while let Some(index) = stack.pop() {
                let node = graph.node(index);
                if node.scope != scope {
                    if std::mem::replace(&mut captured_by[index.index()], owner + 1) != owner + 1 {
                        outside.push(index);
                    }
                    continue;
                }
                if std::mem::replace(&mut seen_in[index.index()], scope) == scope {
                    continue;
                }
                let first = stack.len();
                node.operation.for_each_operand(|operand| stack.push(operand));
                stack.extend(captures.get(&index).into_iter().flatten());
                stack[first..].reverse();
            }
        }
        if node.operation.scopes().next().is_some() {
            total += outside.len();
            if total > MAX_CAPTURES {
                return Err(TooManyCaptures);
            }
            captures.insert(NodeIndex(u32::try_from(owner).expect("node indices fit")), outside);
        }
    }
    Ok(captures)
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Visit(NodeIndex),
    Emit(NodeIndex),
    Begin(ScopeId),
    End(ScopeId),
}

struct Order<'c> {
    captures: &'c HashMap<NodeIndex, Vec<NodeIndex>>,
    /// The nodes in canonical order.
    nodes: Vec<NodeIndex>,
    /// For each node, its place in that order.
    numbers: Vec<Option<NodeIndex>>,
    /// For each body, where it starts and ends.
    regions: Vec<(NodeIndex, NodeIndex)>,
}

impl<'c> Order<'c> {
    fn new(graph: &Graph<'_>, captures: &'c HashMap<NodeIndex, Vec<NodeIndex>>) -> Self {
        Self {
            captures,
            nodes: Vec::with_capacity(graph.nodes.len()),
            numbers: vec![None; graph.nodes.len()],
            regions: vec![(NodeIndex(0), NodeIndex(0)); graph.scopes.len()],
        }
    }

    /// Numbers a node after all that it needs; `steps` is empty, and is room to work in.
    fn reach(&mut self, graph: &Graph<'_>, root: NodeIndex, steps: &mut Vec<Step>) {
        steps.push(Step::Visit(root));
        while let Some(step) = steps.pop() {
            match step {
                Step::Visit(index) => {
                    if self.numbers[index.index()].is_some() {
                        continue;
                    }
                    steps.push(Step::Emit(index));
                    let operation = &graph.node(index).operation;
                    for scope in operation.scopes().rev() {
                        steps.extend([Step::End(scope), Step::Begin(scope)]);
                    }
                    let first = steps.len();
                    operation.for_each_operand(|operand| steps.push(Step::Visit(operand)));
                    let captures = self.captures.get(&index).into_iter().flatten();
                    steps.extend(captures.map(|captured| Step::Visit(*captured)));
                    steps[first..].reverse();
                }
                Step::Emit(index) => self.emit(index),
                Step::Begin(scope) => {
                    self.regions[scope.index()].0 = self.next();
                    let scope = &graph.scopes[scope.index()];
                    scope.parameters.iter().for_each(|parameter| self.emit(*parameter));
                    steps.push(Step::Visit(scope.result));
                }
                Step::End(scope) => self.regions[scope.index()].1 = self.next(),
            }
        }
    }

    fn next(&self) -> NodeIndex {
        NodeIndex(u32::try_from(self.nodes.len()).expect("node indices fit"))
    }

    fn emit(&mut self, index: NodeIndex) {
        let next = self.next();
        if self.numbers[index.index()].replace(next).is_none() {
            self.nodes.push(index);
        }
    }

    fn number_of(&self, index: NodeIndex) -> NodeIndex {
        self.numbers[index.index()].expect("what a numbered node needs is numbered")
    }

    fn into_spec(self, program: Program<'_, '_>) -> Numbered {
        let Program { graph, types, inputs, outputs, modules } = program;
        let mut table = Table { specs: TypeTable::new(), indices: vec![None; types.len()], types };
        let inputs = inputs.iter().map(|(name, input)| InputSpec {
            name: (*name).to_owned(),
            ty: table.index_of(input.ty),
            default: None,
            examples: input.examples.iter().map(|example| self.number_of(*example)).collect(),
        });
        let inputs = inputs.collect();
        let mut requires: BTreeMap<(&str, u32), SignatureHash> = BTreeMap::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        let mut spans = Vec::with_capacity(self.nodes.len());
        let labels: Vec<Arc<str>> = graph.labels().iter().map(|name| Arc::from(*name)).collect();
        for index in &self.nodes {
            let node = &mut graph.nodes[index.index()];
            let ty = table.index_of(node.ty);
            let operation = std::mem::replace(&mut node.operation, Operation::Plain(NodeKind::Parameter));
            let operation = self.operation(*index, operation, &graph.scopes, &mut table);
            if let NodeKind::Call { module, major, .. } = &operation {
                let called = modules.get(&(module.as_str(), *major));
                let (module, signature) = called.expect("a call was made from a signature");
                requires.insert((*module, *major), *signature);
            }
            let label = node.label.map(|label| Arc::clone(&labels[label.index()]));
            nodes.push(NodeSpec { label, ty, operation });
            spans.push(node.span);
        }
        let outputs = outputs
            .iter()
            .map(|(name, node)| OutputSpec { name: (*name).to_owned(), node: self.number_of(*node) })
            .collect();
        let requires = requires
            .into_iter()
            .map(|((name, major), signature)| Requirement { name: name.to_owned(), major, signature })
            .collect();
        let dag_spec = DagSpec { inputs, outputs, types: table.specs.into_types(), nodes, requires };
        Numbered { dag_spec, spans, is_reached: self.numbers.iter().map(Option::is_some).collect() }
    }

    fn operation(
        &self,
        index: NodeIndex,
        operation: Operation,
        scopes: &[Scope],
        table: &mut Table<'_>,
    ) -> NodeKind {
        match operation {
            Operation::Plain(mut kind) => {
                map_operands(&mut kind, |operand| self.number_of(operand));
                kind
            }
            Operation::Lambda(scope) => {
                let outside = self.captures.get(&index).into_iter().flatten();
                let mut captures: Vec<NodeIndex> = outside.map(|node| self.number_of(*node)).collect();
                captures.sort_unstable();
                NodeKind::Lambda { captures, body: self.region(scope, scopes) }
            }
            Operation::Match { scrutinee, cases } => {
                let to_case = |(chosen, scope): (CasePattern, ScopeId)| MatchCase {
                    pattern: match chosen {
                        CasePattern::Fields(names) => Pattern::Fields(names),
                        CasePattern::Is(ty) => Pattern::Is(table.index_of(ty)),
                        CasePattern::Any => Pattern::Any,
                    },
                    body: self.region(scope, scopes),
                };
                let cases = cases.into_iter().map(to_case).collect();
                NodeKind::Match { scrutinee: self.number_of(scrutinee), cases }
            }
        }
    }

    fn region(&self, scope: ScopeId, scopes: &[Scope]) -> Region {
        let (start, end) = self.regions[scope.index()];
        let scope = &scopes[scope.index()];
        let parameters = u32::try_from(scope.parameters.len()).expect("a body has few parameters");
        Region { start, end, parameters, result: self.number_of(scope.result) }
    }
}

/// The type table, with the index of each handle remembered.
struct Table<'t> {
    specs: TypeTable,
    indices: Vec<Option<TypeIndex>>,
    types: &'t Types,
}

impl Table<'_> {
    fn index_of(&mut self, ty: Ty) -> TypeIndex {
        *self.indices[ty.index()].get_or_insert_with(|| self.specs.index_of(self.types.get(ty)))
    }
}

/// Replaces each operand. The bodies of lambdas and matches are not operations of the checker's graph, so they do
/// not come up.
fn map_operands(kind: &mut NodeKind, map: impl Fn(NodeIndex) -> NodeIndex) {
    let replace = |node: &mut NodeIndex| *node = map(*node);
    match kind {
        NodeKind::Input { name: _ }
        | NodeKind::Literal(_)
        | NodeKind::Parameter
        | NodeKind::Lambda { .. }
        | NodeKind::Match { .. } => {}
        NodeKind::List { items } => items.iter_mut().for_each(replace),
        NodeKind::Record { fields } => fields.iter_mut().for_each(|field| replace(&mut field.node)),
        NodeKind::Interpolate { parts: _, values } => values.iter_mut().for_each(replace),
        NodeKind::Arithmetic { operator: _, left, right }
        | NodeKind::Compare { operator: _, left, right }
        | NodeKind::And { left, right }
        | NodeKind::Or { left, right }
        | NodeKind::Merge { left, right } => [left, right].into_iter().for_each(replace),
        NodeKind::Negate { operand } | NodeKind::Not { operand } => replace(operand),
        NodeKind::If { condition, then, otherwise } => {
            [condition, then, otherwise].into_iter().for_each(replace);
        }
        NodeKind::Branch { cases, otherwise } => {
            for case in cases {
                replace(&mut case.condition);
                replace(&mut case.value);
            }
            replace(otherwise);
        }
        NodeKind::Guard { value, condition } => [value, condition].into_iter().for_each(replace),
        NodeKind::Coalesce { value, default } => [value, default].into_iter().for_each(replace),
        NodeKind::Field { source, name: _ } | NodeKind::Project { source, names: _ } => replace(source),
        NodeKind::Coerce { value } => replace(value),
        NodeKind::Call { module: _, major: _, arguments, options } => {
            for argument in arguments {
                argument.node = map(argument.node);
            }
            options.fallback.iter_mut().for_each(replace);
        }
    }
}
