//! The writing connection, on its own thread. Waiting writes share one transaction and one fsync.
//!
//! # Guarantees
//! When [`Journal::write`] returns, its write is on the disk, and has passed the [`Barrier`] if there is one. After the first error nothing more is written and every
//! call fails; fsync is never retried on the same handle (Rebello et al., ATC'20).

use super::error::in_words;
use super::{Batch, Lock, StateError, database, health, log};
use crate::memory;
use crate::model::{Barrier, Behind, chain};
use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

/// How many writes share a commit at most, so that none waits for ever.
const WRITES_PER_COMMIT_MAX: usize = 512;

/// How long a write that nobody waits for may be delayed to share the fsync of one that somebody does wait for.
const LINGER: std::time::Duration = std::time::Duration::from_millis(5);

/// How long a process waits at its end for the last checkpoint.
const LAST_CHECKPOINT: std::time::Duration = std::time::Duration::from_secs(5);

/// How many pages the WAL may have before they are moved into the database: each such move waits for the disk.
const CHECKPOINT_PAGES: u32 = 4_000;
/// Room for every statement that a cycle repeats.
const STATEMENTS_KEPT: usize = 64;
/// After so long without a write nothing is kept ready for the next.
const REST_AFTER: std::time::Duration = std::time::Duration::from_secs(10);

/// How often a barrier is looked at that nobody waits for, to note when somebody does again.
const LOOK_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

type Run = Box<dyn FnOnce(&mut Batch<'_>) -> rusqlite::Result<Option<Notify>> + Send>;

struct Write {
    /// `None` ends the thread.
    run: Option<Run>,
    awaited: bool,
}
/// Tells a waiting caller that its write is on the disk.
type Notify = Box<dyn FnOnce() + Send>;

/// The journal has ended; carries the first error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct JournalError {
    what: String,
    damage: Damage,
}

/// Whether the state itself is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    None,
    Found,
}

impl From<String> for JournalError {
    fn from(what: String) -> Self {
        Self { what: format!("the state cannot be used: {what}"), damage: Damage::None }
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        let found = matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase));
        Self {
            what: format!("the state cannot be used: {}", in_words(&error)),
            damage: if found { Damage::Found } else { Damage::None },
        }
    }
}

impl From<StateError> for JournalError {
    fn from(error: StateError) -> Self {
        let found = matches!(error, StateError::Damaged { .. });
        Self { what: chain(&error).join(": "), damage: if found { Damage::Found } else { Damage::None } }
    }
}

impl JournalError {
    /// What to do about a damaged state; `None` if the cause is another one.
    #[must_use]
    pub fn ways_out(&self) -> Option<String> {
        let state = StateError::Damaged { path: std::path::PathBuf::new(), what: String::new() };
        (self.damage == Damage::Found).then(|| state.hint()).flatten()
    }
}

/// What a test injects around a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitFault {
    /// The commit goes through.
    None,
    /// The process dies before the commit.
    Before,
    /// The process dies after the commit: it is on the disk, and no caller hears of it.
    After,
}

/// Asked by the journal before it gathers the writes of each commit.
pub type FaultPlan = Box<dyn FnMut() -> CommitFault + Send>;

/// Handle of the writing thread. Dropping the last one ends the thread.
#[derive(Clone)]
pub struct Journal {
    writes: mpsc::Sender<Write>,
    failure: std::sync::Arc<std::sync::OnceLock<JournalError>>,
    thread_ended: std::sync::Arc<std::sync::Mutex<mpsc::Receiver<()>>>,
    barrier: Option<Arc<dyn Barrier>>,
}

impl Journal {
    /// Starts the thread. It holds `lock` until it ends, and notes the head of the log there after each commit.
    ///
    /// # Errors
    /// The thread cannot be started, or the lock was lost.
    pub fn start(connection: Connection, lock: Option<Lock>, faults: Option<FaultPlan>) -> Result<Self, StateError> {
        Self::start_behind(None, connection, lock, faults)
    }

