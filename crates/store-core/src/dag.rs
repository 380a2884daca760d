//! The compiled graph of a pipeline, as plain data.
//!
//! Everything that a program says is in its [`DagSpec`]: literals, operators, call options, the bodies of lambdas
//! and of `match` cases. Nothing in it needs code to be rebuilt but the modules that it calls.
//!
//! The graph is flat. Types and nodes stand in one list each and refer to one another by index, always to a
//! smaller one, so that its JSON nests at most sixteen deep and a type is written once.
//!
//! # Canonical order
//!
//! One program has one graph, whatever the order of its independent statements:
//!
//! * `inputs`, `outputs` and `requires` are sorted by name.
//! * `nodes` are numbered in post-order from the outputs, and then from the defaults and examples of the inputs,
//!   operands in the order of their members below (arguments in the order of the signature, fields in the order
//!   of the record). A node that none of these reaches is not in the graph. Equal nodes are not merged.
//! * The body of a lambda or of a `match` case is a [`Region`] of that list, right before the node that owns it;
//!   what the body refers to outside of it stands before the region.
//! * `types` are numbered by first use: the types of the inputs, then those of the nodes, parts before wholes.

mod canonical;
mod literal;
mod options;
mod types;
mod validate;

pub use literal::Literal;
pub use options::{Backoff, CallOptions, Join, OnError, Throttle, Window};
pub use types::{FieldSpec, TypeSpec, TypeTable};
pub use validate::InvalidDag;

use std::fmt;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::SignatureHash;

/// The place of a node in [`DagSpec::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIndex(pub u32);

/// The place of a type in [`DagSpec::types`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TypeIndex(pub u32);

impl NodeIndex {
    /// The index as one into a slice.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl TypeIndex {
    /// The index as one into a slice.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The compiled graph of a pipeline; see the module's documentation for its order.
///
/// The fields are public because it is plain data; [`DagSpec::validate`] tells whether it is well formed, and a
/// decoded image always is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DagSpec {
    /// What a caller gives, sorted by name.
    pub inputs: Vec<InputSpec>,
    /// What a run answers, sorted by name; at least one.
    pub outputs: Vec<OutputSpec>,
    /// The types in use, each once.
    pub types: Vec<TypeSpec>,
    /// The nodes; operands come before the node that uses them.
    pub nodes: Vec<NodeSpec>,
    /// The modules that the nodes call, each once, sorted by name and major version.
    pub requires: Vec<Requirement>,
}

/// An input of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputSpec {
    /// Its name, an identifier.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: TypeIndex,
    /// The value it has when a caller leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<NodeIndex>,
    /// Its `@example` values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<NodeIndex>,
}

/// An output of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputSpec {
    /// Its name, an identifier.
    pub name: String,
    /// The node whose value it is.
    pub node: NodeIndex,
}

/// A module that a pipeline calls, and the contract that it was compiled against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// The module's name in a registry.
    pub name: String,
    /// Its major version.
    pub major: u32,
    /// The hash of its signature.
    pub signature: SignatureHash,
}

/// A node: an operation and the type of its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// The variable whose right-hand side made the node; for an input its name. Nodes of one variable can share it.
    #[serde(default, deserialize_with = "label", skip_serializing_if = "Option::is_none")]
    pub label: Option<Arc<str>>,
    /// The type of its value.
    #[serde(rename = "type")]
    pub ty: TypeIndex,
    /// How the value comes about.
    pub operation: NodeKind,
}

/// Reads a label with one allocation; the way of `serde` makes a string first.
fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<str>>, D::Error> {
    struct Label;

    impl<'de> Visitor<'de> for Label {
        type Value = Option<Arc<str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.into()))
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_str(self)
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_option(Label)
}

