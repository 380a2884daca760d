//! Generated programs, and what holds for every program and for every text.
//!
//! [`generate`] makes well-typed programs over the whole grammar, with inputs that fit. [`World`] takes a program
//! all the way: compiled, stored as bytes, read back, bound to the standard library and run.
//!
//! **Must not know:** stores, HTTP, files.

mod generate;
mod laws;
mod targets;
mod world;

pub use generate::{Program, Settings, generate};
pub use laws::{Checked, check};
pub use targets::{TARGETS, Target, target};
pub use world::World;
