//! The state as a durable backend uses it: prepared, written down, applied, replayed, read from its parts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{
    Commit, DagSpec, ErrorKind, ImageMetadata, ImageSummary, IndexEntry, ListOptions, Literal, NodeIndex,
    NodeKind, NodeSpec, Operation, Origin, Outcome, OutputSpec, PipelineImage, PipelineName, Precondition,
    RegistryHash, Revision, SourceHash, StoreError, SyntacticHash, SyntacticKey, Timestamp, TypeIndex,
    TypeSpec, VersionHistory,
};
use constellation_store_mem::{
    Change, Dangling, Holder, Lookup, Parts, Pending, Prepared, State, StoredSource, VerifiedCommit,
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn name(text: &str) -> PipelineName {
    text.parse().unwrap()
}

fn image(number: i64, source: Option<&str>) -> Arc<PipelineImage> {
    let dag_spec = DagSpec {
        outputs: vec![OutputSpec { name: "x".into(), node: NodeIndex(0) }],
        types: vec![TypeSpec::Int],
        nodes: vec![NodeSpec {
            label: None,
            ty: TypeIndex(0),
            operation: NodeKind::Literal(Literal::Int(number)),
        }],
        ..DagSpec::default()
    };
    let mut metadata = ImageMetadata::new(&dag_spec, NOW);
    metadata.source_hash = source.map(|source| SourceHash::of_bytes(source.as_bytes()));
    Arc::new(PipelineImage::new(dag_spec, metadata))
}

fn key(number: u8) -> SyntacticKey {
    SyntacticKey {
        syntactic: SyntacticHash::of_bytes(&[number]),
        registry: RegistryHash::of_bytes(b"registry"),
    }
}

fn record(name: &PipelineName, image: &PipelineImage) -> Operation {
    Operation::RecordVersion {
        name: name.clone(),
        structural_hash: image.structural_hash,
        origin: Origin::Loader,
        source_hash: image.metadata.source_hash,
    }
}

fn commit_of(operations: impl IntoIterator<Item = Operation>) -> Commit {
    operations.into_iter().fold(Commit::new(), Commit::then)
}

fn apply(state: &mut State, operations: impl IntoIterator<Item = Operation>) -> Vec<Outcome> {
    let prepared = state.prepare(&commit_of(operations), NOW).unwrap();
    state.apply(prepared).outcomes
}

/// Operations over few things, so that they meet.
fn operation() -> impl Strategy<Value = Operation> {
    let image = (0_i64..5).prop_map(|number| image(number, (number < 3).then_some("a")));
    let name = (0_usize..3).prop_map(|number| name(["a", "b", "c/d"][number]));
    let operation = (0_u8..20, image, name, 0_u8..6);
    operation.prop_map(|(kind, image, name, number)| match kind {
        0..=4 => Operation::PutImage(image),
        5 => Operation::PutSource("a".into()),
        6..=7 => Operation::Index { key: key(number), structural_hash: image.structural_hash },
        8..=12 => record(&name, &image),
        13..=14 => Operation::SetActive { name, version: number.into() },
        15 => Operation::DeleteName { name },
        16..=17 => Operation::RemoveImage { structural_hash: image.structural_hash },
        _ => Operation::PruneVersions { name, keep: number.into() },
    })
}

fn commits() -> impl Strategy<Value = Vec<VerifiedCommit>> {
    let commit = prop::collection::vec(operation(), 1..6).prop_map(|operations| {
        VerifiedCommit::new(commit_of(operations)).expect("the images are well formed")
    });
    prop::collection::vec(commit, 1..25)
}

fn added(image: &Arc<PipelineImage>) -> Change {
    Change::ImageAdded { image: Arc::clone(image), summary: Arc::new(ImageSummary::of(image)) }
}

/// The parts of a state, as a backend would have written them to files.
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn commits_judged_after_pending_ones_come_out_as_if_each_had_been_applied(commits in commits()) {
        let mut applied = State::new();
        let unchanged = State::new();
        let mut pending = Pending::new();
        let mut batch = Vec::new();
        for commit in &commits {
            let expected = applied.prepare(commit.commit(), NOW);
            let prepared = unchanged.prepare_after(&pending, commit, NOW);
            match (expected, prepared) {
                (Ok(expected), Ok(prepared)) => {
                    prop_assert_eq!(&prepared, &expected);
                    prop_assert_eq!(prepared.changes.is_empty(), prepared.revision == applied.revision());
                    pending.push(&prepared);
                    applied.apply(expected);
                    batch.push(prepared);
                }
                (expected, prepared) => {
                    prop_assert_eq!(expected.unwrap_err().to_string(), prepared.unwrap_err().to_string());
                }
            }
        }
        prop_assert_eq!(&unchanged, &State::new());
        let mut batched = unchanged;
        for prepared in batch {
            batched.apply(prepared);
        }
        prop_assert_eq!(batched, applied);
    }

    #[test]
    fn a_journal_replayed_over_any_later_state_gives_the_last_state(commits in commits()) {
        let mut states = vec![State::new()];
        let mut journal: Vec<Prepared> = Vec::new();
        for commit in &commits {
            let mut state = states.last().unwrap().clone();
            if let Ok(prepared) = state.prepare(commit.commit(), NOW) {
                journal.push(prepared.clone());
                state.apply(prepared);
                states.push(state);
            }
        }
        let last = states.last().unwrap();
        for (checkpoint, documents) in states.iter().enumerate() {
            // The documents may be newer than the first frames of the journal.
            for start in 0..=checkpoint {
                let mut state = State::from_parts(parts_of(documents));
                for Prepared { revision, changes, outcomes: _ } in &journal[start..] {
                    state.replay(*revision, changes);
                }
                prop_assert_eq!(&state, last);
            }
        }
    }

    #[test]
    fn a_journal_replayed_over_documents_of_different_ages_gives_the_last_state(
        commits in commits(),
        ages in prop::collection::vec(any::<prop::sample::Index>(), 3),
    ) {
        let mut states = vec![State::new()];
        let mut journal: Vec<Prepared> = Vec::new();
        for commit in &commits {
            let mut state = states.last().unwrap().clone();
            if let Ok(prepared) = state.prepare(commit.commit(), NOW) {
                journal.push(prepared.clone());
                state.apply(prepared);
                states.push(state);
            }
        }
        // Files are written in the order image and source, versions, index, so each is as old as the next.
        let mut ages: Vec<_> = ages.iter().map(|age| age.index(states.len())).collect();
        ages.sort_unstable_by(|a, b| b.cmp(a));
        let parts = Parts {
            histories: parts_of(&states[ages[1]]).histories,
            index: parts_of(&states[ages[2]]).index,
            ..parts_of(&states[ages[0]])
        };
        let mut state = State::from_parts(Parts { revision: Revision(0), ..parts });
        for Prepared { revision, changes, outcomes: _ } in &journal {
            state.replay(*revision, changes);
        }
        prop_assert_eq!(&state, states.last().unwrap());
        prop_assert_eq!(state.dangling(), Dangling::default());
    }

    #[test]
    fn a_state_is_what_its_parts_are(commits in commits()) {
        let mut state = State::new();
        for commit in &commits {
            if let Ok(prepared) = state.prepare(commit.commit(), NOW) {
                state.apply(prepared);
            }
        }
        prop_assert_eq!(&State::from_parts(parts_of(&state)), &state);
    }
}

