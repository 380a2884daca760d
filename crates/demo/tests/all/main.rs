//! The demonstration modules, in pipelines.

mod examples;
mod modules;
