//! The real binary: kills while it ships, an outage, dead letters as `status` and `events` show them, and what `check` says of
//! a sink that cannot be.

use super::all_there;
use crate::support::raw_endpoint::Endpoint;
use crate::support::real_binary::{RealBinary, people};
use crate::support::syslog_receiver::{Does, SyslogReceiver};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(super) fn add(run: &RealBinary, sink: &str) {
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), format!("{text}\n[[sinks]]\n{sink}\n")).expect("written");
}

pub(super) fn lines(run: &RealBinary) -> Vec<String> {
    let text = std::fs::read_to_string(run.path("events.ndjson")).expect("a log");
    text.lines().map(str::to_owned).collect()
}

pub(super) fn sink(run: &RealBinary, name: &str) -> Value {
    let status: Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON");
    let sinks = status["sinks"].as_array().cloned().unwrap_or_default();
    sinks.into_iter().find(|sink| sink["name"] == name).expect("the sink")
}

#[test]
fn kills_while_it_ships_cost_repeats_and_no_event() {
    let receiver = SyslogReceiver::start(|_, _| Does::Keep);
    let run = RealBinary::open("");
    add(&run, &format!("kind = \"syslog\"\nname = \"siem\"\naddress = \"tcp://127.0.0.1:{}\"", receiver.port));
    run.activate();
    for round in 0..6_u64 {
        run.export(&people(0..(round as usize + 1) * 40));
        let mut child = run.command(&["--reconcile"]).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(150 + round * 137));
        child.kill().expect("killed");
        child.wait().expect("it ends");
    }
    run.reconcile(0);
    run.reconcile(0);
    assert_eq!(sink(&run, "siem")["pending"], 0);
    let wanted: Vec<_> = run.events().iter().map(|event| event["sequence"].as_i64()).collect();
    assert!(wanted.len() > 240);
    let mut log = lines(&run);
    let mut seen = std::collections::BTreeSet::new();
    log.retain(|line| seen.insert(line.clone()));
    let started = Instant::now();
    while receiver.lines().len() < log.len() && started.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    all_there(&receiver.lines(), &log);
}

#[test]
fn one_run_finds_the_event_on_which_a_receiver_hangs_up() {
    let receiver =
        SyslogReceiver::start(|_, message| if message.contains("p3@x.example") { Does::HangUp } else { Does::Keep });
    let run = RealBinary::open("");
    add(&run, &format!("kind = \"syslog\"\nname = \"siem\"\naddress = \"tcp://127.0.0.1:{}\"", receiver.port));
    run.export(&people(0..6));
    run.activate();
    run.reconcile(0);
    let siem = sink(&run, "siem");
    assert_eq!(
        (&siem["dead_letters"], &siem["pending"], &siem["error"]),
        (&1.into(), &0.into(), &Value::Null),
        "{siem}"
    );
    let mut wanted = lines(&run);
    wanted.retain(|line| !line.contains("p3@x.example"));
    all_there(&receiver.lines(), &wanted);
}

