//! What a server can be told: limits, and where the startup loader looks.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::loader::{LoadError, files};

/// Bounds on what clients can make the server hold or wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at one time; further ones wait in the system's queue.
    pub max_connections: usize,
    /// Bytes of the target of a request, path and query.
    pub max_uri_bytes: usize,
    /// Bytes of a request body, counted as they arrive.
    pub max_body_bytes: usize,
    /// Bytes of all bodies that are being read, not counting the first 64 KiB of each; who needs more gets 503.
    pub max_buffered_body_bytes: usize,
    /// Bytes of all answers that their clients have not taken yet, not counting the first 64 KiB of each; an answer that
    /// needs more becomes 503.
    pub max_buffered_answer_bytes: usize,
    /// Values in the JSON of a body, counting keys: in memory each takes many times its bytes.
    pub max_json_values: usize,
    /// Time for the head of a request to arrive; also how long an idle connection is kept.
    pub header_read_timeout: Duration,
    /// Time for the body of a request to arrive.
    pub body_read_timeout: Duration,
    /// How often a client that does not take its answer at once is looked at. It has to take a kibibyte for each second
    /// of this time.
    pub write_timeout: Duration,
    /// Compilations at one time; further ones wait.
    pub max_compilations: usize,
    /// Requests that wait to compile; further ones get 503.
    pub max_waiting_compilations: usize,
    /// Runs at one time; further ones wait.
    pub max_executions: usize,
    /// Requests that wait to run; further ones get 503.
    pub max_waiting_executions: usize,
    /// Time for each turn that a request waits for; then it gets 503. One may wait for several, one after another: to be
    /// read when its source is long, for the same program that is being compiled, to compile, and to run.
    pub max_queue_wait: Duration,
    /// Time for a run, from when it is asked for; a request may ask for less.
    pub max_execution_duration: Duration,
    /// Loaded pipelines that are kept in memory; the least recently used are dropped and loaded again when they
    /// are needed. For as many sources it is remembered which program they are.
    pub max_loaded_pipelines: usize,
    /// Calls of modules in flight at one time, of all runs together; 0 sets no bound.
    pub max_calls_in_flight: usize,
    /// Calls that wait when there are as many in flight; further ones fail as overloaded.
    pub max_calls_waiting: usize,
    /// Results of calls with `cache` that are kept in memory.
    pub max_cached_results: usize,
    /// About how many bytes these may take together.
    pub max_cached_bytes: u64,
    /// Images in the store. A program that would add one more is refused with `StorageFull`; those that are stored
    /// run, and get names.
    pub max_stored_images: u64,
    /// Retained source texts in the store, in the same way. Different texts can be of one image.
    pub max_stored_sources: u64,
    /// Bytes of these images, as the canonical JSON of their graphs, and source texts, in the same way. The files of a
    /// store take more; `docs/operations.md` tells how much.
    pub max_stored_bytes: u64,
    /// Time between `/ready` answering 503 and the listener closing, so that a balancer looks elsewhere first.
    pub drain_delay: Duration,
    /// Time for requests under way to finish when the server stops; then their connections are closed.
    pub drain_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 8192,
            max_uri_bytes: 8 * 1024,
            max_body_bytes: 10 * 1024 * 1024,
            max_buffered_body_bytes: 256 * 1024 * 1024,
            max_buffered_answer_bytes: 512 * 1024 * 1024,
            max_json_values: 1_000_000,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            max_compilations: std::thread::available_parallelism().map_or(2, usize::from),
            max_waiting_compilations: 256,
            max_executions: 256,
            max_waiting_executions: 1024,
            max_queue_wait: Duration::from_secs(5),
            max_execution_duration: Duration::from_mins(5),
            max_loaded_pipelines: 1024,
            max_calls_in_flight: 0,
            max_calls_waiting: 10_000,
            max_cached_results: 10_000,
            max_cached_bytes: 64 * 1024 * 1024,
            max_stored_images: 100_000,
            max_stored_sources: 200_000,
            max_stored_bytes: 4 * 1024 * 1024 * 1024,
            drain_delay: Duration::ZERO,
            drain_deadline: Duration::from_secs(30),
        }
    }
}

/// Where the startup loader looks for pipelines, and what it names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderConfig {
    /// The directory; it must exist.
    pub directory: PathBuf,
    /// Whether directories below it are searched too.
    pub recursive: bool,
    /// Whether one file that fails keeps the server from starting; then nothing of the directory is published.
    pub fail_on_error: bool,
    /// How files get their names.
    pub alias_strategy: AliasStrategy,
}

impl LoaderConfig {
    /// The `.cst` files directly in `directory`, named by file name; a file that fails is reported.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            recursive: false,
            fail_on_error: false,
            alias_strategy: AliasStrategy::default(),
        }
    }

    /// Checks that the directory is there, so that a server need not be started to learn that it is not.
    ///
    /// # Errors
    ///
    /// [`LoadError::Directory`].
    pub fn check(&self) -> Result<(), LoadError> {
        files::check_directory(&self.directory)
            .map_err(|source| LoadError::Directory { directory: self.directory.clone(), source })
    }
}

/// How the startup loader names the pipeline of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum AliasStrategy {
    /// `scoring` for `pipelines/team/scoring.cst`.
    #[default]
    FileName,
    /// `team/scoring` for `pipelines/team/scoring.cst`, when `pipelines` is the directory.
    RelativePath,
    /// No name: the pipeline is reached by its hash.
    HashOnly,
}

impl AliasStrategy {
    /// The strategies, as they print.
    pub const ALL: [Self; 3] = [Self::FileName, Self::RelativePath, Self::HashOnly];
}

impl fmt::Display for AliasStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileName => "filename",
            Self::RelativePath => "relative-path",
            Self::HashOnly => "hash-only",
        })
    }
}

/// Text that is not an [`AliasStrategy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a way to name pipelines; use filename, relative-path or hash-only")]
pub struct InvalidAliasStrategy {
    /// The text as given.
    pub text: String,
}

/// The spellings of the reference implementation are accepted too: `file-name`, `relativepath`, `hashonly`, in
/// any case.
impl FromStr for AliasStrategy {
    type Err = InvalidAliasStrategy;

    fn from_str(text: &str) -> Result<Self, InvalidAliasStrategy> {
        match text.to_ascii_lowercase().as_str() {
            "filename" | "file-name" => Ok(Self::FileName),
            "relativepath" | "relative-path" => Ok(Self::RelativePath),
            "hashonly" | "hash-only" => Ok(Self::HashOnly),
            _ => Err(InvalidAliasStrategy { text: text.chars().take(80).collect() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_reads_back_and_the_other_spellings_are_accepted() {
        for strategy in AliasStrategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        for (text, strategy) in [
            ("file-name", AliasStrategy::FileName),
            ("RelativePath", AliasStrategy::RelativePath),
            ("hashonly", AliasStrategy::HashOnly),
        ] {
            assert_eq!(text.parse(), Ok(strategy));
        }
        assert!("stem".parse::<AliasStrategy>().unwrap_err().to_string().contains("hash-only"));
    }
}
