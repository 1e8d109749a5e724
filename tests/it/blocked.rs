//! What blocks: a sink that nobody reads, a checksum that is waited for, an export that is long. None of it holds up another
//! sink, a signal, a command or the watchdog.

use crate::support::real_binary::{RealBinary, people, person};
use serde_json::Value;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that anything here may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(30);
/// What counts as at once, on a machine that is busy.
const AT_ONCE: Duration = Duration::from_millis(500);
/// How long a run waits for its sinks.
const SINKS_WAIT: Duration = Duration::from_secs(10);

/// A process that is killed when the test ends. Its standard output is a pipe that nobody reads.
struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Unread {
    fn start(run: &RealBinary, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(run.path("log")).expect("a log");
        let mut command = run.command(&[&["--log-format", "text"], arguments].concat());
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(log);
        Self(command.spawn().expect("it starts"))
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.0.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end; its exit code, and how long that took.
    fn exit(&mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return (status.code(), started.elapsed());
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits until something is so; how long that took.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    started.elapsed()
}

fn log(run: &RealBinary) -> String {
    std::fs::read_to_string(run.path("log")).unwrap_or_default()
}

fn edit(run: &RealBinary, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), change(text)).expect("written");
}

const RARELY: &str = "[schedule]\ncron = \"0 0 0 1 1 *\"\nrefresh_cron = \"\"\n";

/// A run with an unread stdout sink before its file sink, and more newcomers than a pipe holds events.
fn unread(users_count: usize) -> RealBinary {
    let run = RealBinary::open("");
    edit(&run, |text| text.replace("[[sinks]]", "[[sinks]]\nkind = \"stdout\"\nname = \"unread\"\n[[sinks]]") + RARELY);
    run.export(&people(0..users_count));
    run.activate();
    run
}

fn events_count(run: &RealBinary) -> usize {
    std::fs::read_to_string(run.path("events.ndjson")).unwrap_or_default().lines().count()
}

/// A sink as `status` shows it.
fn sink(run: &RealBinary, name: &str) -> Value {
    let status: Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON");
    let sinks = status["sinks"].as_array().cloned().unwrap_or_default();
    sinks.into_iter().find(|sink| sink["name"] == name).unwrap_or_else(|| panic!("no sink {name} in {status}"))
}

#[test]
fn a_run_whose_stdout_nobody_reads_ends_and_its_other_sinks_have_everything() {
    let run = unread(300);
    let mut child = Unread::start(&run, &["--reconcile"], &[]);
    let (exit, took) = child.exit();
    assert_eq!(exit, Some(0), "{}", log(&run));
    assert!(took < SINKS_WAIT + Duration::from_secs(8), "it took {took:?}");
    assert_eq!(run.accounts().len(), 300);
    assert!(log(&run).contains("a sink is behind; its events stay queued"), "{}", log(&run));
    let file = format!("file:{}", run.path("events.ndjson").display());
    let (unread, file) = (sink(&run, "unread"), sink(&run, &file));
    assert_eq!((&file["pending"], &file["error"], &file["since"]), (&0.into(), &Value::Null, &Value::Null), "{file}");
    // What `activate` wrote to the log it delivered by itself, to a standard output that was read.
    assert_eq!(unread["delivered"], 1, "{unread}");
    assert_eq!(unread["pending"].as_i64(), file["delivered"].as_i64().map(|count| count - 1), "{unread}");
    assert_eq!(unread["error"], "it accepts nothing", "{unread}");
    assert!(unread["since"].is_string() && unread["dead_letters"] == 0 && unread["kind"] == "stdout", "{unread}");
    let text = String::from_utf8(run.run(&["status"]).stdout).expect("text");
    assert!(
        text.contains("unread: 1 delivered, ") && text.contains("; stuck for ") && text.contains("it accepts nothing"),
        "{text}"
    );
    // A reader that comes back gets all of it, and the sink is well again.
    assert!(run.run(&["--reconcile"]).status.success());
    let unread = sink(&run, "unread");
    assert_eq!((&unread["pending"], &unread["error"], &unread["since"]), (&0.into(), &Value::Null, &Value::Null));
}

#[test]
fn a_run_that_waits_for_its_sinks_obeys_a_signal() {
    for name in ["TERM", "INT"] {
        let run = unread(300);
        let mut child = Unread::start(&run, &["--reconcile"], &[]);
        until("the file has its events", || events_count(&run) >= 302);
        child.signal(name);
        let (exit, took) = child.exit();
        assert_eq!(exit, Some(0), "what is left stays queued and changes no exit code: {}", log(&run));
        assert!(took < AT_ONCE, "{name}: it took {took:?}");
        assert!(log(&run).contains("a sink is behind; its events stay queued"), "{}", log(&run));
    }
}

#[test]
fn a_sink_that_is_stuck_starves_no_other_is_named_and_holds_up_neither_a_reload_nor_the_end() {
    let run = unread(300);
    let mut daemon = Unread::start(&run, &[], &[]);
    until("the file has the whole first load", || events_count(&run) >= 302);
    assert!(sink(&run, "unread")["error"].is_null(), "it may be slow");
    until("the stuck one is named", || sink(&run, "unread")["error"] == "it accepts nothing");
    let stuck = sink(&run, "unread");
    assert!(stuck["since"].is_string());
    run.export(&people(0..310));
    until("the file goes on", || events_count(&run) >= 313);
    edit(&run, |text| text.replace("name = \"unread\"", "name = \"renamed\""));
    daemon.signal("HUP");
    let took = until("the reload", || log(&run).contains("is in force"));
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    assert_eq!(sink(&run, "renamed")["delivered"], stuck["delivered"], "it keeps its place");
    daemon.signal("TERM");
    let (exit, took) = daemon.exit();
    assert_eq!(exit, Some(0));
    // The worker that came to the renamed sink's place has nothing in its hands.
    assert!(took < Duration::from_secs(3), "it took {took:?}");
}

