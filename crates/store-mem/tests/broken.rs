//! The conformance suite itself: a store that breaks a rule fails the case of that rule.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use constellation_store_core::conformance::{Backend, Case, cases};
use constellation_store_core::{
    ActiveVersion, Commit, Committed, ErrorKind, ImageSummary, IndexEntry, ListOptions, NameEntry,
    NamedImage, Operation, Origin, Outcome, PipelineImage, PipelineName, PipelineStore, Result, Revision,
    SourceHash, StoreError, StoreStatus, StructuralHash, SyntacticKey, Timestamp, VersionHistory,
};
use constellation_store_mem::{Parts, State};
use futures_core::stream::BoxStream;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    AcknowledgesButDropsVersions,
    AcknowledgesButDropsSources,
    IgnoresPreconditions,
    ReusesVersionNumbers,
    AppliesFailedCommitsInPart,
    MakesAVersionOfTheSame,
    RemovesImagesInUse,
    KeepsIndexEntriesOfRemovedImages,
    RemovesSourcesInUse,
    AcceptsAnyImage,
    ReplacesImages,
    PrunesTheActiveVersion,
    RevisionStandsStill,
    CountsRefusedCommits,
    ForgetsTheLoader,
    ListsBackwards,
    ListsFromTheKeyItself,
    IgnoresLimits,
    IgnoresPrefixes,
    ListsWhatIsThereLater,
    FoldsTheCaseOfNames,
    ServesWhenClosed,
    LosesWhatWasNotClosed,
    ForgetsItsRevision,
    ForgetsTheNextNumbers,
    BringsDeletedNamesBack,
    ForgetsSources,
    ForgetsTheIndex,
    ForgetsWhatTheLoaderDid,
    ForgetsUnknownMembers,
    CountsNoBytes,
}

/// What goes wrong, and the case that finds it.
const DEFECTS: [(Defect, &str); 34] = [
    (Defect::AcknowledgesButDropsVersions, "the_alias_of_a_name_is_the_hash_of_its_active_version"),
    (Defect::AcknowledgesButDropsSources, "a_source_reads_back_byte_by_byte"),
    (Defect::IgnoresPreconditions, "active_holds_for_the_active_version_only"),
    (Defect::ReusesVersionNumbers, "version_numbers_are_not_used_again_after_pruning"),
    (Defect::AppliesFailedCommitsInPart, "an_error_leaves_nothing_of_the_commit"),
    (Defect::MakesAVersionOfTheSame, "recording_the_active_image_again_makes_no_version"),
    (Defect::RemovesImagesInUse, "an_image_that_a_version_refers_to_is_not_removed"),
    (Defect::KeepsIndexEntriesOfRemovedImages, "an_image_is_removed_with_its_index_entries"),
    (Defect::RemovesSourcesInUse, "a_source_is_removed_with_the_last_image_that_refers_to_it"),
    (Defect::AcceptsAnyImage, "an_image_that_is_not_what_its_hash_says_is_refused"),
    (Defect::ReplacesImages, "an_image_that_is_there_is_kept"),
    (Defect::ReplacesImages, "of_two_images_of_one_graph_in_a_commit_the_first_is_kept"),
    (Defect::PrunesTheActiveVersion, "pruning_keeps_the_newest_and_the_active_version"),
    (Defect::RevisionStandsStill, "revisions_grow_with_each_commit_that_changes_something"),
    (Defect::CountsRefusedCommits, "revisions_grow_with_each_commit_that_changes_something"),
    (Defect::ForgetsTheLoader, "the_source_of_the_loader_is_remembered_also_when_unchanged"),
    (Defect::ListsBackwards, "names_are_listed_by_ascending_bytes_in_pages"),
    (Defect::ListsFromTheKeyItself, "images_are_listed_by_ascending_hash_in_pages"),
    (Defect::IgnoresLimits, "the_index_is_listed_by_ascending_key_in_pages"),
    (Defect::ListsBackwards, "named_images_are_listed_by_ascending_hash_in_pages"),
    (Defect::IgnoresPrefixes, "a_prefix_lists_the_images_that_have_such_a_name"),
    (Defect::ListsWhatIsThereLater, "a_listing_is_a_snapshot_at_the_time_of_the_call"),
    (Defect::FoldsTheCaseOfNames, "every_allowed_name_is_a_name_of_its_own"),
    (Defect::ServesWhenClosed, "a_closed_store_is_unavailable"),
    (Defect::LosesWhatWasNotClosed, "everything_survives_reopening_without_closing"),
    (Defect::ForgetsItsRevision, "version_numbers_and_revisions_go_on_after_reopening"),
    (Defect::ForgetsTheNextNumbers, "version_numbers_and_revisions_go_on_after_reopening"),
    (Defect::BringsDeletedNamesBack, "what_was_deleted_pruned_or_removed_stays_gone"),
    (Defect::ForgetsSources, "everything_survives_closing_and_reopening"),
    (Defect::ForgetsTheIndex, "a_program_is_found_again_without_compiling"),
    (Defect::ForgetsWhatTheLoaderDid, "random_commits_survive_reopening"),
    (Defect::ForgetsUnknownMembers, "everything_survives_closing_and_reopening"),
    (Defect::CountsNoBytes, "the_status_counts_the_bytes_of_graphs_and_sources_once"),
    (Defect::CountsNoBytes, "the_counts_of_the_status_survive_reopening"),
];

