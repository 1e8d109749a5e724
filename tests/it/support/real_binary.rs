//! A folder with a configuration and a Rhombus beside it, for tests that run the real binary over real HTTP.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_rhombus-sync");

/// A folder with a configuration, and a Rhombus that runs until the end of the test.
pub(crate) struct RealBinary {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) rhombus: Child,
    pub(crate) base_url: String,
}

impl Drop for RealBinary {
    fn drop(&mut self) {
        let _ = self.rhombus.kill();
        let _ = self.rhombus.wait();
    }
}

impl RealBinary {
    pub(crate) fn open(rhombus_keys: &str) -> Self {
        Self::open_with_faults(rhombus_keys, "")
    }

    pub(crate) fn open_with_faults(rhombus_keys: &str, faults: &str) -> Self {
        let run = Self::with_rhombus(tempfile::tempdir().expect("a folder"), faults);
        run.configure(rhombus_keys);
        run
    }

    /// Another folder with the same files, and a Rhombus of its own with the same accounts.
    pub(crate) fn copy(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let from = self.folder.path().join(".");
        let copied = Command::new("cp").arg("-a").arg(from).arg(folder.path()).status().expect("cp");
        assert!(copied.success());
        let run = Self::with_rhombus(folder, "");
        let config = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
        std::fs::write(run.path("config.toml"), config.replace(&self.base_url, &run.base_url)).expect("written");
        if run.path("state.db").exists() {
            let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
            state.execute("UPDATE installation SET base_url = ?1", [&run.base_url]).expect("bound to it");
        }
        run
    }

    fn with_rhombus(folder: tempfile::TempDir, faults: &str) -> Self {
        let nothing = folder.path().join("none.toml");
        let mut rhombus = Command::new(BINARY)
            .args(["sandbox", "--listen", "127.0.0.1:0", "--json", "--faults", faults, "-c"])
            .arg(nothing)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let mut line = String::new();
        BufReader::new(rhombus.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).expect("one JSON document");
        let base_url = said["base_url"].as_str().expect("an address").to_owned();
        Self { folder, rhombus, base_url }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn configure(&self, rhombus_keys: &str) {
        self.configure_source("[directory]\npath = \"directory.json\"\n[scope]\ngroups = [\"R\"]\n", rhombus_keys);
    }

    /// The same, with these sections for `[directory]` and `[scope]`.
    pub(crate) fn configure_source(&self, source: &str, rhombus_keys: &str) {
        let wide = "count_free = 100000\npercent_max = 100\ncount_max = 100000\n";
        let mut text = format!(
            "{source}[rhombus]\nbase_url = \"{}\"\n\
             token_file = \"sandbox/token\"\nrequests_per_second_max = 100000\nsettle_time = \"0s\"\n{rhombus_keys}\n\
             [state]\npath = \"state.db\"\n[[sinks]]\nkind = \"file\"\npath = \"events.ndjson\"\n",
            self.base_url
        );
        for kind in ["absent", "suspended", "create", "update"] {
            let _ = write!(text, "[guard.{kind}]\n{wide}");
        }
        std::fs::write(self.path("config.toml"), text).expect("a configuration");
    }

    pub(crate) fn export(&self, users: &[Value]) {
        std::fs::write(self.path("new.json"), Value::from(users.to_vec()).to_string()).expect("an export");
        std::fs::rename(self.path("new.json"), self.path("directory.json")).expect("renamed over");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-c").arg(self.path("config.toml")).args(arguments).env("NO_COLOR", "1").current_dir("/");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    #[track_caller]
    pub(crate) fn reconcile(&self, exit: i32) -> Value {
        let output = self.run(&["--reconcile", "--json"]);
        assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one JSON document")
    }

    /// A person says that this host leads, where no etcd does.
    pub(crate) fn lead(&self) {
        let mut command = self.command(&["lead", "--force"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        child.stdin.take().expect("its input").write_all(b"yes\n").expect("answered");
        assert!(child.wait().expect("its end").success());
    }

    pub(crate) fn activate(&self) {
        let output = self.run(&["activate"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The accounts by userName, read where the sandbox keeps them.
    pub(crate) fn accounts(&self) -> BTreeMap<String, Value> {
        let accounts = rhombus_sync::sandbox::Accounts::open(&self.path("sandbox/accounts.db")).expect("its accounts");
        let all = accounts.page(0, 100_000, Duration::ZERO).expect("readable");
        all.into_iter().map(|account| (account["userName"].as_str().expect("a name").to_owned(), account)).collect()
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("events.ndjson")).expect("a log");
        let by_sequence: BTreeMap<i64, Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("whole lines"))
            .map(|event| (event["sequence"].as_i64().expect("a number"), event))
            .collect();
        let mut next = 1;
        for sequence in by_sequence.keys() {
            // After a restore without a lock file, numbers are skipped.
            assert!(*sequence == next || sequence % 1_000_000 == 0, "{next} is missing before {sequence}");
            next = sequence + 1;
        }
        by_sequence.into_values().collect()
    }
}

pub(crate) fn person(number: usize) -> Value {
    json!({"_id": format!("id-{number:05}"), "username": format!("p{number}@x.example"), "firstname": "Pat",
        "lastname": format!("Doe{number}"), "state": "ACTIVATED", "groups": ["R"]})
}

pub(crate) fn people(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(person).collect()
}
