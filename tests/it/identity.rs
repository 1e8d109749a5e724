//! A user whose id the directory changed is no leaver and no newcomer: held, and moved or told apart by a person.

use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{InProcess, Steps, approval};
use crate::support::ndjson;
use crate::support::real_binary::{RealBinary, person};
use rhombus_sync::config::SourceConfig;
use rhombus_sync::http::Method;
use rhombus_sync::model::{DirectoryId, HoldId, Moment, OutstandingKind, ScimId};
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access, Relink};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

const BEFORE: &str = "007 a@x.example Ann Lee|b b@x.example Ben Ng|c c@x.example Cem Oz";
/// The same three, with an id that a spreadsheet wrote.
const AFTER: &str = "7 a@x.example Ann Lee|b b@x.example Ben Ng|c c@x.example Cem Oz";

fn held(report: &CycleReport) -> Vec<String> {
    let text = |id: &Option<DirectoryId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
    let of_kind = report.outstanding.iter().filter(|entry| entry.kind == OutstandingKind::Held);
    of_kind
        .map(|one| {
            let action = one.action.map_or("", rhombus_sync::model::Action::as_str);
            format!("{}->{} {action} {}", text(&one.former_id), text(&one.directory_id), one.reason.code())
        })
        .collect()
}

/// What `approve` does with the identities of a hold, in one transaction that is committed or not.
fn decide(run: &InProcess, report: &CycleReport, as_new: bool, commit: bool) -> Vec<Relink> {
    let mut state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    let transaction = state.transaction().expect("a transaction");
    let hold = HoldId::new(report.hold.as_deref().expect("a hold"));
    let changes = store::held_of(&transaction, &hold).expect("the state").expect("a known hold");
    let now = Moment(run.clock.load(Ordering::SeqCst));
    let approval = approval(&hold);
    let outcomes = changes.iter().map(|held| {
        let key = &held.exact.key;
        let scim_id = key.scim_id.as_ref().expect("an account");
        match as_new {
            true if store::tell_apart(&transaction, &key.directory_id, scim_id).expect("told") => Relink::Moved,
            true => Relink::NotHeld,
            false => store::relink(&transaction, &key.directory_id, scim_id, &approval, now).expect("moved"),
        }
    });
    let outcomes = outcomes.collect();
    if commit {
        transaction.commit().expect("a commit");
    }
    outcomes
}

fn sent(run: &InProcess) -> Vec<(String, String)> {
    run.accounts.borrow().log.clone()
}

#[test]
fn a_changed_id_is_held_and_approve_moves_the_link() {
    let run = InProcess::new();
    run.run_whole(BEFORE);
    let log = sent(&run);
    let mut report = run.run_whole(AFTER);
    for _ in 0..2 {
        assert_eq!((report.exit.code(), held(&report)), (4, vec!["007->7 relink identity".to_owned()]), "{report:?}");
        report = run.run_whole(AFTER);
    }
    assert_eq!(sent(&run), log, "nothing changes for the user");
    assert_eq!(decide(&run, &report, false, true), [Relink::Moved]);
    let after = run.run_whole(AFTER);
    assert_eq!((after.exit.code(), after.unchanged_count), (0, 3), "{after:?}");
    assert_eq!(sent(&run), log, "nothing is sent");
    let events = run.events();
    let moved: Vec<_> = events.iter().filter(|event| event["message_chain"]["message_details"] == "relinked").collect();
    let [event] = moved[..] else { panic!("one event: {moved:?}") };
    assert_eq!(
        (&event["event_type"], &event["success"], &event["initiated_by"]["source"], &event["changes"]),
        (
            &json!("user_update_provision"),
            &json!(true),
            &json!("approve"),
            &json!([{"field": "directory_id", "from": "007", "to": "7"}])
        )
    );
    // Whose account shows the former id is removed all the same.
    let left = run.run_whole("b b@x.example Ben Ng|c c@x.example Cem Oz");
    assert_eq!((left.exit.code(), left.done.deleted_count), (0, 1), "{left:?}");
    run.judge("b b@x.example Ben|c c@x.example Cem", "after the moved user has left");
}

#[test]
fn two_users_are_removed_and_made_in_that_order() {
    let run = InProcess::new();
    run.run_whole(BEFORE);
    let report = run.run_whole(AFTER);
    assert_eq!(decide(&run, &report, true, true), [Relink::Moved]);
    run.accounts.borrow_mut().log.clear();
    let report = run.run_whole(AFTER);
    assert_eq!((report.exit.code(), report.done.deleted_count, report.done.created_count), (0, 1, 1), "{report:?}");
    let types: Vec<_> = sent(&run).into_iter().map(|(event_type, _)| event_type).collect();
    assert_eq!(types, ["user_delete_provision", "user_create_provision"]);
    // It was said of that account; the next time it is asked again.
    let again = run.run_whole(&AFTER.replace('7', "07"));
    assert_eq!(held(&again), ["7->07 relink identity"], "{again:?}");
}

