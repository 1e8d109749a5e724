//! Which members of a JSON record are read: the configuration's names as a tree, made once for an export. Names compare
//! without letter case and without blanks at their ends.

use super::status::is_status;
use crate::model::{Column, ColumnName, Layout, trimmed};

/// The members of one object that are looked at.
pub(super) struct Node {
    entries: Vec<Entry>,
    /// For each [`place`] of a name, a bit for each entry: most members are passed over without a comparison.
    by_place: [u64; PLACES_COUNT],
    only_ascii: bool,
}

/// How many places there are.
const PLACES_COUNT: usize = 64;

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
pub(super) enum MemberIs {
    /// The entry of this number.
    Entry(usize),
    /// None of ours, though it is called like a status.
    Status,
    /// Nothing to us.
    Unknown,
}

/// A member of the last record. At first one without a name, which is none of ours.
#[derive(Clone, Copy)]
pub(super) struct Last {
    ends: Ends,
    found: MemberIs,
}

impl Last {
    pub(super) const NAMELESS: Self = Self { ends: Ends { length: 0, first: 0, last: 0 }, found: MemberIs::Unknown };
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
        Self { entries: Vec::new(), by_place: [0; PLACES_COUNT], only_ascii: true }
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
            self.by_place[place(&entry.name)] |= 1 << at;
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
    pub(super) fn find(&self, key: &str, statuses: bool) -> MemberIs {
        match self.entry_named(key) {
            Some(at) => MemberIs::Entry(at),
            None if !statuses && self.only_ascii && trimmed(key).len() == key.len() => MemberIs::Unknown,
            None => self.find_otherwise(trimmed(key), statuses),
        }
    }

    /// The same, where the last record had the member `last` in this place: programs write them in one order.
    #[inline]
    pub(super) fn find_after(&self, last: &mut Last, key: &str, statuses: bool) -> MemberIs {
        let ends = Ends::of(key);
        if !statuses && last.ends == ends && ends.length <= Ends::WHOLE_BYTES_MAX {
            return last.found;
        }
        let found = self.find(key, statuses);
        if !statuses {
            *last = Last { ends, found };
        }
        found
    }

    #[inline]
    fn entry_named(&self, key: &str) -> Option<usize> {
        let mut candidates = self.by_place[place(key)];
        if candidates == 0 {
            return None;
        }
        let ends = Ends::of(key);
        while candidates != 0 {
            let at = candidates.trailing_zeros() as usize;
            let entry = &self.entries[at];
            let same = entry.ends == ends && (ends.length <= Ends::WHOLE_BYTES_MAX || *entry.name == *key);
            if same || (entry.ends.may_be(ends) && entry.name.eq_ignore_ascii_case(key)) {
                return Some(at);
            }
            candidates &= candidates - 1;
        }
        None
    }

    fn find_otherwise(&self, key: &str, statuses: bool) -> MemberIs {
        let folded = || self.entries.iter().position(|entry| *entry.name == *key.to_lowercase());
        match self.entry_named(key).or_else(|| if self.only_ascii { None } else { folded() }) {
            Some(at) => MemberIs::Entry(at),
            None if statuses && is_status(key) => MemberIs::Status,
            None => MemberIs::Unknown,
        }
    }
}

/// The length, the beginning and the end of a name: nearly always all of it, compared at once.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    length: usize,
    first: u64,
    last: u64,
}

impl Ends {
    /// Names up to this length are the same if their ends are.
    const WHOLE_BYTES_MAX: usize = 16;
    /// What two cases of an ASCII letter differ in.
    const CASE: u64 = u64::MAX / 0xff * 0x20;

    #[inline]
    fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let (first, last) = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
        } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            (u16::from_le_bytes(*first).into(), u16::from_le_bytes(*last).into())
        } else {
            (bytes.first().copied().unwrap_or_default().into(), 0)
        };
        Self { length: bytes.len(), first, last }
    }

    /// Whether a name may be another but for the case of ASCII letters.
    #[inline]
    fn may_be(self, other: Self) -> bool {
        self.length == other.length && ((self.first ^ other.first) | (self.last ^ other.last)) & !Self::CASE == 0
    }
}

/// A number by length, first and last byte, with ASCII letters in lower case. The factors give each of our own names one of
/// its own.
#[inline]
fn place(name: &str) -> usize {
    let end = |byte: Option<&u8>| usize::from(byte.map_or(0, |byte| byte | 0x20));
    let (first, last) = (end(name.as_bytes().first()), end(name.as_bytes().last()));
    name.len().wrapping_add(first * 17 + last * 5) % PLACES_COUNT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_of_ours_has_a_place_of_its_own() {
        let node = Node::of_layout(&Layout::default());
        assert!(node.by_place.iter().all(|entries| entries.count_ones() <= 1));
    }

    #[test]
    fn a_name_is_found_without_letter_case_and_no_other_is() {
        let mut layout = Layout::default();
        let long = "extension_0123456789_accountEnabled";
        for (column, name) in
            [(Column::State, long), (Column::Email, "Adresse \u{c9}lectronique"), (Column::Groups, "g")]
        {
            layout.columns[column as usize] = ColumnName::Theirs(name.into());
        }
        let node = Node::of_layout(&layout);
        let found = |key: &str| match node.find(key, true) {
            MemberIs::Entry(at) => node.at(at).columns[0].0.key(),
            MemberIs::Status => "a status",
            MemberIs::Unknown => "unknown",
        };
        for (key, expected) in [
            ("_id", "id"),
            ("ID", "id"),
            ("username", "username"),
            ("UserName", "username"),
            (" userName\t", "username"),
            ("userna`e", "unknown"),
            ("Usernama", "unknown"),
            ("usernameusername", "unknown"),
            (long, "state"),
            ("EXTENSION_0123456789_ACCOUNTENABLED", "state"),
            ("extension_0123456780_accountEnabled", "unknown"),
            ("state", "unknown"),
            ("adresse \u{e9}lectronique", "email"),
            ("G", "groups"),
            ("groups", "unknown"),
            ("", "unknown"),
            ("Account Status", "a status"),
        ] {
            assert_eq!(found(key), expected, "{key:?}");
            let mut last = Last::NAMELESS;
            for again in [key, key, "username", "usernama", key] {
                assert_eq!(
                    node.find_after(&mut last, again, false),
                    node.find(again, false),
                    "{again:?} after {key:?}"
                );
            }
        }
    }
}
