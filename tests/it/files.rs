//! What the program asks of its files: what they are, whose they are, who may write to them, and that no two of them are one.

mod beside_a_service;
mod disks;
mod roles;
mod writers;

use crate::support::real_binary::{BINARY, RealBinary, people};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

/// So many seconds are for ever.
const FOR_EVER: &str = "20";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Runs the binary, which ends by itself.
#[track_caller]
fn ends(run: &RealBinary, words: &[&str]) -> (i32, String) {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", FOR_EVER, BINARY, "-c"]).arg(run.path("config.toml")).args(words);
    let output = command.env("NO_COLOR", "1").current_dir(run.folder.path()).output().expect("it runs");
    let code = output.status.code().unwrap_or(-1);
    assert!(![124, 137, -1].contains(&code), "{words:?} never ends: {}", said(&output));
    (code, said(&output))
}

/// The same, with this exit code and these words.
#[track_caller]
fn check(run: &RealBinary, words: &[&str], code: i32, expected: &[&str]) {
    let (found, text) = ends(run, words);
    assert_eq!(found, code, "{words:?}: {text}");
    for expected in expected {
        assert!(text.contains(expected), "{words:?}: {expected} is not in: {text}");
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

fn pipe(path: &Path) {
    let _ = std::fs::remove_file(path);
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(path).status().expect("it runs").success());
}

/// With an export of so many users, activated.
fn active(count: usize) -> RealBinary {
    let run = RealBinary::open("");
    run.export(&people(0..count));
    run.activate();
    run
}

fn edit(run: &RealBinary, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), change(text)).expect("written");
}

/// The error of the sink that writes this file.
fn sink_error(run: &RealBinary, name: &str) -> Option<String> {
    let status: serde_json::Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON");
    let sinks = status["sinks"].as_array().expect("a list").clone();
    let sink = sinks.into_iter().find(|sink| sink["name"].as_str().is_some_and(|found| found.ends_with(name)));
    sink.expect("a sink")["error"].as_str().map(str::to_owned)
}

/// Whether this test may be another user for a while; says so if not.
fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("{test}: left out, because only root can be another user");
    }
    is_root
}

#[test]
fn what_is_not_a_file_is_refused_at_once_whatever_it_stands_for() {
    let run = active(3);
    edit(&run, |text| {
        text.replace("[rhombus]", "[rhombus]\nca_file = \"ca.pem\"")
            .replace("path = \"state.db\"", "path = \"state.db\"\nseal_key_file = \"seal.key\"")
            + "[[sinks]]\nkind = \"http\"\nstyle = \"ndjson\"\nurl = \"https://127.0.0.1:1/\"\ntoken_file = \"siem\"\n"
    });
    let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate").cert.pem();
    for (name, text) in [("ca.pem", ca.as_str()), ("seal.key", "0123456789abcdef"), ("siem", "t0ken")] {
        std::fs::write(run.path(name), text).expect("written");
        mode(&run.path(name), 0o600);
    }
    check(&run, &["--reconcile"], 0, &[]);
    for (name, command, code) in [
        ("config.toml", "--reconcile", 78),
        ("config.toml", "check", 78),
        ("sandbox/token", "--reconcile", 78),
        ("sandbox/token", "check", 78),
        ("ca.pem", "--reconcile", 78),
        ("ca.pem", "check", 78),
        ("seal.key", "--reconcile", 78),
        ("siem", "plan", 78),
        ("directory.json", "--reconcile", 1),
        ("directory.json", "plan", 1),
        ("directory.json.sha256", "--reconcile", 1),
        ("directory.json.sha256", "explain", 0),
        ("state.db", "--reconcile", 1),
        ("state.db", "activate", 1),
        ("state.db-wal", "--reconcile", 1),
        ("state.db-journal", "status", 1),
        ("state.db.lock", "--reconcile", 1),
        ("state.lock", "--reconcile", 0),
        ("events.ndjson", "--reconcile", 0),
    ] {
        let words: &[&str] = if command == "explain" { &["explain", "p1@x.example"] } else { &[command] };
        let (path, kept) = (run.path(name), run.path("kept"));
        let was_there = std::fs::rename(&path, &kept).is_ok();
        pipe(&path);
        check(&run, words, code, &[]);
        std::fs::remove_file(&path).expect("still the pipe");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
        check(&run, words, code, &[]);
        std::fs::remove_file(&path).expect("still the link");
        std::fs::create_dir(&path).expect("a folder");
        check(&run, words, code, &[]);
        std::fs::remove_dir(&path).expect("still the folder");
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        check(&run, words, code, &[]);
        std::fs::remove_file(&path).expect("still the socket");
        if was_there {
            std::fs::rename(&kept, &path).expect("put back");
        }
    }
    check(&run, &["--reconcile"], 0, &[]);
    assert_eq!(run.accounts().len(), 3);
}