/// How the value of a node comes about. The order of members is the order of operands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum NodeKind {
    /// The input of this name.
    Input {
        /// The name of an [`InputSpec`].
        name: String,
    },
    /// A constant.
    Literal(Literal),
    /// A list of items.
    List {
        /// The items in order.
        items: Vec<NodeIndex>,
    },
    /// A record; the fields are those of its type, in the same order.
    Record {
        /// The fields in the order of the record type.
        fields: Vec<FieldValue>,
    },
    /// A string of literal parts around the text of values.
    Interpolate {
        /// The literal parts, one more than there are values.
        parts: Vec<String>,
        /// The values between the parts.
        values: Vec<NodeIndex>,
    },
    /// `left + right` and so on. Both operands have the type of the node, `Int` or `Float`.
    Arithmetic {
        /// Which operation.
        operator: ArithmeticOperator,
        /// The left operand.
        left: NodeIndex,
        /// The right operand.
        right: NodeIndex,
    },
    /// `-operand`, of `Int` or `Float`.
    Negate {
        /// The operand.
        operand: NodeIndex,
    },
    /// `left == right` and so on. Both operands have equivalent types; ordering is on `Int`, `Float` and
    /// `String`, equality on every type without functions.
    Compare {
        /// Which comparison.
        operator: ComparisonOperator,
        /// The left operand.
        left: NodeIndex,
        /// The right operand.
        right: NodeIndex,
    },
    /// `left and right`; the right operand is evaluated only when the left is true.
    And {
        /// The left operand.
        left: NodeIndex,
        /// The right operand.
        right: NodeIndex,
    },
    /// `left or right`; the right operand is evaluated only when the left is false.
    Or {
        /// The left operand.
        left: NodeIndex,
        /// The right operand.
        right: NodeIndex,
    },
    /// `not operand`.
    Not {
        /// The operand.
        operand: NodeIndex,
    },
    /// `if (condition) then else otherwise`; the arm that is not taken is not evaluated.
    If {
        /// The condition.
        condition: NodeIndex,
        /// The value when it is true.
        then: NodeIndex,
        /// The value when it is false.
        otherwise: NodeIndex,
    },
    /// `branch { condition -> value, ..., otherwise -> value }`; the first case whose condition is true.
    Branch {
        /// The cases in order.
        cases: Vec<BranchCase>,
        /// The value when no condition is true.
        otherwise: NodeIndex,
    },
    /// `value when condition`: an optional that has the value when the condition is true.
    Guard {
        /// The value, evaluated only when the condition is true.
        value: NodeIndex,
        /// The condition.
        condition: NodeIndex,
    },
    /// `value ?? default`: the inner value of an optional, or the default. When the default is itself optional,
    /// so is the result.
    Coalesce {
        /// The optional.
        value: NodeIndex,
        /// The default, evaluated only when the optional is none.
        default: NodeIndex,
    },
    /// `source.name`, of a record, or of each record of a list.
    Field {
        /// The record or list of records.
        source: NodeIndex,
        /// The name of the field.
        name: String,
    },
    /// `source[a, b]`: a record of these fields, of a record or of each record of a list.
    Project {
        /// The record or list of records.
        source: NodeIndex,
        /// The names of the fields.
        names: Vec<String>,
    },
    /// `left + right` on records or lists of records; the fields of the right win.
    Merge {
        /// The left operand.
        left: NodeIndex,
        /// The right operand.
        right: NodeIndex,
    },
    /// The same value as another type: a record loses the fields that the type does not have, a member of a
    /// union gets its tag, an `Int` becomes a `Float`, and the same within lists, optionals, maps and records.
    /// It stands wherever a value's type differs from the one that is expected.
    Coerce {
        /// The value.
        value: NodeIndex,
    },
    /// A call of a module.
    Call {
        /// The module's name; with the major version, one of [`DagSpec::requires`].
        module: String,
        /// The module's major version.
        major: u32,
        /// The arguments, in the order of the module's parameters.
        arguments: Vec<Argument>,
        /// The options of the `with` clause.
        #[serde(default, skip_serializing_if = "CallOptions::is_empty")]
        options: Box<CallOptions>,
    },
    /// A parameter of the region that it stands in: of a lambda, or what a `match` pattern binds.
    Parameter,
    /// A lambda.
    Lambda {
        /// The nodes outside of the body that the body refers to, in ascending order.
        captures: Vec<NodeIndex>,
        /// The body.
        body: Region,
    },
    /// `match scrutinee { pattern -> body, ... }`; the first case whose pattern matches.
    Match {
        /// The value that is matched.
        scrutinee: NodeIndex,
        /// The cases in order; their regions follow one another.
        cases: Vec<MatchCase>,
    },
}

