//! No two files are one where one of them is written; links; locks; sinks whose file is not theirs.

use super::*;
use serde_json::Value;

/// Every file of a deployment, its bytes; what runs may change is left out.
fn bytes(run: &RealBinary, names: &[&str]) -> Vec<Option<Vec<u8>>> {
    names.iter().map(|name| std::fs::read(run.path(name)).ok()).collect()
}

#[test]
fn a_sink_that_is_another_file_of_ours_is_a_wrong_configuration() {
    let run = active(3);
    run.reconcile(0);
    let token = std::fs::read_to_string(run.path("sandbox/token")).expect("a token");
    // Without a line end: what would be cut off as a torn line.
    std::fs::write(run.path("sandbox/token"), token.trim()).expect("written");
    std::fs::write(run.path("ca.pem"), "x").expect("written");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let names =
        ["sandbox/token", "directory.json", "config.toml", "state.db", "state.db.lock", "ca.pem", "events.ndjson"];
    for file in [
        "sandbox/token",
        "directory.json",
        "directory.json.sha256",
        "members.csv",
        "members.csv.sha256",
        "config.toml",
        "state.db",
        "state.db-wal",
        "state.db-shm",
        "state.db-journal",
        "state.db.lock",
        "state.lock",
        "state.db.spool",
        "ca.pem",
        "seal.key",
        "./sandbox/../sandbox/token",
    ] {
        let text = text
            .replace("[directory]", "[directory]\nmembers_path = \"members.csv\"")
            .replace("[rhombus]", "[rhombus]\nca_file = \"ca.pem\"")
            .replace("path = \"state.db\"", "path = \"state.db\"\nseal_key_file = \"seal.key\"")
            .replace("events.ndjson", file);
        std::fs::write(run.path("config.toml"), text).expect("written");
        let before = bytes(&run, &names);
        for words in [&["check"][..], &["--reconcile"], &["status"], &[]] {
            check(&run, words, 78, &["are one file", "hint: give each a file of its own"]);
        }
        assert_eq!(bytes(&run, &names), before, "{file}");
    }
    std::fs::write(run.path("config.toml"), &text).expect("written");
    check(&run, &["--reconcile"], 0, &[]);
}

#[test]
fn two_names_of_one_file_are_one_file() {
    let run = active(3);
    run.reconcile(0);
    let token = std::fs::read_to_string(run.path("sandbox/token")).expect("a token");
    std::fs::create_dir(run.path("other")).expect("a folder");
    std::os::unix::fs::symlink(run.path("sandbox"), run.path("way")).expect("a link on the way");
    std::os::unix::fs::symlink(run.path("directory.json"), run.path("other/link")).expect("a link");
    std::fs::hard_link(run.path("sandbox/token"), run.path("other/hard")).expect("a second name");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    for file in ["way/token", "other/link", "other/hard"] {
        std::fs::write(run.path("config.toml"), text.replace("events.ndjson", file)).expect("written");
        check(&run, &["--reconcile"], 78, &["are one file"]);
    }
    // A second sink by a link, and a state that is the export.
    let second = format!("{text}[[sinks]]\nkind = \"file\"\npath = \"again.ndjson\"\n");
    std::fs::hard_link(run.path("events.ndjson"), run.path("again.ndjson")).expect("a second name");
    std::fs::write(run.path("config.toml"), second).expect("written");
    check(&run, &["check"], 78, &["are one file"]);
    std::fs::write(run.path("config.toml"), text.replace("\"state.db\"", "\"directory.json\"")).expect("written");
    check(&run, &["activate"], 78, &["[directory] path and [state] path are one file"]);
    // Two files that are only read may be one.
    std::fs::write(run.path("config.toml"), text.replace("[rhombus]", "[rhombus]\nca_file = \"sandbox/token\""))
        .expect("written");
    check(&run, &["status"], 0, &[]);
    assert_eq!(std::fs::read_to_string(run.path("sandbox/token")).expect("a token"), token);
}

