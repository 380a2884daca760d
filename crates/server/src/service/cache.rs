//! What was used recently, by hash, at most so much of it.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hashbrown::DefaultHashBuilder;

/// Values that can be made again from their keys. When it is full, the least recently used tenth is dropped: whoever uses
/// a value keeps it, and making one again takes microseconds.
///
/// Time passes with each value that is put in. Whoever uses a value a second time before the next one is put in changes
/// nothing, so that those who use the same ones on several threads do not get in each other's way.
pub(crate) struct Recent<K, V> {
    capacity: usize,
    entries: papaya::HashMap<K, Entry<V>, DefaultHashBuilder>,
    /// Held while a value is put in.
    insertion: Mutex<()>,
    /// Twice the number of values that were put in, so that there is a moment in between for those who use them.
    now: AtomicU64,
}

struct Entry<V> {
    value: V,
    used: AtomicU64,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// There is room for one at least.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: papaya::HashMap::default(),
            insertion: Mutex::default(),
            now: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries.pin();
        let Entry { value, used } = entries.get(key)?;
        let now = self.now.load(Ordering::Relaxed) + 1;
        if used.load(Ordering::Relaxed) < now {
            used.store(now, Ordering::Relaxed);
        }
        Some(value.clone())
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let _turn = self.insertion.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.entries.pin();
        let now = self.now.load(Ordering::Relaxed) + 2;
        self.now.store(now, Ordering::Relaxed);
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            let mut by_use: Vec<(u64, &K)> =
                entries.iter().map(|(key, entry)| (entry.used.load(Ordering::Relaxed), key)).collect();
            // Several at once: looking for the oldest at each insertion would cost more than making one again.
            let n_dropped = (by_use.len() / 10).max(1);
            by_use.select_nth_unstable_by_key(n_dropped - 1, |(used, _)| *used);
            for (_, key) in &by_use[..n_dropped] {
                entries.remove(*key);
            }
        }
        entries.insert(key, Entry { value, used: AtomicU64::new(now) });
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_recently_is_dropped_first() {
        for capacity in [1, 2, 7, 30] {
            let recent = Recent::new(capacity);
            for number in 0..40 {
                recent.insert(number, -number);
                assert!(recent.entries.len() <= capacity);
                // The first is used all the time, so that it stays.
                assert!(capacity < 2 || recent.get(&0) == Some(0), "{capacity}");
            }
            assert_eq!(recent.get(&39), Some(-39));
            assert_eq!(recent.get(&1), None);
        }
    }

    #[test]
    fn there_is_room_again_when_all_values_were_used_at_the_same_time() {
        for capacity in [1, 7, 30] {
            let recent = Recent::new(capacity);
            for number in 0..capacity {
                recent.insert(number, ());
            }
            assert!((0..capacity).all(|number| recent.get(&number).is_some()));
            recent.insert(capacity, ());
            assert_eq!(recent.entries.len(), capacity + 1 - (capacity / 10).max(1));
            assert_eq!(recent.get(&capacity), Some(()));
        }
    }
}
