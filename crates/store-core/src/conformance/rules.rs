//! The rules of [`PipelineStore`](crate::PipelineStore), in their order.

use super::content::Content;
use super::fixtures::{
    SOURCES, commit, commit_of, delete, image, image_of, index, key, kind, malformed_image, mismatched_image,
    name, numbers, prune, publish, put, put_source, record, record_from, refused, remove, set_active,
    source_hash,
};
use super::{Store, case_list};
use crate::{ActiveVersion, ErrorKind, Origin, Outcome, Precondition};

case_list![
    the_alias_of_a_name_is_the_hash_of_its_active_version,
    version_numbers_start_at_1_and_grow,
    version_numbers_are_not_used_again_after_pruning,
    version_numbers_are_not_used_again_after_deleting,
    version_numbers_are_not_used_again_after_deleting_and_pruning_all,
    recording_the_active_image_again_makes_no_version,
    a_source_and_an_index_entry_are_stored_with_an_unchanged_version,
    recording_older_content_again_makes_a_new_version,
    setting_an_old_version_active_makes_no_version,
    the_source_of_the_loader_is_remembered_also_when_unchanged,
    other_origins_leave_the_source_of_the_loader,
    an_image_that_a_version_refers_to_is_not_removed,
    an_image_that_a_deleted_name_refers_to_is_not_removed,
    an_error_names_at_most_ten_holders,
    an_image_is_removed_with_its_index_entries,
    a_source_is_removed_with_the_last_image_that_refers_to_it,
    a_source_that_a_version_refers_to_stays,
    an_error_leaves_nothing_of_the_commit,
    a_precondition_that_does_not_hold_leaves_nothing_of_the_commit,
    absent_holds_for_new_and_for_deleted_names,
    active_holds_for_the_active_version_only,
    preconditions_are_judged_before_the_first_operation,
    all_preconditions_must_hold,
    a_conflict_is_told_also_when_nothing_would_change,
];

async fn the_alias_of_a_name_is_the_hash_of_its_active_version(store: Store) {
    let scoring = name("scoring");
    assert_eq!(store.resolve(&scoring).await.unwrap(), None);
    for number in 1..=3 {
        publish(&store, &scoring, &image(number)).await;
        let active = store.resolve(&scoring).await.unwrap().unwrap();
        assert_eq!(active.structural_hash, image(number).structural_hash);
    }
    commit(&store, [set_active(&scoring, 2)]).await;
    let expected = ActiveVersion { version: 2, structural_hash: image(2).structural_hash };
    assert_eq!(store.resolve(&scoring).await.unwrap(), Some(expected));
    commit(&store, [delete(&scoring)]).await;
    assert_eq!(store.resolve(&scoring).await.unwrap(), None);
    Content::of(&*store).await;
}

async fn version_numbers_start_at_1_and_grow(store: Store) {
    let (a, b) = (name("a"), name("b"));
    assert_eq!(publish(&store, &a, &image(1)).await, 1);
    assert_eq!(publish(&store, &a, &image(2)).await, 2);
    assert_eq!(publish(&store, &b, &image(1)).await, 1);
    assert_eq!(publish(&store, &a, &image(3)).await, 3);
    assert_eq!(numbers(&store, &a).await, [1, 2, 3]);
}

async fn version_numbers_are_not_used_again_after_pruning(store: Store) {
    let a = name("a");
    for number in 1..=3 {
        publish(&store, &a, &image(number)).await;
    }
    commit(&store, [set_active(&a, 1)]).await;
    let committed = commit(&store, [prune(&a, 0)]).await;
    assert_eq!(committed.outcomes, [Outcome::Pruned { versions: vec![2, 3] }]);
    assert_eq!(numbers(&store, &a).await, [1]);
    assert_eq!(publish(&store, &a, &image(4)).await, 4);
    // The number is not taken from the versions that are left.
    commit(&store, [set_active(&a, 1), prune(&a, 0), record(&a, &image(4))]).await;
    assert_eq!(numbers(&store, &a).await, [1, 5]);
}

