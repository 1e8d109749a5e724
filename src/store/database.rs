//! Opens the state: checks who may write to it, that it is ours, and its schema.

use super::error::StateError;
use super::schema::{damaged, known_schema, schema};
use rusqlite::{Connection, OpenFlags};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How long a connection waits for another connection's write.
pub(super) const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// No mutex: each connection stays on one thread.
pub(super) const OPEN_FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

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
    opened(path, access).map_err(|error| error.at(path))
}

fn opened(path: &Path, access: Access) -> Result<Connection, StateError> {
    check_rights(path)?;
    let connection = connect(path)?;
    let (found, known) = (schema(&connection, path)?, known_schema());
    if found < known {
        return Err(StateError::Older { found, known });
    }
    is_untampered(&connection, path)?;
    if access == Access::Read {
        connection.pragma_update(None, "query_only", true)?;
        // A reader also leaves the last writer's WAL alone.
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    Ok(connection)
}

/// No release of ours makes a trigger or a view: one that comes with a restored copy could swallow events.
fn is_untampered(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let foreign = "SELECT type || ' ' || name FROM sqlite_master WHERE type NOT IN ('table', 'index') LIMIT 1";
    let mut statement = connection.prepare(foreign).map_err(|error| damaged(path, error))?;
    let found: Option<String> = statement.query_map([], |row| row.get(0))?.next().transpose()?;
    match found {
        Some(what) => {
            Err(StateError::Tampered { path: path.to_owned(), what: format!("a {}", crate::model::clean(&what)) })
        }
        None => Ok(()),
    }
}

/// Whether the state is there and this user may use it; nothing is opened yet.
///
/// # Errors
/// It is not, or he may not.
pub fn may_be_used(path: &Path) -> Result<(), StateError> {
    check_rights(path)
}

pub(super) fn check_rights(path: &Path) -> Result<(), StateError> {
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

pub(super) fn connect(path: &Path) -> Result<Connection, StateError> {
    let connection = Connection::open_with_flags(path, OPEN_FLAGS)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Check before the first write: another application's file must stay untouched.
    schema(&connection, path)?;
    prepare(&connection, path)?;
    Ok(connection)
}

/// Sets the pragmas that every connection needs, readers too.
pub(super) fn prepare(connection: &Connection, path: &Path) -> Result<(), StateError> {
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

/// Device and inode of the database file; `None` if the path no longer exists.
pub fn identity(connection: &Connection) -> Option<(u64, u64)> {
    let file = std::fs::metadata(connection.path().filter(|path| !path.is_empty())?).ok()?;
    Some((file.dev(), file.ino()))
}

/// Changes whenever another connection has committed.
pub fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0))
}
