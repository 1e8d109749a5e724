//! Who may write: modes and owners of files and of the folders that hold them.

use super::*;
use std::os::unix::fs::chown;
use std::path::PathBuf;

/// A group that is in no list of groups.
const STRANGE_GROUP: u32 = 54_321;
/// A user whom nobody knows.
const STRANGER: u32 = 54_322;
const EXPORTER: u32 = 54_323;

/// Each file in a folder of its own, all of them in use.
fn spread(count: usize) -> RealBinary {
    let run = RealBinary::open("");
    for folder in ["in", "secret", "ca", "state", "log"] {
        std::fs::create_dir(run.path(folder)).expect("a folder");
        mode(&run.path(folder), 0o755);
    }
    let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate").cert.pem();
    std::fs::write(run.path("ca/ca.pem"), ca).expect("written");
    std::fs::copy(run.path("sandbox/token"), run.path("secret/token")).expect("a copy");
    edit(&run, |text| {
        text.replace("\"directory.json\"", "\"in/directory.json\"")
            .replace("\"sandbox/token\"", "\"secret/token\"\nca_file = \"ca/ca.pem\"")
            .replace("\"state.db\"", "\"state/state.db\"")
            .replace("\"events.ndjson\"", "\"log/events.ndjson\"")
    });
    export(&run, count);
    run.activate();
    check(&run, &["--reconcile"], 0, &[]);
    run
}

/// An export with a checksum that fits.
fn export(run: &RealBinary, count: usize) {
    let text = serde_json::Value::from(people(0..count)).to_string();
    std::fs::write(run.path("in/new"), &text).expect("written");
    std::fs::rename(run.path("in/new"), run.path("in/directory.json")).expect("renamed");
    use sha2::Digest;
    let sum = rhombus_sync::model::hex(&sha2::Sha256::digest(&text));
    std::fs::write(run.path("in/directory.json.sha256"), sum).expect("written");
}

/// Written just now: an older export than the last one is refused.
fn touch(path: &Path) {
    let file = std::fs::File::options().append(true).open(path).expect("it opens");
    file.set_modified(std::time::SystemTime::now()).expect("a time");
}

/// What one file asks, and with which exit code a command refuses it.
const ASKED: [(&str, &str, i32, &str); 7] = [
    ("config.toml", ".", 78, "check"),
    ("secret/token", "secret", 78, "check"),
    ("ca/ca.pem", "ca", 78, "check"),
    ("in/directory.json", "in", 1, "plan"),
    ("in/directory.json.sha256", "in", 1, "plan"),
    ("state/state.db", "state", 1, "status"),
    ("state/state.db.lock", "state", 1, "--reconcile"),
];

#[test]
fn what_others_can_write_is_refused_and_nothing_is_sent() {
    let run = spread(2);
    export(&run, 3);
    for (file, folder, code, command) in ASKED {
        let was = std::fs::metadata(run.path(file)).expect("there").mode();
        for open in [0o666, 0o602, 0o662] {
            mode(&run.path(file), open & if file.contains("token") { 0o662 } else { 0o777 });
            for command in [command, "--reconcile"] {
                check(&run, &[command], code, &["hint: chmod o-"]);
            }
        }
        mode(&run.path(file), was);
        let was = std::fs::metadata(run.path(folder)).expect("there").mode();
        mode(&run.path(folder), 0o777);
        check(&run, &["--reconcile"], code, &["is writable by others (mode 0777)", "hint: chmod o-w"]);
        mode(&run.path(folder), was);
    }
    assert_eq!(run.accounts().len(), 2, "nothing was sent");
    check(&run, &["--reconcile"], 0, &[]);
    assert_eq!(run.accounts().len(), 3);
}

#[test]
fn a_log_that_others_can_write_waits_and_says_so() {
    let run = spread(2);
    let log = run.path("log/events.ndjson");
    for (path, open, closed) in [(log.clone(), 0o606, 0o600), (run.path("log"), 0o777, 0o755)] {
        let before = std::fs::read(&log).expect("a log");
        mode(&path, open);
        export(&run, if run.accounts().len() == 2 { 3 } else { 2 });
        check(&run, &["--reconcile"], 0, &[]);
        assert_eq!(std::fs::read(&log).expect("a log"), before, "not touched");
        assert!(sink_error(&run, "events.ndjson").is_some_and(|error| error.contains("is writable by others")));
        mode(&path, closed);
        check(&run, &["--reconcile"], 0, &[]);
        assert!(std::fs::read(&log).expect("a log").len() > before.len(), "and nothing was lost");
    }
}

