//! The file system of the machine: the only place of the workspace's libraries that uses `std::fs`.

mod access;
#[cfg(target_os = "linux")]
mod batch;
mod place;

use std::fmt;
use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

#[cfg(target_os = "linux")]
use super::directories_of;
use super::{Entry, EntryKind, Stamp, Vfs, VfsFile, VfsLock};
use access::Heir;
use place::Place;

/// A directory of the machine.
///
/// # Limitations
///
/// A symbolic link is not followed where the last part of a path is one. A store refuses links in the place of its
/// directories when it is opened; one that someone exchanges for a link while the store is open is not noticed.
///
/// Once a file is locked, nothing is made, renamed, removed or opened for writing unless the root still leads to it. That
/// is one look before each of these; who exchanges the directory in between is not noticed.
///
/// # Owners
///
/// On Unix, what root makes below a root of another user belongs to that user.
///
/// # Durability
///
/// Files are synced with `fdatasync`, directories with `fsync`, where the system has them. On systems that cannot
/// open a directory, directory syncs do nothing. On Linux from 5.17 on, many files of an ext, XFS, Btrfs or F2FS file
/// system are synced with one `syncfs`, which waits for everything that was written to it, and reports failures.
#[derive(Debug)]
pub struct RealVfs {
    root: PathBuf,
    /// What makes the entries durable that lead to the root, until somebody waited for it.
    entries: Mutex<Option<JoinHandle<io::Result<()>>>>,
    heir: Heir,
    place: Place,
    /// The root, from before anything was written: a sync of its file system tells the failures since it was opened.
    #[cfg(target_os = "linux")]
    opened: OnceLock<File>,
}

impl RealVfs {
    /// The tree below `root`, which need not be there.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            entries: Mutex::default(),
            heir: Heir::default(),
            place: Place::default(),
            #[cfg(target_os = "linux")]
            opened: OnceLock::new(),
        }
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, path: &str) -> PathBuf {
        // Joining an empty path would add a separator.
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    /// Opens a regular file for reading, and tells its length.
    fn open_regular_file(&self, path: &str) -> io::Result<(File, u64)> {
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // What is opened is looked at, which is one path less to be looked up. A link is not followed, and nothing
            // waits for the other end of a pipe.
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            let flags = flags.bits().cast_signed();
            let file = match OpenOptions::new().read(true).custom_flags(flags).open(self.path(path)) {
                Ok(file) => file,
                Err(error) => return Err(self.regular_file(path).err().unwrap_or(error)),
            };
            let metadata = file.metadata()?;
            if metadata.is_file() { Ok((file, metadata.len())) } else { Err(not_regular()) }
        }
        #[cfg(not(target_os = "linux"))]
        {
            let (path, length) = self.regular_file(path)?;
            Ok((File::open(path)?, length))
        }
    }

    /// Makes the data of a file durable that was written and closed.
    fn sync_file(&self, path: &str) -> io::Result<()> {
        // That needs no permission to write, which what somebody restored may not give.
        #[cfg(unix)]
        return self.open_regular_file(path)?.0.sync_data();
        #[cfg(not(unix))]
        return self.open(path)?.sync();
    }

    /// Whether one sync of the file system of `root` covers all these files.
    #[cfg(target_os = "linux")]
    fn is_one_sync(&self, root: &File, paths: &[String]) -> io::Result<bool> {
        for directory in directories_of(paths) {
            if !batch::is_one_sync(root, &File::open(self.path(directory))?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The path of a regular file. A pipe would block whoever opens it, and a link leads elsewhere.
    fn regular_file(&self, path: &str) -> io::Result<(PathBuf, u64)> {
        let path = self.path(path);
        let metadata = fs::symlink_metadata(&path)?;
        if !metadata.is_file() {
            return Err(not_regular());
        }
        Ok((path, metadata.len()))
    }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

impl fmt::Display for RealVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.root.display(), f)
    }
}

