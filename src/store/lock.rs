//! Only one process sends. The lock file beside the state names its holder, the head of the log, the installation and its reign: a
//! state behind that head, or of another reign, was restored from a backup or comes from another host. The lock file of earlier
//! releases (`rhombus-sync.lock` beside `rhombus-sync.db`) is locked as well, so that none of them sends at the same time.

use super::log;
use crate::event::Head;
use crate::files::{self, Make, Role, Write};
use rusqlite::Connection;
use std::fs::{File, TryLockError};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
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
    /// A file system error, or it is refused.
    #[error("the lock file {path} cannot be used")]
    Io {
        /// Path of the lock file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        cause: std::io::Error,
    },
}

impl LockError {
    /// Whether another process has it.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }
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
    let former = former_beside(state);
    [Some(beside(state)), former].into_iter().flatten().find_map(|path| holder_of(&path))
}

fn holder_of(path: &Path) -> Option<Holder> {
    let file = files::open(path, Role::State).ok()?;
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
    /// Sequence of the last event; `UNREADABLE` where the note does not say it.
    pub sequence: i64,
    /// The last event's chain.
    pub chain: String,
    /// Whose log it is; `None` if an earlier release noted it.
    pub installation: Option<String>,
    /// The reign under which it was written; `None` if an earlier release noted it.
    pub reign: Option<i64>,
    /// The lock file that says so.
    pub path: PathBuf,
}

/// The sequence of a note that cannot be read: greater than any event's, so that nobody believes it.
pub(super) const UNREADABLE: i64 = i64::MAX;

const FILE_MODE: u32 = 0o600;
/// Stands for the chain before the first event.
const NO_CHAIN: &str = "-";
/// Process id, sequence and chain: what earlier releases noted.
const FORMER_WORDS_MAX: usize = 3;

/// The right to send, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
    /// The lock file of earlier releases, if there is one.
    _former: Option<File>,
    noted: Option<NotedHead>,
}

impl Lock {
    /// Acquires the lock of the state at `path`, or says who has it.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be used.
    pub fn acquire(state: &Path) -> Result<Self, LockError> {
        let path = beside(state);
        let (file, text) = locked(&path, Make::IfMissing(FILE_MODE))?;
        let former_path = former_beside(state);
        let former = former_path.as_ref().map(|path| locked(path, Make::Never)).transpose()?;
        let former_note = former.as_ref().zip(former_path).and_then(|((_, text), path)| parse(text, &path));
        let noted = read_note(&text, &path).or(former_note);
        let is_unreadable = noted.as_ref().is_some_and(|noted| noted.sequence == UNREADABLE);
        let mut lock = Self { path: path.clone(), file, _former: former.map(|(file, _)| file), noted };
        if lock.is_still_held().is_err() {
            // The file was replaced between open and lock: another process may have locked the new one.
            return Err(LockError::Held(String::new()));
        }
        // What nobody can read stays as it is, for whoever looks into it.
        if !is_unreadable {
            lock.write(text.is_empty()).map_err(|cause| LockError::Io { path, cause })?;
        }
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
        let reign = log::reign(connection).map_err(|error| error.to_string())?;
        let is_ours = |noted: &NotedHead| {
            noted.sequence == sequence && noted.installation.is_some() && noted.reign == Some(reign)
        };
        if self.noted.as_ref().is_some_and(is_ours) {
            return Ok(());
        }
        let installation = log::installation_id(connection).map_err(|error| error.to_string())?;
        let is_longer = self.noted.as_ref().is_none_or(|noted| noted.installation.is_none());
        let (installation, path) = (Some(installation), self.path.clone());
        self.noted = Some(NotedHead { sequence, chain, installation, reign: Some(reign), path });
        self.write(is_longer).map_err(|error| format!("the lock file cannot be written: {error}"))
    }

    /// Writes one line of constant length, so that a single write replaces the old one. Synced where the file is new or grows.
    fn write(&mut self, is_longer: bool) -> std::io::Result<()> {
        self.file.write_all_at(line(self.noted.as_ref()).as_bytes(), 0)?;
        if is_longer {
            self.file.sync_all()?;
            if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(())
    }
}

/// The noted head, for a command that writes beside a running sender.
#[must_use]
pub fn noted_beside(state: &Path) -> Option<NotedHead> {
    let path = beside(state);
    let noted = read_again(&path).ok().and_then(|text| read_note(&text, &path));
    noted.or_else(|| {
        let path = former_beside(state)?;
        parse(&read_again(&path).ok()?, &path)
    })
}

/// Notes the head for a command that writes beside a running sender, whose own note may come in between.
pub fn note_beside(state: &Path, connection: &Connection) -> rusqlite::Result<()> {
    let head = log::head_of(connection)?;
    let path = beside(state);
    let Ok(file) = open(&path, Make::Never) else { return Ok(()) };
    let Ok(text) = read(&file) else { return Ok(()) };
    if let Some(noted) = read_note(&text, &path).filter(|noted| noted.sequence < head.sequence) {
        let pid = text.split_whitespace().next().unwrap_or_default();
        let noted = NotedHead {
            sequence: head.sequence,
            chain: if head.chain.is_empty() { noted.chain } else { head.chain },
            reign: noted.reign.and(Some(log::reign(connection)?)),
            ..noted
        };
        // If it cannot be written here, the next cycle notes it.
        let _ = file.write_all_at(line_of(pid, Some(&noted)).as_bytes(), 0);
    }
    Ok(())
}

/// Who only looks whether anybody has the lock has it for an instant: that is not a sender.
fn lock_patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 1..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            taken => return taken,
        }
    }
    file.try_lock()
}