async fn version_numbers_are_not_used_again_after_deleting(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    commit(&store, [delete(&a)]).await;
    assert_eq!(numbers(&store, &a).await, [1, 2]);
    assert_eq!(store.versions(&a).await.unwrap().unwrap().active_version, None);
    // The image that was active before is a new version now.
    assert_eq!(publish(&store, &a, &image(2)).await, 3);
}

async fn version_numbers_are_not_used_again_after_deleting_and_pruning_all(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    commit(&store, [delete(&a), prune(&a, 0)]).await;
    assert_eq!(numbers(&store, &a).await, [0_u64; 0]);
    assert_eq!(store.versions(&a).await.unwrap().unwrap().next_version, 3);
    assert_eq!(publish(&store, &a, &image(1)).await, 3);
}

async fn recording_the_active_image_again_makes_no_version(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    let before = Content::of(&*store).await;
    let active = store.resolve(&a).await.unwrap();
    for origin in [Origin::Compile, Origin::Reload, Origin::Alias, Origin::Import] {
        let committed = commit(&store, [record_from(origin, &a, &image(1), Some(SOURCES[0]))]).await;
        assert_eq!(committed.revision, before.revision);
        assert_eq!(committed.outcomes, [Outcome::Version { changed: false, version: 1, previous: active }]);
    }
    assert_eq!(Content::of(&*store).await, before);
}

async fn a_source_and_an_index_entry_are_stored_with_an_unchanged_version(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    let before = store.status().await.unwrap().revision;
    let operations =
        [put(&image(1)), put_source(SOURCES[0]), index(key(1), &image(1)), record(&a, &image(1))];
    let committed = commit(&store, operations).await;
    assert!(committed.revision > before);
    assert_eq!(
        committed.outcomes[..3],
        [
            Outcome::Image { added: false },
            Outcome::Source { added: true },
            Outcome::Indexed { changed: true }
        ]
    );
    assert!(matches!(committed.outcomes[3], Outcome::Version { changed: false, version: 1, .. }));
    assert_eq!(store.source(&source_hash(SOURCES[0])).await.unwrap().as_deref(), Some(SOURCES[0]));
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), Some(image(1).structural_hash));
}

async fn recording_older_content_again_makes_a_new_version(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    let committed = commit(&store, [record(&a, &image(1))]).await;
    let previous = Some(ActiveVersion { version: 2, structural_hash: image(2).structural_hash });
    assert_eq!(committed.outcomes, [Outcome::Version { changed: true, version: 3, previous }]);
    assert_eq!(numbers(&store, &a).await, [1, 2, 3]);
}

async fn setting_an_old_version_active_makes_no_version(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    let first = ActiveVersion { version: 1, structural_hash: image(1).structural_hash };
    let second = ActiveVersion { version: 2, structural_hash: image(2).structural_hash };
    let committed = commit(&store, [set_active(&a, 1)]).await;
    let outcome = Outcome::Activated { changed: true, active: first, previous: Some(second) };
    assert_eq!(committed.outcomes, [outcome]);
    assert_eq!(numbers(&store, &a).await, [1, 2]);
    // Again: nothing changes.
    let again = commit(&store, [set_active(&a, 1)]).await;
    assert_eq!(again.revision, committed.revision);
    let outcome = Outcome::Activated { changed: false, active: first, previous: Some(first) };
    assert_eq!(again.outcomes, [outcome]);
    // A deleted name comes back by it.
    let committed = commit(&store, [delete(&a), set_active(&a, 2)]).await;
    let outcome = Outcome::Activated { changed: true, active: second, previous: None };
    assert_eq!(committed.outcomes, [Outcome::Deleted { previous: first }, outcome]);
    assert_eq!(store.resolve(&a).await.unwrap(), Some(second));
}

