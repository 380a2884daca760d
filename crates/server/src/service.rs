//! The pipeline service: the one way from a source or a reference to a pipeline that runs.

mod cache;
mod compile;
mod forecast;
mod heal;
mod lifecycle;
mod modules;
mod places;
mod program;
mod room;
mod run;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use constellation_lang::FunctionTable;
use constellation_module::ModuleRegistry;
use constellation_rehydrate::{LoadedPipeline, RehydrateError, Rehydrator};
use constellation_runtime::Runtime;
use constellation_store_core::{
    Clock, Commit, Committed, ErrorKind, Operation, Origin, PipelineImage, PipelineName, PipelineStore,
    Precondition, Reference, SourceHash, StoreError, StructuralHash, SyntacticKey, SystemClock, Timestamp,
};

use crate::admission::Pool;
use crate::config::Limits;
use crate::error::ServiceError;
use crate::metrics::Metrics;
pub(crate) use cache::Recent;
pub(crate) use compile::Asker;
pub(crate) use lifecycle::ImageUser;
pub use lifecycle::Mode;
use modules::PublishedModule;
use places::KnownPlaces;
pub(crate) use places::ProgramOf;
pub use program::{Found, Pointed, Published, Target};
use room::Room;

/// A graph of at most so many nodes is bound where the request runs.
const INLINE_REHYDRATE_NODES: usize = 2_000;

/// Sources up to so many bytes are known by their text. BLAKE3 is fast where it can hash several kibibytes side by side; a
/// shorter text takes several times as long for each byte, longer than to look it up.
const MAX_KNOWN_BYTES: usize = 4096;

/// Finds a program's image or compiles it, publishes it, and hands out pipelines that are ready to run.
///
/// * A source is read once: what is compiled, retained and indexed is the same text.
/// * Whether something had to be compiled never decides whether a name is published.
/// * What one call publishes is one commit.
/// * Nothing is acknowledged that this server could not run.
#[derive(Debug)]
pub struct PipelineService {
    store: Arc<dyn PipelineStore>,
    rehydrator: Rehydrator,
    /// What clients call without a program.
    published: Vec<PublishedModule>,
    functions: Arc<FunctionTable>,
    runtime: Runtime,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Pipelines that are ready to run.
    loaded: Recent<StructuralHash, Arc<LoadedPipeline>>,
    /// The keys of sources that were found or compiled: to work one out takes as long as a small run.
    keys: Recent<SourceHash, SyntacticKey>,
    /// The hashes of short sources that were found or compiled.
    hashes: Recent<Arc<str>, SourceHash>,
    compilations: Pool,
    executions: Pool,
    room: Room,
    /// Programs that are being compiled, so that one program that many ask for is compiled once.
    flights: Mutex<HashMap<SyntacticKey, Weak<tokio::sync::Mutex<()>>>>,
    /// What was compiled and may not be committed yet.
    fresh: Mutex<HashMap<SyntacticKey, Weak<LoadedPipeline>>>,
    /// Where nodes of pipelines that failed were written.
    places: Mutex<KnownPlaces>,
    /// Why names cannot be run, for operators.
    problems: Mutex<BTreeMap<PipelineName, String>>,
    /// Whether there are any: nobody who runs a pipeline waits for the others to look.
    has_problems: AtomicBool,
    /// Held while a pipeline is compiled again and stored.
    healing: tokio::sync::Mutex<()>,
    /// Held while everything that is lost is looked for on behalf of a client. Taken before `healing`.
    searching: tokio::sync::Mutex<()>,
}

/// Why a stored image is not at hand.
#[derive(Debug)]
enum LoadFailure {
    /// It is not there.
    Missing,
    /// It is there and damaged, or of a format that this version does not know.
    Damaged(StoreError),
    /// It does not bind to the modules of this server.
    Unbindable(RehydrateError),
    /// The store does not answer.
    Store(StoreError),
    /// A defect.
    Internal(String),
}

impl PipelineService {
    /// A service over a store, with the modules that its programs may call.
    pub fn new(store: Arc<dyn PipelineStore>, registry: ModuleRegistry, limits: &Limits) -> Self {
        let metrics = Arc::new(Metrics::new(&registry, limits));
        Self::with_metrics(store, registry, limits, metrics)
    }

