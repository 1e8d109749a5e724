//! Which organisation a token opens: one that shows none of our accounts is another one, and nothing is sent to it.

use crate::daemon::Elsewhere;
use crate::support::fake_rhombus::answer;
use crate::support::in_process::InProcess;
use crate::support::real_binary::people;
use rhombus_sync::http::{Method, Request};
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::atomic::Ordering;

const STAFF: &str = "a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D";
const FIVE: &str = "a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D|e e@x.example E";

/// An installation whose token is proven.
fn proven() -> InProcess {
    let run = InProcess::new();
    *run.token.borrow_mut() = Some("first".to_owned());
    run.run_whole(STAFF);
    run
}

fn reauths(run: &InProcess) -> usize {
    run.events().iter().filter(|event| event["event_type"] == "idm_integration_reauth").count()
}

fn calls_since(run: &InProcess, before: usize) -> Vec<String> {
    let seen = &run.accounts.borrow().seen;
    seen[before..].iter().map(|(method, target, _)| format!("{method:?} {}", short(target))).collect()
}

fn short(target: &str) -> &str {
    if target.starts_with("/Users/") { "one" } else { "list" }
}

fn count(run: &InProcess) -> usize {
    run.accounts.borrow().seen.len()
}

fn token_of_state(run: &InProcess) -> String {
    let state = store::open(&run.path("state.db"), Access::Read).expect("the state opens");
    store::installation(&state).expect("the row").token_fingerprint
}

#[test]
fn a_new_token_is_proven_by_an_account_of_ours_and_said_once() {
    let run = proven();
    assert_eq!((reauths(&run), token_of_state(&run)), (0, "first".to_owned()));
    *run.token.borrow_mut() = Some("second".to_owned());
    let before = count(&run);
    for _ in 0..3 {
        assert_eq!(run.run_whole(STAFF).exit.code(), 0);
    }
    assert_eq!(calls_since(&run, before), ["Get one"], "one account of ours is enough, once");
    assert_eq!((reauths(&run), token_of_state(&run)), (1, "second".to_owned()));
}

#[test]
fn a_token_of_another_organisation_sends_nothing_and_is_not_remembered() {
    let run = proven();
    let ours = std::mem::take(&mut run.accounts.borrow_mut().by_id);
    let log = run.accounts.borrow().log.len();
    for others in [0, 2] {
        for number in 0..others {
            let name = format!("other{number}@x.example");
            run.accounts.borrow_mut().by_id.insert(
                format!("another-{number}"),
                json!({"id": format!("another-{number}"), "userName": name, "active": true}),
            );
        }
        *run.token.borrow_mut() = Some("second".to_owned());
        let before = count(&run);
        let report = run.run_whole(FIVE);
        assert_eq!((report.exit.code(), report.done.any()), (1, false), "{report:?}");
        let asked = calls_since(&run, before);
        assert_eq!(asked[..4], ["Get one", "Get one", "Get one", "Get list"], "{asked:?}");
        let hint = report.hint.clone().unwrap_or_default();
        assert!(hint.contains("start-over") && !hint.contains("base_url"), "{report:?}");
        assert_eq!(report.error[0].contains("empty"), others == 0, "{report:?}");
        assert_eq!((run.accounts.borrow().log.len(), reauths(&run)), (log, 0), "nothing was sent, nothing is proven");
        assert_eq!(token_of_state(&run), "first");
    }
    run.accounts.borrow_mut().by_id = ours;
    assert_eq!(run.run_whole(FIVE).done.created_count, 1, "asked again next time");
    assert_eq!(reauths(&run), 1);
}

/// A cycle with a new token; requests are answered with these statuses if they are about one account, or a list.
fn doubtful(one: Option<u16>, list: Option<u16>) -> (InProcess, CycleReport) {
    let run = proven();
    *run.token.borrow_mut() = Some("second".to_owned());
    run.accounts.borrow_mut().refuse = Some(Rc::new(move |request: &Request| {
        let status = if request.target.starts_with("/Users/") { one } else { list };
        status.filter(|_| request.method == Method::Get).map(|status| answer(status, "{}"))
    }));
    let report = run.run_whole(FIVE);
    (run, report)
}

#[test]
fn a_list_with_one_of_ours_is_the_same_organisation_and_any_other_answer_proves_nothing() {
    let (run, report) = doubtful(Some(404), None);
    assert_eq!((report.exit.code(), report.done.created_count, reauths(&run)), (0, 1, 1), "{report:?}");
    for (one, list) in [(500, None), (400, None), (403, None), (501, None), (404, Some(404)), (404, Some(500))] {
        let (run, report) = doubtful(Some(one), list);
        assert_eq!((report.exit.code(), report.done.any(), reauths(&run)), (1, false, 0), "{one} {list:?}: {report:?}");
        assert_eq!(token_of_state(&run), "first", "{one} {list:?}");
        run.accounts.borrow_mut().refuse = None;
        run.clock.fetch_add(60_000, Ordering::SeqCst);
        assert_eq!(run.run_whole(FIVE).done.created_count, 1, "{one} {list:?}: asked again");
        assert_eq!(reauths(&run), 1, "{one} {list:?}");
    }
}

