//! How much may change at once: per kind, over a rolling window that the state remembers.
//!
//! It alone makes an [`ApprovedPlan`]. What it holds is listed with the numbers that tripped it.

use super::claims::not_created;
use super::{Plan, digest};
use crate::model::{
    Cause, Change, ChangeKey, ClockDoubt, Column, DirectoryId, GuardKind, HeldBy, HoldId, OutstandingKind,
    OutstandingUser, OverLimit, Reason, UsernameConflict,
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
    /// Changes that an administrator released.
    pub approved: BTreeSet<ChangeKey>,
    /// Creates are free until one cycle has ended with none left.
    pub first_load: bool,
    /// The state was restored from a backup: it may be missing links, so removals need approval.
    pub restored: bool,
    /// Why no removal may be sent at all, where that is so.
    pub removals_stopped: Option<ClockDoubt>,
    /// The column that fell silent on who may not come in: nobody may, then.
    pub arrivals_stopped: Option<Column>,
}

/// A plan that may be applied. Only [`approve`] makes one.
#[derive(Clone, PartialEq, Debug)]
pub struct ApprovedPlan {
    changes: Vec<Change>,
    approved: BTreeSet<ChangeKey>,
    held: Vec<Change>,
    outstanding: Vec<OutstandingUser>,
    hold: Option<HoldId>,
    tripped: Vec<OverLimit>,
    digest: String,
    unchanged_count: u64,
    creates_are_free: bool,
    holds_restored: bool,
}

impl ApprovedPlan {
    /// What may be sent, removals first.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// What may be sent, and what of it an administrator released.
    #[must_use]
    pub fn into_changes(self) -> (Vec<Change>, BTreeSet<ChangeKey>) {
        (self.changes, self.approved)
    }

    /// The same for some users only. What the guard holds of everybody's plan, it holds of theirs.
    #[must_use]
    pub fn only(mut self, users: &BTreeSet<DirectoryId>) -> Self {
        let theirs = |change: &Change| users.contains(change.directory_id());
        self.changes.retain(theirs);
        // A newcomer who takes over a username waits for whoever carries it and is not meant.
        let waits = |change: &mut Change| match change {
            Change::Create { after_removal_of: Some(holder), .. } => !users.contains(holder),
            Change::Create { .. } | Change::Update { .. } | Change::Remove { .. } | Change::Relink { .. } => false,
        };
        let waiting = self.changes.extract_if(.., waits);
        self.outstanding
            .extend(waiting.map(|change| not_created(&change, OutstandingKind::Waiting, UsernameConflict::NotFreed)));
        self.held.retain(theirs);
        self.outstanding.retain(|entry| entry.directory_id.as_ref().is_some_and(|id| users.contains(id)));
        let changed = self.changes.iter().chain(&self.held).map(Change::directory_id);
        let changed = changed.chain(self.held.iter().filter_map(Change::former_id));
        let entry = self.outstanding.iter().filter_map(|entry| entry.directory_id.as_ref());
        let spoken_of: BTreeSet<_> = changed.chain(entry).collect();
        self.unchanged_count = users.iter().filter(|id| !spoken_of.contains(id)).count() as u64;
        self.digest = digest::plan_digest(self.changes.iter(), self.held.iter());
        self.hold = digest::hold_id(self.held.iter().map(Change::key).collect::<Vec<_>>().iter());
        self
    }

    /// What an administrator released and the plan still has.
    #[must_use]
    pub fn approved(&self) -> Vec<ChangeKey> {
        if self.approved.is_empty() {
            return Vec::new();
        }
        let keys = self.changes.iter().chain(&self.held).map(Change::key);
        keys.filter(|key| self.approved.contains(key)).collect()
    }

    /// What the guard holds.
    #[must_use]
    pub fn held(&self) -> &[Change] {
        &self.held
    }

    /// Everybody whose wanted change is not sent, with the reason; what is held among them.
    #[must_use]
    pub fn outstanding(&self) -> &[OutstandingUser] {
        &self.outstanding
    }

    /// The id of what is held.
    #[must_use]
    pub fn hold(&self) -> Option<&HoldId> {
        self.hold.as_ref()
    }

    /// Which limits were passed.
    #[must_use]
    pub fn tripped(&self) -> &[OverLimit] {
        &self.tripped
    }

    /// The digest of the plan.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether removals are held because the state was restored from a backup.
    #[must_use]
    pub fn holds_restored(&self) -> bool {
        self.holds_restored
    }

    /// Whether creates spend no budget: no cycle has ended yet without any left.
    #[must_use]
    pub fn creates_are_free(&self) -> bool {
        self.creates_are_free
    }

    /// Users who are up to date.
    #[must_use]
    pub fn unchanged_count(&self) -> u64 {
        self.unchanged_count
    }
}

