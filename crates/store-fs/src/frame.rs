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
    /// The valid frames in order.
    pub(crate) frames: Vec<Frame<'a>>,
    /// Invalid bytes that a valid frame follows: damage, since a frame is written only when the one before is
    /// durable.
    pub(crate) holes: Vec<Range<usize>>,
    /// Where invalid bytes start that nothing valid follows: what was being written when the process ended.
    pub(crate) torn_tail: Option<usize>,
}

/// The bytes of a frame.
pub(crate) fn encode_frame(store: Uuid, epoch: u64, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FRAME_FORMAT.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(store.as_bytes());
    bytes.extend_from_slice(&epoch.to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    let hash = frame_hash(&bytes, payload);
    bytes.extend_from_slice(hash.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn frame_hash(header: &[u8], payload: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(header).update(payload).finalize()
}

/// The frame that starts at `bytes`, and its length, if it is valid.
fn read_frame(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let (covered, hash) = header.split_at(HASH_OFFSET);
    let number = |at: usize| u64::from_le_bytes(covered[at..at + 8].try_into().expect("eight bytes"));
    if covered[..4] != MAGIC {
        return None;
    }
    let payload = rest.get(..usize::try_from(number(8)).ok()?)?;
    if frame_hash(covered, payload).as_bytes() != hash {
        return None;
    }
    let frame = Frame {
        format: u32::from_le_bytes(covered[4..8].try_into().expect("four bytes")),
        store: Uuid::from_bytes(covered[16..32].try_into().expect("sixteen bytes")),
        epoch: number(32),
        sequence: number(40),
        payload,
    };
    Some((frame, HEADER_BYTES + payload.len()))
}

/// The frames in the bytes of a segment. Payloads are text and hashes of text, so that the search for the next
/// frame after damage tries few places.
pub(crate) fn scan(bytes: &[u8]) -> Scan<'_> {
    let mut scan = Scan::default();
    let mut at = 0;
    while at < bytes.len() {
        if let Some((frame, length)) = read_frame(&bytes[at..]) {
            scan.frames.push(frame);
            at += length;
            continue;
        }
        let next = (at + 1..bytes.len()).find(|&next| read_frame(&bytes[next..]).is_some());
        let Some(next) = next else {
            scan.torn_tail = Some(at);
            break;
        };
        scan.holes.push(at..next);
        at = next;
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
        let scan = scan(&bytes);
        assert_eq!(sequences(&scan), [4, 5, 6]);
        let first = Frame { format: 1, store: STORE, epoch: 2, sequence: 4, payload: b"one" };
        assert_eq!(scan.frames[0], first);
        assert!(scan.holes.is_empty() && scan.torn_tail.is_none());
    }

    #[test]
    fn a_cut_at_every_length_keeps_the_whole_frames() {
        let (bytes, ends) = segment();
        for length in 0..bytes.len() {
            let scan = scan(&bytes[..length]);
            let whole = ends.iter().filter(|&&end| end <= length).count();
            assert_eq!(scan.frames.len(), whole);
            assert!(scan.holes.is_empty());
            assert_eq!(scan.torn_tail.is_some(), length > 0 && !ends.contains(&length));
        }
    }

    #[test]
    fn every_changed_bit_is_found_and_costs_one_frame() {
        let (bytes, ends) = segment();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let scan = scan(&changed);
            let hurt = ends.iter().filter(|&&end| end <= bit / 8).count();
            assert_eq!(scan.frames.len(), 2, "bit {bit}");
            assert_eq!(scan.holes.len(), usize::from(hurt < 2), "bit {bit}");
            assert_eq!(scan.torn_tail.is_some(), hurt == 2, "bit {bit}");
        }
    }

    #[test]
    fn zeros_and_garbage_after_the_last_frame_are_a_torn_tail() {
        for tail in [&[0; 500][..], &[0xff; 500], b"CJF", &MAGIC] {
            let (mut bytes, ends) = segment();
            bytes.extend_from_slice(tail);
            let scan = scan(&bytes);
            assert_eq!(sequences(&scan), [4, 5, 6]);
            assert_eq!(scan.torn_tail, Some(ends[2]));
        }
    }

    #[test]
    fn a_length_past_all_memory_is_harmless() {
        let (mut bytes, _) = segment();
        bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(sequences(&scan(&bytes)), [5, 6]);
    }
}