#[test]
fn a_folder_on_the_way_that_others_can_write_is_as_open_as_the_file() {
    let run = spread(2);
    std::fs::create_dir_all(run.path("open/inner")).expect("folders");
    let inner = run.path("open/inner");
    std::fs::copy(run.path("in/directory.json"), inner.join("directory.json")).expect("a copy");
    std::fs::copy(run.path("secret/token"), inner.join("token")).expect("a copy");
    std::os::unix::fs::symlink(run.path("in/directory.json"), run.path("open/link.json")).expect("a link");
    mode(&run.path("open"), 0o777);
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    for (from, to, code) in [
        ("in/directory.json", "open/inner/directory.json", 1),
        // Who may replace the link decides where it leads.
        ("in/directory.json", "open/link.json", 1),
        ("secret/token", "open/inner/token", 78),
        ("state/state.db", "open/inner/state.db", 1),
    ] {
        std::fs::write(run.path("config.toml"), text.replace(from, to)).expect("written");
        check(
            &run,
            &[if code == 1 && from.starts_with("state") { "activate" } else { "--reconcile" }],
            code,
            &["open is writable by others"],
        );
        // As in /tmp, where only the owner of a thing can replace it.
        mode(&run.path("open"), 0o1777);
        if !from.starts_with("state") {
            touch(&run.path("in/directory.json"));
            touch(&inner.join("directory.json"));
            check(&run, &["--reconcile"], 0, &[]);
        }
        mode(&run.path("open"), 0o777);
    }
}

#[test]
fn in_a_sticky_folder_only_what_is_ours_is_used() {
    if !is_root("in_a_sticky_folder_only_what_is_ours_is_used") {
        return;
    }
    let run = spread(2);
    std::fs::create_dir(run.path("tmp")).expect("a folder");
    mode(&run.path("tmp"), 0o1777);
    for name in ["directory.json", "events.ndjson"] {
        std::fs::write(run.path("tmp").join(name), "").expect("written");
        chown(run.path("tmp").join(name), Some(STRANGER), Some(STRANGER)).expect("given");
    }
    std::fs::copy(run.path("in/directory.json"), run.path("tmp/directory.json")).expect("a copy");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), text.replace("in/directory.json", "tmp/directory.json")).expect("written");
    check(&run, &["--reconcile"], 1, &["belongs to uid 54322 and lies in", "where anybody may write"]);
    chown(run.path("tmp/directory.json"), Some(0), Some(0)).expect("ours");
    check(&run, &["--reconcile"], 0, &[]);
    std::fs::write(run.path("config.toml"), text.replace("log/events.ndjson", "tmp/events.ndjson")).expect("written");
    touch(&run.path("in/directory.json"));
    check(&run, &["--reconcile"], 0, &[]);
    assert!(sink_error(&run, "events.ndjson").is_some_and(|error| error.contains("belongs to uid 54322")));
    assert_eq!(std::fs::read(run.path("tmp/events.ndjson")).expect("there"), b"", "a stranger's file is not filled");
    // A state may lie there, if what is there is ours.
    std::fs::write(run.path("config.toml"), text.replace("state/state.db", "tmp/state.db")).expect("written");
    check(&run, &["activate"], 0, &[]);
    std::fs::write(run.path("tmp/state.db-journal"), "").expect("written");
    chown(run.path("tmp/state.db-journal"), Some(STRANGER), Some(STRANGER)).expect("given");
    check(&run, &["--reconcile"], 1, &["belongs to uid 54322"]);
}

#[test]
fn a_stranger_owns_nothing_but_an_export() {
    if !is_root("a_stranger_owns_nothing_but_an_export") {
        return;
    }
    let run = spread(2);
    let give = |path: &str, uid: u32| chown(run.path(path), Some(uid), Some(uid)).expect("given");
    for (file, folder, code, command) in ASKED.into_iter().filter(|(file, ..)| !file.starts_with("in/")) {
        for path in [file, folder].into_iter().filter(|path| *path != "." && *path != "state") {
            give(path, STRANGER);
            for command in [command, "--reconcile"] {
                check(&run, &[command], code, &["belongs to uid 54322"]);
            }
            give(path, 0);
        }
    }
    give("log", STRANGER);
    export(&run, 3);
    check(&run, &["--reconcile"], 0, &[]);
    assert!(sink_error(&run, "events.ndjson").is_some_and(|error| error.contains("belongs to uid 54322")));
    give("log", 0);
    // Whoever writes the export decides who has access: any one user, and no two.
    for path in ["in", "in/directory.json", "in/directory.json.sha256"] {
        give(path, EXPORTER);
    }
    check(&run, &["--reconcile"], 0, &[]);
    check(&run, &["check"], 0, &[]);
    for path in ["in", "in/directory.json", "in/directory.json.sha256"] {
        give(path, STRANGER);
        check(&run, &["--reconcile"], 1, &["is rejected as a whole", "uid 54323", "uid 54322"]);
        give(path, EXPORTER);
    }
    give("in", 0);
    check(&run, &["--reconcile"], 0, &[]);
}

