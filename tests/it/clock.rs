//! Clocks that are wrong, jump, or were wrong once. Rhombus's `Date` decides, and without one a person does.

use crate::support::fake_rhombus::answer;
use crate::support::in_process::{InProcess, approval};
use crate::support::real_binary::{RealBinary, people};
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::{GuardKind, HoldId, Moment, OutstandingKind};
use rhombus_sync::outcome::RetryAfter;
use rhombus_sync::plan::Limits;
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use std::rc::Rc;
use std::sync::atomic::Ordering;

const STAFF: &str = "a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D|e e@x.example E|f f@x.example F";
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Rhombus shows the time, and it stays what it is now, whatever our clock does.
fn show_time(run: &InProcess) -> i64 {
    let date = run.clock.load(Ordering::SeqCst);
    *run.mangle.borrow_mut() = Rc::new(move |_, answer| {
        answer.map(|mut answer| {
            answer.date = Some(Moment(date));
            answer
        })
    });
    date
}

/// One cycle under a clock that is so far off.
fn under(run: &InProcess, off_ms: i64, export: &str) -> CycleReport {
    run.clock.fetch_add(off_ms, Ordering::SeqCst);
    let report = run.run_whole(export);
    run.clock.fetch_sub(off_ms, Ordering::SeqCst);
    report
}

fn held(report: &CycleReport) -> Vec<&str> {
    let held = report.outstanding.iter().filter(|entry| entry.kind == OutstandingKind::Held);
    held.map(|entry| entry.reason.code()).collect()
}

fn corrections(run: &InProcess) -> usize {
    run.events().iter().filter(|event| event["event_type"] == "clock_corrected").count()
}

fn calls(run: &InProcess) -> Vec<String> {
    run.accounts.borrow().seen.iter().map(|(method, target, _)| format!("{method:?} {target}")).collect()
}

#[test]
fn one_cycle_under_a_clock_that_was_ahead_keeps_no_leaver_in() {
    for off in [2 * 60_000, HOUR / 2, 2 * HOUR, 26 * HOUR, 30 * DAY, 3_650 * DAY] {
        let run = InProcess::new();
        let date = show_time(&run);
        run.run_whole("a a@x.example A|b b@x.example B");
        assert_eq!(under(&run, off, "a a@x.example A|b b@x.example B|c c@x.example C").done.created_count, 1);
        let report = run.run_whole("a a@x.example A|c c@x.example C");
        assert_eq!((report.exit.code(), report.done.deleted_count), (0, 1), "{off}: {report:?}");
        assert_eq!(corrections(&run), 1, "{off}");
        run.run_whole("a a@x.example A|c c@x.example C");
        let events = run.events();
        let at = events.iter().position(|event| event["event_type"] == "clock_corrected").expect("it is said");
        let latest = Moment(date + 60_000).to_string();
        let ahead = events[at..].iter().filter(|event| event["timestamp"].as_str() > Some(latest.as_str())).count();
        assert_eq!((corrections(&run), ahead), (1, 0), "{off}: said once, and the time is the present one again");
        run.judge("a a@x.example A|c c@x.example C", "the clock was ahead");
    }
}

#[test]
fn while_the_clocks_disagree_or_rhombus_shows_none_removals_wait_and_nothing_is_corrected() {
    // It shows no time; it is where the state is; it is far behind us.
    for date in [None, Some(30 * DAY), Some(-30 * DAY)] {
        let run = InProcess::new();
        let now = run.clock.load(Ordering::SeqCst);
        run.run_whole("a a@x.example A|b b@x.example B");
        under(&run, 30 * DAY, "a a@x.example A|b b@x.example B|c c@x.example C");
        let shown = date.map(|off| Moment(now + off));
        *run.mangle.borrow_mut() = Rc::new(move |_, answer| {
            answer.map(|mut answer| {
                answer.date = shown;
                answer
            })
        });
        let before = calls(&run).len();
        let report = run.run_whole("a a@x.example A|c c@x.example C");
        assert_eq!((report.exit.code(), report.done.deleted_count), (4, 0), "{date:?}: {report:?}");
        assert_eq!((held(&report), &report.hold), (vec!["clock"], &None), "{date:?}: nothing is offered");
        assert_eq!(
            (corrections(&run), calls(&run).len() - before),
            (0, 1),
            "{date:?}: one list call asks for the time"
        );
        assert!(report.hint.is_some_and(|hint| hint.contains("activate")), "{date:?}");
        assert_eq!(run.run_whole("a a@x.example A|c c@x.example C|d d@x.example D").done.created_count, 1, "{date:?}");
    }
}