#[test]
fn a_commit_comes_to_plain_changes_in_order() {
    let (a, first, second) = (name("a"), image(1, Some("text")), image(2, None));
    let source_hash = SourceHash::of_bytes(b"text");
    let mut state = State::new();
    apply(&mut state, [Operation::PutImage(Arc::clone(&second)), Operation::PutSource("text".into())]);
    let operations = [
        Operation::PutImage(Arc::clone(&first)),
        Operation::Index { key: key(1), structural_hash: first.structural_hash },
        record(&a, &first),
        Operation::DeleteName { name: a.clone() },
        Operation::PruneVersions { name: a.clone(), keep: 0 },
        Operation::RemoveImage { structural_hash: first.structural_hash },
    ];
    let prepared = state.prepare(&commit_of(operations), NOW).unwrap();
    assert_eq!(prepared.revision, Revision(2));
    let structural_hash = first.structural_hash;
    assert!(matches!(&prepared.changes[2], Change::VersionRecorded { version, .. }
        if version.version == 1 && version.revision == Revision(2) && version.created_at == NOW));
    assert_eq!(
        [&prepared.changes[..2], &prepared.changes[3..]].concat(),
        [
            added(&first),
            Change::Indexed { key: key(1), structural_hash },
            Change::LoaderSource { name: a.clone(), source_hash },
            Change::NameDeleted { name: a.clone() },
            Change::VersionsPruned { name: a, versions: vec![1] },
            Change::IndexRemoved { key: key(1) },
            Change::ImageRemoved { structural_hash },
            Change::SourceRemoved { source_hash },
        ]
    );
}

