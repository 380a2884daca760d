//! The loader over directories and over both stores.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use constellation_store_core::{
    Commit, Operation, PipelineName, PipelineStore, PipelineStoreExt as _, Precondition, StructuralHash,
};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_mem::InMemoryPipelineStore;
use tempfile::TempDir;

use super::{LoadError, LoadReport};
use crate::builder::{ConstellationServer, StartError};
use crate::config::{AliasStrategy, Limits, LoaderConfig};
use crate::service::Mode;

const A: &str = "in n: Int\nm = n + 1\nout m\n";
const B: &str = "in n: Int\nm = n + 2\nout m\n";
const BROKEN: &str = "in n: Int\nm = nope\nout m\n";

/// A directory of sources beside a store, which outlives the servers over it.
struct Fixture {
    directory: TempDir,
    store: Arc<dyn PipelineStore>,
}

impl Fixture {
    /// The same over each backend.
    fn all() -> Vec<Self> {
        let in_memory: Arc<dyn PipelineStore> = Arc::new(InMemoryPipelineStore::new());
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("sources")).unwrap();
        let on_disk = FileSystemPipelineStore::open(directory.path().join("store")).unwrap();
        let other = TempDir::new().unwrap();
        fs::create_dir(other.path().join("sources")).unwrap();
        vec![Self { directory: other, store: in_memory }, Self { directory, store: Arc::new(on_disk) }]
    }

    fn new() -> Self {
        Self::all().remove(0)
    }

    fn config(&self) -> LoaderConfig {
        LoaderConfig::new(self.directory.path().join("sources"))
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.directory.path().join("sources").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    async fn try_start(&self, config: LoaderConfig) -> Result<ConstellationServer, StartError> {
        self.try_start_within(Limits::default(), config).await
    }

    async fn try_start_within(
        &self,
        limits: Limits,
        config: LoaderConfig,
    ) -> Result<ConstellationServer, StartError> {
        ConstellationServer::builder(constellation_stdlib::registry())
            .with_store(Arc::clone(&self.store))
            .with_limits(limits)
            .with_pipeline_loader(config)
            .build()
            .await
    }

    async fn start_with(&self, config: LoaderConfig) -> (LoadReport, u64) {
        let server = self.try_start(config).await.unwrap();
        (server.load_report().unwrap().clone(), server.service().compilations())
    }

    async fn start(&self) -> (LoadReport, u64) {
        self.start_with(self.config()).await
    }

    async fn active(&self, name: &str) -> Option<StructuralHash> {
        self.store.resolve(&parse(name)).await.unwrap().map(|active| active.structural_hash)
    }

    async fn names(&self) -> Vec<String> {
        let aliases = self.store.list_aliases().await.unwrap();
        aliases.keys().map(ToString::to_string).collect()
    }
}

fn parse(name: &str) -> PipelineName {
    name.parse().unwrap()
}

/// Paths that were loaded, skipped and failed.
fn paths(report: &LoadReport) -> [Vec<&str>; 3] {
    [
        report.loaded.iter().map(|file| file.path.as_str()).collect(),
        report.skipped.iter().map(|file| file.path.as_str()).collect(),
        report.failed.iter().map(|file| file.path.as_str()).collect(),
    ]
}

