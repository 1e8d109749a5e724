//! What the guard holds, what an administrator releases, and what our own configuration may not do, over several cycles.

#[path = "support/company.rs"]
mod company;
#[path = "support/rhombus.rs"]
mod rhombus;
mod support;

use company::{Company, Steps};
use rhombus::Fate;
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::{Action, GuardKind, HoldId, Moment, OutstandingKind, Removal};
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

fn reasons(report: &CycleReport, kind: OutstandingKind) -> Vec<String> {
    let of_kind = report.outstanding.iter().filter(|entry| entry.kind == kind);
    of_kind.map(|one| format!("{}: {}", one.directory_id.as_ref().expect("an id"), one.reason)).collect()
}

fn said(report: &CycleReport) -> (u8, u64, usize) {
    (report.exit, report.deleted_count, report.count(OutstandingKind::Held))
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
        let held = reasons(&first, OutstandingKind::Held);
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
    assert!(reasons(&held, OutstandingKind::Held).iter().all(|reason| reason.ends_with(numbers)), "{held:?}");
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
    assert_eq!((again.exit, again.deactivated_count, again.count(OutstandingKind::Held)), (4, 0, 4), "{again:?}");
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
        assert_eq!((report.exit, report.count(OutstandingKind::Held)), (0, 0), "step {step}: {report:?}");
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
    assert!(reasons(&behind, OutstandingKind::Held)[0].contains("behind the last event"), "{behind:?}");
    company.clock.fetch_add(550_000 + 86_400_000, Ordering::SeqCst);
    assert_eq!(said(&company.run_whole(three_left)), (0, 3, 0), "a day later the window is free");
    let held = company.run_whole(STAFF);
    assert_eq!((held.exit, held.created_count), (0, 3));
    let action = held.outstanding.iter().find_map(|entry| entry.action);
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
    let waits = |report: &CycleReport| (report.exit, report.deleted_count, report.count(OutstandingKind::Waiting));
    company.clock.store(1_800_000_100_000, Ordering::SeqCst);
    assert_eq!(waits(&run(&ndjson, 1)), (0, 0, 1));
    assert_eq!(waits(&run(&ndjson, 1)), (0, 0, 1), "the same file is no second sighting");
    let back = format!("{ndjson}{}", support::ndjson("f f@x.example F"));
    assert_eq!(waits(&run(&back, 2)), (0, 0, 0));
    assert_eq!(waits(&run(&ndjson, 3)), (0, 0, 1), "who reappears starts anew");
    assert_eq!(waits(&run(&ndjson, 4)), (0, 1, 0), "the same content written anew is a second sighting");
}

/// The settings as an administrator would edit them, member by member.
fn set(company: &mut Company, directory: serde_json::Value, groups: &[&str]) {
    let groups: Vec<_> = groups.iter().map(|text| (*text).to_owned()).collect();
    company.settings.scope = Scope::new(&groups, &[]);
    company.settings.id_attribute = directory["id_attribute"].as_str().unwrap_or("_id").to_owned();
    company.settings.users_count_min = directory["min_users"].as_u64().unwrap_or(1);
    let scope = serde_json::json!({"groups": groups, "protected": []});
    company.settings.wanted_under = serde_json::json!({"directory": directory, "scope": scope}).to_string();
}

#[test]
fn another_id_attribute_removes_nobody_and_gives_nobody_anothers_names() {
    let mut company = Company::new();
    let person = |number: usize, state: &str| {
        format!(
            "{{\"_id\":\"{number}\",\"id\":\"{}\",\"username\":\"p{number}@x.example\",\"firstname\":\"N{number}\",\"groups\":[\"R\"],\"state\":\"{state}\"}}",
            number + 1
        )
    };
    let staff = |suspended| {
        (1..8).map(|n| person(n, if n == suspended { "SUSPENDED" } else { "ACTIVATED" })).collect::<Vec<_>>().join("|")
    };
    set(&mut company, serde_json::json!({"id_attribute": "_id"}), &["R"]);
    company.run_whole(&staff(0));
    let before = company.accounts.borrow().log.len();
    set(&mut company, serde_json::json!({"id_attribute": "id"}), &["R"]);
    let report = company.run_whole(&staff(1));
    assert_eq!((report.exit, report.deactivated_count, report.updated_count), (4, 0, 0), "{report:?}");
    let held = reasons(&report, OutstandingKind::Held);
    assert!(held.iter().all(|reason| reason.contains("[directory] was changed")), "{held:?}");
    company.run_whole(&staff(1));
    let log = company.accounts.borrow().log.clone();
    assert!(log[before..].iter().all(|(event, _)| event == "user_create_provision"), "{log:?}");
}

