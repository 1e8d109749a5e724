//! What `events verify` says when somebody edits, cuts, continues, swaps, seals anew or removes the file, the events, the head, the
//! lock file, a sink's place or the prune mark, alone and in pairs. It may only pass what is genuine, and says what is missing.

mod marks;
mod ways;

use crate::support::real_binary::{BINARY, RealBinary, person};
use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use ways::{Tamper, WAYS};

/// Everything that a case may tamper with.
struct Copy {
    folder: tempfile::TempDir,
}

/// The log of a few cycles, untouched.
struct Genuine {
    run: RealBinary,
    lines: Vec<String>,
}

fn sealed(bodies: &[String]) -> Vec<String> {
    let mut chain = String::new();
    let seal = |body: &String| {
        chain = rhombus_sync::model::hex(&Sha256::digest(format!("{chain}\n{body}")));
        format!("{},\"chain\":\"{chain}\"}}", &body[..body.len() - 1])
    };
    bodies.iter().map(seal).collect()
}

fn body(line: &str) -> String {
    format!("{}}}", line.rsplit_once(",\"chain\":\"").expect("a chain").0)
}

fn chain(line: &str) -> &str {
    rhombus_sync::event::chain_of(line).expect("a chain")
}

/// The same log with somebody else in it, sealed anew from the first event.
fn forged(lines: &[String]) -> Vec<String> {
    sealed(&lines.iter().map(|line| body(line).replace("p1@x.example", "mallory@x.example")).collect::<Vec<_>>())
}

/// One event more than there are, sealed behind the last.
fn continued(lines: &[String]) -> Vec<String> {
    let next = format!("\"sequence\":{}}}", lines.len() + 1);
    let more = body(&lines[2]).rsplit_once("\"sequence\":").expect("a number").0.to_owned() + &next;
    let hash = Sha256::digest(format!("{}\n{more}", chain(&lines[lines.len() - 1])));
    let line = format!("{},\"chain\":\"{}\"}}", &more[..more.len() - 1], rhombus_sync::model::hex(&hash));
    [lines, &[line]].concat()
}

impl Genuine {
    fn new(state_keys: &str) -> Self {
        let run = RealBinary::open("");
        let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
        let text = text.replace("[state]\n", &format!("[state]\n{state_keys}\n"));
        std::fs::write(run.path("config.toml"), text).expect("written");
        std::fs::write(run.path("seal.key"), "a key\n".replace(' ', "-")).expect("a key");
        std::fs::set_permissions(run.path("seal.key"), PermissionsExt::from_mode(0o600)).expect("private");
        run.export(&[person(1), person(2), person(3)]);
        run.activate();
        run.reconcile(0);
        run.export(&[person(1), person(3)]);
        run.reconcile(0);
        let log = std::fs::read_to_string(run.path("events.ndjson")).expect("a log");
        Self { lines: log.lines().map(str::to_owned).collect(), run }
    }

    fn copy(&self) -> Copy {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["config.toml", "state.db", "state.db-wal", "state.db.lock", "events.ndjson", "seal.key"] {
            let (from, to) = (self.run.path(file), folder.path().join(file));
            if from.exists() {
                std::fs::copy(from, to).expect("a copy");
            }
        }
        let copy = Copy { folder };
        let place = format!("file:{}", copy.path("events.ndjson").display());
        copy.sql(&format!("UPDATE sinks SET name = '{place}'"));
        copy
    }
}

impl Copy {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sql(&self, sql: &str) {
        let state = Connection::open(self.path("state.db")).expect("the state");
        state.execute_batch(sql).expect("it is done");
    }

