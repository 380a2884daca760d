//! The version history of a name.

use std::io::Write as _;

use serde::{Deserialize, Serialize};

use crate::{ExtraMembers, PipelineName, Revision, SourceHash, StructuralHash, Timestamp};

/// What a name has pointed to, and what it points to now.
///
/// Its serde form has the members of a version document, without the checksum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionHistory {
    /// The name.
    pub pipeline_name: PipelineName,
    /// The versions that were not pruned, in ascending order.
    pub versions: Vec<Version>,
    /// The active version, one of `versions`; none when the name was deleted.
    pub active_version: Option<u64>,
    /// The number of the next version. It only grows, so that no number is used twice. A document of the plain
    /// form does not have it; who reads one sets it with [`VersionHistory::normalize`].
    #[serde(default)]
    pub next_version: u64,
    /// The source that the startup loader published or found last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loader_source_hash: Option<SourceHash>,
    /// Members that this version of the format does not know; they are kept.
    #[serde(flatten)]
    pub extra: ExtraMembers,
}

/// A version of a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Its number, from 1.
    pub version: u64,
    /// The image.
    pub structural_hash: StructuralHash,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// The commit that recorded it.
    #[serde(default)]
    pub revision: Revision,
    /// What recorded it.
    #[serde(default = "Origin::of_plain_form")]
    pub origin: Origin,
    /// The source that it was compiled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_hash: Option<SourceHash>,
    /// Members that this version of the format does not know; they are kept.
    #[serde(flatten)]
    pub extra: ExtraMembers,
}

/// What recorded a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// A request to compile.
    Compile,
    /// A request to reload.
    Reload,
    /// The startup loader.
    Loader,
    /// A request to point the name to an image.
    Alias,
    /// An import, or a file that was there before the format knew origins.
    Import,
}

impl Origin {
    /// All origins.
    pub const ALL: [Self; 5] = [Self::Compile, Self::Reload, Self::Loader, Self::Alias, Self::Import];

    /// The origin as text, as a document has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Reload => "reload",
            Self::Loader => "loader",
            Self::Alias => "alias",
            Self::Import => "import",
        }
    }

    fn of_plain_form() -> Self {
        Self::Import
    }
}

/// What a name points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ActiveVersion {
    /// The number of the version.
    pub version: u64,
    /// Its image.
    pub structural_hash: StructuralHash,
}

impl Version {
    /// Appends the version as compact JSON, as its serde form is, in half of the time: every commit that points a name
    /// somewhere writes one, while others wait, and nothing in it but extra members can need an escape.
    pub fn append_json(&self, out: &mut Vec<u8>) {
        let Self { version, structural_hash, created_at, revision, origin, source_hash, extra } = self;
        let origin = origin.as_str();
        let head = format_args!(
            "{{\"version\":{version},\"structuralHash\":\"{structural_hash}\",\"createdAt\":\"{created_at}\",\
             \"revision\":{revision},\"origin\":\"{origin}\""
        );
        let written = match source_hash {
            Some(source_hash) => write!(out, "{head},\"sourceHash\":\"{source_hash}\""),
            None => out.write_fmt(head),
        };
        written.expect("writing to memory succeeds");
        extra.append_to(out);
        out.push(b'}');
    }

    /// What a name points to while this version is active.
    pub fn as_active(&self) -> ActiveVersion {
        ActiveVersion { version: self.version, structural_hash: self.structural_hash }
    }
}

impl VersionHistory {
    /// The history of a name without versions.
    pub fn new(pipeline_name: PipelineName) -> Self {
        Self {
            pipeline_name,
            versions: Vec::new(),
            active_version: None,
            next_version: 1,
            loader_source_hash: None,
            extra: ExtraMembers::default(),
        }
    }

    /// Sorts the versions and puts the next number after all of them, as a document written by hand may need.
    pub fn normalize(&mut self) {
        self.versions.sort_by_key(|version| version.version);
        self.versions.dedup_by_key(|version| version.version);
        let next = self.versions.last().map_or(1, |version| version.version.saturating_add(1));
        self.next_version = self.next_version.max(next);
        self.active_version = self.active_version.filter(|active| self.get(*active).is_some());
    }

    /// The version of this number.
    pub fn get(&self, version: u64) -> Option<&Version> {
        let place = self.versions.binary_search_by_key(&version, |known| known.version).ok()?;
        Some(&self.versions[place])
    }

    /// The active version.
    pub fn active(&self) -> Option<ActiveVersion> {
        self.get(self.active_version?).map(Version::as_active)
    }

    /// The numbers of the versions that a pruning forgets which keeps so many of the newest.
    pub fn prunable(&self, keep: usize) -> Vec<u64> {
        let numbers = self.versions.iter().map(|version| version.version).collect();
        prunable(numbers, self.active_version, keep)
    }

