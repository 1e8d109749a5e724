//! How much may change at once: per kind, over a rolling window that the state remembers.
//!
//! It alone makes an [`ApprovedPlan`]. What it holds is listed with the numbers that tripped it.

mod ledger;
mod views;

pub use ledger::{Ledger, Limits};

use super::order::order;
use super::packed::PackedCreates;
use super::{Plan, digest};
use crate::model::{
    Approval, Cause, Change, ChangeKey, DirectoryId, ExactChange, GuardKind, HeldBy, HoldId, OutstandingKind,
    OutstandingUser, OverLimit, Reason, UsernameConflict,
};
use ledger::SpokenFor;
use std::collections::{BTreeMap, BTreeSet};

/// A plan that may be applied. Only [`approve`] makes one.
#[derive(Clone, PartialEq, Debug)]
pub struct ApprovedPlan {
    changes: Vec<Change>,
    creates: PackedCreates,
    approved: BTreeMap<ExactChange, Approval>,
    /// Removals that were let through for what their accounts showed last.
    conditional: BTreeSet<ChangeKey>,
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

/// What may be sent, and on which terms.
#[derive(Clone, PartialEq, Debug)]
pub struct Cleared {
    /// The changes, removals first; but for the plain creates.
    pub changes: Vec<Change>,
    /// The plain creates.
    pub creates: PackedCreates,
    /// What of it an administrator released.
    pub approved: BTreeMap<ExactChange, Approval>,
    /// Removals that go out only if their accounts are still as they were when these were let through: gone, or other than
    /// when they were linked.
    pub conditional: BTreeSet<ChangeKey>,
}

/// Lets through what the limits allow and holds the rest.
#[must_use]
pub fn approve(mut plan: Plan, ledger: &Ledger) -> ApprovedPlan {
    let spoken_for = ledger.spoken_for();
    unpack_what_may_be_held(&mut plan, ledger, &spoken_for);
    let (reasons, tripped) = reasons(&plan, ledger, &spoken_for);
    let (mut changes, mut outstanding) = (plan.changes, plan.outstanding);
    let (mut held_for, mut conditional, mut shown) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
    let held: Vec<_> = changes
        .extract_if(.., |change| {
            let released = ledger.releases(change);
            let otherwise = spoken_for.otherwise(change, ledger).then_some(HeldBy::ApprovedOtherwise);
            let by = otherwise.or_else(|| held_by(change, ledger, &reasons));
            if let Some(by) = by.filter(|by| !(released && can_be_released(*by))) {
                held_for.push(by);
                return true;
            }
            // It counted for nothing, so it goes only for that.
            if released && ledger.is_conditional(change) {
                conditional.insert(change.key());
            }
            false
        })
        .collect();
    for (change, by) in held.iter().zip(held_for) {
        outstanding.push(held_user(change, by, ledger));
        if let Some((_, theirs)) = ledger.shown.get(&change.key()).filter(|_| can_be_released(by)) {
            shown.insert(change.key(), theirs.to_string());
        }
    }
    wait_for_held_removals(&mut changes, &held, &mut outstanding);
    let digest = digest::digest_with(changes.iter(), &plan.creates, held.iter());
    let mut plan = ApprovedPlan {
        changes,
        creates: plan.creates,
        approved: ledger.approved.clone(),
        conditional,
        hold: None,
        // What no link knows keeps no state from being trusted again.
        holds_restored: ledger.restored && held.iter().any(removes_link),
        held,
        shown,
        off_clock: BTreeSet::new(),
        outstanding,
        tripped,
        digest,
        unchanged_count: plan.unchanged_count,
        creates_are_free: ledger.first_load,
        removals_wait_for_the_clock: ledger.removals_stopped.is_some(),
    };
    plan.hold = plan.hold_id();
    plan
}

/// Leaves only those creates packed that nothing here can hold: a first load has no limit of creates, and a plain one is held
/// for its own reason only if its record is silent on who may not come in, or if something else was approved for its user.
fn unpack_what_may_be_held(plan: &mut Plan, ledger: &Ledger, spoken_for: &SpokenFor<'_>) {
    let unpacked = match ledger.first_load && ledger.arrivals_stopped.is_none() {
        true if ledger.unsaid.is_empty() && spoken_for.is_empty() => return,
        true => plan.creates.take_out(|create| {
            let id = DirectoryId::new(create.id);
            ledger.unsaid.contains_key(&id) || spoken_for.is_about_a_create_of(&id)
        }),
        false => std::mem::take(&mut plan.creates).into_changes().collect(),
    };
    plan.changes.extend(unpacked);
    plan.changes.sort_by(order);
}

/// Why each kind is held as a whole, and which limits were passed.
fn reasons(plan: &Plan, ledger: &Ledger, spoken_for: &SpokenFor<'_>) -> (BTreeMap<GuardKind, HeldBy>, Vec<OverLimit>) {
    let tripped: Vec<_> = GuardKind::ALL.into_iter().filter_map(|kind| over_limit(plan, ledger, kind)).collect();
    let mut reasons: BTreeMap<GuardKind, HeldBy> =
        tripped.iter().map(|numbers| (numbers.kind, HeldBy::Limit(*numbers))).collect();
    if let Some(doubt) = ledger.removals_stopped {
        reasons.insert(GuardKind::Absent, HeldBy::Clock(doubt));
        reasons.insert(GuardKind::Suspended, HeldBy::Clock(doubt));
    }
    let passes = |change: &Change| {
        ledger.releases(change)
            || !(spoken_for.otherwise(change, ledger)
                || own_reason(change, ledger).is_some()
                || (ledger.restored && change.action().removes())
                || change.guard_kind().is_none_or(|kind| reasons.contains_key(&kind)))
    };
    let going = plan.changes.iter().filter(|change| removes_link(change) && passes(change)).count() as u64;
    if going > 0 && going >= ledger.provisioned_count {
        for kind in [GuardKind::Absent, GuardKind::Suspended] {
            reasons.entry(kind).or_insert(HeldBy::Everybody);
        }
    }
    (reasons, tripped)
}

/// Why a change is held unless it is released, if it is.
fn held_by(change: &Change, ledger: &Ledger, reasons: &BTreeMap<GuardKind, HeldBy>) -> Option<HeldBy> {
    let clock = ledger.removals_stopped.map(HeldBy::Clock).filter(|_| change.action().removes());
    let restored = (ledger.restored && change.action().removes()).then_some(HeldBy::Restored);
    let limit = change.guard_kind().and_then(|kind| reasons.get(&kind).copied());
    clock.or(restored).or(own_reason(change, ledger)).or(limit)
}

/// Whether an approval lets a cycle send it: not what waits for the clock; and a link is moved by the command that approves it.
fn can_be_released(by: HeldBy) -> bool {
    match by {
        HeldBy::Clock(_) | HeldBy::Identity => false,
        HeldBy::Limit(_)
        | HeldBy::Everybody
        | HeldBy::Configuration
        | HeldBy::Restored
        | HeldBy::Status(_)
        | HeldBy::Blank(_)
        | HeldBy::Scope
        | HeldBy::Encoding
        | HeldBy::ApprovedOtherwise => true,
    }
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
        Cause::Lost => Some(HeldBy::Restored),
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

/// Whether a change removes the account of a link.
fn removes_link(change: &Change) -> bool {
    change.action().removes() && change.cause() != Cause::Lost
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
        .filter(|change| !ledger.releases(change) && (spent.is_empty() || !spent.contains(&change.key())))
        .map(|change| (change.action(), change.directory_id(), change.scim_id()))
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

/// Who is held and why. Where the account showed something else than its link, that is what is told: it is remembered with the
/// entry, so that one approval releases the change from the guard and for what was shown.
fn held_user(change: &Change, by: HeldBy, ledger: &Ledger) -> OutstandingUser {
    let (reason, exact) = match ledger.shown.get(&change.key()).filter(|_| can_be_released(by)) {
        Some((what, shown)) => (Reason::Mismatch { what: *what, shown: Some(shown.clone()) }, ledger.exact(change)),
        None => (Reason::Held { cause: change.cause(), by }, change.exact()),
    };
    let mut entry =
        OutstandingUser::new(OutstandingKind::Held, Some(change.directory_id()), Some(change.user_name()), reason)
            .action(change.action())
            .wanted(exact.content.as_str())
            .fields(change.fields());
    entry.scim_id = change.scim_id().cloned();
    entry.former_id = change.former_id().cloned();
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, ClockDoubt, Column, Content, Mismatch, Person, Shown, UserName};
    use crate::plan::shorthand::plan;

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
        let goes: Vec<_> = plan.changes().collect();
        let (goes, held) = (names(&mut goes.iter().map(|change| &**change)), names(&mut plan.held().iter()));
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
        let blank = |ledger: &mut Ledger| {
            ledger.first_load = true;
            ledger.unsaid.insert(DirectoryId::new("x"), Column::State);
        };
        check(&four, blank, "w y / x / status");
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
    fn what_an_account_showed_is_held_with_the_rest_and_one_approval_releases_both() {
        let who = UserName::of_account("boss@x.example");
        let shown = Shown::of(Some(&who), None);
        let known = |ledger: &mut Ledger| drop(ledger.shown.insert(key("a"), (Mismatch::UserName, shown.clone())));
        check("d d@x.example D", known, " / a b c / guard mismatch");
        let (ExactChange { key, content }, by) = approval("a");
        let exact = ExactChange { key, content: content.shown([shown.to_string().as_str()]) };
        let released = |ledger: &mut Ledger| {
            known(ledger);
            ledger.approved.insert(exact.clone(), by.clone());
        };
        check("d d@x.example D|c c@x.example C", released, "a b /  / ");
        // What was approved for what was shown says nothing of an account of which nothing is known.
        let unseen = |ledger: &mut Ledger| drop(ledger.approved.insert(exact.clone(), by.clone()));
        check("d d@x.example D", unseen, " / a b c / approved_otherwise guard");
    }

    #[test]
    fn what_was_approved_otherwise_is_held_within_the_limit_and_counts_as_before() {
        let (ExactChange { key, .. }, by) = approval("a");
        let other = ExactChange { key, content: Content::of(&UserName::of_account("b@x.example"), &[]) };
        let approved = |ledger: &mut Ledger| drop(ledger.approved.insert(other.clone(), by.clone()));
        check("b b@x.example B|c c@x.example C|d d@x.example D", approved, " / a / approved_otherwise");
        check("c c@x.example C|d d@x.example D", approved, "b / a / approved_otherwise");
        check("d d@x.example D", approved, " / a b c / approved_otherwise guard");
        // Also when the approval is over, but not if this is what was approved.
        let held = |ledger: &mut Ledger| {
            ledger.approved_otherwise.extend([(Action::Delete, DirectoryId::new("a"))]);
        };
        check("b b@x.example B|c c@x.example C|d d@x.example D", held, " / a / approved_otherwise");
        let both = |ledger: &mut Ledger| {
            held(ledger);
            ledger.approved.extend([approval("a")]);
        };
        check("b b@x.example B|c c@x.example C|d d@x.example D", both, "a /  / ");
        // Of a first load too.
        let create = |ledger: &mut Ledger| {
            ledger.first_load = true;
            ledger.approved_otherwise.extend([(Action::Create, DirectoryId::new("x"))]);
        };
        check(&format!("{ROWS}|w w@x.example|x x@x.example"), create, "w / x / approved_otherwise");
    }

    #[test]
    fn whose_account_is_gone_needs_no_approval_and_counts_for_nothing() {
        let gone = |ledger: &mut Ledger| ledger.gone.extend(["a", "d"].map(DirectoryId::new));
        check("d d@x.example E", gone, "a b c d /  / ");
        let restored = |ledger: &mut Ledger| {
            gone(ledger);
            ledger.restored = true;
        };
        check("c c@x.example C|d d@x.example D", restored, "a / b / restored");
        let clock = |ledger: &mut Ledger| {
            gone(ledger);
            ledger.removals_stopped = Some(ClockDoubt::BehindLog(100));
        };
        check("b b@x.example B|c c@x.example C|d d@x.example D", clock, " / a / clock");
    }

    #[test]
    fn what_the_last_cycle_held_for_rhombus_clock_is_told_and_not_offered() {
        let limits = Limits { count_free: 2, percent_max: 0, count_max: 9 };
        let limits = GuardKind::ALL.into_iter().map(|kind| (kind, limits)).collect();
        let ledger = Ledger { limits, provisioned_count: 4, ..Ledger::default() };
        let plan = approve(plan("c c@x.example C|d d@x.example D", ROWS, |_, _| {}), &ledger);
        let change = plan.changes().next().expect("a removal").into_owned();
        let (id, name) = (Some(change.directory_id()), Some(change.user_name()));
        let entry = OutstandingUser::new(OutstandingKind::Held, id, name, ClockDoubt::OffRhombus(90));
        let entry = entry.action(change.action()).account(change.scim_id().expect("an account"));
        let plan = plan.held_as_stored(std::slice::from_ref(&entry));
        assert_eq!((plan.changes().count(), plan.held().len(), plan.hold()), (1, 1, None));
        assert!(plan.outstanding().contains(&entry));
        assert_eq!(plan.held_of(change.directory_id()), None, "nothing of it can be approved");
    }
}
