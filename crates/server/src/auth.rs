//! API keys, and what their holders may do.
//!
//! Only hashes of keys are kept. A key is random and long, so that nobody can try all keys; a slow hash, as for
//! passwords that people choose, would only make each request slower.

use std::fmt;
use std::str::FromStr;

/// The shortest key, in characters: 24 hexadecimal digits are 96 bits, which nobody tries out over a network.
const MIN_KEY_LENGTH: usize = 24;

/// What precedes the hash of a key in place of the key itself.
const HASH_PREFIX: &str = "blake3:";

/// What the holder of a key may do. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read: list and look at what is stored.
    ReadOnly,
    /// Also run, stored pipelines and sources of the caller's own; a source that is new is stored, without a name.
    Execute,
    /// Also change what is stored: compile under names, point names elsewhere.
    Admin,
}

impl Role {
    /// The roles, from the least to the most.
    pub const ALL: [Self; 3] = [Self::ReadOnly, Self::Execute, Self::Admin];

    fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "ReadOnly",
            Self::Execute => "Execute",
            Self::Admin => "Admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The keys of a server. Without any, everybody may do everything.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKeys {
    keys: Vec<(blake3::Hash, Role)>,
}

/// Why keys were not taken. Tells which one by its place in the list, counted from 1, and never shows any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidApiKeys {
    /// An entry is neither `KEY:Role` nor `blake3:HASH:Role`.
    #[error("API key {place} is not of the form KEY:Role or blake3:HASH:Role")]
    Form {
        /// Which one.
        place: usize,
    },
    /// There is no such role.
    #[error("API key {place} has a role that is not known; the roles are ReadOnly, Execute and Admin")]
    Role {
        /// Which one.
        place: usize,
    },
    /// A key could be guessed.
    #[error(
        "API key {place} is shorter than {MIN_KEY_LENGTH} characters; make one with 'openssl rand -hex 32', for instance"
    )]
    Short {
        /// Which one.
        place: usize,
    },
    /// A key could not be sent.
    #[error("API key {place} has characters other than visible ASCII ones, which no header can carry")]
    Characters {
        /// Which one.
        place: usize,
    },
    /// A hash is none.
    #[error(
        "API key {place} is no hash: 64 hexadecimal digits come after '{HASH_PREFIX}'; 'constellation config \
         hash-key' makes it of a key"
    )]
    Hash {
        /// Which one.
        place: usize,
    },
    /// Two entries are of one key.
    #[error("API keys {first} and {place} are the same; each key has one role")]
    Duplicate {
        /// The first of them.
        first: usize,
        /// The second of them.
        place: usize,
    },
}

impl ApiKeys {
    /// The keys of a list of entries, each `KEY:Role` or `blake3:HASH:Role`. Roles may be of any case.
    ///
    /// # Errors
    ///
    /// When one of them is not of that form, too short, or there twice.
    pub fn of_entries<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidApiKeys> {
        let mut keys: Vec<(blake3::Hash, Role)> = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let place = index + 1;
            let (hash, role) = parse_entry(entry.trim(), place)?;
            if let Some(first) = keys.iter().position(|(known, _)| *known == hash) {
                return Err(InvalidApiKeys::Duplicate { first: first + 1, place });
            }
            keys.push((hash, role));
        }
        Ok(Self { keys })
    }

    /// Whether there are none, so that everybody may do everything.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The roles of the keys, in the order in which they were given.
    pub fn roles(&self) -> impl Iterator<Item = Role> {
        self.keys.iter().map(|(_, role)| *role)
    }

    /// The role of a key that a client sent; none when it is not among these.
    pub(crate) fn role_of(&self, key: &[u8]) -> Option<Role> {
        let hash = blake3::hash(key);
        let mut found = None;
        // Hashes are compared in constant time, and all of them, so that the time tells nothing.
        for (known, role) in &self.keys {
            if *known == hash {
                found = Some(*role);
            }
        }
        found
    }
}

/// Hides the hashes.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.roles()).finish()
    }
}

/// Entries, separated by commas.
impl FromStr for ApiKeys {
    type Err = InvalidApiKeys;

    fn from_str(text: &str) -> Result<Self, InvalidApiKeys> {
        if text.trim().is_empty() { Ok(Self::default()) } else { Self::of_entries(text.split(',')) }
    }
}

/// What stands for a key where the key itself should not be written down, without its role: `blake3:HASH`.
///
/// # Errors
///
/// When the key is too short, or has characters that no header can carry; the place is 1.
pub fn hash_api_key(key: &str) -> Result<String, InvalidApiKeys> {
    Ok(format!("{HASH_PREFIX}{}", hash_of(key, 1)?))
}