    /// The newest version older than the active one, which a rollback goes to.
    pub fn previous(&self) -> Option<&Version> {
        let active = self.active_version?;
        self.versions.iter().rev().find(|version| version.version < active)
    }
}

/// Which of these versions, in ascending order, a pruning forgets: all but the newest `keep` and the active one.
pub fn prunable(mut numbers: Vec<u64>, active: Option<u64>, keep: usize) -> Vec<u64> {
    numbers.truncate(numbers.len().saturating_sub(keep));
    numbers.retain(|number| Some(*number) != active);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(numbers: impl IntoIterator<Item = u64>) -> VersionHistory {
        let version = |version| Version {
            version,
            structural_hash: StructuralHash::of_bytes(b"x"),
            created_at: Timestamp::UNIX_EPOCH,
            revision: Revision(version),
            origin: Origin::Compile,
            source_hash: None,
            extra: ExtraMembers::default(),
        };
        let mut history = VersionHistory::new("scoring".parse().unwrap());
        history.versions = numbers.into_iter().map(version).collect();
        history
    }

    #[test]
    fn a_pruning_keeps_the_newest_and_the_active_one() {
        let mut history = history(1..=5);
        for (active, keep, expected) in [
            (Some(2), 2, &[1, 3][..]),
            (Some(5), 2, &[1, 2, 3]),
            (None, 0, &[1, 2, 3, 4, 5]),
            (Some(3), 0, &[1, 2, 4, 5]),
            (Some(1), 4, &[]),
            (None, 5, &[]),
            (None, 6, &[]),
        ] {
            history.active_version = active;
            assert_eq!(history.prunable(keep), expected, "{active:?} {keep}");
        }
    }

    #[test]
    fn a_rollback_goes_to_the_newest_version_below_the_active_one() {
        let mut history = history([1, 2, 4, 7]);
        for (active, expected) in [(Some(7), Some(4)), (Some(4), Some(2)), (Some(1), None), (None, None)] {
            history.active_version = active;
            assert_eq!(history.previous().map(|version| version.version), expected, "{active:?}");
        }
    }

    #[test]
    fn a_document_written_by_hand_is_put_in_order() {
        let mut history = history([3, 1, 3]);
        (history.active_version, history.next_version) = (Some(2), 1);
        history.normalize();
        assert_eq!(history.versions.iter().map(|version| version.version).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((history.active_version, history.next_version), (None, 4));
        (history.active_version, history.next_version) = (Some(3), 9);
        history.normalize();
        assert_eq!((history.active_version, history.next_version), (Some(3), 9));
    }

    #[test]
    fn the_text_of_an_origin_is_that_of_its_document() {
        for origin in Origin::ALL {
            assert_eq!(serde_json::to_value(origin).unwrap(), origin.as_str());
        }
    }

    #[test]
    fn the_json_of_a_version_is_its_serde_form() {
        let mut version = Version {
            version: u64::MAX,
            structural_hash: StructuralHash::of_bytes(b"x"),
            created_at: Timestamp::from_milliseconds(1).unwrap(),
            revision: Revision(7),
            origin: Origin::Compile,
            source_hash: None,
            extra: ExtraMembers::default(),
        };
        for source_hash in [None, Some(SourceHash::of_bytes(b"y"))] {
            for origin in Origin::ALL {
                (version.source_hash, version.origin) = (source_hash, origin);
                let mut json = b"before".to_vec();
                version.append_json(&mut json);
                assert_eq!(json[6..], serde_json::to_vec(&version).unwrap());
            }
            version.extra.insert("a \"note\"\n".into(), serde_json::json!([1.0, { "b": null }]));
            version.extra.insert("other".into(), u64::MAX.into());
        }
    }

    #[test]
    fn the_plain_form_reads_with_defaults() {
        let hash = StructuralHash::of_bytes(b"x");
        let json = serde_json::json!({
            "pipelineName": "scoring",
            "versions": [
                { "version": 1, "structuralHash": hash, "createdAt": "2026-02-02T14:30:00Z" },
                { "version": 4, "structuralHash": hash, "createdAt": "2026-02-02T15:00:00Z" },
            ],
            "activeVersion": 4,
        });
        let mut history: VersionHistory = serde_json::from_value(json).unwrap();
        history.normalize();
        assert_eq!(history.next_version, 5);
        assert_eq!(history.active(), Some(ActiveVersion { version: 4, structural_hash: hash }));
        assert_eq!(history.previous().map(|version| version.version), Some(1));
        assert_eq!(history.get(2), None);
        assert_eq!(history.versions[0].origin, Origin::Import);
    }
}
