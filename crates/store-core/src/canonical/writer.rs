//! Objects of canonical JSON, written member by member and sorted when they end.

use std::borrow::Cow;
use std::ops::Range;

use super::{compare_keys, write_plain_string, write_string};

/// Canonical JSON that is being written. Values go to `out`; objects go through [`CanonicalWriter::open`].
#[derive(Debug, Default)]
pub(crate) struct CanonicalWriter<'k> {
    pub(crate) out: Vec<u8>,
    /// Those of all open objects, the innermost last.
    members: Vec<Member<'k>>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Member<'k> {
    key: Cow<'k, str>,
    start: usize,
    value: usize,
    end: usize,
}

/// An object that has not ended.
#[derive(Debug)]
pub(crate) struct OpenObject {
    start: usize,
    first: usize,
}

impl<'k> CanonicalWriter<'k> {
    /// For about so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), members: Vec::with_capacity(16), scratch: Vec::new() }
    }

    pub(crate) fn open(&mut self) -> OpenObject {
        self.out.push(b'{');
        OpenObject { start: self.out.len(), first: self.members.len() }
    }

    /// Starts a member; its value is written to `out` next.
    pub(crate) fn key(&mut self, object: &OpenObject, key: Cow<'k, str>) {
        if self.out.len() > object.start {
            self.out.push(b',');
        }
        let start = self.out.len();
        match key {
            // The name of a member in code, or a key as it stands in a document, without escapes: it needs none.
            Cow::Borrowed(key) => write_plain_string(key, &mut self.out),
            Cow::Owned(ref key) => write_string(key, &mut self.out),
        }
        self.out.push(b':');
        self.members.push(Member { key, start, value: self.out.len(), end: 0 });
    }

    /// Ends the member that was started last.
    pub(crate) fn end_member(&mut self) {
        if let Some(member) = self.members.last_mut() {
            member.end = self.out.len();
        }
    }

    /// Sorts the members. Of those with one key the last stays, and the key is returned.
    pub(crate) fn sort(&mut self, object: &OpenObject) -> Option<String> {
        let members = &mut self.members[object.first..];
        if members.is_sorted_by(|left, right| compare_keys(&left.key, &right.key).is_lt()) {
            return None;
        }
        members.sort_by(|left, right| compare_keys(&left.key, &right.key));
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.out[object.start..]);
        self.out.truncate(object.start);
        let mut repeated = None;
        let mut members = members.iter_mut().peekable();
        while let Some(member) = members.next() {
            if members.peek().is_some_and(|next| next.key == member.key) {
                repeated = Some(member.key.to_string());
                continue;
            }
            if self.out.len() > object.start {
                self.out.push(b',');
            }
            let Member { key: _, start, value, end } = member;
            let moved = self.out.len();
            self.out.extend_from_slice(&self.scratch[*start - object.start..*end - object.start]);
            (*start, *value, *end) = (moved, moved + (*value - *start), self.out.len());
        }
        repeated
    }

    /// Where the value of a member is, as long as no object around it is sorted.
    pub(crate) fn value(&self, object: &OpenObject, key: &str) -> Option<Range<usize>> {
        let member = self.members[object.first..].iter().rfind(|member| member.key == key)?;
        Some(member.value..member.end)
    }

    /// Ends an object whose members are sorted.
    pub(crate) fn close(&mut self, object: &OpenObject) {
        self.members.truncate(object.first);
        self.out.push(b'}');
    }
}
