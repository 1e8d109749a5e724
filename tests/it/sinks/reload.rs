//! Sinks that come, go, and change while the daemon runs: SIGHUP, and no event is lost or sent to the wrong one.

use super::binary::{add, lines, sink};
use crate::daemon::{Daemon, rarely, until};
use crate::support::raw_endpoint::Endpoint;
use crate::support::real_binary::{RealBinary, people};
use std::os::unix::fs::PermissionsExt;

fn receiver() -> Endpoint {
    Endpoint::start(|asked| asked.answer(200, "", ""))
}

/// What a receiver got, line by line.
fn got(receiver: &Endpoint) -> Vec<String> {
    let bodies = receiver.seen().into_iter().filter_map(|request| Some(request.split_once("\r\n\r\n")?.1.to_owned()));
    bodies.flat_map(|body| body.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn configure(run: &RealBinary, sinks: &[String]) {
    run.configure("");
    rarely(run);
    sinks.iter().for_each(|sink| add(run, sink));
}

fn http(name: &str, receiver: &Endpoint, keys: &str) -> String {
    format!("kind = \"http\"\nname = \"{name}\"\nstyle = \"ndjson\"\nurl = \"{}\"\n{keys}", receiver.base_url)
}

#[test]
fn sinks_are_added_renamed_and_removed_without_a_loss_or_a_repetition() {
    let (first, second) = (receiver(), receiver());
    let run = RealBinary::open("");
    configure(&run, &[http("one", &first, "")]);
    run.export(&people(0..3));
    run.activate();
    let daemon = Daemon::start(&run, &[]);
    let arrives = |receiver: &Endpoint, what: &str| {
        until(what, || lines(&run).last().is_some_and(|last| got(receiver).last() == Some(last)));
    };
    until("the first load", || run.accounts().len() == 3);
    arrives(&first, "it arrives at the first sink");
    // Added: it gets the log from its beginning.
    configure(&run, &[http("one", &first, ""), http("two", &second, "")]);
    daemon.signal("HUP");
    until("the log is there", || got(&second) == lines(&run));
    // Renamed, and the other one removed: the place in the log stays, and nothing goes twice.
    configure(&run, &[http("uno", &first, "")]);
    daemon.signal("HUP");
    until("it is renamed", || {
        let status: serde_json::Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON");
        let names: Vec<_> =
            status["sinks"].as_array().expect("a list").iter().map(|sink| sink["name"].clone()).collect();
        names.len() == 2 && names.contains(&"uno".into())
    });
    let before = got(&second).len();
    run.export(&people(0..4));
    until("a change", || run.accounts().len() == 4);
    arrives(&first, "it arrives at the renamed sink");
    until("each event is there once", || got(&first) == lines(&run));
    assert_eq!(got(&second).len(), before, "a sink that was removed gets nothing");
    // Back again: it goes on where it was.
    configure(&run, &[http("uno", &first, ""), http("two", &second, "")]);
    daemon.signal("HUP");
    until("it has all", || got(&second) == lines(&run));
    assert_eq!((sink(&run, "two")["pending"].as_i64(), sink(&run, "uno")["pending"].as_i64()), (Some(0), Some(0)));
}

#[test]
fn a_token_that_is_replaced_or_lies_elsewhere_is_taken_up() {
    let receiver = receiver();
    let run = RealBinary::open("");
    let secret = |name: &str, text: &str| {
        std::fs::write(run.path(name), text).expect("written");
        std::fs::set_permissions(run.path(name), PermissionsExt::from_mode(0o600)).expect("closed");
    };
    secret("a", "CANARY-A");
    secret("b", "CANARY-B");
    configure(&run, &[http("siem", &receiver, "token_file = \"a\"")]);
    run.export(&people(0..1));
    run.activate();
    let daemon = Daemon::start(&run, &[]);
    let with = |token: &str| receiver.seen().last().is_some_and(|head| head.contains(&format!("Bearer {token}\r\n")));
    until("it is sent", || with("CANARY-A"));
    until("the first load", || run.accounts().len() == 1);
    configure(&run, &[http("siem", &receiver, "token_file = \"b\"")]);
    daemon.signal("HUP");
    run.export(&people(0..2));
    until("the other file is used", || with("CANARY-B"));
    secret("b", "CANARY-C");
    run.export(&people(0..3));
    until("what is in it now is used", || with("CANARY-C"));
    // A configuration that cannot be used changes nothing.
    configure(&run, &[http("siem", &receiver, "token_file = \"missing\"\nindex = \"x\"")]);
    daemon.signal("HUP");
    run.export(&people(0..4));
    until("the old one goes on", || got(&receiver).last().is_some_and(|last| lines(&run).last() == Some(last)));
    until("the last change", || run.accounts().len() == 4);
}
