//! The monitor of a real daemon: when it is red and why, what a scraper and a browser get, the heartbeat, reload.

use crate::support::raw_endpoint::Endpoint;
use crate::support::real_binary::{RealBinary, people};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that anything here may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon with a monitor, killed when the test ends.
struct Watched<'r> {
    run: &'r RealBinary,
    daemon: Child,
    address: String,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// Adds `[monitor]` on a free port, and a quiet schedule.
fn configure(run: &RealBinary, cron: &str, keys: &str) {
    run.configure("");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let schedule = format!("[schedule]\ncron = \"{cron}\"\nrefresh_cron = \"\"\n");
    let monitor = format!("[monitor]\nlisten = \"127.0.0.1:0\"\n{keys}\n");
    std::fs::write(run.path("config.toml"), format!("{text}{schedule}{monitor}")).expect("written");
}

const RARELY: &str = "0 0 0 1 1 *";
const OFTEN: &str = "* * * * * *";

#[track_caller]
fn until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl<'r> Watched<'r> {
    fn start(run: &'r RealBinary, arguments: &[&str]) -> Self {
        let log = std::fs::File::create(run.path("daemon.log")).expect("a log");
        let mut command = run.command(&[&["--log-format", "text"], arguments].concat());
        let daemon = command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let mut watched = Self { run, daemon, address: String::new() };
        watched.address = until("it says where it listens", || {
            let log = watched.log();
            let (_, rest) = log.split_once("the monitor listens address=")?;
            Some(rest.lines().next()?.to_owned())
        });
        watched
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.run.path("daemon.log")).unwrap_or_default()
    }

    /// The whole answer to a request as it stands.
    fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = self.raw(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
    }

    fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?.to_owned();
        line.parse().ok()
    }

    /// Waits until `/healthz` answers so, and says so.
    #[track_caller]
    fn until_healthz(&self, status: u16, says: &str) -> String {
        until(&format!("{status}: {says}"), || {
            let (found, text) = self.get("/healthz");
            (found == status && text.contains(says)).then_some(text)
        })
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.daemon.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }
}

#[test]
fn healthz_is_red_without_a_state_or_a_good_cycle_and_not_if_deactivated() {
    let run = RealBinary::open("");
    configure(&run, OFTEN, "unhealthy_after = \"2s\"");
    run.export(&people(0..3));
    let watched = Watched::start(&run, &[]);
    watched.until_healthz(503, "there is no state yet");
    run.activate();
    watched.until_healthz(200, "ok: last good cycle");
    std::fs::write(run.path("directory.json"), "[").expect("a torn export");
    let red = watched.until_healthz(503, "directory.json is rejected as a whole");
    assert!(red.starts_with("red since "), "{red}");
    let status = run.run(&["status", "--exit-code"]);
    assert_eq!(status.status.code(), Some(1), "status counts by the same time");
    run.export(&people(0..3));
    watched.until_healthz(200, "ok: last good cycle");
    assert!(run.run(&["deactivate"]).status.success());
    watched.until_healthz(200, "deactivated");
    until("it lets go of the state", || watched.log().contains("idle: deactivated").then_some(()));
    std::fs::write(run.path("other.db"), "this is not a database, and longer than nothing").expect("written");
    std::fs::rename(run.path("other.db"), run.path("state.db")).expect("another file");
    watched.until_healthz(503, "state.db");
}

#[test]
fn a_refused_token_and_a_failed_removal_are_red_and_name_nobody() {
    let run = RealBinary::open_with_faults("", "delete_400:1,patch_400:1,put_400:1");
    configure(&run, RARELY, "unhealthy_after = \"2s\"");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    run.export(&people(0..2));
    let watched = Watched::start(&run, &[]);
    let red = watched.until_healthz(503, "the removal of id-00002 failed");
    assert!(!red.contains('@'), "{red}");
    let page = watched.get("/").1;
    assert!(page.contains("id-00002") && page.contains("explain id-00002"), "{page}");
    let metrics = watched.get("/metrics").1;
    assert!(!page.contains("x.example") && !metrics.contains("x.example") && !page.contains("Doe"), "nobody's name");
    assert_eq!(watched.metric("rhombus_sync_users{state=\"failed\"}"), Some(1.0));
    assert_eq!(watched.metric("rhombus_sync_changes_total{action=\"deactivate\",outcome=\"accepted\"}"), Some(0.0));
    let since = watched.metric("rhombus_sync_oldest_pending_removal_timestamp_seconds").expect("a removal waits");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    assert!((0.0..60.0).contains(&(now - since)), "{since}");
    drop(watched);
    std::fs::write(run.path("other"), "not-the-token").expect("written");
    std::fs::rename(run.path("other"), run.path("sandbox/token")).expect("another token");
    Command::new("chmod").args(["600".as_ref(), run.path("sandbox/token").as_os_str()]).status().expect("chmod");
    configure(&run, RARELY, "unhealthy_after = \"1h\"");
    Watched::start(&run, &[]).until_healthz(503, "Rhombus refuses the token");
}

