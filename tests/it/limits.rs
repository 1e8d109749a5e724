//! What the system allows, and what somebody put into a state: answered as errors, never with a crash or in silence.

mod sweep;

use crate::support::real_binary::{BINARY, RealBinary, people, person};
use std::process::{Command, Output};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Runs the binary in a shell that limits itself first.
fn limited(run: &RealBinary, limit: &str, words: &str) -> Output {
    let script = format!("{limit}; exec {BINARY} -c {} {words}", run.path("config.toml").display());
    Command::new("sh").args(["-c", &script]).output().expect("it runs")
}

#[test]
fn limits_of_the_system_are_errors() {
    let run = RealBinary::open("");
    run.export(&people(0..200));
    run.activate();
    let few = limited(&run, "ulimit -n 12", "--reconcile");
    assert!(few.status.code() == Some(1) && said(&few).contains("hint: raise the limit"), "{few:?}");
    // 64 blocks: the state cannot grow. It is an error, and the process is not killed in the middle.
    let small = limited(&run, "ulimit -f 64", "--reconcile");
    assert_eq!(small.status.code(), Some(1), "{small:?}");
    assert_eq!(run.reconcile(0)["export"]["users"], 200, "and it goes on where it was");
    assert_eq!(run.accounts().len(), 200);
}

#[test]
fn a_trigger_in_a_state_is_refused_before_anything_is_sent() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
    let swallow =
        "CREATE TRIGGER quiet BEFORE INSERT ON events WHEN new.line LIKE '%p1@%' BEGIN SELECT raise(IGNORE); END";
    state.execute_batch(swallow).expect("a trigger");
    drop(state);
    for words in [&["--reconcile"][..], &["status"], &["events", "verify"], &["plan"]] {
        let output = run.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", said(&output));
        assert!(said(&output).contains("has a trigger quiet, which rhombus-sync did not make"), "{}", said(&output));
    }
    assert_eq!(run.accounts().len(), 0);
}

/// Litestream reads the state in a transaction that does not end.
#[test]
fn who_reads_the_state_does_not_delay_the_end_of_a_cycle() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    let reader = rusqlite::Connection::open(run.path("state.db")).expect("the state");
    reader.execute_batch("BEGIN").expect("begun");
    let events = || reader.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).expect("read");
    let before = events();
    let started = std::time::Instant::now();
    run.reconcile(0);
    let taken = started.elapsed();
    assert!(taken < std::time::Duration::from_secs(4), "{taken:?}: it waited for the reader");
    assert_eq!(events(), before, "the reader still sees what it saw");
    assert_eq!(run.accounts().len(), 3);
}

#[test]
fn a_state_that_does_not_consist_of_what_we_make_is_refused() {
    for (sql, expected) in [
        ("CREATE VIEW links_too AS SELECT * FROM links", "has a view links_too, which rhombus-sync did not make"),
        ("CREATE TABLE more (a)", "has a table more, which rhombus-sync did not make"),
        (
            "CREATE UNIQUE INDEX one ON events (substr(line, 1, 20))",
            "has an index one, which rhombus-sync did not make",
        ),
        ("DROP TABLE restorations", "lacks the table restorations"),
        ("ALTER TABLE approvals ADD COLUMN extra TEXT", "has another table approvals than rhombus-sync makes"),
    ] {
        let run = RealBinary::open("");
        run.export(&people(0..2));
        run.activate();
        let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
        state.execute_batch(sql).expect(sql);
        drop(state);
        for words in [&["--reconcile"][..], &["status"]] {
            let output = run.run(words);
            assert_eq!(output.status.code(), Some(1), "{words:?}: {}", said(&output));
            assert!(said(&output).contains(expected), "{sql}: {}", said(&output));
        }
        assert_eq!(run.accounts().len(), 0);
    }
}

#[test]
fn shipping_stops_at_an_event_that_is_missing() {
    for (missing, delivered) in [("sequence = 3", 2), ("sequence BETWEEN 2 AND 3", 1), ("sequence > 3", 3)] {
        let run = RealBinary::open("");
        run.export(&people(0..3));
        // Nothing is delivered yet.
        std::fs::create_dir(run.path("events.ndjson")).expect("in the way");
        run.activate();
        run.reconcile(0);
        let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
        state.execute(&format!("DELETE FROM events WHERE {missing}"), []).expect("gone");
        drop(state);
        std::fs::remove_dir(run.path("events.ndjson")).expect("out of the way");
        run.reconcile(0);
        let status: serde_json::Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON");
        let sink = &status["sinks"][0];
        let error = sink["error"].as_str().expect("an error");
        assert!(error.contains(&format!("event {} is missing in the state", delivered + 1)), "{missing}: {error}");
        assert_eq!(sink["delivered"], delivered, "{missing}");
        let log = std::fs::read_to_string(run.path("events.ndjson")).expect("a log");
        assert_eq!(log.lines().count(), delivered, "{missing}");
        assert_eq!(run.run(&["events", "verify"]).status.code(), Some(1));
    }
}

#[test]
fn a_backup_is_whole_or_not_there() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    // What an earlier one left behind is no obstacle; a file that is there is never replaced.
    std::fs::write(run.path("b.db.partial"), "left behind").expect("written");
    let file = run.path("b.db");
    let words = ["backup", file.to_str().expect("UTF-8")];
    assert!(run.run(&words).status.success());
    assert!(!run.path("b.db.partial").exists() && !run.path("b.db-wal").exists());
    let copy = rusqlite::Connection::open(&file).expect("opens");
    let count: i64 = copy.query_row("SELECT count(*) FROM links", [], |row| row.get(0)).expect("links");
    assert_eq!(count, 3);
    assert_eq!(run.run(&words).status.code(), Some(1));
    let small = limited(&run, "ulimit -f 8", &format!("backup {}", run.path("c.db").display()));
    assert_eq!(small.status.code(), Some(1), "{small:?}");
    assert!(!run.path("c.db").exists() && !run.path("c.db.partial").exists());
}

#[test]
fn a_username_that_nobody_can_read_is_refused() {
    let run = RealBinary::open("");
    let mut users = people(0..6);
    let names = [
        "a\u{202e}gro@x.example",
        "a\u{200b}b@x.example",
        "a\u{ad}b@x.example",
        "a\u{e0041}b@x.example",
        "a\u{3164}@x.example",
    ];
    for (user, name) in users.iter_mut().zip(names) {
        user["username"] = name.into();
    }
    users.push(person(9));
    run.export(&users);
    run.activate();
    let report = run.reconcile(0);
    assert_eq!(
        (report["created"].as_u64(), report["refused"].as_array().map(Vec::len)),
        (Some(2), Some(5)),
        "{report}"
    );
    // In the log such a character is escaped, so that no terminal turns a line around.
    let log = std::fs::read_to_string(run.path("events.ndjson")).expect("a log");
    assert!(
        log.is_ascii() && log.contains("a\\u202egro@x.example") && log.contains("a\\udb40\\udc41b@x.example"),
        "{log}"
    );
}

#[test]
fn a_schedule_that_is_over_never_fires() {
    let run = RealBinary::open("");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), format!("{text}[schedule]\ncron = \"0 0 0 1 1 * 2020\"\n"))
        .expect("written");
    let output = run.run(&["check"]);
    assert!(output.status.code() == Some(78) && said(&output).contains("cron never fires"), "{output:?}");
}
