//! From the text of JSON to canonical JSON, in one pass and without values in between.
//!
//! An opening without the catalogue does this to every document of a store. A reader that has to offer what it reads
//! to any visitor takes several times as long, so this one is written for the one thing that becomes of it here. What
//! documents are made of, strings without escapes and small integers, is copied as it stands; other strings and other
//! numbers are read by `serde_json`.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::{Deserialize as _, Error as _};
use serde_json::{Error, Number};

use super::writer::{CanonicalWriter, OpenObject};
use super::{duplicate_key, is_exact, write_number, write_string};

/// How many arrays and objects may be open within one another, which is as many as `serde_json` takes.
const MAX_DEPTH: usize = 127;
/// An integer of so many digits is below 2^53.
const EXACT_DIGITS: usize = 15;

/// Reads JSON in which no object repeats a key, and writes it as canonical JSON. It takes what
/// [`StrictJson`](super::StrictJson) takes, and writes what [`canonical_json`](super::canonical_json) does.
#[derive(Debug)]
pub(crate) struct Transcoder<'t> {
    text: &'t str,
    /// What was not read yet.
    rest: &'t [u8],
    /// The text from the last key on that was read.
    key: &'t [u8],
    /// How many arrays and objects are open.
    depth: usize,
    pub(crate) writer: CanonicalWriter,
    /// Whether all numbers were integers that canonical JSON keeps as they are.
    pub(crate) is_exact: bool,
}

/// An object whose members are being read.
#[derive(Debug)]
pub(crate) struct ReadObject {
    written: OpenObject,
    has_members: bool,
}

