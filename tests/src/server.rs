//! The binary as a child process.

use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// How long anything may take before a test gives up. Only a test that fails ever waits so long.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// Between two looks at something that takes time.
const POLL: Duration = Duration::from_millis(5);

/// A running server. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) agent: ureq::Agent,
    pub(crate) stderr: Arc<Mutex<String>>,
    pub(crate) stdout: Option<JoinHandle<String>>,
    pub(crate) stderr_reader: Option<JoinHandle<()>>,
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
    /// The version in the entity tag, where there is one.
    pub version: Option<u64>,
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

impl Server {
    /// `http://ADDRESS`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address without the scheme.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
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

    /// `DELETE`
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn delete(&self, path: &str) -> Answer {
        let response = self.agent.delete(format!("{}{path}", self.url)).call();
        read(response).expect("the server answers")
    }

    /// `PUT` of JSON.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.try_put(path, body).expect("the server answers")
    }

    /// `PUT` of JSON, to a server that may be gone.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn try_put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        read(self.agent.put(format!("{}{path}", self.url)).send_json(body))
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

    /// The same to one that may have ended.
    ///
    /// # Panics
    ///
    /// When there is no shell.
    pub fn send_signal_if_running(&self, signal: &str) {
        let pid = self.child.id().to_string();
        // It is not waited for yet, so that the id is not anybody else's.
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\" 2>&-", signal, &pid]).status();
        sent.expect("there is a shell");
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

    pub(crate) fn wait(&mut self) -> anyhow::Result<Exited> {
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
    let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
    let version = tag.and_then(|tag| tag.trim_matches('"').parse().ok());
    let status = response.status().as_u16();
    Ok(Answer { status, version, text: response.body_mut().read_to_string()? })
}
