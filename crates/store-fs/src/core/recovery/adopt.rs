//! Making up histories for names whose version documents are lost or damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use constellation_store_core::{
    ExtraMembers, ImageSummary, Origin, PipelineName, Result, Revision, StructuralHash, Timestamp, Version,
    VersionHistory,
};
use constellation_store_mem::Change;

use super::Reader;
use super::json::{DamagedHistory, Histories};
use crate::documents::{salvage_name, salvage_number};
use crate::journal::Found;
use crate::layout::{ALIASES, VERSIONS, versions_path};
use crate::manifest::Manifest;
use crate::record::{self, Record};
use crate::seeded::{self, SeededBug};

/// What there is to make histories of that are lost.
pub(super) struct Lost<'a> {
    /// Those that are not.
    pub(super) histories: Histories,
    pub(super) salvaged: Vec<DamagedHistory>,
    pub(super) aliases: &'a BTreeMap<PipelineName, StructuralHash>,
    /// Whether there are any, damaged or not there at all otherwise.
    pub(super) has_aliases: bool,
}

impl Reader<'_> {
    /// Notes that nothing takes the place of a damaged file, so that it is moved away: each opening would find it again
    /// otherwise.
    fn nothing_follows(&mut self, path: &str) {
        if seeded::is_on(SeededBug::UntoldDocumentsStay) {
            return;
        }
        for damage in self.notes.damage.iter_mut().filter(|damage| damage.path == path) {
            damage.stays = false;
        }
    }

    /// Makes histories of names that have none but an alias, and of damaged version documents. Returns them with the
    /// others, and whether there are such.
    ///
    /// In a store of the plain form every name is such. In another one a name without a document is believed only
    /// if `aliases.json` agrees with all documents that are there: otherwise it is older than they are, or damaged.
    /// Those of names that the journal changed are left out: a checkpoint that did not end may have written them.
    pub(super) fn adopt(
        &mut self,
        manifest: Option<&Manifest>,
        found: &Found,
        lost: Lost<'_>,
        images: &BTreeMap<StructuralHash, Arc<ImageSummary>>,
    ) -> Result<(Histories, bool)> {
        let Lost { mut histories, salvaged, aliases, has_aliases } = lost;
        let mut adopted = !salvaged.is_empty();
        if !adopted && aliases.keys().all(|name| histories.contains_key(name)) {
            return Ok((histories, false));
        }
        let is_plain = manifest.is_none();
        let newest = greatest_number(manifest, &histories, found)?;
        let changed = changed_names(manifest, found)?;
        let mut damaged = Vec::new();
        for DamagedHistory { stem, bytes } in salvaged {
            let names = aliases.keys().chain(histories.keys()).chain(&changed);
            let Some(name) = salvage_name(&stem, &bytes, names) else {
                let path = format!("{VERSIONS}/{stem}.json");
                self.warn(format!("the name of '{path}' cannot be told; its versions are lost"));
                self.nothing_follows(&path);
                continue;
            };
            let copy = histories.remove(&name);
            damaged.push((name, bytes, copy));
        }
        let is_settled = |history: &&VersionHistory| !changed.contains(&history.pipeline_name);
        let agrees = histories.values().filter(is_settled).all(|history| {
            let mut history = history.clone();
            history.normalize();
            let active = history.active().map(|active| active.structural_hash);
            aliases.get(&history.pipeline_name).copied() == active
        });
        for (name, bytes, copy) in damaged {
            let next = salvage_number(&bytes, newest).max(newest).saturating_add(1);
            let is_copied = copy.is_some();
            let mut history = copy.unwrap_or_else(|| VersionHistory::new(name.clone()));
            history.normalize();
            if !(is_copied && seeded::is_on(SeededBug::NumbersOfCopiesReused)) {
                history.next_version = history.next_version.max(next);
            }
            if seeded::is_on(SeededBug::NumbersOfDamagedReused) {
                history.next_version = 1;
            }
            let alias = aliases.get(&name);
            match alias {
                Some(hash) if history.active().is_none_or(|active| active.structural_hash != *hash) => {
                    adopt(&mut history, *hash, images);
                }
                // The copy may be older than a deletion.
                None if has_aliases && agrees && !seeded::is_on(SeededBug::CopiesBringBack) => {
                    history.active_version = None;
                }
                _ => {}
            }
            let known = match alias {
                _ if is_copied => {
                    format!("the versions of '{name}' are those of a copy under another file name")
                }
                Some(_) => {
                    format!("of the versions of '{name}' only the active one is known, from '{ALIASES}'")
                }
                None => format!("the versions of '{name}' are lost, and '{ALIASES}' does not have the name"),
            };
            self.warn(format!("{known}; numbers go on at {}", history.next_version));
            self.dirty.names.insert(name.clone());
            histories.insert(name, history);
        }
        for (name, hash) in aliases {
            if histories.contains_key(name) {
                continue;
            }
            self.missed.push(versions_path(name));
            if is_plain || agrees || seeded::is_on(SeededBug::AliasesTrusted) {
                let mut history = VersionHistory::new(name.clone());
                // In the plain form it is 0.
                if newest > 0 && !seeded::is_on(SeededBug::NumbersOfDamagedReused) {
                    history.next_version = newest.saturating_add(1);
                    self.warn(format!(
                        "the version document of '{name}' is gone, and of its versions only the active one is known, \
                         from '{ALIASES}'; numbers go on at {}",
                        history.next_version
                    ));
                }
                adopt(&mut history, *hash, images);
                self.dirty.names.insert(name.clone());
                histories.insert(name.clone(), history);
                adopted = true;
            } else {
                self.warn(format!(
                    "'{ALIASES}' has the name '{name}', which no version document has; it was dropped"
                ));
                // Once the journal has changed what contradicts it, the file would be believed.
                adopted |= !seeded::is_on(SeededBug::DroppedNamesComeBack);
            }
        }
        Ok((histories, adopted))
    }
}

