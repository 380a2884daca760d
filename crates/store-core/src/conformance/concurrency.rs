//! Several threads on one store.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::thread;

use futures_util::future::BoxFuture;

use super::content::Content;
use super::fixtures::{
    commit, commit_of, delete, image, index, key, name, numbers, prune, put, record, remove,
};
use super::{Backend, Store, case_list};
use crate::ext::collect;
use crate::{ErrorKind, ListOptions, Outcome, Precondition};

case_list![Threads:
    concurrent_versions_get_numbers_of_their_own,
    of_concurrent_commits_with_one_precondition_one_goes_through,
    a_count_kept_by_preconditions_loses_no_step,
    readers_see_whole_commits_only,
    an_image_is_not_lost_between_publishing_and_removing,
];

const THREADS: i64 = 4;
const ROUNDS: i64 = 25;

/// Runs a body on several threads, which are numbered from 0, and gathers what they give.
fn on_threads<'a, T: Send>(backend: &dyn Backend, body: impl Fn(i64) -> BoxFuture<'a, T> + Sync) -> Vec<T> {
    let run = |thread| {
        let mut result = None;
        backend.block_on(Box::pin(async {
            result = Some(body(thread).await);
        }));
        result.unwrap()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Runs a body on this thread.
fn block_on<'a, T: Send>(backend: &dyn Backend, body: impl Future<Output = T> + Send + 'a) -> T {
    let mut result = None;
    backend.block_on(Box::pin(async {
        result = Some(body.await);
    }));
    result.unwrap()
}

fn concurrent_versions_get_numbers_of_their_own(backend: &dyn Backend, store: &Store) {
    let a = &name("a");
    let versions = on_threads(backend, |thread| {
        Box::pin(async move {
            let mut versions = Vec::new();
            for round in 0..ROUNDS {
                let image = image(thread * ROUNDS + round);
                let committed = commit(store, [put(&image), record(a, &image)]).await;
                match committed.outcomes[..] {
                    [_, Outcome::Version { changed: true, version, .. }] => {
                        versions.push((version, committed.revision));
                    }
                    _ => panic!("expected a new version, got {committed:?}"),
                }
            }
            assert!(versions.is_sorted(), "numbers and revisions grow together: {versions:?}");
            versions
        })
    });
    let unique: BTreeSet<_> = versions.concat().into_iter().collect();
    let count = u64::try_from(THREADS * ROUNDS).unwrap();
    assert!(unique.iter().map(|(version, _)| *version).eq(1..=count), "each number once: {unique:?}");
    assert!(unique.iter().is_sorted_by(|(_, a), (_, b)| a < b), "revisions are told apart: {unique:?}");
    block_on(backend, async {
        assert_eq!(numbers(store, a).await, (1..=count).collect::<Vec<_>>());
        Content::of(&**store).await;
    });
}

fn of_concurrent_commits_with_one_precondition_one_goes_through(backend: &dyn Backend, store: &Store) {
    let names: Vec<_> = (0..ROUNDS).map(|round| name(&format!("n{round}"))).collect();
    let names = &names;
    let successes = on_threads(backend, |thread| {
        Box::pin(async move {
            let mut successes = Vec::new();
            for (round, name) in names.iter().enumerate() {
                let image = image(thread);
                let commit = commit_of([put(&image), record(name, &image)]);
                match store.commit(commit.require(name.clone(), Precondition::Absent)).await {
                    Ok(_) => successes.push(round),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
            }
            successes
        })
    });
    let mut successes = successes.concat();
    successes.sort_unstable();
    assert!(successes.into_iter().eq(0..names.len()), "one thread made each name");
    let content = block_on(backend, Content::of(&**store));
    assert!(content.histories.iter().all(|history| history.versions.len() == 1));
}

fn a_count_kept_by_preconditions_loses_no_step(backend: &dyn Backend, store: &Store) {
    let a = &name("a");
    block_on(backend, async {
        commit(store, [put(&image(0)), record(a, &image(0))]).await;
    });
    on_threads(backend, |_| {
        Box::pin(async move {
            let mut steps = 0;
            while steps < ROUNDS {
                // Each step makes an image that follows from the active version.
                let active = store.resolve(a).await.unwrap().unwrap();
                let next = image(i64::try_from(active.version).unwrap());
                let commit = commit_of([put(&next), record(a, &next)]);
                match store.commit(commit.require(a.clone(), Precondition::Active(active.version))).await {
                    Ok(_) => steps += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
            }
        })
    });
    block_on(backend, async {
        let history = store.versions(a).await.unwrap().unwrap();
        assert_eq!(history.versions.len(), usize::try_from(THREADS * ROUNDS).unwrap() + 1);
        for (number, version) in history.versions.iter().enumerate() {
            assert_eq!(version.structural_hash, image(i64::try_from(number).unwrap()).structural_hash);
        }
    });
}

fn readers_see_whole_commits_only(backend: &dyn Backend, store: &Store) {
    let (a, b) = (&name("a"), &name("b"));
    block_on(backend, async {
        commit(store, [put(&image(0)), index(key(0), &image(0)), record(a, &image(0)), record(b, &image(0))])
            .await;
    });
    let write = async move || {
        for round in 1..=ROUNDS * 4 {
            let (old, new) = (image(round - 1), image(round));
            let versions = [record(a, &new), record(b, &new), prune(a, 1), prune(b, 1)];
            let operations =
                [put(&new), index(key(0), &new)].into_iter().chain(versions).chain([remove(&old)]);
            commit(store, operations).await;
        }
    };
    let read = async move || {
        let mut latest = store.status().await.unwrap().revision;
        for _ in 0..ROUNDS * 8 {
            let names = collect(store.list_names(ListOptions::default())).await.unwrap();
            assert_eq!(names.len(), 2);
            assert!(names[0].active.is_some());
            assert_eq!(names[0].active, names[1].active, "one commit changes both names");
            let images = collect(store.list_images(ListOptions::default())).await.unwrap();
            assert_eq!(images.len(), 1, "one commit puts an image and removes another");
            assert_eq!(collect(store.list_index(ListOptions::default())).await.unwrap().len(), 1);
            let history = store.versions(a).await.unwrap().unwrap();
            assert_eq!(history.versions.len(), 1, "one commit records a version and prunes another");
            let status = store.status().await.unwrap();
            assert!(status.revision >= latest, "revisions do not go back");
            assert_eq!((status.images, status.names), (1, 2));
            latest = status.revision;
        }
    };
    on_threads(backend, |thread| {
        Box::pin(async move { if thread == 0 { write().await } else { read().await } })
    });
    let content = block_on(backend, Content::of(&**store));
    assert!(content.images.contains_key(&image(ROUNDS * 4).structural_hash));
}

fn an_image_is_not_lost_between_publishing_and_removing(backend: &dyn Backend, store: &Store) {
    let shared = &image(0);
    on_threads(backend, |thread| {
        Box::pin(async move {
            let own = name(&format!("n{thread}"));
            for _ in 0..ROUNDS {
                if thread % 2 == 0 {
                    commit(store, [put(shared), index(key(0), shared), record(&own, shared)]).await;
                    let image = store.get(&shared.structural_hash).await.unwrap();
                    assert!(image.is_some(), "a version refers to it");
                    commit(store, [delete(&own), prune(&own, 0)]).await;
                } else if let Err(error) = store.commit(commit_of([remove(shared)])).await {
                    let expected = [ErrorKind::InUse, ErrorKind::NotFound];
                    assert!(expected.contains(&error.kind()), "{error}");
                }
            }
        })
    });
    block_on(backend, Content::of(&**store));
}
