//! The model by itself, and the keys of what crashes leave.

use super::*;

fn write(vfs: &ModelVfs, path: &str, bytes: &[u8]) -> Box<dyn VfsFile> {
    let mut file = vfs.create(path).unwrap();
    file.write_all_at(0, bytes).unwrap();
    file
}

#[test]
fn what_was_not_synced_may_be_lost() {
    let vfs = ModelVfs::new();
    let _file = write(&vfs, "a", b"x");
    assert_eq!(vfs.pending(), [Pending::Write(1), Pending::Entry]);
    assert!(vfs.crash(&[]).files().is_empty());
    assert_eq!(vfs.crash(&[Fate::Lose, Fate::Keep]).files()["a"], b"");
    assert_eq!(vfs.crash(&[Fate::Keep, Fate::Keep]).files()["a"], b"x");
    assert_eq!(vfs.files()["a"], b"x", "the tree that crashed in thought goes on");
}

#[test]
fn syncing_a_file_does_not_make_its_entry_durable() {
    let vfs = ModelVfs::new();
    write(&vfs, "a", b"x").sync().unwrap();
    assert_eq!(vfs.pending(), [Pending::Entry]);
    vfs.sync_directory("").unwrap();
    assert_eq!(vfs.crash(&[]).files()["a"], b"x");
}

#[test]
fn a_directory_that_is_not_durable_takes_its_files_with_it() {
    let vfs = ModelVfs::new();
    vfs.create_directory("d").unwrap();
    write(&vfs, "d/a", b"x").sync().unwrap();
    vfs.sync_directory("d").unwrap();
    assert!(vfs.crash(&[]).files().is_empty());
    vfs.sync_directory("").unwrap();
    assert_eq!(vfs.crash(&[]).files()["d/a"], b"x");
}

#[test]
fn a_directory_takes_what_is_in_it_along_to_its_new_name() {
    let vfs = ModelVfs::new();
    vfs.create_directory("d").unwrap();
    write(&vfs, "d/a", b"x").sync().unwrap();
    vfs.sync_directory("d").unwrap();
    vfs.sync_directory("").unwrap();
    vfs.rename("d", "e").unwrap();
    assert_eq!(vfs.files(), BTreeMap::from([("e/a".to_owned(), b"x".to_vec())]));
    assert_eq!(vfs.crash(&[]).files(), BTreeMap::from([("d/a".to_owned(), b"x".to_vec())]));
    vfs.sync_directory("").unwrap();
    assert_eq!(vfs.crash(&[]).files()["e/a"], b"x");
}

#[test]
fn a_file_that_is_moved_may_be_found_in_either_directory_in_both_or_in_none() {
    let vfs = ModelVfs::new();
    vfs.put("from/a", "x");
    vfs.put("to/b", "y");
    vfs.rename("from/a", "to/a").unwrap();
    let found = |fates: [Fate; 2]| {
        let files = vfs.crash(&fates).files();
        [files.contains_key("from/a"), files.contains_key("to/a")]
    };
    assert_eq!(found([Fate::Lose, Fate::Lose]), [true, false]);
    assert_eq!(found([Fate::Keep, Fate::Lose]), [true, true]);
    assert_eq!(found([Fate::Lose, Fate::Keep]), [false, false]);
    assert_eq!(found([Fate::Keep, Fate::Keep]), [false, true]);
    assert_eq!(vfs.files().into_keys().collect::<Vec<_>>(), ["to/a", "to/b"]);
}

#[test]
fn a_rename_without_a_sync_of_the_data_leaves_an_empty_file() {
    let vfs = ModelVfs::new();
    let _file = write(&vfs, "a.tmp", b"x");
    vfs.rename("a.tmp", "a").unwrap();
    vfs.sync_directory("").unwrap();
    assert_eq!(vfs.crash(&[]).files(), BTreeMap::from([("a".to_owned(), Vec::new())]));
}

#[test]
fn what_a_failed_sync_forgot_is_readable_and_never_durable() {
    let vfs = ModelVfs::new();
    vfs.put("a", "old");
    vfs.open("a").unwrap().write_all_at(0, b"new").unwrap();
    vfs.forget_pending();
    let mut file = vfs.open("a").unwrap();
    file.sync().unwrap();
    assert_eq!(vfs.files()["a"], b"new");
    assert_eq!(vfs.crash(&[]).files()["a"], b"old");
    file.write_all_at(0, b"N").unwrap();
    file.sync().unwrap();
    assert_eq!(vfs.crash(&[]).files()["a"], b"Nld");
}

