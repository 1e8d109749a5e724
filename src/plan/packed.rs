//! Plain creates, packed: the plan of a first load has a million of them, and as changes of their own they would take three
//! times the memory of their texts. They are handed out by directory id, whatever the order in which they came.

use crate::model::{Change, DesiredUser, DirectoryId, Names, UserName};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};

/// How many creates a chunk holds. A chunk is freed when its last one was handed out.
const CREATES_PER_CHUNK: usize = 4_096;
/// Stands for a name that is left alone.
const NO_NAME: u16 = u16::MAX;

/// A create of a user who had no account, and that waits for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlainCreate<'p> {
    /// The directory id.
    pub id: &'p str,
    /// The username.
    pub user_name: &'p str,
    /// The given name; `None`: it is left alone.
    pub given: Option<&'p str>,
    /// The family name; `None`: it is left alone.
    pub family: Option<&'p str>,
}

impl<'p> PlainCreate<'p> {
    /// The plain create that a change is, if it is one.
    fn of(change: &'p Change) -> Option<Self> {
        match change {
            Change::Create { user, after_removal_of: None, vanished: false } => Some(Self {
                id: user.id.as_str(),
                user_name: user.user_name.as_str(),
                given: user.names.given.as_deref(),
                family: user.names.family.as_deref(),
            }),
            Change::Create { .. } | Change::Update { .. } | Change::Remove { .. } | Change::Relink { .. } => None,
        }
    }

    /// The change that it is.
    #[must_use]
    pub fn to_change(self) -> Change {
        let user = DesiredUser {
            id: DirectoryId::new(self.id),
            user_name: UserName::of_account(self.user_name),
            names: Names { given: self.given.map(Into::into), family: self.family.map(Into::into) },
        };
        Change::Create { user, after_removal_of: None, vanished: false }
    }

    fn texts(&self) -> [&'p str; 4] {
        [self.id, self.user_name, self.given.unwrap_or_default(), self.family.unwrap_or_default()]
    }
}

/// The lengths of its texts, in bytes.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    id: u8,
    user_name: u8,
    given: u16,
    family: u16,
}

impl Lengths {
    /// `None`: a text is too long.
    fn of(create: &PlainCreate<'_>) -> Option<Self> {
        let name = |name: Option<&str>| match name {
            None => Some(NO_NAME),
            Some(name) => u16::try_from(name.len()).ok().filter(|length| *length != NO_NAME),
        };
        Some(Self {
            id: u8::try_from(create.id.len()).ok()?,
            user_name: u8::try_from(create.user_name.len()).ok()?,
            given: name(create.given)?,
            family: name(create.family)?,
        })
    }

    fn total(self) -> usize {
        let name = |length| if length == NO_NAME { 0 } else { usize::from(length) };
        usize::from(self.id) + usize::from(self.user_name) + name(self.given) + name(self.family)
    }

    /// The create at the beginning of `texts`.
    fn read(self, texts: &str) -> PlainCreate<'_> {
        let (id, texts) = texts.split_at(self.id.into());
        let (user_name, texts) = texts.split_at(self.user_name.into());
        let name = |length: u16, texts| match length {
            NO_NAME => (None, texts),
            length => {
                let (name, texts) = str::split_at(texts, length.into());
                (Some(name), texts)
            }
        };
        let (given, texts) = name(self.given, texts);
        PlainCreate { id, user_name, given, family: name(self.family, texts).0 }
    }
}

/// Some creates by directory id, at least one.
#[derive(Clone, Debug)]
struct Chunk {
    texts: Box<str>,
    lengths: Box<[Lengths]>,
}

impl Chunk {
    /// A chunk of creates; `None` if there is nobody.
    fn of(mut creates: Vec<(PlainCreate<'_>, Lengths)>) -> Option<Self> {
        creates.sort_by_key(|(create, _)| create.id);
        let texts: String = creates.iter().flat_map(|(create, _)| create.texts()).collect();
        let lengths: Box<[_]> = creates.into_iter().map(|(_, lengths)| lengths).collect();
        (!lengths.is_empty()).then(|| Self { texts: texts.into(), lengths })
    }

    fn creates(&self) -> impl Iterator<Item = (PlainCreate<'_>, Lengths)> {
        creates_in(&self.texts, &self.lengths)
    }

    fn first_id(&self) -> &str {
        self.creates().next().map_or("", |(create, _)| create.id)
    }
}

fn creates_in<'p>(texts: &'p str, lengths: &'p [Lengths]) -> impl Iterator<Item = (PlainCreate<'p>, Lengths)> {
    lengths.iter().scan(texts, |texts, lengths| {
        let create = lengths.read(texts);
        *texts = &texts[lengths.total()..];
        Some((create, *lengths))
    })
}