    fn file(&self, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.path("events.ndjson"), text).expect("written");
    }

    /// The file as it is now: tampering in pairs builds on what the first did.
    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("events.ndjson")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn events(&self, lines: &[String]) {
        let state = Connection::open(self.path("state.db")).expect("the state");
        state.execute("DELETE FROM events", []).expect("gone");
        for (place, line) in lines.iter().enumerate() {
            let sequence = place as i64 + 1;
            state.execute("INSERT INTO events VALUES (?1, 0, NULL, ?2)", (sequence, line)).expect("written");
        }
    }

    fn verify(&self, words: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.arg("-c").arg(self.path("config.toml")).args(["events", "verify"]).args(words).env("NO_COLOR", "1");
        command.output().expect("it runs")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Whoever was killed leaves these as well: a place of before the last event, or none. Nothing is hidden by them alone.
const SAYS_NOTHING: [&str; 2] = ["place: behind", "place: removed"];

/// What has to be said where it passes; a witness whose absence changes nothing about the log is named by nobody.
fn judge(copy: &Copy, genuine: &Genuine, untouched: &str, how: &str) {
    let output = copy.verify(&[]);
    let text = said(&output);
    match output.status.code() {
        Some(1) => assert!(text.contains("does not verify: event ") && text.contains("hint: "), "{how}: {text}"),
        Some(0) => {
            for line in copy.lines() {
                let is_said = text.contains("it says nothing about the events after it");
                assert!(genuine.lines.contains(&line) || is_said, "{how}: a forged line passes: {text}");
            }
            let text = text.replace(&*copy.folder.path().to_string_lossy(), "");
            let says_nothing = how.split(" + ").all(|way| SAYS_NOTHING.contains(&way));
            assert!(text != untouched || says_nothing, "{how}: nothing is said");
        }
        other => panic!("{how}: exit {other:?}: {text}"),
    }
}

#[test]
fn no_forgery_passes_alone_or_in_pairs_and_what_is_missing_is_said() {
    let genuine = Genuine::new("");
    let copy = genuine.copy();
    let untouched = said(&copy.verify(&[])).replace(&*copy.folder.path().to_string_lossy(), "");
    assert!(untouched.contains(&format!("head {}:", genuine.lines.len())), "{untouched}");
    assert!(untouched.contains("anyone who can write to all of these"), "{untouched}");
    let alone = WAYS.iter().map(|way| vec![*way]);
    let kind = |way: &(&'static str, Tamper)| way.0.split(':').next().map(str::to_owned);
    let pairs = WAYS.iter().enumerate().flat_map(|(place, one)| {
        WAYS[place + 1..].iter().filter(move |other| kind(other) != kind(one)).map(move |other| vec![*one, *other])
    });
    let cases: Vec<Vec<(&str, Tamper)>> = alone.chain(pairs).collect();
    assert!(cases.len() > 400, "{}", cases.len());
    all_judged(&genuine, &cases, &untouched);
}

fn all_judged(genuine: &Genuine, cases: &[Vec<(&str, Tamper)>], untouched: &str) {
    std::thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(4)) {
            scope.spawn(move || {
                for case in part {
                    let copy = genuine.copy();
                    case.iter().for_each(|(_, tamper)| tamper(&copy, &genuine.lines));
                    let how: Vec<_> = case.iter().map(|(how, _)| *how).collect();
                    judge(&copy, genuine, untouched, &how.join(" + "));
                }
            });
        }
    });
}

#[test]
fn each_way_alone_is_found_or_said_with_its_event() {
    let genuine = Genuine::new("");
    let count = genuine.lines.len();
    for (way, expected) in [
        ("file: edited", "event 3: the line does not match its chain"),
        ("file: cut", &*format!("event {}: its end is cut off", count - 1)),
        ("file: without a line", "event 4: events are missing"),
        ("file: sealed anew", "the log was rewritten: the state has a different event here"),
        ("file: continued", &*format!("event {}: the log was continued by somebody else", count + 1)),
        ("file: sealed anew and continued", "the log was rewritten: the state has a different event here"),
        ("file: removed", "event 1: the file is missing, and events were delivered to it"),
        ("file: emptied", "event 1: its end is cut off"),
        ("file: begins later", "events 1 to 4 are not in this file"),
        ("events: all removed", "the state does not verify: event 1: its end is cut off"),
        ("events: the oldest removed", "the state does not verify: event 1: events are missing"),
        ("events: a hole with a reason", "events 4 to 5 are missing: they were lost with a state that was restored"),
        ("events: cut with the head", &*format!("event {}: the lock file names a different event", count - 1)),
        ("lock: removed", "the state has no usable lock file beside it: one witness is missing"),
        ("lock: another chain", "the lock file names a different event"),
        ("place: ahead", "a sink has it, and the state does not"),
        ("mark: moved", "event 1: the mark of what was pruned does not match"),
        ("mark: moved with the events before it", "event 4: the mark of what was pruned does not match"),
    ] {
        let copy = genuine.copy();
        let (_, tamper) = WAYS.iter().find(|(name, _)| *name == way).expect("a way");
        tamper(&copy, &genuine.lines);
        let text = said(&copy.verify(&[]));
        assert!(text.contains(expected), "{way}: {text}");
    }
}

