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
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
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
