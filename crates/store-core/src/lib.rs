//! Pipeline images, their hashes, and the [`PipelineStore`] contract.
//!
//! An image is plain data: a [`DagSpec`] with the hash that names it. A store keeps images, the sources they were
//! compiled from, and names with their versions; what it promises is written at [`PipelineStore`], and tested by
//! the conformance suite (feature `conformance`).
//!
//! **Must not know:** files, sockets, SQL, an async runtime.

mod canonical;
mod clock;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod dag;
mod document;
mod error;
mod ext;
mod extra;
mod hash;
mod image;
mod name;
mod parsed;
mod store;
mod version;

pub use canonical::{StrictJson, canonical_json};
pub use clock::{Clock, InvalidTimestamp, SystemClock, Timestamp};
pub use commit::{Commit, Committed, Operation, Outcome, Precondition, Revision};
pub use dag::*;
pub use document::{CHECKSUM, OpenedDocument, check_document, open_document, seal_document};
pub use error::{ErrorKind, Result, StoreError};
pub use ext::{GcOptions, GcReport, PipelineStoreExt, Publication, Published, RolledBack};
pub use extra::ExtraMembers;
pub use hash::{
    InvalidHash, RegistryHash, SignatureHash, SourceHash, StructuralHash, SyntacticHash, SyntacticKey,
};
pub use image::{CheckedImage, DecodedImage, FORMAT_VERSION, ImageGraph, ImageMetadata, PipelineImage};
pub use name::{PipelineName, Reference};
pub use store::{ImageSummary, IndexEntry, ListOptions, NameEntry, NamedImage, PipelineStore, StoreStatus};
pub use version::{ActiveVersion, Origin, Version, VersionHistory, prunable};