#[test]
fn a_dead_letter_is_shown_and_sent_again_by_replay() {
    let mended = Arc::new(AtomicBool::new(false));
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (is_mended, keep) = (mended.clone(), kept.clone());
    let endpoint = Endpoint::start(move |asked| {
        if asked.body.contains("p3@x.example") && !is_mended.load(Ordering::SeqCst) {
            return asked.answer(400, "", "bad event");
        }
        keep.lock().expect("whole").extend(asked.body.lines().map(str::to_owned));
        asked.answer(200, "", "");
    });
    let run = RealBinary::open("");
    add(&run, &format!("kind = \"http\"\nname = \"my siem\"\nstyle = \"ndjson\"\nurl = \"{}\"", endpoint.base_url));
    run.export(&people(0..6));
    run.activate();
    run.reconcile(0);
    let siem = sink(&run, "my siem");
    assert_eq!(
        (&siem["dead_letters"], &siem["pending"], &siem["error"]),
        (&1.into(), &0.into(), &Value::Null),
        "{siem}"
    );
    let page = String::from_utf8(run.run(&["status"]).stdout).expect("text");
    assert!(page.contains("1 refused for good (to list them: ") && page.contains(" events dead)"), "{page}");

    let dead: Value = serde_json::from_slice(&run.run(&["events", "dead", "--json"]).stdout).expect("JSON");
    let sequence = dead[0]["sequence"].as_i64().expect("a sequence");
    assert_eq!((dead.as_array().map(Vec::len), dead[0]["sink"].as_str()), (Some(1), Some("my siem")), "{dead}");
    assert_eq!(dead[0]["event"]["resource"]["username"], "p3@x.example");
    let text = String::from_utf8(run.run(&["events", "dead"]).stdout).expect("text");
    assert!(text.contains("the receiver answered 400: bad event"), "{text}");
    let again = format!("events replay --from {sequence} --sink 'my siem'");
    assert!(text.contains(&again), "{text}");

    let replay = ["events", "replay", "--from", &sequence.to_string(), "--sink", "my siem"];
    let refused = run.run(&replay);
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
    mended.store(true, Ordering::SeqCst);
    let sent = run.run(&replay);
    assert_eq!(sent.status.code(), Some(0), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(sink(&run, "my siem")["dead_letters"], 0);
    // A counter of the monitor never falls, and counts an event once however often it is refused.
    let state = rusqlite::Connection::open(run.path("state.db")).expect("the state");
    let refused_ever = "SELECT dead_letters FROM sinks WHERE name LIKE 'http%'";
    assert_eq!(state.query_row(refused_ever, [], |row| row.get::<_, i64>(0)), Ok(1));
    let missing: Vec<_> = lines(&run).into_iter().filter(|line| !kept.lock().expect("whole").contains(line)).collect();
    assert_eq!(missing, Vec::<String>::new());
    for (arguments, said) in [
        (["events", "replay", "--from", "1", "--sink", "mysiem"], "there is no sink mysiem"),
        (["events", "replay", "--from", "9999", "--sink", "my siem"], "the log ends with event"),
    ] {
        let output = run.run(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains(said), "{error}");
    }
}

#[test]
fn a_replay_sends_again_what_the_receiver_lost_with_its_connection() {
    let (lost_count, dies) = (Arc::new(std::sync::atomic::AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, is_dying) = (lost_count.clone(), dies.clone());
    let receiver = SyslogReceiver::start(move |_, message| {
        let dying = is_dying.load(Ordering::SeqCst) && !message.is_empty();
        if dying && count.fetch_add(1, Ordering::SeqCst) == 5 { Does::HangUp } else { Does::Keep }
    });
    let run = RealBinary::open("");
    add(&run, &format!("kind = \"syslog\"\nname = \"siem\"\naddress = \"tcp://127.0.0.1:{}\"", receiver.port));
    run.export(&people(0..40));
    run.activate();
    run.reconcile(0);
    let before = receiver.lines().len();
    assert_eq!(before, lines(&run).len());
    dies.store(true, Ordering::SeqCst);
    let replay = run.run(&["events", "replay", "--from", "1", "--sink", "siem"]);
    assert_eq!(replay.status.code(), Some(0), "{}", String::from_utf8_lossy(&replay.stderr));
    // The five that it had read by then were in its memory only.
    all_there(&receiver.lines()[before + 5..], &lines(&run));
}

#[test]
fn a_secret_of_a_sink_that_others_may_read_is_refused() {
    let run = RealBinary::open("");
    let secrets = [
        "kind = \"http\"\nstyle = \"otlp\"\nurl = \"https://x.example/v1/logs\"\ntoken_file = \"secret\"",
        "kind = \"syslog\"\naddress = \"tcp+tls://x.example:6514\"\ncert_file = \"c\"\nkey_file = \"secret\"",
    ];
    std::fs::write(run.path("secret"), "s3cret").expect("written");
    std::fs::set_permissions(run.path("secret"), PermissionsExt::from_mode(0o644)).expect("opened");
    for sink in secrets {
        run.configure("");
        add(&run, sink);
        let output = run.run(&["check"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{error}");
        assert!(error.contains("is readable by others") && error.contains("hint: chmod o-rwx "), "{error}");
    }
}

#[test]
fn what_no_sink_can_be_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    let http = "kind = \"http\"\nstyle = \"ndjson\"\n";
    for (sink, said) in [
        ("kind = \"syslog\"", "kind = \"syslog\" needs an address"),
        ("kind = \"syslog\"\naddress = \"siem:514\"", "address is not tcp+tls://host:port"),
        ("kind = \"syslog\"\naddress = \"tls://siem:6514\"", "address is not tcp+tls://host:port"),
        ("kind = \"syslog\"\naddress = \"tcp://siem\"", "address is not tcp+tls://host:port"),
        ("kind = \"syslog\"\naddress = \"tcp://siem:601\"\nca_file = \"ca\"", "go with tcp+tls://"),
        (
            "kind = \"syslog\"\naddress = \"tcp+tls://siem:6514\"\ncert_file = \"c\"",
            "cert_file and key_file go together",
        ),
        (
            "kind = \"syslog\"\naddress = \"udp://siem:514\"\nlength_max = 70000",
            "length_max is not between 2048 and 65507",
        ),
        ("kind = \"syslog\"\naddress = \"tcp://siem:601\"\nurl = \"x\"", "kind = \"syslog\" has no url"),
        ("kind = \"file\"\npath = \"e\"\nmode = \"0644\"", "mode gives more than"),
        ("kind = \"file\"\npath = \"e\"\nmode = \"rw\"", "mode is not octal"),
        ("kind = \"stdout\"\npath = \"e\"", "kind = \"stdout\" has no path"),
        ("kind = \"stdout\"\nocsf_version = \"1.5.0\"", "ocsf_version goes with format = \"ocsf\""),
        (&format!("{http}url = \"http://siem.example/\"\ntoken_file = \"t\""), "url must be https"),
        (&format!("{http}url = \"https://u:p@siem.example/\""), "url must not carry a user"),
        (&format!("{http}url = \"https://siem.example/\"\nindex = \"x\""), "index goes with style = \"elastic-bulk\""),
        (
            "kind = \"http\"\nstyle = \"elastic-bulk\"\nurl = \"https://x.example/\"\nindex = \"Audit\"",
            "index is not a name",
        ),
        ("kind = \"http\"\nurl = \"https://x.example/\"", "kind = \"http\" needs a style"),
        ("kind = \"stdout\"\n[[sinks]]\nkind = \"stdout\"\nname = \"b\"", "two sinks have the same destination"),
    ] {
        std::fs::write(&path, format!("[directory]\npath = \"d.json\"\n[[sinks]]\n{sink}\n")).expect("written");
        let error = rhombus_sync::config::Config::load(&path).err().unwrap_or_else(|| panic!("{sink} is taken"));
        let said_all = rhombus_sync::model::chain(&error).join(": ");
        assert!(said_all.contains(said), "{sink}: {said_all}");
    }
    for sink in [
        "kind = \"syslog\"\naddress = \"tcp+tls://[2001:db8::1]:6514\"\nfacility = \"local7\"",
        "kind = \"http\"\nstyle = \"otlp\"\nurl = \"http://collector.example:4318/v1/logs?x=1\"",
        "kind = \"journald\"\nformat = \"ecs\"",
        "kind = \"file\"\npath = \"e\"\nmode = \"0640\"\ngroup = \"adm\"",
        "kind = \"http\"\nstyle = \"elastic-bulk\"\nurl = \"https://x.example/_bulk\"\nindex = \"a\"\n[[sinks]]\n\
         kind = \"http\"\nstyle = \"elastic-bulk\"\nurl = \"https://x.example/_bulk\"\nindex = \"b\"",
    ] {
        std::fs::write(&path, format!("[directory]\npath = \"d.json\"\n[[sinks]]\n{sink}\n")).expect("written");
        rhombus_sync::config::Config::load(&path).unwrap_or_else(|error| panic!("{sink}: {error:?}"));
    }
}
