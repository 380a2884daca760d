//! Whether a graph is well formed.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use constellation_types::{Type, is_identifier};

use super::types::resolve;
use super::{
    CallOptions, DagSpec, InputSpec, Literal, MatchCase, NodeIndex, NodeKind, NodeSpec, OutputSpec, Pattern,
    Region, Requirement, Throttle, TypeIndex, Window,
};

/// Numbers in an image are below this: beyond, a double does not tell neighbours apart.
const MAX_NUMBER: u64 = 1 << 53;

/// How deep bodies may nest, as deep as a source may.
const MAX_BODY_DEPTH: u32 = 256;

/// What is not well formed in a graph, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {message}")]
pub struct InvalidDag {
    /// The place, such as `nodes[3]`.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

/// A place in a graph, made into text only when something is wrong there.
#[derive(Debug, Clone, Copy)]
enum Place {
    Requirement(usize),
    Input(usize),
    Outputs,
    Output(usize),
    Node(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requirement(index) => write!(f, "requires[{index}]"),
            Self::Input(index) => write!(f, "inputs[{index}]"),
            Self::Outputs => f.write_str("outputs"),
            Self::Output(index) => write!(f, "outputs[{index}]"),
            Self::Node(index) => write!(f, "nodes[{index}]"),
        }
    }
}

fn invalid<T>(place: Place, message: impl Into<String>) -> Result<T, InvalidDag> {
    Err(InvalidDag { place: place.to_string(), message: message.into() })
}

/// Of up to this many, comparing each with each is faster than a set.
pub(super) const FEW: usize = 16;

/// The first name that came before.
pub(super) fn first_repeated<'a>(
    mut names: impl ExactSizeIterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    if names.len() <= FEW {
        let all = names.clone();
        names.enumerate().find(|(index, name)| all.clone().take(*index).any(|n| n == *name)).map(|(_, n)| n)
    } else {
        let mut known = HashSet::with_capacity(names.len());
        names.find(|name| !known.insert(*name))
    }
}

impl DagSpec {
    /// Checks that the graph is well formed, so that whoever walks it need not: indices are in range and refer
    /// backwards, lists are sorted, names are identifiers, regions nest, types are within bounds. Returns the
    /// types of the type table.
    ///
    /// It does not check that the operands of a node have the types that its operation needs; who binds the
    /// graph to modules does.
    ///
    /// Takes time and memory linear in the size of the graph.
    ///
    /// # Errors
    ///
    /// [`InvalidDag`] with the first place that is not well formed.
    pub fn validate(&self) -> Result<Vec<Type>, InvalidDag> {
        let DagSpec { inputs, outputs, types, nodes, requires } = self;
        let types = resolve(types)?;
        let scopes = Scopes::of(nodes)?;
        let validator = Validator { inputs, nodes, requires, types: types.len(), scopes };
        validator.requires()?;
        validator.inputs()?;
        validator.outputs(outputs)?;
        for index in 0..nodes.len() {
            validator.node(index)?;
        }
        Ok(types)
    }
}

struct Validator<'a> {
    inputs: &'a [InputSpec],
    nodes: &'a [NodeSpec],
    requires: &'a [Requirement],
    types: usize,
    scopes: Scopes,
}

