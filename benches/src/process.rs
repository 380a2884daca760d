//! Opening in a process of its own, so that no contender inherits memory or warm structures from another.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use constellation_benches::images::{Program, name};
use constellation_store_core::{
    DagSpec, ImageMetadata, PipelineStore as _, PipelineStoreExt as _, StructuralHash,
};
use constellation_store_fs::FileSystemPipelineStore;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::rivals::DATABASE_FILE;

/// A way to get at everything that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Our store, until a name resolves and its image is there.
    Ours,
    /// All JSON files read and parsed by two threads, without any check.
    Files,
    /// The same, and each image hashed.
    HashedFiles,
    /// All rows of SQLite, each image parsed.
    Sqlite,
}

/// What a process tells of its opening.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// How long it took.
    pub(crate) seconds: f64,
    /// What memory grew by between the start and the end of opening, before anything was used.
    pub(crate) resident_bytes: f64,
    /// How many images were found.
    pub(crate) images: u64,
}

impl Way {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Ours, "ours"),
        (Self::Files, "files"),
        (Self::HashedFiles, "hashed-files"),
        (Self::Sqlite, "sqlite"),
    ];

    /// Opens what is in a directory in a new process.
    pub(crate) fn measure(self, directory: &Path) -> anyhow::Result<Opening> {
        let way = Self::ALL.into_iter().find(|(way, _)| *way == self).map(|(_, name)| name);
        let way = way.expect("the table has all ways");
        let output = Command::new(std::env::current_exe()?).arg("probe").arg(way).arg(directory).output()?;
        ensure!(
            output.status.success(),
            "opening {} as {way} failed: {}",
            directory.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        serde_json::from_slice(&output.stdout).context("reading what the opening told")
    }
}

/// The new process.
#[expect(clippy::print_stdout, reason = "read by the process that started this one")]
pub(crate) fn answer(way: &str, directory: &Path) -> anyhow::Result<()> {
    let known = Way::ALL.into_iter().find(|(_, name)| *name == way);
    let opening = match known.with_context(|| format!("no way is called '{way}'"))?.0 {
        Way::Ours => open_ours(directory)?,
        Way::Files => time(|| load_files(directory, false))?,
        Way::HashedFiles => time(|| load_files(directory, true))?,
        Way::Sqlite => time(|| load_sqlite(directory))?,
    };
    println!("{}", serde_json::to_string(&opening)?);
    Ok(())
}

fn open_ours(directory: &Path) -> anyhow::Result<Opening> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let memory = resident_bytes()?;
    let start = Instant::now();
    let store = FileSystemPipelineStore::open(directory)?;
    let opened = start.elapsed();
    let memory = resident_bytes()? - memory;
    let images = runtime.block_on(store.status())?.images;
    let start = Instant::now();
    let image = runtime.block_on(store.get_by_name(&name(0)))?.context("a stored name does not resolve")?;
    let used = start.elapsed();
    ensure!(image.dag_spec == Program::of(0).image.dag_spec, "the store gave another image");
    Ok(Opening { seconds: (opened + used).as_secs_f64(), resident_bytes: memory, images })
}

/// What somebody has who reads everything at the start.
#[derive(Default)]
struct Loaded {
    images: HashMap<StructuralHash, PlainImage>,
    names: HashMap<String, String>,
}

fn time(load: impl FnOnce() -> anyhow::Result<Loaded>) -> anyhow::Result<Opening> {
    let memory = resident_bytes()?;
    let start = Instant::now();
    let loaded = load()?;
    let seconds = start.elapsed().as_secs_f64();
    let memory = resident_bytes()? - memory;
    let image = loaded
        .names
        .get(name(0).as_str())
        .and_then(|hash| loaded.images.get(&hash.parse().ok()?))
        .context("a stored name does not resolve")?;
    ensure!(image.dag_spec == *Program::of(0).image.dag_spec, "another image was loaded");
    // Without this, what nobody reads might never be kept.
    ensure!(image.metadata.compiler.is_some(), "the metadata was not loaded");
    Ok(Opening { seconds, resident_bytes: memory, images: loaded.images.len() as u64 })
}

/// An image as it is parsed by somebody who trusts the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainImage {
    structural_hash: StructuralHash,
    dag_spec: DagSpec,
    metadata: ImageMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainHistory {
    pipeline_name: String,
    active_version: Option<u64>,
    versions: Vec<PlainVersion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainVersion {
    version: u64,
    structural_hash: String,
}

/// Images, version documents and the index. Sources are left out: nobody reads them to serve a pipeline.
fn load_files(directory: &Path, hash: bool) -> anyhow::Result<Loaded> {
    let (images, versions) = (files(&directory.join("images"))?, files(&directory.join("versions"))?);
    let halves = images.split_at(images.len() / 2);
    let versions = versions.split_at(versions.len() / 2);
    let load = |images: &[PathBuf], versions: &[PathBuf]| -> anyhow::Result<Loaded> {
        let mut loaded = Loaded::default();
        for path in images {
            let bytes = std::fs::read(path)?;
            if hash {
                std::hint::black_box(blake3::hash(&bytes));
            }
            let image: PlainImage = serde_json::from_slice(&bytes)?;
            loaded.images.insert(image.structural_hash, image);
        }
        for path in versions {
            let history: PlainHistory = serde_json::from_slice(&std::fs::read(path)?)?;
            let mut versions = history.versions.into_iter();
            if let Some(active) = versions.find(|version| Some(version.version) == history.active_version) {
                loaded.names.insert(history.pipeline_name, active.structural_hash);
            }
        }
        Ok(loaded)
    };
    let index: BTreeMap<String, String> =
        serde_json::from_slice(&std::fs::read(directory.join("syntactic-index.json"))?)?;
    std::hint::black_box(&index);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| load(halves.1, versions.1));
        let mut loaded = load(halves.0, versions.0)?;
        let Ok(other) = other.join() else { bail!("the thread that loads the second half panicked") };
        let other = other?;
        loaded.images.extend(other.images);
        loaded.names.extend(other.names);
        Ok(loaded)
    })
}

/// The files of a folder, in the order in which the file system tells them.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn load_sqlite(directory: &Path) -> anyhow::Result<Loaded> {
    let connection = Connection::open(directory.join(DATABASE_FILE))?;
    let mut loaded = Loaded::default();
    let mut statement = connection.prepare("SELECT document FROM images")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let image: PlainImage = serde_json::from_slice(row.get_ref(0)?.as_blob()?)?;
        loaded.images.insert(image.structural_hash, image);
    }
    let mut statement = connection.prepare("SELECT name, hash FROM aliases")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        loaded.names.insert(row.get(0)?, row.get(1)?);
    }
    Ok(loaded)
}

/// What the process has in memory now.
fn resident_bytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("only Linux tells what is resident")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<f64> = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    Ok(kilobytes.context("/proc/self/status has no VmRSS in kB")? * 1024.0)
}
