//! Runs of the whole binary, each in a folder of its own.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The program as it is built now.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_rhombus-sync");

/// Wall time, and the most memory it held resident, in KiB.
pub(crate) fn run(command: &mut Command) -> (Duration, u64) {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let (stop, stopped) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while stopped.recv_timeout(Duration::from_millis(2)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            most = most.max(line.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        }
        most
    });
    let exit = child.wait().expect("it ends");
    let took = started.elapsed();
    drop(stop);
    assert!(exit.success(), "{command:?}: {exit}");
    (took, watch.join().expect("a figure"))
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A configuration, an export and a state, in a folder of their own.
pub(crate) struct Office {
    folder: tempfile::TempDir,
}

impl Office {
    /// One whose guard lets everything through.
    pub(crate) fn new(base_url: &str, concurrency: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "benchmark").expect("a token");
        std::fs::set_permissions(folder.path().join("token"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("closed");
        let mut text = format!(
            "[directory]\npath = \"directory.json\"\n[scope]\ngroups = [\"Rhombus\"]\n[rhombus]\nbase_url = \"{base_url}\"\n\
             token_file = \"token\"\nconcurrency_max = {concurrency}\nrequests_per_second_max = 1000000\n[state]\npath = \"state.db\"\n"
        );
        for kind in ["absent", "suspended", "create", "update"] {
            let _ = write!(text, "[guard.{kind}]\ncount_free = 10000000\npercent_max = 100\ncount_max = 10000000\n");
        }
        std::fs::write(folder.path().join("config.toml"), text).expect("a configuration");
        Self { folder }
    }

    /// A file of it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of the program.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(BINARY.as_ref(), arguments)
    }

    /// The same of another build of it.
    pub(crate) fn command_of(&self, binary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.arg("-c").arg(self.path("config.toml")).args(arguments);
        command
    }
}

/// An export of records of 1.35 KB; `touch` changes a member that is not mapped in one of a hundred.
pub(crate) fn export(path: &Path, users: usize, touch: &str) {
    export_touched(path, users, touch, 100);
}

/// The same; it is changed in one of `each`.
pub(crate) fn export_touched(path: &Path, users: usize, touch: &str, each: usize) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("an export"));
    let filler = "x".repeat(60);
    for number in 0..users {
        let touched = if number.is_multiple_of(each) { touch } else { "Engineer" };
        let attributes: Vec<_> =
            (0..9).map(|n| format!("{{\"name\": \"attribute{n}\", \"value\": \"{filler}\"}}")).collect();
        write!(
            out,
            "{}{{\"_id\": \"{number:024x}\", \"username\": \"person{number}@corp.example\", \"email\": \"mail{number}@corp.example\", \
             \"firstname\": \"Given{}\", \"lastname\": \"Family{number}\", \"state\": \"ACTIVATED\", \"activated\": true, \
             \"suspended\": false, \"jobTitle\": \"{touched}\", \"groups\": [\"Rhombus\", \"Everyone\"], \"attributes\": [{}], \
             \"created\": \"2024-01-02T03:04:05.678Z\"}}",
            if number == 0 { "[" } else { "," },
            number % 977,
            attributes.join(", "),
        )
        .expect("written");
    }
    out.write_all(b"]").and_then(|()| out.flush()).expect("written");
}
