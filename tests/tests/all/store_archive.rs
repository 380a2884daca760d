//! `constellation store export` and `import`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use constellation_tests::{Exited, Injection, Launch, binary, can_trace};
use serde_json::{Value, json as value};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use crate::store_look::{json, serve, small_store, source, store, text};

/// The entries of an archive.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
        })
        .collect()
}

/// One entry, whatever it is.
struct Entry<'a> {
    path: &'a str,
    kind: EntryType,
    /// The length that the header tells, if not that of the content.
    size: Option<u64>,
    bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    fn file(path: &'a str, bytes: &'a [u8]) -> Self {
        Self { path, kind: EntryType::Regular, size: None, bytes }
    }
}

fn write(path: &Path, entries: &[Entry<'_>]) {
    let mut builder = Builder::new(fs::File::create(path).unwrap());
    for Entry { path, kind, size, bytes } in entries {
        let mut header = Header::new_gnu();
        // Set by hand, since the crate refuses what these tests are about.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(size.unwrap_or(bytes.len() as u64));
        header.set_mode(0o644);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.finish().unwrap();
}

/// A store with a name whose file name is long, and something that only the journal has; not closed.
fn store_with_journal(directory: &Path) {
    small_store(directory);
    let server = serve(directory);
    server.compile(&"X".repeat(66), &source(4));
    server.compile("other", &source(5));
    server.kill();
}

#[test]
fn an_archive_of_a_store_is_the_same_after_the_way_through_another_one() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    store_with_journal(path);
    let answer = json(path, &["export", "a.tar"], 0);
    let written = entries(&path.join("a.tar"));
    assert_eq!(answer["files"], written.len());
    let paths: Vec<&str> = written.iter().map(|(path, _)| path.as_str()).collect();
    assert!(paths.is_sorted(), "{paths:?}");
    assert_eq!(paths.iter().filter(|path| path.starts_with("images/")).count(), 5);
    assert!(paths.iter().any(|path| path.len() > 150), "{paths:?}");
    assert!(!paths.iter().any(|path| path.contains("journal") || path.contains("store.json")));

    let answer = json(path, &["import", "a.tar", "--store", "copy"], 0);
    assert_eq!((&answer["new"], &answer["counts"]["versions"]), (&value!(true), &value!(5)));
    assert_eq!(json(path, &["verify", "--store", "copy"], 0)["sound"], true);
    assert_eq!(
        json(path, &["versions", "other", "--store", "copy"], 0),
        json(path, &["versions", "other"], 0)
    );
    json(path, &["export", "b.tar", "--store", "copy"], 0);
    assert!(fs::read(path.join("a.tar")).unwrap() == fs::read(path.join("b.tar")).unwrap());
    let leftovers = fs::read_dir(path)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(leftovers.count(), 0);

    // Standard output is the same archive; a file that is there is kept.
    let exited = store(path, &["export", "b.tar"]);
    assert_eq!(exited.status.code(), Some(2), "{exited:?}");
    assert!(exited.stderr.contains("b.tar"), "{exited:?}");
}

#[test]
fn a_running_server_is_exported_as_it_is_at_one_moment() {
    let directory = TempDir::new().unwrap();
    let server = serve(directory.path());
    let hash = server.compile("journaled", &source(1));
    json(directory.path(), &["export", "a.tar"], 0);
    server.compile("later", &source(2));
    let written = entries(&directory.path().join("a.tar"));
    let (_, aliases) = written.iter().find(|(path, _)| path == "aliases.json").unwrap();
    assert_eq!(serde_json::from_slice::<Value>(aliases).unwrap(), value!({ "journaled": hash }));
}

#[test]
fn an_archive_goes_into_a_store_as_new_versions() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let [first, second, other] = small_store(path);
    json(path, &["export", "a.tar"], 0);
    let server = serve(path);
    let newer = server.compile("other", &source(7));
    assert!(server.signal("TERM").status.success());

    for round in 0..2 {
        let answer = json(path, &["import", "a.tar"], 0);
        let names = [
            value!({ "name": "double/it", "version": 2, "changed": false }),
            value!({ "name": "other", "version": 3, "changed": round == 0 }),
        ];
        assert_eq!((&answer["new"], &answer["names"]), (&value!(false), &value!(names)));
    }
    let history = json(path, &["versions", "other"], 0);
    assert_eq!(history["versions"][2]["origin"], "import");
    assert_eq!(history["versions"][1]["structuralHash"], newer.as_str());
    let server = serve(path);
    assert_eq!(server.hash_of("other"), other);
    assert_eq!(server.hash_of("double%2Fit"), second);
    assert_eq!(server.execute(&first, &value!({ "a": 1 })), value!({ "b": 2 }));
    assert_eq!(server.compilations(), 0);
}