/// Of these, also random commits tell; the others do not show in what a commit answers or leaves.
const FOUND_BY_RANDOM_COMMITS: [Defect; 13] = [
    Defect::AcknowledgesButDropsVersions,
    Defect::AcknowledgesButDropsSources,
    Defect::IgnoresPreconditions,
    Defect::ReusesVersionNumbers,
    Defect::AppliesFailedCommitsInPart,
    Defect::MakesAVersionOfTheSame,
    Defect::RemovesImagesInUse,
    Defect::KeepsIndexEntriesOfRemovedImages,
    Defect::RemovesSourcesInUse,
    Defect::AcceptsAnyImage,
    Defect::PrunesTheActiveVersion,
    Defect::RevisionStandsStill,
    Defect::ForgetsTheLoader,
];

const RANDOM: &str = "random_commits_do_what_a_model_does";

#[test]
fn each_defect_fails_the_case_of_its_rule() {
    for (defect, case) in DEFECTS {
        assert!(passes(Defect::None, case), "{case} passes without a defect");
        assert!(!passes(defect, case), "{case} finds {defect:?}");
    }
}

#[test]
fn random_commits_find_what_changes_the_content() {
    assert!(passes(Defect::None, RANDOM));
    for defect in FOUND_BY_RANDOM_COMMITS {
        assert!(!passes(defect, RANDOM), "random commits find {defect:?}");
    }
}

#[test]
fn a_store_that_keeps_its_content_passes_the_cases_that_open_it_again() {
    for case in cases().iter().filter(|case| case.reopens()) {
        assert!(passes(Defect::None, case.name()), "{case:?}");
    }
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names: Vec<_> = cases().iter().map(Case::name).collect();
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
}

fn passes(defect: Defect, name: &str) -> bool {
    let case = *cases().iter().find(|case| case.name() == name).expect("the case is in the suite");
    let backend: Arc<dyn Backend> = Arc::new(BrokenBackend { defect, places: Arc::default() });
    catch_unwind(AssertUnwindSafe(|| case.run(&backend))).is_ok()
}

struct BrokenBackend {
    defect: Defect,
    places: Places,
}

/// What stores have left behind.
type Places = Arc<Mutex<BTreeMap<String, State>>>;

impl Backend for BrokenBackend {
    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Arc<dyn PipelineStore>> {
        let kept = self.places.lock().expect("no test panics while it holds the lock").get(place).cloned();
        let store = Broken(Arc::new(Inner {
            defect: self.defect,
            state: Mutex::new(Some(reopened(self.defect, &kept.unwrap_or_default()))),
            place: place.to_owned(),
            places: Arc::clone(&self.places),
        }));
        Box::pin(async { Arc::new(store) as Arc<dyn PipelineStore> })
    }

