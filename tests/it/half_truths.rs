//! An endpoint that shows a part of what it holds, somebody else's accounts, or what it did too late.

use crate::support::fake_rhombus::answer;
use crate::support::in_process::InProcess;
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::{Duration, Moment, OutstandingKind, UpdateMethod};
use rhombus_sync::outcome::{Answer, RetryAfter};
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use serde_json::{Value, json};
use std::cell::Cell;

const TWO: &str = "a a@x.example Ann|b b@x.example Ben";
const THREE: &str = "a a@x.example Ann|b b@x.example Ben|c c@x.example Cem";

fn staff(count: usize) -> String {
    (0..count).map(|n| format!("u{n:03} u{n:03}@x.example Pat")).collect::<Vec<_>>().join("|")
}

/// The username that a filter asks for, as it was written.
fn filtered(request: &Request) -> Option<String> {
    let filter = percent_encoding::percent_decode_str(&request.target).decode_utf8_lossy().into_owned();
    filter.contains("filter=").then(|| filter.split('"').nth(1).map(str::to_owned))?
}

fn page(accounts: &[&Value], total: usize) -> Answer {
    answer(200, &json!({"totalResults": total, "Resources": accounts}).to_string())
}

#[track_caller]
fn check(report: &CycleReport, exit: u8, kind: OutstandingKind, count: usize) {
    assert_eq!((report.exit.code(), report.count(kind)), (exit, count), "{report:?}");
}

#[test]
fn a_strangers_account_under_the_id_of_ours_bears_no_witness() {
    let run = InProcess::new();
    run.run_whole(THREE);
    let gone = run.id_of("c@x.example");
    run.refuse(move |request| {
        let Some(id) = request.target.strip_prefix("/Users/") else {
            let stranger = json!({"id": "account-2", "userName": "account-2@other.example"});
            return Some(page(&[&stranger], 1));
        };
        let stranger = json!({"id": id, "userName": format!("{id}@other.example"), "externalId": "somebody"});
        Some(if id == gone { answer(404, "") } else { answer(200, &stranger.to_string()) })
    });
    let report = run.run_whole(TWO);
    assert_eq!((report.exit.code(), report.done.deleted_count), (1, 0), "{report:?}");
    run.obey();
    run.run_whole(TWO);
    run.judge(TWO, "the leaver goes at the right endpoint");
}

#[test]
fn nothing_is_sent_to_an_account_that_was_just_seen_with_another_username() {
    for method in [UpdateMethod::Put, UpdateMethod::Patch] {
        let run = InProcess::new();
        run.update_method.set(method);
        run.run_whole(THREE);
        let id = run.id_of("a@x.example");
        run.accounts.borrow_mut().by_id.get_mut(&id).expect("an account")["userName"] = "boss@x.example".into();
        let before = run.accounts.borrow().by_id[&id].clone();
        // By PATCH nothing is read before; the first answer is lost.
        run.refuse(|request| (request.method == Method::Patch).then(|| answer(503, "")));
        let report = run.run_whole("a a@x.example Anna|b b@x.example Ben|c c@x.example Cem");
        assert_eq!((report.done.updated_count, report.count(OutstandingKind::Drift)), (0, 1), "{method:?}: {report:?}");
        assert!(run.asked(Method::Patch) <= 1 && run.asked(Method::Put) == 0, "{method:?}");
        assert_eq!(run.accounts.borrow().by_id[&id], before);
    }
}

#[test]
fn a_filter_that_shows_a_part_is_not_obeyed() {
    let run = InProcess::new();
    for _ in 0..2 {
        run.accounts.borrow_mut().add(json!({"userName": "a@x.example"}));
    }
    let first = run.accounts.borrow().by_id[&run.id_of("a@x.example")].clone();
    run.refuse(move |request| filtered(request).map(|_| page(&[&first], 2)));
    check(&run.run_whole("a a@x.example Ann"), 0, OutstandingKind::Refused, 1);
    let run = InProcess::new();
    run.accounts.borrow_mut().add(json!({"userName": "a@x.example", "name": {"givenName": "Ann"}}));
    run.refuse(|request| filtered(request).map(|_| page(&[], 1)));
    let report = run.run_whole("a a@x.example Ann");
    assert_eq!((report.done.linked_count, report.done.created_count), (1, 0), "{report:?}");
}

#[test]
fn a_filter_that_is_answered_with_500_is_followed_by_the_list() {
    let run = InProcess::new();
    run.refuse(|request| filtered(request).map(|_| answer(500, "")));
    let report = run.run_whole("a a@x.example Ann");
    assert_eq!((report.exit.code(), report.done.created_count), (0, 1), "{report:?}");
    run.judge("a a@x.example Ann", "by the list");
}

