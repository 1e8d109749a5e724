//! The barrier: no request and no event leaves before the commit that it rests on is at the replica, whatever Litestream does.

use crate::daemon::{Daemon, rarely, until};
use crate::support::litestream::{Mood, StandIn};
use crate::support::real_binary::{RealBinary, people, person};
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

const QUICK: Mood = Mood::Answers(Duration::ZERO);
/// Longer than a commit, so that whatever does not wait is seen.
const SLOW: Mood = Mood::Answers(Duration::from_millis(30));
/// Longer than anything here waits.
const NEVER: &str = "10m";
/// What counts as at once, on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(5);

/// An active run whose requests and events go to endpoint and receiver of a stand-in.
struct Led {
    run: RealBinary,
    litestream: StandIn,
}

impl Led {
    fn open(lag_max: &str) -> Self {
        let mut run = RealBinary::open("");
        let litestream = StandIn::start(run.folder.path(), QUICK);
        let endpoint = litestream.endpoint();
        run.base_url.clone_from(&endpoint.base_url);
        run.configure("");
        let receiver = endpoint.base_url.replace("/scim/v2", "/events");
        let socket = litestream.socket.display();
        let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
        let text = text.replace(
            "kind = \"file\"\npath = \"events.ndjson\"\n",
            &format!("kind = \"http\"\nstyle = \"ndjson\"\nurl = \"{receiver}\"\n"),
        );
        let standby =
            format!("[standby]\nlitestream = \"unix://{socket}\"\nreplica = \"file:///r\"\nlag_max = \"{lag_max}\"\n");
        std::fs::write(run.path("config.toml"), text + &standby).expect("written");
        run.export(&people(0..12));
        run.activate();
        run.lead();
        Self { run, litestream }
    }

    fn status(&self) -> Value {
        serde_json::from_slice(&self.run.run(&["status", "--json"]).stdout).expect("JSON")
    }

    /// What left before it was replicated.
    #[track_caller]
    fn judge(&self, accounts_count: usize) {
        assert_eq!(self.litestream.violations(), Vec::<String>::new());
        assert_eq!(self.litestream.accounts().len(), accounts_count, "nobody is made twice");
        let head = self.status()["head"]["sequence"].as_u64().expect("a number");
        assert_eq!(self.litestream.events_count() as u64, head, "every event is there");
    }
}

#[test]
fn requests_and_events_wait_for_the_replica_and_share_a_call() {
    let led = Led::open(NEVER);
    led.litestream.be(SLOW);
    let before = led.litestream.syncs_count();
    let report = led.run.reconcile(0);
    assert_eq!(report["created"], 12, "{report}");
    let calls_count = led.litestream.syncs_count() - before;
    assert!((2..24).contains(&calls_count), "12 intents and 12 outcomes share {calls_count} calls");
    led.run.export(&people(0..9));
    let report = led.run.reconcile(0);
    assert_eq!(report["deleted"], 3, "{report}");
    led.judge(9);
    let state = led.run.path("state.db");
    for body in led.litestream.bodies() {
        assert_eq!(body, serde_json::json!({"path": state, "wait": true}));
    }
}

#[test]
fn a_kill_between_commit_and_replica_has_sent_nothing() {
    let led = Led::open(NEVER);
    let begin = || led.run.command(&["--reconcile"]).stderr(Stdio::null()).spawn().expect("it starts");
    led.litestream.be(Mood::Hangs);
    let asked = led.litestream.bodies().len();
    let mut child = begin();
    until("a commit waits", || led.litestream.bodies().len() > asked);
    child.kill().expect("killed");
    child.wait().expect("dead");
    assert!(led.litestream.accounts().is_empty());
    // Now commits get through, and the process dies somewhere after its first intents.
    led.litestream.be(SLOW);
    let mut child = begin();
    until("intents wait", || !led.litestream.asked().intents.is_empty());
    child.kill().expect("killed");
    child.wait().expect("dead");
    led.litestream.be(QUICK);
    led.run.run(&["--reconcile"]);
    led.run.reconcile(0);
    led.judge(12);
}

