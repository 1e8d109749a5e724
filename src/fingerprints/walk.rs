//! Goes through a table beside the records of a new reading: whether the next record is the one that was there, and, where it
//! is not, how the new reading differs.

use super::entry::{Entry, Said};
use super::head::Head;
use super::key::{Key, Part, Shelf};
use super::sequence::{Edit, Item, Kind, Sequence};
use super::{SEGMENT_ENTRIES, Torn};
use std::collections::{HashSet, VecDeque};

/// How far ahead the place of a changed record is looked for.
const AHEAD: usize = 256;
/// After so many misses in a row nothing is looked for any more.
const MISSES_MAX: u32 = 64;
/// A table of which more than one in so many entries differs is not worth its edits.
const EDITED_SHARE: u32 = 16;
/// So many edits are always worth it.
const EDITS_FREE: u32 = 1024;

/// A walk under way.
pub struct Walk<'s> {
    sequence: Option<Sequence<'s>>,
    key: Key,
    /// Hashes of the ids whose records are parsed whatever their bytes.
    parsed_anyway: HashSet<u64>,
    ahead: VecDeque<Item>,
    misses: u32,
    torn: bool,
    edits: Option<Vec<Edit>>,
    edits_max: usize,
    base_count: u32,
    skipped: Vec<u64>,
    skipped_count: u64,
}

/// What a walk came to.
pub struct Walked {
    /// How many records were skipped.
    pub skipped_count: u64,
    /// Whether too many records in a row were others.
    pub gave_up: bool,
    /// How the new reading differs from the base; none if it differs too much.
    pub edits: Option<Edits>,
    skipped: Vec<u64>,
}

/// How a reading differs from the base of a table.
pub struct Edits(Vec<Edit>);

impl<'s> Walk<'s> {
    /// A walk along a table. `parsed_anyway`: hashes of ids whose records are never skipped.
    ///
    /// # Errors
    /// The table cannot be used.
    pub fn begin(shelf: &'s mut dyn Shelf, head: &Head, parsed_anyway: HashSet<u64>) -> Result<Self, Torn> {
        Ok(Self {
            sequence: Some(Sequence::begin(shelf, head)?),
            key: head.key(),
            parsed_anyway,
            ahead: VecDeque::with_capacity(AHEAD),
            misses: 0,
            torn: false,
            edits: Some(Vec::new()),
            edits_max: edits_max(head.base_count) as usize,
            base_count: head.base_count,
            skipped: Vec::new(),
            skipped_count: 0,
        })
    }

    /// The entry of the record at the start of a text, if it stands there as it stood and may be skipped. `silent`: whether
    /// a record may only be skipped if it is known to have no member that is called like a status.
    pub fn skip(&mut self, text: &str, silent: bool) -> Option<Entry> {
        let Item { entry, number, .. } = self.front()?;
        if !entry.settled
            || (silent && !entry.said.has(Said::NO_STATUS))
            || (!self.parsed_anyway.is_empty() && self.parsed_anyway.contains(&entry.id))
        {
            return None;
        }
        let bytes = text.get(..entry.length as usize)?.as_bytes();
        if self.key.hash(bytes) != entry.hash {
            return None;
        }
        self.pass();
        self.misses = 0;
        self.skipped_count += 1;
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if self.skipped.len() <= word {
            self.skipped.resize(word + 1, 0);
        }
        self.skipped[word] |= bit;
        Some(entry)
    }

    /// Takes the entry of a record that was parsed, and sets the walk right by its id.
    pub fn parsed(&mut self, entry: Entry) {
        let Some(front) = self.front() else {
            if self.sequence.is_some() {
                self.note(Edit { place: self.base_count, kind: Kind::Insert, entry });
            }
            return;
        };
        let is_it = |item: &Item| item.edited != Some(Kind::Delete) && item.entry.id == entry.id;
        let found = if entry.id == 0 { None } else { self.find(is_it) };
        let mut stood_there = false;
        match found {
            None => self.note(Edit { place: front.place, kind: Kind::Insert, entry }),
            Some(at) => {
                (0..at).for_each(|_| self.drop_one());
                if let Some(old) = self.ahead.front().copied() {
                    stood_there = at == 0 && old.entry.hash == entry.hash && old.entry.length == entry.length;
                    if old.entry == entry {
                        self.pass();
                    } else {
                        self.ahead.pop_front();
                        let kind = if old.edited == Some(Kind::Insert) { Kind::Insert } else { Kind::Replace };
                        self.note(Edit { place: old.place, kind, entry });
                    }
                }
            }
        }
        self.misses = if stood_there { 0 } else { self.misses + 1 };
        if self.misses >= MISSES_MAX {
            self.sequence = None;
            self.ahead.clear();
            self.edits = None;
        }
    }

