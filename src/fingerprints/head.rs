//! What stands at the head of a table: what it is bound to, and how much of it there is.

use super::key::{Key, SEED_BYTES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The head of a table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// What its key is made of.
    pub seed: [u8; SEED_BYTES],
    /// Tells the segments of one table from those of another.
    pub reading: u64,
    /// A digest of everything else that a plan depends on: under another, it is no table.
    pub bound_to: String,
    /// A hash of what an export has to begin with: its kind, and the header of a CSV.
    pub opening: u64,
    /// When the last whole reading ended, in milliseconds since 1970.
    pub full_at: i64,
    /// How many entries the base has.
    pub base_count: u32,
    /// How many edits there are.
    pub edits_count: u32,
    /// The sets of scoped groups that records name.
    pub sets: Sets,
}

impl Head {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::of(&self.seed)
    }

    /// As the state has it: sealed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("{:032x} {text}", self.key().hash(text.as_bytes()))
    }

    /// None: it is damaged, or of another release.
    #[must_use]
    pub fn parse(sealed: &str) -> Option<Self> {
        let (seal, text) = sealed.split_once(' ')?;
        let head: Self = serde_json::from_str(text).ok()?;
        (u128::from_str_radix(seal, 16).ok()? == head.key().hash(text.as_bytes())).then_some(head)
    }
}

/// Sets of scoped groups, each with a number.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sets(Vec<BTreeSet<String>>);

impl Sets {
    /// The number of a set; none if there are too many.
    pub fn number(&mut self, names: &BTreeSet<&str>) -> Option<u8> {
        let same = |set: &BTreeSet<String>| set.len() == names.len() && set.iter().all(|name| names.contains(&**name));
        let at = match self.0.iter().position(same) {
            Some(at) => at,
            None => {
                self.0.push(names.iter().map(|name| (*name).to_owned()).collect());
                self.0.len() - 1
            }
        };
        u8::try_from(at).ok()
    }

    /// The names of a set.
    #[must_use]
    pub fn get(&self, number: u8) -> Option<&BTreeSet<String>> {
        self.0.get(usize::from(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let mut sets = Sets::default();
        assert_eq!(sets.number(&BTreeSet::from(["R", "S"])), Some(0));
        assert_eq!(sets.number(&BTreeSet::new()), Some(1));
        assert_eq!(sets.number(&BTreeSet::from(["S", "R"])), Some(0));
        let (seed, bound_to) = ([3; SEED_BYTES], "settings".to_owned());
        Head { seed, reading: u64::MAX, bound_to, opening: 4, full_at: -5, base_count: 6, edits_count: 7, sets }
    }

    #[test]
    fn a_head_that_was_changed_is_none() {
        let text = head().to_text();
        assert_eq!(Head::parse(&text), Some(head()));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let damaged = String::from_utf8(bytes).expect("it was ASCII");
            assert_eq!(Head::parse(&damaged).filter(|damaged| *damaged != head()), None, "{damaged}");
            assert_eq!(Head::parse(&text[..at]), None);
        }
    }

    #[test]
    fn there_are_no_more_sets_than_a_byte_can_tell_apart() {
        let mut sets = Sets::default();
        for number in 0..300_usize {
            let name = number.to_string();
            assert_eq!(sets.number(&BTreeSet::from([&*name])).map(usize::from), Some(number).filter(|n| *n < 256));
        }
    }
}
