//! A loaded pipeline: plain data, ready to run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use constellation_module::Module;
use constellation_store_core::{
    ArithmeticOperator, Backoff, ComparisonOperator, DagSpec, InputSpec, NodeIndex, PipelineImage, Throttle,
    TypeIndex,
};
use constellation_types::{Type, Value};

use crate::steps::certain;
use crate::{Coercion, Step};

/// The names of the fields of a record type, in its order. All records of one type share them.
pub type FieldNames = Arc<[Arc<str>]>;

/// A pipeline bound to live modules. It is never stored; it is rebuilt from its image.
///
/// Whoever runs it may rely on this: node indices are in range, and an operand stands before the node that uses it
/// (what an [`Operation::Match`] evaluates stands before it too); the values of operands are of the types that the
/// operation needs, if the inputs and the results of modules are of theirs.
#[derive(Debug)]
// Twice a cache line, as processors fetch them: runs on several threads read it, and change the counters of its `Arc`,
// which stand before it.
#[repr(align(128))]
pub struct LoadedPipeline {
    /// What it was loaded from. Labels and the options of calls are read from its graph.
    pub image: Arc<PipelineImage>,
    /// The types of the image's type table.
    pub types: Vec<Type>,
    /// The nodes, at the indices that they have in the image.
    pub nodes: Vec<LoadedNode>,
    /// The inputs, sorted by name.
    pub inputs: Vec<LoadedInput>,
    /// The outputs, sorted by name.
    pub outputs: Vec<LoadedOutput>,
    /// The nodes that every run needs, in ascending order: the outputs, and the certain operands of these nodes.
    pub certain: Vec<Step>,
    /// How often each node is referred to: by nodes, as the result of a body, by inputs and outputs. Counted up to 255.
    pub uses: Vec<u8>,
    /// Whether there is a lambda among the nodes.
    pub has_lambdas: bool,
}

impl LoadedPipeline {
    pub(crate) fn new(image: Arc<PipelineImage>, types: Vec<Type>, nodes: Vec<LoadedNode>) -> Self {
        let spec = &image.dag_spec;
        let inputs = spec
            .inputs
            .iter()
            .map(|input| LoadedInput {
                name: input.name.as_str().into(),
                ty: input.ty,
                default: input.default,
            })
            .collect();
        let outputs = spec
            .outputs
            .iter()
            .map(|output| LoadedOutput {
                name: output.name.as_str().into(),
                ty: nodes[output.node.index()].ty,
                node: output.node,
            })
            .collect();
        let results = spec.outputs.iter().map(|output| output.node);
        let certain = certain(results, NodeIndex(0), &types, &nodes);
        let has_lambdas = nodes.iter().any(|node| matches!(node.operation, Operation::Lambda(_)));
        let uses = uses(spec);
        Self { image, types, nodes, inputs, outputs, certain, uses, has_lambdas }
    }

    /// The type at `index` of the type table.
    pub fn ty(&self, index: TypeIndex) -> &Type {
        &self.types[index.index()]
    }

    /// The variable whose right-hand side made the node.
    pub fn label(&self, node: NodeIndex) -> Option<&str> {
        self.image.dag_spec.nodes[node.index()].label.as_deref()
    }

    /// The place of the input `name` in [`LoadedPipeline::inputs`].
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.binary_search_by(|input| (*input.name).cmp(name)).ok()
    }
}

/// An input of a pipeline.
#[derive(Debug, Clone)]
pub struct LoadedInput {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: TypeIndex,
    /// The node whose value it has when a caller leaves it out.
    pub default: Option<NodeIndex>,
}

/// An output of a pipeline.
#[derive(Debug, Clone)]
pub struct LoadedOutput {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: TypeIndex,
    /// The node whose value it is.
    pub node: NodeIndex,
}

/// A node: an operation and the type of its value.
#[derive(Debug)]
pub struct LoadedNode {
    /// The type of its value.
    pub ty: TypeIndex,
    /// How the value comes about.
    pub operation: Operation,
}