/// A filter that tells letters apart, and a list that shows its first twenty for ever.
fn shows_twenty(run: &InProcess, filter_works: bool) {
    let accounts = run.accounts.clone();
    run.refuse(move |request| {
        if request.method != Method::Get || !request.target.starts_with("/Users?") {
            return None;
        }
        let all: Vec<Value> = accounts.borrow().by_id.values().cloned().collect();
        let first: Vec<_> = all.iter().take(20).collect();
        let named = |name: &str| all.iter().filter(|account| account["userName"] == *name).collect::<Vec<_>>();
        Some(match filtered(request).filter(|_| filter_works) {
            Some(name) => page(&named(&name), named(&name).len()),
            None => page(&first, all.len()),
        })
    });
}

#[test]
fn newcomers_are_created_if_the_filter_is_case_sensitive() {
    let run = InProcess::new();
    run.run_whole(&staff(30));
    shows_twenty(&run, true);
    run.accounts.borrow_mut().add(json!({"userName": "u031@x.example", "name": {"givenName": "Pat"}}));
    let report = run.run_whole(&staff(45));
    assert_eq!((report.exit.code(), report.done.linked_count, report.done.created_count), (0, 1, 14), "{report:?}");
}

#[test]
fn look_ups_that_prove_nothing_are_no_silence() {
    let run = InProcess::new();
    run.run_whole(&staff(30));
    shows_twenty(&run, false);
    let report = run.run_whole(&staff(45));
    check(&report, 3, OutstandingKind::Failed, 15);
    assert!(report.error.is_empty(), "{:?}", report.error);
}

#[test]
fn thirty_lost_creates_end_the_cycle_and_each_is_in_the_log() {
    let mut run = InProcess::new();
    run.settings.settle_time = Duration::from_seconds(60);
    run.refuse(|request| (request.method == Method::Post).then(|| answer(503, "")));
    let report = run.run_whole(&staff(100));
    let posts = run.asked(Method::Post);
    assert!((30..=62).contains(&posts), "{posts} of 100 were sent");
    // The list was answered: they are put off, and nobody waits for them in the next cycle.
    assert_eq!((report.exit.code(), report.count(OutstandingKind::Failed)), (1, posts), "{report:?}");
    let logged = |success: bool| {
        let of = |event: &Value| event["event_type"] == "user_create_provision" && event["success"] == success;
        run.events().iter().filter(|event| of(event)).count()
    };
    assert_eq!((logged(false), logged(true)), (posts, 0));
    run.obey();
    run.later(301);
    let report = run.run_whole(&staff(100));
    assert_eq!((report.exit.code(), report.done.created_count), (0, 100), "{report:?}");
    run.judge(&staff(100), "after the silence");
}

#[test]
fn the_list_call_after_a_403_may_ask_to_wait() {
    let run = InProcess::new();
    run.run_whole(TWO);
    run.refuse(|request| {
        let wait = Answer { retry_after: Some(RetryAfter::Seconds(3600)), ..answer(429, "") };
        Some(if request.method == Method::Get { wait } else { answer(403, "") })
    });
    let report = run.run_whole("a a@x.example Anna|b b@x.example Ben");
    assert_eq!((report.exit.code(), report.count(OutstandingKind::Failed)), (3, 0), "{report:?}");
    let calls = run.accounts.borrow().seen.len();
    assert_eq!(run.run_whole("a a@x.example Anna|b b@x.example Ben").exit.code(), 3);
    assert_eq!(run.accounts.borrow().seen.len(), calls, "the next process keeps it");
}

#[test]
fn the_longest_of_two_waits_counts() {
    let run = InProcess::new();
    let mut state = store::open(&run.path("state.db"), Access::Write).expect("a state");
    let transaction = state.transaction().expect("a transaction");
    for at in [70, 90, 80] {
        store::set_not_before(&transaction, Moment(at)).expect("written");
    }
    assert_eq!(store::installation(&transaction).expect("a row").not_before, Moment(90));
}

#[test]
fn an_account_that_was_inactive_shows_nothing_of_a_lost_delete() {
    let run = InProcess::new();
    run.run_whole(THREE);
    let id = run.id_of("c@x.example");
    run.accounts.borrow_mut().by_id.get_mut(&id).expect("an account")["active"] = false.into();
    run.refuse(|request| (request.method == Method::Delete).then(|| answer(503, "")));
    let report = run.run_whole(TWO);
    assert_eq!((report.exit.code(), report.done.deleted_count), (3, 0), "{report:?}");
    run.obey();
    assert_eq!(run.run_whole(TWO).done.deleted_count, 1);
    run.judge(TWO, "deleted once it was");
}

