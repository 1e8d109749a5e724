//! A group of `[scope]` that no record names any more says nothing of who was in it; and names that lost their letters.

use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{InProcess, Steps, approval};
use crate::support::real_binary::{RealBinary, person};
use rhombus_sync::model::{HoldId, Moment, OutstandingKind};
use rhombus_sync::plan::{Scope, ScopeVersion};
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use serde_json::json;
use std::sync::atomic::Ordering;

/// A run whose scope is these groups.
fn scoped(run: &mut InProcess, groups: &[&str]) {
    let names: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
    run.settings.scope = Scope::new(&names, &[]);
    let json = json!({"directory": {"path": "directory.json"}, "scope": {"groups": groups}}).to_string();
    run.settings.wanted_under = ScopeVersion::from_json(&json).expect("settings");
}

/// One cycle over users and their groups: `a:Doors+Cameras b:Doors`.
fn cycle(run: &InProcess, users: &str) -> CycleReport {
    let user = |user: &str| {
        let (id, groups) = user.split_once(':').expect("groups");
        let groups: Vec<_> = groups.split('+').filter(|group| !group.is_empty()).collect();
        json!({"_id": id, "username": format!("{id}@x.example"), "state": "ACTIVATED", "groups": groups})
    };
    let users: Vec<_> = users.split(' ').map(user).collect();
    std::fs::write(run.path("directory.json"), json!(users).to_string()).expect("an export");
    run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends")
}

fn held(report: &CycleReport) -> String {
    let of_kind = report.outstanding.iter().filter(|entry| entry.kind == OutstandingKind::Held);
    let text = |one: &rhombus_sync::model::OutstandingUser| {
        format!("{} {}", one.directory_id.as_ref().expect("an id"), one.reason.code())
    };
    of_kind.map(text).collect::<Vec<_>>().join(", ")
}

fn unnamed(report: &CycleReport) -> Vec<(&str, bool)> {
    report.groups_unnamed.iter().map(|group| (group.name.as_str(), group.named_at.is_some())).collect()
}

fn said(report: &CycleReport) -> (u8, u64, String) {
    (report.exit.code(), report.done.deleted_count, held(report))
}

const BEFORE: &str = "a:Doors b:Doors+Cameras c:Cameras d:Cameras e:Doors";

#[test]
fn whoever_was_wanted_by_a_group_that_nobody_names_is_held() {
    let mut run = InProcess::new();
    scoped(&mut run, &["Doors", "Cameras"]);
    cycle(&run, BEFORE);
    let first = cycle(&run, BEFORE);
    assert_eq!((first.exit.code(), unnamed(&first)), (0, vec![]), "{first:?}");
    // `Cameras` is renamed; e leaves `Doors`, which others name.
    let renamed = "a:Doors b:Doors c:EU d:EU e:Everyone";
    for deleted_count in [1, 0, 0] {
        let report = cycle(&run, renamed);
        assert_eq!(said(&report), (4, deleted_count, "c scope, d scope".to_owned()), "{report:?}");
        assert_eq!(unnamed(&report), [("Cameras", true)]);
    }
    // b was in both, and by now is wanted by `Doors` alone.
    assert_eq!(said(&cycle(&run, "a:Doors b:Everyone c:EU d:EU")), (4, 1, "c scope, d scope".to_owned()));
    // Somebody names it again: who is not in it has left.
    let report = cycle(&run, "a:Doors c:Cameras d:EU");
    assert_eq!((said(&report), unnamed(&report)), ((0, 1, String::new()), vec![]));
}

