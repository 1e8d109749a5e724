//! One run over any number of processes: its state, its endpoint, its log, and the oracle that judges them.

use crate::support::fake_rhombus::{Accounts, Fate, Mangle, Wire};
use crate::support::{array, settings};
use rhombus_sync::config::Settings;
use rhombus_sync::cycle::{CycleContext, CycleOptions, reconcile};
use rhombus_sync::event::{Sealed, Source};
use rhombus_sync::http::{Method, Request};
use rhombus_sync::model::{Approval, Clock, CycleId, HoldId, Moment, Person, UpdateMethod};
use rhombus_sync::outcome::Answer;
use rhombus_sync::report::CycleReport;
use rhombus_sync::scim::{RateLimit, ScimTarget};
use rhombus_sync::ship::catch_up;
use rhombus_sync::sink::{FileSink, Receipt, Sink, SinkError};
use rhombus_sync::store::{self, Access, CommitFault, Journal};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
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
pub(crate) struct Steps {
    pub(crate) passed: Arc<AtomicU32>,
    at: u32,
    fate: Fate,
    pub(crate) crash: CancellationToken,
}

impl Steps {
    pub(crate) fn new(at: u32, fate: Fate) -> Self {
        Self { passed: Arc::default(), at, fate, crash: CancellationToken::new() }
    }

    /// One more step: what happens at it.
    pub(crate) fn step(&self) -> Fate {
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
pub(crate) struct CrashingSink {
    inner: FileSink,
    path: PathBuf,
    steps: Steps,
}

impl CrashingSink {
    pub(crate) fn new(path: PathBuf, steps: Steps) -> Self {
        Self { inner: FileSink::new("file".to_owned(), path.clone()), path, steps }
    }
}

impl Sink for CrashingSink {
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        self.inner.resume(delivered)
    }
    fn deliver(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError> {
        let stopped = || SinkError {
            name: "stopped".to_owned(),
            cause: std::io::Error::other("stopped by the test"),
            repeat_count: 0,
        };
        let before = std::fs::metadata(&self.path).expect("the sink's file").len();
        let receipt = self.inner.deliver(events)?;
        if self.steps.step() == Fate::Die {
            let file = std::fs::OpenOptions::new().write(true).open(&self.path).expect("the sink's file");
            file.set_len(before + 17).expect("a torn line");
            return Err(stopped());
        }
        if self.steps.step() == Fate::Die { Err(stopped()) } else { Ok(receipt) }
    }
}

/// One run with one state, one endpoint and one log, over any number of processes.
pub(crate) struct InProcess {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) accounts: Rc<RefCell<Accounts>>,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) settings: Settings,
    /// Whether cycles begin with a refresh.
    pub(crate) refresh: Cell<bool>,
    /// Whom cycles are about; empty: everybody.
    pub(crate) only: RefCell<Vec<String>>,
    /// What the endpoint's answers are turned into.
    pub(crate) mangle: RefCell<Mangle>,
    pub(crate) update_method: Cell<UpdateMethod>,
    pub(crate) requests_per_second_max: Cell<Option<u32>>,
    /// The fingerprint of the token; none: no proof is asked for.
    pub(crate) token: RefCell<Option<String>>,
}