#[test]
fn an_account_that_is_gone_after_its_update_is_made_again() {
    let run = InProcess::new();
    run.run_whole(THREE);
    let (id, accounts) = (run.id_of("a@x.example"), run.accounts.clone());
    run.refuse(move |request| {
        (request.method == Method::Patch).then(|| {
            accounts.borrow_mut().by_id.remove(&id);
            accounts.borrow_mut().log.push(("user_update_provision".to_owned(), id.clone()));
            answer(204, "")
        })
    });
    let moved = "a a@x.example Anna|b b@x.example Ben|c c@x.example Cem";
    check(&run.run_whole(moved), 3, OutstandingKind::Failed, 1);
    run.obey();
    assert_eq!(run.run_whole(moved).done.created_count, 1);
    run.judge(moved, "made again");
}

#[test]
fn a_401_marks_nobody_failed_whatever_came_before_it() {
    let run = InProcess::new();
    run.run_whole(TWO);
    let tries = Cell::new(0);
    run.refuse(move |request| {
        tries.set(tries.get() + usize::from(request.method == Method::Patch));
        let again = request.method == Method::Patch && tries.get() > 1;
        let first = request.method == Method::Patch;
        again.then(|| answer(401, "")).or_else(|| first.then(|| answer(503, "")))
    });
    let report = run.run_whole("a a@x.example Anna|b b@x.example Ben");
    assert_eq!((report.exit.code(), report.count(OutstandingKind::Failed)), (1, 0), "{report:?}");
}

/// A change that is obeyed after the process that sent it has gone, and after the export wants something else.
fn obeyed_late(export: &str, method: Method, event_type: &str, obeyed: impl Fn(&mut InProcess, &str)) -> InProcess {
    let mut run = InProcess::new();
    run.settings.settle_time = Duration::from_seconds(60);
    run.run_whole(THREE);
    run.refuse(move |request| (request.method == method).then(|| answer(504, "")));
    run.run_whole(export);
    run.obey();
    let before = run.accounts.borrow().seen.len();
    let report = run.run_whole(THREE);
    check(&report, 3, OutstandingKind::Waiting, 1);
    assert_eq!(run.accounts.borrow().seen.len(), before + 1, "it is looked up, and nothing is sent before it is known");
    let id = run.id_of("c@x.example");
    obeyed(&mut run, &id);
    run.accounts.borrow_mut().log.push((event_type.to_owned(), id));
    run.later(61);
    run
}

#[test]
fn a_delete_that_is_obeyed_late_is_in_the_log_and_the_user_comes_back() {
    let run = obeyed_late(TWO, Method::Delete, "user_delete_provision", |run, id| {
        run.accounts.borrow_mut().by_id.remove(id);
    });
    let report = run.run_whole(THREE);
    assert_eq!((report.exit.code(), report.done.deleted_count, report.done.created_count), (0, 1, 1), "{report:?}");
    run.judge(THREE, "deleted late");
}

#[test]
fn an_update_that_is_obeyed_late_is_in_the_log_and_set_right() {
    let moved = "a a@x.example Ann|b b@x.example Ben|c c@x.example Cemal";
    let run = obeyed_late(moved, Method::Patch, "user_update_provision", |run, id| {
        run.accounts.borrow_mut().by_id.get_mut(id).expect("an account")["name"]["givenName"] = "Cemal".into();
    });
    let report = run.run_whole(THREE);
    assert_eq!((report.exit.code(), report.done.updated_count), (0, 2), "{report:?}");
    run.judge(THREE, "updated late");
}

#[test]
fn what_is_still_wanted_is_sent_again_at_once() {
    let mut run = InProcess::new();
    run.settings.settle_time = Duration::from_seconds(60);
    run.run_whole(THREE);
    run.refuse(|request| (request.method == Method::Delete).then(|| answer(504, "")));
    run.run_whole(TWO);
    run.obey();
    assert_eq!(run.run_whole(TWO).done.deleted_count, 1, "a leaver keeps no key for a minute");
    run.judge(TWO, "sent again");
}

