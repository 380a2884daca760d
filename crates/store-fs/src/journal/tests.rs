//! The segments of a journal on the model of a disk: their lengths and names, and calls that fail.

use std::io;

use super::spare::ZEROS;
use super::*;
use crate::frame::{HEADER_BYTES, start_frame};
use crate::vfs::{Fate, Fault, FaultMode, FaultVfs, ModelVfs};

/// The length of a frame without payload.
const FRAME: u64 = HEADER_BYTES as u64;

const SIZES: SegmentSizes = SegmentSizes { first: 2 * FRAME, max: 4 * FRAME };

fn journal(vfs: impl Vfs, sizes: SegmentSizes, checkpoint: u64) -> Journal {
    let found = read_journal(&vfs, checkpoint).unwrap();
    let store = found.store.unwrap_or(Uuid::from_u128(7));
    Journal::new(Arc::new(vfs), sizes, store, found.epoch + 1, checkpoint, &found)
}

fn directory() -> ModelVfs {
    let vfs = ModelVfs::new();
    vfs.create_directory(JOURNAL).unwrap();
    vfs
}

fn open() -> (ModelVfs, Journal) {
    let vfs = directory();
    (vfs.clone(), journal(vfs, SIZES, 0))
}

/// A journal whose calls may fail.
fn open_failing() -> (ModelVfs, FaultVfs, Journal) {
    let vfs = directory();
    let failing = FaultVfs::new(Arc::new(vfs.clone()));
    (vfs, failing.clone(), journal(failing, SIZES, 0))
}

/// Lets a call fail once, counted from 0 from now on.
fn fail(vfs: &FaultVfs, call: u64, error: io::ErrorKind) {
    vfs.set_fault(Some(Fault { call: vfs.calls() + call, error, mode: FaultMode::Once }));
}

fn sequences(vfs: &ModelVfs, checkpoint: u64) -> Vec<u64> {
    read_journal(vfs, checkpoint).unwrap().frames.into_keys().collect()
}

fn append(journal: &mut Journal, payload: &[u8]) -> Result<(), AppendError> {
    journal.append(&mut [&start_frame(Vec::new()), payload].concat())
}

/// Appends frames, each into a segment of its own.
fn append_alone(journal: &mut Journal, count: usize) {
    for _ in 0..count {
        append(journal, b"").unwrap();
        journal.seal();
    }
}

/// The paths of the segments with their lengths, and how many files have a temporary name.
fn segments(vfs: &ModelVfs) -> (Vec<(String, u64)>, usize) {
    let files = vfs.files();
    let (temporary, named): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(path, _)| path.contains(TEMPORARY_PREFIX));
    (named.into_iter().map(|(path, bytes)| (path, bytes.len() as u64)).collect(), temporary.len())
}

#[test]
fn a_segment_doubles_to_its_greatest_length_and_then_the_next_one_starts() {
    let (vfs, mut journal) = open();
    let mut lengths = Vec::new();
    for count in 1..=5 {
        append(&mut journal, b"").unwrap();
        assert_eq!((journal.sequence(), journal.bytes()), (count, count * FRAME));
        lengths.push(segments(&vfs).0.iter().map(|(_, length)| length / FRAME).collect::<Vec<_>>());
    }
    assert_eq!(lengths, [vec![2], vec![2], vec![4], vec![4], vec![4, 2]]);
    assert_eq!(segments(&vfs).0[1].0, segment_path(1, 5));
    // A frame that is longer than a segment grows gets one that has its length.
    append(&mut journal, &[b'x'; 5 * HEADER_BYTES]).unwrap();
    assert_eq!(segments(&vfs).0[2], (segment_path(1, 6), 6 * FRAME));
    assert_eq!(read_journal(&vfs, 0).unwrap().frames.len(), 6);
}

#[test]
fn what_is_written_in_advance_is_zeros_to_the_last_byte() {
    let vfs = directory();
    let first = 5 * ZEROS / 2;
    let mut journal = journal(vfs.clone(), SegmentSizes { first, max: first }, 0);
    append(&mut journal, b"").unwrap();
    let segment = &vfs.files()[&segment_path(1, 1)];
    assert_eq!(segment.len() as u64, first);
    assert!(segment[HEADER_BYTES..].iter().all(|byte| *byte == 0));
}

