//! Objects of canonical JSON, written member by member and sorted when they end.

use std::cmp::Ordering;
use std::ops::Range;

use super::{compare_keys, write_string};

/// Canonical JSON that is being written. Values go to `out`; objects go through [`CanonicalWriter::open`].
#[derive(Debug, Default)]
pub(crate) struct CanonicalWriter {
    pub(crate) out: Vec<u8>,
    /// Those of all open objects, the innermost last.
    members: Vec<Member>,
}

/// Where a member is written. Its key stands between quotes, from `start` to the colon before `value`.
#[derive(Debug, Clone, Copy)]
struct Member {
    start: usize,
    value: usize,
    end: usize,
    /// Whether the key may have escapes, so that it is not compared as it is written.
    has_escapes: bool,
}

/// An object that has not ended.
#[derive(Debug)]
pub(crate) struct OpenObject {
    start: usize,
    first: usize,
    /// Whether each key came after those that are less, and none twice.
    is_sorted: bool,
}

impl CanonicalWriter {
    /// For about so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), members: Vec::with_capacity(16) }
    }

    pub(crate) fn open(&mut self) -> OpenObject {
        self.out.push(b'{');
        OpenObject { start: self.out.len(), first: self.members.len(), is_sorted: true }
    }

    /// Starts a member; its key is written to `out` next.
    pub(crate) fn start_member(&mut self, object: &OpenObject) {
        if self.out.len() > object.start {
            self.out.push(b',');
        }
        let start = self.out.len();
        self.members.push(Member { start, value: start, end: start, has_escapes: false });
    }

    /// Ends the key that was written; its value is written to `out` next.
    pub(crate) fn end_key(&mut self, object: &mut OpenObject, has_escapes: bool) {
        self.out.push(b':');
        let [before @ .., member] = &mut self.members[object.first..] else { return };
        (member.value, member.has_escapes) = (self.out.len(), has_escapes);
        if let Some(before) = before.last() {
            object.is_sorted = object.is_sorted && compare(&self.out, before, member).is_lt();
        }
    }

    /// Starts a member with this key; its value is written to `out` next.
    pub(crate) fn key(&mut self, object: &mut OpenObject, key: &str) {
        self.start_member(object);
        let start = self.out.len();
        write_string(key, &mut self.out);
        let quotes = 2;
        self.end_key(object, self.out.len() > start + key.len() + quotes);
    }

    /// Ends the member that was started last.
    pub(crate) fn end_member(&mut self) {
        if let Some(member) = self.members.last_mut() {
            member.end = self.out.len();
        }
    }

    /// Takes back the member that was started last, with its value.
    pub(crate) fn take_back(&mut self, object: &OpenObject) {
        if let Some(Member { start, .. }) = self.members.pop() {
            // With the comma before it, if there is one.
            self.out.truncate(object.start.max(start - 1));
        }
    }

    /// Sorts the members. Of those with one key the last stays, and the key is returned, as it is written.
    pub(crate) fn sort(&mut self, object: &OpenObject) -> Option<String> {
        if object.is_sorted {
            return None;
        }
        let members = &mut self.members[object.first..];
        members.sort_by(|left, right| compare(&self.out, left, right));
        // They are written once more behind themselves, and then moved to where they were.
        let (unsorted, mut repeated) = (self.out.len(), None);
        let move_back = unsorted - object.start;
        let mut members = members.iter_mut().peekable();
        while let Some(member) = members.next() {
            if members.peek().is_some_and(|next| key(&self.out, next) == key(&self.out, member)) {
                repeated = Some(String::from_utf8_lossy(key(&self.out, member)).into_owned());
                continue;
            }
            if self.out.len() > unsorted {
                self.out.push(b',');
            }
            let Member { start, value, end, has_escapes: _ } = member;
            let moved = self.out.len() - move_back;
            self.out.extend_from_within(*start..*end);
            (*start, *value, *end) = (moved, moved + (*value - *start), self.out.len() - move_back);
        }
        self.out.drain(object.start..unsorted);
        repeated
    }

    /// Where the value of a member is whose key needs no escapes, as long as no object around it is sorted.
    pub(crate) fn value(&self, object: &OpenObject, name: &str) -> Option<Range<usize>> {
        let mut members = self.members[object.first..].iter().rev();
        let member = members.find(|member| key(&self.out, member) == name.as_bytes())?;
        Some(member.value..member.end)
    }

    /// Ends an object whose members are sorted.
    pub(crate) fn close(&mut self, object: &OpenObject) {
        self.members.truncate(object.first);
        self.out.push(b'}');
    }
}

/// The key of a member, as it is written in `out`.
fn key<'o>(out: &'o [u8], member: &Member) -> &'o [u8] {
    &out[member.start + 1..member.value - 2]
}

fn compare(out: &[u8], left: &Member, right: &Member) -> Ordering {
    let [left_key, right_key] = [left, right].map(|member| key(out, member));
    if !left.has_escapes && !right.has_escapes {
        return compare_keys(left_key, right_key);
    }
    let [left, right] = [left, right].map(|member| {
        let quoted = &out[member.start..member.value - 1];
        serde_json::from_slice::<String>(quoted).expect("a string that was written reads back")
    });
    compare_keys(left.as_bytes(), right.as_bytes())
}
