//! The schema of the state: its migrations, and which of them a database has.

use super::error::StateError;
use crate::model::{clean, short_digest};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

/// `RHSY`: tells our database from another application's.
pub(super) const APPLICATION_ID: i32 = 0x5248_5359;
/// Entry N brings schema N to schema N + 1.
pub(super) const MIGRATIONS: [&str; 18] = [
    include_str!("../../state/0001_state.sql"),
    include_str!("../../state/0002_links_in_id_order.sql"),
    include_str!("../../state/0003_not_supported.sql"),
    include_str!("../../state/0004_reasons.sql"),
    include_str!("../../state/0006_spoken.sql"),
    include_str!("../../state/0007_identity_and_groups.sql"),
    include_str!("../../state/0008_health.sql"),
    include_str!("../../state/0009_memberships.sql"),
    include_str!("../../state/0010_exact_approvals.sql"),
    include_str!("../../state/0011_mismatch.sql"),
    include_str!("../../state/0012_dead_letters.sql"),
    include_str!("../../state/0013_directory_organization.sql"),
    include_str!("../../state/0014_reign.sql"),
    include_str!("../../state/0015_replica.sql"),
    include_str!("../../state/0017_checked.sql"),
    include_str!("../../state/0018_fingerprints.sql"),
    include_str!("../../state/0019_last_report.sql"),
    include_str!("../../state/0020_approvals_in_the_log.sql"),
];

/// The digest of what a state of the newest schema consists of; a new migration changes it, and the test below says to what.
const PARTS_DIGEST: &str = "9a7b007f3d603c0aa7d93271ec8937d6";

/// The schema that this program writes.
pub const SCHEMA: usize = MIGRATIONS.len();
/// The newest schema that this release knows.
pub(super) const fn known_schema() -> i32 {
    MIGRATIONS.len() as i32
}

/// The schema version of one of our states.
pub(super) fn schema(connection: &Connection, path: &Path) -> Result<i32, StateError> {
    let application_id = pragma(connection, path, "application_id")?;
    let (found, known) = (pragma(connection, path, "user_version")?, MIGRATIONS.len() as i32);
    match found {
        0 => Err(StateError::Foreign(path.to_owned())),
        _ if application_id != APPLICATION_ID => Err(StateError::Foreign(path.to_owned())),
        _ if found > known => Err(StateError::Newer { found, known }),
        _ => Ok(found),
    }
}

/// What a database consists of, as our releases make it: a trigger or a view that comes with a restored copy could swallow events,
/// and an altered table could hide them.
///
/// # Errors
/// It has more, less or something else; or it cannot be read.
pub(super) fn is_untampered(connection: &Connection, path: &Path, found: i32) -> Result<(), StateError> {
    let parts = parts(connection).map_err(|error| damaged(path, error))?;
    if found == known_schema() && digest(&parts) == PARTS_DIGEST {
        return Ok(());
    }
    let ours = ours(found)?;
    let tampered = |what: String| Err(StateError::Tampered { path: path.to_owned(), what: clean(&what).into_owned() });
    if let Some(name) = parts.keys().find(|name| !ours.contains_key(*name)) {
        let article = if name.starts_with('i') { "an" } else { "a" };
        return tampered(format!("has {article} {name}, which rhombus-sync did not make"));
    }
    match ours.iter().find(|(name, sql)| parts.get(*name) != Some(sql)) {
        Some((name, _)) if parts.contains_key(name) => tampered(format!("has another {name} than rhombus-sync makes")),
        Some((name, _)) => tampered(format!("lacks the {name}")),
        None => Ok(()),
    }
}

/// Every part (`table links`) with its SQL; SQLite's own are left out, and the two tables that Litestream keeps in what it replicates:
/// a table alone swallows nothing.
fn parts(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let sql = "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_master WHERE substr(name, 1, 7) <> 'sqlite_'
               AND NOT (type = 'table' AND name IN ('_litestream_seq', '_litestream_lock'))";
    connection.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The parts of a state with this schema, made anew in memory: 5 ms, so only where the digest does not settle it.
fn ours(found: i32) -> Result<BTreeMap<String, String>, StateError> {
    let connection = Connection::open_in_memory()?;
    for migration in MIGRATIONS.iter().take(usize::try_from(found).unwrap_or(0)) {
        connection.execute_batch(migration)?;
    }
    Ok(parts(&connection)?)
}

/// What [`is_untampered`] compares first.
fn digest(parts: &BTreeMap<String, String>) -> String {
    short_digest(parts.iter().flat_map(|(name, sql)| [name.as_str(), sql.as_str()]))
}

pub(super) fn pragma(connection: &Connection, path: &Path, name: &str) -> Result<i32, StateError> {
    connection.pragma_query_value(None, name, |row| row.get(0)).map_err(|error| damaged(path, error))
}

pub(super) fn damaged(path: &Path, error: rusqlite::Error) -> StateError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(NotADatabase) => StateError::Foreign(path.to_owned()),
        Some(DatabaseCorrupt) => {
            StateError::Damaged { path: path.to_owned(), what: "SQLite cannot read it".to_owned() }
        }
        Some(_) | None => StateError::Sqlite(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tables_of_litestream_are_passed_over() {
        let with = |sql: &str| {
            let connection = Connection::open_in_memory().expect("a database");
            MIGRATIONS.iter().for_each(|migration| connection.execute_batch(migration).expect("it runs"));
            connection.execute_batch(sql).expect("it runs");
            is_untampered(&connection, Path::new("state.db"), known_schema()).map_err(|error| error.to_string())
        };
        let made = "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); CREATE TABLE _litestream_lock (id INTEGER)";
        assert_eq!(with(made), Ok(()));
        for sql in [
            "CREATE VIEW _litestream_lock AS SELECT 1",
            "CREATE TABLE _litestream_other (id INTEGER)",
            "CREATE TRIGGER _litestream_seq AFTER INSERT ON events BEGIN SELECT 1; END",
        ] {
            assert!(with(sql).expect_err("refused").contains("which rhombus-sync did not make"), "{sql}");
        }
    }

    #[test]
    fn the_digest_is_that_of_the_newest_schema() {
        assert_eq!(digest(&ours(known_schema()).expect("the migrations run")), PARTS_DIGEST);
    }
}
