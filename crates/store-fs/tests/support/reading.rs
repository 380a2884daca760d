//! What can be read from a store through its contract, as JSON, so that it can be written down.

use std::collections::BTreeMap;

use constellation_store_core::{
    ImageMetadata, ListOptions, NameEntry, PipelineImage, PipelineStore, SourceHash, Version, VersionHistory,
};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

/// Everything that can be read from a store.
pub(crate) async fn content(store: &dyn PipelineStore) -> Value {
    let mut sources: Vec<SourceHash> = Vec::new();
    let mut images = BTreeMap::new();
    let summaries: Vec<_> = store.list_images(ListOptions::default()).try_collect().await.unwrap();
    for summary in summaries {
        let image = store.get(&summary.structural_hash).await.unwrap().unwrap();
        image.verify().unwrap();
        sources.extend(image.metadata.source_hash);
        images.insert(image.structural_hash.to_string(), describe_image(&image));
    }
    let mut names = BTreeMap::new();
    let entries: Vec<_> = store.list_names(ListOptions::default()).try_collect().await.unwrap();
    for NameEntry { name, active } in entries {
        let history = store.versions(&name).await.unwrap().unwrap();
        assert_eq!(store.resolve(&name).await.unwrap(), active);
        assert_eq!(history.active(), active);
        sources.extend(history.versions.iter().filter_map(|version| version.source_hash));
        names.insert(name.to_string(), describe_history(&history));
    }
    let mut texts = BTreeMap::new();
    for hash in sources {
        texts.insert(hash.to_string(), store.source(&hash).await.unwrap().map(|text| text.to_string()));
    }
    let index: Vec<_> = store.list_index(ListOptions::default()).try_collect().await.unwrap();
    let index: BTreeMap<_, _> =
        index.into_iter().map(|entry| (entry.key.to_string(), entry.structural_hash.to_string())).collect();
    let revision = store.status().await.unwrap().revision.0;
    json!({ "revision": revision, "images": images, "sources": texts, "index": index, "names": names })
}

// Not their serde forms: what is expected is to stay when those get new members.

fn describe_image(image: &PipelineImage) -> Value {
    let PipelineImage { structural_hash: _, dag_spec, metadata, extra } = image;
    let ImageMetadata {
        compiled_at,
        source_hash,
        module_count,
        input_count,
        output_count,
        syntactic_hash,
        compiler,
        extra: metadata_extra,
    } = metadata;
    json!({
        "graph": String::from_utf8(dag_spec.canonical_json()).unwrap(),
        "compiledAt": compiled_at.to_string(),
        "source": source_hash.map(|hash| hash.to_string()),
        "syntactic": syntactic_hash.map(|hash| hash.to_string()),
        "modulesInputsOutputs": [module_count, input_count, output_count],
        "compiler": compiler,
        "extra": [extra, metadata_extra],
    })
}

fn describe_history(history: &VersionHistory) -> Value {
    let VersionHistory {
        pipeline_name: _,
        versions,
        active_version,
        next_version,
        loader_source_hash,
        extra,
    } = history;
    let versions: Vec<_> = versions
        .iter()
        .map(|version| {
            let Version { version, structural_hash, created_at, revision, origin, source_hash, extra } =
                version;
            json!({
                "version": version,
                "image": structural_hash.to_string(),
                "at": created_at.to_string(),
                "revision": revision.0,
                "origin": format!("{origin:?}"),
                "source": source_hash.map(|hash| hash.to_string()),
                "extra": extra,
            })
        })
        .collect();
    json!({
        "versions": versions,
        "active": active_version,
        "next": next_version,
        "loaderSource": loader_source_hash.map(|hash| hash.to_string()),
        "extra": extra,
    })
}