#[test]
fn what_a_failed_sync_of_a_directory_forgot_is_durable_only_under_a_new_name() {
    let vfs = ModelVfs::new();
    vfs.create_directory("d").unwrap();
    write(&vfs, "a.tmp", b"x").sync().unwrap();
    vfs.rename("a.tmp", "a").unwrap();
    vfs.forget_entries("");
    vfs.sync_directory("").unwrap();
    assert_eq!(vfs.files()["a"], b"x");
    assert!(vfs.crash(&[]).files().is_empty());
    write(&vfs, "b.tmp", b"y").sync().unwrap();
    vfs.rename("b.tmp", "a").unwrap();
    vfs.remove_directory("d").unwrap();
    vfs.create_directory("d").unwrap();
    vfs.sync_directory("").unwrap();
    assert_eq!(vfs.crash(&[]).files()["a"], b"y");
    assert!(vfs.crash(&[]).list("d").is_ok());
}

#[test]
fn only_an_empty_directory_is_removed() {
    let vfs = ModelVfs::new();
    vfs.create_directory("d").unwrap();
    let _file = write(&vfs, "d/a", b"x");
    assert_eq!(vfs.remove_directory("d").unwrap_err().kind(), io::ErrorKind::DirectoryNotEmpty);
    assert_eq!(vfs.remove_directory("d/a").unwrap_err().kind(), io::ErrorKind::NotADirectory);
    assert_eq!(vfs.remove_directory("e").unwrap_err().kind(), io::ErrorKind::NotFound);
    vfs.remove("d/a").unwrap();
    vfs.remove_directory("d").unwrap();
    assert_eq!(vfs.list("d").unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_torn_write_keeps_a_part() {
    let vfs = ModelVfs::new();
    let _file = write(&vfs, "a", b"abcd");
    vfs.sync_directory("").unwrap();
    assert_eq!(vfs.crash(&[Fate::Torn(1)]).files()["a"], b"a\0\0\0");
    assert_eq!(vfs.crash(&[Fate::Short(1)]).files()["a"], b"a");
}

#[test]
fn moments_are_before_each_change_and_now() {
    let vfs = ModelVfs::new();
    vfs.record();
    write(&vfs, "a", b"x").sync().unwrap();
    let moments = vfs.moments();
    assert_eq!(moments.len(), 4);
    assert!(moments[0].files().is_empty());
    assert_eq!(moments[1].files()["a"], b"");
    assert_eq!(moments[2].pending(), [Pending::Write(1), Pending::Entry]);
}

#[test]
fn a_lock_is_held_once_and_survives_no_crash() {
    let vfs = ModelVfs::new();
    let lock = vfs.lock("LOCK").unwrap();
    assert_eq!(vfs.lock("LOCK").unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(vfs.crash(&[]).lock("LOCK").is_ok());
    drop(lock);
    assert!(vfs.lock("LOCK").is_ok());
}

/// A way to look at a file.
type Look = fn(&ModelVfs) -> io::Result<()>;

const EVERYTHING: View = View { apart: ["a", "b"], is_unread: |_| false, is_stamped: |_| false };

/// Every subset of what is pending, and torn writes beside everything else.
fn every_fate(pending: &[Pending]) -> Vec<Vec<Fate>> {
    let subsets = 0..1_usize << pending.len();
    let fate = |subset: usize, place: usize| if subset >> place & 1 == 1 { Fate::Keep } else { Fate::Lose };
    let mut every: Vec<Vec<_>> =
        subsets.map(|subset| (0..pending.len()).map(|place| fate(subset, place)).collect()).collect();
    for place in 0..pending.len() {
        for torn in [Fate::Torn(1), Fate::Short(1)] {
            let mut fates = vec![Fate::Keep; pending.len()];
            fates[place] = torn;
            every.push(fates);
        }
    }
    every
}

/// A run in which everything is done that can be done to files and directories.
fn busy() -> ModelVfs {
    let vfs = ModelVfs::new();
    vfs.put("a", "1");
    vfs.put("d/e/x", "2");
    vfs.put("d/y", "3");
    vfs.record();
    let _file = write(&vfs, "b", b"45");
    vfs.rename("b", "a").unwrap();
    vfs.create_directory("f").unwrap();
    vfs.rename("d/y", "f/y").unwrap();
    vfs.sync_directory("f").unwrap();
    vfs.open("d/e/x").unwrap().set_length(0).unwrap();
    vfs.open("d/e/x").unwrap().sync().unwrap();
    vfs.sync_directory("").unwrap();
    let mut file = write(&vfs, "d/e/z", b"67");
    vfs.rename("d/e/z", "d/e/x").unwrap();
    file.write_at(1, b"89").unwrap();
    vfs.remove("f/y").unwrap();
    vfs.remove_directory("f").unwrap();
    vfs.rename("d/e", "g").unwrap();
    file.sync().unwrap();
    vfs.sync_directory("").unwrap();
    let _file = write(&vfs, "g/w", b"0");
    vfs.remove("g/w").unwrap();
    vfs
}

#[test]
fn a_key_is_that_of_the_tree_that_a_crash_leaves_and_of_no_other() {
    let mut trees: BTreeMap<BTreeMap<String, Option<Vec<u8>>>, Left> = BTreeMap::new();
    let mut n_crashes = 0;
    for moment in busy().moments() {
        let keys = moment.keys(EVERYTHING);
        for fates in every_fate(&moment.pending()) {
            let left = moment.crash(&fates);
            let key = keys.after(&fates);
            assert_eq!(left.keys(EVERYTHING).after(&[]), key, "{fates:?}");
            let tree = left.shared().tree.clone();
            let content = |file: &u64| tree.files[file].live.bytes().to_vec();
            let all = tree.live.iter();
            let all = all.map(|(path, target)| (path.as_str().to_owned(), target.as_ref().map(content)));
            assert_eq!(*trees.entry(all.collect()).or_insert(key), key, "{fates:?}");
            n_crashes += 1;
        }
    }
    let keys: std::collections::HashSet<_> = trees.values().collect();
    assert_eq!(keys.len(), trees.len());
    assert!(trees.len() > 50 && n_crashes > 5 * trees.len(), "{}, {n_crashes}", trees.len());
}

#[test]
fn a_key_leaves_out_the_content_of_what_nobody_reads() {
    let view = View { apart: ["", ""], is_unread: |path| path.starts_with("tmp"), is_stamped: |_| false };
    let key = |path: &str, content: &str| {
        let vfs = ModelVfs::new();
        vfs.put(path, content);
        vfs.keys(view).after(&[])
    };
    assert_eq!(key("tmp-1", "x"), key("tmp-1", "y"));
    assert_ne!(key("tmp-1", "x"), key("tmp-2", "x"));
    assert_ne!(key("file", "x"), key("file", "y"));
}

#[test]
fn a_key_tells_a_file_that_was_written_anew_where_stamps_are_looked_at() {
    let vfs = ModelVfs::new();
    vfs.put("a", "x");
    let before = vfs.copy();
    vfs.put("a", "x");
    for is_stamped in [(|_| false) as fn(&str) -> bool, |path| path == "a"] {
        let view = View { apart: ["", ""], is_unread: |_| false, is_stamped };
        let is_same = vfs.keys(view).after(&[]) == before.keys(view).after(&[]);
        let has_stamp = vfs.stamp("a").unwrap() == before.stamp("a").unwrap();
        assert_eq!(is_same, has_stamp || !is_stamped("a"));
    }
}

#[test]
fn what_is_said_to_be_unread_may_only_be_listed_and_removed() {
    let view = View { apart: ["", ""], is_unread: |path| path.starts_with("tmp"), is_stamped: |_| false };
    let looks: [(&str, Look); 5] = [
        ("read", |vfs| vfs.read("tmp", 9).map(drop)),
        ("length", |vfs| vfs.length("tmp").map(drop)),
        ("stamp", |vfs| vfs.stamp("tmp").map(drop)),
        ("open", |vfs| vfs.open("tmp").map(drop)),
        ("rename", |vfs| vfs.rename("tmp", "other")),
    ];
    for (what, look) in looks {
        let vfs = ModelVfs::new();
        vfs.put("tmp", "x");
        vfs.put("file", "y");
        vfs.forbid_reading(view);
        let copy = vfs.copy();
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(&copy)));
        assert!(looked.is_err(), "in a copy: {what}");
        assert_eq!(vfs.read("file", 9).unwrap(), b"y");
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(&vfs)));
        assert!(looked.is_err(), "{what}");
        assert_eq!(vfs.list("").unwrap().len(), 2);
        vfs.remove("tmp").unwrap();
        write(&vfs, "tmp", b"z").sync().unwrap();
        assert!(look(&vfs).is_ok(), "another file: {what}");
    }
}
