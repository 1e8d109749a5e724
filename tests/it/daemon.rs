//! The daemon as its users meet it: the real binary, real signals, a real endpoint that goes away, a token that is revoked and
//! replaced, and a socket where a service manager would listen.

use crate::support::raw_endpoint::{Asked, EMPTY_LIST, Endpoint};
use crate::support::real_binary::{BINARY, RealBinary, people};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest that anything here may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon that is killed when the test ends.
pub(crate) struct Daemon {
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// Starts it in an run; its log goes to `daemon.log` there.
    pub(crate) fn start(run: &RealBinary, environment: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(run.path("daemon.log")).expect("a log");
        let mut command = run.command(&["--log-format", "text"]);
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(log);
        Self { child: command.spawn().expect("it starts") }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end.
    pub(crate) fn exit(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Waits until something is so; how long that took.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    started.elapsed()
}

/// A quiet schedule, so that only what a test does starts a cycle.
pub(crate) fn rarely(run: &RealBinary) {
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let schedule = "[schedule]\ncron = \"0 0 0 1 1 *\"\nrefresh_cron = \"\"\n";
    std::fs::write(run.path("config.toml"), format!("{text}{schedule}")).expect("written");
}

fn log(run: &RealBinary) -> String {
    std::fs::read_to_string(run.path("daemon.log")).unwrap_or_default()
}

/// The sources of the cycles so far, in their order.
fn cycles(run: &RealBinary) -> Vec<String> {
    let text = std::fs::read_to_string(run.path("events.ndjson")).unwrap_or_default();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_cycles =
        events.filter(|event| event["event_type"].as_str().is_some_and(|kind| kind.starts_with("reconcile_")));
    of_cycles.map(|event| event["initiated_by"]["source"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn it_runs_at_its_start_on_a_changed_export_and_on_a_signal() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    run.activate();
    let mut daemon = Daemon::start(&run, &[]);
    until("the first cycle", || cycles(&run) == ["startup"]);
    assert_eq!(run.accounts().len(), 3);
    assert_eq!(run.run(&["--reconcile"]).status.code(), Some(5), "one process sends");
    run.export(&people(0..4));
    until("a cycle for the export that was renamed over", || cycles(&run).last().is_some_and(|last| last == "watch"));
    assert_eq!(run.accounts().len(), 4);
    std::fs::write(run.path("directory.json"), Value::from(people(0..5)).to_string()).expect("written in place");
    until("and one for the export that was written in place", || run.accounts().len() == 5);
    daemon.signal("USR1");
    until("a cycle that was asked for", || cycles(&run).last().is_some_and(|last| last == "signal"));
    daemon.signal("TERM");
    assert_eq!(daemon.exit(), Some(0));
    assert!(log(&run).contains("stopped by a signal"), "{}", log(&run));
    assert_eq!(run.reconcile(0)["unchanged"], 5, "the lock is free again");
    let said = log(&run);
    assert!(!said.contains("@x.example") && !said.contains("Doe"), "ids and counts only: {said}");
}

#[test]
fn a_schedule_runs_and_a_process_that_slept_catches_up_once() {
    let run = RealBinary::open("");
    run.export(&people(0..2));
    run.activate();
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), format!("{text}[schedule]\ncron = \"*/2 * * * * *\"\n")).expect("written");
    let daemon = Daemon::start(&run, &[]);
    until("three cycles of the schedule", || cycles(&run).iter().filter(|source| *source == "schedule").count() >= 3);
    daemon.signal("STOP");
    let before = cycles(&run).len();
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(cycles(&run).len(), before);
    daemon.signal("CONT");
    until("it goes on", || cycles(&run).len() > before);
    std::thread::sleep(Duration::from_millis(1_200));
    assert!(cycles(&run).len() <= before + 2, "one run for all that were missed, and perhaps the next one");
}

#[test]
fn without_a_state_or_deactivated_it_is_idle_and_says_so() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    let mut daemon = Daemon::start(&run, &[]);
    until("it says why it is idle", || log(&run).contains("there is no state yet; run `rhombus-sync -c "));
    run.activate();
    assert!(until("it begins", || run.accounts().len() == 3) < Duration::from_secs(6));
    assert!(run.run(&["deactivate"]).status.success());
    until("it lets go", || log(&run).contains("idle: deactivated"));
    run.export(&people(0..1));
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(run.accounts().len(), 3, "users stay as they are");
    run.activate();
    until("it goes on", || run.accounts().len() == 1);
    daemon.signal("INT");
    assert_eq!(daemon.exit(), Some(0));
}

#[test]
fn what_is_approved_beside_it_is_sent_within_seconds() {
    let run = RealBinary::open("");
    rarely(&run);
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let wide = "[guard.absent]\ncount_free = 100000\npercent_max = 100\ncount_max = 100000\n";
    std::fs::write(run.path("config.toml"), text.replace(wide, "")).expect("the default limits");
    run.export(&people(0..20));
    run.activate();
    let _daemon = Daemon::start(&run, &[]);
    until("the first load", || run.accounts().len() == 20);
    run.export(&people(0..10));
    let hold = std::cell::RefCell::new(None);
    until("it is held", || {
        let status: Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).unwrap_or_default();
        *hold.borrow_mut() = status["hold"].as_str().map(str::to_owned);
        hold.borrow().is_some()
    });
    assert!(run.run(&["approve", &hold.take().expect("a hold")]).status.success());
    assert!(until("it is sent", || run.accounts().len() == 10) < Duration::from_secs(6));
    until("its cycle says so", || cycles(&run).contains(&"approve".to_owned()));
    assert!(run.run(&["forget", "id-00003"]).status.success(), "forget works beside it too");
}

