//! The convenience calls of a store while others change it between their steps, and when it refuses a step.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use constellation_store_core::{
    ActiveVersion, Commit, Committed, DagSpec, ErrorKind, GcOptions, ImageMetadata, ImageSummary, IndexEntry,
    ListOptions, Literal, NameEntry, NamedImage, NodeIndex, NodeKind, NodeSpec, Operation, Origin,
    OutputSpec, PipelineImage, PipelineName, PipelineStore, PipelineStoreExt, Precondition, Result,
    SourceHash, StoreError, StoreStatus, StructuralHash, SyntacticKey, Timestamp, TypeIndex, TypeSpec,
    VersionHistory,
};
use constellation_store_mem::InMemoryPipelineStore;
use futures_core::stream::BoxStream;
use futures_util::FutureExt;

/// A call before which someone else commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Commit,
    Get,
    ListImages,
}

/// A store that others change before the next call of a kind.
#[derive(Debug, Default)]
struct Contended {
    inner: InMemoryPipelineStore,
    others: Mutex<VecDeque<(Call, Commit)>>,
    /// Why the next commits are refused, one after another.
    refusals: Mutex<VecDeque<ErrorKind>>,
    /// An image that is not found, although it is stored.
    lost: Option<StructuralHash>,
}

impl Contended {
    /// Others commit these operations before a call, each before the next one that fits.
    fn before(&self, call: Call, operations: impl IntoIterator<Item = Operation>) {
        self.others.lock().expect("no test panics with the lock").push_back((call, commit_of(operations)));
    }

    fn interfere(&self, call: Call) {
        let mut others = self.others.lock().expect("no test panics with the lock");
        if others.front().is_some_and(|(next, _)| *next == call) {
            let (_, commit) = others.pop_front().expect("it was there");
            wait(self.inner.commit(commit)).expect("what others do is fine");
        }
    }

    /// The next commits are refused for these reasons.
    fn refuse(&self, kinds: impl IntoIterator<Item = ErrorKind>) {
        self.refusals.lock().expect("no test panics with the lock").extend(kinds);
    }

    fn refusal(&self) -> Option<StoreError> {
        let kind = self.refusals.lock().expect("no test panics with the lock").pop_front()?;
        Some(StoreError::new(kind, "commit", "refused"))
    }

    fn is_quiet(&self) -> bool {
        self.others.lock().expect("no test panics with the lock").is_empty()
    }
}

impl fmt::Display for Contended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "contended, {}", self.inner)
    }
}

#[async_trait]
impl PipelineStore for Contended {
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.interfere(Call::Commit);
        match self.refusal() {
            Some(refusal) => Err(refusal),
            None => self.inner.commit(commit).await,
        }
    }

    async fn get(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        self.interfere(Call::Get);
        if self.lost.as_ref() == Some(structural_hash) {
            return Ok(None);
        }
        self.inner.get(structural_hash).await
    }

    async fn peek(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        self.get(structural_hash).await
    }

    async fn resolve(&self, name: &PipelineName) -> Result<Option<ActiveVersion>> {
        self.inner.resolve(name).await
    }

    async fn names_of(&self, structural_hash: &StructuralHash) -> Result<Vec<PipelineName>> {
        self.inner.names_of(structural_hash).await
    }

    async fn lookup_syntactic(&self, key: &SyntacticKey) -> Result<Option<StructuralHash>> {
        self.inner.lookup_syntactic(key).await
    }

    async fn versions(&self, name: &PipelineName) -> Result<Option<Arc<VersionHistory>>> {
        self.inner.versions(name).await
    }

    async fn source(&self, source_hash: &SourceHash) -> Result<Option<Arc<str>>> {
        self.inner.source(source_hash).await
    }

    fn list_images(&self, options: ListOptions<StructuralHash>) -> BoxStream<'static, Result<ImageSummary>> {
        self.interfere(Call::ListImages);
        self.inner.list_images(options)
    }

    fn list_named(
        &self,
        prefix: &str,
        options: ListOptions<StructuralHash>,
    ) -> BoxStream<'static, Result<NamedImage>> {
        self.inner.list_named(prefix, options)
    }

    fn list_names(&self, options: ListOptions<PipelineName>) -> BoxStream<'static, Result<NameEntry>> {
        self.inner.list_names(options)
    }

    fn list_index(&self, options: ListOptions<SyntacticKey>) -> BoxStream<'static, Result<IndexEntry>> {
        self.inner.list_index(options)
    }

    async fn status(&self) -> Result<StoreStatus> {
        self.inner.status().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the store never waits")
}

