//! What the guard holds, what an administrator releases, and what our own configuration may not do, over several cycles.

use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{InProcess, Steps};
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

/// `[scope] groups` and `protected`, and the path of `[directory]`, as an administrator would edit them.
fn edit(installation: &mut InProcess, groups: &[&str], protected: &[&str], path: &str) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    installation.settings.scope = Scope::new(&owned(groups), &owned(protected));
    installation.settings.wanted_under.directory.path = path.into();
    installation.settings.wanted_under.scope = installation.settings.scope.clone();
}

fn approve(installation: &InProcess, hold: &str) -> usize {
    let mut state = store::open(&installation.path("state.db"), Access::Write).expect("the state opens");
    let transaction = state.transaction().expect("a transaction");
    let hold = HoldId::new(hold);
    let held = store::held_of(&transaction, &hold).expect("the state").expect("a known hold");
    let now = Moment(installation.clock.load(Ordering::SeqCst));
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
        let mut installation = InProcess::new();
        installation.run_whole(STAFF);
        edit(&mut installation, groups, protected, path);
        let export = if path == "directory.json" { STAFF } else { "a a@x.example A|x x@x.example X" };
        let first = installation.run_whole(export);
        assert_eq!((first.exit, first.deleted_count), (4, 0), "{reason}: {first:?}");
        let held = reasons(&first, OutstandingKind::Held);
        assert!(held.len() >= 5 && held.iter().all(|held| held.contains(reason)), "{held:?}");
        let again = installation.run_whole(export);
        assert_eq!(said(&again), said(&first), "it is held for as long as it is so");
        let count = approve(&installation, again.hold.as_deref().expect("a hold"));
        let after = installation.run_whole(export);
        assert_eq!((after.exit, after.deleted_count as usize), (0, count), "{after:?}");
    }
}

#[test]
fn an_edit_that_is_taken_back_leaves_everybody_as_they_were() {
    let mut installation = InProcess::new();
    installation.run_whole(STAFF);
    edit(&mut installation, &["Other"], &["root@x.example"], "directory.json");
    assert_eq!(said(&installation.run_whole(STAFF)), (4, 0, 6));
    edit(&mut installation, &["R"], &["root@x.example"], "directory.json");
    let report = installation.run_whole(STAFF);
    assert_eq!((report.exit, report.unchanged_count), (0, 6), "{report:?}");
}

#[test]
fn what_the_directory_says_beside_an_edit_goes_on() {
    let mut installation = InProcess::new();
    installation.run_whole(&format!("{STAFF}|g g@x.example G|h h@x.example H"));
    strict(&mut installation);
    edit(&mut installation, &["R", "More"], &[], "directory.json");
    let report = installation.run_whole(&format!("{STAFF}|g g@x.example G +out"));
    assert_eq!(said(&report), (0, 2, 0), "both settings ask for it: {report:?}");
    edit(&mut installation, &["More"], &[], "directory.json");
    let report = installation.run_whole(&format!("{FOUR_LEFT}|c c@x.example C|d d@x.example D|e e@x.example E"));
    assert_eq!(said(&report), (4, 1, 5), "f is gone by the directory's word: {report:?}");
}

#[test]
fn whoever_was_wanted_under_the_new_settings_is_judged_by_them() {
    let mut installation = InProcess::new();
    installation.run_whole(STAFF);
    edit(&mut installation, &["R"], &["root@x.example"], "other.json");
    assert_eq!(installation.run_whole(STAFF).exit, 0);
    let report = installation.run_whole(&STAFF.replace("|f f@x.example F", ""));
    assert_eq!(said(&report), (0, 1, 0), "{report:?}");
}

#[test]
fn a_protection_that_is_taken_away_is_an_edit_too() {
    let mut installation = InProcess::new();
    edit(&mut installation, &["R"], &[], "directory.json");
    installation.run_whole(STAFF);
    edit(&mut installation, &["R"], &["f@x.example"], "directory.json");
    let all_but_f = STAFF.replace("|f f@x.example F", "");
    assert_eq!(said(&installation.run_whole(&all_but_f)), (0, 0, 0), "it is protected");
    edit(&mut installation, &["R"], &[], "directory.json");
    assert_eq!(
        said(&installation.run_whole(&all_but_f)),
        (0, 1, 0),
        "under the settings it was wanted under it may go"
    );
}

#[test]
fn a_lay_off_is_two_steps_look_and_approve() {
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.run_whole(STAFF);
    let held = installation.run_whole(FOUR_LEFT);
    assert_eq!(said(&held), (4, 0, 4));
    let numbers = "gone from the export; guard.absent: 4 wanted and 0 spent within the window, limit is 3 of 6 users";
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
    assert_eq!(installation.run_whole(FOUR_LEFT).deactivated_count, 4);
    let back = installation.run_whole(STAFF);
    assert_eq!((back.exit, back.linked_count), (0, 4), "the inactive accounts are brought back: {back:?}");
    let again = installation.run_whole(FOUR_LEFT);
    assert_eq!((again.exit, again.deactivated_count, again.count(OutstandingKind::Held)), (4, 0, 4), "{again:?}");
}