/// An endpoint whose good token can be changed, and that can be away; and an run that points there.
pub(crate) struct Elsewhere {
    pub(crate) run: RealBinary,
    pub(crate) good: Arc<Mutex<String>>,
    away: Arc<AtomicBool>,
    pub(crate) accounts: Arc<Mutex<Vec<Value>>>,
}

impl Elsewhere {
    pub(crate) fn open() -> Self {
        let (good, away) = (Arc::new(Mutex::new("first".to_owned())), Arc::new(AtomicBool::new(false)));
        let accounts: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (token, gone, kept) = (good.clone(), away.clone(), accounts.clone());
        let endpoint = Endpoint::start(move |asked: &mut Asked<'_>| {
            if gone.load(Ordering::SeqCst) {
                return asked.answer(503, "", "");
            }
            let wanted = format!("bearer {}", token.lock().expect("whole"));
            if !asked.head.to_lowercase().contains(&wanted) {
                return asked.answer(401, "", "{}");
            }
            let mut accounts = kept.lock().expect("whole");
            if asked.is_list() {
                let list = json!({"totalResults": accounts.len(), "Resources": *accounts});
                return asked.answer(
                    200,
                    "",
                    if accounts.is_empty() { EMPTY_LIST.to_owned() } else { list.to_string() }.as_str(),
                );
            }
            if let Some(id) = asked.line.split(' ').nth(1).and_then(|path| path.strip_prefix("/scim/v2/Users/")) {
                let place = accounts.iter().position(|account| account["id"] == id);
                return match (place, asked.line.starts_with("DELETE")) {
                    (None, _) => asked.answer(404, "", "{}"),
                    (Some(place), true) => {
                        accounts.remove(place);
                        asked.answer(204, "", "");
                    }
                    (Some(place), false) => asked.answer(200, "", &accounts[place].to_string()),
                };
            }
            let mut account: Value = serde_json::from_str(&asked.body).expect("an account");
            account["id"] = format!("account-{}", accounts.len()).into();
            accounts.push(account.clone());
            asked.answer(201, "", &account.to_string());
        });
        let run = RealBinary::open("");
        let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
        let text = text.replace(&run.base_url, &endpoint.base_url).replace("sandbox/token", "token");
        std::fs::write(run.path("config.toml"), text).expect("written");
        rarely(&run);
        let elsewhere = Self { run, good, away, accounts };
        elsewhere.put_token("first");
        elsewhere
    }

    pub(crate) fn put_token(&self, token: &str) {
        let path = self.run.path("token.new");
        std::fs::write(&path, token).expect("a token");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("closed");
        std::fs::rename(path, self.run.path("token")).expect("put");
    }

    pub(crate) fn count(&self) -> usize {
        self.accounts.lock().expect("whole").len()
    }

    pub(crate) fn event_types(&self) -> Vec<String> {
        let events = self.run.events();
        events.iter().map(|event| event["event_type"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

#[test]
fn a_revoked_token_that_is_replaced_on_disk_is_proven_and_taken_up() {
    let elsewhere = Elsewhere::open();
    let run = &elsewhere.run;
    run.export(&people(0..5));
    run.activate();
    let mut daemon = Daemon::start(run, &[]);
    until("the first load", || elsewhere.count() == 5);
    "second".clone_into(&mut elsewhere.good.lock().expect("whole"));
    run.export(&people(0..4));
    until("the refusal is said", || log(run).contains("Rhombus refuses the token"));
    until("who waits is named by id", || log(run).contains("removals wait for a valid token count=1 ids=id-00004"));
    let status: Value = serde_json::from_slice(&run.run(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(status["failed"], json!([]), "nobody is to blame");
    elsewhere.put_token("wrong");
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(elsewhere.count(), 5, "another bad token is not taken");
    elsewhere.put_token("second");
    until("it goes on by itself", || elsewhere.count() == 4);
    until("a new token is said once", || {
        elsewhere.event_types().iter().filter(|kind| *kind == "idm_integration_reauth").count() == 1
    });
    // A replacement while the old one is good is taken by SIGHUP.
    "third".clone_into(&mut elsewhere.good.lock().expect("whole"));
    elsewhere.put_token("third");
    daemon.signal("HUP");
    until("the reload", || {
        elsewhere.event_types().iter().filter(|kind| *kind == "idm_integration_reauth").count() == 2
    });
    run.export(&people(0..3));
    until("it is used", || elsewhere.count() == 3);
    daemon.signal("TERM");
    assert_eq!(daemon.exit(), Some(0));
    assert_eq!(elsewhere.event_types().iter().filter(|kind| *kind == "idm_integration_reauth").count(), 2);
    let said = log(run);
    assert!(["first", "second", "third"].iter().all(|token| !said.contains(&format!("earer {token}"))), "{said}");
}

#[test]
fn a_token_of_another_organisation_is_taken_neither_by_a_reload_nor_by_itself() {
    let elsewhere = Elsewhere::open();
    let run = &elsewhere.run;
    run.export(&people(0..5));
    run.activate();
    let mut daemon = Daemon::start(run, &[]);
    until("the first load", || elsewhere.count() == 5);
    let ours = std::mem::take(&mut *elsewhere.accounts.lock().expect("whole"));
    "second".clone_into(&mut elsewhere.good.lock().expect("whole"));
    elsewhere.put_token("second");
    daemon.signal("HUP");
    until("the reload is refused", || log(run).contains("the organisation of this token is empty"));
    run.export(&people(0..6));
    until("the old token is refused", || log(run).contains("Rhombus refuses the token"));
    until("the new one is not taken", || log(run).contains("the new token does not work either"));
    assert_eq!(elsewhere.count(), 0, "nothing is sent to another organisation");
    assert!(!elsewhere.event_types().contains(&"idm_integration_reauth".to_owned()));
    *elsewhere.accounts.lock().expect("whole") = ours;
    daemon.signal("HUP");
    until("the right one is taken", || elsewhere.event_types().contains(&"idm_integration_reauth".to_owned()));
    daemon.signal("USR1");
    until("it goes on", || elsewhere.count() == 6);
    daemon.signal("TERM");
    assert_eq!(daemon.exit(), Some(0));
    assert_eq!(elsewhere.event_types().iter().filter(|kind| *kind == "idm_integration_reauth").count(), 1);
}

#[test]
fn an_endpoint_that_goes_away_is_tried_again_without_waiting_for_a_tick() {
    let elsewhere = Elsewhere::open();
    let run = &elsewhere.run;
    run.export(&people(0..2));
    run.activate();
    elsewhere.away.store(true, Ordering::SeqCst);
    let _daemon = Daemon::start(run, &[]);
    until("the outage is said", || log(run).contains("Rhombus does not answer"));
    elsewhere.away.store(false, Ordering::SeqCst);
    until("it goes on by itself", || elsewhere.count() == 2);
    let failed = run
        .events()
        .iter()
        .filter(|event| event["event_type"] == "user_create_provision" && event["success"] == false)
        .count();
    assert!(failed <= 2, "nobody is blamed for an outage again and again");
}

#[test]
fn a_reload_is_all_or_nothing() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    run.activate();
    let mut daemon = Daemon::start(&run, &[]);
    until("the first load", || run.accounts().len() == 3);
    let good = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    for (broken, said) in [
        (good.replace("[scope]", "[scoop]"), "unknown key"),
        (good.replace("path = \"state.db\"", "path = \"other.db\""), "need a restart"),
        (good.replace("sandbox/token", "nowhere"), "cannot be read"),
        (good.replace(&run.base_url, "http://127.0.0.1:9/scim/v2"), "need a restart"),
    ] {
        std::fs::write(run.path("config.toml"), &broken).expect("written");
        let before = log(&run).lines().count();
        daemon.signal("HUP");
        until(said, || {
            // A cycle may end meanwhile, and say so after it.
            let refused = |line: &str| line.contains("the old configuration stays") && line.contains(said);
            log(&run).lines().skip(before).any(refused)
        });
    }
    // Another export takes effect with the next cycle, and the watch follows it at once.
    std::fs::write(run.path("config.toml"), good.replace("directory.json", "other.json")).expect("written");
    daemon.signal("HUP");
    until("it is in force", || log(&run).contains("is in force"));
    std::fs::write(run.path("other.json"), Value::from(people(0..4)).to_string()).expect("another export");
    until("the watch follows", || run.accounts().len() == 4);
    daemon.signal("TERM");
    assert_eq!(daemon.exit(), Some(0));
    let updates = run.events().into_iter().filter(|event| event["event_type"] == "idm_integration_update");
    let said: Vec<_> = updates.map(|event| event["message_chain"]["message_details"].clone()).collect();
    assert_eq!(said, ["settings changed: directory.path"], "said once, with the key and not its value");
}

#[test]
fn a_state_that_is_removed_or_replaced_under_it_is_let_go_of() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    run.activate();
    let mut daemon = Daemon::start(&run, &[]);
    until("the first load", || run.accounts().len() == 3 && cycles(&run) == ["startup"]);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(run.path(file));
    }
    until("it says so", || log(&run).contains("there is no state yet"));
    run.activate();
    run.export(&people(0..4));
    until("it begins with the new one", || run.accounts().len() == 4);
    daemon.signal("TERM");
    assert_eq!(daemon.exit(), Some(0));
    assert!(run.run(&["events", "verify"]).status.success(), "one log over both states");
}

#[test]
fn a_sink_and_a_log_that_nobody_reads_stop_neither_cycles_nor_the_end() {
    let run = RealBinary::open("");
    let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    let sink = "[[sinks]]\nkind = \"stdout\"\n[schedule]\ncron = \"* * * * * *\"\n";
    std::fs::write(run.path("config.toml"), format!("{text}{sink}")).expect("written");
    run.export(&people(0..200));
    run.activate();
    let child = run.command(&[]).env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut daemon = Daemon { child: child.expect("it starts") };
    until("the first load", || run.accounts().len() == 200);
    run.export(&people(0..201));
    until("it goes on", || run.accounts().len() == 201);
    daemon.signal("TERM");
    assert_eq!(daemon.exit(), Some(0));
}

#[test]
fn a_token_that_others_can_read_is_refused_at_the_start() {
    let elsewhere = Elsewhere::open();
    elsewhere.run.export(&people(0..1));
    elsewhere.run.activate();
    std::fs::set_permissions(elsewhere.run.path("token"), PermissionsExt::from_mode(0o644)).expect("open");
    assert_eq!(Daemon::start(&elsewhere.run, &[]).exit(), Some(78), "{}", log(&elsewhere.run));
}

#[test]
fn a_wait_that_is_over_makes_no_cycle_after_cycle() {
    let elsewhere = Elsewhere::open();
    let run = &elsewhere.run;
    run.export(&people(0..3));
    run.activate();
    let _daemon = Daemon::start(run, &[]);
    until("the first load", || elsewhere.count() == 3);
    "second".clone_into(&mut elsewhere.good.lock().expect("whole"));
    run.export(&people(0..2));
    until("the refusal is said", || log(run).contains("Rhombus refuses the token"));
    std::fs::remove_file(run.path("directory.json")).expect("removed");
    let before = log(run).matches("a cycle").count();
    std::thread::sleep(Duration::from_secs(4));
    assert!(log(run).matches("a cycle").count() <= before + 3, "{}", log(run));
}

#[test]
fn a_service_manager_hears_when_it_is_ready_how_it_is_and_that_it_lives() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    run.activate();
    let path = run.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let path = path.to_string_lossy().into_owned();
    let mut daemon = Daemon::start(&run, &[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", "30000000")]);
    let mut heard = String::new();
    let mut hear = |what: &str, is_so: &dyn Fn(&str) -> bool| {
        let mut text = [0; 4096];
        while !is_so(&heard) {
            let count = socket.recv(&mut text).unwrap_or_else(|error| panic!("never {what}: {error}; heard {heard}"));
            heard.push_str(&String::from_utf8_lossy(&text[..count]));
            heard.push('\n');
        }
    };
    hear("ready", &|heard| heard.contains("READY=1"));
    hear("a status", &|heard| heard.contains("STATUS=done: 3 provisioned"));
    hear("two signs of life", &|heard| heard.matches("WATCHDOG=1").count() >= 2);
    daemon.signal("TERM");
    hear("that it ends", &|heard| heard.contains("STOPPING=1"));
    assert_eq!(daemon.exit(), Some(0));
}

#[test]
fn what_cannot_pass_by_itself_ends_it_with_its_own_exit_code() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..3));
    let exit = |run: &RealBinary| Daemon::start(run, &[]).exit();
    let good = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
    std::fs::write(run.path("config.toml"), "[directory]\npaht = 1\n").expect("written");
    assert_eq!(exit(&run), Some(78), "{}", log(&run));
    std::fs::write(run.path("config.toml"), &good).expect("written");
    std::fs::write(run.path("state.db"), "").expect("an empty state");
    assert_eq!(exit(&run), Some(1), "an empty state is no new one: {}", log(&run));
    assert!(log(&run).contains("hint:"), "{}", log(&run));
    std::fs::remove_file(run.path("state.db")).expect("removed");
    run.activate();
    let first = Daemon::start(&run, &[]);
    until("it sends", || run.accounts().len() == 3);
    assert_eq!(exit(&run), Some(5));
    drop(first);
    let other = good.replace(&run.base_url, "https://elsewhere.example/scim/v2");
    std::fs::write(run.path("config.toml"), other).expect("written");
    assert_eq!(exit(&run), Some(78), "the state belongs to another endpoint: {}", log(&run));
}

