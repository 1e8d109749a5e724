//! What is said is so: exit codes, files that are full, commands that are suggested, holds that are over, users who are gone.

use crate::support::real_binary::{BINARY, RealBinary, people};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn check(run: &RealBinary, arguments: &[&str], exit: i32) -> Output {
    let output = run.run(arguments);
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {}{}", out(&output), err(&output));
    output
}

/// Lets the guard hold every removal.
fn narrow(run: &RealBinary) {
    let path = run.path("config.toml");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    let narrow = "[guard.absent]\ncount_free = 0\npercent_max = 0\ncount_max = 0\n";
    let wide = "[guard.absent]\ncount_free = 100000\npercent_max = 100\ncount_max = 100000\n";
    assert!(text.contains(wide));
    std::fs::write(path, text.replace(wide, narrow)).expect("written");
}

/// Pastes the command that stands in a text behind `before` into a shell, in another folder.
fn paste(run: &RealBinary, text: &str, before: &str) -> Output {
    let command = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    let command = command.split(['\n', ';', '`']).next().expect("a command");
    let bin = run.path("bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).expect("a folder");
        std::os::unix::fs::symlink(BINARY, bin.join("rhombus-sync")).expect("a link");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    Command::new("sh").args(["-c", command]).env("PATH", path).current_dir("/").output().expect("a shell")
}

#[test]
fn a_signal_that_leaves_something_undone_is_exit_3_and_says_how_it_goes_on() {
    let run = RealBinary::open_with_faults("concurrency_max = 1", "delay_ms:50");
    run.export(&people(0..200));
    run.activate();
    let cycle = run.command(&["--reconcile", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let cycle = cycle.expect("it runs");
    while run.accounts().len() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_raw(cycle.id().cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    let output = cycle.wait_with_output().expect("its end");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!((output.status.code(), report["result"].as_str()), (Some(3), Some("partial")));
    assert!(err(&output).contains("error: stopped by a signal"), "{}", err(&output));
    assert!(err(&output).contains("--reconcile` again: it continues where it stopped"), "{}", err(&output));
}

#[test]
fn nobody_in_scope_is_not_done_and_does_not_end_the_first_load() {
    let run = RealBinary::open("");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let text = text.replace(
        "[guard.create]\ncount_free = 100000\npercent_max = 100\ncount_max = 100000\n",
        "[guard.create]\ncount_free = 1\npercent_max = 1\ncount_max = 1\n",
    );
    std::fs::write(run.path("config.toml"), text.replace("[\"R\"]", "[\"Rhombus\"]")).expect("the wrong group");
    // Who is suspended or staged, and in none of its groups, is not in scope either.
    let mut users = people(0..42);
    (users[40]["state"], users[41]["state"]) = (json!("SUSPENDED"), json!("STAGED"));
    run.export(&users);
    run.activate();
    let output = check(&run, &["--reconcile"], 1);
    assert!(err(&output).contains("none of the 42 users in the export is in \"Rhombus\""), "{}", err(&output));
    let listed = paste(&run, &err(&output), "names: `");
    assert!(out(&listed).contains("the export has one group: \"R\""), "{}", out(&listed));
    assert_eq!(run.run(&["status", "--exit-code"]).status.code(), Some(3));
    std::fs::write(run.path("config.toml"), text).expect("mended");
    assert_eq!(run.reconcile(0)["created"], 40);
    run.export(&people(0..50));
    assert_eq!(run.reconcile(4)["held"].as_array().map(Vec::len), Some(10), "the first load is over by now");
}

#[test]
fn everybody_refused_is_not_said_to_be_done() {
    let run = RealBinary::open("existing_accounts = \"refuse\"");
    run.export(&people(0..2));
    run.activate();
    run.reconcile(0);
    for file in ["state.db", "state.db-wal", "state.db-shm", "state.lock", "state.db.lock"] {
        let _ = std::fs::remove_file(run.path(file));
    }
    let mut users = people(0..2);
    for user in &mut users {
        user["_id"] = format!("other-{}", user["_id"].as_str().expect("an id")).into();
    }
    run.export(&users);
    run.activate();
    let said = out(&check(&run, &["--reconcile"], 0));
    assert!(said.contains("nothing could be done: every user is refused") && !said.contains(": done"), "{said}");
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure_and_a_reader_that_left_is_none() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    let help = [&["--help"][..], &["plan", "--help"], &["--version"]];
    for arguments in [&["status"][..], &["status", "--json"], &["plan"], &["events", "tail"], &["--reconcile"]]
        .into_iter()
        .chain(help)
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let output = run.command(arguments).stdout(full).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(err(&output).contains("the output cannot be written"), "{arguments:?}: {}", err(&output));
        let mut left = run.command(arguments).stdout(Stdio::piped()).spawn().expect("it runs");
        drop(left.stdout.take());
        assert_eq!(left.wait().expect("its end").code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_state_that_may_not_be_opened_is_a_failure_with_path_and_owner() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let run = RealBinary::open("");
    run.export(&people(0..3));
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let text = text.replace("path = \"state.db\"", "path = \"state/state.db\"");
    std::fs::write(run.path("config.toml"), text).expect("written");
    run.activate();
    std::fs::set_permissions(run.folder.path(), PermissionsExt::from_mode(0o755)).expect("open to all");
    for arguments in [&["status"][..], &[]] {
        let output = run.command(arguments).uid(65_534).gid(65_534).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", err(&output));
        let path = run.path("state/state.db");
        let said = format!("the state {} cannot be opened by uid 65534: permission denied", path.display());
        assert!(err(&output).contains(&said), "{}", err(&output));
        assert!(err(&output).contains("belongs to root (mode 0700)"), "{}", err(&output));
    }
}

#[test]
fn a_command_delivers_its_event_itself_where_nobody_sends() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    let last = |run: &RealBinary| run.events().last().expect("an event")["event_type"].clone();
    assert_eq!(last(&run), "idm_integration_activate");
    run.reconcile(0);
    narrow(&run);
    run.export(&people(0..2));
    let hold = run.reconcile(4)["hold"].as_str().expect("a hold").to_owned();
    check(&run, &["approve", &hold], 0);
    assert_eq!(last(&run), "reconcile_approved");
    check(&run, &["forget", "p0@x.example"], 0);
    assert_eq!(last(&run), "idm_integration_update");
    check(&run, &["deactivate"], 0);
    assert_eq!(last(&run), "idm_integration_delete");
}

#[test]
fn a_mistyped_word_is_no_failed_cycle() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    run.export(&people(0..4));
    let (before, known) = (run.events().len(), out(&check(&run, &["status", "--json"], 0)));
    check(&run, &["--reconcile", "--only", "nobody@x.example"], 1);
    check(&run, &["--reconcile", "--expect", "abc"], 7);
    assert_eq!(run.events().len(), before);
    let last = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["last_cycle"]["cycle"].clone();
    assert_eq!(last(&out(&check(&run, &["status", "--json"], 0))), last(&known));
}

#[test]
fn a_hold_is_named_by_eight_digits_and_said_as_what_it_is() {
    let run = RealBinary::open("");
    run.export(&people(0..5));
    run.activate();
    run.reconcile(0);
    narrow(&run);
    run.export(&people(0..3));
    let hold = run.reconcile(4)["hold"].as_str().expect("a hold").to_owned();
    let said = |arguments: &[&str]| err(&check(&run, arguments, 1));
    assert!(said(&["approve", "deadbeef"]).contains("no hold of the last 30 days begins with deadbeef"));
    assert!(said(&["approve", "deadbeef"]).contains(&format!("the current hold is {}", &hold[..8])));
    assert!(said(&["approve", "xyz"]).contains("`xyz` is not the id of a hold"));
    assert!(said(&["approve", &hold[..7]]).contains("the first 8 are enough"));
    let other = format!("{}{}", &hold[..8], "0".repeat(56));
    let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
    state.execute("INSERT INTO holds (id, stored_at) SELECT ?1, stored_at FROM holds", [&other]).expect("a second one");
    let two = said(&["approve", &hold[..8]]);
    assert!(two.contains(&hold) && two.contains(&other), "{two}");
    state.execute("DELETE FROM holds WHERE id = ?1", [&other]).expect("gone");
    check(&run, &["approve", &hold[..8], "--only", "p4@x.example"], 0);
    assert_eq!(run.reconcile(4)["deleted"], 1);
    assert!(out(&check(&run, &["approve"], 0)).contains("p3@x.example"));
    let sent = said(&["approve", &hold[..8], "--only", "p4@x.example"]);
    assert!(sent.contains("in this hold is over: ") && sent.contains("history p4@x.example"), "{sent}");
    assert!(said(&["approve", &hold[..8], "--only", "p0@x.example"]).contains("no change of `p0@x.example` is part"));
    check(&run, &["approve", &hold[..8]], 0);
    assert_eq!(run.reconcile(0)["deleted"], 1);
    let used = said(&["approve", &hold[..8]]);
    assert!(used.contains(&format!("hold {} is over: ", &hold[..8])) && used.contains(" released it "), "{used}");
}

#[test]
fn who_is_gone_is_found_by_any_username_that_the_log_has() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    run.export(&people(0..2));
    run.reconcile(0);
    let history = out(&check(&run, &["history", "P2@X.example"], 0));
    assert!(history.contains("user_create_provision") && history.contains("user_delete_provision"), "{history}");
    let explained = out(&check(&run, &["explain", "p2@x.example"], 0));
    assert!(explained.starts_with("p2@x.example (id-00002)"), "{explained}");
    check(&run, &["history", "p9@x.example"], 1);
}

#[test]
fn who_is_nearly_named_is_suggested() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    for (typed, meant) in [("p1@x", Some("p1@x.example")), ("P2@X.exampel", Some("p2@x.example")), ("zebra@y", None)] {
        for command in ["explain", "history", "forget"] {
            let said = err(&check(&run, &[command, typed], 1));
            let expected = meant.map_or("a user is a directory id".to_owned(), |name| format!("did you mean {name}"));
            assert!(said.contains(&expected), "{command} {typed}: {said}");
        }
    }
}

#[test]
fn a_record_without_an_id_speaks_for_the_user_with_its_username() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    let mut users = people(0..3);
    users[1]["_id"] = json!("");
    run.export(&users);
    run.reconcile(0);
    let said = out(&check(&run, &["explain", "p1@x.example"], 0));
    assert!(said.contains("is in Rhombus by our records; the record in the export cannot be used"), "{said}");
    assert!(said.contains("a record with this username that cannot be used: id is empty"), "{said}");
    assert!(!said.contains("should not be in Rhombus"), "{said}");
    let document: Value = serde_json::from_slice(&check(&run, &["explain", "p1@x.example", "--json"], 0).stdout)
        .expect("one JSON document");
    assert!(document["steps"][0]["says"].as_str().is_some_and(|says| says.contains("id is empty")), "{document}");
}