/// A field of a [`NodeKind::Record`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldValue {
    /// The name of the field.
    pub name: String,
    /// Its value.
    pub node: NodeIndex,
}

/// An argument of a [`NodeKind::Call`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Argument {
    /// The name of the parameter.
    pub name: String,
    /// Its value.
    pub node: NodeIndex,
}

/// A case of a [`NodeKind::Branch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BranchCase {
    /// The condition.
    pub condition: NodeIndex,
    /// The value when it is the first that is true.
    pub value: NodeIndex,
}

/// A case of a [`NodeKind::Match`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchCase {
    /// What it matches.
    pub pattern: Pattern,
    /// Its body. Its parameters are what the pattern binds.
    pub body: Region,
}

/// What a [`MatchCase`] matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Pattern {
    /// `{a, b}`: a record that has these fields. Binds one parameter for each, in this order.
    Fields(Vec<String>),
    /// `is T`: a value of this type, or of a member of this type. Binds one parameter: the value, of a type that all
    /// members that are matched are below.
    Is(TypeIndex),
    /// `_`: everything. Binds nothing.
    Any,
}

/// The body of a lambda or of a `match` case: the nodes from `start` up to but not including `end`. They can be
/// referred to from within the region only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Region {
    /// The first node.
    pub start: NodeIndex,
    /// The node after the last.
    pub end: NodeIndex,
    /// How many of the first nodes are the region's parameters.
    pub parameters: u32,
    /// The node whose value is that of the body. It may lie outside of the region.
    pub result: NodeIndex,
}

/// The operator of a [`NodeKind::Arithmetic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ArithmeticOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`; on `Int` it truncates toward zero.
    Divide,
}

/// The operator of a [`NodeKind::Compare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ComparisonOperator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl NodeKind {
    /// Calls `visit` with each operand, in the order that numbers them: what the value may need, without what
    /// only a body refers to.
    pub fn for_each_operand(&self, mut visit: impl FnMut(NodeIndex)) {
        match self {
            Self::Input { name: _ } | Self::Literal(_) | Self::Parameter => {}
            Self::List { items } => items.iter().copied().for_each(visit),
            Self::Record { fields } => {
                for field in fields {
                    visit(field.node);
                }
            }
            Self::Interpolate { parts: _, values } => values.iter().copied().for_each(visit),
            Self::Arithmetic { operator: _, left, right }
            | Self::Compare { operator: _, left, right }
            | Self::And { left, right }
            | Self::Or { left, right }
            | Self::Merge { left, right } => {
                visit(*left);
                visit(*right);
            }
            Self::Negate { operand } | Self::Not { operand } => visit(*operand),
            Self::If { condition, then, otherwise } => {
                visit(*condition);
                visit(*then);
                visit(*otherwise);
            }
            Self::Branch { cases, otherwise } => {
                for case in cases {
                    visit(case.condition);
                    visit(case.value);
                }
                visit(*otherwise);
            }
            Self::Guard { value, condition } => {
                visit(*value);
                visit(*condition);
            }
            Self::Coalesce { value, default } => {
                visit(*value);
                visit(*default);
            }
            Self::Field { source, name: _ } | Self::Project { source, names: _ } => visit(*source),
            Self::Coerce { value } => visit(*value),
            Self::Call { module: _, major: _, arguments, options } => {
                for argument in arguments {
                    visit(argument.node);
                }
                options.fallback.into_iter().for_each(visit);
            }
            Self::Lambda { captures, body: _ } => captures.iter().copied().for_each(visit),
            Self::Match { scrutinee, cases: _ } => visit(*scrutinee),
        }
    }

    /// The bodies that the node owns, in order.
    pub fn regions(&self) -> impl DoubleEndedIterator<Item = &Region> + Clone {
        let (lambda, cases) = match self {
            Self::Lambda { captures: _, body } => (Some(body), [].as_slice()),
            Self::Match { scrutinee: _, cases } => (None, cases.as_slice()),
            _ => (None, [].as_slice()),
        };
        lambda.into_iter().chain(cases.iter().map(|case| &case.body))
    }
}
