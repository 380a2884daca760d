//! Reading the files one by one: what each says of itself, and whether that can be.

use std::collections::{BTreeMap, BTreeSet};

use constellation_store_core::{
    ErrorKind, PipelineImage, PipelineName, Result, SourceHash, StoreError, StructuralHash, SyntacticHash,
    VersionHistory, open_document, seal_document,
};
use serde_json::{Map, Value};

use super::{
    Finding, FindingKind, KeyOf, KnownKeys, MAX_FILE_BYTES, OPERATION, VerifyOptions, VerifyProgress,
};
use crate::documents::{decode_history, is_of_the_reference};
use crate::error::{FileError, in_one_line};
use crate::layout::{ALIASES, IMAGES, INDEX, MANIFEST, SOURCES, TEMPORARY_PREFIX, VERSIONS, escape};
use crate::manifest::Manifest;
use crate::vfs::Vfs;

/// What is known of a sound image.
#[derive(Debug, Clone)]
pub(super) struct ImageFacts {
    pub(super) source: Option<SourceHash>,
    pub(super) syntactic: Option<SyntacticHash>,
    is_checked: bool,
}

impl ImageFacts {
    pub(super) fn of(image: &PipelineImage) -> Self {
        let metadata = &image.metadata;
        Self { source: metadata.source_hash, syntactic: metadata.syntactic_hash, is_checked: true }
    }
}

/// Content that was found sound. A file with the hash of its content for a name never changes, so it is not read
/// again when a checkpoint made the rest of a reading useless.
#[derive(Debug, Default)]
pub(super) struct Cache {
    images: BTreeMap<StructuralHash, ImageFacts>,
    sources: BTreeSet<SourceHash>,
    keys: KnownKeys,
}

/// A version document that cannot be read.
#[derive(Debug)]
pub(super) struct LostHistory {
    pub(super) finding: Finding,
    pub(super) stem: String,
    pub(super) bytes: Vec<u8>,
}

/// Everything that the JSON files say.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) manifest: Option<Manifest>,
    /// Whether there is a `store.json`, damaged or not.
    pub(super) has_manifest: bool,
    pub(super) images: BTreeMap<StructuralHash, ImageFacts>,
    /// Damaged files by the image that they should hold.
    pub(super) lost_images: BTreeMap<StructuralHash, Finding>,
    pub(super) sources: BTreeSet<SourceHash>,
    pub(super) lost_sources: BTreeMap<SourceHash, Finding>,
    pub(super) keys: KnownKeys,
    pub(super) histories: BTreeMap<PipelineName, VersionHistory>,
    pub(super) lost_histories: Vec<LostHistory>,
    pub(super) aliases: Option<Vec<u8>>,
    pub(super) index: Option<Vec<u8>>,
    pub(super) findings: Vec<Finding>,
    pub(super) unchecked: u64,
    pub(super) temporary_files: u64,
}

/// The bytes of a file, none when there is none, or why it can never be read.
pub(super) fn read(vfs: &dyn Vfs, path: &str) -> Result<Option<Result<Vec<u8>, String>>> {
    match vfs.read(path, MAX_FILE_BYTES).map_err(FileError::at("read", path)) {
        Ok(bytes) => Ok(Some(Ok(bytes))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) if error.is_unusable() => Ok(Some(Err(error.to_string()))),
        Err(error) => Err(error.into_store_error(OPERATION)),
    }
}

/// Reads everything but the journal, which comes last: whoever writes meanwhile puts things there before they get
/// into the files.
pub(super) fn take(vfs: &dyn Vfs, cache: &mut Cache, options: &mut VerifyOptions<'_>) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    inventory.manifest(vfs)?;
    let listings = [(IMAGES, ".json"), (SOURCES, ".cst"), (VERSIONS, ".json")];
    let mut stems = Vec::new();
    for (directory, suffix) in listings {
        stems.push(inventory.list(vfs, directory, suffix)?);
    }
    let mut progress = VerifyProgress { done: 0, total: stems.iter().map(|stems| stems.len() as u64).sum() };
    let [images, sources, versions] = <[Vec<String>; 3]>::try_from(stems).unwrap_or_default();
    let mut advance = || {
        progress.done += 1;
        if let Some(tell) = &mut options.progress {
            tell(progress);
        }
    };
    for stem in images {
        inventory.image(vfs, &stem, cache)?;
        advance();
    }
    for stem in sources {
        inventory.source(vfs, &stem, cache, options.key_of)?;
        advance();
    }
    for stem in versions {
        inventory.history(vfs, stem)?;
        advance();
    }
    inventory.aliases = inventory.flat_map(vfs, ALIASES)?;
    inventory.index = inventory.flat_map(vfs, INDEX)?;
    inventory.keys = cache.keys.clone();
    Ok(inventory)
}

