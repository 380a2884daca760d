//! A graph, with what tells its parts apart from those of another graph.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};

use constellation_store_core::{
    DagSpec, InvalidDag, NodeIndex, NodeKind, NodeSpec, SignatureHash, TypeIndex, TypeSpec,
};
use constellation_types::Type;

use super::text::{Parts, write_node};

/// Numbers for texts: equal texts have equal numbers, in both graphs.
#[derive(Debug, Default)]
pub(super) struct Interner(HashMap<String, usize>);

impl Interner {
    fn id(&mut self, text: String) -> usize {
        let next = self.0.len();
        *self.0.entry(text).or_insert(next)
    }
}

#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub(super) spec: &'a DagSpec,
    pub(super) types: Vec<Type>,
    /// Equal types have equal numbers, in both graphs; so have equal nodes below.
    pub(super) type_ids: Vec<usize>,
    /// The names of inputs and variables; other nodes are parts of these.
    pub(super) names: Vec<Option<String>>,
    /// Of parameters: how many bodies they are within, and which parameter they are, both from 1.
    pub(super) parameters: Vec<Option<(u32, u32)>>,
    /// What nodes compute, down to what has a name, without the options of calls.
    pub(super) cores: Vec<usize>,
    /// The same with the options.
    pub(super) wholes: Vec<usize>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(spec: &'a DagSpec, interner: &mut Interner) -> Result<Self, InvalidDag> {
        let types = spec.validate()?;
        let type_ids = type_ids(spec, interner);
        let mut graph = Self {
            spec,
            types,
            type_ids,
            names: names(spec),
            parameters: parameters(spec),
            cores: Vec::new(),
            wholes: Vec::new(),
        };
        graph.cores = graph.shapes(interner, false);
        graph.wholes = graph.shapes(interner, true);
        Ok(graph)
    }

    pub(super) fn inputs(&self) -> BTreeMap<String, ((usize, Vec<String>), usize)> {
        let inputs = self.spec.inputs.iter().enumerate();
        inputs
            .map(|(place, input)| {
                let default = input.default.map_or_else(String::new, |node| self.reference(node));
                let examples = input.examples.iter().map(|node| self.reference(*node));
                let values = std::iter::once(default).chain(examples).collect();
                (input.name.clone(), ((self.type_ids[input.ty.index()], values), place))
            })
            .collect()
    }

    pub(super) fn outputs(&self) -> BTreeMap<String, ((usize, String), usize)> {
        let outputs = self.spec.outputs.iter();
        outputs
            .map(|output| {
                let node = output.node.index();
                let ty = self.type_ids[self.spec.nodes[node].ty.index()];
                let reference = self.names[node].clone().unwrap_or_else(|| format!("#{}", self.cores[node]));
                (output.name.clone(), ((ty, reference), node))
            })
            .collect()
    }

    /// What has a name and is no input.
    pub(super) fn variables(&self) -> BTreeMap<String, (usize, usize)> {
        let named = self.names.iter().enumerate().filter_map(|(node, name)| Some((node, name.clone()?)));
        let variables =
            named.filter(|(node, _)| !matches!(self.spec.nodes[*node].operation, NodeKind::Input { .. }));
        variables.map(|(node, name)| (name, (self.cores[node], node))).collect()
    }

    pub(super) fn modules(&self) -> BTreeMap<String, ((u32, SignatureHash), usize)> {
        let mut counts = HashMap::new();
        let requirements = self.spec.requires.iter().enumerate();
        requirements
            .map(|(place, requirement)| {
                let name = numbered(&mut counts, &requirement.name);
                (name, ((requirement.major, requirement.signature), place))
            })
            .collect()
    }

    /// What an operand is, options included.
    pub(super) fn reference(&self, node: NodeIndex) -> String {
        let node = node.index();
        self.names[node]
            .as_ref()
            .map_or_else(|| format!("#{}", self.wholes[node]), |name| format!("{name:?}"))
    }

    fn shapes(&self, interner: &mut Interner, with_options: bool) -> Vec<usize> {
        let mut ids = Vec::with_capacity(self.spec.nodes.len());
        for (node, spec) in self.spec.nodes.iter().enumerate() {
            let mut shape = format!("{with_options} {} ", self.type_ids[spec.ty.index()]);
            let mut parts = Shape { graph: self, ids: &ids };
            write_node(self, node, with_options, &mut shape, &mut parts)
                .expect("writing to a string succeeds");
            ids.push(interner.id(shape));
        }
        ids
    }
}

