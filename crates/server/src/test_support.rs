//! What the tests of this crate share: a server in memory, calls without sockets, a store that refuses.

pub(crate) mod described;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use constellation_module::{ModuleBuilder, ModuleRegistry};
use constellation_store_core::{
    ActiveVersion, Commit, Committed, ErrorKind, ImageSummary, IndexEntry, ListOptions, NameEntry,
    NamedImage, Operation, PipelineImage, PipelineName, PipelineStore, Result, SourceHash, StoreError,
    StoreStatus, StructuralHash, SyntacticKey, VersionHistory,
};
use constellation_store_mem::InMemoryPipelineStore;
use constellation_types::{Type, Value};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::builder::ConstellationServer;

/// The source of a pipeline that most tests use.
pub(crate) const SHOUT: &str = "in text: String\nloud = Uppercase(text)\nout loud";

/// A server in memory with the standard library.
pub(crate) async fn server() -> ConstellationServer {
    ConstellationServer::builder(constellation_stdlib::registry()).build().await.unwrap()
}

/// A server over a store, with the standard library.
pub(crate) async fn server_over(store: &Arc<dyn PipelineStore>) -> ConstellationServer {
    let builder = ConstellationServer::builder(constellation_stdlib::registry());
    builder.with_store(Arc::clone(store)).build().await.unwrap()
}

/// A registry with the one module `double`, whose parameter has this name. Another name is another contract.
pub(crate) fn registry_with_parameter(parameter: &str) -> ModuleRegistry {
    let mut registry = ModuleRegistry::new();
    let module = ModuleBuilder::new("Double").function_name("double").values(
        [(parameter, Type::Int)],
        [("out", Type::Int)],
        |arguments: &[Value]| match arguments {
            [Value::Int(int)] => Ok(Value::Int(int * 2)),
            _ => unreachable!("the arguments are of the signature"),
        },
    );
    registry.register(module).unwrap();
    registry
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends a request, to `localhost` unless it names another host.
pub(crate) async fn send(router: &Router, mut request: Request<Body>) -> Answer {
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let answer = Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    };
    described::check(&method, &path, &answer);
    answer
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

pub(crate) async fn post(router: &Router, path: &str, body: impl fmt::Display) -> Answer {
    send(router, Request::post(path).body(Body::from(body.to_string())).unwrap()).await
}

pub(crate) async fn put(router: &Router, path: &str, body: impl fmt::Display) -> Answer {
    send(router, Request::put(path).body(Body::from(body.to_string())).unwrap()).await
}

/// Does some work with a subscriber of its own, which hears of all of it. As long as there is a single one in a process,
/// what it wants to hear of is asked on the thread that gets to a place first, which may be that of another test; so
/// there is another one.
pub(crate) fn with_subscriber<T>(
    subscriber: impl tracing::Subscriber + Send + Sync + 'static,
    work: impl FnOnce() -> T,
) -> T {
    static OTHER: LazyLock<tracing::Dispatch> =
        LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&OTHER);
    tracing::subscriber::with_default(subscriber, work)
}

/// Why [`RefusingStore`] refuses.
const REFUSAL: &str = "the store was opened for reading only";

/// A store in memory that refuses commits, or loses images or cannot read them, when it is told to, and counts what it is
/// asked for.
#[derive(Debug, Default)]
pub(crate) struct RefusingStore {
    inner: InMemoryPipelineStore,
    refuses: AtomicBool,
    gets: AtomicUsize,
    listed: Arc<AtomicUsize>,
    lost: Mutex<Option<StructuralHash>>,
    is_unreadable: AtomicBool,
}

impl RefusingStore {
    /// Cannot read images, or can again.
    pub(crate) fn set_unreadable(&self, is_unreadable: bool) {
        self.is_unreadable.store(is_unreadable, Ordering::Release);
    }

