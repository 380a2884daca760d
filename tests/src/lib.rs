//! A harness for end-to-end tests: starts the real binary, talks to it over HTTP, and ends it in every way.
//!
//! **Must not know:** the crates of the workspace; it sees what a user sees.

mod examples;
mod server;

pub use examples::{Case, Example, copy_sources, examples, examples_directory};
pub use server::{Answer, Exited, Launch, Server};
