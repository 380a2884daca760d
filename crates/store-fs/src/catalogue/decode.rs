//! Reading the catalogue. Whatever does not fit means that it is not believed.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use constellation_store_core::{
    ExtraMembers, ImageMetadata, ImageSummary, Origin, RegistryHash, Revision, SourceHash, StructuralHash,
    SyntacticHash, SyntacticKey, Timestamp, Version, VersionHistory,
};
use uuid::Uuid;

use super::{Catalogue, Content, EPOCH, Entries, Entry, Stamps};
use crate::frame::{FRAME_FORMAT, FrameHeader, HEADER_BYTES};
use crate::seeded::{self, SeededBug};

/// The catalogue that is read from `source`, if it is of this store and its last section is of this checkpoint.
///
/// It is decoded piece by piece, each as soon as it is read: it is as large as half of what is made of it, and memory
/// that is used for the first time takes longer than to decode what is in it.
///
/// # Errors
///
/// Those of the source.
pub(crate) fn read_catalogue(
    source: impl Read,
    store: Uuid,
    checkpoint: Uuid,
) -> io::Result<Option<Catalogue>> {
    let mut catalogue = Catalogue {
        content: Content::default(),
        stamps: Stamps::default(),
        sections: 0,
        first_bytes: 0,
        bytes: 0,
    };
    let mut last = None;
    let mut shared = Shared::default();
    let mut entries = Entries::default();
    let mut window = Window::new(source);
    while let Some(bytes) = window.take()?
        && let Some(header) = FrameHeader::read(&bytes, EPOCH, catalogue.sections)
    {
        // What is behind the last section may be left of an earlier, longer catalogue.
        let is_next =
            header.format == FRAME_FORMAT && header.store == store && header.sequence == catalogue.sections;
        if !is_next {
            break;
        }
        let Some(section) = window.section(&header, last, &mut shared)? else { break };
        let Section { id, stamps, entries: of_section } = section;
        let Some(of_section) = of_section else { return Ok(None) };
        last = Some(id);
        catalogue.stamps = stamps;
        entries.append(of_section);
        catalogue.sections += 1;
        catalogue.bytes += HEADER_BYTES as u64 + header.payload;
        if catalogue.sections == 1 {
            catalogue.first_bytes = catalogue.bytes;
        }
    }
    let Some(last) = last else { return Ok(None) };
    if last != checkpoint && !seeded::is_on(SeededBug::CatalogueOfAnyCheckpoint) {
        return Ok(None);
    }
    catalogue.content = entries.into_content();
    Ok(Some(catalogue))
}

/// What a section says.
struct Section {
    id: Uuid,
    stamps: Stamps,
    /// None where they are of another form.
    entries: Option<Entries>,
}

/// The ids of its checkpoint and of that before, and the stamps.
const START_BYTES: usize = 16 + 16 + size_of::<Stamps>();
/// How many bytes are read at once, unless an entry has more.
const PIECE_BYTES: usize = 256 << 10;

/// What was read of a source, and not decoded yet.
struct Window<R> {
    source: R,
    bytes: Vec<u8>,
    /// Where that starts, and where it ends.
    start: usize,
    end: usize,
}