    fn check_readable(&self) -> Result<()> {
        if self.is_unreadable.load(Ordering::Acquire) {
            return Err(StoreError::new(ErrorKind::Unavailable, "get image", "permission is denied"));
        }
        Ok(())
    }

    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::Release);
    }

    /// Has this image no more, until it is put again.
    pub(crate) fn lose(&self, hash: StructuralHash) {
        *self.lost.lock().unwrap() = Some(hash);
    }

    pub(crate) fn has_lost(&self) -> bool {
        self.lost.lock().unwrap().is_some()
    }

    fn is_lost(&self, hash: &StructuralHash) -> bool {
        *self.lost.lock().unwrap() == Some(*hash)
    }

    /// How many entries its listings gave.
    pub(crate) fn listed(&self) -> usize {
        self.listed.load(Ordering::Acquire)
    }

    fn counted<T: Send + 'static>(
        &self,
        entries: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let listed = Arc::clone(&self.listed);
        let count = move |_: &Result<T>| {
            listed.fetch_add(1, Ordering::AcqRel);
        };
        entries.inspect(count).boxed()
    }

    /// How often it was asked for an image to be kept.
    pub(crate) fn gets(&self) -> usize {
        self.gets.load(Ordering::Acquire)
    }
}

impl fmt::Display for RefusingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that refuses")
    }
}

#[async_trait]
impl PipelineStore for RefusingStore {
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        if self.refuses.load(Ordering::Acquire) {
            return Err(StoreError::new(ErrorKind::ReadOnly, "commit", REFUSAL).with("path", "/secret"));
        }
        let is_put = |operation: &Operation| match operation {
            Operation::PutImage(image) => self.is_lost(&image.structural_hash),
            _ => false,
        };
        if commit.operations.iter().any(is_put) {
            *self.lost.lock().unwrap() = None;
        }
        self.inner.commit(commit).await
    }

    async fn get(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        self.gets.fetch_add(1, Ordering::AcqRel);
        self.check_readable()?;
        if self.is_lost(structural_hash) {
            return Ok(None);
        }
        self.inner.get(structural_hash).await
    }

    async fn peek(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        self.check_readable()?;
        if self.is_lost(structural_hash) {
            return Ok(None);
        }
        self.inner.peek(structural_hash).await
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
        let lost = *self.lost.lock().unwrap();
        let images = self.counted(self.inner.list_images(options));
        images.try_filter(move |image| std::future::ready(Some(image.structural_hash) != lost)).boxed()
    }

    fn list_named(
        &self,
        prefix: &str,
        options: ListOptions<StructuralHash>,
    ) -> BoxStream<'static, Result<NamedImage>> {
        let lost = *self.lost.lock().unwrap();
        let images = self.counted(self.inner.list_named(prefix, options));
        let known = move |mut image: NamedImage| {
            image.summary = image.summary.filter(|_| Some(image.structural_hash) != lost);
            image
        };
        images.map_ok(known).boxed()
    }

    fn list_names(&self, options: ListOptions<PipelineName>) -> BoxStream<'static, Result<NameEntry>> {
        self.counted(self.inner.list_names(options))
    }

    fn list_index(&self, options: ListOptions<SyntacticKey>) -> BoxStream<'static, Result<IndexEntry>> {
        self.inner.list_index(options)
    }

    async fn status(&self) -> Result<StoreStatus> {
        let mut status = self.inner.status().await?;
        status.read_only = self.refuses.load(Ordering::Acquire).then(|| REFUSAL.to_owned());
        Ok(status)
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

/// A call with headers; an empty body is none.
pub(crate) async fn call(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl fmt::Display,
) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

/// Everything that a store tells: names with their histories, images, and the index.
pub(crate) async fn content(store: &dyn PipelineStore) -> String {
    let status = store.status().await.unwrap();
    let names: Vec<NameEntry> = store.list_names(ListOptions::default()).try_collect().await.unwrap();
    let mut histories = Vec::new();
    for entry in &names {
        histories.push(store.versions(&entry.name).await.unwrap());
    }
    let images: Vec<ImageSummary> = store.list_images(ListOptions::default()).try_collect().await.unwrap();
    let index: Vec<IndexEntry> = store.list_index(ListOptions::default()).try_collect().await.unwrap();
    format!("{status:#?}\n{names:#?}\n{histories:#?}\n{images:#?}\n{index:#?}")
}
