//! Keys of what crashes leave, without the trees themselves: most crashes leave a tree that another one left, too.
//!
//! The key of a tree is the sum of the products of the hashes of each path and what it leads to. The hashes of paths
//! are odd, so that two trees that differ in one file have different keys if the hashes of its contents differ, and
//! with any other difference keys are the same no more often than those of a random function.

use std::collections::BTreeMap;

use super::Fate;
use super::tree::{Entries, EntryChange, Path, Tree, hash};
use crate::vfs::parent;

/// What is the same to whoever compares trees.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Files that are no part of the key: the hashes of their contents are told beside it.
    pub apart: [&'static str; 2],
    /// Whether nobody reads the content of a file with this path, so that only its path is a part of the key. See
    /// [`ModelVfs::forbid_reading`](super::ModelVfs::forbid_reading).
    pub is_unread: fn(&str) -> bool,
    /// Whether somebody looks at the stamp of a file with this path, or of its directory, so that it is another one
    /// when it has the same content and was written anew.
    pub is_stamped: fn(&str) -> bool,
}

/// What a crash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Left {
    /// The key of everything but the files that are told apart.
    pub key: u128,
    /// The hashes of the contents of those files, where they are there.
    pub apart: [Option<u128>; 2],
}

/// The keys of what crashes of one tree leave.
#[derive(Debug)]
pub struct Keys {
    tree: Tree,
    view: View,
    /// The files of which something is pending, and how much.
    unsettled: Vec<(u64, usize)>,
    n_data: usize,
    /// The entries when no pending change of an entry is kept.
    entries: Entries,
    sum: Sum,
    /// Whether a directory may come, go or be moved, and other entries with it.
    changes_directories: bool,
}

/// The parts of a key that do not depend on the fates of data.
#[derive(Debug, Clone, Default)]
struct Sum {
    settled: u128,
    /// Factors of files of which something is pending.
    unsettled: Vec<(u128, u64)>,
    apart: [Option<u64>; 2],
}

/// How an entry is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    In,
    Out,
}

impl Keys {
    pub(super) fn new(tree: Tree, view: View) -> Self {
        let pending = tree.files.iter().map(|(file, data)| (*file, data.pending.len()));
        let unsettled: Vec<_> = pending.filter(|(_, n_pending)| *n_pending > 0).collect();
        let n_data = unsettled.iter().map(|(_, n_pending)| n_pending).sum();
        let changes_directories = tree.pending.iter().any(|change| match change {
            EntryChange::Set { path: _, target } | EntryChange::Rename { target, .. } => target.is_none(),
            EntryChange::Remove { path } => {
                [&tree.durable, &tree.live].iter().any(|entries| entries.get(path) == Some(&None))
            }
        });
        let entries = tree.durable_entries();
        let mut keys =
            Self { tree, view, unsettled, n_data, entries, sum: Sum::default(), changes_directories };
        keys.sum = keys.sum_of(&keys.entries);
        keys
    }

    /// The key of what a crash leaves. There is a fate for each [`ModelVfs::pending`](super::ModelVfs::pending).
    pub fn after(&self, fates: &[Fate]) -> Left {
        let (of_data, of_entries) = fates.split_at(self.n_data);
        let changed;
        let sum = if of_entries.iter().all(|fate| *fate == Fate::Lose) {
            &self.sum
        } else if self.changes_directories {
            changed = self.sum_of(&self.tree.entries_after(of_entries));
            &changed
        } else {
            changed = self.sum_with(of_entries);
            &changed
        };
        let hash = |file: u64| {
            let mut before = 0;
            for (unsettled, n_pending) in &self.unsettled {
                if *unsettled == file {
                    return self.tree.files[&file].hash_after(&of_data[before..before + n_pending]);
                }
                before += n_pending;
            }
            self.tree.files[&file].durable.hash()
        };
        let unsettled = sum.unsettled.iter().map(|(factor, file)| factor.wrapping_mul(hash(*file)));
        Left {
            key: unsettled.fold(sum.settled, u128::wrapping_add),
            apart: sum.apart.map(|file| file.map(hash)),
        }
    }

    fn sum_of(&self, entries: &BTreeMap<Path, Option<u64>>) -> Sum {
        let mut sum = Sum::default();
        for (path, target) in entries {
            self.count(&mut sum, path, *target, Count::In);
        }
        sum
    }

    /// The sum where no directory changes: that without the changes, and what differs from it.
    fn sum_with(&self, fates: &[Fate]) -> Sum {
        let mut changed: Vec<(&Path, Option<Option<u64>>)> = Vec::with_capacity(2 * fates.len());
        for (change, fate) in self.tree.pending.iter().zip(fates) {
            if *fate == Fate::Lose {
                continue;
            }
            let (leaving, coming) = match change {
                EntryChange::Set { path, target } => (None, Some((path, Some(*target)))),
                EntryChange::Remove { path } => (None, Some((path, None))),
                EntryChange::Rename { from, to, target } => {
                    let earlier = changed.iter().find(|(path, _)| *path == from).map(|(_, target)| *target);
                    let found = earlier.unwrap_or_else(|| self.tree.durable.get(from).copied());
                    ((found == Some(*target)).then_some((from, None)), Some((to, Some(*target))))
                }
            };
            for (path, target) in leaving.into_iter().chain(coming) {
                match changed.iter_mut().find(|(earlier, _)| *earlier == path) {
                    Some((_, earlier)) => *earlier = target,
                    None => changed.push((path, target)),
                }
            }
        }
        let mut sum = self.sum.clone();
        for (path, target) in changed {
            if let Some(before) = self.entries.get(path) {
                self.count(&mut sum, path, *before, Count::Out);
            }
            let directory = parent(path.as_str());
            let is_reachable = directory.is_empty() || self.entries.get(directory) == Some(&None);
            if let Some(target) = target.filter(|_| is_reachable) {
                self.count(&mut sum, path, target, Count::In);
            }
        }
        sum
    }

    fn count(&self, sum: &mut Sum, path: &Path, target: Option<u64>, count: Count) {
        const DIRECTORY: u128 = u128::from_le_bytes(*b"it is a director");
        const UNREAD: u128 = u128::from_le_bytes(*b"nobody reads it.");
        const STAMP: u128 = u128::from_le_bytes(*b"which file it is");
        let is_in = count == Count::In;
        if let Some(place) = self.view.apart.iter().position(|apart| *apart == path.as_str()) {
            sum.apart[place] = target.filter(|_| is_in);
            return;
        }
        // Odd.
        let factor = path.hash() | 1;
        let factor = if is_in { factor } else { factor.wrapping_neg() };
        if let Some(file) = target.filter(|_| (self.view.is_stamped)(path.as_str())) {
            let stamp = u128::from(file).wrapping_mul(STAMP);
            sum.settled = sum.settled.wrapping_add(factor.wrapping_mul(stamp));
        }
        let settled = match target {
            None => DIRECTORY,
            Some(_) if (self.view.is_unread)(path.as_str()) => UNREAD,
            Some(file) => {
                let data = &self.tree.files[&file];
                if !data.pending.is_empty() {
                    sum.unsettled.push((factor, file));
                    return;
                }
                data.durable.hash()
            }
        };
        sum.settled = sum.settled.wrapping_add(factor.wrapping_mul(settled));
    }
}

/// The part of a key that bytes are which are told apart.
pub fn key_of(bytes: &[u8]) -> u128 {
    hash(bytes)
}
