//! The state's faults, each against the real binary: refused with the way out, never made anew by itself,
//! and no request leaves after one.

mod restored;

use crate::support::real_binary::{BINARY, RealBinary, people, person};
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A run of so many whose first day is over.
fn settled(count: usize) -> RealBinary {
    let run = RealBinary::open("");
    run.export(&people(0..count));
    run.activate();
    run.reconcile(0);
    run
}

#[track_caller]
fn refused(run: &RealBinary, says: &[&str]) {
    let before = run.accounts();
    for arguments in [&["--reconcile"][..], &["plan"], &["status"], &["explain", "id-00001"]] {
        let output = run.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(says.iter().all(|text| said.contains(text)), "{arguments:?}: {said}");
    }
    assert_eq!(run.accounts(), before, "nothing was sent");
}

const WAYS_OUT: [&str; 3] = ["hint:", " activate`", "backup"];

/// Each account has exactly one success event, and each person one account.
fn judge(run: &RealBinary, count: usize) {
    let accounts = run.accounts();
    assert_eq!(accounts.len(), count, "{:?}", accounts.keys());
    let made: Vec<_> = run
        .events()
        .into_iter()
        .filter(|event| event["event_type"] == "user_create_provision" && event["success"] == true)
        .map(|event| event["resource"]["target_id"].as_str().expect("an account").to_owned())
        .collect();
    let unique: BTreeSet<_> = made.iter().cloned().collect();
    let ids: BTreeSet<_> = accounts.values().map(|account| account["id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!((made.len(), unique), (ids.len(), ids), "accepted creates and their events, one to one");
}

#[test]
fn a_full_disk_stops_it_before_the_request_and_the_next_run_loses_nothing() {
    const PEOPLE: usize = 120;
    let mut stopped = 0;
    for blocks in [200, 300, 400, 500, 600, 800, 1_000] {
        let run = RealBinary::open("");
        run.export(&people(0..PEOPLE));
        run.activate();
        // A file may not grow past so many blocks of 512 bytes: the same error of a write as on a full disk.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script, BINARY, "-c"])
            .arg(run.path("config.toml"))
            .arg("--reconcile")
            .output()
            .expect("it runs");
        let said = stderr(&output);
        if output.status.code() == Some(1) {
            stopped += 1;
            assert!(
                said.contains(&format!("the state {}", run.path("state.db").display())) && said.contains("hint:"),
                "{blocks}: {said}"
            );
            assert!(run.accounts().len() < PEOPLE, "{blocks}: it went on after the error");
        } else {
            assert_eq!(output.status.code(), Some(0), "{blocks}: {said}");
        }
        run.reconcile(0);
        judge(&run, PEOPLE);
    }
    assert!(stopped >= 3, "only {stopped} of the runs met the limit");
}

#[test]
fn a_state_that_others_can_write_is_refused() {
    let run = settled(3);
    let (file, folder) = (run.path("state.db"), run.path("."));
    let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("modes");
    set(&file, 0o666);
    refused(&run, &["is writable by others", "chmod o-w"]);
    set(&file, 0o600);
    set(&folder, 0o777);
    // The configuration lies there too.
    let output = run.run(&["--reconcile"]);
    assert!(output.status.code() == Some(78) && stderr(&output).contains("is writable by others"), "{output:?}");
    set(&folder, 0o700);
    assert_eq!(run.reconcile(0)["unchanged"], 3);
}

/// What becomes of the bytes of a state.
type Damage<'d> = &'d dyn Fn(&mut Vec<u8>);

#[test]
fn a_damaged_state_changes_nobody_and_is_kept() {
    const PAGE_BYTES: usize = 4096;
    let run = settled(30);
    let whole = std::fs::read(run.path("state.db")).expect("a state");
    let mut users = people(0..30);
    users[3]["firstname"] = "Quinn".into();
    run.export(&users);
    let before = run.accounts();
    let mut refused = 0;
    for page in 0..whole.len() / PAGE_BYTES {
        let start = page * PAGE_BYTES;
        let damages: [Damage<'_>; 3] = [
            &|bytes| bytes[start..start + PAGE_BYTES].fill(0),
            &|bytes| bytes[start..start + 12].iter_mut().for_each(|byte| *byte ^= 0xff),
            &|bytes| bytes.truncate(start + 100),
        ];
        for (kind, damage) in damages.iter().enumerate() {
            let mut bytes = whole.clone();
            damage(&mut bytes);
            for companion in ["state.db-wal", "state.db-shm"] {
                let _ = std::fs::remove_file(run.path(companion));
            }
            std::fs::write(run.path("state.db"), &bytes).expect("a damaged state");
            let output = run.run(&["--reconcile"]);
            let (exit, said) = (output.status.code(), stderr(&output));
            if exit == Some(1) {
                refused += 1;
                assert!(said.contains("hint:"), "page {page}, damage {kind}: {said}");
                assert_eq!(run.accounts(), before, "page {page}, damage {kind}");
            } else {
                // A page that nothing reads: then what is done is right, and is taken back for the next round.
                assert_eq!(exit, Some(0), "page {page}, damage {kind}: {said}");
                assert_eq!(run.accounts().len(), before.len(), "page {page}, damage {kind}: nobody is gone or doubled");
                std::fs::write(run.path("state.db"), &whole).expect("as it was");
                run.export(&people(0..30));
                run.run(&["--reconcile", "--refresh"]);
                run.export(&users);
            }
        }
    }
    assert!(refused > whole.len() / PAGE_BYTES, "only {refused} damages were noticed");
}

#[test]
fn what_is_no_state_of_ours_is_refused_and_kept() {
    let run = settled(3);
    let path = run.path("state.db");
    for companion in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(run.path(companion));
    }
    std::fs::write(&path, "a note, not a database, but longer than a header of one would be: 0123456789")
        .expect("written");
    refused(&run, &WAYS_OUT);
    std::fs::remove_file(&path).expect("removed");
    let other = Connection::open(&path).expect("another application's");
    other
        .execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7); PRAGMA user_version = 3;")
        .expect("made");
    drop(other);
    let theirs = std::fs::read(&path).expect("theirs");
    refused(&run, &WAYS_OUT);
    assert!(std::fs::read(&path).expect("theirs") == theirs, "not even its journal mode is touched");
    let now = Connection::open(&path).expect("still theirs");
    let kept: i64 = now.query_row("SELECT x FROM theirs", [], |row| row.get(0)).expect("still there");
    assert_eq!((kept, theirs.len() > 100), (7, true));
    drop(now);
    std::fs::write(&path, "").expect("emptied");
    refused(&run, &[&WAYS_OUT[..], &["is empty"]].concat());
    assert_eq!(std::fs::metadata(&path).expect("still there").len(), 0, "0 bytes are no new state");
}