/// The document that its last member is the checksum of, under whatever name.
pub(super) fn without_lost_checksum(mut members: Map<String, Value>) -> Option<Vec<u8>> {
    let last = members.keys().next_back()?.clone();
    let checksum = members.shift_remove(&last)?;
    let sealed = seal_document(members);
    let again: Value = serde_json::from_slice(&sealed).ok()?;
    (again["checksum"] == checksum).then_some(sealed)
}

/// What is wrong with the form of a sealed document whose content was accepted.
enum Form {
    AsWritten,
    Rewritten,
    Unchecked,
    /// It has a checksum that matches, under another name.
    LostChecksum,
}

fn form_of(bytes: &[u8]) -> Form {
    let Ok(document) = open_document(bytes) else { return Form::Rewritten };
    if document.checked {
        let is_same = seal_document(document.members) == bytes;
        return if is_same { Form::AsWritten } else { Form::Rewritten };
    }
    // The checksum is the last member, and tells itself by what it is the hash of.
    match without_lost_checksum(document.members) {
        Some(_) => Form::LostChecksum,
        None => Form::Unchecked,
    }
}

pub(super) fn finding(path: &str, kind: FindingKind, problem: impl Into<String>, advice: &str) -> Finding {
    Finding {
        path: path.to_owned(),
        kind,
        problem: problem.into(),
        pipelines: Vec::new(),
        advice: advice.to_owned(),
        loss: None,
    }
}

impl Inventory {
    fn manifest(&mut self, vfs: &dyn Vfs) -> Result<()> {
        const ADVICE: &str = "'--repair' puts it into the quarantine and writes a new one; the content is not \
                              touched";
        let problem = match read(vfs, MANIFEST)? {
            None => return Ok(()),
            Some(Ok(bytes)) => match Manifest::decode(&bytes) {
                Ok(manifest) => {
                    self.has_manifest = true;
                    self.manifest = Some(manifest);
                    self.form(MANIFEST, &bytes);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::UnsupportedFormat => {
                    return Err(error.with("store", vfs));
                }
                Err(error) => in_one_line(&error),
            },
            Some(Err(problem)) => problem,
        };
        self.has_manifest = true;
        self.findings.push(finding(MANIFEST, FindingKind::Damaged, problem, ADVICE));
        Ok(())
    }

    /// Notes how a document that was accepted is written.
    fn form(&mut self, path: &str, bytes: &[u8]) {
        match form_of(bytes) {
            Form::AsWritten => {}
            Form::Unchecked => self.unchecked += 1,
            Form::Rewritten => {
                let problem = "its content matches its checksum, but it is not written as a store writes it: a \
                               damaged character that does not matter, or an edit";
                let advice = "nothing is lost; '--repair' writes it anew";
                self.findings.push(finding(path, FindingKind::Rewritten, problem, advice));
            }
            Form::LostChecksum => {
                let problem = "the name of its member 'checksum' is damaged; the rest matches the checksum";
                let advice = "nothing is lost; '--repair' writes it anew";
                self.findings.push(finding(path, FindingKind::Rewritten, problem, advice));
            }
        }
    }

    /// The names of the files in a directory without the suffix, sorted.
    fn list(&mut self, vfs: &dyn Vfs, directory: &str, suffix: &str) -> Result<Vec<String>> {
        let entries = match vfs.list(directory).map_err(FileError::at("list", directory)) {
            Ok(entries) => entries,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) if error.is_not_a_directory() => {
                let advice = "move it away; '--repair' does so";
                self.findings.push(finding(
                    directory,
                    FindingKind::Misplaced,
                    "it is not a directory",
                    advice,
                ));
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into_store_error(OPERATION)),
        };
        let mut stems = Vec::new();
        for entry in entries {
            if entry.name.starts_with(TEMPORARY_PREFIX) {
                self.temporary_files += 1;
            } else if entry.name.starts_with('.') {
                // Of other tools, such as `.gitkeep`.
            } else if let Some(stem) = entry.name.strip_suffix(suffix) {
                stems.push(stem.to_owned());
            } else {
                let path = format!("{directory}/{}", entry.name);
                self.findings.push(misplaced(&path, &format!("its name does not end in '{suffix}'")));
            }
        }
        stems.sort_unstable();
        Ok(stems)
    }

