//! What was used recently, by hash, at most so much of it.

use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;

/// Values that can be made again from their keys. When it is full, the least recently used tenth is dropped: whoever uses
/// a value keeps it, and making one again takes microseconds.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    capacity: usize,
    state: Mutex<State<K, V>>,
}

#[derive(Debug)]
struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Grows with each use; stands in for the time of use.
    tick: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used: u64,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// There is room for one at least.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::new(State { entries: HashMap::new(), tick: 0 }) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tick += 1;
        let tick = state.tick;
        let entry = state.entries.get_mut(key)?;
        entry.used = tick;
        Some(entry.value.clone())
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tick += 1;
        let used = state.tick;
        if state.entries.len() >= self.capacity && !state.entries.contains_key(&key) {
            let mut times: Vec<u64> = state.entries.values().map(|entry| entry.used).collect();
            // Several at once: looking for the oldest at each insertion would cost more than making one again.
            let dropped = (times.len() / 10).max(1);
            if dropped < times.len() {
                let (_, oldest_kept, _) = times.select_nth_unstable(dropped);
                let oldest_kept = *oldest_kept;
                state.entries.retain(|_, entry| entry.used >= oldest_kept);
            } else {
                state.entries.clear();
            }
        }
        state.entries.insert(key, Entry { value, used });
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
                assert!(recent.state.lock().unwrap().entries.len() <= capacity);
                // The first is used all the time, so that it stays.
                assert!(capacity < 2 || recent.get(&0) == Some(0), "{capacity}");
            }
            assert_eq!(recent.get(&39), Some(-39));
            assert_eq!(recent.get(&1), None);
        }
    }
}
