//! `export` and `import`: a store as a tar archive.
//!
//! What a tar says of itself is not believed: the length of an entry bounds nothing, each is read up to a limit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use constellation_store_core::{Outcome, PipelineStore as _, StoreError};
use constellation_store_fs::archive::{Archive, ArchiveCounts, CheckedArchive, Occupant, Snapshot};
use constellation_store_fs::vfs::{RealVfs, Vfs as _};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::{
    Answer, n_of, open_to_write, parent_of, progress, refuse_other, require, stream, tell_found,
    unfinished_imports, vfs, warn,
};

/// What can be done while a server has the store.
const BESIDE: &str = "stop the server first, or import into another directory";
/// How many bytes a file of an archive may have.
const MAX_ENTRY_BYTES: u64 = 64 << 20;
/// How many bytes all files of an archive may have.
const MAX_ARCHIVE_BYTES: u64 = 4 << 30;
/// How a file begins that `gzip` wrote.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// How many entries an archive may have.
const MAX_ENTRIES: u64 = 4_000_000;
/// The longest path of a file of a store is far below.
const MAX_PATH_BYTES: usize = 400;

pub(super) fn export(directory: &Path, file: &Path, json: bool) -> anyhow::Result<Answer> {
    require(directory)?;
    let Some(file) = stream(file) else {
        ensure!(!json, "standard output cannot have both the archive and a JSON document");
        let snapshot = take(directory)?;
        write_archive(&snapshot, io::stdout().lock()).context("the archive cannot be written")?;
        return Ok(exported(&snapshot, Value::Null, String::new()));
    };
    let snapshot = take(directory)?;
    let failed = || format!("'{}' cannot be written", file.display());
    // A backup that is there is not overwritten.
    let archive = OpenOptions::new().write(true).create_new(true).open(&file).with_context(failed)?;
    // A backup is one when its entry is durable, too.
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let sync = || archive.sync_all().and_then(|()| RealVfs::new(parent).sync_directory(""));
    let written = write_archive(&snapshot, &archive).and_then(|()| Ok(sync()?));
    if let Err(error) = written {
        let _ = fs::remove_file(&file);
        return Err(error).with_context(failed);
    }
    let n_files = snapshot.len();
    let text = format!("{} written to '{}'\n", n_of(n_files, "file"), file.display());
    let json =
        json!({ "file": file.display().to_string(), "files": n_files, "warnings": snapshot.warnings() });
    Ok(exported(&snapshot, json, text))
}

/// What is lost in the store is not in the archive either, so that it is no reason to throw an older one away.
fn exported(snapshot: &Snapshot, json: Value, text: String) -> Answer {
    if snapshot.warnings().is_empty() { Answer::done(json, text) } else { Answer::found(json, text) }
}

fn take(directory: &Path) -> Result<Snapshot, StoreError> {
    let snapshot = Snapshot::take(&vfs(directory))?;
    tell_found(&snapshot.warnings());
    Ok(snapshot)
}

/// Writes the same bytes for the same content: entries are sorted, and nothing tells when or by whom.
fn write_archive(snapshot: &Snapshot, out: impl Write) -> anyhow::Result<()> {
    let bar = progress::bar("writing", snapshot.len() as u64);
    let mut builder = Builder::new(BufWriter::new(out));
    snapshot.files(|path, bytes| {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        bar.inc(1);
        anyhow::Ok(builder.append_data(&mut header, path, bytes)?)
    })?;
    builder.into_inner()?.flush()?;
    bar.finish_and_clear();
    Ok(())
}

pub(super) async fn import(directory: &Path, file: &Path) -> anyhow::Result<Answer> {
    let archive = match stream(file) {
        None => read_archive(io::stdin().lock()),
        Some(file) => {
            let archive =
                File::open(&file).with_context(|| format!("'{}' cannot be read", file.display()))?;
            read_archive(archive)
        }
    };
    let archive = archive.context("the archive was not imported")?;
    for warning in unfinished_imports(directory) {
        warn(&warning);
    }
    match refuse_other(directory)? {
        Occupant::Store => import_into(directory, &archive).await,
        Occupant::Nothing | Occupant::Other => import_anew(directory, &archive).await,
    }
}

