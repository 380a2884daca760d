//! What a runtime counts.

/// What happens across the runs of a [`Runtime`](crate::Runtime), at one moment. Counts begin with the runtime; numbers
/// of different moments may be mixed by one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeStatistics {
    /// Calls with `cache`.
    pub cache: CacheStatistics,
    /// Attempts that wait for their `throttle`.
    pub waiting_for_throttle: usize,
    /// Attempts that wait for others of their module, because of `concurrency`.
    pub waiting_for_concurrency: usize,
    /// Calls in flight; none when they are not bounded.
    pub scheduler: Option<SchedulerStatistics>,
}

/// Calls with `cache`, and what the cache of the runtime itself holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Calls whose result was kept by an earlier one.
    pub hits: u64,
    /// Calls that had to be made.
    pub misses: u64,
    /// Calls that waited for an equal one in flight, and took what came of it.
    pub joined: u64,
    /// Calls that were made without a cache, because their arguments are too large.
    pub bypassed: u64,
    /// Requests to backends that failed, and values from them that could not be used.
    pub errors: u64,
    /// Entries that had to make room in memory.
    pub evicted: u64,
    /// Entries in memory.
    pub entries: usize,
    /// About how many bytes they take.
    pub bytes: u64,
}

/// Calls in flight, and those that wait to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerStatistics {
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls that failed because too many waited.
    pub refused: u64,
}
