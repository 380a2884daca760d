//! How much is measured, and where.

use std::path::PathBuf;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Smaller counts and fewer rounds.
    pub(crate) quick: bool,
    /// The one case that is measured; all of them if it is `None`.
    pub(crate) only: Option<String>,
    /// Where all contenders keep their files.
    pub(crate) directory: PathBuf,
}

impl Settings {
    /// How many operations are timed one by one.
    pub(crate) fn operations(&self) -> u64 {
        if self.quick { 150 } else { 1_000 }
    }

    /// How often what takes long is measured.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 2 } else { 5 }
    }

    /// How many publishes a burst has.
    pub(crate) fn burst(&self) -> u64 {
        if self.quick { 2_000 } else { 20_000 }
    }

    /// How many names and images a few, a middling and a large store hold.
    pub(crate) fn sizes(&self) -> [u64; 3] {
        if self.quick { [100, 1_000, 5_000] } else { [100, 10_000, 100_000] }
    }

    /// Whether a case is asked for.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == case)
    }

    /// A new directory for one contender.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// Tells people what is going on, since it takes minutes.
#[expect(clippy::print_stderr, reason = "the output of the program is the table alone")]
pub(crate) fn progress(what: &str) {
    eprintln!("measuring {what}");
}
