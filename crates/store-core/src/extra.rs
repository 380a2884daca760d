//! Members of documents that this version does not know.

use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Members of a JSON document that this version of the format does not know. They are kept, and written again.
///
/// Nearly always there are none. Then it takes as much room as a pointer, which counts where many documents are in
/// memory.
///
/// ```
/// # use constellation_store_core::ExtraMembers;
/// let mut extra = ExtraMembers::default();
/// assert!(extra.is_empty());
/// extra.insert("team".into(), "risk".into());
/// assert_eq!(extra["team"], "risk");
/// ```
#[derive(Debug, Clone, Default)]
pub struct ExtraMembers(Option<Box<Map<String, Value>>>);

impl ExtraMembers {
    /// Appends them to JSON text that ends within an object which has members already.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        const MEMORY: &str = "writing JSON values to memory succeeds";
        for (key, value) in self.iter() {
            out.push(b',');
            serde_json::to_writer(&mut *out, key).expect(MEMORY);
            out.push(b':');
            serde_json::to_writer(&mut *out, value).expect(MEMORY);
        }
    }
}

impl Deref for ExtraMembers {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for ExtraMembers {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.get_or_insert_default()
    }
}

impl From<Map<String, Value>> for ExtraMembers {
    fn from(members: Map<String, Value>) -> Self {
        Self((!members.is_empty()).then(|| Box::new(members)))
    }
}

impl PartialEq for ExtraMembers {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Serialize for ExtraMembers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ExtraMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_compared_also_where_there_are_none() {
        let with = |value: i64| ExtraMembers::from(Map::from_iter([("team".to_owned(), value.into())]));
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
        assert_ne!(with(1), ExtraMembers::default());
        let mut emptied = with(1);
        emptied.shift_remove("team");
        assert_eq!(emptied, ExtraMembers::default());
    }
}
