//! The behavior of [`PipelineStore::commit`](crate::PipelineStore::commit) beside the rules, and its errors.

use std::sync::Arc;

use super::content::Content;
use super::fixtures::{
    SOURCES, commit, compiled_at, delete, image, image_of, index, key, kind, malformed_image,
    mismatched_image, name, numbers, prune, publish, put, put_source, record, remove, set_active,
    source_hash,
};
use super::{Store, case_list};
use crate::{ErrorKind, Outcome, PipelineImage};

case_list![
    operations_see_the_effects_of_those_before_them,
    an_image_can_be_removed_and_put_again_in_one_commit,
    a_commit_that_changes_nothing_has_the_latest_revision,
    revisions_grow_with_each_commit_that_changes_something,
    an_image_that_is_there_is_kept,
    of_two_images_of_one_graph_in_a_commit_the_first_is_kept,
    an_index_entry_can_lead_to_another_image,
    the_names_of_an_image_are_those_whose_active_version_it_is,
    an_operation_on_what_is_not_there_is_not_found,
    an_image_that_is_not_what_its_hash_says_is_refused,
    an_image_that_is_not_well_formed_is_refused,
    pruning_keeps_the_newest_and_the_active_version,
    a_long_commit_is_applied_in_order,
    a_closed_store_is_unavailable,
    closing_twice_is_fine,
];

async fn operations_see_the_effects_of_those_before_them(store: Store) {
    let a = name("a");
    let committed = commit(
        &store,
        [
            put(&image(1)),
            put(&image(1)),
            put_source(SOURCES[0]),
            put_source(SOURCES[0]),
            index(key(1), &image(1)),
            index(key(1), &image(1)),
            record(&a, &image(1)),
            record(&a, &image(1)),
            put(&image(2)),
            record(&a, &image(2)),
            set_active(&a, 1),
            delete(&a),
            record(&a, &image(2)),
            prune(&a, 1),
            remove(&image(1)),
        ],
    )
    .await;
    let active =
        |version, number| crate::ActiveVersion { version, structural_hash: image(number).structural_hash };
    let version = |changed, version, previous| Outcome::Version { changed, version, previous };
    assert_eq!(
        committed.outcomes,
        [
            Outcome::Image { added: true },
            Outcome::Image { added: false },
            Outcome::Source { added: true },
            Outcome::Source { added: false },
            Outcome::Indexed { changed: true },
            Outcome::Indexed { changed: false },
            version(true, 1, None),
            version(false, 1, Some(active(1, 1))),
            Outcome::Image { added: true },
            version(true, 2, Some(active(1, 1))),
            Outcome::Activated { changed: true, active: active(1, 1), previous: Some(active(2, 2)) },
            Outcome::Deleted { previous: active(1, 1) },
            version(true, 3, None),
            Outcome::Pruned { versions: vec![1, 2] },
            Outcome::Removed,
        ]
    );
    let content = Content::of(&*store).await;
    assert_eq!(content.images.len(), 1);
    assert_eq!(content.index, []);
    assert_eq!(numbers(&store, &a).await, [3]);
}

async fn an_image_can_be_removed_and_put_again_in_one_commit(store: Store) {
    let old = image(1);
    let new = compiled_at(&old, 5);
    commit(&store, [put(&old), index(key(1), &old)]).await;
    let committed = commit(&store, [remove(&old), put(&new)]).await;
    assert_eq!(committed.outcomes, [Outcome::Removed, Outcome::Image { added: true }]);
    assert_eq!(store.get(&old.structural_hash).await.unwrap(), Some(new));
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), None);
    // The other way around nothing is left.
    let other = image_of(2, SOURCES[0]);
    commit(&store, [put(&other), put_source(SOURCES[0]), index(key(2), &other), remove(&other)]).await;
    let content = Content::of(&*store).await;
    assert_eq!((content.images.len(), content.sources.len(), content.index.len()), (1, 0, 0));
}

async fn a_commit_that_changes_nothing_has_the_latest_revision(store: Store) {
    assert_eq!(commit(&store, []).await.outcomes, []);
    let a = name("a");
    let all = || {
        let version = record(&a, &image(1));
        [
            put(&image(1)),
            put_source(SOURCES[0]),
            index(key(1), &image(1)),
            version,
            set_active(&a, 1),
            prune(&a, 5),
        ]
    };
    let first = commit(&store, all()).await;
    let before = Content::of(&*store).await;
    assert_eq!(before.revision, first.revision);
    assert_eq!(commit(&store, all()).await.revision, first.revision);
    assert_eq!(commit(&store, []).await.revision, first.revision);
    assert_eq!(Content::of(&*store).await, before);
}

