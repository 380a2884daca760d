//! The store: a thread that owns the core, and readers that share its state.

use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use constellation_store_core::{
    ActiveVersion, Clock, Commit, Committed, ErrorKind, ImageSummary, IndexEntry, ListOptions, NameEntry,
    NamedImage, Operation, PipelineImage, PipelineName, PipelineStore, Result, SourceHash, StoreError,
    StoreStatus, StructuralHash, SyntacticKey, VersionHistory,
};
use constellation_store_mem::{Lookup, State, VerifiedCommit};
use futures_channel::oneshot;
use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt as _};

use crate::core::{Core, CoreOptions, Lost, Mirror, Shared, Work};
use crate::error::of_store;
use crate::reader::{Checks, Reader};
use crate::vfs::{RealVfs, Vfs};

/// The most commits that are answered together.
const MAX_BATCH: usize = 1024;

/// A store in a directory: every commit is in its journal before it is acknowledged, and the JSON files that people
/// read and copy follow within seconds.
///
/// Reads take no system call. Commits are made durable by one thread, which ends with the store; those that come
/// while it writes share the next sync.
///
/// ```
/// use constellation_store_fs::FileSystemPipelineStore;
/// # let directory = std::env::temp_dir().join(format!("constellation-doc-{}", std::process::id()));
/// let store = FileSystemPipelineStore::open(&directory)?;
/// assert_eq!(store.to_string(), directory.display().to_string());
/// # drop(store);
/// # std::fs::remove_dir_all(&directory).expect("just made");
/// # Ok::<(), constellation_store_core::StoreError>(())
/// ```
///
/// # Durability
///
/// A commit that was acknowledged survives the end of the process and the loss of power, provided that the disk
/// keeps what it says it has synced. Nothing is lost when a store is dropped instead of closed; closing it writes
/// the JSON files and leaves an empty journal.
///
/// # Limitations
///
/// One process writes; others are refused, or open read-only. The directory is on a local file system: locks and
/// syncs of network file systems may not do what they say.
pub struct FileSystemPipelineStore {
    shared: Arc<Shared>,
    vfs: Arc<dyn Vfs>,
    reader: Reader,
    requests: Mutex<Option<Sender<Request>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    core: CoreOptions,
    idle: Duration,
    check_after: Option<Duration>,
    check_every: Duration,
    is_read_only: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            core: CoreOptions::default(),
            idle: Duration::from_secs(2),
            check_after: Some(Duration::from_secs(5)),
            check_every: Duration::from_hours(24),
            is_read_only: false,
        }
    }
}

