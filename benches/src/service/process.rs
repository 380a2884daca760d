//! The server and the floor as child processes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::Settings;

/// New programs are published as fast as can be for minutes, which the limits of a server are there to stop.
const UNLIMITED: [(&str, &str); 3] = [
    ("CONSTELLATION_MAX_STORED_IMAGES", "1000000000"),
    ("CONSTELLATION_MAX_STORED_SOURCES", "1000000000"),
    ("CONSTELLATION_MAX_STORED_BYTES", "1000000000000"),
];

/// How much a store has.
#[derive(Deserialize)]
pub(crate) struct Stored {
    pub(crate) images: u64,
    pub(crate) names: u64,
}

#[derive(Deserialize)]
struct Readiness {
    store: Stored,
}

/// A process that serves HTTP. It is killed when this is dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) url: String,
    /// From before it was started until it told its address.
    pub(crate) started_in: Duration,
}

impl Serving {
    /// The server with a store of its own.
    pub(crate) fn server(settings: &Settings, store: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(&settings.binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(store);
        command.envs(UNLIMITED).stderr(Stdio::null());
        Self::start(command)
    }

    /// The floor.
    pub(crate) fn floor(answers: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", "--answers"]).arg(answers);
        Self::start(command)
    }

    fn start(mut command: Command) -> anyhow::Result<Self> {
        let start = Instant::now();
        let child = command
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        // From here on it is killed whatever goes wrong.
        let mut serving = Self { child, url: String::new(), started_in: Duration::ZERO };
        let mut line = String::new();
        BufReader::new(serving.child.stdout.take().context("its output is piped")?).read_line(&mut line)?;
        serving.started_in = start.elapsed();
        let url = line.trim().strip_prefix("listening on ");
        serving.url = url
            .map(str::to_owned)
            .with_context(|| format!("{command:?} told '{line}' instead of its address"))?;
        Ok(serving)
    }

    /// Tells the process to end, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().context("running kill")?;
        ensure!(status.success(), "kill failed");
        let status = self.child.wait()?;
        ensure!(status.success(), "a server ended with {status}");
        Ok(())
    }

    /// The body of an answer to `GET`.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<String> {
        Ok(ureq::get(format!("{}{path}", self.url)).call()?.body_mut().read_to_string()?)
    }

    /// The body of an answer to `POST`.
    pub(crate) fn post(&self, path: &str, body: &str) -> anyhow::Result<String> {
        let request = ureq::post(format!("{}{path}", self.url)).content_type("application/json");
        Ok(request.send(body)?.body_mut().read_to_string()?)
    }

    /// What the store of the server has.
    pub(crate) fn stored(&self) -> anyhow::Result<Stored> {
        let readiness: Readiness = serde_json::from_str(&self.get("/ready?verbose")?)?;
        Ok(readiness.store)
    }

    /// Bytes of memory that it has at the moment.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        ensure!(kibibytes > 0.0, "a process without memory");
        Ok(kibibytes * 1024.0)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
