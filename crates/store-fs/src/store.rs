//! The store: a core that one thread at a time has, and readers that share its state.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
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

use crate::core::{Core, CoreOptions, Shared};
use crate::error::of_store;
use crate::reader::{Checks, Reader};
use crate::vfs::{RealVfs, Vfs};
use crate::writer::{Queue, Request, Writer};

/// A store in a directory: every commit is in its journal before it is acknowledged, and the JSON files that people
/// read and copy follow within seconds.
///
/// Reads take no system call. Commits are made durable by one thread, which ends with the store; those that come
/// while it writes share the next sync. [`OpenOptions::commit_on_caller`] saves that thread where nobody shares it.
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
    writer: Writer,
    commits_on_caller: bool,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    core: CoreOptions,
    idle: Duration,
    commits_on_caller: bool,
    check_after: Option<Duration>,
    check_every: Duration,
    is_read_only: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            core: CoreOptions::default(),
            idle: Duration::from_secs(2),
            commits_on_caller: false,
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

    /// Commits on the thread that polls the commit, which waits for the disk meanwhile, when no other commit is under
    /// way; otherwise, and without this, one thread of the store commits for all.
    ///
    /// That saves two switches between threads for a commit that comes alone. On a virtual machine with nothing else to
    /// do they take as long as half a sync. It is for programs that wait for each commit anyway, as commands and tools
    /// do. In a server, or wherever an executor has other tasks for its threads, leave it off.
    pub fn commit_on_caller(mut self, commits_on_caller: bool) -> Self {
        self.commits_on_caller = commits_on_caller;
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
        let Self { core: options, idle, commits_on_caller, check_after, check_every, is_read_only } = self;
        let core = if is_read_only {
            Core::open_read_only(&vfs, options)
        } else {
            Core::open(Arc::clone(&vfs), options)
        };
        let core = core.map_err(|error| of_store(error, &*vfs))?;
        let shared = Arc::clone(core.shared());
        let (queue, queued) = Queue::new();
        let checks = check_after.map(|after| Checks { after, every: check_every });
        let reader = Reader::start(core.loader(), queue.clone(), checks)?;
        let writer = Writer::start(core, queue, queued, idle)?;
        Ok(FileSystemPipelineStore { shared, vfs, reader, writer, commits_on_caller })
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
        self.writer.stop();
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
        if self.commits_on_caller
            && let Some(answer) = self.writer.commit_here(&commit)
        {
            return answer;
        }
        let (reply, answer) = oneshot::channel();
        if !self.writer.send(Request::Commit(commit, reply)) {
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
        if !self.writer.send(Request::Close(reply)) {
            return Ok(());
        }
        // Without an answer another call closed it first.
        answer.await.unwrap_or(Ok(()))
    }
}
