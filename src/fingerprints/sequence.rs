//! The entries of a table in the order of its last reading: the base, with the edits of later readings worked in. Read
//! segment by segment; two of them are in hand.

use super::entry::Entry;
use super::head::Head;
use super::key::{Key, Part, Shelf};
use super::{SEGMENT_ENTRIES, Torn};

/// How a later reading differs from the base.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An entry before the one of this place.
    Insert,
    /// Another entry in this place.
    Replace,
    /// None in this place.
    Delete,
}

/// One difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Edit {
    pub(super) place: u32,
    pub(super) kind: Kind,
    pub(super) entry: Entry,
}

impl Edit {
    pub(super) const BYTES: usize = 4 + 1 + Entry::BYTES;

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.place.to_le_bytes());
        out.push(match self.kind {
            Kind::Insert => 0,
            Kind::Replace => 1,
            Kind::Delete => 2,
        });
        self.entry.put(out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (place, rest) = bytes.split_first_chunk()?;
        let (kind, entry) = rest.split_first()?;
        let kind = match kind {
            0 => Kind::Insert,
            1 => Kind::Replace,
            2 => Kind::Delete,
            _ => return None,
        };
        Some(Self { place: u32::from_le_bytes(*place), kind, entry: Entry::read(entry)? })
    }
}

/// An entry and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Its place in the base, or the one before which it was inserted.
    pub(super) place: u32,
    /// How it differs from the base; none: it is the base's own. Of a deleted one the base's entry is shown.
    pub(super) edited: Option<Kind>,
    /// Its number among those that are there.
    pub(super) number: u32,
    pub(super) entry: Entry,
}

/// One part of the table, segment by segment.
struct Cursor {
    part: Part,
    width: usize,
    left: u32,
    segment: u32,
    buffer: Vec<u8>,
    at: usize,
}

impl Cursor {
    fn new(part: Part, width: usize, count: u32) -> Self {
        Self { part, width, left: count, segment: 0, buffer: Vec::new(), at: 0 }
    }

    fn next(&mut self, shelf: &mut dyn Shelf, key: &Key, reading: u64) -> Result<Option<&[u8]>, Torn> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.at == self.buffer.len() {
            if !shelf.fetch(self.part, self.segment, &mut self.buffer) {
                return Err(Torn);
            }
            key.unseal(reading, self.part, self.segment, &mut self.buffer)?;
            if self.buffer.len() != self.left.min(SEGMENT_ENTRIES) as usize * self.width {
                return Err(Torn);
            }
            (self.segment, self.at) = (self.segment + 1, 0);
        }
        self.left -= 1;
        let bytes = self.buffer.get(self.at..self.at + self.width).ok_or(Torn)?;
        self.at += self.width;
        Ok(Some(bytes))
    }
}

/// The entries in their order.
pub(super) struct Sequence<'s> {
    shelf: &'s mut dyn Shelf,
    key: Key,
    reading: u64,
    base: Cursor,
    edits: Cursor,
    edit: Option<Edit>,
    place: u32,
    number: u32,
}

impl<'s> Sequence<'s> {
    pub(super) fn begin(shelf: &'s mut dyn Shelf, head: &Head) -> Result<Self, Torn> {
        let mut sequence = Self {
            shelf,
            key: head.key(),
            reading: head.reading,
            base: Cursor::new(Part::Base, Entry::BYTES, head.base_count),
            edits: Cursor::new(Part::Edits, Edit::BYTES, head.edits_count),
            edit: None,
            place: 0,
            number: 0,
        };
        sequence.edit = sequence.next_edit()?;
        Ok(sequence)
    }

    /// The next entry, or the place of one that was deleted.
    pub(super) fn next(&mut self) -> Result<Option<Item>, Torn> {
        let place = self.place;
        let (edited, entry) = match self.edit {
            Some(edit) if edit.place < place => return Err(Torn),
            Some(edit) if edit.place == place => {
                self.edit = self.next_edit()?;
                let before = match edit.kind {
                    Kind::Insert => edit.entry,
                    Kind::Replace | Kind::Delete => self.next_base()?.ok_or(Torn)?,
                };
                (Some(edit.kind), if edit.kind == Kind::Delete { before } else { edit.entry })
            }
            Some(_) => (None, self.next_base()?.ok_or(Torn)?),
            None => match self.next_base()? {
                Some(entry) => (None, entry),
                None => return Ok(None),
            },
        };
        let item = Item { place, edited, number: self.number, entry };
        self.number += u32::from(edited != Some(Kind::Delete));
        Ok(Some(item))
    }

    fn next_base(&mut self) -> Result<Option<Entry>, Torn> {
        match self.base.next(self.shelf, &self.key, self.reading)? {
            Some(bytes) => {
                self.place += 1;
                Entry::read(bytes).ok_or(Torn).map(Some)
            }
            None => Ok(None),
        }
    }

    fn next_edit(&mut self) -> Result<Option<Edit>, Torn> {
        match self.edits.next(self.shelf, &self.key, self.reading)? {
            Some(bytes) => Edit::read(bytes).ok_or(Torn).map(Some),
            None => Ok(None),
        }
    }
}

/// Calls `each` with the number and the entry of every record of the last reading.
///
/// # Errors
/// The table cannot be used.
pub fn each_entry(shelf: &mut dyn Shelf, head: &Head, each: &mut dyn FnMut(u32, &Entry)) -> Result<(), Torn> {
    let mut sequence = Sequence::begin(shelf, head)?;
    while let Some(item) = sequence.next()? {
        if item.edited != Some(Kind::Delete) {
            each(item.number, &item.entry);
        }
    }
    Ok(())
}