/// Lets through what the limits allow and holds the rest.
#[must_use]
pub fn approve(plan: Plan, ledger: &Ledger) -> ApprovedPlan {
    let mut reasons: BTreeMap<GuardKind, HeldBy> = BTreeMap::new();
    let mut tripped = Vec::new();
    for kind in GuardKind::ALL {
        if let Some(numbers) = over_limit(&plan, ledger, kind) {
            reasons.insert(kind, HeldBy::Limit(numbers));
            tripped.push(numbers);
        }
    }
    let clock = ledger.removals_stopped.map(HeldBy::Clock);
    if let Some(by) = clock {
        reasons.insert(GuardKind::Absent, by);
        reasons.insert(GuardKind::Suspended, by);
    }
    let passes = |change: &Change| {
        ledger.approved.contains(&change.key())
            || !(own_reason(change, ledger).is_some()
                || (ledger.restored && change.action().removes())
                || change.guard_kind().is_none_or(|kind| reasons.contains_key(&kind)))
    };
    let going = plan.changes.iter().filter(|change| change.action().removes() && passes(change)).count() as u64;
    if going > 0 && going >= ledger.provisioned_count {
        for kind in [GuardKind::Absent, GuardKind::Suspended] {
            reasons.entry(kind).or_insert(HeldBy::Everybody);
        }
    }
    let held_by = |change: &Change| {
        let clock = clock.filter(|_| change.action().removes());
        let restored = (ledger.restored && change.action().removes()).then_some(HeldBy::Restored);
        let limit = change.guard_kind().and_then(|kind| reasons.get(&kind).copied());
        let by = clock.or(restored).or(own_reason(change, ledger)).or(limit)?;
        let approved = ledger.approved.contains(&change.key());
        // A link is moved by the command that approves it, not by a cycle.
        (!approved || clock.is_some() || by == HeldBy::Identity).then_some(by)
    };
    let (mut changes, mut outstanding) = (plan.changes, plan.outstanding);
    let mut reasons_of_held = Vec::new();
    let held: Vec<_> = changes
        .extract_if(.., |change| {
            let by = held_by(change);
            reasons_of_held.extend(by);
            by.is_some()
        })
        .collect();
    outstanding.extend(held.iter().zip(reasons_of_held).map(|(change, by)| held_user(change, by)));
    wait_for_held_removals(&mut changes, &held, &mut outstanding);
    let keys: Vec<_> = held.iter().map(Change::key).collect();
    let digest = digest::plan_digest(changes.iter(), held.iter());
    ApprovedPlan {
        changes,
        approved: ledger.approved.clone(),
        hold: digest::hold_id(keys.iter()),
        holds_restored: ledger.restored && held.iter().any(|change| change.action().removes()),
        held,
        outstanding,
        tripped,
        digest,
        unchanged_count: plan.unchanged_count,
        creates_are_free: ledger.first_load,
    }
}

/// Why a change is held however few there are.
fn own_reason(change: &Change, ledger: &Ledger) -> Option<HeldBy> {
    let silence = || ledger.arrivals_stopped.filter(|_| arrives(change)).map(HeldBy::Status);
    match change.cause() {
        Cause::ScopeChanged | Cause::SourceChanged => Some(HeldBy::Configuration),
        Cause::GroupUnnamed => Some(HeldBy::Scope),
        Cause::Identity => Some(HeldBy::Identity),
        Cause::LettersLost => Some(HeldBy::Encoding),
        Cause::Wanted
        | Cause::NameChanged
        | Cause::Gone
        | Cause::OutOfGroups
        | Cause::Suspended
        | Cause::Staged
        | Cause::Vanished => silence(),
    }
}

/// Whether a change lets somebody in.
fn arrives(change: &Change) -> bool {
    match change {
        Change::Create { .. } => true,
        Change::Update { reactivate, .. } => *reactivate,
        Change::Remove { .. } | Change::Relink { .. } => false,
    }
}

fn over_limit(plan: &Plan, ledger: &Ledger, kind: GuardKind) -> Option<OverLimit> {
    if kind == GuardKind::Create && ledger.first_load {
        return None;
    }
    let nothing = BTreeSet::new();
    let spent = ledger.spent.get(&kind).unwrap_or(&nothing);
    let wanted: BTreeSet<_> = plan
        .changes
        .iter()
        // What is held by itself must not hold what the directory says.
        .filter(|change| change.guard_kind() == Some(kind) && own_reason(change, ledger).is_none())
        .map(Change::key)
        .filter(|key| !ledger.approved.contains(key) && !spent.contains(key))
        .collect();
    let base = ledger.provisioned_count + ledger.removed_count;
    let limit = ledger.limits.get(&kind)?.of_base(base);
    let (wanted, spent) = (wanted.len() as u64, spent.len() as u64);
    (wanted > 0 && spent + wanted > limit).then_some(OverLimit { kind, wanted, spent, limit, base })
}

/// A create that comes after a removal waits where that removal is held.
fn wait_for_held_removals(changes: &mut Vec<Change>, held: &[Change], outstanding: &mut Vec<OutstandingUser>) {
    let held: BTreeSet<_> = held.iter().filter(|change| change.action().removes()).map(Change::directory_id).collect();
    changes.retain(|change| {
        let Change::Create { user, after_removal_of: Some(holder), .. } = change else { return true };
        if !held.contains(holder) {
            return true;
        }
        let reason = UsernameConflict::OfHeld;
        let entry = OutstandingUser::new(OutstandingKind::Waiting, Some(&user.id), Some(&user.user_name), reason);
        outstanding.push(entry.action(change.action()).wanted(change.wanted()));
        false
    });
}

fn held_user(change: &Change, by: HeldBy) -> OutstandingUser {
    let reason = Reason::Held { cause: change.cause(), by };
    let mut entry =
        OutstandingUser::new(OutstandingKind::Held, Some(change.directory_id()), Some(change.user_name()), reason)
            .action(change.action())
            .wanted(change.wanted())
            .fields(change.fields());
    entry.scim_id = change.scim_id().cloned();
    entry.former_id = change.former_id().cloned();
    entry
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
