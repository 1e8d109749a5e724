//! How much may change at once: per kind, over a rolling window that the state remembers.
//!
//! It alone makes an [`ApprovedPlan`]. What it holds is listed with the numbers that tripped it.

use super::claims::not_created;
use super::{Plan, digest};
use crate::model::{
    Approval, Cause, Change, ChangeKey, ClockDoubt, Column, Content, DirectoryId, ExactChange, GuardKind, HeldBy,
    HeldChange, HoldId, OutstandingKind, OutstandingUser, OverLimit, Reason, UsernameConflict,
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
    /// Creates are free until one cycle has ended with none left.
    pub first_load: bool,
    /// The state was restored from a backup: it may be missing links, so removals need approval.
    pub restored: bool,
    /// Why no removal may be sent at all, if none may.
    pub removals_stopped: Option<ClockDoubt>,
    /// The column that fell silent on who may not come in: nobody may, then.
    pub arrivals_stopped: Option<Column>,
    /// Whose record is silent on it, and in which column: those may not.
    pub unsaid: BTreeMap<DirectoryId, Column>,
}

impl Ledger {
    /// Whether an administrator released exactly this change.
    fn releases(&self, change: &Change) -> bool {
        !self.approved.is_empty() && self.approved.contains_key(&change.exact())
    }
}

/// A plan that may be applied. Only [`approve`] makes one.
#[derive(Clone, PartialEq, Debug)]
pub struct ApprovedPlan {
    changes: Vec<Change>,
    approved: BTreeMap<ExactChange, Approval>,
    held: Vec<Change>,
    /// What the accounts showed whose removals the last cycle held for it.
    shown: BTreeMap<ChangeKey, String>,
    /// Removals that the last cycle held because Rhombus's clock is another one.
    off_clock: BTreeSet<ChangeKey>,
    outstanding: Vec<OutstandingUser>,
    hold: Option<HoldId>,
    tripped: Vec<OverLimit>,
    digest: String,
    unchanged_count: u64,
    creates_are_free: bool,
    holds_restored: bool,
    removals_wait_for_the_clock: bool,
}

impl ApprovedPlan {
    /// What may be sent, removals first.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// What may be sent, and what of it an administrator released.
    #[must_use]
    pub fn into_changes(self) -> (Vec<Change>, BTreeMap<ExactChange, Approval>) {
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
        self.hold = self.hold_id();
        self
    }

    /// The plan as a command shows it, which asks Rhombus nothing: removals that the last cycle held for what the account
    /// showed are held still, unless exactly that was approved, and so are those that it held for Rhombus's clock. A cycle
    /// reads the account again. The digest is that of the plan before look-ups.
    #[must_use]
    pub fn held_as_stored(mut self, stored: &[OutstandingUser]) -> Self {
        let mut read = BTreeMap::new();
        for entry in stored.iter().filter(|entry| entry.kind == OutstandingKind::Held) {
            let (Some(id), Some(action)) = (&entry.directory_id, entry.action) else { continue };
            let shown = entry.reason.shown();
            if shown.is_none() && !matches!(entry.reason, Reason::Clock(_)) {
                continue;
            }
            let key = ChangeKey { action, directory_id: id.clone(), scim_id: entry.scim_id.clone() };
            let exact = ExactChange { key, content: Content::stored(&entry.wanted) };
            if shown.is_none() || !self.approved.contains_key(&exact) {
                read.insert(exact.key, (entry, shown));
            }
        }
        self.held.extend(self.changes.extract_if(.., |change| {
            let key = change.key();
            let Some((entry, shown)) = read.remove(&key) else { return false };
            self.outstanding.push(entry.clone());
            match shown {
                Some(shown) => drop(self.shown.insert(key, shown)),
                None => drop(self.off_clock.insert(key)),
            }
            true
        }));
        wait_for_held_removals(&mut self.changes, &self.held, &mut self.outstanding);
        self.outstanding.sort_by(OutstandingUser::order);
        self.hold = self.hold_id();
        self
    }

    /// What an administrator released and the plan still has.
    #[must_use]
    pub fn approved(&self) -> Vec<ExactChange> {
        if self.approved.is_empty() {
            return Vec::new();
        }
        let planned: BTreeMap<_, _> =
            self.changes.iter().chain(&self.held).map(|change| (change.key(), change.exact().content)).collect();
        // What the account of a removal shows is known once it is read.
        let is_planned = |exact: &&ExactChange| {
            let content = planned.get(&exact.key);
            content == Some(&exact.content) || (content.is_some() && exact.key.action.removes())
        };
        self.approved.keys().filter(is_planned).cloned().collect()
    }

    /// What the guard holds and an administrator can release: not what waits for the clock.
    pub fn approvable(&self) -> impl Iterator<Item = &Change> {
        let waits = |change: &Change| self.removals_wait_for_the_clock || self.off_clock.contains(&change.key());
        self.held.iter().filter(move |change| !(change.action().removes() && waits(change)))
    }