#[test]
fn the_hold_ends_with_the_scope_or_with_an_approval() {
    for by_scope in [true, false] {
        let mut run = InProcess::new();
        scoped(&mut run, &["Doors", "Cameras"]);
        cycle(&run, BEFORE);
        cycle(&run, BEFORE);
        let renamed = "a:Doors b:Doors c:EU d:EU e:Doors";
        let report = cycle(&run, renamed);
        assert_eq!(said(&report), (4, 0, "c scope, d scope".to_owned()));
        if by_scope {
            scoped(&mut run, &["Doors", "EU"]);
            let report = cycle(&run, renamed);
            assert_eq!((said(&report), report.unchanged_count), ((0, 0, String::new()), 5), "{report:?}");
            continue;
        }
        let mut state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
        let transaction = state.transaction().expect("a transaction");
        let hold = HoldId::new(report.hold.as_deref().expect("a hold"));
        let changes = store::held_of(&transaction, &hold).expect("the state").expect("a known hold");
        let now = Moment(run.clock.load(Ordering::SeqCst));
        store::approve(&transaction, &changes, &approval(&hold), "", now).expect("approved");
        transaction.commit().expect("a commit");
        assert_eq!(said(&cycle(&run, renamed)), (0, 2, String::new()));
    }
}

#[test]
fn the_only_group_of_the_scope_takes_nobody_along() {
    let mut run = InProcess::new();
    scoped(&mut run, &["Rhombus"]);
    cycle(&run, "a:Rhombus b:Rhombus c:Rhombus+Staff");
    let report = cycle(&run, "a:Rhombus_EU b:Rhombus_EU c:Staff");
    assert_eq!(said(&report), (4, 0, "a scope, b scope, c scope".to_owned()), "{report:?}");
    // Who is suspended or gone is so by another word of the export.
    let report = cycle(&run, "a:Rhombus_EU b:Rhombus_EU");
    assert_eq!(said(&report), (4, 1, "a scope, b scope".to_owned()), "{report:?}");
}

#[test]
fn a_group_that_nobody_ever_named_is_said_and_holds_nobody() {
    let mut run = InProcess::new();
    scoped(&mut run, &["Doors", "Rhombsu"]);
    let report = cycle(&run, "a:Doors b:Doors c:Doors");
    assert_eq!((report.exit.code(), unnamed(&report)), (0, vec![("Rhombsu", false)]));
    let report = cycle(&run, "a:Doors b:Doors c:Everyone");
    assert_eq!(said(&report), (0, 1, String::new()), "{report:?}");
    // A cycle that reads nothing says it too.
    assert_eq!(unnamed(&cycle(&run, "a:Doors b:Doors c:Everyone")), [("Rhombsu", false)]);
}

#[test]
fn check_and_status_name_a_group_that_nobody_names() {
    let run = RealBinary::open("");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), text.replace("[\"R\"]", "[\"R\", \"Rhombsu\"]")).expect("written");
    run.export(&[person(1), person(2)]);
    run.activate();
    assert_eq!(run.reconcile(0)["groups_unnamed"], json!([{"group": "Rhombsu", "named_at": null}]));
    for command in [&["check"][..], &["check", "--online"], &["status"], &["--reconcile"]] {
        let output = run.run(command);
        assert!(String::from_utf8_lossy(&output.stdout).contains("Rhombsu"), "{command:?}: {output:?}");
    }
    let output = run.run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(status["groups_unnamed"], json!([{"group": "Rhombsu", "named_at": null}]));
}

#[test]
fn names_that_lost_their_letters_are_held_until_the_export_has_them_again() {
    let run = InProcess::new();
    let staff =
        |bela: &str, ann: &str| format!("a a@x.example {bela} Müller|b b@x.example {ann} Ng|c c@x.example Cem Oz");
    run.run_whole(&staff("Béla", "Ann"));
    run.accounts.borrow_mut().log.clear();
    for lost in ["B?la", "BÃ©la"] {
        let report = run.run_whole(&staff(lost, "Ann"));
        assert_eq!((report.exit.code(), held(&report)), (4, "a encoding".to_owned()), "{lost}: {report:?}");
    }
    assert_eq!(run.accounts.borrow().log, []);
    // Who was renamed is renamed all the same.
    let report = run.run_whole(&staff("B?la", "Anna"));
    assert_eq!((report.exit.code(), report.done.updated_count, held(&report)), (4, 1, "a encoding".to_owned()));
    let report = run.run_whole(&staff("Béla", "Anna"));
    assert_eq!((report.exit.code(), report.unchanged_count), (0, 3), "the hold ends by itself: {report:?}");
    let report = run.run_whole(&staff("Bela", "Anna"));
    assert_eq!((report.exit.code(), report.done.updated_count), (0, 1), "another name is a rename: {report:?}");
}
