//! The journal: what makes a commit durable, and where recovery finds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{ErrorKind, Result, StoreError};
use uuid::Uuid;

use crate::error::FileError;
use crate::frame::{FRAME_FORMAT, encode_frame, scan};
use crate::layout::{JOURNAL, MAX_COUNT, TEMPORARY_PREFIX, parse_segment_name, segment_path};
use crate::vfs::{Vfs, VfsFile};

/// The longest segment that is read. What is written is bounded by the backlog, which is far below.
const MAX_SEGMENT_BYTES: u64 = 2 << 30;

/// Why a frame was not appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// Nothing changed, and the next append tries again.
    NothingChanged(FileError),
    /// The frame may or may not be durable. Nothing may be appended any more.
    OutcomeUnknown(FileError),
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Journal {
    vfs: Arc<dyn Vfs>,
    store: Uuid,
    epoch: u64,
    /// The number of the last frame.
    sequence: u64,
    /// Segments that take no more frames.
    sealed: Vec<Sealed>,
    active: Option<Active>,
    /// A segment with the frames of earlier openings, while it is not durable.
    unsettled: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Sealed {
    path: String,
    last_sequence: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Active {
    path: String,
    file: Box<dyn VfsFile>,
    bytes: u64,
}

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
    segments: Vec<String>,
    pub(crate) damaged: Vec<DamagedSegment>,
}

/// Reads all segments.
///
/// # Errors
///
/// `UnsupportedFormat` when a later version wrote a frame; `Corrupt` when frames are of two stores; those of
/// reading.
pub(crate) fn read_journal(vfs: &dyn Vfs) -> Result<Found> {
    const OPERATION: &str = "read journal";
    let mut found = Found::default();
    let mut names = match vfs.list(JOURNAL).map_err(FileError::at("list", JOURNAL)) {
        Ok(entries) => {
            entries.into_iter().filter_map(|entry| parse_segment_name(&entry.name)).collect::<Vec<_>>()
        }
        Err(error) if error.is_not_found() => return Ok(found),
        Err(error) => return Err(error.into_store_error(OPERATION)),
    };
    names.sort_unstable();
    // The epoch and the path of a segment that ends in invalid bytes.
    let mut torn: Option<(u64, String)> = None;
    for (epoch, sequence) in names {
        let path = segment_path(epoch, sequence);
        found.epoch = found.epoch.max(epoch);
        let bytes = match vfs.read(&path, MAX_SEGMENT_BYTES).map_err(FileError::at("read", &path)) {
            Ok(bytes) => bytes,
            Err(error) if error.is_unusable() => {
                found.damaged.push(DamagedSegment { path, reason: error.to_string(), is_readable: false });
                continue;
            }
            // Retired since it was listed, by whoever writes while this only reads.
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error.into_store_error(OPERATION)),
        };
        found.segments.push(path.clone());
        let scan = scan(&bytes);
        if let Some(first) = scan.frames.first() {
            if let Some((epoch, path)) = torn.take()
                && epoch == first.epoch
            {
                let reason = "its last frame is damaged, but the next segment goes on after it".to_owned();
                found.damaged.push(DamagedSegment { path, reason, is_readable: true });
            }
            // A later opening wrote down again what it found, so what an earlier one has beyond was not found.
            if found.frames.last_key_value().is_some_and(|(&last, _)| last >= first.sequence) {
                found.frames.split_off(&first.sequence);
            }
        }
        for hole in &scan.holes {
            let reason = format!("bytes {} to {} are damaged, and valid frames follow", hole.start, hole.end);
            found.damaged.push(DamagedSegment { path: path.clone(), reason, is_readable: true });
        }
        if scan.torn_tail.is_some() {
            torn = Some((epoch, path.clone()));
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
    Ok(found)
}

impl Journal {
    /// The journal of an opening, which goes on after what was found. Frames up to `checkpoint` are in the JSON
    /// files. Writes nothing.
    pub(crate) fn new(vfs: Arc<dyn Vfs>, store: Uuid, epoch: u64, checkpoint: u64, found: &Found) -> Self {
        let live: Vec<_> = found.frames.range(checkpoint + 1..).collect();
        let sequence = live.last().map_or(checkpoint, |(sequence, _)| **sequence);
        let mut bytes = Vec::new();
        for (sequence, payload) in &live {
            bytes.extend(encode_frame(store, epoch, **sequence, payload));
        }
        let sealed = found.segments.iter().map(|path| Sealed {
            path: path.clone(),
            last_sequence: sequence,
            bytes: 0,
        });
        let unsettled = (!live.is_empty()).then_some(bytes);
        Self { vfs, store, epoch, sequence, sealed: sealed.collect(), active: None, unsettled }
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

    /// Whether the frames of earlier openings are durable.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled.is_none()
    }

    /// Writes the frames that were found down again, and removes their segments.
    ///
    /// What an earlier opening wrote can be read, but whether it is durable is unknown: its sync may have failed,
    /// or the process ended before it. After a failed sync a system may forget that something was not written, so
    /// that syncing again proves nothing; new bytes in a new file do. Can be repeated until it succeeds.
    pub(crate) fn settle(&mut self, first_sequence: u64) -> Result<(), FileError> {
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
            let settled = Sealed { path, last_sequence: self.sequence, bytes: bytes.len() as u64 };
            self.unsettled = None;
            let old = std::mem::replace(&mut self.sealed, vec![settled]);
            self.remove(old);
        } else if self.active.is_none() && self.sealed.iter().all(|segment| segment.bytes == 0) {
            let old = std::mem::take(&mut self.sealed);
            self.remove(old);
        }
        Ok(())
    }

    /// Removes segments that are not needed. One that stays does no harm and is tried again later.
    fn remove(&mut self, segments: Vec<Sealed>) {
        for segment in segments {
            if let Err(error) = self.vfs.remove(&segment.path).map_err(FileError::at("remove", &segment.path))
                && !error.is_not_found()
            {
                tracing::warn!(%error, "a journal segment that is not needed any more stays for now");
                self.sealed.push(Sealed { bytes: 0, ..segment });
            }
        }
    }

    /// Appends a frame and makes it durable.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<(), AppendError> {
        use AppendError::{NothingChanged, OutcomeUnknown};
        let sequence = self.sequence + 1;
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.start_segment(sequence)?,
        };
        let frame = encode_frame(self.store, self.epoch, sequence, payload);
        if let Err(error) = active.file.write_all_at(active.bytes, &frame) {
            let error = FileError::new("write", &active.path, error);
            // A part of a frame is no frame. It is cut off all the same, durably: in front of the next segment it
            // would look like damage.
            return match active.file.set_length(active.bytes).and_then(|()| active.file.sync()) {
                Ok(()) if error.is_full() => {
                    self.active = Some(active);
                    Err(NothingChanged(error))
                }
                _ => Err(OutcomeUnknown(error)),
            };
        }
        active.file.sync().map_err(|error| OutcomeUnknown(FileError::new("sync", &active.path, error)))?;
        active.bytes += frame.len() as u64;
        self.sequence = sequence;
        self.active = Some(active);
        Ok(())
    }

    fn start_segment(&self, sequence: u64) -> Result<Active, AppendError> {
        use AppendError::{NothingChanged, OutcomeUnknown};
        let path = segment_path(self.epoch, sequence);
        let file = match self.vfs.create(&path) {
            Ok(file) => file,
            Err(error) => return Err(NothingChanged(FileError::new("create", &path, error))),
        };
        // Before its first frame: a durable frame in a file without a durable entry is lost.
        self.vfs
            .sync_directory(JOURNAL)
            .map_err(|error| OutcomeUnknown(FileError::new("sync", JOURNAL, error)))?;
        Ok(Active { path, file, bytes: 0 })
    }

    /// Lets the next frame start a new segment, so that a checkpoint can retire those before.
    pub(crate) fn seal(&mut self) {
        // One without frames has the name that the next one would get.
        if let Some(Active { path, file: _, bytes }) = self.active.take_if(|active| active.bytes > 0) {
            self.sealed.push(Sealed { path, last_sequence: self.sequence, bytes });
        }
    }

    /// Removes the segments whose frames are all up to `sequence`, which are in the JSON files.
    pub(crate) fn retire(&mut self, sequence: u64) {
        let (old, kept) = std::mem::take(&mut self.sealed)
            .into_iter()
            .partition(|segment| segment.last_sequence <= sequence);
        self.sealed = kept;
        self.remove(old);
        // What was found when opening is up to the first sequence of this opening.
        if self.unsettled.is_some() && self.sequence <= sequence {
            self.unsettled = None;
        }
    }
}
