//! What a service manager and its journal see of the program: how it is, always; why it is not well; priorities, and nobody's name.

use crate::support::real_binary::{BINARY, RealBinary, people};
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that anything here may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon, and what it says to its service manager.
struct Service {
    child: Child,
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(run: &RealBinary, environment: &[(&str, &str)]) -> Self {
        let path = run.path("notify");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let log = std::fs::File::create(run.path("daemon.log")).expect("a log");
        let mut command = run.command(&["--log-format", "text"]);
        command.env("NOTIFY_SOCKET", &path).envs(environment.iter().copied()).stdout(Stdio::null()).stderr(log);
        Self { child: command.spawn().expect("it starts"), socket, heard: Vec::new() }
    }

    /// Waits until it says something, in a message that it has not been heard to send yet.
    #[track_caller]
    fn hear(&mut self, what: &str) -> String {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < PATIENCE, "never {what:?}; heard {:#?}", self.heard);
            let mut text = [0; 8192];
            let count =
                self.socket.recv(&mut text).unwrap_or_else(|error| panic!("{what:?}: {error}; {:#?}", self.heard));
            let message = String::from_utf8_lossy(&text[..count]).into_owned();
            self.heard.push(message.clone());
            if message.contains(what) {
                return message;
            }
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    fn exit(&mut self) -> Option<i32> {
        self.child.wait().expect("a child").code()
    }
}

fn rewrite(run: &RealBinary, from: &str, to: &str) {
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    assert!(text.contains(from), "{text}");
    std::fs::write(run.path("config.toml"), text.replace(from, to)).expect("written");
}

fn rarely(run: &RealBinary) {
    rewrite(run, "[state]", "[schedule]\ncron = \"0 0 0 1 1 *\"\nrefresh_cron = \"\"\n[state]");
}

#[test]
fn a_cycle_under_way_and_the_wait_for_its_requests_are_said() {
    let run = RealBinary::open_with_faults("timeout = \"120s\"\nconcurrency_max = 1", "delay_ms:700");
    rarely(&run);
    run.export(&people(0..30));
    run.activate();
    let mut daemon = Service::start(&run, &[]);
    daemon.hear("READY=1");
    daemon.hear("STATUS=a cycle is under way");
    daemon.hear("of 30 changes");
    daemon.signal("TERM");
    daemon.hear("STOPPING=1");
    daemon.hear("STATUS=stopping: requests in flight are finished");
    daemon.hear("STATUS=stopped by a signal");
    assert!(daemon.heard.iter().any(|message| message.contains("EXTEND_TIMEOUT_USEC=")), "{:#?}", daemon.heard);
    assert_eq!(daemon.exit(), Some(0));
}

#[test]
fn a_refused_reload_stays_in_the_status_until_one_is_taken() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    run.activate();
    let mut daemon = Service::start(&run, &[]);
    daemon.hear("STATUS=done: 3 provisioned");
    rewrite(&run, "[scope]", "[scoop]");
    daemon.signal("HUP");
    let said = daemon.hear("the reload was refused");
    assert!(said.contains("STATUS=done: 3 provisioned"), "how it is comes first: {said}");
    daemon.signal("USR1");
    daemon.hear("a cycle is under way");
    let said = daemon.hear("STATUS=done: 3 provisioned");
    assert!(said.contains("the reload was refused"), "a cycle does not hide it: {said}");
    rewrite(&run, "[scoop]", "[scope]");
    daemon.signal("HUP");
    let said = daemon.hear("STATUS=done: 3 provisioned");
    assert!(!said.contains("refused"), "{said}");
}

#[test]
fn a_stuck_sink_is_in_the_status_and_its_recovery_too() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    run.activate();
    rewrite(&run, "events.ndjson", "logs/events.ndjson");
    std::fs::write(run.path("logs"), "in the way").expect("a file");
    let mut daemon = Service::start(&run, &[]);
    let said = daemon.hear(" is stuck");
    assert!(said.contains("events wait: "), "{said}");
    std::fs::remove_file(run.path("logs")).expect("removed");
    std::fs::create_dir(run.path("logs")).expect("a folder");
    std::fs::set_permissions(run.path("logs"), std::fs::Permissions::from_mode(0o700)).expect("a mode");
    daemon.signal("USR1");
    let started = Instant::now();
    while daemon.hear("STATUS=").contains("is stuck") {
        assert!(started.elapsed() < PATIENCE, "it stays stuck: {:#?}", daemon.heard);
    }
}

#[test]
fn a_missing_token_file_is_named_and_waited_for() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    run.activate();
    let token = std::fs::read(run.path("sandbox/token")).expect("a token");
    std::fs::remove_file(run.path("sandbox/token")).expect("removed");
    let mut daemon = Service::start(&run, &[]);
    let said = daemon.hear("STATUS=idle: ");
    assert!(said.contains("sandbox/token"), "{said}");
    daemon.hear("READY=1");
    let path = run.path("sandbox/token.new");
    std::fs::write(&path, token).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::rename(path, run.path("sandbox/token")).expect("renamed");
    daemon.hear("STATUS=done: 3 provisioned");
}

