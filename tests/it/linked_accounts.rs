//! An account that is not any more what it was when it was linked: who came from another directory, what is held for that, and
//! what an approval of it covers.

use crate::support::fake_rhombus::answer;
use crate::support::in_process::{InProcess, approval};
use crate::support::real_binary::{RealBinary, people};
use rhombus_sync::http::Method;
use rhombus_sync::model::{GuardKind, HoldId, LinkedExternalId, Moment, OutstandingKind, ScimId, UpdateMethod};
use rhombus_sync::plan::Limits;
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::atomic::Ordering;

const TWO: &str = "a a@x.example Ann|b b@x.example Ben";
const THREE: &str = "a a@x.example Ann|b b@x.example Ben|c c@x.example Cem";
const WITHOUT_B_OF_THREE: &str = "a a@x.example Ann|c c@x.example Cem";
const WITHOUT_B: &str = "a a@x.example Ann";

fn edit(run: &InProcess, name: &str, change: impl FnOnce(&mut Value)) {
    let mut accounts = run.accounts.borrow_mut();
    change(accounts.by_id.values_mut().find(|account| account["userName"] == name).expect("an account"));
}

fn approve(run: &InProcess, report: &CycleReport) -> usize {
    let hold = HoldId::new(report.hold.as_deref().expect("a hold"));
    let mut state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    let transaction = state.transaction().expect("a transaction");
    let held = store::held_of(&transaction, &hold).expect("the state").expect("a known hold");
    let now = Moment(run.clock.load(Ordering::SeqCst));
    store::approve(&transaction, &held, &approval(&hold), "", now).expect("approved");
    transaction.commit().expect("a commit");
    held.len()
}

fn linked(run: &InProcess, name: &str) -> LinkedExternalId {
    let id = run.accounts.borrow().by_id.iter().find(|(_, one)| one["userName"] == name).expect("an account").0.clone();
    let state = store::open(&run.path("state.db"), Access::Read).expect("the state opens");
    store::link_by_scim_id(&state, &ScimId::new(id)).expect("the state").expect("a link").external_id
}

fn forget_what_was_noted(run: &InProcess) {
    let state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    state.execute("UPDATE links SET external_id = NULL", []).expect("as an earlier release left it");
}

#[track_caller]
fn held(report: &CycleReport, said: &str) {
    let reasons: Vec<_> = report.outstanding.iter().map(|one| (one.kind, one.reason.to_string())).collect();
    assert_eq!((report.exit.code(), reasons), (4, vec![(OutstandingKind::Held, said.to_owned())]), "{report:?}");
    assert_eq!(report.outstanding[0].reason.code(), "mismatch");
    assert!(report.hold.is_some(), "it can be approved");
}

#[test]
fn who_came_from_another_directory_can_be_removed() {
    let run = InProcess::new();
    run.accounts.borrow_mut().add(json!({"userName": "b@x.example", "externalId": "00uOLD"}));
    assert_eq!(run.run_whole(TWO).done.linked_count, 1);
    assert_eq!(linked(&run, "b@x.example").stored(), Some("00uOLD"));
    assert_eq!(linked(&run, "a@x.example").stored(), Some("a"), "what we sent");
    let report = run.run_whole(WITHOUT_B);
    assert_eq!((report.exit.code(), report.done.deleted_count), (0, 1), "{report:?}");
}

#[test]
fn another_external_id_is_held_and_approved_for_what_was_shown_alone() {
    let run = InProcess::new();
    run.run_whole(TWO);
    let theirs = |id: &'static str| move |account: &mut Value| account["externalId"] = id.into();
    edit(&run, "b@x.example", theirs("theirs"));
    let said = |id: &str| format!("the account has another externalId in Rhombus than when it was linked: {id}");
    let first = run.run_whole(WITHOUT_B);
    held(&first, &said("theirs"));
    assert_eq!(run.run_whole(WITHOUT_B).hold, first.hold, "as long as it shows the same, it is the same hold");
    assert_eq!(approve(&run, &first), 1);
    edit(&run, "b@x.example", theirs("a third"));
    let second = run.run_whole(WITHOUT_B);
    held(&second, &said("a third"));
    assert_ne!(second.hold, first.hold);
    assert_eq!(approve(&run, &first), 0, "nothing in it is held any more");
    assert_eq!(run.run_whole(WITHOUT_B).done.deleted_count, 0);
    assert_eq!(approve(&run, &second), 1);
    assert_eq!(run.run_whole(WITHOUT_B).done.deleted_count, 1);
    run.judge(WITHOUT_B, "approved, and removed");
}

/// From now on no removal goes out without an approval.
fn nobody_may_go(run: &mut InProcess) {
    run.settings.limits.insert(GuardKind::Absent, Limits { count_free: 0, percent_max: 0, count_max: 0 });
}