fn commit_of(operations: impl IntoIterator<Item = Operation>) -> Commit {
    operations.into_iter().fold(Commit::new(), Commit::then)
}

fn name() -> PipelineName {
    "a".parse().expect("it is a name")
}

fn image(number: i64) -> Arc<PipelineImage> {
    let dag_spec = DagSpec {
        outputs: vec![OutputSpec { name: "x".into(), node: NodeIndex(0) }],
        types: vec![TypeSpec::Int],
        nodes: vec![NodeSpec {
            label: None,
            ty: TypeIndex(0),
            operation: NodeKind::Literal(Literal::Int(number)),
        }],
        ..DagSpec::default()
    };
    let metadata = ImageMetadata::new(&dag_spec, Timestamp::UNIX_EPOCH);
    Arc::new(PipelineImage::new(dag_spec, metadata))
}

fn record(number: i64) -> [Operation; 2] {
    let image = image(number);
    let structural_hash = image.structural_hash;
    let origin = Origin::Compile;
    let version = Operation::RecordVersion { name: name(), structural_hash, origin, source_hash: None };
    [Operation::PutImage(image), version]
}

fn remove(number: i64) -> Operation {
    Operation::RemoveImage { structural_hash: image(number).structural_hash }
}

/// A store in which the name has versions of images 1 to `count`.
fn store_with_versions(count: i64) -> Contended {
    let store = Contended::default();
    wait(store.commit(commit_of((1..=count).flat_map(record)))).expect("nobody interferes");
    store
}

#[test]
fn gc_leaves_what_comes_into_use_and_what_others_remove() {
    let store = Contended::default();
    let images = (0..5).map(|number| Operation::PutImage(image(number)));
    wait(store.commit(commit_of(images))).expect("nobody interferes");
    // After the versions were gathered a name comes to point to image 1, and before the commit image 2 goes.
    store.before(Call::ListImages, record(1));
    store.before(Call::Commit, [remove(2)]);
    let now = Timestamp::from_milliseconds(30 * 24 * 60 * 60 * 1_000).expect("it is a time");
    let report = wait(store.gc(GcOptions::new(now))).expect("races are no errors");
    assert!(store.is_quiet());
    let mut expected = [0, 3, 4].map(|number| image(number).structural_hash);
    expected.sort();
    assert_eq!(report.removed, expected);
    let left = wait(store.list_all_images()).expect("the store is open");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].structural_hash, image(1).structural_hash);
}

#[test]
fn gc_passes_on_what_is_no_race() {
    let now = Timestamp::from_milliseconds(30 * 24 * 60 * 60 * 1_000).expect("it is a time");
    // In the commit that removes all of them, and in one that removes a single one after a race.
    for refusals in [&[ErrorKind::StorageFull][..], &[ErrorKind::InUse, ErrorKind::StorageFull]] {
        let store = Contended::default();
        wait(store.store(image(1))).expect("nobody interferes");
        store.refuse(refusals.iter().copied());
        let error = wait(store.gc(GcOptions::new(now))).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let report = wait(store.gc(GcOptions::new(now))).expect("it is not refused again");
        assert_eq!(report.removed, [image(1).structural_hash]);
    }
}

