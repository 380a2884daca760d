//! Collections made for hashes: a map whose keys are hashes already, and who refers to what.

use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Bound;
use std::sync::OnceLock;

/// For maps from the hashes of content, which are as good as any hash of them.
pub(crate) type ByOwnBytes = BuildHasherDefault<OwnBytes>;

/// Takes the first bytes of a hash as its hash.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OwnBytes(u64);

impl Hasher for OwnBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((first, _)) = bytes.split_first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length that stands before a slice is the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Pairs, looked up by the first. One ordered set of all takes a tenth of the memory of a set for each first that
/// has only one or two.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Relation<K, V>(
    /// `None` is in no pair; it is below every second, for the start of a range.
    BTreeSet<(K, Option<V>)>,
);

impl<K, V> Default for Relation<K, V> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<K: Ord + Copy, V: Ord> Relation<K, V> {
    pub(crate) fn relate(&mut self, key: K, value: V) {
        self.0.insert((key, Some(value)));
    }

    pub(crate) fn separate(&mut self, key: K, value: V) {
        self.0.remove(&(key, Some(value)));
    }

    /// The firsts beyond one, in ascending order.
    pub(crate) fn firsts_after(&self, after: Option<K>) -> impl Iterator<Item = K> + use<'_, K, V> {
        let start = after.map_or(Bound::Unbounded, |key| Bound::Included((key, None)));
        let mut last = after;
        let pairs = self.0.range((start, Bound::Unbounded));
        pairs.filter_map(move |(key, _)| (last.replace(*key) != Some(*key)).then_some(*key))
    }

    /// The seconds of a first, in ascending order.
    pub(crate) fn of(&self, key: &K) -> impl Iterator<Item = &V> + use<'_, K, V> {
        let key = *key;
        let from_there = self.0.range((key, None)..);
        from_there.take_while(move |(other, _)| *other == key).filter_map(|(_, value)| value.as_ref())
    }
}

impl<K: Ord, V: Ord> FromIterator<(K, V)> for Relation<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key, Some(value))).collect())
    }
}

/// A relation that is worked out when it is asked for first, and kept along from then on. By default nobody asked yet.
#[derive(Debug, Clone)]
pub(crate) struct Derived<K, V>(OnceLock<Relation<K, V>>);

impl<K, V> Default for Derived<K, V> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<K: Ord + Copy, V: Ord> Derived<K, V> {
    /// Nothing is related to anything.
    pub(crate) fn none() -> Self {
        Self(OnceLock::from(Relation::default()))
    }

    /// The relation, which is that of these pairs if nobody asked for it yet.
    pub(crate) fn get_or_derive<I: Iterator<Item = (K, V)>>(
        &self,
        pairs: impl FnOnce() -> I,
    ) -> &Relation<K, V> {
        self.0.get_or_init(|| pairs().collect())
    }

    /// Keeps the relation along, if it is known.
    pub(crate) fn update(&mut self, update: impl FnOnce(&mut Relation<K, V>)) {
        if let Some(relation) = self.0.get_mut() {
            update(relation);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use constellation_store_core::StructuralHash;

    use super::*;

    #[test]
    fn the_hash_of_a_hash_is_its_first_bytes() {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&0x0123_4567_89ab_cdef_u64.to_le_bytes());
        let hash = ByOwnBytes::default().hash_one(StructuralHash::from_bytes(bytes));
        assert_eq!(hash, 0x0123_4567_89ab_cdef);
    }

    #[test]
    fn the_seconds_of_a_first_are_those_of_no_other() {
        let mut relation: Relation<u8, u8> = [(2, 9), (1, 5), (2, 3), (3, 0)].into_iter().collect();
        assert_eq!(relation.of(&2).collect::<Vec<_>>(), [&3, &9]);
        assert_eq!(relation.firsts_after(None).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(relation.firsts_after(Some(2)).collect::<Vec<_>>(), [3]);
        relation.separate(2, 9);
        relation.relate(0, 1);
        assert_eq!(relation.of(&2).collect::<Vec<_>>(), [&3]);
        assert_eq!(relation.of(&4).count(), 0);
        assert_eq!([0, 1, 3].map(|key| relation.of(&key).next().copied()), [Some(1), Some(5), Some(0)]);
    }
}