/// How the value of a node comes about, with everything worked out that follows from types.
#[derive(Debug)]
pub enum Operation {
    /// The input at this place of [`LoadedPipeline::inputs`].
    Input(usize),
    /// A constant.
    Constant(Value),
    /// A list of items.
    List(Box<[NodeIndex]>),
    /// A record.
    Record {
        /// The names of its fields.
        names: FieldNames,
        /// Their values, in the same order.
        values: Box<[NodeIndex]>,
    },
    /// A string of literal parts around the text of values.
    Interpolate {
        /// The literal parts, one more than there are values.
        parts: Box<[Box<str>]>,
        /// The values between the parts.
        values: Box<[NodeIndex]>,
    },
    /// Arithmetic on two numbers of one kind.
    Arithmetic {
        /// Which operation.
        operator: ArithmeticOperator,
        /// The kind of number.
        number: Number,
        /// The left operand.
        left: NodeIndex,
        /// The right operand.
        right: NodeIndex,
    },
    /// `-operand`
    Negate {
        /// The kind of number.
        number: Number,
        /// The operand.
        operand: NodeIndex,
    },
    /// A comparison; an ordering has two `Int`, `Float` or `String` operands.
    Compare {
        /// Which comparison.
        operator: ComparisonOperator,
        /// The left operand.
        left: NodeIndex,
        /// The right operand.
        right: NodeIndex,
    },
    /// `left and right`
    And {
        /// The left operand.
        left: NodeIndex,
        /// The right operand, needed only when the left is true.
        right: NodeIndex,
    },
    /// `left or right`
    Or {
        /// The left operand.
        left: NodeIndex,
        /// The right operand, needed only when the left is false.
        right: NodeIndex,
    },
    /// `not operand`
    Not(NodeIndex),
    /// The value of one of several nodes: `if` and `branch`.
    Branch {
        /// Conditions with the node that is taken when it is the first that is true.
        cases: Box<[(NodeIndex, NodeIndex)]>,
        /// The node that is taken when no condition is true.
        otherwise: NodeIndex,
    },
    /// `value when condition`
    Guard {
        /// The value, needed only when the condition is true.
        value: NodeIndex,
        /// The condition.
        condition: NodeIndex,
    },
    /// `value ?? default`
    Coalesce {
        /// The optional.
        value: NodeIndex,
        /// The default, needed only when the optional is none.
        default: NodeIndex,
        /// Whether the result is the optional as it is, instead of what is in it: the default is optional too.
        keeps_optional: bool,
    },
    /// `source.name`
    Field {
        /// The record or list of records.
        source: NodeIndex,
        /// The field.
        field: FieldAccess,
        /// Whether it is taken of each record of a list.
        each: bool,
    },
    /// `source[a, b]`
    Project {
        /// The record or list of records.
        source: NodeIndex,
        /// The names of the fields of the result.
        names: FieldNames,
        /// Where each is found.
        fields: Box<[FieldAccess]>,
        /// Whether they are taken of each record of a list.
        each: bool,
    },
    /// `left + right` on records.
    Merge {
        /// The left operand.
        left: NodeIndex,
        /// The right operand.
        right: NodeIndex,
        /// The names of the fields of the result.
        names: FieldNames,
        /// Where each is found.
        fields: Arc<[MergeField]>,
        /// Which operands are lists.
        shape: MergeShape,
    },
    /// The same value as another type.
    Coerce {
        /// The value.
        value: NodeIndex,
        /// What changes.
        coercion: Arc<Coercion>,
    },
    /// A call of a module.
    Call(Arc<LoadedCall>),
    /// A parameter of a body, which the owner of the body gives its value.
    Parameter,
    /// A lambda. It has no value and is not evaluated: the calls that it is given to have what they need of it.
    Lambda(Arc<LoadedLambda>),
    /// `match scrutinee { pattern -> body, ... }`
    ///
    /// A body of a match has no state of its own: its nodes are evaluated as often as the match that owns them.
    Match {
        /// The value that is matched.
        scrutinee: NodeIndex,
        /// The cases in order.
        cases: Box<[LoadedCase]>,
    },
}

