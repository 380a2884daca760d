//! The framing of the journal.
//!
//! A frame holds the commits of one sync. All numbers are little-endian:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | `FF 43 4A 46`, which no UTF-8 text contains |
//! | 4 | format, 1 |
//! | 8 | length of the payload |
//! | 16 | id of the store |
//! | 8 | epoch: which opening of the store wrote it |
//! | 8 | sequence number |
//! | 32 | BLAKE3 of the bytes before and of the payload |
//! | length | payload, see [`record`](crate::record) |

use std::ops::Range;

use uuid::Uuid;

use crate::seeded::{self, SeededBug};

const MAGIC: [u8; 4] = [0xff, b'C', b'J', b'F'];
pub(crate) const FRAME_FORMAT: u32 = 1;
/// Where the hash starts.
const HASH_OFFSET: usize = 48;
pub(crate) const HEADER_BYTES: usize = HASH_OFFSET + 32;

/// A frame in the bytes of a segment, whose hash was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) format: u32,
    pub(crate) store: Uuid,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) payload: &'a [u8],
}

/// What is in a segment.
#[derive(Debug, Default)]
pub(crate) struct Scan<'a> {
    /// The live frames in order.
    pub(crate) frames: Vec<Frame<'a>>,
    /// Other bytes that a live frame follows: damage, since a frame is written only when the one before is durable.
    pub(crate) holes: Vec<Hole>,
}

/// Bytes that a live frame follows and that are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) bytes: Range<usize>,
    /// The number of the frame that follows.
    pub(crate) next_sequence: u64,
}

/// The bytes of a frame.
pub(crate) fn encode_frame(store: Uuid, epoch: u64, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = start_frame(Vec::new());
    frame.extend_from_slice(payload);
    finish_frame(&mut frame, store, epoch, sequence);
    frame
}

/// A frame without payload, which is to follow, in the memory of another one.
pub(crate) fn start_frame(mut memory: Vec<u8>) -> Vec<u8> {
    memory.clear();
    memory.resize(HEADER_BYTES, 0);
    memory
}

/// Writes the header of a frame that was started and has its payload.
pub(crate) fn finish_frame(frame: &mut [u8], store: Uuid, epoch: u64, sequence: u64) {
    let (header, payload) = frame.split_at_mut(HEADER_BYTES);
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&FRAME_FORMAT.to_le_bytes());
    header[8..16].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    header[16..32].copy_from_slice(store.as_bytes());
    header[32..40].copy_from_slice(&epoch.to_le_bytes());
    header[40..HASH_OFFSET].copy_from_slice(&sequence.to_le_bytes());
    let hash = hasher(&header[..HASH_OFFSET]).update(payload).finalize();
    header[HASH_OFFSET..].copy_from_slice(hash.as_bytes());
}

/// What is to be given the payload that follows what stands before the hash.
fn hasher(covered: &[u8]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(covered);
    hasher
}

/// What stands before the payload of a frame, whose hash is still to be checked.
#[derive(Debug)]
pub(crate) struct FrameHeader {
    pub(crate) format: u32,
    pub(crate) store: Uuid,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    /// How many bytes the payload has.
    pub(crate) payload: u64,
    covered: [u8; HASH_OFFSET],
    hash: [u8; blake3::OUT_LEN],
}

impl FrameHeader {
    /// The header in these bytes, if it is one of this epoch, and not before `sequence`.
    pub(crate) fn read(bytes: &[u8; HEADER_BYTES], epoch: u64, sequence: u64) -> Option<Self> {
        let (covered, hash) = bytes.split_at(HASH_OFFSET);
        let covered: [u8; HASH_OFFSET] = covered.try_into().expect("what stands before the hash");
        let number = |at: usize| u64::from_le_bytes(covered[at..at + 8].try_into().expect("eight bytes"));
        let is_of_epoch = number(32) == epoch || seeded::is_on(SeededBug::StaleEpochTaken);
        let is_next = number(40) >= sequence || seeded::is_on(SeededBug::StaleSequenceTaken);
        (covered[..4] == MAGIC && is_of_epoch && is_next).then(|| Self {
            format: u32::from_le_bytes(covered[4..8].try_into().expect("four bytes")),
            store: Uuid::from_bytes(covered[16..32].try_into().expect("sixteen bytes")),
            epoch,
            sequence: number(40),
            payload: number(8),
            covered,
            hash: hash.try_into().expect("what is left of the header"),
        })
    }

    /// What is to be given the payload.
    pub(crate) fn hasher(&self) -> blake3::Hasher {
        hasher(&self.covered)
    }

    /// Whether the frame is whole of which the hasher was given the payload.
    pub(crate) fn has_hash(&self, hasher: &blake3::Hasher) -> bool {
        hasher.finalize().as_bytes() == &self.hash || seeded::is_on(SeededBug::FrameHashNotChecked)
    }
}

