//! [`PipelineStoreExt`](crate::PipelineStoreExt) on a backend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::content::Content;
use super::fixtures::{
    SOURCES, commit, compiled_at, delete, image, image_of, index, key, name, numbers, publish, put,
    put_source, record, set_active, source_hash,
};
use super::{Store, case_list};
use crate::{
    ActiveVersion, ErrorKind, GcOptions, ImageSummary, Origin, PipelineImage, PipelineStoreExt, Precondition,
    Publication, Reference, StructuralHash, Timestamp,
};

case_list![
    publishing_stores_image_source_entry_and_version_in_one_commit,
    publishing_the_same_again_changes_nothing,
    publishing_a_change_makes_a_version,
    publishing_without_a_name_makes_no_version,
    publishing_against_a_precondition_leaves_nothing,
    storing_tells_the_hash,
    an_alias_points_a_name_to_a_stored_image,
    aliases_are_listed_without_deleted_names,
    an_image_is_found_by_name_and_by_reference,
    an_index_entry_tells_whether_it_changed,
    all_images_and_names_are_listed,
    removing_tells_whether_the_image_was_there,
    rollback_goes_to_the_version_before_the_active_one,
    rollback_goes_to_the_version_that_is_told,
    rollback_without_an_older_version_is_not_found,
    rollback_keeps_to_its_precondition,
    gc_removes_old_images_that_no_version_refers_to,
    gc_keeps_images_in_use_and_young_ones,
    gc_can_be_run_dry,
    gc_removes_many_images,
];

/// Image `number` with its source, key and name `a`.
fn publication(number: i64) -> Publication {
    let source = SOURCES[usize::try_from(number).unwrap() % 2];
    Publication::new(image_of(number, source), Origin::Compile)
        .with_source(source.into())
        .with_key(key(number.unsigned_abs()))
        .with_name(name("a"))
}

fn active(version: u64, image: &PipelineImage) -> ActiveVersion {
    ActiveVersion { version, structural_hash: image.structural_hash }
}

async fn publishing_stores_image_source_entry_and_version_in_one_commit(store: Store) {
    let image = image_of(1, SOURCES[1]);
    let published = store.publish(publication(1)).await.unwrap();
    assert_eq!(published.structural_hash, image.structural_hash);
    assert_eq!((published.changed, published.version, published.previous), (true, Some(1), None));
    let content = Content::of(&*store).await;
    assert_eq!(content.revision, published.revision);
    assert_eq!(content.images.len(), 1);
    assert_eq!(content.sources.len(), 1);
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), Some(image.structural_hash));
    let version = &content.histories[0].versions[0];
    assert_eq!((version.origin, version.source_hash), (Origin::Compile, Some(source_hash(SOURCES[1]))));
    assert_eq!(version.revision, published.revision);
}

async fn publishing_the_same_again_changes_nothing(store: Store) {
    let first = store.publish(publication(1)).await.unwrap();
    let before = Content::of(&*store).await;
    let again = store.publish(publication(1)).await.unwrap();
    assert_eq!((again.changed, again.version, again.revision), (false, Some(1), first.revision));
    assert_eq!(again.previous, Some(active(1, &image(1))));
    assert_eq!(Content::of(&*store).await, before);
}

async fn publishing_a_change_makes_a_version(store: Store) {
    store.publish(publication(1)).await.unwrap();
    let published = store.publish(publication(2)).await.unwrap();
    assert_eq!((published.changed, published.version), (true, Some(2)));
    assert_eq!(published.previous, Some(active(1, &image(1))));
    let published = store.publish(publication(1)).await.unwrap();
    assert_eq!((published.changed, published.version), (true, Some(3)));
}

