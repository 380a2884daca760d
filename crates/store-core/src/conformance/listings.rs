//! Listings: their order, their pages, and that they are snapshots.

use std::fmt::Debug;

use futures_core::stream::BoxStream;
use futures_util::future::BoxFuture;

use super::fixtures::{commit, delete, image, index, key, name, publish, put, remove};
use super::{Store, case_list};
use crate::ext::collect;
use crate::{
    ImageSummary, IndexEntry, ListOptions, NameEntry, NamedImage, Operation, Result, StructuralHash,
    SyntacticKey,
};

case_list![
    images_are_listed_by_ascending_hash_in_pages,
    named_images_are_listed_by_ascending_hash_in_pages,
    a_prefix_lists_the_images_that_have_such_a_name,
    names_are_listed_by_ascending_bytes_in_pages,
    the_index_is_listed_by_ascending_key_in_pages,
    deleted_names_are_listed_without_a_version,
    a_page_may_start_after_a_key_that_is_not_there,
    a_listing_is_a_snapshot_at_the_time_of_the_call,
];

fn all<T: Send + 'static>(listing: BoxStream<'static, Result<T>>) -> BoxFuture<'static, Vec<T>> {
    Box::pin(async { collect(listing).await.unwrap() })
}

/// Lists everything, then in pages of every size and after every key, and compares.
async fn check_pages<K: Clone + Debug, E: PartialEq + Debug>(
    list: impl Fn(ListOptions<K>) -> BoxFuture<'static, Vec<E>>,
    keys: Vec<K>,
) {
    let all = list(ListOptions::default()).await;
    assert_eq!(all.len(), keys.len());
    for limit in 0..=keys.len() + 1 {
        for start in 0..=keys.len() {
            let after = start.checked_sub(1).map(|before| keys[before].clone());
            let page = list(ListOptions { after: after.clone(), limit: Some(limit) }).await;
            let end = keys.len().min(start + limit);
            assert_eq!(page, all[start..end], "at most {limit} after {after:?}");
        }
    }
    let after = keys.last().cloned();
    assert_eq!(list(ListOptions { after, limit: None }).await, []);
}

async fn images_are_listed_by_ascending_hash_in_pages(store: Store) {
    commit(&store, (0..7).map(|number| put(&image(number)))).await;
    let mut images: Vec<_> = (0..7).map(image).collect();
    images.sort_by_key(|image| image.structural_hash);
    let list = |options| all(store.list_images(options));
    let expected: Vec<_> = images.iter().map(|image| ImageSummary::of(image)).collect();
    assert_eq!(list(ListOptions::default()).await, expected);
    check_pages(list, images.iter().map(|image| image.structural_hash).collect()).await;
}

async fn named_images_are_listed_by_ascending_hash_in_pages(store: Store) {
    // An image with two names, one with one, one that only an older version of a name refers to, one that a deleted name
    // had, and one that no name ever had.
    for (text, number) in [("b", 0), ("a", 0), ("c", 1), ("d", 2), ("d", 3), ("e", 4), ("f", 5), ("g", 6)] {
        publish(&store, &name(text), &image(number)).await;
    }
    commit(&store, [delete(&name("e")), put(&image(7))]).await;
    let entry = |number: i64, names: &[&str]| NamedImage {
        structural_hash: image(number).structural_hash,
        names: names.iter().copied().map(name).collect(),
        summary: Some(ImageSummary::of(&image(number))),
    };
    let mut expected =
        [entry(0, &["a", "b"]), entry(1, &["c"]), entry(3, &["d"]), entry(5, &["f"]), entry(6, &["g"])];
    expected.sort_by_key(|image| image.structural_hash);
    let list = |options| all(store.list_named("", options));
    assert_eq!(list(ListOptions::default()).await, expected);
    check_pages(list, expected.iter().map(|image| image.structural_hash).collect()).await;
}

async fn a_prefix_lists_the_images_that_have_such_a_name(store: Store) {
    for (text, number) in
        [("team/a", 0), ("team/b", 1), ("other", 1), ("tea", 2), ("team0", 3), ("team/c", 4), ("team/d", 5)]
    {
        publish(&store, &name(text), &image(number)).await;
    }
    commit(&store, [delete(&name("team/c"))]).await;
    publish(&store, &name("team/d"), &image(2)).await;
    let list = |options| all(store.list_named("team/", options));
    let mut expected = [0, 1, 2].map(|number| image(number).structural_hash);
    expected.sort();
    let listed = list(ListOptions::default()).await;
    assert_eq!(listed.iter().map(|image| image.structural_hash).collect::<Vec<_>>(), expected);
    let both = listed.iter().find(|listed| listed.structural_hash == image(1).structural_hash).unwrap();
    assert_eq!(both.names, [name("other"), name("team/b")], "with all its names");
    check_pages(list, expected.to_vec()).await;
    assert_eq!(all(store.list_named("nobody", ListOptions::default())).await, []);
}