/// Operands and types by their numbers, so that the text of a node is as long as the node itself.
struct Shape<'a> {
    graph: &'a Graph<'a>,
    ids: &'a [usize],
}

impl<W: Write> Parts<W> for Shape<'_> {
    fn operand(&mut self, node: NodeIndex, out: &mut W) -> fmt::Result {
        match &self.graph.names[node.index()] {
            Some(name) => write!(out, "{name:?}"),
            None => write!(out, "#{}", self.ids[node.index()]),
        }
    }

    fn enclosed(&mut self, node: NodeIndex, out: &mut W) -> fmt::Result {
        self.operand(node, out)
    }

    fn ty(&mut self, ty: TypeIndex, out: &mut W) -> fmt::Result {
        write!(out, "#{}", self.graph.type_ids[ty.index()])
    }
}

fn type_ids(spec: &DagSpec, interner: &mut Interner) -> Vec<usize> {
    let mut ids: Vec<usize> = Vec::with_capacity(spec.types.len());
    for ty in &spec.types {
        let part = |part: &TypeIndex| ids[part.index()];
        let text = match ty {
            TypeSpec::Nothing | TypeSpec::String | TypeSpec::Int | TypeSpec::Float | TypeSpec::Boolean => {
                format!("type {ty:?}")
            }
            TypeSpec::List(element) => format!("type List {}", part(element)),
            TypeSpec::Seq(element) => format!("type Seq {}", part(element)),
            TypeSpec::Optional(inner) => format!("type Optional {}", part(inner)),
            TypeSpec::Map { key, value } => format!("type Map {} {}", part(key), part(value)),
            TypeSpec::Record(fields) => {
                let fields: Vec<_> = fields.iter().map(|field| (&field.name, part(&field.ty))).collect();
                format!("type Record {fields:?}")
            }
            TypeSpec::Union(members) => {
                format!("type Union {:?}", members.iter().map(part).collect::<Vec<_>>())
            }
            TypeSpec::Function { parameters, result } => {
                let parameters: Vec<_> = parameters.iter().map(part).collect();
                format!("type Function {parameters:?} {}", part(result))
            }
        };
        ids.push(interner.id(text));
    }
    ids
}

/// Inputs by their names. Every node that the right-hand side of a variable made has its name as label, and the last of
/// them is the value: operands come before the node that uses them.
fn names(spec: &DagSpec) -> Vec<Option<String>> {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (node, NodeSpec { label, ty: _, operation }) in spec.nodes.iter().enumerate() {
        if let Some(label) = label
            && !matches!(operation, NodeKind::Input { .. } | NodeKind::Parameter)
        {
            last.insert(label, node);
        }
    }
    for input in &spec.inputs {
        // Its default and its examples are parts of the input.
        last.remove(&*input.name);
    }
    let mut names = vec![None; spec.nodes.len()];
    for (node, spec) in spec.nodes.iter().enumerate() {
        names[node] = match (&spec.operation, &spec.label) {
            (NodeKind::Input { name }, _) => Some(name.clone()),
            (_, Some(label)) => (last.get(&**label) == Some(&node)).then(|| label.to_string()),
            (_, None) => None,
        };
    }
    names
}

/// The name of a module, with a number from the second major version on.
fn numbered<'a>(counts: &mut HashMap<&'a str, usize>, name: &'a str) -> String {
    let count = counts.entry(name).or_default();
    *count += 1;
    if *count == 1 { name.to_owned() } else { format!("{name} ({count})") }
}

fn parameters(spec: &DagSpec) -> Vec<Option<(u32, u32)>> {
    let mut depths = vec![0; spec.nodes.len()];
    let mut parameters = vec![None; spec.nodes.len()];
    // A body stands before its owner, so that owners come before what they own.
    for (owner, node) in spec.nodes.iter().enumerate().rev() {
        for region in node.operation.regions() {
            let (start, end) = (region.start.index(), region.end.index());
            let depth = depths[owner] + 1;
            depths[start..end].fill(depth);
            for (place, parameter) in (1..=region.parameters).zip(start..) {
                parameters[parameter] = Some((depth, place));
            }
        }
    }
    parameters
}
