//! What every benchmark shares: generated images, taking turns, statistics, and the report.
//!
//! The benchmarks themselves are in the program of this package (feature `rivals`), which `cargo xtask bench`
//! builds and runs. They are measurements, never tests: nothing here fails because a machine is slow.
//!
//! **Must not know:** rival engines, how a store works inside.

pub mod images;
pub mod report;
pub mod statistics;
pub mod turns;
