//! Graphs made by hand, for tests that need no compiler.

use std::collections::BTreeSet;
use std::sync::Arc;

use constellation_store_core::{
    Argument, CallOptions, DagSpec, ImageMetadata, InputSpec, Literal, NodeIndex, NodeKind, NodeSpec,
    OutputSpec, PipelineImage, Region, Requirement, SignatureHash, Timestamp, TypeTable,
};
use constellation_types::{FunctionSignature, Parameter, Type};

/// Builds a graph node by node. It checks nothing, so that it can build nonsense too.
///
/// ```
/// use constellation_module::ModuleRegistry;
/// use constellation_rehydrate::{rehydrate, testkit::GraphBuilder};
/// use constellation_store_core::{ArithmeticOperator, NodeKind};
/// use constellation_types::Type;
///
/// let mut graph = GraphBuilder::new();
/// let n = graph.input("n", Type::Int);
/// let one = graph.int(1);
/// let sum = NodeKind::Arithmetic { operator: ArithmeticOperator::Add, left: n, right: one };
/// let sum = graph.node(&Type::Int, sum);
/// graph.output("sum", sum);
/// assert!(rehydrate(graph.build(), &ModuleRegistry::new()).is_ok());
/// ```
#[derive(Debug, Default)]
pub struct GraphBuilder {
    types: TypeTable,
    inputs: Vec<InputSpec>,
    outputs: Vec<OutputSpec>,
    nodes: Vec<NodeSpec>,
    requires: Vec<Requirement>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares an input and reads it.
    pub fn input(&mut self, name: &str, ty: Type) -> NodeIndex {
        self.declare(name, ty, None)
    }

    /// Declares an input with a default and reads it.
    pub fn input_with_default(&mut self, name: &str, ty: Type, default: NodeIndex) -> NodeIndex {
        self.declare(name, ty, Some(default))
    }

    #[expect(clippy::needless_pass_by_value, reason = "tests read better without a reference to a new type")]
    fn declare(&mut self, name: &str, ty: Type, default: Option<NodeIndex>) -> NodeIndex {
        let index = self.types.index_of(&ty);
        self.inputs.push(InputSpec { name: name.to_owned(), ty: index, default, examples: Vec::new() });
        let node = self.node(&ty, NodeKind::Input { name: name.to_owned() });
        self.label(node, name)
    }

    /// Adds a node.
    pub fn node(&mut self, ty: &Type, operation: NodeKind) -> NodeIndex {
        let ty = self.types.index_of(ty);
        self.nodes.push(NodeSpec { label: None, ty, operation });
        NodeIndex(u32::try_from(self.nodes.len() - 1).expect("a test has fewer nodes"))
    }

    /// The index that the next node gets.
    pub fn next(&self) -> NodeIndex {
        NodeIndex(u32::try_from(self.nodes.len()).expect("a test has fewer nodes"))
    }

    /// The index of a type, for patterns.
    pub fn type_index(&mut self, ty: &Type) -> constellation_store_core::TypeIndex {
        self.types.index_of(ty)
    }

    /// Gives a node a label.
    pub fn label(&mut self, node: NodeIndex, label: &str) -> NodeIndex {
        self.nodes[node.index()].label = Some(label.into());
        node
    }

    /// An `Int` literal.
    pub fn int(&mut self, int: i64) -> NodeIndex {
        self.node(&Type::Int, NodeKind::Literal(Literal::Int(int)))
    }

    /// A `Float` literal.
    pub fn float(&mut self, float: f64) -> NodeIndex {
        self.node(&Type::Float, NodeKind::Literal(Literal::Float(float)))
    }

    /// A `String` literal.
    pub fn string(&mut self, text: &str) -> NodeIndex {
        self.node(&Type::String, NodeKind::Literal(Literal::String(text.to_owned())))
    }

    /// A `Boolean` literal.
    pub fn boolean(&mut self, boolean: bool) -> NodeIndex {
        self.node(&Type::Boolean, NodeKind::Literal(Literal::Bool(boolean)))
    }

    /// A lambda whose body is the nodes from `start` on, the first of which are its parameters, with the captures that
    /// follow from them.
    pub fn lambda(&mut self, ty: &Type, start: NodeIndex, parameters: u32, result: NodeIndex) -> NodeIndex {
        let mut captures = BTreeSet::from([result]);
        for node in &self.nodes[start.index()..] {
            node.operation.for_each_operand(|operand| {
                captures.insert(operand);
            });
            captures.extend(node.operation.regions().map(|body| body.result));
        }
        let captures = captures.into_iter().filter(|node| *node < start).collect();
        let body = Region { start, end: self.next(), parameters, result };
        self.node(ty, NodeKind::Lambda { captures, body })
    }

    /// A call without options.
    pub fn call(&mut self, signature: &FunctionSignature, arguments: &[NodeIndex]) -> NodeIndex {
        self.call_with(signature, arguments, &signature.result_type(), CallOptions::default())
    }

    /// A call with options, as the compiler types it.
    pub fn call_with(
        &mut self,
        signature: &FunctionSignature,
        arguments: &[NodeIndex],
        ty: &Type,
        options: CallOptions,
    ) -> NodeIndex {
        let requirement = Requirement {
            name: signature.module.to_string(),
            major: signature.major,
            signature: SignatureHash::of(signature),
        };
        if !self.requires.contains(&requirement) {
            self.requires.push(requirement);
        }
        let arguments = signature
            .parameters
            .iter()
            .zip(arguments)
            .map(|(parameter, node)| Argument { name: parameter.name.to_string(), node: *node })
            .collect();
        let options = Box::new(options);
        let (module, major) = (signature.module.to_string(), signature.major);
        self.node(ty, NodeKind::Call { module, major, arguments, options })
    }

    /// Makes a node an output.
    pub fn output(&mut self, name: &str, node: NodeIndex) {
        self.outputs.push(OutputSpec { name: name.to_owned(), node });
    }

    /// The image of the graph.
    pub fn build(self) -> Arc<PipelineImage> {
        let Self { types, mut inputs, mut outputs, nodes, mut requires } = self;
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        outputs.sort_by(|a, b| a.name.cmp(&b.name));
        requires.sort_by(|a, b| (&a.name, a.major).cmp(&(&b.name, b.major)));
        let dag_spec = DagSpec { inputs, outputs, types: types.into_types(), nodes, requires };
        let metadata = ImageMetadata::new(&dag_spec, Timestamp::UNIX_EPOCH);
        Arc::new(PipelineImage::new(dag_spec, metadata))
    }
}

/// The signature of a module `name` with parameters `a`, `b` and so on, and one result.
pub fn signature(name: &str, parameters: &[Type], result: Type) -> FunctionSignature {
    let parameters = parameters
        .iter()
        .zip('a'..)
        .map(|(ty, name)| Parameter { name: String::from(name).into(), ty: ty.clone() });
    FunctionSignature {
        name: name.into(),
        namespace: None,
        module: name.into(),
        major: 1,
        parameters: parameters.collect(),
        results: vec![Parameter { name: "out".into(), ty: result }],
    }
}
