//! Only one process sends. The lock file beside the state names its holder and the head of the log: a state behind that
//! head was restored from a backup.

use super::log;
use crate::event::Head;
use rusqlite::Connection;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The longest lock file that is read, in bytes.
const BYTES_MAX: u64 = 256;
/// How often the lock is asked for, and the pause between: a look at it takes microseconds.
const LOCK_TRIES: u32 = 3;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// Why the lock was not acquired.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another rhombus-sync is already running{0}")]
    Held(String),
    /// A file system error.
    #[error("the lock file {path} cannot be used")]
    Io {
        /// Path of the lock file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        cause: std::io::Error,
    },
}

/// Whoever has the lock of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its process id, as it noted it.
    pub pid: Option<u32>,
}

/// Who has the lock of the state at `path`, if anybody. It only looks: the lock is asked for shared, and let go of at once.
#[must_use]
pub fn holder(state: &Path) -> Option<Holder> {
    let file = File::open(beside(state)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let text = read(&file).unwrap_or_default();
            Some(Holder { pid: text.split_whitespace().next().and_then(|pid| pid.parse().ok()) })
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The head of the log when the lock file was last written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotedHead {
    /// Sequence of the last event.
    pub sequence: i64,
    /// The last event's chain.
    pub chain: String,
}

/// The right to send, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
    noted: Option<NotedHead>,
}

impl Lock {
    /// Acquires the lock of the state at `path`, or says who has it.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be used.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let path = beside(state);
        let io = |cause| LockError::Io { path: path.clone(), cause };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        let text = read(&file).map_err(io)?;
        match lock_patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = text.split_whitespace().next().map(|pid| format!(" (pid {pid})"));
                return Err(LockError::Held(holder.unwrap_or_default()));
            }
            Err(TryLockError::Error(cause)) => return Err(io(cause)),
        }
        let mut lock = Self { path: path.clone(), file, noted: None };
        if lock.is_still_held().is_err() {
            // The file was replaced between open and lock: another process may have locked the new one.
            return Err(LockError::Held(String::new()));
        }
        lock.noted = parse(&read_again(&path).map_err(io)?);
        lock.write().map_err(io)?;
        Ok(lock)
    }

    /// Checks that the file is still the one beside the state: if it was removed, another process may have created and
    /// locked a new one.
    ///
    /// # Errors
    /// It was removed or replaced.
    pub fn is_still_held(&self) -> Result<(), String> {
        let here = self.file.metadata().map(|file| (file.dev(), file.ino()));
        let there = std::fs::metadata(&self.path).map(|file| (file.dev(), file.ino()));
        match (here, there) {
            (Ok(here), Ok(there)) if here == there => Ok(()),
            _ => Err(format!("the lock file {} was removed or replaced", self.path.display())),
        }
    }

    /// The noted head of the log; `None` if none was ever noted.
    #[must_use]
    pub fn noted(&self) -> Option<&NotedHead> {
        self.noted.as_ref()
    }

    /// Notes the head of the log, if it has changed.
    ///
    /// # Errors
    /// The state cannot be read, or the file written.
    pub fn note(&mut self, connection: &Connection) -> Result<(), String> {
        let Head { sequence, chain, .. } = log::head_of(connection).map_err(|error| error.to_string())?;
        if self.noted.as_ref().is_some_and(|noted| noted.sequence == sequence) {
            return Ok(());
        }
        self.noted = Some(NotedHead { sequence, chain });
        self.write().map_err(|error| format!("the lock file cannot be written: {error}"))
    }

    /// Writes one line of constant length, so that a single write replaces the old one.
    fn write(&mut self) -> std::io::Result<()> {
        self.file.write_all_at(line(self.noted.as_ref()).as_bytes(), 0)
    }
}

/// The noted head, for a command that writes beside a running sender.
#[must_use]
pub fn noted_beside(state: &Path) -> Option<NotedHead> {
    parse(&read_again(&beside(state)).ok()?)
}

/// Notes the head for a command that writes beside a running sender, whose own note may come in between.
pub fn note_beside(state: &Path, connection: &Connection) -> rusqlite::Result<()> {
    let head = log::head_of(connection)?;
    let Ok(file) = OpenOptions::new().read(true).write(true).open(beside(state)) else { return Ok(()) };
    let Ok(text) = read(&file) else { return Ok(()) };
    if let Some(noted) = parse(&text).filter(|noted| noted.sequence < head.sequence) {
        let pid = text.split_whitespace().next().unwrap_or_default();
        let noted =
            NotedHead { sequence: head.sequence, chain: if head.chain.is_empty() { noted.chain } else { head.chain } };
        // If it cannot be written here, the next cycle notes it.
        let _ = file.write_all_at(line_of(pid, Some(&noted)).as_bytes(), 0);
    }
    Ok(())
}

/// Who only looks whether anybody has the lock has it for an instant: that is no sender.
fn lock_patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 1..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            taken => return taken,
        }
    }
    file.try_lock()
}

fn beside(state: &Path) -> PathBuf {
    state.with_extension("lock")
}

fn read(file: &File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    // Anything that is not text counts as no note.
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

fn read_again(path: &Path) -> std::io::Result<String> {
    read(&File::open(path)?)
}

fn parse(text: &str) -> Option<NotedHead> {
    let mut words = text.split_whitespace().skip(1);
    let sequence = words.next()?.parse().ok()?;
    Some(NotedHead { sequence, chain: words.next().unwrap_or_default().to_owned() })
}

fn line(noted: Option<&NotedHead>) -> String {
    line_of(&std::process::id().to_string(), noted)
}

fn line_of(pid: &str, noted: Option<&NotedHead>) -> String {
    match noted {
        Some(NotedHead { sequence, chain }) => format!("{pid:<10} {sequence:<20} {chain:<64}\n"),
        None => format!("{pid:<96}\n"),
    }
}