#[test]
fn logs_are_for_the_journal_or_for_machines_where_they_are_asked_to_be() {
    let run = RealBinary::open("");
    rarely(&run);
    run.export(&people(0..2));
    run.activate();
    let run = |format: &str, journal: bool| {
        let path: PathBuf = run.path("daemon.log");
        let file = std::fs::File::create(&path).expect("a log");
        let metadata = file.metadata().expect("a file");
        let mut command = Command::new(BINARY);
        command
            .arg("-c")
            .arg(run.path("config.toml"))
            .args(["--log-format", format])
            .stdout(Stdio::null())
            .stderr(file);
        if journal {
            command.env("JOURNAL_STREAM", format!("{}:{}", metadata.dev(), metadata.ino()));
        }
        let mut daemon = Daemon { child: command.spawn().expect("it starts") };
        until("a cycle", || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("a cycle ended")));
        daemon.signal("TERM");
        daemon.exit();
        std::fs::read_to_string(&path).expect("a log")
    };
    for line in run("json", false).lines() {
        let line: Value = serde_json::from_str(line).expect("one JSON object a line");
        assert!(line["level"] == "INFO" && line["timestamp"].is_string() && line["message"].is_string(), "{line}");
    }
    let text = run("text", false);
    assert!(text.lines().all(|line| line.contains(" INFO ")) && text.contains(" result=done "), "{text}");
    let journal = run("auto", true);
    assert!(journal.lines().all(|line| line.starts_with("<6>")) && !journal.contains("INFO"), "{journal}");
}
