//! What the guard holds, what an administrator releases, and what our own configuration may not do, over several cycles.

#[path = "support/company.rs"]
mod company;
#[path = "support/rhombus.rs"]
mod rhombus;
mod support;

use company::{Company, Steps};
use rhombus::Fate;
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::{Action, GuardKind, HoldId, Moment, Removal, StandingKind};
use rhombus_sync::plan::{Limits, Removals, Scope};
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use std::sync::atomic::Ordering;

const STAFF: &str = "a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D|e e@x.example E|f f@x.example F";
const FOUR_LEFT: &str = "a a@x.example A|b b@x.example B";

fn strict(company: &mut Company) {
    let limits = Limits { count_free: 3, percent_max: 10, count_max: 50 };
    company.settings.limits.insert(GuardKind::Absent, limits);
}

/// `[scope] groups` and `protected`, and the path of `[directory]`, as an administrator would edit them.
fn edit(company: &mut Company, groups: &[&str], protected: &[&str], path: &str) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    company.settings.scope = Scope::new(&owned(groups), &owned(protected));
    company.settings.wanted_under = serde_json::json!({
        "directory": {"path": path}, "scope": {"groups": groups, "protected": protected},
    })
    .to_string();
}

fn approve(company: &Company, hold: &str) -> usize {
    let mut state = store::open(&company.path("state.db"), Access::Write).expect("the state opens");
    let transaction = state.transaction().expect("a transaction");
    let hold = HoldId::new(hold);
    let held = store::held_of(&transaction, &hold).expect("the state").expect("a known hold");
    let now = Moment(company.clock.load(Ordering::SeqCst));
    store::approve(&transaction, &hold, &held, "root", now).expect("approved");
    transaction.commit().expect("a commit");
    held.len()
}

fn reasons(report: &CycleReport, kind: StandingKind) -> Vec<String> {
    let of_kind = report.standings.iter().filter(|standing| standing.kind == kind);
    of_kind.map(|one| format!("{}: {}", one.directory_id.as_ref().expect("an id"), one.reason)).collect()
}

fn said(report: &CycleReport) -> (u8, u64, usize) {
    (report.exit, report.deleted_count, report.count(StandingKind::Held))
}

#[test]
fn an_edit_of_the_configuration_removes_nobody_before_it_is_approved() {
    for (groups, protected, path, reason) in [
        (
            &["Other"][..],
            &["root@x.example"][..],
            "directory.json",
            "[scope] was changed and no longer wants this user",
        ),
        (&["R"], &["root@x.example"], "other.json", "[directory] was changed and the new source lacks this user"),
    ] {
        let mut company = Company::new();
        company.run_whole(STAFF);
        edit(&mut company, groups, protected, path);
        let export = if path == "directory.json" { STAFF } else { "a a@x.example A|x x@x.example X" };
        let first = company.run_whole(export);
        assert_eq!((first.exit, first.deleted_count), (4, 0), "{reason}: {first:?}");
        let held = reasons(&first, StandingKind::Held);
        assert!(held.len() >= 5 && held.iter().all(|held| held.contains(reason)), "{held:?}");
        let again = company.run_whole(export);
        assert_eq!(said(&again), said(&first), "it is held for as long as it is so");
        let count = approve(&company, again.hold.as_deref().expect("a hold"));
        let after = company.run_whole(export);
        assert_eq!((after.exit, after.deleted_count as usize), (0, count), "{after:?}");
    }
}

#[test]
fn an_edit_that_is_taken_back_leaves_everybody_as_they_were() {
    let mut company = Company::new();
    company.run_whole(STAFF);
    edit(&mut company, &["Other"], &["root@x.example"], "directory.json");
    assert_eq!(said(&company.run_whole(STAFF)), (4, 0, 6));
    edit(&mut company, &["R"], &["root@x.example"], "directory.json");
    let report = company.run_whole(STAFF);
    assert_eq!((report.exit, report.unchanged_count), (0, 6), "{report:?}");
}

#[test]
fn what_the_directory_says_beside_an_edit_goes_on() {
    let mut company = Company::new();
    company.run_whole(&format!("{STAFF}|g g@x.example G|h h@x.example H"));
    strict(&mut company);
    edit(&mut company, &["R", "More"], &[], "directory.json");
    let report = company.run_whole(&format!("{STAFF}|g g@x.example G +out"));
    assert_eq!(said(&report), (0, 2, 0), "both settings ask for it: {report:?}");
    edit(&mut company, &["More"], &[], "directory.json");
    let report = company.run_whole(&format!("{FOUR_LEFT}|c c@x.example C|d d@x.example D|e e@x.example E"));
    assert_eq!(said(&report), (4, 1, 5), "f is gone by the directory's word: {report:?}");
}

