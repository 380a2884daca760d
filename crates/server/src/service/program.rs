//! Programs on their way into the store, and what became of them.

use std::sync::Arc;

use constellation_lang::Diagnostic;
use constellation_rehydrate::LoadedPipeline;
use constellation_store_core::{
    ActiveVersion, Committed, Operation, Origin, Outcome, PipelineName, Precondition, SourceHash,
    StructuralHash, SyntacticKey,
};

use super::Mode;

/// A program that was found or compiled. Nothing of it is published yet.
#[derive(Debug)]
pub struct Found {
    /// The pipeline, ready to run.
    pub pipeline: Arc<LoadedPipeline>,
    /// The key it is found by.
    pub key: SyntacticKey,
    /// The hash of the source as it was given; a source with other comments has the same pipeline.
    pub source_hash: SourceHash,
    /// Whether it was compiled just now.
    pub compiled: bool,
    /// What the compiler warns of; known only when it was compiled just now.
    pub warnings: Vec<Diagnostic>,
    pub(crate) source: Arc<str>,
    /// Whether the store has the image and finds it by the key.
    pub(super) is_stored: bool,
}

impl Found {
    /// The hash that names the image.
    pub fn structural_hash(&self) -> StructuralHash {
        self.pipeline.image.structural_hash
    }

    /// What publishes it, with the image also when the store had it a moment ago if `with_image`.
    pub(super) fn operations(&self, target: Option<&Target>, with_image: bool) -> Vec<Operation> {
        let mut operations = Vec::new();
        let structural_hash = self.structural_hash();
        let with_image = with_image || !self.is_stored;
        if with_image {
            operations.push(Operation::PutImage(Arc::clone(&self.pipeline.image)));
        }
        if with_image || target.is_some() {
            operations.push(Operation::PutSource(Arc::clone(&self.source)));
        }
        if with_image {
            operations.push(Operation::Index { key: self.key, structural_hash });
        }
        if let Some(target) = target {
            operations.push(Operation::RecordVersion {
                name: target.name.clone(),
                structural_hash,
                origin: target.origin,
                source_hash: Some(self.source_hash),
            });
        }
        operations
    }
}

/// The name that a caller wants to point to a program. Without one a program is stored only.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name.
    pub name: PipelineName,
    /// What asks for it.
    pub origin: Origin,
    /// What must hold of the name.
    pub precondition: Precondition,
}

impl Target {
    /// The name, whatever it points to now.
    pub fn new(name: PipelineName, origin: Origin) -> Self {
        Self { name, origin, precondition: Precondition::Any }
    }
}

/// A program that was published.
#[derive(Debug)]
pub struct Published {
    /// The program.
    pub found: Found,
    /// What its name points to now; none when none was asked for.
    pub pointed: Option<Pointed>,
}

/// What a name points to, and what it pointed to before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointed {
    /// What it points to now.
    pub active: ActiveVersion,
    /// What it pointed to before; none when it is new, or was deleted.
    pub previous: Option<ActiveVersion>,
    /// Whether a version was made.
    pub changed: bool,
}

impl Pointed {
    /// What the name points to after the call: a dry run leaves it as it was.
    pub(crate) fn active_after(&self, mode: Mode) -> Option<ActiveVersion> {
        match mode {
            Mode::Apply => Some(self.active),
            Mode::DryRun => self.previous,
        }
    }

    pub(super) fn of(committed: &Committed, structural_hash: StructuralHash) -> Option<Self> {
        committed.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Version { changed, version, previous } => Some(Self {
                active: ActiveVersion { version: *version, structural_hash },
                previous: *previous,
                changed: *changed,
            }),
            _ => None,
        })
    }
}
