//! The writing connection, on its own thread. What waits shares one transaction and one fsync.
//!
//! # Guarantees
//! An answer of [`Journal::write`] means: committed and on the disk. After the first error nothing is written any more
//! and every call fails; fsync is never tried again on that handle (Rebello et al., ATC'20).

use super::{Lock, StateError, database};
use crate::model::chain;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// How many writes share a commit at the most, so that one does not wait for ever.
const WRITES_PER_COMMIT_MAX: usize = 512;

/// How long writes that nobody waits for may wait for one that somebody does, to share its fsync.
const LINGER: std::time::Duration = std::time::Duration::from_millis(5);

/// How long the end of a process waits for the last checkpoint.
const LAST_CHECKPOINT: std::time::Duration = std::time::Duration::from_secs(5);

type Run = Box<dyn FnOnce(&Transaction<'_>) -> rusqlite::Result<Answer> + Send>;

struct Write {
    /// None: the last one.
    run: Option<Run>,
    awaited: bool,
}
/// Tells a waiting caller that its write is on the disk.
type Answer = Box<dyn FnOnce() + Send>;

/// The journal has ended; the first error says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state cannot be used: {said}")]
pub struct JournalError {
    said: String,
    damage: Damage,
}

/// Whether the state is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    None,
    Found,
}

impl From<String> for JournalError {
    fn from(said: String) -> Self {
        Self { said, damage: Damage::None }
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let found = matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase));
        Self { said: error.to_string(), damage: if found { Damage::Found } else { Damage::None } }
    }
}

impl From<StateError> for JournalError {
    fn from(error: StateError) -> Self {
        let found = matches!(error, StateError::Damaged { .. });
        Self { said: chain(&error).join(": "), damage: if found { Damage::Found } else { Damage::None } }
    }
}

impl JournalError {
    /// The ways out of a damaged state; none where it is something else.
    #[must_use]
    pub fn ways_out(&self) -> Option<String> {
        let state = StateError::Damaged { path: std::path::PathBuf::new(), what: String::new() };
        (self.damage == Damage::Found).then(|| state.hint()).flatten()
    }
}

/// What a test makes of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitFault {
    /// Nothing.
    None,
    /// The process dies before it.
    Before,
    /// The process dies after it: it is on the disk, and nobody hears of it.
    After,
}

/// Asks a test what happens to the next commit.
pub type FaultPlan = Box<dyn FnMut() -> CommitFault + Send>;

/// The way to the writing thread. Dropping the last handle ends it.
#[derive(Clone)]
pub struct Journal {
    writes: mpsc::Sender<Write>,
    failure: std::sync::Arc<std::sync::OnceLock<JournalError>>,
    thread_ended: std::sync::Arc<std::sync::Mutex<mpsc::Receiver<()>>>,
}

impl Journal {
    /// Starts the thread. A lock is held until it ends, and told how far the log is after each commit.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(connection: Connection, lock: Option<Lock>, faults: Option<FaultPlan>) -> Result<Self, StateError> {
        let (writes, queue) = mpsc::channel();
        let failure = std::sync::Arc::new(std::sync::OnceLock::new());
        let told = failure.clone();
        let (alive, thread_ended) = mpsc::channel();
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            let identity = database::identity(&connection);
            let mut thread = Thread { connection, lock, faults, identity };
            thread.run(&queue, &told);
            drop(thread);
            drop::<mpsc::Sender<()>>(alive);
        })?;
        let thread_ended = std::sync::Arc::new(std::sync::Mutex::new(thread_ended));
        Ok(Self { writes, failure, thread_ended })
    }

    /// Writes, and answers once it is on the disk.
    ///
    /// # Errors
    /// The journal has ended: no request may leave any more.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let receiver = self.send(write, true)?;
        receiver.await.map_err(|_| self.ended())
    }

    /// Queues a write; [`Journal::write`] of anything later answers after it.
    ///
    /// # Errors
    /// The journal has ended.
    pub fn queue(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), JournalError> {
        self.send(write, false).map(|_| ())
    }

    /// Ends the thread after what was queued before, and waits until the log of the state is taken up and the lock is free,
    /// whoever else still holds a handle.
    pub fn end(&self) {
        let _ = self.writes.send(Write { run: None, awaited: true });
        if let Ok(ended) = self.thread_ended.lock() {
            // The thread sends nothing: its end closes the channel.
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
    /// Device and inode of the state; none in memory.
    identity: Option<(u64, u64)>,
}

impl Thread {
    fn run(&mut self, queue: &mpsc::Receiver<Write>, told: &std::sync::OnceLock<JournalError>) {
        while let Ok(first) = queue.recv() {
            let writes = gather(first, queue);
            // Whoever waits hears why before the channels close.
            let mut ended = |error: JournalError| drop(told.set(error));
            if self.commit(writes, &mut ended).is_none() {
                break;
            }
        }
        if told.get().is_some() {
            return;
        }
        // Readers beside us may hold the log open; what stays in it is taken up by the next checkpoint.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// What is written to a file that was removed or replaced is lost: nothing may be sent on the strength of it.
    fn is_still_there(&self) -> Result<(), String> {
        match self.identity {
            Some(identity) if database::identity(&self.connection) != Some(identity) => {
                Err("the state was removed or replaced while it was in use".to_owned())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn commit(&mut self, writes: Vec<Write>, ended: &mut dyn FnMut(JournalError)) -> Option<()> {
        let fault = self.faults.as_mut().map_or(CommitFault::None, |faults| faults());
        if fault == CommitFault::Before {
            return None;
        }
        let held = self.lock.as_ref().map_or(Ok(()), Lock::is_still_held);
        if let Err(error) = held.and_then(|()| self.is_still_there()) {
            ended(error.into());
            return None;
        }
        let mut said = |error: rusqlite::Error| ended(error.into());
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&mut said).ok()?;
        let mut answers = Vec::with_capacity(writes.len());
        let last = writes.iter().any(|write| write.run.is_none());
        for run in writes.into_iter().map_while(|write| write.run) {
            match run(&transaction) {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    said(error);
                    return None;
                }
            }
        }
        if let Err(error) = transaction.commit() {
            said(error);
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

/// Everything that waits; and what comes within a moment, as long as nobody waits for an answer.
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
