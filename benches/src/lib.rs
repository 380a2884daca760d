//! What every benchmark shares: generated images and programs, taking turns, statistics, and the report.
//!
//! The benchmarks themselves are in the programs of this package (each behind a feature of its own), which
//! `cargo xtask bench` builds and runs. They are measurements, never tests: nothing here fails because a machine is slow.
//!
//! **Must not know:** rival engines, how a store works inside.

#[cfg(any(feature = "rivals", feature = "service"))]
pub mod disk;
pub mod images;
pub mod programs;
pub mod report;
pub mod statistics;
pub mod turns;
