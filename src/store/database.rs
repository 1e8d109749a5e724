//! Opening the state: where it lies, who may touch it, whether it is ours, and its schema.

use crate::model::{Change, Moment, ProvisionedUser, hex};
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// `RHSY`, so that another application's database is not taken for ours.
const APPLICATION_ID: i32 = 0x5248_5359;
/// Each migration brings the schema from its place in this list to the next.
const MIGRATIONS: [&str; 5] = [
    include_str!("../../state/0001_state.sql"),
    include_str!("../../state/0002_links_in_id_order.sql"),
    include_str!("../../state/0003_not_supported.sql"),
    include_str!("../../state/0004_reasons.sql"),
    include_str!("../../state/0006_spoken.sql"),
];
/// How long a connection waits for another one's write.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// One thread uses a connection.
const OPEN_FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is none.
    #[error("there is no state at {0}")]
    Missing(PathBuf),
    /// There is a file of 0 bytes: a failed copy, never a new state.
    #[error("the state {0} is empty")]
    Empty(PathBuf),
    /// It is something else.
    #[error("{0} is not a state of rhombus-sync")]
    Foreign(PathBuf),
    /// A newer program wrote it.
    #[error("the state has schema {found}, this program knows up to {known}")]
    Newer {
        /// The schema of the state.
        found: i32,
        /// The newest schema of this program.
        known: i32,
    },
    /// An older program wrote it.
    #[error("the state has schema {found}, this program needs {known}")]
    Older {
        /// The schema of the state.
        found: i32,
        /// The schema of this program.
        known: i32,
    },
    /// SQLite finds it damaged.
    #[error("the state {path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite's check said first.
        what: String,
    },
    /// Others can write to it.
    #[error("{0} can be written by others")]
    Exposed(PathBuf),
    /// It belongs to another endpoint.
    #[error("the state belongs to {bound}, the configuration says {configured}")]
    OtherEndpoint {
        /// The endpoint that it is bound to.
        bound: String,
        /// The one configured.
        configured: String,
    },
    /// A copy cannot be written.
    #[error("{path} cannot be written")]
    Copy {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The file system.
    #[error("the state's folder cannot be used")]
    Io(#[from] std::io::Error),
    /// SQLite.
    #[error("the state cannot be used")]
    Sqlite(#[from] rusqlite::Error),
}

impl StateError {
    /// How the reader can mend it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let ways = "run `rhombus-sync activate` if this is a first run, or put the backup back (made with `rhombus-sync backup`; \
                    stop the service and remove the `-wal` and `-shm` files beside it first)";
        Some(match self {
            Self::Missing(_) | Self::Empty(_) | Self::Foreign(_) | Self::Damaged { .. } => ways.to_owned(),
            Self::Newer { .. } => format!("start the newer program again; or {ways} (`activate` puts this one aside)"),
            Self::Older { .. } => {
                "start the service, or run `rhombus-sync --reconcile`: it upgrades the state, after a backup beside it"
                    .to_owned()
            }
            Self::Exposed(path) => format!("chmod o-w {}", path.display()),
            Self::OtherEndpoint { .. } => {
                "set base_url back, or run `rhombus-sync activate` to bind the state to the new endpoint".to_owned()
            }
            Self::Io(_) | Self::Sqlite(_) | Self::Copy { .. } => {
                "look at the disk's space and rights; nothing is sent until the state can be written".to_owned()
            }
        })
    }
}

/// What a connection may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    Write,
}

/// Opens the state that is there.
///
/// # Errors
/// Every way in which it is not one of ours, and safe to use.
pub fn open(path: &Path, access: Access) -> Result<Connection, StateError> {
    check_rights(path)?;
    let connection = connect(path)?;
    let (found, known) = (schema(&connection, path)?, MIGRATIONS.len() as i32);
    if found < known {
        return Err(StateError::Older { found, known });
    }
    if access == Access::Read {
        connection.pragma_update(None, "query_only", true)?;
        // Whoever only reads leaves even the log of the last writer as it is.
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    Ok(connection)
}

/// The schema of a state of ours.
fn schema(connection: &Connection, path: &Path) -> Result<i32, StateError> {
    let application_id = pragma(connection, path, "application_id")?;
    let (found, known) = (pragma(connection, path, "user_version")?, MIGRATIONS.len() as i32);
    match found {
        0 => Err(StateError::Foreign(path.to_owned())),
        _ if application_id != APPLICATION_ID => Err(StateError::Foreign(path.to_owned())),
        _ if found > known => Err(StateError::Newer { found, known }),
        _ => Ok(found),
    }
}

/// Brings a state of an older program to this one's schema, in one transaction, after a backup beside it. Only the process
/// that may send calls it. The answer is the backup, where one was needed.
///
/// # Errors
/// It cannot be read or written, or is none of ours; then it is as it was.
pub fn upgrade(path: &Path, now: Moment) -> Result<Option<PathBuf>, StateError> {
    check_rights(path)?;
    let mut connection = connect(path)?;
    let found = schema(&connection, path)?;
    let missing = MIGRATIONS.get(usize::try_from(found).unwrap_or(0)..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(None);
    }
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".schema-{found}-{}", now.0));
    let copy = PathBuf::from(copy);
    backup(&connection, &copy)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i32)?;
    transaction.commit()?;
    Ok(Some(copy))
}

