//! Faults of the system below a server: calls that fail or kill, small disks, and the tools that make them.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::Server;

/// Makes the long form of the tests run: all cases instead of a selection, and more rounds.
const NIGHTLY_VARIABLE: &str = "CONSTELLATION_NIGHTLY";
/// Repeats a run of a test with chance in it.
const SEED_VARIABLE: &str = "CONSTELLATION_SEED";

/// Whether the long form of the tests is wanted.
pub fn is_nightly() -> bool {
    std::env::var_os(NIGHTLY_VARIABLE).is_some_and(|value| !value.is_empty())
}

/// Chance that can be repeated: the seed is told, and may be given.
///
/// # Panics
///
/// When the variable is no number.
#[expect(clippy::print_stderr, reason = "whoever reads of a failure needs the seed")]
pub fn chance() -> fastrand::Rng {
    let given = std::env::var(SEED_VARIABLE).ok().map(|seed| seed.parse().expect("a seed is a number"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{SEED_VARIABLE}={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Skips what cannot be done here.
///
/// # Panics
///
/// In CI, where everything can be done.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is told what was skipped")]
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI does not skip: {why}");
    eprintln!("skipped: {why}");
}

/// Whether a command can be run. If not, that is told, or fails the test: see [`skip`].
pub fn can_run(command: &[&str]) -> bool {
    let output = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output();
    let why = match output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    skip(&format!("`{}` does not work here: {why}", command.join(" ")));
    false
}

/// Whether `strace` works here, see [`can_run`].
pub fn can_trace() -> bool {
    can_run(&["strace", "-o", "/dev/null", "true"])
}

/// A fault of some system calls, made by `strace`.
///
/// Its `when` counts each kind of call and each thread by itself. Those of a store are made by two threads: the one
/// that opens it, and the one that writes.
#[derive(Debug)]
pub struct Injection {
    log: PathBuf,
    directory: TempDir,
    calls: String,
    fault: String,
    path: Option<PathBuf>,
}

impl Injection {
    /// Of some calls, such as `pwrite64,rename`, with a fault in the words of `strace`, such as
    /// `error=EIO:when=3`.
    ///
    /// # Errors
    ///
    /// When there is no place for the log.
    pub fn new(calls: &str, fault: &str) -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        let log = directory.path().join("log");
        Ok(Self { log, directory, calls: calls.to_owned(), fault: fault.to_owned(), path: None })
    }

    /// Only of calls that are about the file or directory of this path.
    pub fn at(self, path: &Path) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    fn words(&self) -> Vec<OsString> {
        let trace = format!("trace={}", self.calls);
        let inject = format!("inject={}:{}", self.calls, self.fault);
        let mut words: Vec<OsString> =
            ["strace", "-f", "-e", &trace, "-e", &inject, "-o"].map(OsString::from).to_vec();
        words.push(self.log.clone().into_os_string());
        if let Some(path) = &self.path {
            words.extend(["-P".into(), path.clone().into_os_string()]);
        }
        words
    }

    /// What to start a server under. The server stays a child of the test.
    pub fn wrapper(&self) -> Vec<OsString> {
        let mut words = self.words();
        words.insert(1, "-D".into());
        words
    }

    /// Lets the calls of a server fail from now on, until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// When `strace` does not attach.
    pub fn attach(&self, server: &Server) -> anyhow::Result<Attached> {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("-p").arg(server.pid().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        let stderr = child.stderr.take().context("it is piped")?;
        let mut stderr = BufReader::new(stderr);
        stderr.read_line(&mut line)?;
        let attached = Attached { child, _stderr: stderr };
        ensure!(line.contains("attached"), "strace says: {line}");
        Ok(attached)
    }

    /// How often it struck. Known when the server has ended.
    ///
    /// # Errors
    ///
    /// When there is no log.
    pub fn n_strikes(&self) -> anyhow::Result<usize> {
        let log = fs::read_to_string(&self.log)
            .with_context(|| format!("no log in {}", self.directory.path().display()))?;
        Ok(log.matches("(INJECTED)").count())
    }
}

/// A `strace` of a running server, which goes on unhurt when this is dropped.
#[derive(Debug)]
pub struct Attached {
    child: Child,
    _stderr: BufReader<std::process::ChildStderr>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        // It lets go of the server when it is interrupted; killed, it might take it along.
        let _ = Command::new("kill").args(["-s", "INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// A small file system in memory, gone when it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// With options of `mount`, such as `size=1m`. None where mounting is not allowed, see [`skip`].
    ///
    /// # Errors
    ///
    /// When there is no place for it.
    pub fn new(options: &str) -> anyhow::Result<Option<Self>> {
        let directory = TempDir::new()?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(directory.path());
        let why = match command.output() {
            Ok(output) if output.status.success() => return Ok(Some(Self { directory })),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        skip(&format!("no file system can be mounted: {why}"));
        Ok(None)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Changes its options.
    ///
    /// # Errors
    ///
    /// When `mount` refuses, with what it says.
    pub fn remount(&self, options: &str) -> anyhow::Result<()> {
        let mut command = Command::new("mount");
        let output = command.arg("-o").arg(format!("remount,{options}")).arg(self.path()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that a failed test leaves may still use it.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
