//! Approvals that nobody gave: whoever can write to the state alone releases nothing, and a log that says otherwise does not verify.

use super::{STAFF, approve, done, strict};
use crate::support::in_process::InProcess;
use crate::support::real_binary::{BINARY, RealBinary, person};
use rhombus_sync::model::{Duration, GuardKind, Moment, hex};
use rhombus_sync::plan::Limits;
use rhombus_sync::store::{self, Access};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::Ordering;

/// A run in which three creates are held, and the id of the hold.
fn three_held(state_keys: &str) -> (RealBinary, String) {
    let run = strict();
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), text.replace("[state]\n", &format!("[state]\n{state_keys}\n")))
        .expect("it");
    std::fs::write(run.path("seal.key"), "a-key").expect("a key");
    std::fs::set_permissions(run.path("seal.key"), PermissionsExt::from_mode(0o600)).expect("private");
    run.export(&(0..5).map(person).collect::<Vec<_>>());
    run.activate();
    run.reconcile(0);
    run.export(&(0..8).map(person).collect::<Vec<_>>());
    let hold = run.reconcile(4)["hold"].as_str().expect("a hold").to_owned();
    (run, hold)
}

fn said(run: &RealBinary, words: &[&str]) -> String {
    let output = run.run(words);
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Rows as `approve` writes them, which name this event.
fn forge(run: &RealBinary, event: &str) {
    let state = Connection::open(run.path("state.db")).expect("the state");
    state
        .execute_batch(&format!(
            "INSERT OR REPLACE INTO approvals (action, directory_id, scim_id, content, hold_id, approved_by, account, claimed, reason,
             expires_at, event) SELECT action, directory_id, scim_id, content, hold_id, 'root', 'root', 0, '',
             unixepoch() * 1000 + 3000000, {event} FROM hold_changes"
        ))
        .expect("written");
}

#[test]
fn what_only_the_table_knows_releases_nothing_and_is_said() {
    for event in ["0", "1", "(SELECT max(sequence) FROM events)", "1000000"] {
        let (run, _) = three_held("");
        forge(&run, event);
        let listed = said(&run, &["approve"]);
        assert!(listed.contains("3 approvals in the state are void") && !listed.contains("APPROVED"), "{listed}");
        let report = run.reconcile(4);
        assert_eq!((&report["created"], &report["void_approvals"]), (&0.into(), &3.into()), "{event}: {report}");
        let last = run.events().pop().expect("an event");
        let details = last["message_chain"]["message_details"].as_str().expect("text").to_owned();
        assert!(details.ends_with(" void_approvals=3"), "{details}");
        assert!(run.reconcile(4).get("void_approvals").is_none(), "they are gone");
    }
}

#[test]
fn a_genuine_approval_covers_what_its_event_shows_and_is_sealed_where_there_is_a_key() {
    let expired = "UPDATE events SET line = replace(line, 'reconcile_approved', 'reconcile_completed')";
    let unsealed = "UPDATE events SET line = substr(line, 1, instr(line, ',\"seal\":') - 1) || '}'";
    for (key, sql, created) in [
        ("", "SELECT 1", 3),
        ("seal_key_file = \"seal.key\"", "SELECT 1", 3),
        ("seal_key_file = \"seal.key\"", unsealed, 0),
        ("", expired, 0),
        ("", "UPDATE approvals SET content = substr(content, 2) || 'f'", 0),
        ("", "UPDATE approvals SET reason = 'because'", 0),
        ("", "UPDATE events SET line = replace(line, 'p5@x.example', 'p9@x.example')", 0),
    ] {
        let (run, hold) = three_held(key);
        assert!(run.run(&["approve", &hold[..8]]).status.success());
        let state = Connection::open(run.path("state.db")).expect("the state");
        state.execute_batch(sql).expect("done");
        drop(state);
        let output = run.run(&["--reconcile", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["created"], created, "{key} {sql}: {report}");
    }
}

#[test]
fn the_event_of_an_approval_stays_as_long_as_the_approval() {
    let mut run = InProcess::new();
    run.run_whole(STAFF);
    for kind in GuardKind::ALL {
        run.settings.limits.insert(kind, Limits { count_free: 0, percent_max: 0, count_max: 0 });
    }
    let five = format!("{STAFF}|e e@x.example E");
    let held = run.run_whole(&five);
    approve(&run, &held);
    let mut state = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    let transaction = state.transaction().expect("a transaction");
    let now = Moment(run.clock.load(Ordering::SeqCst) + 1_000);
    store::prune(&transaction, &[], now, Duration::from_seconds(0)).expect("pruned");
    assert!(store::pruned(&transaction).expect("a mark").expect("a mark").0 > 0, "what is older went");
    transaction.commit().expect("a commit");
    drop(state);
    assert_eq!(done(&run.run_whole(&five)).0, 1);
}

#[test]
fn a_change_that_names_an_approval_which_nobody_gave_does_not_verify() {
    let (run, hold) = three_held("");
    assert!(run.run(&["approve", &hold[..8]]).status.success());
    run.reconcile(0);
    let log = std::fs::read_to_string(run.path("events.ndjson")).expect("a log");
    let whole: Vec<_> =
        log.lines().map(|line| format!("{}}}", line.rsplit_once(",\"chain\":").expect("it").0)).collect();
    let forged: Vec<_> = whole.iter().map(|line| line.replace("reconcile_approved", "reconcile_completed")).collect();
    for (bodies, exit) in [(whole, 0), (forged, 1)] {
        let mut chain = String::new();
        let sealed = bodies.iter().map(|body| {
            chain = hex(&Sha256::digest(format!("{chain}\n{body}")));
            format!("{},\"chain\":\"{chain}\"}}\n", &body[..body.len() - 1])
        });
        let file = run.path("copy.ndjson");
        std::fs::write(&file, sealed.collect::<String>()).expect("written");
        let mut command = Command::new(BINARY);
        let command = command.args(["events", "verify"]).arg(&file).env("RHOMBUS_SYNC_CONFIG", run.path("none.toml"));
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{text}");
        assert_eq!(text.contains("it names an approval that no event before it gave"), exit == 1, "{text}");
    }
    assert!(run.run(&["events", "verify"]).status.success());
}
