//! What an approval covers: exactly what was shown, by whom, for how long; and what the log says of it.

mod forged;
mod swapped;

use crate::support::in_process::{InProcess, approval};
use crate::support::real_binary::{RealBinary, person};
use rhombus_sync::model::{GuardKind, HoldId, Moment, OutstandingKind};
use rhombus_sync::plan::Limits;
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const STAFF: &str = "a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D";
const HOUR_MS: i64 = 3_600_000;

/// A run in which the guard holds every change of every kind.
fn held_back() -> InProcess {
    let mut run = InProcess::new();
    run.run_whole(STAFF);
    for kind in GuardKind::ALL {
        run.settings.limits.insert(kind, Limits { count_free: 0, percent_max: 0, count_max: 1 });
    }
    run
}

fn approve(run: &InProcess, report: &CycleReport) -> usize {
    let mut state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    let transaction = state.transaction().expect("a transaction");
    let hold = HoldId::new(report.hold.as_deref().expect("a hold"));
    let held = store::held_of(&transaction, &hold).expect("the state").expect("a known hold");
    let now = Moment(run.clock.load(Ordering::SeqCst));
    store::approve(&transaction, &held, &approval(&hold), "", now).expect("approved");
    transaction.commit().expect("a commit");
    held.len()
}

/// What was made, updated, linked and removed, and how many are held.
fn done(report: &CycleReport) -> (u64, u64, u64, u64, usize) {
    let done = &report.done;
    let removed = done.deleted_count + done.deactivated_count;
    (done.created_count, done.updated_count, done.linked_count, removed, report.count(OutstandingKind::Held))
}

#[test]
fn another_value_is_another_change_and_held_anew() {
    for (approved, sent_instead) in [
        // Somebody else's username, in other letter case, or of an account that nobody asked us to manage.
        ("e e@x.example E", "e mallory@x.example E"),
        ("e e@x.example E", "e E@x.example E"),
        ("e e@x.example E", "e stranger@x.example E"),
        // Another name, or none.
        ("e e@x.example E", "e e@x.example Mallory"),
        ("a a@x.example Right", "a a@x.example WRONG"),
    ] {
        let run = held_back();
        let with = |user: &str| {
            let id = user.split(' ').next().expect("an id");
            let others: Vec<_> = STAFF.split('|').filter(|one| !one.starts_with(&format!("{id} "))).collect();
            format!("{}|{user}", others.join("|"))
        };
        let held = run.run_whole(&with(approved));
        assert_eq!(done(&held), (0, 0, 0, 0, 1), "{approved}: {held:?}");
        assert_eq!(approve(&run, &held), 1);
        let before = run.accounts.borrow().log.len();
        let swapped = run.run_whole(&with(sent_instead));
        assert_eq!(done(&swapped), (0, 0, 0, 0, 1), "{sent_instead}: {swapped:?}");
        assert_ne!(swapped.hold, held.hold, "another hold");
        assert_eq!(run.accounts.borrow().log.len(), before, "nothing was sent");
        // The approval of what was shown lapsed, since it is not planned any more; what is held now can be approved.
        assert_eq!(done(&run.run_whole(&with(approved))), (0, 0, 0, 0, 1));
        let back = run.run_whole(&with(approved));
        assert_eq!(approve(&run, &back), 1);
        let sent = run.run_whole(&with(approved));
        assert_eq!(done(&sent).4, 0, "{sent:?}");
        assert_eq!(done(&sent).0 + done(&sent).1, 1, "{approved} is sent once: {sent:?}");
    }
}

#[test]
fn an_approval_ends_an_hour_from_now_whatever_the_clock_said() {
    for (given_ahead_ms, later_ms, is_sent) in [
        (0, 0, true),
        (0, HOUR_MS - 60_000, true),
        (0, HOUR_MS + 60_000, false),
        // Given under a clock that was thirty days ahead: it is not believed when the clock is right again.
        (30 * 24 * HOUR_MS, 0, false),
    ] {
        let run = held_back();
        let five = format!("{STAFF}|e e@x.example E");
        let held = run.run_whole(&five);
        run.clock.fetch_add(given_ahead_ms, Ordering::SeqCst);
        approve(&run, &held);
        run.clock.fetch_add(later_ms - given_ahead_ms, Ordering::SeqCst);
        let report = run.run_whole(&five);
        assert_eq!(report.done.created_count, u64::from(is_sent), "{given_ahead_ms}, {later_ms}: {report:?}");
    }
}