impl<R: Read> Window<R> {
    fn new(source: R) -> Self {
        Self { source, bytes: vec![0; PIECE_BYTES], start: 0, end: 0 }
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Reads on. Returns whether there was more.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end > self.bytes.len() / 2 {
            self.bytes.resize(2 * self.bytes.len(), 0);
        }
        loop {
            match self.source.read(&mut self.bytes[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next bytes, if there are so many.
    fn take<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        loop {
            if let Some(bytes) = self.filled().first_chunk().copied() {
                self.start += N;
                return Ok(Some(bytes));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// The section behind a header, if it is whole and follows the section before.
    fn section(
        &mut self,
        header: &FrameHeader,
        before: Option<Uuid>,
        shared: &mut Shared,
    ) -> io::Result<Option<Section>> {
        // Shorter ones are none.
        let Some(mut left) = header.payload.checked_sub(START_BYTES as u64) else { return Ok(None) };
        let Some(start) = self.take::<START_BYTES>()? else { return Ok(None) };
        let (ids, stamps) = start.as_chunks::<16>().0.split_at(2);
        let [id, previous] = [ids[0], ids[1]].map(Uuid::from_bytes);
        if before.is_some_and(|before| before != previous) {
            return Ok(None);
        }
        let stamps = stamps.try_into().expect("what is left of the start");
        let mut hasher = header.hasher();
        hasher.update(&start);

        let mut entries = Some(Entries::default());
        while left > 0 {
            let filled = self.filled();
            let available = usize::try_from(left).map_or(filled, |left| &filled[..left.min(filled.len())]);
            let is_all = available.len() as u64 == left;
            let mut reader = Reader { rest: available, ran_out: false, shared };
            if let Some(read) = &mut entries {
                reader.entries(read);
                if !reader.rest.is_empty() && (is_all || !reader.ran_out) {
                    entries = None;
                }
            }
            // What is of another form is hashed alone: only a whole section is told from what a crash left.
            let n_left = if entries.is_some() { reader.rest.len() } else { 0 };
            let n_done = available.len() - n_left;
            hasher.update(&available[..n_done]);
            self.start += n_done;
            left -= n_done as u64;
            if left > 0 && !self.fill()? {
                return Ok(None);
            }
        }
        Ok(header.has_hash(&hasher).then_some(Section { id, stamps, entries }))
    }
}

/// What was read before and many images have.
#[derive(Default)]
struct Shared {
    /// The last version of the compiler.
    compiler: Option<Arc<str>>,
    /// The names of outputs, by their bytes.
    outputs: HashMap<Box<[u8]>, Arc<[Arc<str>]>>,
}

struct Reader<'a, 's> {
    rest: &'a [u8],
    /// Whether something needed more bytes than there are.
    ran_out: bool,
    shared: &'s mut Shared,
}

impl<'a> Reader<'a, '_> {
    /// Reads all entries that are there as a whole.
    fn entries(&mut self, entries: &mut Entries) {
        while !self.rest.is_empty() {
            let start = self.rest;
            let Some(entry) = self.entry() else {
                self.rest = start;
                return;
            };
            entries.add(entry);
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let split = self.rest.split_at_checked(length);
        self.ran_out |= split.is_none();
        let (taken, rest) = split?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let split = self.rest.split_first_chunk();
        self.ran_out |= split.is_none();
        let (taken, rest) = split?;
        self.rest = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    #[expect(clippy::option_option, reason = "the outer one is whether it can be read")]
    fn option<T>(&mut self, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.array()? {
            [0] => Some(None),
            [1] => value(self).map(Some),
            _ => None,
        }
    }

    fn time(&mut self) -> Option<Timestamp> {
        Timestamp::from_milliseconds(i64::from_le_bytes(self.array()?)).ok()
    }

    fn structural_hash(&mut self) -> Option<StructuralHash> {
        self.array().map(StructuralHash::from_bytes)
    }

    fn source_hash(&mut self) -> Option<SourceHash> {
        self.array().map(SourceHash::from_bytes)
    }

    fn syntactic_hash(&mut self) -> Option<SyntacticHash> {
        self.array().map(SyntacticHash::from_bytes)
    }

    fn key(&mut self) -> Option<SyntacticKey> {
        let syntactic = self.syntactic_hash()?;
        Some(SyntacticKey { syntactic, registry: RegistryHash::from_bytes(self.array()?) })
    }

    fn extra(&mut self) -> Option<ExtraMembers> {
        match self.text()? {
            "" => Some(ExtraMembers::default()),
            text => serde_json::from_str(text).ok(),
        }
    }

    fn entry(&mut self) -> Option<Entry> {
        Some(match self.array()? {
            [2] => Entry::ImageRemoved(self.structural_hash()?),
            [4] => Entry::SourceRemoved(self.source_hash()?),
            [5] => Entry::History(Arc::new(self.history()?)),
            [6] => Entry::Indexed(self.key()?, self.structural_hash()?),
            [7] => Entry::IndexRemoved(self.key()?),
            [8] => Entry::Image(Arc::new(self.summary()?)),
            [9] => Entry::Source(self.source_hash()?, self.number()?),
            _ => return None,
        })
    }

    fn summary(&mut self) -> Option<ImageSummary> {
        Some(ImageSummary {
            structural_hash: self.structural_hash()?,
            graph_bytes: self.number()?,
            metadata: ImageMetadata {
                compiled_at: self.time()?,
                module_count: self.number()?,
                input_count: self.number()?,
                output_count: self.number()?,
                source_hash: self.option(Self::source_hash)?,
                syntactic_hash: self.option(Self::syntactic_hash)?,
                compiler: self.option(Self::compiler)?,
                extra: self.extra()?,
            },
            outputs: self.outputs()?,
        })
    }

    fn compiler(&mut self) -> Option<Arc<str>> {
        let version = self.text()?;
        if self.shared.compiler.as_deref() != Some(version) {
            self.shared.compiler = Some(version.into());
        }
        self.shared.compiler.clone()
    }

    fn outputs(&mut self) -> Option<Arc<[Arc<str>]>> {
        let start = self.rest;
        let count = self.count()?;
        // Nothing is reserved by a count: it may be any number.
        let mut names: Vec<&str> = Vec::new();
        for _ in 0..count {
            names.push(self.text()?);
        }
        let encoded = &start[..start.len() - self.rest.len()];
        if let Some(known) = self.shared.outputs.get(encoded) {
            return Some(Arc::clone(known));
        }
        let outputs: Arc<[Arc<str>]> = names.into_iter().map(Arc::from).collect();
        self.shared.outputs.insert(encoded.into(), Arc::clone(&outputs));
        Some(outputs)
    }

    fn history(&mut self) -> Option<VersionHistory> {
        let pipeline_name = self.text()?.parse().ok()?;
        let next_version = self.number()?;
        let active_version = self.option(Self::number)?;
        let loader_source_hash = self.option(Self::source_hash)?;
        let extra = self.extra()?;
        let mut versions = Vec::new();
        for _ in 0..self.count()? {
            if versions.is_empty() {
                // Most names have one or two; growing by doubling would begin with four.
                versions.reserve_exact(1);
            }
            versions.push(self.version()?);
        }
        Some(VersionHistory {
            pipeline_name,
            versions,
            active_version,
            next_version,
            loader_source_hash,
            extra,
        })
    }

    fn version(&mut self) -> Option<Version> {
        Some(Version {
            version: self.number()?,
            structural_hash: self.structural_hash()?,
            created_at: self.time()?,
            revision: Revision(self.number()?),
            origin: match self.array()? {
                [0] => Origin::Compile,
                [1] => Origin::Reload,
                [2] => Origin::Loader,
                [3] => Origin::Alias,
                [4] => Origin::Import,
                _ => return None,
            },
            source_hash: self.option(Self::source_hash)?,
            extra: self.extra()?,
        })
    }
}