/// The frame that starts at `bytes`, and its length, if it is valid, of this epoch, and not before `sequence`.
pub(crate) fn read_frame(bytes: &[u8], epoch: u64, sequence: u64) -> Option<(Frame<'_>, usize)> {
    let (header, rest) = bytes.split_first_chunk()?;
    // The hash comes last: many stale frames may lie behind the live ones.
    let header = FrameHeader::read(header, epoch, sequence)?;
    let payload = rest.get(..usize::try_from(header.payload).ok()?)?;
    if !header.has_hash(header.hasher().update(payload)) {
        return None;
    }
    let FrameHeader { format, store, epoch, sequence, .. } = header;
    Some((Frame { format, store, epoch, sequence, payload }, HEADER_BYTES + payload.len()))
}

/// The live frames in the bytes of a segment: those of its epoch whose numbers ascend from its first one on.
///
/// Segments are written over, so that behind the live frames there may be zeros, what is left of earlier frames,
/// and whole frames of before. The latter have smaller numbers. Payloads are text and hashes of text, so that the
/// search for the next frame after damage tries few places.
pub(crate) fn scan(bytes: &[u8], epoch: u64, first_sequence: u64) -> Scan<'_> {
    let mut scan = Scan::default();
    let mut sequence = first_sequence;
    let mut end = 0;
    let mut at = 0;
    while let Some(distance) = bytes[at..].iter().position(|byte| *byte == MAGIC[0]) {
        at += distance;
        let Some((frame, length)) = read_frame(&bytes[at..], epoch, sequence) else {
            at += 1;
            continue;
        };
        if at > end && !seeded::is_on(SeededBug::HolesNotTold) {
            scan.holes.push(Hole { bytes: end..at, next_sequence: frame.sequence });
        }
        at += length;
        end = at;
        sequence = frame.sequence.saturating_add(1);
        scan.frames.push(frame);
    }
    if seeded::is_on(SeededBug::TornTailIsDamage) && bytes[end..].iter().any(|byte| *byte != 0) {
        scan.holes.push(Hole { bytes: end..bytes.len(), next_sequence: u64::MAX });
    }
    scan
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: Uuid = Uuid::from_u128(7);

    fn segment() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for (sequence, payload) in [(4, &b"one"[..]), (5, b""), (6, b"three")] {
            bytes.extend(encode_frame(STORE, 2, sequence, payload));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn sequences(scan: &Scan<'_>) -> Vec<u64> {
        scan.frames.iter().map(|frame| frame.sequence).collect()
    }

    #[test]
    fn frames_read_back() {
        let (bytes, _) = segment();
        let scan = scan(&bytes, 2, 4);
        assert_eq!(sequences(&scan), [4, 5, 6]);
        let first = Frame { format: 1, store: STORE, epoch: 2, sequence: 4, payload: b"one" };
        assert_eq!(scan.frames[0], first);
        assert!(scan.holes.is_empty());
    }

    #[test]
    fn a_cut_at_every_length_keeps_the_whole_frames() {
        let (bytes, ends) = segment();
        for length in 0..bytes.len() {
            let scan = scan(&bytes[..length], 2, 4);
            let whole = ends.iter().filter(|&&end| end <= length).count();
            assert_eq!(scan.frames.len(), whole);
            assert!(scan.holes.is_empty());
        }
    }

    #[test]
    fn every_changed_bit_is_found_and_costs_one_frame() {
        let (bytes, ends) = segment();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let scan = scan(&changed, 2, 4);
            let hurt = ends.iter().filter(|&&end| end <= bit / 8).count();
            assert_eq!(scan.frames.len(), 2, "bit {bit}");
            assert_eq!(scan.holes.len(), usize::from(hurt < 2), "bit {bit}");
        }
    }

    #[test]
    fn zeros_and_garbage_after_the_last_frame_are_the_end() {
        for tail in [&[0; 500][..], &[0xff; 500], b"CJF", &MAGIC] {
            let (mut bytes, _) = segment();
            bytes.extend_from_slice(tail);
            let scan = scan(&bytes, 2, 4);
            assert_eq!(sequences(&scan), [4, 5, 6]);
            assert!(scan.holes.is_empty());
        }
    }

    #[test]
    fn a_stale_frame_is_never_taken_for_a_live_one_wherever_the_live_ones_end() {
        let (stale, _) = segment();
        let longer = encode_frame(STORE, 2, 7, &[b'x'; 60]);
        for live in [encode_frame(STORE, 2, 7, b""), encode_frame(STORE, 2, 7, b"new"), longer] {
            for written in 0..=live.len() {
                let mut bytes = stale.clone();
                bytes[..written].copy_from_slice(&live[..written]);
                let scan = scan(&bytes, 2, 7);
                assert_eq!(sequences(&scan), if written == live.len() { &[7][..] } else { &[] });
                assert!(scan.holes.is_empty());
            }
        }
        assert_eq!(sequences(&scan(&stale, 3, 1)), [0; 0], "frames of another epoch");
    }

    #[test]
    fn a_length_past_all_memory_is_harmless() {
        let (mut bytes, _) = segment();
        bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(sequences(&scan(&bytes, 2, 4)), [5, 6]);
    }
}