#[test]
fn a_lost_state_is_no_first_run_and_activate_goes_on_with_its_log() {
    let run = settled(5);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(run.path(file));
    }
    run.export(&people(0..3));
    refused(&run, &WAYS_OUT);
    assert!(!run.path("state.db").exists(), "nobody but `activate` makes one");
    let output = run.run(&["activate"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("has 5 accounts") && said.contains("2 of them carry a directory id that the export lacks"),
        "{said}"
    );
    let report = run.reconcile(0);
    assert_eq!(
        (report["linked"].as_u64(), report["created"].as_u64(), report["deleted"].as_u64()),
        (Some(3), Some(0), Some(0))
    );
    assert_eq!(run.accounts().len(), 5, "whom nobody asked us to manage stays");
    let events = run.events();
    assert!(
        events
            .iter()
            .any(|event| event["event_type"] == "idm_integration_activate" && event["sequence"].as_i64() > Some(5))
    );
    let output = run.run(&["events", "verify"]);
    assert!(output.status.success(), "one log over both states: {}", stderr(&output));
}

#[test]
fn a_newer_state_names_both_versions() {
    let run = settled(2);
    let state = Connection::open(run.path("state.db")).expect("opens");
    state.pragma_update(None, "user_version", 99).expect("a newer schema");
    drop(state);
    refused(&run, &["schema 99", "only knows schemas up to", "hint:"]);
    run.activate();
    assert_eq!(run.reconcile(0)["linked"], 2, "the newer one lies aside, and its users are linked anew");
}

