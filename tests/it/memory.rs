//! What the real binary holds in memory, whatever an export, an answer or a file of its own is: never more than 128 MiB, and each
//! is refused in words.

mod answers;
mod exports;
mod own_files;

use std::process::{Command, Stdio};
use std::time::Duration;

/// No run may hold more resident memory, in KiB.
const RESIDENT_KIB_MAX: u64 = 128 << 10;
/// How often a run is looked at. The kernel keeps the most that it ever held; only what it takes just before its end is missed.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How a run ended.
struct Ended {
    exit: i32,
    said: String,
}

/// Runs this to its end, and fails if it ever held more than is allowed.
#[track_caller]
fn bounded(what: &str, command: &mut Command) -> Ended {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let status = format!("/proc/{}/status", child.id());
    let (mut resident_kib, output) = (0, (child.stdout.take(), child.stderr.take()));
    let reader = std::thread::spawn(move || {
        let read = |stream: &mut dyn std::io::Read| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).expect("its output");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (mut stdout, mut stderr) = (output.0.expect("stdout"), output.1.expect("stderr"));
        let errors = std::thread::spawn(move || read(&mut stderr));
        read(&mut stdout) + &errors.join().expect("stderr is read")
    });
    let exit = loop {
        let seen = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = seen.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        resident_kib = resident_kib.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status.code().unwrap_or(-1);
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let said = reader.join().expect("its output is read");
    let shown: String = said.chars().take(500).collect();
    if std::env::var_os("RHOMBUS_SYNC_MEMORY").is_some() {
        eprintln!("{:>6} KiB, exit {exit}: {what}: {}", resident_kib, shown.lines().next().unwrap_or_default());
    }
    assert!(resident_kib > 0 && resident_kib <= RESIDENT_KIB_MAX, "{what}: {resident_kib} KiB: {shown}");
    Ended { exit, said }
}

impl Ended {
    /// It ended with this exit code, and said this.
    #[track_caller]
    fn with(&self, what: &str, exit: i32, words: &str) {
        let shown: String = self.said.chars().take(2_000).collect();
        assert!(self.exit == exit && self.said.contains(words), "{what}: exit {}: {words}: {shown}", self.exit);
    }
}
