//! Damage in the keys of `syntactic-index.json`.
//!
//! A key is two hashes, and nothing in the file says that it is right. But two hashes that differ in a few bits only
//! do not occur: whatever is so near to a key that should be there was that key.

use std::collections::BTreeMap;

use constellation_store_core::{RegistryHash, SyntacticHash, SyntacticKey};

/// Up to how many bits of a hash may differ from the right one. Of two hashes half of the 256 bits differ.
const NEAR_BITS: u32 = 16;
/// How many bytes of a hash are looked up together.
const BLOCK_BYTES: usize = 8;

/// The keys that are right.
#[derive(Debug, Default)]
pub(super) struct Expected {
    keys: BTreeMap<SyntacticHash, Option<RegistryHash>>,
    /// Hashes by parts of them, so that one with damage in another part is found.
    blocks: BTreeMap<(usize, [u8; BLOCK_BYTES]), Vec<SyntacticHash>>,
}

impl Expected {
    /// Adds a key of which only the first half is known.
    pub(super) fn add_syntactic(&mut self, syntactic: SyntacticHash) {
        if self.keys.insert(syntactic, None).is_none() {
            for block in blocks(syntactic.as_bytes()) {
                self.blocks.entry(block).or_default().push(syntactic);
            }
        }
    }

    /// Adds a key.
    pub(super) fn add(&mut self, key: &SyntacticKey) {
        if !self.keys.contains_key(&key.syntactic) {
            self.add_syntactic(key.syntactic);
        }
        self.keys.insert(key.syntactic, Some(key.registry));
    }

    /// What a key must have been, if it is damaged.
    pub(super) fn original_of(&self, key: &SyntacticKey) -> Option<SyntacticKey> {
        match self.keys.get(&key.syntactic) {
            Some(Some(registry)) => is_near(registry.as_bytes(), key.registry.as_bytes())
                .then_some(SyntacticKey { syntactic: key.syntactic, registry: *registry }),
            Some(None) => None,
            None => {
                let candidates = blocks(key.syntactic.as_bytes()).filter_map(|block| self.blocks.get(&block));
                let mut candidates = candidates.flatten();
                let syntactic =
                    *candidates.find(|known| is_near(known.as_bytes(), key.syntactic.as_bytes()))?;
                Some(SyntacticKey { syntactic, registry: key.registry })
            }
        }
    }
}

fn blocks(hash: &[u8; 32]) -> impl Iterator<Item = (usize, [u8; BLOCK_BYTES])> {
    hash.chunks_exact(BLOCK_BYTES)
        .map(|block| block.try_into().expect("a chunk is as long as asked for"))
        .enumerate()
}

/// Whether two hashes differ, but in a few bits only.
fn is_near(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let distance: u32 = a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum();
    (1..=NEAR_BITS).contains(&distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SyntacticKey {
        SyntacticKey {
            syntactic: SyntacticHash::of_bytes(text.as_bytes()),
            registry: RegistryHash::of_bytes(b"registry"),
        }
    }

    #[test]
    fn every_changed_bit_of_a_key_is_told_and_other_keys_are_not() {
        let mut expected = Expected::default();
        for text in ["a", "b", "c"] {
            expected.add(&key(text));
        }
        expected.add_syntactic(SyntacticHash::of_bytes(b"half"));
        for bit in 0..256 {
            let flip = |mut bytes: [u8; 32]| {
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes
            };
            let syntactic = SyntacticHash::from_bytes(flip(*key("b").syntactic.as_bytes()));
            let registry = RegistryHash::from_bytes(flip(*key("b").registry.as_bytes()));
            for damaged in [SyntacticKey { syntactic, ..key("b") }, SyntacticKey { registry, ..key("b") }] {
                assert_eq!(expected.original_of(&damaged), Some(key("b")), "bit {bit}");
            }
            let half = flip(*SyntacticHash::of_bytes(b"half").as_bytes());
            let damaged = SyntacticKey { syntactic: SyntacticHash::from_bytes(half), ..key("b") };
            assert!(expected.original_of(&damaged).is_some(), "bit {bit}");
        }
        let of_other_modules = SyntacticKey { registry: RegistryHash::of_bytes(b"older"), ..key("b") };
        for sound in [key("a"), key("unknown"), of_other_modules] {
            assert_eq!(expected.original_of(&sound), None);
        }
    }
}
