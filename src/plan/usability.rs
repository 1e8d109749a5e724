//! How many records of an export can be used, what those ask for, and why the others cannot.

use super::mapping::{MappedUser, Reject, Requested};
use crate::model::{Proof, RecordFault, UserState};
use std::collections::BTreeMap;

/// So many records that cannot be used are never too many.
const UNUSABLE_FREE: u64 = 100;
/// More of a hundred records in scope than this are too many.
const UNUSABLE_PERCENT_MAX: u64 = 10;

/// What was counted of an export's records.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usability {
    /// Those that ask for an account.
    pub wanted_count: u64,
    /// Those of suspended users.
    pub suspended_count: u64,
    /// Those of staged users.
    pub staged_count: u64,
    /// Those of staged or suspended users in no scoped group: among the two above.
    pub withheld_out_of_scope_count: u64,
    /// Those of activated users in no scoped group.
    pub out_of_scope_count: u64,
    /// Those of users whom a members file that may be incomplete lists in no scoped group.
    pub unlisted_count: u64,
    /// Those that cannot be used and could be of a user in scope.
    pub unusable_in_scope_count: u64,
    /// Those that cannot be used, by what is wrong.
    pub unusable: BTreeMap<RecordFault, u64>,
}

/// How many unusable records are remembered one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Details {
    count: u64,
    count_max: u64,
}

impl Default for Details {
    fn default() -> Self {
        Self::at_most(u64::MAX)
    }
}

impl Details {
    pub(super) const fn at_most(count_max: u64) -> Self {
        Self { count: 0, count_max }
    }

    /// Whether there is room for one more.
    pub(super) fn take_one(&mut self) -> bool {
        self.count = self.count.saturating_add(1);
        !self.is_cut()
    }

    /// Whether there was one too many.
    pub(super) const fn is_cut(self) -> bool {
        self.count > self.count_max
    }
}

impl Usability {
    /// Counts one record.
    pub fn note(&mut self, verdict: &Result<MappedUser<'_>, Reject>) {
        match verdict {
            Ok(mapped) => {
                match mapped.requested {
                    Requested::Provision => self.wanted_count += 1,
                    Requested::Withhold(UserState::Staged) => self.staged_count += 1,
                    Requested::Withhold(UserState::Activated | UserState::Suspended) => self.suspended_count += 1,
                    Requested::OutOfScope | Requested::Unlisted(Proof::Whole) => self.out_of_scope_count += 1,
                    Requested::Unlisted(Proof::Unproven) => self.unlisted_count += 1,
                }
                let is_withheld = matches!(mapped.requested, Requested::Withhold(_));
                self.withheld_out_of_scope_count += u64::from(is_withheld && !mapped.in_scope);
            }
            Err(reject) => self.note_unusable(reject.unusable.fault, reject.could_be_in_scope),
        }
    }

    /// Counts a record that cannot be used.
    pub fn note_unusable(&mut self, fault: RecordFault, could_be_in_scope: bool) {
        *self.unusable.entry(fault).or_default() += 1;
        self.unusable_in_scope_count += u64::from(could_be_in_scope);
    }

    fn withheld_count(&self) -> u64 {
        self.suspended_count + self.staged_count
    }

    /// How many can be used.
    #[must_use]
    pub fn usable_count(&self) -> u64 {
        self.wanted_count + self.withheld_count() + self.out_of_scope_count + self.unlisted_count
    }

    /// How many are of users in scope, or could be.
    #[must_use]
    pub fn in_scope_count(&self) -> u64 {
        let withheld_count = self.withheld_count() - self.withheld_out_of_scope_count;
        self.wanted_count + withheld_count + self.unlisted_count + self.unusable_in_scope_count
    }

    /// How many cannot.
    #[must_use]
    pub fn unusable_count(&self) -> u64 {
        self.unusable.values().sum()
    }

    /// What is wrong with most of those.
    #[must_use]
    pub fn commonest_fault(&self) -> Option<RecordFault> {
        self.unusable.iter().max_by_key(|(_, count)| **count).map(|(fault, _)| *fault)
    }

    /// How many unusable ones are too many, if there are too many.
    #[must_use]
    pub fn too_many_unusable(&self) -> Option<u64> {
        let limit = UNUSABLE_FREE.max(self.in_scope_count() * UNUSABLE_PERCENT_MAX / 100);
        (self.unusable_in_scope_count > limit).then_some(limit)
    }
}