#[tokio::test]
async fn files_are_named_by_the_strategy() {
    for fixture in Fixture::all() {
        fixture.write("b.cst", B);
        fixture.write("a.cst", A);
        fixture.write("team/c.cst", "in n: Int\nm = n + 3\nout m\n");
        fixture.write("notes.txt", "not a pipeline");
        fixture.write(".hidden.cst", BROKEN);
        fixture.write(".git/d.cst", BROKEN);
        let (report, compilations) = fixture.start().await;
        assert_eq!(paths(&report), [vec!["a.cst", "b.cst"], vec![], vec![]]);
        assert_eq!(compilations, 2);
        assert_eq!(fixture.names().await, ["a", "b"]);

        let config =
            LoaderConfig { recursive: true, alias_strategy: AliasStrategy::RelativePath, ..fixture.config() };
        let (report, compilations) = fixture.start_with(config.clone()).await;
        assert_eq!(paths(&report), [vec!["team/c.cst"], vec!["a.cst", "b.cst"], vec![]]);
        assert_eq!(compilations, 1);
        assert_eq!(fixture.names().await, ["a", "b", "team/c"]);

        fixture.write("team/d.cst", "in n: Int\nm = n + 4\nout m\n");
        let config = LoaderConfig { alias_strategy: AliasStrategy::HashOnly, ..config };
        let (report, compilations) = fixture.start_with(config).await;
        assert_eq!(paths(&report)[0], ["team/d.cst"]);
        assert_eq!(compilations, 1);
        assert_eq!(fixture.names().await, ["a", "b", "team/c"], "no name was asked for");
        let hash = report.loaded[0].structural_hash.unwrap();
        assert!(fixture.store.get(&hash).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_file_that_nobody_touched_is_skipped_and_never_undoes_a_rollback() {
    for fixture in Fixture::all() {
        fixture.write("p.cst", A);
        fixture.start().await;
        let first = fixture.active("p").await;
        fixture.write("p.cst", B);
        fixture.start().await;
        let second = fixture.active("p").await;
        assert_ne!(first, second);

        let rollback = Commit::new().then(Operation::SetActive { name: parse("p"), version: 1 });
        fixture.store.commit(rollback).await.unwrap();
        for _ in 0..2 {
            let (report, compilations) = fixture.start().await;
            assert_eq!(paths(&report), [vec![], vec!["p.cst"], vec![]]);
            assert_eq!(report.skipped[0].structural_hash, first, "what the name points to");
            assert_eq!(compilations, 0);
            assert_eq!(fixture.active("p").await, first);
        }

        // The same by pointing the name: the loader does not take that for its own work either.
        let server = fixture.try_start(fixture.config()).await.unwrap();
        server.service().alias(&parse("p"), second.unwrap(), Precondition::Any, Mode::Apply).await.unwrap();
        server.service().alias(&parse("p"), first.unwrap(), Precondition::Any, Mode::Apply).await.unwrap();
        fixture.start().await;
        assert_eq!(fixture.active("p").await, first);
    }
}

#[tokio::test]
async fn a_file_that_was_edited_or_reverted_becomes_active() {
    for fixture in Fixture::all() {
        fixture.write("p.cst", A);
        fixture.start().await;
        let first = fixture.active("p").await;
        fixture.write("p.cst", B);
        let (report, compilations) = fixture.start().await;
        assert_eq!((paths(&report)[0].len(), compilations), (1, 1));
        assert_ne!(fixture.active("p").await, first);

        fixture.write("p.cst", A);
        let (report, compilations) = fixture.start().await;
        assert_eq!(paths(&report), [vec!["p.cst"], vec![], vec![]]);
        assert_eq!(compilations, 0, "the program is known");
        assert_eq!(fixture.active("p").await, first);
        let history = fixture.store.versions(&parse("p")).await.unwrap().unwrap();
        assert_eq!(history.active_version, Some(3), "older content published again is a new version");
    }
}

#[tokio::test]
async fn an_edit_of_a_comment_counts_as_an_edit() {
    let fixture = Fixture::new();
    fixture.write("p.cst", A);
    fixture.start().await;
    let first = fixture.active("p").await;
    fixture.write("p.cst", format!("# explained\n{A}"));
    let (report, compilations) = fixture.start().await;
    assert_eq!((paths(&report)[0].len(), compilations), (1, 0));
    let history = fixture.store.versions(&parse("p")).await.unwrap().unwrap();
    assert_eq!(history.active_version, Some(1), "the same image makes no version");

    fixture.write("q.cst", B);
    fixture.start().await;
    let other = fixture.active("q").await.unwrap();
    let server = fixture.try_start(fixture.config()).await.unwrap();
    server.service().alias(&parse("p"), other, Precondition::Any, Mode::Apply).await.unwrap();
    fixture.write("p.cst", A);
    fixture.start().await;
    assert_eq!(fixture.active("p").await, first, "whoever edits the file wants it active");
}

#[tokio::test]
async fn a_name_that_was_deleted_stays_deleted_until_its_file_changes() {
    for fixture in Fixture::all() {
        fixture.write("p.cst", A);
        fixture.start().await;
        let delete = Commit::new().then(Operation::DeleteName { name: parse("p") });
        fixture.store.commit(delete).await.unwrap();
        let (report, _) = fixture.start().await;
        assert_eq!(report.skipped[0].structural_hash, None);
        assert_eq!(fixture.active("p").await, None);
        fixture.write("p.cst", B);
        fixture.start().await;
        assert!(fixture.active("p").await.is_some());
    }
}

#[tokio::test]
async fn files_that_fail_are_told_and_the_others_are_loaded() {
    let fixture = Fixture::new();
    fixture.write("good.cst", A);
    fixture.write("broken.cst", BROKEN);
    fixture.write("latin.cst", b"# caf\xe9\n");
    fixture.write("huge.cst", vec![b' '; (1 << 20) + 1]);
    fixture.write("e\u{301}.cst", A);
    fixture.write("directory.cst/x.txt", "");
    let (report, _) = fixture.start().await;
    assert_eq!(
        paths(&report),
        [vec!["good.cst"], vec![], vec!["broken.cst", "e\u{301}.cst", "huge.cst", "latin.cst"]]
    );
    for (file, reason) in report.failed.iter().zip([
        "it does not compile\n    broken.cst:2:5: E001:",
        "its name cannot be used: a name is in Unicode normalization form C",
        "it is larger than 1048576 bytes",
        "it is not UTF-8 (at byte 5)",
    ]) {
        assert!(file.reason.starts_with(reason), "{file}");
    }
    assert_eq!(fixture.names().await, ["good"]);
}

#[tokio::test]
async fn two_files_of_one_name_are_not_both_loaded() {
    let fixture = Fixture::new();
    fixture.write("a/p.cst", A);
    fixture.write("b/p.cst", B);
    let config = LoaderConfig { recursive: true, ..fixture.config() };
    let (report, _) = fixture.start_with(config.clone()).await;
    assert_eq!(paths(&report), [vec!["a/p.cst"], vec![], vec!["b/p.cst"]]);
    assert!(report.failed[0].reason.contains("taken by a/p.cst"), "{}", report.failed[0]);
    let first = fixture.active("p").await;

    // A file that fails keeps its name.
    fixture.write("a/p.cst", BROKEN);
    let (report, _) = fixture.start_with(config).await;
    assert_eq!(paths(&report), [vec![], vec![], vec!["a/p.cst", "b/p.cst"]]);
    assert_eq!(fixture.active("p").await, first);
}

#[tokio::test]
async fn only_what_is_new_takes_room_when_all_is_published_in_one_commit() {
    for (max_images, max_sources) in [(3, 100), (100, 3)] {
        let limits =
            Limits { max_stored_images: max_images, max_stored_sources: max_sources, ..Limits::default() };
        for alias_strategy in [AliasStrategy::HashOnly, AliasStrategy::FileName] {
            let fixture = Fixture::new();
            let config =
                |alias_strategy| LoaderConfig { fail_on_error: true, alias_strategy, ..fixture.config() };
            fixture.write("a.cst", A);
            fixture.write("b.cst", B);
            // The names are new to the next start, and the programs are not.
            let start = |alias_strategy| fixture.try_start_within(limits.clone(), config(alias_strategy));
            let first = start(AliasStrategy::HashOnly).await.unwrap();
            fixture.write("c.cst", "in n: Int\nm = n + 3\nout m\n");
            // The same program twice is stored once.
            fixture.write("d.cst", "in n: Int\nm = n + 3\nout m\n");
            let second = start(alias_strategy).await;
            assert!(second.is_ok(), "{max_images} {max_sources} {alias_strategy}: {second:?}");
            fixture.write("e.cst", "in n: Int\nm = n + 4\nout m\n");
            let third = start(alias_strategy).await;
            assert!(matches!(third, Err(StartError::Load(LoadError::Publish(_)))), "{third:?}");
            drop((first, second));
        }
    }
}

#[tokio::test]
async fn with_fail_on_error_all_is_published_in_one_commit_or_nothing() {
    for fixture in Fixture::all() {
        fixture.write("a.cst", A);
        fixture.write("b.cst", BROKEN);
        fixture.write("c.cst", b"\xff");
        let config = LoaderConfig { fail_on_error: true, ..fixture.config() };
        let Err(StartError::Load(LoadError::Files(failed))) = fixture.try_start(config.clone()).await else {
            panic!("two files fail");
        };
        assert_eq!(failed.len(), 2);
        // The server closed the store with itself, so that only the one on disk tells what it has.
        let directory = fixture.directory.path().join("store");
        let fixture = if directory.exists() {
            drop(fixture.store);
            let store = Arc::new(FileSystemPipelineStore::open(directory).unwrap());
            Fixture { directory: fixture.directory, store }
        } else {
            Fixture { directory: fixture.directory, store: Arc::new(InMemoryPipelineStore::new()) }
        };
        assert_eq!(fixture.store.status().await.unwrap().revision.0, 0, "nothing was published");

        fixture.write("b.cst", B);
        // The same program as another: compiled once, published under both names.
        fixture.write("c.cst", A);
        let (report, compilations) = fixture.start_with(config.clone()).await;
        assert_eq!((paths(&report)[0].len(), compilations), (3, 2));
        assert_eq!(fixture.store.status().await.unwrap().revision.0, 1, "one commit");
        let (report, compilations) = fixture.start_with(config).await;
        assert_eq!((paths(&report)[1].len(), compilations), (3, 0));
        assert_eq!(fixture.store.status().await.unwrap().revision.0, 1, "nothing changed");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_followed_and_loops_end() {
    use std::os::unix::fs::symlink;
    let fixture = Fixture::new();
    let sources = fixture.directory.path().join("sources");
    fixture.write("team/p.cst", A);
    symlink(&sources, sources.join("team/again")).unwrap();
    symlink(sources.join("loop.cst"), sources.join("loop.cst")).unwrap();
    symlink(Path::new("team/p.cst"), sources.join("q.cst")).unwrap();
    symlink(Path::new("gone"), sources.join("r.cst")).unwrap();
    let config = LoaderConfig { recursive: true, ..fixture.config() };
    let (report, compilations) = fixture.start_with(config).await;
    assert_eq!(paths(&report), [vec!["q.cst", "team/p.cst"], vec![], vec!["loop.cst", "r.cst"]]);
    assert_eq!(compilations, 1);
}

#[tokio::test]
async fn a_directory_that_is_not_there_keeps_the_server_from_starting() {
    let fixture = Fixture::new();
    fixture.write("file", "");
    for place in ["gone", "file"] {
        let config = LoaderConfig::new(fixture.directory.path().join("sources").join(place));
        let error = config.check().unwrap_err();
        assert!(matches!(&error, LoadError::Directory { .. }) && error.to_string().contains(place));
        assert!(fixture.try_start(config).await.is_err());
    }
}