impl Operation {
    /// Calls `visit` with each operand that the operation needs whatever the values of others are.
    pub fn for_each_certain_operand(&self, mut visit: impl FnMut(NodeIndex)) {
        match self {
            Self::Input(_) | Self::Constant(_) | Self::Parameter | Self::Lambda(_) => {}
            Self::List(items) => items.iter().copied().for_each(visit),
            Self::Record { names: _, values } | Self::Interpolate { parts: _, values } => {
                values.iter().copied().for_each(visit);
            }
            Self::Arithmetic { operator: _, number: _, left, right }
            | Self::Compare { operator: _, left, right }
            | Self::Merge { left, right, names: _, fields: _, shape: _ } => {
                visit(*left);
                visit(*right);
            }
            Self::Negate { number: _, operand } | Self::Not(operand) => visit(*operand),
            Self::And { left, right: _ } | Self::Or { left, right: _ } => visit(*left),
            Self::Branch { cases, otherwise } => {
                visit(cases.first().map_or(*otherwise, |(condition, _)| *condition));
            }
            Self::Guard { value: _, condition } => visit(*condition),
            Self::Coalesce { value, default: _, keeps_optional: _ } | Self::Coerce { value, coercion: _ } => {
                visit(*value);
            }
            Self::Field { source, field: _, each: _ }
            | Self::Project { source, names: _, fields: _, each: _ } => visit(*source),
            Self::Call(call) => {
                for argument in &call.arguments {
                    visit(*argument);
                }
                for capture in call.functions.iter().flat_map(|lambda| &lambda.captures) {
                    visit(*capture);
                }
            }
            Self::Match { scrutinee, cases: _ } => visit(*scrutinee),
        }
    }
}

/// How often each node of a graph is referred to.
fn uses(spec: &DagSpec) -> Vec<u8> {
    let mut uses = vec![0_u8; spec.nodes.len()];
    let mut count = |node: NodeIndex| uses[node.index()] = uses[node.index()].saturating_add(1);
    for node in &spec.nodes {
        node.operation.for_each_operand(&mut count);
        node.operation.regions().for_each(|body| count(body.result));
    }
    for InputSpec { name: _, ty: _, default, examples } in &spec.inputs {
        default.iter().chain(examples).copied().for_each(&mut count);
    }
    spec.outputs.iter().for_each(|output| count(output.node));
    uses
}

/// A kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// `Int`
    Int,
    /// `Float`
    Float,
}

/// How a field is found: by its place, and by its name in a record whose fields are in another order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldAccess {
    /// Its place in the record type.
    pub position: usize,
    /// Its name.
    pub name: Arc<str>,
}

/// Where a field of a merged record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeField {
    /// Whether it is the right operand's.
    pub from_right: bool,
    /// Where it is in that operand's records.
    pub access: FieldAccess,
}

/// Which operands of a merge are lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeShape {
    /// Neither.
    Records,
    /// The left; the right is merged into each of its records.
    LeftList,
    /// The right; the left is merged into each of its records.
    RightList,
    /// Both; they are merged pair by pair.
    Lists {
        /// What such a list is called in the message about different lengths: `Candidates` or `Seq`, the words of
        /// the reference implementation.
        called: &'static str,
    },
}

/// A call of a module.
pub struct LoadedCall {
    /// The module.
    pub module: Arc<dyn Module>,
    /// Its name.
    pub name: Arc<str>,
    /// The arguments that are values, in the order of its parameters.
    pub arguments: Box<[NodeIndex]>,
    /// The arguments that are lambdas, in the order of its parameters.
    pub functions: Box<[Arc<LoadedLambda>]>,
    /// The type of its result.
    pub result: Type,
    /// How long an attempt may take, when the program says so.
    pub timeout: Option<Duration>,
    /// Further attempts.
    pub retry: RetryPolicy,
    /// How long its result may be used for equal calls, when the program says so. Never for a call that is given a
    /// lambda: functions equal nothing.
    pub cache: Option<CachePolicy>,
    /// How many attempts may start in a time, when the program says so.
    pub throttle: Option<Throttle>,
    /// How many attempts may go on at the same time, above 0, when the program says so. Never for a call that is given
    /// a lambda: its body may wait for a call of the same module.
    pub concurrency: Option<u64>,
    /// Its place among calls that wait, from 0 to 100, the highest first.
    pub priority: u8,
    /// The node whose value is taken when every attempt has failed.
    pub fallback: Option<NodeIndex>,
    /// What a failure becomes.
    pub recovery: Recovery,
    /// Whether a result is the value of the node as the module gave it, in the only attempt that is made of values, and
    /// nothing but the module is waited for.
    pub is_plain: bool,
    /// Whether the module is pure.
    pub is_pure: bool,
}