fn read_archive(input: impl Read) -> anyhow::Result<CheckedArchive> {
    let bar = progress::bar("reading", 0);
    // Also what is read as names of entries and padding counts.
    let mut input = BufReader::new(input).take(2 * MAX_ARCHIVE_BYTES);
    if input.fill_buf().is_ok_and(|bytes| bytes.starts_with(GZIP)) {
        bail!("it is compressed; pipe it through 'gunzip -c FILE', and import '-'");
    }
    let mut tar = tar::Archive::new(input);
    let mut archive = Archive::new();
    let mut total = 0;
    let mut n_entries = 0;
    // Of what extends an entry, only longer names are needed. Read raw, they are bounded as everything else is, and
    // nothing is believed that the others say, such as the size of a sparse file.
    let mut long_path: Option<Vec<u8>> = None;
    for entry in tar.entries().context("it is no tar archive")?.raw(true) {
        let mut entry = entry.map_err(|error| no_tar(&error))?;
        n_entries += 1;
        ensure!(n_entries <= MAX_ENTRIES, "it has more than {MAX_ENTRIES} entries");
        let entry_type = entry.header().entry_type();
        if entry_type == EntryType::GNULongName {
            ensure!(long_path.is_none(), "it has two names for one entry");
            long_path = Some(long_name(entry)?);
            continue;
        }
        let path = long_path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let Ok(path) = String::from_utf8(path) else { bail!("a path is not UTF-8") };
        // As `tar -c .` writes it.
        let path = path.strip_prefix("./").unwrap_or(&path);
        match entry_type {
            EntryType::Regular => {}
            EntryType::Directory if Archive::has_directory(path) => continue,
            EntryType::Directory => bail!("'{path}' is no directory of a store"),
            EntryType::XHeader | EntryType::XGlobalHeader => {
                bail!("'{path}' is an extended header; write the archive in the format 'gnu' or 'ustar'")
            }
            other => bail!("'{path}' is neither a file nor a directory, but {other:?}"),
        }
        let mut bytes = Vec::new();
        let size = entry.size();
        ensure!(size <= MAX_ENTRY_BYTES, "'{path}' has {size} bytes; the limit is {MAX_ENTRY_BYTES}");
        let read = entry.by_ref().take(MAX_ENTRY_BYTES + 1).read_to_end(&mut bytes);
        read.with_context(|| format!("'{path}' cannot be read"))?;
        ensure!(bytes.len() as u64 == size, "'{path}' is cut: it has {} of {size} bytes", bytes.len());
        total += size;
        ensure!(total <= MAX_ARCHIVE_BYTES, "it has more than {MAX_ARCHIVE_BYTES} bytes");
        archive.add(path, &bytes)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    ensure!(n_entries > 0, "it is empty");
    Ok(archive.check()?)
}

/// What the reader says may have bytes of the archive in it, which are none for a terminal.
fn no_tar(error: &io::Error) -> anyhow::Error {
    const MAX_CHARS: usize = 200;
    let text: String = error.to_string().chars().flat_map(char::escape_default).take(MAX_CHARS).collect();
    anyhow!("it is no tar archive, or damaged: {text}")
}

/// The name of the entry that follows.
fn long_name(entry: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut path = Vec::new();
    entry.take(MAX_PATH_BYTES as u64 + 1).read_to_end(&mut path).context("a long name cannot be read")?;
    ensure!(path.len() <= MAX_PATH_BYTES, "a path has more than {MAX_PATH_BYTES} bytes");
    if path.last() == Some(&0) {
        path.pop();
    }
    Ok(path)
}

/// Makes a store of the archive, with all versions.
async fn import_anew(directory: &Path, archive: &CheckedArchive) -> anyhow::Result<Answer> {
    let name = directory.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("'{}' has no name that can be given", directory.display()))?;
    let counts = archive.counts();
    let bar = progress::bar("importing", (counts.images + counts.sources + counts.names + 2) as u64);
    archive.create_directory(&RealVfs::new(parent_of(directory)), name, |done| {
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let imported = || format!("'{}' has all of the archive, and cannot be opened", directory.display());
    // Makes `store.json`, so that it is a store from now on.
    let store = open_to_write(directory, BESIDE).await.with_context(imported)?;
    store.close().await.with_context(imported)?;
    let names: Vec<Value> = archive
        .names()
        .map(|(name, active)| {
            let version = active.map(|active| active.version);
            json!({ "name": name, "version": version, "changed": true })
        })
        .collect();
    let text = format!("a new store was made with {}\n", text_of(&counts));
    Ok(Answer::done(json!({ "new": true, "names": names, "counts": counted(archive) }), text))
}

/// Publishes the active versions of the archive in a store.
async fn import_into(directory: &Path, archive: &CheckedArchive) -> anyhow::Result<Answer> {
    let store = open_to_write(directory, BESIDE).await?;
    let steps = archive.steps();
    let bar = progress::bar("importing", steps.len() as u64);
    let mut names = Vec::new();
    let mut n_changed = 0;
    for step in steps {
        let committed = store.commit(step.commit).await?;
        bar.inc(1);
        if let Some(name) = step.name
            && let Some(Outcome::Version { changed, version, previous: _ }) = committed.outcomes.first()
        {
            n_changed += usize::from(*changed);
            names.push(json!({ "name": name, "version": version, "changed": changed }));
        }
    }
    bar.finish_and_clear();
    store.close().await?;
    let have = if n_changed == 1 { "has" } else { "have" };
    let text = format!("{}: {} {have} a new version\n", text_of(&archive.counts()), n_of(n_changed, "name"));
    Ok(Answer::done(json!({ "new": false, "names": names, "counts": counted(archive) }), text))
}

fn text_of(counts: &ArchiveCounts) -> String {
    let ArchiveCounts { images, sources, names, versions } = *counts;
    let [images, sources] = [n_of(images, "image"), n_of(sources, "source")];
    format!("{images}, {sources}, {} with {}", n_of(names, "name"), n_of(versions, "version"))
}

fn counted(archive: &CheckedArchive) -> Value {
    let counts = archive.counts();
    json!({
        "images": counts.images,
        "sources": counts.sources,
        "names": counts.names,
        "versions": counts.versions,
    })
}
