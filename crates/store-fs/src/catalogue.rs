//! The catalogue: everything that opening needs to know of a store, in one file that is read from its start to its end.
//!
//! It is derived. Each checkpoint appends what it wrote to the JSON files, so that the cost of a checkpoint does not
//! depend on how much is stored. It is believed only if its last section is of the checkpoint in `store.json`, and if
//! the directories and maps that it stands for have the stamps that they had then; otherwise the JSON files are read,
//! and it is written anew.
//!
//! `pack/catalogue` is a sequence of sections, each a [`frame`](crate::frame) of epoch 0 whose sequence numbers count
//! from 0. The payload of a section is the id of its checkpoint (16 bytes), that of the section before it (16; zeros
//! in the first one), the stamps of what it stands for (16 each, in the order of [`STAMPED`], zeros for what is not
//! there), and entries until its end. All numbers are little-endian; a text is its length (4 bytes) and
//! its bytes; what may be missing is a byte 0, or a byte 1 and the value. An entry is a tag (1 byte) and its parts:
//!
//! | tag | entry | parts |
//! |---|---|---|
//! | 8 | image | structural hash (32), bytes of its graph (8), time of compilation in ms (8), counts of modules, inputs and outputs (8 each), source hash?, syntactic hash?, compiler?, members that are not known as JSON, number of output names (4), the names |
//! | 2 | image removed | structural hash (32) |
//! | 9 | source | source hash (32), its bytes (8) |
//! | 4 | source removed | source hash (32) |
//! | 5 | history | name, next version (8), active version?, the loader's source hash?, members that are not known as JSON, number of versions (4), and for each: its number (8), structural hash (32), time in ms (8), revision (8), origin (1), source hash?, members that are not known as JSON |
//! | 6 | indexed | syntactic, registry and structural hash (32 each) |
//! | 7 | index entry removed | syntactic and registry hash (32 each) |
//!
//! 1 and 3 were images and sources without their bytes. They are not read any more: the JSON files are, once.

mod decode;
mod encode;

use std::collections::BTreeMap;
use std::sync::Arc;

use constellation_store_core::{
    ImageSummary, PipelineName, SourceHash, StructuralHash, SyntacticKey, VersionHistory,
};
use constellation_store_mem::{Parts, StoredSource};
use uuid::Uuid;

use crate::error::FileError;
use crate::layout::{ALIASES, IMAGES, INDEX, SOURCES, VERSIONS};
use crate::vfs::{Stamp, Vfs};

pub(crate) use self::decode::read_catalogue;
pub(crate) use self::encode::encode_section;

/// The epoch in the frames of a catalogue. No segment of a journal has it.
const EPOCH: u64 = 0;

/// What a catalogue stands for. None of it is changed by this crate but in a checkpoint, or when something turns out
/// to be damaged.
pub(crate) const STAMPED: [&str; 5] = [IMAGES, SOURCES, VERSIONS, ALIASES, INDEX];

/// The stamps of [`STAMPED`].
pub(crate) type Stamps = [[u8; 16]; STAMPED.len()];

/// The stamps as they are now.
///
/// # Errors
///
/// Those of the file system.
pub(crate) fn stamps(vfs: &dyn Vfs) -> Result<Stamps, FileError> {
    let mut stamps = Stamps::default();
    for (path, stamp) in STAMPED.into_iter().zip(&mut stamps) {
        match vfs.stamp(path).map_err(FileError::at("look at", path)) {
            Ok(Stamp(found)) => *stamp = found,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(stamps)
}

/// What a checkpoint wrote: how one thing is now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    Image(Arc<ImageSummary>),
    ImageRemoved(StructuralHash),
    /// With its bytes.
    Source(SourceHash, u64),
    SourceRemoved(SourceHash),
    History(Arc<VersionHistory>),
    Indexed(SyntacticKey, StructuralHash),
    IndexRemoved(SyntacticKey),
}

/// Where a section belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SectionId {
    pub(crate) store: Uuid,
    pub(crate) checkpoint: Uuid,
    /// That of the section before; nil for the first.
    pub(crate) previous: Uuid,
    /// Which section of the file it is, from 0.
    pub(crate) number: u64,
    /// Of what it stands for.
    pub(crate) stamps: Stamps,
}

/// A catalogue that fits `store.json`.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) content: Content,
    /// Of what it stands for.
    pub(crate) stamps: Stamps,
    /// How many sections it has.
    pub(crate) sections: u64,
    /// How long the first section is, in bytes.
    pub(crate) first_bytes: u64,
    /// How long all sections are, in bytes.
    pub(crate) bytes: u64,
}

/// What the sections come to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Content {
    images: BTreeMap<StructuralHash, Arc<ImageSummary>>,
    sources: BTreeMap<SourceHash, StoredSource>,
    histories: BTreeMap<PipelineName, Arc<VersionHistory>>,
    index: BTreeMap<SyntacticKey, StructuralHash>,
}

