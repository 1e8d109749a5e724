//! Whether the state is damaged: SQLite's own check, and rows of one link that contradict each other.

use super::error::StateError;
use super::{link_by_id, link_by_scim_id, link_of};
use crate::model::{Change, ProvisionedUser};
use rusqlite::Connection;
use std::path::PathBuf;

/// SQLite's own check of the whole file; run before a cycle's first change, not in a quiet cycle.
///
/// # Errors
/// The state is damaged.
pub fn quick_check(connection: &Connection) -> Result<(), StateError> {
    let path = PathBuf::from(connection.path().unwrap_or_default());
    let answer: rusqlite::Result<String> = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match answer {
        Ok(answer) if answer == "ok" => Ok(()),
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
        let by_account = change.scim_id().map(|account| link_by_scim_id(connection, account)).transpose()?.flatten();
        let by_name = link_of(connection, &name.folded())?;
        let by_id = link_by_id(connection, id)?;
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