    /// The same; each commit passes the barrier before anybody hears of it.
    ///
    /// # Errors
    /// As [`Journal::start`].
    pub fn start_behind(
        barrier: Option<Arc<dyn Barrier>>,
        connection: Connection,
        lock: Option<Lock>,
        faults: Option<FaultPlan>,
    ) -> Result<Self, StateError> {
        let (writes, queue) = mpsc::channel();
        let failure = std::sync::Arc::new(std::sync::OnceLock::new());
        let noted = failure.clone();
        let (alive, thread_ended) = mpsc::channel();
        let passed = barrier.clone();
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            let identity = database::identity(&connection);
            // Without either the journal is only slower.
            connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
            let _ = connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES);
            // Whatever an earlier process noted is over, or is noted again.
            let known = health::health(&connection).ok().and_then(|health| health.replica_behind);
            let mut thread = Thread { connection, lock, faults, identity, barrier: passed, noted: known };
            thread.run(&queue, &noted);
            drop(thread);
            drop::<mpsc::Sender<()>>(alive);
        })?;
        let thread_ended = std::sync::Arc::new(std::sync::Mutex::new(thread_ended));
        Ok(Self { writes, failure, thread_ended, barrier })
    }

    /// Writes, and returns once the write is on the disk.
    ///
    /// # Errors
    /// The journal has ended: send no more requests.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.write_in_batch(move |batch| {
            batch.flush()?;
            write(batch.transaction())
        })
        .await
    }

    /// The same for a write that shares what it reads with its neighbours in the transaction.
    ///
    /// # Errors
    /// The journal has ended: send no more requests.
    pub async fn write_in_batch<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (answer, receiver) = oneshot::channel();
        self.send(true, move |batch| {
            let value = write(batch)?;
            Ok(Some(Box::new(move || drop(answer.send(value)))))
        })?;
        receiver.await.map_err(|_| self.ended())
    }

    /// Queues a write; a later [`Journal::write`] returns only after it.
    ///
    /// # Errors
    /// The journal has ended.
    pub fn queue(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), JournalError> {
        self.queue_in_batch(move |batch| {
            batch.flush()?;
            write(batch.transaction())
        })
    }

    /// The same for a write that shares what it reads with its neighbours in the transaction.
    ///
    /// # Errors
    /// The journal has ended.
    pub fn queue_in_batch(
        &self,
        write: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), JournalError> {
        self.send(false, move |batch| write(batch).map(|()| None))
    }

    /// Up to which event the log may leave.
    #[must_use]
    pub fn leaves_up_to(&self) -> i64 {
        self.barrier.as_ref().map_or(i64::MAX, |barrier| barrier.leaves_up_to())
    }

    /// Since when nobody waits for the replica, if nobody does.
    #[must_use]
    pub fn behind(&self) -> Option<Behind> {
        self.barrier.as_ref().and_then(|barrier| barrier.behind())
    }

    /// The process ends, and sends no request any more: no write waits for long.
    pub fn hurry(&self) {
        if let Some(barrier) = &self.barrier {
            barrier.hurry();
        }
    }

    /// Ends the thread after everything queued so far, and waits for the last checkpoint and the release of the lock,
    /// even if other handles still exist.
    pub fn end(&self) {
        let _ = self.writes.send(Write { run: None, awaited: true });
        if let Ok(ended) = self.thread_ended.lock() {
            // The thread never replies here; the channel closes when it ends.
            let _ = ended.recv_timeout(LAST_CHECKPOINT);
        }
    }

    fn send(
        &self,
        awaited: bool,
        run: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<Option<Notify>> + Send + 'static,
    ) -> Result<(), JournalError> {
        self.writes.send(Write { run: Some(Box::new(run)), awaited }).map_err(|_| self.ended())
    }

    fn ended(&self) -> JournalError {
        self.failure.get().cloned().unwrap_or_else(|| JournalError::from("its thread has ended".to_owned()))
    }
}

struct Thread {
    connection: Connection,
    lock: Option<Lock>,
    faults: Option<FaultPlan>,
    /// Device and inode of the state; `None` in memory.
    identity: Option<(u64, u64)>,
    barrier: Option<Arc<dyn Barrier>>,
    /// What the state says of the replica.
    noted: Option<Behind>,
}

