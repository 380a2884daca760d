//! The options of a call, as a `with` clause gives them. Durations are whole milliseconds.

use serde::{Deserialize, Serialize};

use super::NodeIndex;

/// The options of a call. An absent member was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CallOptions {
    /// Further attempts after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<u64>,
    /// How long an attempt may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How long to wait before another attempt, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// How the delay grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// The value when every attempt has failed; evaluated only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<NodeIndex>,
    /// How long a result may be used again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_ms: Option<u64>,
    /// The name of the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_backend: Option<String>,
    /// How many calls may start in a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// How many calls may run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// What a failure becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// Whether the program asked for evaluation at first use, which is how everything is evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lazy: Option<bool>,
    /// The place in the queue, 0 to 100, the highest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Streaming: elements in a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// Streaming: how long a batch may wait, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_timeout_ms: Option<u64>,
    /// Streaming: the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Streaming: time between checkpoints, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_ms: Option<u64>,
    /// Streaming: how streams are joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
}

impl CallOptions {
    /// Whether no option was given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How the delay between attempts grows: after the k-th failure `delay`, `k * delay`, or `2^(k-1) * delay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Backoff {
    /// The same each time.
    Fixed,
    /// Growing by the delay.
    Linear,
    /// Doubling.
    Exponential,
}

/// What the failure of a call becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnError {
    /// The failure of what depends on it.
    Propagate,
    /// The zero value of its type.
    Skip,
    /// The same, with a warning in the log.
    Log,
    /// A record `{ ok: Boolean, value: Optional<T>, error: Optional<String> }`.
    Wrap,
}

/// `count` calls in each `per_ms` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Throttle {
    /// How many calls.
    pub count: u64,
    /// In how many milliseconds.
    pub per_ms: u64,
}

/// A window over a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Window {
    /// One window after the other.
    Tumbling {
        /// The length of a window, in milliseconds.
        size_ms: u64,
    },
    /// Overlapping windows.
    Sliding {
        /// The length of a window, in milliseconds.
        size_ms: u64,
        /// The time from the start of one to the start of the next, in milliseconds.
        slide_ms: u64,
    },
    /// Windows of a number of elements.
    Count {
        /// How many elements.
        size: u64,
    },
}

/// How streams are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Join {
    /// The latest element of each.
    CombineLatest,
    /// The n-th element of one with the n-th of the other.
    Zip,
    /// Elements that arrive within a time.
    Buffer {
        /// That time, in milliseconds.
        timeout_ms: u64,
    },
}