#[test]
fn a_hostile_archive_is_refused_as_a_whole_and_told_why() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    small_store(path);
    json(path, &["export", "sound.tar"], 0);
    let sound = entries(&path.join("sound.tar"));
    let (image_path, image) = sound.iter().find(|(path, _)| path.starts_with("images/")).unwrap();
    let (_, versions) = sound.iter().find(|(path, _)| path.starts_with("versions/")).unwrap();
    let mut damaged = image.clone();
    damaged[100] ^= 1;
    let long = "a".repeat(5000);
    let file = Entry::file;
    let special = |path, kind| Entry { path, kind, size: None, bytes: b"" };
    let cases: Vec<(Vec<Entry<'_>>, &str)> = vec![
        (vec![file("../escaped", b"x")], "../escaped"),
        (vec![file("images/../../escaped", b"x")], "images/../../escaped"),
        (vec![file("/etc/escaped", b"x")], "/etc/escaped"),
        (vec![file("journal/0000000000000001-0000000000000001.log", b"x")], "journal/"),
        (vec![file("images/notes.txt", b"x")], "images/notes.txt"),
        (vec![special("images/link.json", EntryType::Symlink)], "images/link.json"),
        (vec![special("images/hard.json", EntryType::Link)], "images/hard.json"),
        (vec![special("images/device", EntryType::Char)], "images/device"),
        (vec![special("images/pipe", EntryType::Fifo)], "images/pipe"),
        (vec![special("elsewhere/", EntryType::Directory)], "elsewhere/"),
        (vec![special("images/sparse", EntryType::GNUSparse)], "images/sparse"),
        (vec![special("pax", EntryType::XHeader)], "gnu"),
        (vec![Entry { size: Some(1 << 40), ..file(image_path, b"x") }], "limit"),
        (vec![Entry { size: Some(1 << 20), ..file(image_path, b"x") }], image_path),
        (vec![file(image_path, &damaged)], image_path),
        (vec![file(image_path, image), file(image_path, image)], "twice"),
        (vec![file("versions/double%2fit.json", versions)], "double/it"),
        (vec![file("aliases.json", b"{\"a\": 1}")], "aliases.json"),
        (vec![Entry { kind: EntryType::GNULongName, ..file("x", long.as_bytes()) }], "path"),
        (vec![], "empty"),
    ];
    for (entries, message) in &cases {
        write(&path.join("hostile.tar"), entries);
        for target in ["new", "store"] {
            let before = json(path, &["ls"], 0);
            let exited = store(path, &["import", "hostile.tar", "--store", target]);
            assert_eq!(exited.status.code(), Some(2), "{message} into {target}: {exited:?}");
            assert!(exited.stderr.contains(message), "{message} into {target}: {exited:?}");
            assert_eq!(json(path, &["ls"], 0), before);
        }
    }
    // Whole archives that do not fit together.
    for (left_out, message) in [(image_path.as_str(), "not in the archive"), ("aliases.json", "")] {
        let kept: Vec<_> = sound.iter().filter(|(path, _)| path != left_out).collect();
        let kept: Vec<_> = kept.iter().map(|(path, bytes)| file(path, bytes)).collect();
        write(&path.join("part.tar"), &kept);
        let exited = store(path, &["import", "part.tar", "--store", "new"]);
        let is_refused = !message.is_empty();
        assert_eq!(exited.status.code(), Some(if is_refused { 2 } else { 0 }), "{exited:?}");
        assert!(exited.stderr.contains(message), "{exited:?}");
        assert_eq!(path.join("new").exists(), !is_refused);
    }
    fs::write(path.join("noise.tar"), vec![0x5a; 4096]).unwrap();
    assert_eq!(store(path, &["import", "noise.tar", "--store", "newer"]).status.code(), Some(2));
    assert!(!path.join("newer").exists() && !path.join("escaped").exists());
}

