//! The journal: what makes a commit durable, and where recovery finds it.

mod read;
mod spare;

use std::sync::Arc;

use uuid::Uuid;

pub(crate) use self::read::{Found, MAX_SEGMENT_BYTES, read_journal};
use self::spare::Written;
pub(crate) use self::spare::{NewSpare, Spare};
use crate::error::FileError;
use crate::frame::{encode_frame, finish_frame};
use crate::layout::{JOURNAL, TEMPORARY_PREFIX, segment_path};
use crate::seeded::{self, SeededBug};
use crate::vfs::Vfs;

/// How many retired segments are kept to be written over.
const MAX_SPARES: usize = 2;

/// Why a frame was not appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// Nothing changed, and the next append tries again.
    NothingChanged(FileError),
    /// The frame may or may not be durable. Nothing may be appended any more.
    OutcomeUnknown(FileError),
}

/// How many bytes are written in advance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentSizes {
    /// The length of a new segment, of which each longer one is a multiple. Not zero.
    pub(crate) first: u64,
    /// Up to where a segment grows, by doubling. A single frame may take more.
    pub(crate) max: u64,
}

/// The writing end.
///
/// A segment is written with zeros, and synced, before its first frame, and so is each part by which it grows.
/// Then a frame changes nothing but the content of blocks that the file has, and its sync writes no metadata. A
/// segment that is retired is written over, which saves the zeros: its old frames have smaller numbers than those
/// that it gets, and so are told from them. Where none is left, another thread may make the next one meanwhile.
#[derive(Debug)]
pub(crate) struct Journal {
    vfs: Arc<dyn Vfs>,
    sizes: SegmentSizes,
    store: Uuid,
    epoch: u64,
    /// The number of the last frame.
    sequence: u64,
    /// Segments that take no more frames.
    sealed: Vec<Sealed>,
    active: Option<Active>,
    /// Retired segments of this opening, under temporary names: those of earlier ones are swept.
    spares: Vec<Spare>,
    n_spares_made: u64,
    making: Making,
    /// Whether a segment was taken away since `journal/` was synced.
    is_removal_pending: bool,
    /// A segment with the frames of earlier openings, while it is not durable.
    unsettled: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Sealed {
    path: String,
    last_sequence: u64,
    bytes: u64,
    /// None when it must not be written over.
    written: Option<Written>,
}

#[derive(Debug)]
struct Active {
    path: String,
    written: Written,
    /// How many of them are frames.
    bytes: u64,
}

/// Whether a segment is being made by another thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Making {
    Nothing,
    UnderWay,
    /// Not again until the next one is started: on a full disk it would take the room that others need.
    Failed,
}

impl SegmentSizes {
    /// The length to which a segment grows that must have `needed` bytes.
    fn grown(self, length: u64, needed: u64) -> u64 {
        let doubled = length.saturating_mul(2).min(self.max);
        needed.next_multiple_of(self.first).max(doubled)
    }
}

