//! What a refresh concludes of an endpoint that was edited by hand, shows too little, lies, or is another one.

use crate::support::fake_rhombus::{Fate, answer};
use crate::support::in_process::{InProcess, Steps};
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::{GuardKind, OnDrift, OutstandingKind};
use rhombus_sync::plan::Limits;
use rhombus_sync::report::CycleReport;
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::atomic::Ordering;

const STAFF: &str = "a a@x.example Ann|b b@x.example Ben|c c@x.example Cem|d d@x.example Dan";

fn refreshed(run: &InProcess, export: &str) -> CycleReport {
    run.refresh.set(true);
    let report = run.run_whole(export);
    run.refresh.set(false);
    report
}

/// A run whose first day is over.
fn settled() -> InProcess {
    let run = InProcess::new();
    assert_eq!(run.run_whole(STAFF).exit.code(), 0);
    run
}

fn edit(run: &InProcess, name: &str, change: impl FnOnce(&mut Value)) {
    let id = run.id_of(name);
    change(run.accounts.borrow_mut().by_id.get_mut(&id).expect("an account"));
}

fn remove(run: &InProcess, name: &str) {
    let id = run.id_of(name);
    run.accounts.borrow_mut().by_id.remove(&id);
}

/// What stands in a list, as `id: reason`.
fn listed(report: &CycleReport, kind: OutstandingKind) -> Vec<String> {
    let of_kind = report.outstanding.iter().filter(|entry| entry.kind == kind);
    of_kind.map(|one| format!("{}: {}", one.directory_id.as_ref().expect("an id"), one.reason)).collect()
}

fn is_list(request: &Request) -> bool {
    request.method == Method::Get && (request.target == "/Users" || request.target.starts_with("/Users?"))
}

/// Answers each request for the list with this body, as if it were the whole of it.
fn lists(run: &InProcess, body: impl Fn(&Request) -> Value + 'static) {
    let decide = move |request: &Request| is_list(request).then(|| answer(200, &body(request).to_string()));
    run.accounts.borrow_mut().refuse = Some(Rc::new(decide));
}

fn sent(run: &InProcess) -> usize {
    run.accounts.borrow().log.len()
}

#[test]
fn names_that_were_changed_are_set_again_or_reported() {
    let mut run = settled();
    edit(&run, "a@x.example", |account| account["name"] = json!({"givenName": "Hand"}));
    edit(&run, "b@x.example", |account| account["active"] = false.into());
    assert_eq!(run.run_whole(STAFF).done.updated_count, 0, "a plain cycle does not look");

    run.settings.policy.on_drift = OnDrift::Report;
    let before = sent(&run);
    let report = refreshed(&run, STAFF);
    let expected = ["a: the names were changed in Rhombus", "b: the account is inactive in Rhombus"];
    assert_eq!(
        (report.exit.code(), listed(&report, OutstandingKind::Drift)),
        (0, expected.map(str::to_owned).to_vec())
    );
    let later = run.run_whole(STAFF);
    assert_eq!(listed(&later, OutstandingKind::Drift), expected, "it stands until the next refresh");
    assert_eq!(sent(&run), before, "reported is not repaired");

    run.settings.policy.on_drift = OnDrift::Repair;
    let report = refreshed(&run, STAFF);
    assert_eq!((report.exit.code(), report.done.updated_count), (0, 2), "{report:?}");
    assert_eq!(listed(&run.run_whole(STAFF), OutstandingKind::Drift), Vec::<String>::new());
    run.judge(STAFF, "repaired");
}

