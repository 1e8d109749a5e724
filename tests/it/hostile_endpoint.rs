//! An endpoint that is not to be trusted: each test is one oddity, and what must hold then.

mod lists;
mod refusals;
mod removals;

use crate::support::fake_rhombus::answer;
use crate::support::in_process::InProcess;
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::{Duration, OutstandingKind, Reason, Removals, UsernameConflict};
use rhombus_sync::outcome::{Answer, CallError, RetryAfter};
use rhombus_sync::report::CycleReport;
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;

const THREE: &str = "a a@x.example Ann|b b@x.example Ben|c c@x.example Cem";

fn staff(count: usize, given: &str) -> String {
    (0..count).map(|n| format!("u{n:03} u{n:03}@x.example {given}")).collect::<Vec<_>>().join("|")
}

/// Obeys all requests and changes some answers.
fn mangle(run: &InProcess, change: impl Fn(&Request, Answer) -> Result<Answer, CallError> + 'static) {
    *run.mangle.borrow_mut() = Rc::new(move |request, answer| change(request, answer?));
}

fn is_read(request: &Request) -> bool {
    request.method == Method::Get && request.target.starts_with("/Users/")
}

fn is_list(request: &Request) -> bool {
    request.method == Method::Get && request.target.starts_with("/Users?")
}

#[track_caller]
fn check(report: &CycleReport, exit: u8, kind: OutstandingKind, count: usize) {
    assert_eq!((report.exit.code(), report.count(kind)), (exit, count), "{report:?}");
}

#[test]
fn a_created_account_whose_answer_is_torn_is_found_and_logged_once() {
    for body in [Err("cut".to_owned()), Ok(Vec::new()), Ok(b"<html>".to_vec()), Ok(b"{}".to_vec())] {
        let run = InProcess::new();
        mangle(&run, move |request, answer| {
            Ok(if request.method == Method::Post { Answer { body: body.clone(), ..answer } } else { answer })
        });
        let report = run.run_whole(THREE);
        assert_eq!((report.exit.code(), report.done.created_count), (0, 3), "{report:?}");
        run.judge(THREE, "torn");
    }
}

#[test]
fn an_answer_of_somebody_else_is_not_believed() {
    let run = InProcess::new();
    mangle(&run, |request, answer| {
        let other = json!({"id": "account-2", "userName": "stranger@x.example"}).to_string();
        Ok(if request.method == Method::Post { Answer { body: Ok(other.into_bytes()), ..answer } } else { answer })
    });
    let report = run.run_whole(THREE);
    assert_eq!((report.exit.code(), report.done.created_count), (0, 3), "{report:?}");
    run.judge(THREE, "another's account");
    mangle(&run, |request, answer| {
        let id = request.target.trim_start_matches("/Users/");
        let other = json!({"id": id, "userName": "stranger@x.example"}).to_string();
        Ok(if is_read(request) { Answer { body: Ok(other.into_bytes()), ..answer } } else { answer })
    });
    check(&run.run_whole("a a@x.example Ann|b b@x.example Ben"), 4, OutstandingKind::Held, 1);
    run.obey();
    run.judge(THREE, "nobody was removed");
}

#[test]
fn a_404_counts_only_at_the_right_endpoint() {
    let run = InProcess::new();
    run.run_whole(THREE);
    run.refuse(|request| request.target.starts_with("/Users").then(|| answer(404, "")));
    let report = run.run_whole("a a@x.example Ann|b b@x.example Ben");
    assert_eq!((report.exit.code(), report.done.deleted_count), (1, 0), "{report:?}");
    assert!(report.error[0].contains("does not look like the endpoint"), "{:?}", report.error);
    run.obey();
    assert_eq!(run.run_whole(THREE).unchanged_count, 3);
    run.judge(THREE, "nothing was forgotten");
}

#[test]
fn accounts_that_are_gone_together_do_not_make_it_the_wrong_endpoint() {
    let run = InProcess::new();
    run.run_whole(&staff(150, "Pat"));
    let newest: Vec<_> = run.accounts.borrow().by_id.keys().cloned().collect();
    for id in
        newest.iter().filter(|id| id.trim_start_matches("account-").parse::<u32>().is_ok_and(|number| number > 122))
    {
        run.accounts.borrow_mut().by_id.remove(id);
    }
    let report = run.run_whole(&staff(149, "Pat"));
    assert_eq!((report.exit.code(), report.done.deleted_count), (0, 1), "{report:?}");
}

