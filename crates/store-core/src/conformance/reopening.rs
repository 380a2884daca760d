//! What survives when a store is opened again. Only for backends that keep their content.

use super::content::Content;
use super::fixtures::{
    SOURCES, commit, commit_of, compiled_at, delete, image, image_of, index, key, name, numbers, prune,
    publish, put, put_source, record_from, refused, remove, set_active,
};
use super::names::{check_odd_names, publish_odd_names};
use super::random::random_commits_survive_reopening;
use super::{Place, Store, case_list};
use crate::{Origin, PipelineStoreExt, Publication};

case_list![Place:
    everything_survives_closing_and_reopening,
    everything_survives_reopening_without_closing,
    an_empty_store_opens_again,
    version_numbers_and_revisions_go_on_after_reopening,
    what_was_deleted_pruned_or_removed_stays_gone,
    the_counts_of_the_status_survive_reopening,
    a_refused_commit_leaves_nothing_to_be_found_by_reopening,
    a_program_is_found_again_without_compiling,
    every_allowed_name_survives_reopening,
    random_commits_survive_reopening,
];

async fn fill(store: &Store) {
    let (a, b) = (name("pricing/quote v2"), name("b"));
    let dated = compiled_at(&image_of(1, SOURCES[1]), 1_770_042_600_123);
    let mut annotated = crate::PipelineImage::clone(&image(2));
    annotated.metadata.extra.insert("team".into(), "risk".into());
    annotated.extra.insert("note".into(), serde_json::json!({ "z": 1, "a": [] }));
    let annotated = std::sync::Arc::new(annotated);
    commit(store, [put(&dated), put_source(SOURCES[1]), index(key(1), &dated)]).await;
    commit(store, [record_from(Origin::Loader, &a, &dated, Some(SOURCES[1]))]).await;
    commit(store, [put(&annotated), record_from(Origin::Reload, &a, &annotated, None)]).await;
    commit(store, [put(&image(3)), record_from(Origin::Alias, &b, &image(3), Some(SOURCES[0]))]).await;
    commit(store, [set_active(&a, 1), delete(&b), put_source(SOURCES[2])]).await;
}

async fn everything_survives_closing_and_reopening(place: Place) {
    let mut store = place.open().await;
    fill(&store).await;
    let before = Content::of(&*store).await;
    for _ in 0..3 {
        store.close().await.unwrap();
        drop(store);
        store = place.open().await;
        assert_eq!(Content::of(&*store).await, before);
    }
}

async fn everything_survives_reopening_without_closing(place: Place) {
    let store = place.open().await;
    fill(&store).await;
    let before = Content::of(&*store).await;
    drop(store);
    for _ in 0..3 {
        assert_eq!(Content::of(&*place.open().await).await, before);
    }
}

async fn an_empty_store_opens_again(place: Place) {
    let before = Content::of(&*place.open().await).await;
    let store = place.open().await;
    assert_eq!(Content::of(&*store).await, before);
    assert_eq!(publish(&store, &name("a"), &image(1)).await, 1);
}

async fn version_numbers_and_revisions_go_on_after_reopening(place: Place) {
    let (a, b) = (name("a"), name("b"));
    let store = place.open().await;
    for number in 1..=3 {
        publish(&store, &a, &image(number)).await;
    }
    publish(&store, &b, &image(1)).await;
    commit(&store, [set_active(&a, 1), prune(&a, 0), delete(&b), prune(&b, 0)]).await;
    // The last revision is that of a commit that left no version behind.
    let latest = commit(&store, [put_source(SOURCES[0])]).await.revision;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.status().await.unwrap().revision, latest);
    let committed = commit(&store, [put(&image(9))]).await;
    assert!(committed.revision > latest);
    assert_eq!(publish(&store, &a, &image(9)).await, 4);
    assert_eq!(publish(&store, &b, &image(9)).await, 2);
    drop(store);
    let store = place.open().await;
    assert_eq!(numbers(&store, &a).await, [1, 4]);
    assert_eq!(numbers(&store, &b).await, [2]);
}

async fn what_was_deleted_pruned_or_removed_stays_gone(place: Place) {
    let a = name("a");
    let sourced = image_of(5, SOURCES[0]);
    let store = place.open().await;
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    commit(
        &store,
        [put(&sourced), put_source(SOURCES[0]), index(key(1), &sourced), index(key(2), &image(2))],
    )
    .await;
    // So that all of it has reached wherever the backend keeps it.
    store.close().await.unwrap();
    drop(store);
    let store = place.open().await;
    commit(&store, [prune(&a, 1), delete(&a), remove(&image(1)), remove(&sourced)]).await;
    let before = Content::of(&*store).await;
    assert_eq!((before.images.len(), before.sources.len(), before.index.len()), (1, 0, 1));
    drop(store);
    for _ in 0..2 {
        let store = place.open().await;
        assert_eq!(Content::of(&*store).await, before);
        store.close().await.unwrap();
    }
}

async fn the_counts_of_the_status_survive_reopening(place: Place) {
    let store = place.open().await;
    fill(&store).await;
    let before = store.status().await.unwrap();
    assert!(before.bytes > 0);
    drop(store);
    for _ in 0..2 {
        let store = place.open().await;
        assert_eq!(store.status().await.unwrap(), before);
        store.close().await.unwrap();
    }
}

async fn a_refused_commit_leaves_nothing_to_be_found_by_reopening(place: Place) {
    let store = place.open().await;
    fill(&store).await;
    let before = Content::of(&*store).await;
    let a = name("another");
    let operations = [put(&image(7)), put_source(SOURCES[0]), index(key(7), &image(7)), set_active(&a, 1)];
    refused(&store, commit_of(operations)).await;
    drop(store);
    assert_eq!(Content::of(&*place.open().await).await, before);
}

async fn a_program_is_found_again_without_compiling(place: Place) {
    let image = image_of(1, SOURCES[0]);
    let publication = || {
        Publication::new(std::sync::Arc::clone(&image), Origin::Loader)
            .with_source(SOURCES[0].into())
            .with_key(key(1))
            .with_name(name("a"))
    };
    let store = place.open().await;
    let first = store.publish(publication()).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), Some(image.structural_hash));
    assert_eq!(store.get_by_name(&name("a")).await.unwrap(), Some(std::sync::Arc::clone(&image)));
    let again = store.publish(publication()).await.unwrap();
    assert_eq!((again.changed, again.version, again.revision), (false, Some(1), first.revision));
}

async fn every_allowed_name_survives_reopening(place: Place) {
    publish_odd_names(&place.open().await).await;
    check_odd_names(&place.open().await).await;
}
