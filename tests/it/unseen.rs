//! Nothing rests unseen: what could not be read is asked again, what is refused for something that Rhombus shows is asked anew,
//! nobody is asked about without end, and users whom the endpoint cannot serve are put off.

use crate::support::fake_rhombus::answer;
use crate::support::in_process::InProcess;
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::{DirectoryId, Duration, OutstandingKind, Removals};
use rhombus_sync::outcome::{Answer, CallError};
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use serde_json::{Value, json};
use std::rc::Rc;

const TWO: &str = "a a@x.example Ann|b b@x.example Ben";

fn staff(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("u{n:03} u{n:03}@x.example Pat")).collect::<Vec<_>>().join("|")
}

fn listed(report: &CycleReport) -> Vec<(OutstandingKind, &str)> {
    report.outstanding.iter().map(|one| (one.kind, one.reason.code())).collect()
}

#[test]
fn what_a_refresh_cannot_read_is_listed_and_the_next_cycle_asks_again() {
    for status in [400, 403, 500, 200] {
        let run = InProcess::new();
        run.run_whole(TWO);
        let id = run.id_of("b@x.example");
        run.accounts.borrow_mut().by_id.get_mut(&id).expect("an account")["active"] = false.into();
        let theirs = format!("/Users/{id}");
        run.refuse(move |request| (request.target == theirs).then(|| answer(status, "")));
        run.refresh.set(true);
        let report = run.run_whole(TWO);
        let unread = vec![(OutstandingKind::Failed, "unread")];
        assert_eq!((report.exit.code(), listed(&report)), (3, unread.clone()), "{status}: {report:?}");
        run.refresh.set(false);
        let report = run.run_whole(TWO);
        assert_eq!((report.exit.code(), listed(&report)), (3, unread), "{status}: the same file, and no early end");
        run.obey();
        let report = run.run_whole(TWO);
        assert_eq!((report.exit.code(), report.done.updated_count), (0, 1), "{status}: brought back: {report:?}");
        assert!(listed(&run.run_whole(TWO)).is_empty(), "{status}");
    }
}

#[test]
fn what_is_refused_for_what_rhombus_hides_is_asked_anew_with_back_off() {
    let run = InProcess::new();
    run.refuse(|request| (request.method == Method::Post).then(|| answer(409, "")));
    let refused = vec![(OutstandingKind::Refused, "username_hidden")];
    for (wait, posts) in [(0, 1), (60, 1), (300, 2), (600, 2), (400, 3)] {
        run.later(wait);
        let report = run.run_whole("a a@x.example Ann");
        assert_eq!((report.exit.code(), listed(&report)), (0, refused.clone()), "{wait}: {report:?}");
        assert_eq!(run.asked(Method::Post), posts, "after {wait} s more");
    }
    run.obey();
    run.accounts.borrow_mut().add(json!({"userName": "a@x.example", "name": {"givenName": "Ann"}}));
    run.later(3_600);
    assert_eq!(run.run_whole("a a@x.example Ann").done.linked_count, 1, "it can be seen by now");
}

#[test]
fn a_change_that_is_accepted_and_found_inactive_by_a_read_is_brought_back() {
    let run = InProcess::new();
    run.run_whole(TWO);
    let (id, accounts) = (run.id_of("a@x.example"), run.accounts.clone());
    let lose = move |request: &Request, reply: Result<Answer, CallError>| {
        if request.method != Method::Patch {
            return reply;
        }
        if let Some(account) = accounts.borrow_mut().by_id.get_mut(&id) {
            account["active"] = false.into();
        }
        Err(CallError::Lost("cut".to_owned()))
    };
    *run.mangle.borrow_mut() = Rc::new(lose);
    let moved = "a a@x.example Anna|b b@x.example Ben";
    let report = run.run_whole(moved);
    assert_eq!((report.exit.code(), listed(&report)), (3, vec![(OutstandingKind::Failed, "found_inactive")]));
    run.obey();
    assert_eq!(run.run_whole(moved).done.updated_count, 1);
    run.judge(moved, "brought back");
}

