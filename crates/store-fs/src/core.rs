//! The store as a synchronous state machine: no threads, no clock of its own, one step at a time.
//!
//! [`Core`] is what [`FileSystemPipelineStore`](crate::FileSystemPipelineStore) runs on its writer thread, and
//! what tests step through, so that every interleaving of commits, checkpoint steps and crashes can be enumerated.

mod aside;
mod check;
mod checkpoint;
mod commit;
mod dirty;
mod files;
mod health;
mod links;
pub(crate) mod load;
mod misplaced;
mod packing;
mod recovery;
mod settle;
mod work;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use constellation_store_core::{
    Clock, ErrorKind, PipelineImage, Result, StoreError, StoreStatus, StructuralHash, SystemClock,
};
use constellation_store_mem::{LoadedImages, State, prepare_process};

pub use self::check::{Checker, Mirror, Suspect};
use self::checkpoint::{Checkpoint, StepDone, Stepped, Upto};
use self::dirty::Dirty;
pub(crate) use self::files::Files;
use self::health::Health;
pub(crate) use self::links::refuse_links;
pub use self::load::{Loaded, Loader, Lost};
use self::misplaced::Misplaced;
use self::recovery::{CatalogueEnd, Damage};
use self::work::UnderWay;
pub use self::work::Work;
use crate::error::{FileError, in_one_line};
use crate::journal::{Journal, MAX_SEGMENT_BYTES, SegmentSizes};
use crate::layout::{LOCK, PACK};
use crate::manifest::{Manifest, new_id};
use crate::seeded::{self, SeededBug};
use crate::vfs::{Vfs, VfsLock};

/// How often a read-only opening starts again because a checkpoint went on meanwhile.
const READ_ATTEMPTS: usize = 20;

/// How many bytes the journal may have at the most. An opening writes all of them down again in one segment, and a later
/// one reads it.
const MAX_BACKLOG_BYTES: u64 = 1 << 30;
const _: () = assert!(MAX_BACKLOG_BYTES < MAX_SEGMENT_BYTES, "what is written is read");

/// What a core does by itself.
#[derive(Debug, Clone)]
pub struct CoreOptions {
    /// Where the times of versions come from.
    pub clock: Arc<dyn Clock>,
    /// How many bytes the journal may have before a checkpoint is due.
    pub checkpoint_bytes: u64,
    /// How many bytes the journal may have at all. A commit beyond it waits for a checkpoint, and fails with
    /// `StorageFull` when that fails. More than 1 GiB counts as that.
    pub backlog_bytes: u64,
    /// How many bytes of commits share one frame of the journal, and so one sync. A larger commit has one for
    /// itself.
    pub frame_bytes: u64,
    /// How many bytes of the journal are written in advance, for a start; at least 1. A segment doubles when they
    /// are used up.
    pub segment_bytes: u64,
    /// Up to how many bytes a segment grows before the next one is started.
    pub max_segment_bytes: u64,
}

impl Default for CoreOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            checkpoint_bytes: 64 << 20,
            backlog_bytes: 128 << 20,
            frame_bytes: 4 << 20,
            segment_bytes: 256 << 10,
            max_segment_bytes: 8 << 20,
        }
    }
}

impl CoreOptions {
    fn segment_sizes(&self) -> SegmentSizes {
        SegmentSizes { first: self.segment_bytes.max(1), max: self.max_segment_bytes }
    }
}

/// What readers see of a core: they share it, and take nothing but a read lock.
#[derive(Debug)]
pub struct Shared {
    state: RwLock<State>,
    loaded: LoadedImages,
    health: Mutex<Health>,
    is_closed: AtomicBool,
}

impl Shared {
    fn new(state: State, health: Health) -> Self {
        let loaded = state.loaded();
        let (state, health) = (RwLock::new(state), Mutex::new(health));
        Self { state, loaded, health, is_closed: AtomicBool::new(false) }
    }

    /// An image that is in memory. Takes no lock, and so says nothing of the images that are not in memory.
    pub fn loaded(&self, structural_hash: &StructuralHash) -> Option<Arc<PipelineImage>> {
        self.loaded.get(structural_hash)
    }

    /// The state; all of it is durable.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        // A panic while a commit is applied would be a defect of the state; readers go on with what there is.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the store is.
    pub fn status(&self) -> StoreStatus {
        let mut status = self.state().status();
        self.health().tell(&mut status);
        status
    }