impl fmt::Debug for LoadedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            module: _,
            name,
            arguments,
            functions,
            result,
            timeout,
            retry,
            cache,
            throttle,
            concurrency,
            priority,
            fallback,
            recovery,
            is_plain,
            is_pure,
        } = self;
        f.debug_struct("LoadedCall")
            .field("name", name)
            .field("arguments", arguments)
            .field("functions", functions)
            .field("result", result)
            .field("timeout", timeout)
            .field("retry", retry)
            .field("cache", cache)
            .field("throttle", throttle)
            .field("concurrency", concurrency)
            .field("priority", priority)
            .field("fallback", fallback)
            .field("recovery", recovery)
            .field("is_plain", is_plain)
            .field("is_pure", is_pure)
            .finish_non_exhaustive()
    }
}

/// A lambda: the body, which is evaluated anew for each call of the function.
///
/// The nodes of the body refer to one another and to the captures. Their states are those of one call, so that the
/// captures are all that a call needs of what is around the lambda.
#[derive(Debug, Clone)]
pub struct LoadedLambda {
    /// The nodes around the body that the body refers to, in ascending order. They are certain operands of a call that
    /// is given the lambda, as its other arguments are: what the function needs is there when the module is called.
    pub captures: Box<[NodeIndex]>,
    /// The first node of the body. The parameters are the first nodes.
    pub start: NodeIndex,
    /// The node after the last of the body.
    pub end: NodeIndex,
    /// The types of the parameters.
    pub parameters: Box<[Type]>,
    /// The node whose value is that of the body; it may be one of the captures.
    pub result: NodeIndex,
    /// The constants among the nodes of the body that every call needs, whose values are the same in each call.
    pub constants: Box<[NodeIndex]>,
    /// The others of these nodes, in ascending order.
    pub certain: Box<[Step]>,
    /// How many lambdas it stands in.
    pub lambdas_around: u32,
}

/// How often a call is attempted again, and after which delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RetryPolicy {
    /// Attempts after the first.
    pub further_attempts: u64,
    /// The delay before another attempt.
    pub delay: Duration,
    /// How it grows.
    pub backoff: Backoff,
}

/// How long the result of a call may be used for equal calls, and what makes calls equal beside their arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePolicy {
    /// How long a result may be used.
    pub time_to_live: Duration,
    /// The name of the cache, when the program gives one.
    pub backend: Option<Arc<str>>,
    /// The module with its version, and the type of the result with the fields of records in their order.
    pub identity: Box<str>,
}

/// What the failure of a call becomes, when it has no fallback or that failed too.
#[derive(Debug, Clone, PartialEq)]
pub enum Recovery {
    /// The failure of what depends on it.
    Propagate,
    /// A value: the zero value of the result.
    Zero {
        /// That value.
        value: Value,
        /// Whether the failure is logged as a warning.
        log: bool,
    },
    /// A record of whether it succeeded, of the result and of the error.
    Wrap {
        /// The names of the record, in its order; they are `ok`, `value` and `error`.
        names: FieldNames,
    },
}

/// A case of an [`Operation::Match`].
#[derive(Debug, Clone)]
pub struct LoadedCase {
    /// The shapes of value that it matches; the first that fits counts.
    pub alternatives: Box<[Alternative]>,
    /// The first of the nodes that are the parameters of the body. The others follow it.
    pub parameters: NodeIndex,
    /// The node whose value is that of the body.
    pub result: NodeIndex,
}

/// A shape of value that a case matches.
#[derive(Debug, Clone)]
pub struct Alternative {
    /// The tag that a union's value has; none where every value of the scrutinee's type matches.
    pub tag: Option<Arc<str>>,
    /// What the parameters of the body are.
    pub bindings: Box<[Binding]>,
}

/// What a parameter of a body is.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The field of the value; none for the value itself.
    pub field: Option<FieldAccess>,
    /// How it becomes the type of the parameter.
    pub coercion: Arc<Coercion>,
}