/// A place in a chunk. The least of several has the least id.
struct Cursor<C> {
    chunk: C,
    at: usize,
    text_at: usize,
}

impl<C: Borrow<Chunk>> Cursor<C> {
    fn here(&self) -> PlainCreate<'_> {
        let chunk = self.chunk.borrow();
        chunk.lengths[self.at].read(&chunk.texts[self.text_at..])
    }

    /// Goes on to the next; false if there is none.
    fn advance(&mut self) -> bool {
        let chunk = self.chunk.borrow();
        self.text_at += chunk.lengths[self.at].total();
        self.at += 1;
        self.at < chunk.lengths.len()
    }
}

impl<C: Borrow<Chunk>> Ord for Cursor<C> {
    /// A heap has the greatest on top.
    fn cmp(&self, other: &Self) -> Ordering {
        other.here().id.cmp(self.here().id)
    }
}

impl<C: Borrow<Chunk>> PartialOrd for Cursor<C> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<C: Borrow<Chunk>> PartialEq for Cursor<C> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<C: Borrow<Chunk>> Eq for Cursor<C> {}

/// The creates of all chunks by directory id. In an export that is in that order one chunk is read after the other.
struct Merge<C> {
    /// By their first ids.
    waiting: VecDeque<C>,
    running: BinaryHeap<Cursor<C>>,
}

impl<C: Borrow<Chunk>> Merge<C> {
    fn of(chunks: impl Iterator<Item = C>) -> Self {
        let mut waiting: VecDeque<_> = chunks.collect();
        waiting.make_contiguous().sort_by(|a, b| a.borrow().first_id().cmp(b.borrow().first_id()));
        Self { waiting, running: BinaryHeap::new() }
    }

    fn next_with<V>(&mut self, take: impl FnOnce(PlainCreate<'_>) -> V) -> Option<V> {
        while let Some(chunk) = self.waiting.front()
            && self.running.peek().is_none_or(|least| chunk.borrow().first_id() <= least.here().id)
        {
            self.running.extend(self.waiting.pop_front().map(|chunk| Cursor { chunk, at: 0, text_at: 0 }));
        }
        let mut least = self.running.peek_mut()?;
        let taken = take(least.here());
        if !least.advance() {
            PeekMut::pop(least);
        }
        Some(taken)
    }
}

impl<C: Borrow<Chunk>> Iterator for Merge<C> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        self.next_with(|create| create.to_change())
    }
}

/// Plain creates that are being collected.
#[derive(Debug, Default)]
pub(super) struct Packer {
    chunks: Vec<Chunk>,
    texts: String,
    lengths: Vec<Lengths>,
}

impl Packer {
    /// Takes a change that is a plain create; gives back any other.
    pub(super) fn take(&mut self, change: Change) -> Option<Change> {
        let Some((create, lengths)) = PlainCreate::of(&change).and_then(|create| Some((create, Lengths::of(&create)?)))
        else {
            return Some(change);
        };
        self.texts.extend(create.texts());
        self.lengths.push(lengths);
        if self.lengths.len() == CREATES_PER_CHUNK {
            self.end_chunk();
        }
        None
    }

    /// The creates so far.
    pub(super) fn end(mut self) -> PackedCreates {
        self.end_chunk();
        PackedCreates { chunks: self.chunks }
    }

    fn end_chunk(&mut self) {
        self.chunks.extend(Chunk::of(creates_in(&self.texts, &self.lengths).collect()));
        self.texts.clear();
        self.lengths.clear();
    }
}

/// Plain creates, handed out by directory id.
#[derive(Clone, Debug, Default)]
pub struct PackedCreates {
    chunks: Vec<Chunk>,
}