#[test]
fn what_a_commit_puts_after_a_removal_counts_for_its_next_removal() {
    let (a, first, second) = (name("a"), image(1, Some("text")), image(2, Some("text")));
    let put = |image: &Arc<PipelineImage>| Operation::PutImage(Arc::clone(image));
    let remove = || Operation::RemoveImage { structural_hash: first.structural_hash };
    let state = State::new();
    let prepare = |last: &[Operation]| {
        // The first removal asks who refers to what, before the rest is there.
        let operations = [&[put(&first), remove(), put(&first)], last, &[remove()]].concat();
        let prepared = state.prepare(&commit_of(operations), NOW)?;
        Ok::<_, StoreError>(prepared.changes[3..].to_vec())
    };
    let removed = || Change::ImageRemoved { structural_hash: first.structural_hash };

    let indexed = Operation::Index { key: key(1), structural_hash: first.structural_hash };
    let changes = prepare(&[indexed]).unwrap();
    assert_eq!(changes[1..], [Change::IndexRemoved { key: key(1) }, removed()]);

    assert_eq!(prepare(&[record(&a, &first)]).unwrap_err().kind(), ErrorKind::InUse);

    let source_hash = SourceHash::of_bytes(b"text");
    let source = || Operation::PutSource("text".into());
    assert_eq!(prepare(&[source()]).unwrap()[1..], [removed(), Change::SourceRemoved { source_hash }]);
    assert_eq!(prepare(&[source(), put(&second)]).unwrap()[2..], [removed()]);
    let third = image(3, None);
    let version = Operation::RecordVersion {
        name: a,
        structural_hash: third.structural_hash,
        origin: Origin::Alias,
        source_hash: Some(source_hash),
    };
    assert_eq!(prepare(&[source(), put(&third), version]).unwrap()[3..], [removed()]);
}

#[test]
fn the_document_of_an_image_is_that_of_the_very_one() {
    let (one, other) = (image(1, None), image(1, Some("text")));
    let commit = VerifiedCommit::new(commit_of([
        Operation::PutImage(Arc::clone(&one)),
        Operation::PutImage(Arc::clone(&other)),
    ]))
    .unwrap();
    for commit in [&commit, &commit.clone()] {
        for image in [&one, &other] {
            let decoded = PipelineImage::decode(commit.document(image).unwrap()).unwrap();
            assert_eq!(decoded.image, **image);
        }
        assert_eq!(commit.document(&image(1, None)), None, "an equal one");
    }
}