async fn the_source_of_the_loader_is_remembered_also_when_unchanged(store: Store) {
    let a = name("a");
    let load = |number, source| record_from(Origin::Loader, &a, &image(number), Some(source));
    commit(&store, [put(&image(1)), load(1, SOURCES[0])]).await;
    let loader_source = async || store.versions(&a).await.unwrap().unwrap().loader_source_hash;
    assert_eq!(loader_source().await, Some(source_hash(SOURCES[0])));
    let committed = commit(&store, [load(1, SOURCES[1])]).await;
    assert!(matches!(committed.outcomes[..], [Outcome::Version { changed: false, version: 1, .. }]));
    assert_eq!(loader_source().await, Some(source_hash(SOURCES[1])));
    assert_eq!(store.status().await.unwrap().revision, committed.revision);
    // The source is remembered, so the same again changes nothing.
    assert_eq!(commit(&store, [load(1, SOURCES[1])]).await.revision, committed.revision);
    // It stays when the name is deleted.
    commit(&store, [delete(&a)]).await;
    assert_eq!(loader_source().await, Some(source_hash(SOURCES[1])));
}

async fn other_origins_leave_the_source_of_the_loader(store: Store) {
    let a = name("a");
    commit(&store, [put(&image(1)), record_from(Origin::Loader, &a, &image(1), Some(SOURCES[0]))]).await;
    for (number, origin) in
        [Origin::Compile, Origin::Reload, Origin::Alias, Origin::Import].iter().enumerate()
    {
        let image = image(i64::try_from(number).unwrap() + 2);
        commit(&store, [put(&image), record_from(*origin, &a, &image, Some(SOURCES[1]))]).await;
        let history = store.versions(&a).await.unwrap().unwrap();
        assert_eq!(history.loader_source_hash, Some(source_hash(SOURCES[0])), "{origin:?}");
        assert_eq!(history.versions.last().unwrap().origin, *origin);
    }
}

async fn an_image_that_a_version_refers_to_is_not_removed(store: Store) {
    let (a, b) = (name("a"), name("b/c"));
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    publish(&store, &b, &image(1)).await;
    let error = refused(&store, commit_of([remove(&image(1))])).await;
    assert_eq!(error.kind(), ErrorKind::InUse);
    let text = error.to_string();
    assert!(text.contains("a version 1") && text.contains("b/c version 1"), "names who holds it: {text}");
    let error = refused(&store, commit_of([remove(&image(2))])).await;
    assert!(error.to_string().contains("a version 2"), "{error}");
    // Until nothing refers to it.
    commit(&store, [prune(&a, 1)]).await;
    assert_eq!(kind(&store, [remove(&image(1))]).await, ErrorKind::InUse);
    commit(&store, [delete(&b), prune(&b, 0)]).await;
    assert_eq!(commit(&store, [remove(&image(1))]).await.outcomes, [Outcome::Removed]);
    assert_eq!(store.get(&image(1).structural_hash).await.unwrap(), None);
    Content::of(&*store).await;
}

async fn an_image_that_a_deleted_name_refers_to_is_not_removed(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    commit(&store, [delete(&a)]).await;
    assert_eq!(kind(&store, [remove(&image(1))]).await, ErrorKind::InUse);
    commit(&store, [set_active(&a, 1)]).await;
    assert_eq!(kind(&store, [remove(&image(1))]).await, ErrorKind::InUse);
}

async fn an_error_names_at_most_ten_holders(store: Store) {
    commit(&store, [put(&image(1))]).await;
    for number in 0..15 {
        commit(&store, [record(&name(&format!("name{number}")), &image(1))]).await;
    }
    let error = refused(&store, commit_of([remove(&image(1))])).await;
    assert_eq!(error.to_string().matches(" version 1").count(), 10, "{error}");
    assert!(error.message().contains("15"), "tells how many there are: {error}");
}

