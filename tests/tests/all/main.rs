//! End-to-end tests that drive the real binary.

mod compile;
mod configuration;
mod deploy;
mod determinism;
mod durability;
mod examples;
mod features;
mod http_page;
mod keys;
mod language;
mod loading;
mod operations;
#[cfg(target_os = "linux")]
mod operations_page;
#[cfg(target_os = "linux")]
mod reliability_disk;
#[cfg(target_os = "linux")]
mod reliability_faults;
#[cfg(unix)]
mod reliability_kill;
mod reliability_processes;
#[cfg(target_os = "linux")]
mod reliability_slow;
mod store_archive;
mod store_look;
mod store_tidy;
mod store_verify;