    fn image(&mut self, vfs: &dyn Vfs, stem: &str, cache: &mut Cache) -> Result<()> {
        let path = format!("{IMAGES}/{stem}.json");
        let Ok(hash) = stem.parse::<StructuralHash>() else {
            self.findings.push(misplaced(&path, "its name is not a hash"));
            return Ok(());
        };
        if let Some(facts) = cache.images.get(&hash) {
            self.unchecked += u64::from(!facts.is_checked);
            self.images.insert(hash, facts.clone());
            return Ok(());
        }
        let Some(content) = read(vfs, &path)? else { return Ok(()) };
        let (kind, problem) = match content {
            Err(problem) => (FindingKind::Damaged, problem),
            Ok(bytes) => match PipelineImage::decode(&bytes) {
                Ok(decoded) if decoded.image.structural_hash == hash => {
                    let before = self.findings.len();
                    self.form(&path, &bytes);
                    let facts = ImageFacts { is_checked: decoded.checked, ..ImageFacts::of(&decoded.image) };
                    if self.findings.len() == before {
                        cache.images.insert(hash, facts.clone());
                    }
                    self.images.insert(hash, facts);
                    return Ok(());
                }
                Ok(decoded) => {
                    (FindingKind::Damaged, format!("it holds the image {}", decoded.image.structural_hash))
                }
                Err(_) if is_of_the_reference(&bytes) => {
                    let message = "its images were made by the reference implementation";
                    return Err(
                        StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, message).with("store", vfs)
                    );
                }
                Err(error) if error.kind() == ErrorKind::UnsupportedFormat => {
                    (FindingKind::Unsupported, in_one_line(&error))
                }
                Err(error) => (FindingKind::Damaged, in_one_line(&error)),
            },
        };
        self.lost_images.insert(hash, finding(&path, kind, problem, ""));
        Ok(())
    }

    fn source(&mut self, vfs: &dyn Vfs, stem: &str, cache: &mut Cache, key_of: Option<&KeyOf>) -> Result<()> {
        let path = format!("{SOURCES}/{stem}.cst");
        let Ok(hash) = stem.parse::<SourceHash>() else {
            self.findings.push(misplaced(&path, "its name is not a hash"));
            return Ok(());
        };
        if cache.sources.contains(&hash) {
            self.sources.insert(hash);
            return Ok(());
        }
        let Some(content) = read(vfs, &path)? else { return Ok(()) };
        let problem = match content {
            Err(problem) => problem,
            Ok(bytes) if SourceHash::of_bytes(&bytes) != hash => "its hash is not its name".to_owned(),
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => {
                    if let Some(key) = key_of.and_then(|key_of| key_of(&text)) {
                        cache.keys.insert(hash, key);
                    }
                    cache.sources.insert(hash);
                    self.sources.insert(hash);
                    return Ok(());
                }
                Err(_) => "it is not UTF-8".to_owned(),
            },
        };
        self.lost_sources.insert(hash, finding(&path, FindingKind::Damaged, problem, ""));
        Ok(())
    }

    fn history(&mut self, vfs: &dyn Vfs, stem: String) -> Result<()> {
        let path = format!("{VERSIONS}/{stem}.json");
        let Some(content) = read(vfs, &path)? else { return Ok(()) };
        let (problem, bytes) = match content {
            Err(problem) => (problem, Vec::new()),
            Ok(bytes) => match decode_history(&bytes) {
                Ok(opened) => {
                    self.form(&path, &bytes);
                    self.document(&path, &stem, &opened.history, opened.checked);
                    return Ok(());
                }
                Err(error) => (in_one_line(&error), bytes),
            },
        };
        let finding = finding(&path, FindingKind::Damaged, problem, "");
        self.lost_histories.push(LostHistory { finding, stem, bytes });
        Ok(())
    }

    /// Takes a version document that was read.
    fn document(&mut self, path: &str, stem: &str, history: &VersionHistory, checked: bool) {
        let name = &history.pipeline_name;
        let is_at_its_place = escape(name.as_str()) == stem;
        let mut normal = history.clone();
        normal.normalize();
        if !is_at_its_place {
            let advice = "'--repair' puts it right: a name's only document gets its own file, and what is left over \
                          is kept in the quarantine";
            let problem = format!("it is of '{name}', which has another file name");
            self.findings.push(finding(path, FindingKind::Misplaced, problem, advice));
        }
        // A document of the plain form has no next number.
        if checked && normal != *history {
            let problem = "its versions are not in order, or the active one is not among them";
            let advice = "it is read as well as it can be; publish the name anew to write it again";
            self.findings.push(finding(path, FindingKind::Contradicts, problem, advice));
        }
        // The name inside decides; of two documents the one at its place counts.
        if is_at_its_place || !self.histories.contains_key(&normal.pipeline_name) {
            self.histories.insert(normal.pipeline_name.clone(), normal);
        }
    }

    fn flat_map(&mut self, vfs: &dyn Vfs, path: &str) -> Result<Option<Vec<u8>>> {
        match read(vfs, path)? {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(problem)) => {
                self.findings.push(finding(path, FindingKind::Damaged, problem, super::judge::MAP_ADVICE));
                Ok(None)
            }
        }
    }
}

pub(super) fn misplaced(path: &str, problem: &str) -> Finding {
    finding(
        path,
        FindingKind::Misplaced,
        problem,
        "nothing reads it there; move it away, or give it its name",
    )
}
