//! What an operator should know of a store, and for how long.

use constellation_store_core::{SourceHash, StoreStatus, StructuralHash};
use constellation_store_mem::State;

use crate::layout::{ALIASES, IMAGES, INDEX, SOURCES};

/// How a store is beyond what it holds.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) read_only: Option<String>,
    /// What was found to be wrong.
    pub(super) found: Vec<Warning>,
    /// Why the JSON files are behind.
    pub(super) write_behind: Option<String>,
    /// Why frames of an earlier opening are not known to be durable.
    pub(super) unsettled: Option<String>,
    /// Why the last commit was not written. As long as commits are tried there may be no checkpoint that fails.
    pub(super) refused: Option<String>,
}

/// Something that was found to be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) text: String,
    until: Until,
}

/// When a warning has had its time. The log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Until {
    /// When the store is opened again: nothing brings back what is lost.
    Opened,
    /// When all of this is stored again.
    Stored(Vec<Content>),
    /// When a checkpoint is done that was planned afterwards.
    Written { is_planned: bool },
}

/// What a file holds that a commit can store again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Image(StructuralHash),
    Source(SourceHash),
}

impl Content {
    fn of_path(path: &str) -> Option<Self> {
        let (directory, name) = path.split_once('/')?;
        match directory {
            IMAGES => name.strip_suffix(".json")?.parse().ok().map(Self::Image),
            SOURCES => name.strip_suffix(".cst")?.parse().ok().map(Self::Source),
            _ => None,
        }
    }

    fn is_in(self, state: &State) -> bool {
        match self {
            Self::Image(hash) => state.summary(&hash).is_some(),
            Self::Source(hash) => state.has_source(&hash),
        }
    }
}

impl From<String> for Warning {
    fn from(text: String) -> Self {
        Self { text, until: Until::Opened }
    }
}

impl Warning {
    /// Of something that is gone.
    pub(crate) fn until_stored(text: String, contents: Vec<Content>) -> Self {
        Self { text, until: Until::Stored(contents) }
    }

    /// Of a file that the next checkpoint writes anew.
    pub(crate) fn until_written(text: String) -> Self {
        Self { text, until: Until::Written { is_planned: false } }
    }

    /// Of a file that is damaged and not used.
    pub(crate) fn of_file(path: &str, text: String) -> Self {
        match Content::of_path(path) {
            Some(content) => Self::until_stored(text, vec![content]),
            None if path == ALIASES || path == INDEX => Self::until_written(text),
            None => text.into(),
        }
    }
}

impl Health {
    /// With warnings from before the store was used.
    pub(super) fn new(found: Vec<Warning>) -> Self {
        Self { found, ..Self::default() }
    }

    /// Tells `status` what is wrong.
    pub(super) fn tell(&self, status: &mut StoreStatus) {
        let Self { read_only, found, write_behind, unsettled, refused } = self;
        status.read_only.clone_from(read_only);
        let found = found.iter().map(|warning| &warning.text);
        status.warnings = found.chain(write_behind).chain(unsettled).chain(refused).cloned().collect();
    }

    /// Takes back what is whole again since a commit.
    pub(super) fn committed(&mut self, state: &State) {
        self.found.retain(|warning| match &warning.until {
            Until::Stored(contents) => !contents.iter().all(|content| content.is_in(state)),
            Until::Opened | Until::Written { .. } => true,
        });
    }

    /// Notes that a checkpoint was planned, which writes all that was marked so far.
    pub(super) fn checkpoint_planned(&mut self) {
        self.set_planned(true);
    }

    /// Notes that the checkpoint was given up, so that another one writes what it did not, and tells whether it is the
    /// first since one was done.
    pub(super) fn checkpoint_failed(&mut self, reason: String) -> bool {
        self.set_planned(false);
        self.write_behind.replace(reason).is_none()
    }

    /// Takes back what the checkpoint wrote, and tells whether the one before was given up.
    pub(super) fn checkpoint_done(&mut self) -> bool {
        let was_failing = self.write_behind.take().is_some();
        self.unsettled = None;
        self.found.retain(|warning| warning.until != Until::Written { is_planned: true });
        was_failing
    }

    fn set_planned(&mut self, planned: bool) {
        for warning in &mut self.found {
            if let Until::Written { is_planned } = &mut warning.until {
                *is_planned = planned;
            }
        }
    }
}