/// A number that no version number of a lost history is above.
///
/// The latest revision bounds all numbers that were given by then, and so does that of each commit. The journal counts,
/// too, also where it is applied afterwards: a number that it gives is not to be that of another version.
fn greatest_number(manifest: Option<&Manifest>, histories: &Histories, found: &Found) -> Result<u64> {
    let mut greatest = manifest.map_or(0, |manifest| manifest.revision.0);
    for history in histories.values() {
        let newest = history.versions.iter().map(|version| version.revision.0).max().unwrap_or(0);
        greatest = greatest.max(newest);
    }
    if seeded::is_on(SeededBug::AdoptedBelowJournal) {
        return Ok(greatest);
    }
    for payload in found.frames.values() {
        for Record { revision, changes } in record::decode(payload)? {
            greatest = greatest.max(revision.0);
            for change in changes {
                if let Change::VersionRecorded { name: _, version } = change {
                    greatest = greatest.max(version.version);
                }
            }
        }
    }
    Ok(greatest)
}

/// The names that have another active version, or another history, after the frames that are not in the files.
fn changed_names(manifest: Option<&Manifest>, found: &Found) -> Result<BTreeSet<PipelineName>> {
    let mut names = BTreeSet::new();
    if seeded::is_on(SeededBug::AliasesOfCheckpointsDropped) {
        return Ok(names);
    }
    let first = manifest.map_or(0, |manifest| manifest.sequence.saturating_add(1));
    for payload in found.frames.range(first..).map(|(_, payload)| payload) {
        for change in record::decode(payload)?.into_iter().flat_map(|record| record.changes) {
            if let Change::VersionRecorded { name, .. }
            | Change::Activated { name, .. }
            | Change::NameDeleted { name } = change
            {
                names.insert(name);
            }
        }
    }
    Ok(names)
}

/// Makes the image the active version.
fn adopt(
    history: &mut VersionHistory,
    structural_hash: StructuralHash,
    images: &BTreeMap<StructuralHash, Arc<ImageSummary>>,
) {
    let version = history.next_version;
    history.versions.push(Version {
        version,
        structural_hash,
        // The same whenever it is done again. So is the number, which no made-up version counts for.
        created_at: images
            .get(&structural_hash)
            .map_or(Timestamp::UNIX_EPOCH, |image| image.metadata.compiled_at),
        revision: Revision(if seeded::is_on(SeededBug::MadeUpVersionsCount) { version } else { 0 }),
        origin: Origin::Import,
        source_hash: None,
        extra: ExtraMembers::default(),
    });
    history.active_version = Some(version);
    history.next_version = version + 1;
}
