//! Crash points: a mixed run is stopped at every step in turn (before and after each request, each commit, each delivery),
//! started again with a CHANGED export, and judged by one oracle (facts of the endpoint against the log).

#[path = "support/rhombus.rs"]
mod rhombus;
mod support;

use rhombus::{Accounts, Fate, Wire};
use rhombus_sync::config::Settings;
use rhombus_sync::cycle::{Clock, World, reconcile};
use rhombus_sync::event::Sealed;
use rhombus_sync::model::{CycleId, Moment, UpdateMethod};
use rhombus_sync::report::CycleReport;
use rhombus_sync::ship::ship;
use rhombus_sync::sink::{FileSink, Sink, SinkError};
use rhombus_sync::store::{self, Access, Fault, Journal};
use rhombus_sync::target::{Pace, ScimTarget};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use support::{array, settings};
use tokio_util::sync::CancellationToken;

/// A clock that moves with each look at it, and across restarts.
struct TestClock(Arc<AtomicI64>);

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// Counts steps and says what happens at the one that was chosen.
#[derive(Clone)]
struct Steps {
    passed: Arc<AtomicU32>,
    at: u32,
    fate: Fate,
    crash: CancellationToken,
}

impl Steps {
    fn new(at: u32, fate: Fate) -> Self {
        Self { passed: Arc::default(), at, fate, crash: CancellationToken::new() }
    }

    fn step(&self) -> Fate {
        if self.crash.is_cancelled() {
            return Fate::Die;
        }
        if self.passed.fetch_add(1, Ordering::SeqCst) + 1 != self.at {
            return Fate::GoOn;
        }
        if self.fate == Fate::Die {
            self.crash.cancel();
        }
        self.fate
    }
}

/// A file that may be cut off in the middle of a line, or after it.
struct CrashingSink {
    inner: FileSink,
    path: PathBuf,
    steps: Steps,
}

impl Sink for CrashingSink {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        self.inner.resume(delivered)
    }
    fn deliver(&mut self, events: &[Sealed]) -> Result<(), SinkError> {
        let stopped = || SinkError { name: "stopped".to_owned(), cause: std::io::Error::other("stopped by the test") };
        let before = std::fs::metadata(&self.path).expect("the sink's file").len();
        self.inner.deliver(events)?;
        if self.steps.step() == Fate::Die {
            let file = std::fs::OpenOptions::new().write(true).open(&self.path).expect("the sink's file");
            file.set_len(before + 17).expect("a torn line");
            return Err(stopped());
        }
        if self.steps.step() == Fate::Die { Err(stopped()) } else { Ok(()) }
    }
}

/// One company with one state, one endpoint and one log, over any number of processes.
struct Company {
    folder: tempfile::TempDir,
    accounts: Rc<RefCell<Accounts>>,
    clock: Arc<AtomicI64>,
    settings: Settings,
}

