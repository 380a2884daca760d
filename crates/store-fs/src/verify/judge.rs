//! What the files say together, with the journal applied, and what of it cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use constellation_store_core::{
    ErrorKind, PipelineName, Result, SourceHash, StoreError, StructuralHash, SyntacticKey, VersionHistory,
};
use constellation_store_mem::{Change, Parts, State};

use super::aliases::{AliasChanges, AliasMap};
use super::files::{ImageFacts, Inventory, finding, read};
use super::index::Expected;
use super::{Affected, Counts, Finding, FindingKind, OPERATION, Quarantined, VerifyReport};
use crate::documents::{FlatMap, decode_aliases, decode_index, encode_flat_map, salvage_name};
use crate::error::in_one_line;
use crate::journal::read_journal;
use crate::layout::{
    ALIASES, IMAGES, INDEX, JOURNAL, LOCK, MANIFEST, QUARANTINE, SOURCES, TEMPORARY_PREFIX, VERSIONS,
    image_path, source_path, versions_path,
};
use crate::record;
use crate::vfs::{EntryKind, Vfs};

pub(super) const MAP_ADVICE: &str = "'--repair' writes it anew from what the other files say";
const ALIAS_ADVICE: &str = "restore the file from a backup; or '--repair' goes on with the active version, which \
                            'aliases.json' has, and the others are lost";
/// What the root of a store has. `pack` is derived from the rest, and checked by whoever uses it.
const OWN: [&str; 10] =
    [MANIFEST, LOCK, IMAGES, SOURCES, VERSIONS, ALIASES, INDEX, JOURNAL, QUARANTINE, "pack"];

/// Whom something hurts: versions by name, and which of them are active.
type Holders = BTreeMap<PipelineName, Affected>;

struct Judge {
    images: BTreeMap<StructuralHash, ImageFacts>,
    /// Images that a file or a frame has, or had; references to them were right once.
    known_images: BTreeSet<StructuralHash>,
    sources: BTreeSet<SourceHash>,
    names: State,
    /// What the journal does to aliases, so that `aliases.json` may be older or newer than that.
    touched: AliasChanges,
    lost_names: BTreeSet<PipelineName>,
    holders: BTreeMap<StructuralHash, Holders>,
    source_holders: BTreeMap<SourceHash, Holders>,
    has_manifest: bool,
    findings: Vec<Finding>,
    counts: Counts,
}

pub(super) fn judge(vfs: &dyn Vfs, inventory: Inventory) -> Result<VerifyReport> {
    let Inventory {
        manifest,
        has_manifest,
        images,
        lost_images,
        sources,
        lost_sources,
        keys,
        histories,
        lost_histories,
        aliases,
        index,
        findings,
        unchecked,
        temporary_files,
    } = inventory;
    let counts = Counts { unchecked, temporary_files, ..Counts::default() };
    let known_images = images.keys().chain(lost_images.keys()).copied().collect();
    let index_entries = index.as_deref().and_then(|bytes| decode_index(bytes).ok());
    let parts = Parts {
        index: index_entries.map(|map| map.entries.into_iter().collect()).unwrap_or_default(),
        histories: histories.into_iter().map(|(name, history)| (name, Arc::new(history))).collect(),
        ..Parts::default()
    };
    let mut judge = Judge {
        images,
        known_images,
        sources,
        names: State::from_parts(parts),
        touched: AliasChanges::default(),
        lost_names: BTreeSet::new(),
        holders: BTreeMap::new(),
        source_holders: BTreeMap::new(),
        has_manifest,
        findings,
        counts,
    };
    let mut expected = Expected::default();
    for syntactic in judge.images.values().filter_map(|facts| facts.syntactic) {
        expected.add_syntactic(syntactic);
    }
    for key in keys.values() {
        expected.add(key);
    }

    judge.journal(vfs, manifest.as_ref().map(|manifest| (manifest.store_id, manifest.sequence)))?;
    let alias_map = aliases.as_deref().map(decode_aliases);
    let alias_entries = match &alias_map {
        Some(Ok(map)) => map.entries.clone(),
        _ => BTreeMap::new(),
    };
    for lost in lost_histories {
        let Some(name) = salvage_name(&lost.stem, &lost.bytes, alias_entries.keys()) else {
            let advice = "the name cannot be told; restore the file from a backup".to_owned();
            let loss = Some("all versions of a name that cannot be told".to_owned());
            judge.findings.push(Finding { advice, loss, ..lost.finding });
            continue;
        };
        let (advice, loss) = if alias_entries.contains_key(&name) {
            (ALIAS_ADVICE, loss_but_active(&name))
        } else {
            ("restore the file from a backup, or publish the name anew", format!("all versions of '{name}'"))
        };
        let (advice, loss) = (advice.to_owned(), Some(loss));
        let pipelines = vec![Affected { name: name.clone(), versions: Vec::new(), is_active: true }];
        judge.findings.push(Finding { pipelines, advice, loss, ..lost.finding });
        judge.lost_names.insert(name);
    }
    judge.aliases(aliases.as_deref(), alias_map);
    judge.index(index.as_deref(), &expected);
    judge.hold();
    judge.images(lost_images);
    judge.sources(lost_sources);
    judge.count();

    let (quarantine, others) = rest(vfs, &mut judge.counts)?;
    let Judge { mut findings, counts, .. } = judge;
    findings.sort_unstable();
    Ok(VerifyReport { findings, counts, quarantine, others })
}