async fn names_are_listed_by_ascending_bytes_in_pages(store: Store) {
    // Bytes, not letters: upper case first, a prefix before what it starts, `/` between `.` and `0`.
    let sorted = ["B", "a", "a b", "a-b", "a.b", "a/b", "a0", "aB", "ab", "\u{e9}", "\u{ff5e}", "\u{1f600}"];
    let mut shuffled = sorted;
    shuffled.rotate_left(5);
    shuffled.swap(0, 7);
    for text in shuffled {
        publish(&store, &name(text), &image(1)).await;
    }
    let list = |options| all(store.list_names(options));
    let listed: Vec<_> = list(ListOptions::default()).await.into_iter().map(|entry| entry.name).collect();
    assert_eq!(listed, sorted.map(name));
    check_pages(list, sorted.map(name).to_vec()).await;
}

async fn the_index_is_listed_by_ascending_key_in_pages(store: Store) {
    let mut keys: Vec<_> = (0..5).map(key).collect();
    // Keys of one program and several registries.
    keys.extend((5..8).map(|number| SyntacticKey { registry: registry(number), ..key(0) }));
    let entries = keys.iter().map(|key| index(*key, &image(1)));
    commit(&store, [put(&image(1))].into_iter().chain(entries)).await;
    keys.sort();
    let list = |options| all(store.list_index(options));
    let structural_hash = image(1).structural_hash;
    let expected: Vec<_> = keys.iter().map(|key| IndexEntry { key: *key, structural_hash }).collect();
    assert_eq!(list(ListOptions::default()).await, expected);
    check_pages(list, keys).await;
}

fn registry(number: u8) -> crate::RegistryHash {
    crate::RegistryHash::of_bytes(&[number])
}

async fn deleted_names_are_listed_without_a_version(store: Store) {
    let (a, b) = (name("a"), name("b"));
    publish(&store, &a, &image(1)).await;
    publish(&store, &b, &image(1)).await;
    commit(&store, [delete(&a)]).await;
    let names = collect(store.list_names(ListOptions::default())).await.unwrap();
    let active = store.resolve(&b).await.unwrap();
    assert!(active.is_some());
    assert_eq!(names, [NameEntry { name: a, active: None }, NameEntry { name: b, active }]);
}

async fn a_page_may_start_after_a_key_that_is_not_there(store: Store) {
    for text in ["a", "c", "e"] {
        publish(&store, &name(text), &image(1)).await;
    }
    for (after, expected) in [("Z", 3), ("b", 2), ("d", 1), ("f", 0)] {
        let options = ListOptions { after: Some(name(after)), limit: None };
        assert_eq!(collect(store.list_names(options)).await.unwrap().len(), expected, "after {after}");
    }
    let least = StructuralHash::from_bytes([0; 32]);
    let greatest = StructuralHash::from_bytes([0xff; 32]);
    for (after, expected) in [(least, 1), (greatest, 0)] {
        let options = ListOptions { after: Some(after), limit: None };
        assert_eq!(collect(store.list_images(options)).await.unwrap().len(), expected);
    }
}

type Listed = (Vec<ImageSummary>, Vec<NamedImage>, Vec<NameEntry>, Vec<IndexEntry>);

async fn a_listing_is_a_snapshot_at_the_time_of_the_call(store: Store) {
    commit(&store, (0..50).map(|number| put(&image(number)))).await;
    let entries = (0..50).map(|number: i64| index(key(number.unsigned_abs()), &image(number)));
    commit(&store, entries.collect::<Vec<Operation>>()).await;
    for number in 0..20 {
        publish(&store, &name(&format!("n{number}")), &image(0)).await;
    }
    let start = || -> BoxFuture<'static, Listed> {
        let images = store.list_images(ListOptions::default());
        let pointed = store.list_named("", ListOptions::default());
        let names = store.list_names(ListOptions::default());
        let index = store.list_index(ListOptions::default());
        Box::pin(async {
            let (images, pointed) = (collect(images).await.unwrap(), collect(pointed).await.unwrap());
            (images, pointed, collect(names).await.unwrap(), collect(index).await.unwrap())
        })
    };
    let before = start().await;
    let early = start();
    commit(&store, (1..30).map(|number| remove(&image(number)))).await;
    commit(&store, (50..60).map(|number| put(&image(number)))).await;
    publish(&store, &name("another"), &image(50)).await;
    publish(&store, &name("n0"), &image(51)).await;
    commit(&store, [index(key(0), &image(51)), index(key(99), &image(51)), delete(&name("n1"))]).await;
    assert_eq!(early.await, before);
    let after = start().await;
    assert_ne!(after.0, before.0);
    assert_ne!(after.1, before.1);
    assert_ne!(after.2, before.2);
    assert_ne!(after.3, before.3);
}