#[test]
fn the_first_sighting_is_enough_to_hold() {
    let mut run = InProcess::new();
    run.settings.source = SourceConfig::File { path: run.path("directory.ndjson"), members_path: None };
    let log = |run: &InProcess, export: &str, minute: u64| {
        let path = run.path("directory.ndjson");
        std::fs::write(&path, ndjson(export)).expect("an export");
        let file = std::fs::File::options().write(true).open(&path).expect("opens");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(2_099_000_000 + 60 * minute)).expect("a time");
        let report = run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends");
        (report.exit.code(), held(&report), report.done.deleted_count)
    };
    assert_eq!(log(&run, BEFORE, 0), (0, vec![], 0));
    for minute in 1..4 {
        assert_eq!(log(&run, AFTER, minute), (4, vec!["007->7 relink identity".to_owned()], 0));
    }
    // The export is mended: the hold ends by itself.
    assert_eq!(log(&run, BEFORE, 4), (0, vec![], 0));
}

#[test]
fn an_unwanted_newcomer_speaks_for_the_link() {
    for (flag, deactivated, deleted) in [("+suspended", 1, 0), ("+staged", 1, 0), ("+out", 0, 1)] {
        let run = InProcess::new();
        run.run_whole(BEFORE);
        let report = run.run_whole(&AFTER.replace("Lee", &format!("Lee {flag}")));
        let done = (report.exit.code(), report.done.deactivated_count, report.done.deleted_count);
        assert_eq!(done, (0, deactivated, deleted), "{flag}: {report:?}");
    }
}

