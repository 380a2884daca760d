//! Identifiers: the names that source text can spell.

/// Why a name is not an identifier of the language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not an identifier: it must match [A-Za-z_][A-Za-z0-9_-]*")]
pub struct InvalidIdentifier {
    /// The name as given.
    pub name: String,
}

/// Whether `name` matches `[A-Za-z_][A-Za-z0-9_-]*`. Reserved words are identifiers here; the language excludes
/// them where they would be ambiguous.
pub fn is_identifier(name: &str) -> bool {
    name.as_bytes().first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && name.bytes().all(is_in_identifier)
}

/// Whether an identifier goes on with `byte`.
#[inline]
pub fn is_in_identifier(byte: u8) -> bool {
    // Names are most of a source and of a graph, and a table is faster than ranges.
    const IS_IN_IDENTIFIER: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte: u8 = 0;
        while byte.is_ascii() {
            table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            byte += 1;
        }
        table
    };
    IS_IN_IDENTIFIER[usize::from(byte)]
}

/// Checks that `name` can be spelled in source text.
///
/// # Errors
///
/// [`InvalidIdentifier`] when it cannot.
pub fn check_identifier(name: &str) -> Result<(), InvalidIdentifier> {
    if is_identifier(name) { Ok(()) } else { Err(InvalidIdentifier { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_and_underscores_are_ordinary_characters() {
        for name in ["a", "_", "a-1", "a--3", "a-", "List", "x_y"] {
            assert!(is_identifier(name), "{name}");
        }
        for name in ["", "1a", "-a", "a.b", "a b", "\u{e9}", "a\n"] {
            assert!(!is_identifier(name), "{name}");
        }
    }
}