#[test]
fn an_account_that_is_gone_is_made_again_and_counts_as_a_create() {
    let mut run = settled();
    remove(&run, "c@x.example");
    let none = Limits { count_free: 0, percent_max: 0, count_max: 0 };
    run.settings.limits.insert(GuardKind::Create, none);
    let report = refreshed(&run, STAFF);
    assert_eq!((report.exit.code(), report.done.created_count), (4, 0), "{report:?}");
    assert_eq!(listed(&report, OutstandingKind::Drift), ["c: the account is gone from Rhombus"]);
    assert_eq!(run.run_whole(STAFF).exit.code(), 4, "it is held for as long as it is so");
    let wide = Limits { count_free: 9, percent_max: 0, count_max: 9 };
    run.settings.limits.insert(GuardKind::Create, wide);
    assert_eq!(run.run_whole(STAFF).done.created_count, 1);

    remove(&run, "d@x.example");
    let report = refreshed(&run, STAFF);
    assert_eq!((report.exit.code(), report.done.created_count, report.unchanged_count), (0, 1, 3), "{report:?}");
    let said = run.events();
    let why = said.iter().rev().find(|event| event["event_type"] == "user_create_provision").expect("a create");
    assert_eq!(why["message_chain"]["message_details"], "re-created: the account had disappeared");
}

#[test]
fn whoever_left_and_is_gone_already_is_removed_by_name() {
    let run = settled();
    remove(&run, "d@x.example");
    let report = refreshed(&run, "a a@x.example Ann|b b@x.example Ben|c c@x.example Cem");
    assert_eq!((report.exit.code(), report.done.deleted_count, report.done.created_count), (0, 1, 0), "{report:?}");
}

#[test]
fn a_list_that_loops_shifts_repeats_or_shows_too_few_proves_nothing() {
    let account =
        |id: &str| json!({"id": id, "userName": "a@x.example", "name": {"givenName": "Somebody"}, "active": true});
    let bodies: [Value; 4] = [
        json!({"totalResults": 0, "Resources": []}),
        json!({"totalResults": 0}),
        json!({"totalResults": 900, "Resources": [account("account-3")]}),
        json!({"totalResults": 1, "Resources": [account("account-3"), account("account-3"), account("account-4")]}),
    ];
    for body in bodies {
        let run = settled();
        let (before, said) = (sent(&run), body.to_string());
        lists(&run, move |_| body.clone());
        let report = refreshed(&run, STAFF);
        assert_eq!((report.exit.code(), report.unchanged_count), (0, 4), "{said}: {report:?}");
        assert_eq!((sent(&run), listed(&report, OutstandingKind::Drift)), (before, Vec::new()), "{said}");
    }
}

#[test]
fn an_empty_endpoint_is_the_wrong_one() {
    let run = settled();
    run.accounts.borrow_mut().by_id.clear();
    let report = refreshed(&run, STAFF);
    assert_eq!((report.exit.code(), report.done.created_count), (1, 0), "{report:?}");
    assert!(report.error[0].contains("none of the linked accounts exists"), "{report:?}");
    run.accounts.borrow_mut().by_id.clear();
    assert_eq!(run.run_whole(STAFF).unchanged_count, 4, "no link has ended");
}

#[test]
fn a_list_that_cannot_be_read_ends_the_cycle_and_nothing_is_sent() {
    for (status, body) in
        [(200, "<html>sign in</html>"), (500, "{}"), (400, "{}"), (200, "[]"), (200, "{\"totalResults\": 4, \"Resou")]
    {
        let run = settled();
        let decide = move |request: &Request| is_list(request).then(|| answer(status, body));
        run.accounts.borrow_mut().refuse = Some(Rc::new(decide));
        let before = sent(&run);
        let report = refreshed(&run, "a a@x.example Anna");
        assert_eq!((report.exit.code(), sent(&run)), (1, before), "{status} {body}: {report:?}");
        run.accounts.borrow_mut().refuse = None;
        assert_eq!(run.run_whole(STAFF).unchanged_count, 4, "{status} {body}");
    }
}