async fn an_image_is_removed_with_its_index_entries(store: Store) {
    commit(&store, [put(&image(1)), put(&image(2)), index(key(1), &image(1)), index(key(2), &image(2))])
        .await;
    // A key that led elsewhere before does not go with the former image.
    commit(&store, [index(key(3), &image(1)), index(key(4), &image(1))]).await;
    commit(&store, [index(key(3), &image(2)), remove(&image(1))]).await;
    let second = Some(image(2).structural_hash);
    for (number, expected) in [(1, None), (2, second), (3, second), (4, None)] {
        assert_eq!(store.lookup_syntactic(&key(number)).await.unwrap(), expected, "key {number}");
    }
    assert_eq!(Content::of(&*store).await.index.len(), 2);
}

async fn a_source_is_removed_with_the_last_image_that_refers_to_it(store: Store) {
    let (first, second, third) = (image_of(1, SOURCES[0]), image_of(2, SOURCES[0]), image_of(3, SOURCES[1]));
    let images = [put(&first), put(&second), put(&third)];
    commit(&store, images.into_iter().chain([put_source(SOURCES[0]), put_source(SOURCES[1])])).await;
    let source = async |number: usize| store.source(&source_hash(SOURCES[number])).await.unwrap();
    commit(&store, [remove(&first)]).await;
    assert!(source(0).await.is_some());
    commit(&store, [remove(&second)]).await;
    assert!(source(0).await.is_none());
    assert!(source(1).await.is_some());
    // Both in one commit.
    commit(&store, [put(&first), put(&second), put_source(SOURCES[0])]).await;
    commit(&store, [remove(&first), remove(&second)]).await;
    assert!(source(0).await.is_none());
}

async fn a_source_that_a_version_refers_to_stays(store: Store) {
    let a = name("a");
    let first = image_of(1, SOURCES[0]);
    let version = record_from(Origin::Compile, &a, &image(2), Some(SOURCES[0]));
    commit(&store, [put(&first), put(&image(2)), put_source(SOURCES[0]), version]).await;
    commit(&store, [remove(&first)]).await;
    assert_eq!(store.source(&source_hash(SOURCES[0])).await.unwrap().as_deref(), Some(SOURCES[0]));
}

async fn an_error_leaves_nothing_of_the_commit(store: Store) {
    let (a, b) = (name("a"), name("b"));
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    commit(&store, [put(&image(3)), put_source(SOURCES[0]), index(key(1), &image(3))]).await;
    let before = Content::of(&*store).await;
    let failing = [
        (index(key(9), &image(9)), ErrorKind::NotFound),
        (record(&a, &image(9)), ErrorKind::NotFound),
        (set_active(&a, 9), ErrorKind::NotFound),
        (set_active(&name("none"), 1), ErrorKind::NotFound),
        (delete(&name("none")), ErrorKind::NotFound),
        (remove(&image(9)), ErrorKind::NotFound),
        (prune(&name("none"), 1), ErrorKind::NotFound),
        (remove(&image(1)), ErrorKind::InUse),
        (put(&mismatched_image()), ErrorKind::HashMismatch),
        (put(&malformed_image()), ErrorKind::InvalidImage),
    ];
    for (last, expected) in failing {
        let operations = [
            put(&image(4)),
            put_source(SOURCES[1]),
            index(key(1), &image(4)),
            index(key(2), &image(4)),
            record_from(Origin::Loader, &a, &image(4), Some(SOURCES[1])),
            record(&b, &image(4)),
            remove(&image(3)),
            set_active(&a, 1),
            prune(&a, 1),
            delete(&b),
            last,
        ];
        let error = refused(&store, commit_of(operations)).await;
        assert_eq!(error.kind(), expected, "{error}");
        assert_eq!(Content::of(&*store).await, before, "after {error}");
    }
    // The store goes on.
    assert_eq!(publish(&store, &a, &image(4)).await, 3);
    assert_eq!(publish(&store, &b, &image(4)).await, 1);
}