    fn keeps_content(&self) -> bool {
        true
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        futures_util::FutureExt::now_or_never(future).expect("the store never waits");
    }
}

#[derive(Debug)]
struct Broken(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    defect: Defect,
    state: Mutex<Option<State>>,
    place: String,
    places: Places,
}

/// What a store is when it is opened again.
fn reopened(defect: Defect, kept: &State) -> State {
    let mut parts = parts_of(kept);
    match defect {
        Defect::ForgetsItsRevision => parts.revision = Revision(0),
        Defect::ForgetsSources => parts.sources.clear(),
        Defect::ForgetsTheIndex => parts.index.clear(),
        Defect::ForgetsUnknownMembers => {
            for image in &mut parts.images {
                Arc::make_mut(image).extra.clear();
            }
        }
        _ => {}
    }
    for history in parts.histories.values_mut().map(Arc::make_mut) {
        match defect {
            Defect::ForgetsTheNextNumbers => history.next_version = 0,
            Defect::BringsDeletedNamesBack => {
                history.active_version = history.versions.last().map(|version| version.version);
            }
            Defect::ForgetsWhatTheLoaderDid => history.loader_source_hash = None,
            _ => {}
        }
    }
    State::from_parts(parts)
}

impl Inner {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, state: &State) {
        let mut places = self.places.lock().expect("no test panics while it holds the lock");
        places.insert(self.place.clone(), state.clone());
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T> {
        self.lock().as_ref().map(read).ok_or_else(closed)
    }

    /// The name under which the store keeps a name.
    fn folded(&self, name: &PipelineName) -> PipelineName {
        match self.defect {
            Defect::FoldsTheCaseOfNames => {
                name.as_str().to_ascii_lowercase().parse().expect("a name in lower case is a name")
            }
            _ => name.clone(),
        }
    }