    /// What the guard holds.
    #[must_use]
    pub fn held(&self) -> &[Change] {
        &self.held
    }

    /// The same, as a hold stores it.
    #[must_use]
    pub fn held_changes(&self) -> Vec<HeldChange> {
        self.approvable().map(|change| self.as_stored(change)).collect()
    }

    /// What is held of one user, as a hold stores it.
    #[must_use]
    pub fn held_of(&self, id: &DirectoryId) -> Option<HeldChange> {
        self.approvable().find(|change| change.is_about(id)).map(|change| self.as_stored(change))
    }

    fn as_stored(&self, change: &Change) -> HeldChange {
        match self.shown.get(&change.key()) {
            Some(shown) => change.as_held_for(shown),
            None => change.as_held(),
        }
    }

    fn hold_id(&self) -> Option<HoldId> {
        digest::hold_id(self.held_changes().into_iter().map(|held| held.exact))
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
        ledger.releases(change)
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
        let approved = ledger.releases(change);
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
    let digest = digest::plan_digest(changes.iter(), held.iter());
    let mut plan = ApprovedPlan {
        changes,
        approved: ledger.approved.clone(),
        hold: None,
        holds_restored: ledger.restored && held.iter().any(|change| change.action().removes()),
        held,
        shown: BTreeMap::new(),
        off_clock: BTreeSet::new(),
        outstanding,
        tripped,
        digest,
        unchanged_count: plan.unchanged_count,
        creates_are_free: ledger.first_load,
        removals_wait_for_the_clock: clock.is_some(),
    };
    plan.hold = plan.hold_id();
    plan
}

/// Why a change is held however few there are.
fn own_reason(change: &Change, ledger: &Ledger) -> Option<HeldBy> {
    let silence = || {
        let blank = || ledger.unsaid.get(change.directory_id()).copied().map(HeldBy::Blank);
        if arrives(change) { ledger.arrivals_stopped.map(HeldBy::Status).or_else(blank) } else { None }
    };
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
        // What is held for its own reason must not hold what the directory says.
        .filter(|change| change.guard_kind() == Some(kind) && own_reason(change, ledger).is_none())
        .filter(|change| !ledger.releases(change))
        .map(Change::key)
        .filter(|key| !spent.contains(key))
        .collect();
    let base = ledger.provisioned_count + ledger.removed_count;
    let limit = ledger.limits.get(&kind)?.of_base(base);
    let (wanted, spent) = (wanted.len() as u64, spent.len() as u64);
    (wanted > 0 && spent + wanted > limit).then_some(OverLimit { kind, wanted, spent, limit, base })
}

/// A create that comes after a removal waits if that removal is held.
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
            .wanted(change.exact().content.as_str())
            .fields(change.fields());
    entry.scim_id = change.scim_id().cloned();
    entry.former_id = change.former_id().cloned();
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Content, Person, UserName};
    use crate::plan::shorthand::plan;

    #[test]
    fn the_limit_is_the_share_between_what_is_free_and_the_most() {
        let limits = Limits { count_free: 3, percent_max: 10, count_max: 50 };
        for (base, limit) in [(0, 3), (10, 3), (39, 3), (40, 4), (100, 10), (1_000, 50), (10_000, 50)] {
            assert_eq!(limits.of_base(base), limit, "{base} users");
        }
    }

    const ROWS: &str = "a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D";

    fn key(id: &str) -> ChangeKey {
        let scim_id = Some(crate::model::ScimId::new(format!("scim-{id}")));
        ChangeKey { action: Action::Delete, directory_id: DirectoryId::new(id), scim_id }
    }

    /// An approval of the removal of the user with this id.
    fn approval(id: &str) -> (ExactChange, Approval) {
        let content = Content::of(&UserName::of_account(&format!("{id}@x.example")), &[]);
        let by = Person::of_account("root");
        (ExactChange { key: key(id), content }, Approval { hold: HoldId::new("h"), by, reason: String::new() })
    }

    /// What goes and what is held, for four users of whom two of a kind may change.
    #[track_caller]
    fn check(records: &str, adjust: impl FnOnce(&mut Ledger), expected: &str) {
        let limits = Limits { count_free: 2, percent_max: 0, count_max: 9 };
        let mut ledger = Ledger {
            limits: GuardKind::ALL.into_iter().map(|kind| (kind, limits)).collect(),
            provisioned_count: 4,
            ..Ledger::default()
        };
        adjust(&mut ledger);
        let plan = approve(plan(records, ROWS, |_, _| {}), &ledger);
        let names = |changes: &mut dyn Iterator<Item = &Change>| {
            changes.map(|change| change.directory_id().as_str().to_owned()).collect::<Vec<_>>().join(" ")
        };
        let (goes, held) = (names(&mut plan.changes()), names(&mut plan.held().iter()));
        let codes: BTreeSet<_> = plan.outstanding().iter().map(|entry| entry.reason.code().to_owned()).collect();
        let codes = codes.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(format!("{goes} / {held} / {codes}"), expected, "{records}");
        assert_eq!(plan.hold().is_some(), plan.approvable().next().is_some());
    }

    #[test]
    fn past_the_limit_all_of_a_kind_are_held_and_the_other_kinds_go() {
        check("c c@x.example C|d d@x.example D", |_| {}, "a b /  / ");
        check("d d@x.example D", |_| {}, " / a b c / guard");
        check("d d@x.example E", |_| {}, "d / a b c / guard");
        check("c c@x.example C +suspended|d d@x.example D", |_| {}, "a b c /  / ");
    }

    #[test]
    fn what_was_spent_in_the_window_counts_once_and_approvals_do_not() {
        let one_left = "b b@x.example B|c c@x.example C|d d@x.example D";
        let spent = |ids: &[&str]| {
            let keys: BTreeSet<_> = ids.iter().map(|id| key(id)).collect();
            move |ledger: &mut Ledger| drop(ledger.spent.insert(GuardKind::Absent, keys))
        };
        check(one_left, spent(&["x"]), "a /  / ");
        check(one_left, spent(&["x", "y"]), " / a / guard");
        // The same change, tried again, is spent already.
        check(one_left, spent(&["a", "y"]), "a /  / ");
        let approved = |ledger: &mut Ledger| ledger.approved.extend([approval("a")]);
        check("d d@x.example D", approved, "a b c /  / ");
        check("d d@x.example D|c c@x.example C", spent(&["x"]), " / a b / guard");
    }

    #[test]
    fn the_base_is_who_is_there_and_who_was_removed_in_the_window() {
        let half = |removed_count| {
            move |ledger: &mut Ledger| {
                let limits = Limits { count_free: 0, percent_max: 50, count_max: 9 };
                ledger.limits.insert(GuardKind::Absent, limits);
                ledger.removed_count = removed_count;
            }
        };
        check("d d@x.example D", half(0), " / a b c / guard");
        check("d d@x.example D", half(2), "a b c /  / ");
    }

    #[test]
    fn nobody_is_left_is_held_whatever_the_limit() {
        let wide = |ledger: &mut Ledger| {
            let limits = Limits { count_free: 9, percent_max: 0, count_max: 9 };
            ledger.limits.insert(GuardKind::Absent, limits);
        };
        check("", wide, " / a b c d / everybody");
        check("d d@x.example D", wide, "a b c /  / ");
    }

    #[test]
    fn a_first_load_a_restored_state_and_a_doubtful_clock() {
        let four = format!("{ROWS}|w w@x.example|x x@x.example|y y@x.example");
        check(&four, |_| {}, " / w x y / guard");
        check(&four, |ledger| ledger.first_load = true, "w x y /  / ");
        check("b b@x.example B|c c@x.example C|d d@x.example E", |ledger| ledger.restored = true, "d / a / restored");
        let stopped = |ledger: &mut Ledger| {
            ledger.removals_stopped = Some(ClockDoubt::BehindLog(100));
            ledger.approved.extend([approval("a")]);
        };
        check("b b@x.example B|c c@x.example C|d d@x.example E", stopped, "d / a / clock");
        let silent = |ledger: &mut Ledger| ledger.arrivals_stopped = Some(Column::State);
        check(&format!("{ROWS}|w w@x.example"), silent, " / w / status");
    }
    #[test]
    fn what_the_last_cycle_held_for_rhombus_clock_is_told_and_not_offered() {
        let limits = Limits { count_free: 2, percent_max: 0, count_max: 9 };
        let limits = GuardKind::ALL.into_iter().map(|kind| (kind, limits)).collect();
        let ledger = Ledger { limits, provisioned_count: 4, ..Ledger::default() };
        let plan = approve(plan("c c@x.example C|d d@x.example D", ROWS, |_, _| {}), &ledger);
        let change = plan.changes().next().expect("a removal").clone();
        let (id, name) = (Some(change.directory_id()), Some(change.user_name()));
        let entry = OutstandingUser::new(OutstandingKind::Held, id, name, ClockDoubt::OffRhombus(90));
        let entry = entry.action(change.action()).account(change.scim_id().expect("an account"));
        let plan = plan.held_as_stored(std::slice::from_ref(&entry));
        assert_eq!((plan.changes().count(), plan.held().len(), plan.hold()), (1, 1, None));
        assert!(plan.outstanding().contains(&entry));
        assert_eq!(plan.held_of(change.directory_id()), None, "nothing of it can be approved");
    }
}