#[test]
fn a_create_that_is_rejected_and_made_all_the_same_is_ours() {
    for status in [400, 403, 404, 405, 412, 421, 422, 425, 501] {
        let run = InProcess::new();
        let reject = move |request: &Request, reply: Result<Answer, CallError>| match request.method {
            Method::Post => Ok(answer(status, "")),
            Method::Get | Method::Patch | Method::Put | Method::Delete => reply,
        };
        *run.mangle.borrow_mut() = Rc::new(reject);
        let report = run.run_whole(TWO);
        assert_eq!((report.exit.code(), report.done.created_count), (0, 2), "{status}: {report:?}");
        run.judge(TWO, "rejected, and made");
        let recovered = |event: &Value| event["initiated_by"]["source"] == "recovery";
        assert_eq!(run.events().iter().filter(|event| recovered(event)).count(), 2, "{status}");
        assert_eq!(run.asked(Method::Post), 2, "{status}");
    }
}

#[test]
fn a_rejected_create_is_looked_up_once_and_not_forgotten_where_that_fails() {
    let run = InProcess::new();
    run.refuse(|request| (request.method == Method::Post).then(|| answer(400, "")));
    let report = run.run_whole("a a@x.example Ann");
    assert_eq!(listed(&report), [(OutstandingKind::Failed, "rejected")]);
    assert_eq!((run.asked(Method::Post), run.asked(Method::Get)), (1, 2), "before and after");
    let mut run = InProcess::new();
    run.settings.settle_time = Duration::from_seconds(60);
    let posted = std::cell::Cell::new(false);
    let reject = move |request: &Request, reply: Result<Answer, CallError>| match request.method {
        Method::Post => {
            posted.set(true);
            Ok(answer(400, ""))
        }
        Method::Get if posted.get() => Err(CallError::Lost("cut".to_owned())),
        Method::Get | Method::Patch | Method::Put | Method::Delete => reply,
    };
    *run.mangle.borrow_mut() = Rc::new(reject);
    let report = run.run_whole(TWO);
    assert!(report.outstanding.iter().all(|one| one.kind == OutstandingKind::Waiting), "{report:?}");
    run.obey();
    assert_eq!(run.run_whole("b b@x.example Ben").done.created_count, 2, "who has left is linked first");
    run.run_whole("b b@x.example Ben");
    run.judge("b b@x.example Ben", "then removed");
}