/// Whether an entry has the hash of a key in place of the key.
pub fn is_hashed_entry(entry: &str) -> bool {
    entry.trim().starts_with(HASH_PREFIX)
}

fn parse_entry(entry: &str, place: usize) -> Result<(blake3::Hash, Role), InvalidApiKeys> {
    let (key, role) = entry.rsplit_once(':').ok_or(InvalidApiKeys::Form { place })?;
    let role = Role::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(role.trim()));
    let role = role.ok_or(InvalidApiKeys::Role { place })?;
    let hash = match key.strip_prefix(HASH_PREFIX) {
        Some(hex) => blake3::Hash::from_hex(hex).map_err(|_| InvalidApiKeys::Hash { place })?,
        // The separator within a key would make an entry mean two things.
        None if key.contains(':') => return Err(InvalidApiKeys::Form { place }),
        None => hash_of(key, place)?,
    };
    Ok((hash, role))
}

fn hash_of(key: &str, place: usize) -> Result<blake3::Hash, InvalidApiKeys> {
    if key.len() < MIN_KEY_LENGTH {
        return Err(InvalidApiKeys::Short { place });
    }
    // A comma or a colon separates where keys are listed.
    if !key.bytes().all(|byte| byte.is_ascii_graphic() && !b",:".contains(&byte)) {
        return Err(InvalidApiKeys::Characters { place });
    }
    Ok(blake3::hash(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef01234567";

    #[test]
    fn a_key_has_its_role_and_no_other_text_has_any() {
        let keys: ApiKeys = format!("{KEY}:Admin, x{KEY}:execute,y{KEY}:READONLY").parse().unwrap();
        assert_eq!(keys.role_of(KEY.as_bytes()), Some(Role::Admin));
        assert_eq!(keys.role_of(format!("x{KEY}").as_bytes()), Some(Role::Execute));
        assert_eq!(keys.role_of(format!("y{KEY}").as_bytes()), Some(Role::ReadOnly));
        for other in ["", "Admin", &KEY[1..], &format!("{KEY} "), &format!("{KEY}:Admin")] {
            assert_eq!(keys.role_of(other.as_bytes()), None, "{other}");
        }
        assert!(ApiKeys::default().is_empty() && "".parse::<ApiKeys>().unwrap().is_empty());
    }

    #[test]
    fn a_hash_stands_for_its_key() {
        let entry = format!("{}:Execute", hash_api_key(KEY).unwrap());
        let keys: ApiKeys = entry.parse().unwrap();
        assert_eq!(keys.role_of(KEY.as_bytes()), Some(Role::Execute));
        assert!(is_hashed_entry(&entry) && !is_hashed_entry(KEY));
        // The hash itself opens nothing.
        assert_eq!(keys.role_of(entry.as_bytes()), None);
    }

    #[test]
    fn bad_keys_are_refused_by_their_place_and_never_shown() {
        let short = &KEY[1..];
        for (text, error) in [
            (format!("{KEY}:Admin,{KEY}"), InvalidApiKeys::Form { place: 2 }),
            (format!("{KEY}:Admin,"), InvalidApiKeys::Form { place: 2 }),
            (format!("a:{KEY}:Admin"), InvalidApiKeys::Form { place: 1 }),
            (format!("{KEY}:Owner"), InvalidApiKeys::Role { place: 1 }),
            (format!("Admin:{KEY}"), InvalidApiKeys::Role { place: 1 }),
            (format!("{KEY}:"), InvalidApiKeys::Role { place: 1 }),
            (format!("{short}:Admin"), InvalidApiKeys::Short { place: 1 }),
            (format!("{KEY} {KEY}:Admin"), InvalidApiKeys::Characters { place: 1 }),
            (format!("{KEY}\u{e9}:Admin"), InvalidApiKeys::Characters { place: 1 }),
            (format!("{HASH_PREFIX}{KEY}:Admin"), InvalidApiKeys::Hash { place: 1 }),
            (format!("{KEY}:Admin,{KEY}:Execute"), InvalidApiKeys::Duplicate { first: 1, place: 2 }),
            (
                format!("{KEY}:Admin,{}:Admin", hash_api_key(KEY).unwrap()),
                InvalidApiKeys::Duplicate { first: 1, place: 2 },
            ),
        ] {
            let refused = text.parse::<ApiKeys>().unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains(short), "{refused}");
        }
        assert!(format!("{KEY}:Admin").parse::<ApiKeys>().is_ok(), "the shortest key");
    }

    #[test]
    fn keys_do_not_print() {
        let keys: ApiKeys = format!("{KEY}:Admin").parse().unwrap();
        assert_eq!(format!("{keys:?}"), "[Admin]");
    }
}
