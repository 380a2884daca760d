//! Which file is where, and the escape that makes a file name of a pipeline's name.

use constellation_store_core::{PipelineName, SourceHash, StructuralHash};

pub(crate) const MANIFEST: &str = "store.json";
pub(crate) const LOCK: &str = "LOCK";
pub(crate) const IMAGES: &str = "images";
pub(crate) const SOURCES: &str = "sources";
pub(crate) const VERSIONS: &str = "versions";
pub(crate) const ALIASES: &str = "aliases.json";
pub(crate) const INDEX: &str = "syntactic-index.json";
pub(crate) const JOURNAL: &str = "journal";
pub(crate) const PACK: &str = "pack";
pub(crate) const CATALOGUE: &str = "pack/catalogue";
pub(crate) const QUARANTINE: &str = "quarantine";

/// How the name of a file starts that is not finished. No escaped name and no hash starts so.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";

/// The greatest epoch or sequence number that is read. No opening counts on from half of it, so that nothing is written
/// which is not read.
pub(crate) const MAX_COUNT: u64 = 1 << 62;

/// The longest escape that is used whole, in bytes.
const MAX_ESCAPE_BYTES: usize = 200;
/// How much of a longer one is kept, for people.
const KEPT_ESCAPE_BYTES: usize = 100;

pub(crate) fn image_path(hash: &StructuralHash) -> String {
    format!("{IMAGES}/{hash}.json")
}

pub(crate) fn source_path(hash: &SourceHash) -> String {
    format!("{SOURCES}/{hash}.cst")
}

pub(crate) fn versions_path(name: &PipelineName) -> String {
    format!("{VERSIONS}/{}.json", escape(name.as_str()))
}

/// A file name for a pipeline's name: lower-case letters, digits, `_`, `-` and `.` stand for themselves, every
/// other byte is `%` and two lower-case hexadecimal digits. No two names have the same escape, also not on a file
/// system that ignores case: the escape has one case only.
///
/// The first character is also escaped where it would make a hidden file, an option of a command, or, with what
/// follows, a device of Windows.
///
/// An escape of more than 200 bytes is cut to 100, and ends in `~` and the hash of the name. Since `~` is escaped,
/// no whole escape looks like that.
pub(crate) fn escape(name: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(name.len());
    for (place, byte) in name.bytes().enumerate() {
        let plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => place > 0 || !is_device(name),
            b'-' | b'.' => place > 0,
            _ => false,
        };
        if plain {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02x}").expect("writing to a string does not fail");
        }
    }
    if escaped.len() > MAX_ESCAPE_BYTES {
        // An escape is ASCII, so that it can be cut anywhere.
        escaped.truncate(KEPT_ESCAPE_BYTES);
        escaped.push('~');
        escaped.push_str(&blake3::hash(name.as_bytes()).to_hex());
    }
    escaped
}

/// Whether Windows takes a file of this name, with any extension, for a device. Upper case is escaped anyway.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    match stem.as_bytes() {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

/// The name of a journal segment, by which segments sort in the order in which they were written.
pub(crate) fn segment_path(epoch: u64, sequence: u64) -> String {
    format!("{JOURNAL}/{epoch:016x}-{sequence:016x}.log")
}

/// The epoch and first sequence number in the file name of a segment.
pub(crate) fn parse_segment_name(name: &str) -> Option<(u64, u64)> {
    let (epoch, sequence) = name.strip_suffix(".log")?.split_once('-')?;
    let number = |text: &str| {
        let plain = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = if plain { u64::from_str_radix(text, 16).ok() } else { None };
        number.filter(|number| *number <= MAX_COUNT)
    };
    Some((number(epoch)?, number(sequence)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The name that an escape was made of, unless it was cut.
    fn unescape(escaped: &str) -> Option<String> {
        if escaped.contains('~') {
            return None;
        }
        let mut bytes = Vec::new();
        let mut rest = escaped.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            } else {
                bytes.push(byte);
            }
        }
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn plain_names_stay_readable_and_others_are_escaped() {
        for (name, expected) in [
            ("scoring", "scoring"),
            ("scoring-v2.1_x", "scoring-v2.1_x"),
            ("Scoring", "%53coring"),
            ("pricing/quote v2", "pricing%2fquote%20v2"),
            ("...", "%2e.."),
            ("-rf", "%2drf"),
            ("con", "%63on"),
            ("com1.old", "%63om1.old"),
            ("console", "console"),
            ("100%", "100%25"),
            ("a~b", "a%7eb"),
            ("caf\u{e9}", "caf%c3%a9"),
        ] {
            assert_eq!(escape(name), expected);
        }
    }

    #[test]
    fn every_name_of_up_to_two_ascii_characters_has_a_file_of_its_own() {
        let mut seen = std::collections::BTreeMap::new();
        let characters = || (0_u8..0x80).map(char::from);
        let pairs = characters().flat_map(|a| characters().map(move |b| format!("{a}{b}")));
        for name in characters().map(String::from).chain(pairs) {
            let escaped = escape(&name);
            assert!(!escaped.contains(['/', '\\', '\0', ' ', ':']) && !escaped.starts_with(['.', '-']));
            assert_eq!(seen.insert(escaped.to_lowercase(), name.clone()), None, "{name:?}");
        }
    }

    #[test]
    fn long_names_that_differ_at_the_end_have_files_of_their_own() {
        let long = "x".repeat(254);
        let (a, b) = (escape(&format!("{long}a")), escape(&format!("{long}b")));
        assert_ne!(a, b);
        assert_eq!(a.len(), 165);
        assert_eq!(escape(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(escape(&"X".repeat(67)).len(), 165);
    }

    #[test]
    fn a_segment_name_reads_back() {
        let path = segment_path(3, MAX_COUNT);
        assert_eq!(parse_segment_name(path.strip_prefix("journal/").unwrap()), Some((3, MAX_COUNT)));
        for name in [
            "ffffffffffffffff-0000000000000001.log",
            "x.log",
            "0-0.log",
            "+000000000000001-0000000000000001.log",
            ".tmp-1",
        ] {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn an_escape_is_injective_also_under_case_folding(a in "\\PC{1,80}", b in "\\PC{1,80}") {
            for name in [&a, &b] {
                let escaped = escape(name);
                prop_assert!(escaped.len() <= 200);
                prop_assert_eq!(&escaped.to_lowercase(), &escaped);
                prop_assert!(escaped.is_ascii());
                if let Some(unescaped) = unescape(&escaped) {
                    prop_assert_eq!(&unescaped, name);
                }
            }
            prop_assert_eq!(escape(&a) == escape(&b), a == b);
        }

        #[test]
        fn names_that_differ_in_case_only_have_files_of_their_own(name in "[a-zA-Z./~%-]{1,255}") {
            for other in [name.to_uppercase(), name.to_lowercase()] {
                prop_assert_eq!(escape(&name) == escape(&other), name == other);
            }
        }
    }
}