    /// Whether the store is closed.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store that is stepped.
///
/// # Durability
///
/// When [`Core::commit`] returns a result, the commit is durable. When it returns an error, nothing changed, but
/// for `OutcomeUnknown`: then the core is read-only from there on.
///
/// A core that is dropped without [`Core::close`] leaves its journal; the next opening replays it. Dropping it waits
/// for a step that is done elsewhere.
pub struct Core {
    files: Files,
    options: CoreOptions,
    shared: Arc<Shared>,
    manifest: Manifest,
    journal: Journal,
    /// Where the frames start that earlier openings wrote.
    first_sequence: u64,
    dirty: Dirty,
    checkpoint: Option<Checkpoint>,
    /// What is done elsewhere.
    under_way: UnderWay,
    /// The memory of the last frame, for the next one.
    frame: Vec<u8>,
    /// The catalogue that fits the manifest.
    catalogue: Option<CatalogueEnd>,
    /// Whether a checkpoint is due for want of a catalogue. One that cannot be written waits for the next
    /// checkpoint.
    wants_catalogue: bool,
    /// Whether the opening read or repaired something that only a checkpoint makes durable. Commits wait for it.
    owes_checkpoint: bool,
    /// Damaged files that the opening found and could not put into the quarantine.
    damage: Vec<Damage>,
    /// Version documents that the opening found under another file name, and that have none of their own yet.
    misplaced: Vec<Misplaced>,
    /// What was suspected while a checkpoint wrote files.
    suspects: Vec<Suspect>,
    /// Whether it writes: it is not read-only, closed, or in doubt of its journal.
    is_writer: bool,
    /// Held until it is closed, also when it does not write any more: its readers rely on nobody else writing.
    lock: Option<VfsLock>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("vfs", &self.files.vfs)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// Opens the store of a directory, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// * `Locked`: another process, or another core, has it open for writing.
    /// * `UnsupportedFormat`: a later version or the reference implementation made it, or a number of its journal is
    ///   out of range.
    /// * `Corrupt`: its journal is of another store, or a part of it is a symbolic link.
    /// * `StorageFull`, `Unavailable`: a file access failed.
    ///
    /// Damaged files are no errors: they are put aside, and told by [`Shared::status`].
    pub fn open(vfs: Arc<dyn Vfs>, options: CoreOptions) -> Result<Self> {
        const OPERATION: &str = "open store";
        let failed = |error: FileError| error.into_store_error(OPERATION);
        let options = CoreOptions { backlog_bytes: options.backlog_bytes.min(MAX_BACKLOG_BYTES), ..options };
        // Before a thread is started.
        prepare_process();
        // Before anything is written: what is refused is left as it is.
        refuse_links(&*vfs)?;
        recovery::refuse_foreign(&*vfs)?;
        vfs.create_root().map_err(FileError::at("create", ".")).map_err(failed)?;
        let lock = lock(&*vfs)?;
        let mut reading = recovery::read(&*vfs)?;
        reading.refuse_spent_numbers()?;
        // Before anything is written, but for the lock.
        vfs.wait_for_root().map_err(FileError::at("sync", ".")).map_err(failed)?;

        let files = Files::new(Arc::clone(&vfs));
        let mut confirmed = files.confirm(&reading.files);
        if reading.catalogue.is_none() {
            confirmed = confirmed.and_then(|()| files.confirm_removals(PACK));
        }
        files.sweep(&reading.leftovers);
        let is_new = reading.manifest.is_none();
        // Where the catalogue is believed there was an opening that made it durable. A `store.json` alone may be a copy.
        let is_believed = files.make_journal(reading.catalogue.is_some()).map_err(failed)?;
        reading.catalogue = reading.catalogue.filter(|_| is_believed);
        let manifest = reading.manifest.take().unwrap_or_else(|| reading.new_manifest(options.clock.now()));
        let recovery::Reading {
            state,
            found,
            catalogue,
            dirty,
            warnings,
            is_repaired,
            damage,
            misplaced,
            ..
        } = reading;
        let epoch = found.epoch.max(manifest.epoch).saturating_add(1);
        let epoch = if seeded::is_on(SeededBug::EpochNotRaised) { (epoch - 1).max(1) } else { epoch };
        let journal =
            Journal::new(vfs, options.segment_sizes(), manifest.store_id, epoch, manifest.sequence, &found);
        let shared = Shared::new(state, Health::new(warnings));
        let mut core = Self {
            first_sequence: manifest.sequence + 1,
            files,
            options,
            shared: Arc::new(shared),
            manifest,
            journal,
            dirty,
            checkpoint: None,
            under_way: UnderWay::default(),
            frame: Vec::new(),
            wants_catalogue: catalogue.is_none(),
            catalogue,
            owes_checkpoint: false,
            damage,
            misplaced,
            suspects: Vec::new(),
            is_writer: true,
            lock: Some(lock),
        };
        match confirmed {
            Ok(()) => core.settle_at_opening(is_new, is_repaired),
            Err(error) => core.only_read(&error),
        }
        Ok(core)
    }