#[test]
fn an_account_that_is_found_and_linked_uses_its_approval_up() {
    let run = held_back();
    let with_stranger = format!("{STAFF}|e stranger@x.example E");
    let held = run.run_whole(&with_stranger);
    approve(&run, &held);
    let report = run.run_whole(&with_stranger);
    assert_eq!((report.done.created_count, report.done.linked_count), (0, 1), "{report:?}");
    let state = store::open(&run.path("state.db"), Access::Read).expect("the state opens");
    let now = Moment(run.clock.load(Ordering::SeqCst));
    assert_eq!(store::approvals(&state, now).expect("approvals").len(), 0, "used up");
    let linked = run.events().into_iter().rev().find(|event| event["message_chain"]["message_details"] == "linked");
    let hold = held.hold.as_deref().expect("a hold");
    assert_eq!(linked.expect("an event")["approval"]["hold"], hold, "it was released by that hold");
}

/// A binary whose guard lets one removal through and no more.
fn strict() -> RealBinary {
    let run = RealBinary::open("");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let (text, _) = text.split_once("[guard.absent]").expect("the guard comes last");
    let kinds = ["absent", "suspended", "create", "update"];
    let guard = kinds.map(|kind| format!("[guard.{kind}]\ncount_free = 0\npercent_max = 0\ncount_max = 1\n"));
    std::fs::write(run.path("config.toml"), format!("{text}{}", guard.concat())).expect("written");
    run
}

fn approvals_of(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["event_type"] == "reconcile_approved").collect()
}

#[test]
fn the_log_says_who_released_what_and_each_change_says_it_too() {
    let run = strict();
    let staff: Vec<_> = (0..205).map(person).collect();
    run.export(&staff);
    run.activate();
    run.reconcile(0);
    let mut export: Vec<Value> = staff[205 - 2..].to_vec();
    export[0]["lastname"] = json!("Other");
    run.export(&export);
    let hold = run.reconcile(4)["hold"].as_str().expect("a hold").to_owned();
    let shown = String::from_utf8_lossy(&run.run(&["approve"]).stdout).into_owned();
    assert!(shown.contains("~ update      p203@x.example  family name Doe203 -> Other\n"), "{shown}");
    let words = ["approve", &hold[..8], "--reason", "they left\u{1b}[31m"];
    let output = run.command(&words).env("SUDO_USER", "carol").output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("- delete      p7@x.example\n"), "{text}");
    assert_eq!(run.reconcile(0)["deleted"], 203);
    let events = run.events();
    let approvals = approvals_of(&events);
    let by = &approvals[0]["initiated_by"];
    assert_eq!((&by["type"], &by["source"]), (&json!("admin"), &json!("approve")));
    // As root without a login the name is only what the environment says; the kernel's login id goes before it.
    let person = by["username"].as_str().expect("a person");
    assert_eq!(by["claimed"] == true, person == "carol" && by["id"] == "root", "{by}");
    let counts: Vec<_> = approvals.iter().map(|event| event["targets"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(counts, [100, 100, 4], "the first 100 users, and more in further parts");
    let named: Vec<_> = approvals.iter().flat_map(|event| event["targets"].as_array().expect("targets")).collect();
    assert!(named.iter().any(|target| target["username"] == "p202@x.example" && target["action"] == "delete"));
    let update = named.iter().find(|target| target["action"] == "update").expect("the update");
    assert_eq!(update["changes"], json!([{"field": "name.familyName", "from": "Doe203", "to": "Other"}]));
    let released: Vec<_> = events.iter().filter(|event| event["approval"]["hold"] == hold.as_str()).collect();
    assert_eq!(released.len(), 204 + 3, "each change that it released, and its own three parts");
    for event in released {
        assert_eq!(event["approval"]["by"], person, "{event}");
        assert_eq!(event["approval"]["reason"], "they left [31m", "{event}");
    }
    let history = run.run(&["history", "p7@x.example"]);
    let history = String::from_utf8_lossy(&history.stdout).into_owned();
    let account = by["id"].as_str().expect("an account");
    let claimed = if by["claimed"] == true { ", by sudo's word" } else { "" };
    let who = if person == account { account.to_owned() } else { format!("{person} ({account}{claimed})") };
    let expected =
        format!("  deleted; approved by {who}, hold {} (they left [31m) [user_delete_provision]\n", &hold[..8]);
    assert!(history.contains(&expected), "{history}");
}

#[test]
fn each_command_says_its_own_name() {
    let run = RealBinary::open("");
    run.export(&[person(1), person(2)]);
    run.activate();
    run.reconcile(0);
    for words in [&["forget", "p1@x.example"][..], &["deactivate"]] {
        assert!(run.run(words).status.success());
    }
    let sources: Vec<_> =
        run.events().iter().filter(|event| event["initiated_by"]["type"] == "admin").cloned().collect();
    let sources: Vec<_> = sources.iter().map(|event| event["initiated_by"]["source"].clone()).collect();
    assert_eq!(sources, ["activate", "forget", "deactivate"]);
}
