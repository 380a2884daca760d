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
    let mut last = Uuid::nil();
    let mut shared = Shared::default();
    let mut entries = Entries::default();
    let mut window = Window::new(source);
    while let Some(header) = window.header(catalogue.sections)? {
        // What is behind the last section may be left of an earlier, longer catalogue.
        let is_next =
            header.format == FRAME_FORMAT && header.store == store && header.sequence == catalogue.sections;
        if !is_next {
            break;
        }
        let Some(section) = window.section(&header, &mut shared)? else { break };
        let Section { id, previous, stamps, entries: of_section } = section;
        if catalogue.sections > 0 && previous != last {
            break;
        }
        let Some(of_section) = of_section else { return Ok(None) };
        last = id;
        catalogue.stamps = stamps;
        entries.append(of_section);
        catalogue.sections += 1;
        catalogue.bytes += HEADER_BYTES as u64 + header.payload;
        if catalogue.sections == 1 {
            catalogue.first_bytes = catalogue.bytes;
        }
    }
    let fits = last == checkpoint || seeded::is_on(SeededBug::CatalogueOfAnyCheckpoint);
    if catalogue.sections == 0 || !fits {
        return Ok(None);
    }
    catalogue.content = entries.into_content();
    Ok(Some(catalogue))
}

/// What a section says.
#[derive(Default)]
struct Section {
    id: Uuid,
    previous: Uuid,
    stamps: Stamps,
    /// None where they are of another form.
    entries: Option<Entries>,
}

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
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
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

    /// The header of the section with this number, if there is one.
    fn header(&mut self, number: u64) -> io::Result<Option<FrameHeader>> {
        loop {
            if let Some(header) = self.filled().first_chunk() {
                let header = FrameHeader::read(header, EPOCH, number);
                self.start += HEADER_BYTES;
                return Ok(header);
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// The section behind a header, if it is whole.
    fn section(&mut self, header: &FrameHeader, shared: &mut Shared) -> io::Result<Option<Section>> {
        let mut hasher = header.hasher();
        let mut left = header.payload;
        let mut section: Option<Section> = None;
        loop {
            let filled = self.filled();
            let available = usize::try_from(left).map_or(filled, |left| &filled[..left.min(filled.len())]);
            let is_last = available.len() as u64 == left;
            let mut reader = Reader { rest: available, shared };
            reader.read(&mut section);
            let mut done = available.len() - reader.rest.len();
            if is_last && done < available.len() {
                // Of another form. Whether it is whole is still to be told.
                if let Some(section) = &mut section {
                    section.entries = None;
                }
                done = available.len();
            }
            hasher.update(&available[..done]);
            self.start += done;
            left -= done as u64;
            if left == 0 {
                return Ok(header.has_hash(&hasher).then(|| section.unwrap_or_default()));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
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
    shared: &'s mut Shared,
}

impl<'a> Reader<'a, '_> {
    /// Reads the start of a section, unless that was read, and all entries that are there as a whole.
    fn read(&mut self, section: &mut Option<Section>) {
        let mut whole = self.rest;
        if section.is_none() {
            *section = self.start();
            if section.is_some() {
                whole = self.rest;
            }
        }
        if let Some(Section { entries: Some(entries), .. }) = section {
            while !self.rest.is_empty()
                && let Some(entry) = self.entry()
            {
                entries.add(entry);
                whole = self.rest;
            }
        }
        self.rest = whole;
    }

    /// What stands before the entries of a section.
    fn start(&mut self) -> Option<Section> {
        let id = Uuid::from_bytes(self.array()?);
        let previous = Uuid::from_bytes(self.array()?);
        let mut stamps = Stamps::default();
        for stamp in &mut stamps {
            *stamp = self.array()?;
        }
        Some(Section { id, previous, stamps, entries: Some(Entries::default()) })
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
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
