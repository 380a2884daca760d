//! Reading the catalogue. Whatever does not fit means that it is not believed.

use std::collections::HashMap;
use std::sync::Arc;

use constellation_store_core::{
    ExtraMembers, ImageMetadata, ImageSummary, Origin, RegistryHash, Revision, SourceHash, StructuralHash,
    SyntacticHash, SyntacticKey, Timestamp, Version, VersionHistory,
};
use uuid::Uuid;

use super::{Catalogue, Content, EPOCH, Entries, Entry, Stamps};
use crate::frame::{FRAME_FORMAT, read_frame};
use crate::seeded::{self, SeededBug};

/// The catalogue in `bytes`, if it is of this store and its last section is of this checkpoint.
pub(crate) fn read_catalogue(bytes: &[u8], store: Uuid, checkpoint: Uuid) -> Option<Catalogue> {
    let mut catalogue = Catalogue {
        content: Content::default(),
        stamps: Stamps::default(),
        sections: 0,
        first_bytes: 0,
        bytes: 0,
    };
    let mut last = Uuid::nil();
    let mut outputs = Outputs::default();
    let mut entries = Entries::default();
    let mut rest = bytes;
    while let Some((frame, length)) = read_frame(rest, EPOCH, catalogue.sections) {
        let mut reader = Reader { rest: frame.payload, outputs };
        let id = Uuid::from_bytes(reader.array()?);
        let previous = Uuid::from_bytes(reader.array()?);
        // What is behind the last section may be left of an earlier, longer catalogue.
        if frame.format != FRAME_FORMAT
            || frame.store != store
            || frame.sequence != catalogue.sections
            || (catalogue.sections > 0 && previous != last)
        {
            break;
        }
        for stamp in &mut catalogue.stamps {
            *stamp = reader.array()?;
        }
        while !reader.rest.is_empty() {
            entries.add(reader.entry()?);
        }
        outputs = reader.outputs;
        last = id;
        catalogue.sections += 1;
        catalogue.bytes += length as u64;
        if catalogue.sections == 1 {
            catalogue.first_bytes = catalogue.bytes;
        }
        rest = &rest[length..];
    }
    let fits = last == checkpoint || seeded::is_on(SeededBug::CatalogueOfAnyCheckpoint);
    if catalogue.sections == 0 || !fits {
        return None;
    }
    catalogue.content = entries.into_content();
    Some(catalogue)
}

/// Names of outputs that were read before. Most images have the same few.
type Outputs<'a> = HashMap<&'a [u8], Arc<[Arc<str>]>>;

struct Reader<'a> {
    rest: &'a [u8],
    outputs: Outputs<'a>,
}

impl<'a> Reader<'a> {
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
                compiler: self.option(|reader| reader.text().map(Into::into))?,
                extra: self.extra()?,
            },
            outputs: self.outputs()?,
        })
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
        let known = self.outputs.entry(encoded).or_insert_with(|| names.into_iter().map(Arc::from).collect());
        Some(Arc::clone(known))
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