#[test]
fn an_account_that_shows_late_is_waited_for_and_its_name_is_reserved() {
    let mut run = InProcess::new();
    run.settings.settle_time = Duration::from_seconds(60);
    run.run_whole("z z@x.example Zoe");
    let hidden = |request: &Request, reply: Answer| {
        Ok(match request.method {
            Method::Post => return Err(CallError::Lost("cut".to_owned())),
            Method::Get if is_list(request) => answer(200, r#"{"totalResults":0}"#),
            Method::Get | Method::Patch | Method::Put | Method::Delete => reply,
        })
    };
    mangle(&run, hidden);
    check(&run.run_whole("z z@x.example Zoe|a a@x.example Ann"), 3, OutstandingKind::Waiting, 1);
    let report = run.run_whole("z z@x.example Zoe|b a@x.example Bea");
    check(&report, 3, OutstandingKind::Waiting, 2);
    run.obey();
    run.run_whole("z z@x.example Zoe|b a@x.example Bea|c c@x.example Cem");
    run.run_whole("z z@x.example Zoe|b a@x.example Bea|c c@x.example Cem");
    run.judge("z z@x.example Zoe|b a@x.example Bea|c c@x.example Cem", "a reserved name");
}

#[test]
fn a_409_after_a_lost_answer_is_our_own_account() {
    let run = InProcess::new();
    run.accounts.borrow_mut().unique = true;
    let posts = Rc::new(Cell::new(0));
    mangle(&run, move |request, reply| {
        if request.method == Method::Post {
            posts.set(posts.get() + 1);
            return if posts.get() == 1 { Err(CallError::Lost("cut".to_owned())) } else { Ok(reply) };
        }
        // It shows only after the second try was refused.
        Ok(if is_list(request) && posts.get() == 1 { answer(200, r#"{"totalResults":0}"#) } else { reply })
    });
    let report = run.run_whole("a a@x.example Ann");
    assert_eq!((report.exit.code(), report.done.created_count), (0, 1), "{report:?}");
    run.judge("a a@x.example Ann", "409 after a lost answer");
}

#[test]
fn a_username_that_is_taken_by_nobody_to_be_seen_is_refused() {
    let run = InProcess::new();
    run.refuse(|request| (request.method == Method::Post).then(|| answer(409, "")));
    check(&run.run_whole("a a@x.example Ann"), 0, OutstandingKind::Refused, 1);
    let events = run.events().len();
    run.run_whole("a a@x.example Ann");
    assert_eq!(run.events().len(), events + 1, "a refusal is said once, and the cycle's end each time");
}

#[test]
fn an_inactive_account_is_brought_back_however_often_that_fails() {
    let run = InProcess::new();
    run.accounts.borrow_mut().by_id.get_mut("account-1").expect("the account to link")["active"] = false.into();
    let user = "k linked@x.example Old";
    for (status, exit) in [(429, 3), (400, 3)] {
        run.refuse(move |request| (request.method == Method::Patch).then(|| answer(status, "")));
        assert_eq!(run.run_whole(user).exit.code(), exit);
    }
    run.obey();
    let report = run.run_whole("k linked@x.example Oldest");
    assert_eq!((report.exit.code(), report.done.updated_count), (0, 1), "{report:?}");
    assert_eq!(run.accounts.borrow().by_id["account-1"]["active"], true);
    run.judge("k linked@x.example Oldest", "reactivated");
}

#[test]
fn what_three_accepted_updates_do_not_change_is_parked() {
    let run = InProcess::new();
    run.run_whole(THREE);
    let before = run.accounts.borrow().by_id.values().find(|a| a["userName"] == "a@x.example").cloned().expect("a");
    run.refuse(move |request| (request.method == Method::Patch).then(|| answer(200, &before.to_string())));
    let moved = "a a@x.example Anna|b b@x.example Ben|c c@x.example Cem";
    for _ in 0..3 {
        check(&run.run_whole(moved), 3, OutstandingKind::Failed, 1);
    }
    let report = run.run_whole(moved);
    check(&report, 3, OutstandingKind::Parked, 1);
    assert_eq!(run.run_whole(moved).done.updated_count, 0);
    run.obey();
    assert_eq!(run.run_whole("a a@x.example Anja|b b@x.example Ben|c c@x.example Cem").done.updated_count, 1);
}

#[test]
fn a_removal_that_does_nothing_is_a_failure() {
    let run = InProcess::new();
    run.run_whole(THREE);
    run.refuse(|request| (request.method == Method::Delete).then(|| answer(204, "")));
    let report = run.run_whole("a a@x.example Ann|b b@x.example Ben");
    check(&report, 3, OutstandingKind::Failed, 1);
    assert_eq!(report.done.deleted_count, 0);
}

#[test]
fn an_unsupported_delete_becomes_active_false_and_patch_becomes_put() {
    let run = InProcess::new();
    run.run_whole(THREE);
    run.refuse(|request| matches!(request.method, Method::Delete | Method::Patch).then(|| answer(501, "")));
    let report = run.run_whole("a a@x.example Anna|b b@x.example Ben");
    assert_eq!((report.exit.code(), report.done.updated_count, report.done.deactivated_count), (0, 1, 1), "{report:?}");
    run.judge("a a@x.example Anna|b b@x.example Ben", "by PUT");
}

#[test]
fn accounts_that_we_did_not_make_can_be_refused() {
    let mut run = InProcess::new();
    run.settings.existing_accounts = rhombus_sync::model::ExistingAccounts::Refuse;
    check(&run.run_whole("k linked@x.example Kim"), 0, OutstandingKind::Refused, 1);
    run.settings.existing_accounts = rhombus_sync::model::ExistingAccounts::Adopt;
    let report = run.run_whole("k linked@x.example Kim");
    assert_eq!((report.done.linked_count, report.done.updated_count), (1, 1), "{report:?}");
}

#[test]
fn a_lost_create_of_a_leaver_is_awaited_then_linked_and_removed() {
    let mut run = InProcess::new();
    run.settings.settle_time = Duration::from_seconds(60);
    run.settings.policy.on_removed = Removals::Delete;
    run.run_whole("z z@x.example Zoe");
    mangle(&run, |request, reply| match request.method {
        Method::Post => Err(CallError::Lost("cut".to_owned())),
        Method::Get if is_list(request) => Ok(answer(200, r#"{"totalResults":0}"#)),
        Method::Get | Method::Patch | Method::Put | Method::Delete => Ok(reply),
    });
    check(&run.run_whole("z z@x.example Zoe|a a@x.example Ann"), 3, OutstandingKind::Waiting, 1);
    check(&run.run_whole("z z@x.example Zoe"), 3, OutstandingKind::Waiting, 1);
    run.obey();
    let report = run.run_whole("z z@x.example Zoe");
    assert_eq!((report.exit.code(), report.done.created_count, report.done.deleted_count), (0, 1, 1), "{report:?}");
    run.judge("z z@x.example Zoe", "who has left is linked, then removed");
}

#[test]
fn a_5xx_after_the_commit_of_a_create_makes_one_account_and_event() {
    for status in [500, 502, 503, 504] {
        let run = InProcess::new();
        mangle(&run, move |request, given| {
            Ok(if request.method == Method::Post { answer(status, "<html>gateway</html>") } else { given })
        });
        let report = run.run_whole("a a@x.example Ann");
        assert_eq!((report.exit.code(), report.done.created_count), (0, 1), "{status}: {report:?}");
        run.obey();
        assert_eq!(run.run_whole("a a@x.example Ann").unchanged_count, 1);
        run.judge("a a@x.example Ann", &format!("{status}"));
        let made = run
            .events()
            .into_iter()
            .find(|event| event["event_type"] == "user_create_provision" && event["success"] == true);
        assert_eq!(made.expect("an event")["initiated_by"]["source"], "recovery", "{status}");
    }
}

#[test]
fn a_create_that_is_answered_with_somebodys_account_is_refused() {
    let run = InProcess::new();
    run.run_whole(&staff(2, "Pat"));
    let theirs = run.accounts.borrow().by_id["account-3"].clone();
    mangle(&run, move |request, given| {
        let mut account = theirs.clone();
        account["userName"] = "n@x.example".into();
        Ok(if request.method == Method::Post { answer(200, &account.to_string()) } else { given })
    });
    let report = run.run_whole(&format!("{}|n n@x.example New", staff(2, "Pat")));
    check(&report, 0, OutstandingKind::Refused, 1);
    let code = UsernameConflict::AnsweredLinked.code();
    assert!(report.outstanding.iter().any(|entry| entry.reason.code() == code), "{report:?}");
}