#[test]
fn a_clock_that_is_off_now_holds_removals_and_throws_nothing_away() {
    for off in [30 * DAY, 2 * HOUR, -2 * HOUR, -30 * DAY, -2_000_000_000_000, 80 * 365 * DAY] {
        let mut run = InProcess::new();
        let limits = Limits { count_free: 3, percent_max: 10, count_max: 50 };
        run.settings.limits.insert(GuardKind::Absent, limits);
        show_time(&run);
        run.run_whole(STAFF);
        assert_eq!(run.run_whole("a a@x.example A|b b@x.example B|c c@x.example C").done.deleted_count, 3);
        let kept = stored_events(&run);
        for _ in 0..2 {
            let report = under(&run, off, "a a@x.example A|b b@x.example B");
            // Two hours ahead the window holds it before Rhombus is asked.
            let code = if off == 2 * HOUR { "guard" } else { "clock" };
            // In 1973 the export itself is from the future.
            let codes = if off == -2_000_000_000_000 { Vec::new() } else { vec![code] };
            assert_eq!((report.done.deleted_count, held(&report)), (0, codes), "{off}: {report:?}");
            assert_eq!(report.hold.is_none(), code == "clock", "{off}");
        }
        assert!(stored_events(&run) > kept, "{off}: the history is not pruned by a clock that is wrong");
        let report = run.run_whole("a a@x.example A|b b@x.example B");
        assert_eq!((report.done.deleted_count, held(&report)), (0, vec!["guard"]), "{off}: nor is the window refilled");
    }
}

fn stored_events(run: &InProcess) -> i64 {
    let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
    state.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).expect("a number")
}

#[test]
fn a_retry_after_from_a_clock_that_was_ahead_is_not_waited_for() {
    for (off, shows_time) in [(2 * HOUR, true), (3_650 * DAY, true), (3_650 * DAY, false)] {
        let run = InProcess::new();
        run.run_whole("a a@x.example A");
        run.accounts.borrow_mut().refuse = Some(Rc::new(|_: &Request| {
            Some(rhombus_sync::outcome::Answer { retry_after: Some(RetryAfter::Seconds(60)), ..answer(429, "") })
        }));
        if shows_time {
            show_time(&run);
        }
        assert_eq!(under(&run, off, "a a@x.example A|b b@x.example B").exit.code(), 3);
        run.accounts.borrow_mut().refuse = None;
        let report = run.run_whole("a a@x.example A|b b@x.example B");
        assert_eq!((report.exit.code(), report.done.created_count), (0, 1), "{off}: {report:?}");
    }
}

#[test]
fn no_retry_after_is_longer_than_a_day_and_a_right_one_is_kept() {
    let run = InProcess::new();
    run.run_whole("a a@x.example A");
    run.accounts.borrow_mut().refuse = Some(Rc::new(|_: &Request| {
        Some(rhombus_sync::outcome::Answer { retry_after: Some(RetryAfter::Seconds(u32::MAX)), ..answer(429, "") })
    }));
    let two = "a a@x.example A|b b@x.example B";
    assert_eq!(run.run_whole(two).exit.code(), 3);
    run.accounts.borrow_mut().refuse = None;
    run.clock.fetch_add(23 * HOUR, Ordering::SeqCst);
    let before = calls(&run).len();
    assert_eq!((run.run_whole(two).exit.code(), calls(&run).len()), (3, before), "not one call before its time");
    run.clock.fetch_add(HOUR + 1_000, Ordering::SeqCst);
    assert_eq!(run.run_whole(two).done.created_count, 1);
}

#[test]
fn next_tries_and_open_intents_of_a_wrong_clock_go_on_at_once() {
    let mut run = InProcess::new();
    run.settings.settle_time = rhombus_sync::model::Duration::from_seconds(60);
    show_time(&run);
    run.run_whole("a a@x.example A");
    let refuse = |status: u16| -> crate::support::fake_rhombus::Refuse {
        Rc::new(move |request| (request.method == Method::Post).then(|| answer(status, "{}")))
    };
    run.accounts.borrow_mut().refuse = Some(refuse(400));
    let two = "a a@x.example A|b b@x.example B";
    assert_eq!(under(&run, 30 * DAY, two).count(OutstandingKind::Failed), 1);
    run.accounts.borrow_mut().refuse = None;
    assert_eq!(run.run_whole(two).done.created_count, 1, "the next try is not thirty days away");
    let three = "a a@x.example A|b b@x.example B|c c@x.example C";
    run.accounts.borrow_mut().refuse = Some(refuse(503));
    under(&run, 30 * DAY, three);
    run.accounts.borrow_mut().refuse = None;
    assert_eq!(run.run_whole(three).done.created_count, 0, "its answer was lost: it may still show up");
    run.clock.fetch_add(61_000, Ordering::SeqCst);
    assert_eq!(run.run_whole(three).done.created_count, 1, "a minute later, not thirty days");
}

