//! Crashes, enumerated: at every moment of a run, with every part of what was not durable kept, lost or torn, and
//! again while recovering.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use constellation_store_fs::verify::{VerifyOptions, verify};
use constellation_store_fs::vfs::{Fate, ModelVfs, Pending};

use super::workloads::{ALIASES, Base, DOCUMENT, Run, Setup, Step, run};
use super::{content, describe_content, fingerprint, json_files_alone};

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

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workloads, moments, states, trees, recoveries } = self;
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} workloads, {} crash points, {} states, {} distinct trees, {} recoveries",
            count(workloads),
            count(moments),
            count(states),
            count(trees),
            count(recoveries)
        )
    }
}

type Key = blake3::Hash;

/// The crashes of many runs. Many crashes leave the same tree, so what trees were found to hold is kept. Threads
/// share it.
#[derive(Debug)]
pub(crate) struct Crashes {
    setup: Setup,
    depth: Depth,
    pub(crate) counts: Counts,
    /// What a tree holds, and how many crashes in its recovery were followed.
    known: Mutex<HashMap<Key, (Key, usize)>>,
}

impl Crashes {
    pub(crate) fn new(setup: Setup, depth: Depth) -> Self {
        Self { setup, depth, counts: Counts::default(), known: Mutex::default() }
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
        for (moment, tree) in run.vfs.moments().into_iter().enumerate().skip(from) {
            count(&self.counts.moments);
            let last = acknowledged.iter().rposition(|known| known.moment <= moment).unwrap();
            // What is under way: one commit, or the frames of a batch, which are acknowledged together.
            let next = acknowledged.get(last + 1).map_or(0, |known| known.moment);
            let under_way = acknowledged[last + 1..].iter().take_while(|known| known.moment == next);
            let allowed: Vec<_> = acknowledged[last..=last]
                .iter()
                .chain(under_way)
                .map(|known| blake3::hash(known.content.as_bytes()))
                .collect();
            for fates in fates(&tree.pending()) {
                count(&self.counts.states);
                let crashed = tree.crash(&fates);
                let told = Told { steps, moment, fates: &fates };
                let recovered = self.recover(&crashed, self.depth.crashes, &told);
                assert!(
                    allowed.contains(&recovered),
                    "{told}: what is recovered is\n{}\ninstead of\n{}",
                    content(&self.setup.open(&crashed.copy())),
                    acknowledged[last].content,
                );
            }
        }
    }

    /// Recovers a tree, checks everything that must hold whatever was done to it, and tells what it holds.
    fn recover(&self, tree: &ModelVfs, crashes: usize, told: &Told<'_>) -> Key {
        let key = key(tree);
        let known = self.known.lock().unwrap().get(&key).copied();
        if let Some((content, followed)) = known
            && followed >= crashes
        {
            return content;
        }
        if known.is_none() {
            count(&self.counts.trees);
        }
        let number = count(&self.counts.recoveries);
        let first = tree.copy();
        let is_followed = crashes > 0 && number.is_multiple_of(self.depth.stride);
        if is_followed {
            first.record();
        }
        let mut core = self.setup.open(&first);
        let recovered = content(&core);
        let mut warnings = core.shared().status().warnings;
        // What is to be mended may be told.
        let is_repaired = told.steps.contains(&Step::Repair);
        warnings.retain(|warning| !(is_repaired && warning.contains(ALIASES)));
        assert_eq!(warnings, [""; 0], "{told}: a crash is no damage");
        let left = first.files().into_keys().find(|path| path.contains(".tmp-"));
        assert_eq!(left, None, "{told}: temporary files are swept");
        let hash = blake3::hash(recovered.as_bytes());
        if is_followed {
            // A crash while recovering, and one right after it.
            for (moment, tree) in first.moments().into_iter().enumerate() {
                let pending = tree.pending();
                let every = if self.depth.is_exhaustive {
                    fates(&pending)
                } else {
                    vec![vec![Fate::Lose; pending.len()], vec![Fate::Keep; pending.len()]]
                };
                for fates in every {
                    count(&self.counts.states);
                    let again = self.recover(&tree.crash(&fates), crashes - 1, told);
                    assert_eq!(
                        again, hash,
                        "{told}, and while recovering at moment {moment} with {fates:?}: recovery is not \
                         repeatable"
                    );
                }
            }
            // The files are what the state is.
            core.close().unwrap();
            let left = first.files().into_keys().find(|path| path.starts_with("journal/"));
            assert_eq!(left, None, "{told}: a closed store has no frames");
            let alone = self.setup.open(&json_files_alone(&first));
            let expected = recovered.split_once('\n').unwrap().1;
            assert_eq!(describe_content(&alone), expected, "{told}: the JSON files alone are the store");
            assert_eq!(alone.shared().status().warnings, [""; 0], "{told}");
            // Not again for each crash while recovering, which takes long.
            if crashes == self.depth.crashes {
                let report = verify(&*self.setup.vfs(&first), VerifyOptions::default()).unwrap();
                let mut findings = report.findings;
                findings.retain(|finding| !(is_repaired && finding.path == DOCUMENT));
                assert_eq!(findings, [], "{told}: a closed store is sound");
            }
        }
        // One that was not chosen counts as followed, or it would be tried again and again.
        self.known.lock().unwrap().insert(key, (hash, crashes));
        hash
    }
}

fn count(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

fn key(tree: &ModelVfs) -> Key {
    let mut hasher = blake3::Hasher::new();
    for (path, bytes) in fingerprint(tree) {
        for part in [path.as_bytes(), &bytes] {
            hasher.update(&part.len().to_le_bytes()).update(part);
        }
    }
    hasher.finalize()
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
