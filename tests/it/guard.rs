//! What the guard holds, what an administrator releases, and what our own configuration may not do, over several
//! cycles.

mod edits;

use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{InProcess, Steps, approval};
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::{Action, GuardKind, HoldId, Moment, OutstandingKind, Removals};
use rhombus_sync::plan::{Limits, Scope, ScopeVersion};
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use std::sync::atomic::Ordering;

const STAFF: &str = "a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D|e e@x.example E|f f@x.example F";
const FOUR_LEFT: &str = "a a@x.example A|b b@x.example B";

fn strict(installation: &mut InProcess) {
    let limits = Limits { count_free: 3, percent_max: 10, count_max: 50 };
    installation.settings.limits.insert(GuardKind::Absent, limits);
}

fn approve(installation: &InProcess, hold: &str) -> usize {
    let mut state = store::open(&installation.path("state.db"), Access::Write).expect("the state opens");
    let transaction = state.transaction().expect("a transaction");
    let hold = HoldId::new(hold);
    let held = store::held_of(&transaction, &hold).expect("the state").expect("a known hold");
    let now = Moment(installation.clock.load(Ordering::SeqCst));
    store::approve(&transaction, &held, &approval(&hold), "", now).expect("approved");
    transaction.commit().expect("a commit");
    held.len()
}

fn reasons(report: &CycleReport, kind: OutstandingKind) -> Vec<String> {
    let of_kind = report.outstanding.iter().filter(|entry| entry.kind == kind);
    of_kind.map(|one| format!("{}: {}", one.directory_id.as_ref().expect("an id"), one.reason)).collect()
}

fn said(report: &CycleReport) -> (u8, u64, usize) {
    (report.exit.code(), report.done.deleted_count, report.count(OutstandingKind::Held))
}

#[test]
fn a_lay_off_is_two_steps_look_and_approve() {
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.run_whole(STAFF);
    let held = installation.run_whole(FOUR_LEFT);
    assert_eq!(said(&held), (4, 0, 4));
    let numbers =
        "missing from the export; 4 removals wanted, and [guard.absent] allows 3 of 6 users within its window";
    assert!(reasons(&held, OutstandingKind::Held).iter().all(|reason| reason.ends_with(numbers)), "{held:?}");
    assert_eq!(approve(&installation, held.hold.as_deref().expect("a hold")), 4);
    assert_eq!(said(&installation.run_whole(FOUR_LEFT)), (0, 4, 0));
    // Used up: the same people come back, leave again, and are held again.
    installation.run_whole(STAFF);
    assert_eq!(said(&installation.run_whole(FOUR_LEFT)), (4, 0, 4));
}

#[test]
fn an_approval_is_used_up_even_where_the_same_account_comes_back() {
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.settings.policy.on_removed = Removals::Deactivate;
    installation.accounts.borrow_mut().keeps_inactive = true;
    installation.run_whole(STAFF);
    let held = installation.run_whole(FOUR_LEFT);
    approve(&installation, held.hold.as_deref().expect("a hold"));
    assert_eq!(installation.run_whole(FOUR_LEFT).done.deactivated_count, 4);
    let back = installation.run_whole(STAFF);
    assert_eq!((back.exit.code(), back.done.linked_count), (0, 4), "the inactive accounts are brought back: {back:?}");
    let again = installation.run_whole(FOUR_LEFT);
    assert_eq!(
        (again.exit.code(), again.done.deactivated_count, again.count(OutstandingKind::Held)),
        (4, 0, 4),
        "{again:?}"
    );
}

#[test]
fn who_is_wanted_again_drops_out_and_who_is_held_newly_is_not_covered() {
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.run_whole(STAFF);
    let held = installation.run_whole(FOUR_LEFT);
    approve(&installation, held.hold.as_deref().expect("a hold"));
    let report = installation.run_whole("b b@x.example B|c c@x.example C");
    assert_eq!(
        (report.done.deleted_count, report.unchanged_count),
        (4, 2),
        "a counts alone, and 1 is within the limit"
    );
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.run_whole(STAFF);
    let held = installation.run_whole(FOUR_LEFT);
    approve(&installation, held.hold.as_deref().expect("a hold"));
    installation.settings.limits.insert(GuardKind::Absent, Limits { count_free: 0, percent_max: 0, count_max: 0 });
    let report = installation.run_whole("b b@x.example B|c c@x.example C");
    assert_eq!(said(&report), (4, 3, 1), "a is held newly: {report:?}");
}