/// Makes a new state, in one transaction. `random` becomes its two ids.
///
/// # Errors
/// There is a file already, or it cannot be made.
pub fn create(path: &Path, base_url: &str, now: Moment, random: [u8; 16]) -> Result<Connection, StateError> {
    if let Some(folder) = path.parent() {
        crate::folder::create(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut connection = Connection::open_with_flags(path, OPEN_FLAGS)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    prepare(&connection, path)?;
    let second = (now.0.max(0) / 1000) as u32;
    let id = |random: &[u8]| format!("{second:08x}{}", hex(random));
    let transaction = connection.transaction()?;
    for migration in MIGRATIONS {
        transaction.execute_batch(migration)?;
    }
    transaction.execute(
        "INSERT INTO installation (one, installation_id, integration_id, base_url, active, created_at) VALUES (1, ?1, ?2, ?3, 1, ?4)",
        (id(&random[..8]), id(&random[8..]), base_url, now.0),
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i32)?;
    transaction.commit()?;
    Ok(connection)
}

/// A state in memory that nobody keeps, for a look that must write nothing.
///
/// # Errors
/// No memory.
pub fn scratch(now: Moment) -> Result<Connection, StateError> {
    let connection = Connection::open_in_memory()?;
    for migration in MIGRATIONS {
        connection.execute_batch(migration)?;
    }
    connection.execute(
        "INSERT INTO installation (one, installation_id, integration_id, base_url, active, created_at) VALUES (1, '', '', '', 1, ?1)",
        [now.0],
    )?;
    Ok(connection)
}

fn check_rights(path: &Path) -> Result<(), StateError> {
    let file = match std::fs::metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(StateError::Missing(path.to_owned())),
        Err(error) => return Err(error.into()),
    };
    if file.len() == 0 {
        return Err(StateError::Empty(path.to_owned()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for (path, mode) in [(folder, std::fs::metadata(folder)?.mode()), (path, file.mode())] {
        if mode & 0o002 != 0 {
            return Err(StateError::Exposed(path.to_owned()));
        }
    }
    Ok(())
}

fn connect(path: &Path) -> Result<Connection, StateError> {
    let connection = Connection::open_with_flags(path, OPEN_FLAGS)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before anything that writes: another application's file stays as it is.
    schema(&connection, path)?;
    prepare(&connection, path)?;
    Ok(connection)
}

/// How every connection works, reading ones too.
fn prepare(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let begun = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
    begun.map_err(|error| damaged(path, error))?;
    for (name, value) in
        [("synchronous", "FULL"), ("foreign_keys", "ON"), ("trusted_schema", "OFF"), ("cell_size_check", "ON")]
    {
        connection.pragma_update(None, name, value)?;
    }
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(())
}

fn pragma(connection: &Connection, path: &Path, name: &str) -> Result<i32, StateError> {
    connection.pragma_query_value(None, name, |row| row.get(0)).map_err(|error| damaged(path, error))
}

fn damaged(path: &Path, error: rusqlite::Error) -> StateError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(NotADatabase) => StateError::Foreign(path.to_owned()),
        Some(DatabaseCorrupt) => StateError::Damaged { path: path.to_owned(), what: "it cannot be read".to_owned() },
        Some(_) | None => StateError::Sqlite(error),
    }
}

/// Device and inode of the file by the name of which a state was opened; none where nothing lies there.
pub fn identity(connection: &Connection) -> Option<(u64, u64)> {
    let file = std::fs::metadata(connection.path().filter(|path| !path.is_empty())?).ok()?;
    Some((file.dev(), file.ino()))
}

/// Changes whenever another connection has committed.
///
/// # Errors
/// The state cannot be read.
pub fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// SQLite's own check of the whole file; made before the first change of a cycle, not in a quiet one.
///
/// # Errors
/// The state is damaged.
pub fn quick_check(connection: &Connection) -> Result<(), StateError> {
    let path = PathBuf::from(connection.path().unwrap_or_default());
    let said: rusqlite::Result<String> = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match said {
        Ok(said) if said == "ok" => Ok(()),
        Ok(what) => Err(StateError::Damaged { path, what }),
        Err(error) => Err(StateError::Damaged { path, what: error.to_string() }),
    }
}

/// Our own check of what SQLite's does not see: each account that is about to be removed must be found by its id, its owner
/// and its username alike, or a row has changed by itself.
///
/// # Errors
/// The state is damaged.
pub fn check_links<'c>(connection: &Connection, removals: impl Iterator<Item = &'c Change>) -> Result<(), StateError> {
    for change in removals {
        let (id, name) = (change.directory_id(), change.user_name());
        let by_account =
            change.scim_id().map(|account| super::link_by_scim_id(connection, account)).transpose()?.flatten();
        let by_name = super::link_of(connection, &name.folded())?;
        let by_id = super::link_by_id(connection, id)?;
        let same = |found: Option<ProvisionedUser>| {
            found.is_some_and(|found| found.directory_id == *id && Some(&found.scim_id) == change.scim_id())
        };
        if !same(by_account) || !same(by_id) || by_name.is_none() {
            let path = PathBuf::from(connection.path().unwrap_or_default());
            return Err(StateError::Damaged { path, what: format!("the link of {id} has changed by itself") });
        }
    }
    Ok(())
}

/// A consistent copy of the state into a new file of mode 0600, by SQLite's backup API.
///
/// # Errors
/// The file is there already, or cannot be written.
pub fn backup(connection: &Connection, file: &Path) -> Result<(), StateError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.map_err(|cause| StateError::Copy { path: file.to_owned(), cause })?;
    let copied = quick_check(connection)
        .and_then(|()| Ok(connection.backup("main", file, None::<fn(rusqlite::backup::Progress)>)?));
    if copied.is_err() {
        // What is not whole must not be there when it is needed.
        let _ = std::fs::remove_file(file);
    }
    copied
}
