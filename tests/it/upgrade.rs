//! A state that an earlier release wrote, brought forward: nothing is said again, nothing begins anew, nobody is held for it.

use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{InProcess, Steps};
use rhombus_sync::model::{Cause, ExistingAccounts, GuardKind, Moment, OnDrift, OutstandingUser, Reason};
use rhombus_sync::plan::Limits;
use rhombus_sync::store::{self, Access};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// Made by `tests/fixtures/make-state-of-schema-3`, with the binary of that schema.
const STATE: &str = include_str!("../fixtures/state-of-schema-3.sql");
const EXPORT: &str = include_str!("../fixtures/state-of-schema-3.ndjson");

/// What the lists say of each user, as the earlier release would have shown it.
const LISTED: [(&str, &str, &str); 10] = [
    ("drift", "u07", "names_changed"),
    ("drift", "u08", "mismatch"),
    ("failed", "u30", "rejected"),
    ("held", "u04", "guard"),
    ("held", "u05", "guard"),
    ("parked", "u21", "never_applied"),
    ("refused", "u02", "renamed"),
    ("refused", "u03", "username_characters"),
    ("refused", "u31", "not_ours"),
    ("waiting", "u06", "absent"),
];

/// A run that goes on with the state of the fixture, at the endpoint that it was left at.
fn go_on() -> InProcess {
    let mut run = InProcess::new();
    let path = run.path("state.db");
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(run.path(file));
    }
    let state = Connection::open(&path).expect("a new file");
    state.execute_batch(STATE).expect("the state of the fixture");
    drop(state);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("closed");
    assert!(store::upgrade(&path, Moment(1), None).expect("it is upgraded").is_some(), "after a copy beside it");
    let state = store::open(&path, Access::Read).expect("the state opens");
    let head = store::head_of(&state).expect("a head");
    run.clock.store(head.timestamp.0 + 1_000, Ordering::SeqCst);
    let written_at = store::installation(&state).expect("a row").export_written_at.expect("an export was read");
    std::fs::write(run.path("directory.json"), EXPORT).expect("an export");
    let file = std::fs::File::options().write(true).open(run.path("directory.json")).expect("opens");
    let written_ms = u64::try_from(written_at.0).expect("after 1970");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(written_ms)).expect("a time");
    run.settings.existing_accounts = ExistingAccounts::Refuse;
    run.settings.policy.on_suspended = rhombus_sync::model::Removals::Deactivate;
    run.settings.policy.on_drift = OnDrift::Report;
    run.settings.limits.insert(GuardKind::Suspended, Limits { count_free: 0, percent_max: 0, count_max: 200 });
    let mut accounts = run.accounts.borrow_mut();
    accounts.by_id.clear();
    let stranger = json!({"id": "account-0", "userName": "stranger@x.example", "active": true});
    accounts.by_id.insert("account-0".to_owned(), stranger);
    store::each_link(&state, &mut |link| {
        let (id, name) = (link.scim_id.as_str(), link.user_name.as_str());
        let given = link.names.given.as_deref().unwrap_or_default();
        let account = json!({"id": id, "userName": name, "name": {"givenName": given}, "active": true});
        accounts.by_id.insert(id.to_owned(), account);
    })
    .expect("links");
    drop(accounts);
    run
}

fn outstanding(run: &InProcess) -> Vec<OutstandingUser> {
    let state = store::open(&run.path("state.db"), Access::Read).expect("the state opens");
    store::outstanding(&state).expect("lists")
}

fn listed(outstanding: &[OutstandingUser]) -> Vec<(&str, &str, &str)> {
    let id = |entry: &'_ OutstandingUser| entry.directory_id.as_ref().map_or("-", |id| id.as_str()).to_owned();
    let mut listed: Vec<_> =
        outstanding.iter().map(|one| (one.kind.as_str(), id(one).leak() as &str, one.reason.code())).collect();
    listed.sort_unstable();
    listed
}

#[test]
fn every_list_comes_over_with_its_codes_and_its_sentences() {
    let run = go_on();
    let lists = outstanding(&run);
    assert_eq!(listed(&lists), LISTED);
    let sentence = |id: &str| {
        let of = |one: &&OutstandingUser| one.directory_id.as_ref().is_some_and(|own| own.as_str() == id);
        lists.iter().find(of).expect("listed").reason.to_string()
    };
    assert_eq!(sentence("u30"), "Rhombus answered 400 Bad Request: bad value");
    assert!(sentence("u05").contains("2 wanted and 0 spent within the window"), "in the words that were stored");
}

#[test]
fn the_first_cycle_after_an_upgrade_says_nothing_again_and_holds_nobody_for_it() {
    let run = go_on();
    let before = outstanding(&run);
    let report = run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends");
    assert_eq!(
        (report.exit.code(), report.done.deactivated_count),
        (3, 0),
        "who was approved without the values is held anew: {report:?}"
    );
    let after = outstanding(&run);
    assert_eq!(listed(&after), LISTED);
    for entry in &after {
        let same = before.iter().find(|one| one.kind == entry.kind && one.directory_id == entry.directory_id);
        assert_eq!(same.and_then(|one| one.since), entry.since, "{entry:?}");
    }
    // The log's chain is proven by `events`; what the first cycle adds to it is what it did, and nothing else.
    let said: Vec<_> = run.events().into_iter().rev().take(2).map(|event| event["event_type"].clone()).collect();
    assert_eq!(said, [Value::from("reconcile_completed"), Value::from("idm_integration_update")]);
    let ended = run.events().into_iter().rev().nth(1).expect("the upgrade's own");
    let details = ended["message_chain"]["message_details"].as_str().expect("a sentence").to_owned();
    assert!(details.starts_with("1 approvals ended with the upgrade"), "{details}");
    let absent: Vec<_> = report.outstanding.iter().filter(|one| one.reason.code() == "absent").collect();
    assert_eq!(absent.len(), 1, "the same file is no second sighting: {absent:?}");
}

#[test]
fn every_sentence_of_an_earlier_release_has_a_code_of_ours() {
    let migration = include_str!("../../state/0004_reasons.sql");
    let (tables, _) = migration.split_once("-- Users whose wanted change").expect("the tables come first");
    let state = Connection::open_in_memory().expect("a state in memory");
    state.execute_batch(tables).expect("two tables");
    let mut statement = state.prepare("SELECT sentence, code, detail FROM sentences").expect("sentences");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
    let mut codes = BTreeSet::new();
    for row in rows {
        let (sentence, code, detail): (String, String, Option<String>) = row.expect("a row");
        let reason = Reason::from_stored(&code, detail.as_deref());
        assert!(!matches!(reason, Reason::Earlier { .. }), "{sentence} -> {code}");
        codes.insert(code);
    }
    assert!(codes.len() > 50, "{codes:?}");
    let mut causes = state.prepare("SELECT code FROM causes").expect("causes");
    let known = causes.query_map([], |row| row.get::<_, String>(0)).expect("rows").map(|code| code.expect("a row"));
    let known: Vec<_> = known.filter_map(|code| Cause::from_code(&code)).collect();
    // What came later is known by no sentence.
    let later = [Cause::Lost, Cause::GroupUnnamed, Cause::Identity, Cause::LettersLost];
    let missing: Vec<_> = Cause::ALL.iter().filter(|cause| !known.contains(cause)).collect();
    assert_eq!(missing, later.iter().collect::<Vec<_>>());
}