#[test]
fn a_refused_commit_leaves_what_is_pending() {
    let (a, image) = (name("a"), image(1, None));
    let state = State::new();
    let mut pending = Pending::new();
    let verified = |commit| VerifiedCommit::new(commit).unwrap();
    let first = commit_of([Operation::PutImage(Arc::clone(&image)), record(&a, &image)]);
    pending.push(&state.prepare_after(&pending, &verified(first), NOW).unwrap());
    let refused = commit_of([
        Operation::DeleteName { name: a.clone() },
        Operation::SetActive { name: a.clone(), version: 9 },
    ]);
    let error = state.prepare_after(&pending, &verified(refused), NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let commit = verified(Commit::new().require(a, Precondition::Active(1)));
    assert!(state.prepare_after(&pending, &commit, NOW).is_ok());
}

#[test]
fn a_state_goes_on_after_the_greatest_revision_of_its_parts() {
    let a = name("a");
    let mut state = State::new();
    apply(&mut state, [Operation::PutImage(image(1, None)), record(&a, &image(1, None))]);
    apply(&mut state, [Operation::PutImage(image(2, None)), record(&a, &image(2, None))]);
    for (known, expected) in [(0, 2), (2, 2), (7, 7)] {
        let restored = State::from_parts(Parts { revision: Revision(known), ..parts_of(&state) });
        assert_eq!(restored.revision(), Revision(expected));
        let prepared = restored.prepare(&commit_of([Operation::PutSource("x".into())]), NOW).unwrap();
        assert_eq!(prepared.revision, Revision(expected + 1));
    }
}

#[test]
fn no_version_number_is_above_the_revision() {
    let a = name("a");
    // A commit that gives several numbers, the first of the store.
    let mut state = State::new();
    let (first, second) = (image(1, None), image(2, None));
    let mut operations = vec![Operation::PutImage(first.clone()), Operation::PutImage(second.clone())];
    operations.extend([&first, &second, &first, &second, &first].map(|image| record(&a, image)));
    let prepared = state.prepare(&commit_of(operations), NOW).unwrap();
    assert_eq!(prepared.revision, Revision(5));
    // A journal of before may have a smaller one.
    let mut replayed = State::new();
    replayed.replay(Revision(1), &prepared.changes);
    assert_eq!(replayed.revision(), Revision(5));
    state.apply(prepared);
    assert_eq!(state, replayed);
    let history = state.versions(&a).unwrap();
    assert!(history.versions.iter().all(|version| version.revision == Revision(5)));
    // Documents of which the newest versions were pruned.
    apply(&mut state, [Operation::SetActive { name: a.clone(), version: 1 }]);
    apply(&mut state, [Operation::PruneVersions { name: a.clone(), keep: 0 }]);
    let mut pruned = VersionHistory::clone(state.versions(&a).unwrap());
    pruned.versions[0].revision = Revision(1);
    let parts = Parts { histories: by_name([Arc::new(pruned.clone())]), ..Parts::default() };
    assert_eq!(State::from_parts(parts).revision(), Revision(5));
    let mut put = State::new();
    put.put_history(pruned);
    assert_eq!(put.revision(), Revision(5));
}

#[test]
fn histories_written_by_hand_are_put_in_order() {
    let a = name("a");
    let mut history = VersionHistory::new(a.clone());
    let mut state = State::new();
    apply(&mut state, [Operation::PutImage(image(1, None)), Operation::PutImage(image(2, None))]);
    apply(&mut state, [record(&a, &image(1, None)), record(&a, &image(2, None))]);
    history.versions = state.versions(&a).unwrap().versions.iter().rev().cloned().collect();
    history.active_version = Some(9);
    history.next_version = 0;
    let mut restored =
        State::from_parts(Parts { histories: by_name([Arc::new(history)]), ..parts_of(&state) });
    assert_eq!(restored.resolve(&a), None, "there is no version 9");
    assert_eq!(restored.status().names, 0);
    let outcomes = apply(&mut restored, [record(&a, &image(2, None))]);
    assert_eq!(outcomes, [Outcome::Version { changed: true, version: 3, previous: None }]);
}

#[test]
fn a_history_that_is_put_takes_the_place_of_the_one_before() {
    let a = name("a");
    let mut state = State::new();
    apply(&mut state, [Operation::PutImage(image(1, None)), record(&a, &image(1, None))]);
    let mut older = VersionHistory::clone(state.versions(&a).unwrap());
    older.active_version = None;
    apply(&mut state, [Operation::PutImage(image(2, None)), record(&a, &image(2, None))]);
    apply(&mut state, [Operation::PruneVersions { name: a.clone(), keep: 1 }]);
    let newer = VersionHistory::clone(state.versions(&a).unwrap());
    let expected = state.clone();
    state.put_history(older);
    assert_eq!(state.status().names, 0);
    assert_eq!(state.holders(&image(1, None).structural_hash).count(), 1);
    assert_eq!(state.holders(&image(2, None).structural_hash).count(), 0);
    state.put_history(newer);
    assert_eq!(state, expected);
}

#[test]
fn a_version_number_is_not_used_twice_even_at_the_end_of_numbers() {
    let a = name("a");
    let mut history = VersionHistory::new(a.clone());
    history.next_version = u64::MAX;
    let parts =
        Parts { histories: by_name([Arc::new(history)]), images: vec![image(1, None)], ..Parts::default() };
    let error = State::from_parts(parts).prepare(&commit_of([record(&a, &image(1, None))]), NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let parts = Parts { revision: Revision(u64::MAX), ..Parts::default() };
    let state = State::from_parts(parts);
    assert!(state.prepare(&commit_of([]), NOW).is_ok());
    let error = state.prepare(&commit_of([Operation::PutSource("x".into())]), NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn a_damaged_image_is_forgotten_and_can_be_stored_again() {
    let (a, image) = (name("a"), image(1, Some("text")));
    let structural_hash = image.structural_hash;
    let mut state = State::new();
    let all = || {
        let index = Operation::Index { key: key(1), structural_hash };
        [
            Operation::PutImage(Arc::clone(&image)),
            Operation::PutSource("text".into()),
            index,
            record(&a, &image),
        ]
    };
    apply(&mut state, all());
    let whole = state.clone();
    assert_eq!(state.forget_damaged(&structural_hash), [key(1)]);
    assert_eq!(state.get(&structural_hash), None);
    assert_eq!(state.lookup_syntactic(&key(1)), None, "so that the program is compiled again");
    assert!(state.resolve(&a).is_some(), "the name keeps pointing to it");
    assert!(state.has_source(&SourceHash::of_bytes(b"text")), "it is compiled again from its source");
    let holder = Holder { name: a.clone(), version: 1 };
    assert_eq!(state.dangling().images, [(structural_hash, vec![holder])]);
    let set_active = Operation::SetActive { name: a.clone(), version: 1 };
    let error = state.prepare(&commit_of([set_active]), NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // Publishing it again makes no version: the active one is whole again.
    let outcomes = apply(&mut state, all());
    assert_eq!(outcomes[0], Outcome::Image { added: true });
    assert!(matches!(outcomes[3], Outcome::Version { changed: false, version: 1, .. }));
    assert_eq!(state.dangling(), Dangling::default());
    state.replay(whole.revision(), &[]);
    assert_eq!(state.index_entries().len(), 1);
    let source_hash = SourceHash::of_bytes(b"text");
    state.forget_damaged_source(&source_hash);
    assert_eq!(state.source(&source_hash), Lookup::Absent);
    assert_eq!(apply(&mut state, all())[1], Outcome::Source { added: true });
    assert_eq!(state.source(&source_hash).loaded().as_deref(), Some("text"));
}

#[test]
fn references_to_missing_images_are_told() {
    let (a, lost) = (name("a"), image(1, None));
    let mut state = State::new();
    let index = Operation::Index { key: key(1), structural_hash: lost.structural_hash };
    apply(&mut state, [Operation::PutImage(Arc::clone(&lost)), index, record(&a, &lost)]);
    let mut state = State::from_parts(Parts { images: vec![], ..parts_of(&state) });
    let dangling = state.dangling();
    assert_eq!(dangling.index, [IndexEntry { key: key(1), structural_hash: lost.structural_hash }]);
    assert_eq!(dangling.images, [(lost.structural_hash, vec![Holder { name: a, version: 1 }])]);
    assert_eq!(state.forget_damaged(&lost.structural_hash), [key(1)]);
    assert_eq!(state.dangling().index, []);
}

#[test]
fn each_missing_image_is_told_with_all_versions_that_refer_to_it() {
    let (a, b) = (name("a"), name("b"));
    let mut images = [image(1, None), image(2, None), image(3, None)];
    images.sort_by_key(|image| image.structural_hash);
    let [first, kept, second] = &images;
    let mut state = State::new();
    apply(&mut state, images.iter().map(|image| Operation::PutImage(Arc::clone(image))));
    for (name, image) in [(&a, first), (&a, second), (&a, first), (&a, kept), (&b, first)] {
        apply(&mut state, [record(name, image)]);
    }
    let state = State::from_parts(Parts { images: vec![Arc::clone(kept)], ..parts_of(&state) });
    let holder = |name: &PipelineName, version| Holder { name: name.clone(), version };
    let expected = [
        (first.structural_hash, vec![holder(&a, 1), holder(&a, 3), holder(&b, 1)]),
        (second.structural_hash, vec![holder(&a, 2)]),
    ];
    assert_eq!(state.dangling().images, expected);
}

#[test]
fn a_page_shows_the_first_images() {
    let mut state = State::new();
    apply(&mut state, (0..100).map(|number| Operation::PutImage(image(number, None))));
    let options = ListOptions { after: None, limit: Some(3) };
    let page: Vec<_> = state.list_images(&options).map(|summary| summary.structural_hash).collect();
    let expected: Vec<_> = state.images().take(3).map(|image| image.structural_hash).collect();
    assert_eq!(page, expected);
}

#[test]
fn a_commit_is_judged_alike_whether_images_are_loaded_or_not() {
    let a = name("a");
    let (used, unused) = (image(1, Some("one")), image(2, Some("two")));
    let mut state = State::new();
    apply(
        &mut state,
        [
            Operation::PutImage(Arc::clone(&used)),
            Operation::PutSource("one".into()),
            Operation::PutImage(Arc::clone(&unused)),
            Operation::PutSource("two".into()),
            Operation::Index { key: key(2), structural_hash: unused.structural_hash },
            record(&a, &used),
        ],
    );
    let parts = parts_of(&state);
    let mut lazy = State::from_parts(Parts {
        images: vec![],
        summaries: state.images().map(|summary| (summary.structural_hash, Arc::clone(summary))).collect(),
        sources: state
            .sources()
            .map(|(source_hash, source)| (*source_hash, StoredSource::not_loaded(source.bytes)))
            .collect(),
        ..parts
    });
    assert_eq!(lazy.image(&used.structural_hash), Lookup::NotLoaded);
    assert_eq!(lazy.images_not_loaded(None, 10).len(), 2);
    assert_eq!(lazy.sources_not_loaded(None, 10).len(), 2);
    let operations = [
        Operation::PutImage(Arc::clone(&used)),
        Operation::PutSource("one".into()),
        Operation::RemoveImage { structural_hash: unused.structural_hash },
    ];
    let commit = commit_of(operations);
    assert_eq!(lazy.prepare(&commit, NOW).unwrap(), state.prepare(&commit, NOW).unwrap());
    let in_use = commit_of([Operation::RemoveImage { structural_hash: used.structural_hash }]);
    assert_eq!(lazy.prepare(&in_use, NOW).unwrap_err().kind(), ErrorKind::InUse);

    let prepared = lazy.prepare(&commit, NOW).unwrap();
    lazy.apply(prepared);
    let prepared = state.prepare(&commit, NOW).unwrap();
    state.apply(prepared);
    // Read from a file before the image was removed: it must not come back.
    lazy.load_image(Arc::clone(&unused));
    assert_eq!(lazy.image(&unused.structural_hash), Lookup::Absent);
    assert_ne!(lazy, state, "an image that is not loaded is told from one that is");
    // A journal brings an image that is stored elsewhere: it is the one only if all that is known of it fits.
    let mut other = PipelineImage::clone(&used);
    other.metadata.compiler = Some("9.9".into());
    lazy.replay(Revision(0), &[added(&Arc::new(other))]);
    assert_eq!(lazy.image(&used.structural_hash), Lookup::NotLoaded);
    let mut replayed = lazy.clone();
    replayed.replay(Revision(0), &[added(&used)]);
    assert_eq!(replayed.image(&used.structural_hash), Lookup::Loaded(Arc::clone(&used)));
    lazy.load_image(Arc::clone(&used));
    lazy.load_source(SourceHash::of_bytes(b"one"), "one".into());
    assert_eq!(lazy, state);
}
