//! The binary as a child process.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

/// Names the binary to drive; without it, it is built.
const BINARY_VARIABLE: &str = "CONSTELLATION_BIN";

/// How long anything may take before a test gives up. Only a test that fails ever waits so long.
const DEADLINE: Duration = Duration::from_mins(1);

/// Between two looks at something that takes time.
const POLL: Duration = Duration::from_millis(5);

/// How to start the binary. Its working directory is one that the test owns, so that defaults do no harm.
#[derive(Debug)]
pub struct Launch {
    command: Command,
}

/// A running server. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
    agent: ureq::Agent,
    stderr: Arc<Mutex<String>>,
    stdout: Option<JoinHandle<String>>,
    stderr_reader: Option<JoinHandle<()>>,
}

/// A server that ended by itself.
#[derive(Debug)]
pub struct Exited {
    /// How.
    pub status: ExitStatus,
    /// All that it wrote to standard output.
    pub stdout: String,
    /// All that it wrote to standard error.
    pub stderr: String,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Launch {
    /// `constellation serve` in a working directory, on a free port, with no variables of its own set.
    pub fn new(working_directory: &Path) -> Self {
        let mut command = Command::new(binary());
        command.current_dir(working_directory).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONSTELLATION_") {
                command.env_remove(name);
            }
        }
        command.env_remove("RUST_LOG").arg("serve");
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
    pub fn try_start(mut self) -> anyhow::Result<Server> {
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
            let exited = server.wait()?;
            bail!("the server does not serve: {exited:?}");
        };
        url.trim_end().clone_into(&mut server.url);
        Ok(server)
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

impl Server {
    /// `http://ADDRESS`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address without the scheme.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// What it has written to standard error until now.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `GET`
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Answer {
        let response = self.agent.get(format!("{}{path}", self.url)).call();
        read(response).expect("the server answers")
    }

    /// `POST` of JSON.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).expect("the server answers")
    }

    /// `POST` of JSON, to a server that may be gone.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn try_post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        read(self.agent.post(format!("{}{path}", self.url)).send_json(body))
    }

    /// `PUT` of JSON.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        read(self.agent.put(format!("{}{path}", self.url)).send_json(body)).expect("the server answers")
    }

    /// Runs a pipeline by name or hash, and gives its outputs.
    ///
    /// # Panics
    ///
    /// When the run does not complete.
    pub fn execute(&self, reference: &str, inputs: &Value) -> Value {
        let answer = self.post("/execute", &serde_json::json!({ "ref": reference, "inputs": inputs }));
        let mut body = answer.json();
        assert_eq!(body["status"], "completed", "{reference}: {body}");
        body["outputs"].take()
    }

    /// Compiles a source under a name, and gives the hash.
    ///
    /// # Panics
    ///
    /// When it does not compile.
    pub fn compile(&self, name: &str, source: &str) -> String {
        let answer = self.post("/compile", &serde_json::json!({ "name": name, "source": source }));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        answer.json()["structuralHash"].as_str().expect("a hash").to_owned()
    }

    /// The hash that a name points to.
    ///
    /// # Panics
    ///
    /// When there is no such name.
    pub fn hash_of(&self, name: &str) -> String {
        let answer = self.get(&format!("/pipelines/{name}"));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        answer.json()["structuralHash"].as_str().expect("a hash").to_owned()
    }

    /// A counter or gauge without labels.
    ///
    /// # Panics
    ///
    /// When there is none of this name.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is not in\n{text}"))
    }

    /// How many programs were compiled since it started.
    pub fn compilations(&self) -> u64 {
        self.metric("constellation_compilations_total")
    }

    /// Waits until something holds.
    ///
    /// # Panics
    ///
    /// When it does not within the deadline.
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < DEADLINE, "not {what}; it wrote:\n{}", self.stderr());
            thread::sleep(POLL);
        }
    }

    /// Ends it as a loss of power would: without any chance to do something.
    ///
    /// # Panics
    ///
    /// When it has ended already.
    pub fn kill(mut self) {
        assert!(self.child.try_wait().expect("a child").is_none(), "ended before: {}", self.stderr());
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was killed");
    }

    /// Sends it a signal, such as `TERM`.
    ///
    /// # Panics
    ///
    /// When it has ended already.
    pub fn send_signal(&self, signal: &str) {
        // A shell's `kill`: the standard library can only send SIGKILL, and only from who owns the child.
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid]).status();
        assert!(sent.expect("there is a shell").success(), "the signal was sent");
    }

    /// Asks it to end with a signal, such as `TERM`, and waits.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn signal(self, signal: &str) -> Exited {
        self.send_signal(signal);
        self.wait_for_exit()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn wait_for_exit(mut self) -> Exited {
        self.wait().expect("it ends")
    }

    fn wait(&mut self) -> anyhow::Result<Exited> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < DEADLINE, "it does not end; it wrote:\n{}", self.stderr());
            thread::sleep(POLL);
        };
        let stdout = self.stdout.take().context("it ends once")?.join().unwrap_or_default();
        if let Some(reader) = self.stderr_reader.take() {
            // All that it wrote is there when its end of the pipe is closed.
            let _ = reader.join();
        }
        Ok(Exited { status, stdout, stderr: self.stderr() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Answer> {
    let mut response = response?;
    Ok(Answer { status: response.status().as_u16(), text: response.body_mut().read_to_string()? })
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
fn binary() -> &'static Path {
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
