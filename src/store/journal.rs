//! The writing connection, on its own thread. Waiting writes share one transaction and one fsync.
//!
//! # Guarantees
//! When [`Journal::write`] returns, its write is on the disk. After the first error nothing more is written and every
//! call fails; fsync is never retried on the same handle (Rebello et al., ATC'20).

use super::error::in_words;
use super::{Lock, StateError, database};
use crate::model::chain;
use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// How many writes share a commit at most, so that none waits for ever.
const WRITES_PER_COMMIT_MAX: usize = 512;

/// How long a write that nobody waits for may be delayed to share the fsync of one that somebody does wait for.
const LINGER: std::time::Duration = std::time::Duration::from_millis(5);

/// How long a process waits at its end for the last checkpoint.
const LAST_CHECKPOINT: std::time::Duration = std::time::Duration::from_secs(5);

type Run = Box<dyn FnOnce(&Transaction<'_>) -> rusqlite::Result<Answer> + Send>;

struct Write {
    /// `None` ends the thread.
    run: Option<Run>,
    awaited: bool,
}
/// Tells a waiting caller that its write is on the disk.
type Answer = Box<dyn FnOnce() + Send>;

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
}

impl Journal {
    /// Starts the thread. It holds `lock` until it ends, and notes the head of the log there after each commit.
    ///
    /// # Errors
    /// The thread cannot be started, or the lock was lost.
    pub fn start(connection: Connection, lock: Option<Lock>, faults: Option<FaultPlan>) -> Result<Self, StateError> {
        let (writes, queue) = mpsc::channel();
        let failure = std::sync::Arc::new(std::sync::OnceLock::new());
        let noted = failure.clone();
        let (alive, thread_ended) = mpsc::channel();
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            let identity = database::identity(&connection);
            let mut thread = Thread { connection, lock, faults, identity };
            thread.run(&queue, &noted);
            drop(thread);
            drop::<mpsc::Sender<()>>(alive);
        })?;
        let thread_ended = std::sync::Arc::new(std::sync::Mutex::new(thread_ended));
        Ok(Self { writes, failure, thread_ended })
    }

    /// Writes, and returns once the write is on the disk.
    ///
    /// # Errors
    /// The journal has ended: send no more requests.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let receiver = self.send(write, true)?;
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
        self.send(write, false).map(|_| ())
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

    fn send<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        awaited: bool,
    ) -> Result<oneshot::Receiver<T>, JournalError> {
        let (answer, receiver) = oneshot::channel();
        let run: Run = Box::new(move |transaction| {
            let value = write(transaction)?;
            Ok(Box::new(move || {
                let _ = answer.send(value);
            }))
        });
        self.writes.send(Write { run: Some(run), awaited }).map_err(|_| self.ended())?;
        Ok(receiver)
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
}

impl Thread {
    fn run(&mut self, queue: &mpsc::Receiver<Write>, failure: &std::sync::OnceLock<JournalError>) {
        while let Ok(first) = queue.recv() {
            // Asked before the writes are gathered: a test that waits here decides which writes share a commit.
            let fault = self.faults.as_mut().map_or(CommitFault::None, |faults| faults());
            let writes = gather(first, queue);
            // Waiting callers must learn the cause before their channels close.
            let mut ended = |error: JournalError| drop(failure.set(error));
            if self.commit(writes, fault, &mut ended).is_none() {
                break;
            }
        }
        if failure.get().is_some() {
            return;
        }
        // Another reader (Litestream always has one) may keep the WAL in use. Nobody waits for it, since the lock is still held:
        // the next checkpoint moves what is left.
        let _ = self.connection.busy_timeout(std::time::Duration::ZERO);
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
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
        for run in writes.into_iter().map_while(|write| write.run) {
            match run(&transaction) {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    failed(error);
                    return None;
                }
            }
        }
        if let Err(error) = transaction.commit() {
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