impl InProcess {
    pub(crate) fn new() -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder"))
    }

    /// The same with its state in memory, where the system has such a folder: for tests that run thousands of cycles.
    pub(crate) fn in_memory() -> Self {
        Self::in_folder(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder"))
    }

    fn in_folder(folder: tempfile::TempDir) -> Self {
        drop(crate::support::state(folder.path(), "https://x.example"));
        let mut settings = settings(folder.path());
        settings.sink_names = vec!["file".to_owned()];
        let run = Self {
            settings,
            folder,
            accounts: Rc::default(),
            refresh: Cell::new(false),
            only: RefCell::default(),
            clock: Arc::new(AtomicI64::new(crate::support::NOW.0)),
            mangle: RefCell::new(Rc::new(|_, answer| answer)),
            update_method: Cell::new(UpdateMethod::Patch),
            requests_per_second_max: Cell::new(None),
            token: RefCell::default(),
        };
        run.accounts.borrow_mut().add(json!({"userName": "Linked@x.example", "name": {"givenName": "Old"}}));
        run.accounts.borrow_mut().add(json!({"userName": "stranger@x.example"}));
        run
    }

    /// Answers some requests with something else, instead of obeying them.
    pub(crate) fn refuse(&self, decide: impl Fn(&Request) -> Option<Answer> + 'static) {
        self.accounts.borrow_mut().refuse = Some(Rc::new(decide));
    }

    /// From now on every request is obeyed and answered as it is.
    pub(crate) fn obey(&self) {
        self.accounts.borrow_mut().refuse = None;
        *self.mangle.borrow_mut() = Rc::new(|_, answer| answer);
    }

    /// So much time passes.
    pub(crate) fn later(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// How many requests of this method came so far.
    pub(crate) fn asked(&self, method: Method) -> usize {
        self.accounts.borrow().seen.iter().filter(|(asked, ..)| *asked == method).count()
    }

    /// The id of the account with this userName.
    pub(crate) fn id_of(&self, name: &str) -> String {
        let accounts = self.accounts.borrow();
        accounts.by_id.iter().find(|(_, account)| account["userName"] == *name).expect("an account").0.clone()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One process: a cycle and its deliveries, until it ends or dies at the chosen step. None: it died.
    pub(crate) fn run(&self, export: &str, steps: &Steps) -> Option<CycleReport> {
        std::fs::write(self.path("directory.json"), array(export)).expect("an export");
        self.run_export(steps)
    }

    /// The same, with the export that lies there.
    pub(crate) fn run_export(&self, steps: &Steps) -> Option<CycleReport> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        let (alive, ended) = mpsc::channel::<()>();
        let commits = steps.clone();
        let faults = Box::new(move || {
            let _alive = &alive;
            // One step before each commit and one after it.
            match commits.step() {
                Fate::Die => CommitFault::Before,
                Fate::GoOn | Fate::Break if commits.step() == Fate::Die => CommitFault::After,
                Fate::GoOn | Fate::Break => CommitFault::None,
            }
        });
        let writer = store::open(&self.path("state.db"), Access::Write).expect("the state opens");
        let journal = Journal::start(writer, None, Some(faults)).expect("a journal");
        let clock = TestClock(self.clock.clone());
        let requests = steps.clone();
        let report = runtime.block_on(async {
            let mangle = self.mangle.borrow().clone();
            let wire = Wire { accounts: self.accounts.clone(), moments: Rc::new(move || requests.step()), mangle };
            let cycle = self.clock.fetch_add(1, Ordering::SeqCst);
            let context = CycleContext {
                settings: &self.settings,
                target: ScimTarget::new(
                    wire,
                    RateLimit::new(4, self.requests_per_second_max.get()),
                    self.update_method.get(),
                ),
                journal: journal.clone(),
                reader: store::open(&self.path("state.db"), Access::Read).expect("the state opens"),
                clock: &clock,
                random: || 7,
                stop: CancellationToken::new(),
                deactivated: Arc::default(),
                cycle: CycleId::new(format!("cycle-{cycle}")),
                source: Source::Reconcile,
                token_fingerprint: self.token.borrow().clone(),
                options: CycleOptions {
                    refresh: self.refresh.get(),
                    only: self.only.borrow().clone(),
                    ..CycleOptions::default()
                },
                progress: &|_, _| {},
            };
            let whole = async {
                let report = reconcile(&context).await.ok()?;
                let mut sink = CrashingSink::new(self.path("events.ndjson"), steps.clone());
                catch_up("file", &mut sink, &context.reader, &context.journal, context.clock).await.ok()?;
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

    pub(crate) fn run_whole(&self, export: &str) -> CycleReport {
        self.run(export, &Steps::new(u32::MAX, Fate::GoOn)).expect("an undisturbed run ends")
    }

    pub(crate) fn events(&self) -> Vec<Value> {
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
    pub(crate) fn judge(&self, wanted: &str, how: &str) {
        let accounts = self.accounts.borrow();
        let mut names: Vec<_> = accounts
            .by_id
            .values()
            .map(|account| account["userName"].as_str().expect("a name").to_lowercase())
            .collect();
        names.sort();
        let unique: BTreeSet<_> = names.iter().cloned().collect();
        assert_eq!(names.len(), unique.len(), "{how}: somebody was created twice: {names:?}");
        let mut expected: BTreeSet<String> = ["stranger@x.example".to_owned(), "linked@x.example".to_owned()].into();
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
            .filter(|event| {
                !["linked", "relinked"].contains(&event["message_chain"]["message_details"].as_str().unwrap_or(""))
            })
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
        assert_eq!(count as usize, wanted.split('|').count(), "{how}: provisioned_count");
    }
}

/// An approval by root.
pub(crate) fn approval(hold: &HoldId) -> Approval {
    Approval { hold: hold.clone(), by: Person::of_account("root"), reason: String::new() }
}
