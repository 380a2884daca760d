//! What keeps results.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use constellation_types::{Type, Value};

use super::CacheKey;

/// Why a backend could not do what it was asked for.
pub type CacheError = Box<dyn Error + Send + Sync>;

/// Keeps results of calls; register one with [`CacheConfig`](crate::CacheConfig).
///
/// # Behavior
///
/// * An entry is given back until its time to live has passed, and never afterwards. It may be gone before.
/// * A request that fails, panics, or takes longer than 2 seconds is a miss, with a warning in the log: a call never
///   fails because of its cache. The future of a request may be dropped at any time.
/// * A value that is given back for another type than it was stored with is a miss, too. One that lives outside of the
///   process is written and read by its type: with [`Json`](constellation_types::Json) and
///   [`decode_json`](constellation_types::decode_json).
#[async_trait]
pub trait CacheBackend: fmt::Debug + Send + Sync + 'static {
    /// The value at a key, which is one of `ty`.
    async fn get(&self, key: &CacheKey, ty: &Type) -> Result<Option<Value>, CacheError>;

    /// Keeps a value at a key, in place of what was there.
    async fn set(&self, key: &CacheKey, entry: CacheEntry<'_>) -> Result<(), CacheError>;
}

/// A result to keep.
#[derive(Debug, Clone, Copy)]
pub struct CacheEntry<'a> {
    /// The result.
    pub value: &'a Value,
    /// Its type.
    pub ty: &'a Type,
    /// About how many bytes of memory it takes, where what it shares is counted each time.
    pub bytes: u64,
    /// How long it may be given back.
    pub time_to_live: Duration,
}