#[test]
fn a_link_that_changed_by_itself_removes_nobody() {
    let run = settled(12);
    let mut bytes = std::fs::read(run.path("state.db")).expect("a state");
    // The row of 7 as it lies in the snapshot: its id, its number, its username.
    let place =
        bytes.windows(21).position(|part| part.starts_with(b"id-00007") && part[9..].starts_with(b"p7@x.example"));
    bytes[place.expect("its row") + 7] ^= 1 << 3;
    std::fs::write(run.path("state.db"), &bytes).expect("a flipped bit");
    let mut users = people(0..12);
    users[1]["firstname"] = "Quinn".into();
    run.export(&users);
    let before = run.accounts();
    let output = run.run(&["--reconcile"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("is damaged") && WAYS_OUT.iter().all(|way| stderr(&output).contains(way)),
        "{}",
        stderr(&output)
    );
    assert_eq!(run.accounts(), before);
}

#[test]
fn a_lock_file_that_was_removed_ends_whoever_held_it() {
    let run = settled(3);
    let state = run.path("state.db");
    let lock = rhombus_sync::store::Lock::acquire(&state).expect("the lock");
    let writer = rhombus_sync::store::open(&state, rhombus_sync::store::Access::Write).expect("the state");
    let journal = rhombus_sync::store::Journal::start(writer, Some(lock), None).expect("a journal");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let write = || runtime.block_on(journal.write(|_| Ok(())));
    assert!(write().is_ok());
    std::fs::remove_file(run.path("state.db.lock")).expect("removed");
    let _second = rhombus_sync::store::Lock::acquire(&state).expect("another process may have it now");
    let error = write().expect_err("nothing is written any more");
    assert!(error.to_string().contains("was removed or replaced"), "{error}");
}

#[test]
fn of_fifty_starts_at_once_one_sends() {
    let run = RealBinary::open("");
    run.export(&people(0..200));
    run.activate();
    let spawn = || run.command(&["--reconcile"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let exits: Vec<_> = (0..50)
        .map(|_| spawn())
        .collect::<Vec<_>>()
        .into_iter()
        .map(|mut child| child.wait().expect("ends").code())
        .collect();
    assert!(exits.iter().all(|exit| matches!(exit, Some(0 | 5))), "{exits:?}");
    assert!(exits.contains(&Some(0)));
    judge(&run, 200);
}

#[test]
fn the_library_inside_is_past_the_bug_that_damaged_logs() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

#[test]
fn forget_ends_a_link_and_leaves_the_account_alone() {
    let run = settled(4);
    let before = run.accounts();
    assert_eq!(run.run(&["forget", "nobody@x.example"]).status.code(), Some(1));
    let output = run.run(&["forget", "P2@x.example", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(said["id"], "id-00002");
    assert_eq!(run.accounts(), before);
    run.export(&people(0..2));
    assert_eq!(run.reconcile(0)["deleted"], 1, "3 is gone, 2 is nobody of ours");
    assert_eq!(run.accounts().len(), 3);
    run.export(&people(0..3));
    let report = run.reconcile(0);
    assert_eq!((report["linked"].as_u64(), report["created"].as_u64()), (Some(1), Some(0)), "{report}");
    let logged =
        run.events().into_iter().find(|event| event["event_type"] == "idm_integration_update").expect("logged");
    assert_eq!(
        (logged["initiated_by"]["type"].as_str(), logged["resource"]["id"].as_str()),
        (Some("admin"), Some("id-00002"))
    );
}

#[test]
fn plan_with_refresh_reads_and_writes_nothing() {
    let run = settled(3);
    let accounts = rhombus_sync::sandbox::Accounts::open(&run.path("sandbox/accounts.db")).expect("its accounts");
    let all = accounts.page(0, 100, std::time::Duration::ZERO).expect("readable");
    let id = all[0]["id"].as_str().expect("an id");
    let by_hand = |members: &mut serde_json::Map<String, Value>| {
        drop(members.insert("name".to_owned(), serde_json::json!({"givenName": "Hand"})))
    };
    accounts.change(id, by_hand).expect("edited by hand");
    drop(accounts);
    let state = |name: &str| std::fs::read(run.path(name)).unwrap_or_default();
    let before = (run.accounts(), state("state.db"), state("events.ndjson"));
    let output = run.run(&["plan", "--refresh", "--json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(
        (plan["changes"][0]["action"].as_str(), plan["drift"].as_array().map(Vec::len)),
        (Some("update"), Some(1)),
        "{plan}"
    );
    assert!((run.accounts(), state("state.db"), state("events.ndjson")) == before, "it wrote something");
    let report: Value = serde_json::from_slice(&run.run(&["--reconcile", "--refresh", "--json"]).stdout).expect("JSON");
    assert_eq!(
        (report["updated"].as_u64(), report["drift"].as_array().map(Vec::len), report["plan"].clone()),
        (Some(1), Some(1), plan["plan"].clone())
    );
}
