//! `events tail`: by user, type and outcome, and as the log grows.

use crate::support::real_binary::{RealBinary, people, person};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Three users, of whom one is renamed and one leaves.
fn story() -> RealBinary {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    let mut renamed = person(1);
    renamed["username"] = "anna@x.example".into();
    run.export(&[person(0), renamed]);
    run.reconcile(0);
    run
}

/// Type and username of what `events tail` shows.
#[track_caller]
fn shown(run: &RealBinary, arguments: &[&str]) -> Vec<(String, String)> {
    let count: &[&str] = if arguments.contains(&"-n") { &[] } else { &["-n", "100"] };
    let output = run.run(&[&["events", "tail"], count, arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let events: Vec<Value> = match arguments.contains(&"--json") {
        true => serde_json::from_str(&text).expect("one document"),
        false => text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect(),
    };
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    events.iter().map(|event| (text(&event["event_type"]), text(&event["resource"]["username"]))).collect()
}

#[test]
fn the_log_is_shown_by_user_type_and_outcome() {
    let run = story();
    let is = |found: Vec<(String, String)>, expected: &[(&str, &str)]| {
        let found: Vec<_> = found.iter().map(|(kind, name)| (kind.as_str(), name.as_str())).collect();
        assert_eq!(found, expected);
    };
    let (made, renamed, gone) = ("user_create_provision", "user_update_provision", "user_delete_provision");
    // The username at Rhombus is never changed.
    let of_anna = [(made, "p1@x.example"), (renamed, "p1@x.example")];
    // As `history` finds a user: by id, by the name that the directory has today, and by the one in the log.
    for user in ["id-00001", "Anna@x.example", "p1@x.example"] {
        is(shown(&run, &["--user", user]), &of_anna);
        is(shown(&run, &["--user", user, "--json"]), &of_anna);
    }
    is(shown(&run, &["--user", "p2@x.example", "--kind", gone]), &[(gone, "p2@x.example")]);
    let both = shown(&run, &["--kind", gone, "--kind", renamed]);
    assert_eq!(both.len(), 2, "{both:?}");
    is(shown(&run, &["--kind", "reconcile_completed", "-n", "1"]), &[("reconcile_completed", "")]);
    // A username is never changed, which is told as a failure.
    let not_renamed = (renamed, "p1@x.example");
    is(shown(&run, &["--outcome", "failure"]), &[not_renamed]);
    assert_eq!(shown(&run, &["--outcome", "success"]).len() + 1, shown(&run, &[]).len());

    std::fs::write(run.path("sandbox/token"), "another").expect("written");
    run.reconcile(1);
    is(shown(&run, &["--outcome", "failure"]), &[not_renamed, ("reconcile_failed", "")]);
    for (arguments, exit, said) in [
        (["--user", "nobody@x.example"], 1, "no audit events for `nobody@x.example`"),
        (["--kind", "user_created"], 2, "user_create_provision"),
        (["--outcome", "maybe"], 2, "success, failure"),
    ] {
        let output = run.run(&[&["events", "tail"], &arguments[..]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(exit) && error.contains(said), "{error}");
    }
}

#[test]
fn it_follows_what_was_asked_for_and_ends_well_at_a_signal() {
    for signal in ["INT", "TERM"] {
        let run = story();
        let arguments =
            ["events", "tail", "-f", "-n", "0", "--kind", "user_delete_provision", "--user", "p0@x.example"];
        let mut tail = run.command(&arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(tail.stdout.take().expect("its output")).lines();
        // One leaves, and somebody joins; only one of the events was asked for.
        let mut renamed = person(1);
        renamed["username"] = "anna@x.example".into();
        run.export(&[renamed, person(7)]);
        run.reconcile(0);
        let line = lines.next().expect("a line").expect("text");
        let event: Value = serde_json::from_str(&line).expect("an event");
        assert_eq!(
            (&event["event_type"], &event["resource"]["username"]),
            (&"user_delete_provision".into(), &"p0@x.example".into())
        );
        let sent = Command::new("kill").args([format!("-{signal}"), tail.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        assert_eq!(tail.wait().expect("its end").code(), Some(0), "{signal}");
        assert!(lines.next().is_none(), "nothing else was shown");
    }
}
