//! One record of the last reading, and how it is written down.

/// What a record adds to the counts of the whole export, a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Said(u8);

impl Said {
    /// It says a state, known or not.
    pub const STATE: Self = Self(1);
    /// `activated` is neither null nor empty.
    pub const ACTIVATED: Self = Self(1 << 1);
    /// `suspended` is neither null nor empty.
    pub const SUSPENDED: Self = Self(1 << 2);
    /// It names a group.
    pub const GROUPS: Self = Self(1 << 3);
    /// It has groups, if only an empty list.
    pub const GROUPS_THERE: Self = Self(1 << 4);
    /// Its state is a known one.
    pub const KNOWN_STATE: Self = Self(1 << 5);
    /// It was looked at for members that are called like a status, and has none.
    pub const NO_STATUS: Self = Self(1 << 6);

    /// It, and `what` if that is so.
    #[must_use]
    pub const fn with(self, what: Self, is_so: bool) -> Self {
        if is_so { Self(self.0 | what.0) } else { self }
    }

    /// Whether it has this bit.
    #[must_use]
    pub const fn has(self, what: Self) -> bool {
        self.0 & what.0 != 0
    }
}

/// The bit beside those of [`Said`]: the record may be skipped.
const SETTLED: u8 = 1 << 7;

/// One record of the last reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// Its bytes, hashed with the table's key.
    pub hash: u128,
    /// A hash of its id; 0 if it has none that can stand for a user.
    pub id: u64,
    /// A hash of its folded username; 0 if it has none.
    pub name: u64,
    /// How many bytes it has.
    pub length: u32,
    /// The row that it met.
    pub row: u32,
    /// What it adds to the counts.
    pub said: Said,
    /// The number of the set of scoped groups that it names.
    pub set: u8,
    /// Whether it met its row as that stood: only then may it be skipped.
    pub settled: bool,
}

impl Entry {
    /// How many bytes one takes.
    pub(super) const BYTES: usize = 16 + 8 + 8 + 4 + 4 + 2;

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let Self { hash, id, name, length, row, said, set, settled } = *self;
        out.extend_from_slice(&hash.to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&name.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&row.to_le_bytes());
        out.extend_from_slice(&[said.0 | if settled { SETTLED } else { 0 }, set]);
    }

    /// None: not enough bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (hash, rest) = bytes.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (name, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (row, rest) = rest.split_first_chunk()?;
        let [flags, set] = *rest.first_chunk()?;
        Some(Self {
            hash: u128::from_le_bytes(*hash),
            id: u64::from_le_bytes(*id),
            name: u64::from_le_bytes(*name),
            length: u32::from_le_bytes(*length),
            row: u32::from_le_bytes(*row),
            said: Said(flags & !SETTLED),
            set,
            settled: flags & SETTLED != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for settled in [false, true] {
            let said = Said::default().with(Said::STATE, true).with(Said::NO_STATUS, settled);
            let entry = Entry { hash: u128::MAX - 7, id: 5, name: 6, length: 7, row: 8, said, set: 255, settled };
            let mut bytes = Vec::new();
            entry.put(&mut bytes);
            assert_eq!(bytes.len(), Entry::BYTES);
            assert_eq!(Entry::read(&bytes), Some(entry));
            assert_eq!(Entry::read(&bytes[1..]), None);
        }
    }
}