async fn a_precondition_that_does_not_hold_leaves_nothing_of_the_commit(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    let before = Content::of(&*store).await;
    for precondition in [Precondition::Absent, Precondition::Active(2)] {
        let operations =
            [put(&image(2)), put_source(SOURCES[0]), index(key(1), &image(2)), record(&a, &image(2))];
        let error = refused(&store, commit_of(operations).require(a.clone(), precondition)).await;
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("name: a"), "{error}");
        assert_eq!(Content::of(&*store).await, before);
    }
}

async fn absent_holds_for_new_and_for_deleted_names(store: Store) {
    let a = name("a");
    let create = |number| {
        commit_of([put(&image(number)), record(&a, &image(number))]).require(a.clone(), Precondition::Absent)
    };
    store.commit(create(1)).await.unwrap();
    assert_eq!(refused(&store, create(2)).await.kind(), ErrorKind::Conflict);
    commit(&store, [delete(&a)]).await;
    store.commit(create(2)).await.unwrap();
    assert_eq!(numbers(&store, &a).await, [1, 2]);
}

async fn active_holds_for_the_active_version_only(store: Store) {
    let a = name("a");
    let update = |number, active| {
        let commit = commit_of([put(&image(number)), record(&a, &image(number))]);
        commit.require(a.clone(), Precondition::Active(active))
    };
    assert_eq!(refused(&store, update(1, 1)).await.kind(), ErrorKind::Conflict, "the name is new");
    publish(&store, &a, &image(1)).await;
    store.commit(update(2, 1)).await.unwrap();
    assert_eq!(refused(&store, update(3, 1)).await.kind(), ErrorKind::Conflict);
    store.commit(update(3, 2)).await.unwrap();
    commit(&store, [set_active(&a, 1)]).await;
    assert_eq!(refused(&store, update(4, 3)).await.kind(), ErrorKind::Conflict, "the newest is not active");
    store.commit(update(4, 1)).await.unwrap();
    commit(&store, [delete(&a)]).await;
    assert_eq!(refused(&store, update(5, 4)).await.kind(), ErrorKind::Conflict, "the name is deleted");
}

async fn preconditions_are_judged_before_the_first_operation(store: Store) {
    let a = name("a");
    // The commit's own operations neither break nor meet them.
    let commit = commit_of([put(&image(1)), record(&a, &image(1)), put(&image(2)), record(&a, &image(2))]);
    let error = refused(&store, commit.clone().require(a.clone(), Precondition::Active(1))).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    store.commit(commit.require(a.clone(), Precondition::Absent)).await.unwrap();
    assert_eq!(numbers(&store, &a).await, [1, 2]);
}

async fn all_preconditions_must_hold(store: Store) {
    let (a, b) = (name("a"), name("b"));
    publish(&store, &a, &image(1)).await;
    let commit = |second| {
        commit_of([record(&name("c"), &image(1))])
            .require(name("never"), Precondition::Any)
            .require(a.clone(), Precondition::Active(1))
            .require(b.clone(), second)
    };
    assert_eq!(refused(&store, commit(Precondition::Active(1))).await.kind(), ErrorKind::Conflict);
    store.commit(commit(Precondition::Absent)).await.unwrap();
    // Requiring something of a name does not make it.
    assert_eq!(store.versions(&b).await.unwrap(), None);
    assert_eq!(Content::of(&*store).await.histories.len(), 2);
}

async fn a_conflict_is_told_also_when_nothing_would_change(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    let same = || commit_of([record(&a, &image(1))]);
    assert_eq!(
        refused(&store, same().require(a.clone(), Precondition::Absent)).await.kind(),
        ErrorKind::Conflict
    );
    store.commit(same().require(a.clone(), Precondition::Active(1))).await.unwrap();
    let nothing = commit_of([]).require(a.clone(), Precondition::Active(2));
    assert_eq!(refused(&store, nothing).await.kind(), ErrorKind::Conflict);
}
