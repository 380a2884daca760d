//! A cache in the memory of the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use constellation_types::{Type, Value};

use super::{CacheBackend, CacheEntry, CacheError, CacheKey};
use crate::Timer;

/// What an entry takes beside its value.
const ENTRY: u64 = 256;

/// Keeps results in memory, bounded in entries and in bytes; the least recently used go first.
///
/// Libraries that do the same read the clock of the system, and would keep their own time in a test.
#[derive(Debug)]
pub struct InMemoryCache {
    max_entries: usize,
    max_bytes: u64,
    timer: Arc<dyn Timer>,
    evicted: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<CacheKey, Entry>,
    /// The keys by the time of their last use.
    order: BTreeMap<u64, CacheKey>,
    /// Grows with each use; stands in for the time of use.
    tick: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    bytes: u64,
    expires: Duration,
    used: u64,
}

impl InMemoryCache {
    /// An empty cache that keeps at most this many entries, which take at most about this many bytes together. Entries
    /// expire by the timer.
    pub fn new(max_entries: usize, max_bytes: u64, timer: Arc<dyn Timer>) -> Self {
        Self { max_entries, max_bytes, timer, evicted: AtomicU64::new(0), state: Mutex::default() }
    }

    /// How many entries it has, and about how many bytes they take. Expired ones count until they are asked for or
    /// make room.
    pub(super) fn size(&self) -> (usize, u64) {
        let state = self.state();
        (state.entries.len(), state.bytes)
    }

    /// How many entries had to make room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &CacheKey) -> Option<Value> {
        let mut state = self.state();
        let State { entries, order, tick, bytes: _ } = &mut *state;
        let entry = entries.get_mut(key)?;
        if self.timer.now() < entry.expires {
            order.remove(&entry.used);
            *tick += 1;
            entry.used = *tick;
            order.insert(*tick, *key);
            return Some(entry.value.clone());
        }
        let expired = state.remove(key);
        drop(state);
        drop(expired);
        None
    }

    fn insert(&self, key: CacheKey, CacheEntry { value, ty: _, bytes, time_to_live }: CacheEntry<'_>) {
        let bytes = bytes.saturating_add(ENTRY);
        // Before the lock, so that it outlives it: what is large takes long to drop.
        let mut dropped = Vec::new();
        let mut state = self.state();
        dropped.extend(state.remove(&key));
        if bytes > self.max_bytes || self.max_entries == 0 {
            return;
        }
        while (state.entries.len() >= self.max_entries || state.bytes > self.max_bytes - bytes)
            && let Some((_, oldest)) = state.order.first_key_value()
        {
            let oldest = *oldest;
            dropped.extend(state.remove(&oldest));
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        state.tick += 1;
        let used = state.tick;
        let expires = self.timer.now().saturating_add(time_to_live);
        state.order.insert(used, key);
        state.entries.insert(key, Entry { value: value.clone(), bytes, expires, used });
        state.bytes += bytes;
    }
}

impl State {
    fn remove(&mut self, key: &CacheKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.used);
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

#[async_trait]
impl CacheBackend for InMemoryCache {
    async fn get(&self, key: &CacheKey, _: &Type) -> Result<Option<Value>, CacheError> {
        Ok(self.find(key))
    }

    async fn set(&self, key: &CacheKey, entry: CacheEntry<'_>) -> Result<(), CacheError> {
        self.insert(*key, entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::key;
    use super::*;
    use crate::TokioTimer;

    fn cache(max_entries: usize, max_bytes: u64) -> InMemoryCache {
        InMemoryCache::new(max_entries, max_bytes, Arc::new(TokioTimer::new()))
    }

    fn key(number: i64) -> CacheKey {
        let policy = constellation_rehydrate::CachePolicy {
            time_to_live: Duration::ZERO,
            backend: None,
            identity: "m".into(),
        };
        key::of(&policy, &[Value::Int(number)]).unwrap()
    }

    fn put(cache: &InMemoryCache, number: i64, bytes: u64, seconds: u64) {
        let (value, time_to_live) = (Value::Int(number), Duration::from_secs(seconds));
        cache.insert(key(number), CacheEntry { value: &value, ty: &Type::Int, bytes, time_to_live });
    }

    fn kept(cache: &InMemoryCache, numbers: impl IntoIterator<Item = i64>) -> Vec<i64> {
        numbers.into_iter().filter(|number| cache.find(&key(*number)) == Some(Value::Int(*number))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_expires_by_its_own_time_to_live() {
        let cache = cache(10, 10_000);
        put(&cache, 1, 0, 1);
        put(&cache, 2, 0, 3);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(kept(&cache, 1..=2), [1, 2]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(kept(&cache, 1..=2), [2]);
        assert_eq!(cache.size(), (1, ENTRY), "an expired entry that was asked for takes no room");
        put(&cache, 2, 0, u64::MAX);
        tokio::time::advance(Duration::from_secs(1_000_000)).await;
        assert_eq!(kept(&cache, 1..=2), [2], "a new entry counts its time anew");
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_recently_used_make_room_when_there_are_too_many() {
        let cache = cache(3, 1_000_000);
        (1..=3).for_each(|number| put(&cache, number, 0, 60));
        assert_eq!(kept(&cache, [1]), [1]);
        put(&cache, 4, 0, 60);
        assert_eq!(kept(&cache, 1..=4), [1, 3, 4]);
        put(&cache, 1, 0, 60);
        assert_eq!(kept(&cache, 1..=4), [1, 3, 4], "an entry that is replaced needs no room");
        assert_eq!(cache.evicted(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_recently_used_make_room_when_they_take_too_many_bytes() {
        let cache = cache(100, 4 * ENTRY + 400);
        (1..=4).for_each(|number| put(&cache, number, 100, 60));
        assert_eq!(cache.size(), (4, 4 * ENTRY + 400));
        put(&cache, 5, 101, 60);
        assert_eq!(kept(&cache, 1..=5), [3, 4, 5]);
        put(&cache, 6, 4 * ENTRY + 200, 60);
        assert_eq!(kept(&cache, 1..=6), [3, 4, 5], "what is larger than the cache drives nothing out");
        put(&cache, 3, 4 * ENTRY + 200, 60);
        assert_eq!(kept(&cache, 1..=6), [4, 5], "and does not leave an older value in its place");
        let (entries, bytes) = cache.size();
        assert_eq!((entries, bytes), (2, 2 * ENTRY + 201));
    }
}