#[test]
fn each_command_that_is_suggested_can_be_pasted() {
    let run = RealBinary::open("");
    let odd = run.path("an odd 'name'.toml");
    std::fs::rename(run.path("config.toml"), &odd).expect("moved");
    std::fs::write(run.path("config.toml"), "").expect("another configuration, which is not meant");
    let ask = |arguments: &[&str]| {
        Command::new(BINARY).arg("-c").arg(&odd).args(arguments).current_dir("/").output().expect("it runs")
    };
    run.export(&people(0..5));
    let missing = err(&ask(&["status"]));
    let activated = paste(&run, &missing, "hint: run `");
    assert!(activated.status.success(), "{}", err(&activated));
    let made = paste(&run, &out(&activated), "to send: ");
    assert!(made.status.success() && out(&made).contains("5 created"), "{}", err(&made));
    let mut text = std::fs::read_to_string(&odd).expect("a configuration");
    for kind in ["absent", "create"] {
        let wide = format!("[guard.{kind}]\ncount_free = 100000\npercent_max = 100\ncount_max = 100000\n");
        let mut narrow = String::new();
        let _ = write!(narrow, "[guard.{kind}]\ncount_free = 0\npercent_max = 0\ncount_max = 0\n");
        text = text.replace(&wide, &narrow);
    }
    std::fs::write(&odd, text).expect("written");
    run.export(&people(0..4));
    let held = ask(&["--reconcile"]);
    assert_eq!(held.status.code(), Some(4));
    assert!(out(&held).contains("HELD: 1 deletion") && out(&held).contains(" approve "), "{}", out(&held));
    let page = out(&ask(&["status"]));
    assert!(out(&paste(&run, &page, "to review: ")).contains("p4@x.example"), "{page}");
    let released = paste(&run, &page, "to release: ");
    assert!(released.status.success() && out(&released).contains("1 change is released"), "{}", err(&released));
    let sent = paste(&run, &out(&released), "to send now: ");
    assert!(out(&sent).contains("1 deleted"), "{}{}", out(&sent), err(&sent));
    assert!(ask(&["deactivate"]).status.success());
    let idle = err(&ask(&["--reconcile"]));
    assert!(paste(&run, &idle, "hint: run `").status.success(), "{idle}");
    let mut users = people(0..4);
    users[0]["username"] = json!("renamed@x.example");
    run.export(&users);
    assert!(ask(&["--reconcile"]).status.success());
    let page = out(&ask(&["status"]));
    let explain = page.lines().find(|line| line.contains(" explain ")).expect("a refusal").trim();
    let explained = paste(&run, &format!("> {explain}"), "> ");
    assert!(out(&explained).contains("id-00000"), "{}", err(&explained));
}

#[test]
fn a_json_document_escapes_what_nobody_sees() {
    let run = RealBinary::open("");
    let mut users = people(0..2);
    users[0]["firstname"] = json!("A\u{202e}b\u{200b}c");
    users[1]["lastname"] = json!("x\u{2066}y");
    run.export(&users);
    run.activate();
    let output = check(&run, &["plan", "--json"], 0);
    let harmful = |text: &str| text.chars().any(|c| matches!(c, '\u{202e}' | '\u{200b}' | '\u{2066}'));
    assert!(!harmful(&out(&output)), "{}", out(&output));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(harmful(&document.to_string()), "the same value: {document}");
    run.reconcile(0);
    for words in
        [&["status", "--json"][..], &["explain", "p0@x.example", "--json"], &["history", "p0@x.example", "--json"]]
    {
        let text = out(&check(&run, words, 0));
        assert!(!harmful(&text), "{words:?}: {text}");
    }
}
