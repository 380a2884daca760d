//! A file system that fails when it is told to, and counts its calls.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Entry, ModelVfs, Stamp, Vfs, VfsFile, VfsLock};

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The number of the call that fails, counted from 0 over all calls of the file system and its files.
    pub call: u64,
    /// How it fails.
    pub error: io::ErrorKind,
    /// How often.
    pub mode: FaultMode,
}

/// How often a [`Fault`] strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultMode {
    /// At its call only.
    Once,
    /// At its call and every one after.
    Sticky,
    /// At the first write from its call on: half of it is written, and the write after that fails.
    ShortWrite,
    /// Like `Sticky`, but only for calls that take room: creating, writing and extending.
    Full,
}

/// Wraps a file system, counts its calls, and lets one or more of them fail without effect.
#[derive(Debug, Clone)]
pub struct FaultVfs {
    inner: Arc<dyn Vfs>,
    plan: Arc<Mutex<Plan>>,
    /// Where a failed sync of a directory is taken for done.
    forgetting: Option<ModelVfs>,
    interruption: Arc<Mutex<Option<Interruption>>>,
}

/// What somebody else does before a call.
struct Interruption {
    call: u64,
    work: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interruption").field("call", &self.call).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Plan {
    calls: u64,
    fault: Option<Fault>,
    /// After a short write.
    fail_next_write: bool,
    struck: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Write,
    Create,
    Other,
}

impl FaultVfs {
    /// Wraps `inner`. Nothing fails until [`FaultVfs::set_fault`].
    pub fn new(inner: Arc<dyn Vfs>) -> Self {
        Self { inner, plan: Arc::default(), forgetting: None, interruption: Arc::default() }
    }

    /// Wraps `inner`, which leads to `model`. A sync of a directory that fails also marks its entries as written, as
    /// some systems do, so that no later sync makes them durable.
    pub fn forgetting(inner: Arc<dyn Vfs>, model: &ModelVfs) -> Self {
        Self { forgetting: Some(model.clone()), ..Self::new(inner) }
    }

    /// Sets what goes wrong from now on. Calls go on being counted from where they were.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut plan = self.plan();
        plan.fault = fault;
        plan.fail_next_write = false;
        plan.struck = false;
    }

    /// Lets `work` be done before the call of this number, counted as in [`Fault::call`].
    pub fn interrupt(&self, call: u64, work: impl FnOnce() + Send + 'static) {
        let work = Box::new(work);
        *self.interruption.lock().unwrap_or_else(PoisonError::into_inner) = Some(Interruption { call, work });
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.plan().calls
    }

    /// Whether the fault struck since it was set.
    pub fn struck(&self) -> bool {
        self.plan().struck
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a write is cut short.
    fn before(&self, call: Call) -> io::Result<bool> {
        let calls = self.calls();
        let due = self
            .interruption
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|interruption| interruption.call == calls);
        if let Some(Interruption { call: _, work }) = due {
            work();
        }
        self.plan().count(call)
    }

    /// A directory that is there takes no room.
    fn before_directory(&self, path: &str) -> io::Result<bool> {
        let is_there = self.inner.list(path).is_ok();
        self.before(if is_there { Call::Other } else { Call::Create })
    }
}

impl Plan {
    /// Counts a call, and tells whether it fails or, for a write, is cut short.
    fn count(&mut self, call: Call) -> io::Result<bool> {
        let number = self.calls;
        self.calls += 1;
        let Some(fault) = self.fault else { return Ok(false) };
        let (strikes, short) = match fault.mode {
            FaultMode::Once => (number == fault.call, false),
            FaultMode::Sticky => (number >= fault.call, false),
            FaultMode::Full => (number >= fault.call && call != Call::Other, false),
            FaultMode::ShortWrite if call == Call::Write && self.fail_next_write => {
                self.fail_next_write = false;
                (true, false)
            }
            FaultMode::ShortWrite => (false, !self.struck && number >= fault.call && call == Call::Write),
        };
        self.struck |= strikes || short;
        self.fail_next_write |= short;
        if strikes { Err(fault.error.into()) } else { Ok(short) }
    }
}

impl fmt::Display for FaultVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl Vfs for FaultVfs {
    fn create_root(&self) -> io::Result<()> {
        self.before_directory("")?;
        self.inner.create_root()
    }

    fn wait_for_root(&self) -> io::Result<()> {
        self.before(Call::Other)?;
        self.inner.wait_for_root()
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.before_directory(path)?;
        self.inner.create_directory(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.before(Call::Other)?;
        self.inner.list(path)
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        self.before(Call::Other)?;
        self.inner.read(path, limit)
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        self.before(Call::Other)?;
        self.inner.length(path)
    }

    fn stamp(&self, path: &str) -> io::Result<Stamp> {
        self.before(Call::Other)?;
        self.inner.stamp(path)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        self.before(Call::Create)?;
        Ok(Box::new(FaultFile { inner: self.inner.create(path)?, vfs: self.clone() }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        self.before(Call::Other)?;
        Ok(Box::new(FaultFile { inner: self.inner.open(path)?, vfs: self.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.before(Call::Other)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.before(Call::Other)?;
        self.inner.remove(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.before(Call::Other)?;
        self.inner.remove_directory(path)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let before = self.before(Call::Other);
        if let (Err(_), Some(model)) = (&before, &self.forgetting) {
            model.forget_entries(path);
        }
        before?;
        self.inner.sync_directory(path)
    }

    fn lock(&self, path: &str) -> io::Result<VfsLock> {
        self.before(Call::Other)?;
        self.inner.lock(path)
    }

    /// Never fails by itself: it changes nothing.
    fn check_lock(&self) -> io::Result<()> {
        self.inner.check_lock()
    }
}

#[derive(Debug)]
struct FaultFile {
    inner: Box<dyn VfsFile>,
    vfs: FaultVfs,
}

impl VfsFile for FaultFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let short = self.vfs.before(Call::Write)?;
        let bytes = if short { &bytes[..bytes.len() / 2] } else { bytes };
        // No room for even one byte.
        if short && bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write_at(offset, bytes)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.vfs.before(Call::Other)?;
        self.inner.set_length(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.vfs.before(Call::Other)?;
        self.inner.sync()
    }
}