impl Validator<'_> {
    fn requires(&self) -> Result<(), InvalidDag> {
        for (index, Requirement { name, major, signature: _ }) in self.requires.iter().enumerate() {
            let place = Place::Requirement(index);
            if !name.split('.').all(is_identifier) {
                return invalid(place, format!("has the name '{name}'"));
            }
            let before = index.checked_sub(1).map(|before| &self.requires[before]);
            if before.is_some_and(|before| (&before.name, before.major) >= (name, *major)) {
                return invalid(place, "is not sorted by name and major version");
            }
        }
        Ok(())
    }

    fn inputs(&self) -> Result<(), InvalidDag> {
        for (index, InputSpec { name, ty, default, examples }) in self.inputs.iter().enumerate() {
            let place = Place::Input(index);
            if !is_identifier(name) {
                return invalid(place, format!("has the name '{name}', which is not an identifier"));
            }
            if index > 0 && self.inputs[index - 1].name >= *name {
                return invalid(place, "is not sorted by name");
            }
            self.ty(place, *ty)?;
            for node in default.iter().chain(examples) {
                self.top_level(place, *node)?;
            }
        }
        Ok(())
    }

    fn outputs(&self, outputs: &[OutputSpec]) -> Result<(), InvalidDag> {
        if outputs.is_empty() {
            return invalid(Place::Outputs, "is empty; a pipeline has at least one output");
        }
        for (index, OutputSpec { name, node }) in outputs.iter().enumerate() {
            let place = Place::Output(index);
            if !is_identifier(name) {
                return invalid(place, format!("has the name '{name}', which is not an identifier"));
            }
            if index > 0 && outputs[index - 1].name >= *name {
                return invalid(place, "is not sorted by name");
            }
            self.top_level(place, *node)?;
        }
        Ok(())
    }

    fn ty(&self, place: Place, ty: TypeIndex) -> Result<(), InvalidDag> {
        if ty.index() < self.types {
            return Ok(());
        }
        invalid(place, format!("refers to types[{}] of {}", ty.0, self.types))
    }

    fn top_level(&self, place: Place, node: NodeIndex) -> Result<(), InvalidDag> {
        match self.scopes.of_node.get(node.index()) {
            Some(0) => Ok(()),
            Some(_) => invalid(place, format!("refers to nodes[{}], inside of a body", node.0)),
            None => invalid(place, format!("refers to nodes[{}] of {}", node.0, self.nodes.len())),
        }
    }

    fn node(&self, index: usize) -> Result<(), InvalidDag> {
        let NodeSpec { label, ty, operation } = &self.nodes[index];
        let place = Place::Node(index);
        self.ty(place, *ty)?;
        if label.as_deref().is_some_and(|label| !is_identifier(label)) {
            return invalid(place, "has a label that is not an identifier");
        }
        let scope = self.scopes.of_node[index];
        let mut result = Ok(());
        operation.for_each_operand(|operand| {
            if result.is_ok() {
                result = self.visible(place, operand, index, scope);
            }
        });
        result?;
        for region in operation.regions() {
            let body = self.scopes.starting_at(region, index);
            self.visible(place, region.result, region.end.index(), body)?;
        }
        self.operation(place, index, operation)
    }

    /// An operand stands before `before`, and in the scope or one around it.
    fn visible(&self, place: Place, node: NodeIndex, before: usize, scope: u32) -> Result<(), InvalidDag> {
        if node.index() >= before {
            return invalid(place, format!("refers to nodes[{}], which does not come before it", node.0));
        }
        if !self.scopes.encloses(self.scopes.of_node[node.index()], scope) {
            return invalid(place, format!("refers to nodes[{}], inside of another body", node.0));
        }
        Ok(())
    }

    fn operation(&self, place: Place, index: usize, operation: &NodeKind) -> Result<(), InvalidDag> {
        match operation {
            NodeKind::Input { name } => {
                if self.inputs.binary_search_by(|input| input.name.cmp(name)).is_err() {
                    return invalid(place, format!("reads the input '{name}', which is not declared"));
                }
            }
            NodeKind::Interpolate { parts, values } => {
                if parts.len() != values.len() + 1 {
                    return invalid(place, "does not have one part more than values");
                }
            }
            NodeKind::Record { fields } => {
                if let Some(name) = first_repeated(fields.iter().map(|field| &*field.name)) {
                    return invalid(place, format!("has the field '{name}' twice"));
                }
            }
            NodeKind::Project { source: _, names } => {
                if names.is_empty() || first_repeated(names.iter().map(String::as_str)).is_some() {
                    return invalid(place, "selects no field, or one twice");
                }
            }
            NodeKind::Call { module, major, arguments, options } => {
                let key = (module, *major);
                if self.requires.binary_search_by(|known| (&known.name, known.major).cmp(&key)).is_err() {
                    return invalid(place, format!("calls '{module}' {major}, which is not in requires"));
                }
                if let Some(name) = first_repeated(arguments.iter().map(|argument| &*argument.name)) {
                    return invalid(place, format!("has the argument '{name}' twice"));
                }
                check_options(place, options)?;
            }
            NodeKind::Parameter => {
                if !self.scopes.is_parameter[index] {
                    return invalid(place, "is a parameter outside of the parameters of a body");
                }
            }
            NodeKind::Lambda { captures, body } => {
                let expected = Scopes::captures(self.nodes, body, index);
                if !captures.iter().copied().eq(expected.iter().copied()) {
                    return invalid(
                        place,
                        format!("captures {captures:?}, but its body refers to {expected:?}"),
                    );
                }
            }
            NodeKind::Match { scrutinee: _, cases } => {
                if cases.is_empty() {
                    return invalid(place, "has no case");
                }
                for MatchCase { pattern, body } in cases {
                    let parameters = match pattern {
                        Pattern::Fields(names) => {
                            if names.is_empty() || first_repeated(names.iter().map(String::as_str)).is_some()
                            {
                                return invalid(place, "has a pattern of no field, or of one twice");
                            }
                            names.len()
                        }
                        Pattern::Is(ty) => {
                            self.ty(place, *ty)?;
                            1
                        }
                        Pattern::Any => 0,
                    };
                    if body.parameters as usize != parameters {
                        return invalid(place, "has a case whose body does not bind what its pattern does");
                    }
                }
            }
            // JSON has no text for it, and a source neither.
            NodeKind::Literal(Literal::Float(float)) if !float.is_finite() => {
                return invalid(place, format!("is the float {float}, which is not finite"));
            }
            NodeKind::Literal(_)
            | NodeKind::List { items: _ }
            | NodeKind::Arithmetic { .. }
            | NodeKind::Negate { operand: _ }
            | NodeKind::Compare { .. }
            | NodeKind::And { .. }
            | NodeKind::Or { .. }
            | NodeKind::Not { operand: _ }
            | NodeKind::If { .. }
            | NodeKind::Branch { .. }
            | NodeKind::Guard { .. }
            | NodeKind::Coalesce { .. }
            | NodeKind::Field { .. }
            | NodeKind::Merge { .. }
            | NodeKind::Coerce { value: _ } => {}
        }
        // Parameters are told by their place, so no other node may stand there.
        if self.scopes.is_parameter[index] && !matches!(operation, NodeKind::Parameter) {
            return invalid(place, "stands where a body has its parameters");
        }
        Ok(())
    }
}

