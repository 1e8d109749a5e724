//! Two hosts with a folder each, one etcd, one replica, and one Rhombus that keeps what was asked of it.

use crate::support::fake_etcd::FakeEtcd;
use crate::support::raw_endpoint::{Asked, Endpoint};
use crate::support::real_binary::{BINARY, RealBinary};
use crate::support::replicas::Replicas;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The longest that anything here may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(40);
const QUIET: &str = "[schedule]\ncron = \"0 0 0 1 1 *\"\nrefresh_cron = \"\"\n";

/// Whether etcd says who leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Etcd {
    Says,
    IsNotConfigured,
}

pub(super) struct World {
    pub(super) run: RealBinary,
    pub(super) etcd: FakeEtcd,
    pub(super) proxy: Endpoint,
    replicas: Replicas,
}

impl World {
    pub(super) fn open(faults: &str) -> Self {
        let run = RealBinary::open_with_faults("", faults);
        let upstream = run.base_url.trim_start_matches("http://").split('/').next().expect("an address").to_owned();
        let proxy = Endpoint::start(move |asked| forward(asked, &upstream));
        let replicas = Replicas::start(run.folder.path());
        Self { run, etcd: FakeEtcd::start(), proxy, replicas }
    }

    /// How many requests have asked for a change so far.
    pub(super) fn changes_count(&self) -> usize {
        self.proxy.seen().iter().filter(|request| !request.starts_with("GET ")).count()
    }

    /// A host whose lease lasts `ttl_s`; it has no state yet.
    pub(super) fn host(&self, name: &'static str, ttl_s: u32, etcd: Etcd) -> Host<'_> {
        let folder = self.run.path(name);
        std::fs::create_dir(&folder).expect("a folder");
        let socket = self.replicas.socket(name);
        let mut text = format!(
            "[directory]\npath = \"../directory.json\"\n[scope]\ngroups = [\"R\"]\n[rhombus]\nbase_url = \"{}\"\n\
             token_file = \"../sandbox/token\"\nrequests_per_second_max = 100000\nsettle_time = \"0s\"\ntimeout = \"1s\"\n\
             concurrency_max = 2\n[state]\npath = \"state.db\"\n[[sinks]]\nkind = \"file\"\npath = \"events.ndjson\"\n{QUIET}\
             [monitor]\nlisten = \"127.0.0.1:0\"\n[standby]\nlitestream = \"unix://{}\"\nreplica = \"{}\"\n",
            self.proxy.base_url,
            socket.display(),
            self.replicas.url(),
        );
        if etcd == Etcd::Says {
            let url = self.etcd.url();
            // One that is not there is passed over.
            let _ =
                write!(text, "etcd = [\"http://127.0.0.1:1\", \"{url}\"]\nname = \"test/acme\"\nttl = \"{ttl_s}s\"\n");
        }
        let wide = "count_free = 100000\npercent_max = 100\ncount_max = 100000\n";
        for kind in ["absent", "suspended", "create", "update"] {
            let _ = write!(text, "[guard.{kind}]\n{wide}");
        }
        std::fs::write(folder.join("config.toml"), text).expect("a configuration");
        Host { world: self, name, folder, daemon: None }
    }

    /// All events of both hosts by number; no number has two.
    #[track_caller]
    pub(super) fn events(&self, hosts: &[&Host<'_>]) -> BTreeMap<i64, Value> {
        let mut all: BTreeMap<i64, String> = BTreeMap::new();
        for host in hosts {
            let text = std::fs::read_to_string(host.folder.join("events.ndjson")).unwrap_or_default();
            for line in text.lines() {
                let event: Value = serde_json::from_str(line).expect("whole lines");
                let sequence = event["sequence"].as_i64().expect("a number");
                let before = all.insert(sequence, line.to_owned());
                assert!(before.is_none_or(|before| before == line), "event {sequence} is two: {line}");
            }
        }
        all.into_iter().map(|(sequence, line)| (sequence, serde_json::from_str(&line).expect("JSON"))).collect()
    }
}

/// Passes a request on, and the answer back.
fn forward(asked: &mut Asked<'_>, upstream: &str) {
    let mut stream = TcpStream::connect(upstream).expect("Rhombus");
    let (first, rest) = asked.head.split_once("\r\n").expect("a head");
    let text = format!("{first}\r\nConnection: close\r\n{rest}\r\n{}", asked.body);
    stream.write_all(text.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    // Whoever asked may be gone.
    if stream.read_to_end(&mut answer).is_ok() {
        let _ = asked.stream.write_all(&answer);
        let _ = asked.stream.shutdown(std::net::Shutdown::Both);
    }
}

pub(super) struct Host<'w> {
    world: &'w World,
    pub(super) name: &'static str,
    pub(super) folder: PathBuf,
    daemon: Option<Child>,
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Host<'_> {
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-c").arg(self.folder.join("config.toml")).args(arguments).current_dir("/");
        command.env("NO_COLOR", "1").env("RHOMBUS_SYNC_HOST", self.name).env("PATH", self.world.replicas.path());
        command
    }

    pub(super) fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().expect("it runs")
    }

    /// What a call says, and that it ends so.
    #[track_caller]
    pub(super) fn says(&self, arguments: &[&str], exit: i32) -> String {
        let output = self.call(arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(exit), "{} {arguments:?}: {said}\n{}", self.name, self.log());
        said
    }

    pub(super) fn start(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.folder.join("daemon.log")).expect("a log");
        let mut command = self.command(&["--log-format", "text"]);
        self.daemon = Some(command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts"));
    }

    pub(super) fn signal(&self, name: &str) {
        let pid = self.daemon.as_ref().expect("a daemon").id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill").success());
    }

    /// It dies at once.
    pub(super) fn die(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon");
        daemon.kill().expect("killed");
        daemon.wait().expect("dead");
    }

    /// It ends by a signal.
    #[track_caller]
    pub(super) fn end(&mut self) {
        self.signal("TERM");
        let status = self.daemon.take().expect("a daemon").wait().expect("its end");
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default()
    }

    pub(super) fn status(&self) -> Value {
        let output = self.call(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }

    #[track_caller]
    pub(super) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < PATIENCE, "never on {}: {what}\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until this host leads, as it says and as etcd does.
    #[track_caller]
    pub(super) fn until_it_leads(&self) {
        let is_noted =
            || self.world.etcd.value("/log").is_some_and(|note| note["host"] == self.name && note["left"].is_null());
        let leads = || self.world.etcd.value("/leader").is_some_and(|leader| leader["host"] == self.name);
        self.until("it leads", || leads() && is_noted());
        let reign = self.world.etcd.value("/log").expect("a note")["reign"].clone();
        let said = format!("leads: {}, reign {reign}, after sequence ", self.name);
        let events = || std::fs::read_to_string(self.folder.join("events.ndjson")).unwrap_or_default();
        self.until("its sink has that it leads", || events().contains(&said));
    }

    /// Waits until Rhombus has so many accounts.
    #[track_caller]
    pub(super) fn until_accounts(&self, count: usize) {
        self.until(&format!("{count} accounts"), || self.world.run.accounts().len() == count);
    }

    /// The status and text of `/healthz`.
    pub(super) fn healthz(&self) -> String {
        let log = self.log();
        let address = log.rsplit("the monitor listens address=").next().and_then(|rest| rest.lines().next());
        let Ok(mut stream) = TcpStream::connect(address.expect("it listens")) else { return String::new() };
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }
}