#[test]
fn each_request_of_a_put_keeps_the_pace() {
    let run = InProcess::new();
    run.run_whole(&staff(10));
    run.update_method.set(UpdateMethod::Put);
    run.requests_per_second_max.set(Some(5));
    let before = run.accounts.borrow().seen.len();
    let moved = staff(10).replace("Pat", "Kim");
    assert_eq!(run.run_whole(&moved).done.updated_count, 10);
    let times: Vec<_> = run.accounts.borrow().seen[before..].iter().map(|(.., at)| *at).collect();
    assert!(times.len() >= 20);
    let most = times
        .iter()
        .map(|from| {
            times.iter().filter(|at| (*from..*from + std::time::Duration::from_millis(990)).contains(at)).count()
        })
        .max();
    assert!(most <= Some(5), "{most:?} in a second");
}

/// From now on an account that is created is altered: as it is answered, or as it is kept too.
fn makes(run: &InProcess, kept: bool, alter: impl Fn(&mut Value) + 'static) {
    let accounts = run.accounts.clone();
    run.refuse(move |request| {
        (request.method == Method::Post).then(|| {
            let made = serde_json::from_slice(request.body.as_deref().expect("a body")).expect("JSON");
            let mut accounts = accounts.borrow_mut();
            let mut made = accounts.add(made);
            let id = made["id"].as_str().expect("an id").to_owned();
            alter(&mut made);
            if kept {
                accounts.by_id.insert(id.clone(), made.clone());
            }
            accounts.log.push(("user_create_provision".to_owned(), id));
            answer(201, &made.to_string())
        })
    });
}

#[test]
fn an_account_that_is_made_inactive_is_brought_back() {
    let run = InProcess::new();
    makes(&run, true, |made| made["active"] = false.into());
    check(&run.run_whole(TWO), 3, OutstandingKind::Failed, 2);
    run.obey();
    let report = run.run_whole(TWO);
    assert_eq!((report.exit.code(), report.done.updated_count), (0, 2), "{report:?}");
    run.judge(TWO, "brought back");
}

#[test]
fn methods_that_the_endpoint_does_not_know_are_remembered() {
    let run = InProcess::new();
    run.run_whole(THREE);
    run.refuse(|request| matches!(request.method, Method::Delete | Method::Patch).then(|| answer(405, "")));
    run.run_whole("a a@x.example Anna|b b@x.example Ben");
    let state = store::open(&run.path("state.db"), Access::Read).expect("a state");
    let known = store::installation(&state).expect("a row").not_supported;
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [Method::Delete, Method::Patch]);
}

#[test]
fn a_removal_that_is_obeyed_between_two_looks_is_in_the_log_once() {
    let mut run = InProcess::new();
    run.settings.settle_time = Duration::from_seconds(60);
    run.run_whole(THREE);
    run.refuse(|request| (request.method == Method::Delete).then(|| answer(504, "")));
    run.run_whole(TWO);
    let (id, accounts, reads) = (run.id_of("c@x.example"), run.accounts.clone(), Cell::new(0));
    run.refuse(move |request| {
        reads.set(reads.get() + usize::from(request.target == format!("/Users/{id}")));
        if reads.get() == 2 && accounts.borrow_mut().by_id.remove(&id).is_some() {
            accounts.borrow_mut().log.push(("user_delete_provision".to_owned(), id.clone()));
        }
        None
    });
    let report = run.run_whole(TWO);
    assert_eq!((report.exit.code(), report.done.deleted_count), (0, 1), "{report:?}");
    run.obey();
    run.later(61);
    run.run_whole(TWO);
    run.judge(TWO, "once");
}

#[test]
fn what_is_sent_again_in_vain_leaves_the_doubt() {
    let mut run = InProcess::new();
    run.settings.settle_time = Duration::from_seconds(60);
    run.run_whole(THREE);
    run.refuse(|request| (request.method == Method::Delete).then(|| answer(504, "")));
    run.run_whole(TWO);
    run.refuse(|request| matches!(request.method, Method::Delete | Method::Patch).then(|| answer(400, "")));
    check(&run.run_whole(TWO), 3, OutstandingKind::Failed, 1);
    let state = store::open(&run.path("state.db"), Access::Read).expect("a state");
    let removals = "SELECT count(*) FROM intents WHERE action = 'delete'";
    let count: i64 = state.query_row(removals, [], |row| row.get(0)).expect("a count");
    assert_eq!((count, store::open_intents(&state).expect("intents").len()), (1, 1), "sent twice, it is one change");
    // Wanted after all; and then the first request is obeyed.
    run.obey();
    check(&run.run_whole(THREE), 3, OutstandingKind::Waiting, 1);
    let id = run.id_of("c@x.example");
    run.accounts.borrow_mut().by_id.remove(&id);
    run.accounts.borrow_mut().log.push(("user_delete_provision".to_owned(), id));
    run.later(61);
    assert_eq!(run.run_whole(THREE).done.created_count, 1);
    run.judge(THREE, "deleted late, and made again");
}