#[test]
fn a_credential_that_is_missing_or_refused_names_the_unit() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    run.activate();
    rewrite(&run, "token_file = \"sandbox/token\"", "token_credential = \"rhombus-token\"");
    let credentials = run.path("credentials");
    std::fs::create_dir(&credentials).expect("a folder");
    let private = |text: &str| {
        let path = credentials.join("rhombus-token");
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).expect("a mode");
    };
    let folder = credentials.to_string_lossy().into_owned();
    private("");
    let mut daemon = Service::start(&run, &[("CREDENTIALS_DIRECTORY", &folder)]);
    let said = daemon.hear("STATUS=stopped: ");
    assert!(said.contains("LoadCredential=") && said.contains("/etc/rhombus-sync/token"), "{said}");
    assert_eq!(daemon.exit(), Some(78), "a restart does not bring it");
    std::fs::remove_file(credentials.join("rhombus-token")).expect("removed");
    private("wrong");
    let mut daemon = Service::start(&run, &[("CREDENTIALS_DIRECTORY", &folder)]);
    let said = daemon.hear("Rhombus refuses the token");
    assert!(said.contains("LoadCredential=") && said.contains("restart the service"), "{said}");
    assert!(!said.contains("token file"), "there is no token file: {said}");
    let output = run.command(&["check", "--online"]).env_remove("CREDENTIALS_DIRECTORY").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("hint: ") && said.contains("systemd-run") && said.contains("LoadCredential="), "{said}");
}

#[test]
fn a_wrong_token_that_lies_there_at_the_start_is_not_called_another_one() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    run.activate();
    assert_eq!(run.reconcile(0)["created"], 3);
    let token = std::fs::read(run.path("sandbox/token")).expect("a token");
    std::fs::write(run.path("sandbox/token"), "wrong").expect("written");
    let mut daemon = Service::start(&run, &[]);
    daemon.hear("STATUS=failed: Rhombus refuses the token");
    // A few looks at the disk later.
    std::thread::sleep(Duration::from_millis(2_500));
    std::fs::write(run.path("sandbox/token"), token).expect("written");
    daemon.hear("STATUS=done: 3 provisioned");
    assert!(!daemon.heard.iter().any(|message| message.contains("has changed")), "{:#?}", daemon.heard);
}

#[test]
fn what_a_timer_writes_to_the_journal_has_priorities_and_no_names() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    let in_the_journal = |run: &RealBinary| {
        let path = run.path("journal");
        let file = std::fs::File::create(&path).expect("a log");
        let metadata = file.metadata().expect("a file");
        let status = Command::new(BINARY)
            .arg("-c")
            .arg(run.path("config.toml"))
            .arg("--reconcile")
            .env("JOURNAL_STREAM", format!("{}:{}", metadata.dev(), metadata.ino()))
            .stdout(file.try_clone().expect("the same file"))
            .stderr(file)
            .status()
            .expect("it runs");
        (status.code(), std::fs::read_to_string(path).expect("a log"))
    };
    let (exit, said) = in_the_journal(&run);
    assert!(exit == Some(0) && said.starts_with("<6>done: created=3 ") && said.lines().count() == 1, "{said}");
    rewrite(
        &run,
        "[guard.absent]\ncount_free = 100000\npercent_max = 100",
        "[guard.absent]\ncount_free = 0\npercent_max = 0",
    );
    run.export(&people(0..2));
    let (exit, said) = in_the_journal(&run);
    assert!(exit == Some(4) && said.lines().all(|line| line.starts_with("<4>")), "{said}");
    assert!(said.contains("held=1") && !said.contains("@x.example"), "nobody's name is in the journal: {said}");
    std::fs::write(run.path("directory.json"), "no export").expect("written");
    let (exit, said) = in_the_journal(&run);
    assert!(exit == Some(1) && said.lines().all(|line| line.starts_with("<3>")), "{said}");
    assert!(said.contains("<3>error: ") && said.contains("<3>hint: "), "{said}");
    rewrite(&run, "[scope]", "[scoop]");
    let (exit, said) = in_the_journal(&run);
    assert!(exit == Some(78) && said.lines().all(|line| line.starts_with("<3>")), "{said}");
}

#[test]
fn a_system_without_trusted_certificates_is_named_as_such() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    let nothing = run.path("nothing.crt");
    std::fs::write(&nothing, "").expect("written");
    let bare = |arguments: &[&str]| {
        let mut command = run.command(arguments);
        command.env("SSL_CERT_FILE", &nothing).env_remove("SSL_CERT_DIR").output().expect("it runs")
    };
    let output = bare(&["activate"]);
    assert!(output.status.success(), "http on loopback needs none: {}", String::from_utf8_lossy(&output.stderr));
    rewrite(&run, &run.base_url.clone(), "https://127.0.0.1:9/scim/v2");
    let output = bare(&["check", "--online"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("there are no trusted CA certificates on this system"), "{said}");
    assert!(said.contains("install ca-certificates, or set [rhombus] ca_file"), "{said}");
    let document = bare(&["check", "--online", "--json"]).stdout;
    let document: Value = serde_json::from_slice(&document).expect("one JSON document");
    assert_eq!(document["exit"], 1, "{document}");
}
