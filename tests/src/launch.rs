//! How the binary is started, and where it is.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;

use crate::server::{DEADLINE, Exited, Server};

/// Names the binary to drive; without it, it is built.
const BINARY_VARIABLE: &str = "CONSTELLATION_BIN";

/// How to start the binary. Its working directory is one that the test owns, so that defaults do no harm.
#[derive(Debug)]
pub struct Launch {
    command: Command,
}

impl Launch {
    /// `constellation serve` in a working directory, on a free port, with no variables of its own set.
    pub fn new(working_directory: &Path) -> Self {
        Self::command(working_directory, "serve")
    }

    /// A command of `constellation` in a working directory, with no variables of its own set.
    ///
    /// # Panics
    ///
    /// When there is no binary.
    pub fn command(working_directory: &Path, name: &str) -> Self {
        Self::command_under(&[] as &[&str], working_directory, name)
    }

    /// [`Launch::new`] under a program that ends by becoming what its last arguments say, such as `prlimit`.
    ///
    /// # Panics
    ///
    /// When there is no binary.
    pub fn under<A: AsRef<OsStr>>(wrapper: &[A], working_directory: &Path) -> Self {
        Self::command_under(wrapper, working_directory, "serve")
    }

    /// [`Launch::command`] under such a program.
    ///
    /// # Panics
    ///
    /// When there is no binary.
    pub fn command_under<A: AsRef<OsStr>>(wrapper: &[A], working_directory: &Path, name: &str) -> Self {
        let mut words = wrapper.iter().map(AsRef::as_ref).chain([binary().as_os_str()]);
        let mut command = Command::new(words.next().expect("the binary at the least"));
        command.args(words).current_dir(working_directory).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONSTELLATION_") {
                command.env_remove(name);
            }
        }
        command.env_remove("RUST_LOG").arg(name);
        Self { command }
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it something to read on standard input, which is empty otherwise.
    pub fn stdin(mut self, input: impl Into<Stdio>) -> Self {
        self.command.stdin(input);
        self
    }

    /// Lets it write to a standard error that nobody reads any more.
    ///
    /// # Panics
    ///
    /// When the system has no pipe to give.
    pub fn with_closed_stderr(mut self) -> Self {
        let (_reader, writer) = std::io::pipe().expect("the system has a pipe");
        self.command.stderr(writer);
        self
    }

    /// Starts the server on a free port and waits until it serves.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn start(self) -> Server {
        self.args(["--listen", "127.0.0.1:0"]).try_start().expect("the server starts")
    }

    /// Starts the server as it is told and waits until it serves.
    ///
    /// # Errors
    ///
    /// When it ends instead, with all that it wrote.
    pub fn try_start(self) -> anyhow::Result<Server> {
        self.launch()?.map_err(|exited| anyhow::anyhow!("the server does not serve: {exited:?}"))
    }

    /// Starts the server on a free port and waits until it serves or ends.
    ///
    /// # Errors
    ///
    /// How it ended.
    ///
    /// # Panics
    ///
    /// When it does neither.
    pub fn start_or_end(self) -> Result<Server, Exited> {
        self.args(["--listen", "127.0.0.1:0"]).launch().expect("the server can be started")
    }

    fn launch(mut self) -> anyhow::Result<Result<Server, Exited>> {
        let mut child = self.command.spawn().context("the binary cannot be started")?;
        let (stdout, line) = read_stdout(&mut child)?;
        let (stderr, stderr_reader) = read_stderr(&mut child);
        let line = line.recv_timeout(DEADLINE);
        let mut server = Server {
            child,
            url: String::new(),
            agent: ureq::Agent::new_with_config(
                ureq::Agent::config_builder()
                    .http_status_as_error(false)
                    .timeout_global(Some(DEADLINE))
                    .build(),
            ),
            stderr,
            stdout: Some(stdout),
            stderr_reader: Some(stderr_reader),
        };
        let Some(url) = line.as_deref().ok().and_then(|line| line.strip_prefix("listening on ")) else {
            return Ok(Err(server.wait()?));
        };
        url.trim_end().clone_into(&mut server.url);
        Ok(Ok(server))
    }

    /// Runs the binary to its end, which is expected to come by itself.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn run(mut self) -> Exited {
        let mut child = self.command.spawn().expect("the binary can be started");
        let (stdout, _line) = read_stdout(&mut child).expect("it is piped");
        let (stderr, stderr_reader) = read_stderr(&mut child);
        let mut server = Server {
            child,
            url: String::new(),
            agent: ureq::Agent::new_with_defaults(),
            stderr,
            stdout: Some(stdout),
            stderr_reader: Some(stderr_reader),
        };
        server.wait().expect("it ends")
    }
}

/// All of standard output in the end, and its first line at once.
fn read_stdout(child: &mut Child) -> anyhow::Result<(JoinHandle<String>, Receiver<String>)> {
    let mut stdout = BufReader::new(child.stdout.take().context("it is piped")?);
    let (send, line) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let _ = stdout.read_line(&mut text);
        if !text.is_empty() {
            let _ = send.send(text.clone());
        }
        drop(send);
        let _ = stdout.read_to_string(&mut text);
        text
    });
    Ok((reader, line))
}

fn read_stderr(child: &mut Child) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let stderr = child.stderr.take();
    let text = Arc::new(Mutex::new(String::new()));
    let reader = {
        let text = Arc::clone(&text);
        thread::spawn(move || {
            // Nothing is read where a test has put something else in its place.
            let Some(mut stderr) = stderr else { return };
            let mut buffer = [0; 4096];
            let mut pending = Vec::new();
            while let Ok(length @ 1..) = stderr.read(&mut buffer) {
                pending.extend_from_slice(&buffer[..length]);
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                // A character may be cut by the buffer; the rest of it comes with the next read.
                let whole = std::str::from_utf8(&pending).map_or_else(|error| error.valid_up_to(), str::len);
                text.push_str(&String::from_utf8_lossy(&pending[..whole]));
                pending.drain(..whole);
            }
        })
    };
    (text, reader)
}

/// The binary that `cargo xtask test` built, or else one that is built now: one that lies about may be old.
///
/// # Panics
///
/// When there is none and none can be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(binary) = std::env::var_os(BINARY_VARIABLE) {
            let binary = PathBuf::from(binary);
            assert!(binary.is_file(), "{BINARY_VARIABLE} is {}, which is no file", binary.display());
            return binary;
        }
        // `target/debug/deps/all-0123` to `target/debug`.
        let test = std::env::current_exe().expect("a test knows where it is");
        let profile = test.parent().and_then(Path::parent).expect("cargo puts tests below the profile");
        let target = profile.parent().expect("cargo puts profiles below the target directory");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--package", "constellation", "--bin", "constellation"]);
        if profile.ends_with("release") {
            command.arg("--release");
        }
        command.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        let built = command.status().expect("cargo can be started");
        assert!(built.success(), "the binary cannot be built; set {BINARY_VARIABLE} to one that is there");
        profile.join(format!("constellation{}", std::env::consts::EXE_SUFFIX))
    })
}