#[test]
fn an_account_that_changed_hands_is_left_alone_until_it_is_forgotten() {
    let run = settled();
    edit(&run, "a@x.example", |account| account["userName"] = "somebody@x.example".into());
    let before = sent(&run);
    let report = refreshed(&run, "a a@x.example Anna|b b@x.example Ben|c c@x.example Cem|d d@x.example Dan");
    let reason = "a: the account has another userName in Rhombus than the one that was linked";
    assert_eq!(
        (report.exit.code(), listed(&report, OutstandingKind::Drift)),
        (0, vec![reason.to_owned()]),
        "{report:?}"
    );
    assert_eq!(sent(&run), before, "no name of ours goes to somebody else's account");
    let plain = run.run_whole("a a@x.example Anna|b b@x.example Ben|c c@x.example Cem|d d@x.example Dan");
    assert_eq!((sent(&run), listed(&plain, OutstandingKind::Drift)), (before, vec![reason.to_owned()]), "nor later");
    edit(&run, "somebody@x.example", |account| account["userName"] = "a@x.example".into());
    let back = refreshed(&run, "a a@x.example Anna|b b@x.example Ben|c c@x.example Cem|d d@x.example Dan");
    assert_eq!((back.exit.code(), back.done.updated_count), (0, 1), "it carries its name again: {back:?}");
    edit(&run, "a@x.example", |account| account["userName"] = "somebody@x.example".into());
    let before = sent(&run);
    let report = run.run_whole("b b@x.example Ben|c c@x.example Cem|d d@x.example Dan");
    assert_eq!((report.exit.code(), sent(&run)), (4, before), "and it is not removed: {report:?}");
}

#[test]
fn a_rename_that_was_settled_by_hand_ends_the_refusal() {
    let run = settled();
    let renamed = STAFF.replace("d@x.example", "new@x.example");
    assert_eq!(listed(&run.run_whole(&renamed), OutstandingKind::Refused).len(), 1);
    edit(&run, "d@x.example", |account| account["userName"] = "New@x.example".into());
    let report = refreshed(&run, &renamed);
    assert_eq!((report.exit.code(), report.unchanged_count), (0, 4), "{report:?}");
    assert_eq!(listed(&run.run_whole(&renamed), OutstandingKind::Refused), Vec::<String>::new());
    let report = run.run_whole("a a@x.example Ann|b b@x.example Ben|c c@x.example Cem");
    assert_eq!((report.exit.code(), report.done.deleted_count), (0, 1), "and who leaves can be removed: {report:?}");
}

#[test]
fn an_update_that_another_account_answers_to_is_the_last_one() {
    let run = settled();
    edit(&run, "a@x.example", |account| account["userName"] = "somebody@x.example".into());
    let report = run.run_whole("a a@x.example Anna|b b@x.example Ben|c c@x.example Cem|d d@x.example Dan");
    assert_eq!((report.done.updated_count, listed(&report, OutstandingKind::Drift).len()), (1, 1), "{report:?}");
    let before = sent(&run);
    run.run_whole("a a@x.example Anja|b b@x.example Ben|c c@x.example Cem|d d@x.example Dan");
    assert_eq!(sent(&run), before);
}

#[test]
fn drift_of_others_is_listed_once_however_often_some_are_looked_at() {
    let mut run = settled();
    run.settings.policy.on_drift = OnDrift::Report;
    edit(&run, "a@x.example", |account| account["name"] = json!({"givenName": "Hand"}));
    refreshed(&run, STAFF);
    for _ in 0..3 {
        run.only.replace(vec!["b".to_owned()]);
        run.run_whole(STAFF);
    }
    run.only.replace(Vec::new());
    assert_eq!(listed(&run.run_whole(STAFF), OutstandingKind::Drift).len(), 1);
}

#[test]
fn a_kill_at_any_step_of_a_refresh_loses_nothing() {
    for step in 1.. {
        let run = settled();
        edit(&run, "a@x.example", |account| account["name"] = json!({"givenName": "Hand"}));
        remove(&run, "b@x.example");
        let steps = Steps::new(step, Fate::Die);
        run.refresh.set(true);
        run.run(STAFF, &steps);
        let report = run.run_whole(STAFF);
        assert_eq!(report.exit.code(), 0, "step {step}: {report:?}");
        run.refresh.set(false);
        run.judge(STAFF, &format!("step {step}"));
        if steps.passed.load(Ordering::SeqCst) < step {
            assert!(step > 20, "only {step} steps were walked");
            return;
        }
    }
}