#[test]
fn what_is_held_is_on_the_page_with_its_command_and_nothing_can_be_changed() {
    let run = RealBinary::open("");
    configure(&run, RARELY, "");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let (before, after) = text.split_once("[guard.absent]\ncount_free = 100000\npercent_max = 100\n").expect("wide");
    let narrow = format!("{before}[guard.absent]\ncount_free = 1\npercent_max = 10\n{after}");
    std::fs::write(run.path("config.toml"), narrow).expect("written");
    run.export(&people(0..10));
    run.activate();
    run.reconcile(0);
    run.export(&people(0..6));
    let watched = Watched::start(&run, &[]);
    until("it is held", || watched.metric("rhombus_sync_users{state=\"held\"}").filter(|held| *held == 4.0));
    let page = watched.get("/").1;
    let hold = run.run(&["status", "--json"]).stdout;
    let hold = serde_json::from_slice::<serde_json::Value>(&hold).expect("a document")["hold"].clone();
    let approve = format!("config.toml approve {}</code>", &hold.as_str().expect("a hold")[..8]);
    assert!(page.contains("held: 4 users (delete)") && page.contains(&approve), "{page}");
    for (request, status) in [
        (format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", watched.address), "405"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), "421"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n".to_owned(), "4"),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "421"),
        ("GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "404"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), "200"),
    ] {
        let answer = watched.raw(&request);
        assert!(answer.split(' ').nth(1).is_some_and(|found| found.starts_with(status)), "{request}{answer}");
    }
    let head = watched.raw("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    let policy = head.lines().find(|line| line.starts_with("content-security-policy:")).expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[test]
fn a_reload_that_moves_the_monitor_is_refused_and_one_that_does_not_is_taken() {
    let run = RealBinary::open("");
    configure(&run, RARELY, "unhealthy_after = \"1h\"");
    run.export(&people(0..2));
    run.activate();
    let watched = Watched::start(&run, &[]);
    watched.until_healthz(200, "ok: last good cycle");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), text.replace("127.0.0.1:0", "127.0.0.1:1")).expect("written");
    watched.signal("HUP");
    until("it is refused", || watched.log().contains("[monitor] listen needs a restart").then_some(()));
    std::fs::write(run.path("config.toml"), text.replace("\"1h\"", "\"1s\"")).expect("written");
    watched.signal("HUP");
    watched.until_healthz(503, "no good cycle for");
}

#[test]
fn the_heartbeat_is_asked_after_each_good_cycle_of_the_real_thing() {
    let run = RealBinary::open("");
    let switch = Endpoint::start(|asked| asked.answer(302, "Location: /elsewhere\r\n", ""));
    let url = switch.base_url.replace("/scim/v2", "/ping/s3cret");
    std::fs::write(run.path("beat"), &url).expect("written");
    let mode = |mode: &str| Command::new("chmod").args([mode.as_ref(), run.path("beat").as_os_str()]).status();
    mode("644").expect("chmod");
    configure(&run, RARELY, "heartbeat_url_file = \"beat\"");
    assert_eq!(run.run(&["check"]).status.code(), Some(78), "others can read it");
    mode("600").expect("chmod");
    run.export(&people(0..2));
    run.activate();
    assert_eq!(run.run(&["--reconcile", "--only", "id-00001"]).status.code(), Some(0));
    assert!(switch.seen().is_empty(), "that was not for everybody");
    run.reconcile(0);
    assert_eq!(switch.seen().len(), 1);
    {
        let sandbox = Watched::start(&run, &["--sandbox"]);
        sandbox.until_healthz(200, "ok: last good cycle");
    }
    assert_eq!(switch.seen().len(), 1, "a sandbox run says nothing of the real thing");
    let watched = Watched::start(&run, &[]);
    until("it is asked", || (switch.seen().len() >= 2).then_some(()));
    watched.until_healthz(200, "ok: last good cycle");
    std::fs::write(run.path("directory.json"), "[").expect("a torn export");
    watched.signal("USR1");
    until("a failed cycle", || {
        watched.metric("rhombus_sync_cycles_total{result=\"failed\"}").filter(|count| *count > 0.0)
    });
    run.export(&people(0..3));
    until("another good one", || (switch.seen().len() >= 3).then_some(()));
    let seen = switch.seen();
    assert!(seen.iter().all(|asked| asked.starts_with("GET /ping/s3cret HTTP/1.1\r\n")), "{seen:?}");
    let good = watched.metric("rhombus_sync_cycles_total{result=\"done\"}").expect("good cycles");
    assert!(seen.len() as f64 <= 1.0 + good, "{seen:?} for {good} good cycles");
    until("the log says so", || watched.log().contains("the heartbeat was not accepted").then_some(()));
    assert!(!watched.log().contains("s3cret"), "the address is a secret");
}

#[test]
fn an_address_of_others_is_refused_and_one_in_use_is_named() {
    let run = RealBinary::open("");
    configure(&run, RARELY, "");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), text.replace("127.0.0.1:0", "0.0.0.0:0")).expect("written");
    let output = run.run(&["check"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("allow_remote = true"));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    std::fs::write(run.path("config.toml"), text.replace("127.0.0.1:0", &address)).expect("written");
    let output = run.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("the monitor cannot listen on {address}")) && said.contains("hint:"), "{said}");
}

#[test]
fn a_question_that_does_not_end_keeps_nobody_else_waiting() {
    let run = RealBinary::open("");
    configure(&run, RARELY, "");
    let watched = Watched::start(&run, &[]);
    let slow: Vec<_> = (0..20).map(|_| TcpStream::connect(&watched.address).expect("it listens")).collect();
    for mut stream in &slow {
        stream.write_all(b"GET / HT").expect("sent");
    }
    let long = format!("GET /?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    assert!(!watched.raw(&long).starts_with("HTTP/1.1 200"));
    assert_eq!(watched.get("/healthz").0, 503);
}
