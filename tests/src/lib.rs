//! A harness for end-to-end tests: starts the real binary, talks to it over HTTP, and ends it in every way.
//!
//! **Must not know:** the crates of the workspace; it sees what a user sees.

mod examples;
mod faults;
mod files;
mod history;
mod launch;
mod server;

pub use examples::{
    Case, Example, copy_sources, examples, examples_directory, examples_in, reference_directory,
};
pub use faults::{Attached, Injection, SmallDisk, can_run, can_trace, chance, is_nightly, skip};
pub use history::{History, Told};
pub use launch::{Launch, binary};
pub use server::{Answer, Exited, Server};
