//! One process sends. The lock file lies beside the state and names its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process sends.
    #[error("another process sends{0}")]
    Held(String),
    /// The file system.
    #[error("the lock file {path} cannot be used")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
}

/// The right to send, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of the state at `path`, or says who has it.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be used.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let path = state.with_extension("lock");
        let io = |cause| LockError::Io { path: path.clone(), cause };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                let holder = text.split_whitespace().next().map(|pid| format!(" (process {pid})"));
                return Err(LockError::Held(holder.unwrap_or_default()));
            }
            Err(TryLockError::Error(cause)) => return Err(io(cause)),
        }
        let mut lock = Self { file };
        let sequence = lock.sequence().map_err(io)?;
        lock.note(sequence).map_err(io)?;
        Ok(lock)
    }

    /// The highest event sequence that was noted: a state behind it was restored from an old copy.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sequence(&mut self) -> std::io::Result<i64> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_string(&mut text)?;
        Ok(text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0))
    }

    /// Writes down the holder and the sequence.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&mut self, sequence: i64) -> std::io::Result<()> {
        let text = format!("{} {sequence}\n", std::process::id());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)
    }
}
