//! Opens the state: checks who may write to it, that it is ours, and its schema.

use crate::model::{Change, Moment, ProvisionedUser, command, hex};
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// `RHSY`: tells our database from another application's.
const APPLICATION_ID: i32 = 0x5248_5359;
/// Entry N brings schema N to schema N + 1.
const MIGRATIONS: [&str; 9] = [
    include_str!("../../state/0001_state.sql"),
    include_str!("../../state/0002_links_in_id_order.sql"),
    include_str!("../../state/0003_not_supported.sql"),
    include_str!("../../state/0004_reasons.sql"),
    include_str!("../../state/0006_spoken.sql"),
    include_str!("../../state/0007_identity_and_groups.sql"),
    include_str!("../../state/0008_health.sql"),
    include_str!("../../state/0009_memberships.sql"),
    include_str!("../../state/0010_directory_organization.sql"),
];
/// How long a connection waits for another connection's write.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// No mutex: each connection stays on one thread.
const OPEN_FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

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
    /// Other users can write to it.
    #[error("{0} is writable by others")]
    Exposed(PathBuf),
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
    /// A file system error.
    #[error("the state's folder cannot be used")]
    Io(#[from] std::io::Error),
    /// A SQLite error.
    #[error("the state cannot be used")]
    Sqlite(#[from] rusqlite::Error),
}

impl StateError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let ways = format!(
            "run `{}` if this is a first run, or restore a backup (made with `rhombus-sync backup FILE`; stop the service and \
             remove the `-wal` and `-shm` files beside it first)",
            command("activate")
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
            Self::Exposed(path) => format!("chmod o-w {}", path.display()),
            Self::OtherEndpoint { .. } => {
                format!("set base_url back, or run `{}` to bind the state to the new endpoint", command("activate"))
            }
            Self::Io(_) | Self::Sqlite(_) | Self::Copy { .. } => {
                "check disk space and permissions; nothing is sent until the state can be written".to_owned()
            }
        })
    }
}

/// What a connection may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read-only, enforced by SQLite.
    Read,
    /// Read and write.
    Write,
}

/// Opens an existing state.
///
/// # Errors
/// The file is missing, not ours, of another schema, damaged, or unsafe to use.
pub fn open(path: &Path, access: Access) -> Result<Connection, StateError> {
    check_rights(path)?;
    let connection = connect(path)?;
    let (found, known) = (schema(&connection, path)?, MIGRATIONS.len() as i32);
    if found < known {
        return Err(StateError::Older { found, known });
    }
    if access == Access::Read {
        connection.pragma_update(None, "query_only", true)?;
        // A reader also leaves the last writer's WAL alone.
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    Ok(connection)
}

/// The schema version of one of our states.
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

/// Upgrades an older state to this release's schema, in one transaction, after a backup beside it. Only the process
/// that may send calls it. Returns the backup's path, if one was made.
///
/// # Errors
/// The state cannot be read or written, or is not ours; it is then unchanged.
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

/// Creates a new state in one transaction. `random` becomes its two ids.
///
/// # Errors
/// A file already exists, or it cannot be created.
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

/// An in-memory state, for commands that must not write anything.
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

/// Whether the state is there and this user may use it; nothing is opened yet.
///
/// # Errors
/// It is not, or he may not.
pub fn may_be_used(path: &Path) -> Result<(), StateError> {
    check_rights(path)
}

fn check_rights(path: &Path) -> Result<(), StateError> {
    let file = match std::fs::metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(StateError::Missing(path.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Err(denied(path)),
        Err(error) => return Err(error.into()),
    };
    if rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK)
        == Err(rustix::io::Errno::ACCESS)
    {
        return Err(denied(path));
    }
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

/// Who may not, and whose the nearest thing on the way is that this user can look at.
fn denied(path: &Path) -> StateError {
    let name = |uid: u32| if uid == 0 { "root".to_owned() } else { format!("uid {uid}") };
    let nearest = path.ancestors().find_map(|step| std::fs::metadata(step).ok().map(|file| (step, file)));
    let owned = nearest.map_or_else(String::new, |(step, file)| {
        format!("{} belongs to {} (mode {:04o})", step.display(), name(file.uid()), file.mode() & 0o7777)
    });
    StateError::Denied { path: path.to_owned(), user: name(rustix::process::geteuid().as_raw()), owned }
}

fn connect(path: &Path) -> Result<Connection, StateError> {
    let connection = Connection::open_with_flags(path, OPEN_FLAGS)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Check before the first write: another application's file must stay untouched.
    schema(&connection, path)?;
    prepare(&connection, path)?;
    Ok(connection)
}

/// Sets the pragmas that every connection needs, readers too.
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
        Some(DatabaseCorrupt) => {
            StateError::Damaged { path: path.to_owned(), what: "SQLite cannot read it".to_owned() }
        }
        Some(_) | None => StateError::Sqlite(error),
    }
}

/// Device and inode of the database file; `None` if the path no longer exists.
pub fn identity(connection: &Connection) -> Option<(u64, u64)> {
    let file = std::fs::metadata(connection.path().filter(|path| !path.is_empty())?).ok()?;
    Some((file.dev(), file.ino()))
}

/// Changes whenever another connection has committed.
pub fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// SQLite's own check of the whole file; run before a cycle's first change, not in a quiet cycle.
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

/// Finds corruption that SQLite's check misses: the row of each account that is about to be removed must be found by
/// SCIM id, by directory id and by username alike.
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
            return Err(StateError::Damaged {
                path,
                what: format!("the stored link of {id} is inconsistent (database corruption?)"),
            });
        }
    }
    Ok(())
}

/// Copies the state consistently into a new file of mode 0600, with SQLite's backup API.
///
/// # Errors
/// The file already exists, or cannot be written.
pub fn backup(connection: &Connection, file: &Path) -> Result<(), StateError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.map_err(|cause| StateError::Copy { path: file.to_owned(), cause })?;
    let copied = quick_check(connection)
        .and_then(|()| Ok(connection.backup("main", file, None::<fn(rusqlite::backup::Progress)>)?));
    if copied.is_err() {
        // A partial copy must never be mistaken for a backup.
        let _ = std::fs::remove_file(file);
    }
    copied
}