#[test]
fn who_is_wanted_again_drops_out_and_who_is_held_newly_is_not_covered() {
    let mut installation = InProcess::new();
    strict(&mut installation);
    installation.run_whole(STAFF);
    let held = installation.run_whole(FOUR_LEFT);
    approve(&installation, held.hold.as_deref().expect("a hold"));
    let report = installation.run_whole("b b@x.example B|c c@x.example C");
    assert_eq!((report.deleted_count, report.unchanged_count), (4, 2), "a counts alone, and 1 is within the limit");
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
        let refused = move |request: &Request| {
            (request.method == Method::Delete).then(|| crate::support::fake_rhombus::answer(status, "{}"))
        };
        installation.accounts.borrow_mut().refuse = Some(std::rc::Rc::new(refused));
        let report = installation.run_whole(FOUR_LEFT);
        assert_eq!((report.exit, report.deleted_count), (3, 0), "{status}: {report:?}");
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
        assert_eq!((report.exit, report.count(OutstandingKind::Held)), (0, 0), "step {step}: {report:?}");
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
    assert_eq!((held.exit, held.created_count), (0, 3));
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
    let waits = |report: &CycleReport| (report.exit, report.deleted_count, report.count(OutstandingKind::Waiting));
    installation.clock.store(2_100_000_100_000, Ordering::SeqCst);
    assert_eq!(waits(&run(&ndjson, 1)), (0, 0, 1));
    assert_eq!(waits(&run(&ndjson, 1)), (0, 0, 1), "the same file is no second sighting");
    let back = format!("{ndjson}{}", crate::support::ndjson("f f@x.example F"));
    assert_eq!(waits(&run(&back, 2)), (0, 0, 0));
    assert_eq!(waits(&run(&ndjson, 3)), (0, 0, 1), "who reappears starts anew");
    assert_eq!(waits(&run(&ndjson, 4)), (0, 1, 0), "the same content written anew is a second sighting");
}

/// The settings as an administrator would edit them, member by member.
fn set(installation: &mut InProcess, directory: serde_json::Value, groups: &[&str]) {
    let groups: Vec<_> = groups.iter().map(|text| (*text).to_owned()).collect();
    installation.settings.scope = Scope::new(&groups, &[]);
    installation.settings.id_attribute = directory["id_attribute"].as_str().unwrap_or("_id").to_owned();
    installation.settings.users_count_min = directory["min_users"].as_u64().unwrap_or(1);
    let scope = serde_json::json!({"groups": groups, "protected": []});
    let remembered = serde_json::json!({"directory": directory, "scope": scope}).to_string();
    installation.settings.wanted_under = ScopeVersion::from_json(&remembered).expect("settings that can be read");
}

#[test]
fn another_id_attribute_removes_nobody_and_gives_nobody_anothers_names() {
    let mut installation = InProcess::new();
    let person = |number: usize, state: &str| {
        format!(
            "{{\"_id\":\"{number}\",\"id\":\"{}\",\"username\":\"p{number}@x.example\",\"firstname\":\"N{number}\",\"groups\":[\"R\"],\"state\":\"{state}\"}}",
            number + 1
        )
    };
    let staff = |suspended| {
        (1..8).map(|n| person(n, if n == suspended { "SUSPENDED" } else { "ACTIVATED" })).collect::<Vec<_>>().join("|")
    };
    set(&mut installation, serde_json::json!({"id_attribute": "_id"}), &["R"]);
    installation.run_whole(&staff(0));
    let before = installation.accounts.borrow().log.len();
    set(&mut installation, serde_json::json!({"id_attribute": "id"}), &["R"]);
    let report = installation.run_whole(&staff(1));
    assert_eq!((report.exit, report.deactivated_count, report.updated_count), (4, 0, 0), "{report:?}");
    let held = reasons(&report, OutstandingKind::Held);
    assert!(held.iter().all(|reason| reason.contains("[directory] was changed")), "{held:?}");
    installation.run_whole(&staff(1));
    let log = installation.accounts.borrow().log.clone();
    assert!(log[before..].iter().all(|(event, _)| event == "user_create_provision"), "{log:?}");
}

#[test]
fn an_edit_of_what_refuses_an_export_whole_holds_nothing() {
    let mut installation = InProcess::new();
    set(&mut installation, serde_json::json!({"min_users": 6}), &["R"]);
    installation.run_whole(STAFF);
    assert_eq!(installation.run_whole(FOUR_LEFT).exit, 1, "it is refused whole");
    set(&mut installation, serde_json::json!({"min_users": 2}), &["R"]);
    let report = installation.run_whole(FOUR_LEFT);
    assert_eq!(said(&report), (0, 4, 0), "the directory said so, and not the edit: {report:?}");
}