impl Journal {
    /// The journal of an opening, which goes on after what was found. Frames up to `checkpoint` are in the JSON
    /// files. Writes nothing.
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        sizes: SegmentSizes,
        store: Uuid,
        epoch: u64,
        checkpoint: u64,
        found: &Found,
    ) -> Self {
        let live: Vec<_> = found.frames.range(checkpoint + 1..).collect();
        let sequence = live.last().map_or(checkpoint, |(sequence, _)| **sequence);
        let mut bytes = Vec::new();
        for (sequence, payload) in &live {
            bytes.extend(encode_frame(store, epoch, **sequence, payload));
        }
        // A crash may have left one file under two names, so none of them is ever written over.
        let written = |path: &str| {
            if !seeded::is_on(SeededBug::FoundSegmentsKept) {
                return None;
            }
            Some(Written { file: vfs.open(path).ok()?, length: vfs.length(path).ok()? })
        };
        let sealed = found.segments.iter().map(|path| Sealed {
            path: path.clone(),
            last_sequence: sequence,
            bytes: 0,
            written: written(path),
        });
        let sealed = sealed.collect();
        let unsettled = (!live.is_empty()).then_some(bytes);
        Self {
            vfs,
            sizes,
            store,
            epoch,
            sequence,
            sealed,
            active: None,
            spares: Vec::new(),
            n_spares_made: 0,
            making: Making::Nothing,
            is_removal_pending: false,
            unsettled,
        }
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many bytes of frames there are.
    pub(crate) fn bytes(&self) -> u64 {
        let unsettled = self.unsettled.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let active = self.active.as_ref().map_or(0, |active| active.bytes);
        self.sealed.iter().map(|segment| segment.bytes).sum::<u64>() + unsettled + active
    }

    /// Whether there are segments that take no more frames: after an opening, those that it found.
    pub(crate) fn has_segments(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Whether the frames of earlier openings are durable.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled.is_none()
    }

    /// Writes the frames that were found down again. Removes nothing: see [`Journal::take_found_away`].
    ///
    /// What an earlier opening wrote can be read, but whether it is durable is unknown: its sync may have failed,
    /// or the process ended before it. After a failed sync a system may forget that something was not written, so
    /// that syncing again proves nothing; new bytes in a new file do. Can be repeated until it succeeds.
    pub(crate) fn settle(&mut self, first_sequence: u64) -> Result<(), FileError> {
        if seeded::is_on(SeededBug::SettleSkipped) {
            return Ok(());
        }
        if seeded::is_on(SeededBug::OldSegmentsRemovedFirst) {
            let old = std::mem::take(&mut self.sealed);
            self.take_away(old);
        }
        if let Some(bytes) = &self.unsettled {
            let path = segment_path(self.epoch, first_sequence);
            let temporary = format!("{JOURNAL}/{TEMPORARY_PREFIX}settled");
            match self.vfs.remove(&temporary).map_err(FileError::at("remove", &temporary)) {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
            let mut file = self.vfs.create(&temporary).map_err(FileError::at("create", &temporary))?;
            file.write_all_at(0, bytes).map_err(FileError::at("write", &temporary))?;
            file.sync().map_err(FileError::at("sync", &temporary))?;
            self.vfs.rename(&temporary, &path).map_err(FileError::at("rename", &temporary))?;
            self.vfs.sync_directory(JOURNAL).map_err(FileError::at("sync", JOURNAL))?;
            let settled =
                Sealed { path, last_sequence: self.sequence, bytes: bytes.len() as u64, written: None };
            self.unsettled = None;
            self.sealed.push(settled);
        }
        Ok(())
    }

    /// Takes away the segments that were found, if their frames are written down again. The `store.json` that has the
    /// others must be durable.
    pub(crate) fn take_found_away(&mut self) {
        if !self.is_settled() {
            return;
        }
        let (found, kept) =
            std::mem::take(&mut self.sealed).into_iter().partition(|segment| segment.bytes == 0);
        self.sealed = kept;
        self.take_away(found);
    }

    /// Takes away segments that are not needed, the oldest first, and each durably before the next one.
    ///
    /// So what a crash brings back of them is the end of the journal, without a gap. Applied again, to files that
    /// have all of it, that changes nothing; a part from the middle would, when `store.json` is lost, too. The last
    /// one needs no sync of its own: before the next one is taken away, by another checkpoint, comes that of a segment
    /// that is started, or else one here.
    ///
    /// One that stays does no harm; it is tried again later, and so are those after it.
    fn take_away(&mut self, mut segments: Vec<Sealed>) {
        if seeded::is_on(SeededBug::LastRemovalNotSynced) {
            self.is_removal_pending = false;
        }
        let mut n_taken = 0;
        for segment in &mut segments {
            let taken = self.sync_taken().and_then(|()| self.take_one_away(segment));
            if let Err(error) = taken {
                tracing::warn!(%error, "a journal segment that is not needed any more stays for now");
                break;
            }
            self.is_removal_pending = !seeded::is_on(SeededBug::SegmentsRemovedTogether);
            n_taken += 1;
        }
        segments.drain(..n_taken);
        for segment in &mut segments {
            segment.bytes = 0;
        }
        self.sealed.splice(..0, segments);
    }

    fn take_one_away(&mut self, segment: &mut Sealed) -> Result<(), FileError> {
        let n_spares = self.spares.len() + usize::from(self.making == Making::UnderWay);
        let has_room = n_spares < MAX_SPARES;
        let is_kept = |written: &mut Written| has_room && written.length <= self.sizes.max;
        if let Some(written) = segment.written.take_if(is_kept) {
            // Under its old name a segment with some of the old frames would be read when `store.json` is lost.
            let path = self.spare_path();
            if self.vfs.rename(&segment.path, &path).is_ok() {
                self.spares.push(Spare { path, written });
                return Ok(());
            }
        }
        match self.vfs.remove(&segment.path).map_err(FileError::at("remove", &segment.path)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes durable that a segment was taken away.
    ///
    /// If it fails, old names may be the durable ones, whatever is synced later: nothing is written over then.
    fn sync_taken(&mut self) -> Result<(), FileError> {
        if !self.is_removal_pending {
            return Ok(());
        }
        let synced = self.vfs.sync_directory(JOURNAL).map_err(FileError::at("sync", JOURNAL));
        match &synced {
            Ok(()) => self.is_removal_pending = false,
            Err(_) => self.remove_spares(),
        }
        synced
    }

    /// Appends a frame that was started and has its payload, and makes it durable.
    pub(crate) fn append(&mut self, frame: &mut [u8]) -> Result<(), AppendError> {
        use AppendError::{NothingChanged, OutcomeUnknown};
        let sequence = self.sequence + 1;
        finish_frame(frame, self.store, self.epoch, sequence);
        let length = frame.len() as u64;
        if let Some(active) = &self.active {
            let is_followed = self.is_followed(active, length);
            if is_followed && seeded::is_on(SeededBug::FollowedSegmentForgotten) {
                self.active = None;
            } else if is_followed || active.bytes + length > self.sizes.max {
                self.seal();
            }
        }
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.start_segment(sequence, length)?,
        };
        let needed = active.bytes + length;
        if needed > active.written.length
            && let Err(error) = active.written.extend(self.sizes.grown(active.written.length, needed))
        {
            let error = FileError::new("extend", &active.path, error);
            self.give_up(active);
            return Err(NothingChanged(error));
        }
        if let Err(error) = active.written.file.write_all_at(active.bytes, frame) {
            let error = FileError::new("write", &active.path, error);
            // A part of a frame is no frame. It is cut off all the same, durably, so that nothing is left of what
            // was refused.
            let cut = active.written.file.set_length(active.bytes).and_then(|()| active.written.file.sync());
            return match cut {
                Ok(()) if error.is_full() => {
                    active.written.length = active.bytes;
                    self.active = Some(active);
                    Err(NothingChanged(error))
                }
                _ => Err(OutcomeUnknown(error)),
            };
        }
        let synced = active.written.file.sync();
        let synced = if seeded::is_on(SeededBug::FailedSyncAcknowledged) { Ok(()) } else { synced };
        synced.map_err(|error| OutcomeUnknown(FileError::new("sync", &active.path, error)))?;
        active.bytes = needed;
        self.sequence = sequence;
        self.active = Some(active);
        Ok(())
    }

    /// Whether a segment is used up, and one that has the room is at hand, which saves the zeros.
    fn is_followed(&self, active: &Active, needed: u64) -> bool {
        let has_room = |spare: &Spare| spare.written.length >= needed;
        active.bytes + needed > active.written.length && self.spares.last().is_some_and(has_room)
    }

    /// Writes no more to a segment that could not be extended: whether a later sync means anything is unknown
    /// after one that failed. The frames in it are durable.
    fn give_up(&mut self, active: Active) {
        let Active { path, written: _, bytes } = active;
        if bytes > 0 || seeded::is_on(SeededBug::EmptySegmentGivenUp) {
            self.sealed.push(Sealed { path, last_sequence: self.sequence, bytes, written: None });
        } else {
            // If it stays, the next one takes its place, under this name: it must not be among those to be retired.
            let _ = self.vfs.remove(&path);
        }
    }

    fn start_segment(&mut self, sequence: u64, needed: u64) -> Result<Active, AppendError> {
        use AppendError::{NothingChanged, OutcomeUnknown};
        let Spare { path: temporary, written } = self.take_spare(needed).map_err(NothingChanged)?;
        let path = segment_path(self.epoch, sequence);
        if let Err(error) = self.vfs.rename(&temporary, &path) {
            let _ = self.vfs.remove(&temporary);
            return Err(NothingChanged(FileError::new("rename", &temporary, error)));
        }
        // Before its first frame: a durable frame in a file without a durable entry is lost. And before the old
        // frames of a spare are written over: its old name may still be the durable one.
        self.vfs
            .sync_directory(JOURNAL)
            .map_err(|error| OutcomeUnknown(FileError::new("sync", JOURNAL, error)))?;
        self.is_removal_pending = false;
        if self.making == Making::Failed {
            self.making = Making::Nothing;
        }
        Ok(Active { path, written, bytes: 0 })
    }

    /// A file of at least `needed` bytes that were written and synced.
    fn take_spare(&mut self, needed: u64) -> Result<Spare, FileError> {
        match self.spares.pop() {
            None => {
                let path = self.spare_path();
                NewSpare { vfs: Arc::clone(&self.vfs), path, length: self.sizes.grown(0, needed) }.write()
            }
            Some(spare) if spare.written.length < needed => {
                let length = self.sizes.grown(spare.written.length, needed);
                spare.extended(&*self.vfs, length)
            }
            Some(spare) => Ok(spare),
        }
    }

    /// The next segment, for any thread to make, once that will be needed: when there is none to be written over, and
    /// the last one is half used up, or takes no more frames. None until it is taken in.
    pub(crate) fn plan_spare(&mut self) -> Option<NewSpare> {
        if !self.spares.is_empty() || self.making != Making::Nothing {
            return None;
        }
        let length = match &self.active {
            Some(Active { written, bytes, path: _ }) if *bytes > written.length / 2 => {
                self.sizes.grown(written.length, 1)
            }
            Some(_) => return None,
            None => self.sealed.last()?.written.as_ref()?.length.min(self.sizes.max),
        };
        self.making = Making::UnderWay;
        Some(NewSpare { vfs: Arc::clone(&self.vfs), path: self.spare_path(), length })
    }

    /// Takes in what came of it.
    pub(crate) fn take_in(&mut self, made: Result<Spare, FileError>) {
        match made {
            Ok(spare) => {
                self.spares.push(spare);
                self.making = Making::Nothing;
            }
            Err(error) => {
                tracing::warn!(%error, "no journal segment can be written in advance; commits write their own");
                self.making = Making::Failed;
            }
        }
    }

    fn spare_path(&mut self) -> String {
        if !seeded::is_on(SeededBug::OneSpareName) {
            self.n_spares_made += 1;
        }
        format!("{JOURNAL}/{TEMPORARY_PREFIX}segment-{:x}-{:x}", self.epoch, self.n_spares_made)
    }

    /// Lets the next frame start a new segment, so that a checkpoint can retire those before.
    pub(crate) fn seal(&mut self) {
        // One without frames has the name that the next one would get.
        let has_frames =
            |active: &mut Active| active.bytes > 0 || seeded::is_on(SeededBug::EmptySegmentSealed);
        if let Some(Active { path, written, bytes }) = self.active.take_if(has_frames) {
            self.sealed.push(Sealed { path, last_sequence: self.sequence, bytes, written: Some(written) });
        }
    }

    /// Takes away the segments whose frames are all up to `sequence`, which are in the JSON files, durably.
    pub(crate) fn retire(&mut self, sequence: u64) {
        let (old, kept): (Vec<_>, _) = std::mem::take(&mut self.sealed).into_iter().partition(|segment| {
            segment.last_sequence <= sequence || seeded::is_on(SeededBug::RetiredTooMuch)
        });
        self.sealed = kept;
        self.take_away(old);
    }

    /// Removes the files without live frames. Those that stay do no harm.
    pub(crate) fn close(&mut self) {
        self.remove_spares();
        if let Some(active) = self.active.take_if(|active| active.bytes == 0) {
            let _ = self.vfs.remove(&active.path);
        }
    }

    fn remove_spares(&mut self) {
        for Spare { path, written: _ } in std::mem::take(&mut self.spares) {
            let _ = self.vfs.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests;