#[test]
fn an_approval_of_a_clock_that_was_ahead_releases_nothing() {
    for shows_time in [true, false] {
        let mut run = InProcess::new();
        run.settings.limits.insert(GuardKind::Create, Limits { count_free: 0, percent_max: 0, count_max: 0 });
        if shows_time {
            show_time(&run);
        }
        run.run_whole("a a@x.example A");
        let two = "a a@x.example A|b b@x.example B";
        let hold = run.run_whole(two).hold.expect("a hold");
        run.clock.fetch_add(30 * DAY, Ordering::SeqCst);
        approve(&run, &hold);
        run.clock.fetch_sub(30 * DAY, Ordering::SeqCst);
        for _ in 0..2 {
            let report = run.run_whole(two);
            assert_eq!((report.exit.code(), report.done.created_count), (4, 0), "{shows_time}: {report:?}");
        }
        run.clock.fetch_add(30 * DAY, Ordering::SeqCst);
        assert_eq!(run.run_whole(two).done.created_count, 0, "{shows_time}: nor once its hour has come");
        run.clock.fetch_sub(30 * DAY, Ordering::SeqCst);
        approve(&run, &hold);
        assert_eq!(run.run_whole(two).done.created_count, 1, "{shows_time}: one that is given now does");
    }
}

fn approve(run: &InProcess, hold: &str) {
    let mut state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    let transaction = state.transaction().expect("a transaction");
    let hold = HoldId::new(hold);
    let held = store::held_of(&transaction, &hold).expect("the state").expect("a known hold");
    let now = Moment(run.clock.load(Ordering::SeqCst));
    store::approve(&transaction, &held, &approval(&hold), "", now).expect("approved");
    transaction.commit().expect("a commit");
}

#[test]
fn the_time_of_an_export_that_was_read_under_a_wrong_clock_is_forgotten() {
    let run = InProcess::new();
    show_time(&run);
    let written = |off_ms: i64, export: &str| {
        std::fs::write(run.path("directory.json"), crate::support::array(export)).expect("an export");
        let file = std::fs::File::options().write(true).open(run.path("directory.json")).expect("it is there");
        let at = run.clock.load(Ordering::SeqCst) + off_ms;
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_millis(at.unsigned_abs())).expect("a time");
        use crate::support::{fake_rhombus::Fate, in_process::Steps};
        run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("an undisturbed run ends")
    };
    written(0, "a a@x.example A");
    run.clock.fetch_add(DAY, Ordering::SeqCst);
    written(0, "a a@x.example A|b b@x.example B");
    run.clock.fetch_sub(DAY, Ordering::SeqCst);
    let report = written(1_000, "a a@x.example A|b b@x.example B|c c@x.example C");
    assert_eq!((report.exit.code(), report.done.created_count), (0, 1), "{report:?}");
}

#[test]
fn what_waits_for_the_clock_is_offered_nowhere_and_a_person_may_end_it() {
    let elsewhere = crate::daemon::Elsewhere::open();
    let run = &elsewhere.run;
    run.export(&people(0..6));
    run.activate();
    run.reconcile(0);
    let config = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let absent = "[guard.absent]\ncount_free = ";
    std::fs::write(
        run.path("config.toml"),
        config.replace(&format!("{absent}100000\npercent_max = 100"), &format!("{absent}1\npercent_max = 1")),
    )
    .expect("written");
    run.export(&people(0..4));
    let hold = run.reconcile(4)["hold"].as_str().expect("a hold")[..8].to_owned();
    let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
    state.execute("UPDATE head SET timestamp = timestamp + 315360000000", []).expect("ahead");
    drop(state);
    let report = run.reconcile(4);
    assert_eq!((report["hold"].clone(), report["held"][0]["code"].clone()), (serde_json::Value::Null, "clock".into()));
    let text = |arguments: &[&str]| {
        let output = run.run(arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said)
    };
    for arguments in [&["status"][..], &["explain", "id-00005"], &["approve"], &["approve", &hold]] {
        let (code, said) = text(arguments);
        assert_eq!(code, Some(i32::from(arguments.len() == 2 && arguments[0] == "approve")), "{arguments:?}: {said}");
        assert!(said.contains("activate") && !said.contains(&format!("approve {hold}")), "{arguments:?}: {said}");
    }
    let (code, said) = text(&["activate"]);
    assert!(code == Some(0) && said.contains("Rhombus shows no time") && said.contains("corrected"), "{said}");
    let hold = run.reconcile(4)["hold"].as_str().expect("a hold again")[..8].to_owned();
    assert_eq!(text(&["approve", &hold]).0, Some(0));
    assert_eq!(run.reconcile(0)["deleted"], 2);
}

#[test]
fn activate_tells_both_times_and_status_and_approve_offer_nothing() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    // The state as a cycle under a clock far ahead leaves it, and an endpoint that shows no time.
    let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
    state.execute("UPDATE head SET timestamp = timestamp + 315360000000", []).expect("ahead");
    drop(state);
    let text = |arguments: &[&str]| {
        let output = run.run(arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said)
    };
    run.export(&people(0..2));
    let (code, plan) = text(&["plan"]);
    assert!(code == Some(0) && plan.contains("behind the last event") && plan.contains("activate"), "{plan}");
    let (code, said) = text(&["activate"]);
    assert!(code == Some(0) && said.contains("the state has times up to 20") && said.contains("corrected"), "{said}");
    assert_eq!(run.reconcile(0)["deleted"], 1);
    assert_eq!(run.events().iter().filter(|event| event["event_type"] == "clock_corrected").count(), 1);
    assert_eq!(text(&["events", "verify"]).0, Some(0));
}
