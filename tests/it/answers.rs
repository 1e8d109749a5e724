//! Answers that are legal, or usual, and not the ones that most servers give: each is taken as what it means.

use crate::support::fake_rhombus::answer;
use crate::support::in_process::InProcess;
use crate::support::raw_endpoint::Endpoint;
use crate::support::real_binary::{RealBinary, people, person};
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::OutstandingKind;
use rhombus_sync::outcome::{Answer, RetryAfter};
use serde_json::json;
use std::cell::Cell;
use std::rc::Rc;

const THREE: &str = "a a@x.example Ann|b b@x.example Ben|c c@x.example Cem";

/// Answers the first request of a method with something else, instead of obeying it.
fn refuse_once(run: &InProcess, method: Method, instead: Answer) {
    let left = Cell::new(true);
    let refuse = move |request: &Request| (request.method == method && left.replace(false)).then(|| instead.clone());
    run.accounts.borrow_mut().refuse = Some(Rc::new(refuse));
}

#[test]
fn what_says_not_now_is_tried_again_in_the_same_cycle() {
    for status in [408, 421, 425] {
        for method in [Method::Get, Method::Post, Method::Patch, Method::Delete] {
            let run = InProcess::new();
            run.run_whole(&format!("{THREE}|d d@x.example Dan"));
            refuse_once(&run, method, answer(status, ""));
            let changed = "a a@x.example Anna|b b@x.example Ben|c c@x.example Cem|e e@x.example Eve";
            let report = run.run_whole(changed);
            let how = format!("{status} to {method:?}");
            assert_eq!((report.exit.code(), report.count(OutstandingKind::Failed)), (0, 0), "{how}: {report:?}");
            run.judge(changed, &how);
        }
    }
}

#[test]
fn a_create_answered_408_may_have_been_obeyed() {
    let run = InProcess::new();
    *run.mangle.borrow_mut() = {
        let left = Cell::new(true);
        Rc::new(move |request, obeyed| {
            let lost = request.method == Method::Post && left.replace(false);
            if lost { Ok(answer(408, "")) } else { obeyed }
        })
    };
    let report = run.run_whole(THREE);
    assert_eq!((report.exit.code(), report.done.created_count), (0, 3), "{report:?}");
    run.judge(THREE, "408 to a create that was obeyed");
}