#[test]
fn retired_segments_are_written_over_and_no_more_of_them_are_kept_than_that_needs() {
    let (vfs, mut journal) = open();
    append_alone(&mut journal, 5);
    journal.retire(4);
    assert_eq!(segments(&vfs), (vec![(segment_path(1, 5), 2 * FRAME)], MAX_SPARES));
    assert_eq!(journal.bytes(), FRAME);
    append_alone(&mut journal, 2);
    assert_eq!((segments(&vfs).0.len(), segments(&vfs).1), (3, 0));
    assert_eq!(sequences(&vfs, 0), [5, 6, 7]);
    assert!(read_journal(&vfs, 0).unwrap().damaged.is_empty());
    journal.retire(7);
    assert_eq!((journal.bytes(), segments(&vfs)), (0, (vec![], MAX_SPARES)));
    journal.close();
    assert_eq!(segments(&vfs), (vec![], 0));
}

#[test]
fn a_segment_that_is_longer_than_others_grow_is_not_kept() {
    let (vfs, mut journal) = open();
    append(&mut journal, &[b'x'; 3 * HEADER_BYTES]).unwrap();
    append(&mut journal, &[b'x'; 5 * HEADER_BYTES]).unwrap();
    journal.seal();
    journal.retire(2);
    assert_eq!(segments(&vfs), (vec![], 1));
}

#[test]
fn an_opening_settles_what_it_found_above_the_checkpoint() {
    let (vfs, mut first) = open();
    append_alone(&mut first, 3);
    drop(first);
    let mut second = journal(vfs.clone(), SIZES, 1);
    assert!(!second.is_settled());
    assert_eq!((second.epoch(), second.sequence(), second.bytes()), (2, 3, 2 * FRAME));
    // What was found stays until its frames are elsewhere.
    second.take_found_away();
    assert_eq!(sequences(&vfs, 1), [1, 2, 3]);
    second.settle(2).unwrap();
    assert!(second.is_settled());
    assert_eq!(segments(&vfs).0.len(), 4);
    second.take_found_away();
    assert_eq!(segments(&vfs).0, [(segment_path(2, 2), 2 * FRAME)]);
    assert_eq!(second.bytes(), 2 * FRAME);
    // Doing it again does nothing.
    second.settle(2).unwrap();
    second.take_found_away();
    assert_eq!(sequences(&vfs, 1), [2, 3]);
    // A checkpoint takes away what was found and what was written.
    let mut third = journal(vfs.clone(), SIZES, 1);
    third.settle(2).unwrap();
    third.retire(3);
    assert_eq!(segments(&vfs).0, []);
}

#[test]
fn what_an_opening_found_or_settled_is_never_kept_to_be_written_over() {
    let (vfs, mut first) = open();
    append_alone(&mut first, 3);
    drop(first);
    for (checkpoint, is_retired) in [(1, false), (1, true), (3, false), (3, true)] {
        let vfs = vfs.copy();
        let mut second = journal(vfs.clone(), SIZES, checkpoint);
        second.settle(checkpoint + 1).unwrap();
        if !is_retired {
            second.take_found_away();
        }
        second.retire(3);
        assert_eq!(segments(&vfs), (vec![], 0), "{checkpoint} {is_retired}");
    }
}

#[test]
fn a_settling_that_failed_is_tried_again_from_the_start() {
    let (vfs, mut first) = open();
    append_alone(&mut first, 2);
    drop(first);
    let failing = FaultVfs::new(Arc::new(vfs.clone()));
    let mut second = journal(failing.clone(), SIZES, 0);
    // Each call but those that remove the old segments.
    for call in 0..6 {
        fail(&failing, call, io::ErrorKind::Other);
        second.settle(1).unwrap_err();
        assert!(failing.struck() && !second.is_settled(), "call {call}");
        assert_eq!(sequences(&vfs, 0), [1, 2], "call {call}");
    }
    failing.set_fault(None);
    second.settle(1).unwrap();
    second.take_found_away();
    assert_eq!(segments(&vfs), (vec![(segment_path(2, 1), 2 * FRAME)], 0));
    assert_eq!(sequences(&vfs, 0), [1, 2]);
}

#[test]
fn a_segment_that_could_not_be_removed_is_removed_later() {
    let (vfs, failing, mut journal) = open_failing();
    append_alone(&mut journal, 4);
    // The first two are renamed, each with a sync.
    fail(&failing, 4, io::ErrorKind::PermissionDenied);
    journal.retire(4);
    assert!(failing.struck());
    // That after it stays, too, so that there is no gap.
    let left = [3, 4].map(|sequence| (segment_path(1, sequence), 2 * FRAME));
    assert_eq!((journal.bytes(), segments(&vfs)), (0, (left.to_vec(), MAX_SPARES)));
    journal.retire(4);
    assert_eq!(segments(&vfs).0, []);
}

