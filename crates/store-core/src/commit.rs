//! Commits: the one way to change a store.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    ActiveVersion, ErrorKind, Origin, PipelineImage, PipelineName, Result, SourceHash, StoreError,
    StructuralHash, SyntacticKey,
};

/// The number of a commit, store-wide: it grows with each commit that changes something, and is never used twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Operations that are applied in order, wholly or not at all, if the preconditions hold.
///
/// ```
/// use constellation_store_core::{Commit, Operation, Precondition};
/// let name = "scoring".parse()?;
/// let commit = Commit::new()
///     .require("scoring".parse()?, Precondition::Active(3))
///     .then(Operation::SetActive { name, version: 2 });
/// assert_eq!(commit.operations.len(), 1);
/// # Ok::<(), constellation_store_core::StoreError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// What must hold of names before the first operation.
    pub preconditions: Vec<(PipelineName, Precondition)>,
    /// The operations.
    pub operations: Vec<Operation>,
}

impl Commit {
    /// A commit that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a precondition.
    pub fn require(mut self, name: PipelineName, precondition: Precondition) -> Self {
        self.preconditions.push((name, precondition));
        self
    }

    /// Adds an operation.
    pub fn then(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }
}

/// What must hold of a name for a commit to be applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    Any,
    /// The name has no active version: it is new, or deleted.
    Absent,
    /// This version is active.
    Active(u64),
}

impl Precondition {
    /// Judges what a name points to.
    ///
    /// # Errors
    ///
    /// `Conflict`, with the name, the expected version and the active one, when the precondition does not hold.
    pub fn judge(self, name: &PipelineName, active: Option<ActiveVersion>) -> Result<()> {
        let expected = match self {
            Self::Any => return Ok(()),
            Self::Absent => None,
            Self::Active(version) => Some(version),
        };
        let found = active.map(|active| active.version);
        if found == expected {
            return Ok(());
        }
        let text = |version: Option<u64>| version.map_or("none".to_owned(), |version| version.to_string());
        let message = "the active version is not the expected one; read it again and decide anew";
        Err(StoreError::new(ErrorKind::Conflict, "commit", message)
            .with("name", name)
            .with("expected", text(expected))
            .with("active", text(found)))
    }
}

/// A change of a store.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Stores an image. One that is there is kept with its first `compiledAt`.
    PutImage(Arc<PipelineImage>),
    /// Retains a source text.
    PutSource(Arc<str>),
    /// Lets a program be found again by its key.
    Index {
        /// The key.
        key: SyntacticKey,
        /// The image, which is stored or put earlier in the commit.
        structural_hash: StructuralHash,
    },
    /// Makes a new version of a name and makes it active, unless the active version has the same image.
    RecordVersion {
        /// The name.
        name: PipelineName,
        /// The image, which is stored or put earlier in the commit.
        structural_hash: StructuralHash,
        /// What records it. From [`Origin::Loader`], the source is remembered as the loader's, also when no
        /// version is made.
        origin: Origin,
        /// The source it was compiled from.
        source_hash: Option<SourceHash>,
    },
    /// Makes an older or newer version of a name active.
    SetActive {
        /// The name.
        name: PipelineName,
        /// The version, which was not pruned.
        version: u64,
    },
    /// Takes the active version from a name. Its versions stay, and count on from where they were.
    DeleteName {
        /// The name.
        name: PipelineName,
    },
    /// Removes an image that no version refers to, the index entries that lead to it, and its source if nothing
    /// else refers to that.
    RemoveImage {
        /// The image.
        structural_hash: StructuralHash,
    },
    /// Forgets the versions of a name but the newest, and but the active one.
    PruneVersions {
        /// The name.
        name: PipelineName,
        /// How many of the newest stay.
        keep: usize,
    },
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The revision of the commit; the latest one when the commit changed nothing.
    pub revision: Revision,
    /// The outcome of each operation, in order.
    pub outcomes: Vec<Outcome>,
}

/// What an operation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of [`Operation::PutImage`].
    Image {
        /// Whether it was not there before.
        added: bool,
    },
    /// Of [`Operation::PutSource`].
    Source {
        /// Whether it was not there before.
        added: bool,
    },
    /// Of [`Operation::Index`].
    Indexed {
        /// Whether the key led elsewhere, or nowhere, before.
        changed: bool,
    },
    /// Of [`Operation::RecordVersion`].
    Version {
        /// Whether a version was made.
        changed: bool,
        /// The version that is active now.
        version: u64,
        /// What was active before.
        previous: Option<ActiveVersion>,
    },
    /// Of [`Operation::SetActive`].
    Activated {
        /// Whether another version was active before.
        changed: bool,
        /// What is active now.
        active: ActiveVersion,
        /// What was active before.
        previous: Option<ActiveVersion>,
    },
    /// Of [`Operation::DeleteName`].
    Deleted {
        /// What was active before.
        previous: ActiveVersion,
    },
    /// Of [`Operation::RemoveImage`].
    Removed,
    /// Of [`Operation::PruneVersions`].
    Pruned {
        /// The versions that were forgotten, in ascending order.
        versions: Vec<u64>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StructuralHash;

    #[test]
    fn a_precondition_holds_for_what_it_names_alone() {
        let name = "scoring".parse().unwrap();
        let active =
            |version| Some(ActiveVersion { version, structural_hash: StructuralHash::of_bytes(b"x") });
        for (precondition, found, holds) in [
            (Precondition::Any, None, true),
            (Precondition::Any, active(1), true),
            (Precondition::Absent, None, true),
            (Precondition::Absent, active(1), false),
            (Precondition::Active(2), None, false),
            (Precondition::Active(2), active(1), false),
            (Precondition::Active(2), active(2), true),
        ] {
            let judged = precondition.judge(&name, found);
            assert_eq!(judged.is_ok(), holds, "{precondition:?} {found:?}");
        }
        let error = Precondition::Active(2).judge(&name, active(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let told = error.to_string();
        assert!(["scoring", "2", "1"].iter().all(|part| told.contains(part)), "{told}");
    }

    #[test]
    fn a_commit_keeps_what_is_added_in_order() {
        let [one, two]: [PipelineName; 2] = ["one", "two"].map(|name| name.parse().unwrap());
        let commit = Commit::new()
            .require(one.clone(), Precondition::Absent)
            .then(Operation::DeleteName { name: one.clone() })
            .require(two.clone(), Precondition::Active(3))
            .then(Operation::SetActive { name: two.clone(), version: 2 });
        assert_eq!(
            commit.preconditions,
            [(one.clone(), Precondition::Absent), (two.clone(), Precondition::Active(3))]
        );
        let [Operation::DeleteName { name: first }, Operation::SetActive { name: second, version: 2 }] =
            commit.operations.as_slice()
        else {
            panic!("{commit:?}");
        };
        assert_eq!((first, second), (&one, &two));
    }

    #[test]
    fn a_revision_is_shown_as_its_number() {
        assert_eq!(Revision(42).to_string(), "42");
    }
}
