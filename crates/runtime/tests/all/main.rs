//! What runs do, over graphs made by hand and modules that do as they are told.

#![expect(clippy::unwrap_used, reason = "a test fails where it goes wrong")]

mod budgets;
mod cache;
mod cache_backends;
mod details;
mod failures;
mod lambda_failures;
mod lambdas;
mod limits;
mod needs;
mod operations;
mod options;
mod program;
mod random;
mod random_options;
mod scheduler;
mod straight;
mod support;
mod telling;