#[test]
fn a_group_may_not_write_what_is_private_and_is_named_where_it_may() {
    if !is_root("a_group_may_not_write_what_is_private_and_is_named_where_it_may") {
        return;
    }
    let run = spread(2);
    let group = |path: &str, gid: u32| chown(run.path(path), None, Some(gid)).expect("a group");
    let open = |path: &str, bits: u32| {
        let was = std::fs::metadata(run.path(path)).expect("there").mode();
        mode(&run.path(path), was | bits);
        was
    };
    for (path, code, command) in [
        ("config.toml", 78, "check"),
        ("secret/token", 78, "check"),
        ("secret", 78, "check"),
        ("state/state.db", 1, "status"),
        ("state/state.db.lock", 1, "--reconcile"),
        ("state", 1, "status"),
    ] {
        let was = open(path, 0o020);
        // Root's own group: a clone under umask 002.
        check(&run, &["--reconcile"], 0, &[]);
        // A lock that others could read was closed by that.
        open(path, 0o020);
        group(path, STRANGE_GROUP);
        for command in [command, "--reconcile"] {
            check(&run, &[command], code, &["is writable by the group 54321", "hint: chmod g-w"]);
        }
        group(path, 0);
        mode(&run.path(path), was);
    }
    for path in ["in/directory.json", "in/directory.json.sha256", "in", "ca/ca.pem", "ca", "log/events.ndjson", "log"] {
        let was = open(path, 0o020);
        group(path, STRANGE_GROUP);
        check(&run, &["--reconcile"], 0, &[]);
        if path != "log/events.ndjson" {
            check(&run, &["check"], 0, &["allowed, but loose: ", "is writable by the group 54321", "hint: chmod g-w"]);
        }
        group(path, 0);
        mode(&run.path(path), was);
    }
    assert!(!ends(&run, &["check"]).1.contains("loose"));
    mode(&run.path("state/state.db"), 0o644);
    check(&run, &["check"], 0, &["allowed, but loose: ", "is readable by others (mode 0644)", "hint: chmod o-r"]);
    let output = run.run(&["check", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["loose"].as_array().map(Vec::len), Some(1), "{found}");
}

#[test]
fn a_sandbox_run_says_what_is_open_and_goes_on() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    for (path, open) in [("config.toml", 0o666), ("directory.json", 0o666), (".", 0o777)] {
        let was = std::fs::metadata(run.path(path)).expect("there").mode();
        mode(&run.path(path), open);
        check(&run, &["--reconcile", "--sandbox"], 0, &["is writable by others", "only a sandbox run goes on"]);
        check(&run, &["plan", "--sandbox"], 0, &["is writable by others"]);
        mode(&run.path(path), was);
    }
    pipe(&run.path("directory.json"));
    check(&run, &["--reconcile", "--sandbox"], 1, &["it is not a regular file"]);
}

#[test]
fn the_daemon_stays_up_beside_an_export_that_others_can_write() {
    let run = active(2);
    mode(&run.path("directory.json"), 0o666);
    let mut daemon = run.command(&[]).stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut log = std::io::BufReader::new(daemon.stderr.take().expect("its log"));
    let mut line = String::new();
    while !line.contains("is writable by others") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut log, &mut line).expect("text") > 0, "it ended");
    }
    run.export(&people(0..2));
    while run.accounts().len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(daemon.wait().expect("it ends").code(), Some(0));
}

#[test]
fn below_systemds_folder_of_credentials_only_the_mode_is_asked() {
    if !is_root("below_systemds_folder_of_credentials_only_the_mode_is_asked") {
        return;
    }
    let run = active(2);
    let folder: PathBuf = run.path("credentials");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::copy(run.path("sandbox/token"), folder.join("rhombus")).expect("a copy");
    edit(&run, |text| text.replace("token_file = \"sandbox/token\"", "token_credential = \"rhombus\""));
    chown(&folder, Some(STRANGER), Some(STRANGE_GROUP)).expect("given");
    chown(folder.join("rhombus"), Some(STRANGER), Some(STRANGE_GROUP)).expect("given");
    let go = |code: i32| {
        let output = run.command(&["--reconcile"]).env("CREDENTIALS_DIRECTORY", &folder).output().expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    };
    for (open, code) in [(0o400, 0), (0o440, 0), (0o444, 78), (0o602, 78)] {
        mode(&folder.join("rhombus"), open);
        go(code);
    }
}
