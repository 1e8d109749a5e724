//! A copy of the state that is whole or is not there: written beside its place, synced, then renamed.

use super::database::quick_check;
use super::error::StateError;
use rusqlite::Connection;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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
