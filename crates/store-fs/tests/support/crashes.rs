//! Crashes, enumerated: at every moment of a run, with every part of what was not durable kept, lost or torn, and
//! again while recovering.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use constellation_store_fs::verify::{VerifyOptions, verify};
use constellation_store_fs::vfs::{Fate, Left, ModelVfs, Pending, Vfs as _, View, key_of};

use super::workloads::{ALIASES, Base, DOCUMENT, Run, Setup, Step, run};
use super::{content, describe_content, json_files_alone, without_random_ids};

/// With so few parts that are not durable, all subsets are tried.
const EXHAUSTIVE: usize = 5;

/// What may become of what was not durable: everything for few parts; else nothing, everything, every prefix, and
/// each part alone lost and alone kept. Torn writes in addition.
pub(crate) fn fates(pending: &[Pending]) -> Vec<Vec<Fate>> {
    let count = pending.len();
    let mut fates = Vec::new();
    if count <= EXHAUSTIVE {
        for subset in 0..1_usize << count {
            let fate = |place| if subset >> place & 1 == 1 { Fate::Keep } else { Fate::Lose };
            fates.push((0..count).map(fate).collect());
        }
    } else {
        for cut in 0..=count {
            let fate = |place| if place < cut { Fate::Keep } else { Fate::Lose };
            fates.push((0..count).map(fate).collect());
        }
        for single in 0..count {
            let alone = |place, a, b| if place == single { a } else { b };
            fates.push((0..count).map(|place| alone(place, Fate::Keep, Fate::Lose)).collect());
            fates.push((0..count).map(|place| alone(place, Fate::Lose, Fate::Keep)).collect());
        }
    }
    for (place, part) in pending.iter().enumerate() {
        if let Pending::Write(length) = part {
            for torn in [
                Fate::Torn(0),
                Fate::Torn(1),
                Fate::Torn(length / 2),
                Fate::Torn(length - 1),
                Fate::Short(1),
                Fate::Short(length / 2),
                Fate::Short(length - 1),
            ] {
                let mut all = vec![Fate::Keep; count];
                all[place] = torn;
                fates.push(all);
            }
        }
    }
    fates
}

/// How far crashes in recovery are followed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    /// How many crashes follow one another in recovery.
    pub(crate) crashes: usize,
    /// They are tried for one in so many trees, and so is what the JSON files are afterwards.
    pub(crate) stride: usize,
    /// Whether every part of what recovery did not make durable is kept, lost or torn; otherwise all or nothing.
    pub(crate) is_exhaustive: bool,
}

/// How much was tried.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) workloads: AtomicUsize,
    pub(crate) moments: AtomicUsize,
    pub(crate) states: AtomicUsize,
    pub(crate) trees: AtomicUsize,
    pub(crate) recoveries: AtomicUsize,
}

impl Counts {
    pub(crate) fn tried(&self) -> Tried {
        let Self { workloads, moments, states, trees, recoveries } = self;
        Tried([workloads, moments, states, trees, recoveries].map(|counter| counter.load(Ordering::Relaxed)))
    }
}

/// How much was tried at a moment: workloads, crash points, states, distinct trees and recoveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tried([usize; 5]);

impl Tried {
    pub(crate) fn of(counts: [usize; 5]) -> Self {
        Self(counts)
    }

    pub(crate) fn counts(self) -> [usize; 5] {
        self.0
    }
}

impl Add for Tried {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|place| self.0[place] + other.0[place]))
    }
}

impl Sub for Tried {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|place| self.0[place] - other.0[place]))
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [workloads, moments, states, trees, recoveries] = self.0;
        write!(
            f,
            "{workloads} workloads, {moments} crash points, {states} states, {trees} distinct trees, \
             {recoveries} recoveries"
        )
    }
}

/// What a tree was found to hold.
#[derive(Debug, Clone, Copy)]
struct Known {
    content: ContentId,
    /// How many crashes in its recovery were followed.
    followed: u8,
    /// Whether its recovery told of what a [`Step::Repair`] damages.
    is_warned: bool,
}

/// Stands for what a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ContentId(u32);

/// What is known of trees. Threads share it.
#[derive(Debug, Default)]
struct Memory {
    trees: HashMap<Key, Known>,
    /// What JSON files alone hold.
    alone: HashMap<Key, ContentId>,
    contents: HashMap<blake3::Hash, ContentId>,
}

impl Memory {
    fn content(&mut self, text: &str) -> ContentId {
        let next = u32::try_from(self.contents.len()).unwrap();
        *self.contents.entry(blake3::hash(text.as_bytes())).or_insert(ContentId(next))
    }
}

/// The crashes of many runs. Many crashes leave the same tree, so what trees were found to hold is kept.
#[derive(Debug)]
pub(crate) struct Crashes {
    setup: Setup,
    depth: Depth,
    pub(crate) counts: Counts,
    memory: Mutex<Memory>,
}

