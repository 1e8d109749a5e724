//! What the guard remembers and is told, and what follows from it for one change.

use crate::model::{
    Action, Approval, Change, ChangeKey, ClockDoubt, Column, DirectoryId, ExactChange, GuardKind, Mismatch, Shown,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The limits of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Limits {
    /// So many are free, however small the company is.
    pub count_free: u32,
    /// So many of a hundred provisioned users.
    pub percent_max: u32,
    /// Never more than this.
    pub count_max: u32,
}

impl Limits {
    /// `min(count_max, max(count_free, ⌊percent_max % of base⌋))`.
    #[must_use]
    pub fn of_base(&self, base: u64) -> u64 {
        let share = base * u64::from(self.percent_max) / 100;
        share.max(u64::from(self.count_free)).min(u64::from(self.count_max))
    }
}

/// What the guard remembers and is told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// The limits of each kind.
    pub limits: BTreeMap<GuardKind, Limits>,
    /// Users provisioned now.
    pub provisioned_count: u64,
    /// Users removed within the window.
    pub removed_count: u64,
    /// Changes whose intent was stored within the window without approval, once each.
    pub spent: BTreeMap<GuardKind, BTreeSet<ChangeKey>>,
    /// Changes that an administrator released, each with what it would send.
    pub approved: BTreeMap<ExactChange, Approval>,
    /// Changes that the last cycle held because something else was approved for their users.
    pub approved_otherwise: BTreeSet<(Action, DirectoryId)>,
    /// Creates are free until one cycle has ended with none left.
    pub first_load: bool,
    /// The state was restored from a backup: it may be missing links, so removals need approval.
    pub restored: bool,
    /// Why no removal may be sent at all, if none may.
    pub removals_stopped: Option<ClockDoubt>,
    /// The column that fell silent on who may not come in: nobody may, then.
    pub arrivals_stopped: Option<Column>,
    /// What the accounts showed whose removals the last cycle held for it.
    pub shown: BTreeMap<ChangeKey, (Mismatch, Shown)>,
    /// Users whose accounts were just read and are gone: a removal takes nothing from them.
    pub gone: BTreeSet<DirectoryId>,
    /// Whose record is silent on it, and in which column: those may not.
    pub unsaid: BTreeMap<DirectoryId, Column>,
}

impl Ledger {
    /// Whether nobody needs to release this change: an administrator did, as it was shown, or the account is gone already.
    pub(super) fn releases(&self, change: &Change) -> bool {
        self.is_gone(change)
            || (!self.approved.is_empty()
                && (self.approved.contains_key(&change.exact()) || self.approved.contains_key(&self.exact(change))))
    }

    /// What stands under an approval or was held for one: whoever may write the export waits for an approval, and changes what it
    /// was given for.
    pub(super) fn spoken_for(&self) -> SpokenFor<'_> {
        let held = self.approved_otherwise.iter().map(|(action, id)| (*action, id));
        SpokenFor(self.approved.keys().map(|exact| (exact.key.action, &exact.key.directory_id)).chain(held).collect())
    }

    pub(super) fn is_gone(&self, change: &Change) -> bool {
        change.action().removes() && self.gone.contains(change.directory_id())
    }

    /// A change with what it would send; of a removal also what the account showed, if that was not what was linked.
    pub(super) fn exact(&self, change: &Change) -> ExactChange {
        match self.shown.get(&change.key()) {
            Some((_, shown)) => change.exact_for(&shown.to_string()),
            None => change.exact(),
        }
    }

    /// Whether a released change goes out only if its account is still as it was when it was let through.
    pub(super) fn is_conditional(&self, change: &Change) -> bool {
        !self.approved.contains_key(&change.exact())
    }
}

/// Actions and users for whom something was approved, whether it is what would be sent now or not.
pub(super) struct SpokenFor<'l>(BTreeSet<(Action, &'l DirectoryId)>);

impl SpokenFor<'_> {
    /// Whether something else was approved than this change, which nobody has approved as it is. A link is moved by the command that
    /// approves it.
    pub(super) fn otherwise(&self, change: &Change, ledger: &Ledger) -> bool {
        !self.is_empty()
            && change.action() != Action::Relink
            && self.0.contains(&(change.action(), change.directory_id()))
            && !ledger.releases(change)
    }

    /// Whether it knows of nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it knows of a create of this user.
    pub(super) fn is_about_a_create_of(&self, id: &DirectoryId) -> bool {
        self.0.contains(&(Action::Create, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_share_between_what_is_free_and_the_most() {
        let limits = Limits { count_free: 3, percent_max: 10, count_max: 50 };
        for (base, limit) in [(0, 3), (10, 3), (39, 3), (40, 4), (100, 10), (1_000, 50), (10_000, 50)] {
            assert_eq!(limits.of_base(base), limit, "{base} users");
        }
    }
}
