//! Opens the state: checks who may write to it, that it is ours, and its schema.

use super::error::StateError;
use super::schema::{damaged, is_untampered, known_schema, schema};
use crate::files::{self, Role};
use rusqlite::{Connection, OpenFlags};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How long a connection waits for another connection's write.
pub(super) const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// No mutex: each connection stays on one thread. No link: the folders on the way are followed before ([`real`]).
pub(super) const OPEN_FLAGS: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX).union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// The path without links in its folders.
pub(super) fn real(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// What SQLite keeps beside a database, after its name.
pub const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

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
    let connection = match (access, connect(path)) {
        (Access::Read, Err(StateError::Sqlite(error))) => connect_as_it_lies(path, error)?,
        (Access::Read | Access::Write, connected) => connected?,
    };
    let (found, known) = (schema(&connection, path)?, known_schema());
    if found < known {
        return Err(StateError::Older { found, known });
    }
    is_untampered(&connection, path, found)?;
    if access == Access::Read {
        connection.pragma_update(None, "query_only", true)?;
        // A reader also leaves the last writer's WAL alone.
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    Ok(connection)
}

/// Whether the state is there and this user may use it; nothing is opened yet.
///
/// # Errors
/// It is not, or he may not.
pub fn may_be_used(path: &Path) -> Result<(), StateError> {
    check_rights(path)
}

pub(super) fn check_rights(path: &Path) -> Result<(), StateError> {
    let file = match files::look(path, Role::State) {
        Ok(file) => file,
        Err(error) => match (files::refusal_of(&error), error.kind()) {
            (Some(refusal), _) => return Err(StateError::Refused { path: path.to_owned(), refusal: refusal.clone() }),
            (None, ErrorKind::NotFound) => return Err(StateError::Missing(path.to_owned())),
            (None, ErrorKind::PermissionDenied) => return Err(denied(path)),
            (None, _) => return Err(error.into()),
        },
    };
    if rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK)
        == Err(rustix::io::Errno::ACCESS)
    {
        return Err(denied(path));
    }
    if file.len() == 0 {
        return Err(StateError::Empty(path.to_owned()));
    }
    check_side_files(path)
}

/// What SQLite keeps beside the state is a part of it.
fn check_side_files(path: &Path) -> Result<(), StateError> {
    for suffix in SIDE_FILES {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        match files::look(Path::new(&beside), Role::State) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => match files::refusal_of(&error) {
                Some(refusal) => {
                    return Err(StateError::Refused { path: beside.into(), refusal: refusal.clone() });
                }
                None => return Err(error.into()),
            },
            Ok(_) => {}
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
    // Under its real name, so that SQLite follows no link that somebody puts there now.
    let connection = Connection::open_with_flags(real(path), OPEN_FLAGS)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Check before the first write: another application's file must stay untouched.
    schema(&connection, path)?;
    prepare(&connection, path)?;
    Ok(connection)
}

/// On a read-only disk SQLite cannot make what it keeps beside a database in WAL mode. One that was closed cleanly is whole without.
fn connect_as_it_lies(path: &Path, error: rusqlite::Error) -> Result<Connection, StateError> {
    let disk = rustix::fs::statvfs(path).map_err(std::io::Error::from)?;
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let is_whole =
        std::fs::metadata(&wal).map_or_else(|error| error.kind() == ErrorKind::NotFound, |wal| wal.len() == 0);
    if !disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) || !is_whole {
        return Err(error.into());
    }
    let whole = std::path::absolute(path)?;
    let encoded =
        percent_encoding::percent_encode(whole.as_os_str().as_encoded_bytes(), percent_encoding::NON_ALPHANUMERIC);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags)?;
    schema(&connection, path)?;
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
