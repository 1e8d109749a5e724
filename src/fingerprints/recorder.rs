//! Writes down the entries of a reading, segment by segment: a table is stored only at the end of a cycle, and nobody holds
//! it whole.

use super::SEGMENT_ENTRIES;
use super::entry::Entry;
use super::key::{Key, Part};

/// After so many records it shows whether a table would be of use.
const JUDGED_AFTER: u32 = 4096;

/// Where sealed segments lie until they are stored.
pub trait Spool {
    /// Takes the next one; false: it cannot.
    fn put(&mut self, segment: &[u8]) -> bool;
}

/// A table that is being written down.
pub struct Recorder<S> {
    key: Key,
    reading: u64,
    spool: Option<S>,
    segment: Vec<u8>,
    count: u32,
    settled_count: u32,
}

impl<S: Spool> Recorder<S> {
    /// One that has seen nothing.
    pub fn new(key: Key, reading: u64, spool: S) -> Self {
        Self { key, reading, spool: Some(spool), segment: Vec::new(), count: 0, settled_count: 0 }
    }

    /// Whether it still writes.
    pub fn is_at_work(&self) -> bool {
        self.spool.is_some()
    }

    /// Takes the next entry.
    pub fn push(&mut self, entry: &Entry) {
        if self.spool.is_none() {
            return;
        }
        entry.put(&mut self.segment);
        self.count += 1;
        self.settled_count += u32::from(entry.settled);
        let useless = self.count >= JUDGED_AFTER && self.settled_count < self.count / 2;
        if useless || self.count == u32::MAX {
            return self.give_up();
        }
        if self.count.is_multiple_of(SEGMENT_ENTRIES) {
            self.flush();
        }
    }

    /// What it wrote and how many entries that are; none if fewer than half of them may be skipped.
    pub fn finish(mut self) -> Option<(S, u32)> {
        if !self.segment.is_empty() {
            self.flush();
        }
        let of_use = self.settled_count >= self.count.div_ceil(2) && self.count > 0;
        self.spool.filter(|_| of_use).map(|spool| (spool, self.count))
    }

    fn flush(&mut self) {
        let number = self.count.div_ceil(SEGMENT_ENTRIES) - 1;
        self.key.seal(self.reading, Part::Base, number, &mut self.segment);
        if !self.spool.as_mut().is_some_and(|spool| spool.put(&self.segment)) {
            self.give_up();
        }
        self.segment.clear();
    }

    fn give_up(&mut self) {
        self.spool = None;
        self.segment = Vec::new();
    }
}