async fn revisions_grow_with_each_commit_that_changes_something(store: Store) {
    let a = name("a");
    let changing = [
        vec![put(&image(1))],
        vec![put(&image(2)), put_source(SOURCES[0])],
        vec![put_source(SOURCES[1])],
        vec![index(key(1), &image(1))],
        vec![index(key(1), &image(2))],
        vec![record(&a, &image(1)), record(&a, &image(2))],
        vec![set_active(&a, 1)],
        vec![delete(&a)],
        vec![prune(&a, 0)],
        vec![remove(&image(1))],
    ];
    let mut latest = store.status().await.unwrap().revision;
    for operations in changing {
        let text = format!("{operations:?}");
        let revision = commit(&store, operations).await.revision;
        assert!(revision > latest, "{revision} after {latest}: {text}");
        latest = revision;
        assert_eq!(store.status().await.unwrap().revision, latest);
    }
    // A refused commit does not take one.
    kind(&store, [remove(&image(1))]).await;
    assert_eq!(store.status().await.unwrap().revision, latest);
    // A version knows the commit that recorded it.
    let committed = commit(&store, [put(&image(3)), record(&a, &image(3))]).await;
    let history = store.versions(&a).await.unwrap().unwrap();
    assert_eq!(history.versions.last().unwrap().revision, committed.revision);
}

async fn an_image_that_is_there_is_kept(store: Store) {
    let first = compiled_at(&image_of(1, SOURCES[0]), 1_000);
    let second = compiled_at(&image(1), 2_000);
    commit(&store, [put(&first)]).await;
    assert_eq!(commit(&store, [put(&second)]).await.outcomes, [Outcome::Image { added: false }]);
    assert_eq!(store.get(&first.structural_hash).await.unwrap(), Some(first));
}

async fn of_two_images_of_one_graph_in_a_commit_the_first_is_kept(store: Store) {
    let first = compiled_at(&image_of(1, SOURCES[0]), 1_000);
    let second = compiled_at(&image_of(1, SOURCES[1]), 2_000);
    let committed = commit(&store, [put(&first), put(&second)]).await;
    assert_eq!(committed.outcomes, [Outcome::Image { added: true }, Outcome::Image { added: false }]);
    assert_eq!(store.get(&first.structural_hash).await.unwrap(), Some(first));
}

async fn an_index_entry_can_lead_to_another_image(store: Store) {
    commit(&store, [put(&image(1)), put(&image(2)), index(key(1), &image(1))]).await;
    let committed = commit(&store, [index(key(1), &image(2))]).await;
    assert_eq!(committed.outcomes, [Outcome::Indexed { changed: true }]);
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), Some(image(2).structural_hash));
}

async fn an_operation_on_what_is_not_there_is_not_found(store: Store) {
    let (a, none) = (name("a"), name("none"));
    for operation in [
        index(key(1), &image(1)),
        record(&none, &image(1)),
        set_active(&none, 1),
        delete(&none),
        remove(&image(1)),
        prune(&none, 0),
    ] {
        let text = format!("{operation:?}");
        assert_eq!(kind(&store, [operation]).await, ErrorKind::NotFound, "{text}");
    }
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    for version in [0, 3, u64::MAX] {
        assert_eq!(kind(&store, [set_active(&a, version)]).await, ErrorKind::NotFound);
    }
    commit(&store, [prune(&a, 1)]).await;
    assert_eq!(kind(&store, [set_active(&a, 1)]).await, ErrorKind::NotFound, "it was pruned");
    commit(&store, [delete(&a)]).await;
    assert_eq!(kind(&store, [delete(&a)]).await, ErrorKind::NotFound, "it is deleted already");
    // An image that is put later in the commit is not there yet.
    assert_eq!(kind(&store, [record(&a, &image(3)), put(&image(3))]).await, ErrorKind::NotFound);
    assert_eq!(
        kind(&store, [put(&image(3)), remove(&image(3)), index(key(1), &image(3))]).await,
        ErrorKind::NotFound
    );
}

async fn an_image_that_is_not_what_its_hash_says_is_refused(store: Store) {
    let mismatched = mismatched_image();
    assert_eq!(kind(&store, [put(&mismatched)]).await, ErrorKind::HashMismatch);
    assert_eq!(store.get(&mismatched.structural_hash).await.unwrap(), None);
    // Also when an image of that hash is there.
    commit(&store, [put(&image(1))]).await;
    let mut impostor = PipelineImage::clone(&image(2));
    impostor.structural_hash = image(1).structural_hash;
    assert_eq!(kind(&store, [put(&Arc::new(impostor))]).await, ErrorKind::HashMismatch);
    assert_eq!(store.get(&image(1).structural_hash).await.unwrap(), Some(image(1)));
}

async fn an_image_that_is_not_well_formed_is_refused(store: Store) {
    let malformed = malformed_image();
    assert_eq!(kind(&store, [put(&malformed)]).await, ErrorKind::InvalidImage);
    assert_eq!(store.get(&malformed.structural_hash).await.unwrap(), None);
}