/// Everything that lies beside the service sealed anew: only what lies elsewhere can tell.
fn all_forged(genuine: &Genuine) -> Copy {
    let copy = genuine.copy();
    let forged = forged(&genuine.lines);
    let (old, new) = (chain(&genuine.lines[forged.len() - 1]), chain(&forged[forged.len() - 1]));
    copy.file(&forged);
    copy.events(&forged);
    copy.sql(&format!("UPDATE head SET chain = '{new}'"));
    let text = std::fs::read_to_string(copy.path("state.db.lock")).expect("a note");
    std::fs::write(copy.path("state.db.lock"), text.replace(old, new)).expect("written");
    copy
}

#[test]
fn whoever_writes_everything_is_found_by_the_head_or_the_key() {
    let genuine = Genuine::new("");
    let count = genuine.lines.len();
    let (copy, forged) = (genuine.copy(), all_forged(&genuine));
    let head = |sequence: usize| format!("{sequence}:{}", chain(&genuine.lines[sequence - 1]));
    assert!(said(&forged.verify(&[])).contains("could have rewritten the log"), "it passes, and says what it rests on");
    for sequence in [2, count] {
        let text = said(&copy.verify(&["--head", &head(sequence)]));
        assert!(text.contains(&format!("up to event {sequence} this is the log with the head you gave")), "{text}");
        let output = forged.verify(&["--head", &head(sequence)]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(&format!("event {sequence}: it is not the event that was named")), "{output:?}");
    }
    let beyond = format!("{}:{}", count + 5, "0".repeat(64));
    assert!(said(&copy.verify(&["--head", &beyond])).contains("the log does not reach the event that was named"));
    assert_eq!(copy.verify(&["--head", "7"]).status.code(), Some(2));

    let keyed = Genuine::new("seal_key_file = \"seal.key\"");
    let (copy, forged) = (keyed.copy(), all_forged(&keyed));
    let text = said(&copy.verify(&[]));
    assert!(text.contains("sealed from event 1 on: the seals were verified with the key"), "{text}");
    assert!(said(&forged.verify(&[])).contains("event 1: the line has no seal"));
    // With the key and the file alone, on another machine; a seal of another key does not fit.
    let alone = |folder: &Path, key: &str| {
        let (file, key) = (folder.join("events.ndjson"), folder.join(key));
        let words = [
            std::ffi::OsStr::new("events"),
            "verify".as_ref(),
            file.as_ref(),
            "--seal-key-file".as_ref(),
            key.as_ref(),
        ];
        Command::new(BINARY).args(words).current_dir(folder).output().expect("it runs")
    };
    std::fs::remove_file(copy.path("state.db")).expect("gone");
    assert_eq!(alone(copy.folder.path(), "seal.key").status.code(), Some(0));
    std::fs::write(copy.path("other.key"), "other").expect("a key");
    std::fs::set_permissions(copy.path("other.key"), PermissionsExt::from_mode(0o600)).expect("private");
    let output = alone(copy.folder.path(), "other.key");
    assert!(said(&output).contains("event 1: the seal was not made with this key"), "{output:?}");
    let last: Value = serde_json::from_str(keyed.lines.last().expect("a line")).expect("JSON");
    let key = rhombus_sync::event::SealKey::new("a-key");
    assert_eq!(last["seal"], key.seal_of(last["chain"].as_str().expect("a chain")).as_str());
    assert!(keyed.lines[0].ends_with("\"}") && keyed.lines[0].contains("\",\"seal\":\""), "the last member");
}