#[test]
fn a_cycle_proves_the_token_where_nobody_asked_for_a_day() {
    let run = proven();
    run.run_whole(STAFF);
    let before = count(&run);
    run.clock.fetch_add(23 * 3_600_000, Ordering::SeqCst);
    run.run_whole(STAFF);
    assert_eq!(count(&run), before, "an unchanged export needs no call");
    run.clock.fetch_add(3_600_000, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(run.run_whole(STAFF).exit.code(), 0);
    }
    assert_eq!(calls_since(&run, before), ["Get list"], "once");
    run.accounts.borrow_mut().refuse = Some(Rc::new(|_: &Request| Some(answer(401, "{}"))));
    run.clock.fetch_add(25 * 3_600_000, Ordering::SeqCst);
    assert_eq!(run.run_whole(STAFF).exit.code(), 1, "a token that was revoked is noticed");
}

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn activate_and_check_refuse_another_organisation_and_start_over_after_a_backup() {
    let elsewhere = Elsewhere::open();
    let run = &elsewhere.run;
    run.export(&people(0..5));
    run.activate();
    assert_eq!(run.reconcile(0)["created"], 5);
    let output = run.run(&["activate", "--start-over"]);
    assert_eq!(output.status.code(), Some(1), "a linked account is there: {}", stdout(&output));
    // The same token; the organisation was emptied, and somebody else was put there.
    *elsewhere.accounts.lock().expect("whole") = vec![json!({"id": "of-nobody", "userName": "new@x.example"})];
    let output = run.run(&["activate"]);
    assert!(output.status.success() && stdout(&output).contains("activate --start-over"), "{}", stdout(&output));
    "second".clone_into(&mut elsewhere.good.lock().expect("whole"));
    elsewhere.put_token("second");
    for arguments in [&["activate"][..], &["check", "--online"]] {
        let output = run.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("another organisation") && !said.contains("base_url"), "{arguments:?}: {said}");
    }
    let document: Value = {
        let output = run.run(&["--reconcile", "--json"]);
        assert_eq!(output.status.code(), Some(1));
        serde_json::from_slice(&output.stdout).expect("one document")
    };
    assert_eq!(document["created"], 0);
    assert!(!elsewhere.event_types().contains(&"idm_integration_reauth".to_owned()));
    let output = run.run(&["activate", "--start-over", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let backup = said["start_over"]["backup"].as_str().expect("a backup");
    assert!(std::path::Path::new(backup).exists(), "{said}");
    assert_eq!(said["start_over"]["unlinked"][0]["username"], "new@x.example", "{said}");
    assert_eq!(elsewhere.event_types().iter().filter(|kind| *kind == "idm_integration_reauth").count(), 1);
    assert_eq!(run.reconcile(0)["created"], 5);
    assert_eq!(elsewhere.count(), 6);
    assert_eq!(run.run(&["events", "verify"]).status.code(), Some(0));
}

#[test]
fn nothing_goes_to_another_organisation_until_the_right_one_answers() {
    let elsewhere = Elsewhere::open();
    let run = &elsewhere.run;
    run.export(&people(0..5));
    run.activate();
    run.reconcile(0);
    let ours = std::mem::take(&mut *elsewhere.accounts.lock().expect("whole"));
    "second".clone_into(&mut elsewhere.good.lock().expect("whole"));
    elsewhere.put_token("second");
    assert_eq!(run.run(&["--reconcile"]).status.code(), Some(1));
    assert_eq!((elsewhere.count(), elsewhere.event_types().last().map(String::as_str)), (0, Some("reconcile_failed")));
    let red = || {
        let said: Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("one document");
        said["red"]["reason"].as_str().map(str::to_owned)
    };
    let foreign = Some("the token opens another organisation: nothing is sent".to_owned());
    assert_eq!(red(), foreign, "at once, not after an hour");
    std::fs::write(run.path("directory.json"), "[").expect("a torn export");
    assert_eq!(run.run(&["--reconcile"]).status.code(), Some(1));
    assert_eq!(red(), foreign, "a cycle that asks nobody knows no better");
    run.export(&people(0..5));
    *elsewhere.accounts.lock().expect("whole") = ours;
    assert_eq!(run.reconcile(0)["unchanged"], 5);
    assert_eq!(red(), None);
    assert_eq!(elsewhere.event_types().iter().filter(|kind| *kind == "idm_integration_reauth").count(), 1);
}

#[test]
fn a_token_that_was_refused_is_asked_about_until_it_is_good_though_nothing_changed() {
    let run = proven();
    run.run_whole(STAFF);
    run.refuse(|_| Some(answer(401, "{}")));
    assert_eq!(run.run_whole(FIVE).exit.code(), 1);
    run.obey();
    assert_eq!(run.run_whole(STAFF).exit.code(), 0);
    let before = count(&run);
    assert_eq!(run.run_whole(STAFF).exit.code(), 0);
    assert_eq!(count(&run), before, "it was found good, and nobody is asked again");
    let state = store::open(&run.path("state.db"), Access::Read).expect("the state opens");
    assert_eq!(store::health(&state).expect("the row").token_refused_since, None);
}
