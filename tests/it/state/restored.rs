//! A state that was restored from a backup, or upgraded from an older version.

use super::*;

#[test]
fn an_older_state_is_upgraded_by_the_sender_alone_after_a_backup() {
    let run = settled(4);
    let first = include_str!("../../../state/0001_state.sql");
    let new = Connection::open(run.path("state.db")).expect("opens");
    let old = run.path("old.db");
    let made = Connection::open(&old).expect("a state of the first schema");
    made.execute_batch(first).expect("the first schema");
    made.pragma_update(None, "application_id", 0x5248_5359).expect("ours");
    made.pragma_update(None, "user_version", 1).expect("the first");
    made.execute("ATTACH ?1 AS new", [run.path("state.db").to_str().expect("UTF-8")]).expect("both");
    made.execute_batch(
        "INSERT INTO installation (one, installation_id, integration_id, base_url, active, created_at, first_load, provisioned_count)
         SELECT 1, installation_id, integration_id, base_url, 1, created_at, 0, 4 FROM new.installation;
         INSERT INTO settings SELECT * FROM new.settings;
         INSERT INTO links (row, directory_id, scim_id, user_name, folded, given_name, family_name, settings, linked_at)
         SELECT row, directory_id, scim_id, user_name, folded, given_name, family_name, settings, linked_at FROM new.links;
         INSERT INTO events SELECT * FROM new.events; UPDATE head SET (sequence, chain, timestamp) =
         (SELECT sequence, chain, timestamp FROM new.head); INSERT INTO sinks SELECT name, delivered, dead_letters, error FROM new.sinks; DETACH new;",
    )
    .expect("the same run");
    drop((made, new));
    std::fs::rename(&old, run.path("state.db")).expect("put in its place");
    std::fs::set_permissions(run.path("state.db"), PermissionsExt::from_mode(0o600)).expect("closed");
    let output = run.run(&["status"]);
    assert!(output.status.code() == Some(1) && stderr(&output).contains("then upgrades it"), "{}", stderr(&output));
    let report = run.reconcile(0);
    assert_eq!((report["unchanged"].as_u64(), report["created"].as_u64()), (Some(4), Some(0)), "{report}");
    let copies = std::fs::read_dir(run.path(".")).expect("a folder").filter_map(Result::ok);
    let copies: Vec<_> = copies.filter(|file| file.file_name().to_string_lossy().contains(".schema-1-")).collect();
    assert_eq!(copies.len(), 1, "one backup lies beside it");
    let copy = Connection::open(copies[0].path()).expect("a whole state");
    assert_eq!(copy.query_row("SELECT count(*) FROM links", [], |row| row.get(0)), Ok(4));
    assert!(run.run(&["events", "verify"]).status.success());
}

#[test]
fn a_restored_state_is_refreshed_and_its_removals_wait_for_approval() {
    for lost_lock in [false, true] {
        let run = settled(6);
        let backup = run.path("backup.db");
        assert!(run.run(&["backup", backup.to_str().expect("UTF-8")]).status.success());
        // After the backup: 6 joined, 5 left, 2 is called otherwise.
        let mut users = people(0..5);
        users.push(person(6));
        users[2]["firstname"] = "Quinn".into();
        run.export(&users);
        run.reconcile(0);
        let last = run.events().len();
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            let _ = std::fs::remove_file(run.path(file));
        }
        std::fs::copy(&backup, run.path("state.db")).expect("put back");
        if lost_lock {
            std::fs::remove_file(run.path("state.db.lock")).expect("another machine");
        }
        // 1 leaves now.
        users.remove(1);
        run.export(&users);
        let report = run.reconcile(4);
        let held: Vec<_> = report["held"].as_array().expect("a list").iter().map(|user| user["id"].clone()).collect();
        assert_eq!(held, ["id-00001"], "whatever it would take away waits: {report}");
        assert_eq!(report["deleted"], 1, "5 was gone already, which needs nobody's approval: {report}");
        assert!(
            report["held"][0]["reason"].as_str().is_some_and(|reason| reason.contains("restored from a backup")),
            "{report}"
        );
        assert_eq!((report["created"].as_u64(), report["linked"].as_u64()), (Some(0), Some(1)), "6 is not made twice");
        assert_eq!(run.accounts().len(), 6);
        let status: Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON");
        assert_eq!(status["restored"], true);
        let hold = report["hold"].as_str().expect("a hold");
        assert!(run.run(&["approve", hold]).status.success());
        let report = run.reconcile(0);
        assert_eq!(report["deleted"], 1, "{report}");
        run.reconcile(0);
        let status: Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON");
        assert_eq!(status["restored"], false);
        if !lost_lock {
            let output = run.run(&["events", "verify"]);
            assert!(output.status.success(), "{}", stderr(&output));
            let events = run.events();
            assert!(events.len() > last, "no sequence is used twice");
            assert_eq!(events.iter().filter(|event| event["event_type"] == "idm_integration_update").count(), 1);
        }
    }
}