#[test]
fn a_file_needs_no_configuration_and_its_oddities_are_said() {
    let genuine = Genuine::new("");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("copy.ndjson");
    let whole: String = genuine.lines.iter().map(|line| format!("{line}\n")).collect();
    let huge = "{\"sequence\":9223372036854775807,\"chain\":\"".to_owned() + &"0".repeat(64) + "\"}\n";
    let repeated = format!("{}\n{whole}", genuine.lines[0]);
    let long = "x".repeat(9 << 20);
    for (text, exit, expected) in [
        (whole.as_bytes(), 0, "verified on its own, without a state"),
        (repeated.as_bytes(), 0, "events 1 to "),
        (huge.as_bytes(), 1, "event 1: the line has a sequence that is not valid"),
        (long.as_bytes(), 1, "event 1: the line is longer than an event can be"),
        (b"\x1f\x8b\x08\x00", 1, "is compressed"),
        (&whole.as_bytes()[..whole.len() - 20], 1, "the line is torn"),
        (b"root:x:0:0\n", 1, "event 1: the line is not an event"),
    ] {
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(BINARY);
        command.args(["events", "verify"]).arg(&file).current_dir(folder.path()).env_remove("RHOMBUS_SYNC_CONFIG");
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(exit), "{}", said(&output));
        assert!(said(&output).contains(expected), "{expected}: {}", said(&output));
    }
    let dash = Command::new(BINARY).args(["events", "verify", "-"]).output().expect("it runs");
    assert!(dash.status.code() == Some(1) && said(&dash).contains("/dev/stdin"), "{dash:?}");
}

#[test]
fn a_file_that_begins_after_the_head_is_proven_by_it() {
    let genuine = Genuine::new("");
    let copy = genuine.copy();
    copy.file(&genuine.lines[3..]);
    let head = |sequence: usize| format!("{sequence}:{}", chain(&genuine.lines[sequence - 1]));
    for beside_the_state in [true, false] {
        if !beside_the_state {
            std::fs::remove_file(copy.path("state.db")).expect("gone");
        }
        let file = copy.path("events.ndjson").display().to_string();
        for (head, exit, expected) in [
            (head(3), 0, "this log follows event 3, the head you gave"),
            (head(4), 0, "up to event 4 this is the log with the head you gave"),
            (head(2), 1, "event 2: the log begins after the event that was named as the head"),
            (
                format!("3:{}", "0".repeat(64)),
                1,
                if beside_the_state { "event 3: it is not" } else { "event 4: the line" },
            ),
        ] {
            let output = copy.verify(&[&file, "--head", &head]);
            assert_eq!(output.status.code(), Some(exit), "{head}: {}", said(&output));
            assert!(said(&output).contains(expected), "{head}: {}", said(&output));
        }
    }
}

#[test]
fn a_rotated_neighbour_explains_what_the_file_lacks() {
    let genuine = Genuine::new("");
    for neighbour in ["events.ndjson.1", "events.ndjson-20261130"] {
        for fresh in [None, Some("")] {
            let copy = genuine.copy();
            std::fs::rename(copy.path("events.ndjson"), copy.path(neighbour)).expect("rotated");
            if let Some(text) = fresh {
                std::fs::write(copy.path("events.ndjson"), text).expect("a new one");
            }
            let output = copy.verify(&[]);
            assert!(output.status.success() && said(&output).contains(neighbour), "{}", said(&output));
            // One that ends before what was delivered explains nothing.
            let lines = std::fs::read_to_string(copy.path(neighbour)).expect("lines");
            let (cut, _) = lines.trim_end().rsplit_once('\n').expect("two lines");
            std::fs::write(copy.path(neighbour), format!("{cut}\n")).expect("cut");
            assert_eq!(copy.verify(&[]).status.code(), Some(1));
        }
    }
}

#[test]
fn a_note_in_the_lock_file_is_believed_within_reason() {
    let genuine = Genuine::new("");
    let count = genuine.lines.len();
    let last = chain(&genuine.lines[count - 1]);
    let installation = serde_json::from_str::<Value>(&genuine.lines[0]).expect("JSON")["idm_client_id"].clone();
    let ours = installation.as_str().expect("an id");
    let token = genuine.run.path("sandbox/token");
    for (note, is_believed) in [
        (format!("1 {count} {last} {ours} 0"), true),
        (format!("1 {} {} {ours} 0", count + 3, "1".repeat(64)), true),
        (format!("1 {count} {last} {} 0", "f".repeat(24)), false),
        (format!("1 {count} {} {ours} 0", "1".repeat(64)), false),
        (format!("1 {} {} {ours} 0", count + 20_000_000, "1".repeat(64)), false),
        (format!("1 9223372036854775806 {} {ours} 0", "1".repeat(64)), false),
        (format!("1 9223372036854775807 {} {ours} 0", "1".repeat(64)), false),
        (format!("1 -5 {} {ours} 0", "1".repeat(64)), false),
    ] {
        let copy = genuine.copy();
        std::fs::create_dir_all(copy.path("sandbox")).expect("a folder");
        std::fs::copy(&token, copy.path("sandbox/token")).expect("a token");
        std::fs::copy(genuine.run.path("directory.json"), copy.path("directory.json")).expect("an export");
        std::fs::write(copy.path("state.db.lock"), format!("{note}\n")).expect("written");
        for words in [&["--reconcile"][..], &["deactivate"], &["activate"]] {
            let mut command = Command::new(BINARY);
            let output = command.arg("-c").arg(copy.path("config.toml")).args(words).output().expect("it runs");
            let text = said(&output);
            if is_believed {
                assert!(matches!(output.status.code(), Some(0 | 4 | 6)), "{note} {words:?}: {text}");
            } else {
                assert_eq!(output.status.code(), Some(1), "{note} {words:?}: {text}");
                assert!(text.contains("does not match the state") && text.contains("hint: "), "{text}");
            }
        }
    }
}

