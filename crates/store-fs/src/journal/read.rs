//! What recovery finds in the segments of the journal.

use std::collections::BTreeMap;

use constellation_store_core::{ErrorKind, StoreError};
use uuid::Uuid;

use crate::error::FileError;
use crate::frame::{FRAME_FORMAT, Hole, scan};
use crate::layout::{JOURNAL, MAX_COUNT, parse_segment_name, segment_path};
use crate::seeded::{self, SeededBug};
use crate::vfs::Vfs;

/// The longest segment that is read. What is written is bounded by the backlog, which is far below.
pub(crate) const MAX_SEGMENT_BYTES: u64 = 2 << 30;
const OPERATION: &str = "read journal";
/// How often a segment is read again that looks damaged each time in another place, and
/// the journal when one of its segments is gone.
const READ_ATTEMPTS: usize = 10;

/// A segment with damage.
#[derive(Debug)]
pub(crate) struct DamagedSegment {
    pub(crate) path: String,
    pub(crate) reason: String,
    /// Whether there are frames in it that were read.
    pub(crate) is_readable: bool,
}

/// What the segments of a directory hold.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Payloads by sequence number.
    pub(crate) frames: BTreeMap<u64, Vec<u8>>,
    /// The store that they are of.
    pub(crate) store: Option<Uuid>,
    /// The greatest epoch in a frame or in the name of a segment.
    pub(crate) epoch: u64,
    /// The paths of all segments.
    pub(super) segments: Vec<String>,
    pub(crate) damaged: Vec<DamagedSegment>,
}

/// Reads all segments. Frames up to `checkpoint` are in the JSON files, so that segments may be missing there.
///
/// Whoever writes while this only reads takes segments away: an opening when it has written their frames down again,
/// a checkpoint when the files have them, and what was taken away is written over under another name. So the names
/// are listed again at the end. If they were there all the time, what was read is what they had; otherwise it starts
/// again, since the frames may be in a segment that is new.
///
/// # Errors
///
/// `UnsupportedFormat` when a later version wrote a frame; `Corrupt` when frames are of two stores; those of
/// reading.
pub(crate) fn read_journal(vfs: &dyn Vfs, checkpoint: u64) -> Result<Found, StoreError> {
    for _ in 0..READ_ATTEMPTS {
        let names = list_segments(vfs)?;
        if let Some(found) = read_listed(vfs, &names, checkpoint)?
            && (seeded::is_on(SeededBug::JournalReadOnce) || are_current(&names, &list_segments(vfs)?))
        {
            return Ok(found);
        }
    }
    let message = "its segments are taken away faster than they can be read; try again";
    Err(StoreError::new(ErrorKind::Unavailable, OPERATION, message).with("store", vfs))
}

/// The epoch and the first number of a segment, which are its name.
type SegmentName = (u64, u64);

/// The names of the segments that are there now, in the order of writing.
fn list_segments(vfs: &dyn Vfs) -> Result<Vec<SegmentName>, StoreError> {
    let mut names: Vec<_> = match vfs.list(JOURNAL).map_err(FileError::at("list", JOURNAL)) {
        Ok(entries) => entries.into_iter().filter_map(|entry| parse_segment_name(&entry.name)).collect(),
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => return Err(error.into_store_error(OPERATION)),
    };
    names.sort_unstable();
    Ok(names)
}

/// Whether nothing was taken away of what was listed, and no opening came that writes frames down anew. Segments that
/// the same opening added have commits that came later; one between those that were listed came while they were, and was
/// missed.
fn are_current(names: &[SegmentName], again: &[SegmentName]) -> bool {
    let epoch = |names: &[SegmentName]| names.last().map(|(epoch, _)| *epoch);
    let is_missed = |name| {
        names.last().is_some_and(|last| name < last) && !seeded::is_on(SeededBug::MissedSegmentsBelieved)
    };
    let is_known = |name| names.binary_search(name).is_ok();
    epoch(names) == epoch(again)
        && names.iter().all(|name| again.binary_search(name).is_ok())
        && again.iter().all(|name| is_known(name) || !is_missed(name))
}