#[test]
fn a_backup_goes_over_no_file_of_ours() {
    let run = active(2);
    run.reconcile(0);
    std::fs::remove_file(run.path("events.ndjson")).expect("rotated away");
    for file in [
        "state.db",
        "state.db-wal",
        "state.db.lock",
        "state.lock",
        "directory.json",
        "directory.json.sha256",
        "config.toml",
        "sandbox/token",
        "events.ndjson",
    ] {
        let before = bytes(&run, &[file]);
        check(&run, &["backup", file], 78, &["the backup are one file"]);
        assert_eq!(bytes(&run, &[file]), before, "{file}");
    }
    std::os::unix::fs::symlink(run.path("elsewhere"), run.path("link.db")).expect("a link");
    check(&run, &["backup", "link.db"], 1, &["cannot write the backup"]);
    assert!(!run.path("elsewhere").exists());
    check(&run, &["backup", "b.db"], 0, &[]);
}

#[test]
fn a_file_that_does_not_begin_with_an_event_of_this_log_is_left_alone() {
    let run = active(2);
    run.reconcile(0);
    let event =
        std::fs::read_to_string(run.path("events.ndjson")).expect("a log").lines().next().expect("a line").to_owned();
    let id = event.split_once("\"idm_client_id\":\"").expect("an id").1[..24].to_owned();
    let foreign = event.replace(&id, "0123456789abcdef01234567");
    for (text, taken) in [
        ("a shopping list", false),
        ("a shopping list\nwith two lines\n", false),
        ("\n", false),
        ("{\"@timestamp\":\"2026-01-01T00:00:00.000Z\",\"message\":\"of another program\"}\n", false),
        (&*format!("{foreign}\n"), false),
        (&event[..30], true),
        ("", true),
        (&*format!("{event}\n"), true),
        (&*format!("{event}\n{{\"@version"), true),
    ] {
        std::fs::write(run.path("events.ndjson"), text).expect("written");
        run.export(&people(0..if run.accounts().len() == 2 { 3 } else { 2 }));
        check(&run, &["--reconcile"], 0, &[]);
        let after = std::fs::read_to_string(run.path("events.ndjson")).expect("a file");
        match taken {
            true => {
                assert!(
                    after.len() > text.len() && after.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
                    "{after}"
                );
                assert_eq!(sink_error(&run, "events.ndjson"), None, "{text}");
            }
            false => {
                assert_eq!(after, text, "not touched");
                let error = sink_error(&run, "events.ndjson").expect("an error");
                assert!(error.contains("is left alone"), "{error}");
            }
        }
    }
}

#[test]
fn two_installations_never_share_a_file_in_any_format() {
    for format in ["directory-insights", "ocsf", "ecs", "cef"] {
        let (first, second) = (active(2), active(2));
        let shared = first.path("shared.log");
        for run in [&first, &second] {
            edit(run, |text| {
                let sink = format!("path = \"{}\"\nformat = \"{format}\"", shared.display());
                text.replace("path = \"events.ndjson\"", &sink)
            });
        }
        check(&first, &["--reconcile"], 0, &[]);
        let before = std::fs::read(&shared).expect("a log");
        assert!(!before.is_empty(), "{format}");
        check(&second, &["--reconcile"], 0, &[]);
        assert_eq!(std::fs::read(&shared).expect("a log"), before, "{format}");
        let error = sink_error(&second, "shared.log").expect("an error");
        assert!(error.contains("another installation"), "{format}: {error}");
        first.export(&people(0..3));
        check(&first, &["--reconcile"], 0, &[]);
        assert!(std::fs::read(&shared).expect("a log").starts_with(&before), "{format}: and the first one goes on");
    }
}

#[test]
fn a_lost_state_goes_on_with_its_log_and_its_name() {
    let run = active(2);
    run.reconcile(0);
    let id = run.events()[0]["idm_client_id"].clone();
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(run.path(file));
    }
    run.activate();
    run.reconcile(0);
    assert!(run.events().iter().all(|event| event["idm_client_id"] == id), "its sinks know it by its name");
    assert_eq!(sink_error(&run, "events.ndjson"), None);
    check(&run, &["events", "verify"], 0, &[]);
}