#[test]
fn what_was_shown_before_the_limit_was_passed_is_released_with_it_by_one_approval() {
    let mut run = InProcess::new();
    run.run_whole(THREE);
    edit(&run, "b@x.example", |account| account["externalId"] = "theirs".into());
    let first = run.run_whole(WITHOUT_B_OF_THREE);
    assert_eq!(first.exit.code(), 4, "{first:?}");
    nobody_may_go(&mut run);
    let both = run.run_whole(WITHOUT_B);
    let codes: Vec<_> = both.outstanding.iter().map(|one| one.reason.code()).collect();
    assert_eq!((both.exit.code(), codes), (4, vec!["mismatch", "guard"]), "{both:?}");
    assert_eq!(run.run_whole(WITHOUT_B).hold, both.hold, "it is the same hold as long as nothing changes");
    assert_eq!(approve(&run, &both), 2);
    let report = run.run_whole(WITHOUT_B);
    assert_eq!((report.exit.code(), report.done.deleted_count), (0, 2), "{report:?}");
    run.judge(WITHOUT_B, "one approval");
}

#[test]
fn an_approval_for_what_was_shown_is_none_for_an_account_that_is_as_it_was() {
    let mut run = InProcess::new();
    run.run_whole(TWO);
    edit(&run, "b@x.example", |account| account["externalId"] = "theirs".into());
    run.run_whole(WITHOUT_B);
    nobody_may_go(&mut run);
    let held = run.run_whole(WITHOUT_B);
    assert_eq!(approve(&run, &held), 1);
    edit(&run, "b@x.example", |account| account["externalId"] = "b".into());
    let report = run.run_whole(WITHOUT_B);
    let listed: Vec<_> = report.outstanding.iter().map(|one| (one.kind, one.reason.code())).collect();
    assert_eq!((report.exit.code(), listed), (3, vec![(OutstandingKind::Waiting, "not_as_approved")]), "{report:?}");
    let report = run.run_whole(WITHOUT_B);
    assert_eq!((report.exit.code(), report.outstanding[0].reason.code()), (4, "approved_otherwise"), "{report:?}");
    assert_eq!(approve(&run, &report), 1);
    assert_eq!(run.run_whole(WITHOUT_B).done.deleted_count, 1);
}

#[test]
fn what_an_approval_did_not_show_is_held_until_it_is_shown() {
    let mut run = InProcess::new();
    run.run_whole(TWO);
    nobody_may_go(&mut run);
    edit(&run, "b@x.example", |account| account["externalId"] = "theirs".into());
    let held = run.run_whole(WITHOUT_B);
    assert_eq!(held.outstanding[0].reason.code(), "guard", "nobody has looked at the account");
    approve(&run, &held);
    let shown = run.run_whole(WITHOUT_B);
    assert_eq!((shown.exit.code(), shown.outstanding[0].reason.code()), (4, "mismatch"), "{shown:?}");
    approve(&run, &shown);
    assert_eq!(run.run_whole(WITHOUT_B).done.deleted_count, 1);
}

#[test]
fn whose_account_a_refresh_found_gone_needs_no_approval_unless_it_is_there_after_all() {
    for comes_back in [false, true] {
        let mut run = InProcess::new();
        run.run_whole(THREE);
        nobody_may_go(&mut run);
        let kept = {
            let mut accounts = run.accounts.borrow_mut();
            let id = accounts.by_id.iter().find(|(_, one)| one["userName"] == "b@x.example").expect("it").0.clone();
            accounts.by_id.remove_entry(&id).expect("removed by hand")
        };
        run.refresh.set(true);
        if comes_back {
            let (reads, accounts) = (std::cell::Cell::new(0), run.accounts.clone());
            run.accounts.borrow_mut().refuse = Some(Rc::new(move |request| {
                reads.set(reads.get() + usize::from(request.target == format!("/Users/{}", kept.0)));
                if reads.get() == 3 {
                    accounts.borrow_mut().by_id.insert(kept.0.clone(), kept.1.clone());
                }
                None
            }));
        }
        let report = run.run_whole(WITHOUT_B_OF_THREE);
        let listed: Vec<_> = report.outstanding.iter().map(|one| one.reason.code()).collect();
        if comes_back {
            assert_eq!((report.exit.code(), listed), (3, vec!["not_as_approved"]), "{report:?}");
            assert_eq!(run.run_whole(WITHOUT_B_OF_THREE).exit.code(), 4, "the guard holds it");
        } else {
            assert_eq!((report.exit.code(), report.done.deleted_count), (0, 1), "{report:?}");
        }
    }
}

#[test]
fn another_user_name_can_be_approved_whatever_the_method() {
    for method in [UpdateMethod::Patch, UpdateMethod::Put] {
        let run = InProcess::new();
        run.update_method.set(method);
        run.run_whole(TWO);
        edit(&run, "b@x.example", |account| account["userName"] = "boss@x.example".into());
        let suspended = "a a@x.example Ann|b b@x.example Ben +suspended";
        let report = run.run_whole(suspended);
        held(&report, "the account has another userName in Rhombus than the one that was linked: boss@x.example");
        approve(&run, &report);
        let report = run.run_whole(suspended);
        assert_eq!((report.exit.code(), report.done.deactivated_count), (0, 1), "{method:?}: {report:?}");
        run.judge(WITHOUT_B, "approved, and removed");
    }
}