#[test]
fn a_403_that_says_when_to_come_back_is_not_a_refused_token() {
    let run = InProcess::new();
    run.run_whole(THREE);
    let wait = Answer { retry_after: Some(RetryAfter::Seconds(60)), ..answer(403, "rate limit exceeded") };
    run.accounts.borrow_mut().refuse = Some(Rc::new(move |_| Some(wait.clone())));
    let export = format!("{THREE}|d d@x.example Dan");
    let report = run.run_whole(&export);
    assert_eq!((report.exit.code(), report.count(OutstandingKind::Waiting)), (3, 1), "{report:?}");
    run.accounts.borrow_mut().refuse = None;
    let calls = run.accounts.borrow().seen.len();
    assert_eq!(run.run_whole(&export).exit.code(), 3);
    assert_eq!(run.accounts.borrow().seen.len(), calls, "it is left alone until then, by the next process too");
    run.clock.fetch_add(61_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(run.run_whole(&export).exit.code(), 0);
    run.judge(&export, "403 with Retry-After");
}

#[test]
fn a_retry_after_that_says_no_time_is_waited_for_twice_as_long_each_time() {
    let run = InProcess::new();
    let users = (0..40).map(|n| format!("u{n:02} u{n:02}@x.example Pat")).collect::<Vec<_>>().join("|");
    let wait = Answer { retry_after: Some(RetryAfter::Unreadable), ..answer(429, "") };
    run.accounts.borrow_mut().refuse = Some(Rc::new(move |_| Some(wait.clone())));
    let report = run.run_whole(&users);
    assert_eq!(report.count(OutstandingKind::Failed), 0, "{report:?}");
    let seen = run.accounts.borrow().seen.clone();
    assert!(seen.len() <= 10, "{} calls", seen.len());
    let between = seen[seen.len() - 1].2.duration_since(seen[0].2).as_secs();
    assert_eq!(between, 30, "one wait of 30 s, then one that is too long for a cycle");
}

/// Three days at a server with an oddity: everybody is made, one is renamed, one leaves, and a refresh finds nothing to do.
#[track_caller]
fn days(oddity: &str, keys: &str) -> RealBinary {
    let run = RealBinary::open_with_faults(keys, oddity);
    run.activate();
    run.export(&people(0..12));
    assert_eq!(run.reconcile(0)["created"], 12, "{oddity}");
    let mut changed = people(1..13);
    changed[0]["lastname"] = "New".into();
    run.export(&changed);
    let report = run.reconcile(0);
    assert_eq!(
        (&report["created"], &report["updated"], &report["deleted"]),
        (&json!(1), &json!(1), &json!(1)),
        "{oddity}"
    );
    let output = run.run(&["--reconcile", "--refresh", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!((output.status.code(), &report["unchanged"]), (Some(0), &json!(12)), "{oddity}: {report}");
    assert_eq!(report["drift"], json!([]), "{oddity}");
    let accounts = run.accounts();
    assert!(accounts.len() == 12 && accounts["p1@x.example"]["name"]["familyName"] == "New", "{oddity}");
    run
}

#[test]
fn what_real_servers_answer_is_read() {
    for oddity in
        ["bom:1", "lower_case_members:1", "big_member:1300000", "count_refused:50", "count_refused:9", "cursor_only:5"]
    {
        days(oddity, "");
    }
}

#[test]
fn an_account_that_is_shown_twice_is_one_account() {
    let run = RealBinary::open_with_faults("", "shown_twice:1");
    run.activate();
    run.export(&people(0..2));
    run.reconcile(0);
    // The state forgets them: they are found, and are not two.
    for user in ["id-00000", "id-00001"] {
        assert!(run.run(&["forget", user]).status.success());
    }
    let report = run.reconcile(0);
    assert_eq!((&report["linked"], &report["refused"]), (&json!(2), &json!([])), "{report}");
}

#[test]
fn an_address_without_a_value_is_not_put_back() {
    days("empty_email:1", "update_method = \"put\"");
}

#[test]
fn what_is_put_back_keeps_its_digits() {
    let numbers = [r#""card":89014103211118510720"#, r#""ratio":0.10"#, r#""big":12345678901234567890123456789"#];
    let card = format!(r#""urn:ext:badge":{{{}}}"#, numbers.join(","));
    let account = r#"{"id":"7","userName":"p0@x.example","name":{"givenName":"Old"},CARD}"#.replace("CARD", &card);
    let shown = account.clone();
    let endpoint = Endpoint::start(move |asked| {
        if asked.line.starts_with("PUT ") {
            let body = asked.body.clone();
            asked.answer(200, "", &body);
        } else if asked.is_list() || asked.line.starts_with("GET /scim/v2/Users ") {
            asked.answer(200, "", &format!(r#"{{"totalResults":1,"Resources":[{shown}]}}"#));
        } else {
            asked.answer(200, "", &shown);
        }
    });
    let mut run = RealBinary::open("");
    run.base_url.clone_from(&endpoint.base_url);
    run.configure("update_method = \"put\"");
    run.activate();
    run.export(&[person(0)]);
    run.run(&["--reconcile"]);
    let puts: Vec<String> = endpoint.seen().into_iter().filter(|request| request.starts_with("PUT ")).collect();
    assert!(puts.len() == 1 && numbers.iter().all(|number| puts[0].contains(number)), "{puts:?}");
}

#[test]
fn a_list_without_an_end_proves_nothing() {
    let endpoint = Endpoint::start(move |asked| {
        let start: usize = asked
            .line
            .split(['?', '=', '&', ' '])
            .skip_while(|word| *word != "startIndex")
            .nth(1)
            .and_then(|number| number.parse().ok())
            .unwrap_or(1);
        let page: Vec<_> =
            (start..start + 100).map(|n| json!({"id": n, "userName": format!("s{n}@x.example")})).collect();
        asked.answer(200, "", &json!({"totalResults": 100, "Resources": page}).to_string());
    });
    let mut run = RealBinary::open("");
    run.base_url.clone_from(&endpoint.base_url);
    run.configure("");
    let output = run.run(&["activate"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("does not end"), "{said}");
    let lists = endpoint.seen().len();
    assert!((12..=14).contains(&lists), "{lists} calls for twice 100 and 1,000 more");
}

#[test]
fn a_refused_count_is_asked_smaller_and_a_refused_list_three_times_at_most() {
    for (most, expected) in [(100, 1), (50, 2), (9, 3)] {
        let endpoint = Endpoint::start(move |asked| {
            let count: Option<u32> =
                asked.line.split("count=").nth(1).and_then(|rest| rest.split(['&', ' ']).next()?.parse().ok());
            match count {
                Some(count) if count > most => asked.answer(422, "", ""),
                Some(_) | None => asked.answer(200, "", r#"{"totalResults":0,"Resources":[]}"#),
            }
        });
        let mut run = RealBinary::open("");
        run.base_url.clone_from(&endpoint.base_url);
        run.configure("");
        run.activate();
        assert_eq!(endpoint.seen().len(), expected, "{most}");
    }
    let endpoint = Endpoint::start(|asked| asked.answer(400, "", ""));
    let mut run = RealBinary::open("");
    run.base_url.clone_from(&endpoint.base_url);
    run.configure("");
    assert_eq!((run.run(&["activate"]).status.code(), endpoint.seen().len()), (Some(1), 3));
}