impl OpenOptions {
    /// Takes the times of versions from `clock`; otherwise from the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.core.clock = clock;
        self
    }

    /// Writes the JSON files when the journal has more than `bytes`; otherwise 64 MiB.
    pub fn checkpoint_after_bytes(mut self, bytes: u64) -> Self {
        self.core.checkpoint_bytes = bytes;
        self
    }

    /// Writes the JSON files when there was no commit for this long; otherwise two seconds. Failed writes are tried
    /// again as often.
    pub fn checkpoint_after_idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Lets the journal have at most `bytes`; otherwise 128 MiB. At the bound a commit waits until the JSON files
    /// are written, and fails with `StorageFull` when they cannot be. More than 1 GiB counts as that.
    pub fn backlog_bytes(mut self, bytes: u64) -> Self {
        self.core.backlog_bytes = bytes;
        self
    }

    /// Checks the files in the background, once nobody has asked for one for this long after the opening; otherwise
    /// five seconds: images and sources that nobody has used, version documents, and the flat maps. `None` leaves
    /// each to its first use, and checks nothing again.
    pub fn check_after(mut self, check_after: impl Into<Option<Duration>>) -> Self {
        self.check_after = check_after.into();
        self
    }

    /// Checks the files again this long after a check; otherwise 24 hours.
    pub fn check_every(mut self, check_every: Duration) -> Self {
        self.check_every = check_every;
        self
    }

    /// Only reads. Nothing in the directory is changed, and another process may have it open; what that does after
    /// the opening is not seen.
    pub fn read_only(mut self, is_read_only: bool) -> Self {
        self.is_read_only = is_read_only;
        self
    }

    /// Opens the store in `directory`, which is made, with its parents, unless it is there. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// * `Locked`: another process has it open for writing.
    /// * `UnsupportedFormat`: a later version or the reference implementation made it; it is left untouched.
    /// * `Corrupt`: its journal is of another store, or a part of it is a symbolic link.
    /// * `StorageFull`, `Unavailable`: a file access failed. With `read_only` also when it is not there.
    ///
    /// Damaged files are no errors: they go to `quarantine/`, and
    /// [`status`](PipelineStore::status) and the log tell what was lost.
    pub fn open(self, directory: impl AsRef<Path>) -> Result<FileSystemPipelineStore> {
        self.open_on(Arc::new(RealVfs::new(directory.as_ref())))
    }

    /// Opens the store in the root of a [`Vfs`], as [`OpenOptions::open`] does in a directory.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`].
    pub fn open_on(self, vfs: Arc<dyn Vfs>) -> Result<FileSystemPipelineStore> {
        let Self { core: options, idle, check_after, check_every, is_read_only } = self;
        let core = if is_read_only {
            Core::open_read_only(&vfs, options)
        } else {
            Core::open(Arc::clone(&vfs), options)
        };
        let core = core.map_err(|error| of_store(error, &*vfs))?;
        let shared = Arc::clone(core.shared());
        let (sender, receiver) = channel();
        let checks = check_after.map(|after| Checks { after, every: check_every });
        let reader = Reader::start(core.loader(), sender.clone(), checks)?;
        let (files, work) = channel::<Work>();
        let done = sender.clone();
        // It ends with the writer.
        start_thread("constellation-store-files", move || {
            for work in work {
                work.run();
                let _ = done.send(Request::WorkDone);
            }
        })?;
        let writer = start_thread("constellation-store", move || write(core, &receiver, &files, idle))?;
        Ok(FileSystemPipelineStore {
            shared,
            vfs,
            reader,
            requests: Mutex::new(Some(sender)),
            writer: Mutex::new(Some(writer)),
        })
    }
}

pub(crate) enum Request {
    Commit(VerifiedCommit, oneshot::Sender<Answer>),
    /// What a reader found to be lost.
    PutAside(Lost, Sender<()>),
    /// A file that a check suspects.
    LookAt(Mirror, Sender<()>),
    /// A step of a checkpoint was done, or a segment was made.
    WorkDone,
    /// The store is dropped.
    Abandon,
    Close(oneshot::Sender<Result<()>>),
}