#[test]
fn gc_removes_what_is_older_than_the_age_and_not_what_is_as_old() {
    let store = Contended::default();
    wait(store.store(image(1))).expect("nobody interferes");
    let age =
        i64::try_from(GcOptions::new(Timestamp::UNIX_EPOCH).older_than.as_millis()).expect("it is days");
    for (time, expected) in [(age, 0), (age + 1, 1)] {
        let now = Timestamp::from_milliseconds(time).expect("it is a time");
        let report = wait(store.gc(GcOptions::new(now))).expect("nobody interferes");
        assert_eq!(report.removed.len(), expected, "{time}");
    }
}

#[test]
fn removing_passes_on_every_error_but_that_nothing_is_there() {
    let store = Contended::default();
    let structural_hash = wait(store.store(image(1))).expect("nobody interferes");
    store.refuse([ErrorKind::StorageFull, ErrorKind::NotFound]);
    let error = wait(store.remove(&structural_hash)).expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(!wait(store.remove(&structural_hash)).expect("what is not there is no error"));
    assert!(wait(store.remove(&structural_hash)).expect("it is there"));
}

#[test]
fn rollback_gives_up_when_others_are_always_first() {
    // The last attempt goes through.
    let store = store_with_versions(2);
    store.refuse([ErrorKind::Conflict; 99]);
    assert_eq!(
        wait(store.rollback(&name(), None, Precondition::Any)).expect("it succeeds").active.version,
        1
    );
    let store = store_with_versions(2);
    store.refuse([ErrorKind::Conflict; 100]);
    let error = wait(store.rollback(&name(), None, Precondition::Any)).expect_err("it gives up");
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn rollback_is_not_tried_again_after_what_is_no_race() {
    for (kind, precondition) in
        [(ErrorKind::StorageFull, Precondition::Any), (ErrorKind::Conflict, Precondition::Active(2))]
    {
        let store = store_with_versions(2);
        store.refuse([kind]);
        let error = wait(store.rollback(&name(), None, precondition)).expect_err("it is refused");
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn rollback_judges_anew_when_another_version_became_active() {
    let store = store_with_versions(2);
    store.before(Call::Commit, record(3));
    let rolled_back = wait(store.rollback(&name(), None, Precondition::Any)).expect("it is tried again");
    assert!(store.is_quiet());
    // Version 3 is what is rolled back, not version 2.
    assert_eq!(rolled_back.previous.map(|active| active.version), Some(3));
    assert_eq!(rolled_back.active.version, 2);
}

#[test]
fn rollback_with_a_precondition_is_tried_once() {
    let store = store_with_versions(2);
    store.before(Call::Commit, record(3));
    let error =
        wait(store.rollback(&name(), None, Precondition::Active(2))).expect_err("version 3 is active");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        wait(store.resolve(&name())).expect("the store is open").map(|active| active.version),
        Some(3)
    );
}

#[test]
fn an_image_that_is_replaced_while_it_is_looked_up_is_found_in_its_new_version() {
    let store = store_with_versions(1);
    let prune = Operation::PruneVersions { name: name(), keep: 1 };
    store.before(Call::Get, record(2).into_iter().chain([prune, remove(1)]));
    assert_eq!(wait(store.get_by_name(&name())).expect("it is looked up again"), Some(image(2)));
    store.before(Call::Get, [Operation::DeleteName { name: name() }]);
    assert_eq!(
        wait(store.get_by_name(&name())).expect("it is there"),
        Some(image(2)),
        "as it was when asked"
    );
    assert_eq!(wait(store.get_by_name(&name())).expect("the store is open"), None);
}

#[test]
fn a_name_whose_image_is_lost_says_so() {
    let store = Contended { lost: Some(image(1).structural_hash), ..store_with_versions(1) };
    let error = wait(store.get_by_name(&name())).expect_err("the image is lost");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("name: a; version: 1"), "{error}");
}