async fn publishing_without_a_name_makes_no_version(store: Store) {
    let anonymous = || Publication { name: None, ..publication(1) };
    let published = store.publish(anonymous()).await.unwrap();
    assert_eq!((published.changed, published.version, published.previous), (true, None, None));
    let published = store.publish(anonymous()).await.unwrap();
    assert!(!published.changed);
    let content = Content::of(&*store).await;
    assert_eq!((content.images.len(), content.histories.len()), (1, 0));
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), Some(published.structural_hash));
}

async fn publishing_against_a_precondition_leaves_nothing(store: Store) {
    store.publish(publication(1).with_precondition(Precondition::Absent)).await.unwrap();
    let before = Content::of(&*store).await;
    for precondition in [Precondition::Absent, Precondition::Active(7)] {
        let error = store.publish(publication(2).with_precondition(precondition)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(Content::of(&*store).await, before);
    }
    let published = store.publish(publication(2).with_precondition(Precondition::Active(1))).await.unwrap();
    assert_eq!(published.version, Some(2));
}

async fn storing_tells_the_hash(store: Store) {
    for _ in 0..2 {
        assert_eq!(store.store(image(1)).await.unwrap(), image(1).structural_hash);
    }
    assert_eq!(store.get(&image(1).structural_hash).await.unwrap(), Some(image(1)));
}

async fn an_alias_points_a_name_to_a_stored_image(store: Store) {
    let a = name("a");
    let first = image_of(1, SOURCES[0]);
    let error = store.alias(&a, &first.structural_hash).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    store.store(Arc::clone(&first)).await.unwrap();
    let published = store.alias(&a, &first.structural_hash).await.unwrap();
    assert_eq!((published.changed, published.version, published.previous), (true, Some(1), None));
    let history = store.versions(&a).await.unwrap().unwrap();
    let version = &history.versions[0];
    assert_eq!((version.origin, version.source_hash), (Origin::Alias, Some(source_hash(SOURCES[0]))));
    let again = store.alias(&a, &first.structural_hash).await.unwrap();
    assert_eq!((again.changed, again.version, again.revision), (false, Some(1), published.revision));
    store.store(image(2)).await.unwrap();
    let published = store.alias(&a, &image(2).structural_hash).await.unwrap();
    assert_eq!((published.version, published.previous), (Some(2), Some(active(1, &first))));
}

async fn aliases_are_listed_without_deleted_names(store: Store) {
    assert_eq!(store.list_aliases().await.unwrap(), BTreeMap::new());
    for (text, number) in [("a", 1), ("b", 2), ("c", 1)] {
        publish(&store, &name(text), &image(number)).await;
    }
    commit(&store, [delete(&name("a"))]).await;
    let expected = [("b", 2), ("c", 1)].map(|(text, number)| (name(text), image(number).structural_hash));
    assert_eq!(store.list_aliases().await.unwrap(), BTreeMap::from(expected));
}

async fn an_image_is_found_by_name_and_by_reference(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    assert_eq!(store.get_by_name(&a).await.unwrap(), Some(image(2)));
    assert_eq!(store.get_by_name(&name("b")).await.unwrap(), None);
    let by_text = async |text: &str| {
        let reference: Reference = text.parse().unwrap();
        store.get_by_reference(&reference).await.unwrap()
    };
    let hash = image(1).structural_hash;
    assert_eq!(by_text("a").await, Some(image(2)));
    for text in [hash.to_string(), format!("blake3:{hash}"), format!("sha256:{hash}")] {
        assert_eq!(by_text(&text).await, Some(image(1)), "{text}");
    }
    assert_eq!(by_text("b").await, None);
    assert_eq!(by_text(&image(3).structural_hash.to_string()).await, None);
    commit(&store, [delete(&a)]).await;
    assert_eq!(by_text("a").await, None);
}

async fn an_index_entry_tells_whether_it_changed(store: Store) {
    let hash = image(1).structural_hash;
    assert_eq!(store.index_syntactic(key(1), &hash).await.unwrap_err().kind(), ErrorKind::NotFound);
    store.store(image(1)).await.unwrap();
    assert!(store.index_syntactic(key(1), &hash).await.unwrap());
    assert!(!store.index_syntactic(key(1), &hash).await.unwrap());
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), Some(hash));
}

