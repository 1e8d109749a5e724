//! The real binary over real HTTP against the sandbox server: a run's days, kills at random, exit codes, secrets.

mod kills;
mod tail;

use crate::support::real_binary::{RealBinary, people, person};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

fn three_days(rhombus_keys: &str) {
    let run = RealBinary::open(rhombus_keys);
    let mut users = people(0..60);
    users[1]["groups"] = json!(["Other"]);
    run.export(&users);
    run.activate();
    let report = run.reconcile(0);
    assert_eq!((report["created"].as_u64(), report["export"]["users"].as_u64()), (Some(59), Some(60)));
    assert_eq!(run.reconcile(0)["unchanged"], 59);

    for user in &mut users[10..14] {
        user["lastname"] = "Moved".into();
    }
    users[20]["state"] = "SUSPENDED".into();
    users[21]["username"] = "renamed@x.example".into();
    users[22]["lastname"] = Value::Null;
    users.drain(30..33);
    users.extend(people(100..105));
    run.export(&users);
    let plan: Value = serde_json::from_slice(&run.run(&["plan", "--json"]).stdout).expect("one JSON document");
    assert_eq!(plan["changes"].as_array().map(Vec::len), Some(4 + 1 + 1 + 3 + 5));
    let report = run.reconcile(0);
    assert_eq!(report["plan"], plan["plan"], "a cycle does what the plan said");
    let counts = ["created", "updated", "deactivated", "deleted", "linked"].map(|key| report[key].as_u64());
    assert_eq!(counts, [Some(5), Some(5), Some(1), Some(3), Some(0)]);
    assert_eq!(report["refused"][0]["id"], "id-00021");

    users[20]["state"] = "ACTIVATED".into();
    users[21]["username"] = "p21@x.example".into();
    users[10]["firstname"] = "Quinn".into();
    let heir = json!({"_id": "id-90000", "username": users[40]["username"], "firstname": "Heir", "state": "ACTIVATED",
        "groups": ["R"]});
    users.remove(40);
    users.push(heir);
    run.export(&users);
    let report = run.reconcile(0);
    let counts = ["created", "updated", "deleted"].map(|key| report[key].as_u64());
    assert_eq!((counts, report["refused"].as_array().map(Vec::len)), ([Some(2), Some(1), Some(1)], Some(0)));
    let accounts = run.accounts();
    assert_eq!(accounts.len(), 61);
    assert_eq!(accounts["p43@x.example"]["externalId"], "id-90000");
    assert_eq!(accounts["p10@x.example"]["name"], json!({"givenName": "Quinn", "familyName": "Moved"}));
    assert!(accounts["p22@x.example"]["name"]["familyName"].as_str().unwrap_or_default().is_empty());
    let status: Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("one JSON document");
    assert_eq!((status["active"].as_bool(), status["provisioned"].as_u64()), (Some(true), Some(61)));
    assert_eq!(
        status["sinks"][0]["delivered"].as_i64(),
        run.events().last().and_then(|event| event["sequence"].as_i64())
    );
}

#[test]
fn three_days_of_joiners_movers_and_leavers_by_patch() {
    three_days("");
}

#[test]
fn three_days_of_joiners_movers_and_leavers_by_put() {
    three_days("update_method = \"put\"");
}

