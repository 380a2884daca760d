//! Types and values of Constellation pipelines, and their JSON form.
//!
//! This crate is the bottom layer: every other crate speaks in its [`Type`], [`Value`] and
//! [`FunctionSignature`].
//!
//! **Must not know:** files, async, HTTP.

mod bounds;
mod identifier;
mod json;
mod relations;
mod signature;
mod text;
mod ty;
mod value;

pub use bounds::{MAX_TYPE_DEPTH, MAX_TYPE_SIZE, TypeTooLarge};
pub use identifier::{InvalidIdentifier, check_identifier, is_identifier, is_in_identifier};
pub use json::{DecodeError, Json, decode_json};
pub use relations::{IncompatibleMerge, least_upper_bound, merge_types};
pub use signature::{FunctionSignature, Parameter, SignatureError};
pub use text::{format_float, write_text};
pub use ty::{Field, FunctionType, RecordType, Type, UnionType};
pub use value::{Record, Tagged, Value};