/// The state as it was, without what lies beside it; its lock file too, as on another host.
fn put_back(run: &RealBinary, backup: &Path) {
    for file in ["state.db", "state.db-wal", "state.db-shm", "state.db.lock"] {
        let _ = std::fs::remove_file(run.path(file));
    }
    std::fs::copy(backup, run.path("state.db")).expect("put back");
}

/// A run whose state, put back, knows nothing of 5, who has joined and left since.
fn with_a_stranded_account() -> RealBinary {
    let run = settled(5);
    let backup = run.path("backup.db");
    assert!(run.run(&["backup", backup.to_str().expect("UTF-8")]).status.success());
    run.export(&people(0..6));
    run.reconcile(0);
    put_back(&run, &backup);
    run.export(&people(0..5));
    let report = run.reconcile(4);
    let held: Vec<_> = report["held"].as_array().expect("a list").iter().map(|user| user["id"].clone()).collect();
    assert_eq!((held, run.accounts().len()), (vec!["id-00005".into()], 6), "{report}");
    assert_eq!((&report["held"][0]["code"], &report["held"][0]["action"]), (&"restored".into(), &"delete".into()));
    run
}

fn status(run: &RealBinary) -> Value {
    serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON")
}

#[test]
fn an_account_that_only_the_lost_log_knew_is_held_and_goes_if_a_person_says_so() {
    let run = with_a_stranded_account();
    let text = String::from_utf8(run.run(&["status"]).stdout).expect("text");
    assert!(text.contains("p5@x.example") && text.contains(" approve "), "{text}");
    let before = status(&run);
    assert_eq!(before["unmanaged"][0]["id"], "id-00005", "{before}");
    assert_eq!(before["restored"], false, "it keeps nobody else's removal: {before}");
    run.export(&people(0..4));
    let report = run.reconcile(4);
    assert_eq!(report["deleted"], 1, "{report}");
    let hold = report["hold"].as_str().expect("a hold");
    let output = run.run(&["approve", hold]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("p5@x.example"), "{output:?}");
    let report = run.reconcile(0);
    assert_eq!((report["deleted"].as_u64(), run.accounts().len()), (Some(1), 4), "{report}");
    let last = run.events().into_iter().rfind(|event| event["event_type"] == "user_delete_provision").expect("one");
    assert_eq!((&last["resource"]["id"], &last["success"]), (&"id-00005".into(), &true.into()), "{last}");
    let after = status(&run);
    assert_eq!((&after["unmanaged"], after["provisioned"].as_i64()), (&serde_json::json!([]), Some(4)), "{after}");
}

