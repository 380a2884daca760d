//! The in-memory pipeline store: the default, and the model that other backends are tested against.
//!
//! [`State`] is its pure, synchronous heart: it judges a commit without changing anything ([`State::prepare`]),
//! giving the [`Change`]s that the commit comes to, and applies changes ([`State::apply`]) without ever failing.
//! A durable backend writes the changes down in between, and applies them again when it recovers
//! ([`State::replay`]). [`InMemoryPipelineStore`] is a `State` behind a lock.
//!
//! **Must not know:** files.

mod bodies;
mod change;
mod parts;
mod pending;
mod prepare;
mod relation;
mod relations;
mod state;
mod store;
mod view;

pub use bodies::{LoadedImages, prepare_process};
pub use change::{Change, Prepared};
pub use parts::{Parts, StoredSource};
pub use pending::Pending;
pub use prepare::VerifiedCommit;
pub use state::{Dangling, Holder, Lookup, State};
pub use store::InMemoryPipelineStore;