    fn list<K, T>(
        self: &Arc<Self>,
        mut options: ListOptions<K>,
        key: fn(&T) -> K,
        list: impl Fn(&State, &ListOptions<K>) -> Vec<T> + Send + 'static,
    ) -> BoxStream<'static, Result<T>>
    where
        K: Clone + PartialEq + Send + 'static,
        T: Send + 'static,
    {
        if self.is(Defect::IgnoresLimits) {
            options.limit = None;
        }
        let inner = Arc::clone(self);
        let run = move || {
            inner.read(|state| {
                let mut entries = list(state, &options);
                if inner.is(Defect::ListsBackwards) {
                    entries.reverse();
                }
                if inner.is(Defect::ListsFromTheKeyItself) && options.limit != Some(0) {
                    let all = list(state, &ListOptions::default());
                    entries.splice(0..0, all.into_iter().filter(|entry| Some(key(entry)) == options.after));
                }
                entries
            })
        };
        let answer = |listed: Result<Vec<T>>| match listed {
            Ok(entries) => stream::iter(entries.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        };
        if self.is(Defect::ListsWhatIsThereLater) {
            return stream::once(async move { answer(run()) }).flatten().boxed();
        }
        answer(run()).boxed()
    }

    fn commit(&self, mut commit: Commit) -> Result<Committed> {
        let mut guard = self.lock();
        let state = guard.as_mut().ok_or_else(closed)?;
        if self.is(Defect::IgnoresPreconditions) {
            commit.preconditions.clear();
        }
        for operation in &mut commit.operations {
            match operation {
                Operation::RecordVersion { name, .. }
                | Operation::SetActive { name, .. }
                | Operation::DeleteName { name }
                | Operation::PruneVersions { name, .. } => *name = self.folded(name),
                _ => {}
            }
        }
        let before = state.clone();
        let mut outcomes = Vec::new();
        // One operation after the other, so that each can be bent; what fails is undone.
        let mut revision = state.prepare(&Commit { operations: vec![], ..commit.clone() }, NOW)?.revision;
        for operation in commit.operations {
            match self.operation(state, &operation) {
                Ok(committed) => {
                    outcomes.extend(committed.outcomes);
                    revision = committed.revision;
                }
                Err(error) => {
                    let failed = std::mem::replace(state, before);
                    match self.defect {
                        Defect::AppliesFailedCommitsInPart => *state = failed,
                        Defect::CountsRefusedCommits => state.replay(Revision(state.revision().0 + 1), &[]),
                        _ => {}
                    }
                    return Err(error);
                }
            }
        }
        // The operations of a commit have one revision.
        let changed = revision > before.revision();
        let revision =
            Revision(before.revision().0 + u64::from(changed && !self.is(Defect::RevisionStandsStill)));
        self.tamper(state, &before, revision);
        if !self.is(Defect::LosesWhatWasNotClosed) {
            self.keep(state);
        }
        Ok(Committed { revision, outcomes })
    }

    fn operation(&self, state: &mut State, operation: &Operation) -> Result<Committed> {
        let run = |state: &mut State, operation: &Operation| {
            let prepared = state.prepare(&Commit::new().then(operation.clone()), NOW)?;
            Ok(state.apply(prepared))
        };
        let pretend = |state: &State, outcome: Outcome| {
            Ok(Committed { revision: Revision(state.revision().0 + 1), outcomes: vec![outcome] })
        };
        match (self.defect, operation) {
            (Defect::AcknowledgesButDropsVersions, Operation::RecordVersion { .. }) => {
                pretend(state, Outcome::Version { changed: true, version: 1, previous: None })
            }
            (Defect::AcknowledgesButDropsSources, Operation::PutSource(_)) => {
                pretend(state, Outcome::Source { added: true })
            }
            (Defect::MakesAVersionOfTheSame, Operation::RecordVersion { name, .. }) => {
                // It fails for a name that has no active version, which is fine.
                let _ = run(state, &Operation::DeleteName { name: name.clone() });
                run(state, operation)
            }
            (
                Defect::ForgetsTheLoader,
                Operation::RecordVersion { name, structural_hash, source_hash, .. },
            ) => {
                let active = state.resolve(name).map(|active| active.structural_hash);
                let unchanged = active == Some(*structural_hash);
                let origin = Origin::Compile;
                let (name, structural_hash, source_hash) = (name.clone(), *structural_hash, *source_hash);
                let forgetful = Operation::RecordVersion { name, structural_hash, origin, source_hash };
                run(state, if unchanged { &forgetful } else { operation })
            }
            (Defect::AcceptsAnyImage, Operation::PutImage(image)) => match run(state, operation) {
                Err(_) => {
                    let mut parts = parts_of(state);
                    parts.images.push(Arc::clone(image));
                    *state = State::from_parts(parts);
                    pretend(state, Outcome::Image { added: true })
                }
                committed => committed,
            },
            (Defect::ReplacesImages, Operation::PutImage(image)) => {
                state.forget_damaged(&image.structural_hash);
                run(state, operation)
            }
            (Defect::RemovesImagesInUse, Operation::RemoveImage { structural_hash }) => {
                match run(state, operation) {
                    Err(error) if error.kind() == ErrorKind::InUse => {
                        state.forget_damaged(structural_hash);
                        pretend(state, Outcome::Removed)
                    }
                    committed => committed,
                }
            }
            _ => run(state, operation),
        }
    }

    /// Changes what a commit has left.
    fn tamper(&self, state: &mut State, before: &State, revision: Revision) {
        let mut parts = parts_of(state);
        parts.revision = revision;
        for version in parts.histories.values_mut().flat_map(|history| &mut Arc::make_mut(history).versions) {
            version.revision = version.revision.min(revision);
        }
        match self.defect {
            Defect::ReusesVersionNumbers => {
                for history in parts.histories.values_mut().map(Arc::make_mut) {
                    history.next_version = 0;
                }
            }
            Defect::PrunesTheActiveVersion => {
                for history in parts.histories.values_mut().map(Arc::make_mut) {
                    let pruned = before.versions(&history.pipeline_name).is_some_and(|before| {
                        before.versions.len() > history.versions.len() && history.versions.len() == 1
                    });
                    if pruned {
                        history.versions.clear();
                    }
                }
            }
            Defect::KeepsIndexEntriesOfRemovedImages => {
                parts.index =
                    before.index_entries().map(|(key, hash)| (*key, *hash)).chain(parts.index).collect();
            }
            Defect::RemovesSourcesInUse if state.images().len() < before.images().len() => {
                parts.sources.clear();
            }
            _ => {}
        }
        *state = State::from_parts(parts);
    }
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn by_name(
    histories: impl IntoIterator<Item = Arc<VersionHistory>>,
) -> BTreeMap<PipelineName, Arc<VersionHistory>> {
    histories.into_iter().map(|history| (history.pipeline_name.clone(), history)).collect()
}

fn parts_of(state: &State) -> Parts {
    Parts {
        revision: state.revision(),
        images: state.loaded_images().collect(),
        summaries: BTreeMap::new(),
        sources: state.sources().map(|(hash, source)| (*hash, source.clone())).collect(),
        index: state.index_entries().map(|(key, hash)| (*key, *hash)).collect(),
        histories: by_name(state.histories().cloned()),
    }
}

fn closed() -> StoreError {
    StoreError::new(ErrorKind::Unavailable, "use store", "the store is closed")
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken: {:?}", self.0.defect)
    }
}

#[async_trait]
impl PipelineStore for Broken {
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.0.commit(commit)
    }