#[test]
fn a_note_that_nobody_can_read_is_refused_and_a_torn_one_of_ours_is_none() {
    let genuine = Genuine::new("");
    let note = std::fs::read_to_string(genuine.run.path("state.db.lock")).expect("a note");
    let sequence = note.split_whitespace().nth(1).expect("a number");
    for (note, is_ours) in [
        (note.replacen(sequence, "99999999999999999999", 1).into_bytes(), false),
        (b"garbage\n".to_vec(), false),
        (b"\xff\xfe\xfd\n".to_vec(), false),
        (b"1 many - 0 0\n".to_vec(), false),
        // Just made, or cut off from power then: no number is given twice, and removals are held.
        (Vec::new(), true),
        (b"4711\n".to_vec(), true),
        (vec![0; 133], true),
        ([&note.as_bytes()[..40], &[0; 93]].concat(), true),
    ] {
        let copy = genuine.copy();
        std::fs::create_dir_all(copy.path("sandbox")).expect("a folder");
        std::fs::copy(genuine.run.path("sandbox/token"), copy.path("sandbox/token")).expect("a token");
        std::fs::copy(genuine.run.path("directory.json"), copy.path("directory.json")).expect("an export");
        std::fs::write(copy.path("state.db.lock"), &note).expect("written");
        let command = |words: &[&str]| {
            let mut command = Command::new(BINARY);
            command.arg("-c").arg(copy.path("config.toml")).args(words).output().expect("it runs")
        };
        let shown = String::from_utf8_lossy(&note).into_owned();
        let refused =
            if is_ours { &["deactivate"][..] } else { &["--reconcile", "deactivate", "activate", "--reconcile"] };
        for word in refused {
            let output = command(&[word]);
            let text = said(&output);
            assert_eq!(output.status.code() == Some(1), !is_ours, "{shown:?} {word}: {text}");
            assert!(
                is_ours || (text.contains("does not say where the log ends") && text.contains("remove ")),
                "{text}"
            );
        }
        if !is_ours {
            assert_eq!(std::fs::read(copy.path("state.db.lock")).expect("the note"), note, "it stays as it is");
            assert!(said(&copy.verify(&[])).contains("the lock file names a different event"));
            std::fs::remove_file(copy.path("state.db.lock")).expect("the way out");
            assert_ne!(command(&["deactivate"]).status.code(), Some(1));
        }
    }
}

#[test]
fn the_lock_of_an_earlier_release_is_locked_as_well_and_its_note_taken_over() {
    let genuine = Genuine::new("");
    let (run, last) = (&genuine.run, genuine.lines.last().expect("a line"));
    std::fs::remove_file(run.path("state.db.lock")).expect("gone");
    let former = format!("{:<10} {:<20} {:<64}\n", 1, genuine.lines.len(), chain(last));
    std::fs::write(run.path("state.lock"), former).expect("written");
    let file = std::fs::File::options().write(true).open(run.path("state.lock")).expect("opens");
    file.lock().expect("an earlier release sends");
    assert_eq!(run.run(&["--reconcile"]).status.code(), Some(5));
    drop(file);
    run.reconcile(0);
    let restored = run.events().iter().any(|event| event["event_type"] == "idm_integration_update");
    assert!(!restored, "an upgrade is no restoration");
    // Two names of one state have one lock.
    std::os::unix::fs::symlink(run.path("state.db"), run.path("other.db")).expect("a link");
    let _lock = rhombus_sync::store::Lock::acquire(&run.path("other.db")).expect("free");
    assert_eq!(run.run(&["--reconcile"]).status.code(), Some(5));
}
