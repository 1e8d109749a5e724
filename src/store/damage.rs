//! Whether the state is damaged: SQLite's own check, and rows of one link that contradict each other.

use super::database::SIDE_FILES;
use super::error::StateError;
use super::{link_by_id, link_by_scim_id, link_of};
use crate::model::{Change, Duration, Moment, ProvisionedUser};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// What a cycle rests on when it sends something. The log, by far the most of a large state, is not among it.
const RESTED_ON: [&str; 8] =
    ["links", "links_changed", "fingerprints_head", "intents", "approvals", "counts", "installation", "head"];
/// A smaller state is checked whole before each cycle's first change: that takes some milliseconds.
const SMALL_BYTES_MAX: i64 = 16 << 20;
/// How old the check of a whole large state may be when something is about to be sent.
const CHECKED_FOR: Duration = Duration::from_seconds(24 * 3_600);

/// SQLite's own check of the whole file.
///
/// # Errors
/// The state is damaged.
pub fn quick_check(connection: &Connection) -> Result<(), StateError> {
    checked(connection, "PRAGMA quick_check(1)")
}

/// Checks what a cycle rests on before its first change: the whole file if it is small, or was not checked for a day or since a
/// process ended out of order, else the tables of users, requests and approvals. Returns whether it was time for the whole file.
///
/// # Errors
/// The state is damaged.
pub fn check_before_changes(connection: &Connection, now: Moment) -> Result<bool, StateError> {
    let number = |sql: &str| {
        let path = PathBuf::from(connection.path().unwrap_or_default());
        let damaged = |error: rusqlite::Error| StateError::Damaged { path, what: error.to_string() };
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(damaged)
    };
    if number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?) <= SMALL_BYTES_MAX {
        return quick_check(connection).map(|()| false);
    }
    let checked_at = number("SELECT checked_at FROM installation")?;
    let age_ms = now.since_ms(Moment(checked_at));
    if !(0..CHECKED_FOR.milliseconds()).contains(&age_ms) {
        return quick_check(connection).map(|()| true);
    }
    RESTED_ON.iter().try_for_each(|table| checked(connection, &format!("PRAGMA quick_check({table})")))?;
    Ok(false)
}

/// Notes that the whole file was checked; `None`: that it must be before the next change.
///
/// # Errors
/// The state cannot be written.
pub fn note_check(connection: &Connection, at: Option<Moment>) -> rusqlite::Result<()> {
    connection.execute("UPDATE installation SET checked_at = ?1", [at.map_or(0, |at| at.0)]).map(|_| ())
}

/// Whether the last process that wrote may have ended out of order: its log of writes is still there. Asked before the state
/// is opened.
#[must_use]
pub fn was_cut_short(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push(SIDE_FILES[0]);
    std::fs::metadata(&log).is_ok_and(|log| log.len() > 0)
}

fn checked(connection: &Connection, check: &str) -> Result<(), StateError> {
    let path = PathBuf::from(connection.path().unwrap_or_default());
    let answer: rusqlite::Result<String> = connection.query_row(check, [], |row| row.get(0));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PAGE_BYTES: u64 = 4096;
    const DAY_MS: i64 = 86_400_000;

    /// A state that is too large to be checked whole each time, most of it log, and the pages of each of its tables and indexes.
    fn large(folder: &tempfile::TempDir) -> (PathBuf, Vec<(String, u64)>) {
        let path = folder.path().join("state.db");
        let connection = crate::store::create(&path, "https://x.example", Moment(0), [7; 16]).expect("a state");
        let fill = "INSERT INTO settings VALUES (1, '{}');
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300)
             INSERT INTO links (directory_id, row, user_name, settings, scim_id, folded, linked_at)
             SELECT printf('%06d', n), n, n, 1, n, n, 0 FROM n;
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9000)
             INSERT INTO events SELECT n, 0, 'u', hex(zeroblob(1000)) FROM n;
             UPDATE installation SET checked_at = 1000;
             PRAGMA wal_checkpoint(TRUNCATE)";
        connection.execute_batch(fill).expect("filled");
        let pages = "SELECT name, pageno FROM dbstat WHERE pageno > 1";
        let pages = connection.prepare(pages).and_then(|mut pages| {
            pages.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?.collect()
        });
        (path, pages.expect("its pages"))
    }

    #[test]
    fn before_a_change_damage_is_found_in_all_that_it_rests_on_and_elsewhere_within_a_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, pages) = large(&folder);
        let whole = std::fs::read(&path).expect("a state");
        assert!(whole.len() as i64 > SMALL_BYTES_MAX);
        let rests_on = |name: &str| {
            RESTED_ON.iter().any(|table| name == *table || name.starts_with(&format!("{table}_")))
                || name.starts_with("sqlite_autoindex_links")
        };
        let (mut checked, mut seen) = (0, BTreeSet::new());
        for (name, page) in pages {
            // One page of the log stands for all.
            if !rests_on(&name) && !seen.insert(name.clone()) {
                continue;
            }
            let mut bytes = whole.clone();
            let start = ((page - 1) * PAGE_BYTES) as usize;
            bytes[start..start + 12].iter_mut().for_each(|byte| *byte ^= 0xff);
            std::fs::write(&path, &bytes).expect("damaged");
            let connection = Connection::open(&path).expect("a database");
            let soon = check_before_changes(&connection, Moment(2_000));
            // Without its schema nothing can be read.
            let is_found = rests_on(&name) || name == "sqlite_schema";
            assert_eq!(soon.is_err(), is_found, "{name}, page {page}: {soon:?}");
            assert!(matches!(soon, Ok(_) | Err(StateError::Damaged { .. })), "{soon:?}");
            for due in [Moment(1_000 + DAY_MS), Moment(999)] {
                assert!(check_before_changes(&connection, due).is_err(), "{name}, page {page}");
            }
            checked += u32::from(rests_on(&name));
        }
        assert!(checked > 10 && seen.contains("events"), "{checked} {seen:?}");
        std::fs::write(&path, &whole).expect("as it was");
        let connection = Connection::open(&path).expect("a database");
        assert!(matches!(check_before_changes(&connection, Moment(2_000)), Ok(false)));
        assert!(matches!(check_before_changes(&connection, Moment(1_000 + DAY_MS)), Ok(true)));
    }

    #[test]
    fn a_log_of_writes_that_is_left_tells_of_a_process_that_was_cut_short() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        let connection = crate::store::create(&path, "https://x.example", Moment(0), [7; 16]).expect("a state");
        assert!(was_cut_short(&path), "it is still at work");
        drop(connection);
        assert!(!was_cut_short(&path));
    }
}
