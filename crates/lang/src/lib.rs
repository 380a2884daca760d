//! The compiler of the Constellation language: source text to [`DagSpec`], given function signatures.
//!
//! A program is cut into tokens once ([`tokenize`]); from them come the key under which its image is found again
//! ([`TokenizedSource::syntactic_key`]) and, when it is not there, the image itself ([`compile`]). Whatever the
//! text, the answer is data: a graph, diagnostics, or both. Time and memory are linear in the size of the source,
//! and any stack will do: where the one at hand is too small for the deepest program, another is used.
//!
//! **Must not know:** I/O of any kind, modules' code.
//!
//! [`DagSpec`]: constellation_store_core::DagSpec

mod checker;
mod diagnostic;
#[cfg(feature = "draw")]
pub mod draw;
mod functions;
mod graph;
mod number;
mod parser;
mod print;
mod scan;
mod span;
mod stack;
mod suggest;
pub mod syntax;
mod token;
mod types;

pub use diagnostic::{Code, Diagnostic, Label, MAX_DIAGNOSTICS, Severity, error_reference};
pub use functions::FunctionTable;
pub use print::print;
pub use span::{LineIndex, Position, Span};
pub use suggest::nearest;
pub use token::{MAX_SOURCE_BYTES, Token, TokenKind, TokenizedSource, tokenize};

use constellation_store_core::{DagSpec, NodeIndex};

use crate::diagnostic::Sink;
use crate::syntax::SyntaxTree;

/// Raised only when the graph of some program changes: it decides whether stored images are found again.
pub const LOWERING_VERSION: u32 = 2;

/// What a compilation gives.
#[derive(Debug, Clone)]
pub struct Compilation {
    /// The graph; none when there is an error among the diagnostics.
    pub dag_spec: Option<DagSpec>,
    /// Errors and warnings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// For each node of the graph, the text that made it, so that an error of a run can be placed. For lines
    /// and columns see [`LineIndex`].
    pub node_spans: Vec<Span>,
}

impl Compilation {
    /// Where the text that made a node starts; `source` is the text that was compiled.
    pub fn position_of(&self, node: NodeIndex, source: &str) -> Option<Position> {
        let span = self.node_spans.get(node.index())?;
        Some(LineIndex::new(source).position(span.start))
    }

    /// The diagnostics that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The diagnostics that are warnings.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning)
    }
}

/// Compiles a program against the functions it can call.
///
/// Equal token streams and equal functions give equal graphs. Every error that can be told apart is reported;
/// what follows from an earlier error is not.
pub fn compile(source: &TokenizedSource<'_>, functions: &FunctionTable) -> Compilation {
    compile_in_phases(source, functions, |_| {})
}

/// A part of a compilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From tokens to a tree.
    Parsing,
    /// From a tree to types and nodes.
    Checking,
    /// From nodes to a graph in canonical order.
    Lowering,
}

/// Compiles as [`compile`] does, and calls `ended` at the end of each phase, for who measures them. All phases end,
/// in the order of [`Phase`], whatever errors there are.
pub fn compile_in_phases(
    source: &TokenizedSource<'_>,
    functions: &FunctionTable,
    ended: impl FnMut(Phase),
) -> Compilation {
    stack::with_room(|| compile_here(source, functions, ended))
}

fn compile_here(
    source: &TokenizedSource<'_>,
    functions: &FunctionTable,
    mut ended: impl FnMut(Phase),
) -> Compilation {
    let mut sink = Sink::default();
    let tree = parser::parse_into(source, &mut sink);
    ended(Phase::Parsing);
    let checked = checker::check(&tree, functions, &mut sink);
    ended(Phase::Checking);
    // Before the graph is made, so that it can have the memory.
    drop(tree);
    let numbered = checked.lower();
    ended(Phase::Lowering);
    let diagnostics = sink.finish(source.source());
    let (dag_spec, node_spans) = numbered.map(|numbered| (numbered.dag_spec, numbered.spans)).unzip();
    debug_assert!(dag_spec.as_ref().is_none_or(|dag: &DagSpec| dag.validate().is_ok()));
    Compilation { dag_spec, diagnostics, node_spans: node_spans.unwrap_or_default() }
}

/// Parses a program, for tools that need its tree. What could not be parsed is an `Error` in it.
pub fn parse<'a>(source: &TokenizedSource<'a>) -> (SyntaxTree<'a>, Vec<Diagnostic>) {
    let mut sink = Sink::default();
    let tree = stack::with_room(|| parser::parse_into(source, &mut sink));
    (tree, sink.finish(source.source()))
}