    /// Reads the store of a directory without changing anything, also while another process writes it. What that
    /// process does afterwards is not seen.
    ///
    /// # Errors
    ///
    /// Those of [`Core::open`] but `Locked`. `Unavailable` also when there is no store, and when checkpoints
    /// follow one another so fast that none can be read in between.
    pub fn open_read_only(vfs: &Arc<dyn Vfs>, options: CoreOptions) -> Result<Self> {
        prepare_process();
        refuse_links(&**vfs)?;
        recovery::refuse_foreign(&**vfs)?;
        for _ in 0..READ_ATTEMPTS {
            let mut reading = recovery::read(&**vfs)?;
            if !reading.is_current(&**vfs)? {
                continue;
            }
            let manifest =
                reading.manifest.take().unwrap_or_else(|| reading.new_manifest(options.clock.now()));
            let recovery::Reading { state, found, warnings, .. } = reading;
            let reason = "it was opened for reading only".to_owned();
            let health = Health { read_only: Some(reason), ..Health::new(warnings) };
            let shared = Shared::new(state, health);
            let journal = Journal::new(
                Arc::clone(vfs),
                options.segment_sizes(),
                manifest.store_id,
                found.epoch,
                manifest.sequence,
                &recovery::nothing_found(),
            );
            return Ok(Self {
                files: Files::new(Arc::clone(vfs)),
                options,
                shared: Arc::new(shared),
                first_sequence: manifest.sequence + 1,
                manifest,
                journal,
                dirty: Dirty::default(),
                checkpoint: None,
                under_way: UnderWay::default(),
                frame: Vec::new(),
                catalogue: None,
                wants_catalogue: false,
                owes_checkpoint: false,
                damage: Vec::new(),
                misplaced: Vec::new(),
                suspects: Vec::new(),
                is_writer: false,
                lock: None,
            });
        }
        let message = "its files changed while they were read; try again";
        Err(StoreError::new(ErrorKind::Unavailable, "open store", message).with("store", vfs))
    }

    /// What reads the images and sources that are not in memory.
    pub fn loader(&self) -> Loader {
        Loader::new(Arc::clone(&self.files.vfs), Arc::clone(&self.shared), self.lock.is_some())
    }

    /// What readers share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether the journal is near its bound, so that commits should let the files follow.
    pub fn is_backlog_high(&self) -> bool {
        self.is_writer && self.journal.bytes() > self.options.backlog_bytes / 2
    }

    /// Whether a checkpoint is due because of the size of the journal.
    pub fn is_checkpoint_due(&self) -> bool {
        self.is_writer && self.journal.bytes() > self.options.checkpoint_bytes
    }

    /// Whether there is anything that a checkpoint would write.
    pub fn is_dirty(&self) -> bool {
        let is_behind = self.manifest.sequence < self.journal.sequence() || self.wants_catalogue;
        self.is_writer && (is_behind || !self.dirty.is_empty())
    }