impl Company {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        drop(support::state(folder.path(), "https://x.example"));
        let mut settings = settings(folder.path());
        settings.sink_names = vec!["file".to_owned()];
        let company =
            Self { settings, folder, accounts: Rc::default(), clock: Arc::new(AtomicI64::new(1_800_000_000_000)) };
        company.accounts.borrow_mut().add(json!({"userName": "Linked@x.example", "name": {"givenName": "Old"}}));
        company.accounts.borrow_mut().add(json!({"userName": "stranger@x.example"}));
        company
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One process: a cycle and its deliveries, until it ends or dies at the chosen step. None: it died.
    fn run(&self, export: &str, steps: &Steps) -> Option<CycleReport> {
        std::fs::write(self.path("directory.json"), array(export)).expect("an export");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        let (alive, ended) = mpsc::channel::<()>();
        let commits = steps.clone();
        let faults = Box::new(move || {
            let _alive = &alive;
            // One step before each commit and one after it.
            match commits.step() {
                Fate::Die => Fault::Before,
                Fate::GoOn | Fate::Break if commits.step() == Fate::Die => Fault::After,
                Fate::GoOn | Fate::Break => Fault::None,
            }
        });
        let writer = store::open(&self.path("state.db"), Access::Write).expect("the state opens");
        let journal = Journal::start(writer, Some(faults)).expect("a journal");
        let clock = TestClock(self.clock.clone());
        let requests = steps.clone();
        let report = runtime.block_on(async {
            let wire = Wire { accounts: self.accounts.clone(), moments: Rc::new(move || requests.step()) };
            let cycle = self.clock.fetch_add(1, Ordering::SeqCst);
            let world = World {
                settings: &self.settings,
                target: ScimTarget::new(wire, Pace::new(4, None), UpdateMethod::Patch),
                journal: journal.clone(),
                reader: store::open(&self.path("state.db"), Access::Read).expect("the state opens"),
                clock: &clock,
                random: || 7,
                stop: CancellationToken::new(),
                deactivated: Cell::new(false),
                cycle: CycleId::new(format!("cycle-{cycle}")),
            };
            let whole = async {
                let report = reconcile(&world).await.ok()?;
                let path = self.path("events.ndjson");
                let inner = FileSink::new("file".to_owned(), path.clone());
                let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(CrashingSink { inner, path, steps: steps.clone() })];
                ship(&mut sinks, &world.reader, &world.journal).await.ok()?;
                Some(report)
            };
            tokio::select! {
                biased;
                () = steps.crash.cancelled() => None,
                report = whole => report.filter(|_| !steps.crash.is_cancelled()),
            }
        });
        drop(journal);
        // The journal's thread owns the sender: it has ended when the channel closes.
        let _ = ended.recv();
        report
    }

    fn run_whole(&self, export: &str) -> CycleReport {
        self.run(export, &Steps::new(u32::MAX, Fate::GoOn)).expect("an undisturbed run ends")
    }

    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("events.ndjson")).expect("a log");
        assert!(text.ends_with('\n'), "a torn line is left");
        let mut lines: BTreeMap<i64, String> = BTreeMap::new();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).expect("a whole line");
            let sequence = event["sequence"].as_i64().expect("a sequence");
            let first = lines.entry(sequence).or_insert_with(|| line.to_owned());
            assert_eq!(first, line, "event {sequence} was repeated with other bytes");
        }
        let mut chain = String::new();
        for (place, (sequence, line)) in lines.iter().enumerate() {
            assert_eq!(*sequence, place as i64 + 1, "the sequence has a gap");
            let (body, found) = line.rsplit_once(",\"chain\":\"").expect("a chain");
            let body = format!("{chain}\n{body}}}");
            chain = rhombus_sync::model::hex(&Sha256::digest(body));
            assert_eq!(found, format!("{chain}\"}}"), "the chain breaks at {sequence}");
        }
        lines.values().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The oracle (one, for every way of stopping): what the endpoint did against what the log says and the export wants.
    fn judge(&self, wanted: &str, how: &str) {
        let accounts = self.accounts.borrow();
        let mut names: Vec<_> = accounts
            .by_id
            .values()
            .map(|account| account["userName"].as_str().expect("a name").to_lowercase())
            .collect();
        names.sort();
        let unique: BTreeSet<_> = names.iter().cloned().collect();
        assert_eq!(names.len(), unique.len(), "{how}: somebody was created twice: {names:?}");
        let mut expected: BTreeSet<String> = ["stranger@x.example".to_owned()].into();
        expected.extend(wanted.split('|').map(|user| user.trim().split(' ').nth(1).expect("a username").to_owned()));
        assert_eq!(unique, expected, "{how}: the endpoint is not what the export wants");
        for user in wanted.split('|').map(|user| user.trim().split(' ').collect::<Vec<_>>()) {
            let account = accounts
                .by_id
                .values()
                .find(|account| account["userName"].as_str().is_some_and(|name| name.to_lowercase() == user[1]));
            let given = account.and_then(|account| account["name"]["givenName"].as_str()).unwrap_or_default();
            assert_eq!(given, user[2], "{how}: the given name of {}", user[0]);
        }
        let mut accepted = accounts.log.clone();
        let mut said: Vec<(String, String)> = self
            .events()
            .iter()
            .filter(|event| event["success"] == true && event["resource"]["type"] == "user")
            .filter(|event| event["message_chain"]["message_details"] != "linked")
            .map(|event| {
                (
                    event["event_type"].as_str().unwrap_or_default().to_owned(),
                    event["resource"]["target_id"].as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect();
        accepted.sort();
        said.sort();
        assert_eq!(said, accepted, "{how}: success events are not the accepted changes");
        let state = store::open(&self.path("state.db"), Access::Read).expect("the state opens");
        assert_eq!(store::open_intents(&state).expect("intents").len(), 0, "{how}: an intent is left open");
        let count = store::installation(&state).expect("the row").provisioned_count;
        assert_eq!(count as usize, expected.len() - 1, "{how}: provisioned_count");
    }
}

const YESTERDAY: &str = "a a@x.example Ann|b b@x.example Ben|c c@x.example Cem|d d@x.example Dan|e e@x.example Eve|f f@x.example Fay|g g@x.example Gus";
/// Joiners (h, i, j), a link (k), movers (a, b), a suspension (c), leavers (d, e), a freed username (l), a rename (f).
const TODAY: &str = "a a@x.example Anna|b b@x.example Benno|c c@x.example Cem +suspended|f new@x.example Fay|g g@x.example Gus\
 |h h@x.example Hal|i i@x.example Ida|j j@x.example Jon|k linked@x.example Kim|l d@x.example Lou";
/// What the restart finds: a joiner left again (i), a mover moved on (a), the suspended one is back (c), so is a leaver (e),
/// somebody new (m), and the rename was taken back (f).
const TOMORROW: &str = "a a@x.example Anja|b b@x.example Benno|c c@x.example Cem|e e@x.example Eve|f f@x.example Fay|g g@x.example Gus\
 |h h@x.example Hal|j j@x.example Jon|k linked@x.example Kim|l d@x.example Lou|m m@x.example Mia";

/// Walks through all steps of the mixed run; answers how many there were.
fn walk(fate: Fate, then: impl Fn(&Company, u32)) -> u32 {
    for step in 1.. {
        let company = Company::new();
        company.run_whole(YESTERDAY);
        let steps = Steps::new(step, fate);
        company.run(TODAY, &steps);
        then(&company, step);
        for _ in 0..2 {
            company.run_whole(TOMORROW);
        }
        let report = company.run_whole(TOMORROW);
        let how = format!("{fate:?} at step {step}");
        assert_eq!((report.exit, report.unchanged_count), (0, 11), "{how}: {report:?}");
        company.judge(TOMORROW, &how);
        if steps.passed.load(Ordering::SeqCst) < step {
            return step - 1;
        }
    }
    unreachable!("the run has an end");
}

#[test]
fn a_kill_at_any_step_and_a_changed_export_lose_nothing() {
    let steps = walk(Fate::Die, |_, _| {});
    assert!(steps > 40, "only {steps} steps were walked");
}

#[test]
fn a_second_kill_within_the_recovery_loses_nothing() {
    walk(Fate::Die, |company, step| {
        company.run(TOMORROW, &Steps::new(step % 23 + 1, Fate::Die));
        company.run(TODAY, &Steps::new(step % 7 + 1, Fate::Die));
    });
}

#[test]
fn a_lost_answer_at_any_step_loses_nothing() {
    let steps = walk(Fate::Break, |_, _| {});
    assert!(steps > 40, "only {steps} steps were walked");
}

#[test]
fn an_undisturbed_day_ends_as_wanted() {
    let company = Company::new();
    company.run_whole(YESTERDAY);
    let report = company.run_whole(TODAY);
    assert_eq!(
        (
            report.created_count,
            report.linked_count,
            report.updated_count,
            report.deactivated_count,
            report.deleted_count
        ),
        (4, 1, 3, 1, 2)
    );
    let refused: Vec<_> = report
        .standings
        .iter()
        .filter_map(|standing| standing.directory_id.as_ref())
        .map(ToString::to_string)
        .collect();
    assert_eq!((report.exit, refused), (0, vec!["f".to_owned()]));
    assert_eq!(company.run_whole(TODAY).unchanged_count, 8);
    assert!(Path::new(&company.path("events.ndjson")).exists());
}
