//! Images, names and operations to test with, and short ways to use a store.

use std::sync::Arc;

use super::Store;
use crate::{
    Commit, Committed, DagSpec, ErrorKind, ImageMetadata, Literal, NodeIndex, NodeKind, NodeSpec, Operation,
    Origin, OutputSpec, PipelineImage, PipelineName, RegistryHash, SourceHash, StoreError, StructuralHash,
    SyntacticHash, SyntacticKey, Timestamp, TypeIndex, TypeSpec,
};

/// The sources that cases use.
pub(super) const SOURCES: [&str; 3] = ["in a: Int\nout a\n", "out b # caf\u{e9} \u{1f600}\n", ""];

pub(super) fn name(text: &str) -> PipelineName {
    text.parse().unwrap()
}

/// An image that differs from those of other numbers, without a source, compiled at the start of 1970.
pub(super) fn image(number: i64) -> Arc<PipelineImage> {
    let dag_spec = DagSpec {
        outputs: vec![OutputSpec { name: "x".into(), node: NodeIndex(0) }],
        types: vec![TypeSpec::Int],
        nodes: vec![NodeSpec {
            label: Some("x".into()),
            ty: TypeIndex(0),
            operation: NodeKind::Literal(Literal::Int(number)),
        }],
        ..DagSpec::default()
    };
    let metadata = ImageMetadata::new(&dag_spec, Timestamp::UNIX_EPOCH);
    Arc::new(PipelineImage::new(dag_spec, metadata))
}

pub(super) fn image_of(number: i64, source: &str) -> Arc<PipelineImage> {
    let mut image = PipelineImage::clone(&image(number));
    image.metadata.source_hash = Some(source_hash(source));
    Arc::new(image)
}

/// The same image, compiled at another time, in milliseconds.
pub(super) fn compiled_at(image: &PipelineImage, milliseconds: i64) -> Arc<PipelineImage> {
    let mut image = image.clone();
    image.metadata.compiled_at = Timestamp::from_milliseconds(milliseconds).unwrap();
    Arc::new(image)
}

/// An image whose hash is not that of its graph.
pub(super) fn mismatched_image() -> Arc<PipelineImage> {
    let mut image = PipelineImage::clone(&image(1));
    image.structural_hash = StructuralHash::of_bytes(b"another");
    Arc::new(image)
}

/// An image whose graph is not well formed, with the right hash.
pub(super) fn malformed_image() -> Arc<PipelineImage> {
    let mut dag_spec = image(1).dag_spec.clone();
    dag_spec.outputs[0].node = NodeIndex(7);
    let metadata = ImageMetadata::new(&dag_spec, Timestamp::UNIX_EPOCH);
    Arc::new(PipelineImage::new(dag_spec, metadata))
}

pub(super) fn source_hash(source: &str) -> SourceHash {
    SourceHash::of_bytes(source.as_bytes())
}

pub(super) fn key(number: u64) -> SyntacticKey {
    SyntacticKey {
        syntactic: SyntacticHash::of_bytes(&number.to_le_bytes()),
        registry: RegistryHash::of_bytes(b"registry"),
    }
}

pub(super) fn put(image: &Arc<PipelineImage>) -> Operation {
    Operation::PutImage(Arc::clone(image))
}

pub(super) fn put_source(source: &str) -> Operation {
    Operation::PutSource(source.into())
}

pub(super) fn index(key: SyntacticKey, image: &PipelineImage) -> Operation {
    Operation::Index { key, structural_hash: image.structural_hash }
}

pub(super) fn record(name: &PipelineName, image: &PipelineImage) -> Operation {
    record_from(Origin::Compile, name, image, None)
}

pub(super) fn record_from(
    origin: Origin,
    name: &PipelineName,
    image: &PipelineImage,
    source: Option<&str>,
) -> Operation {
    Operation::RecordVersion {
        name: name.clone(),
        structural_hash: image.structural_hash,
        origin,
        source_hash: source.map(source_hash),
    }
}

pub(super) fn set_active(name: &PipelineName, version: u64) -> Operation {
    Operation::SetActive { name: name.clone(), version }
}

pub(super) fn delete(name: &PipelineName) -> Operation {
    Operation::DeleteName { name: name.clone() }
}

pub(super) fn remove(image: &PipelineImage) -> Operation {
    Operation::RemoveImage { structural_hash: image.structural_hash }
}

pub(super) fn prune(name: &PipelineName, keep: usize) -> Operation {
    Operation::PruneVersions { name: name.clone(), keep }
}

pub(super) fn commit_of(operations: impl IntoIterator<Item = Operation>) -> Commit {
    operations.into_iter().fold(Commit::new(), Commit::then)
}

/// Commits operations that are expected to succeed.
pub(super) async fn commit(store: &Store, operations: impl IntoIterator<Item = Operation>) -> Committed {
    store.commit(commit_of(operations)).await.unwrap()
}

/// Commits operations that are expected to fail.
pub(super) async fn refused(store: &Store, commit: Commit) -> StoreError {
    let text = format!("{commit:?}");
    match store.commit(commit).await {
        Err(error) => error,
        Ok(committed) => panic!("expected an error, got {committed:?} for {text}"),
    }
}

/// The kind of the error of operations that are expected to fail.
pub(super) async fn kind(store: &Store, operations: impl IntoIterator<Item = Operation>) -> ErrorKind {
    refused(store, commit_of(operations)).await.kind()
}

/// Puts an image, and records it as a version of a name.
pub(super) async fn publish(store: &Store, name: &PipelineName, image: &Arc<PipelineImage>) -> u64 {
    commit(store, [put(image), record(name, image)]).await;
    store.resolve(name).await.unwrap().unwrap().version
}

/// The numbers of the versions of a name.
pub(super) async fn numbers(store: &Store, name: &PipelineName) -> Vec<u64> {
    let history = store.versions(name).await.unwrap().unwrap();
    history.versions.iter().map(|version| version.version).collect()
}