fn entry_kind(file_type: FileType) -> EntryKind {
    if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Directory
    } else if file_type.is_symlink() {
        EntryKind::Link
    } else {
        EntryKind::Other
    }
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the entries durable that lead to a directory which is there. Whoever made them may have been killed before that:
/// then all that is put into it, however durable, would be lost with them.
fn sync_entries(directory: &Path) -> io::Result<()> {
    for parent in parents(directory)? {
        match sync_directory(&parent) {
            // Who may not read it is not who made the entry.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// The directories that have the entries which lead to a directory, from the nearest one up to the root of its file
/// system. Behind a link, those of where the directory is.
fn parents(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = fs::canonicalize(directory)?;
    let mut parents = Vec::new();
    for (below, parent) in directory.ancestors().zip(directory.ancestors().skip(1)) {
        if is_mounted(below, parent)? {
            break;
        }
        parents.push(parent.to_owned());
    }
    Ok(parents)
}

/// The nanosecond since 1970 in which a file or directory was last changed, in a way that a copy cannot keep: it may not
/// be durable. 0 for what a machine that had lost its clock made before 1970.
#[cfg(unix)]
fn changed(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let [seconds, nanoseconds] =
        [metadata.ctime(), metadata.ctime_nsec()].map(|part| u64::try_from(part).unwrap_or_default());
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

#[cfg(not(unix))]
fn changed(metadata: &fs::Metadata) -> u64 {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether something is mounted at the directory, which then has no entry of its own.
#[cfg(unix)]
fn is_mounted(directory: &Path, parent: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(fs::metadata(directory)?.dev() != fs::metadata(parent)?.dev())
}

#[cfg(not(unix))]
fn is_mounted(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(false)
}

impl Vfs for RealVfs {
    fn create_root(&self) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut there = None;
        for path in self.root.ancestors().filter(|path| !path.as_os_str().is_empty()) {
            if path.is_dir() {
                there = Some(path);
                break;
            }
            missing.push(path);
        }
        match there {
            // What is made below counts on it.
            Some(path) if !missing.is_empty() => sync_entries(path)?,
            Some(path) => {
                let path = path.to_owned();
                let thread = thread::Builder::new().name("constellation-root".into());
                let under_way = thread.spawn(move || sync_entries(&path))?;
                *self.entries.lock().unwrap_or_else(PoisonError::into_inner) = Some(under_way);
            }
            None => {}
        }
        for path in missing.into_iter().rev() {
            match fs::create_dir(path) {
                Ok(()) => {}
                // Another process made it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
                Err(error) => return Err(error),
            }
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if let Err(error) = sync_directory(parent.unwrap_or(Path::new("."))) {
                // A later sync would prove nothing, so that the next opening is to make it anew.
                let _ = fs::remove_dir(path);
                return Err(error);
            }
        }
        #[cfg(target_os = "linux")]
        if self.opened.get().is_none() {
            // If another thread was first, its file will do.
            let _ = self.opened.set(File::open(&self.root)?);
        }
        Ok(())
    }

    fn wait_for_root(&self) -> io::Result<()> {
        let under_way = self.entries.lock().unwrap_or_else(PoisonError::into_inner).take();
        under_way.map_or(Ok(()), |thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.place.check()?;
        let path = self.path(path);
        fs::create_dir(&path)?;
        self.heir.give(&self.root, &path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.path(path))? {
            let entry = entry?;
            let kind = match entry.file_type() {
                Ok(file_type) => entry_kind(file_type),
                // Removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry { name, kind });
            }
        }
        Ok(entries)
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let (mut file, length) = self.open_regular_file(path)?;
        if length > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        // With room for one byte more than there are, a call that reads all of them has seen the end.
        let mut bytes = vec![0; length + 1];
        let mut read = 0;
        while read < length {
            match file.read(&mut bytes[read..]) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        if read > length {
            // It was extended meanwhile.
            file.take(limit.saturating_add(1).saturating_sub(read as u64)).read_to_end(&mut bytes)?;
        }
        if bytes.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn reader(&self, path: &str, limit: u64) -> io::Result<Box<dyn Read + '_>> {
        let (file, length) = self.open_regular_file(path)?;
        if length > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Box::new(file.take(limit)))
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        self.regular_file(path).map(|(_, length)| length)
    }

    fn stamp(&self, path: &str) -> io::Result<Stamp> {
        let metadata = fs::symlink_metadata(self.path(path))?;
        // The length of a directory says how its file system keeps it.
        let length = if metadata.is_dir() { 0 } else { metadata.len() };
        let mut stamp = [0; 16];
        stamp[..8].copy_from_slice(&changed(&metadata).to_le_bytes());
        stamp[8..].copy_from_slice(&length.to_le_bytes());
        Ok(Stamp(stamp))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        self.place.check()?;
        // `create_new` does not follow a link in the last part.
        let path = self.path(path);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        self.heir.give(&self.root, &path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn VfsFile>> {
        self.place.check()?;
        let (path, _) = self.regular_file(path)?;
        Ok(Box::new(RealFile(OpenOptions::new().write(true).open(path)?)))
    }

    fn sync_files(&self, paths: &[String]) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if paths.len() > batch::FEW
            && let Some(root) = self.opened.get()
            && self.is_one_sync(root, paths)?
        {
            return batch::sync(root);
        }
        paths.iter().try_for_each(|path| self.sync_file(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.place.check()?;
        let (from, to) = (self.path(from), self.path(to));
        fs::rename(&from, &to)?;
        self.place.renamed(&from, &to);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.place.check()?;
        fs::remove_file(self.path(path))
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.place.check()?;
        fs::remove_dir(self.path(path))
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        sync_directory(&self.path(path))
    }

    fn lock(&self, path: &str) -> io::Result<VfsLock> {
        let is_new = match self.regular_file(path) {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        let path = self.path(path);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        if is_new {
            self.heir.give(&self.root, &path)?;
        }
        match file.try_lock() {
            Ok(()) => {
                self.place.lock(&path, &file)?;
                Ok(VfsLock::new(file))
            }
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn check_lock(&self) -> io::Result<()> {
        self.place.check()
    }
}

#[derive(Debug)]
struct RealFile(File);

impl VfsFile for RealFile {
    #[cfg(unix)]
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(&self.0, bytes, offset)
    }

    #[cfg(not(unix))]
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        use std::io::{Seek as _, Write as _};
        self.0.seek(io::SeekFrom::Start(offset))?;
        self.0.write(bytes)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_limit_and_no_further() {
        let directory = tempfile::TempDir::new().unwrap();
        let vfs = RealVfs::new(directory.path());
        for length in [0, 1, 4095, 4096, 70_000] {
            let bytes: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            fs::write(directory.path().join("file"), &bytes).unwrap();
            for limit in [length, length + 1, u64::MAX] {
                assert_eq!(vfs.read("file", limit).unwrap(), bytes, "{length} with {limit}");
                let mut read = Vec::new();
                vfs.reader("file", limit).unwrap().read_to_end(&mut read).unwrap();
                assert_eq!(read, bytes, "{length} with {limit}");
            }
            if let Some(limit) = length.checked_sub(1) {
                assert_eq!(vfs.read("file", limit).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
                let refused = vfs.reader("file", limit).err().unwrap();
                assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
            }
        }
    }

    #[test]
    fn every_entry_is_synced_that_leads_to_a_directory_up_to_what_is_mounted() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir_all(path.join("a/b/c")).unwrap();
        let found = parents(&path.join("a/b/c")).unwrap();
        let expected = [path.join("a/b"), path.join("a"), path];
        assert_eq!(found[..3], expected);
        let top = found.last().unwrap();
        assert!(top.parent().is_none_or(|above| is_mounted(top, above).unwrap()), "{}", top.display());
        assert!(parents(&directory.path().join("none")).is_err());
    }

    #[test]
    fn whoever_waits_for_the_root_is_told_that_an_entry_could_not_be_synced() {
        let directory = tempfile::TempDir::new().unwrap();
        let vfs = RealVfs::new(directory.path());
        vfs.wait_for_root().unwrap();
        vfs.create_root().unwrap();
        vfs.wait_for_root().unwrap();
        let failure = || Err(io::ErrorKind::StorageFull.into());
        *vfs.entries.lock().unwrap() = Some(thread::spawn(failure));
        assert_eq!(vfs.wait_for_root().unwrap_err().kind(), io::ErrorKind::StorageFull);
        vfs.wait_for_root().unwrap();
        let vfs = RealVfs::new(directory.path().join("new/store"));
        vfs.create_root().unwrap();
        vfs.wait_for_root().unwrap();
        assert!(vfs.root().is_dir());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_nobody_may_write_is_synced() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("sleep");
        fs::copy("/bin/sleep", &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
        // Not even by one who may do anything, while it runs.
        let mut running = std::process::Command::new(&path).arg("1000").spawn().unwrap();
        let refused = OpenOptions::new().write(true).open(&path);
        let synced = RealVfs::new(directory.path()).sync_files(&["sleep".to_owned()]);
        running.kill().unwrap();
        running.wait().unwrap();
        assert!(refused.is_err(), "the file can be written, so that the test tells nothing");
        synced.unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_root() {
        use std::os::unix::fs::{MetadataExt as _, chown};
        let directory = tempfile::TempDir::new().unwrap();
        let root = directory.path();
        // Whoever may not give files away makes files of their own, in a directory of their own.
        let is_given = chown(root, Some(65534), Some(65534)).is_ok();
        let expected = if is_given { 65534 } else { fs::metadata(root).unwrap().uid() };
        let vfs = RealVfs::new(root);
        let _lock = vfs.lock("LOCK").unwrap();
        vfs.create_directory("images").unwrap();
        vfs.create("images/file").unwrap();
        for path in ["LOCK", "images", "images/file"] {
            assert_eq!(fs::metadata(root.join(path)).unwrap().uid(), expected, "{path}");
        }
        vfs.check_access().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let directory = tempfile::TempDir::new().unwrap();
        let vfs = RealVfs::new(directory.path());
        let path = |name| directory.path().join(name);
        fs::write(path("file"), "x").unwrap();
        fs::create_dir(path("directory")).unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        std::os::unix::fs::symlink("nothing", path("broken link")).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        for name in ["directory", "link", "broken link", "socket", "pipe"] {
            assert_eq!(vfs.read(name, 10).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
            let refused = vfs.reader(name, 10).err().unwrap();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        assert_eq!(vfs.read("nothing", 10).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(vfs.read("file", 10).unwrap(), b"x");
    }
}