impl Crashes {
    pub(crate) fn new(setup: Setup, depth: Depth) -> Self {
        Self { setup, depth, counts: Counts::default(), memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// Runs a workload, and crashes it everywhere.
    pub(crate) fn try_all(&self, base: &Base, steps: &[Step]) {
        let run = run(self.setup, base, steps);
        self.check(steps, &run, 0);
    }

    /// Runs a workload, and crashes it everywhere in its last step: the others are the workload without it.
    pub(crate) fn try_last(&self, base: &Base, steps: &[Step]) {
        let run = run(self.setup, base, steps);
        self.check(steps, &run, run.last_step);
    }

    /// Checks that every acknowledged commit is there, and no other but the one under way.
    pub(crate) fn check(&self, steps: &[Step], run: &Run, from: usize) {
        count(&self.counts.workloads);
        let acknowledged = &run.acknowledged;
        let mut names = Names::default();
        let mut seen = HashMap::new();
        for (moment, tree) in run.vfs.moments().into_iter().enumerate().skip(from) {
            count(&self.counts.moments);
            let last = acknowledged.iter().rposition(|known| known.moment <= moment).unwrap();
            // What is under way: one commit, or the frames of a batch, which are acknowledged together.
            let next = acknowledged.get(last + 1).map_or(0, |known| known.moment);
            let under_way = acknowledged[last + 1..].iter().take_while(|known| known.moment == next);
            let allowed: Vec<_> = {
                let mut memory = self.memory();
                let allowed = acknowledged[last..=last].iter().chain(under_way);
                allowed.map(|known| memory.content(&known.content)).collect()
            };
            for (key, fates) in names.left(&tree, fates(&tree.pending())) {
                count(&self.counts.states);
                let told = Told { steps, moment, fates: &fates };
                let recovered = *seen
                    .entry(key)
                    .or_insert_with(|| self.recover(key, &tree, &fates, self.depth.crashes, &told));
                assert!(
                    allowed.contains(&recovered),
                    "{told}: what is recovered is\n{}\ninstead of\n{}",
                    content(&self.setup.open(&tree.crash(&fates))),
                    acknowledged[last].content,
                );
            }
        }
    }

    /// Recovers what a crash leaves, checks everything that must hold whatever was done before, and tells what it
    /// holds.
    fn recover(
        &self,
        key: Key,
        tree: &ModelVfs,
        fates: &[Fate],
        crashes: usize,
        told: &Told<'_>,
    ) -> ContentId {
        let is_repaired = told.steps.contains(&Step::Repair);
        let known = self.memory().trees.get(&key).copied();
        if let Some(Known { content, followed, is_warned }) = known
            && usize::from(followed) >= crashes
        {
            assert!(is_repaired || !is_warned, "{told}: a crash is no damage");
            return content;
        }
        if known.is_none() {
            count(&self.counts.trees);
        }
        let number = count(&self.counts.recoveries);
        let first = tree.crash(fates);
        first.forbid_reading(VIEW);
        let is_followed = crashes > 0 && number.is_multiple_of(self.depth.stride);
        if is_followed {
            first.record();
        }
        let mut core = self.setup.open(&first);
        let text = content(&core);
        let mut warnings = core.shared().status().warnings;
        let n_warnings = warnings.len();
        // What is to be mended may be told.
        warnings.retain(|warning| !(is_repaired && warning.contains(ALIASES)));
        let is_warned = warnings.len() < n_warnings;
        assert_eq!(warnings, [""; 0], "{told}: a crash is no damage");
        let left = first.paths().into_iter().find(|path| path.contains(".tmp-"));
        assert_eq!(left, None, "{told}: temporary files are swept");
        let recovered = self.memory().content(&text);
        if is_followed {
            self.follow(&first, recovered, crashes, told);
            core.close().unwrap();
            self.check_closed(&first, &text, crashes, told);
        }
        // One that was not chosen counts as followed, or it would be tried again and again.
        let followed = u8::try_from(crashes).unwrap();
        self.memory().trees.insert(key, Known { content: recovered, followed, is_warned });
        recovered
    }

    /// A crash at every moment of a recovery, and one right after it, ends in the same content.
    fn follow(&self, recovery: &ModelVfs, recovered: ContentId, crashes: usize, told: &Told<'_>) {
        let mut names = Names::default();
        let mut seen = HashSet::new();
        for (moment, tree) in recovery.moments().into_iter().enumerate() {
            let pending = tree.pending();
            let every = if self.depth.is_exhaustive {
                fates(&pending)
            } else {
                vec![vec![Fate::Lose; pending.len()], vec![Fate::Keep; pending.len()]]
            };
            for (key, fates) in names.left(&tree, every) {
                count(&self.counts.states);
                if !seen.insert(key) {
                    continue;
                }
                let again = self.recover(key, &tree, &fates, crashes - 1, told);
                assert_eq!(
                    again, recovered,
                    "{told}, and while recovering at moment {moment} with {fates:?}: recovery is not repeatable"
                );
            }
        }
    }

    /// The files of a store that was closed are what it held.
    fn check_closed(&self, closed: &ModelVfs, content: &str, crashes: usize, told: &Told<'_>) {
        let left = closed.paths().into_iter().find(|path| path.starts_with("journal/"));
        assert_eq!(left, None, "{told}: a closed store has no frames");
        let alone = json_files_alone(closed);
        let key = Key::new(alone.keys(VIEW).after(&[]).key);
        let known = self.memory().alone.get(&key).copied();
        let expected = content.split_once('\n').unwrap().1;
        if known.is_none_or(|known| known != self.memory().content(expected)) {
            let core = self.setup.open(&alone);
            assert_eq!(describe_content(&core), expected, "{told}: the JSON files alone are the store");
            assert_eq!(core.shared().status().warnings, [""; 0], "{told}");
            let mut memory = self.memory();
            let content = memory.content(expected);
            memory.alone.insert(key, content);
        }
        // Not again for each crash while recovering, which takes long.
        if crashes == self.depth.crashes {
            let report = verify(&*self.setup.vfs(closed), VerifyOptions::default()).unwrap();
            let mut findings = report.findings;
            let is_repaired = told.steps.contains(&Step::Repair);
            findings.retain(|finding| !(is_repaired && finding.path == DOCUMENT));
            assert_eq!(findings, [], "{told}: a closed store is sound");
        }
    }
}

fn count(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

/// A tree, but for what is random in it and for what nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u64; 2]);

impl Key {
    fn new(key: u128) -> Self {
        // In halves, which take less room in a map.
        let (high, low) = ((key >> 64).try_into().unwrap(), (key & u128::from(u64::MAX)).try_into().unwrap());
        Self([high, low])
    }
}

/// The content of unfinished files is swept and never read, which each recovery checks. So what it is makes no
/// difference to a recovery, nor to what a crash in that leaves: the same calls are made, and get the same answers.
///
/// A catalogue is believed if the stamps are those that it tells, so which files there are matters beside what is in
/// them.
const VIEW: View = View {
    apart: ["store.json", "pack/catalogue"],
    is_unread: |path| path.contains(".tmp-"),
    is_stamped: |path| {
        let stamped = ["images/", "sources/", "versions/", "aliases.json", "syntactic-index.json"];
        stamped.iter().any(|start| path.starts_with(start))
    },
};

/// Tells trees of one run apart. What has random ids in it is looked at once.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<[Option<u128>; 2], u128>);

impl Names {
    /// The keys of what crashes leave, each with what became of what was not durable.
    pub(crate) fn left(
        &mut self,
        tree: &ModelVfs,
        every: Vec<Vec<Fate>>,
    ) -> impl Iterator<Item = (Key, Vec<Fate>)> {
        let keys = tree.keys(VIEW);
        every.into_iter().map(move |fates| {
            let Left { key, apart } = keys.after(&fates);
            let apart = *self.0.entry(apart).or_insert_with(|| {
                let left = tree.crash(&fates);
                let [manifest, catalogue] = VIEW.apart.map(|path| left.read(path, u64::MAX).ok());
                key_of_random(manifest, catalogue)
            });
            (Key::new(key.wrapping_add(apart)), fates)
        })
    }
}

/// What crashes leave, each tree once.
#[derive(Debug, Default)]
pub(crate) struct Distinct(HashSet<Key>);

impl Distinct {
    /// Checks what crashes at any moment of a run leave, unless it was checked before.
    pub(crate) fn check(&mut self, run: &ModelVfs, check: impl Fn(&ModelVfs)) {
        let mut names = Names::default();
        for tree in run.moments() {
            for (key, fates) in names.left(&tree, fates(&tree.pending())) {
                if self.0.insert(key) {
                    let left = tree.crash(&fates);
                    left.forbid_reading(VIEW);
                    check(&left);
                }
            }
        }
    }
}

fn key_of_random(mut manifest: Option<Vec<u8>>, mut catalogue: Option<Vec<u8>>) -> u128 {
    without_random_ids(&mut manifest, &mut catalogue);
    let mut bytes = Vec::new();
    for part in [manifest, catalogue] {
        bytes.push(u8::from(part.is_some()));
        let part = part.unwrap_or_default();
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part);
    }
    key_of(&bytes)
}

/// Where a crash was.
struct Told<'a> {
    steps: &'a [Step],
    moment: usize,
    fates: &'a [Fate],
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, moment, fates } = self;
        write!(f, "in {steps:?}, a crash at moment {moment} with {fates:?}")
    }
}
