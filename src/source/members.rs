//! Which members of a JSON record are read: the configuration's names as a tree, made once for an export. Names compare
//! without letter case and without blanks at their ends.

use super::status::is_status;
use crate::model::{Column, ColumnName, Layout};

/// The members of one object that are looked at.
pub(super) struct Node {
    entries: Vec<Entry>,
    /// A bit for each length of a name, so that most members are passed over without a comparison.
    lengths: u64,
    only_ascii: bool,
}

/// One member.
pub(super) struct Entry {
    name: String,
    /// What it is for, and how far behind other places for the same it stands.
    pub(super) columns: Vec<(Column, u8)>,
    /// Where it is an object that holds a mapped member.
    pub(super) inner: Option<Node>,
}

/// What a member is.
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

impl Node {
    /// The members of a user.
    pub(super) fn of_layout(layout: &Layout) -> Self {
        let mut root = Self { entries: Vec::new(), lengths: 0, only_ascii: true };
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

    /// The whole name first, then inwards: a member may have a dot in its name.
    fn insert(&mut self, name: &str, column: Column, depth: u8) {
        self.entry(name).columns.push((column, depth));
        if let Some((outer, rest)) = name.split_once('.') {
            let node = || Self { entries: Vec::new(), lengths: 0, only_ascii: true };
            let inner = self.entry(outer).inner.get_or_insert_with(node);
            inner.insert(rest, column, depth.saturating_add(1));
        }
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        let at = self.entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
            self.entries.push(Entry { name: name.to_owned(), columns: Vec::new(), inner: None });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }

    fn settle(&mut self) {
        self.lengths = self.entries.iter().fold(0, |bits, entry| bits | bit(entry.name.len()));
        self.only_ascii = self.entries.iter().all(|entry| entry.name.is_ascii());
        for entry in &mut self.entries {
            entry.inner.iter_mut().for_each(Self::settle);
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
    pub(super) fn find(&self, key: &str, statuses: bool) -> Found {
        let key = trimmed(key);
        if self.lengths & bit(key.len()) != 0 || !self.only_ascii {
            let same = |entry: &Entry| {
                (entry.name.len() == key.len() && (entry.name == key || entry.name.eq_ignore_ascii_case(key)))
                    || (!self.only_ascii && entry.name == key.to_lowercase())
            };
            if let Some(at) = self.entries.iter().position(same) {
                return Found::Entry(at);
            }
        }
        if statuses && is_status(key) { Found::Status } else { Found::Unknown }
    }
}

/// Without blanks at its ends; nearly no name has any, which its first and last byte show.
fn trimmed(key: &str) -> &str {
    match key.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => key,
        _ => key.trim(),
    }
}

fn bit(length: usize) -> u64 {
    1 << length.min(63)
}
