//! The groups that an export has, for whoever mistyped one of `[scope]`: which of them was meant. For messages only.

use crate::model::{RawGroups, folded, is_near, leads_to, trimmed};
use std::collections::BTreeSet;

/// More names are not remembered.
const NAMES_MAX: usize = 10_000;
/// So many near names are told.
const NEAR_MAX: usize = 3;

/// The groups that records name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupsThere {
    names: BTreeSet<String>,
    /// The separator between the groups in a CSV cell.
    separator: Option<char>,
}

/// What somebody may have meant by a group that is not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meant {
    /// One of these groups, which are written nearly so.
    OneOf(Vec<String>),
    /// All of these groups: they were written into one text.
    AllOf(Vec<String>),
    /// A group that cannot stand in a cell, as this sign separates groups there.
    Separated(char),
    /// Nobody knows.
    Unknown,
}

impl GroupsThere {
    /// Looks at the groups of one record.
    pub fn note(&mut self, groups: &RawGroups<'_>) {
        if let RawGroups::Cell(_, separator) = groups {
            self.separator = Some(*separator);
        }
        for name in groups.names() {
            self.add(name);
        }
    }

    /// Takes a group that a members file names.
    pub fn add(&mut self, name: &str) {
        if self.names.len() < NAMES_MAX && !name.is_empty() && !self.names.contains(name) {
            self.names.insert(name.to_owned());
        }
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// What may be meant by a name that is none of them.
    #[must_use]
    pub fn meant_by(&self, wanted: &str) -> Meant {
        let parts: Vec<_> = wanted.split([';', ',', '|', '\n']).map(trimmed).collect();
        if parts.len() > 1 && parts.iter().all(|part| self.names.contains(*part)) {
            return Meant::AllOf(parts.into_iter().map(str::to_owned).collect());
        }
        if let Some(separator) = self.separator
            && wanted.contains(separator)
        {
            return Meant::Separated(separator);
        }
        let lower = folded(wanted);
        let distance = |known: &String| {
            let known_lower = folded(known);
            match () {
                () if known_lower == lower => Some(0),
                () if leads_to(known, wanted) || leads_to(wanted, known) => Some(1),
                () if is_near(&lower, &known_lower) => Some(2 + strsim::damerau_levenshtein(&lower, &known_lower)),
                () => None,
            }
        };
        let mut near: Vec<_> = self.names.iter().filter_map(|known| Some((distance(known)?, known))).collect();
        near.sort();
        match near.is_empty() {
            true => Meant::Unknown,
            false => Meant::OneOf(near.into_iter().take(NEAR_MAX).map(|(_, known)| known.clone()).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, cell: &str, separator: char, expected: &str) {
        let mut there = GroupsThere::default();
        there.note(&RawGroups::Cell(cell.into(), separator));
        let said = match there.meant_by(wanted) {
            Meant::OneOf(names) => format!("one of {}", names.join(", ")),
            Meant::AllOf(names) => format!("all of {}", names.join(", ")),
            Meant::Separated(sign) => format!("separated by {sign}"),
            Meant::Unknown => "?".to_owned(),
        };
        assert_eq!(said, expected, "{wanted} of {cell}");
    }

    #[test]
    fn a_group_that_is_not_there_may_be_meant_by_another() {
        check("Rhombsu", "Staff;Rhombus", ';', "one of Rhombus");
        check("Rhombus", "Staff;RHOMBUS;Rhombus EU", ';', "one of RHOMBUS, Rhombus EU");
        check("Rhombus", "/Staff/Rhombus;Other", ';', "one of /Staff/Rhombus");
        check("CN=Rhombus,OU=Groups", "Rhombus", ';', "one of Rhombus");
        check("Doors", "Staff;Rhombus", ';', "?");
        check("Staff;Rhombus", "Staff;Rhombus", ';', "all of Staff, Rhombus");
        check("Staff, Rhombus", "Staff;Rhombus", ';', "all of Staff, Rhombus");
        check("R;D", "R;E", ';', "separated by ;");
        check("R&D, Doors", "R&D, Doors", ',', "all of R&D, Doors");
        check("R&D, Doors", "R&D,East", ',', "separated by ,");
        check("Doors", "", ';', "?");
    }
}
