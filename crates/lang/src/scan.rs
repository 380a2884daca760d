//! Runs of bytes of one class, looked for eight bytes at a time.
//!
//! Eight bytes of a text are a word, the first of them in its lowest byte. A class of bytes is a function that sets the
//! high bit of each byte of a word that is in the class, and no other bit: so the length of a run is a number of zeros,
//! and no branch depends on it.
//!
//! Names, of which a source has most, are looked for in all of it before.

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
    let word = bytes.get(at..at.wrapping_add(WORD)).and_then(|word| word.try_into().ok());
    word.map_or_else(|| last_word(bytes, at), u64::from_le_bytes)
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

/// The names of a text, each at its place, with zeros between them and a word of zeros behind the end.
pub(crate) fn names(bytes: &[u8]) -> Vec<u8> {
    let mut names = Vec::with_capacity(bytes.len() + WORD);
    names.extend(bytes.iter().map(|byte| if is_in_name(*byte) { *byte } else { 0 }));
    names.extend([0; WORD]);
    names
}

/// What [`is_in_identifier`](constellation_types::is_in_identifier) is, without a table, so that many bytes are looked
/// at in one step.
fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Bytes of ASCII that are zero: the first of them, and some behind it.
#[inline]
pub(crate) fn zeros(word: u64) -> u64 {
    // A byte of one behind a zero is told as one, too.
    word.wrapping_sub(LOWEST) & HIGHEST
}

/// How many bytes of a word are before the first that is in a class; some byte is.
#[inline]
pub(crate) fn first(class: u64) -> usize {
    class.trailing_zeros() as usize / 8
}

/// The bits of all bytes of a word before the first that is in a class; some byte is.
#[inline]
pub(crate) fn before_first(class: u64) -> u64 {
    (class ^ (class - 1)) >> 8
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
            assert_eq!(is_in_name(byte), is_in_identifier(byte), "{byte}");
            for place in 0..WORD {
                for around in [0, b'a', b'-', 0x7f, 0x80, 0xff] {
                    let mut bytes = [around; WORD];
                    bytes[place] = byte;
                    let is_quote = bytes.map(|byte| if byte == b'"' { 0x80 } else { 0 });
                    let word = u64::from_le_bytes(bytes);
                    assert_eq!(is_byte(word, b'"'), u64::from_le_bytes(is_quote), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn names_stand_alone_at_their_places() {
        let text = "a-b_1.C9(\"\u{e9}z\", [~0])\n@`{x}";
        let names = names(text.as_bytes());
        assert_eq!(names[..text.len()], *b"a-b_1\0C9\0\0\0\0z\0\0\0\0\x000\0\0\0\0\0\0x\0");
        assert_eq!(names[text.len()..], [0; WORD]);
    }

    #[test]
    fn the_first_zero_ends_what_is_before() {
        for length in 0..WORD {
            for behind in [0, 1, b'x', 0x7f] {
                let mut bytes = [behind; WORD];
                bytes[..length].fill(b'x');
                bytes[length] = 0;
                let ends = zeros(u64::from_le_bytes(bytes));
                assert_eq!(first(ends), length);
                let mut before = [0; WORD];
                before[..length].fill(b'x');
                assert_eq!(u64::from_le_bytes(bytes) & before_first(ends), u64::from_le_bytes(before));
            }
        }
        assert_eq!(zeros(u64::from_le_bytes([1, b'-', 0x7f, b'z', b'0', b'_', 2, 1])), 0);
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
