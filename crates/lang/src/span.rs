//! Places in a source text.

use std::ops::Range;

/// A part of a source text, in bytes from its start: `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The span between two offsets. A source is at most 1 MiB, so that 32 bits hold every offset.
    pub fn new(start: usize, end: usize) -> Self {
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end) }
    }

    /// The span from the start of this one to the end of `last`.
    pub fn to(self, last: Span) -> Self {
        Self { start: self.start, end: last.end.max(self.start) }
    }

    /// The span as a range of byte offsets.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where an offset is, as people count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Line, from 1. A line ends after each line feed.
    pub line: u32,
    /// Column, from 1, in characters. A carriage return counts as one.
    pub column: u32,
}

/// Finds the position of an offset.
#[derive(Debug, Clone)]
pub struct LineIndex<'a> {
    source: &'a str,
    starts: Vec<u32>,
}

impl<'a> LineIndex<'a> {
    /// Notes where the lines of `source` start.
    pub fn new(source: &'a str) -> Self {
        let breaks = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(offset, _)| Span::new(offset + 1, 0).start));
        Self { source, starts: starts.collect() }
    }

    /// The position of a byte offset; one past the end is taken as the end, one inside a character as the start
    /// of that character.
    pub fn position(&self, offset: u32) -> Position {
        let mut offset = (offset as usize).min(self.source.len());
        while !self.source.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start as usize <= offset);
        let start = self.starts[line - 1] as usize;
        // A byte order mark is none of the characters that people count.
        let before = self.source[start..offset].trim_start_matches('\u{feff}');
        let column = before.chars().count() + 1;
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Position { line: narrow(line), column: narrow(column) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = "a = \"\u{e9}\u{1f600}\" b\n\nc";
        let index = LineIndex::new(source);
        let at = |needle: char| index.position(Span::new(source.find(needle).unwrap(), 0).start);
        assert_eq!(at('a'), Position { line: 1, column: 1 });
        assert_eq!(at('b'), Position { line: 1, column: 10 });
        assert_eq!(at('c'), Position { line: 3, column: 1 });
        assert_eq!(index.position(9999), Position { line: 3, column: 2 });
        assert_eq!(index.position(6), Position { line: 1, column: 6 }, "inside a character");
        assert_eq!(LineIndex::new("\u{feff}ab").position(4), Position { line: 1, column: 2 });
    }
}