#[test]
fn a_store_with_a_lost_image_is_not_exported() {
    let directory = TempDir::new().unwrap();
    let [first, ..] = small_store(directory.path());
    fs::remove_file(directory.path().join("store/images").join(format!("{first}.json"))).unwrap();
    let exited = store(directory.path(), &["export", "a.tar"]);
    assert_eq!(exited.status.code(), Some(2), "{exited:?}");
    assert!(exited.stderr.contains("double/it"), "{exited:?}");
    assert!(!directory.path().join("a.tar").exists());
    assert!(text(directory.path(), &["verify", "--repair"], 0).contains("healed"));
    json(directory.path(), &["export", "a.tar"], 0);
}

#[test]
fn an_archive_that_lacks_what_the_store_has_lost_is_told_by_the_exit_code() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    small_store(path);
    let versions = path.join("store/versions");
    let document = fs::read_dir(&versions).unwrap().next().unwrap().unwrap().path();
    fs::write(&document, "damaged").unwrap();
    // It knows the versions, too.
    fs::remove_dir_all(path.join("store/pack")).unwrap();
    let warnings = &json(path, &["export", "a.tar"], 1)["warnings"];
    assert!(warnings.as_array().is_some_and(|warnings| !warnings.is_empty()), "{warnings}");
    assert!(path.join("a.tar").exists());
    assert_eq!(store(path, &["export", "-"]).status.code(), Some(1));
}

#[test]
fn a_store_whose_store_json_is_damaged_is_exported_whole_and_told_what_is_wrong_and_what_to_do() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    store_with_journal(path);
    json(path, &["export", "whole.tar"], 0);
    let manifest = path.join("store/store.json");
    let bytes = fs::read(&manifest).unwrap();
    fs::write(&manifest, &bytes[1..]).unwrap();
    let exited = store(path, &["export", "a.tar"]);
    assert_eq!(exited.status.code(), Some(1), "{exited:?}");
    for told in ["'store.json' is damaged and was not used", "store verify --repair"] {
        assert!(exited.stderr.contains(told), "{told}: {exited:?}");
    }
    assert_eq!(entries(&path.join("a.tar")), entries(&path.join("whole.tar")));
    assert!(text(path, &["verify", "--repair"], 0).contains("healed"));
    json(path, &["export", "b.tar"], 0);
}

#[test]
fn what_an_import_left_that_was_cut_short_is_told_by_the_next_one_and_by_the_server() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    small_store(path);
    text(path, &["export", "a.tar"], 0);
    fs::rename(path.join("store"), path.join("before")).unwrap();
    if !can_trace() {
        return;
    }
    // It dies when the directory is about to get its name.
    let killed = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=rename,renameat,renameat2:signal=KILL"])
        .arg(binary())
        .args(["store", "--store", "store", "import", "a.tar"])
        .current_dir(path)
        .output()
        .unwrap();
    assert!(!killed.status.success() && !path.join("store").exists(), "{killed:?}");
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.starts_with(".store.import-")).collect();
    let [left] = &left[..] else { panic!("{left:?}") };

    let imported = store(path, &["import", "a.tar"]);
    assert_eq!(imported.status.code(), Some(0), "{imported:?}");
    assert!(imported.stderr.contains(left), "{}", imported.stderr);
    let server = serve(path);
    server.wait_until("it is told", |server| server.stderr().contains(left));
    assert!(server.signal("TERM").status.success());
    fs::remove_dir_all(path.join(left)).unwrap();
    let again = store(path, &["import", "a.tar"]);
    assert_eq!((again.status.code(), again.stderr.as_str()), (Some(0), ""));
}