#[test]
fn a_key_that_a_release_brings_or_drops_is_no_edit() {
    let mut installation = InProcess::new();
    set(&mut installation, serde_json::json!({"path": "directory.json"}), &["R"]);
    installation.run_whole(STAFF);
    for stored in [
        // By a release with a key less, by one with all that there are today, and by one with more.
        r#"{"directory":{"path":"directory.json"},"scope":{"groups":["R"],"protected":[]}}"#,
        r#"{"directory":{"source":"file","path":"directory.json","format":"auto","id_attribute":"_id","min_users":1,"max_age":null},"scope":{"groups":["R"],"protected":[]}}"#,
        r#"{"directory":{"path":"directory.json","columns":{"id":null},"records":""},"scope":{"groups":["R"],"protected":[],"later":1}}"#,
    ] {
        let state = store::open(&installation.path("state.db"), Access::Write).expect("the state opens");
        state.execute("UPDATE settings SET json = ?1", [stored]).expect("written by another release");
        drop(state);
        installation.run_whole(STAFF);
        let report = installation.run_whole(&STAFF.replace("|f f@x.example F", ""));
        assert_eq!(said(&report), (0, 1, 0), "{stored}: {report:?}");
    }
}

#[test]
fn a_new_scope_does_not_explain_away_a_record_that_named_nobody() {
    let mut installation = InProcess::new();
    let both = |text: &str| crate::support::array(text).replace("[\"R\",\"Everyone\"]", "[\"R\",\"S\"]");
    let run = |installation: &InProcess, text: String| {
        std::fs::write(installation.path("directory.json"), text).expect("an export");
        installation.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("an undisturbed run ends")
    };
    set(&mut installation, serde_json::json!({}), &["R"]);
    run(&installation, both(STAFF));
    let nobody = format!("{}|{{\"_id\":null,\"groups\":[\"R\"]}}", STAFF.replace("|f f@x.example F", ""));
    assert_eq!(run(&installation, both(&nobody)).count(OutstandingKind::Waiting), 1);
    set(&mut installation, serde_json::json!({}), &["S"]);
    assert_eq!(said(&run(&installation, both(&nobody))), (4, 0, 1));
}

#[test]
fn where_a_record_stands_twice_another_may_be_missing_for_it() {
    let installation = InProcess::new();
    installation.run_whole(STAFF);
    let shifted = STAFF.replace("f f@x.example F", "e e@x.example E");
    let report = installation.run_whole(&shifted);
    assert_eq!((report.exit, report.deleted_count, report.count(OutstandingKind::Waiting)), (0, 0, 1), "{report:?}");
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

#[test]
fn a_lost_create_is_linked_under_the_settings_that_wanted_it() {
    let mut installation = InProcess::new();
    installation.run_whole(STAFF);
    let lost = std::rc::Rc::new(
        |request: &Request, answer: Result<rhombus_sync::outcome::Answer, rhombus_sync::outcome::CallError>| {
            match request.method {
                Method::Post => Err(rhombus_sync::outcome::CallError::Lost("cut".to_owned())),
                Method::Get | Method::Patch | Method::Put | Method::Delete => answer,
            }
        },
    );
    installation.settings.settle_time = rhombus_sync::model::Duration::from_seconds(600);
    *installation.mangle.borrow_mut() = lost;
    let hidden = |request: &Request| {
        (request.method == Method::Get && request.target.starts_with("/Users?"))
            .then(|| crate::support::fake_rhombus::answer(200, "{\"totalResults\":0,\"Resources\":[]}"))
    };
    installation.accounts.borrow_mut().refuse = Some(std::rc::Rc::new(hidden));
    let report = installation.run_whole(&format!("{STAFF}|n n@x.example N"));
    assert_eq!(report.exit, 3, "{report:?}");
    *installation.mangle.borrow_mut() = std::rc::Rc::new(|_, answer| answer);
    installation.accounts.borrow_mut().refuse = None;
    edit(&mut installation, &["Other"], &["root@x.example"], "directory.json");
    let report = installation.run_whole(&format!("{STAFF}|n n@x.example N"));
    assert_eq!(
        (report.exit, report.created_count, report.deleted_count, report.count(OutstandingKind::Held)),
        (4, 1, 0, 7),
        "{report:?}"
    );
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
            store::approve(transaction, &hold, &held, "root", now).expect("approved");
        },
    );
    let report = installation.run_whole("a a@x.example Anna|b b@x.example B");
    assert_eq!((report.updated_count, report.deleted_count), (1, 0), "{report:?}");
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
    assert_eq!((report.deleted_count, report.count(OutstandingKind::Waiting)), (0, 1), "{report:?}");
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
    assert_eq!(installation.run_whole(&changed).linked_count, 1, "a cycle that ended beside it is not the last word");
}