#[test]
fn a_segment_whose_removal_is_not_known_to_be_durable_is_not_written_over() {
    let (vfs, failing, mut journal) = open_failing();
    append_alone(&mut journal, 3);
    fail(&failing, 1, io::ErrorKind::Other);
    journal.retire(3);
    assert!(failing.struck());
    let left = [2, 3].map(|sequence| (segment_path(1, sequence), 2 * FRAME));
    assert_eq!(segments(&vfs), (left.to_vec(), 0));
    journal.retire(3);
    assert_eq!((segments(&vfs).0, sequences(&vfs, 0)), (vec![], vec![]));
}

/// What is left by a crash at any moment since the recording began, whatever becomes of what was not durable.
fn crashes(vfs: &ModelVfs) -> impl Iterator<Item = ModelVfs> {
    vfs.moments().into_iter().flat_map(|moment| {
        let count = moment.pending().len();
        let fate = |subset: usize, place| if subset >> place & 1 == 1 { Fate::Keep } else { Fate::Lose };
        (0..1 << count)
            .map(move |subset| moment.crash(&(0..count).map(|place| fate(subset, place)).collect::<Vec<_>>()))
    })
}

#[test]
fn what_a_crash_brings_back_of_segments_that_were_taken_away_is_the_end_of_the_journal() {
    let check = |vfs: &ModelVfs| {
        for left in crashes(vfs) {
            let found = sequences(&left, 0);
            let end: Vec<_> = found.first().map_or(Vec::new(), |first| (*first..=5).collect());
            assert_eq!(found, end);
        }
    };
    let (vfs, mut first) = open();
    append_alone(&mut first, 5);
    let killed = vfs.copy();
    vfs.record();
    first.retire(5);
    check(&vfs);
    first.close();
    check(&vfs);
    // By an opening, whether or not the JSON files have all of it.
    for checkpoint in [3, 5] {
        let vfs = killed.copy();
        let mut second = journal(vfs.clone(), SIZES, checkpoint);
        vfs.record();
        second.settle(checkpoint + 1).unwrap();
        second.take_found_away();
        check(&vfs);
    }
}

#[test]
fn a_segment_that_cannot_be_extended_keeps_its_frames_and_gets_no_more() {
    for call in 0..2 {
        let (vfs, failing, mut journal) = open_failing();
        append(&mut journal, b"").unwrap();
        append(&mut journal, b"").unwrap();
        fail(&failing, call, io::ErrorKind::StorageFull);
        assert!(matches!(append(&mut journal, b""), Err(AppendError::NothingChanged(_))), "call {call}");
        append(&mut journal, b"").unwrap();
        assert_eq!((journal.bytes(), sequences(&vfs, 0)), (3 * FRAME, vec![1, 2, 3]));
        journal.retire(2);
        assert_eq!(segments(&vfs).0, [(segment_path(1, 3), 2 * FRAME)]);
    }
}

#[test]
fn a_segment_that_got_no_frame_leaves_its_name_to_the_next_one() {
    let (vfs, failing, mut journal) = open_failing();
    // The frame has no room, and then the zeros have none in the place of what was cut off.
    for call in [5, 0] {
        fail(&failing, call, io::ErrorKind::StorageFull);
        assert!(matches!(append(&mut journal, b""), Err(AppendError::NothingChanged(_))), "call {call}");
        journal.seal();
    }
    append(&mut journal, b"").unwrap();
    journal.retire(0);
    assert_eq!((segments(&vfs).0.len(), sequences(&vfs, 0)), (1, vec![1]));

    let (vfs, failing, mut journal) = open_failing();
    fail(&failing, 5, io::ErrorKind::StorageFull);
    assert!(matches!(append(&mut journal, b""), Err(AppendError::NothingChanged(_))));
    journal.seal();
    append(&mut journal, b"").unwrap();
    journal.retire(0);
    assert_eq!(sequences(&vfs, 0), [1]);
}

#[test]
fn a_write_that_fails_for_another_reason_than_room_leaves_the_outcome_unknown() {
    for (error, is_known) in [(io::ErrorKind::StorageFull, true), (io::ErrorKind::Other, false)] {
        let (_, failing, mut journal) = open_failing();
        append(&mut journal, b"").unwrap();
        fail(&failing, 0, error);
        let known = matches!(append(&mut journal, b""), Err(AppendError::NothingChanged(_)));
        assert_eq!(known, is_known, "{error}");
    }
}