#[test]
fn an_edit_that_lets_a_smaller_export_pass_is_the_cause_of_what_it_lacks() {
    let mut company = Company::new();
    set(&mut company, serde_json::json!({"min_users": 6}), &["R"]);
    company.run_whole(STAFF);
    assert_eq!(company.run_whole(FOUR_LEFT).exit, 1, "it is refused whole");
    set(&mut company, serde_json::json!({"min_users": 2}), &["R"]);
    let report = company.run_whole(FOUR_LEFT);
    assert_eq!(said(&report), (4, 0, 4), "{report:?}");
    set(&mut company, serde_json::json!({"min_users": 1}), &["R"]);
    let report = company.run_whole("a a@x.example A|c c@x.example C|d d@x.example D|e e@x.example E|f f@x.example F");
    assert_eq!(
        (report.exit, report.count(OutstandingKind::Held)),
        (0, 0),
        "b was wanted by what would have taken this export: {report:?}"
    );
}

#[test]
fn a_record_that_named_nobody_under_the_old_scope_is_not_explained_away_by_the_new_one() {
    let mut company = Company::new();
    let both = |text: &str| support::array(text).replace("[\"R\",\"Everyone\"]", "[\"R\",\"S\"]");
    let run = |company: &Company, text: String| {
        std::fs::write(company.path("directory.json"), text).expect("an export");
        company.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("an undisturbed run ends")
    };
    set(&mut company, serde_json::json!({}), &["R"]);
    run(&company, both(STAFF));
    let nobody = format!("{}|{{\"_id\":null,\"groups\":[\"R\"]}}", STAFF.replace("|f f@x.example F", ""));
    assert_eq!(run(&company, both(&nobody)).count(OutstandingKind::Waiting), 1);
    set(&mut company, serde_json::json!({}), &["S"]);
    assert_eq!(said(&run(&company, both(&nobody))), (4, 0, 1));
}

#[test]
fn where_a_record_stands_twice_another_may_be_missing_for_it() {
    let company = Company::new();
    company.run_whole(STAFF);
    let shifted = STAFF.replace("f f@x.example F", "e e@x.example E");
    let report = company.run_whole(&shifted);
    assert_eq!((report.exit, report.deleted_count, report.count(OutstandingKind::Waiting)), (0, 0, 1), "{report:?}");
}

#[test]
fn whoever_is_wanted_again_needs_another_approval_when_leaving_again() {
    let mut company = Company::new();
    strict(&mut company);
    company.run_whole(STAFF);
    let held = company.run_whole(FOUR_LEFT);
    approve(&company, held.hold.as_deref().expect("a hold"));
    assert_eq!(company.run_whole(STAFF).unchanged_count, 6);
    assert_eq!(said(&company.run_whole(FOUR_LEFT)), (4, 0, 4), "the same absence is another one");
}

