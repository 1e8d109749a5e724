//! One process of the program in the simulated world: a cycle and its deliveries, with the real store and journal. Time is
//! tokio's, paused; the journal's thread commits only while the cycle waits, so that the same seed gives the same commits.

use super::world::{Line, SkewedClock, World};
use crate::support::chance::Chance;
use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{CrashingSink, InProcess, Steps};
use rhombus_sync::cycle::{CycleContext, CycleOptions, reconcile};
use rhombus_sync::event::Source;
use rhombus_sync::model::CycleId;
use rhombus_sync::report::CycleReport;
use rhombus_sync::scim::{RateLimit, ScimTarget};
use rhombus_sync::ship::catch_up;
use rhombus_sync::store::{self, Access, CommitFault, FaultPlan, Journal, JournalError};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::task::{Context, Wake, Waker};
use tokio_util::sync::CancellationToken;

/// How a process lives.
pub(super) struct Life {
    pub(super) steps: Steps,
    /// SIGTERM after so many milliseconds.
    pub(super) stopped_after_ms: Option<u64>,
    /// What was queued and not committed when it was killed is lost, not committed.
    pub(super) loses_its_queue: bool,
    pub(super) refresh: bool,
}

/// How it ended.
pub(super) enum Death {
    Reported(Box<CycleReport>),
    Killed,
    /// The state could not be used.
    Broken(String),
}

/// Who may go on: the cycle or the journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    OfTheCycle,
    OfTheJournal,
    /// The cycle has ended, and what is queued is committed.
    Over,
    /// The process is dead, and what is queued is lost.
    Lost,
}

struct Gate {
    turn: Mutex<Turn>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, turn: Turn) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
        self.changed.notify_all();
    }

    /// The journal waits here before it gathers what it commits.
    fn wait(&self) -> Turn {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_closed = |turn: &mut Turn| *turn == Turn::OfTheCycle;
        *self.changed.wait_while(turn, is_closed).unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is queued so far is committed, and its callers know it. The runtime of this thread stands still.
    fn let_through(&self, journal: &Journal) {
        let waker = Waker::from(Arc::new(ThisThread(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut last = std::pin::pin!(journal.write(|_| Ok(())));
        // Queued before the journal goes on, so that it shares the commit of whatever waits there.
        let mut is_over = last.as_mut().poll(&mut context).is_ready();
        self.set(Turn::OfTheJournal);
        while !is_over {
            std::thread::park();
            is_over = last.as_mut().poll(&mut context).is_ready();
        }
        self.set(Turn::OfTheCycle);
    }
}

struct ThisThread(std::thread::Thread);

impl Wake for ThisThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static PAUSES: RefCell<Chance> = RefCell::new(Chance::new(0));
}

/// Chance for the pauses of the process on this thread.
fn pauses() -> u64 {
    PAUSES.with_borrow_mut(Chance::next)
}

fn commit_faults(steps: Steps, gate: Arc<Gate>, alive: mpsc::Sender<()>) -> FaultPlan {
    Box::new(move || {
        let _alive = &alive;
        match gate.wait() {
            Turn::Lost => return CommitFault::Before,
            Turn::Over => return CommitFault::None,
            Turn::OfTheCycle | Turn::OfTheJournal => {}
        }
        match steps.step() {
            Fate::Die => CommitFault::Before,
            Fate::GoOn | Fate::Break if steps.step() == Fate::Die => CommitFault::After,
            Fate::GoOn | Fate::Break => CommitFault::None,
        }
    })
}

/// Runs one process to its end.
pub(super) fn live(run: &InProcess, world: &Rc<World>, life: &Life) -> Death {
    let gate = Arc::new(Gate { turn: Mutex::new(Turn::OfTheCycle), changed: Condvar::new() });
    let (alive, ended) = mpsc::channel::<()>();
    let faults = commit_faults(life.steps.clone(), gate.clone(), alive);
    let writer = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    let journal = Journal::start(writer, None, Some(faults)).expect("a journal");
    let (door, hers) = (gate.clone(), journal.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park(move || door.let_through(&hers))
        .build()
        .expect("a runtime");
    PAUSES.with_borrow_mut(|pauses| *pauses = Chance::new(world.chance.borrow_mut().next()));
    let death = runtime.block_on(async {
        world.begin();
        let death = tokio::select! {
            biased;
            () = life.steps.crash.cancelled() => Death::Killed,
            ended = cycle(run, world, life, &journal) => match ended {
                _ if life.steps.crash.is_cancelled() => Death::Killed,
                Ok(report) => Death::Reported(Box::new(report)),
                Err(error) => Death::Broken(error.to_string()),
            },
        };
        world.end();
        death
    });
    let is_killed = matches!(death, Death::Killed);
    gate.set(if is_killed && life.loses_its_queue { Turn::Lost } else { Turn::Over });
    drop((runtime, journal));
    // The journal's thread owns the sender: it has ended when the channel closes.
    let _ = ended.recv();
    death
}

async fn cycle(
    run: &InProcess,
    world: &Rc<World>,
    life: &Life,
    journal: &Journal,
) -> Result<CycleReport, JournalError> {
    let clock = SkewedClock(world.clone());
    let line = Line { world: world.clone(), steps: life.steps.clone() };
    let settings = &run.settings;
    let rate_limit = RateLimit::new(settings.concurrency_max, settings.requests_per_second_max);
    let stop = CancellationToken::new();
    let context = CycleContext {
        settings,
        target: ScimTarget::new(line, rate_limit, run.update_method.get()),
        journal: journal.clone(),
        reader: store::open(&run.path("state.db"), Access::Read)?,
        clock: &clock,
        random: pauses,
        stop: stop.clone(),
        deactivated: Arc::default(),
        cycle: CycleId::new(format!("cycle-{}", world.now())),
        source: Source::Reconcile,
        token_fingerprint: None,
        options: CycleOptions { refresh: life.refresh, ..CycleOptions::default() },
        progress: &|_, _| {},
    };
    let whole = async {
        let report = reconcile(&context).await?;
        let mut sink = CrashingSink::new(run.path("events.ndjson"), life.steps.clone());
        catch_up("file", &mut sink, &context.reader, &context.journal, context.clock).await?;
        Ok(report)
    };
    let signal = async {
        match life.stopped_after_ms {
            Some(after) => tokio::time::sleep(std::time::Duration::from_millis(after)).await,
            None => std::future::pending().await,
        }
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = signal => unreachable!("it never ends"),
        report = whole => report,
    }
}
