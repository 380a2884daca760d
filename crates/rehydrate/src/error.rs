//! Why an image cannot be bound to the modules at hand.

use std::fmt;

use constellation_store_core::{InvalidDag, NodeIndex, SignatureHash};

/// Why an image cannot be bound: every problem that was found, each with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RehydrateError {
    problems: Vec<Problem>,
}

impl RehydrateError {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// The problems, at least one. Those of modules are told before those of nodes, since a node cannot be judged
    /// without the module that it calls.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether compiling the pipeline's source again, with the modules at hand, can give an image that binds.
    /// Otherwise a module has to be registered first.
    pub fn recompiling_may_help(&self) -> bool {
        !self.problems.iter().any(|problem| matches!(problem, Problem::MissingModule { .. }))
    }
}

/// The problems, joined by `"; "`.
impl fmt::Display for RehydrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pipeline cannot be loaded: ")?;
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RehydrateError {}

/// One thing that stands in the way of binding an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A required module is not in the registry.
    #[error("module '{name}' version {major} is not registered; register it and load the pipeline again")]
    MissingModule {
        /// The module's name.
        name: String,
        /// The major version that the image was compiled against.
        major: u32,
    },
    /// A required module is registered with another major version.
    #[error(
        "module '{name}' has major version {found}, expected {expected}; recompile the pipeline from its source, \
         or register version {expected}"
    )]
    MajorVersion {
        /// The module's name.
        name: String,
        /// The major version that the image was compiled against.
        expected: u32,
        /// The registered one.
        found: u32,
    },
    /// A required module is registered with another signature.
    #[error(
        "module '{name}' version {major} has signature {found} ({signature}), expected {expected}; recompile the \
         pipeline from its source, or register the module that it was compiled for"
    )]
    Signature {
        /// The module's name.
        name: String,
        /// Its major version.
        major: u32,
        /// The hash of the signature that the image was compiled against.
        expected: SignatureHash,
        /// The hash of the registered one.
        found: SignatureHash,
        /// The registered signature, as a declaration.
        signature: String,
    },
    /// The graph is not well formed. A decoded image never has this problem.
    #[error("the graph is not well formed: {0}; recompile the pipeline from its source")]
    Graph(InvalidDag),
    /// A node's operands do not fit its operation.
    #[error("{} {message}; recompile the pipeline from its source", Place(*node, label.as_deref()))]
    Node {
        /// The node.
        node: NodeIndex,
        /// Its label.
        label: Option<String>,
        /// What does not fit.
        message: String,
    },
}

/// `nodes[3] ('total')`
struct Place<'a>(NodeIndex, Option<&'a str>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nodes[{}]", self.0.0)?;
        self.1.map_or(Ok(()), |label| write!(f, " ('{label}')"))
    }
}