/// The state's file as it is really called: two names of one state have one lock.
fn real(state: &Path) -> PathBuf {
    if let Ok(real) = state.canonicalize() {
        return real;
    }
    let folder = state.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), state.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => state.to_owned(),
    }
}

fn beside(state: &Path) -> PathBuf {
    let mut name = real(state).into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

/// The lock file of earlier releases, if it is there: it names no installation, else it is the lock of another state.
fn former_beside(state: &Path) -> Option<PathBuf> {
    let (real, path) = (real(state), real(state).with_extension("lock"));
    let text = read_again(&path).ok().filter(|_| path != real && path != beside(state))?;
    (text.split_whitespace().count() <= FORMER_WORDS_MAX).then_some(path)
}

/// Opens a lock file. Whoever can read it could hold it: nobody but its owner may.
fn open(path: &Path, make: Make) -> std::io::Result<File> {
    let file = files::open_to_write(path, Role::State, Write::Anywhere, make)?;
    let found = file.metadata()?;
    let may_change = [0, found.uid()].contains(&rustix::process::geteuid().as_raw());
    if found.mode() & 0o077 != 0 && may_change {
        file.set_permissions(PermissionsExt::from_mode(FILE_MODE))?;
    }
    Ok(file)
}

/// Opens a lock file and locks it; answers what it says.
fn locked(path: &Path, make: Make) -> Result<(File, String), LockError> {
    let io = |cause| LockError::Io { path: path.to_owned(), cause };
    let file = open(path, make).map_err(io)?;
    let text = read(&file).map_err(io)?;
    match lock_patiently(&file) {
        // Read again: whoever held it may have written since.
        Ok(()) => Ok((file, read_again(path).map_err(io)?)),
        Err(TryLockError::WouldBlock) => {
            let holder = text.split_whitespace().next().map(|pid| format!(" (pid {pid})"));
            Err(LockError::Held(holder.unwrap_or_default()))
        }
        Err(TryLockError::Error(cause)) => Err(io(cause)),
    }
}

fn read(file: &File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read_again(path: &Path) -> std::io::Result<String> {
    read(&files::open(path, Role::State)?)
}

/// What the lock file notes; none where it is new, or names its holder only. A power cut may leave it empty or full of NULs where it
/// had just been made or had grown; elsewhere the line is replaced in place, within one sector. Whatever else is no note of ours was
/// written by somebody else.
fn read_note(text: &str, path: &Path) -> Option<NotedHead> {
    let mut words = text.split_whitespace();
    let is_torn = text.contains('\0');
    let holder = words.next().filter(|_| !is_torn)?;
    let is_holder = !holder.is_empty() && holder.bytes().all(|byte| byte.is_ascii_digit());
    if is_holder && words.next().is_none() {
        return None;
    }
    let unreadable = || NotedHead {
        sequence: UNREADABLE,
        chain: String::new(),
        installation: None,
        reign: None,
        path: path.to_owned(),
    };
    Some(parse(text, path).filter(|_| is_holder).unwrap_or_else(unreadable))
}

fn parse(text: &str, path: &Path) -> Option<NotedHead> {
    let mut words = text.split_whitespace().skip(1);
    let sequence = words.next()?.parse().ok()?;
    let chain = words.next().filter(|chain| *chain != NO_CHAIN).unwrap_or_default().to_owned();
    let installation = words.next().map(str::to_owned);
    let reign = words.next().and_then(|reign| reign.parse().ok());
    Some(NotedHead { sequence, chain, installation, reign, path: path.to_owned() })
}

fn line(noted: Option<&NotedHead>) -> String {
    line_of(&std::process::id().to_string(), noted)
}

fn line_of(pid: &str, noted: Option<&NotedHead>) -> String {
    match noted {
        Some(NotedHead { sequence, chain, installation, reign, .. }) => {
            let installation = installation.as_deref().unwrap_or_default();
            // Without the installation, it would be read as one.
            let reign = reign.filter(|_| !installation.is_empty()).map(|reign| reign.to_string()).unwrap_or_default();
            let chain = if chain.is_empty() { NO_CHAIN } else { chain };
            format!("{pid:<10} {sequence:<20} {chain:<64} {installation:<24} {reign:<10}\n")
        }
        None => format!("{pid:<132}\n"),
    }
}
