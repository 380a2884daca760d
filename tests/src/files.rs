//! The files of a store that is closed, compared with what clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::History;
use crate::history::program_of;

impl History {
    /// Compares the files of a store that was closed in order: every version that was acknowledged is there, with
    /// its number; no other is there but of requests whose outcome nobody knows, and each of these wholly or not at
    /// all; names, versions, images, sources and index fit each other; nothing is left over.
    ///
    /// # Panics
    ///
    /// When something is not so.
    pub fn check_files(&self, store: &Path) {
        let mut hashes = BTreeSet::new();
        let mut sources = BTreeSet::new();
        let mut aliases = BTreeMap::new();
        let names = self.names();
        for (name, known) in &names {
            let path = store.join(format!("versions/{name}.json"));
            if !path.exists() {
                assert_eq!(known.last(), 0, "{name} is lost");
                continue;
            }
            let document = read_json(&path);
            let versions = document["versions"].as_array().expect("a list");
            let mut open = known.open.clone();
            for (place, version) in versions.iter().enumerate() {
                let number = version["version"].as_u64().expect("a number");
                assert_eq!(number, place as u64 + 1, "{name}: {document}");
                let hash = version["structuralHash"].as_str().expect("a hash").to_owned();
                let source = version["sourceHash"].as_str();
                let program = match known.acknowledged.get(&number) {
                    Some(program) => *program,
                    None => self.take_open(store, &mut open, &hash, source),
                };
                let expected = self.hash_of(program);
                assert!(expected.is_none_or(|expected| expected == hash), "{name} {number}: {document}");
                hashes.insert(hash);
                sources.extend(source.map(str::to_owned));
            }
            assert!(versions.len() as u64 >= known.last(), "{name} lost versions: {document}");
            assert_eq!(document["nextVersion"], versions.len() + 1, "{name}: {document}");
            assert_eq!(document["activeVersion"], versions.len(), "{name}: {document}");
            let active = versions.last().map(|version| version["structuralHash"].clone());
            aliases.insert(name.clone(), active.expect("a document has a version"));
        }
        let is_empty = hashes.is_empty();
        assert_eq!(list(&store.join("versions"), ".json"), aliases.keys().cloned().collect());
        assert_eq!(list(&store.join("images"), ".json"), hashes, "images are those of versions");
        assert_eq!(list(&store.join("sources"), ".cst"), sources, "sources are those of versions");
        if !is_empty {
            let stored: BTreeMap<String, Value> =
                serde_json::from_value(read_json(&store.join("aliases.json"))).expect("a flat map");
            assert_eq!(stored, aliases, "aliases.json has the active versions");
            let index = read_json(&store.join("syntactic-index.json"));
            let indexed = index.as_object().expect("a map").values();
            let indexed: Vec<_> = indexed.filter_map(Value::as_str).map(str::to_owned).collect();
            assert_eq!(indexed.len(), hashes.len(), "every image is in the index once");
            assert_eq!(indexed.into_iter().collect::<BTreeSet<_>>(), hashes, "the index leads to images");
        }
        assert_eq!(list(&store.join("journal"), ""), BTreeSet::new(), "the journal is empty");
        assert!(!store.join("quarantine").exists(), "nothing was damaged");
        for directory in ["", "images", "sources", "versions"] {
            let left = list(&store.join(directory), "").into_iter().find(|name| name.starts_with(".tmp"));
            assert_eq!(left, None, "nothing unfinished is left in '{directory}'");
        }
    }

    /// The program of a version that was not acknowledged. Its request must be one of those that are open.
    fn take_open(&self, store: &Path, open: &mut Vec<u64>, hash: &str, source: Option<&str>) -> u64 {
        let place = open.iter().position(|program| self.hash_of(*program).as_deref() == Some(hash));
        let place = place.or_else(|| {
            let text = fs::read_to_string(store.join(format!("sources/{}.cst", source?))).ok()?;
            let program = program_of(&text)?;
            open.iter().position(|open| *open == program)
        });
        open.swap_remove(place.unwrap_or_else(|| panic!("{hash} was refused, or not even asked for")))
    }
}

fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the files in a directory that end in `suffix`, without it. None when it is not there.
fn list(directory: &Path, suffix: &str) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    entries
        .map(|entry| entry.expect("a directory can be read").file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(suffix).map(str::to_owned))
        .collect()
}