fn check_options(place: Place, options: &CallOptions) -> Result<(), InvalidDag> {
    let CallOptions {
        retry,
        timeout_ms,
        delay_ms,
        backoff: _,
        fallback: _,
        cache_ms,
        cache_backend: _,
        throttle,
        concurrency,
        on_error: _,
        lazy: _,
        priority,
        batch,
        batch_timeout_ms,
        window,
        checkpoint_ms,
        join,
    } = options;
    let (count, per_ms) = throttle.map(|Throttle { count, per_ms }| (count, per_ms)).unzip();
    let (size, slide) = match window {
        None => (None, None),
        Some(Window::Tumbling { size_ms }) => (Some(*size_ms), None),
        Some(Window::Sliding { size_ms, slide_ms }) => (Some(*size_ms), Some(*slide_ms)),
        Some(Window::Count { size }) => (Some(*size), None),
    };
    let buffer = match join {
        Some(super::Join::Buffer { timeout_ms }) => Some(*timeout_ms),
        None | Some(super::Join::CombineLatest | super::Join::Zip) => None,
    };
    let positive = [
        *timeout_ms,
        *delay_ms,
        *cache_ms,
        count,
        per_ms,
        *concurrency,
        *batch,
        *batch_timeout_ms,
        size,
        slide,
        *checkpoint_ms,
        buffer,
    ];
    if positive.iter().flatten().any(|number| *number == 0 || *number >= MAX_NUMBER)
        || retry.is_some_and(|retry| retry >= MAX_NUMBER)
        || priority.is_some_and(|priority| priority > 100)
    {
        return invalid(place, "has an option out of range");
    }
    Ok(())
}