#[test]
fn a_create_that_shows_later_than_settle_time_is_told_as_created() {
    for (before, now) in
        [("", "a a@x.example Ann"), ("z z@x.example Zoe|", "a a@x.example Ann"), ("", "a a@x.example Anna")]
    {
        let mut run = InProcess::new();
        run.settings.settle_time = Duration::from_seconds(60);
        run.accounts.borrow_mut().unique = true;
        if !before.is_empty() {
            run.run_whole(before.trim_end_matches('|'));
        }
        let posted = std::cell::Cell::new(false);
        let hide = move |request: &Request, reply: Result<Answer, CallError>| match request.method {
            Method::Post if !posted.replace(true) => Err(CallError::Lost("cut".to_owned())),
            Method::Get if !request.target.starts_with("/Users/") => Ok(answer(200, r#"{"totalResults":0}"#)),
            Method::Get | Method::Post | Method::Patch | Method::Put | Method::Delete => reply,
        };
        *run.mangle.borrow_mut() = Rc::new(hide);
        run.run_whole(&format!("{before}a a@x.example Ann"));
        run.later(61);
        let report = run.run_whole(&format!("{before}{now}"));
        assert_eq!(
            listed(&report),
            [(OutstandingKind::Refused, "username_hidden")],
            "{before}{now}: given up, sent again"
        );
        run.obey();
        run.later(3_600);
        let report = run.run_whole(&format!("{before}{now}"));
        assert_eq!((report.done.created_count, report.done.linked_count), (1, 0), "{before}{now}: {report:?}");
        run.run_whole(&format!("{before}{now}"));
        run.judge(&format!("{before}{now}"), "shown late");
        assert_eq!(run.asked(Method::Post), if before.is_empty() { 2 } else { 3 });
        // Once it is told, it is an account like any other.
        let mut state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
        let transaction = state.transaction().expect("a transaction");
        store::forget(&transaction, &DirectoryId::new("a")).expect("forgotten");
        transaction.commit().expect("a commit");
        assert_eq!(run.run_whole(&format!("{before}{now}")).done.linked_count, 1, "{before}{now}: no second create");
    }
}

#[test]
fn an_account_that_a_filter_shows_after_its_removal_is_not_linked() {
    let mut run = InProcess::new();
    run.settings.policy.on_removed = Removals::Delete;
    run.run_whole(TWO);
    let stale = run.accounts.borrow().by_id[&run.id_of("a@x.example")].clone();
    assert_eq!(run.run_whole("b b@x.example Ben").done.deleted_count, 1);
    let late = move |request: &Request, reply: Result<Answer, CallError>| match request.target.contains("%22a%40x") {
        true => Ok(answer(200, &json!({"totalResults": 1, "Resources": [stale]}).to_string())),
        false => reply,
    };
    *run.mangle.borrow_mut() = Rc::new(late);
    let report = run.run_whole(TWO);
    assert_eq!((report.done.created_count, report.done.linked_count), (1, 0), "{report:?}");
    run.judge(TWO, "a list that lags");
}

#[test]
fn a_lost_update_is_told_although_the_next_read_says_that_nobody_is_there() {
    let run = InProcess::new();
    run.run_whole(TWO);
    let theirs = format!("/Users/{}", run.id_of("a@x.example"));
    let lied = std::cell::Cell::new(false);
    let mangle = move |request: &Request, reply: Result<Answer, CallError>| match request.method {
        Method::Patch => Err(CallError::Lost("cut".to_owned())),
        Method::Get if request.target == theirs && !lied.replace(true) => Ok(answer(404, "")),
        Method::Get | Method::Post | Method::Put | Method::Delete => reply,
    };
    *run.mangle.borrow_mut() = Rc::new(mangle);
    let moved = "a a@x.example Anna|b b@x.example Ben";
    assert_eq!(run.run_whole(moved).exit.code(), 3);
    run.obey();
    run.refresh.set(true);
    run.run_whole(moved);
    run.judge(moved, "done, and told by the recovery");
}

#[test]
fn creates_that_the_endpoint_cannot_serve_wait_five_minutes_then_fifteen() {
    let mut run = InProcess::new();
    run.settings.settle_time = Duration::from_seconds(10);
    run.run_whole("z z@x.example Zoe");
    run.refuse(|request| {
        let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).into_owned();
        (request.method == Method::Post && body.contains("u0")).then(|| answer(500, ""))
    });
    let export = format!("{}|v v@x.example Vic|z z@x.example Zoe", staff(0..12));
    let report = run.run_whole(&export);
    assert_eq!((report.exit.code(), report.done.created_count), (3, 1), "{report:?}");
    let poisoned = |report: &CycleReport| {
        let failed = report.outstanding.iter().filter(|one| one.kind == OutstandingKind::Failed);
        failed.filter(|one| one.until.is_some()).count()
    };
    assert!(poisoned(&report) >= 10, "{report:?}");
    let posts = run.asked(Method::Post);
    for wait in [15, 120, 120] {
        run.later(wait);
        let report = run.run_whole(&export);
        assert!(poisoned(&report) >= 10, "looked up, and listed with the same next try: {report:?}");
    }
    let sent = run.asked(Method::Post) - posts;
    assert!(sent <= 2 * 4 * 3, "{sent} creates were sent of those that were not put off");
    run.obey();
    run.later(120);
    let report = run.run_whole(&export);
    assert_eq!((report.exit.code(), run.accounts.borrow().by_id.len()), (0, 16), "{report:?}");
}

#[test]
fn a_list_by_cursor_alone_ends_where_an_index_is_not_supported() {
    for status in [400, 501] {
        let run = InProcess::new();
        run.run_whole(TWO);
        run.refuse(move |request| request.target.contains("startIndex").then(|| answer(status, "")));
        run.refresh.set(true);
        let report = run.run_whole(TWO);
        assert_eq!((report.exit.code(), report.unchanged_count), (0, 2), "{status}: {report:?}");
        // A list that showed fewer than it announced has not ended.
        run.refuse(move |request| match request.target.contains("startIndex") {
            true => Some(answer(status, "")),
            false => request.target.starts_with("/Users?count").then(|| {
                answer(
                    200,
                    &json!({"totalResults": 9, "Resources": [{"id": "s", "userName": "s@x.example"}]}).to_string(),
                )
            }),
        });
        assert_eq!(run.run_whole(TWO).exit.code(), 1, "{status}");
    }
}
