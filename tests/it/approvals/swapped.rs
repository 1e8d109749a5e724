//! Whoever may write the export waits for an approval, and changes what it was given for: held, whatever the limit allows.

use super::{HOUR_MS, STAFF, approve, done};
use crate::support::in_process::InProcess;
use crate::support::real_binary::{RealBinary, person};
use rhombus_sync::model::{GuardKind, OutstandingKind};
use rhombus_sync::plan::Limits;
use rhombus_sync::report::CycleReport;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// A guard that lets one change of each kind through, so that one that was swapped is within its limit.
fn lets_one_through() -> InProcess {
    let mut run = InProcess::new();
    run.run_whole(STAFF);
    for kind in GuardKind::ALL {
        run.settings.limits.insert(kind, Limits { count_free: 1, percent_max: 0, count_max: 1 });
    }
    run
}

fn codes(report: &CycleReport) -> Vec<String> {
    let held = report.outstanding.iter().filter(|one| one.kind == OutstandingKind::Held);
    held.map(|one| one.reason.code().to_owned()).collect()
}

const THREE_NEW: &str = "e e@x.example E|f f@x.example F|g g@x.example G";
const TWO_NEW: &str = "e e@x.example E|f f@x.example F";
const THREE_NAMED: &str = "a a@x.example One|b b@x.example Two|c c@x.example Three|d d@x.example D";
const ONE_NAMED_OTHERWISE: &str = "a a@x.example One|b b@x.example Two|c c@x.example WRONG|d d@x.example D";

#[test]
fn what_is_swapped_under_an_approval_is_held_within_the_limit_too() {
    let stranger = format!("{STAFF}|{TWO_NEW}|g mallory@x.example G");
    for (shown, swapped) in [(format!("{STAFF}|{THREE_NEW}"), &*stranger), (THREE_NAMED.into(), ONE_NAMED_OTHERWISE)] {
        let run = lets_one_through();
        let held = run.run_whole(&shown);
        assert_eq!(done(&held), (0, 0, 0, 0, 3), "{held:?}");
        assert_eq!(approve(&run, &held), 3);
        let report = run.run_whole(swapped);
        let (created, updated, ..) = done(&report);
        assert_eq!((created + updated, codes(&report)), (2, vec!["approved_otherwise".into()]), "{report:?}");
        assert!(!run.accounts.borrow().log.iter().any(|line| format!("{line:?}").contains("mallory")));
        // Also when the approval has lapsed, and when what was shown comes back.
        run.clock.fetch_add(2 * HOUR_MS, Ordering::SeqCst);
        for export in [swapped, &shown] {
            let report = run.run_whole(export);
            assert_eq!(codes(&report), ["approved_otherwise"], "{report:?}");
        }
        let report = run.run_whole(swapped);
        assert_eq!(approve(&run, &report), 1);
        let report = run.run_whole(swapped);
        assert_eq!((done(&report).0 + done(&report).1, done(&report).4), (1, 0), "approved as it is now: {report:?}");
    }
}

#[test]
fn it_is_held_no_more_once_nobody_wants_it() {
    let run = lets_one_through();
    let held = run.run_whole(&format!("{STAFF}|{THREE_NEW}"));
    approve(&run, &held);
    let swapped = format!("{STAFF}|{TWO_NEW}|g mallory@x.example G");
    assert_eq!(codes(&run.run_whole(&swapped)), ["approved_otherwise"]);
    let without = run.run_whole(&format!("{STAFF}|{TWO_NEW}"));
    assert_eq!(done(&without), (0, 0, 0, 0, 0), "{without:?}");
}

#[test]
fn an_account_that_is_as_it_was_is_not_what_was_approved_for_removal() {
    let run = lets_one_through();
    let of = |id: &str| {
        let mut accounts = run.accounts.borrow_mut();
        let account = accounts.by_id.values_mut().find(|one| one["userName"] == "d@x.example").expect("an account");
        account["externalId"] = id.into();
    };
    let without = "a a@x.example A|b b@x.example B|c c@x.example C";
    of("theirs");
    let held = run.run_whole(without);
    assert_eq!(codes(&held), ["mismatch"]);
    assert_eq!(approve(&run, &held), 1);
    of("d");
    run.run_whole(without);
    let report = run.run_whole(without);
    assert_eq!((done(&report).3, codes(&report)), (0, vec!["approved_otherwise".into()]), "{report:?}");
    assert_eq!(approve(&run, &report), 1);
    assert_eq!(done(&run.run_whole(without)).3, 1);
}

#[test]
fn each_command_says_that_something_else_was_approved() {
    let run = RealBinary::open("");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let (text, _) = text.split_once("[guard.absent]").expect("the guard comes last");
    let kinds = ["absent", "suspended", "create", "update"];
    let guard = kinds.map(|kind| format!("[guard.{kind}]\ncount_free = 1\npercent_max = 0\ncount_max = 1\n"));
    std::fs::write(run.path("config.toml"), format!("{text}{}", guard.concat())).expect("written");
    run.export(&(0..5).map(person).collect::<Vec<_>>());
    run.activate();
    run.reconcile(0);
    let mut people: Vec<Value> = (0..8).map(person).collect();
    run.export(&people);
    let hold = run.reconcile(4)["hold"].as_str().expect("a hold").to_owned();
    assert!(run.run(&["approve", &hold[..8]]).status.success());
    people[6]["username"] = json!("mallory@evil.example");
    run.export(&people);
    let said = "omething else was approved for this user than what would be sent now";
    let text = |arguments: &[&str]| String::from_utf8_lossy(&run.run(arguments).stdout).into_owned();
    let plan = text(&["plan"]);
    assert!(plan.contains(said) && plan.contains("mallory@evil.example"), "{plan}");
    let report = run.reconcile(4);
    assert_eq!((&report["created"], &report["held"][0]["code"]), (&json!(2), &json!("approved_otherwise")));
    let approve = text(&["approve"]);
    assert!(approve.contains(said) && approve.contains("mallory@evil.example"), "{approve}");
    for words in [&["status"][..], &["explain", "mallory@evil.example"], &["plan"]] {
        let text = text(words);
        assert!(text.contains(said), "{words:?}: {text}");
    }
    assert!(!run.events().iter().any(|event| event["resource"]["username"] == "mallory@evil.example"));
}
