//! `store.json`: which store a directory is, and up to where its journal is in the JSON files.

use constellation_store_core::{
    ErrorKind, Result, Revision, StoreError, Timestamp, check_document, open_document, seal_document,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::layout::{MANIFEST, MAX_COUNT};
use crate::seeded::{self, SeededBug};

/// The version of the directory's format that this crate writes.
pub(crate) const STORE_FORMAT: u32 = 1;

const OPERATION: &str = "read store.json";

/// The members of `store.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) format_version: u32,
    /// Names the store; a journal of another one is refused.
    pub(crate) store_id: Uuid,
    /// Names this checkpoint.
    pub(crate) checkpoint_id: Uuid,
    /// The greatest epoch whose frames may be below the checkpoint.
    pub(crate) epoch: u64,
    /// Frames up to this number are in the JSON files.
    pub(crate) sequence: u64,
    /// The latest revision at the checkpoint.
    pub(crate) revision: Revision,
    /// Members that this version does not know; they are kept.
    #[serde(flatten)]
    pub(crate) extra: Map<String, Value>,
}

/// A new identifier: its first part is the time, the rest is random.
pub(crate) fn new_id(now: Timestamp) -> Uuid {
    let milliseconds = now.as_milliseconds().max(0).unsigned_abs();
    let nanoseconds = u32::try_from(milliseconds % 1000 * 1_000_000).expect("less than a second");
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, milliseconds / 1000, nanoseconds))
}

impl Manifest {
    /// That of a store without commits.
    pub(crate) fn new(store_id: Uuid, checkpoint_id: Uuid) -> Self {
        Self {
            format_version: STORE_FORMAT,
            store_id,
            checkpoint_id,
            epoch: 0,
            sequence: 0,
            revision: Revision(0),
            extra: Map::new(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let value = serde_json::to_value(self).expect("its members serialize");
        let Value::Object(members) = value else { unreachable!("a struct serializes as an object") };
        seal_document(members)
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// `Corrupt`, and `UnsupportedFormat` when a later version wrote it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        if !seeded::is_on(SeededBug::LaterFormatOpened) {
            refuse_later(bytes)?;
        }
        let document = open_document(bytes)?;
        // Unlike other documents it always has a checksum: nobody writes it by hand.
        if !document.checked {
            let message = "it has no checksum";
            return Err(StoreError::new(ErrorKind::Corrupt, OPERATION, message).with("path", MANIFEST));
        }
        let manifest: Self = serde_json::from_value(Value::Object(document.members)).map_err(|error| {
            StoreError::new(ErrorKind::Corrupt, OPERATION, "a member is missing or malformed")
                .with("path", MANIFEST)
                .with_source(error)
        })?;
        if manifest.epoch.max(manifest.sequence) > MAX_COUNT {
            let message = "its epoch or sequence number is out of range";
            return Err(StoreError::new(ErrorKind::Corrupt, OPERATION, message).with("path", MANIFEST));
        }
        Ok(manifest)
    }
}

/// Refuses what a later version wrote, before anything else is judged: it may have other members, and make its checksum
/// in another way.
fn refuse_later(bytes: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Format {
        format_version: u64,
    }
    let Ok(Format { format_version }) = serde_json::from_slice(bytes) else { return Ok(()) };
    if format_version <= u64::from(STORE_FORMAT) {
        return Ok(());
    }
    let mut message = format!(
        "the directory has format version {format_version}, and this version reads up to {STORE_FORMAT}; use a later one"
    );
    if !matches!(check_document(bytes), Ok(true)) {
        message.push_str(
            ". The checksum of 'store.json' is none that this version would make; if no later version had the store, move the file away",
        );
    }
    Err(StoreError::new(ErrorKind::UnsupportedFormat, OPERATION, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_with_members_it_does_not_know() {
        let mut manifest = Manifest::new(Uuid::from_u128(7), Uuid::from_u128(8));
        manifest.sequence = 3;
        manifest.extra.insert("note".into(), "kept".into());
        assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
    }

    #[test]
    fn a_number_that_cannot_be_counted_on_from_is_damage() {
        let mut manifest = Manifest::new(Uuid::from_u128(7), Uuid::from_u128(8));
        for (epoch, sequence, expected) in [
            (MAX_COUNT, MAX_COUNT, None),
            (MAX_COUNT + 1, 0, Some(ErrorKind::Corrupt)),
            (0, MAX_COUNT + 1, Some(ErrorKind::Corrupt)),
            (0, u64::MAX, Some(ErrorKind::Corrupt)),
        ] {
            (manifest.epoch, manifest.sequence) = (epoch, sequence);
            let decoded = Manifest::decode(&manifest.encode());
            assert_eq!(decoded.err().map(|error| error.kind()), expected, "{epoch} {sequence}");
        }
    }

    #[test]
    fn an_id_starts_with_the_time() {
        let now = Timestamp::from_milliseconds(1_700_000_000_123).unwrap();
        let time = new_id(now).get_timestamp().map(|time| time.to_unix());
        assert_eq!(time, Some((1_700_000_000, 123_000_000)));
    }

    #[test]
    fn ids_differ_at_the_same_time_and_at_any_time() {
        let times = [-1, 0, 1_700_000_000_123].map(|time| Timestamp::from_milliseconds(time).unwrap());
        for now in times {
            assert_ne!(new_id(now), new_id(now));
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage_whatever_its_checksum() {
        let mut manifest = Manifest::new(Uuid::from_u128(7), Uuid::from_u128(8));
        manifest.format_version = STORE_FORMAT + 1;
        let bytes = manifest.encode();
        let refused = |bytes: &[u8]| {
            let error = Manifest::decode(bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedFormat, "{error}");
            error.message().contains("move the file away")
        };
        assert!(!refused(&bytes), "nobody should move away what a later version wrote");
        // A later version may make its checksum in another way, or have none.
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(refused(text.replace("\"sequence\": 0", "\"sequence\": 1").as_bytes()));
        assert!(refused(b"{\"formatVersion\": 2}"));
        assert_eq!(Manifest::decode(&bytes[1..]).unwrap_err().kind(), ErrorKind::Corrupt);
        manifest.format_version = STORE_FORMAT;
        let text = String::from_utf8(manifest.encode()).unwrap();
        let changed = text.replace("\"sequence\": 0", "\"sequence\": 1");
        assert_eq!(Manifest::decode(changed.as_bytes()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
