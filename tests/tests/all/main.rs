//! End-to-end tests that drive the real binary.

mod configuration;
mod determinism;
mod durability;
mod examples;
mod loading;
mod operations;