async fn all_images_and_names_are_listed(store: Store) {
    let mut images: Vec<_> = (0..5).map(image).collect();
    for (number, image) in images.iter().enumerate() {
        publish(&store, &name(&format!("n{number}")), image).await;
    }
    images.sort_by_key(|image| image.structural_hash);
    let expected: Vec<_> = images.iter().map(|image| ImageSummary::of(image)).collect();
    assert_eq!(store.list_all_images().await.unwrap(), expected);
    let names: Vec<_> = store.list_all_names().await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["n0", "n1", "n2", "n3", "n4"].map(name));
}

async fn removing_tells_whether_the_image_was_there(store: Store) {
    let a = name("a");
    assert!(!store.remove(&image(1).structural_hash).await.unwrap());
    store.store(image(1)).await.unwrap();
    assert!(store.remove(&image(1).structural_hash).await.unwrap());
    assert!(!store.remove(&image(1).structural_hash).await.unwrap());
    publish(&store, &a, &image(2)).await;
    assert_eq!(store.remove(&image(2).structural_hash).await.unwrap_err().kind(), ErrorKind::InUse);
}

async fn rollback_goes_to_the_version_before_the_active_one(store: Store) {
    let a = name("a");
    for number in 1..=3 {
        publish(&store, &a, &image(number)).await;
    }
    let first = store.rollback(&a, None, Precondition::Any).await.unwrap();
    assert!(first.changed);
    assert_eq!((first.active, first.previous), (active(2, &image(2)), Some(active(3, &image(3)))));
    assert_eq!(store.status().await.unwrap().revision, first.revision);
    let second = store.rollback(&a, None, Precondition::Active(2)).await.unwrap();
    assert_eq!(second.active, active(1, &image(1)));
    assert_eq!(store.resolve(&a).await.unwrap(), Some(active(1, &image(1))));
    assert_eq!(numbers(&store, &a).await, [1, 2, 3]);
    // What is published next is a new version, also when it is what the newest one was.
    assert_eq!(publish(&store, &a, &image(3)).await, 4);
}