impl PackedCreates {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.lengths.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Calls `each` for every one, without making a change of it.
    pub fn each(&self, mut each: impl FnMut(PlainCreate<'_>)) {
        let mut creates = Merge::of(self.chunks.iter());
        while creates.next_with(&mut each).is_some() {}
    }

    /// Each as a change.
    pub fn iter(&self) -> impl Iterator<Item = Change> + use<'_> {
        Merge::of(self.chunks.iter())
    }

    /// Each as a change; its memory is freed along the way.
    pub fn into_changes(self) -> impl Iterator<Item = Change> {
        Merge::of(self.chunks.into_iter())
    }

    /// Takes out those that `is_meant` says.
    pub fn take_out(&mut self, mut is_meant: impl FnMut(&PlainCreate<'_>) -> bool) -> Vec<Change> {
        let mut taken = Vec::new();
        self.chunks.retain_mut(|chunk| {
            let (meant, others): (Vec<_>, Vec<_>) = chunk.creates().partition(|(create, _)| is_meant(create));
            if meant.is_empty() {
                return true;
            }
            taken.extend(meant.into_iter().map(|(create, _)| create.to_change()));
            let rest = Chunk::of(others);
            rest.map(|rest| *chunk = rest).is_some()
        });
        taken
    }
}

impl PartialEq for PackedCreates {
    /// However they came to be packed.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(id: usize, given: Option<&str>) -> Change {
        let (id, user_name) = (format!("{id:06}"), format!("p{id}@x.example"));
        PlainCreate { id: &id, user_name: &user_name, given, family: Some("") }.to_change()
    }

    fn packed(ids: impl Iterator<Item = usize>) -> PackedCreates {
        let mut packer = Packer::default();
        for id in ids {
            assert_eq!(packer.take(create(id, Some("L\u{e9}a").filter(|_| id % 3 > 0))), None);
        }
        packer.end()
    }

    fn ids(changes: impl Iterator<Item = Change>) -> Vec<usize> {
        changes.map(|change| change.directory_id().as_str().parse().expect("a number")).collect()
    }

    #[test]
    fn they_come_out_by_id_and_as_they_went_in_whatever_the_order() {
        let count = 3 * CREATES_PER_CHUNK + 5;
        let in_order = packed(0..count);
        let expected: Vec<_> = (0..count).collect();
        // 7,919 is a prime, so each number comes once.
        for other in [in_order.clone(), packed((0..count).rev()), packed((0..count).map(|n| n * 7_919 % count))] {
            assert_eq!(ids(other.iter()), expected);
            assert_eq!(other, in_order);
            assert_eq!(other.len(), count);
            let mut each = Vec::new();
            other.each(|create| each.push(create.to_change()));
            assert!(other.iter().eq(each) && other.clone().into_changes().eq(in_order.iter()));
        }
        assert_eq!(in_order.iter().nth(4), Some(create(4, Some("L\u{e9}a"))));
        assert_eq!(in_order.iter().nth(6), Some(create(6, None)));
    }

    #[test]
    fn whoever_is_taken_out_is_gone_and_the_others_stay() {
        let count = 2 * CREATES_PER_CHUNK;
        let mut creates = packed((0..count).rev());
        let is_third = |create: &PlainCreate<'_>| create.given.is_none();
        let mut taken = ids(creates.take_out(is_third).into_iter());
        taken.sort_unstable();
        assert_eq!(taken, (0..count).step_by(3).collect::<Vec<_>>());
        assert_eq!(creates, packed((0..count).filter(|id| id % 3 > 0)));
        assert_eq!((creates.take_out(|_| false), creates.take_out(is_third)), (Vec::new(), Vec::new()));
        creates.take_out(|_| true);
        assert!(creates.is_empty() && creates.iter().next().is_none());
    }

    #[test]
    fn what_waits_what_is_no_create_and_what_is_too_long_is_given_back() {
        let mut packer = Packer::default();
        let long = "x".repeat(256);
        let mut late = create(1, None);
        if let Change::Create { after_removal_of, .. } = &mut late {
            *after_removal_of = Some(DirectoryId::new("a"));
        }
        let too_long = PlainCreate { id: &long, user_name: "a@x.example", given: None, family: None }.to_change();
        for change in [late, too_long] {
            assert_eq!(packer.take(change.clone()), Some(change));
        }
        assert!(packer.end().is_empty());
    }
}