    async fn get(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        self.0.read(|state| state.get(structural_hash))
    }

    async fn peek(&self, structural_hash: &StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        self.get(structural_hash).await
    }

    async fn resolve(&self, name: &PipelineName) -> Result<Option<ActiveVersion>> {
        self.0.read(|state| state.resolve(&self.0.folded(name)))
    }

    async fn names_of(&self, structural_hash: &StructuralHash) -> Result<Vec<PipelineName>> {
        self.0.read(|state| state.names_of(structural_hash))
    }

    async fn lookup_syntactic(&self, key: &SyntacticKey) -> Result<Option<StructuralHash>> {
        self.0.read(|state| state.lookup_syntactic(key))
    }

    async fn versions(&self, name: &PipelineName) -> Result<Option<Arc<VersionHistory>>> {
        self.0.read(|state| state.versions(&self.0.folded(name)).cloned())
    }

    async fn source(&self, source_hash: &SourceHash) -> Result<Option<Arc<str>>> {
        self.0.read(|state| state.source(source_hash).loaded())
    }

    fn list_images(&self, options: ListOptions<StructuralHash>) -> BoxStream<'static, Result<ImageSummary>> {
        self.0.list(
            options,
            |entry| entry.structural_hash,
            |state, options| state.list_images(options).collect(),
        )
    }

    fn list_named(
        &self,
        prefix: &str,
        options: ListOptions<StructuralHash>,
    ) -> BoxStream<'static, Result<NamedImage>> {
        let prefix = if self.0.is(Defect::IgnoresPrefixes) { String::new() } else { prefix.to_owned() };
        self.0.list(
            options,
            |entry| entry.structural_hash,
            move |state, options| state.list_named(&prefix, options).collect(),
        )
    }

    fn list_names(&self, options: ListOptions<PipelineName>) -> BoxStream<'static, Result<NameEntry>> {
        self.0.list(options, |entry| entry.name.clone(), |state, options| state.list_names(options).collect())
    }

    fn list_index(&self, options: ListOptions<SyntacticKey>) -> BoxStream<'static, Result<IndexEntry>> {
        self.0.list(options, |entry| entry.key, |state, options| state.list_index(options).collect())
    }

    async fn status(&self) -> Result<StoreStatus> {
        let status = self.0.read(State::status)?;
        Ok(if self.0.is(Defect::CountsNoBytes) { StoreStatus { bytes: 0, ..status } } else { status })
    }

    async fn close(&self) -> Result<()> {
        if !self.0.is(Defect::ServesWhenClosed)
            && let Some(state) = self.0.lock().take()
        {
            self.0.keep(&state);
        }
        Ok(())
    }
}
