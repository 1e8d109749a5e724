//! A copy of the state that is whole or is not there: written beside its place, synced, then renamed.

use super::damage::quick_check;
use super::database::real;
use super::error::StateError;
use crate::files;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the copy is begun again if somebody writes, and the pause between.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// All pages in one step: it sees one moment of the state, and is never begun anew.
const ALL_PAGES: std::ffi::c_int = -1;

/// Copies the state consistently into a new file of mode 0600: into `FILE.partial`, which is renamed once it is on the disk.
///
/// # Errors
/// The file already exists, or cannot be written.
pub fn backup(connection: &Connection, file: &Path) -> Result<(), StateError> {
    let failed = |cause| StateError::Copy { path: file.to_owned(), cause };
    if file.symlink_metadata().is_ok() {
        let there = "there is a file with this name already";
        return Err(failed(std::io::Error::new(std::io::ErrorKind::AlreadyExists, there)));
    }
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    // What a backup that was cut short left behind.
    let _ = std::fs::remove_file(&partial);
    // A copy beside the state belongs to whom the state belongs; another one to whoever asked for it.
    let is_beside = connection.path().map(Path::new).is_some_and(|state| state.parent() == real(file).parent());
    let create = if is_beside { files::create_new } else { files::create_to_keep };
    drop(create(&partial).map_err(failed)?);
    let copied = quick_check(connection)
        .and_then(|()| copy(connection, &partial))
        .and_then(|()| put_in_place(&partial, file).map_err(failed));
    if copied.is_err() {
        // A partial copy must never be mistaken for a backup.
        let _ = std::fs::remove_file(&partial);
    }
    copied
}

fn copy(connection: &Connection, partial: &Path) -> Result<(), StateError> {
    let mut copy = Connection::open(partial)?;
    {
        let backup = Backup::new(connection, &mut copy)?;
        for tries_left in (0..TRIES).rev() {
            if backup.step(ALL_PAGES)? == StepResult::Done {
                break;
            }
            if tries_left == 0 {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None).into());
            }
            std::thread::sleep(PAUSE);
        }
    }
    // One file, without a WAL beside it.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    Ok(copy.close().map_err(|(_, error)| error)?)
}

fn put_in_place(partial: &Path, file: &Path) -> std::io::Result<()> {
    File::open(partial)?.sync_all()?;
    // Unlike a rename, a link never replaces a file that somebody else made meanwhile.
    std::fs::hard_link(partial, file)?;
    std::fs::remove_file(partial)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
