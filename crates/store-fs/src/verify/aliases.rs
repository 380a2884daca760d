//! Whether `aliases.json` says what the version documents say.
//!
//! The file is written within a checkpoint. When the journal has frames that `store.json` does not vouch for, the
//! file may be as it was before them, or as it was after any of them, and so may each version document.

use std::collections::{BTreeMap, BTreeSet};

use constellation_store_core::{PipelineName, StructuralHash};
use constellation_store_mem::{Change, State};

/// What the frames do to aliases.
#[derive(Debug, Default)]
pub(super) struct AliasChanges {
    /// In order: the frame, and what the name leads to after the change.
    changes: Vec<(u64, PipelineName, Option<StructuralHash>)>,
    touched: BTreeSet<PipelineName>,
    /// Names of which the frames have the first version, so that there was no alias before.
    born: BTreeSet<PipelineName>,
}

/// The file, and what it is compared with.
pub(super) struct AliasMap<'a> {
    pub(super) entries: &'a BTreeMap<PipelineName, StructuralHash>,
    /// The names after all frames.
    pub(super) names: &'a State,
    /// Names whose documents are damaged.
    pub(super) lost_names: &'a BTreeSet<PipelineName>,
    pub(super) known_images: &'a BTreeSet<StructuralHash>,
    /// Whether names that are only in the file are names of the plain form.
    pub(super) is_plain: bool,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What is wrong, with the names that it is about.
    pub(super) problems: Vec<(String, Vec<PipelineName>)>,
    /// Names without a version document. As the file fits all documents that there are, it is they that are gone.
    pub(super) without_document: Vec<PipelineName>,
    /// Names of the plain form.
    pub(super) adopted: Vec<(PipelineName, StructuralHash)>,
}

impl AliasChanges {
    /// Notes a change of a frame, after `names` has it.
    pub(super) fn note(&mut self, frame: u64, change: &Change, names: &State) {
        let name = match change {
            Change::VersionRecorded { name, version } => {
                if version.version == 1 && !self.touched.contains(name) {
                    self.born.insert(name.clone());
                }
                name
            }
            Change::Activated { name, version: _ } | Change::NameDeleted { name } => name,
            Change::ImageAdded { .. }
            | Change::SourceAdded { .. }
            | Change::Indexed { .. }
            | Change::VersionsPruned { .. }
            | Change::LoaderSource { .. }
            | Change::IndexRemoved { .. }
            | Change::ImageRemoved { .. }
            | Change::SourceRemoved { .. } => return,
        };
        self.touched.insert(name.clone());
        let active = names.resolve(name).map(|active| active.structural_hash);
        self.changes.push((frame, name.clone(), active));
    }

    pub(super) fn judge(&self, map: &AliasMap<'_>) -> Judged {
        let AliasMap { entries, names, lost_names, known_images: _, is_plain } = map;
        let mut judged = Judged::default();
        for history in names.histories() {
            let name = &history.pipeline_name;
            if self.touched.contains(name) {
                continue;
            }
            let active = history.active().map(|active| active.structural_hash);
            let problem = match (active, entries.get(name)) {
                (active, entry) if active.as_ref() == entry => continue,
                (Some(_), None) => format!("it does not have the name '{name}'"),
                (None, _) => format!("it has the name '{name}', which was deleted"),
                (Some(_), Some(_)) => format!("it has another image for '{name}' than the active version"),
            };
            judged.problems.push((problem, vec![name.clone()]));
        }
        for (name, hash) in *entries {
            let is_known = names.versions(name).is_some() || lost_names.contains(name);
            if is_known || self.touched.contains(name) {
                continue;
            }
            if *is_plain {
                judged.adopted.push((name.clone(), *hash));
            } else {
                judged.without_document.push(name.clone());
            }
        }
        let contradicting = self.contradicting(map);
        if !contradicting.is_empty() {
            let problem = "it fits the journal neither before its commits nor after any of them";
            judged.problems.push((problem.to_owned(), contradicting));
        }
        if !judged.problems.is_empty() {
            judged.problems.extend(judged.without_document.drain(..).map(|name| {
                (format!("it has the name '{name}', which no version document has"), vec![name])
            }));
        }
        judged
    }

    /// The names of the frames that do not fit the file, if there is no frame after which all of them do.
    fn contradicting(&self, map: &AliasMap<'_>) -> Vec<PipelineName> {
        // What a name led to before the frames may be in no file any more, but its image is.
        let fits_before = |name: &PipelineName| match map.entries.get(name) {
            None => true,
            Some(hash) => map.known_images.contains(hash) && !self.born.contains(name),
        };
        let mut wrong: BTreeSet<&PipelineName> =
            self.touched.iter().filter(|name| !fits_before(name)).collect();
        for frame in self.changes.chunk_by(|(a, ..), (b, ..)| a == b) {
            if wrong.is_empty() {
                break;
            }
            for (_, name, active) in frame {
                if map.entries.get(name) == active.as_ref() {
                    wrong.remove(name);
                } else {
                    wrong.insert(name);
                }
            }
        }
        wrong.into_iter().cloned().collect()
    }
}