#[test]
fn a_segment_has_the_room_for_its_first_frame_before_it_has_its_name() {
    let (vfs, failing, mut journal) = open_failing();
    fail(&failing, 4, io::ErrorKind::Other);
    assert!(matches!(append(&mut journal, b""), Err(AppendError::OutcomeUnknown(_))));
    assert_eq!(segments(&vfs), (vec![(segment_path(1, 1), 2 * FRAME)], 0));

    // A retired one that has just this room is not extended.
    let (vfs, mut journal) = open();
    for sequence in 1..3 {
        append(&mut journal, &[b'x'; HEADER_BYTES]).unwrap();
        journal.seal();
        assert_eq!(segments(&vfs).0, [(segment_path(1, sequence), 2 * FRAME)]);
        journal.retire(sequence);
    }
}

/// Makes the next segment, as another thread does.
fn make_spare(journal: &mut Journal) -> bool {
    let planned = journal.plan_spare();
    planned.map(|spare| journal.take_in(spare.write())).is_some()
}

#[test]
fn the_next_segment_is_made_when_half_of_the_last_one_is_used_and_not_twice() {
    let (vfs, mut journal) = open();
    assert!(!make_spare(&mut journal), "nothing was written");
    append(&mut journal, b"").unwrap();
    assert!(!make_spare(&mut journal), "a half is left");
    append(&mut journal, b"").unwrap();
    let spare = journal.plan_spare().unwrap();
    assert!(journal.plan_spare().is_none(), "one is being made");
    journal.take_in(spare.write());
    assert!(!make_spare(&mut journal), "one is there");
    append(&mut journal, b"").unwrap();
    let followed = [(segment_path(1, 1), 2 * FRAME), (segment_path(1, 3), 4 * FRAME)];
    assert_eq!(segments(&vfs), (followed.to_vec(), 0));
    assert_eq!(journal.bytes(), 3 * FRAME);
    // After a checkpoint began, of the same length.
    journal.seal();
    assert!(make_spare(&mut journal));
    append(&mut journal, b"").unwrap();
    assert_eq!(segments(&vfs).0[2], (segment_path(1, 4), 4 * FRAME));
    journal.retire(4);
    assert_eq!(segments(&vfs).0.len(), 1);
    assert_eq!(sequences(&vfs, 0), [4]);
}

#[test]
fn a_frame_for_which_the_next_segment_is_too_short_goes_behind_the_last_one() {
    let (vfs, mut journal) = open();
    for _ in 0..2 {
        append(&mut journal, b"").unwrap();
    }
    assert!(make_spare(&mut journal));
    append(&mut journal, &[b'x'; 4 * HEADER_BYTES]).unwrap();
    append(&mut journal, b"").unwrap();
    assert_eq!(sequences(&vfs, 0), [1, 2, 3, 4]);
    assert_eq!(journal.bytes(), 8 * FRAME);
}

#[test]
fn a_segment_that_is_being_made_counts_as_one_to_be_written_over() {
    let (vfs, mut journal) = open();
    append_alone(&mut journal, 4);
    let spare = journal.plan_spare().unwrap();
    journal.retire(4);
    journal.take_in(spare.write());
    assert_eq!(segments(&vfs), (vec![], MAX_SPARES));
    journal.close();
    assert_eq!(segments(&vfs), (vec![], 0));
}

#[test]
fn a_segment_that_cannot_be_made_is_tried_again_with_the_next_one_and_commits_go_on() {
    for call in 0..3 {
        let (vfs, failing, mut journal) = open_failing();
        for _ in 0..2 {
            append(&mut journal, b"").unwrap();
        }
        fail(&failing, call, io::ErrorKind::StorageFull);
        assert!(make_spare(&mut journal) && failing.struck(), "call {call}");
        assert!(!make_spare(&mut journal), "call {call}");
        assert_eq!(segments(&vfs), (vec![(segment_path(1, 1), 2 * FRAME)], 0), "call {call}");
        for _ in 0..3 {
            append(&mut journal, b"").unwrap();
        }
        assert_eq!((segments(&vfs).0.len(), sequences(&vfs, 0)), (2, vec![1, 2, 3, 4, 5]));
        append(&mut journal, b"").unwrap();
        assert!(make_spare(&mut journal), "call {call}");
    }
}
