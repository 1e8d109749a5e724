//! Why the state cannot be used, and what the operator can do about it.

use crate::files::Refusal;
use crate::model::command;
use std::path::{Path, PathBuf};

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No file at this path.
    #[error("there is no state at {0}")]
    Missing(PathBuf),
    /// A file of 0 bytes: a failed copy, never a new state.
    #[error("the state {0} is empty")]
    Empty(PathBuf),
    /// Another kind of file, or another application's database.
    #[error("{0} is not a state of rhombus-sync")]
    Foreign(PathBuf),
    /// A newer release wrote it.
    #[error("the state has schema {found}, but this release only knows schemas up to {known}")]
    Newer {
        /// The schema of the state.
        found: i32,
        /// The newest schema that this release knows.
        known: i32,
    },
    /// An older release wrote it.
    #[error("the state has schema {found}, but this release needs schema {known}")]
    Older {
        /// The schema of the state.
        found: i32,
        /// The schema that this release needs.
        known: i32,
    },
    /// SQLite reports corruption.
    #[error("the state {path} is damaged: {what}")]
    Damaged {
        /// Path of the database.
        path: PathBuf,
        /// The first problem that SQLite reports.
        what: String,
    },
    /// It, or what lies beside it, is not what it should be, or somebody else may write to it.
    #[error("the state {path} cannot be used")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        refusal: Refusal,
    },
    /// This user may not use it.
    #[error("the state {path} cannot be opened by {user}: permission denied")]
    Denied {
        /// Which file.
        path: PathBuf,
        /// Who may not.
        user: String,
        /// What stands in the way, whose it is, and its mode.
        owned: String,
    },
    /// What the lock file says cannot be true.
    #[error("the lock file {path} does not match the state: {why}")]
    LockNote {
        /// Path of the lock file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// It does not consist of what our releases make.
    #[error("the state {path} {what}")]
    Tampered {
        /// Path of the database.
        path: PathBuf,
        /// What it has or lacks.
        what: String,
    },
    /// It is bound to another endpoint.
    #[error("the state belongs to {bound}, but the configuration says {configured}")]
    OtherEndpoint {
        /// The endpoint it is bound to.
        bound: String,
        /// The configured endpoint.
        configured: String,
    },
    /// The copy cannot be written.
    #[error("{path} cannot be written")]
    Copy {
        /// Path of the copy.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        cause: std::io::Error,
    },
    /// The file system or SQLite refuses it.
    #[error("the state {path} cannot be used: {what}")]
    Unusable {
        /// Path of the database.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// A file system error.
    #[error("the state's folder cannot be used")]
    Io(#[from] std::io::Error),
    /// A SQLite error.
    #[error("the state cannot be used")]
    Sqlite(#[from] rusqlite::Error),
}

/// What SQLite says, in words; its codes are for its makers.
pub(super) fn in_words(error: &rusqlite::Error) -> String {
    use rusqlite::ErrorCode::{DatabaseBusy, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
    let code = error.sqlite_error().map(|error| error.extended_code).unwrap_or_default();
    match error.sqlite_error_code() {
        Some(DiskFull) => "the disk is full".to_owned(),
        Some(SystemIoFailure) => format!("the disk cannot be read or written; it may be full (SQLite error {code})"),
        Some(ReadOnly | PermissionDenied) => "it may not be written".to_owned(),
        Some(DatabaseBusy) => "another process keeps writing to it".to_owned(),
        Some(_) | None => error.to_string(),
    }
}

impl StateError {
    /// The same with the path of the state, if it does not have it yet.
    #[must_use]
    pub fn at(self, path: &Path) -> Self {
        let what = match &self {
            Self::Io(cause) => cause.to_string(),
            Self::Sqlite(cause) => in_words(cause),
            Self::Missing(_)
            | Self::Empty(_)
            | Self::Foreign(_)
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Damaged { .. }
            | Self::Refused { .. }
            | Self::Denied { .. }
            | Self::LockNote { .. }
            | Self::Tampered { .. }
            | Self::OtherEndpoint { .. }
            | Self::Copy { .. }
            | Self::Unusable { .. } => return self,
        };
        Self::Unusable { path: path.to_owned(), what }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let ways = format!(
            "run `{}` if this is a first run, or restore a backup (made with `{}`; stop the service, and \
             Litestream if it replicates the state, and remove what lies beside it first: `-wal`, `-shm`, and Litestream's \
             `.NAME-litestream`)",
            command("activate"),
            command("backup FILE")
        );
        Some(match self {
            Self::Missing(_) | Self::Empty(_) | Self::Foreign(_) | Self::Damaged { .. } => ways,
            Self::Newer { .. } => {
                format!("start the newer release again; or {ways} (`activate` moves this state aside)")
            }
            Self::Older { .. } => {
                let reconcile = command("--reconcile");
                format!("start the service, or run `{reconcile}`: it backs the state up, then upgrades it")
            }
            Self::Denied { owned, .. } => {
                format!("{owned}; run this as that user, or let the service's user own the state")
            }
            Self::LockNote { path, .. } => format!(
                "restore the state that belongs to it; or, if this state is the right one, remove {}: the next cycle is then a \
                 refresh, and its removals are held",
                path.display()
            ),
            Self::Tampered { .. } => format!("do not use this file; {ways}"),
            Self::Refused { refusal, .. } => refusal.hint(),
            Self::OtherEndpoint { .. } => {
                format!("set base_url back, or run `{}` to bind the state to the new endpoint", command("activate"))
            }
            Self::Unusable { .. } | Self::Io(_) | Self::Sqlite(_) | Self::Copy { .. } => {
                "check disk space and permissions; nothing is sent until the state can be written".to_owned()
            }
        })
    }
}