#[test]
fn the_last_step_of_what_is_written_is_not_followed() {
    let run = active(2);
    run.reconcile(0);
    for (name, code, error) in [
        ("state.db.lock", 1, "is a link, which is not followed"),
        ("state.db", 1, "is a link, which is not followed"),
        ("state.db-wal", 1, "is a link, which is not followed"),
        ("events.ndjson", 0, ""),
    ] {
        let target = run.path("target");
        let was_there = std::fs::rename(run.path(name), &target).is_ok();
        if !was_there {
            std::fs::write(&target, "untouched").expect("written");
        }
        std::os::unix::fs::symlink(&target, run.path(name)).expect("a link");
        let before = std::fs::read(&target).expect("readable");
        run.export(&people(0..3));
        check(&run, &["--reconcile"], code, &[error]);
        assert_eq!(std::fs::read(&target).expect("readable"), before, "{name}");
        std::fs::remove_file(run.path(name)).expect("still a link");
        if was_there {
            std::fs::rename(&target, run.path(name)).expect("put back");
        }
        if name == "events.ndjson" {
            continue;
        }
        assert_eq!(run.accounts().len(), 2, "{name}: nothing was sent");
    }
    // A link that leads nowhere is not made into a file either.
    std::fs::remove_file(run.path("state.db.lock")).expect("gone");
    std::os::unix::fs::symlink(run.path("nowhere"), run.path("state.db.lock")).expect("a link");
    check(&run, &["--reconcile"], 1, &["is a link"]);
    assert!(!run.path("nowhere").exists());
}

#[test]
fn a_state_has_one_lock_by_whatever_name_it_is_reached() {
    let run = active(2);
    run.reconcile(0);
    std::os::unix::fs::symlink(run.folder.path(), run.path("way")).expect("a link to the folder");
    std::os::unix::fs::symlink(run.path("state.db"), run.path("other.db")).expect("a link to the state");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let by = |name: &str| {
        std::fs::write(run.path("config.toml"), text.replace("\"state.db\"", &format!("\"{name}\""))).expect("written")
    };
    let lock = rhombus_sync::store::Lock::acquire(&run.path("state.db")).expect("free");
    for name in ["way/state.db", "./sandbox/../state.db", "other.db"] {
        by(name);
        check(&run, &["--reconcile"], 5, &["already running"]);
    }
    drop(lock);
    by("way/state.db");
    check(&run, &["--reconcile"], 0, &[]);
    assert!(!run.path("other.db.lock").exists() && !run.path("way.lock").exists());
    by("other.db");
    check(&run, &["--reconcile"], 1, &["is a link", "hint: name the file that"]);
    // A second name of the file itself would have a log of changes of its own.
    std::fs::remove_file(run.path("other.db")).expect("a link");
    std::fs::hard_link(run.path("state.db"), run.path("other.db")).expect("a second name");
    for name in ["other.db", "state.db"] {
        by(name);
        check(&run, &["--reconcile"], 1, &["has 2 names (hard links)", "hint: give it one name"]);
    }
}

#[test]
fn states_with_nearly_one_name_have_locks_of_their_own() {
    let (run, other) = (RealBinary::open(""), RealBinary::open(""));
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    run.export(&people(0..2));
    let configurations = [("rhombus.acme", "a", &run), ("rhombus.globex", "b", &other)];
    for (state, sink, of) in configurations {
        let token = of.path("sandbox/token");
        let text = text
            .replace(&run.base_url, &of.base_url)
            .replace("sandbox/token", token.to_str().expect("UTF-8"))
            .replace("state.db", state)
            .replace("events.ndjson", sink);
        std::fs::write(run.path(&format!("{state}.toml")), text).expect("written");
    }
    let go = |state: &str, words: &str| {
        let config = run.path(&format!("{state}.toml"));
        let output = Command::new(BINARY).arg("-c").arg(config).arg(words).output().expect("it runs");
        assert!(output.status.success(), "{state} {words}: {}", said(&output));
    };
    for words in ["activate", "--reconcile", "--reconcile", "--reconcile"] {
        for (state, ..) in configurations {
            go(state, words);
        }
    }
    for (state, sink, _) in configurations {
        let log = std::fs::read_to_string(run.path(sink)).expect("a log");
        assert!(!log.contains("restored"), "{state}: {log}");
        let lock = std::fs::read_to_string(run.path(&format!("{state}.lock"))).expect("a lock");
        let event: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
        assert!(lock.contains(event["idm_client_id"].as_str().expect("an id")), "it names its installation: {lock}");
    }
}

#[test]
fn a_lock_that_others_can_read_is_closed() {
    let run = active(1);
    mode(&run.path("state.db.lock"), 0o644);
    check(&run, &["--reconcile"], 0, &[]);
    let found = std::fs::metadata(run.path("state.db.lock")).expect("there").mode();
    assert_eq!(found & 0o777, 0o600, "whoever can read it could hold it");
}