impl Thread {
    fn run(&mut self, queue: &mpsc::Receiver<Write>, failure: &std::sync::OnceLock<JournalError>) {
        while let Some(first) = self.next(queue) {
            // Asked before the writes are gathered: a test that waits here decides which writes share a commit.
            let fault = self.faults.as_mut().map_or(CommitFault::None, |faults| faults());
            let writes = gather(first, queue);
            // Waiting callers must learn the cause before their channels close.
            let mut ended = |error: JournalError| drop(failure.set(error));
            if self.commit(writes, fault, &mut ended).is_none() {
                break;
            }
            self.note_behind();
        }
        if failure.get().is_some() {
            return;
        }
        // Another reader (Litestream always has one) may keep the WAL in use. Nobody waits for it, since the lock is still held:
        // the next checkpoint moves what is left.
        let _ = self.connection.busy_timeout(std::time::Duration::ZERO);
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// The next write; `None`: nobody writes any more. Meanwhile it notes when the replica has caught up, and after a while
    /// without a write the pages kept of the state are given back, and with them what a cycle needed.
    fn next(&mut self, queue: &mpsc::Receiver<Write>) -> Option<Write> {
        let mut rested = false;
        loop {
            let is_behind =
                self.barrier.as_ref().is_some_and(|barrier| barrier.behind().is_some() || self.noted.is_some());
            let waited = match (is_behind, rested) {
                (true, _) => queue.recv_timeout(LOOK_PAUSE),
                (false, false) => queue.recv_timeout(REST_AFTER),
                (false, true) => return queue.recv().ok(),
            };
            match waited {
                Ok(write) => return Some(write),
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) if is_behind => self.note_behind(),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    // It only frees; if it fails, nothing is lost.
                    let _ = self.connection.execute_batch("PRAGMA shrink_memory");
                    memory::give_back();
                    rested = true;
                }
            }
        }
    }

    /// Notes since when nobody waits for the replica, for whoever reads the state. If that cannot be written, the next commit says
    /// so.
    fn note_behind(&mut self) {
        let Some(barrier) = &self.barrier else { return };
        let behind = barrier.behind();
        if behind != self.noted && health::note_behind(&self.connection, behind.as_ref()).is_ok() {
            self.noted = behind;
        }
    }

    /// Nothing leaves on the strength of a commit that has not passed.
    fn pass(&self) -> rusqlite::Result<()> {
        let Some(barrier) = &self.barrier else { return Ok(()) };
        barrier.pass(&log::committed(&self.connection)?);
        Ok(())
    }

    /// Writes to a file that was removed or replaced are lost, so nothing may be sent on their strength.
    fn is_still_there(&self) -> Result<(), String> {
        match self.identity {
            Some(identity) if database::identity(&self.connection) != Some(identity) => {
                Err("the state was removed or replaced while it was in use".to_owned())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn commit(&mut self, writes: Vec<Write>, fault: CommitFault, ended: &mut dyn FnMut(JournalError)) -> Option<()> {
        if fault == CommitFault::Before {
            return None;
        }
        let held = self.lock.as_ref().map_or(Ok(()), Lock::is_still_held);
        if let Err(error) = held.and_then(|()| self.is_still_there()) {
            ended(error.into());
            return None;
        }
        let path = std::path::PathBuf::from(self.connection.path().unwrap_or_default());
        let mut failed = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => ended(error.into()),
            Some(_) | None => ended(StateError::from(error).at(&path).into()),
        };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&mut failed).ok()?;
        let mut answers = Vec::with_capacity(writes.len());
        let last = writes.iter().any(|write| write.run.is_none());
        let mut batch = Batch::of(&transaction);
        for run in writes.into_iter().map_while(|write| write.run) {
            answers.extend(run(&mut batch).map_err(&mut failed).ok()?);
        }
        if let Err(error) = batch.flush().and_then(|()| transaction.commit()) {
            failed(error);
            return None;
        }
        if fault == CommitFault::After {
            return None;
        }
        if let Some(Err(error)) = self.lock.as_mut().map(|lock| lock.note(&self.connection)) {
            ended(error.into());
            return None;
        }
        // At the end nobody waits for what has passed before.
        if !(last && answers.is_empty())
            && let Err(error) = self.pass()
        {
            ended(error.into());
            return None;
        }
        answers.into_iter().for_each(|answer| answer());
        (!last).then_some(())
    }
}

/// Everything that is queued, and what arrives within [`LINGER`] if no caller waits.
fn gather(first: Write, queue: &mpsc::Receiver<Write>) -> Vec<Write> {
    let until = std::time::Instant::now() + LINGER;
    let mut writes = vec![first];
    while writes.len() < WRITES_PER_COMMIT_MAX {
        let write = match queue.try_recv() {
            Ok(write) => Some(write),
            Err(_) if writes.iter().any(|write| write.awaited) => None,
            Err(_) => queue.recv_timeout(until.saturating_duration_since(std::time::Instant::now())).ok(),
        };
        match write {
            Some(write) => writes.push(write),
            None => break,
        }
    }
    writes
}