impl Judge {
    /// Applies the frames that the files do not have.
    fn journal(&mut self, vfs: &dyn Vfs, checkpoint: Option<(uuid::Uuid, u64)>) -> Result<()> {
        const ADVICE: &str = "commits are lost; compare with a backup, or publish again what is missing; '--repair' \
                              keeps the file in the quarantine and goes on without them";
        let sequence = checkpoint.map_or(0, |(_, sequence)| sequence);
        let found = read_journal(vfs, sequence)?;
        if let (Some((store_id, _)), Some(store)) = (checkpoint, found.store)
            && store_id != store
        {
            let message = "the journal is of another store; move the directory 'journal' to where it belongs";
            return Err(StoreError::new(ErrorKind::Corrupt, OPERATION, message).with("store", vfs));
        }
        for segment in &found.damaged {
            let finding = finding(&segment.path, FindingKind::Damaged, segment.reason.clone(), ADVICE);
            let loss = Some("the commits that cannot be read in it".to_owned());
            self.findings.push(Finding { loss, ..finding });
        }
        if !self.has_manifest && !found.frames.is_empty() {
            let advice = "'--repair' writes a new one, and applies the whole journal";
            let problem = "it is missing, but the journal has commits";
            self.findings.push(finding(MANIFEST, FindingKind::Missing, problem, advice));
        }
        let mut last = checkpoint.map(|(_, sequence)| sequence);
        for (&number, payload) in found.frames.range(sequence.saturating_add(1)..) {
            if let Some(last) = last
                && number != last + 1
                && found.damaged.is_empty()
            {
                let problem = format!("the commits {} to {} are missing", last + 1, number - 1);
                let loss = Some(format!("the commits {} to {}", last + 1, number - 1));
                let finding = finding(JOURNAL, FindingKind::Missing, problem, ADVICE);
                self.findings.push(Finding { loss, ..finding });
            }
            last = Some(number);
            self.counts.frames += 1;
            for record in record::decode(payload)? {
                for change in &record.changes {
                    self.apply(change);
                    if !matches!(change, Change::ImageAdded { .. } | Change::SourceAdded { .. }) {
                        self.names.replay(record.revision, std::slice::from_ref(change));
                    }
                    self.touched.note(number, change, &self.names);
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::ImageAdded { image, summary: _ } => {
                let facts = ImageFacts::of(image);
                self.known_images.insert(image.structural_hash);
                self.images.entry(image.structural_hash).or_insert(facts);
            }
            Change::ImageRemoved { structural_hash } => {
                self.images.remove(structural_hash);
            }
            Change::SourceAdded { source_hash, text: _ } => {
                self.sources.insert(*source_hash);
            }
            Change::SourceRemoved { source_hash } => {
                self.sources.remove(source_hash);
            }
            Change::VersionRecorded { .. }
            | Change::Activated { .. }
            | Change::NameDeleted { .. }
            | Change::Indexed { .. }
            | Change::IndexRemoved { .. }
            | Change::VersionsPruned { .. }
            | Change::LoaderSource { .. } => {}
        }
    }

    fn aliases(&mut self, bytes: Option<&[u8]>, map: Option<Result<FlatMap<PipelineName>>>) {
        let malformed = "an entry is not a name and a hash".to_owned();
        let damage = match &map {
            Some(Err(error)) => Some(in_one_line(error)),
            Some(Ok(map)) => (map.malformed > 0).then_some(malformed),
            None => None,
        };
        let is_damaged = damage.is_some();
        if let Some(problem) = damage {
            self.findings.push(finding(ALIASES, FindingKind::Damaged, problem, MAP_ADVICE));
        }
        // The plain form of a store without names has no such file.
        let is_absent = bytes.is_none() && !self.has_manifest;
        let Some(map) = map.unwrap_or(Ok(FlatMap::default())).ok().filter(|_| !is_absent) else { return };
        let judged = self.touched.judge(&AliasMap {
            entries: &map.entries,
            names: &self.names,
            lost_names: &self.lost_names,
            known_images: &self.known_images,
            is_plain: !self.has_manifest,
        });
        let is_right = judged.problems.is_empty() && !is_damaged;
        for name in judged.without_document {
            let problem = format!("'{ALIASES}' has the name '{name}', and its version document is not there");
            let finding = finding(&versions_path(&name), FindingKind::Missing, problem, ALIAS_ADVICE);
            let loss = Some(loss_but_active(&name));
            let pipelines = vec![Affected { name, versions: Vec::new(), is_active: true }];
            self.findings.push(Finding { pipelines, loss, ..finding });
        }
        for (problem, pipelines) in judged.problems {
            let pipelines = pipelines
                .into_iter()
                .map(|name| Affected { name, versions: Vec::new(), is_active: true })
                .collect();
            let finding = finding(ALIASES, FindingKind::Contradicts, problem, MAP_ADVICE);
            self.findings.push(Finding { pipelines, ..finding });
        }
        if let Some(bytes) = bytes
            && self.has_manifest
            && is_right
            && encode_flat_map(map.entries.iter().map(|(name, hash)| (name.to_string(), *hash))) != bytes
        {
            let problem = "it says the right thing, but is not written as a store writes it";
            self.findings.push(finding(ALIASES, FindingKind::Rewritten, problem, MAP_ADVICE));
        }
        self.counts.names += judged.adopted.len() as u64;
        self.counts.versions += judged.adopted.len() as u64;
        for (name, hash) in judged.adopted {
            note(self.holders.entry(hash).or_default(), &name, 1, true);
        }
    }

    fn index(&mut self, bytes: Option<&[u8]>, expected: &Expected) {
        const ADVICE: &str =
            "nothing is lost: a program is compiled once more; '--repair' writes the file anew";
        let Some(bytes) = bytes else { return };
        let map = match decode_index(bytes) {
            Ok(map) => map,
            Err(error) => {
                let problem = in_one_line(&error);
                self.findings.push(finding(INDEX, FindingKind::Damaged, problem, ADVICE));
                return;
            }
        };
        if map.malformed > 0 {
            let problem = "an entry is not a key and a hash";
            self.findings.push(finding(INDEX, FindingKind::Damaged, problem, ADVICE));
        }
        let before = self.findings.len();
        for (key, hash) in &map.entries {
            let problem = if !self.known_images.contains(hash) {
                format!("the entry '{key}' leads to an image that is not there")
            } else if let Some(original) = expected.original_of(key) {
                format!("the key '{key}' is damaged; it was '{original}'")
            } else {
                continue;
            };
            self.findings.push(finding(INDEX, FindingKind::Contradicts, problem, ADVICE));
        }
        let text = |(key, hash): (&SyntacticKey, &StructuralHash)| (key.to_string(), *hash);
        if self.has_manifest
            && map.malformed == 0
            && self.findings.len() == before
            && encode_flat_map(map.entries.iter().map(text)) != bytes
        {
            let problem = "it says the right thing, but is not written as a store writes it";
            self.findings.push(finding(INDEX, FindingKind::Rewritten, problem, MAP_ADVICE));
        }
    }

    /// Notes who refers to what.
    fn hold(&mut self) {
        for history in self.names.histories() {
            let VersionHistory { pipeline_name, versions, active_version, .. } = &**history;
            for version in versions {
                let is_active = *active_version == Some(version.version);
                let holders = self.holders.entry(version.structural_hash).or_default();
                note(holders, pipeline_name, version.version, is_active);
                if let Some(source_hash) = version.source_hash {
                    let holders = self.source_holders.entry(source_hash).or_default();
                    note(holders, pipeline_name, version.version, is_active);
                }
            }
        }
    }

    fn images(&mut self, lost: BTreeMap<StructuralHash, Finding>) {
        let missing = self.holders.keys().filter(|hash| !self.images.contains_key(hash));
        let mut gone: BTreeMap<StructuralHash, Finding> = missing
            .map(|hash| {
                let problem = "versions refer to this image, and it is not there";
                (*hash, finding(&image_path(hash), FindingKind::Missing, problem, ""))
            })
            .collect();
        gone.extend(lost);
        for (hash, finding) in gone {
            let pipelines: Vec<Affected> =
                self.holders.get(&hash).into_iter().flat_map(|holders| holders.values().cloned()).collect();
            let advice = if finding.kind == FindingKind::Unsupported {
                "use the version that wrote it"
            } else if self.images.contains_key(&hash) {
                "the journal has it too; '--repair' writes the file anew"
            } else if self.has_source(&hash) {
                "its source is retained; '--repair' compiles it again"
            } else if pipelines.is_empty() {
                "no version needs it; '--repair' puts it into the quarantine"
            } else {
                "its source is not retained; restore the file from a backup, or publish the source anew"
            };
            self.findings.push(Finding { pipelines, advice: advice.to_owned(), ..finding });
        }
    }

    /// Whether a version that has the image tells a source that is there.
    fn has_source(&self, hash: &StructuralHash) -> bool {
        let histories = self.names.histories().flat_map(|history| &history.versions);
        histories
            .filter(|version| version.structural_hash == *hash)
            .filter_map(|version| version.source_hash)
            .any(|source| self.sources.contains(&source))
    }

    fn sources(&mut self, lost: BTreeMap<SourceHash, Finding>) {
        let missing = self.source_holders.keys().filter(|hash| !self.sources.contains(hash));
        let mut gone: BTreeMap<SourceHash, Finding> = missing
            .map(|hash| {
                let problem = "versions refer to this source, and it is not there";
                (*hash, finding(&source_path(hash), FindingKind::Missing, problem, ""))
            })
            .collect();
        gone.extend(lost);
        for (hash, finding) in gone {
            let pipelines = self
                .source_holders
                .get(&hash)
                .into_iter()
                .flat_map(|holders| holders.values().cloned())
                .collect();
            let advice = "the pipelines run without it, but could not be compiled again; restore the file from a \
                          backup, or publish the source anew";
            self.findings.push(Finding { pipelines, advice: advice.to_owned(), ..finding });
        }
    }

    fn count(&mut self) {
        let referred: BTreeSet<SourceHash> = self.images.values().filter_map(|facts| facts.source).collect();
        let n_unreferenced = self
            .sources
            .iter()
            .filter(|hash| !referred.contains(hash) && !self.source_holders.contains_key(hash))
            .count();
        let without_source =
            |facts: &&ImageFacts| facts.source.is_none_or(|source| !self.sources.contains(&source));
        let counts = &mut self.counts;
        counts.images = self.images.len() as u64;
        counts.sources = self.sources.len() as u64;
        counts.names += self.names.histories().len() as u64;
        counts.versions += self.names.histories().map(|history| history.versions.len() as u64).sum::<u64>();
        counts.index_entries = self.names.index_entries().len() as u64;
        counts.unreferenced_images =
            self.images.keys().filter(|hash| !self.holders.contains_key(hash)).count() as u64;
        counts.unreferenced_sources = n_unreferenced as u64;
        counts.images_without_source = self.images.values().filter(without_source).count() as u64;
    }
}

/// What is lost with a version document of whose name `aliases.json` knows the active image.
fn loss_but_active(name: &PipelineName) -> String {
    format!("all versions of '{name}' but the active image, which becomes a new version")
}

fn note(holders: &mut Holders, name: &PipelineName, version: u64, is_active: bool) {
    let affected = holders.entry(name.clone()).or_insert_with(|| Affected {
        name: name.clone(),
        versions: Vec::new(),
        is_active: false,
    });
    affected.versions.push(version);
    affected.is_active |= is_active;
}

/// The quarantine, and what is no part of a store.
fn rest(vfs: &dyn Vfs, counts: &mut Counts) -> Result<(Vec<Quarantined>, Vec<String>)> {
    let is_temporary = |name: &str| name.starts_with(TEMPORARY_PREFIX);
    let mut others = Vec::new();
    for entry in vfs.list("").unwrap_or_default() {
        if is_temporary(&entry.name) {
            counts.temporary_files += 1;
        } else if !OWN.contains(&entry.name.as_str()) {
            others.push(entry.name);
        }
    }
    others.sort_unstable();
    let journal = vfs.list(JOURNAL).unwrap_or_default();
    counts.temporary_files += journal.iter().filter(|entry| is_temporary(&entry.name)).count() as u64;
    let mut quarantine = Vec::new();
    for entry in vfs.list(QUARANTINE).unwrap_or_default() {
        if entry.kind != EntryKind::File || entry.name.ends_with(".reason") || is_temporary(&entry.name) {
            continue;
        }
        let path = format!("{QUARANTINE}/{}", entry.name);
        let reason = match read(vfs, &format!("{path}.reason"))? {
            Some(Ok(bytes)) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
            _ => "the reason is not known".to_owned(),
        };
        quarantine.push(Quarantined { path, reason });
    }
    quarantine.sort_unstable();
    Ok((quarantine, others))
}