#[test]
fn what_is_remembered_of_a_link_moves_with_it() {
    let run = InProcess::new();
    run.run_whole(BEFORE);
    // Rhombus rejects the new name of the user.
    run.accounts.borrow_mut().refuse = Some(std::rc::Rc::new(|request| {
        let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).into_owned();
        let rejected = request.method == Method::Patch && body.contains("Anna");
        rejected.then(|| crate::support::fake_rhombus::answer(400, r#"{"detail": "no"}"#))
    }));
    run.run_whole(&BEFORE.replace("Ann", "Anna"));
    run.run_whole(&BEFORE.replace("Ann", "Anna"));
    let report = run.run_whole(&AFTER.replace("007", "7"));
    decide(&run, &report, false, true);
    let state = store::open(&run.path("state.db"), Access::Read).expect("the state opens");
    let link = store::link_by_id(&state, &DirectoryId::new("7")).expect("the state").expect("a link");
    assert_eq!(store::link_by_id(&state, &DirectoryId::new("007")).expect("the state"), None);
    assert_eq!(store::formerly(&state, &DirectoryId::new("007")).expect("the state"), Some(DirectoryId::new("7")));
    assert_eq!(link.user_name.as_str(), "a@x.example");
    assert!(!store::history(&state, &DirectoryId::new("7")).expect("the log").is_empty());
}

#[test]
fn a_link_does_not_move_under_a_request() {
    let run = InProcess::new();
    run.run_whole(BEFORE);
    let report = run.run_whole(AFTER);
    let state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    state
        .execute(
            "INSERT INTO intents (action, kind, directory_id, scim_id, user_name, approved, stored_at)
             SELECT 'update', '', directory_id, scim_id, user_name, 0, linked_at FROM links WHERE directory_id = '007'",
            [],
        )
        .expect("as if its answer had been lost");
    assert_eq!(decide(&run, &report, false, true), [Relink::UnderWay]);
    state.execute("UPDATE intents SET ended_at = stored_at", []).expect("it was answered");
    assert_eq!(decide(&run, &report, false, true), [Relink::Moved]);
    assert_eq!(decide(&run, &report, false, true), [], "it is held no more");
}

#[test]
fn a_kill_around_a_move_at_any_step_loses_nothing() {
    let tomorrow = "7 a@x.example Anna Lee|b b@x.example Ben Ng|d d@x.example Dan Ek";
    for commit in [false, true] {
        for step in 1.. {
            let run = InProcess::new();
            run.run_whole(BEFORE);
            let report = run.run_whole(AFTER);
            assert_eq!(decide(&run, &report, false, commit), [Relink::Moved]);
            let steps = Steps::new(step, Fate::Die);
            run.run(tomorrow, &steps);
            let report = run.run_whole(tomorrow);
            if !commit {
                assert_eq!(held(&report), ["007->7 relink identity"], "step {step}: {report:?}");
                assert_eq!(decide(&run, &report, false, true), [Relink::Moved], "step {step}");
            }
            run.run_whole(tomorrow);
            let last = run.run_whole(tomorrow);
            assert_eq!((last.exit.code(), last.unchanged_count), (0, 3), "step {step}: {last:?}");
            run.judge("7 a@x.example Anna|b b@x.example Ben|d d@x.example Dan", &format!("step {step}"));
            if steps.passed.load(Ordering::SeqCst) < step {
                assert!(step > 15, "only {step} steps were walked");
                break;
            }
        }
    }
}

#[test]
fn an_account_that_is_not_linked_so_any_more_does_not_move() {
    let run = InProcess::new();
    run.run_whole(BEFORE);
    let mut state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    let transaction = state.transaction().expect("a transaction");
    let (approval, now) = (approval(&HoldId::new("h")), Moment(1));
    let relink = |id: &str, scim_id: &str| {
        store::relink(&transaction, &DirectoryId::new(id), &ScimId::new(scim_id), &approval, now).expect("the state")
    };
    assert_eq!(relink("7", "unknown"), Relink::NotHeld);
    let link = store::link_by_id(&transaction, &DirectoryId::new("007")).expect("the state").expect("a link");
    assert_eq!(relink("b", link.scim_id.as_str()), Relink::NotHeld, "somebody else has an account under that id");
    assert_eq!(relink("007", link.scim_id.as_str()), Relink::NotHeld);
}

#[test]
fn the_commands_tell_it_and_take_either_id() {
    let run = RealBinary::open("");
    let mut staff = vec![person(1), person(2), person(3)];
    run.export(&staff);
    run.activate();
    run.reconcile(0);
    staff[0]["_id"] = "ID-00001".into();
    run.export(&staff);
    let report = run.reconcile(4);
    let held = &report["held"][0];
    let entry = |key: &str| held[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(report["held"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(
        [entry("id"), entry("former_id"), entry("code"), entry("action")],
        ["ID-00001", "id-00001", "identity", "relink"]
    );
    let hold = report["hold"].as_str().expect("a hold").to_owned();
    let said = |arguments: &[&str]| {
        let output = run.run(arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for id in ["id-00001", "ID-00001", "p1@x.example"] {
        let (exit, text) = said(&["explain", id]);
        assert!(exit == Some(0) && text.contains("--as-new") && text.contains("approve"), "{id}: {text}");
        assert!(text.contains("should be in Rhombus, and is, by our records"), "{id}: {text}");
    }
    assert!(said(&["plan"]).1.contains("id-00001 → ID-00001"));
    assert!(said(&["status"]).1.contains("id-00001 → ID-00001"));
    for id in ["id-00001", "ID-00001"] {
        let only = run.command(&["--reconcile", "--json", "--only", id]).output().expect("it runs");
        assert_eq!(only.status.code(), Some(4), "{}", String::from_utf8_lossy(&only.stderr));
    }
    assert_eq!(said(&["approve", &hold, "--only", "id-00002"]).0, Some(1));
    let (exit, text) = said(&["approve", &hold, "--only", "id-00001"]);
    assert_eq!((exit, text.contains("moved")), (Some(0), true), "{text}");
    assert_eq!(run.reconcile(0)["unchanged"], 3);
    for id in ["id-00001", "ID-00001"] {
        let (_, text) = said(&["history", id]);
        assert!(
            text.contains("user_create_provision")
                && text.contains("moved to another directory id: directory id id-00001 -> ID-00001"),
            "{id}: {text}"
        );
    }
    staff[0]["_id"] = "id-00001".into();
    run.export(&staff);
    let hold = run.reconcile(4)["hold"].as_str().expect("a hold").to_owned();
    let (exit, text) = said(&["approve", &hold, "--as-new"]);
    assert_eq!((exit, text.contains("another user")), (Some(0), true), "{text}");
    let report = run.reconcile(0);
    assert_eq!((&report["created"], &report["deleted"]), (&json!(1), &json!(1)), "{report}");
}

#[test]
fn a_doubled_username_is_told_with_the_id_that_has_it_too() {
    let run = RealBinary::open("");
    let mut staff = vec![person(1), person(2), person(3)];
    run.export(&staff);
    run.activate();
    run.reconcile(0);
    staff[2]["username"] = staff[1]["username"].as_str().expect("a username").to_uppercase().into();
    run.export(&staff);
    for (id, other) in [("id-00002", "id-00003"), ("id-00003", "id-00002")] {
        let output = run.run(&["explain", id]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = text.lines().find(|line| line.trim_start().starts_with("the other"));
        assert!(said.is_some_and(|line| line.contains(other)), "{id}: {text}");
    }
}
