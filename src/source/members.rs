//! Which members of a JSON record are read: the configuration's names as a tree, made once for an export. Names compare
//! without letter case and without blanks at their ends.

use super::status::is_status;
use crate::model::{Column, ColumnName, Layout, trimmed};

/// The members of one object that are looked at.
pub(super) struct Node {
    entries: Vec<Entry>,
    /// For each length of a name, a bit for each entry: most members are passed over without a comparison.
    by_length: [u64; LENGTHS_COUNT],
    only_ascii: bool,
}

/// Longer names than this are told apart by a comparison, in bytes.
const LENGTHS_COUNT: usize = 64;

/// One member.
pub(super) struct Entry {
    name: Box<str>,
    ends: Ends,
    /// Its only column and place, if its value may only be plain.
    pub(super) plain: Option<(Column, u8)>,
    /// What it is for, and how far behind other places for the same it stands.
    pub(super) columns: Vec<(Column, u8)>,
    /// Where it is an object that holds a mapped member.
    pub(super) inner: Option<Box<Node>>,
}

/// What a member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// The entry of this number.
    Entry(usize),
    /// None of ours, though it is called like a status.
    Status,
    /// Nothing to us.
    Unknown,
}

/// The place of `id` behind `_id`.
const STAND_IN: u8 = 1;
/// The last place that there is.
const PLACE_MAX: u8 = 254;

impl Node {
    /// The members of a user.
    pub(super) fn of_layout(layout: &Layout) -> Self {
        let mut root = Self::empty();
        for column in Column::ALL {
            match layout.column(column) {
                ColumnName::Ours => root.entry(column.as_str()).columns.push((column, 0)),
                ColumnName::Theirs(name) => root.insert(&name.trim().to_lowercase(), column, 0),
                ColumnName::Nothing => {}
            }
        }
        if layout.id_may_stand_in() {
            root.entry("id").columns.push((Column::Id, STAND_IN));
        }
        root.settle();
        root
    }

    fn empty() -> Self {
        Self { entries: Vec::new(), by_length: [0; LENGTHS_COUNT], only_ascii: true }
    }

    /// The whole name first, then inwards: a member may have a dot in its name.
    fn insert(&mut self, name: &str, column: Column, depth: u8) {
        self.entry(name).columns.push((column, depth));
        if let Some((outer, rest)) = name.split_once('.') {
            let inner = self.entry(outer).inner.get_or_insert_with(|| Box::new(Self::empty()));
            inner.insert(rest, column, depth.saturating_add(1).min(PLACE_MAX));
        }
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        let at = self.entries.iter().position(|entry| &*entry.name == name).unwrap_or_else(|| {
            let ends = Ends::of(name);
            self.entries.push(Entry { name: name.into(), ends, plain: None, columns: Vec::new(), inner: None });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }

    fn settle(&mut self) {
        for (at, entry) in self.entries.iter().enumerate() {
            self.by_length[place(entry.name.len())] |= 1 << at;
        }
        self.only_ascii = self.entries.iter().all(|entry| entry.name.is_ascii());
        for entry in &mut self.entries {
            entry.plain = match (entry.columns.as_slice(), &entry.inner) {
                (&[(column, place)], None) if !matches!(column, Column::State | Column::Groups) => {
                    Some((column, place))
                }
                (_, _) => None,
            };
            entry.inner.iter_mut().for_each(|inner| inner.settle());
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn at(&self, entry: usize) -> &Entry {
        &self.entries[entry]
    }

    /// What a member is; whether it is called like a status is asked only where `statuses` says so.
    #[inline]
    pub(super) fn find(&self, key: &str, statuses: bool) -> Found {
        match self.entry_named(key) {
            Some(at) => Found::Entry(at),
            None if !statuses && self.only_ascii && trimmed(key).len() == key.len() => Found::Unknown,
            None => self.find_otherwise(trimmed(key), statuses),
        }
    }

    #[inline]
    fn entry_named(&self, key: &str) -> Option<usize> {
        let mut candidates = self.by_length[place(key.len())];
        if candidates == 0 {
            return None;
        }
        let ends = Ends::of(key);
        while candidates != 0 {
            let at = candidates.trailing_zeros() as usize;
            let entry = &self.entries[at];
            let same = entry.ends == ends && (key.len() <= Ends::WHOLE_BYTES_MAX || *entry.name == *key);
            if same || (entry.ends.may_be(ends) && entry.name.eq_ignore_ascii_case(key)) {
                return Some(at);
            }
            candidates &= candidates - 1;
        }
        None
    }

    fn find_otherwise(&self, key: &str, statuses: bool) -> Found {
        let folded = || self.entries.iter().position(|entry| *entry.name == *key.to_lowercase());
        match self.entry_named(key).or_else(|| if self.only_ascii { None } else { folded() }) {
            Some(at) => Found::Entry(at),
            None if statuses && is_status(key) => Found::Status,
            None => Found::Unknown,
        }
    }
}

/// The beginning and the end of a name: nearly always all of it, compared at once.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends(u64, u64);

impl Ends {
    /// Names of one length up to this are the same if their ends are.
    const WHOLE_BYTES_MAX: usize = 16;
    /// What two cases of an ASCII letter differ in.
    const CASE: u64 = u64::MAX / 0xff * 0x20;

    #[inline]
    fn of(name: &str) -> Self {
        let name = name.as_bytes();
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            Self(u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        } else if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            Self(u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
        } else if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            Self(u16::from_le_bytes(*first).into(), u16::from_le_bytes(*last).into())
        } else {
            Self(name.first().copied().unwrap_or_default().into(), 0)
        }
    }

    /// Whether a name may be another but for the case of ASCII letters.
    #[inline]
    fn may_be(self, other: Self) -> bool {
        ((self.0 ^ other.0) | (self.1 ^ other.1)) & !Self::CASE == 0
    }
}

fn place(length: usize) -> usize {
    length.min(LENGTHS_COUNT - 1)
}