#[test]
fn what_is_no_archive_is_told_without_its_bytes() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let import = |bytes: &[u8]| {
        fs::write(path.join("a.tar"), bytes).unwrap();
        let exited = store(path, &["import", "a.tar"]);
        assert_eq!(exited.status.code(), Some(2), "{exited:?}");
        exited.stderr
    };
    let told = import(b"\x1f\x8b\x08\0\0\0\0\0");
    assert!(told.contains("it is compressed; pipe it through 'gunzip"), "{told}");
    for bytes in [[0x1b; 1024], [b'\n'; 1024], [0xff; 1024]] {
        let told = import(&bytes);
        assert!(told.contains("it is no tar archive, or damaged"), "{told}");
        assert!(told.lines().count() == 1 && told.len() < 400, "{told}");
        assert!(told.trim_end().chars().all(|character| !character.is_control()), "{told:?}");
    }
    assert!(!path.join("store").exists());
}

#[test]
fn an_archive_whose_sync_fails_is_not_left() {
    if !can_trace() {
        return;
    }
    let directory = TempDir::new().unwrap();
    small_store(directory.path());
    let archive = directory.path().join("a.tar");
    let n_syncs = fail_each_sync(directory.path(), &["export", "a.tar", "--store", "store"], |exited| {
        assert_eq!(exited.status.code(), Some(2));
        assert!(!archive.exists(), "it is left");
    });
    // Of the archive and of its entry.
    assert_eq!(n_syncs, 2);
    assert!(archive.exists());
}

#[test]
fn a_new_store_whose_sync_fails_is_there_wholly_or_not_at_all() {
    if !can_trace() {
        return;
    }
    let directory = TempDir::new().unwrap();
    small_store(directory.path());
    text(directory.path(), &["export", "a.tar"], 0);
    let new = directory.path().join("new");
    let list = || Launch::command(directory.path(), "store").args(["ls", "--store", "new"]).run();
    let expected = text(directory.path(), &["ls"], 0);
    let mut n_left = 0;
    let n_syncs = fail_each_sync(directory.path(), &["import", "a.tar", "--store", "new"], |exited| {
        let is_told = exited.stderr.contains("'new' has all of the archive, and cannot be opened");
        // It needs no catalogue.
        let is_done = exited.status.code() == Some(0);
        assert_eq!(new.exists(), is_told || is_done, "{exited:?}");
        if new.exists() {
            n_left += 1;
            assert_eq!(list().stdout, expected);
            fs::remove_dir_all(&new).unwrap();
        }
    });
    assert!(n_left >= 2 && n_syncs >= n_left + 6, "{n_left} of {n_syncs}");
    assert_eq!(list().stdout, expected);
}

/// Runs a command on a store once for each sync that it makes, which fails, and once more without. Returns how many there
/// are.
fn fail_each_sync(directory: &Path, arguments: &[&str], mut check: impl FnMut(&Exited)) -> usize {
    for n_syncs in 0..1000 {
        let fault = format!("error=EIO:when={}", n_syncs + 1);
        let injection = Injection::new("fsync,fdatasync,syncfs", &fault).unwrap();
        let launch = Launch::command_under(&injection.wrapper(), directory, "store");
        let exited = launch.args(arguments).run();
        if injection.n_strikes().unwrap() == 0 {
            assert_eq!(exited.status.code(), Some(0), "{exited:?}");
            return n_syncs;
        }
        let is_told = exited.status.code() == Some(2) && exited.stderr.contains("os error 5");
        assert!(is_told || exited.status.success(), "{n_syncs}: {exited:?}");
        check(&exited);
    }
    panic!("{arguments:?} goes on for ever");
}