    /// Whether it looks for nothing any more.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.sequence.is_none()
    }

    /// What it came to.
    ///
    /// # Errors
    /// The table could not be read to where it was needed: nothing may be concluded from what was skipped.
    pub fn finish(mut self) -> Result<Walked, Torn> {
        while self.edits.is_some() && self.front().is_some() {
            self.drop_one();
        }
        if self.torn {
            return Err(Torn);
        }
        let gave_up = self.gave_up();
        let Self { skipped_count, skipped, edits, .. } = self;
        Ok(Walked { skipped_count, gave_up, edits: edits.map(Edits), skipped })
    }

    /// The next entry that is there. Those that were deleted before stay deleted.
    fn front(&mut self) -> Option<Item> {
        loop {
            if self.ahead.is_empty() {
                self.fill(1);
            }
            let item = *self.ahead.front()?;
            if item.edited != Some(Kind::Delete) {
                return Some(item);
            }
            self.pass();
        }
    }

    fn find(&mut self, is_it: impl Fn(&Item) -> bool) -> Option<usize> {
        if let Some(at) = self.ahead.iter().position(&is_it) {
            return Some(at);
        }
        let known = self.ahead.len();
        self.fill(AHEAD);
        self.ahead.iter().skip(known).position(is_it).map(|at| known + at)
    }

    fn fill(&mut self, count: usize) {
        while self.ahead.len() < count
            && let Some(sequence) = &mut self.sequence
        {
            match sequence.next() {
                Ok(Some(item)) => self.ahead.push_back(item),
                Ok(None) => return,
                Err(Torn) => {
                    self.torn = true;
                    self.sequence = None;
                    self.ahead.clear();
                    self.edits = None;
                }
            }
        }
    }

    /// Passes over the first entry, which stays as it is.
    fn pass(&mut self) {
        if let Some(Item { place, edited: Some(kind), entry, .. }) = self.ahead.pop_front() {
            self.note(Edit { place, kind, entry });
        }
    }

    /// Passes over the first entry, whose record is gone.
    fn drop_one(&mut self) {
        match self.ahead.pop_front() {
            Some(Item { edited: Some(Kind::Insert), .. }) | None => {}
            Some(Item { place, entry, .. }) => self.note(Edit { place, kind: Kind::Delete, entry }),
        }
    }

    fn note(&mut self, edit: Edit) {
        let edits_max = self.edits_max;
        self.edits = self.edits.take().filter(|edits| edits.len() < edits_max);
        if let Some(edits) = &mut self.edits {
            edits.push(edit);
        }
    }
}

impl Walked {
    /// Whether the entry of this number was skipped.
    #[must_use]
    pub fn has_skipped(&self, number: u32) -> bool {
        self.skipped.get(number as usize / 64).is_some_and(|bits| bits & (1 << (number % 64)) != 0)
    }
}

impl Edits {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Calls `each` with the number and the bytes of each segment, sealed for this table.
    ///
    /// # Errors
    /// What `each` returned.
    pub fn segments<E>(&self, head: &Head, mut each: impl FnMut(u32, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let (key, mut segment) = (head.key(), Vec::new());
        for (number, edits) in (0..).zip(self.0.chunks(SEGMENT_ENTRIES as usize)) {
            segment.clear();
            edits.iter().for_each(|edit| edit.put(&mut segment));
            key.seal(head.reading, Part::Edits, number, &mut segment);
            each(number, &segment)?;
        }
        Ok(())
    }
}

/// How many edits a base of so many entries may have.
fn edits_max(base_count: u32) -> u32 {
    EDITS_FREE.max(base_count / EDITED_SHARE)
}

/// Whether a table has so many edits that its next reading should write a new base.
#[must_use]
pub fn is_worn(head: &Head) -> bool {
    head.edits_count > edits_max(head.base_count) / 2
}