#[test]
fn every_way_to_end_has_its_exit_code_and_a_hint() {
    let run = RealBinary::open("");
    run.export(&people(0..5));
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let check = |arguments: &[&str], exit: i32, words: &str| {
        let output = run.run(arguments);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    };
    check(&["--reconcile"], 1, " activate`");
    check(&["plan"], 1, "hint:");
    check(&["--reconcile", "plan"], 2, "--reconcile cannot be combined with a command");
    check(&["check"], 0, "");
    check(&["activate"], 0, "");
    check(&["plan", "--expect-no-changes"], 7, "");
    check(&["--reconcile"], 0, "");
    check(&["plan", "--expect-no-changes"], 0, "");
    check(&["deactivate"], 0, "");
    check(&["--reconcile"], 6, "activate");
    check(&["activate"], 0, "");
    let lock = rhombus_sync::store::Lock::acquire(&run.path("state.db")).expect("the lock is free");
    check(&["--reconcile"], 5, "another rhombus-sync is already running (pid ");
    drop(lock);
    std::fs::write(run.path("directory.json"), "[").expect("a torn export");
    check(&["--reconcile"], 1, "truncated");
    run.export(&people(0..5));
    std::fs::set_permissions(run.path("sandbox/token"), PermissionsExt::from_mode(0o644)).expect("exposed");
    check(&["--reconcile"], 78, "hint: chmod o-rwx");
    std::fs::set_permissions(run.path("sandbox/token"), PermissionsExt::from_mode(0o600)).expect("closed");
    std::fs::rename(run.path("state.db"), run.path("moved.db")).expect("moved");
    check(&["--reconcile"], 1, "there is no state");
    std::fs::write(run.path("state.db"), "").expect("emptied");
    check(&["--reconcile"], 1, "is empty");
    std::fs::rename(run.path("moved.db"), run.path("state.db")).expect("moved back");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), text.replace("/scim/v2", "/scim/v3")).expect("another endpoint");
    check(&["--reconcile"], 78, "the state belongs to");
    std::fs::write(run.path("config.toml"), text.replace("timeout", "x").replace("[state]", "[sate]"))
        .expect("a mistake");
    check(&["check"], 78, "did you mean `state`?");
}

#[test]
fn a_refused_token_ends_the_cycle_and_is_never_shown() {
    let run = RealBinary::open("");
    run.export(&people(0..5));
    run.activate();
    let token = std::fs::read_to_string(run.path("sandbox/token")).expect("a token").trim().to_owned();
    std::fs::write(run.path("wrong"), "CANARY-0123456789abcdef").expect("another token");
    std::fs::set_permissions(run.path("wrong"), PermissionsExt::from_mode(0o600)).expect("closed");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), text.replace("sandbox/token", "wrong")).expect("written");
    let output = run.command(&["--reconcile", "--json"]).env("RUST_LOG", "trace").output().expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!((report["exit"].as_u64(), report["failed"].as_array().map(Vec::len)), (Some(1), Some(0)));
    assert_eq!(report["waiting"].as_array().map(Vec::len), Some(5));
    std::fs::write(run.path("config.toml"), text).expect("written");
    run.reconcile(0);
    let mut seen = [output.stdout, output.stderr].concat();
    for file in ["state.db", "state.db-wal", "events.ndjson"] {
        seen.extend(std::fs::read(run.path(file)).unwrap_or_default());
    }
    for secret in [token.as_str(), "CANARY-0123456789abcdef"] {
        assert!(!seen.windows(secret.len()).any(|window| window == secret.as_bytes()), "a token was shown");
    }
}