async fn pruning_keeps_the_newest_and_the_active_version(store: Store) {
    let a = name("a");
    for number in 1..=6 {
        publish(&store, &a, &image(number)).await;
    }
    commit(&store, [set_active(&a, 2)]).await;
    for (keep, pruned, left) in [
        (9, vec![], vec![1, 2, 3, 4, 5, 6]),
        (6, vec![], vec![1, 2, 3, 4, 5, 6]),
        (3, vec![1, 3], vec![2, 4, 5, 6]),
        (1, vec![4, 5], vec![2, 6]),
        (0, vec![6], vec![2]),
        (0, vec![], vec![2]),
    ] {
        let committed = commit(&store, [prune(&a, keep)]).await;
        assert_eq!(committed.outcomes, [Outcome::Pruned { versions: pruned }]);
        assert_eq!(numbers(&store, &a).await, left);
    }
    Content::of(&*store).await;
}

async fn the_names_of_an_image_are_those_whose_active_version_it_is(store: Store) {
    let [a, b, c] = ["a", "b", "c"].map(name);
    let (old, new) = (image(1), image(2));
    let names = async |image: &PipelineImage| store.names_of(&image.structural_hash).await.unwrap();
    assert!(names(&old).await.is_empty(), "nobody has an image that is not stored");
    let versions = [&c, &a, &b].map(|name| record(name, &old));
    commit(&store, [put(&old), put(&new)].into_iter().chain(versions).collect::<Vec<_>>()).await;
    assert_eq!(names(&old).await, [a.clone(), b.clone(), c.clone()]);
    commit(&store, [record(&a, &new), delete(&b)]).await;
    assert_eq!(names(&old).await, std::slice::from_ref(&c));
    assert_eq!(names(&new).await, std::slice::from_ref(&a));
    commit(&store, [set_active(&a, 1), record(&c, &new), record(&c, &old)]).await;
    assert_eq!(names(&old).await, [a, c], "also where two versions of a name are the image");
    assert!(names(&new).await.is_empty());
}

async fn a_long_commit_is_applied_in_order(store: Store) {
    let names: Vec<_> = (0..20).map(|number| name(&format!("n{number}"))).collect();
    let operations = (0_i64..200).zip(names.iter().cycle()).flat_map(|(number, name)| {
        let image = image(number);
        [put(&image), index(key(number.unsigned_abs() % 50), &image), record(name, &image)]
    });
    let committed = commit(&store, operations.collect::<Vec<_>>()).await;
    assert_eq!(committed.outcomes.len(), 600);
    let content = Content::of(&*store).await;
    assert_eq!((content.images.len(), content.index.len()), (200, 50));
    for name in &names {
        assert_eq!(numbers(&store, name).await, (1..=10).collect::<Vec<_>>());
    }
    // All of it goes in one commit as well.
    let removal = names.iter().flat_map(|name| [delete(name), prune(name, 0)]);
    commit(&store, removal.chain((0..200).map(|number| remove(&image(number)))).collect::<Vec<_>>()).await;
    let content = Content::of(&*store).await;
    assert_eq!((content.images.len(), content.index.len(), content.histories.len()), (0, 0, 20));
}

async fn a_closed_store_is_unavailable(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    store.close().await.unwrap();
    let unavailable = ErrorKind::Unavailable;
    assert_eq!(kind(&store, [put(&image(2))]).await, unavailable);
    assert_eq!(kind(&store, []).await, unavailable);
    assert_eq!(store.get(&image(1).structural_hash).await.unwrap_err().kind(), unavailable);
    assert_eq!(store.peek(&image(1).structural_hash).await.unwrap_err().kind(), unavailable);
    assert_eq!(store.resolve(&a).await.unwrap_err().kind(), unavailable);
    assert_eq!(store.names_of(&image(1).structural_hash).await.unwrap_err().kind(), unavailable);
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap_err().kind(), unavailable);
    assert_eq!(store.versions(&a).await.unwrap_err().kind(), unavailable);
    assert_eq!(store.source(&source_hash("")).await.unwrap_err().kind(), unavailable);
    assert_eq!(store.status().await.unwrap_err().kind(), unavailable);
    let images = crate::ext::collect(store.list_images(crate::ListOptions::default())).await;
    assert_eq!(images.unwrap_err().kind(), unavailable);
    let names = crate::ext::collect(store.list_names(crate::ListOptions::default())).await;
    assert_eq!(names.unwrap_err().kind(), unavailable);
    let index = crate::ext::collect(store.list_index(crate::ListOptions::default())).await;
    assert_eq!(index.unwrap_err().kind(), unavailable);
}

async fn closing_twice_is_fine(store: Store) {
    publish(&store, &name("a"), &image(1)).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
}