#[test]
fn a_replica_that_is_silent_refuses_or_breaks_off_is_gone_on_without_and_said() {
    for mood in [Mood::Hangs, Mood::Refuses, Mood::Half] {
        let led = Led::open("1s");
        led.litestream.be(mood);
        let started = Instant::now();
        let output = led.run.run(&["--reconcile", "--json"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{mood:?}: {said}");
        assert!(started.elapsed() >= Duration::from_secs(1), "{mood:?}: it waits first");
        assert!(said.contains("the replica is behind"), "{mood:?}: {said}");
        assert_eq!(led.litestream.accounts().len(), 12, "{mood:?}");
        let status = led.status();
        assert!(status["replica"]["behind_since"].is_string(), "{mood:?}: {status}");
        let text = String::from_utf8(led.run.run(&["status"]).stdout).expect("text");
        assert!(text.contains("replica   behind since ") && text.contains("another host would lack"), "{text}");
        // Another process finds it well again.
        led.litestream.be(QUICK);
        led.run.export(&people(0..13));
        let report = led.run.reconcile(0);
        assert_eq!(report["created"], 1, "{report}");
        assert!(led.status()["replica"].is_null(), "{mood:?}: {}", led.status());
    }
}

#[test]
fn the_tables_that_litestream_keeps_in_a_state_are_no_strangers() {
    let led = Led::open(NEVER);
    let state = rusqlite::Connection::open(led.run.path("state.db")).expect("the state");
    state.execute_batch("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); CREATE TABLE _litestream_lock (id INTEGER);")
        .expect("as Litestream makes them");
    led.run.reconcile(0);
    // Only tables, and only these.
    state
        .execute_batch("CREATE TRIGGER _litestream_x AFTER INSERT ON events BEGIN DELETE FROM events; END")
        .expect("made");
    let output = led.run.run(&["--reconcile"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("has a trigger _litestream_x"), "{output:?}");
}

#[test]
fn without_a_socket_it_is_behind_and_check_says_so() {
    let led = Led::open("1s");
    let output = led.run.run(&["check", "--online"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("  replica: file:///r, by Litestream at "), "{output:?}");
    std::fs::remove_file(&led.litestream.socket).expect("removed");
    let output = led.run.run(&["check", "--online"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the replica does not answer") && said.contains("hint: Litestream 0.5 must run with"),
        "{said}"
    );
    assert!(led.run.run(&["check"]).status.success(), "it asks nobody");
    led.run.reconcile(0);
    let error = led.status()["replica"]["error"].to_string();
    assert!(error.contains("there is no control socket"), "{error}");
}

#[test]
fn a_daemon_takes_the_barrier_up_again_by_itself() {
    let led = Led::open("1s");
    rarely(&led.run);
    led.litestream.be(Mood::Refuses);
    let mut daemon = Daemon::start(&led.run, &[]);
    until("it goes on alone", || led.litestream.accounts().len() == 12);
    until("it says so", || led.status()["replica"]["behind_since"].is_string());
    led.litestream.be(QUICK);
    until("it notices", || led.status()["replica"].is_null());
    led.litestream.be(SLOW);
    let before = led.litestream.violations().len();
    led.run.export(&people(0..14));
    until("it goes on", || led.litestream.accounts().len() == 14);
    daemon.signal("TERM");
    assert_eq!(daemon.exit(), Some(0));
    assert_eq!(led.litestream.violations().len(), before, "{:?}", led.litestream.violations());
}

#[test]
fn commands_and_signals_do_not_wait_for_a_replica_that_hangs() {
    let led = Led::open(NEVER);
    rarely(&led.run);
    let mut daemon = Daemon::start(&led.run, &[]);
    until("the first load", || led.litestream.accounts().len() == 12);
    until("all of its events", || led.litestream.events_count() as u64 == led.status()["head"]["sequence"]);
    led.litestream.be(Mood::Hangs);
    let mut users = people(0..12);
    users.push(person(20));
    led.run.export(&users);
    let asked = led.litestream.bodies().len();
    until("a commit waits", || led.litestream.bodies().len() > asked);
    let started = Instant::now();
    assert!(led.run.run(&["status"]).status.success());
    assert!(led.run.run(&["deactivate"]).status.success());
    assert!(started.elapsed() < AT_ONCE, "it took {:?}", started.elapsed());
    let started = Instant::now();
    daemon.signal("TERM");
    assert_eq!(daemon.exit(), Some(0));
    assert!(started.elapsed() < AT_ONCE, "it took {:?}", started.elapsed());
    assert_eq!(led.litestream.accounts().len(), 12, "nothing left meanwhile");
    assert_eq!(led.litestream.violations(), Vec::<String>::new());
}

#[test]
fn a_run_that_waits_for_its_replica_obeys_a_signal() {
    let led = Led::open(NEVER);
    led.litestream.be(Mood::Hangs);
    let asked = led.litestream.bodies().len();
    let mut child =
        led.run.command(&["--reconcile"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until("a commit waits", || led.litestream.bodies().len() > asked);
    let started = Instant::now();
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    assert!(started.elapsed() < AT_ONCE, "it took {:?}", started.elapsed());
    assert!(led.litestream.accounts().is_empty() && led.litestream.violations().is_empty());
}
