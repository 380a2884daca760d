//! A store as a list of files, to be moved elsewhere: the JSON files alone, without `store.json`, the journal, and
//! whatever else belongs to one directory only.
//!
//! [`Snapshot`] gives them, [`Archive`] takes them. What an archive holds is checked as a whole before anything of
//! it is stored.

mod restore;

pub use restore::{ImportStep, Occupant, occupant, unfinished_imports};

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{
    ActiveVersion, ErrorKind, ExtraMembers, Origin, PipelineImage, PipelineName, Result, Revision,
    SourceHash, StoreError, StructuralHash, SyntacticKey, Version, VersionHistory,
};

use crate::core::{Core, CoreOptions, Loaded, Loader, Shared};
use crate::documents::{decode_aliases, decode_history, decode_index, encode_flat_map, encode_history};
use crate::error::{in_one_line, of_store};
use crate::layout::{
    ALIASES, IMAGES, INDEX, MANIFEST, SOURCES, VERSIONS, escape, image_path, source_path, versions_path,
};
use crate::vfs::Vfs;

/// A store as it was at one moment, with the commits that only its journal has.
#[derive(Debug)]
pub struct Snapshot {
    shared: Arc<Shared>,
    /// Of what is in files only.
    loader: Loader,
}

impl Snapshot {
    /// Reads the store in the root of `vfs`, also while another process writes it.
    ///
    /// # Errors
    ///
    /// Those of [`Core::open_read_only`], and `Corrupt` when versions refer to images that are damaged or lost: the
    /// archive could not be taken by any store.
    pub fn take(vfs: &Arc<dyn Vfs>) -> Result<Self> {
        let core = Core::open_read_only(vfs, CoreOptions::default());
        let core = core.map_err(|error| of_store(error, &**vfs))?;
        let shared = Arc::clone(core.shared());
        if let Some((hash, holders)) = shared.state().dangling().images.first() {
            let message = "an image is damaged or lost; repair the store first";
            let mut error =
                StoreError::new(ErrorKind::Corrupt, "export store", message).with("structuralHash", hash);
            for holder in holders {
                error = error.with("name", &holder.name).with("version", holder.version);
            }
            return Err(error);
        }
        Ok(Self { shared, loader: core.loader() })
    }

    /// What was found when the store was read, each as a sentence.
    pub fn warnings(&self) -> Vec<String> {
        self.shared.status().warnings
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        let state = self.shared.state();
        state.images().len() + state.sources().len() + state.histories().len() + 2
    }

    /// Whether there are none. There are always the two flat maps.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Gives each file to `take`: its path and its bytes, by ascending path, the same for the same content.
    ///
    /// # Errors
    ///
    /// Those of `take`; `Corrupt` when an image or a source turns out to be damaged, or was removed meanwhile.
    pub fn files<E: From<StoreError>>(
        &self,
        mut take: impl FnMut(&str, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let state = self.shared.state();
        let aliases = state
            .histories()
            .filter_map(|history| Some((history.pipeline_name.as_str(), history.active()?.structural_hash)));
        take(ALIASES, &encode_flat_map(aliases))?;
        for image in state.images() {
            let hash = &image.structural_hash;
            let loaded = match state.get(hash) {
                Some(image) => image,
                None => there(self.loader.read_image(hash)?)?,
            };
            take(&image_path(hash), &loaded.encode())?;
        }
        for (hash, source) in state.sources() {
            let text = match &source.text {
                Some(text) => Arc::clone(text),
                None => there(self.loader.read_source(hash)?)?,
            };
            take(&source_path(hash), text.as_bytes())?;
        }
        let entries = state.index_entries().map(|(key, hash)| (key.to_string(), *hash));
        take(INDEX, &encode_flat_map(entries))?;
        let histories: BTreeMap<String, &Arc<VersionHistory>> =
            state.histories().map(|history| (versions_path(&history.pipeline_name), history)).collect();
        for (path, history) in histories {
            take(&path, &encode_history(history))?;
        }
        Ok(())
    }
}

fn there<T>(loaded: Loaded<T>) -> Result<T> {
    match loaded {
        Loaded::There(found) => Ok(found),
        Loaded::Lost(lost) => Err(lost.to_error()),
        Loaded::Absent => {
            let message = "what it should have is gone; try again";
            Err(StoreError::new(ErrorKind::Unavailable, "export store", message))
        }
    }
}

/// Files on their way into a store.
#[derive(Debug, Default)]
pub struct Archive {
    images: BTreeMap<StructuralHash, Arc<PipelineImage>>,
    sources: BTreeMap<SourceHash, Arc<str>>,
    histories: BTreeMap<PipelineName, VersionHistory>,
    aliases: Option<BTreeMap<PipelineName, StructuralHash>>,
    index: BTreeMap<SyntacticKey, StructuralHash>,
    has_index: bool,
}

impl Archive {
    /// An archive without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a directory of this path may be in an archive.
    pub fn has_directory(path: &str) -> bool {
        matches!(path.trim_end_matches('/'), "" | "." | IMAGES | SOURCES | VERSIONS)
    }