#[test]
fn a_pipe_in_the_place_of_a_checksum_keeps_no_daemon_from_stopping() {
    let run = active(2);
    pipe(&run.path("directory.json.sha256"));
    let mut daemon = run.command(&[]).stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut log = std::io::BufReader::new(daemon.stderr.take().expect("its log"));
    let mut line = String::new();
    while !line.contains("is not a regular file") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut log, &mut line).expect("text") > 0, "it ended");
    }
    std::fs::remove_file(run.path("directory.json.sha256")).expect("gone");
    run.export(&people(0..3));
    while run.accounts().len() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(daemon.wait().expect("it ends").code(), Some(0), "the daemon stays up, and stops when it is told to");
}

#[test]
fn what_a_person_names_for_one_call_is_not_waited_for_either() {
    let run = active(1);
    pipe(&run.path("users.json"));
    let users = run.path("users.json");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("timeout");
    command.args(["-k", "1", FOR_EVER, BINARY, "-c"]).arg(folder.path().join("none.toml"));
    command.args(["sandbox", "--listen", "127.0.0.1:0", "--users"]).arg(users).current_dir(folder.path());
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    // What was verified through a pipe before still is.
    let script = format!("{BINARY} events verify /dev/stdin",);
    run.reconcile(0);
    let log = std::fs::File::open(run.path("events.ndjson")).expect("a log");
    let mut cat = Command::new("cat").stdin(log).stdout(std::process::Stdio::piped()).spawn().expect("it runs");
    let verified = Command::new("sh").args(["-c", &script]).stdin(cat.stdout.take().expect("a pipe")).output();
    assert!(verified.expect("it runs").status.success());
    assert!(cat.wait().expect("it ends").success());
}

#[test]
fn what_it_makes_is_for_its_owner_alone_whatever_the_umask() {
    for umask in ["000", "002", "022", "077"] {
        let run = RealBinary::open("");
        edit(&run, |text| {
            text.replace("\"state.db\"", "\"deep/er/state.db\"").replace("\"events.ndjson\"", "\"log/e.ndjson\"")
        });
        run.export(&people(0..2));
        for words in ["activate", "--reconcile", "--reconcile --sandbox", "backup b.db"] {
            let script = format!("umask {umask}; exec {BINARY} -c config.toml {words}");
            let output =
                Command::new("sh").args(["-c", &script]).current_dir(run.folder.path()).output().expect("it runs");
            assert!(output.status.success(), "{umask} {words}: {}", said(&output));
        }
        for folder in ["deep", "deep/er", "deep/er/sandbox", "log"] {
            let mode = std::fs::metadata(run.path(folder)).expect("a folder").mode();
            assert_eq!(mode & 0o777, 0o700, "{umask} {folder}");
        }
        for file in ["deep/er/state.db", "deep/er/state.db.lock", "log/e.ndjson", "deep/er/sandbox/accounts.db", "b.db"]
        {
            assert_eq!(std::fs::metadata(run.path(file)).expect("a file").mode() & 0o777, 0o600, "{umask} {file}");
        }
    }
}