#[test]
fn a_create_whose_answer_was_lost_is_linked_under_the_settings_that_wanted_it() {
    let mut company = Company::new();
    company.run_whole(STAFF);
    let lost = std::rc::Rc::new(
        |request: &Request, answer: Result<rhombus_sync::outcome::Answer, rhombus_sync::outcome::CallError>| {
            match request.method {
                Method::Post => Err(rhombus_sync::outcome::CallError::Lost("cut".to_owned())),
                Method::Get | Method::Patch | Method::Put | Method::Delete => answer,
            }
        },
    );
    company.settings.settle_time = rhombus_sync::model::Duration::from_seconds(600);
    *company.mangle.borrow_mut() = lost;
    let hidden = |request: &Request| {
        (request.method == Method::Get && request.target.starts_with("/Users?"))
            .then(|| rhombus::answer(200, "{\"totalResults\":0,\"Resources\":[]}"))
    };
    company.accounts.borrow_mut().refuse = Some(std::rc::Rc::new(hidden));
    let report = company.run_whole(&format!("{STAFF}|n n@x.example N"));
    assert_eq!(report.exit, 3, "{report:?}");
    *company.mangle.borrow_mut() = std::rc::Rc::new(|_, answer| answer);
    company.accounts.borrow_mut().refuse = None;
    edit(&mut company, &["Other"], &["root@x.example"], "directory.json");
    let report = company.run_whole(&format!("{STAFF}|n n@x.example N"));
    assert_eq!(
        (report.exit, report.created_count, report.deleted_count, report.count(OutstandingKind::Held)),
        (4, 1, 0, 7),
        "{report:?}"
    );
}

/// What a command does beside a cycle: it writes to the state when the endpoint is first asked for something.
fn beside(
    company: &Company,
    asked: impl Fn(&Request) -> bool + 'static,
    write: impl Fn(&rusqlite::Transaction<'_>) + 'static,
) {
    let (path, done) = (company.path("state.db"), std::cell::Cell::new(false));
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
    company.accounts.borrow_mut().refuse = Some(std::rc::Rc::new(hook));
}

#[test]
fn what_is_approved_while_a_cycle_runs_is_the_next_ones() {
    let mut company = Company::new();
    strict(&mut company);
    company.run_whole(STAFF);
    let held = company.run_whole(FOUR_LEFT);
    let (hold, clock) = (HoldId::new(held.hold.expect("a hold")), company.clock.clone());
    beside(
        &company,
        |request| request.method == Method::Patch,
        move |transaction| {
            let held = store::held_of(transaction, &hold).expect("the state").expect("a known hold");
            let now = Moment(clock.load(Ordering::SeqCst));
            store::approve(transaction, &hold, &held, "root", now).expect("approved");
        },
    );
    let report = company.run_whole("a a@x.example Anna|b b@x.example B");
    assert_eq!((report.updated_count, report.deleted_count), (1, 0), "{report:?}");
    assert_eq!(said(&company.run_whole("a a@x.example Anna|b b@x.example B")), (0, 4, 0));
}

/// The account that was made for a directory id; which number it got is chance.
fn account_of(company: &Company, id: &str) -> String {
    let accounts = company.accounts.borrow();
    accounts.by_id.iter().find(|(_, account)| account["externalId"] == id).expect("an account").0.clone()
}

#[test]
fn who_is_forgotten_while_a_cycle_runs_is_left_alone_and_linked_anew() {
    let company = Company::new();
    company.run_whole(STAFF);
    // The account of f is read before it is removed; then f is forgotten.
    let account = account_of(&company, "f");
    let target = format!("/Users/{account}");
    beside(
        &company,
        move |request| request.target == target,
        |transaction| {
            store::forget(transaction, &rhombus_sync::model::DirectoryId::new("f")).expect("forgotten");
        },
    );
    let report = company.run_whole(&STAFF.replace("|f f@x.example F", ""));
    assert_eq!((report.deleted_count, report.count(OutstandingKind::Waiting)), (0, 1), "{report:?}");
    assert!(company.accounts.borrow().by_id.contains_key(&account), "the account stays as it is");
    company.run_whole(STAFF);
    beside(
        &company,
        |request| request.method == Method::Patch,
        |transaction| {
            store::forget(transaction, &rhombus_sync::model::DirectoryId::new("e")).expect("forgotten");
        },
    );
    let changed = STAFF.replace("a@x.example A", "a@x.example Anna");
    company.run_whole(&changed);
    assert_eq!(company.run_whole(&changed).linked_count, 1, "a cycle that ended beside it is not the last word");
}
