//! The barrier: a thread asks Litestream until the replica has the newest commit, and commits wait for that; for as long as
//! `[standby] lag_max` at most. Then the sync goes on alone, until the replica answers in time again.
//!
//! # Guarantees
//! A call that began before a commit proves nothing about it. What waits can always be told that the process ends.

use super::socket::Socket;
use crate::model::{Barrier, Behind, Committed, Moment};
use std::io::{Error, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The pause after a call that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A call may take so many times `lag_max`, so that a slow replica catches up all the same.
const CALLS_WAIT: u32 = 3;
/// How long commits wait in all once the process ends.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The replica of the state.
pub struct Replica {
    shared: Arc<Shared>,
    lag_max: Duration,
    now: fn() -> Moment,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Commits are counted, so that one that wrote no event is waited for, too.
#[derive(Default)]
struct State {
    commits_count: u64,
    /// Sequence of the newest event among them.
    sequence: i64,
    /// How many of them the replica has.
    replicated_count: u64,
    /// Sequence of the newest event that the replica has.
    replicated: i64,
    /// Why the last call failed.
    why: Option<String>,
    behind: Option<Behind>,
    /// Once the process ends: until when commits still wait.
    leave_by: Option<Instant>,
    is_dropped: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<'s>(&self, state: MutexGuard<'s, State>, left: Duration) -> MutexGuard<'s, State> {
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Replica {
    /// Starts the thread that asks Litestream.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(socket: Socket, lag_max: Duration, now: fn() -> Moment) -> Result<Self> {
        let call_max = lag_max.saturating_mul(CALLS_WAIT);
        Self::asking(move || socket.sync(call_max), lag_max, now)
    }

    fn asking(sync: impl Fn() -> Result<()> + Send + 'static, lag_max: Duration, now: fn() -> Moment) -> Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let asked = shared.clone();
        std::thread::Builder::new().name("replica".to_owned()).spawn(move || ask(&asked, &sync, lag_max))?;
        Ok(Self { shared, lag_max, now })
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shared.state().is_dropped = true;
        self.shared.changed.notify_all();
    }
}

impl Barrier for Replica {
    fn pass(&self, committed: &Committed) {
        let mut state = self.shared.state();
        state.commits_count += 1;
        state.sequence = committed.sequence;
        let count = state.commits_count;
        self.shared.changed.notify_all();
        let by = Instant::now() + self.lag_max;
        while state.replicated_count < count && state.behind.is_none() {
            let left = state.leave_by.map_or(by, |last| last.min(by)).saturating_duration_since(Instant::now());
            if !left.is_zero() {
                state = self.shared.wait_for(state, left);
                continue;
            }
            // Who ends says nothing of the replica.
            if state.leave_by.is_none() {
                let since = Moment((self.now)().0.saturating_sub(self.lag_max.as_millis() as i64));
                let why = state.why.clone().unwrap_or_else(|| "it does not answer".to_owned());
                tracing::warn!(
                    why,
                    "the replica is behind: the sync goes on alone; a failover now would lack the newest changes"
                );
                state.behind = Some(Behind { since, why });
            }
            return;
        }
    }

    fn leaves_up_to(&self) -> i64 {
        let state = self.shared.state();
        if state.behind.is_some() { i64::MAX } else { state.replicated }
    }

    fn behind(&self) -> Option<Behind> {
        self.shared.state().behind.clone()
    }

    fn hurry(&self) {
        self.shared.state().leave_by.get_or_insert(Instant::now() + LAST_WAIT);
        self.shared.changed.notify_all();
    }
}

/// Asks until the replica has every commit, and then waits for the next one.
fn ask(shared: &Shared, sync: &dyn Fn() -> Result<()>, lag_max: Duration) {
    let mut pause = FIRST_PAUSE;
    let mut state = shared.state();
    while !state.is_dropped {
        if state.replicated_count == state.commits_count {
            state = shared.wait(state);
            continue;
        }
        let (count, sequence) = (state.commits_count, state.sequence);
        drop(state);
        let began = Instant::now();
        let answered = sync();
        state = shared.state();
        match answered {
            Ok(()) => {
                (state.replicated_count, state.replicated, state.why) = (count, sequence, None);
                pause = FIRST_PAUSE;
                if began.elapsed() <= lag_max && state.behind.take().is_some() {
                    tracing::info!("the replica answers again: from now on it has every change before it is sent");
                }
                shared.changed.notify_all();
            }
            Err(error) => {
                state.why = Some(in_words(&error));
                state = rest(shared, state, pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Waits, whatever is committed meanwhile.
fn rest<'s>(shared: &Shared, mut state: MutexGuard<'s, State>, pause: Duration) -> MutexGuard<'s, State> {
    let by = Instant::now() + pause;
    while !state.is_dropped {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        state = shared.wait_for(state, left);
    }
    state
}

fn in_words(error: &Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        "there is no control socket: Litestream does not run, or has another one".to_owned()
    } else if error.kind() == std::io::ErrorKind::ConnectionRefused {
        "nobody listens at the control socket: Litestream does not run".to_owned()
    } else {
        format!("Litestream: {error}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(60);

    fn commit(sequence: i64) -> Committed {
        Committed { sequence, ..Committed::default() }
    }

    /// A replica whose calls answer what comes through the channel; each begun call is told.
    fn scripted(lag_max: Duration) -> (Arc<Replica>, mpsc::Sender<Result<()>>, mpsc::Receiver<()>) {
        let (answer, answers) = mpsc::channel::<Result<()>>();
        let (begun, begins) = mpsc::channel();
        let sync = move || {
            let _ = begun.send(());
            answers.recv().unwrap_or(Ok(()))
        };
        (Arc::new(Replica::asking(sync, lag_max, || Moment(100_000)).expect("a thread")), answer, begins)
    }

    #[test]
    fn a_commit_waits_for_a_call_that_began_after_it() {
        let (replica, answer, begins) = scripted(LATE);
        let (passed, passes) = mpsc::channel();
        for sequence in [3, 5] {
            let (replica, passed) = (replica.clone(), passed.clone());
            std::thread::spawn(move || {
                replica.pass(&commit(sequence));
                passed.send(sequence).expect("the test waits");
            });
            if sequence == 3 {
                begins.recv().expect("the call for the first");
            }
        }
        assert_eq!(replica.leaves_up_to(), 0);
        // The second one must have been counted while the first call was under way.
        while replica.shared.state().commits_count < 2 {
            std::thread::yield_now();
        }
        answer.send(Ok(())).expect("asked");
        assert_eq!(passes.recv(), Ok(3));
        begins.recv().expect("a call for the second");
        assert_eq!((passes.try_recv(), replica.leaves_up_to()), (Err(mpsc::TryRecvError::Empty), 3));
        answer.send(Ok(())).expect("asked");
        assert_eq!((passes.recv(), replica.leaves_up_to(), replica.behind()), (Ok(5), 5, None));
    }

    #[test]
    fn a_replica_that_refuses_is_asked_again_and_only_then_is_it_behind() {
        let (replica, answer, _begins) = scripted(LATE);
        answer.send(Err(Error::other("no"))).expect("asked");
        answer.send(Ok(())).expect("asked");
        replica.pass(&commit(1));
        assert_eq!((replica.leaves_up_to(), replica.behind()), (1, None));
    }

    #[test]
    fn it_goes_on_alone_until_the_replica_answers_again() {
        let (replica, answer, _begins) = scripted(SOON);
        let started = Instant::now();
        answer.send(Err(Error::other("no"))).expect("asked");
        replica.pass(&commit(7));
        let behind = replica.behind().expect("behind");
        assert!(started.elapsed() >= SOON, "{:?}", started.elapsed());
        assert_eq!((behind.since, behind.why.as_str()), (Moment(99_950), "Litestream: no"));
        assert_eq!(replica.leaves_up_to(), i64::MAX);
        // Nobody waits now, though nobody answers.
        replica.pass(&commit(8));
        // A call that took too long does not count, also where the machine is to blame.
        while replica.leaves_up_to() != 9 {
            answer.send(Ok(())).expect("asked");
            replica.pass(&commit(9));
        }
        assert_eq!(replica.behind(), None);
    }

    #[test]
    fn the_end_of_the_process_is_not_waited_for_and_lets_nothing_out() {
        let (replica, _answer, begins) = scripted(LATE);
        let waiting = replica.clone();
        let passed = std::thread::spawn(move || waiting.pass(&commit(4)));
        begins.recv().expect("a call");
        replica.hurry();
        passed.join().expect("it returns");
        assert_eq!((replica.leaves_up_to(), replica.behind()), (0, None));
    }
}
