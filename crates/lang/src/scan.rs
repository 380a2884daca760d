//! Runs of bytes of one class, looked for eight bytes at a time.
//!
//! Eight bytes of a text are a word, the first of them in its lowest byte. A class of bytes is a function that sets the
//! high bit of each byte of a word that is in the class, and no other bit: so the length of a run is a number of zeros,
//! and no branch depends on it.

use std::ops::Range;

/// How many bytes a word has.
pub(crate) const WORD: usize = 8;

const LOWEST: u64 = 0x0101_0101_0101_0101;
const HIGHEST: u64 = 0x80 * LOWEST;

/// The word of which each byte is `byte`.
const fn splat(byte: u8) -> u64 {
    // `u64::from` is no const function.
    LOWEST * byte as u64
}

/// The word of the bytes from `at` on, with zeros behind the end of the text.
#[inline]
pub(crate) fn word_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(word) => u64::from_le_bytes(*word),
        None => last_word(bytes, at),
    }
}

#[cold]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Bytes that are equal to one below 128.
#[inline]
pub(crate) fn is_byte(word: u64, byte: u8) -> u64 {
    let difference = word ^ splat(byte);
    // No sum of two bytes below 128 carries into the next byte.
    !(((difference & !HIGHEST) + splat(0x7f)) | difference) & HIGHEST
}

/// Bytes that names are made of; see [`is_in_identifier`](constellation_types::is_in_identifier).
#[inline]
pub(crate) fn is_in_name(word: u64) -> u64 {
    // The sum of a byte below 128 and `128 - first` has its high bit set from `first` on.
    let is_between =
        |word: u64, first: u8, last: u8| (word + splat(128 - first)) & !(word + splat(127 - last));
    let low = word & !HIGHEST;
    let letters = is_between(low | splat(0x20), b'a', b'z');
    let digits = is_between(low, b'0', b'9');
    let underscores = splat(0x80) - (low ^ splat(b'_'));
    let hyphens = splat(0x80) - (low ^ splat(b'-'));
    (letters | digits | underscores | hyphens) & !word & HIGHEST
}

/// Bytes that are not in a class.
#[inline]
pub(crate) fn others(class: u64) -> u64 {
    !class & HIGHEST
}

/// How many bytes of a word are before the first that is in a class; some byte is.
#[inline]
pub(crate) fn first(class: u64) -> usize {
    class.trailing_zeros() as usize / 8
}

/// All bits of a word up to the high bit of the first byte that is in a class; some byte is.
#[inline]
pub(crate) fn up_to_first(class: u64) -> u64 {
    class ^ (class - 1)
}

/// Whether a byte of a word is no ASCII.
#[inline]
pub(crate) fn has_high_bit(word: u64) -> bool {
    word & HIGHEST != 0
}

/// The first place in a part of a text that is in a class, or the end of the part.
#[inline]
pub(crate) fn find(bytes: &[u8], part: Range<usize>, class: impl Fn(u64) -> u64) -> usize {
    let mut at = part.start;
    while at < part.end {
        let found = class(word_at(bytes, at));
        if found != 0 {
            // What stands behind the end is no part of it, whatever it is.
            return (at + first(found)).min(part.end);
        }
        at += WORD;
    }
    part.end
}

#[cfg(test)]
mod tests {
    use constellation_types::is_in_identifier;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_byte_is_told_in_each_place() {
        for byte in 0..=u8::MAX {
            for place in 0..WORD {
                for around in [0, b'a', b'-', 0x7f, 0x80, 0xff] {
                    let mut bytes = [around; WORD];
                    bytes[place] = byte;
                    let word = u64::from_le_bytes(bytes);
                    let expected = |is_in: &dyn Fn(u8) -> bool| {
                        u64::from_le_bytes(bytes.map(|byte| if is_in(byte) { 0x80 } else { 0 }))
                    };
                    assert_eq!(is_in_name(word), expected(&is_in_identifier), "{bytes:?}");
                    assert_eq!(is_byte(word, b'"'), expected(&|byte| byte == b'"'), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_byte_of_a_class_ends_what_is_before() {
        for length in 0..WORD {
            let mut bytes = [b' '; WORD];
            bytes[..length].fill(b'x');
            let word = u64::from_le_bytes(bytes);
            let ends = others(is_in_name(word));
            assert_eq!(first(ends), length);
            let mut before = [0; WORD];
            before[..length].fill(b'x');
            assert_eq!(word & up_to_first(ends) >> 8, u64::from_le_bytes(before));
            assert!(!has_high_bit(word & up_to_first(ends)));
            bytes[length] = 0x80;
            assert!(has_high_bit(u64::from_le_bytes(bytes) & up_to_first(ends)));
        }
    }

    proptest! {
        #[test]
        fn the_first_place_is_found_in_any_part(
            text in "[ab\"\0\u{e9}]{0,40}",
            part in (0_usize..50, 0_usize..50),
        ) {
            let bytes = text.as_bytes();
            let (start, end) = (part.0, part.1.min(bytes.len()));
            let is_sought = |word| is_byte(word, b'"') | is_byte(word, 0);
            let found = (start..end).find(|at| matches!(bytes[*at], b'"' | 0));
            prop_assert_eq!(find(bytes, start..end, is_sought), found.unwrap_or(end));
        }
    }
}