#[test]
fn whoever_was_wanted_under_the_new_settings_is_judged_by_them() {
    let mut company = Company::new();
    company.run_whole(STAFF);
    edit(&mut company, &["R"], &["root@x.example"], "other.json");
    assert_eq!(company.run_whole(STAFF).exit, 0);
    let report = company.run_whole(&STAFF.replace("|f f@x.example F", ""));
    assert_eq!(said(&report), (0, 1, 0), "{report:?}");
}

#[test]
fn a_protection_that_is_taken_away_is_an_edit_too() {
    let mut company = Company::new();
    edit(&mut company, &["R"], &[], "directory.json");
    company.run_whole(STAFF);
    edit(&mut company, &["R"], &["f@x.example"], "directory.json");
    let all_but_f = STAFF.replace("|f f@x.example F", "");
    assert_eq!(said(&company.run_whole(&all_but_f)), (0, 0, 0), "it is protected");
    edit(&mut company, &["R"], &[], "directory.json");
    assert_eq!(said(&company.run_whole(&all_but_f)), (0, 1, 0), "under the settings it was wanted under it may go");
}

#[test]
fn a_lay_off_is_two_steps_look_and_approve() {
    let mut company = Company::new();
    strict(&mut company);
    company.run_whole(STAFF);
    let held = company.run_whole(FOUR_LEFT);
    assert_eq!(said(&held), (4, 0, 4));
    let numbers = "gone from the export; guard.absent: 4 wanted and 0 spent within the window, limit is 3 of 6 users";
    assert!(reasons(&held, StandingKind::Held).iter().all(|reason| reason.ends_with(numbers)), "{held:?}");
    assert_eq!(approve(&company, held.hold.as_deref().expect("a hold")), 4);
    assert_eq!(said(&company.run_whole(FOUR_LEFT)), (0, 4, 0));
    // Used up: the same people come back, leave again, and are held again.
    company.run_whole(STAFF);
    assert_eq!(said(&company.run_whole(FOUR_LEFT)), (4, 0, 4));
}

#[test]
fn an_approval_is_used_up_even_where_the_same_account_comes_back() {
    let mut company = Company::new();
    strict(&mut company);
    company.settings.policy.on_removed = Removals::By(Removal::Deactivate);
    company.accounts.borrow_mut().keeps_inactive = true;
    company.run_whole(STAFF);
    let held = company.run_whole(FOUR_LEFT);
    approve(&company, held.hold.as_deref().expect("a hold"));
    assert_eq!(company.run_whole(FOUR_LEFT).deactivated_count, 4);
    let back = company.run_whole(STAFF);
    assert_eq!((back.exit, back.linked_count), (0, 4), "the inactive accounts are brought back: {back:?}");
    let again = company.run_whole(FOUR_LEFT);
    assert_eq!((again.exit, again.deactivated_count, again.count(StandingKind::Held)), (4, 0, 4), "{again:?}");
}

#[test]
fn who_is_wanted_again_drops_out_and_who_is_held_newly_is_not_covered() {
    let mut company = Company::new();
    strict(&mut company);
    company.run_whole(STAFF);
    let held = company.run_whole(FOUR_LEFT);
    approve(&company, held.hold.as_deref().expect("a hold"));
    let report = company.run_whole("b b@x.example B|c c@x.example C");
    assert_eq!((report.deleted_count, report.unchanged_count), (4, 2), "a counts alone, and 1 is within the limit");
    let mut company = Company::new();
    strict(&mut company);
    company.run_whole(STAFF);
    let held = company.run_whole(FOUR_LEFT);
    approve(&company, held.hold.as_deref().expect("a hold"));
    company.settings.limits.insert(GuardKind::Absent, Limits { count_free: 0, percent_max: 0, count_max: 0 });
    let report = company.run_whole("b b@x.example B|c c@x.example C");
    assert_eq!(said(&report), (4, 3, 1), "a is held newly: {report:?}");
}

#[test]
fn an_approval_ends_after_an_hour_but_for_what_was_begun() {
    let mut company = Company::new();
    strict(&mut company);
    company.run_whole(STAFF);
    let held = company.run_whole(FOUR_LEFT);
    approve(&company, held.hold.as_deref().expect("a hold"));
    company.clock.fetch_add(3_600_001, Ordering::SeqCst);
    assert_eq!(said(&company.run_whole(FOUR_LEFT)), (4, 0, 4));
    let held = company.run_whole(FOUR_LEFT);
    approve(&company, held.hold.as_deref().expect("a hold"));
    for status in [400, 503] {
        let refused =
            move |request: &Request| (request.method == Method::Delete).then(|| rhombus::answer(status, "{}"));
        company.accounts.borrow_mut().refuse = Some(std::rc::Rc::new(refused));
        let report = company.run_whole(FOUR_LEFT);
        assert_eq!((report.exit, report.deleted_count), (3, 0), "{status}: {report:?}");
        company.clock.fetch_add(7_200_000, Ordering::SeqCst);
    }
    company.accounts.borrow_mut().refuse = None;
    assert_eq!(said(&company.run_whole(FOUR_LEFT)), (0, 4, 0), "begun within the hour, it keeps its approval");
}