#[test]
fn another_id_is_a_failed_read_that_nobody_can_approve() {
    let run = InProcess::new();
    run.run_whole(TWO);
    run.accounts.borrow_mut().refuse = Some(Rc::new(|request| {
        let other = json!({"id": "other", "userName": "b@x.example"});
        (request.method == Method::Get && request.target.starts_with("/Users/"))
            .then(|| answer(200, &other.to_string()))
    }));
    let report = run.run_whole(WITHOUT_B);
    let listed: Vec<_> = report.outstanding.iter().map(|one| (one.kind, one.reason.code())).collect();
    assert_eq!((report.exit.code(), listed), (3, vec![(OutstandingKind::Failed, "other_id")]), "{report:?}");
    assert_eq!(report.hold, None);
}

#[test]
fn a_refresh_tells_of_another_external_id_and_later_cycles_keep_telling() {
    let run = InProcess::new();
    run.run_whole(TWO);
    edit(&run, "b@x.example", |account| account["externalId"] = "theirs".into());
    let drift = |report: CycleReport| {
        let of = |kind| report.outstanding.iter().filter(|one| one.kind == kind).count();
        (report.exit.code(), of(OutstandingKind::Drift), report.done.updated_count)
    };
    assert_eq!(drift(run.run_whole(TWO)), (0, 0, 0));
    run.refresh.set(true);
    assert_eq!(drift(run.run_whole(TWO)), (0, 1, 0));
    run.refresh.set(false);
    assert_eq!(drift(run.run_whole("a a@x.example Anna|b b@x.example Ben")), (0, 1, 1));
    edit(&run, "b@x.example", |account| account["externalId"] = "b".into());
    run.refresh.set(true);
    assert_eq!(drift(run.run_whole(TWO)), (0, 0, 1), "ours proves more than any note");
}

#[test]
fn a_link_of_an_earlier_release_takes_ours_or_none_and_is_noted() {
    for (shown, removed_count) in [(Some("b"), 1), (None, 1), (Some("theirs"), 0)] {
        let run = InProcess::new();
        run.run_whole(TWO);
        forget_what_was_noted(&run);
        edit(&run, "b@x.example", |account| account["externalId"] = shown.into());
        assert_eq!(run.run_whole(WITHOUT_B).done.deleted_count, removed_count, "{shown:?}");
    }
    let run = InProcess::new();
    run.run_whole(TWO);
    forget_what_was_noted(&run);
    edit(&run, "a@x.example", |account| account["externalId"] = Value::Null);
    run.run_whole("a a@x.example Anna|b b@x.example Ben");
    assert_eq!(linked(&run, "a@x.example"), LinkedExternalId::NotShown, "an update reads the account");
    assert_eq!(linked(&run, "b@x.example"), LinkedExternalId::Unknown);
    run.refresh.set(true);
    run.run_whole("a a@x.example Anna|b b@x.example Ben");
    assert_eq!(linked(&run, "b@x.example").stored(), Some("b"), "so does a refresh");
}

#[test]
fn plan_and_explain_tell_of_the_hold_and_approve_ends_it() {
    let run = RealBinary::open("");
    run.export(&people(0..6));
    run.activate();
    run.reconcile(0);
    let accounts = rusqlite::Connection::open(run.path("sandbox/accounts.db")).expect("its accounts");
    let edit =
        "UPDATE accounts SET document = json_set(document, '$.externalId', '00uOLD') WHERE folded = 'p5@x.example'";
    assert_eq!(accounts.execute(edit, []).expect("edited"), 1);
    run.export(&people(0..5));
    let report = run.reconcile(4);
    let hold = report["hold"].as_str().expect("a hold").to_owned();
    let text = |arguments: &[&str]| String::from_utf8_lossy(&run.run(arguments).stdout).into_owned();
    let plan: Value = serde_json::from_str(&text(&["plan", "--json"])).expect("JSON");
    assert_eq!((&plan["hold"], plan["changes"].as_array().map(Vec::len)), (&report["hold"], Some(0)), "{plan}");
    assert_eq!((&plan["plan"], &plan["held"][0]["code"]), (&report["plan"], &json!("mismatch")), "{plan}");
    let explained = text(&["explain", "p5@x.example"]);
    assert!(explained.contains("than when it was linked: 00uOLD"), "{explained}");
    assert!(explained.contains(&format!("approve {}", &hold[..8])), "{explained}");
    let approved = run.run(&["approve", &hold[..8]]);
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    let plan: Value = serde_json::from_str(&text(&["plan", "--json"])).expect("JSON");
    assert_eq!((plan["held"].as_array().map(Vec::len), &plan["changes"][0]["action"]), (Some(0), &json!("delete")));
    assert_eq!(run.reconcile(0)["deleted"], 1);
}
