//! What reads answer.

use super::content::Content;
use super::fixtures::{
    SOURCES, commit, commit_of, delete, image, image_of, index, key, name, prune, publish, put, put_source,
    record, record_from, refused, remove, set_active, source_hash,
};
use super::{Store, case_list};
use crate::{Origin, PipelineImage, PipelineStore, Revision, StoreStatus};

case_list![
    an_empty_store_has_nothing,
    an_image_reads_back_as_it_was_put,
    a_source_reads_back_byte_by_byte,
    a_history_tells_all_about_its_versions,
    the_history_of_a_deleted_name_stays,
    the_status_counts_images_sources_and_active_names,
    the_status_counts_the_bytes_of_graphs_and_sources_once,
    a_store_behind_pointers_is_the_same_store,
    a_history_that_was_read_does_not_change,
];

async fn an_empty_store_has_nothing(store: Store) {
    assert_eq!(store.get(&image(1).structural_hash).await.unwrap(), None);
    assert_eq!(store.peek(&image(1).structural_hash).await.unwrap(), None);
    assert_eq!(store.resolve(&name("a")).await.unwrap(), None);
    assert_eq!(store.versions(&name("a")).await.unwrap(), None);
    assert_eq!(store.lookup_syntactic(&key(1)).await.unwrap(), None);
    assert_eq!(store.source(&source_hash("")).await.unwrap(), None);
    let content = Content::of(&*store).await;
    assert_eq!(content.revision, Revision(0));
    assert!(content.images.is_empty() && content.histories.is_empty() && content.index.is_empty());
    assert!(!store.to_string().is_empty(), "a store names itself");
}

async fn an_image_reads_back_as_it_was_put(store: Store) {
    let mut image = PipelineImage::clone(&image_of(i64::MIN, SOURCES[1]));
    image.metadata.compiled_at = "2026-02-02T14:30:00.123Z".parse().unwrap();
    image.metadata.compiler = Some("0.1.0".into());
    image.metadata.syntactic_hash = Some(key(1).syntactic);
    image.metadata.extra.insert("team".into(), serde_json::json!({ "b": [1, 2.5, null], "a": "\u{e9}" }));
    image.extra.insert("note".into(), "kept".into());
    let image = std::sync::Arc::new(image);
    commit(&store, [put(&image)]).await;
    // Before and after it was read, for whoever keeps what was read.
    for _ in 0..2 {
        assert_eq!(store.peek(&image.structural_hash).await.unwrap().as_ref(), Some(&image));
        assert_eq!(store.get(&image.structural_hash).await.unwrap().as_ref(), Some(&image));
    }
    Content::of(&*store).await;
}

async fn a_source_reads_back_byte_by_byte(store: Store) {
    let long = "x\r\n\u{0}\u{feff}".repeat(10_000);
    for source in SOURCES.into_iter().chain([&*long]) {
        commit(&store, [put_source(source)]).await;
        assert_eq!(store.source(&source_hash(source)).await.unwrap().as_deref(), Some(source));
    }
    assert_eq!(store.source(&source_hash("another")).await.unwrap(), None);
}

async fn a_history_tells_all_about_its_versions(store: Store) {
    let a = name("a");
    let first =
        commit(&store, [put(&image(1)), record_from(Origin::Reload, &a, &image(1), Some(SOURCES[0]))]).await;
    let second = commit(&store, [put(&image(2)), record(&a, &image(2))]).await;
    let history = store.versions(&a).await.unwrap().unwrap();
    assert_eq!(history.pipeline_name, a);
    assert_eq!((history.active_version, history.next_version), (Some(2), 3));
    let [v1, v2] = &history.versions[..] else { panic!("expected two versions: {history:?}") };
    assert_eq!((v1.version, v1.structural_hash), (1, image(1).structural_hash));
    assert_eq!((v1.revision, v1.origin), (first.revision, Origin::Reload));
    assert_eq!(v1.source_hash, Some(source_hash(SOURCES[0])));
    assert_eq!((v2.version, v2.structural_hash), (2, image(2).structural_hash));
    assert_eq!((v2.revision, v2.origin, v2.source_hash), (second.revision, Origin::Compile, None));
}

async fn the_history_of_a_deleted_name_stays(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    publish(&store, &a, &image(2)).await;
    let before = store.versions(&a).await.unwrap().unwrap();
    commit(&store, [delete(&a)]).await;
    let after = store.versions(&a).await.unwrap().unwrap();
    assert_eq!((&after.versions, after.active_version), (&before.versions, None));
}

async fn the_status_counts_images_sources_and_active_names(store: Store) {
    let status = async || store.status().await.unwrap();
    assert_eq!(status().await, StoreStatus::default());
    publish(&store, &name("a"), &image(1)).await;
    publish(&store, &name("b"), &image(1)).await;
    publish(&store, &name("b"), &image(2)).await;
    commit(&store, [put(&image(3)), put_source(SOURCES[0])]).await;
    commit(&store, [put_source(SOURCES[0]), put_source(SOURCES[1])]).await;
    assert_eq!((status().await.images, status().await.sources, status().await.names), (3, 2, 2));
    commit(&store, [delete(&name("a"))]).await;
    assert_eq!((status().await.images, status().await.names), (3, 1));
    assert_eq!((status().await.read_only, status().await.warnings), (None, vec![]));
}

async fn the_status_counts_the_bytes_of_graphs_and_sources_once(store: Store) {
    let bytes = async || store.status().await.unwrap().bytes;
    let (first, second) = (image_of(1, SOURCES[0]), image(2));
    let (a, b) = (name("a"), name("b"));
    publish(&store, &a, &first).await;
    publish(&store, &b, &second).await;
    let graphs = first.graph_bytes() + second.graph_bytes();
    assert_eq!(bytes().await, graphs);
    let texts = (SOURCES[0].len() + SOURCES[1].len()) as u64;
    for _ in 0..2 {
        commit(&store, [put(&first), put_source(SOURCES[0]), put_source(SOURCES[1])]).await;
        assert_eq!(bytes().await, graphs + texts);
    }
    refused(&store, commit_of([put(&image(3)), put_source(SOURCES[2]), set_active(&a, 9)])).await;
    assert_eq!(bytes().await, graphs + texts);
    // The source of the image goes with it; the other one is held by nothing, and stays.
    commit(&store, [delete(&a), prune(&a, 0), remove(&first)]).await;
    assert_eq!(bytes().await, second.graph_bytes() + SOURCES[1].len() as u64);
}

async fn a_store_behind_pointers_is_the_same_store(store: Store) {
    let a = name("a");
    commit(&store, [put(&image(1)), index(key(1), &image(1)), put_source(SOURCES[0]), record(&a, &image(1))])
        .await;
    let direct = Content::of(&*store).await;
    let boxed: Box<dyn PipelineStore> = Box::new(std::sync::Arc::clone(&store));
    assert_eq!(Content::of(&boxed).await, direct);
    boxed.close().await.unwrap();
    assert!(store.status().await.is_err());
}

async fn a_history_that_was_read_does_not_change(store: Store) {
    let a = name("a");
    publish(&store, &a, &image(1)).await;
    let before = store.versions(&a).await.unwrap().unwrap();
    publish(&store, &a, &image(2)).await;
    commit(&store, [delete(&a)]).await;
    assert_eq!((before.versions.len(), before.active_version), (1, Some(1)));
}
