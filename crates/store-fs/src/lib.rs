//! The file-system pipeline store: the in-memory store made durable.
//!
//! [`FileSystemPipelineStore`] keeps everything in memory as
//! [`InMemoryPipelineStore`](constellation_store_mem::InMemoryPipelineStore) does, and each commit in a journal
//! before it is acknowledged. The JSON files of the directory, which people read, copy and put under version
//! control, follow at checkpoints. `docs/store-fs.md` describes the directory, the protocol and each crash point.
//!
//! **Must not know:** HTTP, the language.

pub mod archive;
mod catalogue;
pub mod core;
mod documents;
mod error;
mod frame;
mod journal;
mod layout;
mod manifest;
mod parallel;
mod reader;
mod record;
#[cfg(any(test, feature = "testing"))]
pub mod seeded;
#[cfg(not(any(test, feature = "testing")))]
mod seeded;
mod store;
pub mod verify;
pub mod vfs;
mod writer;

pub use store::{FileSystemPipelineStore, OpenOptions};
