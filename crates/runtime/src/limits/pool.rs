//! Things that calls share, made when they are first asked for.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Below this many things nobody looks for those that are idle.
const FEW: usize = 64;

/// More things that nobody uses are not kept, whatever they know.
const MAX_UNUSED: usize = 4096;

/// Things by key. Those that are not in use and idle, so that a new one would do as well, are dropped now and then.
#[derive(Debug)]
pub(super) struct Pool<K, T>(Mutex<Things<K, T>>);

#[derive(Debug)]
struct Things<K, T> {
    by_key: HashMap<K, Arc<T>>,
    /// How many there are when idle ones are looked for.
    sweep_at: usize,
}

impl<K, T> Default for Pool<K, T> {
    fn default() -> Self {
        Self(Mutex::new(Things { by_key: HashMap::new(), sweep_at: FEW }))
    }
}

impl<K: Eq + Hash, T> Pool<K, T> {
    /// The thing at a key, which is in use until what is returned is dropped.
    pub(super) fn get(&self, key: K, make: impl FnOnce() -> T, is_idle: impl Fn(&T) -> bool) -> Arc<T> {
        let mut things = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = things.by_key.get(&key) {
            return Arc::clone(known);
        }
        if things.by_key.len() >= things.sweep_at {
            let is_used = |thing: &Arc<T>| Arc::strong_count(thing) > 1;
            things.by_key.retain(|_, thing| is_used(thing) || !is_idle(thing));
            if things.by_key.len() >= MAX_UNUSED {
                things.by_key.retain(|_, thing| is_used(thing));
            }
            things.sweep_at = (2 * things.by_key.len()).max(FEW);
        }
        let thing = Arc::new(make());
        things.by_key.insert(key, Arc::clone(&thing));
        thing
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap().by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_things_are_dropped_and_those_in_use_or_busy_are_not() {
        let pool: Pool<usize, bool> = Pool::default();
        let held = pool.get(0, || true, |idle| *idle);
        let _ = pool.get(1, || false, |idle| *idle);
        for key in 2..10_000 {
            let _ = pool.get(key, || true, |idle| *idle);
        }
        assert!(pool.len() <= 2 * FEW, "{}", pool.len());
        assert!(Arc::ptr_eq(&held, &pool.get(0, || false, |idle| *idle)));
        assert!(!*pool.get(1, || true, |idle| *idle), "what is not idle is kept");
    }

    #[test]
    fn things_that_are_never_idle_are_bounded_too() {
        let pool: Pool<usize, ()> = Pool::default();
        let held: Vec<_> = (0..10).map(|key| pool.get(key, || (), |()| false)).collect();
        for key in 10..100_000 {
            let _ = pool.get(key, || (), |()| false);
        }
        assert!(pool.len() <= 2 * MAX_UNUSED, "{}", pool.len());
        for (key, held) in held.iter().enumerate() {
            assert!(Arc::ptr_eq(held, &pool.get(key, || (), |()| false)));
        }
    }
}