    pub(crate) fn with_metrics(
        store: Arc<dyn PipelineStore>,
        registry: ModuleRegistry,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let functions = Arc::new(FunctionTable::new(registry.signatures().cloned()));
        let rehydrator = Rehydrator::new(registry);
        Self {
            store,
            functions,
            published: modules::published(&rehydrator, SystemClock.now()),
            rehydrator,
            runtime: run::runtime(limits, &metrics),
            clock: Arc::new(SystemClock),
            metrics,
            loaded: Recent::new(limits.max_loaded_pipelines),
            keys: Recent::new(limits.max_loaded_pipelines),
            hashes: Recent::new(limits.max_loaded_pipelines),
            compilations: Pool::of_compilations(limits),
            executions: Pool::of_executions(limits),
            room: Room::new(limits),
            flights: Mutex::default(),
            fresh: Mutex::default(),
            places: Mutex::default(),
            problems: Mutex::default(),
            has_problems: AtomicBool::new(false),
            healing: tokio::sync::Mutex::default(),
            searching: tokio::sync::Mutex::default(),
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn PipelineStore> {
        &self.store
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The modules.
    pub fn registry(&self) -> &ModuleRegistry {
        self.rehydrator.registry()
    }

    /// Takes a slot for compilations, as if something was being compiled.
    #[cfg(test)]
    pub(crate) async fn hold_compilations(&self) -> crate::admission::Slot {
        self.compilations.enter_without_bound().await
    }

    /// How many programs were compiled since the service was made.
    pub fn compilations(&self) -> u64 {
        self.metrics.compilations()
    }

    /// Finds the program among those stored, or compiles it, however long that has to wait for other compilations.
    /// Publishes nothing.
    ///
    /// # Errors
    ///
    /// * [`ServiceError::Compile`] when the source has errors.
    /// * [`ServiceError::Unsupported`] when the program cannot be run here.
    /// * [`ServiceError::Store`] when the store does not answer.
    pub async fn find_or_compile(&self, source: Arc<str>) -> Result<Found, ServiceError> {
        self.find_or_compile_as(Asker::Server, source).await
    }

    async fn find_or_compile_as(&self, asker: Asker, source: Arc<str>) -> Result<Found, ServiceError> {
        let known = if source.len() <= MAX_KNOWN_BYTES { self.hashes.get(&source) } else { None };
        let source_hash = known.unwrap_or_else(|| SourceHash::of_bytes(source.as_bytes()));
        if let Some(key) = self.keys.get(&source_hash) {
            return self.find_or_compile_by(asker, key, source_hash, source).await;
        }
        let key = self.key_of(asker, &source).await?;
        let found = self.find_or_compile_by(asker, key, source_hash, source).await?;
        self.keys.insert(source_hash, key);
        if found.source.len() <= MAX_KNOWN_BYTES {
            self.hashes.insert(Arc::clone(&found.source), source_hash);
        }
        Ok(found)
    }

    async fn find_or_compile_by(
        &self,
        asker: Asker,
        key: SyntacticKey,
        source_hash: SourceHash,
        source: Arc<str>,
    ) -> Result<Found, ServiceError> {
        if let Some((pipeline, is_stored)) = self.find(&key).await? {
            let warnings = Vec::new();
            return Ok(Found { pipeline, key, source_hash, compiled: false, warnings, source, is_stored });
        }
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, flight| flight.strong_count() > 0);
            let known = flights.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let flight = Arc::new(tokio::sync::Mutex::new(()));
                flights.insert(key, Arc::downgrade(&flight));
                flight
            })
        };
        // Programs with errors are compiled once for each who asks.
        let _turn = self.turn(asker, &flight).await?;
        // Another request may have compiled it while this one waited.
        if let Some((pipeline, is_stored)) = self.find(&key).await? {
            let warnings = Vec::new();
            return Ok(Found { pipeline, key, source_hash, compiled: false, warnings, source, is_stored });
        }
        let (pipeline, warnings) = self.compile(asker, &source, key, source_hash).await?;
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.retain(|_, pipeline| pipeline.strong_count() > 0);
        fresh.insert(key, Arc::downgrade(&pipeline));
        drop(fresh);
        Ok(Found { pipeline, key, source_hash, compiled: true, warnings, source, is_stored: false })
    }

    /// Finds or compiles a program, and publishes it in one commit. A program that is known and needs no name
    /// changes nothing, so that this works on a store that is read-only. In a dry run nothing is published, and the
    /// answer is what would have been.
    ///
    /// # Errors
    ///
    /// Those of [`PipelineService::find_or_compile`], those of the commit, and [`ServiceError::Overloaded`] when the
    /// program has to be compiled and does not get its turn.
    pub async fn publish(
        &self,
        source: Arc<str>,
        target: Option<Target>,
        mode: Mode,
    ) -> Result<Published, ServiceError> {
        let found = self.find_or_compile_as(Asker::Client, source).await?;
        self.publish_found(found, target.as_ref(), mode).await
    }

    pub(crate) async fn publish_found(
        &self,
        found: Found,
        target: Option<&Target>,
        mode: Mode,
    ) -> Result<Published, ServiceError> {
        let operations = found.operations(target, false);
        if operations.is_empty() {
            return Ok(Published { found, pointed: None });
        }
        if let Some(Target { name, precondition, origin: _ }) = target
            && *precondition != Precondition::Any
        {
            // What the request requires is judged before whether there is room for it. The commit judges it again.
            precondition.judge(name, self.store.resolve(name).await?)?;
        }
        let _room = self.room.reserve(&*self.store, std::iter::once(&found)).await?;
        let preconditions: Vec<_> =
            target.iter().map(|target| (target.name.clone(), target.precondition)).collect();
        let commit = Commit { preconditions: preconditions.clone(), operations };
        let committed = match self.commit_in(mode, commit).await {
            // The image was collected since it was found.
            Err(error) if error.kind() == ErrorKind::NotFound && found.is_stored => {
                let operations = found.operations(target, true);
                self.commit_in(mode, Commit { preconditions, operations }).await?
            }
            other => other?,
        };
        if mode == Mode::Apply {
            self.loaded.insert(found.structural_hash(), Arc::clone(&found.pipeline));
            if let Some(target) = target {
                self.forget_problem(&target.name);
            }
        }
        let pointed = Pointed::of(&committed, found.structural_hash());
        Ok(Published { found, pointed })
    }

    /// Publishes several programs in one commit: all or none.
    pub(crate) async fn publish_all(&self, programs: &[(Found, Option<Target>)]) -> Result<(), ServiceError> {
        let operations = |with_image| -> Vec<Operation> {
            programs
                .iter()
                .flat_map(|(found, target)| found.operations(target.as_ref(), with_image))
                .collect()
        };
        let needed = operations(false);
        if needed.is_empty() {
            return Ok(());
        }
        let adding =
            programs.iter().filter(|(found, target)| !found.operations(target.as_ref(), false).is_empty());
        let _room = self.room.reserve(&*self.store, adding.map(|(found, _)| found)).await?;
        match self.commit(needed).await {
            // An image was collected since it was found.
            Err(error) if error.kind() == ErrorKind::NotFound => self.commit(operations(true)).await?,
            other => other?,
        };
        Ok(())
    }

    /// Points a name to a stored image, or tells what that would do.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NotFound`] when there is no such image, and those of the commit: `Conflict` when the
    /// precondition does not hold.
    pub async fn alias(
        &self,
        name: &PipelineName,
        structural_hash: StructuralHash,
        precondition: Precondition,
        mode: Mode,
    ) -> Result<Pointed, ServiceError> {
        let not_found = || ServiceError::NotFound(Reference::Hash(structural_hash));
        let image = self.store.get(&structural_hash).await?.ok_or_else(not_found)?;
        let operation = Operation::RecordVersion {
            name: name.clone(),
            structural_hash,
            origin: Origin::Alias,
            source_hash: image.metadata.source_hash,
        };
        let commit = Commit::new().require(name.clone(), precondition).then(operation);
        let committed = match self.commit_in(mode, commit).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(not_found()),
            other => other?,
        };
        if mode == Mode::Apply {
            self.forget_problem(name);
        }
        Pointed::of(&committed, structural_hash)
            .ok_or_else(|| ServiceError::Internal("the store told no version of the name".into()))
    }

    /// The pipeline that a reference leads to, ready to run. One that a name leads to and that does not load is
    /// compiled again from its retained source.
    ///
    /// # Errors
    ///
    /// * [`ServiceError::NotFound`] when there is none.
    /// * [`ServiceError::NotLoadable`] when it is stored and cannot be run.
    /// * [`ServiceError::Overloaded`] when it has to be compiled again and does not get its turn.
    /// * [`ServiceError::Store`] when the store does not answer.
    pub async fn load(&self, reference: &Reference) -> Result<Arc<LoadedPipeline>, ServiceError> {
        match reference {
            Reference::Name(name) => self.load_name(Asker::Client, name).await,
            Reference::Hash(hash) => {
                // A pipeline stays loaded for a while after its image was removed.
                let Some(image) = self.image(reference, hash).await? else {
                    return Err(ServiceError::NotFound(reference.clone()));
                };
                let loaded = match self.loaded.get(hash) {
                    Some(pipeline) => Ok(pipeline),
                    None => self.bind_and_keep(Ok(Some(image))).await,
                };
                loaded.map_err(|failure| match failure {
                    LoadFailure::Missing => ServiceError::NotFound(reference.clone()),
                    LoadFailure::Unbindable(error) => ServiceError::NotLoadable {
                        reference: reference.to_string(),
                        reason: error.to_string(),
                    },
                    LoadFailure::Damaged(error) | LoadFailure::Store(error) => error.into(),
                    LoadFailure::Internal(message) => ServiceError::Internal(message),
                })
            }
        }
    }

    /// Applies a commit, and counts it.
    async fn commit(&self, operations: Vec<Operation>) -> Result<Committed, StoreError> {
        self.commit_with(Commit { preconditions: Vec::new(), operations }).await
    }

    async fn commit_with(&self, commit: Commit) -> Result<Committed, StoreError> {
        let committed = self.store.commit(commit).await?;
        self.metrics.committed();
        Ok(committed)
    }

    /// The pipeline of a key and whether the store has it. One whose image is missing, damaged or does not bind
    /// is none: it has to be compiled.
    async fn find(&self, key: &SyntacticKey) -> Result<Option<(Arc<LoadedPipeline>, bool)>, ServiceError> {
        if let Some(hash) = self.store.lookup_syntactic(key).await? {
            match self.load_hash(&hash).await {
                Ok(pipeline) => return Ok(Some((pipeline, true))),
                Err(LoadFailure::Store(error)) => return Err(error.into()),
                Err(LoadFailure::Internal(message)) => return Err(ServiceError::Internal(message)),
                Err(LoadFailure::Missing | LoadFailure::Damaged(_) | LoadFailure::Unbindable(_)) => {}
            }
        }
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(fresh.get(key).and_then(Weak::upgrade).map(|pipeline| (pipeline, false)))
    }

    async fn load_hash(&self, hash: &StructuralHash) -> Result<Arc<LoadedPipeline>, LoadFailure> {
        if let Some(pipeline) = self.loaded.get(hash) {
            return Ok(pipeline);
        }
        self.bind_and_keep(self.store.get(hash).await).await
    }

    async fn bind_and_keep(
        &self,
        found: Result<Option<Arc<PipelineImage>>, StoreError>,
    ) -> Result<Arc<LoadedPipeline>, LoadFailure> {
        let pipeline = self.bind(found).await?;
        self.loaded.insert(pipeline.image.structural_hash, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Binds an image that the store was asked for, past the cache.
    async fn bind(
        &self,
        found: Result<Option<Arc<PipelineImage>>, StoreError>,
    ) -> Result<Arc<LoadedPipeline>, LoadFailure> {
        let image = match found {
            Ok(Some(image)) => image,
            Ok(None) => return Err(LoadFailure::Missing),
            Err(error) if is_damage(error.kind()) => return Err(LoadFailure::Damaged(error)),
            Err(error) => return Err(LoadFailure::Store(error)),
        };
        let bound = if image.dag_spec.nodes.len() <= INLINE_REHYDRATE_NODES {
            self.rehydrator.rehydrate(image)
        } else {
            let rehydrator = self.rehydrator.clone();
            blocking(move || rehydrator.rehydrate(image))
                .await
                .map_err(|error| LoadFailure::Internal(error.to_string()))?
        };
        bound.map(Arc::new).map_err(LoadFailure::Unbindable)
    }
}

/// Whether stored bytes cannot be used, so that compiling again can help.
pub(crate) fn is_damage(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Corrupt
            | ErrorKind::UnsupportedFormat
            | ErrorKind::HashMismatch
            | ErrorKind::InvalidImage
            | ErrorKind::NotFound
    )
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ServiceError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a task ended without an answer");
        ServiceError::Internal("a task ended without an answer; the log tells more".into())
    })
}