#[test]
fn a_kill_at_any_step_leaves_an_approval_good_exactly_once() {
    for step in 1.. {
        let mut company = Company::new();
        strict(&mut company);
        company.run_whole(STAFF);
        let held = company.run_whole(FOUR_LEFT);
        approve(&company, held.hold.as_deref().expect("a hold"));
        let steps = Steps::new(step, Fate::Die);
        company.run(FOUR_LEFT, &steps);
        // The rest of it goes on even when it is late.
        let begun = company.accounts.borrow().by_id.len() < 8 || open_intents(&company) > 0;
        if begun {
            company.clock.fetch_add(1_800_000, Ordering::SeqCst);
        }
        let report = company.run_whole(FOUR_LEFT);
        assert_eq!((report.exit, report.count(StandingKind::Held)), (0, 0), "step {step}: {report:?}");
        company.judge(FOUR_LEFT, &format!("step {step}"));
        company.run_whole(STAFF);
        assert_eq!(said(&company.run_whole(FOUR_LEFT)), (4, 0, 4), "step {step}: it is good once");
        if steps.passed.load(Ordering::SeqCst) < step {
            assert!(step > 20, "only {step} steps were walked");
            return;
        }
    }
}

fn open_intents(company: &Company) -> usize {
    let state = store::open(&company.path("state.db"), Access::Read).expect("the state opens");
    store::open_intents(&state).expect("intents").len()
}

#[test]
fn the_window_is_refilled_by_neither_a_restart_nor_a_clock_nor_a_return() {
    let mut company = Company::new();
    strict(&mut company);
    company.run_whole(STAFF);
    let three_left = "a a@x.example A|b b@x.example B|c c@x.example C";
    assert_eq!(said(&company.run_whole(three_left)), (0, 3, 0));
    company.run_whole(STAFF);
    // The same people again: other accounts, so other changes.
    assert_eq!(said(&company.run_whole(three_left)), (4, 0, 3));
    company.clock.fetch_sub(50_000, Ordering::SeqCst);
    assert_eq!(said(&company.run_whole(three_left)), (4, 0, 3), "a clock that goes back refills nothing");
    company.clock.fetch_sub(500_000, Ordering::SeqCst);
    let behind = company.run_whole(three_left);
    assert_eq!(said(&behind), (4, 0, 3));
    assert!(reasons(&behind, StandingKind::Held)[0].contains("behind the last event"), "{behind:?}");
    company.clock.fetch_add(550_000 + 86_400_000, Ordering::SeqCst);
    assert_eq!(said(&company.run_whole(three_left)), (0, 3, 0), "a day later the window is free");
    let held = company.run_whole(STAFF);
    assert_eq!((held.exit, held.created_count), (0, 3));
    let action = held.standings.iter().find_map(|standing| standing.action);
    assert_eq!(action, None::<Action>);
}

#[test]
fn an_export_without_proof_must_lack_a_user_twice_and_at_different_times() {
    let company = Company::new();
    company.run_whole(STAFF);
    let ndjson = support::ndjson("a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D|e e@x.example E");
    let written = |second: u64| std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000 + second);
    let run = |text: &str, second: u64| {
        std::fs::write(company.path("directory.json"), text).expect("an export");
        let file = std::fs::File::options().write(true).open(company.path("directory.json")).expect("it is there");
        file.set_modified(written(second)).expect("a time");
        company.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("an undisturbed run ends")
    };
    let waits = |report: &CycleReport| (report.exit, report.deleted_count, report.count(StandingKind::Waiting));
    company.clock.store(1_800_000_100_000, Ordering::SeqCst);
    assert_eq!(waits(&run(&ndjson, 1)), (0, 0, 1));
    assert_eq!(waits(&run(&ndjson, 1)), (0, 0, 1), "the same file is no second sighting");
    let back = format!("{ndjson}{}", support::ndjson("f f@x.example F"));
    assert_eq!(waits(&run(&back, 2)), (0, 0, 0));
    assert_eq!(waits(&run(&ndjson, 3)), (0, 0, 1), "who reappears starts anew");
    assert_eq!(waits(&run(&ndjson, 4)), (0, 1, 0), "the same content written anew is a second sighting");
}