/// A run that waits for a checksum that does not fit.
fn waits_for_a_checksum() -> RealBinary {
    let run = RealBinary::open("");
    edit(&run, |text| text + RARELY);
    run.export(&people(0..3));
    run.activate();
    std::fs::write(run.path("directory.json.sha256"), "0".repeat(64)).expect("a checksum");
    run
}

#[test]
fn a_checksum_that_is_waited_for_makes_nobody_deaf() {
    let run = waits_for_a_checksum();
    let mut daemon = Unread::start(&run, &[], &[]);
    until("it is active", || log(&run).contains("active"));
    std::thread::sleep(Duration::from_millis(700));
    assert!(!log(&run).contains("a cycle"), "it still waits: {}", log(&run));
    daemon.signal("TERM");
    let (exit, took) = daemon.exit();
    assert_eq!(exit, Some(0));
    assert!(took < AT_ONCE, "it took {took:?}");
    let mut once = Unread::start(&run, &["--reconcile"], &[]);
    std::thread::sleep(Duration::from_millis(700));
    once.signal("TERM");
    let (exit, took) = once.exit();
    assert_eq!(exit, Some(3), "{}", log(&run));
    assert!(took < AT_ONCE, "it took {took:?}");
}

#[test]
fn a_deactivation_is_obeyed_while_a_checksum_is_waited_for() {
    let run = waits_for_a_checksum();
    let _daemon = Unread::start(&run, &[], &[]);
    until("it is active", || log(&run).contains("active"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(run.run(&["deactivate"]).status.success());
    let took = until("it lets go", || log(&run).contains("idle: deactivated"));
    assert!(took < AT_ONCE, "it took {took:?}");
}

#[test]
fn the_watchdog_is_fed_while_a_checksum_is_waited_for() {
    let run = waits_for_a_checksum();
    let path = run.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let path = path.to_string_lossy().into_owned();
    let _daemon = Unread::start(&run, &[], &[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", "2000000")]);
    let (mut text, mut fed_count) = ([0; 4096], 0);
    while fed_count < 3 {
        let count = socket.recv(&mut text).expect("a sign of life");
        let heard = String::from_utf8_lossy(&text[..count]).into_owned();
        fed_count += heard.matches("WATCHDOG=1").count();
        assert!(!log(&run).contains("a cycle"), "all within one wait");
    }
}

#[test]
fn an_export_that_is_long_to_read_makes_nobody_deaf() {
    let run = RealBinary::open("");
    // Refused once it is read to its end: the reading is all there is.
    edit(&run, |text| text.replace("[directory]", "[directory]\nmin_users = 10000000") + RARELY);
    run.export(&people(0..3));
    run.activate();
    let one = person(0).to_string();
    std::fs::write(run.path("directory.json"), format!("{}\n", one).repeat(1_500_000)).expect("a long export");
    let started = Instant::now();
    let _daemon = Unread::start(&run, &[], &[]);
    until("it is active", || log(&run).contains("active"));
    assert!(run.run(&["deactivate"]).status.success());
    let took = until("it lets go", || log(&run).contains("idle: deactivated"));
    assert!(took < AT_ONCE, "it took {took:?}");
    assert!(!log(&run).contains("a cycle failed") || log(&run).contains("deactivated while"), "{}", log(&run));
    eprintln!("stopped {:?} after its start", started.elapsed());
}

#[test]
fn a_sink_whose_place_another_write_still_holds_is_shown_as_stuck() {
    let run = unread(300);
    let daemon = Unread::start(&run, &[], &[]);
    until("the file sink has everything", || events_count(&run) >= 302);
    edit(&run, |text| text.replace("name = \"unread\"", "name = \"renamed\""));
    daemon.signal("HUP");
    until("the configuration is in force", || log(&run).contains("is in force"));
    until("it is shown", || sink(&run, "renamed")["error"] == "it accepts nothing");
    assert!(sink(&run, "renamed")["since"].is_string());
}

#[test]
fn a_configuration_that_is_a_pipe_is_waited_for_by_nobody() {
    let run = RealBinary::open("");
    edit(&run, |text| text + RARELY);
    run.export(&people(0..3));
    run.activate();
    let text = std::fs::read(run.path("config.toml")).expect("a configuration");
    let daemon = Unread::start(&run, &[], &[]);
    until("it is active", || log(&run).contains("active"));
    std::fs::remove_file(run.path("config.toml")).expect("removed");
    assert!(Command::new("mkfifo").arg(run.path("config.toml")).status().expect("mkfifo").success());
    daemon.signal("HUP");
    until("the reload is refused", || log(&run).contains("it is not a regular file"));
    std::fs::remove_file(run.path("config.toml")).expect("removed");
    std::fs::write(run.path("config.toml"), text).expect("written");
    daemon.signal("HUP");
    until("the configuration is in force", || log(&run).contains("is in force"));
}