impl<'t> Transcoder<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let writer = CanonicalWriter::with_capacity(text.len());
        Self { text, rest: text.as_bytes(), key: b"", depth: 0, writer, is_exact: true }
    }

    /// Reads a value.
    pub(crate) fn value(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'"') => self.string().map(drop)?,
            Some(b'{') => {
                let object = self.members()?;
                self.writer.close(&object);
            }
            Some(b'[') => self.array()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            Some(_) => return Err(self.error("expected value")),
            None => return Err(self.ended()),
        }
        Ok(())
    }

    /// Reads a value by `read`. Returns how it stands in the text, too.
    pub(crate) fn with_text<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<(&'t str, T), Error> {
        self.peek();
        let start = self.place();
        let value = read(self)?;
        Ok((&self.text[start..self.place()], value))
    }

    /// Reads a value. Returns where the value of its member `key` is in what is written of it, if it is an object with
    /// such a member.
    pub(crate) fn value_with(&mut self, key: &str) -> Result<Option<Range<usize>>, Error> {
        if self.peek() != Some(b'{') {
            self.value()?;
            return Ok(None);
        }
        let start = self.writer.out.len();
        let object = self.members()?;
        let found = self.writer.value(&object, key);
        self.writer.close(&object);
        Ok(found.map(|range| range.start - start..range.end - start))
    }

    /// Reads the start of an object. Its members follow, each by [`Transcoder::member`] and what reads its value.
    pub(crate) fn open_object(&mut self) -> Result<ReadObject, Error> {
        if self.peek() != Some(b'{') {
            return Err(self.error("expected an object"));
        }
        self.descend()?;
        Ok(ReadObject { written: self.writer.open(), has_members: false })
    }

    /// Reads the key of another member, which [`Transcoder::key`] tells, or else the end of the object.
    pub(crate) fn member(&mut self, object: &mut ReadObject) -> Result<bool, Error> {
        if object.has_members {
            self.writer.end_member();
        }
        if !self.goes_on(b'}', object.has_members)? {
            return Ok(false);
        }
        object.has_members = true;
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a key"));
        }
        self.writer.start_member(&object.written);
        self.key = self.rest;
        let has_escapes = self.string()?;
        self.writer.end_key(&mut object.written, has_escapes);
        if self.peek() != Some(b':') {
            return Err(self.error("expected `:`"));
        }
        self.skip();
        Ok(true)
    }

    /// The key that was read last.
    pub(crate) fn key(&self) -> Cow<'t, str> {
        let quoted = || serde_json::Deserializer::from_slice(self.key);
        match <&str>::deserialize(&mut quoted()) {
            Ok(key) => Cow::Borrowed(key),
            // It has escapes.
            Err(_) => Cow::Owned(String::deserialize(&mut quoted()).expect("it was read before")),
        }
    }

    /// Leaves the member that was read last out of what is written.
    pub(crate) fn leave_out(&mut self, object: &ReadObject) {
        self.writer.take_back(&object.written);
    }

    /// Sorts the members of an object that was read, whose end is still to be written.
    pub(crate) fn sort(&mut self, object: ReadObject) -> Result<OpenObject, Error> {
        match self.writer.sort(&object.written) {
            Some(key) => Err(duplicate_key(&key)),
            None => Ok(object.written),
        }
    }

    /// Reads the end of the text.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        if self.peek().is_some() { Err(self.error("trailing characters")) } else { Ok(()) }
    }

    fn members(&mut self) -> Result<OpenObject, Error> {
        let mut object = self.open_object()?;
        while self.member(&mut object)? {
            self.value()?;
        }
        self.sort(object)
    }

    fn array(&mut self) -> Result<(), Error> {
        self.descend()?;
        self.writer.out.push(b'[');
        let mut has_items = false;
        while self.goes_on(b']', has_items)? {
            if has_items {
                self.writer.out.push(b',');
            }
            has_items = true;
            self.value()?;
        }
        self.writer.out.push(b']');
        Ok(())
    }

    /// Reads the bracket that opens an array or object.
    fn descend(&mut self) -> Result<(), Error> {
        self.skip();
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.error("recursion limit exceeded")) } else { Ok(()) }
    }

    /// Reads the bracket that closes an array or object, or else the comma after what was read of it.
    fn goes_on(&mut self, bracket: u8, has_begun: bool) -> Result<bool, Error> {
        match self.peek() {
            Some(byte) if byte == bracket => {
                self.skip();
                self.depth -= 1;
                Ok(false)
            }
            Some(b',') if has_begun => {
                self.skip();
                Ok(true)
            }
            Some(_) if !has_begun => Ok(true),
            Some(_) => Err(self.error("expected `,`, or what closes an array or object")),
            None => Err(self.ended()),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), Error> {
        self.rest = self.rest.strip_prefix(word.as_bytes()).ok_or_else(|| self.error("expected value"))?;
        self.writer.out.extend_from_slice(word.as_bytes());
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        let sign = usize::from(self.rest.starts_with(b"-"));
        let digits = self.rest[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (integer, rest) = self.rest.split_at(sign + digits);
        let is_plain = match integer {
            [b'0'] => true,
            [b'-', b'0', ..] | [b'0', ..] => false,
            _ => (1..=EXACT_DIGITS).contains(&digits),
        };
        if is_plain && !matches!(rest, [b'.' | b'e' | b'E', ..]) {
            self.writer.out.extend_from_slice(integer);
            self.rest = rest;
            return Ok(());
        }
        let start = self.place();
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let length = self.rest.iter().take_while(is_part).count();
        let number: Number = serde_json::from_str(&self.text[start..start + length])
            .map_err(|_| self.error("a number is malformed or out of range"))?;
        self.rest = &self.rest[length..];
        self.is_exact &= is_exact(&number);
        write_number(&number, &mut self.writer.out);
        Ok(())
    }

    /// Reads a string, which begins here. Returns whether it has escapes.
    fn string(&mut self) -> Result<bool, Error> {
        let start = self.rest;
        let mut length = 1 + plain_length(&start[1..]);
        let mut has_escapes = false;
        loop {
            match &start[length..] {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    break;
                }
                // Whatever is escaped ends nothing.
                [b'\\', _, rest @ ..] => {
                    has_escapes = true;
                    length += 2 + plain_length(rest);
                }
                [] | [b'\\'] => return Err(self.ended()),
                _ => return Err(self.error("a control character in a string")),
            }
        }
        let quoted = &start[..=length];
        if has_escapes {
            let text: String =
                serde_json::from_slice(quoted).map_err(|_| self.error("a string has an invalid escape"))?;
            write_string(&text, &mut self.writer.out);
        } else {
            self.writer.out.extend_from_slice(quoted);
        }
        Ok(has_escapes)
    }

    /// The next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.rest {
                [byte, ..] if *byte > b' ' => return Some(*byte),
                [b'\n', rest @ ..] => self.rest = &rest[indentation(rest)..],
                [b' ' | b'\t' | b'\r', rest @ ..] => self.rest = rest,
                [byte, ..] => return Some(*byte),
                [] => return None,
            }
        }
    }

    /// Passes over the byte that was seen.
    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// How many bytes of the text were read.
    fn place(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn ended(&self) -> Error {
        self.error("it ends in the middle of a value")
    }

    #[cold]
    fn error(&self, message: &str) -> Error {
        let read = &self.text[..self.place()];
        let line = 1 + read.matches('\n').count();
        let column = 1 + read.len() - read.rfind('\n').map_or(0, |end| end + 1);
        Error::custom(format_args!("{message} at line {line} column {column}"))
    }
}

/// How many spaces there are at the start, or less.
fn indentation(bytes: &[u8]) -> usize {
    const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk() {
        let others = u64::from_le_bytes(*chunk) ^ SPACES;
        if others != 0 {
            return bytes.len() - rest.len() + first_byte(others);
        }
        rest = after;
    }
    bytes.len() - rest.len()
}

/// How many bytes of a string stand before its end, an escape, or what has no place in a string.
fn plain_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk() {
        let found = special(u64::from_le_bytes(*chunk));
        if found != 0 {
            return bytes.len() - rest.len() + first_byte(found);
        }
        rest = after;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    bytes.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Of eight bytes: the lowest bit that is set is in the first one that is a quote, a backslash or a control character.
/// None is set if there is none.
fn special(bytes: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let all = |byte: u8| ONES * u64::from(byte);
    // A byte below `bound` borrows from its highest bit, and so may those after it. Bytes from 0x80 on do not.
    let below = |bytes: u64, bound: u8| bytes.wrapping_sub(all(bound)) & !bytes & HIGH;
    // With this bit changed the quote is a space, and of the rest the control characters alone are below it.
    below(bytes ^ all(b'"' ^ b' '), b' ' + 1) | below(bytes ^ all(b'\\'), 1)
}

/// Which of eight bytes has the lowest bit that is set.
fn first_byte(bits: u64) -> usize {
    (bits.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests;