/// What the writer thread does: it commits, and lets another thread write the files.
fn write(mut core: Core, requests: &Receiver<Request>, files: &Sender<Work>, idle: Duration) {
    // A failed checkpoint is in the status. It is tried again after a pause, or at the bound of the backlog, and
    // commits go on meanwhile.
    let mut has_failed = false;
    loop {
        if core.is_checkpoint_due() && !has_failed {
            has_failed = core.begin_checkpoint().is_err();
        }
        if let Some(work) = core.next_spare() {
            // If the thread ended with a defect, commits write zeros themselves.
            let _ = files.send(work);
        }
        if let Some(work) = core.next_work()
            && let Err(unsent) = files.send(work)
        {
            // The thread ended with a defect; commits then wait for files.
            unsent.0.run();
            has_failed = core.finish_work().is_err();
            continue;
        }
        let request = if core.is_dirty() && !core.is_in_checkpoint() {
            match requests.recv_timeout(idle) {
                Err(RecvTimeoutError::Timeout) => {
                    has_failed = core.begin_checkpoint().is_err();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => Request::Abandon,
                Ok(request) => request,
            }
        } else {
            requests.recv().unwrap_or(Request::Abandon)
        };
        let request = match request {
            Request::Commit(commit, reply) => {
                let (batch, other) = gather((commit, reply), requests);
                commit_all(&mut core, batch);
                has_failed &= core.is_checkpoint_due();
                other
            }
            other => Some(other),
        };
        match request {
            None | Some(Request::Commit(..)) => {}
            Some(Request::WorkDone) => has_failed |= core.finish_work().is_err(),
            Some(Request::PutAside(lost, reply)) => {
                core.put_aside(&lost);
                let _ = reply.send(());
            }
            Some(Request::LookAt(mirror, reply)) => {
                core.look_at(&mirror);
                let _ = reply.send(());
            }
            Some(Request::Close(reply)) => {
                let _ = reply.send(core.close());
                return;
            }
            Some(Request::Abandon) => {
                core.abandon();
                return;
            }
        }
    }
}

/// The answer to a commit, and the commit, whose memory is given back where it was taken: elsewhere that takes longer,
/// and what takes long on the writer thread, everybody waits for.
type Answer = (Result<Committed>, VerifiedCommit);

/// A commit that waits for its answer.
type Waiting = (VerifiedCommit, oneshot::Sender<Answer>);

/// The commits that share what the first one waits for: those that are there already, since waiting for more would
/// cost more than it saves. Also the first request after them that is none.
fn gather(first: Waiting, requests: &Receiver<Request>) -> (Vec<Waiting>, Option<Request>) {
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH {
        match requests.try_recv() {
            Ok(Request::Commit(commit, reply)) => batch.push((commit, reply)),
            Ok(other) => return (batch, Some(other)),
            // When everybody is gone, the next look tells it again.
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
        }
    }
    (batch, None)
}

fn commit_all(core: &mut Core, batch: Vec<Waiting>) {
    let (commits, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let answers = core.commit_batch(&commits);
    for ((reply, answer), commit) in replies.into_iter().zip(answers).zip(commits) {
        // Whoever asked may have gone; the commit is made all the same.
        let _ = reply.send((answer, commit));
    }
}

impl FileSystemPipelineStore {
    /// Opens the store in `directory` for writing. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(directory)
    }

    /// How a store is opened, to be changed.
    pub fn options() -> OpenOptions {
        OpenOptions::default()
    }

    fn read<T>(&self, operation: &'static str, read: impl FnOnce(&State) -> T) -> Result<T> {
        if self.shared.is_closed() { Err(closed(operation)) } else { Ok(read(&self.shared.state())) }
    }

    /// An image, as far as it is in memory.
    fn image(
        &self,
        operation: &'static str,
        structural_hash: &StructuralHash,
    ) -> Result<Lookup<Arc<PipelineImage>>> {
        match self.shared.loaded(structural_hash) {
            Some(image) if !self.shared.is_closed() => Ok(Lookup::Loaded(image)),
            _ => self.read(operation, |state| state.image(structural_hash)),
        }
    }

    fn list<T: Send + 'static, I: Iterator<Item = T> + Send + 'static>(
        &self,
        operation: &'static str,
        list: impl FnOnce(&State) -> I,
    ) -> BoxStream<'static, Result<T>> {
        match self.read(operation, list) {
            Ok(entries) => stream::iter(entries.map(Ok)).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    /// Reads what a commit puts and what is stored already, but in its file only: if that decayed, it is put aside, so
    /// that the commit puts it anew instead of being told that it is there.
    async fn check_stored(&self, commit: &VerifiedCommit) {
        for operation in &commit.commit().operations {
            match operation {
                Operation::PutImage(image) => {
                    let hash = image.structural_hash;
                    if self.shared.state().image(&hash) == Lookup::NotLoaded {
                        // What cannot be read now is left to its first use.
                        let _ = self.reader.image(hash).await;
                    }
                }
                Operation::PutSource(text) => {
                    let hash = commit.source_hash(text);
                    if self.shared.state().source(&hash) == Lookup::NotLoaded {
                        let _ = self.reader.source(hash).await;
                    }
                }
                Operation::Index { .. }
                | Operation::RecordVersion { .. }
                | Operation::SetActive { .. }
                | Operation::DeleteName { .. }
                | Operation::RemoveImage { .. }
                | Operation::PruneVersions { .. } => {}
            }
        }
    }

    fn send(&self, request: Request) -> bool {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.as_ref().is_some_and(|requests| requests.send(request).is_ok())
    }
}

/// Starts a thread of the store.
pub(crate) fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        let message = "no thread can be started for it";
        StoreError::new(ErrorKind::Unavailable, "open store", message).with_source(error)
    })
}

pub(crate) fn closed(operation: &'static str) -> StoreError {
    StoreError::new(ErrorKind::Unavailable, operation, "the store is closed; open it again")
}