async fn rollback_goes_to_the_version_that_is_told(store: Store) {
    let a = name("a");
    for number in 1..=3 {
        publish(&store, &a, &image(number)).await;
    }
    let rolled_back = store.rollback(&a, Some(1), Precondition::Any).await.unwrap();
    assert_eq!(rolled_back.active, active(1, &image(1)));
    let forward = store.rollback(&a, Some(3), Precondition::Any).await.unwrap();
    assert_eq!((forward.changed, forward.active), (true, active(3, &image(3))));
    let again = store.rollback(&a, Some(3), Precondition::Any).await.unwrap();
    assert_eq!((again.changed, again.revision), (false, forward.revision));
    let error = store.rollback(&a, Some(9), Precondition::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // It also brings a deleted name back.
    commit(&store, [delete(&a)]).await;
    let restored = store.rollback(&a, Some(2), Precondition::Absent).await.unwrap();
    assert_eq!((restored.active, restored.previous), (active(2, &image(2)), None));
}

async fn rollback_without_an_older_version_is_not_found(store: Store) {
    let a = name("a");
    let error = async || store.rollback(&a, None, Precondition::Any).await.unwrap_err().kind();
    assert_eq!(error().await, ErrorKind::NotFound, "there is no such name");
    publish(&store, &a, &image(1)).await;
    assert_eq!(error().await, ErrorKind::NotFound, "it has one version");
    publish(&store, &a, &image(2)).await;
    commit(&store, [set_active(&a, 1)]).await;
    assert_eq!(error().await, ErrorKind::NotFound, "the oldest is active");
    commit(&store, [delete(&a)]).await;
    assert_eq!(error().await, ErrorKind::NotFound, "it is deleted");
}

async fn rollback_keeps_to_its_precondition(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    let conflict =
        async |version, precondition| store.rollback(&a, version, precondition).await.unwrap_err().kind();
    // The precondition is told first, although there is nothing to go back to.
    assert_eq!(conflict(None, Precondition::Active(7)).await, ErrorKind::Conflict);
    publish(&store, &a, &image(2)).await;
    for version in [None, Some(1)] {
        assert_eq!(conflict(version, Precondition::Active(1)).await, ErrorKind::Conflict);
        assert_eq!(conflict(version, Precondition::Absent).await, ErrorKind::Conflict);
    }
    assert_eq!(store.resolve(&a).await.unwrap(), Some(active(2, &image(2))));
}

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn options_at(milliseconds: i64) -> GcOptions {
    GcOptions::new(Timestamp::from_milliseconds(milliseconds).unwrap())
}

/// The hashes of these images in ascending order.
fn hashes(numbers: impl IntoIterator<Item = i64>) -> Vec<StructuralHash> {
    let mut hashes: Vec<_> = numbers.into_iter().map(|number| image(number).structural_hash).collect();
    hashes.sort();
    hashes
}

async fn gc_removes_old_images_that_no_version_refers_to(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    publish(&store, &name("b"), &image(3)).await;
    commit(&store, [delete(&name("b"))]).await;
    let sourced = image_of(4, SOURCES[0]);
    commit(&store, [put(&sourced), put_source(SOURCES[0]), index(key(4), &sourced), put(&image(5))]).await;
    let report = store.gc(options_at(8 * DAY)).await.unwrap();
    assert_eq!((report.removed, report.kept), (hashes([4, 5]), 3));
    let content = Content::of(&*store).await;
    assert!(content.images.keys().copied().eq(hashes([1, 2, 3])), "what a version refers to stays");
    assert!(content.sources.is_empty() && content.index.is_empty());
    let report = store.gc(options_at(8 * DAY)).await.unwrap();
    assert_eq!((report.removed, report.kept), (vec![], 3));
}

async fn gc_keeps_images_in_use_and_young_ones(store: Store) {
    for (number, day) in [(1, 0), (2, 2), (3, 3), (4, 20), (5, 0)] {
        store.store(compiled_at(&image(number), day * DAY)).await.unwrap();
    }
    let mut options = options_at(10 * DAY);
    options.in_use.insert(image(5).structural_hash);
    // Exactly seven days is not longer than seven days; the twentieth day lies ahead.
    let report = store.gc(options.clone()).await.unwrap();
    assert_eq!((report.removed, report.kept), (hashes([1, 2]), 3));
    options.older_than = Duration::ZERO;
    let report = store.gc(options.clone()).await.unwrap();
    assert_eq!((report.removed, report.kept), (hashes([3]), 2));
    options.in_use.clear();
    options.older_than = Duration::MAX;
    assert_eq!(store.gc(options).await.unwrap().removed, []);
}

async fn gc_can_be_run_dry(store: Store) {
    publish(&store, &name("a"), &image(1)).await;
    commit(&store, [put(&image(2)), put(&image(3))]).await;
    let before = Content::of(&*store).await;
    let report = store.gc(GcOptions { dry_run: true, ..options_at(8 * DAY) }).await.unwrap();
    assert_eq!((report.removed, report.kept), (hashes([2, 3]), 1));
    assert_eq!(Content::of(&*store).await, before);
}

async fn gc_removes_many_images(store: Store) {
    commit(&store, (0..250).map(|number| put(&image(number)))).await;
    commit(&store, (0..250).step_by(25).map(|number| record(&name(&format!("n{number}")), &image(number))))
        .await;
    let report = store.gc(options_at(8 * DAY)).await.unwrap();
    let unused = (0..250).filter(|number| number % 25 != 0);
    assert_eq!((report.removed, report.kept), (hashes(unused), 10));
    assert_eq!(Content::of(&*store).await.images.len(), 10);
}