#[test]
fn an_account_that_only_the_lost_log_knew_is_left_alone_or_taken_back() {
    let run = with_a_stranded_account();
    let output = run.run(&["forget", "id-00005"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report = run.reconcile(0);
    assert_eq!((&report["held"], run.accounts().len()), (&serde_json::json!([]), 6), "{report}");
    run.run(&["--reconcile", "--refresh"]);
    assert_eq!(status(&run)["unmanaged"][0]["id"], "id-00005", "still listed, and not held again");
    assert_eq!(status(&run)["held"], serde_json::json!([]));

    let run = with_a_stranded_account();
    run.export(&people(0..6));
    let report = run.reconcile(0);
    assert_eq!((report["linked"].as_u64(), report["created"].as_u64()), (Some(1), Some(0)), "{report}");
    assert_eq!((&status(&run)["held"], &status(&run)["unmanaged"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn who_was_nobodys_before_the_restore_is_not_held() {
    let run = settled(5);
    // Rhombus has an account that carries an id and is not ours; a refresh has noted it.
    run.export(&people(0..6));
    run.reconcile(0);
    assert!(run.run(&["forget", "id-00005"]).status.success());
    run.export(&people(0..5));
    run.run(&["--reconcile", "--refresh"]);
    assert_eq!(status(&run)["unmanaged"][0]["id"], "id-00005");
    let backup = run.path("backup.db");
    assert!(run.run(&["backup", backup.to_str().expect("UTF-8")]).status.success());
    put_back(&run, &backup);
    let report = run.reconcile(0);
    assert_eq!((&report["held"], run.accounts().len()), (&serde_json::json!([]), 6), "{report}");
}

#[test]
fn without_a_lock_file_no_number_is_given_twice_and_the_gap_is_named() {
    let run = settled(3);
    let backup = run.path("backup.db");
    assert!(run.run(&["backup", backup.to_str().expect("UTF-8")]).status.success());
    let last = run.events().len() as i64;
    run.export(&people(0..4));
    run.reconcile(0);
    let lost = run.events().into_iter().filter(|event| event["sequence"].as_i64() > Some(last)).count();
    put_back(&run, &backup);
    run.reconcile(0);
    let events = run.events();
    let first = events.iter().find(|event| event["sequence"].as_i64() > Some(last + lost as i64)).expect("a new one");
    assert_eq!(first["sequence"], 1_000_000, "{first}");
    let said = first["message_chain"]["message_details"].to_string();
    assert!(said.contains("no lock file") && said.contains("events go on at 1000000"), "{said}");
    let output = run.run(&["events", "verify"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", stderr(&output));
    assert!(text.contains(&format!("events {} to 999999 were skipped", last + 1)), "{text}");
}

#[test]
fn no_command_hides_that_a_state_was_put_back() {
    for commands in [
        &[&["activate"][..]][..],
        &[&["activate"], &["activate"], &["deactivate"], &["activate"]],
        &[&["forget", "id-00000"]],
    ] {
        let run = settled(6);
        let backup = run.path("backup.db");
        assert!(run.run(&["backup", backup.to_str().expect("UTF-8")]).status.success());
        for given in ["Quinn", "Robin"] {
            let mut users = people(0..6);
            users[2]["firstname"] = given.into();
            run.export(&users);
            run.reconcile(0);
        }
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            let _ = std::fs::remove_file(run.path(file));
        }
        std::fs::copy(&backup, run.path("state.db")).expect("put back");
        for command in commands {
            assert!(run.run(command).status.success(), "{command:?}");
        }
        run.export(&people(0..5));
        let report = run.reconcile(4);
        assert_eq!(
            (report["deleted"].as_u64(), report["held"].as_array().map(Vec::len)),
            (Some(0), Some(1)),
            "{commands:?}: {report}"
        );
        let output = run.run(&["events", "verify"]);
        assert!(output.status.success(), "{commands:?}: {}", stderr(&output));
        run.events();
    }
}

#[test]
fn second_sightings_do_not_end_what_a_restored_state_holds() {
    let run = settled(5);
    let backup = run.path("backup.db");
    assert!(run.run(&["backup", backup.to_str().expect("UTF-8")]).status.success());
    let mut users = people(0..5);
    users[2]["firstname"] = "Quinn".into();
    run.export(&users);
    run.reconcile(0);
    std::fs::copy(&backup, run.path("state.db")).expect("put back");
    for companion in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(run.path(companion));
    }
    let lines: String = people(0..4).iter().map(|user| format!("{user}\n")).collect();
    for _ in 0..2 {
        std::fs::write(run.path("directory.json"), &lines).expect("an export without proof");
        std::thread::sleep(std::time::Duration::from_millis(5));
        run.run(&["--reconcile"]);
    }
    assert_eq!(run.accounts().len(), 5, "missing twice, and still held");
    let status: Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(status["held"].as_array().map(Vec::len), Some(1), "{status}");
}

#[test]
fn a_state_that_was_elsewhere_meanwhile_is_not_believed() {
    let run = settled(6);
    // This host leads, and keeps its lock file; then the state leads on another one, which has none.
    let lock = std::fs::read(run.path("state.db.lock")).expect("a lock");
    std::fs::remove_file(run.path("state.db.lock")).expect("another host");
    for given in ["Quinn", "Robin"] {
        let mut users = people(0..6);
        users[2]["firstname"] = given.into();
        run.export(&users);
        run.reconcile(0);
    }
    run.reconcile(0);
    // A copy of it comes back here, beside the lock file of then. It may lack the last events, and nothing here can tell.
    std::fs::write(run.path("state.db.lock"), lock).expect("written");
    let plan: Value = serde_json::from_slice(&run.run(&["plan", "--json"]).stdout).expect("JSON");
    run.export(&people(0..5));
    assert_eq!(run.run(&["approve"]).status.code(), Some(0), "{plan}");
    let report = run.reconcile(4);
    assert_eq!((report["deleted"].as_u64(), report["held"].as_array().map(Vec::len)), (Some(0), Some(1)), "{report}");
    assert!(report["held"][0]["code"] == "restored", "{report}");
    let hold = report["hold"].as_str().expect("a hold");
    assert!(run.run(&["approve", hold]).status.success());
    assert_eq!(run.reconcile(0)["deleted"], 1);
    // Said once: from here on the lock file knows the reign.
    let restored = |event: &&Value| {
        event["message_chain"]["message_details"].as_str().is_some_and(|said| said.starts_with("restored"))
    };
    let count = run.events().iter().filter(restored).count();
    run.export(&people(0..4));
    assert_eq!(run.reconcile(0)["deleted"], 1, "and believes it");
    assert_eq!(run.events().iter().filter(restored).count(), count);
    assert!(run.run(&["events", "verify"]).status.success());
}