impl Drop for FileSystemPipelineStore {
    /// Waits for the commit under way, so that the lock is free afterwards. Writes no files: the journal has
    /// everything.
    fn drop(&mut self) {
        // It may wait for the writer.
        self.reader.stop();
        if let Some(requests) = self.requests.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = requests.send(Request::Abandon);
        }
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // If it panicked, the panic was told when it happened.
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for FileSystemPipelineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSystemPipelineStore").field("vfs", &self.vfs).finish_non_exhaustive()
    }
}

impl fmt::Display for FileSystemPipelineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.vfs, f)
    }
}

#[async_trait]
impl PipelineStore for FileSystemPipelineStore {
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        const OPERATION: &str = "commit";
        let commit = VerifiedCommit::new(commit)?;
        self.check_stored(&commit).await;
        let (reply, answer) = oneshot::channel();
        if !self.send(Request::Commit(commit, reply)) {
            return Err(closed(OPERATION));
        }
        match answer.await {
            Ok((answer, _)) => answer,
            // The writer ended without an answer. If the store was closed, it never looked at the commit.
            Err(_) if self.shared.is_closed() => Err(closed(OPERATION)),
            Err(_) => {
                let message = "the writer ended with a defect while it had the commit; open the store again";
                Err(StoreError::new(ErrorKind::OutcomeUnknown, OPERATION, message))
            }
        }
    }

    async fn get(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        match self.image("get image", structural_hash)? {
            Lookup::Loaded(image) => Ok(Some(image)),
            Lookup::Absent => Ok(None),
            Lookup::NotLoaded => self.reader.image(*structural_hash).await,
        }
    }

    async fn peek(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        match self.image("look at image", structural_hash)? {
            Lookup::Loaded(image) => Ok(Some(image)),
            Lookup::Absent => Ok(None),
            Lookup::NotLoaded => self.reader.peek(*structural_hash).await,
        }
    }

    async fn resolve(&self, name: &PipelineName) -> Result<Option<ActiveVersion>> {
        self.read("resolve name", |state| state.resolve(name))
    }

    async fn names_of(&self, structural_hash: &StructuralHash) -> Result<Vec<PipelineName>> {
        self.read("list names of image", |state| state.names_of(structural_hash))
    }

    async fn lookup_syntactic(&self, key: &SyntacticKey) -> Result<Option<StructuralHash>> {
        self.read("look up program", |state| state.lookup_syntactic(key))
    }

    async fn versions(&self, name: &PipelineName) -> Result<Option<Arc<VersionHistory>>> {
        self.read("read versions", |state| state.versions(name).cloned())
    }

    async fn source(&self, source_hash: &SourceHash) -> Result<Option<Arc<str>>> {
        match self.read("read source", |state| state.source(source_hash))? {
            Lookup::Loaded(text) => Ok(Some(text)),
            Lookup::Absent => Ok(None),
            Lookup::NotLoaded => self.reader.source(*source_hash).await,
        }
    }

    fn list_images(&self, options: ListOptions<StructuralHash>) -> BoxStream<'static, Result<ImageSummary>> {
        self.list("list images", |state| state.list_images(&options))
    }

    fn list_named(
        &self,
        prefix: &str,
        options: ListOptions<StructuralHash>,
    ) -> BoxStream<'static, Result<NamedImage>> {
        self.list("list named images", |state| state.list_named(prefix, &options))
    }

    fn list_names(&self, options: ListOptions<PipelineName>) -> BoxStream<'static, Result<NameEntry>> {
        self.list("list names", |state| state.list_names(&options))
    }

    fn list_index(&self, options: ListOptions<SyntacticKey>) -> BoxStream<'static, Result<IndexEntry>> {
        self.list("list index", |state| state.list_index(&options))
    }

    async fn status(&self) -> Result<StoreStatus> {
        if self.shared.is_closed() { Err(closed("read status")) } else { Ok(self.shared.status()) }
    }

    async fn close(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        if !self.send(Request::Close(reply)) {
            return Ok(());
        }
        // Without an answer another call closed it first.
        answer.await.unwrap_or(Ok(()))
    }
}
