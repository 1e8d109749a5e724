//! `status`: what it says of how the sync is, to people, programs and monitors.

use crate::support::real_binary::{RealBinary, people};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn status(run: &RealBinary) -> Value {
    serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("one JSON document")
}

fn page(run: &RealBinary, arguments: &[&str]) -> String {
    String::from_utf8(run.run(&[&["status"], arguments].concat()).stdout).expect("text")
}

fn exit_code(run: &RealBinary) -> Option<i32> {
    run.run(&["status", "--exit-code"]).status.code()
}

/// Waits until there is an answer.
fn eventually<T>(mut answer: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Moves what the state remembers into the past.
fn long_ago(run: &RealBinary, columns: &str, hours: i64) {
    let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
    for column in columns.split(' ') {
        let table = if column == "last_good_cycle_at" { "installation" } else { "health" };
        state
            .execute(&format!("UPDATE {table} SET {column} = {column} - ?1"), [hours * 3_600_000])
            .expect("an hour earlier");
    }
}

#[test]
fn every_member_of_the_document_is_there_after_a_good_cycle() {
    let run = RealBinary::open("");
    let mut users = people(0..5);
    users[4]["groups"] = json!(["Other"]);
    run.export(&users);
    run.activate();
    run.reconcile(0);
    let said = status(&run);
    assert_eq!((&said["red"], &said["daemon"], &said["next_cycle"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!((said["export"]["users"].as_i64(), said["export"]["in_scope"].as_i64()), (Some(5), Some(4)));
    assert_eq!(said["export"]["path"].as_str(), run.path("directory.json").to_str());
    let events = run.events();
    let last = events.last().expect("an event");
    assert_eq!(said["head"], json!({"sequence": last["sequence"], "chain": last["chain"]}));
    for at in
        [&said["now"], &said["token"]["proven_at"], &said["token"]["first_proven_at"], &said["export"]["written_at"]]
    {
        assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{said}");
    }
    assert_eq!((said["unmanaged"].clone(), said["version"].as_str()), (json!([]), Some(env!("CARGO_PKG_VERSION"))));
    assert_eq!(exit_code(&run), Some(0));
    assert!(page(&run, &[]).starts_with("OK: 4 users provisioned\n"), "{}", page(&run, &[]));
}

#[test]
fn without_a_good_cycle_for_an_hour_it_is_red_and_says_since_when_and_why() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    std::fs::write(run.path("directory.json"), "[").expect("a torn export");
    let output = run.run(&["--reconcile"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((status(&run)["red"].clone(), exit_code(&run)), (Value::Null, Some(3)), "it may be better soon");
    long_ago(&run, "last_good_cycle_at managed_since failing_since", 2);
    let red = status(&run)["red"].clone();
    assert!(red["reason"].as_str().is_some_and(|why| why.contains("is rejected as a whole")), "{red}");
    assert_eq!(exit_code(&run), Some(1));
    let page = page(&run, &[]);
    assert!(page.starts_with("RED since ") && page.contains(" (2 h): "), "{page}");
    run.export(&people(0..3));
    run.reconcile(0);
    assert_eq!((status(&run)["red"].clone(), exit_code(&run)), (Value::Null, Some(0)));
    run.run(&["deactivate"]);
    assert_eq!(exit_code(&run), Some(6));
}

#[test]
fn a_cycle_that_leaves_a_removal_undone_is_no_good_one() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    let good = status(&run)["last_good_cycle"].clone();
    std::fs::write(run.path("directory.json"), "[").expect("a torn export");
    run.run(&["--reconcile"]);
    run.export(&people(0..3));
    run.run(&["--reconcile", "--only", "id-00001"]);
    assert_eq!(status(&run)["last_good_cycle"], good, "neither a failed cycle nor one for some users is good");
    run.reconcile(0);
    assert_ne!(status(&run)["last_good_cycle"], good);
}

#[test]
fn a_daemon_that_died_is_red_at_once_and_one_that_lives_is_named() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    let mut daemon = run.command(&[]).stderr(Stdio::null()).spawn().expect("the daemon");
    let living = eventually(|| {
        let said = status(&run);
        (said["daemon"]["pid"].as_u64() == Some(daemon.id().into()) && said["provisioned"] == 3).then_some(said)
    });
    assert!(living["daemon"]["next_cycle"].is_string() && living["red"].is_null(), "{living}");
    eventually(|| (!status(&run)["last_good_cycle"].is_null()).then_some(()));
    daemon.kill().expect("killed");
    daemon.wait().expect("its end");
    let said = status(&run);
    assert!(said["red"]["reason"].as_str().is_some_and(|why| why.contains("no daemon is running")), "{said}");
    assert_eq!((said["daemon"].clone(), exit_code(&run)), (Value::Null, Some(1)));
}

#[test]
fn ten_thousand_users_fit_on_a_page_and_all_of_them_are_told_if_asked() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
    for number in 0..10_000 {
        let said = json!({"said": format!("400 Bad Request: value {}", number % 2_500)}).to_string();
        state
            .execute(
                "INSERT INTO outstanding_users (kind, directory_id, username, code, detail, action, wanted, since, until)
                 VALUES ('failed', ?1, ?1, 'rejected', ?2, 'create', '', 0, 1)",
                (format!("many{number}@x.example"), said),
            )
            .expect("a row");
    }
    let page_text = page(&run, &[]);
    assert!(page_text.lines().count() <= 40, "{page_text}");
    assert!(page_text.contains("such groups: ") && page_text.contains("event "), "{page_text}");
    assert!(page(&run, &["--all"]).contains("many9999@x.example"));
}

#[test]
fn an_account_that_nobody_manages_is_named_until_it_is_linked() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    for file in ["state.db", "state.db-wal", "state.db-shm", "state.lock", "state.db.lock"] {
        let _ = std::fs::remove_file(run.path(file));
    }
    run.export(&people(1..3));
    let output = run.run(&["activate"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("p0@x.example (account "), "{said}");
    run.reconcile(0);
    let unmanaged = status(&run)["unmanaged"].clone();
    assert_eq!(
        (unmanaged[0]["username"].as_str(), unmanaged[0]["code"].as_str()),
        (Some("p0@x.example"), Some("unmanaged"))
    );
    assert_eq!(unmanaged.as_array().map(Vec::len), Some(1), "who is linked is managed");
    assert!(page(&run, &[]).contains("unmanaged 1 user"), "{}", page(&run, &[]));
    run.export(&people(0..3));
    run.reconcile(0);
    assert_eq!(status(&run)["unmanaged"], json!([]));
}