#[test]
fn an_update_that_is_accepted_and_not_kept_is_no_success() {
    for body in ["", "{}", "<html>"] {
        let run = InProcess::new();
        run.run_whole(THREE);
        run.refuse(move |request| (request.method == Method::Patch).then(|| answer(200, body)));
        let moved = "a a@x.example Anna|b b@x.example Ben|c c@x.example Cem";
        let report = run.run_whole(moved);
        check(&report, 3, OutstandingKind::Failed, 1);
        assert_eq!(report.done.updated_count, 0);
        run.obey();
        assert_eq!(run.run_whole(moved).done.updated_count, 1);
        run.judge(moved, "one success event");
        let said = |event: &&Value| event["success"] == false && event["event_type"] == "user_update_provision";
        assert_eq!(run.events().iter().filter(said).count(), 1);
    }
}

#[test]
fn an_account_that_is_made_without_its_names_gets_them() {
    for shown in [true, false] {
        let run = InProcess::new();
        makes(&run, shown, |made| drop(made.as_object_mut().expect("an object").remove("name")));
        let report = run.run_whole(TWO);
        check(&report, if shown { 3 } else { 0 }, OutstandingKind::Failed, if shown { 2 } else { 0 });
        run.obey();
        assert_eq!(run.run_whole(TWO).done.updated_count, if shown { 2 } else { 0 });
        run.judge(TWO, "with names");
    }
}

#[test]
fn one_id_that_is_shown_twice_is_one_account() {
    let run = InProcess::new();
    run.accounts.borrow_mut().add(json!({"userName": "a@x.example", "name": {"givenName": "Ann"}}));
    let account = run.accounts.borrow().by_id[&run.id_of("a@x.example")].clone();
    run.refuse(move |request| filtered(request).map(|_| page(&[&account, &account], 2)));
    let report = run.run_whole("a a@x.example Ann");
    assert_eq!((report.exit.code(), report.done.linked_count), (0, 1), "{report:?}");
}

#[test]
fn a_returner_whose_inactive_account_is_hidden_is_found_by_its_id() {
    let mut run = InProcess::new();
    run.settings.policy.on_removed = rhombus_sync::model::Removals::Deactivate;
    run.accounts.borrow_mut().keeps_inactive = true;
    run.accounts.borrow_mut().unique = true;
    run.run_whole(THREE);
    assert_eq!(run.run_whole(TWO).done.deactivated_count, 1);
    let accounts = run.accounts.clone();
    run.refuse(move |request| {
        let shown: Vec<Value> =
            accounts.borrow().by_id.values().filter(|account| account["active"] != false).cloned().collect();
        let name = filtered(request);
        let asked = |account: &&Value| {
            name.as_ref()
                .is_none_or(|name| account["userName"].as_str().is_some_and(|is| is.eq_ignore_ascii_case(name)))
        };
        let shown: Vec<_> = shown.iter().filter(asked).collect();
        request.target.starts_with("/Users?").then(|| page(&shown, shown.len()))
    });
    let report = run.run_whole(THREE);
    assert_eq!((report.exit.code(), report.done.linked_count, report.done.updated_count), (0, 1, 1), "{report:?}");
    assert_eq!(run.accounts.borrow().by_id[&run.id_of("c@x.example")]["active"], true);
}

#[test]
fn one_user_costs_twelve_calls_at_most_however_the_look_ups_fail() {
    let run = InProcess::new();
    run.run_whole(TWO);
    run.refuse(|request| {
        let of_newcomer = filtered(request).is_some_and(|name| name.eq_ignore_ascii_case("c@x.example"));
        (of_newcomer || request.method == Method::Post).then(|| answer(if of_newcomer { 500 } else { 429 }, ""))
    });
    let before = run.accounts.borrow().seen.len();
    let report = run.run_whole(THREE);
    check(&report, 3, OutstandingKind::Failed, 1);
    // A listing counts as one, whatever its pages; and one call shows that the filter can be trusted.
    let next_page =
        |target: &str| target.starts_with("/Users?startIndex=") && !target.starts_with("/Users?startIndex=1&");
    let seen = run.accounts.borrow().seen[before..].to_vec();
    let calls = seen.iter().filter(|(_, target, _)| !next_page(target)).count() - 1;
    assert!(calls <= 12, "{calls} calls");
}
