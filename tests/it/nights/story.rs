//! One night: commands one after the other, and what each says, as a page for docs/nights.

use super::words::stable;
use crate::support::real_binary::{BINARY, RealBinary};
use crate::support::terminal::{Stderr, in_a_terminal, without_colour};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

pub(super) struct Story {
    pub(super) run: RealBinary,
    name: &'static str,
    text: String,
    /// Suggested commands that were tried.
    pasted: BTreeSet<String>,
}

const CONFIGURATION: &str = "[directory]\npath = \"directory.json\"\n[scope]\ngroups = [\"Doors\"]\n[rhombus]\n\
    base_url = \"BASE\"\ntoken_file = \"sandbox/token\"\nrequests_per_second_max = 100000\nconcurrency_max = 1\n[state]\n\
    path = \"state.db\"\n[[sinks]]\nkind = \"file\"\npath = \"events.ndjson\"\n";

impl Story {
    pub(super) fn begin(name: &'static str, title: &str) -> Self {
        Self::begin_with_faults(name, title, "")
    }

    /// The same, with a Rhombus that misbehaves.
    pub(super) fn begin_with_faults(name: &'static str, title: &str, faults: &str) -> Self {
        let run = RealBinary::open_with_faults("", faults);
        std::fs::write(run.path("config.toml"), CONFIGURATION.replace("BASE", &run.base_url)).expect("written");
        Self { run, name, text: format!("{title}\n"), pasted: BTreeSet::new() }
    }