    /// Checks a file by itself, and takes it.
    ///
    /// # Errors
    ///
    /// * `Corrupt`: the path is not one that a store has, it is there already, or its content fails its check.
    /// * `UnsupportedFormat`: a later version wrote it.
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let bad =
            |message: String| StoreError::new(ErrorKind::Corrupt, OPERATION, message).with("path", path);
        let failed = |error: StoreError| {
            let kind = match error.kind() {
                ErrorKind::UnsupportedFormat => ErrorKind::UnsupportedFormat,
                _ => ErrorKind::Corrupt,
            };
            StoreError::new(kind, OPERATION, in_one_line(&error)).with("path", path)
        };
        let unknown = || bad("no file of a store has this path".to_owned());
        let is_new = match path.split_once('/') {
            // It tells of the directory that it was in.
            None if path == MANIFEST => true,
            None if path == ALIASES => {
                let map = decode_aliases(bytes).map_err(failed)?;
                if map.malformed > 0 {
                    return Err(bad("an entry is not a name and a hash".to_owned()));
                }
                self.aliases.replace(map.entries).is_none()
            }
            None if path == INDEX => {
                let map = decode_index(bytes).map_err(failed)?;
                if map.malformed > 0 {
                    return Err(bad("an entry is not a key and a hash".to_owned()));
                }
                self.index = map.entries;
                !std::mem::replace(&mut self.has_index, true)
            }
            Some((IMAGES, file)) => {
                let hash = file.strip_suffix(".json").and_then(|stem| stem.parse().ok());
                let hash: StructuralHash = hash.ok_or_else(unknown)?;
                let image = PipelineImage::decode(bytes).map_err(failed)?.image;
                if image.structural_hash != hash {
                    return Err(bad(format!("it holds the image {}", image.structural_hash)));
                }
                self.images.insert(hash, Arc::new(image)).is_none()
            }
            Some((SOURCES, file)) => {
                let hash = file.strip_suffix(".cst").and_then(|stem| stem.parse().ok());
                let hash: SourceHash = hash.ok_or_else(unknown)?;
                if SourceHash::of_bytes(bytes) != hash {
                    return Err(bad("its hash is not its name".to_owned()));
                }
                let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".to_owned()))?;
                self.sources.insert(hash, text.into()).is_none()
            }
            Some((VERSIONS, file)) => {
                let stem = file.strip_suffix(".json").ok_or_else(unknown)?;
                let mut history = decode_history(bytes).map_err(failed)?.history;
                history.normalize();
                let name = history.pipeline_name.clone();
                if escape(name.as_str()) != stem {
                    return Err(bad(format!("it is of '{name}', which has another file name")));
                }
                self.histories.insert(name, history).is_none()
            }
            _ => return Err(unknown()),
        };
        if is_new { Ok(()) } else { Err(bad("it is there twice".to_owned())) }
    }

    /// Checks that the files fit together: versions and index entries have their images, and the aliases are those
    /// of the active versions. A name that has only an alias, as in the plain form, becomes version 1.
    ///
    /// # Errors
    ///
    /// `Corrupt`, naming what does not fit.
    pub fn check(mut self) -> Result<CheckedArchive> {
        let bad = |message: &str| StoreError::new(ErrorKind::Corrupt, OPERATION, message);
        let aliases = self.aliases.take();
        for (name, hash) in aliases.iter().flatten() {
            if let Some(history) = self.histories.get(name) {
                if history.active().map(|active| active.structural_hash) != Some(*hash) {
                    let message = "'aliases.json' does not fit the version documents";
                    return Err(bad(message).with("name", name));
                }
            } else {
                let history = self.adopted(name, *hash);
                self.histories.insert(name.clone(), history);
            }
        }
        for (name, history) in &self.histories {
            for version in &history.versions {
                if !self.images.contains_key(&version.structural_hash) {
                    return Err(bad("the image of a version is not in the archive")
                        .with("name", name)
                        .with("version", version.version)
                        .with("structuralHash", version.structural_hash));
                }
            }
            let has_alias = aliases.as_ref().is_none_or(|aliases| aliases.contains_key(name));
            if history.active().is_some() && !has_alias {
                return Err(bad("'aliases.json' does not fit the version documents").with("name", name));
            }
        }
        if let Some((key, hash)) = self.index.iter().find(|(_, hash)| !self.images.contains_key(hash)) {
            return Err(bad(
                "an entry of 'syntactic-index.json' leads to an image that is not in the archive",
            )
            .with("key", key)
            .with("structuralHash", hash));
        }
        Ok(CheckedArchive(self))
    }

    fn adopted(&self, name: &PipelineName, structural_hash: StructuralHash) -> VersionHistory {
        let mut history = VersionHistory::new(name.clone());
        if let Some(image) = self.images.get(&structural_hash) {
            history.versions.push(Version {
                version: 1,
                structural_hash,
                created_at: image.metadata.compiled_at,
                revision: Revision(0),
                origin: Origin::Import,
                source_hash: image.metadata.source_hash,
                extra: ExtraMembers::default(),
            });
            history.active_version = Some(1);
        }
        history.normalize();
        history
    }
}

const OPERATION: &str = "import archive";

/// An archive whose files fit together.
#[derive(Debug)]
pub struct CheckedArchive(Archive);

/// What is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveCounts {
    /// Images.
    pub images: usize,
    /// Sources.
    pub sources: usize,
    /// Names, deleted ones too.
    pub names: usize,
    /// Versions of all names.
    pub versions: usize,
}

impl CheckedArchive {
    /// How much there is.
    pub fn counts(&self) -> ArchiveCounts {
        let Archive { images, sources, histories, .. } = &self.0;
        ArchiveCounts {
            images: images.len(),
            sources: sources.len(),
            names: histories.len(),
            versions: histories.values().map(|history| history.versions.len()).sum(),
        }
    }

    /// The names with what they point to; none for deleted ones.
    pub fn names(&self) -> impl Iterator<Item = (&PipelineName, Option<ActiveVersion>)> {
        self.0.histories.iter().map(|(name, history)| (name, history.active()))
    }
}