#[test]
fn an_approval_ends_after_an_hour_but_for_what_was_begun() {
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.run_whole(STAFF);
    let held = installation.run_whole(FOUR_LEFT);
    approve(&installation, held.hold.as_deref().expect("a hold"));
    installation.clock.fetch_add(3_600_001, Ordering::SeqCst);
    assert_eq!(said(&installation.run_whole(FOUR_LEFT)), (4, 0, 4));
    let held = installation.run_whole(FOUR_LEFT);
    approve(&installation, held.hold.as_deref().expect("a hold"));
    for status in [400, 503] {
        // Neither DELETE nor what stands in for it, active=false.
        let refused = move |request: &Request| {
            let removes = matches!(request.method, Method::Delete | Method::Patch);
            removes.then(|| crate::support::fake_rhombus::answer(status, "{}"))
        };
        installation.accounts.borrow_mut().refuse = Some(std::rc::Rc::new(refused));
        let report = installation.run_whole(FOUR_LEFT);
        assert_eq!((report.exit.code(), report.done.deleted_count), (3, 0), "{status}: {report:?}");
        installation.clock.fetch_add(7_200_000, Ordering::SeqCst);
    }
    installation.accounts.borrow_mut().refuse = None;
    assert_eq!(said(&installation.run_whole(FOUR_LEFT)), (0, 4, 0), "begun within the hour, it keeps its approval");
}

#[test]
fn a_kill_at_any_step_leaves_an_approval_good_exactly_once() {
    for step in 1.. {
        let mut installation = InProcess::new();
        strict(&mut installation);
        installation.run_whole(STAFF);
        let held = installation.run_whole(FOUR_LEFT);
        approve(&installation, held.hold.as_deref().expect("a hold"));
        let steps = Steps::new(step, Fate::Die);
        installation.run(FOUR_LEFT, &steps);
        // The rest of it goes on even when it is late.
        let begun = installation.accounts.borrow().by_id.len() < 8 || open_intents(&installation) > 0;
        if begun {
            installation.clock.fetch_add(1_800_000, Ordering::SeqCst);
        }
        let report = installation.run_whole(FOUR_LEFT);
        assert_eq!((report.exit.code(), report.count(OutstandingKind::Held)), (0, 0), "step {step}: {report:?}");
        installation.judge(FOUR_LEFT, &format!("step {step}"));
        installation.run_whole(STAFF);
        assert_eq!(said(&installation.run_whole(FOUR_LEFT)), (4, 0, 4), "step {step}: it is good once");
        if steps.passed.load(Ordering::SeqCst) < step {
            assert!(step > 20, "only {step} steps were walked");
            return;
        }
    }
}

fn open_intents(installation: &InProcess) -> usize {
    let state = store::open(&installation.path("state.db"), Access::Read).expect("the state opens");
    store::open_intents(&state).expect("intents").len()
}

#[test]
fn the_window_is_refilled_by_neither_a_restart_nor_a_clock_nor_a_return() {
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.run_whole(STAFF);
    let three_left = "a a@x.example A|b b@x.example B|c c@x.example C";
    assert_eq!(said(&installation.run_whole(three_left)), (0, 3, 0));
    installation.run_whole(STAFF);
    // The same people again: other accounts, so other changes.
    assert_eq!(said(&installation.run_whole(three_left)), (4, 0, 3));
    installation.clock.fetch_sub(50_000, Ordering::SeqCst);
    assert_eq!(said(&installation.run_whole(three_left)), (4, 0, 3), "a clock that goes back refills nothing");
    installation.clock.fetch_sub(500_000, Ordering::SeqCst);
    let behind = installation.run_whole(three_left);
    assert_eq!(said(&behind), (4, 0, 3));
    assert!(reasons(&behind, OutstandingKind::Held)[0].contains("behind the last event"), "{behind:?}");
    installation.clock.fetch_add(550_000 + 86_400_000, Ordering::SeqCst);
    assert_eq!(said(&installation.run_whole(three_left)), (0, 3, 0), "a day later the window is free");
    let held = installation.run_whole(STAFF);
    assert_eq!((held.exit.code(), held.done.created_count), (0, 3));
    let action = held.outstanding.iter().find_map(|entry| entry.action);
    assert_eq!(action, None::<Action>);
}

#[test]
fn an_export_without_proof_must_lack_a_user_twice_and_at_different_times() {
    let installation = InProcess::new();
    installation.run_whole(STAFF);
    let ndjson =
        crate::support::ndjson("a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D|e e@x.example E");
    let written = |second: u64| std::time::UNIX_EPOCH + std::time::Duration::from_secs(2_100_000_000 + second);
    let run = |text: &str, second: u64| {
        std::fs::write(installation.path("directory.json"), text).expect("an export");
        let file = std::fs::File::options().write(true).open(installation.path("directory.json")).expect("it is there");
        file.set_modified(written(second)).expect("a time");
        installation.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("an undisturbed run ends")
    };
    let waits =
        |report: &CycleReport| (report.exit.code(), report.done.deleted_count, report.count(OutstandingKind::Waiting));
    installation.clock.store(2_100_000_100_000, Ordering::SeqCst);
    assert_eq!(waits(&run(&ndjson, 1)), (0, 0, 1));
    assert_eq!(waits(&run(&ndjson, 1)), (0, 0, 1), "the same file is no second sighting");
    let back = format!("{ndjson}{}", crate::support::ndjson("f f@x.example F"));
    assert_eq!(waits(&run(&back, 2)), (0, 0, 0));
    assert_eq!(waits(&run(&ndjson, 3)), (0, 0, 1), "who reappears starts anew");
    assert_eq!(waits(&run(&ndjson, 4)), (0, 1, 0), "the same content written anew is a second sighting");
}

