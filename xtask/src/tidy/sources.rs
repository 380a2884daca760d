//! The text files of the workspace.

use std::path::Path;

use anyhow::Context as _;
use walkdir::{DirEntry, WalkDir};

/// Folders that hold what is built or stored, not what is written.
const SKIPPED_FOLDERS: &[&str] = &[".git", "target", ".constellation-store"];

/// Endings of the files that the checks look at.
const EXTENSIONS: &[&str] = &["rs", "toml", "cst", "md"];

#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Path from the root of the workspace, with `/` on every platform.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    pub(crate) fn read_all(root: &Path) -> anyhow::Result<Vec<Self>> {
        let is_wanted = |entry: &DirEntry| {
            !(entry.file_type().is_dir() && SKIPPED_FOLDERS.iter().any(|name| entry.file_name() == *name))
        };
        let mut files = Vec::new();
        for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(is_wanted) {
            let entry = entry?;
            let path = entry.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if !entry.file_type().is_file() || !extension.is_some_and(|it| EXTENSIONS.contains(&it)) {
                continue;
            }
            let text =
                std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            let parts: Vec<_> = path
                .strip_prefix(root)?
                .components()
                .map(|part| part.as_os_str().to_string_lossy())
                .collect();
            files.push(Self { path: parts.join("/"), text });
        }
        Ok(files)
    }

    pub(crate) fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Whether this is Rust that ends up in a library or a program, rather than in a test.
    pub(crate) fn is_library_code(&self) -> bool {
        let in_sources = self.path.starts_with("crates/") && self.path.contains("/src/");
        self.extension() == "rs" && (in_sources || self.path.starts_with("xtask/src/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_this_workspace_are_named_from_its_root() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = SourceFile::read_all(root).unwrap();
        let this = files.iter().find(|file| file.path == "xtask/src/tidy/sources.rs").unwrap();
        assert_eq!(this.text, include_str!("sources.rs"));
        assert!(this.is_library_code());
        assert!(!files.iter().any(|file| file.path.starts_with("target/")));
    }
}