    /// The command as the reader would type it.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(["-c", "config.toml"]).args(words).current_dir(self.run.folder.path());
        command.env_remove("NO_COLOR").env_remove("CI").env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        command
    }

    /// What is not told.
    pub(super) fn quietly(&self, words: &[&str]) {
        let output = self.command(words).output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(super) fn note(&mut self, text: &str) {
        self.text.push_str(&format!("\n{text}\n"));
    }

    /// A command that may be run once: on a terminal.
    #[track_caller]
    pub(super) fn acts(&mut self, words: &[&str], exit: i32) {
        self.once(self.command(words), words, exit);
    }

    /// The same, if no file may grow.
    #[track_caller]
    pub(super) fn acts_with_a_full_disk(&mut self, words: &[&str], exit: i32) {
        let mut command = Command::new("sh");
        let words_of = words.join(" ");
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f 0; exec {BINARY} -c config.toml {words_of}")]);
        command
            .current_dir(self.run.folder.path())
            .env_remove("NO_COLOR")
            .env_remove("CI")
            .env("TERM", "xterm-256color");
        self.once(command, words, exit);
    }

    #[track_caller]
    fn once(&mut self, command: Command, words: &[&str], exit: i32) {
        let shown = in_a_terminal(command, Stderr::Pipe);
        let said = without_colour(&shown.terminal);
        assert_eq!(shown.exit, Some(exit), "{words:?}: {said}{}", shown.stderr);
        self.tell(words, &shown.stderr, &said, exit);
    }

    /// A command that changes nothing: on a terminal with and without colour, and in a pipe, it says the same.
    #[track_caller]
    pub(super) fn looks(&mut self, words: &[&str], exit: i32) {
        let piped = self.command(words).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let (said, stderr) = (text(&piped.stdout), text(&piped.stderr));
        assert_eq!(piped.status.code(), Some(exit), "{words:?}: {said}{stderr}");
        assert!(!said.contains('\u{1b}') && !stderr.contains('\u{1b}'), "a pipe gets no colour: {said}{stderr}");
        let expected = self.stable(&said);
        for (variable, value, coloured) in
            [("LC_ALL", "C.UTF-8", true), ("LC_ALL", "C", true), ("NO_COLOR", "1", false), ("TERM", "dumb", false)]
        {
            let mut command = self.command(words);
            command.env(variable, value);
            let shown = in_a_terminal(command, Stderr::Pipe);
            let plain = without_colour(&shown.terminal);
            assert_eq!(shown.exit, Some(exit), "{words:?} with {variable}={value}");
            assert_eq!(self.stable(&plain), expected, "{words:?} with {variable}={value}");
            assert!(coloured || plain == shown.terminal, "{words:?} with {variable}={value}: {:?}", shown.terminal);
        }
        self.tell(words, &stderr, &said, exit);
    }

    fn tell(&mut self, words: &[&str], stderr: &str, stdout: &str, exit: i32) {
        self.paste_each(stderr);
        self.paste_each(stdout);
        let words: Vec<_> = words.iter().map(|word| rhombus_sync::model::quoted(word)).collect();
        let said = format!("\n$ rhombus-sync -c config.toml {}\n{stderr}{stdout}", words.join(" "));
        let said = self.stable(&said);
        self.text.push_str(&said);
        if exit != 0 {
            self.text.push_str(&format!("(exit {exit})\n"));
        }
    }

    /// Each command that a text suggests is pasted into a shell, beside a copy of everything, and does what it is for.
    fn paste_each(&mut self, text: &str) {
        for (at, _) in text.match_indices("rhombus-sync ") {
            let command = text[at..].split(['\n', ';', '`', ')']).next().unwrap_or_default();
            let word = command.split(' ').nth(1).unwrap_or_default();
            let is_said_of_it = ["does", "is"].contains(&word)
                || ["Usage: ", "journalctl -u "].iter().any(|before| text[..at].ends_with(before));
            let is_to_fill_in = ["FILE", "USER", "HOLD"].iter().any(|word| command.contains(word));
            if is_said_of_it || is_to_fill_in || !self.pasted.insert(command.to_owned()) {
                continue;
            }
            assert!(command.starts_with("rhombus-sync -c config.toml "), "{command} is not as this was called: {text}");
            let copy = self.run.copy();
            let pasted = command.replacen("rhombus-sync", BINARY, 1);
            let output = Command::new("sh").args(["-c", &pasted]).current_dir(copy.folder.path()).output().expect("sh");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0 | 3 | 4)), "{command}: {:?} {said}", output.status);
        }
    }

    fn stable(&self, text: &str) -> String {
        let folder = self.run.folder.path().canonicalize().expect("a folder");
        let text = text.replace(&self.run.base_url, "https://scim.rhombus.example/scim/v2");
        let text = text.replace(&*folder.to_string_lossy(), "/etc/rhombus-sync");
        let text = text.replace(&*self.run.folder.path().to_string_lossy(), "/etc/rhombus-sync");
        stable(&text)
    }

    pub(super) fn hold(&self) -> String {
        let output = self.command(&["approve", "--json"]).output().expect("it runs");
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        said["hold"].as_str().expect("a hold").to_owned()
    }

    /// Another configuration, before anything was run with it.
    pub(super) fn configure(&self, before: &str, after: &str) {
        let path = self.run.path("config.toml");
        let text = std::fs::read_to_string(&path).expect("a configuration");
        assert!(text.contains(before));
        std::fs::write(path, text.replace(before, after)).expect("written");
    }

    pub(super) fn a_daemon_dies_after_its_first_cycle(&self) {
        let quiet = std::process::Stdio::null;
        let mut daemon = self.command(&[]).stdout(quiet()).stderr(quiet()).spawn().expect("the daemon");
        let started = std::time::Instant::now();
        loop {
            let output = self.command(&["status", "--json"]).output().expect("it runs");
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let delivered = said["sinks"][0]["pending"] == 0;
            let log = std::fs::read_to_string(self.run.path("events.ndjson")).unwrap_or_default();
            // The last event that it writes by itself.
            if said["last_good_cycle"].is_string() && delivered && log.contains("log_checkpoint") {
                break;
            }
            assert!(started.elapsed() < std::time::Duration::from_secs(30), "{said}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        daemon.kill().expect("killed");
        daemon.wait().expect("its end");
    }

    pub(super) fn the_export_is_of_three_days_ago(&self) {
        let file = std::fs::OpenOptions::new().write(true).open(self.run.path("directory.json")).expect("an export");
        let at = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 86_400 + 60);
        file.set_modified(at).expect("older");
    }

    pub(super) fn two_days_pass(&self) {
        let state = rusqlite::Connection::open(self.run.path("state.db")).expect("the state");
        let back = "last_good_cycle_at = last_good_cycle_at - 172800000";
        state.execute(&format!("UPDATE installation SET {back}"), []).expect("earlier");
        let back = "managed_since = managed_since - 172800000, failing_since = failing_since - 172800000";
        state.execute(&format!("UPDATE health SET {back}"), []).expect("earlier");
    }

    /// Compares the night with its page, or writes the page.
    #[track_caller]
    pub(super) fn end(self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/nights").join(format!("{}.txt", self.name));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &self.text).expect("written");
            return;
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let different = kept.lines().zip(self.text.lines()).find(|(kept, said)| kept != said);
        let update = "UPDATE_DOCS=1 cargo test --test it nights::";
        assert!(kept == self.text, "docs/nights/{}.txt: {different:?}; all of it:\n{}\n{update}", self.name, self.text);
    }
}