#[test]
fn where_a_record_stands_twice_another_may_be_missing_for_it() {
    let installation = InProcess::new();
    installation.run_whole(STAFF);
    let shifted = STAFF.replace("f f@x.example F", "e e@x.example E");
    let report = installation.run_whole(&shifted);
    assert_eq!(
        (report.exit.code(), report.done.deleted_count, report.count(OutstandingKind::Waiting)),
        (0, 0, 1),
        "{report:?}"
    );
}

#[test]
fn whoever_is_wanted_again_needs_another_approval_when_leaving_again() {
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.run_whole(STAFF);
    let held = installation.run_whole(FOUR_LEFT);
    approve(&installation, held.hold.as_deref().expect("a hold"));
    assert_eq!(installation.run_whole(STAFF).unchanged_count, 6);
    assert_eq!(said(&installation.run_whole(FOUR_LEFT)), (4, 0, 4), "the same absence is another one");
}

/// What a command does beside a cycle: it writes to the state when the endpoint is first asked for something.
fn beside(
    installation: &InProcess,
    asked: impl Fn(&Request) -> bool + 'static,
    write: impl Fn(&rusqlite::Transaction<'_>) + 'static,
) {
    let (path, done) = (installation.path("state.db"), std::cell::Cell::new(false));
    let hook = move |request: &Request| {
        if asked(request) && !done.replace(true) {
            let mut state = store::open(&path, Access::Write).expect("the state opens");
            let transaction =
                state.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("a transaction");
            write(&transaction);
            transaction.commit().expect("a commit");
        }
        None
    };
    installation.accounts.borrow_mut().refuse = Some(std::rc::Rc::new(hook));
}

#[test]
fn what_is_approved_while_a_cycle_runs_is_the_next_ones() {
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.run_whole(STAFF);
    let held = installation.run_whole(FOUR_LEFT);
    let (hold, clock) = (HoldId::new(held.hold.expect("a hold")), installation.clock.clone());
    beside(
        &installation,
        |request| request.method == Method::Patch,
        move |transaction| {
            let held = store::held_of(transaction, &hold).expect("the state").expect("a known hold");
            let now = Moment(clock.load(Ordering::SeqCst));
            store::approve(transaction, &held, &approval(&hold), "", now).expect("approved");
        },
    );
    let report = installation.run_whole("a a@x.example Anna|b b@x.example B");
    assert_eq!((report.done.updated_count, report.done.deleted_count), (1, 0), "{report:?}");
    assert_eq!(said(&installation.run_whole("a a@x.example Anna|b b@x.example B")), (0, 4, 0));
}

/// The account that was made for a directory id; which number it got is chance.
fn account_of(installation: &InProcess, id: &str) -> String {
    let accounts = installation.accounts.borrow();
    accounts.by_id.iter().find(|(_, account)| account["externalId"] == id).expect("an account").0.clone()
}

#[test]
fn who_is_forgotten_while_a_cycle_runs_is_left_alone_and_linked_anew() {
    let installation = InProcess::new();
    installation.run_whole(STAFF);
    // The account of f is read before it is removed; then f is forgotten.
    let account = account_of(&installation, "f");
    let target = format!("/Users/{account}");
    beside(
        &installation,
        move |request| request.target == target,
        |transaction| {
            store::forget(transaction, &rhombus_sync::model::DirectoryId::new("f")).expect("forgotten");
        },
    );
    let report = installation.run_whole(&STAFF.replace("|f f@x.example F", ""));
    assert_eq!((report.done.deleted_count, report.count(OutstandingKind::Waiting)), (0, 1), "{report:?}");
    assert!(installation.accounts.borrow().by_id.contains_key(&account), "the account stays as it is");
    installation.run_whole(STAFF);
    beside(
        &installation,
        |request| request.method == Method::Patch,
        |transaction| {
            store::forget(transaction, &rhombus_sync::model::DirectoryId::new("e")).expect("forgotten");
        },
    );
    let changed = STAFF.replace("a@x.example A", "a@x.example Anna");
    installation.run_whole(&changed);
    assert_eq!(
        installation.run_whole(&changed).done.linked_count,
        1,
        "a cycle that ended beside it is not the last word"
    );
}