/// The bodies of a graph as a tree; 0 is the graph itself.
struct Scopes {
    of_node: Vec<u32>,
    is_parameter: Vec<bool>,
    parents: Vec<u32>,
    depths: Vec<u32>,
    // For each scope but the first: the node that owns it and where it starts.
    owners: std::collections::HashMap<(usize, usize), u32>,
}

impl Scopes {
    fn of(nodes: &[NodeSpec]) -> Result<Self, InvalidDag> {
        let mut scopes = Self {
            of_node: vec![0; nodes.len()],
            is_parameter: vec![false; nodes.len()],
            parents: vec![0],
            depths: vec![0],
            owners: std::collections::HashMap::new(),
        };
        // From the end: a body stands right before the node that owns it, so an owner is seen before its bodies.
        // `open` holds the bodies around the node at hand, the innermost last; `pending` those further down.
        let mut open: Vec<(Region, u32)> = Vec::new();
        let mut pending: Vec<(Region, u32)> = Vec::new();
        for index in (0..nodes.len()).rev() {
            while open.last().is_some_and(|(body, _)| index < body.start.index()) {
                open.pop();
            }
            while pending.last().is_some_and(|(body, _)| index < body.end.index()) {
                open.extend(pending.pop());
            }
            let (outer, scope) = open
                .last()
                .map_or((0, 0), |(body, scope)| (body.start.index() + body.parameters as usize, *scope));
            scopes.of_node[index] = scope;
            let regions = nodes[index].operation.regions();
            let mut end = index;
            for region in regions.clone().rev() {
                let parameters = region.parameters as usize;
                if region.end.index() != end
                    || region.start.index() > end
                    || region.start.index() < outer
                    || end - region.start.index() < parameters
                {
                    return invalid(Place::Node(index), "has a body that does not stand right before it");
                }
                end = region.start.index();
                let depth = scopes.depths[scope as usize] + 1;
                if depth > MAX_BODY_DEPTH {
                    return invalid(Place::Node(index), "nests bodies too deep");
                }
                let body = u32::try_from(scopes.parents.len()).expect("fewer bodies than nodes");
                scopes.parents.push(scope);
                scopes.depths.push(depth);
                scopes.owners.insert((index, end), body);
                scopes.is_parameter[end..end + parameters].fill(true);
            }
            // The last body is the first to come up on the way down.
            for region in regions {
                let body = scopes.starting_at(region, index);
                if region.start != region.end {
                    pending.push((*region, body));
                }
            }
        }
        Ok(scopes)
    }

    fn starting_at(&self, region: &Region, owner: usize) -> u32 {
        self.owners[&(owner, region.start.index())]
    }

    /// Whether `outer` is `inner` or around it.
    fn encloses(&self, outer: u32, mut inner: u32) -> bool {
        while self.depths[inner as usize] > self.depths[outer as usize] {
            inner = self.parents[inner as usize];
        }
        inner == outer
    }

    /// The nodes outside of a body that its nodes refer to.
    fn captures(nodes: &[NodeSpec], body: &Region, owner: usize) -> BTreeSet<NodeIndex> {
        let start = body.start.index();
        let mut captures = BTreeSet::new();
        let mut add = |node: NodeIndex| {
            if node.index() < start {
                captures.insert(node);
            }
        };
        for node in &nodes[start..owner] {
            node.operation.for_each_operand(&mut add);
            for region in node.operation.regions() {
                add(region.result);
            }
        }
        add(body.result);
        captures
    }
}

#[cfg(test)]
mod tests;
