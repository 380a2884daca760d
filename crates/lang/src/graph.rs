//! The graph while it is made: nodes in the order in which the checker comes to them. [`number`](crate::number)
//! brings them into the canonical order.

use std::num::NonZeroU32;

use constellation_store_core::{NodeIndex, NodeKind};

use crate::span::Span;
use crate::types::Ty;

/// A body of a lambda or a `match` case, or (0) the program itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ScopeId(pub(crate) u32);

impl ScopeId {
    pub(crate) const PROGRAM: ScopeId = ScopeId(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A variable whose right-hand side is a part of the graph; its place in the list of labels, and one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(NonZeroU32);

impl Label {
    /// Its place in [`Graph::labels`].
    pub(crate) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) parameters: Vec<NodeIndex>,
    /// What the body evaluates to; set when the body is done.
    pub(crate) result: NodeIndex,
}

#[derive(Debug, Clone)]
pub(crate) enum CasePattern {
    Fields(Vec<String>),
    Is(Ty),
    Any,
}

/// What a node does. Indices in it are those of [`Graph::nodes`].
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Everything that owns no body.
    Plain(NodeKind),
    Lambda(ScopeId),
    Match {
        scrutinee: NodeIndex,
        cases: Vec<(CasePattern, ScopeId)>,
    },
}

impl Operation {
    /// The bodies that the node owns.
    pub(crate) fn scopes(&self) -> impl DoubleEndedIterator<Item = ScopeId> {
        let (lambda, cases) = match self {
            Self::Plain(_) => (None, [].as_slice()),
            Self::Lambda(scope) => (Some(*scope), [].as_slice()),
            Self::Match { scrutinee: _, cases } => (None, cases.as_slice()),
        };
        lambda.into_iter().chain(cases.iter().map(|(_, scope)| *scope))
    }

    /// Calls `visit` with each operand in canonical order, without what only bodies refer to.
    pub(crate) fn for_each_operand(&self, mut visit: impl FnMut(NodeIndex)) {
        match self {
            Self::Plain(kind) => kind.for_each_operand(visit),
            Self::Lambda(_) => {}
            Self::Match { scrutinee, cases: _ } => visit(*scrutinee),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) operation: Operation,
    pub(crate) ty: Ty,
    pub(crate) label: Option<Label>,
    pub(crate) span: Span,
    pub(crate) scope: ScopeId,
    /// Made of literals only.
    pub(crate) is_constant: bool,
}

#[derive(Debug)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node>,
    /// The variables that nodes are labelled with. There are many more nodes.
    labels: Vec<&'a str>,
    pub(crate) scopes: Vec<Scope>,
}

impl<'a> Graph<'a> {
    /// A graph of about so many nodes.
    pub(crate) fn with_capacity(n_nodes: usize) -> Self {
        Self {
            nodes: Vec::with_capacity(n_nodes),
            labels: Vec::new(),
            scopes: vec![Scope { parameters: Vec::new(), result: NodeIndex(0) }],
        }
    }

    pub(crate) fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.index()]
    }

    /// A label for the nodes of a declaration.
    pub(crate) fn add_label(&mut self, name: &'a str) -> Label {
        self.labels.push(name);
        let place = u32::try_from(self.labels.len()).ok().and_then(NonZeroU32::new);
        Label(place.expect("a source of 1 MiB has fewer declarations, and it was added"))
    }

    pub(crate) fn labels(&self) -> &[&'a str] {
        &self.labels
    }

    pub(crate) fn add(
        &mut self,
        operation: Operation,
        ty: Ty,
        label: Option<Label>,
        span: Span,
        scope: ScopeId,
    ) -> NodeIndex {
        let mut is_constant = matches!(
            operation,
            Operation::Plain(
                NodeKind::Literal(_)
                    | NodeKind::List { items: _ }
                    | NodeKind::Record { fields: _ }
                    | NodeKind::Coerce { value: _ }
                    | NodeKind::Guard { value: _, condition: _ }
            )
        );
        if is_constant {
            operation.for_each_operand(|operand| is_constant &= self.nodes[operand.index()].is_constant);
        }
        let index = NodeIndex(u32::try_from(self.nodes.len()).expect("a source of 1 MiB has fewer nodes"));
        self.nodes.push(Node { operation, ty, label, span, scope, is_constant });
        index
    }

    pub(crate) fn open_scope(&mut self) -> ScopeId {
        let scope = ScopeId(u32::try_from(self.scopes.len()).expect("a source of 1 MiB has fewer bodies"));
        self.scopes.push(Scope { parameters: Vec::new(), result: NodeIndex(0) });
        scope
    }
}