/// The entries of sections, of each kind in the order in which they stand there; none for what was removed.
///
/// Maps are made of all of them at once. To put one entry after another into an ordered map takes three times as long,
/// and leaves its nodes a third empty.
#[derive(Debug, Default)]
struct Entries {
    images: Vec<(StructuralHash, Option<Arc<ImageSummary>>)>,
    sources: Vec<(SourceHash, Option<StoredSource>)>,
    histories: Vec<(PipelineName, Option<Arc<VersionHistory>>)>,
    index: Vec<(SyntacticKey, Option<StructuralHash>)>,
}

impl Entries {
    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Image(summary) => self.images.push((summary.structural_hash, Some(summary))),
            Entry::ImageRemoved(structural_hash) => self.images.push((structural_hash, None)),
            Entry::Source(source_hash, bytes) => {
                self.sources.push((source_hash, Some(StoredSource::not_loaded(bytes))));
            }
            Entry::SourceRemoved(source_hash) => self.sources.push((source_hash, None)),
            Entry::History(history) => self.histories.push((history.pipeline_name.clone(), Some(history))),
            Entry::Indexed(key, structural_hash) => self.index.push((key, Some(structural_hash))),
            Entry::IndexRemoved(key) => self.index.push((key, None)),
        }
    }

    /// Adds those of a later section.
    fn append(&mut self, later: Self) {
        let Self { images, sources, histories, index } = self;
        append(images, later.images);
        append(sources, later.sources);
        append(histories, later.histories);
        append(index, later.index);
    }

    fn into_content(self) -> Content {
        let Self { images, sources, histories, index } = self;
        Content {
            images: latest(images),
            sources: latest(sources),
            histories: latest(histories),
            index: latest(index),
        }
    }
}

/// Nothing is moved where there is nothing yet, which is the first and largest section.
fn append<T>(entries: &mut Vec<T>, later: Vec<T>) {
    if entries.is_empty() {
        *entries = later;
    } else {
        entries.extend(later);
    }
}

/// The last value of each key, unless that is none.
fn latest<K: Ord, V>(mut entries: Vec<(K, Option<V>)>) -> BTreeMap<K, V> {
    // A section is in order.
    if !entries.is_sorted_by(|(left, _), (right, _)| left < right) {
        // Those of a key stay in their order; this merges the sections.
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        entries.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(&mut later.1, &mut earlier.1);
            }
            is_same
        });
    }
    entries.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