    /// Whether a checkpoint is under way.
    pub fn is_in_checkpoint(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// Starts a checkpoint of everything that is committed, unless one is under way or there is nothing to write.
    /// Commits may come between its steps; they are not in it.
    ///
    /// # Errors
    ///
    /// What earlier openings committed cannot be made durable, which comes first; or the directory is not the one that is
    /// locked. Then none is under way.
    pub fn begin_checkpoint(&mut self) -> Result<()> {
        self.begin_checkpoint_of(self.is_dirty())
    }

    /// Starts one if it `is_due`, also if all that there is to write is `store.json`.
    fn begin_checkpoint_of(&mut self, is_due: bool) -> Result<()> {
        if self.checkpoint.is_none() && is_due {
            self.check_lock("write files")?;
            if !seeded::is_on(SeededBug::CheckpointNotSettled) {
                self.settle().map_err(|error| error.into_store_error("write files"))?;
            }
            self.plan_checkpoint();
        }
        Ok(())
    }

    fn plan_checkpoint(&mut self) {
        self.journal.seal();
        if seeded::is_on(SeededBug::RetiredBeforeManifest) {
            self.journal.retire(self.journal.sequence());
        }
        let dirty = std::mem::take(&mut self.dirty);
        let upto = Upto {
            before: &self.manifest,
            checkpoint_id: new_id(self.options.clock.now()),
            epoch: self.journal.epoch(),
            sequence: self.journal.sequence(),
            catalogue: self.catalogue,
        };
        self.checkpoint = Some(Checkpoint::plan(&self.shared.state(), dirty, upto));
        self.shared.health().checkpoint_planned();
    }

    /// Does one step of the checkpoint that is under way: it writes, removes or syncs files of one directory. Waits
    /// for a step that is done elsewhere instead.
    ///
    /// # Errors
    ///
    /// Those of file access. The checkpoint is over then, what it did not write is still to be written, the
    /// journal keeps it, and the next checkpoint tries again.
    pub fn step(&mut self) -> Result<()> {
        if let Some(work) = self.next_work() {
            work.run();
        }
        self.wait_for_step()
    }

    fn take_step(&mut self, outcome: Result<StepDone, FileError>) -> Result<()> {
        self.under_way.step = None;
        // A failed write of the journal ends the checkpoint.
        let Some(checkpoint) = &mut self.checkpoint else { return Ok(()) };
        match outcome.map(|done| checkpoint.done(done)) {
            Ok(Stepped::More) => Ok(()),
            Ok(Stepped::Done(manifest, catalogue)) => {
                self.checkpoint = None;
                self.catalogue = catalogue;
                self.wants_catalogue = false;
                self.owes_checkpoint = false;
                self.journal.retire(manifest.sequence);
                self.manifest = manifest;
                if self.shared.health().checkpoint_done() {
                    tracing::info!("the JSON files are written again");
                }
                self.judge_suspects();
                Ok(())
            }
            Err(error) => {
                if let Some(checkpoint) = self.checkpoint.take()
                    && !seeded::is_on(SeededBug::FailedCheckpointForgotten)
                {
                    checkpoint.abandon(&mut self.dirty);
                }
                // It may have the section of a checkpoint that never was.
                self.catalogue = None;
                let warning = format!(
                    "the JSON files are behind the journal, which keeps what they lack: {}",
                    in_one_line(&error)
                );
                // It is tried again every few seconds for as long as a disk is full, say.
                if self.shared.health().checkpoint_failed(warning) {
                    tracing::warn!(%error, "the JSON files cannot be written; the journal keeps what they lack");
                } else {
                    tracing::debug!(%error, "the JSON files still cannot be written");
                }
                self.judge_suspects();
                Err(error.into_store_error("write files"))
            }
        }
    }

    /// Finishes the checkpoint that is under way, and writes everything that is not in it.
    ///
    /// # Errors
    ///
    /// Those of [`Core::begin_checkpoint`] and [`Core::step`].
    pub fn checkpoint(&mut self) -> Result<()> {
        loop {
            while self.is_in_checkpoint() {
                self.step()?;
            }
            if !self.is_dirty() {
                return Ok(());
            }
            self.begin_checkpoint()?;
        }
    }

    /// Writes everything, and gives up the lock. Closing twice is fine.
    ///
    /// # Errors
    ///
    /// Those of writing; the store is closed all the same, and the journal keeps what was not written.
    pub fn close(&mut self) -> Result<()> {
        let written = if self.is_writer { self.checkpoint() } else { Ok(()) };
        self.wait_for_spare();
        // After a failed write of the journal nothing in it is touched.
        if self.is_writer {
            self.journal.close();
        }
        self.abandon();
        written
    }

    /// Gives up the lock without writing anything, as the end of the process does.
    pub fn abandon(&mut self) {
        self.suspects.clear();
        // Nobody else may write before it is done.
        let _ = self.wait_for_step();
        self.wait_for_spare();
        self.checkpoint = None;
        self.is_writer = false;
        self.lock = None;
        self.shared.is_closed.store(true, Ordering::Release);
    }

    /// From now on the store only reads, and touches no file any more.
    fn stop_writing(&mut self, reason: String) {
        tracing::error!(reason, "the store only reads until it is opened again");
        self.checkpoint = None;
        self.is_writer = false;
        self.shared.health().read_only = Some(reason);
    }

    /// Stops writing where the lock protects another directory than the one that would be written to.
    fn check_lock(&mut self, operation: &'static str) -> Result<()> {
        self.check_writable(operation)?;
        if let Err(error) = self.files.vfs.check_lock()
            && !seeded::is_on(SeededBug::LockBelievedForEver)
        {
            self.stop_writing(format!(
                "{error}; stop the server, see which directory is the store, and start it again"
            ));
        }
        self.check_writable(operation)
    }

    fn check_writable(&self, operation: &'static str) -> Result<()> {
        if self.shared.is_closed() {
            let message = "the store is closed; open it again";
            return Err(StoreError::new(ErrorKind::Unavailable, operation, message));
        }
        match &self.shared.health().read_only {
            None => Ok(()),
            Some(reason) => Err(StoreError::new(ErrorKind::ReadOnly, operation, reason.clone())),
        }
    }
}

impl Drop for Core {
    /// Nobody else may write before what is done elsewhere is over, also when the thread that commits ended with a
    /// defect.
    fn drop(&mut self) {
        self.under_way.wait();
    }
}

pub(crate) fn lock(vfs: &dyn Vfs) -> Result<VfsLock> {
    const OPERATION: &str = "open store";
    vfs.lock(LOCK).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            let message = "another process has the store open for writing; stop it, or use another directory";
            StoreError::new(ErrorKind::Locked, OPERATION, message).with("store", vfs)
        } else {
            FileError::new("lock", LOCK, error).into_store_error(OPERATION)
        }
    })
}
