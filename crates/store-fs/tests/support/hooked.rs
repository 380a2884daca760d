//! A file system that tells of what is done, and can hold it up.

use std::fmt;
use std::io;
use std::sync::Arc;

use constellation_store_fs::vfs::{Entry, ModelVfs, Stamp, Vfs, VfsFile, VfsLock};

/// Calls something before each sync, and at each reading.
#[derive(Clone)]
pub(crate) struct Hooked {
    inner: ModelVfs,
    on_sync: Arc<dyn Fn() + Send + Sync>,
    on_read: Arc<OnRead>,
}

/// What is read of a path; what is there if `None`.
type OnRead = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

impl Hooked {
    pub(crate) fn on_sync(inner: &ModelVfs, on_sync: impl Fn() + Send + Sync + 'static) -> Self {
        Self { inner: inner.clone(), on_sync: Arc::new(on_sync), on_read: Arc::new(|_| None) }
    }

    pub(crate) fn on_read(
        inner: &ModelVfs,
        on_read: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self { on_read: Arc::new(on_read), ..Self::on_sync(inner, || {}) }
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl fmt::Display for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file system with hooks")
    }
}

#[derive(Debug)]
struct HookedFile(Box<dyn VfsFile>, Hooked);

impl VfsFile for HookedFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_at(offset, bytes)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        (self.1.on_sync)();
        self.0.sync()
    }
}

impl Vfs for Hooked {
    fn create_root(&self) -> io::Result<()> {
        self.inner.create_root()
    }

    fn wait_for_root(&self) -> io::Result<()> {
        self.inner.wait_for_root()
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.inner.create_directory(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.inner.list(path)
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        (self.on_read)(path).map_or_else(|| self.inner.read(path, limit), Ok)
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        self.inner.length(path)
    }

    fn stamp(&self, path: &str) -> io::Result<Stamp> {
        self.inner.stamp(path)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(HookedFile(self.inner.create(path)?, self.clone())))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(HookedFile(self.inner.open(path)?, self.clone())))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.inner.remove_directory(path)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        (self.on_sync)();
        self.inner.sync_directory(path)
    }

    fn lock(&self, path: &str) -> io::Result<VfsLock> {
        self.inner.lock(path)
    }

    fn check_lock(&self) -> io::Result<()> {
        self.inner.check_lock()
    }
}
