//! Random commits, compared with a model after each.

use std::sync::Arc;

use super::content::Content;
use super::fixtures::{
    SOURCES, delete, image, image_of, index, key, malformed_image, mismatched_image, name, prune, put,
    put_source, record_from, remove, set_active,
};
use super::model::Model;
use super::{Place, Store, case_list};
use crate::{Commit, Operation, Origin, PipelineImage, PipelineName, Precondition};

case_list![random_commits_do_what_a_model_does];

/// Commits of a run. A store that syncs each of them to a disk takes some seconds for it.
const COMMITS: u64 = 400;

async fn random_commits_do_what_a_model_does(store: Store) {
    let mut run = Run::new(1);
    for number in 0..COMMITS {
        run.step(&store).await;
        if number % 4 == 0 {
            run.model.check(&Content::of(&*store).await);
        }
    }
    run.model.check(&Content::of(&*store).await);
}

/// The same, with the store opened again now and then, closed or not.
pub(super) async fn random_commits_survive_reopening(place: Place) {
    let mut run = Run::new(2);
    let mut store = place.open().await;
    for _ in 0..COMMITS {
        run.step(&store).await;
        if run.random.below(20) == 0 {
            let before = Content::of(&*store).await;
            if run.random.below(2) == 0 {
                store.close().await.unwrap();
            }
            drop(store);
            store = place.open().await;
            let after = Content::of(&*store).await;
            assert_eq!(after, before);
            run.model.check(&after);
        }
    }
}

struct Run {
    random: Random,
    model: Model,
    universe: Universe,
}

/// Few things, so that commits meet.
struct Universe {
    names: Vec<PipelineName>,
    images: Vec<Arc<PipelineImage>>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut images: Vec<_> = (0..4).map(image).collect();
        images.extend([image_of(4, SOURCES[0]), image_of(5, SOURCES[0]), image_of(6, SOURCES[1])]);
        let universe = Universe { names: ["a", "A", "a/b", "c"].map(name).to_vec(), images };
        Self { random: Random(seed), model: Model::default(), universe }
    }

    async fn step(&mut self, store: &Store) {
        let commit = self.universe.commit(&mut self.random, &self.model);
        let before = self.model.clone();
        let latest = store.status().await.unwrap().revision;
        let expected = self.model.commit(&commit);
        let text = format!("{commit:?}");
        let invalid = commit.operations.iter().find_map(|operation| match operation {
            Operation::PutImage(image) => image.verify().err().map(|error| error.kind()),
            _ => None,
        });
        match (expected, store.commit(commit).await) {
            (Ok(expected), Ok(committed)) => {
                assert_eq!(committed.outcomes, expected, "{text}");
                if before == self.model {
                    // What is put and removed again in one commit may take a revision.
                    assert!(committed.revision >= latest, "{text}");
                } else {
                    assert!(committed.revision > latest, "{text}");
                }
            }
            (Err(expected), Err(error)) => {
                // Images may be checked before anything else.
                let kind = error.kind();
                assert!(
                    kind == expected || Some(kind) == invalid,
                    "expected {expected}, got {error}: {text}"
                );
            }
            (expected, committed) => panic!("expected {expected:?}, got {committed:?} for {text}"),
        }
    }
}

impl Universe {
    /// A commit that holds more often than not: one that fails changes nothing, and finds little.
    fn commit(&self, random: &mut Random, model: &Model) -> Commit {
        let mut commit = Commit::new();
        if random.below(4) == 0 {
            let name = random.pick(&self.names);
            let precondition = match (random.below(6), model.active(name)) {
                (0, _) => Precondition::Any,
                (1, _) => Precondition::Absent,
                (2, _) | (_, None) => Precondition::Active(random.below(12)),
                (_, Some(active)) => Precondition::Active(active.version),
            };
            commit = commit.require(name.clone(), precondition);
        }
        for _ in 0..=random.below(5) {
            commit = commit.then(self.operation(random, model));
        }
        commit
    }

    fn operation(&self, random: &mut Random, model: &Model) -> Operation {
        let name = random.pick(&self.names);
        let image = random.pick(&self.images);
        let source = *random.pick(&SOURCES);
        match random.below(40) {
            0..=9 => put(image),
            10..=12 => put_source(source),
            13..=16 => index(key(random.below(5)), image),
            17..=25 => {
                let origins = [
                    Origin::Compile,
                    Origin::Reload,
                    Origin::Loader,
                    Origin::Loader,
                    Origin::Alias,
                    Origin::Import,
                ];
                let source = (random.below(2) == 0).then_some(source);
                // Often the image that is active already.
                let active = model.active(name).filter(|_| random.below(3) == 0);
                let same = self.images.iter().find(|image| {
                    active.is_some_and(|active| active.structural_hash == image.structural_hash)
                });
                record_from(*random.pick(&origins), name, same.unwrap_or(image), source)
            }
            26..=28 => match &model.numbers(name)[..] {
                [] => put(image),
                _ if random.below(8) == 0 => set_active(name, random.below(12)),
                numbers => set_active(name, *random.pick(numbers)),
            },
            29..=30 => delete(name),
            31..=34 => remove(image),
            35..=38 => prune(name, usize::try_from(random.below(4)).unwrap()),
            _ if random.below(2) == 0 => put(random.pick(&[mismatched_image(), malformed_image()])),
            _ => put(image),
        }
    }
}

/// `SplitMix64`: numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let place = self.below(items.len() as u64);
        &items[usize::try_from(place).unwrap()]
    }
}