/// Reads segments; none when one of them is gone before it is read.
fn read_listed(vfs: &dyn Vfs, names: &[SegmentName], checkpoint: u64) -> Result<Option<Found>, StoreError> {
    let mut found = Found::default();
    // The epoch, the path and the last number of the segment before.
    let mut before: Option<(u64, String, u64)> = None;
    for &(epoch, first_sequence) in names {
        let path = segment_path(epoch, first_sequence);
        found.epoch = found.epoch.max(epoch);
        let bytes = match read_segment(vfs, &path, epoch, first_sequence) {
            Ok(bytes) => bytes,
            Err(error) if error.is_unusable() => {
                found.damaged.push(DamagedSegment { path, reason: error.to_string(), is_readable: false });
                continue;
            }
            Err(error) if error.is_not_found() && seeded::is_on(SeededBug::JournalReadOnce) => {
                continue;
            }
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into_store_error(OPERATION)),
        };
        found.segments.push(path.clone());
        let scan = scan(&bytes, epoch, first_sequence);
        // A segment is started when everything before it is durable.
        let end = first_sequence.saturating_sub(1);
        if let Some((before_epoch, path, last)) = before.take()
            && before_epoch == epoch
            && last < end
            && checkpoint < end
            && !seeded::is_on(SeededBug::LostEndNotTold)
        {
            let reason = "its last frames are damaged, but the next segment goes on after them".to_owned();
            found.damaged.push(DamagedSegment { path, reason, is_readable: true });
        }
        before = Some((epoch, path.clone(), scan.frames.last().map_or(end, |frame| frame.sequence)));
        // A later opening wrote down again what it found, so what an earlier one has beyond was not found.
        if let Some(first) = scan.frames.first()
            && found.frames.last_key_value().is_some_and(|(&last, _)| last >= first.sequence)
        {
            found.frames.split_off(&first.sequence);
        }
        // Up to the checkpoint nothing is lost.
        for Hole { bytes, .. } in scan.holes.iter().filter(|hole| hole.next_sequence > checkpoint + 1) {
            let reason =
                format!("bytes {} to {} are damaged, and valid frames follow", bytes.start, bytes.end);
            found.damaged.push(DamagedSegment { path: path.clone(), reason, is_readable: true });
        }
        for frame in scan.frames {
            if frame.format != FRAME_FORMAT {
                let message =
                    format!("a frame has format {}, this version reads {FRAME_FORMAT}", frame.format);
                return Err(
                    StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, message).with("path", &path)
                );
            }
            if frame.sequence == 0 || frame.sequence.max(frame.epoch) > MAX_COUNT {
                let message = "the number of a frame is out of range; no version writes such";
                return Err(
                    StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, message).with("path", &path)
                );
            }
            if *found.store.get_or_insert(frame.store) != frame.store {
                let message = "its frames are of two stores; move those that do not belong here away";
                return Err(StoreError::new(ErrorKind::Corrupt, OPERATION, message).with("path", &path));
            }
            found.epoch = found.epoch.max(frame.epoch);
            found.frames.insert(frame.sequence, frame.payload.to_vec());
        }
    }
    Ok(Some(found))
}

