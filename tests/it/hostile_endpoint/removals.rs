//! Leavers whose removal the endpoint does not take, or only says that it took.

use super::*;
use rhombus_sync::model::UpdateMethod;
use std::sync::atomic::Ordering;

const TWO: &str = "a a@x.example Ann|b b@x.example Ben";
const LEAVER: &str = "c@x.example";

/// Three users of whom one leaves: what a cycle does with her while `decide` answers for the endpoint.
fn leaves(
    method: UpdateMethod,
    decide: impl Fn(&Request, &str) -> Option<Answer> + 'static,
) -> (InProcess, CycleReport) {
    let run = InProcess::new();
    run.accounts.borrow_mut().keeps_inactive = true;
    run.update_method.set(method);
    run.run_whole(THREE);
    let path = format!("/Users/{}", run.id_of(LEAVER));
    run.refuse(move |request| decide(request, &path));
    let report = run.run_whole(TWO);
    run.obey();
    (run, report)
}

fn is_active(run: &InProcess) -> bool {
    run.accounts.borrow().by_id[&run.id_of(LEAVER)]["active"] != false
}

#[test]
fn a_deletion_that_is_not_taken_becomes_active_false_in_the_same_cycle() {
    for status in [400, 403, 404, 405, 409, 412, 501] {
        for method in [UpdateMethod::Patch, UpdateMethod::Put] {
            let (run, report) =
                leaves(method, move |request, _| (request.method == Method::Delete).then(|| answer(status, "")));
            let found = (report.exit.code(), report.done.deleted_count, report.done.deactivated_count);
            assert_eq!(found, (0, 0, 1), "{status}, {method:?}: {report:?}");
            // The fake takes an account away that is put inactive.
            assert!(method == UpdateMethod::Put || !is_active(&run), "{status}");
            let events = run.events();
            let of_leaver = |event: &&Value| event["success"] == true && event["event_type"] == "user_deprovision";
            assert_eq!(events.iter().filter(of_leaver).count(), 1, "{status}");
            assert!(!events.iter().any(|event| event["event_type"] == "user_delete_provision"), "{status}");
        }
    }
}

#[test]
fn a_deactivation_that_is_answered_404_is_sent_by_put() {
    let (run, report) = leaves(UpdateMethod::Patch, |request, _| {
        matches!(request.method, Method::Delete | Method::Patch).then(|| answer(404, ""))
    });
    assert_eq!((report.exit.code(), report.done.deactivated_count), (0, 1), "{report:?}");
    assert_eq!(run.asked(Method::Put), 1);
    run.judge(TWO, "by PUT");
}

#[test]
fn a_removal_that_is_answered_404_by_every_method_is_no_success() {
    let (run, report) = leaves(UpdateMethod::Patch, |request, _| {
        (request.method != Method::Get && request.method != Method::Post).then(|| answer(404, ""))
    });
    check(&report, 3, OutstandingKind::Failed, 1);
    assert_eq!(report.done.deleted_count + report.done.deactivated_count, 0);
    assert!(is_active(&run));
    assert!(!run.events().iter().any(|event| event["resource"]["username"] == LEAVER
        && event["success"] == true
        && event["event_type"] != "user_create_provision"));
    run.clock.fetch_add(6 * 60_000, Ordering::SeqCst);
    assert_eq!(run.run_whole(TWO).done.deleted_count, 1);
    run.judge(TWO, "removed once the endpoint does it");
}

#[test]
fn one_false_404_to_a_read_is_not_believed() {
    for which in [1, 2] {
        let reads = Cell::new(0);
        let (run, report) = leaves(UpdateMethod::Patch, move |request, path| {
            let is_hers = request.method == Method::Get && request.target == path;
            reads.set(reads.get() + usize::from(is_hers));
            let lie = is_hers && reads.get() == which;
            let nothing_done = request.method == Method::Delete && which == 2;
            (lie || nothing_done).then(|| answer(if lie { 404 } else { 204 }, ""))
        });
        if which == 1 {
            assert_eq!((report.exit.code(), report.done.deleted_count), (0, 1), "{report:?}");
            run.judge(TWO, "read again, and removed");
        } else {
            check(&report, 3, OutstandingKind::Failed, 1);
            assert!(is_active(&run));
        }
    }
}

#[test]
fn an_accepted_removal_is_told_once_another_account_can_be_read() {
    // From the DELETE on, another endpoint answers.
    let is_elsewhere = std::cell::Cell::new(false);
    let (run, report) = leaves(UpdateMethod::Patch, move |request, _| {
        let answered = is_elsewhere.get().then(|| answer(404, ""));
        is_elsewhere.set(is_elsewhere.get() || request.method == Method::Delete);
        answered
    });
    assert_eq!((report.exit.code(), report.done.deleted_count), (1, 0), "{report:?}");
    let told = |run: &InProcess| {
        let is_told = |event: &&Value| event["event_type"] == "user_delete_provision" && event["success"] == true;
        run.events().iter().filter(is_told).count()
    };
    assert_eq!(told(&run), 0);
    let report = run.run_whole(TWO);
    assert_eq!((report.exit.code(), told(&run)), (0, 1), "{report:?}");
}

#[test]
fn one_account_that_cannot_be_read_keeps_nobody_in() {
    // The one that is asked first, whoever leaves.
    let (run, report) = leaves(UpdateMethod::Patch, |request, path| {
        let others = request.method == Method::Get && request.target.starts_with("/Users/") && request.target != path;
        others.then(|| answer(500, ""))
    });
    assert_eq!((report.exit.code(), report.done.deleted_count), (0, 1), "{report:?}");
    assert_eq!(run.run_whole(TWO).exit.code(), 0);
}

#[test]
fn a_rejected_removal_is_tried_again_after_five_minutes_and_then_every_quarter_of_an_hour() {
    for (status, sent_per_try) in [(400, 2), (204, 1)] {
        let run = InProcess::new();
        run.run_whole(THREE);
        run.refuse(move |request| matches!(request.method, Method::Delete | Method::Patch).then(|| answer(status, "")));
        let sent = || run.asked(Method::Delete) + run.asked(Method::Patch);
        check(&run.run_whole(TWO), 3, OutstandingKind::Failed, 1);
        let mut tries = 1;
        for minutes in [5, 15, 15, 15, 15, 15] {
            run.clock.fetch_add((minutes - 1) * 60_000, Ordering::SeqCst);
            check(&run.run_whole(TWO), 3, OutstandingKind::Failed, 1);
            assert_eq!(sent(), tries * sent_per_try, "{status}: before {minutes} min");
            run.clock.fetch_add(70_000, Ordering::SeqCst);
            check(&run.run_whole(TWO), 3, OutstandingKind::Failed, 1);
            tries += 1;
            assert_eq!(sent(), tries * sent_per_try, "{status}: after {minutes} min");
        }
    }
}

#[test]
fn a_removal_without_an_answer_is_wanted_again_soon() {
    let (run, report) =
        leaves(UpdateMethod::Patch, |request, _| (request.method == Method::Delete).then(|| answer(503, "")));
    check(&report, 3, OutstandingKind::Failed, 1);
    assert_eq!(report.resume, rhombus_sync::report::Resume::AfterPause);
    assert_eq!(run.run_whole(TWO).done.deleted_count, 1);
}
