//! All that can be read from a store, with the rules that any content keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fixtures::{SOURCES, source_hash};
use crate::ext::collect;
use crate::{
    ImageSummary, IndexEntry, ListOptions, NameEntry, PipelineImage, PipelineStore, Revision, SourceHash,
    StructuralHash, VersionHistory,
};

/// The content of a store.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Content {
    pub(super) revision: Revision,
    pub(super) images: BTreeMap<StructuralHash, PipelineImage>,
    pub(super) sources: BTreeMap<SourceHash, Arc<str>>,
    pub(super) histories: Vec<VersionHistory>,
    pub(super) index: Vec<IndexEntry>,
}

impl Content {
    /// Reads a store in every way there is, and checks that the ways agree. Nothing else may use the store.
    pub(super) async fn of(store: &dyn PipelineStore) -> Self {
        let summaries = collect(store.list_images(ListOptions::default())).await.unwrap();
        assert!(summaries.is_sorted_by(|a, b| a.structural_hash < b.structural_hash), "images are sorted");
        let mut images = BTreeMap::new();
        for summary in summaries {
            let image = store.get(&summary.structural_hash).await.unwrap();
            let image = image.expect("an image that is listed is stored");
            assert_eq!(image.verify().map(drop).map_err(|error| error.kind()), Ok(()));
            assert_eq!(summary, ImageSummary::of(&image));
            images.insert(summary.structural_hash, PipelineImage::clone(&image));
        }

        let names = collect(store.list_names(ListOptions::default())).await.unwrap();
        assert!(names.is_sorted_by(|a, b| a.name < b.name), "names are sorted by their bytes");
        let mut histories = Vec::new();
        let mut revisions = BTreeSet::new();
        for NameEntry { name, active } in &names {
            let history = store.versions(name).await.unwrap().expect("a name that is listed has a history");
            assert_eq!(history.pipeline_name, *name);
            assert!(history.versions.is_sorted_by(|a, b| a.version < b.version && a.revision <= b.revision));
            for version in &history.versions {
                assert!(version.version >= 1 && version.version < history.next_version, "{history:?}");
                assert!(images.contains_key(&version.structural_hash), "a version's image is stored");
                revisions.insert(version.revision);
            }
            if let Some(number) = history.active_version {
                assert!(
                    history.get(number).is_some(),
                    "the active version is one of the versions: {history:?}"
                );
            }
            assert_eq!(history.active(), *active, "the listing agrees with the history");
            assert_eq!(store.resolve(name).await.unwrap(), *active, "the alias is the active version");
            histories.push(VersionHistory::clone(&history));
        }

        for structural_hash in images.keys() {
            let points_to_it = |entry: &&NameEntry| {
                entry.active.is_some_and(|active| active.structural_hash == *structural_hash)
            };
            let expected: Vec<_> =
                names.iter().filter(points_to_it).map(|entry| entry.name.clone()).collect();
            assert_eq!(store.names_of(structural_hash).await.unwrap(), expected);
        }

        let index = collect(store.list_index(ListOptions::default())).await.unwrap();
        assert!(index.is_sorted_by(|a, b| a.key < b.key), "the index is sorted");
        for IndexEntry { key, structural_hash } in &index {
            assert_eq!(store.lookup_syntactic(key).await.unwrap(), Some(*structural_hash));
            assert!(images.contains_key(structural_hash), "an index entry leads to a stored image");
        }

        let of_images = images.values().filter_map(|image| image.metadata.source_hash);
        let versions = histories.iter().flat_map(|history| &history.versions);
        let hashes: BTreeSet<SourceHash> = of_images
            .chain(versions.filter_map(|version| version.source_hash))
            .chain(SOURCES.map(source_hash))
            .collect();
        let mut sources = BTreeMap::new();
        for hash in hashes {
            if let Some(text) = store.source(&hash).await.unwrap() {
                assert_eq!(SourceHash::of_bytes(text.as_bytes()), hash);
                sources.insert(hash, text);
            }
        }

        let status = store.status().await.unwrap();
        assert_eq!(status.images, images.len() as u64);
        assert_eq!(status.names, names.iter().filter(|entry| entry.active.is_some()).count() as u64);
        assert_eq!(status.read_only, None);
        assert!(revisions.last() <= Some(&status.revision), "no version is newer than the store");
        Self { revision: status.revision, images, sources, histories, index }
    }
}