/// The bytes of a segment.
///
/// Whoever writes to it meanwhile writes within its length, so one reading may have the place of a frame as it was
/// before, and the next frame as it is. Damage is what is still there when it is read again.
fn read_segment(vfs: &dyn Vfs, path: &str, epoch: u64, first_sequence: u64) -> Result<Vec<u8>, FileError> {
    let read = || vfs.read(path, MAX_SEGMENT_BYTES).map_err(FileError::at("read", path));
    let mut bytes = read()?;
    for _ in 0..READ_ATTEMPTS {
        let holes = scan(&bytes, epoch, first_sequence).holes;
        if holes.is_empty() {
            break;
        }
        bytes = read()?;
        if scan(&bytes, epoch, first_sequence).holes == holes {
            break;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;
    use crate::frame::{HEADER_BYTES, encode_frame};
    use crate::vfs::{Fault, FaultMode, FaultVfs, ModelVfs};

    const STORE: Uuid = Uuid::from_u128(7);

    /// A journal of segments: the epoch of each, and the numbers of its frames, the first of which is in its name.
    fn journal(segments: &[(u64, &[u64])]) -> ModelVfs {
        let vfs = ModelVfs::new();
        for (epoch, sequences) in segments {
            let frame =
                |sequence: &u64| encode_frame(STORE, *epoch, *sequence, format!("{epoch}").as_bytes());
            vfs.put(
                &segment_path(*epoch, sequences[0]),
                sequences.iter().flat_map(frame).collect::<Vec<_>>(),
            );
        }
        vfs
    }

    /// The numbers of the frames, each with the epoch that it was taken from.
    fn frames(found: &Found) -> Vec<(u64, &str)> {
        let text = |payload| std::str::from_utf8(payload).unwrap();
        found.frames.iter().map(|(sequence, payload)| (*sequence, text(payload.as_slice()))).collect()
    }

    #[test]
    fn the_frames_of_all_segments_are_found() {
        let vfs = journal(&[(1, &[1, 2]), (1, &[3]), (4, &[4, 6])]);
        let found = read_journal(&vfs, 0).unwrap();
        assert_eq!(frames(&found), [(1, "1"), (2, "1"), (3, "1"), (4, "4"), (6, "4")]);
        assert_eq!((found.store, found.epoch), (Some(STORE), 4));
        assert_eq!(found.segments, [segment_path(1, 1), segment_path(1, 3), segment_path(4, 4)]);
        assert!(found.damaged.is_empty());
        let nothing = read_journal(&ModelVfs::new(), 0).unwrap();
        assert_eq!((nothing.frames.len(), nothing.store, nothing.epoch), (0, None, 0));
    }

    #[test]
    fn a_segment_that_lost_its_end_is_told_unless_the_json_files_have_it() {
        let damaged = |segments: &[(u64, &[u64])], checkpoint| -> Vec<String> {
            let found = read_journal(&journal(segments), checkpoint).unwrap();
            found.damaged.into_iter().map(|segment| segment.path).collect()
        };
        for checkpoint in 0..3 {
            assert_eq!(damaged(&[(1, &[1, 2]), (1, &[4])], checkpoint), [segment_path(1, 1)]);
        }
        assert_eq!(damaged(&[(1, &[1, 2]), (1, &[4])], 3), [""; 0]);
        assert_eq!(damaged(&[(1, &[1, 2, 3]), (1, &[4])], 0), [""; 0]);
        // The next opening goes on where it found the end.
        assert_eq!(damaged(&[(1, &[1, 2]), (2, &[4])], 0), [""; 0]);
    }

    #[test]
    fn a_damaged_frame_is_told_unless_the_json_files_have_it() {
        let damaged = |hurt: usize, checkpoint| {
            let vfs = journal(&[(1, &[1, 2, 3])]);
            let path = segment_path(1, 1);
            let mut bytes = vfs.files()[&path].clone();
            let length = bytes.len() / 3;
            bytes[hurt * length] ^= 1;
            vfs.put(&path, bytes);
            !read_journal(&vfs, checkpoint).unwrap().damaged.is_empty()
        };
        let told = |hurt| (0..4).map(|checkpoint| damaged(hurt, checkpoint)).collect::<Vec<_>>();
        assert_eq!(told(0), [true, false, false, false]);
        assert_eq!(told(1), [true, true, false, false]);
        // The last one cannot be told from a torn one.
        assert_eq!(told(2), [false; 4]);
    }

    /// As a copy has it of a segment of which a part cannot be read.
    #[test]
    fn a_sector_of_zeros_costs_the_frames_that_it_hits_and_is_told_where_others_follow() {
        const SECTOR: usize = 512;
        const FRAME: usize = 300;
        let payload = [b'x'; FRAME - HEADER_BYTES];
        let bytes: Vec<u8> =
            (1..=6).flat_map(|sequence| encode_frame(STORE, 1, sequence, &payload)).collect();
        let left = |sector: usize| {
            let mut bytes = bytes.clone();
            bytes.resize(4 * SECTOR, 0);
            bytes[sector * SECTOR..][..SECTOR].fill(0);
            let vfs = ModelVfs::new();
            vfs.put(&segment_path(1, 1), bytes);
            let found = read_journal(&vfs, 0).unwrap();
            (found.frames.into_keys().collect::<Vec<_>>(), !found.damaged.is_empty())
        };
        assert_eq!(left(0), (vec![3, 4, 5, 6], true));
        assert_eq!(left(1), (vec![1, 5, 6], true));
        assert_eq!(left(2), (vec![1, 2, 3], false));
        assert_eq!(left(3), (vec![1, 2, 3, 4, 5], false));
    }

    #[test]
    fn a_segment_that_is_no_file_is_damage_and_where_one_is_gone_the_directory_is_listed_again() {
        let read = |error| {
            let vfs = FaultVfs::new(Arc::new(journal(&[(1, &[1]), (2, &[2])])));
            // After the directory was listed.
            vfs.set_fault(Some(Fault { call: 1, error, mode: FaultMode::Once }));
            read_journal(&vfs, 0).map(|found| (found.frames.into_keys().collect(), found.damaged.len()))
        };
        assert_eq!(read(io::ErrorKind::InvalidInput).unwrap(), (vec![2], 1));
        assert_eq!(read(io::ErrorKind::NotFound).unwrap(), (vec![1, 2], 0));
        assert_eq!(read(io::ErrorKind::Other).unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn what_a_writer_takes_away_or_makes_anew_while_the_journal_is_read_lets_it_be_read_again() {
        let frame = |sequence| encode_frame(STORE, 1, sequence, b"1");
        let settled = (segment_path(2, 9), encode_frame(STORE, 2, 9, b"2"));
        for (what, before, after) in [
            // Its file was opened under the old name, and has the frames of the new one when it is read.
            (
                "a segment that was retired and written over",
                vec![(segment_path(1, 1), frame(9))],
                vec![(segment_path(1, 7), [frame(7), frame(8)].concat()), (segment_path(1, 9), frame(9))],
            ),
            ("a segment that an opening made while the directory was listed", vec![], vec![settled.clone()]),
            (
                "the same, and an old one that it did not remove yet",
                vec![(segment_path(1, 1), frame(1))],
                vec![(segment_path(1, 1), frame(1)), settled],
            ),
        ] {
            let vfs = ModelVfs::new();
            vfs.create_directory(JOURNAL).unwrap();
            for (path, bytes) in &before {
                vfs.put(path, bytes.clone());
            }
            let faults = FaultVfs::new(Arc::new(vfs.clone()));
            // After the directory was listed and the segments were read.
            let (writer, expected) = (vfs.clone(), after.clone());
            let calls = 1 + before.len() as u64;
            faults.interrupt(calls, move || {
                for (path, _) in before {
                    writer.discard(&path);
                }
                for (path, bytes) in after {
                    writer.put(&path, bytes);
                }
            });
            let found = read_journal(&faults, 0).unwrap();
            let paths: Vec<_> = expected.into_iter().map(|(path, _)| path).collect();
            assert_eq!(found.segments, paths, "{what}");
            assert_eq!(found.frames.keys().next_back(), Some(&9), "{what}");
            assert!(found.damaged.is_empty(), "{what}");
        }
    }

    #[test]
    fn segments_that_a_writer_adds_while_the_journal_is_read_are_of_later() {
        let vfs = journal(&[(1, &[1])]);
        let faults = FaultVfs::new(Arc::new(vfs.clone()));
        faults.interrupt(2, move || vfs.put(&segment_path(1, 2), encode_frame(STORE, 1, 2, b"1")));
        assert_eq!(frames(&read_journal(&faults, 0).unwrap()), [(1, "1")]);
        assert_eq!(faults.calls(), 3);
    }

    #[test]
    fn a_segment_that_a_listing_missed_is_read_all_the_same() {
        let vfs = journal(&[(1, &[1]), (1, &[3])]);
        let faults = FaultVfs::new(Arc::new(vfs.clone()));
        faults.interrupt(1, move || vfs.put(&segment_path(1, 2), encode_frame(STORE, 1, 2, b"1")));
        let found = read_journal(&faults, 0).unwrap();
        assert_eq!(found.frames.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
        assert!(found.damaged.is_empty());
    }

    #[test]
    fn what_a_later_opening_did_not_find_is_not_taken() {
        let found = read_journal(&journal(&[(1, &[1, 2, 3]), (2, &[2])]), 0).unwrap();
        assert_eq!(frames(&found), [(1, "1"), (2, "2")]);
        let found = read_journal(&journal(&[(1, &[1, 2, 3]), (2, &[3, 4])]), 0).unwrap();
        assert_eq!(frames(&found), [(1, "1"), (2, "1"), (3, "2"), (4, "2")]);
        let found = read_journal(&journal(&[(1, &[1, 2]), (2, &[3])]), 0).unwrap();
        assert_eq!(frames(&found), [(1, "1"), (2, "1"), (3, "2")]);
    }

    #[test]
    fn a_number_of_a_frame_that_no_version_writes_is_refused() {
        assert!(read_journal(&journal(&[(MAX_COUNT, &[MAX_COUNT])]), 0).is_ok());
        for sequences in [&[0][..], &[1, MAX_COUNT + 1]] {
            let error = read_journal(&journal(&[(1, sequences)]), 0).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedFormat, "{sequences:?}");
        }
    }

    #[test]
    fn frames_of_two_stores_are_refused() {
        let vfs = journal(&[(1, &[1])]);
        vfs.put(&segment_path(1, 2), encode_frame(Uuid::from_u128(8), 1, 2, b""));
        assert_eq!(read_journal(&vfs, 0).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
