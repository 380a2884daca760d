//! Tests of the compiler through its public interface.

mod bounds;
mod canonical;
mod conformance;
mod fuzz;
mod growth;
mod kinds;
mod options;
mod print;
mod recovery;
mod semantics;
mod spec;
mod support;