impl Content {
    /// As what a state is made of, with no image and no source in memory.
    pub(crate) fn into_parts(self) -> Parts {
        let Self { images, sources, histories, index } = self;
        Parts { summaries: images, sources, index, histories, ..Parts::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use constellation_store_core::{
        ExtraMembers, ImageMetadata, Origin, RegistryHash, Revision, SyntacticHash, Timestamp, Version,
    };

    use super::*;

    const STORE: Uuid = Uuid::from_u128(7);

    fn id(number: u64) -> SectionId {
        let checkpoint = |number: u64| Uuid::from_u128(u128::from(number));
        SectionId {
            store: STORE,
            checkpoint: checkpoint(number + 1),
            previous: checkpoint(number),
            number,
            stamps: [[9; 16]; 5],
        }
    }

    fn summary(number: u8, compiler: Option<&str>) -> Arc<ImageSummary> {
        let mut extra = ExtraMembers::default();
        if number == 2 {
            extra.insert("team".into(), "risk".into());
        }
        Arc::new(ImageSummary {
            structural_hash: StructuralHash::of_bytes(&[number]),
            metadata: ImageMetadata {
                compiled_at: Timestamp::from_milliseconds(1_700_000_000_123).unwrap(),
                source_hash: (number != 1).then(|| SourceHash::of_bytes(&[number])),
                module_count: 3,
                input_count: u64::from(number),
                output_count: 2,
                syntactic_hash: (number != 1).then(|| SyntacticHash::of_bytes(&[number])),
                compiler: compiler.map(Into::into),
                extra,
            },
            outputs: ["a".into(), "result".into()].into(),
            graph_bytes: 1000 + u64::from(number),
        })
    }

    fn history(name: &str) -> Arc<VersionHistory> {
        let mut history = VersionHistory::new(name.parse().unwrap());
        history.versions = (1..=2)
            .map(|version| Version {
                version,
                structural_hash: StructuralHash::of_bytes(&[1]),
                created_at: Timestamp::UNIX_EPOCH,
                revision: Revision(version),
                origin: if version == 1 { Origin::Loader } else { Origin::Alias },
                source_hash: (version == 1).then(|| SourceHash::of_bytes(b"x")),
                extra: ExtraMembers::default(),
            })
            .collect();
        history.active_version = (name != "deleted").then_some(2);
        history.next_version = 9;
        history.loader_source_hash = (name == "deleted").then(|| SourceHash::of_bytes(b"x"));
        history.extra.insert("note".into(), 1.into());
        Arc::new(history)
    }

    fn key(number: u8) -> SyntacticKey {
        SyntacticKey { syntactic: SyntacticHash::of_bytes(&[number]), registry: RegistryHash::of_bytes(b"r") }
    }

    fn entries() -> Vec<Entry> {
        vec![
            Entry::Image(summary(1, None)),
            Entry::Image(summary(2, Some("0.1.0"))),
            Entry::Source(SourceHash::of_bytes(&[2]), 20),
            Entry::History(history("a/b")),
            Entry::History(history("deleted")),
            Entry::Indexed(key(1), StructuralHash::of_bytes(&[1])),
        ]
    }

    fn content(entries: &[Entry]) -> Content {
        let mut all = Entries::default();
        for entry in entries {
            all.add(entry.clone());
        }
        all.into_content()
    }

    fn two_sections() -> (Vec<u8>, Vec<Entry>, usize) {
        let mut all = entries();
        let mut bytes = encode_section(id(0), all.iter().cloned());
        let first = bytes.len();
        let more = [
            Entry::ImageRemoved(StructuralHash::of_bytes(&[1])),
            Entry::SourceRemoved(SourceHash::of_bytes(&[2])),
            Entry::IndexRemoved(key(1)),
            Entry::Image(summary(3, None)),
            Entry::Source(SourceHash::of_bytes(&[3]), 30),
        ];
        bytes.extend(encode_section(id(1), more.iter().cloned()));
        all.extend(more);
        (bytes, all, first)
    }

    #[test]
    fn sections_read_back_and_add_up() {
        let (bytes, entries, first) = two_sections();
        let catalogue = read_catalogue(&bytes[..], STORE, id(1).checkpoint).unwrap().unwrap();
        assert_eq!(catalogue.content, content(&entries));
        assert_eq!(catalogue.stamps, id(1).stamps);
        assert_eq!(catalogue.sections, 2);
        assert_eq!(catalogue.bytes, bytes.len() as u64);
        assert_eq!(catalogue.first_bytes, first as u64);
    }

    /// Gives so many bytes at once.
    struct InPieces<'a>(&'a [u8], usize);

    impl Read for InPieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(buffer.len());
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn a_catalogue_is_read_alike_whatever_pieces_it_comes_in() {
        let mut large = VersionHistory::clone(&history("large"));
        large.extra.insert("text".into(), "x".repeat(1_000_000).into());
        let mut entries = entries();
        entries.push(Entry::History(Arc::new(large)));
        let (first, ..) = two_sections();
        let last = SectionId { previous: id(1).checkpoint, number: 2, ..id(5) };
        let bytes = [first, encode_section(last, entries.into_iter())].concat();
        let read = |source: &mut dyn Read| read_catalogue(source, STORE, last.checkpoint).unwrap().unwrap();
        let expected = read(&mut &bytes[..]);
        assert_eq!((expected.sections, expected.bytes), (3, bytes.len() as u64));
        for length in [1, 7, 80, 1000, 300_000] {
            let found = read(&mut InPieces(&bytes, length));
            assert_eq!(found.content, expected.content, "{length}");
            assert_eq!((found.sections, found.bytes), (expected.sections, expected.bytes), "{length}");
        }
    }

    /// Catalogues that are longer than what is read at once.
    #[test]
    fn what_is_torn_stale_or_of_another_form_is_told_however_long_it_is() {
        const MANY: usize = 20_000;
        let removals =
            |count| std::iter::repeat_n(Entry::ImageRemoved(StructuralHash::of_bytes(&[1])), count);
        let (small, entries, _) = two_sections();
        let last = SectionId { previous: id(1).checkpoint, number: 2, ..id(5) };
        let large = encode_section(last, removals(MANY));
        let read = |bytes: &[u8], checkpoint| read_catalogue(Bounded(bytes), STORE, checkpoint).unwrap();
        let whole = read(&[&small[..], &large].concat(), last.checkpoint).unwrap();
        assert_eq!((whole.sections, whole.bytes), (3, (small.len() + large.len()) as u64));

        let before = |found: Option<Catalogue>| {
            let found = found.unwrap();
            assert_eq!((found.sections, found.bytes), (2, small.len() as u64));
            assert_eq!(found.content, content(&entries));
        };
        let checkpoint = id(1).checkpoint;
        for length in [1, 79, 80, 150, 192, 300_000, large.len() - 1] {
            before(read(&[&small[..], &large[..length]].concat(), checkpoint));
        }
        // The hash is wrong then.
        for place in [100, 192, 193, 300_000, large.len() - 1] {
            let mut changed = large.clone();
            changed[place] ^= 0x55;
            before(read(&[&small[..], &changed].concat(), checkpoint));
        }
        let stale = encode_section(SectionId { previous: id(7).checkpoint, ..last }, removals(MANY));
        before(read(&[&small[..], &stale].concat(), checkpoint));
        let mut endless = large.clone();
        endless[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        before(read(&[&small[..], &endless].concat(), checkpoint));

        // What was written so is another form than this one.
        let mut payload = large[80..].to_vec();
        payload[112 + 33 * (MANY / 2)] = 99;
        let other = crate::frame::encode_frame(STORE, EPOCH, 2, &payload);
        assert!(read(&[&small[..], &other].concat(), checkpoint).is_none());
    }

    /// Is never asked for more than a few pieces at once, though no entry is large.
    struct Bounded<'a>(&'a [u8]);

    impl Read for Bounded<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(buffer.len() <= 1 << 19, "{}", buffer.len());
            self.0.read(buffer)
        }
    }

    #[test]
    fn a_source_that_fails_is_no_end() {
        let (bytes, _, first) = two_sections();
        for length in [0, 10, 100, first, first + 10, bytes.len()] {
            let failing = std::io::Cursor::new(&bytes[..length]).chain(Failing);
            let read = read_catalogue(failing, STORE, id(1).checkpoint);
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::StaleNetworkFileHandle, "{length}");
        }
    }

    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StaleNetworkFileHandle.into())
        }
    }

    #[test]
    fn the_last_entry_of_a_key_counts() {
        let (key, other) = (key(1), key(2));
        let hash = |number: u8| StructuralHash::of_bytes(&[number]);
        let entries = [
            Entry::Indexed(other, hash(0)),
            Entry::Indexed(key, hash(1)),
            Entry::IndexRemoved(key),
            Entry::Indexed(key, hash(2)),
            Entry::Indexed(key, hash(3)),
            Entry::IndexRemoved(other),
        ];
        let expected = |count: usize| match count {
            0 => vec![],
            1 | 3 => vec![(other, hash(0))],
            2 => vec![(key, hash(1)), (other, hash(0))],
            4 => vec![(key, hash(2)), (other, hash(0))],
            5 => vec![(key, hash(3)), (other, hash(0))],
            _ => vec![(key, hash(3))],
        };
        for count in 0..=entries.len() {
            assert_eq!(content(&entries[..count]).index, expected(count).into_iter().collect(), "{count}");
        }
    }

    #[test]
    fn it_is_believed_for_the_checkpoint_of_its_last_section_only() {
        let (bytes, _, first) = two_sections();
        assert!(
            read_catalogue(&bytes[..], STORE, id(0).checkpoint).unwrap().is_none(),
            "a later checkpoint began"
        );
        assert!(read_catalogue(&bytes[..first], STORE, id(1).checkpoint).unwrap().is_none());
        assert!(read_catalogue(&bytes[..first], STORE, id(0).checkpoint).unwrap().is_some());
        assert!(
            read_catalogue(&bytes[..], Uuid::from_u128(8), id(1).checkpoint).unwrap().is_none(),
            "another store"
        );
        assert!(read_catalogue(&[][..], STORE, id(1).checkpoint).unwrap().is_none());
    }

    #[test]
    fn sections_that_do_not_follow_one_another_are_not_believed() {
        let first = encode_section(id(0), entries().into_iter());
        let third = encode_section(id(2), std::iter::empty());
        assert!(read_catalogue(&[first, third].concat()[..], STORE, id(2).checkpoint).unwrap().is_none());
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_found() {
        let (bytes, ..) = two_sections();
        let believed = |bytes: &[u8]| read_catalogue(bytes, STORE, id(1).checkpoint).unwrap().is_some();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!believed(&changed), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(!believed(&bytes[..length]));
        }
        // Zeros, and what is left of a longer one that was there before, are behind the end.
        assert!(believed(&[&bytes[..], &[0; 300]].concat()));
        assert!(believed(&[&bytes[..], &bytes[50..]].concat()));
    }

    #[test]
    fn a_payload_of_another_form_is_not_believed() {
        let payload: Vec<u8> = [id(0).checkpoint.as_bytes(), &[0; 16][..], &[0; 80], &[99]].concat();
        let bytes = crate::frame::encode_frame(STORE, EPOCH, 0, &payload);
        assert!(read_catalogue(&bytes[..], STORE, id(0).checkpoint).unwrap().is_none());
        for length in 0..=payload.len() {
            let bytes = crate::frame::encode_frame(STORE, EPOCH, 0, &payload[..length]);
            let believed = read_catalogue(&bytes[..], STORE, id(0).checkpoint).unwrap().is_some();
            assert_eq!(believed, length == 112, "{length}");
        }
    }
}