#[test]
fn files_are_closed_and_a_rehearsal_touches_nothing_real() {
    let run = RealBinary::open("");
    run.export(&people(0..5));
    let before = std::fs::read_dir(run.folder.path()).expect("a folder").count();
    for created in [5, 0] {
        let output = run.run(&["--reconcile", "--sandbox", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        assert_eq!(report["created"], created, "a second sandbox run shows only what changed since");
    }
    assert_eq!(std::fs::read_dir(run.folder.path()).expect("a folder").count(), before);
    run.activate();
    run.reconcile(0);
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    for file in [
        "state.db",
        "state.db.lock",
        "events.ndjson",
        "sandbox/rhombus-sync.db",
        "sandbox/events.ndjson",
        "sandbox/accounts.db",
    ] {
        assert_eq!(mode(&run.path(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&run.path("sandbox")), 0o700);
}

#[test]
fn only_some_users_and_only_the_expected_plan() {
    let run = RealBinary::open("");
    let mut users = people(0..20);
    run.export(&users);
    run.activate();
    run.reconcile(0);
    for user in &mut users[3..6] {
        user["lastname"] = "Moved".into();
    }
    users[7]["username"] = "renamed@x.example".into();
    run.export(&users);
    let json = |arguments: &[&str], exit: i32| -> Value {
        let output = run.run(arguments);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one JSON document")
    };
    let plan = json(&["plan", "--json", "--only", "id-00003", "--only", "P4@X.example"], 0);
    assert_eq!(plan["changes"].as_array().map(Vec::len), Some(2));
    assert_eq!(json(&["--reconcile", "--json", "--only", "renamed@x.example"], 0)["refused"][0]["id"], "id-00007");
    assert_eq!(json(&["--reconcile", "--json", "--only", "p3@x.example"], 0)["updated"], 1);
    let status = json(&["status", "--json"], 0);
    assert_eq!(status["refused"].as_array().map(Vec::len), Some(1), "what stands of others still stands");
    json(&["--reconcile", "--json", "--only", "nobody@x.example"], 1);
    let failed = json(&["--reconcile", "--json", "--expect", "0"], 7);
    assert_eq!((failed["result"].as_str(), failed["exit"].as_u64()), (Some("failed"), Some(7)));
    let digest = json(&["plan", "--json"], 0)["plan"].as_str().expect("a digest").to_owned();
    assert_eq!(json(&["--reconcile", "--json", "--expect", &digest], 0)["updated"], 2);
    assert_eq!(run.run(&["status", "--only", "x"]).status.code(), Some(2));
}

#[test]
fn a_log_that_was_changed_cut_or_written_anew_does_not_verify() {
    let run = RealBinary::open("");
    run.export(&people(0..10));
    run.activate();
    run.reconcile(0);
    let path = run.path("events.ndjson");
    let whole = std::fs::read_to_string(&path).expect("a log");
    let lines: Vec<_> = whole.lines().collect();
    let verify = |text: &str, words: &str| {
        std::fs::write(&path, text).expect("written");
        for arguments in [&["events", "verify"][..], &["events", "verify", path.to_str().expect("UTF-8")]] {
            let output = run.run(arguments);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert_eq!(output.status.code(), Some(if words.is_empty() { 0 } else { 1 }), "{said}");
            assert!(said.contains(words), "{said}");
        }
    };
    let of = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    verify(&whole, "");
    verify(&of(&[&lines[..4], &lines[2..]].concat()), "");
    verify(&of(&lines[5..]), "");
    verify(&whole.replacen("p3@x.example", "p4@x.example", 1), "does not verify: event ");
    verify(&of(&[&lines[..4], &lines[5..]].concat()), "event 5: events are missing");
    verify(&of(&lines[..9]), "event 10: its end is cut off");
    std::fs::write(&path, &whole).expect("written");
    let tail = run.run(&["events", "tail", "-n", "3"]);
    assert_eq!(String::from_utf8_lossy(&tail.stdout), of(&lines[lines.len() - 3..]));
}

#[test]
fn check_online_proves_endpoint_token_and_export() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    let output = run.run(&["check", "--online", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(
        (output.status.code(), found["users"].as_u64(), found["accounts"].as_u64()),
        (Some(0), Some(3), Some(0))
    );
    std::fs::write(run.path("sandbox/token"), "another").expect("written");
    assert_eq!(run.run(&["check"]).status.code(), Some(0), "it reads no secret");
    let output = run.run(&["check", "--online"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Rhombus answered 401"));
}

#[test]
fn what_is_held_is_released_by_its_id_once_and_nothing_else() {
    let run = RealBinary::open("");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let wide = "[guard.absent]\ncount_free = 100000\npercent_max = 100\ncount_max = 100000\n";
    assert!(text.contains(wide));
    std::fs::write(run.path("config.toml"), text.replace(wide, "")).expect("the default limits");
    run.export(&people(0..20));
    run.activate();
    run.reconcile(0);
    run.export(&people(0..14));
    let report = run.reconcile(4);
    let hold = report["hold"].as_str().expect("a hold").to_owned();
    assert_eq!((report["held"].as_array().map(Vec::len), report["deleted"].as_u64()), (Some(6), Some(0)));
    assert!(
        report["held"][0]["reason"].as_str().is_some_and(|reason| reason.contains("6 removals wanted")),
        "{report}"
    );
    assert_eq!(run.run(&["approve", "0000"]).status.code(), Some(1), "a hold that no cycle stored");
    assert_eq!(run.run(&["approve", &hold, "--only", "p3@x.example"]).status.code(), Some(1), "not held");
    let shown = String::from_utf8_lossy(&run.run(&["approve"]).stdout).into_owned();
    assert!(shown.contains(&hold[..8]) && shown.contains("p19@x.example"), "{shown}");

    let only = run.run(&["--reconcile", "--only", "p16@x.example", "--json"]);
    let only: Value = serde_json::from_slice(&only.stdout).expect("one JSON document");
    assert_eq!(
        (only["exit"].as_u64(), only["deleted"].as_u64()),
        (Some(4), Some(0)),
        "--only is no way around: {only}"
    );
    assert_eq!(only["hold"].as_str(), Some(hold.as_str()), "what is held of others is held with it: {only}");

    assert!(run.run(&["approve", &hold, "--only", "p15@x.example"]).status.success());
    let report = run.reconcile(4);
    assert_eq!((report["deleted"].as_u64(), report["held"].as_array().map(Vec::len)), (Some(1), Some(5)));
    assert!(run.run(&["approve", &hold]).status.success(), "of an older hold what is still held");
    // Who is wanted again drops out, and who is held newly is not covered.
    let mut users = people(0..13);
    users.push(person(17));
    run.export(&users);
    let report = run.reconcile(0);
    assert_eq!(report["deleted"], 5, "four that were approved, and one that the window allows: {report}");
    let admin =
        run.events().into_iter().find(|event| event["event_type"] == "reconcile_approved").expect("it is logged");
    assert_eq!(
        (admin["initiated_by"]["type"].as_str(), admin["initiated_by"]["source"].as_str()),
        (Some("admin"), Some("approve"))
    );
    assert_eq!(run.accounts().len(), 14);
}

#[test]
fn a_backup_takes_the_place_of_a_lost_state_and_history_tells_of_one_user() {
    let run = RealBinary::open("");
    let mut users = people(0..5);
    run.export(&users);
    run.activate();
    run.reconcile(0);
    let backup = run.path("backup.db");
    let backup = backup.to_str().expect("UTF-8");
    assert!(run.run(&["backup", backup]).status.success());
    assert_eq!(run.run(&["backup", backup]).status.code(), Some(1), "never over another file");
    assert_eq!(std::fs::metadata(backup).expect("it is there").permissions().mode() & 0o777, 0o600);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(run.path(file));
    }
    std::fs::copy(backup, run.path("state.db")).expect("put back");
    assert_eq!(run.reconcile(0)["unchanged"], 5);
    users[2]["firstname"] = "Quinn".into();
    run.export(&users);
    run.reconcile(0);
    for user in ["id-00002", "P2@x.example"] {
        let output = run.run(&["history", user, "--json"]);
        let events: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        let types: Vec<_> =
            events.as_array().expect("a list").iter().map(|event| event["event_type"].as_str()).collect();
        assert_eq!(types, [Some("user_create_provision"), Some("user_update_provision")]);
    }
    let said = String::from_utf8_lossy(&run.run(&["history", "id-00002"]).stdout).into_owned();
    assert!(said.contains("updated: given name Pat -> Quinn"), "{said}");
    assert_eq!(run.run(&["history", "nobody"]).status.code(), Some(1));
}

#[test]
fn a_plan_for_some_knows_who_must_wait_and_shows_an_id_as_it_is() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    let mut heir = person(1);
    heir["_id"] = "a\u{7f}b".into();
    heir["lastname"] = "Heir".into();
    run.export(&[person(0), person(2), heir]);
    let output = run.run(&["plan", "--only", "a\u{7f}b", "--json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(
        (plan["changes"].as_array().map(Vec::len), &plan["waiting"][0]["id"]),
        (Some(0), &"a\u{7f}b".into()),
        "{plan}"
    );
    let plan: Value = serde_json::from_slice(&run.run(&["plan", "--json"]).stdout).expect("one JSON document");
    assert_eq!(plan["changes"][1]["id"], "a\u{7f}b", "{plan}");
}
